//! Rows of earlier versions, for tests of migrations and of copies of Holdfast itself.
//!
//! `fixtures/000N.sql` holds rows of the tables and columns that migration N brought, as they were then; what no file
//! knows gets a row made from the columns alone. Lives here: putting them in. May not: anything a released binary needs.

use domain::id::RunId;
use serde_json::json;
use sqlx::{AssertSqlSafe, types::Json};
use uuid::{Uuid, uuid};

use crate::{Db, Tx, audit, on, portable::Kind, testing};

pub const RUNNING: RunId = RunId(uuid!("01900000-0000-7000-8000-000000000012"));
pub const WAITING: RunId = RunId(uuid!("01900000-0000-7000-8000-000000000013"));
pub const MAKER: RunId = RunId(uuid!("01900000-0000-7000-8000-000000000014"));

/// By the migration after which the rows can be put in.
const FILES: &[(i64, &str)] = &[
    (1, include_str!("fixtures/0001.sql")),
    (5, include_str!("fixtures/0005.sql")),
    (6, include_str!("fixtures/0006.sql")),
    (7, include_str!("fixtures/0007.sql")),
    (8, include_str!("fixtures/0008.sql")),
    (11, include_str!("fixtures/0011.sql")),
];

/// Fills a database that was migrated to `level`: every table has a row afterwards.
pub async fn fill(db: &Db, level: i64) {
    for (_, sql) in FILES.iter().filter(|(from, _)| *from <= level) {
        for statement in statements(sql) {
            let sql = in_words_of(db, &statement);
            let mut t = db.begin().await.unwrap();
            on!(t.tx(), c => sqlx::query(AssertSqlSafe(sql.clone())).execute(c).await.map(|_| ())).unwrap_or_else(|e| panic!("{e}: {sql}"));
            t.commit().await.unwrap();
        }
    }
    chain(db, level).await;
    others(db, level).await;
}

/// A statement ends with a semicolon at the end of a line.
fn statements(sql: &str) -> Vec<String> {
    let lines: Vec<&str> = sql.lines().filter(|l| !l.starts_with("--")).collect();
    lines.join("\n").split(";\n").map(str::trim).filter(|s| !s.is_empty()).map(|s| s.trim_end_matches(';').to_owned()).collect()
}

fn in_words_of(db: &Db, sql: &str) -> String {
    let mut out = String::new();
    let mut rest = sql;
    while let Some(at) = rest.find("U'") {
        let (text, tail) = (&rest[at + 2..at + 38], &rest[at + 39..]);
        out.push_str(&rest[..at]);
        out.push_str(&literal(db.is_postgres(), Uuid::parse_str(text).unwrap()));
        rest = tail;
    }
    out + rest
}

fn literal(postgres: bool, id: Uuid) -> String {
    if postgres { format!("'{id}'::uuid") } else { format!("x'{}'", id.simple()) }
}

/// Audit events whose hashes fit.
async fn chain(db: &Db, level: i64) {
    let mut t = db.begin().await.unwrap();
    let mut prev_hash = String::new();
    for seq in 1..=5_i64 {
        let id = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0100 + seq as u128);
        let after = (seq > 1).then(|| Json(json!({"z": 1, "a": [seq, 0.1, "ü\u{7f}"]})));
        let mut row = audit::EventRow {
            seq,
            id,
            at: 10 * seq,
            actor: "shell".into(),
            origin: "test".into(),
            action: "service.apply".into(),
            entity: "service".into(),
            entity_id: "2".into(),
            before: None,
            after,
            prev_hash,
            hash: String::new(),
        };
        row.hash = row.computed();
        prev_hash = row.hash.clone();
        audit::insert(t.tx(), row).await.unwrap();
    }
    if level >= 13 {
        audit::move_head(t.tx(), 5, &prev_hash, domain::units::Timestamp(50)).await.unwrap();
    }
    t.commit().await.unwrap();
}

/// One row in every table that has none, with the columns that it has at this level. References lead to the first row of
/// the table that is referred to.
async fn others(db: &Db, level: i64) {
    let model = testing::sqlite().await;
    let mut read = model.db.read().await.unwrap();
    let Tx::Sqlite(c) = read.tx() else { panic!("SQLite") };
    for (table, columns) in crate::portable::tables() {
        let arrows: Vec<(String, String, Option<String>)> =
            sqlx::query_as("SELECT \"from\", \"table\", \"to\" FROM pragma_foreign_key_list($1)").bind(table).fetch_all(&mut *c).await.unwrap();
        let mut t = db.begin().await.unwrap();
        let there = crate::portable::columns(t.tx(), table).await.unwrap();
        let count = format!("SELECT count(*) FROM \"{table}\"");
        if there.is_empty() || on!(t.tx(), c => sqlx::query_scalar::<_, i64>(AssertSqlSafe(count)).fetch_one(c).await).unwrap() > 0 {
            continue;
        }
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for (column, kind) in columns.iter().filter(|(name, _)| there.contains(name)) {
            names.push(column.as_str());
            values.push(match arrows.iter().find(|(from, ..)| from == column) {
                Some((_, to, key)) => format!("(SELECT \"{}\" FROM \"{to}\" ORDER BY 1 LIMIT 1)", key.as_deref().unwrap_or("id")),
                None => match kind {
                    Kind::Int => "7".to_owned(),
                    Kind::Real => "1.5".to_owned(),
                    Kind::Bool => "true".to_owned(),
                    Kind::Text => "'x'".to_owned(),
                    Kind::Json => "'{\"a\": [1]}'".to_owned(),
                    Kind::Uuid => literal(db.is_postgres(), Uuid::from_u128(7)),
                    Kind::Bytes if db.is_postgres() => "'\\x0aff'::bytea".to_owned(),
                    Kind::Bytes => "x'0aff'".to_owned(),
                },
            });
        }
        let sql = format!("INSERT INTO \"{table}\" (\"{}\") VALUES ({})", names.join("\", \""), values.join(", "));
        on!(t.tx(), c => sqlx::query(AssertSqlSafe(sql.clone())).execute(c).await.map(|_| ())).unwrap_or_else(|e| panic!("level {level}: {e}: {sql}"));
        t.commit().await.unwrap();
    }
}
