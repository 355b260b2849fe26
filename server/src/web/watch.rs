//! Every request under an id, in the log and in the metrics.
//!
//! Lives here: the outermost middleware. May not: answering.
//! Invariant: labels are the routes of the router, never a path as it came; the query is not logged, it may hold a token.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Method},
    middleware::Next,
    response::Response,
};
use metrics::{counter, histogram};
use tracing::Instrument as _;

const ID: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST_ID: usize = 64;

/// Gives the request an id, or keeps the one that a proxy gave it; logs and counts the answer.
pub async fn watched(request: Request, next: Next) -> Response {
    let id = given(request.headers()).unwrap_or_else(|| uuid::Uuid::now_v7().simple().to_string());
    let route = request.extensions().get::<MatchedPath>().map_or_else(|| "other".to_owned(), |p| p.as_str().to_owned());
    let method = known(request.method());
    let span = tracing::info_span!("request", request = %id, method, route);
    let begun = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let (took, status) = (begun.elapsed(), response.status());
    span.in_scope(|| {
        if status.is_server_error() {
            tracing::warn!(status = status.as_u16(), ms = took.as_millis(), "answered with an error");
        } else {
            tracing::debug!(status = status.as_u16(), ms = took.as_millis(), "answered");
        }
    });
    counter!("holdfast_http_requests_total", "method" => method, "route" => route.clone(), "status" => class(status.as_u16())).increment(1);
    histogram!("holdfast_http_request_duration_seconds", "route" => route).record(took.as_secs_f64());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(ID, value);
    }
    response
}

/// The id that came with the request, if it is one and no attempt to write into the log.
fn given(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(ID)?.to_str().ok()?;
    let fit = !text.is_empty() && text.len() <= LONGEST_ID && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    fit.then(|| text.to_owned())
}

/// Methods can be anything; those that nobody answers are one.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

const fn class(status: u16) -> &'static str {
    match status {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_kept_unless_it_could_write_into_the_log() {
        let with = |value: &'static str| HeaderMap::from_iter([(ID, HeaderValue::from_static(value))]);
        assert_eq!(given(&with("7f3a-b_c.9")).as_deref(), Some("7f3a-b_c.9"));
        for wrong in ["", "a b", "a\tlevel=error", "{\"x\":1}", "0123456789012345678901234567890123456789012345678901234567890123456789"] {
            assert_eq!(given(&with(wrong)), None, "{wrong}");
        }
        assert_eq!(given(&HeaderMap::new()), None);
    }

    #[test]
    fn strange_methods_are_one() {
        assert_eq!((known(&Method::GET), known(&Method::from_bytes(b"BREW").unwrap())), ("GET", "other"));
    }
}
