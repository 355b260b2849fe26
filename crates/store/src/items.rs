//! Rows of items and of the people behind them.
//!
//! Lives here: their SQL. May not: saying which names are one person's (`person_names`).

use domain::{
    id::{ItemId, PersonId, RepositoryId, ServiceId, SnapshotId, SourceId},
    instance::Server,
    units::Timestamp,
};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Result, Tx, ids::NewId, on};

statements! {
    FIND = "SELECT * FROM item WHERE id = $1";
    FIND_BY_NAME = "SELECT * FROM item WHERE source_id = $1 AND name = $2";
    OF_SERVICE = "SELECT * FROM item WHERE service_id = $1 AND name > $2 ORDER BY name, id LIMIT $3";
    OF_SOURCE = "SELECT * FROM item WHERE source_id = $1 AND name > $2 ORDER BY name LIMIT $3";
    SOURCE_FACTS = "SELECT source_id, count(*) AS items, CAST(COALESCE(sum(size_bytes), 0) AS BIGINT) AS size_bytes, \
        CAST(COALESCE(sum(snapshots), 0) AS BIGINT) AS snapshots, max(last_snapshot_at) AS last_snapshot_at \
        FROM item WHERE service_id = $1 AND gone_at IS NULL GROUP BY source_id";
    SEEN = "INSERT INTO item (id, source_id, service_id, person_id, name, first_seen_at, last_seen_at) VALUES ($1, $2, $3, $4, $5, $6, $6) \
        ON CONFLICT (source_id, name) DO UPDATE SET last_seen_at = excluded.last_seen_at, person_id = COALESCE(item.person_id, excluded.person_id), gone_at = NULL RETURNING id, person_id";
    LISTED = "INSERT INTO item (id, source_id, service_id, name, first_seen_at, last_seen_at, native) VALUES ($1, $2, $3, $4, $5, $5, $6) \
        ON CONFLICT (source_id, name) DO UPDATE SET last_seen_at = excluded.last_seen_at, native = excluded.native, gone_at = NULL RETURNING id";
    LEFT = "INSERT INTO item (id, source_id, service_id, name, first_seen_at, last_seen_at, gone_at) VALUES ($1, $2, $3, $4, $5, $5, $6) \
        ON CONFLICT (source_id, name) DO UPDATE SET first_seen_at = item.first_seen_at RETURNING id";
    PRESENT = "SELECT * FROM item WHERE source_id = $1 AND gone_at IS NULL AND name > $2 ORDER BY name LIMIT $3";
    GONE = "UPDATE item SET gone_at = $2 WHERE source_id = $1 AND last_seen_at < $2 AND gone_at IS NULL";
    SET_SNAPSHOT = "UPDATE item SET last_snapshot_id = $2, last_snapshot_at = $3, size_bytes = $4, snapshots = \
        (SELECT count(*) FROM snapshot WHERE snapshot.item_id = item.id AND snapshot.gone_at IS NULL AND snapshot.state <> 'pending') WHERE id = $1";
    /// What a cloud has only accepted is no copy yet. Of a snapshot and its offsite copy, which alone of
    /// the two has a tree, the newest is the one in the cloud.
    RECOUNT = "UPDATE item SET snapshots = (SELECT count(*) FROM snapshot s WHERE s.item_id = item.id AND s.gone_at IS NULL AND s.state <> 'pending'), \
        last_snapshot_id = (SELECT s.id FROM snapshot s WHERE s.item_id = item.id AND s.gone_at IS NULL AND s.state <> 'pending' ORDER BY s.taken_at DESC, \
        CASE WHEN s.native IS NOT NULL AND s.tree <> '' THEN 1 ELSE 0 END, s.id DESC LIMIT 1), \
        last_snapshot_at = (SELECT max(s.taken_at) FROM snapshot s WHERE s.item_id = item.id AND s.gone_at IS NULL AND s.state <> 'pending') WHERE id = $1";
    /// It waits for whoever says whose a name is.
    NAMES_PG = "LOCK TABLE person_name IN ROW SHARE MODE";
    OF_NAME = "SELECT person_id FROM person_name WHERE name = $1";
    PERSON = "INSERT INTO person (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id";
    PARENTS = "SELECT item.name, snapshot.restic_id FROM item JOIN snapshot ON snapshot.id = item.last_snapshot_id \
        WHERE item.source_id = $1 AND snapshot.repository_id = $2 AND snapshot.gone_at IS NULL";
    COUNT_PRESENT = "SELECT count(*) FROM item WHERE source_id = $1 AND gone_at IS NULL";
    NAMED = "SELECT * FROM item WHERE service_id = $1 AND name = $2 ORDER BY id LIMIT 2";
    ALL_NAMED = "SELECT * FROM item WHERE service_id = $1 AND name = $2 ORDER BY id LIMIT 1000";
    /// Those that were known before $2, and those of them that are gone since.
    COUNT_GONE = "SELECT count(*), count(gone_at) FROM item WHERE source_id = $1 AND first_seen_at < $2 AND (gone_at IS NULL OR gone_at >= $2)";
    /// An item that has no snapshot yet is overdue when its RPO has passed since it was first seen.
    OVERDUE = "SELECT s.name, s.title, s.rpo_s, count(*) AS items, min(COALESCE(i.last_snapshot_at, i.first_seen_at)) AS oldest_at \
        FROM item i JOIN service s ON s.id = i.service_id WHERE s.removed_at IS NULL AND s.rpo_s IS NOT NULL AND s.name > $2 AND i.gone_at IS NULL \
        AND COALESCE(i.last_snapshot_at, i.first_seen_at) < $1 - s.rpo_s * 1000000 GROUP BY s.name, s.title, s.rpo_s ORDER BY s.name LIMIT $3";
    /// What a cloud has listed, of all its sources.
    LISTED_IN = "SELECT count(*) FROM item JOIN source ON source.id = item.source_id \
        WHERE source.repository_id = $1 AND source.removed_at IS NULL AND item.gone_at IS NULL AND item.native IS NOT NULL";
    OVERDUE_NAMES = "SELECT name FROM item WHERE service_id = (SELECT id FROM service WHERE name = $1) AND gone_at IS NULL \
        AND COALESCE(last_snapshot_at, first_seen_at) < $2 ORDER BY COALESCE(last_snapshot_at, first_seen_at), name LIMIT $3";
    /// Whoever looks for a person by the name of their item finds the person, so such items are left out.
    SEARCH = "SELECT item.name, service.name AS service, service.title AS service_title, source.name AS source, item.last_snapshot_at \
        FROM item JOIN service ON service.id = item.service_id JOIN source ON source.id = item.source_id LEFT JOIN person ON person.id = item.person_id \
        WHERE lower(item.name) LIKE $1 ESCAPE '!' AND (person.name IS NULL OR person.name <> item.name) ORDER BY item.name, item.id LIMIT $2";
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ItemRow {
    pub id: Uuid,
    pub source_id: Uuid,
    pub service_id: Uuid,
    pub person_id: Option<Uuid>,
    /// In the reversible text form of `domain::naming::escape`.
    pub name: String,
    pub first_seen_at: i64,
    pub last_seen_at: i64,
    /// When a pass no longer found it.
    pub gone_at: Option<i64>,
    pub last_snapshot_id: Option<Uuid>,
    pub last_snapshot_at: Option<i64>,
    pub snapshots: i64,
    pub size_bytes: i64,
    /// What a cloud said of the instance when it was last listed.
    pub native: Option<Json<Server>>,
}

/// An item with the names of where it lives.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct NamedItem {
    pub name: String,
    pub service: String,
    pub service_title: String,
    pub source: String,
    pub last_snapshot_at: Option<i64>,
}

/// At most `limit` items whose name holds `search`, case aside, by name; without those that carry their person's name.
pub async fn search(tx: Tx<'_>, search: &str, limit: i64) -> Result<Vec<NamedItem>> {
    Ok(on!(tx, c => sqlx::query_as(SEARCH).bind(crate::people::pattern(search)).bind(limit).fetch_all(c).await)?)
}

pub async fn find(tx: Tx<'_>, id: ItemId) -> Result<Option<ItemRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(id.0).fetch_optional(c).await)?)
}

pub async fn find_by_name(tx: Tx<'_>, source: SourceId, name: &str) -> Result<Option<ItemRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND_BY_NAME).bind(source.0).bind(name).fetch_optional(c).await)?)
}

/// At most `limit` items of a service after the name `after`.
pub async fn of_service(tx: Tx<'_>, service: ServiceId, after: &str, limit: i64) -> Result<Vec<ItemRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_SERVICE).bind(service.0).bind(after).bind(limit).fetch_all(c).await)?)
}

/// All items of a service that bear one name, in the order of [`of_service`].
pub async fn all_named(tx: Tx<'_>, service: ServiceId, name: &str) -> Result<Vec<ItemRow>> {
    Ok(on!(tx, c => sqlx::query_as(ALL_NAMED).bind(service.0).bind(name).fetch_all(c).await)?)
}

/// At most `limit` items of a source after the name `after`.
pub async fn of_source(tx: Tx<'_>, source: SourceId, after: &str, limit: i64) -> Result<Vec<ItemRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_SOURCE).bind(source.0).bind(after).bind(limit).fetch_all(c).await)?)
}

/// What the items of one source add up to.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct SourceFacts {
    pub source_id: Uuid,
    pub items: i64,
    pub size_bytes: i64,
    pub snapshots: i64,
    pub last_snapshot_at: Option<i64>,
}

/// The sums of a service's items by source; a source without items has no row.
pub async fn source_facts(tx: Tx<'_>, service: ServiceId) -> Result<Vec<SourceFacts>> {
    Ok(on!(tx, c => sqlx::query_as(SOURCE_FACTS).bind(service.0).fetch_all(c).await)?)
}

/// The items of a service that have no snapshot within its RPO.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Overdue {
    /// The service's name and title.
    pub name: String,
    pub title: String,
    pub rpo_s: i64,
    pub items: i64,
    /// When the newest snapshot of the most overdue one was taken, or when that was first seen.
    pub oldest_at: i64,
}

/// Services after the name `after` with overdue items.
pub async fn overdue(tx: Tx<'_>, now: Timestamp, after: &str, limit: i64) -> Result<Vec<Overdue>> {
    Ok(on!(tx, c => sqlx::query_as(OVERDUE).bind(now.0).bind(after).bind(limit).fetch_all(c).await)?)
}

/// The items of a service whose newest snapshot is from before `since`, the most overdue first.
pub async fn overdue_names(tx: Tx<'_>, service: &str, since: Timestamp, limit: i64) -> Result<Vec<String>> {
    Ok(on!(tx, c => sqlx::query_scalar(OVERDUE_NAMES).bind(service).bind(since.0).bind(limit).fetch_all(c).await)?)
}

/// Records that a pass has found the item now; makes it when it is new.
pub async fn seen(tx: Tx<'_>, source: SourceId, service: ServiceId, person: Option<PersonId>, name: &str, now: Timestamp) -> Result<ItemId> {
    Ok(found(tx, source, service, person, name, now).await?.0)
}

/// The same, with whose it is: `person` where it was nobody's until now.
pub async fn found(
    tx: Tx<'_>,
    source: SourceId,
    service: ServiceId,
    person: Option<PersonId>,
    name: &str,
    now: Timestamp,
) -> Result<(ItemId, Option<PersonId>)> {
    let (id, person): (Uuid, Option<Uuid>) = on!(tx, c => sqlx::query_as(SEEN).bind(ItemId::new().0).bind(source.0).bind(service.0).bind(person.map(|p| p.0))
        .bind(name).bind(now.0).fetch_one(c).await)?;
    Ok((ItemId(id), person.map(PersonId)))
}

/// Records that a cloud lists an instance now, with what it says of it; makes the item when it is new.
pub async fn listed(tx: Tx<'_>, source: SourceId, service: ServiceId, name: &str, server: &Server, now: Timestamp) -> Result<ItemId> {
    let id = on!(tx, c => sqlx::query_scalar::<_, Uuid>(LISTED).bind(ItemId::new().0).bind(source.0).bind(service.0).bind(name).bind(now.0)
        .bind(Json(server)).fetch_one(c).await)?;
    Ok(ItemId(id))
}

/// An item of which there are snapshots and which nobody has listed: it is gone since `now`. One that is known stays as it is.
pub async fn left(tx: Tx<'_>, source: SourceId, service: ServiceId, name: &str, seen: Timestamp, now: Timestamp) -> Result<ItemId> {
    let id = on!(tx, c => sqlx::query_scalar::<_, Uuid>(LEFT).bind(ItemId::new().0).bind(source.0).bind(service.0).bind(name).bind(seen.0).bind(now.0)
        .fetch_one(c).await)?;
    Ok(ItemId(id))
}

/// At most `limit` items that the source lists now, after the name `after`.
pub async fn present(tx: Tx<'_>, source: SourceId, after: &str, limit: i64) -> Result<Vec<ItemRow>> {
    Ok(on!(tx, c => sqlx::query_as(PRESENT).bind(source.0).bind(after).bind(limit).fetch_all(c).await)?)
}

/// How many instances a cloud lists, as far as is known.
pub async fn listed_in(tx: Tx<'_>, cloud: RepositoryId) -> Result<i64> {
    Ok(on!(tx, c => sqlx::query_scalar(LISTED_IN).bind(cloud.0).fetch_one(c).await)?)
}

/// Marks items of the source that the pass at `now` has not seen; how many.
pub async fn mark_gone(tx: Tx<'_>, source: SourceId, now: Timestamp) -> Result<u64> {
    Ok(on!(tx, c => sqlx::query(GONE).bind(source.0).bind(now.0).execute(c).await.map(|r| r.rows_affected()))?)
}

/// Records the newest snapshot of an item and counts its snapshots anew.
pub async fn set_snapshot(tx: Tx<'_>, id: ItemId, snapshot: SnapshotId, at: Timestamp, size_bytes: i64) -> Result<()> {
    on!(tx, c => sqlx::query(SET_SNAPSHOT).bind(id.0).bind(snapshot.0).bind(at.0).bind(size_bytes).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Finds the newest of an item's snapshots that are still there, and counts them.
pub async fn recount(tx: Tx<'_>, id: ItemId) -> Result<()> {
    on!(tx, c => sqlx::query(RECOUNT).bind(id.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// The restic id of each item's newest snapshot in the repository, by item name: the parents of the next pass.
pub async fn parents(tx: Tx<'_>, source: SourceId, repository: RepositoryId) -> Result<Vec<(String, String)>> {
    Ok(on!(tx, c => sqlx::query_as(PARENTS).bind(source.0).bind(repository.0).fetch_all(c).await)?)
}

/// How many items the source had when it was last read.
pub async fn count_present(tx: Tx<'_>, source: SourceId) -> Result<i64> {
    Ok(on!(tx, c => sqlx::query_scalar(COUNT_PRESENT).bind(source.0).fetch_one(c).await)?)
}

/// At most two items of a service of that name, one a source.
pub async fn named(tx: Tx<'_>, service: ServiceId, name: &str) -> Result<Vec<ItemRow>> {
    Ok(on!(tx, c => sqlx::query_as(NAMED).bind(service.0).bind(name).fetch_all(c).await)?)
}

/// How many items the source had before `since`, and how many of them were marked as gone from then on.
pub async fn count_gone(tx: Tx<'_>, source: SourceId, since: Timestamp) -> Result<(i64, i64)> {
    Ok(on!(tx, c => sqlx::query_as(COUNT_GONE).bind(source.0).bind(since.0).fetch_one(c).await)?)
}

/// The person of that name, or with that further name; made when it is new.
pub async fn person(mut tx: Tx<'_>, name: &str, now: Timestamp) -> Result<PersonId> {
    if let Tx::Pg(c) = tx.by_ref() {
        sqlx::query(NAMES_PG).execute(c).await?;
    }
    if let Some(id) = on!(tx.by_ref(), c => sqlx::query_scalar::<_, Uuid>(OF_NAME).bind(name).fetch_optional(c).await)? {
        return Ok(PersonId(id));
    }
    let id = on!(tx, c => sqlx::query_scalar::<_, Uuid>(PERSON).bind(PersonId::new().0).bind(name).bind(now.0).fetch_one(c).await)?;
    Ok(PersonId(id))
}
