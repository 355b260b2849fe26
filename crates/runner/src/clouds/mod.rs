//! Clouds, beside the runs and for them: reaching one, the pieces of a native snapshot, completing what a cloud has
//! accepted, noticing what somebody else has deleted, deleting what is beyond `max_snapshots`, what no record names.
//!
//! Lives here: those and the loop that looks. May not: the APIs (`engine::sources::openstack`), the steps of a run.
//! Invariants: an image and its volume snapshots are one; a snapshot is complete when the cloud says so of every piece;
//! a look takes no input but the database and the cloud, and any number of processes may look at once.

pub mod link;
pub mod look;
pub mod mails;
pub mod orphans;
pub mod pending;
pub mod pieces;
pub mod reconcile;
pub mod tidy;
pub mod wait;

use std::{collections::HashMap, future::Future, time::Duration};

use store::{repositories, wake};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{Deps, step::Result};

/// How often is looked at what clouds have accepted, and how often a cloud's whole list is read.
const EVERY: Duration = Duration::from_secs(15);
const RECONCILE: Duration = Duration::from_mins(10);

/// Looks until `shutdown` is ready.
pub async fn watch(deps: Deps, shutdown: impl Future<Output = ()> + Send) {
    tokio::pin!(shutdown);
    let mut reconciled: HashMap<Uuid, Seen> = HashMap::new();
    loop {
        let look = async {
            if let Err(e) = pending::look(&deps).await {
                tracing::warn!(error = ?e, "what clouds have accepted could not be looked at");
            }
            if let Err(e) = deletions(&deps).await {
                tracing::warn!(error = ?e, "what is to be deleted in clouds could not be looked at");
            }
            if let Err(e) = whole(&deps, &mut reconciled).await {
                tracing::warn!(error = ?e, "clouds could not be compared with the records");
            }
        };
        tokio::select! {
            () = &mut shutdown => return,
            () = look => {}
        }
        let woken = wake::queued();
        let wait = async {
            tokio::time::timeout(EVERY, woken).await.ok();
            // News come in batches.
            tokio::time::sleep(Duration::from_secs(2)).await;
        };
        tokio::select! {
            () = &mut shutdown => return,
            () = wait => {}
        }
    }
}

/// When a cloud was last compared with the records, and the look at its instances that was the newest then.
type Seen = (Instant, Option<i64>);

/// Deletes what somebody wanted to be deleted in each cloud.
async fn deletions(deps: &Deps) -> Result<()> {
    for row in repositories::clouds(deps.db.read().await?.tx()).await? {
        if let Err(e) = orphans::delete_ordered(deps, &row).await {
            tracing::warn!(cloud = row.name, error = ?e, "what is to be deleted in the cloud could not be");
        }
    }
    Ok(())
}

/// Compares each cloud with what is recorded of it, where that is due or somebody had it looked at.
async fn whole(deps: &Deps, reconciled: &mut HashMap<Uuid, Seen>) -> Result<()> {
    for row in repositories::clouds(deps.db.read().await?.tx()).await? {
        let seen = reconciled.get(&row.id);
        if seen.is_some_and(|(at, look)| at.elapsed() < RECONCILE && (row.looked_at.is_none() || row.looked_at == *look)) {
            continue;
        }
        reconciled.insert(row.id, (Instant::now(), row.looked_at));
        match reconcile::reconcile(deps, &row).await {
            Ok(0) => {}
            Ok(gone) => tracing::warn!(cloud = row.name, gone, "snapshots are no longer in their cloud"),
            Err(e) => tracing::warn!(cloud = row.name, error = ?e, "the cloud could not be compared with the records"),
        }
    }
    Ok(())
}
