//! What a clone of an instance is asked for, and what it came to (R23).
//!
//! Lives here: the parameters with CERN's names and defaults, what is wrong with them, the default name.
//! May not: which snapshots, flavours and networks there are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Flavour, SnapshotParams, When};
use crate::{
    field::FieldError,
    id::{CloneId, SnapshotId},
    units::Timestamp,
};

/// How long a clone stands where nothing is said, and at most, in days.
pub const CLONE_DAYS: u32 = 7;
pub const MOST_CLONE_DAYS: u32 = 365;
/// The longest name and the longest value of metadata that Nova takes.
const LONGEST: usize = 255;
/// Metadata that a request may change, and networks that it may name.
const MOST: usize = 100;
/// What Holdfast marks its own things with; nobody else sets it.
pub const MARK: &str = "holdfast_";
/// Metadata of a clone that a restore test has made: the run's id. It is none of a source's instances.
pub const TESTED: &str = "holdfast_test";
/// Metadata of every clone and of its volumes: the run's id. Nor is it one of a source's instances.
pub const CLONED: &str = "holdfast_clone";

/// Which networks a clone gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Networks {
    /// Those of the instance when the snapshot was taken, with new addresses.
    #[default]
    Same,
    /// None at all.
    None,
    /// These, by id or name.
    These(Vec<String>),
}

/// What a clone was asked for. Empty texts mean what the instance had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloneParams {
    /// Chosen when the run was queued; nothing newer takes its place.
    pub snapshot: SnapshotId,
    pub instance: String,
    pub clone_name: String,
    #[serde(default)]
    pub availability_zone: String,
    /// A name or an id.
    #[serde(default)]
    pub flavour: String,
    /// What differs from the instance's metadata, all of which is copied; `None` leaves a key out.
    #[serde(default)]
    pub metadata: BTreeMap<String, Option<String>>,
    #[serde(default)]
    pub networks: Networks,
    /// Days until it is deleted.
    pub days: u32,
    /// Wait until it runs. Otherwise the run ends when the cloud has accepted it.
    pub wait: bool,
    /// What is called when it runs, by its name in the file of `--test-tools`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<String>,
    #[serde(default)]
    pub to_addr_success: Vec<String>,
    #[serde(default)]
    pub to_addr_error: Vec<String>,
}

impl CloneParams {
    pub fn new(snapshot: SnapshotId, instance: impl Into<String>, clone_name: impl Into<String>) -> Self {
        Self {
            snapshot,
            instance: instance.into(),
            clone_name: clone_name.into(),
            availability_zone: String::new(),
            flavour: String::new(),
            metadata: BTreeMap::new(),
            networks: Networks::Same,
            days: CLONE_DAYS,
            wait: true,
            hook: None,
            to_addr_success: Vec::new(),
            to_addr_error: Vec::new(),
        }
    }

    /// Every field that cannot be used, with its remedy.
    pub fn check(&self) -> Vec<FieldError> {
        let mut found = Vec::new();
        let mut say = |field: &str, message: String| found.push(FieldError::new(field, message));
        if self.clone_name.is_empty() {
            say("clone_name", "is empty; leave it out for the default name, or give one".to_owned());
        }
        for (field, text) in [("clone_name", &self.clone_name), ("availability_zone", &self.availability_zone), ("flavour", &self.flavour)] {
            if let Some(problem) = text_problem(text) {
                say(field, problem.to_owned());
            }
        }
        if self.metadata.len() > MOST {
            say("metadata", format!("changes more than {MOST} keys; clone first and change the clone"));
        }
        for (key, value) in &self.metadata {
            let short: String = key.chars().take(60).filter(|c| !c.is_control()).collect();
            if key.is_empty() {
                say("metadata", "has an empty key; name it".to_owned());
            } else if key.starts_with(MARK) {
                say("metadata", format!("“{short}” begins with {MARK}, which Holdfast sets itself; choose another key"));
            } else if let Some(problem) = text_problem(key).or_else(|| value.as_deref().and_then(text_problem)) {
                say("metadata", format!("“{short}” {problem}"));
            }
        }
        if let Networks::These(names) = &self.networks {
            if names.is_empty() {
                say("networks", "is empty; name a network, or choose none".to_owned());
            } else if names.len() > MOST {
                say("networks", format!("names more than {MOST} networks; name fewer"));
            }
            if names.iter().any(|n| n.is_empty() || text_problem(n).is_some()) {
                say("networks", "holds an empty or unreadable name; give the id or the name of each network".to_owned());
            }
        }
        if !(1..=MOST_CLONE_DAYS).contains(&self.days) {
            say("days", format!("must be from 1 to {MOST_CLONE_DAYS}; a clone that stands can be given more time"));
        }
        if self.hook.is_some() && !self.wait {
            say("hook", "is called when the clone runs; wait for it, or leave the hook out".to_owned());
        }
        found.extend(mail_problems(&self.to_addr_success, &self.to_addr_error));
        found
    }

    /// The metadata of the clone, before Holdfast's own marks: what the instance had, with what differs.
    pub fn metadata_over(&self, had: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut all: BTreeMap<String, String> = had.iter().filter(|(k, _)| !k.starts_with(MARK)).map(|(k, v)| (k.clone(), v.clone())).collect();
        for (key, value) in &self.metadata {
            match value {
                Some(value) => all.insert(key.clone(), value.clone()),
                None => all.remove(key),
            };
        }
        all
    }
}

/// What is wrong with the receivers, as with those of a snapshot.
pub(super) fn mail_problems(success: &[String], error: &[String]) -> Vec<FieldError> {
    SnapshotParams { to_addr_success: success.to_vec(), to_addr_error: error.to_vec(), ..SnapshotParams::default() }.check()
}

fn text_problem(text: &str) -> Option<&'static str> {
    if text.chars().count() > LONGEST {
        Some("is longer than 255 characters; shorten it")
    } else if text.contains(char::is_control) {
        Some("holds a line break or another control character; remove it")
    } else if text.trim() != text {
        Some("begins or ends with a space; remove it")
    } else {
        None
    }
}

/// The name of a clone where none is given: `INSTANCE_clone_YYYYMMDDHHMM`, shortened in the instance's part where it must be.
pub fn clone_name(instance: &str, at: Timestamp) -> String {
    let tail = format!("_clone_{}", When::Minute(at));
    let room = LONGEST - tail.chars().count();
    let head: String = instance.chars().take(room).collect();
    format!("{head}{tail}")
}

/// A volume that was made for a clone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CloneVolume {
    pub id: String,
    pub name: String,
    pub size_gb: i64,
    /// Where it is attached, such as `/dev/vdb`.
    pub device: Option<String>,
    pub root: bool,
}

/// What a clone came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CloneResult {
    pub clone: Option<CloneId>,
    /// The server's id in the cloud.
    pub server: String,
    pub name: String,
    pub status: String,
    pub addresses: Vec<String>,
    pub flavour: Flavour,
    pub volumes: Vec<CloneVolume>,
    pub expires_at: Timestamp,
    /// Seconds from the order to the server's running; absent where nobody waited.
    pub ready_s: Option<f64>,
    /// What of the instance could not be taken over, a sentence each.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// What the hook said.
    #[serde(default)]
    pub hook: Option<String>,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn params() -> CloneParams {
        CloneParams::new(SnapshotId(Uuid::nil()), "web", "web_clone_202601010000")
    }

    fn wrong(p: &CloneParams) -> Vec<String> {
        p.check().into_iter().map(|e| format!("{}: {}", e.field, e.message)).collect()
    }

    #[test]
    fn each_field_that_cannot_be_used_is_named_with_its_remedy() {
        assert_eq!(wrong(&params()), Vec::<String>::new());
        for (change, want) in [
            ((|p| p.clone_name.clear()) as fn(&mut CloneParams), "clone_name: is empty"),
            (|p| p.clone_name = "x".repeat(256), "clone_name: is longer than 255"),
            (|p| p.flavour = "a\nb".into(), "flavour: holds a line break"),
            (|p| p.availability_zone = " nova".into(), "availability_zone: begins or ends with a space"),
            (|p| drop(p.metadata.insert("holdfast_clone".into(), None)), "metadata: “holdfast_clone” begins with holdfast_"),
            (|p| drop(p.metadata.insert(String::new(), None)), "metadata: has an empty key"),
            (|p| drop(p.metadata.insert("a".into(), Some("x".repeat(256)))), "metadata: “a” is longer"),
            (|p| p.networks = Networks::These(vec![]), "networks: is empty"),
            (|p| p.networks = Networks::These(vec![String::new()]), "networks: holds an empty"),
            (|p| p.days = 0, "days: must be from 1 to 365"),
            (|p| p.days = 366, "days: must be from 1 to 365"),
            (
                |p| {
                    p.wait = false;
                    p.hook = Some("dns".into());
                },
                "hook: is called when the clone runs",
            ),
            (|p| p.to_addr_error = vec!["nobody".into()], "to_addr_error: “nobody”"),
        ] {
            let mut p = params();
            change(&mut p);
            let all = wrong(&p);
            assert!(all.len() == 1 && all[0].starts_with(want), "{want}: {all:?}");
        }
    }

    #[test]
    fn metadata_is_copied_but_for_what_differs_and_for_marks() {
        let had = BTreeMap::from([("role", "web"), ("stage", "prod"), ("gone", "x"), ("holdfast_clone", "old")].map(|(k, v)| (k.to_owned(), v.to_owned())));
        let mut p = params();
        p.metadata = BTreeMap::from([("stage".to_owned(), Some("test".to_owned())), ("gone".to_owned(), None), ("new".to_owned(), Some("1".to_owned()))]);
        let all: Vec<String> = p.metadata_over(&had).into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(all, ["new=1", "role=web", "stage=test"]);
    }

    #[test]
    fn the_default_name_has_the_instance_and_the_minute_and_fits() {
        let at = Timestamp::from_secs(1_767_225_599);
        assert_eq!(clone_name("web", at), "web_clone_202512312359");
        let long = clone_name(&"ü".repeat(300), at);
        assert!(long.chars().count() == 255 && long.ends_with("_clone_202512312359"), "{long}");
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let mut p = params();
        p.networks = Networks::These(vec!["lab-net".into()]);
        let text = serde_json::to_string(&p).unwrap();
        assert_eq!(serde_json::from_str::<CloneParams>(&text).unwrap(), p);
        let least = format!(r#"{{"snapshot": "{}", "instance": "web", "clone_name": "c", "days": 7, "wait": true}}"#, Uuid::nil());
        assert_eq!(serde_json::from_str::<CloneParams>(&least).unwrap().networks, Networks::Same);
    }
}
