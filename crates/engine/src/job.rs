//! The heavy work of a run, as messages between the runner and its child process.
//!
//! The parent writes one [`Job`] as JSON to the child's standard input and keeps it open: end of file means that the
//! parent is gone and the child must stop; a newline, that it has recorded what the child waits for. The child answers
//! with one [`Event`] a line on standard output and ends with exactly one `done` or `failed`. Passwords and keys travel
//! only through that pipe.
//!
//! Lives here: the messages. May not: how they are carried out, run states, database ids.
//! Names and paths are in the reversible text form of `domain::naming::escape`.

use std::{collections::BTreeMap, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use domain::{
    reading::{Mark, Slice},
    restore::ConflictMode,
    units::Timestamp,
};
use serde::{Deserialize, Serialize};

pub use self::{answer::*, image::*};
pub use crate::secret::Secret;
use crate::sources::glob;

mod answer;
mod image;

/// How a repository is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// `file:///absolute/path`, `s3://bucket/prefix` or `memory://name`.
    pub location: String,
    /// Options of the storage: `endpoint`, `region`, `allow_http`; for S3 also `access_key_id`.
    pub options: BTreeMap<String, String>,
    /// Credentials of the storage: `secret_access_key`, `session_token`, also `access_key_id`.
    pub credentials: BTreeMap<String, Secret>,
    pub password: Secret,
    /// The key behind the password, where the parent knows it: the child need not derive it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<OpenedKey>,
    /// The repository's own id, where it is known: any other at the location is refused, and none is made there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
}

/// A repository's master key, which a password has opened. It opens the repository as long as its file is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenedKey {
    /// The name of the key's file in the repository.
    pub id: String,
    /// As JSON, as it stands in that file under the password.
    pub master: Secret,
}

/// How a source is read. A new driver adds one arm here and one folder in `sources`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum SourceConfig {
    Directory(DirectoryConfig),
    /// Its snapshots stay in their cloud; a copy of one is a job of its own ([`KeepImageJob`]).
    OpenstackInstance(InstanceConfig),
}

/// The instances of a cloud's project (R8). The cloud is the source's repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceConfig {
    /// Glob patterns of names; every instance where there is none.
    #[serde(default)]
    pub instances: Vec<String>,
    /// The name of the repository that gets a copy of each finished snapshot's image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offsite: Option<String>,
}

impl InstanceConfig {
    /// Whether an instance of this name is one of the items.
    pub fn takes(&self, name: &str) -> bool {
        self.instances.is_empty() || self.instances.iter().any(|p| glob(p.as_bytes(), name.as_bytes()) == Some(true))
    }

    /// The first pattern that cannot be read.
    pub fn unreadable(&self) -> Option<&str> {
        self.instances.iter().find(|p| p.is_empty() || glob(p.as_bytes(), b"").is_none()).map(String::as_str)
    }
}

/// A tree of per-item folders, or one folder (R1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryConfig {
    pub path: PathBuf,
    pub items: DirectoryItems,
    /// Glob patterns as restic reads them: without a slash they match names anywhere.
    #[serde(default)]
    pub exclude: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DirectoryItems {
    /// Each child folder is an item of its own.
    Children,
    /// The folder itself is the only item.
    #[serde(rename = "self")]
    Itself,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "snake_case")]
pub enum Job {
    Backup(BackupJob),
    Restore(RestoreJob),
    /// Brings a target back to what it was before an interrupted restore. Idempotent.
    UnwindRestore(UnwindJob),
    Compare(CompareJob),
    Check(CheckJob),
    /// Removes snapshots. What only they referred to stays until it is pruned. Idempotent.
    Forget(ForgetJob),
    /// Marks what no snapshot needs, and deletes what was marked long enough ago. May be killed at any moment.
    Prune(PruneJob),
    /// Lists the snapshots of Holdfast itself.
    Copies(CopiesJob),
    /// Looks whether snapshots are in the repository.
    Find(FindJob),
    /// Writes a probe and tries to destroy it.
    TamperTest(TamperJob),
    /// Removes the locks that a killed job of the same run left. Idempotent.
    Unlock(UnlockJob),
    /// Streams an image of a cloud into the repository.
    KeepImage(KeepImageJob),
    /// Makes an image in a cloud of a disk that the repository has.
    ReturnImage(ReturnImageJob),
}

impl Job {
    /// The access of a job that opens its repository; `None` where names of files are all that it looks at.
    pub const fn opens(&mut self) -> Option<&mut Access> {
        match self {
            Self::Backup(job) => Some(&mut job.access),
            Self::Restore(job) => Some(&mut job.access),
            Self::Compare(job) => Some(&mut job.access),
            Self::Check(job) => Some(&mut job.access),
            Self::Forget(job) => Some(&mut job.access),
            Self::Prune(job) => Some(&mut job.access),
            Self::Find(job) => Some(&mut job.access),
            Self::Copies(job) => Some(&mut job.access),
            Self::KeepImage(job) => Some(&mut job.access),
            Self::ReturnImage(job) => Some(&mut job.access),
            Self::UnwindRestore(_) | Self::Unlock(_) | Self::TamperTest(_) => None,
        }
    }

    /// Whether it waits for somebody else's lock as long as that is fresh, because nobody tries it again.
    pub const fn is_patient(&self) -> bool {
        match self {
            Self::Restore(_) | Self::ReturnImage(_) => true,
            Self::Backup(job) => job.patient,
            _ => false,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BackupJob {
    pub access: Access,
    /// Make the repository where the location holds none and no id is expected.
    pub create: bool,
    pub source: SourceConfig,
    /// Stable host name written into every snapshot: the service's name.
    pub host: String,
    pub service: String,
    pub source_name: String,
    /// The run's id, written as tag `run:<id>`: a repeated pass finds what it has already saved.
    pub run: String,
    /// All items where `None`.
    pub items: Option<Vec<String>>,
    /// restic id of the newest root snapshot of this source.
    pub root_parent: Option<String>,
    /// restic id of each item's newest snapshot, by item name.
    pub parents: BTreeMap<String, String>,
    /// Wait for somebody else's lock as long as it is fresh: a restore needs this backup.
    #[serde(default)]
    pub patient: bool,
    /// More tags for every snapshot of the pass.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// One item's part of a restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreItem {
    pub name: String,
    /// restic id of the pinned snapshot.
    pub snapshot: String,
    /// Paths inside the snapshot; everything where empty.
    pub paths: Vec<String>,
    /// Absolute folder that receives the snapshot's content. It is made if it is missing.
    pub target: PathBuf,
}

/// How the names of staging folders begin: no backup takes them for data.
pub const STAGING_PREFIX: &str = ".holdfast-restore-";

/// The name of a run's staging folders.
pub fn staging_name(run: &str) -> String {
    format!("{STAGING_PREFIX}{run}")
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RestoreJob {
    pub access: Access,
    pub items: Vec<RestoreItem>,
    pub conflict: ConflictMode,
    /// Only count: nothing is written.
    pub preview: bool,
    /// Name of the staging folder, unique to the run; it is made beside each target on the same file system.
    /// It begins with [`STAGING_PREFIX`].
    pub staging: String,
    /// Verify what was staged against the repository before it replaces anything.
    pub verify: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UnwindJob {
    pub targets: Vec<PathBuf>,
    pub staging: String,
}

/// Compares restored folders with the snapshots they came from, byte for byte, by reading them anew.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CompareJob {
    pub access: Access,
    pub items: Vec<RestoreItem>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckJob {
    pub access: Access,
    /// The time that counts as that of what is read: when the check begins.
    pub at: Timestamp,
    pub read: Reading,
    /// What is known of when packs were last read. A pack that stands in several of them counts as read at the latest.
    pub known: Vec<PackMarks>,
}

/// Which packs a check reads and verifies; the structure is looked at in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    None,
    All,
    /// Those that [`domain::reading::choose`] names.
    Slice(Slice),
}

/// Packs that were last read, or first seen, at the same time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackMarks {
    pub mark: Mark,
    pub packs: PackIds,
}

/// Ids of packs, 32 bytes each, one after the other; as text in base64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackIds(pub Vec<u8>);

impl PackIds {
    pub fn count(&self) -> usize {
        self.0.len() / 32
    }
}

impl Serialize for PackIds {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for PackIds {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        BASE64.decode(text.as_bytes()).map(Self).map_err(serde::de::Error::custom)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ForgetJob {
    pub access: Access,
    /// restic ids. Those that are gone already are no error.
    pub snapshots: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PruneJob {
    pub access: Access,
    /// Packs are deleted so many seconds after they were marked, if nothing needs them by then.
    pub safe_age_s: u32,
    /// Root snapshots that the next passes need as parents.
    pub keep_roots: Vec<String>,
    /// Ids of runs that are still live: what their passes left is kept for them.
    pub live_runs: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CopiesJob {
    pub access: Access,
    /// Only the newest that was taken at or before this moment; all where `None`.
    pub newest_before: Option<Timestamp>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FindJob {
    pub access: Access,
    /// restic ids.
    pub snapshots: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TamperJob {
    pub access: Access,
    /// The run's id: it makes the probe's name, so that a repeated test leaves no second one.
    pub run: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UnlockJob {
    pub access: Access,
    /// Ids of lock files, as [`Event::Locked`] told them.
    pub locks: Vec<String>,
}
