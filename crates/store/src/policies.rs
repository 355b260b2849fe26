//! Rows of policies: rules of retention with a name (R16).
//!
//! Lives here: their SQL. May not: what the rules mean (`domain::retention`).

use domain::{id::PolicyId, retention::Rules, units::Timestamp};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, Tx, ids::NewId, on, origins::Origin};

statements! {
    FIND = "SELECT * FROM policy WHERE id = $1";
    FIND_BY_NAME = "SELECT * FROM policy WHERE name = $1";
    LIST = "SELECT * FROM policy WHERE removed_at IS NULL ORDER BY name LIMIT $1";
    UPSERT = "INSERT INTO policy (id, name, rules, created_at, updated_at) VALUES ($1, $2, $3, $4, $4) \
        ON CONFLICT (name) DO UPDATE SET rules = excluded.rules, updated_at = excluded.updated_at, removed_at = NULL RETURNING id";
    SOURCES = "SELECT source.policy_id AS policy_id, service.name AS service_name, service.title AS service_title, source.id AS source_id, source.name AS source_name \
        FROM source JOIN service ON service.id = source.service_id WHERE source.removed_at IS NULL AND service.removed_at IS NULL \
        ORDER BY service.title, source.position, source.name LIMIT $1";
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct PolicyRow {
    pub id: Uuid,
    pub name: String,
    pub rules: Json<Rules>,
    pub created_at: i64,
    pub updated_at: i64,
    /// When it was taken out of the configuration; it forgets nothing since.
    pub removed_at: Option<i64>,
    #[sqlx(flatten)]
    pub origin: Origin,
}

impl PolicyRow {
    pub const fn id(&self) -> PolicyId {
        PolicyId(self.id)
    }
}

/// A policy as configuration gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPolicy {
    pub name: String,
    pub rules: Rules,
}

/// A source as a policy is chosen for it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct PolicySource {
    pub policy_id: Option<Uuid>,
    pub service_name: String,
    pub service_title: String,
    pub source_id: Uuid,
    pub source_name: String,
}

pub async fn find(tx: Tx<'_>, id: PolicyId) -> Result<Option<PolicyRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(id.0).fetch_optional(c).await)?)
}

/// Also finds one that was removed from the configuration.
pub async fn find_by_name(tx: Tx<'_>, name: &str) -> Result<Option<PolicyRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND_BY_NAME).bind(name).fetch_optional(c).await)?)
}

/// At most `limit` that are configured, by name.
pub async fn list(tx: Tx<'_>, limit: i64) -> Result<Vec<PolicyRow>> {
    Ok(on!(tx, c => sqlx::query_as(LIST).bind(limit).fetch_all(c).await)?)
}

pub async fn upsert(tx: Tx<'_>, new: &NewPolicy, now: Timestamp) -> Result<PolicyId> {
    let id = on!(tx, c => sqlx::query_scalar::<_, Uuid>(UPSERT).bind(PolicyId::new().0).bind(&new.name).bind(Json(&new.rules)).bind(now.0).fetch_one(c).await)?;
    Ok(PolicyId(id))
}

/// At most `limit` sources with the policies that they name, by their service.
pub async fn sources(tx: Tx<'_>, limit: i64) -> Result<Vec<PolicySource>> {
    Ok(on!(tx, c => sqlx::query_as(SOURCES).bind(limit).fetch_all(c).await)?)
}
