//! Orphans: looks that find them, orders of deletion, those that a record names from now on.

use std::collections::BTreeMap;

use domain::{
    id::{OrphanId, RepositoryId, ServiceId, SourceId},
    instance::{BootType, OrphanWhy, Server},
    units::Timestamp,
};
use serde_json::json;
use uuid::Uuid;

use crate::{
    Db, items,
    orphans::{self, NewOrphan, OrphanRow},
    repositories::{self, NewRepository, SecretRef, StorageOptions},
    services::{self, NewService},
    sources::{self, NewSource},
    testing,
};

async fn cloud(db: &Db) -> (RepositoryId, ServiceId, SourceId) {
    let mut t = db.begin().await.unwrap();
    let new = NewRepository {
        name: "geneva".into(),
        location: "openstack+https://x:5000/v3".into(),
        options: StorageOptions { plain: BTreeMap::new(), secret: BTreeMap::new() },
        password: SecretRef::Env("X".into()),
        max_parallel: None,
        read_all_within_s: None,
    };
    let repository = repositories::upsert(t.tx(), &new, Timestamp(1)).await.unwrap();
    let new = NewService { name: "s".into(), title: "S".into(), owner: "o".into(), rpo_s: None, rto_s: None, mtpod_s: None, canary: None };
    let service = services::upsert(t.tx(), &new, Timestamp(1)).await.unwrap();
    let new = NewSource { service, repository, name: "vms".into(), kind: "openstack-instance".into(), config: json!({}), position: 0, policy: None };
    let source = sources::upsert(t.tx(), &new, Timestamp(1)).await.unwrap();
    t.commit().await.unwrap();
    (repository, service, source)
}

fn found(id: &str, why: OrphanWhy, made_at: i64) -> NewOrphan {
    let native = testing::native(id, &format!("n-{id}"), Server::unknown(String::new(), BootType::Image));
    NewOrphan { native, made_at: Timestamp(made_at), ready: true, why, detail: "x".into(), snapshot: None }
}

async fn told(db: &Db, repository: RepositoryId) -> Vec<OrphanRow> {
    orphans::told(db.read().await.unwrap().tx(), repository, (Timestamp(i64::MAX), OrphanId(Uuid::max())), 9).await.unwrap()
}

#[tokio::test]
async fn an_orphan_is_there_as_long_as_the_cloud_lists_it() {
    for t in testing::databases().await {
        let (repository, ..) = cloud(&t.db).await;
        let mut tx = t.db.begin().await.unwrap();
        for (id, why, made) in [("a", OrphanWhy::FitsPattern, 5), ("b", OrphanWhy::RunGone, 6), ("c", OrphanWhy::Foreign, 7)] {
            orphans::see(tx.tx(), repository, &found(id, why, made), Timestamp(10)).await.unwrap();
        }
        assert_eq!(orphans::count(tx.tx(), repository).await.unwrap(), 2, "{}", t.name);
        tx.commit().await.unwrap();
        let rows = told(&t.db, repository).await;
        assert_eq!(rows.iter().map(|r| r.unit_id.as_str()).collect::<Vec<_>>(), ["b", "a"], "{}: what is somebody else's is not told of", t.name);
        let (b, a) = (&rows[0], &rows[1]);
        assert_eq!((b.bytes, b.name.as_str(), b.why().unwrap(), b.ready), (9, "n-b", OrphanWhy::RunGone, true));
        let next = orphans::told(t.db.read().await.unwrap().tx(), repository, (Timestamp(b.made_at), b.id()), 9).await.unwrap();
        assert_eq!((next.len(), next[0].id), (1, a.id));

        // Of two orders one stands; it outlives a look that no longer finds it, and can be taken back.
        let mut tx = t.db.begin().await.unwrap();
        assert!(orphans::order_delete(tx.tx(), repository, b.id(), "ada", "old", Timestamp(11)).await.unwrap());
        assert!(!orphans::order_delete(tx.tx(), repository, b.id(), "bob", "old", Timestamp(12)).await.unwrap());
        assert!(!orphans::adopted(tx.tx(), b.id()).await.unwrap(), "{}: it is about to go", t.name);
        orphans::see(tx.tx(), repository, &found("a", OrphanWhy::RecordGone, 5), Timestamp(20)).await.unwrap();
        assert_eq!(orphans::unseen(tx.tx(), repository, Timestamp(20)).await.unwrap(), 1);
        let left = orphans::all(tx.tx(), repository, Uuid::nil(), 9).await.unwrap();
        assert_eq!(left.iter().map(|r| (r.unit_id.as_str(), r.found_at)).collect::<Vec<_>>(), [("a", 10), ("b", 10)], "{}", t.name);
        let ordered = orphans::ordered(tx.tx(), repository, 9).await.unwrap();
        assert_eq!((ordered.len(), ordered[0].delete_by.as_deref(), ordered[0].delete_reason.as_deref()), (1, Some("ada"), Some("old")));
        assert!(orphans::take_back(tx.tx(), b.id(), "a volume was made of it").await.unwrap());
        assert!(!orphans::take_back(tx.tx(), b.id(), "again").await.unwrap());
        let row = orphans::find(tx.tx(), repository, b.id()).await.unwrap().unwrap();
        assert_eq!((row.delete_at, row.trouble.as_deref()), (None, Some("a volume was made of it")));
        assert!(orphans::adopted(tx.tx(), a.id()).await.unwrap() && !orphans::adopted(tx.tx(), a.id()).await.unwrap());
        assert!(orphans::find(tx.tx(), repository, a.id()).await.unwrap().is_none());
        assert!(orphans::remove(tx.tx(), b.id()).await.unwrap());
        assert!(orphans::find(tx.tx(), RepositoryId(Uuid::nil()), b.id()).await.unwrap().is_none());
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn an_instance_of_which_only_snapshots_are_left_is_gone_and_one_that_is_listed_stays() {
    for t in testing::databases().await {
        let (_, service, source) = cloud(&t.db).await;
        let mut tx = t.db.begin().await.unwrap();
        let id = items::left(tx.tx(), source, service, "old", Timestamp(5), Timestamp(9)).await.unwrap();
        let row = items::find(tx.tx(), id).await.unwrap().unwrap();
        assert_eq!((row.first_seen_at, row.gone_at), (5, Some(9)), "{}", t.name);
        let there = items::listed(tx.tx(), source, service, "web", &Server::unknown("s".into(), BootType::Image), Timestamp(8)).await.unwrap();
        assert_eq!(items::left(tx.tx(), source, service, "web", Timestamp(5), Timestamp(9)).await.unwrap(), there);
        assert_eq!(items::find(tx.tx(), there).await.unwrap().unwrap().gone_at, None, "{}", t.name);
    }
}
