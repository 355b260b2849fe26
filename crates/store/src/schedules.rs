//! Rows of schedules.
//!
//! Lives here: their SQL. May not: cron expressions, what a tick becomes (`domain::schedule`).
//! Invariant: the pointer to the next tick moves only from what its reader saw (`revision` and `next_at`), so that of
//! two schedulers one advances it.

use domain::{
    id::{RepositoryId, ScheduleId, ServiceId, SourceId},
    schedule::{Misfire, Pause, ScheduleKind},
    units::Timestamp,
};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, StoreError, Tx, ids::NewId, on, origins::Origin};

statements! {
    FIND = "SELECT c.*, s.name AS service_name, s.title AS service_title, o.name AS source_name, r.name AS repository_name FROM schedule c \
        LEFT JOIN service s ON s.id = c.service_id LEFT JOIN source o ON o.id = c.source_id LEFT JOIN repository r ON r.id = c.repository_id WHERE c.id = $1";
    FIND_BY_NAME = "SELECT c.*, s.name AS service_name, s.title AS service_title, o.name AS source_name, r.name AS repository_name FROM schedule c \
        LEFT JOIN service s ON s.id = c.service_id LEFT JOIN source o ON o.id = c.source_id LEFT JOIN repository r ON r.id = c.repository_id WHERE c.name = $1";
    PAGE = "SELECT c.*, s.name AS service_name, s.title AS service_title, o.name AS source_name, r.name AS repository_name FROM schedule c \
        LEFT JOIN service s ON s.id = c.service_id LEFT JOIN source o ON o.id = c.source_id LEFT JOIN repository r ON r.id = c.repository_id \
        WHERE c.removed_at IS NULL AND c.name > $1 AND ($3 = '' OR c.kind = $3) AND ($4 = '' OR s.name = $4) ORDER BY c.name LIMIT $2";
    COUNT = "SELECT count(*) FROM schedule WHERE removed_at IS NULL";
    DUE = "SELECT id FROM schedule WHERE removed_at IS NULL AND next_run_at <= $1 ORDER BY next_run_at, id LIMIT $2";
    NEXT_RUN_AT = "SELECT min(next_run_at) FROM schedule WHERE removed_at IS NULL";
    /// The next runs of all schedules that are not paused then.
    COMING = "SELECT c.*, s.name AS service_name, s.title AS service_title, o.name AS source_name, r.name AS repository_name FROM schedule c \
        LEFT JOIN service s ON s.id = c.service_id LEFT JOIN source o ON o.id = c.source_id LEFT JOIN repository r ON r.id = c.repository_id \
        WHERE c.removed_at IS NULL AND (c.paused_at IS NULL OR c.paused_until <= c.next_at) ORDER BY c.next_run_at, c.id LIMIT $1";
    /// One that was removed comes back under its name with its history.
    UPSERT = "INSERT INTO schedule (id, name, kind, service_id, source_id, repository_id, params, cron, zone, jitter_s, max_duration_s, misfire, runs_a_day, \
        created_at, updated_at, next_at, next_run_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14, $15, $16) \
        ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, service_id = excluded.service_id, source_id = excluded.source_id, \
        repository_id = excluded.repository_id, params = excluded.params, cron = excluded.cron, zone = excluded.zone, jitter_s = excluded.jitter_s, \
        max_duration_s = excluded.max_duration_s, misfire = excluded.misfire, runs_a_day = excluded.runs_a_day, updated_at = excluded.updated_at, \
        created_at = CASE WHEN schedule.removed_at IS NULL THEN schedule.created_at ELSE excluded.created_at END, \
        next_at = excluded.next_at, next_run_at = excluded.next_run_at, removed_at = NULL, origin = NULL, applied_at = NULL, revision = schedule.revision + 1 RETURNING id";
    ADVANCE = "UPDATE schedule SET next_at = $4, next_run_at = $5 WHERE id = $1 AND revision = $2 AND next_at = $3 AND removed_at IS NULL";
    PAUSE = "UPDATE schedule SET paused_at = $3, paused_until = $4, paused_by = $5, pause_reason = $6, updated_at = $3, revision = revision + 1 \
        WHERE id = $1 AND revision = $2 AND removed_at IS NULL";
    RESUME = "UPDATE schedule SET paused_at = NULL, paused_until = NULL, paused_by = NULL, pause_reason = NULL, updated_at = $3, revision = revision + 1 \
        WHERE id = $1 AND revision = $2 AND removed_at IS NULL";
    REMOVE = "UPDATE schedule SET removed_at = $3, paused_at = NULL, paused_until = NULL, paused_by = NULL, pause_reason = NULL, updated_at = $3, \
        revision = revision + 1 WHERE id = $1 AND revision = $2 AND removed_at IS NULL";
    AHEAD = "SELECT id FROM schedule WHERE removed_at IS NULL AND next_at > $1 AND id > $2 ORDER BY id LIMIT $3";
}

/// A schedule with the names of what it is for.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ScheduleRow {
    pub id: Uuid,
    pub name: String,
    pub kind: String,
    pub service_id: Option<Uuid>,
    pub source_id: Option<Uuid>,
    pub repository_id: Option<Uuid>,
    /// A `domain::work` parameter type of the run's kind.
    pub params: Json<Value>,
    pub cron: String,
    pub zone: String,
    pub jitter_s: i64,
    pub max_duration_s: Option<i64>,
    pub misfire: String,
    /// How many runs a day somebody has confirmed.
    pub runs_a_day: Option<i64>,
    pub created_at: i64,
    pub updated_at: i64,
    pub removed_at: Option<i64>,
    pub paused_at: Option<i64>,
    pub paused_until: Option<i64>,
    pub paused_by: Option<String>,
    pub pause_reason: Option<String>,
    /// The first tick that is not in the ledger yet.
    pub next_at: i64,
    /// When the run of that tick begins.
    pub next_run_at: i64,
    pub revision: i64,
    pub service_name: Option<String>,
    pub service_title: Option<String>,
    pub source_name: Option<String>,
    pub repository_name: Option<String>,
    #[sqlx(flatten)]
    pub origin: Origin,
}

impl ScheduleRow {
    pub const fn id(&self) -> ScheduleId {
        ScheduleId(self.id)
    }

    pub fn kind(&self) -> Result<ScheduleKind> {
        ScheduleKind::parse(&self.kind).ok_or_else(|| StoreError::Unreadable { column: "schedule.kind", value: self.kind.clone() })
    }

    pub fn misfire(&self) -> Result<Misfire> {
        Misfire::parse(&self.misfire).ok_or_else(|| StoreError::Unreadable { column: "schedule.misfire", value: self.misfire.clone() })
    }

    /// The pause that was asked for last, also when it is over.
    pub fn pause(&self) -> Option<Pause> {
        self.paused_at.map(|from| Pause { from: Timestamp(from), until: self.paused_until.map(Timestamp) })
    }

    pub fn is_paused(&self, at: Timestamp) -> bool {
        self.pause().is_some_and(|p| p.covers(at))
    }

    /// What it is for: `service`, `service/source` or the repository's name.
    pub fn of(&self) -> String {
        match (&self.service_name, &self.source_name) {
            (Some(service), Some(source)) => format!("{service}/{source}"),
            (Some(service), None) => service.clone(),
            (None, _) => self.repository_name.clone().unwrap_or_default(),
        }
    }
}

/// A schedule as it is saved.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSchedule {
    pub name: String,
    pub kind: ScheduleKind,
    pub service: Option<ServiceId>,
    pub source: Option<SourceId>,
    pub repository: Option<RepositoryId>,
    pub params: Value,
    pub cron: String,
    pub zone: String,
    pub jitter_s: i64,
    pub max_duration_s: Option<i64>,
    pub misfire: Misfire,
    pub runs_a_day: Option<i64>,
    pub next_at: Timestamp,
    pub next_run_at: Timestamp,
}

pub async fn find(tx: Tx<'_>, id: ScheduleId) -> Result<Option<ScheduleRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(id.0).fetch_optional(c).await)?)
}

/// Also finds one that was removed.
pub async fn find_by_name(tx: Tx<'_>, name: &str) -> Result<Option<ScheduleRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND_BY_NAME).bind(name).fetch_optional(c).await)?)
}

/// What a list of schedules shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub kind: Option<ScheduleKind>,
    /// The name of a service; all where empty.
    pub service: String,
}

/// At most `limit` schedules after the name `after`.
pub async fn page(tx: Tx<'_>, filter: &Filter, after: &str, limit: i64) -> Result<Vec<ScheduleRow>> {
    let kind = filter.kind.map_or("", ScheduleKind::as_str);
    Ok(on!(tx, c => sqlx::query_as(PAGE).bind(after).bind(limit).bind(kind).bind(&filter.service).fetch_all(c).await)?)
}

pub async fn count(tx: Tx<'_>) -> Result<i64> {
    Ok(on!(tx, c => sqlx::query_scalar(COUNT).fetch_one(c).await)?)
}

/// Those whose next run is due, the longest waiting first.
pub async fn due(tx: Tx<'_>, now: Timestamp, limit: i64) -> Result<Vec<ScheduleId>> {
    Ok(on!(tx, c => sqlx::query_scalar::<_, Uuid>(DUE).bind(now.0).bind(limit).fetch_all(c).await)?.into_iter().map(ScheduleId).collect())
}

/// When the next run of any schedule is due.
pub async fn next_run_at(tx: Tx<'_>) -> Result<Option<Timestamp>> {
    Ok(on!(tx, c => sqlx::query_scalar::<_, Option<i64>>(NEXT_RUN_AT).fetch_one(c).await)?.map(Timestamp))
}

/// The schedules that run next, the first one first.
pub async fn coming(tx: Tx<'_>, limit: i64) -> Result<Vec<ScheduleRow>> {
    Ok(on!(tx, c => sqlx::query_as(COMING).bind(limit).fetch_all(c).await)?)
}

/// Schedules after the id `after` whose next tick is later than `at`.
pub async fn ahead(tx: Tx<'_>, at: Timestamp, after: ScheduleId, limit: i64) -> Result<Vec<ScheduleId>> {
    Ok(on!(tx, c => sqlx::query_scalar::<_, Uuid>(AHEAD).bind(at.0).bind(after.0).bind(limit).fetch_all(c).await)?.into_iter().map(ScheduleId).collect())
}

/// Makes or changes the schedule of that name. A pause stays.
pub async fn upsert(tx: Tx<'_>, new: &NewSchedule, now: Timestamp) -> Result<ScheduleId> {
    let id = on!(tx, c => sqlx::query_scalar::<_, Uuid>(UPSERT).bind(ScheduleId::new().0).bind(&new.name).bind(new.kind.as_str()).bind(new.service.map(|i| i.0))
        .bind(new.source.map(|i| i.0)).bind(new.repository.map(|i| i.0)).bind(Json(&new.params)).bind(&new.cron).bind(&new.zone).bind(new.jitter_s)
        .bind(new.max_duration_s).bind(new.misfire.as_str()).bind(new.runs_a_day).bind(now.0).bind(new.next_at.0).bind(new.next_run_at.0)
        .fetch_one(c).await)?;
    Ok(ScheduleId(id))
}

/// Moves the pointer on from what `seen` shows; `false` when somebody else moved or changed it first.
pub async fn advance(tx: Tx<'_>, seen: &ScheduleRow, next_at: Timestamp, next_run_at: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(ADVANCE).bind(seen.id).bind(seen.revision).bind(seen.next_at).bind(next_at.0).bind(next_run_at.0)
        .execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// Pauses it from now on; `false` when it was changed since it was read.
pub async fn pause(tx: Tx<'_>, seen: &ScheduleRow, until: Option<Timestamp>, by: &str, reason: &str, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(PAUSE).bind(seen.id).bind(seen.revision).bind(now.0).bind(until.map(|u| u.0)).bind(by).bind(reason)
        .execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

pub async fn resume(tx: Tx<'_>, seen: &ScheduleRow, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(RESUME).bind(seen.id).bind(seen.revision).bind(now.0).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// Takes it out of use; its ledger stays.
pub async fn remove(tx: Tx<'_>, seen: &ScheduleRow, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(REMOVE).bind(seen.id).bind(seen.revision).bind(now.0).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}
