//! What each thing says, by the keys of the file: what is written, and what is compared.
//!
//! Lives here: one function a kind of thing. May not: text, the database, secrets (a secret shows as its reference).
//! Invariant: a field that is added to a type must stand here, too: each type is taken apart whole.

use domain::{
    access::{Grant, Provider, RoleRule},
    instance::SnapshotParams,
    schedule::ScheduleKind,
    work::Selection,
};
use engine::job::{DirectoryConfig, DirectoryItems, InstanceConfig, SourceConfig};
use serde_json::{Map, Value, json};
use store::{
    policies::NewPolicy,
    repositories::{NewRepository, SecretRef, StorageOptions},
    services::Canary,
};

use super::{
    ChannelConfig, Config, HeartbeatConfig, NamedSource, NotificationsConfig, ProviderConfig, ServiceConfig,
    keys::{CHANNEL, Level, POLICY, REPOSITORY},
    notifications::taken,
    restore_tests,
};
use crate::{notifications::rules::NewRule, schedules::Draft};

/// Keys with their values in the order of the file. What is empty says nothing.
pub type Fields = Vec<(&'static str, Value)>;

/// Stands where a reference would stand if the secret had one.
const SEALED: &str = "sealed";

/// One thing of a configuration.
pub struct Thing {
    /// As [`super::Subject`] has it.
    pub entity: &'static str,
    pub name: String,
    pub fields: Fields,
}

/// Every thing of a configuration, in the order in which it is applied.
pub fn things(config: &Config) -> Vec<Thing> {
    let Config { repositories, policies, services, schedules, notifications, providers } = config;
    let NotificationsConfig { address, channels, rules, heartbeats } = notifications;
    let thing = |entity, name: &str, mut fields: Fields| {
        fields.retain(|(key, value)| *key != "name" && !is_empty(value));
        Thing { entity, name: name.to_owned(), fields }
    };
    let mut all: Vec<Thing> = repositories.iter().map(|r| thing("repository", &r.name, repository(r))).collect();
    all.extend(policies.iter().map(|p| thing("policy", &p.name, policy(p))));
    for s in services {
        all.push(thing("service", &s.name, service(s)));
        all.extend((1..).zip(&s.sources).map(|(place, of)| {
            let mut fields = source(of);
            fields.push(("place", json!(place)));
            thing("source", &format!("{}/{}", s.name, of.name), fields)
        }));
        all.extend(s.tests.iter().map(|t| thing("test_definition", &format!("{}/{}", s.name, t.name), restore_tests::said(t))));
    }
    all.extend(address.iter().map(|a| thing("address", a, vec![("address", json!(a))])));
    all.extend(channels.iter().map(|c| thing("channel", &c.name, channel(c))));
    all.extend(rules.iter().map(|r| thing("rule", &r.name, rule(r))));
    all.extend(heartbeats.iter().map(|h| thing("heartbeat", &h.name, heartbeat(h))));
    for p in providers.iter().flatten() {
        let roles: Vec<Value> = p.config.roles.iter().map(|r| Value::Object(role(r).into_iter().map(|(k, v)| (k.to_owned(), v)).collect())).collect();
        let mut fields = provider(p);
        fields.push(("roles", roles.into()));
        all.push(thing("provider", &p.name, fields));
    }
    all.extend(schedules.iter().map(|s| thing("schedule", &s.name, schedule(s))));
    all
}

/// Whether a value says nothing, as if its key were not there.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// A span as people write it: in the largest unit that fits, days from two on.
pub(super) fn span(seconds: Option<i64>) -> Value {
    let Some(s) = seconds else { return Value::Null };
    let fits = [("d", 86_400, 2 * 86_400), ("h", 3_600, 3_600), ("m", 60, 60)].into_iter().find(|(_, n, from)| s % n == 0 && s >= *from);
    fits.map_or_else(|| format!("{s}s"), |(unit, n, _)| format!("{}{unit}", s / n)).into()
}

fn secret(reference: &SecretRef) -> Value {
    match reference {
        SecretRef::File(path) => json!({ "file": path }),
        SecretRef::Env(name) => json!({ "env": name }),
        SecretRef::Sealed(_) => json!({ SEALED: true }),
    }
}

/// The first key whose secret was typed in a page, so that no file can hold it.
pub fn sealed(fields: &Fields) -> Option<&'static str> {
    fields.iter().find(|(_, value)| value.get(SEALED).is_some()).map(|(key, _)| *key)
}

/// A key of the configuration that a map holds; what the configuration does not know is a mistake that tests find.
fn key(level: &Level, name: &str) -> Option<&'static str> {
    level.keys.iter().map(|k| k.0).find(|k| *k == name)
}

pub fn repository(NewRepository { name, location, options, password, max_parallel, read_all_within_s }: &NewRepository) -> Fields {
    let StorageOptions { plain, secret: secrets } = options;
    // What a file of clouds says is not said again.
    let from_file = plain.contains_key("clouds_file");
    let mut fields = vec![("name", json!(name)), ("location", if from_file { Value::Null } else { json!(location) })];
    // `allow_http` follows from the endpoint.
    fields.extend(plain.iter().filter_map(|(k, value)| Some((key(&REPOSITORY, k)?, json!(value)))));
    fields.extend(secrets.iter().filter_map(|(k, reference)| Some((key(&REPOSITORY, k)?, secret(reference)))));
    fields.extend([
        ("password", if from_file { Value::Null } else { secret(password) }),
        ("max_parallel", json!(max_parallel)),
        ("read_all_within", span(*read_all_within_s)),
    ]);
    fields
}

pub fn policy(NewPolicy { name, rules }: &NewPolicy) -> Fields {
    let mut fields = vec![("name", json!(name))];
    let Ok(Value::Object(rules)) = serde_json::to_value(rules) else { return fields };
    fields.extend(object(&POLICY, rules).into_iter().filter(|(_, value)| *value != json!(0)));
    fields
}

pub fn service(ServiceConfig { name, title, owner, rpo_s, rto_s, mtpod_s, canary, sources: _, tests: _ }: &ServiceConfig) -> Fields {
    let canary = canary.as_ref().map(|Canary { item, path, sha256 }| json!({ "item": item, "path": path, "sha256": sha256 }));
    vec![
        ("name", json!(name)),
        ("title", json!(title)),
        ("owner", json!(owner)),
        ("rpo", span(*rpo_s)),
        ("rto", span(*rto_s)),
        ("mtpod", span(*mtpod_s)),
        ("canary", json!(canary)),
    ]
}

pub fn source(NamedSource { name, repository, policy, config }: &NamedSource) -> Fields {
    let mut fields = vec![("name", json!(name))];
    match config {
        SourceConfig::Directory(DirectoryConfig { path, items, exclude: _ }) => fields.extend([
            ("kind", json!("directory")),
            ("path", json!(path.to_string_lossy())),
            ("items", json!(if *items == DirectoryItems::Children { "children" } else { "self" })),
        ]),
        SourceConfig::OpenstackInstance(InstanceConfig { instances, offsite }) => {
            fields.extend([("kind", json!("openstack-instance")), ("instances", json!(instances)), ("offsite", json!(offsite))]);
        }
    }
    fields.extend([("repository", json!(repository)), ("policy", json!(policy))]);
    if let SourceConfig::Directory(DirectoryConfig { exclude, .. }) = config {
        fields.push(("exclude", json!(exclude)));
    }
    fields
}

pub fn schedule(draft: &Draft) -> Fields {
    let Draft { name, kind, of, selection, definition, read_data, cron, zone, jitter_s, max_duration_s, misfire, runs_a_day, snapshot } = draft;
    let target = match kind {
        ScheduleKind::Check | ScheduleKind::Prune => "repository",
        ScheduleKind::Backup | ScheduleKind::RestoreTest if of.contains('/') => "source",
        ScheduleKind::Backup | ScheduleKind::RestoreTest => "service",
    };
    let sample = match selection {
        _ if *kind != ScheduleKind::RestoreTest || definition.is_some() => Value::Null,
        // Only a definition takes one: see `Draft::check`.
        Selection::Random { .. } => Value::Null,
        Selection::Latest => json!("latest"),
        Selection::All => json!("all"),
        Selection::Sample { count } => json!(count),
    };
    let mut fields = vec![
        ("name", json!(name)),
        ("kind", json!(kind.as_str())),
        (target, json!(of)),
        ("cron", json!(cron)),
        ("zone", json!(zone)),
        ("jitter", span(Some(*jitter_s).filter(|s| *s > 0))),
        ("max_duration", span(*max_duration_s)),
        ("misfire", json!(misfire.as_str())),
        ("sample", sample),
        ("definition", json!(definition)),
        ("read_data", if *kind == ScheduleKind::Check { json!(read_data) } else { Value::Null }),
        ("runs_a_day", json!(runs_a_day)),
    ];
    if let Some(asked) = snapshot {
        let SnapshotParams { instance, pattern, max_snapshots, wait, instance_stop, to_addr_success, to_addr_error } = asked;
        fields.extend([
            ("instance", json!(instance)),
            ("pattern", json!(pattern)),
            ("max_snapshots", json!(max_snapshots)),
            ("wait", json!(wait)),
            ("instance_stop", json!(instance_stop)),
            ("to_addr_success", json!(to_addr_success)),
            ("to_addr_error", json!(to_addr_error)),
        ]);
    }
    fields
}

pub fn channel(ChannelConfig { name, kind, options, secrets }: &ChannelConfig) -> Fields {
    let mut fields = vec![("name", json!(name)), ("kind", json!(kind.as_str()))];
    if let Ok(Value::Object(options)) = serde_json::to_value(options) {
        fields.extend(object(&CHANNEL, options));
    }
    fields.extend(secrets.iter().filter_map(|(k, reference)| Some((key(&CHANNEL, k)?, secret(reference)))));
    // The host of an address that was typed is kept for showing it.
    fields.retain(|(key, _)| matches!(*key, "name" | "kind") || taken(*kind).contains(key));
    fields
}

pub fn rule(NewRule { name, channels, what }: &NewRule) -> Fields {
    let domain::alert::rule::Rule { severity, kinds, services, schedules, success, remind_s } = what;
    vec![
        ("name", json!(name)),
        ("channels", json!(channels)),
        ("severity", json!(severity.as_str())),
        ("alerts", json!(kinds.iter().map(|k| k.as_str()).collect::<Vec<_>>())),
        ("services", json!(services)),
        ("schedules", json!(schedules)),
        ("success", json!(success)),
        ("remind", span(*remind_s)),
    ]
}

pub fn provider(ProviderConfig { name, config, client_secret }: &ProviderConfig) -> Fields {
    let Provider { title, issuer, client_id, scopes, person, data, assurance, roles: _, refresh_s } = config;
    vec![
        ("name", json!(name)),
        ("title", json!(title)),
        ("issuer", json!(issuer)),
        ("client_id", json!(client_id)),
        ("client_secret", client_secret.as_ref().map_or(Value::Null, secret)),
        ("scopes", json!(scopes)),
        ("person", json!(person)),
        ("data", json!(data)),
        ("assurance", json!(assurance)),
        ("refresh", span(Some(*refresh_s))),
    ]
}

pub fn role(RoleRule { claim, pattern, grant }: &RoleRule) -> Fields {
    let (role, service) = match grant {
        Grant::Owner { service } => ("owner".to_owned(), json!(service)),
        other => (other.to_string(), Value::Null),
    };
    vec![("claim", json!(claim)), ("pattern", json!(pattern)), ("role", json!(role)), ("service", service)]
}

pub fn heartbeat(HeartbeatConfig { name, url, every_s }: &HeartbeatConfig) -> Fields {
    vec![("name", json!(name)), ("url", secret(url)), ("every", span(Some(*every_s)))]
}

/// What a type says of itself, by the keys of the configuration.
fn object(level: &Level, map: Map<String, Value>) -> Fields {
    map.into_iter().filter_map(|(k, value)| Some((key(level, &k)?, value))).collect()
}
