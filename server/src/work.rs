//! The worker process: opens the database, carries runs out until it is told to stop.
//!
//! Lives here: the order of starting and stopping. May not: routes, what a run does.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use ops::{config::Tools, secrets::Environment};
use runner::{Children, Deps, Worker};
use store::Db;
use tokio::sync::watch;

use crate::{
    health::Health,
    serve::{ServeError, stopped, told_to_stop},
};

/// What `holdfast worker` was told.
#[derive(Clone, Debug)]
pub struct Settings {
    pub data: PathBuf,
    pub database: String,
    /// The environment that secrets may be referred to by name in.
    pub env: Environment,
    /// What restore tests may call.
    pub tools: Arc<Tools>,
    pub name: String,
    pub max_parallel: usize,
    /// Where to answer questions about its health, if anywhere.
    pub listen: Option<SocketAddr>,
}

/// Runs until SIGINT or SIGTERM; then its children are stopped and its runs given back. `ready` is called once.
pub async fn work(settings: Settings, ready: impl FnOnce(Option<SocketAddr>)) -> Result<(), ServeError> {
    let listener = match settings.listen {
        Some(address) => Some(tokio::net::TcpListener::bind(address).await.map_err(|e| ServeError::Listen(address, e))?),
        None => None,
    };
    let db = Db::open(&settings.database).await?;
    let access = ops::metrics::Access::from_env(&settings.env)?;
    let mut deps = Deps::new(db.clone(), settings.data, settings.env, Arc::new(Children::new(std::env::current_exe()?)));
    deps.tools = settings.tools;
    deps.limits.slots = settings.max_parallel;
    deps.name = settings.name;
    let worker = Worker::new(deps);
    let stop = watch::Sender::new(false);
    let health = Health::new(db.clone(), Some(worker.pulse()), access, crate::health::Tells::Process);
    ready(listener.as_ref().and_then(|l| l.local_addr().ok()));
    let answers = listener.map(|listener| {
        let router = crate::health::router(health).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(axum::serve(listener, router).with_graceful_shutdown(stopped(stop.subscribe())).into_future())
    });
    let work = tokio::spawn(worker.run(stopped(stop.subscribe())));
    told_to_stop().await;
    stop.send_replace(true);
    if let Err(e) = work.await {
        tracing::error!(error = %e, "the worker did not end well");
    }
    if let Some(answers) = answers {
        answers.abort();
    }
    db.close().await;
    Ok(())
}
