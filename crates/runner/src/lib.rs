//! Carries runs out: claims them, does their steps, records what happened, takes over from workers that died.
//!
//! Lives here: the worker's loop, leases, the executor of steps, recovery, the scheduler, and one file a kind of run in
//! `kinds`; beside the runs, `watchdogs` (what is wrong, who is told) `notify` (messages on their way, the outward
//! heartbeat), `argo` (availability figures from elsewhere), `evidence` (signs what waits for it) and `clouds` (native snapshots).
//! May not: permission (`ops` decides), the heavy work itself (`engine`, in a child process), words for pages.
//! Invariant: whatever a worker writes, it writes under its lease; a step is recorded before and after; a run that
//! was left resumes at its first unfinished step or is unwound and ends as interrupted, and nothing stays running.

mod argo;
mod child;
pub mod clones;
pub mod clouds;
pub mod deps;
pub mod evidence;
mod exec;
mod files;
pub mod installation;
mod keys;
mod kinds;
mod lease;
pub mod notify;
mod owner;
mod presence;
pub mod process;
mod scheduler;
mod step;
pub mod watchdogs;
mod worker;

pub use argo::Argo;
pub use deps::{Deps, Fault, Faults, Limits, Moment, Told, Work};
pub use notify::{Heart, Notifier, Signs};
pub use presence::Pulse;
pub use process::Children;
pub use scheduler::{Looked, Scheduler};
pub use watchdogs::Watchdogs;
pub use worker::{Finished, Worker, execute_until_done};

use std::future::Future;

/// Watches, tells and beats beside the worker, until `shutdown` is ready.
pub async fn watch(deps: Deps, shutdown: impl Future<Output = ()> + Send) {
    let stop = tokio::sync::watch::Sender::new(false);
    let stopped = || {
        let mut stop = stop.subscribe();
        async move {
            // An error means that the sender is gone, which is a stop as well.
            stop.wait_for(|s| *s).await.ok();
        }
    };
    let (watchdogs, notifier, heart) = (Watchdogs::new(deps.clone()), Notifier::new(deps.clone()), Heart::new(deps.clone()));
    let argo = Argo::new(deps.clone());
    let (own, signs) = (installation::watch(deps.clone(), stopped()), evidence::watch(deps.clone(), stopped()));
    let (clouds, looks) = (clouds::watch(deps.clone(), stopped()), clouds::look::watch(deps.clone(), stopped()));
    let clones = clones::watch(deps, stopped());
    let beside = async { tokio::join!(own, signs, clouds, looks, clones) };
    let all = async { tokio::join!(watchdogs.run(stopped()), notifier.run(stopped()), heart.run(stopped()), argo.run(stopped()), beside) };
    let told = async {
        shutdown.await;
        stop.send_replace(true);
    };
    tokio::join!(all, told);
}
