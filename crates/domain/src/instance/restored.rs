//! What a restore of an instance in place is asked for, and what it came to (R24).
//!
//! Lives here: parameters and result. May not: what must be so before it (`inplace`).

use serde::{Deserialize, Serialize};

use super::{clone::mail_problems, inplace::Method};
use crate::{field::FieldError, id::SnapshotId};

/// What a safety snapshot is called: no pattern of a schedule reads it as its own, so none deletes it.
pub const SAFETY: &str = "{0}_safety_{1}";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InPlaceParams {
    /// Chosen when the run was queued; nothing newer takes its place.
    pub snapshot: SnapshotId,
    pub instance: String,
    /// The server's id in the cloud, so that another instance of the same name is never taken for it.
    pub server: String,
    /// Why, for whoever reads it in a year.
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub to_addr_success: Vec<String>,
    #[serde(default)]
    pub to_addr_error: Vec<String>,
}

impl InPlaceParams {
    /// Every field that cannot be used, with its remedy.
    pub fn check(&self) -> Vec<FieldError> {
        mail_problems(&self.to_addr_success, &self.to_addr_error)
    }
}

/// What a restore in place came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InPlaceResult {
    pub method: Method,
    pub server: String,
    pub name: String,
    /// Nova's word after it.
    pub status: String,
    /// They are those of before.
    pub addresses: Vec<String>,
    /// What the disk held before: a snapshot by its id, or a copy of the root volume by its name.
    pub safety: Option<SnapshotId>,
    pub safety_name: String,
    /// Seconds that it was down: from its stop to its start; of one that did not run, those of writing the disk.
    pub down_s: f64,
    /// Volumes beside the root, which stay as they are.
    #[serde(default)]
    pub untouched: Vec<String>,
    /// What of the work is left in the cloud, if anything.
    #[serde(default)]
    pub left: Vec<String>,
}
