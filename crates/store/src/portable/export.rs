//! Writing all tables out.
//!
//! Lives here: one SELECT a table, streamed. May not: more than one row in memory beside the buffer.
//! Invariant: the caller's transaction shows one moment of the database, see [`crate::Db::begin_read`].

use std::path::Path;

use futures::TryStreamExt as _;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, Row as _, types::Json};
use tokio::io::AsyncWriteExt as _;
use uuid::Uuid;

use super::{Column, EMPTIED, Kind, Schema, Table, carried, file_of};
use crate::{Result, StoreError, Tx, db};

/// Written to the disk at once.
const BUFFER: usize = 1 << 20;

/// What was written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The newest migration of the database.
    pub schema: i64,
    /// In the order of bringing back.
    pub tables: Vec<Table>,
}

/// Writes each table to a file of its own below `folder`, which must be there.
pub async fn export(mut tx: Tx<'_>, folder: &Path) -> Result<Exported> {
    let mut tables = Vec::new();
    for schema in carried() {
        tables.push(table(tx.by_ref(), &schema, folder).await?);
    }
    Ok(Exported { schema: db::newest_migration(), tables })
}

async fn table(tx: Tx<'_>, schema: &Schema, folder: &Path) -> Result<Table> {
    let sql = select(schema, matches!(tx, Tx::Pg(_)));
    let file = tokio::fs::File::create(folder.join(file_of(schema.name))).await.map_err(io)?;
    let mut out = Out { file, buffer: Vec::with_capacity(BUFFER + 4096), hash: Sha256::new(), rows: 0, bytes: 0 };
    // The stream's type differs by database, so the loop is written once and expanded twice.
    macro_rules! stream {
        ($c:expr) => {{
            let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch($c);
            while let Some(row) = rows.try_next().await? {
                let mut line = Map::new();
                for (n, Column { name, kind }) in schema.columns.iter().enumerate() {
                    let value = match kind {
                        Kind::Int => row.try_get::<Option<i64>, _>(n)?.map(Value::from),
                        Kind::Real => row.try_get::<Option<f64>, _>(n)?.map(Value::from),
                        Kind::Bool => row.try_get::<Option<bool>, _>(n)?.map(Value::from),
                        Kind::Text => row.try_get::<Option<String>, _>(n)?.map(Value::from),
                        Kind::Json => row.try_get::<Option<Json<Value>>, _>(n)?.map(|j| j.0),
                        Kind::Uuid => row.try_get::<Option<Uuid>, _>(n)?.map(|u| u.to_string().into()),
                        Kind::Bytes => row.try_get::<Option<Vec<u8>>, _>(n)?.map(|b| hex::encode(b).into()),
                    };
                    if let Some(value) = value.filter(|_| !EMPTIED.contains(&(schema.name, name.as_str()))) {
                        line.insert(name.clone(), value);
                    }
                }
                out.line(&Value::Object(line)).await?;
            }
        }};
    }
    match tx {
        Tx::Sqlite(c) => stream!(c),
        Tx::Pg(c) => stream!(c),
    }
    out.finish(schema).await
}

/// All rows by their key, compared byte by byte on both databases.
fn select(schema: &Schema, postgres: bool) -> String {
    let columns: Vec<&str> = schema.columns.iter().map(|c| c.name.as_str()).collect();
    let order: Vec<String> = schema
        .key
        .iter()
        .map(|(name, kind)| if postgres && *kind == Kind::Text { format!("\"{name}\" COLLATE \"C\"") } else { format!("\"{name}\"") })
        .collect();
    format!("SELECT \"{}\" FROM \"{}\" ORDER BY {}", columns.join("\", \""), schema.name, order.join(", "))
}

struct Out {
    file: tokio::fs::File,
    buffer: Vec<u8>,
    hash: Sha256,
    rows: i64,
    bytes: i64,
}

impl Out {
    async fn line(&mut self, value: &Value) -> Result<()> {
        serde_json::to_writer(&mut self.buffer, value).map_err(|e| StoreError::Unreadable { column: "json", value: e.to_string() })?;
        self.buffer.push(b'\n');
        self.rows += 1;
        if self.buffer.len() >= BUFFER { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<()> {
        self.hash.update(&self.buffer);
        self.bytes += self.buffer.len() as i64;
        self.file.write_all(&self.buffer).await.map_err(io)?;
        self.buffer.clear();
        Ok(())
    }

    async fn finish(mut self, schema: &Schema) -> Result<Table> {
        self.flush().await?;
        self.file.flush().await.map_err(io)?;
        self.file.sync_all().await.map_err(io)?;
        let sha256 = hex::encode(self.hash.finalize());
        Ok(Table { name: schema.name.to_owned(), rows: self.rows, bytes: self.bytes, sha256, columns: schema.columns.clone() })
    }
}

pub(super) fn io(e: std::io::Error) -> StoreError {
    StoreError::Database(sqlx::Error::Io(e))
}
