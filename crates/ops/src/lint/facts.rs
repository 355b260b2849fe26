//! What the linter is told of a service, read from the records.
//!
//! Lives here: collecting, and the longest time between two starts of schedules together. May not: judging (`domain::lint`).
//! Everything is read through one connection, so that an approval judges what its own transaction sees.

use std::collections::BTreeMap;

use domain::{
    availability::{self, Month},
    evidence::Verdict,
    id::ServiceId,
    lint::facts::{Change, Facts, How, Interval, Measure, Measured, Plan, Rating, Review, Risk, Source, Span, Targets, Tested},
    plan::{PlanContent, Procedure},
    review::date_of,
    risk::proof::State as Proof,
    units::Timestamp,
};
use store::{
    Tx, availability as figures,
    changes::{self, ChangeRow},
    exercises,
    plans::{self, VersionRow},
    restore_tests::{self, Filter, RestoreTestRow},
    reviews,
    schedules::{self, ScheduleRow},
    services::ServiceRow,
    sources::{self, SourceRow},
};
use uuid::Uuid;

use super::Seen;
use crate::{Result, cron, risks::PlanRisk};

/// Schedules of one service, and backups of it, that are looked at.
const MOST_SCHEDULES: i64 = 200;
const MOST_COPIES: i64 = 20_000;
/// Exercises among which the newest one that ended is looked for.
const MOST_EXERCISES: i64 = 50;
/// How far ahead schedules are looked at: days, and starts of each.
const AHEAD_S: i64 = 400 * 86_400;
const MOST_STARTS: usize = 2_000;
/// How far back copies are looked at.
const BACK_S: i64 = 30 * 86_400;

pub(super) async fn collect(mut tx: Tx<'_>, service: &ServiceRow, seen: Seen, now: Timestamp) -> Result<Facts> {
    let id = service.id();
    let approved = plans::approved(tx.by_ref(), id).await?;
    let open = seen.open(tx.by_ref(), id).await?;
    let plan = open.as_ref().or(approved.as_ref()).map(plan);
    let approved_at = approved.as_ref().and_then(|v| v.approved_at).map(Timestamp);
    let mut changed = Vec::new();
    if let Some(since) = approved_at {
        changed = changes::since(tx.by_ref(), id, since).await?.into_iter().filter_map(|c| change(&c, since)).collect();
        changed.sort_by(|a, b| (a.at, &a.name).cmp(&(b.at, &b.name)));
        if let (Some(old), Some(new)) = (&approved, &open) {
            changed.extend(procedures(&old.content.procedures, &new.content.procedures, Timestamp(new.updated_at)));
        }
    }
    let test = restore_tests::page(tx.by_ref(), &Filter { service: Some(id), ..Filter::default() }, (Timestamp(i64::MAX), Uuid::max()), 1).await?.pop();
    let test = newer(test.as_ref().map(tested), exercised(tx.by_ref(), id).await?);
    let mut reviewed = Vec::new();
    for r in reviews::of_service(tx.by_ref(), service).await? {
        if r.exempt_until.is_none_or(|until| until < date_of(now)) {
            reviewed.push(Review { what: r.kind.words().to_owned(), due: r.due });
        }
    }
    let agreed = plan.as_ref().map(|p: &Plan| p.agreed).unwrap_or_default();
    Ok(Facts {
        now,
        today: date_of(now),
        promised: Targets { mtpod_s: service.mtpod_s, rto_s: service.rto_s, rpo_s: service.rpo_s },
        plan,
        approved_at,
        sources: sources_of(tx.by_ref(), service, now).await?,
        test,
        test_within_s: None,
        deployed: changes::deployed(tx.by_ref(), id).await?.map(|c| described(&c, c.created_at)),
        changes: changed,
        reviews: Some(reviewed),
        months: Some(months(tx.by_ref(), service, &agreed, now).await?),
        risks: Some(crate::risks::of_plan(tx, service, now).await?.into_iter().map(risk).collect()),
    })
}

fn plan(row: &VersionRow) -> Plan {
    let c: &PlanContent = &row.content;
    Plan {
        number: row.number,
        targets: Targets { mtpod_s: c.mtpod_s, rto_s: c.rto_s, rpo_s: c.rpo_s },
        procedures: c.procedures.iter().filter(|p| !p.link.trim().is_empty() || !p.text.trim().is_empty()).count(),
        contact: c.contact.clone(),
        support_unit: c.support_unit.clone(),
        agreed: availability::Targets { availability: c.performance.availability, reliability: c.performance.reliability },
    }
}

fn tested(t: &RestoreTestRow) -> Tested {
    let named = |verdict: Verdict| t.checks.iter().filter(|c| c.verdict == verdict).map(|c| c.name.clone()).collect();
    Tested {
        at: Timestamp(t.started_at),
        verdict: Verdict::parse(&t.verdict).unwrap_or(Verdict::Unknown),
        rto_s: t.rto_s,
        rpo_s: t.rpo_s,
        failed: named(Verdict::Failed),
        unknown: named(Verdict::Unknown),
    }
}

/// The newest exercise that came to an end, also one that was imported: people have shown it then.
async fn exercised(tx: Tx<'_>, service: ServiceId) -> Result<Option<Tested>> {
    let newest = exercises::page(tx, Some(service), (Timestamp(i64::MAX), Uuid::max()), MOST_EXERCISES).await?;
    Ok(newest.into_iter().find_map(|e| {
        let verdict = Verdict::parse(e.verdict.as_deref()?)?;
        Some(Tested { at: Timestamp(e.started_at), verdict, rto_s: e.rto_s, rpo_s: None, failed: Vec::new(), unknown: Vec::new() })
    }))
}

fn newer(one: Option<Tested>, other: Option<Tested>) -> Option<Tested> {
    one.into_iter().chain(other).max_by_key(|t| t.at)
}

/// What a row tells of a change; something that came and went since tells nothing.
fn change(row: &ChangeRow, since: Timestamp) -> Option<Change> {
    (row.removed_at.is_none() || row.created_at <= since.0).then(|| described(row, since.0))
}

/// What was made after `since` was added.
fn described(row: &ChangeRow, since: i64) -> Change {
    let how = match row.removed_at {
        Some(_) => How::Removed,
        None if row.created_at > since || row.created_at == row.updated_at => How::Added,
        None => How::Changed,
    };
    let of = match row.kind.as_str() {
        "source" => "source",
        "schedule" => "schedule",
        "policy" => "policy",
        _ => "service",
    };
    Change { of, name: row.name.clone(), how, at: row.at() }
}

/// What became of procedures from one version to another, by their titles.
fn procedures(old: &[Procedure], new: &[Procedure], at: Timestamp) -> Vec<Change> {
    let change = |p: &Procedure, how| Change { of: "procedure", name: p.title.clone(), how, at };
    let same = |a: &Procedure, b: &Procedure| a.title == b.title;
    let mut found: Vec<Change> = old.iter().filter(|o| !new.iter().any(|n| same(o, n))).map(|p| change(p, How::Removed)).collect();
    for n in new.iter().filter(|n| !old.contains(n)) {
        found.push(change(n, if old.iter().any(|o| same(o, n)) { How::Changed } else { How::Added }));
    }
    found
}

async fn sources_of(mut tx: Tx<'_>, service: &ServiceRow, now: Timestamp) -> Result<Vec<Source>> {
    let mut rows = Vec::new();
    for id in changes::schedules(tx.by_ref(), service.id(), MOST_SCHEDULES).await? {
        rows.extend(schedules::find(tx.by_ref(), domain::id::ScheduleId(id)).await?);
    }
    let since = now.plus_secs(-BACK_S);
    let mut copies: BTreeMap<Uuid, Vec<Timestamp>> = BTreeMap::new();
    for (source, at) in changes::copied(tx.by_ref(), service.id(), since, MOST_COPIES).await? {
        copies.entry(source).or_default().push(Timestamp(at));
    }
    let all = sources::of_service(tx, service.id()).await?;
    Ok(all.into_iter().map(|s| source(&s, &rows, copies.remove(&s.id).unwrap_or_default(), since, now)).collect())
}

fn source(row: &SourceRow, schedules: &[ScheduleRow], copies: Vec<Timestamp>, since: Timestamp, now: Timestamp) -> Source {
    let mine = schedules.iter().filter(|s| s.source_id.is_none_or(|id| id == row.id));
    let (paused, active): (Vec<&ScheduleRow>, Vec<&ScheduleRow>) = mine.partition(|s| s.pause().is_some_and(|p| p.until.is_none() && p.covers(now)));
    let beats: Vec<Beat<'_>> = active.into_iter().map(Beat::from).collect();
    let interval = interval(&beats, now);
    let watched = interval.is_some() || !copies.is_empty();
    Source {
        name: row.name.clone(),
        measured: watched.then(|| longest(copies, since.max(Timestamp(row.created_at)), now)).flatten(),
        interval,
        paused: paused.into_iter().map(|s| s.name.clone()).collect(),
    }
}

/// The longest time without a copy from `since` to `now`.
fn longest(mut copies: Vec<Timestamp>, since: Timestamp, now: Timestamp) -> Option<Span> {
    copies.sort_unstable();
    let starts = std::iter::once(since).chain(copies.iter().copied());
    let ends = copies.iter().copied().map(Some).chain([None]);
    let spans = starts.zip(ends).map(|(from, until)| Span { s: until.unwrap_or(now).as_secs() - from.as_secs(), from, until });
    spans.filter(|s| s.s > 0).max_by_key(|s| s.s)
}

/// When a schedule starts.
#[derive(Clone, Copy, Debug)]
struct Beat<'a> {
    name: &'a str,
    cron: &'a str,
    zone: &'a str,
    jitter_s: i64,
}

impl<'a> From<&'a ScheduleRow> for Beat<'a> {
    fn from(s: &'a ScheduleRow) -> Self {
        Self { name: &s.name, cron: &s.cron, zone: &s.zone, jitter_s: s.jitter_s }
    }
}

/// The longest time between two starts of these schedules together.
fn interval(schedules: &[Beat<'_>], now: Timestamp) -> Option<Interval> {
    let (mut starts, mut end) = (Vec::new(), now.plus_secs(AHEAD_S));
    for s in schedules {
        let (Ok(cron), Some(zone)) = (cron::Cron::parse(s.cron), cron::zone(s.zone)) else { continue };
        let ahead: Vec<Timestamp> = cron.after(now, &zone).take(MOST_STARTS).take_while(|t| *t <= end).collect();
        if let Some(last) = ahead.last().filter(|_| ahead.len() == MOST_STARTS) {
            end = *last;
        }
        // One that comes less than twice in that time, such as on a leap day.
        starts.extend(if ahead.len() < 2 && schedules.len() == 1 { cron.after(now, &zone).take(2).collect() } else { ahead });
    }
    if schedules.len() > 1 {
        starts.retain(|t| *t <= end);
    }
    starts.sort_unstable();
    starts.dedup();
    let jitter = schedules.iter().map(|s| s.jitter_s).max().unwrap_or(0);
    let longest = starts.windows(2).map(|w| (w[1].as_secs() - w[0].as_secs(), w[0])).max_by_key(|(s, _)| *s);
    // Where they start less than twice, nothing is copied in that time.
    let (s, from) = longest.or_else(|| starts.first().map(|from| (AHEAD_S, *from)))?;
    Some(Interval { s: s + jitter, from, by: schedules.iter().map(|s| s.name.to_owned()).collect() })
}

/// The months that are over and of which something is known.
async fn months(mut tx: Tx<'_>, service: &ServiceRow, agreed: &availability::Targets, now: Timestamp) -> Result<Vec<Measured>> {
    let Some((first, _)) = figures::span(tx.by_ref(), service.id()).await? else { return Ok(Vec::new()) };
    let last = Month::of(now).back(1);
    let recorded = figures::months(tx.by_ref(), service.id(), first, last).await?;
    let notes = figures::notes(tx, service.id(), first, last).await?;
    let series = availability::series(recorded, notes, agreed, first, last);
    Ok(series.iter().filter(|m| m.shown().is_some()).map(|m| Measured { month: m.month, figures: m.figures(), explained: m.note.is_some() }).collect())
}

fn risk(r: PlanRisk) -> Risk {
    let lacks = |field: &str| r.incomplete.iter().any(|f| f == field);
    let all = [("treatment", "treatment"), ("owner", "owner"), ("due", "due date")];
    Risk {
        lacks: all.into_iter().filter(|(field, _)| lacks(field)).map(|(_, words)| words).collect(),
        above_threshold: !r.incomplete.is_empty(),
        number: r.number.to_string(),
        measures: r
            .measures
            .into_iter()
            .map(|m| Measure { red: (m.state == Proof::Red).then(|| format!("“{}”: {}", m.text, m.proof)), text: m.text })
            .collect(),
        rating: Rating { likelihood: r.likelihood, impact: r.impact, level: r.level },
        stated: r.stated_level,
        title: r.description,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2021-02-25 08:42 UTC, a Thursday.
    const NOW: Timestamp = Timestamp::from_secs(1_614_242_520);
    const HOUR: i64 = 3_600;
    const DAY: i64 = 86_400;

    fn gap(all: &[(&str, &str, i64)]) -> Option<i64> {
        let beats: Vec<Beat<'_>> = all.iter().map(|(cron, zone, jitter_s)| Beat { name: "s", cron, zone, jitter_s: *jitter_s }).collect();
        interval(&beats, NOW).map(|i| i.s)
    }

    #[test]
    fn the_real_interval_is_the_longest_one() {
        for (all, want) in [
            (vec![("15 1 * * *", "UTC", 0)], Some(DAY)),
            (vec![("15 1 * * *", "UTC", 900)], Some(DAY + 900)),
            // The night in which the clock is set back.
            (vec![("15 1 * * *", "Europe/Prague", 0)], Some(DAY + HOUR)),
            // Friday to Monday.
            (vec![("0 2 * * 1-5", "UTC", 0)], Some(3 * DAY)),
            (vec![("0 8-18 * * *", "UTC", 0)], Some(14 * HOUR)),
            (vec![("*/5 * * * *", "UTC", 0)], Some(300)),
            // Two together.
            (vec![("0 2 * * 1-5", "UTC", 0), ("0 2 * * 6", "UTC", 0)], Some(2 * DAY)),
            (vec![("*/5 * * * *", "UTC", 0), ("0 0 1 1 *", "UTC", 0)], Some(300)),
            (vec![("0 0 1 1 *", "UTC", 0)], Some(365 * DAY)),
            (vec![("0 0 29 2 *", "UTC", 0)], Some(1_461 * DAY)),
            (vec![], None),
        ] {
            assert_eq!(gap(&all), want, "{all:?}");
        }
    }

    #[test]
    fn the_longest_time_without_a_copy() {
        let at = |d: i64| NOW.plus_secs(-d * DAY);
        let of = |copies: &[i64]| longest(copies.iter().map(|d| at(*d)).collect(), at(10), NOW).map(|s| (s.s / DAY, s.until.is_some()));
        for (copies, want) in [
            (&[9, 8, 7, 2, 1][..], Some((5, true))),
            (&[9, 8], Some((8, false))),
            (&[1], Some((9, true))),
            (&[], Some((10, false))),
            (&[10, 5, 6], Some((5, false))),
        ] {
            assert_eq!(of(copies), want, "{copies:?}");
        }
    }

    #[test]
    fn procedures_are_compared_by_their_titles() {
        let p = |title: &str, text: &str| Procedure { title: title.into(), text: text.into(), ..Procedure::default() };
        let (old, new) = ([p("a", "1"), p("b", "1"), p("c", "1")], [p("a", "1"), p("b", "2"), p("d", "1")]);
        let found: Vec<_> = procedures(&old, &new, NOW).into_iter().map(|c| (c.name, c.how)).collect();
        assert_eq!(found, [("c".into(), How::Removed), ("b".into(), How::Changed), ("d".into(), How::Added)]);
    }
}
