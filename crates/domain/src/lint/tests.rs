//! Tables of the linter: for each rule when it speaks, when it is silent, and the boundary between.

use jiff::civil::date;

use super::{
    facts::{Change, How, Interval, Measure, Measured, Plan, Rating, Review, Risk, Source, Span, Targets, Tested},
    *,
};
use crate::{
    availability::{self, Figures, Month},
    evidence::Verdict,
    units::Timestamp,
};

const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;
/// 2021-02-25 08:42 UTC.
const NOW: Timestamp = Timestamp::from_secs(1_614_242_520);

fn ago(days: i64) -> Timestamp {
    NOW.plus_secs(-days * DAY)
}

/// A service and a plan in which nothing is wrong.
fn good() -> Facts {
    let targets = Targets { mtpod_s: Some(2 * DAY), rto_s: Some(DAY), rpo_s: Some(DAY) };
    Facts {
        now: NOW,
        today: date(2021, 2, 25),
        promised: targets,
        plan: Some(Plan {
            number: 2,
            targets,
            procedures: 1,
            contact: "EGI Operations".into(),
            support_unit: "Notebooks".into(),
            agreed: availability::Targets { availability: Some(90.0), reliability: Some(90.0) },
        }),
        approved_at: Some(ago(30)),
        sources: vec![Source {
            name: "homes".into(),
            interval: Some(Interval { s: DAY / 2, from: ago(-3), by: vec!["nightly".into()] }),
            paused: Vec::new(),
            measured: Some(Span { s: DAY, from: ago(3), until: Some(ago(2)) }),
        }],
        test: Some(Tested { at: ago(7), verdict: Verdict::Passed, rto_s: Some(603.0), rpo_s: Some(HOUR), failed: vec![], unknown: vec![] }),
        test_within_s: None,
        deployed: Some(Change { of: "source", name: "homes".into(), how: How::Changed, at: ago(60) }),
        changes: Vec::new(),
        reviews: Some(vec![Review { what: "risk assessment".into(), due: date(2021, 2, 25) }]),
        risks: Some(vec![risk()]),
        months: Some(vec![february(Some(90.0), Some(90.0), false)]),
    }
}

fn february(availability: Option<f64>, reliability: Option<f64>, explained: bool) -> Measured {
    Measured { month: Month::new(2020, 2).unwrap(), figures: Figures { availability, reliability }, explained }
}

fn risk() -> Risk {
    Risk {
        number: "1".into(),
        title: "Hardware failure".into(),
        measures: vec![Measure { text: "daily backup of user storage".into(), red: None }],
        rating: Rating { likelihood: 2, impact: 2, level: "Medium".into() },
        stated: Some("medium".into()),
        above_threshold: false,
        lacks: Vec::new(),
    }
}

/// The findings of good facts that were changed, as `id subject`.
fn said(change: impl FnOnce(&mut Facts)) -> Vec<String> {
    let mut facts = good();
    change(&mut facts);
    lint(&facts).iter().map(|f| format!("{} {}", f.rule.id, f.subject).trim().to_owned()).collect()
}

/// The text of the one finding of good facts that were changed.
fn text(change: impl FnOnce(&mut Facts)) -> String {
    let mut facts = good();
    change(&mut facts);
    let found = lint(&facts);
    assert_eq!(found.len(), 1, "{found:?}");
    format!("{}: {}", found[0].title, found[0].text)
}

const NONE: [&str; 0] = [];

fn plan(f: &mut Facts) -> &mut Plan {
    f.plan.as_mut().unwrap()
}

/// Sets a target of plan and service alike.
fn target(f: &mut Facts, set: impl Fn(&mut Targets)) {
    set(&mut f.promised);
    set(&mut plan(f).targets);
}

fn test(f: &mut Facts) -> &mut Tested {
    f.test.as_mut().unwrap()
}

fn one(f: &mut Facts) -> &mut Risk {
    &mut f.risks.as_mut().unwrap()[0]
}

#[test]
fn what_is_in_order_and_what_is_unknown_say_nothing() {
    assert_eq!(said(|_| {}), NONE);
    // Nothing known: that no test was ever done is known by its absence.
    assert_eq!(lint(&Facts::default()).iter().map(|f| f.rule.id).collect::<Vec<_>>(), ["never-tested"]);
    assert_eq!(said(|f| (f.reviews, f.risks, f.months) = (None, None, None)), NONE);
}

#[test]
fn rto_and_mtpod() {
    assert_eq!(said(|f| target(f, |t| t.rto_s = Some(2 * DAY - 1))), NONE);
    assert_eq!(said(|f| target(f, |t| t.rto_s = Some(2 * DAY))), ["rto-exceeds-mtpod"]);
    assert_eq!(said(|f| target(f, |t| t.mtpod_s = None)), NONE);
    assert_eq!(text(|f| target(f, |t| t.rto_s = Some(3 * DAY))), "RTO is not shorter than MTPoD: The RTO is 3 d, the MTPoD 2 d: 1 d too late.");
    assert!(text(|f| target(f, |t| t.rto_s = Some(2 * DAY))).ends_with("Both are 2 d: no time is left to decide."));
}

#[test]
fn plan_and_promise() {
    assert_eq!(said(|f| plan(f).targets.rto_s = Some(DAY - 1)), ["plan-differs-from-promise RTO"]);
    assert_eq!(said(|f| f.promised.mtpod_s = None), ["plan-differs-from-promise MTPoD"]);
    assert_eq!(
        said(|f| f.promised = Targets::default()),
        ["plan-differs-from-promise MTPoD", "plan-differs-from-promise RTO", "plan-differs-from-promise RPO"]
    );
    assert_eq!(said(|f| target(f, |t| *t = Targets::default())), NONE);
    assert!(text(|f| plan(f).targets.rpo_s = None).ends_with("The plan states none, the service promises 1 d."));
}

#[test]
fn rto_and_the_newest_test() {
    assert_eq!(said(|f| test(f).rto_s = Some(86_400.0)), NONE);
    assert_eq!(said(|f| test(f).rto_s = Some(86_400.5)), ["rto-missed-by-test"]);
    assert_eq!(said(|f| test(f).rto_s = None), NONE);
    assert!(text(|f| test(f).rto_s = Some(90_000.0)).ends_with("The test of 18 Feb 2021 took 1 d 1 h; the RTO is 1 d."));
    // The plan's RTO goes before the service's.
    let found = said(|f| (plan(f).targets.rto_s, test(f).rto_s) = (Some(HOUR), Some(4_000.0)));
    assert_eq!(found, ["plan-differs-from-promise RTO", "rto-missed-by-test"]);
}

#[test]
fn rpo_and_the_schedule() {
    let interval = |s: i64| said(|f| f.sources[0].interval.as_mut().unwrap().s = s);
    for (s, want) in [
        (DAY - 1, ""),
        (DAY, "rpo-without-reserve source homes"),
        (DAY + 2 * HOUR, "rpo-without-reserve source homes"),
        (DAY + 2 * HOUR + 1, "rpo-below-schedule source homes"),
        (3 * DAY, "rpo-below-schedule source homes"),
    ] {
        assert_eq!(interval(s).join(", "), want, "{s}");
    }
    let weekdays = text(|f| f.sources[0].interval.as_mut().unwrap().s = 3 * DAY);
    assert_eq!(weekdays, "the schedule of homes cannot keep the RPO: nightly leaves up to 3 d between two backups, as from 28 Feb 2021; the RPO is 1 d.");
    let bare = |f: &mut Facts| (f.sources[0].interval, f.risks) = (None, None);
    assert_eq!(said(bare), ["rpo-without-schedule source homes"]);
    assert!(text(bare).ends_with("At most 1 d of data may be lost, and no schedule copies it."));
    let paused = text(|f| {
        bare(f);
        f.sources[0].paused = vec!["nightly".into()];
    });
    assert!(paused.ends_with("and its schedule nightly is paused without an end."), "{paused}");
    let unpromised = said(|f| {
        bare(f);
        target(f, |t| t.rpo_s = None);
    });
    assert_eq!(unpromised, NONE);
}

#[test]
fn rpo_and_what_was_measured() {
    assert_eq!(said(|f| f.sources[0].measured.as_mut().unwrap().s = DAY + 1), ["rpo-missed-in-practice source homes"]);
    assert_eq!(said(|f| f.sources[0].measured = None), NONE);
    let open = text(|f| f.sources[0].measured = Some(Span { s: 3 * DAY, from: ago(3), until: None }));
    assert!(open.ends_with("For 3 d there was no complete copy, from 22 Feb 2021 and goes on; the RPO is 1 d."), "{open}");
    assert_eq!(said(|f| test(f).rpo_s = Some(DAY)), NONE);
    assert_eq!(said(|f| test(f).rpo_s = Some(DAY + 1)), ["rpo-missed-by-test"]);
}

#[test]
fn tests() {
    assert_eq!(said(|f| f.test = None), ["never-tested"]);
    for (verdict, failed, want) in [
        (Verdict::Failed, vec!["counts"], "test-failed"),
        (Verdict::Failed, vec!["counts", "rto"], "test-failed"),
        (Verdict::Failed, vec![], "test-failed"),
        // Times are held against what is promised now.
        (Verdict::Failed, vec!["rto"], ""),
        (Verdict::Unknown, vec![], "test-could-not-check"),
    ] {
        let found = said(|f| (test(f).verdict, test(f).failed) = (verdict, failed.iter().map(|s| (*s).to_owned()).collect()));
        assert_eq!(found.join(", "), want, "{verdict:?} {failed:?}");
    }
    let unknown = text(|f| (test(f).verdict, test(f).unknown) = (Verdict::Unknown, vec!["canary".into(), "counts".into()]));
    assert!(unknown.ends_with("not checked: canary and counts."), "{unknown}");
}

#[test]
fn a_test_is_as_good_as_it_is_young() {
    assert_eq!(said(|f| (test(f).at, f.deployed) = (ago(90), None)), NONE);
    assert_eq!(said(|f| (test(f).at, f.deployed) = (ago(90).plus_secs(-1), None)), ["test-too-old"]);
    assert_eq!(said(|f| (test(f).at, f.deployed, f.test_within_s) = (ago(300), None, Some(365 * DAY))), NONE);
    assert_eq!(said(|f| f.test_within_s = Some(6 * DAY)), ["test-too-old"]);
    // The very moment of the change is not before it.
    assert_eq!(said(|f| f.deployed.as_mut().unwrap().at = ago(7)), NONE);
    assert_eq!(said(|f| f.deployed.as_mut().unwrap().at = ago(7).plus_secs(1)), ["test-older-than-deployment"]);
    let moved = text(|f| f.deployed.as_mut().unwrap().at = ago(2));
    assert!(moved.ends_with("Tested on 18 Feb 2021; the source homes was changed on 23 Feb 2021."), "{moved}");
}

#[test]
fn reviews() {
    let due = |d| said(|f| f.reviews.as_mut().unwrap()[0].due = d);
    assert_eq!(due(date(2021, 2, 26)), NONE);
    assert_eq!(due(date(2021, 2, 24)), ["review-overdue risk assessment"]);
    let text = text(|f| f.reviews.as_mut().unwrap()[0].due = date(2020, 5, 28));
    assert_eq!(text, "the risk assessment is overdue: It was due on 28 May 2020, 273 days ago.");
}

#[test]
fn months() {
    let month = |a: Option<f64>, r: Option<f64>, explained| said(|f| f.months = Some(vec![february(a, r, explained)])).join(", ");
    for (a, r, explained, want) in [
        (Some(89.999), Some(99.0), false, "availability-unexplained month 2020-02"),
        (Some(95.0), Some(89.0), false, "availability-unexplained month 2020-02"),
        (Some(78.53), Some(78.53), true, ""),
        (Some(90.0), None, false, ""),
        // As it is shown: 90.000.
        (Some(89.9999), None, false, ""),
        (None, None, false, ""),
    ] {
        assert_eq!(month(a, r, explained), want, "{a:?} {r:?} {explained}");
    }
    let text = text(|f| f.months = Some(vec![february(Some(78.53), Some(95.0), false)]));
    assert!(text.ends_with("is below the target and not explained: It came to availability 78.53 % against 90.00 %."), "{text}");
    assert_eq!(
        said(|f| (plan(f).agreed, f.months) = (availability::Targets::default(), Some(vec![february(Some(1.0), None, false)]))),
        NONE,
        "nothing was agreed"
    );
}

#[test]
fn levels_and_treatments() {
    assert_eq!(said(|f| one(f).stated = None), NONE);
    let five = |f: &mut Facts| {
        *one(f) = Risk {
            number: "5".into(),
            rating: Rating { likelihood: 3, impact: 2, level: "High".into() },
            stated: Some("Medium".into()),
            above_threshold: true,
            lacks: vec!["owner", "due date"],
            ..risk()
        };
    };
    assert_eq!(said(five), ["risk-level-conflict risk 5", "risk-without-treatment risk 5"]);
    let conflict = text(|f| {
        five(f);
        one(f).lacks.clear();
    });
    assert!(conflict.ends_with("The text says medium; likelihood 3 × impact 2 = 6 is high on the scale."), "{conflict}");
    let untreated = text(|f| {
        five(f);
        one(f).stated = None;
    });
    assert_eq!(untreated, "risk 5 is high and nothing is decided about it: It is above the threshold and lacks its owner and due date.");
    assert_eq!(said(|f| one(f).lacks = vec!["owner"]), NONE, "below the threshold nothing is asked for");
}

#[test]
fn measures() {
    let unscheduled = |f: &mut Facts| {
        f.sources[0].interval = None;
        target(f, |t| t.rpo_s = None);
    };
    assert_eq!(said(unscheduled), ["backup-measure-without-schedule risk 1"]);
    assert!(text(unscheduled).contains("“daily backup of user storage”"));
    let other = said(|f| {
        unscheduled(f);
        one(f).measures[0].text = "a second site".into();
    });
    assert_eq!(other, NONE);
    assert_eq!(said(|f| one(f).measures[0].red = Some("schedule nightly: the last run failed".into())), ["measure-proof-red risk 1"]);
    let outage = |measures: &str| {
        said(|f| {
            one(f).title = "Network outage with a cause outside the site".into();
            one(f).measures = vec![Measure { text: measures.into(), red: None }];
        })
    };
    assert_eq!(outage("All configuration as code in git; daily backup of user storage"), ["measure-does-not-shorten-outage risk 1"]);
    assert_eq!(outage("daily backup; a second line"), NONE);
    assert_eq!(outage(""), NONE);
}

#[test]
fn procedure_and_contact() {
    assert_eq!(said(|f| plan(f).procedures = 0), ["procedure-missing"]);
    assert_eq!(said(|f| plan(f).contact = " ".into()), ["contact-missing"]);
    assert_eq!(said(|f| plan(f).support_unit.clear()), ["contact-missing"]);
    assert_eq!(said(|f| f.plan = None), NONE, "there is nothing to be read yet");
}

#[test]
fn changes_since_the_approval() {
    let change = |of, name: &str, how, at| Change { of, name: name.into(), how, at };
    let changes = |f: &mut Facts| {
        f.changes = vec![
            change("service", "", How::Changed, ago(5)),
            change("schedule", "nightly", How::Removed, ago(4)),
            change("policy", "daily", How::Changed, ago(30)),
            change("procedure", "Restore", How::Added, ago(1)),
        ];
    };
    let want = ["changed-since-approval service", "changed-since-approval schedule nightly", "changed-since-approval procedure Restore"];
    assert_eq!(said(changes), want);
    let never = said(|f| {
        changes(f);
        f.approved_at = None;
    });
    assert_eq!(never, NONE);
    let text = text(|f| f.changes = vec![change("schedule", "nightly", How::Removed, ago(4))]);
    assert_eq!(
        text,
        "the schedule nightly was removed since the approval: The plan was approved on 26 Jan 2021; the schedule nightly was removed on 21 Feb 2021."
    );
}

#[test]
fn ids_are_unique_and_documented() {
    let docs = include_str!("../../../../docs/findings.md");
    let mut seen = std::collections::HashSet::new();
    for r in rules() {
        assert!(seen.insert(r.id), "{} twice", r.id);
        assert!(r.id.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", r.id);
        let line = format!("| `{}` | {} | {} | {} | {} |", r.id, r.severity, if r.waivable { "yes" } else { "no" }, r.meaning, r.remedy);
        assert!(docs.lines().any(|l| l == line), "docs/findings.md lacks the line: {line}");
        assert_eq!(rule(r.id), Some(r));
    }
    let listed = docs.lines().filter(|l| l.starts_with("| `")).count();
    assert_eq!(listed, seen.len(), "docs/findings.md lists findings that no rule has");
    let sections: Vec<usize> = rules().map(|r| Section::ALL.iter().position(|s| *s == r.section).unwrap()).collect();
    assert!(sections.is_sorted(), "findings come in the order of the plan: {sections:?}");
}
