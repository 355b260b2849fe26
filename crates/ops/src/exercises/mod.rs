//! Exercises: starting one, reading it, ending it (R35).
//!
//! Lives here: the use cases of the whole; beside it `steps`, `files` and `import`. May not: the verdict and the measured
//! time, which `domain::exercise` works out.
//! Invariants: each change is audited in its own transaction; an exercise never touches a service's last restore test, so that
//! what people did by hand is nowhere counted as measured by Holdfast.

pub mod files;
pub mod import;
pub mod steps;

use domain::{
    evidence::Verdict,
    exercise::{self, Kind, MOST_STEPS, State, StepState, StepText},
    id::{ExerciseId, ServiceId},
    units::Timestamp,
};
use serde_json::json;
use store::{
    audit::NewEvent,
    db::Transaction,
    exercises::{self, ExerciseRow, FileRow, Finished, NewExercise, NewStep, StepRow},
    services::{self, ServiceRow},
};
use uuid::Uuid;

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, Sight, merged, require_on, sight},
    runs::PAGE,
};

/// The longest title of an exercise or of a step, and the longest note.
const LONGEST: usize = 200;
const LONGEST_NOTE: usize = 4_000;

/// An exercise with all that belongs to it.
#[derive(Clone, Debug)]
pub struct Exercise {
    pub row: ExerciseRow,
    pub service: ServiceRow,
    pub steps: Vec<StepRow>,
    pub files: Vec<FileRow>,
}

impl Exercise {
    pub fn state(&self) -> State {
        State::parse(&self.row.state).unwrap_or(State::Open)
    }

    pub fn verdict(&self) -> Option<Verdict> {
        self.row.verdict.as_deref().and_then(Verdict::parse)
    }

    /// The verdict and the time that it would have if it were finished now.
    pub fn so_far(&self) -> (Verdict, Option<f64>) {
        joined(&self.row, &self.steps)
    }
}

/// A row of a list with its service.
#[derive(Clone, Debug)]
pub struct Listed {
    pub row: ExerciseRow,
    pub service_name: String,
    pub service_title: String,
}

/// What a step of an exercise is as a state.
pub fn step_state(row: &StepRow) -> StepState {
    StepState::parse(&row.state).unwrap_or(StepState::Unknown)
}

fn joined(row: &ExerciseRow, steps: &[StepRow]) -> (Verdict, Option<f64>) {
    let all: Vec<exercise::Step> =
        steps.iter().map(|s| exercise::Step { state: step_state(s), began: s.began_at.map(Timestamp), ended: s.ended_at.map(Timestamp) }).collect();
    let (from, to) = (usize::try_from(row.from_step).unwrap_or(0), usize::try_from(row.to_step).unwrap_or(0));
    (exercise::verdict(&all, from, to), exercise::measured(&all, from, to, Timestamp(row.started_at)))
}

/// Exercises, the newest first, before the key of the last one seen; of one service where it is given.
pub async fn list(ctx: &Ctx, service: Option<ServiceId>, before: Option<(Timestamp, ExerciseId)>, limit: i64) -> Result<Vec<Listed>> {
    let before = before.map_or((Timestamp(i64::MAX), Uuid::max()), |(at, id)| (at, id.0));
    let limit = limit.clamp(1, PAGE);
    let mut read = ctx.db.read().await?;
    let rows = match sight(ctx, Action::Read)? {
        Sight::Part { services, .. } if service.is_none_or(|s| !services.contains(&s)) => {
            let mut pages = Vec::new();
            for one in services.into_iter().filter(|_| service.is_none()) {
                pages.push(exercises::page(read.tx(), Some(one), before, limit).await?);
            }
            merged(pages, |e| (e.started_at, e.id), limit)
        }
        _ => exercises::page(read.tx(), service, before, limit).await?,
    };
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let of = services::find(read.tx(), ServiceId(row.service_id)).await?;
        let (service_name, service_title) = of.map_or_else(|| (String::new(), "a removed service".to_owned()), |s| (s.name, s.title));
        all.push(Listed { row, service_name, service_title });
    }
    Ok(all)
}

pub async fn find(ctx: &Ctx, id: ExerciseId) -> Result<Exercise> {
    require_on(ctx, Action::Read, On::Any)?;
    let mut read = ctx.db.read().await?;
    let row = exercises::find(read.tx(), id).await?.ok_or_else(|| OpsError::not_found("exercise", id))?;
    require_on(ctx, Action::Read, On::Service(ServiceId(row.service_id)))?;
    let service = services::find(read.tx(), ServiceId(row.service_id)).await?.ok_or_else(|| OpsError::not_found("service", row.service_id))?;
    let steps = exercises::steps(read.tx(), id).await?;
    let files = exercises::files(read.tx(), id).await?;
    Ok(Exercise { row, service, steps, files })
}

/// An exercise that a person wants to begin.
#[derive(Clone, Debug, Default)]
pub struct New {
    /// The service by name.
    pub service: String,
    /// The template's title where it is empty.
    pub title: String,
    /// A template by name; its steps are taken where `steps` is empty.
    pub template: String,
    pub steps: Vec<StepText>,
    pub note: String,
    /// The steps between which the time is measured, from 1; the template's, or the first and the last one.
    pub from: Option<usize>,
    pub to: Option<usize>,
}

/// Begins an exercise: its clock runs from now.
///
/// # Errors
/// `NotFound` for the service or the template; `Invalid` for steps that are missing, too many or without a title.
pub async fn start(ctx: &Ctx, new: &New) -> Result<ExerciseId> {
    require_on(ctx, Action::Plan, On::Any)?;
    let template = match new.template.as_str() {
        "" => None,
        name => Some(exercise::template(name).ok_or_else(|| OpsError::not_found("template", name))?),
    };
    let steps = match (template, new.steps.is_empty()) {
        (Some(t), true) => {
            t.steps.iter().map(|(title, details, kind)| StepText { title: (*title).to_owned(), details: (*details).to_owned(), kind: *kind }).collect()
        }
        _ => new.steps.clone(),
    };
    let title = if new.title.trim().is_empty() { template.map_or("", |t| t.title) } else { &new.title };
    let title = named("title", title)?;
    let steps = checked_steps(steps)?;
    let whole = new.steps.is_empty();
    let from = template.filter(|_| whole).map_or(1, |t| t.from + 1);
    let to = template.filter(|_| whole).map_or(steps.len(), |t| t.to + 1);
    let (from, to) = span(new.from.unwrap_or(from), new.to.unwrap_or(to), steps.len())?;
    let note = noted("note", &new.note)?;
    let now = ctx.now();
    let mut t = ctx.db.begin_audited().await?;
    let service = service(&mut t, &new.service).await?;
    require_on(ctx, Action::Plan, On::Service(service.id()))?;
    let row = NewExercise {
        service: service.id(),
        title,
        kind: Kind::Live,
        template: new.template.clone(),
        state: State::Open.as_str(),
        verdict: None,
        note,
        users: None,
        started_at: now,
        started_given: None,
        finished_at: None,
        finished_given: None,
        from_step: from,
        to_step: to,
        rto_s: None,
        rto_target_s: None,
        created_by: ctx.actor.name.clone(),
        ended_by: None,
        steps: steps.into_iter().map(open_step).collect(),
    };
    let id = exercises::insert(t.tx(), &row, now).await?;
    let after = json!({"service": service.name, "title": row.title, "template": row.template, "steps": row.steps.len()});
    ctx.audit(t.tx(), NewEvent { action: "exercise.start", entity: "exercise", entity_id: id.to_string(), before: None, after: Some(after) }).await?;
    t.commit().await?;
    Ok(id)
}

fn open_step(s: StepText) -> NewStep {
    NewStep { title: s.title, details: s.details, kind: s.kind, state: StepState::Open, began_at: None, ended_at: None, actor: None, note: None }
}

/// Ends an exercise: works out its verdict and the time it took.
///
/// # Errors
/// `Conflict` where it has ended, or where a step is neither done nor skipped nor failed: the text names them.
pub async fn finish(ctx: &Ctx, id: ExerciseId, note: &str) -> Result<Verdict> {
    require_on(ctx, Action::Plan, On::Any)?;
    let note = noted("note", note)?;
    let (mut t, row) = open(ctx, id).await?;
    let all = exercises::steps(t.tx(), id).await?;
    let left: Vec<String> = all.iter().filter(|s| !step_state(s).settled()).map(|s| format!("{} “{}”", s.position + 1, s.title)).collect();
    if !left.is_empty() {
        return Err(OpsError::Conflict(format!("not all steps are settled: {}; tick them, skip them with a reason, or cancel the exercise", left.join(", "))));
    }
    let (verdict, rto_s) = joined(&row, &all);
    let rto_target_s = services::find(t.tx(), ServiceId(row.service_id)).await?.and_then(|s| s.rto_s);
    let end = Finished {
        verdict: verdict.as_str(),
        finished_at: ctx.now(),
        rto_s,
        rto_target_s,
        actor: &ctx.actor.name,
        note: Some(note.as_str()).filter(|n| !n.is_empty()),
    };
    if !exercises::finish(t.tx(), id, &end).await? {
        return Err(ended(&row));
    }
    let after = json!({"state": "finished", "verdict": verdict, "rto_s": rto_s, "note": note});
    ctx.audit(
        t.tx(),
        NewEvent { action: "exercise.finish", entity: "exercise", entity_id: id.to_string(), before: Some(json!({"state": "open"})), after: Some(after) },
    )
    .await?;
    t.commit().await?;
    Ok(verdict)
}

/// Gives an exercise up. What was done stays on record; it proves nothing.
pub async fn cancel(ctx: &Ctx, id: ExerciseId, reason: &str) -> Result<()> {
    require_on(ctx, Action::Plan, On::Any)?;
    let reason = because(reason)?;
    let (mut t, row) = open(ctx, id).await?;
    if !exercises::cancel(t.tx(), id, &ctx.actor.name, &reason, ctx.now()).await? {
        return Err(ended(&row));
    }
    let after = json!({"state": "cancelled", "reason": reason});
    ctx.audit(
        t.tx(),
        NewEvent { action: "exercise.cancel", entity: "exercise", entity_id: id.to_string(), before: Some(json!({"state": "open"})), after: Some(after) },
    )
    .await?;
    t.commit().await?;
    Ok(())
}

/// Begins a change of an exercise that is open, and keeps it open while it lasts.
async fn open(ctx: &Ctx, id: ExerciseId) -> Result<(Transaction, ExerciseRow)> {
    require_on(ctx, Action::Plan, On::Any)?;
    let mut t = ctx.db.begin_audited().await?;
    let row = exercises::find(t.tx(), id).await?.ok_or_else(|| OpsError::not_found("exercise", id))?;
    require_on(ctx, Action::Plan, On::Service(ServiceId(row.service_id)))?;
    if !exercises::keep_open(t.tx(), id).await? {
        return Err(ended(&row));
    }
    Ok((t, row))
}

fn ended(row: &ExerciseRow) -> OpsError {
    let by = row.ended_by.as_deref().unwrap_or("somebody");
    OpsError::Conflict(match State::parse(&row.state) {
        _ if row.is_imported() => "this exercise was imported; its record is not changed any more".to_owned(),
        Some(State::Cancelled) => format!("{by} has cancelled this exercise; start another one"),
        _ => format!("{by} has finished this exercise; its record is not changed any more"),
    })
}

async fn service(t: &mut Transaction, name: &str) -> Result<ServiceRow> {
    if name.trim().is_empty() {
        return Err(OpsError::invalid("service", "is empty; name the service that is recovered"));
    }
    services::find_by_name(t.tx(), name.trim()).await?.filter(|s| s.removed_at.is_none()).ok_or_else(|| OpsError::not_found("service", name))
}

fn checked_steps(steps: Vec<StepText>) -> Result<Vec<StepText>> {
    if steps.is_empty() {
        return Err(OpsError::invalid("steps", "are missing; choose a template, or write one step on each line"));
    }
    if steps.len() > MOST_STEPS {
        return Err(OpsError::invalid("steps", format!("are more than {MOST_STEPS}; join some, or make two exercises")));
    }
    let check = |(i, s): (usize, StepText)| {
        Ok(StepText { title: named(&format!("steps[{i}].title"), &s.title)?, details: noted(&format!("steps[{i}].details"), &s.details)?, kind: s.kind })
    };
    steps.into_iter().enumerate().map(check).collect()
}

/// The steps between which the time is measured, from 0.
fn span(from: usize, to: usize, steps: usize) -> Result<(i64, i64)> {
    if !(1..=steps).contains(&from) {
        return Err(OpsError::invalid("from", format!("must be the number of a step, 1 to {steps}")));
    }
    if !(from..=steps).contains(&to) {
        return Err(OpsError::invalid("to", format!("must be the number of a step from {from} to {steps}")));
    }
    Ok((from as i64 - 1, to as i64 - 1))
}

fn named(field: &str, text: &str) -> Result<String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(OpsError::invalid(field, "is empty; give it a name that people recognise"));
    }
    bounded(field, text, LONGEST)
}

fn noted(field: &str, text: &str) -> Result<String> {
    bounded(field, text.trim(), LONGEST_NOTE)
}

fn because(reason: &str) -> Result<String> {
    if reason.trim().is_empty() {
        return Err(OpsError::invalid("reason", "is empty; say why, for whoever reads this in a year"));
    }
    noted("reason", reason)
}

fn bounded(field: &str, text: &str, most: usize) -> Result<String> {
    if text.chars().count() > most {
        return Err(OpsError::invalid(field, format!("is longer than {most} characters; shorten it")));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
