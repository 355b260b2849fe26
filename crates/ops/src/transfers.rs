//! The verbs by which other systems drive a backup (R53): serialize an item to a location, deserialize a location back.
//! The third, listing what there is, is [`crate::services::items_by_name`].
//!
//! Lives here: the use cases, and locations. May not: HTTP, reading a repository ([`crate::browse`]).
//! Invariants: a location is sealed with the server's key, names one snapshot, and ends after [`HOLDS_S`]; whoever holds
//! it reads that and nothing else. Only what Holdfast has written itself is ever brought into a service.

use domain::{
    id::{ServiceId, SnapshotId},
    units::Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{
    audit::NewEvent,
    items::{self, ItemRow},
    services,
    snapshots::{self, SnapshotRow},
    sources,
};

use crate::{
    Actor, Ctx, OpsError, Result, Role,
    browse::Format,
    permission::{Action, On, require_on},
    restores::Choice,
    secrets::Vault,
};

/// How long a location can be read, in seconds.
pub const HOLDS_S: i64 = 900;
const PURPOSE: &str = "location";

/// An item by the names of where it lives.
#[derive(Clone, Copy, Debug)]
pub struct Address<'a> {
    pub service: &'a str,
    pub source: &'a str,
    pub item: &'a str,
}

/// Where an archive can be read.
#[derive(Clone, Debug)]
pub struct Location {
    /// What opens it, in signs that an address may hold.
    pub key: String,
    pub snapshot: SnapshotRow,
    pub until: Timestamp,
}

/// What a location stands for.
#[derive(Debug, Serialize, Deserialize)]
struct Sealed {
    snapshot: SnapshotId,
    service: ServiceId,
    paths: Vec<String>,
    zip: bool,
    until: Timestamp,
    by: String,
}

/// Makes a location of one snapshot of an item, the newest where none is named; `paths` inside it, everything where empty.
///
/// # Errors
/// `NotFound` for the names, for a snapshot that is none of the item, and where the item has none.
pub async fn serialize(ctx: &Ctx, vault: &Vault, of: Address<'_>, snapshot: Option<SnapshotId>, paths: Vec<String>, format: Format) -> Result<Location> {
    let item = item(ctx, of, Action::Browse).await?;
    let snapshot = snapshot_of(ctx, &item, snapshot).await?;
    let until = ctx.now().plus_secs(HOLDS_S);
    let sealed = Sealed { snapshot: snapshot.id(), service: ServiceId(item.service_id), paths, zip: format == Format::Zip, until, by: ctx.actor.name.clone() };
    let text = serde_json::to_string(&sealed).map_err(OpsError::internal)?;
    let key = vault.sealed(&text, PURPOSE)?.replace('+', "-").replace('/', "_").replace('=', "~");
    let mut t = ctx.db.begin_audited().await?;
    let event = NewEvent {
        action: "item.serialize",
        entity: "snapshot",
        entity_id: snapshot.id().to_string(),
        before: None,
        after: Some(json!({"service": of.service, "source": of.source, "item": of.item, "paths": sealed.paths, "until": until.0})),
    };
    ctx.audit(t.tx(), event).await?;
    t.commit().await?;
    Ok(Location { key, snapshot, until })
}

/// What a location gives to read.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Of whoever made the location, and only for this.
    pub ctx: Ctx,
    pub snapshot: SnapshotRow,
    pub paths: Vec<String>,
    pub format: Format,
}

/// Opens a location for whoever holds it: it is its own permission, and no more than to read its service's snapshots.
///
/// # Errors
/// `NotFound` for what is no location of this server, `Gone` where its time is over or its snapshot is no longer there.
pub async fn open(ctx: &Ctx, vault: &Vault, key: &str) -> Result<Opened> {
    let sealed = read(vault, key)?;
    if ctx.now() >= sealed.until {
        return Err(OpsError::Gone("the time of this location is over; serialize the item again for a new one".to_owned()));
    }
    let found = snapshots::find(ctx.db.read().await?.tx(), sealed.snapshot).await?.filter(|s| s.gone_at.is_none());
    let snapshot = found.ok_or_else(|| OpsError::Gone(format!("the snapshot {} is no longer kept; serialize the item again", sealed.snapshot)))?;
    let reader = Actor { services: vec![sealed.service], scopes: Some(vec![Action::Browse]), ..Actor::new(format!("{} by location", sealed.by), Role::Owner) };
    let format = if sealed.zip { Format::Zip } else { Format::Tar };
    Ok(Opened { ctx: Ctx { actor: reader, claim: None, ..ctx.clone() }, snapshot, paths: sealed.paths, format })
}

/// What is brought back from a location into the item that it was made of. Its time does not matter here: whoever asks
/// needs the permission themselves.
///
/// # Errors
/// `NotFound` for the names and for what is no location of this server; `Invalid` for a location of another item.
pub async fn choice(ctx: &Ctx, vault: &Vault, of: Address<'_>, location: &str) -> Result<Choice> {
    let item = item(ctx, of, Action::Restore).await?;
    let sealed = read(vault, location.rsplit('/').next().unwrap_or_default())?;
    let another = || OpsError::invalid("location", format!("was made of another item; bring it back there, or make one of {}", of.item));
    match snapshot_of(ctx, &item, Some(sealed.snapshot)).await {
        Ok(snapshot) => Ok(Choice { snapshot: snapshot.id(), paths: sealed.paths }),
        Err(OpsError::NotFound { .. }) => Err(another()),
        Err(e) => Err(e),
    }
}

fn read(vault: &Vault, key: &str) -> Result<Sealed> {
    let none = || OpsError::not_found("location", key.chars().take(12).collect::<String>());
    let text = vault.unsealed(&key.replace('-', "+").replace('_', "/").replace('~', "="), PURPOSE).ok_or_else(none)?;
    serde_json::from_str(text.reveal()).map_err(|_| none())
}

async fn item(ctx: &Ctx, of: Address<'_>, action: Action) -> Result<ItemRow> {
    require_on(ctx, action, On::Any)?;
    let mut read = ctx.db.read().await?;
    let service = services::find_by_name(read.tx(), of.service).await?.filter(|s| s.removed_at.is_none());
    let service = service.ok_or_else(|| OpsError::not_found("service", of.service))?;
    let all = sources::of_service(read.tx(), service.id()).await?;
    let Some(source) = all.iter().find(|s| s.name == of.source) else {
        require_on(ctx, action, On::Service(service.id()))?;
        return Err(OpsError::not_found("source", format!("{}/{}", of.service, of.source)));
    };
    let Some(item) = items::find_by_name(read.tx(), source.id(), of.item).await? else {
        // Whoever may not see the service learns nothing of what it holds.
        require_on(ctx, action, On::Service(service.id()))?;
        return Err(OpsError::not_found("item", of.item));
    };
    require_on(ctx, action, &item)?;
    Ok(item)
}

async fn snapshot_of(ctx: &Ctx, item: &ItemRow, wanted: Option<SnapshotId>) -> Result<SnapshotRow> {
    let id = wanted.or(item.last_snapshot_id.map(SnapshotId)).ok_or_else(|| OpsError::not_found("snapshot of the item", &item.name))?;
    let found = snapshots::find(ctx.db.read().await?.tx(), id).await?;
    found.filter(|s| s.gone_at.is_none() && s.item_id == Some(item.id)).ok_or_else(|| OpsError::not_found("snapshot of this item", id))
}
