//! Instances of a cloud: what is listed, and starting a snapshot of one (R8, R22).
//!
//! Lives here: the use cases. Beside: what no record names (`orphans`), taking it over (`adopting`). May not: calling a
//! cloud (that is a run, and `runner::clouds`).
//! Invariant: one run is of one instance, whose id in the cloud it names where it is known.

pub mod adopting;
mod offered;
pub mod orphans;
pub mod places;

use domain::{
    id::{ItemId, RepositoryId, RunId, ServiceId, SourceId},
    instance::{Pattern, SnapshotParams},
    naming::nearest,
    run::RunKind,
    units::Timestamp,
    work::InstanceSnapshotParams,
};
pub use offered::names;
use store::{
    Tx,
    items::{self, ItemRow},
    repositories::{self, RepositoryRow},
    runs::RunRow,
    services::{self, ServiceRow},
    snapshots::{self, SnapshotRow},
    sources::{self, SourceRow},
};
use uuid::Uuid;

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, require_on},
    runs::{self, Start},
};

/// The kind of source whose items are instances.
pub const KIND: &str = "openstack-instance";
/// The longest page of instances, and of one's snapshots.
pub const PAGE: i64 = 500;
/// Names among which a likely one is looked for.
const MOST_NAMES: i64 = 10_000;

/// An instance and its newest snapshot.
#[derive(Clone, Debug)]
pub struct Instance {
    /// With what the cloud said of it, in `native`.
    pub item: ItemRow,
    pub newest: Option<SnapshotRow>,
}

/// A source with its cloud.
#[derive(Clone, Debug)]
pub struct Place {
    pub service: ServiceRow,
    pub source: SourceRow,
    /// With what was last seen of its credential.
    pub cloud: RepositoryRow,
}

/// A page of the instances of a source.
#[derive(Clone, Debug)]
pub struct Listing {
    pub place: Place,
    pub instances: Vec<Instance>,
    /// The name to continue after.
    pub next: Option<String>,
}

/// The instances of a source by name after the name `after`, at most `limit` (up to 500); also those that are gone.
///
/// # Errors
/// `NotFound`; `Conflict` for a source of another kind.
pub async fn list(ctx: &Ctx, service: &str, source: &str, after: &str, limit: i64) -> Result<Listing> {
    require_on(ctx, Action::Read, On::Any)?;
    let place = place(ctx, Action::Read, service, source).await?;
    let limit = limit.clamp(1, PAGE);
    let mut read = ctx.db.read().await?;
    let mut rows = items::of_source(read.tx(), place.source.id(), after, limit + 1).await?;
    let more = rows.len() as i64 > limit;
    rows.truncate(usize::try_from(limit).unwrap_or(0));
    let next = rows.last().filter(|_| more).map(|i| i.name.clone());
    let mut instances = Vec::with_capacity(rows.len());
    for item in rows {
        let newest = match item.last_snapshot_id {
            Some(id) => snapshots::find(read.tx(), domain::id::SnapshotId(id)).await?,
            None => None,
        };
        instances.push(Instance { item, newest });
    }
    Ok(Listing { place, instances, next })
}

/// An instance with its snapshots.
#[derive(Clone, Debug)]
pub struct Shown {
    pub place: Place,
    pub item: ItemRow,
    /// The newest first, at most [`PAGE`] of them.
    pub snapshots: Vec<SnapshotRow>,
}

/// # Errors
/// `NotFound`; `Conflict` for a source of another kind.
pub async fn find(ctx: &Ctx, service: &str, source: &str, name: &str) -> Result<Shown> {
    require_on(ctx, Action::Read, On::Any)?;
    let place = place(ctx, Action::Read, service, source).await?;
    let mut read = ctx.db.read().await?;
    let item = items::find_by_name(read.tx(), place.source.id(), name).await?.ok_or_else(|| OpsError::not_found("instance", name))?;
    let snapshots = snapshots::of_item(read.tx(), ItemId(item.id), (Timestamp(i64::MAX), Uuid::max()), PAGE).await?;
    Ok(Shown { place, item, snapshots })
}

/// Starts a snapshot of the instance that `asked` names.
///
/// # Errors
/// `Invalid` names each field; `NotFound` for the service or the source; `Underway` while the same instance is snapshotted.
pub async fn snapshot(ctx: &Ctx, service: &str, source: &str, asked: SnapshotParams) -> Result<RunId> {
    require_on(ctx, Action::Operate, On::Any)?;
    let place = place(ctx, Action::Operate, service, source).await?;
    let mut wrong = asked.check();
    let mut read = ctx.db.read().await?;
    if asked.instance.is_empty() {
        wrong.push(domain::field::FieldError::new("instance", "is empty; name an instance of the source"));
    }
    if !wrong.is_empty() {
        return Err(OpsError::Invalid(wrong));
    }
    let item = named(read.tx(), &place.source, &asked.instance).await?;
    drop(read);
    fitting(&item, &asked)?;
    runs::enqueue(ctx, order(&place.service.name, &place.source, &item, asked, None)).await
}

/// Starts again what an ended run did.
pub(crate) async fn again(ctx: &Ctx, run: &RunRow) -> Result<RunId> {
    require_on(ctx, Action::Operate, On::service(run.service_id))?;
    let params: InstanceSnapshotParams = run.params()?;
    let gone = || OpsError::not_found("source", &run.title);
    let mut read = ctx.db.read().await?;
    let source = sources::find(read.tx(), SourceId(run.source_id.ok_or_else(gone)?)).await?.filter(|s| s.removed_at.is_none()).ok_or_else(gone)?;
    let service = services::find(read.tx(), ServiceId(source.service_id)).await?.ok_or_else(gone)?;
    let item = match params.item.as_deref().and_then(|id| id.parse().ok()) {
        Some(id) => items::find(read.tx(), ItemId(id)).await?,
        None => items::find_by_name(read.tx(), source.id(), &params.parameters.instance).await?,
    };
    let item = item.ok_or_else(|| OpsError::not_found("instance", &params.parameters.instance))?;
    drop(read);
    runs::enqueue(ctx, order(&service.name, &source, &item, params.parameters, Some(RunId(run.id)))).await
}

/// The source of that name with its cloud, for whoever may do `action` on its service.
async fn place(ctx: &Ctx, action: Action, service: &str, source: &str) -> Result<Place> {
    let mut read = ctx.db.read().await?;
    let found = services::find_by_name(read.tx(), service).await?.filter(|s| s.removed_at.is_none());
    let service = found.ok_or_else(|| OpsError::not_found("service", service))?;
    require_on(ctx, action, On::Service(service.id()))?;
    let found = sources::of_service(read.tx(), service.id()).await?.into_iter().find(|s| s.name == source);
    let source = found.ok_or_else(|| OpsError::not_found("source", format!("{}/{source}", service.name)))?;
    if source.kind != KIND {
        return Err(OpsError::Conflict(format!("{}/{} is a source of kind {}; instances are items of {KIND}", service.name, source.name, source.kind)));
    }
    let id = RepositoryId(source.repository_id);
    let cloud = repositories::find(read.tx(), id).await?.ok_or_else(|| OpsError::not_found("repository", id))?;
    Ok(Place { service, source, cloud })
}

/// The listed instance of that name.
///
/// # Errors
/// `Invalid` for the field `instance`, with a name that may be meant.
pub(crate) async fn named(mut tx: Tx<'_>, source: &SourceRow, name: &str) -> Result<ItemRow> {
    let refuse = |message: String| OpsError::invalid("instance", message);
    let short: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
    if let Some(item) = items::find_by_name(tx.by_ref(), source.id(), name).await? {
        return if item.gone_at.is_none() { Ok(item) } else { Err(refuse(format!("“{short}” is no longer in the cloud; choose one that is"))) };
    }
    let known = items::present(tx, source.id(), "", MOST_NAMES).await?;
    Err(refuse(match nearest(name, known.iter().map(|i| i.name.as_str())) {
        Some(meant) => format!("there is no instance “{short}”; did you mean “{meant}”?"),
        None if known.is_empty() => {
            format!("there is no instance “{short}”: the cloud has listed none yet; see on the repository's page whether it can be reached")
        }
        None => format!("there is no instance “{short}”; choose one of the source's list"),
    }))
}

/// Refuses a pattern whose names would be too long for what the instance boots from.
pub(crate) fn fitting(item: &ItemRow, asked: &SnapshotParams) -> Result<()> {
    let Ok(pattern) = Pattern::parse(&asked.pattern) else { return Ok(()) };
    match pattern.problem(called(item), item.native.as_ref().map(|n| n.boot)) {
        Some(problem) => Err(OpsError::invalid("pattern", problem)),
        None => Ok(()),
    }
}

/// The instance's own name, which several may bear; its item's name is its own alone.
fn called(item: &ItemRow) -> &str {
    item.native.as_ref().map_or(&item.name, |n| &n.name)
}

/// The run that snapshots an instance.
pub(crate) fn order(service: &str, source: &SourceRow, item: &ItemRow, asked: SnapshotParams, retry_of: Option<RunId>) -> Start<InstanceSnapshotParams> {
    let key = format!("instance:{}:{}", source.id, item.name);
    Start {
        kind: RunKind::InstanceSnapshot,
        service: Some(ServiceId(source.service_id)),
        source: Some(source.id()),
        repository: Some(RepositoryId(source.repository_id)),
        title: format!("Snapshot of {service}/{}: {}", source.name, item.name),
        params: InstanceSnapshotParams {
            item: Some(item.id.to_string()),
            server: item.native.as_ref().map(|n| n.id.clone()),
            parameters: SnapshotParams { instance: called(item).to_owned(), ..asked },
        },
        retry_of,
        priority: 0,
        resource_key: Some(key.clone()),
        unique_key: Some(key),
    }
}

#[cfg(test)]
mod orphans_tests;
#[cfg(test)]
mod tests;
