//! `/api/v1/schedules`: when work is done again and again, and the ledger of what that expected.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use domain::{
    id::{ServiceId, TickId},
    schedule::{Misfire, ScheduleKind, TickState},
    units,
};
use jiff::Timestamp;
use ops::{
    schedules::{Draft, draft_of},
    version::Seen,
};
use serde::{Deserialize, Serialize};
use store::{
    schedules::{Filter, ScheduleRow},
    ticks::{self, TickRow},
};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    asker::{Asker, Body, List, Path, Query, Trial, after, limit},
    instances::SnapshotAsked,
    problem::Problem,
    start::Selection,
    version::{Basis, Known, Tagged},
    words::{self, at},
};

/// How many times an answer names.
const NEXT: usize = 10;

/// A schedule as it is asked for. Spans are seconds.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    #[schema(schema_with = words::schedule_kind)]
    kind: ScheduleKind,
    /// A backup: `service` or `service/source`; a restore test: a service; a check: a repository.
    of: String,
    /// Five fields: minute, hour, day of the month, month, weekday.
    cron: String,
    /// A zone of the IANA database, such as `Europe/Prague`.
    zone: String,
    /// Each run begins up to this much later, by chance.
    #[serde(default)]
    jitter_s: i64,
    /// A run that takes longer is cancelled.
    max_duration_s: Option<i64>,
    #[serde(default = "once")]
    #[schema(schema_with = words::misfire)]
    misfire: Misfire,
    /// A restore test: which snapshots it takes. Left out: five items at random.
    selection: Option<Selection>,
    /// A restore test: the definition of the service that it follows, instead of a selection.
    #[serde(skip_serializing_if = "Option::is_none")]
    definition: Option<String>,
    /// A check: read and verify every byte.
    #[serde(default)]
    read_data: bool,
    /// Confirms so many runs a day; needed where they are many.
    runs_a_day: Option<i64>,
    /// A backup of instances: how each is snapshotted. Left out: with the defaults, of every instance of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<SnapshotAsked>,
}

const fn once() -> Misfire {
    Misfire::Once
}

impl Rule {
    fn draft(self, name: String) -> Draft {
        let selection = self.selection.map_or(Draft::default().selection, Into::into);
        Draft {
            name,
            kind: self.kind,
            of: self.of,
            selection,
            definition: self.definition,
            read_data: self.read_data,
            cron: self.cron,
            zone: self.zone,
            jitter_s: self.jitter_s,
            max_duration_s: self.max_duration_s,
            misfire: self.misfire,
            runs_a_day: self.runs_a_day,
            snapshot: self.snapshot.map(Into::into),
        }
    }
}

impl From<Draft> for Rule {
    fn from(d: Draft) -> Self {
        let selection = (d.kind == ScheduleKind::RestoreTest && d.definition.is_none()).then(|| d.selection.into());
        Self {
            kind: d.kind,
            of: d.of,
            cron: d.cron,
            zone: d.zone,
            jitter_s: d.jitter_s,
            max_duration_s: d.max_duration_s,
            misfire: d.misfire,
            selection,
            definition: d.definition,
            read_data: d.read_data,
            runs_a_day: d.runs_a_day,
            snapshot: d.snapshot.map(Into::into),
        }
    }
}

/// A schedule.
#[derive(Debug, Serialize, ToSchema)]
pub struct Schedule {
    id: Uuid,
    name: String,
    rule: Rule,
    /// The expression in words.
    words: String,
    /// The next times by the expression, without jitter.
    next: Vec<Timestamp>,
    /// When the next run begins, with its jitter.
    next_run_at: Timestamp,
    paused: Option<Paused>,
    /// Goes up with each change; a change names the one that it starts from.
    revision: i64,
}

/// A pause, while it lasts.
#[derive(Debug, Serialize, ToSchema)]
pub struct Paused {
    since: Timestamp,
    /// Absent: until somebody resumes it.
    until: Option<Timestamp>,
    by: String,
    reason: String,
}

fn schedule(row: &ScheduleRow, now: units::Timestamp) -> Result<Schedule, Problem> {
    let paused = row.paused_at.filter(|_| row.is_paused(now)).map(|since| Paused {
        since: at(since),
        until: row.paused_until.map(at),
        by: row.paused_by.clone().unwrap_or_default(),
        reason: row.pause_reason.clone().unwrap_or_default(),
    });
    Ok(Schedule {
        id: row.id,
        name: row.name.clone(),
        rule: draft_of(row)?.into(),
        words: ops::cron::Cron::parse(&row.cron).map(|c| c.words()).unwrap_or_default(),
        next: ops::schedules::next_times(row, now, NEXT).into_iter().map(|t| at(t.0)).collect(),
        next_run_at: at(row.next_run_at),
        paused,
        revision: row.revision,
    })
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListSchedules {
    #[param(schema_with = words::schedule_kind)]
    kind: Option<ScheduleKind>,
    /// Only those of the service of this name.
    service: Option<String>,
    /// Schedules after this name; `next` of the page before.
    after: Option<String>,
    /// 1 to 500, 100 where it is left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Schedules {
    schedules: Vec<Schedule>,
    /// `after` of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Schedules by name
#[utoipa::path(get, path = "/api/v1/schedules", tag = "schedules", params(ListSchedules),
    responses((status = 200, body = Schedules)))]
pub async fn list(Asker(ctx): Asker, Query(q): Query<ListSchedules>) -> Result<Json<Schedules>, Problem> {
    let limit = limit(q.limit, ops::runs::PAGE)?;
    let filter = Filter { kind: q.kind, service: q.service.unwrap_or_default() };
    let rows = ops::schedules::list(&ctx, &filter, &after(q.after)?, limit).await?;
    let next = (rows.len() as i64 == limit).then(|| rows.last().map(|s| s.name.clone())).flatten();
    let schedules = rows.iter().map(|r| schedule(r, ctx.now())).collect::<Result<_, _>>()?;
    Ok(Json(Schedules { schedules, next }))
}

/// One schedule
#[utoipa::path(get, path = "/api/v1/schedules/{name}", tag = "schedules", params(("name" = String, Path, description = "The schedule's name")),
    responses((status = 200, body = Schedule)))]
pub async fn find(Asker(ctx): Asker, known: Known, Path(name): Path<String>) -> Result<Tagged, Problem> {
    Ok(tagged(&ctx, &name).await?.unless(&known))
}

async fn tagged(ctx: &ops::Ctx, name: &str) -> Result<Tagged, Problem> {
    let found = ops::schedules::find(ctx, name).await?;
    Tagged::new(&ops::schedules::version(&found), &schedule(&found, ctx.now())?)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "nightly", "rule": {"kind": "backup", "of": "notebooks", "cron": "15 1 * * *", "zone": "Europe/Prague"}}))]
pub struct NewSchedule {
    /// A short name that no other schedule has.
    name: String,
    rule: Rule,
}

/// What a schedule would do, beside how it would stand.
#[derive(Debug, Serialize, ToSchema)]
pub struct Would {
    /// On a day with runs.
    runs_a_day: i64,
    /// The shortest time between two runs.
    shortest_gap_s: i64,
    /// How long the last runs of this kind took on average; absent where none has succeeded.
    takes_s: Option<f64>,
    /// Other schedules that begin within five minutes of the next run.
    beside: usize,
    /// An expression that was probably meant instead.
    likely: Option<String>,
    /// The next change of the zone's clock, where a run falls into what is left out or comes twice.
    clock_change_at: Option<Timestamp>,
}

/// A schedule that is not saved.
#[derive(Debug, Serialize, ToSchema)]
pub struct TriedSchedule {
    #[serde(flatten)]
    schedule: Schedule,
    would: Option<Would>,
}

async fn tried(ctx: &ops::Ctx, draft: &Draft, row: &ScheduleRow) -> Result<Response, Problem> {
    let (preview, _) = ops::schedules::preview(ctx, draft).await?;
    let would = preview.map(|p| Would {
        runs_a_day: p.runs_a_day,
        shortest_gap_s: p.gap_s,
        takes_s: p.takes_s,
        beside: p.same_window,
        likely: p.likely.map(|(cron, ..)| cron),
        clock_change_at: p.clock.filter(|c| c.touches).map(|c| at(c.at.0)),
    });
    Ok(Json(TriedSchedule { schedule: schedule(row, ctx.now())?, would }).into_response())
}

/// Make a schedule
///
/// With `preview` the answer is 200 and the schedule as it would stand, with what it would do; the id of the real one
/// will be another.
#[utoipa::path(post, path = "/api/v1/schedules", tag = "schedules", params(Trial), request_body = NewSchedule,
    responses((status = 201, body = Schedule), (status = 200, description = "with `preview`: nothing is written", body = TriedSchedule)))]
pub async fn create(Asker(ctx): Asker, Query(trial): Query<Trial>, Body(new): Body<NewSchedule>) -> Result<Response, Problem> {
    let draft = new.rule.draft(new.name);
    if trial.preview {
        return tried(&ctx, &draft, &ops::schedules::would_save(&ctx, &draft, None, &Seen::Any).await?).await;
    }
    if ctx.done("schedule").is_none() {
        ops::schedules::save(&ctx, &draft, None).await?;
    }
    Ok((StatusCode::CREATED, Json(schedule(&ops::schedules::find(&ctx, &draft.name).await?, ctx.now())?)).into_response())
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"revision": 1, "rule": {"kind": "backup", "of": "notebooks", "cron": "45 2 * * *", "zone": "Europe/Prague"}}))]
pub struct ChangedSchedule {
    /// The revision that this change starts from.
    revision: i64,
    rule: Rule,
}

/// Change a schedule
///
/// With `preview` the answer is the schedule as it would stand, with `would`: what it would do.
#[utoipa::path(put, path = "/api/v1/schedules/{name}", tag = "schedules", params(("name" = String, Path, description = "The schedule's name"), Trial),
    request_body = ChangedSchedule,
    responses((status = 200, body = Schedule)))]
pub async fn change(
    Asker(ctx): Asker,
    Basis(seen): Basis,
    Path(name): Path<String>,
    Query(trial): Query<Trial>,
    Body(changed): Body<ChangedSchedule>,
) -> Result<Response, Problem> {
    let (draft, revision) = (changed.rule.draft(name.clone()), Some(changed.revision));
    if trial.preview {
        return tried(&ctx, &draft, &ops::schedules::would_save(&ctx, &draft, revision, &seen).await?).await;
    }
    ops::schedules::save_if(&ctx, &draft, revision, &seen).await?;
    Ok(tagged(&ctx, &name).await?.into_response())
}

/// Take a schedule out of use; its ledger and its runs stay
#[utoipa::path(delete, path = "/api/v1/schedules/{name}", tag = "schedules", params(("name" = String, Path, description = "The schedule's name")),
    responses((status = 204)))]
pub async fn remove(Asker(ctx): Asker, Basis(seen): Basis, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    ops::schedules::remove_if(&ctx, &name, &seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "the storage moves"}))]
pub struct Pause {
    /// Why, for those who look at the ledger later.
    reason: String,
    /// Left out: until somebody resumes it.
    until: Option<Timestamp>,
}

/// Pause a schedule; its ticks stand in the ledger with the reason
#[utoipa::path(post, path = "/api/v1/schedules/{name}/pause", tag = "schedules", params(("name" = String, Path, description = "The schedule's name")),
    request_body = Pause,
    responses((status = 200, body = Schedule)))]
pub async fn pause(Asker(ctx): Asker, Path(name): Path<String>, Body(pause): Body<Pause>) -> Result<Json<Schedule>, Problem> {
    let until = pause.until.map(|t| units::Timestamp(t.as_microsecond()));
    ops::schedules::pause(&ctx, &name, until, &pause.reason).await?;
    Ok(Json(schedule(&ops::schedules::find(&ctx, &name).await?, ctx.now())?))
}

/// Let a paused schedule go on
#[utoipa::path(post, path = "/api/v1/schedules/{name}/resume", tag = "schedules", params(("name" = String, Path, description = "The schedule's name")),
    responses((status = 200, body = Schedule)))]
pub async fn resume(Asker(ctx): Asker, Path(name): Path<String>) -> Result<Json<Schedule>, Problem> {
    ops::schedules::resume(&ctx, &name).await?;
    Ok(Json(schedule(&ops::schedules::find(&ctx, &name).await?, ctx.now())?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Expression {
    /// Five fields.
    #[param(example = "15 1 * * *")]
    cron: String,
    #[param(example = "Europe/Prague")]
    zone: String,
}

/// What an expression means.
#[derive(Debug, Serialize, ToSchema)]
pub struct Meaning {
    words: String,
    /// On a day with runs.
    runs_a_day: i64,
    next: Vec<Timestamp>,
    /// What was probably meant instead.
    likely: Option<String>,
}

/// What a cron expression means: in words, its next ten times, how many runs a day
#[utoipa::path(get, path = "/api/v1/cron", tag = "schedules", params(Expression),
    responses((status = 200, body = Meaning)))]
pub async fn meaning(Asker(ctx): Asker, Query(q): Query<Expression>) -> Result<Json<Meaning>, Problem> {
    let m = ops::schedules::meaning(&ctx, &q.cron, &q.zone)?;
    let next = m.next.into_iter().map(|t| at(t.0)).collect();
    Ok(Json(Meaning { words: m.words, runs_a_day: m.runs_a_day, next, likely: m.likely }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListTicks {
    #[param(schema_with = words::tick_state)]
    state: Option<TickState>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 500, 100 where it is left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListLedger {
    /// Only those of the service of this name.
    service: Option<String>,
    #[param(schema_with = words::schedule_kind)]
    kind: Option<ScheduleKind>,
    #[param(schema_with = words::tick_state)]
    state: Option<TickState>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 500, 100 where it is left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// One time that a schedule asked for work, and what came of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tick {
    schedule: String,
    /// The time by the expression.
    due_at: Timestamp,
    #[schema(schema_with = words::schedule_kind)]
    kind: String,
    service: Option<String>,
    /// What it was for: a source, a service or a repository.
    target: String,
    #[schema(schema_with = words::tick_state)]
    state: String,
    run: Option<Uuid>,
    /// Why there is no run.
    #[schema(schema_with = words::missed)]
    reason: Option<String>,
    /// More about that, such as the run that stood in the way.
    detail: Option<String>,
}

impl From<TickRow> for Tick {
    fn from(t: TickRow) -> Self {
        Self {
            schedule: t.schedule_name,
            due_at: at(t.due_at),
            kind: t.kind,
            service: t.service_name,
            target: t.target,
            state: t.state,
            run: t.run_id,
            reason: t.reason,
            detail: t.detail,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Ticks {
    ticks: Vec<Tick>,
    /// `cursor` of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn page(ctx: &ops::Ctx, list: List, filter: ticks::Filter, from: Option<&str>, given: Option<i64>) -> Result<Json<Ticks>, Problem> {
    let limit = limit(given, ops::runs::PAGE)?;
    let before = list.read(from)?.map(|(at, id)| (at, TickId(id)));
    let rows = ops::ledger::list(ctx, filter, before, limit).await?;
    let next = (rows.len() as i64 == limit).then(|| rows.last().map(|t| list.key(t.due_at, t.id))).flatten();
    Ok(Json(Ticks { ticks: rows.into_iter().map(Tick::from).collect(), next }))
}

/// The ledger of one schedule, the newest tick first
#[utoipa::path(get, path = "/api/v1/schedules/{name}/ticks", tag = "schedules", params(("name" = String, Path, description = "The schedule's name"), ListTicks),
    responses((status = 200, body = Ticks)))]
pub async fn ticks(Asker(ctx): Asker, Path(name): Path<String>, Query(q): Query<ListTicks>) -> Result<Json<Ticks>, Problem> {
    let schedule = ops::schedules::find(&ctx, &name).await?.id();
    let filter = ticks::Filter { schedule: Some(schedule), state: q.state, ..ticks::Filter::default() };
    page(&ctx, List::Ticks, filter, q.cursor.as_deref(), q.limit).await
}

/// The ledger of all schedules, the newest tick first
#[utoipa::path(get, path = "/api/v1/ledger", tag = "schedules", params(ListLedger),
    responses((status = 200, body = Ticks)))]
pub async fn ledger(Asker(ctx): Asker, Query(q): Query<ListLedger>) -> Result<Json<Ticks>, Problem> {
    let service = match &q.service {
        Some(name) => Some(ServiceId(ops::services::find(&ctx, name).await?.id)),
        None => None,
    };
    let filter = ticks::Filter { schedule: None, service, kind: q.kind, state: q.state };
    page(&ctx, List::Ledger, filter, q.cursor.as_deref(), q.limit).await
}
