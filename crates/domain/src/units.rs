//! Moments and spans as they are stored: microseconds and seconds.
//!
//! Lives here: the types, reading a span from text, writing a span or a size for people.
//! May not: the current time, time zones (they are the display's business).

use serde::{Deserialize, Serialize};

/// A moment: microseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    pub const fn from_secs(s: i64) -> Self {
        Self(s * 1_000_000)
    }

    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Seconds from `earlier` to `self`; negative when `earlier` is later.
    pub fn secs_since(self, earlier: Self) -> f64 {
        (self.0 - earlier.0) as f64 / 1e6
    }

    #[must_use]
    pub const fn plus_secs(self, s: i64) -> Self {
        Self(self.0 + s * 1_000_000)
    }
}

/// Why a span could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is not a duration; write a number and a unit, such as 90s, 15m, 24h or 7d")]
pub struct BadSpan(pub String);

/// Reads `90s`, `15m`, `24h`, `7d`, `2w` or a sum such as `1h30m` as seconds.
pub fn parse_span(text: &str) -> Result<i64, BadSpan> {
    let bad = || BadSpan(text.to_owned());
    let (mut total, mut number) = (0_i64, String::new());
    for c in text.trim().chars() {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        let unit = match c {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return Err(bad()),
        };
        let n: i64 = number.parse().map_err(|_| bad())?;
        total = n.checked_mul(unit).and_then(|s| s.checked_add(total)).ok_or_else(bad)?;
        number.clear();
    }
    if number.is_empty() && total > 0 { Ok(total) } else { Err(bad()) }
}

/// Writes a span as people say it: the two largest units, such as `9 h 12 m`, `3 d 4 h`, `41 s`.
pub fn span(seconds: f64) -> String {
    let negative = seconds < 0.0;
    let s = seconds.abs();
    let whole = s.round() as i64;
    let text = if s < 1.0 {
        format!("{} ms", (s * 1000.0).round() as i64)
    } else if s < 10.0 {
        format!("{s:.1} s")
    } else {
        match whole {
            0..60 => format!("{whole} s"),
            60..3_600 => two(whole, 60, "m", 1, "s"),
            3_600..86_400 => two(whole, 3_600, "h", 60, "m"),
            _ => two(whole, 86_400, "d", 3_600, "h"),
        }
    };
    if negative { format!("−{text}") } else { text }
}

fn two(s: i64, big: i64, big_name: &str, small: i64, small_name: &str) -> String {
    let rest = s % big / small;
    if rest == 0 { format!("{} {big_name}", s / big) } else { format!("{} {big_name} {rest} {small_name}", s / big) }
}

/// Writes a size in decimal units with three significant digits: `512 B`, `2.90 GB`, `118 MB`.
pub fn size(bytes: i64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1e3, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1e3;
        unit += 1;
    }
    let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// Writes a count with thin groups of three: `12 079`. The space is a no-break space.
pub fn count(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(c);
    }
    if n < 0 { format!("−{out}") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read() {
        for (text, want) in [("90s", 90), ("15m", 900), ("24h", 86_400), ("1h30m", 5_400), (" 7d ", 604_800), ("2w", 1_209_600)] {
            assert_eq!(parse_span(text), Ok(want), "{text}");
        }
        for text in ["", "24", "h", "-1h", "0s", "1.5h", "24 h", "99999999999999999w"] {
            assert!(parse_span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn spans_are_written() {
        for (s, want) in [(0.04, "40 ms"), (7.25, "7.2 s"), (41.0, "41 s"), (603.0, "10 m 3 s"), (33_120.0, "9 h 12 m"), (86_400.0, "1 d"), (-60.0, "−1 m")] {
            assert_eq!(span(s), want);
        }
    }

    #[test]
    fn sizes_are_written() {
        for (b, want) in
            [(0, "0 B"), (999, "999 B"), (1_000, "1.00 kB"), (118_000_000, "118 MB"), (2_900_000_000, "2.90 GB"), (999_999, "1.00 MB"), (99_960, "100 kB")]
        {
            assert_eq!(size(b), want);
        }
        assert_eq!(count(12_079), "12\u{202f}079");
        assert_eq!(count(-1), "−1");
    }
}
