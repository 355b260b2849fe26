//! Rows of what a run did to each item.
//!
//! Lives here: their SQL. May not: counting that a run's result already holds.

use domain::{
    id::{ItemId, RunId, SnapshotId},
    run::ItemState,
    units::Timestamp,
};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, Tx, on};

statements! {
    SAVE = "INSERT INTO run_item (run_id, name, item_id, state, snapshot_id, files, bytes, bytes_added, problems, finished_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (run_id, name) DO UPDATE SET item_id = COALESCE(excluded.item_id, run_item.item_id), \
        state = excluded.state, snapshot_id = COALESCE(excluded.snapshot_id, run_item.snapshot_id), files = excluded.files, bytes = excluded.bytes, \
        bytes_added = excluded.bytes_added, problems = excluded.problems, finished_at = excluded.finished_at";
    PAGE = "SELECT * FROM run_item WHERE run_id = $1 AND name > $2 ORDER BY name LIMIT $3";
    PAGE_STATE = "SELECT * FROM run_item WHERE run_id = $1 AND state = $4 AND name > $2 ORDER BY name LIMIT $3";
    COUNT = "SELECT state, count(*), CAST(COALESCE(sum(bytes), 0) AS BIGINT), CAST(COALESCE(sum(bytes_added), 0) AS BIGINT) FROM run_item WHERE run_id = $1 GROUP BY state";
}

/// One file that could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemProblem {
    pub path: String,
    pub message: String,
}

/// The problems of one item: at most 1000 of them, and how many there were.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemProblems {
    pub total: i64,
    pub listed: Vec<ItemProblem>,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct RunItemRow {
    pub run_id: Uuid,
    pub name: String,
    pub item_id: Option<Uuid>,
    /// A `domain::run::ItemState` as text.
    pub state: String,
    pub snapshot_id: Option<Uuid>,
    pub files: i64,
    pub bytes: i64,
    pub bytes_added: i64,
    pub problems: Json<ItemProblems>,
    pub finished_at: i64,
}

/// A result to be recorded.
#[derive(Clone, Debug)]
pub struct NewRunItem<'a> {
    pub run: RunId,
    pub name: &'a str,
    pub item: Option<ItemId>,
    pub state: ItemState,
    pub snapshot: Option<SnapshotId>,
    pub files: i64,
    pub bytes: i64,
    pub bytes_added: i64,
    pub problems: &'a ItemProblems,
    pub finished_at: Timestamp,
}

/// Records a result; a later one of the same item takes its place.
pub async fn save(tx: Tx<'_>, new: &NewRunItem<'_>) -> Result<()> {
    on!(tx, c => sqlx::query(SAVE).bind(new.run.0).bind(new.name).bind(new.item.map(|i| i.0)).bind(new.state.as_str()).bind(new.snapshot.map(|i| i.0))
        .bind(new.files).bind(new.bytes).bind(new.bytes_added).bind(Json(new.problems)).bind(new.finished_at.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// At most `limit` results after the name `after`, those of one state where it is given.
pub async fn page(tx: Tx<'_>, run: RunId, state: Option<ItemState>, after: &str, limit: i64) -> Result<Vec<RunItemRow>> {
    Ok(match state {
        Some(state) => on!(tx, c => sqlx::query_as(PAGE_STATE).bind(run.0).bind(after).bind(limit).bind(state.as_str()).fetch_all(c).await)?,
        None => on!(tx, c => sqlx::query_as(PAGE).bind(run.0).bind(after).bind(limit).fetch_all(c).await)?,
    })
}

/// How many results are in each state, with their bytes and bytes added.
pub async fn count(tx: Tx<'_>, run: RunId) -> Result<Vec<(String, i64, i64, i64)>> {
    Ok(on!(tx, c => sqlx::query_as(COUNT).bind(run.0).fetch_all(c).await)?)
}
