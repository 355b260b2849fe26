//! `/api/v1/runs`: looking at runs and cancelling them.

use axum::Json;
use domain::{
    id::{RunId, ServiceId},
    run::{ItemState, RunKind, RunState},
    work::{RunProgress, StepFailure},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{
    queue::Cancelled,
    run_items::RunItemRow,
    runs::{Filter, ListedRun},
    steps::StepRow,
};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    asker::{Asker, Body, List, Path, Query, after, limit},
    problem::Problem,
    words::{self, at},
};

/// One execution of a kind of work.
#[derive(Debug, Serialize, ToSchema)]
pub struct Run {
    id: Uuid,
    #[schema(schema_with = words::run_kind)]
    kind: String,
    #[schema(schema_with = words::run_state)]
    state: String,
    title: String,
    /// The service's name.
    service: Option<String>,
    /// Who started it.
    actor: String,
    queued_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    cancel_requested_at: Option<Timestamp>,
    /// The run that this one tries again.
    retry_of: Option<Uuid>,
    /// What was asked for; its form depends on the kind.
    #[schema(value_type = Value)]
    params: Value,
    /// What came of it; its form depends on the kind.
    #[schema(value_type = Value)]
    result: Option<Value>,
    failure: Option<Failure>,
    progress: Option<Progress>,
}

/// Why a run or a step failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Failure {
    /// A stable word for programs.
    code: String,
    message: String,
    /// The same again would fail the same way.
    permanent: bool,
}

impl From<StepFailure> for Failure {
    fn from(f: StepFailure) -> Self {
        Self { code: f.code, message: f.message, permanent: f.permanent }
    }
}

/// Where a running run stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct Progress {
    at: Timestamp,
    step: String,
    items_done: i64,
    items_total: i64,
    files_done: i64,
    bytes_done: i64,
    /// Zero while it is not known.
    bytes_total: i64,
    bytes_per_s: i64,
    eta_s: Option<i64>,
    current: String,
}

impl From<RunProgress> for Progress {
    fn from(p: RunProgress) -> Self {
        Self {
            at: at(p.at.0),
            step: p.step,
            items_done: p.items_done,
            items_total: p.items_total,
            files_done: p.files_done,
            bytes_done: p.bytes_done,
            bytes_total: p.bytes_total,
            bytes_per_s: p.bytes_per_s,
            eta_s: p.eta_s,
            current: p.current,
        }
    }
}

impl From<ListedRun> for Run {
    fn from(listed: ListedRun) -> Self {
        let r = listed.run;
        Self {
            id: r.id,
            kind: r.kind,
            state: r.state,
            title: r.title,
            service: listed.service_name,
            actor: r.actor,
            queued_at: at(r.queued_at),
            started_at: r.started_at.map(at),
            finished_at: r.finished_at.map(at),
            cancel_requested_at: r.cancel_requested_at.map(at),
            retry_of: r.retry_of,
            params: r.params.0,
            result: r.result.map(|v| v.0),
            failure: r.failure.map(|f| f.0.into()),
            progress: r.progress.map(|p| p.0.into()),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListRuns {
    /// Only those of the service of this name.
    service: Option<String>,
    #[param(schema_with = words::run_kind)]
    kind: Option<RunKind>,
    #[param(schema_with = words::run_state)]
    state: Option<RunState>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 500, 100 where it is left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Runs {
    runs: Vec<Run>,
    /// `cursor` of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Runs, the newest first
#[utoipa::path(get, path = "/api/v1/runs", tag = "runs", params(ListRuns),
    responses((status = 200, body = Runs)))]
pub async fn list(Asker(ctx): Asker, Query(q): Query<ListRuns>) -> Result<Json<Runs>, Problem> {
    let limit = limit(q.limit, ops::runs::PAGE)?;
    let before = List::Runs.read(q.cursor.as_deref())?.map(|(at, id)| (at, RunId(id)));
    let service = match &q.service {
        Some(name) => Some(ServiceId(ops::services::find(&ctx, name).await?.id)),
        None => None,
    };
    let rows = ops::runs::list(&ctx, Filter { service, kind: q.kind, state: q.state }, before, limit).await?;
    let next = (rows.len() as i64 == limit).then(|| rows.last().map(|r| List::Runs.key(r.run.queued_at, r.run.id))).flatten();
    Ok(Json(Runs { runs: rows.into_iter().map(Run::from).collect(), next }))
}

/// A run with its steps.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunInFull {
    #[serde(flatten)]
    run: Run,
    steps: Vec<Step>,
}

/// One step of a run, in the order of doing.
#[derive(Debug, Serialize, ToSchema)]
pub struct Step {
    name: String,
    #[schema(schema_with = words::step_state)]
    state: String,
    /// How often it was begun.
    attempt: i64,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    #[schema(value_type = Value)]
    input: Option<Value>,
    #[schema(value_type = Value)]
    output: Option<Value>,
    failure: Option<Failure>,
}

impl From<StepRow> for Step {
    fn from(s: StepRow) -> Self {
        Self {
            name: s.name,
            state: s.state,
            attempt: s.attempt,
            started_at: s.started_at.map(at),
            finished_at: s.finished_at.map(at),
            input: s.input.map(|v| v.0),
            output: s.output.map(|v| v.0),
            failure: s.failure.map(|f| f.0.into()),
        }
    }
}

/// One run with its steps
#[utoipa::path(get, path = "/api/v1/runs/{id}", tag = "runs", params(("id" = Uuid, Path, description = "The run's id")),
    responses((status = 200, body = RunInFull)))]
pub async fn find(Asker(ctx): Asker, Path(id): Path<Uuid>) -> Result<Json<RunInFull>, Problem> {
    let run = ops::runs::find(&ctx, RunId(id)).await?;
    let service = ops::runs::about(&ctx, &run).await?.service;
    let (service_name, service_title) = service.map(|s| (s.name, s.title)).unzip();
    let run = ListedRun { run, service_name, service_title }.into();
    let steps = ops::runs::steps(&ctx, RunId(id)).await?.into_iter().map(Step::from).collect();
    Ok(Json(RunInFull { run, steps }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListItems {
    #[param(schema_with = words::item_state)]
    state: Option<ItemState>,
    /// Items after this name; `next` of the page before.
    after: Option<String>,
    /// 1 to 500, 100 where it is left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// What a run did to one item.
#[derive(Debug, Serialize, ToSchema)]
pub struct Item {
    name: String,
    #[schema(schema_with = words::item_state)]
    state: String,
    /// The snapshot that was made or read.
    snapshot: Option<Uuid>,
    files: i64,
    bytes: i64,
    bytes_added: i64,
    /// At most 1000 of the files that could not be read or written.
    problems: Vec<ItemProblem>,
    /// How many there were.
    problems_total: i64,
    finished_at: Timestamp,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ItemProblem {
    path: String,
    message: String,
}

impl From<RunItemRow> for Item {
    fn from(i: RunItemRow) -> Self {
        let problems = i.problems.0;
        Self {
            name: i.name,
            state: i.state,
            snapshot: i.snapshot_id,
            files: i.files,
            bytes: i.bytes,
            bytes_added: i.bytes_added,
            problems: problems.listed.into_iter().map(|p| ItemProblem { path: p.path, message: p.message }).collect(),
            problems_total: problems.total,
            finished_at: at(i.finished_at),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Items {
    items: Vec<Item>,
    /// `after` of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What a run did to each item, by name
#[utoipa::path(get, path = "/api/v1/runs/{id}/items", tag = "runs", params(("id" = Uuid, Path, description = "The run's id"), ListItems),
    responses((status = 200, body = Items)))]
pub async fn items(Asker(ctx): Asker, Path(id): Path<Uuid>, Query(q): Query<ListItems>) -> Result<Json<Items>, Problem> {
    let limit = limit(q.limit, ops::runs::PAGE)?;
    let after = after(q.after)?;
    ops::runs::find(&ctx, RunId(id)).await?;
    let rows = ops::runs::items(&ctx, RunId(id), q.state, &after, limit).await?;
    let next = (rows.len() as i64 == limit).then(|| rows.last().map(|i| i.name.clone())).flatten();
    Ok(Json(Items { items: rows.into_iter().map(Item::from).collect(), next }))
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "not now"}))]
pub struct Cancel {
    /// Why, for the log and the audit trail.
    #[serde(default)]
    reason: String,
}

/// What became of the wish.
#[derive(Debug, Serialize, ToSchema)]
pub struct CancelAnswer {
    /// True: the run has ended. False: its worker was asked and puts things in order first.
    ended: bool,
}

/// Cancel a run that waits or runs
#[utoipa::path(post, path = "/api/v1/runs/{id}/cancel", tag = "runs", params(("id" = Uuid, Path, description = "The run's id")), request_body = Cancel,
    responses((status = 200, body = CancelAnswer)))]
pub async fn cancel(Asker(ctx): Asker, Path(id): Path<Uuid>, Body(body): Body<Cancel>) -> Result<Json<CancelAnswer>, Problem> {
    let done = ops::runs::cancel(&ctx, RunId(id), &body.reason).await?;
    Ok(Json(CancelAnswer { ended: done == Cancelled::AtOnce }))
}
