//! One value of a database that is not ours: what a restore test asserts (R32).
//!
//! Lives here: a connection of its own that may only read, a limit of time, the value as text. May not: our own
//! database, comparing the value, secrets in messages.
//! Invariants: a SQLite file is opened for reading and taken as it lies there, so that no file beside it is made or
//! read; PostgreSQL reads in a transaction that cannot write; the database itself ends a statement that takes too long.

use std::{
    path::Path,
    str::FromStr as _,
    time::{Duration, Instant},
};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _,
    postgres::{PgConnectOptions, PgConnection},
    sqlite::{SqliteConnectOptions, SqliteConnection},
};

/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(10);
/// Virtual steps between two looks at the clock.
const STEPS: i32 = 10_000;
/// The longest value that is read, in characters.
const LONGEST: usize = 500;

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoValue {
    /// The database could not be asked: this says nothing about the data.
    Unasked(String),
    /// The database answered, and not with one value.
    Answer(String),
}

/// What a statement gives: one value as text, `None` for NULL.
pub type Value = Result<Option<String>, NoValue>;

/// The statement as a table of one column. What is no query, or several, is refused by the database.
fn wrapped(statement: &str, columns: &str) -> String {
    format!("WITH holdfast_asserted(v) AS (\n{statement}\n) SELECT substr(CAST(v AS TEXT), 1, {LONGEST}){columns} FROM holdfast_asserted LIMIT 2")
}

/// Reads one value from a SQLite file.
pub async fn sqlite(file: &Path, statement: &str, limit: Duration) -> Value {
    let options = SqliteConnectOptions::new().filename(file).read_only(true).immutable(true).create_if_missing(false);
    // The file is a stranger's: what its schema would call is not trusted.
    let options = options.pragma("trusted_schema", "OFF").pragma("query_only", "ON").disable_statement_logging();
    let mut c = match tokio::time::timeout(CONNECT, SqliteConnection::connect_with(&options)).await {
        Ok(Ok(c)) => c,
        Ok(Err(e)) => return Err(NoValue::Answer(said(&e))),
        Err(_) => return Err(NoValue::Unasked("the file could not be opened in time".to_owned())),
    };
    match c.lock_handle().await {
        Ok(mut handle) => {
            let end = Instant::now() + limit;
            handle.set_progress_handler(STEPS, move || Instant::now() < end);
        }
        Err(e) => return Err(NoValue::Unasked(said(&e))),
    }
    let rows = sqlx::query(AssertSqlSafe(wrapped(statement, ""))).fetch_all(&mut c).await;
    let value = match rows {
        Ok(rows) => one(rows.len(), || rows[0].try_get(0)),
        // 9: the handler above said that it is enough.
        Err(sqlx::Error::Database(d)) if d.code().as_deref() == Some("9") => Err(NoValue::Unasked(late(limit))),
        Err(e) => Err(NoValue::Answer(said(&e))),
    };
    // It was opened for reading: there is nothing that closing could lose.
    c.close().await.unwrap_or_default();
    value
}

/// Reads one value from the PostgreSQL database at `url`.
pub async fn postgresql(url: &str, statement: &str, limit: Duration) -> Value {
    let Ok(options) = PgConnectOptions::from_str(url) else {
        return Err(NoValue::Unasked("its address cannot be read; write it as postgres://user@host/name".to_owned()));
    };
    let options = options.application_name("holdfast restore test").options([("default_transaction_read_only", "on")]).disable_statement_logging();
    let mut c = match tokio::time::timeout(CONNECT, PgConnection::connect_with(&options)).await {
        Ok(Ok(c)) => c,
        Ok(Err(e)) => return Err(NoValue::Unasked(said(&e))),
        Err(_) => return Err(NoValue::Unasked("it did not answer in time".to_owned())),
    };
    // A server that hangs does not keep the time limit that it was given.
    let value = tokio::time::timeout(limit + CONNECT, read_only(&mut c, statement, limit)).await.unwrap_or_else(|_| Err(NoValue::Unasked(late(limit))));
    tokio::time::timeout(CONNECT, c.close()).await.map(Result::unwrap_or_default).unwrap_or_default();
    value
}

async fn read_only(c: &mut PgConnection, statement: &str, limit: Duration) -> Value {
    let begin = format!("SET LOCAL statement_timeout = {}", limit.as_millis());
    for sql in ["BEGIN TRANSACTION READ ONLY".to_owned(), begin] {
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *c).await.map_err(|e| NoValue::Unasked(said(&e)))?;
    }
    let columns = ", (SELECT count(*) FROM json_object_keys(row_to_json(holdfast_asserted)))";
    match sqlx::query(AssertSqlSafe(wrapped(statement, columns))).fetch_all(&mut *c).await {
        Ok(rows) if rows.iter().any(|r| r.try_get::<i64, _>(1).unwrap_or(0) != 1) => {
            Err(NoValue::Answer("it gave several columns; select one value".to_owned()))
        }
        Ok(rows) => one(rows.len(), || rows[0].try_get(0)),
        Err(sqlx::Error::Database(d)) if d.code().as_deref() == Some("57014") => Err(NoValue::Unasked(late(limit))),
        Err(e @ (sqlx::Error::Io(_) | sqlx::Error::Protocol(_))) => Err(NoValue::Unasked(said(&e))),
        Err(e) => Err(NoValue::Answer(said(&e))),
    }
}

fn one(rows: usize, value: impl FnOnce() -> sqlx::Result<Option<String>>) -> Value {
    match rows {
        0 => Err(NoValue::Answer("it gave no row; select one value".to_owned())),
        1 => value().map_err(|e| NoValue::Answer(said(&e))),
        _ => Err(NoValue::Answer("it gave several rows; select one value".to_owned())),
    }
}

fn late(limit: Duration) -> String {
    format!("it took longer than {} s", limit.as_secs())
}

/// The database's own words, without where it is.
fn said(e: &sqlx::Error) -> String {
    match e {
        sqlx::Error::Database(d) => d.message().chars().take(LONGEST).collect(),
        sqlx::Error::Io(e) => format!("no connection: {e}"),
        sqlx::Error::Tls(_) => "no connection: TLS did not come about".to_owned(),
        _ => "no connection".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_file_gives_one_value_and_is_only_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("app.db");
        let mut c = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&file).create_if_missing(true)).await.unwrap();
        sqlx::query("CREATE TABLE people AS SELECT 1 AS n, 'ada' AS name UNION SELECT 2, NULL").execute(&mut c).await.unwrap();
        c.close().await.unwrap();
        let before = std::fs::read(&file).unwrap();
        for (statement, value) in [
            ("SELECT count(*) FROM people", Some("2")),
            ("SELECT name FROM people WHERE n = 1", Some("ada")),
            ("SELECT name FROM people WHERE n = 2", None),
            ("WITH x AS (SELECT 0.5 AS h) SELECT h FROM x", Some("0.5")),
        ] {
            assert_eq!(sqlite(&file, statement, LIMIT).await, Ok(value.map(str::to_owned)), "{statement}");
        }
        for bad in [
            "SELECT n FROM people",
            "SELECT 1 WHERE 1 = 0",
            "SELECT n, name FROM people",
            "SELECT nothing",
            "DELETE FROM people",
            "SELECT 1); DELETE FROM people; SELECT (1",
        ] {
            assert!(matches!(sqlite(&file, bad, LIMIT).await, Err(NoValue::Answer(_))), "{bad}");
        }
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
        assert_eq!(sqlite(&file, endless, Duration::from_secs(1)).await, Err(NoValue::Unasked("it took longer than 1 s".to_owned())));
        assert!(matches!(sqlite(&folder.path().join("none.db"), "SELECT 1", LIMIT).await, Err(NoValue::Answer(_))));
        assert_eq!(std::fs::read(&file).unwrap(), before);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was made beside it");
    }

    #[tokio::test]
    async fn postgresql_gives_one_value_and_cannot_write() {
        let url = testing::postgres_place().await;
        let mut c = PgConnection::connect(&url).await.unwrap();
        sqlx::query("CREATE TABLE people AS SELECT 1 AS n, 'ada' AS name UNION SELECT 2, NULL").execute(&mut c).await.unwrap();
        for (statement, value) in [("SELECT count(*) FROM people", Some("2")), ("SELECT name FROM people WHERE n = 2", None), ("SELECT true", Some("true"))] {
            assert_eq!(postgresql(&url, statement, LIMIT).await, Ok(value.map(str::to_owned)), "{statement}");
        }
        for bad in [
            "SELECT n FROM people",
            "SELECT 1, 2",
            "WITH x AS (DELETE FROM people RETURNING n) SELECT count(*) FROM x",
            "SELECT 1) SELECT 1; DELETE FROM people; SELECT (1",
            "SELECT nothing",
        ] {
            assert!(matches!(postgresql(&url, bad, LIMIT).await, Err(NoValue::Answer(_))), "{bad}");
        }
        assert_eq!(postgresql(&url, "SELECT 1 FROM pg_sleep(5)", Duration::from_secs(1)).await, Err(NoValue::Unasked("it took longer than 1 s".to_owned())));
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM people").fetch_one(&mut c).await.unwrap();
        assert_eq!(count, 2);
        let nowhere = postgresql("postgres://me:hush@127.0.0.1:1/none", "SELECT 1", LIMIT).await;
        assert!(matches!(&nowhere, Err(NoValue::Unasked(m)) if !m.contains("hush")), "{nowhere:?}");
    }
}
