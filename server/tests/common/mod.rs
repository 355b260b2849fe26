//! A place with a data folder of its own, in which the real binary runs.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    collections::BTreeMap,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, SystemTime},
};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub mod http;

pub struct Place {
    folder: tempfile::TempDir,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// The last line as JSON.
    pub fn json(&self) -> Value {
        let line = self.out.lines().last().unwrap_or_else(|| panic!("no output: {self:?}"));
        serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

impl From<Output> for Said {
    fn from(o: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self { code: o.status.code().unwrap_or(-1), out: text(o.stdout), err: text(o.stderr) }
    }
}

impl Place {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// With the homes of two people and a configuration that backs them up.
    pub fn with_homes() -> Self {
        let place = Self::new();
        place.write("homes/alice/notes.txt", "hello\n");
        place.write("homes/alice/deep/er/data.bin", &"0123456789".repeat(10_000));
        place.write("homes/bob/notes.txt", "bob was here\n");
        place.write("password", "correct horse\n");
        let at = |p: &str| place.path(p).display().to_string();
        place.write(
            "holdfast.yaml",
            &format!(
                "version: 1\nrepositories:\n  - name: main\n    location: file://{}\n    password: {{ file: {} }}\n\
                 services:\n  - name: notebooks\n    title: Notebooks\n    owner: ops\n    rpo: 24h\n    rto: 1h\n    sources:\n      \
                 - name: homes\n        kind: directory\n        path: {}\n        items: children\n        repository: main\n",
                at("repository"),
                at("password"),
                at("homes")
            ),
        );
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    /// Runs `holdfast --data data ARGS` here.
    pub fn run(&self, args: &[&str]) -> Said {
        self.command(&[&["--data", "data"], args].concat())
    }

    /// Runs `holdfast ARGS` here, with nothing of the caller's environment.
    pub fn command(&self, args: &[&str]) -> Said {
        self.holdfast(args).output().expect("holdfast runs").into()
    }

    /// Starts `holdfast --data data ARGS` here.
    pub fn start(&self, args: &[&str]) -> Child {
        self.holdfast(&[&["--data", "data"], args].concat()).spawn().expect("holdfast starts")
    }

    /// The same, not started yet.
    pub fn holdfast(&self, args: &[&str]) -> Command {
        #[allow(clippy::disallowed_methods, reason = "the tests start the program itself")]
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command.args(args).current_dir(self.folder.path()).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Gives a folder modes, times to the nanosecond, a link, and another owner where this process may.
    pub fn dress(&self, name: &str) {
        let dir = self.path(name);
        self.write(&format!("{name}/run.sh"), "#!/bin/sh\n");
        std::fs::set_permissions(dir.join("run.sh"), std::fs::Permissions::from_mode(0o751)).expect("a mode");
        std::fs::set_permissions(dir.join("deep"), std::fs::Permissions::from_mode(0o2750)).expect("a mode");
        std::os::unix::fs::symlink("../nowhere", dir.join("link")).expect("a link");
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::lchown(dir.join("notes.txt"), Some(1234), Some(2345)).expect("an owner");
            std::os::unix::fs::lchown(dir.join("link"), Some(1234), Some(2345)).expect("an owner");
        }
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 123_456_789);
        for path in ["notes.txt", "deep/er", "deep"] {
            std::fs::File::open(dir.join(path)).and_then(|f| f.set_modified(time)).expect("a time");
        }
    }
}

/// Every path below a folder with its kind, mode, owner, time, size, content or target.
pub fn fingerprint(root: &Path) -> BTreeMap<String, String> {
    fn walk(root: &Path, dir: &Path, out: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(dir).expect("a folder") {
            let path = entry.expect("an entry").path();
            let meta = path.symlink_metadata().expect("metadata");
            let content = if meta.is_file() {
                hex::encode(Sha256::digest(std::fs::read(&path).expect("a file")))
            } else if meta.is_symlink() {
                std::fs::read_link(&path).expect("a link").display().to_string()
            } else {
                walk(root, &path, out);
                String::new()
            };
            let name = path.strip_prefix(root).expect("below").display().to_string();
            let time = format!("{}.{:09}", meta.mtime(), meta.mtime_nsec());
            out.insert(name, format!("{:o} {}:{} {time} {content}", meta.mode(), meta.uid(), meta.gid()));
        }
    }
    let mut out = BTreeMap::new();
    walk(root, root, &mut out);
    out
}

pub fn largest_file(dir: &Path) -> PathBuf {
    fn walk(dir: &Path, best: &mut (u64, PathBuf)) {
        for entry in std::fs::read_dir(dir).expect("a folder") {
            let path = entry.expect("an entry").path();
            let meta = path.metadata().expect("metadata");
            if meta.is_dir() {
                walk(&path, best);
            } else if meta.len() > best.0 {
                *best = (meta.len(), path);
            }
        }
    }
    let mut best = (0, PathBuf::new());
    walk(dir, &mut best);
    best.1
}

/// Stock restic on the repository of the place; it must succeed.
pub fn restic(place: &Place, args: &[&str]) -> String {
    #[allow(clippy::disallowed_methods, reason = "the tests start stock restic")]
    let mut command = Command::new("restic");
    command.args(["--quiet", "--no-cache", "--repo", "repository", "--password-file", "password"]).args(args).current_dir(place.path(""));
    let done = command.output().expect("restic is installed");
    assert!(done.status.success(), "restic {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}
