//! That a worker is there: its row in the list of workers, and its pulse.
//!
//! Lives here: registering, being seen, leaving, forgetting those that vanished, and removing what a run that went on
//! elsewhere has left in this machine's scratch. May not: leases of runs.
//! Invariant: a worker whose loop no longer goes round is not seen, whatever else of its process lives.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use domain::{id::RunId, units::Timestamp};
use store::{
    runs,
    workers::{self, WorkerRow},
};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior},
};

use crate::{Deps, files, owner};

/// A vanished worker is listed for so long.
const REMEMBERED_S: i64 = 86_400;
/// How long a start waits until the worker is listed.
const JOIN: Duration = Duration::from_secs(5);
/// How often scratch is looked through.
const SWEEP: Duration = Duration::from_mins(10);
/// The loop goes round every few seconds; a database may hold it up for a while.
const SILENT: Duration = Duration::from_secs(45);

/// When the worker's loop last went round.
#[derive(Clone, Debug)]
pub struct Pulse {
    begun: Instant,
    /// Milliseconds after `begun`.
    at: Arc<AtomicU64>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { begun: Instant::now(), at: Arc::default() }
    }
}

impl Pulse {
    pub(crate) fn beat(&self) {
        self.at.store(u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long ago the loop last went round.
    pub fn age(&self) -> Duration {
        self.begun.elapsed().saturating_sub(Duration::from_millis(self.at.load(Ordering::Relaxed)))
    }

    pub fn is_alive(&self) -> bool {
        self.age() < SILENT
    }
}

/// Lists the worker, before it takes its first run: who works is known. Waits a little for a database that is away.
pub async fn join(deps: &Deps, owner: &str) -> Timestamp {
    let started_at = deps.clock.now();
    match tokio::time::timeout(JOIN, seen(deps, owner, started_at)).await {
        Ok(Ok(())) => {}
        Ok(Err(e)) => tracing::warn!(error = %e, "the worker could not say that it lives"),
        Err(_) => tracing::warn!("the worker could not say that it lives: the database does not answer"),
    }
    started_at
}

/// Keeps the worker listed until it stops.
pub async fn keep(deps: Arc<Deps>, owner: Arc<str>, started_at: Timestamp, pulse: Pulse, mut stop: watch::Receiver<bool>) {
    let mut swept: Option<Instant> = None;
    let mut tick = tokio::time::interval(deps.limits.heartbeat);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            // An error means that the worker is gone, which is a stop as well.
            _ = stop.wait_for(|s| *s) => break,
            _ = tick.tick() => {}
        }
        if !pulse.is_alive() {
            tracing::warn!(silent_s = pulse.age().as_secs(), "the worker's loop does not go round; it is not listed as alive");
            continue;
        }
        if let Err(e) = seen(&deps, &owner, started_at).await {
            tracing::warn!(error = %e, "the worker could not say that it lives");
            continue;
        }
        if swept.is_none_or(|at| at.elapsed() >= SWEEP) {
            swept = Some(Instant::now());
            if let Err(e) = sweep_scratch(&deps).await {
                tracing::warn!(error = %e, "the scratch folder could not be looked through");
            }
        }
    }
    if let Err(e) = left(&deps, &owner).await {
        tracing::warn!(error = %e, "the worker could not be taken off the list; it is forgotten after a day");
    }
}

async fn seen(deps: &Deps, owner: &str, started_at: Timestamp) -> store::Result<()> {
    let now = deps.clock.now();
    let me = WorkerRow {
        owner: owner.to_owned(),
        name: deps.name.clone(),
        host: owner::place(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        slots: i64::try_from(deps.limits.slots).unwrap_or(i64::MAX),
        started_at: started_at.0,
        seen_at: now.0,
    };
    // Only this machine can tell at once that one of its processes is gone.
    let gone: Vec<WorkerRow> = workers::of_host(deps.db.read().await?.tx(), &me.host).await?.into_iter().filter(|w| owner::is_gone(&w.owner)).collect();
    let mut t = deps.db.begin().await?;
    for worker in gone {
        workers::leave(t.tx(), &worker.owner).await?;
    }
    workers::sweep(t.tx(), Timestamp(now.0 - REMEMBERED_S * 1_000_000)).await?;
    workers::join(t.tx(), &me).await?;
    t.commit().await
}

/// Removes scratch folders of runs that have ended or go on elsewhere: they hold people's data.
async fn sweep_scratch(deps: &Deps) -> store::Result<()> {
    let Ok(entries) = std::fs::read_dir(deps.data_dir.join("scratch")) else { return Ok(()) };
    for path in entries.flatten().map(|e| e.path()) {
        let Some(id) = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.parse::<RunId>().ok()) else { continue };
        let Some(run) = runs::find(deps.db.read().await?.tx(), id).await? else { continue };
        let here = format!("{}:", owner::place());
        // One of this machine's workers has it, or it waits for another attempt.
        if run.state == "queued" || run.lease_owner.is_some_and(|o| o.starts_with(&here)) {
            continue;
        }
        let folder = path.clone();
        match tokio::task::spawn_blocking(move || files::remove(&folder)).await {
            Ok(Ok(())) => tracing::warn!(path = %path.display(), "removed what a run that ended elsewhere had left"),
            Ok(Err(e)) => tracing::warn!(path = %path.display(), error = %e, "what a run has left cannot be removed"),
            Err(e) => tracing::warn!(error = %e, "removing broke off"),
        }
    }
    Ok(())
}

async fn left(deps: &Deps, owner: &str) -> store::Result<()> {
    let mut t = deps.db.begin().await?;
    workers::leave(t.tx(), owner).await?;
    t.commit().await
}
