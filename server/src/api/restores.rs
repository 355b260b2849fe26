//! `/api/v1/restores`: bringing files back, with all that the pages' wizard can do.
//!
//! A restore is tried (`preview`), counted by a run that writes nothing, looked at, and confirmed on exactly that count.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use domain::{
    id::{RunId, SnapshotId},
    restore::ConflictMode,
    work,
};
use jiff::Timestamp;
use ops::{
    previews::{self, Preview},
    restores::{Choice, Request},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    asker::{Asker, Body, Path, Query, Trial},
    problem::Problem,
    start::{Chosen, Conflict, Started, Target},
    words::at,
};

/// What is to be restored, and where to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"snapshots": [{"snapshot": "01a1f8df-12b6-706e-b053-6ef67d1f8fb0", "paths": ["work"]}], "target": {"kind": "folder", "path": "/srv/restored"}, "conflict": "skip"}))]
pub struct Restore {
    /// Of each item one snapshot; all of one repository.
    snapshots: Vec<Chosen>,
    target: Target,
    #[serde(default)]
    conflict: Conflict,
    /// The service's name, typed: needed for a restore in place.
    confirm: Option<String>,
    /// The run that has counted exactly this within the last 15 minutes. Left out, it is restored without a count.
    counted: Option<Uuid>,
}

impl From<Conflict> for ConflictMode {
    fn from(c: Conflict) -> Self {
        match c {
            Conflict::Fail => Self::Fail,
            Conflict::Skip => Self::Skip,
            Conflict::Overwrite => Self::Overwrite,
            Conflict::KeepNewer => Self::KeepNewer,
        }
    }
}

/// The request as the use cases take it.
pub fn request(snapshots: Vec<Chosen>, target: Target, conflict: Conflict, confirm: Option<String>, preview: bool) -> Request {
    let choices = snapshots.into_iter().map(|c| Choice { snapshot: SnapshotId(c.snapshot), paths: c.paths }).collect();
    Request { choices, target: self::target(target), conflict: conflict.into(), preview, confirm }
}

pub fn target(target: Target) -> work::RestoreTarget {
    match target {
        Target::InPlace => work::RestoreTarget::InPlace,
        Target::Beside => work::RestoreTarget::Beside,
        Target::Folder { path } => work::RestoreTarget::Folder { path },
    }
}

impl Restore {
    fn request(self) -> Request {
        request(self.snapshots, self.target, self.conflict, self.confirm, false)
    }
}

/// A restore that is not started.
#[derive(Debug, Serialize, ToSchema)]
pub struct TriedRestore {
    /// None: nothing was started.
    runs: Vec<Uuid>,
    items: Vec<TriedItem>,
    /// The folder without redundant parts; absent in place and beside the original.
    folder: Option<String>,
    conflict: String,
}

/// What of one item would be restored.
#[derive(Debug, Serialize, ToSchema)]
pub struct TriedItem {
    item: String,
    snapshot: Uuid,
    /// Everything where it is empty.
    paths: Vec<String>,
}

/// Start a restore
///
/// With `preview` the answer is 200 and what would be restored, checked without looking at a disk; to have it counted file
/// by file, start a count.
#[utoipa::path(post, path = "/api/v1/restores", tag = "restores", params(Trial), request_body = Restore,
    responses((status = 202, body = Started), (status = 200, description = "with `preview`: nothing is started", body = TriedRestore)))]
pub async fn start(Asker(ctx): Asker, Query(trial): Query<Trial>, Body(body): Body<Restore>) -> Result<Response, Problem> {
    let counted = body.counted.map(RunId);
    let request = body.request();
    if trial.preview {
        let would = previews::check(&ctx, &request).await?;
        let items = would.items.into_iter().map(|i| TriedItem { item: i.item, snapshot: i.snapshot.0, paths: i.paths }).collect();
        let folder = match would.target {
            work::RestoreTarget::InPlace | work::RestoreTarget::Beside => None,
            work::RestoreTarget::Folder { path } => Some(path),
        };
        return Ok(Json(TriedRestore { runs: Vec::new(), items, folder, conflict: would.conflict.as_str().to_owned() }).into_response());
    }
    let run = match (ctx.done("run").as_deref(), counted) {
        (Some([run, ..]), _) => *run,
        (_, Some(counted)) => previews::confirm(&ctx, request, counted).await?.0,
        (_, None) => ops::restores::start(&ctx, request).await?.0,
    };
    Ok((StatusCode::ACCEPTED, Json(Started::one(run))).into_response())
}

/// Count what a restore would do, file by file, by a run that writes nothing at the target
///
/// It needs no confirmation. Read how it stands with the same body at `/api/v1/restores/counts/{id}`.
#[utoipa::path(post, path = "/api/v1/restores/counts", tag = "restores", request_body = Restore, responses((status = 202, body = Started)))]
pub async fn count(Asker(ctx): Asker, Body(body): Body<Restore>) -> Result<(StatusCode, Json<Started>), Problem> {
    let run = match ctx.done("run").as_deref() {
        Some([run, ..]) => *run,
        _ => previews::start(&ctx, &body.request()).await?.0,
    };
    Ok((StatusCode::ACCEPTED, Json(Started::one(run))))
}

/// Where a count stands: `waiting`, `ready`, `outdated` (of another restore, or older than 15 minutes) or `failed`.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Counted {
    state: &'static str,
    /// How many files would be created, replaced, are the same already, or are left as they are.
    counts: Option<Counts>,
    /// Where each item would land.
    landings: Vec<Landing>,
    /// At most 200 of the paths.
    sample: Vec<CountedPath>,
    checks: Vec<Check>,
    made_at: Option<Timestamp>,
    /// Until when a restore can be confirmed on it.
    until: Option<Timestamp>,
    failure: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Counts {
    create: i64,
    replace: i64,
    same: i64,
    skip: i64,
    /// Bytes that would be written.
    bytes: i64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Landing {
    item: String,
    path: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct CountedPath {
    path: String,
    /// `create`, `replace`, `same` or `skip`.
    action: String,
    bytes: i64,
}

/// One thing that was looked at before a restore begins.
#[derive(Debug, Serialize, ToSchema)]
pub struct Check {
    name: &'static str,
    /// `passed`, `failed` or `unknown` (could not be checked).
    verdict: &'static str,
    detail: String,
}

/// Read how the count of a restore stands; the body is that of the restore
#[utoipa::path(post, path = "/api/v1/restores/counts/{id}", tag = "restores", params(("id" = Uuid, Path, description = "The run that counts")),
    request_body = Restore, responses((status = 200, body = Counted)))]
pub async fn counted(Asker(ctx): Asker, Path(id): Path<Uuid>, Body(body): Body<Restore>) -> Result<Json<Counted>, Problem> {
    let request = body.request();
    let state = |state| Counted { state, ..Counted::default() };
    Ok(Json(match previews::find(&ctx, &request, RunId(id)).await? {
        Preview::Waiting(_) => state("waiting"),
        Preview::Outdated => state("outdated"),
        Preview::Failed(failure) => Counted { failure: Some(failure.message), ..state("failed") },
        Preview::Ready { result, made_at, until } => {
            let checks = previews::checks(&ctx, &request, &result).await?;
            let c = result.counts;
            Counted {
                counts: Some(Counts { create: c.create, replace: c.replace, same: c.same, skip: c.skip, bytes: c.bytes }),
                landings: result.landings.into_iter().map(|l| Landing { item: l.item, path: l.path }).collect(),
                sample: result.sample.into_iter().map(|p| CountedPath { path: p.path, action: p.action, bytes: p.bytes }).collect(),
                checks: checks.into_iter().map(|c| Check { name: c.name, verdict: c.verdict.as_str(), detail: c.detail }).collect(),
                made_at: Some(at(made_at.0)),
                until: Some(at(until.0)),
                ..state("ready")
            }
        }
    }))
}
