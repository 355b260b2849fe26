//! `/api/v1/alerts`: what is wrong, and saying that one knows of it.

use axum::Json;
use domain::id::AlertId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::alerts::AlertRow;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    asker::{Asker, Body, List, Path, Query, limit},
    deliveries::Delivery,
    problem::Problem,
    words::{self, at},
};

/// Something that is wrong, from its opening to its end.
#[derive(Debug, Serialize, ToSchema)]
pub struct Alert {
    id: Uuid,
    #[schema(schema_with = words::alert_kind)]
    kind: String,
    #[schema(schema_with = words::severity)]
    severity: String,
    /// What it is about: service, source, repository, schedule, hold or channel.
    #[schema(schema_with = words::entity)]
    entity: String,
    entity_id: Uuid,
    name: String,
    title: String,
    /// The service's name.
    service: Option<String>,
    /// The run and the restore test that show it best.
    run: Option<Uuid>,
    test: Option<Uuid>,
    /// What is wrong, in words as of the last change.
    text: String,
    /// The figures; their form depends on the kind.
    #[schema(value_type = Object)]
    facts: Value,
    opened_at: Timestamp,
    changed_at: Timestamp,
    resolved_at: Option<Timestamp>,
    acknowledged_at: Option<Timestamp>,
    acknowledged_by: Option<String>,
    note: Option<String>,
}

impl From<AlertRow> for Alert {
    fn from(a: AlertRow) -> Self {
        Self {
            id: a.id,
            kind: a.kind,
            severity: a.severity,
            entity: a.entity,
            entity_id: a.entity_id,
            name: a.name,
            title: a.title,
            service: a.service_name,
            run: a.run_id,
            test: a.test_id,
            text: a.text,
            facts: serde_json::to_value(&a.facts.0).unwrap_or(Value::Null),
            opened_at: at(a.opened_at),
            changed_at: at(a.changed_at),
            resolved_at: a.resolved_at.map(at),
            acknowledged_at: a.acknowledged_at.map(at),
            acknowledged_by: a.acknowledged_by,
            note: a.note,
        }
    }
}

/// Which alerts are listed.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Show {
    #[default]
    Open,
    Resolved,
    All,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Open ones where it is left out.
    #[serde(default)]
    #[param(inline)]
    show: Show,
    /// Only those of this service.
    service: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// At most so many; 100 where it is left out, at most 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// A page of alerts.
#[derive(Debug, Serialize, ToSchema)]
pub struct Alerts {
    alerts: Vec<Alert>,
    /// Give it as `cursor` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// List alerts, the newest first
#[utoipa::path(get, path = "/api/v1/alerts", tag = "alerts", params(ListQuery),
    responses((status = 200, body = Alerts)))]
pub async fn list(Asker(ctx): Asker, Query(q): Query<ListQuery>) -> Result<Json<Alerts>, Problem> {
    let before = List::Alerts.read(q.cursor.as_deref())?.map(|(at, id)| (at, AlertId(id)));
    let which = match q.show {
        Show::Open => ops::alerts::Which::Open,
        Show::Resolved => ops::alerts::Which::Resolved,
        Show::All => ops::alerts::Which::All,
    };
    let limit = limit(q.limit, ops::runs::PAGE)?;
    let rows = ops::alerts::list(&ctx, which, q.service.as_deref(), before, limit).await?;
    let next = rows.last().filter(|_| rows.len() as i64 == limit).map(|a| List::Alerts.key(a.opened_at, a.id));
    Ok(Json(Alerts { alerts: rows.into_iter().map(Alert::from).collect(), next }))
}

/// An alert with everything that was said about it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertWithDeliveries {
    #[serde(flatten)]
    alert: Alert,
    deliveries: Vec<Delivery>,
}

/// Find an alert
#[utoipa::path(get, path = "/api/v1/alerts/{id}", tag = "alerts", params(("id" = Uuid, Path)),
    responses((status = 200, body = AlertWithDeliveries)))]
pub async fn find(Asker(ctx): Asker, Path(id): Path<Uuid>) -> Result<Json<AlertWithDeliveries>, Problem> {
    let alert = ops::alerts::find(&ctx, AlertId(id)).await?;
    let said = ops::alerts::said(&ctx, AlertId(id)).await?;
    Ok(Json(AlertWithDeliveries { alert: alert.into(), deliveries: said.into_iter().map(Delivery::from).collect() }))
}

/// Why one knows of it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"note": "the disk is being replaced"}))]
pub struct Note {
    /// What is being done.
    #[serde(default)]
    note: String,
}

/// Acknowledge an open alert: reminders stop until it gets worse
#[utoipa::path(post, path = "/api/v1/alerts/{id}/acknowledge", tag = "alerts", params(("id" = Uuid, Path)), request_body = Note,
    responses((status = 200, body = Alert)))]
pub async fn acknowledge(Asker(ctx): Asker, Path(id): Path<Uuid>, Body(note): Body<Note>) -> Result<Json<Alert>, Problem> {
    ops::alerts::acknowledge(&ctx, AlertId(id), &note.note).await?;
    Ok(Json(ops::alerts::find(&ctx, AlertId(id)).await?.into()))
}
