//! What the router hands to every request.
//!
//! Lives here: the shared state and how parts of it are taken. May not: making it (see `serve`).

use app::context::AppContext;
use axum::extract::FromRef;
use leptos::config::LeptosOptions;

use crate::{
    oidc::Providers,
    web::{Edge, events::Streams},
};

#[derive(Clone, Debug, FromRef)]
pub struct AppState {
    pub leptos: LeptosOptions,
    pub app: AppContext,
    pub streams: Streams,
    pub providers: Providers,
    pub edge: Edge,
}
