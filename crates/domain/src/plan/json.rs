//! A plan as JSON, in and out (R42, R61).
//!
//! Lives here: reading what somebody wrote, naming each field that is wrong; spans as text. May not: what a field may hold
//! beyond its kind (`PlanContent::problems` says).

use serde_json::{Map, Value};

use super::content::{FORMAT, Performance, PlanContent, Procedure, Revision, Test};
use crate::{field::FieldError, units};

const KEYS: [&str; 17] = [
    "format",
    "about",
    "introduction",
    "performance",
    "outcome",
    "procedures",
    "invocation_targets",
    "mtpod",
    "rto",
    "rpo",
    "return_to_normal",
    "support_unit",
    "contact",
    "escalation",
    "test",
    "past_revisions",
    "$schema",
];

/// Reads `2 d`, `1 d 12 h` or `90s`: what a person writes, and what [`write_span`] writes.
pub fn read_span(text: &str) -> Result<i64, units::BadSpan> {
    let bad = || units::BadSpan(text.chars().take(60).collect());
    let mut joined = String::new();
    let mut gap = false;
    for c in text.trim().chars() {
        if c.is_whitespace() {
            gap = true;
            continue;
        }
        // “1 5 m” is no 15 minutes.
        if gap && c.is_ascii_digit() && joined.ends_with(|l: char| l.is_ascii_digit()) {
            return Err(bad());
        }
        gap = false;
        joined.push(c);
    }
    units::parse_span(&joined).map_err(|_| bad())
}

/// A span to the second: `1 d 12 h`.
pub fn write_span(seconds: i64) -> String {
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, size) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        if rest / size > 0 {
            parts.push(format!("{} {unit}", rest / size));
        }
        rest %= size;
    }
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

/// How spans are kept.
pub mod span_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[allow(clippy::ref_option, reason = "serde calls it with a reference to the field")]
    pub fn serialize<S: Serializer>(value: &Option<i64>, s: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(seconds) => s.serialize_str(&super::write_span(*seconds)),
            None => s.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<i64>, D::Error> {
        let text = Option::<String>::deserialize(d)?;
        text.map(|t| super::read_span(&t)).transpose().map_err(D::Error::custom)
    }
}

/// Reads a plan that somebody wrote, or that was exported. What is known of a version (`about`) is read over.
///
/// # Errors
/// Every field that is unknown, of the wrong kind or cannot be kept, each with its remedy.
pub fn read(text: &str) -> Result<PlanContent, Vec<FieldError>> {
    let value: Value = serde_json::from_str(text)
        .map_err(|e| vec![FieldError::new("plan", format!("is no JSON: line {}, column {}; export a plan to see its form", e.line(), e.column()))])?;
    let Value::Object(map) = value else {
        return Err(vec![FieldError::new("plan", "must be a JSON object with the fields of a plan; export a plan to see its form")]);
    };
    match map.get("format") {
        Some(Value::Number(n)) if n.as_u64() == Some(u64::from(FORMAT)) => {}
        Some(other) => {
            let message =
                format!("is {}, and this version of Holdfast reads format {FORMAT}; export the plan in that format, or update Holdfast", brief(other));
            return Err(vec![FieldError::new("format", message)]);
        }
        None => return Err(vec![FieldError::new("format", format!("is missing; say \"format\": {FORMAT}"))]),
    }
    let mut r = Reader { wrong: Vec::new() };
    let content = r.plan(&map).tidy();
    r.wrong.extend(content.problems());
    if r.wrong.is_empty() { Ok(content) } else { Err(r.wrong) }
}

struct Reader {
    wrong: Vec<FieldError>,
}

impl Reader {
    fn plan(&mut self, map: &Map<String, Value>) -> PlanContent {
        self.known(map, "", &KEYS);
        let text = |r: &mut Self, key: &str| r.text(map, "", key);
        PlanContent {
            format: FORMAT,
            introduction: text(self, "introduction"),
            performance: self.performance(map),
            outcome: text(self, "outcome"),
            procedures: self.rows(map, "", "procedures", &["title", "link", "text"], |r, m, at| Procedure {
                title: r.text(m, at, "title"),
                link: r.text(m, at, "link"),
                text: r.text(m, at, "text"),
            }),
            invocation_targets: text(self, "invocation_targets"),
            mtpod_s: self.span(map, "mtpod"),
            rto_s: self.span(map, "rto"),
            rpo_s: self.span(map, "rpo"),
            return_to_normal: text(self, "return_to_normal"),
            support_unit: text(self, "support_unit"),
            contact: text(self, "contact"),
            escalation: text(self, "escalation"),
            test: self.test(map),
            past_revisions: self.rows(map, "", "past_revisions", &["version", "date", "by", "comment"], |r, m, at| Revision {
                version: r.text(m, at, "version"),
                date: r.text(m, at, "date"),
                by: r.text(m, at, "by"),
                comment: r.text(m, at, "comment"),
            }),
        }
    }

    fn performance(&mut self, map: &Map<String, Value>) -> Performance {
        let Some(part) = self.part(map, "performance", &["availability", "reliability", "requirements", "probes"]) else { return Performance::default() };
        Performance {
            availability: self.number(part, "performance.", "availability"),
            reliability: self.number(part, "performance.", "reliability"),
            requirements: self.text(part, "performance.", "requirements"),
            probes: self.text(part, "performance.", "probes"),
        }
    }

    fn test(&mut self, map: &Map<String, Value>) -> Test {
        let Some(part) = self.part(map, "test", &["details", "steps", "outcome", "log"]) else { return Test::default() };
        let steps = match part.get("steps") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(all)) => {
                let mut steps = Vec::new();
                for (n, step) in all.iter().enumerate() {
                    match step {
                        Value::String(s) => steps.push(s.clone()),
                        other => self.say(format!("test.steps[{n}]"), &format!("is {}; write the step as text", brief(other))),
                    }
                }
                steps
            }
            Some(other) => {
                self.say("test.steps", &format!("is {}; write a list of texts, such as [\"Install from scratch\"]", brief(other)));
                Vec::new()
            }
        };
        Test { details: self.text(part, "test.", "details"), steps, outcome: self.text(part, "test.", "outcome"), log: self.text(part, "test.", "log") }
    }

    fn say(&mut self, field: impl Into<String>, message: &str) {
        self.wrong.push(FieldError::new(field, message));
    }

    fn known(&mut self, map: &Map<String, Value>, at: &str, keys: &[&str]) {
        let shown = keys.iter().filter(|k| !k.starts_with('$')).copied().collect::<Vec<_>>().join(", ");
        for key in map.keys().filter(|k| !keys.contains(&k.as_str())) {
            let key: String = key.chars().take(60).collect();
            self.say(format!("{at}{key}"), &format!("is no field of a plan; remove it, or use one of: {shown}"));
        }
    }

    fn part<'a>(&mut self, map: &'a Map<String, Value>, key: &str, keys: &[&str]) -> Option<&'a Map<String, Value>> {
        match map.get(key) {
            None | Some(Value::Null) => None,
            Some(Value::Object(part)) => {
                self.known(part, &format!("{key}."), keys);
                Some(part)
            }
            Some(other) => {
                self.say(key, &format!("is {}; write an object with {}", brief(other), keys.join(", ")));
                None
            }
        }
    }

    fn rows<T>(&mut self, map: &Map<String, Value>, at: &str, key: &str, keys: &[&str], row: impl Fn(&mut Self, &Map<String, Value>, &str) -> T) -> Vec<T> {
        let mut rows = Vec::new();
        match map.get(key) {
            None | Some(Value::Null) => {}
            Some(Value::Array(all)) => {
                for (n, one) in all.iter().enumerate() {
                    let place = format!("{at}{key}[{n}]");
                    if let Value::Object(one) = one {
                        let inside = format!("{place}.");
                        self.known(one, &inside, keys);
                        rows.push(row(self, one, &inside));
                    } else {
                        self.say(place, &format!("is {}; write an object with {}", brief(one), keys.join(", ")));
                    }
                }
            }
            Some(other) => self.say(format!("{at}{key}"), &format!("is {}; write a list of objects with {}", brief(other), keys.join(", "))),
        }
        rows
    }

    fn text(&mut self, map: &Map<String, Value>, at: &str, key: &str) -> String {
        match map.get(key) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(s)) => s.clone(),
            Some(other) => {
                self.say(format!("{at}{key}"), &format!("is {}; write text in quotes", brief(other)));
                String::new()
            }
        }
    }

    fn number(&mut self, map: &Map<String, Value>, at: &str, key: &str) -> Option<f64> {
        match map.get(key) {
            None | Some(Value::Null) => None,
            Some(Value::Number(n)) => n.as_f64(),
            Some(other) => {
                self.say(format!("{at}{key}"), &format!("is {}; write a percentage without quotes, such as 90", brief(other)));
                None
            }
        }
    }

    fn span(&mut self, map: &Map<String, Value>, key: &str) -> Option<i64> {
        match map.get(key) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => match read_span(text) {
                Ok(seconds) => Some(seconds),
                Err(e) => {
                    self.say(key, &e.to_string());
                    None
                }
            },
            Some(other) => {
                self.say(key, &format!("is {}; write a duration as text, such as \"1 d\"", brief(other)));
                None
            }
        }
    }
}

fn brief(value: &Value) -> String {
    match value {
        Value::Null => "empty".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(s) => format!("“{}”", s.chars().take(40).collect::<String>()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> PlanContent {
        PlanContent {
            introduction: "Why.\n\n- a\n- b".into(),
            performance: Performance { availability: Some(90.0), reliability: Some(99.5), requirements: "OIDC".into(), probes: "two".into() },
            procedures: vec![Procedure { title: "Restore".into(), link: "https://wiki.example.org/restore".into(), text: String::new() }],
            mtpod_s: Some(2 * 86_400),
            rto_s: Some(86_400 + 43_200),
            rpo_s: None,
            test: Test { details: "all".into(), steps: vec!["install".into(), "restore".into()], ..Test::default() },
            past_revisions: vec![Revision { version: "v1".into(), date: "2019-06-11".into(), by: "office".into(), comment: "final".into() }],
            ..PlanContent::default()
        }
    }

    #[test]
    fn spans_are_read_as_they_are_written() {
        for (text, want) in [("2 d", 172_800), ("1 d 12 h", 129_600), ("1d12h", 129_600), (" 90 s ", 90), ("1 w", 604_800)] {
            assert_eq!(read_span(text), Ok(want), "{text}");
        }
        for text in ["", "soon", "1 5 m", "2", "d", "-1 d", "0 s", "1.5 d", "one day"] {
            assert!(read_span(text).is_err(), "{text}");
        }
        for s in [1, 59, 61, 3_600, 90_061, 172_800, 31_622_400] {
            assert_eq!(read_span(&write_span(s)), Ok(s), "{}", write_span(s));
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let text = full().canonical();
        assert!(text.contains(r#""mtpod":"2 d","rto":"1 d 12 h","rpo":null"#), "{text}");
        assert_eq!(read(&text), Ok(full()));
        assert_eq!(serde_json::from_str::<PlanContent>(&text).unwrap(), full());
        assert_eq!(read(r#"{"format": 1, "about": {"version": 7}}"#), Ok(PlanContent::default()));
    }

    #[test]
    fn each_wrong_field_is_named_with_its_remedy() {
        let cases = [
            ("", "plan", "is no JSON"),
            ("[1]", "plan", "must be a JSON object"),
            ("{}", "format", "is missing; say \"format\": 1"),
            (r#"{"format": 2}"#, "format", "is 2, and this version of Holdfast reads format 1"),
            (r#"{"format": "1"}"#, "format", "is “1”"),
            (r#"{"format": 1, "rto_s": 5}"#, "rto_s", "is no field of a plan; remove it, or use one of: format, about, introduction"),
            (r#"{"format": 1, "performance": {"avail": 90}}"#, "performance.avail", "is no field of a plan"),
            (r#"{"format": 1, "rto": "a day or so"}"#, "rto", "“a day or so” is not a duration; write a number and a unit"),
            (r#"{"format": 1, "rto": 86400}"#, "rto", "write a duration as text, such as \"1 d\""),
            (r#"{"format": 1, "performance": {"availability": "90"}}"#, "performance.availability", "without quotes"),
            (r#"{"format": 1, "performance": {"availability": 900}}"#, "performance.availability", "from 0 to 100"),
            (r#"{"format": 1, "performance": []}"#, "performance", "write an object"),
            (r#"{"format": 1, "introduction": 7}"#, "introduction", "write text in quotes"),
            (r#"{"format": 1, "procedures": [{"title": "x", "url": "y"}]}"#, "procedures[0].url", "is no field of a plan"),
            (r#"{"format": 1, "procedures": ["x"]}"#, "procedures[0]", "write an object with title, link, text"),
            (r#"{"format": 1, "procedures": "x"}"#, "procedures", "write a list"),
            (r#"{"format": 1, "test": {"steps": [1]}}"#, "test.steps[0]", "write the step as text"),
            (r#"{"format": 1, "test": {"steps": "x"}}"#, "test.steps", "write a list of texts"),
        ];
        for (text, field, part) in cases {
            let wrong = read(text).unwrap_err();
            assert!(wrong.len() == 1 && wrong[0].field == field && wrong[0].message.contains(part), "{text}: {wrong:?}");
        }
        let many = read(r#"{"format": 1, "rto": "x", "rpo": "y", "colour": 1}"#).unwrap_err();
        assert_eq!(many.iter().map(|w| w.field.as_str()).collect::<Vec<_>>(), ["colour", "rto", "rpo"]);
    }
}
