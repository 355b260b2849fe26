//! From the typed configuration back to a text that [`super::parse`] reads.
//!
//! Lives here: the form of the text. May not: secrets. What was sealed with the server's key cannot stand in a file: it is
//! written as a comment that says how to bring it there.
//! Invariant: parsing what was written gives the same configuration without what stands in comments.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{
    Config, NotificationsConfig,
    fields::{Fields, channel, heartbeat, is_empty, policy, provider, repository, role, rule, schedule, sealed, service, source},
    keys::shown,
    restore_tests::said,
};

/// Before a line that would stand there if it could.
const OUT: &str = "# ";
/// Before the words that say why.
const WHY: &str = "## ";

/// The configuration as a file.
pub fn write(config: &Config) -> String {
    // A field that is added must be written, too.
    let Config { repositories, policies, services, schedules, notifications, providers } = config;
    let mut out = Out("version: 1\n".to_owned());
    out.list("repositories", 0, repositories.iter().map(|r| Entry::new(repository(r))).collect());
    out.list("policies", 0, policies.iter().map(|p| Entry::new(policy(p))).collect());
    let with_sources = |s: &super::ServiceConfig| {
        let below = vec![("sources", s.sources.iter().map(source).collect()), ("restore_tests", s.tests.iter().map(said).collect())];
        Entry { below, ..Entry::new(service(s)) }
    };
    out.list("services", 0, services.iter().map(with_sources).collect());
    out.list("schedules", 0, schedules.iter().map(|s| Entry::new(schedule(s))).collect());
    out.notifications(notifications);
    let with_roles =
        |p: &super::ProviderConfig| Entry { below: vec![("roles", p.config.roles.iter().map(role).collect())], ..Entry::sealed("provider", provider(p)) };
    out.list("providers", 0, providers.iter().flatten().map(with_roles).collect());
    out.0
}

/// An entry of a list.
struct Entry {
    fields: Fields,
    /// Lists inside it.
    below: Vec<(&'static str, Vec<Fields>)>,
    /// Why it cannot stand in a file.
    left_out: Option<String>,
}

impl Entry {
    fn new(fields: Fields) -> Self {
        Self { fields, below: Vec::new(), left_out: None }
    }

    /// One that may hold a secret that was typed in a page.
    fn sealed(what: &str, mut fields: Fields) -> Self {
        let left_out = sealed(&fields).map(|key| {
            format!(
                "The {key} of {what} {} was typed in a page and is sealed in the database, so {what} is left out here. To have it in the file,\n\
                 put the secret into a file that only the server reads, write its path below, and take “# ” away.",
                name(&fields)
            )
        });
        while let Some(key) = sealed(&fields) {
            fields.iter_mut().filter(|(k, _)| *k == key).for_each(|(_, value)| *value = json!({ "file": "/path/of/the/secret" }));
        }
        Self { fields, below: Vec::new(), left_out }
    }
}

fn name(fields: &Fields) -> String {
    fields.first().and_then(|(_, value)| value.as_str()).map(shown).unwrap_or_default()
}

/// The text: keys as blocks, their values in one line each.
struct Out(String);

impl Out {
    fn notifications(&mut self, notifications: &NotificationsConfig) {
        let NotificationsConfig { address, channels, rules, heartbeats } = notifications;
        let channels: Vec<_> = channels.iter().map(|c| Entry::sealed("channel", channel(c))).collect();
        let there = |name: &String| channels.iter().any(|c| c.left_out.is_none() && c.fields[0].1 == json!(name));
        let rules: Vec<_> = rules
            .iter()
            .map(|r| Entry {
                left_out: r
                    .channels
                    .iter()
                    .find(|name| !there(name))
                    .map(|missing| format!("Rule {} names channel {}, which is not in this file, so it is left out, too.", shown(&r.name), shown(missing))),
                ..Entry::new(rule(r))
            })
            .collect();
        let heartbeats: Vec<_> = heartbeats.iter().map(|h| Entry::sealed("heartbeat", heartbeat(h))).collect();
        let all = || channels.iter().chain(&rules).chain(&heartbeats);
        if address.is_none() && all().next().is_none() {
            return;
        }
        let any = address.is_some() || all().any(|e| e.left_out.is_none());
        writeln!(self.0, "{}notifications:", if any { "" } else { OUT }).ok();
        let mut text = String::new();
        keys(&mut text, 2, &[("address", json!(address))]);
        self.0.push_str(&text);
        self.list("channels", 2, channels);
        self.list("rules", 2, rules);
        self.list("heartbeats", 2, heartbeats);
    }

    /// A list whose entries are all left out is left out with its key: a key without a value is a mistake.
    fn list(&mut self, key: &str, depth: usize, entries: Vec<Entry>) {
        if entries.is_empty() {
            return;
        }
        let any = entries.iter().any(|e| e.left_out.is_none());
        writeln!(self.0, "{}{:depth$}{key}:", if any { "" } else { OUT }, "").ok();
        for Entry { fields, below, left_out } in entries {
            let mut text = String::new();
            entry(&mut text, depth + 2, &fields);
            for (key, inner) in below.into_iter().filter(|(_, inner)| !inner.is_empty()) {
                writeln!(text, "{:1$}{key}:", "", depth + 4).ok();
                for fields in inner {
                    entry(&mut text, depth + 6, &fields);
                }
            }
            let Some(why) = left_out else {
                self.0.push_str(&text);
                continue;
            };
            for (mark, line) in why.lines().map(|l| (WHY, l)).chain(text.lines().map(|l| (OUT, l))) {
                writeln!(self.0, "{mark}{line}").ok();
            }
        }
    }
}

/// An entry of a list: its first key stands at the hyphen.
fn entry(text: &mut String, depth: usize, fields: &[(&'static str, Value)]) {
    let Some(((key, name), rest)) = fields.split_first() else { return };
    writeln!(text, "{:depth$}- {key}: {}", "", flow(name)).ok();
    keys(text, depth + 2, rest);
}

fn keys(text: &mut String, depth: usize, fields: &[(&'static str, Value)]) {
    for (key, value) in fields.iter().filter(|(_, value)| !is_empty(value)) {
        writeln!(text, "{:depth$}{key}: {}", "", flow(value)).ok();
    }
}

/// A value in one line.
pub(super) fn flow(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => format!("{{ {} }}", map.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect::<Vec<_>>().join(", ")),
        // JSON is YAML as well.
        other => other.to_string(),
    }
}

/// Whether a text needs no quotes, in whatever version of YAML it is read: it is no number and no word with a meaning.
fn is_plain(text: &str) -> bool {
    const MEANING: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return text.ends_with(['s', 'm', 'h', 'd', 'y']) && text.chars().all(|c| c.is_ascii_digit() || "smhdwy".contains(c));
    }
    let fits = |(at, c): (usize, char)| match c {
        ' ' => !text[at + 1..].starts_with(' '),
        ':' => text[at + 1..].starts_with('/'),
        _ => c.is_ascii_alphanumeric() || "/._-@+".contains(c),
    };
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && !text.ends_with(' ')
        && text.char_indices().all(fits)
        && !MEANING.contains(&text.to_ascii_lowercase().as_str())
}
