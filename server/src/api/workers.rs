//! `/api/v1/workers`: who carries runs out.

use axum::Json;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{asker::Asker, problem::Problem, words::at};

/// A process that carries runs out.
#[derive(Debug, Serialize, ToSchema)]
pub struct Worker {
    /// As its command line says; `server` is the one inside `holdfast serve`.
    name: String,
    /// The machine and, inside it, the container.
    host: String,
    version: String,
    /// Runs at a time.
    max_parallel: i64,
    /// Runs that it carries out now.
    running: i64,
    started_at: Timestamp,
    seen_at: Timestamp,
    /// It said lately that it lives.
    alive: bool,
}

/// All of them.
#[derive(Debug, Serialize, ToSchema)]
pub struct Workers {
    workers: Vec<Worker>,
}

/// List the workers
///
/// One that stopped in good order is not listed; one that vanished is, for a day, with `alive` false.
#[utoipa::path(get, path = "/api/v1/workers", tag = "runs",
    responses((status = 200, body = Workers)))]
pub async fn list(Asker(ctx): Asker) -> Result<Json<Workers>, Problem> {
    let workers = ops::workers::list(&ctx).await?.into_iter().map(|w| Worker {
        name: w.row.name,
        host: w.row.host,
        version: w.row.version,
        max_parallel: w.row.slots,
        running: w.running,
        started_at: at(w.row.started_at),
        seen_at: at(w.row.seen_at),
        alive: w.is_alive,
    });
    Ok(Json(Workers { workers: workers.collect() }))
}
