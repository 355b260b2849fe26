//! What the watchdogs look at: the newest ends of runs and the items that are too old, each in one pass over an index.
//!
//! Lives here: reading across aggregates. May not: writing, judging.

use domain::{id::ServiceId, run::RunKind, units::Timestamp, work::StepFailure};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, Tx, on};

statements! {
    SOURCES = "SELECT c.id AS of_id, c.name AS of_name, c.service_id, r.id AS run_id, r.kind, r.title, r.state, r.finished_at, r.failure FROM source c \
        JOIN service s ON s.id = c.service_id AND s.removed_at IS NULL \
        JOIN run r ON r.id = (SELECT n.id FROM run n WHERE n.source_id = c.id AND n.kind = 'backup' AND n.state NOT IN ('queued', 'running', 'cancelled') \
        ORDER BY n.queued_at DESC, n.id DESC LIMIT 1) WHERE c.removed_at IS NULL ORDER BY c.id LIMIT $1";
    /// The newest end of each instance's runs, where it went wrong.
    INSTANCES = "SELECT c.id AS of_id, c.name AS of_name, r.resource_key, r.service_id, r.id AS run_id, r.kind, r.title, r.state, r.finished_at, r.failure FROM run r \
        JOIN source c ON c.id = r.source_id AND c.removed_at IS NULL JOIN service s ON s.id = c.service_id AND s.removed_at IS NULL \
        WHERE r.kind = 'instance_snapshot' AND r.state IN ('failed', 'interrupted', 'partial') AND NOT EXISTS (SELECT 1 FROM run n WHERE n.kind = 'instance_snapshot' \
        AND n.resource_key = r.resource_key AND n.state NOT IN ('queued', 'running', 'cancelled') AND (n.queued_at, n.id) > (r.queued_at, r.id)) \
        ORDER BY r.resource_key LIMIT $1";
    REPOSITORIES = "SELECT c.id AS of_id, c.name AS of_name, r.service_id, r.id AS run_id, r.kind, r.title, r.state, r.finished_at, r.failure FROM repository c \
        JOIN run r ON r.id = (SELECT n.id FROM run n WHERE n.repository_id = c.id AND ($2 = '' OR n.kind = $2) AND n.state NOT IN ('queued', 'running', 'cancelled') \
        ORDER BY n.queued_at DESC, n.id DESC LIMIT 1) WHERE c.removed_at IS NULL ORDER BY c.id LIMIT $1";
    SERVICES = "SELECT s.id AS of_id, s.name AS of_name, r.service_id, r.id AS run_id, r.kind, r.title, r.state, r.finished_at, r.failure FROM service s \
        JOIN run r ON r.id = s.last_run_id WHERE s.removed_at IS NULL AND r.kind NOT IN ('backup', 'instance_snapshot') AND r.state IN ('failed', 'interrupted', 'partial') ORDER BY s.id LIMIT $1";
    LATE = "SELECT i.service_id, count(*) AS items, CAST(sum(CASE WHEN COALESCE(i.last_snapshot_at, 0) < $1 - s.rpo_s * 1000000 THEN 1 ELSE 0 END) AS BIGINT) AS late \
        FROM item i JOIN service s ON s.id = i.service_id WHERE i.gone_at IS NULL AND s.removed_at IS NULL AND s.rpo_s IS NOT NULL GROUP BY i.service_id";
    OLDEST = "SELECT name, last_snapshot_at FROM item WHERE service_id = $1 AND gone_at IS NULL AND COALESCE(last_snapshot_at, 0) < $2 \
        ORDER BY COALESCE(last_snapshot_at, 0), name LIMIT $3";
    HOLDS = "SELECT h.id, h.service_id, h.reason, h.created_at, h.run_id, i.name AS item_name FROM hold h LEFT JOIN item i ON i.id = h.item_id \
        WHERE h.kind = 'guard' AND h.released_at IS NULL AND h.decision IS NULL ORDER BY h.created_at, h.id LIMIT $1";
    /// Ticks without a run since the newest one that had one; a person's pause and a run that was under way are no lack.
    MISSED = "SELECT c.id, c.name, c.service_id, count(*) AS missed, max(t.due_at) AS last_at, min(t.reason) AS reason, \
        count(DISTINCT t.reason) AS reasons, CASE WHEN EXISTS (SELECT 1 FROM tick u WHERE u.schedule_id = c.id AND u.run_id IS NOT NULL) THEN TRUE ELSE FALSE END AS ever \
        FROM schedule c JOIN tick t ON t.schedule_id = c.id AND t.state = 'missed' AND t.reason NOT IN ('paused', 'underway') \
        AND t.due_at > COALESCE((SELECT max(u.due_at) FROM tick u WHERE u.schedule_id = c.id AND u.run_id IS NOT NULL), 0) \
        WHERE c.removed_at IS NULL AND c.paused_at IS NULL GROUP BY c.id, c.name, c.service_id ORDER BY c.id LIMIT $1";
    /// Copies of Holdfast itself are made many times, and no news.
    SUCCEEDED = "SELECT r.id, r.kind, r.title, r.started_at, r.finished_at, r.result, s.name AS service_name, s.title AS service_title, \
        (SELECT min(c.name) FROM tick t JOIN schedule c ON c.id = t.schedule_id WHERE t.run_id = r.id) AS schedule_name FROM run r \
        LEFT JOIN service s ON s.id = r.service_id WHERE r.finished_at >= $1 AND r.state = 'succeeded' AND r.kind <> 'installation_backup' \
        ORDER BY r.finished_at, r.id LIMIT $2";
}

/// The newest run of something that has ended, and was not cancelled by a person.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct NewestRun {
    /// What the run was about: a source, a repository or a service.
    pub of_id: Uuid,
    pub of_name: String,
    pub service_id: Option<Uuid>,
    pub run_id: Uuid,
    pub kind: String,
    pub title: String,
    pub state: String,
    pub finished_at: Option<i64>,
    pub failure: Option<Json<StepFailure>>,
}

/// The newest backup of each source.
pub async fn sources(tx: Tx<'_>, limit: i64) -> Result<Vec<NewestRun>> {
    Ok(on!(tx, c => sqlx::query_as(SOURCES).bind(limit).fetch_all(c).await)?)
}

/// The newest run of an instance that has ended, and went wrong.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct InstanceRun {
    #[sqlx(flatten)]
    pub run: NewestRun,
    /// Ends in the instance's name.
    pub resource_key: Option<String>,
}

/// The newest run of each instance, where it went wrong.
pub async fn instances(tx: Tx<'_>, limit: i64) -> Result<Vec<InstanceRun>> {
    Ok(on!(tx, c => sqlx::query_as(INSTANCES).bind(limit).fetch_all(c).await)?)
}

/// The newest run that used each repository; of one kind where it is given.
pub async fn repositories(tx: Tx<'_>, kind: Option<RunKind>, limit: i64) -> Result<Vec<NewestRun>> {
    let kind = kind.map_or("", RunKind::as_str);
    Ok(on!(tx, c => sqlx::query_as(REPOSITORIES).bind(limit).bind(kind).fetch_all(c).await)?)
}

/// The newest run of each service, where it was no backup and went wrong.
pub async fn services(tx: Tx<'_>, limit: i64) -> Result<Vec<NewestRun>> {
    Ok(on!(tx, c => sqlx::query_as(SERVICES).bind(limit).fetch_all(c).await)?)
}

/// Items of a service with an RPO, and those without a snapshot within it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct LateRow {
    pub service_id: Uuid,
    pub items: i64,
    pub late: i64,
}

/// The counts of every service that has items and an RPO.
pub async fn late(tx: Tx<'_>, now: Timestamp) -> Result<Vec<LateRow>> {
    Ok(on!(tx, c => sqlx::query_as(LATE).bind(now.0).fetch_all(c).await)?)
}

/// The items of a service whose newest snapshot is from before `since`, or that have none: the oldest first.
pub async fn oldest(tx: Tx<'_>, service: ServiceId, since: Timestamp, limit: i64) -> Result<Vec<(String, Option<i64>)>> {
    Ok(on!(tx, c => sqlx::query_as(OLDEST).bind(service.0).bind(since.0).bind(limit).fetch_all(c).await)?)
}

/// A hold of a guard that waits for a person's decision.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct WaitingHold {
    pub id: Uuid,
    pub service_id: Uuid,
    pub reason: String,
    pub created_at: i64,
    pub run_id: Option<Uuid>,
    pub item_name: Option<String>,
}

/// Holds that wait for a decision, the oldest first.
pub async fn holds(tx: Tx<'_>, limit: i64) -> Result<Vec<WaitingHold>> {
    Ok(on!(tx, c => sqlx::query_as(HOLDS).bind(limit).fetch_all(c).await)?)
}

/// A schedule whose newest ticks have no run.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct MissedRow {
    pub id: Uuid,
    pub name: String,
    pub service_id: Option<Uuid>,
    pub missed: i64,
    pub last_at: i64,
    /// One of the reasons, and how many there are.
    pub reason: String,
    pub reasons: i64,
    /// Whether it ever had a run.
    pub ever: bool,
}

/// Schedules whose newest ticks were missed.
pub async fn missed(tx: Tx<'_>, limit: i64) -> Result<Vec<MissedRow>> {
    Ok(on!(tx, c => sqlx::query_as(MISSED).bind(limit).fetch_all(c).await)?)
}

/// A run that has succeeded.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct SucceededRow {
    pub id: Uuid,
    pub kind: String,
    pub title: String,
    pub started_at: Option<i64>,
    pub finished_at: i64,
    pub result: Option<Json<Value>>,
    pub service_name: Option<String>,
    pub service_title: Option<String>,
    /// The schedule that started it.
    pub schedule_name: Option<String>,
}

/// Runs that have succeeded since a moment, the oldest first.
pub async fn succeeded(tx: Tx<'_>, since: Timestamp, limit: i64) -> Result<Vec<SucceededRow>> {
    Ok(on!(tx, c => sqlx::query_as(SUCCEEDED).bind(since.0).bind(limit).fetch_all(c).await)?)
}
