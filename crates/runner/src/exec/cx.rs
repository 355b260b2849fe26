//! What a step is given: its run, its lease, and the way to write under it.
//!
//! Lives here: transactions under the lease, lines of the log, when a wish to cancel counts. May not: carrying out steps.
//! Invariant: what is written here is written by the holder of the lease or not at all.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use domain::{id::RunId, units::Timestamp, work::StepFailure};
use serde_json::Value;
use store::{
    db::Transaction,
    queue,
    run_events::{self, NewRunEvent},
    runs::RunRow,
    wake,
};

use crate::{
    Deps,
    deps::{Fault, Moment},
    lease::{Lease, Stop},
    step::{Break, Result},
};

/// What a step is given.
pub struct Cx {
    pub deps: Arc<Deps>,
    pub run: RunRow,
    pub(super) lease: Lease,
    /// While unwinding, a wish to cancel stops nothing.
    pub(super) undoing: AtomicBool,
    /// What the run was for is done: it is only recorded, and a wish to cancel comes too late.
    pub(super) settled: AtomicBool,
}

impl Cx {
    pub fn id(&self) -> RunId {
        self.lease.run
    }

    pub fn now(&self) -> Timestamp {
        self.deps.clock.now()
    }

    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Why to stop, as far as it counts now.
    pub fn stopped(&self) -> Option<Stop> {
        self.lease.stopped().filter(|s| *s != Stop::Cancelled || !(self.is_undoing() || self.settled.load(Ordering::Relaxed)))
    }

    pub fn is_undoing(&self) -> bool {
        self.undoing.load(Ordering::Relaxed)
    }

    /// From now on a wish to cancel stops nothing.
    pub fn settle(&self) {
        self.settled.store(true, Ordering::Relaxed);
    }

    /// A wish to cancel counts again: what was settled was a part.
    pub fn unsettle(&self) {
        self.settled.store(false, Ordering::Relaxed);
    }

    pub fn check(&self) -> Result<()> {
        self.stopped().map_or(Ok(()), |s| Err(Break::Stopped(s)))
    }

    /// Begins a transaction under the lease and writes events in it.
    pub async fn begin(&self, events: &[NewRunEvent]) -> Result<Transaction> {
        self.numbered(self.deps.db.begin().await?, events).await
    }

    /// The same for a transaction that writes to the audit trail.
    pub async fn begin_audited(&self, events: &[NewRunEvent]) -> Result<Transaction> {
        self.numbered(self.deps.db.begin_audited().await?, events).await
    }

    async fn numbered(&self, mut t: Transaction, events: &[NewRunEvent]) -> Result<Transaction> {
        let Some(first) = queue::number_events(t.tx(), self.id(), self.lease.token, events.len() as i64).await? else {
            self.lease.lost();
            return Err(Break::Stopped(Stop::Lost));
        };
        run_events::add(t.tx(), self.id(), first, events).await?;
        Ok(t)
    }

    pub async fn commit(&self, t: Transaction) -> Result<()> {
        t.commit().await?;
        wake::run(self.id());
        Ok(())
    }

    /// Writes one line of the log.
    pub async fn log(&self, level: &'static str, message: impl Into<String>) -> Result<()> {
        let t = self.begin(&[self.event("log", level, message, None)]).await?;
        self.commit(t).await
    }

    pub fn event(&self, kind: &'static str, level: &'static str, message: impl Into<String>, detail: Option<Value>) -> NewRunEvent {
        NewRunEvent { at: self.now(), kind, level, message: message.into(), detail }
    }

    pub fn fault(&self, step: &str, moment: Moment) -> Result<()> {
        match self.deps.faults.as_ref().and_then(|f| f(step, moment)) {
            None => Ok(()),
            Some(Fault::Crash) => Err(Break::Crash),
            Some(Fault::Fail { permanent }) => Err(Break::Failed(StepFailure::new("injected", format!("an injected fault at {step}"), permanent))),
        }
    }
}
