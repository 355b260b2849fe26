//! What Holdfast writes into a snapshot beside restic's own fields.
//!
//! Lives here: the notes and their place, the field `description`, which restic ignores. May not: anything a restore
//! by restic alone would need.

use domain::guard::Measure;
use rustic_core::repofile::{Metadata, SnapshotFile};
use serde::{Deserialize, Serialize};

use crate::job::Problem;

/// As many problems are kept in a snapshot; the run keeps more.
const KEPT: usize = 100;

/// Notes of one item's snapshot.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Notes {
    /// Owner, mode, times and attributes of the item's own folder, whose content is the snapshot's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<Metadata>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    #[serde(default)]
    pub problems_total: i64,
    #[serde(default)]
    pub files_removed: u64,
    /// What the guard judges: an adopted snapshot brings its part of the history with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure: Option<Measure>,
}

impl Notes {
    /// The notes of a snapshot; empty ones where another program wrote it.
    pub fn of(file: &SnapshotFile) -> Self {
        file.description.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    pub(super) fn write(mut self, into: &mut SnapshotFile) {
        self.problems.truncate(KEPT);
        into.description = serde_json::to_string(&self).ok();
    }
}
