//! What is beyond `max_snapshots` of an instance goes (R22).
//!
//! Lives here: gathering what pins a snapshot, deleting one with all its pieces, recording that it is gone.
//! May not: the decision (`domain::instance::beyond`); being called before a snapshot was a success.
//! That a snapshot is about to go is recorded before it goes; one that cannot be deleted stays listed and is named.

use std::{collections::HashMap, time::Duration};

use domain::{
    id::{ItemId, RepositoryId, ServiceId},
    instance::{Kept, NativeSnapshot, Pattern, Unit, beyond},
    retention::Rules,
    units::Timestamp,
};
use engine::sources::openstack::Cloud;
use ops::retention::Judge;
use serde::{Deserialize, Serialize};
use store::{
    native,
    snapshots::{self, SnapshotRow},
};
use tokio::time::Instant;

use super::{link::Pen, pieces};
use crate::{
    kinds::gone,
    step::{Break, Result, permanent},
};

/// How long the cloud may take to be rid of one snapshot.
const GONE_WITHIN: Duration = Duration::from_mins(5);
const PAUSE: Duration = Duration::from_millis(500);
/// Snapshots that stayed and are named.
const NAMED: usize = 50;

/// Whose snapshots, and how many of them stay.
pub struct Order {
    pub item: ItemId,
    pub service: ServiceId,
    pub repository: RepositoryId,
    /// The instance's name: snapshots whose name reads otherwise are none of its.
    pub instance: String,
    pub pattern: Pattern,
    pub max: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tidied {
    /// Names of those that went.
    pub deleted: Vec<String>,
    pub kept: Vec<Kept>,
    /// Those that were to go and could not: why.
    pub left: Vec<Kept>,
}

/// Deletes what is beyond the order.
pub async fn tidy(pen: Pen<'_>, cloud: &Cloud, order: &Order) -> Result<Tidied> {
    settle(pen, cloud, order).await?;
    let read = |row: &SnapshotRow| order.pattern.read(&row.label).is_some_and(|(instance, _)| instance == order.instance);
    let mut db = pen.deps().db.read().await?;
    let all = native::of_item(db.tx(), order.item, order.repository).await?;
    let returned = native::returned(db.tx(), order.item, order.repository).await?;
    drop(db);
    let mut rows: Vec<SnapshotRow> = all.into_iter().filter(|r| read(r) && !returned.contains(&r.id)).collect();
    // The newest one is of the instance that there is now. What is left of an earlier one of its name is not its to spend.
    let of = |r: &SnapshotRow| r.native.as_ref().map(|n| n.0.server.id.clone()).filter(|id| !id.is_empty());
    if let Some(current) = rows.first().and_then(of) {
        rows.retain(|r| of(r).is_none_or(|id| id == current));
    }
    let mut pins = pins(pen, order, &rows).await?;
    let mut asked: HashMap<String, bool> = HashMap::new();
    let mut made: Option<HashMap<String, Vec<String>>> = None;
    let decisions = loop {
        let unit = |row: &SnapshotRow| Unit { id: row.restic_id.clone(), taken_at: Timestamp(row.taken_at), pinned: pins.get(&row.restic_id).cloned() };
        let units: Vec<Unit> = rows.iter().map(unit).collect();
        let decisions = beyond(&units, order.max);
        let mut news = false;
        for go in decisions.iter().filter(|d| !d.keep) {
            if asked.insert(go.id.clone(), true).is_some() {
                continue;
            }
            let Some(what) = rows.iter().find(|r| r.restic_id == go.id).and_then(|r| r.native.as_ref()) else { continue };
            if made.is_none() {
                made = Some(pen.ask(cloud.volumes_by_snapshot()).await?);
            }
            if let Some(pin) = made.as_ref().and_then(|made| dependents(made, &what.0)) {
                pins.insert(go.id.clone(), pin);
                news = true;
            }
        }
        if !news {
            break decisions;
        }
    };
    let mut out = Tidied::default();
    for decision in decisions {
        let Some(row) = rows.iter().find(|r| r.restic_id == decision.id) else { continue };
        if decision.keep {
            if row.gone_run_id.is_some() {
                take_back(pen, row).await?;
            }
            if out.kept.len() < NAMED {
                out.kept.push(Kept { name: row.label.clone(), why: decision.why });
            }
            continue;
        }
        match delete(pen, cloud, row, &decision.why).await {
            Ok(()) => out.deleted.push(row.label.clone()),
            Err(Break::Failed(f)) => {
                stays(pen, cloud, row, &f.message).await?;
                out.left.push(Kept { name: row.label.clone(), why: f.message });
            }
            Err(other) => return Err(other),
        }
    }
    Ok(out)
}

/// What keeps a snapshot whatever the number says: a hold, a restore that takes from it, being the last verified one.
async fn pins(pen: Pen<'_>, order: &Order, rows: &[SnapshotRow]) -> Result<HashMap<String, String>> {
    let judge = Judge::new(pen.deps().db.read().await?.tx(), Rules::default(), order.service).await?;
    let mut pins = HashMap::new();
    let verified = rows.iter().filter(|r| r.verified_at.is_some()).max_by_key(|r| (r.taken_at, r.id));
    if let Some(row) = verified {
        pins.insert(row.restic_id.clone(), "the last one that was proven to work".to_owned());
    }
    for row in rows.iter().filter(|r| judge.protects(order.item, r.id())) {
        pins.insert(row.restic_id.clone(), "on hold, or a restore takes from it".to_owned());
    }
    Ok(pins)
}

/// Why a snapshot cannot go: volumes were made from it, as `made` says by the volume snapshots' ids.
fn dependents(made: &HashMap<String, Vec<String>>, native: &NativeSnapshot) -> Option<String> {
    let found = native.volumes.iter().find_map(|v| made.get(&v.id))?;
    let (first, others) = found.split_first()?;
    let more = if others.is_empty() { " was".to_owned() } else { format!(" and {} others were", others.len()) };
    Some(format!("the volume {first}{more} made from it"))
}

async fn delete(pen: Pen<'_>, cloud: &Cloud, row: &SnapshotRow, why: &str) -> Result<()> {
    let Some(what) = row.native.as_ref().map(|n| &n.0) else { return Err(permanent("internal", "nothing says what it is made of")) };
    let mut t = pen.begin(&[pen.event("info", format!("{}: deletes it ({why})", row.label))]).await?;
    snapshots::intend(t.tx(), row.id(), why, pen.run()).await?;
    pen.commit(t).await?;
    rid(pen, cloud, what).await?;
    record(pen, row, why).await
}

/// Deletes all pieces and waits until none is there.
pub async fn rid(pen: Pen<'_>, cloud: &Cloud, what: &NativeSnapshot) -> Result<()> {
    pen.ask(pieces::delete(cloud, what)).await?;
    let until = Instant::now() + GONE_WITHIN;
    loop {
        let left = pen.ask(pieces::present(cloud, what)).await?;
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(permanent("timeout", format!("the cloud has accepted the deletion, and still there is: {}", left.join(", "))));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn record(pen: Pen<'_>, row: &SnapshotRow, why: &str) -> Result<()> {
    let mut t = pen.begin(&[]).await?;
    gone::record(t.tx(), RepositoryId(row.repository_id), std::slice::from_ref(&row.restic_id), why, pen.run(), pen.now()).await?;
    pen.commit(t).await
}

/// A snapshot that was about to go could not be deleted: it is listed as what is left of it.
async fn stays(pen: Pen<'_>, cloud: &Cloud, row: &SnapshotRow, why: &str) -> Result<()> {
    // Where the cloud does not answer, the next look at it tells what is left.
    let missing = match row.native.as_ref() {
        Some(what) => pen.ask(pieces::present(cloud, &what.0)).await.map_or(0, |left| what.0.ids().count() - left.len()),
        None => 0,
    };
    let mut t = pen.begin(&[pen.event("warn", format!("{} could not be deleted: {why}", row.label))]).await?;
    if missing > 0 {
        native::broken(t.tx(), row.id(), missing as i64).await?;
    }
    snapshots::take_back(t.tx(), row.id()).await?;
    pen.commit(t).await
}

async fn take_back(pen: Pen<'_>, row: &SnapshotRow) -> Result<()> {
    let mut t = pen.begin(&[]).await?;
    snapshots::take_back(t.tx(), row.id()).await?;
    pen.commit(t).await
}

/// Makes the records agree with the cloud: what was about to go when somebody was cut short is whole and stays, or it
/// lost something already, and the rest goes too unless somebody needs it.
pub async fn settle(pen: Pen<'_>, cloud: &Cloud, order: &Order) -> Result<()> {
    let rows = native::of_item(pen.deps().db.read().await?.tx(), order.item, order.repository).await?;
    let judge = Judge::new(pen.deps().db.read().await?.tx(), Rules::default(), order.service).await?;
    for row in rows.iter().filter(|r| r.gone_run_id.is_some()) {
        let Some(what) = row.native.as_ref().map(|n| &n.0) else { continue };
        let left = pen.ask(pieces::present(cloud, what)).await?.len();
        let cut = left < what.ids().count() || pen.ask(pieces::going(cloud, what)).await?;
        if !cut {
            take_back(pen, row).await?;
        } else if left > 0 && judge.protects(order.item, row.id()) {
            stays(pen, cloud, row, "it is on hold, or a restore takes from it").await?;
        } else {
            match rid(pen, cloud, what).await {
                Ok(()) => record(pen, row, "deleted").await?,
                Err(Break::Failed(f)) => stays(pen, cloud, row, &f.message).await?,
                Err(other) => return Err(other),
            }
        }
    }
    Ok(())
}
