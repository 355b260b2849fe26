//! Schedules: what a tick that is due becomes, and what the ledger of ticks says (R17, R18).
//!
//! Lives here: kinds, misfire policies, reasons for a missed tick, the decision, the counts.
//! May not: cron expressions and time zones (`ops::cron`), the clock, SQL.
//! Invariant: every tick becomes exactly one of a run and a missed one with its reason.

use serde::{Deserialize, Serialize};

use crate::{
    run::{RunKind, RunState, text_enum},
    units::Timestamp,
};

text_enum! {
    /// What a schedule starts.
    ScheduleKind { Backup => "backup", Check => "check", Prune => "prune", RestoreTest => "restore_test" }
}

impl ScheduleKind {
    pub const fn run_kind(self) -> RunKind {
        match self {
            Self::Backup => RunKind::Backup,
            Self::Check => RunKind::Check,
            Self::Prune => RunKind::Prune,
            Self::RestoreTest => RunKind::RestoreTest,
        }
    }

    /// Whether it is for a repository; the others are for a service.
    pub const fn of_repository(self) -> bool {
        matches!(self, Self::Check | Self::Prune)
    }
}

text_enum! {
    /// What becomes of ticks that came while Holdfast was down.
    Misfire {
        /// They are missed; the next tick is the next run.
        Skip => "skip",
        /// The newest of them runs as soon as possible, the others are missed.
        Once => "once",
        /// The newest [`MOST_CAUGHT_UP`] of them run, one after another; older ones are missed.
        All => "all",
    }
}

text_enum! {
    /// Why a tick has no run.
    Missed {
        /// Holdfast was not running, or did not reach its database.
        Down => "down",
        /// The run of a tick before was still waiting or running: a schedule never overlaps with itself.
        Overlap => "overlap",
        /// The same was being done already, started by somebody else.
        Underway => "underway",
        /// A person had paused the schedule.
        Paused => "paused",
        /// What the schedule is for is no longer configured.
        NoTarget => "no_target",
    }
}

impl Missed {
    /// The words that follow “because”.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Down => "Holdfast was not running, or did not reach its database",
            Self::Overlap => "the run before was still busy",
            Self::Underway => "the same was under way already",
            Self::Paused => "the schedule was paused",
            Self::NoTarget => "what it is for is no longer configured",
        }
    }
}

text_enum! {
    /// Where a tick stands: with its run, or missed.
    TickState {
        Open => "open", Succeeded => "succeeded", Partial => "partial", Failed => "failed", Cancelled => "cancelled",
        Interrupted => "interrupted", Missed => "missed",
    }
}

impl TickState {
    /// A tick stands as its run does.
    pub const fn of(run: RunState) -> Self {
        match run {
            RunState::Queued | RunState::Running => Self::Open,
            RunState::Succeeded => Self::Succeeded,
            RunState::Partial => Self::Partial,
            RunState::Failed => Self::Failed,
            RunState::Cancelled => Self::Cancelled,
            RunState::Interrupted => Self::Interrupted,
        }
    }
}

/// How many late ticks a schedule catches up with at once under [`Misfire::All`].
pub const MOST_CAUGHT_UP: usize = 10;
/// A tick that is this much later than its time still runs as if on time: five minutes.
pub const GRACE_S: i64 = 300;
/// The longest jitter: six hours.
pub const LONGEST_JITTER_S: i64 = 6 * 3_600;

/// A tick whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// As the cron expression says.
    pub at: Timestamp,
    /// Later by the jitter.
    pub run_at: Timestamp,
}

/// When a schedule is paused: from the first moment up to the second, for good where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    pub from: Timestamp,
    pub until: Option<Timestamp>,
}

impl Pause {
    pub fn covers(self, at: Timestamp) -> bool {
        at >= self.from && self.until.is_none_or(|until| at < until)
    }
}

/// What a tick becomes, as far as the time decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It runs, unless the run of a tick before is still live.
    Run,
    /// It is late and waits until the runs before it have ended.
    CatchUp,
    Missed(Missed),
}

/// What each of the ticks that are due becomes; `due` holds all of them, the oldest first.
///
/// The newest one runs if it is not late by more than [`GRACE_S`]. All others are late: a newer one is due already.
pub fn decide(due: &[Due], misfire: Misfire, pause: Option<Pause>, now: Timestamp) -> Vec<Decision> {
    let newest = due.iter().rposition(|d| pause.is_none_or(|p| !p.covers(d.at)));
    let one = |i: usize, d: &Due| {
        if pause.is_some_and(|p| p.covers(d.at)) {
            return Decision::Missed(Missed::Paused);
        }
        let on_time = now.0 - d.run_at.0 <= GRACE_S * 1_000_000;
        let last = Some(i) == newest;
        match misfire {
            Misfire::Skip if last && on_time => Decision::Run,
            Misfire::Once if last => Decision::Run,
            Misfire::All if due.len() == 1 && on_time => Decision::Run,
            Misfire::All if newest.is_some_and(|newest| i + MOST_CAUGHT_UP > newest) => Decision::CatchUp,
            _ => Decision::Missed(Missed::Down),
        }
    };
    due.iter().enumerate().map(|(i, d)| one(i, d)).collect()
}

/// Why a schedule must be confirmed before it is saved (R17).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Risk {
    /// More often than once an hour.
    Often { runs_a_day: i64 },
    /// What is kept does not reach back over one day of its runs.
    BurnsHistory { runs_a_day: i64, kept: i64 },
}

/// Whether so many runs on one day, of which so many snapshots are kept (`None`: all), need a person's word.
pub const fn risk(runs_a_day: i64, kept: Option<i64>) -> Option<Risk> {
    match kept {
        Some(kept) if kept < runs_a_day => Some(Risk::BurnsHistory { runs_a_day, kept }),
        _ if runs_a_day > 24 => Some(Risk::Often { runs_a_day }),
        _ => None,
    }
}

/// What became of the ticks of a span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub open: i64,
    pub succeeded: i64,
    pub partial: i64,
    pub failed: i64,
    pub cancelled: i64,
    pub interrupted: i64,
    /// Without a run, but for those that a person had paused.
    pub missed: i64,
    /// Not expected: a person had paused the schedule.
    pub paused: i64,
}

impl Counts {
    pub const fn add(&mut self, state: TickState, reason: Option<Missed>, n: i64) {
        match (state, reason) {
            (TickState::Open, _) => self.open += n,
            (TickState::Succeeded, _) => self.succeeded += n,
            (TickState::Partial, _) => self.partial += n,
            (TickState::Failed, _) => self.failed += n,
            (TickState::Cancelled, _) => self.cancelled += n,
            (TickState::Interrupted, _) => self.interrupted += n,
            (TickState::Missed, Some(Missed::Paused)) => self.paused += n,
            (TickState::Missed, _) => self.missed += n,
        }
    }

    /// What both have.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            open: self.open + other.open,
            succeeded: self.succeeded + other.succeeded,
            partial: self.partial + other.partial,
            failed: self.failed + other.failed,
            cancelled: self.cancelled + other.cancelled,
            interrupted: self.interrupted + other.interrupted,
            missed: self.missed + other.missed,
            paused: self.paused + other.paused,
        }
    }

    /// What was expected to have ended well by now: everything but what is open and what was paused.
    pub const fn expected(&self) -> i64 {
        self.succeeded + self.partial + self.failed + self.cancelled + self.interrupted + self.missed
    }

    /// The runs that there were.
    pub const fn ran(&self) -> i64 {
        self.expected() - self.missed
    }

    /// Of those that were expected, the part that succeeded; `None` where none was.
    pub fn rate(&self) -> Option<f64> {
        (self.expected() > 0).then(|| self.succeeded as f64 / self.expected() as f64)
    }
}

#[cfg(test)]
mod tests {
    use Decision::{CatchUp, Missed as M, Run};
    use Missed::{Down, Paused};

    use super::*;

    const H: i64 = 3_600;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_secs(1_000_000_000 + hour * H)
    }

    fn due(hours: &[i64]) -> Vec<Due> {
        hours.iter().map(|h| Due { at: at(*h), run_at: at(*h).plus_secs(60) }).collect()
    }

    #[test]
    fn late_ticks_follow_the_policy() {
        let (on_time, late) = (at(3).plus_secs(60 + GRACE_S), at(3).plus_secs(61 + GRACE_S));
        for (misfire, now, want) in [
            (Misfire::Skip, on_time, [M(Down), M(Down), M(Down), Run]),
            (Misfire::Skip, late, [M(Down); 4]),
            (Misfire::Once, on_time, [M(Down), M(Down), M(Down), Run]),
            (Misfire::Once, late, [M(Down), M(Down), M(Down), Run]),
            (Misfire::All, on_time, [CatchUp; 4]),
            (Misfire::All, late, [CatchUp; 4]),
        ] {
            assert_eq!(decide(&due(&[0, 1, 2, 3]), misfire, None, now), want, "{misfire}");
        }
        assert_eq!(decide(&[], Misfire::All, None, late), []);
        assert_eq!(decide(&due(&[3]), Misfire::All, None, on_time), [Run]);
        assert_eq!(decide(&due(&[3]), Misfire::All, None, late), [CatchUp]);
    }

    #[test]
    fn catching_up_is_bounded() {
        let hours: Vec<i64> = (0..24).collect();
        let decided = decide(&due(&hours), Misfire::All, None, at(100));
        assert_eq!(decided.iter().filter(|d| **d == CatchUp).count(), MOST_CAUGHT_UP);
        assert_eq!(decided[24 - MOST_CAUGHT_UP..], [CatchUp; MOST_CAUGHT_UP]);
    }

    #[test]
    fn a_pause_covers_its_own_ticks_alone() {
        let pause = Pause { from: at(1), until: Some(at(3)) };
        assert_eq!(decide(&due(&[0, 1, 2, 3]), Misfire::Once, Some(pause), at(9)), [M(Down), M(Paused), M(Paused), Run]);
        // The newest that was not paused is the one to run.
        assert_eq!(decide(&due(&[0, 1, 2]), Misfire::Once, Some(pause), at(9)), [Run, M(Paused), M(Paused)]);
        let for_good = Pause { from: at(0), until: None };
        assert_eq!(decide(&due(&[0, 1]), Misfire::All, Some(for_good), at(1)), [M(Paused); 2]);
    }

    #[test]
    fn what_must_be_confirmed() {
        for (runs, kept, want) in [
            (1, Some(5), None),
            (5, Some(5), None),
            (24, None, None),
            (6, Some(5), Some(Risk::BurnsHistory { runs_a_day: 6, kept: 5 })),
            (60, Some(5), Some(Risk::BurnsHistory { runs_a_day: 60, kept: 5 })),
            (60, None, Some(Risk::Often { runs_a_day: 60 })),
            (25, Some(1_000), Some(Risk::Often { runs_a_day: 25 })),
        ] {
            assert_eq!(risk(runs, kept), want, "{runs} {kept:?}");
        }
    }

    #[test]
    fn rates_divide_by_what_was_expected() {
        let mut counts = Counts::default();
        assert_eq!(counts.rate(), None, "no data is not good news");
        for (state, reason, n) in [
            (TickState::Succeeded, None, 6),
            (TickState::Failed, None, 1),
            (TickState::Missed, Some(Missed::Down), 1),
            (TickState::Missed, Some(Missed::Paused), 5),
            (TickState::Open, None, 2),
        ] {
            counts.add(state, reason, n);
        }
        assert_eq!((counts.expected(), counts.ran(), counts.paused, counts.rate()), (8, 7, 5, Some(0.75)));
    }

    #[test]
    fn a_tick_stands_as_its_run() {
        for state in RunState::ALL {
            let tick = TickState::of(*state);
            assert_eq!(tick == TickState::Open, state.is_live());
            assert!(state.is_live() || tick.as_str() == state.as_str());
        }
    }
}
