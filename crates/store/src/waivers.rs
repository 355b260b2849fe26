//! Rows of waivers: findings that a person takes upon themselves for a time (R41).
//!
//! Lives here: their SQL. May not: what a waiver may say, and whether one stands (`domain::lint::waiver`).
//! Invariant: a waiver is never deleted or changed but for its end, which comes once.

use domain::{
    id::{ServiceId, WaiverId},
    lint::waiver::Waiver,
    units::Timestamp,
};
use jiff::civil::Date;
use uuid::Uuid;

use crate::{Result, StoreError, Tx, ids::NewId, on};

statements! {
    FIND = "SELECT * FROM waiver WHERE id = $1";
    INSERT = "INSERT INTO waiver (id, service_id, finding, subject, said, reason, given_by, created_at, until_on) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    END = "UPDATE waiver SET ended_at = $2, ended_by = $3, end_reason = $4 WHERE id = $1 AND ended_at IS NULL AND until_on >= $5";
    OF_SERVICE = "SELECT * FROM waiver WHERE service_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2";
    /// Dates sort as their text does.
    STANDING = "SELECT * FROM waiver WHERE service_id = $1 AND ended_at IS NULL AND until_on >= $2 ORDER BY created_at DESC, id DESC LIMIT $3";
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct WaiverRow {
    pub id: Uuid,
    pub service_id: Uuid,
    /// The id of a rule.
    pub finding: String,
    /// What the finding is about; empty for the whole plan.
    pub subject: String,
    /// What the finding said when it was waived.
    pub said: String,
    pub reason: String,
    pub given_by: String,
    pub created_at: i64,
    /// The last day on which it stands.
    pub until_on: String,
    /// When somebody ended it before its day.
    pub ended_at: Option<i64>,
    pub ended_by: Option<String>,
    pub end_reason: Option<String>,
}

impl WaiverRow {
    pub const fn id(&self) -> WaiverId {
        WaiverId(self.id)
    }

    pub fn until(&self) -> Result<Date> {
        self.until_on.parse().map_err(|_| StoreError::Unreadable { column: "waiver.until_on", value: self.until_on.clone() })
    }

    /// As far as its rules go.
    pub fn waiver(&self) -> Result<Waiver> {
        Ok(Waiver { finding: self.finding.clone(), subject: self.subject.clone(), until: self.until()?, ended: self.ended_at.is_some() })
    }
}

/// A waiver as it is given.
#[derive(Clone, Debug)]
pub struct NewWaiver<'a> {
    pub service: ServiceId,
    pub finding: &'a str,
    pub subject: &'a str,
    pub said: &'a str,
    pub reason: &'a str,
    pub by: &'a str,
    pub until: Date,
}

pub async fn find(tx: Tx<'_>, id: WaiverId) -> Result<Option<WaiverRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(id.0).fetch_optional(c).await)?)
}

pub async fn give(tx: Tx<'_>, new: &NewWaiver<'_>, now: Timestamp) -> Result<WaiverId> {
    let id = WaiverId::new();
    on!(tx, c => sqlx::query(INSERT).bind(id.0).bind(new.service.0).bind(new.finding).bind(new.subject).bind(new.said).bind(new.reason).bind(new.by)
        .bind(now.0).bind(new.until.to_string()).execute(c).await.map(|_| ()))?;
    Ok(id)
}

/// Ends a waiver before its day; `false` when it does not stand any more.
pub async fn end(tx: Tx<'_>, id: WaiverId, by: &str, reason: &str, today: Date, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(END).bind(id.0).bind(now.0).bind(by).bind(reason).bind(today.to_string()).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// The waivers of a service, also those that are over, the newest first.
pub async fn of_service(tx: Tx<'_>, service: ServiceId, limit: i64) -> Result<Vec<WaiverRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_SERVICE).bind(service.0).bind(limit).fetch_all(c).await)?)
}

/// Those that stand on that day, the newest first.
pub async fn standing(tx: Tx<'_>, service: ServiceId, today: Date, limit: i64) -> Result<Vec<WaiverRow>> {
    Ok(on!(tx, c => sqlx::query_as(STANDING).bind(service.0).bind(today.to_string()).bind(limit).fetch_all(c).await)?)
}
