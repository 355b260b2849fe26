//! Waivers: when they stand and how they end; what of a service has changed.

use domain::{
    id::{PolicyId, ScheduleId, ServiceId, SourceId},
    retention::Rules,
    schedule::{Misfire, ScheduleKind},
    units::Timestamp,
};
use jiff::civil::date;

use crate::{
    Db, changes,
    policies::{self, NewPolicy},
    repositories::{self, NewRepository, SecretRef, StorageOptions},
    schedules::{self, NewSchedule},
    services::{self, NewService},
    sources::{self, NewSource},
    testing,
    waivers::{self, NewWaiver},
};

async fn service(db: &Db) -> ServiceId {
    let mut t = db.begin().await.unwrap();
    let new = NewService { name: "s".into(), title: "S".into(), owner: "o".into(), rpo_s: None, rto_s: None, mtpod_s: None, canary: None };
    let id = services::upsert(t.tx(), &new, Timestamp(1)).await.unwrap();
    t.commit().await.unwrap();
    id
}

#[tokio::test]
async fn a_waiver_stands_until_its_day_is_over_or_somebody_ends_it() {
    for t in testing::databases().await {
        let service = service(&t.db).await;
        let mut tx = t.db.begin().await.unwrap();
        let new =
            NewWaiver { service, finding: "rto-exceeds-mtpod", subject: "", said: "3 d against 2 d", reason: "agreed", by: "ada", until: date(2021, 5, 31) };
        let first = waivers::give(tx.tx(), &new, Timestamp(10)).await.unwrap();
        let second = waivers::give(tx.tx(), &NewWaiver { finding: "never-tested", subject: "x", ..new.clone() }, Timestamp(11)).await.unwrap();
        for (day, want) in [(date(2021, 5, 31), 2), (date(2021, 6, 1), 0)] {
            assert_eq!(waivers::standing(tx.tx(), service, day, 9).await.unwrap().len(), want, "{} {day}", t.name);
        }
        let today = date(2021, 5, 1);
        assert!(!waivers::end(tx.tx(), first, "bob", "late", date(2021, 6, 1), Timestamp(12)).await.unwrap(), "it is over");
        assert!(waivers::end(tx.tx(), first, "bob", "put right", today, Timestamp(12)).await.unwrap());
        assert!(!waivers::end(tx.tx(), first, "eve", "again", today, Timestamp(13)).await.unwrap());
        let row = waivers::find(tx.tx(), first).await.unwrap().unwrap();
        assert_eq!((row.ended_by.as_deref(), row.end_reason.as_deref(), row.ended_at), (Some("bob"), Some("put right"), Some(12)));
        assert_eq!((row.until().unwrap(), row.said.as_str(), row.waiver().unwrap().ended), (date(2021, 5, 31), "3 d against 2 d", true));
        let standing: Vec<_> = waivers::standing(tx.tx(), service, today, 9).await.unwrap().iter().map(waivers::WaiverRow::id).collect();
        assert_eq!(standing, [second], "{}", t.name);
        let all: Vec<_> = waivers::of_service(tx.tx(), service, 9).await.unwrap().iter().map(waivers::WaiverRow::id).collect();
        assert_eq!(all, [second, first], "those that are over stay");
        assert_eq!(waivers::of_service(tx.tx(), service, 1).await.unwrap().len(), 1);
    }
}

async fn policy(db: &Db, name: &str, at: i64) -> PolicyId {
    let mut t = db.begin().await.unwrap();
    let id = policies::upsert(t.tx(), &NewPolicy { name: name.into(), rules: Rules::default() }, Timestamp(at)).await.unwrap();
    t.commit().await.unwrap();
    id
}

async fn source(db: &Db, service: ServiceId, policy: PolicyId, at: i64) -> SourceId {
    let mut t = db.begin().await.unwrap();
    let new = NewRepository {
        name: "r".into(),
        location: "file:///r".into(),
        options: StorageOptions::default(),
        max_parallel: None,
        read_all_within_s: None,
        password: SecretRef::Env("P".into()),
    };
    let repository = repositories::upsert(t.tx(), &new, Timestamp(at)).await.unwrap();
    let new =
        NewSource { service, repository, name: "homes".into(), kind: "directory".into(), config: serde_json::json!({}), position: 0, policy: Some(policy) };
    let id = sources::upsert(t.tx(), &new, Timestamp(at)).await.unwrap();
    t.commit().await.unwrap();
    id
}

async fn schedule(db: &Db, service: ServiceId, at: i64) -> ScheduleId {
    let mut t = db.begin().await.unwrap();
    let new = NewSchedule {
        name: "nightly".into(),
        kind: ScheduleKind::Backup,
        service: Some(service),
        source: None,
        repository: None,
        params: serde_json::json!({}),
        cron: "15 1 * * *".into(),
        zone: "UTC".into(),
        jitter_s: 0,
        max_duration_s: None,
        misfire: Misfire::Once,
        runs_a_day: None,
        next_at: Timestamp(at),
        next_run_at: Timestamp(at),
    };
    let id = schedules::upsert(t.tx(), &new, Timestamp(at)).await.unwrap();
    t.commit().await.unwrap();
    id
}

#[tokio::test]
async fn changes_are_found_with_what_and_when() {
    for t in testing::databases().await {
        let service = service(&t.db).await;
        let (used, _unused) = (policy(&t.db, "daily", 20).await, policy(&t.db, "other", 90).await);
        source(&t.db, service, used, 30).await;
        let nightly = schedule(&t.db, service, 40).await;
        let since = async |at: i64| {
            let mut read = t.db.read().await.unwrap();
            let mut found: Vec<String> =
                changes::since(read.tx(), service, Timestamp(at)).await.unwrap().iter().map(|c| format!("{} {} {}", c.kind, c.name, c.at().0)).collect();
            found.sort();
            found
        };
        assert_eq!(since(0).await, ["policy daily 20", "schedule nightly 40", "service  1", "source homes 30"], "{}", t.name);
        assert_eq!(since(30).await, ["schedule nightly 40"]);
        assert_eq!(changes::schedules(t.db.read().await.unwrap().tx(), service, 9).await.unwrap(), [nightly.0]);
        let mut tx = t.db.begin().await.unwrap();
        let row = schedules::find(tx.tx(), nightly).await.unwrap().unwrap();
        assert!(schedules::remove(tx.tx(), &row, Timestamp(50)).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(since(40).await, ["schedule nightly 50"], "a removal is a change");
        assert!(changes::schedules(t.db.read().await.unwrap().tx(), service, 9).await.unwrap().is_empty());
        let deployed = changes::deployed(t.db.read().await.unwrap().tx(), service).await.unwrap().unwrap();
        assert_eq!((deployed.name.as_str(), deployed.at()), ("homes", Timestamp(30)));
        assert!(changes::copied(t.db.read().await.unwrap().tx(), service, Timestamp(0), 9).await.unwrap().is_empty());
    }
}
