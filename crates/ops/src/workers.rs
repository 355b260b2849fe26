//! Workers: who carries runs out, and who of them is alive.
//!
//! Lives here: the use case that lists them. May not: registering (a worker does that itself; it is no act of a person
//! and is not audited).

use store::workers::{self, WorkerRow};

use crate::{
    Ctx, Result,
    permission::{Action, require},
};

/// A worker says every few seconds that it lives. Who has been silent for so long has vanished or hangs.
pub const SILENT_S: f64 = 45.0;
/// The most workers that are listed.
const MOST: i64 = 500;

/// A worker as it stands.
#[derive(Clone, Debug)]
pub struct Worker {
    pub row: WorkerRow,
    /// Runs that it holds.
    pub running: i64,
    pub is_alive: bool,
}

/// All workers by host and name. One that was killed is listed for a day, unless its host knows that it is gone.
pub async fn list(ctx: &Ctx) -> Result<Vec<Worker>> {
    require(ctx, Action::Read)?;
    let (now, rows) = (ctx.now(), workers::list(ctx.db.read().await?.tx(), MOST).await?);
    let is_alive = |w: &WorkerRow| now.secs_since(domain::units::Timestamp(w.seen_at)) < SILENT_S;
    Ok(rows.into_iter().map(|w| Worker { is_alive: is_alive(&w.worker), running: w.running, row: w.worker }).collect())
}
