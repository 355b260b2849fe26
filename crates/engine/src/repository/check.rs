//! Is everything that the snapshots need there, and is it what was written?
//!
//! Lives here: the check of structure and of data. May not: repairing.
//! A shared lock is enough: the snapshots are listed before the index is read, so that what a backup beside it adds
//! is at most a pack that no index names yet, which is a warning.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
        mpsc::{RecvTimeoutError, channel},
    },
    time::Duration,
};

use rustic_core::{CheckOptions, Id, Progress as LibraryProgress, ProgressBars, ProgressType, RusticProgress, TreeId, repofile::SnapshotFile};

use super::{LockKind, Repository, backup::ROOT_TAG, errors::plain, from_rustic, snapshots::record};
use crate::{
    Ctx, EngineError, Result,
    job::{CheckJob, CheckOutcome, Event, Progress},
};

/// As many findings are told.
const MOST: usize = 1000;
/// Snapshots told in one event.
const LISTED: usize = 200;
const TICK: Duration = Duration::from_millis(250);

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
        outcome.snapshots = i64::try_from(listed.len()).unwrap_or(i64::MAX);
        for id in listed.iter().filter(|id| !read.contains(*id)) {
            outcome.errors.push(format!("snapshot {} cannot be read or decrypted", id.to_hex().as_str()));
        }
        self.reachable()?;
        ctx.check()?;

        let meter = Meter::default();
        let handle = self.handle_with(meter.clone())?;
        let mut options = CheckOptions::default();
        options.read_data = read_data;
        let results = std::thread::scope(|scope| {
            let (stop, stopped) = channel::<()>();
            scope.spawn(|| {
                let stopped = stopped;
                let mut last = Progress::default();
                while matches!(stopped.recv_timeout(TICK), Err(RecvTimeoutError::Timeout)) {
                    let now = Progress { bytes_done: meter.done.load(Relaxed), bytes_total: meter.total.load(Relaxed), ..Progress::default() };
                    if now != last {
                        ctx.emit(Event::Progress(now.clone()));
                        last = now;
                    }
                }
            });
            let results = handle.check_with_trees(options, trees.into_iter().collect());
            drop(stop);
            results
        });
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
        outcome.bytes_read = meter.done.load(Relaxed);
        outcome.size_bytes = i64::try_from(self.size()?).unwrap_or(i64::MAX);
        Ok(outcome)
    }

    fn reachable(&self) -> Result<(), EngineError> {
        self.backend.take_unavailable().map_or(Ok(()), Err)
    }
}

/// Bytes read out of bytes to read, as the library tells them.
#[derive(Clone, Debug, Default)]
struct Meter {
    done: Arc<AtomicI64>,
    total: Arc<AtomicI64>,
}

impl ProgressBars for Meter {
    fn progress(&self, kind: ProgressType, _prefix: &str) -> LibraryProgress {
        match kind {
            ProgressType::Bytes => LibraryProgress::new(self.clone()),
            _ => LibraryProgress::hidden(),
        }
    }
}

impl RusticProgress for Meter {
    fn is_hidden(&self) -> bool {
        false
    }
    fn set_length(&self, n: u64) {
        self.total.store(i64::try_from(n).unwrap_or(i64::MAX), Relaxed);
    }
    fn set_title(&self, _: &str) {}
    fn inc(&self, n: u64) {
        self.done.fetch_add(i64::try_from(n).unwrap_or(0), Relaxed);
    }
    fn finish(&self) {}
}
