//! Snapshots that are not waited for, and the mails about them and about others.

use std::time::Duration;

use domain::{
    instance::SnapshotParams,
    run::{RunState, StepState},
};
use engine::testing::openstack::Api;
use runner::{Fault, Moment, clouds};
use store::{snapshots, testing};

use super::{common::field::Boot, field, mail_channel, mails, skipped, states, why};

async fn without_waiting(boot: Boot) {
    let Some(f) = field(boot).await else { return };
    mail_channel(&f).await;
    // Its source names a repository that is no longer configured.
    let mut t = f.site.db.db.begin().await.unwrap();
    testing::execute(t.tx(), "UPDATE source SET config = json_set(config, '$.offsite', 'nowhere') WHERE kind = 'openstack-instance'").await;
    t.commit().await.unwrap();
    let (ok, bad) = (vec!["good@example.org".to_owned()], vec!["bad@example.org".to_owned()]);
    let params = || SnapshotParams { wait: false, max_snapshots: 1, to_addr_success: ok.clone(), to_addr_error: bad.clone(), ..f.params() };
    // One that is there already goes only after the new one is.
    let (first, _) = f.snapshot(SnapshotParams { to_addr_success: vec!["first@example.org".into()], ..f.params() }).await;
    assert_eq!(mails(&f).await, [("first@example.org".to_owned(), format!("Snapshot of {} succeeded", f.name))]);
    let (run, result) = f.snapshot(params()).await;
    assert!(result.pending && result.bytes == 0);
    assert_eq!(skipped(&f, run).await, ["stop", "poll", "clean_up", "start", "notify"]);
    assert_eq!((f.pending().await.len(), f.recorded().await.len(), mails(&f).await.len()), (1, 1, 1));
    assert_eq!(f.item().await.unwrap().last_snapshot_id, Some(f.recorded().await[0].id), "what is pending is no copy yet");
    let mut looks = 0;
    while !f.pending().await.is_empty() {
        Box::pin(clouds::pending::look(&f.site.deps)).await.unwrap();
        looks += 1;
        assert!(looks < 200, "it never comes: {}", f.log(run).await);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let rows = f.recorded().await;
    assert_eq!((rows.len(), rows[0].run_id, rows[0].state.as_str()), (1, Some(run.0), "complete"), "{}", f.log(run).await);
    assert!(rows[0].bytes > 0 && f.item().await.unwrap().last_snapshot_id == Some(rows[0].id));
    assert_eq!(mails(&f).await.iter().filter(|m| m.0 == ok[0]).count(), 1);
    assert!(f.log(run).await.contains("the offsite copy could not be queued: "), "{}", f.log(run).await);
    assert!(snapshots::of_run(f.site.db.db.read().await.unwrap().tx(), first).await.unwrap().len() == 1);
    f.assert_agrees("completed").await;
    // A second look finds nothing to do, and a cloud that fails it says so once.
    assert_eq!(Box::pin(clouds::pending::look(&f.site.deps)).await.unwrap(), clouds::pending::Looked::default());
    let (run, _) = f.snapshot(params()).await;
    let unit = f.pending().await[0].restic_id.clone();
    match boot {
        Boot::Image => assert_eq!(f.lab.call("lab", Api::Image, "DELETE", &format!("/images/{unit}"), None).await.status, 204),
        Boot::Volume => {
            for _ in 0..100 {
                let status = f.lab.call("lab", Api::Volume, "DELETE", &format!("/snapshots/{unit}"), None).await.status;
                if status == 404 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
    }
    Box::pin(clouds::pending::look(&f.site.deps)).await.unwrap();
    let gone = snapshots::find_restic(f.site.db.db.read().await.unwrap().tx(), f.cloud, &unit).await.unwrap().unwrap();
    assert!(gone.gone_at.is_some() && gone.gone_why.clone().unwrap().contains("did not finish"), "{gone:?}");
    assert_eq!(mails(&f).await.iter().filter(|m| m.0 == bad[0] && m.1.contains("did not succeed")).count(), 1, "{}", f.log(run).await);
    assert_eq!(f.recorded().await.len(), 1, "the one before stays");
    f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_waiting_the_record_and_the_mail_of_an_image_come_when_it_is_really_there() {
    Box::pin(without_waiting(Boot::Image)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_waiting_the_record_and_the_mail_of_volumes_come_when_they_are_really_there() {
    Box::pin(without_waiting(Boot::Volume)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_cloud_does_not_finish_in_a_day_is_given_up_and_its_pieces_stay() {
    let Some(f) = field(Boot::Image).await else { return };
    f.snapshot(SnapshotParams { wait: false, ..f.params() }).await;
    let unit = f.pending().await[0].restic_id.clone();
    let path = format!("/images/{unit}");
    for _ in 0..200 {
        if f.lab.call("lab", Api::Image, "GET", &path, None).await.ok()["status"] == "active" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(f.lab.call("lab-admin", Api::Image, "POST", &format!("{path}/actions/deactivate"), None).await.status, 204);
    let looked = Box::pin(clouds::pending::look(&f.site.deps)).await.unwrap();
    assert_eq!((looked.waiting, f.pending().await.len()), (1, 1), "it can be reactivated");
    f.site.deps.clock.advance_secs(24 * 3600 + 60);
    let looked = Box::pin(clouds::pending::look(&f.site.deps)).await.unwrap();
    assert_eq!((looked.failed, f.pending().await.len()), (1, 0));
    let gone = snapshots::find_restic(f.site.db.db.read().await.unwrap().tx(), f.cloud, &unit).await.unwrap().unwrap();
    assert!(gone.gone_why.clone().unwrap().starts_with("the cloud has not finished it in 24 h: the image is deactivated"), "{gone:?}");
    assert_eq!(f.lab.call("lab", Api::Image, "GET", &path, None).await.status, 200, "nothing was deleted");
    f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_that_fails_tells_it_once_by_mail_and_without_a_channel_says_so() {
    let Some(f) = field(Boot::Image).await else { return };
    let run = f.order(SnapshotParams { to_addr_success: vec!["good@example.org".into()], ..f.params() }).await;
    let done = f.end(f.site.deps.clone(), run).await;
    assert_eq!(done.state, RunState::Succeeded, "{}", why(&f, run).await);
    assert_eq!(states(&f, run).await[8].1, StepState::Tolerated);
    assert!(f.log(run).await.contains("there is no mail channel"));
    mail_channel(&f).await;
    let params = SnapshotParams { to_addr_error: vec!["bad@example.org".into()], instance_stop: true, ..f.params() };
    let run = f.order(params).await;
    let deps = f.site.with_faults(|s, m| (s == "poll" && m == Moment::Begun).then_some(Fault::Fail { permanent: true }));
    assert_eq!(f.end(deps, run).await.state, RunState::Failed);
    assert_eq!(mails(&f).await, [("bad@example.org".to_owned(), format!("Snapshot of {} did not succeed", f.name))]);
    assert_eq!(f.status().await, "ACTIVE");
    f.clear().await;
}
