//! Rows of restore tests: what was measured. Written by their run only.
//!
//! Lives here: their SQL. May not: judging (`domain::evidence::join` does).

use domain::{
    evidence::{CheckOutcome, EvidenceLevel, Verdict},
    id::{RestoreTestId, RunId, ServiceId},
    units::Timestamp,
    work::Teardown,
};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, Tx, ids::NewId, on};

statements! {
    FIND = "SELECT * FROM restore_test WHERE id = $1";
    OF_RUN = "SELECT * FROM restore_test WHERE run_id = $1";
    PAGE = "SELECT * FROM restore_test WHERE (started_at, id) < ($1, $2) AND ($4 = '' OR verdict = $4) AND ($5 = '' OR ($5 = '-' AND definition IS NULL) OR definition = $5) \
        AND started_at >= $6 AND started_at < $7 ORDER BY started_at DESC, id DESC LIMIT $3";
    OF_SERVICE = "SELECT * FROM restore_test WHERE service_id = $8 AND (started_at, id) < ($1, $2) AND ($4 = '' OR verdict = $4) \
        AND ($5 = '' OR ($5 = '-' AND definition IS NULL) OR definition = $5) AND started_at >= $6 AND started_at < $7 ORDER BY started_at DESC, id DESC LIMIT $3";
    SINCE = "SELECT id, started_at, verdict, level, rto_s, rto_target_s FROM restore_test WHERE service_id = $1 AND started_at >= $2 ORDER BY started_at DESC, id DESC LIMIT $3";
    COUNT_SINCE = "SELECT count(*) FROM restore_test WHERE started_at >= $1";
    SAVE = "INSERT INTO restore_test (id, run_id, service_id, selection, started_at, finished_at, verdict, level, rto_s, rto_target_s, rpo_s, rpo_target_s, \
        items_restored, items_skipped, items_failed, files, bytes, checks, teardown, snapshots, definition) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21) ON CONFLICT (run_id) DO UPDATE SET run_id = excluded.run_id RETURNING id";
}

/// One snapshot that a test restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestedSnapshot {
    pub item: String,
    pub snapshot: domain::id::SnapshotId,
    pub restic_id: String,
    pub taken_at: Timestamp,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct RestoreTestRow {
    pub id: Uuid,
    pub run_id: Uuid,
    pub service_id: Uuid,
    /// `latest`, `random 30 d`, `sample 5`, `all`.
    pub selection: String,
    /// The name of the definition that it followed; `None` for the one that is built in.
    pub definition: Option<String>,
    pub started_at: i64,
    pub finished_at: i64,
    pub verdict: String,
    pub level: String,
    pub rto_s: Option<f64>,
    pub rto_target_s: Option<i64>,
    pub rpo_s: Option<i64>,
    pub rpo_target_s: Option<i64>,
    pub items_restored: i64,
    pub items_skipped: i64,
    pub items_failed: i64,
    pub files: i64,
    pub bytes: i64,
    pub checks: Json<Vec<CheckOutcome>>,
    pub teardown: Json<Teardown>,
    pub snapshots: Json<Vec<TestedSnapshot>>,
}

/// A restore test to be recorded.
#[derive(Clone, Debug)]
pub struct NewRestoreTest {
    pub run: RunId,
    pub service: ServiceId,
    pub selection: String,
    pub definition: Option<String>,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
    pub verdict: Verdict,
    pub level: EvidenceLevel,
    pub rto_s: Option<f64>,
    pub rto_target_s: Option<i64>,
    pub rpo_s: Option<i64>,
    pub rpo_target_s: Option<i64>,
    pub items_restored: i64,
    pub items_skipped: i64,
    pub items_failed: i64,
    pub files: i64,
    pub bytes: i64,
    pub checks: Vec<CheckOutcome>,
    pub teardown: Teardown,
    pub snapshots: Vec<TestedSnapshot>,
}

/// Records a test, once a run; the id of the row that is there.
pub async fn save(tx: Tx<'_>, t: &NewRestoreTest) -> Result<RestoreTestId> {
    let id = on!(tx, c => sqlx::query_scalar::<_, Uuid>(SAVE).bind(RestoreTestId::new().0).bind(t.run.0).bind(t.service.0).bind(&t.selection).bind(t.started_at.0)
        .bind(t.finished_at.0).bind(t.verdict.as_str()).bind(t.level.as_str()).bind(t.rto_s).bind(t.rto_target_s).bind(t.rpo_s).bind(t.rpo_target_s)
        .bind(t.items_restored).bind(t.items_skipped).bind(t.items_failed).bind(t.files).bind(t.bytes).bind(Json(&t.checks)).bind(Json(&t.teardown))
        .bind(Json(&t.snapshots)).bind(&t.definition).fetch_one(c).await)?;
    Ok(RestoreTestId(id))
}

pub async fn find(tx: Tx<'_>, id: RestoreTestId) -> Result<Option<RestoreTestRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(id.0).fetch_optional(c).await)?)
}

pub async fn of_run(tx: Tx<'_>, run: RunId) -> Result<Option<RestoreTestRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_RUN).bind(run.0).fetch_optional(c).await)?)
}

/// Which tests a list shows.
#[derive(Clone, Debug)]
pub struct Filter {
    pub service: Option<ServiceId>,
    pub verdict: Option<Verdict>,
    /// The name of a definition, `-` for the one that is built in; all where empty.
    pub definition: String,
    /// Those that began from the one moment on and before the other.
    pub from: Timestamp,
    pub before: Timestamp,
}

impl Default for Filter {
    fn default() -> Self {
        Self { service: None, verdict: None, definition: String::new(), from: Timestamp(i64::MIN), before: Timestamp(i64::MAX) }
    }
}

/// At most `limit` tests, the newest first, before the key `(before_at, before_id)`.
pub async fn page(tx: Tx<'_>, f: &Filter, before: (Timestamp, Uuid), limit: i64) -> Result<Vec<RestoreTestRow>> {
    let (at, id) = (before.0.0, before.1);
    let verdict = f.verdict.map_or("", Verdict::as_str);
    Ok(match f.service {
        Some(service) => {
            on!(tx, c => sqlx::query_as(OF_SERVICE).bind(at).bind(id).bind(limit).bind(verdict).bind(&f.definition).bind(f.from.0).bind(f.before.0)
            .bind(service.0).fetch_all(c).await)?
        }
        None => on!(tx, c => sqlx::query_as(PAGE).bind(at).bind(id).bind(limit).bind(verdict).bind(&f.definition).bind(f.from.0).bind(f.before.0)
            .fetch_all(c).await)?,
    })
}

/// A test as grids and trends draw it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct TestPoint {
    pub id: Uuid,
    pub started_at: i64,
    pub verdict: String,
    pub level: String,
    pub rto_s: Option<f64>,
    pub rto_target_s: Option<i64>,
}

/// At most `limit` tests of a service since then, the newest first: the grid by weeks, the trend.
pub async fn since(tx: Tx<'_>, service: ServiceId, since: Timestamp, limit: i64) -> Result<Vec<TestPoint>> {
    Ok(on!(tx, c => sqlx::query_as(SINCE).bind(service.0).bind(since.0).bind(limit).fetch_all(c).await)?)
}

/// How many tests of all services began since then.
pub async fn count_since(tx: Tx<'_>, since: Timestamp) -> Result<i64> {
    Ok(on!(tx, c => sqlx::query_scalar(COUNT_SINCE).bind(since.0).fetch_one(c).await)?)
}
