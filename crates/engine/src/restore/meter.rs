//! How far a restore has come.
//!
//! Lives here: counting and telling, at most four times a second. May not: decisions.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::{
    Ctx,
    job::{Event, Progress},
};

const EVERY: Duration = Duration::from_millis(250);

/// Counts of a job that many threads add to.
pub struct Meter<'a> {
    ctx: &'a Ctx<'a>,
    items_total: i64,
    bytes_total: AtomicI64,
    items: AtomicI64,
    files: AtomicI64,
    bytes: AtomicI64,
    told: Mutex<Instant>,
}

impl<'a> Meter<'a> {
    pub fn new(ctx: &'a Ctx<'a>, items_total: usize) -> Self {
        Self {
            ctx,
            items_total: i64::try_from(items_total).unwrap_or(i64::MAX),
            bytes_total: AtomicI64::new(0),
            items: AtomicI64::new(0),
            files: AtomicI64::new(0),
            bytes: AtomicI64::new(0),
            told: Mutex::new(Instant::now()),
        }
    }

    pub fn expect(&self, bytes: i64) {
        self.bytes_total.fetch_add(bytes.min(i64::MAX / 1024), Relaxed);
    }

    pub fn item(&self, name: &str) {
        self.items.fetch_add(1, Relaxed);
        self.tell(|| name.to_owned());
    }

    pub fn file(&self) {
        self.files.fetch_add(1, Relaxed);
    }

    pub fn bytes(&self, n: u64, current: impl FnOnce() -> String) {
        self.bytes.fetch_add(i64::try_from(n).unwrap_or(i64::MAX), Relaxed);
        self.tell(current);
    }

    fn tell(&self, current: impl FnOnce() -> String) {
        let Ok(mut told) = self.told.try_lock() else { return };
        if told.elapsed() >= EVERY {
            *told = Instant::now();
            drop(told);
            self.emit(current());
        }
    }

    /// Tells the last state, whenever the one before was told.
    pub fn finish(&self) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.emit(String::new());
    }

    fn emit(&self, current: String) {
        self.ctx.emit(Event::Progress(Progress {
            items_done: self.items.load(Relaxed),
            items_total: self.items_total,
            files_done: self.files.load(Relaxed),
            bytes_done: self.bytes.load(Relaxed),
            bytes_total: self.bytes_total.load(Relaxed),
            current,
        }));
    }
}
