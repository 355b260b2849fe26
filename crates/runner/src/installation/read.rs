//! Reading a copy: finding it, fetching it from its repository, bringing its records into a database.
//!
//! Lives here: what a rebuild and a restore test of Holdfast itself share. May not: which database, what follows.

use std::path::{Path, PathBuf};

use domain::{restore::ConflictMode, units::Timestamp};
use engine::job::{Access, CopiesJob, Event, Failure, Job, Outcome, RestoreItem, RestoreJob, STAGING_PREFIX, SnapshotRecord};
use ops::sealing::Sealed;
use store::{
    Tx, audit, db,
    portable::{self, Lost},
};
use tokio::sync::{mpsc, watch};

use super::{FORMAT, MANIFEST, Manifest, SECRETS, TABLES};
use crate::{Told, Work};

/// The largest manifest that is read.
const LARGEST: u64 = 16 << 20;

/// Carries out a job that belongs to no run. Its events are passed over.
pub async fn lone(work: &dyn Work, label: &str, job: Job) -> Result<Outcome, Failure> {
    let (sender, mut events) = mpsc::channel::<Told>(64);
    let (_stop, stopped) = watch::channel(false);
    let drain = async {
        while let Some(told) = events.recv().await {
            if let Event::Log { message, .. } = &told.event {
                tracing::info!("{message}");
            }
            if let Some(recorded) = told.recorded {
                recorded.send(()).ok();
            }
        }
    };
    let (outcome, ()) = tokio::join!(work.carry_out(label, job, sender, stopped), drain);
    outcome
}

/// The newest copy in a repository that is not younger than `at`, and the repository's own id.
pub async fn newest(work: &dyn Work, label: &str, access: Access, at: Timestamp) -> Result<(Option<SnapshotRecord>, String), Failure> {
    match lone(work, label, Job::Copies(CopiesJob { access, newest_before: Some(at) })).await? {
        Outcome::Copies(found) => Ok((found.copies.into_iter().next_back(), found.repository)),
        other => Err(unexpected(&other)),
    }
}

/// The job that puts the files of a copy into `folder`.
pub fn fetch(access: Access, copy: &str, folder: PathBuf, mark: &str) -> Job {
    let item = RestoreItem { name: domain::installation::INSTALLATION.to_owned(), snapshot: copy.to_owned(), paths: Vec::new(), target: folder };
    Job::Restore(RestoreJob {
        access,
        items: vec![item],
        conflict: ConflictMode::Fail,
        preview: false,
        staging: format!("{STAGING_PREFIX}{mark}"),
        verify: true,
    })
}

pub fn unexpected(outcome: &Outcome) -> Failure {
    Failure { kind: engine::ErrorKind::Internal, message: format!("the engine answered with something else: {outcome:?}"), permanent: true }
}

/// The manifest of a copy that was fetched.
///
/// # Errors
/// Where it is missing, no manifest, or of a later version of Holdfast.
pub async fn manifest(folder: &Path) -> Result<Manifest, Lost> {
    let manifest: Manifest = json(folder, MANIFEST).await?.ok_or_else(|| damaged(MANIFEST, "it is not there"))?;
    if manifest.format > FORMAT || manifest.schema > db::newest_migration() {
        return Err(Lost::Copy(format!(
            "this copy was made by Holdfast {}, which is newer than this program; bring it back with that version or a later one",
            manifest.holdfast
        )));
    }
    Ok(manifest)
}

/// The sealed secrets of a copy, where it holds any.
pub async fn sealed(folder: &Path) -> Result<Option<Sealed>, Lost> {
    json(folder, SECRETS).await
}

async fn json<T: serde::de::DeserializeOwned>(folder: &Path, name: &str) -> Result<Option<T>, Lost> {
    let path = folder.join(name);
    match tokio::fs::metadata(&path).await {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(damaged(name, &e.to_string())),
        Ok(meta) if meta.len() > LARGEST => return Err(damaged(name, "it is too large")),
        Ok(_) => {}
    }
    let bytes = tokio::fs::read(&path).await.map_err(|e| damaged(name, &e.to_string()))?;
    serde_json::from_slice(&bytes).map(Some).map_err(|e| damaged(name, &e.to_string()))
}

fn damaged(name: &str, why: &str) -> Lost {
    Lost::Copy(format!("{name}: {why}; the copy is damaged, choose an older one with --at"))
}

/// Brings the records of a copy into an empty database of the copy's schema, and proves that the audit chain is
/// whole and ends where the manifest says. The number of rows.
pub async fn records(mut tx: Tx<'_>, folder: &Path, manifest: &Manifest) -> Result<i64, Lost> {
    let rows = portable::restore(tx.by_ref(), &folder.join(TABLES), &manifest.tables).await?;
    let (seq, hash) = match audit::walk(tx).await? {
        Ok(end) => end,
        Err(broken) => return Err(Lost::Copy(format!("the audit chain of the copy is broken: {broken}"))),
    };
    if seq != manifest.audit_seq {
        return Err(Lost::Copy(format!("the audit chain of the copy ends with event {seq}, and should with {}", manifest.audit_seq)));
    }
    if hash != manifest.audit_hash {
        return Err(Lost::Copy("the last event of the copy's audit chain is not the one that its manifest names".to_owned()));
    }
    Ok(rows)
}
