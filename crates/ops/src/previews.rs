//! What a restore would do, counted before it is confirmed (R26).
//!
//! Lives here: where the preview of a request stands, its checks, and the restore that follows it.
//! May not: counting (that is the preview's run).
//! Invariant: a restore is confirmed only on a preview of exactly the same request that is not older than [`HOLDS_S`].

use std::path::Path;

use domain::{
    evidence::Verdict,
    id::RunId,
    restore::ConflictMode,
    run::{RunKind, RunState},
    units::{Timestamp, size},
    work::{RestoreParams, RestoreResult, RestoreTarget, StepFailure},
};
use store::{
    runs::{self, RunRow},
    snapshots,
};

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, require_on},
    restores::{self, Request},
};

/// How long a preview holds, in seconds.
pub const HOLDS_S: i64 = 15 * 60;

/// Where a preview stands.
#[derive(Clone, Debug)]
pub enum Preview {
    /// The run waits or counts.
    Waiting(Box<RunRow>),
    Ready {
        result: RestoreResult,
        made_at: Timestamp,
        until: Timestamp,
    },
    /// It was made of something else, or is too old.
    Outdated,
    Failed(StepFailure),
}

/// One thing that was looked at before a restore begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    pub verdict: Verdict,
    pub detail: String,
}

/// Checks a request as [`restores::start`] does, without starting anything; it needs no confirmation.
pub async fn check(ctx: &Ctx, request: &Request) -> Result<RestoreParams> {
    require_on(ctx, Action::Restore, On::Any)?;
    Ok(restores::prepare(ctx, as_preview(request)).await?.params)
}

/// Starts counting what the request would do.
pub async fn start(ctx: &Ctx, request: &Request) -> Result<RunId> {
    restores::start(ctx, as_preview(request)).await
}

/// Where the preview `run` of this request stands.
///
/// # Errors
/// `NotFound` where the run is no preview of a restore; what is wrong with the request.
pub async fn find(ctx: &Ctx, request: &Request, run: RunId) -> Result<Preview> {
    let wanted = check(ctx, request).await?;
    let row = runs::find(ctx.db.read().await?.tx(), run).await?;
    let row = row.filter(|r| r.kind == RunKind::Restore.as_str()).ok_or_else(|| OpsError::not_found("preview", run))?;
    let made: RestoreParams = serde_json::from_value(row.params.0.clone()).map_err(OpsError::internal)?;
    if !made.preview || made != wanted {
        return Ok(Preview::Outdated);
    }
    let state = RunState::parse(&row.state);
    let (Some(finished), false) = (row.finished_at, state.is_some_and(RunState::is_live)) else { return Ok(Preview::Waiting(Box::new(row))) };
    if let (Some(result), Some(RunState::Succeeded)) = (&row.result, state) {
        let until = Timestamp(finished).plus_secs(HOLDS_S);
        if ctx.now() >= until {
            return Ok(Preview::Outdated);
        }
        let result = serde_json::from_value(result.0.clone()).map_err(OpsError::internal)?;
        return Ok(Preview::Ready { result, made_at: Timestamp(finished), until });
    }
    let stopped = || StepFailure::new("interrupted", "the preview was stopped before it had counted everything; make a new one", false);
    Ok(Preview::Failed(row.failure.map_or_else(stopped, |f| f.0)))
}

/// Starts the restore that `preview` has counted.
///
/// # Errors
/// `Conflict` where the preview is not ready, too old, of something else, or where files are in the way of a restore
/// that may not replace any; what [`restores::start`] refuses.
pub async fn confirm(ctx: &Ctx, request: Request, preview: RunId) -> Result<RunId> {
    match find(ctx, &request, preview).await? {
        Preview::Ready { result, .. } if request.conflict == ConflictMode::Fail && result.counts.skip > 0 => {
            Err(OpsError::Conflict(format!("{} files are in the way, and this restore may not replace any; choose another conflict mode", result.counts.skip)))
        }
        Preview::Ready { .. } => restores::start(ctx, Request { preview: false, ..request }).await,
        Preview::Waiting(_) => Err(OpsError::Conflict("the preview is not ready yet; wait for it".to_owned())),
        Preview::Outdated => Err(OpsError::Conflict("the preview is older than 15 minutes or was made of something else; make a new one".to_owned())),
        Preview::Failed(f) => Err(OpsError::Conflict(format!("the preview failed: {}", f.message))),
    }
}

/// What can be known before a restore begins.
pub async fn checks(ctx: &Ctx, request: &Request, result: &RestoreResult) -> Result<Vec<Check>> {
    require_on(ctx, Action::Restore, On::Any)?;
    let mut all = vec![space(result)];
    let mut read = ctx.db.read().await?;
    let (mut partial, mut unproven) = (0, 0);
    for choice in &request.choices {
        if let Some(s) = snapshots::find(read.tx(), choice.snapshot).await? {
            require_on(ctx, Action::Restore, &s)?;
            partial += usize::from(s.state == "partial");
            unproven += usize::from(s.verified_at.is_none());
        }
    }
    let of = |n: usize| if request.choices.len() == 1 { "the snapshot".to_owned() } else { format!("{n} of {} snapshots", request.choices.len()) };
    let (verdict, detail) = match partial {
        0 => (Verdict::Passed, "nothing was unreadable when it was taken".to_owned()),
        n => (Verdict::Failed, format!("{} lacks files that could not be read when it was taken", of(n))),
    };
    all.push(Check { name: "Completeness", verdict, detail });
    let (verdict, detail) = match unproven {
        0 => (Verdict::Passed, "a restore test has read what is restored".to_owned()),
        n => (Verdict::Unknown, format!("no restore test has read {} yet; every file is compared with its hash while it is restored", of(n))),
    };
    all.push(Check { name: "Proof", verdict, detail });
    if request.target == RestoreTarget::InPlace {
        all.push(Check {
            name: "In use",
            verdict: Verdict::Unknown,
            detail: "Holdfast cannot see whether somebody writes to these folders now; stop the service first where it matters".to_owned(),
        });
    }
    Ok(all)
}

/// Several landings are usually on one file system; the smallest room counts.
fn space(result: &RestoreResult) -> Check {
    let needed = result.counts.bytes;
    let free = result.landings.iter().take(100).map(|l| engine::space::free_bytes(Path::new(&l.path))).collect::<engine::Result<Vec<_>>>();
    let (verdict, detail) = match free.map(|all| all.into_iter().min()) {
        Ok(Some(free)) => {
            let free = i64::try_from(free).unwrap_or(i64::MAX);
            // What is replaced stays until the new files stand.
            let verdict = if free > needed { Verdict::Passed } else { Verdict::Failed };
            (verdict, format!("{} needed, {} free at the target", size(needed), size(free)))
        }
        Ok(None) => (Verdict::Unknown, "could not check: nothing lands anywhere".to_owned()),
        Err(e) => (Verdict::Unknown, format!("could not check: {}", e.message)),
    };
    Check { name: "Space", verdict, detail }
}

fn as_preview(request: &Request) -> Request {
    Request { preview: true, confirm: None, ..request.clone() }
}
