//! Images of a cloud into a repository and back: what is asked, what is written beside the disk, what is answered.
//!
//! Lives here: the messages. May not: how they are carried out. They are jobs of their own and no kind of source: what
//! a source is configured with is stored, and a cloud's secret must not be.

use std::collections::BTreeMap;

use domain::units::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Access, Secret, SnapshotRecord};

/// The file beside the disk that says what it is.
pub const DESCRIPTION: &str = "image.json";

/// How a cloud is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudAccess {
    /// `openstack+https://keystone.example.org:5000/v3`.
    pub location: String,
    pub plain: BTreeMap<String, String>,
    pub secret: Secret,
    /// The project's id, where it is known: any other is refused.
    pub project: Option<String>,
}

/// Streams an image into the repository.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeepImageJob {
    pub access: Access,
    /// Make the repository where the location holds none and no id is expected.
    pub create: bool,
    pub cloud: CloudAccess,
    /// The image's id.
    pub image: String,
    /// The snapshot's name, which its label gets.
    pub name: String,
    /// The instance's item.
    pub item: String,
    /// The service's name.
    pub host: String,
    pub source_name: String,
    /// The run's id: a repeated job finds what it has already saved.
    pub run: String,
    /// When the image was taken.
    pub taken_at: Timestamp,
    /// What is known of the snapshot and its instance.
    pub native: Value,
}

/// Makes an image of a disk that the repository has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReturnImageJob {
    pub access: Access,
    pub cloud: CloudAccess,
    /// restic id.
    pub snapshot: String,
    /// The id that the image gets: a repeated job finds what it has begun.
    pub image: String,
    /// The name that the image gets.
    pub name: String,
    /// Properties that it gets beside those it had.
    pub marks: BTreeMap<String, String>,
}

/// What an image was in its cloud, in `image.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageDescription {
    /// The image's id in the cloud that it came from.
    pub id: String,
    pub name: String,
    /// The disk's file beside this one.
    pub file: String,
    pub disk_format: String,
    pub container_format: String,
    pub min_disk_gb: i64,
    pub min_ram_mb: i64,
    pub bytes: u64,
    /// Of the disk, in hexadecimal digits.
    pub sha512: String,
    /// Glance's own: its algorithm and value, and the MD5 that older ones have alone.
    pub os_hash_algo: Option<String>,
    pub os_hash_value: Option<String>,
    pub checksum: Option<String>,
    pub properties: BTreeMap<String, String>,
    pub tags: Vec<String>,
    /// The snapshot and the instance as they were.
    pub native: Value,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepImageOutcome {
    /// The repository's own id.
    pub repository: String,
    pub snapshot: SnapshotRecord,
    /// Of the disk.
    pub bytes: i64,
    pub bytes_added: i64,
    /// How often the download broke off and went on.
    pub cuts: i64,
    /// Which checksum of the cloud's was compared; `None` where it gives none and the size alone was.
    pub compared: Option<String>,
    pub size_bytes: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReturnImageOutcome {
    /// The id in the cloud.
    pub image: String,
    pub name: String,
    pub bytes: i64,
    pub min_disk_gb: i64,
    pub compared: Option<String>,
    /// As [`ImageDescription::native`].
    pub native: Value,
}
