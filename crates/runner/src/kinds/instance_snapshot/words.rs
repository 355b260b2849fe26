//! How a snapshot reads in logs and mails.
//!
//! Lives here: those texts. May not: deciding anything.

use domain::{
    instance::{BootType, NativeSnapshot},
    units::{size, span},
    work::InstanceSnapshotResult,
};

use crate::clouds::tidy::Tidied;

/// That a snapshot is there, and what it is made of.
pub fn there(s: &NativeSnapshot) -> String {
    let volumes = |n: usize| if n == 1 { "1 volume snapshot".to_owned() } else { format!("{n} volume snapshots") };
    let made_of = match (&s.image, s.volumes.len()) {
        (Some(image), 0) => format!("the image {}", image.id),
        (Some(image), n) => format!("the image {} and {}", image.id, volumes(n)),
        (None, n) => volumes(n),
    };
    let boots = match s.server.boot {
        BootType::Image => "an image",
        BootType::Volume => "a volume",
    };
    format!("{} of {}, which boots from {boots}, is in the cloud: {made_of}, {}", s.name, s.server.name, size(s.bytes()))
}

/// What became of the older ones.
pub fn tidied(t: &Tidied) -> String {
    let deleted = if t.deleted.is_empty() { "nothing was beyond max_snapshots".to_owned() } else { format!("deleted {}", t.deleted.join(", ")) };
    let left: Vec<String> = t.left.iter().map(|k| format!("{} ({})", k.name, k.why)).collect();
    let tail = if left.is_empty() { String::new() } else { format!("; could not delete {}", left.join(", ")) };
    format!("{deleted}, kept {}{tail}", t.kept.len())
}

/// All of it, as the mail of success says it.
pub fn all(s: &NativeSnapshot, r: &InstanceSnapshotResult) -> String {
    let mut said = vec![format!("{}.", there(s))];
    said.extend(r.stopped_s.map(|down| format!("The instance was stopped for {} and runs again.", span(down.round()))));
    if !r.deleted.is_empty() {
        said.push(format!("Beyond max_snapshots and deleted: {}.", r.deleted.join(", ")));
    }
    said.extend(r.left.iter().map(|k| format!("{} could not be deleted: {}.", k.name, k.why)));
    said.join(" ")
}
