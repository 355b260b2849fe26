//! A database of every earlier version, with rows in all its tables, comes through today's migrations whole (R63).

use domain::{
    id::{ItemId, PersonId, RepositoryId, RunId, ServiceId, SnapshotId},
    run::{RunKind, RunState},
    units::Timestamp,
};
use uuid::uuid;

use crate::{
    Db, audit, db, file_versions, fixtures, items, people, repositories, restore_tests, run_events, run_items, runs, services, snapshots, sources, steps,
    testing,
};

const REPOSITORY: RepositoryId = RepositoryId(uuid!("01900000-0000-7000-8000-000000000001"));
const SERVICE: ServiceId = ServiceId(uuid!("01900000-0000-7000-8000-000000000002"));
const ADA: PersonId = PersonId(uuid!("01900000-0000-7000-8000-000000000004"));
const ITEM: ItemId = ItemId(uuid!("01900000-0000-7000-8000-000000000006"));
const SNAPSHOT: SnapshotId = SnapshotId(uuid!("01900000-0000-7000-8000-000000000008"));
const BACKUP: RunId = RunId(uuid!("01900000-0000-7000-8000-000000000010"));

#[tokio::test]
async fn every_earlier_database_is_brought_up_to_date_with_all_its_rows() {
    for level in db::migrations() {
        for (name, url, _kept) in [testing::sqlite_place(), testing::postgres_named().await] {
            let what = format!("{name} from {level}");
            let old = Db::open_at(&url, level).await.unwrap();
            assert_eq!(db::level(&old).await.unwrap(), level, "{what}");
            fixtures::fill(&old, level).await;
            old.close().await;
            let new = Db::open(&url).await.unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(db::level(&new).await.unwrap(), db::newest_migration(), "{what}");
            all_is_there(&new, &what).await;
            new.close().await;
        }
    }
}

/// Reads every fixture through the functions that pages and runs use.
async fn all_is_there(db: &Db, what: &str) {
    let mut read = db.read().await.unwrap();
    let repository = repositories::find(read.tx(), REPOSITORY).await.unwrap().unwrap();
    assert_eq!((repository.name.as_str(), repository.size_bytes, repository.check_state.as_deref()), ("main", Some(123_456_789), Some("ok")), "{what}");
    assert_eq!(repository.password.0, repositories::SecretRef::File("/etc/holdfast/main.password".into()), "{what}");
    let service = services::find_by_name(read.tx(), "notebooks").await.unwrap().unwrap();
    assert_eq!((service.id(), service.title.as_str(), service.rpo_s, service.last_test_rto_s), (SERVICE, "EGI Notebooks", Some(86_400), Some(4.25)), "{what}");
    assert_eq!(service.canary.unwrap().0.path, "canary.txt", "{what}");
    let source = sources::of_service(read.tx(), SERVICE).await.unwrap().pop().unwrap();
    assert_eq!(
        (source.name.as_str(), source.config.0["path"].as_str(), source.root_snapshot.as_deref()),
        ("homes", Some("/srv/exports"), Some("c0ffee")),
        "{what}"
    );
    let item = items::find(read.tx(), ITEM).await.unwrap().unwrap();
    assert_eq!((item.name.as_str(), item.snapshots, item.size_bytes, item.last_snapshot_id), ("ada", 1, 4096, Some(SNAPSHOT.0)), "{what}");
    assert_eq!(people::page(read.tx(), "", "björn", 5).await.unwrap()[0].name, "björn \\xff", "{what}");
    assert_eq!(people::items(read.tx(), ADA, 5).await.unwrap()[0].service, "notebooks", "{what}");
    let snapshot = snapshots::find(read.tx(), SNAPSHOT).await.unwrap().unwrap();
    assert_eq!((snapshot.restic_id.as_str(), snapshot.level.as_str(), snapshot.tags.0.len()), ("abcdef01", "asserted", 2), "{what}");
    let run = runs::find(read.tx(), BACKUP).await.unwrap().unwrap();
    assert_eq!((run.kind().unwrap(), run.state().unwrap(), run.actor.as_str()), (RunKind::Backup, RunState::Partial, "shell"), "{what}");
    assert_eq!(run.failure.unwrap().0.code, "items_incomplete", "{what}");
    assert_eq!(run.result.unwrap().0["bytes_read"], 4096, "{what}");
    assert_eq!(steps::of_run(read.tx(), fixtures::RUNNING).await.unwrap().len(), 3, "{what}");
    assert_eq!(run_items::page(read.tx(), BACKUP, None, "", 5).await.unwrap()[0].bytes_added, 2048, "{what}");
    assert_eq!(run_events::after(read.tx(), BACKUP, 0, 5).await.unwrap().len(), 2, "{what}");
    let test = restore_tests::of_run(read.tx(), RunId(uuid!("01900000-0000-7000-8000-000000000011"))).await.unwrap().unwrap();
    assert_eq!((test.verdict.as_str(), test.rto_s, test.checks.0.len(), test.snapshots.0[0].snapshot), ("passed", Some(4.25), 1, SNAPSHOT), "{what}");
    assert_eq!(file_versions::of_path(read.tx(), ITEM, "work/notes.md", 5).await.unwrap().len(), 1, "{what}");
    assert_eq!(audit::verify(read.tx()).await.unwrap(), Ok(5), "{what}");
    drop(read);
    // And it goes on.
    let mut t = db.begin_audited().await.unwrap();
    audit::record(t.tx(), Timestamp(1_000), "shell", "test", audit::NewEvent { action: "after", entity: "test", ..Default::default() }).await.unwrap();
    t.commit().await.unwrap();
    assert_eq!(audit::verify(db.read().await.unwrap().tx()).await.unwrap(), Ok(6), "{what}");
}

#[tokio::test]
async fn many_who_open_an_old_database_at_once_migrate_it_once() {
    for (name, url, _kept) in [testing::sqlite_place(), testing::postgres_named().await] {
        let old = Db::open_at(&url, 1).await.unwrap();
        fixtures::fill(&old, 1).await;
        old.close().await;
        let all: Vec<_> = (0..6)
            .map(|_| {
                let url = url.clone();
                tokio::spawn(async move { Db::open(&url).await })
            })
            .collect();
        for one in all {
            let db = one.await.unwrap().unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(db::level(&db).await.unwrap(), db::newest_migration(), "{name}");
            db.close().await;
        }
    }
}
