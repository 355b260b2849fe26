//! Exercises that were done before, elsewhere: typed in from a record of them (R35).
//!
//! Lives here: the import. May not: anything that would let an imported one pass for one that was done here.
//! Invariants: it is marked as imported for ever and never changed; its moments keep the offset that was given.

use domain::{
    evidence::Verdict,
    exercise::{self, Kind, State, Step, StepState, StepText, moment},
    field::FieldError,
    id::ExerciseId,
};
use serde_json::json;
use store::{
    audit::NewEvent,
    exercises::{self, NewExercise, NewStep},
};

use super::{checked_steps, named, noted, service};
use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, require_on},
};

/// The longest that a recovery is believed to have taken: what is longer has a wrong year.
const LONGEST_S: f64 = 90.0 * 86_400.0;

/// A step of a past exercise.
#[derive(Clone, Debug)]
pub struct PastStep {
    pub title: String,
    pub details: String,
    /// Done where nothing else is said.
    pub state: StepState,
    /// When it ended, with an offset; empty where nobody wrote it down.
    pub ended: String,
    pub note: String,
}

/// A past exercise as its record says.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// The service by name.
    pub service: String,
    pub title: String,
    /// With its offset: `2019-06-06 16:37:15+02:00`.
    pub started: String,
    pub finished: String,
    /// People whose data was brought back.
    pub users: Option<i64>,
    /// Who did it, and where the record is.
    pub note: String,
    /// One step for the whole where it is empty.
    pub steps: Vec<PastStep>,
}

/// Records a past exercise. Its time is from its start to its finish, its verdict follows from its steps.
///
/// # Errors
/// `Invalid` naming each field: moments without an offset, a finish before the start, moments to come.
pub async fn import(ctx: &Ctx, past: &Past) -> Result<ExerciseId> {
    require_on(ctx, Action::Plan, On::Any)?;
    let now = ctx.now();
    let title = named("title", &past.title)?;
    let note = noted("note", &past.note)?;
    let mut wrong: Vec<FieldError> = Vec::new();
    let mut read = |field: &str, text: &str| match moment(field, text) {
        Ok(m) if m.at > now => {
            wrong.push(FieldError::new(field, "is still to come; an import is of the past"));
            None
        }
        Ok(m) => Some(m),
        Err(e) => {
            wrong.push(e);
            None
        }
    };
    let (started, finished) = (read("started", &past.started), read("finished", &past.finished));
    let mut ends = Vec::with_capacity(past.steps.len());
    for (i, step) in past.steps.iter().enumerate() {
        ends.push(if step.ended.trim().is_empty() { None } else { read(&format!("steps[{i}].ended"), &step.ended) });
    }
    if let (Some(s), Some(f)) = (&started, &finished) {
        let took = f.at.secs_since(s.at);
        if took < 0.0 {
            wrong.push(FieldError::new("finished", "is before the start; look at the dates and the offsets"));
        } else if took > LONGEST_S {
            wrong.push(FieldError::new("finished", "is more than 90 days after the start; look at the years"));
        }
    }
    if past.users.is_some_and(|n| !(0..=100_000_000).contains(&n)) {
        wrong.push(FieldError::new("users", "must be a number from 0 to 100000000"));
    }
    for (i, step) in past.steps.iter().enumerate().filter(|(_, s)| !s.state.settled()) {
        wrong.push(FieldError::new(format!("steps[{i}].state"), format!("cannot be “{}”: it is over; give done, failed, skipped or unknown", step.state)));
    }
    let (Some(started), Some(finished), true) = (started, finished, wrong.is_empty()) else { return Err(OpsError::Invalid(wrong)) };
    let texts = past.steps.iter().map(|s| StepText { title: s.title.clone(), details: s.details.clone(), kind: exercise::StepKind::Manual }).collect();
    let texts = if past.steps.is_empty() {
        vec![StepText { title: "The whole exercise".to_owned(), details: String::new(), kind: exercise::StepKind::Manual }]
    } else {
        checked_steps(texts)?
    };
    let mut steps = Vec::with_capacity(texts.len());
    for (i, text) in texts.into_iter().enumerate() {
        let of = past.steps.get(i);
        let note = noted(&format!("steps[{i}].note"), of.map_or("", |s| &s.note))?;
        steps.push(NewStep {
            title: text.title,
            details: text.details,
            kind: text.kind,
            state: of.map_or(StepState::Done, |s| s.state),
            began_at: None,
            ended_at: ends.get(i).and_then(|m| m.as_ref().map(|m| m.at)),
            actor: None,
            note: Some(note).filter(|n| !n.is_empty()),
        });
    }
    let verdict = judged(&steps);
    let mut t = ctx.db.begin_audited().await?;
    let service = service(&mut t, &past.service).await?;
    require_on(ctx, Action::Plan, On::Service(service.id()))?;
    let rto_s = finished.at.secs_since(started.at);
    let row = NewExercise {
        service: service.id(),
        title,
        kind: Kind::Imported,
        template: String::new(),
        state: State::Finished.as_str(),
        verdict: Some(verdict.as_str()),
        note,
        users: past.users,
        started_at: started.at,
        started_given: Some(started.given),
        finished_at: Some(finished.at),
        finished_given: Some(finished.given),
        from_step: 0,
        to_step: steps.len() as i64 - 1,
        rto_s: Some(rto_s),
        rto_target_s: service.rto_s,
        created_by: ctx.actor.name.clone(),
        ended_by: Some(ctx.actor.name.clone()),
        steps,
    };
    let id = exercises::insert(t.tx(), &row, now).await?;
    let after = json!({"service": service.name, "title": row.title, "started": row.started_given, "finished": row.finished_given, "users": row.users,
        "verdict": verdict, "rto_s": rto_s, "steps": row.steps.len()});
    ctx.audit(t.tx(), NewEvent { action: "exercise.import", entity: "exercise", entity_id: id.to_string(), before: None, after: Some(after) }).await?;
    t.commit().await?;
    Ok(id)
}

/// A past exercise is judged by its steps alone: which of them its times belong to, nobody says any more.
fn judged(steps: &[NewStep]) -> Verdict {
    let all: Vec<Step> = steps.iter().map(|s| Step { state: s.state, began: None, ended: s.ended_at }).collect();
    let done = all.iter().position(|s| s.state == StepState::Done).unwrap_or(0);
    exercise::verdict(&all, done, done)
}
