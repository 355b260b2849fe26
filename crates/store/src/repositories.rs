//! Rows of repositories: where backups live and how they are opened.
//!
//! Lives here: their SQL. May not: opening them, secrets (only references to them are stored).

use std::collections::BTreeMap;

use domain::{id::RepositoryId, instance::Credential, tamper::Findings, units::Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, Tx, ids::NewId, on, origins::Origin};

statements! {
    FIND = "SELECT * FROM repository WHERE id = $1";
    FIND_BY_NAME = "SELECT * FROM repository WHERE name = $1";
    LIST = "SELECT * FROM repository WHERE removed_at IS NULL ORDER BY name";
    /// At another location lies another repository, or the same one: the next backup tells.
    UPSERT = "INSERT INTO repository (id, name, location, options, password, max_parallel, read_all_within_s, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $8, $7, $7) \
        ON CONFLICT (name) DO UPDATE SET restic_id = CASE WHEN repository.location = excluded.location THEN repository.restic_id ELSE NULL END, \
        credential = CASE WHEN repository.location = excluded.location AND repository.options = excluded.options AND repository.password = excluded.password \
        THEN repository.credential ELSE NULL END, looked_at = NULL, \
        location = excluded.location, options = excluded.options, password = excluded.password, \
        max_parallel = excluded.max_parallel, read_all_within_s = excluded.read_all_within_s, updated_at = excluded.updated_at, removed_at = NULL RETURNING id";
    SET_SIZE = "UPDATE repository SET restic_id = COALESCE(restic_id, $2), size_bytes = COALESCE($3, size_bytes), snapshots_read_at = $4 WHERE id = $1";
    SET_PRUNED = "UPDATE repository SET pruned_at = $2, marked_bytes = $3, size_bytes = $4 WHERE id = $1";
    SET_CHECKED = "UPDATE repository SET checked_at = $2, check_state = $3 WHERE id = $1";
    SET_DATA_CHECKED = "UPDATE repository SET checked_at = $2, check_state = $3, data_checked_at = $2 WHERE id = $1";
    SET_READ = "UPDATE repository SET packs = $2, packs_unread = $3, reading_waits_since = $4, data_read_at = COALESCE($5, data_read_at) WHERE id = $1";
    SET_TAMPER_TEST = "UPDATE repository SET tamper_test = $2, tamper_tested_at = $3 WHERE id = $1";
    CLOUDS = "SELECT * FROM repository WHERE removed_at IS NULL AND location LIKE 'openstack+%' ORDER BY name";
    /// Compare and swap: of several processes one looks.
    TAKE = "UPDATE repository SET looked_at = $3 WHERE id = $1 AND COALESCE(looked_at, -1) = $2 AND removed_at IS NULL";
    LOOK_AGAIN = "UPDATE repository SET looked_at = NULL WHERE id = $1";
    /// What was found with former settings does not hold for those of now.
    SET_CREDENTIAL = "UPDATE repository SET credential = $2, restic_id = COALESCE(restic_id, $3) WHERE id = $1 AND updated_at = $4";
    MEASURE = "INSERT INTO repository_size (repository_id, hour_at, measured_at, size_bytes, snapshot_bytes, snapshots) \
        SELECT r.id, $2, $3, r.size_bytes, CAST(COALESCE((SELECT SUM(s.bytes) FROM snapshot s WHERE s.repository_id = r.id AND s.gone_at IS NULL), 0) AS BIGINT), \
        (SELECT COUNT(*) FROM snapshot s WHERE s.repository_id = r.id AND s.gone_at IS NULL) FROM repository r WHERE r.id = $1 AND r.size_bytes IS NOT NULL \
        ON CONFLICT (repository_id, hour_at) DO UPDATE SET measured_at = excluded.measured_at, size_bytes = excluded.size_bytes, \
        snapshot_bytes = excluded.snapshot_bytes, snapshots = excluded.snapshots";
    SIZES = "SELECT measured_at, size_bytes, snapshot_bytes, snapshots FROM repository_size WHERE repository_id = $1 AND hour_at >= $2 ORDER BY hour_at DESC LIMIT $3";
    FIRST_SIZE = "SELECT measured_at, size_bytes, snapshot_bytes, snapshots FROM repository_size WHERE repository_id = $1 AND hour_at >= $2 ORDER BY hour_at LIMIT 1";
    USES = "SELECT service.name AS service_name, service.title AS service_title, source.name AS source_name, source.id AS source_id FROM source \
        JOIN service ON service.id = source.service_id WHERE source.repository_id = $1 AND source.removed_at IS NULL AND service.removed_at IS NULL \
        ORDER BY service.title, service.name, source.position, source.name LIMIT $2";
    KEPT = "SELECT service.title AS service_title, source.name AS source_name, item.name AS item_name, snapshot.id AS snapshot_id, snapshot.restic_id AS restic_id, \
        snapshot.taken_at AS taken_at, item.id AS item_id FROM item JOIN source ON source.id = item.source_id JOIN service ON service.id = item.service_id \
        JOIN snapshot ON snapshot.id = item.last_snapshot_id WHERE source.repository_id = $1 AND snapshot.repository_id = $1 AND snapshot.gone_at IS NULL AND item.id > $2 \
        ORDER BY item.id LIMIT $3";
}

/// One measurement an hour is kept; in microseconds.
const HOUR: i64 = 3_600_000_000;

/// Where a secret is read from. The secret itself is never stored here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretRef {
    /// A file whose first line is the secret.
    File(String),
    /// A variable of the server's environment.
    Env(String),
    /// Encrypted with the server's key; see `ops::seal`.
    Sealed(String),
}

/// How the storage is reached: plain options and references to credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageOptions {
    /// `endpoint`, `region`, `allow_http`, `access_key_id`; of a cloud what `ops::clouds` lists.
    #[serde(default)]
    pub plain: BTreeMap<String, String>,
    /// `secret_access_key`, `session_token`, also `access_key_id` where it comes from a file or the environment.
    #[serde(default)]
    pub secret: BTreeMap<String, SecretRef>,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct RepositoryRow {
    pub id: Uuid,
    pub name: String,
    pub location: String,
    pub options: Json<StorageOptions>,
    pub password: Json<SecretRef>,
    /// The repository's own id, known after the first backup into it. No other one is accepted there, and none is made,
    /// until the configuration names another location. Of a cloud, the id of its project.
    pub restic_id: Option<String>,
    pub size_bytes: Option<i64>,
    pub snapshots_read_at: Option<i64>,
    pub checked_at: Option<i64>,
    pub check_state: Option<String>,
    pub data_checked_at: Option<i64>,
    pub created_at: i64,
    pub updated_at: i64,
    pub removed_at: Option<i64>,
    /// When a prune was last through.
    pub pruned_at: Option<i64>,
    /// Bytes in packs that no snapshot needs and that wait for their deletion.
    pub marked_bytes: Option<i64>,
    /// Runs at a time that use it; `None` where nothing limits them.
    pub max_parallel: Option<i64>,
    /// Every pack is read within so many seconds; `None` where nobody asked for it.
    pub read_all_within_s: Option<i64>,
    /// When a check last read packs, all or some.
    pub data_read_at: Option<i64>,
    pub packs: Option<i64>,
    /// Packs that were never read, or were found damaged.
    pub packs_unread: Option<i64>,
    /// Since when the pack waits that has waited longest for its next reading.
    pub reading_waits_since: Option<i64>,
    /// The newest tamper test.
    pub tamper_test: Option<Json<Findings>>,
    pub tamper_tested_at: Option<i64>,
    /// Of a cloud: what was last seen of the credential that it is reached with.
    pub credential: Option<Json<Credential>>,
    /// Of a cloud: when a process last began to look at it; `None` where somebody is to look now.
    pub looked_at: Option<i64>,
    #[sqlx(flatten)]
    pub origin: Origin,
}

impl RepositoryRow {
    pub const fn id(&self) -> RepositoryId {
        RepositoryId(self.id)
    }
}

/// A repository as configuration gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRepository {
    pub name: String,
    pub location: String,
    pub options: StorageOptions,
    pub password: SecretRef,
    /// Runs at a time that may use it.
    pub max_parallel: Option<i64>,
    /// Every pack is read within so many seconds.
    pub read_all_within_s: Option<i64>,
}

/// One measurement of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct SizeRow {
    pub measured_at: i64,
    /// What it takes on its storage.
    pub size_bytes: i64,
    /// What its snapshots would take if each were restored.
    pub snapshot_bytes: i64,
    pub snapshots: i64,
}

/// A source that is backed up into a repository.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct UseRow {
    pub service_name: String,
    pub service_title: String,
    pub source_name: String,
    pub source_id: Uuid,
}

/// The newest snapshot of an item in a repository.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct KeptRow {
    pub service_title: String,
    pub source_name: String,
    pub item_name: String,
    pub snapshot_id: Uuid,
    pub restic_id: String,
    pub taken_at: i64,
    pub item_id: Uuid,
}

pub async fn find(tx: Tx<'_>, id: RepositoryId) -> Result<Option<RepositoryRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(id.0).fetch_optional(c).await)?)
}

/// Also finds one that was removed from the configuration.
pub async fn find_by_name(tx: Tx<'_>, name: &str) -> Result<Option<RepositoryRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND_BY_NAME).bind(name).fetch_optional(c).await)?)
}

/// All that are configured. There are few of them: they come in one piece.
pub async fn list(tx: Tx<'_>) -> Result<Vec<RepositoryRow>> {
    Ok(on!(tx, c => sqlx::query_as(LIST).fetch_all(c).await)?)
}

/// All clouds that are configured. There are few of them: they come in one piece.
pub async fn clouds(tx: Tx<'_>) -> Result<Vec<RepositoryRow>> {
    Ok(on!(tx, c => sqlx::query_as(CLOUDS).fetch_all(c).await)?)
}

/// Takes the turn to look at a cloud; `false` where another process took it since `row` was read.
pub async fn take(tx: Tx<'_>, row: &RepositoryRow, now: Timestamp) -> Result<bool> {
    let seen = row.looked_at.unwrap_or(-1);
    Ok(on!(tx, c => sqlx::query(TAKE).bind(row.id).bind(seen).bind(now.0).execute(c).await.map(|r| r.rows_affected() == 1))?)
}

/// Lets somebody look at a cloud now.
pub async fn look_again(tx: Tx<'_>, id: RepositoryId) -> Result<()> {
    on!(tx, c => sqlx::query(LOOK_AGAIN).bind(id.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Records what a look at a cloud found, and its project where it is known; `false` where its settings are others now.
pub async fn set_credential(tx: Tx<'_>, row: &RepositoryRow, found: &Credential, project: Option<&str>) -> Result<bool> {
    Ok(on!(tx, c => sqlx::query(SET_CREDENTIAL).bind(row.id).bind(Json(found)).bind(project).bind(row.updated_at)
        .execute(c).await.map(|r| r.rows_affected() == 1))?)
}

pub async fn upsert(tx: Tx<'_>, new: &NewRepository, now: Timestamp) -> Result<RepositoryId> {
    let id = on!(tx, c => sqlx::query_scalar::<_, Uuid>(UPSERT).bind(RepositoryId::new().0).bind(&new.name).bind(&new.location)
        .bind(Json(&new.options)).bind(Json(&new.password)).bind(new.max_parallel).bind(now.0)
        .bind(new.read_all_within_s).fetch_one(c).await)?;
    Ok(RepositoryId(id))
}

/// What a pass over the repository learned. `None` leaves the old value; an id that is known stays.
pub async fn set_size(tx: Tx<'_>, id: RepositoryId, restic_id: Option<&str>, size_bytes: Option<i64>, now: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(SET_SIZE).bind(id.0).bind(restic_id).bind(size_bytes).bind(now.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Records a prune, with the bytes that wait for their deletion and the size that is left.
pub async fn set_pruned(tx: Tx<'_>, id: RepositoryId, marked_bytes: i64, size_bytes: i64, now: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(SET_PRUNED).bind(id.0).bind(now.0).bind(marked_bytes).bind(size_bytes).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Records a check: `state` is `ok` or `damaged`; `data` says that every pack was read.
pub async fn set_checked(tx: Tx<'_>, id: RepositoryId, state: &str, data: bool, now: Timestamp) -> Result<()> {
    let sql = if data { SET_DATA_CHECKED } else { SET_CHECKED };
    on!(tx, c => sqlx::query(sql).bind(id.0).bind(now.0).bind(state).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Records what a check knows of the reading of packs. `read_at` is given where it has read some.
pub async fn set_read(tx: Tx<'_>, id: RepositoryId, packs: i64, unread: i64, waits_since: Option<Timestamp>, read_at: Option<Timestamp>) -> Result<()> {
    on!(tx, c => sqlx::query(SET_READ).bind(id.0).bind(packs).bind(unread).bind(waits_since.map(|t| t.0)).bind(read_at.map(|t| t.0)).execute(c).await.map(|_| ()))?;
    Ok(())
}

pub async fn set_tamper_test(tx: Tx<'_>, id: RepositoryId, findings: &Findings, now: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(SET_TAMPER_TEST).bind(id.0).bind(Json(findings)).bind(now.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Keeps the present size with the sums over its snapshots as the measurement of this hour.
pub async fn measure(tx: Tx<'_>, id: RepositoryId, now: Timestamp) -> Result<()> {
    let hour = now.0 - now.0.rem_euclid(HOUR);
    on!(tx, c => sqlx::query(MEASURE).bind(id.0).bind(hour).bind(now.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Measurements at or after `since`, the newest first.
pub async fn sizes(tx: Tx<'_>, id: RepositoryId, since: Timestamp, limit: i64) -> Result<Vec<SizeRow>> {
    Ok(on!(tx, c => sqlx::query_as(SIZES).bind(id.0).bind(since.0 - since.0.rem_euclid(HOUR)).bind(limit).fetch_all(c).await)?)
}

/// The first measurement at or after `since`.
pub async fn first_size(tx: Tx<'_>, id: RepositoryId, since: Timestamp) -> Result<Option<SizeRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIRST_SIZE).bind(id.0).bind(since.0 - since.0.rem_euclid(HOUR)).fetch_optional(c).await)?)
}

/// The sources that are backed up into it, by their service.
pub async fn uses(tx: Tx<'_>, id: RepositoryId, limit: i64) -> Result<Vec<UseRow>> {
    Ok(on!(tx, c => sqlx::query_as(USES).bind(id.0).bind(limit).fetch_all(c).await)?)
}

/// The newest snapshot of each item in it, by the item's id, after that id.
pub async fn kept(tx: Tx<'_>, id: RepositoryId, after: Uuid, limit: i64) -> Result<Vec<KeptRow>> {
    Ok(on!(tx, c => sqlx::query_as(KEPT).bind(id.0).bind(after).bind(limit).fetch_all(c).await)?)
}
