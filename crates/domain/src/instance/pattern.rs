//! Names of native snapshots: a pattern with the instance and the minute, written and read.
//!
//! Lives here: what a pattern may be, writing a name, reading one. May not: asking the cloud which names exist.
//! Invariant: `read` gives back what `name` was given, so that no two instances and minutes share a name.

use jiff::{
    civil::{Date, DateTime},
    tz::Offset,
};
use serde::{Deserialize, Serialize};

use super::BootType;
use crate::units::Timestamp;

/// The longest name that Glance and Cinder take, in bytes.
pub const LONGEST_NAME: usize = 255;
/// What Nova puts before the names of volume snapshots that it makes with an image: `snapshot for `.
const NOVA_PREFIX: usize = 13;
/// `YYYYMMDDHHMM`.
const TIME: usize = 12;

/// Where the instance and the time stand in a name: `{0}` and `{1}`, each once, with text between them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    before: String,
    between: String,
    after: String,
    /// `{1}` comes before `{0}`.
    time_first: bool,
}

/// Why a pattern was refused, with the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    #[error("has neither {{0}} for the instance nor {{1}} for the time; write it as {{0}}_snapshot_{{1}}")]
    Neither,
    #[error("has no {{0}}, so that snapshots of different instances would have one name; add {{0}}, as in {{0}}_snapshot_{{1}}")]
    NoInstance,
    #[error("has no {{1}}, so that all snapshots of an instance would have one name; add {{1}}, as in {{0}}_snapshot_{{1}}")]
    NoTime,
    #[error("has {{{0}}} more than once; leave one of them")]
    Repeated(u8),
    #[error("has “{0}”, which stands for nothing; use only {{0}} for the instance and {{1}} for the time, and no other braces")]
    Unknown(String),
    #[error("has nothing between {{0}} and {{1}}, so that a name that ends or begins with digits runs into the time; put text between them, such as _")]
    NoSeparator,
    #[error("has a digit beside {{1}}, which runs into the time; put another character between them, such as _")]
    Digit,
    #[error("holds a line break or another control character; write it on one line")]
    Control,
    #[error("begins or ends with a space, which the cloud refuses; remove it")]
    Space,
    #[error("makes names of {0} bytes or more, and the cloud takes 255; shorten it")]
    Long(usize),
}

impl Default for Pattern {
    fn default() -> Self {
        Self { before: String::new(), between: "_snapshot_".to_owned(), after: String::new(), time_first: false }
    }
}

impl Pattern {
    /// CERN's.
    pub const DEFAULT: &'static str = "{0}_snapshot_{1}";

    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        if text.contains(char::is_control) {
            return Err(BadPattern::Control);
        }
        // The literal text before each placeholder, and behind the last one.
        let (mut literals, mut order, mut rest) = (Vec::new(), Vec::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            let (literal, found) = rest.split_at(at);
            let which = match found.get(..3) {
                Some("{0}") => 0,
                Some("{1}") => 1,
                _ => {
                    let end = found.find('}').map_or(found.len(), |at| at + 1);
                    return Err(BadPattern::Unknown(found[..end].chars().take(20).collect()));
                }
            };
            if order.contains(&which) {
                return Err(BadPattern::Repeated(which));
            }
            literals.push(literal);
            order.push(which);
            rest = &found[3..];
        }
        let [before, between] = literals[..] else {
            return Err(match order.first() {
                None => BadPattern::Neither,
                Some(0) => BadPattern::NoTime,
                Some(_) => BadPattern::NoInstance,
            });
        };
        let found = Self { before: before.to_owned(), between: between.to_owned(), after: rest.to_owned(), time_first: order[0] == 1 };
        if between.is_empty() {
            return Err(BadPattern::NoSeparator);
        }
        let (left, right) = if found.time_first { (before, between) } else { (between, rest) };
        if left.ends_with(char::is_numeric) || right.starts_with(char::is_numeric) {
            return Err(BadPattern::Digit);
        }
        if before.starts_with(char::is_whitespace) || rest.ends_with(char::is_whitespace) {
            return Err(BadPattern::Space);
        }
        match found.length_beside() + 1 {
            shortest if shortest > LONGEST_NAME => Err(BadPattern::Long(shortest)),
            _ => Ok(found),
        }
    }

    /// Bytes of a name beside the instance's own.
    const fn length_beside(&self) -> usize {
        self.before.len() + self.between.len() + self.after.len() + TIME
    }

    /// The name of a snapshot of `instance`; the time is in UTC, down to the minute.
    ///
    /// A time that four digits of a year cannot say counts as the nearest that they can.
    pub fn name(&self, instance: &str, at: Timestamp) -> String {
        let at = civil(at);
        let time = format!("{:04}{:02}{:02}{:02}{:02}", at.year(), at.month(), at.day(), at.hour(), at.minute());
        let (first, second) = if self.time_first { (time.as_str(), instance) } else { (instance, time.as_str()) };
        [&self.before, first, &self.between, second, &self.after].concat()
    }

    /// The instance and the minute in a name; `None` where the name is not of this pattern.
    pub fn read(&self, name: &str) -> Option<(String, Timestamp)> {
        let inner = name.strip_prefix(self.before.as_str())?.strip_suffix(self.after.as_str())?;
        let (instance, time) = if self.time_first {
            let (time, rest) = inner.split_at_checked(TIME)?;
            (rest.strip_prefix(self.between.as_str())?, time)
        } else {
            let (rest, time) = inner.split_at_checked(inner.len().checked_sub(TIME)?)?;
            (rest.strip_suffix(self.between.as_str())?, time)
        };
        if instance.is_empty() { None } else { Some((instance.to_owned(), minute(time)?)) }
    }

    /// Why snapshots of this instance cannot have names by this pattern, if so. Of one that boots from a volume Nova
    /// makes longer names.
    pub fn problem(&self, instance: &str, boot: Option<BootType>) -> Option<String> {
        if instance.is_empty() {
            return Some("is empty; name an instance".to_owned());
        }
        if instance.contains(char::is_control) {
            return Some("holds a line break or another control character; rename the instance".to_owned());
        }
        let most = if boot == Some(BootType::Volume) { LONGEST_NAME - NOVA_PREFIX } else { LONGEST_NAME };
        let length = self.length_beside() + instance.len();
        (length > most)
            .then(|| format!("makes names of {length} bytes with this pattern, and the cloud takes {most}; shorten the pattern or rename the instance"))
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { before, between, after, time_first } = self;
        if *time_first { write!(f, "{before}{{1}}{between}{{0}}{after}") } else { write!(f, "{before}{{0}}{between}{{1}}{after}") }
    }
}

impl std::str::FromStr for Pattern {
    type Err = BadPattern;
    fn from_str(text: &str) -> Result<Self, BadPattern> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Pattern {
    type Error = BadPattern;
    fn try_from(text: String) -> Result<Self, BadPattern> {
        Self::parse(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.to_string()
    }
}

/// A moment as a civil time in UTC, within the years 0 to 9999.
pub(super) fn civil(at: Timestamp) -> DateTime {
    let at = jiff::Timestamp::from_microsecond(at.0).unwrap_or(if at.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX });
    Offset::UTC.to_datetime(at).max(DateTime::constant(0, 1, 1, 0, 0, 0, 0))
}

/// Digits as numbers: each of `widths` in turn, and nothing behind them.
fn numbers<const N: usize>(text: &str, widths: [usize; N]) -> Option<[i16; N]> {
    if text.len() != widths.iter().sum::<usize>() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (mut out, mut from) = ([0; N], 0);
    for (slot, width) in out.iter_mut().zip(widths) {
        *slot = text.get(from..from + width)?.parse().ok()?;
        from += width;
    }
    Some(out)
}

/// A day of `YYYYMMDD`, where there is such a day.
pub(super) fn day(text: &str) -> Option<Date> {
    let [year, month, day] = numbers(text, [4, 2, 2])?;
    Date::new(year, month.try_into().ok()?, day.try_into().ok()?).ok()
}

/// A minute of `YYYYMMDDHHMM` in UTC, where there is such a minute.
pub(super) fn minute(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_at_checked(8)?;
    let [hour, minute] = numbers(time, [2, 2])?;
    let at = day(date)?.to_datetime(jiff::civil::Time::new(hour.try_into().ok()?, minute.try_into().ok()?, 0, 0).ok()?);
    Offset::UTC.to_timestamp(at).ok().map(|t| Timestamp(t.as_microsecond()))
}
