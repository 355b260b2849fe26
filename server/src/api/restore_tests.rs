//! `/api/v1/tests`: restore tests and what they measured.

use axum::{Json, http::StatusCode};
use domain::{
    evidence::{CheckOutcome, Verdict},
    id::RestoreTestId,
    units,
};
use jiff::Timestamp;
use ops::restore_tests::Again;
use serde::{Deserialize, Serialize};
use store::restore_tests::{Filter, RestoreTestRow, TestedSnapshot};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    asker::{Asker, Body, List, Path, Query, limit},
    problem::Problem,
    start::Started,
    words::at,
};

/// A restore test that has ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct RestoreTest {
    id: Uuid,
    run: Uuid,
    /// The service's id.
    service: Uuid,
    /// `latest`, `random N d`, `sample N` or `all`.
    selection: String,
    /// The definition that it followed, as it was called then; absent for the built-in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    definition: Option<String>,
    started_at: Timestamp,
    finished_at: Timestamp,
    /// `passed`, `failed` or `unknown` (could not be checked).
    verdict: String,
    /// How far it has proven the data: none, exists, readable, restored, asserted, started.
    level: String,
    /// Seconds from the start of the restore to the end of the checks, and what is promised.
    rto_s: Option<f64>,
    rto_target_s: Option<i64>,
    /// How old the data was that it brought back, in seconds, and what is promised.
    rpo_s: Option<i64>,
    rpo_target_s: Option<i64>,
    items_restored: i64,
    items_skipped: i64,
    items_failed: i64,
    files: i64,
    bytes: i64,
    checks: Vec<TestCheck>,
    /// When the scratch folder was looked for and not found; absent where it could not be removed.
    scratch_gone_at: Option<Timestamp>,
    snapshots: Vec<Tested>,
}

/// One thing that was checked.
#[derive(Debug, Serialize, ToSchema)]
pub struct TestCheck {
    /// Such as `counts`, `recapture`, `canary`, `rto`, `rpo`, `start`; of a definition's own check `sqlite:NAME`,
    /// `postgresql:NAME`, `http:NAME` or `command:NAME`.
    name: String,
    /// `passed`, `failed` or `unknown`.
    verdict: &'static str,
    /// What was compared with what.
    detail: String,
    /// What had to be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    /// What was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<String>,
}

impl From<CheckOutcome> for TestCheck {
    fn from(c: CheckOutcome) -> Self {
        Self { name: c.name, verdict: c.verdict.as_str(), detail: c.detail, expected: c.expected, seen: c.seen }
    }
}

/// A snapshot that was brought back.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tested {
    item: String,
    snapshot: Uuid,
    taken_at: Timestamp,
}

impl From<TestedSnapshot> for Tested {
    fn from(t: TestedSnapshot) -> Self {
        Self { item: t.item, snapshot: t.snapshot.0, taken_at: at(t.taken_at.0) }
    }
}

impl From<RestoreTestRow> for RestoreTest {
    fn from(t: RestoreTestRow) -> Self {
        Self {
            id: t.id,
            run: t.run_id,
            service: t.service_id,
            selection: t.selection,
            definition: t.definition,
            started_at: at(t.started_at),
            finished_at: at(t.finished_at),
            verdict: t.verdict,
            level: t.level,
            rto_s: t.rto_s,
            rto_target_s: t.rto_target_s,
            rpo_s: t.rpo_s,
            rpo_target_s: t.rpo_target_s,
            items_restored: t.items_restored,
            items_skipped: t.items_skipped,
            items_failed: t.items_failed,
            files: t.files,
            bytes: t.bytes,
            checks: t.checks.0.into_iter().map(TestCheck::from).collect(),
            scratch_gone_at: t.teardown.0.gone_at.map(|g| at(g.0)),
            snapshots: t.snapshots.0.into_iter().map(Tested::from).collect(),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListTests {
    /// Only those of the service of this name.
    service: Option<String>,
    /// Only those with this verdict: `passed`, `failed` or `unknown`.
    verdict: Option<String>,
    /// Only those by the definition of this name; `-` is the built-in one.
    definition: Option<String>,
    /// Only those that began then or later.
    from: Option<Timestamp>,
    /// Only those that began before.
    before: Option<Timestamp>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 500, 100 where it is left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RestoreTests {
    tests: Vec<RestoreTest>,
    /// `cursor` of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Restore tests, the newest first
#[utoipa::path(get, path = "/api/v1/tests", tag = "restore tests", params(ListTests), responses((status = 200, body = RestoreTests)))]
pub async fn list(Asker(ctx): Asker, Query(q): Query<ListTests>) -> Result<Json<RestoreTests>, Problem> {
    let limit = limit(q.limit, ops::runs::PAGE)?;
    let before = List::Tests.read(q.cursor.as_deref())?.map(|(at, id)| (at, RestoreTestId(id)));
    let service = match &q.service {
        Some(name) => Some(ops::services::find(&ctx, name).await?.id()),
        None => None,
    };
    let verdict = match q.verdict.as_deref() {
        None => None,
        Some(text) => Some(Verdict::parse(text).ok_or_else(|| Problem::invalid("verdict", "is not known; use passed, failed or unknown"))?),
    };
    let moment = |t: Timestamp| units::Timestamp(t.as_microsecond());
    let all = Filter::default();
    let filter = Filter {
        service,
        verdict,
        definition: q.definition.unwrap_or_default(),
        from: q.from.map_or(all.from, moment),
        before: q.before.map_or(all.before, moment),
    };
    let rows = ops::restore_tests::filtered(&ctx, &filter, before, limit).await?;
    let next = (rows.len() as i64 == limit).then(|| rows.last().map(|t| List::Tests.key(t.started_at, t.id))).flatten();
    Ok(Json(RestoreTests { tests: rows.into_iter().map(RestoreTest::from).collect(), next }))
}

/// One restore test
#[utoipa::path(get, path = "/api/v1/tests/{id}", tag = "restore tests", params(("id" = Uuid, Path, description = "The test's id")),
    responses((status = 200, body = RestoreTest)))]
pub async fn find(Asker(ctx): Asker, Path(id): Path<Uuid>) -> Result<Json<RestoreTest>, Problem> {
    Ok(Json(ops::restore_tests::find(&ctx, RestoreTestId(id)).await?.into()))
}

/// Which snapshots the test takes this time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"snapshots": "same"}))]
pub struct Rerun {
    /// `same`: the very ones of that test; `new`: they are chosen anew.
    snapshots: String,
}

/// Run a test again by its definition
#[utoipa::path(post, path = "/api/v1/tests/{id}/rerun", tag = "restore tests", params(("id" = Uuid, Path, description = "The test's id")), request_body = Rerun,
    responses((status = 202, body = Started)))]
pub async fn rerun(Asker(ctx): Asker, Path(id): Path<Uuid>, Body(how): Body<Rerun>) -> Result<(StatusCode, Json<Started>), Problem> {
    let again = Again::parse(&how.snapshots).ok_or_else(|| Problem::invalid("snapshots", "is not known; use same or new"))?;
    let run = match ctx.done("run").and_then(|r| r.first().copied()) {
        Some(run) => run,
        None => ops::restore_tests::rerun(&ctx, RestoreTestId(id), again).await?.0,
    };
    Ok((StatusCode::ACCEPTED, Json(Started::one(run))))
}
