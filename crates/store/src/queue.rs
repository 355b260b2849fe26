//! The queue: which run is whose, for how long.
//!
//! Lives here: the SQL of enqueueing, claiming, leases, cancelling and ends. May not: which kinds resume, how often
//! something is tried (`runner` decides), waiting.
//! Invariant: every write of a worker says `WHERE id AND lease_token`; a worker that lost its lease changes nothing.
//! The legality of a change is asked of `domain::run::RunState::after` first, and the condition in the SQL is the lock.

use domain::{
    id::{RepositoryId, RunId, ScheduleId, ServiceId, SourceId},
    run::{InvalidTransition, RunEvent, RunKind, RunState},
    units::Timestamp,
    work::RunProgress,
};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, StoreError, Tx, on, runs::RunRow, ticks};

/// The kinds that this version knows; a newer one may have others.
macro_rules! known {
    () => {
        "'backup', 'restore', 'restore_test', 'check', 'prune', 'tamper_test', 'installation_backup', 'installation_test', 'instance_snapshot', 'restore_clone_snapshot', 'restore_inplace_snapshot', 'offsite_copy', 'offsite_return'"
    };
}

/// What may begin: its kind is known here, it is due (what was due when it was queued is so whatever the clock says now),
/// its resource is free, and its repository has fewer running runs than it allows (a
/// restore test counts in each repository of its service). While a prune of a repository runs,
/// what names the same repository waits, so that the prune gets its turn at the lock; restores never wait for it. While
/// the first backup into a repository runs, which makes it, no other one does.
macro_rules! may_begin {
    () => {
        concat!(
            "r.state = 'queued' AND r.kind IN (",
            known!(),
            ") AND (r.run_at <= $4 OR r.run_at <= r.queued_at) \
            AND (r.resource_key IS NULL OR NOT EXISTS (SELECT 1 FROM run o WHERE o.resource_key = r.resource_key AND o.state = 'running')) \
            AND (r.kind = 'restore' OR NOT EXISTS (SELECT 1 FROM run p WHERE p.state = 'running' AND p.kind = 'prune' AND p.repository_id = r.repository_id)) \
            AND (r.kind <> 'backup' OR NOT EXISTS (SELECT 1 FROM run b JOIN repository n ON n.id = b.repository_id WHERE b.state = 'running' AND b.kind = 'backup' \
            AND n.restic_id IS NULL AND b.repository_id = r.repository_id)) \
            AND NOT EXISTS (SELECT 1 FROM repository p WHERE (p.id = r.repository_id OR (r.kind = 'restore_test' AND EXISTS (SELECT 1 FROM source s WHERE s.service_id = r.service_id AND s.repository_id = p.id))) \
            AND p.max_parallel <= (SELECT count(*) FROM run o WHERE o.state = 'running' AND (o.repository_id = p.id OR (o.kind = 'restore_test' \
            AND EXISTS (SELECT 1 FROM source t WHERE t.service_id = o.service_id AND t.repository_id = p.id)))))"
        )
    };
}

statements! {
    ENQUEUE = "INSERT INTO run (id, kind, state, service_id, source_id, repository_id, title, params, actor, retry_of, queued_at, run_at, priority, max_attempts, resource_key, unique_key, \
        schedule_id, max_duration_s) VALUES ($1, $2, 'queued', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) ON CONFLICT DO NOTHING";
    /// Of what may begin the one with the highest priority, then of the service with the fewest running runs, then of the
    /// one that waited longest for its turn, then the oldest.
    CLAIM = concat!(
        "UPDATE run SET state = 'running', lease_owner = $1, lease_token = $2, lease_until = $3, attempts = attempts + 1, started_at = COALESCE(started_at, $4), \
        deadline_at = COALESCE(deadline_at, $4 + max_duration_s * 1000000) \
        WHERE state = 'queued' AND id = (SELECT r.id FROM run r \
        LEFT JOIN (SELECT COALESCE(b.service_id, b.repository_id) AS whose, count(*) AS runs FROM run b WHERE b.state = 'running' GROUP BY COALESCE(b.service_id, b.repository_id)) busy \
        ON busy.whose = COALESCE(r.service_id, r.repository_id) WHERE ",
        may_begin!(),
        " ORDER BY r.priority DESC, COALESCE(busy.runs, 0), COALESCE((SELECT max(l.started_at) FROM run l WHERE l.service_id = r.service_id), 0), r.run_at, r.id LIMIT 1) RETURNING *"
    );
    CLAIM_ONE = concat!(
        "UPDATE run SET state = 'running', lease_owner = $1, lease_token = $2, lease_until = $3, attempts = attempts + 1, started_at = COALESCE(started_at, $4), \
        deadline_at = COALESCE(deadline_at, $4 + max_duration_s * 1000000) WHERE state = 'queued' AND id = (SELECT r.id FROM run r WHERE r.id = $5 AND ",
        may_begin!(),
        ") RETURNING *"
    );
    /// One claim at a time: two of them could both take the last place in a repository. SQLite has one writer anyway.
    CLAIM_LOCK_PG = "SELECT pg_advisory_xact_lock(7164921)";
    /// It always moves forward, so that others see it move whatever the clocks do.
    HEARTBEAT = "UPDATE run SET lease_until = CASE WHEN $3 > lease_until THEN $3 ELSE lease_until + 1 END WHERE id = $1 AND lease_token = $2 AND state = 'running' RETURNING cancel_requested_at";
    /// Hands out `$3` numbers for events to the holder of the lease.
    NUMBER_EVENTS = "UPDATE run SET event_seq = event_seq + $3 WHERE id = $1 AND lease_token = $2 AND state = 'running' RETURNING event_seq";
    PROGRESS = "UPDATE run SET progress = $3 WHERE id = $1 AND lease_token = $2 AND state = 'running'";
    FINISH = "UPDATE run SET state = $3, finished_at = $4, result = $5, failure = $6, progress = NULL, lease_owner = NULL, lease_token = NULL, lease_until = NULL \
        WHERE id = $1 AND lease_token = $2 AND state = 'running'";
    REQUEUE = "UPDATE run SET state = 'queued', run_at = $3, progress = NULL, lease_owner = NULL, lease_token = NULL, lease_until = NULL \
        WHERE id = $1 AND lease_token = $2 AND state = 'running'";
    RELEASE = "UPDATE run SET lease_until = 0, attempts = attempts - $3 WHERE id = $1 AND lease_token = $2 AND state = 'running'";
    LEASES = "SELECT id, lease_owner, lease_token, lease_until FROM run WHERE state = 'running' ORDER BY lease_until, id LIMIT 1000";
    TAKE_OVER = concat!(
        "UPDATE run SET lease_owner = $3, lease_token = $4, lease_until = $5, attempts = attempts + 1 WHERE id = $1 AND lease_token = $2 AND state = 'running' AND kind IN (",
        known!(),
        ") RETURNING *"
    );
    CANCEL_QUEUED = "UPDATE run SET state = 'cancelled', cancel_requested_at = $2, cancel_reason = $3, finished_at = $2 WHERE id = $1 AND state = 'queued' AND attempts = 0";
    /// A run that has begun is cleaned up by its worker first, also when it waits for another attempt.
    CANCEL_BEGUN = "UPDATE run SET cancel_requested_at = COALESCE(cancel_requested_at, $2), cancel_reason = COALESCE(cancel_reason, $3), \
        run_at = CASE WHEN state = 'queued' THEN $2 ELSE run_at END WHERE id = $1 AND state IN ('queued', 'running') AND (state = 'running' OR attempts > 0)";
    NEXT_RUN_AT = "SELECT min(run_at) FROM run WHERE state = 'queued' AND run_at > $1";
    PAST_DEADLINE = "SELECT id, max_duration_s FROM run WHERE state = 'running' AND deadline_at <= $1 AND cancel_requested_at IS NULL ORDER BY deadline_at, id LIMIT $2";
    LIVE_OF_KEY = "SELECT id FROM run WHERE unique_key = $1 AND state IN ('queued', 'running')";
    NOTIFY_PG = "SELECT pg_notify($1, $2)";
}

/// Channel of PostgreSQL that says a run was queued.
pub const QUEUE_CHANNEL: &str = "holdfast_queue";
/// Channel of PostgreSQL that says a run has changed or was asked to stop.
pub const RUN_CHANNEL: &str = "holdfast_run";

/// A run as it enters the queue.
#[derive(Clone, Debug)]
pub struct NewRun {
    pub id: RunId,
    pub kind: RunKind,
    pub service: Option<ServiceId>,
    pub source: Option<SourceId>,
    pub repository: Option<RepositoryId>,
    pub title: String,
    pub params: Value,
    pub actor: String,
    pub retry_of: Option<RunId>,
    pub queued_at: Timestamp,
    /// Not before this moment.
    pub run_at: Timestamp,
    /// Higher comes first.
    pub priority: i64,
    pub max_attempts: i64,
    /// One running run at a time has this key.
    pub resource_key: Option<String>,
    /// One live run at a time has this key.
    pub unique_key: Option<String>,
    /// The schedule that asked for it.
    pub schedule: Option<ScheduleId>,
    /// How long it may take from its first start on, in seconds.
    pub max_duration_s: Option<i64>,
}

/// Who holds a run, until when.
#[derive(Clone, Debug)]
pub struct Lease<'a> {
    /// `host@boot.namespace:pid:start.nonce`.
    pub owner: &'a str,
    pub token: Uuid,
    pub until: Timestamp,
}

/// The lease of a running run, as other workers see it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct LeaseRow {
    pub id: Uuid,
    pub lease_owner: String,
    pub lease_token: Uuid,
    pub lease_until: i64,
}

/// Adds a run; `false` when a live run has its unique key.
pub async fn enqueue(mut tx: Tx<'_>, new: &NewRun) -> Result<bool> {
    let rows = on!(tx.by_ref(), c => sqlx::query(ENQUEUE).bind(new.id.0).bind(new.kind.as_str()).bind(new.service.map(|i| i.0)).bind(new.source.map(|i| i.0))
        .bind(new.repository.map(|i| i.0)).bind(&new.title).bind(Json(&new.params)).bind(&new.actor).bind(new.retry_of.map(|i| i.0)).bind(new.queued_at.0)
        .bind(new.run_at.0).bind(new.priority).bind(new.max_attempts).bind(&new.resource_key).bind(&new.unique_key)
        .bind(new.schedule.map(|i| i.0)).bind(new.max_duration_s).execute(c).await
        .map(|r| r.rows_affected()))?;
    if rows == 1 {
        notify(tx, QUEUE_CHANNEL, new.id).await?;
    }
    Ok(rows == 1)
}

/// The live run that holds a unique key.
pub async fn live_of_key(tx: Tx<'_>, unique_key: &str) -> Result<Option<RunId>> {
    Ok(on!(tx, c => sqlx::query_scalar::<_, Uuid>(LIVE_OF_KEY).bind(unique_key).fetch_optional(c).await)?.map(RunId))
}

/// Takes the run that is due next. `None` when nothing may begin.
///
/// On PostgreSQL it waits for the claims of others: call it in a short transaction of its own and end that at once.
pub async fn claim(mut tx: Tx<'_>, lease: &Lease<'_>, now: Timestamp) -> Result<Option<RunRow>> {
    alone(tx.by_ref()).await?;
    lost_race_is_none(on!(tx, c => sqlx::query_as(CLAIM).bind(lease.owner).bind(lease.token).bind(lease.until.0).bind(now.0).fetch_optional(c).await))
}

/// Takes this run if it is due, its resource is free and its repository has a place. As [`claim`] in a short transaction.
pub async fn claim_one(mut tx: Tx<'_>, id: RunId, lease: &Lease<'_>, now: Timestamp) -> Result<Option<RunRow>> {
    alone(tx.by_ref()).await?;
    lost_race_is_none(
        on!(tx, c => sqlx::query_as(CLAIM_ONE).bind(lease.owner).bind(lease.token).bind(lease.until.0).bind(now.0).bind(id.0).fetch_optional(c).await),
    )
}

/// Waits until no other transaction claims.
async fn alone(tx: Tx<'_>) -> Result<()> {
    if let Tx::Pg(c) = tx {
        sqlx::query(CLAIM_LOCK_PG).execute(c).await?;
    }
    Ok(())
}

/// A worker of an earlier version does not wait for its turn; the unique index over running resources lets one through.
fn lost_race_is_none(claimed: sqlx::Result<Option<RunRow>>) -> Result<Option<RunRow>> {
    match claimed.map_err(StoreError::from) {
        Err(StoreError::Conflict(_)) => Ok(None),
        other => other,
    }
}

/// Prolongs a lease. `None` says that it is lost; otherwise whether somebody asked to cancel.
pub async fn heartbeat(tx: Tx<'_>, id: RunId, token: Uuid, until: Timestamp) -> Result<Option<bool>> {
    let row = on!(tx, c => sqlx::query_scalar::<_, Option<i64>>(HEARTBEAT).bind(id.0).bind(token).bind(until.0).fetch_optional(c).await)?;
    Ok(row.map(|at| at.is_some()))
}

/// Hands out `count` numbers for events, as the first of them; `None` when the lease is lost.
///
/// It locks the run's row, so that all that a worker writes in the same transaction is written under its lease.
pub async fn number_events(mut tx: Tx<'_>, id: RunId, token: Uuid, count: i64) -> Result<Option<i64>> {
    let last = on!(tx.by_ref(), c => sqlx::query_scalar::<_, i64>(NUMBER_EVENTS).bind(id.0).bind(token).bind(count).fetch_optional(c).await)?;
    if last.is_some() {
        notify(tx, RUN_CHANNEL, id).await?;
    }
    Ok(last.map(|l| l - count + 1))
}

/// Writes where the run stands; `false` when the lease is lost.
pub async fn progress(tx: Tx<'_>, id: RunId, token: Uuid, progress: &RunProgress) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(PROGRESS).bind(id.0).bind(token).bind(Json(progress)).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct End {
    pub event: RunEvent,
    pub result: Option<Value>,
    pub failure: Option<Value>,
}

/// Ends a running run; the state it has now, or `None` when the lease is lost.
pub async fn finish(mut tx: Tx<'_>, id: RunId, token: Uuid, end: &End, now: Timestamp) -> Result<Option<RunState>> {
    let state = RunState::Running.after(end.event).map_err(illegal)?;
    let rows = on!(tx.by_ref(), c => sqlx::query(FINISH).bind(id.0).bind(token).bind(state.as_str()).bind(now.0).bind(end.result.as_ref().map(Json))
        .bind(end.failure.as_ref().map(Json)).execute(c).await.map(|r| r.rows_affected()))?;
    if rows == 1 {
        ticks::settle(tx.by_ref(), id, state).await?;
        notify(tx.by_ref(), RUN_CHANNEL, id).await?;
        notify(tx, QUEUE_CHANNEL, id).await?;
    }
    Ok((rows == 1).then_some(state))
}

/// Puts a running run back, to be tried again at `run_at`; `false` when the lease is lost.
pub async fn requeue(mut tx: Tx<'_>, id: RunId, token: Uuid, run_at: Timestamp) -> Result<bool> {
    RunState::Running.after(RunEvent::Requeue).map_err(illegal)?;
    let rows = on!(tx.by_ref(), c => sqlx::query(REQUEUE).bind(id.0).bind(token).bind(run_at.0).execute(c).await.map(|r| r.rows_affected()))?;
    if rows == 1 {
        notify(tx, RUN_CHANNEL, id).await?;
    }
    Ok(rows == 1)
}

/// Gives a lease back at a stop in good order: the next worker takes the run over at once. With `uncounted` the
/// attempt is not counted, so that the run goes on as if nothing had been.
pub async fn release(mut tx: Tx<'_>, id: RunId, token: Uuid, uncounted: bool) -> Result<()> {
    on!(tx.by_ref(), c => sqlx::query(RELEASE).bind(id.0).bind(token).bind(i64::from(uncounted)).execute(c).await.map(|_| ()))?;
    notify(tx, QUEUE_CHANNEL, id).await
}

/// The leases of all running runs, the oldest first.
pub async fn leases(tx: Tx<'_>) -> Result<Vec<LeaseRow>> {
    Ok(on!(tx, c => sqlx::query_as(LEASES).fetch_all(c).await)?)
}

/// Takes a run from a worker that is gone; `None` when somebody else was first or the worker came back.
pub async fn take_over(tx: Tx<'_>, id: RunId, old_token: Uuid, lease: &Lease<'_>) -> Result<Option<RunRow>> {
    Ok(on!(tx, c => sqlx::query_as(TAKE_OVER).bind(id.0).bind(old_token).bind(lease.owner).bind(lease.token).bind(lease.until.0).fetch_optional(c).await)?)
}

/// What asking to cancel did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It had not begun and is cancelled now.
    AtOnce,
    /// Its worker stops it and cleans up.
    Asked,
    /// It has ended, or there is no such run.
    NotLive,
}

/// Cancels a run that has not begun, or asks the worker of one that has.
pub async fn cancel(mut tx: Tx<'_>, id: RunId, reason: &str, now: Timestamp) -> Result<Cancelled> {
    let cancelled = RunState::Queued.after(RunEvent::Cancel).map_err(illegal)?;
    let mut done = Cancelled::NotLive;
    for (sql, what) in [(CANCEL_QUEUED, Cancelled::AtOnce), (CANCEL_BEGUN, Cancelled::Asked)] {
        let rows = on!(tx.by_ref(), c => sqlx::query(sql).bind(id.0).bind(now.0).bind(reason).execute(c).await.map(|r| r.rows_affected()))?;
        if rows == 1 {
            done = what;
            break;
        }
    }
    if done == Cancelled::AtOnce {
        ticks::settle(tx.by_ref(), id, cancelled).await?;
    }
    if done != Cancelled::NotLive {
        notify(tx.by_ref(), RUN_CHANNEL, id).await?;
        notify(tx, QUEUE_CHANNEL, id).await?;
    }
    Ok(done)
}

/// Running runs that take longer than they may and were not asked to stop yet, with their maximum in seconds.
pub async fn past_deadline(tx: Tx<'_>, now: Timestamp, limit: i64) -> Result<Vec<(RunId, i64)>> {
    let rows: Vec<(Uuid, i64)> = on!(tx, c => sqlx::query_as(PAST_DEADLINE).bind(now.0).bind(limit).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|(id, max)| (RunId(id), max)).collect())
}

/// When the next queued run that is not due yet will be.
pub async fn next_run_at(tx: Tx<'_>, now: Timestamp) -> Result<Option<Timestamp>> {
    Ok(on!(tx, c => sqlx::query_scalar::<_, Option<i64>>(NEXT_RUN_AT).bind(now.0).fetch_one(c).await)?.map(Timestamp))
}

/// Tells the other processes on PostgreSQL, when the transaction commits. SQLite has no others that could listen.
pub(crate) async fn notify(tx: Tx<'_>, channel: &str, id: RunId) -> Result<()> {
    if let Tx::Pg(c) = tx {
        sqlx::query(NOTIFY_PG).bind(channel).bind(id.to_string()).execute(c).await?;
    }
    Ok(())
}

fn illegal(e: InvalidTransition) -> StoreError {
    StoreError::Unreadable { column: "run.state", value: e.to_string() }
}
