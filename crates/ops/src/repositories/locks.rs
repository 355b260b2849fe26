//! Who can open a repository and who works on it; clearing a lock that belongs to nobody any more (R13, R14).
//!
//! Lives here: the use cases. May not: restic's format of locks and keys (`engine::repository`).
//! Invariants: a lock of a run that lives is never cleared; what was cleared, whose it was and why is in the audit trail
//! before it is gone.

use domain::{
    id::{RepositoryId, RunId},
    units::{Timestamp, span},
};
use engine::repository::{LockRecord, tend::KeyRecord};
use serde_json::json;
use store::{audit::NewEvent, repositories::RepositoryRow, run_events, runs};

use super::Registry;
use crate::{
    Ctx, OpsError, Result,
    permission::{Action, require},
};

/// The longest reason.
const LONGEST: usize = 500;
/// Live runs that are looked at.
const MOST_RUNS: i64 = 10_000;

/// What a repository says of itself now.
#[derive(Clone, Debug)]
pub struct Inside {
    /// The repository's own id.
    pub id: String,
    pub keys: Vec<KeyRecord>,
    pub locks: Vec<Lock>,
}

/// A lock, and the run of ours that holds it.
#[derive(Clone, Debug)]
pub struct Lock {
    pub record: LockRecord,
    /// A run that is running, and its title.
    pub run: Option<(RunId, String)>,
}

impl Lock {
    /// Whether it can be cleared, be it with a confirmation.
    pub const fn can_be_cleared(&self) -> bool {
        self.run.is_none()
    }

    /// Whether its owner may still be at work, as far as anybody can tell from here.
    pub const fn is_fresh(&self) -> bool {
        self.record.stale.is_none()
    }
}

/// Keys and locks, read from the repository.
///
/// # Errors
/// `NotFound`; `Conflict` in words where the repository cannot be read now.
pub async fn inside(ctx: &Ctx, registry: &Registry, name: &str) -> Result<Inside> {
    require(ctx, Action::Read)?;
    let row = super::row(ctx, name).await?;
    let found = registry.inspect(&row).await?;
    let mut locks = Vec::with_capacity(found.locks.len());
    let ours = if found.locks.is_empty() { Vec::new() } else { held(ctx, row.id()).await? };
    for record in found.locks {
        let run = ours.iter().find(|(lock, ..)| *lock == record.id).map(|(_, run, title)| (*run, title.clone()));
        locks.push(Lock { record, run });
    }
    Ok(Inside { id: found.id, keys: found.keys, locks })
}

/// The locks that running runs have written, with the runs.
async fn held(ctx: &Ctx, repository: RepositoryId) -> Result<Vec<(String, RunId, String)>> {
    let mut read = ctx.db.read().await?;
    let mut held = Vec::new();
    for live in runs::live(read.tx(), MOST_RUNS).await?.into_iter().filter(|r| r.run.state == "running") {
        let id = RunId(live.run.id);
        for detail in run_events::details(read.tx(), id, "lock").await? {
            let of = detail["repository"].as_str().and_then(|r| r.parse().ok());
            if let (Some(lock), true) = (detail["lock"].as_str(), of == Some(repository)) {
                held.push((lock.to_owned(), id, live.run.title.clone()));
            }
        }
    }
    Ok(held)
}

/// Which lock is to go, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clear {
    /// The name of its file: 64 hexadecimal digits.
    pub lock: String,
    pub reason: String,
    /// Somebody has made sure that whoever wrote it no longer works; needed while the lock is fresh.
    pub confirmed: bool,
}

/// Removes a lock from a repository.
///
/// # Errors
/// `NotFound`; `Conflict` where a live run of ours holds it, and where the repository cannot be reached; `Invalid` for a
/// bad reason, and for a fresh lock without the confirmation.
pub async fn clear_lock(ctx: &Ctx, registry: &Registry, name: &str, what: &Clear) -> Result<()> {
    require(ctx, Action::Unlock)?;
    let lock = would_clear(ctx, registry, name, what).await?;
    let row = super::row(ctx, name).await?;
    audit(ctx, &row, &lock.record, what.reason.trim()).await?;
    registry.unlock(&row, what.lock.clone()).await
}

/// The lock that [`clear_lock`] would remove, which refuses the same. Nothing is removed.
pub async fn would_clear(ctx: &Ctx, registry: &Registry, name: &str, what: &Clear) -> Result<Lock> {
    require(ctx, Action::Unlock)?;
    let reason = what.reason.trim();
    if reason.is_empty() {
        return Err(OpsError::invalid("reason", "is empty; say why, for whoever reads this in a year"));
    }
    if reason.chars().count() > LONGEST {
        return Err(OpsError::invalid("reason", format!("is longer than {LONGEST} characters; shorten it")));
    }
    let inside = inside(ctx, registry, name).await?;
    let lock = inside.locks.into_iter().find(|l| l.record.id == what.lock).ok_or_else(|| OpsError::not_found("lock", &what.lock))?;
    if let Some((run, title)) = &lock.run {
        return Err(OpsError::Conflict(format!("this lock is held by {title}, which is running; cancel run {run} and its lock goes with it")));
    }
    if lock.is_fresh() && !what.confirmed {
        let r = &lock.record;
        let age = span(ctx.now().secs_since(r.since).max(0.0));
        let message = format!(
            "{}@{} (process {}) wrote this lock {age} ago and may be at work: to take it away can destroy data; make sure that nothing runs there, then confirm it",
            r.user, r.host, r.pid
        );
        return Err(OpsError::invalid("confirm", message));
    }
    Ok(lock)
}

async fn audit(ctx: &Ctx, row: &RepositoryRow, lock: &LockRecord, reason: &str) -> Result<()> {
    let before = json!({
        "repository": row.name, "lock": lock.id, "host": lock.host, "user": lock.user, "pid": lock.pid, "exclusive": lock.exclusive,
        "since": Timestamp(lock.since.0), "stale": lock.stale.is_some(),
    });
    let event =
        NewEvent { action: "lock.clear", entity: "repository", entity_id: row.id.to_string(), before: Some(before), after: Some(json!({"reason": reason})) };
    let mut t = ctx.db.begin_audited().await?;
    ctx.audit(t.tx(), event).await?;
    t.commit().await?;
    Ok(())
}
