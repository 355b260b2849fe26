//! The values of the form of a definition, as they stand in an address and as `ops` takes them.
//!
//! Lives here: reading and writing them. May not: judging them (`domain::definition` does).
//! Invariant: what somebody has typed is never lost: a refused form comes back with all of it.

use std::collections::BTreeMap;

use domain::{
    definition::{Assertion, Check, Compare, MOST_CHECKS, Probe, Terms},
    field::FieldError,
    units::parse_span,
    work::Selection,
};
use serde::{Deserialize, Serialize};
use store::test_definitions::TestDefinitionRow;

use crate::components::address::{Query, encode, with_query};

/// The kinds of further checks, with their words.
pub const KINDS: [(&str, &str); 5] = [
    ("sqlite", "a value of a SQLite file"),
    ("postgresql", "a value of a PostgreSQL database"),
    ("http", "an address that answers"),
    ("tcp", "a port that takes a connection"),
    ("command", "a command"),
];

/// The fields of a check.
pub const PARTS: [&str; 14] =
    ["kind", "name", "item", "path", "connection", "statement", "compare", "expected", "url", "status", "text", "host", "port", "command"];

/// What was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fields {
    pub service: String,
    pub name: String,
    /// The version that is changed; empty for a new one.
    #[serde(default)]
    pub version: String,
    /// `latest`, `random`, `sample`, `all`.
    #[serde(default)]
    pub selection: String,
    #[serde(default)]
    pub count: String,
    #[serde(default)]
    pub days: String,
    #[serde(default)]
    pub rto: String,
    #[serde(default)]
    pub rpo: String,
    #[serde(default)]
    pub start: String,
    #[serde(default)]
    pub network: String,
    /// The fields of the checks: `c0_kind`, `c0_name` and so on.
    #[serde(flatten)]
    pub checks: BTreeMap<String, String>,
}

/// The name of a check's field in the form.
pub fn part(n: usize, field: &str) -> String {
    format!("c{n}_{field}")
}

/// A span as one types it.
fn short(s: Option<i64>) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    s.and_then(|s| units.iter().find(|(unit, _)| s > 0 && s % unit == 0).map(|(unit, name)| format!("{}{name}", s / unit))).unwrap_or_default()
}

impl Fields {
    /// A form that nobody has touched.
    pub fn new(service: &str) -> Self {
        Self { service: service.to_owned(), selection: "sample".into(), count: "5".into(), days: "30".into(), ..Self::default() }
    }

    pub fn of(service: &str, row: &TestDefinitionRow) -> Self {
        let t = &row.terms.0;
        let mut fields = Self {
            name: row.name.clone(),
            version: ops::test_definitions::version(row),
            rto: short(t.rto_s),
            rpo: short(t.rpo_s),
            start: t.start.clone().unwrap_or_default(),
            network: t.network.clone().unwrap_or_default(),
            ..Self::new(service)
        };
        match t.selection {
            Selection::Latest => "latest".clone_into(&mut fields.selection),
            Selection::All => "all".clone_into(&mut fields.selection),
            Selection::Random { days } => {
                "random".clone_into(&mut fields.selection);
                fields.days = days.to_string();
            }
            Selection::Sample { count } => fields.count = count.to_string(),
        }
        for (n, check) in t.checks.iter().enumerate() {
            fields.put(n, check);
        }
        fields
    }

    fn put(&mut self, n: usize, check: &Check) {
        let mut set = |field: &str, value: &str| drop(self.checks.insert(part(n, field), value.to_owned()));
        set("kind", check.probe.kind());
        set("name", &check.name);
        let assertion = match &check.probe {
            Probe::Sqlite { item, path, assertion } => {
                set("item", item);
                set("path", path);
                Some(assertion)
            }
            Probe::Postgresql { connection, assertion } => {
                set("connection", connection);
                Some(assertion)
            }
            Probe::Http { url, status, text } => {
                set("url", url);
                set("status", &status.to_string());
                set("text", text);
                None
            }
            Probe::Tcp { host, port } => {
                set("host", host);
                set("port", &port.to_string());
                None
            }
            Probe::Command { command } => {
                set("command", command);
                None
            }
        };
        if let Some(a) = assertion {
            set("statement", &a.statement);
            set("compare", a.compare.as_str());
            set("expected", &a.expected);
        }
    }

    /// What the address holds, where it holds anything that was typed.
    pub fn read(service: &str, query: &Query) -> Option<Self> {
        query.get("typed")?;
        let text = |name: &str| query.get(name).unwrap_or_default();
        let mut checks = BTreeMap::new();
        for n in 0..MOST_CHECKS {
            for field in PARTS {
                let name = part(n, field);
                if let Some(value) = query.get(&name) {
                    checks.insert(name, value);
                }
            }
        }
        Some(Self {
            service: service.to_owned(),
            name: text("name"),
            version: text("version"),
            selection: text("selection"),
            count: text("count"),
            days: text("days"),
            rto: text("rto"),
            rpo: text("rpo"),
            start: text("start"),
            network: text("network"),
            checks,
        })
    }

    /// With one check more of a kind, or without the one of a place, as the buttons of the form ask.
    #[must_use]
    pub fn asked(mut self, query: &Query) -> Self {
        let mut all = self.listed();
        if let Some(n) = query.get("drop").and_then(|n| n.parse::<usize>().ok())
            && n < all.len()
        {
            all.remove(n);
        }
        if let Some(kind) = query.get("add").filter(|k| KINDS.iter().any(|(kind, _)| kind == k))
            && all.len() < MOST_CHECKS
        {
            all.push(BTreeMap::from([("kind".to_owned(), kind)]));
        }
        self.checks = all.into_iter().enumerate().flat_map(|(n, c)| c.into_iter().map(move |(field, value)| (part(n, &field), value))).collect();
        self
    }

    /// The checks, each with its fields.
    pub fn listed(&self) -> Vec<BTreeMap<String, String>> {
        let of = |n: usize| {
            let found = PARTS.iter().filter_map(|f| Some(((*f).to_owned(), self.checks.get(&part(n, f))?.clone())));
            found.collect::<BTreeMap<_, _>>()
        };
        (0..MOST_CHECKS).map(of).filter(|c| c.get("kind").is_some_and(|k| !k.is_empty())).collect()
    }

    fn place(&self) -> String {
        let name = if self.version.is_empty() { "new".to_owned() } else { encode(&self.name) };
        format!("/services/{}/definitions/{name}", encode(&self.service))
    }

    /// The page of the form with all that was typed.
    pub fn href(&self) -> String {
        let mut pairs = vec![
            ("typed", "1"),
            ("name", self.name.as_str()),
            ("version", &self.version),
            ("selection", &self.selection),
            ("count", &self.count),
            ("days", &self.days),
            ("rto", &self.rto),
            ("rpo", &self.rpo),
            ("start", &self.start),
            ("network", &self.network),
        ];
        pairs.extend(self.checks.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        with_query(&self.place(), &pairs)
    }

    /// Each value with its name, as people compare them.
    pub fn shown(&self) -> Vec<(&'static str, String)> {
        let checks = self.listed().iter().map(|c| c.values().cloned().collect::<Vec<_>>().join(", ")).collect::<Vec<_>>().join("\n");
        let what = match self.selection.as_str() {
            "random" => format!("random {} d", self.days),
            "sample" => format!("sample {}", self.count),
            other => other.to_owned(),
        };
        vec![
            ("What is restored", what),
            ("RTO", self.rto.clone()),
            ("RPO", self.rpo.clone()),
            ("Starts the service", self.start.clone()),
            ("Network of instances", if self.network.is_empty() { "none".to_owned() } else { self.network.clone() }),
            ("Checks", checks),
        ]
    }

    /// What is asked for, and what of it could not be read at all.
    pub fn terms(&self) -> (Terms, Vec<FieldError>) {
        let mut wrong = Vec::new();
        let mut span = |field: &str, text: &str| match text.trim() {
            "" => None,
            text => parse_span(text).map_err(|e| wrong.push(FieldError::new(field, e.to_string()))).ok(),
        };
        let (rto_s, rpo_s) = (span("rto", &self.rto), span("rpo", &self.rpo));
        let selection = match self.selection.as_str() {
            "latest" => Selection::Latest,
            "all" => Selection::All,
            // What is no number is refused as one.
            "random" => Selection::Random { days: self.days.trim().parse().unwrap_or(0) },
            _ => Selection::Sample { count: self.count.trim().parse().unwrap_or(0) },
        };
        let checks = self.listed().iter().map(check).collect();
        let start = Some(self.start.trim().to_owned()).filter(|s| !s.is_empty());
        let network = Some(self.network.trim().to_owned()).filter(|s| !s.is_empty());
        (Terms { selection, checks, start, rto_s, rpo_s, network }, wrong)
    }
}

fn check(fields: &BTreeMap<String, String>) -> Check {
    let text = |field: &str| fields.get(field).map(|v| v.trim().to_owned()).unwrap_or_default();
    let assertion =
        || Assertion { statement: text("statement"), compare: Compare::parse(&text("compare")).unwrap_or(Compare::Equal), expected: text("expected") };
    let probe = match text("kind").as_str() {
        "sqlite" => Probe::Sqlite { item: text("item"), path: text("path"), assertion: assertion() },
        "postgresql" => Probe::Postgresql { connection: text("connection"), assertion: assertion() },
        "http" => Probe::Http { url: text("url"), status: text("status").parse().unwrap_or(0), text: text("text") },
        "tcp" => Probe::Tcp { host: text("host"), port: text("port").parse().unwrap_or(0) },
        _ => Probe::Command { command: text("command") },
    };
    Check { name: text("name"), probe }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed() -> Fields {
        let mut fields = Fields { name: "weekly".into(), version: "v1".into(), rto: "30m".into(), network: "isolated".into(), ..Fields::new("notebooks") };
        for (n, check) in [
            Check {
                name: "rows".into(),
                probe: Probe::Sqlite {
                    item: "ada".into(),
                    path: "a b/app.db".into(),
                    assertion: Assertion { statement: "SELECT count(*) FROM users WHERE n > 1 & 1".into(), compare: Compare::AtLeast, expected: "75".into() },
                },
            },
            Check { name: "hub".into(), probe: Probe::Http { url: "https://hub.example.org/health?x=1".into(), status: 200, text: "ready".into() } },
            Check { name: "ssh".into(), probe: Probe::Tcp { host: "{address:web 1}".into(), port: 22 } },
        ]
        .iter()
        .enumerate()
        {
            fields.put(n, check);
        }
        fields
    }

    #[test]
    fn what_was_typed_comes_back_from_the_address() {
        let fields = typed();
        let href = fields.href();
        let (path, query) = href.split_once('?').unwrap();
        assert_eq!(path, "/services/notebooks/definitions/weekly");
        let again = Fields::read("notebooks", &Query::parse(query)).unwrap();
        assert_eq!(again, fields);
        let (terms, wrong) = again.terms();
        assert!(wrong.is_empty() && terms.problems().is_empty(), "{wrong:?} {:?}", terms.problems());
        assert_eq!((terms.checks.len(), terms.rto_s, terms.selection), (3, Some(1_800), Selection::Sample { count: 5 }));
        assert_eq!(terms.network.as_deref(), Some("isolated"));
    }

    #[test]
    fn the_buttons_add_and_drop_checks() {
        let fields = typed().asked(&Query::parse("add=command"));
        let kinds = |f: &Fields| f.listed().iter().map(|c| c["kind"].clone()).collect::<Vec<_>>();
        assert_eq!(kinds(&fields), ["sqlite", "http", "tcp", "command"]);
        assert_eq!(kinds(&fields.asked(&Query::parse("drop=0"))), ["http", "tcp", "command"]);
        assert_eq!(kinds(&typed().asked(&Query::parse("add=rm&drop=9"))), ["sqlite", "http", "tcp"]);
    }

    #[test]
    fn what_cannot_be_read_is_told_by_field() {
        let fields = Fields { rto: "soon".into(), count: "many".into(), ..Fields::new("notebooks") };
        let (terms, wrong) = fields.terms();
        assert_eq!(wrong[0].field, "rto");
        assert_eq!(terms.problems()[0].field, "sample");
    }
}
