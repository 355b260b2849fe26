//! What rows of secrets have in common that were issued: tokens, read-only links, calendar addresses.
//!
//! Lives here: their statements, for each table that [`table`] is called for. May not: secrets in clear (only hashes are
//! stored), what one of them opens.

use domain::units::Timestamp;
use sqlx::{FromRow, postgres::PgRow, sqlite::SqliteRow};
use uuid::Uuid;

use crate::{Result, Tx, on};

#[derive(Clone, Debug, FromRow)]
pub struct Issued {
    pub id: Uuid,
    /// What it is for.
    pub name: String,
    pub actor: String,
    pub role: String,
    pub hash: String,
    pub created_at: i64,
    pub expires_at: i64,
    pub last_used_at: Option<i64>,
    pub last_used_from: Option<String>,
    pub revoked_at: Option<i64>,
    pub revoked_by: Option<String>,
}

impl Issued {
    /// How it stands: `valid`, `expired` or `revoked`.
    pub const fn state(&self, now: Timestamp) -> &'static str {
        match self.revoked_at {
            Some(_) => "revoked",
            None if self.expires_at <= now.0 => "expired",
            None => "valid",
        }
    }
}

/// One as it is made.
#[derive(Clone, Debug)]
pub struct New<'a> {
    pub id: Uuid,
    pub name: &'a str,
    pub actor: &'a str,
    pub role: &'a str,
    pub hash: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// A row of one of these tables.
pub trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {
    const SQL: Sql;

    fn issued(&self) -> &Issued;
}

/// The statements of one of these tables.
#[derive(Clone, Copy, Debug)]
pub struct Sql {
    pub(crate) find: &'static str,
    pub(crate) of_hash: &'static str,
    pub(crate) list: &'static str,
    pub(crate) used: &'static str,
    pub(crate) revoke: &'static str,
}

/// The statements of a table: what is read, what a use sets, and how a row is put in.
macro_rules! table {
    ($table:literal as $row:ty: $read:literal, $used:literal, $insert:literal) => {
        statements! {
            INSERT = $insert;
            FIND = concat!("SELECT ", $read, " FROM ", $table, " WHERE id = $1");
            OF_HASH = concat!("SELECT ", $read, " FROM ", $table, " WHERE hash = $1");
            LIST = concat!("SELECT ", $read, " FROM ", $table, " WHERE ($1 = '' OR actor = $1) ORDER BY created_at DESC, id DESC LIMIT $2");
            USED = concat!("UPDATE ", $table, " SET ", $used, " WHERE id = $1 AND revoked_at IS NULL AND expires_at > $2");
            REVOKE = concat!("UPDATE ", $table, " SET revoked_at = $2, revoked_by = $3 WHERE id = $1 AND revoked_at IS NULL");
        }

        impl $crate::issued::Row for $row {
            const SQL: $crate::issued::Sql = $crate::issued::Sql { find: FIND, of_hash: OF_HASH, list: LIST, used: USED, revoke: REVOKE };

            fn issued(&self) -> &$crate::issued::Issued {
                &self.issued
            }
        }
    };
}
pub(crate) use table;

pub async fn find<R: Row>(tx: Tx<'_>, id: Uuid) -> Result<Option<R>> {
    Ok(on!(tx, c => sqlx::query_as(R::SQL.find).bind(id).fetch_optional(c).await)?)
}

pub async fn of_hash<R: Row>(tx: Tx<'_>, hash: &str) -> Result<Option<R>> {
    Ok(on!(tx, c => sqlx::query_as(R::SQL.of_hash).bind(hash).fetch_optional(c).await)?)
}

/// Those of an actor, the newest first; of everybody where `actor` is empty.
pub async fn list<R: Row>(tx: Tx<'_>, actor: &str, limit: i64) -> Result<Vec<R>> {
    Ok(on!(tx, c => sqlx::query_as(R::SQL.list).bind(actor).bind(limit).fetch_all(c).await)?)
}

/// Writes down a use; `false` where it is over or was revoked.
pub async fn used<R: Row>(tx: Tx<'_>, id: Uuid, at: Timestamp, from: &str) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(R::SQL.used).bind(id).bind(at.0).bind(from).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// `false` where it was revoked before.
pub async fn revoke<R: Row>(tx: Tx<'_>, id: Uuid, at: Timestamp, by: &str) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(R::SQL.revoke).bind(id).bind(at.0).bind(by).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}
