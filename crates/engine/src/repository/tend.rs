//! Small services: are a run's snapshots there, clearing locks, and who can open a repository.
//!
//! Lives here: the jobs `find` and `unlock`, and what a page shows of keys and locks. May not: deciding to clear a lock.
//! Locks are removed by their names alone. That needs no key, whose derivation costs more than all the rest; to say that
//! a snapshot is gone needs the right repository, so that one is opened.

use std::collections::HashSet;

use domain::units::Timestamp;
use object_store::path::Path;
use serde::Deserialize;
use tokio::runtime::Handle;

use super::{
    Backend, LockRecord, Repository, key_of,
    storage::{self, Location},
};
use crate::{
    Ctx, EngineError, ErrorKind, Result,
    job::{Access, FindJob, FindOutcome, UnlockJob, UnlockOutcome},
};

/// Keys that are shown.
const MOST_KEYS: usize = 200;
/// A file larger than this is no key.
const LARGEST_KEY: u64 = 1 << 16;

/// A key as its file says in clear: who added it. What it opens is sealed under its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    pub id: String,
    pub user: String,
    pub host: String,
    pub created_at: Option<Timestamp>,
    /// Whether it is the one that the password of `access` opens.
    pub own: bool,
}

/// Who can open a repository, and who works on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// The repository's own id.
    pub id: String,
    /// Oldest first.
    pub keys: Vec<KeyRecord>,
    /// Oldest first.
    pub locks: Vec<LockRecord>,
}

/// Lists keys and locks.
///
/// # Errors
/// As [`Repository::open`].
pub fn inspect(access: &Access, rt: &Handle) -> Result<Inspection> {
    let repository = Repository::open(access, rt)?;
    let own = key_of(access, rt)?.id;
    let mut keys = Vec::new();
    for (id, size) in repository.backend.list_ids("keys")?.into_iter().take(MOST_KEYS) {
        let id = id.to_hex().as_str().to_owned();
        if size > LARGEST_KEY {
            continue;
        }
        // One that vanishes between the list and the read was removed.
        let bytes = match repository.backend.read(&Path::from(format!("keys/{id}"))) {
            Err(e) if e.kind == ErrorKind::NotFound => continue,
            other => other?,
        };
        let file: KeyFile = serde_json::from_slice(&bytes).unwrap_or_default();
        let created_at = file.created.parse::<jiff::Timestamp>().ok().map(|t| Timestamp(t.as_microsecond()));
        keys.push(KeyRecord { own: id == own, id, user: file.username, host: file.hostname, created_at });
    }
    keys.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    Ok(Inspection { id: repository.id().to_owned(), keys, locks: repository.locks()? })
}

/// The part of a key's file that is no secret ("Keys, Encryption and MAC" of restic's design document).
#[derive(Debug, Default, Deserialize)]
struct KeyFile {
    #[serde(default)]
    created: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    hostname: String,
}

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
