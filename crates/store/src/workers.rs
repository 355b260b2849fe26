//! Rows of workers: the processes that carry runs out, and when each was last seen.
//!
//! Lives here: their SQL. May not: leases (`queue`), deciding who is alive.
//! Invariant: the row of a worker that stopped in good order is gone; that of a killed one stays until it is swept.

use domain::units::Timestamp;

use crate::{Result, Tx, on};

statements! {
    JOIN = "INSERT INTO worker (owner, name, host, version, slots, started_at, seen_at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
        ON CONFLICT (owner) DO UPDATE SET seen_at = excluded.seen_at";
    LEAVE = "DELETE FROM worker WHERE owner = $1";
    OF_HOST = "SELECT * FROM worker WHERE host = $1 ORDER BY seen_at LIMIT 1000";
    SWEEP = "DELETE FROM worker WHERE seen_at < $1";
    LIST = "SELECT w.*, (SELECT count(*) FROM run r WHERE r.state = 'running' AND r.lease_owner = w.owner) AS running \
        FROM worker w ORDER BY w.host, w.name, w.started_at, w.owner LIMIT $1";
}

/// A process that carries runs out, or did until it vanished.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct WorkerRow {
    /// What stands in a lease: host, process and a nonce.
    pub owner: String,
    /// As its command line says, or `server`.
    pub name: String,
    pub host: String,
    pub version: String,
    /// Runs at a time.
    pub slots: i64,
    pub started_at: i64,
    pub seen_at: i64,
}

/// A worker with the runs that it holds.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct BusyWorker {
    #[sqlx(flatten)]
    pub worker: WorkerRow,
    pub running: i64,
}

/// Registers a worker, or says that it was seen again.
pub async fn join(tx: Tx<'_>, worker: &WorkerRow) -> Result<()> {
    on!(tx, c => sqlx::query(JOIN).bind(&worker.owner).bind(&worker.name).bind(&worker.host).bind(&worker.version).bind(worker.slots)
        .bind(worker.started_at).bind(worker.seen_at).execute(c).await.map(|_| ()))?;
    Ok(())
}

pub async fn leave(tx: Tx<'_>, owner: &str) -> Result<()> {
    on!(tx, c => sqlx::query(LEAVE).bind(owner).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// The workers of one host, those that were not seen for longest first.
pub async fn of_host(tx: Tx<'_>, host: &str) -> Result<Vec<WorkerRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_HOST).bind(host).fetch_all(c).await)?)
}

/// Forgets workers that were not seen since then.
pub async fn sweep(tx: Tx<'_>, before: Timestamp) -> Result<()> {
    on!(tx, c => sqlx::query(SWEEP).bind(before.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// At most `limit` workers by host and name.
pub async fn list(tx: Tx<'_>, limit: i64) -> Result<Vec<BusyWorker>> {
    Ok(on!(tx, c => sqlx::query_as(LIST).bind(limit).fetch_all(c).await)?)
}
