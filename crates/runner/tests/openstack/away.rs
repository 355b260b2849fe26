//! An API that is away in the middle of a snapshot, and answers that are lost.

use std::{sync::Arc, time::Duration};

use domain::{
    instance::SnapshotParams,
    run::{RunState, StepState},
};
use engine::testing::{Strike, openstack::Lab};
use runner::{Deps, Moment};
use store::testing;

use super::{
    common::field::{Boot, Field},
    states, why,
};

/// Longer than the client's own patience below, so that what is tried is the step's.
const AWAY: Strike = Strike::Away(Duration::from_secs(4));

/// A client that gives up within a second instead of within a quarter of a minute.
pub fn hasty(mut deps: Deps) -> Deps {
    deps.limits.call.tries = 3;
    deps.limits.call.pause = Duration::from_millis(100);
    deps
}

/// In which step, from which moment on, at which call, and what strikes.
type Struck = (&'static str, Moment, &'static str, &'static str, Strike);

async fn in_the_middle_of(boot: Boot, all: &[Struck]) {
    let Some(lab) = Lab::of_tests() else { return };
    let gate = Arc::new(lab.gate().unwrap());
    let f = Field::new(testing::sqlite().await, lab, boot, |url| gate.through(url)).await;
    f.lab.attach_volume(&f.server, &format!("{}-data", f.name)).await;
    for (step, at, method, part, strike) in all.iter().copied() {
        let what = format!("{boot:?} {step} {at:?} {strike:?}");
        let run = f.order(SnapshotParams { instance_stop: true, max_snapshots: 1, ..f.params() }).await;
        let door = gate.clone();
        let deps = f.when(step, at, move || {
            door.at(method, part, strike);
            async {}
        });
        let done = f.end(hasty(deps), run).await;
        assert!(gate.struck(), "{what}: it never met it: {}", why(&f, run).await);
        gate.heal();
        assert_eq!(done.state, RunState::Succeeded, "{what}: {}", why(&f, run).await);
        assert_eq!(done.run.attempts, 1, "it is waited for inside the step: {what}: {}", why(&f, run).await);
        assert_eq!(f.status().await, "ACTIVE", "{what}: {}", why(&f, run).await);
        let left = states(&f, run).await.iter().any(|(name, state)| name == "clean_up" && *state == StepState::Tolerated);
        if left {
            // What could not be deleted in time is said, and is the next snapshot's to delete.
            let log = f.log(run).await;
            let said = ["could not delete", "the next snapshot tries again"].iter().any(|words| log.contains(words));
            assert!(matches!(step, "record" | "clean_up") && said, "{what}: {log}");
        } else {
            assert_eq!(f.recorded().await.len(), 1, "{what}: {}", why(&f, run).await);
            f.assert_agrees(&what).await;
        }
    }
    f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_api_that_is_away_in_the_middle_of_any_step_of_an_image_is_waited_for() {
    in_the_middle_of(
        Boot::Image,
        &[
            ("identify", Moment::Begun, "GET", "/servers", AWAY),
            ("stop", Moment::Begun, "GET", "/servers/", AWAY),
            ("stop", Moment::Halfway, "POST", "/action", AWAY),
            ("detect", Moment::Begun, "GET", "/servers/", AWAY),
            ("snapshot", Moment::Begun, "POST", "/action", AWAY),
            ("snapshot", Moment::Begun, "POST", "/action", Strike::Lose),
            ("snapshot", Moment::Halfway, "POST", "/snapshots", AWAY),
            ("poll", Moment::Begun, "GET", "/images/", AWAY),
            ("record", Moment::Begun, "", "", AWAY),
            ("clean_up", Moment::Begun, "DELETE", "/images/", AWAY),
            ("start", Moment::Begun, "POST", "/action", AWAY),
            ("start", Moment::Begun, "POST", "/action", Strike::Lose),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_api_that_is_away_in_the_middle_of_any_step_of_volumes_is_waited_for() {
    in_the_middle_of(
        Boot::Volume,
        &[
            ("identify", Moment::Begun, "GET", "/limits", AWAY),
            ("stop", Moment::Halfway, "POST", "/action", AWAY),
            ("stop", Moment::Halfway, "POST", "/action", Strike::Lose),
            ("detect", Moment::Begun, "GET", "/servers/", AWAY),
            ("snapshot", Moment::Begun, "POST", "/snapshots", AWAY),
            // The first volume's snapshot is made, the second's is not; then one whose answer is lost.
            ("snapshot", Moment::Halfway, "POST", "/snapshots", AWAY),
            ("snapshot", Moment::Halfway, "POST", "/snapshots", Strike::Lose),
            ("poll", Moment::Begun, "GET", "/snapshots/", AWAY),
            ("record", Moment::Begun, "", "", AWAY),
            ("clean_up", Moment::Begun, "DELETE", "/snapshots/", AWAY),
            ("clean_up", Moment::Begun, "DELETE", "/snapshots/", Strike::Lose),
            ("start", Moment::Begun, "POST", "/action", AWAY),
        ],
    )
    .await;
}

/// A minute, with the limits of a server.
async fn for_a_minute(boot: Boot, struck: Struck) {
    let Some(lab) = Lab::of_tests() else { return };
    let gate = Arc::new(lab.gate().unwrap());
    let f = Field::new(testing::sqlite().await, lab, boot, |url| gate.through(url)).await;
    let (step, at, method, part, strike) = struck;
    let run = f.order(SnapshotParams { instance_stop: true, ..f.params() }).await;
    let door = gate.clone();
    let deps = f.when(step, at, move || {
        door.at(method, part, strike);
        async {}
    });
    let done = f.end(deps, run).await;
    assert_eq!((done.state, done.run.attempts), (RunState::Succeeded, 1), "{step}: {}", why(&f, run).await);
    assert!(gate.struck() && f.log(run).await.contains("waits for the cloud to answer again"), "{step}: {}", why(&f, run).await);
    assert_eq!((f.status().await.as_str(), f.recorded().await.len()), ("ACTIVE", 1), "{step}: {}", why(&f, run).await);
    f.assert_agrees(step).await;
    f.clear().await;
}

const MINUTE: Strike = Strike::Away(Duration::from_mins(1));

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_image_is_made_after_a_minute_without_the_cloud() {
    for_a_minute(Boot::Image, ("snapshot", Moment::Begun, "POST", "/action", MINUTE)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_instance_is_started_after_a_minute_without_the_cloud() {
    for_a_minute(Boot::Volume, ("start", Moment::Begun, "POST", "/action", MINUTE)).await;
}
