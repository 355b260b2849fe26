//! A place with a data folder of its own, in which the real binary runs.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;

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
        #[allow(clippy::disallowed_methods, reason = "the tests start the program itself")]
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command.args(args).current_dir(self.folder.path()).env_clear().output().expect("holdfast runs").into()
    }
}
