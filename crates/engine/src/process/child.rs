//! The child's side.
//!
//! Lives here: reading the job, watching the parent, writing events. May not: starting anything.
//! Invariant: when the parent is gone, this process ends within [`GRACE`].

use std::{
    io::{BufRead as _, Read as _, Write as _},
    process::ExitCode,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::LONGEST_LINE;
use crate::{
    Ctx, EngineError, ErrorKind,
    job::{Event, Job},
};

/// How long the work may take to put things in order after the parent is gone or has asked to stop.
pub const GRACE: Duration = Duration::from_secs(10);

/// How long a job waits for somebody else's lock. Its run is tried again after that; a patient job waits on.
const LOCK_PATIENCE: Duration = Duration::from_mins(10);
/// The longest wait for the parent to record what it was told.
const RECORDED_WITHIN: Duration = Duration::from_mins(2);

/// What the parent has said since the job: how many events it has recorded, and whether it is gone.
#[derive(Default)]
struct Parent {
    said: Mutex<(usize, bool)>,
    news: Condvar,
}

impl Parent {
    fn says(&self, recorded: usize, gone: bool) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        *said = (said.0 + recorded, said.1 || gone);
        self.news.notify_all();
    }

    /// Waits until it has recorded one more. `false` where it will not.
    fn records(&self) -> bool {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.news.wait_timeout_while(said, RECORDED_WITHIN, |(recorded, gone)| *recorded == 0 && !*gone);
        let (mut said, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let recorded = said.0 > 0;
        said.0 = said.0.saturating_sub(1);
        recorded
    }
}

/// Reads a job from standard input, carries it out and writes events to standard output.
///
/// The exit code is 0 when the last event could be written, whatever it says.
pub fn child_main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            write_event(&Event::Failed((&e).into()));
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<(), EngineError> {
    let job = read_job()?;
    more_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|e| EngineError::with_source(ErrorKind::Internal, format!("the runtime cannot start: {e}"), e))?;
    let (cancel, parent) = (Arc::new(AtomicBool::new(false)), Arc::new(Parent::default()));
    watch_parent(cancel.clone(), parent.clone())?;
    let sink = {
        let cancel = cancel.clone();
        move |event: Event| {
            let told = write_event(&event);
            // Whatever kills parent and child, no lock is left that nobody knows of, and no restore stands unknown.
            if !told || event.is_awaited() && !parent.records() {
                cancel.store(true, Relaxed);
            }
        }
    };
    let patience = if job.is_patient() { Duration::MAX } else { LOCK_PATIENCE };
    crate::run(&job, &Ctx { sink: &sink, cancel: &cancel, rt: runtime.handle().clone(), patience });
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(())
}

fn read_job() -> Result<Job, EngineError> {
    let bad = |e: &dyn std::fmt::Display| EngineError::new(ErrorKind::Invalid, format!("the job cannot be read: {e}"));
    let mut line = Vec::new();
    std::io::stdin().lock().take(LONGEST_LINE as u64).read_until(b'\n', &mut line).map_err(|e| bad(&e))?;
    let job = serde_json::from_slice(&line).map_err(|e| bad(&e));
    zeroize::Zeroize::zeroize(&mut line);
    job
}

/// Counts what the parent has recorded, and ends this process soon after standard input ends.
fn watch_parent(cancel: Arc<AtomicBool>, parent: Arc<Parent>) -> Result<(), EngineError> {
    let watch = move || {
        let mut rest = [0; 64];
        loop {
            match std::io::stdin().lock().read(&mut rest) {
                Ok(0) => break,
                Ok(n) => parent.says(n, false),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        cancel.store(true, Relaxed);
        parent.says(0, true);
        std::thread::sleep(GRACE);
        std::process::exit(75);
    };
    let started = std::thread::Builder::new().name("parent".into()).spawn(watch);
    started.map(drop).map_err(|e| EngineError::with_source(ErrorKind::Internal, format!("a thread cannot start: {e}"), e))
}

fn write_event(event: &Event) -> bool {
    let Ok(mut line) = serde_json::to_vec(event) else { return false };
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&line).and_then(|()| out.flush()).is_ok()
}

/// Deep trees hold one descriptor a level: take as many as the system allows.
fn more_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(e) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::debug!("the limit of descriptors stays at {:?}: {e}", limit.current);
    }
}
