//! What a restore test is made of: the terms of a definition (R32).
//!
//! Lives here: further checks with their values, what may be wrong with them, how a value compares with what was
//! expected. May not: how a check is done, who may define one.

use serde::{Deserialize, Serialize};

use crate::{
    channel::url_problem,
    field::FieldError,
    naming::{slug_problem, unescape},
    run::text_enum,
    work::Selection,
};

/// The most checks that one definition adds.
pub const MOST_CHECKS: usize = 20;
/// The longest window of a random snapshot, in days.
pub const LONGEST_WINDOW_D: i64 = 3_660;
/// The most items of a sample.
pub const MOST_SAMPLED: i64 = 10_000;
/// The longest statement, text and value, in characters.
const LONGEST_STATEMENT: usize = 4_000;
const LONGEST_TEXT: usize = 500;
/// The longest name of a network and of a host, in characters.
const LONGEST_NETWORK: usize = 255;
const LONGEST_HOST: usize = 255;
/// The longest limit: ten years.
const LONGEST_LIMIT_S: i64 = 3_660 * 86_400;

text_enum! {
    /// How a value is compared with what is expected of it.
    Compare { Equal => "=", AtLeast => ">=", AtMost => "<=" }
}

/// One value that a database gives, and what it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assertion {
    /// One statement that reads one row with one value.
    pub statement: String,
    pub compare: Compare,
    pub expected: String,
}

/// What a further check looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Probe {
    /// A SQLite file inside what was restored of an item.
    Sqlite { item: String, path: String, assertion: Assertion },
    /// A database that the server's own configuration names.
    Postgresql { connection: String, assertion: Assertion },
    /// An address that answers with a status, and with a text where one is given.
    Http { url: String, status: u16, text: String },
    /// A port that takes a connection.
    Tcp { host: String, port: u16 },
    /// A command that the server's own configuration names.
    Command { command: String },
}

impl Probe {
    /// The stored form of its kind.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "sqlite",
            Self::Postgresql { .. } => "postgresql",
            Self::Http { .. } => "http",
            Self::Tcp { .. } => "tcp",
            Self::Command { .. } => "command",
        }
    }

    /// The item that it needs among what is restored.
    pub fn item(&self) -> Option<&str> {
        match self {
            Self::Sqlite { item, .. } => Some(item),
            Self::Http { url: text, .. } | Self::Tcp { host: text, .. } => named_instance(text),
            Self::Postgresql { .. } | Self::Command { .. } => None,
        }
    }
}

/// A further check with its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub name: String,
    #[serde(flatten)]
    pub probe: Probe,
}

/// What an instance that a test brings back is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestNetwork<'a> {
    None,
    /// A network that is made for the test, without a router: nobody reaches it, and it reaches nobody.
    Isolated,
    /// One of the project's, by name or id.
    Named(&'a str),
}

/// What a restore test takes, what it checks, and what it must keep to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    pub selection: Selection,
    /// Beside those that every test makes.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// A command of the server's configuration that starts the service on what was restored.
    #[serde(default)]
    pub start: Option<String>,
    /// In seconds; the service's where it is absent.
    #[serde(default)]
    pub rto_s: Option<i64>,
    #[serde(default)]
    pub rpo_s: Option<i64>,
    /// Of instances: `none`, `isolated`, or a network of the project; none where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
}

impl Default for Terms {
    /// The definition that is built in.
    fn default() -> Self {
        Self { selection: Selection::Sample { count: 5 }, checks: Vec::new(), start: None, rto_s: None, rpo_s: None, network: None }
    }
}

impl Terms {
    /// Whether it names what only an admin may name: a command, a database, an address, a network in use.
    pub fn is_an_admins(&self) -> bool {
        !self.checks.is_empty() || self.start.is_some() || matches!(self.test_network(), TestNetwork::Named(_))
    }

    pub fn test_network(&self) -> TestNetwork<'_> {
        match self.network.as_deref() {
            None | Some("none") => TestNetwork::None,
            Some("isolated") => TestNetwork::Isolated,
            Some(name) => TestNetwork::Named(name),
        }
    }

    /// The names of the commands that it needs.
    pub fn commands(&self) -> impl Iterator<Item = &str> {
        self.checks.iter().filter_map(|c| if let Probe::Command { command } = &c.probe { Some(command.as_str()) } else { None }).chain(self.start.as_deref())
    }

    /// Every mistake of the values themselves. Fields of a check are `checks[N].field`.
    pub fn problems(&self) -> Vec<FieldError> {
        let mut wrong: Vec<FieldError> = selection_problem(self.selection).into_iter().collect();
        for (field, limit) in [("rto", self.rto_s), ("rpo", self.rpo_s)] {
            if limit.is_some_and(|s| !(1..=LONGEST_LIMIT_S).contains(&s)) {
                wrong.push(FieldError::new(field, "must be from 1 s to 3660 d; leave it out to take the service's"));
            }
        }
        if self.start.as_deref().is_some_and(|s| slug_problem(s).is_some()) {
            wrong.push(FieldError::new("start", "is no name of a command; name one of the server's configuration, or leave it out"));
        }
        if self.network.as_deref().is_some_and(|n| n.trim().is_empty() || n.chars().count() > LONGEST_NETWORK || n.chars().any(char::is_control)) {
            wrong.push(FieldError::new("network", "is no name of a network; write none, isolated, or the name or id of one of the project"));
        }
        if self.checks.len() > MOST_CHECKS {
            wrong.push(FieldError::new("checks", format!("are more than {MOST_CHECKS}; make a second definition")));
        }
        for (n, check) in self.checks.iter().enumerate() {
            check.problems(|field, message| wrong.push(FieldError::new(format!("checks[{n}].{field}"), message)));
            if self.checks[..n].iter().any(|c| c.name == check.name) {
                wrong.push(FieldError::new(format!("checks[{n}].name"), "is taken by a check before it; choose another"));
            }
        }
        wrong
    }
}

/// What is wrong with a selection, if anything.
pub fn selection_problem(selection: Selection) -> Option<FieldError> {
    match selection {
        Selection::Sample { count } if !(1..=MOST_SAMPLED).contains(&count) => Some(FieldError::new("sample", "must be a number from 1 to 10000")),
        Selection::Random { days } if !(1..=LONGEST_WINDOW_D).contains(&days) => Some(FieldError::new("days", "must be a number of days from 1 to 3660")),
        _ => None,
    }
}

impl Check {
    fn problems(&self, mut say: impl FnMut(&str, String)) {
        if let Some(problem) = slug_problem(&self.name) {
            say("name", problem.to_owned());
        }
        let line = |text: &str| text.chars().count() <= LONGEST_TEXT && !text.chars().any(char::is_control);
        match &self.probe {
            Probe::Sqlite { item, path, assertion } => {
                if item.is_empty() || !line(item) {
                    say("item", "is empty or too long; name the item as the service lists it".to_owned());
                }
                if let Some(problem) = inner_path_problem(path) {
                    say("path", problem.to_owned());
                }
                assertion.problems(say);
            }
            Probe::Postgresql { connection, assertion } => {
                if slug_problem(connection).is_some() {
                    say("connection", "is no name of a connection; name one of the server's configuration".to_owned());
                }
                assertion.problems(say);
            }
            Probe::Http { url, status, text } => {
                let secret = url.split_once("://").is_some_and(|(_, rest)| rest.split('/').next().is_some_and(|host| host.contains('@')));
                if let Some(problem) = url_problem(url) {
                    say("url", problem.to_owned());
                } else if secret {
                    say("url", "holds a password, which would be shown; take one that needs none".to_owned());
                }
                if !(100..=599).contains(status) {
                    say("status", "must be a status of HTTP from 100 to 599, such as 200".to_owned());
                }
                if !line(text) {
                    say("text", format!("must be one line of at most {LONGEST_TEXT} characters"));
                }
            }
            Probe::Tcp { host, port } => {
                if !is_host(host) {
                    say("host", "is no name of a host; write it as db.example.org, 192.0.2.7, or {address} for that of an instance".to_owned());
                }
                if *port == 0 {
                    say("port", "must be a number from 1 to 65535, such as 22".to_owned());
                }
            }
            Probe::Command { command } => {
                if slug_problem(command).is_some() {
                    say("command", "is no name of a command; name one of the server's configuration".to_owned());
                }
            }
        }
    }
}

/// The instance whose address stands in a text: `web` of `http://{address:web}/`.
pub fn named_instance(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("{address:")?;
    rest.split_once('}').map(|(name, _)| name).filter(|name| !name.is_empty())
}

/// A name, an address, or what stands for that of an instance: `{address}`, `{address:NAME}`.
fn is_host(text: &str) -> bool {
    if text.is_empty() || text.chars().count() > LONGEST_HOST {
        return false;
    }
    match text.strip_prefix("{address") {
        Some(rest) => rest == "}" || (rest.len() > 2 && rest.starts_with(':') && rest.ends_with('}') && !text.chars().any(char::is_control)),
        None => text.parse::<std::net::IpAddr>().is_ok() || text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')),
    }
}

/// What is wrong with a path inside an item, if anything.
pub fn inner_path_problem(path: &str) -> Option<&'static str> {
    let bad = |part: &str| part.is_empty() || part == "." || part == "..";
    match unescape(path) {
        _ if path.is_empty() => Some("is empty; give the path inside the item, such as data/app.db"),
        _ if path.len() > 4_096 => Some("is too long; give the path inside the item"),
        None => Some("holds a backslash that starts nothing known; write \\\\ for a backslash"),
        Some(bytes) if bytes.contains(&0) => Some("holds a zero byte; give the path inside the item"),
        Some(_) if path.split('/').any(bad) => Some("must lead from the item's folder downwards, without “.”, “..” and empty parts"),
        Some(_) => None,
    }
}

impl Assertion {
    fn problems(&self, mut say: impl FnMut(&str, String)) {
        if let Some(problem) = statement_problem(&self.statement) {
            say("statement", problem.to_owned());
        }
        if self.expected.is_empty() || self.expected.chars().count() > LONGEST_TEXT || self.expected.chars().any(char::is_control) {
            say("expected", format!("must be one line of 1 to {LONGEST_TEXT} characters"));
        } else if self.compare != Compare::Equal && number(&self.expected).is_none() {
            say("expected", format!("must be a number for {}; write it as 75 or 0.5, or compare with =", self.compare));
        }
    }
}

/// What is wrong with a statement, if anything. The database reads it once more, and lets it read only.
pub fn statement_problem(statement: &str) -> Option<&'static str> {
    let text = statement.trim();
    let first: String = text.chars().take_while(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
    if text.is_empty() {
        Some("is empty; write one SELECT that gives one value")
    } else if text.chars().count() > LONGEST_STATEMENT {
        Some("is longer than 4000 characters; shorten it")
    } else if first != "select" && first != "with" {
        Some("must begin with SELECT or WITH: it may only read")
    } else if text.contains(';') || text.contains("--") || text.contains("/*") || text.chars().any(|c| c == '\0') {
        Some("must be one statement without “;” and without comments")
    } else {
        None
    }
}

/// How a value that was seen compares; `None` stands for SQL's NULL.
pub fn compares(compare: Compare, expected: &str, seen: Option<&str>) -> bool {
    let Some(seen) = seen else { return false };
    let (a, b) = (number(seen), number(expected));
    match (compare, a, b) {
        (Compare::Equal, Some(a), Some(b)) => a == b,
        (Compare::Equal, ..) => seen == expected,
        (Compare::AtLeast, Some(a), Some(b)) => a >= b,
        (Compare::AtMost, Some(a), Some(b)) => a <= b,
        _ => false,
    }
}

/// A decimal number: whole ones exactly, others as far as a double goes.
#[derive(Clone, Copy, Debug)]
enum Number {
    Whole(i128),
    Part(f64),
}

impl Number {
    fn part(self) -> f64 {
        match self {
            Self::Whole(n) => n as f64,
            Self::Part(x) => x,
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(std::cmp::Ordering::Equal)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a.partial_cmp(b),
            (a, b) => a.part().partial_cmp(&b.part()),
        }
    }
}

fn number(text: &str) -> Option<Number> {
    let text = text.trim();
    if let Ok(n) = text.parse() {
        return Some(Number::Whole(n));
    }
    // `inf` and `nan` are words, not numbers.
    let plain = text.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E'));
    text.parse().ok().filter(|x: &f64| plain && x.is_finite()).map(Number::Part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assertion(statement: &str, compare: Compare, expected: &str) -> Assertion {
        Assertion { statement: statement.into(), compare, expected: expected.into() }
    }

    fn fields(probe: Probe) -> Vec<String> {
        let terms = Terms { checks: vec![Check { name: "one".into(), probe }], ..Terms::default() };
        terms.problems().into_iter().map(|e| e.field).collect()
    }

    #[test]
    fn values_compare_as_numbers_where_they_are_numbers() {
        use Compare::{AtLeast, AtMost, Equal};
        for (compare, expected, seen, fits) in [
            (Equal, "75", Some("75"), true),
            (Equal, "75", Some("75.0"), true),
            (Equal, "9007199254740993", Some("9007199254740992"), false),
            (Equal, "ready", Some("ready"), true),
            (Equal, "ready", Some("READY"), false),
            (Equal, "NULL", None, false),
            (AtLeast, "75", Some("75"), true),
            (AtLeast, "75", Some("74"), false),
            (AtLeast, "75", Some("many"), false),
            (AtLeast, "0", Some("nan"), false),
            (AtMost, "0.5", Some("0.25"), true),
            (AtMost, "0.5", Some("1"), false),
            (AtMost, "0.5", None, false),
        ] {
            assert_eq!(compares(compare, expected, seen), fits, "{seen:?} {compare} {expected}");
        }
    }

    #[test]
    fn a_statement_reads_and_is_one() {
        for good in ["SELECT count(*) FROM users", " with a as (select 1) select * from a ", "select\n1"] {
            assert_eq!(statement_problem(good), None, "{good}");
        }
        for bad in ["", "DELETE FROM users", "SELECT 1; DROP TABLE users", "SELECT 1 -- all", "SELECT /* x */ 1", "PRAGMA x", "selected", "ATTACH 'x' AS y"] {
            assert!(statement_problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn a_path_stays_inside_its_item() {
        assert_eq!(inner_path_problem("data/app.db"), None);
        for bad in ["", "/etc/passwd", "../other/app.db", "data/../../x", "./x", "data//x", "a\\q", "data/", "a\\x00b"] {
            assert!(inner_path_problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn each_mistake_names_its_field() {
        let sqlite = |item: &str, path: &str, a| Probe::Sqlite { item: item.into(), path: path.into(), assertion: a };
        assert_eq!(fields(sqlite("ada", "app.db", assertion("SELECT 1", Compare::Equal, "1"))), [""; 0]);
        assert_eq!(
            fields(sqlite("", "../x", assertion("DROP TABLE x", Compare::AtLeast, "many"))),
            ["checks[0].item", "checks[0].path", "checks[0].statement", "checks[0].expected"]
        );
        let http = |url: &str, status, text: &str| fields(Probe::Http { url: url.into(), status, text: text.into() });
        assert_eq!(http("https://hub.example.org/health", 200, "ok"), [""; 0]);
        assert_eq!(http("file:///etc/passwd", 42, "a\nb"), ["checks[0].url", "checks[0].status", "checks[0].text"]);
        assert_eq!(http("https://me:secret@hub.example.org/", 200, ""), ["checks[0].url"]);
        for open in ["http://{address}:8080/health", "https://{address:web-1}/"] {
            assert_eq!(http(open, 200, ""), [""; 0], "{open}");
        }
        let tcp = |host: &str, port| fields(Probe::Tcp { host: host.into(), port });
        for good in ["db.example.org", "192.0.2.7", "fd00::7", "{address}", "{address:web 1}"] {
            assert_eq!(tcp(good, 22), [""; 0], "{good}");
        }
        let named = |text: &str| named_instance(text).map(str::to_owned);
        assert_eq!((named("http://{address:web-1}:80/"), named("{address}"), named("{address:")), (Some("web-1".into()), None, None));
        for bad in ["", "a b", "me@db", "db:22", "http://db", "{address", "{addresses}", "{address:}"] {
            assert_eq!(tcp(bad, 0), ["checks[0].host", "checks[0].port"], "{bad}");
        }
        assert_eq!(fields(Probe::Command { command: "rm -rf /".into() }), ["checks[0].command"]);
        assert_eq!(
            fields(Probe::Postgresql { connection: String::new(), assertion: assertion("SELECT 1", Compare::Equal, "") }),
            ["checks[0].connection", "checks[0].expected"]
        );
        let check = Check { name: "same".into(), probe: Probe::Command { command: "a".into() } };
        let terms = Terms {
            checks: vec![check.clone(), check],
            rto_s: Some(0),
            start: Some("a b".into()),
            selection: Selection::Random { days: 0 },
            network: Some(" ".into()),
            ..Terms::default()
        };
        let named: Vec<_> = terms.problems().into_iter().map(|e| e.field).collect();
        assert_eq!(named, ["days", "rto", "start", "network", "checks[1].name"]);
        assert!(terms.is_an_admins() && !Terms::default().is_an_admins() && Terms::default().problems().is_empty());
        assert_eq!(Terms { checks: vec![], ..terms }.commands().collect::<Vec<_>>(), ["a b"]);
    }

    #[test]
    fn a_network_in_use_is_an_admins_to_name() {
        for (said, network, admins) in [
            (None, TestNetwork::None, false),
            (Some("isolated"), TestNetwork::Isolated, false),
            (Some("none"), TestNetwork::None, false),
            (Some("drill-net"), TestNetwork::Named("drill-net"), true),
        ] {
            let terms = Terms { network: said.map(str::to_owned), ..Terms::default() };
            assert_eq!((terms.test_network(), terms.is_an_admins(), terms.problems()), (network, admins, vec![]));
        }
    }

    #[test]
    fn terms_are_read_back_as_they_were_written() {
        let terms = Terms {
            checks: vec![
                Check {
                    name: "rows".into(),
                    probe: Probe::Sqlite { item: "ada".into(), path: "a.db".into(), assertion: assertion("SELECT 1", Compare::AtMost, "1") },
                },
                Check { name: "hub".into(), probe: Probe::Http { url: "https://a.example".into(), status: 200, text: String::new() } },
            ],
            ..Terms::default()
        };
        let text = serde_json::to_string(&terms).unwrap();
        assert!(text.contains(r#""name":"rows","kind":"sqlite""#), "{text}");
        assert_eq!(serde_json::from_str::<Terms>(&text).unwrap(), terms);
    }
}
