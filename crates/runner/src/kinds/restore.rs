//! A restore: to a folder, or in place after a safety snapshot (R26, R27); or its preview.
//!
//! Lives here: the steps `pin`, `plan`, `safety`, `restore`, `record`. May not: writing to the target (the engine does).
//! Invariant: before `restore` nothing at the target has changed; undoing it brings back each target whose restore had
//! not come to its end. A preview ends after `plan`.

use std::path::{Path, PathBuf};

use domain::{
    id::{RepositoryId, SnapshotId, SourceId},
    restore::ConflictMode,
    run::{ItemState, RunEvent},
    work::{Landing, PreviewPath, RestoreParams, RestoreResult, RestoreTarget, StepFailure},
};
use engine::job::{Job, Outcome, PlannedAction, RestoreItem, RestoreJob, RestoreOutcome, UnwindJob};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{
    run_items,
    snapshots::{self, SnapshotRow},
};

use super::{backup, blocking, given, repository, source};
use crate::{
    child::{self, Items, Nothing},
    exec::{Cx, Ended, Exec},
    files,
    step::{Break, Done, Result, Step, permanent},
};

pub const STEPS: &[&str] = &[Pin::NAME, Plan::NAME, Safety::NAME, Restore::NAME, Record::NAME];
/// The step after which the target holds what was restored.
pub const APPLIED: &str = Restore::NAME;

/// Paths of a preview that are kept in its result.
const SAMPLE: usize = 200;

pub async fn run(exec: &mut Exec) -> Result<Ended> {
    let params: RestoreParams = exec.cx.run.params()?;
    let (conflict, preview) = (params.conflict, params.preview);
    let source = exec.cx.run.source_id.map(SourceId);
    let in_place = params.target == RestoreTarget::InPlace;
    let id = given(exec.cx.run.repository_id, RepositoryId, "repository")?;
    let pinned = exec.step(Pin { repository: id, source, params }).await?;
    let planned = exec.step(Plan { pinned: pinned.clone(), conflict }).await?;
    if preview {
        return Ok(Ended::new(RunEvent::Succeed, &result(&pinned, &planned, true, Vec::new()), None));
    }
    let safety = exec.step(Safety { pinned: pinned.clone(), source: source.filter(|_| in_place) }).await?;
    let staging = staging(&exec.cx);
    let outcome = exec.step(Restore { pinned: pinned.clone(), conflict, staging }).await?;
    exec.cx.settle();
    exec.step(Record { outcome: outcome.clone() }).await?;
    let result = result(&pinned, &outcome, false, safety);
    let mut read = exec.cx.deps.db.read().await?;
    let (mut bad, mut all) = (0, 0);
    for (state, n, ..) in run_items::count(read.tx(), exec.cx.id()).await? {
        all += n;
        if matches!(ItemState::parse(&state), Some(ItemState::Failed | ItemState::Partial)) {
            bad += n;
        }
    }
    if bad == 0 {
        return Ok(Ended::new(RunEvent::Succeed, &result, None));
    }
    let f = StepFailure::new("items_incomplete", format!("{bad} of {all} items were not restored completely; see the run's items for each file"), false);
    Ok(Ended::new(if bad == all { RunEvent::Fail } else { RunEvent::FinishPartly }, &result, Some(f)))
}

/// One folder beside each target, known by the run.
pub fn staging(cx: &Cx) -> String {
    engine::job::staging_name(&cx.id().0.simple().to_string())
}

fn result(pinned: &Pinned, outcome: &RestoreOutcome, preview: bool, safety: Vec<SnapshotId>) -> RestoreResult {
    let action = |a| match a {
        PlannedAction::Create => "create",
        PlannedAction::Replace => "replace",
        PlannedAction::Same => "same",
        PlannedAction::Skip => "skip",
    };
    RestoreResult {
        preview,
        counts: outcome.counts,
        landings: pinned.items.iter().map(|i| Landing { item: i.name.clone(), path: i.target.to_string_lossy().into_owned() }).collect(),
        items: outcome.items,
        files: outcome.files,
        bytes: outcome.bytes,
        sample: outcome.sample.iter().take(SAMPLE).map(|p| PreviewPath { path: p.path.clone(), action: action(p.action).to_owned(), bytes: p.bytes }).collect(),
        safety,
    }
}

/// What is restored to where, by the ids of the repository.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pinned {
    repository: RepositoryId,
    items: Vec<RestoreItem>,
}

struct Pin {
    repository: RepositoryId,
    source: Option<SourceId>,
    params: RestoreParams,
}

impl Pin {
    /// The landing folder of an item.
    async fn landing(&self, cx: &Cx, item: &str, snapshot: &SnapshotRow) -> Result<PathBuf> {
        let bad = || permanent("unsafe", format!("the name of item {item} cannot be a folder; choose a folder as the target and restore it alone"));
        match (&self.params.target, self.source) {
            (RestoreTarget::InPlace, Some(id)) => ops::restores::home_of(&source(cx, id).await?, item)?.ok_or_else(bad),
            (RestoreTarget::Beside, Some(id)) => {
                let source = source(cx, id).await?;
                let home = ops::restores::home_of(&source, item)?.ok_or_else(bad)?;
                let shown = home.display().to_string();
                let gone = blocking(move || files::is_absent(&home)).await?.map_err(|e| permanent("denied", format!("{shown} cannot be looked at: {e}")))?;
                if gone {
                    return Err(permanent("not_found", format!("{shown} is no longer there, so nothing can be restored beside it; restore in place")));
                }
                ops::restores::beside_of(&source, item, snapshot)?.ok_or_else(bad)
            }
            (RestoreTarget::InPlace | RestoreTarget::Beside, None) => {
                Err(permanent("invalid", "the snapshots do not come from one source; choose a folder as the target"))
            }
            (RestoreTarget::Folder { path }, _) if self.params.items.len() == 1 => Ok(PathBuf::from(path)),
            (RestoreTarget::Folder { path }, _) => ops::restores::child_folder(Path::new(path), item).ok_or_else(bad),
        }
    }
}

#[async_trait::async_trait]
impl Step for Pin {
    const NAME: &'static str = "pin";
    type Out = Pinned;

    fn input(&self) -> Value {
        serde_json::to_value(&self.params).unwrap_or_default()
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Pinned>> {
        let mut items = Vec::with_capacity(self.params.items.len());
        for selection in &self.params.items {
            let row = snapshots::find(cx.deps.db.read().await?.tx(), selection.snapshot).await?.filter(|s| s.gone_at.is_none());
            let row =
                row.ok_or_else(|| permanent("not_found", format!("the snapshot {} of {} is no longer in the repository", selection.snapshot, selection.item)))?;
            let target = self.landing(cx, &selection.item, &row).await?;
            items.push(RestoreItem { name: selection.item.clone(), snapshot: row.restic_id, paths: selection.paths.clone(), target });
        }
        Ok(Done::ok(Pinned { repository: self.repository, items }))
    }
}

struct Plan {
    pinned: Pinned,
    conflict: ConflictMode,
}

#[async_trait::async_trait]
impl Step for Plan {
    const NAME: &'static str = "plan";
    type Out = RestoreOutcome;

    fn input(&self) -> Value {
        json!({"conflict": self.conflict, "items": self.pinned.items.len()})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<RestoreOutcome>> {
        let mut outcome = write(cx, Self::NAME, &self.pinned, self.conflict, true, staging(cx)).await?;
        outcome.sample.truncate(SAMPLE);
        Ok(Done::ok(outcome))
    }
}

/// Has the engine count or write.
async fn write(cx: &Cx, step: &'static str, pinned: &Pinned, conflict: ConflictMode, preview: bool, staging: String) -> Result<RestoreOutcome> {
    let row = repository(cx, pinned.repository).await?;
    let items = pinned.items.clone();
    let make = |access| Job::Restore(RestoreJob { access, items, conflict, preview, staging, verify: true });
    let done = if preview { child::job(cx, step, &row, make, &Nothing).await? } else { child::job(cx, step, &row, make, &Items).await? };
    match done {
        Outcome::Restore(outcome) => Ok(outcome),
        other => Err(child::unexpected(&other)),
    }
}

struct Safety {
    pinned: Pinned,
    /// `None` where nothing that exists is overwritten in place.
    source: Option<SourceId>,
}

#[async_trait::async_trait]
impl Step for Safety {
    const NAME: &'static str = "safety";
    type Out = Vec<SnapshotId>;

    fn input(&self) -> Value {
        json!({"source": self.source})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Vec<SnapshotId>>> {
        let Some(source) = self.source else { return Ok(Done::ok(Vec::new())) };
        let places: Vec<_> = self.pinned.items.iter().map(|i| (i.name.clone(), i.target.clone())).collect();
        let there = blocking(move || {
            let absent = |place: &Path| files::is_absent(place).map_err(|e| permanent("denied", format!("{} cannot be looked at: {e}", place.display())));
            places.into_iter().filter_map(|(name, place)| absent(&place).map(|gone| (!gone).then_some(name)).transpose()).collect::<Result<Vec<_>>>()
        })
        .await??;
        if there.is_empty() {
            cx.log("info", "nothing stands at the target, so there is nothing to take a safety snapshot of").await?;
            return Ok(Done::ok(Vec::new()));
        }
        let taken = backup::safety(cx, Self::NAME, source, there.clone()).await?;
        if let Some(bad) = there.iter().find(|name| !taken.iter().any(|s| s.item == **name && s.snapshot.is_some())) {
            return Err(permanent("no_safety_snapshot", format!("no safety snapshot of {bad} could be taken, so nothing was changed; see the log")));
        }
        let partial = taken.iter().find(|s| s.state != ItemState::Ok);
        let tolerated = partial.map(|s| StepFailure::new("partial", format!("the safety snapshot of {} lacks files that could not be read", s.item), false));
        Ok(Done { out: taken.into_iter().filter_map(|s| s.snapshot).collect(), tolerated })
    }
}

struct Restore {
    pinned: Pinned,
    conflict: ConflictMode,
    staging: String,
}

#[async_trait::async_trait]
impl Step for Restore {
    const NAME: &'static str = "restore";
    type Out = RestoreOutcome;

    fn input(&self) -> Value {
        json!({"conflict": self.conflict, "staging": self.staging, "items": self.pinned.items.len()})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<RestoreOutcome>> {
        let mut outcome = write(cx, Self::NAME, &self.pinned, self.conflict, false, self.staging.clone()).await?;
        // It stands: whoever wants to cancel it now is too late.
        cx.settle();
        if outcome.uncleared {
            match self.unwind(cx).await {
                Ok(_) => {}
                Err(Break::Failed(f)) => cx.log("warn", format!("the restore stands, but its staging folder is left: {}", f.message)).await?,
                Err(other) => return Err(other),
            }
        }
        outcome.sample.clear();
        Ok(Done::ok(outcome))
    }

    /// Takes back what does not stand; what stands is told by an event of its own.
    async fn undo(&self, cx: &Cx) -> Result<()> {
        let back = self.unwind(cx).await?;
        cx.log("info", format!("no target is half restored; {back} files were put back")).await
    }
}

impl Restore {
    async fn unwind(&self, cx: &Cx) -> Result<i64> {
        let targets = self.pinned.items.iter().map(|i| i.target.clone()).collect();
        let job = Job::UnwindRestore(UnwindJob { targets, staging: self.staging.clone() });
        match child::run_job(cx, "unwind", None, job, &Nothing).await? {
            Outcome::Unwound(u) => Ok(u.put_back),
            other => Err(child::unexpected(&other)),
        }
    }
}

struct Record {
    outcome: RestoreOutcome,
}

#[async_trait::async_trait]
impl Step for Record {
    const NAME: &'static str = "record";
    type Out = ();

    fn input(&self) -> Value {
        json!({"counts": self.outcome.counts})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<()>> {
        let c = self.outcome.counts;
        let figures = format!("{} files created, {} replaced, {} were the same, {} left alone", c.create, c.replace, c.same, c.skip);
        cx.log("info", figures).await?;
        Ok(Done::ok(()))
    }
}
