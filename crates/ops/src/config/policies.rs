//! Policies in the configuration: rules of retention with a name (R16).
//!
//! Lives here: reading them and the references to them. May not: what the rules do (`domain::retention`).

use domain::{
    naming::nearest,
    retention::{Rules, Within},
};
use store::policies::NewPolicy;

use super::{
    keys::{POLICY, or, shown},
    walk::{Fields, Text, Walk},
    yaml::{Node, Value},
};
use crate::retention::zone;

/// No rule keeps more.
const MOST_KEPT: u32 = 100_000;
const MOST_TAGS: usize = 100;

/// One policy; its name was read by the caller.
pub fn policy(walk: &mut Walk, fields: &Fields<'_>, name: Text<'_>) -> NewPolicy {
    let rules = Rules {
        keep_last: count(walk, fields, "keep_last"),
        keep_hourly: count(walk, fields, "keep_hourly"),
        keep_daily: count(walk, fields, "keep_daily"),
        keep_weekly: count(walk, fields, "keep_weekly"),
        keep_monthly: count(walk, fields, "keep_monthly"),
        keep_yearly: count(walk, fields, "keep_yearly"),
        keep_within: within(walk, fields, "keep_within"),
        keep_within_hourly: within(walk, fields, "keep_within_hourly"),
        keep_within_daily: within(walk, fields, "keep_within_daily"),
        keep_within_weekly: within(walk, fields, "keep_within_weekly"),
        keep_within_monthly: within(walk, fields, "keep_within_monthly"),
        keep_within_yearly: within(walk, fields, "keep_within_yearly"),
        keep_tags: tags(walk, fields),
        max_snapshots: count(walk, fields, "max_snapshots"),
        time_zone: time_zone(walk, fields).unwrap_or_default(),
    };
    let given = POLICY.keys.iter().any(|(key, _)| (key.starts_with("keep_") || *key == "max_snapshots") && fields.get(key).is_some());
    if !given {
        walk.say(name.at, format!("the policy {} has no rule, so it would keep everything; add {}", shown(name.text), POLICY.example("keep_daily")));
    }
    NewPolicy { name: name.text.to_owned(), rules }
}

/// The policy that a source names.
pub fn reference(walk: &mut Walk, Text { at, text }: Text<'_>, known: &[&str]) -> Option<String> {
    if known.contains(&text) {
        return Some(text.to_owned());
    }
    let remedy = match nearest(text, known.iter().copied()) {
        Some(meant) => format!("did you mean “{meant}”?"),
        None if known.is_empty() || known.len() > 5 => "add it to the list of policies".to_owned(),
        None => format!("use {}, or add it to the list of policies", or(known)),
    };
    walk.say(at, format!("there is no policy {}; {remedy}", shown(text)));
    None
}

fn count(walk: &mut Walk, fields: &Fields<'_>, key: &str) -> u32 {
    let Some(Text { at, text }) = walk.optional_text(fields, key) else { return 0 };
    match text.parse::<u32>() {
        Ok(n) if n <= MOST_KEPT => n,
        _ => {
            walk.say(at, format!("“{key}”: {} is not a number from 0 to {MOST_KEPT}; write {}", shown(text), fields.level.example(key)));
            0
        }
    }
}

fn within(walk: &mut Walk, fields: &Fields<'_>, key: &str) -> Option<Within> {
    let Text { at, text } = walk.optional_text(fields, key)?;
    text.parse().map_err(|e| walk.say(at, format!("“{key}”: {e}"))).ok()
}

fn tags(walk: &mut Walk, fields: &Fields<'_>) -> Vec<String> {
    let Some(entry) = fields.get("keep_tags") else { return Vec::new() };
    let mut out = Vec::new();
    for node in walk.list(fields, entry, MOST_TAGS) {
        match text_of(node) {
            Some(tag) => out.push(tag),
            None => walk.say(node.at, "each entry of “keep_tags” must be a tag in quotes, such as \"keep\", or several with commas between"),
        }
    }
    out
}

fn text_of(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) if !text.contains(char::is_control) && text.split(',').all(|t| !t.trim().is_empty()) => Some(text.trim().to_owned()),
        _ => None,
    }
}

fn time_zone(walk: &mut Walk, fields: &Fields<'_>) -> Option<String> {
    let Text { at, text } = walk.optional_text(fields, "time_zone")?;
    match zone(text) {
        Ok(_) => Some(text.to_owned()),
        Err(_) => {
            walk.say(at, format!("“time_zone”: {} is not a time zone; write a name such as Europe/Berlin or UTC", shown(text)));
            None
        }
    }
}
