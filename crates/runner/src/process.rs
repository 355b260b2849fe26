//! The engine's work in a child process of the same program.
//!
//! Lives here: starting it for a run, stopping it, and ending what a dead worker left of it.
//! May not: what a job does (`engine`), how its events are recorded (`child`).

use std::{fs, path::PathBuf, time::Duration};

use engine::{
    ErrorKind,
    job::{Event, Failure, Job, Outcome},
    process::{Child, GRACE},
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{Told, Work};

/// The word in a child's arguments, before the run's id.
pub const WORD: &str = "job";

/// How long a killed process may take to be gone.
const GONE: Duration = Duration::from_secs(10);

/// Starts `program job RUN`, which must end up in `engine::process::child_main`.
#[derive(Clone, Debug)]
pub struct Children {
    program: PathBuf,
}

impl Children {
    pub const fn new(program: PathBuf) -> Self {
        Self { program }
    }
}

#[async_trait::async_trait]
impl Work for Children {
    async fn carry_out(&self, label: &str, job: Job, events: mpsc::Sender<Told>, mut stop: watch::Receiver<bool>) -> Result<Outcome, Failure> {
        let mut child = Child::start(&self.program, &[WORD, label], &job).await.map_err(|e| Failure::from(&e))?;
        drop(job);
        let (mut asked, mut killed, mut done) = (false, false, None);
        let patience = tokio::time::sleep(Duration::MAX);
        tokio::pin!(patience);
        loop {
            let event = tokio::select! {
                event = child.next() => event,
                true = told(&mut stop), if !asked => {
                    asked = true;
                    child.ask_to_stop();
                    patience.as_mut().reset(tokio::time::Instant::now() + GRACE);
                    continue;
                }
                () = &mut patience, if asked => {
                    if killed {
                        // It hangs in the system, as on a dead mount, and the kill comes before its next step.
                        let message = "the child process was killed but does not end; it hangs in the system, perhaps on a mount that does not answer";
                        return Err(Failure { kind: ErrorKind::Unavailable, message: message.to_owned(), permanent: false });
                    }
                    killed = true;
                    child.kill();
                    patience.as_mut().reset(tokio::time::Instant::now() + GONE);
                    continue;
                }
            };
            match event {
                Some(Event::Done(outcome)) => done = Some(Ok(outcome)),
                Some(Event::Failed(f)) => done = Some(Err(f)),
                Some(event) => {
                    let (recorded, done) = oneshot::channel();
                    let awaited = event.is_awaited();
                    let told = events.send(Told { event, recorded: awaited.then_some(recorded) }).await;
                    // The next event is asked for when this one is in the database: the child waits for that.
                    if told.is_err() || awaited && done.await.is_err() {
                        // Nobody listens any more, so the work ends.
                        child.ask_to_stop();
                    }
                }
                None => break,
            }
        }
        done.unwrap_or_else(|| Err(Failure { kind: ErrorKind::Internal, message: "the child process ended without a result".to_owned(), permanent: false }))
    }

    async fn clear(&self, label: &str) {
        let deadline = tokio::time::Instant::now() + GONE;
        loop {
            let left = left_of(label);
            if left.is_empty() {
                return;
            }
            for pid in &left {
                tracing::warn!(run = label, pid = pid.as_raw_nonzero().get(), "ending a child whose worker is gone");
                // It may have ended in between.
                kill_process(*pid, Signal::KILL).ok();
            }
            if tokio::time::Instant::now() > deadline {
                tracing::error!(run = label, "children of a dead worker do not end");
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn told(stop: &mut watch::Receiver<bool>) -> bool {
    stop.wait_for(|s| *s).await.is_ok()
}

/// Live processes of this machine that carry out a job of the run.
fn left_of(label: &str) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<i32>().ok()).and_then(Pid::from_raw) else { continue };
        // A zombie has no command line.
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        let args: Vec<&[u8]> = line.split(|b| *b == 0).collect();
        if args.windows(2).any(|w| w[0] == WORD.as_bytes() && w[1] == label.as_bytes()) {
            found.push(pid);
        }
    }
    found
}
