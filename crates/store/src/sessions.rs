//! Rows behind browser sessions and one-time sign-in links.
//!
//! Lives here: their SQL. May not: cookies, expiry policy.

use domain::units::Timestamp;

use crate::{Result, Tx, on};

statements! {
    SAVE = "INSERT INTO session (id, data, expires_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET data = excluded.data, expires_at = excluded.expires_at";
    CREATE = "INSERT INTO session (id, data, expires_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING";
    LOAD = "SELECT data FROM session WHERE id = $1 AND expires_at > $2";
    DELETE = "DELETE FROM session WHERE id = $1";
    SWEEP = "DELETE FROM session WHERE expires_at <= $1";
    ADD_LINK = "INSERT INTO login_link (token_hash, created_at, expires_at) VALUES ($1, $2, $3)";
    USE_LINK = "UPDATE login_link SET used_at = $2 WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2";
    ANY_LINK = "SELECT count(*) FROM login_link";
}

/// Writes a session, new or known.
pub async fn save(tx: Tx<'_>, id: &str, data: &str, expires_at: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(SAVE).bind(id).bind(data).bind(expires_at.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Writes a session under an id that must be new; `false` when it is taken.
pub async fn create(tx: Tx<'_>, id: &str, data: &str, expires_at: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(CREATE).bind(id).bind(data).bind(expires_at.0).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

pub async fn load(tx: Tx<'_>, id: &str, now: Timestamp) -> Result<Option<String>> {
    Ok(on!(tx, c => sqlx::query_scalar::<_, String>(LOAD).bind(id).bind(now.0).fetch_optional(c).await)?)
}

pub async fn delete(tx: Tx<'_>, id: &str) -> Result<()> {
    on!(tx, c => sqlx::query(DELETE).bind(id).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Removes what has expired; the number of rows.
pub async fn sweep(tx: Tx<'_>, now: Timestamp) -> Result<u64> {
    Ok(on!(tx, c => sqlx::query(SWEEP).bind(now.0).execute(c).await.map(|r| r.rows_affected()))?)
}

pub async fn add_link(tx: Tx<'_>, token_hash: &str, now: Timestamp, expires_at: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(ADD_LINK).bind(token_hash).bind(now.0).bind(expires_at.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Marks a link as used; `false` when it is unknown, used or expired.
pub async fn use_link(tx: Tx<'_>, token_hash: &str, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(USE_LINK).bind(token_hash).bind(now.0).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// Whether a link was ever made: the first start has none.
pub async fn any_link(tx: Tx<'_>) -> Result<bool> {
    Ok(on!(tx, c => sqlx::query_scalar::<_, i64>(ANY_LINK).fetch_one(c).await)? > 0)
}
