//! Findings, waivers and the refusal of an approval, on both databases.

use domain::{
    id::{ServiceId, WaiverId},
    lint::Severity,
    plan::{Annex, PlanContent, Procedure},
    schedule::{Misfire, ScheduleKind},
    units::Timestamp,
};
use store::{
    Clock, plans,
    schedules::{self, NewSchedule},
    services::{self, NewService},
    testing::{self, TestDb},
};

use super::*;
use crate::{
    Actor, Role,
    runs_tests::{ctx, fill},
};

const DAY: i64 = 86_400;
/// 2021-02-25 08:42 UTC.
const NOW: Timestamp = Timestamp::from_secs(1_614_242_520);

/// Somebody at a time that a test moves.
fn at(t: &TestDb, role: Role, now: Timestamp) -> Ctx {
    Ctx { clock: Clock::fixed(now), ..ctx(t, role) }
}

async fn id_of(t: &TestDb) -> ServiceId {
    services::find_by_name(t.db.read().await.unwrap().tx(), "notebooks").await.unwrap().unwrap().id()
}

/// The findings as `id subject`, a waived one in brackets.
async fn said(ctx: &Ctx) -> Vec<String> {
    let words = |j: &Judged| {
        let named = format!("{} {}", j.finding.rule.id, j.finding.subject).trim().to_owned();
        if j.waiver.is_some() { format!("({named})") } else { named }
    };
    findings(ctx, "notebooks").await.unwrap().findings.iter().map(words).collect()
}

async fn stops(t: &TestDb, service: ServiceId, now: Timestamp) -> Vec<&'static str> {
    blocking(t.db.read().await.unwrap().tx(), service, now).await.unwrap().iter().map(|f| f.rule.id).collect()
}

fn waive_it(until: &str) -> Waive {
    Waive { finding: "never-tested".into(), subject: String::new(), reason: " the first exercise is in May ".into(), until: until.into() }
}

fn message<T: std::fmt::Debug>(r: Result<T>) -> String {
    r.unwrap_err().to_string()
}

#[tokio::test]
async fn a_blocking_finding_stops_an_approval_until_it_is_waived() {
    for t in testing::databases().await {
        fill(&t).await;
        let (c, service) = (at(&t, Role::Admin, NOW), id_of(&t).await);
        assert_eq!(said(&c).await, ["review-overdue risk assessment", "review-overdue review of plan and test", "never-tested"], "{}", t.name);
        assert_eq!(stops(&t, service, NOW).await, ["never-tested"]);
        let words = obstacles(t.db.read().await.unwrap().tx(), service, NOW).await.unwrap();
        assert_eq!(words, ["recovery was never tested (never-tested); put it right, or waive it with a reason"]);

        let waiver = waive(&c, "notebooks", &waive_it("2021-02-26")).await.unwrap();
        assert_eq!(said(&c).await[2], "(never-tested)", "what is waived is still shown");
        assert_eq!(findings(&c, "notebooks").await.unwrap().summary().words(), "no finding stops the approval, 2 are warnings, 1 is waived");
        assert!(obstacles(t.db.read().await.unwrap().tx(), service, NOW).await.unwrap().is_empty());
        let (row, name) = super::waiver(&c, waiver).await.unwrap();
        assert_eq!((row.reason.as_str(), row.given_by.as_str(), name.as_str()), ("the first exercise is in May", "somebody", "notebooks"));
        assert!(row.said.starts_with("recovery was never tested: No test"), "{}", row.said);
        let fact = of_plan(t.db.read().await.unwrap().tx(), service, NOW).await.unwrap().remove(0);
        assert_eq!((fact.finding.as_str(), fact.until.as_deref()), ("never-tested", Some("2021-02-26")));
        let twice = message(waive(&c, "notebooks", &waive_it("2021-03-01")).await);
        assert_eq!(twice, "somebody has waived this until 2021-02-26; end that waiver first");

        // Its day is over.
        c.clock.advance_secs(DAY);
        assert_eq!(stops(&t, service, c.now()).await, Vec::<&str>::new(), "it stands on its last day");
        c.clock.advance_secs(DAY);
        assert_eq!(stops(&t, service, c.now()).await, ["never-tested"]);
        assert_eq!(Standing::of(&row, c.now()).unwrap(), Standing::Over);
        assert_eq!(message(end_waiver(&c, waiver, "done").await), "this waiver was over on 2021-02-26");

        // Another one, which somebody ends.
        let second = waive(&c, "notebooks", &waive_it("2021-06-01")).await.unwrap();
        assert!(message(end_waiver(&c, second, " ").await).starts_with("reason: is empty"));
        end_waiver(&c, second, "tested after all").await.unwrap();
        assert_eq!(stops(&t, service, c.now()).await, ["never-tested"]);
        assert_eq!(message(end_waiver(&c, second, "again").await), "somebody has ended this waiver already");
        let all = waivers(&c, "notebooks").await.unwrap();
        assert_eq!(all.iter().map(WaiverRow::id).collect::<Vec<_>>(), [second, waiver]);
        assert_eq!(all[0].end_reason.as_deref(), Some("tested after all"));
        let chain = store::audit::verify(t.db.read().await.unwrap().tx()).await.unwrap();
        assert_eq!(chain, Ok(3), "two were given and one ended; what was refused left nothing");
    }
}

#[tokio::test]
async fn what_a_waiver_lacks_is_named() {
    let t = testing::sqlite().await;
    fill(&t).await;
    let c = at(&t, Role::Admin, NOW);
    crate::plans::save(&c, "notebooks", PlanContent::default(), &crate::version::Seen::Any).await.unwrap();
    let with = async |change: fn(&mut Waive)| {
        let mut new = waive_it("2021-03-01");
        change(&mut new);
        message(waive(&c, "notebooks", &new).await)
    };
    assert_eq!(with(|w| w.finding = "nonsense".into()).await, "finding: “nonsense” is no finding of the linter; take an id from the service's findings");
    let absent = with(|w| w.finding = "test-too-old".into()).await;
    assert_eq!(absent, "test-too-old does not stand for notebooks now; there is nothing to waive");
    assert!(with(|w| w.subject = "risk 5".into()).await.contains("never-tested of risk 5 does not stand"));
    assert!(with(|w| w.finding = "contact-missing".into()).await.starts_with("finding: contact-missing cannot be waived. Name the support unit"));
    assert!(with(|w| w.reason = "  ".into()).await.starts_with("reason: is empty"));
    assert!(with(|w| w.reason = "x".repeat(501)).await.contains("longer than 500"));
    assert!(with(|w| w.until = "2021-02-24".into()).await.starts_with("until: has passed"));
    assert!(with(|w| w.until = "2022-02-27".into()).await.starts_with("until: is more than a year away"));
    let both = with(|w| (w.until, w.reason) = ("soon".into(), String::new())).await;
    assert!(both.contains("reason: is empty") && both.contains("until: “soon” is no date"), "{both}");
    assert_eq!(message(waive(&c, "none", &waive_it("2021-03-01")).await), "there is no service “none”");
    assert!(waivers(&c, "notebooks").await.unwrap().is_empty());
}

#[tokio::test]
async fn wrong_roles_are_refused() {
    let t = testing::sqlite().await;
    fill(&t).await;
    let service = id_of(&t).await;
    let given = waive(&at(&t, Role::Admin, NOW), "notebooks", &waive_it("2021-03-01")).await.unwrap();
    let owner = |of: Vec<ServiceId>| Ctx { actor: Actor { services: of, ..Actor::new("own", Role::Owner) }, ..at(&t, Role::Owner, NOW) };
    let forbidden = |r: Result<()>| matches!(r, Err(OpsError::Forbidden(_)));
    for c in [at(&t, Role::Auditor, NOW), at(&t, Role::Member, NOW), at(&t, Role::Anonymous, NOW), owner(vec![ServiceId(uuid::Uuid::nil())])] {
        let role = c.actor.role;
        assert!(forbidden(waive(&c, "notebooks", &waive_it("2021-03-01")).await.map(|_| ())), "{role}");
        assert!(forbidden(end_waiver(&c, given, "x").await), "{role}");
        let reads = role == Role::Auditor;
        assert_eq!(findings(&c, "notebooks").await.is_ok(), reads, "{role}");
        assert_eq!(waivers(&c, "notebooks").await.is_ok(), reads, "{role}");
        assert_eq!(super::waiver(&c, given).await.is_ok(), reads, "{role}");
    }
    let own = owner(vec![service]);
    end_waiver(&own, given, "put right").await.unwrap();
    waive(&own, "notebooks", &waive_it("2021-03-01")).await.unwrap();
    assert_eq!(super::waiver(&own, given).await.unwrap().0.ended_by.as_deref(), Some("own"));
    assert!(matches!(end_waiver(&own, WaiverId(uuid::Uuid::nil()), "x").await, Err(OpsError::NotFound { .. })));
}

/// A plan in which nothing is wrong, approved at that time.
async fn approved(t: &TestDb, service: ServiceId, when: Timestamp) {
    let content = PlanContent {
        procedures: vec![Procedure { title: "Restore".into(), link: "https://docs.example.org/restore".into(), text: String::new() }],
        support_unit: "Notebooks".into(),
        contact: "ticket".into(),
        mtpod_s: Some(2 * DAY),
        rto_s: Some(DAY),
        rpo_s: Some(DAY),
        ..PlanContent::default()
    };
    let mut tx = t.db.begin().await.unwrap();
    let new = plans::NewVersion { service, content: &content, roles: &[], based_on: None, by: "ada" };
    let id = plans::start(tx.tx(), &new, when).await.unwrap();
    let with = plans::Submission { sha256: "abc", annex: &Annex::default(), roles: &[] };
    assert!(plans::submit(tx.tx(), id, 1, &with, when).await.unwrap());
    assert!(plans::approve(tx.tx(), id, "abc", when).await.unwrap());
    tx.commit().await.unwrap();
}

async fn schedule(t: &TestDb, service: ServiceId, cron: &str, when: Timestamp) {
    let mut tx = t.db.begin().await.unwrap();
    let new = NewSchedule {
        name: "nightly".into(),
        kind: ScheduleKind::Backup,
        service: Some(service),
        source: None,
        repository: None,
        params: serde_json::json!({}),
        cron: cron.into(),
        zone: "UTC".into(),
        jitter_s: 0,
        max_duration_s: None,
        misfire: Misfire::Once,
        runs_a_day: None,
        next_at: when,
        next_run_at: when,
    };
    schedules::upsert(tx.tx(), &new, when).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_plan_is_read_against_what_is_configured() {
    for t in testing::databases().await {
        fill(&t).await;
        let (c, service) = (at(&t, Role::Admin, NOW), id_of(&t).await);
        approved(&t, service, NOW.plus_secs(-10 * DAY)).await;
        let of_plan = async || said(&c).await.into_iter().filter(|f| !f.starts_with("review-") && f != "never-tested").collect::<Vec<_>>();
        let promises = ["plan-differs-from-promise MTPoD", "plan-differs-from-promise RTO", "plan-differs-from-promise RPO"];
        let none: [&str; 0] = [];
        assert_eq!(of_plan().await, [&promises[..], &["rpo-without-schedule source homes"]].concat(), "{}", t.name);
        let report = findings(&c, "notebooks").await.unwrap();
        assert_eq!(report.version, Some((1, State::Approved)));
        // The service promises the same; that it was changed since the approval is told.
        let mut tx = t.db.begin().await.unwrap();
        let new = NewService {
            name: "notebooks".into(),
            title: "N".into(),
            owner: "o".into(),
            rpo_s: Some(DAY),
            rto_s: Some(DAY),
            mtpod_s: Some(2 * DAY),
            canary: None,
        };
        services::upsert(tx.tx(), &new, NOW.plus_secs(-9 * DAY)).await.unwrap();
        tx.commit().await.unwrap();
        schedule(&t, service, "15 1 * * 1-5", NOW.plus_secs(-8 * DAY)).await;
        let measured = "rpo-missed-in-practice source homes";
        let weekdays = ["rpo-below-schedule source homes", measured, "changed-since-approval service", "changed-since-approval schedule nightly"];
        assert_eq!(of_plan().await, weekdays, "{}", t.name);
        let texts: Vec<String> = findings(&c, "notebooks").await.unwrap().findings.into_iter().map(|j| j.finding.text).collect();
        assert!(texts.iter().any(|t| t.contains("the schedule nightly was added on 17 Feb 2021")), "{texts:?}");
        // Twice a day, and approved anew.
        schedule(&t, service, "15 1,13 * * *", NOW.plus_secs(-7 * DAY)).await;
        assert_eq!(of_plan().await, [measured, "changed-since-approval service", "changed-since-approval schedule nightly"]);
        let mut tx = t.db.begin().await.unwrap();
        let old = plans::approved(tx.tx(), service).await.unwrap().unwrap();
        assert!(plans::supersede(tx.tx(), old.id(), NOW).await.unwrap());
        tx.commit().await.unwrap();
        approved(&t, service, NOW.plus_secs(-DAY)).await;
        assert_eq!(of_plan().await.into_iter().filter(|f| f != measured).collect::<Vec<_>>(), none);
        let worst = findings(&c, "notebooks").await.unwrap().findings.iter().filter(|j| j.finding.rule.severity == Severity::Blocking).count();
        assert_eq!(worst, 1, "only that nothing was ever tested");
    }
}

#[tokio::test]
async fn an_approval_asks_the_linter_in_its_transaction() {
    use crate::{plans as use_cases, version::Seen as Edit};

    for t in testing::databases().await {
        fill(&t).await;
        let (ada, ben) = (at(&t, Role::Admin, NOW), Ctx { actor: Actor::new("ben", Role::Admin), ..at(&t, Role::Admin, NOW) });
        let content = PlanContent { support_unit: "Notebooks".into(), contact: "ticket".into(), ..PlanContent::default() };
        let row = use_cases::save(&ada, "notebooks", content.clone(), &Edit::Any).await.unwrap();
        // What is open is nobody's who may not change plans.
        let auditor = at(&t, Role::Auditor, NOW);
        assert!(said(&ada).await.contains(&"procedure-missing".to_owned()));
        assert!(!said(&auditor).await.contains(&"procedure-missing".to_owned()), "{}", t.name);
        assert_eq!(findings(&auditor, "notebooks").await.unwrap().version, None);
        let sign = async |number: i64, revision: i64| {
            use_cases::submit(&ada, "notebooks", number, revision, "").await.unwrap();
            let sha = use_cases::version(&ada, "notebooks", number).await.unwrap().row.content_sha256.unwrap();
            use_cases::sign(&ada, "notebooks", number, "Service owner", &sha).await.unwrap();
            use_cases::sign(&ben, "notebooks", number, "Continuity office", &sha).await.unwrap();
            sha
        };
        let sha = sign(row.number, row.revision).await;
        let refused = message(use_cases::approve(&ada, "notebooks", row.number, &sha).await);
        assert!(refused.contains("no procedure is linked (procedure-missing); put it right") && refused.contains("(never-tested)"), "{refused}");
        let version = use_cases::version(&ada, "notebooks", row.number).await.unwrap();
        assert_eq!(use_cases::obstacles(&ada, &version).await.unwrap().len(), 2, "{}", t.name);
        assert_eq!(version.row.state(), State::InReview, "nothing has changed");

        use_cases::give_back(&ada, "notebooks", row.number, "the procedure is missing").await.unwrap();
        let procedures = vec![Procedure { title: "Restore".into(), text: "As written.".into(), ..Procedure::default() }];
        let row = use_cases::save(&ada, "notebooks", PlanContent { procedures, ..content }, &Edit::Any).await.unwrap();
        waive(&ada, "notebooks", &waive_it("2021-03-01")).await.unwrap();
        let sha = sign(row.number, row.revision).await;
        use_cases::approve(&ada, "notebooks", row.number, &sha).await.unwrap();
        let frozen = use_cases::version(&ada, "notebooks", row.number).await.unwrap().row.annex.unwrap();
        assert_eq!(frozen.waivers[0].finding, "never-tested", "{}: the plan tells what was waived", t.name);
    }
}
