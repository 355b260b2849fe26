//! Rows of services: what is promised, and the facts that runs keep beside it.
//!
//! Lives here: their SQL. May not: judging promise against fact (`ops::services` does).

use domain::{
    id::{RestoreTestId, RunId, ServiceId},
    units::Timestamp,
};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, Tx, ids::NewId, on, origins::Origin};

statements! {
    FIND = "SELECT service.*, (SELECT COALESCE(min(CASE WHEN source.kind = 'openstack-instance' THEN 1 ELSE 0 END), 0) FROM source WHERE source.service_id = service.id AND source.removed_at IS NULL) = 1 AS instances_alone FROM service WHERE id = $1";
    FIND_BY_NAME = "SELECT service.*, (SELECT COALESCE(min(CASE WHEN source.kind = 'openstack-instance' THEN 1 ELSE 0 END), 0) FROM source WHERE source.service_id = service.id AND source.removed_at IS NULL) = 1 AS instances_alone FROM service WHERE name = $1";
    PAGE = "SELECT service.*, (SELECT COALESCE(min(CASE WHEN source.kind = 'openstack-instance' THEN 1 ELSE 0 END), 0) FROM source WHERE source.service_id = service.id AND source.removed_at IS NULL) = 1 AS instances_alone FROM service WHERE removed_at IS NULL AND name > $1 AND (lower(name) LIKE $2 OR lower(title) LIKE $2 OR lower(owner) LIKE $2) ORDER BY name LIMIT $3";
    ALL = "SELECT service.*, (SELECT COALESCE(min(CASE WHEN source.kind = 'openstack-instance' THEN 1 ELSE 0 END), 0) FROM source WHERE source.service_id = service.id AND source.removed_at IS NULL) = 1 AS instances_alone FROM service WHERE removed_at IS NULL ORDER BY name LIMIT $1";
    COUNT = "SELECT count(*) FROM service WHERE removed_at IS NULL";
    UPSERT = "INSERT INTO service (id, name, title, owner, rpo_s, rto_s, mtpod_s, canary, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) \
        ON CONFLICT (name) DO UPDATE SET title = excluded.title, owner = excluded.owner, rpo_s = excluded.rpo_s, rto_s = excluded.rto_s, \
        mtpod_s = excluded.mtpod_s, canary = excluded.canary, updated_at = excluded.updated_at, removed_at = NULL RETURNING id";
    SET_RUN = "UPDATE service SET last_run_id = $2, last_run_state = $3, last_run_at = $4 WHERE id = $1";
    SET_TEST = "UPDATE service SET last_test_id = $2, last_test_verdict = $3, last_test_at = $4, last_test_rto_s = $5, last_test_rpo_s = $6, best_level = $7 WHERE id = $1";
    COUNT_ITEMS = "UPDATE service SET \
        items = (SELECT count(*) FROM item WHERE item.service_id = service.id AND gone_at IS NULL), \
        items_fresh = (SELECT count(*) FROM item WHERE item.service_id = service.id AND gone_at IS NULL AND last_snapshot_at >= $2), \
        last_snapshot_at = (SELECT max(last_snapshot_at) FROM item WHERE item.service_id = service.id) \
        WHERE id = $1";
}

/// A file with a known hash that a restore test must find again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// The item that holds it.
    pub item: String,
    /// Its path inside the item.
    pub path: String,
    /// SHA-256 of its content in hexadecimal.
    pub sha256: String,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ServiceRow {
    pub id: Uuid,
    pub name: String,
    pub title: String,
    pub owner: String,
    /// Promises, in seconds.
    pub rpo_s: Option<i64>,
    pub rto_s: Option<i64>,
    pub mtpod_s: Option<i64>,
    pub canary: Option<Json<Canary>>,
    pub created_at: i64,
    pub updated_at: i64,
    pub removed_at: Option<i64>,
    /// Items that the sources list now, and those of them with a snapshot within the RPO at the last count.
    pub items: i64,
    pub items_fresh: i64,
    pub last_snapshot_at: Option<i64>,
    pub last_run_id: Option<Uuid>,
    pub last_run_state: Option<String>,
    pub last_run_at: Option<i64>,
    pub last_test_id: Option<Uuid>,
    pub last_test_verdict: Option<String>,
    pub last_test_at: Option<i64>,
    pub last_test_rto_s: Option<f64>,
    pub last_test_rpo_s: Option<i64>,
    /// An `EvidenceLevel` as text: the best that the newest restore test reached.
    pub best_level: String,
    /// All that it consists of are instances of clouds: there is no file of it to restore.
    pub instances_alone: bool,
    #[sqlx(flatten)]
    pub origin: Origin,
}

impl ServiceRow {
    pub const fn id(&self) -> ServiceId {
        ServiceId(self.id)
    }
}

/// A service as configuration gives it. Spans are seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewService {
    pub name: String,
    pub title: String,
    pub owner: String,
    pub rpo_s: Option<i64>,
    pub rto_s: Option<i64>,
    pub mtpod_s: Option<i64>,
    pub canary: Option<Canary>,
}

pub async fn find(tx: Tx<'_>, id: ServiceId) -> Result<Option<ServiceRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(id.0).fetch_optional(c).await)?)
}

/// Also finds one that was removed from the configuration.
pub async fn find_by_name(tx: Tx<'_>, name: &str) -> Result<Option<ServiceRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND_BY_NAME).bind(name).fetch_optional(c).await)?)
}

/// At most `limit` services after the name `after`, whose name, title or owner holds `search`.
pub async fn page(tx: Tx<'_>, after: &str, search: &str, limit: i64) -> Result<Vec<ServiceRow>> {
    let like = format!("%{}%", search.to_lowercase());
    Ok(on!(tx, c => sqlx::query_as(PAGE).bind(after).bind(like).bind(limit).fetch_all(c).await)?)
}

/// All services by name, at most `limit`.
pub async fn all(tx: Tx<'_>, limit: i64) -> Result<Vec<ServiceRow>> {
    Ok(on!(tx, c => sqlx::query_as(ALL).bind(limit).fetch_all(c).await)?)
}

pub async fn count(tx: Tx<'_>) -> Result<i64> {
    Ok(on!(tx, c => sqlx::query_scalar(COUNT).fetch_one(c).await)?)
}

pub async fn upsert(tx: Tx<'_>, new: &NewService, now: Timestamp) -> Result<ServiceId> {
    let id = on!(tx, c => sqlx::query_scalar::<_, Uuid>(UPSERT).bind(ServiceId::new().0).bind(&new.name).bind(&new.title).bind(&new.owner)
        .bind(new.rpo_s).bind(new.rto_s).bind(new.mtpod_s).bind(new.canary.as_ref().map(Json)).bind(now.0).fetch_one(c).await)?;
    Ok(ServiceId(id))
}

/// Records the newest run of the service.
pub async fn set_run(tx: Tx<'_>, id: ServiceId, run: RunId, state: &str, at: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(SET_RUN).bind(id.0).bind(run.0).bind(state).bind(at.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// The newest restore test of a service.
#[derive(Clone, Copy, Debug)]
pub struct LastTest<'a> {
    pub id: RestoreTestId,
    pub verdict: &'a str,
    pub at: Timestamp,
    pub rto_s: Option<f64>,
    pub rpo_s: Option<i64>,
    pub level: &'a str,
}

pub async fn set_test(tx: Tx<'_>, id: ServiceId, test: LastTest<'_>) -> Result<()> {
    on!(tx, c => sqlx::query(SET_TEST).bind(id.0).bind(test.id.0).bind(test.verdict).bind(test.at.0).bind(test.rto_s).bind(test.rpo_s).bind(test.level)
        .execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Counts the items of a service anew; an item is fresh with a snapshot since `fresh_since`.
pub async fn count_items(tx: Tx<'_>, id: ServiceId, fresh_since: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(COUNT_ITEMS).bind(id.0).bind(fresh_since.0).execute(c).await.map(|_| ()))?;
    Ok(())
}
