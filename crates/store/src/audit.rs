//! The audit trail: append-only, chained by hashes (R52).
//!
//! Lives here: writing an event inside the caller's transaction, reading and verifying the chain.
//! May not: deciding what is worth an event. Invariant: `seq` has no gaps and each hash covers the row and its predecessor;
//! `audit_head` names the last row, so that one which is cut off is missed.

use domain::units::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, Tx, on};

statements! {
    LAST = "SELECT seq, hash FROM audit_event ORDER BY seq DESC LIMIT 1";
    HEAD = "SELECT seq, hash FROM audit_head WHERE id = 1";
    MOVE_HEAD = "INSERT INTO audit_head (id, seq, hash, at) VALUES (1, $1, $2, $3) ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, at = excluded.at";
    HEAD_AT = "SELECT at FROM audit_head WHERE id = 1";
    /// PostgreSQL serialises writers of the chain; SQLite has one writer anyway.
    LOCK_PG = "SELECT pg_advisory_xact_lock(7236001)";
    IS_LOCKED_PG = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 7236001 AND pid = pg_backend_pid() AND granted)";
    INSERT = "INSERT INTO audit_event (seq, id, at, actor, origin, action, entity, entity_id, before, after, prev_hash, hash) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    PAGE = "SELECT seq, id, at, actor, origin, action, entity, entity_id, before, after, prev_hash, hash FROM audit_event WHERE seq > $1 ORDER BY seq LIMIT $2";
    LIST = "SELECT seq, id, at, actor, origin, action, entity, entity_id, before, after, prev_hash, hash FROM audit_event WHERE seq < $1 AND ($2 = '' OR actor = $2) \
        AND ($3 = '' OR action = $3) AND ($4 = '' OR entity = $4) AND ($5 = '' OR entity_id = $5) AND at >= $6 AND at < $7 ORDER BY seq DESC LIMIT $8";
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

#[derive(Clone, Debug, sqlx::FromRow, serde::Serialize, serde::Deserialize)]
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
    /// Of the event before; empty for the first.
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

/// Takes the chain's lock, which [`crate::Db::begin_audited`] does before anything else.
pub(crate) async fn lock(tx: Tx<'_>) -> Result<()> {
    if let Tx::Pg(c) = tx {
        sqlx::query(LOCK_PG).execute(c).await?;
    }
    Ok(())
}

pub(crate) async fn is_locked(tx: Tx<'_>) -> Result<bool> {
    Ok(match tx {
        Tx::Pg(c) => sqlx::query_scalar(IS_LOCKED_PG).fetch_one(c).await?,
        Tx::Sqlite(_) => true,
    })
}

/// Appends one event inside the caller's transaction, which began with [`crate::Db::begin_audited`]: who takes the lock
/// later than a row may wait for somebody who waits for that row.
pub async fn record(mut tx: Tx<'_>, at: Timestamp, actor: &str, origin: &str, event: NewEvent<'_>) -> Result<()> {
    debug_assert!(is_locked(tx.by_ref()).await?, "{} is recorded in a transaction that began without the lock", event.action);
    lock(tx.by_ref()).await?;
    // Where rows were cut off, the numbers go on after them: the gap stays to be seen.
    let last = last(tx.by_ref()).await?.max(head(tx.by_ref()).await?);
    let (seq, prev_hash) = (last.0 + 1, last.1);
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
    let hash = row.hash.clone();
    insert(tx.by_ref(), row).await?;
    move_head(tx, seq, &hash, at).await
}

/// Says which event is the last one.
pub(crate) async fn move_head(tx: Tx<'_>, seq: i64, hash: &str, at: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(MOVE_HEAD).bind(seq).bind(hash).bind(at.0).execute(c).await.map(|_| ()))?;
    Ok(())
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

/// Which events are looked for. What is empty is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub actor: String,
    pub action: String,
    pub entity: String,
    pub entity_id: String,
    pub since: Option<Timestamp>,
    /// Not this moment and none later.
    pub until: Option<Timestamp>,
}

/// Events before `before_seq` that fit, the newest first, at most `limit`.
pub async fn list(tx: Tx<'_>, f: &Filter, before_seq: i64, limit: i64) -> Result<Vec<EventRow>> {
    let (since, until) = (f.since.map_or(i64::MIN, |t| t.0), f.until.map_or(i64::MAX, |t| t.0));
    Ok(on!(tx, c => sqlx::query_as(LIST).bind(before_seq).bind(&f.actor).bind(&f.action).bind(&f.entity).bind(&f.entity_id).bind(since).bind(until)
        .bind(limit).fetch_all(c).await)?)
}

/// The number and hash of the last event that is there; zero and empty where there is none.
async fn last(tx: Tx<'_>) -> Result<(i64, String)> {
    Ok(on!(tx, c => sqlx::query_as(LAST).fetch_optional(c).await)?.unwrap_or_default())
}

/// The number and hash of the last event that was written; zero and empty where there is none.
pub async fn head(tx: Tx<'_>) -> Result<(i64, String)> {
    Ok(on!(tx, c => sqlx::query_as(HEAD).fetch_optional(c).await)?.unwrap_or_default())
}

/// When the last event was written.
pub async fn head_at(tx: Tx<'_>) -> Result<Option<Timestamp>> {
    Ok(on!(tx, c => sqlx::query_scalar::<_, i64>(HEAD_AT).fetch_optional(c).await)?.map(Timestamp))
}

/// How a chain is broken at an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What stands there is not what was written, or not at its place.
    Changed,
    /// It was removed.
    Removed,
    /// It and all later ones were cut off.
    CutOff,
}

/// The first event that is not as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    pub seq: i64,
    pub fault: Fault,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.fault {
            Fault::Changed => write!(f, "event {} was changed", self.seq),
            Fault::Removed => write!(f, "event {} was removed", self.seq),
            Fault::CutOff => write!(f, "event {} and all later ones were cut off", self.seq),
        }
    }
}

/// A chain while it is walked, from the first event on.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    seq: i64,
    hash: String,
}

impl Walk {
    /// The next event of the chain.
    pub fn step(&mut self, row: &EventRow) -> std::result::Result<(), Broken> {
        let seq = self.seq + 1;
        let fault = if row.seq > seq {
            Some(Fault::Removed)
        } else if row.seq < seq || row.prev_hash != self.hash || row.computed() != row.hash {
            Some(Fault::Changed)
        } else {
            None
        };
        if let Some(fault) = fault {
            return Err(Broken { seq, fault });
        }
        (self.seq, self.hash) = (row.seq, row.hash.clone());
        Ok(())
    }

    /// The number of the last event, and its hash.
    pub fn end(self) -> (i64, String) {
        (self.seq, self.hash)
    }
}

/// Walks all events that are there: the number and hash of the last one. What was cut off at the end only [`verify`]
/// misses; this asks for nothing but the events.
pub async fn walk(tx: Tx<'_>) -> Result<std::result::Result<(i64, String), Broken>> {
    walk_past(tx, 0).await.map(|walked| walked.map(|(end, _)| end))
}

/// The same, and the hash of event `mark` on the way.
async fn walk_past(mut tx: Tx<'_>, mark: i64) -> Result<std::result::Result<((i64, String), Option<String>), Broken>> {
    let (mut walk, mut passed) = (Walk::default(), None);
    loop {
        let rows = page(tx.by_ref(), walk.seq, 1_000).await?;
        if rows.is_empty() {
            return Ok(Ok((walk.end(), passed)));
        }
        for row in rows {
            if let Err(broken) = walk.step(&row) {
                return Ok(Err(broken));
            }
            if row.seq == mark {
                passed = Some(row.hash);
            }
        }
    }
}

/// Walks the whole chain. `Ok(n)` events are intact, and no more were written.
///
/// Others may write events meanwhile: what was the last one before must be among them, and none may come after the one
/// that is the last one afterwards.
pub async fn verify(mut tx: Tx<'_>) -> Result<std::result::Result<i64, Broken>> {
    let (last, hash) = head(tx.by_ref()).await?;
    let (end, passed) = match walk_past(tx.by_ref(), last).await? {
        Ok(((end, _), passed)) => (end, passed),
        Err(broken) => return Ok(Err(broken)),
    };
    let (newest, _) = head(tx).await?;
    Ok(if end < last {
        Err(Broken { seq: end + 1, fault: Fault::CutOff })
    } else if last > 0 && passed.as_ref() != Some(&hash) {
        Err(Broken { seq: last, fault: Fault::Changed })
    } else if end > newest {
        Err(Broken { seq: newest + 1, fault: Fault::Changed })
    } else {
        Ok(end)
    })
}
