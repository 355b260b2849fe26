//! Small services to a run: are its snapshots there, and clearing the locks that its killed child left.
//!
//! Lives here: the jobs `find` and `unlock`. May not: locks of others.
//! Locks are removed by their names alone. That needs no key, whose derivation costs more than all the rest; to say that
//! a snapshot is gone needs the right repository, so that one is opened.

use std::collections::HashSet;

use object_store::path::Path;

use super::{
    Backend, Repository,
    storage::{self, Location},
};
use crate::{
    Ctx, EngineError, ErrorKind, Result,
    job::{Access, FindJob, FindOutcome, UnlockJob, UnlockOutcome},
};

/// Looks whether the snapshots are in the repository.
pub fn find(job: &FindJob, ctx: &Ctx) -> Result<FindOutcome> {
    let there = names(&Repository::open(&job.access, &ctx.rt)?.backend, "snapshots")?;
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
    if let Ok(Location::Folder(folder)) = Location::parse(&job.access.location) {
        half_written(&folder.join("locks"), &job.locks)?;
    }
    Ok(UnlockOutcome { removed })
}

/// Removes what is left of locks whose writer was killed while it wrote: a folder's storage writes `ID#1` and renames it.
fn half_written(folder: &std::path::Path, locks: &[String]) -> Result<(), EngineError> {
    let failed = |e: std::io::Error| EngineError::with_source(ErrorKind::Unavailable, format!("{} cannot be tidied", folder.display()), e);
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(failed)?,
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let of = name.to_str().and_then(|n| n.split_once('#')).map(|(id, _)| id);
        if of.is_some_and(|id| locks.iter().any(|l| l == id)) {
            match std::fs::remove_file(entry.path()) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
                _ => {}
            }
        }
    }
    Ok(())
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
