//! What every answer says to a browser about itself.
//!
//! Lives here: the fixed headers. May not: the policy of a page, which names its nonce (see `super`).
//! Invariant: an answer that says nothing else is kept nowhere and may load nothing.

use app::context::Arrival;
use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};

/// Whatever the answer is.
pub const ALWAYS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), payment=(), usb=()",
    ),
];

/// Where the answer has none of its own.
const ELSE: [(HeaderName, &str); 2] = [
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Where people use TLS: for a year they use nothing else (RFC 6797).
pub const TLS_ONLY: (HeaderName, &str) = (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains");

pub async fn set(request: Request, next: Next) -> Response {
    let secure = request.extensions().get::<Arrival>().is_some_and(|a| a.secure);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in ELSE {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if secure {
        headers.insert(TLS_ONLY.0, HeaderValue::from_static(TLS_ONLY.1));
    }
    response
}
