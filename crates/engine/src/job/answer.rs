//! What the child process answers while it works and at its end.
//!
//! Lives here: events, results, the failure of a job. May not: what is asked of the child (`super`).

use domain::{guard::Measure, restore::RestoreCounts, run::ItemState, tamper::Findings, units::Timestamp};
use serde::{Deserialize, Serialize};

use super::{KeepImageOutcome, PackIds, PackMarks, ReturnImageOutcome};
use crate::ErrorKind;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "an event is written out as soon as it is made")]
pub enum Event {
    Log {
        level: Level,
        message: String,
    },
    /// A lock file of this job is about to be written into the repository.
    Locked {
        lock: String,
    },
    /// What was restored to these folders stands, whatever comes now. Said before the last trace of it goes.
    Stands {
        targets: Vec<String>,
    },
    Progress(Progress),
    Item(ItemResult),
    /// What changed in an item since its parent, for the index of names. At most 500 entries a line.
    Changes {
        item: String,
        snapshot: String,
        entries: Vec<Change>,
    },
    /// Snapshots that the repository holds, roots of passes left out. At most 200 a line.
    Snapshots {
        snapshots: Vec<SnapshotRecord>,
    },
    /// restic ids of snapshots that are no longer in the repository. At most 200 a line.
    Forgotten {
        snapshots: Vec<String>,
    },
    /// Packs that a check has read and found whole. At most 1000 a line.
    PacksRead {
        packs: PackIds,
    },
    /// What is known now of when packs were last read: all packs that are there. At most 20,000 a line.
    Packs(PackMarks),
    /// Since when all data of these snapshots is verified; `None` where some of it was never read. At most 200 a line.
    Verified {
        at: Option<Timestamp>,
        snapshots: Vec<String>,
    },
    Done(Outcome),
    Failed(Failure),
}

impl Event {
    /// Whether the job goes on only when this is recorded.
    pub const fn is_awaited(&self) -> bool {
        matches!(self, Self::Locked { .. } | Self::Stands { .. })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// Where a job stands. Sent at most four times a second.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub items_done: i64,
    pub items_total: i64,
    pub files_done: i64,
    pub bytes_done: i64,
    /// Zero while it is not known.
    pub bytes_total: i64,
    pub current: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemResult {
    pub name: String,
    pub state: ItemState,
    pub snapshot: Option<SnapshotRecord>,
    pub files: i64,
    pub bytes: i64,
    pub bytes_added: i64,
    /// Each file that could not be read or written, at most 1000; `problems_total` counts all.
    pub problems: Vec<Problem>,
    pub problems_total: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub path: String,
    pub message: String,
}

/// A snapshot as the repository has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRecord {
    pub id: String,
    pub tree: String,
    pub parent: Option<String>,
    pub taken_at: Timestamp,
    pub host: String,
    pub label: String,
    pub paths: Vec<String>,
    pub tags: Vec<String>,
    pub files: i64,
    pub dirs: i64,
    pub bytes: i64,
    pub bytes_added: i64,
    pub files_added: i64,
    pub files_changed: i64,
    pub files_removed: i64,
    pub errors: i64,
    /// What it changed against its parent, as the guard judges it; `None` where another program wrote it.
    #[serde(default)]
    pub measure: Option<Measure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    Added,
    Changed,
    Removed,
}

/// What kind of thing stands under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    File,
    Dir,
    Symlink,
    Other,
}

impl NodeKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Dir => "dir",
            Self::Symlink => "symlink",
            Self::Other => "other",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub path: String,
    pub change: ChangeKind,
    pub node: NodeKind,
    pub bytes: i64,
    pub modified_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    Backup(BackupOutcome),
    Restore(RestoreOutcome),
    Unwound(UnwindOutcome),
    Compared(CompareOutcome),
    Checked(CheckOutcome),
    Forgotten,
    Pruned(PruneOutcome),
    Copies(CopiesOutcome),
    Found(FindOutcome),
    Unlocked(UnlockOutcome),
    TamperTested(Findings),
    KeptImage(Box<KeepImageOutcome>),
    ReturnedImage(Box<ReturnImageOutcome>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupOutcome {
    /// The repository's own id, as in its config.
    pub repository: String,
    /// restic id of the root snapshot: the parent of the next pass. `None` where only some items were read.
    pub root_snapshot: Option<String>,
    /// Every item that the source lists now, also those this pass did not read.
    pub items_present: Vec<String>,
    pub items: i64,
    pub bytes_read: i64,
    pub bytes_added: i64,
    pub size_bytes: Option<i64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreOutcome {
    pub counts: RestoreCounts,
    pub items: i64,
    pub files: i64,
    pub dirs: i64,
    pub bytes: i64,
    /// Paths at the target that differ and stop a restore that may not replace anything. They count as skipped too.
    #[serde(default)]
    pub conflicts: i64,
    /// The restore stands, but staging folders are left: unwinding the job removes them.
    #[serde(default)]
    pub uncleared: bool,
    /// At most 1000 paths that will be written or replaced, for the preview.
    pub sample: Vec<PlannedPath>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedPath {
    pub path: String,
    pub action: PlannedAction,
    pub bytes: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlannedAction {
    Create,
    Replace,
    Same,
    Skip,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnwindOutcome {
    /// Files that were put back to where they had been.
    pub put_back: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompareOutcome {
    pub items: i64,
    pub files: i64,
    pub dirs: i64,
    pub bytes: i64,
    /// At most 1000 differences; `differences_total` counts all.
    pub differences: Vec<Problem>,
    pub differences_total: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckOutcome {
    pub snapshots: i64,
    pub packs: i64,
    /// Packs that were read and verified.
    pub packs_read: i64,
    /// Packs that were never read, or were found damaged.
    pub packs_unread: i64,
    /// Since when the pack waits that has waited longest for its next reading; `None` where there are no packs.
    pub waits_since: Option<Timestamp>,
    pub bytes_read: i64,
    pub size_bytes: i64,
    /// What is wrong, in words that name the file; empty when nothing is.
    pub errors: Vec<String>,
    pub warnings: Vec<String>,
}

/// What a prune did. Bytes are those that packs take at their place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PruneOutcome {
    /// Root snapshots of former passes that nothing needs.
    pub roots_removed: i64,
    pub packs_deleted: i64,
    pub bytes_deleted: i64,
    /// Marked by this prune, also those whose contents were packed anew.
    pub packs_marked: i64,
    /// Packs whose needed parts were packed anew.
    pub packs_repacked: i64,
    /// Marked packs that a snapshot needs again.
    pub packs_recovered: i64,
    /// Bytes that wait for their deletion now.
    pub bytes_waiting: i64,
    /// Bytes in packs that stay, which no snapshot needs: too few to pack anew.
    pub bytes_unused: i64,
    pub size_bytes: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiesOutcome {
    /// The repository's own id, as in its config.
    pub repository: String,
    /// The oldest first.
    pub copies: Vec<SnapshotRecord>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindOutcome {
    /// Those that are not in the repository.
    pub missing: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnlockOutcome {
    /// Locks that were there and are gone now.
    pub removed: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub kind: ErrorKind,
    pub message: String,
    pub permanent: bool,
}

impl From<&crate::EngineError> for Failure {
    fn from(e: &crate::EngineError) -> Self {
        Self { kind: e.kind, message: e.message.clone(), permanent: e.is_permanent() }
    }
}
