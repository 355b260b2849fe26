//! The steps of an exercise: begun, ticked, failed, skipped, or done by a restore test.
//!
//! Lives here: the use cases of one step. May not: the exercise as a whole.
//! Invariant: a step is settled once. Whoever comes second is told who was first, and nothing of the first is overwritten.

use domain::{
    evidence::Verdict,
    exercise::{StepKind, StepState},
    id::{ExerciseId, RestoreTestId, RunId, ServiceId},
    run::RunState,
    units::Timestamp,
    work::{RestoreTestParams, Selection},
};
use serde_json::json;
use store::{
    audit::NewEvent,
    db::Transaction,
    exercises::{self, ExerciseRow, Settled, StepRow},
    restore_tests::{self, RestoreTestRow},
    runs as run_rows, services, wake,
};

use super::{because, noted, open};
use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, require_on},
    restore_tests as tests,
    runs::enqueue_in,
};

/// What a person says of a step. Positions count from 0 here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Done,
    Failed,
    Skipped,
}

/// Says that a step is being done, so that its time is measured from now.
pub async fn begin(ctx: &Ctx, id: ExerciseId, position: i64) -> Result<()> {
    let (mut t, _) = open(ctx, id).await?;
    let step = manual(step(&mut t, id, position).await?)?;
    if !exercises::begin_step(t.tx(), id, position, &ctx.actor.name, None, ctx.now()).await? {
        return Err(first(&step));
    }
    record(ctx, &mut t, id, &step, "exercise.step.begin", StepState::Running, "").await?;
    t.commit().await?;
    Ok(())
}

/// Settles a step by a person's word, at this moment and in their name.
///
/// # Errors
/// `Conflict` where somebody was first, with who it was; `Invalid` for a failure without a note and a skip without a reason.
pub async fn settle(ctx: &Ctx, id: ExerciseId, position: i64, said: Said, note: &str) -> Result<()> {
    require_on(ctx, Action::Plan, On::Any)?;
    let (state, note) = match said {
        Said::Done => (StepState::Done, noted("note", note)?),
        Said::Failed if note.trim().is_empty() => return Err(OpsError::invalid("note", "is empty; say what failed")),
        Said::Failed => (StepState::Failed, noted("note", note)?),
        Said::Skipped if note.trim().is_empty() => return Err(OpsError::invalid("note", "is empty; say why the step is skipped")),
        Said::Skipped => (StepState::Skipped, because(note)?),
    };
    let (mut t, _) = open(ctx, id).await?;
    let step = step(&mut t, id, position).await?;
    if step.kind != StepKind::Manual.as_str() && (said != Said::Skipped || step.run_id.is_some()) {
        return Err(OpsError::invalid("step", "is done by a restore test, and its verdict decides; start the test or name one"));
    }
    let end = Settled { state, ended_at: ctx.now(), actor: &ctx.actor.name, note: some(&note), test: None, began_at: None };
    close(ctx, &mut t, id, &step, &end).await?;
    t.commit().await?;
    Ok(())
}

/// Starts the restore test that a step asks for.
pub async fn start_test(ctx: &Ctx, id: ExerciseId, position: i64, selection: Selection) -> Result<RunId> {
    require_on(ctx, Action::Operate, On::Any)?;
    let (mut t, row) = open(ctx, id).await?;
    require_on(ctx, Action::Operate, On::Service(ServiceId(row.service_id)))?;
    let step = automatic(step(&mut t, id, position).await?)?;
    let service = services::find(t.tx(), ServiceId(row.service_id)).await?.filter(|s| s.removed_at.is_none());
    let service = service.ok_or_else(|| OpsError::not_found("service", row.service_id))?;
    let run = enqueue_in(ctx, &mut t, tests::order(&service, RestoreTestParams::built_in(selection), None)?, None).await?;
    if !exercises::begin_step(t.tx(), id, position, &ctx.actor.name, Some(run), ctx.now()).await? {
        return Err(first(&step));
    }
    record(ctx, &mut t, id, &step, "exercise.step.test", StepState::Running, &run.to_string()).await?;
    t.commit().await?;
    wake::queue();
    Ok(run)
}

/// Lets a restore test that was made since the exercise began be the step.
///
/// # Errors
/// `Invalid` for a test of another service, or from before the exercise.
pub async fn link_test(ctx: &Ctx, id: ExerciseId, position: i64, test: RestoreTestId) -> Result<StepState> {
    let (mut t, row) = open(ctx, id).await?;
    let step = automatic(step(&mut t, id, position).await?)?;
    if step.run_id.is_some() {
        return Err(OpsError::Conflict("a restore test was started for this step already; take its verdict".to_owned()));
    }
    let found = restore_tests::find(t.tx(), test).await?.filter(|f| f.service_id == row.service_id);
    let found = found.ok_or_else(|| OpsError::invalid("test", "is no restore test of this service; give the id from its report's address"))?;
    if found.started_at < row.started_at {
        return Err(OpsError::invalid("test", "began before this exercise did; start one for this step"));
    }
    let state = judged(ctx, &mut t, id, &step, &found).await?;
    t.commit().await?;
    Ok(state)
}

/// Takes the verdict of the restore test that was started for a step.
///
/// # Errors
/// `Conflict` while it runs.
pub async fn take(ctx: &Ctx, id: ExerciseId, position: i64) -> Result<StepState> {
    let (mut t, row) = open(ctx, id).await?;
    let step = automatic(step(&mut t, id, position).await?)?;
    let Some(run) = step.run_id.map(RunId) else {
        return Err(OpsError::Conflict("no restore test was started for this step; start one".to_owned()));
    };
    let state = match restore_tests::of_run(t.tx(), run).await? {
        Some(test) => judged(ctx, &mut t, id, &step, &test).await?,
        None => no_test(ctx, &mut t, id, &row, &step, run).await?,
    };
    t.commit().await?;
    Ok(state)
}

async fn judged(ctx: &Ctx, t: &mut Transaction, id: ExerciseId, step: &StepRow, test: &RestoreTestRow) -> Result<StepState> {
    let verdict = Verdict::parse(&test.verdict).unwrap_or(Verdict::Unknown);
    let state = StepState::of(verdict);
    let note = format!("restore test {}: {}", test.id, test.verdict);
    let end = Settled {
        state,
        ended_at: Timestamp(test.finished_at),
        actor: &ctx.actor.name,
        note: Some(&note),
        test: Some(RestoreTestId(test.id)),
        began_at: Some(Timestamp(test.started_at)),
    };
    close(ctx, t, id, step, &end).await?;
    Ok(state)
}

/// A run that has ended without recording a test has failed the step.
async fn no_test(ctx: &Ctx, t: &mut Transaction, id: ExerciseId, row: &ExerciseRow, step: &StepRow, run: RunId) -> Result<StepState> {
    let found = run_rows::find(t.tx(), run).await?;
    let state = found.as_ref().and_then(|r| RunState::parse(&r.state));
    if matches!(state, Some(RunState::Queued | RunState::Running)) {
        return Err(OpsError::Conflict(format!(
            "the restore test still {}; come back when it has ended",
            if state == Some(RunState::Queued) { "waits" } else { "runs" }
        )));
    }
    tracing::info!(exercise = %row.id, %run, "the run of a step ended without a test");
    let note = format!("run {run} ended without a restore test: {}", state.map_or("gone", RunState::as_str));
    let ended_at = found.and_then(|r| r.finished_at).map_or_else(|| ctx.now(), Timestamp);
    let end = Settled { state: StepState::Failed, ended_at, actor: &ctx.actor.name, note: Some(&note), test: None, began_at: None };
    close(ctx, t, id, step, &end).await?;
    Ok(StepState::Failed)
}

async fn close(ctx: &Ctx, t: &mut Transaction, id: ExerciseId, step: &StepRow, end: &Settled<'_>) -> Result<()> {
    if !exercises::settle_step(t.tx(), id, step.position, end).await? {
        return Err(first(step));
    }
    record(ctx, t, id, step, "exercise.step", end.state, end.note.unwrap_or_default()).await
}

async fn step(t: &mut Transaction, id: ExerciseId, position: i64) -> Result<StepRow> {
    let all = exercises::steps(t.tx(), id).await?;
    let found = usize::try_from(position).ok().and_then(|p| all.into_iter().nth(p));
    found.ok_or_else(|| OpsError::not_found("step", position.saturating_add(1)))
}

fn manual(step: StepRow) -> Result<StepRow> {
    if step.kind == StepKind::Manual.as_str() { Ok(step) } else { Err(OpsError::invalid("step", "is done by a restore test; start the test")) }
}

fn automatic(step: StepRow) -> Result<StepRow> {
    if step.kind == StepKind::RestoreTest.as_str() { Ok(step) } else { Err(OpsError::invalid("step", "is done by a person; tick it")) }
}

/// Who was first.
fn first(step: &StepRow) -> OpsError {
    let by = step.actor.as_deref().unwrap_or("somebody");
    let state = StepState::parse(&step.state).unwrap_or(StepState::Unknown);
    let what = if state == StepState::Running { "has begun".to_owned() } else { format!("was first and marked it “{}” at", state.words()) };
    let at = step.ended_at.or(step.began_at).and_then(|at| jiff::Timestamp::from_microsecond(at).ok());
    let at = at.map_or_else(String::new, |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
    if state == StepState::Running {
        return OpsError::Conflict(format!("{by} {what} step {} at {at}; load the page again", step.position + 1));
    }
    OpsError::Conflict(format!("step {}: {by} {what} {at}; nothing was changed", step.position + 1))
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|t| !t.is_empty())
}

async fn record(ctx: &Ctx, t: &mut Transaction, id: ExerciseId, step: &StepRow, action: &str, state: StepState, note: &str) -> Result<()> {
    let before = json!({"step": step.position + 1, "title": step.title, "state": step.state});
    let after = json!({"step": step.position + 1, "state": state, "note": note});
    ctx.audit(t.tx(), NewEvent { action, entity: "exercise", entity_id: id.to_string(), before: Some(before), after: Some(after) }).await
}
