//! Small services to a run: are its snapshots there, and clearing the locks that its killed child left.
//!
//! Lives here: the jobs `find` and `unlock`. May not: locks of others.

use std::collections::HashSet;

use super::Repository;
use crate::{
    Ctx, Result,
    job::{FindJob, FindOutcome, UnlockJob, UnlockOutcome},
};

/// Looks whether the snapshots are in the repository.
pub fn find(job: &FindJob, ctx: &Ctx) -> Result<FindOutcome> {
    let there: HashSet<String> = Repository::open(&job.access, &ctx.rt)?.snapshot_ids()?.into_iter().collect();
    Ok(FindOutcome { missing: job.snapshots.iter().filter(|id| !there.contains(*id)).cloned().collect() })
}

/// Removes the named locks where they are still there.
pub fn unlock(job: &UnlockJob, ctx: &Ctx) -> Result<UnlockOutcome> {
    let repository = Repository::open(&job.access, &ctx.rt)?;
    let there: HashSet<String> = repository.locks()?.into_iter().map(|l| l.id).collect();
    let mut removed = 0;
    for id in job.locks.iter().filter(|id| there.contains(*id)) {
        ctx.check()?;
        repository.remove_lock(id)?;
        removed += 1;
    }
    Ok(UnlockOutcome { removed })
}
