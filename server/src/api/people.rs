//! `/api/v1/people`: whom things are kept for, under which names; `/api/v1/unattributed`: what is nobody's.

use axum::{Json, http::StatusCode};
use domain::id::{ItemId, PersonId};
use jiff::Timestamp;
use ops::people::{self, Cover, names};
use serde::{Deserialize, Serialize};
use store::people::PersonItem;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    asker::{Asker, Body, Path, Query, after, limit},
    problem::Problem,
    words::at,
};

/// A human, with what is kept for them in every service.
#[derive(Debug, Serialize, ToSchema)]
pub struct Person {
    id: Uuid,
    /// The name that their items bear.
    name: String,
    /// The name for people: that of a linked account where there is one.
    shown: String,
    first_seen_at: Timestamp,
    /// `covered`, `overdue`, `never` (backed up) or `left` (gone from every source; copies are kept).
    cover: &'static str,
    items: Vec<PersonalItem>,
    size_bytes: i64,
    newest_snapshot_at: Option<Timestamp>,
}

/// One item of a person.
#[derive(Debug, Serialize, ToSchema)]
pub struct PersonalItem {
    id: Uuid,
    name: String,
    service: String,
    source: String,
    gone_at: Option<Timestamp>,
    snapshots: i64,
    last_snapshot: Option<Uuid>,
    last_snapshot_at: Option<Timestamp>,
    size_bytes: i64,
}

impl From<PersonItem> for PersonalItem {
    fn from(i: PersonItem) -> Self {
        Self {
            id: i.id,
            name: i.name,
            service: i.service,
            source: i.source,
            gone_at: i.gone_at.map(at),
            snapshots: i.snapshots,
            last_snapshot: i.last_snapshot_id,
            last_snapshot_at: i.last_snapshot_at.map(at),
            size_bytes: i.size_bytes,
        }
    }
}

impl Person {
    fn of(p: people::Person, now: domain::units::Timestamp) -> Self {
        let cover = match p.cover(now) {
            Cover::Covered => "covered",
            Cover::Overdue => "overdue",
            Cover::Never => "never",
            Cover::Left => "left",
        };
        Self {
            id: p.row.id,
            shown: p.row.shown().to_owned(),
            first_seen_at: at(p.row.created_at),
            cover,
            size_bytes: p.size_bytes(),
            newest_snapshot_at: p.newest().map(|t| at(t.0)),
            name: p.row.name,
            items: p.items.into_iter().map(PersonalItem::from).collect(),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListPeople {
    /// Only those whose name, or that of their account, holds this text.
    #[serde(default)]
    #[param(required = false)]
    search: String,
    /// People after this name; `next` of the page before.
    after: Option<String>,
    /// 1 to 200, 100 where it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PeoplePage {
    people: Vec<Person>,
    /// How many match in all.
    total: i64,
    /// `after` of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// People by name, with what is kept for them
#[utoipa::path(get, path = "/api/v1/people", tag = "people", params(ListPeople), responses((status = 200, body = PeoplePage)))]
pub async fn list(Asker(ctx): Asker, Query(q): Query<ListPeople>) -> Result<Json<PeoplePage>, Problem> {
    let limit = limit(q.limit, names::PAGE)?;
    let (found, total) = people::list(&ctx, &after(q.after)?, q.search.trim(), limit).await?;
    let next = (found.len() as i64 == limit).then(|| found.last().map(|p| p.row.name.clone())).flatten();
    let now = ctx.now();
    Ok(Json(PeoplePage { people: found.into_iter().map(|p| Person::of(p, now)).collect(), total, next }))
}

/// One person, by any of their names
#[utoipa::path(get, path = "/api/v1/people/{name}", tag = "people", params(("name" = String, Path, description = "A name of the person")),
    responses((status = 200, body = Person)))]
pub async fn find(Asker(ctx): Asker, Path(name): Path<String>) -> Result<Json<Person>, Problem> {
    Ok(Json(Person::of(people::find(&ctx, &name).await?, ctx.now())))
}

/// How a person is known.
#[derive(Debug, Serialize, ToSchema)]
pub struct Known {
    /// Further names beside their own.
    names: Vec<FurtherName>,
    /// Accounts whose data is theirs, by label.
    accounts: Vec<String>,
    /// Other people who bear an address or a claim of one of the accounts: probably the same human.
    maybe: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct FurtherName {
    name: String,
    added_by: String,
    added_at: Timestamp,
}

/// Under which names a person is known
#[utoipa::path(get, path = "/api/v1/people/{name}/names", tag = "people", params(("name" = String, Path, description = "A name of the person")),
    responses((status = 200, body = Known)))]
pub async fn known(Asker(ctx): Asker, Path(name): Path<String>) -> Result<Json<Known>, Problem> {
    let person = people::find(&ctx, &name).await?;
    let known = names::known(&ctx, PersonId(person.row.id)).await?;
    Ok(Json(Known {
        names: known.names.into_iter().map(|n| FurtherName { name: n.name, added_by: n.added_by, added_at: at(n.created_at) }).collect(),
        accounts: known.accounts.into_iter().map(|a| a.label).collect(),
        maybe: known.maybe.into_iter().map(|p| p.name).collect(),
    }))
}

/// A further name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "ada@example.org"}))]
pub struct NewName {
    /// As items bear it. If somebody bears it already, both become one person.
    name: String,
}

/// Give a person a further name: what is kept under it is theirs
#[utoipa::path(post, path = "/api/v1/people/{name}/names", tag = "people", params(("name" = String, Path, description = "A name of the person")),
    request_body = NewName, responses((status = 204)))]
pub async fn add(Asker(ctx): Asker, Path(name): Path<String>, Body(body): Body<NewName>) -> Result<StatusCode, Problem> {
    names::add(&ctx, &name, &body.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take a further name away: what is kept under it is that of a person of their own again
#[utoipa::path(delete, path = "/api/v1/people/{name}/names/{further}", tag = "people",
    params(("name" = String, Path, description = "A name of the person"), ("further" = String, Path, description = "The further name")),
    responses((status = 204)))]
pub async fn remove(Asker(ctx): Asker, Path((name, further)): Path<(String, String)>) -> Result<StatusCode, Problem> {
    names::remove(&ctx, &name, &further).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListNobodys {
    /// Items after this one; `next` of the page before.
    after: Option<Uuid>,
    /// 1 to 200, 100 where it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// An item that is nobody's.
#[derive(Debug, Serialize, ToSchema)]
pub struct NobodysItem {
    id: Uuid,
    name: String,
    service: String,
    source: String,
    snapshots: i64,
    last_snapshot_at: Option<Timestamp>,
    size_bytes: i64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct NobodysItems {
    items: Vec<NobodysItem>,
    /// `after` of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Uuid>,
}

/// Items that are nobody's
#[utoipa::path(get, path = "/api/v1/unattributed", tag = "people", params(ListNobodys), responses((status = 200, body = NobodysItems)))]
pub async fn nobodys(Asker(ctx): Asker, Query(q): Query<ListNobodys>) -> Result<Json<NobodysItems>, Problem> {
    let limit = limit(q.limit, names::PAGE)?;
    let found = names::nobodys(&ctx, ItemId(q.after.unwrap_or_default()), limit).await?;
    let next = (found.len() as i64 == limit).then(|| found.last().map(|i| i.id)).flatten();
    let item = |i: store::person_names::NobodysItem| NobodysItem {
        id: i.id,
        name: i.name,
        service: i.service,
        source: i.source,
        snapshots: i.snapshots,
        last_snapshot_at: i.last_snapshot_at.map(at),
        size_bytes: i.size_bytes,
    };
    Ok(Json(NobodysItems { items: found.into_iter().map(item).collect(), next }))
}

/// Whose something is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"person": "ada"}))]
pub struct Whose {
    /// A name of the person; nobody's where it is null or left out.
    person: Option<String>,
}

impl Whose {
    pub fn person(&self) -> Option<&str> {
        self.person.as_deref().map(str::trim).filter(|p| !p.is_empty())
    }
}

/// Say whose an item is; its snapshots are theirs with it
#[utoipa::path(put, path = "/api/v1/items/{id}/person", tag = "people", params(("id" = Uuid, Path, description = "The item's id")), request_body = Whose,
    responses((status = 204)))]
pub async fn give(Asker(ctx): Asker, Path(id): Path<Uuid>, Body(body): Body<Whose>) -> Result<StatusCode, Problem> {
    names::give(&ctx, ItemId(id), body.person()).await?;
    Ok(StatusCode::NO_CONTENT)
}
