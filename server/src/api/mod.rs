//! The REST API, `/api/v1`: what the pages can do, for programs.
//!
//! Lives here: the router with its OpenAPI document, one file a resource, the map from `OpsError` to problem+json.
//! May not: SQL, rules, permission (that is `ops`). Invariant: every answer that is no success is problem+json, and
//! every path stands in the document, from which the refusal tests are made.

mod alerts;
mod asker;
mod audit;
mod channels;
mod deliveries;
mod docs;
mod holds;
mod notifications;
mod policies;
mod problem;
mod repositories;
mod runs;
mod schedules;
mod services;
mod snapshots;
mod start;
mod tokens;
mod words;
mod workers;

pub use asker::Asker;
use axum::{
    Json, Router,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
pub use docs::DOCS;
pub use problem::Problem;
use utoipa::{OpenApi, openapi::OpenApi as Document};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::AppState;

#[derive(OpenApi)]
#[openapi(
    info(title = "Holdfast", description = "Backups, restores and restore tests. Times are RFC 3339 in UTC, sizes bytes, spans seconds."),
    tags(
        (name = "services", description = "What is promised, and the data behind it"),
        (name = "policies", description = "What is kept, and why"),
        (name = "repositories", description = "Where backups live, and what is known of that place"),
        (name = "snapshots", description = "Immutable copies of items"),
        (name = "holds", description = "What stands against forgetting"),
        (name = "alerts", description = "What is wrong, from its opening to its end"),
        (name = "notifications", description = "Who is told of what, and whether it arrived"),
        (name = "runs", description = "Work that is done, running or waiting"),
        (name = "access", description = "Tokens of programs, and what they may do"),
        (name = "audit", description = "Who changed what, when and from where"),
        (name = "schedules", description = "When work is done again and again, and what came of each time")
    ),
    // These are served beside the pages' streams.
    paths(crate::web::events::one_run, crate::web::events::live_runs),
    components(schemas(problem::Problem))
)]
struct Base;

/// The routes and the document that describes them.
fn parts() -> (Router<AppState>, Document) {
    OpenApiRouter::with_openapi(Base::openapi())
        .routes(routes!(services::list))
        .routes(routes!(services::find))
        .routes(routes!(services::sources))
        .routes(routes!(policies::list))
        .routes(routes!(policies::preview))
        .routes(routes!(repositories::list))
        .routes(routes!(repositories::find))
        .routes(routes!(repositories::sizes))
        .routes(routes!(repositories::locks))
        .routes(routes!(repositories::clear))
        .routes(routes!(repositories::kit))
        .routes(routes!(snapshots::list))
        .routes(routes!(snapshots::find))
        .routes(routes!(holds::list, holds::place))
        .routes(routes!(holds::find))
        .routes(routes!(holds::release))
        .routes(routes!(holds::keep))
        .routes(routes!(runs::list, start::start))
        .routes(routes!(runs::find))
        .routes(routes!(runs::items))
        .routes(routes!(runs::cancel))
        .routes(routes!(start::retry))
        .routes(routes!(alerts::list))
        .routes(routes!(alerts::find))
        .routes(routes!(alerts::acknowledge))
        .routes(routes!(channels::list))
        .routes(routes!(channels::find, channels::save, channels::remove))
        .routes(routes!(channels::test))
        .routes(routes!(notifications::rules))
        .routes(routes!(notifications::save_rule, notifications::remove_rule))
        .routes(routes!(notifications::heartbeats))
        .routes(routes!(notifications::save_heartbeat, notifications::remove_heartbeat))
        .routes(routes!(notifications::address, notifications::set_address))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::find))
        .routes(routes!(deliveries::retry))
        .routes(routes!(audit::list))
        .routes(routes!(audit::verify))
        .routes(routes!(audit::export))
        .routes(routes!(tokens::list, tokens::make))
        .routes(routes!(tokens::revoke))
        .routes(routes!(tokens::me))
        .routes(routes!(workers::list))
        .routes(routes!(schedules::list, schedules::create))
        .routes(routes!(schedules::find, schedules::change, schedules::remove))
        .routes(routes!(schedules::pause))
        .routes(routes!(schedules::resume))
        .routes(routes!(schedules::ticks))
        .routes(routes!(schedules::ledger))
        .routes(routes!(schedules::meaning))
        .split_for_parts()
}

/// Everything below `/api`.
pub fn router() -> Router<AppState> {
    let (router, document) = parts();
    let document = Json(document);
    router
        .merge(docs::routes())
        .route("/api/openapi.json", get(move || async move { document }))
        .route("/api/{*rest}", axum::routing::any(problem::no_such_path))
}

/// The answer to a call of somebody who has not signed in.
pub fn signed_out() -> Response {
    Problem::signed_out().into_response()
}

/// The answer to a call with a token that is not valid.
pub fn no_such_token() -> Response {
    let mut answer = Problem::bad_token().into_response();
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""));
    answer
}

/// The answer where nobody could be recognised.
pub fn failed(e: ops::OpsError) -> Response {
    Problem::from(e).into_response()
}

#[cfg(test)]
mod matrix_tests;
#[cfg(test)]
mod tests;
