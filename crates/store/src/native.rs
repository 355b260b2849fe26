//! Native snapshots beside what all snapshots have: those of a cloud or an instance, and losing them.
//!
//! Lives here: their SQL. May not: asking a cloud; completing a pending one (`snapshots`).

use domain::{
    id::{ItemId, RepositoryId, SnapshotId},
    units::Timestamp,
};
use uuid::Uuid;

use crate::{Result, Tx, on, snapshots::SnapshotRow};

statements! {
    OF_ITEM = "SELECT * FROM snapshot WHERE item_id = $1 AND repository_id = $2 AND gone_at IS NULL AND native IS NOT NULL AND state <> 'pending' \
        ORDER BY taken_at DESC, id DESC LIMIT 10000";
    /// What a run is about to delete is that run's to record.
    OF_CLOUD = "SELECT * FROM snapshot WHERE repository_id = $1 AND id > $2 AND gone_at IS NULL AND native IS NOT NULL AND state <> 'pending' \
        AND gone_run_id IS NULL ORDER BY id LIMIT $3";
    RETURNED = "SELECT s.id FROM snapshot s JOIN run r ON r.id = s.run_id WHERE s.item_id = $1 AND s.repository_id = $2 AND s.gone_at IS NULL \
        AND r.kind = 'offsite_return'";
    VANISHED = "UPDATE snapshot SET gone_at = $2, gone_why = $3 WHERE id = $1 AND gone_at IS NULL";
    BROKEN = "UPDATE snapshot SET state = 'partial', errors = $2 WHERE id = $1 AND gone_at IS NULL AND state NOT IN ('pending', 'partial')";
}

/// The native snapshots of an item that a cloud holds, the newest first; without those that are pending.
pub async fn of_item(tx: Tx<'_>, item: ItemId, repository: RepositoryId) -> Result<Vec<SnapshotRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_ITEM).bind(item.0).bind(repository.0).fetch_all(c).await)?)
}

/// At most `limit` native snapshots that a cloud is known to hold, by id after `after`.
pub async fn of_cloud(tx: Tx<'_>, repository: RepositoryId, after: Uuid, limit: i64) -> Result<Vec<SnapshotRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_CLOUD).bind(repository.0).bind(after).bind(limit).fetch_all(c).await)?)
}

/// Those of an item's that were brought back into the cloud from an offsite copy.
pub async fn returned(tx: Tx<'_>, item: ItemId, repository: RepositoryId) -> Result<Vec<Uuid>> {
    Ok(on!(tx, c => sqlx::query_scalar(RETURNED).bind(item.0).bind(repository.0).fetch_all(c).await)?)
}

/// Records that a snapshot is gone although no run here has deleted it; `false` where it was gone before.
pub async fn vanished(tx: Tx<'_>, id: SnapshotId, why: &str, now: Timestamp) -> Result<bool> {
    Ok(on!(tx, c => sqlx::query(VANISHED).bind(id.0).bind(now.0).bind(why).execute(c).await.map(|r| r.rows_affected() == 1))?)
}

/// Records that so many pieces of a snapshot are missing.
pub async fn broken(tx: Tx<'_>, id: SnapshotId, pieces: i64) -> Result<bool> {
    Ok(on!(tx, c => sqlx::query(BROKEN).bind(id.0).bind(pieces).execute(c).await.map(|r| r.rows_affected() == 1))?)
}
