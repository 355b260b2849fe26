//! How a service stands, in shape, word and sentence.
//!
//! Lives here: words for the findings of `domain::standing`. May not: judging, actions.

use domain::{
    evidence::EvidenceLevel,
    run::RunState,
    standing::{Day, Finding, Gravity},
    units::{self, Timestamp, count},
};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use ops::overview::Standing;

use super::{
    status::{Tone, chip},
    strip,
    time::short,
};

/// A span that no line breaks apart.
fn span(seconds: f64) -> String {
    units::span(seconds).replace(' ', "\u{a0}")
}

pub const fn tone(finding: Option<Finding>) -> Tone {
    match finding {
        None => Tone::Ok,
        Some(Finding::OnHold { .. }) => Tone::Hold,
        Some(f) => match f.gravity() {
            Gravity::Broken => Tone::Fail,
            Gravity::AtRisk => Tone::Warn,
            Gravity::Unknown => Tone::None,
        },
    }
}

pub fn standing_chip(finding: Option<Finding>) -> AnyView {
    chip(tone(finding), finding.map_or("in order", Finding::name))
}

/// What follows the name of a service in a sentence, such as “is 27 h past its RPO”.
pub fn clause(finding: Finding, now: Timestamp) -> String {
    match finding {
        Finding::NoCopy => "has no copy at all".to_owned(),
        Finding::OnHold { holds: 1, .. } => "has changed more than is usual and waits for a decision".to_owned(),
        Finding::OnHold { holds, .. } => format!("has {} holds that wait for a decision", count(holds)),
        Finding::RestoreFailed { .. } => "failed its restore test".to_owned(),
        Finding::NeverRestored => "has never been restored".to_owned(),
        Finding::RpoOverdue { age_s, rpo_s, .. } if age_s > rpo_s as f64 => format!("is {} past its RPO", span((age_s - rpo_s as f64).round())),
        Finding::RpoOverdue { items, .. } => format!("has {} without a copy within its RPO", items_words(items)),
        Finding::RtoBreached { rto_s, target_s, .. } => format!("is too slow by {}", span((rto_s - target_s as f64).round())),
        Finding::RunFailed { state: RunState::Interrupted, .. } => "had its last run interrupted".to_owned(),
        Finding::RunFailed { .. } => "had a failed run".to_owned(),
        Finding::NotChecked { .. } => "could not be checked in full".to_owned(),
        Finding::RunPartial { .. } => "was backed up in part only".to_owned(),
        Finding::ProofOld { at } => format!("was last tested {} ago", span(now.secs_since(at).round())),
        Finding::NoData => "has no data yet".to_owned(),
    }
}

/// One or two sentences with the figures behind a finding.
pub fn explain(finding: Finding, s: &Standing, now: Timestamp, zone: &TimeZone) -> String {
    let newest = s.facts.last_snapshot_at.map_or_else(String::new, |at| format!(" The newest snapshot is {} old.", span(now.secs_since(at).max(0.0).round())));
    match finding {
        Finding::NoCopy => "A run has ended and there is not one snapshot. Nothing could be brought back.".to_owned(),
        Finding::OnHold { holds, since } => {
            let what = if holds == 1 { "What a snapshot changed is".to_owned() } else { format!("What snapshots changed in {} cases is", count(holds)) };
            format!("{what} out of the ordinary since {}. Nothing of it is forgotten and prunes pause until a person has decided.", short(since, now, zone))
        }
        Finding::RestoreFailed { at } => format!("The restore test of {} did not pass; its report names the check that failed.", short(at, now, zone)),
        Finding::NeverRestored => {
            format!("{} backed up and not one was ever restored. The copies are known to exist, no more.", crate::error::upper(&are(s.facts.items)))
        }
        Finding::RpoOverdue { age_s, rpo_s, .. } if age_s > rpo_s as f64 => {
            format!("The newest snapshot is {} old; the RPO is {}.", span(age_s.round()), span(rpo_s as f64))
        }
        Finding::RpoOverdue { items, of, rpo_s, .. } => {
            format!("{} of {} have no snapshot within the RPO of {}.", count(items), items_words(of), span(rpo_s as f64))
        }
        Finding::RtoBreached { rto_s, target_s, at } => {
            format!("The restore test of {} took {} against an RTO of {}.", short(at, now, zone), span(rto_s), span(target_s as f64))
        }
        Finding::RunFailed { state, at } => {
            let how = if state == RunState::Interrupted { "was interrupted" } else { "failed" };
            format!("The run of {} {how}.{newest}", short(at, now, zone))
        }
        Finding::NotChecked { at } => {
            format!("The restore test of {} could not check everything, so it proves no more than “{}”.", short(at, now, zone), s.evidence.words())
        }
        Finding::RunPartial { at } => format!("The run of {} left something out; it names each file.{newest}", short(at, now, zone)),
        Finding::ProofOld { at } => {
            format!("The last restore test is {} old; what it proved holds for 90 d.", span(now.secs_since(at).round()))
        }
        Finding::NoData => "Nothing was backed up yet, so nothing is known.".to_owned(),
    }
}

fn items_words(n: i64) -> String {
    if n == 1 { "1 item".to_owned() } else { format!("{} items", count(n)) }
}

fn are(n: i64) -> String {
    if n == 1 { "1 item is".to_owned() } else { format!("{} items are", count(n)) }
}

/// The strip of 30 days with its words.
pub fn days_strip(name: &str, days: &[Day]) -> AnyView {
    let n = DayCounts::of(days);
    let words = if n.no_data == days.len() {
        format!("{name}: no data for {} days", days.len())
    } else {
        format!(
            "{name}, {} days: {} kept, {} partial or late, {} failed, {} never ran, {} without data",
            days.len(),
            n.kept,
            n.late,
            n.failed,
            n.missed,
            n.no_data
        )
    };
    strip::strip(&days.iter().map(|d| day_tone(*d)).collect::<Vec<_>>(), &words)
}

pub fn days_legend() -> AnyView {
    strip::legend(&[
        (Tone::Ok, "complete"),
        (Tone::Warn, "partial, or after a failure"),
        (Tone::Fail, "failed"),
        (Tone::Hold, "never ran"),
        (Tone::None, "no data"),
    ])
}

const fn day_tone(day: Day) -> Tone {
    match day {
        Day::NoData => Tone::None,
        Day::Kept => Tone::Ok,
        Day::Late => Tone::Warn,
        Day::Failed => Tone::Fail,
        Day::Missed => Tone::Hold,
    }
}

/// How many days of a strip went which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayCounts {
    pub kept: usize,
    pub late: usize,
    pub failed: usize,
    pub missed: usize,
    pub no_data: usize,
}

impl DayCounts {
    pub fn of(days: &[Day]) -> Self {
        let n = |day: Day| days.iter().filter(|d| **d == day).count();
        Self { kept: n(Day::Kept), late: n(Day::Late), failed: n(Day::Failed), missed: n(Day::Missed), no_data: n(Day::NoData) }
    }
}

/// The levels that a filter offers, with their words.
pub fn levels() -> impl Iterator<Item = (&'static str, &'static str)> {
    EvidenceLevel::ALL.into_iter().skip(1).map(|l| (l.as_str(), l.words()))
}
