//! What a pass has read, and what it could not read.
//!
//! Lives here: counters and problems by item, shared by the threads of a pass. May not: what follows from them.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::Relaxed},
};

use rustic_core::repofile::Metadata;

use crate::job::Problem;

/// As many problems of an item are named; beyond that they are only counted.
pub const MAX_PROBLEMS: usize = 1000;

/// The tally of one pass over some items.
#[derive(Debug, Default)]
pub struct Tally {
    pub items: Vec<ItemTally>,
    /// Bytes that were really read from files.
    pub bytes_read: AtomicI64,
    /// Entries that were handed on and are no folders.
    pub handed_on: AtomicI64,
    /// Index of the item that is being walked.
    pub current: AtomicUsize,
    /// Set from outside: readers and walkers end at once.
    pub stop: AtomicBool,
}

/// The tally of one item.
#[derive(Debug, Default)]
pub struct ItemTally {
    pub name: String,
    /// Everything that is not a folder.
    pub files: AtomicI64,
    pub dirs: AtomicI64,
    pub bytes: AtomicI64,
    /// Those of them in folders that programs fill again (`domain::guard::refilled`).
    pub refilled_files: AtomicI64,
    pub refilled_bytes: AtomicI64,
    /// Files that were handed on and then could not be read, and are not in the snapshot.
    pub dropped: AtomicI64,
    /// Problems that a second reading may well not meet, because something changed meanwhile.
    pub passing: AtomicI64,
    /// The whole item could not be opened.
    pub failed: AtomicBool,
    /// The item's own folder, whose owner, mode and times stand outside its tree.
    pub folder: Mutex<Option<Metadata>>,
    problems: Mutex<(Vec<Problem>, i64)>,
}

impl Tally {
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self { items: names.into_iter().map(|name| ItemTally { name, ..ItemTally::default() }).collect(), ..Self::default() }
    }

    pub fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }
}

impl ItemTally {
    /// Notes something that could not be read. `path` is inside the item, escaped; empty for the item itself.
    pub fn problem(&self, path: String, message: String) {
        let mut held = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        held.1 += 1;
        if held.0.len() < MAX_PROBLEMS {
            held.0.push(Problem { path, message });
        }
    }

    /// The problems that are named, sorted by path, and the number of all.
    pub fn problems(&self) -> (Vec<Problem>, i64) {
        let mut held = self.problems.lock().unwrap_or_else(PoisonError::into_inner).clone();
        held.0.sort_by(|a, b| a.path.cmp(&b.path));
        held
    }
}
