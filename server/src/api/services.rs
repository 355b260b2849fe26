//! `/api/v1/services`: what is promised and what was measured.

use axum::Json;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use store::services::ServiceRow;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    asker::{Asker, Path, Query, after, limit},
    problem::Problem,
    words::at,
};

/// A service whose return is promised.
#[derive(Debug, Serialize, ToSchema)]
pub struct Service {
    id: Uuid,
    name: String,
    title: String,
    owner: String,
    /// Promised: the most data that may be lost, in seconds of work.
    rpo_s: Option<i64>,
    /// Promised: the time until the service is back, in seconds.
    rto_s: Option<i64>,
    /// The longest disruption that can be borne, in seconds.
    mtpod_s: Option<i64>,
    /// Items that the sources list now.
    items: i64,
    /// Items with a snapshot within the RPO.
    items_fresh: i64,
    last_snapshot_at: Option<Timestamp>,
    last_run: Option<Uuid>,
    last_run_state: Option<String>,
    last_test: Option<Uuid>,
    /// `passed`, `failed` or `unknown` (could not be checked).
    last_test_verdict: Option<String>,
    last_test_at: Option<Timestamp>,
    /// How long the newest restore test took to bring the data back.
    last_test_rto_s: Option<f64>,
    /// How old the data was that it brought back.
    last_test_rpo_s: Option<i64>,
    /// How far the newest restore test has proven it: none, exists, readable, restored, asserted, started.
    evidence: String,
}

impl From<ServiceRow> for Service {
    fn from(s: ServiceRow) -> Self {
        Self {
            id: s.id,
            name: s.name,
            title: s.title,
            owner: s.owner,
            rpo_s: s.rpo_s,
            rto_s: s.rto_s,
            mtpod_s: s.mtpod_s,
            items: s.items,
            items_fresh: s.items_fresh,
            last_snapshot_at: s.last_snapshot_at.map(at),
            last_run: s.last_run_id,
            last_run_state: s.last_run_state,
            last_test: s.last_test_id,
            last_test_verdict: s.last_test_verdict,
            last_test_at: s.last_test_at.map(at),
            last_test_rto_s: s.last_test_rto_s,
            last_test_rpo_s: s.last_test_rpo_s,
            evidence: s.best_level,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListServices {
    /// Services after this name; `next` of the page before.
    after: Option<String>,
    /// Part of a name, title or owner.
    search: Option<String>,
    /// 1 to 500, 100 where it is left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Services {
    services: Vec<Service>,
    /// `after` of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Services by name
#[utoipa::path(get, path = "/api/v1/services", tag = "services", params(ListServices),
    responses((status = 200, body = Services)))]
pub async fn list(Asker(ctx): Asker, Query(q): Query<ListServices>) -> Result<Json<Services>, Problem> {
    let limit = limit(q.limit, ops::runs::PAGE)?;
    let rows = ops::services::list(&ctx, &after(q.after)?, q.search.as_deref().unwrap_or_default(), limit).await?;
    let next = (rows.len() as i64 == limit).then(|| rows.last().map(|s| s.name.clone())).flatten();
    Ok(Json(Services { services: rows.into_iter().map(Service::from).collect(), next }))
}

/// One service
#[utoipa::path(get, path = "/api/v1/services/{name}", tag = "services", params(("name" = String, Path, description = "The service's name")),
    responses((status = 200, body = Service)))]
pub async fn find(Asker(ctx): Asker, Path(name): Path<String>) -> Result<Json<Service>, Problem> {
    Ok(Json(ops::services::find(&ctx, &name).await?.into()))
}

/// The data of a service, read by one driver.
#[derive(Debug, Serialize, ToSchema)]
pub struct Source {
    id: Uuid,
    name: String,
    kind: String,
    /// The driver's configuration, without secrets.
    #[schema(value_type = Object)]
    config: serde_json::Value,
    /// The name of the repository that its snapshots go to.
    repository: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Sources {
    sources: Vec<Source>,
}

/// The sources of a service, in the order of restoring
#[utoipa::path(get, path = "/api/v1/services/{name}/sources", tag = "services", params(("name" = String, Path, description = "The service's name")),
    responses((status = 200, body = Sources)))]
pub async fn sources(Asker(ctx): Asker, Path(name): Path<String>) -> Result<Json<Sources>, Problem> {
    let rows = ops::services::sources(&ctx, &name).await?;
    let sources = rows.into_iter().map(|(s, repository)| Source { id: s.id, name: s.name, kind: s.kind, config: s.config.0, repository }).collect();
    Ok(Json(Sources { sources }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListItems {
    /// Items after this name; `next` of the page before.
    after: Option<String>,
    /// 1 to 500, 100 where it is left out. Items of one name are never parted, so a page may be a little longer.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// What a source lists, and what there is of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceItem {
    id: Uuid,
    /// In the reversible text form: what is no UTF-8 is written with backslashes.
    name: String,
    source: String,
    first_seen_at: Timestamp,
    last_seen_at: Timestamp,
    /// When its source no longer listed it; absent while it is there.
    gone_at: Option<Timestamp>,
    /// How many are there.
    snapshots: i64,
    last_snapshot: Option<Uuid>,
    last_snapshot_at: Option<Timestamp>,
    size_bytes: i64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceItems {
    items: Vec<ServiceItem>,
    /// `after` of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The items of a service by name, also those that are gone and have snapshots
#[utoipa::path(get, path = "/api/v1/services/{name}/items", tag = "services", params(("name" = String, Path, description = "The service's name"), ListItems),
    responses((status = 200, body = ServiceItems)))]
pub async fn items(Asker(ctx): Asker, Path(name): Path<String>, Query(q): Query<ListItems>) -> Result<Json<ServiceItems>, Problem> {
    let (limit, after) = (limit(q.limit, ops::runs::PAGE)?, after(q.after)?);
    let service = ops::services::find(&ctx, &name).await?;
    let (rows, more) = ops::services::items_by_name(&ctx, &service, &after, limit).await?;
    let sources = ops::services::sources(&ctx, &name).await?;
    let next = rows.last().filter(|_| more).map(|i| i.name.clone());
    let item = |i: store::items::ItemRow| ServiceItem {
        source: sources.iter().find(|(s, _)| s.id == i.source_id).map_or_else(String::new, |(s, _)| s.name.clone()),
        id: i.id,
        name: i.name,
        first_seen_at: at(i.first_seen_at),
        last_seen_at: at(i.last_seen_at),
        gone_at: i.gone_at.map(at),
        snapshots: i.snapshots,
        last_snapshot: i.last_snapshot_id,
        last_snapshot_at: i.last_snapshot_at.map(at),
        size_bytes: i.size_bytes,
    };
    Ok(Json(ServiceItems { items: rows.into_iter().map(item).collect(), next }))
}
