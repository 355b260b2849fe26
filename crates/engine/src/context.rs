//! What every piece of work of the engine is given: where its messages go, and whether it should stop.
//!
//! Lives here: `Ctx`. May not: run states, the job's own data.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::{
    EngineError, ErrorKind, Result,
    job::{Event, Level},
};

/// The surroundings of one job.
///
/// `rt` drives the storage. It must be a multi-thread runtime with I/O and time, and the work itself must run on a
/// plain thread: blocking on the runtime from one of its own threads panics.
pub struct Ctx<'a> {
    pub sink: &'a (dyn Fn(Event) + Send + Sync),
    pub cancel: &'a AtomicBool,
    pub rt: tokio::runtime::Handle,
    /// How long it waits for a lock that somebody else holds on a repository.
    pub patience: Duration,
}

impl Ctx<'_> {
    pub fn emit(&self, event: Event) {
        (self.sink)(event);
    }

    pub fn log(&self, level: Level, message: impl Into<String>) {
        self.emit(Event::Log { level, message: message.into() });
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    /// Fails with `Cancelled` once the caller has asked to stop.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(EngineError::new(ErrorKind::Cancelled, "stopped as asked")) } else { Ok(()) }
    }
}
