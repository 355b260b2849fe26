//! Further names of people, and whose items are.
//!
//! Lives here: their SQL, and the moving of what is kept from one person to another. May not: deciding who is who.
//! Invariant: an item and its snapshots are always the same person's.

use domain::{
    id::{ItemId, PersonId},
    units::Timestamp,
};
use uuid::Uuid;

use crate::{Result, Tx, ids::NewId as _, on};

statements! {
    OF_PERSON = "SELECT * FROM person_name WHERE person_id = $1 ORDER BY name";
    FIND = "SELECT * FROM person_name WHERE name = $1";
    ADD = "INSERT INTO person_name (name, person_id, added_by, created_at) VALUES ($1, $2, $3, $4)";
    REMOVE = "DELETE FROM person_name WHERE name = $1";
    MOVE_NAMES = "UPDATE person_name SET person_id = $2 WHERE person_id = $1";
    MOVE_ITEMS = "UPDATE item SET person_id = $2 WHERE person_id = $1";
    MOVE_SNAPSHOTS = "UPDATE snapshot SET person_id = $2 WHERE person_id = $1";
    /// A link that was made by hand is taken away: it would stay where it is when the two are parted again.
    MOVE_ACCOUNTS = "UPDATE account SET person_id = CASE WHEN person_id = $1 THEN NULL ELSE person_id END, \
        claimed_person_id = CASE WHEN claimed_person_id = $1 THEN $2 ELSE claimed_person_id END WHERE person_id = $1 OR claimed_person_id = $1";
    /// Their providers say anew whose data it is.
    PART_ACCOUNTS = "UPDATE account SET claimed_person_id = NULL WHERE claimed_person_id = $1";
    /// A backup that looks a name up waits until it is settled whose it is.
    LOCK_PG = "LOCK TABLE person_name IN EXCLUSIVE MODE";
    DROP_PERSON = "DELETE FROM person WHERE id = $1";
    NEW_PERSON = "INSERT INTO person (id, name, created_at) VALUES ($1, $2, $3)";
    PART_ITEMS = "UPDATE item SET person_id = $3 WHERE person_id = $1 AND name = $2";
    PART_SNAPSHOTS = "UPDATE snapshot SET person_id = $3 WHERE person_id = $1 AND item_id IN (SELECT id FROM item WHERE name = $2 AND person_id = $3)";
    GIVE_ITEM = "UPDATE item SET person_id = $2 WHERE id = $1";
    GIVE_SNAPSHOTS = "UPDATE snapshot SET person_id = $2 WHERE item_id = $1";
    NOBODYS = "SELECT i.id, i.name, i.service_id, s.name AS service, s.title AS service_title, o.name AS source, i.last_snapshot_at, i.snapshots, i.size_bytes \
        FROM item i JOIN service s ON s.id = i.service_id JOIN source o ON o.id = i.source_id WHERE i.person_id IS NULL AND i.id > $1 ORDER BY i.id LIMIT $2";
    COUNT_NOBODYS = "SELECT count(*) FROM item WHERE person_id IS NULL";
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct NameRow {
    pub name: String,
    pub person_id: Uuid,
    pub added_by: String,
    pub created_at: i64,
}

/// An item that is nobody's, with the names of where it lives.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct NobodysItem {
    pub id: Uuid,
    pub name: String,
    pub service_id: Uuid,
    pub service: String,
    pub service_title: String,
    pub source: String,
    pub last_snapshot_at: Option<i64>,
    pub snapshots: i64,
    pub size_bytes: i64,
}

/// The further names of a person.
pub async fn of_person(tx: Tx<'_>, person: PersonId) -> Result<Vec<NameRow>> {
    Ok(on!(tx, c => sqlx::query_as(OF_PERSON).bind(person.0).fetch_all(c).await)?)
}

pub async fn find(tx: Tx<'_>, name: &str) -> Result<Option<NameRow>> {
    Ok(on!(tx, c => sqlx::query_as(FIND).bind(name).fetch_optional(c).await)?)
}

/// Gives a person a further name. What is kept of `other`, who bore it until now, becomes theirs, and `other` is no more.
pub async fn add(mut tx: Tx<'_>, person: PersonId, name: &str, other: Option<PersonId>, by: &str, now: Timestamp) -> Result<()> {
    lock(tx.by_ref()).await?;
    if let Some(other) = other {
        for statement in [&MOVE_NAMES, &MOVE_ITEMS, &MOVE_SNAPSHOTS, &MOVE_ACCOUNTS] {
            on!(tx.by_ref(), c => sqlx::query(*statement).bind(other.0).bind(person.0).execute(c).await.map(|_| ()))?;
        }
        on!(tx.by_ref(), c => sqlx::query(DROP_PERSON).bind(other.0).execute(c).await.map(|_| ()))?;
    }
    on!(tx, c => sqlx::query(ADD).bind(name).bind(person.0).bind(by).bind(now.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Takes a further name from a person: items that bear it are those of a person of their own again.
pub async fn remove(mut tx: Tx<'_>, person: PersonId, name: &str, now: Timestamp) -> Result<PersonId> {
    lock(tx.by_ref()).await?;
    let new = PersonId::new();
    on!(tx.by_ref(), c => sqlx::query(REMOVE).bind(name).execute(c).await.map(|_| ()))?;
    on!(tx.by_ref(), c => sqlx::query(NEW_PERSON).bind(new.0).bind(name).bind(now.0).execute(c).await.map(|_| ()))?;
    for statement in [&PART_ITEMS, &PART_SNAPSHOTS] {
        on!(tx.by_ref(), c => sqlx::query(*statement).bind(person.0).bind(name).bind(new.0).execute(c).await.map(|_| ()))?;
    }
    on!(tx, c => sqlx::query(PART_ACCOUNTS).bind(person.0).execute(c).await.map(|_| ()))?;
    Ok(new)
}

async fn lock(tx: Tx<'_>) -> Result<()> {
    if let Tx::Pg(c) = tx {
        sqlx::query(LOCK_PG).execute(c).await?;
    }
    Ok(())
}

/// Says whose an item and its snapshots are.
pub async fn give(mut tx: Tx<'_>, item: ItemId, person: Option<PersonId>) -> Result<()> {
    for statement in [&GIVE_ITEM, &GIVE_SNAPSHOTS] {
        on!(tx.by_ref(), c => sqlx::query(*statement).bind(item.0).bind(person.map(|p| p.0)).execute(c).await.map(|_| ()))?;
    }
    Ok(())
}

/// At most `limit` items that are nobody's, after the item `after`.
pub async fn nobodys(tx: Tx<'_>, after: ItemId, limit: i64) -> Result<Vec<NobodysItem>> {
    Ok(on!(tx, c => sqlx::query_as(NOBODYS).bind(after.0).bind(limit).fetch_all(c).await)?)
}

pub async fn count_nobodys(tx: Tx<'_>) -> Result<i64> {
    Ok(on!(tx, c => sqlx::query_scalar(COUNT_NOBODYS).fetch_one(c).await)?)
}
