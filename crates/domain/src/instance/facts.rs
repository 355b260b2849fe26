//! What is stored of an instance and of its native snapshots, so that a clone works when the instance is gone (R23).
//!
//! Lives here: the facts, and the unit that an image and its volume snapshots are.
//! May not: the APIs' own JSON; the client makes these of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{run::text_enum, units::Timestamp};

/// A GiB, the clouds' unit of volumes.
const GIB: i64 = 1 << 30;

text_enum! {
    /// What an instance boots from. It decides how it is snapshotted and brought back.
    BootType { Image => "image", Volume => "volume" }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Flavour {
    /// Absent where the cloud tells the name alone.
    pub id: Option<String>,
    pub name: String,
    pub vcpus: i64,
    pub ram_mb: i64,
    /// 0 where the flavour sets no root disk.
    pub disk_gb: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttachedVolume {
    pub id: String,
    pub name: String,
    pub size_gb: i64,
    /// Such as `/dev/vda`.
    pub device: Option<String>,
    pub root: bool,
    pub volume_type: Option<String>,
    pub zone: Option<String>,
    pub delete_on_termination: bool,
    /// Cinder's word, such as `in-use`.
    pub status: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Nic {
    /// The network's id.
    pub network: String,
    pub network_name: String,
    pub addresses: Vec<String>,
    /// The port's id.
    pub port: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    pub id: String,
    pub name: String,
    /// Nova's word, such as `ACTIVE`.
    pub status: String,
    /// What Nova is doing with it, such as `image_snapshot`.
    #[serde(default)]
    pub task: Option<String>,
    #[serde(default)]
    pub locked: bool,
    /// Whether its hypervisor answers; `None` where the cloud does not tell.
    #[serde(default)]
    pub host_up: Option<bool>,
    pub created_at: Timestamp,
    pub boot: BootType,
    /// The image's id that it was made from, of an image-booted one.
    #[serde(default)]
    pub image: Option<String>,
    pub flavour: Flavour,
    #[serde(default)]
    pub zone: Option<String>,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    #[serde(default)]
    pub networks: Vec<Nic>,
    #[serde(default)]
    pub security_groups: Vec<String>,
    #[serde(default)]
    pub volumes: Vec<AttachedVolume>,
    /// The name of its key pair.
    #[serde(default)]
    pub key: Option<String>,
    /// Why it is in the status `ERROR`, in the cloud's words.
    #[serde(default)]
    pub fault: Option<String>,
}

impl Server {
    pub fn root(&self) -> Option<&AttachedVolume> {
        self.volumes.iter().find(|v| v.root)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeSnapshot {
    pub id: String,
    /// The id of the volume that it was taken of.
    pub volume: String,
    pub size_gb: i64,
    /// Where the volume was attached, such as `/dev/vdb`.
    pub device: Option<String>,
    pub root: bool,
}

impl VolumeSnapshot {
    /// The volume's size; what the snapshot takes in the cloud, Cinder does not tell.
    pub const fn bytes(&self) -> i64 {
        self.size_gb.saturating_mul(GIB)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NativeImage {
    pub id: String,
    /// 0 for the image that only names volume snapshots.
    pub size_bytes: i64,
    pub min_disk_gb: i64,
    /// The SHA-512 of its bytes as Glance told it when the snapshot was taken, in hexadecimal digits.
    pub sha512: Option<String>,
}

/// One snapshot of an instance: an image, volume snapshots, or both. It is listed, kept and deleted as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NativeSnapshot {
    pub name: String,
    #[serde(default)]
    pub image: Option<NativeImage>,
    #[serde(default)]
    pub volumes: Vec<VolumeSnapshot>,
    /// The instance as it was.
    pub server: Server,
}

impl NativeSnapshot {
    /// The id of the whole: the image's, or that of the root volume's snapshot where there is no image.
    ///
    /// It is empty where there is neither, which the cloud never accepted.
    pub fn unit_id(&self) -> &str {
        let volume = || self.volumes.iter().find(|v| v.root).or_else(|| self.volumes.first());
        self.image.as_ref().map(|i| i.id.as_str()).or_else(|| volume().map(|v| v.id.as_str())).unwrap_or_default()
    }

    /// The ids of all its pieces.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.image.iter().map(|i| i.id.as_str()).chain(self.volumes.iter().map(|v| v.id.as_str()))
    }

    /// What it takes in the cloud, as far as the cloud tells.
    pub fn bytes(&self) -> i64 {
        let image = self.image.as_ref().map_or(0, |i| i.size_bytes);
        self.volumes.iter().fold(image, |sum, v| sum.saturating_add(v.bytes()))
    }
}

/// The items' names of instances given by id and name, in the same order: the instance's name, or `NAME.ID8` where
/// several bear one name.
pub fn item_names(servers: &[(&str, &str)]) -> Vec<String> {
    let mut bearers: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, name) in servers {
        *bearers.entry(name).or_default() += 1;
    }
    let alone = |name: &str| bearers[name] == 1;
    let short = |id: &str| id.chars().take(8).collect::<String>();
    let names: Vec<String> = servers.iter().map(|(id, name)| if alone(name) { (*name).to_owned() } else { format!("{name}.{}", short(id)) }).collect();
    // Where even that is somebody else's name, the whole id tells them apart.
    let names = told_apart(&names, |at| !alone(servers[at].1), |at, _| format!("{}.{}", servers[at].1, servers[at].0));
    told_apart(&names, |_| true, |at, name| format!("{name}.{}", servers[at].0))
}

/// The names, where those that stand there twice and are `open` to it have another one.
fn told_apart(names: &[String], open: impl Fn(usize) -> bool, other: impl Fn(usize, &str) -> String) -> Vec<String> {
    let mut given: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        *given.entry(name).or_default() += 1;
    }
    names.iter().enumerate().map(|(at, name)| if given[name.as_str()] > 1 && open(at) { other(at, name) } else { name.clone() }).collect()
}
