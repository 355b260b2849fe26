//! Use cases of runs on both databases: who may, what is refused and why, what is tried again.

use domain::{
    evidence::EvidenceLevel,
    id::{RunId, ServiceId, SnapshotId},
    restore::ConflictMode,
    run::{ItemState, RunEvent, RunKind, RunState},
    units::Timestamp,
    work::{RestoreTarget, Selection},
};
use serde_json::json;
use store::{
    ids::NewId,
    items, queue,
    repositories::{self, NewRepository, SecretRef, StorageOptions},
    run_events::{self, Least},
    run_items,
    runs::Filter,
    services::{self, NewService},
    snapshots::{self, NewSnapshot},
    sources::{self, NewSource},
    testing::{self, TestDb},
};
use uuid::Uuid;

use crate::{
    Actor, Ctx, OpsError, Role, backups, checks, restore_tests,
    restores::{self, Choice, Request},
    runs::{self, LogFilter, Retry},
    tamper_tests,
};

pub(crate) fn ctx(t: &TestDb, role: Role) -> Ctx {
    Ctx::new(t.db.clone(), Actor::new("somebody", role), "test")
}

/// A service with one source and one snapshot of `ada`.
pub(crate) async fn fill(t: &TestDb) -> SnapshotId {
    let now = Timestamp(1);
    let mut tx = t.db.begin().await.unwrap();
    let options = StorageOptions::default();
    let new = NewRepository {
        name: "main".into(),
        location: "file:///srv/backup".into(),
        options,
        password: SecretRef::Env("P".into()),
        max_parallel: None,
        read_all_within_s: None,
    };
    let repository = repositories::upsert(tx.tx(), &new, now).await.unwrap();
    let new = NewService { name: "notebooks".into(), title: "N".into(), owner: "o".into(), rpo_s: None, rto_s: None, mtpod_s: None, canary: None };
    let service = services::upsert(tx.tx(), &new, now).await.unwrap();
    let config = json!({"kind": "directory", "path": "/srv/exports", "items": "children", "exclude": []});
    let new = NewSource { service, repository, name: "homes".into(), kind: "directory".into(), config, position: 0, policy: None };
    let source = sources::upsert(tx.tx(), &new, now).await.unwrap();
    let item = items::seen(tx.tx(), source, service, None, "ada", now).await.unwrap();
    let new = NewSnapshot {
        repository,
        service: Some(service),
        source: Some(source),
        item: Some(item),
        person: None,
        run: None,
        restic_id: "a".repeat(64),
        tree: "b".repeat(64),
        parent_restic_id: None,
        taken_at: now,
        host: "notebooks".into(),
        label: "ada".into(),
        paths: vec!["/srv/exports/ada".into()],
        tags: vec![],
        state: "complete",
        files: 1,
        dirs: 0,
        bytes: 1,
        bytes_added: 1,
        files_added: 1,
        files_changed: 0,
        files_removed: 0,
        errors: 0,
        measure: None,
    };
    let snapshot = snapshots::insert(tx.tx(), &new).await.unwrap();
    snapshots::set_level(tx.tx(), snapshot, EvidenceLevel::Exists, now).await.unwrap();
    tx.commit().await.unwrap();
    snapshot
}

fn to(snapshot: SnapshotId, path: &str) -> Request {
    let target = RestoreTarget::Folder { path: path.to_owned() };
    Request { choices: vec![Choice { snapshot, paths: vec![] }], target, conflict: ConflictMode::Fail, preview: false, confirm: None }
}

async fn end(t: &TestDb, event: RunEvent) -> RunId {
    let token = Uuid::now_v7();
    let mut tx = t.db.begin().await.unwrap();
    let lease = queue::Lease { owner: "w", token, until: Timestamp(i64::MAX) };
    let run = queue::claim(tx.tx(), &lease, Timestamp(i64::MAX)).await.unwrap().unwrap();
    queue::finish(tx.tx(), run.id(), token, &queue::End { event, result: None, failure: None }, Timestamp(9)).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    run.id()
}

#[tokio::test]
async fn wrong_roles_are_refused_everywhere() {
    for t in testing::databases().await {
        let snapshot = fill(&t).await;
        let admin = ctx(&t, Role::Admin);
        let run = backups::start(&admin, "notebooks", None, None).await.unwrap()[0];
        let row = runs::find(&admin, run).await.unwrap();
        for role in [Role::Auditor, Role::Anonymous] {
            let c = ctx(&t, role);
            macro_rules! refused {
                ($($call:expr),+ $(,)?) => {$( assert!(matches!($call.await, Err(OpsError::Forbidden(_))), "{role:?}: {}", stringify!($call)); )+};
            }
            refused!(
                backups::start(&c, "notebooks", None, None),
                backups::start_source(&c, domain::id::SourceId(row.source_id.unwrap()), None, None),
                checks::start(&c, "main", false),
                checks::start_repository(&c, domain::id::RepositoryId(row.repository_id.unwrap()), domain::work::CheckParams::STRUCTURE, None),
                restore_tests::start(&c, "notebooks", Selection::All),
                restore_tests::retry(&c, domain::id::ServiceId(row.service_id.unwrap()), domain::work::RestoreTestParams::built_in(Selection::All), row.id(),),
                restores::start(&c, to(snapshot, "/tmp/x")),
                tamper_tests::start(&c, "main"),
                tamper_tests::start_repository(&c, domain::id::RepositoryId(row.repository_id.unwrap()), None),
                runs::cancel(&c, run, ""),
                runs::retry(&c, run, Retry::All),
            );
        }
        let c = ctx(&t, Role::Anonymous);
        macro_rules! refused {
            ($($call:expr),+ $(,)?) => {$( assert!(matches!($call.await, Err(OpsError::Forbidden(_))), "{}", stringify!($call)); )+};
        }
        refused!(
            runs::list(&c, Filter::default(), None, 10),
            runs::live(&c, 10),
            runs::count_by_state(&c, Timestamp(0)),
            runs::find(&c, run),
            runs::steps(&c, run),
            runs::items(&c, run, None, "", 10),
            runs::item_counts(&c, run),
            runs::events_after(&c, run, 0, 10),
            runs::log(&c, run, &LogFilter::default(), None, 10),
            restore_tests::list(&c, None, None, 10),
            restore_tests::find(&c, domain::id::RestoreTestId(run.0)),
            restore_tests::of_run(&c, run),
            restore_tests::since(&c, domain::id::ServiceId(run.0), Timestamp(0), 10),
            restore_tests::grid(&c, &[], Timestamp(0)),
            restore_tests::count_since(&c, Timestamp(0)),
            runs::about(&c, &row),
            runs::earlier(&c, &row, 5),
        );
        let auditor = ctx(&t, Role::Auditor);
        assert_eq!(runs::list(&auditor, Filter::default(), None, 10).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_second_backup_of_the_same_is_a_conflict_that_names_the_first() {
    for t in testing::databases().await {
        fill(&t).await;
        let c = ctx(&t, Role::Admin);
        let first = backups::start(&c, "notebooks", Some("homes"), None).await.unwrap()[0];
        let Err(OpsError::Underway { run, .. }) = backups::start(&c, "notebooks", None, None).await else { panic!("{}", t.name) };
        assert_eq!(run, first);
        // Another set of items waits behind it.
        backups::start(&c, "notebooks", None, Some(vec!["ada".into()])).await.unwrap();
        assert!(matches!(backups::start(&c, "none", None, None).await, Err(OpsError::NotFound { .. })));
        assert!(matches!(backups::start(&c, "notebooks", Some("none"), None).await, Err(OpsError::NotFound { .. })));
        assert!(matches!(backups::start(&c, "notebooks", None, Some(vec![])).await, Err(OpsError::Invalid(_))));
        let events = runs::events_after(&c, first, 0, 10).await.unwrap();
        assert_eq!(events[0].message, "queued by somebody");
        assert_eq!(store::audit::verify(t.db.read().await.unwrap().tx()).await.unwrap(), Ok(2));
    }
}

#[tokio::test]
async fn targets_that_would_do_harm_are_refused_by_field() {
    for t in testing::databases().await {
        let snapshot = fill(&t).await;
        let c = ctx(&t, Role::Admin);
        for bad in [
            "relative",
            "/",
            "/tmp/../etc",
            "/srv/backup/x",
            "/srv/backup",
            "/srv",
            "/srv/exports",
            "/srv/exports/ada",
            "/srv/exports/ada/sub",
            "/srv/exports/bob/new",
        ] {
            match restores::start(&c, to(snapshot, bad)).await {
                Err(OpsError::Invalid(fields)) => assert_eq!(fields[0].field, "target.path", "{bad}"),
                other => panic!("{bad}: {other:?}"),
            }
        }
        let place = Request { target: RestoreTarget::InPlace, ..to(snapshot, "/") };
        for confirm in [None, Some("notebook".to_owned())] {
            match restores::start(&c, Request { confirm, ..place.clone() }).await {
                Err(OpsError::Invalid(fields)) => assert_eq!(fields[0].field, "confirm"),
                other => panic!("{other:?}"),
            }
        }
        for path in ["../x", "a/../../b", "a\\q"] {
            let choices = vec![Choice { snapshot, paths: vec![path.to_owned()] }];
            assert!(matches!(restores::start(&c, Request { choices, ..to(snapshot, "/tmp/x") }).await, Err(OpsError::Invalid(_))), "{path}");
        }
        let twice = vec![Choice { snapshot, paths: vec![] }, Choice { snapshot, paths: vec![] }];
        assert!(matches!(restores::start(&c, Request { choices: twice, ..to(snapshot, "/tmp/x") }).await, Err(OpsError::Invalid(_))));
        let unknown = SnapshotId::new();
        assert!(matches!(restores::start(&c, to(unknown, "/tmp/x")).await, Err(OpsError::NotFound { .. })));
        restores::start(&c, Request { preview: true, ..place.clone() }).await.unwrap();
        let run = restores::start(&c, Request { confirm: Some("notebooks".into()), ..place }).await.unwrap();
        let row = runs::find(&c, run).await.unwrap();
        assert_eq!((row.resource_key.clone(), row.max_attempts), (Some(format!("source:{}", row.source_id.unwrap())), 1));
        restores::start(&c, to(snapshot, "/tmp/x/")).await.unwrap();
        assert!(matches!(restores::start(&c, to(snapshot, "/tmp/x")).await, Err(OpsError::Underway { .. })), "the same folder twice");
    }
}

#[tokio::test]
async fn trying_again_takes_all_or_what_failed_and_never_a_live_run() {
    for t in testing::databases().await {
        fill(&t).await;
        let c = ctx(&t, Role::Admin);
        let first = backups::start(&c, "notebooks", None, None).await.unwrap()[0];
        assert!(matches!(runs::retry(&c, first, Retry::All).await, Err(OpsError::Conflict(_))));
        assert_eq!(end(&t, RunEvent::Fail).await, first);
        assert!(matches!(runs::retry(&c, first, Retry::FailedItems).await, Err(OpsError::Invalid(_))), "nothing failed");
        let mut tx = t.db.begin().await.unwrap();
        for (name, state) in [("ada", ItemState::Ok), ("bob", ItemState::Failed), ("cy", ItemState::Partial)] {
            let problems = run_items::ItemProblems::default();
            let new = run_items::NewRunItem {
                run: first,
                name,
                item: None,
                state,
                snapshot: None,
                files: 0,
                bytes: 0,
                bytes_added: 0,
                problems: &problems,
                finished_at: Timestamp(1),
            };
            run_items::save(tx.tx(), &new).await.unwrap();
        }
        tx.commit().await.unwrap();
        let again = runs::retry(&c, first, Retry::FailedItems).await.unwrap();
        let row = runs::find(&c, again).await.unwrap();
        assert_eq!((row.params.0, row.retry_of), (json!({"items": ["bob", "cy"]}), Some(first.0)), "{}", t.name);
        let all = runs::retry(&c, first, Retry::All).await.unwrap();
        assert_eq!(runs::find(&c, all).await.unwrap().params.0, json!({"items": null}));
        // A cancelled one that never began.
        assert_eq!(runs::cancel(&c, all, "no").await.unwrap(), queue::Cancelled::AtOnce);
        assert!(matches!(runs::cancel(&c, all, "no").await, Err(OpsError::Conflict(_))));
        let check = checks::start(&c, "main", true).await.unwrap();
        runs::cancel(&c, check, "").await.unwrap();
        assert!(matches!(runs::retry(&c, check, Retry::FailedItems).await, Err(OpsError::Invalid(_))));
        runs::retry(&c, check, Retry::All).await.unwrap();
        let test = restore_tests::start(&c, "notebooks", Selection::Sample { count: 2 }).await.unwrap();
        runs::cancel(&c, test, "").await.unwrap();
        let test = runs::retry(&c, test, Retry::All).await.unwrap();
        assert_eq!(runs::find(&c, test).await.unwrap().params.0, json!({"selection": {"kind": "sample", "count": 2}}));
    }
}

#[tokio::test]
async fn lists_are_narrowed_by_every_filter_and_follow_a_key() {
    for t in testing::databases().await {
        fill(&t).await;
        let c = ctx(&t, Role::Admin);
        let mut all = Vec::new();
        for n in 0..3 {
            all.push(backups::start(&c, "notebooks", None, Some(vec![format!("item{n}")])).await.unwrap()[0]);
        }
        let check = checks::start(&c, "main", false).await.unwrap();
        runs::cancel(&c, all[0], "").await.unwrap();
        let service = runs::find(&c, all[0]).await.unwrap().service_id.map(ServiceId);
        let ids = async |service, kind, state| {
            let list = runs::list(&c, Filter { service, kind, state }, None, 10).await.unwrap();
            list.iter().map(|r| r.run.id()).collect::<Vec<_>>()
        };
        let (backup, queued) = (Some(RunKind::Backup), Some(RunState::Queued));
        assert_eq!(ids(None, None, None).await, [check, all[2], all[1], all[0]], "{}", t.name);
        assert_eq!(ids(None, Some(RunKind::Check), None).await, [check]);
        assert_eq!(ids(None, None, queued).await, [check, all[2], all[1]]);
        assert_eq!(ids(None, backup, queued).await, [all[2], all[1]]);
        assert_eq!(ids(service, None, None).await, [all[2], all[1], all[0]]);
        assert_eq!(ids(service, backup, Some(RunState::Cancelled)).await, [all[0]]);
        assert_eq!(ids(service, Some(RunKind::Check), None).await, []);
        let mut seen = Vec::new();
        let mut before = None;
        loop {
            let page = runs::list(&c, Filter::default(), before, 1).await.unwrap();
            let Some(last) = page.last() else { break };
            before = Some((Timestamp(last.run.queued_at), last.run.id()));
            seen.push(last.run.id());
            assert_eq!(last.service_title.as_deref(), (last.run.kind == "backup").then_some("N"));
        }
        assert_eq!(seen, [check, all[2], all[1], all[0]], "each run stands on one page");
        assert_eq!(runs::live(&c, 10).await.unwrap().len(), 3);
    }
}

#[tokio::test]
async fn a_log_is_searched_and_filtered_from_its_end() {
    for t in testing::databases().await {
        fill(&t).await;
        let c = ctx(&t, Role::Admin);
        let run = backups::start(&c, "notebooks", None, None).await.unwrap()[0];
        let mut tx = t.db.begin().await.unwrap();
        for (level, message) in [("info", "Reading 100% of a_b"), ("warn", "ada: a file vanished"), ("error", "bob: READ error"), ("debug", "axb \\ done")] {
            let event = run_events::NewRunEvent { at: Timestamp(2), kind: "log", level, message: message.to_owned(), detail: None };
            run_events::add_unleased(tx.tx(), run, &event).await.unwrap();
        }
        tx.commit().await.unwrap();
        let log = async |least, search: &str, before| {
            let rows = runs::log(&c, run, &LogFilter { least, search: search.to_owned() }, before, 2).await.unwrap();
            rows.iter().map(|e| e.seq).collect::<Vec<_>>()
        };
        assert_eq!(log(Least::All, "", None).await, [4, 5], "{}", t.name);
        assert_eq!(log(Least::All, "", Some(4)).await, [2, 3]);
        assert_eq!(log(Least::All, "", Some(2)).await, [1]);
        assert_eq!(log(Least::Warnings, "", None).await, [3, 4]);
        assert_eq!(log(Least::Errors, "", None).await, [4]);
        assert_eq!(log(Least::All, "rea", None).await, [2, 4]);
        assert_eq!(log(Least::Errors, " read ", None).await, [4]);
        // Signs that mean something to LIKE mean themselves here.
        assert_eq!(log(Least::All, "%", None).await, [2]);
        assert_eq!(log(Least::All, "a_b", None).await, [2]);
        assert_eq!(log(Least::All, "\\", None).await, [5]);
    }
}

/// A restore test of its own run, which has ended.
async fn tested(t: &TestDb, c: &Ctx, service: ServiceId, at: i64) -> domain::id::RestoreTestId {
    let run = restore_tests::start(c, "notebooks", Selection::Latest).await.unwrap();
    assert_eq!(end(t, RunEvent::Succeed).await, run);
    let new = store::restore_tests::NewRestoreTest {
        run,
        service,
        selection: "latest".to_owned(),
        definition: None,
        started_at: Timestamp(at),
        finished_at: Timestamp(at + 5),
        verdict: domain::evidence::Verdict::Passed,
        level: EvidenceLevel::Asserted,
        rto_s: Some(2.5),
        rto_target_s: Some(60),
        rpo_s: None,
        rpo_target_s: None,
        items_restored: 1,
        items_skipped: 0,
        items_failed: 0,
        files: 1,
        bytes: 1,
        checks: vec![],
        teardown: domain::work::Teardown::default(),
        snapshots: vec![],
    };
    let mut tx = t.db.begin().await.unwrap();
    let id = store::restore_tests::save(tx.tx(), &new).await.unwrap();
    tx.commit().await.unwrap();
    id
}

#[tokio::test]
async fn restore_tests_are_listed_by_moment_and_a_run_knows_what_came_before_it() {
    for t in testing::databases().await {
        fill(&t).await;
        let c = ctx(&t, Role::Admin);
        let service = services::find_by_name(t.db.read().await.unwrap().tx(), "notebooks").await.unwrap().unwrap().id();
        let mut ids = Vec::new();
        for at in [10, 20, 20] {
            ids.push(tested(&t, &c, service, at).await.0);
        }
        let nobody = ServiceId(Uuid::now_v7());
        let grid = restore_tests::grid(&c, &[nobody, service], Timestamp(11)).await.unwrap();
        let points = |g: &[store::restore_tests::TestPoint]| g.iter().map(|p| p.id).collect::<Vec<_>>();
        assert_eq!((grid[0].len(), points(&grid[1])), (0, vec![ids[2], ids[1]]), "{}", t.name);
        assert_eq!(points(&restore_tests::since(&c, service, Timestamp(0), 2).await.unwrap()), [ids[2], ids[1]]);
        assert_eq!(restore_tests::count_since(&c, Timestamp(20)).await.unwrap(), 2);
        for of in [None, Some(service)] {
            let mut seen = Vec::new();
            let mut before = None;
            while let Some(last) = restore_tests::list(&c, of, before, 1).await.unwrap().first() {
                before = Some((Timestamp(last.started_at), domain::id::RestoreTestId(last.id)));
                seen.push(last.id);
            }
            assert_eq!(seen, [ids[2], ids[1], ids[0]], "{}: two of one moment stand on two pages", t.name);
        }
        let all = runs::list(&c, Filter::default(), None, 10).await.unwrap();
        let newest = &all[0].run;
        let earlier = runs::earlier(&c, newest, 5).await.unwrap();
        assert_eq!(earlier.iter().map(|r| r.id).collect::<Vec<_>>(), [all[1].run.id, all[2].run.id]);
        let about = runs::about(&c, newest).await.unwrap();
        assert_eq!((about.service.unwrap().name.as_str(), about.source.is_none()), ("notebooks", true));
        let check = checks::start(&c, "main", false).await.unwrap();
        let check = runs::find(&c, check).await.unwrap();
        assert!(runs::earlier(&c, &check, 5).await.unwrap().is_empty());
        assert_eq!(runs::about(&c, &check).await.unwrap().repository.unwrap().name, "main");
    }
}
