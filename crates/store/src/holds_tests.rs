//! Holds: what they cover, how long they stand, which prunes they pause.

use domain::{
    id::{ItemId, RepositoryId, ServiceId, SnapshotId},
    units::Timestamp,
};
use uuid::Uuid;

use crate::{
    Db,
    holds::{self, HoldKind, NewHold, Which},
    ids::NewId,
    items,
    repositories::{self, NewRepository, SecretRef, StorageOptions},
    services::{self, NewService},
    sources::{self, NewSource},
    testing,
};

struct World {
    service: ServiceId,
    repositories: [RepositoryId; 2],
    items: [ItemId; 2],
}

/// A service with two sources in two repositories, one item each.
async fn world(db: &Db) -> World {
    let now = Timestamp(1);
    let mut t = db.begin().await.unwrap();
    let service = NewService { name: "s".into(), title: "S".into(), owner: "o".into(), rpo_s: None, rto_s: None, mtpod_s: None, canary: None };
    let service = services::upsert(t.tx(), &service, now).await.unwrap();
    let (mut repos, mut all) = (Vec::new(), Vec::new());
    for name in ["a", "b"] {
        let new = NewRepository {
            name: name.into(),
            location: format!("file:///{name}"),
            options: StorageOptions::default(),
            max_parallel: None,
            read_all_within_s: None,
            password: SecretRef::Env("P".into()),
        };
        let repository = repositories::upsert(t.tx(), &new, now).await.unwrap();
        let new = NewSource { service, repository, name: name.into(), kind: "directory".into(), config: serde_json::json!({}), position: 0, policy: None };
        let source = sources::upsert(t.tx(), &new, now).await.unwrap();
        all.push(items::seen(t.tx(), source, service, None, name, now).await.unwrap());
        repos.push(repository);
    }
    t.commit().await.unwrap();
    World { service, repositories: [repos[0], repos[1]], items: [all[0], all[1]] }
}

#[tokio::test]
async fn a_hold_stands_until_it_is_released() {
    for t in testing::databases().await {
        let w = world(&t.db).await;
        let mut tx = t.db.begin().await.unwrap();
        let person = NewHold {
            service: w.service,
            item: None,
            snapshot: None,
            kind: HoldKind::Person,
            reason: "legal".into(),
            facts: None,
            run: None,
            actor: "ops".into(),
        };
        let all = holds::place(tx.tx(), &person, Timestamp(10)).await.unwrap();
        let one = holds::place(tx.tx(), &NewHold { item: Some(w.items[0]), ..person.clone() }, Timestamp(11)).await.unwrap();
        let standing = holds::standing(tx.tx(), w.service, 10).await.unwrap();
        assert_eq!(standing.iter().map(holds::HoldRow::id).collect::<Vec<_>>(), [all, one], "{}", t.name);
        let any = SnapshotId::new();
        assert!(standing[0].covers(w.items[1], any));
        assert!(standing[1].covers(w.items[0], any) && !standing[1].covers(w.items[1], any));
        assert!(holds::release(tx.tx(), all, "ops", "over", Timestamp(12)).await.unwrap());
        assert!(!holds::release(tx.tx(), all, "ops", "again", Timestamp(13)).await.unwrap());
        assert!(!holds::keep(tx.tx(), all, "ops", "too late").await.unwrap());
        let released = holds::find(tx.tx(), all).await.unwrap().unwrap();
        assert_eq!((released.decision.as_deref(), released.released_by.as_deref(), released.released_at), (Some("released"), Some("ops"), Some(12)));
        assert!(!released.covers(w.items[0], any));
        let listed = holds::page(tx.tx(), Which::Standing, (Timestamp(i64::MAX), Uuid::max()), 10).await.unwrap();
        assert_eq!(listed.iter().map(|h| (h.row.id(), h.item_name.as_deref())).collect::<Vec<_>>(), [(one, Some("a"))]);
        for (which, want) in [(Which::All, 2), (Which::Service(w.service), 2), (Which::Item(w.items[0]), 1), (Which::Item(w.items[1]), 0)] {
            assert_eq!(holds::page(tx.tx(), which, (Timestamp(i64::MAX), Uuid::max()), 10).await.unwrap().len(), want, "{which:?}");
        }
    }
}

#[tokio::test]
async fn a_guards_hold_pauses_prunes_until_somebody_decides() {
    for t in testing::databases().await {
        let w = world(&t.db).await;
        let mut tx = t.db.begin().await.unwrap();
        let hold = NewHold {
            service: w.service,
            item: Some(w.items[0]),
            snapshot: None,
            kind: HoldKind::Guard,
            reason: "many files changed".into(),
            facts: Some(serde_json::json!({"changed": 0.97})),
            run: None,
            actor: "guard".into(),
        };
        holds::place(tx.tx(), &NewHold { kind: HoldKind::Person, ..hold.clone() }, Timestamp(1)).await.unwrap();
        assert!(holds::pausing(tx.tx(), w.repositories[0], 10).await.unwrap().is_empty(), "{}: a person's hold protects and pauses nothing", t.name);
        let id = holds::place(tx.tx(), &hold, Timestamp(2)).await.unwrap();
        let pausing = holds::pausing(tx.tx(), w.repositories[0], 10).await.unwrap();
        assert_eq!(pausing.iter().map(|h| h.row.id()).collect::<Vec<_>>(), [id], "{}", t.name);
        assert!(holds::pausing(tx.tx(), w.repositories[1], 10).await.unwrap().is_empty(), "{}: the item lies in the other repository", t.name);
        assert!(holds::keep(tx.tx(), id, "ops", "ransomware; keep what was before").await.unwrap());
        assert!(holds::pausing(tx.tx(), w.repositories[0], 10).await.unwrap().is_empty());
        assert_eq!(holds::standing(tx.tx(), w.service, 10).await.unwrap().len(), 2, "{}: it goes on protecting", t.name);
        holds::place(tx.tx(), &NewHold { item: None, ..hold }, Timestamp(3)).await.unwrap();
        for repository in w.repositories {
            assert_eq!(holds::pausing(tx.tx(), repository, 10).await.unwrap().len(), 1, "{}: a service's hold concerns all its sources", t.name);
        }
    }
}
