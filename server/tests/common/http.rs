//! A running server of the real binary, and requests to it over plain sockets.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::Place;

/// A process of Holdfast that is killed when the test gives up on it. What it writes is kept.
pub struct Process {
    pub child: Child,
    said: Arc<Mutex<String>>,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Process {
    /// Starts `holdfast --data data ARGS` in the place, with nothing but these variables in its environment.
    pub fn start(place: &Place, env: &[(&str, &str)], args: &[&str]) -> Self {
        #[allow(clippy::disallowed_methods, reason = "the tests start the program itself")]
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command.args(["--data", "data"]).args(args).current_dir(place.path("")).env_clear().envs(env.iter().copied());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("holdfast starts");
        let said = Arc::<Mutex<String>>::default();
        let pipes: [Box<dyn std::io::Read + Send>; 2] = [Box::new(child.stdout.take().expect("a pipe")), Box::new(child.stderr.take().expect("a pipe"))];
        for pipe in pipes {
            let said = said.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    said.lock().expect("no panic").extend([line.as_str(), "\n"]);
                }
            });
        }
        Self { child, said }
    }

    /// All that it has written to standard output and standard error.
    pub fn said(&self) -> String {
        self.said.lock().expect("no panic").clone()
    }

    /// Waits for a line that holds the text, and gives what follows it there.
    pub fn wait_for(&self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            let said = self.said();
            if let Some((_, rest)) = said.lines().find_map(|l| l.split_once(text)) {
                return rest.trim().to_owned();
            }
            assert!(begun.elapsed() < Duration::from_mins(1), "it never says “{text}”: {said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks it to stop and waits; its exit code.
    pub fn stop(mut self) -> i32 {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it lives");
        self.child.wait().expect("it ends").code().unwrap_or(-1)
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The head as it came.
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|l| l.split_once(':').filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim()))
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// A server somebody has signed in to.
pub struct Server {
    pub process: Process,
    pub address: String,
    pub cookie: String,
}

impl Server {
    /// Starts `serve` on a free port with these further arguments, and signs in by the first link.
    pub fn start(place: &Place, env: &[(&str, &str)], args: &[&str]) -> Self {
        let process = Process::start(place, env, &[&["serve", "--listen", "127.0.0.1:0"], args].concat());
        let address = process.wait_for("listens on http://");
        let link = process.wait_for("within 10 minutes: ");
        let token = link.split_once("token=").expect("a link").1.to_owned();
        let mut server = Self { process, address, cookie: String::new() };
        let form = ("application/x-www-form-urlencoded", format!("token={token}"));
        let answer = server.ask("POST", "/login", &[], Some((form.0, &form.1)));
        answer.header("set-cookie").expect("a session").split(';').next().expect("a cookie").clone_into(&mut server.cookie);
        server
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], None)
    }

    pub fn post(&self, path: &str, json: &Value) -> Answer {
        self.ask("POST", path, &[], Some(("application/json", &json.to_string())))
    }

    /// One request on a connection of its own.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<(&str, &str)>) -> Answer {
        let mut text = String::new();
        self.open(method, path, headers, body).read_to_string(&mut text).expect("an answer in UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// Sends a request whose answer is read by the caller.
    pub fn open(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<(&str, &str)>) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a limit");
        // HTTP/1.0: the answer ends with its connection and comes in one piece.
        let mut request = format!("{method} {path} HTTP/1.0\r\nHost: {}\r\nCookie: {}\r\n", self.address, self.cookie);
        for (name, value) in headers {
            request.extend([*name, ": ", *value, "\r\n"]);
        }
        if let Some((kind, text)) = body {
            request.extend(["Content-Type: ", kind, "\r\nContent-Length: ", &text.len().to_string(), "\r\n\r\n", text]);
        } else {
            request.push_str("\r\n");
        }
        stream.write_all(request.as_bytes()).expect("the server reads");
        stream
    }
}
