//! Figures over all rows, for the metrics.
//!
//! Lives here: counting SQL that an index answers. May not: names of metrics, judging.

use domain::units::Timestamp;

use crate::{Result, Tx, on};

statements! {
    RUNS = "SELECT kind, state, count(*) AS runs FROM run GROUP BY kind, state ORDER BY kind, state";
    ALERTS = "SELECT kind, count(*) AS alerts FROM alert WHERE resolved_at IS NULL GROUP BY kind ORDER BY kind";
    QUEUE = "SELECT count(*) AS waiting, min(run_at) AS oldest_at FROM run WHERE state = 'queued' AND run_at <= $1";
    /// An item has a fresh copy when its newest snapshot is within the service's RPO; where none is promised, any copy will do.
    SERVICES = "SELECT s.name, s.rpo_s, s.last_snapshot_at, \
        (SELECT max(t.finished_at) FROM restore_test t WHERE t.verdict = 'passed' AND t.service_id = s.id) AS last_passed_at, \
        (SELECT count(*) FROM item i WHERE i.service_id = s.id AND i.gone_at IS NULL) AS items, \
        (SELECT count(*) FROM item i WHERE i.service_id = s.id AND i.gone_at IS NULL AND (i.last_snapshot_at IS NULL OR i.last_snapshot_at < $1 - s.rpo_s * 1000000)) AS stale \
        FROM service s WHERE s.removed_at IS NULL ORDER BY s.name LIMIT $2";
}

/// How many runs of a kind are in a state.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct RunCount {
    pub kind: String,
    pub state: String,
    pub runs: i64,
}

/// The runs that are due and wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Queue {
    pub waiting: i64,
    /// Since when the oldest of them could have begun.
    pub oldest_at: Option<i64>,
}

/// How a service stands.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ServiceFigures {
    pub name: String,
    pub rpo_s: Option<i64>,
    pub last_snapshot_at: Option<i64>,
    /// When a restore test last passed.
    pub last_passed_at: Option<i64>,
    /// Items that the sources list now.
    pub items: i64,
    /// Those of them without a fresh copy.
    pub stale: i64,
}

pub async fn runs(tx: Tx<'_>) -> Result<Vec<RunCount>> {
    Ok(on!(tx, c => sqlx::query_as(RUNS).fetch_all(c).await)?)
}

/// How many alerts of each kind stand, kinds without one left out.
pub async fn alerts(tx: Tx<'_>) -> Result<Vec<(String, i64)>> {
    Ok(on!(tx, c => sqlx::query_as(ALERTS).fetch_all(c).await)?)
}

pub async fn queue(tx: Tx<'_>, now: Timestamp) -> Result<Queue> {
    Ok(on!(tx, c => sqlx::query_as(QUEUE).bind(now.0).fetch_one(c).await)?)
}

/// At most `limit` services by name.
pub async fn services(tx: Tx<'_>, now: Timestamp, limit: i64) -> Result<Vec<ServiceFigures>> {
    Ok(on!(tx, c => sqlx::query_as(SERVICES).bind(now.0).bind(limit).fetch_all(c).await)?)
}
