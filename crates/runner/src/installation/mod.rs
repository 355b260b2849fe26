//! Holdfast's own records as a folder of files: what a copy of Holdfast itself holds (R62).
//!
//! Lives here: the manifest and the names of the files. Beside it: `write`, `read`, `due`, which starts
//! what is due, and `rebuild`, which makes an installation of a copy. May not: runs about copies (they are in `kinds`), words for a terminal.
//! Invariant: a copy can be read with stock restic and any program that reads JSON; secrets in it are sealed.

mod due;
pub mod read;
pub mod rebuild;
mod secrets;
mod write;

use domain::{id::RunId, units::Timestamp};
use serde::{Deserialize, Serialize};
use store::portable::Table;

pub use self::{
    due::watch,
    write::{Written, write},
};

/// The form of the files. A reader refuses a higher one.
pub const FORMAT: u32 = 1;

pub const MANIFEST: &str = "manifest.json";
pub const CONFIGURATION: &str = "configuration.yaml";
pub const SECRETS: &str = "secrets.sealed.json";
pub const README: &str = "README.txt";
/// The folder with one file a table.
pub const TABLES: &str = "tables";

/// Secrets of the installation itself, as files of the data folder. They are sealed into a copy.
pub const SECRET_FILES: [&str; 1] = ["server.key"];

/// What a copy says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// The program that made it.
    pub holdfast: String,
    /// The newest migration of its database.
    pub schema: i64,
    pub made_at: Timestamp,
    /// The run that made it.
    pub run: RunId,
    /// The last audit event in it, and its hash: the chain must end there when it is brought back.
    pub audit_seq: i64,
    pub audit_hash: String,
    /// The public part of the recovery key that secrets are sealed for; `None` where it holds none.
    pub sealed_for: Option<String>,
    /// In the order of bringing back.
    pub tables: Vec<Table>,
}

impl Manifest {
    pub fn rows(&self) -> i64 {
        self.tables.iter().map(|t| t.rows).sum()
    }

    pub fn bytes(&self) -> i64 {
        self.tables.iter().map(|t| t.bytes).sum()
    }
}
