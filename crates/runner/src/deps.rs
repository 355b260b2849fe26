//! What a worker is given, and the places where tests put faults.
//!
//! Lives here: `Deps`, `Limits`, the seam to the engine's child process. May not: reading the environment or the clock.

use std::{path::PathBuf, sync::Arc, time::Duration};

use engine::{
    job::{Event, Failure, Job, Outcome},
    sources::openstack::Limits as CallLimits,
};
use ops::{config::Tools, secrets::Environment};
use store::{Clock, Db};
use tokio::sync::{mpsc, oneshot, watch};

/// An event on its way to be recorded.
#[derive(Debug)]
pub struct Told {
    pub event: Event,
    /// Sent when the event is in the database, where somebody waits for that.
    pub recorded: Option<oneshot::Sender<()>>,
}

impl From<Event> for Told {
    fn from(event: Event) -> Self {
        Self { event, recorded: None }
    }
}

use crate::notify::Signs;

/// Carries out one job of the engine. The real one is a child process of the same program.
#[async_trait::async_trait]
pub trait Work: Send + Sync {
    /// Carries the job out and sends its events on the way. When `stop` turns true, the work ends soon with `Cancelled`,
    /// and nothing of it goes on after the call has returned. Dropping the call kills the work.
    ///
    /// `label` is the run's id: it marks the process, so that [`Work::clear`] finds it.
    async fn carry_out(&self, label: &str, job: Job, events: mpsc::Sender<Told>, stop: watch::Receiver<bool>) -> Result<Outcome, Failure>;

    /// Ends what is left on this machine of a run whose worker died, and waits until it is gone.
    async fn clear(&self, label: &str);
}

/// How long and how many. The defaults are those of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a lease lasts without a heartbeat; see `lease` for when its holder lets go.
    pub lease: Duration,
    /// At most a sixth of the lease.
    pub heartbeat: Duration,
    /// How often the queue is looked at when nothing wakes the worker.
    pub poll: Duration,
    /// Runs at a time.
    pub slots: usize,
    /// Events and progress are written at most this often.
    pub flush: Duration,
    /// Before the second attempt; the third waits four times as long.
    pub backoff: Duration,
    /// One call of a cloud, and how often it is tried.
    pub call: CallLimits,
    /// Instances that a cloud is asked for at once.
    pub page: u32,
    /// How long an instance may take to come to its former state.
    pub settle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            heartbeat: Duration::from_secs(5),
            poll: Duration::from_secs(2),
            slots: 2,
            flush: Duration::from_millis(500),
            backoff: Duration::from_secs(5),
            call: CallLimits::default(),
            page: 200,
            settle: Duration::from_mins(30),
        }
    }
}

/// When a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The step is recorded as begun, nothing is done yet.
    Begun,
    /// In the midst of the step's work, where it asks.
    Halfway,
    /// The step's work is done and not recorded.
    Done,
    /// The step is recorded as finished.
    Recorded,
    /// What the step did is about to be undone.
    Undoing,
    /// It is undone; nothing about that is recorded.
    Undone,
}

/// What a test makes happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Fail {
        permanent: bool,
    },
    /// The worker vanishes: it writes nothing more and keeps its lease until that runs out.
    Crash,
}

/// Decides by the step's name and the moment. `None` outside tests.
pub type Faults = Option<Arc<dyn Fn(&str, Moment) -> Option<Fault> + Send + Sync>>;

#[derive(Clone)]
pub struct Deps {
    pub db: Db,
    pub clock: Clock,
    /// Absolute. Restore tests work in its folder `scratch`.
    pub data_dir: PathBuf,
    pub env: Environment,
    /// What the server's own configuration lets restore tests call.
    pub tools: Arc<Tools>,
    pub work: Arc<dyn Work>,
    pub limits: Limits,
    pub faults: Faults,
    /// Signs of life of this process.
    pub signs: Signs,
    /// How people tell this worker from others.
    pub name: String,
}

impl Deps {
    pub fn new(db: Db, data_dir: PathBuf, env: Environment, work: Arc<dyn Work>) -> Self {
        Self {
            db,
            clock: Clock::System,
            data_dir,
            env,
            tools: Arc::default(),
            work,
            limits: Limits::default(),
            faults: None,
            signs: Signs::default(),
            name: "worker".to_owned(),
        }
    }
}
