//! `/api/v1/exercises`: recovery done by people, step by step, and records of what was done before.

use axum::{Json, http::StatusCode, response::Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{
    exercise::{self, StepKind, StepState, StepText},
    id::{ExerciseFileId, ExerciseId, RestoreTestId},
    work,
};
use jiff::Timestamp;
use ops::{
    OpsError,
    exercises::{
        Exercise as Found, Listed, New, files,
        import::{self, Past, PastStep},
        steps::{self, Said},
    },
};
use serde::{Deserialize, Serialize};
use store::exercises::{ExerciseRow, FileRow, StepRow};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    asker::{Asker, Body, List, Path, Query, limit},
    problem::Problem,
    start::Selection,
    words::at,
};
use crate::web::downloads;

/// An exercise without its steps. It never counts as a restore test that Holdfast made.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExerciseSummary {
    id: Uuid,
    service: String,
    title: String,
    /// live: done here. imported: done before, elsewhere, and typed in.
    kind: String,
    /// The template it was made from; empty for a free one.
    template: String,
    /// open, finished or cancelled.
    state: String,
    /// passed, failed or unknown; absent until it is finished.
    verdict: Option<String>,
    note: String,
    /// People whose data was brought back, where somebody said so.
    users: Option<i64>,
    started_at: Timestamp,
    /// As it was given for an imported one, with its own offset.
    started_given: Option<String>,
    finished_at: Option<Timestamp>,
    finished_given: Option<String>,
    /// The steps between which the time is measured, from 1.
    measured_from: i64,
    measured_to: i64,
    /// Seconds that were measured, and what is promised.
    rto_s: Option<f64>,
    rto_target_s: Option<i64>,
    created_by: String,
    ended_by: Option<String>,
    end_note: Option<String>,
}

fn summary(row: ExerciseRow, service: String) -> ExerciseSummary {
    ExerciseSummary {
        id: row.id,
        service,
        title: row.title,
        kind: row.kind,
        template: row.template,
        state: row.state,
        verdict: row.verdict,
        note: row.note,
        users: row.users,
        started_at: at(row.started_at),
        started_given: row.started_given,
        finished_at: row.finished_at.map(at),
        finished_given: row.finished_given,
        measured_from: row.from_step + 1,
        measured_to: row.to_step + 1,
        rto_s: row.rto_s,
        rto_target_s: row.rto_target_s,
        created_by: row.created_by,
        ended_by: row.ended_by,
        end_note: row.end_note,
    }
}

/// An exercise with its steps and files.
#[derive(Debug, Serialize, ToSchema)]
pub struct Exercise {
    #[serde(flatten)]
    summary: ExerciseSummary,
    steps: Vec<ExerciseStep>,
    files: Vec<ExerciseFile>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ExerciseStep {
    /// From 1.
    step: i64,
    title: String,
    details: String,
    /// manual: a person does it. restore_test: a restore test does it.
    kind: String,
    /// open, running, done, failed, skipped or unknown (could not be checked).
    state: String,
    began_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    /// Who was first to say how it went.
    actor: Option<String>,
    note: Option<String>,
    run: Option<Uuid>,
    test: Option<Uuid>,
}

impl From<StepRow> for ExerciseStep {
    fn from(s: StepRow) -> Self {
        Self {
            step: s.position + 1,
            title: s.title,
            details: s.details,
            kind: s.kind,
            state: s.state,
            began_at: s.began_at.map(at),
            ended_at: s.ended_at.map(at),
            actor: s.actor,
            note: s.note,
            run: s.run_id,
            test: s.test_id,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ExerciseFile {
    id: Uuid,
    /// From 1; absent where it belongs to the whole exercise.
    step: Option<i64>,
    name: String,
    /// Told from its content: image/png, image/jpeg, application/pdf or text/plain.
    media_type: String,
    bytes: i64,
    sha256: String,
    actor: String,
    created_at: Timestamp,
}

impl From<FileRow> for ExerciseFile {
    fn from(f: FileRow) -> Self {
        let created_at = at(f.created_at);
        Self { id: f.id, step: f.position.map(|p| p + 1), name: f.name, media_type: f.kind, bytes: f.size, sha256: f.sha256, actor: f.actor, created_at }
    }
}

impl From<Found> for Exercise {
    fn from(e: Found) -> Self {
        Self {
            summary: summary(e.row, e.service.name),
            steps: e.steps.into_iter().map(Into::into).collect(),
            files: e.files.into_iter().map(Into::into).collect(),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListExercises {
    /// Only those of the service of this name.
    service: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 500, 100 where it is left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Exercises {
    exercises: Vec<ExerciseSummary>,
    /// `cursor` of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Exercises, the newest first
#[utoipa::path(get, path = "/api/v1/exercises", tag = "exercises", params(ListExercises), responses((status = 200, body = Exercises)))]
pub async fn list(Asker(ctx): Asker, Query(q): Query<ListExercises>) -> Result<Json<Exercises>, Problem> {
    let limit = limit(q.limit, ops::runs::PAGE)?;
    let before = List::Exercises.read(q.cursor.as_deref())?.map(|(at, id)| (at, ExerciseId(id)));
    let service = match &q.service {
        Some(name) => Some(ops::services::find(&ctx, name).await?.id()),
        None => None,
    };
    let found = ops::exercises::list(&ctx, service, before, limit).await?;
    let next = (found.len() as i64 == limit).then(|| found.last().map(|e| List::Exercises.key(e.row.started_at, e.row.id))).flatten();
    let exercises = found.into_iter().map(|Listed { row, service_name, .. }| summary(row, service_name)).collect();
    Ok(Json(Exercises { exercises, next }))
}

/// One exercise with its steps and files
#[utoipa::path(get, path = "/api/v1/exercises/{id}", tag = "exercises", params(("id" = Uuid, Path, description = "The exercise's id")),
    responses((status = 200, body = Exercise)))]
pub async fn find(Asker(ctx): Asker, Path(id): Path<Uuid>) -> Result<Json<Exercise>, Problem> {
    Ok(Json(ops::exercises::find(&ctx, ExerciseId(id)).await?.into()))
}

/// A step to be done.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewExerciseStep {
    title: String,
    #[serde(default)]
    details: String,
    /// A restore test does it, and its verdict is the step's.
    #[serde(default)]
    restore_test: bool,
}

/// An exercise to begin: its clock runs from now.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"service": "notebooks", "template": "egi-notebooks"}))]
pub struct StartExercise {
    service: String,
    /// The template's where it is left out.
    #[serde(default)]
    title: String,
    /// egi-notebooks or table-top; its steps are taken where none are given.
    #[serde(default)]
    template: String,
    #[serde(default)]
    steps: Vec<NewExerciseStep>,
    #[serde(default)]
    note: String,
    /// The steps between which the time is measured, from 1; all of it where they are left out, or as the template says.
    measured_from: Option<usize>,
    measured_to: Option<usize>,
}

/// Begin an exercise
#[utoipa::path(post, path = "/api/v1/exercises", tag = "exercises", request_body = StartExercise, responses((status = 201, body = Exercise)))]
pub async fn start(Asker(ctx): Asker, Body(b): Body<StartExercise>) -> Result<(StatusCode, Json<Exercise>), Problem> {
    let kind = |auto: bool| if auto { StepKind::RestoreTest } else { StepKind::Manual };
    let steps = b.steps.into_iter().map(|s| StepText { title: s.title, details: s.details, kind: kind(s.restore_test) }).collect();
    let new = New { service: b.service, title: b.title, template: b.template, steps, note: b.note, from: b.measured_from, to: b.measured_to };
    let id = match ctx.done("exercise").as_deref() {
        Some([id, ..]) => ExerciseId(*id),
        _ => ops::exercises::start(&ctx, &new).await?,
    };
    Ok((StatusCode::CREATED, Json(ops::exercises::find(&ctx, id).await?.into())))
}

/// A step of a past exercise.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PastExerciseStep {
    title: String,
    #[serde(default)]
    details: String,
    /// done, failed, skipped or unknown; done where it is left out.
    state: Option<String>,
    /// When it ended, with its offset from UTC.
    #[serde(default)]
    ended: String,
    #[serde(default)]
    note: String,
}

/// An exercise that was done before, elsewhere. It stays marked as imported.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"service": "notebooks", "title": "Recovery of all users", "started": "2019-06-06 16:37:15+02:00",
    "finished": "2019-06-06 16:47:18+02:00", "users": 75}))]
pub struct ImportExercise {
    service: String,
    title: String,
    /// With its offset from UTC, which is kept.
    started: String,
    finished: String,
    users: Option<i64>,
    /// Who did it, and where the record is.
    #[serde(default)]
    note: String,
    /// One step for the whole where it is left out.
    #[serde(default)]
    steps: Vec<PastExerciseStep>,
}

/// Import a past exercise
#[utoipa::path(post, path = "/api/v1/exercises/imports", tag = "exercises", request_body = ImportExercise, responses((status = 201, body = Exercise)))]
pub async fn import(Asker(ctx): Asker, Body(b): Body<ImportExercise>) -> Result<(StatusCode, Json<Exercise>), Problem> {
    let id = match ctx.done("exercise").as_deref() {
        Some([id, ..]) => ExerciseId(*id),
        _ => import::import(&ctx, &past(b)?).await?,
    };
    Ok((StatusCode::CREATED, Json(ops::exercises::find(&ctx, id).await?.into())))
}

fn past(b: ImportExercise) -> Result<Past, OpsError> {
    let step = |(i, s): (usize, PastExerciseStep)| {
        let state = match s.state.as_deref() {
            None => StepState::Done,
            Some(text) => StepState::parse(text).ok_or_else(|| OpsError::invalid(format!("steps[{i}].state"), "must be done, failed, skipped or unknown"))?,
        };
        Ok::<_, OpsError>(PastStep { title: s.title, details: s.details, state, ended: s.ended, note: s.note })
    };
    let steps = b.steps.into_iter().enumerate().map(step).collect::<Result<_, _>>()?;
    Ok(Past { service: b.service, title: b.title, started: b.started, finished: b.finished, users: b.users, note: b.note, steps })
}

/// What is said of a step, or done with it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
#[schema(example = json!({"action": "done", "note": "75 of 75 users restored"}))]
pub enum ExerciseAct {
    /// It is being done from now.
    Begin,
    Done {
        #[serde(default)]
        note: String,
    },
    /// The note says what failed.
    Failed { note: String },
    /// The note says why.
    Skipped { note: String },
    /// Start the restore test that does it.
    Test { selection: Option<Selection> },
    /// Let a restore test of the service be it, made since the exercise began.
    Link { test: Uuid },
    /// Take the verdict of the restore test that was started.
    Take,
}

/// Tick a step, or do something with it
#[utoipa::path(post, path = "/api/v1/exercises/{id}/steps/{step}", tag = "exercises",
    params(("id" = Uuid, Path, description = "The exercise's id"), ("step" = i64, Path, description = "The step, from 1")), request_body = ExerciseAct,
    responses((status = 200, body = Exercise)))]
pub async fn act(Asker(ctx): Asker, Path((id, step)): Path<(Uuid, i64)>, Body(b): Body<ExerciseAct>) -> Result<Json<Exercise>, Problem> {
    let (id, position) = (ExerciseId(id), step.saturating_sub(1));
    match b {
        ExerciseAct::Begin => steps::begin(&ctx, id, position).await?,
        ExerciseAct::Done { note } => steps::settle(&ctx, id, position, Said::Done, &note).await?,
        ExerciseAct::Failed { note } => steps::settle(&ctx, id, position, Said::Failed, &note).await?,
        ExerciseAct::Skipped { note } => steps::settle(&ctx, id, position, Said::Skipped, &note).await?,
        ExerciseAct::Test { selection } => {
            let selection = selection.map_or(work::Selection::Latest, Into::into);
            steps::start_test(&ctx, id, position, selection).await?;
        }
        ExerciseAct::Link { test } => {
            steps::link_test(&ctx, id, position, RestoreTestId(test)).await?;
        }
        ExerciseAct::Take => {
            steps::take(&ctx, id, position).await?;
        }
    }
    Ok(Json(ops::exercises::find(&ctx, id).await?.into()))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"note": "good, and faster than last year"}))]
pub struct FinishExercise {
    #[serde(default)]
    note: String,
}

/// Finish an exercise: its verdict and its time are worked out, and its record is closed
#[utoipa::path(post, path = "/api/v1/exercises/{id}/finish", tag = "exercises", params(("id" = Uuid, Path, description = "The exercise's id")),
    request_body = FinishExercise, responses((status = 200, body = Exercise)))]
pub async fn finish(Asker(ctx): Asker, Path(id): Path<Uuid>, Body(b): Body<FinishExercise>) -> Result<Json<Exercise>, Problem> {
    ops::exercises::finish(&ctx, ExerciseId(id), &b.note).await?;
    Ok(Json(ops::exercises::find(&ctx, ExerciseId(id)).await?.into()))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "an incident came first"}))]
pub struct CancelExercise {
    /// Why, for whoever reads it in a year.
    reason: String,
}

/// Give an exercise up: what was done stays on record and proves nothing
#[utoipa::path(post, path = "/api/v1/exercises/{id}/cancel", tag = "exercises", params(("id" = Uuid, Path, description = "The exercise's id")),
    request_body = CancelExercise, responses((status = 200, body = Exercise)))]
pub async fn cancel(Asker(ctx): Asker, Path(id): Path<Uuid>, Body(b): Body<CancelExercise>) -> Result<Json<Exercise>, Problem> {
    ops::exercises::cancel(&ctx, ExerciseId(id), &b.reason).await?;
    Ok(Json(ops::exercises::find(&ctx, ExerciseId(id)).await?.into()))
}

/// A file: a PNG, JPEG or PDF, or a text in UTF-8; 5 MiB at most.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "recover.log", "step": 7, "content": "NzUgdXNlcnM="}))]
pub struct AttachFile {
    name: String,
    /// From 1; the whole exercise where it is left out.
    step: Option<i64>,
    /// In base64.
    content: String,
}

/// Add a file to an exercise
#[utoipa::path(post, path = "/api/v1/exercises/{id}/files", tag = "exercises", params(("id" = Uuid, Path, description = "The exercise's id")),
    request_body = AttachFile, responses((status = 201, body = Exercise)))]
pub async fn attach(Asker(ctx): Asker, Path(id): Path<Uuid>, Body(b): Body<AttachFile>) -> Result<(StatusCode, Json<Exercise>), Problem> {
    let content = STANDARD.decode(b.content.trim()).map_err(|_| OpsError::invalid("content", "is not base64; encode the file's bytes with it"))?;
    files::add(&ctx, ExerciseId(id), b.step.map(|s| s.saturating_sub(1)), &b.name, &content).await?;
    Ok((StatusCode::CREATED, Json(ops::exercises::find(&ctx, ExerciseId(id)).await?.into())))
}

/// A file of an exercise, always as an attachment
#[utoipa::path(get, path = "/api/v1/exercises/{id}/files/{file}", tag = "exercises",
    params(("id" = Uuid, Path, description = "The exercise's id"), ("file" = Uuid, Path, description = "The file's id")),
    responses((status = 200, description = "the content as it was given", content((String = "application/octet-stream")))))]
pub async fn file(Asker(ctx): Asker, Path((id, file)): Path<(Uuid, Uuid)>) -> Result<Response, Problem> {
    let (row, content) = files::read(&ctx, ExerciseId(id), ExerciseFileId(file)).await?;
    Ok(downloads::kept(&row.name, content))
}

/// A template.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExerciseTemplate {
    name: &'static str,
    title: &'static str,
    about: &'static str,
    steps: Vec<&'static str>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ExerciseTemplates {
    templates: Vec<ExerciseTemplate>,
}

/// The templates that Holdfast comes with
#[utoipa::path(get, path = "/api/v1/exercises/templates", tag = "exercises", responses((status = 200, body = ExerciseTemplates)))]
pub async fn templates(Asker(ctx): Asker) -> Result<Json<ExerciseTemplates>, Problem> {
    ops::permission::require_on(&ctx, ops::permission::Action::Read, ops::permission::On::Any)?;
    let one = |t: &exercise::Template| ExerciseTemplate { name: t.name, title: t.title, about: t.about, steps: t.steps.iter().map(|s| s.0).collect() };
    Ok(Json(ExerciseTemplates { templates: exercise::TEMPLATES.iter().map(one).collect() }))
}
