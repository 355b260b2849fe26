//! Bringing tables back into an empty database.
//!
//! Lives here: reading the files, inserting rows in batches, ending what was live. May not: BEGIN, migrations.
//! Invariant: a row is inserted only into a table and columns that the database has; all is one transaction of the caller.

use std::path::Path;

use domain::{
    id::RunId,
    run::{RunEvent, RunState, StepState},
    units::Timestamp,
    work::StepFailure,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, types::Json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use uuid::Uuid;

use super::{Column, Kind, LEFT_BEHIND, Table, carried, export::io, file_of};
use crate::{
    Result, StoreError, Tx, on,
    run_events::{self, NewRunEvent},
    steps, ticks,
};

/// Rows of one INSERT.
const BATCH: usize = 50;
/// The longest line that is read: a row holds no file.
const LONGEST_LINE: usize = 64 << 20;

const COLUMNS_SQLITE: &str = "SELECT p.name FROM pragma_table_info($1) p";
const COLUMNS_PG: &str = "SELECT column_name::text FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1";
const LIVE: &str = "SELECT id, state FROM run WHERE state IN ('queued', 'running') ORDER BY id";
const END: &str =
    "UPDATE run SET state = $2, finished_at = $3, failure = $4, progress = NULL, lease_owner = NULL, lease_token = NULL, lease_until = NULL WHERE id = $1";
/// A message that was on its way is sent again, under the number by which its receiver can tell.
const RESEND: &str = "UPDATE delivery SET state = 'queued' WHERE state = 'sending'";
/// References that lead in a circle are checked at the end of the transaction.
const DEFER_SQLITE: &str = "PRAGMA defer_foreign_keys = ON";
const DEFER_PG: &str = "SET CONSTRAINTS snapshot_doubt_hold_id_fkey DEFERRED";
const SERVICE_RUN: &str = "UPDATE service SET last_run_state = $2 WHERE last_run_id = $1";

/// Why a copy cannot be brought back, in words.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// The copy is not what its manifest says, or not what this version can read.
    #[error("{0}")]
    Copy(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for Lost {
    fn from(e: sqlx::Error) -> Self {
        Self::Store(e.into())
    }
}

/// Whether no carried table has a row.
pub async fn is_empty(mut tx: Tx<'_>) -> Result<bool> {
    for schema in carried() {
        let sql = format!("SELECT count(*) FROM (SELECT 1 AS one FROM \"{}\" LIMIT 1) first", schema.name);
        if columns(tx.by_ref(), schema.name).await?.is_empty() {
            continue;
        }
        if on!(tx.by_ref(), c => sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql)).fetch_one(c).await)? > 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Brings the tables back from their files below `folder`; the number of rows.
///
/// # Errors
/// `Lost::Copy` where a file is not the one that was written, or a table or column is not one of this database.
pub async fn restore(mut tx: Tx<'_>, folder: &Path, tables: &[Table]) -> Result<i64, Lost> {
    match tx.by_ref() {
        Tx::Sqlite(c) => sqlx::query(DEFER_SQLITE).execute(c).await.map(|_| ()),
        Tx::Pg(c) => sqlx::query(DEFER_PG).execute(c).await.map(|_| ()),
    }?;
    let mut rows = 0;
    for table in tables {
        if !is_name(&table.name) || LEFT_BEHIND.contains(&table.name.as_str()) {
            return Err(Lost::Copy(format!("the copy names a table “{}”, which no copy holds", table.name)));
        }
        let there = columns(tx.by_ref(), &table.name).await?;
        if let Some(missing) = table.columns.iter().find(|c| !there.contains(&c.name)) {
            return Err(Lost::Copy(format!("the copy has a column {}.{} that this database does not have", table.name, missing.name)));
        }
        rows += one(tx.by_ref(), folder, table).await?;
    }
    Ok(rows)
}

/// The columns that a table has; none where it is not there.
pub(crate) async fn columns(tx: Tx<'_>, table: &str) -> Result<Vec<String>> {
    Ok(match tx {
        Tx::Sqlite(c) => sqlx::query_scalar(COLUMNS_SQLITE).bind(table).fetch_all(c).await?,
        Tx::Pg(c) => sqlx::query_scalar(COLUMNS_PG).bind(table).fetch_all(c).await?,
    })
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

async fn one(mut tx: Tx<'_>, folder: &Path, table: &Table) -> Result<i64, Lost> {
    let name = file_of(&table.name);
    let damaged = |what: String| Lost::Copy(format!("{name}: {what}; the copy is damaged, choose an older one with --at"));
    let file = tokio::fs::File::open(folder.join(&name)).await.map_err(|e| damaged(format!("it cannot be read ({})", e.kind())))?;
    let (mut reader, mut line) = (BufReader::with_capacity(1 << 20, file), Vec::new());
    let (mut hash, mut rows, mut batch) = (Sha256::new(), 0, Vec::with_capacity(BATCH));
    loop {
        line.clear();
        let n = reader.read_until(b'\n', &mut line).await.map_err(io)?;
        if n == 0 {
            break;
        }
        if n > LONGEST_LINE {
            return Err(damaged(format!("line {} is too long", rows + 1)));
        }
        hash.update(&line);
        rows += 1;
        let row: serde_json::Map<String, Value> = serde_json::from_slice(&line).map_err(|e| damaged(format!("line {rows} is no JSON object ({e})")))?;
        batch.push(row);
        if batch.len() == BATCH {
            insert(tx.by_ref(), table, &batch).await?;
            batch.clear();
        }
    }
    if rows != table.rows || hex::encode(hash.finalize()) != table.sha256 {
        return Err(damaged(format!("it has {rows} rows and another hash than the {} rows of the manifest", table.rows)));
    }
    if !batch.is_empty() {
        insert(tx, table, &batch).await?;
    }
    Ok(rows)
}

async fn insert(tx: Tx<'_>, table: &Table, rows: &[serde_json::Map<String, Value>]) -> Result<(), Lost> {
    let columns: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
    let width = columns.len();
    let tuples: Vec<String> =
        (0..rows.len()).map(|row| format!("({})", (0..width).map(|n| format!("${}", row * width + n + 1)).collect::<Vec<_>>().join(", "))).collect();
    let sql = format!("INSERT INTO \"{}\" (\"{}\") VALUES {}", table.name, columns.join("\", \""), tuples.join(", "));
    let wrong = |c: &Column| Lost::Copy(format!("{}: a value of {} is not of kind {:?}", file_of(&table.name), c.name, c.kind));
    // A query's type differs by database, so binding is written once and expanded twice.
    macro_rules! run {
        ($c:expr) => {{
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for row in rows {
                for column in &table.columns {
                    let value = row.get(&column.name);
                    query = match column.kind {
                        Kind::Int => query.bind(typed(value, Value::as_i64).ok_or_else(|| wrong(column))?),
                        Kind::Real => query.bind(typed(value, Value::as_f64).ok_or_else(|| wrong(column))?),
                        Kind::Bool => query.bind(typed(value, Value::as_bool).ok_or_else(|| wrong(column))?),
                        Kind::Text => query.bind(typed(value, |v| v.as_str().map(str::to_owned)).ok_or_else(|| wrong(column))?),
                        Kind::Json => query.bind(value.cloned().map(Json)),
                        Kind::Uuid => query.bind(typed(value, |v| v.as_str().and_then(|t| Uuid::parse_str(t).ok())).ok_or_else(|| wrong(column))?),
                        Kind::Bytes => query.bind(typed(value, |v| v.as_str().and_then(|t| hex::decode(t).ok())).ok_or_else(|| wrong(column))?),
                    };
                }
            }
            query.execute($c).await?;
        }};
    }
    match tx {
        Tx::Sqlite(c) => run!(c),
        Tx::Pg(c) => run!(c),
    }
    Ok(())
}

/// `Some(None)` for a value that is absent, `None` for one of another kind.
#[allow(clippy::option_option, reason = "absent and wrong are told apart")]
fn typed<T>(value: Option<&Value>, read: impl Fn(&Value) -> Option<T>) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(value) => read(value).map(Some),
    }
}

/// Ends the runs that were live when the copy was made, each with its reason and its row of the ledger: those that ran
/// are interrupted, those that waited are cancelled. `maker` is the run that made the copy: it came to its end, or there would be no copy.
pub async fn close_what_was_live(mut tx: Tx<'_>, maker: Option<RunId>, made_at: Timestamp, now: Timestamp) -> Result<Vec<RunId>> {
    let live: Vec<(Uuid, String)> = on!(tx.by_ref(), c => sqlx::query_as(LIVE).fetch_all(c).await)?;
    let mut ended = Vec::new();
    for (id, state) in live {
        let run = RunId(id);
        let was = RunState::parse(&state).ok_or(StoreError::Unreadable { column: "run.state", value: state })?;
        let (event, steps_end, at, words) = match (maker == Some(run), was) {
            (true, _) => (RunEvent::Succeed, StepState::Succeeded, made_at, "it made the copy that Holdfast was brought back from"),
            (false, RunState::Queued) => (
                RunEvent::Cancel,
                StepState::Cancelled,
                now,
                "it had not begun when Holdfast was lost, and was brought back with it; start it again if it is still wanted",
            ),
            (false, _) => (
                RunEvent::Interrupt,
                StepState::Interrupted,
                now,
                "Holdfast was lost while it ran, and was brought back from a copy made at that time; what it wrote to a repository since then is adopted from there",
            ),
        };
        let next = was.after(event).map_err(|e| StoreError::Unreadable { column: "run.state", value: e.to_string() })?;
        let failure = (next != RunState::Succeeded).then(|| Json(StepFailure::new("installation_lost", words, false)));
        on!(tx.by_ref(), c => sqlx::query(END).bind(id).bind(next.as_str()).bind(at.0).bind(failure).execute(c).await.map(|_| ()))?;
        on!(tx.by_ref(), c => sqlx::query(SERVICE_RUN).bind(id).bind(next.as_str()).execute(c).await.map(|_| ()))?;
        steps::close(tx.by_ref(), run, steps_end, at).await?;
        ticks::settle(tx.by_ref(), run, next).await?;
        let level = if next == RunState::Succeeded { "info" } else { "warn" };
        let event = NewRunEvent { at: now, kind: "state", level, message: format!("{next}: {words}"), detail: Some(json!({"state": next})) };
        run_events::add_unleased(tx.by_ref(), run, &event).await?;
        if next != RunState::Succeeded {
            ended.push(run);
        }
    }
    on!(tx, c => sqlx::query(RESEND).execute(c).await.map(|_| ()))?;
    Ok(ended)
}
