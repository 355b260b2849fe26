//! Rows of a run's steps, recorded before and after each.
//!
//! Lives here: their SQL. May not: what a step does, which one comes next.

use domain::{id::RunId, run::StepState, units::Timestamp, work::StepFailure};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, StoreError, Tx, on};

statements! {
    OF_RUN = "SELECT * FROM step WHERE run_id = $1 ORDER BY ordinal";
    PLAN = "INSERT INTO step (run_id, ordinal, name, state) VALUES ($1, $2, $3, 'pending') ON CONFLICT (run_id, ordinal) DO NOTHING";
    START = "UPDATE step SET state = 'running', attempt = attempt + 1, started_at = $3, finished_at = NULL, input = $4, failure = NULL WHERE run_id = $1 AND ordinal = $2";
    FINISH = "UPDATE step SET state = $3, finished_at = $4, output = $5, failure = $6 WHERE run_id = $1 AND ordinal = $2";
    CLOSE_RUNNING = "UPDATE step SET state = $2, finished_at = $3 WHERE run_id = $1 AND state = 'running'";
    CLOSE_PENDING = "UPDATE step SET state = 'skipped' WHERE run_id = $1 AND state = 'pending'";
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct StepRow {
    pub run_id: Uuid,
    /// From 0, in the order of doing.
    pub ordinal: i64,
    pub name: String,
    pub state: String,
    /// How often it was begun.
    pub attempt: i64,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
    pub input: Option<Json<Value>>,
    pub output: Option<Json<Value>>,
    pub failure: Option<Json<StepFailure>>,
}

impl StepRow {
    pub fn state(&self) -> Result<StepState> {
        StepState::parse(&self.state).ok_or_else(|| StoreError::Unreadable { column: "step.state", value: self.state.clone() })
    }
}

/// The steps of a run. There are few: they come in one piece.
pub async fn of_run(tx: Tx<'_>, run: RunId) -> Result<Vec<StepRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_RUN).bind(run.0).fetch_all(c).await)?)
}

/// Writes the names of the steps to come. What is recorded already stays.
pub async fn plan(mut tx: Tx<'_>, run: RunId, names: &[&str]) -> Result<()> {
    for (ordinal, name) in names.iter().enumerate() {
        on!(tx.by_ref(), c => sqlx::query(PLAN).bind(run.0).bind(ordinal as i64).bind(*name).execute(c).await.map(|_| ()))?;
    }
    Ok(())
}

/// Records that a step begins.
pub async fn start(tx: Tx<'_>, run: RunId, ordinal: i64, input: &Value, now: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(START).bind(run.0).bind(ordinal).bind(now.0).bind(Json(input)).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Records how a step ended.
pub async fn finish(
    tx: Tx<'_>,
    run: RunId,
    ordinal: i64,
    state: StepState,
    output: Option<&Value>,
    failure: Option<&StepFailure>,
    now: Timestamp,
) -> Result<()> {
    on!(tx, c => sqlx::query(FINISH).bind(run.0).bind(ordinal).bind(state.as_str()).bind(now.0).bind(output.map(Json)).bind(failure.map(Json))
        .execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Closes the steps of a run that ends: what still runs gets `state`, what never began is skipped.
pub async fn close(mut tx: Tx<'_>, run: RunId, state: StepState, now: Timestamp) -> Result<()> {
    on!(tx.by_ref(), c => sqlx::query(CLOSE_RUNNING).bind(run.0).bind(state.as_str()).bind(now.0).execute(c).await.map(|_| ()))?;
    on!(tx, c => sqlx::query(CLOSE_PENDING).bind(run.0).execute(c).await.map(|_| ()))?;
    Ok(())
}
