//! What needs attention, how grave it is, and in which words (R18, R55).
//!
//! Lives here: the conditions with their figures, their order, who is told ([`rule`]), what a message says
//! ([`message`]). May not: finding conditions, storing alerts, the formats of mail and chat, the clock.
//! Invariant: a condition's key names what it is about and never its figures, so that one thing that is wrong is one
//! alert for as long as it lasts.

pub mod message;
pub mod rule;
mod words;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::{
    id::{RestoreTestId, RunId, ServiceId},
    review::{REMINDERS, ReviewKind},
    run::{RunState, text_enum},
    units::Timestamp,
};

/// How long a repository's structure counts as checked: 30 days.
pub const CHECK_LASTS_S: i64 = 30 * 86_400;
/// Items that an alert names one by one.
pub const WORST_ITEMS: usize = 5;

text_enum! {
    /// How grave something is; the order is that of the list, the least first.
    Severity { Info => "info", Warning => "warning", Critical => "critical" }
}

impl Severity {
    pub const fn rank(self) -> u8 {
        match self {
            Self::Info => 0,
            Self::Warning => 1,
            Self::Critical => 2,
        }
    }

    pub const fn at_least(self, other: Self) -> bool {
        self.rank() >= other.rank()
    }
}

text_enum! {
    /// The kinds of what can be wrong, the gravest first: the order is what would be lost.
    AlertKind {
        NoCopy => "no_copy", RepositoryDamaged => "repository_damaged", RestoreFailed => "restore_failed", HoldStands => "hold",
        NeverRestored => "never_restored", RpoOverdue => "rpo_overdue", RepositoryUnreachable => "repository_unreachable",
        CredentialRefused => "credential_refused", RtoBreached => "rto_breached", RunFailed => "run_failed", ScheduleMissed => "schedule_missed", NotChecked => "not_checked", RunPartial => "run_partial",
        ProofOld => "test_overdue", RepositoryUnchecked => "repository_unchecked",
        CredentialLacking => "credential_lacking", CredentialExpiring => "credential_expiring", ClonesStand => "clones_stand", ChannelFailing => "channel_failing",
        FiguresMissing => "figures_missing", ReviewOverdue => "review_overdue", ReviewDue => "review_due", NoData => "no_data",
    }
}

text_enum! {
    /// What an alert is about.
    Entity { Service => "service", Source => "source", Repository => "repository", Schedule => "schedule", Hold => "hold", Channel => "channel" }
}

/// An item without a copy that is young enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Late {
    pub item: String,
    /// The newest snapshot; `None` where there is none.
    pub newest_at: Option<Timestamp>,
}

/// What is wrong, with its figures. Spans are seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Condition {
    /// There is no copy at all: runs have ended, or the RPO has passed since the service was configured.
    NoCopy { since: Timestamp },
    /// The newest restore test failed for another reason than its time.
    RestoreFailed { at: Timestamp },
    /// Copies exist and none was ever restored.
    NeverRestored { items: i64 },
    /// Items without a snapshot within the RPO, the oldest of them by name.
    RpoOverdue { items: i64, of: i64, newest_at: Option<Timestamp>, rpo_s: i64, worst: Vec<Late> },
    /// The newest restore test took longer than promised.
    RtoBreached { rto_s: f64, target_s: i64, at: Timestamp },
    /// The newest run of that kind ended badly. `what` is the run's title.
    RunFailed { state: RunState, what: String, at: Timestamp, reason: String },
    /// The newest backup left items or files out.
    RunPartial { what: String, at: Timestamp, reason: String },
    /// The newest restore test could not check everything.
    NotChecked { at: Timestamp },
    /// The newest restore test is older than [`crate::standing::PROOF_LASTS_S`].
    #[serde(rename = "test_overdue")]
    ProofOld { at: Timestamp },
    /// The newest check found damage.
    RepositoryDamaged { at: Timestamp, reason: String },
    /// The newest run could not open it or reach its storage.
    RepositoryUnreachable { at: Timestamp, reason: String },
    /// Its structure was not checked for [`CHECK_LASTS_S`], or never.
    RepositoryUnchecked { since: Timestamp, ever: bool },
    /// A cloud did not let its credential in, or was out of reach.
    CredentialRefused { at: Timestamp, reason: String },
    /// A cloud's credential may not do all that snapshots need, or does not tell when it ends.
    CredentialLacking { at: Timestamp, reason: String },
    /// A cloud's credential ends `within` so many days, one of [`crate::instance::REMINDERS`].
    CredentialExpiring { expires_at: Timestamp, within: i64 },
    /// Clones of a service past their end that could not be taken away. `name` is that which should have gone first.
    ClonesStand { clones: i64, name: String, since: Timestamp, reason: String },
    /// Ticks of a schedule without a run; `ever` says whether it has run at all.
    ScheduleMissed { missed: i64, last_at: Timestamp, reason: String, ever: bool },
    /// Nothing is forgotten until a person decides.
    #[serde(rename = "hold")]
    HoldStands { since: Timestamp, reason: String },
    /// A message could not be delivered.
    ChannelFailing { at: Timestamp, recipient: String, answer: String },
    /// Figures of availability could not be fetched for [`crate::availability::source::FAILING_S`].
    FiguresMissing { since: Timestamp, reason: String },
    /// The due date of a review is over and it was not done; no exemption is in force.
    ReviewOverdue { review: ReviewKind, due: Date },
    /// A review is due `within` so many days, one of [`REMINDERS`].
    ReviewDue { review: ReviewKind, due: Date, within: i64 },
    /// Nothing was ever run.
    NoData,
}

impl Condition {
    pub const fn kind(&self) -> AlertKind {
        match self {
            Self::NoCopy { .. } => AlertKind::NoCopy,
            Self::RestoreFailed { .. } => AlertKind::RestoreFailed,
            Self::NeverRestored { .. } => AlertKind::NeverRestored,
            Self::RpoOverdue { .. } => AlertKind::RpoOverdue,
            Self::RtoBreached { .. } => AlertKind::RtoBreached,
            Self::RunFailed { .. } => AlertKind::RunFailed,
            Self::RunPartial { .. } => AlertKind::RunPartial,
            Self::NotChecked { .. } => AlertKind::NotChecked,
            Self::ProofOld { .. } => AlertKind::ProofOld,
            Self::RepositoryDamaged { .. } => AlertKind::RepositoryDamaged,
            Self::RepositoryUnreachable { .. } => AlertKind::RepositoryUnreachable,
            Self::RepositoryUnchecked { .. } => AlertKind::RepositoryUnchecked,
            Self::CredentialRefused { .. } => AlertKind::CredentialRefused,
            Self::CredentialLacking { .. } => AlertKind::CredentialLacking,
            Self::CredentialExpiring { .. } => AlertKind::CredentialExpiring,
            Self::ClonesStand { .. } => AlertKind::ClonesStand,
            Self::ScheduleMissed { .. } => AlertKind::ScheduleMissed,
            Self::HoldStands { .. } => AlertKind::HoldStands,
            Self::ChannelFailing { .. } => AlertKind::ChannelFailing,
            Self::FiguresMissing { .. } => AlertKind::FiguresMissing,
            Self::ReviewOverdue { .. } => AlertKind::ReviewOverdue,
            Self::ReviewDue { .. } => AlertKind::ReviewDue,
            Self::NoData => AlertKind::NoData,
        }
    }

    /// Conditions of one slot take each other's place: a source's newest run failed *or* was partial.
    const fn slot(&self) -> &'static str {
        match self {
            Self::NoCopy { .. } | Self::RpoOverdue { .. } | Self::NoData => "copies",
            Self::RestoreFailed { .. } | Self::NeverRestored { .. } | Self::NotChecked { .. } => "restore",
            Self::RtoBreached { .. } => "rto",
            Self::ProofOld { .. } => "proof",
            Self::RunFailed { .. } | Self::RunPartial { .. } => "run",
            Self::RepositoryDamaged { .. } => "damage",
            Self::RepositoryUnreachable { .. } => "reach",
            Self::RepositoryUnchecked { .. } => "check",
            Self::CredentialRefused { .. } | Self::CredentialLacking { .. } => "credential",
            Self::CredentialExpiring { .. } => "expiry",
            Self::ClonesStand { .. } => "clones",
            Self::ScheduleMissed { .. } => "ticks",
            Self::HoldStands { .. } => "hold",
            Self::ChannelFailing { .. } => "channel",
            Self::FiguresMissing { .. } => "figures",
            Self::ReviewOverdue { review, .. } | Self::ReviewDue { review, .. } => match review {
                ReviewKind::Risk => "review_risk",
                ReviewKind::Plan => "review_plan",
            },
        }
    }

    /// The day that it is about: a review that is due on another day is another thing.
    const fn day(&self) -> Option<Date> {
        match self {
            Self::ReviewOverdue { due, .. } | Self::ReviewDue { due, .. } => Some(*due),
            _ => None,
        }
    }

    /// How far it has come while its kind is as grave as before; a further stage is told, too.
    const fn stage(&self) -> u8 {
        match self {
            Self::ReviewOverdue { .. } => 2,
            Self::CredentialExpiring { within, .. } => (*within < crate::instance::REMINDERS[0]) as u8,
            Self::ReviewDue { within, .. } => (*within < REMINDERS[0]) as u8,
            _ => 0,
        }
    }

    /// How far beyond its promise, to order alerts of one kind: the measured value over the promised one.
    pub fn excess(&self, now: Timestamp) -> f64 {
        match self {
            Self::RpoOverdue { worst, newest_at, rpo_s, .. } => {
                let oldest = worst.first().map_or(*newest_at, |l| l.newest_at);
                oldest.map_or(f64::MAX, |at| now.secs_since(at) / (*rpo_s).max(1) as f64)
            }
            Self::RtoBreached { rto_s, target_s, .. } => rto_s / (*target_s).max(1) as f64,
            _ => 0.0,
        }
    }
}

impl AlertKind {
    pub const fn severity(self) -> Severity {
        match self {
            Self::NoCopy
            | Self::RepositoryDamaged
            | Self::RestoreFailed
            | Self::NeverRestored
            | Self::RpoOverdue
            | Self::RepositoryUnreachable
            | Self::CredentialRefused
            | Self::RtoBreached
            | Self::HoldStands
            | Self::RunFailed => Severity::Critical,
            Self::ScheduleMissed
            | Self::NotChecked
            | Self::RunPartial
            | Self::ProofOld
            | Self::RepositoryUnchecked
            | Self::CredentialLacking
            | Self::CredentialExpiring
            | Self::ClonesStand
            | Self::ChannelFailing
            | Self::FiguresMissing
            | Self::ReviewOverdue
            | Self::ReviewDue => Severity::Warning,
            Self::NoData => Severity::Info,
        }
    }

    /// The place in the order of gravity, from 0.
    pub fn rank(self) -> usize {
        Self::ALL.iter().position(|k| *k == self).unwrap_or(Self::ALL.len())
    }
}

/// What an alert is about: a short name, and the name as people read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    pub entity: Entity,
    pub id: uuid::Uuid,
    pub name: String,
    pub title: String,
}

/// What the watchdogs find to be wrong now.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    pub subject: Subject,
    pub service: Option<ServiceId>,
    /// What shows it best.
    pub run: Option<RunId>,
    pub test: Option<RestoreTestId>,
    pub condition: Condition,
}

impl Wanted {
    /// What is wrong with what, for as long as it lasts.
    pub fn key(&self) -> String {
        let day = self.condition.day().map_or_else(String::new, |day| format!(":{day}"));
        format!("{}:{}:{}{day}", self.condition.slot(), self.subject.entity, self.subject.id)
    }

    pub const fn severity(&self) -> Severity {
        self.condition.kind().severity()
    }
}

/// An alert that is open, as far as the comparison needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Open {
    pub key: String,
    pub severity: Severity,
    pub condition: Condition,
}

/// What has to happen to make the open alerts agree with what is wrong. Places are those in the lists that were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Open {
        wanted: usize,
    },
    /// The figures are others; `worse` says that it has become graver.
    Change {
        wanted: usize,
        open: usize,
        worse: bool,
    },
    Resolve {
        open: usize,
    },
}

/// Compares what is wrong with what is open. Of two wanted with one key the first counts.
pub fn compare(wanted: &[Wanted], open: &[Open]) -> Vec<Step> {
    let mut by_key = std::collections::BTreeMap::new();
    for (i, w) in wanted.iter().enumerate() {
        by_key.entry(w.key()).or_insert(i);
    }
    let mut steps = Vec::new();
    for (i, o) in open.iter().enumerate() {
        match by_key.remove(&o.key) {
            None => steps.push(Step::Resolve { open: i }),
            Some(w) if wanted[w].condition != o.condition => {
                let worse = wanted[w].severity().rank() > o.severity.rank() || wanted[w].condition.stage() > o.condition.stage();
                steps.push(Step::Change { wanted: w, open: i, worse });
            }
            Some(_) => {}
        }
    }
    let mut new: Vec<_> = by_key.into_values().collect();
    new.sort_unstable();
    steps.extend(new.into_iter().map(|wanted| Step::Open { wanted }));
    steps
}

#[cfg(test)]
mod tests;
