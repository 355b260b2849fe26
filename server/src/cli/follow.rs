//! Seeing runs to their end at a terminal: progress, interruption, the summary, the exit code.
//!
//! Lives here: what every command that starts a run shares. May not: starting runs.

use std::{io::Write as _, path::Path, sync::Arc, time::Duration};

use domain::{
    id::RunId,
    run::RunState,
    units::{count, size, span},
};
use ops::{Ctx, OpsError};
use runner::Deps;
use serde_json::{Value, json};
use store::runs::RunRow;
use tokio::sync::Notify;

use super::{Failed, Result, Shell, report};

/// How often the progress line is drawn anew.
const DRAW: Duration = Duration::from_millis(250);

/// What to do where a run that stands in the way of a new one waits or runs already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Underway {
    /// It does the same work: see it to its end in place of the new one.
    IsTheSame,
    /// It works on the same target: see it to its end, then begin.
    ComesFirst,
}

/// Starts runs and sees them to their end. Also goes on with a run whose process was killed: nobody else may.
pub async fn start(shell: &Shell, ctx: &Ctx, json: bool, underway: Underway, start: impl AsyncFn() -> ops::Result<Vec<RunId>>) -> Result<u8> {
    let runs = match start().await {
        Err(OpsError::Underway { title, run }) => {
            shell.out.note(&format!("{title}: run {run} is under way; seeing it to its end."));
            if underway == Underway::ComesFirst {
                one(shell, ctx, run).await?;
                start().await?
            } else {
                vec![run]
            }
        }
        other => other?,
    };
    to_the_end(shell, ctx, &runs, json).await
}

/// Carries the runs out, or watches another worker do it; prints what came of them. The exit code is the worst one's.
///
/// The first interruption cancels the run, the second leaves it to another worker.
async fn to_the_end(shell: &Shell, ctx: &Ctx, runs: &[RunId], json: bool) -> Result<u8> {
    let mut reports = Vec::new();
    for id in runs {
        let ended = one(shell, ctx, *id).await?;
        let report = report::gather(ctx, ended).await?;
        if !json {
            report::print(shell.out, &report);
        }
        reports.push(report);
    }
    ctx.db.close().await;
    let worst = reports.iter().map(report::exit_code).max_by_key(|code| [0, 3, 1].iter().position(|c| c == code)).unwrap_or(0);
    if json {
        let mut all: Vec<Value> = reports.into_iter().map(|r| r.json).collect();
        shell.out.json(&if all.len() == 1 { all.remove(0) } else { json!({ "runs": all }) });
    }
    Ok(worst)
}

async fn one(shell: &Shell, ctx: &Ctx, id: RunId) -> Result<RunRow> {
    let program = std::env::current_exe().map_err(|e| Failed::new(format!("this program cannot be found again: {e}")))?;
    let leave = Arc::new(Notify::new());
    let signals = tokio::spawn(interruptions(ctx.clone(), id, shell.out, leave.clone()));
    let progress = shell.surroundings.watched.then(|| tokio::spawn(draw(ctx.clone(), id)));
    let left = leave.clone();
    let done = runner::execute_until_done(deps(shell, ctx, &program)?, id, async move { left.notified().await }).await;
    signals.abort();
    if let Some(task) = progress {
        task.abort();
        clear_line();
    }
    match done? {
        Some(finished) => Ok(finished.run),
        None => Err(Failed::new(format!("run {id} was left; a worker on this data folder goes on with it"))),
    }
}

/// # Errors
/// What is wrong with the file that `HOLDFAST_TEST_TOOLS` names.
fn deps(shell: &Shell, ctx: &Ctx, program: &Path) -> Result<Deps> {
    let work = Arc::new(runner::Children::new(program.to_owned()));
    let tools = shell.surroundings.test_tools(None).map_err(Failed::usage)?;
    Ok(Deps { tools, ..Deps::new(ctx.db.clone(), shell.data.clone(), shell.surroundings.env.clone(), work) })
}

/// The first signal cancels, the second leaves.
async fn interruptions(ctx: Ctx, id: RunId, out: super::Out, leave: Arc<Notify>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else { return };
    for first in [true, false] {
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
        }
        if !first {
            return leave.notify_one();
        }
        clear_line();
        out.note("Stopping; what was begun is put in order. Interrupt again to leave at once.");
        if let Err(e) = ops::runs::cancel(&ctx, id, "interrupted at the terminal").await {
            out.note(&e.to_string());
        }
    }
}

/// Draws the progress line until it is aborted.
async fn draw(ctx: Ctx, id: RunId) {
    loop {
        if let Ok(run) = ops::runs::find(&ctx, id).await
            && run.state().is_ok_and(RunState::is_live)
        {
            let line: String = progress_line(&run).chars().take(width()).collect();
            let mut err = std::io::stderr().lock();
            write!(err, "\r\x1b[2K\x1b[2m{line}\x1b[0m").and_then(|()| err.flush()).ok();
        }
        tokio::time::sleep(DRAW).await;
    }
}

fn clear_line() {
    use std::io::IsTerminal as _;
    let mut err = std::io::stderr().lock();
    if err.is_terminal() {
        write!(err, "\r\x1b[2K").and_then(|()| err.flush()).ok();
    }
}

/// The columns of the terminal, less one so that no line wraps.
fn width() -> usize {
    let columns = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(0, |w| usize::from(w.ws_col));
    // Some terminals do not know their width.
    if columns == 0 { 79 } else { columns.saturating_sub(1).clamp(20, 200) }
}

fn progress_line(run: &RunRow) -> String {
    let Some(p) = &run.progress else { return format!("{}: {}", run.title, run.state) };
    let mut parts = vec![format!("{}: {}", run.title, p.step)];
    if p.items_total > 0 {
        parts.push(format!("{}/{} items", count(p.items_done), count(p.items_total)));
    }
    if p.bytes_total > 0 {
        parts.push(format!("{} of {}", size(p.bytes_done), size(p.bytes_total)));
    } else if p.bytes_done > 0 {
        parts.push(size(p.bytes_done));
    }
    if p.bytes_per_s > 0 {
        parts.push(format!("{}/s", size(p.bytes_per_s)));
    }
    if let Some(left) = p.eta_s {
        parts.push(format!("{} left", span(left as f64)));
    }
    if !p.current.is_empty() {
        parts.push(p.current.clone());
    }
    parts.join(" · ")
}
