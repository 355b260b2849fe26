//! Judging promise against fact: how a service stands, and why (R18, R33, R36).
//!
//! Lives here: the findings, their order of gravity, coverage and recoverability of one service.
//! May not: words for people beyond a finding's name, the clock, where the facts come from.
//! Invariant: no data is never good news; coverage (a copy exists) never counts as recoverability (a restore was proven).

use crate::{
    evidence::{EvidenceLevel, Verdict},
    run::RunState,
    units::Timestamp,
};

/// How long a passed restore test proves that a service is recoverable: 90 days.
pub const PROOF_LASTS_S: i64 = 90 * 86_400;

/// What was promised and what was measured. Spans are seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Facts {
    pub rpo_s: Option<i64>,
    pub rto_s: Option<i64>,
    /// Items that the sources list now, and those with a snapshot within the RPO at the last count.
    pub items: i64,
    pub items_fresh: i64,
    pub last_snapshot_at: Option<Timestamp>,
    /// The newest run of any kind, once it has ended.
    pub last_run: Option<(RunState, Timestamp)>,
    pub last_test: Option<Tested>,
    /// Holds of the guard on which nobody has decided, and since when there is one.
    pub on_hold: Option<(i64, Timestamp)>,
}

/// What the newest restore test measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tested {
    pub at: Timestamp,
    pub verdict: Verdict,
    pub level: EvidenceLevel,
    pub rto_s: Option<f64>,
}

/// One reason why a service needs attention, the gravest first: the order is what would be lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Finding {
    /// Runs have ended and there is no copy at all.
    NoCopy,
    /// The guard found that something changed more than is usual, and nobody has decided (R21).
    OnHold { holds: i64, since: Timestamp },
    /// The newest restore test failed for another reason than its time.
    RestoreFailed { at: Timestamp },
    /// Copies exist and none was ever restored.
    NeverRestored,
    /// Copies are older than promised: by the age of the newest one, or some items of all.
    RpoOverdue { items: i64, of: i64, age_s: f64, rpo_s: i64 },
    /// The newest restore test took longer than promised.
    RtoBreached { rto_s: f64, target_s: i64, at: Timestamp },
    /// The newest run ended badly.
    RunFailed { state: RunState, at: Timestamp },
    /// The newest restore test could not check everything.
    NotChecked { at: Timestamp },
    /// The newest run left items or files out.
    RunPartial { at: Timestamp },
    /// The newest restore test is older than [`PROOF_LASTS_S`].
    ProofOld { at: Timestamp },
    /// Nothing was ever run.
    NoData,
}

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gravity {
    /// The promise is not kept.
    Broken,
    /// The promise is at risk.
    AtRisk,
    /// Nothing is known.
    Unknown,
}

impl Finding {
    /// The stable name, also shown: two or three words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoCopy => "no copy",
            Self::OnHold { .. } => "on hold",
            Self::RestoreFailed { .. } => "restore failed",
            Self::NeverRestored => "never restored",
            Self::RpoOverdue { .. } => "RPO overdue",
            Self::RtoBreached { .. } => "RTO breached",
            Self::RunFailed { .. } => "failed run",
            Self::NotChecked { .. } => "could not check",
            Self::RunPartial { .. } => "partial run",
            Self::ProofOld { .. } => "test overdue",
            Self::NoData => "no data",
        }
    }

    pub const fn gravity(self) -> Gravity {
        match self {
            Self::NoCopy
            | Self::OnHold { .. }
            | Self::RestoreFailed { .. }
            | Self::NeverRestored
            | Self::RpoOverdue { .. }
            | Self::RtoBreached { .. }
            | Self::RunFailed { .. } => Gravity::Broken,
            Self::NotChecked { .. } | Self::RunPartial { .. } | Self::ProofOld { .. } => Gravity::AtRisk,
            Self::NoData => Gravity::Unknown,
        }
    }

    /// How far beyond its promise, to order findings of one name: the measured value over the promised one; 0 where nothing is measured.
    pub fn excess(self) -> f64 {
        match self {
            Self::RpoOverdue { age_s, rpo_s, .. } => age_s / rpo_s.max(1) as f64,
            Self::RtoBreached { rto_s, target_s, .. } => rto_s / target_s.max(1) as f64,
            _ => 0.0,
        }
    }

    /// The place in the order of gravity, from 0.
    pub const fn rank(self) -> u8 {
        match self {
            Self::NoCopy => 0,
            Self::OnHold { .. } => 1,
            Self::RestoreFailed { .. } => 2,
            Self::NeverRestored => 3,
            Self::RpoOverdue { .. } => 4,
            Self::RtoBreached { .. } => 5,
            Self::RunFailed { .. } => 6,
            Self::NotChecked { .. } => 7,
            Self::RunPartial { .. } => 8,
            Self::ProofOld { .. } => 9,
            Self::NoData => 10,
        }
    }
}

/// Every reason why the service needs attention, the gravest first. Empty means that it is in order.
pub fn judge(f: &Facts, now: Timestamp) -> Vec<Finding> {
    let Some(newest) = f.last_snapshot_at else {
        let ran = f.last_run.is_some_and(|(state, _)| !state.is_live() && state != RunState::Cancelled);
        return vec![if ran { Finding::NoCopy } else { Finding::NoData }];
    };
    let mut found = Vec::new();
    if let Some((holds, since)) = f.on_hold {
        found.push(Finding::OnHold { holds, since });
    }
    match f.last_test {
        None => found.push(Finding::NeverRestored),
        Some(t) => {
            let slow = match (t.rto_s, f.rto_s) {
                (Some(rto_s), Some(target_s)) if rto_s > target_s as f64 => Some(Finding::RtoBreached { rto_s, target_s, at: t.at }),
                _ => None,
            };
            match t.verdict {
                Verdict::Failed if slow.is_none() || t.level < EvidenceLevel::Restored => found.push(Finding::RestoreFailed { at: t.at }),
                Verdict::Unknown => found.push(Finding::NotChecked { at: t.at }),
                _ => {}
            }
            found.extend(slow);
            if now.secs_since(t.at) > PROOF_LASTS_S as f64 {
                found.push(Finding::ProofOld { at: t.at });
            }
        }
    }
    if let Some(rpo_s) = f.rpo_s {
        let overdue = f.items - covered(f, now);
        let age_s = now.secs_since(newest);
        if overdue > 0 || age_s > rpo_s as f64 {
            found.push(Finding::RpoOverdue { items: overdue, of: f.items, age_s, rpo_s });
        }
    }
    match f.last_run {
        Some((state @ (RunState::Failed | RunState::Interrupted), at)) => found.push(Finding::RunFailed { state, at }),
        Some((RunState::Partial, at)) => found.push(Finding::RunPartial { at }),
        _ => {}
    }
    found.sort_by_key(|finding| finding.rank());
    found
}

/// Items with a copy that is young enough now; none once the newest copy is older than the RPO.
pub fn covered(f: &Facts, now: Timestamp) -> i64 {
    let fresh = f.last_snapshot_at.is_some_and(|at| f.rpo_s.is_none_or(|rpo| now.secs_since(at) <= rpo as f64));
    if fresh { f.items_fresh.clamp(0, f.items) } else { 0 }
}

/// Whether a restore was proven: a test of the last 90 days passed, reached `asserted`, and kept within the RTO.
pub fn recoverable(f: &Facts, now: Timestamp) -> bool {
    f.last_test.is_some_and(|t| {
        t.verdict == Verdict::Passed
            && t.level >= EvidenceLevel::Asserted
            && now.secs_since(t.at) <= PROOF_LASTS_S as f64
            && match (t.rto_s, f.rto_s) {
                (Some(rto), Some(target)) => rto <= target as f64,
                (None, Some(_)) => false,
                (_, None) => true,
            }
    })
}

/// How far the service has been proven: by its newest test, or that a copy exists.
pub fn evidence(f: &Facts) -> EvidenceLevel {
    let tested = f.last_test.map_or(EvidenceLevel::None, |t| t.level);
    if f.last_snapshot_at.is_some() { tested.max(EvidenceLevel::Exists) } else { tested }
}

/// How the backups of one day went, for the strip of 30 days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Day {
    /// No backup ended on this day.
    #[default]
    NoData,
    /// All were complete.
    Kept,
    /// At least one was complete or partial, and something went wrong too.
    Late,
    /// None was complete or partial.
    Failed,
    /// A backup was due, none ran.
    Missed,
}

impl Day {
    /// The day with one more backup that has come to `state`. Live and cancelled ones say nothing.
    #[must_use]
    pub const fn with(self, state: RunState) -> Self {
        match (self, state) {
            (day, RunState::Queued | RunState::Running | RunState::Cancelled) => day,
            (Self::NoData | Self::Kept, RunState::Succeeded) => Self::Kept,
            (Self::NoData | Self::Failed | Self::Missed, RunState::Failed | RunState::Interrupted) => Self::Failed,
            _ => Self::Late,
        }
    }

    /// The day with one more backup that was due and had no run.
    #[must_use]
    pub const fn with_missed(self) -> Self {
        match self {
            Self::NoData | Self::Missed => Self::Missed,
            Self::Failed => Self::Failed,
            Self::Kept | Self::Late => Self::Late,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000_000);
    const H: i64 = 3_600;

    fn ago(s: i64) -> Timestamp {
        NOW.plus_secs(-s)
    }

    #[allow(clippy::unnecessary_wraps, reason = "the tables below give it as it stands in the facts")]
    fn tested(verdict: Verdict, level: EvidenceLevel, rto_s: f64, age: i64) -> Option<Tested> {
        Some(Tested { at: ago(age), verdict, level, rto_s: Some(rto_s) })
    }

    fn good() -> Facts {
        Facts {
            rpo_s: Some(24 * H),
            rto_s: Some(8 * H),
            items: 75,
            items_fresh: 75,
            last_snapshot_at: Some(ago(10 * H)),
            last_run: Some((RunState::Succeeded, ago(10 * H))),
            last_test: tested(Verdict::Passed, EvidenceLevel::Asserted, 603.0, 86_400),
            on_hold: None,
        }
    }

    fn names(f: &Facts) -> Vec<&'static str> {
        judge(f, NOW).into_iter().map(Finding::name).collect()
    }

    #[test]
    fn the_table() {
        use EvidenceLevel::{Asserted, Readable, Restored};
        use RunState::{Cancelled, Failed, Interrupted, Partial, Running};
        use Verdict::{Passed, Unknown};
        let table: Vec<(&str, Facts, &[&str])> = vec![
            ("all kept", good(), &[]),
            ("nothing at all", Facts::default(), &["no data"]),
            ("first run still runs", Facts { last_run: Some((Running, ago(9))), ..Facts::default() }, &["no data"]),
            ("first run was cancelled", Facts { last_run: Some((Cancelled, ago(9))), ..Facts::default() }, &["no data"]),
            ("first run failed", Facts { last_run: Some((Failed, ago(9))), rpo_s: Some(H), ..Facts::default() }, &["no copy"]),
            ("on hold", Facts { on_hold: Some((2, ago(9))), ..good() }, &["on hold"]),
            ("on hold and never restored", Facts { on_hold: Some((1, ago(9))), last_test: None, ..good() }, &["on hold", "never restored"]),
            ("never restored", Facts { last_test: None, ..good() }, &["never restored"]),
            ("at the RPO", Facts { last_snapshot_at: Some(ago(24 * H)), ..good() }, &[]),
            ("one second beyond the RPO", Facts { last_snapshot_at: Some(ago(24 * H + 1)), ..good() }, &["RPO overdue"]),
            ("one item overdue", Facts { items_fresh: 74, ..good() }, &["RPO overdue"]),
            ("no RPO promised", Facts { rpo_s: None, last_snapshot_at: Some(ago(9_000 * H)), ..good() }, &[]),
            ("at the RTO", Facts { last_test: tested(Passed, Asserted, 8.0 * 3_600.0, 9), ..good() }, &[]),
            ("beyond the RTO", Facts { last_test: tested(Verdict::Failed, Asserted, 8.0 * 3_600.0 + 1.0, 9), ..good() }, &["RTO breached"]),
            ("slow and not restored", Facts { last_test: tested(Verdict::Failed, Readable, 9.0 * 3_600.0, 9), ..good() }, &["restore failed", "RTO breached"]),
            ("a check failed", Facts { last_test: tested(Verdict::Failed, Restored, 5.0, 9), ..good() }, &["restore failed"]),
            ("could not check", Facts { last_test: tested(Unknown, Restored, 5.0, 9), ..good() }, &["could not check"]),
            ("an old proof", Facts { last_test: tested(Passed, Asserted, 5.0, PROOF_LASTS_S + 1), ..good() }, &["test overdue"]),
            ("failed run", Facts { last_run: Some((Failed, ago(9))), ..good() }, &["failed run"]),
            ("interrupted run", Facts { last_run: Some((Interrupted, ago(9))), ..good() }, &["failed run"]),
            ("partial run", Facts { last_run: Some((Partial, ago(9))), ..good() }, &["partial run"]),
            ("cancelled by a person", Facts { last_run: Some((Cancelled, ago(9))), ..good() }, &[]),
            (
                "several, gravest first",
                Facts { last_test: None, last_run: Some((Failed, ago(9))), last_snapshot_at: Some(ago(51 * H)), ..good() },
                &["never restored", "RPO overdue", "failed run"],
            ),
        ];
        for (what, facts, want) in table {
            assert_eq!(names(&facts), want, "{what}");
        }
    }

    #[test]
    fn coverage_is_not_recoverability() {
        let f = Facts { last_test: None, ..good() };
        assert_eq!((covered(&f, NOW), recoverable(&f, NOW)), (75, false));
        let f = Facts { last_snapshot_at: Some(ago(25 * H)), ..good() };
        assert_eq!((covered(&f, NOW), recoverable(&f, NOW)), (0, true));
        assert_eq!(covered(&Facts { items_fresh: 80, ..good() }, NOW), 75);
    }

    #[test]
    fn only_a_young_passed_asserted_test_within_the_target_proves() {
        use EvidenceLevel::{Asserted, Restored, Started};
        use Verdict::{Failed, Passed, Unknown};
        for (test, want) in [
            (tested(Passed, Asserted, 603.0, 9), true),
            (tested(Passed, Started, 603.0, 9), true),
            (tested(Passed, Restored, 603.0, 9), false),
            (tested(Failed, Asserted, 603.0, 9), false),
            (tested(Unknown, Asserted, 603.0, 9), false),
            (tested(Passed, Asserted, 603.0, PROOF_LASTS_S + 1), false),
            (tested(Passed, Asserted, 8.0 * 3_600.0 + 1.0, 9), false),
            (None, false),
        ] {
            assert_eq!(recoverable(&Facts { last_test: test, ..good() }, NOW), want, "{test:?}");
        }
        let unmeasured = Some(Tested { at: ago(9), verdict: Passed, level: Asserted, rto_s: None });
        assert!(!recoverable(&Facts { last_test: unmeasured, ..good() }, NOW));
        assert!(recoverable(&Facts { last_test: unmeasured, rto_s: None, ..good() }, NOW));
    }

    #[test]
    fn copies_alone_are_evidence_that_they_exist() {
        assert_eq!(evidence(&Facts::default()), EvidenceLevel::None);
        assert_eq!(evidence(&Facts { last_test: None, ..good() }), EvidenceLevel::Exists);
        assert_eq!(evidence(&good()), EvidenceLevel::Asserted);
    }

    #[test]
    fn a_day_is_as_good_as_its_backups() {
        use RunState::{Cancelled, Failed, Interrupted, Partial, Running, Succeeded};
        let table: [(&[RunState], Day); 9] = [
            (&[], Day::NoData),
            (&[Running, Cancelled], Day::NoData),
            (&[Succeeded, Succeeded], Day::Kept),
            (&[Failed, Interrupted], Day::Failed),
            (&[Failed, Succeeded], Day::Late),
            (&[Succeeded, Failed], Day::Late),
            (&[Partial], Day::Late),
            (&[Partial, Succeeded], Day::Late),
            (&[Failed, Partial, Failed], Day::Late),
        ];
        for (states, want) in table {
            assert_eq!(states.iter().fold(Day::default(), |day, s| day.with(*s)), want, "{states:?}");
        }
        for (day, want) in [(Day::NoData, Day::Missed), (Day::Kept, Day::Late), (Day::Late, Day::Late), (Day::Failed, Day::Failed), (Day::Missed, Day::Missed)]
        {
            assert_eq!(day.with_missed(), want, "{day:?}");
        }
        for (state, want) in [(Succeeded, Day::Late), (Partial, Day::Late), (Failed, Day::Failed), (Cancelled, Day::Missed)] {
            assert_eq!(Day::Missed.with(state), want, "{state}");
        }
    }
}
