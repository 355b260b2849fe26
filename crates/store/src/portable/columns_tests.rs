//! `migrations/columns.txt` tells the columns that the databases really have.
//!
//! After a migration: `HOLDFAST_BLESS=1 cargo test --workspace --lib columns`.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{Tx, testing};

const HEAD: &str = "# The columns of all tables: table, column, kind, and the place in the primary key. Whoever is referred to comes first.\n\
    # Copies of Holdfast itself are made of these. Written by: HOLDFAST_BLESS=1 cargo test --workspace --lib columns\n";

#[tokio::test]
async fn columns_are_those_of_the_database() {
    let t = testing::postgres().await;
    let mut read = t.db.read().await.unwrap();
    let Tx::Pg(c) = read.tx() else { panic!("PostgreSQL") };
    let columns: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT table_name::text, column_name::text, data_type::text FROM information_schema.columns \
         WHERE table_schema = 'public' AND table_name NOT LIKE '\\_%' ORDER BY table_name, ordinal_position",
    )
    .fetch_all(&mut *c)
    .await
    .unwrap();
    let keys: Vec<(String, String, i32)> = sqlx::query_as(
        "SELECT k.table_name::text, k.column_name::text, k.ordinal_position::int FROM information_schema.key_column_usage k \
         JOIN information_schema.table_constraints t ON t.constraint_name = k.constraint_name AND t.table_name = k.table_name \
         WHERE t.constraint_type = 'PRIMARY KEY' AND t.table_schema = 'public'",
    )
    .fetch_all(&mut *c)
    .await
    .unwrap();
    let arrows: Vec<(String, String)> =
        sqlx::query_as("SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint WHERE contype = 'f' AND NOT condeferrable")
            .fetch_all(&mut *c)
            .await
            .unwrap();

    let mut tables: BTreeMap<&str, String> = BTreeMap::new();
    for (table, column, kind) in &columns {
        let kind = match kind.as_str() {
            "bigint" => "int",
            "double precision" => "real",
            "boolean" => "bool",
            "text" => "text",
            "jsonb" => "json",
            "uuid" => "uuid",
            "bytea" => "bytes",
            other => panic!("{table}.{column}: a copy cannot carry the type {other}; add a kind to store::portable"),
        };
        let key = keys.iter().find(|(t, c, _)| (t, c) == (table, column)).map_or_else(String::new, |(.., place)| format!(" key {place}"));
        writeln!(tables.entry(table).or_default(), "{table} {column} {kind}{key}").unwrap();
    }
    assert!(tables.keys().all(|t| keys.iter().any(|(k, ..)| k == t)), "every table needs a primary key: its rows are written in that order");
    let mut text = HEAD.to_owned();
    let mut left: Vec<&str> = tables.keys().copied().collect();
    while !left.is_empty() {
        let free = |t: &&str| arrows.iter().all(|(from, to)| from != t || to == t || !left.contains(&to.as_str()));
        let next = *left.iter().find(|t| free(t)).expect("no table refers to another in a circle");
        text.push_str(&tables[next]);
        left.retain(|t| *t != next);
    }

    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/columns.txt");
    #[allow(clippy::disallowed_methods, reason = "whoever runs the test says whether the file is to be written")]
    if std::env::var("HOLDFAST_BLESS").is_ok() {
        std::fs::write(&path, &text).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(known == text, "migrations/columns.txt is not up to date: HOLDFAST_BLESS=1 cargo test --workspace --lib columns");
}

#[test]
fn what_is_left_out_is_there() {
    let all = super::tables();
    assert!(super::LEFT_BEHIND.iter().all(|left| all.iter().any(|(table, _)| table == left)));
    for (table, column) in super::EMPTIED {
        assert!(all.iter().any(|(name, columns)| *name == table && columns.iter().any(|(c, _)| c == column)), "{table}.{column}");
    }
}
