//! Finds what lies in a cloud and is named by no record, and deletes of it what somebody wanted to be deleted (R22).
//!
//! Lives here: judging what a look has listed, carrying out deletions. May not: adopting (`ops::instances`), deciding
//! that something is deleted.
//! Invariants: what a run that lives has made is that run's; nothing is called gone that a question by its id finds;
//! only the pieces go that were there when the deletion was ordered.

use std::collections::{BTreeMap, HashMap, HashSet};

use domain::{
    id::{ItemId, RepositoryId, RunId, ServiceId, SnapshotId},
    instance::{
        AttachedVolume, NativeImage, NativeSnapshot, OrphanWhy, Server, VolumeSnapshot,
        orphan::{Loose, Piece, What, gather},
    },
    units::{Timestamp, count},
};
use engine::sources::openstack::{Cloud, Image, VolumeSnap};
use ops::{
    Actor, Ctx,
    instances::{orphans::is_held, places::Places},
};
use serde_json::json;
use store::{
    Tx,
    audit::NewEvent,
    items, native,
    orphans::{self, NewOrphan, OrphanRow},
    repositories::RepositoryRow,
    runs, services,
    snapshots::{self, SnapshotRow},
};
use uuid::Uuid;

use super::{
    link::{failed, open},
    pieces::{self, INSTANCE, RUN, UNIT},
};
use crate::{
    Deps,
    step::{Break, Result},
};

/// Rows of one read, and of one transaction.
const ROWS: i64 = 500;
/// Deletions of one look.
const MOST: i64 = 100;

/// What a cloud listed.
#[derive(Debug, Default)]
pub struct Listed {
    pub images: Vec<Image>,
    pub snapshots: Vec<VolumeSnap>,
}

/// What is known of a cloud's sources.
struct Known {
    places: Places,
    /// By the cloud's id.
    servers: HashMap<String, Server>,
    /// By source and name, those that are there.
    named: HashMap<(Uuid, String), Server>,
    volumes: BTreeMap<String, (String, AttachedVolume)>,
}

/// Records the orphans among what was listed; how many are told of.
pub async fn look(deps: &Deps, row: &RepositoryRow, cloud: &Cloud, listed: &Listed) -> Result<usize> {
    let now = deps.clock.now();
    let (claimed, broken) = records(deps, row).await?;
    let known = known(deps, row.id()).await?;
    let mut found = Vec::new();
    for record in broken {
        found.extend(left_of(cloud, listed, &record).await?);
    }
    let live = live(deps, listed).await?;
    let loose: Vec<Piece> =
        loose(listed, &known).into_iter().filter(|p| !claimed.contains(&p.id) && p.run.as_ref().is_none_or(|r| !live.contains(r))).collect();
    for unit in gather(&loose) {
        found.extend(judge(deps, row.id(), cloud, &known, unit).await?);
    }
    for page in found.chunks(ROWS as usize) {
        let mut t = deps.db.begin().await?;
        for one in page {
            // Somebody may have adopted it since.
            let record = snapshots::find_restic(t.tx(), row.id(), one.native.unit_id()).await?;
            if one.snapshot.is_some() || record.is_none_or(|r| r.gone_at.is_some()) {
                orphans::see(t.tx(), row.id(), one, now).await?;
            }
        }
        t.commit().await?;
    }
    let mut t = deps.db.begin().await?;
    orphans::unseen(t.tx(), row.id(), now).await?;
    t.commit().await?;
    Ok(found.iter().filter(|o| o.why != OrphanWhy::Foreign).count())
}

fn ids(native: &NativeSnapshot) -> impl Iterator<Item = &str> {
    native.image.iter().map(|i| i.id.as_str()).chain(native.volumes.iter().map(|v| v.id.as_str()))
}

/// The pieces that records name, and the records of which parts are gone.
async fn records(deps: &Deps, row: &RepositoryRow) -> Result<(HashSet<String>, Vec<SnapshotRow>)> {
    let (mut claimed, mut broken, mut after) = (HashSet::new(), Vec::new(), Uuid::nil());
    loop {
        let page = orphans::claims(deps.db.read().await?.tx(), row.id(), after, ROWS).await?;
        let Some(last) = page.last() else { return Ok((claimed, broken)) };
        after = last.id;
        for one in page {
            let Some(native) = &one.native else { continue };
            claimed.extend(ids(native).map(str::to_owned));
            // What a run is about to delete is that run's.
            if one.state == "partial" && one.gone_run_id.is_none() {
                broken.push(one);
            }
        }
    }
}

/// What is left of a record.
async fn left_of(cloud: &Cloud, listed: &Listed, record: &SnapshotRow) -> Result<Option<NewOrphan>> {
    let Some(mut native) = record.native.as_ref().map(|n| n.0.clone()) else { return Ok(None) };
    let all = ids(&native).count();
    let there: HashSet<&str> = listed.images.iter().map(|i| i.id.as_str()).chain(listed.snapshots.iter().map(|s| s.id.as_str())).collect();
    native.image = native.image.filter(|i| there.contains(i.id.as_str()));
    native.volumes.retain(|v| there.contains(v.id.as_str()));
    let left = ids(&native).count();
    // A list may lack what is there: each was asked for by its id before the record was called partial.
    if left == 0 || left == all || pieces::present(cloud, &native).await.map_err(failed)?.len() != left {
        return Ok(None);
    }
    let detail = format!("it is recorded, and {} of its {} parts are gone", count((all - left) as i64), count(all as i64));
    Ok(Some(NewOrphan { native, made_at: Timestamp(record.taken_at), ready: true, why: OrphanWhy::PartsMissing, detail, snapshot: Some(record.id()) }))
}

async fn known(deps: &Deps, cloud: RepositoryId) -> Result<Known> {
    let mut read = deps.db.read().await?;
    let places = Places::of(read.tx(), cloud).await?;
    let (mut servers, mut named, mut volumes) = (HashMap::new(), HashMap::new(), BTreeMap::new());
    for of in places.all() {
        let mut after = String::new();
        loop {
            let page = items::of_source(read.tx(), of.source.id(), &after, ROWS).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.name);
            for item in page {
                let Some(server) = item.native.map(|n| n.0) else { continue };
                volumes.extend(server.volumes.iter().map(|v| (v.id.clone(), (server.id.clone(), v.clone()))));
                if item.gone_at.is_none() {
                    named.insert((of.source.id, server.name.clone()), server.clone());
                }
                servers.insert(server.id.clone(), server);
            }
        }
    }
    Ok(Known { places, servers, named, volumes })
}

/// What was listed, as far as it can be a snapshot of an instance.
fn loose(listed: &Listed, known: &Known) -> Vec<Piece> {
    let text = |i: &Image, key: &str| i.properties.get(key).and_then(|v| v.as_str()).map(str::to_owned);
    let image = |i: &Image| {
        let names: Vec<VolumeSnapshot> = i
            .snapshots()
            .into_iter()
            .map(|s| VolumeSnapshot { id: s.id, size_gb: s.size_gb.unwrap_or_default(), device: s.device, root: s.root, ..VolumeSnapshot::default() })
            .collect();
        // What somebody has uploaded is no snapshot.
        let snapshot = !names.is_empty() || text(i, "image_type").as_deref() == Some("snapshot") || text(i, UNIT).as_ref() == Some(&i.name);
        (snapshot || known.places.reads(&i.name).is_some()).then(|| Piece {
            id: i.id.clone(),
            name: i.name.clone(),
            made_at: i.created_at,
            ready: i.status == "active",
            run: text(i, RUN),
            server: text(i, INSTANCE).filter(|_| text(i, UNIT).as_ref() == Some(&i.name)).or_else(|| text(i, "instance_uuid")),
            unit: text(i, UNIT),
            of: What::Image {
                image: NativeImage { id: i.id.clone(), size_bytes: i.size_bytes.unwrap_or_default(), min_disk_gb: i.min_disk_gb, sha512: i.sha512() },
                names,
            },
        })
    };
    let volume = |s: &VolumeSnap| Piece {
        id: s.id.clone(),
        name: s.name.clone(),
        made_at: s.created_at,
        ready: s.status == "available",
        run: s.metadata.get(RUN).cloned(),
        server: s.metadata.get(INSTANCE).filter(|_| s.metadata.get(UNIT) == Some(&s.name)).cloned(),
        unit: s.metadata.get(UNIT).cloned(),
        of: What::Volume { volume: s.volume_id.clone(), size_gb: s.size_gb },
    };
    let images = listed.images.iter().filter(|i| !matches!(i.status.as_str(), "deleted" | "pending_delete")).filter_map(image);
    images.chain(listed.snapshots.iter().filter(|s| !matches!(s.status.as_str(), "deleted" | "deleting")).map(volume)).collect()
}

/// The runs that live among those that pieces are marked with.
async fn live(deps: &Deps, listed: &Listed) -> Result<HashSet<String>> {
    let of_images = listed.images.iter().filter_map(|i| i.properties.get(RUN)?.as_str());
    let marked: HashSet<&str> = of_images.chain(listed.snapshots.iter().filter_map(|s| s.metadata.get(RUN).map(String::as_str))).collect();
    let mut live = HashSet::new();
    let mut read = deps.db.read().await?;
    for run in marked {
        let Ok(id) = run.parse::<RunId>() else { continue };
        if runs::find(read.tx(), id).await?.is_some_and(|r| r.state().is_ok_and(domain::run::RunState::is_live)) {
            live.insert(run.to_owned());
        }
    }
    Ok(live)
}

/// Why a unit is told of.
async fn judge(deps: &Deps, cloud_id: RepositoryId, cloud: &Cloud, known: &Known, unit: Loose) -> Result<Option<NewOrphan>> {
    let (made_at, ready, missing, has_image) = (unit.made_at, unit.ready, unit.missing, unit.image.is_some());
    let run = unit.run.clone();
    let there: HashSet<String> = unit.ids().map(str::to_owned).collect();
    let fits = known.places.reads(&unit.name).map(|(of, instance, _)| (of.source.id, instance));
    let mut native = unit.native(&known.volumes);
    dress(&mut native, known, fits.as_ref());
    let record = former(deps, cloud_id, run.as_deref(), &there).await?;
    if let Some((row, recorded)) = record {
        let all = ids(&recorded).count();
        let left = ids(&recorded).filter(|id| there.contains(*id)).count();
        // It may have gone since it was listed.
        if pieces::present(cloud, &native).await.map_err(failed)?.len() != there.len() {
            return Ok(None);
        }
        let since = row.gone_why.unwrap_or_else(|| "it was deleted".to_owned());
        if left == all {
            let detail = format!("its record says that it is gone ({since}), and it is there");
            return Ok(Some(NewOrphan { native: recorded, made_at, ready, why: OrphanWhy::RecordGone, detail, snapshot: None }));
        }
        let detail = format!("its record says that it is gone ({since}), and {} of its {} parts are there", count(left as i64), count(all as i64));
        return Ok(Some(NewOrphan { native, made_at, ready, why: OrphanWhy::PartsMissing, detail, snapshot: None }));
    }
    let (why, detail) = match &run {
        _ if missing > 0 && (run.is_some() || fits.is_some()) => {
            let detail = if has_image {
                format!("{missing} of the volume snapshots that its image names are gone")
            } else {
                "the image that named it is gone".to_owned()
            };
            (OrphanWhy::PartsMissing, detail)
        }
        Some(run) => {
            let row = match run.parse::<RunId>() {
                Ok(id) => runs::find(deps.db.read().await?.tx(), id).await?,
                Err(_) => None,
            };
            match row {
                Some(row) => (OrphanWhy::Unrecorded, format!("“{}” made it and has no record of it", row.title)),
                None => (OrphanWhy::RunGone, format!("the run {run} made it, and there is no record of that run")),
            }
        }
        None if fits.is_some() => (OrphanWhy::FitsPattern, "its name fits a pattern in use, and no record names it".to_owned()),
        None => (OrphanWhy::Foreign, "nothing says that it is Holdfast's".to_owned()),
    };
    Ok(Some(NewOrphan { native, made_at, ready, why, detail, snapshot: None }))
}

/// Fills in what is known of the instance, as it is now.
fn dress(native: &mut NativeSnapshot, known: &Known, fits: Option<&(Uuid, String)>) {
    let facts = match (native.server.id.as_str(), fits) {
        ("", Some(of)) => known.named.get(of),
        (id, _) => known.servers.get(id),
    };
    let Some(facts) = facts else { return };
    // An image says itself what it is.
    let boot = if native.image.is_some() { native.server.boot } else { facts.boot };
    native.server = Server { boot, ..facts.clone() };
}

/// A record that says that it is gone, of something that has one of these pieces.
async fn former(deps: &Deps, cloud: RepositoryId, run: Option<&str>, there: &HashSet<String>) -> Result<Option<(SnapshotRow, NativeSnapshot)>> {
    let mut read = deps.db.read().await?;
    let mut units: Vec<String> = there.iter().cloned().collect();
    if let Some(Ok(id)) = run.map(str::parse::<RunId>) {
        units.extend(snapshots::of_run(read.tx(), id).await?);
    }
    for unit in units {
        let Some(row) = snapshots::find_restic(read.tx(), cloud, &unit).await?.filter(|r| r.gone_at.is_some()) else { continue };
        let Some(native) = row.native.as_ref().map(|n| n.0.clone()) else { continue };
        if ids(&native).any(|id| there.contains(id)) {
            return Ok(Some((row, native)));
        }
    }
    Ok(None)
}

/// Deletes what somebody wanted to be deleted; how many are gone now. What takes its time is looked at again.
pub async fn delete_ordered(deps: &Deps, row: &RepositoryRow) -> Result<usize> {
    let ordered = orphans::ordered(deps.db.read().await?.tx(), row.id(), MOST).await?;
    if ordered.is_empty() {
        return Ok(0);
    }
    let cloud = match open(deps, row, None).await {
        Ok(cloud) => cloud,
        Err(Break::Failed(f)) => {
            let mut t = deps.db.begin().await?;
            for one in &ordered {
                stays(t.tx(), one, &f.message, f.permanent).await?;
            }
            t.commit().await?;
            return Err(Break::Failed(f));
        }
        Err(other) => return Err(other),
    };
    let mut gone = 0;
    for one in ordered {
        gone += usize::from(delete(deps, row, &cloud, &one).await?);
    }
    Ok(gone)
}

/// Says why it is still there; where the same again would fail the same way, somebody is to order it anew.
async fn stays(tx: Tx<'_>, one: &OrphanRow, why: &str, permanent: bool) -> store::Result<()> {
    if permanent { orphans::take_back(tx, one.id(), why).await.map(|_| ()) } else { orphans::trouble(tx, one.id(), why).await }
}

async fn delete(deps: &Deps, row: &RepositoryRow, cloud: &Cloud, one: &OrphanRow) -> Result<bool> {
    let mut t = deps.db.begin().await?;
    // The order may have been taken back, or carried out by another process, since it was read.
    if orphans::find(t.tx(), row.id(), one.id()).await?.is_none_or(|o| o.delete_at.is_none()) {
        return Ok(false);
    }
    let record = snapshots::find_restic(t.tx(), row.id(), &one.unit_id).await?.filter(|r| r.gone_at.is_none());
    if one.snapshot_id.is_none() && record.is_some() {
        // It is a record's by now.
        orphans::remove(t.tx(), one.id()).await?;
        t.commit().await?;
        return Ok(false);
    }
    if is_held(t.tx(), one).await? {
        orphans::take_back(t.tx(), one.id(), "a hold covers it now, or a restore takes from it").await?;
        t.commit().await?;
        return Ok(false);
    }
    t.commit().await?;
    let left = match pieces::delete(cloud, &one.native).await {
        Ok(()) => pieces::present(cloud, &one.native).await,
        Err(e) => Err(e),
    };
    match left {
        Ok(left) if left.is_empty() => {
            record_gone(deps, row, one).await?;
            tracing::info!(cloud = row.name, name = one.name, "an orphan was deleted");
            return Ok(true);
        }
        Ok(_) => {}
        Err(e) => {
            tracing::warn!(cloud = row.name, name = one.name, error = %e, "an orphan could not be deleted");
            let mut t = deps.db.begin().await?;
            stays(t.tx(), one, &e.to_string(), e.is_permanent()).await?;
            t.commit().await?;
        }
    }
    Ok(false)
}

async fn record_gone(deps: &Deps, row: &RepositoryRow, one: &OrphanRow) -> Result<()> {
    let now = deps.clock.now();
    let by = one.delete_by.clone().unwrap_or_default();
    let reason = one.delete_reason.clone().unwrap_or_default();
    let ctx = Ctx { clock: deps.clock.clone(), ..Ctx::new(deps.db.clone(), Actor::system(), "watchdog") };
    let mut t = deps.db.begin_audited().await?;
    if !orphans::remove(t.tx(), one.id()).await? {
        return Ok(());
    }
    if let Some(id) = one.snapshot_id.map(SnapshotId)
        && native::vanished(t.tx(), id, &format!("what was left of it was deleted by {by}: {reason}"), now).await?
        && let Some(record) = snapshots::find(t.tx(), id).await?
    {
        if let Some(item) = record.item_id.map(ItemId) {
            items::recount(t.tx(), item).await?;
        }
        if let Some(id) = record.service_id.map(ServiceId) {
            let rpo_s = services::find(t.tx(), id).await?.and_then(|s| s.rpo_s);
            services::count_items(t.tx(), id, rpo_s.map_or(Timestamp(0), |s| now.plus_secs(-s))).await?;
        }
    }
    let after = json!({"repository": row.name, "name": one.name, "unit": one.unit_id, "by": by, "reason": reason});
    let event = NewEvent { action: "orphan.deleted", entity: "repository", entity_id: row.id.to_string(), before: None, after: Some(after) };
    ctx.audit(t.tx(), event).await?;
    t.commit().await?;
    Ok(())
}
