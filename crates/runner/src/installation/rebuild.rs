//! Making an installation of a copy: `holdfast rebuild` (R62).
//!
//! Lives here: the order of it. May not: asking for passwords, printing.
//! Invariant: until all is there, nothing is. On SQLite the database is built beside and moved into place last; on
//! PostgreSQL the records come in one transaction. Whatever interrupts it, the same command can be given again.

use std::path::{Path, PathBuf};

use domain::{id::RunId, installation::RecoveryKey, units::Timestamp};
use engine::{
    ErrorKind,
    job::{Access, Failure, SnapshotRecord},
};
use ops::sealing;
use serde_json::json;
use store::{
    Clock, Db, StoreError,
    audit::{self, NewEvent},
    portable::{self, Lost},
};

use super::{CONFIGURATION, Manifest, read};
use crate::{Work, files};

/// The folder in the data folder that a rebuild works in.
const FOLDER: &str = "rebuild";
/// Marks the child processes.
const LABEL: &str = "rebuild";
const DATABASE: &str = "holdfast.db";
const REBUILT: &str = "configuration.rebuilt.yaml";
/// What may be in the data folder: what an interrupted rebuild leaves. A key that is there has to be the same one.
const LEFT_BY_A_REBUILD: [&str; 4] = [FOLDER, REBUILT, "server.key", "server.partial"];

/// What is to be brought back, from where, to where.
pub struct Request {
    pub access: Access,
    /// The newest copy that is not younger than this.
    pub at: Timestamp,
    pub recovery_key: Option<RecoveryKey>,
    /// Go on without the sealed secrets where no recovery key is at hand.
    pub without_secrets: bool,
    /// The data folder. It may hold no installation.
    pub data: PathBuf,
    /// A PostgreSQL; `None` for SQLite in the data folder.
    pub postgres: Option<String>,
    /// Whose word the audit log keeps.
    pub actor: String,
}

/// What was brought back.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    pub copy: SnapshotRecord,
    /// The repository's own id.
    pub repository: String,
    pub manifest: Manifest,
    pub rows: i64,
    /// Runs that were live when the copy was made.
    pub ended: Vec<RunId>,
    /// Secrets that were opened and written.
    pub secrets: Vec<String>,
    /// Whether there were secrets that nobody opened.
    pub left_sealed: bool,
}

/// Why nothing was brought back.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The command or the place has to be another.
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Failed(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Failure> for Refused {
    fn from(f: Failure) -> Self {
        match f.kind {
            ErrorKind::WrongPassword | ErrorKind::NoRepository | ErrorKind::Invalid | ErrorKind::NotFound => Self::Usage(f.message),
            _ => Self::Failed(f.message),
        }
    }
}

impl From<Lost> for Refused {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Copy(words) => Self::Failed(words),
            Lost::Store(e) => Self::Store(e),
        }
    }
}

/// Brings Holdfast back. Nothing of an earlier installation may be there.
pub async fn rebuild(work: &dyn Work, clock: &Clock, request: Request) -> Result<Rebuilt, Refused> {
    refuse_what_is_there(&request).await?;
    let staging = request.data.join(FOLDER);
    clear(&staging).await?;
    let made = build(work, clock, &request, &staging).await;
    // What failed leaves nothing; what was built has been moved away.
    let cleared = clear(&staging).await;
    let rebuilt = made?;
    cleared?;
    Ok(rebuilt)
}

async fn refuse_what_is_there(request: &Request) -> Result<(), Refused> {
    let io = |e: std::io::Error| Refused::Failed(format!("{} cannot be read: {e}", request.data.display()));
    match std::fs::read_dir(&request.data) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(io(e)),
        Ok(entries) => {
            for entry in entries {
                let name = entry.map_err(io)?.file_name();
                if !LEFT_BY_A_REBUILD.iter().any(|left| name == *left) {
                    return Err(Refused::Usage(format!(
                        "{} is not empty: it holds {}; move that away, or choose an empty folder with --data",
                        request.data.display(),
                        name.to_string_lossy()
                    )));
                }
            }
        }
    }
    match &request.postgres {
        None => Ok(()),
        Some(url) => {
            // Not migrated yet: tables that are not there count as empty.
            let db = Db::open_at(url, 0).await?;
            let empty = portable::is_empty(db.read().await?.tx()).await;
            db.close().await;
            if empty? { Ok(()) } else { Err(Refused::Usage("the database of --database holds an installation already; give an empty one".to_owned())) }
        }
    }
}

async fn clear(staging: &Path) -> Result<(), Refused> {
    let (path, shown) = (staging.to_owned(), staging.display().to_string());
    let removed = tokio::task::spawn_blocking(move || files::remove(&path)).await.map_err(|e| Refused::Failed(e.to_string()))?;
    removed.map_err(|e| Refused::Failed(format!("{shown} cannot be removed: {e}; remove it by hand and begin again")))
}

async fn build(work: &dyn Work, clock: &Clock, request: &Request, staging: &Path) -> Result<Rebuilt, Refused> {
    let (found, repository) = read::newest(work, LABEL, request.access.clone(), request.at).await?;
    let copy = found.ok_or_else(|| {
        Refused::Usage(format!(
            "{} holds no copy of Holdfast itself of that time; one is made after the first backup, and daily. Its data can be had with restic alone",
            request.access.location
        ))
    })?;
    let io = |e: std::io::Error| Refused::Failed(format!("{} cannot be made: {e}", staging.display()));
    files::make(staging).map_err(io)?;
    let folder = staging.join("copy");
    read::lone(work, LABEL, read::fetch(request.access.clone(), &copy.id, folder.clone(), LABEL)).await?;
    let manifest = read::manifest(&folder).await?;
    let (secrets, left_sealed) = open_secrets(request, &folder).await?;

    let now = clock.now();
    let temporary = staging.join(DATABASE);
    let url = request.postgres.clone().unwrap_or_else(|| format!("sqlite://{}", temporary.display()));
    let db = Db::open_at(&url, manifest.schema).await?;
    let brought = records(&db, request, &folder, &manifest, &copy, now).await;
    db.close().await;
    let (rows, ended) = brought?;
    // To the schema of today, as the copy's own installation would have been upgraded.
    Db::open(&url).await?.close().await;

    let mut written = Vec::new();
    for (name, bytes) in secrets {
        write_secret(&request.data.join(&name), &bytes)?;
        written.push(name);
    }
    let configuration = request.data.join(REBUILT);
    std::fs::copy(folder.join(CONFIGURATION), &configuration).map_err(|e| Refused::Failed(format!("{} cannot be written: {e}", configuration.display())))?;
    if request.postgres.is_none() {
        let place = request.data.join(DATABASE);
        std::fs::rename(&temporary, &place).map_err(|e| Refused::Failed(format!("{} cannot be moved into place: {e}", place.display())))?;
        std::fs::File::open(&request.data).and_then(|d| d.sync_all()).map_err(io)?;
    }
    Ok(Rebuilt { copy, repository, manifest, rows, ended, secrets: written, left_sealed })
}

/// The records, what was live, and the word of the rebuild itself: one transaction.
async fn records(db: &Db, request: &Request, folder: &Path, manifest: &Manifest, copy: &SnapshotRecord, now: Timestamp) -> Result<(i64, Vec<RunId>), Refused> {
    let mut t = db.begin_audited().await?;
    if !portable::is_empty(t.tx()).await? {
        return Err(Refused::Usage("the database was filled by somebody else in the meantime; give an empty one".to_owned()));
    }
    let rows = read::records(t.tx(), folder, manifest).await?;
    let ended = portable::close_what_was_live(t.tx(), Some(manifest.run), manifest.made_at, now).await?;
    let event = NewEvent {
        action: "installation.rebuild",
        entity: "installation",
        entity_id: copy.id.clone(),
        before: None,
        after: Some(json!({
            "from": request.access.location,
            "taken_at": copy.taken_at,
            "rows": rows,
            "audit_seq": manifest.audit_seq,
            "made_by": manifest.holdfast,
            "runs_ended": ended,
        })),
    };
    audit::record(t.tx(), now, &request.actor, "rebuild", event).await?;
    t.commit().await?;
    Ok((rows, ended))
}

async fn open_secrets(request: &Request, folder: &Path) -> Result<(Vec<(String, Vec<u8>)>, bool), Refused> {
    let Some(sealed) = read::sealed(folder).await? else { return Ok((Vec::new(), false)) };
    let Some(key) = &request.recovery_key else {
        if request.without_secrets {
            return Ok((Vec::new(), true));
        }
        return Err(Refused::Usage(format!(
            "this copy holds secrets that are sealed under the recovery key {}…; give it with --recovery-key-file, or go on without them with --without-secrets",
            sealing::fingerprint(&sealed.recipient)
        )));
    };
    let mut opened = Vec::new();
    for (name, secret) in sealing::open(&sealed, key).map_err(|e| Refused::Usage(e.to_string()))? {
        if !super::SECRET_FILES.contains(&name.as_str()) {
            return Err(Refused::Failed(format!(
                "the copy holds a secret for a file “{}” that Holdfast does not keep",
                domain::naming::escape(name.as_bytes())
            )));
        }
        let bytes = hex::decode(secret.reveal()).map_err(|_| Refused::Failed(sealing::SealError::Damaged.to_string()))?;
        let path = request.data.join(&name);
        // An interrupted rebuild may have written it; anything else is somebody's key.
        match std::fs::read(&path) {
            Ok(there) if there == bytes => {}
            Ok(_) => return Err(Refused::Usage(format!("{} is there already and is another key; move it away", path.display()))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Refused::Failed(format!("{} cannot be read: {e}", path.display()))),
        }
        opened.push((name, bytes));
    }
    Ok((opened, false))
}

/// Whole or not at all, for its owner alone.
fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), Refused> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let partial = path.with_extension("partial");
    let write = || {
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&partial, path)
    };
    write().map_err(|e| Refused::Failed(format!("{} cannot be written: {e}", path.display())))
}
