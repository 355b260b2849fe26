//! Every kind of run: fails at every step and unwinds; every step twice; a worker that vanishes at every moment of
//! every step, forwards and backwards; on both databases.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use common::bench::{Bench, What};
use domain::{id::RunId, run::RunState};
use runner::{Deps, Fault, Moment};
use store::{queue, testing};

/// A fault that strikes once.
fn once(bench: &Bench, step: &'static str, at: Moment, fault: Fault) -> Deps {
    let (struck, crash) = (AtomicBool::new(false), crash(bench));
    bench.site.with_faults(move |s, m| {
        let now = s == step && m == at && !struck.swap(true, Ordering::SeqCst);
        now.then(|| if fault == Fault::Crash { crash() } else { fault })
    })
}

/// Makes the worker vanish, and its lease run out at once: the tests need not wait for it.
fn crash(bench: &Bench) -> impl Fn() -> Fault + Send + Sync + 'static {
    let (db, handle) = (bench.site.db.db.clone(), tokio::runtime::Handle::current());
    move || {
        let expire = async {
            for lease in queue::leases(db.read().await.unwrap().tx()).await.unwrap() {
                let mut t = db.begin().await.unwrap();
                queue::release(t.tx(), RunId(lease.id), lease.lease_token, false).await.unwrap();
                t.commit().await.unwrap();
            }
        };
        tokio::task::block_in_place(|| handle.block_on(expire));
        Fault::Crash
    }
}

async fn a_step_that_fails_for_good(bench: &Bench, what: What) {
    for step in what.steps() {
        for moment in [Moment::Begun, Moment::Done] {
            let (run, before, after) = bench.start(what).await;
            let deps = bench.site.with_faults(move |s, m| (s == *step && m == moment).then_some(Fault::Fail { permanent: true }));
            let done = bench.site.end_with(deps, run).await;
            let said = format!("{what:?} {step} {moment:?}: {}", bench.why(run).await);
            let failure = done.run.failure.unwrap();
            assert_eq!((done.state, failure.code.as_str()), (RunState::Failed, "injected"), "{said}");
            let now = bench.now(what);
            assert_eq!(failure.message.contains("and stands there"), now != before, "{said}");
            // Once the engine has put everything in place, it is whole and stays.
            assert!(now == before || (now == after && matches!((*step, moment), ("restore", Moment::Done) | ("record", _))), "{said}");
            bench.site.assert_clean(&said).await;
        }
    }
}

async fn a_step_that_fails_once(bench: &Bench, what: What) {
    for step in what.steps() {
        let (run, before, _) = bench.start(what).await;
        let done = bench.site.end_with(once(bench, step, Moment::Done, Fault::Fail { permanent: false }), run).await;
        let said = format!("{what:?} {step}: {}", bench.why(run).await);
        if what.is_restore() {
            assert_eq!(done.state, RunState::Failed, "a restore is not tried again without consent: {said}");
            assert!(*step == "restore" || *step == "record" || bench.now(what) == before, "{said}");
        } else {
            // The step was done, not recorded, and done again.
            assert_eq!((done.state, done.run.attempts), (RunState::Succeeded, 2), "{said}");
        }
        bench.site.assert_clean(&said).await;
    }
}

async fn a_worker_that_vanishes(bench: &Bench, what: What) {
    for step in what.steps() {
        for moment in [Moment::Begun, Moment::Done, Moment::Recorded] {
            let (run, before, after) = bench.start(what).await;
            // Whoever waits for the run takes it over.
            let done = bench.site.end_with(once(bench, step, moment, Fault::Crash), run).await;
            let said = format!("{what:?} {step} {moment:?}: {}", bench.why(run).await);
            let now = bench.now(what);
            if what.is_restore() {
                let written = matches!((*step, moment), ("restore", Moment::Recorded) | ("record", _));
                assert_eq!(done.state, if written { RunState::Succeeded } else { RunState::Interrupted }, "{said}");
                let may_be_whole = written || (*step == "restore" && moment == Moment::Done);
                assert!((!written && now == before) || (may_be_whole && now == after), "a half-restored target: {said}");
                let why = done.run.failure.map(|f| f.message.clone()).unwrap_or_default();
                assert_eq!(why.contains("and stands there"), !written && now != before, "{said}");
                assert_eq!(why.contains("was brought back"), !written && now == before, "{said}");
            } else {
                assert_eq!((done.state, done.run.attempts), (RunState::Succeeded, 2), "{said}");
            }
            bench.site.assert_clean(&said).await;
        }
    }
}

async fn a_worker_that_vanishes_while_unwinding(bench: &Bench, what: What) {
    for step in what.steps() {
        for moment in [Moment::Undoing, Moment::Undone] {
            let (run, before, after) = bench.start(what).await;
            let (last, crashed, crash) = (*what.steps().last().unwrap(), AtomicBool::new(false), crash(bench));
            let deps = bench.site.with_faults(move |s, m| match m {
                Moment::Begun if s == last => Some(Fault::Fail { permanent: true }),
                _ if s == *step && m == moment && !crashed.swap(true, Ordering::SeqCst) => Some(crash()),
                _ => None,
            });
            let done = bench.site.end_with(deps, run).await;
            let said = format!("{what:?} {step} {moment:?}: {}", bench.why(run).await);
            assert!(matches!(done.state, RunState::Failed | RunState::Interrupted), "{said}");
            let now = bench.now(what);
            assert!(now == before || now == after, "a half-restored target: {said}");
            bench.site.assert_clean(&said).await;
        }
    }
}

async fn a_worker_that_vanishes_every_time(bench: &Bench, what: What) {
    for step in what.steps() {
        let (run, before, after) = bench.start(what).await;
        let crash = crash(bench);
        let deps = bench.site.with_faults(move |s, m| (s == *step && m == Moment::Done).then(&crash));
        let done = bench.site.end_with(deps, run).await;
        let said = format!("{what:?} {step}: {}", bench.why(run).await);
        assert_eq!((done.state, done.run.failure.unwrap().code.as_str()), (RunState::Interrupted, "crashed"), "{said}");
        let now = bench.now(what);
        assert!(now == before || now == after, "a half-restored target: {said}");
        bench.site.assert_clean(&said).await;
    }
}

async fn cancelled_at_every_step(bench: &Bench, what: What) {
    for step in what.steps() {
        let (run, before, after) = bench.start(what).await;
        let (ctx, asked) = (bench.site.ctx.clone(), AtomicBool::new(false));
        let handle = tokio::runtime::Handle::current();
        let deps = bench.site.with_faults(move |s, m| {
            if s == *step && m == Moment::Begun && !asked.swap(true, Ordering::SeqCst) {
                let ctx = ctx.clone();
                tokio::task::block_in_place(|| handle.block_on(ops::runs::cancel(&ctx, run, "not today")).unwrap());
                // Long enough for the word to reach the worker.
                tokio::task::block_in_place(|| std::thread::sleep(Duration::from_millis(400)));
            }
            None
        });
        let done = bench.site.end_with(deps, run).await;
        let said = format!("{what:?} {step}: {}", bench.why(run).await);
        let now = bench.now(what);
        if done.state == RunState::Cancelled {
            assert!(*step != "record" || !what.is_restore(), "the restore was done when the word came: {said}");
            assert!(now == before || now == after, "{said}");
        } else {
            // The last work was done when the word came.
            assert!(done.state == RunState::Succeeded && now == after, "{said}");
        }
        bench.site.assert_clean(&said).await;
    }
}

macro_rules! for_kinds {
    ($($name:ident: $what:expr;)+) => {$(
        mod $name {
            use super::*;
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn sqlite() {
                all(testing::sqlite().await, $what).await;
            }
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn postgres() {
                all(testing::postgres().await, $what).await;
            }
        }
    )+};
}

async fn all(db: testing::TestDb, what: What) {
    let bench = Bench::new(db).await;
    Box::pin(a_step_that_fails_for_good(&bench, what)).await;
    Box::pin(a_step_that_fails_once(&bench, what)).await;
    Box::pin(a_worker_that_vanishes(&bench, what)).await;
    Box::pin(a_worker_that_vanishes_while_unwinding(&bench, what)).await;
    Box::pin(a_worker_that_vanishes_every_time(&bench, what)).await;
    Box::pin(cancelled_at_every_step(&bench, what)).await;
    // After all that, everything still works, and stock restic finds nothing wrong.
    common::restic(&bench.site, &["check", "--read-data"]);
    let (run, _, after) = bench.start(what).await;
    let done = bench.site.end(run).await;
    assert_eq!(done.state, RunState::Succeeded, "{}", bench.why(run).await);
    assert!(bench.now(what) == after, "{}", bench.why(run).await);
}

for_kinds! {
    backup: What::Backup;
    check: What::Check;
    tamper: What::Tamper;
    restore_to_a_folder: What::Folder;
    restore_in_place: What::InPlace;
    restore_test: What::Test;
    prune: What::Prune;
    copy_of_holdfast: What::Copy;
    restore_test_of_holdfast: What::CopyTest;
}
