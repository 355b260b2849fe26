//! Holding a run: the heartbeat, and the word to stop.
//!
//! Lives here: the task beside an executing run. May not: what stopping means for a step.
//! Invariant: the holder lets go before others may take over. They wait for a whole lease after a heartbeat they saw. Its
//! last good heartbeat is counted from its beginning; [`good_for`] later it is lost, noticed at most one [`answer_within`]
//! later, and a lost run's child is killed at once. Both together are two thirds of a lease.

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

/// How long the database may take to answer.
const fn answer_within(lease: Duration) -> Duration {
    Duration::from_nanos(lease.as_nanos() as u64 / 6)
}

/// How long a run is worked on after the last good heartbeat.
const fn good_for(lease: Duration) -> Duration {
    Duration::from_nanos(lease.as_nanos() as u64 / 2)
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
    let mut tick = tokio::time::interval(deps.limits.heartbeat.min(answer_within(deps.limits.lease)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut news = wake::subscribe();
    let good_for = good_for(deps.limits.lease);
    let mut good_until = Instant::now() + good_for;
    loop {
        tokio::select! {
            // In this order: much news must not hold up a stop or a heartbeat.
            biased;
            true = told(&mut shutdown), if stop.borrow().is_none_or(|s| s < Stop::Shutdown) => raise(&stop, Stop::Shutdown),
            () = tokio::time::sleep_until(good_until) => return raise(&stop, Stop::Lost),
            _ = tick.tick() => {
                let began = Instant::now();
                match heartbeat(&deps, run, token).await {
                    Ok(Some(cancelled)) => {
                        good_until = began + good_for;
                        if cancelled {
                            raise(&stop, Stop::Cancelled);
                        }
                    }
                    Ok(None) => return raise(&stop, Stop::Lost),
                    Err(e) => {
                        tracing::warn!(run = %run, error = %e, "heartbeat failed");
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
    match tokio::time::timeout(answer_within(deps.limits.lease), beat).await {
        Ok(answer) => answer,
        Err(_) => Err(store::StoreError::Url("the database did not answer in time".to_owned())),
    }
}

async fn asked_to_cancel(deps: &Deps, run: RunId) -> bool {
    let look = async { runs::find(deps.db.read().await?.tx(), run).await };
    matches!(tokio::time::timeout(answer_within(deps.limits.lease), look).await, Ok(Ok(Some(row))) if row.cancel_requested_at.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deps::Limits;

    #[test]
    fn the_holder_lets_go_before_others_may_take_over() {
        let Limits { lease, heartbeat, .. } = Limits::default();
        assert!(heartbeat <= answer_within(lease), "two heartbeats may fail before the run is given up");
        // A look at the news is short of a sleep of 50 ms and one answer; a kill needs some time too.
        let let_go = good_for(lease) + answer_within(lease) + Duration::from_secs(1);
        assert!(let_go < lease, "{let_go:?} of {lease:?}");
    }
}
