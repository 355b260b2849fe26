//! Rows of sources: the data of a service and the driver that reads it.
//!
//! Lives here: their SQL. May not: what a driver's configuration means; it is kept as JSON (`engine::job::SourceConfig`).

use domain::{
    id::{PolicyId, RepositoryId, ServiceId, SourceId},
    units::Timestamp,
};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, Tx, ids::NewId, on, origins::Origin};

statements! {
    FIND = "SELECT * FROM source WHERE id = $1";
    OF_SERVICE = "SELECT * FROM source WHERE service_id = $1 AND removed_at IS NULL ORDER BY position, name";
    CONFIGURED = "SELECT * FROM source WHERE removed_at IS NULL ORDER BY service_id, position, name";
    ROOTS = "SELECT root_snapshot FROM source WHERE repository_id = $1 AND root_snapshot IS NOT NULL ORDER BY root_snapshot";
    UPSERT = "INSERT INTO source (id, service_id, repository_id, name, kind, config, position, created_at, updated_at, policy_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9) \
        ON CONFLICT (service_id, name) DO UPDATE SET kind = excluded.kind, config = excluded.config, \
        root_snapshot = CASE WHEN source.repository_id = excluded.repository_id THEN source.root_snapshot ELSE NULL END, repository_id = excluded.repository_id, \
        position = excluded.position, updated_at = excluded.updated_at, policy_id = excluded.policy_id, removed_at = NULL RETURNING id";
    SET_ROOT = "UPDATE source SET root_snapshot = $2 WHERE id = $1";
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct SourceRow {
    pub id: Uuid,
    pub service_id: Uuid,
    pub repository_id: Uuid,
    pub name: String,
    pub kind: String,
    pub config: Json<Value>,
    /// Place in the order of restoring, from 0.
    pub position: i64,
    pub created_at: i64,
    pub updated_at: i64,
    pub removed_at: Option<i64>,
    pub root_snapshot: Option<String>,
    /// What of it is kept; without one nothing is forgotten.
    pub policy_id: Option<Uuid>,
    #[sqlx(flatten)]
    pub origin: Origin,
}

impl SourceRow {
    pub const fn id(&self) -> SourceId {
        SourceId(self.id)
    }
}

/// A source as configuration gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSource {
    pub service: ServiceId,
    pub repository: RepositoryId,
    pub name: String,
    pub kind: String,
    pub config: Value,
    pub position: i64,
    pub policy: Option<PolicyId>,
}

pub async fn find(tx: Tx<'_>, id: SourceId) -> Result<Option<SourceRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(id.0).fetch_optional(c).await)?)
}

/// The sources of a service in the order of restoring. There are few of them: they come in one piece.
pub async fn of_service(tx: Tx<'_>, service: ServiceId) -> Result<Vec<SourceRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_SERVICE).bind(service.0).fetch_all(c).await)?)
}

/// Makes or changes a source. One that moves to another repository forgets its root snapshot, which that one does not hold.
/// All that are configured, of all services. There are few of them: they come in one piece.
pub async fn configured(tx: Tx<'_>) -> Result<Vec<SourceRow>> {
    Ok(on!(tx, c => sqlx::query_as(CONFIGURED).fetch_all(c).await)?)
}

pub async fn upsert(tx: Tx<'_>, new: &NewSource, now: Timestamp) -> Result<SourceId> {
    let id = on!(tx, c => sqlx::query_scalar::<_, Uuid>(UPSERT).bind(SourceId::new().0).bind(new.service.0).bind(new.repository.0).bind(&new.name)
        .bind(&new.kind).bind(Json(&new.config)).bind(new.position).bind(now.0).bind(new.policy.map(|p| p.0)).fetch_one(c).await)?;
    Ok(SourceId(id))
}

/// Remembers the root snapshot of the newest complete pass.
pub async fn set_root(tx: Tx<'_>, id: SourceId, root_snapshot: &str) -> Result<()> {
    on!(tx, c => sqlx::query(SET_ROOT).bind(id.0).bind(root_snapshot).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// The root snapshots that the next passes into a repository need as parents.
pub async fn roots(tx: Tx<'_>, repository: RepositoryId) -> Result<Vec<String>> {
    Ok(on!(tx, c => sqlx::query_scalar(ROOTS).bind(repository.0).fetch_all(c).await)?)
}
