//! The scheduler: looks which ticks are due, and which runs take too long (R17, R18).
//!
//! Lives here: when to look. May not: what a tick becomes (`ops::schedules` decides that, in one transaction).
//! Invariant: it takes no input and keeps nothing that a restart would lose. Any number of them may look at one database.

use std::{future::Future, time::Duration};

use domain::units::Timestamp;
use ops::{Actor, Ctx, schedules};
use store::{Clock, Db, wake};

/// How often it looks when nothing is due and nothing wakes it.
const LOOK: Duration = Duration::from_secs(10);
/// A clock that shows this much less than before was set back, in seconds.
const SET_BACK_S: f64 = -60.0;

/// What one look brought about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    pub runs: usize,
    /// Rows of the ledger without a run.
    pub missed: usize,
    /// Runs that were asked to stop because they take too long.
    pub stopped: usize,
}

/// One scheduler. Every server has one.
pub struct Scheduler {
    ctx: Ctx,
    /// When it looked last.
    last: Option<Timestamp>,
}

impl Scheduler {
    pub fn new(db: Db, clock: Clock) -> Self {
        Self { ctx: Ctx { clock, ..Ctx::new(db, Actor::system(), "schedule") }, last: None }
    }

    /// Looks again and again until `shutdown` is ready.
    pub async fn run(mut self, shutdown: impl Future<Output = ()> + Send) {
        tokio::pin!(shutdown);
        loop {
            // First listen, then look, so that no wake-up falls between.
            let woken = wake::queued();
            if let Err(e) = self.look().await {
                tracing::error!(error = %e, cause = ?e, "the schedules cannot be looked at; trying again");
            }
            let wait = self.until_due().await;
            tokio::select! {
                () = &mut shutdown => return,
                // A schedule may have changed. Wake-ups for runs come often, and one look a second is enough.
                () = woken => tokio::time::sleep(wait.min(Duration::from_secs(1))).await,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One look: everything that is due now becomes a run or a missed row.
    ///
    /// # Errors
    /// The database's, or the first of a schedule that cannot be used; the others are looked at all the same.
    pub async fn look(&mut self) -> ops::Result<Looked> {
        let now = self.ctx.now();
        if self.last.is_none_or(|last| now.secs_since(last) < SET_BACK_S) {
            let set_right = schedules::clock_went_back(&self.ctx).await?;
            if set_right > 0 {
                tracing::warn!(schedules = set_right, "the clock had been ahead; the schedules were set right");
            }
        }
        self.last = Some(now);
        let (mut looked, mut failed) = (Looked::default(), None);
        for id in schedules::due(&self.ctx).await? {
            match schedules::tick(&self.ctx, id).await {
                Ok(ticked) => {
                    looked.runs += ticked.runs.len();
                    looked.missed += ticked.missed;
                }
                Err(e) => failed = failed.or(Some(e)),
            }
        }
        looked.stopped = schedules::stop_overlong(&self.ctx).await?;
        if looked.missed > 0 {
            tracing::warn!(missed = looked.missed, "ticks without a run; the ledger has the reason of each");
        }
        failed.map_or(Ok(looked), Err)
    }

    async fn until_due(&self) -> Duration {
        match schedules::next_run_at(&self.ctx).await {
            // What is due already and was not carried out waits for the next look.
            Ok(Some(at)) if at > self.ctx.now() => Duration::from_secs_f64(at.secs_since(self.ctx.now()).max(0.01)).min(LOOK),
            _ => LOOK,
        }
    }
}
