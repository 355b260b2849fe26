//! Rows of clones: servers that Holdfast made of a snapshot, each with an end (R23).
//!
//! Lives here: their SQL. May not: the cloud, who may end one.
//! Invariant: a row is never deleted, and its end comes once, when the absence of what it names was proven; one that its
//! run was to take back and could not is open again.

use domain::{
    id::{CloneId, RepositoryId, RunId, ServiceId, SnapshotId, SourceId},
    instance::CloneVolume,
    units::Timestamp,
};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, Tx, ids::NewId, on};

statements! {
    FIND = "SELECT * FROM clone WHERE id = $1";
    OF_RUN = "SELECT * FROM clone WHERE run_id = $1";
    /// A step that is repeated finds its row.
    INSERT = "INSERT INTO clone (id, service_id, source_id, repository_id, snapshot_id, run_id, server_id, name, volumes, vcpus, ram_mb, disk_gb, created_at, ready_at, expires_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT (run_id) DO NOTHING";
    PAGE = "SELECT * FROM clone WHERE service_id = $1 AND ($2 = 0 OR ended_at IS NULL) AND (created_at, id) < ($3, $4) ORDER BY created_at DESC, id DESC LIMIT $5";
    SUMS = "SELECT count(*) AS clones, CAST(COALESCE(sum(vcpus), 0) AS BIGINT) AS vcpus, CAST(COALESCE(sum(ram_mb), 0) AS BIGINT) AS ram_mb, \
        CAST(COALESCE(sum(disk_gb), 0) AS BIGINT) AS disk_gb FROM clone WHERE service_id = $1 AND ended_at IS NULL";
    /// What has come to its end, what is not yet seen to run, and what nobody has looked at for long.
    DUE = "SELECT * FROM clone WHERE ended_at IS NULL AND (expires_at <= $1 OR ready_at IS NULL OR COALESCE(tended_at, created_at) <= $3) \
        AND COALESCE(tended_at, 0) <= $2 ORDER BY expires_at, id LIMIT $4";
    /// What should have ended: a try to take it away failed, or it is long past. Trouble of before its end is none of that.
    OVERDUE = "SELECT * FROM clone WHERE ended_at IS NULL AND (expires_at <= $2 OR (expires_at <= $1 AND trouble IS NOT NULL AND tended_at >= expires_at)) \
        ORDER BY expires_at, id LIMIT $3";
    /// Compare and swap: of several processes one looks after it, and none as what it was before it got more time. The first
    /// try to end it forgets the trouble of before.
    TAKE = "UPDATE clone SET tended_at = $3, trouble = CASE WHEN expires_at <= $3 AND COALESCE(tended_at, 0) < expires_at THEN NULL ELSE trouble END \
        WHERE id = $1 AND COALESCE(tended_at, -1) = $2 AND expires_at = $4 AND ended_at IS NULL";
    READY = "UPDATE clone SET ready_at = $2, trouble = $3 WHERE id = $1 AND ready_at IS NULL AND ended_at IS NULL";
    MOVE = "UPDATE clone SET expires_at = $3, ended_why = NULL WHERE id = $1 AND expires_at = $2 AND expires_at > $4 AND ended_at IS NULL";
    /// Its time is over; what looks after clones takes it away.
    END = "UPDATE clone SET expires_at = $2, ended_why = $3, tended_at = NULL WHERE id = $1 AND ended_at IS NULL AND ended_why IS NULL";
    ENDED = "UPDATE clone SET ended_at = $2, ended_why = COALESCE(ended_why, $3), trouble = NULL WHERE id = $1 AND ended_at IS NULL";
    TROUBLE = "UPDATE clone SET trouble = $2 WHERE id = $1 AND ended_at IS NULL";
    /// What its run could not take back stands, whatever was recorded before.
    LEFT = "UPDATE clone SET expires_at = $2, tended_at = $2, ended_at = NULL, ended_why = $3, trouble = $4 WHERE run_id = $1";
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct CloneRow {
    pub id: Uuid,
    pub service_id: Uuid,
    pub source_id: Option<Uuid>,
    /// The cloud that it lives in.
    pub repository_id: Uuid,
    pub snapshot_id: Option<Uuid>,
    pub run_id: Uuid,
    /// The server's id in the cloud. Empty where a run could not take back what it had made: that is found by its name.
    pub server_id: String,
    pub name: String,
    pub volumes: Json<Vec<CloneVolume>>,
    pub vcpus: i64,
    pub ram_mb: i64,
    /// Of its flavour and its volumes together.
    pub disk_gb: i64,
    pub created_at: i64,
    /// When it was seen to run, or seen never to.
    pub ready_at: Option<i64>,
    pub expires_at: i64,
    /// When it was looked for and not found.
    pub ended_at: Option<i64>,
    /// Also set where it is to end and stands still.
    pub ended_why: Option<String>,
    /// Why it does not run, or could not be looked at; once its time is over, what stood against its end at the last try.
    pub trouble: Option<String>,
    pub tended_at: Option<i64>,
}

impl CloneRow {
    pub const fn id(&self) -> CloneId {
        CloneId(self.id)
    }
}

/// A clone as its run records it.
#[derive(Clone, Debug)]
pub struct NewClone<'a> {
    pub service: ServiceId,
    pub source: Option<SourceId>,
    pub repository: RepositoryId,
    pub snapshot: SnapshotId,
    pub run: RunId,
    pub server: &'a str,
    pub name: &'a str,
    pub volumes: &'a [CloneVolume],
    pub vcpus: i64,
    pub ram_mb: i64,
    pub disk_gb: i64,
    pub ready_at: Option<Timestamp>,
    pub expires_at: Timestamp,
}

/// What the clones that stand take together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Sums {
    pub clones: i64,
    pub vcpus: i64,
    pub ram_mb: i64,
    pub disk_gb: i64,
}

pub async fn find(tx: Tx<'_>, id: CloneId) -> Result<Option<CloneRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(id.0).fetch_optional(c).await)?)
}

pub async fn of_run(tx: Tx<'_>, run: RunId) -> Result<Option<CloneRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_RUN).bind(run.0).fetch_optional(c).await)?)
}

/// Records a clone; `false` where its run has recorded it before.
pub async fn insert(tx: Tx<'_>, new: &NewClone<'_>, now: Timestamp) -> Result<bool> {
    let rows = on!(tx, c => sqlx::query(INSERT).bind(CloneId::new().0).bind(new.service.0).bind(new.source.map(|i| i.0)).bind(new.repository.0).bind(new.snapshot.0)
        .bind(new.run.0).bind(new.server).bind(new.name).bind(Json(new.volumes)).bind(new.vcpus).bind(new.ram_mb).bind(new.disk_gb).bind(now.0)
        .bind(new.ready_at.map(|t| t.0)).bind(new.expires_at.0).execute(c).await.map(|r| r.rows_affected()))?;
    Ok(rows == 1)
}

/// At most `limit` clones of a service, the newest first, before the key `(before_at, before_id)`.
pub async fn page(tx: Tx<'_>, service: ServiceId, standing: bool, before: (Timestamp, Uuid), limit: i64) -> Result<Vec<CloneRow>> {
    let only = i64::from(standing);
    Ok(on!(tx, c => sqlx::query_as(PAGE).bind(service.0).bind(only).bind(before.0.0).bind(before.1).bind(limit).fetch_all(c).await)?)
}

pub async fn sums(tx: Tx<'_>, service: ServiceId) -> Result<Sums> {
    Ok(on!(tx, c => sqlx::query_as(SUMS).bind(service.0).fetch_one(c).await)?)
}

/// At most `limit` clones whose time is over or that are not yet seen to run, and that nobody looked after since `before`; and
/// those that nobody looked after since `long`.
pub async fn due(tx: Tx<'_>, now: Timestamp, before: Timestamp, long: Timestamp, limit: i64) -> Result<Vec<CloneRow>> {
    Ok(on!(tx, c => sqlx::query_as(DUE).bind(now.0).bind(before.0).bind(long.0).bind(limit).fetch_all(c).await)?)
}

/// At most `limit` clones whose time is over and that stand still: a try to take one away has failed, or it ended before `long`.
pub async fn overdue(tx: Tx<'_>, now: Timestamp, long: Timestamp, limit: i64) -> Result<Vec<CloneRow>> {
    Ok(on!(tx, c => sqlx::query_as(OVERDUE).bind(now.0).bind(long.0).bind(limit).fetch_all(c).await)?)
}

/// Takes the turn to look after a clone; `false` where another process took it or its end was moved since `row` was read.
pub async fn take(tx: Tx<'_>, row: &CloneRow, now: Timestamp) -> Result<bool> {
    let seen = row.tended_at.unwrap_or(-1);
    Ok(on!(tx, c => sqlx::query(TAKE).bind(row.id).bind(seen).bind(now.0).bind(row.expires_at).execute(c).await.map(|r| r.rows_affected() == 1))?)
}

/// Records that it was seen to run, or why it never does; `false` where that was recorded before.
pub async fn ready(tx: Tx<'_>, id: CloneId, trouble: Option<&str>, now: Timestamp) -> Result<bool> {
    Ok(on!(tx, c => sqlx::query(READY).bind(id.0).bind(now.0).bind(trouble).execute(c).await.map(|r| r.rows_affected() == 1))?)
}

/// Moves the end from `seen` to `until`; `false` where it is another one, or has come.
pub async fn move_end(tx: Tx<'_>, id: CloneId, seen: Timestamp, until: Timestamp, now: Timestamp) -> Result<bool> {
    Ok(on!(tx, c => sqlx::query(MOVE).bind(id.0).bind(seen.0).bind(until.0).bind(now.0).execute(c).await.map(|r| r.rows_affected() == 1))?)
}

/// Says that its time is over; `false` where it has ended or somebody has said so before.
pub async fn end(tx: Tx<'_>, id: CloneId, why: &str, now: Timestamp) -> Result<bool> {
    Ok(on!(tx, c => sqlx::query(END).bind(id.0).bind(now.0).bind(why).execute(c).await.map(|r| r.rows_affected() == 1))?)
}

/// Records that nothing of it is left.
pub async fn ended(tx: Tx<'_>, id: CloneId, why: &str, now: Timestamp) -> Result<bool> {
    Ok(on!(tx, c => sqlx::query(ENDED).bind(id.0).bind(now.0).bind(why).execute(c).await.map(|r| r.rows_affected() == 1))?)
}

/// Records what stood against the last look or the end of it; `None` where nothing does any more.
pub async fn set_trouble(tx: Tx<'_>, id: CloneId, trouble: Option<&str>) -> Result<()> {
    on!(tx, c => sqlx::query(TROUBLE).bind(id.0).bind(trouble).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Records that a run could not take back what it had made: the row, which is there, is to end and stands.
pub async fn left(tx: Tx<'_>, run: RunId, why: &str, trouble: &str, now: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(LEFT).bind(run.0).bind(now.0).bind(why).bind(trouble).execute(c).await.map(|_| ()))?;
    Ok(())
}
