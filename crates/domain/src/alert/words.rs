//! The words of alerts: the same on the home page, in a mail and in a chat.
//!
//! Lives here: names, headlines, sentences. May not: times of day (they need a zone); ages are told instead.

use jiff::civil::Date;

use super::{AlertKind, Condition, Late};
use crate::{
    review::{date_of, days_until},
    run::RunState,
    units::{Timestamp, count, span},
};

impl AlertKind {
    /// Two or three words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NoCopy => "no copy",
            Self::RepositoryDamaged => "repository damaged",
            Self::RestoreFailed => "restore failed",
            Self::NeverRestored => "never restored",
            Self::RpoOverdue => "RPO overdue",
            Self::RepositoryUnreachable => "out of reach",
            Self::CredentialRefused => "cloud not usable",
            Self::CredentialLacking => "credential lacks",
            Self::CredentialExpiring => "credential ends",
            Self::ClonesStand => "clone stands",
            Self::RtoBreached => "RTO breached",
            Self::HoldStands => "anomaly hold",
            Self::RunFailed => "failed run",
            Self::ScheduleMissed => "missed run",
            Self::NotChecked => "could not check",
            Self::RunPartial => "partial run",
            Self::ProofOld => "test overdue",
            Self::RepositoryUnchecked => "not checked",
            Self::ChannelFailing => "not delivered",
            Self::FiguresMissing => "figures missing",
            Self::ReviewOverdue => "review overdue",
            Self::ReviewDue => "review due",
            Self::NoData => "no data",
        }
    }
}

impl Condition {
    /// What follows the title of the subject, such as “is 27 h past its RPO”.
    pub fn clause(&self, now: Timestamp) -> String {
        match self {
            Self::NoCopy { .. } => "has no copy at all".to_owned(),
            Self::RestoreFailed { .. } => "failed its restore test".to_owned(),
            Self::NeverRestored { .. } => "has never been restored".to_owned(),
            Self::RpoOverdue { items, of, worst, rpo_s, .. } => match oldest(worst).map(|at| now.secs_since(at) - *rpo_s as f64) {
                Some(late) if items >= of && late > 0.0 => format!("is {} past its RPO", span(late.round())),
                _ => format!("has {} without a snapshot within its RPO", items_words(*items)),
            },
            Self::RtoBreached { rto_s, target_s, .. } => format!("is too slow by {}", span((rto_s - *target_s as f64).round())),
            Self::RunFailed { state: RunState::Interrupted, .. } => "had its last run interrupted".to_owned(),
            Self::RunFailed { .. } => "had a failed run".to_owned(),
            Self::RunPartial { .. } => "was backed up in part only".to_owned(),
            Self::NotChecked { .. } => "could not be checked in full".to_owned(),
            Self::ProofOld { at } => format!("was last tested {} ago", span(now.secs_since(*at).round())),
            Self::RepositoryDamaged { .. } => "is damaged".to_owned(),
            Self::RepositoryUnreachable { .. } => "cannot be reached".to_owned(),
            Self::RepositoryUnchecked { ever: false, .. } => "has never been checked".to_owned(),
            Self::RepositoryUnchecked { since, .. } => format!("was last checked {} ago", span(now.secs_since(*since).round())),
            Self::CredentialRefused { .. } => "does not let Holdfast in".to_owned(),
            Self::CredentialLacking { .. } => "has a credential that lacks something".to_owned(),
            Self::CredentialExpiring { expires_at, .. } => match expires_at.secs_since(now) {
                left if left > 0.0 => format!("has a credential that expires in {}", span(left.round())),
                over => format!("has a credential that expired {} ago", span((-over).round())),
            },
            Self::ClonesStand { clones: 1, .. } => "has a clone past its end".to_owned(),
            Self::ClonesStand { clones, .. } => format!("has {} clones past their end", count(*clones)),
            Self::ScheduleMissed { ever: false, .. } => "has never run".to_owned(),
            Self::ScheduleMissed { missed, .. } if *missed == 1 => "missed a run".to_owned(),
            Self::ScheduleMissed { missed, .. } => format!("missed {} runs", count(*missed)),
            Self::HoldStands { .. } => "is on hold".to_owned(),
            Self::ChannelFailing { .. } => "did not get a message".to_owned(),
            Self::FiguresMissing { .. } => "gets no figures of its availability".to_owned(),
            Self::ReviewOverdue { review, due } => format!("has an overdue {}, due on {due}", review.words()),
            Self::ReviewDue { review, due, .. } => format!("has a {} due {}", review.words(), in_days(*due, now)),
            Self::NoData => "has no data yet".to_owned(),
        }
    }

    /// One to three sentences with the figures, and what they mean.
    pub fn explain(&self, now: Timestamp) -> String {
        let ago = |at: &Timestamp| format!("{} ago", span(now.secs_since(*at).max(0.0).round()));
        match self {
            Self::NoCopy { since } => format!("There is not one snapshot since it was configured {}. Nothing could be brought back.", ago(since)),
            Self::RestoreFailed { at } => format!("The restore test of {} did not pass; its report names the check that failed.", ago(at)),
            Self::NeverRestored { items } => {
                let are = if *items == 1 { "1 item is".to_owned() } else { format!("{} items are", count(*items)) };
                format!("{are} backed up and not one was ever restored. The copies are known to exist, no more.")
            }
            Self::RpoOverdue { items, of, newest_at, rpo_s, worst } => overdue(*items, *of, *newest_at, *rpo_s, worst, now),
            Self::RtoBreached { rto_s, target_s, at } => {
                format!("The restore test of {} took {} against an RTO of {}.", ago(at), span(*rto_s), span(*target_s as f64))
            }
            Self::RunFailed { state, what, at, reason } => {
                let how = if *state == RunState::Interrupted { "was interrupted" } else { "failed" };
                format!("{what} {how} {}: {}", ago(at), sentence(reason))
            }
            Self::RunPartial { what, at, reason } => format!("{what} left something out {}: {}", ago(at), sentence(reason)),
            Self::NotChecked { at } => format!("The restore test of {} could not check everything, so it proves less than it was meant to.", ago(at)),
            Self::ProofOld { at } => {
                format!("The last restore test is {} old; what it proved holds for 90 d.", span(now.secs_since(*at).round()))
            }
            Self::RepositoryDamaged { at, reason } => format!("The check of {} found: {}", ago(at), sentence(reason)),
            Self::RepositoryUnreachable { at, reason } => format!("A run of {} could not use it: {}", ago(at), sentence(reason)),
            Self::RepositoryUnchecked { since, ever } => {
                let what = if *ever { "The last check of its structure is" } else { "It was never checked and is" };
                format!("{what} {} old; a check holds for 30 d.", span(now.secs_since(*since).round()))
            }
            Self::CredentialRefused { at, reason } => format!("It was tried {}: {}", ago(at), sentence(reason)),
            Self::CredentialLacking { at, reason } => format!("It was looked at {}: {}", ago(at), sentence(reason)),
            Self::CredentialExpiring { expires_at, .. } => {
                format!("Its end is on {}. Without a new one no instance is snapshotted from then on, and none is brought back.", date_of(*expires_at))
            }
            Self::ClonesStand { name, since, reason, .. } => {
                format!("{name} should have been deleted {} and takes room in the cloud still: {}", ago(since), sentence(reason))
            }
            Self::ScheduleMissed { missed, last_at, reason, ever } => {
                let what = if *ever { format!("{} without a run, the last one {}", ticks(*missed), ago(last_at)) } else { "It has not run once".to_owned() };
                format!("{what}: {}", sentence(reason))
            }
            Self::HoldStands { since, reason } => {
                format!(
                    "{} On hold for {}: nothing of it is forgotten until somebody decides.",
                    sentence(reason),
                    span(now.secs_since(*since).max(0.0).round())
                )
            }
            Self::ChannelFailing { at, recipient, answer } => {
                let to = if recipient.is_empty() { String::new() } else { format!(" to {recipient}") };
                format!("A message{to} was given up {}: {}", ago(at), sentence(answer))
            }
            Self::FiguresMissing { since, reason } => {
                format!("Fetching them has failed for {}: {}", span(now.secs_since(*since).max(0.0).round()), sentence(reason))
            }
            Self::ReviewOverdue { review, due } => format!(
                "The {} was due on {due}, {} ago. This stands until one is recorded, or somebody says why and until when none is needed.",
                review.words(),
                days(days_until(*due, date_of(now)))
            ),
            Self::ReviewDue { review, due, .. } => {
                format!("The {} is due on {due}, {}. Record it when it is done.", review.words(), in_days(*due, now))
            }
            Self::NoData => "Nothing was backed up yet, so nothing is known.".to_owned(),
        }
    }
}

fn overdue(items: i64, of: i64, newest_at: Option<Timestamp>, rpo_s: i64, worst: &[Late], now: Timestamp) -> String {
    let age = |at: Timestamp| span(now.secs_since(at).max(0.0).round());
    let rpo = span(rpo_s as f64);
    let first = match newest_at {
        Some(at) if now.secs_since(at) > rpo_s as f64 => format!("The newest snapshot is {} old; the RPO is {rpo}.", age(at)),
        _ => format!("{} of {} have no snapshot within the RPO of {rpo}.", count(items), items_words(of)),
    };
    let named: Vec<String> =
        worst.iter().map(|l| l.newest_at.map_or_else(|| format!("{} (never)", l.item), |at| format!("{} ({})", l.item, age(at)))).collect();
    let more = items - named.len() as i64;
    match named.as_slice() {
        [] => first,
        _ if more > 0 => format!("{first} The oldest: {} and {} more.", named.join(", "), count(more)),
        _ => format!("{first} The oldest: {}.", named.join(", ")),
    }
}

/// The oldest newest snapshot; `None` where an item has none at all.
fn oldest(worst: &[Late]) -> Option<Timestamp> {
    worst.first().and_then(|l| l.newest_at)
}

fn items_words(n: i64) -> String {
    if n == 1 { "1 item".to_owned() } else { format!("{} items", count(n)) }
}

fn ticks(n: i64) -> String {
    if n == 1 { "One run was due".to_owned() } else { format!("{} runs were due", count(n)) }
}

fn days(n: i64) -> String {
    if n == 1 { "1 day".to_owned() } else { format!("{} days", count(n)) }
}

fn in_days(due: Date, now: Timestamp) -> String {
    match days_until(date_of(now), due) {
        0 => "today".to_owned(),
        n => format!("in {}", days(n)),
    }
}

/// A reason as a sentence of its own.
fn sentence(reason: &str) -> String {
    let reason = reason.trim();
    if reason.is_empty() {
        return "no reason was recorded.".to_owned();
    }
    if reason.ends_with(['.', '!', '?', '…']) { reason.to_owned() } else { format!("{reason}.") }
}
