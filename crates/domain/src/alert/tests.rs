//! The comparison, the words, the rules and the backoff.

use jiff::civil::date;

use super::{message::*, rule::*, *};
use crate::id::AlertId;

const NOW: Timestamp = Timestamp::from_secs(1_000_000_000);
const H: i64 = 3_600;

fn ago(s: i64) -> Timestamp {
    NOW.plus_secs(-s)
}

fn wanted(n: u128, condition: Condition) -> Wanted {
    let subject = Subject { entity: Entity::Service, id: uuid::Uuid::from_u128(n), name: format!("s{n}"), title: format!("Service {n}") };
    Wanted { subject, service: Some(ServiceId(uuid::Uuid::from_u128(n))), run: None, test: None, condition }
}

fn open(w: &Wanted) -> Open {
    Open { key: w.key(), severity: w.severity(), condition: w.condition.clone() }
}

fn overdue(items: i64, of: i64, ages: &[i64]) -> Condition {
    let worst = ages.iter().enumerate().map(|(i, s)| Late { item: format!("user-{i}"), newest_at: (*s > 0).then(|| ago(*s)) }).collect();
    Condition::RpoOverdue { items, of, newest_at: ages.iter().filter(|s| **s > 0).min().map(|s| ago(*s)), rpo_s: 24 * H, worst }
}

#[test]
fn alerts_open_change_worsen_and_resolve() {
    let no_data = wanted(1, Condition::NoData);
    let late = wanted(1, overdue(1, 3, &[30 * H]));
    let later = wanted(1, overdue(2, 3, &[31 * H, 30 * H]));
    let other = wanted(2, Condition::NeverRestored { items: 3 });
    assert_eq!(compare(std::slice::from_ref(&late), &[]), [Step::Open { wanted: 0 }]);
    // The same condition with the same figures is no news; other figures are; a graver kind in the same slot is worse.
    assert_eq!(compare(std::slice::from_ref(&late), &[open(&late)]), []);
    assert_eq!(compare(std::slice::from_ref(&later), &[open(&late)]), [Step::Change { wanted: 0, open: 0, worse: false }]);
    assert_eq!(compare(std::slice::from_ref(&late), &[open(&no_data)]), [Step::Change { wanted: 0, open: 0, worse: true }]);
    assert_eq!(compare(&[], &[open(&late)]), [Step::Resolve { open: 0 }]);
    assert_eq!(
        compare(&[other.clone(), late.clone(), late.clone()], &[open(&wanted(3, Condition::NoData))]),
        [Step::Resolve { open: 0 }, Step::Open { wanted: 0 }, Step::Open { wanted: 1 }]
    );
}

#[test]
fn a_review_is_told_at_each_stage_and_of_each_due_date() {
    let day = date(2001, 10, 9);
    let due = |within| wanted(1, Condition::ReviewDue { review: ReviewKind::Risk, due: day, within });
    let over = wanted(1, Condition::ReviewOverdue { review: ReviewKind::Risk, due: day });
    let step = |w: &Wanted, o: &Wanted| compare(std::slice::from_ref(w), &[open(o)]);
    assert_eq!(step(&due(7), &due(30)), [Step::Change { wanted: 0, open: 0, worse: true }]);
    assert_eq!(step(&over, &due(7)), [Step::Change { wanted: 0, open: 0, worse: true }]);
    assert_eq!(step(&over, &over), []);
    let next = wanted(1, Condition::ReviewDue { review: ReviewKind::Risk, due: date(2002, 10, 9), within: 30 });
    assert_eq!(step(&next, &over), [Step::Resolve { open: 0 }, Step::Open { wanted: 0 }]);
    assert_ne!(over.key(), wanted(1, Condition::ReviewOverdue { review: ReviewKind::Plan, due: day }).key());
    assert_eq!(over.path(Some("x")), "/services/s1/reviews");
}

#[test]
fn the_end_of_a_credential_is_told_at_each_stage_and_beside_what_it_lacks() {
    let ends = |within| wanted(1, Condition::CredentialExpiring { expires_at: NOW.plus_secs(within * 86_400 - 1), within });
    assert_eq!(compare(&[ends(7)], &[open(&ends(30))]), [Step::Change { wanted: 0, open: 0, worse: true }]);
    let lacks = wanted(1, Condition::CredentialLacking { at: NOW, reason: String::new() });
    let refused = wanted(1, Condition::CredentialRefused { at: NOW, reason: String::new() });
    assert_eq!(compare(std::slice::from_ref(&refused), &[open(&lacks)]), [Step::Change { wanted: 0, open: 0, worse: true }]);
    assert_ne!(lacks.key(), ends(7).key());
}

#[test]
fn one_thing_that_is_wrong_has_one_key() {
    let failed = |reason: &str| Condition::RunFailed { state: RunState::Failed, what: "Backup".into(), at: ago(9), reason: reason.into() };
    assert_eq!(wanted(1, failed("a")).key(), wanted(1, failed("b")).key());
    assert_eq!(wanted(1, failed("a")).key(), wanted(1, Condition::RunPartial { what: "Backup".into(), at: ago(9), reason: String::new() }).key());
    assert_ne!(wanted(1, failed("a")).key(), wanted(2, failed("a")).key());
    assert_ne!(wanted(1, failed("a")).key(), wanted(1, Condition::NoData).key());
}

#[test]
fn conditions_are_stored_and_read_under_the_name_of_their_kind() {
    for c in every_condition() {
        let json = serde_json::to_value(&c).unwrap();
        assert_eq!(json["kind"], c.kind().as_str());
        assert_eq!(serde_json::from_value::<Condition>(json).unwrap(), c);
    }
    assert_eq!(every_condition().len(), AlertKind::ALL.len());
}

fn every_condition() -> Vec<Condition> {
    let (at, reason) = (ago(2 * H), "the disk is full".to_owned());
    vec![
        Condition::NoCopy { since: at },
        Condition::RepositoryDamaged { at, reason: reason.clone() },
        Condition::RestoreFailed { at },
        Condition::NeverRestored { items: 75 },
        overdue(3, 75, &[0, 51 * H, 30 * H]),
        Condition::RepositoryUnreachable { at, reason: reason.clone() },
        Condition::CredentialRefused { at, reason: "Keystone answered 401; give a secret that is valid".into() },
        Condition::RtoBreached { rto_s: 33_120.0, target_s: 8 * H, at },
        Condition::HoldStands { since: at, reason: "38 % of the objects changed.".into() },
        Condition::RunFailed { state: RunState::Failed, what: "Backup of a/b".into(), at, reason: reason.clone() },
        Condition::ScheduleMissed { missed: 2, last_at: at, reason: "no worker was running".into(), ever: true },
        Condition::NotChecked { at },
        Condition::RunPartial { what: "Backup of a/b".into(), at, reason: reason.clone() },
        Condition::ProofOld { at: ago(91 * 86_400) },
        Condition::RepositoryUnchecked { since: ago(40 * 86_400), ever: false },
        Condition::CredentialLacking { at, reason: "it has the role reader alone; give it the role member".into() },
        Condition::CredentialExpiring { expires_at: NOW.plus_secs(6 * 86_400), within: 7 },
        Condition::ClonesStand { clones: 1, name: "web_clone".into(), since: at, reason: "Cinder answered 500; try again later".into() },
        Condition::ChannelFailing { at, recipient: "x@reject.example".into(), answer: "550 no such user".into() },
        Condition::FiguresMissing { since: ago(4 * 86_400), reason: "ARGO answered 401; give a key that is valid".into() },
        Condition::ReviewOverdue { review: ReviewKind::Risk, due: date(2001, 9, 6) },
        Condition::ReviewDue { review: ReviewKind::Plan, due: date(2001, 10, 9), within: 30 },
        Condition::NoData,
    ]
}

/// Every sentence as a person reads it; a golden list.
#[test]
fn the_words() {
    let said: Vec<String> = every_condition().iter().map(|c| format!("[{}] Hub {}. {}", c.kind().words(), c.clause(NOW), c.explain(NOW))).collect();
    let want = [
        "[no copy] Hub has no copy at all. There is not one snapshot since it was configured 2 h ago. Nothing could be brought back.",
        "[repository damaged] Hub is damaged. The check of 2 h ago found: the disk is full.",
        "[restore failed] Hub failed its restore test. The restore test of 2 h ago did not pass; its report names the check that failed.",
        "[never restored] Hub has never been restored. 75 items are backed up and not one was ever restored. The copies are known to exist, no more.",
        "[RPO overdue] Hub has 3 items without a snapshot within its RPO. The newest snapshot is 1 d 6 h old; the RPO is 1 d. The oldest: user-0 (never), user-1 (2 d 3 h), user-2 (1 d 6 h).",
        "[out of reach] Hub cannot be reached. A run of 2 h ago could not use it: the disk is full.",
        "[cloud not usable] Hub does not let Holdfast in. It was tried 2 h ago: Keystone answered 401; give a secret that is valid.",
        "[RTO breached] Hub is too slow by 1 h 12 m. The restore test of 2 h ago took 9 h 12 m against an RTO of 8 h.",
        "[anomaly hold] Hub is on hold. 38 % of the objects changed. On hold for 2 h: nothing of it is forgotten until somebody decides.",
        "[failed run] Hub had a failed run. Backup of a/b failed 2 h ago: the disk is full.",
        "[missed run] Hub missed 2 runs. 2 runs were due without a run, the last one 2 h ago: no worker was running.",
        "[could not check] Hub could not be checked in full. The restore test of 2 h ago could not check everything, so it proves less than it was meant to.",
        "[partial run] Hub was backed up in part only. Backup of a/b left something out 2 h ago: the disk is full.",
        "[test overdue] Hub was last tested 91 d ago. The last restore test is 91 d old; what it proved holds for 90 d.",
        "[not checked] Hub has never been checked. It was never checked and is 40 d old; a check holds for 30 d.",
        "[credential lacks] Hub has a credential that lacks something. It was looked at 2 h ago: it has the role reader alone; give it the role member.",
        "[credential ends] Hub has a credential that expires in 6 d. Its end is on 2001-09-15. Without a new one no instance is snapshotted from then on, and none is brought back.",
        "[clone stands] Hub has a clone past its end. web_clone should have been deleted 2 h ago and takes room in the cloud still: Cinder answered 500; try again later.",
        "[not delivered] Hub did not get a message. A message to x@reject.example was given up 2 h ago: 550 no such user.",
        "[figures missing] Hub gets no figures of its availability. Fetching them has failed for 4 d: ARGO answered 401; give a key that is valid.",
        "[review overdue] Hub has an overdue risk assessment, due on 2001-09-06. The risk assessment was due on 2001-09-06, 3 days ago. This stands until one is recorded, or somebody says why and until when none is needed.",
        "[review due] Hub has a review of plan and test due in 30 days. The review of plan and test is due on 2001-10-09, in 30 days. Record it when it is done.",
        "[no data] Hub has no data yet. Nothing was backed up yet, so nothing is known.",
    ];
    for (said, want) in said.iter().zip(want) {
        assert_eq!(said, want);
    }
}

#[test]
fn an_overdue_service_says_by_how_much_or_how_many() {
    assert_eq!(overdue(3, 3, &[51 * H, 40 * H]).clause(NOW), "is 1 d 3 h past its RPO");
    assert_eq!(overdue(1, 75, &[51 * H]).clause(NOW), "has 1 item without a snapshot within its RPO");
    let c = Condition::RpoOverdue { items: 9, of: 75, newest_at: Some(ago(H)), rpo_s: 24 * H, worst: vec![Late { item: "ada".into(), newest_at: None }] };
    assert_eq!(c.explain(NOW), "9 of 75 items have no snapshot within the RPO of 1 d. The oldest: ada (never) and 8 more.");
}

#[test]
fn kinds_stand_in_the_order_of_what_would_be_lost() {
    let ranks: Vec<usize> = AlertKind::ALL.iter().map(|k| k.rank()).collect();
    assert!(ranks.windows(2).all(|w| w[0] < w[1]));
    let severities: Vec<u8> = AlertKind::ALL.iter().map(|k| k.severity().rank()).collect();
    assert!(severities.windows(2).all(|w| w[0] >= w[1]), "a graver kind is never the milder severity");
}

#[test]
fn rules_choose_by_severity_kind_service_and_schedule() {
    use AlertKind::{NoData, RpoOverdue, RunPartial};
    use Severity::{Critical, Info, Warning};
    let all = Rule::default();
    assert!(all.wants(RpoOverdue, Critical, Some("a"), None) && all.wants(RunPartial, Warning, None, None) && !all.wants(NoData, Info, Some("a"), None));
    let narrow = Rule { severity: Info, kinds: vec![RunPartial], services: vec!["a".into()], ..Rule::default() };
    assert!(narrow.wants(RunPartial, Warning, Some("a"), None));
    for (kind, service) in [(RpoOverdue, Some("a")), (RunPartial, Some("b")), (RunPartial, None)] {
        assert!(!narrow.wants(kind, Critical, service, None), "{kind} {service:?}");
    }
    let nightly = Rule { schedules: vec!["nightly".into()], success: true, ..Rule::default() };
    assert!(nightly.wants_success(Some("a"), Some("nightly")) && !nightly.wants_success(Some("a"), Some("weekly")) && !nightly.wants_success(Some("a"), None));
    assert!(!Rule::default().wants_success(Some("a"), None), "success is told only where it is asked for");
}

#[test]
fn reminders_come_in_their_time_and_only_the_newest() {
    let daily = Rule { remind_s: Some(86_400), ..Rule::default() };
    assert_eq!([0, 86_399, 86_400, 5 * 86_400 + 7].map(|s| daily.reminder(ago(s), NOW)), [0, 0, 1, 5]);
    assert_eq!(daily.reminder(NOW.plus_secs(9), NOW), 0, "a clock that went back");
    assert_eq!(Rule::default().reminder(ago(9 * 86_400), NOW), 0);
}

#[test]
fn trying_again_waits_longer_each_time_and_ends() {
    let waits: Vec<i64> = (1..).map_while(retry_after_s).collect();
    assert!(waits.windows(2).all(|w| w[0] < w[1]));
    assert_eq!(waits.len(), 8);
    let all: i64 = waits.iter().sum();
    assert!((20 * H..25 * H).contains(&all), "{all}");
    assert!(waits[..3].iter().sum::<i64>() >= 300, "a greylisting server wants five minutes");
}

#[test]
fn messages_say_what_began_and_what_is_over() {
    let w = wanted(7, overdue(3, 3, &[51 * H]));
    let id = AlertId(uuid::Uuid::from_u128(1));
    let m = Message::of_alert(Event::Opened, id, &w, Some("s7"), ago(60), NOW);
    assert_eq!((m.headline.as_str(), m.severity, m.path.as_str()), ("Service 7 is 1 d 3 h past its RPO", Severity::Critical, "/services/s7"));
    let m = Message::resolved(id, &w, Some("s7"), "It was late.", ago(2 * H), NOW);
    assert_eq!((m.event, m.headline.as_str()), (Event::Resolved, "Service 7: RPO overdue is over"));
    assert_eq!(m.text, "It lasted 2 h. What was wrong: It was late.");
    let run = Wanted { run: Some(RunId(uuid::Uuid::from_u128(5))), ..w };
    assert!(Message::of_alert(Event::Opened, id, &run, None, NOW, NOW).path.starts_with("/runs/"));
}
