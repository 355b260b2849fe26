//! Which key belongs where, and what to say of one that does not.
//!
//! Lives here: the table of levels and keys, each with its form and an example; the JSON Schema is made of it (`schema`).
//! May not: reading values.

use domain::{
    alert::{AlertKind, Severity},
    channel::{ChannelKind, Encryption},
    definition::Compare,
    naming::nearest,
    schedule::{Misfire, ScheduleKind},
};

/// One level of the configuration.
pub struct Level {
    /// With its article: `a service`.
    pub words: &'static str,
    pub keys: &'static [Key],
    /// The keys that must be there.
    pub needs: &'static [&'static str],
}

/// A key with the form of its value and an example line for people who miss it.
pub struct Key(pub &'static str, pub Form, pub &'static str);

/// What may stand as a value, as far as it can be told without the rest of the file.
#[derive(Clone, Copy)]
pub enum Form {
    /// The version of the file's format.
    Version,
    /// The name of a thing.
    Name,
    Text,
    /// An absolute path.
    Path,
    /// A list of texts.
    Texts,
    /// A whole number with its bounds.
    Whole(i64, i64),
    Truth,
    /// Seconds to weeks, such as `24h`.
    Span,
    /// Hours to years, such as `1y6m`.
    Within,
    /// One of some words.
    Word(fn() -> Vec<&'static str>),
    /// A list of such words.
    Words(fn() -> Vec<&'static str>),
    /// A number of items, or a word.
    Sample,
    /// A reference to a secret, never the secret itself.
    Secret,
    /// The same, or what is no secret in clear.
    SecretOrText,
    One(&'static Level),
    List(&'static Level),
}

fn words<T: Copy>(all: &[T], word: fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().copied().map(word).collect()
}

/// Runs at a time that a repository may be given at most, and snapshots that a rule may keep.
pub const MOST_PARALLEL: i64 = 1_000;
pub const MOST_KEPT: i64 = 100_000;

/// Which of a service's addresses in a cloud is called, and how one is let in.
pub const INTERFACES: [&str; 3] = ["public", "internal", "admin"];
pub const AUTHS: [&str; 3] = ["application_credential", "password", "trust"];

pub static TOP: Level = Level {
    words: "the top level",
    keys: &[
        Key("version", Form::Version, "version: 1"),
        Key("repositories", Form::List(&REPOSITORY), "repositories: and a list below"),
        Key("policies", Form::List(&POLICY), "policies: and a list below"),
        Key("services", Form::List(&SERVICE), "services: and a list below"),
        Key("schedules", Form::List(&SCHEDULE), "schedules: and a list below"),
        Key("notifications", Form::One(&NOTIFICATIONS), "notifications: and keys below"),
        Key("providers", Form::List(&PROVIDER), "providers: and a list below"),
    ],
    needs: &["version"],
};

pub static REPOSITORY: Level = Level {
    words: "a repository",
    keys: &[
        Key("name", Form::Name, "name: main"),
        Key("location", Form::Text, "location: file:///srv/backup/main, s3://bucket/prefix or openstack+https://keystone.example.org:5000/v3"),
        Key("password", Form::Secret, "password: { file: /etc/holdfast/main.password }"),
        Key("endpoint", Form::Text, "endpoint: https://s3.example.org"),
        Key("region", Form::Text, "region: eu-west-1"),
        Key("access_key_id", Form::SecretOrText, "access_key_id: { file: /etc/holdfast/s3.id }"),
        Key("secret_access_key", Form::Secret, "secret_access_key: { file: /etc/holdfast/s3.key }"),
        Key("session_token", Form::Secret, "session_token: { env: NAME }"),
        Key("interface", Form::Word(|| INTERFACES.to_vec()), "interface: public, internal or admin"),
        Key("auth", Form::Word(|| AUTHS.to_vec()), "auth: application_credential, password or trust"),
        Key("application_credential_id", Form::Text, "application_credential_id: 21dced0fd20347869b93710d2b98aae0"),
        Key("application_credential_name", Form::Text, "application_credential_name: holdfast"),
        Key("username", Form::Text, "username: backup"),
        Key("user_domain", Form::Text, "user_domain: Default"),
        Key("project", Form::Text, "project: notebooks"),
        Key("project_domain", Form::Text, "project_domain: Default"),
        Key("trust_id", Form::Text, "trust_id: 0b1849fc0bbd4b3e9a3f1a1fae9f1c2a"),
        Key("ca", Form::Path, "ca: /etc/ssl/our-ca.pem"),
        Key("clouds_file", Form::Path, "clouds_file: /etc/openstack/clouds.yaml"),
        Key("cloud", Form::Text, "cloud: production"),
        Key("max_parallel", Form::Whole(1, MOST_PARALLEL), "max_parallel: 2"),
        Key("read_all_within", Form::Span, "read_all_within: 30d"),
    ],
    // The rest depends on where it lies: see `schema`.
    needs: &["name"],
};

pub static SECRET: Level = Level {
    words: "a reference to a secret",
    keys: &[Key("file", Form::Path, "file: /etc/holdfast/main.password"), Key("env", Form::Text, "env: NAME")],
    needs: &[],
};

pub static POLICY: Level = Level {
    words: "a policy",
    keys: &[
        Key("name", Form::Name, "name: standard"),
        Key("keep_last", Form::Whole(0, MOST_KEPT), "keep_last: 3"),
        Key("keep_hourly", Form::Whole(0, MOST_KEPT), "keep_hourly: 24"),
        Key("keep_daily", Form::Whole(0, MOST_KEPT), "keep_daily: 7"),
        Key("keep_weekly", Form::Whole(0, MOST_KEPT), "keep_weekly: 5"),
        Key("keep_monthly", Form::Whole(0, MOST_KEPT), "keep_monthly: 12"),
        Key("keep_yearly", Form::Whole(0, MOST_KEPT), "keep_yearly: 3"),
        Key("keep_within", Form::Within, "keep_within: 14d"),
        Key("keep_within_hourly", Form::Within, "keep_within_hourly: 36h"),
        Key("keep_within_daily", Form::Within, "keep_within_daily: 14d"),
        Key("keep_within_weekly", Form::Within, "keep_within_weekly: 2m"),
        Key("keep_within_monthly", Form::Within, "keep_within_monthly: 1y"),
        Key("keep_within_yearly", Form::Within, "keep_within_yearly: 10y"),
        Key("keep_tags", Form::Texts, "keep_tags: [\"keep\"]"),
        Key("max_snapshots", Form::Whole(0, MOST_KEPT), "max_snapshots: 60"),
        Key("time_zone", Form::Text, "time_zone: Europe/Berlin"),
    ],
    needs: &["name"],
};

pub static SERVICE: Level = Level {
    words: "a service",
    keys: &[
        Key("name", Form::Name, "name: notebooks"),
        Key("title", Form::Text, "title: EGI Notebooks"),
        Key("owner", Form::Text, "owner: notebooks-ops"),
        Key("rpo", Form::Span, "rpo: 24h"),
        Key("rto", Form::Span, "rto: 24h"),
        Key("mtpod", Form::Span, "mtpod: 48h"),
        Key("canary", Form::One(&CANARY), "canary: { item: alice, path: canary.txt, sha256: … }"),
        Key("sources", Form::List(&SOURCE), "sources: and a list below"),
        Key("restore_tests", Form::List(&RESTORE_TEST), "restore_tests: and a list below"),
    ],
    needs: &["name", "owner", "sources"],
};

pub static CANARY: Level = Level {
    words: "a canary",
    keys: &[
        Key("item", Form::Text, "item: alice"),
        Key("path", Form::Text, "path: canary.txt"),
        Key("sha256", Form::Text, "sha256: with the output of sha256sum"),
    ],
    needs: &["item", "path", "sha256"],
};

/// The drivers.
pub const SOURCES: [&str; 2] = ["directory", "openstack-instance"];

pub static SOURCE: Level = Level {
    words: "a source",
    keys: &[
        Key("name", Form::Name, "name: homes"),
        Key("kind", Form::Word(|| SOURCES.to_vec()), "kind: directory or openstack-instance"),
        Key("path", Form::Path, "path: /srv/exports"),
        Key("items", Form::Word(|| vec!["children", "self"]), "items: children or items: self"),
        Key("repository", Form::Text, "repository: main"),
        Key("policy", Form::Text, "policy: standard"),
        Key("exclude", Form::Texts, "exclude: [\"*.tmp\"]"),
        Key("instances", Form::Texts, "instances: [\"web-*\"]"),
        Key("offsite", Form::Text, "offsite: main"),
    ],
    needs: &["name", "kind", "repository"],
};

pub static RESTORE_TEST: Level = Level {
    words: "a restore test",
    keys: &[
        Key("name", Form::Name, "name: weekly"),
        Key("sample", Form::Sample, "sample: 5, latest or all"),
        Key("window_days", Form::Whole(1, domain::definition::LONGEST_WINDOW_D), "window_days: 30"),
        Key("rto", Form::Span, "rto: 30m"),
        Key("rpo", Form::Span, "rpo: 24h"),
        Key("start", Form::Text, "start: hub-starts"),
        Key("network", Form::Text, "network: none, isolated, or the name of a network of the project"),
        Key("checks", Form::List(&FURTHER_CHECK), "checks: and a list below"),
    ],
    needs: &["name"],
};

pub static FURTHER_CHECK: Level = Level {
    words: "a further check",
    keys: &[
        Key("name", Form::Name, "name: rows"),
        Key("kind", Form::Word(|| vec!["sqlite", "postgresql", "http", "tcp", "command"]), "kind: sqlite, postgresql, http, tcp or command"),
        Key("item", Form::Text, "item: alice"),
        Key("path", Form::Text, "path: data/app.db"),
        Key("connection", Form::Text, "connection: scratch"),
        Key("statement", Form::Text, "statement: \"SELECT count(*) FROM people\""),
        Key("compare", Form::Word(|| words(Compare::ALL, Compare::as_str)), "compare: \">=\""),
        Key("expected", Form::Text, "expected: \"75\""),
        Key("url", Form::Text, "url: https://hub.example.org/health"),
        Key("status", Form::Whole(100, 599), "status: 200"),
        Key("text", Form::Text, "text: ready"),
        Key("host", Form::Text, "host: db.example.org"),
        Key("port", Form::Whole(1, 65_535), "port: 5432"),
        Key("command", Form::Text, "command: hub-looks"),
    ],
    needs: &["name", "kind"],
};

pub static NOTIFICATIONS: Level = Level {
    words: "notifications",
    keys: &[
        Key("address", Form::Text, "address: https://holdfast.example.org"),
        Key("channels", Form::List(&CHANNEL), "channels: and a list below"),
        Key("rules", Form::List(&RULE), "rules: and a list below"),
        Key("heartbeats", Form::List(&HEARTBEAT), "heartbeats: and a list below"),
    ],
    needs: &[],
};

pub static CHANNEL: Level = Level {
    words: "a channel",
    keys: &[
        Key("name", Form::Name, "name: ops-mail"),
        Key("kind", Form::Word(|| words(ChannelKind::ALL, ChannelKind::as_str)), "kind: mail, webhook, slack, teams or pagerduty"),
        Key("host", Form::Text, "host: smtp.example.org"),
        Key("port", Form::Whole(1, 65_535), "port: 587"),
        Key("encryption", Form::Word(|| words(Encryption::ALL, Encryption::as_str)), "encryption: starttls, tls or none"),
        Key("username", Form::Text, "username: holdfast"),
        Key("password", Form::Secret, "password: { file: /etc/holdfast/smtp.password }"),
        Key("from", Form::Text, "from: Holdfast <holdfast@example.org>"),
        Key("to", Form::Texts, "to: [ops@example.org]"),
        Key("ca_file", Form::Text, "ca_file: /etc/ssl/our-ca.pem"),
        Key("url", Form::Secret, "url: { file: /etc/holdfast/hook.url }"),
        Key("signing_secret", Form::Secret, "signing_secret: { env: NAME }"),
        Key("routing_key", Form::Secret, "routing_key: { file: /etc/holdfast/pagerduty.key }"),
        Key("endpoint", Form::Text, "endpoint: https://events.eu.pagerduty.com/v2/enqueue"),
    ],
    needs: &["name", "kind"],
};

pub static RULE: Level = Level {
    words: "a rule",
    keys: &[
        Key("name", Form::Name, "name: everything"),
        Key("channels", Form::Texts, "channels: [ops-mail]"),
        Key("severity", Form::Word(|| words(Severity::ALL, Severity::as_str)), "severity: info, warning or critical"),
        Key("alerts", Form::Words(|| words(AlertKind::ALL, AlertKind::as_str)), "alerts: [rpo_overdue, run_failed]"),
        Key("services", Form::Texts, "services: [notebooks]"),
        Key("schedules", Form::Texts, "schedules: [nightly]"),
        Key("success", Form::Truth, "success: true or false"),
        Key("remind", Form::Span, "remind: 1d"),
    ],
    needs: &["name", "channels"],
};

pub static HEARTBEAT: Level = Level {
    words: "a heartbeat",
    keys: &[
        Key("name", Form::Name, "name: outside"),
        Key("url", Form::Secret, "url: { file: /etc/holdfast/heartbeat.url }"),
        Key("every", Form::Span, "every: 1m"),
    ],
    needs: &["name", "url"],
};

pub static SCHEDULE: Level = Level {
    words: "a schedule",
    keys: &[
        Key("name", Form::Name, "name: notebooks-daily"),
        Key("kind", Form::Word(|| words(ScheduleKind::ALL, ScheduleKind::as_str)), "kind: backup, check, prune or restore_test"),
        Key("service", Form::Text, "service: notebooks"),
        Key("source", Form::Text, "source: notebooks/homes"),
        Key("repository", Form::Text, "repository: main"),
        Key("cron", Form::Text, "cron: \"15 1 * * *\""),
        Key("zone", Form::Text, "zone: Europe/Prague"),
        Key("jitter", Form::Span, "jitter: 10m"),
        Key("max_duration", Form::Span, "max_duration: 6h"),
        Key("misfire", Form::Word(|| words(Misfire::ALL, Misfire::as_str)), "misfire: once, skip or all"),
        Key("sample", Form::Sample, "sample: 5, latest or all"),
        Key("definition", Form::Text, "definition: weekly"),
        Key("read_data", Form::Truth, "read_data: true"),
        Key("runs_a_day", Form::Whole(0, i64::MAX), "runs_a_day: 60"),
        Key("instance", Form::Text, "instance: web-1"),
        Key("pattern", Form::Text, "pattern: \"{0}_snapshot_{1}\""),
        Key("max_snapshots", Form::Whole(0, MOST_KEPT), "max_snapshots: 5"),
        Key("wait", Form::Truth, "wait: true or false"),
        Key("instance_stop", Form::Truth, "instance_stop: true or false"),
        Key("to_addr_success", Form::Texts, "to_addr_success: [ops@example.org]"),
        Key("to_addr_error", Form::Texts, "to_addr_error: [ops@example.org]"),
    ],
    needs: &["name", "kind", "cron", "zone"],
};

pub static PROVIDER: Level = Level {
    words: "a provider",
    keys: &[
        Key("name", Form::Name, "name: checkin"),
        Key("title", Form::Text, "title: EGI Check-in"),
        Key("issuer", Form::Text, "issuer: https://aai.egi.eu/auth/realms/egi"),
        Key("client_id", Form::Text, "client_id: holdfast"),
        Key("client_secret", Form::Secret, "client_secret: { file: /etc/holdfast/checkin.secret }"),
        Key("scopes", Form::Texts, "scopes: [openid, profile, email, voperson_id, entitlements]"),
        Key("person", Form::Texts, "person: [voperson_id, sub]"),
        Key("data", Form::Texts, "data: [preferred_username]"),
        Key("assurance", Form::Texts, "assurance: [https://refeds.org/assurance/IAP/medium]"),
        Key("roles", Form::List(&ROLE), "roles: and a list below"),
        Key("refresh", Form::Span, "refresh: 5m"),
    ],
    needs: &["name", "issuer", "client_id", "roles"],
};

pub static ROLE: Level = Level {
    words: "a role",
    keys: &[
        Key("claim", Form::Text, "claim: entitlements"),
        Key("pattern", Form::Text, "pattern: \"urn:mace:egi.eu:group:vo.example.org:admins:role=manager#aai.egi.eu\""),
        Key("role", Form::Word(|| vec!["admin", "auditor", "owner", "member"]), "role: admin, auditor, owner or member"),
        Key("service", Form::Text, "service: notebooks"),
    ],
    needs: &["claim", "pattern", "role"],
};

pub static LEVELS: [&Level; 16] = [
    &TOP,
    &REPOSITORY,
    &SECRET,
    &POLICY,
    &SERVICE,
    &CANARY,
    &SOURCE,
    &RESTORE_TEST,
    &FURTHER_CHECK,
    &NOTIFICATIONS,
    &CHANNEL,
    &RULE,
    &HEARTBEAT,
    &SCHEDULE,
    &PROVIDER,
    &ROLE,
];

impl Level {
    pub fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|k| k.0 == key)
    }

    /// The example line of a key.
    pub fn example(&self, key: &str) -> &'static str {
        self.keys.iter().find(|k| k.0 == key).map_or("", |k| k.2)
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().map(|k| k.0)
    }

    /// What to say of a key that this level does not have.
    pub fn refuse(&self, key: &str) -> String {
        let here = self.words;
        let homes: Vec<_> = LEVELS.iter().filter(|l| l.has(key)).map(|l| l.words).collect();
        let shown = shown(key);
        if !homes.is_empty() {
            return format!("{shown} does not belong in {here}; it belongs in {}", or(&homes));
        }
        if let Some(meant) = nearest(key, self.names()) {
            return format!("unknown key {shown} in {here}; did you mean “{meant}”?");
        }
        if let Some(meant) = nearest(key, LEVELS.iter().flat_map(|l| l.names())) {
            let homes: Vec<_> = LEVELS.iter().filter(|l| l.has(meant)).map(|l| l.words).collect();
            return format!("unknown key {shown} in {here}; did you mean “{meant}”, which belongs in {}?", or(&homes));
        }
        let known: Vec<_> = self.names().collect();
        format!("unknown key {shown} in {here}; known are {}", list(&known, "and"))
    }
}

/// A text of the file in quotes, cut and without control characters.
pub fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut out: String = text.chars().take(LONGEST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    format!("“{out}”")
}

pub fn or(words: &[&str]) -> String {
    list(words, "or")
}

fn list(words: &[&str], last: &str) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}
