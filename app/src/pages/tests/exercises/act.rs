//! What can be done about exercises from the pages. Permission is decided in `ops`.

use domain::{
    exercise::{StepKind, StepState, StepText},
    id::{ExerciseId, RestoreTestId},
    work::Selection,
};
use leptos::prelude::*;
use ops::{
    OpsError,
    exercises::{
        New,
        import::{Past, PastStep},
        steps::{self, Said},
    },
};

use super::form::{ImportFields, StartFields};
use crate::{
    context::ctx,
    error::{AppError, back, go, refuse},
};

/// What begins a line whose step is done by a restore test.
pub const TEST: &str = "test:";

fn id(text: &str) -> Result<ExerciseId, AppError> {
    text.parse().map_err(|_| refuse(OpsError::not_found("exercise", text)))
}

fn shown(id: ExerciseId) {
    go(&format!("/tests/exercises/{id}"));
}

/// One step on each line; what stands behind a bar is its details.
fn step_texts(text: &str) -> Vec<StepText> {
    let line = |line: &str| {
        let (kind, rest) = match line.get(..TEST.len()).filter(|start| start.eq_ignore_ascii_case(TEST)) {
            Some(_) => (StepKind::RestoreTest, &line[TEST.len()..]),
            None => (StepKind::Manual, line),
        };
        let (title, details) = rest.split_once('|').unwrap_or((rest, ""));
        StepText { title: title.trim().to_owned(), details: details.trim().to_owned(), kind }
    };
    text.lines().map(str::trim).filter(|l| !l.is_empty()).map(line).collect()
}

/// Begins an exercise and shows it. A refused form comes back with what was typed.
#[server(name = StartExercise, prefix = "/act", endpoint = "start-exercise")]
pub async fn start_exercise(
    service: String,
    #[server(default)] template: String,
    #[server(default)] title: String,
    #[server(default)] steps: String,
    #[server(default)] note: String,
) -> Result<(), AppError> {
    let typed = StartFields { service, template, title, steps, note };
    let new = New {
        service: typed.service.clone(),
        template: typed.template.clone(),
        title: typed.title.clone(),
        steps: step_texts(&typed.steps),
        note: typed.note.clone(),
        ..New::default()
    };
    match ops::exercises::start(&ctx(), &new).await {
        Ok(id) => shown(id),
        Err(e) => back(&typed.href(), e)?,
    }
    Ok(())
}

/// Records a past exercise and shows it. A refused form comes back with what was typed.
#[server(name = ImportExercise, prefix = "/act", endpoint = "import-exercise")]
pub async fn import_exercise(
    service: String,
    title: String,
    started: String,
    finished: String,
    #[server(default)] users: String,
    #[server(default)] steps: String,
    #[server(default)] note: String,
) -> Result<(), AppError> {
    let typed = ImportFields { service, title, started, finished, users, steps, note };
    let imported = async {
        let users = match typed.users.trim() {
            "" => None,
            n => Some(n.parse().map_err(|_| OpsError::invalid("users", "must be a number; leave it empty where nobody counted"))?),
        };
        let steps = step_texts(&typed.steps).into_iter().map(|s| PastStep {
            title: s.title,
            details: s.details,
            state: StepState::Done,
            ended: String::new(),
            note: String::new(),
        });
        let past = Past {
            service: typed.service.clone(),
            title: typed.title.clone(),
            started: typed.started.clone(),
            finished: typed.finished.clone(),
            users,
            note: typed.note.clone(),
            steps: steps.collect(),
        };
        ops::exercises::import::import(&ctx(), &past).await
    };
    match imported.await {
        Ok(id) => shown(id),
        Err(e) => back(&typed.href(), e)?,
    }
    Ok(())
}

/// Says how a step went, or has a restore test do it. `step` counts from 1; `act` is the button that was pressed.
#[server(name = StepExercise, prefix = "/act", endpoint = "step-exercise")]
pub async fn step_exercise(
    exercise: String,
    step: String,
    act: String,
    #[server(default)] note: String,
    #[server(default)] test: String,
) -> Result<(), AppError> {
    let ctx = ctx();
    let id = id(&exercise)?;
    let position = step.parse::<i64>().map(|n| n.saturating_sub(1)).map_err(|_| refuse(OpsError::not_found("step", &step)))?;
    let done = match act.as_str() {
        "begin" => steps::begin(&ctx, id, position).await,
        "done" => steps::settle(&ctx, id, position, Said::Done, &note).await,
        "failed" => steps::settle(&ctx, id, position, Said::Failed, &note).await,
        "skipped" => steps::settle(&ctx, id, position, Said::Skipped, &note).await,
        "test" => steps::start_test(&ctx, id, position, Selection::Latest).await.map(|_| ()),
        "take" => steps::take(&ctx, id, position).await.map(|_| ()),
        "link" => match test.trim().rsplit('/').next().unwrap_or_default().parse::<RestoreTestId>() {
            Ok(test) => steps::link_test(&ctx, id, position, test).await.map(|_| ()),
            Err(_) => Err(OpsError::invalid("test", "is no restore test; give the address of its report")),
        },
        _ => Err(OpsError::invalid("act", "is none that is known; load the page again")),
    };
    done.map_err(refuse)?;
    shown(id);
    Ok(())
}

/// Finishes an exercise and shows its verdict.
#[server(name = FinishExercise, prefix = "/act", endpoint = "finish-exercise")]
pub async fn finish_exercise(exercise: String, #[server(default)] note: String) -> Result<(), AppError> {
    let id = id(&exercise)?;
    ops::exercises::finish(&ctx(), id, &note).await.map_err(refuse)?;
    shown(id);
    Ok(())
}

/// Gives an exercise up.
#[server(name = CancelExercise, prefix = "/act", endpoint = "cancel-exercise")]
pub async fn cancel_exercise(exercise: String, reason: String) -> Result<(), AppError> {
    let id = id(&exercise)?;
    ops::exercises::cancel(&ctx(), id, &reason).await.map_err(refuse)?;
    shown(id);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_lines() {
        let all = step_texts(" Deploy | fresh machines \n\nTest: Restore all\nSign in\n");
        let got: Vec<_> = all.iter().map(|s| (s.title.as_str(), s.details.as_str(), s.kind)).collect();
        assert_eq!(got, [("Deploy", "fresh machines", StepKind::Manual), ("Restore all", "", StepKind::RestoreTest), ("Sign in", "", StepKind::Manual)]);
        assert!(step_texts("\n \n").is_empty());
    }
}
