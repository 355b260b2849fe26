//! Is everything that the snapshots need there, and is it what was written?
//!
//! Lives here: the check of structure and of data. Beside it: which packs are read (`data`), what snapshots need
//! (`trees`). May not: repairing.
//! A shared lock is enough: the snapshots are listed before the index is read, so that what a backup beside it adds
//! is at most a pack that no index names yet, which is a warning.

mod data;
mod trees;

use std::collections::{BTreeMap, HashSet};

use domain::units::Timestamp;
use object_store::path::Path;
use rustic_core::{CheckOptions, Id, TreeId, repofile::SnapshotFile};

use super::{LockKind, Repository, backup::ROOT_TAG, errors::plain, from_rustic, snapshots::record};
use crate::{
    Ctx, EngineError, Result,
    job::{CheckJob, CheckOutcome, Event},
};

/// As many findings are told.
const MOST: usize = 1000;
/// Snapshots told in one event.
const LISTED: usize = 200;

/// Carries out a check job. Findings are in the outcome; an error means that the check could not be made.
pub fn run_check(job: &CheckJob, ctx: &Ctx) -> Result<CheckOutcome> {
    let repository = Repository::open(&job.access, &ctx.rt)?;
    repository.with_lock(LockKind::Shared, ctx, |_| repository.check(job, ctx))
}

/// A snapshot whose trees are looked at.
struct Listed {
    /// `None` for the root of a pass, which nobody is shown.
    restic_id: Option<String>,
    tree: TreeId,
}

impl Repository {
    fn check(&self, job: &CheckJob, ctx: &Ctx) -> Result<CheckOutcome> {
        let mut outcome = CheckOutcome::default();
        let snapshots = self.list_all(&mut outcome, ctx)?;
        ctx.check()?;
        self.structure(&mut outcome)?;
        ctx.check()?;

        let mut packs = data::Packs::of(self, job)?;
        let bytes = packs.read(self, job, &mut outcome, ctx)?;
        let index = self.to_indexed()?;
        let verified = trees::verified(&index, &packs, &snapshots, &mut outcome.errors, ctx)?;
        ctx.check()?;
        // A storage that did not answer is not a damaged repository.
        self.reachable()?;

        tell(verified, &snapshots, ctx);
        packs.tell(ctx);
        for list in [&mut outcome.errors, &mut outcome.warnings] {
            if list.len() > MOST {
                let more = list.len() - MOST;
                list.truncate(MOST);
                list.push(format!("and {more} more"));
            }
        }
        (outcome.packs, outcome.packs_unread, outcome.waits_since) = packs.sums();
        outcome.bytes_read = bytes;
        outcome.size_bytes = i64::try_from(self.size()?).unwrap_or(i64::MAX);
        Ok(outcome)
    }

    /// Reads and tells all snapshots.
    fn list_all(&self, outcome: &mut CheckOutcome, ctx: &Ctx) -> Result<Vec<Listed>> {
        let listed: Vec<Id> = self.backend.list_ids("snapshots")?.into_iter().map(|(id, _)| id).collect();
        let (mut all, mut read, mut records) = (Vec::new(), HashSet::new(), Vec::new());
        let handle = self.handle()?;
        let files = handle.stream_files_list::<SnapshotFile>(listed.iter().map(|id| (*id).into()).collect()).map_err(from_rustic)?;
        for (id, mut file) in files.flatten() {
            read.insert(*id);
            file.id = id;
            let is_root = file.tags.contains(ROOT_TAG);
            all.push(Listed { restic_id: (!is_root).then(|| id.to_hex().to_string()), tree: file.tree });
            if !is_root {
                records.push(record(&file));
            }
            if records.len() == LISTED {
                ctx.emit(Event::Snapshots { snapshots: std::mem::take(&mut records) });
            }
        }
        if !records.is_empty() {
            ctx.emit(Event::Snapshots { snapshots: records });
        }
        self.reachable()?;
        let mut gone = 0;
        for id in listed.iter().filter(|id| !read.contains(*id)) {
            // One that was forgotten since it was listed is no damage.
            if self.backend.exists(&Path::from(format!("snapshots/{}", id.to_hex().as_str())))? {
                outcome.errors.push(format!("snapshot {} cannot be read or decrypted", id.to_hex().as_str()));
            } else {
                gone += 1;
            }
        }
        outcome.snapshots = i64::try_from(listed.len() - gone).unwrap_or(i64::MAX);
        Ok(all)
    }

    /// Holds the index against itself and against the packs that are there.
    fn structure(&self, outcome: &mut CheckOutcome) -> Result<()> {
        let results = self.handle()?.check_with_trees(CheckOptions::default(), Vec::new()).map_err(from_rustic)?;
        self.reachable()?;
        for (level, finding) in results.0 {
            let words: String = plain(&finding.to_string()).chars().take(500).collect();
            // The library exports neither type, but both can be shown.
            if format!("{level:?}") == "Error" { outcome.errors.push(words) } else { outcome.warnings.push(words) }
        }
        Ok(())
    }

    fn reachable(&self) -> Result<(), EngineError> {
        self.backend.take_unavailable().map_or(Ok(()), Err)
    }
}

/// Tells since when the snapshots are verified, those of the same time together.
fn tell(verified: Vec<Option<Timestamp>>, snapshots: &[Listed], ctx: &Ctx) {
    let mut by_time: BTreeMap<Option<Timestamp>, Vec<String>> = BTreeMap::new();
    for (at, snapshot) in verified.into_iter().zip(snapshots) {
        if let Some(id) = &snapshot.restic_id {
            by_time.entry(at).or_default().push(id.clone());
        }
    }
    for (at, ids) in by_time {
        for some in ids.chunks(LISTED) {
            ctx.emit(Event::Verified { at, snapshots: some.to_vec() });
        }
    }
}
