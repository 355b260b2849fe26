//! `/api/v1/snapshots`: immutable copies of items.

use app::context::AppContext;
use axum::{Json, extract::State, response::Response};
use domain::id::SnapshotId;
use jiff::Timestamp;
use ops::permission::{Action, On, require_on};
use serde::{Deserialize, Serialize};
use store::snapshots::ListedSnapshot;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    asker::{Asker, List, Path, Query, limit},
    problem::Problem,
    words::at,
};
use crate::web::downloads;

/// An immutable copy of one item at a time.
#[derive(Debug, Serialize, ToSchema)]
pub struct Snapshot {
    id: Uuid,
    /// The id by which restic knows it.
    restic_id: String,
    taken_at: Timestamp,
    service: Option<String>,
    source: Option<String>,
    item: Option<String>,
    /// complete, partial or adopted.
    state: String,
    /// How far it has been proven: exists, readable, restored, asserted, started.
    evidence: String,
    /// When a restore test last proved it.
    verified_at: Option<Timestamp>,
    /// Since when all of its data is verified: the oldest last reading of the packs that it needs; absent until each was read.
    data_verified_at: Option<Timestamp>,
    files: i64,
    dirs: i64,
    bytes: i64,
    /// New in the repository because of this snapshot.
    bytes_added: i64,
    /// Files that could not be read.
    errors: i64,
    /// The run that made it.
    run: Option<Uuid>,
    /// What the guard says of it: in_question, bad, or accepted by a person; absent where nothing was ever in doubt.
    #[serde(skip_serializing_if = "Option::is_none")]
    doubt: Option<String>,
    /// The hold that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<Uuid>,
}

impl From<ListedSnapshot> for Snapshot {
    fn from(s: ListedSnapshot) -> Self {
        let row = s.row;
        Self {
            id: row.id,
            restic_id: row.restic_id,
            taken_at: at(row.taken_at),
            service: s.service_name,
            source: s.source_name,
            item: s.item_name,
            state: row.state,
            evidence: row.level,
            verified_at: row.verified_at.map(at),
            data_verified_at: row.data_verified_at.map(at),
            files: row.files,
            dirs: row.dirs,
            bytes: row.bytes,
            bytes_added: row.bytes_added,
            errors: row.errors,
            run: row.run_id,
            doubt: s.doubt,
            hold: row.doubt_hold_id,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListSnapshots {
    /// Only those of the service of this name.
    service: Option<String>,
    /// Only those of items of this name.
    item: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 500, 100 where it is left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Snapshots {
    snapshots: Vec<Snapshot>,
    /// `cursor` of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Snapshots, the newest first
#[utoipa::path(get, path = "/api/v1/snapshots", tag = "snapshots", params(ListSnapshots),
    responses((status = 200, body = Snapshots)))]
pub async fn list(Asker(ctx): Asker, Query(q): Query<ListSnapshots>) -> Result<Json<Snapshots>, Problem> {
    let limit = limit(q.limit, ops::runs::PAGE)?;
    let before = List::Snapshots.read(q.cursor.as_deref())?.map(|(at, id)| (at, SnapshotId(id)));
    let rows = ops::snapshots::list_of(&ctx, q.service.as_deref(), q.item.as_deref(), before, limit).await?;
    let next = (rows.len() as i64 == limit).then(|| rows.last().map(|s| List::Snapshots.key(s.row.taken_at, s.row.id))).flatten();
    Ok(Json(Snapshots { snapshots: rows.into_iter().map(Snapshot::from).collect(), next }))
}

/// One snapshot, by Holdfast's id, by restic's, or by the beginning of one
#[utoipa::path(get, path = "/api/v1/snapshots/{id}", tag = "snapshots", params(("id" = String, Path, description = "An id or its first digits, at least four")),
    responses((status = 200, body = Snapshot)))]
pub async fn find(Asker(ctx): Asker, Path(id): Path<String>) -> Result<Json<Snapshot>, Problem> {
    Ok(Json(ops::snapshots::resolve(&ctx, &id).await?.into()))
}

/// How an archive is packed.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArchiveFormat {
    #[default]
    Tar,
    Zip,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// `tar` where it is left out. Owners, modes, links and times are in a tar alone.
    #[serde(default)]
    #[param(inline, required = false)]
    format: ArchiveFormat,
    /// A file or folder inside the snapshot; everything where it is left out.
    path: Option<String>,
}

/// What is in a snapshot, as one archive
///
/// It is streamed as it is read. An archive that breaks off has no end, so that no program takes it for whole. Who took
/// what stands in the audit trail.
#[utoipa::path(get, path = "/api/v1/snapshots/{id}/archive", tag = "snapshots",
    params(("id" = String, Path, description = "An id or its first digits, at least four"), Pack),
    responses((status = 200, description = "the archive", content((String = "application/x-tar"), (String = "application/zip"))),
        (status = 409, description = "the repository cannot be read now", body = Problem, content_type = "application/problem+json")))]
pub async fn archive(State(app): State<AppContext>, Asker(ctx): Asker, Path(id): Path<String>, Query(q): Query<Pack>) -> Result<Response, Problem> {
    require_on(&ctx, Action::Browse, On::Any)?;
    let snapshot = ops::snapshots::resolve(&ctx, &id).await?.row;
    Ok(downloads::packed(&app, &ctx, &snapshot, q.path.into_iter().collect(), q.format.into()).await?)
}
