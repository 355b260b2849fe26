//! Taking values out of the tree while collecting mistakes.
//!
//! Lives here: keys, types and the limits of plain values. May not: what a repository or a service is.
//! Invariant: a value that cannot be used leaves a mistake and nothing else.

use std::path::{Component, Path};

use domain::{naming::slug_problem, units::parse_span};
use store::repositories::SecretRef;

use super::{
    Mistake,
    keys::{Level, SECRET, shown},
    yaml::{At, Entry, Node, Value},
};

/// How many mistakes are told at once.
const MOST: usize = 50;
/// How many are collected; the rest is not looked for.
const COLLECTED: usize = 10_000;
/// The longest span that is believed: a hundred years.
const LONGEST_S: i64 = 100 * 366 * 86_400;
/// The longest path, as Linux has it, and the longest title.
const LONGEST_PATH: usize = 4_096;
const LONGEST_TEXT: usize = 200;

/// Collects mistakes.
#[derive(Default)]
pub struct Walk {
    mistakes: Vec<Mistake>,
}

/// A text with its place.
#[derive(Clone, Copy)]
pub struct Text<'a> {
    pub at: At,
    pub text: &'a str,
}

/// The keys of one mapping, checked against its level.
pub struct Fields<'a> {
    pub at: At,
    pub level: &'static Level,
    entries: &'a [Entry],
}

impl<'a> Fields<'a> {
    pub fn get(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|e| e.key == key)
    }
}

impl Walk {
    pub fn say(&mut self, at: At, message: impl Into<String>) {
        if self.mistakes.len() < COLLECTED {
            self.mistakes.push(at.mistake(message));
        }
    }

    /// The same of a place where a secret stands in clear.
    pub fn say_secret(&mut self, at: At, message: impl Into<String>) {
        if self.mistakes.len() < COLLECTED {
            self.mistakes.push(Mistake { is_secret: true, ..at.mistake(message) });
        }
    }

    /// What was collected, in the order of the text; nothing when there is nothing.
    pub fn finish(mut self) -> Result<(), Vec<Mistake>> {
        self.mistakes.sort_by_key(|m| (m.line, m.col));
        if self.mistakes.len() > MOST {
            let more = self.mistakes.len() - MOST;
            let next = &self.mistakes[MOST];
            let message = format!("and {more} more from here on; mend the ones above first");
            let last = Mistake { line: next.line, col: next.col, message, is_secret: self.mistakes[MOST..].iter().any(|m| m.is_secret) };
            self.mistakes.truncate(MOST);
            self.mistakes.push(last);
        }
        if self.mistakes.is_empty() { Ok(()) } else { Err(self.mistakes) }
    }

    /// The node as a mapping of the level; each foreign and each repeated key is told.
    pub fn fields<'a>(&mut self, node: &'a Node, level: &'static Level) -> Option<Fields<'a>> {
        let Value::Map(entries) = &node.value else {
            let example = level.keys.first().map_or("", |k| k.2);
            self.say(node.at, format!("{} is written as keys and values, such as {example}", level.words));
            return None;
        };
        for (i, entry) in entries.iter().enumerate() {
            if !level.has(&entry.key) {
                self.say(entry.at, level.refuse(&entry.key));
            } else if let Some(first) = entries[..i].iter().find(|e| e.key == entry.key) {
                self.say(entry.at, format!("“{}” is given twice here; the first is on line {}; remove one", entry.key, first.at.line));
            }
        }
        Some(Fields { at: node.at, level, entries })
    }

    /// The entry of a key that must be there.
    pub fn required<'a>(&mut self, fields: &Fields<'a>, key: &str) -> Option<&'a Entry> {
        let found = fields.get(key);
        if found.is_none() {
            self.say(fields.at, format!("{} needs “{key}”; add {}", fields.level.words, fields.level.example(key)));
        }
        found
    }

    fn wrong(&mut self, fields: &Fields<'_>, entry: &Entry, what: &str) {
        let example = fields.level.example(&entry.key);
        if matches!(entry.value.value, Value::Empty) {
            self.say(entry.at, format!("“{}” has no value; write {example}", entry.key));
        } else {
            self.say(entry.value.at, format!("“{}” must be {what}; write {example}", entry.key));
        }
    }

    /// The value of a key as text.
    pub fn text<'a>(&mut self, fields: &Fields<'_>, entry: &'a Entry) -> Option<Text<'a>> {
        match &entry.value.value {
            Value::Text(text) if text.trim().is_empty() => {
                self.say(entry.value.at, format!("“{}” is empty; write {}", entry.key, fields.level.example(&entry.key)));
                None
            }
            Value::Text(text) if text.contains(char::is_control) => {
                self.say(entry.value.at, format!("“{}” holds a line break or another control character; write it on one line", entry.key));
                None
            }
            Value::Text(text) => Some(Text { at: entry.value.at, text }),
            _ => {
                self.wrong(fields, entry, "text");
                None
            }
        }
    }

    /// A text that must be there.
    pub fn required_text<'a>(&mut self, fields: &Fields<'a>, key: &str) -> Option<Text<'a>> {
        let entry = self.required(fields, key)?;
        self.text(fields, entry)
    }

    /// A text that may be left out.
    pub fn optional_text<'a>(&mut self, fields: &Fields<'a>, key: &str) -> Option<Text<'a>> {
        let entry = fields.get(key)?;
        self.text(fields, entry)
    }

    /// A title or a name of somebody: short and on one line.
    pub fn line(&mut self, text: Option<Text<'_>>, key: &str) -> Option<String> {
        let Text { at, text } = text?;
        let text = text.trim();
        if text.chars().nth(LONGEST_TEXT).is_some() {
            self.say(at, format!("“{key}” is longer than {LONGEST_TEXT} characters; shorten it"));
            return None;
        }
        Some(text.to_owned())
    }

    /// A name of a service, source or repository.
    pub fn slug<'a>(&mut self, fields: &Fields<'a>) -> Option<Text<'a>> {
        let name = self.required_text(fields, "name")?;
        if let Some(problem) = slug_problem(name.text) {
            self.say(name.at, format!("the name {} {problem}", shown(name.text)));
            return None;
        }
        Some(name)
    }

    /// The elements of a list, at most `most`.
    pub fn list<'a>(&mut self, fields: &Fields<'_>, entry: &'a Entry, most: usize) -> &'a [Node] {
        match &entry.value.value {
            Value::List(nodes) if nodes.len() > most => {
                self.say(entry.at, format!("“{}” has {} entries; {most} is the most", entry.key, nodes.len()));
                &[]
            }
            Value::List(nodes) => nodes,
            Value::Map(_) => {
                self.say(entry.value.at, format!("“{}” must be a list; begin each entry with “- ”", entry.key));
                &[]
            }
            Value::Empty | Value::Text(_) => {
                self.wrong(fields, entry, "a list");
                &[]
            }
        }
    }

    /// A list of short texts, each on one line.
    pub fn texts(&mut self, fields: &Fields<'_>, entry: &Entry, most: usize) -> Vec<String> {
        let mut out = Vec::new();
        for node in self.list(fields, entry, most) {
            match &node.value {
                Value::Text(text) if !text.trim().is_empty() && !text.contains(char::is_control) => out.push(text.trim().to_owned()),
                _ => self.say(node.at, format!("each entry of “{}” must be a text; write {}", entry.key, fields.level.example(&entry.key))),
            }
        }
        out
    }

    /// A span such as `24h`, in seconds.
    pub fn span(&mut self, fields: &Fields<'_>, key: &str) -> Option<i64> {
        let Text { at, text } = self.optional_text(fields, key)?;
        match parse_span(text) {
            Ok(s) if s <= LONGEST_S => Some(s),
            Ok(_) => {
                self.say(at, format!("“{key}” is longer than a hundred years; write a shorter span"));
                None
            }
            Err(_) => {
                self.say(at, format!("“{key}”: {} is not a duration; write a number and a unit, such as 90s, 15m, 24h or 7d", shown(text)));
                None
            }
        }
    }

    /// A whole number within bounds.
    pub fn whole(&mut self, fields: &Fields<'_>, key: &str, bounds: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let Text { at, text } = self.optional_text(fields, key)?;
        let number = text.parse().ok().filter(|n| bounds.contains(n));
        if number.is_none() {
            self.say(at, format!("“{key}”: {} is not a whole number from {} to {}", shown(text), bounds.start(), bounds.end()));
        }
        number
    }

    /// An absolute path without `.` and `..`; `what` names it in the message.
    pub fn absolute(&mut self, at: At, text: &str, what: &str) -> Option<String> {
        let path = Path::new(text);
        if !path.is_absolute() {
            self.say(at, format!("{what} must be an absolute path; {} depends on where the server starts, begin it with /", shown(text)));
        } else if path.components().any(|c| c == Component::ParentDir) {
            self.say(at, format!("{what} must not hold “..”; write where it leads"));
        } else if text.len() > LONGEST_PATH {
            self.say(at, format!("{what} is longer than {LONGEST_PATH} bytes; no system opens that"));
        } else {
            let short: std::path::PathBuf = path.components().collect();
            return Some(short.to_string_lossy().into_owned());
        }
        None
    }

    /// A reference to a secret; a secret itself is refused and never repeated.
    pub fn secret(&mut self, entry: &Entry) -> Option<SecretRef> {
        let key = &entry.key;
        match &entry.value.value {
            Value::Text(_) => {
                self.say_secret(
                    entry.value.at,
                    format!(
                        "“{key}” must not stand in this file; put it into a file that only the server reads and write {key}: {{ file: /path }}, or {key}: {{ env: NAME }}; \
                         change the secret if others have seen this file"
                    ),
                );
                return None;
            }
            Value::Empty => {
                self.say(entry.at, format!("“{key}” has no value; write {key}: {{ file: /path }} or {key}: {{ env: NAME }}"));
                return None;
            }
            Value::List(_) => {
                self.say_secret(entry.value.at, format!("“{key}” must be one reference; write {key}: {{ file: /path }} or {key}: {{ env: NAME }}"));
                return None;
            }
            Value::Map(_) => {}
        }
        let fields = self.fields(&entry.value, &SECRET)?;
        match (fields.get("file"), fields.get("env")) {
            (Some(file), None) => {
                let Text { at, text } = self.text(&fields, file)?;
                if !Path::new(text).is_absolute() {
                    self.say(at, "“file” must be the absolute path of a file whose first line is the secret; begin it with /");
                    return None;
                }
                self.absolute(at, text, "“file”").map(SecretRef::File)
            }
            (None, Some(env)) => {
                let Text { at, text } = self.text(&fields, env)?;
                let name = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                if !name {
                    self.say(at, "“env” must be the name of an environment variable: letters, digits and “_”, without “$”");
                    return None;
                }
                Some(SecretRef::Env(text.to_owned()))
            }
            (Some(_), Some(env)) => {
                self.say(env.at, "both “file” and “env” are given; keep one");
                None
            }
            (None, None) => {
                self.say(entry.value.at, format!("“{key}” needs “file” or “env”; write {key}: {{ file: /path }} or {key}: {{ env: NAME }}"));
                None
            }
        }
    }
}
