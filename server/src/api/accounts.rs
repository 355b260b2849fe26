//! `/api/v1/accounts`: who has signed in, and whose data is theirs; `/api/v1/providers`: who gets which role.

use std::collections::BTreeMap;

use axum::{Json, http::StatusCode};
use domain::access::Grant;
use jiff::Timestamp;
use ops::accounts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    asker::{Asker, Body, Path},
    people::Whose,
    problem::Problem,
    words::at,
};

/// Somebody who has signed in at a provider.
#[derive(Debug, Serialize, ToSchema)]
pub struct Account {
    /// How the audit trail names them.
    label: String,
    name: String,
    email: String,
    provider: String,
    /// The role that allows most, when they were last seen.
    role: String,
    first_seen_at: Timestamp,
    last_seen_at: Timestamp,
    /// The person whose data is theirs, where an admin said so.
    person: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Accounts {
    accounts: Vec<Account>,
}

/// Everybody who has signed in, by label; at most a thousand
#[utoipa::path(get, path = "/api/v1/accounts", tag = "access", responses((status = 200, body = Accounts)))]
pub async fn list(Asker(ctx): Asker) -> Result<Json<Accounts>, Problem> {
    let account = |a: accounts::Account| Account {
        label: a.row.label,
        name: a.row.name,
        email: a.row.email,
        provider: a.provider,
        role: a.row.role,
        first_seen_at: at(a.row.created_at),
        last_seen_at: at(a.row.seen_at),
        person: a.person,
    };
    Ok(Json(Accounts { accounts: accounts::all(&ctx).await?.into_iter().map(account).collect() }))
}

/// Say whose data an account's is; it counts from the account's next refresh on
#[utoipa::path(put, path = "/api/v1/accounts/{name}/person", tag = "access", params(("name" = String, Path, description = "The account's label")),
    request_body = Whose, responses((status = 204)))]
pub async fn link(Asker(ctx): Asker, Path(label): Path<String>, Body(body): Body<Whose>) -> Result<StatusCode, Problem> {
    accounts::link(&ctx, &label, body.person()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How many sessions were ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ended {
    sessions: u64,
}

/// End all sessions of an account; signing in again is its provider's to allow
#[utoipa::path(post, path = "/api/v1/accounts/{name}/end-sessions", tag = "access", params(("name" = String, Path, description = "The account's label")),
    responses((status = 200, body = Ended)))]
pub async fn end_sessions(Asker(ctx): Asker, Path(label): Path<String>) -> Result<Json<Ended>, Problem> {
    Ok(Json(Ended { sessions: accounts::end_sessions(&ctx, &label).await? }))
}

/// What a provider has said of somebody.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"claims": {"entitlements": ["urn:mace:egi.eu:group:vo.example.org:admins#aai.egi.eu"]}}))]
pub struct Said {
    /// Each claim with its values.
    claims: BTreeMap<String, Vec<String>>,
}

/// What the rules would give.
#[derive(Debug, Serialize, ToSchema)]
pub struct Grants {
    grants: Vec<Granted>,
    /// Why they would not be let in: `no_role` or `assurance`.
    refused: Option<&'static str>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Granted {
    /// `admin`, `auditor`, `owner` or `member`.
    role: &'static str,
    /// The service, of an owner.
    service: Option<String>,
    /// The place of the rule in the provider's list, from 1.
    rule: usize,
    /// The value that it fits.
    value: String,
}

/// Try what the rules of a provider would give somebody with these claims
#[utoipa::path(post, path = "/api/v1/providers/{name}/preview", tag = "access", params(("name" = String, Path, description = "The provider's name")),
    request_body = Said, responses((status = 200, body = Grants)))]
pub async fn preview(Asker(ctx): Asker, Path(name): Path<String>, Body(body): Body<Said>) -> Result<Json<Grants>, Problem> {
    let given = accounts::preview(&ctx, &name, &body.claims).await?;
    let granted = |g: domain::access::Given| {
        let (role, service) = match g.grant {
            Grant::Admin => ("admin", None),
            Grant::Auditor => ("auditor", None),
            Grant::Owner { service } => ("owner", Some(service)),
            Grant::Member => ("member", None),
        };
        Granted { role, service, rule: g.rule + 1, value: g.value }
    };
    let (given, refused) = match given {
        Ok(given) => (given, None),
        Err(why) => (Vec::new(), Some(why.as_str())),
    };
    Ok(Json(Grants { grants: given.into_iter().map(granted).collect(), refused }))
}
