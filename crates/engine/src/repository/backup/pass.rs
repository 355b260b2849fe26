//! One pass of the library's archiver over some items.
//!
//! Lives here: the call, its progress, and the proof that nothing was lost on the way. May not: items' snapshots.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
        mpsc::{RecvTimeoutError, channel},
    },
    time::Duration,
};

use rustic_core::{BackupOptions, Progress as LibraryProgress, ProgressBars, ProgressType, RusticProgress, repofile::SnapshotFile};

use super::super::{Held, Repository, from_rustic};
use crate::{
    Ctx, EngineError, ErrorKind, Result,
    job::{Event, Progress},
    sources::{Tally, directory::Directory},
};

/// How often the state is looked at; a message is sent only when something changed.
const TICK: Duration = Duration::from_millis(250);

/// What a pass is given.
pub struct Pass<'a> {
    pub repository: &'a Repository,
    pub source: &'a Directory,
    pub held: &'a Held,
    /// Full ids of root snapshots.
    pub parents: Vec<String>,
    /// The root snapshot's fields but for tree and summary.
    pub root: SnapshotFile,
    /// What has been done before this pass, for the progress.
    pub done_before: Progress,
}

impl Pass<'_> {
    /// Reads the items of `tally` into one tree and saves its root as a snapshot.
    ///
    /// # Errors
    /// `Cancelled`; those of the storage; `Internal` where a file went missing without a word. The root snapshot is
    /// removed again then.
    pub fn run(self, tally: &Arc<Tally>, ctx: &Ctx) -> Result<SnapshotFile> {
        let bytes = Arc::new(AtomicI64::new(0));
        let handle = self.repository.handle_with(Meter(bytes.clone()))?.to_indexed_ids().map_err(from_rustic)?;
        let walk = self.source.walk(tally.clone())?;
        let mut options = BackupOptions::default();
        options.no_scan = true;
        options.parent_opts.force = self.parents.is_empty();
        options.parent_opts.parents.clone_from(&self.parents);
        // In this version of the library the switch works the other way round: set, inodes are compared.
        options.parent_opts.ignore_inode = true;

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
            let archived = handle.archive(&options, &walk, self.root.clone(), &[PathBuf::from("/")]);
            drop(stop);
            archived
        });
        let saved = archived.as_ref().ok().map(|s| s.id);
        let checked = self.verdict(archived.map_err(from_rustic), tally, ctx);
        if let (Err(_), Some(id)) = (&checked, saved)
            && let Err(e) = self.repository.remove_snapshot(id)
        {
            tracing::warn!("the root snapshot of a broken pass stays: {e}");
        }
        checked
    }

    fn verdict(&self, archived: Result<SnapshotFile>, tally: &Tally, ctx: &Ctx) -> Result<SnapshotFile> {
        ctx.check()?;
        self.held.check()?;
        // The library reports some failed writes as a broken channel only, and others not at all.
        if let Some(error) = self.repository.backend.take_error() {
            return Err(error);
        }
        let root = archived?;
        let summary = root.summary.as_ref();
        let sum = |pick: fn(&crate::sources::ItemTally) -> &AtomicI64| tally.items.iter().map(|i| pick(i).load(Relaxed)).sum::<i64>();
        let files = tally.handed_on.load(Relaxed) - sum(|i| &i.dropped);
        let dirs = sum(|i| &i.dirs) + 1;
        let saved = summary.map_or((0, 0), |s| (s.total_files_processed, s.total_dirs_processed));
        if (i64::try_from(saved.0), i64::try_from(saved.1)) != (Ok(files), Ok(dirs)) {
            let message = format!("{} files and {} folders were read, but {} and {} were saved", files, dirs, saved.0, saved.1);
            return Err(EngineError::new(ErrorKind::Internal, message));
        }
        Ok(root)
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

/// Counts the bytes that the archiver has dealt with, read or found unchanged.
#[derive(Clone, Debug)]
struct Meter(Arc<AtomicI64>);

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
        true
    }
    fn set_length(&self, _: u64) {}
    fn set_title(&self, _: &str) {}
    fn inc(&self, n: u64) {
        self.0.fetch_add(i64::try_from(n).unwrap_or(0), Relaxed);
    }
    fn finish(&self) {}
}
