//! What a run leaves behind, on both databases: its steps, the index of names, a restore test's report.

use domain::{
    evidence::{CheckOutcome, EvidenceLevel, Verdict},
    id::{ItemId, SnapshotId},
    run::StepState,
    units::Timestamp,
    work::Teardown,
};
use serde_json::json;
use uuid::Uuid;

use crate::{
    file_versions,
    ids::NewId,
    queue_tests::{enqueue, new_run},
    restore_tests::{self, Filter, NewRestoreTest, TestedSnapshot},
    services::{self, NewService},
    steps, testing,
};

#[tokio::test]
async fn steps_are_planned_once_and_closed_at_the_end() {
    for t in testing::databases().await {
        let new = new_run(None, None);
        enqueue(&t.db, &new).await;
        let mut tx = t.db.begin().await.unwrap();
        for _ in 0..2 {
            steps::plan(tx.tx(), new.id, &["a", "b", "c"]).await.unwrap();
        }
        steps::start(tx.tx(), new.id, 0, &json!({}), Timestamp(5)).await.unwrap();
        steps::finish(tx.tx(), new.id, 0, StepState::Succeeded, Some(&json!({"out": 1})), None, Timestamp(6)).await.unwrap();
        steps::start(tx.tx(), new.id, 1, &json!({}), Timestamp(7)).await.unwrap();
        steps::close(tx.tx(), new.id, StepState::Interrupted, Timestamp(8)).await.unwrap();
        let rows = steps::of_run(tx.tx(), new.id).await.unwrap();
        let seen: Vec<_> = rows.iter().map(|s| (s.name.as_str(), s.state.as_str(), s.attempt)).collect();
        assert_eq!(seen, [("a", "succeeded", 1), ("b", "interrupted", 1), ("c", "skipped", 0)], "{}", t.name);
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn the_index_of_names_takes_a_change_twice() {
    for t in testing::databases().await {
        let mut tx = t.db.begin().await.unwrap();
        let sql = "INSERT INTO repository (id, name, location, options, password, created_at, updated_at) VALUES ($1, 'r', 'file:///r', $2, $2, 1, 1)";
        let (repository, service, source) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
        let empty = sqlx::types::Json(json!({}));
        crate::on!(tx.tx(), c => sqlx::query(sql).bind(repository).bind(empty.clone()).execute(c).await.map(|_| ())).unwrap();
        let sql = "INSERT INTO service (id, name, title, owner, created_at, updated_at) VALUES ($1, 's', 'S', 'o', 1, 1)";
        crate::on!(tx.tx(), c => sqlx::query(sql).bind(service).execute(c).await.map(|_| ())).unwrap();
        let sql =
            "INSERT INTO source (id, service_id, repository_id, name, kind, config, created_at, updated_at) VALUES ($1, $2, $3, 'h', 'directory', $4, 1, 1)";
        crate::on!(tx.tx(), c => sqlx::query(sql).bind(source).bind(service).bind(repository).bind(empty).execute(c).await.map(|_| ())).unwrap();
        let item = ItemId::new();
        let sql = "INSERT INTO item (id, source_id, service_id, name, first_seen_at, last_seen_at) VALUES ($1, $2, $3, 'ada', 1, 1)";
        crate::on!(tx.tx(), c => sqlx::query(sql).bind(item.0).bind(source).bind(service).execute(c).await.map(|_| ())).unwrap();
        let (one, two, three) = (SnapshotId::new(), SnapshotId::new(), SnapshotId::new());
        let file = |size_bytes| Some(file_versions::NewVersion { node: "file", size_bytes, modified_at: Some(Timestamp(9)) });
        let change = |path, new| file_versions::PathChange { path, new };
        // Names that would break out of JSON or of a list, and one without a time.
        let untimed = Some(file_versions::NewVersion { node: "dir", size_bytes: 0, modified_at: None });
        let first = [change("work/Plot.png", file(5)), change("a \"b\" 'c', {d}\\n/ü", file(1)), change("work", untimed)];
        for (snapshot, at, changes) in [
            (one, 10, &first[..]),
            (two, 20, &[change("work/Plot.png", file(7)), change("work", None), change("work", file(2))]),
            (three, 30, &[change("work/Plot.png", None)]),
        ] {
            for _ in 0..2 {
                file_versions::record(tx.tx(), item, snapshot, Timestamp(at), changes).await.unwrap();
            }
        }
        let odd = file_versions::of_path(tx.tx(), item, first[1].path, 10).await.unwrap();
        assert_eq!((odd.len(), odd[0].name.as_str(), odd[0].modified_at, odd[0].until_at), (1, "ü", Some(9), None), "{}", t.name);
        let work = file_versions::of_path(tx.tx(), item, "work", 10).await.unwrap();
        let seen: Vec<_> = work.iter().map(|v| (v.since_at, v.until_at, v.node.as_str(), v.modified_at)).collect();
        assert_eq!(seen, [(20, None, "file", Some(9)), (10, Some(20), "dir", None)], "{}", t.name);
        let rows = file_versions::of_path(tx.tx(), item, "work/Plot.png", 10).await.unwrap();
        let seen: Vec<_> = rows.iter().map(|v| (v.since_at, v.until_at, v.size_bytes)).collect();
        assert_eq!(seen, [(20, Some(30), 7), (10, Some(20), 5)], "{}", t.name);
        for (text, found) in [("PLOT", 2), ("p%t", 0), ("pl_t", 0)] {
            let rows = file_versions::search(tx.tx(), item, text, ("", Timestamp(i64::MAX)), 10).await.unwrap();
            assert_eq!(rows.len(), found, "{}: {text}: wildcards mean themselves", t.name);
        }
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_restore_test_is_recorded_once_and_read_back_as_it_was() {
    for t in testing::databases().await {
        let run = new_run(None, None);
        assert!(enqueue(&t.db, &run).await);
        let mut tx = t.db.begin().await.unwrap();
        let service =
            NewService { name: "notebooks".into(), title: "Notebooks".into(), owner: "ops".into(), rpo_s: None, rto_s: None, mtpod_s: None, canary: None };
        let service = services::upsert(tx.tx(), &service, Timestamp(1)).await.unwrap();
        let new = NewRestoreTest {
            run: run.id,
            service,
            selection: "sample 3".to_owned(),
            definition: Some("weekly".to_owned()),
            started_at: Timestamp(10),
            finished_at: Timestamp(20),
            verdict: Verdict::Passed,
            level: EvidenceLevel::Asserted,
            rto_s: Some(0.5),
            rto_target_s: Some(60),
            rpo_s: None,
            rpo_target_s: None,
            items_restored: 3,
            items_skipped: 0,
            items_failed: 0,
            files: 9,
            bytes: 900,
            checks: vec![CheckOutcome::new("counts", Verdict::Passed, "9 of 9").compared("9", "9")],
            teardown: Teardown { scratch: "/scratch".into(), started_at: Timestamp(15), gone_at: Some(Timestamp(16)), detail: String::new() },
            snapshots: vec![TestedSnapshot { item: "alice".into(), snapshot: SnapshotId::new(), restic_id: "ab".into(), taken_at: Timestamp(2) }],
        };
        let id = restore_tests::save(tx.tx(), &new).await.unwrap();
        assert_eq!(restore_tests::save(tx.tx(), &new).await.unwrap(), id, "once a run");
        let row = restore_tests::of_run(tx.tx(), run.id).await.unwrap().unwrap();
        assert_eq!((row.id, row.selection.as_str(), row.verdict.as_str(), row.level.as_str()), (id.0, "sample 3", "passed", "asserted"), "{}", t.name);
        assert_eq!((row.rto_s, row.rpo_s, row.checks.0, row.teardown.0, row.snapshots.0), (Some(0.5), None, new.checks, new.teardown, new.snapshots));
        let all = Filter { service: Some(service), ..Filter::default() };
        for (filter, found) in [
            (all.clone(), 1),
            (Filter { service: None, verdict: Some(Verdict::Passed), definition: "weekly".into(), ..all.clone() }, 1),
            (Filter { verdict: Some(Verdict::Failed), ..all.clone() }, 0),
            (Filter { definition: "-".into(), ..all.clone() }, 0),
            (Filter { from: Timestamp(10), before: Timestamp(11), ..all.clone() }, 1),
            (Filter { from: Timestamp(11), ..all.clone() }, 0),
            (Filter { before: Timestamp(10), ..all.clone() }, 0),
        ] {
            let rows = restore_tests::page(tx.tx(), &filter, (Timestamp(i64::MAX), uuid::Uuid::max()), 10).await.unwrap();
            assert_eq!(rows.len(), found, "{}: {filter:?}", t.name);
        }
        tx.commit().await.unwrap();
    }
}
