//! What a shell sees: lines, tables, colours, times.
//!
//! Lives here: writing. May not: reading anything. A reader that went away (`| head`) is no error.

use std::io::Write as _;

use jiff::tz::TimeZone;
use serde_json::Value;

/// Where words go, and whether they may be coloured.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    colour: (bool, bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Good,
    Warn,
    Bad,
    Quiet,
    Strong,
}

impl Tone {
    const fn code(self) -> &'static str {
        match self {
            Self::Good => "\x1b[32m",
            Self::Warn => "\x1b[33m",
            Self::Bad => "\x1b[31m",
            Self::Quiet => "\x1b[2m",
            Self::Strong => "\x1b[1m",
        }
    }
}

impl Out {
    /// Colours on standard output and on standard error.
    pub const fn new(colour: (bool, bool)) -> Self {
        Self { colour }
    }

    /// The text in a tone, where standard output may be coloured.
    pub fn tone(self, tone: Tone, text: &str) -> String {
        if self.colour.0 { format!("{}{text}\x1b[0m", tone.code()) } else { text.to_owned() }
    }

    /// One line of the answer.
    #[allow(clippy::unused_self, reason = "it reads as its sisters do, and callers need no second way to write")]
    pub fn line(self, text: &str) {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}").and_then(|()| out.flush()).ok();
    }

    /// The answer for a program: one object on one line, the last.
    pub fn json(self, value: &Value) {
        self.line(&value.to_string());
    }

    /// A word beside the answer, on standard error.
    pub fn note(self, text: &str) {
        let text = if self.colour.1 { format!("{}{text}\x1b[0m", Tone::Quiet.code()) } else { text.to_owned() };
        writeln!(std::io::stderr().lock(), "{text}").ok();
    }

    pub fn error(self, text: &str) {
        let word = if self.colour.1 { format!("{}error:\x1b[0m", Tone::Bad.code()) } else { "error:".to_owned() };
        // A mistake in a file begins with its place, as compilers write it, so that editors can jump there.
        let text = if text.split('\n').next().is_some_and(is_place) { text.to_owned() } else { format!("{word} {text}") };
        writeln!(std::io::stderr().lock(), "{text}").ok();
    }

    /// Aligned columns; those in `right` stand at the right. The first row is the head where `head` says so.
    pub fn table<const N: usize>(self, rows: &[[String; N]], right: &[usize], head: bool) {
        let mut widths = [0; N];
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for (n, row) in rows.iter().enumerate() {
            let mut line = String::new();
            for (i, (cell, width)) in row.iter().zip(widths).enumerate() {
                let pad = " ".repeat(width - cell.chars().count());
                let (before, after) = if right.contains(&i) { (pad.as_str(), "") } else { ("", pad.as_str()) };
                line.extend([before, cell, after, "  "]);
            }
            let line = line.trim_end();
            text.push_str(&if n == 0 && head { self.tone(Tone::Quiet, line) } else { line.to_owned() });
            text.push('\n');
        }
        self.line(text.trim_end_matches('\n'));
    }
}

/// Whether the line begins with `FILE:LINE:COL: `.
fn is_place(line: &str) -> bool {
    let Some((place, _)) = line.split_once(": ") else { return false };
    let mut parts = place.rsplitn(3, ':');
    let number = |p: Option<&str>| p.is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    number(parts.next()) && number(parts.next()) && parts.next().is_some()
}

/// A moment for people, in the zone of this machine.
pub fn local(micros: i64) -> String {
    let at = jiff::Timestamp::from_microsecond(micros).unwrap_or_default().to_zoned(TimeZone::system());
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// A moment for programs (RFC 3339, UTC).
pub fn rfc3339(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros).unwrap_or_default().to_string()
}

/// The first digits of a snapshot's id.
pub fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_recognised() {
        assert!(is_place("a.yaml:3:14: unknown key"));
        assert!(is_place("c:/x y.yaml:3:14: unknown key"));
        for line in ["database: 3", "a:b:c: x", "plain", "at 10:30: no"] {
            assert!(!is_place(line), "{line}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(rfc3339(1_700_000_000_123_456), "2023-11-14T22:13:20.123456Z");
        assert_eq!(short("0123456789"), "01234567");
        assert_eq!(short("0123"), "0123");
    }
}
