//! A snapshot whose worker vanishes, whose steps fail, or that is cancelled: the instance runs, and nothing is left behind.

use std::time::Duration;

use domain::{instance::SnapshotParams, run::RunState, work::InstanceSnapshotResult};
use runner::{Fault, Moment};

use super::{STEPS, common::field::Boot, field, why};

async fn crashes(boot: Boot, moments: &[(&'static str, Moment)]) {
    let Some(f) = field(boot).await else { return };
    f.lab.attach_volume(&f.server, &format!("{}-data", f.name)).await;
    for (step, moment) in moments.iter().copied() {
        let what = format!("{boot:?} {step} {moment:?}");
        let run = f.order(SnapshotParams { instance_stop: true, max_snapshots: 1, ..f.params() }).await;
        let done = f.end(f.once(step, moment, Fault::Crash), run).await;
        assert_eq!((done.state, done.run.attempts), (RunState::Succeeded, 2), "{what}: {}", why(&f, run).await);
        assert_eq!(f.status().await, "ACTIVE", "{what}: {}", why(&f, run).await);
        let rows = f.recorded().await;
        assert_eq!((rows.len(), rows[0].run_id), (1, Some(run.0)), "{what}: exactly the new one: {}", why(&f, run).await);
        f.assert_agrees(&what).await;
        let result: InstanceSnapshotResult = serde_json::from_value(done.run.result.unwrap().0).unwrap();
        assert!(result.stopped_s.is_some(), "{what}: {}", why(&f, run).await);
    }
    f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_that_vanishes_leaves_an_image_booted_instance_running_and_one_snapshot() {
    let mut moments: Vec<_> = STEPS.into_iter().filter(|s| *s != "notify").map(|s| (s, Moment::Done)).collect();
    moments.extend([
        ("stop", Moment::Begun),
        ("stop", Moment::Halfway),
        ("stop", Moment::Recorded),
        ("snapshot", Moment::Halfway),
        ("start", Moment::Recorded),
    ]);
    crashes(Boot::Image, &moments).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_that_vanishes_leaves_a_volume_booted_instance_running_and_one_snapshot() {
    let moments = [
        ("stop", Moment::Halfway),
        ("stop", Moment::Done),
        ("snapshot", Moment::Halfway),
        ("snapshot", Moment::Done),
        ("poll", Moment::Done),
        ("record", Moment::Done),
        ("clean_up", Moment::Done),
        ("start", Moment::Done),
    ];
    crashes(Boot::Volume, &moments).await;
}

async fn fails_at(boot: Boot, all: &[&'static str]) {
    let Some(f) = field(boot).await else { return };
    for step in all.iter().copied() {
        for moment in [Moment::Begun, Moment::Done] {
            let what = format!("{boot:?} {step} {moment:?}");
            let run = f.order(SnapshotParams { instance_stop: true, max_snapshots: 1, ..f.params() }).await;
            let deps = f.site.with_faults(move |s, m| (s == step && m == moment).then_some(Fault::Fail { permanent: true }));
            let done = f.end(deps, run).await;
            assert_eq!((done.state, done.run.failure.as_ref().unwrap().code.as_str()), (RunState::Failed, "injected"), "{what}: {}", why(&f, run).await);
            assert_eq!(f.status().await, "ACTIVE", "{what}: {}", why(&f, run).await);
            f.assert_agrees(&what).await;
            let stands = matches!((step, moment), ("record", Moment::Done) | ("clean_up" | "start", _));
            assert_eq!(f.recorded().await.iter().any(|r| r.run_id == Some(run.0)), stands, "{what}: {}", why(&f, run).await);
        }
    }
    f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failure_at_any_step_leaves_an_image_booted_instance_running_and_nothing_behind() {
    fails_at(Boot::Image, &STEPS[..8]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failure_at_any_step_leaves_a_volume_booted_instance_running_and_nothing_behind() {
    // Those whose work differs by what the instance boots from, and a start.
    fails_at(Boot::Volume, &["snapshot", "poll", "clean_up", "start"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_that_is_cancelled_leaves_the_instance_running_and_nothing_behind() {
    let Some(f) = field(Boot::Image).await else { return };
    for step in ["stop", "detect", "snapshot", "poll", "record", "start"] {
        let run = f.order(SnapshotParams { instance_stop: true, ..f.params() }).await;
        let ctx = f.site.ctx.clone();
        let deps = f.when(step, Moment::Begun, move || {
            let ctx = ctx.clone();
            async move {
                ops::runs::cancel(&ctx, run, "not today").await.unwrap();
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
        let done = f.end(deps, run).await;
        assert_eq!(f.status().await, "ACTIVE", "{step}: {}", why(&f, run).await);
        f.assert_agrees(step).await;
        let stands = f.recorded().await.iter().any(|r| r.run_id == Some(run.0));
        let wanted = if stands { RunState::Succeeded } else { RunState::Cancelled };
        assert!(done.state == wanted && (stands || step != "start"), "{step}: {}", why(&f, run).await);
    }
    f.clear().await;
}
