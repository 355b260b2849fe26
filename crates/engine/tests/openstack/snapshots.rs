//! Images and volume snapshots: made, found, read, deleted.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use domain::instance::BootType;
use engine::{
    ErrorKind,
    sources::openstack::{Call, Cloud, Witness},
};
use reqwest::Method;
use serde_json::json;

use super::{Hand, LIMITS, active, by_password, drop_snapshot, kind, lab, remove_server, settled, skipped, turn, until};

#[tokio::test]
async fn an_image_booted_server_becomes_an_image_and_a_second_one_is_refused_meanwhile() {
    if skipped() {
        return;
    }
    let (hand, cloud) = (Hand::new("lab").await, lab().await);
    let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
    let told = Arc::clone(&calls);
    let witness: Witness = Arc::new(move |call| told.lock().unwrap().push(call.clone()));
    let (config, secret) = by_password("lab");
    let watched = Cloud::connect(&config, &secret, LIMITS, Some(witness)).await.unwrap();
    let id = hand.boot("e-image", false).await;
    let server = settled(&cloud, &id, "ACTIVE").await;
    assert_eq!((server.boot, server.metadata["owner"].as_str()), (BootType::Image, "e"));
    let metadata = BTreeMap::from([("holdfast".to_owned(), "e-test".to_owned())]);
    let first = watched.create_image(&id, "e-image_snapshot_1", &metadata).await.unwrap();
    let (busy, message) = kind(cloud.create_image(&id, "e-image_snapshot_2", &metadata).await);
    assert_eq!(busy, ErrorKind::Locked);
    assert!(message.contains("task_state") && message.contains("wait until that has ended"), "{message}");
    let image = active(&cloud, &first).await;
    let size = cloud.image(&hand.image().await).await.unwrap().unwrap().size_bytes;
    assert_eq!((image.name.as_str(), image.size_bytes, image.properties["holdfast"].as_str()), ("e-image_snapshot_1", size, Some("e-test")));
    assert_eq!((image.owner.as_str(), image.snapshots().len(), image.min_disk_gb), (cloud.project_id(), 0, 1));
    assert_eq!(cloud.images_named("e-image_snapshot_1").await.unwrap().iter().map(|i| i.id.as_str()).collect::<Vec<_>>(), [first.as_str()]);
    assert!(cloud.images_named("e:no").await.unwrap().is_empty());
    let mut found = vec![];
    let mut after: Option<String> = None;
    loop {
        let page = cloud.images(after.as_deref(), 1).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        found.extend(page);
    }
    assert!(found.iter().any(|i| i.id == first) && found.iter().all(|i| i.owner == cloud.project_id()));
    let calls = calls.lock().unwrap().clone();
    let made = calls.iter().find(|c| c.path.ends_with("/action")).unwrap();
    assert_eq!((made.service, made.method.as_str(), made.status, made.attempt), ("Nova", "POST", Some(202), 1));
    assert!(made.request_id.as_deref().is_some_and(|r| r.starts_with("req-")), "{made:?}");
    settled(&cloud, &id, "ACTIVE").await;
    cloud.delete_image(&first).await.unwrap();
    assert_eq!(cloud.image(&first).await.unwrap(), None);
    cloud.delete_image(&first).await.unwrap();
    remove_server(&hand, &cloud, &id).await;
}

#[tokio::test]
async fn the_image_of_a_volume_booted_server_names_its_snapshots() {
    if skipped() {
        return;
    }
    let _turn = turn().await;
    let (hand, cloud) = (Hand::new("lab").await, lab().await);
    let id = hand.boot("e-volume-image", true).await;
    let server = settled(&cloud, &id, "ACTIVE").await;
    let image = cloud.create_image(&id, "e-volume-image_snapshot", &BTreeMap::new()).await.unwrap();
    let image = active(&cloud, &image).await;
    let mapped = image.snapshots();
    assert_eq!((image.size_bytes.unwrap_or_default(), mapped.len(), mapped[0].root), (0, 1, true));
    let snapshot = until("the snapshot", async || cloud.volume_snapshot(&mapped[0].id).await.unwrap().filter(|s| s.status == "available")).await;
    assert_eq!(snapshot.volume_id, server.root().unwrap().id);
    settled(&cloud, &id, "ACTIVE").await;
    // Removing the image leaves them behind.
    cloud.delete_image(&image.id).await.unwrap();
    assert!(cloud.volume_snapshot(&snapshot.id).await.unwrap().is_some());
    drop_snapshot(&cloud, &snapshot.id).await;
    remove_server(&hand, &cloud, &id).await;
}

#[tokio::test]
async fn a_volume_in_use_is_snapshotted_counted_and_kept_while_a_clone_needs_it() {
    if skipped() {
        return;
    }
    let _turn = turn().await;
    let (hand, cloud) = (Hand::new("lab").await, lab().await);
    let id = hand.boot("e-volume", true).await;
    let server = settled(&cloud, &id, "ACTIVE").await;
    let volume = server.root().unwrap().id.clone();
    let before = cloud.quota_left().await.unwrap();
    let metadata = BTreeMap::from([("holdfast".to_owned(), "e-test".to_owned())]);
    let made = cloud.create_volume_snapshot(&volume, "e-volume_snapshot", &metadata).await.unwrap();
    assert_eq!((made.name.as_str(), made.volume_id.as_str(), &made.metadata, made.size_gb), ("e-volume_snapshot", volume.as_str(), &metadata, 1));
    let left = cloud.quota_left().await.unwrap();
    assert_eq!(left.snapshots, before.snapshots.map(|n| n - 1));
    assert_eq!(left.gigabytes, before.gigabytes.map(|n| n - 1));
    until("the snapshot", async || cloud.volume_snapshot(&made.id).await.unwrap().filter(|s| s.status == "available")).await;
    let mut found = vec![];
    let mut after: Option<String> = None;
    loop {
        let page = cloud.volume_snapshots(after.as_deref(), 1).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        found.extend(page);
    }
    assert!(found.iter().any(|s| s.id == made.id));

    let wanted = json!({"volume": {"name": "e-clone", "snapshot_id": made.id, "size": 1}});
    let clone = hand.good(Method::POST, "volumev3", "/volumes", Some(wanted)).await["volume"]["id"].as_str().unwrap().to_owned();
    assert_eq!(cloud.volumes_of_snapshot(&made.id).await.unwrap(), std::slice::from_ref(&clone));
    let (answer, message) = kind(cloud.delete_volume_snapshot(&made.id).await);
    assert_eq!(answer, ErrorKind::Conflict);
    assert!(message.contains(&format!("the volume {clone} was made of it")), "{message}");
    let path = format!("/volumes/{clone}");
    until("the clone", async || {
        let answer = hand.good(Method::GET, "volumev3", &path, None).await;
        (answer["volume"]["status"] == "available").then_some(())
    })
    .await;
    hand.good(Method::DELETE, "volumev3", &path, None).await;
    until("the clone to go", async || (hand.ask(Method::GET, "volumev3", &path, None).await.0 == 404).then_some(())).await;
    drop_snapshot(&cloud, &made.id).await;
    cloud.delete_volume_snapshot(&made.id).await.unwrap();
    let (answer, message) = kind(cloud.create_volume_snapshot("00000000-0000-0000-0000-000000000000", "e-none", &metadata).await);
    assert_eq!(answer, ErrorKind::NotFound);
    assert!(message.starts_with("Cinder could not make the snapshot “e-none”"), "{message}");
    remove_server(&hand, &cloud, &id).await;
}
