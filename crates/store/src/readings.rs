//! When the packs of a repository were last read, in a form that stays small with 100,000s of packs.
//!
//! Lives here: their SQL. May not: which packs are read next (`domain::reading`).
//! A row names the packs that were last read, or first seen, at its time: 32 bytes a pack. A check adds rows while it
//! reads and puts one row a time in their place when it is through. A pack that stands in several rows was read at the
//! latest of them.

use domain::{id::RepositoryId, reading::Mark, units::Timestamp};

use crate::{Result, Tx, ids, on};

statements! {
    OF = "SELECT at, state, packs FROM pack_reading WHERE repository_id = $1 ORDER BY at, id";
    ADD = "INSERT INTO pack_reading (id, repository_id, at, state, packs) VALUES ($1, $2, $3, $4, $5)";
    CLEAR = "DELETE FROM pack_reading WHERE repository_id = $1";
}

/// Packs with the same mark; ids of 32 bytes, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    pub mark: Mark,
    pub packs: Vec<u8>,
}

pub async fn of(tx: Tx<'_>, repository: RepositoryId) -> Result<Vec<Reading>> {
    let rows: Vec<(i64, String, Vec<u8>)> = on!(tx, c => sqlx::query_as(OF).bind(repository.0).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|(at, state, packs)| Reading { mark: Mark { at: Timestamp(at), read: state == "read" }, packs }).collect())
}

pub async fn add(tx: Tx<'_>, repository: RepositoryId, reading: &Reading) -> Result<()> {
    let state = if reading.mark.read { "read" } else { "seen" };
    on!(tx, c => sqlx::query(ADD).bind(ids::of_row()).bind(repository.0).bind(reading.mark.at.0).bind(state).bind(&reading.packs).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Puts these in the place of all that is known: what stands in none of them is there no more.
pub async fn replace(mut tx: Tx<'_>, repository: RepositoryId, all: &[Reading]) -> Result<()> {
    on!(tx.by_ref(), c => sqlx::query(CLEAR).bind(repository.0).execute(c).await.map(|_| ()))?;
    for reading in all {
        add(tx.by_ref(), repository, reading).await?;
    }
    Ok(())
}
