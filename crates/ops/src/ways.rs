//! How something is brought back: its files by the restore of files, or a whole instance by its cloud (R16, R23, R24).
//!
//! Lives here: the one fact that says which of both. Pages and use cases ask it, and no kind of a source. May not: doing either.

use store::{services::ServiceRow, snapshots::SnapshotRow};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Packs of files, which are looked into, restored and tested by reading them.
    Files,
    /// Parts of an instance, of which its cloud makes a clone, or which take the place of its disk.
    Instance,
}

impl Way {
    pub const fn of(snapshot: &SnapshotRow) -> Self {
        if snapshot.native.is_some() { Self::Instance } else { Self::Files }
    }

    /// Of a service with both, files are first: its instances have pages of their own.
    pub const fn of_service(service: &ServiceRow) -> Self {
        if service.instances_alone { Self::Instance } else { Self::Files }
    }

    pub const fn is_files(self) -> bool {
        matches!(self, Self::Files)
    }
}
