//! A month of the calendar, in UTC.
//!
//! Lives here: reading, writing, counting months. May not: the current month (that needs a clock), time zones.

use std::{fmt, str::FromStr};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::units::Timestamp;

/// The first year of which figures are kept.
pub const FIRST_YEAR: i16 = 2010;
const LAST_YEAR: i16 = 2199;

/// Written as `2020-02`; the order is that of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Month {
    year: i16,
    month: i8,
}

/// Why a month could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is not a month since 2010; write year and month, such as 2020-02")]
pub struct BadMonth(pub String);

impl Month {
    /// January of the first year.
    pub const FIRST: Self = Self { year: FIRST_YEAR, month: 1 };

    pub fn new(year: i16, month: i8) -> Option<Self> {
        ((FIRST_YEAR..=LAST_YEAR).contains(&year) && (1..=12).contains(&month)).then_some(Self { year, month })
    }

    /// The month in which a moment lies.
    pub fn of(at: Timestamp) -> Self {
        let date = jiff::Timestamp::from_microsecond(at.0).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC).date();
        Self::of_date(date)
    }

    /// The month of a day; days before the first month count as in it.
    pub fn of_date(date: Date) -> Self {
        Self::new(date.year(), date.month()).unwrap_or(Self::FIRST)
    }

    pub const fn year(self) -> i16 {
        self.year
    }

    pub const fn month(self) -> i8 {
        self.month
    }

    #[must_use]
    pub const fn next(self) -> Self {
        if self.month == 12 { Self { year: self.year + 1, month: 1 } } else { Self { year: self.year, month: self.month + 1 } }
    }

    /// So many months earlier, at most back to the first one.
    #[must_use]
    pub fn back(self, months: u16) -> Self {
        let n = i32::from(self.year) * 12 + i32::from(self.month) - 1 - i32::from(months);
        let year = i16::try_from(n.div_euclid(12)).unwrap_or(FIRST_YEAR);
        let month = i8::try_from(n.rem_euclid(12) + 1).unwrap_or(1);
        Self::new(year, month).unwrap_or(Self::FIRST)
    }

    /// This month and all after it up to `last`; none where `last` is earlier.
    pub fn through(self, last: Self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self), |m| Some(m.next())).take_while(move |m| *m <= last)
    }

    /// How many months [`Month::through`] gives.
    pub fn count(self, last: Self) -> usize {
        let n = |m: Self| i32::from(m.year) * 12 + i32::from(m.month);
        usize::try_from(n(last) - n(self) + 1).unwrap_or(0)
    }

    /// Its first and last day.
    pub fn days(self) -> (Date, Date) {
        let first = Date::new(self.year, self.month, 1).unwrap_or_default();
        (first, first.last_of_month())
    }

    /// `Feb 20`, as axes have it.
    pub fn short(self) -> String {
        const NAMES: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let name = usize::try_from(self.month - 1).ok().and_then(|i| NAMES.get(i)).unwrap_or(&"?");
        format!("{name} {:02}", self.year.rem_euclid(100))
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl FromStr for Month {
    type Err = BadMonth;

    fn from_str(text: &str) -> Result<Self, BadMonth> {
        let bad = || BadMonth(text.chars().take(20).collect());
        let text = text.trim();
        let (year, month) = text.split_once('-').ok_or_else(bad)?;
        if year.len() != 4 || month.len() != 2 || !text.chars().all(|c| c.is_ascii_digit() || c == '-') {
            return Err(bad());
        }
        Self::new(year.parse().map_err(|_| bad())?, month.parse().map_err(|_| bad())?).ok_or_else(bad)
    }
}

impl From<Month> for String {
    fn from(m: Month) -> Self {
        m.to_string()
    }
}

impl TryFrom<String> for Month {
    type Error = BadMonth;

    fn try_from(text: String) -> Result<Self, BadMonth> {
        text.parse()
    }
}
