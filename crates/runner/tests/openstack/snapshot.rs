//! Snapshots of instances: both boot types, and what the state of an instance and its project allows.

use domain::{
    instance::{BootType, SnapshotParams},
    run::{RunState, StepState},
};
use engine::testing::openstack::{Api, Lab};
use runner::Moment;
use serde_json::json;
use store::{repositories, testing};

use super::{
    common::field::{Boot, Field},
    field, skipped, states, why,
};

async fn both(boot: Boot, db: testing::TestDb) {
    let Some(lab) = Lab::of_tests() else { return };
    let f = Field::new(db, lab, boot, str::to_owned).await;
    let data = f.lab.attach_volume(&f.server, &format!("{}-data", f.name)).await;
    let (run, result) = f.snapshot(SnapshotParams { instance_stop: true, ..f.params() }).await;
    f.is("ACTIVE").await;
    assert_eq!(skipped(&f, run).await, ["clean_up", "notify"], "{}", f.log(run).await);
    assert!(result.stopped_s.is_some_and(|s| s >= 0.0) && !result.pending, "{result:?}");
    let rows = f.recorded().await;
    assert_eq!(rows.len(), 1);
    let (row, item) = (&rows[0], f.item().await.unwrap());
    assert_eq!((row.state.as_str(), row.label.as_str(), Some(row.id)), ("complete", result.name.as_str(), item.last_snapshot_id));
    assert!(row.label.starts_with(&format!("{}_snapshot_2", f.name)), "{}", row.label);
    let native = row.native.clone().unwrap().0;
    assert_eq!((native.unit_id(), native.bytes()), (row.restic_id.as_str(), row.bytes));
    assert_eq!((native.server.id.as_str(), native.server.status.as_str()), (f.server.as_str(), "SHUTOFF"), "it was stopped when it was taken");
    assert!(!native.server.networks.is_empty() && native.server.flavour.vcpus == 1, "{native:?}");
    let kept = native.volumes.iter().find(|v| v.volume == data).unwrap();
    assert!(kept.size_gb == 1 && !kept.root && kept.device.is_some(), "{kept:?}");
    match boot {
        Boot::Image => {
            assert_eq!((result.boot, native.volumes.len()), (BootType::Image, 1));
            let image = native.image.unwrap();
            assert!(image.size_bytes > 0, "{image:?}");
            let seen = f.lab.call("lab", Api::Image, "GET", &format!("/images/{}", image.id), None).await.ok();
            assert_eq!((seen["holdfast_run"].as_str(), seen["holdfast_instance"].as_str()), (Some(run.to_string().as_str()), Some(f.server.as_str())));
        }
        Boot::Volume => {
            assert_eq!((result.boot, native.volumes.len(), native.image.is_none()), (BootType::Volume, 2, true));
            assert!(native.volumes[0].root && native.volumes[0].id == row.restic_id);
            let seen = f.lab.call("lab", Api::Volume, "GET", &format!("/snapshots/{}", row.restic_id), None).await.ok();
            assert_eq!(seen["snapshot"]["metadata"]["holdfast_run"], run.to_string());
        }
    }
    // Each call is in the log with its request's id, and no secret is.
    let log = f.log(run).await;
    assert!(log.contains("POST") && log.contains("req-"), "{log}");
    assert!(!log.contains(f.lab.password()), "{log}");
    let known = repositories::find(f.site.db.db.read().await.unwrap().tx(), f.cloud).await.unwrap().unwrap().restic_id;
    assert_eq!(known.as_deref(), Some(f.lab.project("lab")));
    f.assert_agrees("after a snapshot").await;
    f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_image_booted_instance_is_an_image_and_the_snapshots_of_its_volumes() {
    Box::pin(both(Boot::Image, testing::sqlite().await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_volume_booted_instance_is_the_snapshots_of_all_its_volumes() {
    Box::pin(both(Boot::Volume, testing::postgres().await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_state_of_the_instance_decides_and_is_said_before_anything_is_touched() {
    let Some(f) = field(Boot::Image).await else { return };
    let stop = || SnapshotParams { instance_stop: true, ..f.params() };
    let refused = async |params: SnapshotParams, words: &str| {
        let run = f.order(params).await;
        let done = f.end(f.site.deps.clone(), run).await;
        let failure = done.run.failure.clone().unwrap().0;
        assert!(done.state == RunState::Failed && done.run.attempts == 1 && failure.message.contains(words), "{words}: {}", why(&f, run).await);
        assert_eq!(states(&f, run).await[1].1, StepState::Skipped, "nothing was touched");
    };
    // Locked: it cannot be stopped, and its snapshot can be taken.
    f.lab.act(&f.server, json!({"lock": null})).await;
    refused(stop(), "is locked").await;
    f.snapshot(f.params()).await;
    f.lab.act(&f.server, json!({"unlock": null})).await;
    // Stopped by somebody else: it stays so.
    f.lab.act(&f.server, json!({"os-stop": null})).await;
    f.is("SHUTOFF").await;
    let (run, result) = f.snapshot(stop()).await;
    assert_eq!((skipped(&f, run).await, result.stopped_s), (vec!["stop".into(), "clean_up".into(), "start".into(), "notify".into()], None));
    assert_eq!(f.status().await, "SHUTOFF");
    f.lab.act(&f.server, json!({"os-start": null})).await;
    f.is("ACTIVE").await;
    // In error.
    let state = json!({"os-resetState": {"state": "error"}});
    f.lab.call("lab-admin", Api::Compute, "POST", &format!("/servers/{}/action", f.server), Some(state)).await;
    refused(stop(), "in the state ERROR").await;
    let state = json!({"os-resetState": {"state": "active"}});
    f.lab.call("lab-admin", Api::Compute, "POST", &format!("/servers/{}/action", f.server), Some(state)).await;
    // Not there, and two of one name.
    refused(SnapshotParams { instance: format!("{}-none", f.name), ..f.params() }, "has no instance").await;
    let twin = f.lab.boot(&format!("{}-twin", f.name)).await;
    let other = f.lab.boot(&format!("{}-twin", f.name)).await;
    refused(SnapshotParams { instance: format!("{}-twin", f.name), ..f.params() }, &twin).await;
    refused(SnapshotParams { instance: format!("{}-twin", f.name), ..f.params() }, &other).await;
    for id in [&twin, &other] {
        f.lab.delete_server(id).await;
    }
    assert_eq!(f.recorded().await.len(), 2);
    f.assert_agrees("states").await;
    f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_quota_that_has_no_room_is_said_before_anything_is_stopped() {
    let Some(lab) = Lab::of_tests() else { return };
    // The quota is a whole project's: this one is nobody else's.
    let f = Field::new(testing::sqlite().await, lab.elsewhere(), Boot::Volume, str::to_owned).await;
    let before = f.lab.call("lab", Api::Volume, "GET", "/limits", None).await.ok();
    let used = before["limits"]["absolute"]["totalSnapshotsUsed"].as_i64().unwrap();
    let most = before["limits"]["absolute"]["maxTotalSnapshots"].as_i64().unwrap();
    f.lab.limit_volumes("snapshots", used).await;
    let run = f.order(SnapshotParams { instance_stop: true, ..f.params() }).await;
    let done = f.end(f.site.deps.clone(), run).await;
    f.lab.limit_volumes("snapshots", most).await;
    let failure = done.run.failure.clone().unwrap().0;
    assert!(failure.code == "full" && failure.message.contains("volume snapshots"), "{}", why(&f, run).await);
    assert_eq!((f.status().await.as_str(), states(&f, run).await[1].1), ("ACTIVE", StepState::Skipped));
    f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn another_snapshot_of_the_same_instance_is_waited_for() {
    let Some(f) = field(Boot::Image).await else { return };
    // A disk of some size, so that the other one takes its time.
    let disk = std::fs::OpenOptions::new().write(true).open(f.lab.disk(&f.server)).unwrap();
    disk.set_len(768 << 20).unwrap();
    let run = f.order(f.params()).await;
    let (lab, server, name) = (f.lab.clone(), f.server.clone(), f.name.clone());
    let deps = f.when("snapshot", Moment::Begun, move || {
        let (lab, server, name) = (lab.clone(), server.clone(), name.clone());
        async move {
            let answer = lab.act(&server, json!({"createImage": {"name": format!("{name} by hand")}})).await;
            assert_eq!(answer.status, 202, "{answer:?}");
        }
    });
    let done = f.end(deps, run).await;
    assert_eq!((done.state, done.run.attempts), (RunState::Succeeded, 1), "{}", why(&f, run).await);
    assert!(f.log(run).await.contains("waits for the cloud to accept a snapshot"), "{}", f.log(run).await);
    assert_eq!((f.recorded().await.len(), f.pieces().await.0.len()), (1, 2));
    f.clear().await;
}
