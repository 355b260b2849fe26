//! The ledger: rows of ticks, each with its run or the reason why there is none (R18).
//!
//! Lives here: their SQL. May not: deciding what a tick becomes (`domain::schedule`).
//! Invariant: one row for each schedule, tick and thing it is for. `settle` is called by the queue alone, in the
//! transaction that ends the run.

use domain::{
    id::{RunId, ScheduleId, ServiceId},
    run::RunState,
    schedule::{Counts, Missed, ScheduleKind, TickState},
    units::Timestamp,
};
use uuid::Uuid;

use crate::{Result, StoreError, Tx, ids::NewId, on};

statements! {
    INSERT = "INSERT INTO tick (id, schedule_id, due_at, kind, service_id, target_id, target, run_id, state, reason, detail, decided_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    SETTLE = "UPDATE tick SET state = $2 WHERE run_id = $1";
    OPEN = "SELECT run_id FROM tick WHERE schedule_id = $1 AND target_id = $2 AND state = 'open' ORDER BY due_at DESC LIMIT 1";
    PAGE = "SELECT t.*, c.name AS schedule_name, s.name AS service_name, s.title AS service_title, r.state AS run_state, r.started_at, r.finished_at \
        FROM tick t JOIN schedule c ON c.id = t.schedule_id LEFT JOIN service s ON s.id = t.service_id LEFT JOIN run r ON r.id = t.run_id \
        WHERE (t.due_at, t.id) < ($1, $2) AND ($4 = '' OR t.kind = $4) AND ($5 = '' OR t.state = $5) ORDER BY t.due_at DESC, t.id DESC LIMIT $3";
    PAGE_STATE = "SELECT t.*, c.name AS schedule_name, s.name AS service_name, s.title AS service_title, r.state AS run_state, r.started_at, r.finished_at \
        FROM tick t JOIN schedule c ON c.id = t.schedule_id LEFT JOIN service s ON s.id = t.service_id LEFT JOIN run r ON r.id = t.run_id \
        WHERE t.state = $5 AND (t.due_at, t.id) < ($1, $2) AND ($4 = '' OR t.kind = $4) ORDER BY t.due_at DESC, t.id DESC LIMIT $3";
    PAGE_SCHEDULE = "SELECT t.*, c.name AS schedule_name, s.name AS service_name, s.title AS service_title, r.state AS run_state, r.started_at, r.finished_at \
        FROM tick t JOIN schedule c ON c.id = t.schedule_id LEFT JOIN service s ON s.id = t.service_id LEFT JOIN run r ON r.id = t.run_id \
        WHERE t.schedule_id = $6 AND (t.due_at, t.id) < ($1, $2) AND ($4 = '' OR t.kind = $4) AND ($5 = '' OR t.state = $5) \
        ORDER BY t.due_at DESC, t.id DESC LIMIT $3";
    PAGE_SERVICE = "SELECT t.*, c.name AS schedule_name, s.name AS service_name, s.title AS service_title, r.state AS run_state, r.started_at, r.finished_at \
        FROM tick t JOIN schedule c ON c.id = t.schedule_id LEFT JOIN service s ON s.id = t.service_id LEFT JOIN run r ON r.id = t.run_id \
        WHERE t.service_id = $6 AND (t.due_at, t.id) < ($1, $2) AND ($4 = '' OR t.kind = $4) AND ($5 = '' OR t.state = $5) \
        ORDER BY t.due_at DESC, t.id DESC LIMIT $3";
    COUNT = "SELECT state, reason, count(*) FROM tick WHERE due_at >= $1 AND due_at < $2 GROUP BY state, reason";
    COUNT_SCHEDULE = "SELECT state, reason, count(*) FROM tick WHERE schedule_id = $3 AND due_at >= $1 AND due_at < $2 GROUP BY state, reason";
    COUNT_SERVICE = "SELECT state, reason, count(*) FROM tick WHERE service_id = $3 AND due_at >= $1 AND due_at < $2 GROUP BY state, reason";
    /// The day is counted from $1; ticks after $2 stand $3 later on the clock of the zone.
    MISSED_BACKUPS_BY_DAY = "SELECT service_id, (due_at - $1 + CASE WHEN due_at >= $2 THEN CAST($3 AS BIGINT) ELSE CAST(0 AS BIGINT) END) / 86400000000 AS day \
        FROM tick WHERE state = 'missed' AND kind = 'backup' AND reason <> 'paused' AND due_at >= $1 AND service_id IS NOT NULL GROUP BY 1, 2";
    /// Schedules whose first tick has passed and that never had a run.
    NEVER_RAN = "SELECT c.id, c.name, c.service_id, c.created_at, count(t.id) AS ticks, min(t.due_at) AS first_at FROM schedule c JOIN tick t ON t.schedule_id = c.id \
        AND t.due_at >= c.created_at WHERE c.removed_at IS NULL AND c.name > $1 \
        AND NOT EXISTS (SELECT 1 FROM tick u WHERE u.schedule_id = c.id AND u.run_id IS NOT NULL) \
        AND (t.reason IS NULL OR t.reason <> 'paused') GROUP BY c.id, c.name, c.service_id, c.created_at ORDER BY c.name LIMIT $2";
    LAST = "SELECT t.schedule_id, t.due_at, t.state, t.reason, t.run_id FROM tick t WHERE t.schedule_id = $1 ORDER BY t.due_at DESC, t.id DESC LIMIT 1";
    REMOVE_AHEAD = "DELETE FROM tick WHERE schedule_id = $1 AND due_at > $2 AND run_id IS NULL";
    HAS = "SELECT due_at FROM tick WHERE schedule_id = $1 AND due_at = $2 AND target_id = $3";
}

/// One row of the ledger.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct TickRow {
    pub id: Uuid,
    pub schedule_id: Uuid,
    /// The time by the cron expression, without jitter.
    pub due_at: i64,
    pub kind: String,
    pub service_id: Option<Uuid>,
    pub target_id: Uuid,
    /// The name of what it was for.
    pub target: String,
    pub run_id: Option<Uuid>,
    pub state: String,
    pub reason: Option<String>,
    /// More about a missed one, such as the run that stood in the way.
    pub detail: Option<String>,
    pub decided_at: i64,
    pub schedule_name: String,
    pub service_name: Option<String>,
    pub service_title: Option<String>,
    pub run_state: Option<String>,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
}

impl TickRow {
    pub fn state(&self) -> Result<TickState> {
        state(&self.state)
    }

    pub fn reason(&self) -> Option<Missed> {
        self.reason.as_deref().and_then(Missed::parse)
    }
}

fn state(text: &str) -> Result<TickState> {
    TickState::parse(text).ok_or_else(|| StoreError::Unreadable { column: "tick.state", value: text.to_owned() })
}

/// What a tick became for one of the things it was for.
#[derive(Clone, Debug)]
pub enum Became {
    Run(RunId),
    Missed(Missed, Option<String>),
}

/// A row as it enters the ledger.
#[derive(Clone, Debug)]
pub struct NewTick<'a> {
    pub schedule: ScheduleId,
    pub due_at: Timestamp,
    pub kind: ScheduleKind,
    pub service: Option<ServiceId>,
    pub target_id: Uuid,
    pub target: &'a str,
    pub became: Became,
}

/// Adds a row. One that is there already is a `Conflict`.
pub async fn insert(tx: Tx<'_>, new: &NewTick<'_>, now: Timestamp) -> Result<()> {
    let (run, state, reason, detail) = match &new.became {
        Became::Run(run) => (Some(run.0), TickState::Open, None, None),
        Became::Missed(reason, detail) => (None, TickState::Missed, Some(reason.as_str()), detail.as_deref()),
    };
    on!(tx, c => sqlx::query(INSERT).bind(domain::id::TickId::new().0).bind(new.schedule.0).bind(new.due_at.0).bind(new.kind.as_str())
        .bind(new.service.map(|i| i.0)).bind(new.target_id).bind(new.target).bind(run).bind(state.as_str()).bind(reason).bind(detail).bind(now.0)
        .execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Whether the ledger has this tick already.
pub async fn has(tx: Tx<'_>, schedule: ScheduleId, due_at: Timestamp, target: Uuid) -> Result<bool> {
    Ok(on!(tx, c => sqlx::query_scalar::<_, i64>(HAS).bind(schedule.0).bind(due_at.0).bind(target).fetch_optional(c).await)?.is_some())
}

/// Lets the ticks of a run stand as the run has ended.
pub(crate) async fn settle(tx: Tx<'_>, run: RunId, ended: RunState) -> Result<()> {
    on!(tx, c => sqlx::query(SETTLE).bind(run.0).bind(TickState::of(ended).as_str()).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// The live run of an earlier tick for the same thing.
pub async fn open_run(tx: Tx<'_>, schedule: ScheduleId, target: Uuid) -> Result<Option<RunId>> {
    Ok(on!(tx, c => sqlx::query_scalar::<_, Option<Uuid>>(OPEN).bind(schedule.0).bind(target).fetch_optional(c).await)?.flatten().map(RunId))
}

/// What of the ledger is shown. Each field narrows it further; a schedule counts before a service.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub schedule: Option<ScheduleId>,
    pub service: Option<ServiceId>,
    pub kind: Option<ScheduleKind>,
    pub state: Option<TickState>,
}

/// At most `limit` rows, the newest first, before the key `(before_at, before_id)`.
pub async fn page(tx: Tx<'_>, filter: Filter, before: (Timestamp, Uuid), limit: i64) -> Result<Vec<TickRow>> {
    let (sql, of) = match (filter.schedule, filter.service, filter.state) {
        (Some(schedule), ..) => (PAGE_SCHEDULE, Some(schedule.0)),
        (None, Some(service), _) => (PAGE_SERVICE, Some(service.0)),
        (None, None, Some(_)) => (PAGE_STATE, None),
        (None, None, None) => (PAGE, None),
    };
    let (kind, state) = (filter.kind.map_or("", ScheduleKind::as_str), filter.state.map_or("", TickState::as_str));
    Ok(on!(tx, c => {
        let query = sqlx::query_as::<_, TickRow>(sql).bind(before.0.0).bind(before.1).bind(limit).bind(kind).bind(state);
        match of {
            Some(id) => query.bind(id).fetch_all(c).await,
            None => query.fetch_all(c).await,
        }
    })?)
}

/// What became of the ticks from `since` up to `until`, of one schedule or service where it is given.
pub async fn count(tx: Tx<'_>, filter: Filter, since: Timestamp, until: Timestamp) -> Result<Counts> {
    let (sql, of) = match (filter.schedule, filter.service) {
        (Some(schedule), _) => (COUNT_SCHEDULE, Some(schedule.0)),
        (None, Some(service)) => (COUNT_SERVICE, Some(service.0)),
        (None, None) => (COUNT, None),
    };
    let rows: Vec<(String, Option<String>, i64)> = on!(tx, c => {
        let query = sqlx::query_as::<_, (String, Option<String>, i64)>(sql).bind(since.0).bind(until.0);
        match of {
            Some(id) => query.bind(id).fetch_all(c).await,
            None => query.fetch_all(c).await,
        }
    })?;
    let mut counts = Counts::default();
    for (of, reason, n) in rows {
        counts.add(state(&of)?, reason.as_deref().and_then(Missed::parse), n);
    }
    Ok(counts)
}

/// The days since `since` on which backups of each service were missed; days are counted as `runs::backups_by_day` does.
pub async fn missed_backups_by_day(tx: Tx<'_>, since: Timestamp, change: Timestamp, by_s: i64) -> Result<Vec<(Uuid, i64)>> {
    Ok(on!(tx, c => sqlx::query_as(MISSED_BACKUPS_BY_DAY).bind(since.0).bind(change.0).bind(by_s * 1_000_000).fetch_all(c).await)?)
}

/// A schedule that was due and never had a run.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct NeverRan {
    pub id: Uuid,
    pub name: String,
    pub service_id: Option<Uuid>,
    pub created_at: i64,
    /// Ticks that were missed since it was made, and the first of them.
    pub ticks: i64,
    pub first_at: i64,
}

/// Schedules after the name `after` that never had a run although they were due, but for pauses.
pub async fn never_ran(tx: Tx<'_>, after: &str, limit: i64) -> Result<Vec<NeverRan>> {
    Ok(on!(tx, c => sqlx::query_as(NEVER_RAN).bind(after).bind(limit).fetch_all(c).await)?)
}

/// The newest row of a schedule.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct LastTick {
    pub schedule_id: Uuid,
    pub due_at: i64,
    pub state: String,
    pub reason: Option<String>,
    pub run_id: Option<Uuid>,
}

pub async fn last(tx: Tx<'_>, schedule: ScheduleId) -> Result<Option<LastTick>> {
    Ok(on!(tx, c => sqlx::query_as(LAST).bind(schedule.0).fetch_optional(c).await)?)
}

/// Takes out what was written about a time that has not come: the clock had been ahead.
pub async fn remove_ahead(tx: Tx<'_>, schedule: ScheduleId, now: Timestamp) -> Result<u64> {
    Ok(on!(tx, c => sqlx::query(REMOVE_AHEAD).bind(schedule.0).bind(now.0).execute(c).await.map(|r| r.rows_affected()))?)
}
