//! Risks: numbers, changes from what was seen, the history; versions of scales.

use domain::{
    id::ServiceId,
    risk::{
        Link, Measure, Risk, Treatment,
        scale::{Scale, ScaleRef},
    },
    units::Timestamp,
};

use crate::{
    Db, StoreError,
    risks::{self, By},
    services::{self, NewService},
    testing,
};

async fn service(db: &Db, name: &str) -> ServiceId {
    let mut t = db.begin().await.unwrap();
    let new = NewService { name: name.into(), title: name.into(), owner: "o".into(), rpo_s: None, rto_s: None, mtpod_s: None, canary: None };
    let id = services::upsert(t.tx(), &new, Timestamp(1)).await.unwrap();
    t.commit().await.unwrap();
    id
}

const fn by(actor: &str, at: i64) -> By<'_> {
    By { actor, at: Timestamp(at) }
}

fn risk(description: &str) -> Risk {
    Risk {
        description: description.into(),
        measures: vec![Measure { text: "daily backup".into(), proof: Some(Link::Schedule { name: "nightly".into() }) }],
        due: Some("2021-05-31".parse().unwrap()),
        treatment: Some(Treatment::Reduce),
        ..Risk::default()
    }
}

#[tokio::test]
async fn a_risk_changes_from_what_was_seen_and_keeps_its_history() {
    for t in testing::databases().await {
        let (one, two) = (service(&t.db, "one").await, service(&t.db, "two").await);
        let mut tx = t.db.begin().await.unwrap();
        for of in [one, two] {
            let number = risks::next_number(tx.tx(), of).await.unwrap();
            assert_eq!(number, 1, "numbers are counted within the service");
            risks::insert(tx.tx(), of, number, &risk("fire"), of == two, by("ada", 10)).await.unwrap();
        }
        let seen = risks::find(tx.tx(), one, 1).await.unwrap().unwrap();
        assert_eq!((seen.content.0.clone(), seen.revision, seen.imported), (risk("fire"), 1, false), "{}", t.name);
        assert!(risks::change(tx.tx(), &seen, &risk("flood"), by("bob", 20)).await.unwrap());
        assert!(!risks::change(tx.tx(), &seen, &risk("storm"), by("eve", 30)).await.unwrap(), "{}: somebody was first", t.name);
        assert!(!risks::retire(tx.tx(), &seen, "gone", by("eve", 30)).await.unwrap());
        let seen = risks::find(tx.tx(), one, 1).await.unwrap().unwrap();
        assert!(risks::retire(tx.tx(), &seen, "moved away", by("ada", 40)).await.unwrap());
        let seen = risks::find(tx.tx(), one, 1).await.unwrap().unwrap();
        assert!(!risks::change(tx.tx(), &seen, &risk("storm"), by("eve", 50)).await.unwrap(), "what is retired does not change");
        assert_eq!((seen.retired_at, seen.retired_by.as_deref(), seen.retire_reason.as_deref()), (Some(40), Some("ada"), Some("moved away")));
        assert!(risks::of_service(tx.tx(), one, 9).await.unwrap().is_empty());
        assert_eq!(risks::all_of_service(tx.tx(), one, 9).await.unwrap().len(), 1);
        assert_eq!((risks::count(tx.tx(), one).await.unwrap(), risks::next_number(tx.tx(), one).await.unwrap()), (1, 2), "a number is never given twice");

        let history = risks::revisions(tx.tx(), seen.id(), i64::MAX, 9).await.unwrap();
        let told: Vec<_> = history.iter().map(|r| (r.revision, r.at, r.actor.as_str(), r.action.as_str(), r.content.description.as_str())).collect();
        assert_eq!(told, [(3, 40, "ada", "retired", "flood"), (2, 20, "bob", "changed", "flood"), (1, 10, "ada", "created", "fire")], "{}", t.name);
        assert_eq!(history[0].reason.as_deref(), Some("moved away"));
        assert_eq!(risks::revisions(tx.tx(), seen.id(), 3, 1).await.unwrap()[0].revision, 2);
        let imported = risks::find(tx.tx(), two, 1).await.unwrap().unwrap();
        assert_eq!(risks::revisions(tx.tx(), imported.id(), i64::MAX, 9).await.unwrap()[0].action().unwrap(), risks::RevisionKind::Imported);
        tx.commit().await.unwrap();

        let mut tx = t.db.begin().await.unwrap();
        let twice = risks::insert(tx.tx(), one, 1, &risk("again"), false, by("ada", 60)).await;
        assert!(matches!(twice, Err(StoreError::Conflict(_))), "{}: {twice:?}", t.name);
    }
}

#[tokio::test]
async fn a_version_of_a_scale_is_there_once() {
    for t in testing::databases().await {
        let mut tx = t.db.begin().await.unwrap();
        let second = ScaleRef { name: "2021".into(), version: 2 };
        let scale = Scale { threshold: "Extreme".into(), ..Scale::built_in() };
        risks::add_scale(tx.tx(), &second, &scale, by("ada", 10)).await.unwrap();
        let row = risks::scale(tx.tx(), &second).await.unwrap().unwrap();
        assert_eq!((row.scale.0, row.made_by.as_str(), row.created_at), (scale.clone(), "ada", 10), "{}", t.name);
        assert!(risks::scale(tx.tx(), &ScaleRef::default()).await.unwrap().is_none(), "the one that is built in has no row");
        assert_eq!(risks::scales(tx.tx(), 9).await.unwrap().len(), 1);
        tx.commit().await.unwrap();
        let mut tx = t.db.begin().await.unwrap();
        assert!(matches!(risks::add_scale(tx.tx(), &second, &scale, by("eve", 20)).await, Err(StoreError::Conflict(_))), "{}", t.name);
    }
}
