//! Refusals that are made before any page or call is: a small page for people, problem+json for programs.
//!
//! Lives here: the page. May not: anything that a visitor wrote; the texts are our own.

use app::error::upper;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse as _, Response},
};

use crate::api::Problem;

const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'");

/// Refuses what was asked at `path`: what is wrong, and what to do about it.
pub fn refusal(path: &str, status: StatusCode, wrong: &str, remedy: &str) -> Response {
    if path.starts_with("/api/") {
        let mut detail = format!("{wrong}; {remedy}");
        detail.truncate(detail.trim_end_matches('.').len());
        return Problem::new(status, lower(&detail)).into_response();
    }
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{wrong} · Holdfast</title><link rel=\"stylesheet\" href=\"/pkg/holdfast.css\"></head>\
         <body><main class=\"page\"><h1 class=\"page__title\">{wrong}</h1><p>{}</p><p><a href=\"/\">Go to Holdfast</a></p></main></body></html>\n",
        upper(remedy)
    );
    (status, [(header::CONTENT_SECURITY_POLICY, POLICY)], Html(page)).into_response()
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_lowercase().chain(chars).collect())
}
