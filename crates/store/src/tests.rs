//! What holds for the store as a whole: every statement prepares on both databases, the two schemas are one,
//! the audit chain finds what was changed behind its back.

use std::collections::BTreeSet;

use domain::units::Timestamp;
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};

use crate::{
    Db, StoreError, Tx, accounts, alerts, audit, availability, channels, deliveries, evidence, file_versions, guard, holds, idempotency, installation, items,
    metrics, origins, people, policies, providers, queue, readings, repositories, restore_tests, run_events, run_items, runs, schedules, services, sessions,
    settings, snapshots, sources, steps, test_definitions, testing, ticks, tokens, watch, workers,
};

/// Every module with statements; `modules_are_listed` fails when one is missing.
const ALL: &[(&str, &[(&str, &str)])] = &[
    ("alerts", alerts::STATEMENTS),
    ("accounts", accounts::STATEMENTS),
    ("audit", audit::STATEMENTS),
    ("changes", crate::changes::STATEMENTS),
    ("waivers", crate::waivers::STATEMENTS),
    ("clones", crate::clones::STATEMENTS),
    ("availability", availability::STATEMENTS),
    ("providers", providers::STATEMENTS),
    ("channels", channels::STATEMENTS),
    ("deliveries", deliveries::STATEMENTS),
    ("feeds", crate::feeds::STATEMENTS),
    ("evidence", evidence::STATEMENTS),
    ("exercises", crate::exercises::STATEMENTS),
    ("file_versions", file_versions::STATEMENTS),
    ("guard", guard::STATEMENTS),
    ("holds", holds::STATEMENTS),
    ("idempotency", idempotency::STATEMENTS),
    ("person_names", crate::person_names::STATEMENTS),
    ("installation", installation::STATEMENTS),
    ("items", items::STATEMENTS),
    ("links", crate::links::STATEMENTS),
    ("metrics", metrics::STATEMENTS),
    ("native", crate::native::STATEMENTS),
    ("origins", origins::STATEMENTS),
    ("orphans", crate::orphans::STATEMENTS),
    ("people", people::STATEMENTS),
    ("plans", crate::plans::STATEMENTS),
    ("policies", policies::STATEMENTS),
    ("queue", queue::STATEMENTS),
    ("readings", readings::STATEMENTS),
    ("repositories", repositories::STATEMENTS),
    ("restore_tests", restore_tests::STATEMENTS),
    ("reviews", crate::reviews::STATEMENTS),
    ("risks", crate::risks::STATEMENTS),
    ("run_events", run_events::STATEMENTS),
    ("run_items", run_items::STATEMENTS),
    ("runs", runs::STATEMENTS),
    ("schedules", schedules::STATEMENTS),
    ("services", services::STATEMENTS),
    ("sessions", sessions::STATEMENTS),
    ("settings", settings::STATEMENTS),
    ("snapshots", snapshots::STATEMENTS),
    ("sources", sources::STATEMENTS),
    ("steps", steps::STATEMENTS),
    ("test_definitions", test_definitions::STATEMENTS),
    ("ticks", ticks::STATEMENTS),
    ("watch", watch::STATEMENTS),
    ("tokens", tokens::STATEMENTS),
    ("workers", workers::STATEMENTS),
];

#[test]
fn modules_are_listed() {
    let listed: BTreeSet<String> = ALL.iter().map(|(m, _)| format!("{m}.rs")).collect();
    let src = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let with: BTreeSet<String> = std::fs::read_dir(src)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_file() && std::fs::read_to_string(p).unwrap().lines().any(|l| ["statements! {", "table! {"].iter().any(|m| l.starts_with(m))))
        .map(|p| p.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(with, listed);
}

#[tokio::test]
async fn every_statement_prepares_on_both() {
    for t in testing::databases().await {
        let mut reader = t.db.read().await.unwrap();
        for (module, statements) in ALL {
            for (name, sql) in *statements {
                if (name.ends_with("_PG") && !t.db.is_postgres()) || (name.ends_with("_SQLITE") && t.db.is_postgres()) {
                    continue;
                }
                let sql = AssertSqlSafe(*sql).into_sql_str();
                let done = match reader.tx() {
                    Tx::Sqlite(c) => c.prepare(sql).await.map(|_| ()),
                    Tx::Pg(c) => c.prepare(sql).await.map(|_| ()),
                };
                assert!(done.is_ok(), "{}: {module}::{name}: {}", t.name, done.unwrap_err());
            }
        }
    }
}

#[tokio::test]
async fn the_two_schemas_have_the_same_columns() {
    let mut found = Vec::new();
    for t in testing::databases().await {
        let columns: Vec<(String, String, bool)> = match t.db.read().await.unwrap().tx() {
            Tx::Sqlite(c) => sqlx::query_as(
                "SELECT m.name, p.name, p.\"notnull\" <> 0 FROM sqlite_master m JOIN pragma_table_info(m.name) p WHERE m.type = 'table' AND m.name NOT LIKE '\\_%' ESCAPE '\\' AND m.name NOT LIKE 'sqlite%'",
            )
            .fetch_all(c)
            .await
            .unwrap(),
            Tx::Pg(c) => sqlx::query_as(
                "SELECT table_name::text, column_name::text, is_nullable = 'NO' FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE '\\_%'",
            )
            .fetch_all(c)
            .await
            .unwrap(),
        };
        found.push(columns.into_iter().collect::<BTreeSet<_>>());
    }
    assert!(found[0].len() > 100);
    assert_eq!(found[0], found[1]);
}

#[tokio::test]
async fn opening_twice_is_harmless_and_a_newer_database_is_refused() {
    for t in testing::databases().await {
        Db::open(&t.url).await.unwrap().close().await;
        let mut tx = t.db.begin().await.unwrap();
        let sql = if t.db.is_postgres() {
            "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time) VALUES (9999, 'later', now(), true, '', 0)"
        } else {
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', true, x'', 0)"
        };
        crate::on!(tx.tx(), c => sqlx::query(sql).execute(c).await.map(|_| ())).unwrap();
        tx.commit().await.unwrap();
        match Db::open(&t.url).await {
            Err(StoreError::Newer(9999)) => {}
            other => panic!("{}: {other:?}", t.name),
        }
    }
}

#[tokio::test]
async fn a_changed_or_removed_audit_row_is_found() {
    for t in testing::databases().await {
        for n in 0..5 {
            let mut tx = t.db.begin_audited().await.unwrap();
            let event = audit::NewEvent {
                action: "service.apply",
                entity: "service",
                entity_id: n.to_string(),
                before: None,
                after: Some(json!({"rpo": n, "a": [1.5, null]})),
            };
            audit::record(tx.tx(), Timestamp(n), "somebody", "test", event).await.unwrap();
            tx.commit().await.unwrap();
        }
        assert_eq!(audit::verify(t.db.read().await.unwrap().tx()).await.unwrap(), Ok(5), "{}", t.name);
        // The database itself refuses what Holdfast never does.
        for sql in ["UPDATE audit_event SET actor = 'else'", "DELETE FROM audit_event"] {
            let refused = execute(&t.db, sql).await.unwrap_err().to_string();
            assert!(refused.contains("the audit trail is only ever added to"), "{}: {refused}", t.name);
        }
        // Whoever owns the database can take the refusal away, and is found.
        testing::unguard_audit(&t.db).await;
        let verify = async || audit::verify(t.db.read().await.unwrap().tx()).await.unwrap();
        let broken = |seq, fault| Err(audit::Broken { seq, fault });
        execute(&t.db, "DELETE FROM audit_event WHERE seq = 5").await.unwrap();
        assert_eq!(verify().await, broken(5, audit::Fault::CutOff), "{}", t.name);
        let mut tx = t.db.begin_audited().await.unwrap();
        audit::record(tx.tx(), Timestamp(6), "somebody", "test", audit::NewEvent::default()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(verify().await, broken(5, audit::Fault::Removed), "{}: nothing grows over a gap", t.name);
        execute(&t.db, "UPDATE audit_event SET actor = 'else' WHERE seq = 4").await.unwrap();
        assert_eq!(verify().await, broken(4, audit::Fault::Changed), "{}", t.name);
        execute(&t.db, "DELETE FROM audit_event WHERE seq = 3").await.unwrap();
        assert_eq!(verify().await, broken(3, audit::Fault::Removed), "{}", t.name);
        execute(&t.db, "UPDATE audit_event SET after = NULL WHERE seq = 1").await.unwrap();
        assert_eq!(verify().await, broken(1, audit::Fault::Changed), "{}", t.name);
    }
}

/// Whoever writes an event has the trail's lock before any row, so that no two wait for each other.
#[tokio::test]
async fn the_lock_of_the_trail_comes_first() {
    let t = testing::postgres().await;
    let mut plain = t.db.begin().await.unwrap();
    assert!(!audit::is_locked(plain.tx()).await.unwrap());
    let mut first = t.db.begin_audited().await.unwrap();
    assert!(audit::is_locked(first.tx()).await.unwrap());
    let second = tokio::time::timeout(std::time::Duration::from_millis(300), t.db.begin_audited()).await;
    assert!(second.is_err(), "the next one waits before it holds anything");
    drop(first);
    t.db.begin_audited().await.unwrap();
}

/// Events that are written while the chain is walked are no fault of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_that_grows_is_proven_all_the_same() {
    for t in testing::databases().await {
        let db = t.db.clone();
        let writer = tokio::spawn(async move {
            for n in 0..400 {
                let mut tx = db.begin_audited().await.unwrap();
                audit::record(tx.tx(), Timestamp(n), "somebody", "test", audit::NewEvent::default()).await.unwrap();
                tx.commit().await.unwrap();
            }
        });
        let mut looks = 0;
        while !writer.is_finished() {
            audit::verify(t.db.read().await.unwrap().tx()).await.unwrap().unwrap_or_else(|b| panic!("{}: look {looks}: {b}", t.name));
            looks += 1;
        }
        writer.await.unwrap();
        assert_eq!(audit::verify(t.db.read().await.unwrap().tx()).await.unwrap(), Ok(400), "{}", t.name);
        assert!(looks > 5, "{}: {looks} looks", t.name);
    }
}

async fn execute(db: &Db, sql: &'static str) -> crate::Result<()> {
    let mut tx = db.begin().await?;
    crate::on!(tx.tx(), c => sqlx::query(sql).execute(c).await.map(|_| ()))?;
    tx.commit().await
}

/// The last event is looked for by whoever did it, what it was done to, and when.
#[tokio::test]
async fn events_are_found_by_their_parts() {
    for t in testing::databases().await {
        for (n, (actor, action, entity, id)) in
            [("ada", "service.apply", "service", "a"), ("bob", "run.start", "run", "r1"), ("ada", "run.cancel", "run", "r1")].into_iter().enumerate()
        {
            let mut tx = t.db.begin_audited().await.unwrap();
            let event = audit::NewEvent { action, entity, entity_id: id.to_owned(), ..Default::default() };
            audit::record(tx.tx(), Timestamp(n as i64 * 10), actor, "test", event).await.unwrap();
            tx.commit().await.unwrap();
        }
        let seqs = async |f: audit::Filter, before| -> Vec<i64> {
            audit::list(t.db.read().await.unwrap().tx(), &f, before, 9).await.unwrap().into_iter().map(|e| e.seq).collect()
        };
        let none = audit::Filter::default;
        assert_eq!(seqs(none(), i64::MAX).await, [3, 2, 1], "{}", t.name);
        assert_eq!(seqs(none(), 3).await, [2, 1]);
        assert_eq!(seqs(audit::Filter { actor: "ada".into(), ..none() }, i64::MAX).await, [3, 1]);
        assert_eq!(seqs(audit::Filter { entity: "run".into(), entity_id: "r1".into(), ..none() }, i64::MAX).await, [3, 2]);
        assert_eq!(seqs(audit::Filter { action: "run.start".into(), ..none() }, i64::MAX).await, [2]);
        assert_eq!(seqs(audit::Filter { since: Some(Timestamp(10)), until: Some(Timestamp(20)), ..none() }, i64::MAX).await, [2]);
    }
}

#[tokio::test]
async fn a_sign_in_link_works_once_and_not_late() {
    for t in testing::databases().await {
        let mut tx = t.db.begin().await.unwrap();
        sessions::add_link(tx.tx(), "h", Timestamp(1), Timestamp(100)).await.unwrap();
        assert!(!sessions::use_link(tx.tx(), "h", Timestamp(100)).await.unwrap());
        assert!(sessions::use_link(tx.tx(), "h", Timestamp(99)).await.unwrap());
        assert!(!sessions::use_link(tx.tx(), "h", Timestamp(99)).await.unwrap());
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn an_embedded_database_is_copied_before_it_is_migrated() {
    let (_, url, _kept) = testing::sqlite_place();
    let old = Db::open_at(&url, 3).await.unwrap();
    let mut tx = old.begin().await.unwrap();
    sessions::add_link(tx.tx(), "before", Timestamp(1), Timestamp(2)).await.unwrap();
    tx.commit().await.unwrap();
    old.close().await;
    let path = std::path::PathBuf::from(url.strip_prefix("sqlite://").unwrap());
    let copy = path.with_extension("db.before-3");
    assert!(!copy.exists());

    let db = Db::open(&url).await.unwrap();
    assert!(sessions::any_link(db.read().await.unwrap().tx()).await.unwrap());
    assert!(copy.exists() && !copy.with_extension("partial").exists());
    let old = Db::open(&format!("sqlite://{}", copy.display())).await.unwrap();
    assert!(sessions::any_link(old.read().await.unwrap().tx()).await.unwrap(), "the copy holds what the database held");
}
