//! Whether this process is well, for those who watch it: `/healthz`, `/readyz`, `/metrics`.
//!
//! Lives here: the three answers. May not: what is measured (`metrics`), who may read it (`ops::metrics`).
//! Invariant: `/healthz` asks nothing of anybody, so that a slow database never makes a supervisor kill the process.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::{ConnectInfo, FromRequestParts, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::get,
};
use ops::{
    OpsError,
    metrics::{Access, Scraper},
};
use runner::Pulse;
use store::{Clock, Db};
use tokio::sync::Mutex;

use crate::metrics;

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a process tells of in its metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    /// Itself alone. Several processes would count the installation several times.
    Process,
    /// Itself and how the installation stands.
    Installation,
}

/// What the answers are made of.
#[derive(Clone, Debug)]
pub struct Health {
    db: Db,
    clock: Clock,
    /// `None` where runs are carried out by other processes.
    pulse: Option<Pulse>,
    access: Access,
    tells: Tells,
    facts: Arc<Mutex<Option<metrics::Kept>>>,
}

impl Health {
    pub fn new(db: Db, pulse: Option<Pulse>, access: Access, tells: Tells) -> Self {
        metrics::install();
        Self { db, clock: Clock::System, pulse, access, tells, facts: Arc::default() }
    }
}

pub fn router(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape))
        .layer(axum::middleware::from_fn(crate::web::headers::set))
        .with_state(health)
}

/// One line for each thing that must work; 503 when one does not.
async fn ready(State(health): State<Health>) -> Response {
    let asked = async { store::db::schema(&health.db).await };
    let mut well = true;
    let mut lines = Vec::new();
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(schema)) if schema.applied < schema.known => {
            well = false;
            lines.push("database: answers".to_owned());
            lines.push(format!("migrations: the tables are at {}, this program needs {}; start `holdfast serve` once", schema.applied, schema.known));
        }
        Ok(Ok(schema)) => {
            lines.push("database: answers".to_owned());
            // Tables are extended first and cut back a version later, so that the one before goes on meanwhile (R63).
            let newer = schema.applied > schema.known;
            lines.push(if newer { "migrations: newer than this program; upgrade it, too".to_owned() } else { "migrations: up to date".to_owned() });
        }
        Ok(Err(e)) => {
            tracing::warn!(error = %e, "not ready: the database does not answer");
            well = false;
            lines.push("database: does not answer; the log says why".to_owned());
        }
        Err(_) => {
            well = false;
            lines.push(format!("database: no answer within {} s", PATIENCE.as_secs()));
        }
    }
    match &health.pulse {
        Some(pulse) if pulse.is_alive() => lines.push("worker: alive".to_owned()),
        Some(pulse) => {
            well = false;
            lines.push(format!("worker: has stood still for {} s", pulse.age().as_secs()));
        }
        None => lines.push("worker: in other processes".to_owned()),
    }
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CACHE_CONTROL, "no-store")], format!("{}\n{}\n", if well { "ready" } else { "not ready" }, lines.join("\n"))).into_response()
}

/// Who asks for the metrics, as far as the request tells.
struct Asked {
    bearer: Option<String>,
    peer: Option<IpAddr>,
    forwarded: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let bearer = parts.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|c| c.0.ip());
        Ok(Self { bearer: bearer.map(|b| b.trim().to_owned()), peer, forwarded: forwarded(&parts.headers) })
    }
}

/// Whether a proxy handed the request on: then the peer is the proxy, and not who asks.
fn forwarded(headers: &HeaderMap) -> bool {
    ["forwarded", "x-forwarded-for", "x-real-ip", "via"].iter().any(|name| headers.contains_key(*name))
}

async fn scrape(State(health): State<Health>, asked: Asked) -> Response {
    let scraper = Scraper { bearer: asked.bearer.as_deref(), peer: asked.peer, forwarded: asked.forwarded };
    let ctx = match ops::metrics::admit(&health.access, &scraper, health.db.clone(), health.clock.clone()) {
        Ok(ctx) => ctx,
        Err(e) => return refused(&health.access, &e),
    };
    let mut text = metrics::process(&health.db);
    if health.tells == Tells::Installation {
        match metrics::installation(&ctx, &health.facts).await {
            Ok(facts) => text.push_str(&facts),
            Err(e) => {
                tracing::error!(error = %e, "the metrics of the installation could not be gathered");
                return (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response();
            }
        }
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"), (header::CACHE_CONTROL, "no-store")], text).into_response()
}

fn refused(access: &Access, e: &OpsError) -> Response {
    let status = if access.wants_token() { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
    let mut response = (status, format!("{e}\n")).into_response();
    if access.wants_token() {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
