//! What may be asked of a restore (R26, R27).
//!
//! Lives here: conflict modes, kinds of target, the four counts of a preview. May not: paths' meaning on a disk.

use serde::{Deserialize, Serialize};

/// What happens where the target already holds a file of that name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConflictMode {
    /// Refuse the whole restore before anything is written.
    #[default]
    Fail,
    /// Leave what is there.
    Skip,
    /// Replace what is there.
    Overwrite,
    /// Replace what is there unless its modification time is later than the snapshot's.
    KeepNewer,
}

impl ConflictMode {
    pub const ALL: [Self; 4] = [Self::Fail, Self::Skip, Self::Overwrite, Self::KeepNewer];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Skip => "skip",
            Self::Overwrite => "overwrite",
            Self::KeepNewer => "keep-newer",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|m| m.as_str() == text)
    }
}

/// Exact counts of a restore before it happens. Directories are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreCounts {
    /// Files that are not at the target yet.
    pub create: i64,
    /// Files that will take the place of another one.
    pub replace: i64,
    /// Files that are there already with the same content, mode and times.
    pub same: i64,
    /// Files that are left as they are because of the conflict mode.
    pub skip: i64,
    /// Bytes that will be written.
    pub bytes: i64,
}
