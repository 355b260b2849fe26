//! `/api/v1/links`: read-only links to evidence, for guests from outside.

use axum::{Json, http::StatusCode};
use domain::id::LinkId;
use jiff::Timestamp;
use ops::links::{self, LinkRow, Wanted};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    asker::{Asker, Body, Path},
    problem::Problem,
    words::at,
};

/// A read-only link, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct GuestLink {
    id: Uuid,
    /// For whom, or for what.
    label: String,
    made_by: String,
    /// `valid`, `expired` or `revoked`.
    state: &'static str,
    /// Names of the services whose evidence it shows; all where it is absent.
    services: Option<Vec<String>>,
    /// Evidence from this day up to and including that one.
    #[schema(format = Date)]
    from: String,
    #[schema(format = Date)]
    to: String,
    created_at: Timestamp,
    expires_at: Timestamp,
    /// How often it was opened.
    uses: i64,
    last_used_at: Option<Timestamp>,
    last_used_from: Option<String>,
    revoked_at: Option<Timestamp>,
    revoked_by: Option<String>,
}

impl GuestLink {
    async fn new(ctx: &ops::Ctx, l: LinkRow) -> Result<Self, Problem> {
        let services = links::service_names(ctx, &l).await?;
        let of = l.issued;
        Ok(Self {
            services,
            state: of.state(ctx.now()),
            id: of.id,
            label: of.name,
            made_by: of.actor,
            from: l.from_on,
            to: l.to_on,
            created_at: at(of.created_at),
            expires_at: at(of.expires_at),
            uses: l.uses,
            last_used_at: of.last_used_at.map(at),
            last_used_from: of.last_used_from,
            revoked_at: of.revoked_at.map(at),
            revoked_by: of.revoked_by,
        })
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct GuestLinks {
    links: Vec<GuestLink>,
}

/// List one's own read-only links; an admin's list has everybody's
#[utoipa::path(get, path = "/api/v1/links", tag = "access",
    responses((status = 200, body = GuestLinks)))]
pub async fn list(Asker(ctx): Asker) -> Result<Json<GuestLinks>, Problem> {
    let mut all = Vec::new();
    for row in links::list(&ctx).await? {
        all.push(GuestLink::new(&ctx, row).await?);
    }
    Ok(Json(GuestLinks { links: all }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"label": "external audit 2027", "services": ["alpha"], "from": "2026-01-01", "to": "2026-12-31", "days": 30}))]
pub struct NewGuestLink {
    /// For whom, or for what.
    #[schema(max_length = 80)]
    label: String,
    /// Names of services; all of them where it is left out, which only an admin may.
    services: Option<Vec<String>>,
    /// The first day of the evidence that it shows.
    #[schema(format = Date)]
    from: String,
    /// The last one.
    #[schema(format = Date)]
    to: String,
    /// How long it lives; 30 where it is left out.
    #[schema(minimum = 1, maximum = 90)]
    days: Option<i64>,
}

/// A link that was made just now.
#[derive(Debug, Serialize, ToSchema)]
pub struct MadeGuestLink {
    #[serde(flatten)]
    made: GuestLink,
    /// The page of this site that opens it. It is shown this once; whoever has it needs nothing else.
    path: String,
}

/// Make a read-only link to evidence; it is shown this once
///
/// A token makes none: this call needs a session.
#[utoipa::path(post, path = "/api/v1/links", tag = "access", request_body = NewGuestLink,
    responses((status = 201, body = MadeGuestLink)))]
pub async fn make(Asker(ctx): Asker, Body(b): Body<NewGuestLink>) -> Result<(StatusCode, Json<MadeGuestLink>), Problem> {
    let all = b.services.is_none();
    let days = b.days.unwrap_or(links::DEFAULT_DAYS);
    let wanted = Wanted { label: b.label, all, services: b.services.unwrap_or_default(), from: b.from, to: b.to, days };
    let (row, secret) = links::make(&ctx, &wanted).await?;
    Ok((StatusCode::CREATED, Json(MadeGuestLink { made: GuestLink::new(&ctx, row).await?, path: links::path(&secret) })))
}

/// Revoke a read-only link: whatever it opened is over at once
#[utoipa::path(delete, path = "/api/v1/links/{id}", tag = "access", params(("id" = Uuid, Path)),
    responses((status = 204, description = "it is good for nothing from now on")))]
pub async fn revoke(Asker(ctx): Asker, Path(id): Path<Uuid>) -> Result<StatusCode, Problem> {
    links::revoke(&ctx, LinkId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
