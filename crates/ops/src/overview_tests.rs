//! Overview, people and search on both databases: who may, how services are ranked, what is found.

use domain::{
    id::{ServiceId, SnapshotId},
    standing::Day,
    units::Timestamp,
};
use jiff::tz::TimeZone;
use serde_json::json;
use store::{
    ids::NewId,
    items,
    queue::{self, NewRun},
    repositories::{self, NewRepository, SecretRef, StorageOptions},
    services::{self, NewService},
    snapshots::{self, NewSnapshot},
    sources::{self, NewSource},
    testing::{self, TestDb},
};

use crate::{
    Actor, Ctx, OpsError, Role, overview,
    people::{self, Cover},
    search,
};

const NOW: Timestamp = Timestamp::from_secs(1_614_242_520); // 2021-02-25 08:42 UTC
const DAY: i64 = 86_400;

fn ctx(t: &TestDb, role: Role) -> Ctx {
    let mut ctx = Ctx::new(t.db.clone(), Actor::new("somebody", role), "test");
    ctx.clock = store::Clock::fixed(NOW);
    ctx
}

/// A service with one source, and of each named person an item whose newest snapshot is `age_s` old, if any.
async fn service(t: &TestDb, name: &str, people: &[(&str, Option<i64>)]) -> ServiceId {
    let mut tx = t.db.begin().await.unwrap();
    let new = NewRepository {
        name: "main".into(),
        location: "file:///r".into(),
        options: StorageOptions::default(),
        password: SecretRef::Env("P".into()),
        max_parallel: None,
        read_all_within_s: None,
    };
    let repository = repositories::upsert(tx.tx(), &new, NOW).await.unwrap();
    let new =
        NewService { name: name.into(), title: format!("The {name}"), owner: "ops".into(), rpo_s: Some(DAY), rto_s: Some(DAY), mtpod_s: None, canary: None };
    let service = services::upsert(tx.tx(), &new, NOW).await.unwrap();
    let new = NewSource { service, repository, name: "homes".into(), kind: "directory".into(), config: json!({}), position: 0, policy: None };
    let source = sources::upsert(tx.tx(), &new, NOW).await.unwrap();
    for (who, age) in people {
        let person = items::person(tx.tx(), who, NOW).await.unwrap();
        let item = items::seen(tx.tx(), source, service, Some(person), who, NOW).await.unwrap();
        if let Some(age) = age {
            for turn in 0..3 {
                let taken_at = NOW.plus_secs(-age - turn * DAY);
                let new = NewSnapshot {
                    repository,
                    service: Some(service),
                    source: Some(source),
                    item: Some(item),
                    person: Some(person),
                    run: None,
                    restic_id: SnapshotId::new().0.simple().to_string().repeat(2),
                    tree: "b".repeat(64),
                    parent_restic_id: None,
                    taken_at,
                    host: name.into(),
                    label: (*who).into(),
                    paths: vec![],
                    tags: vec![],
                    state: if turn == 1 { "partial" } else { "complete" },
                    files: 1,
                    dirs: 0,
                    bytes: 1000,
                    bytes_added: 1,
                    files_added: 1,
                    files_changed: 0,
                    files_removed: 0,
                    errors: 0,
                    measure: None,
                };
                let id = snapshots::insert(tx.tx(), &new).await.unwrap();
                if turn == 0 {
                    items::set_snapshot(tx.tx(), item, id, taken_at, 1000).await.unwrap();
                }
            }
        }
    }
    services::count_items(tx.tx(), service, NOW.plus_secs(-DAY)).await.unwrap();
    tx.commit().await.unwrap();
    service
}

async fn backup(t: &TestDb, service: ServiceId, days_ago: i64) -> domain::id::RunId {
    let at = NOW.plus_secs(-days_ago * DAY);
    let new = NewRun {
        id: domain::id::RunId::new(),
        kind: domain::run::RunKind::Backup,
        service: Some(service),
        source: None,
        repository: None,
        title: "Backup".into(),
        params: json!({}),
        actor: "ops".into(),
        retry_of: None,
        queued_at: at,
        run_at: at,
        priority: 0,
        max_attempts: 1,
        resource_key: None,
        unique_key: None,
        schedule: None,
        max_duration_s: None,
    };
    let mut tx = t.db.begin().await.unwrap();
    assert!(queue::enqueue(tx.tx(), &new).await.unwrap());
    let token = uuid::Uuid::now_v7();
    let run = queue::claim(tx.tx(), &queue::Lease { owner: "w", token, until: Timestamp(i64::MAX) }, NOW).await.unwrap().unwrap();
    let end = queue::End { event: domain::run::RunEvent::Succeed, result: None, failure: None };
    queue::finish(tx.tx(), run.id(), token, &end, at).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    run.id()
}

#[tokio::test]
async fn nobody_reads_without_signing_in() {
    for t in testing::databases().await {
        service(&t, "notebooks", &[("ada", Some(9))]).await;
        let (nobody, auditor) = (ctx(&t, Role::Anonymous), ctx(&t, Role::Auditor));
        let cache = overview::Cache::default();
        cache.get(&auditor, &TimeZone::UTC).await.unwrap();
        let ada = people::find(&auditor, "ada").await.unwrap();
        let row = crate::services::find(&auditor, "notebooks").await.unwrap();
        macro_rules! refused {
            ($($call:expr),+ $(,)?) => {$( assert!(matches!($call.await, Err(OpsError::Forbidden(_))), "{}", stringify!($call)); )+};
        }
        refused!(
            cache.get(&nobody, &TimeZone::UTC),
            overview::load(&nobody, &TimeZone::UTC),
            people::list(&nobody, "", "", 10),
            people::find(&nobody, "ada"),
            people::timeline(&nobody, domain::id::PersonId(ada.row.id), Timestamp(0)),
            people::kept_at(&nobody, &ada.items, NOW),
            search::find(&nobody, "ada", search::MOST),
            crate::services::list(&nobody, "", "", 10),
            crate::services::find(&nobody, "notebooks"),
            crate::services::sources(&nobody, "notebooks"),
            crate::services::sources_with_facts(&nobody, &row),
            crate::services::items(&nobody, &row, "", 10),
        );
    }
}

#[tokio::test]
async fn the_worst_comes_first_and_strips_follow_the_runs() {
    for t in testing::databases().await {
        let c = ctx(&t, Role::Auditor);
        service(&t, "empty", &[("ada", None)]).await;
        let fresh = service(&t, "fresh", &[("ada", Some(9)), ("bob", Some(9))]).await;
        service(&t, "stale", &[("ada", Some(3 * DAY)), ("bob", Some(2 * DAY))]).await;
        for days in [0, 1, 3, 29, 30] {
            backup(&t, fresh, days).await;
        }
        let o = overview::load(&c, &TimeZone::UTC).await.unwrap();
        let order: Vec<_> = o.services.iter().map(|s| (s.row.name.as_str(), s.findings.iter().map(|f| f.name()).collect::<Vec<_>>())).collect();
        assert_eq!(order, [("fresh", vec!["never restored"]), ("stale", vec!["never restored", "RPO overdue"]), ("empty", vec!["no data"])], "{}", t.name);
        assert_eq!((o.items, o.covered, o.recoverable, o.services_needing_attention()), (5, 2, 0, 2));
        assert_eq!((o.succeeded_24h, o.ended_24h), (2, 2));
        let kept: Vec<_> = o.services[0].days.iter().enumerate().filter(|(_, d)| **d == Day::Kept).map(|(i, _)| i).collect();
        assert_eq!(kept, [0, 26, 28, 29], "{}", t.name);
        assert!(o.services[1].days.iter().all(|d| *d == Day::NoData));
    }
}

#[tokio::test]
async fn a_person_is_found_with_everything_of_theirs() {
    for t in testing::databases().await {
        let c = ctx(&t, Role::Auditor);
        service(&t, "hub", &[("ada", Some(9)), ("bob_1", None), ("bobx1", Some(2 * DAY))]).await;
        service(&t, "lab", &[("ada", Some(60))]).await;
        let (all, total) = people::list(&c, "", "", 2).await.unwrap();
        assert_eq!((all.iter().map(|p| p.row.name.as_str()).collect::<Vec<_>>(), total), (vec!["ada", "bob_1"], 3), "{}", t.name);
        assert_eq!(all[0].services(), [("hub", "The hub"), ("lab", "The lab")]);
        assert_eq!((all[0].cover(NOW), all[1].cover(NOW), all[0].size_bytes()), (Cover::Covered, Cover::Never, 2000));
        let (next, _) = people::list(&c, "bob_1", "", 2).await.unwrap();
        assert_eq!(next.iter().map(|p| (p.row.name.as_str(), p.cover(NOW))).collect::<Vec<_>>(), [("bobx1", Cover::Overdue)]);
        // An underscore means itself.
        assert_eq!(people::list(&c, "", "B_1", 9).await.unwrap().1, 1);

        let ada = people::find(&c, "ada").await.unwrap();
        let marks = people::timeline(&c, domain::id::PersonId(ada.row.id), NOW.plus_secs(-DAY - 60)).await.unwrap();
        assert_eq!(marks.len(), 4);
        let kept = people::kept_at(&c, &ada.items, NOW.plus_secs(-30)).await.unwrap();
        assert_eq!(kept.iter().map(|s| s.as_ref().map(|s| NOW.as_secs() - Timestamp(s.taken_at).as_secs())).collect::<Vec<_>>(), [Some(DAY + 9), Some(60)]);
        assert_eq!(people::kept_at(&c, &ada.items, Timestamp(0)).await.unwrap().iter().flatten().count(), 0);
        assert!(matches!(people::find(&c, "nobody").await, Err(OpsError::NotFound { .. })));
    }
}

#[tokio::test]
async fn search_finds_services_people_and_runs() {
    for t in testing::databases().await {
        let c = ctx(&t, Role::Auditor);
        let hub = service(&t, "hub", &[("ada", Some(9)), ("hubert", Some(9))]).await;
        let run = backup(&t, hub, 0).await;
        let found = search::find(&c, " HUB ", search::MOST).await.unwrap();
        assert_eq!((found.services.len(), found.people.len(), found.people_total, found.runs.len()), (1, 1, 1, 0));
        let found = search::find(&c, &run.to_string()[..9], search::MOST).await.unwrap();
        assert_eq!(found.runs.iter().map(|r| r.run.id).collect::<Vec<_>>(), [run.0], "{}", t.name);
        let found = search::find(&c, "  ", search::MOST).await.unwrap();
        assert!(found.services.is_empty() && found.people.is_empty() && found.runs.is_empty());
    }
}
