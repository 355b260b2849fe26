//! The S3 emulator that `end2end/components/s3/up` starts. `HOLDFAST_TEST_S3` gives the endpoint of one that runs.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::Stdio,
    sync::OnceLock,
};

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

/// The emulator behind a relay that adds one header to what is written with a checksum: S3 takes the checksum alone for
/// an object that it locks, the emulator asks for the name of its algorithm as well. Everything else passes as it is.
pub fn s3_that_locks() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let behind = s3().trim_start_matches("http://").to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let behind = behind.clone();
            std::thread::spawn(move || relay(client, &behind));
        }
    });
    format!("http://{address}")
}

/// One request and its answer: the emulator closes the connection after each.
fn relay(mut client: TcpStream, behind: &str) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let mut server = TcpStream::connect(behind).unwrap();
    let text = String::from_utf8_lossy(&head).into_owned();
    let more = if text.to_lowercase().contains("\r\nx-amz-checksum-sha256:") { "x-amz-sdk-checksum-algorithm: SHA256\r\n" } else { "" };
    server.write_all(format!("{}{more}Connection: close\r\n\r\n", text.trim_end_matches("\r\n").to_owned() + "\r\n").as_bytes()).unwrap();
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    std::io::copy(&mut server, &mut client).ok();
    client.shutdown(std::net::Shutdown::Both).ok();
}
