//! Files and folders of snapshots as downloads.
//!
//! Lives here: ranges, safe names, headers. May not: permission, reading repositories (`ops::browse`).
//! Invariant: what people have written is never shown as a page of ours: always an attachment, never sniffed.

use app::{
    components::address::{Query, encode},
    context::{AppContext, Visitor},
    error::AppError,
};
use axum::{
    Extension,
    body::Body,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::id::SnapshotId;
use ops::{
    Ctx, OpsError,
    browse::{self, Format, Pieces},
};
use store::snapshots::SnapshotRow;

/// `GET /snapshots/{id}/file?path=…`, also a part of it.
pub async fn file(
    State(app): State<AppContext>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let ctx = context(&app, visitor);
    let snapshot = snapshot(&ctx, &id).await?;
    let path = Query::parse(query.as_deref().unwrap_or_default()).get("path").unwrap_or_default();
    Ok(served(&app, &ctx, &snapshot, &path, &headers).await?)
}

/// One file of a snapshot, or the part of it that `Range` names.
pub async fn served(app: &AppContext, ctx: &Ctx, snapshot: &SnapshotRow, path: &str, headers: &HeaderMap) -> Result<Response, OpsError> {
    let found = browse::file(ctx, &app.repositories, snapshot, path).await?;
    let (bytes, tag, name) = (found.bytes, format!("\"{}\"", found.tag), found.name.clone());
    let modified = found.modified_at;
    let mut out = HeaderMap::new();
    set(&mut out, header::ETAG, &tag);
    out.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    set(&mut out, header::CONTENT_DISPOSITION, &attachment(&name));
    if let Some(date) = modified.and_then(http_date) {
        set(&mut out, header::LAST_MODIFIED, &date);
    }
    let text = |name: header::HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    if text(header::IF_NONE_MATCH) == Some(&tag) {
        return Ok((StatusCode::NOT_MODIFIED, out).into_response());
    }
    // A part is asked of the content that the browser has begun with, or of whatever is there.
    let wanted = text(header::RANGE).filter(|_| text(header::IF_RANGE).is_none_or(|have| have == tag));
    let (status, start, length) = match wanted.map(|r| range(r, bytes)) {
        None | Some(Range::Whole) => (StatusCode::OK, 0, bytes),
        Some(Range::Part(start, length)) => {
            set(&mut out, header::CONTENT_RANGE, &format!("bytes {start}-{}/{bytes}", start + length - 1));
            (StatusCode::PARTIAL_CONTENT, start, length)
        }
        Some(Range::Outside) => {
            set(&mut out, header::CONTENT_RANGE, &format!("bytes */{bytes}"));
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, out).into_response());
        }
    };
    out.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    let pieces = browse::read(ctx, &app.repositories, snapshot, path, found, start, length).await?;
    Ok((status, out, body(pieces)).into_response())
}

/// `GET /snapshots/{id}/archive.zip?p=…&p=…`: a folder, or several entries; everything where none is named.
pub async fn zip(state: State<AppContext>, visitor: Extension<Visitor>, id: Path<String>, query: RawQuery) -> Result<Response, Refused> {
    archive(state, visitor, id, query, Format::Zip).await
}

/// The same as `archive.tar`.
pub async fn tar(state: State<AppContext>, visitor: Extension<Visitor>, id: Path<String>, query: RawQuery) -> Result<Response, Refused> {
    archive(state, visitor, id, query, Format::Tar).await
}

async fn archive(
    State(app): State<AppContext>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    format: Format,
) -> Result<Response, Refused> {
    let ctx = context(&app, visitor);
    let snapshot = snapshot(&ctx, &id).await?;
    let query = Query::parse(query.as_deref().unwrap_or_default());
    let mut paths = query.all("p");
    paths.extend(query.all("path"));
    Ok(packed(&app, &ctx, &snapshot, paths, format).await?)
}

/// What stands under the paths (everything where none is named) as one archive, streamed.
pub async fn packed(app: &AppContext, ctx: &Ctx, snapshot: &SnapshotRow, mut paths: Vec<String>, format: Format) -> Result<Response, OpsError> {
    paths.retain(|p| !p.trim_matches('/').is_empty());
    let (end, kind) = match format {
        Format::Zip => ("zip", "application/zip"),
        Format::Tar => ("tar", "application/x-tar"),
    };
    let what = match &paths[..] {
        [one] => one.trim_matches('/').rsplit('/').next().unwrap_or_default().to_owned(),
        _ => snapshot.label.clone(),
    };
    let name = format!("{what}-{}.{end}", snapshot.restic_id.chars().take(8).collect::<String>());
    let pieces = browse::archived(ctx, &app.repositories, snapshot, paths, format).await?;
    let mut out = HeaderMap::new();
    set(&mut out, header::CONTENT_TYPE, kind);
    set(&mut out, header::CONTENT_DISPOSITION, &attachment(&name));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    Ok((out, body(pieces)).into_response())
}

/// `GET /repositories/{name}/kit.txt`: the recovery kit as a text.
pub async fn kit(State(app): State<AppContext>, Extension(visitor): Extension<Visitor>, Path(name): Path<String>) -> Result<Response, Refused> {
    let ctx = context(&app, visitor);
    let kit = ops::repositories::kit(&ctx, &app.repositories, &name, usize::MAX).await?;
    let mut out = HeaderMap::new();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    set(&mut out, header::CONTENT_DISPOSITION, &attachment(&format!("recovery-kit-{name}.txt")));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    Ok((out, kit.text(&app.zone)).into_response())
}

/// A use case's refusal as a short text.
pub struct Refused(OpsError);

impl From<OpsError> for Refused {
    fn from(e: OpsError) -> Self {
        Self(e)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let e = AppError::from(self.0);
        let reference = e.reference.map(|r| format!(" Reference {r}.")).unwrap_or_default();
        let status = StatusCode::from_u16(e.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, format!("{}{reference}\n", e.message)).into_response()
    }
}

pub(super) fn context(app: &AppContext, visitor: Visitor) -> Ctx {
    Ctx { actor: visitor.actor, origin: visitor.origin.into(), clock: app.clock.clone(), db: app.db.clone(), claim: None }
}

async fn snapshot(ctx: &Ctx, id: &str) -> Result<SnapshotRow, OpsError> {
    let id: SnapshotId = id.parse().map_err(|_| OpsError::not_found("snapshot", id))?;
    Ok(ops::snapshots::listed(ctx, id).await?.row)
}

fn body(mut pieces: Pieces) -> Body {
    Body::from_stream(futures::stream::poll_fn(move |cx| pieces.poll_recv(cx)))
}

/// A file that people have given to Holdfast, whatever it says of itself.
pub fn kept(name: &str, content: Vec<u8>) -> Response {
    let mut out = HeaderMap::new();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    out.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    set(&mut out, header::CONTENT_DISPOSITION, &attachment(name));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    (out, content).into_response()
}

fn set(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// RFC 6266: a plain name for old receivers and the true one in UTF-8; nothing in it can end the header or name a folder.
fn attachment(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_. ()".contains(c) { c } else { '_' }).collect();
    let plain = plain.trim_start_matches('.');
    let plain = if plain.trim().is_empty() { "download" } else { plain };
    let safe: String = name.chars().map(|c| if c.is_control() || matches!(c, '/' | '\\') { '_' } else { c }).collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", encode(&safe))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Range {
    Whole,
    /// First byte and length.
    Part(u64, u64),
    Outside,
}

/// Reads one range of RFC 9110; several at once, or what is none, count as the whole.
fn range(text: &str, bytes: u64) -> Range {
    let Some((first, last)) = text.strip_prefix("bytes=").filter(|r| !r.contains(',')).and_then(|r| r.trim().split_once('-')) else { return Range::Whole };
    let (start, end) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(start), Ok(end)) if start <= end => (start, end.min(bytes.saturating_sub(1))),
        (Ok(start), Err(_)) if last.is_empty() => (start, bytes.saturating_sub(1)),
        (Err(_), Ok(0)) if first.is_empty() => return Range::Outside,
        (Err(_), Ok(n)) if first.is_empty() => (bytes.saturating_sub(n), bytes.saturating_sub(1)),
        _ => return Range::Whole,
    };
    if start >= bytes { Range::Outside } else { Range::Part(start, end - start + 1) }
}

fn http_date(at: domain::units::Timestamp) -> Option<String> {
    let at = jiff::Timestamp::from_microsecond(at.0).ok()?;
    Some(at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, want) in [
            ("bytes=0-9", Range::Part(0, 10)),
            ("bytes=90-200", Range::Part(90, 10)),
            ("bytes=99-", Range::Part(99, 1)),
            ("bytes=-5", Range::Part(95, 5)),
            ("bytes=-500", Range::Part(0, 100)),
            ("bytes=100-", Range::Outside),
            ("bytes=-0", Range::Outside),
            ("bytes=9-5", Range::Whole),
            ("bytes=0-1,5-6", Range::Whole),
            ("lines=0-1", Range::Whole),
            ("bytes=a-b", Range::Whole),
        ] {
            assert_eq!(range(text, 100), want, "{text}");
        }
        assert_eq!(range("bytes=0-0", 0), Range::Outside);
    }

    #[test]
    fn names_cannot_leave_the_header_or_the_folder() {
        assert_eq!(attachment("fit.ipynb"), "attachment; filename=\"fit.ipynb\"; filename*=UTF-8''fit.ipynb");
        assert_eq!(attachment("a\"b\r\nX: y"), "attachment; filename=\"a_b__X_ y\"; filename*=UTF-8''a%22b__X%3A%20y");
        assert_eq!(attachment("../ü"), "attachment; filename=\"__\"; filename*=UTF-8''.._%C3%BC");
        assert_eq!(attachment("..."), "attachment; filename=\"download\"; filename*=UTF-8''...");
    }
}
