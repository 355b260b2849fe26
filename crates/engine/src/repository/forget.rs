//! Removing snapshots, as they were chosen.
//!
//! Lives here: the job `forget`. May not: choosing (that is `domain::retention`), removing data (that is `prune`).
//! A shared lock is enough: data stay until a prune, which needs an exclusive lock and reads the snapshots anew. What
//! reads a snapshot at that moment has its tree already or finds that it is gone.

use std::{
    collections::HashSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use rustic_core::repofile::SnapshotId;

use super::{LockKind, Repository, snapshots::snapshot_id};
use crate::{
    Ctx, EngineError, Result,
    job::{Event, ForgetJob, Progress},
};

/// Removing waits for the storage, so several are removed at once.
const WORKERS: usize = 4;
/// Snapshots told in one event.
const TOLD: usize = 200;

/// Removes the snapshots of a job, and tells of each that it is gone.
///
/// # Errors
/// `Denied` where the storage lets nothing be removed; those of the storage. What was removed by then was told.
pub fn run_forget(job: &ForgetJob, ctx: &Ctx) -> Result<()> {
    let ids: Vec<SnapshotId> = job.snapshots.iter().map(|id| snapshot_id(id)).collect::<Result<_>>()?;
    let repository = Repository::open(&job.access, &ctx.rt)?;
    repository.with_lock(LockKind::Shared, ctx, |held| {
        let there: HashSet<String> = repository.snapshot_ids()?.into_iter().collect();
        let (next, gone) = (AtomicUsize::new(0), Mutex::new(Told { ctx, ids: Vec::new(), done: 0, total: ids.len() }));
        let error: Mutex<Option<EngineError>> = Mutex::new(None);
        let failed = || error.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        std::thread::scope(|scope| {
            for _ in 0..WORKERS.min(ids.len()) {
                scope.spawn(|| {
                    while let Some(id) = ids.get(next.fetch_add(1, Relaxed)).filter(|_| !failed()) {
                        let name = id.to_hex().as_str().to_owned();
                        let removed =
                            ctx.check().and_then(|()| held.check()).and_then(|()| if there.contains(&name) { repository.remove_snapshot(*id) } else { Ok(()) });
                        match removed {
                            Ok(()) => gone.lock().unwrap_or_else(PoisonError::into_inner).add(name),
                            Err(e) => drop(error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e)),
                        }
                    }
                });
            }
        });
        gone.into_inner().unwrap_or_else(PoisonError::into_inner).tell();
        error.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    })
}

/// Those that are gone and not told yet.
struct Told<'a> {
    ctx: &'a Ctx<'a>,
    ids: Vec<String>,
    done: usize,
    total: usize,
}

impl Told<'_> {
    fn add(&mut self, id: String) {
        self.ids.push(id);
        self.done += 1;
        if self.ids.len() == TOLD {
            self.tell();
        }
    }

    fn tell(&mut self) {
        if self.ids.is_empty() {
            return;
        }
        self.ctx.emit(Event::Forgotten { snapshots: std::mem::take(&mut self.ids) });
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.ctx.emit(Event::Progress(Progress { items_done: count(self.done), items_total: count(self.total), ..Progress::default() }));
    }
}
