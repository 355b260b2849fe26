//! Whether what proves a measure is well (R40).
//!
//! Lives here: the facts of a schedule and of restore tests, their judgement, how red passes on to the risk.
//! May not: collecting facts (`ops::risks` does), the clock.
//! Invariant: a state is derived and never typed; no data never proves anything.

use serde::{Deserialize, Serialize};

use crate::{
    evidence::Verdict,
    run::text_enum,
    schedule::{GRACE_S, TickState},
    standing::PROOF_LASTS_S,
    units::{Timestamp, span},
};

/// The most ticks of a schedule that are looked at.
pub const MOST_TICKS: usize = 200;

text_enum! {
    /// How a proof stands.
    State {
        /// It is well: the measure is in place.
        Green => "green",
        /// It is not: the measure cannot be relied on.
        Red => "red",
        /// Nothing here can tell.
        Grey => "grey",
    }
}

impl State {
    pub const fn words(self) -> &'static str {
        match self {
            Self::Green => "proven",
            Self::Red => "broken",
            Self::Grey => "not proven",
        }
    }
}

/// One row of the ledger; several may share a time where a service has several sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    pub due_at: Timestamp,
    pub state: TickState,
}

/// What is known of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub name: String,
    /// When it was made; what came before was another one of its name.
    pub created_at: Timestamp,
    pub removed_at: Option<Timestamp>,
    /// Since when it is paused, where it is now.
    pub paused_since: Option<Timestamp>,
    /// When its next run begins.
    pub next_run_at: Timestamp,
    /// The newest first.
    pub ticks: Vec<Tick>,
}

/// What is known of what a measure is linked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Facts {
    /// Nothing is linked.
    Nothing,
    /// Something that nobody here can judge.
    Stated,
    Schedule(Schedule),
    /// There is no such schedule of the service.
    NoSchedule(String),
    /// The newest restore test of the service.
    RestoreTests(Option<(Timestamp, Verdict)>),
}

/// How the proof of one measure stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub state: State,
    /// Why, without times of day.
    pub why: String,
    /// Since when it is red; when it was proven last where it is green.
    pub at: Option<Timestamp>,
}

impl Standing {
    fn new(state: State, why: impl Into<String>, at: Option<Timestamp>) -> Self {
        Self { state, why: why.into(), at }
    }

    /// Why, with the time in UTC where it is red.
    pub fn words(&self) -> String {
        match self.at.filter(|_| self.state == State::Red) {
            Some(at) => format!("{} since {}", self.why, minute(at)),
            None => self.why.clone(),
        }
    }
}

/// A moment to the minute, in UTC.
fn minute(at: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.0).unwrap_or_default().strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Judges what proves one measure.
pub fn judge(facts: &Facts, now: Timestamp) -> Standing {
    match facts {
        Facts::Nothing => Standing::new(State::Grey, "nothing is linked", None),
        Facts::Stated => Standing::new(State::Grey, "stated only: nobody here can check the address", None),
        Facts::NoSchedule(name) => Standing::new(State::Red, format!("the service has no schedule {name}"), None),
        Facts::Schedule(schedule) => judge_schedule(schedule, now),
        Facts::RestoreTests(None) => Standing::new(State::Red, "never restored: there is no restore test", None),
        Facts::RestoreTests(Some((at, verdict))) => judge_test(*at, *verdict, now),
    }
}

fn judge_test(at: Timestamp, verdict: Verdict, now: Timestamp) -> Standing {
    let age = now.secs_since(at);
    let ago = || format!("{} ago", span(age.max(0.0).round()));
    match verdict {
        Verdict::Failed => Standing::new(State::Red, "the last restore test failed", Some(at)),
        Verdict::Unknown => Standing::new(State::Red, "the last restore test could not check everything", Some(at)),
        Verdict::Passed if age > PROOF_LASTS_S as f64 => {
            Standing::new(State::Red, format!("the last restore test passed {}, which is too old", ago()), Some(at.plus_secs(PROOF_LASTS_S)))
        }
        Verdict::Passed => Standing::new(State::Green, format!("the last restore test passed {}", ago()), Some(at)),
    }
}

/// What a tick says about a schedule.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Open,
    Well,
    Partly,
    Missed,
    Failed,
}

fn said(states: &[Tick]) -> Said {
    let worst = |s: TickState| match s {
        TickState::Failed | TickState::Cancelled | TickState::Interrupted => Said::Failed,
        TickState::Missed => Said::Missed,
        TickState::Partial => Said::Partly,
        TickState::Open => Said::Open,
        TickState::Succeeded => Said::Well,
    };
    let all: Vec<Said> = states.iter().map(|t| worst(t.state)).collect();
    [Said::Failed, Said::Missed, Said::Open, Said::Partly].into_iter().find(|s| all.contains(s)).unwrap_or(Said::Well)
}

fn judge_schedule(schedule: &Schedule, now: Timestamp) -> Standing {
    if let Some(at) = schedule.removed_at {
        return Standing::new(State::Red, format!("the schedule {} was removed", schedule.name), Some(at));
    }
    if let Some(at) = schedule.paused_since {
        return Standing::new(State::Red, format!("the schedule {} is paused", schedule.name), Some(at));
    }
    if now.0 > schedule.next_run_at.plus_secs(GRACE_S).0 {
        return Standing::new(State::Red, "the run that is due has not begun", Some(schedule.next_run_at));
    }
    // One entry a time; a time whose runs are not through says nothing yet.
    let times: Vec<(Timestamp, Said)> = schedule
        .ticks
        .iter()
        .filter(|t| t.due_at >= schedule.created_at)
        .copied()
        .collect::<Vec<_>>()
        .chunk_by(|a, b| a.due_at == b.due_at)
        .map(|c| (c[0].due_at, said(c)))
        .filter(|(_, s)| *s != Said::Open)
        .collect();
    let Some((newest, last)) = times.first().copied() else {
        return Standing::new(State::Grey, "has not run yet", None);
    };
    match last {
        Said::Partly => Standing::new(State::Grey, "the last run left something out", Some(newest)),
        Said::Missed | Said::Failed => {
            let bad: Vec<_> = times.iter().take_while(|(_, s)| matches!(s, Said::Missed | Said::Failed)).collect();
            let what = match (bad.iter().any(|(_, s)| *s == Said::Missed), bad.iter().any(|(_, s)| *s == Said::Failed)) {
                (true, true) => "failed or missed",
                (true, false) => "missed",
                _ => "failed",
            };
            let more = schedule.ticks.len() >= MOST_TICKS && bad.len() == times.len();
            let since = bad.last().map(|(at, _)| *at);
            Standing::new(State::Red, format!("{} {what}{}", last_runs(bad.len()), if more { " or more" } else { "" }), since)
        }
        _ => Standing::new(State::Green, format!("the last run succeeded {} ago", span(now.secs_since(newest).max(0.0).round())), Some(newest)),
    }
}

fn last_runs(n: usize) -> String {
    const WORDS: [&str; 9] = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    match n {
        0 | 1 => "last run".to_owned(),
        n => WORDS.get(n - 2).map_or_else(|| format!("last {n} runs"), |word| format!("last {word} runs")),
    }
}

/// How all measures of a risk stand together: red wins, then what is proven.
pub fn of_risk<'a>(measures: impl Iterator<Item = (&'a str, &'a Standing)>) -> (State, Vec<String>) {
    let (mut state, mut reasons) = (State::Grey, Vec::new());
    for (text, standing) in measures {
        match standing.state {
            State::Red => {
                state = State::Red;
                reasons.push(format!("{text}: {}", standing.words()));
            }
            State::Green if state == State::Grey => state = State::Green,
            State::Green | State::Grey => {}
        }
    }
    (state, reasons)
}

#[cfg(test)]
mod tests {
    use TickState::{Cancelled, Failed, Interrupted, Missed, Open, Partial, Succeeded};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);
    const DAY: i64 = 86_400;

    /// Ticks day by day, the newest first, the first an hour ago.
    fn schedule(ticks: &[TickState]) -> Schedule {
        let ticks = ticks.iter().enumerate().map(|(n, state)| Tick { due_at: NOW.plus_secs(-3_600 - n as i64 * DAY), state: *state }).collect();
        Schedule {
            name: "nightly".into(),
            created_at: NOW.plus_secs(-300 * DAY),
            removed_at: None,
            paused_since: None,
            next_run_at: NOW.plus_secs(3_600),
            ticks,
        }
    }

    fn said_of(schedule: Schedule) -> (State, String, Option<i64>) {
        let standing = judge(&Facts::Schedule(schedule), NOW);
        (standing.state, standing.why, standing.at.map(|at| NOW.secs_since(at) as i64))
    }

    #[test]
    fn a_schedule_is_as_good_as_its_last_runs() {
        let table: [(&[TickState], State, &str, Option<i64>); 11] = [
            (&[], State::Grey, "has not run yet", None),
            (&[Open], State::Grey, "has not run yet", None),
            (&[Succeeded, Failed], State::Green, "the last run succeeded 1 h ago", Some(3_600)),
            (&[Open, Succeeded], State::Green, "the last run succeeded 1 d 1 h ago", Some(3_600 + DAY)),
            (&[Open, Missed], State::Red, "last run missed", Some(3_600 + DAY)),
            (&[Failed, Succeeded], State::Red, "last run failed", Some(3_600)),
            (&[Cancelled, Succeeded], State::Red, "last run failed", Some(3_600)),
            (&[Interrupted, Succeeded], State::Red, "last run failed", Some(3_600)),
            (&[Missed, Missed, Succeeded], State::Red, "last two runs missed", Some(3_600 + DAY)),
            (&[Missed, Failed, Missed], State::Red, "last three runs failed or missed", Some(3_600 + 2 * DAY)),
            (&[Partial, Succeeded], State::Grey, "the last run left something out", Some(3_600)),
        ];
        for (ticks, state, why, at) in table {
            assert_eq!(said_of(schedule(ticks)), (state, why.to_owned(), at), "{ticks:?}");
        }
    }

    #[test]
    fn one_source_that_failed_is_a_run_that_failed() {
        let mut of_two = schedule(&[Succeeded, Succeeded]);
        of_two.ticks[1].due_at = of_two.ticks[0].due_at;
        of_two.ticks[1].state = Failed;
        assert_eq!(said_of(of_two), (State::Red, "last run failed".into(), Some(3_600)));
    }

    #[test]
    fn a_schedule_that_does_not_run_proves_nothing() {
        let good = || schedule(&[Succeeded]);
        let removed = said_of(Schedule { removed_at: Some(NOW.plus_secs(-60)), ..good() });
        assert_eq!(removed, (State::Red, "the schedule nightly was removed".into(), Some(60)));
        let paused = said_of(Schedule { paused_since: Some(NOW.plus_secs(-60)), ..good() });
        assert_eq!(paused, (State::Red, "the schedule nightly is paused".into(), Some(60)));
        for (late, state) in [(GRACE_S, State::Green), (GRACE_S + 1, State::Red)] {
            assert_eq!(said_of(Schedule { next_run_at: NOW.plus_secs(-late), ..good() }).0, state, "{late}");
        }
        let anew = said_of(Schedule { created_at: NOW.plus_secs(-60), ..schedule(&[Failed]) });
        assert_eq!(anew, (State::Grey, "has not run yet".into(), None), "it was another one that failed");
        let many = said_of(schedule(&[Missed; MOST_TICKS]));
        assert_eq!(many.1, "last 200 runs missed or more");
    }

    #[test]
    fn restore_tests_prove_for_ninety_days() {
        use Verdict::{Failed, Passed, Unknown};
        let of = |test| judge(&Facts::RestoreTests(test), NOW);
        assert_eq!(of(None).state, State::Red);
        for (verdict, age, state) in [
            (Passed, DAY, State::Green),
            (Passed, PROOF_LASTS_S, State::Green),
            (Passed, PROOF_LASTS_S + 1, State::Red),
            (Failed, DAY, State::Red),
            (Unknown, DAY, State::Red),
        ] {
            assert_eq!(of(Some((NOW.plus_secs(-age), verdict))).state, state, "{verdict:?} {age}");
        }
        assert_eq!(of(Some((NOW.plus_secs(-PROOF_LASTS_S - DAY), Passed))).at, Some(NOW.plus_secs(-DAY)), "red since it became too old");
    }

    #[test]
    fn red_passes_on_to_the_risk_with_its_reason() {
        let red = judge(&Facts::Schedule(schedule(&[Missed, Missed, Succeeded])), NOW);
        let green = judge(&Facts::Schedule(schedule(&[Succeeded])), NOW);
        let grey = judge(&Facts::Stated, NOW);
        assert_eq!(
            of_risk([("daily backup", &red), ("tests", &green)].into_iter()),
            (State::Red, vec!["daily backup: last two runs missed since 2026-09-20 13:13 UTC".into()])
        );
        assert_eq!(of_risk([("probe", &grey), ("tests", &green)].into_iter()), (State::Green, Vec::new()));
        assert_eq!(of_risk([("probe", &grey)].into_iter()), (State::Grey, Vec::new()));
        assert_eq!(of_risk(std::iter::empty()), (State::Grey, Vec::new()));
        assert_eq!(judge(&Facts::NoSchedule("x".into()), NOW).words(), "the service has no schedule x");
    }
}
