//! What the engine's tests share: a runtime, accesses, stock restic.
#![allow(dead_code, reason = "each test file uses a part of it")]

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
