//! Native snapshots of OpenStack instances: what is asked for, what is stored, what is kept (R8, R22–R25).
//!
//! Lives here: names by a pattern, dates, parameters with CERN's names and defaults, facts of a server and of its
//! snapshots, the decision on what is kept, credentials as they were found, what stands against a restore in place.
//! May not: the APIs and their JSON (`engine::sources::openstack`), runs, SQL.
//! Invariant: whoever has a snapshot's name and its pattern knows the instance and the minute.

mod clone;
mod credential;
mod facts;
pub mod inplace;
mod keep;
mod keeping;
pub mod orphan;
mod params;
mod pattern;
mod restored;
#[cfg(test)]
mod tests;
mod when;

pub use self::{
    clone::{CLONE_DAYS, CLONED, CloneParams, CloneResult, CloneVolume, MARK, MOST_CLONE_DAYS, Networks, TESTED, clone_name},
    credential::{Credential, DOUBTED_S, Quota, REMINDERS},
    facts::{AttachedVolume, BootType, Flavour, NativeImage, NativeSnapshot, Nic, Server, VolumeSnapshot, item_names},
    keep::{Decision, Kept, Unit, beyond},
    keeping::Keeping,
    orphan::OrphanWhy,
    params::{MOST_MAILS, SnapshotParams},
    pattern::{BadPattern, LONGEST_NAME, Pattern},
    restored::{InPlaceParams, InPlaceResult, SAFETY},
    when::{BadWhen, Chosen, When},
};
