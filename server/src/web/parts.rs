//! Finished parts of pages that an island asks for: the options of the palette, the rows of a folder.
//!
//! Lives here: two addresses. May not: drawing (`app` does), permission (`ops` decides).

use app::{context::AppContext, pages::snapshots::show, palette};
use axum::{
    extract::{Path, Query, State},
    http::header,
    response::{Html, IntoResponse, Response},
};
use domain::id::SnapshotId;
use ops::OpsError;
use serde::Deserialize;
use uuid::Uuid;

use crate::api::{Asker, Problem};

#[derive(Debug, Deserialize)]
pub struct Wanted {
    #[serde(default)]
    q: String,
}

/// `/palette?q=`.
pub async fn options(Asker(ctx): Asker, Query(wanted): Query<Wanted>) -> Response {
    answer(palette::results(&ctx, &wanted.q).await)
}

#[derive(Debug, Deserialize)]
pub struct Inside {
    #[serde(default)]
    path: String,
}

/// `/snapshots/{id}/rows?path=`.
pub async fn rows(State(app): State<AppContext>, Asker(ctx): Asker, Path(id): Path<Uuid>, Query(inside): Query<Inside>) -> Response {
    answer(show::rows(&ctx, &app, SnapshotId(id), &inside.path).await)
}

fn answer(html: Result<String, OpsError>) -> Response {
    match html {
        Ok(html) => ([(header::CACHE_CONTROL, "no-store")], Html(html)).into_response(),
        Err(e) => Problem::from(e).into_response(),
    }
}
