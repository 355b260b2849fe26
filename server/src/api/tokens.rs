//! `/api/v1/tokens`: access tokens of programs; `/api/v1/me`: for whom this call speaks.

use axum::{Json, http::StatusCode};
use domain::id::TokenId;
use jiff::Timestamp;
use ops::{
    permission::{Action, On, allowed, require_on},
    tokens::{self, TokenRow, Wanted},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    asker::{Asker, Body, Path},
    problem::Problem,
    words::at,
};

/// A token, without its text.
#[derive(Debug, Serialize, ToSchema)]
pub struct Token {
    id: Uuid,
    name: String,
    /// Who made it, and for whom it speaks.
    actor: String,
    role: String,
    /// What it may do at most.
    scopes: Vec<String>,
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

impl Token {
    fn new(TokenRow { issued: of, scopes }: TokenRow, now: domain::units::Timestamp) -> Self {
        Self {
            state: of.state(now),
            id: of.id,
            name: of.name,
            actor: of.actor,
            role: of.role,
            scopes: scopes.0,
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
pub struct Tokens {
    tokens: Vec<Token>,
}

/// List one's own tokens; an admin's list has everybody's
#[utoipa::path(get, path = "/api/v1/tokens", tag = "access",
    responses((status = 200, body = Tokens)))]
pub async fn list(Asker(ctx): Asker) -> Result<Json<Tokens>, Problem> {
    let now = ctx.now();
    Ok(Json(Tokens { tokens: tokens::list(&ctx).await?.into_iter().map(|t| Token::new(t, now)).collect() }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "nightly job", "scopes": ["read", "operate"], "days": 90}))]
pub struct NewToken {
    /// What it is for.
    #[schema(max_length = 80)]
    name: String,
    /// `read`, `browse`, `configure`, `operate`, `restore`, `hold`, `plan`, `unlock`, `audit`, `evidence`: at most what you may do yourself.
    scopes: Vec<String>,
    /// How long it lives; 90 where it is left out.
    #[schema(minimum = 1, maximum = 366)]
    days: Option<i64>,
}

/// A token that was made just now.
#[derive(Debug, Serialize, ToSchema)]
pub struct MadeToken {
    #[serde(flatten)]
    made: Token,
    /// Send it as `Authorization: Bearer …`. It is shown this once.
    token: String,
}

/// Make a token; its text is shown this once
///
/// A token makes no other one: this call needs a session.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "access", request_body = NewToken,
    responses((status = 201, body = MadeToken)))]
pub async fn make(Asker(ctx): Asker, Body(new): Body<NewToken>) -> Result<(StatusCode, Json<MadeToken>), Problem> {
    require_on(&ctx, Action::Read, On::Any)?;
    let read = |s: &String| {
        Action::parse(s).ok_or_else(|| Problem::invalid("scopes", &format!("“{s}” is none; choose among {}", names(&tokens::grantable(&ctx.actor)))))
    };
    let scopes = new.scopes.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let wanted = Wanted { name: new.name, scopes, days: new.days.unwrap_or(tokens::DEFAULT_DAYS) };
    let (row, token) = tokens::make(&ctx, &wanted).await?;
    Ok((StatusCode::CREATED, Json(MadeToken { made: Token::new(row, ctx.now()), token })))
}

fn names(actions: &[Action]) -> String {
    actions.iter().map(|a| a.as_str()).collect::<Vec<_>>().join(", ")
}

/// Revoke a token
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "access", params(("id" = Uuid, Path)),
    responses((status = 204, description = "it is good for nothing from now on")))]
pub async fn revoke(Asker(ctx): Asker, Path(id): Path<Uuid>) -> Result<StatusCode, Problem> {
    tokens::revoke(&ctx, TokenId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// For whom a call speaks.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    name: String,
    role: String,
    /// What the role and, for a token, its scopes allow.
    may: Vec<&'static str>,
}

/// Find out for whom this call speaks and what it may do
#[utoipa::path(get, path = "/api/v1/me", tag = "access",
    responses((status = 200, body = Me)))]
pub async fn me(Asker(ctx): Asker) -> Result<Json<Me>, Problem> {
    require_on(&ctx, Action::Read, On::Any)?;
    let may = Action::ALL.iter().filter(|a| allowed(&ctx.actor, **a, On::Any)).map(|a| a.as_str()).collect();
    Ok(Json(Me { name: ctx.actor.name, role: ctx.actor.role.to_string(), may }))
}
