//! Clocks that jump, on both databases (R60): nobody loses a run to them, nothing waits for a time that was never right.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::bench::{Bench, What};
use domain::{id::RunId, run::RunState};
use ops::Ctx;
use runner::{Deps, Moment, Worker};
use store::{Clock, queue, testing};
use tokio::sync::Notify;
use uuid::Uuid;

const DAY_S: i64 = 86_400;

/// The system's time, some days from now.
fn days_off(days: i64) -> Clock {
    Clock::fixed(Clock::System.now().plus_secs(days * DAY_S))
}

/// A worker in this process, stopped by the notification.
fn work(deps: Deps) -> (Arc<Notify>, tokio::task::JoinHandle<()>) {
    let stop = Arc::new(Notify::new());
    let stopped = stop.clone();
    (stop, tokio::spawn(Box::pin(Worker::new(deps).run(async move { stopped.notified().await }))))
}

async fn ended(bench: &Bench, run: RunId) -> store::runs::RunRow {
    for _ in 0..3_000 {
        let row = ops::runs::find(&bench.site.ctx, run).await.unwrap();
        if !row.state().unwrap().is_live() {
            return row;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{}: the run never ends: {}", bench.site.db.name, bench.why(run).await);
}

/// A worker that stands still in a step for so long, once.
fn slow(bench: &Bench, clock: Clock, step: &'static str, pause: Duration, then: impl Fn() + Send + Sync + 'static) -> Deps {
    let once = AtomicBool::new(false);
    let deps = bench.site.with_faults(move |s, m| {
        if s == step && m == Moment::Begun && !once.swap(true, Ordering::SeqCst) {
            tokio::task::block_in_place(|| std::thread::sleep(pause));
            then();
        }
        None
    });
    Deps { clock, ..deps }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_whose_clock_is_ahead_takes_no_run_from_one_that_lives() {
    for db in testing::databases().await {
        let mut bench = Bench::new(db).await;
        bench.site.deps.limits.lease = Duration::from_secs(4);
        bench.site.deps.limits.heartbeat = Duration::from_millis(200);
        for what in [What::Backup, What::InPlace] {
            let step = if what == What::Backup { "capture" } else { "restore" };
            let (run, _, after) = bench.start(what).await;
            let (stop_slow, slow) = work(slow(&bench, Clock::System, step, Duration::from_secs(5), || {}));
            while ops::runs::find(&bench.site.ctx, run).await.unwrap().state != "running" {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let (stop_ahead, ahead) = work(Deps { clock: days_off(1), ..bench.site.deps.clone() });
            let row = ended(&bench, run).await;
            assert_eq!((row.state.as_str(), row.attempts), ("succeeded", 1), "{}: {}", bench.site.db.name, bench.why(run).await);
            assert!(bench.now(what) == after);
            for (stop, worker) in [(stop_slow, slow), (stop_ahead, ahead)] {
                stop.notify_one();
                worker.await.unwrap();
            }
        }
        bench.site.assert_clean("a clock ahead").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lease_that_ends_tomorrow_does_not_hold_a_run_whose_worker_is_gone() {
    for db in testing::databases().await {
        let mut bench = Bench::new(db).await;
        bench.site.deps.limits.lease = Duration::from_secs(2);
        let (run, ..) = bench.start(What::Backup).await;
        // Its worker, on another machine whose clock was a day ahead, took it and vanished.
        let mut t = bench.site.db.db.begin().await.unwrap();
        let tomorrow = days_off(1).now();
        let lease = queue::Lease { owner: "elsewhere@1:1:1.x", token: Uuid::now_v7(), until: tomorrow };
        queue::claim_one(t.tx(), run, &lease, tomorrow).await.unwrap().unwrap();
        t.commit().await.unwrap();
        let begun = std::time::Instant::now();
        let done = bench.site.end(run).await;
        assert_eq!((done.state, done.run.attempts), (RunState::Succeeded, 2), "{}: {}", bench.site.db.name, bench.why(run).await);
        assert!(begun.elapsed() >= Duration::from_secs(2), "it was taken before anybody could know that its worker is gone");
        bench.site.assert_clean("a lease of tomorrow").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_queued_while_the_clock_was_ahead_runs_now() {
    for db in testing::databases().await {
        let bench = Bench::new(db).await;
        let ahead = Ctx { clock: days_off(30), ..bench.site.ctx.clone() };
        let run = ops::backups::start(&ahead, "notebooks", None, None).await.unwrap()[0];
        let done = bench.site.end(run).await;
        assert_eq!(done.state, RunState::Succeeded, "{}: {}", bench.site.db.name, bench.why(run).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_clock_set_back_in_the_middle_of_a_run_makes_no_negative_times() {
    for db in testing::databases().await {
        let bench = Bench::new(db).await;
        let (run, ..) = bench.start(What::Backup).await;
        let clock = days_off(0);
        let back = clock.clone();
        let deps = slow(&bench, clock, "capture", Duration::from_millis(10), move || back.advance_secs(-7_200));
        let done = bench.site.end_with(deps, run).await;
        let log = bench.site.log(run).await;
        assert_eq!((done.state, done.run.attempts), (RunState::Succeeded, 1), "{}: {log}", bench.site.db.name);
        assert!(log.contains("capture: succeeded after 0 ms") && !log.contains("after -"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_newest_copy_is_the_one_that_was_made_last_whatever_the_clock_said() {
    for db in testing::databases().await {
        let bench = Bench::new(db).await;
        let home = bench.site.home("bob");
        let backup = async |clock: Clock, text: &str| {
            fs::write(home.join("work/notes.md"), text).unwrap();
            let ctx = Ctx { clock: clock.clone(), ..bench.site.ctx.clone() };
            let run = ops::backups::start(&ctx, "notebooks", None, None).await.unwrap()[0];
            let done = bench.site.end_with(Deps { clock, ..bench.site.deps.clone() }, run).await;
            assert_eq!(done.state, RunState::Succeeded, "{}", bench.why(run).await);
            let mut read = bench.site.db.db.read().await.unwrap();
            let item = store::items::find_by_name(read.tx(), bench.site.source, "bob").await.unwrap().unwrap();
            store::snapshots::find(read.tx(), domain::id::SnapshotId(item.last_snapshot_id.unwrap())).await.unwrap().unwrap()
        };
        let first = backup(days_off(2), "while the clock was two days ahead\n").await;
        let second = backup(days_off(0), "after it was put right\n").await;
        assert_ne!(first.id, second.id, "{}", bench.site.db.name);
        assert!(first.gone_at.is_none() && second.gone_at.is_none());
    }
}
