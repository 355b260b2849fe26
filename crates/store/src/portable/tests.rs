//! A database with a row in every table, written out, brought back into both databases, and written out again.

use std::path::Path;

use domain::{run::RunState, units::Timestamp};
use serde_json::Value;

use super::*;
use crate::{Db, audit, fixtures, testing};

/// A row in every carried table.
async fn fill(db: &Db) {
    fixtures::fill(db, i64::MAX).await;
}

async fn written(db: &Db, folder: &Path) -> Exported {
    std::fs::create_dir_all(folder).unwrap();
    let mut t = db.begin_read().await.unwrap();
    export(t.tx(), folder).await.unwrap()
}

#[tokio::test]
async fn rows_come_back_into_either_database_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for from in testing::databases().await {
        fill(&from.db).await;
        let out = folder.path().join(from.name);
        let exported = written(&from.db, &out).await;
        assert!(exported.tables.iter().all(|t| t.rows > 0), "{}: every table has a row: {:?}", from.name, exported.tables);
        for to in testing::databases().await {
            let what = format!("{} to {}", from.name, to.name);
            let mut t = to.db.begin().await.unwrap();
            assert!(is_empty(t.tx()).await.unwrap(), "{what}");
            let rows = restore(t.tx(), &out, &exported.tables).await.unwrap();
            assert_eq!(rows, exported.tables.iter().map(|t| t.rows).sum::<i64>(), "{what}");
            assert!(!is_empty(t.tx()).await.unwrap(), "{what}");
            t.commit().await.unwrap();
            let again = written(&to.db, &folder.path().join(format!("{}-{}", from.name, to.name))).await;
            assert_eq!(again, exported, "{what}");
            assert!(audit::verify(to.db.read().await.unwrap().tx()).await.unwrap().is_ok(), "{what}");
        }
        all.push(exported);
    }
    // The fixtures are the same on both, and so are the files.
    assert_eq!(all[0], all[1]);
}

#[tokio::test]
async fn files_are_lines_of_json_in_the_order_of_keys_without_what_was_held() {
    for t in testing::databases().await {
        fill(&t.db).await;
        let folder = tempfile::tempdir().unwrap();
        written(&t.db, folder.path()).await;
        let lines = |table: &str| -> Vec<Value> {
            let text = std::fs::read_to_string(folder.path().join(file_of(table))).unwrap();
            text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
        };
        let names: Vec<String> = lines("setting").iter().map(|l| l["name"].as_str().unwrap().to_owned()).collect();
        let mut sorted = names.clone();
        sorted.sort();
        assert_eq!(names, sorted, "{}", t.name);
        for run in lines("run") {
            assert!(run.get("lease_token").is_none() && run.get("lease_owner").is_none() && run.get("progress").is_none(), "{}: {run}", t.name);
        }
        assert!(lines("delivery").iter().all(|l| l.get("lease_token").is_none()), "{}", t.name);
        for left in LEFT_BEHIND {
            assert!(!folder.path().join(file_of(left)).exists(), "{}: {left}", t.name);
        }
    }
}

#[tokio::test]
async fn a_damaged_file_brings_nothing_back() {
    for t in testing::databases().await {
        let source = testing::sqlite().await;
        fill(&source.db).await;
        let folder = tempfile::tempdir().unwrap();
        let exported = written(&source.db, folder.path()).await;
        let path = folder.path().join(file_of("audit_event"));
        let whole = std::fs::read_to_string(&path).unwrap();
        let cut = whole.lines().next().unwrap().to_owned() + "\n";
        for (text, word) in [(cut, "another hash"), (whole.replacen("shell", "shill", 1), "another hash"), ("[1]\n".to_owned(), "no JSON object")] {
            std::fs::write(&path, text).unwrap();
            let mut tx = t.db.begin().await.unwrap();
            let said = restore(tx.tx(), folder.path(), &exported.tables).await.unwrap_err().to_string();
            assert!(said.contains("audit_event.jsonl") && said.contains(word), "{}: {said}", t.name);
            drop(tx);
            assert!(is_empty(t.db.read().await.unwrap().tx()).await.unwrap(), "{}", t.name);
        }
        std::fs::write(&path, &whole).unwrap();
        let mut tables = exported.tables.clone();
        tables[0].columns[0].name = "x\" --".to_owned();
        let mut tx = t.db.begin().await.unwrap();
        assert!(matches!(restore(tx.tx(), folder.path(), &tables).await, Err(Lost::Copy(_))), "{}", t.name);
        tables[0].name = "session".to_owned();
        assert!(matches!(restore(tx.tx(), folder.path(), &tables).await, Err(Lost::Copy(_))), "{}", t.name);
    }
}

#[tokio::test]
async fn what_was_live_ends_and_says_why() {
    for t in testing::databases().await {
        fill(&t.db).await;
        let mut tx = t.db.begin().await.unwrap();
        let ended = close_what_was_live(tx.tx(), Some(fixtures::MAKER), Timestamp(77), Timestamp(99)).await.unwrap();
        assert_eq!(ended, [fixtures::RUNNING, fixtures::WAITING], "{}", t.name);
        for (run, state, finished) in
            [(fixtures::RUNNING, RunState::Interrupted, 99), (fixtures::WAITING, RunState::Cancelled, 99), (fixtures::MAKER, RunState::Succeeded, 77)]
        {
            let row = crate::runs::find(tx.tx(), run).await.unwrap().unwrap();
            assert_eq!((row.state().unwrap(), row.finished_at, row.lease_token), (state, Some(finished), None), "{}", t.name);
            let said = crate::run_events::after(tx.tx(), run, 0, 100).await.unwrap().pop().unwrap();
            assert!(said.message.starts_with(state.as_str()) && said.message.contains("Holdfast"), "{}: {}", t.name, said.message);
            let steps = crate::steps::of_run(tx.tx(), run).await.unwrap();
            assert!(steps.iter().all(|s| s.state != "running" && s.state != "pending"), "{}", t.name);
        }
        let ledger: String =
            crate::on!(tx.tx(), c => sqlx::query_scalar("SELECT state FROM tick WHERE run_id = $1").bind(fixtures::RUNNING.0).fetch_one(c).await).unwrap();
        assert_eq!(ledger, "interrupted", "{}: the ledger", t.name);
        let message: String = crate::on!(tx.tx(), c => sqlx::query_scalar("SELECT state FROM delivery WHERE dedup_key = 'k'").fetch_one(c).await).unwrap();
        assert_eq!(message, "queued", "{}: a message on its way", t.name);
        assert_eq!(close_what_was_live(tx.tx(), None, Timestamp(1), Timestamp(2)).await.unwrap(), [], "{}", t.name);
    }
}
