//! `/api/v1/calendars`: secret addresses at which calendar programs read which reviews are due.

use axum::{Json, http::StatusCode};
use domain::id::FeedId;
use jiff::Timestamp;
use ops::feeds::{self, FeedRow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    asker::{Asker, Body, Path},
    problem::Problem,
    words::at,
};

/// An address, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct Calendar {
    id: Uuid,
    name: String,
    /// Who made it, and whose sight it has.
    actor: String,
    /// `valid`, `expired` or `revoked`.
    state: &'static str,
    created_at: Timestamp,
    expires_at: Timestamp,
    /// To the minute.
    last_used_at: Option<Timestamp>,
    last_used_from: Option<String>,
    revoked_at: Option<Timestamp>,
    revoked_by: Option<String>,
}

impl Calendar {
    fn new(FeedRow { issued: of }: FeedRow, now: domain::units::Timestamp) -> Self {
        Self {
            state: of.state(now),
            id: of.id,
            name: of.name,
            actor: of.actor,
            created_at: at(of.created_at),
            expires_at: at(of.expires_at),
            last_used_at: of.last_used_at.map(at),
            last_used_from: of.last_used_from,
            revoked_at: of.revoked_at.map(at),
            revoked_by: of.revoked_by,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Calendars {
    calendars: Vec<Calendar>,
}

/// List one's own calendar addresses; an admin's list has everybody's
#[utoipa::path(get, path = "/api/v1/calendars", tag = "reviews",
    responses((status = 200, body = Calendars)))]
pub async fn list(Asker(ctx): Asker) -> Result<Json<Calendars>, Problem> {
    let now = ctx.now();
    Ok(Json(Calendars { calendars: feeds::list(&ctx).await?.into_iter().map(|f| Calendar::new(f, now)).collect() }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "calendar of my phone", "days": 366}))]
pub struct NewCalendar {
    /// Which program reads it.
    #[schema(max_length = 80)]
    name: String,
    /// How long it lives; 366 where it is left out.
    #[schema(minimum = 1, maximum = 366)]
    days: Option<i64>,
}

/// An address that was made just now.
#[derive(Debug, Serialize, ToSchema)]
pub struct MadeCalendar {
    #[serde(flatten)]
    made: Calendar,
    /// The address on this site. It is shown this once; whoever has it needs nothing else.
    path: String,
}

/// Make a calendar address; it is shown this once
///
/// A token makes none: this call needs a session.
#[utoipa::path(post, path = "/api/v1/calendars", tag = "reviews", request_body = NewCalendar,
    responses((status = 201, body = MadeCalendar)))]
pub async fn make(Asker(ctx): Asker, Body(new): Body<NewCalendar>) -> Result<(StatusCode, Json<MadeCalendar>), Problem> {
    let (row, secret) = feeds::make(&ctx, &new.name, new.days.unwrap_or(feeds::DEFAULT_DAYS)).await?;
    Ok((StatusCode::CREATED, Json(MadeCalendar { made: Calendar::new(row, ctx.now()), path: feeds::path(&secret) })))
}

/// Revoke a calendar address
#[utoipa::path(delete, path = "/api/v1/calendars/{id}", tag = "reviews", params(("id" = Uuid, Path)),
    responses((status = 204, description = "it is good for nothing from now on")))]
pub async fn revoke(Asker(ctx): Asker, Path(id): Path<Uuid>) -> Result<StatusCode, Problem> {
    feeds::revoke(&ctx, FeedId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
