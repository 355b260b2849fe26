//! What the engine's tests share: a runtime, accesses, stock restic.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it, and a test may panic")]

use std::{collections::BTreeMap, path::Path, process::Output, sync::LazyLock};

use engine::job::{Access, BackupJob, BackupOutcome, CheckJob, DirectoryConfig, DirectoryItems, Event, ItemResult, Outcome, Reading, Secret, SourceConfig};

pub const PASSWORD: &str = "correct horse";

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

pub fn rt() -> tokio::runtime::Handle {
    RUNTIME.handle().clone()
}

pub fn access(location: &str) -> Access {
    Access { location: location.to_owned(), options: BTreeMap::new(), credentials: BTreeMap::new(), password: Secret::new(PASSWORD), key: None, expect: None }
}

pub fn folder_access(path: &Path) -> Access {
    access(&format!("file://{}", path.display()))
}

/// A check without a past.
pub fn check_job(access: Access, read: Reading) -> CheckJob {
    CheckJob { access, at: engine::clock::now(), read, known: Vec::new() }
}

/// Runs stock restic on a folder and returns its output, whatever the exit code.
#[allow(clippy::disallowed_methods, reason = "tests start stock restic themselves")]
pub fn restic_raw(repository: &Path, args: &[&str]) -> Output {
    std::process::Command::new("restic")
        .args(["--no-cache", "-r"])
        .arg(repository)
        .args(args)
        .env("RESTIC_PASSWORD", PASSWORD)
        .output()
        .expect("restic is needed by the tests: apt-get install restic")
}

/// Runs stock restic and expects success.
pub fn restic(repository: &Path, args: &[&str]) -> String {
    let out = restic_raw(repository, args);
    assert!(out.status.success(), "restic {args:?}: {}\n{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// Runs `work` with a context whose events are collected.
pub fn with_ctx<T>(work: impl FnOnce(&engine::Ctx) -> T) -> (T, Vec<engine::job::Event>) {
    let events = std::sync::Mutex::new(Vec::new());
    let sink = |event| events.lock().unwrap().push(event);
    let cancel = std::sync::atomic::AtomicBool::new(false);
    let done = work(&engine::Ctx { sink: &sink, cancel: &cancel, rt: rt(), patience: std::time::Duration::ZERO });
    (done, events.into_inner().unwrap())
}

/// Starts stock restic with an open standard input.
#[allow(clippy::disallowed_methods, reason = "tests start stock restic themselves")]
pub fn restic_child(repository: &Path, args: &[&str]) -> std::process::Child {
    use std::process::Stdio;
    std::process::Command::new("restic")
        .args(["--no-cache", "-r"])
        .arg(repository)
        .args(args)
        .env("RESTIC_PASSWORD", PASSWORD)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

pub mod s3;
pub mod tree;

/// A job that backs up the child folders of `source` into a folder.
pub fn backup_job(source: &Path, repository: &Path, run: &str) -> BackupJob {
    BackupJob {
        tags: Vec::new(),
        access: folder_access(repository),
        create: true,
        source: SourceConfig::Directory(DirectoryConfig { path: source.to_owned(), items: DirectoryItems::Children, exclude: Vec::new() }),
        host: "notebooks".into(),
        service: "notebooks".into(),
        source_name: "homes".into(),
        run: run.into(),
        items: None,
        root_parent: None,
        parents: BTreeMap::new(),
        patient: false,
    }
}

/// Carries out a backup in this process; the events end with `Done`.
pub fn backup(job: &BackupJob) -> engine::Result<Vec<Event>> {
    let (done, mut events) = with_ctx(|ctx| engine::repository::run_backup(job, ctx));
    events.push(Event::Done(Outcome::Backup(done?)));
    Ok(events)
}

pub fn items_of(events: &[Event]) -> Vec<ItemResult> {
    events.iter().filter_map(|e| if let Event::Item(item) = e { Some(item.clone()) } else { None }).collect()
}

pub fn outcome_of(events: &[Event]) -> BackupOutcome {
    match events.last() {
        Some(Event::Done(Outcome::Backup(outcome))) => outcome.clone(),
        other => panic!("no outcome: {other:?}"),
    }
}

/// Bytes that do not compress, always the same for a seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut out = Vec::with_capacity(length + 8);
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    out.truncate(length);
    out
}

/// Bytes of all files below a folder.
pub fn size_of(folder: &Path) -> u64 {
    tree::paths(folder).iter().map(|p| std::fs::symlink_metadata(folder.join(p)).unwrap()).filter(std::fs::Metadata::is_file).map(|m| m.len()).sum()
}

/// Runs stock restic with `--json` and reads its answer.
pub fn restic_json(repository: &Path, args: &[&str]) -> serde_json::Value {
    let mut all = args.to_vec();
    all.push("--json");
    serde_json::from_str(&restic(repository, &all)).unwrap()
}

/// What `many` at the same moment get who open the repository or make it: the id that each of them has in hand.
pub fn made_at_once(access: &Access, many: usize) -> Vec<String> {
    let barrier = std::sync::Barrier::new(many);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..many)
            .map(|_| {
                scope.spawn(|| {
                    let rt = rt();
                    barrier.wait();
                    engine::repository::Repository::open_or_create(access, &rt).unwrap().id().to_owned()
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}
