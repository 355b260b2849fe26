//! Rows of people and of everything that is kept for them, across services.
//!
//! Lives here: their SQL. May not: making people (a backup run does, through `items`), judging coverage.

use domain::{
    id::{ItemId, PersonId, ServiceId},
    units::Timestamp,
};
use uuid::Uuid;

use crate::{Result, Tx, on, snapshots::SnapshotRow};

/// A person with the name under which an account of theirs is known, if one is linked.
macro_rules! person {
    ($rest:literal) => {
        concat!(
            "SELECT person.*, (SELECT min(CASE WHEN account.name = '' THEN account.label ELSE account.name END) FROM account \
            WHERE account.person_id = person.id OR (account.person_id IS NULL AND account.claimed_person_id = person.id)) AS shown FROM person ",
            $rest
        )
    };
}

statements! {
    PAGE = person!("WHERE person.name > $1 AND (lower(person.name) LIKE $2 ESCAPE '!' OR person.id IN \
        (SELECT account.person_id FROM account WHERE lower(account.name) LIKE $2 ESCAPE '!')) ORDER BY person.name LIMIT $3");
    /// `%%` is everybody: no name has to be looked at then.
    COUNT = "SELECT count(*) FROM person WHERE $1 = '%%' OR lower(name) LIKE $1 ESCAPE '!' OR id IN (SELECT account.person_id FROM account WHERE lower(account.name) LIKE $1 ESCAPE '!')";
    /// The items of the people of the same page.
    ITEMS_OF_PAGE = "SELECT p.name AS person, i.id, i.name, i.gone_at, i.last_snapshot_id, i.last_snapshot_at, i.snapshots, i.size_bytes, \
        s.id AS service_id, s.name AS service, s.title AS service_title, s.rpo_s, o.name AS source, o.kind AS source_kind \
        FROM (SELECT * FROM person WHERE name > $1 AND (lower(name) LIKE $2 ESCAPE '!' OR id IN (SELECT account.person_id FROM account \
        WHERE lower(account.name) LIKE $2 ESCAPE '!')) ORDER BY name LIMIT $3) p \
        JOIN item i ON i.person_id = p.id JOIN service s ON s.id = i.service_id JOIN source o ON o.id = i.source_id \
        ORDER BY p.name, s.name, o.name, i.name LIMIT $4";
    ITEMS = "SELECT p.name AS person, i.id, i.name, i.gone_at, i.last_snapshot_id, i.last_snapshot_at, i.snapshots, i.size_bytes, \
        s.id AS service_id, s.name AS service, s.title AS service_title, s.rpo_s, o.name AS source, o.kind AS source_kind \
        FROM person p JOIN item i ON i.person_id = p.id JOIN service s ON s.id = i.service_id JOIN source o ON o.id = i.source_id \
        WHERE p.id = $1 ORDER BY s.name, o.name, i.name LIMIT $2";
    FIND = person!("WHERE person.id = $1");
    FIND_BY_NAME = person!("WHERE person.name = $1 OR person.id = (SELECT person_id FROM person_name WHERE person_name.name = $1) \
        ORDER BY CASE WHEN person.name = $1 THEN 1 ELSE 0 END LIMIT 1");
    OF_SERVICE = person!("WHERE (lower(person.name) LIKE $2 ESCAPE '!' OR person.id IN (SELECT account.person_id FROM account WHERE lower(account.name) LIKE $2 ESCAPE '!')) \
        AND person.id IN (SELECT person_id FROM item WHERE service_id = $1) ORDER BY person.name");
    MARKS = "SELECT id, item_id, taken_at, state FROM snapshot WHERE person_id = $1 AND taken_at >= $2 AND gone_at IS NULL ORDER BY taken_at DESC, id DESC LIMIT $3";
    NEWEST_AT = "SELECT * FROM snapshot WHERE item_id = $1 AND taken_at <= $2 AND gone_at IS NULL ORDER BY taken_at DESC, id DESC LIMIT 1";
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct PersonRow {
    pub id: Uuid,
    /// The name that their items bear.
    pub name: String,
    pub created_at: i64,
    /// The name of a linked account.
    pub shown: Option<String>,
}

impl PersonRow {
    /// The name for people.
    pub fn shown(&self) -> &str {
        self.shown.as_deref().unwrap_or(&self.name)
    }
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

/// At most `limit` people after the name `after` whose name, or that of their account, holds `search`.
pub async fn page(tx: Tx<'_>, after: &str, search: &str, limit: i64) -> Result<Vec<PersonRow>> {
    Ok(on!(tx, c => sqlx::query_as(PAGE).bind(after).bind(pattern(search)).bind(limit).fetch_all(c).await)?)
}

pub async fn find(tx: Tx<'_>, id: PersonId) -> Result<Option<PersonRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(id.0).fetch_optional(c).await)?)
}

pub async fn find_by_name(tx: Tx<'_>, name: &str) -> Result<Option<PersonRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND_BY_NAME).bind(name).fetch_optional(c).await)?)
}

/// All people with an item of a service, whose name holds `search`.
pub async fn of_service(tx: Tx<'_>, service: ServiceId, search: &str) -> Result<Vec<PersonRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_SERVICE).bind(service.0).bind(pattern(search)).fetch_all(c).await)?)
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
