//! What a page needs to answer one request.
//!
//! Lives here: the handles shared by all requests, and the actor of this one. May not: deciding permission.

use std::net::IpAddr;

use jiff::tz::TimeZone;
use leptos::prelude::*;
use ops::{Actor, Ctx};

use crate::components::address::Query;

/// Shared by all requests; made once by the server.
#[derive(Clone, Debug)]
pub struct AppContext {
    pub db: store::Db,
    pub clock: store::Clock,
    /// Repositories that are open for looking into.
    pub repositories: ops::repositories::Registry,
    /// The zone in which pages show times.
    pub zone: TimeZone,
    pub version: &'static str,
    /// Where this process listens, as an address, for when nobody has configured another.
    pub local_address: String,
    /// People use TLS, whatever a single request looks like.
    pub secure_cookies: bool,
    /// How all services stand, kept for a moment.
    pub overview: ops::overview::Cache,
    /// What the server's own configuration lets restore tests call, by name.
    pub tools: std::sync::Arc<ops::config::Tools>,
    /// Seals what people type as secrets.
    pub vault: ops::secrets::Vault,
}

/// Where this request came from, put into the request by the server's middleware.
#[derive(Clone, Debug)]
pub struct Visitor {
    pub actor: Actor,
    pub origin: String,
    pub theme: Theme,
    /// Keys without Ctrl or Alt do something outside of fields.
    pub single_keys: bool,
}

/// How a request came in, put into it by the server's middleware.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// Whose request it is, as far as the connection and trusted proxies tell.
    pub client: Option<IpAddr>,
    /// People use TLS: cookies are for TLS alone.
    pub secure: bool,
    /// The host that the browser asked for.
    pub host: Option<String>,
}

impl Arrival {
    /// The name of a cookie for all paths. With the prefix browsers take it from this very host alone, over TLS.
    pub fn cookie(&self, name: &str) -> String {
        if self.secure { format!("__Host-{name}") } else { name.to_owned() }
    }
}

/// The colour scheme a visitor chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    #[default]
    System,
    Light,
    Dark,
}

impl Theme {
    pub const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    pub fn parse(text: &str) -> Self {
        Self::ALL.into_iter().find(|t| t.as_str() == text).unwrap_or_default()
    }
}

/// The shared handles. Call it before the first `await`.
pub fn app() -> AppContext {
    expect_context::<AppContext>()
}

/// The query of this page's address. Call it before the first `await`.
pub fn query() -> Query {
    use_context::<http::request::Parts>().and_then(|p| p.uri.query().map(Query::parse)).unwrap_or_default()
}

/// Who asks for this page. Call it before the first `await`.
pub fn visitor() -> Visitor {
    use_context::<http::request::Parts>().and_then(|p| p.extensions.get::<Visitor>().cloned()).unwrap_or_else(|| Visitor {
        actor: Actor::anonymous(),
        origin: "unknown".to_owned(),
        theme: Theme::System,
        single_keys: true,
    })
}

/// How this request came in. Call it before the first `await`.
pub fn arrival() -> Arrival {
    use_context::<http::request::Parts>().and_then(|p| p.extensions.get::<Arrival>().cloned()).unwrap_or_default()
}

/// The context of a use case for this request. Call it before the first `await`.
pub fn ctx() -> Ctx {
    let (app, visitor) = (app(), visitor());
    Ctx { actor: visitor.actor, origin: visitor.origin.into(), clock: app.clock, db: app.db, claim: None }
}

/// One cookie of the request.
pub fn cookie(headers: &http::HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(http::header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .find_map(|pair| pair.trim().split_once('=').filter(|(n, _)| *n == name).map(|(_, v)| v.to_owned()))
}
