//! What lies in a real OpenStack and is named by no record: found, adopted, counted, deleted.

use std::time::Duration;

use domain::{
    id::{ItemId, ServiceId},
    instance::{BootType, OrphanWhy, SnapshotParams},
};
use engine::testing::openstack::{Api, Lab};
use ops::{
    OpsError,
    instances::{
        adopting,
        orphans::{self, Orphan, Removal},
    },
};
use runner::clouds;
use serde_json::{Value, json};
use store::{repositories, services, snapshots, testing};
use uuid::Uuid;

use super::common::field::{Boot, Field};

async fn field(boot: Boot) -> Option<Field> {
    let lab = Lab::of_tests()?;
    let f = Field::lettered("o", testing::sqlite().await, lab, boot, str::to_owned).await;
    // The instances are listed, as a server does it.
    clouds::look::due(&f.site.deps).await.unwrap();
    Some(f)
}

/// Compares the cloud with the records, a minute after the time before.
async fn look(f: &Field) {
    f.site.deps.clock.advance_secs(60);
    let row = repositories::find(f.site.db.db.read().await.unwrap().tx(), f.cloud).await.unwrap().unwrap();
    clouds::reconcile::reconcile(&f.site.deps, &row).await.unwrap();
}

/// Those of this test's instance: others use the same project.
async fn told(f: &Field) -> Vec<Orphan> {
    let found = orphans::list(&f.site.ctx, "cloud", None, orphans::MOST).await.unwrap();
    found.orphans.into_iter().filter(|o| o.row.name.starts_with(&f.name)).collect()
}

async fn images(f: &Field, name: &str) -> Vec<Value> {
    let all = f.lab.call("lab", Api::Image, "GET", &format!("/images?name={name}"), None).await.ok();
    all["images"].as_array().unwrap().clone()
}

/// Somebody takes a snapshot with another tool.
async fn by_hand(f: &Field, name: &str, metadata: Value) -> Value {
    f.lab.act(&f.server, json!({"createImage": {"name": name, "metadata": metadata}})).await;
    for _ in 0..120 {
        if let [image] = &images(f, name).await[..]
            && image["status"] == "active"
        {
            f.is("ACTIVE").await;
            return image.clone();
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("{name} does not become active");
}

/// Has it deleted and waits until the cloud is rid of it.
async fn delete(f: &Field, o: &Orphan) {
    let typed = Removal { name: o.row.name.clone(), reason: "left by a trial".into() };
    let wrong = Removal { name: format!("{}x", o.row.name), ..typed.clone() };
    assert!(matches!(orphans::delete(&f.site.ctx, "cloud", o.row.id(), &wrong).await, Err(OpsError::Invalid(_))));
    let row = repositories::find(f.site.db.db.read().await.unwrap().tx(), f.cloud).await.unwrap().unwrap();
    assert_eq!(clouds::orphans::delete_ordered(&f.site.deps, &row).await.unwrap(), 0, "nothing goes that nobody ordered");
    orphans::delete(&f.site.ctx, "cloud", o.row.id(), &typed).await.unwrap();
    for _ in 0..120 {
        if clouds::orphans::delete_ordered(&f.site.deps, &row).await.unwrap() == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("{} does not go: {:?}", o.row.name, told(f).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_image_made_by_hand_is_adopted_and_counted() {
    let Some(f) = field(Boot::Image).await else { return };
    let name = format!("{}_snapshot_202001010800", f.name);
    let image = by_hand(&f, &name, json!({})).await;
    look(&f).await;
    let all = told(&f).await;
    assert_eq!(all.iter().map(|o| (o.row.name.as_str(), o.why)).collect::<Vec<_>>(), [(name.as_str(), OrphanWhy::FitsPattern)]);
    let o = &all[0];
    let fit = o.place.clone().unwrap();
    assert_eq!((o.row.unit_id.as_str(), fit.instance.as_str()), (image["id"].as_str().unwrap(), f.name.as_str()));
    let native = &o.row.native;
    assert_eq!((native.server.id.as_str(), native.server.boot, o.unknown.len()), (f.server.as_str(), BootType::Image, 0), "the cloud says of whom it is");
    let id = orphans::adopt(&f.site.ctx, "cloud", o.row.id()).await.unwrap();
    let rows = f.recorded().await;
    assert_eq!((rows.len(), rows[0].id, rows[0].state.as_str(), rows[0].bytes > 0), (1, id.0, "adopted", true));
    f.assert_agrees("adopted").await;
    look(&f).await;
    assert!(told(&f).await.is_empty(), "a record names it now");

    // Retention counts it: the next snapshot is the second, and this one the oldest.
    let (run, result) = f.snapshot(SnapshotParams { max_snapshots: 1, ..f.params() }).await;
    assert_eq!(result.deleted, std::slice::from_ref(&name), "{}", f.log(run).await);
    assert!(images(&f, &name).await.is_empty());
    f.assert_agrees("after max_snapshots").await;
    look(&f).await;
    assert!(told(&f).await.is_empty(), "{:?}", told(&f).await);
    f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_run_without_a_record_has_made_is_told_of_and_goes_by_its_name() {
    let Some(f) = field(Boot::Image).await else { return };
    let (lost, other) = (format!("{}-lost", f.name), format!("{}-other", f.name));
    let mark = |unit: &str| json!({"holdfast_run": Uuid::now_v7().to_string(), "holdfast_instance": f.server, "holdfast_unit": unit});
    by_hand(&f, &lost, mark(&lost)).await;
    // What is made from a snapshot inherits its marks: this is nobody's of ours.
    by_hand(&f, &other, mark(&lost)).await;
    look(&f).await;
    let all = told(&f).await;
    assert_eq!(all.iter().map(|o| (o.row.name.as_str(), o.why)).collect::<Vec<_>>(), [(lost.as_str(), OrphanWhy::RunGone)]);
    assert_eq!(all[0].place.as_ref().unwrap().instance, f.name, "its marks tell of which instance it is");

    // Where the cloud cannot be reached, that is said of what is to be deleted, and the order is taken back.
    let typed = Removal { name: lost.clone(), reason: "left by a trial".into() };
    orphans::delete(&f.site.ctx, "cloud", all[0].row.id(), &typed).await.unwrap();
    let row = repositories::find(f.site.db.db.read().await.unwrap().tx(), f.cloud).await.unwrap().unwrap();
    let mut locked_out = f.site.deps.clone();
    locked_out.env = std::sync::Arc::default();
    assert!(clouds::orphans::delete_ordered(&locked_out, &row).await.is_err());
    let stays = told(&f).await.remove(0).row;
    assert!(stays.delete_at.is_none() && stays.trouble.as_ref().is_some_and(|t| t.contains("LAB")), "{stays:?}");

    delete(&f, &all[0]).await;
    assert!(images(&f, &lost).await.is_empty());
    look(&f).await;
    assert!(told(&f).await.is_empty());
    assert_eq!(images(&f, &other).await.len(), 1, "what is somebody else's stays");
    f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_left_of_a_snapshot_is_told_of() {
    let Some(f) = field(Boot::Image).await else { return };
    f.lab.attach_volume(&f.server, &format!("{}-data", f.name)).await;
    f.snapshot(f.params()).await;
    look(&f).await;
    assert!(told(&f).await.is_empty(), "what a record names is no orphan: {:?}", told(&f).await);
    let row = f.recorded().await.remove(0);
    let volume = row.native.as_ref().unwrap().volumes[0].id.clone();
    f.lab.call("lab", Api::Volume, "DELETE", &format!("/snapshots/{volume}"), None).await;
    for _ in 0..120 {
        if f.lab.call("lab", Api::Volume, "GET", &format!("/snapshots/{volume}"), None).await.status == 404 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    look(&f).await;
    let all = told(&f).await;
    assert_eq!(all.iter().map(|o| (o.row.name.as_str(), o.why, o.place.is_err())).collect::<Vec<_>>(), [(row.label.as_str(), OrphanWhy::PartsMissing, true)]);
    assert!(all[0].row.detail.contains("1 of its 2 parts"), "{}", all[0].row.detail);
    assert!(matches!(orphans::adopt(&f.site.ctx, "cloud", all[0].row.id()).await, Err(OpsError::Conflict(_))));
    delete(&f, &all[0]).await;
    let gone = snapshots::find(f.site.db.db.read().await.unwrap().tx(), row.id()).await.unwrap().unwrap();
    assert!(gone.gone_at.is_some() && gone.gone_why.unwrap().contains("left by a trial"));
    assert!(f.recorded().await.is_empty());
    f.assert_agrees("what was left is gone").await;
    f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_image_with_its_volume_snapshots_is_one_and_all_of_a_pattern_are_adopted() {
    let Some(f) = field(Boot::Volume).await else { return };
    let (old, pattern) = (format!("{}_byhand_202001010800", f.name), "{0}_byhand_{1}");
    let image = by_hand(&f, &old, json!({})).await;
    assert_eq!(image["size"], 0, "it only names volume snapshots");
    look(&f).await;
    assert!(told(&f).await.is_empty(), "no pattern in use fits: {:?}", told(&f).await);
    let of = services::find(f.site.db.db.read().await.unwrap().tx(), ServiceId(f.site.service.0)).await.unwrap().unwrap().name;
    let preview = adopting::preview(&f.site.ctx, &of, "instances", pattern).await.unwrap();
    let mine: Vec<_> = preview.all.iter().filter(|a| a.instance == f.name).collect();
    assert_eq!((mine.len(), mine[0].present, mine[0].cannot.clone(), mine[0].orphan.unit_id.as_str()), (1, true, None, image["id"].as_str().unwrap()));
    assert!(adopting::all(&f.site.ctx, &of, "instances", pattern).await.unwrap() >= 1);
    let rows = f.recorded().await;
    let native = rows[0].native.clone().unwrap().0;
    assert_eq!((rows.len(), rows[0].state.as_str(), native.server.boot), (1, "adopted", BootType::Volume));
    assert!(native.boots() && native.volumes.len() == 1 && native.volumes[0].root && !native.volumes[0].volume.is_empty(), "{native:?}");
    let item = f.item().await.unwrap();
    assert_eq!((Some(rows[0].id), ItemId(item.id).0), (item.last_snapshot_id, rows[0].item_id.unwrap()));

    // Somebody deletes the image, which leaves its volume snapshot behind: with the pattern in use it is told of.
    let left = format!("{}_snapshot_202001010900", f.name);
    let image = by_hand(&f, &left, json!({})).await;
    f.lab.call("lab", Api::Image, "DELETE", &format!("/images/{}", image["id"].as_str().unwrap()), None).await;
    look(&f).await;
    let all = told(&f).await;
    assert_eq!(all.iter().map(|o| (o.row.name.as_str(), o.why)).collect::<Vec<_>>(), [(left.as_str(), OrphanWhy::PartsMissing)]);
    delete(&f, &all[0]).await;
    look(&f).await;
    assert!(told(&f).await.is_empty());
    // The rest goes with its adopted record.
    let (run, result) = f.snapshot(SnapshotParams { max_snapshots: 1, pattern: pattern.into(), ..f.params() }).await;
    assert_eq!(result.deleted, [old], "{}", f.log(run).await);
    let mine = |v: &Value| v["name"].as_str().is_some_and(|n| n.contains(&f.name) && n.contains("202001"));
    let there = f.lab.call("lab", Api::Volume, "GET", "/snapshots/detail", None).await.ok();
    assert!(!there["snapshots"].as_array().unwrap().iter().any(mine), "{there}");
    f.clear().await;
}
