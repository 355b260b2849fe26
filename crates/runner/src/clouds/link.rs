//! Reaching a cloud from a run: one connection for all its steps, and every call in its log.
//!
//! Lives here: the connection, the record of calls, who writes. May not: what is asked of the cloud.
//! Invariant: a call is written with its request's id, and nothing of a secret is; a lost lease ends every wait.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use domain::{
    id::{RepositoryId, RunId},
    units::Timestamp,
    work::StepFailure,
};
use engine::{
    EngineError,
    sources::openstack::{Call, Cloud, CloudConfig, Witness},
};
use serde_json::json;
use store::{
    Clock,
    db::Transaction,
    repositories::{self, RepositoryRow},
    run_events::{self, NewRunEvent},
    wake,
};
use tokio::sync::OnceCell;

use crate::{
    Deps,
    exec::Cx,
    lease::Stop,
    step::{Break, Result, code_of, permanent},
};

/// Calls that wait to be written are at most so many.
const MOST_CALLS: usize = 5_000;

/// The calls since somebody last wrote them down.
#[derive(Clone, Default)]
pub struct Calls(Arc<Mutex<Vec<NewRunEvent>>>);

impl Calls {
    fn witness(&self, clock: Clock) -> Witness {
        let calls = self.clone();
        Arc::new(move |call: &Call| {
            let mut all = calls.0.lock().unwrap_or_else(PoisonError::into_inner);
            if all.len() < MOST_CALLS {
                all.push(event(call, clock.now()));
            }
        })
    }

    pub fn take(&self) -> Vec<NewRunEvent> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many wait to be written.
    pub fn waiting(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// One call as a line of the log. Reading is told quietly: a wait asks again and again.
fn event(call: &Call, at: Timestamp) -> NewRunEvent {
    let status = call.status.map_or_else(|| "no answer".to_owned(), |s| s.to_string());
    let request = call.request_id.as_deref().map(|id| format!(", {id}")).unwrap_or_default();
    let again = if call.attempt > 1 { format!(", attempt {}", call.attempt) } else { String::new() };
    let level = match call.status {
        None | Some(500..) => "warn",
        Some(_) if call.method == "GET" => "debug",
        Some(_) => "info",
    };
    let took = call.took.as_secs_f64();
    let message = format!("{} {} {}: {status} after {took:.2} s{request}{again}", call.service, call.method, call.path);
    let detail = json!({
        "service": call.service, "method": call.method, "path": call.path, "status": call.status,
        "request_id": call.request_id, "attempt": call.attempt, "seconds": took,
    });
    NewRunEvent { at, kind: "log", level, message, detail: Some(detail) }
}

/// An error of the client as a step's failure.
pub fn failed(e: EngineError) -> Break {
    let permanent = e.is_permanent();
    Break::Failed(StepFailure::new(code_of(e.kind), e.message, permanent))
}

/// Connects to a cloud. Another project than the one that is known is refused: its snapshots would seem to be gone.
pub async fn open(deps: &Deps, row: &RepositoryRow, calls: Option<&Calls>) -> Result<Cloud> {
    let reach = ops::clouds::reach(row, &deps.env).await?;
    let config = CloudConfig::of(&reach.location, &reach.plain).map_err(failed)?;
    let witness = calls.map(|c| c.witness(deps.clock.clone()));
    let cloud = Box::pin(Cloud::connect(&config, &reach.secret, deps.limits.call, witness)).await.map_err(failed)?;
    match &row.restic_id {
        Some(known) if known != cloud.project_id() => Err(permanent(
            "denied",
            format!(
                "the credential of {} belongs to the project {}, and the snapshots to {known}; give it a credential of that project, \
                 or configure the other project as a cloud of its own",
                row.name,
                cloud.project_id()
            ),
        )),
        _ => Ok(cloud),
    }
}

/// A run's way to its cloud, connected when it is first needed.
pub struct Reach {
    pub repository: RepositoryId,
    calls: Calls,
    cloud: OnceCell<Cloud>,
}

impl Reach {
    pub fn new(repository: RepositoryId) -> Arc<Self> {
        Arc::new(Self { repository, calls: Calls::default(), cloud: OnceCell::new() })
    }

    pub async fn cloud(&self, cx: &Cx) -> Result<&Cloud> {
        let connect = async {
            let found = repositories::find(cx.deps.db.read().await?.tx(), self.repository).await?;
            let row = found.ok_or_else(|| permanent("not_found", format!("the repository {} is no longer there", self.repository)))?;
            open(&cx.deps, &row, Some(&self.calls)).await
        };
        self.cloud.get_or_try_init(|| until_stopped(cx, Box::pin(connect))).await
    }

    /// Writes the calls that were made down, in one transaction.
    pub async fn tell(&self, cx: &Cx) -> Result<()> {
        self.write(cx, Vec::new()).await
    }

    /// Whether so many calls wait that they had better be written.
    pub fn is_full(&self) -> bool {
        self.calls.waiting() >= 20
    }

    /// A line of the log, behind the calls before it.
    pub async fn log(&self, cx: &Cx, level: &'static str, message: impl Into<String>) -> Result<()> {
        self.write(cx, vec![cx.event("log", level, message, None)]).await
    }

    async fn write(&self, cx: &Cx, more: Vec<NewRunEvent>) -> Result<()> {
        let mut events = self.calls.take();
        events.extend(more);
        if events.is_empty() {
            return Ok(());
        }
        let t = cx.begin(&events).await?;
        cx.commit(t).await
    }

    /// Ends a step: its calls are written whether it went well or not.
    pub async fn end<T>(&self, cx: &Cx, result: Result<T>) -> Result<T> {
        match (self.tell(cx).await, result) {
            (_, Err(e)) | (Err(e), Ok(_)) => Err(e),
            (Ok(()), Ok(done)) => Ok(done),
        }
    }
}

/// Asks the cloud, and waits no longer than the run may go on.
pub async fn ask<T>(cx: &Cx, what: impl Future<Output = engine::Result<T>> + Send) -> Result<T> {
    until_stopped(cx, async { what.await.map_err(failed) }).await
}

async fn until_stopped<T>(cx: &Cx, what: impl Future<Output = Result<T>> + Send) -> Result<T> {
    cx.check()?;
    tokio::select! {
        biased;
        stop = stopped(cx) => Err(Break::Stopped(stop)),
        done = what => done,
    }
}

/// Orders something of the cloud. A wish to cancel waits for the answer, so that what was made is known; only a lost
/// lease does not.
pub async fn order<T>(cx: &Cx, what: impl Future<Output = engine::Result<T>> + Send) -> Result<T> {
    cx.check()?;
    let mut why = cx.lease().watch();
    tokio::select! {
        biased;
        Ok(_) = why.wait_for(|s| *s == Some(Stop::Lost)) => Err(Break::Stopped(Stop::Lost)),
        done = what => done.map_err(failed),
    }
}

/// Ready when the run has to stop.
pub async fn stopped(cx: &Cx) -> Stop {
    let mut why = cx.lease().watch();
    loop {
        if let Some(stop) = cx.stopped() {
            return stop;
        }
        if why.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Who writes about a run: the run itself under its lease, or a look after its end.
#[derive(Clone, Copy)]
pub enum Pen<'a> {
    Run(&'a Cx),
    Beside(&'a Deps, RunId),
}

impl Pen<'_> {
    pub fn deps(&self) -> &Deps {
        match self {
            Self::Run(cx) => &cx.deps,
            Self::Beside(deps, _) => deps,
        }
    }

    pub fn run(&self) -> RunId {
        match self {
            Self::Run(cx) => cx.id(),
            Self::Beside(_, run) => *run,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.deps().clock.now()
    }

    pub async fn begin(&self, events: &[NewRunEvent]) -> Result<Transaction> {
        match self {
            Self::Run(cx) => cx.begin(events).await,
            Self::Beside(deps, run) => {
                let mut t = deps.db.begin().await?;
                for event in events {
                    run_events::add_unleased(t.tx(), *run, event).await?;
                }
                Ok(t)
            }
        }
    }

    pub async fn commit(&self, t: Transaction) -> Result<()> {
        t.commit().await?;
        wake::run(self.run());
        Ok(())
    }

    pub fn event(&self, level: &'static str, message: impl Into<String>) -> NewRunEvent {
        NewRunEvent { at: self.now(), kind: "log", level, message: message.into(), detail: None }
    }

    /// Asks the cloud for as long as whoever writes may go on.
    pub async fn ask<T>(&self, what: impl Future<Output = engine::Result<T>> + Send) -> Result<T> {
        match self {
            Self::Run(cx) => ask(cx, what).await,
            Self::Beside(..) => what.await.map_err(failed),
        }
    }
}
