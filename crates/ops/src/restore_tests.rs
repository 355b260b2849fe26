//! Starting restore tests and reading what they measured.
//!
//! Lives here: the use cases. May not: judging (the run does, by `domain::evidence::join`).

use domain::{
    id::{RestoreTestId, RunId, ServiceId},
    run::RunKind,
    units::Timestamp,
    work::{RestoreTestParams, Selection},
};
use store::{
    restore_tests::{self, RestoreTestRow, TestPoint},
    services,
    services::ServiceRow,
};
use uuid::Uuid;

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, Sight, merged, require_on, sight},
    runs::{self, Start},
};

/// Tests of one service that are counted.
const MOST: i64 = 10_000;

/// Starts a restore test of a service. A service without snapshots fails its test; it is not refused one.
pub async fn start(ctx: &Ctx, service: &str, selection: Selection) -> Result<RunId> {
    require_on(ctx, Action::Operate, On::Any)?;
    let found = services::find_by_name(ctx.db.read().await?.tx(), service).await?;
    enqueue(ctx, &found.filter(|s| s.removed_at.is_none()).ok_or_else(|| OpsError::not_found("service", service))?, selection, None).await
}

/// The same by id.
pub async fn start_service(ctx: &Ctx, service: ServiceId, selection: Selection, retry_of: Option<RunId>) -> Result<RunId> {
    require_on(ctx, Action::Operate, On::Service(service))?;
    let found = services::find(ctx.db.read().await?.tx(), service).await?;
    enqueue(ctx, &found.filter(|s| s.removed_at.is_none()).ok_or_else(|| OpsError::not_found("service", service))?, selection, retry_of).await
}

async fn enqueue(ctx: &Ctx, service: &ServiceRow, selection: Selection, retry_of: Option<RunId>) -> Result<RunId> {
    require_on(ctx, Action::Operate, On::Service(service.id()))?;
    runs::enqueue(ctx, order(service, selection, retry_of)?).await
}

/// The run that tests a restore of a service.
pub(crate) fn order(service: &ServiceRow, selection: Selection, retry_of: Option<RunId>) -> Result<Start<RestoreTestParams>> {
    if let Selection::Sample { count } = selection
        && !(1..=10_000).contains(&count)
    {
        return Err(OpsError::invalid("sample", "must be a number from 1 to 10000"));
    }
    Ok(Start {
        kind: RunKind::RestoreTest,
        service: Some(service.id()),
        source: None,
        repository: None,
        title: format!("Restore test of {}", service.name),
        params: RestoreTestParams { selection },
        retry_of,
        priority: 0,
        resource_key: Some(format!("restore_test:{}", service.id)),
        unique_key: Some(format!("restore_test:{}", service.id)),
    })
}

/// Restore tests, the newest first, before the key of the last one seen; of one service where it is given.
pub async fn list(ctx: &Ctx, service: Option<ServiceId>, before: Option<(Timestamp, RestoreTestId)>, limit: i64) -> Result<Vec<RestoreTestRow>> {
    let before = before.map_or((Timestamp(i64::MAX), Uuid::max()), |(at, id)| (at, id.0));
    let limit = limit.clamp(1, runs::PAGE);
    let mut read = ctx.db.read().await?;
    match sight(ctx, Action::Read)? {
        Sight::Part { services, .. } if service.is_none_or(|s| !services.contains(&s)) => {
            let mut pages = Vec::new();
            for one in services.into_iter().filter(|_| service.is_none()) {
                pages.push(restore_tests::page(read.tx(), Some(one), before, limit).await?);
            }
            Ok(merged(pages, |t| (t.started_at, t.id), limit))
        }
        _ => Ok(restore_tests::page(read.tx(), service, before, limit).await?),
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
