//! The worker's loop on both databases: many workers, stops in good order, a lost lease, progress.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    collections::BTreeSet,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::{
    bench::{Bench, What},
    tree,
};
use domain::{
    id::{RunId, SnapshotId},
    restore::ConflictMode,
    run::{RunState, StepState},
    units::Timestamp,
    work::RestoreTarget,
};
use engine::job::{Failure, Job, Outcome};
use ops::restores::{Choice, Request};
use runner::{Deps, Moment, Told, Work, Worker};
use store::{queue, testing};
use tokio::sync::{Notify, mpsc, watch};
use uuid::Uuid;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_workers_share_twenty_restores_and_do_each_once() {
    for db in testing::databases().await {
        let bench = Bench::new(db).await;
        let workers: Vec<_> = (0..3).map(|_| work(bench.site.deps.clone())).collect();
        let mut runs = BTreeSet::new();
        for n in 0..20 {
            let path = bench.site.folder.path().join(format!("many/{n}"));
            let target = RestoreTarget::Folder { path: path.to_string_lossy().into_owned() };
            let choices = vec![Choice { snapshot: bench.snapshot, paths: vec![] }];
            let request = Request { choices, target, conflict: ConflictMode::Fail, preview: false, confirm: None };
            runs.insert((n, ops::restores::start(&bench.site.ctx, request).await.unwrap()));
        }
        for (n, run) in runs {
            let row = ended(&bench, run).await;
            assert_eq!((row.state.as_str(), row.attempts), ("succeeded", 1), "{}", bench.why(run).await);
            let steps = bench.site.steps(run).await;
            assert!(steps.iter().all(|s| s.attempt == 1 && s.state().unwrap() == StepState::Succeeded), "{}: {steps:?}", bench.site.db.name);
            assert!(tree(&bench.site.folder.path().join(format!("many/{n}"))) == bench.original);
        }
        for (stop, worker) in workers {
            stop.notify_one();
            worker.await.unwrap();
        }
        bench.site.assert_clean("three workers").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stop_in_good_order_is_no_failed_attempt() {
    for db in testing::databases().await {
        let mut bench = Bench::new(db).await;
        // Nobody waits for a lease that was given back.
        bench.site.deps.limits.lease = Duration::from_mins(10);
        for (what, step) in [(What::Backup, "capture"), (What::Backup, "verify"), (What::Test, "check"), (What::InPlace, "restore")] {
            let (run, before, after) = bench.start(what).await;
            let stop = Arc::new(Notify::new());
            let (said, once) = (stop.clone(), AtomicBool::new(false));
            let deps = bench.site.with_faults(move |s, m| {
                if s == step && m == Moment::Begun && !once.swap(true, Ordering::SeqCst) {
                    said.notify_one();
                    tokio::task::block_in_place(|| std::thread::sleep(Duration::from_millis(300)));
                }
                None
            });
            let stopped = stop.clone();
            Box::pin(Worker::new(deps).run(async move { stopped.notified().await })).await;
            let left = ops::runs::find(&bench.site.ctx, run).await.unwrap();
            assert_eq!((left.state.as_str(), left.lease_until), ("running", Some(0)), "{what:?} {step}: {}", bench.why(run).await);
            let done = bench.site.end(run).await;
            let said = format!("{what:?} {step}: {}", bench.why(run).await);
            if what.is_restore() {
                assert_eq!(done.state, RunState::Interrupted, "a restore is not begun again without consent: {said}");
                let now = bench.now(what);
                assert!(now == before || now == after, "{said}");
            } else {
                assert_eq!((done.state, done.run.attempts), (RunState::Succeeded, 1), "{said}");
            }
            bench.site.assert_clean(&said).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_lost_the_lease_stops_and_writes_nothing_more() {
    for db in testing::databases().await {
        let mut bench = Bench::new(db).await;
        bench.site.deps.limits.heartbeat = Duration::from_millis(100);
        let (run, ..) = bench.start(What::Backup).await;
        let (handle, once) = (tokio::runtime::Handle::current(), AtomicBool::new(false));
        let ctx = bench.site.ctx.clone();
        let deps = bench.site.with_faults(move |s, m| {
            if s == "capture" && m == Moment::Begun && !once.swap(true, Ordering::SeqCst) {
                let db = ctx.db.clone();
                let other = async move {
                    let lease = queue::leases(db.read().await.unwrap().tx()).await.unwrap().into_iter().find(|l| l.id == run.0).unwrap();
                    let mut t = db.begin().await.unwrap();
                    let mine = queue::Lease { owner: "elsewhere@1:1:1.x", token: Uuid::now_v7(), until: Timestamp(i64::MAX) };
                    queue::take_over(t.tx(), run, lease.lease_token, &mine).await.unwrap().unwrap();
                    t.commit().await.unwrap();
                };
                tokio::task::block_in_place(|| handle.block_on(other));
            }
            None
        });
        let (stop, worker) = work(deps);
        let mut seen = 0;
        for _ in 0..200 {
            seen = ops::runs::find(&bench.site.ctx, run).await.unwrap().attempts;
            if seen == 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(seen, 2);
        let before = ops::runs::find(&bench.site.ctx, run).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let now = ops::runs::find(&bench.site.ctx, run).await.unwrap();
        assert_eq!((now.state.as_str(), now.event_seq, now.lease_owner.as_deref()), ("running", before.event_seq, Some("elsewhere@1:1:1.x")));
        stop.notify_one();
        worker.await.unwrap();
        // The other one gives it back.
        let mut t = bench.site.db.db.begin().await.unwrap();
        queue::release(t.tx(), run, now.lease_token.unwrap(), true).await.unwrap();
        t.commit().await.unwrap();
        assert_eq!(bench.site.end(run).await.state, RunState::Succeeded);
        bench.site.assert_clean("lost lease").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn progress_moves_forward_and_is_not_written_for_every_line() {
    for db in testing::databases().await {
        let bench = Bench::new(db).await;
        for user in ["ada", "bob"] {
            for n in 0..40_u64 {
                // Bytes that neither compress nor repeat.
                let mut state = n * 7_919 + u64::from(user.as_bytes()[0]) + 1;
                let noise: Vec<u8> = (0..1_000_000)
                    .map(|_| {
                        state ^= state << 13;
                        state ^= state >> 7;
                        state ^= state << 17;
                        state as u8
                    })
                    .collect();
                fs::write(bench.site.home(user).join(format!("{n}.bin")), noise).unwrap();
            }
        }
        let mut deps = bench.site.deps.clone();
        deps.limits.flush = Duration::from_millis(500);
        let (stop, worker) = work(deps);
        let (run, ..) = bench.start(What::Backup).await;
        let mut seen = Vec::new();
        while ops::runs::find(&bench.site.ctx, run).await.unwrap().state().unwrap().is_live() {
            if let Some(p) = ops::runs::find(&bench.site.ctx, run).await.unwrap().progress {
                seen.push(p.0);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        seen.dedup();
        assert!(!seen.is_empty(), "{}: {}", bench.site.db.name, bench.why(run).await);
        for pair in seen.windows(2).filter(|p| p[0].step == p[1].step) {
            assert!(pair[0].bytes_done <= pair[1].bytes_done && pair[1].at.secs_since(pair[0].at) > 0.4, "{pair:?}");
        }
        let last = seen.iter().rfind(|p| p.step == "capture").unwrap();
        assert!(last.items_total == 3 && last.bytes_done > 0, "{last:?}");
        let row = ended(&bench, run).await;
        assert!(row.state == "succeeded" && row.progress.is_none());
        stop.notify_one();
        worker.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_waits_for_a_restore_in_place_of_its_source() {
    for db in testing::databases().await {
        let bench = Bench::new(db).await;
        let (restore, ..) = bench.start(What::InPlace).await;
        let (backup, ..) = bench.start(What::Backup).await;
        let (stop, worker) = work(bench.site.deps.clone());
        let (first, second) = (ended(&bench, restore).await, ended(&bench, backup).await);
        assert_eq!((first.state.as_str(), second.state.as_str()), ("succeeded", "succeeded"));
        assert!(second.started_at.unwrap() >= first.finished_at.unwrap(), "{}: both wrote at once", bench.site.db.name);
        let safety: Vec<SnapshotId> = serde_json::from_value(first.result.unwrap().0["safety"].clone()).unwrap();
        assert_eq!(safety.len(), 1);
        stop.notify_one();
        worker.await.unwrap();
        bench.site.assert_clean("one source").await;
    }
}

/// A child that hangs in the system: it hears no word to stop.
#[derive(Default)]
struct Hangs {
    begun: Notify,
    killed: Arc<AtomicBool>,
}

struct Killed(Arc<AtomicBool>);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[async_trait::async_trait]
impl Work for Hangs {
    async fn carry_out(&self, _: &str, _: Job, _: mpsc::Sender<Told>, _: watch::Receiver<bool>) -> Result<Outcome, Failure> {
        let _killed = Killed(self.killed.clone());
        self.begun.notify_one();
        std::future::pending().await
    }

    async fn clear(&self, _: &str) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_child_is_killed_at_once_when_the_lease_is_lost() {
    for db in testing::databases().await {
        let mut bench = Bench::new(db).await;
        bench.site.deps.limits.heartbeat = Duration::from_millis(100);
        let (run, ..) = bench.start(What::Backup).await;
        let hangs = Arc::new(Hangs::default());
        let (stop, worker) = work(Deps { work: hangs.clone(), ..bench.site.deps.clone() });
        hangs.begun.notified().await;
        let lease = queue::leases(bench.site.db.db.read().await.unwrap().tx()).await.unwrap().remove(0);
        let mine = queue::Lease { owner: "elsewhere@1:1:1.x", token: Uuid::now_v7(), until: Timestamp(i64::MAX) };
        let mut t = bench.site.db.db.begin().await.unwrap();
        queue::take_over(t.tx(), run, lease.lease_token, &mine).await.unwrap().unwrap();
        t.commit().await.unwrap();
        for _ in 0..100 {
            if hangs.killed.load(Ordering::SeqCst) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(hangs.killed.load(Ordering::SeqCst), "{}: it goes on beside the next one", bench.site.db.name);
        stop.notify_one();
        worker.await.unwrap();
    }
}
