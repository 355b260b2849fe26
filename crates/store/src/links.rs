//! Rows of read-only links to evidence.
//!
//! Lives here: their SQL. May not: links in clear (only hashes are stored), what a guest may see.

use domain::{
    id::{LinkId, ServiceId},
    units::Timestamp,
};
use jiff::civil::Date;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, StoreError, Tx, on};

statements! {
    INSERT = "INSERT INTO guest_link (id, label, actor, role, services, from_on, to_on, hash, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    FIND = "SELECT * FROM guest_link WHERE id = $1";
    OF_HASH = "SELECT * FROM guest_link WHERE hash = $1";
    LIST = "SELECT * FROM guest_link WHERE ($1 = '' OR actor = $1) ORDER BY created_at DESC, id DESC LIMIT $2";
    USED = "UPDATE guest_link SET uses = uses + 1, last_used_at = $2, last_used_from = $3 WHERE id = $1 AND revoked_at IS NULL AND expires_at > $2";
    REVOKE = "UPDATE guest_link SET revoked_at = $2, revoked_by = $3 WHERE id = $1 AND revoked_at IS NULL";
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct LinkRow {
    pub id: Uuid,
    pub label: String,
    pub actor: String,
    pub role: String,
    /// All services where it is absent.
    pub services: Option<Json<Vec<ServiceId>>>,
    /// Civil dates as text, both included.
    pub from_on: String,
    pub to_on: String,
    pub hash: String,
    pub created_at: i64,
    pub expires_at: i64,
    pub uses: i64,
    pub last_used_at: Option<i64>,
    pub last_used_from: Option<String>,
    pub revoked_at: Option<i64>,
    pub revoked_by: Option<String>,
}

impl LinkRow {
    pub const fn id(&self) -> LinkId {
        LinkId(self.id)
    }

    pub fn from_on(&self) -> Result<Date> {
        date("guest_link.from_on", &self.from_on)
    }

    pub fn to_on(&self) -> Result<Date> {
        date("guest_link.to_on", &self.to_on)
    }
}

fn date(column: &'static str, text: &str) -> Result<Date> {
    text.parse().map_err(|_| StoreError::Unreadable { column, value: text.to_owned() })
}

/// A link as it is made.
#[derive(Clone, Debug)]
pub struct NewLink<'a> {
    pub id: LinkId,
    pub label: &'a str,
    pub actor: &'a str,
    pub role: &'a str,
    pub services: Option<&'a [ServiceId]>,
    pub from: Date,
    pub to: Date,
    pub hash: &'a str,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

pub async fn insert(tx: Tx<'_>, new: &NewLink<'_>) -> Result<()> {
    on!(tx, c => sqlx::query(INSERT).bind(new.id.0).bind(new.label).bind(new.actor).bind(new.role).bind(new.services.map(Json)).bind(new.from.to_string())
        .bind(new.to.to_string()).bind(new.hash).bind(new.created_at.0).bind(new.expires_at.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

pub async fn find(tx: Tx<'_>, id: LinkId) -> Result<Option<LinkRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(id.0).fetch_optional(c).await)?)
}

pub async fn of_hash(tx: Tx<'_>, hash: &str) -> Result<Option<LinkRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_HASH).bind(hash).fetch_optional(c).await)?)
}

/// The links of an actor, the newest first; of everybody where `actor` is empty.
pub async fn list(tx: Tx<'_>, actor: &str, limit: i64) -> Result<Vec<LinkRow>> {
    Ok(on!(tx, c => sqlx::query_as(LIST).bind(actor).bind(limit).fetch_all(c).await)?)
}

/// Counts a use; `false` where it is over or was revoked.
pub async fn used(tx: Tx<'_>, id: LinkId, at: Timestamp, from: &str) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(USED).bind(id.0).bind(at.0).bind(from).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// `false` where it was revoked before.
pub async fn revoke(tx: Tx<'_>, id: LinkId, at: Timestamp, by: &str) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(REVOKE).bind(id.0).bind(at.0).bind(by).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}
