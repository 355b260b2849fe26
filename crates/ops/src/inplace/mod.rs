//! Bringing an instance back in place: what must be so, seen in the cloud, and ordering it (R24, R26).
//!
//! Lives here: the look before anything is touched and the order. May not: changing anything in a cloud (that is a run).
//! Invariants: the look is made anew by the run; a restore in place needs the service's name typed.

#[cfg(test)]
mod tests;

use domain::{
    id::{RepositoryId, RunId, SnapshotId, SourceId},
    instance::{
        BootType, InPlaceParams, NativeSnapshot, Server,
        inplace::{self, InPlace, Precondition},
    },
    run::RunKind,
    units::Timestamp,
};
use engine::sources::openstack::{Cloud, CloudConfig, Limits};
use store::{items, repositories, services::ServiceRow, snapshots::SnapshotRow};

use crate::{
    Ctx, OpsError, Result, clones, clouds,
    permission::{Action, On, require_on},
    runs::{self, Start},
    secrets::Environment,
};

/// Whoever looks at a page waits for it.
const LIMITS: Limits = Limits { call: std::time::Duration::from_secs(15), tries: 2, pause: std::time::Duration::from_millis(200) };

/// What the cloud says about an instance that is to be brought back.
#[derive(Clone, Debug)]
pub struct Look {
    /// `None` where it is gone.
    pub server: Option<Server>,
    pub found: InPlace,
}

/// A preview of a restore in place.
#[derive(Clone, Debug)]
pub struct Preview {
    pub service: ServiceRow,
    pub snapshot: SnapshotRow,
    pub native: NativeSnapshot,
    pub look: Look,
    pub looked_at: Timestamp,
    /// What the safety snapshot will be called, as of now.
    pub safety: String,
}

/// What is ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// The service's name, typed.
    pub confirm: String,
    /// Why.
    pub reason: String,
    pub to_addr_success: Vec<String>,
    pub to_addr_error: Vec<String>,
}

/// Looks at the cloud and says what stands against a restore in place.
///
/// # Errors
/// `NotFound`; `Invalid` for a snapshot of files; `Conflict` where the cloud does not answer, with its words.
pub async fn preview(ctx: &Ctx, env: &Environment, service: &str, snapshot: SnapshotId) -> Result<Preview> {
    let service = clones::of_name(ctx, service).await?;
    let (row, native) = of_service(ctx, &service, snapshot).await?;
    let cloud = connect(ctx, env, RepositoryId(row.repository_id)).await?;
    let look = look(&cloud, &native).await.map_err(silent)?;
    let now = ctx.now();
    Ok(Preview { service, snapshot: row, safety: safety_name(&native.server.name, now), native, look, looked_at: now })
}

/// A cloud that does not answer, in its own words.
pub(crate) fn silent(e: engine::EngineError) -> OpsError {
    OpsError::Conflict(e.message)
}

/// Connects to the project that the snapshots of a cloud are of.
pub(crate) async fn connect(ctx: &Ctx, env: &Environment, id: RepositoryId) -> Result<Cloud> {
    let repository = repositories::find(ctx.db.read().await?.tx(), id).await?.ok_or_else(|| OpsError::not_found("repository", id))?;
    let reach = clouds::reach(&repository, env).await?;
    let config = CloudConfig::of(&reach.location, &reach.plain).map_err(silent)?;
    let cloud = Cloud::connect(&config, &reach.secret, LIMITS, None).await.map_err(silent)?;
    if repository.restic_id.as_ref().is_some_and(|known| known != cloud.project_id()) {
        return Err(OpsError::Conflict(format!(
            "the credential of {} leads to another project than that of the snapshots; give it the former one",
            repository.name
        )));
    }
    Ok(cloud)
}

/// What the cloud says now. Nothing is changed.
pub async fn look(cloud: &Cloud, native: &NativeSnapshot) -> engine::Result<Look> {
    let Some(server) = cloud.server(&native.server.id).await? else {
        let gone = Precondition {
            id: "instance",
            ok: false,
            text: format!("The instance {} ({}) is no longer in the cloud.", native.server.name, native.server.id),
            remedy: "Make a clone of the snapshot instead.".to_owned(),
            only_for: None,
        };
        return Ok(Look { server: None, found: InPlace { method: None, preconditions: vec![gone], untouched: Vec::new() } });
    };
    let taken = native.volumes.iter().find(|v| v.root);
    let is_latest = match taken.filter(|_| server.boot == BootType::Volume) {
        Some(taken) => {
            let all = cloud.snapshots_of_volume(&taken.volume).await?;
            all.iter().max_by_key(|s| (s.created_at, s.id.clone())).is_some_and(|s| s.id == taken.id)
        }
        None => false,
    };
    let version = cloud.nova_version().await?;
    let mut found = inplace::method(&server, native, is_latest, (u32::from(version.major), u32::from(version.minor)));
    let there = there(cloud, native).await?;
    if !there.ok {
        found.method = None;
    }
    found.preconditions.push(there);
    Ok(Look { server: Some(server), found })
}

/// Whether what the disk is written from is whole in the cloud.
async fn there(cloud: &Cloud, native: &NativeSnapshot) -> engine::Result<Precondition> {
    let (what, status, whole) = if native.server.boot == BootType::Image {
        let id = native.image.as_ref().map_or("", |i| i.id.as_str());
        let status = if id.is_empty() { None } else { cloud.image(id).await?.map(|i| i.status) };
        ("image", status, "active")
    } else {
        let root = native.volumes.iter().find(|v| v.root);
        let status = match root {
            Some(v) => cloud.volume_snapshot(&v.id).await?.map(|s| s.status),
            None => None,
        };
        ("volume snapshot", status, "available")
    };
    let ok = status.as_deref() == Some(whole);
    let text = match &status {
        Some(status) => format!("The {what} of {} is {status} in the cloud.", native.name),
        None => format!("The {what} of {} is not in the cloud.", native.name),
    };
    let remedy = if ok { String::new() } else { "Choose another snapshot.".to_owned() };
    Ok(Precondition { id: "snapshot_there", ok, text, remedy, only_for: None })
}

/// Orders a restore in place.
///
/// # Errors
/// `NotFound`; `Invalid` for the typed name, the reason and the receivers; `Underway` while the instance is restored or snapshotted.
pub async fn start(ctx: &Ctx, service: &str, snapshot: SnapshotId, order: &Order) -> Result<RunId> {
    let service = clones::of_name(ctx, service).await?;
    let (row, native) = of_service(ctx, &service, snapshot).await?;
    let params = InPlaceParams {
        snapshot,
        instance: native.server.name.clone(),
        server: native.server.id.clone(),
        reason: order.reason.trim().to_owned(),
        to_addr_success: order.to_addr_success.clone(),
        to_addr_error: order.to_addr_error.clone(),
    };
    let mut wrong = params.check();
    if order.confirm.trim() != service.name {
        let text = format!("a restore in place replaces the disk of {}; type the service's name, {}", native.server.name, service.name);
        wrong.push(domain::field::FieldError::new("confirm", text));
    }
    wrong.extend(clones::reason_problem(&order.reason));
    if !wrong.is_empty() {
        return Err(OpsError::Invalid(wrong));
    }
    let item = match row.item_id {
        Some(id) => items::find(ctx.db.read().await?.tx(), domain::id::ItemId(id)).await?.map(|i| i.name),
        None => None,
    };
    let name = item.unwrap_or_else(|| native.server.name.clone());
    // The same key as a snapshot of the instance: never both at once.
    let key = format!("instance:{}:{name}", row.source_id.map(|s| s.to_string()).unwrap_or_default());
    let start = Start {
        kind: RunKind::InstanceRestore,
        service: Some(service.id()),
        source: row.source_id.map(SourceId),
        repository: Some(RepositoryId(row.repository_id)),
        title: format!("Restore of {}/{name} in place", service.name),
        params,
        retry_of: None,
        priority: 10,
        resource_key: Some(key.clone()),
        unique_key: Some(format!("restore:{key}")),
    };
    runs::enqueue(ctx, start).await
}

async fn of_service(ctx: &Ctx, service: &ServiceRow, snapshot: SnapshotId) -> Result<(SnapshotRow, NativeSnapshot)> {
    require_on(ctx, Action::Restore, On::Service(service.id()))?;
    let (row, native) = clones::finished(ctx, snapshot).await?;
    if row.service_id == Some(service.id) { Ok((row, native)) } else { Err(OpsError::not_found("snapshot", snapshot)) }
}

/// The name of a safety snapshot of that moment.
pub fn safety_name(instance: &str, at: Timestamp) -> String {
    domain::instance::Pattern::parse(domain::instance::SAFETY).map_or_else(|_| format!("{instance}_safety"), |p| p.name(instance, at))
}
