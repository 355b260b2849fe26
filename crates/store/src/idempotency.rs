//! Rows of calls that carry a key, so that a repeat does nothing twice.
//!
//! Lives here: their SQL. May not: what a call is, how long a key holds.
//! Invariant: what was done is written under the claim of whoever did it, in the transaction that did it.

use domain::units::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, Tx, on};

statements! {
    SWEEP = "DELETE FROM idempotency WHERE created_at <= $1";
    CLAIM = "INSERT INTO idempotency (actor, key, call, body, claim, claimed_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT (actor, key) DO NOTHING";
    FIND = "SELECT * FROM idempotency WHERE actor = $1 AND key = $2";
    /// From whoever has not been heard of since then and has done nothing.
    TAKE_OVER = "UPDATE idempotency SET claim = $3, claimed_at = $4 WHERE actor = $1 AND key = $2 AND claim = $5 AND done IS NULL AND status IS NULL";
    DONE = "UPDATE idempotency SET done = $4 WHERE actor = $1 AND key = $2 AND claim = $3";
    ANSWER = "UPDATE idempotency SET status = $3, answer = $4 WHERE actor = $1 AND key = $2 AND status IS NULL";
    RELEASE = "DELETE FROM idempotency WHERE actor = $1 AND key = $2 AND claim = $3 AND done IS NULL AND status IS NULL";
}

/// One thing that was started or created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// As the audit trail names it, such as `run`.
    pub entity: String,
    pub id: String,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct KeyRow {
    pub actor: String,
    pub key: String,
    pub call: String,
    pub body: String,
    pub claim: Uuid,
    pub claimed_at: i64,
    pub created_at: i64,
    pub done: Option<Json<Vec<Done>>>,
    pub status: Option<i64>,
    pub answer: Option<String>,
}

/// Removes what is older; the number of rows.
pub async fn sweep(tx: Tx<'_>, until: Timestamp) -> Result<u64> {
    Ok(on!(tx, c => sqlx::query(SWEEP).bind(until.0).execute(c).await.map(|r| r.rows_affected()))?)
}

/// Writes a call that nobody has made under this key; `false` when somebody has.
pub async fn claim(tx: Tx<'_>, row: &KeyRow) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(CLAIM).bind(&row.actor).bind(&row.key).bind(&row.call).bind(&row.body).bind(row.claim).bind(row.created_at)
        .execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

pub async fn find(tx: Tx<'_>, actor: &str, key: &str) -> Result<Option<KeyRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(actor).bind(key).fetch_optional(c).await)?)
}

/// Takes the call of `seen` over; `false` when something was done or another took it first.
pub async fn take_over(tx: Tx<'_>, seen: &KeyRow, claim: Uuid, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(TAKE_OVER).bind(&seen.actor).bind(&seen.key).bind(claim).bind(now.0).bind(seen.claim)
        .execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// Writes what was done, inside the transaction that does it; `false` when the claim is somebody else's by now.
pub async fn done(tx: Tx<'_>, actor: &str, key: &str, claim: Uuid, done: &[Done]) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(DONE).bind(actor).bind(key).bind(claim).bind(Json(done)).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// Keeps the answer that was given first.
pub async fn answer(tx: Tx<'_>, actor: &str, key: &str, status: i64, answer: &str) -> Result<()> {
    on!(tx, c => sqlx::query(ANSWER).bind(actor).bind(key).bind(status).bind(answer).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Forgets a call that did nothing.
pub async fn release(tx: Tx<'_>, actor: &str, key: &str, claim: Uuid) -> Result<()> {
    on!(tx, c => sqlx::query(RELEASE).bind(actor).bind(key).bind(claim).execute(c).await.map(|_| ()))?;
    Ok(())
}
