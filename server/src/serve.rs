//! The server: opens the database, starts the worker, answers until it is told to stop.
//!
//! Lives here: the order of starting and stopping. May not: routes, commands.

use std::{net::SocketAddr, path::PathBuf};

use app::context::AppContext;
use axum::Router;
use leptos::config::LeptosOptions;
use ops::{Actor, Ctx};
use store::{Clock, Db};

use crate::state::AppState;

/// What `holdfast serve` was told.
#[derive(Clone, Debug)]
pub struct Settings {
    pub data: PathBuf,
    pub database: String,
    pub listen: SocketAddr,
    /// Fill an empty installation with the example service.
    pub example: bool,
    /// Cookies only over TLS: set where a proxy in front ends TLS.
    pub secure_cookies: bool,
}

/// Why the server could not start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
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
pub async fn serve(settings: Settings, ready: impl FnOnce(SocketAddr, Option<String>)) -> Result<(), ServeError> {
    let listener = tokio::net::TcpListener::bind(settings.listen).await.map_err(|e| ServeError::Listen(settings.listen, e))?;
    let address = listener.local_addr()?;
    let db = Db::open(&settings.database).await?;
    let app = AppContext {
        db: db.clone(),
        clock: Clock::System,
        zone: jiff::tz::TimeZone::system(),
        version: env!("CARGO_PKG_VERSION"),
        secure_cookies: settings.secure_cookies,
        overview: ops::overview::Cache::default(),
    };
    let leptos = LeptosOptions::builder().output_name("holdfast").site_root("site").site_pkg_dir("pkg").site_addr(address).build();
    let router = crate::web::router(AppState { leptos, app }, Router::new());

    let ctx = Ctx::new(db.clone(), Actor::system(), "start");
    let link = if ops::sign_in::is_first_start(&ctx).await? { Some(link(address, &ops::sign_in::make_link(&ctx).await?)) } else { None };
    ready(address, link);
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).with_graceful_shutdown(told_to_stop()).await?;
    db.close().await;
    Ok(())
}

/// The address that spends a sign-in token.
pub fn link(address: SocketAddr, token: &str) -> String {
    let host = if address.ip().is_unspecified() { format!("localhost:{}", address.port()) } else { address.to_string() };
    format!("http://{host}/login?token={token}")
}

async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = term.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
