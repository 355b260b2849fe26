//! `GET /calendar/SECRET.ics`: which reviews are due, for calendar programs.
//!
//! Lives here: headers, and that whatever is no address that is valid is not found. May not: who sees what (`ops::feeds`).
//! Invariants: no session is needed or looked at; a wrong address tells nothing of right ones; the secret is in no log and
//! in no answer.

use app::context::{AppContext, Visitor};
use axum::{
    Extension,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest as _, Sha256};

use super::downloads::Refused;

/// Where the addresses begin.
pub const CALENDARS: &str = "/calendar/";

pub async fn feed(
    State(app): State<AppContext>,
    Extension(visitor): Extension<Visitor>,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let secret = file.strip_suffix(".ics").unwrap_or_default();
    let Some(text) = ops::feeds::read(&app.db, &app.clock, secret, &visitor.origin).await? else {
        return Ok((StatusCode::NOT_FOUND, "There is no calendar at this address. It may have been revoked, or its time is over.\n").into_response());
    };
    let tag = format!("\"{}\"", &hex::encode(Sha256::digest(&text))[..32]);
    let known =
        headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok()).is_some_and(|v| v.split(',').any(|t| t.trim().trim_start_matches("W/") == tag));
    let mut answer = if known { StatusCode::NOT_MODIFIED.into_response() } else { text.into_response() };
    let out = answer.headers_mut();
    if !known {
        out.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/calendar; charset=utf-8"));
        out.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"holdfast-reviews.ics\""));
    }
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        out.insert(header::ETAG, tag);
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, http::Request};
    use ops::{Actor, Ctx, Role};
    use tower::ServiceExt as _;

    use super::*;
    use crate::api::tests::server;

    async fn get(router: &Router, path: &str, known: &str) -> (StatusCode, HeaderMap, String) {
        let request = Request::get(path).header(header::HOST, "holdfast").header(header::IF_NONE_MATCH, known).body(Body::empty()).unwrap();
        let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        (head.status, head.headers, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn an_address_needs_no_session_and_a_wrong_one_is_not_found() {
        let (db, router) = server().await;
        let ada = Ctx::new(db.db.clone(), Actor::new("ada", Role::Admin), "test");
        let (row, secret) = ops::feeds::make(&ada, "phone", 30).await.unwrap();
        let path = ops::feeds::path(&secret);
        let (status, headers, text) = get(&router, &path, "").await;
        assert_eq!((status, headers[header::CONTENT_TYPE].to_str().unwrap()), (StatusCode::OK, "text/calendar; charset=utf-8"), "{text}");
        assert_eq!(headers[header::CACHE_CONTROL], "private, no-cache");
        assert!(text.starts_with("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n") && text.matches("BEGIN:VEVENT").count() == 4, "{text}");
        let tag = headers[header::ETAG].to_str().unwrap();
        let again = get(&router, &path, tag).await;
        assert_eq!((again.0, again.2.as_str()), (StatusCode::NOT_MODIFIED, ""));

        for wrong in [path.replace(".ics", ""), path.replace(&secret[10..20], "0000000000"), "/calendar/x.ics".into(), "/calendar/%FF.ics".into()] {
            let (status, headers, text) = get(&router, &wrong, "").await;
            assert!(status == StatusCode::NOT_FOUND || status == StatusCode::BAD_REQUEST, "{wrong}: {status}");
            assert!(!headers.contains_key(header::LOCATION) && !text.contains("hfc_"), "{wrong}: {text}");
        }
        // It opens nothing else, and only reading is without a session.
        let other = Request::post(&path).header(header::HOST, "holdfast").body(Body::empty()).unwrap();
        assert_ne!(router.clone().oneshot(other).await.unwrap().status(), StatusCode::OK);
        assert_eq!(get(&router, "/reviews", "").await.0, StatusCode::SEE_OTHER);
        ops::feeds::revoke(&ada, domain::id::FeedId(row.issued.id)).await.unwrap();
        assert_eq!(get(&router, &path, "").await.0, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn who_tries_too_many_is_refused() {
        let (_db, router) = server().await;
        let mut last = StatusCode::NOT_FOUND;
        for _ in 0..200 {
            last = get(&router, "/calendar/hfc_0.ics", "").await.0;
            if last == StatusCode::TOO_MANY_REQUESTS {
                break;
            }
        }
        assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    }
}
