//! `/api/v1/snapshots/{id}/offsite-copies` and `offsite-returns`: an instance's image into a repository, and back.

use axum::{Json, http::StatusCode};
use domain::id::SnapshotId;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    asker::{Asker, Body, Path},
    problem::Problem,
    start::Started,
};

/// Where the copy goes.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"repository": "main"}))]
pub struct CopyOffsite {
    /// A repository of files; the one that the source names where it is left out.
    repository: Option<String>,
}

/// Where the image is made.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({}))]
pub struct ReturnOffsite {
    /// A cloud; that of the source where it is left out.
    cloud: Option<String>,
}

/// Copy the image of an instance's snapshot into a repository
#[utoipa::path(post, path = "/api/v1/snapshots/{id}/offsite-copies", tag = "snapshots", params(("id" = Uuid, Path, description = "The snapshot's id")),
    request_body = CopyOffsite,
    responses((status = 202, description = "the run waits or runs", body = Started),
        (status = 409, description = "there is no image to copy, or it was copied", body = Problem, content_type = "application/problem+json")))]
pub async fn copy(Asker(ctx): Asker, Path(id): Path<Uuid>, Body(asked): Body<CopyOffsite>) -> Result<(StatusCode, Json<Started>), Problem> {
    let run = match ctx.done("run").and_then(|runs| runs.first().copied()) {
        Some(run) => run,
        None => ops::offsite::copy(&ctx, SnapshotId(id), asked.repository.as_deref()).await?.0,
    };
    Ok((StatusCode::ACCEPTED, Json(Started::one(run))))
}

/// Make an image in a cloud of an offsite copy
#[utoipa::path(post, path = "/api/v1/snapshots/{id}/offsite-returns", tag = "snapshots", params(("id" = Uuid, Path, description = "The copy's id")),
    request_body = ReturnOffsite,
    responses((status = 202, description = "the run waits or runs", body = Started),
        (status = 409, description = "the snapshot is no offsite copy", body = Problem, content_type = "application/problem+json")))]
pub async fn bring_back(Asker(ctx): Asker, Path(id): Path<Uuid>, Body(asked): Body<ReturnOffsite>) -> Result<(StatusCode, Json<Started>), Problem> {
    let run = match ctx.done("run").and_then(|runs| runs.first().copied()) {
        Some(run) => run,
        None => ops::offsite::bring_back(&ctx, SnapshotId(id), asked.cloud.as_deref()).await?.0,
    };
    Ok((StatusCode::ACCEPTED, Json(Started::one(run))))
}
