//! Which snapshot a date means: a day or a minute, in UTC (R23).
//!
//! Lives here: reading a date, choosing among snapshots. May not: guessing: an ambiguous day lists its candidates.

use jiff::{civil::Date, tz::Offset};
use serde::{Deserialize, Serialize};

use super::pattern::{day, minute};
use crate::units::Timestamp;

/// A date as people give it: `YYYYMMDD` or `YYYYMMDDHHMM`. It is stored in the same form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum When {
    Day(Date),
    /// The first moment of the minute.
    Minute(Timestamp),
}

/// Why a date was refused, with the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWhen {
    #[error("“{0}” is not a date; write a day as YYYYMMDD or a minute as YYYYMMDDHHMM, in UTC, such as 20260131 or 202601312359")]
    Form(String),
    #[error("“{0}” does not exist in the calendar; check the month, the day, the hour and the minute")]
    Impossible(String),
}

/// What a date came to. Several are listed newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen<T> {
    One(T),
    Several(Vec<T>),
    None,
}

impl When {
    pub fn parse(text: &str) -> Result<Self, BadWhen> {
        let text = text.trim();
        let short = || text.chars().take(40).filter(|c| !c.is_control()).collect();
        if !matches!(text.len(), 8 | 12) || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadWhen::Form(short()));
        }
        let found = if text.len() == 8 { day(text).map(Self::Day) } else { minute(text).map(Self::Minute) };
        found.ok_or_else(|| BadWhen::Impossible(short()))
    }

    /// Whether a moment lies in this day or minute.
    pub fn covers(self, at: Timestamp) -> bool {
        match self {
            Self::Day(day) => jiff::Timestamp::from_microsecond(at.0).is_ok_and(|at| Offset::UTC.to_datetime(at).date() == day),
            Self::Minute(minute) => at >= minute && at < minute.plus_secs(60),
        }
    }

    /// What it means among these snapshots. Their times are those of their names.
    pub fn choose<T: Clone>(self, of: &[(T, Timestamp)]) -> Chosen<T> {
        let mut found: Vec<&(T, Timestamp)> = of.iter().filter(|(_, at)| self.covers(*at)).collect();
        found.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
        match found[..] {
            [] => Chosen::None,
            [(id, _)] => Chosen::One(id.clone()),
            _ => Chosen::Several(found.into_iter().map(|(id, _)| id.clone()).collect()),
        }
    }
}

impl std::fmt::Display for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Day(day) => write!(f, "{:04}{:02}{:02}", day.year(), day.month(), day.day()),
            Self::Minute(at) => {
                let at = super::pattern::civil(*at);
                write!(f, "{:04}{:02}{:02}{:02}{:02}", at.year(), at.month(), at.day(), at.hour(), at.minute())
            }
        }
    }
}

impl TryFrom<String> for When {
    type Error = BadWhen;
    fn try_from(text: String) -> Result<Self, BadWhen> {
        Self::parse(&text)
    }
}

impl From<When> for String {
    fn from(when: When) -> Self {
        when.to_string()
    }
}
