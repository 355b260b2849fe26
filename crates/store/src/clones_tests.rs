//! Clones: they are recorded once, come to an end once, and add up.

use domain::{
    id::{RepositoryId, RunId, ServiceId, SnapshotId},
    instance::{BootType, CloneVolume},
    run::RunKind,
    units::Timestamp,
};
use serde_json::json;
use uuid::Uuid;

use crate::{
    Db,
    clones::{self, NewClone, Sums},
    ids::NewId,
    queue::{self, NewRun},
    repositories::{self, NewRepository, SecretRef, StorageOptions},
    services::{self, NewService},
    snapshots::{self, NewSnapshot},
    testing,
};

struct Place {
    service: ServiceId,
    repository: RepositoryId,
    snapshot: SnapshotId,
}

async fn place(db: &Db) -> Place {
    let mut t = db.begin().await.unwrap();
    let new = NewService { name: "s".into(), title: "S".into(), owner: "o".into(), rpo_s: None, rto_s: None, mtpod_s: None, canary: None };
    let service = services::upsert(t.tx(), &new, Timestamp(1)).await.unwrap();
    let new = NewRepository {
        name: "cloud".into(),
        location: "openstack+https://k.example.org/v3".into(),
        options: StorageOptions::default(),
        password: SecretRef::Env("P".into()),
        max_parallel: None,
        read_all_within_s: None,
    };
    let repository = repositories::upsert(t.tx(), &new, Timestamp(1)).await.unwrap();
    let native = testing::native("image", "web_snapshot_1", testing::server("s", "web", BootType::Image));
    let new = NewSnapshot { service: Some(service), ..NewSnapshot::native(repository, &native, Timestamp(5), "complete") };
    let snapshot = snapshots::insert(t.tx(), &new).await.unwrap();
    t.commit().await.unwrap();
    Place { service, repository, snapshot }
}

async fn run(db: &Db, place: &Place) -> RunId {
    let id = RunId::new();
    let new = NewRun {
        id,
        kind: RunKind::InstanceClone,
        service: Some(place.service),
        source: None,
        repository: Some(place.repository),
        title: "Clone".into(),
        params: json!({}),
        actor: "ada".into(),
        retry_of: None,
        queued_at: Timestamp(10),
        run_at: Timestamp(10),
        priority: 0,
        max_attempts: 3,
        resource_key: None,
        unique_key: None,
        schedule: None,
        max_duration_s: None,
    };
    let mut t = db.begin().await.unwrap();
    assert!(queue::enqueue(t.tx(), &new).await.unwrap());
    t.commit().await.unwrap();
    id
}

#[tokio::test]
async fn a_clone_is_recorded_once_and_ends_once() {
    for t in testing::databases().await {
        let place = place(&t.db).await;
        let volumes = [CloneVolume { id: "v".into(), name: "c_root".into(), size_gb: 2, device: Some("/dev/vda".into()), root: true }];
        let (first, second) = (run(&t.db, &place).await, run(&t.db, &place).await);
        let new = |run, ready_at| NewClone {
            service: place.service,
            source: None,
            repository: place.repository,
            snapshot: place.snapshot,
            run,
            server: "server",
            name: "c",
            volumes: &volumes,
            vcpus: 2,
            ram_mb: 512,
            disk_gb: 3,
            ready_at,
            expires_at: Timestamp(1_000),
        };
        let mut tx = t.db.begin().await.unwrap();
        assert!(clones::insert(tx.tx(), &new(first, Some(Timestamp(20))), Timestamp(20)).await.unwrap(), "{}", t.name);
        assert!(!clones::insert(tx.tx(), &new(first, None), Timestamp(30)).await.unwrap(), "a step that is done again records nothing");
        assert!(clones::insert(tx.tx(), &new(second, None), Timestamp(21)).await.unwrap());
        let row = clones::of_run(tx.tx(), first).await.unwrap().unwrap();
        assert_eq!((row.volumes.0.as_slice(), row.created_at, row.ready_at), (&volumes[..], 20, Some(20)));
        assert_eq!(clones::sums(tx.tx(), place.service).await.unwrap(), Sums { clones: 2, vcpus: 4, ram_mb: 1024, disk_gb: 6 }, "{}", t.name);
        // Only the one that nobody has seen run is looked after before its end.
        let due = |rows: Vec<clones::CloneRow>| rows.into_iter().map(|r| r.run_id).collect::<Vec<_>>();
        assert_eq!(due(clones::due(tx.tx(), Timestamp(500), Timestamp(400), Timestamp(0), 9).await.unwrap()), [second.0]);
        assert_eq!(clones::due(tx.tx(), Timestamp(1_000), Timestamp(900), Timestamp(0), 9).await.unwrap().len(), 2);
        assert_eq!(clones::due(tx.tx(), Timestamp(500), Timestamp(400), Timestamp(20), 9).await.unwrap().len(), 2, "one that runs, now and then");
        let other = clones::of_run(tx.tx(), second).await.unwrap().unwrap();
        assert!(clones::take(tx.tx(), &other, Timestamp(500)).await.unwrap());
        assert!(!clones::take(tx.tx(), &other, Timestamp(501)).await.unwrap(), "somebody has it");
        assert!(clones::due(tx.tx(), Timestamp(510), Timestamp(499), Timestamp(0), 9).await.unwrap().is_empty());
        // What passed before it ran is nobody's trouble afterwards.
        clones::set_trouble(tx.tx(), other.id(), Some("the API was away")).await.unwrap();
        assert!(clones::ready(tx.tx(), other.id(), None, Timestamp(502)).await.unwrap());
        assert!(!clones::ready(tx.tx(), other.id(), Some("late"), Timestamp(503)).await.unwrap());
        assert_eq!(clones::find(tx.tx(), other.id()).await.unwrap().unwrap().trouble, None, "{}", t.name);
        // Its end is moved from what was seen, and not once it has come.
        let id = row.id();
        assert!(!clones::move_end(tx.tx(), id, Timestamp(999), Timestamp(2_000), Timestamp(600)).await.unwrap());
        assert!(clones::move_end(tx.tx(), id, Timestamp(1_000), Timestamp(2_000), Timestamp(600)).await.unwrap());
        assert!(!clones::move_end(tx.tx(), id, Timestamp(2_000), Timestamp(3_000), Timestamp(2_000)).await.unwrap());
        assert!(!clones::take(tx.tx(), &row, Timestamp(1_500)).await.unwrap(), "it was read before it got more time");
        // What should have ended is told of once a try has failed, or when it is long past.
        let overdue = async |tx: crate::Tx<'_>, now, long| due(clones::overdue(tx, Timestamp(now), Timestamp(long), 9).await.unwrap());
        assert_eq!(overdue(tx.tx(), 2_000, 999).await, Vec::<Uuid>::new());
        assert_eq!(overdue(tx.tx(), 2_000, 1_000).await, [second.0]);
        // Trouble of before its end is none of that, and the first try to end it forgets it.
        clones::set_trouble(tx.tx(), id, Some("it did not start")).await.unwrap();
        assert_eq!(overdue(tx.tx(), 2_000, 999).await, Vec::<Uuid>::new(), "{}", t.name);
        let row = clones::find(tx.tx(), id).await.unwrap().unwrap();
        assert!(clones::take(tx.tx(), &row, Timestamp(2_000)).await.unwrap());
        assert_eq!(clones::find(tx.tx(), id).await.unwrap().unwrap().trouble, None, "{}", t.name);
        clones::set_trouble(tx.tx(), id, Some("the API is away")).await.unwrap();
        assert_eq!(overdue(tx.tx(), 1_999, 999).await, Vec::<Uuid>::new());
        assert_eq!(overdue(tx.tx(), 2_000, 999).await, [first.0]);
        assert!(clones::end(tx.tx(), id, "ada ended it: done", Timestamp(700)).await.unwrap());
        assert!(!clones::end(tx.tx(), id, "again", Timestamp(701)).await.unwrap());
        assert!(
            clones::ended(tx.tx(), id, "its time was over", Timestamp(710)).await.unwrap() && !clones::ended(tx.tx(), id, "x", Timestamp(711)).await.unwrap()
        );
        let row = clones::find(tx.tx(), id).await.unwrap().unwrap();
        assert_eq!((row.ended_at, row.ended_why.as_deref(), row.trouble.as_deref()), (Some(710), Some("ada ended it: done"), None), "{}", t.name);
        // What its run could not take back is open again, with what stands against that.
        clones::left(tx.tx(), first, "cut short", "Nova answered 403", Timestamp(720)).await.unwrap();
        let row = clones::find(tx.tx(), id).await.unwrap().unwrap();
        assert_eq!((row.ended_at, row.expires_at, row.tended_at, row.trouble.as_deref()), (None, 720, Some(720), Some("Nova answered 403")), "{}", t.name);
        assert!(clones::ended(tx.tx(), id, "x", Timestamp(730)).await.unwrap());
        let page = async |tx: crate::Tx<'_>, standing| due(clones::page(tx, place.service, standing, (Timestamp(i64::MAX), Uuid::max()), 9).await.unwrap());
        assert_eq!(page(tx.tx(), false).await, [second.0, first.0], "those that have ended stay");
        assert_eq!(page(tx.tx(), true).await, [second.0]);
        assert_eq!(clones::sums(tx.tx(), place.service).await.unwrap().clones, 1);
    }
}
