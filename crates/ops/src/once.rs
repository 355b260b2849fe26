//! Calls that carry a key: a repeat starts and creates nothing twice, and gets the same answer (R53, R60).
//!
//! Lives here: claiming a key, the note of what was done under it, the answer to a repeat. May not: headers and bodies
//! (adapters read those). Invariants: what a call starts or creates and the note of it are one transaction, because
//! [`Ctx::audit`] writes the note beside the audit event; whoever's claim was taken over can no longer change anything.
//!
//! A key is somebody's own and holds for a day. A call that was refused has done nothing and frees its key.

use std::sync::Arc;

use domain::units::Timestamp;
use store::{
    Tx,
    idempotency::{self as rows, Done, KeyRow},
};
use uuid::Uuid;

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, require_on},
};

/// How long a key holds, in seconds.
pub const HOLDS_S: i64 = 86_400;
/// How long a call that has done nothing yet is waited for, in seconds: then a repeat does it.
const LEASE_S: i64 = 60;

/// The right to carry a call out, for as long as nobody takes it over.
#[derive(Debug)]
pub struct Claim {
    actor: String,
    key: String,
    id: Uuid,
    /// What was done already by a call whose answer was lost.
    already: Vec<Done>,
}

/// What a call that carries a key finds.
#[derive(Debug)]
pub enum Claimed {
    /// It is to be carried out with this claim in its context, or its lost answer is to be made anew.
    Go(Arc<Claim>),
    /// It was carried out and answered.
    Answered { status: u16, body: String },
    /// It is being carried out; try again after so many seconds.
    Busy { retry_s: i64 },
}

/// Claims a key for a call: its method and path, and a sum of its body.
///
/// # Errors
/// `Invalid` where the key was used for another call or another body.
pub async fn claim(ctx: &Ctx, key: &str, call: &str, body: &str) -> Result<Claimed> {
    require_on(ctx, Action::Read, On::Any)?;
    let now = ctx.now();
    let new = KeyRow {
        actor: ctx.actor.name.clone(),
        key: key.to_owned(),
        call: call.to_owned(),
        body: body.to_owned(),
        claim: Uuid::new_v4(),
        claimed_at: now.0,
        created_at: now.0,
        done: None,
        status: None,
        answer: None,
    };
    let mut t = ctx.db.begin().await?;
    rows::sweep(t.tx(), now.plus_secs(-HOLDS_S)).await?;
    let claimed = if rows::claim(t.tx(), &new).await? { Claimed::Go(held(new)) } else { again(t.tx(), new, now).await? };
    t.commit().await?;
    Ok(claimed)
}

fn held(row: KeyRow) -> Arc<Claim> {
    Arc::new(Claim { actor: row.actor, key: row.key, id: row.claim, already: row.done.map(|d| d.0).unwrap_or_default() })
}

/// What a repeat finds.
async fn again(mut tx: Tx<'_>, new: KeyRow, now: Timestamp) -> Result<Claimed> {
    // It was refused just now, and its key is free again.
    let Some(row) = rows::find(tx.by_ref(), &new.actor, &new.key).await? else { return Ok(Claimed::Busy { retry_s: 1 }) };
    if (&row.call, &row.body) != (&new.call, &new.body) {
        return Err(OpsError::invalid("Idempotency-Key", "was used for another call, or with another body; take a new key for a new call"));
    }
    if let (Some(status), Some(answer)) = (row.status.and_then(|s| u16::try_from(s).ok()), &row.answer) {
        return Ok(Claimed::Answered { status, body: answer.clone() });
    }
    if row.done.is_some() {
        return Ok(Claimed::Go(held(row)));
    }
    let left = LEASE_S - (now.as_secs() - Timestamp(row.claimed_at).as_secs());
    if left > 0 || !rows::take_over(tx, &row, new.claim, now).await? {
        return Ok(Claimed::Busy { retry_s: left.clamp(1, LEASE_S) });
    }
    Ok(Claimed::Go(held(new)))
}

/// Keeps the answer of a call that was carried out; a refusal frees the key.
pub async fn finish(ctx: &Ctx, claim: &Claim, status: u16, body: &str) -> Result<()> {
    require_on(ctx, Action::Read, On::Any)?;
    let mut t = ctx.db.begin().await?;
    if (200..300).contains(&status) {
        rows::answer(t.tx(), &claim.actor, &claim.key, i64::from(status), body).await?;
    } else {
        rows::release(t.tx(), &claim.actor, &claim.key, claim.id).await?;
    }
    t.commit().await?;
    Ok(())
}

impl Claim {
    /// Notes inside the caller's transaction that something was started or created.
    pub(crate) async fn note(&self, mut tx: Tx<'_>, entity: &str, id: &str) -> Result<()> {
        let taken_over = || OpsError::Conflict("a repeat of this call has taken it over; its answer holds".to_owned());
        let row = rows::find(tx.by_ref(), &self.actor, &self.key).await?.filter(|r| r.claim == self.id).ok_or_else(taken_over)?;
        let mut done = row.done.map(|d| d.0).unwrap_or_default();
        done.push(Done { entity: entity.to_owned(), id: id.to_owned() });
        if rows::done(tx, &self.actor, &self.key, self.id, &done).await? { Ok(()) } else { Err(taken_over()) }
    }
}

impl Ctx {
    /// The ids of what this call has started or created already, where only its answer was lost.
    pub fn done(&self, entity: &str) -> Option<Vec<Uuid>> {
        let already = &self.claim.as_ref()?.already;
        let ids: Vec<Uuid> = already.iter().filter(|d| d.entity == entity).filter_map(|d| d.id.parse().ok()).collect();
        (!ids.is_empty()).then_some(ids)
    }
}

#[cfg(test)]
mod tests;
