//! A backup of a source: one pass over its items, one snapshot an item.
//!
//! Lives here: the steps `prepare`, `capture`, `record`, `verify`; `guard` and `forget` stand beside it. May not: reading files.
//! Snapshots are recorded while they come in, so that nothing that is in the repository is unknown here; there is
//! nothing to undo: a snapshot that was written is a good copy, whatever became of the run.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex, PoisonError},
};

use domain::{
    id::{ItemId, RepositoryId, ServiceId, SnapshotId, SourceId},
    run::{ItemState, RunEvent},
    units::Timestamp,
    work::{BackupParams, BackupResult, StepFailure},
};
use engine::job::{BackupJob, BackupOutcome, Change, ChangeKind, FindJob, ItemResult, Job, Outcome, SnapshotRecord, SourceConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{
    Tx,
    file_versions::{self, NewVersion, PathChange},
    items, repositories, run_items, services, snapshots, sources,
};

use super::{
    Owner,
    forget::Forget,
    given,
    guard::{self, Guard},
    new_snapshot, repository, service, source,
};
use crate::{
    child::{self, Nothing, Recorder},
    exec::{Cx, Ended, Exec},
    step::{Break, Done, Result, Step, permanent},
};

pub const STEPS: &[&str] = &[Prepare::NAME, Capture::NAME, Record::NAME, Guard::NAME, Verify::NAME, Forget::NAME];

/// Names of items in a message.
const NAMED: i64 = 5;

pub async fn run(exec: &mut Exec) -> Result<Ended> {
    let id = given(exec.cx.run.source_id, SourceId, "source")?;
    let params: BackupParams = exec.cx.run.params()?;
    let whole = params.items.is_none();
    let plan = exec.step(Prepare { source: id, items: params.items }).await?;
    let outcome = exec.step(Capture { plan: plan.clone() }).await?;
    exec.step(Record { plan: plan.clone(), outcome: outcome.clone() }).await?;
    exec.step(Guard { source: id, service: plan.service, whole }).await?;
    exec.step(Verify { plan: plan.clone() }).await?;
    let forgot = exec.step(Forget { source: plan.source, service: plan.service, repository: plan.repository }).await?;
    conclude(&exec.cx, &outcome, forgot.forgotten).await
}

async fn conclude(cx: &Cx, outcome: &BackupOutcome, forgotten: i64) -> Result<Ended> {
    let holds = guard::placed(cx).await?;
    let mut read = cx.deps.db.read().await?;
    let mut result = BackupResult { bytes_read: outcome.bytes_read, bytes_added: outcome.bytes_added, forgotten, holds, ..BackupResult::default() };
    for (state, n, ..) in run_items::count(read.tx(), cx.id()).await? {
        match ItemState::parse(&state) {
            Some(ItemState::Ok | ItemState::Skipped) => result.items_ok += n,
            Some(ItemState::Partial) => result.items_partial += n,
            Some(ItemState::Failed) | None => result.items_failed += n,
        }
    }
    let (bad, all) = (result.items_failed + result.items_partial, result.items_ok + result.items_partial + result.items_failed);
    if all == 0 {
        let f = StepFailure::new("no_items", "the source lists no items, so nothing was backed up; check its path and that it is mounted", true);
        return Ok(Ended::new(RunEvent::FinishPartly, &result, Some(f)));
    }
    if bad == 0 {
        return Ok(Ended::new(RunEvent::Succeed, &result, None));
    }
    let mut names = Vec::new();
    for state in [ItemState::Failed, ItemState::Partial] {
        names.extend(run_items::page(read.tx(), cx.id(), Some(state), "", NAMED).await?.into_iter().map(|i| i.name));
    }
    names.truncate(NAMED as usize);
    let more = if bad > names.len() as i64 { " …" } else { "" };
    let message = format!("{bad} of {all} items are not complete: {}{more}; see the run's items for each file", names.join(", "));
    let event = if result.items_failed == all { RunEvent::Fail } else { RunEvent::FinishPartly };
    Ok(Ended::new(event, &result, Some(StepFailure::new("items_incomplete", message, false))))
}

/// What is backed up, fixed at the start. The database is asked again for parents, which move while items come in.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Plan {
    source: SourceId,
    service: ServiceId,
    repository: RepositoryId,
    service_name: String,
    source_name: String,
    config: SourceConfig,
    items: Option<Vec<String>>,
    root_parent: Option<String>,
}

struct Prepare {
    source: SourceId,
    items: Option<Vec<String>>,
}

#[async_trait::async_trait]
impl Step for Prepare {
    const NAME: &'static str = "prepare";
    type Out = Plan;

    fn input(&self) -> Value {
        json!({"source": self.source, "items": self.items})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Plan>> {
        let row = source(cx, self.source).await?;
        if row.removed_at.is_some() {
            return Err(permanent("not_found", format!("the source {} is no longer configured", row.name)));
        }
        let service = service(cx, ServiceId(row.service_id)).await?;
        let repository = repository(cx, RepositoryId(row.repository_id)).await?;
        // A missing password is said now and not after the source was listed.
        drop(ops::secrets::access(&repository, &cx.deps.env).await?);
        let config: SourceConfig = serde_json::from_value(row.config.0.clone())
            .map_err(|e| permanent("invalid", format!("the configuration of source {} cannot be read: {e}", row.name)))?;
        Ok(Done::ok(Plan {
            source: self.source,
            service: service.id(),
            repository: repository.id(),
            service_name: service.name.clone(),
            source_name: row.name.clone(),
            config,
            items: self.items.clone(),
            root_parent: row.root_snapshot,
        }))
    }
}

struct Capture {
    plan: Plan,
}

#[async_trait::async_trait]
impl Step for Capture {
    const NAME: &'static str = "capture";
    type Out = BackupOutcome;

    fn input(&self) -> Value {
        json!({"source": self.plan.config, "root_parent": self.plan.root_parent})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<BackupOutcome>> {
        capture(cx, Self::NAME, &Keep { plan: self.plan.clone(), aside: None }).await.map(Done::ok)
    }
}

/// One pass over a source, or over some of its items; also the safety snapshot before a restore in place.
async fn capture(cx: &Cx, step: &'static str, keep: &Keep) -> Result<BackupOutcome> {
    let plan = &keep.plan;
    let row = repository(cx, plan.repository).await?;
    let parents = items::parents(cx.deps.db.read().await?.tx(), plan.source, plan.repository).await?;
    let wanted = |name: &String| plan.items.as_ref().is_none_or(|items| items.contains(name));
    let parents: BTreeMap<_, _> = parents.into_iter().filter(|(name, _)| wanted(name)).collect();
    let make = |access| {
        Job::Backup(BackupJob {
            access,
            create: row.restic_id.is_none(),
            source: plan.config.clone(),
            host: plan.service_name.clone(),
            service: plan.service_name.clone(),
            source_name: plan.source_name.clone(),
            run: cx.id().to_string(),
            items: plan.items.clone(),
            root_parent: plan.root_parent.clone(),
            parents,
            patient: keep.aside.is_some(),
            tags: Vec::new(),
        })
    };
    match child::job(cx, step, &row, make, keep).await? {
        Outcome::Backup(outcome) => Ok(outcome),
        other => Err(child::unexpected(&other)),
    }
}

/// How the safety snapshot of one item went.
pub struct Safety {
    pub item: String,
    pub state: ItemState,
    pub snapshot: Option<SnapshotId>,
}

/// Takes snapshots of some items of a source now, as part of another run.
///
/// All of each is read: a restore replaces also what the source's own backups leave out.
pub async fn safety(cx: &Cx, step: &'static str, from: SourceId, names: Vec<String>) -> Result<Vec<Safety>> {
    let mut plan = Prepare { source: from, items: Some(names) }.apply(cx).await?.out;
    let SourceConfig::Directory(config) = &mut plan.config else { return Err(no_files()) };
    config.exclude.clear();
    // But for a repository that lies in the source: it would back itself up.
    if let Some(place) = repository(cx, plan.repository).await?.location.strip_prefix("file://").filter(|p| Path::new(p).starts_with(&config.path)) {
        config.exclude.push(literally(place));
    }
    let keep = Keep { plan, aside: Some(Mutex::default()) };
    capture(cx, step, &keep).await?;
    Ok(keep.aside.unwrap_or_default().into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn no_files() -> Break {
    permanent("invalid", "instances of a cloud have no files to read; their snapshots stay in the cloud")
}

/// A path as a pattern that means it alone.
fn literally(path: &str) -> String {
    path.chars().flat_map(|c| matches!(c, '*' | '?' | '[' | '\\').then_some('\\').into_iter().chain([c])).collect()
}

/// Records snapshots and the index of names while the pass goes on.
struct Keep {
    plan: Plan,
    /// Where the results go that are not the run's own: those of a safety snapshot.
    aside: Option<Mutex<Vec<Safety>>>,
}

impl Keep {
    async fn snapshot(&self, cx: &Cx, mut tx: Tx<'_>, item: &ItemResult, s: &SnapshotRecord) -> store::Result<(ItemId, SnapshotId)> {
        let now = cx.now();
        // A person is known by the name of the item (a folder a user) until somebody says whose it is; one folder as a whole is nobody's.
        let person = match &self.plan.config {
            SourceConfig::Directory(d) if d.items == engine::job::DirectoryItems::Children => Some(items::person(tx.by_ref(), &item.name, now).await?),
            SourceConfig::Directory(_) | SourceConfig::OpenstackInstance(_) => None,
        };
        let (id, person) = items::found(tx.by_ref(), self.plan.source, self.plan.service, person, &item.name, now).await?;
        let owner = Owner { service: Some(self.plan.service), source: Some(self.plan.source), item: Some(id), person, run: Some(cx.id()) };
        let new = new_snapshot(s, self.plan.repository, &owner, if item.state == ItemState::Ok { "complete" } else { "partial" });
        let snapshot = snapshots::insert(tx.by_ref(), &new).await?;
        items::set_snapshot(tx, id, snapshot, s.taken_at, s.bytes).await?;
        Ok((id, snapshot))
    }
}

#[async_trait::async_trait]
impl Recorder for Keep {
    async fn item(&self, cx: &Cx, mut tx: Tx<'_>, item: &ItemResult) -> store::Result<()> {
        let known = match &item.snapshot {
            Some(s) => {
                let (id, snapshot) = self.snapshot(cx, tx.by_ref(), item, s).await?;
                (Some(id), Some(snapshot))
            }
            None => (items::find_by_name(tx.by_ref(), self.plan.source, &item.name).await?.map(|i| ItemId(i.id)), None),
        };
        match &self.aside {
            None => child::save_item(cx, tx, item, known.0, known.1).await,
            Some(aside) => {
                let one = Safety { item: item.name.clone(), state: item.state, snapshot: known.1 };
                aside.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                Ok(())
            }
        }
    }

    async fn changes(&self, cx: &Cx, mut tx: Tx<'_>, item: &str, snapshot: &str, entries: &[Change]) -> store::Result<()> {
        let row = items::find_by_name(tx.by_ref(), self.plan.source, item).await?;
        let taken = snapshots::find_restic(tx.by_ref(), self.plan.repository, snapshot).await?;
        let (Some(row), Some(taken)) = (row, taken) else {
            tracing::warn!(run = %cx.id(), item, snapshot, "changes of a snapshot that is not recorded");
            return Ok(());
        };
        let version = |e: &Change| NewVersion { node: e.node.as_str(), size_bytes: e.bytes, modified_at: e.modified_at };
        let changes: Vec<_> = entries.iter().map(|e| PathChange { path: &e.path, new: (e.change != ChangeKind::Removed).then(|| version(e)) }).collect();
        file_versions::record(tx, ItemId(row.id), taken.id(), Timestamp(taken.taken_at), &changes).await
    }
}

struct Record {
    plan: Plan,
    outcome: BackupOutcome,
}

#[async_trait::async_trait]
impl Step for Record {
    const NAME: &'static str = "record";
    type Out = ();

    fn input(&self) -> Value {
        json!({"items_present": self.outcome.items_present.len(), "root_snapshot": self.outcome.root_snapshot})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<()>> {
        let (plan, outcome, now) = (&self.plan, &self.outcome, cx.now());
        let known = items::count_present(cx.deps.db.read().await?.tx(), plan.source).await?;
        if outcome.items_present.is_empty() && known > 0 {
            // An empty folder is more often a missing mount than the end of everybody.
            cx.log("warn", format!("the source lists no items, but had {known}; none of them is marked as gone")).await?;
        } else {
            for names in outcome.items_present.chunks(200) {
                let mut t = cx.begin(&[]).await?;
                for name in names {
                    items::seen(t.tx(), plan.source, plan.service, None, name, now).await?;
                }
                cx.commit(t).await?;
            }
            let mut t = cx.begin(&[]).await?;
            let gone = items::mark_gone(t.tx(), plan.source, now).await?;
            cx.commit(t).await?;
            if gone > 0 {
                cx.log("info", format!("{gone} items are no longer there; their snapshots stay")).await?;
            }
        }
        let rpo = service(cx, plan.service).await?.rpo_s;
        let mut t = cx.begin(&[]).await?;
        if let Some(root) = &outcome.root_snapshot {
            sources::set_root(t.tx(), plan.source, root).await?;
        }
        repositories::set_size(t.tx(), plan.repository, Some(&outcome.repository), outcome.size_bytes, now).await?;
        repositories::measure(t.tx(), plan.repository, now).await?;
        services::count_items(t.tx(), plan.service, rpo.map_or(Timestamp(0), |s| now.plus_secs(-s))).await?;
        cx.commit(t).await?;
        Ok(Done::ok(()))
    }
}

struct Verify {
    plan: Plan,
}

#[async_trait::async_trait]
impl Step for Verify {
    const NAME: &'static str = "verify";
    type Out = i64;

    fn input(&self) -> Value {
        json!({"repository": self.plan.repository})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<i64>> {
        let ids = snapshots::of_run(cx.deps.db.read().await?.tx(), cx.id()).await?;
        let n = ids.len() as i64;
        if n == 0 {
            return Ok(Done::ok(0));
        }
        let row = repository(cx, self.plan.repository).await?;
        let outcome = child::job(cx, Self::NAME, &row, |access| Job::Find(FindJob { access, snapshots: ids }), &Nothing).await?;
        let Outcome::Found(found) = outcome else { return Err(child::unexpected(&outcome)) };
        match found.missing.first() {
            None => Ok(Done::ok(n)),
            Some(first) => {
                Err(permanent("damaged", format!("{} of {n} snapshots are not in {}, first {first}; check the repository", found.missing.len(), row.name)))
            }
        }
    }
}
