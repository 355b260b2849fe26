//! What applying a configuration changes, field by field, in the words of the file.
//!
//! Lives here: the answer of `apply`, and the comparison of what is configured before and after. May not: the database.
//! Invariant: what is told is what the records say before and after, not what was meant; a secret shows as its reference.

use std::collections::HashMap;

use super::{
    fields::{Fields, Thing},
    write::flow,
};

/// What a configuration did, or would do; each list in the order in which it is applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Applied {
    pub created: Vec<Subject>,
    pub changed: Vec<Subject>,
    /// Taken out of use: the file has a list of all of them, without these.
    pub removed: Vec<Subject>,
    pub unchanged: Vec<Subject>,
    /// Configured, not named by the file, and as it was.
    pub left_alone: Vec<Subject>,
}

/// One thing of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Subject {
    /// `repository`, `policy`, `service`, `source`, `test_definition`, `schedule`, `channel`, `rule`, `heartbeat`, `address` or `provider`.
    pub entity: &'static str,
    /// A source is named `service/source`.
    pub name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
}

/// A key whose value is another one.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    pub key: &'static str,
    /// As the file writes it; `None` where it is not there.
    pub was: Option<String>,
    pub will_be: Option<String>,
}

impl Difference {
    /// `24h → 12h`.
    pub fn words(&self) -> String {
        match (&self.was, &self.will_be) {
            (None, Some(new)) => new.clone(),
            (Some(old), None) => format!("{old} → none"),
            (old, new) => format!("{} → {}", old.as_deref().unwrap_or("none"), new.as_deref().unwrap_or("none")),
        }
    }
}

impl Subject {
    pub fn new(entity: &'static str, name: impl Into<String>) -> Self {
        Self { entity, name: name.into(), differences: Vec::new() }
    }
}

impl Applied {
    /// Whether anything is other than before.
    pub fn is_nothing(&self) -> bool {
        self.created.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }

    /// Fills in the differences, and what was left alone, from what is configured before and after and what the file names.
    pub(super) fn compare(&mut self, before: &[Thing], after: &[Thing], named: &[Thing]) {
        let (old, new, file) = (by_name(before), by_name(after), by_name(named));
        for subject in self.created.iter_mut().chain(&mut self.changed).chain(&mut self.removed) {
            let key = key(subject.entity, &subject.name);
            subject.differences = differences(old.get(&key).copied(), new.get(&key).copied());
        }
        let left = after.iter().filter(|t| !file.contains_key(&key(t.entity, &t.name)));
        self.left_alone = left.map(|t| Subject::new(t.entity, t.name.clone())).collect();
    }
}

/// There is one address, whatever it is.
fn key<'a>(entity: &'static str, name: &'a str) -> (&'static str, &'a str) {
    (entity, if entity == "address" { "" } else { name })
}

fn by_name(things: &[Thing]) -> HashMap<(&'static str, &str), &Fields> {
    things.iter().map(|t| (key(t.entity, &t.name), &t.fields)).collect()
}

fn differences(old: Option<&Fields>, new: Option<&Fields>) -> Vec<Difference> {
    let value = |of: Option<&Fields>, key: &str| of.and_then(|f| f.iter().find(|(k, _)| *k == key)).map(|(_, value)| flow(value));
    let mut keys: Vec<&'static str> = new.into_iter().chain(old).flatten().map(|(key, _)| *key).collect();
    let mut seen = Vec::new();
    keys.retain(|key| {
        !seen.contains(key) && {
            seen.push(*key);
            true
        }
    });
    let all = keys.into_iter().map(|key| Difference { key, was: value(old, key), will_be: value(new, key) });
    all.filter(|d| d.was != d.will_be).collect()
}
