//! The web server: pages, sign-in, files of the site, and what guards them all.
//!
//! Lives here: the router and its layers. May not: rules, SQL, permission (that is decided in `ops`).

pub mod arrival;
mod assets;
mod bodies;
mod calendar;
mod configuration;
pub mod downloads;
pub mod events;
mod exercises;
mod guard;
pub mod headers;
pub mod limits;
mod notice;
mod parts;
mod plans;
mod session;
mod watch;

use std::pin::Pin;

use app::pages::{configuration::Pasted, plans::import::PastedPlan};
use axum::{
    Form, Router,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderValue, header, request::Parts},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use leptos::prelude::provide_context;
use leptos_axum::{LeptosRoutes, generate_route_list};
use tower_http::{
    CompressionLevel,
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer, Predicate,
        predicate::{DefaultPredicate, NotForContentType},
    },
};

pub use self::{
    arrival::{Edge, Trusted},
    guard::ACTOR,
    limits::Limits,
    session::inside,
};
use crate::{oidc, state::AppState};

/// A page that is being made.
type Rendering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Everything the server answers. `api` is the REST API, mounted beside the pages.
pub fn router(state: AppState, api: Router<AppState>) -> Router {
    let routes = generate_route_list(app::App);
    let (context, options) = (state.app.clone(), state.leptos.clone());
    let (with_form, edit, import) = (rendered(&state), rendered(&state), rendered(&state));
    let pages = Router::new()
        .leptos_routes_with_context(
            &state,
            routes,
            move || {
                provide_context(context.clone());
                content_security_policy();
            },
            move || app::shell(options.clone()),
        )
        .route("/snapshots/{id}/file", get(downloads::file))
        .route("/snapshots/{id}/archive.zip", get(downloads::zip))
        .route("/snapshots/{id}/archive.tar", get(downloads::tar))
        .route("/repositories/{name}/kit.txt", get(downloads::kit))
        .route("/snapshots/{id}/rows", get(parts::rows))
        .route("/calendar/{file}", get(calendar::feed))
        .route("/tests/exercises/{id}/files", post(exercises::attach))
        .route("/tests/exercises/{id}/files/{file}", get(exercises::file))
        .route("/palette", get(parts::options))
        .route("/admin/configuration", post(move |parts: Parts, form: Form<Pasted>| with_form(configuration::asked(parts, form))))
        .route("/services/{name}/plan/edit", post(move |app, visitor, name, parts, form| plans::edited(edit, app, visitor, name, parts, form)))
        .route("/services/{name}/plan/import", post(move |parts: Parts, form: Form<PastedPlan>| import(plans::pasted(parts, form))))
        .route("/login", post(session::sign_in))
        .route("/logout", post(oidc::sign_out))
        .route("/auth/{provider}/start", get(oidc::start))
        .route("/auth/callback", get(oidc::callback))
        .route("/auth/{provider}/end", get(oidc::end))
        .route("/auth/{provider}/backchannel", post(oidc::backchannel))
        .route("/preferences", post(session::set_preferences));
    let not_found = rendered(&state);
    pages
        .merge(events::routes())
        .merge(api)
        .layer(middleware::from_fn(bodies::bounded))
        .layer(DefaultBodyLimit::max(bodies::LIMIT))
        .layer(middleware::from_fn(guard::signed_in))
        .layer(middleware::from_fn_with_state(state.clone(), guard::visitor))
        .layer(session::layer(&state.app))
        .layer(middleware::from_fn(guard::same_origin))
        .layer(middleware::from_fn_with_state(state.clone(), limits::limited))
        .fallback(move |request: Request| {
            let not_found = not_found.clone();
            async move {
                match assets::find(request.uri().path(), request.headers()) {
                    Some(file) => file,
                    None => not_found(request).await.into_response(),
                }
            }
        })
        .layer(CatchPanicLayer::new())
        // Pages are made anew for each request: speed counts. Files of the site are compressed when they are built.
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(worth_compressing()))
        .layer(middleware::from_fn(headers::set))
        .layer(middleware::from_fn_with_state(state.clone(), arrival::arrived))
        .layer(middleware::from_fn(watch::watched))
        .with_state(state)
}

/// Whatever page stands under the address of a request, or the one that says that none does.
fn rendered(state: &AppState) -> impl Fn(Request) -> Rendering + Clone + Send + Sync + use<> {
    let (context, options) = (state.app.clone(), state.leptos.clone());
    let provide = move || {
        provide_context(context.clone());
        content_security_policy();
    };
    leptos_axum::render_app_async_with_context(provide, move || app::shell(options.clone()))
}

/// Pages and files of the site; downloads are long, often packed already, and carry their length.
fn worth_compressing() -> impl Predicate {
    let not = NotForContentType::const_new;
    DefaultPredicate::new().and(not("application/octet-stream")).and(not("application/zip")).and(not("application/x-tar"))
}

/// Only our own files, the nonce of this page, and WebAssembly.
fn content_security_policy() {
    let (Some(nonce), Some(response)) = (leptos::nonce::use_nonce(), leptos::prelude::use_context::<leptos_axum::ResponseOptions>()) else {
        return;
    };
    let policy = format!(
        "default-src 'self'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    );
    if let Ok(value) = HeaderValue::from_str(&policy) {
        response.insert_header(header::CONTENT_SECURITY_POLICY, value);
    }
    response.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod acts_tests;
#[cfg(test)]
mod guest_tests;
#[cfg(test)]
mod tests;
