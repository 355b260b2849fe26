//! What the world does to a run, and what a person then reads (R60). The real binary, real disks, real storage.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use common::{
    Place, Said, fingerprint,
    http::{Process, Server},
    restic,
};
use rustix::{
    mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount},
    process::{Pid, Signal, kill_process},
};
use serde_json::{Value, json};

/// Bytes that neither compress nor repeat.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = (0..bytes / 8).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.collect()
}

/// Two people's homes, configured and not backed up yet.
fn place() -> Place {
    let place = Place::with_homes();
    fs::write(place.path("homes/alice/deep/noise"), noise(1, 1_000_000)).unwrap();
    assert_eq!(place.run(&["apply", "holdfast.yaml"]).code, 0);
    place
}

/// The same with one backup, and the snapshots of alice and bob.
fn backed_up(place: &Place) -> (String, String) {
    let said = place.run(&["backup", "notebooks", "--json"]);
    assert_eq!(said.code, 0, "{}", said.err);
    (snapshot_of(&said.json(), "alice"), snapshot_of(&said.json(), "bob"))
}

fn snapshot_of(run: &Value, item: &str) -> String {
    let items = run["items"].as_array().unwrap();
    items.iter().find(|i| i["name"] == item).unwrap()["snapshot"].as_str().unwrap().to_owned()
}

/// A run of the command line has failed: with this code, and all of these words in what is read.
fn failed(said: &Said, code: &str, words: &[&str]) {
    let run = said.json();
    let message = run["failure"]["message"].as_str().unwrap_or_default();
    assert_eq!((said.code, &run["state"], &run["failure"]["code"]), (1, &json!("failed"), &json!(code)), "{run}");
    for word in words {
        assert!(message.contains(word), "“{word}” is not in: {message}");
    }
    assert!(!message.contains("correct horse"), "a secret is told");
}

fn succeeded(said: &Said) -> Value {
    let run = said.json();
    assert_eq!((said.code, &run["state"]), (0, &json!("succeeded")), "{run}\n{}", said.err);
    run
}

fn locks(place: &Place) -> usize {
    fs::read_dir(place.path("repository/locks")).map_or(0, Iterator::count)
}

/// A small file system in memory that goes away with the value; `None` where this process may not mount.
struct Disk(PathBuf);

impl Disk {
    fn new(at: PathBuf, options: &str) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let options = std::ffi::CString::new(options).unwrap();
        match mount("tmpfs", &at, "tmpfs", MountFlags::empty(), options.as_c_str()) {
            Ok(()) => Some(Self(at)),
            Err(e) => {
                eprintln!("SKIPPED: a file system cannot be mounted here ({e})");
                None
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(&self.0, UnmountFlags::DETACH).ok();
    }
}

#[test]
fn the_disk_of_the_repository_is_full() {
    let place = place();
    let Some(_disk) = Disk::new(place.path("repository"), "size=6m") else { return };
    let (alice, _) = backed_up(&place);
    let before = fingerprint(&place.path("homes/alice"));
    fs::write(place.path("homes/alice/more"), noise(2, 12_000_000)).unwrap();

    failed(&place.run(&["backup", "notebooks", "--json"]), "full", &["No space left on device"]);
    assert_eq!(locks(&place), 0, "no lock is left");
    restic(&place, &["check", "--no-lock"]);
    // What was there before is there, and comes back.
    succeeded(&place.run(&["restore", &alice, "--to", "out", "--json"]));
    assert_eq!(fingerprint(&place.path("out")), before);

    fs::remove_file(place.path("homes/alice/more")).unwrap();
    fs::write(place.path("homes/alice/less"), noise(3, 100_000)).unwrap();
    succeeded(&place.run(&["backup", "notebooks", "--json"]));
    restic(&place, &["check", "--read-data"]);
}

#[test]
fn the_repository_is_read_only() {
    let place = place();
    let Some(disk) = Disk::new(place.path("repository"), "size=8m") else { return };
    let (alice, _) = backed_up(&place);
    fs::write(place.path("homes/bob/new"), "new\n").unwrap();
    mount_remount(&disk.0, MountFlags::RDONLY, c"").unwrap();
    failed(&place.run(&["backup", "notebooks", "--json"]), "denied", &["Read-only file system"]);
    mount_remount(&disk.0, MountFlags::empty(), c"").unwrap();
    succeeded(&place.run(&["backup", "notebooks", "--json"]));
    succeeded(&place.run(&["restore", &alice, "--to", "out", "--json"]));
    restic(&place, &["check", "--read-data"]);
}

#[test]
fn a_wrong_password_stops_everything_and_spoils_nothing() {
    let place = place();
    let (alice, _) = backed_up(&place);
    place.write("password", "wrong horse\n");
    failed(&place.run(&["backup", "notebooks", "--json"]), "wrong_password", &["password"]);
    failed(&place.run(&["check", "main", "--json"]), "wrong_password", &["password"]);
    failed(&place.run(&["restore", &alice, "--to", "out", "--json"]), "wrong_password", &["password"]);
    assert!(!place.path("out").exists(), "nothing is written");
    assert_eq!(locks(&place), 0);
    place.write("password", "correct horse\n");
    succeeded(&place.run(&["backup", "notebooks", "--json"]));
    succeeded(&place.run(&["restore", &alice, "--to", "out", "--json"]));
    restic(&place, &["check", "--read-data"]);
}

/// The pack that holds alice's noise.
fn pack(place: &Place) -> PathBuf {
    common::largest_file(&place.path("repository/data"))
}

/// With a pack that is not what it was: it is found, a restore names what it could not bring back, what is beside it comes back, and
/// backups go on.
fn with_a_bad_pack(place: &Place, alice: &str, bob: &str, name: &str) {
    let check = place.run(&["check", "main", "--read-data", "--json"]);
    failed(&check, "damaged", &[&name[..8]]);
    let restore = place.run(&["restore", alice, "--to", "out", "--json"]);
    failed(&restore, "items_incomplete", &["1 of 1 items were not restored completely"]);
    let told = restore.json()["items"][0]["problems"].to_string();
    assert!(told.contains("deep/noise") && told.contains(&name[..8]), "{told}");
    assert!(!place.path("out/deep/noise").exists(), "a file that cannot be read whole is not put in place");
    let want = fingerprint(&place.path("homes/bob"));
    succeeded(&place.run(&["restore", bob, "--to", "bob", "--json"]));
    assert_eq!(fingerprint(&place.path("bob")), want);
    fs::write(place.path("homes/bob/new"), noise(9, 200_000)).unwrap();
    let backup = succeeded(&place.run(&["backup", "notebooks", "--json"]));
    succeeded(&place.run(&["restore", &snapshot_of(&backup, "bob"), "--to", "newer", "--json"]));
    assert_eq!(fingerprint(&place.path("newer")), fingerprint(&place.path("homes/bob")));
    assert_eq!(locks(place), 0);
}

#[test]
fn a_pack_is_damaged() {
    let place = place();
    let (alice, bob) = backed_up(&place);
    let pack = pack(&place);
    let mut bytes = fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&pack, bytes).unwrap();
    with_a_bad_pack(&place, &alice, &bob, pack.file_name().unwrap().to_str().unwrap());
}

#[test]
fn a_pack_is_missing() {
    let place = place();
    // Bob's data are in a pack of their own.
    let bob = snapshot_of(&place.run(&["backup", "notebooks", "--item", "bob", "--json"]).json(), "bob");
    let alice = snapshot_of(&place.run(&["backup", "notebooks", "--item", "alice", "--json"]).json(), "alice");
    let pack = pack(&place);
    fs::remove_file(&pack).unwrap();
    with_a_bad_pack(&place, &alice, &bob, pack.file_name().unwrap().to_str().unwrap());
}

#[test]
fn the_kernel_kills_the_child() {
    let place = place();
    fs::write(place.path("homes/alice/noise"), noise(4, 60_000_000)).unwrap();
    let mut process = Process::start(&place, &[], &["backup", "notebooks", "--json"]);
    // As the kernel does when memory runs out: again and again, for nothing has changed.
    let mut killed = std::collections::BTreeSet::new();
    while process.child.try_wait().unwrap().is_none() {
        for child in children_of(process.child.id()) {
            std::thread::sleep(Duration::from_millis(150));
            kill_process(child, Signal::KILL).ok();
            killed.insert(child.as_raw_nonzero());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let said = process.said();
    let run: Value = said.lines().rev().find_map(|l| serde_json::from_str(l).ok()).unwrap_or_else(|| panic!("{said}"));
    let message = run["failure"]["message"].as_str().unwrap();
    assert_eq!(run["state"], "failed", "{run}");
    assert!(message.contains("killed from outside, most often because memory ran out") && message.contains("--max-parallel"), "{message}");
    assert!(killed.len() >= 3, "it was tried {} times", killed.len());
    // Nothing of it is in the way of the next one.
    succeeded(&place.run(&["backup", "notebooks", "--json"]));
    assert_eq!(locks(&place), 0);
    restic(&place, &["check", "--read-data"]);
}

/// Jobs of runs that this process has started.
fn children_of(parent: u32) -> Vec<Pid> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()).and_then(Pid::from_raw) else { continue };
        let (Ok(stat), Ok(line)) = (fs::read_to_string(entry.path().join("stat")), fs::read(entry.path().join("cmdline"))) else { continue };
        let ours = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<u32>().ok()) == Some(parent);
        if ours && line.split(|b| *b == 0).any(|a| a == b"job") {
            found.push(pid);
        }
    }
    found
}

#[test]
fn another_process_holds_the_embedded_database() {
    let place = place();
    let database = format!("sqlite://{}", place.path("data/holdfast.db").display());
    let server = Server::start(&place, &[], &[]);
    let hold = |seconds: u64| {
        let (database, begun) = (database.clone(), Arc::new(AtomicBool::new(false)));
        let told = begun.clone();
        let holder = std::thread::spawn(move || {
            tokio::runtime::Runtime::new().unwrap().block_on(async {
                let db = store::Db::open(&database).await.unwrap();
                let held = db.begin().await.unwrap();
                told.store(true, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                drop(held);
                db.close().await;
            });
        });
        while !begun.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(10));
        }
        holder
    };
    // A little while is waited for and nobody notices.
    let holder = hold(3);
    let run = server.post("/api/v1/runs", &json!({"kind": "backup", "service": "notebooks"}));
    assert_eq!(run.status, 202, "{run:?}");
    holder.join().unwrap();
    assert_eq!(ended(&server, &server.process, run.json()["runs"][0].as_str().unwrap())["state"], "succeeded");

    // Longer than anybody waits, in the middle of a backup: the run goes on afterwards and ends well.
    fs::write(place.path("homes/alice/noise"), noise(5, 40_000_000)).unwrap();
    let run = server.post("/api/v1/runs", &json!({"kind": "backup", "service": "notebooks"})).json()["runs"][0].as_str().unwrap().to_owned();
    until("the backup to run", || (server.get(&format!("/api/v1/runs/{run}")).json()["state"] == "running").then_some(()));
    let holder = hold(25);
    let refused = server.post("/api/v1/runs", &json!({"kind": "check", "repository": "main"}));
    assert_eq!((refused.status, &refused.json()["status"]), (503, &json!(503)), "{refused:?}");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("the database is busy") && detail.contains("again"), "{detail}");
    assert_eq!(server.get("/healthz").status, 200, "it lives");
    holder.join().unwrap();
    let row = ended(&server, &server.process, &run);
    assert_eq!(row["state"], "succeeded", "{row}");
    assert_eq!(server.process.stop(), 0);
    restic(&place, &["check", "--read-data"]);
}

#[test]
fn postgresql_is_restarted_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    // PostgreSQL runs as another user and has to get in.
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let component = |name: &str| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../end2end/components/postgres").join(name);
        #[allow(clippy::disallowed_methods, reason = "the test starts a server of its own")]
        let done = std::process::Command::new(script).arg(folder.path().join("postgres")).output().unwrap();
        assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    };
    let url = component("up");
    let place = Place::with_homes();
    fs::write(place.path("homes/alice/noise"), noise(6, 40_000_000)).unwrap();
    let env = [("HOLDFAST_DATABASE_URL", url.as_str())];
    let server = Server::start(&place, &env, &["--max-parallel", "0"]);
    assert_eq!(place.command(&["--data", "data", "--database", &url, "apply", "holdfast.yaml"]).code, 0);
    let worker = Process::start(&place, &env, &["worker"]);
    for round in 0..3 {
        fs::write(place.path("homes/bob/round"), round.to_string()).unwrap();
        fs::write(place.path("homes/alice/noise"), noise(10 + round, 30_000_000)).unwrap();
        let run = server.post("/api/v1/runs", &json!({"kind": "backup", "service": "notebooks"})).json()["runs"][0].as_str().unwrap().to_owned();
        until("the backup to run", || (server.get(&format!("/api/v1/runs/{run}")).json()["state"] == "running").then_some(()));
        std::thread::sleep(Duration::from_millis(200 * round));
        component("restart");
        let row = ended(&server, &worker, &run);
        assert_eq!(row["state"], "succeeded", "{row}\n{}", worker.said());
        until("the server to be ready again", || (server.get("/readyz").status == 200).then_some(()));
    }
    assert_eq!((worker.stop(), server.process.stop()), (0, 0));
    let snapshots: Vec<Value> = serde_json::from_str(&restic(&place, &["snapshots", "--json"])).unwrap();
    let keys: Vec<String> = snapshots.iter().map(|s| s["tags"].to_string()).filter(|t| t.contains("item:")).collect();
    assert_eq!(keys.len(), 6, "{keys:?}");
    assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), 6, "none twice: {keys:?}");
    restic(&place, &["check", "--read-data"]);
    component("down");
}

/// The run once it has ended. While the database is away, it is asked again.
fn ended(server: &Server, worker: &Process, run: &str) -> Value {
    let begun = Instant::now();
    loop {
        let answer = server.get(&format!("/api/v1/runs/{run}"));
        let row = if answer.status == 200 { answer.json() } else { Value::Null };
        if row["state"].as_str().is_some_and(|s| s != "queued" && s != "running") {
            return row;
        }
        assert!(begun.elapsed() < Duration::from_mins(2), "the run does not end: {}\n{}", answer.body, worker.said());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_mins(2), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A way to the S3 emulator that can be cut.
struct Line {
    address: String,
    /// Bytes that went up.
    sent: Arc<AtomicU64>,
    cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Line {
    fn new(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let line = Self { address: listener.local_addr().unwrap().to_string(), sent: Arc::default(), cut: Arc::default(), open: Arc::default() };
        let (upstream, sent, cut, open) = (upstream.to_owned(), line.sent.clone(), line.cut.clone(), line.open.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if cut.load(Ordering::SeqCst) {
                    continue;
                }
                let server = TcpStream::connect(&upstream).unwrap();
                for (from, to, counts) in [(&client, &server, true), (&server, &client, false)] {
                    let (mut from, mut to, sent) = (from.try_clone().unwrap(), to.try_clone().unwrap(), sent.clone());
                    std::thread::spawn(move || {
                        let mut buffer = [0; 16_384];
                        while let Ok(n @ 1..) = from.read(&mut buffer) {
                            if counts {
                                sent.fetch_add(n as u64, Ordering::SeqCst);
                            }
                            if to.write_all(&buffer[..n]).is_err() {
                                break;
                            }
                        }
                        to.shutdown(Shutdown::Both).ok();
                    });
                }
                open.lock().unwrap().extend([client, server]);
            }
        });
        line
    }

    /// All connections break off, and new ones are closed at once.
    fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        for stream in self.open.lock().unwrap().drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    fn mend(&self) {
        self.cut.store(false, Ordering::SeqCst);
    }
}

#[test]
fn the_network_is_lost_in_the_middle_of_a_backup() {
    #[allow(clippy::disallowed_methods, reason = "tests are told by the environment where the emulator is")]
    let emulator = std::env::var("HOLDFAST_TEST_S3").expect("HOLDFAST_TEST_S3 must name an S3 emulator; `make test` starts one");
    let upstream = emulator.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let line = Line::new(&upstream);
    let bucket = format!("lost-{}", std::process::id());
    let mut stream = TcpStream::connect(&upstream).unwrap();
    write!(stream, "PUT /{bucket} HTTP/1.0\r\nHost: {upstream}\r\nContent-Length: 0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 200 "), "{answer}");

    let place = Place::with_homes();
    let yaml = fs::read_to_string(place.path("holdfast.yaml")).unwrap();
    let folder = format!("location: file://{}", place.path("repository").display());
    let keys = "access_key_id: AK\n    secret_access_key: { env: SECRET }";
    let s3 = format!("location: s3://{bucket}/main\n    endpoint: http://{}\n    {keys}", line.address);
    fs::write(place.path("holdfast.yaml"), yaml.replace(&folder, &s3)).unwrap();
    let env = [("SECRET", "SK")];
    let run = |args: &[&str]| {
        let mut process = Process::start(&place, &env, args);
        move |line: Option<&Line>| {
            let base = line.map(|l| l.sent.load(Ordering::SeqCst));
            while process.child.try_wait().unwrap().is_none() {
                if let (Some(line), Some(base)) = (line, base)
                    && line.sent.load(Ordering::SeqCst) > base + 6_000_000
                    && !line.cut.load(Ordering::SeqCst)
                {
                    line.cut();
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            let said = process.said();
            said.lines().rev().find_map(|l| serde_json::from_str::<Value>(l).ok()).unwrap_or_else(|| panic!("{said}"))
        }
    };
    assert_eq!(place.run(&["apply", "holdfast.yaml"]).code, 0);
    let first = run(&["backup", "notebooks", "--json"])(None);
    assert_eq!(first["state"], "succeeded", "{first}");

    // For good: every attempt finds nobody.
    fs::write(place.path("homes/alice/noise"), noise(7, 40_000_000)).unwrap();
    let lost = run(&["backup", "notebooks", "--json"])(Some(&line));
    assert_eq!((&lost["state"], &lost["failure"]["code"]), (&json!("failed"), &json!("unavailable")), "{lost}");
    assert!(lost["failure"]["message"].as_str().unwrap().contains(&line.address), "it says who does not answer: {lost}");
    // It comes back: so does the backup, with what was sent already, and all is whole.
    line.mend();
    let again = run(&["backup", "notebooks", "--json"])(None);
    assert_eq!(again["state"], "succeeded", "{again}");
    let check = run(&["check", "main", "--read-data", "--json"])(None);
    assert_eq!(check["state"], "succeeded", "{check}");
    let alice = snapshot_of(&again, "alice");
    let back = run(&["restore", &alice, "--to", "out", "--json"])(None);
    assert_eq!(back["state"], "succeeded", "{back}");
    assert_eq!(fingerprint(&place.path("out")), fingerprint(&place.path("homes/alice")));
}
