//! Which key belongs where, and what to say of one that does not.
//!
//! Lives here: the table of levels and keys, each with an example. May not: types of values.

use domain::naming::nearest;

/// One level of the configuration.
pub struct Level {
    /// With its article: `a service`.
    pub words: &'static str,
    /// Each key with an example line for people who miss it.
    pub keys: &'static [(&'static str, &'static str)],
}

pub static TOP: Level = Level {
    words: "the top level",
    keys: &[
        ("version", "version: 1"),
        ("repositories", "repositories: and a list below"),
        ("policies", "policies: and a list below"),
        ("services", "services: and a list below"),
        ("schedules", "schedules: and a list below"),
        ("notifications", "notifications: and keys below"),
        ("providers", "providers: and a list below"),
    ],
};

pub static REPOSITORY: Level = Level {
    words: "a repository",
    keys: &[
        ("name", "name: main"),
        ("location", "location: file:///srv/backup/main or s3://bucket/prefix"),
        ("password", "password: { file: /etc/holdfast/main.password }"),
        ("endpoint", "endpoint: https://s3.example.org"),
        ("region", "region: eu-west-1"),
        ("access_key_id", "access_key_id: { file: /etc/holdfast/s3.id }"),
        ("secret_access_key", "secret_access_key: { file: /etc/holdfast/s3.key }"),
        ("session_token", "session_token: { env: NAME }"),
        ("max_parallel", "max_parallel: 2"),
        ("read_all_within", "read_all_within: 30d"),
    ],
};

pub static SECRET: Level = Level { words: "a reference to a secret", keys: &[("file", "file: /etc/holdfast/main.password"), ("env", "env: NAME")] };

pub static POLICY: Level = Level {
    words: "a policy",
    keys: &[
        ("name", "name: standard"),
        ("keep_last", "keep_last: 3"),
        ("keep_hourly", "keep_hourly: 24"),
        ("keep_daily", "keep_daily: 7"),
        ("keep_weekly", "keep_weekly: 5"),
        ("keep_monthly", "keep_monthly: 12"),
        ("keep_yearly", "keep_yearly: 3"),
        ("keep_within", "keep_within: 14d"),
        ("keep_within_hourly", "keep_within_hourly: 36h"),
        ("keep_within_daily", "keep_within_daily: 14d"),
        ("keep_within_weekly", "keep_within_weekly: 2m"),
        ("keep_within_monthly", "keep_within_monthly: 1y"),
        ("keep_within_yearly", "keep_within_yearly: 10y"),
        ("keep_tags", "keep_tags: [\"keep\"]"),
        ("max_snapshots", "max_snapshots: 60"),
        ("time_zone", "time_zone: Europe/Berlin"),
    ],
};

pub static SERVICE: Level = Level {
    words: "a service",
    keys: &[
        ("name", "name: notebooks"),
        ("title", "title: EGI Notebooks"),
        ("owner", "owner: notebooks-ops"),
        ("rpo", "rpo: 24h"),
        ("rto", "rto: 24h"),
        ("mtpod", "mtpod: 48h"),
        ("canary", "canary: { item: alice, path: canary.txt, sha256: … }"),
        ("sources", "sources: and a list below"),
    ],
};

pub static CANARY: Level =
    Level { words: "a canary", keys: &[("item", "item: alice"), ("path", "path: canary.txt"), ("sha256", "sha256: with the output of sha256sum")] };

pub static SOURCE: Level = Level {
    words: "a source",
    keys: &[
        ("name", "name: homes"),
        ("kind", "kind: directory"),
        ("path", "path: /srv/exports"),
        ("items", "items: children or items: self"),
        ("repository", "repository: main"),
        ("policy", "policy: standard"),
        ("exclude", "exclude: [\"*.tmp\"]"),
    ],
};

pub static NOTIFICATIONS: Level = Level {
    words: "notifications",
    keys: &[
        ("address", "address: https://holdfast.example.org"),
        ("channels", "channels: and a list below"),
        ("rules", "rules: and a list below"),
        ("heartbeats", "heartbeats: and a list below"),
    ],
};

pub static CHANNEL: Level = Level {
    words: "a channel",
    keys: &[
        ("name", "name: ops-mail"),
        ("kind", "kind: mail, webhook, slack, teams or pagerduty"),
        ("host", "host: smtp.example.org"),
        ("port", "port: 587"),
        ("encryption", "encryption: starttls, tls or none"),
        ("username", "username: holdfast"),
        ("password", "password: { file: /etc/holdfast/smtp.password }"),
        ("from", "from: Holdfast <holdfast@example.org>"),
        ("to", "to: [ops@example.org]"),
        ("ca_file", "ca_file: /etc/ssl/our-ca.pem"),
        ("url", "url: { file: /etc/holdfast/hook.url }"),
        ("signing_secret", "signing_secret: { env: NAME }"),
        ("routing_key", "routing_key: { file: /etc/holdfast/pagerduty.key }"),
        ("endpoint", "endpoint: https://events.eu.pagerduty.com/v2/enqueue"),
    ],
};

pub static RULE: Level = Level {
    words: "a rule",
    keys: &[
        ("name", "name: everything"),
        ("channels", "channels: [ops-mail]"),
        ("severity", "severity: info, warning or critical"),
        ("alerts", "alerts: [rpo_overdue, run_failed]"),
        ("services", "services: [notebooks]"),
        ("schedules", "schedules: [nightly]"),
        ("success", "success: true or false"),
        ("remind", "remind: 1d"),
    ],
};

pub static HEARTBEAT: Level =
    Level { words: "a heartbeat", keys: &[("name", "name: outside"), ("url", "url: { file: /etc/holdfast/heartbeat.url }"), ("every", "every: 1m")] };

pub static SCHEDULE: Level = Level {
    words: "a schedule",
    keys: &[
        ("name", "name: notebooks-daily"),
        ("kind", "kind: backup, check, prune or restore_test"),
        ("service", "service: notebooks"),
        ("source", "source: notebooks/homes"),
        ("repository", "repository: main"),
        ("cron", "cron: \"15 1 * * *\""),
        ("zone", "zone: Europe/Prague"),
        ("jitter", "jitter: 10m"),
        ("max_duration", "max_duration: 6h"),
        ("misfire", "misfire: once, skip or all"),
        ("sample", "sample: 5, latest or all"),
        ("read_data", "read_data: true"),
        ("runs_a_day", "runs_a_day: 60"),
    ],
};

pub static PROVIDER: Level = Level {
    words: "a provider",
    keys: &[
        ("name", "name: checkin"),
        ("title", "title: EGI Check-in"),
        ("issuer", "issuer: https://aai.egi.eu/auth/realms/egi"),
        ("client_id", "client_id: holdfast"),
        ("client_secret", "client_secret: { file: /etc/holdfast/checkin.secret }"),
        ("scopes", "scopes: [openid, profile, email, voperson_id, entitlements]"),
        ("person", "person: [voperson_id, sub]"),
        ("data", "data: [preferred_username]"),
        ("assurance", "assurance: [https://refeds.org/assurance/IAP/medium]"),
        ("roles", "roles: and a list below"),
        ("refresh", "refresh: 5m"),
    ],
};

pub static ROLE: Level = Level {
    words: "a role",
    keys: &[
        ("claim", "claim: entitlements"),
        ("pattern", "pattern: \"urn:mace:egi.eu:group:vo.example.org:admins:role=manager#aai.egi.eu\""),
        ("role", "role: admin, auditor, owner or member"),
        ("service", "service: notebooks"),
    ],
};

static LEVELS: [&Level; 14] =
    [&TOP, &REPOSITORY, &SECRET, &POLICY, &SERVICE, &CANARY, &SOURCE, &NOTIFICATIONS, &CHANNEL, &RULE, &HEARTBEAT, &SCHEDULE, &PROVIDER, &ROLE];

impl Level {
    pub fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|(k, _)| *k == key)
    }

    /// The example line of a key.
    pub fn example(&self, key: &str) -> &'static str {
        self.keys.iter().find(|(k, _)| *k == key).map_or("", |(_, example)| example)
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().map(|(k, _)| *k)
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
