//! A gate between a client and the services of a cloud.
//!
//! Lives here: a port before each service that passes requests on or fails them as told, and leads the addresses in the
//! answers through itself. May not: chance, or know what a call means.

use std::{
    collections::BTreeMap,
    future::pending,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    runtime::{Builder, Handle},
    sync::{oneshot, watch},
    time::{sleep, timeout},
};

/// How a request goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// It is cut before it arrives, and every later one is refused for so long.
    Away(Duration),
    /// It is cut before it arrives.
    Cut,
    /// It is carried out, and its answer is lost.
    Lose,
    /// Nothing answers until the gate heals; then it is cut.
    Hang,
    /// Something before the service answers with this status. With 429 and 503 it says when to come again: in a second.
    Answer(u16),
}

/// A request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The port of the service behind the gate.
    pub service: u16,
    pub method: String,
    /// With the query.
    pub path: String,
    pub strike: Option<Strike>,
}

/// The gate. It closes when it is dropped.
pub struct Gate {
    shared: Arc<Shared>,
    /// Service → port of the gate.
    ports: BTreeMap<u16, u16>,
    runtime: Handle,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// Whether connections are taken.
    open: watch::Sender<bool>,
    /// Rises whenever the gate heals.
    healed: watch::Sender<usize>,
    listening: AtomicUsize,
    /// What an answer names, and what it is to name.
    renamed: Mutex<Vec<(Vec<u8>, Vec<u8>)>>,
}

#[derive(Default)]
struct State {
    every: Option<Strike>,
    /// Each strikes once.
    placed: Vec<Placed>,
    passed: Vec<Passed>,
    tokens: Vec<String>,
    /// Tells one time away from the next.
    times_away: usize,
}

struct Placed {
    method: String,
    part: String,
    strike: Strike,
}

impl Gate {
    /// A port before each of the services, which listen on these ports of this machine.
    pub fn before(services: &[u16]) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            open: watch::Sender::new(true),
            healed: watch::Sender::new(0),
            listening: AtomicUsize::new(0),
            renamed: Mutex::default(),
        });
        let (end, ended) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn({
            let (shared, services) = (Arc::clone(&shared), services.to_vec());
            move || {
                let made = Builder::new_current_thread().enable_all().build().and_then(|runtime| Ok((reserve(&services)?, runtime)));
                let (sockets, runtime) = match made {
                    Ok(made) => made,
                    Err(e) => return tell.send(Err(e)).unwrap_or_default(),
                };
                let ports: BTreeMap<u16, u16> = sockets.iter().map(|(service, _, address)| (*service, address.port())).collect();
                *held(&shared.renamed) = ports.iter().map(|(service, port)| (local(*service).into_bytes(), local(*port).into_bytes())).collect();
                runtime.block_on(async {
                    for (service, socket, address) in sockets {
                        tokio::spawn(keep(Arc::clone(&shared), socket, address, service));
                    }
                    tell.send(Ok((ports, Handle::current()))).unwrap_or_default();
                    ended.await.unwrap_or_default();
                });
            }
        });
        let (ports, runtime) = told.recv().map_err(io::Error::other)??;
        let gate = Self { shared, ports, runtime, end: Some(end), thread: Some(thread) };
        gate.settle(true);
        Ok(gate)
    }

    /// The gate's port before a service.
    pub fn port(&self, service: u16) -> Option<u16> {
        self.ports.get(&service).copied()
    }

    /// An address of a service, led through the gate.
    pub fn through(&self, url: &str) -> String {
        self.ports.iter().fold(url.to_owned(), |url, (service, port)| url.replace(&local(*service), &local(*port)))
    }

    /// Connections are refused until the gate heals.
    pub fn refuse(&self) {
        self.shared.leave();
        self.settle(false);
    }

    /// Connections are refused for so long.
    pub fn refuse_for(&self, time: Duration) {
        let _in = self.runtime.enter();
        self.shared.leave_for(time);
        self.settle(false);
    }

    /// Every request meets this until the gate heals.
    pub fn every(&self, strike: Strike) {
        held(&self.shared.state).every = Some(strike);
    }

    /// Every request is cut before it arrives.
    pub fn cut(&self) {
        self.every(Strike::Cut);
    }

    /// Every request is carried out and its answer lost.
    pub fn lose(&self) {
        self.every(Strike::Lose);
    }

    /// Nothing answers.
    pub fn hang(&self) {
        self.every(Strike::Hang);
    }

    /// The next `n` requests get this status.
    pub fn answer(&self, status: u16, n: usize) {
        for _ in 0..n {
            self.at("", "", Strike::Answer(status));
        }
    }

    /// The next request of this method whose path contains the part meets the strike, once. Both may be empty.
    pub fn at(&self, method: &str, part: &str, strike: Strike) {
        held(&self.shared.state).placed.push(Placed { method: method.to_owned(), part: part.to_owned(), strike });
    }

    /// All is well again: what was placed is forgotten, what hangs is cut, connections are taken.
    pub fn heal(&self) {
        {
            let mut state = held(&self.shared.state);
            state.every = None;
            state.placed.clear();
            state.times_away += 1;
        }
        self.shared.healed.send_modify(|n| *n += 1);
        self.shared.open.send_replace(true);
        self.settle(true);
    }

    /// The requests so far.
    pub fn passed(&self) -> Vec<Passed> {
        held(&self.shared.state).passed.clone()
    }

    /// The tokens that requests bore, in the order in which they first came.
    pub fn tokens(&self) -> Vec<String> {
        held(&self.shared.state).tokens.clone()
    }

    /// Whether what was placed has all struck.
    pub fn struck(&self) -> bool {
        held(&self.shared.state).placed.is_empty()
    }

    /// Until every port listens, or none does.
    fn settle(&self, listening: bool) {
        let wanted = if listening { self.ports.len() } else { 0 };
        for _ in 0..5000 {
            if self.shared.listening.load(SeqCst) == wanted {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap_or_default();
        }
    }
}

impl Shared {
    /// Writes the request down and says what it meets.
    fn meet(self: &Arc<Self>, service: u16, method: &str, path: &str) -> Option<Strike> {
        let strike = {
            let mut state = held(&self.state);
            let placed = state.placed.iter().position(|p| (p.method.is_empty() || p.method == method) && path.contains(&p.part));
            let strike = match placed {
                Some(at) => Some(state.placed.remove(at).strike),
                None => state.every,
            };
            state.passed.push(Passed { service, method: method.to_owned(), path: path.to_owned(), strike });
            strike
        };
        if let Some(Strike::Away(time)) = strike {
            self.leave_for(time);
        }
        strike
    }

    fn see_token(&self, head: &str) {
        let bears = |line: &str| line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("x-auth-token")).map(|(_, v)| v.trim().to_owned());
        let mut state = held(&self.state);
        if let Some(token) = head.lines().find_map(bears)
            && !state.tokens.contains(&token)
        {
            state.tokens.push(token);
        }
    }

    fn leave(&self) -> usize {
        let mut state = held(&self.state);
        state.times_away += 1;
        self.open.send_replace(false);
        state.times_away
    }

    fn leave_for(self: &Arc<Self>, time: Duration) {
        let (this, which) = (Arc::clone(self), self.leave());
        tokio::spawn(async move {
            sleep(time).await;
            let state = held(&this.state);
            if state.times_away == which {
                this.open.send_replace(true);
            }
        });
    }
}

fn held<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// A port before each service. It stays bound and does not listen, so that it refuses and nobody else gets it.
fn reserve(services: &[u16]) -> io::Result<Vec<(u16, TcpSocket, SocketAddr)>> {
    let mut reserved = Vec::new();
    for service in services {
        let mut wrong = Vec::new();
        // As many digits as the service's port has: an answer keeps its length.
        loop {
            let (socket, address) = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
            if local(address.port()).len() == local(*service).len() {
                reserved.push((*service, socket, address));
                break;
            }
            wrong.push(socket);
            if wrong.len() > 1000 {
                return Err(io::Error::other(format!("no port with as many digits as {service}")));
            }
        }
    }
    Ok(reserved)
}

fn bound(address: SocketAddr) -> io::Result<(TcpSocket, SocketAddr)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

/// Listens before one service while the gate is open.
async fn keep(shared: Arc<Shared>, _reserved: TcpSocket, address: SocketAddr, service: u16) {
    let mut open = shared.open.subscribe();
    loop {
        if open.wait_for(|open| *open).await.is_err() {
            return;
        }
        let Ok(listener) = bound(address).and_then(|(socket, _)| socket.listen(1024)) else {
            sleep(Duration::from_millis(5)).await;
            continue;
        };
        shared.listening.fetch_add(1, SeqCst);
        loop {
            tokio::select! {
                biased;
                _ = open.wait_for(|open| !*open) => break,
                taken = listener.accept() => if let Ok((client, _)) = taken {
                    tokio::spawn(serve(Arc::clone(&shared), client, service));
                },
            }
        }
        drop(listener);
        shared.listening.fetch_sub(1, SeqCst);
    }
}

/// One connection: one request, and what becomes of it.
async fn serve(shared: Arc<Shared>, mut client: TcpStream, service: u16) {
    let mut open = shared.open.subscribe();
    let mut healed = shared.healed.subscribe();
    let told = tokio::select! {
        biased;
        _ = open.wait_for(|open| !*open) => Ok(false),
        told = async {
            let (head, body) = head(&mut client).await?;
            let text = String::from_utf8_lossy(&head).into_owned();
            let mut words = text.split(' ');
            let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            shared.see_token(&text);
            match shared.meet(service, method, path) {
                None => forward(&shared, &mut client, service, &head, &body, true).await,
                Some(Strike::Lose) => forward(&shared, &mut client, service, &head, &body, false).await,
                Some(Strike::Answer(status)) => say(&mut client, status).await,
                Some(Strike::Cut | Strike::Away(_)) => Ok(false),
                Some(Strike::Hang) => healed.changed().await.map(|()| false).map_err(io::Error::other),
            }
        } => told,
    };
    if !told.unwrap_or(false) {
        // A reset, and no polite end.
        client.set_zero_linger().unwrap_or_default();
    }
}

/// Up to the empty line, and what came behind it.
async fn head(from: &mut TcpStream) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    loop {
        if let Some(at) = all.windows(4).position(|w| w == b"\r\n\r\n") {
            let rest = all.split_off(at + 4);
            return Ok((all, rest));
        }
        if from.read_buf(&mut all).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// One request a connection: then nothing needs to know where a body ends.
fn closing(head: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let first = lines.next().unwrap_or_default();
    let rest = lines.filter(|l| !l.to_ascii_lowercase().starts_with("connection:"));
    let mut all: String = [first, "Connection: close"].into_iter().chain(rest).flat_map(|l| [l, "\r\n"]).collect();
    all.push_str("\r\n");
    all.into_bytes()
}

/// Passes a request on and, where it is to be `told`, the answer back. Whether it was.
async fn forward(shared: &Shared, client: &mut TcpStream, service: u16, request: &[u8], body: &[u8], told: bool) -> io::Result<bool> {
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, service)).await?;
    server.write_all(&closing(request)).await?;
    server.write_all(body).await?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let up = async {
        tokio::io::copy(&mut from_client, &mut to_server).await.ok();
        // The answer is waited for even where nobody is there for it.
        pending::<io::Result<()>>().await
    };
    let down = async {
        let mut answer = Vec::new();
        from_server.read_to_end(&mut answer).await?;
        if !told {
            return Ok(());
        }
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4).ok_or(io::ErrorKind::UnexpectedEof)?;
        let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
        let mut head_now = closing(&answer[..end]);
        rename(shared, &mut head_now);
        if head.lines().any(|l| l.starts_with("content-type:") && (l.contains("json") || l.contains("text"))) {
            rename(shared, &mut answer[end..]);
        }
        to_client.write_all(&head_now).await?;
        to_client.write_all(&answer[end..]).await?;
        to_client.shutdown().await
    };
    tokio::select! { done = up => done?, done = down => done? }
    Ok(told)
}

/// Leads the services' addresses through the gate, in place.
fn rename(shared: &Shared, text: &mut [u8]) {
    for (old, new) in held(&shared.renamed).iter() {
        for at in 0..text.len().saturating_sub(old.len() - 1) {
            if text[at..].starts_with(old) && !text.get(at + old.len()).is_some_and(u8::is_ascii_digit) {
                text[at..at + old.len()].copy_from_slice(new);
            }
        }
    }
}

/// What a balancer before a service says.
async fn say(client: &mut TcpStream, status: u16) -> io::Result<bool> {
    let reason = http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Strange");
    let body = format!("<html><body><h1>{status} {reason}</h1>\nNo server is available to handle this request.\n</body></html>\n");
    let again = if matches!(status, 429 | 503) { "Retry-After: 1\r\n" } else { "" };
    let head = format!("HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: text/html\r\n{again}Content-Length: {}\r\n\r\n", body.len());
    client.write_all((head + &body).as_bytes()).await?;
    client.shutdown().await?;
    // What is left of the request is taken: otherwise a reset would overtake the answer.
    let mut rest = [0; 4096];
    timeout(Duration::from_secs(2), async { while client.read(&mut rest).await.is_ok_and(|n| n > 0) {} }).await.ok();
    Ok(true)
}
