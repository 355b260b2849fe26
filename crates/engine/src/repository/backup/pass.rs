//! One pass over some items.
//!
//! Lives here: the archiver's call, its progress, and the proof that nothing was lost on the way. May not: items' snapshots.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
        mpsc::{RecvTimeoutError, channel},
    },
    time::Duration,
};

use rustic_core::{
    BlobId, TreeId,
    repofile::{SnapshotFile, SnapshotSummary},
};

use super::{
    super::{Held, Indexed, Repository},
    archive::{Archived, Archiver},
    chunker::Chunker,
    packer::Packer,
};
use crate::{
    Ctx, EngineError, ErrorKind, Result, clock,
    job::{Event, Progress},
    sources::{ItemTally, Tally, directory::Directory},
};

/// How often the state is looked at; a message is sent only when something changed.
const TICK: Duration = Duration::from_millis(250);

/// What a pass is given.
pub struct Pass<'a> {
    pub repository: &'a Repository,
    pub source: &'a Directory,
    pub held: &'a Held,
    /// Trees of root snapshots.
    pub parents: Vec<TreeId>,
    /// The root snapshot's fields but for tree and summary.
    pub root: SnapshotFile,
    /// What has been done before this pass, for the progress.
    pub done_before: Progress,
}

/// What a pass has made.
pub struct Passed {
    /// The root snapshot, saved.
    pub root: SnapshotFile,
    /// Sizes in the repository of the blobs that were added.
    pub added: HashMap<BlobId, u32>,
    /// The index as it was before the pass.
    pub index: Indexed,
}

impl Pass<'_> {
    /// Reads the items of `tally` into one tree and saves its root as a snapshot.
    ///
    /// # Errors
    /// `Cancelled`; those of the storage; `Internal` where a file went missing without a word.
    pub fn run(self, tally: &Arc<Tally>, ctx: &Ctx) -> Result<Passed> {
        let bytes = AtomicI64::new(0);
        let index = self.repository.to_indexed()?;
        let packer = Packer::new(self.repository, &index, index.config())?;
        let walk = self.source.walk(tally.clone())?;
        let archiver = Archiver { index: &index, packer: &packer, chunker: Chunker::new(index.config())?, parents: self.parents.clone(), tally, bytes: &bytes };
        let archived = std::thread::scope(|scope| {
            let (stop, stopped) = channel::<()>();
            scope.spawn(|| {
                let stopped = stopped;
                let mut last = None;
                loop {
                    let ended = !matches!(stopped.recv_timeout(TICK), Err(RecvTimeoutError::Timeout));
                    let now = self.progress(tally, &bytes);
                    if last.as_ref() != Some(&now) {
                        ctx.emit(Event::Progress(now.clone()));
                        last = Some(now);
                    }
                    if ended {
                        return;
                    }
                    if ctx.is_cancelled() || self.held.check().is_err() {
                        tally.stop.store(true, Relaxed);
                    }
                }
            });
            let archived = archiver.run(walk);
            drop(stop);
            archived
        });
        ctx.check()?;
        self.held.check()?;
        let archived = archived?;
        complete(&archived, tally)?;
        let added = packer.finish()?;
        self.held.check()?;

        let mut root = self.root.clone();
        root.tree = archived.tree;
        let mut summary = SnapshotSummary::default();
        summary.backup_start = root.time.clone();
        summary.backup_end = clock::zoned(clock::now());
        summary.total_files_processed = archived.files;
        summary.total_dirs_processed = archived.dirs;
        summary.total_bytes_processed = archived.bytes;
        summary.data_added_packed = added.values().map(|n| u64::from(*n)).sum();
        root.summary = Some(summary);
        self.repository.save_snapshot(&mut root)?;
        Ok(Passed { root, added, index })
    }

    fn progress(&self, tally: &Tally, bytes: &AtomicI64) -> Progress {
        let before = &self.done_before;
        let current = tally.current.load(Relaxed);
        Progress {
            items_done: before.items_done + i64::try_from(current).unwrap_or(0),
            items_total: before.items_total,
            files_done: before.files_done + tally.items.iter().take(current + 1).map(|i| i.files.load(Relaxed)).sum::<i64>(),
            bytes_done: before.bytes_done + bytes.load(Relaxed),
            bytes_total: before.bytes_total,
            current: tally.items.get(current).map(|i| i.name.clone()).unwrap_or_default(),
        }
    }
}

/// Proves that nothing was lost between the walk and the tree without a word.
fn complete(archived: &Archived, tally: &Tally) -> Result<()> {
    let sum = |pick: fn(&ItemTally) -> &AtomicI64| tally.items.iter().map(|i| pick(i).load(Relaxed)).sum::<i64>();
    let read = (tally.handed_on.load(Relaxed) - sum(|i| &i.dropped), sum(|i| &i.dirs));
    if (i64::try_from(archived.files), i64::try_from(archived.dirs)) == (Ok(read.0), Ok(read.1)) {
        return Ok(());
    }
    let message = format!("{} files and {} folders were read, but {} and {} were saved", read.0, read.1, archived.files, archived.dirs);
    Err(EngineError::new(ErrorKind::Internal, message))
}
