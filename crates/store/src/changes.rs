//! What of a service's configuration has changed, and when its sources were copied: read for the linter (R41).
//!
//! Lives here: those questions across tables. May not: what a change means (`domain::lint`).

use domain::{id::ServiceId, units::Timestamp};
use uuid::Uuid;

use crate::{Result, Tx, on};

statements! {
    SINCE = "SELECT 'source' AS kind, name, created_at, updated_at, removed_at FROM source WHERE service_id = $1 AND (updated_at > $2 OR removed_at > $2) \
        UNION ALL SELECT 'schedule', name, created_at, updated_at, removed_at FROM schedule WHERE service_id = $1 AND (updated_at > $2 OR removed_at > $2) \
        UNION ALL SELECT 'policy', name, created_at, updated_at, removed_at FROM policy WHERE (updated_at > $2 OR removed_at > $2) \
            AND EXISTS (SELECT 1 FROM source WHERE source.policy_id = policy.id AND source.service_id = $1 AND source.removed_at IS NULL) \
        UNION ALL SELECT 'service', '', created_at, updated_at, removed_at FROM service WHERE id = $1 AND updated_at > $2";
    /// The newest change of any source, also of one that was removed.
    DEPLOYED = "SELECT 'source' AS kind, name, created_at, updated_at, removed_at FROM source WHERE service_id = $1 \
        ORDER BY COALESCE(removed_at, updated_at) DESC, name LIMIT 1";
    COPIED = "SELECT source_id, started_at FROM run WHERE service_id = $1 AND queued_at >= $2 AND kind IN ('backup', 'instance_snapshot') AND state = 'succeeded' \
        AND source_id IS NOT NULL AND started_at IS NOT NULL ORDER BY queued_at, id LIMIT $3";
    SCHEDULES = "SELECT id FROM schedule WHERE service_id = $1 AND kind = 'backup' AND removed_at IS NULL ORDER BY name LIMIT $2";
}

/// Something that was added, changed or removed.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ChangeRow {
    /// `service`, `source`, `schedule` or `policy`.
    pub kind: String,
    /// Empty for the service itself.
    pub name: String,
    pub created_at: i64,
    pub updated_at: i64,
    pub removed_at: Option<i64>,
}

impl ChangeRow {
    /// When it changed last.
    pub fn at(&self) -> Timestamp {
        Timestamp(self.removed_at.unwrap_or(self.updated_at))
    }
}

/// What has changed of a service, its sources, their policies and its schedules since then.
pub async fn since(tx: Tx<'_>, service: ServiceId, since: Timestamp) -> Result<Vec<ChangeRow>> {
    Ok(on!(tx, c => sqlx::query_as(SINCE).bind(service.0).bind(since.0).fetch_all(c).await)?)
}

/// The newest change of what is restored.
pub async fn deployed(tx: Tx<'_>, service: ServiceId) -> Result<Option<ChangeRow>> {
    Ok(on!(tx, c => sqlx::query_as(DEPLOYED).bind(service.0).fetch_optional(c).await)?)
}

/// When complete backups of each source began, of those that were queued since then, the oldest first.
pub async fn copied(tx: Tx<'_>, service: ServiceId, since: Timestamp, limit: i64) -> Result<Vec<(Uuid, i64)>> {
    Ok(on!(tx, c => sqlx::query_as(COPIED).bind(service.0).bind(since.0).bind(limit).fetch_all(c).await)?)
}

/// The backup schedules of a service, by name.
pub async fn schedules(tx: Tx<'_>, service: ServiceId, limit: i64) -> Result<Vec<Uuid>> {
    Ok(on!(tx, c => sqlx::query_scalar(SCHEDULES).bind(service.0).bind(limit).fetch_all(c).await)?)
}
