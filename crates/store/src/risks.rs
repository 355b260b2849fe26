//! Rows of risks, of their history, and of the scales that they are rated by (R39).
//!
//! Lives here: their SQL. May not: levels, conflicts and proofs (`domain::risk`).
//! Invariant: a version of a scale and a row of the history are never changed. The history gets a row with each
//! change of a risk, in its transaction. The scale that is built in has no row.

use domain::{
    id::{RiskId, ServiceId},
    risk::{
        Risk,
        scale::{Scale, ScaleRef},
    },
    run::text_enum,
    units::Timestamp,
};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, StoreError, Tx, ids::NewId, on};

statements! {
    OF_SERVICE = "SELECT * FROM risk WHERE service_id = $1 AND retired_at IS NULL ORDER BY number LIMIT $2";
    ALL_OF_SERVICE = "SELECT * FROM risk WHERE service_id = $1 ORDER BY number LIMIT $2";
    FIND = "SELECT * FROM risk WHERE service_id = $1 AND number = $2";
    COUNT = "SELECT count(*) FROM risk WHERE service_id = $1";
    NEXT_NUMBER = "SELECT COALESCE(max(number), 0) + 1 FROM risk WHERE service_id = $1";
    INSERT = "INSERT INTO risk (id, service_id, number, content, imported, revision, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, 1, $6, $6)";
    CHANGE = "UPDATE risk SET content = $3, updated_at = $4, revision = revision + 1 WHERE id = $1 AND revision = $2 AND retired_at IS NULL";
    RETIRE = "UPDATE risk SET retired_at = $3, retired_by = $4, retire_reason = $5, updated_at = $3, revision = revision + 1 \
        WHERE id = $1 AND revision = $2 AND retired_at IS NULL";
    ADD_REVISION = "INSERT INTO risk_revision (risk_id, revision, at, actor, action, reason, content) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    REVISIONS = "SELECT * FROM risk_revision WHERE risk_id = $1 AND revision < $2 ORDER BY revision DESC LIMIT $3";
    SCALES = "SELECT * FROM risk_scale ORDER BY name, version LIMIT $1";
    SCALE = "SELECT * FROM risk_scale WHERE name = $1 AND version = $2";
    ADD_SCALE = "INSERT INTO risk_scale (name, version, scale, made_by, created_at) VALUES ($1, $2, $3, $4, $5)";
}

text_enum! {
    /// What a row of the history tells.
    RevisionKind { Created => "created", Imported => "imported", Changed => "changed", Retired => "retired" }
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct RiskRow {
    pub id: Uuid,
    pub service_id: Uuid,
    /// Within the service.
    pub number: i64,
    pub content: Json<Risk>,
    /// Whether it came from an older plan.
    pub imported: bool,
    pub revision: i64,
    pub created_at: i64,
    pub updated_at: i64,
    pub retired_at: Option<i64>,
    pub retired_by: Option<String>,
    pub retire_reason: Option<String>,
}

impl RiskRow {
    pub const fn id(&self) -> RiskId {
        RiskId(self.id)
    }
}

/// One row of a risk's history.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct RevisionRow {
    pub risk_id: Uuid,
    pub revision: i64,
    pub at: i64,
    pub actor: String,
    pub action: String,
    pub reason: Option<String>,
    /// All that was said after it.
    pub content: Json<Risk>,
}

impl RevisionRow {
    pub fn action(&self) -> Result<RevisionKind> {
        RevisionKind::parse(&self.action).ok_or_else(|| StoreError::Unreadable { column: "risk_revision.action", value: self.action.clone() })
    }
}

/// A version of a scale that an admin made.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ScaleRow {
    pub name: String,
    pub version: i64,
    pub scale: Json<Scale>,
    pub made_by: String,
    pub created_at: i64,
}

/// Who changed something, and when.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    pub actor: &'a str,
    pub at: Timestamp,
}

/// At most `limit` risks of a service that are not retired, by number.
pub async fn of_service(tx: Tx<'_>, service: ServiceId, limit: i64) -> Result<Vec<RiskRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_SERVICE).bind(service.0).bind(limit).fetch_all(c).await)?)
}

/// The same with those that were retired.
pub async fn all_of_service(tx: Tx<'_>, service: ServiceId, limit: i64) -> Result<Vec<RiskRow>> {
    Ok(on!(tx, c => sqlx::query_as(ALL_OF_SERVICE).bind(service.0).bind(limit).fetch_all(c).await)?)
}

/// Also finds one that was retired.
pub async fn find(tx: Tx<'_>, service: ServiceId, number: i64) -> Result<Option<RiskRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(service.0).bind(number).fetch_optional(c).await)?)
}

/// How many a service has, with those that were retired.
pub async fn count(tx: Tx<'_>, service: ServiceId) -> Result<i64> {
    Ok(on!(tx, c => sqlx::query_scalar(COUNT).bind(service.0).fetch_one(c).await)?)
}

/// The first number after all that were given.
pub async fn next_number(tx: Tx<'_>, service: ServiceId) -> Result<i64> {
    Ok(on!(tx, c => sqlx::query_scalar(NEXT_NUMBER).bind(service.0).fetch_one(c).await)?)
}

/// Adds a risk with the first row of its history. A number that is taken is a `Conflict`.
pub async fn insert(mut tx: Tx<'_>, service: ServiceId, number: i64, risk: &Risk, imported: bool, by: By<'_>) -> Result<RiskId> {
    let id = RiskId::new();
    on!(tx.by_ref(), c => sqlx::query(INSERT).bind(id.0).bind(service.0).bind(number).bind(Json(risk)).bind(imported).bind(by.at.0)
        .execute(c).await.map(|_| ()))?;
    let kind = if imported { RevisionKind::Imported } else { RevisionKind::Created };
    add_revision(tx, id, 1, kind, None, risk, by).await?;
    Ok(id)
}

/// Changes what `seen` shows; `false` when somebody else changed or retired it first.
pub async fn change(mut tx: Tx<'_>, seen: &RiskRow, risk: &Risk, by: By<'_>) -> Result<bool> {
    let rows = on!(tx.by_ref(), c => sqlx::query(CHANGE).bind(seen.id).bind(seen.revision).bind(Json(risk)).bind(by.at.0)
        .execute(c).await.map(|r| r.rows_affected()))?;
    if rows == 1 {
        add_revision(tx, seen.id(), seen.revision + 1, RevisionKind::Changed, None, risk, by).await?;
    }
    Ok(rows == 1)
}

/// Takes it out of the plan; its number and its history stay.
pub async fn retire(mut tx: Tx<'_>, seen: &RiskRow, reason: &str, by: By<'_>) -> Result<bool> {
    let rows = on!(tx.by_ref(), c => sqlx::query(RETIRE).bind(seen.id).bind(seen.revision).bind(by.at.0).bind(by.actor).bind(reason)
        .execute(c).await.map(|r| r.rows_affected()))?;
    if rows == 1 {
        add_revision(tx, seen.id(), seen.revision + 1, RevisionKind::Retired, Some(reason), &seen.content, by).await?;
    }
    Ok(rows == 1)
}

async fn add_revision(tx: Tx<'_>, risk: RiskId, revision: i64, kind: RevisionKind, reason: Option<&str>, content: &Risk, by: By<'_>) -> Result<()> {
    on!(tx, c => sqlx::query(ADD_REVISION).bind(risk.0).bind(revision).bind(by.at.0).bind(by.actor).bind(kind.as_str()).bind(reason).bind(Json(content))
        .execute(c).await.map(|_| ()))?;
    Ok(())
}

/// At most `limit` rows of a risk's history before the revision `before`, the newest first.
pub async fn revisions(tx: Tx<'_>, risk: RiskId, before: i64, limit: i64) -> Result<Vec<RevisionRow>> {
    Ok(on!(tx, c => sqlx::query_as(REVISIONS).bind(risk.0).bind(before).bind(limit).fetch_all(c).await)?)
}

/// At most `limit` versions of scales that admins made.
pub async fn scales(tx: Tx<'_>, limit: i64) -> Result<Vec<ScaleRow>> {
    Ok(on!(tx, c => sqlx::query_as(SCALES).bind(limit).fetch_all(c).await)?)
}

pub async fn scale(tx: Tx<'_>, scale: &ScaleRef) -> Result<Option<ScaleRow>> {
    Ok(on!(tx, c => sqlx::query_as(SCALE).bind(&scale.name).bind(scale.version).fetch_optional(c).await)?)
}

/// Adds a version. One that is there is a `Conflict`.
pub async fn add_scale(tx: Tx<'_>, name: &ScaleRef, scale: &Scale, by: By<'_>) -> Result<()> {
    on!(tx, c => sqlx::query(ADD_SCALE).bind(&name.name).bind(name.version).bind(Json(scale)).bind(by.actor).bind(by.at.0).execute(c).await.map(|_| ()))?;
    Ok(())
}
