//! `/api/v1/repositories/{name}/orphans`: what lies in a cloud and is named by no record; adopting what exists.

use axum::{Json, http::StatusCode};
use domain::id::OrphanId;
use jiff::Timestamp;
use ops::instances::{
    adopting,
    orphans::{self, Orphan as Stands, Removal},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    asker::{Asker, Body, List, Path, Query, Trial, limit},
    problem::Problem,
    words::at,
};

/// Where an orphan would be listed.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrphanPlace {
    service: String,
    source: String,
    instance: String,
    taken_at: Timestamp,
}

/// Images and volume snapshots in a cloud that belong together and that no record names.
#[derive(Debug, Serialize, ToSchema)]
pub struct Orphan {
    id: Uuid,
    /// The cloud's id of the whole: the image's, or the root volume snapshot's.
    unit: String,
    name: String,
    /// The id of its image in the cloud.
    image: Option<String>,
    /// The ids of its volume snapshots in the cloud.
    volume_snapshots: Vec<String>,
    /// What it takes in the cloud, as far as the cloud tells.
    bytes: i64,
    /// When the cloud made it.
    made_at: Timestamp,
    /// run_gone, unrecorded, record_gone, parts_missing or fits_pattern.
    why: String,
    /// The same in a sentence.
    detail: String,
    found_at: Timestamp,
    /// What it becomes when it is adopted; absent where it cannot be.
    place: Option<OrphanPlace>,
    /// Why it cannot be adopted.
    cannot: Option<String>,
    /// What nobody knows of the instance that it was taken of, and a clone has to be told.
    unknown: Vec<String>,
    /// When its deletion was ordered; a server does it.
    delete_at: Option<Timestamp>,
    delete_by: Option<String>,
    delete_reason: Option<String>,
    /// Why it could not be deleted.
    trouble: Option<String>,
}

impl From<Stands> for Orphan {
    fn from(o: Stands) -> Self {
        let (place, cannot) = match o.place {
            Ok(f) => (Some(OrphanPlace { service: f.service, source: f.source, instance: f.instance, taken_at: at(f.taken_at.0) }), None),
            Err(why) => (None, Some(why)),
        };
        let row = o.row;
        let native = row.native.0;
        Self {
            id: row.id,
            unit: row.unit_id,
            name: row.name,
            image: native.image.map(|i| i.id),
            volume_snapshots: native.volumes.into_iter().map(|v| v.id).collect(),
            bytes: row.bytes,
            made_at: at(row.made_at),
            why: row.why,
            detail: row.detail,
            found_at: at(row.found_at),
            place,
            cannot,
            unknown: o.unknown.into_iter().map(str::to_owned).collect(),
            delete_at: row.delete_at.map(at),
            delete_by: row.delete_by,
            delete_reason: row.delete_reason,
            trouble: row.trouble,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ListedOrphans {
    /// The newest first.
    orphans: Vec<Orphan>,
    /// How many there are on all pages.
    count: i64,
    /// `cursor` of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListOrphans {
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 500, 100 where it is left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// What lies in a cloud and is named by no record, as it was last looked at
#[utoipa::path(get, path = "/api/v1/repositories/{name}/orphans", tag = "repositories",
    params(("name" = String, Path, description = "The repository's name"), ListOrphans),
    responses((status = 200, body = ListedOrphans),
        (status = 409, description = "the repository is no cloud", body = Problem, content_type = "application/problem+json")))]
pub async fn list(Asker(ctx): Asker, Path(name): Path<String>, Query(q): Query<ListOrphans>) -> Result<Json<ListedOrphans>, Problem> {
    let limit = limit(q.limit, orphans::MOST)?;
    let before = List::Orphans.read(q.cursor.as_deref())?.map(|(at, id)| (at, OrphanId(id)));
    let found = orphans::list(&ctx, &name, before, limit).await?;
    let next = found.next.map(|(at, id)| List::Orphans.key(at.0, id.0));
    Ok(Json(ListedOrphans { orphans: found.orphans.into_iter().map(Orphan::from).collect(), count: found.count, next }))
}

/// The snapshot that an orphan became.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdoptedOrphan {
    snapshot: Uuid,
}

/// Adopt an orphan: let it be a snapshot of its instance, which lists, retention and clones count
#[utoipa::path(post, path = "/api/v1/repositories/{name}/orphans/{id}/adopt", tag = "repositories",
    params(("name" = String, Path, description = "The repository's name"), ("id" = Uuid, Path, description = "The orphan's id")),
    responses((status = 200, body = AdoptedOrphan),
        (status = 409, description = "it is no whole copy, is about to be deleted, or nothing tells of which instance it is", body = Problem, content_type = "application/problem+json")))]
pub async fn adopt(Asker(ctx): Asker, Path((name, id)): Path<(String, Uuid)>) -> Result<Json<AdoptedOrphan>, Problem> {
    let snapshot = orphans::adopt(&ctx, &name, OrphanId(id)).await?;
    Ok(Json(AdoptedOrphan { snapshot: snapshot.0 }))
}

/// What is deleted, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "web_snapshot_202102251408", "reason": "left by a trial"}))]
pub struct DeleteOrphan {
    /// The orphan's name, so that no other one is meant.
    name: String,
    reason: String,
}

/// Delete an orphan in its cloud, with all its pieces
///
/// A server does it within seconds; where it cannot, `trouble` of the orphan says why.
#[utoipa::path(delete, path = "/api/v1/repositories/{name}/orphans/{id}", tag = "repositories",
    params(("name" = String, Path, description = "The repository's name"), ("id" = Uuid, Path, description = "The orphan's id")), request_body = DeleteOrphan,
    responses((status = 202, description = "ordered"),
        (status = 409, description = "it was ordered before, or a hold covers it", body = Problem, content_type = "application/problem+json")))]
pub async fn delete(Asker(ctx): Asker, Path((name, id)): Path<(String, Uuid)>, Body(body): Body<DeleteOrphan>) -> Result<StatusCode, Problem> {
    orphans::delete(&ctx, &name, OrphanId(id), &Removal { name: body.name, reason: body.reason }).await?;
    Ok(StatusCode::ACCEPTED)
}

/// What is adopted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"pattern": "{0}_snapshot_{1}"}))]
pub struct AdoptPattern {
    /// Of the snapshots' names: `{0}` stands for the instance, `{1}` for the time in UTC.
    pattern: String,
}

/// A snapshot that fits.
#[derive(Debug, Serialize, ToSchema)]
pub struct Adoption {
    /// The cloud's id of the whole.
    unit: String,
    name: String,
    instance: String,
    /// Whether the instance is in the cloud now.
    present: bool,
    taken_at: Timestamp,
    bytes: i64,
    /// What nobody knows of the instance as it was, and a clone has to be told.
    unknown: Vec<String>,
    /// Why it would not be adopted.
    cannot: Option<String>,
}

/// What a schedule deletes after its next snapshot, once these are adopted.
#[derive(Debug, Serialize, ToSchema)]
pub struct BeyondSchedule {
    schedule: String,
    max_snapshots: u32,
    snapshots: usize,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Adoptions {
    /// How many were adopted; 0 with `preview`.
    adopted: usize,
    /// With `preview`: all that fit, by instance and time, at most 500.
    snapshots: Vec<Adoption>,
    /// Some more fit: ask again once these are adopted.
    more: bool,
    beyond: Vec<BeyondSchedule>,
}

/// Adopt all snapshots in the cloud that fit a pattern
///
/// `max_snapshots` of a schedule counts them from then on, and deletes what is beyond it: look at `preview` first.
#[utoipa::path(post, path = "/api/v1/services/{name}/sources/{source}/adoptions", tag = "services",
    params(("name" = String, Path, description = "The service's name"), ("source" = String, Path, description = "The source's name"), Trial), request_body = AdoptPattern,
    responses((status = 200, body = Adoptions),
        (status = 409, description = "the source is of another kind, or nothing fits", body = Problem, content_type = "application/problem+json")))]
pub async fn adopt_all(
    Asker(ctx): Asker,
    Path((name, source)): Path<(String, String)>,
    Query(trial): Query<Trial>,
    Body(body): Body<AdoptPattern>,
) -> Result<Json<Adoptions>, Problem> {
    if !trial.preview {
        let adopted = adopting::all(&ctx, &name, &source, &body.pattern).await?;
        return Ok(Json(Adoptions { adopted, snapshots: Vec::new(), more: false, beyond: Vec::new() }));
    }
    let found = adopting::preview(&ctx, &name, &source, &body.pattern).await?;
    let adoption = |a: adopting::Adoption| Adoption {
        unit: a.orphan.unit_id,
        name: a.orphan.name,
        instance: a.instance,
        present: a.present,
        taken_at: at(a.taken_at.0),
        bytes: a.orphan.bytes,
        unknown: a.unknown.into_iter().map(str::to_owned).collect(),
        cannot: a.cannot,
    };
    let beyond = found.beyond.into_iter().map(|b| BeyondSchedule { schedule: b.schedule, max_snapshots: b.max_snapshots, snapshots: b.snapshots });
    Ok(Json(Adoptions { adopted: 0, snapshots: found.all.into_iter().map(adoption).collect(), more: found.more, beyond: beyond.collect() }))
}
