//! Rows of people and of everything that is kept for them, across services.
//!
//! Lives here: their SQL. May not: making people (a backup run does, through `items`), judging coverage.

use domain::{
    id::{ItemId, PersonId},
    units::Timestamp,
};
use uuid::Uuid;

use crate::{Result, Tx, items::PersonRow, on, snapshots::SnapshotRow};

statements! {
    PAGE = "SELECT * FROM person WHERE name > $1 AND lower(name) LIKE $2 ESCAPE '!' ORDER BY name LIMIT $3";
    /// `%%` is everybody: no name has to be looked at then.
    COUNT = "SELECT count(*) FROM person WHERE $1 = '%%' OR lower(name) LIKE $1 ESCAPE '!'";
    /// The items of the people of the same page.
    ITEMS_OF_PAGE = "SELECT p.name AS person, i.id, i.name, i.gone_at, i.last_snapshot_id, i.last_snapshot_at, i.snapshots, i.size_bytes, \
        s.id AS service_id, s.name AS service, s.title AS service_title, s.rpo_s, o.name AS source, o.kind AS source_kind \
        FROM (SELECT * FROM person WHERE name > $1 AND lower(name) LIKE $2 ESCAPE '!' ORDER BY name LIMIT $3) p \
        JOIN item i ON i.person_id = p.id JOIN service s ON s.id = i.service_id JOIN source o ON o.id = i.source_id \
        ORDER BY p.name, s.name, o.name, i.name LIMIT $4";
    ITEMS = "SELECT p.name AS person, i.id, i.name, i.gone_at, i.last_snapshot_id, i.last_snapshot_at, i.snapshots, i.size_bytes, \
        s.id AS service_id, s.name AS service, s.title AS service_title, s.rpo_s, o.name AS source, o.kind AS source_kind \
        FROM person p JOIN item i ON i.person_id = p.id JOIN service s ON s.id = i.service_id JOIN source o ON o.id = i.source_id \
        WHERE p.id = $1 ORDER BY s.name, o.name, i.name LIMIT $2";
    MARKS = "SELECT id, item_id, taken_at, state FROM snapshot WHERE person_id = $1 AND taken_at >= $2 AND gone_at IS NULL ORDER BY taken_at DESC, id DESC LIMIT $3";
    NEWEST_AT = "SELECT * FROM snapshot WHERE item_id = $1 AND taken_at <= $2 AND gone_at IS NULL ORDER BY taken_at DESC, id DESC LIMIT 1";
}

/// One item of a person, with the names of where it lives.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct PersonItem {
    pub person: String,
    pub id: Uuid,
    pub name: String,
    pub gone_at: Option<i64>,
    pub last_snapshot_id: Option<Uuid>,
    pub last_snapshot_at: Option<i64>,
    pub snapshots: i64,
    pub size_bytes: i64,
    pub service_id: Uuid,
    pub service: String,
    pub service_title: String,
    pub rpo_s: Option<i64>,
    pub source: String,
    pub source_kind: String,
}

/// One snapshot on a timeline.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub struct Mark {
    pub id: Uuid,
    pub item_id: Option<Uuid>,
    pub taken_at: i64,
    #[sqlx(try_from = "String")]
    pub state: MarkState,
}

/// Whether a snapshot is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkState {
    Whole,
    Partial,
}

impl From<String> for MarkState {
    fn from(state: String) -> Self {
        if state == "partial" { Self::Partial } else { Self::Whole }
    }
}

/// `search` anywhere in a name, in lower case; its own wildcards mean themselves. For `LIKE … ESCAPE '!'`.
pub(crate) fn pattern(search: &str) -> String {
    format!("%{}%", search.to_lowercase().replace('!', "!!").replace('%', "!%").replace('_', "!_"))
}

/// At most `limit` people after the name `after` whose name holds `search`.
pub async fn page(tx: Tx<'_>, after: &str, search: &str, limit: i64) -> Result<Vec<PersonRow>> {
    Ok(on!(tx, c => sqlx::query_as(PAGE).bind(after).bind(pattern(search)).bind(limit).fetch_all(c).await)?)
}

/// The items of the people that [`page`] gives for the same arguments, at most `most` of them.
pub async fn items_of_page(tx: Tx<'_>, after: &str, search: &str, limit: i64, most: i64) -> Result<Vec<PersonItem>> {
    Ok(on!(tx, c => sqlx::query_as(ITEMS_OF_PAGE).bind(after).bind(pattern(search)).bind(limit).bind(most).fetch_all(c).await)?)
}

/// How many people have `search` in their name.
pub async fn count(tx: Tx<'_>, search: &str) -> Result<i64> {
    Ok(on!(tx, c => sqlx::query_scalar(COUNT).bind(pattern(search)).fetch_one(c).await)?)
}

/// The items of one person by service and source.
pub async fn items(tx: Tx<'_>, person: PersonId, limit: i64) -> Result<Vec<PersonItem>> {
    Ok(on!(tx, c => sqlx::query_as(ITEMS).bind(person.0).bind(limit).fetch_all(c).await)?)
}

/// The snapshots of a person since then, the newest first.
pub async fn marks(tx: Tx<'_>, person: PersonId, since: Timestamp, limit: i64) -> Result<Vec<Mark>> {
    Ok(on!(tx, c => sqlx::query_as(MARKS).bind(person.0).bind(since.0).bind(limit).fetch_all(c).await)?)
}

/// The newest snapshot of an item that is not younger than `at`.
pub async fn newest_at(tx: Tx<'_>, item: ItemId, at: Timestamp) -> Result<Option<SnapshotRow>> {
    Ok(on!(tx, c => sqlx::query_as(NEWEST_AT).bind(item.0).bind(at.0).fetch_optional(c).await)?)
}
