//! Reviews on both databases: the newest counts, exemptions in force, who completed what.

use domain::{
    id::{RunId, ServiceId},
    review::{Done, ReviewKind, Standing, bus::Feat},
    units::Timestamp,
};
use jiff::civil::{Date, date};
use serde_json::json;

use crate::{
    Db, StoreError,
    ids::NewId,
    on, reviews,
    services::{self, NewService, ServiceRow},
    testing,
};

/// 2019-01-15.
const CONFIGURED: Timestamp = Timestamp::from_secs(1_547_510_400);

async fn service(db: &Db, name: &str) -> ServiceRow {
    let new = NewService { name: name.into(), title: name.into(), owner: "o".into(), rpo_s: None, rto_s: None, mtpod_s: None, canary: None };
    let mut t = db.begin().await.unwrap();
    services::upsert(t.tx(), &new, CONFIGURED).await.unwrap();
    t.commit().await.unwrap();
    services::find_by_name(db.read().await.unwrap().tx(), name).await.unwrap().unwrap()
}

fn done(on: Date) -> Done {
    Done { on, by: "Olga".into(), outcome: "in order".into() }
}

#[tokio::test]
async fn the_newest_review_counts_whenever_it_was_recorded() {
    for t in testing::databases().await {
        let (one, other) = (service(&t.db, "one").await, service(&t.db, "other").await);
        let fresh = reviews::of_service(t.db.read().await.unwrap().tx(), &one).await.unwrap();
        assert_eq!(
            fresh.iter().map(|f| (f.kind, f.due, f.last_on)).collect::<Vec<_>>(),
            [(ReviewKind::Risk, date(2020, 1, 15), None), (ReviewKind::Plan, date(2020, 1, 15), None)]
        );
        let mut tx = t.db.begin().await.unwrap();
        let risk = ReviewKind::Risk;
        reviews::record(tx.tx(), one.id(), risk, &done(date(2019, 5, 28)), "ada", Timestamp(10)).await.unwrap();
        // One of the past that is recorded later does not hide it.
        reviews::record(tx.tx(), one.id(), risk, &done(date(2018, 5, 1)), "ada", Timestamp(20)).await.unwrap();
        reviews::record(tx.tx(), other.id(), risk, &done(date(2026, 1, 1)), "ada", Timestamp(30)).await.unwrap();
        reviews::set_interval(tx.tx(), one.id(), ReviewKind::Plan, 24, "ada", Timestamp(40)).await.unwrap();
        reviews::set_interval(tx.tx(), one.id(), ReviewKind::Plan, 6, "ada", CONFIGURED.plus_secs(9)).await.unwrap();
        tx.commit().await.unwrap();
        let mut read = t.db.read().await.unwrap();
        let facts = reviews::of_service(read.tx(), &one).await.unwrap();
        assert_eq!((facts[0].last_on, facts[0].due), (Some(date(2019, 5, 28)), date(2020, 5, 28)), "{}", t.name);
        assert_eq!((facts[1].last_on, facts[1].due, facts[1].months), (None, date(2019, 7, 15), 6), "{}", t.name);
        assert_eq!(facts[1].changed_at, CONFIGURED.plus_secs(9));
        assert_eq!(facts[0].standing(date(2020, 5, 29)), Standing::Overdue { days: 1 });
        let known = reviews::known(read.tx()).await.unwrap();
        assert_eq!(known.of(&one).unwrap(), facts, "{}: all at once and one alone say the same", t.name);
        assert_eq!(known.of(&other).unwrap()[0].last_on, Some(date(2026, 1, 1)));
        let history = reviews::history(read.tx(), one.id(), 9).await.unwrap();
        assert_eq!(history.iter().map(|r| r.done_on.as_str()).collect::<Vec<_>>(), ["2019-05-28", "2018-05-01"]);
        assert_eq!((history[0].done_by.as_str(), history[0].actor.as_str()), ("Olga", "ada"));
    }
}

#[tokio::test]
async fn one_exemption_of_a_review_is_in_force() {
    for t in testing::databases().await {
        let one = service(&t.db, "one").await;
        let risk = ReviewKind::Risk;
        let mut tx = t.db.begin().await.unwrap();
        assert!(!reviews::end_exemption(tx.tx(), one.id(), risk, "ada", Timestamp(1)).await.unwrap());
        reviews::exempt(tx.tx(), one.id(), risk, date(2020, 12, 31), "being replaced", "ada", Timestamp(2)).await.unwrap();
        tx.commit().await.unwrap();
        let mut tx = t.db.begin().await.unwrap();
        let second = reviews::exempt(tx.tx(), one.id(), risk, date(2021, 12, 31), "still", "ada", Timestamp(3)).await;
        assert!(matches!(second, Err(StoreError::Conflict(_))), "{}: {second:?}", t.name);
        drop(tx);
        let facts = |db: Db, one: ServiceRow| async move { reviews::of_service(db.read().await.unwrap().tx(), &one).await.unwrap().remove(0) };
        let found = facts(t.db.clone(), one.clone()).await;
        assert_eq!(found.standing(date(2020, 12, 31)), Standing::Exempt { until: date(2020, 12, 31) });
        assert_eq!(found.standing(date(2021, 1, 1)), Standing::Overdue { days: 352 });
        let mut tx = t.db.begin().await.unwrap();
        assert!(reviews::end_exemption(tx.tx(), one.id(), risk, "bob", Timestamp(4)).await.unwrap());
        tx.commit().await.unwrap();
        let found = facts(t.db.clone(), one.clone()).await;
        assert_eq!((found.exemption, found.exempt_until), (None, None), "{}", t.name);
        let all = reviews::exemptions(t.db.read().await.unwrap().tx(), one.id(), 9).await.unwrap();
        assert_eq!(all.iter().map(|e| (e.reason.as_str(), e.ended_by.as_deref())).collect::<Vec<_>>(), [("being replaced", Some("bob"))]);
    }
}

/// A run of a service as it stands when it has ended.
async fn run(db: &Db, service: ServiceId, kind: &str, state: &str, actor: &str, finished_at: i64) {
    let sql =
        "INSERT INTO run (id, kind, state, service_id, title, params, actor, queued_at, finished_at, run_at) VALUES ($1, $2, $3, $4, 'T', $5, $6, 1, $7, 1)";
    let params = sqlx::types::Json(json!({}));
    let mut t = db.begin().await.unwrap();
    on!(t.tx(), c => sqlx::query(sql).bind(RunId::new().0).bind(kind).bind(state).bind(service.0).bind(params).bind(actor).bind(finished_at).execute(c).await.map(|_| ()))
        .unwrap();
    t.commit().await.unwrap();
}

#[tokio::test]
async fn who_completed_what_comes_from_runs_that_succeeded() {
    for t in testing::databases().await {
        let (one, other) = (service(&t.db, "one").await, service(&t.db, "other").await);
        for (of, kind, state, actor, at) in [
            (&one, "restore", "succeeded", "olga", 50),
            (&one, "restore", "succeeded", "olga", 70),
            (&one, "restore_test", "succeeded", "olga", 60),
            (&one, "restore_test", "succeeded", "schedule weekly", 90),
            (&one, "restore_test", "failed", "bob", 80),
            (&one, "restore", "partial", "bob", 80),
            (&one, "restore", "succeeded", "early", 49),
            (&one, "backup", "succeeded", "ada", 80),
            (&other, "restore", "succeeded", "eve", 80),
        ] {
            run(&t.db, of.id(), kind, state, actor, at).await;
        }
        let found = reviews::completed(t.db.read().await.unwrap().tx(), one.id(), Timestamp(50)).await.unwrap();
        assert_eq!(
            found.iter().map(|c| (c.actor.as_str(), c.feat, c.times, c.last_at.0)).collect::<Vec<_>>(),
            [("olga", Feat::Restored, 2, 70), ("olga", Feat::RestoreTest, 1, 60), ("schedule weekly", Feat::RestoreTest, 1, 90)],
            "{}",
            t.name
        );
    }
}
