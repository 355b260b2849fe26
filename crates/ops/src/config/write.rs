//! From the typed configuration back to a text that [`super::parse`] reads.
//!
//! Lives here: writing, and collecting what is configured now. May not: secrets. A secret that is sealed with the
//! server's key cannot stand in a file, so what needs one is left out of the file and stays in the records alone.
//! Invariant: parsing what was written gives the same configuration.

use std::{collections::BTreeSet, fmt::Write as _};

use domain::{
    access::{Grant, Provider, RoleRule},
    id::{PolicyId, RepositoryId},
    schedule::ScheduleKind,
    work::Selection,
};
use engine::job::{DirectoryConfig, DirectoryItems, SourceConfig};
use serde_json::{Map, Value, json};
use store::{
    Tx, channels,
    policies::{self, NewPolicy},
    providers,
    repositories::{self, NewRepository, SecretRef, StorageOptions},
    schedules,
    services::{self, Canary},
    settings, sources,
};

use super::{ChannelConfig, Config, HeartbeatConfig, NamedSource, NotificationsConfig, ProviderConfig, ServiceConfig};
use crate::{
    OpsError, Result,
    notifications::{ADDRESS, rules::NewRule},
    runs,
    schedules::{Draft, draft_of},
};

/// Of each kind of thing at most, as `parse` has it.
const MOST: i64 = 10_000;

/// What is configured now and can stand in a file. What was removed is left out, unless a source still lies in it.
pub async fn current(mut tx: Tx<'_>) -> Result<Config> {
    let mut rows = repositories::list(tx.by_ref()).await?;
    let policies = policies::list(tx.by_ref(), MOST).await?;
    let mut config = Config::default();
    for service in services::all(tx.by_ref(), MOST).await? {
        let mut named = Vec::new();
        for source in sources::of_service(tx.by_ref(), service.id()).await?.into_iter().filter(|s| s.removed_at.is_none()) {
            if !rows.iter().any(|r| r.id == source.repository_id)
                && let Some(row) = repositories::find(tx.by_ref(), RepositoryId(source.repository_id)).await?
            {
                rows.push(row);
            }
            let repository = rows.iter().find(|r| r.id == source.repository_id).map(|r| r.name.clone());
            let repository = repository.ok_or_else(|| OpsError::not_found("repository", source.repository_id))?;
            let policy = policies.iter().find(|p| Some(p.id()) == source.policy_id.map(PolicyId)).map(|p| p.name.clone());
            let config = serde_json::from_value(source.config.0).map_err(OpsError::internal)?;
            named.push(NamedSource { name: source.name, repository, policy, config });
        }
        config.services.push(ServiceConfig {
            name: service.name,
            title: service.title,
            owner: service.owner,
            rpo_s: service.rpo_s,
            rto_s: service.rto_s,
            mtpod_s: service.mtpod_s,
            canary: service.canary.map(|c| c.0),
            sources: named,
        });
    }
    config.policies = policies.into_iter().map(|p| NewPolicy { name: p.name, rules: p.rules.0 }).collect();
    config.repositories = rows
        .into_iter()
        .map(|r| NewRepository {
            name: r.name,
            location: r.location,
            options: r.options.0,
            password: r.password.0,
            max_parallel: r.max_parallel,
            read_all_within_s: r.read_all_within_s,
        })
        .collect();
    config.schedules = drafts(tx.by_ref(), &config).await?;
    config.notifications = notifications(tx.by_ref()).await?;
    let known =
        providers::list(tx).await?.into_iter().map(|p| ProviderConfig { name: p.name, config: p.config.0, client_secret: p.client_secret.map(|s| s.0) });
    config.providers = Some(known.collect()).filter(|all: &Vec<_>| !all.is_empty());
    Ok(config)
}

/// The schedules whose service, source or repository is still configured.
async fn drafts(mut tx: Tx<'_>, config: &Config) -> Result<Vec<Draft>> {
    let (mut found, mut after) = (Vec::new(), String::new());
    let known: BTreeSet<String> = config
        .services
        .iter()
        .flat_map(|s| s.sources.iter().map(|o| format!("{}/{}", s.name, o.name)).chain([s.name.clone()]))
        .chain(config.repositories.iter().map(|r| r.name.clone()))
        .collect();
    loop {
        let page = schedules::page(tx.by_ref(), &schedules::Filter::default(), &after, runs::PAGE).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after.clone_from(&last.name);
        for row in &page {
            found.extend(Some(draft_of(row)?).filter(|d| known.contains(&d.of)));
        }
    }
}

async fn notifications(mut tx: Tx<'_>) -> Result<NotificationsConfig> {
    let mut config = NotificationsConfig { address: settings::get::<Option<String>>(tx.by_ref(), ADDRESS).await?.flatten(), ..NotificationsConfig::default() };
    for row in channels::list(tx.by_ref()).await?.into_iter().filter(|c| !c.secrets.0.values().any(is_sealed)) {
        config.channels.push(ChannelConfig { kind: row.kind()?, name: row.name, options: row.options.0, secrets: row.secrets.0 });
    }
    for row in channels::rules(tx.by_ref()).await? {
        if row.channels.0.iter().all(|name| config.channels.iter().any(|c| c.name == *name)) {
            config.rules.push(NewRule { name: row.name, channels: row.channels.0, what: row.what.0 });
        }
    }
    for row in channels::heartbeats(tx).await?.into_iter().filter(|h| !is_sealed(&h.url.0)) {
        config.heartbeats.push(HeartbeatConfig { name: row.name, url: row.url.0, every_s: row.every_s });
    }
    Ok(config)
}

const fn is_sealed(reference: &SecretRef) -> bool {
    matches!(reference, SecretRef::Sealed(_))
}

/// The configuration as a file.
pub fn write(config: &Config) -> String {
    // A field that is added must be written, too.
    let Config { repositories, policies, services, schedules, notifications, providers } = config;
    let NotificationsConfig { address, channels, rules, heartbeats } = notifications;
    let mut out = Out("version: 1\n".to_owned());
    out.list("repositories", 0, repositories.iter().map(repository).collect());
    out.list("policies", 0, policies.iter().map(policy).collect());
    if !services.is_empty() {
        out.0.push_str("services:\n");
    }
    for s in services {
        out.entry(2, service(s));
        out.list("sources", 4, s.sources.iter().map(source).collect());
    }
    out.list("schedules", 0, schedules.iter().map(schedule).collect());
    if *notifications != NotificationsConfig::default() {
        out.0.push_str("notifications:\n");
        out.entry_rest(2, &[("address", json!(address))]);
        out.list("channels", 2, channels.iter().map(channel).collect());
        out.list("rules", 2, rules.iter().map(rule).collect());
        out.list("heartbeats", 2, heartbeats.iter().map(heartbeat).collect());
    }
    if let Some(providers) = providers.as_ref().filter(|p| !p.is_empty()) {
        out.0.push_str("providers:\n");
        for p in providers {
            out.entry(2, provider(p));
            out.list("roles", 4, p.config.roles.iter().map(role).collect());
        }
    }
    out.0
}

/// Keys with their values in the order of the file. What is empty is not written.
type Fields = Vec<(&'static str, Value)>;

/// The text: keys as blocks, values in the form of JSON, which is YAML as well.
struct Out(String);

impl Out {
    fn list(&mut self, key: &str, depth: usize, entries: Vec<Fields>) {
        if !entries.is_empty() {
            writeln!(self.0, "{:depth$}{key}:", "").ok();
        }
        for fields in entries {
            self.entry(depth + 2, fields);
        }
    }

    fn entry(&mut self, depth: usize, mut fields: Fields) {
        let (key, name) = fields.remove(0);
        writeln!(self.0, "{:depth$}- {key}: {name}", "").ok();
        self.entry_rest(depth + 2, &fields);
    }

    fn entry_rest(&mut self, depth: usize, fields: &[(&str, Value)]) {
        for (key, value) in fields {
            let empty = match value {
                Value::Null => true,
                Value::Array(list) => list.is_empty(),
                Value::String(text) => text.is_empty(),
                _ => false,
            };
            if !empty {
                writeln!(self.0, "{:depth$}{key}: {value}", "").ok();
            }
        }
    }
}

fn span(seconds: Option<i64>) -> Value {
    seconds.map_or(Value::Null, |s| format!("{s}s").into())
}

fn secret(reference: &SecretRef) -> Value {
    match reference {
        SecretRef::File(path) => json!({ "file": path }),
        SecretRef::Env(name) => json!({ "env": name }),
        SecretRef::Sealed(_) => Value::Null,
    }
}

/// A key of the configuration that a map holds; what the configuration does not know is a mistake that tests find.
fn key(level: &super::keys::Level, name: &str) -> Option<&'static str> {
    level.keys.iter().map(|(k, _)| *k).find(|k| *k == name)
}

fn repository(NewRepository { name, location, options, password, max_parallel, read_all_within_s }: &NewRepository) -> Fields {
    let StorageOptions { plain, secret: secrets } = options;
    let mut fields = vec![("name", json!(name)), ("location", json!(location))];
    // `allow_http` follows from the endpoint.
    fields.extend(plain.iter().filter_map(|(k, value)| Some((key(&super::keys::REPOSITORY, k)?, json!(value)))));
    fields.extend(secrets.iter().filter_map(|(k, reference)| Some((key(&super::keys::REPOSITORY, k)?, secret(reference)))));
    fields.extend([("password", secret(password)), ("max_parallel", json!(max_parallel)), ("read_all_within", span(*read_all_within_s))]);
    fields
}

fn policy(NewPolicy { name, rules }: &NewPolicy) -> Fields {
    let mut fields = vec![("name", json!(name))];
    let Ok(Value::Object(rules)) = serde_json::to_value(rules) else { return fields };
    fields.extend(object(&super::keys::POLICY, rules).into_iter().filter(|(_, value)| *value != json!(0)));
    fields
}

fn service(ServiceConfig { name, title, owner, rpo_s, rto_s, mtpod_s, canary, sources: _ }: &ServiceConfig) -> Fields {
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

fn source(NamedSource { name, repository, policy, config }: &NamedSource) -> Fields {
    let SourceConfig::Directory(DirectoryConfig { path, items, exclude }) = config;
    vec![
        ("name", json!(name)),
        ("kind", json!("directory")),
        ("path", json!(path.to_string_lossy())),
        ("items", json!(if *items == DirectoryItems::Children { "children" } else { "self" })),
        ("repository", json!(repository)),
        ("policy", json!(policy)),
        ("exclude", json!(exclude)),
    ]
}

fn schedule(draft: &Draft) -> Fields {
    let Draft { name, kind, of, selection, read_data, cron, zone, jitter_s, max_duration_s, misfire, runs_a_day } = draft;
    let target = match kind {
        ScheduleKind::Check | ScheduleKind::Prune => "repository",
        ScheduleKind::Backup | ScheduleKind::RestoreTest if of.contains('/') => "source",
        ScheduleKind::Backup | ScheduleKind::RestoreTest => "service",
    };
    let sample = match selection {
        _ if *kind != ScheduleKind::RestoreTest => Value::Null,
        Selection::Latest => json!("latest"),
        Selection::All => json!("all"),
        Selection::Sample { count } => json!(count),
    };
    vec![
        ("name", json!(name)),
        ("kind", json!(kind.as_str())),
        (target, json!(of)),
        ("cron", json!(cron)),
        ("zone", json!(zone)),
        ("jitter", span(Some(*jitter_s).filter(|s| *s > 0))),
        ("max_duration", span(*max_duration_s)),
        ("misfire", json!(misfire.as_str())),
        ("sample", sample),
        ("read_data", if *kind == ScheduleKind::Check { json!(read_data) } else { Value::Null }),
        ("runs_a_day", json!(runs_a_day)),
    ]
}

fn channel(ChannelConfig { name, kind, options, secrets }: &ChannelConfig) -> Fields {
    let mut fields = vec![("name", json!(name)), ("kind", json!(kind.as_str()))];
    if let Ok(Value::Object(options)) = serde_json::to_value(options) {
        fields.extend(object(&super::keys::CHANNEL, options));
    }
    fields.extend(secrets.iter().filter_map(|(k, reference)| Some((key(&super::keys::CHANNEL, k)?, secret(reference)))));
    fields
}

fn rule(NewRule { name, channels, what }: &NewRule) -> Fields {
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

fn provider(ProviderConfig { name, config, client_secret }: &ProviderConfig) -> Fields {
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

fn role(RoleRule { claim, pattern, grant }: &RoleRule) -> Fields {
    let (role, service) = match grant {
        Grant::Owner { service } => ("owner".to_owned(), json!(service)),
        other => (other.to_string(), Value::Null),
    };
    vec![("claim", json!(claim)), ("pattern", json!(pattern)), ("role", json!(role)), ("service", service)]
}

fn heartbeat(HeartbeatConfig { name, url, every_s }: &HeartbeatConfig) -> Fields {
    vec![("name", json!(name)), ("url", secret(url)), ("every", span(Some(*every_s)))]
}

/// What a type says of itself, by the keys of the configuration.
fn object(level: &super::keys::Level, map: Map<String, Value>) -> Fields {
    map.into_iter().filter_map(|(k, value)| Some((key(level, &k)?, value))).collect()
}
