//! Rows of repositories: where backups live and how they are opened.
//!
//! Lives here: their SQL. May not: opening them, secrets (only references to them are stored).

use std::collections::BTreeMap;

use domain::{id::RepositoryId, units::Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, Tx, ids::NewId, on};

statements! {
    FIND = "SELECT * FROM repository WHERE id = $1";
    FIND_BY_NAME = "SELECT * FROM repository WHERE name = $1";
    LIST = "SELECT * FROM repository WHERE removed_at IS NULL ORDER BY name";
    /// At another location lies another repository, or the same one: the next backup tells.
    UPSERT = "INSERT INTO repository (id, name, location, options, password, max_parallel, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7) \
        ON CONFLICT (name) DO UPDATE SET restic_id = CASE WHEN repository.location = excluded.location THEN repository.restic_id ELSE NULL END, \
        location = excluded.location, options = excluded.options, password = excluded.password, \
        max_parallel = excluded.max_parallel, updated_at = excluded.updated_at, removed_at = NULL RETURNING id";
    SET_SIZE = "UPDATE repository SET restic_id = COALESCE(restic_id, $2), size_bytes = COALESCE($3, size_bytes), snapshots_read_at = $4 WHERE id = $1";
    SET_PRUNED = "UPDATE repository SET pruned_at = $2, marked_bytes = $3, size_bytes = $4 WHERE id = $1";
    SET_CHECKED = "UPDATE repository SET checked_at = $2, check_state = $3 WHERE id = $1";
    SET_DATA_CHECKED = "UPDATE repository SET checked_at = $2, check_state = $3, data_checked_at = $2 WHERE id = $1";
}

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
    /// `endpoint`, `region`, `allow_http`, `access_key_id`.
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
    /// until the configuration names another location.
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

pub async fn upsert(tx: Tx<'_>, new: &NewRepository, now: Timestamp) -> Result<RepositoryId> {
    let id = on!(tx, c => sqlx::query_scalar::<_, Uuid>(UPSERT).bind(RepositoryId::new().0).bind(&new.name).bind(&new.location)
        .bind(Json(&new.options)).bind(Json(&new.password)).bind(new.max_parallel).bind(now.0).fetch_one(c).await)?;
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
