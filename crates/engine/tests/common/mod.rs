//! What the engine's tests share: a runtime, accesses, stock restic.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it, and a test may panic")]

use std::{collections::BTreeMap, path::Path, process::Output, sync::LazyLock};

use engine::job::{Access, Secret};

pub const PASSWORD: &str = "correct horse";

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

pub fn rt() -> tokio::runtime::Handle {
    RUNTIME.handle().clone()
}

pub fn access(location: &str) -> Access {
    Access { location: location.to_owned(), options: BTreeMap::new(), credentials: BTreeMap::new(), password: Secret::new(PASSWORD) }
}

pub fn folder_access(path: &Path) -> Access {
    access(&format!("file://{}", path.display()))
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
    let done = work(&engine::Ctx { sink: &sink, cancel: &cancel, rt: rt() });
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
