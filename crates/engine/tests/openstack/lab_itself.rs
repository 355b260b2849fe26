//! The OpenStack of the tests itself: a snapshot holds what the guest wrote, and a gate stands before every service.

use std::{
    fs::{self, OpenOptions},
    io::{Seek as _, SeekFrom, Write as _},
    path::Path,
    time::Duration,
};

use engine::testing::{
    Strike,
    openstack::{Api, Lab},
};
use serde_json::{Value, json};

/// The guest writes.
fn write(disk: &Path, at: u64, what: &str) {
    let mut disk = OpenOptions::new().write(true).open(disk).unwrap();
    disk.seek(SeekFrom::Start(at)).unwrap();
    disk.write_all(what.as_bytes()).unwrap();
}

/// Waits for a thing of Cinder or Glance to have a status.
async fn becomes(lab: &Lab, api: Api, path: &str, kind: &str, status: &str) {
    for _ in 0..480 {
        let body = lab.call("lab", api, "GET", path, None).await.body;
        if body.get(kind).unwrap_or(&body)["status"] == status {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("{path} does not get {status}");
}

async fn gone(lab: &Lab, api: Api, path: &str) {
    for _ in 0..480 {
        if lab.call("lab", api, "DELETE", path, None).await.status == 404 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("{path} stays");
}

#[tokio::test]
async fn an_image_holds_what_the_guest_wrote_before_it() {
    let Some(lab) = Lab::of_tests() else { return };
    let server = lab.boot(&format!("lab-image-{}", std::process::id())).await;
    write(&lab.disk(&server), 4096, "before the snapshot");
    let before = fs::read(lab.disk(&server)).unwrap();
    let made = lab.act(&server, json!({"createImage": {"name": "lab-snapshot"}})).await.ok();
    let image = made["image_id"].as_str().unwrap().to_owned();
    let path = format!("/images/{image}");
    becomes(&lab, Api::Image, &path, "image", "active").await;
    lab.server_is(&server, "ACTIVE").await;
    write(&lab.disk(&server), 4096, "after it, something");
    assert!(fs::read(lab.image_file(&image)).unwrap() == before, "the image is the disk as it was");
    lab.act(&server, json!({"rebuild": {"imageRef": image}})).await.ok();
    lab.server_is(&server, "ACTIVE").await;
    assert!(fs::read(lab.disk(&server)).unwrap() == before, "rebuilt, the disk is as it was");
    lab.delete_server(&server).await;
    assert!(!lab.disk(&server).exists());
    gone(&lab, Api::Image, &path).await;
}

#[tokio::test]
async fn a_volume_snapshot_holds_what_the_guest_wrote_before_it() {
    let Some(lab) = Lab::of_tests() else { return };
    let server = lab.boot_from_volume(&format!("lab-volume-{}", std::process::id())).await;
    let data = lab.attach_volume(&server, "lab-data").await;
    let volumes = lab.volumes_of(&server).await;
    assert_eq!((volumes.len(), &volumes[1]), (2, &data), "the root's volume comes first");
    let mut snapshots = Vec::new();
    for volume in &volumes {
        write(&lab.volume(volume), 8192, "before the snapshot");
        let wanted = json!({"snapshot": {"volume_id": volume, "name": "lab-snapshot"}});
        let made = lab.call("lab", Api::Volume, "POST", "/snapshots", Some(wanted)).await.ok();
        let id = made["snapshot"]["id"].as_str().unwrap().to_owned();
        becomes(&lab, Api::Volume, &format!("/snapshots/{id}"), "snapshot", "available").await;
        write(&lab.volume(volume), 8192, "after it, something");
        let (kept, now) = (start(&lab.volume_snapshot(&id)), start(&lab.volume(volume)));
        assert!(kept[8192..].starts_with(b"before the snapshot") && now[8192..].starts_with(b"after it, something"));
        snapshots.push(id);
    }
    for id in snapshots {
        gone(&lab, Api::Volume, &format!("/snapshots/{id}")).await;
    }
    lab.delete_server(&server).await;
    gone(&lab, Api::Volume, &format!("/volumes/{data}")).await;
}

/// The first 16 KiB: the rest of a GiB is a hole.
fn start(file: &Path) -> Vec<u8> {
    use std::io::Read as _;
    let mut all = Vec::new();
    fs::File::open(file).unwrap().take(16 << 10).read_to_end(&mut all).unwrap();
    all
}

#[tokio::test]
async fn the_catalogue_leads_through_the_gate() {
    let Some(lab) = Lab::of_tests() else { return };
    let gate = lab.gate().unwrap();
    let before = lab.through(&gate);
    let told = before.sign_in("lab").await.body;
    let urls: Vec<&str> =
        told["token"]["catalog"].as_array().unwrap().iter().flat_map(|s| s["endpoints"].as_array().unwrap()).map(|e| e["url"].as_str().unwrap()).collect();
    assert!(urls.len() >= 18 && urls.iter().all(|url| gate.through(url) == *url), "no address leads past the gate: {urls:?}");
    for (api, path) in
        [(Api::Compute, "/servers"), (Api::Image, "/images"), (Api::Volume, "/volumes"), (Api::Network, "/networks"), (Api::Identity, "/auth/projects")]
    {
        let passed = before.call("lab", api, "GET", path, None).await;
        assert_eq!(passed.status, 200, "{}", passed.body);
        assert!(gate.passed().iter().any(|p| p.service == lab.port(api) && p.path.ends_with(path)));
    }
    gate.at("GET", "/servers", Strike::Answer(503));
    let refused = before.call("lab", Api::Compute, "GET", "/servers", None).await;
    assert_eq!((refused.status, refused.body), (503, Value::Null));
}

#[tokio::test]
async fn many_servers_start_with_one_call() {
    let Some(lab) = Lab::of_tests() else { return };
    let name = format!("lab-many-{}", std::process::id());
    let many = lab.boot_many(&name, 12).await;
    let mut names = Vec::new();
    for id in &many {
        names.push(lab.server(id).await["name"].as_str().unwrap().to_owned());
        lab.delete_server(id).await;
    }
    names.sort();
    assert!(names.contains(&format!("{name}-1")) && names.contains(&format!("{name}-12")), "{names:?}");
}

#[tokio::test]
async fn a_revoked_token_is_refused_after_some_seconds() {
    let Some(lab) = Lab::of_tests() else { return };
    let token = lab.token("lab").await;
    let asked = || lab.call_with(&token, "lab", Api::Compute, "GET", "/servers", None);
    assert_eq!(asked().await.status, 200);
    lab.revoke(&token).await;
    for _ in 0..60 {
        if asked().await.status == 401 {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("a revoked token is taken for a minute");
}
