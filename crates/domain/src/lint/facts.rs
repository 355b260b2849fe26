//! What the linter is told.
//!
//! Lives here: plain values. May not: where they come from (`ops::lint::facts`), judging.
//! Spans are seconds. `None` for a whole list means that nothing is known of it, which is not the same as an empty list.

use jiff::civil::Date;

use super::words::day;
use crate::{
    availability::{self, Figures, Month},
    evidence::Verdict,
    standing::PROOF_LASTS_S,
    units::Timestamp,
};

/// So much longer than the RPO a schedule's longest interval may be before it cannot keep it at all: clocks are set back by
/// an hour, and starts are spread.
pub(super) const RESERVE_S: i64 = 7_200;

/// All that the rules look at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    pub now: Timestamp,
    /// The day of `now` in the zone of the reader.
    pub today: Date,
    /// What the service promises: the figures that schedules, tests and alerts are held against.
    pub promised: Targets,
    /// The plan that is judged: the newest version.
    pub plan: Option<Plan>,
    /// When the version that is in force was approved.
    pub approved_at: Option<Timestamp>,
    pub sources: Vec<Source>,
    /// The newest test that has ended.
    pub test: Option<Tested>,
    /// How old a test may be; [`PROOF_LASTS_S`] where nobody says otherwise.
    pub test_within_s: Option<i64>,
    /// The newest change of what is restored: of the service's sources.
    pub deployed: Option<Change>,
    /// What has changed since `approved_at`.
    pub changes: Vec<Change>,
    pub reviews: Option<Vec<Review>>,
    pub risks: Option<Vec<Risk>>,
    /// Months of the last year.
    pub months: Option<Vec<Measured>>,
}

impl Facts {
    /// The RTO that the plan states; the service's where it states none.
    pub fn rto_s(&self) -> Option<i64> {
        self.plan.as_ref().and_then(|p| p.targets.rto_s).or(self.promised.rto_s)
    }

    pub fn rpo_s(&self) -> Option<i64> {
        self.plan.as_ref().and_then(|p| p.targets.rpo_s).or(self.promised.rpo_s)
    }

    pub fn mtpod_s(&self) -> Option<i64> {
        self.plan.as_ref().and_then(|p| p.targets.mtpod_s).or(self.promised.mtpod_s)
    }

    /// How old a test may be.
    pub fn test_within_s(&self) -> i64 {
        self.test_within_s.unwrap_or(PROOF_LASTS_S)
    }

    /// Whether a schedule that is not paused copies anything of the service.
    pub fn is_scheduled(&self) -> bool {
        self.sources.iter().any(|s| s.interval.is_some())
    }

    pub(super) fn risks(&self) -> &[Risk] {
        self.risks.as_deref().unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    pub mtpod_s: Option<i64>,
    pub rto_s: Option<i64>,
    pub rpo_s: Option<i64>,
}

/// What the linter reads of a plan's content.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub number: i64,
    pub targets: Targets,
    /// Procedures that can be followed: with a link or a text.
    pub procedures: usize,
    pub contact: String,
    pub support_unit: String,
    /// Agreed by month.
    pub agreed: availability::Targets,
}

/// A source and how often it is copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    pub name: String,
    /// The longest time between two starts by the schedules that are not paused; `None` where there is none.
    pub interval: Option<Interval>,
    /// Schedules that are paused without an end.
    pub paused: Vec<String>,
    /// The longest time without a complete copy, of the last 30 days.
    pub measured: Option<Span>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// With what a schedule may start later by its jitter.
    pub s: i64,
    /// When it begins.
    pub from: Timestamp,
    /// Names of the schedules together.
    pub by: Vec<String>,
}

/// A span of the past; it goes on where `until` is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub s: i64,
    pub from: Timestamp,
    pub until: Option<Timestamp>,
}

/// The newest test of recovery.
#[derive(Clone, Debug, PartialEq)]
pub struct Tested {
    pub at: Timestamp,
    pub verdict: Verdict,
    pub rto_s: Option<f64>,
    pub rpo_s: Option<i64>,
    /// Names of checks that failed, and of those that could not be made.
    pub failed: Vec<String>,
    pub unknown: Vec<String>,
}

/// How something changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Added,
    Changed,
    Removed,
}

impl How {
    /// The words that follow what it is.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Added => "was added",
            Self::Changed => "was changed",
            Self::Removed => "was removed",
        }
    }
}

/// A change of what a plan rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `service`, `source`, `schedule`, `policy` or `procedure`.
    pub of: &'static str,
    pub name: String,
    pub how: How,
    pub at: Timestamp,
}

impl Change {
    /// Such as `schedule nightly`; the service has no name of its own here.
    pub fn named(&self) -> String {
        if self.name.is_empty() { self.of.to_owned() } else { format!("{} {}", self.of, self.name) }
    }

    /// Such as `the schedule nightly was changed on 2 Jun 2020`.
    pub(super) fn sentence(&self) -> String {
        format!("the {} {} on {}", self.named(), self.how.words(), day(self.at))
    }
}

/// A review that is asked for; those from which the service is exempt are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// Such as `risk assessment`.
    pub what: String,
    pub due: Date,
}

/// A risk, as far as the linter reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Risk {
    /// Its number in the plan, such as `5`.
    pub number: String,
    pub title: String,
    pub measures: Vec<Measure>,
    pub rating: Rating,
    /// The level that is stated, where one is.
    pub stated: Option<String>,
    /// Whether its level asks for a treatment.
    pub above_threshold: bool,
    /// What a risk above the threshold needs and this one lacks: `treatment`, `owner`, `due date`.
    pub lacks: Vec<&'static str>,
}

impl Risk {
    pub fn subject(&self) -> String {
        format!("risk {}", self.number)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rating {
    pub likelihood: i64,
    pub impact: i64,
    /// The level that the scale computes.
    pub level: String,
}

/// A measure that stands against a risk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measure {
    pub text: String,
    /// Why what is to prove it is red.
    pub red: Option<String>,
}

/// What was measured of a month.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    pub month: Month,
    pub figures: Figures,
    pub explained: bool,
}
