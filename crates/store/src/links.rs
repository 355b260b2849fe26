//! Rows of read-only links to evidence.
//!
//! Lives here: what their table has of its own; the rest is `issued`. May not: what a guest may see.

use domain::id::{LinkId, ServiceId};
use jiff::civil::Date;
use sqlx::types::Json;

use crate::{
    Result, StoreError, Tx,
    issued::{Issued, New, table},
    on,
};

table! {
    "guest_link" as LinkRow: "*, label AS name", "uses = uses + 1, last_used_at = $2, last_used_from = $3",
    "INSERT INTO guest_link (id, label, actor, role, hash, created_at, expires_at, services, from_on, to_on) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct LinkRow {
    #[sqlx(flatten)]
    pub issued: Issued,
    /// All services where it is absent.
    pub services: Option<Json<Vec<ServiceId>>>,
    /// Civil dates as text, both included.
    pub from_on: String,
    pub to_on: String,
    pub uses: i64,
}

impl LinkRow {
    pub const fn id(&self) -> LinkId {
        LinkId(self.issued.id)
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

/// Puts in a link to the evidence of some services, or of all, from one day to another.
pub async fn insert(tx: Tx<'_>, new: &New<'_>, services: Option<&[ServiceId]>, (from, to): (Date, Date)) -> Result<()> {
    on!(tx, c => sqlx::query(INSERT).bind(new.id).bind(new.name).bind(new.actor).bind(new.role).bind(&new.hash).bind(new.created_at.0)
        .bind(new.expires_at.0).bind(services.map(Json)).bind(from.to_string()).bind(to.to_string()).execute(c).await.map(|_| ()))?;
    Ok(())
}
