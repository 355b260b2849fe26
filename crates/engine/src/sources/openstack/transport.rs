//! One call over HTTP, with its time limit, its repetitions and what is told of it.
//!
//! Lives here: the client, retries, limits of answers, the witness. May not: tokens, what an answer says.
//! Invariant: a call that changes something is sent again only where it was not carried out: the connection was not
//! made, or the answer was 429 or 503. Redirects are not followed, so that a token goes to the catalogue's addresses only.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use rand::RngExt as _;
use reqwest::{Client, Method, Url, header, redirect::Policy};
use tokio::time::{Instant, sleep, timeout};

use super::{catalog::Service, config::CloudConfig, refusal::Failed};
use crate::{EngineError, ErrorKind, Result};

/// The longest answer, in bytes: a page of a thousand servers has some.
const LONGEST: usize = 32 << 20;
/// How much of a refusal is read, in bytes.
const LONGEST_REFUSAL: usize = 64 << 10;
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest wait that an API may ask for.
const LONGEST_WAIT: Duration = Duration::from_mins(2);
const CONNECT: Duration = Duration::from_secs(10);

/// How long and how often a call is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One try, with its answer.
    pub call: Duration,
    /// Tries in all.
    pub tries: u32,
    /// Before the second try; it doubles each time, less a random part.
    pub pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { call: Duration::from_mins(1), tries: 6, pause: Duration::from_millis(500) }
    }
}

/// One try of one call, as the run's log shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The service's name, such as `Nova`.
    pub service: &'static str,
    pub method: String,
    /// Without the query.
    pub path: String,
    /// `None` where no answer came.
    pub status: Option<u16>,
    /// The answer's `x-openstack-request-id`.
    pub request_id: Option<String>,
    /// 1 for the first.
    pub attempt: u32,
    pub took: Duration,
}

/// Is told of every try.
pub type Witness = Arc<dyn Fn(&Call) + Send + Sync>;

/// What is sent. `what` completes “Nova could not …”.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub service: Service,
    pub what: String,
    pub method: Method,
    pub url: Url,
    pub body: Option<Bytes>,
    pub headers: header::HeaderMap,
    /// Whether doing it twice is the same as once.
    pub repeatable: bool,
}

/// An answer whose status is a success, or 300 as the documents about versions have it.
#[derive(Debug)]
pub(super) struct Answer {
    pub headers: header::HeaderMap,
    pub body: Vec<u8>,
}

/// An answer that is read part by part, since it may be as long as a disk.
pub(super) struct Body {
    response: reqwest::Response,
    /// For each part.
    limit: Duration,
    ask: Ask,
}

impl Body {
    /// The byte that it begins with: who does not know parts begins with the first one. `None` where it does not say.
    pub fn begins(&self) -> Option<u64> {
        let range = || self.response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?.split('-').next()?.parse().ok();
        if self.response.status().as_u16() == 206 { range() } else { Some(0) }
    }

    /// Whether the answer is that there is nothing.
    pub fn is_empty(&self) -> bool {
        self.response.status().as_u16() == 204
    }

    pub async fn next(&mut self) -> Result<Option<Bytes>, Failed> {
        let broke_off = |why: &str| Failed::silent(self.ask.service, &self.ask.what, why, 1, false);
        match timeout(self.limit, self.response.chunk()).await {
            Ok(Ok(part)) => Ok(part),
            Ok(Err(e)) => Err(broke_off(&format!("the answer broke off: {}", reason(e)))),
            Err(_) => Err(broke_off(&format!("the answer stood still for {}", span(self.limit)))),
        }
    }
}

/// Why a try failed, and whether another may follow.
struct Broken {
    failed: Failed,
    again: bool,
    wait: Option<Duration>,
}

/// The status and the request's id of an answer, as far as it came.
type Seen = (Option<u16>, Option<String>);

#[derive(Clone)]
pub(super) struct Transport {
    client: Client,
    limits: Limits,
    witness: Option<Witness>,
}

impl Transport {
    pub fn new(config: &CloudConfig, limits: Limits, witness: Option<Witness>) -> Result<Self> {
        let invalid = |message: String| EngineError::new(ErrorKind::Invalid, message);
        let mut builder = Client::builder()
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(CONNECT.min(limits.call / 2))
            // Each call its own connection: one that a restarted service has closed would look like a lost answer.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("Holdfast/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &config.ca {
            let pem = std::fs::read(path).map_err(|e| EngineError::io("read the certificates that `ca` names", path, e))?;
            let unusable = || invalid(format!("`ca` names {}, which holds no certificates in PEM", path.display()));
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|_| unusable())?;
            if certificates.is_empty() {
                return Err(unusable());
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder.build().map_err(|e| invalid(format!("the HTTP client cannot be made: {}", reason(e))))?;
        Ok(Self { client, limits, witness })
    }

    /// Sends it until it is answered, refused, or tried often enough.
    pub async fn send(&self, ask: &Ask) -> Result<Answer, Failed> {
        let mut attempt = 1;
        loop {
            let broken = match self.once(ask, attempt).await {
                Ok(answer) => return Ok(answer),
                Err(broken) => broken,
            };
            if !broken.again || attempt >= self.limits.tries {
                return Err(broken.failed);
            }
            sleep(self.pause(attempt, broken.wait)).await;
            attempt += 1;
        }
    }

    /// Sends it and gives the answer before it is read.
    pub async fn open(&self, ask: &Ask) -> Result<Body, Failed> {
        let mut attempt = 1;
        loop {
            let (began, mut seen) = (Instant::now(), (None, None));
            let opened = timeout(self.limits.call, Box::pin(self.begin(ask, attempt, &mut seen))).await.unwrap_or_else(|_| Err(self.late(ask, attempt)));
            self.tell(ask, attempt, seen, began);
            let broken = match opened {
                Ok(response) => return Ok(Body { response, limit: self.limits.call, ask: ask.clone() }),
                Err(broken) => broken,
            };
            if !broken.again || attempt >= self.limits.tries {
                return Err(broken.failed);
            }
            sleep(self.pause(attempt, broken.wait)).await;
            attempt += 1;
        }
    }

    /// Sends it once, with a body that takes as long as `limit`.
    pub async fn fill(&self, ask: &Ask, body: reqwest::Body, limit: Duration) -> Result<(), Failed> {
        let (began, mut seen) = (Instant::now(), (None, None));
        let request = self.client.request(ask.method.clone(), ask.url.clone()).headers(ask.headers.clone());
        let sent = self.answered(request.header(header::CONTENT_TYPE, "application/octet-stream").body(body), ask, 1, &mut seen);
        let done = timeout(limit, sent).await.unwrap_or_else(|_| Err(silent(ask, &format!("it took longer than {}", span(limit)), 1, false, true)));
        self.tell(ask, 1, seen, began);
        done.map(drop).map_err(|broken| broken.failed)
    }

    async fn once(&self, ask: &Ask, attempt: u32) -> Result<Answer, Broken> {
        let (began, mut seen) = (Instant::now(), (None, None));
        let result = timeout(self.limits.call, Box::pin(self.exchange(ask, attempt, &mut seen))).await.unwrap_or_else(|_| Err(self.late(ask, attempt)));
        self.tell(ask, attempt, seen, began);
        result
    }

    fn late(&self, ask: &Ask, attempt: u32) -> Broken {
        silent(ask, &format!("no whole answer within {}", span(self.limits.call)), attempt, ask.repeatable, !ask.repeatable)
    }

    fn tell(&self, ask: &Ask, attempt: u32, (status, request_id): Seen, began: Instant) {
        if let Some(witness) = &self.witness {
            witness(&Call {
                service: ask.service.as_str(),
                method: ask.method.to_string(),
                path: ask.url.path().to_owned(),
                status,
                request_id,
                attempt,
                took: began.elapsed(),
            });
        }
    }

    async fn exchange(&self, ask: &Ask, attempt: u32, seen: &mut Seen) -> Result<Answer, Broken> {
        let mut response = self.begin(ask, attempt, seen).await?;
        let (body, whole) = match read(&mut response, LONGEST).await {
            Ok(read) => read,
            Err(e) => return Err(silent(ask, &format!("the answer broke off: {}", reason(e)), attempt, ask.repeatable, !ask.repeatable)),
        };
        if !whole {
            let why = format!("the answer is longer than {} MiB", LONGEST >> 20);
            return Err(Broken { failed: Failed::odd(ask.service, &ask.what, &why), again: false, wait: None });
        }
        Ok(Answer { headers: response.headers().clone(), body })
    }

    /// Sends it once; an answer that is no success is read and refused.
    async fn begin(&self, ask: &Ask, attempt: u32, seen: &mut Seen) -> Result<reqwest::Response, Broken> {
        let mut request = self.client.request(ask.method.clone(), ask.url.clone()).headers(ask.headers.clone());
        if let Some(body) = &ask.body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.clone());
        }
        self.answered(request, ask, attempt, seen).await
    }

    async fn answered(&self, request: reqwest::RequestBuilder, ask: &Ask, attempt: u32, seen: &mut Seen) -> Result<reqwest::Response, Broken> {
        let mut response = request.send().await.map_err(|e| {
            let made = !e.is_connect();
            silent(ask, &reason(e), attempt, ask.repeatable || !made, made && !ask.repeatable)
        })?;
        let status = response.status().as_u16();
        let request_id = request_id(response.headers());
        *seen = (Some(status), request_id.clone());
        if matches!(status, 200..=300) {
            return Ok(response);
        }
        // A refusal is one whatever its text would have been.
        let body = read(&mut response, LONGEST_REFUSAL).await.map(|(body, _)| body).unwrap_or_default();
        let wait = response.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| v.trim().parse().ok()).map(Duration::from_secs);
        let passing = match status {
            429 | 503 => true,
            408 | 425 | 500..=599 => ask.repeatable,
            _ => false,
        };
        let again = passing && wait.is_none_or(|w| w <= LONGEST_WAIT);
        Err(Broken { failed: Failed::answered(ask.service, &ask.what, status, &body, request_id.as_deref(), attempt), again, wait })
    }

    /// What the API asks for, or a pause that doubles; never shorter than the API asked.
    fn pause(&self, attempt: u32, asked: Option<Duration>) -> Duration {
        let whole = self.limits.pause.saturating_mul(1_u32 << (attempt - 1).min(16)).min(LONGEST_PAUSE);
        whole.mul_f64(rand::rng().random_range(0.5..1.0)) + asked.unwrap_or_default()
    }
}

fn silent(ask: &Ask, why: &str, attempt: u32, again: bool, done_perhaps: bool) -> Broken {
    Broken { failed: Failed::silent(ask.service, &ask.what, why, attempt, done_perhaps), again, wait: None }
}

/// The error and its causes in one line, without the address.
fn reason(e: reqwest::Error) -> String {
    let e = e.without_url();
    let mut text = e.to_string();
    let mut cause = std::error::Error::source(&e);
    while let Some(c) = cause {
        let more = c.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = c.source();
    }
    text
}

fn span(d: Duration) -> String {
    domain::units::span(d.as_secs_f64())
}

/// As the services write it; older ones say `x-compute-request-id`.
pub(super) fn request_id(headers: &header::HeaderMap) -> Option<String> {
    let found = ["x-openstack-request-id", "x-compute-request-id"].iter().find_map(|n| headers.get(*n))?;
    let text: String = found.to_str().ok()?.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.:".contains(*c)).take(80).collect();
    (!text.is_empty()).then_some(text)
}

/// Reads to a limit; `false` where there is more.
async fn read(response: &mut reqwest::Response, limit: usize) -> reqwest::Result<(Vec<u8>, bool)> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            body.extend_from_slice(&chunk[..limit - body.len()]);
            return Ok((body, false));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((body, true))
}
