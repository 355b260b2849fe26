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
    version::{Basis, Known, Tagged},
    words::{self, at},
};

/// Which alerts go to which channels. An empty list means all.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"channels": ["chat"], "severity": "warning", "remind_s": 86400}))]
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
    responses((status = 200, body = Rules)))]
pub async fn rules(Asker(ctx): Asker) -> Result<Json<Rules>, Problem> {
    Ok(Json(Rules { rules: notifications::rules::list(&ctx).await?.into_iter().map(NamedRule::from).collect() }))
}

/// Find a rule
#[utoipa::path(get, path = "/api/v1/notifications/rules/{name}", tag = "notifications", params(("name" = String, Path)),
    responses((status = 200, body = NamedRule)))]
pub async fn rule(Asker(ctx): Asker, known: Known, Path(name): Path<String>) -> Result<Tagged, Problem> {
    Ok(tagged_rule(notifications::rules::find(&ctx, &name).await?)?.unless(&known))
}

fn tagged_rule(found: RuleRow) -> Result<Tagged, Problem> {
    Tagged::new(&notifications::rules::version(&found), &NamedRule::from(found))
}

/// Make or change a rule
#[utoipa::path(put, path = "/api/v1/notifications/rules/{name}", tag = "notifications", params(("name" = String, Path)), request_body = RuleBody,
    responses((status = 200, body = NamedRule)))]
pub async fn save_rule(Asker(ctx): Asker, Basis(seen): Basis, Path(name): Path<String>, Body(r): Body<RuleBody>) -> Result<Tagged, Problem> {
    let severity = Severity::parse(&r.severity).ok_or_else(|| Problem::invalid("severity", "must be info, warning or critical"))?;
    let mut kinds = Vec::new();
    for text in &r.alerts {
        kinds.push(AlertKind::parse(text).ok_or_else(|| Problem::invalid("alerts", "names a kind of alert that is not known; the document lists them"))?);
    }
    let what = Rule { severity, kinds, services: r.services, schedules: r.schedules, success: r.success, remind_s: r.remind_s };
    notifications::rules::save_if(&ctx, &NewRule { name: name.clone(), channels: r.channels, what }, &seen).await?;
    tagged_rule(notifications::rules::find(&ctx, &name).await?)
}

/// Remove a rule
#[utoipa::path(delete, path = "/api/v1/notifications/rules/{name}", tag = "notifications", params(("name" = String, Path)),
    responses((status = 204)))]
pub async fn remove_rule(Asker(ctx): Asker, Basis(seen): Basis, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    notifications::rules::remove_if(&ctx, &name, &seen).await?;
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
    responses((status = 200, body = Heartbeats)))]
pub async fn heartbeats(Asker(ctx): Asker) -> Result<Json<Heartbeats>, Problem> {
    Ok(Json(Heartbeats { heartbeats: notifications::heartbeats::list(&ctx).await?.into_iter().map(Heartbeat::from).collect() }))
}

/// Find a heartbeat
#[utoipa::path(get, path = "/api/v1/notifications/heartbeats/{name}", tag = "notifications", params(("name" = String, Path)),
    responses((status = 200, body = Heartbeat)))]
pub async fn heartbeat(Asker(ctx): Asker, known: Known, Path(name): Path<String>) -> Result<Tagged, Problem> {
    Ok(tagged_heartbeat(notifications::heartbeats::find(&ctx, &name).await?)?.unless(&known))
}

fn tagged_heartbeat(found: HeartbeatRow) -> Result<Tagged, Problem> {
    Tagged::new(&notifications::heartbeats::version(&found), &Heartbeat::from(found))
}

/// A heartbeat to be made or changed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"url": {"env": "HEARTBEAT_URL"}, "every_s": 60}))]
pub struct SaveHeartbeat {
    /// The address; left out, it stays as it is.
    url: Option<GivenSecret>,
    every_s: i64,
}

/// Make or change a heartbeat
#[utoipa::path(put, path = "/api/v1/notifications/heartbeats/{name}", tag = "notifications", params(("name" = String, Path)), request_body = SaveHeartbeat,
    responses((status = 204)))]
pub async fn save_heartbeat(
    State(app): State<AppContext>,
    Asker(ctx): Asker,
    Basis(seen): Basis,
    Path(name): Path<String>,
    Body(b): Body<SaveHeartbeat>,
) -> Result<Tagged, Problem> {
    let url = b.url.map_or(notifications::Given::Keep, Into::into);
    notifications::heartbeats::save_if(&ctx, &app.vault, &NewHeartbeat { name: name.clone(), url, every_s: b.every_s }, &seen).await?;
    tagged_heartbeat(notifications::heartbeats::find(&ctx, &name).await?).map(Tagged::without_content)
}

/// Remove a heartbeat
#[utoipa::path(delete, path = "/api/v1/notifications/heartbeats/{name}", tag = "notifications", params(("name" = String, Path)),
    responses((status = 204)))]
pub async fn remove_heartbeat(Asker(ctx): Asker, Basis(seen): Basis, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    notifications::heartbeats::remove_if(&ctx, &name, &seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The address at which people open Holdfast.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"address": "https://holdfast.example.org"}))]
pub struct Address {
    /// Empty: messages have no links.
    address: String,
}

/// Find the address that messages link to
#[utoipa::path(get, path = "/api/v1/notifications/address", tag = "notifications",
    responses((status = 200, body = Address)))]
pub async fn address(Asker(ctx): Asker, known: Known) -> Result<Tagged, Problem> {
    Ok(tagged_address(notifications::address(&ctx).await?)?.unless(&known))
}

fn tagged_address(found: Option<String>) -> Result<Tagged, Problem> {
    Tagged::new(&notifications::address_version(found.as_deref()), &Address { address: found.unwrap_or_default() })
}

/// Set the address that messages link to
#[utoipa::path(put, path = "/api/v1/notifications/address", tag = "notifications", request_body = Address,
    responses((status = 204)))]
pub async fn set_address(Asker(ctx): Asker, Basis(seen): Basis, Body(a): Body<Address>) -> Result<Tagged, Problem> {
    notifications::set_address_if(&ctx, &a.address, &seen).await?;
    tagged_address(notifications::address(&ctx).await?).map(Tagged::without_content)
}
