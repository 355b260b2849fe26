//! Calls with a token: it is asked for once, renewed before it ends and after a 401, and sent to the catalogue's addresses.
//!
//! Lives here: the token's life, addresses, versions, how a call is put together. May not: what services answer.
//! Invariant: however many calls meet a 401 at once, one of them authenticates; none does so twice for one call.

use std::{collections::HashMap, sync::Arc, time::Duration};

use reqwest::{
    Method, Url,
    header::{HeaderMap, HeaderValue},
};
use serde_json::Value;
use tokio::{
    sync::{Mutex, OnceCell},
    time::Instant,
};

use super::{
    Limits, Witness,
    auth::{self, Facts},
    catalog::{Catalog, Service, version_document},
    config::CloudConfig,
    facts::time,
    microversion::Version,
    refusal::Failed,
    transport::{Answer, Ask, Body, Transport},
};
use crate::{ErrorKind, job::Secret};

/// How long before its end a token is renewed; a tenth of its life where that is less.
const MARGIN: Duration = Duration::from_mins(5);
/// The life that is assumed where Keystone does not tell one.
const LIFE: Duration = Duration::from_mins(15);

struct Token {
    value: HeaderValue,
    /// Counts the tokens, so that a call can tell whether its own has been renewed meanwhile.
    number: u64,
    taken: Instant,
    life: Duration,
    facts: Arc<Facts>,
}

impl Token {
    fn is_old(&self) -> bool {
        self.taken.elapsed() >= self.life.saturating_sub(MARGIN.min(self.life / 10))
    }
}

/// A call of a service, relative to its address in the catalogue.
pub(super) struct Call<'a> {
    service: Service,
    method: Method,
    what: String,
    path: Vec<&'a str>,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    repeatable: bool,
    accept: &'static str,
    /// The byte that the answer begins with.
    from: u64,
}

impl<'a> Call<'a> {
    fn new(service: Service, method: Method, what: impl Into<String>, path: &[&'a str]) -> Self {
        let repeatable = method != Method::POST;
        Self { service, method, what: what.into(), path: path.to_vec(), query: vec![], body: None, repeatable, accept: "application/json", from: 0 }
    }

    /// `what` completes “Nova could not …”.
    pub fn get(service: Service, what: impl Into<String>, path: &[&'a str]) -> Self {
        Self::new(service, Method::GET, what, path)
    }

    pub fn post(service: Service, what: impl Into<String>, path: &[&'a str], body: Value) -> Self {
        Self { body: Some(body), ..Self::new(service, Method::POST, what, path) }
    }

    pub fn put(service: Service, what: impl Into<String>, path: &[&'a str]) -> Self {
        Self::new(service, Method::PUT, what, path)
    }

    pub fn delete(service: Service, what: impl Into<String>, path: &[&'a str]) -> Self {
        Self::new(service, Method::DELETE, what, path)
    }

    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// A page of a list that is cut by the last one's id.
    pub fn page(self, after: Option<&str>, limit: u32) -> Self {
        let call = self.query("limit", limit.max(1).to_string());
        match after {
            Some(id) => call.query("marker", id),
            None => call,
        }
    }

    /// What is no JSON.
    pub fn bytes(mut self) -> Self {
        self.accept = "*/*";
        self
    }

    /// What is no JSON, from that byte on.
    pub fn bytes_from(self, from: u64) -> Self {
        Self { from, ..self.bytes() }
    }

    /// A POST that may be sent twice, since the second finds done what it asks for.
    pub fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }
}

pub(super) struct Session {
    transport: Transport,
    config: CloudConfig,
    secret: Secret,
    token: Mutex<Token>,
    catalog: Catalog,
    project: (String, String),
    nova: OnceCell<Version>,
    cinder: OnceCell<Version>,
    /// What does not change: names of networks.
    pub names: std::sync::Mutex<HashMap<String, String>>,
}

impl Session {
    pub async fn connect(config: &CloudConfig, secret: &Secret, limits: Limits, witness: Option<Witness>) -> crate::Result<Self> {
        let transport = Transport::new(config, limits, witness)?;
        let (token, catalog) = Box::pin(authenticate(&transport, config, secret, 1)).await?;
        let Some(project) = token.facts.project.as_ref().map(|p| (p.id.clone(), p.name.clone())) else {
            return Err(Failed::invalid("the token is for no project; make the application credential or the trust for the project of the instances").into());
        };
        let session = Self {
            transport,
            config: config.clone(),
            secret: secret.clone(),
            token: Mutex::new(token),
            catalog,
            project,
            nova: OnceCell::new(),
            cinder: OnceCell::new(),
            names: std::sync::Mutex::default(),
        };
        session.version(Service::Compute).await?;
        Ok(session)
    }

    pub fn project_id(&self) -> &str {
        &self.project.0
    }

    pub fn project_name(&self) -> &str {
        &self.project.1
    }

    pub fn config(&self) -> &CloudConfig {
        &self.config
    }

    /// Whether the catalogue has it.
    pub fn has(&self, service: Service) -> bool {
        self.catalog.address(service, &self.config).is_ok()
    }

    /// A new token, whatever is left of the old one: the credential itself is tried.
    pub async fn renew(&self) -> Result<Arc<Facts>, Failed> {
        let mut token = self.token.lock().await;
        self.replace(&mut token).await?;
        Ok(Arc::clone(&token.facts))
    }

    async fn replace(&self, token: &mut Token) -> Result<(), Failed> {
        let (new, _) = Box::pin(authenticate(&self.transport, &self.config, &self.secret, token.number + 1)).await?;
        let project = new.facts.project.as_ref().map(|p| p.id.as_str());
        if project != Some(self.project.0.as_str()) {
            return Err(Failed::invalid(format!(
                "the credential leads to another project than before ({}); name the cloud anew for it",
                project.unwrap_or("none")
            )));
        }
        *token = new;
        Ok(())
    }

    /// The token to use, renewed where it is old or is the one that was refused.
    async fn token(&self, refused: Option<u64>) -> Result<(HeaderValue, u64), Failed> {
        let mut token = self.token.lock().await;
        if token.is_old() || refused == Some(token.number) {
            self.replace(&mut token).await?;
        }
        Ok((token.value.clone(), token.number))
    }

    fn address(&self, call: &Call<'_>) -> Result<Url, Failed> {
        let mut url = match call.service {
            Service::Identity => self.config.auth_url.clone(),
            service => self.catalog.address(service, &self.config)?,
        };
        url.path_segments_mut().map_err(|()| Failed::invalid(format!("the address of {} cannot be called", call.service)))?.pop_if_empty().extend(&call.path);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        Ok(url)
    }

    /// Sends a call, with the version that was agreed on.
    pub async fn call(&self, call: Call<'_>) -> Result<Answer, Failed> {
        let (mut ask, number) = Box::pin(self.ready(call)).await?;
        match Box::pin(self.transport.send(&ask)).await {
            Err(failed) if failed.is(401) => {
                Box::pin(self.renew_in(&mut ask, number)).await?;
                Box::pin(self.transport.send(&ask)).await
            }
            other => other,
        }
    }

    /// The same where the answer is read part by part.
    pub async fn open(&self, call: Call<'_>) -> Result<Body, Failed> {
        let (mut ask, number) = Box::pin(self.ready(call)).await?;
        match Box::pin(self.transport.open(&ask)).await {
            Err(failed) if failed.is(401) => {
                Box::pin(self.renew_in(&mut ask, number)).await?;
                Box::pin(self.transport.open(&ask)).await
            }
            other => other,
        }
    }

    /// Sends a call once whose body is as long as a disk. A token that is refused in the middle is not renewed.
    pub async fn fill(&self, call: Call<'_>, size: u64, body: reqwest::Body, limit: Duration) -> Result<(), Failed> {
        let (mut ask, _) = Box::pin(self.ready(call)).await?;
        ask.headers.insert(reqwest::header::CONTENT_LENGTH, HeaderValue::from(size));
        Box::pin(self.transport.fill(&ask, body, limit)).await
    }

    /// A call as it is sent, with the number of its token.
    async fn ready(&self, call: Call<'_>) -> Result<(Ask, u64), Failed> {
        // An id is one segment: a dot or nothing would lead elsewhere.
        if call.path.iter().any(|s| s.is_empty() || matches!(*s, "." | "..")) {
            return Err(Failed::invalid(format!("{} was to {}, but an id is empty", call.service, call.what)));
        }
        let mut headers = HeaderMap::new();
        headers.insert(reqwest::header::ACCEPT, HeaderValue::from_static(call.accept));
        if let Ok(range) = HeaderValue::try_from(format!("bytes={}-", call.from))
            && call.from > 0
        {
            headers.insert(reqwest::header::RANGE, range);
        }
        if matches!(call.service, Service::Compute | Service::Volume) {
            headers.insert("openstack-api-version", self.version(call.service).await?.header(call.service));
        }
        let body = call.body.as_ref().map(|b| b.to_string().into());
        let url = self.address(&call)?;
        let (token, number) = self.token(None).await?;
        headers.insert("x-auth-token", token);
        Ok((Ask { service: call.service, what: call.what, method: call.method, url, body, headers, repeatable: call.repeatable }, number))
    }

    async fn renew_in(&self, ask: &mut Ask, refused: u64) -> Result<(), Failed> {
        let (token, _) = self.token(Some(refused)).await?;
        ask.headers.insert("x-auth-token", token);
        Ok(())
    }

    /// The same, read as JSON. A page after something that is deleted by now is asked for in vain: the list begins anew.
    pub async fn json(&self, call: Call<'_>) -> Result<Value, Failed> {
        let (service, what) = (call.service, call.what.clone());
        let goes_on = call.query.iter().any(|(name, _)| *name == "marker");
        let answer = self.call(call).await.map_err(|failed| if goes_on { failed.of_page() } else { failed })?;
        serde_json::from_slice(&answer.body).map_err(|e| Failed::odd(service, &what, &format!("no JSON ({e})")))
    }

    /// The same for what may not be there.
    pub async fn json_if(&self, call: Call<'_>) -> Result<Option<Value>, Failed> {
        match self.json(call).await {
            Err(failed) if failed.is_gone() => Ok(None),
            other => other.map(Some),
        }
    }

    /// The version that is spoken with Nova or Cinder.
    pub async fn version(&self, service: Service) -> Result<Version, Failed> {
        let cell = if service == Service::Compute { &self.nova } else { &self.cinder };
        cell.get_or_try_init(async || {
            let address = self.catalog.address(service, &self.config)?;
            let (token, number) = self.token(None).await?;
            let mut ask = Ask {
                service,
                what: "say which versions it speaks".to_owned(),
                method: Method::GET,
                url: version_document(address),
                body: None,
                headers: HeaderMap::from_iter([(reqwest::header::HeaderName::from_static("x-auth-token"), token)]),
                repeatable: true,
            };
            let answer = match Box::pin(self.transport.send(&ask)).await {
                Err(failed) if failed.is(401) => {
                    let (token, _) = self.token(Some(number)).await?;
                    ask.headers.insert("x-auth-token", token);
                    Box::pin(self.transport.send(&ask)).await
                }
                other => other,
            };
            Version::agree(service, &answer?.body)
        })
        .await
        .copied()
    }
}

async fn authenticate(transport: &Transport, config: &CloudConfig, secret: &Secret, number: u64) -> Result<(Token, Catalog), Failed> {
    let what = format!("authenticate with the {}", config.auth.what());
    let odd = |why: &str| Failed::odd(Service::Identity, &what, why);
    let mut url = config.auth_url.clone();
    url.path_segments_mut().map_err(|()| Failed::invalid("the location cannot be called"))?.pop_if_empty().extend(["auth", "tokens"]);
    let ask = Ask {
        service: Service::Identity,
        what: what.clone(),
        method: Method::POST,
        url,
        body: Some(auth::body(&config.auth, secret).map_err(|_| odd("the request cannot be written"))?),
        headers: HeaderMap::from_iter([(reqwest::header::ACCEPT, HeaderValue::from_static("application/json"))]),
        // Another token does no harm.
        repeatable: true,
    };
    let taken = Instant::now();
    let answer = transport.send(&ask).await.map_err(|failed| explained(failed, config).without(secret.reveal()))?;
    let value = answer.headers.get("x-subject-token").and_then(auth::token).ok_or_else(|| odd("there is no token in it"))?;
    let mut facts = serde_json::from_slice::<auth::Answered>(&answer.body).map_err(|e| odd(&format!("{e}")))?.token;
    let catalog = facts.catalog();
    let moment = |text: &Option<String>| text.as_deref().and_then(time);
    let life = match (moment(&facts.issued_at), moment(&facts.expires_at)) {
        (Some(from), Some(to)) if to > from => Duration::from_secs_f64(to.secs_since(from)),
        _ => LIFE,
    };
    Ok((Token { value, number, taken, life, facts: Arc::new(facts) }, catalog))
}

/// What a refusal of Keystone means for each way to prove oneself.
fn explained(mut failed: Failed, config: &CloudConfig) -> Failed {
    use super::config::Auth;
    let means = match (&config.auth, failed.status) {
        (Auth::CredentialId(_) | Auth::CredentialName { .. }, Some(404)) => {
            "the application credential does not exist, or was deleted; make a new one and give its id and secret"
        }
        (Auth::CredentialId(_) | Auth::CredentialName { .. }, Some(401)) => "the secret is wrong, or the application credential has expired; give a new one",
        (Auth::Password { .. }, Some(401)) => "the user, the password or the project is wrong, or the user has no role in the project",
        (Auth::Trust { .. }, Some(401 | 403 | 404)) => "the password is wrong, or the trust has expired or was deleted; let the trustor give a new one",
        (_, Some(404)) => "look whether the location leads to Keystone",
        _ => return failed,
    };
    // Whoever asked for a thing must not take this for an answer about the thing.
    failed.status = None;
    failed.kind = ErrorKind::Denied;
    let said = failed.message.split("; ").next().unwrap_or_default().trim_end_matches('.').to_owned();
    failed.message = format!("{said}; {means}");
    failed
}
