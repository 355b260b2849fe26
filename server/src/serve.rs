//! The server: opens the database, starts the worker, answers until it is told to stop.
//!
//! Lives here: the order of starting and stopping. May not: routes, commands.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, pin::Pin, sync::Arc};

use app::context::AppContext;
use axum::serve::ListenerExt as _;
use ipnet::IpNet;
use leptos::config::LeptosOptions;
use ops::{Actor, Ctx, config::Tools, secrets::Environment};
use runner::{Children, Deps, Scheduler, Worker};
use store::{Clock, Db, wake};
use tokio::sync::watch;

use crate::{
    health::{Health, Tells},
    state::AppState,
    tls::{self, TlsError},
    web::{Edge, Limits, Trusted, events::Streams},
};

/// What `holdfast serve` was told.
#[derive(Clone, Debug)]
pub struct Settings {
    pub data: PathBuf,
    pub database: String,
    pub listen: SocketAddr,
    /// Fill an empty installation with the example service.
    pub example: bool,
    /// A proxy in front ends TLS.
    pub behind_tls: bool,
    /// The proxies that are believed.
    pub trusted: Vec<IpNet>,
    /// Speak TLS by these files.
    pub tls: Option<tls::Files>,
    /// Tries to get in, a minute and address.
    pub sign_in_rate: NonZeroU32,
    /// Runs at a time; none where other processes carry them out.
    pub max_parallel: usize,
    /// The environment that secrets may be referred to by name in.
    pub env: Environment,
    /// What restore tests may call.
    pub tools: Arc<Tools>,
}

/// Why the server could not start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("{0}")]
    Tls(#[from] TlsError),
    #[error("{0}")]
    Database(#[from] store::StoreError),
    #[error("cannot listen on {0}: {1}; choose another address with --listen")]
    Listen(SocketAddr, std::io::Error),
    #[error("{0}")]
    Ops(#[from] ops::OpsError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Runs until SIGINT or SIGTERM. `ready` is called with the address and, at the first start, a sign-in link.
pub async fn serve(settings: Settings, ready: impl FnOnce(&str, Option<String>)) -> Result<(), ServeError> {
    let certificate = match settings.tls {
        Some(files) => Some(tls::Certificate::open(files).await?),
        None => None,
    };
    let scheme = if certificate.is_some() { "https" } else { "http" };
    let listener = tokio::net::TcpListener::bind(settings.listen).await.map_err(|e| ServeError::Listen(settings.listen, e))?;
    let address = listener.local_addr()?;
    if certificate.is_none() && !settings.behind_tls && settings.trusted.is_empty() && !address.ip().is_loopback() {
        tracing::warn!(%address, "everybody on the network can read along: give --tls-cert and --tls-key, or name the proxy in front by --trusted-proxy");
    }
    let db = Db::open(&settings.database).await?;
    let keys = ops::seal::Keys::of(&settings.data);
    keys.make().map_err(|e| ServeError::Io(std::io::Error::other(e.to_string())))?;
    let access = ops::metrics::Access::from_env(&settings.env)?;
    let app = AppContext {
        db: db.clone(),
        clock: Clock::System,
        repositories: ops::repositories::Registry::new(settings.env.clone()),
        zone: jiff::tz::TimeZone::system(),
        version: env!("CARGO_PKG_VERSION"),
        local_address: local(scheme, address),
        secure_cookies: settings.behind_tls || certificate.is_some(),
        overview: ops::overview::Cache::default(),
        tools: settings.tools.clone(),
        vault: ops::secrets::Vault::new(settings.env.clone(), keys),
    };
    let leptos = LeptosOptions::builder().output_name("holdfast").site_root("site").site_pkg_dir("pkg").site_addr(address).build();
    let streams = Streams::default();
    let mut deps = Deps::new(db.clone(), settings.data.clone(), settings.env, Arc::new(Children::new(std::env::current_exe()?)));
    "server".clone_into(&mut deps.name);
    deps.tools = settings.tools;
    deps.limits.slots = settings.max_parallel;
    let worker = (settings.max_parallel > 0).then(|| Worker::new(deps.clone()));
    let health = Health::new(db.clone(), worker.as_ref().map(Worker::pulse), access, Tells::Installation);
    let providers = crate::oidc::Providers::new().map_err(std::io::Error::other)?;
    let edge = Edge::new(Trusted::new(&settings.trusted), Limits::new(settings.sign_in_rate));
    let state = AppState { leptos, app, streams: streams.clone(), providers, edge };
    let api = crate::api::router(&state.app);
    let router = crate::web::router(state, api).merge(crate::health::router(health));

    let ctx = Ctx::new(db.clone(), Actor::system(), "start");
    let link = if ops::sign_in::is_first_start(&ctx).await? { Some(link(scheme, address, &ops::sign_in::make_link(&ctx).await?)) } else { None };
    ready(&format!("{scheme}://{address}"), link);

    // One signal stops all: pages first refuse new connections, the worker stops its children and gives its runs back.
    let stop = watch::Sender::new(false);
    let watch = tokio::spawn(runner::watch(deps.clone(), stopped(stop.subscribe())));
    let scheduler = tokio::spawn(Scheduler::new(db.clone(), Clock::System).run(stopped(stop.subscribe())));
    let work = match worker {
        Some(worker) => tokio::spawn(worker.run(stopped(stop.subscribe()))),
        None => tokio::spawn(hear(db.clone(), deps.signs, stopped(stop.subscribe()))),
    };
    if settings.example {
        tokio::spawn(crate::example::show(ctx, settings.data));
    }
    let told = {
        let stop = stop.clone();
        async move {
            told_to_stop().await;
            // An open stream would keep its connection until it is cut.
            streams.stop();
            stop.send_replace(true);
        }
    };
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let served: Pin<Box<dyn Future<Output = std::io::Result<()>> + Send>> = match &certificate {
        // The tap lets the address of a connection through to its requests.
        Some(c) => Box::pin(axum::serve(c.listen(listener)?.tap_io(|_| {}), service).with_graceful_shutdown(told).into_future()),
        None => Box::pin(axum::serve(listener, service).with_graceful_shutdown(told).into_future()),
    };
    if let Some(certificate) = certificate {
        tokio::spawn(certificate.keep());
    }
    // What is still being answered gets a moment, then it is cut.
    let cut = async {
        stopped(stop.subscribe()).await;
        tokio::time::sleep(PATIENCE).await;
    };
    tokio::select! {
        done = served => done?,
        () = cut => {}
    }
    for (what, task) in [("worker", work), ("scheduler", scheduler), ("watchdogs", watch)] {
        if let Err(e) = task.await {
            tracing::error!(error = %e, what, "did not end well");
        }
    }
    db.close().await;
    Ok(())
}

/// How long open answers may take after the server was told to stop.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(3);

/// Passes the news of other processes on to the pages until `stop`. A worker of this process would do that.
///
/// Workers are others' business then: the heartbeat tells that this process and the database are well.
async fn hear(db: Db, signs: runner::Signs, stop: impl Future<Output = ()>) {
    let beat = async {
        loop {
            signs.worker();
            tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        }
    };
    tokio::select! {
        () = wake::listen(db) => {}
        () = beat => {}
        () = stop => {}
    }
}

/// Waits for the word to stop.
pub async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop as well.
    stop.wait_for(|s| *s).await.ok();
}

/// The address that spends a sign-in token.
pub fn link(scheme: &str, address: SocketAddr, token: &str) -> String {
    format!("{}/login?token={token}", local(scheme, address))
}

/// Where a browser on this machine finds the server.
pub fn local(scheme: &str, address: SocketAddr) -> String {
    if address.ip().is_unspecified() { format!("{scheme}://localhost:{}", address.port()) } else { format!("{scheme}://{address}") }
}

/// Waits for a signal to stop.
pub async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = term.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
