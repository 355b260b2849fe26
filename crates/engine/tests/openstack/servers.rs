//! Servers: read whole, listed in pages, stopped and started.

use domain::instance::{BootType, Server};
use engine::{
    ErrorKind,
    sources::openstack::{Cloud, Version},
};
use reqwest::Method;
use serde_json::json;

use super::{Hand, LIMITS, by_password, kind, lab, remove_server, settled, skipped};

#[tokio::test]
async fn versions_are_agreed_on_and_servers_are_read_whole() {
    if skipped() {
        return;
    }
    let cloud = lab().await;
    assert_eq!(
        (cloud.nova_version().await.unwrap(), cloud.cinder_version().await.unwrap()),
        (Version { major: 2, minor: 93 }, Version { major: 3, minor: 68 })
    );
    let hand = Hand::new("lab").await;
    let (web, db) = (hand.boot("e-facts", false).await, hand.boot("e-facts-db", true).await);
    let (web, db) = (settled(&cloud, &web, "ACTIVE").await, settled(&cloud, &db, "ACTIVE").await);
    assert_eq!(cloud.servers_named("e-facts").await.unwrap(), std::slice::from_ref(&web));
    assert_eq!((web.boot, web.image.clone(), web.host_up), (BootType::Image, Some(hand.image().await), None));
    assert_eq!((web.flavour.name.as_str(), web.flavour.vcpus, web.flavour.ram_mb, web.flavour.disk_gb), ("lab.tiny", 1, 64, 1));
    assert_eq!((web.networks.len(), web.networks[0].network_name.as_str(), web.networks[0].port.is_some()), (1, "lab-net", true));
    assert_eq!(web.networks[0].addresses.len(), 1, "{web:?}");
    assert_eq!((web.security_groups.as_slice(), web.volumes.len(), web.zone.as_deref()), (&["default".to_owned()][..], 0, Some("nova")));
    assert_eq!(web.metadata["owner"], "e");
    assert_eq!((db.boot, db.image.clone(), db.volumes.len()), (BootType::Volume, None, 1));
    let root = db.root().unwrap();
    assert_eq!((root.size_gb, root.status.as_deref(), root.delete_on_termination), (1, Some("in-use"), true));
    assert!(root.device.is_some(), "{root:?}");
    assert_eq!(cloud.server(&db.id).await.unwrap().unwrap().volumes, db.volumes);
    assert_eq!(cloud.server("00000000-0000-0000-0000-000000000000").await.unwrap(), None);
    assert!(cloud.servers_named("no such name").await.unwrap().is_empty());
    // An administrator sees whether the hypervisor answers.
    let (config, secret) = by_password("lab-admin");
    let admin = Cloud::connect(&config, &secret, LIMITS, None).await.unwrap();
    assert_eq!(admin.server(&db.id).await.unwrap().unwrap().host_up, Some(true));
    remove_server(&hand, &cloud, &web.id).await;
    remove_server(&hand, &cloud, &db.id).await;
}

#[tokio::test]
async fn lists_come_in_pages_and_are_whole() {
    if skipped() {
        return;
    }
    let (hand, cloud) = (Hand::new("lab").await, lab().await);
    let (one, two) = (hand.boot("e-page", false).await, hand.boot("e-page", false).await);
    settled(&cloud, &one, "ACTIVE").await;
    settled(&cloud, &two, "ACTIVE").await;
    let all = async |limit| {
        let mut found: Vec<Server> = vec![];
        loop {
            let page = cloud.servers(found.last().map(|s| s.id.as_str()), limit).await.unwrap();
            assert!(page.len() <= limit as usize);
            if page.is_empty() {
                return found;
            }
            found.extend(page);
        }
    };
    for limit in [1, 1000] {
        let own: Vec<String> = all(limit).await.into_iter().filter(|s| s.name == "e-page").map(|s| s.id).collect();
        assert!(own.len() == 2 && own.contains(&one) && own.contains(&two), "{own:?}");
    }
    assert_eq!(cloud.servers_named("e-page").await.unwrap().len(), 2);
    let (answer, message) = kind(cloud.servers(Some("00000000-0000-0000-0000-000000000000"), 5).await);
    assert_eq!(answer, ErrorKind::Unavailable, "it may have been deleted meanwhile, and is asked for anew: {message}");
    assert!(message.contains("Nova could not list the instances: HTTP 400, marker"), "{message}");
    remove_server(&hand, &cloud, &one).await;
    remove_server(&hand, &cloud, &two).await;
}

#[tokio::test]
async fn a_server_stops_and_starts_however_often_it_is_asked() {
    if skipped() {
        return;
    }
    let (hand, cloud) = (Hand::new("lab").await, lab().await);
    let id = hand.boot("e-power", false).await;
    settled(&cloud, &id, "ACTIVE").await;
    cloud.start(&id).await.unwrap();
    cloud.stop(&id).await.unwrap();
    cloud.stop(&id).await.unwrap();
    settled(&cloud, &id, "SHUTOFF").await;
    cloud.stop(&id).await.unwrap();
    cloud.start(&id).await.unwrap();
    cloud.start(&id).await.unwrap();
    settled(&cloud, &id, "ACTIVE").await;
    hand.good(Method::POST, "compute", &format!("/servers/{id}/action"), Some(json!({"lock": null}))).await;
    let (answer, message) = kind(cloud.stop(&id).await);
    assert_eq!(answer, ErrorKind::Conflict);
    assert!(message.contains("is locked") && message.contains("unlock it"), "{message}");
    assert!(cloud.server(&id).await.unwrap().unwrap().locked);
    hand.good(Method::POST, "compute", &format!("/servers/{id}/action"), Some(json!({"unlock": null}))).await;
    remove_server(&hand, &cloud, &id).await;
    assert_eq!(kind(cloud.stop(&id).await).0, ErrorKind::NotFound);
}
