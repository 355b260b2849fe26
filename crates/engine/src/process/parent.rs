//! The parent's side.
//!
//! Lives here: starting a child for a job, its events, its end. May not: what is done with events.
//! Invariant: the events of a child end with exactly one `Done` or `Failed`, also when it was killed; dropping a
//! `Child` kills it.

use std::{collections::VecDeque, os::unix::process::ExitStatusExt as _, path::Path, process::Stdio, time::Duration};

use rustix::process::Signal;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{ChildStderr, ChildStdin, ChildStdout, Command},
    task::JoinHandle,
};

use tracing::Instrument as _;

use super::LONGEST_LINE;
use crate::{
    EngineError, ErrorKind, Result,
    job::{Event, Failure, Job},
};

/// Lines of standard error that are kept for the message about a child that broke off.
const LAST_WORDS: usize = 10;
/// How long a child may take to take its job, and to end after its last event.
const PATIENCE: Duration = Duration::from_secs(15);

/// A child process with its job.
pub struct Child {
    process: tokio::process::Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    line: Vec<u8>,
    last_words: JoinHandle<String>,
    /// The child waits to hear that what it told last is recorded.
    waits: bool,
    /// The last event was seen.
    answered: bool,
    gone: bool,
    /// We killed it ourselves.
    killed: bool,
}

impl Child {
    /// Starts `program` with `args`, which must end up in [`super::child_main`], and hands it the job.
    ///
    /// # Errors
    /// Those of the system when the program cannot be started.
    pub async fn start(program: &Path, args: &[&str], job: &Job) -> Result<Self> {
        let mut line = serde_json::to_vec(job).map_err(|e| EngineError::with_source(ErrorKind::Internal, "the job cannot be written as JSON", e))?;
        line.push(b'\n');
        #[allow(clippy::disallowed_methods, reason = "this is the place where processes start")]
        let mut command = Command::new(program);
        // A group of its own: Ctrl-C at the terminal reaches the server alone, which then stops its children in order.
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).process_group(0);
        let mut process = command.spawn().map_err(|e| EngineError::io("the child process", program, e))?;
        let (Some(mut stdin), Some(stdout), Some(stderr)) = (process.stdin.take(), process.stdout.take(), process.stderr.take()) else {
            return Err(EngineError::new(ErrorKind::Internal, "the child process has no pipes"));
        };
        // A child that dies at once closes the pipe; its end is told by its events.
        let handed_over = tokio::time::timeout(PATIENCE, stdin.write_all(&line)).await;
        zeroize::Zeroize::zeroize(&mut line);
        if !matches!(handed_over, Ok(Ok(()))) {
            tracing::warn!("the child process did not take its job");
        }
        let last_words = tokio::spawn(last_words(stderr).in_current_span());
        let stdout = BufReader::new(stdout);
        Ok(Self { process, stdin: Some(stdin), stdout, line: Vec::new(), last_words, waits: false, answered: false, gone: false, killed: false })
    }

    /// The process's id, as long as it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Asks the child to stop. It puts things in order, says `Failed` with `Cancelled`, and ends within
    /// [`super::GRACE`].
    pub fn ask_to_stop(&mut self) {
        self.stdin = None;
    }

    /// Kills the child. [`Self::next`] tells its end.
    pub fn kill(&mut self) {
        self.killed = true;
        if let Err(e) = self.process.start_kill() {
            tracing::debug!("the child process is gone already: {e}");
        }
    }

    /// The next event; `None` after the last one, when the process is gone. May be dropped and called again.
    ///
    /// Whoever asks for the one after an awaited one has recorded it: only then does the child go on.
    pub async fn next(&mut self) -> Option<Event> {
        if self.waits
            && let Some(stdin) = &mut self.stdin
        {
            // A child that is gone closes the pipe; its end is told by its events.
            stdin.write_all(b"\n").await.unwrap_or_default();
        }
        self.waits = false;
        while !self.gone {
            let chunk = match self.stdout.fill_buf().await {
                Ok([]) | Err(_) => return self.end().await,
                Ok(chunk) => chunk,
            };
            let newline = chunk.iter().position(|b| *b == b'\n');
            let length = newline.map_or(chunk.len(), |n| n + 1);
            self.line.extend_from_slice(&chunk[..length]);
            self.stdout.consume(length);
            if newline.is_none() && self.line.len() <= LONGEST_LINE {
                continue;
            }
            let line = std::mem::take(&mut self.line);
            if self.answered {
                continue;
            }
            match serde_json::from_slice::<Event>(&line) {
                Ok(event) => {
                    self.answered = matches!(event, Event::Done(_) | Event::Failed(_));
                    self.waits = event.is_awaited();
                    return Some(event);
                }
                Err(e) => {
                    self.kill();
                    self.answered = true;
                    return Some(failed(format!("the child process sent something that is no event: {e}")));
                }
            }
        }
        None
    }

    async fn end(&mut self) -> Option<Event> {
        self.stdin = None;
        if tokio::time::timeout(PATIENCE, self.process.wait()).await.is_err() {
            self.kill();
        }
        let ended = self.process.wait().await;
        self.gone = true;
        if std::mem::replace(&mut self.answered, true) {
            return None;
        }
        let words = (&mut self.last_words).await.unwrap_or_default();
        // The system's word for a lack of memory is SIGKILL, an allocator's is to abort.
        let by_system = ended.as_ref().is_ok_and(|s| s.signal() == Some(Signal::KILL.as_raw())) && !self.killed;
        let what = if by_system || words.contains("memory allocation of") {
            NO_MEMORY.to_owned()
        } else {
            format!("the child process ended early: {}", ended.map_or_else(|e| e.to_string(), |s| s.to_string()))
        };
        let words = if words.is_empty() { words } else { format!("; its last words: {words}") };
        Some(failed(format!("{what}{words}")))
    }
}

/// What a person reads where the kernel has ended a child.
const NO_MEMORY: &str = "the child process was killed from outside, most often because memory ran out (the system's log says “Out of memory” then); \
    give the machine more memory, or let fewer runs work at a time with --max-parallel";

fn failed(message: String) -> Event {
    Event::Failed(Failure { kind: ErrorKind::Internal, message, permanent: false })
}

/// Passes standard error on to the log and returns its end.
async fn last_words(stderr: ChildStderr) -> String {
    let mut kept = VecDeque::with_capacity(LAST_WORDS);
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::info!(target: "holdfast::child", "{line}");
        if kept.len() == LAST_WORDS {
            kept.pop_front();
        }
        kept.push_back(line.chars().take(500).collect::<String>());
    }
    kept.make_contiguous().join(" / ")
}
