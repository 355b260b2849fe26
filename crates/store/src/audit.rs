//! The audit trail: append-only, chained by hashes (R52).
//!
//! Lives here: writing an event inside the caller's transaction, reading and verifying the chain.
//! May not: deciding what is worth an event. Invariant: `seq` has no gaps and each hash covers the row and its predecessor.

use domain::units::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, Tx, on};

statements! {
    LAST = "SELECT seq, hash FROM audit_event ORDER BY seq DESC LIMIT 1";
    /// PostgreSQL serialises writers of the chain; SQLite has one writer anyway.
    LOCK_PG = "SELECT pg_advisory_xact_lock(7236001)";
    INSERT = "INSERT INTO audit_event (seq, id, at, actor, origin, action, entity, entity_id, before, after, prev_hash, hash) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    PAGE = "SELECT seq, id, at, actor, origin, action, entity, entity_id, before, after, prev_hash, hash FROM audit_event WHERE seq > $1 ORDER BY seq LIMIT $2";
}

/// What is to be recorded. `before` and `after` never hold a secret.
#[derive(Clone, Debug, Default)]
pub struct NewEvent<'a> {
    /// `service.apply`, `run.start`, `session.open` …
    pub action: &'a str,
    pub entity: &'a str,
    pub entity_id: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct EventRow {
    pub seq: i64,
    pub id: Uuid,
    pub at: i64,
    pub actor: String,
    pub origin: String,
    pub action: String,
    pub entity: String,
    pub entity_id: String,
    pub before: Option<Json<Value>>,
    pub after: Option<Json<Value>>,
    pub prev_hash: String,
    pub hash: String,
}

impl EventRow {
    /// The hash that this row must carry.
    pub(crate) fn computed(&self) -> String {
        let mut h = Sha256::new();
        let mut part = |bytes: &[u8]| {
            h.update((bytes.len() as u64).to_be_bytes());
            h.update(bytes);
        };
        part(self.prev_hash.as_bytes());
        part(&self.seq.to_be_bytes());
        part(self.id.as_bytes());
        part(&self.at.to_be_bytes());
        for text in [&self.actor, &self.origin, &self.action, &self.entity, &self.entity_id] {
            part(text.as_bytes());
        }
        for json in [&self.before, &self.after] {
            // serde_json keeps the keys of an object sorted, so the text is the same on both databases.
            part(json.as_ref().map(|j| j.0.to_string()).unwrap_or_default().as_bytes());
        }
        hex::encode(h.finalize())
    }
}

/// Takes the chain's lock early: whoever changes rows that others change before they write an event takes it first, so
/// that two transactions never wait for each other.
pub async fn lock(tx: Tx<'_>) -> Result<()> {
    if let Tx::Pg(c) = tx {
        sqlx::query(LOCK_PG).execute(c).await?;
    }
    Ok(())
}

/// Appends one event inside the caller's transaction.
pub async fn record(mut tx: Tx<'_>, at: Timestamp, actor: &str, origin: &str, event: NewEvent<'_>) -> Result<()> {
    lock(tx.by_ref()).await?;
    let last: Option<(i64, String)> = on!(tx.by_ref(), c => sqlx::query_as(LAST).fetch_optional(c).await)?;
    let (seq, prev_hash) = last.map_or((1, String::new()), |(seq, hash)| (seq + 1, hash));
    let mut row = EventRow {
        seq,
        id: Uuid::now_v7(),
        at: at.0,
        actor: actor.to_owned(),
        origin: origin.to_owned(),
        action: event.action.to_owned(),
        entity: event.entity.to_owned(),
        entity_id: event.entity_id,
        before: event.before.map(Json),
        after: event.after.map(Json),
        prev_hash,
        hash: String::new(),
    };
    row.hash = row.computed();
    insert(tx, row).await
}

/// Writes a row as it is. [`record`] is how an event comes into the chain.
pub(crate) async fn insert(tx: Tx<'_>, row: EventRow) -> Result<()> {
    on!(tx, c => sqlx::query(INSERT).bind(row.seq).bind(row.id).bind(row.at).bind(row.actor).bind(row.origin).bind(row.action).bind(row.entity)
        .bind(row.entity_id).bind(row.before).bind(row.after).bind(row.prev_hash).bind(row.hash).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Events after `seq`, oldest first, at most `limit`.
pub async fn page(tx: Tx<'_>, after_seq: i64, limit: i64) -> Result<Vec<EventRow>> {
    Ok(on!(tx, c => sqlx::query_as(PAGE).bind(after_seq).bind(limit).fetch_all(c).await)?)
}

/// The number and hash of the last event; zero and empty where there is none.
pub async fn head(tx: Tx<'_>) -> Result<(i64, String)> {
    Ok(on!(tx, c => sqlx::query_as(LAST).fetch_optional(c).await)?.unwrap_or_default())
}

/// Walks the whole chain. `Ok(n)` events are intact, `Err(seq)` names the first that is not.
pub async fn verify(mut tx: Tx<'_>) -> Result<std::result::Result<i64, i64>> {
    let (mut seq, mut hash) = (0, String::new());
    loop {
        let rows = page(tx.by_ref(), seq, 1_000).await?;
        if rows.is_empty() {
            return Ok(Ok(seq));
        }
        for row in rows {
            if row.seq != seq + 1 || row.prev_hash != hash || row.computed() != row.hash {
                return Ok(Err(seq + 1));
            }
            (seq, hash) = (row.seq, row.hash);
        }
    }
}
