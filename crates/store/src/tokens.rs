//! Rows of access tokens.
//!
//! Lives here: their SQL. May not: tokens in clear (only hashes are stored), what a scope means.

use domain::{id::TokenId, units::Timestamp};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, Tx, on};

statements! {
    INSERT = "INSERT INTO token (id, name, actor, role, scopes, hash, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    FIND = "SELECT * FROM token WHERE id = $1";
    OF_HASH = "SELECT * FROM token WHERE hash = $1";
    LIST = "SELECT * FROM token WHERE ($1 = '' OR actor = $1) ORDER BY created_at DESC, id DESC LIMIT $2";
    USED = "UPDATE token SET last_used_at = $2, last_used_from = $3 WHERE id = $1";
    REVOKE = "UPDATE token SET revoked_at = $2, revoked_by = $3 WHERE id = $1 AND revoked_at IS NULL";
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct TokenRow {
    pub id: Uuid,
    pub name: String,
    pub actor: String,
    pub role: String,
    pub scopes: Json<Vec<String>>,
    pub hash: String,
    pub created_at: i64,
    pub expires_at: i64,
    pub last_used_at: Option<i64>,
    pub last_used_from: Option<String>,
    pub revoked_at: Option<i64>,
    pub revoked_by: Option<String>,
}

/// A token as it is made.
#[derive(Clone, Debug)]
pub struct NewToken<'a> {
    pub id: TokenId,
    pub name: &'a str,
    pub actor: &'a str,
    pub role: &'a str,
    pub scopes: &'a [String],
    pub hash: &'a str,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

pub async fn insert(tx: Tx<'_>, new: &NewToken<'_>) -> Result<()> {
    on!(tx, c => sqlx::query(INSERT).bind(new.id.0).bind(new.name).bind(new.actor).bind(new.role).bind(Json(new.scopes)).bind(new.hash).bind(new.created_at.0)
        .bind(new.expires_at.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

pub async fn find(tx: Tx<'_>, id: TokenId) -> Result<Option<TokenRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(id.0).fetch_optional(c).await)?)
}

pub async fn of_hash(tx: Tx<'_>, hash: &str) -> Result<Option<TokenRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_HASH).bind(hash).fetch_optional(c).await)?)
}

/// The tokens of an actor, the newest first; of everybody where `actor` is empty.
pub async fn list(tx: Tx<'_>, actor: &str, limit: i64) -> Result<Vec<TokenRow>> {
    Ok(on!(tx, c => sqlx::query_as(LIST).bind(actor).bind(limit).fetch_all(c).await)?)
}

pub async fn used(tx: Tx<'_>, id: Uuid, at: Timestamp, from: &str) -> Result<()> {
    on!(tx, c => sqlx::query(USED).bind(id).bind(at.0).bind(from).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// `false` where it was revoked before.
pub async fn revoke(tx: Tx<'_>, id: TokenId, at: Timestamp, by: &str) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(REVOKE).bind(id.0).bind(at.0).bind(by).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}
