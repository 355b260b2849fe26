//! What is beyond `max_snapshots` of an instance goes (R22).
//!
//! Lives here: gathering what pins a snapshot, deleting one with all its pieces, recording that it is gone.
//! May not: the decision (`domain::instance::beyond`); being called before a snapshot was a success.
//! That a snapshot is about to go is recorded before it goes; one that cannot be deleted stays listed and is named.

use std::{collections::HashMap, time::Duration};

use domain::{
    id::{ItemId, RepositoryId, ServiceId, SnapshotId},
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
    settle(pen, cloud, order.item, order.repository).await?;
    let read = |row: &SnapshotRow| order.pattern.read(&row.label).is_some_and(|(instance, _)| instance == order.instance);
    let all = native::of_item(pen.deps().db.read().await?.tx(), order.item, order.repository).await?;
    let rows: Vec<SnapshotRow> = all.into_iter().filter(read).collect();
    let mut pins = pins(pen, order, &rows).await?;
    let mut asked: HashMap<String, bool> = HashMap::new();
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
            if let Some(pin) = dependents(pen, cloud, &what.0).await? {
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
                let mut t = pen.begin(&[]).await?;
                snapshots::take_back(t.tx(), row.id()).await?;
                pen.commit(t).await?;
            }
            if out.kept.len() < NAMED {
                out.kept.push(Kept { name: row.label.clone(), why: decision.why });
            }
            continue;
        }
        match delete(pen, cloud, row, &decision.why).await {
            Ok(()) => out.deleted.push(row.label.clone()),
            Err(Break::Failed(f)) => {
                let mut t = pen.begin(&[pen.event("warn", format!("{} could not be deleted: {}", row.label, f.message))]).await?;
                snapshots::take_back(t.tx(), row.id()).await?;
                pen.commit(t).await?;
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

/// Why a snapshot cannot go: volumes were made from it.
async fn dependents(pen: Pen<'_>, cloud: &Cloud, native: &NativeSnapshot) -> Result<Option<String>> {
    for v in &native.volumes {
        let found = pen.ask(cloud.volumes_of_snapshot(&v.id)).await?;
        if let Some(first) = found.first() {
            let more = if found.len() > 1 { format!(" and {} others were", found.len() - 1) } else { " was".to_owned() };
            return Ok(Some(format!("the volume {first}{more} made from it")));
        }
    }
    Ok(None)
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

/// Makes the records agree with the cloud: what was about to go when somebody was cut short either went or is there.
pub async fn settle(pen: Pen<'_>, cloud: &Cloud, item: ItemId, repository: RepositoryId) -> Result<()> {
    let rows = native::of_item(pen.deps().db.read().await?.tx(), item, repository).await?;
    for row in rows.iter().filter(|r| r.gone_run_id.is_some()) {
        let Some(what) = &row.native else { continue };
        if pen.ask(pieces::present(cloud, &what.0)).await?.is_empty() {
            record(pen, row, "deleted").await?;
        } else {
            let mut t = pen.begin(&[]).await?;
            snapshots::take_back(t.tx(), SnapshotId(row.id)).await?;
            pen.commit(t).await?;
        }
    }
    Ok(())
}
