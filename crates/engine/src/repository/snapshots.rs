//! Snapshots as records.
//!
//! Lives here: reading snapshot files and turning them into [`SnapshotRecord`]. May not: choosing among them.

use domain::{naming::escape, units::Timestamp};
use rustic_core::{
    FileType,
    repofile::{SnapshotFile, SnapshotId},
};

use super::{Notes, Repository, from_rustic};
use crate::{EngineError, ErrorKind, Result, job::SnapshotRecord};

impl Repository {
    /// All snapshots, oldest first. Those that restic or rustic wrote are among them.
    pub fn snapshots(&self) -> Result<Vec<SnapshotRecord>> {
        let mut all = self.handle()?.get_all_snapshots().map_err(from_rustic)?;
        all.sort_by(|a, b| a.time.timestamp().cmp(&b.time.timestamp()).then_with(|| a.id.cmp(&b.id)));
        Ok(all.iter().map(record).collect())
    }

    /// One snapshot by its full id.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` where `id` is not 64 hexadecimal digits.
    pub fn snapshot(&self, id: &str) -> Result<SnapshotFile> {
        let id = snapshot_id(id)?;
        let mut file: SnapshotFile = self.handle()?.get_file(&id).map_err(from_rustic)?;
        file.id = id;
        Ok(file)
    }

    /// Saves a snapshot file and gives it its id.
    pub(super) fn save_snapshot(&self, file: &mut SnapshotFile) -> Result<()> {
        file.id = SnapshotId::default();
        let json = serde_json::to_vec(file).map_err(|e| EngineError::with_source(ErrorKind::Internal, "a snapshot cannot be written as JSON", e))?;
        let sealed = self.seal(&json)?;
        file.id = snapshot_id(&sealed.id)?;
        self.write_sealed(FileType::Snapshot.dirname(), sealed)
    }

    /// Removes a snapshot file. What only it referred to stays until the next prune.
    pub(super) fn remove_snapshot(&self, id: SnapshotId) -> Result<()> {
        self.backend.delete(&object_store::path::Path::from(format!("snapshots/{}", id.to_hex().as_str())))
    }

    /// Reads snapshot files; those that are gone or cannot be read are left out with a warning in the log.
    pub(super) fn read_snapshots(&self, ids: Vec<SnapshotId>) -> Result<Vec<SnapshotFile>> {
        let mut all = Vec::with_capacity(ids.len());
        for read in self.handle()?.stream_files_list::<SnapshotFile>(ids).map_err(from_rustic)? {
            match read {
                Ok((id, mut file)) => {
                    file.id = id;
                    all.push(file);
                }
                Err(e) => tracing::warn!("a snapshot cannot be read: {}", from_rustic(e)),
            }
        }
        Ok(all)
    }

    /// The ids of all snapshots, without reading them.
    pub fn snapshot_ids(&self) -> Result<Vec<String>> {
        let ids = self.backend.list_ids(FileType::Snapshot.dirname())?;
        Ok(ids.into_iter().map(|(id, _)| id.to_hex().to_string()).collect())
    }
}

pub(super) fn snapshot_id(text: &str) -> Result<SnapshotId> {
    let bad = || EngineError::new(ErrorKind::Invalid, format!("snapshot {}: give its full id of 64 hexadecimal digits", escape(text.as_bytes())));
    if text.len() == 64 { text.parse().map_err(|_| bad()) } else { Err(bad()) }
}

/// A snapshot file as a record. Counts that another program did not write are zero.
pub fn record(file: &SnapshotFile) -> SnapshotRecord {
    let s = file.summary.as_ref();
    let notes = Notes::of(file);
    let count = |pick: fn(&rustic_core::repofile::SnapshotSummary) -> u64| s.map_or(0, |s| i64::try_from(pick(s)).unwrap_or(i64::MAX));
    SnapshotRecord {
        id: file.id.to_hex().to_string(),
        tree: file.tree.to_hex().to_string(),
        parent: file.parent.map(|p| p.to_hex().to_string()),
        taken_at: Timestamp(file.time.timestamp().as_microsecond()),
        host: file.hostname.clone(),
        label: file.label.clone(),
        paths: file.paths.iter().cloned().collect(),
        tags: file.tags.iter().cloned().collect(),
        files: count(|s| s.total_files_processed),
        dirs: count(|s| s.total_dirs_processed),
        bytes: count(|s| s.total_bytes_processed),
        bytes_added: count(|s| s.data_added_packed),
        files_added: count(|s| s.files_new),
        files_changed: count(|s| s.files_changed),
        files_removed: i64::try_from(notes.files_removed).unwrap_or(i64::MAX),
        errors: notes.problems_total,
        measure: notes.measure,
    }
}
