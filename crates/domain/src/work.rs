//! What a run was asked for, what it gave back, why it stopped, and where it stands.
//!
//! Lives here: the typed forms of the JSON in a run's row (`params`, `result`, `failure`, `progress`).
//! May not: secrets, row ids that another table does not know.

use serde::{Deserialize, Serialize};

use crate::{
    definition::Terms,
    evidence::{CheckOutcome, EvidenceLevel, Verdict},
    id::{HoldId, SnapshotId},
    instance::{BootType, Kept, SnapshotParams},
    reading::Slice,
    restore::{ConflictMode, RestoreCounts},
    units::Timestamp,
};

/// Why a step or a run failed. It is data: pages and programs show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepFailure {
    /// Stable word for programs: an engine kind such as `wrong_password`, or `crashed`, `cancelled`, `checks_failed` …
    pub code: String,
    /// One or two sentences that name the path or system and the remedy.
    pub message: String,
    /// Whether the same again would fail the same way.
    pub permanent: bool,
}

impl StepFailure {
    pub fn new(code: impl Into<String>, message: impl Into<String>, permanent: bool) -> Self {
        Self { code: code.into(), message: message.into(), permanent }
    }
}

/// Where a running run stands. Sizes are bytes, rates are bytes a second over the last seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunProgress {
    pub at: Timestamp,
    pub step: String,
    pub items_done: i64,
    pub items_total: i64,
    pub files_done: i64,
    pub bytes_done: i64,
    /// Zero while it is not known.
    pub bytes_total: i64,
    pub bytes_per_s: i64,
    /// Seconds that are left by the present rate; `None` while it cannot be told.
    pub eta_s: Option<i64>,
    pub current: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupParams {
    /// Names of items; all of the source where `None`.
    pub items: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupResult {
    pub items_ok: i64,
    pub items_partial: i64,
    pub items_failed: i64,
    pub bytes_read: i64,
    pub bytes_added: i64,
    /// Snapshots that the policy no longer kept.
    #[serde(default)]
    pub forgotten: i64,
    /// Holds that the guard placed, at most 20 of them.
    #[serde(default)]
    pub holds: Vec<PlacedHold>,
}

/// A hold that a guard placed during a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedHold {
    pub hold: HoldId,
    /// The whole service where it is absent.
    pub item: Option<String>,
    pub reason: String,
}

/// Where a restore writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RestoreTarget {
    /// To where the items came from. A safety snapshot is taken first.
    InPlace,
    /// Into a folder inside each item's own one, named after the snapshot, so that nothing that is there is touched.
    Beside,
    /// Below an absolute folder: one item lands in it, several land in folders of their names.
    Folder { path: String },
}

/// One item's part of a restore: a pinned snapshot and paths inside it, everything where empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreSelection {
    pub item: String,
    pub snapshot: SnapshotId,
    #[serde(default)]
    pub paths: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreParams {
    pub items: Vec<RestoreSelection>,
    pub target: RestoreTarget,
    pub conflict: ConflictMode,
    /// Only count what would happen.
    #[serde(default)]
    pub preview: bool,
}

/// The landing place of one item, as the preview and the result name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landing {
    pub item: String,
    pub path: String,
}

/// One path that a preview names; `action` is `create`, `replace`, `same` or `skip`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewPath {
    pub path: String,
    pub action: String,
    pub bytes: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreResult {
    pub preview: bool,
    pub counts: RestoreCounts,
    pub landings: Vec<Landing>,
    pub items: i64,
    pub files: i64,
    pub bytes: i64,
    /// At most 200 of the paths that a preview named.
    #[serde(default)]
    pub sample: Vec<PreviewPath>,
    /// The safety snapshots taken before anything was written.
    #[serde(default)]
    pub safety: Vec<SnapshotId>,
}

/// Which snapshots a restore test takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Selection {
    /// The newest snapshot of the service.
    Latest,
    /// One snapshot at random among those of the last so many days.
    Random { days: i64 },
    /// The newest snapshots of `count` items chosen at random.
    Sample { count: i64 },
    /// The newest snapshot of every item.
    All,
}

impl Selection {
    /// The stored form, such as `latest`, `random 30 d`, `sample 5`, `all`.
    pub fn words(self) -> String {
        match self {
            Self::Latest => "latest".to_owned(),
            Self::Random { days } => format!("random {days} d"),
            Self::Sample { count } => format!("sample {count}"),
            Self::All => "all".to_owned(),
        }
    }
}

/// What a run of a restore test was asked for. Of a schedule's only the definition's name counts: its terms are read
/// when a run is queued, and from then on stand in the run, whatever becomes of the definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreTestParams {
    pub selection: Selection,
    /// The definition that it follows; the built-in one where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// What the definition said when the run was queued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
    /// What decides chance, so that the same choice can be made again; the run's id where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<String>,
    /// The very snapshots of an earlier test instead of a choice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<SnapshotId>,
    /// When the loss is assumed to have come; the start of the run where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_at: Option<Timestamp>,
}

impl RestoreTestParams {
    /// A test of the built-in definition.
    pub const fn built_in(selection: Selection) -> Self {
        Self { selection, definition: None, terms: None, seed: None, snapshots: Vec::new(), loss_at: None }
    }
}

/// The proof that nothing of a restore test is left: no folder, and nothing in a cloud.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Teardown {
    /// The scratch folder that the test had made.
    pub scratch: String,
    pub started_at: Timestamp,
    /// When all that was made was looked for and not found.
    pub gone_at: Option<Timestamp>,
    pub detail: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RestoreTestResult {
    pub verdict: Verdict,
    pub level: EvidenceLevel,
    /// Seconds from the start of the restore to the end of the checks.
    pub rto_s: Option<f64>,
    /// Age in seconds of the oldest of the tested snapshots when the run started.
    pub rpo_s: Option<i64>,
    pub items_restored: i64,
    pub items_skipped: i64,
    pub items_failed: i64,
    pub files: i64,
    pub bytes: i64,
    pub checks: Vec<CheckOutcome>,
    pub teardown: Teardown,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckParams {
    /// Read and verify every pack, not the structure alone.
    pub read_data: bool,
    /// Read a part of the packs, so that in time all are read. It is not looked at where all are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<Slice>,
}

impl CheckParams {
    pub const STRUCTURE: Self = Self { read_data: false, slice: None };
    pub const ALL_DATA: Self = Self { read_data: true, slice: None };
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    pub snapshots: i64,
    pub packs: i64,
    /// Packs that were read and verified.
    #[serde(default)]
    pub packs_read: i64,
    /// Packs that were never read, or were found damaged.
    #[serde(default)]
    pub packs_unread: i64,
    /// Since when the pack waits that has waited longest for its next reading.
    #[serde(default)]
    pub waits_since: Option<Timestamp>,
    pub bytes_read: i64,
    pub size_bytes: i64,
    pub errors: Vec<String>,
    pub warnings: Vec<String>,
    /// Snapshots that Holdfast knew and that are no longer there, though nothing here has forgotten them.
    #[serde(default)]
    pub vanished: i64,
}

/// Packs that nothing needs are deleted a day after they were marked.
pub const SAFE_AGE_S: u32 = 86_400;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PruneParams {
    /// Seconds between the mark on a pack and its deletion.
    pub safe_age_s: u32,
}

impl Default for PruneParams {
    fn default() -> Self {
        Self { safe_age_s: SAFE_AGE_S }
    }
}

/// What a prune did. Bytes are those that packs take at their place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PruneResult {
    /// Records of former passes that no next pass needs.
    pub roots_removed: i64,
    pub packs_deleted: i64,
    pub bytes_deleted: i64,
    pub packs_marked: i64,
    pub packs_repacked: i64,
    pub packs_recovered: i64,
    /// Bytes that wait for their deletion by a later prune.
    pub bytes_waiting: i64,
    /// Bytes that nothing needs in packs that stay: too few to pack anew.
    pub bytes_unused: i64,
    pub size_bytes: i64,
}

/// What a snapshot of one instance was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstanceSnapshotParams {
    /// The item's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// The server's id in the cloud, so that another instance of the same name is never taken for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    pub parameters: SnapshotParams,
}

/// What a snapshot of one instance came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceSnapshotResult {
    /// The snapshot's id; absent while the cloud has not even accepted it.
    pub snapshot: Option<String>,
    pub name: String,
    pub boot: BootType,
    pub bytes: i64,
    /// Seconds that the instance was down; absent where it was not stopped.
    #[serde(default)]
    pub stopped_s: Option<f64>,
    /// Names of the snapshots that were beyond `max_snapshots`.
    #[serde(default)]
    pub deleted: Vec<String>,
    #[serde(default)]
    pub kept: Vec<Kept>,
    /// Those that were beyond it and could not be deleted: why.
    #[serde(default)]
    pub left: Vec<Kept>,
    /// The cloud has accepted it and was still making it when the run ended.
    #[serde(default)]
    pub pending: bool,
}

/// A copy of a native snapshot's image into a repository, or of such a copy back into a cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsiteParams {
    /// What is copied: a cloud's snapshot, or a repository's.
    pub snapshot: SnapshotId,
    /// Its name.
    pub name: String,
    /// Where it goes: the repository's or the cloud's name.
    pub to: String,
}

/// What an offsite copy came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OffsiteCopyResult {
    /// The snapshot's id in the repository.
    pub snapshot: Option<SnapshotId>,
    pub name: String,
    /// Of the disk.
    pub bytes: i64,
    pub bytes_added: i64,
    /// The checksum of the cloud's that was compared; absent where it gives none.
    pub compared: Option<String>,
    /// How often the download broke off and went on.
    pub cuts: i64,
    /// It was there before; nothing was read.
    pub already: bool,
    /// Older copies that the source's policy no longer keeps.
    pub forgotten: i64,
}

/// What a return of an offsite copy came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OffsiteReturnResult {
    /// The snapshot's id in the cloud's list.
    pub snapshot: Option<SnapshotId>,
    pub name: String,
    /// The image's id in the cloud.
    pub image: String,
    pub bytes: i64,
    pub compared: Option<String>,
}
