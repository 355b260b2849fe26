//! What the mass-change guard reads and marks: measures of snapshots, and those in doubt (R21).
//!
//! Lives here: its SQL on snapshots and holds. May not: judging (`domain::guard`), deciding (`ops::holds`).
//! Invariant: the mark of a snapshot names its hold for ever, unless a person vouches for the snapshot.

use domain::{
    guard::{Measure, Past},
    id::{HoldId, ItemId, RunId, ServiceId, SnapshotId},
    units::Timestamp,
};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, Tx, on};

statements! {
    /// What was bad is no measure for what is usual.
    HISTORY = "SELECT s.measure, s.files, s.bytes, s.state, hold.released_at AS accepted_at FROM snapshot s LEFT JOIN hold ON hold.id = s.doubt_hold_id \
        WHERE s.item_id = $1 AND (s.taken_at < $2 OR (s.taken_at = $2 AND s.id < $3)) AND (hold.id IS NULL OR hold.kept_at IS NULL) \
        ORDER BY s.taken_at DESC, s.id DESC LIMIT $4";
    OF_RUN = "SELECT s.id, s.item_id, s.taken_at, s.state, s.measure, s.doubt_hold_id, item.name AS item_name FROM snapshot s JOIN item ON item.id = s.item_id \
        WHERE s.run_id = $1 AND s.id > $2 ORDER BY s.id LIMIT $3";
    MARK = "UPDATE snapshot SET doubt_hold_id = $2 WHERE id = $1";
    VOUCH = "UPDATE snapshot SET doubt_hold_id = NULL WHERE doubt_hold_id = $1 AND id IN (SELECT item.last_snapshot_id FROM item)";
    KEPT = "UPDATE hold SET kept_at = $2 WHERE id = $1";
    OF_ITEM_STANDING = "SELECT hold.id FROM hold WHERE hold.item_id = $1 AND hold.kind = 'guard' AND hold.released_at IS NULL ORDER BY hold.created_at LIMIT 1";
    OF_SERVICE_STANDING = "SELECT hold.id FROM hold WHERE hold.service_id = $1 AND hold.item_id IS NULL AND hold.kind = 'guard' AND hold.released_at IS NULL \
        AND (hold.decision IS NULL OR hold.run_id = $2) ORDER BY hold.created_at LIMIT 1";
    OF_RUN_HOLDS = "SELECT hold.id, hold.item_id, item.name AS item_name, hold.reason FROM hold LEFT JOIN item ON item.id = hold.item_id \
        WHERE hold.run_id = $1 AND hold.kind = 'guard' ORDER BY hold.created_at, hold.id LIMIT $2";
    UNDECIDED = "SELECT service_id, count(*) AS holds, min(created_at) AS since FROM hold WHERE kind = 'guard' AND released_at IS NULL AND decision IS NULL GROUP BY service_id";
    MARKED = "SELECT count(*) FROM snapshot WHERE doubt_hold_id = $1 AND gone_at IS NULL";
    LAST_GOOD = "SELECT s.id, s.restic_id, s.taken_at FROM snapshot s LEFT JOIN hold ON hold.id = s.doubt_hold_id WHERE s.item_id = $1 AND s.gone_at IS NULL \
        AND (hold.id IS NULL OR (hold.kept_at IS NULL AND hold.released_at IS NOT NULL)) ORDER BY s.taken_at DESC, s.id DESC LIMIT 1";
    /// The last good snapshots of the items that a hold has snapshots of.
    LAST_GOOD_OF_HOLD = "SELECT s.id, s.restic_id, s.taken_at FROM snapshot s WHERE s.gone_at IS NULL AND s.doubt_hold_id IS NULL \
        AND s.item_id IN (SELECT bad.item_id FROM snapshot bad WHERE bad.doubt_hold_id = $1) \
        AND s.taken_at = (SELECT max(o.taken_at) FROM snapshot o WHERE o.item_id = s.item_id AND o.gone_at IS NULL AND o.doubt_hold_id IS NULL) ORDER BY s.item_id, s.id LIMIT $2";
}

#[derive(sqlx::FromRow)]
struct PastRow {
    measure: Option<Json<Measure>>,
    files: i64,
    bytes: i64,
    state: String,
    accepted_at: Option<i64>,
}

/// At most `limit` snapshots of an item before the key, the oldest first; those that were found bad are left out.
/// Also those that were forgotten: what they changed is history.
pub async fn history(tx: Tx<'_>, item: ItemId, before: (Timestamp, SnapshotId), limit: i64) -> Result<Vec<Past>> {
    let rows: Vec<PastRow> = on!(tx, c => sqlx::query_as(HISTORY).bind(item.0).bind(before.0.0).bind(before.1.0).bind(limit).fetch_all(c).await)?;
    let past = rows.into_iter().rev().map(|r| Past {
        measure: r.measure.map_or_else(|| Measure { files: r.files, bytes: r.bytes, ..Measure::default() }, |m| m.0),
        partial: r.state == "partial",
        accepted: r.accepted_at.is_some(),
    });
    Ok(past.collect())
}

/// A snapshot that a run took, as the guard judges it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct TakenRow {
    pub id: Uuid,
    pub item_id: Uuid,
    pub taken_at: i64,
    pub state: String,
    pub measure: Option<Json<Measure>>,
    /// A hold that stands and that it came under.
    pub doubt_hold_id: Option<Uuid>,
    pub item_name: String,
}

/// At most `limit` snapshots of a run after the id `after`.
pub async fn of_run(tx: Tx<'_>, run: RunId, after: Uuid, limit: i64) -> Result<Vec<TakenRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_RUN).bind(run.0).bind(after).bind(limit).fetch_all(c).await)?)
}

/// Marks a snapshot as one that is in question by a hold.
pub async fn mark(tx: Tx<'_>, snapshot: SnapshotId, hold: HoldId) -> Result<()> {
    on!(tx, c => sqlx::query(MARK).bind(snapshot.0).bind(hold.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Takes the mark of the hold from the newest snapshot of each item: a person says that the item is in order again.
pub async fn vouch(tx: Tx<'_>, hold: HoldId) -> Result<u64> {
    Ok(on!(tx, c => sqlx::query(VOUCH).bind(hold.0).execute(c).await.map(|r| r.rows_affected()))?)
}

/// Records for good that the guard was right.
pub async fn kept(tx: Tx<'_>, hold: HoldId, now: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(KEPT).bind(hold.0).bind(now.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// The guard's hold that stands over this very item.
pub async fn standing_of_item(tx: Tx<'_>, item: ItemId) -> Result<Option<HoldId>> {
    Ok(on!(tx, c => sqlx::query_scalar::<_, Uuid>(OF_ITEM_STANDING).bind(item.0).fetch_optional(c).await)?.map(HoldId))
}

/// The guard's hold over the whole service that nobody has decided on, or that this run placed.
pub async fn standing_of_service(tx: Tx<'_>, service: ServiceId, run: RunId) -> Result<Option<HoldId>> {
    Ok(on!(tx, c => sqlx::query_scalar::<_, Uuid>(OF_SERVICE_STANDING).bind(service.0).bind(run.0).fetch_optional(c).await)?.map(HoldId))
}

/// A hold that a run placed.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct PlacedRow {
    pub id: Uuid,
    pub item_id: Option<Uuid>,
    pub item_name: Option<String>,
    pub reason: String,
}

/// At most `limit` holds that a run placed.
pub async fn placed_by(tx: Tx<'_>, run: RunId, limit: i64) -> Result<Vec<PlacedRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_RUN_HOLDS).bind(run.0).bind(limit).fetch_all(c).await)?)
}

/// Guards' holds of one service on which nobody has decided.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub struct UndecidedRow {
    pub service_id: Uuid,
    pub holds: i64,
    pub since: i64,
}

/// The services with holds on which nobody has decided.
pub async fn undecided(tx: Tx<'_>) -> Result<Vec<UndecidedRow>> {
    Ok(on!(tx, c => sqlx::query_as(UNDECIDED).fetch_all(c).await)?)
}

/// How many snapshots that are there a hold has marked.
pub async fn marked(tx: Tx<'_>, hold: HoldId) -> Result<i64> {
    Ok(on!(tx, c => sqlx::query_scalar(MARKED).bind(hold.0).fetch_one(c).await)?)
}

/// A snapshot against which nothing speaks.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct GoodRow {
    pub id: Uuid,
    pub restic_id: String,
    pub taken_at: i64,
}

/// The newest snapshot of an item against which nothing speaks.
pub async fn last_good(tx: Tx<'_>, item: ItemId) -> Result<Option<GoodRow>> {
    Ok(on!(tx, c => sqlx::query_as(LAST_GOOD).bind(item.0).fetch_optional(c).await)?)
}

/// At most `limit` of them for the items of a hold, those of the service in one order.
pub async fn last_good_of(tx: Tx<'_>, hold: HoldId, limit: i64) -> Result<Vec<GoodRow>> {
    Ok(on!(tx, c => sqlx::query_as(LAST_GOOD_OF_HOLD).bind(hold.0).bind(limit).fetch_all(c).await)?)
}
