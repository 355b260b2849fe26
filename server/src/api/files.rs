//! What is inside snapshots: folders, single files, what differs, and the versions of a path.

use app::context::AppContext;
use axum::{Json, extract::State, http::HeaderMap, response::Response};
use domain::id::ItemId;
use jiff::Timestamp;
use ops::{
    browse::{self, ChangeKind, Version},
    permission::{Action, On, require_on},
};
use serde::{Deserialize, Serialize};
use store::snapshots::SnapshotRow;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    asker::{Asker, List, Path, Query, after, limit},
    problem::Problem,
    words::at,
};
use crate::web::downloads;

/// How many versions one page has at most.
const MOST_VERSIONS: i64 = 200;

async fn snapshot(ctx: &ops::Ctx, id: &str) -> Result<SnapshotRow, Problem> {
    require_on(ctx, Action::Browse, On::Any)?;
    let row = ops::snapshots::resolve(ctx, id).await?.row;
    require_on(ctx, Action::Browse, &row)?;
    Ok(row)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListEntries {
    /// A folder inside the snapshot; its top where it is left out.
    #[serde(default)]
    #[param(required = false)]
    path: String,
    /// Entries after this name; `next` of the page before.
    after: Option<String>,
    /// 1 to 500, 100 where it is left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// One entry of a folder.
#[derive(Debug, Serialize, ToSchema)]
pub struct FolderEntry {
    /// In the reversible text form: what is no UTF-8 is written with backslashes.
    name: String,
    /// `file`, `dir`, `symlink` or `other`.
    kind: &'static str,
    /// Bytes of a file's content; zero for everything else.
    bytes: i64,
    modified_at: Option<Timestamp>,
    /// Permission bits.
    mode: Option<u32>,
    /// Where a symbolic link leads.
    link: Option<String>,
    /// `added` or `changed` since the item's snapshot before; absent where it is the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<&'static str>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Folder {
    entries: Vec<FolderEntry>,
    /// Entries of the whole folder.
    total: usize,
    /// `after` of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

const fn change(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Added => "added",
        ChangeKind::Changed => "changed",
        ChangeKind::Removed => "removed",
    }
}

/// A folder inside a snapshot, by name
#[utoipa::path(get, path = "/api/v1/snapshots/{id}/entries", tag = "files", params(("id" = String, Path, description = "An id or its first digits, at least four"), ListEntries),
    responses((status = 200, body = Folder), (status = 409, description = "the repository cannot be read now", body = Problem, content_type = "application/problem+json")))]
pub async fn entries(State(app): State<AppContext>, Asker(ctx): Asker, Path(id): Path<String>, Query(q): Query<ListEntries>) -> Result<Json<Folder>, Problem> {
    let limit = usize::try_from(limit(q.limit, browse::PAGE as i64)?).unwrap_or(browse::PAGE);
    let after = after(q.after)?;
    let snapshot = snapshot(&ctx, &id).await?;
    let older = ops::snapshots::before(&ctx, &snapshot).await?;
    let after = (!after.is_empty()).then_some(after.as_str());
    let found = browse::folder(&ctx, &app.repositories, &snapshot, older.as_ref(), &q.path, after, limit).await?;
    let next = found.listing.next().map(str::to_owned);
    let since = found.since;
    let entry = |e: browse::Entry| FolderEntry {
        since: since.get(&e.name).map(|k| change(*k)),
        kind: e.kind.as_str(),
        bytes: e.bytes,
        modified_at: e.modified_at.map(|t| at(t.0)),
        mode: e.mode,
        link: e.link,
        name: e.name,
    };
    Ok(Json(Folder { total: found.listing.total, entries: found.listing.entries.into_iter().map(entry).collect(), next }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct OneFile {
    /// A file inside the snapshot.
    path: String,
}

/// One file of a snapshot, or a part of it
///
/// `Range`, `If-Range` and `If-None-Match` are understood. Who took what stands in the audit trail.
#[utoipa::path(get, path = "/api/v1/snapshots/{id}/file", tag = "files", params(("id" = String, Path, description = "An id or its first digits, at least four"), OneFile),
    responses((status = 200, description = "the content", content((String = "application/octet-stream"))),
        (status = 206, description = "the part that Range names", content((String = "application/octet-stream"))),
        (status = 304, description = "it is as the asker has it"),
        (status = 409, description = "the repository cannot be read now", body = Problem, content_type = "application/problem+json"),
        (status = 416, description = "Range lies behind its end")))]
pub async fn file(
    State(app): State<AppContext>,
    Asker(ctx): Asker,
    Path(id): Path<String>,
    Query(q): Query<OneFile>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let snapshot = snapshot(&ctx, &id).await?;
    Ok(downloads::served(&app, &ctx, &snapshot, &q.path, &headers).await?)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Compare {
    /// The older snapshot, by an id or its first digits; the item's one before where it is left out.
    with: Option<String>,
    /// Paths after this one; `next` of the page before.
    after: Option<String>,
    /// 1 to 500, 100 where it is left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Sum {
    files: i64,
    bytes: i64,
}

impl From<browse::Sum> for Sum {
    fn from(s: browse::Sum) -> Self {
        Self { files: s.files, bytes: s.bytes }
    }
}

/// One path that differs.
#[derive(Debug, Serialize, ToSchema)]
pub struct DifferingPath {
    path: String,
    /// `added`, `changed` or `removed`.
    change: &'static str,
    /// `file`, `dir`, `symlink` or `other`.
    kind: &'static str,
    /// The content differs, not the owner, the mode or the times alone.
    content: bool,
    bytes: i64,
}

/// What differs between two snapshots.
#[derive(Debug, Serialize, ToSchema)]
pub struct Differences {
    /// The older snapshot.
    with: Uuid,
    added: Sum,
    changed: Sum,
    removed: Sum,
    /// Paths whose owner, permissions or times alone changed.
    touched: i64,
    /// There are more than 200,000; the sums hold for that many.
    cut: bool,
    paths: Vec<DifferingPath>,
    /// `after` of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What changed from one snapshot to another
#[utoipa::path(get, path = "/api/v1/snapshots/{id}/differences", tag = "files", params(("id" = String, Path, description = "An id or its first digits, at least four"), Compare),
    responses((status = 200, body = Differences), (status = 409, description = "the repository cannot be read now", body = Problem, content_type = "application/problem+json")))]
pub async fn differences(
    State(app): State<AppContext>,
    Asker(ctx): Asker,
    Path(id): Path<String>,
    Query(q): Query<Compare>,
) -> Result<Json<Differences>, Problem> {
    let limit = usize::try_from(limit(q.limit, browse::PAGE as i64)?).unwrap_or(browse::PAGE);
    let after = after(q.after)?;
    let new = snapshot(&ctx, &id).await?;
    let old = match &q.with {
        Some(with) => Some(snapshot(&ctx, with).await?),
        None => ops::snapshots::before(&ctx, &new).await?,
    };
    let old = old.ok_or_else(|| ops::OpsError::invalid("with", "is needed: the item has no snapshot before this one; name another"))?;
    let found = browse::differences(&ctx, &app.repositories, &old, &new, (!after.is_empty()).then_some(after.as_str()), limit).await?;
    let path = |d: browse::Difference| DifferingPath {
        change: change(d.change.change),
        kind: d.change.node.as_str(),
        content: d.content,
        bytes: d.change.bytes,
        path: d.change.path,
    };
    Ok(Json(Differences {
        with: old.id,
        added: found.added.into(),
        changed: found.changed.into(),
        removed: found.removed.into(),
        touched: found.touched,
        cut: found.cut,
        paths: found.page.into_iter().map(path).collect(),
        next: found.next,
    }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct OnePath {
    /// A path inside the item.
    path: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct FindNames {
    /// A part of a name, case aside.
    #[serde(default)]
    #[param(required = true)]
    f: String,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 200, 100 where it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// What stood under a path for a while.
#[derive(Debug, Serialize, ToSchema)]
pub struct FileVersion {
    path: String,
    /// `file`, `dir`, `symlink` or `other`.
    kind: String,
    bytes: i64,
    modified_at: Option<Timestamp>,
    /// When the first snapshot with it was taken, and the first one without it.
    since_at: Timestamp,
    until_at: Option<Timestamp>,
    /// The oldest snapshot that has it; absent where every one is gone.
    snapshot: Option<Uuid>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct FileVersions {
    versions: Vec<FileVersion>,
    /// `cursor` of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl From<Version> for FileVersion {
    fn from(v: Version) -> Self {
        Self {
            path: v.row.path,
            kind: v.row.node,
            bytes: v.row.size_bytes,
            modified_at: v.row.modified_at.map(at),
            since_at: at(v.row.since_at),
            until_at: v.row.until_at.map(at),
            snapshot: v.snapshot.map(|s| s.id),
        }
    }
}

/// The versions of a path of an item, the newest first; at most 200
#[utoipa::path(get, path = "/api/v1/items/{id}/versions", tag = "files", params(("id" = Uuid, Path, description = "The item's id"), OnePath),
    responses((status = 200, body = FileVersions)))]
pub async fn versions(Asker(ctx): Asker, Path(id): Path<Uuid>, Query(q): Query<OnePath>) -> Result<Json<FileVersions>, Problem> {
    let found = browse::versions(&ctx, ItemId(id), &q.path, MOST_VERSIONS).await?;
    Ok(Json(FileVersions { versions: found.into_iter().map(FileVersion::from).collect(), next: None }))
}

/// Search names in all snapshots of an item: the versions of what bears one, by path and from new to old
#[utoipa::path(get, path = "/api/v1/items/{id}/names", tag = "files", params(("id" = Uuid, Path, description = "The item's id"), FindNames),
    responses((status = 200, body = FileVersions)))]
pub async fn names(Asker(ctx): Asker, Path(id): Path<Uuid>, Query(q): Query<FindNames>) -> Result<Json<FileVersions>, Problem> {
    let limit = limit(q.limit, MOST_VERSIONS)?;
    let before = List::Versions.read_path(q.cursor.as_deref())?;
    let found = browse::search(&ctx, ItemId(id), &q.f, before.as_ref().map(|(path, at)| (path.as_str(), *at)), limit).await?;
    let next = (found.len() as i64 == limit).then(|| found.last().map(|v| List::Versions.pathed(v.row.since_at, &v.row.path))).flatten();
    Ok(Json(FileVersions { versions: found.into_iter().map(FileVersion::from).collect(), next }))
}
