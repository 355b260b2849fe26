//! Rows of orphans: what lies in a cloud and is named by no record.
//!
//! Lives here: their SQL. May not: saying what is one (`domain::instance::orphan`), asking a cloud.
//! Invariant: whose deletion was ordered stays until the cloud is rid of it, or the order is taken back.

use domain::{
    id::{OrphanId, RepositoryId, SnapshotId},
    instance::{NativeSnapshot, OrphanWhy},
    units::Timestamp,
};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, StoreError, Tx, ids::NewId, on, snapshots::SnapshotRow};

statements! {
    FIND = "SELECT * FROM orphan WHERE repository_id = $1 AND id = $2";
    /// Whoever wants one to be deleted has seen what it was made of then.
    SEE = "INSERT INTO orphan (id, repository_id, unit_id, name, native, bytes, made_at, ready, why, detail, snapshot_id, found_at, seen_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12) \
        ON CONFLICT (repository_id, unit_id) DO UPDATE SET name = excluded.name, native = excluded.native, bytes = excluded.bytes, made_at = excluded.made_at, \
        ready = excluded.ready, why = excluded.why, detail = excluded.detail, snapshot_id = excluded.snapshot_id, \
        seen_at = CASE WHEN orphan.seen_at > excluded.seen_at THEN orphan.seen_at ELSE excluded.seen_at END WHERE orphan.delete_at IS NULL";
    UNSEEN = "DELETE FROM orphan WHERE repository_id = $1 AND seen_at < $2 AND delete_at IS NULL";
    TOLD = "SELECT * FROM orphan WHERE repository_id = $1 AND why <> 'foreign' AND (made_at, id) < ($2, $3) ORDER BY made_at DESC, id DESC LIMIT $4";
    ALL = "SELECT * FROM orphan WHERE repository_id = $1 AND id > $2 ORDER BY id LIMIT $3";
    COUNT = "SELECT count(*) FROM orphan WHERE repository_id = $1 AND why <> 'foreign'";
    ORDER_DELETE = "UPDATE orphan SET delete_at = $3, delete_by = $4, delete_reason = $5, trouble = NULL WHERE repository_id = $1 AND id = $2 AND delete_at IS NULL";
    TAKE_BACK = "UPDATE orphan SET delete_at = NULL, delete_by = NULL, delete_reason = NULL, trouble = $2 WHERE id = $1 AND delete_at IS NOT NULL";
    TROUBLE = "UPDATE orphan SET trouble = $2 WHERE id = $1";
    ORDERED = "SELECT * FROM orphan WHERE repository_id = $1 AND delete_at IS NOT NULL ORDER BY delete_at, id LIMIT $2";
    REMOVE = "DELETE FROM orphan WHERE id = $1";
    ADOPTED = "DELETE FROM orphan WHERE id = $1 AND delete_at IS NULL";
    /// Also what is pending or about to go: it is a record's.
    CLAIMS = "SELECT * FROM snapshot WHERE repository_id = $1 AND id > $2 AND gone_at IS NULL AND native IS NOT NULL ORDER BY id LIMIT $3";
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct OrphanRow {
    pub id: Uuid,
    pub repository_id: Uuid,
    /// The cloud's id of the whole.
    pub unit_id: String,
    pub name: String,
    /// What it is made of, with what is known of its instance.
    pub native: Json<NativeSnapshot>,
    pub bytes: i64,
    /// When the cloud says that it was made.
    pub made_at: i64,
    /// All of its pieces are finished.
    pub ready: bool,
    /// An `OrphanWhy` as text.
    pub why: String,
    /// The same in a sentence.
    pub detail: String,
    /// The record whose parts these are, where others of them are gone.
    pub snapshot_id: Option<Uuid>,
    pub found_at: i64,
    pub seen_at: i64,
    /// When somebody wanted it to be deleted.
    pub delete_at: Option<i64>,
    pub delete_by: Option<String>,
    pub delete_reason: Option<String>,
    /// Why it could not be deleted.
    pub trouble: Option<String>,
}

impl OrphanRow {
    pub const fn id(&self) -> OrphanId {
        OrphanId(self.id)
    }

    pub fn why(&self) -> Result<OrphanWhy> {
        OrphanWhy::parse(&self.why).ok_or_else(|| StoreError::Unreadable { column: "orphan.why", value: self.why.clone() })
    }
}

/// What one look found.
#[derive(Clone, Debug)]
pub struct NewOrphan {
    pub native: NativeSnapshot,
    pub made_at: Timestamp,
    pub ready: bool,
    pub why: OrphanWhy,
    pub detail: String,
    /// The record whose parts these are.
    pub snapshot: Option<SnapshotId>,
}

pub async fn find(tx: Tx<'_>, repository: RepositoryId, id: OrphanId) -> Result<Option<OrphanRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(repository.0).bind(id.0).fetch_optional(c).await)?)
}

/// Records that the cloud lists it now; makes it when it is new.
pub async fn see(tx: Tx<'_>, repository: RepositoryId, new: &NewOrphan, now: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(SEE).bind(OrphanId::new().0).bind(repository.0).bind(new.native.unit_id()).bind(&new.native.name).bind(Json(&new.native))
        .bind(new.native.bytes()).bind(new.made_at.0).bind(new.ready).bind(new.why.as_str()).bind(&new.detail).bind(new.snapshot.map(|s| s.0)).bind(now.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Forgets those that the look at `now` has not found; whose deletion was ordered is left to whoever deletes it.
pub async fn unseen(tx: Tx<'_>, repository: RepositoryId, now: Timestamp) -> Result<u64> {
    Ok(on!(tx, c => sqlx::query(UNSEEN).bind(repository.0).bind(now.0).execute(c).await.map(|r| r.rows_affected()))?)
}

/// At most `limit` that are told of, the newest first, before the key.
pub async fn told(tx: Tx<'_>, repository: RepositoryId, before: (Timestamp, OrphanId), limit: i64) -> Result<Vec<OrphanRow>> {
    Ok(on!(tx, c => sqlx::query_as(TOLD).bind(repository.0).bind(before.0.0).bind(before.1.0).bind(limit).fetch_all(c).await)?)
}

/// At most `limit` by id after `after`, also those that are somebody else's.
pub async fn all(tx: Tx<'_>, repository: RepositoryId, after: Uuid, limit: i64) -> Result<Vec<OrphanRow>> {
    Ok(on!(tx, c => sqlx::query_as(ALL).bind(repository.0).bind(after).bind(limit).fetch_all(c).await)?)
}

/// How many are told of.
pub async fn count(tx: Tx<'_>, repository: RepositoryId) -> Result<i64> {
    Ok(on!(tx, c => sqlx::query_scalar(COUNT).bind(repository.0).fetch_one(c).await)?)
}

/// Orders its deletion; `false` where that was ordered before, or it is gone.
pub async fn order_delete(tx: Tx<'_>, repository: RepositoryId, id: OrphanId, by: &str, reason: &str, now: Timestamp) -> Result<bool> {
    Ok(on!(tx, c => sqlx::query(ORDER_DELETE).bind(repository.0).bind(id.0).bind(now.0).bind(by).bind(reason)
        .execute(c).await.map(|r| r.rows_affected() == 1))?)
}

/// Those whose deletion was ordered, the oldest order first.
pub async fn ordered(tx: Tx<'_>, repository: RepositoryId, limit: i64) -> Result<Vec<OrphanRow>> {
    Ok(on!(tx, c => sqlx::query_as(ORDERED).bind(repository.0).bind(limit).fetch_all(c).await)?)
}

/// It could not be deleted, and is not tried again until somebody orders it anew.
pub async fn take_back(tx: Tx<'_>, id: OrphanId, trouble: &str) -> Result<bool> {
    Ok(on!(tx, c => sqlx::query(TAKE_BACK).bind(id.0).bind(trouble).execute(c).await.map(|r| r.rows_affected() == 1))?)
}

/// Says why it is still there; it is tried again.
pub async fn trouble(tx: Tx<'_>, id: OrphanId, trouble: &str) -> Result<()> {
    on!(tx, c => sqlx::query(TROUBLE).bind(id.0).bind(trouble).execute(c).await.map(|_| ()))?;
    Ok(())
}

pub async fn remove(tx: Tx<'_>, id: OrphanId) -> Result<bool> {
    Ok(on!(tx, c => sqlx::query(REMOVE).bind(id.0).execute(c).await.map(|r| r.rows_affected() == 1))?)
}

/// Takes it out because a record names it now; `false` where it is gone or its deletion was ordered meanwhile.
pub async fn adopted(tx: Tx<'_>, id: OrphanId) -> Result<bool> {
    Ok(on!(tx, c => sqlx::query(ADOPTED).bind(id.0).execute(c).await.map(|r| r.rows_affected() == 1))?)
}

/// At most `limit` records that say what lies in the cloud, by id after `after`.
pub async fn claims(tx: Tx<'_>, repository: RepositoryId, after: Uuid, limit: i64) -> Result<Vec<SnapshotRow>> {
    Ok(on!(tx, c => sqlx::query_as(CLAIMS).bind(repository.0).bind(after).bind(limit).fetch_all(c).await)?)
}
