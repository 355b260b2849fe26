//! One snapshot an item.
//!
//! Lives here: comparing with the parent, saving, telling. May not: reading the source.

use std::{
    collections::HashMap,
    ffi::OsString,
    os::unix::ffi::OsStringExt as _,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use domain::{
    guard::Measure,
    naming::{escape, unescape},
    run::ItemState,
};
use rustic_core::{
    TreeId,
    repofile::{SnapshotFile, SnapshotSummary},
};

use super::{
    super::{Held, Indexed, Repository, snapshots::record},
    Notes,
    diff::{NewBlobs, diff},
    lost,
    measure::Meter,
};
use crate::{
    Ctx, EngineError, Result,
    job::{Change, Event, ItemResult},
    sources::{ItemTally, directory::Directory},
};

/// Changes in one message.
const PER_EVENT: usize = 500;
/// So many changes of an item are kept in memory; beyond that the trees are compared a second time.
const IN_MEMORY: usize = 100_000;
/// Saving waits for the storage, so several items are saved at once.
const WORKERS: usize = 4;

/// An item that was read.
pub struct Captured<'a> {
    pub tally: &'a ItemTally,
    /// `None` where the item could not be opened.
    pub tree: Option<TreeId>,
}

/// What saving needs.
pub struct Saver<'a> {
    pub repository: &'a Repository,
    pub index: &'a Indexed,
    pub blobs: &'a NewBlobs,
    pub held: &'a Held,
    pub ctx: &'a Ctx<'a>,
    pub parents: &'a HashMap<String, SnapshotFile>,
    pub template: &'a SnapshotFile,
    pub source: &'a Directory,
}

impl Saver<'_> {
    /// Saves all; the first error ends it, what is saved by then stays and is found by a repeated pass.
    pub fn save_all(&self, items: &[Captured]) -> Result<()> {
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let error: Mutex<Option<EngineError>> = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..WORKERS.min(items.len()) {
                scope.spawn(|| {
                    while let Some(item) = items.get(next.fetch_add(1, Relaxed)).filter(|_| !failed.load(Relaxed)) {
                        if let Err(e) = self.save(item) {
                            failed.store(true, Relaxed);
                            error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
                        }
                    }
                });
            }
        });
        error.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    fn save(&self, item: &Captured) -> Result<()> {
        self.ctx.check()?;
        self.held.check()?;
        let tally = item.tally;
        let (problems, problems_total) = tally.problems();
        let Some(tree) = item.tree else {
            if !tally.failed.load(Relaxed) {
                return Err(lost(&tally.name));
            }
            let name = tally.name.clone();
            self.ctx.emit(Event::Item(ItemResult {
                name,
                state: ItemState::Failed,
                snapshot: None,
                files: 0,
                bytes: 0,
                bytes_added: 0,
                problems,
                problems_total,
            }));
            return Ok(());
        };

        let parent = self.parents.get(&tally.name);
        let mut changes = Vec::new();
        let mut overflow = false;
        let home = self.source.path_of(&tally.name);
        let excluded = |inside: &str| unescape(inside).is_some_and(|name| !self.source.reads(&home.join(OsString::from_vec(name))));
        let mut meter = parent.map(|_| Meter::new(self.repository, self.index, &excluded));
        let counts = diff(self.index, parent.map(|p| p.tree), tree, self.blobs, meter.as_mut(), &mut |change| {
            if changes.len() < IN_MEMORY {
                changes.push(change);
            } else {
                overflow = true;
            }
        })?;

        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        let files = tally.files.load(Relaxed) - tally.dropped.load(Relaxed);
        let mut summary = SnapshotSummary::default();
        summary.backup_start = self.template.time.clone();
        summary.backup_end = crate::clock::zoned(crate::clock::now());
        summary.files_new = counts.added;
        summary.files_changed = counts.changed;
        summary.files_unmodified = count(files).saturating_sub(counts.added + counts.changed);
        summary.total_files_processed = count(files);
        summary.total_bytes_processed = count(tally.bytes.load(Relaxed));
        summary.total_dirs_processed = count(tally.dirs.load(Relaxed));
        summary.data_added_packed = counts.bytes_added;
        let own = (files - tally.refilled_files.load(Relaxed), tally.bytes.load(Relaxed) - tally.refilled_bytes.load(Relaxed));
        // The first snapshot of an item has nothing to be compared with.
        let measure = meter.map_or_else(|| Measure { files: own.0, bytes: own.1, ..Measure::default() }, |m| m.finish(own.0, own.1));

        let mut file = self.template.clone();
        file.label.clone_from(&tally.name);
        file.tree = tree;
        file.parent = parent.map(|p| p.id);
        file.parents = parent.map(|p| p.id).into_iter().collect();
        file.paths.add(home.to_str().map_or_else(|| escape(std::os::unix::ffi::OsStrExt::as_bytes(home.as_os_str())), str::to_owned));
        file.tags.add(format!("item:{}", tally.name));
        if problems_total > 0 {
            file.tags.add("partial".to_owned());
        }
        file.summary = Some(summary);
        let folder = tally.folder.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Notes { folder, problems: problems.clone(), problems_total, files_removed: counts.removed, measure: Some(measure) }.write(&mut file);
        self.repository.save_snapshot(&mut file)?;

        let mut result = result_of(&tally.name, &file);
        result.problems = problems;
        self.ctx.emit(Event::Item(result));
        let id = file.id.to_hex().to_string();
        if overflow {
            return tell_changes(self.index, self.ctx, &tally.name, &id, (parent.map(|p| p.tree), tree));
        }
        while !changes.is_empty() {
            let rest = changes.split_off(changes.len().min(PER_EVENT));
            tell(self.ctx, &tally.name, &id, std::mem::replace(&mut changes, rest));
        }
        Ok(())
    }
}

/// Compares an item's tree with its parent's and tells what changed.
pub fn tell_changes(index: &Indexed, ctx: &Ctx, item: &str, snapshot: &str, (old, new): (Option<TreeId>, TreeId)) -> Result<()> {
    let mut batch = Vec::with_capacity(PER_EVENT);
    diff(index, old, new, &NewBlobs::default(), None, &mut |change| {
        batch.push(change);
        if batch.len() == PER_EVENT {
            tell(ctx, item, snapshot, std::mem::take(&mut batch));
        }
    })?;
    tell(ctx, item, snapshot, batch);
    Ok(())
}

fn tell(ctx: &Ctx, item: &str, snapshot: &str, entries: Vec<Change>) {
    if !entries.is_empty() {
        ctx.emit(Event::Changes { item: item.to_owned(), snapshot: snapshot.to_owned(), entries });
    }
}

/// The result of an item whose snapshot is saved.
pub fn result_of(name: &str, file: &SnapshotFile) -> ItemResult {
    let record = record(file);
    let notes = Notes::of(file);
    ItemResult {
        name: name.to_owned(),
        state: if notes.problems_total > 0 { ItemState::Partial } else { ItemState::Ok },
        files: record.files,
        bytes: record.bytes,
        bytes_added: record.bytes_added,
        snapshot: Some(record),
        problems: notes.problems,
        problems_total: notes.problems_total,
    }
}
