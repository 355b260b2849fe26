//! Rows of runs as pages and programs read them.
//!
//! Lives here: finding and listing. May not: changing a run (that is the queue's), permissions.

use domain::{
    id::{RunId, ServiceId},
    run::{RunKind, RunState},
    units::Timestamp,
    work::{RunProgress, StepFailure},
};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, StoreError, Tx, on};

statements! {
    FIND = "SELECT * FROM run WHERE id = $1";
    PAGE = "SELECT r.*, s.name AS service_name, s.title AS service_title FROM run r LEFT JOIN service s ON s.id = r.service_id \
        WHERE (r.queued_at, r.id) < ($1, $2) ORDER BY r.queued_at DESC, r.id DESC LIMIT $3";
    PAGE_STATE = "SELECT r.*, s.name AS service_name, s.title AS service_title FROM run r LEFT JOIN service s ON s.id = r.service_id \
        WHERE r.state = $4 AND (r.queued_at, r.id) < ($1, $2) ORDER BY r.queued_at DESC, r.id DESC LIMIT $3";
    PAGE_KIND = "SELECT r.*, s.name AS service_name, s.title AS service_title FROM run r LEFT JOIN service s ON s.id = r.service_id \
        WHERE r.kind = $4 AND (r.queued_at, r.id) < ($1, $2) ORDER BY r.queued_at DESC, r.id DESC LIMIT $3";
    PAGE_KIND_STATE = "SELECT r.*, s.name AS service_name, s.title AS service_title FROM run r LEFT JOIN service s ON s.id = r.service_id \
        WHERE r.kind = $4 AND r.state = $5 AND (r.queued_at, r.id) < ($1, $2) ORDER BY r.queued_at DESC, r.id DESC LIMIT $3";
    PAGE_SERVICE = "SELECT r.*, s.name AS service_name, s.title AS service_title FROM run r LEFT JOIN service s ON s.id = r.service_id \
        WHERE r.service_id = $4 AND ($5 = '' OR r.kind = $5) AND ($6 = '' OR r.state = $6) AND (r.queued_at, r.id) < ($1, $2) \
        ORDER BY r.queued_at DESC, r.id DESC LIMIT $3";
    PAGE_ACTOR = "SELECT r.*, s.name AS service_name, s.title AS service_title FROM run r LEFT JOIN service s ON s.id = r.service_id \
        WHERE r.actor = $4 AND ($5 = '' OR r.kind = $5) AND ($6 = '' OR r.state = $6) AND ($7 OR r.service_id = $8) AND (r.queued_at, r.id) < ($1, $2) \
        ORDER BY r.queued_at DESC, r.id DESC LIMIT $3";
    LIVE = "SELECT r.*, s.name AS service_name, s.title AS service_title FROM run r LEFT JOIN service s ON s.id = r.service_id \
        WHERE r.state IN ('queued', 'running') ORDER BY r.state DESC, r.priority DESC, r.run_at, r.id LIMIT $1";
    /// The day is counted from $1; runs after $2 stand $3 later on the clock of the zone.
    BACKUPS_BY_DAY = "SELECT service_id, (queued_at - $1 + CASE WHEN queued_at >= $2 THEN CAST($3 AS BIGINT) ELSE CAST(0 AS BIGINT) END) / 86400000000 AS day, state \
        FROM run WHERE kind IN ('backup', 'instance_snapshot') AND queued_at >= $1 AND service_id IS NOT NULL GROUP BY 1, 2, 3";
    BETWEEN = "SELECT r.*, s.name AS service_name, s.title AS service_title FROM run r LEFT JOIN service s ON s.id = r.service_id \
        WHERE r.id >= $1 AND r.id <= $2 ORDER BY r.id DESC LIMIT $3";
    COUNT_OF_SERVICE = "SELECT state, count(*) FROM run WHERE service_id = $2 AND queued_at >= $1 GROUP BY state";
    COUNT_BY_STATE = "SELECT state, count(*) FROM run WHERE queued_at >= $1 GROUP BY state";
}

/// A run and its place in the queue.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct RunRow {
    pub id: Uuid,
    pub kind: String,
    pub state: String,
    pub service_id: Option<Uuid>,
    pub source_id: Option<Uuid>,
    pub repository_id: Option<Uuid>,
    pub title: String,
    /// A `domain::work` parameter type of the run's kind.
    pub params: Json<Value>,
    /// A `domain::work` result type of the run's kind.
    pub result: Option<Json<Value>>,
    pub failure: Option<Json<StepFailure>>,
    pub actor: String,
    pub retry_of: Option<Uuid>,
    pub queued_at: i64,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
    pub progress: Option<Json<RunProgress>>,
    pub event_seq: i64,
    pub run_at: i64,
    pub priority: i64,
    pub attempts: i64,
    pub max_attempts: i64,
    pub lease_owner: Option<String>,
    pub lease_token: Option<Uuid>,
    pub lease_until: Option<i64>,
    pub cancel_requested_at: Option<i64>,
    pub cancel_reason: Option<String>,
    pub resource_key: Option<String>,
    pub unique_key: Option<String>,
    /// The schedule that asked for it.
    pub schedule_id: Option<Uuid>,
    pub max_duration_s: Option<i64>,
    /// When it is cancelled if it is not through; set as it begins.
    pub deadline_at: Option<i64>,
}

impl RunRow {
    pub const fn id(&self) -> RunId {
        RunId(self.id)
    }

    pub fn kind(&self) -> Result<RunKind> {
        RunKind::parse(&self.kind).ok_or_else(|| StoreError::Unreadable { column: "run.kind", value: self.kind.clone() })
    }

    pub fn state(&self) -> Result<RunState> {
        RunState::parse(&self.state).ok_or_else(|| StoreError::Unreadable { column: "run.state", value: self.state.clone() })
    }

    /// The parameters as the type of the run's kind.
    pub fn params<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_value(self.params.0.clone()).map_err(|e| StoreError::Unreadable { column: "run.params", value: e.to_string() })
    }
}

pub async fn find(tx: Tx<'_>, id: RunId) -> Result<Option<RunRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(id.0).fetch_optional(c).await)?)
}

/// A run with the names of its service, as lists show it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ListedRun {
    #[sqlx(flatten)]
    pub run: RunRow,
    pub service_name: Option<String>,
    pub service_title: Option<String>,
}

/// What a list of runs shows. Each field narrows it further.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub service: Option<ServiceId>,
    pub kind: Option<RunKind>,
    pub state: Option<RunState>,
}

/// At most `limit` runs, the newest first, before the key `(before_at, before_id)`.
pub async fn page(tx: Tx<'_>, filter: Filter, before: (Timestamp, Uuid), limit: i64) -> Result<Vec<ListedRun>> {
    let (at, id) = (before.0.0, before.1);
    let kind = filter.kind.map_or("", RunKind::as_str);
    let state = filter.state.map_or("", RunState::as_str);
    let rows = match (filter.service, filter.kind, filter.state) {
        (Some(service), ..) => {
            on!(tx, c => sqlx::query_as(PAGE_SERVICE).bind(at).bind(id).bind(limit).bind(service.0).bind(kind).bind(state).fetch_all(c).await)
        }
        (None, Some(_), Some(_)) => on!(tx, c => sqlx::query_as(PAGE_KIND_STATE).bind(at).bind(id).bind(limit).bind(kind).bind(state).fetch_all(c).await),
        (None, Some(_), None) => on!(tx, c => sqlx::query_as(PAGE_KIND).bind(at).bind(id).bind(limit).bind(kind).fetch_all(c).await),
        (None, None, Some(_)) => on!(tx, c => sqlx::query_as(PAGE_STATE).bind(at).bind(id).bind(limit).bind(state).fetch_all(c).await),
        (None, None, None) => on!(tx, c => sqlx::query_as(PAGE).bind(at).bind(id).bind(limit).fetch_all(c).await),
    };
    Ok(rows?)
}

/// The same of the runs that somebody has started.
pub async fn page_of_actor(tx: Tx<'_>, actor: &str, filter: Filter, before: (Timestamp, Uuid), limit: i64) -> Result<Vec<ListedRun>> {
    let kind = filter.kind.map_or("", RunKind::as_str);
    let state = filter.state.map_or("", RunState::as_str);
    let service = filter.service.map_or(Uuid::nil(), |s| s.0);
    Ok(on!(tx, c => sqlx::query_as(PAGE_ACTOR).bind(before.0.0).bind(before.1).bind(limit).bind(actor).bind(kind).bind(state).bind(filter.service.is_none())
        .bind(service).fetch_all(c).await)?)
}

/// Runs that are running or wait, the running ones first.
pub async fn live(tx: Tx<'_>, limit: i64) -> Result<Vec<ListedRun>> {
    Ok(on!(tx, c => sqlx::query_as(LIVE).bind(limit).fetch_all(c).await)?)
}

/// How many runs queued since then are in each state.
pub async fn count_by_state(tx: Tx<'_>, since: Timestamp) -> Result<Vec<(String, i64)>> {
    Ok(on!(tx, c => sqlx::query_as(COUNT_BY_STATE).bind(since.0).fetch_all(c).await)?)
}

/// The same of one service.
pub async fn count_of_service(tx: Tx<'_>, service: ServiceId, since: Timestamp) -> Result<Vec<(String, i64)>> {
    Ok(on!(tx, c => sqlx::query_as(COUNT_OF_SERVICE).bind(since.0).bind(service.0).fetch_all(c).await)?)
}

/// That a service had a backup that came to this state on a day.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct BackupDay {
    pub service_id: Uuid,
    /// Days since the start that was asked for.
    pub day: i64,
    pub state: String,
}

/// The days since `since`, and on which of them each service had backups of each state.
///
/// A zone whose clock was changed at `change` by `by_s` seconds keeps its days right.
pub async fn backups_by_day(tx: Tx<'_>, since: Timestamp, change: Timestamp, by_s: i64) -> Result<Vec<BackupDay>> {
    Ok(on!(tx, c => sqlx::query_as(BACKUPS_BY_DAY).bind(since.0).bind(change.0).bind(by_s * 1_000_000).fetch_all(c).await)?)
}

/// Runs whose ids stand between two ids, the newest first.
pub async fn between(tx: Tx<'_>, from: RunId, to: RunId, limit: i64) -> Result<Vec<ListedRun>> {
    Ok(on!(tx, c => sqlx::query_as(BETWEEN).bind(from.0).bind(to.0).bind(limit).fetch_all(c).await)?)
}
