//! Cron expressions of five fields: when, in words, how often (R17).
//!
//! Lives here: reading one, its times in a zone, its words, what was probably meant. May not: the clock, the database.
//! croner knows which times of a calendar an expression names, jiff knows the zones; the changes of a clock are decided
//! here, as cron has always done (ADR 7):
//! - An expression with fixed hours runs once for each time that it names. A time that the clock jumps over runs at the
//!   moment of the jump; a time that comes twice runs the first time.
//! - An expression whose hours begin with `*` follows the time that passes: nothing is made up, nothing left out.

use std::{collections::BTreeSet, sync::LazyLock};

use croner::{
    Cron as Pattern,
    parser::{CronParser, Seconds, Year},
};
use domain::units::Timestamp;
use jiff::{civil::DateTime, tz::TimeZone};

mod words;

/// The names of the five fields with their articles, what each may hold, and an example.
const FIELDS: [(&str, &str); 5] = [
    ("a minute", "0 to 59"),
    ("an hour", "0 to 23"),
    ("a day of the month", "1 to 31"),
    ("a month", "1 to 12 or JAN to DEC"),
    ("a weekday", "0 to 7 or SUN to SAT, where 0 and 7 are Sunday"),
];
/// The longest expression.
const LONGEST: usize = 200;

/// An expression that can come true.
#[derive(Clone, Debug)]
pub struct Cron {
    /// The five fields with one space between them.
    text: String,
    pattern: Pattern,
    /// Whether the hours are fixed, so that each named time runs once also when the clock changes.
    fixed: bool,
}

/// Why an expression is refused: a sentence that follows its name.
pub type Refused = String;

impl Cron {
    /// Reads five fields: minute, hour, day of the month, month, weekday.
    ///
    /// Each is `*`, a number, a range, a list of these, or one of them with a step. What other programs add to that
    /// (`@daily`, seconds, `L`, `W`, `#`, `?`) is refused.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        if text.len() > LONGEST {
            return Err(format!("is longer than {LONGEST} characters; make several schedules of it"));
        }
        if fields.is_empty() {
            return Err("is empty; write five fields such as 15 1 * * *, every day at 01:15".to_owned());
        }
        if fields.len() != FIELDS.len() {
            let n = fields.len();
            return Err(format!(
                "has {n} {}, not five; write minute, hour, day, month and weekday, such as 15 1 * * *",
                if n == 1 { "field" } else { "fields" }
            ));
        }
        for (i, field) in fields.iter().enumerate() {
            let only = |c: char| c.is_ascii_alphanumeric() || matches!(c, '*' | ',' | '-' | '/');
            let alone: Vec<&str> = (0..FIELDS.len()).map(|n| if n == i { *field } else { "*" }).collect();
            let named = field.chars().any(|c| c.is_ascii_alphabetic());
            let good = field.chars().all(only) && field.split(',').all(part_is_plain) && (i >= 3 || !named);
            if !good || read(&alone.join(" ")).is_none() {
                let (name, holds) = FIELDS[i];
                return Err(format!("has {name} that is not understood: {field}; write *, a number from {holds}, a range 1-5, a list 1,3 or a step */2"));
            }
        }
        let text = fields.join(" ");
        let cron = Self { pattern: read(&text).ok_or("is not understood; write five fields such as 15 1 * * *")?, fixed: !fields[1].contains('*'), text };
        // A leap day on a given weekday comes at least once in forty years.
        let start = DateTime::constant(2024, 1, 1, 0, 0, 0, 0);
        match cron.pattern.find_next_occurrence(&start, true) {
            Ok(at) if at.year() < 2068 => Ok(cron),
            _ => Err("names a day that never comes; check the day and the month".to_owned()),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The five fields.
    pub fn fields(&self) -> [&str; 5] {
        let mut fields = self.text.split(' ');
        std::array::from_fn(|_| fields.next().unwrap_or("*"))
    }

    /// The first time after `at`.
    pub fn next(&self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        self.after(at, zone).next()
    }

    /// The times after `at`, strictly increasing, without an end.
    pub fn after<'a>(&'a self, at: Timestamp, zone: &'a TimeZone) -> impl Iterator<Item = Timestamp> + 'a {
        let mut last = at;
        std::iter::from_fn(move || {
            let from = jiff::Timestamp::from_microsecond(last.0).ok()?;
            let next = if self.fixed { self.next_fixed(from, zone) } else { self.next_passing(from, zone) }?;
            last = Timestamp(next.as_microsecond());
            Some(last)
        })
    }

    fn next_on_calendar(&self, at: DateTime, inclusive: bool) -> Option<DateTime> {
        self.pattern.find_next_occurrence(&at, inclusive).ok()
    }

    /// Whether it names a time of the calendar from `first` up to `last`.
    pub fn names_between(&self, first: DateTime, last: DateTime) -> bool {
        self.next_on_calendar(first, true).is_some_and(|at| at < last)
    }

    /// Each named time once: the moment of the jump for one that is jumped over, the first for one that comes twice.
    fn next_fixed(&self, from: jiff::Timestamp, zone: &TimeZone) -> Option<jiff::Timestamp> {
        let mut named = zone.to_datetime(from);
        loop {
            named = self.next_on_calendar(named, false)?;
            let ambiguous = zone.to_ambiguous_timestamp(named);
            let at = match ambiguous.offset() {
                // The later reading lies behind the jump; the last change before it is the jump.
                jiff::tz::AmbiguousOffset::Gap { .. } => {
                    // Also when it is named exactly: a change at that very moment counts as before it.
                    let behind = ambiguous.later().ok()?.checked_add(jiff::SignedDuration::from_nanos(1)).ok()?;
                    zone.preceding(behind).next()?.timestamp()
                }
                _ => ambiguous.earlier().ok()?,
            };
            if at > from {
                return Some(at);
            }
        }
    }

    /// Each moment whose reading of the clock is named: between two changes of the clock its offset is constant.
    fn next_passing(&self, from: jiff::Timestamp, zone: &TimeZone) -> Option<jiff::Timestamp> {
        let (mut from, mut offset, mut inclusive) = (from, zone.to_offset(from), false);
        loop {
            let at = offset.to_timestamp(self.next_on_calendar(offset.to_datetime(from), inclusive)?).ok()?;
            match zone.following(from).next() {
                Some(change) if change.timestamp() <= at => (from, offset, inclusive) = (change.timestamp(), change.offset(), true),
                _ => return Some(at),
            }
        }
    }

    /// How many runs a day with runs has.
    pub fn runs_a_day(&self) -> i64 {
        (self.minutes().len() * self.hours().len()) as i64
    }

    /// How many runs begin in each hour of a day with runs.
    pub fn by_hour(&self) -> [i64; 24] {
        let mut hours = [0; 24];
        for hour in self.hours() {
            hours[usize::from(hour % 24)] = self.minutes().len() as i64;
        }
        hours
    }

    fn minutes(&self) -> Vec<u16> {
        self.pattern.pattern.minutes.values()
    }

    fn hours(&self) -> Vec<u16> {
        self.pattern.pattern.hours.values()
    }

    /// What was probably meant: once in the hours that are named, where every minute of them is.
    pub fn likely_meaning(&self) -> Option<String> {
        let [minute, hour, rest @ ..] = self.fields();
        (minute == "*" && hour != "*").then(|| format!("0 {hour} {}", rest.join(" ")))
    }

    /// In words, such as “at 01:15, every day”.
    pub fn words(&self) -> String {
        words::of(self)
    }
}

/// A part of a list: `*`, `a`, `a-b`, each perhaps with `/n`.
fn part_is_plain(part: &str) -> bool {
    let (base, step) = part.split_once('/').map_or((part, None), |(base, step)| (base, Some(step)));
    let word = |w: &str| !w.is_empty() && w.chars().all(|c| c.is_ascii_alphanumeric());
    let plain = base == "*" || base.split_once('-').map_or_else(|| word(base) && step.is_none(), |(a, b)| word(a) && word(b));
    let fits = |w: &str| w.chars().all(|c| c.is_ascii_digit()) || (w.len() == 3 && w.chars().all(|c| c.is_ascii_alphabetic()));
    plain && step.is_none_or(|s| s.parse::<u16>().is_ok_and(|n| n > 0)) && (base == "*" || base.split('-').all(fits))
}

fn read(text: &str) -> Option<Pattern> {
    CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build().parse(text).ok()
}

/// The zone of that name of the IANA database, such as `Europe/Prague`.
pub fn zone(name: &str) -> Option<TimeZone> {
    // `TimeZone::get` also takes `local` and offsets; a schedule that follows the machine it is read on would be a trap.
    let known = name == "UTC" || name.contains('/');
    TimeZone::get(name).ok().filter(|z| known && z.iana_name().is_some())
}

/// The names of all zones, for a form.
pub fn zones() -> &'static [String] {
    static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
        let names = jiff::tz::db().available().map(|n| n.to_string());
        // The same zones once more, counted with leap seconds or without.
        let other = |n: &str| n.starts_with("right/") || n.starts_with("posix/");
        let names: BTreeSet<String> = names.filter(|n| n == "UTC" || (n.contains('/') && !other(n))).collect();
        names.into_iter().collect()
    });
    &NAMES
}

#[cfg(test)]
mod tests;
