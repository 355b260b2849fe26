//! Completes what a cloud has accepted and a run did not wait for (`wait=false`).
//!
//! Lives here: one look at all pending snapshots. May not: taking any.
//! Invariants: the mail of success and the offsite copy are queued in the transaction that completes the record, and only
//! then; of two processes that look at once one writes. Old snapshots go after the new one is really there.

use std::collections::BTreeMap;

use domain::{
    id::{ItemId, RepositoryId, RunId, ServiceId},
    instance::{NativeSnapshot, Pattern},
    units::Timestamp,
    work::InstanceSnapshotParams,
};
use engine::sources::openstack::Cloud;
use ops::{Actor, Ctx, OpsError};
use store::{
    items, native, repositories,
    run_events::{self, NewRunEvent},
    runs::{self, RunRow},
    services,
    snapshots::{self, SnapshotRow},
    wake,
};

use super::{
    link::{Calls, Pen, failed, open},
    mails::{self, NO_CHANNEL, Went},
    pieces::{self, Standing},
    tidy,
};
use crate::{
    Deps,
    kinds::instance_snapshot::words,
    step::{Break, Result},
};

/// Snapshots of one look.
const MOST: i64 = 1_000;
/// How long a cloud may take.
const WITHIN_H: i64 = 24;

/// What one look brought about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    pub completed: usize,
    pub failed: usize,
    pub waiting: usize,
}

/// One look at everything that is pending.
pub async fn look(deps: &Deps) -> Result<Looked> {
    let mut by_cloud: BTreeMap<uuid::Uuid, Vec<SnapshotRow>> = BTreeMap::new();
    for row in snapshots::pending(deps.db.read().await?.tx(), MOST).await? {
        by_cloud.entry(row.repository_id).or_default().push(row);
    }
    let mut looked = Looked::default();
    for (id, rows) in by_cloud {
        let Some(cloud) = repositories::find(deps.db.read().await?.tx(), RepositoryId(id)).await? else { continue };
        let calls = Calls::default();
        let reached = match open(deps, &cloud, Some(&calls)).await {
            Ok(reached) => reached,
            Err(Break::Failed(f)) => {
                tracing::warn!(cloud = cloud.name, error = f.message, "pending snapshots cannot be looked at");
                looked.waiting += rows.len();
                continue;
            }
            Err(other) => return Err(other),
        };
        for row in rows {
            // What was called before for others is theirs.
            calls.take();
            match Box::pin(one(deps, &reached, &calls, &row)).await {
                Ok(Standing::Ready) => looked.completed += 1,
                Ok(Standing::Failed(_)) => looked.failed += 1,
                Ok(Standing::Waiting(_)) => looked.waiting += 1,
                Err(Break::Failed(f)) => {
                    tracing::warn!(snapshot = row.label, error = f.message, "a pending snapshot could not be looked at");
                    looked.waiting += 1;
                }
                Err(other) => return Err(other),
            }
        }
    }
    if looked.completed + looked.failed > 0 {
        wake::queue();
    }
    Ok(looked)
}

async fn one(deps: &Deps, cloud: &Cloud, calls: &Calls, row: &SnapshotRow) -> Result<Standing> {
    let Some(mut what) = row.native.as_ref().map(|n| n.0.clone()) else { return Ok(Standing::Waiting(String::new())) };
    let run = match row.run_id {
        Some(id) => runs::find(deps.db.read().await?.tx(), RunId(id)).await?,
        None => None,
    };
    // Its run may be about to write the same.
    if run.as_ref().is_some_and(|r| r.state().is_ok_and(domain::run::RunState::is_live)) {
        return Ok(Standing::Waiting(String::new()));
    }
    let standing = pieces::look(cloud, &mut what).await.map_err(failed)?;
    match &standing {
        Standing::Waiting(waiting) if Timestamp(row.taken_at).plus_secs(WITHIN_H * 3600) < deps.clock.now() => {
            // Its pieces stay, as orphans: the cloud may be at work on them.
            let why = format!("the cloud has not finished it in {WITHIN_H} h: {waiting}; delete it there");
            give_up(deps, row, run.as_ref(), &why, calls).await?;
            return Ok(Standing::Failed(why));
        }
        Standing::Waiting(_) => {}
        Standing::Ready => {
            if complete(deps, row, run.as_ref(), &what, calls).await?
                && let Some(run) = &run
            {
                Box::pin(clean_up(deps, cloud, row, run, &what, calls)).await?;
            }
        }
        Standing::Failed(why) => {
            // What is left of it is nobody's copy.
            let left = match pieces::delete(cloud, &what).await {
                Ok(()) => String::new(),
                Err(e) => format!("; what is left of it could not be deleted: {e}"),
            };
            give_up(deps, row, run.as_ref(), &format!("the cloud did not finish it: {why}{left}"), calls).await?;
        }
    }
    Ok(standing)
}

fn event(at: Timestamp, level: &'static str, message: String) -> NewRunEvent {
    NewRunEvent { at, kind: "log", level, message, detail: None }
}

fn params(run: &RunRow) -> Option<InstanceSnapshotParams> {
    run.params().ok()
}

/// Records that it is there; `false` where another process was first.
async fn complete(deps: &Deps, row: &SnapshotRow, run: Option<&RunRow>, what: &NativeSnapshot, calls: &Calls) -> Result<bool> {
    let now = deps.clock.now();
    let mut t = deps.db.begin_audited().await?;
    if !snapshots::complete(t.tx(), row.id(), what, what.bytes()).await? {
        return Ok(false);
    }
    if let Some(item) = row.item_id.map(ItemId) {
        items::set_snapshot(t.tx(), item, row.id(), Timestamp(row.taken_at), what.bytes()).await?;
        items::recount(t.tx(), item).await?;
    }
    if let Some(id) = row.service_id.map(ServiceId) {
        let rpo_s = services::find(t.tx(), id).await?.and_then(|s| s.rpo_s);
        services::count_items(t.tx(), id, rpo_s.map_or(Timestamp(0), |s| now.plus_secs(-s))).await?;
    }
    let ctx = Ctx { clock: deps.clock.clone(), ..Ctx::new(deps.db.clone(), Actor::system(), "snapshot") };
    let copy = match Box::pin(ops::offsite::follow_in(&ctx, &mut t, row.id())).await {
        Ok(None) => None,
        Ok(Some(run)) => Some(event(now, "info", format!("the offsite copy is the run {run}"))),
        Err(e @ OpsError::Internal(_)) => return Err(e.into()),
        Err(e) => Some(event(now, "warn", format!("the offsite copy could not be queued: {e}"))),
    };
    if let Some(run) = run {
        let text = words::there(what);
        let mut events = calls.take();
        events.push(event(now, "info", text.clone()));
        events.extend(copy);
        if let Some(p) = params(run)
            && mails::queue(t.tx(), run, Went::Well, &p.parameters.to_addr_success, text, now).await?.is_none()
        {
            events.push(event(now, "warn", NO_CHANNEL.to_owned()));
        }
        for e in &events {
            run_events::add_unleased(t.tx(), run.id(), e).await?;
        }
    }
    t.commit().await?;
    tracing::info!(snapshot = row.label, "a snapshot that a cloud had accepted is there");
    Ok(true)
}

/// Deletes what is beyond `max_snapshots` now. What cannot be deleted is tried again after the next snapshot.
async fn clean_up(deps: &Deps, cloud: &Cloud, row: &SnapshotRow, run: &RunRow, what: &NativeSnapshot, calls: &Calls) -> Result<()> {
    let (Some(p), Some(item), Some(service)) = (params(run), row.item_id, row.service_id) else { return Ok(()) };
    let (max, Ok(pattern)) = (p.parameters.max_snapshots, Pattern::parse(&p.parameters.pattern)) else { return Ok(()) };
    if max == 0 {
        return Ok(());
    }
    let order = tidy::Order {
        item: ItemId(item),
        service: ServiceId(service),
        repository: RepositoryId(row.repository_id),
        instance: what.server.name.clone(),
        pattern,
        max,
    };
    let pen = Pen::Beside(deps, run.id());
    let done = tidy::tidy(pen, cloud, &order).await;
    let mut events = calls.take();
    match &done {
        Ok(out) => events.push(event(deps.clock.now(), if out.left.is_empty() { "info" } else { "warn" }, words::tidied(out))),
        Err(Break::Failed(f)) => events.push(event(deps.clock.now(), "warn", format!("not everything was cleaned up: {}", f.message))),
        Err(_) => {}
    }
    let t = pen.begin(&events).await?;
    pen.commit(t).await?;
    match done {
        Ok(_) | Err(Break::Failed(_)) => Ok(()),
        Err(other) => Err(other),
    }
}

/// Records that it will never be there.
async fn give_up(deps: &Deps, row: &SnapshotRow, run: Option<&RunRow>, why: &str, calls: &Calls) -> Result<()> {
    let now = deps.clock.now();
    let mut t = deps.db.begin().await?;
    if !native::vanished(t.tx(), row.id(), why, now).await? {
        return Ok(());
    }
    if let Some(item) = row.item_id.map(ItemId) {
        items::recount(t.tx(), item).await?;
    }
    if let Some(run) = run {
        let mut events = calls.take();
        events.push(event(now, "error", format!("{}: {why}", row.label)));
        if let Some(p) = params(run)
            && mails::queue(t.tx(), run, Went::Wrong, &p.parameters.to_addr_error, format!("{}: {why}", row.label), now).await?.is_none()
        {
            events.push(event(now, "warn", NO_CHANNEL.to_owned()));
        }
        for e in &events {
            run_events::add_unleased(t.tx(), run.id(), e).await?;
        }
    }
    t.commit().await?;
    tracing::warn!(snapshot = row.label, why, "a snapshot that a cloud had accepted will not be there");
    Ok(())
}
