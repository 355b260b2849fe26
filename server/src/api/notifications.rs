//! `/api/v1/notifications`: rules, heartbeats, and the address that messages link to.

use app::context::AppContext;
use axum::{Json, extract::State, http::StatusCode};
use domain::alert::{AlertKind, Severity, rule::Rule};
use jiff::Timestamp;
use ops::notifications::{self, heartbeats::NewHeartbeat, rules::NewRule};
use serde::{Deserialize, Serialize};
use store::channels::{HeartbeatRow, RuleRow};
use utoipa::ToSchema;

use super::{
    asker::{Asker, Body, Path},
    channels::GivenSecret,
    problem::Problem,
    words::{self, at},
};

/// Which alerts go to which channels. An empty list means all.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleBody {
    /// Names of channels.
    channels: Vec<String>,
    /// This grave or graver; `warning` where it is left out.
    #[serde(default = "warning")]
    #[schema(schema_with = words::severity)]
    severity: String,
    /// Kinds of alerts.
    #[serde(default)]
    alerts: Vec<String>,
    /// Names of services.
    #[serde(default)]
    services: Vec<String>,
    /// Names of schedules.
    #[serde(default)]
    schedules: Vec<String>,
    /// Also when a run has succeeded.
    #[serde(default)]
    success: bool,
    /// Say it again after so many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remind_s: Option<i64>,
}

fn warning() -> String {
    Severity::Warning.to_string()
}

/// A rule with its name.
#[derive(Debug, Serialize, ToSchema)]
pub struct NamedRule {
    name: String,
    #[serde(flatten)]
    rule: RuleBody,
}

impl From<RuleRow> for NamedRule {
    fn from(r: RuleRow) -> Self {
        let what = r.what.0;
        let rule = RuleBody {
            channels: r.channels.0,
            severity: what.severity.to_string(),
            alerts: what.kinds.iter().map(ToString::to_string).collect(),
            services: what.services,
            schedules: what.schedules,
            success: what.success,
            remind_s: what.remind_s,
        };
        Self { name: r.name, rule }
    }
}

/// All rules.
#[derive(Debug, Serialize, ToSchema)]
pub struct Rules {
    rules: Vec<NamedRule>,
}

/// List rules
#[utoipa::path(get, path = "/api/v1/notifications/rules", tag = "notifications",
    responses((status = 200, body = Rules), (status = "4XX", description = "refused", body = Problem, content_type = "application/problem+json")))]
pub async fn rules(Asker(ctx): Asker) -> Result<Json<Rules>, Problem> {
    Ok(Json(Rules { rules: notifications::rules::list(&ctx).await?.into_iter().map(NamedRule::from).collect() }))
}

/// Make or change a rule
#[utoipa::path(put, path = "/api/v1/notifications/rules/{name}", tag = "notifications", params(("name" = String, Path)), request_body = RuleBody,
    responses((status = 200, body = NamedRule), (status = "4XX", description = "refused", body = Problem, content_type = "application/problem+json")))]
pub async fn save_rule(Asker(ctx): Asker, Path(name): Path<String>, Body(r): Body<RuleBody>) -> Result<Json<NamedRule>, Problem> {
    let severity = Severity::parse(&r.severity).ok_or_else(|| Problem::invalid("severity", "must be info, warning or critical"))?;
    let mut kinds = Vec::new();
    for text in &r.alerts {
        kinds.push(AlertKind::parse(text).ok_or_else(|| Problem::invalid("alerts", "names a kind of alert that is not known; the document lists them"))?);
    }
    let what = Rule { severity, kinds, services: r.services, schedules: r.schedules, success: r.success, remind_s: r.remind_s };
    notifications::rules::save(&ctx, &NewRule { name: name.clone(), channels: r.channels, what }).await?;
    Ok(Json(notifications::rules::find(&ctx, &name).await?.into()))
}

/// Remove a rule
#[utoipa::path(delete, path = "/api/v1/notifications/rules/{name}", tag = "notifications", params(("name" = String, Path)),
    responses((status = 204), (status = "4XX", description = "refused", body = Problem, content_type = "application/problem+json")))]
pub async fn remove_rule(Asker(ctx): Asker, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    notifications::rules::remove(&ctx, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An address that is called while Holdfast is well.
#[derive(Debug, Serialize, ToSchema)]
pub struct Heartbeat {
    name: String,
    /// The part of the address that may be shown.
    shown: String,
    every_s: i64,
    /// The newest call that was answered, and the newest that was not.
    sent_at: Option<Timestamp>,
    failed_at: Option<Timestamp>,
    answer: Option<String>,
}

impl From<HeartbeatRow> for Heartbeat {
    fn from(b: HeartbeatRow) -> Self {
        Self { name: b.name, shown: b.shown, every_s: b.every_s, sent_at: b.sent_at.map(at), failed_at: b.failed_at.map(at), answer: b.answer }
    }
}

/// All heartbeats.
#[derive(Debug, Serialize, ToSchema)]
pub struct Heartbeats {
    heartbeats: Vec<Heartbeat>,
}

/// List heartbeats
#[utoipa::path(get, path = "/api/v1/notifications/heartbeats", tag = "notifications",
    responses((status = 200, body = Heartbeats), (status = "4XX", description = "refused", body = Problem, content_type = "application/problem+json")))]
pub async fn heartbeats(Asker(ctx): Asker) -> Result<Json<Heartbeats>, Problem> {
    Ok(Json(Heartbeats { heartbeats: notifications::heartbeats::list(&ctx).await?.into_iter().map(Heartbeat::from).collect() }))
}

/// A heartbeat to be made or changed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SaveHeartbeat {
    /// The address; left out, it stays as it is.
    url: Option<GivenSecret>,
    every_s: i64,
}

/// Make or change a heartbeat
#[utoipa::path(put, path = "/api/v1/notifications/heartbeats/{name}", tag = "notifications", params(("name" = String, Path)), request_body = SaveHeartbeat,
    responses((status = 204), (status = "4XX", description = "refused", body = Problem, content_type = "application/problem+json")))]
pub async fn save_heartbeat(
    State(app): State<AppContext>,
    Asker(ctx): Asker,
    Path(name): Path<String>,
    Body(b): Body<SaveHeartbeat>,
) -> Result<StatusCode, Problem> {
    let url = b.url.map_or(notifications::Given::Keep, Into::into);
    notifications::heartbeats::save(&ctx, &app.vault, &NewHeartbeat { name, url, every_s: b.every_s }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a heartbeat
#[utoipa::path(delete, path = "/api/v1/notifications/heartbeats/{name}", tag = "notifications", params(("name" = String, Path)),
    responses((status = 204), (status = "4XX", description = "refused", body = Problem, content_type = "application/problem+json")))]
pub async fn remove_heartbeat(Asker(ctx): Asker, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    notifications::heartbeats::remove(&ctx, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The address at which people open Holdfast.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Empty: messages have no links.
    address: String,
}

/// Find the address that messages link to
#[utoipa::path(get, path = "/api/v1/notifications/address", tag = "notifications",
    responses((status = 200, body = Address), (status = "4XX", description = "refused", body = Problem, content_type = "application/problem+json")))]
pub async fn address(Asker(ctx): Asker) -> Result<Json<Address>, Problem> {
    Ok(Json(Address { address: notifications::address(&ctx).await?.unwrap_or_default() }))
}

/// Set the address that messages link to
#[utoipa::path(put, path = "/api/v1/notifications/address", tag = "notifications", request_body = Address,
    responses((status = 204), (status = "4XX", description = "refused", body = Problem, content_type = "application/problem+json")))]
pub async fn set_address(Asker(ctx): Asker, Body(a): Body<Address>) -> Result<StatusCode, Problem> {
    notifications::set_address(&ctx, &a.address).await?;
    Ok(StatusCode::NO_CONTENT)
}
