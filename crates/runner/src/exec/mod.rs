//! Carrying out one claimed run: forward step by step, or back.
//!
//! Lives here: recording steps, deciding between retry, unwinding and the end. May not: what a kind's steps do.
//! Invariant: a step that is recorded as done is never done again; a run that fails is unwound before it ends, and what
//! stands is never called taken back.

mod cx;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use domain::{
    id::ServiceId,
    run::{RunEvent, RunKind, StepState},
    units::Timestamp,
    work::StepFailure,
};
use serde_json::{Value, json};
use store::{
    audit::{self, NewEvent},
    queue, run_events,
    runs::RunRow,
    services,
    steps::{self, StepRow},
    wake,
};

use crate::{
    Deps, child,
    deps::Moment,
    kinds,
    lease::{Lease, Stop},
    owner,
    step::{Break, Result, Step, Undo},
};

pub use self::cx::Cx;

/// Unwinding that kills its worker every time is given up after so many attempts: every retry has an end.
const MOST_UNWINDINGS: i64 = 5;
/// Targets that a message names.
const NAMED: usize = 5;

/// How a kind of run says that it is through.
pub struct Ended {
    pub event: RunEvent,
    pub result: Option<Value>,
    pub failure: Option<StepFailure>,
}

impl Ended {
    pub fn new(event: RunEvent, result: &impl serde::Serialize, failure: Option<StepFailure>) -> Self {
        Self { event, result: serde_json::to_value(result).ok(), failure }
    }
}

/// A run while it is carried out.
pub struct Exec {
    pub cx: Cx,
    rows: Vec<StepRow>,
    next: usize,
    /// Only collect what was done, in order to undo it.
    unwinding: bool,
    undo: Vec<Box<dyn Undo>>,
}

impl Exec {
    /// Does a step, or gives the recorded result of one that was done.
    pub async fn step<S: Step>(&mut self, step: S) -> Result<S::Out> {
        let ordinal = self.next;
        self.next += 1;
        let row = self.rows.get(ordinal).filter(|r| r.name == S::NAME);
        let done = row.is_some_and(|r| matches!(r.state(), Ok(StepState::Succeeded | StepState::Tolerated)));
        let recorded = row.filter(|_| done).and_then(|r| serde_json::from_value::<S::Out>(r.output.as_ref().map_or(Value::Null, |j| j.0.clone())).ok());
        if let Some(out) = recorded {
            self.undo.push(Box::new(step));
            return Ok(out);
        }
        if self.unwinding {
            if row.is_some_and(|r| r.attempt > 0) {
                self.undo.push(Box::new(step));
            }
            return Err(Break::EndOfRecord);
        }
        self.cx.check()?;
        let begun = self.cx.now();
        let event =
            self.cx.event("step", "info", format!("{}: begins", words(S::NAME)), Some(json!({"step": S::NAME, "ordinal": ordinal, "state": "running"})));
        let mut t = self.cx.begin(&[event]).await?;
        steps::start(t.tx(), self.cx.id(), ordinal as i64, &step.input(), begun).await?;
        self.cx.commit(t).await?;
        let applied = async {
            self.cx.fault(S::NAME, Moment::Begun)?;
            let done = step.apply(&self.cx).await?;
            self.cx.fault(S::NAME, Moment::Done)?;
            Ok::<_, Break>(done)
        };
        let result = applied.await;
        // A failure that is tolerated may have been a child's death: what it left must not stay.
        if result.as_ref().is_ok_and(|done| done.tolerated.is_some()) {
            clear_leftovers(&self.cx).await?;
        }
        self.undo.push(Box::new(step));
        let (state, output, failure, out) = match result {
            Ok(done) => {
                let output = serde_json::to_value(&done.out).map_err(|e| Break::Failed(StepFailure::new("internal", format!("{}: {e}", S::NAME), true)))?;
                (if done.tolerated.is_some() { StepState::Tolerated } else { StepState::Succeeded }, Some(output), done.tolerated, Ok(done.out))
            }
            Err(Break::Failed(f)) => (StepState::Failed, None, Some(f.clone()), Err(Break::Failed(f))),
            Err(Break::Stopped(Stop::Cancelled)) => (StepState::Cancelled, None, None, Err(Break::Stopped(Stop::Cancelled))),
            Err(other) => return Err(other),
        };
        let now = self.cx.now();
        // The clock may have been set back meanwhile.
        let took = now.secs_since(begun).max(0.0);
        let level = if state == StepState::Succeeded { "info" } else { "warn" };
        let tail = failure.as_ref().map(|f| format!(": {}", f.message)).unwrap_or_default();
        let detail = json!({"step": S::NAME, "ordinal": ordinal, "state": state, "seconds": took});
        let event = self.cx.event("step", level, format!("{}: {state} after {}{tail}", words(S::NAME), domain::units::span(took)), Some(detail));
        let mut t = self.cx.begin(&[event]).await?;
        steps::finish(t.tx(), self.cx.id(), ordinal as i64, state, output.as_ref(), failure.as_ref(), now).await?;
        self.cx.commit(t).await?;
        if out.is_ok() {
            self.cx.fault(S::NAME, Moment::Recorded)?;
        }
        out
    }

    /// Passes over the next step, which has nothing to do, and says why.
    pub async fn skip(&mut self, name: &'static str, why: &str) -> Result<()> {
        let ordinal = self.next;
        self.next += 1;
        if self.rows.get(ordinal).is_some_and(|r| r.name == name && matches!(r.state(), Ok(StepState::Skipped))) {
            return Ok(());
        }
        if self.unwinding {
            return Err(Break::EndOfRecord);
        }
        self.cx.check()?;
        let detail = json!({"step": name, "ordinal": ordinal, "state": StepState::Skipped});
        let mut t = self.cx.begin(&[self.cx.event("step", "info", format!("{}: skipped: {why}", words(name)), Some(detail))]).await?;
        steps::finish(t.tx(), self.cx.id(), ordinal as i64, StepState::Skipped, Some(&json!({"why": why})), None, self.cx.now()).await?;
        self.cx.commit(t).await
    }

    /// Whether a step of that name is recorded as done.
    fn is_done(&self, name: &str) -> bool {
        self.rows.iter().any(|r| r.name == name && matches!(r.state(), Ok(StepState::Succeeded | StepState::Tolerated)))
    }

    /// Undoes what was done, the last first. The failures of undoing, in words.
    async fn unwind(&mut self) -> Result<Vec<String>> {
        self.cx.undoing.store(true, Ordering::Relaxed);
        let mut left = Vec::new();
        while let Some(step) = self.undo.pop() {
            let mut tries = 0;
            loop {
                tries += 1;
                let undone = async {
                    self.cx.fault(step.name(), Moment::Undoing)?;
                    step.undo_it(&self.cx).await?;
                    self.cx.fault(step.name(), Moment::Undone)
                };
                match undone.await {
                    Ok(()) => break,
                    Err(Break::Failed(f)) if f.permanent || tries >= 3 => {
                        self.cx.log("error", format!("{}: could not be undone: {}", words(step.name()), f.message)).await?;
                        left.push(format!("{} could not be undone: {}", words(step.name()), f.message));
                        break;
                    }
                    Err(Break::Failed(_)) => tokio::time::sleep(self.cx.deps.limits.backoff).await,
                    Err(other) => return Err(other),
                }
            }
        }
        Ok(left)
    }
}

/// How a name of a step reads.
fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// What became of a run in this worker's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Ended,
    /// It waits for another attempt.
    Requeued,
    /// Another worker has it, or will.
    Given,
}

/// Carries a claimed run out.
pub async fn execute(deps: Arc<Deps>, run: RunRow, lease: Lease) -> Left {
    let id = run.id();
    match carry(deps, run, lease).await {
        Ok(left) => left,
        Err(Break::Stopped(why)) => {
            tracing::info!(run = %id, ?why, "left the run");
            Left::Given
        }
        Err(Break::Store(e)) => {
            tracing::error!(run = %id, error = %e, "the database failed; the run is taken up again when it answers");
            Left::Given
        }
        Err(other) => {
            tracing::error!(run = %id, ?other, "left the run");
            Left::Given
        }
    }
}

async fn carry(deps: Arc<Deps>, run: RunRow, lease: Lease) -> Result<Left> {
    let (kind, attempts, max) = (run.kind(), run.attempts, run.max_attempts);
    let cancelled = run.cancel_requested_at.is_some();
    let cx = Cx { deps, run, lease, undoing: AtomicBool::new(false), settled: AtomicBool::new(false) };
    let kind = match kind.map_err(Break::from) {
        Ok(kind) => kind,
        Err(Break::Failed(f)) => return finish(&cx, Ended { event: RunEvent::Fail, result: None, failure: Some(f) }, StepState::Skipped).await,
        Err(other) => return Err(other),
    };
    let mut t = cx.begin(&[]).await?;
    steps::plan(t.tx(), cx.id(), kinds::steps(kind)).await?;
    let mut rows = steps::of_run(t.tx(), cx.id()).await?;
    cx.commit(t).await?;
    let elsewhere = here(&cx).await?;
    if elsewhere.is_some()
        && let Some(from) = kinds::local_from(kind)
    {
        // What these steps have made lies on another machine; here they are done anew.
        for row in rows.iter_mut().skip_while(|r| r.name != from) {
            StepState::Pending.as_str().clone_into(&mut row.state);
        }
    }
    let mut exec = Exec { cx, rows, next: 0, unwinding: false, undo: Vec::new() };
    // An attempt that a stop of the server cut short is not counted, but may have left something.
    let begun = exec.rows.iter().any(|r| r.attempt > 0);
    if attempts > 1 || begun {
        if attempts > 1 {
            exec.cx.log("warn", format!("taken up again by this worker, attempt {attempts} of {max}")).await?;
        }
        clear_leftovers(&exec.cx).await?;
    } else {
        let event = exec.cx.event("state", "info", "running", Some(json!({"state": "running"})));
        let t = exec.cx.begin(&[event]).await?;
        exec.cx.commit(t).await?;
    }
    // A restore that has written its target has only to be recorded; before that it is not repeated without consent.
    let written = kinds::stands_after(kind).is_some_and(|step| exec.is_done(step));
    let may_go_on = attempts == 1 || (kind.resumes_alone() && attempts <= max) || (written && attempts <= max + 2);
    if written {
        exec.cx.settle();
    }
    if cancelled && !written {
        return back(exec, RunEvent::Cancel, &|stands, _| cancel_failure(stands)).await;
    }
    if !may_go_on {
        let why = |stands: Option<String>, whole: bool| {
            let message = if kind.resumes_alone() {
                format!("its worker was lost {} times; see the log of the server", attempts - 1)
            } else if let Some(stands) = stands {
                format!("its worker was lost, and what the restore counted with it: {stands}")
            } else if let Some(host) = elsewhere.as_ref().filter(|_| kind == RunKind::Restore) {
                format!(
                    "its worker on {host} was lost in the middle; what it had begun is taken back as far as this machine sees the target. \
                     If the target is a disk of {host} alone, look at it there before you start the restore again"
                )
            } else if whole {
                "its worker was lost in the middle; the target was brought back to what it was. Start the restore again when you want it".to_owned()
            } else {
                "its worker was lost in the middle, and not all that it had begun could be taken back".to_owned()
            };
            StepFailure::new("crashed", message, false)
        };
        return back(exec, RunEvent::Interrupt, &why).await;
    }
    match kinds::run(kind, &mut exec).await {
        Ok(ended) => finish(&exec.cx, ended, StepState::Skipped).await,
        Err(Break::Failed(f)) => {
            clear_leftovers(&exec.cx).await?;
            if !f.permanent && kind.resumes_alone() && attempts < max {
                return requeue(&exec.cx, &f, attempts).await;
            }
            let left = exec.unwind().await?;
            let mut f = with_leftovers(f, left);
            if let Some(stands) = standing(&exec.cx).await? {
                f.message = format!("{}; {stands}", f.message);
            }
            finish(&exec.cx, Ended { event: RunEvent::Fail, result: None, failure: Some(f) }, StepState::Failed).await
        }
        Err(Break::Stopped(Stop::Cancelled)) => {
            exec.cx.undoing.store(true, Ordering::Relaxed);
            clear_leftovers(&exec.cx).await?;
            let left = exec.unwind().await?;
            let why = with_leftovers(cancel_failure(standing(&exec.cx).await?), left);
            finish(&exec.cx, Ended { event: RunEvent::Cancel, result: None, failure: Some(why) }, StepState::Cancelled).await
        }
        Err(Break::Stopped(Stop::Shutdown)) => {
            let mut t = exec.cx.deps.db.begin().await?;
            queue::release(t.tx(), exec.cx.id(), exec.cx.lease.token, kind.resumes_alone()).await?;
            t.commit().await?;
            wake::queue();
            Err(Break::Stopped(Stop::Shutdown))
        }
        Err(other) => Err(other),
    }
}

/// Writes down which worker has the run now; the machine of the one before, where that is another.
async fn here(cx: &Cx) -> Result<Option<String>> {
    let place = owner::place();
    let before = run_events::details(cx.deps.db.read().await?.tx(), cx.id(), "worker").await?;
    let last = before.iter().rev().find_map(|d| d["place"].as_str()).filter(|p| *p != place).map(|p| owner::host(p).to_owned());
    let message = format!("carried out by {} on {}", cx.deps.name, owner::host(&place));
    let t = cx.begin(&[cx.event("worker", "debug", message, Some(json!({"place": place, "name": cx.deps.name})))]).await?;
    cx.commit(t).await?;
    Ok(last)
}

fn cancel_failure(stands: Option<String>) -> StepFailure {
    let tail = stands.map_or_else(|| "cancelled; what had been begun was taken back".to_owned(), |stands| format!("cancelled too late: {stands}"));
    StepFailure::new("cancelled", tail, false)
}

/// What of a restore stands although its run does not end well, in words; `None` where nothing does.
async fn standing(cx: &Cx) -> Result<Option<String>> {
    let told = run_events::details(cx.deps.db.read().await?.tx(), cx.id(), child::STANDS).await?;
    let mut targets: Vec<&str> = told.iter().filter_map(|d| d["targets"].as_array()).flatten().filter_map(Value::as_str).collect();
    targets.sort_unstable();
    targets.dedup();
    if cx.run.kind()? != RunKind::Restore || targets.is_empty() {
        return Ok(None);
    }
    let more = if targets.len() > NAMED { ", …" } else { "" };
    let named = targets[..targets.len().min(NAMED)].join(", ");
    Ok(Some(format!("the restore had come to its end at {named}{more} and stands there; a preview shows whether anything is missing")))
}

fn with_leftovers(mut f: StepFailure, left: Vec<String>) -> StepFailure {
    for l in left {
        f.message.push_str("; ");
        f.message.push_str(&l);
    }
    f
}

/// Collects what an earlier attempt did, undoes it and ends the run. `why` is given what stands, and whether all was undone.
async fn back(mut exec: Exec, event: RunEvent, why: &(dyn Fn(Option<String>, bool) -> StepFailure + Sync)) -> Result<Left> {
    exec.cx.undoing.store(true, Ordering::Relaxed);
    let left = if exec.cx.run.attempts > exec.cx.run.max_attempts + MOST_UNWINDINGS {
        vec!["cleaning up was given up because the worker was lost in it again and again; what is left is named in the log".to_owned()]
    } else {
        clear_leftovers(&exec.cx).await?;
        exec.unwinding = true;
        match kinds::run(exec.cx.run.kind()?, &mut exec).await {
            Ok(_) | Err(Break::EndOfRecord | Break::Failed(_)) => {}
            Err(other) => return Err(other),
        }
        exec.unwind().await?
    };
    let why = with_leftovers(why(standing(&exec.cx).await?, left.is_empty()), left);
    let state = if event == RunEvent::Cancel { StepState::Cancelled } else { StepState::Interrupted };
    finish(&exec.cx, Ended { event, result: None, failure: Some(why) }, state).await
}

/// Ends processes and removes locks that a killed child or a dead worker left.
async fn clear_leftovers(cx: &Cx) -> Result<()> {
    let was = cx.undoing.swap(true, Ordering::Relaxed);
    cx.deps.work.clear(&cx.id().to_string()).await;
    let cleared = child::unlock(cx).await;
    cx.undoing.store(was, Ordering::Relaxed);
    cleared
}

async fn requeue(cx: &Cx, f: &StepFailure, attempts: i64) -> Result<Left> {
    let factor = 4_i64.pow(u32::try_from(attempts - 1).unwrap_or(0).min(5));
    let wait = i64::try_from(cx.deps.limits.backoff.as_micros()).unwrap_or(i64::MAX).saturating_mul(factor);
    let at = Timestamp(cx.now().0.saturating_add(wait));
    let message = format!("waits for another attempt in {}: {}", domain::units::span(wait as f64 / 1e6), f.message);
    let mut t = cx.begin(&[cx.event("state", "warn", message, Some(json!({"state": "queued"})))]).await?;
    queue::requeue(t.tx(), cx.id(), cx.lease.token, at).await?;
    cx.commit(t).await?;
    wake::queue();
    Ok(Left::Requeued)
}

async fn finish(cx: &Cx, ended: Ended, open_steps: StepState) -> Result<Left> {
    let now = cx.now();
    let state = domain::run::RunState::Running.after(ended.event).map_err(|e| crate::step::permanent("internal", e.to_string()))?;
    let level = if state == domain::run::RunState::Succeeded { "info" } else { "warn" };
    let message = ended.failure.as_ref().map_or_else(|| state.to_string(), |f| format!("{state}: {}", f.message));
    let failure = ended.failure.as_ref().and_then(|f| serde_json::to_value(f).ok());
    let mut t = cx.begin_audited(&[cx.event("state", level, message, Some(json!({"state": state})))]).await?;
    steps::close(t.tx(), cx.id(), open_steps, now).await?;
    let end = queue::End { event: ended.event, result: ended.result, failure: failure.clone() };
    if queue::finish(t.tx(), cx.id(), cx.lease.token, &end, now).await?.is_none() {
        return Err(Break::Stopped(Stop::Lost));
    }
    if let (Some(service), true) = (cx.run.service_id, is_backup_or_restore(&cx.run)) {
        services::set_run(t.tx(), ServiceId(service), cx.id(), state.as_str(), now).await?;
    }
    kinds::instance_snapshot::tell_failure(t.tx(), &cx.run, state, ended.failure.as_ref(), now).await?;
    let event = NewEvent {
        action: "run.finish",
        entity: "run",
        entity_id: cx.id().to_string(),
        before: Some(json!({"state": "running"})),
        after: Some(json!({"state": state, "failure": failure})),
    };
    audit::record(t.tx(), now, "holdfast", "worker", event).await?;
    cx.commit(t).await?;
    wake::queue();
    let took = now.secs_since(cx.run.started_at.map_or(now, Timestamp)).max(0.0);
    metrics::histogram!("holdfast_run_duration_seconds", "kind" => cx.run.kind.clone(), "state" => state.as_str()).record(took);
    tracing::info!(state = state.as_str(), took_s = took, "ended");
    Ok(Left::Ended)
}

/// Restore tests have their own facts beside the service's.
fn is_backup_or_restore(run: &RunRow) -> bool {
    matches!(run.kind(), Ok(RunKind::Backup | RunKind::Restore | RunKind::InstanceSnapshot | RunKind::InstanceClone | RunKind::InstanceRestore))
}
