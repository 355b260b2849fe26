//! Is everything that the snapshots need there, and is it what was written?
//!
//! Lives here: the check of structure and of data. May not: repairing.
//! A shared lock is enough: the snapshots are listed before the index is read, so that what a backup beside it adds
//! is at most a pack that no index names yet, which is a warning.

use std::collections::{BTreeSet, HashSet};

use object_store::path::Path;
use rustic_core::{CheckOptions, Id, TreeId, repofile::SnapshotFile};

use super::{LockKind, Repository, backup::ROOT_TAG, errors::plain, from_rustic, meter::Meter, snapshots::record};
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
    repository.with_lock(LockKind::Shared, ctx, |_| repository.check(job.read_data, ctx))
}

impl Repository {
    fn check(&self, read_data: bool, ctx: &Ctx) -> Result<CheckOutcome> {
        let mut outcome = CheckOutcome::default();
        let listed: Vec<Id> = self.backend.list_ids("snapshots")?.into_iter().map(|(id, _)| id).collect();
        let (mut trees, mut read) = (BTreeSet::<TreeId>::new(), HashSet::new());
        let handle = self.handle()?;
        let files = handle.stream_files_list::<SnapshotFile>(listed.iter().map(|id| (*id).into()).collect()).map_err(from_rustic)?;
        let mut records = Vec::new();
        for (id, mut file) in files.flatten() {
            read.insert(*id);
            trees.insert(file.tree);
            file.id = id;
            if !file.tags.contains(ROOT_TAG) {
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
        ctx.check()?;

        let meter = Meter::default();
        let handle = self.handle_with(self.backend.clone(), meter.clone())?;
        let mut options = CheckOptions::default();
        options.read_data = read_data;
        let results = meter.follow(ctx, || (), || handle.check_with_trees(options, trees.into_iter().collect()));
        let results = results.map_err(from_rustic)?;
        ctx.check()?;
        // A storage that did not answer is not a damaged repository.
        self.reachable()?;

        for (level, finding) in results.0 {
            let words: String = plain(&finding.to_string()).chars().take(500).collect();
            // The library exports neither type, but both can be shown.
            if format!("{level:?}") == "Error" { outcome.errors.push(words) } else { outcome.warnings.push(words) }
        }
        for list in [&mut outcome.errors, &mut outcome.warnings] {
            if list.len() > MOST {
                let more = list.len() - MOST;
                list.truncate(MOST);
                list.push(format!("and {more} more"));
            }
        }
        let packs = self.backend.list_ids("data")?;
        outcome.packs = i64::try_from(packs.len()).unwrap_or(i64::MAX);
        outcome.bytes_read = meter.done();
        outcome.size_bytes = i64::try_from(self.size()?).unwrap_or(i64::MAX);
        Ok(outcome)
    }

    fn reachable(&self) -> Result<(), EngineError> {
        self.backend.take_unavailable().map_or(Ok(()), Err)
    }
}
