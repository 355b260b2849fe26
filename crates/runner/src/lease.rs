//! Holding a run: the heartbeat, and the word to stop.
//!
//! Lives here: the task beside an executing run. May not: what stopping means for a step.

use std::{sync::Arc, time::Duration};

use domain::id::RunId;
use store::{queue, runs, wake};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior},
};
use uuid::Uuid;

use crate::Deps;

/// Why work on a run must end. A later one that is worse takes the place of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Somebody asked to cancel the run: unwind, then end.
    Cancelled,
    /// The worker stops: leave the run to the next one.
    Shutdown,
    /// Somebody else has the run: write nothing more.
    Lost,
}

/// A lease that is kept alive until it is dropped.
pub struct Lease {
    pub run: RunId,
    pub token: Uuid,
    stop: watch::Sender<Option<Stop>>,
    task: JoinHandle<()>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Lease {
    /// Begins the heartbeat. `shutdown` turns true when the worker stops.
    pub fn keep(deps: &Arc<Deps>, run: RunId, token: Uuid, shutdown: watch::Receiver<bool>) -> Self {
        let stop = watch::Sender::new(None);
        let task = tokio::spawn(beat(deps.clone(), run, token, stop.clone(), shutdown));
        Self { run, token, stop, task }
    }

    pub fn stopped(&self) -> Option<Stop> {
        *self.stop.borrow()
    }

    /// Says that the lease turned out to be lost.
    pub fn lost(&self) {
        raise(&self.stop, Stop::Lost);
    }

    pub fn watch(&self) -> watch::Receiver<Option<Stop>> {
        self.stop.subscribe()
    }
}

fn raise(stop: &watch::Sender<Option<Stop>>, why: Stop) {
    stop.send_if_modified(|now| {
        let worse = now.is_none_or(|n| n < why);
        if worse {
            *now = Some(why);
        }
        worse
    });
}

async fn beat(deps: Arc<Deps>, run: RunId, token: Uuid, stop: watch::Sender<Option<Stop>>, mut shutdown: watch::Receiver<bool>) {
    let mut tick = tokio::time::interval(deps.limits.heartbeat);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut news = wake::subscribe();
    let mut good_until = Instant::now() + deps.limits.lease;
    loop {
        tokio::select! {
            // In this order: much news must not hold up a stop or a heartbeat.
            biased;
            true = told(&mut shutdown), if stop.borrow().is_none_or(|s| s < Stop::Shutdown) => raise(&stop, Stop::Shutdown),
            _ = tick.tick() => {
                match heartbeat(&deps, run, token).await {
                    Ok(Some(cancelled)) => {
                        good_until = Instant::now() + deps.limits.lease;
                        if cancelled {
                            raise(&stop, Stop::Cancelled);
                        }
                    }
                    Ok(None) => return raise(&stop, Stop::Lost),
                    Err(e) => {
                        tracing::warn!(run = %run, error = %e, "heartbeat failed");
                        if Instant::now() >= good_until {
                            return raise(&stop, Stop::Lost);
                        }
                    }
                }
            }
            () = wake::news(&mut news, run, Duration::from_secs(1)) => {
                // News of a run come in batches; so do the looks. What came before a look needs no other.
                tokio::time::sleep(Duration::from_millis(50)).await;
                news = wake::subscribe();
                if asked_to_cancel(&deps, run).await {
                    raise(&stop, Stop::Cancelled);
                }
            }
        }
    }
}

/// Whether the worker stops; `false` when it is gone without a word.
async fn told(shutdown: &mut watch::Receiver<bool>) -> bool {
    shutdown.wait_for(|s| *s).await.is_ok()
}

async fn heartbeat(deps: &Deps, run: RunId, token: Uuid) -> store::Result<Option<bool>> {
    let beat = async {
        let mut t = deps.db.begin().await?;
        let until = deps.clock.now().0 + i64::try_from(deps.limits.lease.as_micros()).unwrap_or(i64::MAX);
        let answer = queue::heartbeat(t.tx(), run, token, domain::units::Timestamp(until)).await?;
        t.commit().await?;
        Ok(answer)
    };
    match tokio::time::timeout(deps.limits.lease, beat).await {
        Ok(answer) => answer,
        Err(_) => Err(store::StoreError::Url("the database did not answer within the time of a lease".to_owned())),
    }
}

async fn asked_to_cancel(deps: &Deps, run: RunId) -> bool {
    let look = async { runs::find(deps.db.read().await?.tx(), run).await };
    matches!(look.await, Ok(Some(row)) if row.cancel_requested_at.is_some())
}
