//! Volumes that belong to no server.

use engine::testing::openstack::{Api, Lab};
use serde_json::json;

use super::lab;

#[tokio::test]
async fn a_volume_that_is_reserved_for_nobody_can_be_released_and_deleted() {
    let Some(hand) = Lab::of_tests() else { return };
    let made = hand.call("lab", Api::Volume, "POST", "/volumes", Some(json!({"volume": {"name": "e-reserved", "size": 1}}))).await.ok();
    let id = made["volume"]["id"].as_str().unwrap().to_owned();
    hand.volume_is(&id, "available").await;
    let nobody = "7f3b0d5e-5b0e-4d0c-9d55-0a5f1c2d3e4f";
    let wanted = json!({"attachment": {"volume_uuid": id, "instance_uuid": nobody}});
    hand.call("lab", Api::Volume, "POST", "/attachments", Some(wanted)).await.ok();
    hand.volume_is(&id, "reserved").await;
    let cloud = lab().await;
    cloud.release(&id).await.unwrap();
    hand.volume_is(&id, "available").await;
    // Nothing is left to release, and that is no error.
    cloud.release(&id).await.unwrap();
    cloud.delete_volume(&id).await.unwrap();
}
