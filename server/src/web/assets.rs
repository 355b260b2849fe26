//! The files of the site, inside the binary in a release build, from the disk in a debug build.
//!
//! Lives here: finding a file and its headers. May not: pages.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../target/site"]
struct Site;

/// The file under `path`, or 304 where the browser has it.
pub fn find(path: &str, headers: &HeaderMap) -> Option<Response> {
    let name = path.trim_start_matches('/');
    let packed = if takes_brotli(headers) { Site::get(&format!("{name}.br")) } else { None };
    let is_packed = packed.is_some();
    let file = packed.or_else(|| Site::get(name))?;
    let tag = format!("\"{}\"", &hex::encode(file.metadata.sha256_hash())[..32]);
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|v| v.as_bytes() == tag.as_bytes());
    let mime = mime_guess::from_path(name).first_or_octet_stream();
    let mut response = Response::new(if known { Body::empty() } else { Body::from(file.data) });
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_str(mime.as_ref()).ok()?);
    out.insert(header::ETAG, HeaderValue::from_str(&tag).ok()?);
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if is_packed && !known {
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    }
    Some(response)
}

fn takes_brotli(headers: &HeaderMap) -> bool {
    let given = headers.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or_default();
    given.split(',').any(|one| one.trim() == "br")
}
