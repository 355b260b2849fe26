//! The REST API, `/api/v1`: what the pages can do, for programs.
//!
//! Lives here: the router with its OpenAPI document, one file a resource, the map from `OpsError` to problem+json.
//! May not: SQL, rules, permission (that is `ops`). Invariant: every answer that is no success is problem+json, and
//! every path stands in the document, from which the refusal tests are made.

mod accounts;
mod alerts;
mod asker;
mod audit;
mod availability;
mod calendars;
mod channels;
mod clones;
mod configuration;
mod deliveries;
mod docs;
mod document;
mod evidence;
mod exercises;
mod files;
mod findings;
mod holds;
mod instances;
mod links;
mod notifications;
mod offsite;
mod once;
mod orphans;
mod people;
mod plans;
mod policies;
mod problem;
mod repositories;
mod restore_tests;
mod restores;
mod reviews;
mod risks;
mod runs;
mod schedules;
mod search;
mod services;
mod snapshots;
mod start;
mod test_definitions;
mod tokens;
mod transfers;
mod version;
mod words;
mod workers;

use app::context::AppContext;
pub use asker::Asker;
use axum::{
    Json, Router,
    http::{HeaderValue, header},
    middleware,
    response::{IntoResponse as _, Response},
    routing::get,
};
pub use docs::DOCS;
pub use problem::{NO_JSON, Problem};
pub use transfers::ARCHIVES;
use utoipa::{OpenApi, openapi::OpenApi as Document};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::AppState;

#[derive(OpenApi)]
#[openapi(
    info(title = "Holdfast", description = "Backups, restores and restore tests. Times are RFC 3339 in UTC, sizes bytes, spans seconds."),
    tags(
        (name = "services", description = "What is promised, and the data behind it"),
        (name = "availability", description = "How available and reliable services were, month by month"),
        (name = "policies", description = "What is kept, and why"),
        (name = "repositories", description = "Where backups live, and what is known of that place"),
        (name = "snapshots", description = "Immutable copies of items"),
        (name = "holds", description = "What stands against forgetting"),
        (name = "alerts", description = "What is wrong, from its opening to its end"),
        (name = "notifications", description = "Who is told of what, and whether it arrived"),
        (name = "files", description = "What is inside snapshots"),
        (name = "people", description = "Whom things are kept for"),
        (name = "restore tests", description = "What was proven, and what was measured"),
        (name = "plans", description = "How services are brought back, and who has agreed to that"),
        (name = "risks", description = "What may happen, how grave it is, and whether what is done about it is proven"),
        (name = "evidence", description = "What was proven, signed: records, keys, packs"),
        (name = "exercises", description = "Recovery done by people, and what it took"),
        (name = "restores", description = "Bringing files back: tried, counted, confirmed"),
        (name = "transfers", description = "An item serialized to a location, and brought back from one"),
        (name = "runs", description = "Work that is done, running or waiting"),
        (name = "reviews", description = "When each service is to be looked at, what was found, and who has brought it back"),
        (name = "access", description = "Tokens of programs, and what they may do"),
        (name = "configuration", description = "All that is configured, as one file"),
        (name = "search", description = "Whatever bears a name or an id"),
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
    let (router, mut document) = OpenApiRouter::with_openapi(Base::openapi())
        .routes(routes!(services::list))
        .routes(routes!(services::find))
        .routes(routes!(services::sources))
        .routes(routes!(services::items))
        .routes(routes!(instances::list))
        .routes(routes!(instances::find))
        .routes(routes!(instances::take))
        .routes(routes!(instances::look))
        .routes(routes!(clones::list, clones::order))
        .routes(routes!(clones::find))
        .routes(routes!(clones::end))
        .routes(routes!(clones::lengthen))
        .routes(routes!(clones::preview, clones::in_place))
        .routes(routes!(orphans::list))
        .routes(routes!(orphans::delete))
        .routes(routes!(orphans::adopt))
        .routes(routes!(orphans::adopt_all))
        .routes(routes!(availability::months))
        .routes(routes!(availability::month, availability::enter, availability::forget))
        .routes(routes!(availability::show))
        .routes(routes!(availability::explanation, availability::explain, availability::unexplain))
        .routes(routes!(availability::argo, availability::save_argo, availability::remove_argo))
        .routes(routes!(availability::fetch_argo))
        .routes(routes!(reviews::list))
        .routes(routes!(reviews::of_service))
        .routes(routes!(reviews::find, reviews::change))
        .routes(routes!(reviews::done))
        .routes(routes!(reviews::withdraw))
        .routes(routes!(reviews::exempt, reviews::end_exemption))
        .routes(routes!(calendars::list, calendars::make))
        .routes(routes!(calendars::revoke))
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
        .routes(routes!(snapshots::archive))
        .routes(routes!(offsite::copy))
        .routes(routes!(offsite::bring_back))
        .routes(routes!(findings::list))
        .routes(routes!(findings::waivers, findings::waive))
        .routes(routes!(findings::find))
        .routes(routes!(findings::end))
        .routes(routes!(holds::list, holds::place))
        .routes(routes!(holds::find))
        .routes(routes!(holds::release))
        .routes(routes!(holds::keep))
        .routes(routes!(runs::list, start::start))
        .routes(routes!(runs::find))
        .routes(routes!(runs::items))
        .routes(routes!(runs::cancel))
        .routes(routes!(start::retry))
        .routes(routes!(restores::start))
        .routes(routes!(restores::count))
        .routes(routes!(restores::counted))
        .routes(routes!(files::entries))
        .routes(routes!(files::file))
        .routes(routes!(files::differences))
        .routes(routes!(files::versions))
        .routes(routes!(files::names))
        .routes(routes!(people::list))
        .routes(routes!(people::find))
        .routes(routes!(people::known, people::add))
        .routes(routes!(people::remove))
        .routes(routes!(people::nobodys))
        .routes(routes!(people::give))
        .routes(routes!(restore_tests::list))
        .routes(routes!(restore_tests::find))
        .routes(routes!(plans::list))
        .routes(routes!(plans::roles, plans::set_roles))
        .routes(routes!(plans::find, plans::save))
        .routes(routes!(plans::begin))
        .routes(routes!(plans::versions))
        .routes(routes!(plans::find_version))
        .routes(routes!(plans::differences))
        .routes(routes!(plans::export))
        .routes(routes!(plans::submit))
        .routes(routes!(plans::sign))
        .routes(routes!(plans::approve))
        .routes(routes!(plans::give_back))
        .routes(routes!(plans::discard))
        .routes(routes!(risks::list, risks::create))
        .routes(routes!(risks::find, risks::change))
        .routes(routes!(risks::retire))
        .routes(routes!(risks::history))
        .routes(routes!(risks::scales))
        .routes(routes!(risks::scale, risks::save_scale))
        .routes(routes!(evidence::list))
        .routes(routes!(evidence::gaps))
        .routes(routes!(evidence::chain))
        .routes(routes!(evidence::keys, evidence::rotate))
        .routes(routes!(evidence::pack))
        .routes(routes!(evidence::envelope))
        .routes(routes!(evidence::countersign))
        .routes(routes!(exercises::list, exercises::start))
        .routes(routes!(exercises::templates))
        .routes(routes!(exercises::import))
        .routes(routes!(exercises::find))
        .routes(routes!(exercises::act))
        .routes(routes!(exercises::finish))
        .routes(routes!(exercises::cancel))
        .routes(routes!(exercises::attach))
        .routes(routes!(exercises::file))
        .routes(routes!(restore_tests::rerun))
        .routes(routes!(test_definitions::list))
        .routes(routes!(test_definitions::find, test_definitions::save, test_definitions::remove))
        .routes(routes!(search::search))
        .routes(routes!(accounts::list))
        .routes(routes!(accounts::link))
        .routes(routes!(accounts::end_sessions))
        .routes(routes!(accounts::preview))
        .routes(routes!(transfers::serialize))
        .routes(routes!(transfers::archive))
        .routes(routes!(transfers::deserialize))
        .routes(routes!(alerts::list))
        .routes(routes!(alerts::find))
        .routes(routes!(alerts::acknowledge))
        .routes(routes!(channels::list))
        .routes(routes!(channels::find, channels::save, channels::remove))
        .routes(routes!(channels::test))
        .routes(routes!(notifications::rules))
        .routes(routes!(notifications::rule, notifications::save_rule, notifications::remove_rule))
        .routes(routes!(notifications::heartbeats))
        .routes(routes!(notifications::heartbeat, notifications::save_heartbeat, notifications::remove_heartbeat))
        .routes(routes!(notifications::address, notifications::set_address))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::find))
        .routes(routes!(deliveries::retry))
        .routes(routes!(configuration::export, configuration::apply))
        .routes(routes!(configuration::schema))
        .routes(routes!(audit::list))
        .routes(routes!(audit::verify))
        .routes(routes!(audit::export))
        .routes(routes!(links::list, links::make))
        .routes(routes!(links::revoke))
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
        .split_for_parts();
    document::complete(&mut document);
    (router, document)
}

/// Everything below `/api`.
pub fn router(app: &AppContext) -> Router<AppState> {
    let (router, document) = parts();
    let document = Json(document);
    router
        .layer(middleware::from_fn_with_state(app.clone(), once::keyed))
        .merge(docs::routes())
        .route("/api/openapi.json", get(move || async move { document }))
        .method_not_allowed_fallback(problem::no_such_method)
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
pub(crate) mod calls_tests;
#[cfg(test)]
mod definitions_tests;
#[cfg(test)]
mod examples_tests;
#[cfg(test)]
mod instances_tests;
#[cfg(test)]
pub(crate) mod matrix_tests;
#[cfg(test)]
mod once_tests;
#[cfg(test)]
mod orphans_tests;
#[cfg(test)]
mod pages_tests;
#[cfg(test)]
mod plans_tests;
#[cfg(test)]
mod preview_tests;
#[cfg(test)]
mod risks_tests;
#[cfg(test)]
pub mod tests;
#[cfg(test)]
mod version_tests;
