//! A copy of Holdfast itself into a repository (R62).
//!
//! Lives here: the steps `export`, `capture`, `record`, `tidy`. May not: what a copy holds (`crate::installation`).
//! The records are written to a folder of the data folder and backed up from there like any folder; what the record
//! says of a copy is what the export has written down, and never more than the repository holds.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use domain::{
    id::RepositoryId,
    installation::{self as rules, Copy, INSTALLATION, InstallationBackupParams, InstallationBackupResult},
    run::{ItemState, RunEvent},
    units::{Timestamp, count, size},
};
use engine::job::{BackupJob, DirectoryConfig, DirectoryItems, ForgetJob, ItemResult, Job, Outcome, SnapshotRecord, SourceConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{
    Tx,
    installation::{self, CopyRow, NewCopy},
    repositories,
};

use super::{blocking, given, repository};
use crate::{
    child::{self, Recorder},
    exec::{Cx, Ended, Exec},
    files,
    installation::{Written, write},
    step::{Break, Done, Result, Step, permanent},
};

pub const STEPS: &[&str] = &[Export::NAME, Capture::NAME, Record::NAME, Tidy::NAME];

/// From this step on the work lies in the data folder of one machine.
pub const EXPORT: &str = Export::NAME;

/// The folder in the data folder that copies are written to.
const FOLDER: &str = "installation";
/// Copies that the rule of keeping looks at.
const LOOKED: i64 = 10_000;

pub async fn run(exec: &mut Exec) -> Result<Ended> {
    let id = given(exec.cx.run.repository_id, RepositoryId, "repository")?;
    let params: InstallationBackupParams = exec.cx.run.params()?;
    // One path a repository, whatever run: restic groups snapshots by it.
    let folder = exec.cx.deps.data_dir.join(FOLDER).join(id.to_string()).join(INSTALLATION);
    let written = exec.step(Export { folder: folder.clone(), params }).await?;
    let captured = exec.step(Capture { repository: id, folder: folder.clone() }).await?;
    exec.step(Record { repository: id, written: written.clone(), captured: captured.clone() }).await?;
    let removed = exec.step(Tidy { repository: id, folder }).await?;
    let result = InstallationBackupResult {
        copy: captured.copy.id,
        tables: written.tables,
        rows: written.rows,
        bytes: written.bytes,
        bytes_added: captured.bytes_added,
        audit_seq: written.audit_seq,
        sealed: written.sealed,
        removed,
    };
    Ok(Ended::new(RunEvent::Succeed, &result, None))
}

/// The records as files of the data folder.
struct Export {
    folder: PathBuf,
    params: InstallationBackupParams,
}

#[async_trait::async_trait]
impl Step for Export {
    const NAME: &'static str = "export";
    type Out = Written;

    fn input(&self) -> Value {
        json!({"folder": self.folder, "why": self.params.why})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Written>> {
        let written = write(&cx.deps.db, &cx.deps.data_dir, &self.folder, cx.id(), cx.now()).await?;
        cx.log("info", format!("{}: {} rows of {} tables, {}", self.params.why.words(), count(written.rows), written.tables, size(written.bytes))).await?;
        if !written.left_out.is_empty() {
            let names = written.left_out.join(", ");
            cx.log("warn", format!("{names}: left out, since there is no recovery key to seal it for; make one with holdfast installation recovery-key"))
                .await?;
        }
        Ok(Done::ok(written))
    }

    async fn undo(&self, _cx: &Cx) -> Result<()> {
        remove(self.folder.clone()).await
    }
}

async fn remove(folder: PathBuf) -> Result<()> {
    let shown = folder.display().to_string();
    let gone = blocking(move || files::remove(&folder)).await?;
    gone.map_err(|e| Break::Failed(domain::work::StepFailure::new("denied", format!("{shown} cannot be removed: {e}; remove it by hand"), false)))
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Captured {
    copy: SnapshotRecord,
    root_snapshot: Option<String>,
    bytes_added: i64,
    size_bytes: Option<i64>,
}

struct Capture {
    repository: RepositoryId,
    folder: PathBuf,
}

/// Keeps the snapshot that the pass has saved.
#[derive(Default)]
struct Keep(Mutex<Option<ItemResult>>);

#[async_trait::async_trait]
impl Recorder for Keep {
    async fn item(&self, _cx: &Cx, _tx: Tx<'_>, item: &ItemResult) -> store::Result<()> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(item.clone());
        Ok(())
    }
}

#[async_trait::async_trait]
impl Step for Capture {
    const NAME: &'static str = "capture";
    type Out = Captured;

    fn input(&self) -> Value {
        json!({"repository": self.repository, "folder": self.folder})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Captured>> {
        let row = repository(cx, self.repository).await?;
        let newest = installation::copies(cx.deps.db.read().await?.tx(), self.repository, 1).await?.pop();
        let source = SourceConfig::Directory(DirectoryConfig { path: self.folder.clone(), items: DirectoryItems::Itself, exclude: Vec::new() });
        let make = |access| {
            Job::Backup(BackupJob {
                access,
                // A repository that is gone is an alarm, and nothing to be made anew.
                create: false,
                source,
                host: INSTALLATION.to_owned(),
                service: INSTALLATION.to_owned(),
                source_name: "records".to_owned(),
                run: cx.id().to_string(),
                items: None,
                root_parent: newest.as_ref().and_then(|c| c.root_snapshot.clone()),
                parents: newest.iter().map(|c| (INSTALLATION.to_owned(), c.restic_id.clone())).collect(),
                tags: vec![INSTALLATION.to_owned()],
                patient: false,
            })
        };
        let keep = Keep::default();
        let outcome = match child::job(cx, Self::NAME, &row, make, &keep).await? {
            Outcome::Backup(outcome) => outcome,
            other => return Err(child::unexpected(&other)),
        };
        let item = keep.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        match item {
            Some(ItemResult { state: ItemState::Ok, snapshot: Some(copy), .. }) => {
                Ok(Done::ok(Captured { copy, root_snapshot: outcome.root_snapshot, bytes_added: outcome.bytes_added, size_bytes: outcome.size_bytes }))
            }
            Some(item) => {
                let why = item.problems.first().map_or_else(String::new, |p| format!(": {}: {}", p.path, p.message));
                Err(permanent("items_incomplete", format!("the copy is not complete{why}")))
            }
            None => Err(permanent("internal", "the pass has saved no copy")),
        }
    }
}

struct Record {
    repository: RepositoryId,
    written: Written,
    captured: Captured,
}

#[async_trait::async_trait]
impl Step for Record {
    const NAME: &'static str = "record";
    type Out = ();

    fn input(&self) -> Value {
        json!({"copy": self.captured.copy.id, "rows": self.written.rows})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<()>> {
        let copy = NewCopy {
            repository: self.repository,
            restic_id: &self.captured.copy.id,
            run: cx.id(),
            root_snapshot: self.captured.root_snapshot.as_deref(),
            taken_at: self.captured.copy.taken_at,
            audit_seq: self.written.audit_seq,
            rows: self.written.rows,
            bytes: self.written.bytes,
            sealed: self.written.sealed,
        };
        let mut t = cx.begin(&[]).await?;
        installation::record(t.tx(), &copy).await?;
        repositories::set_size(t.tx(), self.repository, None, self.captured.size_bytes, cx.now()).await?;
        cx.commit(t).await?;
        Ok(Done::ok(()))
    }
}

/// Removes the written files, and the copies that the rule of keeping no longer wants.
struct Tidy {
    repository: RepositoryId,
    folder: PathBuf,
}

#[async_trait::async_trait]
impl Step for Tidy {
    const NAME: &'static str = "tidy";
    type Out = i64;

    fn input(&self) -> Value {
        json!({"repository": self.repository, "folder": self.folder})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<i64>> {
        remove(self.folder.clone()).await?;
        let rows = installation::copies(cx.deps.db.read().await?.tx(), self.repository, LOOKED).await?;
        let seen: Vec<Copy> = rows.iter().map(as_copy).collect();
        let old: Vec<String> = rows.into_iter().zip(rules::kept(&seen)).filter(|(_, keep)| !keep).map(|(row, _)| row.restic_id).collect();
        if old.is_empty() {
            return Ok(Done::ok(0));
        }
        let row = repository(cx, self.repository).await?;
        let copies = old.clone();
        match child::job(cx, Self::NAME, &row, |access| Job::Forget(ForgetJob { access, snapshots: copies }), &child::Nothing).await {
            Ok(Outcome::Forgotten) => {}
            Ok(other) => return Err(child::unexpected(&other)),
            // A storage that lets nothing be deleted protects them; the copy itself is made.
            Err(Break::Failed(f)) if f.code == "denied" => return Ok(Done { out: 0, tolerated: Some(f) }),
            Err(other) => return Err(other),
        }
        let mut t = cx.begin(&[]).await?;
        for id in &old {
            installation::set_gone(t.tx(), self.repository, id, cx.now()).await?;
        }
        cx.commit(t).await?;
        Ok(Done::ok(i64::try_from(old.len()).unwrap_or(i64::MAX)))
    }
}

fn as_copy(row: &CopyRow) -> Copy {
    Copy { taken_at: Timestamp(row.taken_at), proven: row.verdict.as_deref() == Some("passed") }
}
