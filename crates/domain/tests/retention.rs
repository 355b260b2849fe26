//! Retention: golden files of histories with each snapshot's reasons, and what holds for every history.
//!
//! That the keep rules agree with stock restic is tested with restic itself, in the engine's tests.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write as _;

use domain::{
    retention::{Candidate, Decision, Reason, Rules, decide},
    units::Timestamp,
};
use jiff::tz::TimeZone;

fn zone(name: &str) -> TimeZone {
    if name.is_empty() { TimeZone::UTC } else { TimeZone::get(name).unwrap() }
}

fn at(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
}

fn one(taken_at: Timestamp) -> Candidate {
    Candidate { id: format!("{:016x}", taken_at.0), taken_at, complete: true, tags: vec![], verified_at: None, held: false, in_use: false, safety: false }
}

/// Snapshots every `step` hours, `n` of them, the last at `end`.
fn every(step: i64, n: i64, end: &str) -> Vec<Candidate> {
    (0..n).map(|i| one(at(end).plus_secs(-i * step * 3_600))).collect()
}

/// The decisions as a table, in the local time of the rules. Runs of forgotten ones become one line where `brief`.
fn table(rules: &Rules, now: &str, all: &[Candidate], brief: bool) -> String {
    let zone = zone(&rules.time_zone);
    let decisions = decide(rules, &zone, at(now), all);
    let mut rows: Vec<(&Candidate, Decision)> = all.iter().zip(decisions).collect();
    rows.sort_by(|a, b| (b.0.taken_at, &b.0.id).cmp(&(a.0.taken_at, &a.0.id)));
    let mut out = format!("{}\n\n", rules.words());
    let mut skipped = 0;
    for (c, d) in rows {
        if brief && !d.is_kept() {
            skipped += 1;
            continue;
        }
        if skipped > 0 {
            writeln!(out, "{:<26} {skipped} forgotten", "").unwrap();
            skipped = 0;
        }
        let local = jiff::Timestamp::from_microsecond(c.taken_at.0).unwrap().to_zoned(zone.clone());
        let mut marks = String::new();
        for (is, mark) in [(!c.complete, "partial "), (c.verified_at.is_some(), "verified "), (c.held, "held "), (c.in_use, "in use ")] {
            if is {
                marks.push_str(mark);
            }
        }
        let word = if d.is_kept() { "keep" } else { "forget" };
        writeln!(out, "{:<26} {word:<6} {marks}{}{}", local.strftime("%a %F %T %:z").to_string(), if marks.is_empty() { "" } else { "| " }, d.words()).unwrap();
    }
    if skipped > 0 {
        writeln!(out, "{:<26} {skipped} forgotten", "").unwrap();
    }
    out
}

#[test]
fn hours_days_and_the_newest() {
    let rules = Rules { keep_last: 2, keep_hourly: 4, keep_daily: 3, ..Rules::default() };
    insta::assert_snapshot!(table(&rules, "2026-03-04T12:00:00Z", &every(3, 30, "2026-03-04T10:30:00Z"), false));
}

#[test]
fn years_of_a_daily_backup() {
    let rules = Rules { keep_daily: 7, keep_weekly: 5, keep_monthly: 12, keep_yearly: 3, ..Rules::default() };
    insta::assert_snapshot!(table(&rules, "2026-03-04T12:00:00Z", &every(24, 1_000, "2026-03-04T02:15:00Z"), true));
}

#[test]
fn counts_left_over_keep_the_oldest() {
    let rules = Rules { keep_daily: 5, keep_monthly: 6, ..Rules::default() };
    insta::assert_snapshot!(table(&rules, "2026-03-04T12:00:00Z", &every(6, 9, "2026-03-04T02:15:00Z"), false));
}

#[test]
fn gaps_do_not_count() {
    let rules = Rules { keep_daily: 3, keep_weekly: 2, ..Rules::default() };
    let days = ["2026-03-04T02:00:00Z", "2026-02-27T02:00:00Z", "2026-02-26T23:00:00Z", "2026-02-26T02:00:00Z", "2025-12-31T02:00:00Z", "2025-12-29T02:00:00Z"];
    insta::assert_snapshot!(table(&rules, "2026-03-04T12:00:00Z", &days.map(|d| one(at(d))), false));
}

#[test]
fn the_clock_is_put_forward_and_back() {
    let rules = Rules { keep_hourly: 30, keep_daily: 3, keep_within_hourly: "5h".parse().ok(), time_zone: "Europe/Berlin".into(), ..Rules::default() };
    let half_hours = |end: &str, n: i64| (0..n).map(|i| one(at(end).plus_secs(-i * 1_800))).collect::<Vec<_>>();
    let mut both = String::from("forward\n");
    both.push_str(&table(&rules, "2026-03-29T12:00:00Z", &half_hours("2026-03-29T03:10:00Z", 10), false));
    both.push_str("\nback\n");
    both.push_str(&table(&rules, "2026-10-25T12:00:00Z", &half_hours("2026-10-25T03:10:00Z", 12), false));
    insta::assert_snapshot!(both);
}

#[test]
fn a_day_begins_where_the_policy_says() {
    let late = ["2026-03-04T23:30:00Z", "2026-03-04T22:30:00Z", "2026-03-04T00:30:00Z", "2026-03-03T23:30:00Z", "2026-03-03T22:30:00Z"].map(|d| one(at(d)));
    let mut all = String::new();
    for name in ["", "Europe/Berlin", "Pacific/Auckland"] {
        let rules = Rules { keep_daily: 2, time_zone: name.into(), ..Rules::default() };
        writeln!(all, "{name}\n{}", table(&rules, "2026-03-05T12:00:00Z", &late, false)).unwrap();
    }
    insta::assert_snapshot!(all);
}

#[test]
fn within_spans_of_civil_time() {
    let rules = Rules {
        keep_within: "1d".parse().ok(),
        keep_within_daily: "7d".parse().ok(),
        keep_within_weekly: "1m".parse().ok(),
        keep_within_monthly: "1y".parse().ok(),
        keep_within_yearly: "75y".parse().ok(),
        ..Rules::default()
    };
    insta::assert_snapshot!(table(&rules, "2026-03-31T12:00:00Z", &every(12, 2_000, "2026-03-31T10:00:00Z"), true));
}

#[test]
fn partial_ones_never_take_the_place_of_complete_ones() {
    let mut all = every(24, 8, "2026-03-08T02:15:00Z");
    for i in [0, 1, 4, 5] {
        all[i].complete = false;
    }
    let rules = Rules { keep_last: 1, keep_daily: 3, ..Rules::default() };
    insta::assert_snapshot!(table(&rules, "2026-03-08T12:00:00Z", &all, false));
}

#[test]
fn what_was_verified_or_is_on_hold_stays() {
    let mut all = every(24, 10, "2026-03-10T02:15:00Z");
    all[4].verified_at = Some(at("2026-03-09T00:00:00Z"));
    all[6].verified_at = Some(at("2026-03-10T00:00:00Z"));
    all[5].held = true;
    all[8].in_use = true;
    all[2].complete = false;
    all[2].verified_at = Some(at("2026-03-10T00:00:00Z"));
    let rules = Rules { keep_last: 2, ..Rules::default() };
    insta::assert_snapshot!(table(&rules, "2026-03-10T12:00:00Z", &all, false));
}

#[test]
fn a_maximum_cuts_the_oldest_but_not_what_must_stay() {
    let mut all = every(24, 9, "2026-03-10T02:15:00Z");
    all[7].held = true;
    all[8].tags = vec!["keep".into(), "x".into()];
    let rules = Rules { keep_daily: 9, keep_tags: vec!["keep".into()], max_snapshots: 5, ..Rules::default() };
    let alone = Rules { max_snapshots: 4, ..Rules::default() };
    let text = format!("{}\n{}", table(&rules, "2026-03-10T12:00:00Z", &all, false), table(&alone, "2026-03-10T12:00:00Z", &all, false));
    insta::assert_snapshot!(text);
}

#[test]
fn tags_one_and_all() {
    let mut all = every(24, 6, "2026-03-10T02:15:00Z");
    all[2].tags = vec!["a".into()];
    all[3].tags = vec!["a".into(), "b".into()];
    all[5].tags = vec!["c".into()];
    let rules = Rules { keep_tags: vec!["a,b".into(), "c".into()], ..Rules::default() };
    insta::assert_snapshot!(table(&rules, "2026-03-10T12:00:00Z", &all, false));
}

#[test]
fn a_clock_that_was_wrong_moves_no_span() {
    let mut all = every(24, 6, "2026-03-10T02:15:00Z");
    all.push(one(at("2031-01-01T00:00:00Z")));
    let rules = Rules { keep_within: "3d".parse().ok(), ..Rules::default() };
    insta::assert_snapshot!(table(&rules, "2026-03-10T12:00:00Z", &all, false));
}

/// A sequence of numbers that is the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % n
    }
}

#[test]
fn what_holds_for_every_history() {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    for round in 0..3_000 {
        let n = dice.below(40) as i64 + 1;
        let mut all: Vec<Candidate> = (0..n)
            .map(|i| {
                let mut c = one(at("2026-03-10T02:15:00Z").plus_secs(-(dice.below(2_000_000) as i64) / 600 * 600));
                c.id = format!("{round:04}{i:04}");
                c.complete = dice.below(5) > 0;
                c.held = dice.below(15) == 0;
                c.in_use = dice.below(20) == 0;
                c.verified_at = (dice.below(8) == 0).then_some(Timestamp(1));
                c
            })
            .collect();
        let mut count = |most: u64| if dice.below(2) == 0 { 0 } else { dice.below(most) as u32 };
        let rules = Rules {
            keep_last: count(5),
            keep_hourly: count(10),
            keep_daily: count(8),
            keep_weekly: count(4),
            keep_monthly: count(3),
            max_snapshots: count(12),
            ..Rules::default()
        };
        let now = at("2026-03-11T00:00:00Z");
        let decisions = decide(&rules, &TimeZone::UTC, now, &all);
        let kept: Vec<&Candidate> = all.iter().zip(&decisions).filter(|(_, d)| d.is_kept()).map(|(c, _)| c).collect();

        for (c, d) in all.iter().zip(&decisions) {
            assert!(d.is_kept() || !(c.held || c.in_use), "{rules:?}: {c:?} {d:?}");
            assert!(!matches!(d, Decision::Keep(reasons) if reasons.is_empty()), "a reason for each");
        }
        let newest = all.iter().filter(|c| c.complete).max_by_key(|c| (c.taken_at, &c.id));
        assert!(newest.is_none_or(|n| kept.contains(&n)), "the newest complete one stays: {rules:?}");
        let verified = |complete: bool| all.iter().filter(|c| c.verified_at.is_some() && (c.complete || !complete)).max_by_key(|c| (c.taken_at, &c.id));
        assert!(verified(true).or_else(|| verified(false)).is_none_or(|v| kept.contains(&v)), "the last verified one stays: {rules:?}");
        if rules.max_snapshots > 0 {
            let loose =
                |d: &Decision| matches!(d, Decision::Keep(r) if r.iter().all(|r| matches!(r, Reason::NoRule | Reason::Count { .. } | Reason::Oldest { .. })));
            let complete = all.iter().zip(&decisions).filter(|(c, d)| c.complete && d.is_kept()).count();
            let any_loose = all.iter().zip(&decisions).any(|(c, d)| c.complete && loose(d));
            assert!(complete <= rules.max_snapshots as usize || !any_loose, "over the maximum only what must stay: {rules:?}");
        }
        if !rules.keeps() && rules.max_snapshots == 0 {
            assert_eq!(kept.len(), all.len());
        }
        // The order in which they come makes no difference, and forgetting twice forgets nothing more of what was
        // chosen by counts alone.
        let before: std::collections::BTreeMap<String, bool> = all.iter().zip(&decisions).map(|(c, d)| (c.id.clone(), d.is_kept())).collect();
        all.reverse();
        let again = decide(&rules, &TimeZone::UTC, now, &all);
        assert!(all.iter().zip(&again).all(|(c, d)| before[&c.id] == d.is_kept()), "{rules:?}");
        let left: Vec<Candidate> = all.iter().filter(|c| before[&c.id]).cloned().collect();
        let twice = decide(&rules, &TimeZone::UTC, now, &left);
        let lost: Vec<_> = left.iter().zip(&twice).filter(|(_, d)| !d.is_kept()).collect();
        assert!(lost.is_empty(), "{rules:?}: {lost:?}");
    }
}

#[test]
fn a_safety_snapshot_outlives_the_rules_for_thirty_days() {
    let day = 86_400;
    let now = Timestamp(2_000_000_000_000_000);
    let rules = Rules { keep_last: 1, max_snapshots: 1, ..Rules::default() };
    let mut all = vec![one(now.plus_secs(-1)), one(now.plus_secs(-29 * day)), one(now.plus_secs(-29 * day - 1)), one(now.plus_secs(-31 * day))];
    (all[1].safety, all[3].safety) = (true, true);
    let decided = decide(&rules, &TimeZone::UTC, now, &all);
    let kept: Vec<bool> = decided.iter().map(Decision::is_kept).collect();
    assert_eq!(kept, [true, true, false, false], "{decided:?}");
    assert_eq!(decided[1].words(), "taken before a restore in place, kept for 30 days");
    assert!(!Reason::Safety.is_of_restic());
}
