//! A native snapshot of one instance, which stays in its cloud (R22).
//!
//! Lives here: the row of steps `identify`, `stop`, `detect`, `snapshot`, `poll`, `record`, `clean_up`, `start`,
//! `notify`, and what the whole gives. May not: the APIs (`engine::sources::openstack`).
//! Invariants: whatever becomes of the run, an instance that it stopped runs again at its end, or that is said aloud;
//! what it made in the cloud is recorded, deleted again, or named. That it is about to stop an instance is written
//! before the call, so that whoever takes the run over knows who stopped it.
//! Where an earlier run ended without having seen its instance run again, the next one starts it.
//! A step waits for the cloud itself instead of leaving the run to a later attempt: nobody knows when
//! that would come.

mod clean_up;
mod detect;
mod identify;
mod notify;
mod power;
mod record;
mod take;
pub mod words;

pub use self::{
    identify::Found,
    notify::{Notify, tell_failure},
    power::{Start, Stop},
    record::Record,
    take::{Poll, Take},
};
use domain::{
    id::{RepositoryId, RunId, SnapshotId, SourceId},
    instance::Pattern,
    run::RunEvent,
    work::{InstanceSnapshotParams, InstanceSnapshotResult},
};
use ops::{Actor, Ctx};

use self::{clean_up::CleanUp, detect::Detect, identify::Identify};
use super::given;
use crate::{
    Deps,
    clouds::{link::Reach, tidy::Tidied},
    exec::{Cx, Ended, Exec},
    step::{Result, Step, permanent},
};

pub const STEPS: &[&str] = &[Identify::NAME, Stop::NAME, Detect::NAME, Take::NAME, Poll::NAME, Record::NAME, CleanUp::NAME, Start::NAME, Notify::NAME];

/// When this is done, the snapshot stands.
pub const RECORDED: &str = Record::NAME;

pub async fn run(exec: &mut Exec) -> Result<Ended> {
    let source = given(exec.cx.run.source_id, SourceId, "source")?;
    let repository = given(exec.cx.run.repository_id, RepositoryId, "repository")?;
    let params: InstanceSnapshotParams = exec.cx.run.params()?;
    let asked = params.parameters.clone();
    let pattern = Pattern::parse(&asked.pattern).map_err(|e| permanent("invalid", format!("pattern {e}")))?;
    let reach = Reach::new(repository);
    let found = exec.step(Identify { reach: reach.clone(), source, params, pattern: pattern.clone() }).await?;
    let server = found.server.id.clone();
    let stopped = if found.owed.is_some() || asked.instance_stop && found.server.status == "ACTIVE" {
        exec.step(Stop { reach: reach.clone(), server: server.clone(), name: found.server.name.clone(), owed: found.owed.clone() }).await?.ours
    } else if !asked.instance_stop {
        exec.skip(Stop::NAME, "instance_stop is off: the instance goes on running").await?;
        false
    } else {
        exec.skip(Stop::NAME, &format!("the instance did not run, it was {}", found.server.status)).await?;
        false
    };
    let seen = exec.step(Detect { reach: reach.clone(), server: server.clone() }).await?;
    let taken = exec.step(Take { reach: reach.clone(), name: found.name.clone(), at: found.at, server: seen }).await?;
    let snapshot = if asked.wait {
        exec.step(Poll { reach: reach.clone(), taken }).await?
    } else {
        exec.skip(Poll::NAME, "wait is off: the record is completed when the cloud has finished").await?;
        taken
    };
    let record = Record { reach: reach.clone(), source, found: found.clone(), snapshot: snapshot.clone(), pending: !asked.wait };
    let recorded = exec.step(record).await?;
    let tidied = if asked.max_snapshots == 0 {
        exec.skip(CleanUp::NAME, "max_snapshots is 0: all are kept").await?;
        Tidied::default()
    } else if !asked.wait {
        exec.skip(CleanUp::NAME, "wait is off: old snapshots go when the new one is really there").await?;
        Tidied::default()
    } else {
        let (instance, item, service) = (found.server.name.clone(), recorded.item, recorded.service);
        exec.step(CleanUp { reach: reach.clone(), item, service, instance, pattern, max: asked.max_snapshots }).await?
    };
    let stopped_s = if stopped {
        exec.step(Start { reach: reach.clone(), server, name: found.server.name.clone() }).await?.stopped_s
    } else {
        exec.skip(Start::NAME, "this run has not stopped the instance").await?;
        None
    };
    let result = InstanceSnapshotResult {
        snapshot: Some(recorded.snapshot.to_string()),
        name: found.name.clone(),
        boot: snapshot.server.boot,
        bytes: if asked.wait { snapshot.bytes() } else { 0 },
        stopped_s,
        deleted: tidied.deleted.clone(),
        kept: tidied.kept.clone(),
        left: tidied.left.clone(),
        pending: !asked.wait,
    };
    if asked.to_addr_success.is_empty() {
        exec.skip(Notify::NAME, "to_addr_success names nobody").await?;
    } else if !asked.wait {
        exec.skip(Notify::NAME, "wait is off: the mail leaves when the snapshot is really there").await?;
    } else {
        exec.step(Notify { to: asked.to_addr_success, text: words::all(&snapshot, &result) }).await?;
    }
    if asked.wait {
        offsite(&exec.cx, recorded.snapshot).await?;
    }
    Ok(Ended::new(RunEvent::Succeed, &result, None))
}

/// Queues the copy that the source asks for. That it could not be queued is no failure of the snapshot.
async fn offsite(cx: &Cx, snapshot: SnapshotId) -> Result<()> {
    let (level, words) = match copy_offsite(&cx.deps, snapshot).await {
        Ok(None) => return Ok(()),
        Ok(Some(run)) => ("info", format!("the offsite copy is the run {run}")),
        Err(e) => ("warn", format!("the offsite copy could not be queued: {e}")),
    };
    cx.log(level, words).await
}

/// Queues the copy of a snapshot that is there, where its source asks for one.
pub async fn copy_offsite(deps: &Deps, snapshot: SnapshotId) -> ops::Result<Option<RunId>> {
    let ctx = Ctx { clock: deps.clock.clone(), ..Ctx::new(deps.db.clone(), Actor::system(), "snapshot") };
    ops::offsite::follow(&ctx, snapshot).await
}
