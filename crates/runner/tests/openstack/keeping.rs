//! What is kept of snapshots: `max_snapshots`, holds, clones that depend on them, and what somebody else deletes.

use std::time::Duration;

use domain::{instance::SnapshotParams, run::RunState};
use engine::testing::openstack::Api;
use runner::{Fault, Moment, clouds};
use serde_json::json;
use store::{
    repositories,
    snapshots::{self, SnapshotRow},
};

use super::{
    common::field::{Boot, Field},
    field,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn max_snapshots_keeps_as_many_and_never_deletes_before_a_success() {
    let Some(f) = field(Boot::Image).await else { return };
    for n in 1..=3 {
        let (run, result) = f.snapshot(f.params()).await;
        assert_eq!((f.recorded().await.len(), result.deleted.len()), (n, 0), "0 keeps all: {}", f.log(run).await);
    }
    for (n, deleted) in [(4, 0), (5, 0), (5, 1)] {
        let (run, result) = f.snapshot(SnapshotParams { max_snapshots: 5, ..f.params() }).await;
        assert_eq!((f.recorded().await.len(), result.deleted.len()), (n, deleted), "{}", f.log(run).await);
    }
    f.assert_agrees("5").await;
    // What is left of an earlier instance of that name is not this one's to spend.
    let oldest = f.recorded().await.pop().unwrap();
    let mut native = oldest.native.clone().unwrap().0;
    native.server.id = uuid::Uuid::now_v7().to_string();
    let mut t = f.site.db.db.begin().await.unwrap();
    snapshots::set_native(t.tx(), oldest.id(), &native).await.unwrap();
    t.commit().await.unwrap();
    // A run that fails deletes nothing.
    let run = f.order(SnapshotParams { max_snapshots: 1, ..f.params() }).await;
    let deps = f.site.with_faults(|s, m| (s == "record" && m == Moment::Begun).then_some(Fault::Fail { permanent: true }));
    assert_eq!(f.end(deps, run).await.state, RunState::Failed);
    assert_eq!(f.recorded().await.len(), 5, "{}", f.log(run).await);
    // Another pattern is another row of snapshots.
    let (_, result) = f.snapshot(SnapshotParams { max_snapshots: 1, pattern: "other {0} at {1}".into(), ..f.params() }).await;
    assert!(result.deleted.is_empty(), "{result:?}");
    let (run, result) = f.snapshot(SnapshotParams { max_snapshots: 1, ..f.params() }).await;
    assert_eq!((result.deleted.len(), f.recorded().await.len()), (4, 3), "all but that of the other instance: {}", f.log(run).await);
    let pieces = f.lab.call("lab", Api::Image, "GET", "/images?limit=1000", None).await.ok();
    let mine = |n: &str| pieces["images"].as_array().unwrap().iter().filter(|i| i["name"].as_str().is_some_and(|i| i.starts_with(n))).count();
    assert_eq!((mine(&format!("{}_snapshot_", f.name)), mine(&format!("other {} at", f.name))), (2, 1));
    for i in pieces["images"].as_array().unwrap().iter().filter(|i| i["name"].as_str().is_some_and(|i| i.starts_with(&format!("other {}", f.name)))) {
        f.lab.call("lab", Api::Image, "DELETE", &format!("/images/{}", i["id"].as_str().unwrap()), None).await;
    }
    f.clear().await;
}

/// A hold of a person on a snapshot.
async fn hold(f: &Field, of: &SnapshotRow) -> domain::id::HoldId {
    let hold = store::holds::NewHold {
        service: f.site.service,
        item: None,
        snapshot: Some(of.id()),
        kind: store::holds::HoldKind::Person,
        reason: "asked for".into(),
        facts: None,
        run: None,
        actor: "test".into(),
    };
    let mut t = f.site.db.db.begin().await.unwrap();
    let hold = store::holds::place(t.tx(), &hold, f.site.deps.clock.now()).await.unwrap();
    t.commit().await.unwrap();
    hold
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_clone_depends_on_and_what_is_on_hold_stays() {
    let Some(f) = field(Boot::Volume).await else { return };
    f.snapshot(f.params()).await;
    let old = f.recorded().await[0].clone();
    let clone = json!({"volume": {"size": 1, "name": format!("{}-clone", f.name), "snapshot_id": old.restic_id}});
    let made = f.lab.call("lab", Api::Volume, "POST", "/volumes", Some(clone)).await.ok();
    let clone = made["volume"]["id"].as_str().unwrap().to_owned();
    f.lab.volume_is(&clone, "available").await;
    let (run, result) = f.snapshot(SnapshotParams { max_snapshots: 1, ..f.params() }).await;
    assert!(result.deleted.is_empty() && result.kept.iter().any(|k| k.why.contains(&clone)), "{result:?}: {}", f.log(run).await);
    assert_eq!(f.recorded().await.len(), 2);
    f.lab.call("lab", Api::Volume, "DELETE", &format!("/volumes/{clone}"), None).await;
    for _ in 0..100 {
        if f.lab.call("lab", Api::Volume, "GET", &format!("/volumes/{clone}"), None).await.status == 404 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let hold = hold(&f, &old).await;
    let (_, result) = f.snapshot(SnapshotParams { max_snapshots: 1, ..f.params() }).await;
    assert_eq!((result.deleted.len(), f.recorded().await.len()), (1, 2), "{result:?}");
    let mut t = f.site.db.db.begin().await.unwrap();
    assert!(store::holds::release(t.tx(), hold, "test", "no longer", f.site.deps.clock.now()).await.unwrap());
    t.commit().await.unwrap();
    let (_, result) = f.snapshot(SnapshotParams { max_snapshots: 1, ..f.params() }).await;
    assert_eq!((result.deleted.len(), f.recorded().await.len()), (2, 1), "{result:?}");
    f.assert_agrees("holds").await;
    f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_deletion_that_was_cut_short_is_finished_and_one_that_was_not_begun_is_taken_back() {
    let Some(f) = field(Boot::Image).await else { return };
    f.lab.attach_volume(&f.server, &format!("{}-data", f.name)).await;
    f.snapshot(f.params()).await;
    f.snapshot(f.params()).await;
    let (run, _) = f.snapshot(f.params()).await;
    let rows = f.recorded().await;
    hold(&f, &rows[2]).await;
    for row in &rows {
        let mut t = f.site.db.db.begin().await.unwrap();
        snapshots::intend(t.tx(), row.id(), "beyond max_snapshots", run).await.unwrap();
        t.commit().await.unwrap();
    }
    // Of the older ones the run deleted a piece before its worker was cut off; one of them is on hold by now.
    for row in &rows[1..] {
        let piece = format!("/snapshots/{}", row.native.clone().unwrap().0.volumes[0].id);
        while f.lab.call("lab", Api::Volume, "DELETE", &piece, None).await.status != 404 {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
    let (run, result) = f.snapshot(SnapshotParams { max_snapshots: 5, ..f.params() }).await;
    let now = f.recorded().await;
    let ids: Vec<_> = now.iter().skip(1).map(|r| (r.id, r.state.as_str(), r.gone_run_id)).collect();
    assert_eq!((ids, result.deleted.len()), (vec![(rows[0].id, "complete", None), (rows[2].id, "partial", None)], 0), "{}", f.log(run).await);
    let gone = snapshots::find(f.site.db.db.read().await.unwrap().tx(), rows[1].id()).await.unwrap().unwrap();
    assert!(gone.gone_at.is_some() && gone.gone_why.as_deref() == Some("beyond max_snapshots"), "{gone:?}");
    f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_snapshot_that_somebody_has_deleted_is_shown_as_gone() {
    let Some(f) = field(Boot::Image).await else { return };
    f.lab.attach_volume(&f.server, &format!("{}-data", f.name)).await;
    f.snapshot(f.params()).await;
    f.snapshot(f.params()).await;
    let row = repositories::find(f.site.db.db.read().await.unwrap().tx(), f.cloud).await.unwrap().unwrap();
    assert_eq!(Box::pin(clouds::reconcile::reconcile(&f.site.deps, &row)).await.unwrap(), 0);
    let rows = f.recorded().await;
    let newest = rows[0].native.clone().unwrap().0;
    let delete_image = async |id: &str| assert_eq!(f.lab.call("lab", Api::Image, "DELETE", &format!("/images/{id}"), None).await.status, 204);
    // Of the newest one a piece, of the older one all.
    delete_image(&newest.image.unwrap().id).await;
    let older = rows[1].native.clone().unwrap().0;
    delete_image(&older.image.unwrap().id).await;
    let volume = &older.volumes[0].id;
    while f.lab.call("lab", Api::Volume, "DELETE", &format!("/snapshots/{volume}"), None).await.status != 404 {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(Box::pin(clouds::reconcile::reconcile(&f.site.deps, &row)).await.unwrap(), 2);
    assert_eq!(Box::pin(clouds::reconcile::reconcile(&f.site.deps, &row)).await.unwrap(), 0, "said once");
    let now = f.recorded().await;
    assert_eq!((now.len(), now[0].id, now[0].state.as_str()), (1, rows[0].id, "partial"));
    let gone = snapshots::find(f.site.db.db.read().await.unwrap().tx(), rows[1].id()).await.unwrap().unwrap();
    assert!(gone.gone_at.is_some() && gone.gone_why.unwrap().contains("no longer in the cloud"));
    f.clear().await;
}
