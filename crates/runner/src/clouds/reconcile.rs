//! Notices snapshots that somebody has deleted behind Holdfast's back.
//!
//! Lives here: comparing a cloud's whole list with the records; what the list has beyond them is `orphans`'. May not:
//! deleting or adopting anything.
//! Invariant: nothing is called gone because a list lacked it; each that is missing is asked for by its id.

use std::collections::HashSet;

use domain::{
    id::{ItemId, ServiceId},
    units::Timestamp,
};
use engine::sources::openstack::Cloud;
use store::{items, native, repositories::RepositoryRow, services, snapshots::SnapshotRow};
use uuid::Uuid;

use super::{
    link::{failed, open},
    orphans::{self, Listed},
    pieces,
};
use crate::{Deps, step::Result};

const PAGE: u32 = 200;
const ROWS: i64 = 500;

/// Compares a cloud with what is recorded of it; how many snapshots are no longer whole.
pub async fn reconcile(deps: &Deps, row: &RepositoryRow) -> Result<usize> {
    let cloud = open(deps, row, None).await?;
    let listed = listed(&cloud).await.map_err(failed)?;
    let there: HashSet<&str> = listed.images.iter().map(|i| i.id.as_str()).chain(listed.snapshots.iter().map(|s| s.id.as_str())).collect();
    let mut after = Uuid::nil();
    let mut page = native::of_cloud(deps.db.read().await?.tx(), row.id(), after, ROWS).await?;
    let mut missing = 0;
    while let Some(last) = page.last() {
        after = last.id;
        for one in &page {
            missing += usize::from(compare(deps, &cloud, &there, one).await?);
        }
        page = native::of_cloud(deps.db.read().await?.tx(), row.id(), after, ROWS).await?;
    }
    // Behind the records, so that what lost pieces just now is told of.
    orphans::look(deps, row, &cloud, &listed).await?;
    Ok(missing)
}

/// All images and volume snapshots of the project.
async fn listed(cloud: &Cloud) -> engine::Result<Listed> {
    let mut listed = Listed::default();
    loop {
        let page = cloud.images(listed.images.last().map(|i| i.id.as_str()), PAGE).await?;
        let full = page.len() >= PAGE as usize;
        listed.images.extend(page);
        if !full {
            break;
        }
    }
    loop {
        let page = cloud.volume_snapshots(listed.snapshots.last().map(|s| s.id.as_str()), PAGE).await?;
        let full = page.len() >= PAGE as usize;
        listed.snapshots.extend(page);
        if !full {
            return Ok(listed);
        }
    }
}

/// Whether the snapshot lost pieces since it was recorded; then that is recorded.
async fn compare(deps: &Deps, cloud: &Cloud, there: &HashSet<&str>, row: &SnapshotRow) -> Result<bool> {
    let Some(what) = row.native.as_ref().map(|n| &n.0) else { return Ok(false) };
    if what.ids().all(|id| there.contains(id)) {
        return Ok(false);
    }
    let left = pieces::present(cloud, what).await.map_err(failed)?;
    if left.len() == what.ids().count() {
        return Ok(false);
    }
    let now = deps.clock.now();
    let mut t = deps.db.begin().await?;
    let changed = if left.is_empty() {
        let changed = native::vanished(t.tx(), row.id(), "it is no longer in the cloud, and nothing here has deleted it", now).await?;
        if let Some(item) = row.item_id.map(ItemId).filter(|_| changed) {
            items::recount(t.tx(), item).await?;
        }
        if let Some(id) = row.service_id.map(ServiceId).filter(|_| changed) {
            let rpo_s = services::find(t.tx(), id).await?.and_then(|s| s.rpo_s);
            services::count_items(t.tx(), id, rpo_s.map_or(Timestamp(0), |s| now.plus_secs(-s))).await?;
        }
        changed
    } else {
        native::broken(t.tx(), row.id(), (what.ids().count() - left.len()) as i64).await?
    };
    t.commit().await?;
    if changed {
        tracing::warn!(snapshot = row.label, left = left.join(", "), "pieces of a snapshot are no longer in the cloud");
    }
    Ok(changed)
}
