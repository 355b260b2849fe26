//! `/api/docs`: the page to read and try the API, Swagger UI served from the binary.
//!
//! Lives here: the page, its two files, the files of Swagger UI. May not: the document itself (that is `super`).
//! Invariant: nothing is loaded from elsewhere, and no script or style stands inside the page: the policy allows none.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use super::problem::Problem;
use crate::state::AppState;

/// The address of the page.
pub const DOCS: &str = "/api/docs";

const PAGE: &str = include_str!("docs/page.html");
const SCRIPT: &str = include_str!("docs/page.js");
const STYLE: &str = include_str!("docs/page.css");

/// Stricter than the other pages: not even WebAssembly. Swagger UI draws its signs from `data:`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'";

pub fn routes() -> Router<AppState> {
    Router::new().route(DOCS, get(page)).route("/api/docs/{file}", get(file))
}

async fn page() -> Response {
    let policy = (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    ([policy, (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], axum::response::Html(PAGE)).into_response()
}

/// Our own two files, then those of Swagger UI. The configuration that it takes is for its own page, which is not used.
async fn file(Path(name): Path<String>) -> Response {
    let (kind, body, packed) = match name.as_str() {
        "page.js" => ("text/javascript".to_owned(), Body::from(SCRIPT), false),
        "page.css" => ("text/css".to_owned(), Body::from(STYLE), false),
        "swagger-ui-bundle.js" | "swagger-ui.css" => match utoipa_swagger_ui::serve(&name, Arc::default()) {
            Ok(Some(file)) => (file.content_type, Body::from(file.bytes.into_owned()), file.gzpipped),
            _ => return StatusCode::NOT_FOUND.into_response(),
        },
        _ => return Problem::nothing_under(&format!("{DOCS}/{name}")).into_response(),
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    if let Ok(kind) = HeaderValue::from_str(&kind) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    if packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=3600"));
    response
}
