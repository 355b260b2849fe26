//! Rows of alerts: what is wrong, since when, until when.
//!
//! Lives here: their SQL. May not: deciding what is wrong, telling anybody.
//! Invariant: at most one alert of a condition is open; the condition in each UPDATE is the lock.

use domain::{
    alert::{AlertKind, Condition, Entity, Severity, Subject, Wanted},
    id::{AlertId, RestoreTestId, RunId, ServiceId},
    units::Timestamp,
};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, StoreError, Tx, ids::NewId, on};

statements! {
    FIND = "SELECT a.*, s.name AS service_name, s.title AS service_title FROM alert a LEFT JOIN service s ON s.id = a.service_id WHERE a.id = $1";
    OPEN = "SELECT a.*, s.name AS service_name, s.title AS service_title FROM alert a LEFT JOIN service s ON s.id = a.service_id \
        WHERE a.resolved_at IS NULL ORDER BY a.opened_at, a.id LIMIT $1";
    PAGE = "SELECT a.*, s.name AS service_name, s.title AS service_title FROM alert a LEFT JOIN service s ON s.id = a.service_id \
        WHERE (a.opened_at, a.id) < ($1, $2) AND ($4 = '' OR s.name = $4) AND ($5 = '' OR ($5 = 'open' AND a.resolved_at IS NULL) OR ($5 = 'resolved' AND a.resolved_at IS NOT NULL)) \
        ORDER BY a.opened_at DESC, a.id DESC LIMIT $3";
    INSERT = "INSERT INTO alert (id, condition, kind, severity, entity, entity_id, name, title, service_id, run_id, test_id, facts, text, opened_at, changed_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14) ON CONFLICT DO NOTHING";
    CHANGE = "UPDATE alert SET kind = $3, severity = $4, name = $5, title = $6, run_id = $7, test_id = $8, facts = $9, text = $10, changed_at = $11, \
        acknowledged_at = CASE WHEN $12 THEN NULL ELSE acknowledged_at END, acknowledged_by = CASE WHEN $12 THEN NULL ELSE acknowledged_by END, \
        note = CASE WHEN $12 THEN NULL ELSE note END WHERE id = $1 AND changed_at = $2 AND resolved_at IS NULL";
    RESOLVE = "UPDATE alert SET resolved_at = $2 WHERE id = $1 AND resolved_at IS NULL";
    ACKNOWLEDGE = "UPDATE alert SET acknowledged_at = $2, acknowledged_by = $3, note = $4 WHERE id = $1 AND resolved_at IS NULL";
}

/// An alert with the names of its service.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct AlertRow {
    pub id: Uuid,
    pub condition: String,
    pub kind: String,
    pub severity: String,
    pub entity: String,
    pub entity_id: Uuid,
    pub name: String,
    pub title: String,
    pub service_id: Option<Uuid>,
    pub run_id: Option<Uuid>,
    pub test_id: Option<Uuid>,
    pub facts: Json<Condition>,
    /// The words at the last change; the ages in them are those of that moment.
    pub text: String,
    pub opened_at: i64,
    pub changed_at: i64,
    pub resolved_at: Option<i64>,
    pub acknowledged_at: Option<i64>,
    pub acknowledged_by: Option<String>,
    pub note: Option<String>,
    pub service_name: Option<String>,
    pub service_title: Option<String>,
}

impl AlertRow {
    pub const fn id(&self) -> AlertId {
        AlertId(self.id)
    }

    pub fn kind(&self) -> Result<AlertKind> {
        AlertKind::parse(&self.kind).ok_or_else(|| StoreError::Unreadable { column: "alert.kind", value: self.kind.clone() })
    }

    pub fn severity(&self) -> Result<Severity> {
        Severity::parse(&self.severity).ok_or_else(|| StoreError::Unreadable { column: "alert.severity", value: self.severity.clone() })
    }

    /// What it was made from.
    pub fn wanted(&self) -> Result<Wanted> {
        let entity = Entity::parse(&self.entity).ok_or_else(|| StoreError::Unreadable { column: "alert.entity", value: self.entity.clone() })?;
        Ok(Wanted {
            subject: Subject { entity, id: self.entity_id, name: self.name.clone(), title: self.title.clone() },
            service: self.service_id.map(ServiceId),
            run: self.run_id.map(RunId),
            test: self.test_id.map(RestoreTestId),
            condition: self.facts.0.clone(),
        })
    }
}

pub async fn find(tx: Tx<'_>, id: AlertId) -> Result<Option<AlertRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(id.0).fetch_optional(c).await)?)
}

/// All that are open, the oldest first, at most `limit`.
pub async fn open(tx: Tx<'_>, limit: i64) -> Result<Vec<AlertRow>> {
    Ok(on!(tx, c => sqlx::query_as(OPEN).bind(limit).fetch_all(c).await)?)
}

/// Which alerts a page shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    All,
    Open,
    Resolved,
}

/// At most `limit` alerts before a key, the newest first; of one service where it is named.
pub async fn page(tx: Tx<'_>, which: Which, service: &str, before: (Timestamp, AlertId), limit: i64) -> Result<Vec<AlertRow>> {
    let which = match which {
        Which::All => "",
        Which::Open => "open",
        Which::Resolved => "resolved",
    };
    Ok(on!(tx, c => sqlx::query_as(PAGE).bind(before.0.0).bind(before.1.0).bind(limit).bind(service).bind(which).fetch_all(c).await)?)
}

/// Opens an alert; `None` when one of this condition is open already.
pub async fn insert(tx: Tx<'_>, w: &Wanted, now: Timestamp) -> Result<Option<AlertId>> {
    let id = AlertId::new();
    let (kind, s) = (w.condition.kind(), &w.subject);
    let rows = on!(tx, c => sqlx::query(INSERT).bind(id.0).bind(w.key()).bind(kind.as_str()).bind(kind.severity().as_str()).bind(s.entity.as_str()).bind(s.id)
        .bind(&s.name).bind(&s.title).bind(w.service.map(|i| i.0)).bind(w.run.map(|i| i.0)).bind(w.test.map(|i| i.0)).bind(Json(&w.condition))
        .bind(w.condition.explain(now)).bind(now.0).execute(c).await.map(|r| r.rows_affected()))?;
    Ok((rows == 1).then_some(id))
}

/// Gives an open alert new figures; `false` when somebody else has changed it since `changed_at`. What is `worse` is no longer acknowledged.
pub async fn change(tx: Tx<'_>, id: AlertId, changed_at: Timestamp, w: &Wanted, worse: bool, now: Timestamp) -> Result<bool> {
    let (kind, s) = (w.condition.kind(), &w.subject);
    let rows = on!(tx, c => sqlx::query(CHANGE).bind(id.0).bind(changed_at.0).bind(kind.as_str()).bind(kind.severity().as_str()).bind(&s.name).bind(&s.title)
        .bind(w.run.map(|i| i.0)).bind(w.test.map(|i| i.0)).bind(Json(&w.condition)).bind(w.condition.explain(now)).bind(now.0).bind(worse).execute(c).await
        .map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// Ends an alert; `false` when it has ended already.
pub async fn resolve(tx: Tx<'_>, id: AlertId, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(RESOLVE).bind(id.0).bind(now.0).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// Records that somebody knows of it; `false` when it has ended.
pub async fn acknowledge(tx: Tx<'_>, id: AlertId, by: &str, note: &str, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(ACKNOWLEDGE).bind(id.0).bind(now.0).bind(by).bind(note).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}
