//! When a service is to be reviewed, and how that stands (R44).
//!
//! Lives here: the kinds, due dates, where a review stands on a day, what is refused. Beside it: who completed what
//! ([`bus`]), the calendar as a file ([`ical`]). May not: today's date, storing, sending reminders.
//! Invariants: dates are civil dates; a review is due on the day that many months after the last one, or after the
//! service was configured where there was none; it is overdue from the day after.

pub mod bus;
pub mod ical;

use jiff::{ToSpan as _, civil::Date};
use serde::{Deserialize, Serialize};

use crate::{field::FieldError, run::text_enum, units::Timestamp};

/// Months between two reviews where nothing else was said: a year.
pub const YEARLY: i64 = 12;
/// The months that can be said.
pub const MONTHS: std::ops::RangeInclusive<i64> = 1..=60;
/// Days before the due date on which reminders go out, the first one first.
pub const REMINDERS: [i64; 2] = [30, 7];
/// The longest name of a reviewer, in characters.
pub const LONGEST_NAME: usize = 200;
/// The longest outcome note or reason, in characters.
pub const LONGEST_NOTE: usize = 4_000;
/// The longest exemption, in years.
const EXEMPT_YEARS: i64 = 5;
/// Nothing was reviewed before this year.
const FIRST_YEAR: i16 = 1970;

text_enum! {
    /// What is reviewed.
    ReviewKind {
        /// Are the risks, their ratings and treatments still right?
        Risk => "risk_assessment",
        /// Is the plan still right, and was it tested?
        Plan => "plan_and_test",
    }
}

impl ReviewKind {
    /// The name in a sentence.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Risk => "risk assessment",
            Self::Plan => "review of plan and test",
        }
    }
}

/// A span of months after a date; the last day of a month stands for days that it lacks.
pub fn after(date: Date, months: i64) -> Date {
    date.saturating_add(months.months())
}

/// When a review is due.
pub fn due(last: Option<Date>, configured: Date, months: i64) -> Date {
    after(last.unwrap_or(configured), months)
}

/// The civil date of a moment, in UTC.
pub fn date_of(at: Timestamp) -> Date {
    jiff::Timestamp::from_microsecond(at.0).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// The moment at which a date begins in UTC.
pub fn start_of(date: Date) -> Timestamp {
    date.to_zoned(jiff::tz::TimeZone::UTC).map_or(Timestamp(0), |z| Timestamp(z.timestamp().as_microsecond()))
}

/// Days from one date to another; negative where the other is earlier.
pub fn days_until(from: Date, to: Date) -> i64 {
    from.until(to).map_or(0, |span| i64::from(span.get_days()))
}

/// Where a review stands on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Standing {
    /// Somebody said that it need not be done, up to and including that day.
    Exempt { until: Date },
    /// The due date is over by so many days.
    Overdue { days: i64 },
    /// A reminder of its due date is out: this many days are left.
    Soon { days: i64 },
    /// It is due later than that.
    Later { days: i64 },
}

impl Standing {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exempt { .. } => "exempt",
            Self::Overdue { .. } => "overdue",
            Self::Soon { .. } => "soon",
            Self::Later { .. } => "later",
        }
    }
}

/// Where a review stands that is done every so many months. `exempt` is the last day of an exemption; one that is over counts
/// for nothing.
pub fn standing(due: Date, months: i64, exempt: Option<Date>, today: Date) -> Standing {
    if let Some(until) = exempt.filter(|until| *until >= today) {
        return Standing::Exempt { until };
    }
    match days_until(today, due) {
        days if days < 0 => Standing::Overdue { days: -days },
        days if reminder(days, months).is_some() => Standing::Soon { days },
        days => Standing::Later { days },
    }
}

/// The days before the due date on which reminders go out. Of what is done every month or two, none comes a month before.
pub fn reminders(months: i64) -> &'static [i64] {
    if months < 3 { &REMINDERS[1..] } else { &REMINDERS }
}

/// Which reminder is out so many days before the due date; the nearest one.
pub fn reminder(days: i64, months: i64) -> Option<i64> {
    reminders(months).iter().copied().filter(|r| days <= *r).min()
}

/// A review that was done, as it is to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    pub on: Date,
    /// Who did it, as they are called.
    pub by: String,
    pub outcome: String,
}

/// Reads a date as people and programs write it.
///
/// # Errors
/// Names the field, with the form that is wanted.
pub fn read_date(field: &str, text: &str) -> Result<Date, FieldError> {
    let bad = || FieldError::new(field, format!("“{}” is no date; write it as 2027-03-31", text.trim().chars().take(40).collect::<String>()));
    let text = text.trim();
    let plain = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    text.parse::<Date>().ok().filter(|_| plain).ok_or_else(bad)
}

fn note(field: &str, text: &str, remedy: &str) -> Result<String, FieldError> {
    let text = text.trim();
    let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if text.is_empty() {
        return Err(FieldError::new(field, format!("is empty; {remedy}")));
    }
    if text.chars().count() > LONGEST_NOTE || text.chars().any(control) {
        return Err(FieldError::new(field, format!("must be at most {LONGEST_NOTE} characters of text; shorten it")));
    }
    Ok(text.replace("\r\n", "\n"))
}

/// Checks a review before it is recorded.
///
/// # Errors
/// Each field that is wrong: `on`, `by`, `outcome`.
pub fn check_done(done: &Done, today: Date) -> Result<Done, Vec<FieldError>> {
    let mut wrong = Vec::new();
    if done.on > today {
        wrong.push(FieldError::new("on", format!("{} is in the future; today is {today} in UTC. Record a review when it is done", done.on)));
    } else if done.on.year() < FIRST_YEAR {
        wrong.push(FieldError::new("on", format!("{} is too long ago; check the year", done.on)));
    }
    let by = done.by.trim().to_owned();
    if by.is_empty() || by.chars().count() > LONGEST_NAME || by.chars().any(char::is_control) {
        wrong.push(FieldError::new("by", format!("must be 1 to {LONGEST_NAME} characters; say who did the review")));
    }
    let outcome = note("outcome", &done.outcome, "say what the review found, in a sentence").map_err(|e| wrong.push(e)).unwrap_or_default();
    if wrong.is_empty() { Ok(Done { on: done.on, by, outcome }) } else { Err(wrong) }
}

/// Checks how often something is reviewed.
///
/// # Errors
/// Names the field `months`.
pub fn check_months(months: i64) -> Result<i64, FieldError> {
    if MONTHS.contains(&months) {
        Ok(months)
    } else {
        Err(FieldError::new("months", format!("must be from {} to {} months; 12 is a year", MONTHS.start(), MONTHS.end())))
    }
}

/// Checks an exemption: until when it holds, and why.
///
/// # Errors
/// Each field that is wrong: `until`, `reason`.
pub fn check_exemption(until: Date, reason: &str, today: Date) -> Result<String, Vec<FieldError>> {
    let mut wrong = Vec::new();
    if until < today {
        wrong.push(FieldError::new("until", format!("{until} is over; today is {today} in UTC. Name a day on which the exemption ends")));
    } else if until > after(today, EXEMPT_YEARS * 12) {
        wrong.push(FieldError::new("until", format!("is more than {EXEMPT_YEARS} years away; name an earlier day, on which somebody looks at it again")));
    }
    let reason = note("reason", reason, "say why no review is needed, for whoever reads this in a year").map_err(|e| wrong.push(e)).unwrap_or_default();
    if wrong.is_empty() { Ok(reason) } else { Err(wrong) }
}

/// Checks why a review that was recorded by mistake is withdrawn.
///
/// # Errors
/// Names the field `reason`.
pub fn check_withdrawal(reason: &str) -> Result<String, FieldError> {
    note("reason", reason, "say what was wrong with it, for whoever reads this in a year")
}

#[cfg(test)]
mod tests;
