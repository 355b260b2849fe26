//! What happened in a run, in order: the stream that pages follow and the log that people search.
//!
//! Lives here: their SQL. May not: numbering (the run's row hands out numbers, `queue::number_events`).
//! Invariant: `seq` grows by one within a run; an event is never changed.

use domain::{id::RunId, units::Timestamp};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, Tx, on, queue};

statements! {
    ADD = "INSERT INTO run_event (run_id, seq, at, kind, level, message, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    AFTER = "SELECT * FROM run_event WHERE run_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";
    LOG = "SELECT * FROM run_event WHERE run_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3";
    LOG_FILTERED = "SELECT * FROM run_event WHERE run_id = $1 AND seq < $2 AND (level = 'error' OR (level = 'warn' AND $4 < 2) OR $4 < 1) \
        AND lower(message) LIKE $5 ESCAPE '\\' ORDER BY seq DESC LIMIT $3";
    DETAILS = "SELECT detail FROM run_event WHERE run_id = $1 AND kind = $2 ORDER BY seq LIMIT 10000";
    LAST_POWER = "SELECT e.run_id, r.state IN ('queued', 'running') AS live, e.detail FROM run_event e JOIN run r ON r.id = e.run_id \
        WHERE e.kind = 'power' AND e.detail ->> 'server' = $1 ORDER BY e.at DESC, e.run_id DESC, e.seq DESC LIMIT 1";
    MADE = "SELECT count(*) FROM run_event WHERE run_id = $1 AND kind = 'log' AND detail ->> 'request_id' = $2";
    NUMBER = "UPDATE run SET event_seq = event_seq + $2 WHERE id = $1 RETURNING event_seq";
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct RunEventRow {
    pub run_id: Uuid,
    pub seq: i64,
    pub at: i64,
    /// `log`, `step`, `item`, `state` or `lock`.
    pub kind: String,
    /// `debug`, `info`, `warn` or `error`.
    pub level: String,
    pub message: String,
    pub detail: Option<Json<Value>>,
}

/// The kind of event that says what a run did with an instance's power; its detail names the `server`.
pub const POWER: &str = "power";

/// What a run did with an instance's power.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct PowerRow {
    pub run_id: Uuid,
    /// The run has not ended.
    pub live: bool,
    pub detail: Json<Value>,
}

/// An event to be recorded.
#[derive(Clone, Debug)]
pub struct NewRunEvent {
    pub at: Timestamp,
    pub kind: &'static str,
    pub level: &'static str,
    pub message: String,
    pub detail: Option<Value>,
}

/// Records events under numbers from `first` on, as `queue::number_events` has handed them out.
pub async fn add(mut tx: Tx<'_>, run: RunId, first: i64, events: &[NewRunEvent]) -> Result<()> {
    for (n, e) in events.iter().enumerate() {
        on!(tx.by_ref(), c => sqlx::query(ADD).bind(run.0).bind(first + n as i64).bind(e.at.0).bind(e.kind).bind(e.level).bind(&e.message)
            .bind(e.detail.as_ref().map(Json)).execute(c).await.map(|_| ()))?;
    }
    Ok(())
}

/// Records one event of somebody who does not hold the run's lease: who queued it, who cancelled it.
pub async fn add_unleased(mut tx: Tx<'_>, run: RunId, event: &NewRunEvent) -> Result<()> {
    let seq = on!(tx.by_ref(), c => sqlx::query_scalar::<_, i64>(NUMBER).bind(run.0).bind(1_i64).fetch_one(c).await)?;
    add(tx.by_ref(), run, seq, std::slice::from_ref(event)).await?;
    queue::notify(tx, queue::RUN_CHANNEL, run).await
}

/// At most `limit` events after `seq`, the oldest first.
pub async fn after(tx: Tx<'_>, run: RunId, seq: i64, limit: i64) -> Result<Vec<RunEventRow>> {
    Ok(on!(tx, c => sqlx::query_as(AFTER).bind(run.0).bind(seq).bind(limit).fetch_all(c).await)?)
}

/// The gravest level below which a log shows nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Least {
    #[default]
    All = 0,
    Warnings = 1,
    Errors = 2,
}

/// At most `limit` events before `seq`, the oldest first, whose message holds `search`, case aside: the end of a long log.
pub async fn log(tx: Tx<'_>, run: RunId, least: Least, search: &str, seq: i64, limit: i64) -> Result<Vec<RunEventRow>> {
    let mut rows: Vec<RunEventRow> = if search.is_empty() && least == Least::All {
        on!(tx, c => sqlx::query_as(LOG).bind(run.0).bind(seq).bind(limit).fetch_all(c).await)?
    } else {
        let like = format!("%{}%", search.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
        on!(tx, c => sqlx::query_as(LOG_FILTERED).bind(run.0).bind(seq).bind(limit).bind(least as i64).bind(like).fetch_all(c).await)?
    };
    rows.reverse();
    Ok(rows)
}

/// What was done last with the power of a server, by whichever run.
pub async fn last_power(tx: Tx<'_>, server: &str) -> Result<Option<PowerRow>> {
    Ok(on!(tx, c => sqlx::query_as(LAST_POWER).bind(server).fetch_optional(c).await)?)
}

/// Whether a run has written down that a request was its own.
pub async fn made(tx: Tx<'_>, run: RunId, request: &str) -> Result<bool> {
    Ok(on!(tx, c => sqlx::query_scalar::<_, i64>(MADE).bind(run.0).bind(request).fetch_one(c).await)? > 0)
}

/// The details of a run's events of one kind, at most 10,000 of them.
pub async fn details(tx: Tx<'_>, run: RunId, kind: &str) -> Result<Vec<Value>> {
    let rows: Vec<Option<Json<Value>>> = on!(tx, c => sqlx::query_scalar(DETAILS).bind(run.0).bind(kind).fetch_all(c).await)?;
    Ok(rows.into_iter().flatten().map(|j| j.0).collect())
}
