//! Starting restore tests and reading what they measured.
//!
//! Lives here: the use cases. May not: judging (the run does, by `domain::evidence::join`).

use domain::{
    definition::{Terms, selection_problem},
    id::{RestoreTestId, RunId, ServiceId},
    run::RunKind,
    units::Timestamp,
    work::{RestoreTestParams, Selection},
};
use store::{
    Tx,
    restore_tests::{self, Filter, RestoreTestRow, TestPoint},
    services::{self, ServiceRow},
    snapshots, test_definitions, wake,
};
use uuid::Uuid;

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, Sight, merged, require_on, sight},
    runs::{self, Start},
};

/// Tests of one service that are counted.
const MOST: i64 = 10_000;

/// Starts a restore test of a service by the built-in definition. A service without snapshots fails its test; it is not refused one.
pub async fn start(ctx: &Ctx, service: &str, selection: Selection) -> Result<RunId> {
    begin(ctx, service, RestoreTestParams::built_in(selection)).await
}

/// Starts a restore test by a definition of the service; its terms of now stand in the run.
pub async fn start_by(ctx: &Ctx, service: &str, definition: &str) -> Result<RunId> {
    begin(ctx, service, by_name(definition)).await
}

fn by_name(definition: &str) -> RestoreTestParams {
    RestoreTestParams { definition: Some(definition.to_owned()), ..RestoreTestParams::built_in(Terms::default().selection) }
}

async fn begin(ctx: &Ctx, service: &str, params: RestoreTestParams) -> Result<RunId> {
    require_on(ctx, Action::Operate, On::Any)?;
    let found = services::find_by_name(ctx.db.read().await?.tx(), service).await?;
    enqueue(ctx, &found.filter(|s| s.removed_at.is_none()).ok_or_else(|| OpsError::not_found("service", service))?, params, None).await
}

/// Starts again what a run was asked for, by the terms that stand in it.
pub(crate) async fn retry(ctx: &Ctx, service: ServiceId, params: RestoreTestParams, retry_of: RunId) -> Result<RunId> {
    require_on(ctx, Action::Operate, On::Service(service))?;
    let found = services::find(ctx.db.read().await?.tx(), service).await?;
    enqueue(ctx, &found.filter(|s| s.removed_at.is_none()).ok_or_else(|| OpsError::not_found("service", service))?, params, Some(retry_of)).await
}

/// Which snapshots a rerun takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// The very ones of the test that is run again.
    Same,
    /// Newly chosen ones.
    New,
}

impl Again {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "same" => Some(Self::Same),
            "new" => Some(Self::New),
            _ => None,
        }
    }
}

/// Runs a test again by its definition: as that stands now or, where it is gone, as it stood then.
pub async fn rerun(ctx: &Ctx, id: RestoreTestId, again: Again) -> Result<RunId> {
    require_on(ctx, Action::Operate, On::Any)?;
    let mut read = ctx.db.read().await?;
    let test = restore_tests::find(read.tx(), id).await?.ok_or_else(|| OpsError::not_found("restore test", id))?;
    let service = ServiceId(test.service_id);
    require_on(ctx, Action::Operate, On::Service(service))?;
    let run = store::runs::find(read.tx(), RunId(test.run_id)).await?.ok_or_else(|| OpsError::not_found("run", test.run_id))?;
    let found = services::find(read.tx(), service).await?.filter(|s| s.removed_at.is_none()).ok_or_else(|| OpsError::not_found("service", service))?;
    if run.kind()? != RunKind::RestoreTest {
        return Err(OpsError::Conflict("this test was not run by Holdfast, so it cannot be run again; start another one".to_owned()));
    }
    let then: RestoreTestParams = run.params()?;
    let mut params = RestoreTestParams { definition: then.definition.clone(), ..RestoreTestParams::built_in(then.selection) };
    if let Some(name) = &then.definition
        && test_definitions::find(read.tx(), service, name).await?.is_none()
    {
        params.terms = then.terms;
    }
    if again == Again::Same {
        let mut gone = 0;
        for tested in &test.snapshots.0 {
            gone += usize::from(snapshots::testable(read.tx(), service, tested.snapshot).await?.is_none());
        }
        if gone > 0 || test.snapshots.0.is_empty() {
            let what = if gone == 1 { "one of its snapshots is".to_owned() } else { format!("{gone} of its snapshots are") };
            let what = if gone == 0 { "it had no snapshots".to_owned() } else { format!("{what} no longer there") };
            return Err(OpsError::invalid("snapshots", format!("cannot be the same: {what}; choose them anew")));
        }
        params.snapshots = test.snapshots.0.iter().map(|t| t.snapshot).collect();
        params.loss_at = Some(then.loss_at.unwrap_or(Timestamp(test.started_at)));
    }
    drop(read);
    enqueue(ctx, &found, params, None).await
}

async fn enqueue(ctx: &Ctx, service: &ServiceRow, params: RestoreTestParams, retry_of: Option<RunId>) -> Result<RunId> {
    require_on(ctx, Action::Operate, On::Service(service.id()))?;
    let mut t = ctx.db.begin_audited().await?;
    let params = with_terms(t.tx(), service, params).await?;
    let run = runs::enqueue_in(ctx, &mut t, order(service, params, retry_of)?, None).await?;
    t.commit().await?;
    wake::queue();
    Ok(run)
}

/// The same with what its definition says now, unless its terms stand there already.
///
/// # Errors
/// `NotFound` where there is no such definition.
pub(crate) async fn with_terms(tx: Tx<'_>, service: &ServiceRow, params: RestoreTestParams) -> Result<RestoreTestParams> {
    let (Some(name), None) = (&params.definition, &params.terms) else { return Ok(params) };
    let row = test_definitions::find(tx, service.id(), name).await?.ok_or_else(|| OpsError::not_found("test definition", name))?;
    Ok(RestoreTestParams { selection: row.terms.0.selection, terms: Some(row.terms.0), ..params })
}

/// The run that tests a restore of a service.
pub(crate) fn order(service: &ServiceRow, params: RestoreTestParams, retry_of: Option<RunId>) -> Result<Start<RestoreTestParams>> {
    if let Some(problem) = selection_problem(params.selection) {
        return Err(OpsError::Invalid(vec![problem]));
    }
    let by = params.definition.as_ref().map_or_else(String::new, |d| format!(" by {d}"));
    Ok(Start {
        kind: RunKind::RestoreTest,
        service: Some(service.id()),
        source: None,
        repository: None,
        title: format!("Restore test of {}{by}", service.name),
        params,
        retry_of,
        priority: 0,
        resource_key: Some(format!("restore_test:{}", service.id)),
        unique_key: Some(format!("restore_test:{}", service.id)),
    })
}

/// Restore tests, the newest first, before the key of the last one seen; of one service where it is given.
pub async fn list(ctx: &Ctx, service: Option<ServiceId>, before: Option<(Timestamp, RestoreTestId)>, limit: i64) -> Result<Vec<RestoreTestRow>> {
    filtered(ctx, &Filter { service, ..Filter::default() }, before, limit).await
}

/// The same of what a filter lets through.
pub async fn filtered(ctx: &Ctx, filter: &Filter, before: Option<(Timestamp, RestoreTestId)>, limit: i64) -> Result<Vec<RestoreTestRow>> {
    let before = before.map_or((Timestamp(i64::MAX), Uuid::max()), |(at, id)| (at, id.0));
    let limit = limit.clamp(1, runs::PAGE);
    let mut read = ctx.db.read().await?;
    match sight(ctx, Action::Read)? {
        Sight::Part { services, .. } if filter.service.is_none_or(|s| !services.contains(&s)) => {
            let mut pages = Vec::new();
            for one in services.into_iter().filter(|_| filter.service.is_none()) {
                pages.push(restore_tests::page(read.tx(), &Filter { service: Some(one), ..filter.clone() }, before, limit).await?);
            }
            Ok(merged(pages, |t| (t.started_at, t.id), limit))
        }
        _ => Ok(restore_tests::page(read.tx(), filter, before, limit).await?),
    }
}

pub async fn find(ctx: &Ctx, id: RestoreTestId) -> Result<RestoreTestRow> {
    require_on(ctx, Action::Read, On::Any)?;
    let row = restore_tests::find(ctx.db.read().await?.tx(), id).await?.ok_or_else(|| OpsError::not_found("restore test", id))?;
    require_on(ctx, Action::Read, On::Service(ServiceId(row.service_id)))?;
    Ok(row)
}

/// The test that a run recorded, once it has.
pub async fn of_run(ctx: &Ctx, run: RunId) -> Result<Option<RestoreTestRow>> {
    runs::find(ctx, run).await?;
    Ok(restore_tests::of_run(ctx.db.read().await?.tx(), run).await?)
}

/// The tests of a service since then, the newest first: the trend.
pub async fn since(ctx: &Ctx, service: ServiceId, since: Timestamp, limit: i64) -> Result<Vec<TestPoint>> {
    require_on(ctx, Action::Read, On::Service(service))?;
    Ok(restore_tests::since(ctx.db.read().await?.tx(), service, since, limit.clamp(1, runs::PAGE)).await?)
}

/// The tests of each of some services since then, the newest first: the rows of the grid by weeks.
pub async fn grid(ctx: &Ctx, services: &[ServiceId], since: Timestamp) -> Result<Vec<Vec<TestPoint>>> {
    require_on(ctx, Action::Read, On::Any)?;
    for service in services {
        require_on(ctx, Action::Read, On::Service(*service))?;
    }
    let mut read = ctx.db.read().await?;
    let mut rows = Vec::with_capacity(services.len());
    for service in services {
        rows.push(restore_tests::since(read.tx(), *service, since, runs::PAGE).await?);
    }
    Ok(rows)
}

/// How many tests of all services began since then.
pub async fn count_since(ctx: &Ctx, since: Timestamp) -> Result<i64> {
    let mut read = ctx.db.read().await?;
    let Sight::Part { services, .. } = sight(ctx, Action::Read)? else { return Ok(restore_tests::count_since(read.tx(), since).await?) };
    let mut n = 0;
    for service in services {
        n += restore_tests::since(read.tx(), service, since, MOST).await?.len() as i64;
    }
    Ok(n)
}
