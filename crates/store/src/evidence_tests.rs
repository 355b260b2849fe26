//! Evidence: a chain without gaps whoever writes at once, rows that stay as they are, one key that signs.

use domain::{
    evidence::{EvidenceLevel, Verdict},
    id::{RestoreTestId, RunId, ServiceId},
    run::RunKind,
    units::Timestamp,
    work::Teardown,
};
use uuid::Uuid;

use crate::{
    Db, StoreError,
    evidence::{self, EvidenceRow, Period},
    ids::NewId,
    queue::{self, NewRun},
    restore_tests::{self, NewRestoreTest},
    services::{self, NewService},
    testing,
};

fn row(seq: i64, prev: &str, kind: &str) -> EvidenceRow {
    EvidenceRow {
        seq,
        id: Uuid::now_v7(),
        kind: kind.into(),
        service_id: None,
        test_id: None,
        about_seq: None,
        person: None,
        effective_at: 5,
        recorded_at: 6,
        payload: format!("{{\"sequence\":{seq}}}"),
        prev_hash: prev.into(),
        hash: format!("hash-{seq}"),
        key_id: None,
        signature: None,
        signed_at: None,
    }
}

/// Adds a record in a transaction of its own.
async fn append(db: &Db) -> i64 {
    let mut t = db.begin().await.unwrap();
    let (seq, hash) = evidence::take_head(t.tx()).await.unwrap();
    evidence::add(t.tx(), &row(seq + 1, &hash, evidence::RESTORE_TEST)).await.unwrap();
    t.commit().await.unwrap();
    seq + 1
}

#[tokio::test]
async fn whoever_writes_at_once_leaves_no_gap() {
    for t in testing::databases().await {
        let writers = (0..24).map(|_| {
            let db = t.db.clone();
            tokio::spawn(async move { append(&db).await })
        });
        let mut got = Vec::new();
        for w in writers.collect::<Vec<_>>() {
            got.push(w.await.unwrap());
        }
        got.sort_unstable();
        assert_eq!(got, (1..=24).collect::<Vec<_>>(), "{}", t.name);
        let mut read = t.db.read().await.unwrap();
        let rows = evidence::after(read.tx(), 0, 100).await.unwrap();
        assert!(rows.windows(2).all(|w| w[1].prev_hash == w[0].hash && w[1].seq == w[0].seq + 1), "{}", t.name);
        assert_eq!(evidence::head(read.tx()).await.unwrap(), (24, "hash-24".to_owned()));
        assert_eq!(evidence::links(read.tx(), 22, 9).await.unwrap(), [(23, "hash-23".to_owned()), (24, "hash-24".to_owned())]);
    }
}

#[tokio::test]
async fn a_record_is_signed_once_and_stays() {
    for t in testing::databases().await {
        append(&t.db).await;
        let mut tx = t.db.begin().await.unwrap();
        evidence::add_key(tx.tx(), "k1", "00", "sealed", "holdfast", Timestamp(1)).await.unwrap();
        assert_eq!(evidence::count_unsigned(tx.tx()).await.unwrap(), 1);
        assert!(evidence::sign(tx.tx(), 1, "k1", "c2ln", Timestamp(9)).await.unwrap());
        assert!(!evidence::sign(tx.tx(), 1, "k1", "b3Ro", Timestamp(10)).await.unwrap(), "{}", t.name);
        assert!(evidence::unsigned(tx.tx(), 9).await.unwrap().is_empty());
        tx.commit().await.unwrap();
        let row = evidence::find(t.db.read().await.unwrap().tx(), 1).await.unwrap().unwrap();
        assert_eq!((row.key_id.as_deref(), row.signature.as_deref(), row.signed_at), (Some("k1"), Some("c2ln"), Some(9)));
        for sql in
            ["UPDATE evidence SET payload = 'x' WHERE seq = 1", "UPDATE evidence SET signature = NULL WHERE seq = 1", "DELETE FROM evidence WHERE seq = 1"]
        {
            let mut tx = t.db.begin().await.unwrap();
            let done = crate::on!(tx.tx(), c => sqlx::query(sql).execute(c).await.map(|_| ()));
            assert!(done.unwrap_err().to_string().contains("only ever added"), "{}: {sql}", t.name);
        }
    }
}

#[tokio::test]
async fn one_key_signs_and_a_retired_one_has_no_private_part() {
    for t in testing::databases().await {
        let mut tx = t.db.begin().await.unwrap();
        assert!(evidence::signing_key(tx.tx()).await.unwrap().is_none());
        evidence::add_key(tx.tx(), "k1", "01", "sealed", "holdfast", Timestamp(1)).await.unwrap();
        tx.commit().await.unwrap();
        let mut tx = t.db.begin().await.unwrap();
        assert!(matches!(evidence::add_key(tx.tx(), "k2", "02", "sealed", "ada", Timestamp(2)).await, Err(StoreError::Conflict(_))), "{}", t.name);
        drop(tx);
        let mut tx = t.db.begin().await.unwrap();
        assert!(evidence::retire_key(tx.tx(), "k1", "ada", Timestamp(2)).await.unwrap());
        assert!(!evidence::retire_key(tx.tx(), "k1", "bob", Timestamp(3)).await.unwrap());
        evidence::add_key(tx.tx(), "k2", "02", "sealed", "ada", Timestamp(2)).await.unwrap();
        evidence::reseal_key(tx.tx(), "k2", "sealed anew").await.unwrap();
        evidence::reseal_key(tx.tx(), "k1", "sealed anew").await.unwrap();
        tx.commit().await.unwrap();
        let keys = evidence::keys(t.db.read().await.unwrap().tx()).await.unwrap();
        let said: Vec<_> = keys.iter().map(|k| (k.id.as_str(), k.private_key.as_deref(), k.retired_by.as_deref(), k.signs)).collect();
        assert_eq!(said, [("k2", Some("sealed anew"), None, Some(1)), ("k1", None, Some("ada"), None)], "{}", t.name);
        assert!(!format!("{keys:?}").contains("sealed"), "no log shows it");
    }
}

async fn recorded(db: &Db, service: ServiceId, at: i64) -> RestoreTestId {
    let run = NewRun {
        id: RunId::new(),
        kind: RunKind::RestoreTest,
        service: None,
        source: None,
        repository: None,
        title: "t".into(),
        params: serde_json::json!({}),
        actor: "ada".into(),
        retry_of: None,
        queued_at: Timestamp(at),
        run_at: Timestamp(at),
        priority: 0,
        max_attempts: 1,
        resource_key: None,
        unique_key: None,
        schedule: None,
        max_duration_s: None,
    };
    let mut t = db.begin().await.unwrap();
    queue::enqueue(t.tx(), &run).await.unwrap();
    let new = NewRestoreTest {
        run: run.id,
        service,
        selection: "latest".into(),
        definition: None,
        started_at: Timestamp(at),
        finished_at: Timestamp(at + 1),
        verdict: Verdict::Passed,
        level: EvidenceLevel::Restored,
        rto_s: Some(1.0),
        rto_target_s: None,
        rpo_s: None,
        rpo_target_s: None,
        items_restored: 1,
        items_skipped: 0,
        items_failed: 0,
        files: 1,
        bytes: 1,
        checks: Vec::new(),
        teardown: Teardown { scratch: String::new(), started_at: Timestamp(0), gone_at: None, detail: String::new() },
        snapshots: Vec::new(),
    };
    let id = restore_tests::save(t.tx(), &new).await.unwrap();
    t.commit().await.unwrap();
    id
}

#[tokio::test]
async fn tests_of_a_period_come_with_their_signature_or_without() {
    for t in testing::databases().await {
        let mut ids = Vec::new();
        for name in ["a", "b"] {
            let mut tx = t.db.begin().await.unwrap();
            let new = NewService { name: name.into(), title: name.into(), owner: "o".into(), rpo_s: None, rto_s: None, mtpod_s: None, canary: None };
            ids.push(services::upsert(tx.tx(), &new, Timestamp(1)).await.unwrap());
            tx.commit().await.unwrap();
        }
        let old = recorded(&t.db, ids[0], 10).await;
        let new = recorded(&t.db, ids[0], 20).await;
        let other = recorded(&t.db, ids[1], 15).await;
        let mut tx = t.db.begin().await.unwrap();
        evidence::take_head(tx.tx()).await.unwrap();
        let first = EvidenceRow { test_id: Some(new.0), service_id: Some(ids[0].0), ..row(1, "", evidence::RESTORE_TEST) };
        evidence::add(tx.tx(), &first).await.unwrap();
        let said = EvidenceRow { about_seq: Some(1), person: Some("ada".into()), ..row(2, "hash-1", evidence::COUNTERSIGNATURE) };
        evidence::add(tx.tx(), &said).await.unwrap();
        tx.commit().await.unwrap();
        let mut tx = t.db.begin().await.unwrap();
        let again = EvidenceRow { about_seq: Some(1), person: Some("ada".into()), ..row(3, "hash-2", evidence::COUNTERSIGNATURE) };
        assert!(matches!(evidence::add(tx.tx(), &again).await, Err(StoreError::Conflict(_))), "{}: once a person", t.name);
        drop(tx);
        let mut read = t.db.read().await.unwrap();
        let period = Period { since: Timestamp(10), until: Timestamp(21), service: String::new() };
        let all = evidence::tests(read.tx(), &period, (Timestamp(i64::MAX), Uuid::max()), 9).await.unwrap();
        let seen: Vec<_> = all.iter().map(|r| (r.id, r.service.as_str(), r.seq, r.countersigned)).collect();
        assert_eq!(seen, [(new.0, "a", Some(1), 1), (other.0, "b", None, 0), (old.0, "a", None, 0)], "{}", t.name);
        let of_a = Period { until: Timestamp(20), service: "a".into(), ..period };
        assert_eq!(evidence::tests(read.tx(), &of_a, (Timestamp(i64::MAX), Uuid::max()), 9).await.unwrap().len(), 1);
        let newest = evidence::newest(read.tx(), Timestamp(10), Timestamp(21)).await.unwrap();
        let mut newest: Vec<_> = newest.iter().map(|r| r.id).collect();
        newest.sort_unstable();
        let mut want = [new.0, other.0];
        want.sort_unstable();
        assert_eq!(newest, want, "{}", t.name);
        assert_eq!(evidence::of_test(read.tx(), new).await.unwrap().unwrap().seq, 1);
        assert_eq!(evidence::about(read.tx(), 1).await.unwrap().len(), 1);
    }
}
