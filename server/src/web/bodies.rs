//! How large a body may be, of which kind, and how long it may take to come.
//!
//! Lives here: middleware. May not: reading what it says (handlers and server functions do).
//! Invariant: behind it a body is whole, in memory and no larger than the limit, also for server functions, which set none.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, FromRequest as _, Request},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::notice::refusal;
use crate::api;

/// The largest body that a form or an API call may have, in bytes.
pub const LIMIT: usize = 1 << 20;
/// The same of a call that carries a file of 5 MiB, also in base64.
const FILE_LIMIT: usize = 8 << 20;
/// How long it may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const MULTIPART: &str = "multipart/form-data";
const CONFIGURATION: &str = "/api/v1/configuration";

pub async fn bounded(request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return next.run(request).await;
    }
    let path = request.uri().path().to_owned();
    let (carries_file, limit) = (carries_file(&path), limit(&path));
    let mut request = request;
    if carries_file {
        DefaultBodyLimit::max(limit).apply(&mut request);
    }
    let (parts, body) = request.into_parts();
    let told = parts.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    if told.is_some_and(|bytes| bytes > limit as u64) {
        return too_large(&path);
    }
    let bytes = match tokio::time::timeout(PATIENCE, Bytes::from_request(Request::from_parts(parts.clone(), body), &())).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(e)) if e.status() == StatusCode::PAYLOAD_TOO_LARGE => return too_large(&path),
        Ok(Err(_)) => return refusal(&path, StatusCode::BAD_REQUEST, "The request broke off", "send it again."),
        Err(_) => return refusal(&path, StatusCode::REQUEST_TIMEOUT, "The request took longer than 30 seconds to come", "send it again."),
    };
    let program = path.starts_with("/api/");
    // A file of the configuration is YAML, which no page of another site can send either.
    let is_file = (path == CONFIGURATION && is(&parts.headers, YAML)) || (carries_file && !program && is(&parts.headers, MULTIPART));
    if !bytes.is_empty() && !is_file && !is(&parts.headers, if program { JSON } else { FORM }) {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        if program {
            return api::Problem::new(status, api::NO_JSON).into_response();
        }
        return refusal(&path, status, "This form was sent in a way that is not understood", &format!("send it with Content-Type: {FORM}, as a browser does."));
    }
    next.run(Request::from_parts(parts, Body::from(bytes))).await
}

/// The largest body that a call of this path may have, in bytes.
pub fn limit(path: &str) -> usize {
    if carries_file(path) { FILE_LIMIT } else { LIMIT }
}

fn too_large(path: &str) -> Response {
    let what = if carries_file(path) { "What was sent is larger than 5 MiB" } else { "What was sent is larger than 1 MiB" };
    refusal(path, StatusCode::PAYLOAD_TOO_LARGE, what, "send less of it at a time.")
}

/// Files of exercises, from a form and from programs.
fn carries_file(path: &str) -> bool {
    let rest = path.strip_prefix("/tests/exercises/").or_else(|| path.strip_prefix("/api/v1/exercises/"));
    rest.and_then(|r| r.strip_suffix("/files")).is_some_and(|id| !id.contains('/'))
}

fn is(headers: &HeaderMap, kind: &str) -> bool {
    let sent = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    sent.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(kind)
}
