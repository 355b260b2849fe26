//! `/api/v1/search`: services, people, items, snapshots and runs by a part of a name or the beginning of an id.

use axum::Json;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    asker::{Asker, Query},
    problem::Problem,
};

/// Most hits of each kind.
const MOST: i64 = 20;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// A part of a name, or the first digits of an id.
    q: String,
}

/// An item that does not carry the name of its person.
#[derive(Debug, Serialize, ToSchema)]
pub struct ItemHit {
    name: String,
    service: String,
    source: String,
}

/// At most 20 of each.
#[derive(Debug, Serialize, ToSchema)]
pub struct Hits {
    /// Names.
    services: Vec<String>,
    people: Vec<String>,
    /// How many people match in all.
    people_total: i64,
    items: Vec<ItemHit>,
    snapshots: Vec<Uuid>,
    runs: Vec<Uuid>,
}

/// Search what there is
#[utoipa::path(get, path = "/api/v1/search", tag = "search", params(Search), responses((status = 200, body = Hits)))]
pub async fn search(Asker(ctx): Asker, Query(q): Query<Search>) -> Result<Json<Hits>, Problem> {
    let found = ops::search::find(&ctx, &q.q, MOST).await?;
    Ok(Json(Hits {
        services: found.services.into_iter().map(|s| s.name).collect(),
        people: found.people.into_iter().map(|p| p.row.name).collect(),
        people_total: found.people_total,
        items: found.items.into_iter().map(|i| ItemHit { name: i.name, service: i.service, source: i.source }).collect(),
        snapshots: found.snapshots.into_iter().map(|s| s.row.id).collect(),
        runs: found.runs.into_iter().map(|r| r.run.id).collect(),
    }))
}
