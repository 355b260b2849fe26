//! Images of a cloud into a repository and back, with a cloud of the test's own that breaks off and lies.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use common::{access, check_job, folder_access, noise, restic, restic_json, with_ctx};
use domain::units::Timestamp;
use engine::{
    ErrorKind, Result,
    job::{Access, CloudAccess, Event, ImageDescription, KeepImageJob, KeepImageOutcome, Reading, ReturnImageJob, ReturnImageOutcome, Secret},
    repository::{run_check, run_keep_image, storage},
    restore::run_return_image,
    testing::{Fault, FaultKind, Faulty, Operation},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};

const MIB: usize = 1 << 20;
const IMAGE: &str = "5f0c7a3e-3d0c-4b7e-9a52-0f8b6f6f5a01";
const BACK: &str = "0199c0de-0000-7000-8000-00000000000b";
const NAME: &str = "web_snapshot_202611262300";
const SECRET: &str = "hunter2-and-more";

/// What the cloud has and how it behaves.
#[derive(Default)]
struct Cloud {
    images: BTreeMap<String, (Value, Vec<u8>)>,
    /// Downloads end after so many bytes, one each.
    cuts: Vec<usize>,
    /// Uploads end after so many bytes, one each.
    upload_cuts: Vec<usize>,
    /// Whether a download may begin in the middle.
    ranges: bool,
    /// Changes a byte of what is uploaded.
    lies: bool,
    /// Takes no more than the beginning of what is uploaded.
    full: bool,
    requests: Vec<String>,
}

struct Server {
    address: String,
    cloud: Arc<Mutex<Cloud>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let cloud = Arc::new(Mutex::new(Cloud { ranges: true, ..Cloud::default() }));
        let (shared, own) = (Arc::clone(&cloud), address.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (cloud, address) = (Arc::clone(&shared), own.clone());
                std::thread::spawn(move || serve(stream, &cloud, &address));
            }
        });
        Self { address, cloud }
    }

    fn cloud(&self) -> MutexGuard<'_, Cloud> {
        self.cloud.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An image as Nova makes one.
    fn put(&self, id: &str, disk: &[u8]) {
        let image = json!({"id": id, "name": "web_snapshot_202611262300", "status": "active", "size": disk.len(), "min_disk": 1, "min_ram": 64, "disk_format": "raw",
            "container_format": "bare", "created_at": "2026-11-26T23:00:00Z", "owner": "p1", "visibility": "private", "protected": false, "tags": ["nightly"],
            "os_hash_algo": "sha512", "os_hash_value": hex::encode(Sha512::digest(disk)), "checksum": "none", "hw_disk_bus": "virtio", "image_type": "snapshot",
            "os_glance_importing": "x", "self": "/v2/images/x"});
        self.cloud().images.insert(id.to_owned(), (image, disk.to_vec()));
    }

    fn access(&self) -> CloudAccess {
        CloudAccess {
            location: format!("openstack+{}/v3", self.address),
            plain: [("application_credential_id".to_owned(), "a1".to_owned())].into(),
            secret: Secret::new(SECRET),
            project: Some("p1".into()),
        }
    }

    fn keep(&self, repository: &std::path::Path, image: &str, run: &str) -> (Result<KeepImageOutcome>, Vec<Event>) {
        self.keep_in(folder_access(repository), image, run)
    }

    fn keep_in(&self, access: Access, image: &str, run: &str) -> (Result<KeepImageOutcome>, Vec<Event>) {
        let job = KeepImageJob {
            access,
            create: true,
            cloud: self.access(),
            image: image.into(),
            name: "web_snapshot_202611262300".into(),
            item: "web".into(),
            host: "web".into(),
            source_name: "vms".into(),
            run: run.into(),
            taken_at: Timestamp::from_secs(1_795_734_000),
            native: json!({"name": "web_snapshot_202611262300"}),
        };
        with_ctx(|ctx| run_keep_image(&job, ctx))
    }

    fn back(&self, repository: &std::path::Path, snapshot: &str) -> Result<ReturnImageOutcome> {
        let job = ReturnImageJob {
            access: folder_access(repository),
            cloud: self.access(),
            snapshot: snapshot.into(),
            image: BACK.into(),
            name: NAME.into(),
            marks: [("holdfast_run".to_owned(), BACK.to_owned())].into(),
        };
        with_ctx(|ctx| run_return_image(&job, ctx)).0
    }
}

fn say(stream: &mut TcpStream, status: u16, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nX-Openstack-Request-Id: req-1\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    // Whoever hangs up has what was wanted.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

/// The head, and what came of the body with it.
fn head(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        let n = stream.read(&mut buffer).ok().filter(|n| *n > 0)?;
        all.extend_from_slice(&buffer[..n]);
        if let Some(at) = all.windows(4).position(|w| w == b"\r\n\r\n") {
            return Some((String::from_utf8_lossy(&all[..at]).into_owned(), all.split_off(at + 4)));
        }
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|l| l.split_once(':').filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim()))
}

fn serve(mut stream: TcpStream, cloud: &Mutex<Cloud>, address: &str) {
    let Some((head, mut body)) = head(&mut stream) else { return };
    let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    let lock = || cloud.lock().unwrap_or_else(PoisonError::into_inner);
    lock().requests.push(line.clone());
    let length: usize = header(&head, "content-length").and_then(|v| v.parse().ok()).unwrap_or_default();
    let stop = if line.starts_with("PUT") { lock().upload_cuts.pop() } else { None };
    let length = if line.starts_with("PUT") && lock().full { length.min(MIB) } else { length };
    let mut buffer = vec![0; 1 << 16];
    while body.len() < length.min(stop.unwrap_or(usize::MAX)) {
        match stream.read(&mut buffer) {
            Ok(n) if n > 0 => body.extend_from_slice(&buffer[..n]),
            _ => return,
        }
    }
    if stop.is_some() {
        return;
    }
    if line.starts_with("PUT") && lock().full {
        say(&mut stream, 413, "", b"<html><body>Quota exceeded for bytes</body></html>");
        while stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
        return;
    }
    let path = line.split_once(' ').unwrap().1.to_owned();
    let id = path.split('/').nth(4).unwrap_or_default().to_owned();
    match line.split(' ').next().unwrap() {
        "POST" if path == "/v3/auth/tokens" => {
            let endpoint = |kind: &str, at: &str| json!({"type": kind, "endpoints": [{"interface": "public", "region": "R", "url": format!("{address}{at}")}]});
            let token = json!({"token": {"issued_at": "2026-01-01T00:00:00.000000Z", "expires_at": "2026-01-01T01:00:00.000000Z", "user": {"id": "u1", "name": "alice"},
                "project": {"id": "p1", "name": "web"}, "roles": [{"name": "member"}], "catalog": [endpoint("compute", "/compute/v2.1"), endpoint("image", "/image")]}});
            say(&mut stream, 201, "X-Subject-Token: t\r\n", token.to_string().as_bytes());
        }
        "GET" if path == "/compute/v2.1/" => say(&mut stream, 200, "", br#"{"version": {"id": "v2.1", "version": "2.90", "min_version": "2.1"}}"#),
        "POST" => {
            let mut image: Value = serde_json::from_slice(&body).unwrap();
            for (name, value) in [("status", json!("queued")), ("created_at", json!("2026-11-27T00:00:00Z")), ("owner", json!("p1"))] {
                image[name] = value;
            }
            lock().images.insert(image["id"].as_str().unwrap().to_owned(), (image.clone(), Vec::new()));
            say(&mut stream, 201, "", image.to_string().as_bytes());
        }
        "PUT" => {
            let mut cloud = lock();
            let lies = cloud.lies;
            let (image, disk) = cloud.images.get_mut(&id).unwrap();
            *disk = body;
            if lies {
                disk[0] ^= 1;
            }
            image["size"] = disk.len().into();
            image["status"] = "active".into();
            image["os_hash_algo"] = "sha512".into();
            image["os_hash_value"] = hex::encode(Sha512::digest(&*disk)).into();
            drop(cloud);
            say(&mut stream, 204, "", b"");
        }
        "DELETE" => {
            lock().images.remove(&id);
            say(&mut stream, 204, "", b"");
        }
        _ => {
            let Some((image, disk)) = lock().images.get(&id).cloned() else { return say(&mut stream, 404, "", b"<html>no</html>") };
            if !path.ends_with("/file") {
                return say(&mut stream, 200, "", image.to_string().as_bytes());
            }
            let from: usize = header(&head, "range").and_then(|v| v.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()).unwrap_or_default();
            let (ranges, cut) = {
                let mut cloud = lock();
                (cloud.ranges, cloud.cuts.pop())
            };
            let from = if ranges { from } else { 0 };
            let range = if from > 0 { format!("Content-Range: bytes {from}-{}/{}\r\n", disk.len() - 1, disk.len()) } else { String::new() };
            let rest = &disk[from..];
            let head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n{range}Content-Length: {}\r\n\r\n", if from > 0 { 206 } else { 200 }, rest.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&rest[..cut.unwrap_or(rest.len()).min(rest.len())]));
        }
    }
}

fn downloads(server: &Server) -> usize {
    server.cloud().requests.iter().filter(|r| r.starts_with("GET") && r.ends_with("/file")).count()
}

#[test]
fn an_image_comes_there_and_back_and_stock_restic_restores_it() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let repository = folder.path().join("repository");
    let mut disk = noise(1, 40 * MIB);
    // A disk has holes.
    disk.extend(std::iter::repeat_n(0, 64 * MIB));
    server.put(IMAGE, &disk);
    let began = Instant::now();
    let (kept, events) = server.keep(&repository, IMAGE, "r1");
    let kept = kept.unwrap();
    eprintln!("kept {} MiB in {:?}, {} added", disk.len() / MIB, began.elapsed(), kept.bytes_added);
    assert_eq!((kept.bytes, kept.cuts, kept.compared.as_deref()), (disk.len() as i64, 0, Some("sha512")));
    assert!(kept.bytes_added > 40 * MIB as i64 && kept.bytes_added < 42 * MIB as i64, "holes take nothing: {}", kept.bytes_added);
    let told: Vec<String> = events.iter().filter_map(|e| if let Event::Log { message, .. } = e { Some(message.clone()) } else { None }).collect();
    assert!(told.iter().any(|m| m.contains("/file") && m.contains("200")), "{told:?}");
    assert!(!format!("{events:?}").contains(SECRET));

    // Once more for the same run: nothing is read.
    let before = downloads(&server);
    let again = server.keep(&repository, IMAGE, "r1").0.unwrap();
    assert_eq!((again.snapshot.id, downloads(&server)), (kept.snapshot.id.clone(), before));

    let target = folder.path().join("target");
    restic(&repository, &["restore", &kept.snapshot.id, "--target", target.to_str().unwrap()]);
    assert!(std::fs::read(target.join("disk.raw")).unwrap() == disk, "the disk boots from what restic restores");
    let description: ImageDescription = serde_json::from_slice(&std::fs::read(target.join("image.json")).unwrap()).unwrap();
    assert_eq!(
        (description.name.as_str(), description.disk_format.as_str(), description.min_disk_gb, description.min_ram_mb),
        ("web_snapshot_202611262300", "raw", 1, 64)
    );
    let properties: BTreeMap<String, String> = [("hw_disk_bus", "virtio"), ("image_type", "snapshot")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    assert_eq!(description.properties, properties);
    assert_eq!(description.native["name"], "web_snapshot_202611262300");
    restic(&repository, &["check", "--read-data"]);
    with_ctx(|ctx| run_check(&check_job(folder_access(&repository), Reading::All), ctx)).0.unwrap();
    let listed = restic_json(&repository, &["snapshots"]);
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");

    // The cloud is lost.
    server.cloud().images.clear();
    let began = Instant::now();
    let back = server.back(&repository, &kept.snapshot.id).unwrap();
    eprintln!("brought {} MiB back in {:?}", disk.len() / MIB, began.elapsed());
    assert_eq!((back.image.as_str(), back.bytes, back.compared.as_deref()), (BACK, disk.len() as i64, Some("sha512")));
    let (image, bytes) = server.cloud().images[BACK].clone();
    assert!(bytes == disk, "the bytes are the same");
    assert_eq!((image["status"].as_str(), image["hw_disk_bus"].as_str(), image["min_disk"].as_i64()), (Some("active"), Some("virtio"), Some(1)));
    assert_eq!((image["holdfast_run"].as_str(), image["tags"][0].as_str()), (Some(BACK), Some("nightly")));
    // Once more finds it and sends nothing.
    server.cloud().requests.clear();
    assert_eq!(server.back(&repository, &kept.snapshot.id).unwrap().image, BACK);
    assert!(server.cloud().requests.iter().all(|r| r.starts_with("GET") || r.starts_with("POST /v3")), "{:?}", server.cloud().requests);
}

#[test]
fn a_second_image_of_the_same_disk_adds_what_changed() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let repository = folder.path().join("repository");
    let mut disk = noise(2, 64 * MIB);
    server.put(IMAGE, &disk);
    let first = server.keep(&repository, IMAGE, "r1").0.unwrap();
    // A guest writes here and there.
    for at in [3, 17, 31, 50] {
        disk[at * MIB..at * MIB + 4_096].copy_from_slice(&noise(at as u64 + 9, 4_096));
    }
    let second_id = "5f0c7a3e-3d0c-4b7e-9a52-0f8b6f6f5a02";
    server.put(second_id, &disk);
    let second = server.keep(&repository, second_id, "r2").0.unwrap();
    eprintln!("first {} added, second {} added", first.bytes_added, second.bytes_added);
    assert!(second.bytes_added < first.bytes_added / 3, "{} of {}", second.bytes_added, first.bytes_added);
    server.cloud().images.clear();
    server.back(&repository, &second.snapshot.id).unwrap();
    assert!(server.cloud().images[BACK].1 == disk, "the second disk is the changed one");
}

#[test]
fn a_download_that_breaks_off_goes_on() {
    for ranges in [true, false] {
        let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
        let repository = folder.path().join("repository");
        let disk = noise(3, 24 * MIB);
        server.put(IMAGE, &disk);
        {
            let mut cloud = server.cloud();
            cloud.ranges = ranges;
            cloud.cuts = vec![20 * MIB, 0, 7 * MIB + 13];
        }
        let kept = server.keep(&repository, IMAGE, "r1").0.unwrap();
        assert_eq!((kept.cuts > 0, kept.bytes), (true, disk.len() as i64), "ranges: {ranges}");
        let dumped = restic(&repository, &["stats", "--mode", "restore-size", "--json", &kept.snapshot.id]);
        assert!(dumped.contains("total_size"), "{dumped}");
        // An upload cannot go on; it is begun anew.
        server.cloud().images.clear();
        server.cloud().upload_cuts = vec![5 * MIB];
        server.back(&repository, &kept.snapshot.id).unwrap();
        assert!(server.cloud().images[BACK].1 == disk, "ranges: {ranges}");
    }
}

#[test]
fn bytes_that_are_not_those_of_the_checksum_are_refused() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let repository = folder.path().join("repository");
    let disk = noise(4, 3 * MIB);
    server.put(IMAGE, &disk);
    server.cloud().images.get_mut(IMAGE).unwrap().1[MIB] ^= 1;
    let e = server.keep(&repository, IMAGE, "r1").0.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Damaged, "{e}");
    assert!(e.message.contains("sha512") && e.is_permanent(), "{e}");
    assert_eq!(restic_json(&repository, &["snapshots"]).as_array().map_or(0, Vec::len), 0, "no snapshot is made of it");

    server.put(IMAGE, &disk);
    let kept = server.keep(&repository, IMAGE, "r2").0.unwrap();
    server.cloud().lies = true;
    let e = server.back(&repository, &kept.snapshot.id).unwrap_err();
    assert_eq!(e.kind, ErrorKind::Damaged, "{e}");
    assert!(!server.cloud().images.contains_key(BACK), "what is wrong is deleted");
}

#[test]
fn no_room_is_said_and_no_snapshot_is_made() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let repository = folder.path().join("repository");
    server.put(IMAGE, &noise(5, MIB));
    let kept = server.keep(&repository, IMAGE, "r1").0.unwrap();
    let second = "5f0c7a3e-3d0c-4b7e-9a52-0f8b6f6f5a02";
    server.put(second, &noise(6, 24 * MIB));
    let full = Fault { on: Some(Operation::Put), folder: "data", nth: 0, kind: FaultKind::Full };
    let store = Arc::new(Faulty::new(storage::folder(&repository).unwrap(), Some(full)));
    storage::register_memory("image-full", store.clone());
    let e = server.keep_in(access("memory://image-full"), second, "r2").0.unwrap_err();
    assert!(e.kind == ErrorKind::Full && e.is_permanent() && e.message.contains("no space left"), "{e}");
    assert_eq!(restic_json(&repository, &["snapshots"]).as_array().unwrap().len(), 1);
    restic(&repository, &["check", "--no-lock"]);
    store.mend();
    server.keep(&repository, second, "r3").0.unwrap();
    restic(&repository, &["check", "--read-data"]);

    // A cloud that has no room refuses in the middle of the disk.
    server.cloud().full = true;
    let large =
        restic_json(&repository, &["snapshots"]).as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap().to_owned()).find(|id| *id != kept.snapshot.id);
    let e = server.back(&repository, &large.unwrap()).unwrap_err();
    assert!(e.kind == ErrorKind::Full && e.is_permanent() && e.message.contains("raise the project's quota"), "{e}");
    server.cloud().full = false;
    server.cloud().images.clear();
    server.back(&repository, &kept.snapshot.id).unwrap();
}

#[test]
fn what_is_no_image_is_refused_in_words() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let repository = folder.path().join("repository");
    let e = server.keep(&repository, IMAGE, "r1").0.unwrap_err();
    assert!(e.kind == ErrorKind::NotFound && e.message.contains("no longer in the cloud"), "{e}");
    server.put(IMAGE, b"");
    let e = server.keep(&repository, IMAGE, "r1").0.unwrap_err();
    assert!(e.kind == ErrorKind::Conflict && e.message.contains("boots from a volume"), "{e}");
    server.put(IMAGE, b"x");
    server.cloud().images.get_mut(IMAGE).unwrap().0["status"] = "saving".into();
    assert_eq!(server.keep(&repository, IMAGE, "r1").0.unwrap_err().kind, ErrorKind::Locked);
    assert!(!repository.exists(), "nothing was made for it");
    let other = CloudAccess { project: Some("p2".into()), ..server.access() };
    let job = ReturnImageJob {
        access: folder_access(&repository),
        cloud: other,
        snapshot: "0".repeat(64),
        image: BACK.into(),
        name: NAME.into(),
        marks: BTreeMap::new(),
    };
    assert_eq!(with_ctx(|ctx| run_return_image(&job, ctx)).0.unwrap_err().kind, ErrorKind::NoRepository);
}
