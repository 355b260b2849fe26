//! What a month of a schedule's runs would leave by the policy of what it backs up (R16, R17).
//!
//! Lives here: the imagined snapshots behind the form's preview. May not: real snapshots (that is `ops::policies`).

use domain::{
    retention::{Candidate, Decision, Rules, decide},
    units::Timestamp,
};
use jiff::tz::TimeZone;

use crate::{Result, cron::Cron, retention};

/// The longest span that is imagined, in days.
const DAYS: i64 = 30;
/// Runs that are imagined at most: of what runs often, fewer days.
const MOST: i64 = 3_000;

/// A snapshot that a run of the schedule would have made of each item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imagined {
    pub at: Timestamp,
    pub decision: Decision,
}

/// What the runs of the last days would have left until now, had the schedule been there and each of them succeeded.
#[derive(Clone, Debug)]
pub struct Keeping {
    /// How many days are imagined.
    pub days: i64,
    /// Name of the policy.
    pub policy: String,
    /// As typed, the newest first.
    pub typed: Vec<Imagined>,
    /// As it was probably meant.
    pub likely: Option<Vec<Imagined>>,
}

/// How many days of a schedule are imagined.
pub(super) fn days(cron: &Cron) -> i64 {
    (MOST / cron.runs_a_day().max(1)).clamp(1, DAYS)
}

/// Decides on the snapshots of all runs that `cron` names in so many days before `now`; the newest first.
pub(super) fn imagine(cron: &Cron, zone: &TimeZone, rules: &Rules, days: i64, now: Timestamp) -> Result<Vec<Imagined>> {
    let since = now.plus_secs(-days * 86_400);
    let times: Vec<Timestamp> = cron.after(since, zone).take_while(|at| *at <= now).collect();
    let snapshots: Vec<Candidate> = times.iter().rev().map(|at| candidate(*at)).collect();
    let decisions = decide(rules, &retention::zone(&rules.time_zone)?, now, &snapshots);
    Ok(snapshots.into_iter().zip(decisions).map(|(s, decision)| Imagined { at: s.taken_at, decision }).collect())
}

fn candidate(at: Timestamp) -> Candidate {
    Candidate { id: format!("{:020}", at.0), taken_at: at, complete: true, tags: Vec::new(), verified_at: None, held: false, in_use: false, safety: false }
}
