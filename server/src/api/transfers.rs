//! Serializing an item to a location and bringing it back from one, for systems that drive a backup by the verbs list
//! (`/api/v1/services/{name}/items`), serialize and deserialize.

use app::{components::address::encode, context::AppContext};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use domain::id::{RunId, SnapshotId};
use jiff::Timestamp;
use ops::{
    browse, previews,
    restores::{Choice, Request},
    transfers::{self, Address},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    asker::{Asker, Body, Path},
    problem::Problem,
    restores::target,
    snapshots::ArchiveFormat,
    start::{Conflict, Target},
    words::at,
};
use crate::web::downloads;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct Place {
    /// The service's name
    name: String,
    /// The source's name
    source: String,
    /// The item's name, in the reversible text form
    item: String,
}

impl Place {
    fn address(&self) -> Address<'_> {
        Address { service: &self.name, source: &self.source, item: &self.item }
    }
}

/// What of an item is to be serialized.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"format": "tar"}))]
pub struct ToSerialize {
    /// One of the item's snapshots; the newest where it is left out.
    snapshot: Option<Uuid>,
    /// Files and folders inside it; everything where it is left out.
    #[serde(default)]
    paths: Vec<String>,
    /// `tar` where it is left out. Owners, modes, links and times are in a tar alone.
    #[serde(default)]
    format: ArchiveFormat,
}

/// Where the archive can be read for a while, without a token.
#[derive(Debug, Serialize, ToSchema)]
pub struct Serialized {
    /// A path of this server. Whoever holds it can read the archive: hand it on like a password.
    location: String,
    snapshot: Uuid,
    taken_at: Timestamp,
    /// Until when it can be read.
    until: Timestamp,
}

/// Serialize an item: a location from which its archive is streamed, for a quarter of an hour
///
/// What is at the location is the snapshot, however the item changes meanwhile.
#[utoipa::path(post, path = "/api/v1/services/{name}/sources/{source}/items/{item}/serialize", tag = "transfers", params(Place), request_body = ToSerialize,
    responses((status = 200, body = Serialized)))]
pub async fn serialize(
    State(app): State<AppContext>,
    Asker(ctx): Asker,
    Path(place): Path<Place>,
    Body(body): Body<ToSerialize>,
) -> Result<Json<Serialized>, Problem> {
    let format = body.format.into();
    let made = transfers::serialize(&ctx, &app.vault, place.address(), body.snapshot.map(SnapshotId), body.paths, format).await?;
    Ok(Json(Serialized {
        location: format!("{ARCHIVES}{}", encode(&made.key)),
        snapshot: made.snapshot.id,
        taken_at: at(made.snapshot.taken_at),
        until: at(made.until.0),
    }))
}

/// Where locations are read. Whoever holds one needs no sign-in.
pub const ARCHIVES: &str = "/api/v1/archives/";

/// Read the archive at a location
///
/// The location is the permission: no token is needed. It is streamed as it is read; an archive that breaks off has no end.
#[utoipa::path(get, path = "/api/v1/archives/{key}", tag = "transfers", params(("key" = String, Path, description = "What serializing an item gave")),
    security(()),
    responses((status = 200, description = "the archive", content((String = "application/x-tar"), (String = "application/zip"))),
        (status = 409, description = "the repository cannot be read now", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "its time is over, or its snapshot is no longer kept", body = Problem, content_type = "application/problem+json")))]
pub async fn archive(State(app): State<AppContext>, Asker(ctx): Asker, Path(key): Path<String>) -> Result<Response, Problem> {
    let opened = transfers::open(&ctx, &app.vault, &key).await?;
    Ok(downloads::packed(&app, &opened.ctx, &opened.snapshot, opened.paths, opened.format).await?)
}

/// What is to be brought back, and where to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"location": "/api/v1/archives/v1.0b3a.bGlrZSB0aGlz", "target": {"kind": "beside"}}))]
pub struct ToDeserialize {
    /// What serializing this very item gave, also after its time is over.
    location: String,
    target: Target,
    #[serde(default)]
    conflict: Conflict,
    /// The service's name, typed: needed for a restore in place.
    confirm: Option<String>,
    /// The run that has counted exactly this within the last 15 minutes. Left out, it is counted and nothing is written.
    counted: Option<Uuid>,
}

/// The run that counts, or the one that brings it back.
#[derive(Debug, Serialize, ToSchema)]
pub struct Deserialized {
    run: Uuid,
    /// It only counts: look at the run's result, and send the same again with `counted`.
    preview: bool,
}

/// Deserialize an item: count what it would do first, then bring back exactly that
///
/// Without `counted` a run counts, file by file, what would be created and replaced, and writes nothing. With the id of
/// that run in `counted` the item is brought back. Only what was serialized here is taken.
#[utoipa::path(post, path = "/api/v1/services/{name}/sources/{source}/items/{item}/deserialize", tag = "transfers", params(Place), request_body = ToDeserialize,
    responses((status = 202, body = Deserialized)))]
pub async fn deserialize(
    State(app): State<AppContext>,
    Asker(ctx): Asker,
    Path(place): Path<Place>,
    Body(body): Body<ToDeserialize>,
) -> Result<(StatusCode, Json<Deserialized>), Problem> {
    let preview = body.counted.is_none();
    let run = if let Some([run, ..]) = ctx.done("run").as_deref() {
        *run
    } else {
        let choice: Choice = transfers::choice(&ctx, &app.vault, place.address(), &body.location).await?;
        let request = Request { choices: vec![choice], target: target(body.target), conflict: body.conflict.into(), preview: false, confirm: body.confirm };
        match body.counted {
            Some(counted) => previews::confirm(&ctx, request, RunId(counted)).await?.0,
            None => previews::start(&ctx, &request).await?.0,
        }
    };
    Ok((StatusCode::ACCEPTED, Json(Deserialized { run, preview })))
}

impl From<ArchiveFormat> for browse::Format {
    fn from(f: ArchiveFormat) -> Self {
        match f {
            ArchiveFormat::Tar => Self::Tar,
            ArchiveFormat::Zip => Self::Zip,
        }
    }
}
