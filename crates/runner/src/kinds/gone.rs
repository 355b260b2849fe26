//! Recording that a repository no longer holds snapshots.
//!
//! Lives here: the row of the snapshot, the facts of its item, the index of names. May not: deciding what goes.
//! Invariant: a version of a file is listed only while a snapshot that has it is there.

use std::collections::BTreeMap;

use domain::{
    id::{ItemId, RepositoryId, RunId},
    units::Timestamp,
};
use store::{Tx, file_versions, items, snapshots};

/// Records that the snapshots are gone; how many were there as far as anybody knew. `why` stands where no run has
/// intended it.
pub async fn record(mut tx: Tx<'_>, repository: RepositoryId, restic_ids: &[String], why: &str, run: RunId, now: Timestamp) -> store::Result<i64> {
    let (mut of_items, mut gone): (BTreeMap<ItemId, Vec<Timestamp>>, i64) = (BTreeMap::new(), 0);
    for id in restic_ids {
        if let Some((item, at)) = snapshots::gone(tx.by_ref(), repository, id, why, run, now).await? {
            gone += 1;
            if let Some(item) = item {
                of_items.entry(item).or_default().push(at);
            }
        }
    }
    for (item, mut times) in of_items {
        items::recount(tx.by_ref(), item).await?;
        times.sort();
        let mut done_until = None;
        for at in times {
            // Several that stood side by side leave one gap.
            if done_until.is_some_and(|until: Option<i64>| until.is_none_or(|until| at.0 < until)) {
                continue;
            }
            let (before, after) = snapshots::neighbours(tx.by_ref(), item, at).await?;
            file_versions::drop_between(tx.by_ref(), item, before.map(Timestamp), after.map(Timestamp)).await?;
            done_until = Some(after);
        }
    }
    Ok(gone)
}
