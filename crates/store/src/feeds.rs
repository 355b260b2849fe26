//! Rows of secret addresses at which calendar programs read what is due.
//!
//! Lives here: what their table has of its own; the rest is `issued`. May not: what somebody sees.

use crate::{
    Result, Tx,
    issued::{Issued, New, table},
    on,
};

table! {
    "calendar_feed" as FeedRow: "*", "last_used_at = $2, last_used_from = $3",
    "INSERT INTO calendar_feed (id, name, actor, role, hash, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)"
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct FeedRow {
    #[sqlx(flatten)]
    pub issued: Issued,
}

pub async fn insert(tx: Tx<'_>, new: &New<'_>) -> Result<()> {
    on!(tx, c => sqlx::query(INSERT).bind(new.id).bind(new.name).bind(new.actor).bind(new.role).bind(&new.hash).bind(new.created_at.0)
        .bind(new.expires_at.0).execute(c).await.map(|_| ()))?;
    Ok(())
}
