//! Definitions of restore tests: who may make which, two who change one at once, what runs and schedules keep of them.

use domain::{
    definition::{Check, Probe},
    id::{RunId, ServiceId},
    units::Timestamp,
    work::{RestoreTestParams, Selection},
};
use store::{Clock, runs as rows, testing};

use super::*;
use crate::{
    Actor, Role,
    config::{CommandTool, apply, parse},
    restore_tests,
    schedules::{self as plans, Draft},
};

const CONFIG: &str = "version: 1
repositories:
  - { name: main, location: file:///srv/backup/main, password: { file: /etc/holdfast/main.password } }
services:
  - { name: notebooks, owner: ops, sources: [{ name: homes, kind: directory, path: /srv/homes, items: children, repository: main }] }
  - { name: wiki, owner: ops, sources: [{ name: files, kind: directory, path: /srv/wiki, items: children, repository: main }] }
";

async fn stage(db: &store::testing::TestDb) -> (Ctx, ServiceId, ServiceId) {
    let ctx = Ctx { clock: Clock::fixed(Timestamp::from_secs(1_700_000_000)), ..Ctx::new(db.db.clone(), Actor::new("ada", Role::Admin), "test") };
    apply(&Ctx::new(db.db.clone(), Actor::shell(), "shell"), &parse(CONFIG).unwrap(), None).await.unwrap();
    let one = services::find(&ctx, "notebooks").await.unwrap().id();
    let other = services::find(&ctx, "wiki").await.unwrap().id();
    (ctx, one, other)
}

fn tools() -> Tools {
    Tools { commands: vec![CommandTool { name: "hub-starts".into(), argv: vec!["/bin/true".into()], limit_s: 60 }], ..Tools::default() }
}

fn terms(count: i64) -> Terms {
    Terms { selection: Selection::Sample { count }, rto_s: Some(600), ..Terms::default() }
}

fn commanding() -> Terms {
    Terms { checks: vec![Check { name: "hub".into(), probe: Probe::Command { command: "hub-starts".into() } }], ..terms(1) }
}

async fn params(ctx: &Ctx, run: RunId) -> RestoreTestParams {
    rows::find(ctx.db.read().await.unwrap().tx(), run).await.unwrap().unwrap().params().unwrap()
}

#[tokio::test]
async fn a_definition_is_made_changed_and_removed_and_every_step_is_audited() {
    for db in testing::databases().await {
        let (ctx, ..) = stage(&db).await;
        save(&ctx, &tools(), "notebooks", "weekly", &terms(3), &Seen::Absent).await.unwrap();
        let again = save(&ctx, &tools(), "notebooks", "weekly", &terms(4), &Seen::Absent).await;
        assert!(matches!(again, Err(OpsError::Stale(_))), "{}: {again:?}", db.name);
        let row = find(&ctx, "notebooks", "weekly").await.unwrap();
        let seen = Seen::in_form(&version(&row));
        save(&ctx, &tools(), "notebooks", "weekly", &commanding(), &seen).await.unwrap();
        // The one who opened the page before that is told so.
        let late = save(&ctx, &tools(), "notebooks", "weekly", &terms(9), &seen).await;
        assert!(matches!(&late, Err(OpsError::Stale(s)) if s.last.as_ref().is_some_and(|l| l.0 == "ada")), "{late:?}");
        assert!(matches!(remove(&ctx, "notebooks", "weekly", &seen).await, Err(OpsError::Stale(_))));
        assert_eq!(list(&ctx, "notebooks").await.unwrap()[0].terms.0, commanding(), "{}", db.name);
        assert!(list(&ctx, "wiki").await.unwrap().is_empty());
        remove(&ctx, "notebooks", "weekly", &Seen::Any).await.unwrap();
        assert!(matches!(find(&ctx, "notebooks", "weekly").await, Err(OpsError::NotFound { .. })));
        let filter = store::audit::Filter { entity: "test_definition".into(), ..store::audit::Filter::default() };
        let events = store::audit::list(db.db.read().await.unwrap().tx(), &filter, i64::MAX, 10).await.unwrap();
        let said: Vec<_> = events.iter().rev().map(|e| e.action.as_str()).collect();
        assert_eq!(said, ["test_definition.create", "test_definition.change", "test_definition.remove"], "{}", db.name);
    }
}

#[tokio::test]
async fn an_owner_defines_what_is_taken_and_only_an_admin_what_is_called() {
    let db = testing::sqlite().await;
    let (ctx, notebooks, _) = stage(&db).await;
    let owner = Ctx { actor: Actor { services: vec![notebooks], ..Actor::new("oda", Role::Owner) }, ..ctx.clone() };
    let auditor = Ctx { actor: Actor::new("aud", Role::Auditor), ..ctx.clone() };
    let forbidden = |r: Result<TestDefinitionId>| matches!(r, Err(OpsError::Forbidden(_)));
    save(&owner, &tools(), "notebooks", "weekly", &terms(3), &Seen::Absent).await.unwrap();
    assert!(forbidden(save(&owner, &tools(), "notebooks", "deep", &commanding(), &Seen::Absent).await));
    assert!(forbidden(save(&owner, &tools(), "wiki", "weekly", &terms(3), &Seen::Absent).await), "not theirs");
    assert!(forbidden(save(&auditor, &tools(), "notebooks", "weekly", &terms(3), &Seen::Any).await));
    save(&ctx, &tools(), "notebooks", "weekly", &commanding(), &Seen::Present).await.unwrap();
    // What an admin has put in cannot be taken out by an owner either.
    assert!(forbidden(save(&owner, &tools(), "notebooks", "weekly", &terms(3), &Seen::Present).await));
    assert!(matches!(remove(&owner, "notebooks", "weekly", &Seen::Any).await, Err(OpsError::Forbidden(_))));
    assert!(matches!(list(&owner, "wiki").await, Err(OpsError::Forbidden(_))));
    // But they may run it.
    restore_tests::start_by(&owner, "notebooks", "weekly").await.unwrap();
    assert!(matches!(restore_tests::start_by(&auditor, "notebooks", "weekly").await, Err(OpsError::Forbidden(_))));
}

#[tokio::test]
async fn what_cannot_be_used_is_named_with_its_remedy() {
    let db = testing::sqlite().await;
    let (ctx, ..) = stage(&db).await;
    let mut wrong = commanding();
    wrong.checks[0].probe = Probe::Command { command: "hub-start".into() };
    wrong.checks.push(Check { name: "a b".into(), probe: Probe::Http { url: "ftp://x".into(), status: 200, text: String::new() } });
    wrong.selection = Selection::Random { days: 0 };
    wrong.start = Some("nothing".into());
    let Err(OpsError::Invalid(fields)) = save(&ctx, &tools(), "notebooks", "new", &wrong, &Seen::Any).await else { panic!("it was saved") };
    let named: Vec<_> = fields.iter().map(|f| f.field.as_str()).collect();
    assert_eq!(named, ["name", "days", "checks[1].name", "checks[1].url", "checks[0].command", "start"]);
    assert!(fields[4].message.contains("did you mean “hub-starts”?"), "{}", fields[4].message);
}

#[tokio::test]
async fn a_run_keeps_the_terms_of_the_moment_it_was_queued() {
    for db in testing::databases().await {
        let (ctx, ..) = stage(&db).await;
        assert!(matches!(restore_tests::start_by(&ctx, "notebooks", "weekly").await, Err(OpsError::NotFound { .. })));
        save(&ctx, &tools(), "notebooks", "weekly", &terms(3), &Seen::Absent).await.unwrap();
        let run = restore_tests::start_by(&ctx, "notebooks", "weekly").await.unwrap();
        save(&ctx, &tools(), "notebooks", "weekly", &commanding(), &Seen::Any).await.unwrap();
        let kept = params(&ctx, run).await;
        assert_eq!((kept.definition.as_deref(), kept.selection, kept.terms), (Some("weekly"), Selection::Sample { count: 3 }, Some(terms(3))), "{}", db.name);
        crate::runs::cancel(&ctx, run, "").await.unwrap();
        // To try the run again is to do the same; after the definition is gone as well.
        remove(&ctx, "notebooks", "weekly", &Seen::Any).await.unwrap();
        let again = crate::runs::retry(&ctx, run, crate::runs::Retry::All).await.unwrap();
        assert_eq!(params(&ctx, again).await.terms, Some(terms(3)), "{}", db.name);
    }
}

#[tokio::test]
async fn a_schedule_tests_by_a_definition_and_keeps_it_from_being_removed() {
    for db in testing::databases().await {
        let clock = Clock::fixed(Timestamp::from_secs(1_700_000_000));
        let (ctx, ..) = stage(&db).await;
        let ctx = Ctx { clock: clock.clone(), ..ctx };
        let draft = Draft {
            name: "tests".into(),
            kind: ScheduleKind::RestoreTest,
            of: "notebooks".into(),
            definition: Some("weekly".into()),
            cron: "0 * * * *".into(),
            ..Draft::default()
        };
        let Err(OpsError::Invalid(fields)) = plans::save(&ctx, &draft, None).await else { panic!("{}: it was saved", db.name) };
        assert_eq!(fields[0].field, "definition");
        save(&ctx, &tools(), "notebooks", "weekly", &terms(3), &Seen::Absent).await.unwrap();
        let id = plans::save(&ctx, &draft, None).await.unwrap();
        assert_eq!(plans::draft_of(&plans::find(&ctx, "tests").await.unwrap()).unwrap().definition.as_deref(), Some("weekly"));
        let refused = remove(&ctx, "notebooks", "weekly", &Seen::Any).await;
        assert!(matches!(&refused, Err(OpsError::Conflict(m)) if m.contains("tests")), "{refused:?}");
        // What it says when the time has come is what is done.
        save(&ctx, &tools(), "notebooks", "weekly", &terms(7), &Seen::Any).await.unwrap();
        clock.advance_secs(3_600);
        let ticked = plans::tick(&Ctx { actor: Actor::system(), ..ctx.clone() }, id).await.unwrap();
        assert_eq!(params(&ctx, ticked.runs[0]).await.terms, Some(terms(7)), "{}", db.name);
        let other = Draft { kind: ScheduleKind::Backup, name: "daily".into(), ..draft };
        assert!(matches!(plans::save(&ctx, &other, None).await, Err(OpsError::Invalid(f)) if f[0].field == "definition"));
    }
}
