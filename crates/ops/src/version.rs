//! Versions of what can be edited, and the check that an edit starts from the present one (R53, R61).
//!
//! Lives here: how a version is made and compared. May not: headers of HTTP and hidden fields (adapters read those).
//! Invariant: the check runs in the transaction of the change, behind the lock of the audit trail, so that of two who
//! start from the same version one is refused.
//!
//! A version is a sum of what is saved, not a time: two edits within one tick of the clock differ, and whoever finds
//! again what they have seen may go on from it.

use domain::units::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};
use store::{
    Tx,
    audit::{self, Filter},
};

use crate::{OpsError, Result};

/// Digits of a version: 128 bits.
const DIGITS: usize = 32;

/// The version of what is saved. Secrets go in as they are stored: sealed, or as the place where they are.
pub(crate) fn of(saved: &Value) -> String {
    let mut text = hex::encode(Sha256::digest(saved.to_string().as_bytes()));
    text.truncate(DIGITS);
    text
}

/// What an edit starts from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Seen {
    /// It was not said: the edit goes through whatever is there.
    #[default]
    Any,
    /// There was none: it is to be made.
    Absent,
    /// There was one.
    Present,
    /// One of these versions.
    Versions(Vec<String>),
}

impl Seen {
    /// One version, as it stands in a form; a form for something new holds none.
    pub fn in_form(version: &str) -> Self {
        if version.is_empty() { Self::Absent } else { Self::Versions(vec![version.to_owned()]) }
    }

    /// Refuses an edit that starts from something else than `present`, the version that is there.
    ///
    /// # Errors
    /// `Stale`, with who changed it last and when.
    pub(crate) async fn check(&self, tx: Tx<'_>, what: Subject<'_>, present: Option<&str>) -> Result<()> {
        let fits = match (self, present) {
            (Self::Any, _) | (Self::Absent, None) | (Self::Present, Some(_)) => true,
            (Self::Versions(seen), Some(present)) => seen.iter().any(|v| v == present),
            (Self::Absent, Some(_)) | (Self::Present | Self::Versions(_), None) => false,
        };
        if fits {
            return Ok(());
        }
        // Without an id there never was one, so nobody has changed it.
        let last = if what.id.is_empty() {
            None
        } else {
            let filter = Filter { entity: what.entity.to_owned(), entity_id: what.id, ..Filter::default() };
            audit::list(tx, &filter, i64::MAX, 1).await?.pop().map(|e| (e.actor, Timestamp(e.at)))
        };
        Err(OpsError::Stale(Stale { kind: what.words, name: what.name.to_owned(), expected: *self != Self::Absent, there: present.is_some(), last }))
    }
}

/// What is edited.
pub(crate) struct Subject<'a> {
    /// What people call it.
    pub words: &'static str,
    pub name: &'a str,
    /// How the audit trail names it; the id is empty where there never was one.
    pub entity: &'static str,
    pub id: String,
}

/// What is there is not what an edit started from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    pub kind: &'static str,
    pub name: String,
    /// Whether the edit was to change something, and not to make it.
    pub expected: bool,
    pub there: bool,
    /// Who changed it last, and when.
    pub last: Option<(String, Timestamp)>,
}

impl std::fmt::Display for Stale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, name, .. } = self;
        let last = self.last.as_ref().map_or_else(String::new, |(who, at)| format!(", last by {who} at {}", second(*at)));
        match (self.there, self.expected) {
            (true, true) => write!(f, "the {kind} “{name}” was changed since you read it{last}; read it again and repeat your change"),
            (true, false) => write!(f, "there is a {kind} “{name}” already, changed{last}; choose another name, or change that one"),
            (false, _) => write!(f, "there is no {kind} “{name}” any more{}", last.replacen("last ", "removed ", 1)),
        }
    }
}

/// A moment to the second, in UTC.
fn second(at: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.0).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests;
