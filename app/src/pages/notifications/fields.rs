//! What the forms of notifications hold, as it stands in an address when one is refused.
//!
//! Lives here: reading and writing those values. May not: judging them (`ops::notifications` does).
//! Invariants: what somebody has typed is never lost but for secrets, which are in no address; a form carries the
//! version of what it changes.

use domain::units::span;
use ops::notifications::{channels, heartbeats, rules};
use store::channels::{ChannelRow, HeartbeatRow, RuleRow};

use super::rule::short_span;
use crate::components::address::{Query, with_query};

/// Where a form lives: at what it changes, or at `new`.
fn place(list: &str, name: &str, version: &str) -> String {
    format!("/notifications/{list}/{}", if version.is_empty() { "new".to_owned() } else { crate::components::address::encode(name) })
}

/// Several values as one text.
fn joined(values: &[String]) -> String {
    if values.is_empty() { "all".to_owned() } else { values.join(", ") }
}

fn lines(text: &str) -> Vec<String> {
    super::act::several(text)
}

/// Of a channel, without its secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelFields {
    pub name: String,
    /// Empty for a new one.
    pub version: String,
    pub kind: String,
    pub host: String,
    pub port: String,
    pub encryption: String,
    pub username: String,
    pub from: String,
    pub to: String,
    pub ca_file: String,
    pub endpoint: String,
}

impl ChannelFields {
    pub fn of(row: &ChannelRow) -> Self {
        let o = &row.options.0;
        // The host of a channel that is an address follows from its secret.
        let mail = row.kind == "mail";
        Self {
            name: row.name.clone(),
            version: channels::version(row),
            kind: row.kind.clone(),
            host: if mail { o.host.clone() } else { String::new() },
            port: o.port.map_or_else(String::new, |p| p.to_string()),
            encryption: if mail { o.encryption().as_str().to_owned() } else { String::new() },
            username: o.username.clone(),
            from: o.from.clone(),
            to: o.to.join("\n"),
            ca_file: o.ca_file.clone(),
            endpoint: o.endpoint.clone(),
        }
    }

    /// What was typed before, where the address holds it.
    pub fn read(query: &Query) -> Option<Self> {
        query.get("typed")?;
        let text = |name: &str| query.get(name).unwrap_or_default();
        Some(Self {
            name: text("name"),
            version: text("version"),
            kind: text("kind"),
            host: text("host"),
            port: text("port"),
            encryption: text("encryption"),
            username: text("username"),
            from: text("from"),
            to: text("to"),
            ca_file: text("ca_file"),
            endpoint: text("endpoint"),
        })
    }

    /// The page of the form with all that was typed.
    pub fn href(&self, there: bool) -> String {
        let pairs = [
            ("typed", "1"),
            ("name", self.name.as_str()),
            ("version", &self.version),
            ("kind", &self.kind),
            ("host", &self.host),
            ("port", &self.port),
            ("encryption", &self.encryption),
            ("username", &self.username),
            ("from", &self.from),
            ("to", &self.to),
            ("ca_file", &self.ca_file),
            ("endpoint", &self.endpoint),
        ];
        with_query(&place("channels", &self.name, if there { &self.version } else { "" }), &pairs)
    }

    /// Each value with its name, as people compare them.
    pub fn shown(&self) -> Vec<(&'static str, String)> {
        vec![
            ("Mail server", self.host.clone()),
            ("Port", self.port.clone()),
            ("Encryption", self.encryption.clone()),
            ("From", self.from.clone()),
            ("To", lines(&self.to).join(", ")),
            ("User name", self.username.clone()),
            ("Certificate authority", self.ca_file.clone()),
            ("Another address of PagerDuty", self.endpoint.clone()),
        ]
    }
}

/// Of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleFields {
    pub name: String,
    /// Empty for a new one.
    pub version: String,
    pub channels: Vec<String>,
    pub severity: String,
    pub kinds: Vec<String>,
    pub services: String,
    pub schedules: String,
    pub success: bool,
    pub remind: String,
}

impl RuleFields {
    pub fn of(row: &RuleRow) -> Self {
        let what = &row.what.0;
        Self {
            name: row.name.clone(),
            version: rules::version(row),
            channels: row.channels.0.clone(),
            severity: what.severity.as_str().to_owned(),
            kinds: what.kinds.iter().map(|k| k.as_str().to_owned()).collect(),
            services: what.services.join("\n"),
            schedules: what.schedules.join("\n"),
            success: what.success,
            remind: what.remind_s.map_or_else(String::new, short_span),
        }
    }

    pub fn read(query: &Query) -> Option<Self> {
        query.get("typed")?;
        let text = |name: &str| query.get(name).unwrap_or_default();
        Some(Self {
            name: text("name"),
            version: text("version"),
            channels: query.all("channel"),
            severity: text("severity"),
            kinds: query.all("kind"),
            services: text("services"),
            schedules: text("schedules"),
            success: query.get("success").is_some(),
            remind: text("remind"),
        })
    }

    pub fn href(&self, there: bool) -> String {
        let mut pairs = vec![("typed", "1"), ("name", self.name.as_str()), ("version", &self.version), ("severity", &self.severity)];
        pairs.extend(self.channels.iter().map(|c| ("channel", c.as_str())));
        pairs.extend(self.kinds.iter().map(|k| ("kind", k.as_str())));
        pairs.extend([("services", self.services.as_str()), ("schedules", &self.schedules), ("remind", &self.remind)]);
        pairs.push(("success", if self.success { "1" } else { "" }));
        with_query(&place("rules", &self.name, if there { &self.version } else { "" }), &pairs)
    }

    pub fn shown(&self) -> Vec<(&'static str, String)> {
        vec![
            ("Channels", self.channels.join(", ")),
            ("How grave", self.severity.clone()),
            ("Which alerts", joined(&self.kinds)),
            ("Services", joined(&lines(&self.services))),
            ("Schedules", joined(&lines(&self.schedules))),
            ("Also successes", if self.success { "yes" } else { "no" }.to_owned()),
            ("Say it again after", self.remind.clone()),
        ]
    }
}

/// Of a heartbeat, without its address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeartbeatFields {
    pub name: String,
    /// Empty for a new one.
    pub version: String,
    pub every: String,
}

impl HeartbeatFields {
    pub fn of(row: &HeartbeatRow) -> Self {
        Self { name: row.name.clone(), version: heartbeats::version(row), every: short_span(row.every_s) }
    }

    pub fn read(query: &Query) -> Option<Self> {
        query.get("typed")?;
        let text = |name: &str| query.get(name).unwrap_or_default();
        Some(Self { name: text("name"), version: text("version"), every: text("every") })
    }

    pub fn href(&self, there: bool) -> String {
        let pairs = [("typed", "1"), ("name", self.name.as_str()), ("version", &self.version), ("every", &self.every)];
        with_query(&place("heartbeats", &self.name, if there { &self.version } else { "" }), &pairs)
    }

    pub fn shown(&self) -> Vec<(&'static str, String)> {
        let every = domain::units::parse_span(&self.every).map_or_else(|_| self.every.clone(), |s| span(s as f64));
        vec![("Every", every)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(href: &str) -> Query {
        Query::parse(href.split_once('?').unwrap().1)
    }

    #[test]
    fn nothing_that_was_typed_is_lost() {
        let channel = ChannelFields {
            name: "mail".into(),
            version: "abc".into(),
            kind: "mail".into(),
            host: "smtp.example.org".into(),
            port: "not a number".into(),
            encryption: "tls".into(),
            username: "u&v".into(),
            from: "Holdfast <h@example.org>".into(),
            to: "a@example.org\nb@example.org".into(),
            ca_file: "/etc/ca.pem".into(),
            endpoint: "https://x/y?z".into(),
        };
        assert!(channel.href(true).starts_with("/notifications/channels/mail?"), "{}", channel.href(true));
        assert_eq!(ChannelFields::read(&query(&channel.href(true))), Some(channel));
        let rule = RuleFields {
            name: "r".into(),
            channels: vec!["a".into(), "b".into()],
            severity: "critical".into(),
            kinds: vec!["rpo_overdue".into()],
            services: "x\ny".into(),
            schedules: "z".into(),
            success: true,
            remind: "soon".into(),
            ..RuleFields::default()
        };
        assert!(rule.href(true).starts_with("/notifications/rules/new?"), "{}", rule.href(true));
        assert_eq!(RuleFields::read(&query(&rule.href(true))), Some(rule));
        let beat = HeartbeatFields { name: "b".into(), version: "v".into(), every: "often".into() };
        assert!(beat.href(false).starts_with("/notifications/heartbeats/new?"), "what is gone is made anew");
        assert_eq!(HeartbeatFields::read(&query(&beat.href(false))), Some(beat));
        assert_eq!(ChannelFields::read(&Query::parse("kind=mail")), None, "a link to a new channel was not typed");
    }
}
