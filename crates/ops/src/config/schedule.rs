//! A schedule in the text of the configuration.
//!
//! Lives here: its keys and what they refer to. May not: what a cron expression means (`schedules::Draft` checks that).

use std::collections::HashMap;

use domain::{
    field::FieldError,
    instance::SnapshotParams,
    schedule::{Misfire, ScheduleKind},
    work::Selection,
};

use engine::job::SourceConfig;

use super::{
    ServiceConfig,
    keys::{MOST_KEPT, SCHEDULE, or, shown},
    read::{Names, Seen, reference, unique_name},
    walk::{Fields, Text, Walk},
    yaml::Node,
};
use crate::{OpsError, schedules::Draft};

/// Keys that say what a schedule is for, and the kinds that take each.
const TARGETS: [(&str, &[ScheduleKind]); 3] = [
    ("service", &[ScheduleKind::Backup, ScheduleKind::RestoreTest]),
    ("source", &[ScheduleKind::Backup]),
    ("repository", &[ScheduleKind::Check, ScheduleKind::Prune]),
];

/// Keys of backups of instances, with CERN's names.
const OF_INSTANCES: [&str; 7] = ["instance", "pattern", "max_snapshots", "wait", "instance_stop", "to_addr_success", "to_addr_error"];
/// The most receivers that are read; how many there may be is said with the others' mistakes.
const MOST_MAILS: usize = 1_000;

/// What the file has so far.
pub struct Known<'k, 'a> {
    pub services: &'k [ServiceConfig],
    /// Names of services, also of those with a mistake in them.
    pub names: &'k Names<'a>,
    pub repositories: &'k HashMap<&'a str, Seen>,
}

pub fn schedule<'a>(walk: &mut Walk, node: &'a Node, names: &mut Names<'a>, known: &Known<'_, 'a>) -> Option<Draft> {
    let fields = walk.fields(node, &SCHEDULE)?;
    let name = unique_name(walk, &fields, names, "schedule");
    let kind = walk.required_text(&fields, "kind").and_then(|t| word(walk, t, "kind", ScheduleKind::ALL, ScheduleKind::as_str));
    let cron = walk.required_text(&fields, "cron").map(|t| t.text.to_owned());
    let zone = walk.required_text(&fields, "zone").map(|t| t.text.to_owned());
    let jitter_s = walk.span(&fields, "jitter");
    let max_duration_s = walk.span(&fields, "max_duration");
    let misfire = match walk.optional_text(&fields, "misfire") {
        Some(text) => word(walk, text, "misfire", Misfire::ALL, Misfire::as_str),
        None => Some(Misfire::Once),
    };
    let selection = walk.optional_text(&fields, "sample").map(|t| selection(walk, t));
    let read_data = walk.optional_text(&fields, "read_data").map(|t| truth(walk, t, "read_data"));
    let runs_a_day = walk.optional_text(&fields, "runs_a_day").and_then(|t| number(walk, t, "runs_a_day"));
    let kind = kind?;
    let definition = walk.optional_text(&fields, "definition").map(|t| t.text.to_owned());
    if let (Some(entry), Some(_)) = (fields.get("sample"), &definition) {
        walk.say(entry.at, "“sample” is what the definition says; remove it, or remove “definition”");
    }
    let of_tests = ScheduleKind::RestoreTest;
    for (key, wants, what) in [("sample", of_tests, "restore tests"), ("definition", of_tests, "restore tests"), ("read_data", ScheduleKind::Check, "checks")] {
        if let (Some(entry), true) = (fields.get(key), kind != wants) {
            walk.say(entry.at, format!("“{key}” is for {what}; remove it"));
        }
    }
    let of = target(walk, &fields, kind, known);
    let snapshot = snapshot(walk, &fields, of.as_deref().filter(|_| kind == ScheduleKind::Backup), known)?;
    let draft = Draft {
        name: name?.text.to_owned(),
        kind,
        of: of?,
        selection: selection.unwrap_or(Some(Draft::default().selection))?,
        definition,
        read_data: read_data.unwrap_or(Some(false))?,
        cron: cron?,
        zone: zone?,
        jitter_s: jitter_s.unwrap_or(0),
        max_duration_s,
        misfire: misfire?,
        runs_a_day,
        snapshot,
    };
    if let Err(OpsError::Invalid(wrong)) = draft.check(None) {
        for FieldError { field, message } in wrong {
            let at = fields.get(&field).map_or(fields.at, |entry| entry.value.at);
            match field.as_str() {
                "runs_a_day" => {
                    let a_day = crate::cron::Cron::parse(&draft.cron).map_or(0, |c| c.runs_a_day());
                    let at = fields.get("cron").map_or(at, |entry| entry.value.at);
                    walk.say(at, format!("{message}, by runs_a_day: {a_day}"));
                }
                "cron" => walk.say(at, format!("the cron expression {message}")),
                _ => walk.say(at, format!("“{field}”: {message}")),
            }
        }
        return None;
    }
    Some(draft)
}

/// How instances are snapshotted: `Some(None)` where nothing is said of it, `None` where something is wrong.
#[allow(clippy::option_option, reason = "a mistake, nothing said, and what was said are three things")]
fn snapshot(walk: &mut Walk, fields: &Fields<'_>, of: Option<&str>, known: &Known<'_, '_>) -> Option<Option<SnapshotParams>> {
    let Some(first) = OF_INSTANCES.iter().find_map(|key| fields.get(key)) else { return Some(None) };
    let (service, source) = of.map_or(("", None), |of| of.split_once('/').map_or((of, None), |(service, source)| (service, Some(source))));
    let sources = known.services.iter().filter(|s| s.name == service).flat_map(|s| &s.sources);
    let instances = sources.filter(|s| source.is_none_or(|name| s.name == name)).any(|s| matches!(s.config, SourceConfig::OpenstackInstance(_)));
    if !instances {
        // A target with a mistake of its own was told.
        if of.is_some() || fields.get("repository").is_some() {
            walk.say(first.at, format!("“{}” is for backups of a source of kind openstack-instance; remove it", first.key));
        }
        return None;
    }
    if let (Some(entry), None) = (fields.get("instance"), source) {
        walk.say(entry.at, "“instance” is one of a source; write source: SERVICE/SOURCE instead of “service”, or remove it for all");
        return None;
    }
    let mut asked = SnapshotParams::default();
    let text = |walk: &mut Walk, key: &str| walk.optional_text(fields, key).map(|t| t.text.to_owned());
    asked.instance = text(walk, "instance").unwrap_or(asked.instance);
    asked.pattern = text(walk, "pattern").unwrap_or(asked.pattern);
    if let Some(n) = walk.whole(fields, "max_snapshots", 0..=MOST_KEPT) {
        asked.max_snapshots = u32::try_from(n).unwrap_or(u32::MAX);
    }
    for (key, value) in [("wait", &mut asked.wait), ("instance_stop", &mut asked.instance_stop)] {
        if let Some(t) = walk.optional_text(fields, key) {
            *value = truth(walk, t, key)?;
        }
    }
    for (key, value) in [("to_addr_success", &mut asked.to_addr_success), ("to_addr_error", &mut asked.to_addr_error)] {
        if let Some(entry) = fields.get(key) {
            *value = walk.texts(fields, entry, MOST_MAILS);
        }
    }
    Some(Some(asked))
}

/// The one thing it is for.
fn target<'a>(walk: &mut Walk, fields: &Fields<'a>, kind: ScheduleKind, known: &Known<'_, 'a>) -> Option<String> {
    let fitting: Vec<&str> = TARGETS.iter().filter(|(_, kinds)| kinds.contains(&kind)).map(|(key, _)| *key).collect();
    let given: Vec<_> = TARGETS.iter().filter_map(|(key, _)| Some((*key, fields.get(key)?))).collect();
    let (key, entry) = match given.as_slice() {
        [] => {
            walk.say(fields.at, format!("a schedule of kind {kind} needs {}; add {}", or(&fitting), SCHEDULE.example(fitting[0])));
            return None;
        }
        [one] => *one,
        [_, (key, second), ..] => {
            walk.say(second.at, format!("“{key}” is one too many; a schedule is for one thing, make another one"));
            return None;
        }
    };
    if !fitting.contains(&key) {
        walk.say(entry.at, format!("“{key}” is not for a schedule of kind {kind}; it takes {}", or(&fitting)));
        return None;
    }
    let Text { at, text } = walk.text(fields, entry)?;
    if key == "repository" {
        return reference(walk, Text { at, text }, known.repositories).map(|(name, _)| name.to_owned());
    }
    let (service, source) = text.split_once('/').map_or((text, None), |(service, source)| (service, Some(source)));
    let Some(found) = known.services.iter().find(|s| s.name == service) else {
        if known.names.contains_key(service) {
            // It has a mistake of its own, which was told.
            return None;
        }
        let remedy = domain::naming::nearest(service, known.names.keys().copied())
            .map_or_else(|| "add it to the list of services, in this file".to_owned(), |meant| format!("did you mean “{meant}”?"));
        walk.say(at, format!("there is no service {}; {remedy}", shown(service)));
        return None;
    };
    match (key, source) {
        ("service", None) => Some(text.to_owned()),
        ("source", Some(source)) if found.sources.iter().any(|s| s.name == source) => Some(text.to_owned()),
        ("source", Some(source)) => {
            let known: Vec<_> = found.sources.iter().map(|s| s.name.as_str()).collect();
            walk.say(at, format!("service {service} has no source {}; it has {}", shown(source), or(&known)));
            None
        }
        ("source", None) => {
            walk.say(at, format!("“source” names a service and its source; write {service}/{}", found.sources.first().map_or("homes", |s| s.name.as_str())));
            None
        }
        _ => {
            walk.say(at, format!("“service” names a service alone; write service: {service}, or source: {}", text.trim()));
            None
        }
    }
}

fn word<T: Copy>(walk: &mut Walk, Text { at, text }: Text<'_>, key: &str, all: &[T], name: impl Fn(T) -> &'static str) -> Option<T> {
    let found = all.iter().copied().find(|t| name(*t) == text);
    if found.is_none() {
        let known: Vec<_> = all.iter().map(|t| name(*t)).collect();
        walk.say(at, format!("“{key}”: {} is not known; write {}", shown(text), or(&known)));
    }
    found
}

pub(super) fn selection(walk: &mut Walk, Text { at, text }: Text<'_>) -> Option<Selection> {
    match text {
        "latest" => Some(Selection::Latest),
        "all" => Some(Selection::All),
        n => {
            let count = n.parse().ok().filter(|n| (1..=10_000).contains(n));
            if count.is_none() {
                walk.say(at, format!("“sample”: {} is not known; write a number of items from 1 to 10000, latest or all", shown(text)));
            }
            count.map(|count| Selection::Sample { count })
        }
    }
}

fn truth(walk: &mut Walk, Text { at, text }: Text<'_>, key: &str) -> Option<bool> {
    let found = match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    };
    if found.is_none() {
        walk.say(at, format!("“{key}” must be true or false"));
    }
    found
}

fn number(walk: &mut Walk, Text { at, text }: Text<'_>, key: &str) -> Option<i64> {
    let found = text.parse().ok();
    if found.is_none() {
        walk.say(at, format!("“{key}” must be a number; {} is none", shown(text)));
    }
    found
}
