//! `Idempotency-Key`: a call that starts or creates something is carried out once, however often it is sent.
//!
//! Lives here: the header, the sum of the body, the answer to a repeat. May not: keeping keys (`ops::once` does).
//! Invariant: a call that is under way is carried out to its end and answered into the store, also when whoever sent it
//! is gone.

use std::sync::Arc;

use app::context::AppContext;
use axum::{
    RequestPartsExt as _,
    body::{Body, to_bytes},
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, uri::PathAndQuery},
    middleware::Next,
    response::{IntoResponse, Response},
};
use ops::once::{self, Claim, Claimed};
use sha2::{Digest, Sha256};
use tracing::Instrument as _;

use super::{asker::Asker, problem::Problem};

/// The header that holds a key, and the one that marks the answer to a repeat.
pub const KEY: &str = "Idempotency-Key";
pub const REPLAYED: &str = "Idempotent-Replayed";

/// The calls by POST that start or create something.
pub const TAKEN: [&str; 17] = [
    "/api/v1/runs",
    "/api/v1/runs/{id}/retry",
    "/api/v1/restores",
    "/api/v1/restores/counts",
    "/api/v1/services/{name}/sources/{source}/items/{item}/deserialize",
    "/api/v1/schedules",
    "/api/v1/holds",
    "/api/v1/services/{name}/waivers",
    "/api/v1/services/{name}/risks",
    "/api/v1/services/{name}/reviews/{review}/done",
    "/api/v1/notifications/deliveries/{id}/retry",
    "/api/v1/exercises",
    "/api/v1/exercises/imports",
    "/api/v1/tests/{id}/rerun",
    "/api/v1/services/{name}/sources/{source}/instances/{instance}/snapshots",
    "/api/v1/services/{name}/instances/clones",
    "/api/v1/services/{name}/instances/snapshots/{id}/restore",
];

/// Their answers show a secret once, so they are not kept, and a repeat could not give it again.
pub const REFUSED: [&str; 3] = ["/api/v1/tokens", "/api/v1/calendars", "/api/v1/links"];

/// The longest key.
const LONGEST: usize = 255;
/// The longest body of a call and of an answer that is kept.
const MOST: usize = 1 << 20;

/// Carries a call out once for its key.
pub async fn keyed(State(app): State<AppContext>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(|p| p.as_str().to_owned()).unwrap_or_default();
    if *request.method() != Method::POST || !request.headers().contains_key(KEY) {
        return next.run(request).await;
    }
    if !TAKEN.contains(&path.as_str()) {
        let why = if REFUSED.contains(&path.as_str()) {
            "is not taken here: the answer shows a secret once and is kept nowhere, so a repeat could not give it again; leave the header out"
        } else {
            "is not taken by this call: a repeat would be carried out again; leave the header out"
        };
        return Problem::bad_header(KEY, why).into_response();
    }
    match carry_out(&app, request, next).await {
        Ok(answer) => answer,
        Err(problem) => problem.into_response(),
    }
}

async fn carry_out(app: &AppContext, request: Request, next: Next) -> Result<Response, Problem> {
    let key = key(request.headers())?;
    let (mut parts, body) = request.into_parts();
    let Ok(Asker(ctx)) = parts.extract_with_state::<Asker, _>(app).await;
    let body = to_bytes(body, MOST).await.map_err(|_| Problem::too_long())?;
    let call = format!("{} {}", parts.method, parts.uri.path_and_query().map_or(parts.uri.path(), PathAndQuery::as_str));
    let claim = match once::claim(&ctx, &key, &call, &hex::encode(Sha256::digest(&body))).await? {
        Claimed::Go(claim) => claim,
        Claimed::Answered { status, body } => return Ok(replayed(status, body)),
        Claimed::Busy { retry_s } => return Ok(busy(retry_s)),
    };
    parts.extensions.insert::<Arc<Claim>>(claim.clone());
    let request = Request::from_parts(parts, Body::from(body));
    // Whoever has sent it may go away; what was begun is ended, and its answer kept for when they ask again.
    let work = async move {
        let (head, body) = next.run(request).await.into_parts();
        let body = to_bytes(body, MOST).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&body);
        if let Err(e) = once::finish(&ctx, &claim, head.status.as_u16(), &text).await {
            // A repeat finds what was done and makes the answer anew.
            tracing::warn!(error = %e, "the answer to a call with a key could not be kept");
        }
        Response::from_parts(head, Body::from(body))
    };
    tokio::spawn(work.in_current_span()).await.map_err(|e| ops::OpsError::internal(e).into())
}

/// The key of a call.
fn key(headers: &HeaderMap) -> Result<String, Problem> {
    let mut given = headers.get_all(KEY).iter();
    let (Some(text), None) = (given.next().and_then(|v| v.to_str().ok()), given.next()) else {
        return Err(Problem::bad_header(KEY, "must be given once, as visible ASCII"));
    };
    if text.is_empty() || text.len() > LONGEST || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Problem::bad_header(KEY, "must be 1 to 255 visible characters of ASCII, such as a UUID"));
    }
    Ok(text.to_owned())
}

/// The answer that was given first.
fn replayed(status: u16, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mark = (HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true"));
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json")), mark], body).into_response()
}

fn busy(retry_s: i64) -> Response {
    let mut answer = Problem::under_way().into_response();
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_s));
    answer
}
