//! Rows of secret addresses at which calendar programs read what is due.
//!
//! Lives here: their SQL. May not: addresses in clear (only hashes are stored), what somebody sees.

use domain::{id::FeedId, units::Timestamp};
use uuid::Uuid;

use crate::{Result, Tx, on};

statements! {
    INSERT = "INSERT INTO calendar_feed (id, name, actor, role, hash, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    FIND = "SELECT * FROM calendar_feed WHERE id = $1";
    OF_HASH = "SELECT * FROM calendar_feed WHERE hash = $1";
    LIST = "SELECT * FROM calendar_feed WHERE ($1 = '' OR actor = $1) ORDER BY created_at DESC, id DESC LIMIT $2";
    USED = "UPDATE calendar_feed SET last_used_at = $2, last_used_from = $3 WHERE id = $1";
    REVOKE = "UPDATE calendar_feed SET revoked_at = $2, revoked_by = $3 WHERE id = $1 AND revoked_at IS NULL";
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct FeedRow {
    pub id: Uuid,
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

/// An address as it is made.
#[derive(Clone, Debug)]
pub struct NewFeed<'a> {
    pub id: FeedId,
    pub name: &'a str,
    pub actor: &'a str,
    pub role: &'a str,
    pub hash: &'a str,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

pub async fn insert(tx: Tx<'_>, new: &NewFeed<'_>) -> Result<()> {
    on!(tx, c => sqlx::query(INSERT).bind(new.id.0).bind(new.name).bind(new.actor).bind(new.role).bind(new.hash).bind(new.created_at.0)
        .bind(new.expires_at.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

pub async fn find(tx: Tx<'_>, id: FeedId) -> Result<Option<FeedRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(id.0).fetch_optional(c).await)?)
}

pub async fn of_hash(tx: Tx<'_>, hash: &str) -> Result<Option<FeedRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_HASH).bind(hash).fetch_optional(c).await)?)
}

/// The addresses of an actor, the newest first; of everybody where `actor` is empty.
pub async fn list(tx: Tx<'_>, actor: &str, limit: i64) -> Result<Vec<FeedRow>> {
    Ok(on!(tx, c => sqlx::query_as(LIST).bind(actor).bind(limit).fetch_all(c).await)?)
}

pub async fn used(tx: Tx<'_>, id: Uuid, at: Timestamp, from: &str) -> Result<()> {
    on!(tx, c => sqlx::query(USED).bind(id).bind(at.0).bind(from).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// `false` where it was revoked before.
pub async fn revoke(tx: Tx<'_>, id: FeedId, at: Timestamp, by: &str) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(REVOKE).bind(id.0).bind(at.0).bind(by).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}
