//! Rows of access tokens.
//!
//! Lives here: what their table has of its own; the rest is `issued`. May not: what a scope means.

use sqlx::types::Json;

use crate::{
    Result, Tx,
    issued::{Issued, New, table},
    on,
};

table! {
    "token" as TokenRow: "*", "last_used_at = $2, last_used_from = $3",
    "INSERT INTO token (id, name, actor, role, hash, created_at, expires_at, scopes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct TokenRow {
    #[sqlx(flatten)]
    pub issued: Issued,
    pub scopes: Json<Vec<String>>,
}

pub async fn insert(tx: Tx<'_>, new: &New<'_>, scopes: &[String]) -> Result<()> {
    on!(tx, c => sqlx::query(INSERT).bind(new.id).bind(new.name).bind(new.actor).bind(new.role).bind(&new.hash).bind(new.created_at.0)
        .bind(new.expires_at.0).bind(Json(scopes)).execute(c).await.map(|_| ()))?;
    Ok(())
}
