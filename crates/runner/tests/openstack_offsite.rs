//! An offsite copy of an instance of a real OpenStack: snapshot, copy, image deleted, return, the same bytes again.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::field::{Boot, Field};
use domain::{
    id::{PolicyId, RunId, SnapshotId},
    run::{RunKind, RunState},
    work::{OffsiteCopyResult, OffsiteParams, OffsiteReturnResult},
};
use engine::testing::openstack::{Api, Lab};
use runner::{Fault, Moment};
use serde_json::json;
use store::{native, snapshots, testing};

async fn field(boot: Boot) -> Option<Field> {
    let f = Field::lettered("f", testing::sqlite().await, Lab::of_tests()?, boot, str::to_owned).await;
    Some(f)
}

/// The name of the site's repository of files.
async fn main_name(f: &Field) -> String {
    store::repositories::find(f.site.db.db.read().await.unwrap().tx(), f.site.repository).await.unwrap().unwrap().name
}

/// Has the source send its copies there.
async fn sends_to(f: &Field, to: &str, policy: Option<PolicyId>) {
    let mut t = f.site.db.db.begin().await.unwrap();
    let new = store::sources::NewSource {
        service: f.site.service,
        repository: f.cloud,
        name: "instances".into(),
        kind: "openstack-instance".into(),
        config: json!({"kind": "openstack-instance", "instances": [], "offsite": to}),
        position: 1,
        policy,
    };
    store::sources::upsert(t.tx(), &new, domain::units::Timestamp(1)).await.unwrap();
    t.commit().await.unwrap();
}

async fn row(f: &Field, id: SnapshotId) -> snapshots::SnapshotRow {
    snapshots::find(f.site.db.db.read().await.unwrap().tx(), id).await.unwrap().unwrap()
}

async fn done(f: &Field, run: RunId) -> serde_json::Value {
    let done = f.end(f.site.deps.clone(), run).await;
    assert_eq!(done.state, RunState::Succeeded, "{:?}\n{}", done.run.failure, f.log(run).await);
    done.run.result.unwrap().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lost_image_comes_back_from_its_copy() {
    let Some(f) = field(Boot::Image).await else { return };
    // The guest has written something.
    let disk = f.lab.disk(&f.server);
    let mark = b"holdfast was here";
    {
        use std::os::unix::fs::FileExt as _;
        std::fs::OpenOptions::new().write(true).open(&disk).unwrap().write_all_at(mark, 300_000).unwrap();
    }
    let (_, result) = f.snapshot(f.params()).await;
    let id: SnapshotId = result.snapshot.unwrap().parse().unwrap();
    let image = row(&f, id).await.restic_id;
    let bytes = std::fs::read(f.lab.image_file(&image)).unwrap();
    assert!(bytes.windows(mark.len()).any(|w| w == mark));

    let to = main_name(&f).await;
    let began = std::time::Instant::now();
    let run = ops::offsite::copy(&f.site.ctx, id, Some(&to)).await.unwrap();
    let copied: OffsiteCopyResult = serde_json::from_value(done(&f, run).await).unwrap();
    eprintln!("{} bytes, {} added, {:?}", copied.bytes, copied.bytes_added, began.elapsed());
    assert_eq!((copied.bytes, copied.compared.as_deref()), (bytes.len() as i64, Some("sha512")), "{}", f.log(run).await);
    let log = f.log(run).await;
    assert!(log.contains("Glance GET") && log.contains("req-") && !log.contains(f.lab.password()), "{log}");
    let copy = row(&f, copied.snapshot.unwrap()).await;
    assert_eq!((copy.repository_id, copy.state.as_str(), copy.item_id), (f.site.repository.0, "complete", row(&f, id).await.item_id));
    assert_eq!(copy.native.as_ref().unwrap().image.as_ref().unwrap().id, image);
    // Both stand in the instance's list.
    let all = snapshots::of_item(
        f.site.db.db.read().await.unwrap().tx(),
        domain::id::ItemId(copy.item_id.unwrap()),
        (domain::units::Timestamp(i64::MAX), uuid::Uuid::max()),
        10,
    )
    .await
    .unwrap();
    assert_eq!(all.len(), 2);
    assert!(matches!(ops::offsite::copy(&f.site.ctx, id, Some(&to)).await, Err(ops::OpsError::Conflict(_))));

    // The cloud loses the image.
    assert_eq!(f.lab.call("lab", Api::Image, "DELETE", &format!("/images/{image}"), None).await.status, 204);
    // First a return that is broken: nothing of it stays.
    let run = ops::offsite::bring_back(&f.site.ctx, copy.id(), None).await.unwrap();
    let broken = f.site.with_faults(|s, m| (s == "upload" && m == Moment::Done).then_some(Fault::Fail { permanent: true }));
    assert_eq!(f.end(broken, run).await.state, RunState::Failed, "{}", f.log(run).await);
    assert_eq!(f.lab.call("lab", Api::Image, "GET", &format!("/images/{run}"), None).await.status, 404, "{}", f.log(run).await);

    // Then one whose worker vanishes after the upload.
    let began = std::time::Instant::now();
    let run = ops::offsite::bring_back(&f.site.ctx, copy.id(), None).await.unwrap();
    let ended = f.end(f.once("upload", Moment::Done, Fault::Crash), run).await;
    assert_eq!(ended.state, RunState::Succeeded, "{:?}\n{}", ended.run.failure, f.log(run).await);
    let back: OffsiteReturnResult = serde_json::from_value(ended.run.result.unwrap().0).unwrap();
    eprintln!("back in {:?}", began.elapsed());
    assert_eq!((back.image.as_str(), back.bytes, back.compared.as_deref()), (run.to_string().as_str(), bytes.len() as i64, Some("sha512")));
    let seen = f.lab.call("lab", Api::Image, "GET", &format!("/images/{}", back.image), None).await.ok();
    assert_eq!((seen["status"].as_str(), seen["name"].as_str()), (Some("active"), Some(result.name.as_str())));
    assert!(std::fs::read(f.lab.image_file(&back.image)).unwrap() == bytes, "the same bytes");
    let again = row(&f, back.snapshot.unwrap()).await;
    assert_eq!((again.repository_id, again.state.as_str(), again.restic_id.as_str()), (f.cloud.0, "adopted", back.image.as_str()));
    assert_eq!(again.native.as_ref().unwrap().server.id, f.server, "what is known of the instance came back too");
    let listed = native::of_item(f.site.db.db.read().await.unwrap().tx(), domain::id::ItemId(again.item_id.unwrap()), f.cloud).await.unwrap();
    assert!(listed.iter().any(|r| r.id == again.id), "it is one of the cloud's snapshots again");

    // A server boots from it.
    let clone =
        f.lab.create(json!({"name": format!("{}-back", f.name), "imageRef": back.image, "flavorRef": f.lab.flavour("lab.tiny"), "networks": "none"})).await;
    let found = std::fs::read(f.lab.disk(&clone)).unwrap();
    assert!(found.windows(mark.len()).any(|w| w == mark), "what the guest had written is on its disk");
    f.lab.delete_server(&clone).await;
    f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_second_copy_adds_what_changed_and_the_source_asks_for_it() {
    let Some(f) = field(Boot::Image).await else { return };
    let to = main_name(&f).await;
    sends_to(&f, &to, None).await;
    // Of zeros alone hardly anything would be added.
    let mut state = 7_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    })
    .take(2 << 20)
    .collect();
    std::os::unix::fs::FileExt::write_all_at(&std::fs::OpenOptions::new().write(true).open(f.lab.disk(&f.server)).unwrap(), &noise, 1 << 20).unwrap();
    let mut added = Vec::new();
    for _ in 0..2 {
        let (run, result) = f.snapshot(f.params()).await;
        let id: SnapshotId = result.snapshot.unwrap().parse().unwrap();
        let live = ops::runs::live(&f.site.ctx, 50).await.unwrap();
        let queued = live.iter().find(|r| r.run.kind().unwrap() == RunKind::OffsiteCopy).unwrap_or_else(|| panic!("no copy was queued after {run}"));
        assert_eq!(queued.run.params::<OffsiteParams>().unwrap().snapshot, id);
        let copied: OffsiteCopyResult = serde_json::from_value(done(&f, RunId(queued.run.id)).await).unwrap();
        added.push(copied.bytes_added);
    }
    eprintln!("added: {added:?}");
    assert!(added[1] < added[0] / 2, "{added:?}");
    f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_copy_whose_record_is_lost_is_found_by_a_check_and_comes_back() {
    let Some(f) = field(Boot::Image).await else { return };
    let to = main_name(&f).await;
    sends_to(&f, &to, None).await;
    let (_, result) = f.snapshot(f.params()).await;
    let live = ops::runs::live(&f.site.ctx, 50).await.unwrap();
    let run = RunId(live.iter().find(|r| r.run.kind().unwrap() == RunKind::OffsiteCopy).unwrap().run.id);
    // Whoever wants to cancel it when it is written comes too late.
    let ctx = f.site.ctx.clone();
    let late = f.when("copy", Moment::Done, move || {
        let ctx = ctx.clone();
        async move {
            ops::runs::cancel(&ctx, run, "").await.unwrap();
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    });
    let ended = f.end(late, run).await;
    assert_eq!(ended.state, RunState::Succeeded, "{:?}\n{}", ended.run.failure, f.log(run).await);
    let copied: OffsiteCopyResult = serde_json::from_value(ended.run.result.unwrap().0).unwrap();
    let known = row(&f, copied.snapshot.unwrap()).await;
    let of = known.native.unwrap().0;

    // The cloud loses the image, and Holdfast its database.
    let image = &of.image.as_ref().unwrap().id;
    assert_eq!(f.lab.call("lab", Api::Image, "DELETE", &format!("/images/{image}"), None).await.status, 204);
    let mut t = f.site.db.db.begin().await.unwrap();
    testing::execute(t.tx(), "DELETE FROM snapshot").await;
    t.commit().await.unwrap();
    let check = ops::checks::start(&f.site.ctx, &to, false).await.unwrap();
    done(&f, check).await;
    let found = snapshots::find_restic(f.site.db.db.read().await.unwrap().tx(), f.site.repository, &known.restic_id).await.unwrap().unwrap();
    assert_eq!((found.item_id, found.state.as_str(), found.label.as_str()), (known.item_id, "complete", result.name.as_str()));
    assert!(found.offsite().is_some_and(|n| n.server.id.is_empty()), "{found:?}");

    let run = ops::offsite::bring_back(&f.site.ctx, found.id(), None).await.unwrap();
    let back: OffsiteReturnResult = serde_json::from_value(done(&f, run).await).unwrap();
    let again = row(&f, back.snapshot.unwrap()).await.native.unwrap().0;
    assert_eq!((again.server.id.as_str(), again.name.as_str()), (f.server.as_str(), result.name.as_str()), "what lay beside the disk");
    assert_eq!(row(&f, found.id()).await.native.unwrap().0, of, "it is known of the copy again");
    f.clear().await;
}

/// What the cloud has under the name that a run gives to what it makes.
async fn staged(f: &Field, run: RunId) -> (usize, usize) {
    let name = format!("holdfast-off-{run}");
    let images = f.lab.call("lab", Api::Image, "GET", &format!("/images?name={name}"), None).await.ok();
    let volumes = f.lab.call("lab", Api::Volume, "GET", &format!("/volumes?name={name}"), None).await.ok();
    (images["images"].as_array().unwrap().len(), volumes["volumes"].as_array().unwrap().len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_disk_of_a_volume_booted_instance_is_copied_by_way_of_an_image() {
    let Some(f) = field(Boot::Volume).await else { return };
    let (_, result) = f.snapshot(f.params()).await;
    let id: SnapshotId = result.snapshot.unwrap().parse().unwrap();
    let to = main_name(&f).await;

    // One that breaks leaves nothing of what was made for it.
    let run = ops::offsite::copy(&f.site.ctx, id, Some(&to)).await.unwrap();
    let broken = f.site.with_faults(|s, m| (s == "copy" && m == Moment::Done).then_some(Fault::Fail { permanent: true }));
    assert_eq!(f.end(broken, run).await.state, RunState::Failed, "{}", f.log(run).await);
    assert_eq!(staged(&f, run).await, (0, 0), "{}", f.log(run).await);

    // One whose worker vanishes when the image is made goes on with that.
    let began = std::time::Instant::now();
    let run = ops::offsite::copy(&f.site.ctx, id, Some(&to)).await.unwrap();
    let ended = f.end(f.once("stage", Moment::Done, Fault::Crash), run).await;
    assert_eq!(ended.state, RunState::Succeeded, "{:?}\n{}", ended.run.failure, f.log(run).await);
    let copied: OffsiteCopyResult = serde_json::from_value(ended.run.result.unwrap().0).unwrap();
    eprintln!("volume-booted: {} bytes, {} added, {:?}", copied.bytes, copied.bytes_added, began.elapsed());
    assert!(copied.bytes > 0 && copied.compared.is_some(), "{copied:?}");
    assert_eq!(staged(&f, run).await, (0, 0), "{}", f.log(run).await);
    let copy = row(&f, copied.snapshot.unwrap()).await;
    assert!(copy.offsite().is_some_and(|n| n.volumes.iter().all(|v| v.root)), "{copy:?}");
    assert!(matches!(ops::offsite::copy(&f.site.ctx, id, Some(&to)).await, Err(ops::OpsError::Conflict(_))), "it is known as the copy of that snapshot");

    // The instance and its snapshot are lost; what comes back boots as an image.
    let began = std::time::Instant::now();
    let run = ops::offsite::bring_back(&f.site.ctx, copy.id(), None).await.unwrap();
    let back: OffsiteReturnResult = serde_json::from_value(done(&f, run).await).unwrap();
    eprintln!("volume-booted: back in {:?}", began.elapsed());
    let seen = f.lab.call("lab", Api::Image, "GET", &format!("/images/{}", back.image), None).await.ok();
    assert_eq!((seen["name"].as_str(), seen["disk_format"].as_str()), (Some(result.name.as_str()), Some("qcow2")));
    let clone =
        f.lab.create(json!({"name": format!("{}-back", f.name), "imageRef": back.image, "flavorRef": f.lab.flavour("lab.tiny"), "networks": "none"})).await;
    f.lab.server_is(&clone, "ACTIVE").await;
    f.lab.delete_server(&clone).await;
    f.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn copies_follow_the_policy_of_their_source() {
    let Some(f) = field(Boot::Image).await else { return };
    let to = main_name(&f).await;
    let mut t = f.site.db.db.begin().await.unwrap();
    let rules = domain::retention::Rules { keep_last: 1, ..domain::retention::Rules::default() };
    let policy = store::policies::NewPolicy { name: "one".into(), rules };
    let policy = store::policies::upsert(t.tx(), &policy, domain::units::Timestamp(1)).await.unwrap();
    t.commit().await.unwrap();
    sends_to(&f, &to, Some(policy)).await;
    let mut copies: Vec<OffsiteCopyResult> = Vec::new();
    let mut first = None;
    for _ in 0..2 {
        let (_, result) = f.snapshot(f.params()).await;
        first.get_or_insert(result.snapshot.unwrap().parse::<SnapshotId>().unwrap());
        let live = ops::runs::live(&f.site.ctx, 50).await.unwrap();
        let queued = live.iter().find(|r| r.run.kind().unwrap() == RunKind::OffsiteCopy).unwrap();
        copies.push(serde_json::from_value(done(&f, RunId(queued.run.id)).await).unwrap());
    }
    assert_eq!(copies.iter().map(|c| c.forgotten).collect::<Vec<_>>(), [0, 1]);
    let older = row(&f, copies[0].snapshot.unwrap()).await;
    assert!(older.gone_at.is_some() && older.gone_why.is_some(), "{older:?}");
    assert!(row(&f, copies[1].snapshot.unwrap()).await.gone_at.is_none());
    assert_eq!(f.recorded().await.len(), 2, "what is in the cloud is no business of the policy");

    // An older one that somebody copies by hand is not forgotten by the very run that made it.
    let run = ops::offsite::copy(&f.site.ctx, first.unwrap(), None).await.unwrap();
    let again: OffsiteCopyResult = serde_json::from_value(done(&f, run).await).unwrap();
    assert_eq!((again.forgotten, again.already), (0, false), "{}", f.log(run).await);
    assert!(row(&f, again.snapshot.unwrap()).await.gone_at.is_none());
    f.clear().await;
}
