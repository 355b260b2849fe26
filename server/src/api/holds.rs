//! `/api/v1/holds`: what stands against forgetting, and the decisions on what the guard found.

use axum::{Json, http::StatusCode};
use domain::id::{HoldId, SnapshotId};
use jiff::Timestamp;
use ops::holds::{Hold as Found, Place, State};
use serde::{Deserialize, Serialize};
use store::holds::Filter;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    asker::{Asker, Body, List, Path, Query, limit},
    problem::Problem,
    words::at,
};

/// While it stands, nothing that it covers is forgotten.
#[derive(Debug, Serialize, ToSchema)]
pub struct Hold {
    id: Uuid,
    service: String,
    /// All items of the service where it is absent, unless a snapshot is named.
    item: Option<String>,
    /// All snapshots where it is absent.
    snapshot: Option<Uuid>,
    /// person or guard.
    kind: String,
    /// undecided: prunes of the repository pause until a person decides. kept: the guard was right, what is marked is
    /// bad. standing: a person placed it. ended.
    state: &'static str,
    reason: String,
    /// What a guard found, a sentence each, and what is usual.
    findings: Vec<HoldFinding>,
    /// Snapshots that are in question or bad by it.
    marked: i64,
    /// The newest snapshots of the items in question against which nothing speaks.
    last_good: Vec<Uuid>,
    placed_by: String,
    placed_at: Timestamp,
    /// The run that found it.
    run: Option<Uuid>,
    decided_by: Option<String>,
    decision_reason: Option<String>,
    kept_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
}

/// One sign with its numbers.
#[derive(Debug, Serialize, ToSchema)]
pub struct HoldFinding {
    /// What was found, in two or three words.
    sign: String,
    /// What was measured, in a sentence.
    measured: String,
    /// What is usual, in a sentence.
    expected: String,
    /// Files that show it, of so many, how many usually do, and from how many on it is out of the ordinary.
    files: i64,
    of: i64,
    usual: f64,
    limit: i64,
}

impl From<Found> for Hold {
    fn from(h: Found) -> Self {
        let state = match h.state() {
            State::Undecided => "undecided",
            State::Kept => "kept",
            State::Standing => "standing",
            State::Ended => "ended",
        };
        let findings = h.facts.iter().flat_map(|f| &f.findings).map(|f| HoldFinding {
            sign: f.sign.name().to_owned(),
            measured: f.measured(),
            expected: f.expected(),
            files: f.files,
            of: f.of,
            usual: f.usual,
            limit: f.limit,
        });
        let findings = findings.collect();
        let row = h.listed.row;
        Self {
            id: row.id,
            service: h.listed.service_name,
            item: h.listed.item_name,
            snapshot: row.snapshot_id,
            kind: row.kind,
            state,
            reason: row.reason,
            findings,
            marked: h.marked,
            last_good: h.good.into_iter().map(|g| g.id).collect(),
            placed_by: row.actor,
            placed_at: at(row.created_at),
            run: row.run_id,
            decided_by: row.released_by,
            decision_reason: row.release_reason,
            kept_at: row.kept_at.map(at),
            ended_at: row.released_at.map(at),
        }
    }
}

/// Which holds a list shows.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HoldState {
    Standing,
    Undecided,
    Ended,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HoldKind {
    Person,
    Guard,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListHolds {
    state: Option<HoldState>,
    kind: Option<HoldKind>,
    /// Only those over the service of this name, its items and snapshots.
    service: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 500, 100 where it is left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Holds {
    holds: Vec<Hold>,
    /// `cursor` of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Holds, the newest first
#[utoipa::path(get, path = "/api/v1/holds", tag = "holds", params(ListHolds),
    responses((status = 200, body = Holds)))]
pub async fn list(Asker(ctx): Asker, Query(q): Query<ListHolds>) -> Result<Json<Holds>, Problem> {
    let limit = limit(q.limit, ops::runs::PAGE)?;
    let before = List::Holds.read(q.cursor.as_deref())?.map(|(at, id)| (at, HoldId(id)));
    let state = q.state.map_or("", |s| match s {
        HoldState::Standing => "standing",
        HoldState::Undecided => "undecided",
        HoldState::Ended => "ended",
    });
    let kind = q.kind.map_or("", |k| match k {
        HoldKind::Person => "person",
        HoldKind::Guard => "guard",
    });
    let filter = Filter { service: q.service.unwrap_or_default(), kind: kind.to_owned(), state: state.to_owned() };
    let found = ops::holds::list(&ctx, &filter, before, limit).await?;
    let next = (found.len() as i64 == limit).then(|| found.last().map(|h| List::Holds.key(h.row().created_at, h.row().id))).flatten();
    Ok(Json(Holds { holds: found.into_iter().map(Hold::from).collect(), next }))
}

/// One hold
#[utoipa::path(get, path = "/api/v1/holds/{id}", tag = "holds", params(("id" = Uuid, Path, description = "The hold's id")),
    responses((status = 200, body = Hold)))]
pub async fn find(Asker(ctx): Asker, Path(id): Path<Uuid>) -> Result<Json<Hold>, Problem> {
    Ok(Json(ops::holds::find(&ctx, HoldId(id)).await?.into()))
}

/// What is to be kept: a service, one of its items, or a snapshot.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"service": "notebooks", "reason": "asked for by the legal department"}))]
pub struct PlaceHold {
    /// Not needed with a snapshot.
    #[serde(default)]
    service: String,
    #[serde(default)]
    item: String,
    snapshot: Option<Uuid>,
    /// Why, for whoever reads it in a year.
    reason: String,
}

/// Place a hold
#[utoipa::path(post, path = "/api/v1/holds", tag = "holds", request_body = PlaceHold,
    responses((status = 201, body = Hold)))]
pub async fn place(Asker(ctx): Asker, Body(b): Body<PlaceHold>) -> Result<(StatusCode, Json<Hold>), Problem> {
    let id = match ctx.done("hold").as_deref() {
        Some([id, ..]) => HoldId(*id),
        _ => ops::holds::place(&ctx, &Place { service: b.service, item: b.item, snapshot: b.snapshot.map(SnapshotId), reason: b.reason }).await?,
    };
    Ok((StatusCode::CREATED, Json(ops::holds::find(&ctx, id).await?.into())))
}

/// A decision.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "looked at with the owner"}))]
pub struct Decide {
    /// Why, for whoever reads it in a year.
    reason: String,
}

/// End a hold: what the guard found was in order, or the item is in order again
#[utoipa::path(post, path = "/api/v1/holds/{id}/release", tag = "holds", params(("id" = Uuid, Path, description = "The hold's id")), request_body = Decide,
    responses((status = 200, body = Hold)))]
pub async fn release(Asker(ctx): Asker, Path(id): Path<Uuid>, Body(b): Body<Decide>) -> Result<Json<Hold>, Problem> {
    ops::holds::release(&ctx, HoldId(id), &b.reason).await?;
    Ok(Json(ops::holds::find(&ctx, HoldId(id)).await?.into()))
}

/// Keep a guard's hold: what it found was an attack or an accident, and what it marked is bad
#[utoipa::path(post, path = "/api/v1/holds/{id}/keep", tag = "holds", params(("id" = Uuid, Path, description = "The hold's id")), request_body = Decide,
    responses((status = 200, body = Hold)))]
pub async fn keep(Asker(ctx): Asker, Path(id): Path<Uuid>, Body(b): Body<Decide>) -> Result<Json<Hold>, Problem> {
    ops::holds::keep(&ctx, HoldId(id), &b.reason).await?;
    Ok(Json(ops::holds::find(&ctx, HoldId(id)).await?.into()))
}
