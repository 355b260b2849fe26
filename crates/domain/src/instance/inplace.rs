//! Whether an instance can be brought back in place, how, and what stands against it (R24).
//!
//! Lives here: the preconditions, each with its remedy, and the method that follows from them. May not: looking at the
//! cloud; whoever asks has just done so.
//! Invariant: there is a method only where each precondition that it needs is met.
//!
//! - An image-booted instance is rebuilt from the snapshot's image.
//! - A volume-booted one has its root volume reverted where Cinder allows that, which it does for the latest snapshot
//!   of a volume that is `available`. Nova never detaches a root volume, so that is seldom so.
//! - Otherwise the root volume is written anew by a rebuild, for which an image is made of the volume snapshot first.
//!   The empty image that Nova makes with volume snapshots will not do: the rebuild is accepted and restores nothing.

use serde::{Deserialize, Serialize};

use super::{BootType, NativeSnapshot, Server};
use crate::units::size;

/// The first microversion of Nova that writes a root volume anew.
const REIMAGE: (u32, u32) = (2, 93);
const GIB: i64 = 1 << 30;

/// How an instance is brought back. Its addresses stay in each case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Nova rebuilds it from the snapshot's image.
    Rebuild,
    /// Cinder reverts the root volume to its snapshot. The safety copy must be a copy of the volume: a snapshot would be
    /// newer than the one that is asked for, and Cinder reverts to the latest alone.
    Revert,
    /// Nova writes the root volume anew from an image made of its snapshot.
    ReplaceRoot,
}

impl Method {
    pub const fn words(self) -> &'static str {
        match self {
            Self::Rebuild => "rebuild from the image",
            Self::Revert => "revert the root volume",
            Self::ReplaceRoot => "replace what is on the root volume",
        }
    }
}

/// One thing that must be so before anything is touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Precondition {
    /// Stable word for programs.
    pub id: &'static str,
    pub ok: bool,
    /// How it is.
    pub text: String,
    /// What to do about it; empty where it is met.
    pub remedy: String,
    /// The only method that needs it; all of them where it is absent.
    pub only_for: Option<Method>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InPlace {
    /// Absent where it cannot be done; the preconditions say why.
    pub method: Option<Method>,
    pub preconditions: Vec<Precondition>,
    /// Volumes beside the root that stay as they are, by name.
    pub untouched: Vec<String>,
}

/// How `server` is brought back to `snapshot`. `is_latest` says that the root volume has no newer snapshot, of whoever
/// made it; `microversion` is the newest that Nova offers.
pub fn method(server: &Server, snapshot: &NativeSnapshot, is_latest: bool, microversion: (u32, u32)) -> InPlace {
    let mut found = Found(Vec::new());
    found.of_any(server, snapshot);
    let methods: &[Method] = match server.boot {
        BootType::Image => {
            found.of_rebuild(server, snapshot);
            &[Method::Rebuild]
        }
        BootType::Volume => {
            found.of_volume(server, snapshot, is_latest, microversion);
            &[Method::Revert, Method::ReplaceRoot]
        }
    };
    let stands = |method: Method| found.0.iter().all(|p| p.ok || p.only_for.is_some_and(|only| only != method));
    let method = methods.iter().copied().find(|m| stands(*m));
    let untouched = server.volumes.iter().filter(|v| !v.root).map(|v| if v.name.is_empty() { v.id.clone() } else { v.name.clone() });
    InPlace { method, untouched: untouched.collect(), preconditions: found.0 }
}

struct Found(Vec<Precondition>);

impl Found {
    fn add(&mut self, id: &'static str, only_for: Option<Method>, ok: bool, text: impl Into<String>, remedy: &str) {
        let remedy = if ok { String::new() } else { remedy.to_owned() };
        self.0.push(Precondition { id, ok, text: text.into(), remedy, only_for });
    }

    fn of_any(&mut self, server: &Server, snapshot: &NativeSnapshot) {
        let same = server.id == snapshot.server.id;
        let text = if same {
            format!("The snapshot was taken of this instance, {}.", server.name)
        } else {
            format!("The snapshot was taken of another instance, {} ({}).", snapshot.server.name, snapshot.server.id)
        };
        self.add("same_instance", None, same, text, "Make a clone of the snapshot instead.");

        let text = if server.boot == snapshot.server.boot {
            format!("The instance boots from {}, as it did when the snapshot was taken.", from(server.boot))
        } else {
            format!("The instance boots from {}, and booted from {} when the snapshot was taken.", from(server.boot), from(snapshot.server.boot))
        };
        self.add("boot_type", None, server.boot == snapshot.server.boot, text, "Make a clone of the snapshot instead.");

        let fault = server.fault.as_deref().map(|fault| format!(": {fault}")).unwrap_or_default();
        let text = format!("The instance is {}{fault}.", server.status);
        self.add("state", None, matches!(server.status.as_str(), "ACTIVE" | "SHUTOFF" | "ERROR"), text, wake(&server.status));

        let text = server.task.as_ref().map_or_else(|| "Nova is doing nothing with it.".to_owned(), |task| format!("Nova is busy with it: {task}."));
        self.add("idle", None, server.task.is_none(), text, "Wait until it is done, then look again.");

        let text = if server.locked { "The instance is locked." } else { "The instance is not locked." };
        self.add("unlocked", None, !server.locked, text, "Unlock it first: openstack server unlock.");

        let text = match server.host_up {
            Some(true) => "Its hypervisor is up.",
            Some(false) => "Its hypervisor is down.",
            None => "The cloud does not tell whether its hypervisor is up.",
        };
        self.add("hypervisor", None, server.host_up != Some(false), text, "Ask the cloud's operators, or make a clone: it starts on another hypervisor.");
    }

    fn of_rebuild(&mut self, server: &Server, snapshot: &NativeSnapshot) {
        let image = snapshot.image.as_ref().filter(|image| image.size_bytes > 0);
        let text =
            image.map_or_else(|| "The snapshot has no image with data.".to_owned(), |image| format!("The snapshot's image has {}.", size(image.size_bytes)));
        self.add("snapshot_whole", None, image.is_some(), text, "Choose another snapshot.");

        let disk = server.flavour.disk_gb;
        let (bytes, least) = image.map_or((0, 0), |image| (image.size_bytes, image.min_disk_gb));
        let fits = disk == 0 || (least <= disk && bytes <= disk.saturating_mul(GIB));
        let text = match disk {
            0 => format!("The flavour {} sets no size of the root disk.", server.flavour.name),
            _ if least > disk => format!("The image needs a disk of {least} GiB, and the flavour {} has {disk} GiB.", server.flavour.name),
            _ if !fits => format!("The image has {}, and the flavour {} has a disk of {disk} GiB.", size(bytes), server.flavour.name),
            _ => format!("The image fits into the disk of {disk} GiB of the flavour {}.", server.flavour.name),
        };
        self.add("size", None, fits, text, "Make a clone with a larger flavour instead.");

        let broken = server.status == "ERROR";
        let text = if broken { "No safety snapshot can be taken of an instance in ERROR." } else { "A safety snapshot can be taken first." };
        self.add("safety", None, !broken, text, "Bring it out of ERROR first, by a hard reboot or by the cloud's operators, or make a clone of the snapshot.");
        self.of_attachments(server, Method::Rebuild);
    }

    fn of_volume(&mut self, server: &Server, snapshot: &NativeSnapshot, is_latest: bool, microversion: (u32, u32)) {
        const OTHER: &str = "The root volume is replaced instead where that is possible.";
        let taken = snapshot.volumes.iter().find(|v| v.root);
        let root = server.root();
        let text = match taken {
            Some(taken) => format!("The snapshot has the root volume, {} GiB.", taken.size_gb),
            None => "The snapshot does not have the root volume.".to_owned(),
        };
        self.add("snapshot_whole", None, taken.is_some(), text, "Choose another snapshot.");
        let text = root.map_or_else(|| "The cloud names no root volume of the instance.".to_owned(), |root| format!("Its root volume is {}.", root.id));
        self.add("root_volume", None, root.is_some(), text, "Make a clone of the snapshot instead.");
        let (Some(taken), Some(root)) = (taken, root) else { return };

        let revert = Some(Method::Revert);
        let text = if taken.volume == root.id {
            "The snapshot is of the volume that is its root now."
        } else {
            "The snapshot is of another volume than that which is its root now."
        };
        self.add("same_volume", revert, taken.volume == root.id, text, OTHER);
        let text =
            if is_latest { "It is the latest snapshot of the volume." } else { "The volume has a newer snapshot, and Cinder reverts to the latest alone." };
        self.add("latest", revert, is_latest, text, OTHER);
        let text = format!("The snapshot has {} GiB, the volume {} GiB; to be reverted they must be equal.", taken.size_gb, root.size_gb);
        self.add("same_size", revert, taken.size_gb == root.size_gb, text, OTHER);
        let status = root.status.as_deref().unwrap_or("of unknown status");
        let text = format!("The root volume is {status}; to be reverted it must be available.");
        self.add("detached", revert, status == "available", text, OTHER);

        let replace = Some(Method::ReplaceRoot);
        let text = format!("Nova offers microversion {}.{}; a root volume is replaced from 2.93 on.", microversion.0, microversion.1);
        self.add("microversion", replace, microversion >= REIMAGE, text, "Make a clone of the snapshot instead.");
        let text = format!("The snapshot has {} GiB, the root volume {} GiB.", taken.size_gb, root.size_gb);
        self.add("size", replace, taken.size_gb <= root.size_gb, text, "Extend the root volume first, or make a clone of the snapshot.");
        self.of_attachments(server, Method::ReplaceRoot);
    }

    /// A rebuild attaches all volumes anew, and leaves the instance in `ERROR` where one is not `in-use` before.
    fn of_attachments(&mut self, server: &Server, method: Method) {
        let loose: Vec<String> =
            server.volumes.iter().filter_map(|v| v.status.as_ref().filter(|s| *s != "in-use").map(|s| format!("{} is {s}", v.id))).collect();
        let text = match loose.len() {
            0 => "No attached volume is in a state in which it cannot be attached anew.".to_owned(),
            _ => format!("Not each of its volumes is in-use: {}.", loose.join(", ")),
        };
        self.add("attachments", Some(method), loose.is_empty(), text, "Detach such a volume, or ask the cloud's operators to mend its status.");
    }
}

const fn from(boot: BootType) -> &'static str {
    match boot {
        BootType::Image => "an image",
        BootType::Volume => "a volume",
    }
}

/// What brings an instance of that status to one that can be rebuilt.
fn wake(status: &str) -> &'static str {
    match status {
        "PAUSED" => "Unpause it first: openstack server unpause.",
        "SUSPENDED" => "Resume it first: openstack server resume.",
        "SHELVED" | "SHELVED_OFFLOADED" => "Unshelve it first: openstack server unshelve.",
        "RESCUE" => "Leave the rescue mode first: openstack server unrescue.",
        "VERIFY_RESIZE" => "Confirm or revert its resize first.",
        "SOFT_DELETED" | "DELETED" => "It was deleted. Make a clone of the snapshot instead.",
        _ => "Wait until it is ACTIVE or SHUTOFF, or make a clone of the snapshot instead.",
    }
}
