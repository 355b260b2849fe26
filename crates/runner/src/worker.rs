//! The worker: claims runs, takes over those of dead workers, and stops in good order.
//!
//! Lives here: the loop of a server, and waiting for one run as the command line does. May not: a run's steps.
//! Invariant: at most `limits.slots` runs at a time; a stop leaves no child behind and gives the leases back.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::{id::RunId, run::RunState, units::Timestamp};
use store::{
    queue::{self, LeaseRow},
    runs::{self, RunRow},
    wake,
};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::Instant,
};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::{
    Deps,
    exec::{Left, execute},
    lease::Lease,
    owner,
    presence::{self, Pulse},
};

/// How long a stop waits for runs to be left.
const STOP: Duration = Duration::from_secs(20);

/// How long a stop waits until the worker is no longer listed.
const LEAVE: Duration = Duration::from_secs(2);

/// One worker. A process may have several, and any number of processes may work on one database.
#[derive(Clone)]
pub struct Worker {
    deps: Arc<Deps>,
    owner: Arc<str>,
    mine: Arc<Mutex<HashSet<RunId>>>,
    stop: watch::Sender<bool>,
    pulse: Pulse,
    watched: Arc<Mutex<HashMap<RunId, Watched>>>,
}

/// Another worker's lease as it was last seen to change.
struct Watched {
    token: Uuid,
    until: i64,
    since: Instant,
}

/// A run that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    pub run: RunRow,
    pub state: RunState,
}

impl Worker {
    pub fn new(deps: Deps) -> Self {
        Self {
            deps: Arc::new(deps),
            owner: owner::name().into(),
            mine: Arc::default(),
            stop: watch::Sender::new(false),
            pulse: Pulse::default(),
            watched: Arc::default(),
        }
    }

    /// Tells from outside whether the loop of [`Self::run`] goes round.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Works until `shutdown` is ready; then stops its children, gives its runs back and returns.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let slots = Arc::new(Semaphore::new(self.deps.limits.slots));
        let mut tasks = JoinSet::new();
        let listener = tokio::spawn(wake::listen(self.deps.db.clone()));
        let joined = presence::join(&self.deps, &self.owner).await;
        let presence = tokio::spawn(presence::keep(self.deps.clone(), self.owner.clone(), joined, self.pulse.clone(), self.stop.subscribe()));
        tokio::pin!(shutdown);
        loop {
            // First listen, then look, so that no wake-up falls between.
            let woken = wake::queued();
            while tasks.try_join_next().is_some() {}
            while let Ok(slot) = slots.clone().try_acquire_owned() {
                match self.next().await {
                    Ok(Some((run, token))) => {
                        let worker = self.clone();
                        tasks.spawn(async move {
                            worker.carry_out(run, token).await;
                            drop(slot);
                            wake::queue();
                        });
                    }
                    Ok(None) => break,
                    Err(e) => {
                        tracing::error!(error = %e, "the queue cannot be read");
                        break;
                    }
                }
            }
            let wait = self.until_due().await;
            self.deps.signs.worker();
            self.pulse.beat();
            tokio::select! {
                () = &mut shutdown => break,
                () = woken => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        listener.abort();
        self.stop.send_replace(true);
        let left = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP, left).await.is_err() {
            tracing::warn!("some runs could not be left in time; they are taken over when their leases have run out");
        }
        tokio::time::timeout(LEAVE, presence).await.ok();
    }

    /// How long to sleep: until the next queued run is due, at most the poll. What is due already waits for a slot or
    /// for its resource, and whoever frees it wakes the queue.
    async fn until_due(&self) -> Duration {
        let look = async { queue::next_run_at(self.deps.db.read().await?.tx(), self.deps.clock.now()).await };
        match look.await {
            Ok(Some(at)) => Duration::from_secs_f64(at.secs_since(self.deps.clock.now()).max(0.01)).min(self.deps.limits.poll),
            _ => self.deps.limits.poll,
        }
    }

    async fn carry_out(&self, run: RunRow, token: Uuid) -> Left {
        let id = run.id();
        let lease = Lease::keep(&self.deps, id, token, self.stop.subscribe());
        // Every line of the log that is written meanwhile names the run.
        let span = tracing::info_span!("run", run = %id, kind = run.kind);
        let left = Box::pin(execute(self.deps.clone(), run, lease)).instrument(span).await;
        self.mine.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        left
    }

    /// A run to work on: first one that a dead worker left, then one that waits.
    async fn next(&self) -> store::Result<Option<(RunRow, Uuid)>> {
        let leases = queue::leases(self.deps.db.read().await?.tx()).await?;
        let held: HashSet<RunId> = leases.iter().map(|l| RunId(l.id)).collect();
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| held.contains(id));
        for lease in leases {
            if self.is_dead(&lease)
                && let Some(taken) = self.take_over(&lease).await?
            {
                return Ok(Some(taken));
            }
        }
        let (token, now) = (Uuid::now_v7(), self.deps.clock.now());
        let mut t = self.deps.db.begin().await?;
        let claimed = queue::claim(t.tx(), &queue::Lease { owner: &self.owner, token, until: self.lease_end() }, now).await?;
        // Also with nothing claimed: others wait for the end of this transaction.
        t.commit().await?;
        Ok(claimed.map(|run| self.hold(run, token)))
    }

    /// From now on the run is in this worker's hands.
    fn hold(&self, run: RunRow, token: Uuid) -> (RunRow, Uuid) {
        self.mine.lock().unwrap_or_else(PoisonError::into_inner).insert(run.id());
        (run, token)
    }

    async fn take_over(&self, dead: &LeaseRow) -> store::Result<Option<(RunRow, Uuid)>> {
        let token = Uuid::now_v7();
        let mut t = self.deps.db.begin().await?;
        let lease = queue::Lease { owner: &self.owner, token, until: self.lease_end() };
        let taken = queue::take_over(t.tx(), RunId(dead.id), dead.lease_token, &lease).await?;
        t.commit().await?;
        if taken.is_some() {
            tracing::warn!(run = %dead.id, from = dead.lease_owner, "took over a run whose worker is gone");
        }
        Ok(taken.map(|run| self.hold(run, token)))
    }

    /// Whether nobody works on the run any more: its lease was given back, its process is gone, or nobody has prolonged
    /// it for as long as a lease lasts while this worker watched. Clocks decide nothing: they jump, and those of two
    /// machines differ.
    fn is_dead(&self, lease: &LeaseRow) -> bool {
        let id = RunId(lease.id);
        if self.mine.lock().unwrap_or_else(PoisonError::into_inner).contains(&id) {
            return false;
        }
        // Its own lease on a run that it has left, for the database did not answer, is nobody's.
        if lease.lease_until == 0 || lease.lease_owner == *self.owner || owner::is_gone(&lease.lease_owner) {
            return true;
        }
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Watched { token: lease.lease_token, until: lease.lease_until, since: Instant::now() };
        match watched.get(&id) {
            Some(seen) if (seen.token, seen.until) == (now.token, now.until) => seen.since.elapsed() >= self.deps.limits.lease,
            _ => {
                watched.insert(id, now);
                false
            }
        }
    }

    fn lease_end(&self) -> Timestamp {
        Timestamp(self.deps.clock.now().0 + i64::try_from(self.deps.limits.lease.as_micros()).unwrap_or(i64::MAX))
    }

    /// Takes this run if nobody has it: it waits, or its worker is gone.
    async fn take_one(&self, id: RunId) -> store::Result<Option<(RunRow, Uuid)>> {
        let leases = queue::leases(self.deps.db.read().await?.tx()).await?;
        if let Some(lease) = leases.iter().find(|l| l.id == id.0) {
            return if self.is_dead(lease) { self.take_over(lease).await } else { Ok(None) };
        }
        let (token, now) = (Uuid::now_v7(), self.deps.clock.now());
        let mut t = self.deps.db.begin().await?;
        let claimed = queue::claim_one(t.tx(), id, &queue::Lease { owner: &self.owner, token, until: self.lease_end() }, now).await?;
        t.commit().await?;
        Ok(claimed.map(|run| self.hold(run, token)))
    }
}

/// Sees a run to its end: carries it out here when no other worker has it, otherwise waits for the other.
///
/// What stands in its way is carried out too: a run that holds its resource and whose worker is gone. When `shutdown`
/// is ready the run is left to the next worker and `None` is returned; so it is when there is no such run.
///
/// # Errors
/// The database's.
pub async fn execute_until_done(deps: Deps, id: RunId, shutdown: impl Future<Output = ()> + Send) -> store::Result<Option<Finished>> {
    let worker = Worker::new(deps);
    let db = worker.deps.db.clone();
    let listener = tokio::spawn(wake::listen(db.clone()));
    tokio::pin!(shutdown);
    let done = loop {
        let mut news = wake::subscribe();
        let Some(run) = runs::find(db.read().await?.tx(), id).await? else { break None };
        let state = run.state()?;
        if !state.is_live() {
            break Some(Finished { run, state });
        }
        let mut found = worker.take_one(id).await?;
        if found.is_none() && state == RunState::Queued {
            found = worker.take_blocker(&run).await?;
        }
        if let Some((run, token)) = found {
            let work = worker.carry_out(run, token);
            tokio::pin!(work);
            tokio::select! {
                _ = &mut work => continue,
                () = &mut shutdown => {
                    worker.stop.send_replace(true);
                    tokio::time::timeout(STOP, work).await.ok();
                    break None;
                }
            }
        }
        tokio::select! {
            () = wake::news(&mut news, id, worker.deps.limits.poll.min(Duration::from_millis(500))) => {}
            () = &mut shutdown => break None,
        }
    };
    listener.abort();
    Ok(done)
}

impl Worker {
    /// The dead holder of the resource that the run waits for.
    async fn take_blocker(&self, run: &RunRow) -> store::Result<Option<(RunRow, Uuid)>> {
        let Some(key) = &run.resource_key else { return Ok(None) };
        let leases = queue::leases(self.deps.db.read().await?.tx()).await?;
        for lease in leases.iter().filter(|l| self.is_dead(l)) {
            let row = runs::find(self.deps.db.read().await?.tx(), RunId(lease.id)).await?;
            if row.is_some_and(|r| r.resource_key.as_ref() == Some(key)) {
                return self.take_over(lease).await;
            }
        }
        Ok(None)
    }
}
