//! Offsite copies: the image of a native snapshot into a repository, and back into a cloud, so that a lost cloud is not a
//! lost machine.
//!
//! Lives here: the use cases. May not: moving bytes (that is a run of the engine).
//! Invariants: one copy of a snapshot in a repository; what has no disk to copy is refused with its remedy; nobody writes with
//! the secret of a place that no source of theirs uses.

use domain::{
    id::{ItemId, RepositoryId, RunId, ServiceId, SnapshotId, SourceId},
    instance::{NativeSnapshot, VolumeSnapshot},
    run::RunKind,
    work::OffsiteParams,
};
use engine::job::{InstanceConfig, SourceConfig};
use store::{
    Tx,
    db::Transaction,
    native,
    repositories::{self, RepositoryRow},
    snapshots::{self, SnapshotRow},
    sources::{self, SourceRow},
    wake,
};

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, allowed, require_on},
    repositories::{Need, keeping, require_files},
    runs::{self, Start},
};

/// Live runs that are looked at.
const MOST_RUNS: i64 = 1_000;

/// Where the disk is that is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disk {
    /// The id of an image.
    Image(String),
    /// The snapshot of the volume that the instance boots from. Cinder gives no bytes of it: an image is made of it first.
    Root(VolumeSnapshot),
}

impl Disk {
    /// `None` where the snapshot has no disk to boot from.
    pub fn of(native: &NativeSnapshot) -> Option<Self> {
        match &native.image {
            Some(image) if image.size_bytes > 0 => Some(Self::Image(image.id.clone())),
            _ => native.volumes.iter().find(|v| v.root).cloned().map(Self::Root),
        }
    }
}

/// Why there is nothing to copy, and what to do; `None` where there is.
pub fn refusal(native: &NativeSnapshot) -> Option<String> {
    let words = || {
        format!("{} has neither an image nor a snapshot of the volume that the instance boots from, so there is no disk to copy; take a new one", native.name)
    };
    Disk::of(native).is_none().then(words)
}

/// Copies a snapshot's image into a repository; into the one that its source names where none is given.
///
/// # Errors
/// `NotFound`; `Forbidden` where no source of theirs uses the repository; `Invalid` for the field `repository`; `Conflict`
/// where there is no image, the repository is a cloud, or the copy is there already; `Underway` while it is being copied.
pub async fn copy(ctx: &Ctx, snapshot: SnapshotId, repository: Option<&str>) -> Result<RunId> {
    copy_of(ctx, snapshot, repository, None).await
}

pub(crate) async fn copy_again(ctx: &Ctx, params: OffsiteParams, old: RunId) -> Result<RunId> {
    copy_of(ctx, params.snapshot, Some(&params.to), Some(old)).await
}

/// Starts the copy that the source of a new snapshot asks for; `None` where it asks for none, or there is nothing to copy.
///
/// # Errors
/// As [`copy`].
pub async fn follow(ctx: &Ctx, snapshot: SnapshotId) -> Result<Option<RunId>> {
    let mut t = ctx.db.begin_audited().await?;
    let run = follow_in(ctx, &mut t, snapshot).await?;
    t.commit().await?;
    wake::queue();
    Ok(run)
}

/// The same inside the caller's transaction, who has the lock of the audit trail, commits it and wakes the queue.
///
/// # Errors
/// As [`copy`]; all but `Internal` leave the transaction usable.
pub async fn follow_in(ctx: &Ctx, t: &mut Transaction, snapshot: SnapshotId) -> Result<Option<RunId>> {
    let (row, source, native) = found(ctx, t.tx(), snapshot).await?;
    if offsite_of(&source).is_none() || refusal(&native).is_some() || row.gone_at.is_some() || row.state == "pending" {
        return Ok(None);
    }
    match copy_in(ctx, t, snapshot, None, None).await {
        Ok(run) | Err(OpsError::Underway { run, .. }) => Ok(Some(run)),
        // It is there: this was asked before.
        Err(OpsError::Conflict(_)) => Ok(None),
        Err(e) => Err(e),
    }
}

async fn copy_of(ctx: &Ctx, snapshot: SnapshotId, repository: Option<&str>, retry_of: Option<RunId>) -> Result<RunId> {
    require_on(ctx, Action::Operate, On::Any)?;
    let mut t = ctx.db.begin_audited().await?;
    let run = copy_in(ctx, &mut t, snapshot, repository, retry_of).await?;
    t.commit().await?;
    wake::queue();
    Ok(run)
}

async fn copy_in(ctx: &Ctx, t: &mut Transaction, snapshot: SnapshotId, repository: Option<&str>, retry_of: Option<RunId>) -> Result<RunId> {
    let (row, source, native) = found(ctx, t.tx(), snapshot).await?;
    let from = place(t.tx(), RepositoryId(row.repository_id)).await?;
    if !keeping(&from).is_cloud() {
        return Err(OpsError::Conflict(format!("{} is in {} and not in a cloud; only an image of a cloud is copied", row.label, from.name)));
    }
    present(&row)?;
    if let Some(why) = refusal(&native) {
        return Err(OpsError::Conflict(why));
    }
    let configured = offsite_of(&source);
    let Some(name) = repository.or(configured.as_deref()) else {
        let message = format!("say where the copy goes, or write offsite: REPOSITORY at the source {}", source.name);
        return Err(OpsError::invalid("repository", message));
    };
    let to = named(t.tx(), "repository", name).await?;
    require_place(ctx, t.tx(), &source, &to).await?;
    require_files(&to, Need::Offsite)?;
    if let Some(there) = there(t.tx(), &row, &to).await? {
        return Err(OpsError::Conflict(format!("{} is in {} already, as the snapshot {}", row.label, to.name, there.id())));
    }
    let title = format!("Offsite copy of {} into {}", row.label, to.name);
    runs::enqueue_in(ctx, t, start(RunKind::OffsiteCopy, &row, &source, to.id(), title, to.name, retry_of), None).await
}

/// Makes an image of an offsite copy; in the cloud of its source where none is given.
///
/// # Errors
/// `NotFound`; `Forbidden` where no source of theirs uses the cloud; `Invalid` for the field `cloud`; `Conflict` where the
/// snapshot is no offsite copy; `Underway` while it is being brought back.
pub async fn bring_back(ctx: &Ctx, snapshot: SnapshotId, cloud: Option<&str>) -> Result<RunId> {
    return_of(ctx, snapshot, cloud, None).await
}

pub(crate) async fn return_again(ctx: &Ctx, params: OffsiteParams, old: RunId) -> Result<RunId> {
    return_of(ctx, params.snapshot, Some(&params.to), Some(old)).await
}

async fn return_of(ctx: &Ctx, snapshot: SnapshotId, cloud: Option<&str>, retry_of: Option<RunId>) -> Result<RunId> {
    require_on(ctx, Action::Operate, On::Any)?;
    let mut read = ctx.db.read().await?;
    let (row, source, _) = found(ctx, read.tx(), snapshot).await?;
    let from = place(read.tx(), RepositoryId(row.repository_id)).await?;
    present(&row)?;
    if row.offsite().is_none() {
        return Err(OpsError::Conflict(format!("{} is in the cloud {} itself; only an offsite copy is brought back", row.label, from.name)));
    }
    let to = match cloud {
        Some(name) => named(read.tx(), "cloud", name).await?,
        None => place(read.tx(), RepositoryId(source.repository_id)).await?,
    };
    require_place(ctx, read.tx(), &source, &to).await?;
    drop(read);
    if !keeping(&to).is_cloud() {
        return Err(OpsError::invalid("cloud", format!("{} is no cloud; name one at openstack+https://", to.name)));
    }
    let title = format!("Return of {} from {} into {}", row.label, from.name, to.name);
    runs::enqueue(ctx, start(RunKind::OffsiteReturn, &row, &source, from.id(), title, to.name, retry_of)).await
}

/// What the page of a snapshot shows of its copies, or of a copy what it is of.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Of a snapshot in a cloud its copies, of a copy the snapshots of that name in clouds; each with the name of its place.
    pub others: Vec<(SnapshotRow, String)>,
    /// Where it can go, for whoever may send it there: repositories, or clouds.
    pub places: Vec<String>,
    /// The one that the source names.
    pub named: Option<String>,
    /// The run that moves it now.
    pub live: Option<RunId>,
    /// Why it cannot be copied.
    pub refusal: Option<String>,
}

/// How a snapshot of an instance stands; `None` for one of files.
pub async fn standing(ctx: &Ctx, row: &SnapshotRow) -> Result<Option<Standing>> {
    require_on(ctx, Action::Read, row)?;
    let Some(native) = row.native.as_ref() else { return Ok(None) };
    let is_copy = row.offsite().is_some();
    let mut read = ctx.db.read().await?;
    let mut s = Standing { refusal: if is_copy { None } else { refusal(native) }, ..Standing::default() };
    let may = allowed(&ctx.actor, Action::Operate, On::service(row.service_id));
    let everywhere = allowed(&ctx.actor, Action::Operate, On::All);
    let theirs = operated(ctx, read.tx()).await?;
    let source = match row.source_id {
        Some(id) => sources::find(read.tx(), SourceId(id)).await?,
        None => None,
    };
    for place in repositories::list(read.tx()).await? {
        if keeping(&place).is_cloud() != is_copy {
            continue;
        }
        if let Some(item) = row.item_id {
            let there = native::of_item(read.tx(), ItemId(item), place.id()).await?;
            let same = |o: &SnapshotRow| if is_copy { o.label == row.label || copies(row, o) } else { copies(o, row) };
            s.others.extend(there.into_iter().filter(same).map(|o| (o, place.name.clone())));
        }
        if may && (everywhere || theirs.iter().chain(&source).any(|s| uses(s, &place))) {
            s.places.push(place.name);
        }
    }
    s.named = match source {
        Some(source) if is_copy => repositories::find(read.tx(), RepositoryId(source.repository_id)).await?.map(|r| r.name),
        source => source.as_ref().and_then(offsite_of),
    };
    for live in store::runs::live(read.tx(), MOST_RUNS).await? {
        if matches!(live.run.kind()?, RunKind::OffsiteCopy | RunKind::OffsiteReturn) && live.run.params::<OffsiteParams>()?.snapshot == row.id() {
            s.live = Some(RunId(live.run.id));
        }
    }
    Ok(Some(s))
}

/// The copy of a snapshot that a repository has.
async fn there(tx: Tx<'_>, row: &SnapshotRow, to: &RepositoryRow) -> Result<Option<SnapshotRow>> {
    let Some(item) = row.item_id else { return Ok(None) };
    Ok(native::of_item(tx, ItemId(item), to.id()).await?.into_iter().find(|c| copies(c, row)))
}

/// Whether one is the copy of the other: both are of the same whole.
pub fn copies(copy: &SnapshotRow, of: &SnapshotRow) -> bool {
    let unit = |row: &SnapshotRow| row.native.as_ref().map(|n| n.unit_id().to_owned()).filter(|id| !id.is_empty());
    copy.offsite().is_some() && unit(of).is_some_and(|id| unit(copy) == Some(id))
}

fn start(
    kind: RunKind,
    row: &SnapshotRow,
    source: &SourceRow,
    repository: RepositoryId,
    title: String,
    to: String,
    retry_of: Option<RunId>,
) -> Start<OffsiteParams> {
    let key = format!("{kind}:{}:{to}", row.id);
    Start {
        kind,
        service: Some(ServiceId(source.service_id)),
        source: Some(source.id()),
        repository: Some(repository),
        title,
        params: OffsiteParams { snapshot: row.id(), name: row.label.clone(), to },
        retry_of,
        priority: 0,
        resource_key: Some(key.clone()),
        unique_key: Some(key),
    }
}

/// The snapshot with its source, for whoever may operate its service.
async fn found(ctx: &Ctx, mut tx: Tx<'_>, id: SnapshotId) -> Result<(SnapshotRow, SourceRow, NativeSnapshot)> {
    let row = snapshots::find(tx.by_ref(), id).await?.ok_or_else(|| OpsError::not_found("snapshot", id))?;
    require_on(ctx, Action::Operate, On::service(row.service_id))?;
    let native = row.native.as_ref().map(|n| n.0.clone());
    let native = native.ok_or_else(|| OpsError::Conflict(format!("{} is a snapshot of files; offsite copies are made of instances", row.label)))?;
    let gone = || OpsError::not_found("source", &row.label);
    let source = sources::find(tx, SourceId(row.source_id.ok_or_else(gone)?)).await?.ok_or_else(gone)?;
    Ok((row, source, native))
}

fn present(row: &SnapshotRow) -> Result<()> {
    match (row.gone_at, row.state.as_str()) {
        (Some(_), _) => Err(OpsError::Conflict(format!("{} is gone: {}", row.label, row.gone_why.as_deref().unwrap_or("nobody knows why")))),
        (None, "pending") => Err(OpsError::Conflict(format!("the cloud is still making {}; wait until it is there", row.label))),
        _ => Ok(()),
    }
}

async fn place(tx: Tx<'_>, id: RepositoryId) -> Result<RepositoryRow> {
    repositories::find(tx, id).await?.ok_or_else(|| OpsError::not_found("repository", id))
}

async fn named(tx: Tx<'_>, field: &str, name: &str) -> Result<RepositoryRow> {
    let row = repositories::find_by_name(tx, name).await?.filter(|r| r.removed_at.is_none());
    row.ok_or_else(|| OpsError::invalid(field, format!("there is no repository “{}”", name.chars().filter(|c| !c.is_control()).take(60).collect::<String>())))
}

/// Refuses a place that neither this source nor another one of theirs uses: what goes there is written with its secret.
async fn require_place(ctx: &Ctx, tx: Tx<'_>, source: &SourceRow, to: &RepositoryRow) -> Result<()> {
    if uses(source, to) || operated(ctx, tx).await?.iter().any(|s| uses(s, to)) {
        return Ok(());
    }
    let words = "send it there: no source of a service of yours uses that place; ask an admin";
    require_on(ctx, Action::Operate, On::All).map_err(|_| OpsError::Forbidden(words))
}

/// The sources of the services that the actor may operate.
async fn operated(ctx: &Ctx, tx: Tx<'_>) -> Result<Vec<SourceRow>> {
    let mut all = sources::configured(tx).await?;
    all.retain(|s| allowed(&ctx.actor, Action::Operate, On::Service(ServiceId(s.service_id))));
    Ok(all)
}

/// Whether a source is configured with that place, for its snapshots or for their copies.
fn uses(source: &SourceRow, place: &RepositoryRow) -> bool {
    source.repository_id == place.id || offsite_of(source).as_deref() == Some(place.name.as_str())
}

/// The repository that a source names for its copies.
pub fn offsite_of(source: &SourceRow) -> Option<String> {
    match serde_json::from_value(source.config.0.clone()) {
        Ok(SourceConfig::OpenstackInstance(InstanceConfig { offsite, .. })) => offsite,
        _ => None,
    }
}

#[cfg(test)]
mod tests;
