//! The rules of a policy, and the periods and spans they count in.
//!
//! Lives here: what can be configured, reading and writing spans as restic does, the civil arithmetic.
//! May not: the decision itself.

use jiff::{ToSpan as _, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::units::Timestamp;

/// What a policy keeps. A count of 0 is no rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    pub keep_last: u32,
    pub keep_hourly: u32,
    pub keep_daily: u32,
    pub keep_weekly: u32,
    pub keep_monthly: u32,
    pub keep_yearly: u32,
    pub keep_within: Option<Within>,
    pub keep_within_hourly: Option<Within>,
    pub keep_within_daily: Option<Within>,
    pub keep_within_weekly: Option<Within>,
    pub keep_within_monthly: Option<Within>,
    pub keep_within_yearly: Option<Within>,
    /// Each entry is one tag, or several with commas between that must all be there.
    pub keep_tags: Vec<String>,
    /// No more than so many of what the rules keep; 0 is no limit.
    pub max_snapshots: u32,
    /// Name in the zone database; where days, weeks and months begin. UTC where it is empty.
    pub time_zone: String,
}

impl Rules {
    /// Whether any rule says what to keep. Without one everything is kept, up to `max_snapshots`.
    pub fn keeps(&self) -> bool {
        !self.keep_tags.is_empty() || self.keep_within.is_some() || !self.counts().is_empty() || !self.spans().is_empty()
    }

    /// The most snapshots of an item that stay, however often it is backed up; `None` where days or tags decide.
    pub fn most(&self) -> Option<i64> {
        let others = Self { keep_last: 0, ..self.clone() }.keeps();
        let last = (self.keep_last > 0 && !others).then_some(i64::from(self.keep_last));
        let max = (self.max_snapshots > 0).then_some(i64::from(self.max_snapshots));
        last.into_iter().chain(max).min()
    }

    /// Whether it can forget anything at all.
    pub fn forgets(&self) -> bool {
        self.keeps() || self.max_snapshots > 0
    }

    /// The rules that count, in the order in which they are shown.
    pub fn counts(&self) -> Vec<(Period, u32)> {
        let all = [
            (Period::Last, self.keep_last),
            (Period::Hour, self.keep_hourly),
            (Period::Day, self.keep_daily),
            (Period::Week, self.keep_weekly),
            (Period::Month, self.keep_monthly),
            (Period::Year, self.keep_yearly),
        ];
        all.into_iter().filter(|(_, n)| *n > 0).collect()
    }

    /// The rules that keep one of each period within a span of time.
    pub fn spans(&self) -> Vec<(Period, Within)> {
        let all = [
            (Period::Hour, self.keep_within_hourly),
            (Period::Day, self.keep_within_daily),
            (Period::Week, self.keep_within_weekly),
            (Period::Month, self.keep_within_monthly),
            (Period::Year, self.keep_within_yearly),
        ];
        all.into_iter().filter_map(|(period, within)| Some((period, within?))).collect()
    }

    /// The rules in one line, as lists show them: `7 daily, 4 weekly; at most 30`.
    pub fn words(&self) -> String {
        let mut parts: Vec<String> = self.counts().into_iter().map(|(period, n)| format!("{n} {}", period.adjective())).collect();
        parts.extend(self.keep_within.map(|w| format!("all within {w}")));
        parts.extend(self.spans().into_iter().map(|(period, w)| format!("{} within {w}", period.adjective())));
        if !self.keep_tags.is_empty() {
            parts.push(format!("tagged {}", self.keep_tags.join(" or ")));
        }
        let mut words = if parts.is_empty() { "everything".to_owned() } else { parts.join(", ") };
        if self.max_snapshots > 0 {
            words = format!("{words}; at most {}", self.max_snapshots);
        }
        words
    }
}

/// What a rule keeps one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    /// Each snapshot is a period of its own.
    Last,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Period {
    pub const fn adjective(self) -> &'static str {
        match self {
            Self::Last => "newest",
            Self::Hour => "hourly",
            Self::Day => "daily",
            Self::Week => "weekly",
            Self::Month => "monthly",
            Self::Year => "yearly",
        }
    }

    pub const fn noun(self) -> &'static str {
        match self {
            Self::Last => "moment",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// A number that is the same for two moments of one period. Weeks are those of ISO 8601.
    pub(super) fn number(self, at: Timestamp, zone: &TimeZone, nth: usize) -> i64 {
        if self == Self::Last {
            return nth as i64;
        }
        let civil = zone.to_datetime(moment(at));
        let (year, month, day) = (i64::from(civil.year()), i64::from(civil.month()), i64::from(civil.day()));
        match self {
            Self::Last | Self::Year => year,
            Self::Hour => ((year * 100 + month) * 100 + day) * 100 + i64::from(civil.hour()),
            Self::Day => (year * 100 + month) * 100 + day,
            Self::Week => {
                let week = civil.date().iso_week_date();
                i64::from(week.year()) * 100 + i64::from(week.week())
            }
            Self::Month => year * 100 + month,
        }
    }
}

fn moment(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(at.0).unwrap_or(if at.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX })
}

/// A span of civil time as restic writes it: `1y6m14d3h`. Here `m` is months.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Within {
    years: u16,
    months: u16,
    days: u16,
    hours: u16,
}

/// Why a span of civil time could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is not a span of time; write years, months, days and hours, such as 1y6m, 14d or 36h")]
pub struct BadWithin(pub String);

impl Within {
    /// The moment that lies this long before `latest`, in the civil time of `zone`. A day that a month does not have
    /// runs over into the next month, as in restic.
    pub fn before(self, latest: Timestamp, zone: &TimeZone) -> Timestamp {
        let civil = zone.to_datetime(moment(latest));
        let month = i32::from(civil.year()) * 12 + i32::from(civil.month()) - 1 - i32::from(self.years) * 12 - i32::from(self.months);
        let first = i16::try_from(month.div_euclid(12)).ok().and_then(|year| Date::new(year, month.rem_euclid(12) as i8 + 1, 1).ok());
        let day = first.and_then(|d| d.checked_add((i32::from(civil.day()) - 1 - i32::from(self.days)).days()).ok());
        let Some(local) = day.and_then(|d| TimeZone::UTC.to_timestamp(d.to_datetime(civil.time())).ok()) else { return Timestamp(i64::MIN) };
        // Where the clock was put forward or back, the offset that holds on the side the local time is nearer to.
        let at_offset = |of: jiff::Timestamp| local.checked_sub(i64::from(zone.to_offset(of).seconds()).seconds()).unwrap_or(of);
        let at = at_offset(at_offset(local));
        Timestamp(at.as_microsecond().saturating_sub(i64::from(self.hours) * 3_600_000_000))
    }
}

impl std::str::FromStr for Within {
    type Err = BadWithin;

    fn from_str(text: &str) -> Result<Self, BadWithin> {
        let bad = || BadWithin(text.to_owned());
        let mut within = Self { years: 0, months: 0, days: 0, hours: 0 };
        let (mut number, mut seen) = (String::new(), String::new());
        for c in text.trim().chars() {
            if c.is_ascii_digit() {
                number.push(c);
                continue;
            }
            let part = match c {
                'y' => &mut within.years,
                'm' => &mut within.months,
                'd' => &mut within.days,
                'h' => &mut within.hours,
                _ => return Err(bad()),
            };
            if seen.contains(c) {
                return Err(bad());
            }
            *part = number.parse().ok().filter(|n| *n <= 10_000).ok_or_else(bad)?;
            seen.push(c);
            number.clear();
        }
        let empty = Self { years: 0, months: 0, days: 0, hours: 0 };
        if number.is_empty() && within != empty && within.years <= 1_000 { Ok(within) } else { Err(bad()) }
    }
}

impl TryFrom<String> for Within {
    type Error = BadWithin;

    fn try_from(text: String) -> Result<Self, BadWithin> {
        text.parse()
    }
}

impl From<Within> for String {
    fn from(within: Within) -> Self {
        within.to_string()
    }
}

impl std::fmt::Display for Within {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (n, unit) in [(self.years, 'y'), (self.months, 'm'), (self.days, 'd'), (self.hours, 'h')] {
            if n > 0 {
                write!(f, "{n}{unit}")?;
            }
        }
        Ok(())
    }
}
