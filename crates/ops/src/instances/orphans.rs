//! Orphans: what lies in a cloud and is named by no record (R22). Listing them, deleting one, adopting one.
//!
//! Lives here: the use cases. May not: looking for them or deleting in the cloud; `runner::clouds::orphans` does both.
//! Invariants: what is deleted was named by whoever wanted it, with a reason; nothing is adopted that is no whole copy.

use domain::{
    field::FieldError,
    id::{ItemId, OrphanId, RepositoryId, ServiceId, SnapshotId},
    instance::{OrphanWhy, orphan::unknown},
    retention::Rules,
    units::Timestamp,
};
use serde_json::json;
use store::{
    Tx,
    audit::NewEvent,
    db::Transaction,
    items,
    orphans::{self, OrphanRow},
    repositories::{self, RepositoryRow},
    services::{self, ServiceRow},
    snapshots::{self, NewSnapshot},
    sources::SourceRow,
    wake,
};
use uuid::Uuid;

use super::places::{self, Places};
use crate::{
    Ctx, OpsError, Result,
    permission::{Action, require},
    repositories::keeping,
    retention::Judge,
};

/// The longest page.
pub const MOST: i64 = 500;
/// The longest reason.
const LONGEST: usize = 500;

/// Where an orphan would be listed once it is adopted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    pub service: String,
    pub source: String,
    pub instance: String,
    pub taken_at: Timestamp,
}

#[derive(Clone, Debug)]
pub struct Orphan {
    pub row: OrphanRow,
    pub why: OrphanWhy,
    /// Its place, or why it cannot be adopted.
    pub place: std::result::Result<Fit, String>,
    /// What nobody knows of the instance that it was taken of.
    pub unknown: Vec<&'static str>,
}

/// A page of orphans.
#[derive(Clone, Debug)]
pub struct Found {
    pub cloud: RepositoryRow,
    pub orphans: Vec<Orphan>,
    pub next: Option<(Timestamp, OrphanId)>,
    /// All of them.
    pub count: i64,
}

/// The orphans of a cloud as they were last found, the newest first, before the key, at most `limit` (up to 500).
///
/// # Errors
/// `NotFound`; `Conflict` for a repository that is no cloud.
pub async fn list(ctx: &Ctx, repository: &str, before: Option<(Timestamp, OrphanId)>, limit: i64) -> Result<Found> {
    require(ctx, Action::Read)?;
    let mut read = ctx.db.read().await?;
    let cloud = cloud(read.tx(), repository).await?;
    let limit = limit.clamp(1, MOST);
    let before = before.unwrap_or((Timestamp(i64::MAX), OrphanId(Uuid::max())));
    let mut rows = orphans::told(read.tx(), cloud.id(), before, limit + 1).await?;
    let more = rows.len() as i64 > limit;
    rows.truncate(usize::try_from(limit).unwrap_or(0));
    let next = rows.last().filter(|_| more).map(|r| (Timestamp(r.made_at), r.id()));
    let count = orphans::count(read.tx(), cloud.id()).await?;
    let places = Places::of(read.tx(), cloud.id()).await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let why = row.why()?;
        let place = match stands_against(&row)? {
            Some(why) => Err(why),
            None => place(read.tx(), &places, &row).await?.map(|p| p.fit()).ok_or_else(nowhere),
        };
        all.push(Orphan { unknown: unknown(&row.native), row, why, place });
    }
    Ok(Found { cloud, orphans: all, next, count })
}

async fn cloud(tx: Tx<'_>, name: &str) -> Result<RepositoryRow> {
    let row = repositories::find_by_name(tx, name).await?.filter(|r| r.removed_at.is_none()).ok_or_else(|| OpsError::not_found("repository", name))?;
    if !keeping(&row).is_cloud() {
        return Err(OpsError::Conflict(format!("{name} is no cloud; a check finds what its records do not name")));
    }
    Ok(row)
}

/// Why it can be no snapshot of an instance, if so.
pub(crate) fn stands_against(row: &OrphanRow) -> Result<Option<String>> {
    let why = if row.delete_at.is_some() {
        "it is about to be deleted"
    } else if row.why()? == OrphanWhy::PartsMissing {
        "parts of it are gone, so that it is no whole copy"
    } else if !row.ready {
        "the cloud has not finished it; wait until it has"
    } else if !row.native.boots() {
        "it holds no disk that an instance boots from"
    } else {
        return Ok(None);
    };
    Ok(Some(why.to_owned()))
}

fn nowhere() -> String {
    "neither its name nor its marks tell of which instance it is; adopt it by its pattern on the page of its source's instances".to_owned()
}

/// Where it belongs.
pub(crate) struct Spot<'a> {
    pub service: &'a ServiceRow,
    pub source: &'a SourceRow,
    pub instance: String,
    pub taken_at: Timestamp,
}

impl Spot<'_> {
    fn fit(&self) -> Fit {
        Fit { service: self.service.name.clone(), source: self.source.name.clone(), instance: self.instance.clone(), taken_at: self.taken_at }
    }
}

/// By its name, else by the instance that its marks name.
async fn place<'a>(mut tx: Tx<'_>, places: &'a Places, row: &OrphanRow) -> Result<Option<Spot<'a>>> {
    if let Some((of, instance, taken_at)) = places.reads(&row.name) {
        return Ok(Some(Spot { service: &of.service, source: &of.source, instance, taken_at }));
    }
    let server = &row.native.server;
    if server.id.is_empty() || server.name.is_empty() {
        return Ok(None);
    }
    for of in places.all().iter().filter(|of| of.takes(&server.name)) {
        if places::item(tx.by_ref(), &of.source, server, &server.name).await?.is_some() {
            return Ok(Some(Spot { service: &of.service, source: &of.source, instance: server.name.clone(), taken_at: Timestamp(row.made_at) }));
        }
    }
    Ok(None)
}

/// Lets an orphan be a snapshot of its instance from now on, which lists, retention and clones count.
///
/// # Errors
/// `NotFound`; `Conflict` where it is no whole copy, is about to be deleted, or nothing tells of which instance it is.
pub async fn adopt(ctx: &Ctx, repository: &str, id: OrphanId) -> Result<SnapshotId> {
    require(ctx, Action::Configure)?;
    let mut t = ctx.db.begin_audited().await?;
    let cloud = cloud(t.tx(), repository).await?;
    let row = find(t.tx(), &cloud, id).await?;
    if let Some(why) = stands_against(&row)? {
        return Err(OpsError::Conflict(format!("{} cannot be adopted: {why}", row.name)));
    }
    let places = Places::of(t.tx(), cloud.id()).await?;
    let Some(spot) = place(t.tx(), &places, &row).await? else {
        return Err(OpsError::Conflict(format!("{} cannot be adopted: {}", row.name, nowhere())));
    };
    let snapshot = record(ctx, &mut t, &row, &spot).await?;
    count(&mut t, spot.service, ctx.now()).await?;
    t.commit().await?;
    wake::queue();
    Ok(snapshot)
}

async fn find(tx: Tx<'_>, cloud: &RepositoryRow, id: OrphanId) -> Result<OrphanRow> {
    let found = orphans::find(tx, cloud.id(), id).await?;
    // What is somebody else's is not told of.
    found.filter(|r| r.why != OrphanWhy::Foreign.as_str()).ok_or_else(|| OpsError::not_found("orphan", id))
}

/// Writes the record of an orphan; its instance's item is made where there is none.
pub(crate) async fn record(ctx: &Ctx, t: &mut Transaction, row: &OrphanRow, spot: &Spot<'_>) -> Result<SnapshotId> {
    let (now, repository) = (ctx.now(), RepositoryId(row.repository_id));
    let other = || OpsError::Conflict(format!("{} was adopted or deleted meanwhile; load the page again", row.name));
    if !orphans::adopted(t.tx(), row.id()).await? {
        return Err(other());
    }
    let known = snapshots::find_restic(t.tx(), repository, &row.unit_id).await?;
    if known.as_ref().is_some_and(|k| k.gone_at.is_none()) {
        return Err(other());
    }
    let mut native = row.native.0.clone();
    if native.server.name.is_empty() {
        native.server.name.clone_from(&spot.instance);
    }
    let service = ServiceId(spot.service.id);
    let item = match places::item(t.tx(), spot.source, &native.server, &spot.instance).await? {
        Some(item) => ItemId(item.id),
        None => items::left(t.tx(), spot.source.id(), service, &spot.instance, spot.taken_at, now).await?,
    };
    let new = NewSnapshot {
        service: Some(service),
        source: Some(spot.source.id()),
        item: Some(item),
        host: spot.instance.clone(),
        ..NewSnapshot::native(repository, &native, spot.taken_at, "adopted")
    };
    let snapshot = snapshots::insert(t.tx(), &new).await?;
    snapshots::set_native(t.tx(), snapshot, &native).await?;
    // One whose record said that it is gone is listed where it was.
    items::recount(t.tx(), known.and_then(|k| k.item_id).map_or(item, ItemId)).await?;
    let after = json!({
        "name": row.name, "unit": row.unit_id, "why": row.why, "service": spot.service.name, "source": spot.source.name, "instance": spot.instance,
        "taken_at": spot.taken_at,
    });
    ctx.audit(t.tx(), NewEvent { action: "orphan.adopt", entity: "snapshot", entity_id: snapshot.to_string(), before: None, after: Some(after) }).await?;
    Ok(snapshot)
}

/// Counts the service's items anew.
pub(crate) async fn count(t: &mut Transaction, service: &ServiceRow, now: Timestamp) -> Result<()> {
    let since = service.rpo_s.map_or(Timestamp(0), |s| now.plus_secs(-s));
    Ok(services::count_items(t.tx(), ServiceId(service.id), since).await?)
}

/// What whoever wants a deletion has typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// The orphan's name.
    pub name: String,
    pub reason: String,
}

/// Has an orphan deleted in its cloud, with all its pieces. A server does it within seconds.
///
/// # Errors
/// `NotFound`; `Invalid` names `name` or `reason`; `Conflict` where it was ordered before, or a hold covers its record.
pub async fn delete(ctx: &Ctx, repository: &str, id: OrphanId, typed: &Removal) -> Result<()> {
    require(ctx, Action::Configure)?;
    let mut t = ctx.db.begin_audited().await?;
    let cloud = cloud(t.tx(), repository).await?;
    let row = find(t.tx(), &cloud, id).await?;
    let reason = typed.reason.trim();
    let mut wrong = Vec::new();
    if typed.name.trim() != row.name.trim() {
        wrong.push(FieldError::new("name", format!("is not “{}”; type the name of what is to be deleted", row.name)));
    }
    if reason.is_empty() {
        wrong.push(FieldError::new("reason", "is empty; say why, for whoever reads this in a year"));
    } else if reason.chars().count() > LONGEST {
        wrong.push(FieldError::new("reason", format!("is longer than {LONGEST} characters; shorten it")));
    }
    if !wrong.is_empty() {
        return Err(OpsError::Invalid(wrong));
    }
    if is_held(t.tx(), &row).await? {
        return Err(OpsError::Conflict(format!("{} is on hold, or a restore takes from it; end the hold first", row.name)));
    }
    if !orphans::order_delete(t.tx(), cloud.id(), id, &ctx.actor.name, reason, ctx.now()).await? {
        return Err(OpsError::Conflict(format!("the deletion of {} was ordered already", row.name)));
    }
    let before = json!({"repository": cloud.name, "name": row.name, "unit": row.unit_id, "why": row.why, "bytes": row.bytes, "pieces": pieces(&row)});
    let event = NewEvent {
        action: "orphan.delete",
        entity: "repository",
        entity_id: cloud.id.to_string(),
        before: Some(before),
        after: Some(json!({"reason": reason})),
    };
    ctx.audit(t.tx(), event).await?;
    t.commit().await?;
    wake::queue();
    Ok(())
}

fn pieces(row: &OrphanRow) -> Vec<String> {
    let n = &row.native;
    n.image.iter().map(|i| format!("image {}", i.id)).chain(n.volumes.iter().map(|v| format!("volume snapshot {}", v.id))).collect()
}

/// Whether a hold covers the record that it is left of, or a restore takes from that.
pub async fn is_held(mut tx: Tx<'_>, row: &OrphanRow) -> Result<bool> {
    let Some(id) = row.snapshot_id.map(SnapshotId) else { return Ok(false) };
    let Some(record) = snapshots::find(tx.by_ref(), id).await? else { return Ok(false) };
    let (Some(service), Some(item)) = (record.service_id, record.item_id) else { return Ok(false) };
    Ok(Judge::new(tx, Rules::default(), ServiceId(service)).await?.protects(ItemId(item), id))
}
