//! Rows of availability and reliability, of explanations, and of the sources that figures are fetched from.
//!
//! Lives here: their SQL. May not: the key of a source in clear, deciding which of two figures is shown
//! (`domain::availability` does), fetching.
//! Invariant: what ARGO says and what a person entered are rows of their own; neither overwrites the other.

use std::collections::BTreeMap;

use domain::{
    availability::{
        Figures, Month, Note, Origin, Parts, Recorded,
        source::{Failed, LEASE_S, Settings, next_try},
    },
    id::ServiceId,
    units::Timestamp,
};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, StoreError, Tx, on, repositories::SecretRef};

statements! {
    /// Months are seven characters long, days ten.
    MONTHS = "SELECT * FROM availability WHERE service_id = $1 AND length(period) = 7 AND period >= $2 AND period <= $3 ORDER BY period, origin LIMIT 1000";
    DAYS = "SELECT * FROM availability WHERE service_id = $1 AND length(period) = 10 AND period >= $2 AND period <= $3 ORDER BY period, origin LIMIT 1000";
    OF_PERIOD = "SELECT * FROM availability WHERE service_id = $1 AND period = $2 ORDER BY origin";
    SPAN = "SELECT min(period), max(period) FROM availability WHERE service_id = $1 AND length(period) = 7";
    RECORD = "INSERT INTO availability (service_id, period, origin, availability, reliability, up, unknown, down, recorded_by, recorded_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (service_id, period, origin) DO UPDATE SET availability = excluded.availability, \
        reliability = excluded.reliability, up = excluded.up, unknown = excluded.unknown, down = excluded.down, recorded_by = excluded.recorded_by, \
        recorded_at = excluded.recorded_at";
    CHOOSE = "UPDATE availability SET chosen_at = $4, chosen_by = $5 WHERE service_id = $1 AND period = $2 AND origin = $3";
    REMOVE = "DELETE FROM availability WHERE service_id = $1 AND period = $2 AND origin = $3";
    NOTES = "SELECT month, text, noted_by, noted_at FROM availability_note WHERE service_id = $1 AND month >= $2 AND month <= $3 ORDER BY month LIMIT 1000";
    NOTE = "SELECT month, text, noted_by, noted_at FROM availability_note WHERE service_id = $1 AND month = $2";
    SET_NOTE = "INSERT INTO availability_note (service_id, month, text, noted_by, noted_at) VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT (service_id, month) DO UPDATE SET text = excluded.text, noted_by = excluded.noted_by, noted_at = excluded.noted_at";
    REMOVE_NOTE = "DELETE FROM availability_note WHERE service_id = $1 AND month = $2";
    SOURCE = "SELECT a.*, s.name, s.title FROM argo_source a JOIN service s ON s.id = a.service_id WHERE a.service_id = $1";
    SOURCES = "SELECT a.*, s.name, s.title FROM argo_source a JOIN service s ON s.id = a.service_id ORDER BY s.name LIMIT $1";
    DUE = "SELECT a.*, s.name, s.title FROM argo_source a JOIN service s ON s.id = a.service_id \
        WHERE a.next_at <= $1 AND s.removed_at IS NULL ORDER BY a.next_at LIMIT $2";
    FAILING = "SELECT a.*, s.name, s.title FROM argo_source a JOIN service s ON s.id = a.service_id \
        WHERE a.failing_since IS NOT NULL AND s.removed_at IS NULL ORDER BY s.name LIMIT $1";
    /// New settings: what was known of the old ones does not hold for them.
    SAVE_SOURCE = "INSERT INTO argo_source (service_id, settings, key, next_at, created_at, updated_at) VALUES ($1, $2, $3, $4, $4, $4) \
        ON CONFLICT (service_id) DO UPDATE SET settings = excluded.settings, key = excluded.key, next_at = excluded.next_at, updated_at = excluded.updated_at, \
        failing_since = NULL, failures = 0, failed = NULL";
    REMOVE_SOURCE = "DELETE FROM argo_source WHERE service_id = $1";
    SET_KEY = "UPDATE argo_source SET key = $2 WHERE service_id = $1";
    ASK_NOW = "UPDATE argo_source SET next_at = $2 WHERE service_id = $1 AND next_at > $2";
    /// Compare and swap: of several processes one fetches.
    TAKE = "UPDATE argo_source SET next_at = $3, tried_at = $4 WHERE service_id = $1 AND next_at = $2";
    FETCHED = "UPDATE argo_source SET next_at = $3, fetched_at = $4, failing_since = NULL, failures = 0, failed = NULL WHERE service_id = $1 AND updated_at = $2";
    FAILED = "UPDATE argo_source SET next_at = $3, failing_since = COALESCE(failing_since, $4), failures = failures + 1, failed = $5 \
        WHERE service_id = $1 AND updated_at = $2";
}

/// One period by one origin.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Row {
    pub service_id: Uuid,
    pub period: String,
    pub origin: String,
    pub availability: Option<f64>,
    pub reliability: Option<f64>,
    pub up: Option<f64>,
    pub unknown: Option<f64>,
    pub down: Option<f64>,
    pub recorded_by: String,
    pub recorded_at: i64,
    pub chosen_at: Option<i64>,
    pub chosen_by: Option<String>,
}

impl Row {
    pub fn recorded(self) -> Result<Recorded> {
        let origin = Origin::parse(&self.origin).ok_or(StoreError::Unreadable { column: "availability.origin", value: self.origin })?;
        let parts = match (self.up, self.unknown, self.down) {
            (Some(up), Some(unknown), Some(down)) => Some(Parts { up, unknown, down }),
            _ => None,
        };
        Ok(Recorded {
            origin,
            figures: Figures { availability: self.availability, reliability: self.reliability },
            parts,
            by: self.recorded_by,
            at: Timestamp(self.recorded_at),
            chosen_at: self.chosen_at.map(Timestamp),
            chosen_by: self.chosen_by,
        })
    }
}

fn read_month(column: &'static str, text: &str) -> Result<Month> {
    text.parse().map_err(|_| StoreError::Unreadable { column, value: text.to_owned() })
}

/// What is recorded of each month from `from` to `to`.
pub async fn months(tx: Tx<'_>, service: ServiceId, from: Month, to: Month) -> Result<BTreeMap<Month, Vec<Recorded>>> {
    let rows: Vec<Row> = on!(tx, c => sqlx::query_as(MONTHS).bind(service.0).bind(from.to_string()).bind(to.to_string()).fetch_all(c).await)?;
    let mut found: BTreeMap<Month, Vec<Recorded>> = BTreeMap::new();
    for row in rows {
        let month = read_month("availability.period", &row.period)?;
        found.entry(month).or_default().push(row.recorded()?);
    }
    Ok(found)
}

/// What is recorded of each day of a month, by its date.
pub async fn days(tx: Tx<'_>, service: ServiceId, month: Month) -> Result<Vec<(String, Recorded)>> {
    let (first, last) = month.days();
    let rows: Vec<Row> = on!(tx, c => sqlx::query_as(DAYS).bind(service.0).bind(first.to_string()).bind(last.to_string()).fetch_all(c).await)?;
    rows.into_iter().map(|r| Ok((r.period.clone(), r.recorded()?))).collect()
}

/// What is recorded of one month.
pub async fn of_month(tx: Tx<'_>, service: ServiceId, month: Month) -> Result<Vec<Recorded>> {
    let rows: Vec<Row> = on!(tx, c => sqlx::query_as(OF_PERIOD).bind(service.0).bind(month.to_string()).fetch_all(c).await)?;
    rows.into_iter().map(Row::recorded).collect()
}

/// The earliest and the latest month of which something is recorded.
pub async fn span(tx: Tx<'_>, service: ServiceId) -> Result<Option<(Month, Month)>> {
    let (first, last): (Option<String>, Option<String>) = on!(tx, c => sqlx::query_as(SPAN).bind(service.0).fetch_one(c).await)?;
    let read = |m: Option<String>| m.map(|m| read_month("availability.period", &m)).transpose();
    Ok(read(first)?.zip(read(last)?))
}

/// A period as one origin tells it.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// `2020-02` or `2020-02-14`.
    pub period: &'a str,
    pub origin: Origin,
    pub figures: Figures,
    pub parts: Option<Parts>,
    /// Who entered it, or where it was fetched.
    pub by: &'a str,
}

/// Records a month or a day. What another origin told stays, and so does a choice between both.
pub async fn record(tx: Tx<'_>, service: ServiceId, told: &Told<'_>, now: Timestamp) -> Result<()> {
    let (f, p) = (&told.figures, told.parts.as_ref());
    on!(tx, c => sqlx::query(RECORD).bind(service.0).bind(told.period).bind(told.origin.as_str()).bind(f.availability).bind(f.reliability)
        .bind(p.map(|p| p.up)).bind(p.map(|p| p.unknown)).bind(p.map(|p| p.down)).bind(told.by).bind(now.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// From now on this origin's figure of the month is shown; `false` where it has none.
pub async fn choose(tx: Tx<'_>, service: ServiceId, month: Month, origin: Origin, by: &str, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(CHOOSE).bind(service.0).bind(month.to_string()).bind(origin.as_str()).bind(now.0).bind(by).execute(c).await
        .map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// Forgets what one origin told of a month; `false` where it told nothing.
pub async fn remove(tx: Tx<'_>, service: ServiceId, month: Month, origin: Origin) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(REMOVE).bind(service.0).bind(month.to_string()).bind(origin.as_str()).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

#[derive(Clone, Debug, sqlx::FromRow)]
struct NoteRow {
    month: String,
    text: String,
    noted_by: String,
    noted_at: i64,
}

impl NoteRow {
    fn note(self) -> Note {
        Note { text: self.text, by: self.noted_by, at: Timestamp(self.noted_at) }
    }
}

/// The explanations of months from `from` to `to`.
pub async fn notes(tx: Tx<'_>, service: ServiceId, from: Month, to: Month) -> Result<BTreeMap<Month, Note>> {
    let rows: Vec<NoteRow> = on!(tx, c => sqlx::query_as(NOTES).bind(service.0).bind(from.to_string()).bind(to.to_string()).fetch_all(c).await)?;
    rows.into_iter().map(|r| Ok((read_month("availability_note.month", &r.month)?, r.note()))).collect()
}

pub async fn note(tx: Tx<'_>, service: ServiceId, month: Month) -> Result<Option<Note>> {
    let row: Option<NoteRow> = on!(tx, c => sqlx::query_as(NOTE).bind(service.0).bind(month.to_string()).fetch_optional(c).await)?;
    Ok(row.map(NoteRow::note))
}

pub async fn set_note(tx: Tx<'_>, service: ServiceId, month: Month, text: &str, by: &str, now: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(SET_NOTE).bind(service.0).bind(month.to_string()).bind(text).bind(by).bind(now.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// `false` where there is none.
pub async fn remove_note(tx: Tx<'_>, service: ServiceId, month: Month) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(REMOVE_NOTE).bind(service.0).bind(month.to_string()).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// A source with the name of its service, and how fetching went.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct SourceRow {
    pub service_id: Uuid,
    pub name: String,
    pub title: String,
    pub settings: Json<Settings>,
    pub key: Json<SecretRef>,
    pub next_at: i64,
    pub tried_at: Option<i64>,
    pub fetched_at: Option<i64>,
    pub failing_since: Option<i64>,
    pub failures: i64,
    pub failed: Option<Json<Failed>>,
    pub created_at: i64,
    pub updated_at: i64,
}

impl SourceRow {
    pub const fn service(&self) -> ServiceId {
        ServiceId(self.service_id)
    }
}

pub async fn source(tx: Tx<'_>, service: ServiceId) -> Result<Option<SourceRow>> {
    Ok(on!(tx, c => sqlx::query_as(SOURCE).bind(service.0).fetch_optional(c).await)?)
}

/// All sources by the names of their services, also of services that were removed.
pub async fn sources(tx: Tx<'_>, limit: i64) -> Result<Vec<SourceRow>> {
    Ok(on!(tx, c => sqlx::query_as(SOURCES).bind(limit).fetch_all(c).await)?)
}

/// Sources whose next fetch is due, the longest waiting first.
pub async fn due(tx: Tx<'_>, now: Timestamp, limit: i64) -> Result<Vec<SourceRow>> {
    Ok(on!(tx, c => sqlx::query_as(DUE).bind(now.0).bind(limit).fetch_all(c).await)?)
}

/// Sources of which the last fetch failed.
pub async fn failing(tx: Tx<'_>, limit: i64) -> Result<Vec<SourceRow>> {
    Ok(on!(tx, c => sqlx::query_as(FAILING).bind(limit).fetch_all(c).await)?)
}

/// Makes or changes a source; its next fetch is due at once.
pub async fn save_source(tx: Tx<'_>, service: ServiceId, settings: &Settings, key: &SecretRef, now: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(SAVE_SOURCE).bind(service.0).bind(Json(settings)).bind(Json(key)).bind(now.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Removes a source and its key; figures stay. `false` where there is none.
pub async fn remove_source(tx: Tx<'_>, service: ServiceId) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(REMOVE_SOURCE).bind(service.0).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// Replaces the stored form of the key, such as after a change of the server's key.
pub async fn set_key(tx: Tx<'_>, service: ServiceId, key: &SecretRef) -> Result<()> {
    on!(tx, c => sqlx::query(SET_KEY).bind(service.0).bind(Json(key)).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// The next fetch is due now.
pub async fn ask_now(tx: Tx<'_>, service: ServiceId, now: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(ASK_NOW).bind(service.0).bind(now.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Takes the fetch that is due; `false` when another process has it. One that is cut short is due again soon.
pub async fn take(tx: Tx<'_>, row: &SourceRow, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(TAKE).bind(row.service_id).bind(row.next_at).bind(now.plus_secs(LEASE_S).0).bind(now.0).execute(c).await
        .map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// Records that figures were fetched; `false` where the source was changed meanwhile, and nothing of this holds.
pub async fn fetched(tx: Tx<'_>, row: &SourceRow, now: Timestamp) -> Result<bool> {
    let next = next_try(0, now);
    let rows =
        on!(tx, c => sqlx::query(FETCHED).bind(row.service_id).bind(row.updated_at).bind(next.0).bind(now.0).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// Records that they were not; `false` where the source was changed meanwhile.
pub async fn failed(tx: Tx<'_>, row: &SourceRow, failed: &Failed, now: Timestamp) -> Result<bool> {
    let next = next_try(row.failures + 1, now);
    let rows = on!(tx, c => sqlx::query(FAILED).bind(row.service_id).bind(row.updated_at).bind(next.0).bind(now.0).bind(Json(failed)).execute(c).await
        .map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}
