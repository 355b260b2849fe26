//! Which snapshots of one item are kept, and why (R16).
//!
//! Lives here: the rules, the decision on one item's snapshots with a reason for each. May not: removing anything,
//! reading the zone database (the caller gives the zone).
//!
//! The keep rules mean what they mean to restic: newest first, each rule keeps the newest snapshot of each of its
//! periods while it has counts left, and the oldest of all where counts are left over. What is added to that:
//! - Partial snapshots are judged apart from complete ones, so that they never take the place of a complete one.
//! - `max_snapshots` cuts what the rules keep, the oldest first.
//! - The newest complete snapshot, the last verified good one, whatever is on hold and what a restore takes from now
//!   are never forgotten; nor is the safety snapshot of a restore in place for [`SAFETY_DAYS`].
//!
//! Invariant: the decision depends on nothing but its arguments. One item's snapshots come in one call; host names
//! play no part.

mod rules;

use std::collections::HashSet;

use jiff::tz::TimeZone;

pub use self::rules::{BadWithin, Period, Rules, Within};
use crate::units::Timestamp;

/// So long the safety snapshot that was taken before a restore in place is kept, whatever the rules say: it alone holds
/// what the restore replaced.
pub const SAFETY_DAYS: i64 = 30;

/// A snapshot as the rules see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Breaks ties between snapshots of one moment, so that the decision is the same each time: the greater first.
    pub id: String,
    pub taken_at: Timestamp,
    /// All of the item was read.
    pub complete: bool,
    pub tags: Vec<String>,
    /// When it was last proven that it can be read or restored.
    pub verified_at: Option<Timestamp>,
    /// A hold that stands covers it.
    pub held: bool,
    /// A restore that has not ended takes from it.
    pub in_use: bool,
    /// It was taken before a restore in place.
    pub safety: bool,
}

/// Why a snapshot is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The policy has no keep rule.
    NoRule,
    /// It carries all tags of an entry of `keep_tags`.
    Tags(String),
    /// It is younger than `keep_within`.
    Within(Within),
    /// The `nth` of `of` that this rule keeps.
    Count {
        period: Period,
        nth: u32,
        of: u32,
    },
    /// The oldest of all, while the rule has counts left.
    Oldest {
        period: Period,
        nth: u32,
        of: u32,
    },
    /// The newest of its period, within a span of time.
    PeriodWithin {
        period: Period,
        within: Within,
    },
    /// The oldest of all, within a span of time.
    OldestWithin {
        period: Period,
        within: Within,
    },
    NewestComplete,
    LastVerified,
    Held,
    InUse,
    /// A safety snapshot that is younger than [`SAFETY_DAYS`].
    Safety,
}

impl Reason {
    /// Whether it is one that stock restic's `forget` knows.
    pub const fn is_of_restic(&self) -> bool {
        !matches!(self, Self::NewestComplete | Self::LastVerified | Self::Held | Self::InUse | Self::Safety)
    }

    /// Whether no maximum may cut it.
    const fn is_firm(&self) -> bool {
        matches!(self, Self::Tags(_) | Self::NewestComplete | Self::LastVerified | Self::Held | Self::InUse | Self::Safety)
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoRule => f.write_str("no rule limits it"),
            Self::Tags(tags) => write!(f, "has the tag {tags}"),
            Self::Within(within) => write!(f, "within {within} of the newest"),
            Self::Count { period, nth, of } => write!(f, "{}, {nth} of {of}", period.adjective()),
            Self::Oldest { period, nth, of } => write!(f, "the oldest, {}, {nth} of {of}", period.adjective()),
            Self::PeriodWithin { period, within } => write!(f, "{}, within {within} of the newest", period.adjective()),
            Self::OldestWithin { period, within } => write!(f, "the oldest, {}, within {within} of the newest", period.adjective()),
            Self::NewestComplete => f.write_str("the newest complete one"),
            Self::LastVerified => f.write_str("the last one that was verified"),
            Self::Held => f.write_str("on hold"),
            Self::InUse => f.write_str("a restore that is under way needs it"),
            Self::Safety => write!(f, "taken before a restore in place, kept for {SAFETY_DAYS} days"),
        }
    }
}

/// Why a snapshot is forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// A newer one is kept for the same hour, day, week, month or year.
    NewerOfPeriod(Period),
    /// Outside of all that the rules keep.
    BeyondRules,
    /// The rules keep it, but only so many may stay.
    OverMaximum(u32),
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NewerOfPeriod(period) => write!(f, "a newer one stands for the same {}", period.noun()),
            Self::BeyondRules => f.write_str("no rule keeps it any more"),
            Self::OverMaximum(most) => write!(f, "over max_snapshots = {most}"),
        }
    }
}

/// What is decided on one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Kept, for at least one reason.
    Keep(Vec<Reason>),
    Forget(Why),
}

impl Decision {
    pub const fn is_kept(&self) -> bool {
        matches!(self, Self::Keep(_))
    }

    /// The reasons in words.
    pub fn words(&self) -> String {
        match self {
            Self::Keep(reasons) => reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            Self::Forget(why) => why.to_string(),
        }
    }
}

/// Decides on the snapshots of **one item**; the answer is in the order of `snapshots`.
///
/// `zone` says where a day begins. A snapshot from the future (a clock that was wrong) is kept by the rules like any
/// other, but spans of time are not measured from it.
pub fn decide(rules: &Rules, zone: &TimeZone, now: Timestamp, snapshots: &[Candidate]) -> Vec<Decision> {
    let mut order: Vec<usize> = (0..snapshots.len()).collect();
    order.sort_by(|a, b| {
        let (a, b) = (&snapshots[*a], &snapshots[*b]);
        b.taken_at.cmp(&a.taken_at).then_with(|| b.id.cmp(&a.id))
    });
    let mut decisions: Vec<Option<Decision>> = vec![None; snapshots.len()];
    let protected = protected(&order, snapshots, now);
    for complete in [true, false] {
        let line: Vec<usize> = order.iter().copied().filter(|i| snapshots[*i].complete == complete).collect();
        let mut judged = by_rules(rules, zone, now, &line, snapshots);
        for (nth, index) in line.iter().enumerate() {
            let firm = protected.iter().filter(|(i, _)| i == index).map(|(_, reason)| reason.clone());
            judged[nth] = with(judged[nth].clone(), firm.collect());
        }
        cut(rules.max_snapshots, &mut judged);
        for (index, decision) in line.into_iter().zip(judged) {
            decisions[index] = Some(decision);
        }
    }
    decisions.into_iter().map(|d| d.unwrap_or_else(|| Decision::Keep(vec![Reason::NoRule]))).collect()
}

/// What no rule may forget. `order` is newest first.
fn protected(order: &[usize], snapshots: &[Candidate], now: Timestamp) -> Vec<(usize, Reason)> {
    let mut out = Vec::new();
    if let Some(newest) = order.iter().find(|i| snapshots[**i].complete) {
        out.push((*newest, Reason::NewestComplete));
    }
    let verified = |complete: bool| order.iter().find(|i| snapshots[**i].verified_at.is_some() && (snapshots[**i].complete || !complete));
    if let Some(good) = verified(true).or_else(|| verified(false)) {
        out.push((*good, Reason::LastVerified));
    }
    out.extend(order.iter().filter(|i| snapshots[**i].held).map(|i| (*i, Reason::Held)));
    out.extend(order.iter().filter(|i| snapshots[**i].in_use).map(|i| (*i, Reason::InUse)));
    let since = now.plus_secs(-SAFETY_DAYS * 86_400);
    out.extend(order.iter().filter(|i| snapshots[**i].safety && snapshots[**i].taken_at > since).map(|i| (*i, Reason::Safety)));
    out
}

fn with(decision: Decision, mut more: Vec<Reason>) -> Decision {
    match decision {
        Decision::Keep(mut reasons) => {
            reasons.append(&mut more);
            Decision::Keep(reasons)
        }
        Decision::Forget(why) if more.is_empty() => Decision::Forget(why),
        Decision::Forget(_) => Decision::Keep(more),
    }
}

/// Forgets the oldest of what is kept until no more than `most` stay, or only what must not go is left.
fn cut(most: u32, judged: &mut [Decision]) {
    if most == 0 {
        return;
    }
    let mut over = judged.iter().filter(|d| d.is_kept()).count().saturating_sub(most as usize);
    for decision in judged.iter_mut().rev() {
        if over == 0 {
            return;
        }
        if matches!(decision, Decision::Keep(reasons) if !reasons.iter().any(Reason::is_firm)) {
            *decision = Decision::Forget(Why::OverMaximum(most));
            over -= 1;
        }
    }
}

/// A rule that counts periods, and how far it is.
struct Counting {
    period: Period,
    of: u32,
    kept: u32,
    last: Option<i64>,
}

/// What the keep rules alone say of `line`, which is newest first.
fn by_rules(rules: &Rules, zone: &TimeZone, now: Timestamp, line: &[usize], snapshots: &[Candidate]) -> Vec<Decision> {
    if !rules.keeps() {
        return line.iter().map(|_| Decision::Keep(vec![Reason::NoRule])).collect();
    }
    let latest = line.iter().map(|i| snapshots[*i].taken_at).filter(|at| *at < now).max();
    let since = |within: Within| latest.map_or(Timestamp(i64::MIN), |latest| within.before(latest, zone));
    let mut counts: Vec<Counting> = rules.counts().into_iter().map(|(period, of)| Counting { period, of, kept: 0, last: None }).collect();
    let mut spans: Vec<(Period, Within, Timestamp, Option<i64>)> =
        rules.spans().into_iter().map(|(period, within)| (period, within, since(within), None)).collect();
    let within = rules.keep_within.map(|w| (w, since(w)));

    let mut out = Vec::with_capacity(line.len());
    for (nth, index) in line.iter().enumerate() {
        let snapshot = &snapshots[*index];
        let oldest = nth + 1 == line.len();
        let tags: HashSet<&str> = snapshot.tags.iter().map(String::as_str).collect();
        let mut reasons = Vec::new();
        let mut stands = None;
        for entry in &rules.keep_tags {
            if entry.split(',').all(|tag| tags.contains(tag.trim())) {
                reasons.push(Reason::Tags(entry.clone()));
            }
        }
        if let Some((w, since)) = within
            && snapshot.taken_at > since
        {
            reasons.push(Reason::Within(w));
        }
        for rule in &mut counts {
            if rule.kept == rule.of {
                continue;
            }
            let number = rule.period.number(snapshot.taken_at, zone, nth);
            let same = rule.last == Some(number);
            if same && !oldest {
                stands.get_or_insert(rule.period);
                continue;
            }
            rule.last = Some(number);
            rule.kept += 1;
            let (period, nth, of) = (rule.period, rule.kept, rule.of);
            reasons.push(if same { Reason::Oldest { period, nth, of } } else { Reason::Count { period, nth, of } });
        }
        for (period, within, since, last) in &mut spans {
            if snapshot.taken_at <= *since {
                continue;
            }
            let number = period.number(snapshot.taken_at, zone, nth);
            let same = *last == Some(number);
            if same && !oldest {
                stands.get_or_insert(*period);
                continue;
            }
            *last = Some(number);
            let (period, within) = (*period, *within);
            reasons.push(if same { Reason::OldestWithin { period, within } } else { Reason::PeriodWithin { period, within } });
        }
        out.push(match (reasons.is_empty(), stands) {
            (false, _) => Decision::Keep(reasons),
            (true, Some(period)) => Decision::Forget(Why::NewerOfPeriod(period)),
            (true, None) => Decision::Forget(Why::BeyondRules),
        });
    }
    out
}
