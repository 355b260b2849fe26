//! What a place keeps, and what can be asked of it: files in restic's format, or native snapshots in a cloud.
//!
//! Lives here: the one place that says no, and why. May not: asking permission.

use domain::instance::Keeping;
use engine::job::SourceConfig;
use store::repositories::RepositoryRow;

use crate::{OpsError, Result};

/// What needs files in restic's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Check,
    Prune,
    TamperTest,
    Kit,
    /// Keys, locks, and what is inside snapshots.
    Look,
    Restore,
    /// A copy of Holdfast itself.
    Copy,
    /// A copy of an instance's image.
    Offsite,
}

impl Need {
    pub const ALL: [Self; 8] = [Self::Check, Self::Prune, Self::TamperTest, Self::Kit, Self::Look, Self::Restore, Self::Copy, Self::Offsite];

    /// Why a cloud has none of it, and what there is instead.
    pub const fn why_not(self) -> &'static str {
        match self {
            Self::Check => "it has no packs to check; its credential and its instances are looked at every six hours",
            Self::Prune => "a native snapshot frees its space when it goes, so there is nothing to prune; max_snapshots of a schedule says how many stay",
            Self::TamperTest => "no probe can be written there; whoever holds its credential may delete snapshots, so see its roles in the cloud",
            Self::Kit => "restic cannot read native snapshots; each can be brought back with OpenStack's own tools, by its id",
            Self::Look => "native snapshots hold disks and no files that could be listed",
            Self::Restore => "native snapshots hold disks and no files; choose snapshots of a repository of files",
            Self::Copy => "a copy of Holdfast itself is made of files; choose a repository at file:// or s3://",
            Self::Offsite => "an offsite copy is made of files; choose a repository at file:// or s3://",
        }
    }
}

/// What the place keeps.
pub fn keeping(row: &RepositoryRow) -> Keeping {
    Keeping::of(&row.location)
}

/// Refuses what needs files where there are none.
///
/// # Errors
/// `Conflict`, with what there is instead.
pub fn require_files(row: &RepositoryRow, need: Need) -> Result<()> {
    match keeping(row) {
        Keeping::Files => Ok(()),
        Keeping::Cloud => Err(OpsError::Conflict(format!("{} is a cloud: {}", row.name, need.why_not()))),
    }
}

/// Why snapshots of such a source cannot go to a place, if so.
pub fn misplaced(source: &SourceConfig, repository: &str, keeping: Keeping) -> Option<String> {
    match (source, keeping) {
        (SourceConfig::Directory(_), Keeping::Cloud) => {
            Some(format!("the repository “{repository}” is a cloud, which keeps no files; name one at file:// or s3://"))
        }
        (SourceConfig::OpenstackInstance(_), Keeping::Files) => {
            Some(format!("snapshots of instances stay in their cloud, and the repository “{repository}” is none; name one at openstack+https://"))
        }
        _ => None,
    }
}
