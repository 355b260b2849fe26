//! The S3 emulator that `end2end/components/s3/up` starts. `HOLDFAST_TEST_S3` gives the endpoint of one that runs.

use std::{path::PathBuf, process::Stdio, sync::OnceLock};

use engine::job::{Access, Secret};

use super::access;

pub fn s3_access(location: &str) -> Access {
    let mut access = access(location);
    access.options =
        [("endpoint", s3()), ("allow_http", "true"), ("access_key_id", "test-key"), ("region", "us-east-1")].map(|(k, v)| (k.into(), v.into())).into();
    access.credentials = [("secret_access_key".into(), Secret::new("test-secret-test-secret"))].into();
    access
}

/// Makes a bucket of its own and returns its name.
pub fn bucket(name: &str) -> String {
    let bucket = format!("{name}-{}", std::process::id());
    let made = curl(&["-X", "PUT", &format!("{}/{bucket}", s3())]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    bucket
}

#[allow(clippy::disallowed_methods, reason = "tests talk to the emulator with curl")]
pub fn curl(args: &[&str]) -> std::process::Output {
    std::process::Command::new("curl").args(["-sS", "-f", "-m", "20", "-o", "/dev/null"]).args(args).output().unwrap()
}

/// The emulator's endpoint. It is started once and ends with this process.
#[allow(clippy::disallowed_methods, reason = "tests read their environment and start the emulator themselves")]
pub fn s3() -> &'static str {
    static ENDPOINT: OnceLock<String> = OnceLock::new();
    ENDPOINT.get_or_init(|| {
        if let Ok(endpoint) = std::env::var("HOLDFAST_TEST_S3") {
            return endpoint.trim_end_matches('/').to_owned();
        }
        let scripts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../end2end/components/s3");
        let state = std::env::temp_dir().join(format!("holdfast-s3-{}", std::process::id()));
        let up = std::process::Command::new(scripts.join("up")).arg(&state).output().unwrap();
        let words = String::from_utf8_lossy(&up.stderr).into_owned();
        assert!(up.status.success(), "the S3 emulator does not start; `scripts/setup test` installs it: {words}");
        // Whatever way this process ends, the emulator goes with it.
        let watch = format!(
            "while kill -0 {} 2>/dev/null; do sleep 1; done; {}/down {state}; rm -rf {state}",
            std::process::id(),
            scripts.display(),
            state = state.display()
        );
        let watching = std::process::Command::new("setsid").args(["-f", "bash", "-c", &watch]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(watching.unwrap().success());
        String::from_utf8(up.stdout).unwrap().trim().to_owned()
    })
}
