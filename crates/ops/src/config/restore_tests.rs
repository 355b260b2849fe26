//! Definitions of restore tests in the configuration, below their service (R32).
//!
//! Lives here: reading them, what each says by the keys of the file, carrying them out. May not: what may be wrong with
//! terms (`domain::definition`).

use domain::{
    definition::{Assertion, Check, Compare, MOST_CHECKS, Probe, Terms},
    field::FieldError,
    id::ServiceId,
    work::Selection,
};
use serde_json::{Map, Value, json};
use store::{Tx, test_definitions};

use super::{
    apply::{By, Change, State},
    difference::Applied,
    fields::{Fields as Said, span},
    keys::{FURTHER_CHECK, RESTORE_TEST, or},
    read::{Names, unique_name},
    schedule::selection,
    walk::{Fields, Text, Walk},
    yaml::Node,
};
use crate::Result;

/// The most definitions of one service.
pub const MOST: usize = 50;

/// A definition with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinedTest {
    pub name: String,
    pub terms: Terms,
}

pub fn restore_test<'a>(walk: &mut Walk, node: &'a Node, names: &mut Names<'a>) -> Option<DefinedTest> {
    let fields = walk.fields(node, &RESTORE_TEST)?;
    let name = unique_name(walk, &fields, names, "restore test of this service");
    let sample = walk.optional_text(&fields, "sample").map(|t| selection(walk, t));
    let window = walk.whole(&fields, "window_days", 1..=domain::definition::LONGEST_WINDOW_D);
    let (rto_s, rpo_s) = (walk.span(&fields, "rto"), walk.span(&fields, "rpo"));
    let start = walk.optional_text(&fields, "start").map(|t| t.text.to_owned());
    let network = walk.optional_text(&fields, "network").map(|t| t.text.to_owned());
    let mut checks = Vec::new();
    let mut places = Vec::new();
    if let Some(entry) = fields.get("checks") {
        for node in walk.list(&fields, entry, MOST_CHECKS) {
            if let Some((check, fields)) = check(walk, node) {
                checks.push(check);
                places.push(fields);
            }
        }
    }
    let selection = match (sample, window) {
        (None, Some(days)) => Selection::Random { days },
        (None, None) => Terms::default().selection,
        (Some(sample), None) => sample?,
        (Some(_), Some(_)) => {
            let at = fields.get("window_days").map_or(fields.at, |e| e.at);
            walk.say(at, "“window_days” takes one snapshot at random, “sample” takes the newest ones; remove one of them");
            return None;
        }
    };
    let terms = Terms { selection, checks, start, rto_s, rpo_s, network };
    let wrong = terms.problems();
    for FieldError { field, message } in &wrong {
        let (of, key) = match field.strip_prefix("checks[").and_then(|rest| rest.split_once("].")) {
            Some((n, key)) => (n.parse().ok().and_then(|n: usize| places.get(n)).unwrap_or(&fields), key),
            None => (&fields, field.as_str()),
        };
        let at = of.get(key).map_or(of.at, |e| e.value.at);
        walk.say(at, format!("“{key}” {message}"));
    }
    (wrong.is_empty()).then_some(DefinedTest { name: name?.text.to_owned(), terms })
}

/// A check with the keys that it came from.
fn check<'a>(walk: &mut Walk, node: &'a Node) -> Option<(Check, Fields<'a>)> {
    let fields = walk.fields(node, &FURTHER_CHECK)?;
    let name = walk.required_text(&fields, "name").map(|t| t.text.to_owned());
    let Text { at, text: kind } = walk.required_text(&fields, "kind")?;
    let Some((_, keys)) = KINDS.iter().find(|(k, _)| *k == kind) else {
        let known: Vec<&str> = KINDS.iter().map(|k| k.0).collect();
        walk.say(at, format!("“kind”: it is not known; use {}", or(&known)));
        return None;
    };
    for key in FURTHER_CHECK.keys.iter().map(|k| k.0) {
        if let (Some(entry), false) = (fields.get(key), keys.contains(&key) || matches!(key, "name" | "kind")) {
            walk.say(entry.at, format!("“{key}” is not for a check of kind {kind}; it takes {}", or(keys)));
        }
    }
    let mut text = |key: &str| walk.required_text(&fields, key).map(|t| t.text.to_owned());
    let probe = match kind {
        "sqlite" => {
            let (item, path) = (text("item"), text("path"));
            Probe::Sqlite { assertion: assertion(walk, &fields)?, item: item?, path: path? }
        }
        "postgresql" => {
            let connection = text("connection");
            Probe::Postgresql { assertion: assertion(walk, &fields)?, connection: connection? }
        }
        "http" => {
            let url = text("url");
            let status = walk.whole(&fields, "status", 100..=599).unwrap_or(200);
            let holds = walk.optional_text(&fields, "text").map(|t| t.text.to_owned()).unwrap_or_default();
            Probe::Http { url: url?, status: u16::try_from(status).unwrap_or(0), text: holds }
        }
        "tcp" => {
            let host = text("host");
            // One that is missing is refused as 0 is.
            let port = walk.whole(&fields, "port", 1..=65_535).unwrap_or(0);
            Probe::Tcp { host: host?, port: u16::try_from(port).unwrap_or(0) }
        }
        _ => Probe::Command { command: text("command")? },
    };
    Some((Check { name: name?, probe }, fields))
}

/// The kinds of further checks with the keys of each.
const KINDS: [(&str, &[&str]); 5] = [
    ("sqlite", &["item", "path", "statement", "compare", "expected"]),
    ("postgresql", &["connection", "statement", "compare", "expected"]),
    ("http", &["url", "status", "text"]),
    ("tcp", &["host", "port"]),
    ("command", &["command"]),
];

fn assertion(walk: &mut Walk, fields: &Fields<'_>) -> Option<Assertion> {
    let statement = walk.required_text(fields, "statement").map(|t| t.text.to_owned());
    let expected = walk.required_text(fields, "expected").map(|t| t.text.to_owned());
    let compare = match walk.optional_text(fields, "compare") {
        None => Some(Compare::Equal),
        Some(Text { at, text }) => {
            let found = Compare::parse(text);
            if found.is_none() {
                walk.say(at, "“compare” must be \"=\", \">=\" or \"<=\"");
            }
            found
        }
    };
    Some(Assertion { statement: statement?, compare: compare?, expected: expected? })
}

/// What a definition says, by the keys of the file.
pub fn said(DefinedTest { name, terms }: &DefinedTest) -> Said {
    let Terms { selection, checks, start, rto_s, rpo_s, network } = terms;
    let (sample, window) = match selection {
        Selection::Latest => (json!("latest"), Value::Null),
        Selection::All => (json!("all"), Value::Null),
        Selection::Sample { count } => (json!(count), Value::Null),
        Selection::Random { days } => (Value::Null, json!(days)),
    };
    vec![
        ("name", json!(name)),
        ("sample", sample),
        ("window_days", window),
        ("rto", span(*rto_s)),
        ("rpo", span(*rpo_s)),
        ("start", json!(start)),
        ("network", json!(network)),
        ("checks", checks.iter().map(said_check).collect::<Vec<_>>().into()),
    ]
}

fn said_check(Check { name, probe }: &Check) -> Value {
    let asserted = |mut map: Map<String, Value>, a: &Assertion| {
        let Assertion { statement, compare, expected } = a;
        map.extend([("statement", statement.as_str()), ("compare", compare.as_str()), ("expected", expected)].map(|(k, v)| (k.to_owned(), json!(v))));
        map
    };
    let map = |pairs: &[(&str, Value)]| {
        let all = [("name", json!(name)), ("kind", json!(probe.kind()))];
        all.iter().chain(pairs).filter(|(_, v)| *v != json!("")).map(|(k, v)| ((*k).to_owned(), v.clone())).collect::<Map<_, _>>()
    };
    Value::Object(match probe {
        Probe::Sqlite { item, path, assertion } => asserted(map(&[("item", json!(item)), ("path", json!(path))]), assertion),
        Probe::Postgresql { connection, assertion } => asserted(map(&[("connection", json!(connection))]), assertion),
        Probe::Http { url, status, text } => map(&[("url", json!(url)), ("status", json!(status)), ("text", json!(text))]),
        Probe::Tcp { host, port } => map(&[("host", json!(host)), ("port", json!(port))]),
        Probe::Command { command } => map(&[("command", json!(command))]),
    })
}

/// Makes what is new and changes what differs; what the file does not name is left alone.
pub(super) async fn apply(by: By<'_>, mut tx: Tx<'_>, service: (ServiceId, &str), tests: &[DefinedTest], applied: &mut Applied) -> Result<()> {
    for DefinedTest { name, terms } in tests {
        let old = test_definitions::find(tx.by_ref(), service.0, name).await?;
        let values = |terms: &Terms| json!(terms);
        let change = Change::between("test_definition", &format!("{}/{name}", service.1), old.as_ref().map(|r| (None, values(&r.terms.0))), values(terms));
        let id = match (&old, &change.state) {
            (Some(row), State::Unchanged) => row.id(),
            _ => test_definitions::upsert(tx.by_ref(), service.0, name, terms, by.ctx.now()).await?,
        };
        change.record(by, tx.by_ref(), id.0, applied).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use store::testing;

    use crate::{
        Actor, Ctx,
        config::{apply, export, parse, tests::GOOD},
        test_definitions,
    };

    const TESTS: &str = "    restore_tests:
      - name: deep
        window_days: 30
        rto: 30m
        start: hub-starts
        checks:
          - { name: rows, kind: sqlite, item: ada, path: app.db, statement: \"SELECT count(*) FROM people\", compare: \">=\", expected: \"75\" }
          - { name: hub, kind: http, url: \"https://hub.example.org/health\", text: ready }
          - { name: db, kind: tcp, host: db.example.org, port: 5432 }
          - { name: looks, kind: command, command: looks }
      - name: weekly
        sample: 5
        network: isolated
";

    /// The good file with definitions at its first service.
    fn with(tests: &str) -> String {
        let at = GOOD.find("    sources:").unwrap();
        format!("{}{tests}{}", &GOOD[..at], &GOOD[at..])
    }

    #[tokio::test]
    async fn definitions_are_applied_once_and_written_back() {
        let config = parse(&with(TESTS)).unwrap_or_else(|m| panic!("{m:?}"));
        for db in testing::databases().await {
            let ctx = Ctx::new(db.db.clone(), Actor::shell(), "shell");
            let service = config.services.iter().find(|s| !s.tests.is_empty()).unwrap();
            let applied = apply(&ctx, &config, Some("holdfast.yaml")).await.unwrap();
            let made: Vec<_> = applied.created.iter().filter(|s| s.entity == "test_definition").map(|s| s.name.clone()).collect();
            assert_eq!(made, [format!("{}/deep", service.name), format!("{}/weekly", service.name)], "{}", db.name);
            let again = apply(&ctx, &config, Some("holdfast.yaml")).await.unwrap();
            assert!(again.created.is_empty() && again.changed.is_empty(), "{}: {again:?}", db.name);
            assert_eq!(test_definitions::find(&ctx, &service.name, "deep").await.unwrap().terms.0, service.tests[0].terms, "{}", db.name);
            let text = export(&ctx).await.unwrap();
            let read = parse(&text).unwrap_or_else(|m| panic!("{m:?}\n{text}"));
            assert_eq!(read.services.iter().find(|s| s.name == service.name).unwrap().tests, service.tests, "{text}");
        }
    }

    #[test]
    fn each_mistake_has_its_place_and_its_remedy() {
        for (old, new, want) in [
            ("window_days: 30", "window_days: 0", "“window_days”: “0” is not a whole number from 1 to 3660"),
            ("        sample: 5", "        sample: 5\n        window_days: 3", "“window_days” takes one snapshot at random"),
            ("path: app.db", "path: ../app.db", "“path” must lead from the item's folder downwards"),
            ("SELECT count(*) FROM people", "DROP TABLE people", "“statement” must begin with SELECT or WITH"),
            ("kind: command,", "kind: shell,", "use sqlite, postgresql, http, tcp or command"),
            ("port: 5432", "port: 70000", "“port”: “70000” is not a whole number from 1 to 65535"),
            ("host: db.example.org", "host: \"db:5432\"", "“host” is no name of a host"),
            ("command: looks", "command: looks, url: \"https://x.example\"", "“url” is not for a check of kind command"),
            ("name: weekly", "name: deep", "a second restore test of this service is called “deep”"),
            ("compare: \">=\"", "compare: \">\"", "“compare” must be"),
        ] {
            let mistakes = parse(&with(&TESTS.replacen(old, new, 1))).unwrap_err();
            let told = mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            assert!(told.contains(want), "{want}: {told}");
        }
    }
}
