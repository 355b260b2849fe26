//! A restore test: restore into a scratch folder, check, measure, tear down, judge (R32–R34).
//!
//! Lives here: the steps `provision`, `restore`, `check`, `tear_down`, `record`. May not: choosing snapshots
//! (`restore_choice`), the rule that joins checks to a verdict (`domain::evidence::join`), what is signed
//! (`ops::evidence::record`).
//! Invariant: a restore that fails is a finding and not an accident of the run; the scratch folder is gone at every end.

use std::path::PathBuf;

use domain::{
    definition::Terms,
    evidence::{CheckOutcome, EvidenceLevel, Verdict, join},
    id::{RepositoryId, ServiceId},
    restore::ConflictMode,
    run::{ItemState, RunEvent},
    statement::Plan,
    units::Timestamp,
    work::{RestoreTestParams, RestoreTestResult, StepFailure, Teardown},
};
use engine::job::{DirectoryItems, Job, Outcome, RestoreItem, RestoreJob, SourceConfig};
use ops::{
    evidence::{self, record::Beside},
    seal::Keys,
    secrets::Vault,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{
    plans, repositories,
    restore_tests::{self, NewRestoreTest, TestedSnapshot},
    run_items,
    services::{self, LastTest},
    snapshots, sources,
};

use super::{
    blocking, given, repository, restore, restore_checks as checks,
    restore_choice::{Choice, Select},
    service,
};
use crate::{
    child::{self, Items},
    exec::{Cx, Ended, Exec},
    files,
    step::{Break, Done, Result, Step, permanent},
};

pub const STEPS: &[&str] = &[Select::NAME, Provision::NAME, Restore::NAME, Check::NAME, TearDown::NAME, Record::NAME];

/// From here on a test works in the scratch folder of its machine.
pub const PROVISION: &str = Provision::NAME;

pub async fn run(exec: &mut Exec) -> Result<Ended> {
    let id = given(exec.cx.run.service_id, ServiceId, "service")?;
    let params: RestoreTestParams = exec.cx.run.params()?;
    let terms = params.terms.clone().unwrap_or_else(|| Terms { selection: params.selection, ..Terms::default() });
    let chosen = exec.step(Select { service: id, params: params.clone(), terms: terms.clone() }).await?;
    let scratch = exec.cx.deps.data_dir.join("scratch").join(exec.cx.id().to_string());
    exec.step(Provision { service: id, scratch: scratch.clone() }).await?;
    let restored = exec.step(Restore { chosen: chosen.clone(), scratch: scratch.clone() }).await?;
    let checked = exec.step(Check { terms, chosen: chosen.clone(), restored: restored.clone(), scratch: scratch.clone() }).await?;
    let teardown = exec.step(TearDown { scratch }).await?;
    let result = exec.step(Record { service: id, params, chosen, restored, checked, teardown }).await?;
    let findings = |v| result.checks.iter().filter(|c| c.verdict == v).map(|c| format!("{}: {}", c.name, c.detail)).collect::<Vec<_>>().join("; ");
    let (event, failure) = match result.verdict {
        Verdict::Passed => (RunEvent::Succeed, None),
        Verdict::Failed => (RunEvent::Fail, Some(StepFailure::new("checks_failed", format!("the restore test failed. {}", findings(Verdict::Failed)), false))),
        Verdict::Unknown => {
            (RunEvent::FinishPartly, Some(StepFailure::new("not_checked", format!("not all could be checked. {}", findings(Verdict::Unknown)), false)))
        }
    };
    Ok(Ended::new(event, &result, failure))
}

struct Provision {
    service: ServiceId,
    scratch: PathBuf,
}

#[async_trait::async_trait]
impl Step for Provision {
    const NAME: &'static str = "provision";
    type Out = ();

    fn input(&self) -> Value {
        json!({"scratch": self.scratch})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<()>> {
        if !self.scratch.is_absolute() {
            return Err(permanent(
                "invalid",
                format!("the scratch folder {} is not absolute; start Holdfast with an absolute data folder", self.scratch.display()),
            ));
        }
        for row in sources::of_service(cx.deps.db.read().await?.tx(), self.service).await? {
            if let Ok(SourceConfig::Directory(d)) = serde_json::from_value::<SourceConfig>(row.config.0.clone())
                && (self.scratch.starts_with(&d.path) || (d.items == DirectoryItems::Itself && d.path.starts_with(&self.scratch)))
            {
                let message = format!("the scratch folder {} is inside the source {}; move Holdfast's data folder out of it", self.scratch.display(), row.name);
                return Err(permanent("unsafe", message));
            }
        }
        for row in repositories::list(cx.deps.db.read().await?.tx()).await? {
            if row.location.strip_prefix("file://").is_some_and(|p| self.scratch.starts_with(p)) {
                let message =
                    format!("the scratch folder {} is inside the repository {}; move Holdfast's data folder out of it", self.scratch.display(), row.name);
                return Err(permanent("unsafe", message));
            }
        }
        anew(self.scratch.clone()).await?;
        Ok(Done::ok(()))
    }

    async fn undo(&self, cx: &Cx) -> Result<()> {
        let scratch = self.scratch.clone();
        blocking(move || files::remove(&scratch)).await?.map_err(|e| not_removed(&self.scratch, &e))?;
        cx.log("info", format!("the scratch folder {} is gone", self.scratch.display())).await
    }
}

/// An empty scratch folder, also where an earlier attempt has left one.
async fn anew(scratch: PathBuf) -> Result<()> {
    let place = scratch.clone();
    let made = blocking(move || files::remove(&scratch).and_then(|()| files::make(&scratch))).await?;
    made.map_err(|e| {
        permanent(
            if e.kind() == std::io::ErrorKind::StorageFull { "full" } else { "denied" },
            format!("the scratch folder {} cannot be made: {e}", place.display()),
        )
    })
}

fn not_removed(scratch: &std::path::Path, e: &std::io::Error) -> Break {
    Break::Failed(StepFailure::new("denied", format!("the scratch folder {} cannot be removed: {e}; remove it by hand", scratch.display()), false))
}

/// What the restore into the scratch folder gave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Restored {
    pub started_at: Timestamp,
    pub files: i64,
    pub dirs: i64,
    pub bytes: i64,
    /// Why it stopped before its end.
    pub failure: Option<StepFailure>,
}

struct Restore {
    chosen: Choice,
    scratch: PathBuf,
}

/// The scratch folder of each chosen snapshot, by its place in the choice, with its repository.
pub fn groups(chosen: &Choice, scratch: &std::path::Path) -> Vec<(RepositoryId, Vec<RestoreItem>)> {
    let mut groups: Vec<(RepositoryId, Vec<RestoreItem>)> = Vec::new();
    for (n, c) in chosen.items.iter().enumerate() {
        let item = RestoreItem { name: c.name.clone(), snapshot: c.restic_id.clone(), paths: Vec::new(), target: scratch.join(n.to_string()) };
        match groups.iter_mut().find(|(id, _)| *id == c.repository) {
            Some((_, items)) => items.push(item),
            None => groups.push((c.repository, vec![item])),
        }
    }
    groups
}

#[async_trait::async_trait]
impl Step for Restore {
    const NAME: &'static str = "restore";
    type Out = Restored;

    fn input(&self) -> Value {
        json!({"items": self.chosen.items.len(), "scratch": self.scratch})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Restored>> {
        anew(self.scratch.clone()).await?;
        let mut out = Restored { started_at: cx.now(), files: 0, dirs: 0, bytes: 0, failure: None };
        for (id, items) in groups(&self.chosen, &self.scratch) {
            let row = repository(cx, id).await?;
            let staging = restore::staging(cx);
            let make = |access| Job::Restore(RestoreJob { access, items, conflict: ConflictMode::Fail, preview: false, staging, verify: true });
            match child::job(cx, Self::NAME, &row, make, &Items).await {
                Ok(Outcome::Restore(r)) => {
                    out.files += r.files;
                    out.dirs += r.dirs;
                    out.bytes += r.bytes;
                }
                Ok(other) => return Err(child::unexpected(&other)),
                Err(Break::Failed(f)) if f.permanent || cx.run.attempts >= cx.run.max_attempts => {
                    let tolerated = Some(f.clone());
                    out.failure = Some(f);
                    return Ok(Done { out, tolerated });
                }
                Err(other) => return Err(other),
            }
        }
        Ok(Done::ok(out))
    }
}

/// What the checks found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checked {
    pub checks: Vec<CheckOutcome>,
    pub level: EvidenceLevel,
    pub rto_s: Option<f64>,
    pub rpo_s: Option<i64>,
}

struct Check {
    terms: Terms,
    chosen: Choice,
    restored: Restored,
    scratch: PathBuf,
}

#[async_trait::async_trait]
impl Step for Check {
    const NAME: &'static str = "check";
    type Out = Checked;

    fn input(&self) -> Value {
        json!({"items": self.chosen.items.len(), "files": self.restored.files, "canary": self.chosen.canary, "checks": self.terms.checks, "start": self.terms.start})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Checked>> {
        checks::all(cx, Self::NAME, &self.terms, &self.chosen, &self.restored, &self.scratch).await.map(Done::ok)
    }
}

struct TearDown {
    scratch: PathBuf,
}

#[async_trait::async_trait]
impl Step for TearDown {
    const NAME: &'static str = "tear_down";
    type Out = Teardown;

    fn input(&self) -> Value {
        json!({"scratch": self.scratch})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Teardown>> {
        tear_down(cx, &self.scratch).await
    }
}

/// Removes a scratch folder and looks whether it is gone.
pub async fn tear_down(cx: &Cx, scratch: &std::path::Path) -> Result<Done<Teardown>> {
    let started_at = cx.now();
    let place = scratch.to_owned();
    let gone = blocking(move || files::remove(&place).and_then(|()| files::is_absent(&place))).await?;
    let mut out = Teardown { scratch: scratch.display().to_string(), started_at, gone_at: None, detail: String::new() };
    let tolerated = match gone {
        Ok(true) => {
            out.gone_at = Some(cx.now());
            "looked for and not found".clone_into(&mut out.detail);
            None
        }
        other => {
            let why = other.err().map_or_else(|| "it is still there".to_owned(), |e| e.to_string());
            out.detail = format!("could not be removed: {why}; remove it by hand");
            Some(StepFailure::new("denied", format!("{} {}", out.scratch, out.detail), true))
        }
    };
    Ok(Done { out, tolerated })
}

struct Record {
    service: ServiceId,
    params: RestoreTestParams,
    chosen: Choice,
    restored: Restored,
    checked: Checked,
    teardown: Teardown,
}

impl Record {
    /// What the run's items say: restored, skipped, failed.
    async fn counts(&self, cx: &Cx) -> Result<(i64, i64, i64)> {
        let (mut restored, mut skipped, mut failed) = (0, 0, 0);
        for (state, n, ..) in run_items::count(cx.deps.db.read().await?.tx(), cx.id()).await? {
            match ItemState::parse(&state) {
                Some(ItemState::Ok) => restored += n,
                Some(ItemState::Skipped) => skipped += n,
                _ => failed += n,
            }
        }
        // What the restore never came to has failed as well.
        failed += (self.chosen.items.len() as i64 - restored - skipped - failed).max(0);
        Ok((restored, skipped, failed))
    }
}

#[async_trait::async_trait]
impl Step for Record {
    const NAME: &'static str = "record";
    type Out = RestoreTestResult;

    fn input(&self) -> Value {
        json!({"checks": self.checked.checks.len(), "level": self.checked.level})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<RestoreTestResult>> {
        let now = cx.now();
        let (items_restored, items_skipped, items_failed) = self.counts(cx).await?;
        let mut checks = self.checked.checks.clone();
        let torn_down = if self.teardown.gone_at.is_some() { Verdict::Passed } else { Verdict::Failed };
        let left = if self.teardown.gone_at.is_some() { "nothing" } else { "the folder" };
        let detail = format!("{}: {}", self.teardown.scratch, self.teardown.detail);
        checks.push(CheckOutcome::new("teardown", torn_down, detail).compared("nothing", left));
        let mut verdict = join(&checks, items_restored, self.restored.files);
        // What could not be tried says nothing about the backup, unless something else has failed.
        let only_unknown = self.restored.failure.is_some() && !checks.iter().any(|c| c.verdict == Verdict::Failed);
        if verdict == Verdict::Failed && only_unknown {
            verdict = Verdict::Unknown;
        }
        let level = self.checked.level;
        let test = NewRestoreTest {
            run: cx.id(),
            service: self.service,
            selection: self.params.selection.words(),
            definition: self.params.definition.clone(),
            started_at: self.chosen.started_at,
            finished_at: now,
            verdict,
            level,
            rto_s: self.checked.rto_s,
            rto_target_s: self.chosen.rto_target_s,
            rpo_s: self.checked.rpo_s,
            rpo_target_s: self.chosen.rpo_target_s,
            items_restored,
            items_skipped,
            items_failed,
            files: self.restored.files,
            bytes: self.restored.bytes,
            checks: checks.clone(),
            teardown: self.teardown.clone(),
            snapshots: self
                .chosen
                .items
                .iter()
                .map(|c| TestedSnapshot { item: c.item.clone(), snapshot: c.snapshot, restic_id: c.restic_id.clone(), taken_at: c.taken_at })
                .collect(),
        };
        let vault = Vault::new(cx.deps.env.clone(), Keys::of(&cx.deps.data_dir));
        let signer = evidence::record::signer(&cx.deps.db, &vault).await?;
        let of = service(cx, self.service).await?;
        let mut t = cx.begin(&[]).await?;
        let id = restore_tests::save(t.tx(), &test).await?;
        let approved = plans::approved(t.tx(), self.service).await?;
        let plan = approved.and_then(|p| Some(Plan { version: p.number, sha256: p.content_sha256? }));
        let beside = Beside { actor: cx.run.actor.clone(), plan };
        evidence::record::test(t.tx(), signer.as_ref(), id, &test, &of, beside, now).await?;
        let last = LastTest { id, verdict: verdict.as_str(), at: now, rto_s: test.rto_s, rpo_s: test.rpo_s, level: level.as_str() };
        services::set_test(t.tx(), self.service, last).await?;
        if level >= EvidenceLevel::Restored {
            for c in &self.chosen.items {
                let known = snapshots::find(t.tx(), c.snapshot).await?.and_then(|s| EvidenceLevel::parse(&s.level)).unwrap_or_default();
                snapshots::set_level(t.tx(), c.snapshot, level.max(known), now).await?;
            }
        }
        cx.commit(t).await?;
        Ok(Done::ok(RestoreTestResult {
            verdict,
            level,
            rto_s: test.rto_s,
            rpo_s: test.rpo_s,
            items_restored,
            items_skipped,
            items_failed,
            files: test.files,
            bytes: test.bytes,
            checks,
            teardown: test.teardown,
        }))
    }
}
