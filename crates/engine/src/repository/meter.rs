//! Bytes that the library has worked through, told while it works.
//!
//! Lives here: the library's progress as ours. May not: what the work is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
        mpsc::{RecvTimeoutError, channel},
    },
    time::Duration,
};

use rustic_core::{Progress as LibraryProgress, ProgressBars, ProgressType, RusticProgress};

use crate::{
    Ctx,
    job::{Event, Progress},
};

const TICK: Duration = Duration::from_millis(250);

/// Bytes done out of bytes to do, as the library tells them.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    done: Arc<AtomicI64>,
    total: Arc<AtomicI64>,
}

impl Meter {
    pub fn done(&self) -> i64 {
        self.done.load(Relaxed)
    }

    /// Does `work`, tells how far it is, and calls `look` beside it some four times a second.
    pub fn follow<T>(&self, ctx: &Ctx, look: impl Fn() + Sync, work: impl FnOnce() -> T) -> T {
        std::thread::scope(|scope| {
            let (stop, stopped) = channel::<()>();
            scope.spawn(|| {
                let stopped = stopped;
                let mut last = Progress::default();
                while matches!(stopped.recv_timeout(TICK), Err(RecvTimeoutError::Timeout)) {
                    look();
                    let now = Progress { bytes_done: self.done.load(Relaxed), bytes_total: self.total.load(Relaxed), ..Progress::default() };
                    if now != last {
                        ctx.emit(Event::Progress(now.clone()));
                        last = now;
                    }
                }
            });
            let done = work();
            drop(stop);
            done
        })
    }
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
