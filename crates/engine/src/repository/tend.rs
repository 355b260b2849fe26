//! Small services to a run: are its snapshots there, and clearing the locks that its killed child left.
//!
//! Lives here: the jobs `find` and `unlock`. May not: locks of others.
//! Files are looked at by their names alone. That needs no key, whose derivation costs more than all the rest.

use std::collections::HashSet;

use object_store::path::Path;

use super::{Backend, storage};
use crate::{
    Ctx, EngineError, ErrorKind, Result,
    job::{Access, FindJob, FindOutcome, UnlockJob, UnlockOutcome},
};

/// Looks whether the snapshots are in the repository.
pub fn find(job: &FindJob, ctx: &Ctx) -> Result<FindOutcome> {
    let there = names(&backend(&job.access, ctx)?, "snapshots")?;
    Ok(FindOutcome { missing: job.snapshots.iter().filter(|id| !there.contains(*id)).cloned().collect() })
}

/// Removes the named locks where they are still there.
pub fn unlock(job: &UnlockJob, ctx: &Ctx) -> Result<UnlockOutcome> {
    let backend = backend(&job.access, ctx)?;
    let there = names(&backend, "locks")?;
    let mut removed = 0;
    for id in job.locks.iter().filter(|id| there.contains(*id)) {
        ctx.check()?;
        backend.delete(&Path::from(format!("locks/{id}")))?;
        removed += 1;
    }
    Ok(UnlockOutcome { removed })
}

fn backend(access: &Access, ctx: &Ctx) -> Result<Backend> {
    let backend = Backend::new(storage::connect(access, false)?, ctx.rt.clone(), access.location.clone());
    if backend.exists(&Path::from("config"))? {
        Ok(backend)
    } else {
        Err(EngineError::new(ErrorKind::NoRepository, format!("{}: there is no repository", access.location)))
    }
}

fn names(backend: &Backend, folder: &str) -> Result<HashSet<String>> {
    Ok(backend.list_ids(folder)?.into_iter().map(|(id, _)| id.to_hex().as_str().to_owned()).collect())
}
