//! Use cases of exercises on both databases.

use domain::{
    evidence::{EvidenceLevel, Verdict},
    exercise::{LARGEST_FILE, MOST_FILES, StepKind, StepState, StepText},
    id::{ExerciseId, RestoreTestId, RunId, ServiceId},
    units::Timestamp,
    work::{Selection, Teardown},
};
use store::{
    Clock,
    restore_tests::{self as rows, NewRestoreTest},
    testing::{self, TestDb},
};

use super::{
    Exercise, New, cancel, files, find, finish,
    import::{Past, PastStep, import},
    list, start,
    steps::{self, Said, begin, settle},
};
use crate::{
    Actor, Ctx, OpsError, Role,
    runs_tests::{ctx, fill},
};

fn as_person(t: &TestDb, name: &str) -> Ctx {
    Ctx::new(t.db.clone(), Actor::new(name, Role::Admin), "test")
}

fn at(ctx: &Ctx, s: i64) -> Ctx {
    Ctx { clock: Clock::fixed(Timestamp::from_secs(s)), ..ctx.clone() }
}

fn egi() -> New {
    New { service: "notebooks".into(), template: "egi-notebooks".into(), ..New::default() }
}

fn states(e: &Exercise) -> Vec<&str> {
    e.steps.iter().map(|s| s.state.as_str()).collect()
}

fn text(e: Result<impl std::fmt::Debug, OpsError>) -> String {
    e.unwrap_err().to_string()
}

#[tokio::test]
async fn eight_steps_are_ticked_and_measured() {
    for t in testing::databases().await {
        fill(&t).await;
        let (ada, bob) = (as_person(&t, "ada"), as_person(&t, "bob"));
        let id = start(&at(&ada, 1_000), &egi()).await.unwrap();
        assert_eq!(find(&ada, id).await.unwrap().steps.len(), 8, "{}", t.name);
        for step in 0..5 {
            settle(&at(&ada, 1_010 + step), id, step, Said::Done, "").await.unwrap();
        }
        // Both press the button of step 6: the second is told who was first, and nothing of the first is overwritten.
        settle(&at(&ada, 1_020), id, 5, Said::Done, "key of the storage").await.unwrap();
        let late = text(settle(&at(&bob, 1_021), id, 5, Said::Failed, "no key").await);
        assert!(late.contains("ada was first") && late.contains("00:17:00 UTC") && late.contains("step 6"), "{late}");
        begin(&at(&ada, 1_035), id, 6).await.unwrap();
        let late = text(begin(&at(&bob, 1_036), id, 6).await);
        assert!(late.contains("ada has begun step 7"), "{late}");
        let open = text(finish(&ada, id, "").await);
        assert!(open.contains("7 “Run the recovery”, 8 “Sign in as an original user”"), "{open}");
        settle(&at(&ada, 1_638), id, 6, Said::Done, "75 of 75 users restored").await.unwrap();
        assert!(text(settle(&ada, id, 7, Said::Skipped, " ").await).contains("say why"));
        assert!(text(settle(&ada, id, 7, Said::Failed, "").await).contains("say what failed"));
        settle(&at(&bob, 1_700), id, 7, Said::Skipped, "nobody of them was there").await.unwrap();
        assert_eq!(finish(&at(&bob, 1_800), id, "good").await.unwrap(), Verdict::Passed, "{}", t.name);
        let done = find(&ada, id).await.unwrap();
        assert_eq!((done.verdict(), done.row.rto_s, done.row.ended_by.as_deref()), (Some(Verdict::Passed), Some(603.0), Some("bob")));
        assert_eq!(done.steps[5].note.as_deref(), Some("key of the storage"));
        assert!(text(settle(&ada, id, 7, Said::Done, "").await).contains("bob has finished this exercise"));
        assert!(text(cancel(&ada, id, "late").await).contains("bob has finished"));
        assert!(text(files::add(&ada, id, None, "a.log", b"x").await).contains("bob has finished"));
        // It is no restore test: the service is as untested as before.
        let row = store::services::find_by_name(t.db.read().await.unwrap().tx(), "notebooks").await.unwrap().unwrap();
        assert_eq!((row.last_test_at, crate::restore_tests::list(&ada, None, None, 5).await.unwrap().len()), (None, 0), "{}", t.name);
    }
}

#[tokio::test]
async fn two_people_at_the_same_moment() {
    for t in testing::databases().await {
        fill(&t).await;
        let (ada, bob) = (as_person(&t, "ada"), as_person(&t, "bob"));
        let id = start(&ada, &egi()).await.unwrap();
        let (one, other) = tokio::join!(settle(&ada, id, 0, Said::Done, "a"), settle(&bob, id, 0, Said::Done, "b"));
        let lost = match (&one, &other) {
            (Ok(()), Err(e)) | (Err(e), Ok(())) => e.to_string(),
            _ => panic!("{}: {one:?} {other:?}", t.name),
        };
        let first = if one.is_ok() { "ada" } else { "bob" };
        assert!(lost.contains(&format!("{first} was first")), "{}: {lost}", t.name);
        assert_eq!(find(&ada, id).await.unwrap().steps[0].actor.as_deref(), Some(first));
    }
}

#[tokio::test]
async fn the_past_exercise_of_2019_is_imported_as_such() {
    for t in testing::databases().await {
        fill(&t).await;
        let ada = as_person(&t, "ada");
        let past = Past {
            service: "notebooks".into(),
            title: "Recovery of all users".into(),
            started: "2019-06-06 16:37:15+02:00".into(),
            finished: "2019-06-06T16:47:18+02:00".into(),
            users: Some(75),
            note: "from the plan".into(),
            steps: vec![PastStep {
                title: "Run the recovery".into(),
                details: String::new(),
                state: StepState::Done,
                ended: "2019-06-06 16:47:18+02:00".into(),
                note: String::new(),
            }],
        };
        let id = import(&ada, &past).await.unwrap();
        let e = find(&ada, id).await.unwrap();
        assert!(e.row.is_imported() && e.verdict() == Some(Verdict::Passed), "{}", t.name);
        assert_eq!((e.row.rto_s, e.row.users), (Some(603.0), Some(75)));
        assert_eq!(e.row.started_given.as_deref(), Some("2019-06-06 16:37:15+02:00"));
        assert_eq!(e.row.finished_given.as_deref(), Some("2019-06-06 16:47:18+02:00"));
        assert!(text(settle(&ada, id, 0, Said::Failed, "x").await).contains("was imported"));
        for (wrong, field) in [
            (Past { started: "2019-06-06 16:37:15".into(), ..past.clone() }, "started"),
            (Past { finished: "2019-06-06 16:37:14+02:00".into(), ..past.clone() }, "finished"),
            (Past { finished: "2020-06-06 16:47:18+02:00".into(), ..past.clone() }, "finished"),
            (Past { started: "2919-06-06 16:37:15+02:00".into(), ..past.clone() }, "started"),
            (Past { users: Some(-1), ..past.clone() }, "users"),
            (Past { title: " ".into(), ..past.clone() }, "title"),
            (Past { steps: vec![PastStep { state: StepState::Open, ..past.steps[0].clone() }], ..past.clone() }, "steps[0].state"),
            (Past { steps: vec![PastStep { ended: "16:47".into(), ..past.steps[0].clone() }], ..past.clone() }, "steps[0].ended"),
        ] {
            match import(&ada, &wrong).await {
                Err(OpsError::Invalid(fields)) => assert!(fields.iter().any(|f| f.field == field), "{field}: {fields:?}"),
                other => panic!("{field}: {other:?}"),
            }
        }
        assert!(matches!(import(&ada, &Past { service: "none".into(), ..past }).await, Err(OpsError::NotFound { .. })));
    }
}

/// What the run of a restore test records.
async fn tested(t: &TestDb, run: RunId, verdict: Verdict, at: i64) -> RestoreTestId {
    let mut tx = t.db.begin().await.unwrap();
    let service = store::services::find_by_name(tx.tx(), "notebooks").await.unwrap().unwrap().id();
    let new = NewRestoreTest {
        run,
        service,
        selection: "latest".into(),
        definition: None,
        started_at: Timestamp::from_secs(at),
        finished_at: Timestamp::from_secs(at + 60),
        verdict,
        level: EvidenceLevel::Restored,
        rto_s: Some(60.0),
        rto_target_s: None,
        rpo_s: None,
        rpo_target_s: None,
        items_restored: 1,
        items_skipped: 0,
        items_failed: 0,
        files: 1,
        bytes: 1,
        checks: vec![],
        teardown: Teardown::default(),
        snapshots: vec![],
    };
    let id = rows::save(tx.tx(), &new).await.unwrap();
    tx.commit().await.unwrap();
    id
}

#[tokio::test]
async fn a_restore_test_does_a_step() {
    for t in testing::databases().await {
        fill(&t).await;
        let ada = as_person(&t, "ada");
        let step = |kind| StepText { title: "Restore".into(), details: String::new(), kind };
        let new =
            New { service: "notebooks".into(), title: "Mixed".into(), steps: vec![step(StepKind::RestoreTest), step(StepKind::Manual)], ..New::default() };
        let id = start(&at(&ada, 1_000), &new).await.unwrap();
        assert!(text(settle(&ada, id, 0, Said::Done, "").await).contains("its verdict decides"));
        assert!(text(steps::take(&ada, id, 0).await).contains("start one"));
        assert!(text(steps::start_test(&ada, id, 1, Selection::Latest).await).contains("tick it"));
        let run = steps::start_test(&at(&ada, 1_010), id, 0, Selection::Latest).await.unwrap();
        assert!(text(steps::take(&ada, id, 0).await).contains("still waits"), "{}", t.name);
        assert!(text(settle(&ada, id, 0, Said::Skipped, "no time").await).contains("its verdict decides"));
        let test = tested(&t, run, Verdict::Passed, 1_020).await;
        assert_eq!(steps::take(&ada, id, 0).await.unwrap(), StepState::Done, "{}", t.name);
        let e = find(&ada, id).await.unwrap();
        assert_eq!((e.steps[0].test_id, e.steps[0].began_at, e.steps[0].ended_at), (Some(test.0), Some(1_020_000_000), Some(1_080_000_000)));
        settle(&at(&ada, 1_100), id, 1, Said::Done, "").await.unwrap();
        assert_eq!(finish(&at(&ada, 1_200), id, "").await.unwrap(), Verdict::Passed);
        assert_eq!(find(&ada, id).await.unwrap().row.rto_s, Some(80.0), "from the test's own beginning");

        let id = start(&at(&ada, 2_000), &new).await.unwrap();
        assert!(text(steps::link_test(&ada, id, 0, test).await).contains("before this exercise"));
        crate::runs::cancel(&ada, run, "done").await.unwrap();
        let other = crate::restore_tests::start(&ada, "notebooks", Selection::Latest).await.unwrap();
        let later = tested(&t, other, Verdict::Unknown, 2_010).await;
        assert_eq!(steps::link_test(&ada, id, 0, later).await.unwrap(), StepState::Unknown);
        settle(&ada, id, 1, Said::Done, "").await.unwrap();
        assert_eq!(finish(&ada, id, "").await.unwrap(), Verdict::Unknown, "{}", t.name);
    }
}

#[tokio::test]
async fn files_are_bounded_and_come_back_as_they_were() {
    for t in testing::databases().await {
        fill(&t).await;
        let ada = as_person(&t, "ada");
        let id = start(&ada, &egi()).await.unwrap();
        let file = files::add(&ada, id, Some(6), "C:\\logs\\recover.log", b"75 users").await.unwrap();
        let (row, content) = files::read(&ada, id, file).await.unwrap();
        assert_eq!((row.name.as_str(), row.kind.as_str(), row.position, content.as_slice()), ("recover.log", "text/plain", Some(6), &b"75 users"[..]));
        assert!(text(files::read(&ada, ExerciseId(uuid::Uuid::nil()), file).await).contains("there is no exercise"));
        for (name, content, why) in [
            ("x.html", vec![b'<'], "not what its name says"),
            ("a.txt", vec![], "is empty"),
            ("", vec![b'x'], "plain name"),
            ("a.log", vec![b'a'; LARGEST_FILE + 1], "5 MiB"),
        ] {
            let said = text(files::add(&ada, id, None, name, &content).await);
            assert!(said.contains(why), "{name}: {said}");
        }
        assert!(text(files::add(&ada, id, Some(8), "a.log", b"x").await).contains("there is no step “9”"));
        for n in 1..MOST_FILES {
            files::add(&ada, id, None, &format!("{n}.txt"), b"x").await.unwrap();
        }
        assert!(text(files::add(&ada, id, None, "more.txt", b"x").await).contains("one too many"), "{}", t.name);
        assert_eq!(find(&ada, id).await.unwrap().files.len() as i64, MOST_FILES);
    }
}

#[tokio::test]
async fn whoever_may_not_is_refused() {
    let t = testing::sqlite().await;
    fill(&t).await;
    let admin = ctx(&t, Role::Admin);
    let service = crate::services::find(&admin, "notebooks").await.unwrap().id();
    let owner = Ctx { actor: Actor { services: vec![service], ..Actor::new("olga", Role::Owner) }, ..admin.clone() };
    let other = Ctx { actor: Actor { services: vec![ServiceId(uuid::Uuid::nil())], ..Actor::new("olaf", Role::Owner) }, ..admin.clone() };
    let id = start(&owner, &egi()).await.unwrap();
    let past = Past {
        service: "notebooks".into(),
        title: "x".into(),
        started: "2019-06-06 16:37:15+02:00".into(),
        finished: "2019-06-06 16:47:18+02:00".into(),
        ..Past::default()
    };
    for who in [ctx(&t, Role::Auditor), ctx(&t, Role::Member), ctx(&t, Role::Anonymous), other] {
        let forbidden = |e: Option<OpsError>| assert!(matches!(e, Some(OpsError::Forbidden(_))), "{}: {e:?}", who.actor.name);
        forbidden(start(&who, &egi()).await.err());
        forbidden(begin(&who, id, 0).await.err());
        forbidden(settle(&who, id, 0, Said::Done, "").await.err());
        forbidden(finish(&who, id, "").await.err());
        forbidden(cancel(&who, id, "x").await.err());
        forbidden(import(&who, &past).await.err());
        forbidden(files::add(&who, id, None, "a.txt", b"x").await.err());
        if who.actor.role == Role::Auditor {
            assert_eq!(list(&who, None, None, 5).await.unwrap().len(), 1);
        } else {
            forbidden(find(&who, id).await.err());
        }
    }
    import(&owner, &past).await.unwrap();
    assert_eq!(list(&owner, None, None, 5).await.unwrap().len(), 2);
    cancel(&owner, id, "the room is not free").await.unwrap();
    assert_eq!(states(&find(&owner, id).await.unwrap())[0], "open");
    for (new, why) in [
        (New { template: "none".into(), ..egi() }, "there is no template"),
        (New { template: String::new(), title: "x".into(), ..egi() }, "are missing"),
        (New { from: Some(9), ..egi() }, "1 to 8"),
        (New { from: Some(5), to: Some(4), ..egi() }, "from 5 to 8"),
        (New { title: "x".repeat(201), ..egi() }, "shorten it"),
    ] {
        let said = text(start(&owner, &new).await);
        assert!(said.contains(why), "{said}");
    }
}
