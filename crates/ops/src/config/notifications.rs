//! Channels, rules and heartbeats in the configuration.
//!
//! Lives here: reading them and carrying them out. May not: secrets themselves; the file only says where each one is.
//! Invariant: what a channel of its kind does not take is refused, so that no line of the file is without effect.

use std::collections::BTreeMap;

use domain::{
    alert::{AlertKind, Severity, rule::Rule},
    channel::{ChannelKind, Encryption, Options, url_problem},
};
use store::{Tx, channels as rows, repositories::SecretRef};

use super::{
    apply::By,
    difference::{Applied, Subject},
    keys::{CHANNEL, HEARTBEAT, NOTIFICATIONS, RULE, or, shown},
    read::{Names, entries, unique_name},
    walk::{Fields, Text, Walk},
    yaml::{Node, Value},
};
use crate::{
    OpsError, Result,
    notifications::{
        Given,
        channels::{self, NewChannel, Saved},
        heartbeats::{self, NewHeartbeat},
        rules::{self, NewRule},
    },
};

const MOST: usize = 200;
const MOST_NAMES: usize = 1_000;
/// How often a heartbeat calls when nothing is said, in seconds.
const EVERY_S: i64 = 60;

/// What the file says of notifications.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotificationsConfig {
    /// The address at which people open Holdfast.
    pub address: Option<String>,
    pub channels: Vec<ChannelConfig>,
    pub rules: Vec<NewRule>,
    pub heartbeats: Vec<HeartbeatConfig>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelConfig {
    pub name: String,
    pub kind: ChannelKind,
    pub options: Options,
    pub secrets: BTreeMap<String, SecretRef>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatConfig {
    pub name: String,
    pub url: SecretRef,
    pub every_s: i64,
}

pub fn read(walk: &mut Walk, node: &Node) -> NotificationsConfig {
    let mut config = NotificationsConfig::default();
    let Some(fields) = walk.fields(node, &NOTIFICATIONS) else { return config };
    if let Some(Text { at, text }) = walk.optional_text(&fields, "address") {
        match url_problem(text) {
            Some(problem) => walk.say(at, format!("“address” {problem}")),
            None => config.address = Some(text.trim_end_matches('/').to_owned()),
        }
    }
    let mut names = Names::new();
    for node in entries(walk, &fields, "channels", MOST) {
        config.channels.extend(channel(walk, node, &mut names));
    }
    let mut rules = Names::new();
    for node in entries(walk, &fields, "rules", MOST) {
        config.rules.extend(rule(walk, node, &mut rules, &names));
    }
    let mut beats = Names::new();
    for node in entries(walk, &fields, "heartbeats", MOST) {
        config.heartbeats.extend(heartbeat(walk, node, &mut beats));
    }
    config
}

/// One of several words.
fn word<T: Copy>(walk: &mut Walk, text: Option<Text<'_>>, key: &str, all: &[T], name: fn(T) -> &'static str) -> Option<T> {
    let Text { at, text } = text?;
    let found = all.iter().copied().find(|w| name(*w) == text);
    if found.is_none() {
        let names: Vec<_> = all.iter().map(|w| name(*w)).collect();
        walk.say(at, format!("“{key}”: {} is not known; use {}", shown(text), or(&names)));
    }
    found
}

/// The options that a kind takes, beside `name` and `kind`.
pub(super) const fn taken(kind: ChannelKind) -> &'static [&'static str] {
    match kind {
        ChannelKind::Mail => &["host", "port", "encryption", "username", "password", "from", "to", "ca_file"],
        ChannelKind::Webhook => &["url", "signing_secret"],
        ChannelKind::Slack | ChannelKind::Teams => &["url"],
        ChannelKind::PagerDuty => &["routing_key", "endpoint"],
    }
}

fn channel<'a>(walk: &mut Walk, node: &'a Node, names: &mut Names<'a>) -> Option<ChannelConfig> {
    let fields = walk.fields(node, &CHANNEL)?;
    let name = unique_name(walk, &fields, names, "channel");
    let kind = walk.required_text(&fields, "kind");
    let kind = word(walk, kind, "kind", ChannelKind::ALL, ChannelKind::as_str)?;
    for key in CHANNEL.keys.iter().skip(2).map(|k| k.0) {
        if let Some(entry) = fields.get(key)
            && !taken(kind).contains(&key)
        {
            walk.say(entry.at, format!("“{key}” is not for a channel of kind {kind}; it takes {}", or(taken(kind))));
        }
    }
    let text = |walk: &mut Walk, key: &str| walk.optional_text(&fields, key).map(|t| t.text.trim().to_owned()).unwrap_or_default();
    let port = walk.optional_text(&fields, "port").and_then(|Text { at, text }| match text.parse::<u16>() {
        Ok(port) if port > 0 => Some(port),
        _ => {
            walk.say(at, format!("“port”: {} is not a port; write a number from 1 to 65535", shown(text)));
            None
        }
    });
    let encryption = walk.optional_text(&fields, "encryption");
    let options = Options {
        host: text(walk, "host"),
        port,
        encryption: word(walk, encryption, "encryption", Encryption::ALL, Encryption::as_str),
        username: text(walk, "username"),
        from: text(walk, "from"),
        to: list(walk, &fields, "to"),
        ca_file: text(walk, "ca_file"),
        endpoint: text(walk, "endpoint"),
    };
    let mut secrets = BTreeMap::new();
    for needed in kind.secrets() {
        if let Some(entry) = fields.get(needed.name) {
            if let Some(reference) = walk.secret(entry) {
                secrets.insert(needed.name.to_owned(), reference);
            }
        } else if needed.required {
            walk.required(&fields, needed.name);
        }
    }
    for problem in options.problems(kind, fields.get("password").is_some()) {
        let at = fields.get(&problem.field).map_or(fields.at, |e| e.value.at);
        walk.say(at, format!("“{}” {}", problem.field, problem.message));
    }
    Some(ChannelConfig { name: name?.text.to_owned(), kind, options, secrets })
}

/// A list of texts that may be left out.
fn list(walk: &mut Walk, fields: &Fields<'_>, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    for node in entries(walk, fields, key, MOST_NAMES) {
        match &node.value {
            Value::Text(text) if !text.trim().is_empty() && !text.contains(char::is_control) => found.push(text.trim().to_owned()),
            _ => walk.say(node.at, format!("each entry of “{key}” must be a text; write {}", fields.level.example(key))),
        }
    }
    found
}

fn rule<'a>(walk: &mut Walk, node: &'a Node, names: &mut Names<'a>, channels: &Names<'_>) -> Option<NewRule> {
    let fields = walk.fields(node, &RULE)?;
    let name = unique_name(walk, &fields, names, "rule");
    let used = list(walk, &fields, "channels");
    match fields.get("channels") {
        None => drop(walk.required(&fields, "channels")),
        Some(entry) => {
            for missing in used.iter().filter(|c| !channels.contains_key(c.as_str())) {
                walk.say(entry.value.at, format!("there is no channel {} in this file; add it to the list of channels", shown(missing)));
            }
            if used.is_empty() && matches!(entry.value.value, Value::List(_)) {
                walk.say(entry.value.at, "“channels” is empty; name at least one channel");
            }
        }
    }
    let severity = walk.optional_text(&fields, "severity");
    let severity = word(walk, severity, "severity", Severity::ALL, Severity::as_str).unwrap_or(Severity::Warning);
    let mut kinds = Vec::new();
    for text in list(walk, &fields, "alerts") {
        if let Some(kind) = AlertKind::parse(&text) {
            kinds.push(kind);
        } else {
            let names: Vec<_> = AlertKind::ALL.iter().map(|k| k.as_str()).collect();
            let at = fields.get("alerts").map_or(fields.at, |e| e.value.at);
            walk.say(at, format!("“alerts”: {} is not known; use {}", shown(&text), or(&names)));
        }
    }
    let success = walk.optional_text(&fields, "success").is_some_and(|Text { at, text }| {
        if !matches!(text, "true" | "false") {
            walk.say(at, format!("“success” must be true or false, not {}", shown(text)));
        }
        text == "true"
    });
    let remind_s = walk.span(&fields, "remind");
    let what = Rule { severity, kinds, services: list(walk, &fields, "services"), schedules: list(walk, &fields, "schedules"), success, remind_s };
    Some(NewRule { name: name?.text.to_owned(), channels: used, what })
}

fn heartbeat<'a>(walk: &mut Walk, node: &'a Node, names: &mut Names<'a>) -> Option<HeartbeatConfig> {
    let fields = walk.fields(node, &HEARTBEAT)?;
    let name = unique_name(walk, &fields, names, "heartbeat");
    let url = walk.required(&fields, "url").and_then(|entry| walk.secret(entry));
    let every_s = walk.span(&fields, "every").unwrap_or(EVERY_S);
    Some(HeartbeatConfig { name: name?.text.to_owned(), url: url?, every_s })
}

/// Makes channels, rules and heartbeats agree with the file, in the transaction of the whole.
pub async fn apply(by: By<'_>, mut tx: Tx<'_>, config: &NotificationsConfig, applied: &mut Applied) -> Result<()> {
    let ctx = by.ctx;
    if let Some(address) = &config.address {
        let saved = crate::notifications::put_address(ctx, tx.by_ref(), address).await?;
        note(applied, "address", address, saved);
    }
    for c in &config.channels {
        let given = |name: &str| c.secrets.get(name).map_or(Given::Nothing, |r| Given::Reference(r.clone()));
        let secrets = c.kind.secrets().iter().map(|s| (s.name.to_owned(), given(s.name))).collect();
        let new = NewChannel { name: c.name.clone(), kind: c.kind, options: c.options.clone(), secrets };
        let (id, saved) = channels::put(ctx, tx.by_ref(), None, &new).await.map_err(|e| within("channel", &c.name, e))?;
        by.mark(tx.by_ref(), "channel", id.0).await?;
        note(applied, "channel", &c.name, saved);
    }
    for r in &config.rules {
        let saved = rules::put(ctx, tx.by_ref(), r).await.map_err(|e| within("rule", &r.name, e))?;
        if let Some(row) = rows::rule(tx.by_ref(), &r.name).await? {
            by.mark(tx.by_ref(), "rule", row.id).await?;
        }
        note(applied, "rule", &r.name, saved);
    }
    for h in &config.heartbeats {
        let new = NewHeartbeat { name: h.name.clone(), url: Given::Reference(h.url.clone()), every_s: h.every_s };
        let saved = heartbeats::put(ctx, tx.by_ref(), None, &new).await.map_err(|e| within("heartbeat", &h.name, e))?;
        if let Some(row) = rows::heartbeat(tx.by_ref(), &h.name).await? {
            by.mark(tx.by_ref(), "heartbeat", row.id).await?;
        }
        note(applied, "heartbeat", &h.name, saved);
    }
    Ok(())
}

fn note(applied: &mut Applied, entity: &'static str, name: &str, saved: Saved) {
    let subject = Subject::new(entity, name);
    match saved {
        Saved::Created => applied.created.push(subject),
        Saved::Changed => applied.changed.push(subject),
        Saved::Unchanged => applied.unchanged.push(subject),
    }
}

/// Names the thing whose field was refused.
fn within(entity: &str, name: &str, e: OpsError) -> OpsError {
    match e {
        OpsError::Invalid(mut fields) => {
            for f in &mut fields {
                f.field = format!("{entity} {name}, {}", f.field);
            }
            OpsError::Invalid(fields)
        }
        other => other,
    }
}
