//! Use cases of risks on both databases: who may, what is refused, what is derived, two editors at once.

use domain::{
    id::ServiceId,
    risk::{
        Measure, Missing, ReviewState, Treatment,
        proof::State,
        scale::{Scale, ScaleRef},
    },
    schedule::Misfire,
};
use store::{
    Clock, services as service_rows,
    testing::{self, TestDb},
};

use super::*;
use crate::{
    Actor, Role,
    runs_tests::fill,
    schedules::{self as rules, Draft},
};

/// Thursday 25 February 2021, 08:42 UTC.
const NOW: Timestamp = Timestamp::from_secs(1_614_242_520);
const H: i64 = 3_600;

async fn stage(db: &TestDb) -> Ctx {
    fill(db).await;
    Ctx { clock: Clock::fixed(NOW), ..Ctx::new(db.db.clone(), Actor::shell(), "test") }
}

fn later(ctx: &Ctx, s: i64) -> Ctx {
    Ctx { clock: Clock::fixed(NOW.plus_secs(s)), ..ctx.clone() }
}

fn risk(description: &str) -> Risk {
    Risk { description: description.into(), likelihood: 2, impact: 2, ..Risk::default() }
}

fn grave(description: &str) -> Risk {
    Risk {
        likelihood: 3,
        impact: 2,
        treatment: Some(Treatment::Reduce),
        owner: "notebooks-ops".into(),
        due: Some("2021-05-31".parse().unwrap()),
        ..risk(description)
    }
}

fn fields<T: std::fmt::Debug>(done: Result<T>) -> Vec<String> {
    match done {
        Err(OpsError::Invalid(errors)) => errors.into_iter().map(|e| e.field).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn owners_change_the_risks_of_their_services_alone() {
    let db = testing::sqlite().await;
    let shell = stage(&db).await;
    let id = service_rows::find_by_name(db.db.read().await.unwrap().tx(), "notebooks").await.unwrap().unwrap().id();
    create(&shell, "notebooks", None, &risk("fire"), false).await.unwrap();
    let as_role = |role: Role, services: Vec<ServiceId>| Ctx { actor: Actor { services, ..Actor::new("somebody", role) }, ..shell.clone() };
    for (ctx, reads, writes) in [
        (as_role(Role::Admin, Vec::new()), true, true),
        (as_role(Role::Owner, vec![id]), true, true),
        (as_role(Role::Owner, Vec::new()), false, false),
        (as_role(Role::Auditor, Vec::new()), true, false),
        (as_role(Role::Member, Vec::new()), false, false),
        (Ctx { actor: Actor::anonymous(), ..shell.clone() }, false, false),
    ] {
        let role = ctx.actor.role;
        let refused = |e: Option<OpsError>| matches!(e, Some(OpsError::Forbidden(_)));
        assert_eq!(!refused(list(&ctx, "notebooks", false).await.err()), reads, "{role}");
        assert_eq!(!refused(history(&ctx, "notebooks", 1, None, 9).await.err()), reads, "{role}");
        assert_eq!(!refused(create(&ctx, "notebooks", None, &risk("flood"), false).await.err()), writes, "{role}");
        assert_eq!(!refused(change_if(&ctx, "notebooks", 1, &risk("fire"), &Seen::Any).await.err()), writes, "{role}");
        assert_eq!(!refused(change_all(&ctx, "notebooks", &[]).await.err()), writes, "{role}");
        assert_eq!(!refused(retire_if(&ctx, "notebooks", 1, "", &Seen::Any).await.err()), writes, "{role}");
        assert_eq!(!refused(import(&ctx, "notebooks", &[]).await.err()), writes, "{role}");
        assert_eq!(!refused(save_scale(&ctx, "2021", &Scale::built_in(), &Seen::Any).await.err()), role == Role::Admin, "{role}");
    }
}

#[tokio::test]
async fn a_risk_is_made_changed_and_retired_with_its_history() {
    for db in testing::databases().await {
        let ctx = stage(&db).await;
        assert_eq!(create(&ctx, "notebooks", None, &risk("fire"), false).await.unwrap(), 1, "{}", db.name);
        assert_eq!(create(&ctx, "notebooks", Some(8), &risk("flood"), false).await.unwrap(), 8);
        assert_eq!(create(&ctx, "notebooks", None, &risk("storm"), false).await.unwrap(), 9);
        assert_eq!(fields(create(&ctx, "notebooks", Some(8), &risk("again"), false).await), ["number"]);
        let seen = |revision: i64| Seen::in_form(&revision.to_string());
        change_if(&ctx, "notebooks", 1, &grave("fire"), &seen(1)).await.unwrap();
        change_if(&ctx, "notebooks", 1, &grave(" fire "), &seen(2)).await.unwrap();
        let judged = find(&ctx, "notebooks", 1).await.unwrap();
        assert_eq!((judged.row.revision, judged.level.as_str(), judged.state), (2, "High", State::Grey), "{}: the same again changes nothing", db.name);
        let late = change_if(&ctx, "notebooks", 1, &risk("late"), &seen(1)).await.unwrap_err();
        let OpsError::Stale(stale) = late else { panic!("{late}") };
        assert_eq!((stale.there, stale.last.map(|l| l.0).as_deref()), (true, Some("shell")), "{}", db.name);

        assert_eq!(fields(retire_if(&ctx, "notebooks", 1, " ", &seen(2)).await), ["reason"]);
        assert!(matches!(retire_if(&ctx, "notebooks", 1, "gone", &seen(1)).await, Err(OpsError::Stale(_))));
        retire_if(&ctx, "notebooks", 1, "the building is of stone", &seen(2)).await.unwrap();
        assert!(matches!(change_if(&ctx, "notebooks", 1, &risk("x"), &Seen::Any).await, Err(OpsError::Gone(_))));
        assert_eq!(list(&ctx, "notebooks", false).await.unwrap().iter().map(|j| j.row.number).collect::<Vec<_>>(), [8, 9]);
        assert_eq!(list(&ctx, "notebooks", true).await.unwrap().len(), 3);

        let told = history(&ctx, "notebooks", 1, None, 9).await.unwrap();
        let kinds: Vec<_> = told.iter().map(|r| (r.revision, r.kind.as_str(), r.actor.as_str())).collect();
        assert_eq!(kinds, [(3, "retired", "shell"), (2, "changed", "shell"), (1, "created", "shell")]);
        let changed: Vec<_> = told[1].changes.iter().map(|c| (c.field.as_str(), c.before.as_str(), c.after.as_str())).collect();
        assert_eq!(changed, [("likelihood", "2", "3"), ("treatment", "", "reduce"), ("owner", "", "notebooks-ops"), ("due", "", "2021-05-31")], "{}", db.name);
        assert_eq!((told[0].reason.as_deref(), told[0].changes.len()), (Some("the building is of stone"), 0));
        let page = history(&ctx, "notebooks", 1, Some(3), 1).await.unwrap();
        assert_eq!((page.len(), page[0].revision, &page[0].changes), (1, 2, &told[1].changes), "a page knows what came before it");
    }
}

#[tokio::test]
async fn people_say_what_is_done_about_a_grave_risk_and_old_plans_may_not() {
    let db = testing::sqlite().await;
    let ctx = stage(&db).await;
    let bare = Risk { likelihood: 3, stated_level: Some("medium".into()), ..risk("staff") };
    assert_eq!(fields(create(&ctx, "notebooks", None, &bare, false).await), ["treatment", "owner", "due"]);
    assert_eq!(import(&ctx, "notebooks", &[(Some(4), risk("network")), (Some(5), bare.clone())]).await.unwrap(), [4, 5]);
    let judged = find(&ctx, "notebooks", 5).await.unwrap();
    assert_eq!(judged.incomplete, [Missing::Treatment, Missing::Owner, Missing::Due]);
    assert_eq!(judged.conflict.as_deref(), Some("stated Medium, but the rating is 6, which is High"), "both are kept");
    assert!(judged.row.imported && judged.risk().stated_level.as_deref() == Some("Medium"));
    // As soon as a person saves it, it has to be whole.
    assert_eq!(fields(change_if(&ctx, "notebooks", 5, &Risk { comment: "seen".into(), ..bare.clone() }, &Seen::Any).await), ["treatment", "owner", "due"]);
    let wrong = import(&ctx, "notebooks", &[(None, risk("good")), (None, Risk { likelihood: 5, ..bare })]).await;
    assert_eq!(fields(wrong), ["risks[1].likelihood"]);
    assert_eq!(list(&ctx, "notebooks", true).await.unwrap().len(), 2, "all of them or none");
}

#[tokio::test]
async fn a_red_proof_makes_the_risk_red_and_says_why() {
    for db in testing::databases().await {
        let ctx = stage(&db).await;
        let draft =
            Draft { name: "hourly".into(), of: "notebooks".into(), cron: "0 * * * *".into(), misfire: Misfire::Skip, runs_a_day: Some(24), ..Draft::default() };
        rules::save(&ctx, &draft, None).await.unwrap();
        let link = |name: &str| Some(Link::Schedule { name: name.into() });
        let measure = |text: &str, proof| Measure { text: text.into(), proof };
        let with = |measures| Risk { measures, ..risk("fire") };
        assert_eq!(fields(create(&ctx, "notebooks", None, &with(vec![measure("backup", link("nightly"))]), false).await), ["measures[0].proof"]);
        let all = vec![
            measure("hourly backup", link("hourly")),
            measure("restore tests", Some(Link::RestoreTests)),
            measure("probe", Some(Link::Address { url: "https://status.example.org/".into() })),
            measure("code in git", None),
        ];
        create(&ctx, "notebooks", None, &with(all), false).await.unwrap();
        let states = |j: &Judged| j.measures.iter().map(|m| m.standing.state.as_str()).collect::<Vec<_>>().join(" ");
        let judged = find(&ctx, "notebooks", 1).await.unwrap();
        assert_eq!((states(&judged).as_str(), judged.state), ("grey red grey grey", State::Red), "{}: never restored", db.name);
        // The scheduler was away for two ticks.
        let after = later(&ctx, 2 * H);
        let row = rules::find(&after, "hourly").await.unwrap();
        assert!(
            find(&after, "notebooks", 1).await.unwrap().reasons[0].starts_with("hourly backup: the run that is due has not begun since 2021-02-25 09:00 UTC")
        );
        rules::tick(&after, row.id()).await.unwrap();
        let judged = find(&after, "notebooks", 1).await.unwrap();
        assert_eq!(judged.reasons[0], "hourly backup: last two runs missed since 2021-02-25 09:00 UTC", "{}", db.name);
        assert_eq!(judged.reasons.len(), 2);
        // What is gone proves nothing, and the risk can be changed all the same.
        rules::remove(&after, "hourly").await.unwrap();
        let judged = find(&after, "notebooks", 1).await.unwrap();
        assert!(judged.reasons[0].contains("the schedule hourly was removed"), "{}", judged.reasons[0]);
        change_if(&after, "notebooks", 1, &Risk { comment: "seen".into(), ..judged.risk().clone() }, &Seen::Any).await.unwrap();

        let mut read = db.db.read().await.unwrap();
        let service = service_rows::find_by_name(read.tx(), "notebooks").await.unwrap().unwrap();
        let plan = of_plan(read.tx(), &service, after.now()).await.unwrap();
        let row = &plan[0];
        assert_eq!(
            (row.level.as_str(), row.likelihood_name.as_str(), row.impact_name.as_str(), row.scale.as_str()),
            ("Medium", "possible", "moderate", "2021")
        );
        assert_eq!(row.measures.iter().map(|m| m.linked).collect::<Vec<_>>(), [true, true, false, false]);
    }
}

#[tokio::test]
async fn many_are_saved_together_or_not_at_all() {
    for db in testing::databases().await {
        let ctx = stage(&db).await;
        for n in 0..3 {
            create(&ctx, "notebooks", None, &risk(&format!("risk {n}")), false).await.unwrap();
        }
        let shown: Vec<Row> = list(&ctx, "notebooks", false).await.unwrap().iter().map(|j| Row::of(j.row.number, j.row.revision, j.risk())).collect();
        assert_eq!(change_all(&ctx, "notebooks", &shown).await.unwrap(), 0, "{}", db.name);
        let mut typed = shown.clone();
        typed[0].impact = "1".into();
        (typed[1].likelihood, typed[1].due) = ("five".into(), "soon".into());
        typed[2].likelihood = "3".into();
        assert_eq!(
            fields(change_all(&ctx, "notebooks", &typed).await),
            ["risks[2].likelihood", "risks[2].due", "risks[3].treatment", "risks[3].owner", "risks[3].due"],
            "{}: every cell that is wrong",
            db.name
        );
        assert_eq!(find(&ctx, "notebooks", 1).await.unwrap().row.revision, 1, "{}: nothing was saved", db.name);
        typed[1] = shown[1].clone();
        (typed[2].treatment, typed[2].owner, typed[2].due) = ("accept".into(), "ops".into(), "2021-06-30".into());
        typed[2].review = "reviewed".into();
        assert_eq!(change_all(&ctx, "notebooks", &typed).await.unwrap(), 2);
        let third = find(&ctx, "notebooks", 3).await.unwrap();
        assert_eq!((third.level.as_str(), third.risk().review, third.row.revision), ("High", ReviewState::Reviewed, 2), "{}", db.name);

        // Another one, who started from the same: what they left alone is no matter, what they changed is refused.
        let mut second = shown.clone();
        second[1].impact = "3".into();
        (second[1].treatment, second[1].owner, second[1].due) = ("avoid".into(), "ops".into(), "2021-06-30".into());
        assert_eq!(change_all(&ctx, "notebooks", &second).await.unwrap(), 1, "{}", db.name);
        second[0].impact = "4".into();
        second[1] = shown[1].clone();
        let refused = change_all(&ctx, "notebooks", &second).await;
        assert!(matches!(&refused, Err(OpsError::Stale(s)) if s.name == "1"), "{}: {refused:?}", db.name);
        assert_eq!(find(&ctx, "notebooks", 1).await.unwrap().risk().impact, 1);
    }
}

#[tokio::test]
async fn a_scale_that_changes_is_a_new_version() {
    for db in testing::databases().await {
        let ctx = stage(&db).await;
        create(&ctx, "notebooks", None, &grave("staff"), false).await.unwrap();
        let calm = Scale { threshold: "extreme".into(), ..Scale::built_in() };
        let first = ScaleRef::default();
        assert_eq!(save_scale(&ctx, "2021", &Scale::built_in(), &Seen::Any).await.unwrap(), first, "{}: the same again is no new one", db.name);
        assert!(matches!(save_scale(&ctx, "2021", &calm, &Seen::Absent).await, Err(OpsError::Stale(_))));
        let second = save_scale(&ctx, "2021", &calm, &Seen::in_form("1")).await.unwrap();
        assert_eq!(second.to_string(), "2021 v2");
        assert!(matches!(save_scale(&ctx, "2021", &Scale::built_in(), &Seen::in_form("1")).await, Err(OpsError::Stale(_))), "{}", db.name);
        let judged = find(&ctx, "notebooks", 1).await.unwrap();
        assert_eq!((&judged.risk().scale, judged.scale.threshold.as_str()), (&first, "High"), "{}: it keeps the one it was rated by", db.name);
        let on_second = Risk { scale: second.clone(), likelihood: 3, ..risk("network") };
        create(&ctx, "notebooks", None, &on_second, false).await.unwrap();
        let unknown = Risk { scale: ScaleRef { name: "2021".into(), version: 7 }, ..risk("x") };
        assert_eq!(fields(create(&ctx, "notebooks", None, &unknown, false).await), ["scale"]);

        let mut gap = Scale::built_in();
        gap.bands[2].from = 8;
        assert_eq!(fields(save_scale(&ctx, "gap", &gap, &Seen::Absent).await), ["bands"]);
        assert_eq!(fields(save_scale(&ctx, "No Slug", &calm, &Seen::Absent).await), ["name"]);
        let all = scales(&ctx).await.unwrap();
        assert_eq!(all.iter().map(|s| (s.name.to_string(), s.newest)).collect::<Vec<_>>(), [("2021 v2".to_owned(), true), ("2021".to_owned(), false)]);
        assert_eq!(all[0].scale.threshold, "Extreme");
        assert_eq!(scale_version(&ctx, "2021", None).await.unwrap().name, second);
        assert!(matches!(scale_version(&ctx, "2019", None).await, Err(OpsError::NotFound { .. })));
    }
}
