//! Secrets that are shown once: what tokens, read-only links and calendar addresses have in common.
//!
//! Lives here: making, knowing again, listing, revoking. May not: what one of them opens.
//! Invariants: only the hash of a secret is stored; no program makes or ends one, so that a token that leaked does not
//! outlive itself.

use std::ops::RangeInclusive;

use domain::{field::FieldError, units::Timestamp};
use rand::Rng as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
pub use store::issued::Issued;
use store::{
    Db,
    audit::NewEvent,
    db::Transaction,
    issued::{self, New, Row},
};
use uuid::Uuid;

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, allowed, require, require_on},
};

/// The longest name, in characters.
const LONGEST_NAME: usize = 80;
/// How often the last use is written, in seconds.
const USE_S: f64 = 60.0;
/// Rows that are listed.
const LISTED: i64 = 1_000;

/// One kind of them, in words and limits.
pub(crate) struct Kind {
    pub words: &'static str,
    /// What every secret begins with, so that one in a wrong place is seen for what it is.
    pub prefix: &'static str,
    /// Whoever may do that anywhere has their own.
    pub needs: Action,
    /// What a program is refused.
    pub refused: &'static str,
    /// The field of the name, and what its text has to say.
    pub name: &'static str,
    pub says: &'static str,
    /// How long one may live, in days.
    pub days: RangeInclusive<i64>,
    /// How the audit trail calls it, its making and its end.
    pub entity: &'static str,
    pub made: &'static str,
    pub revoked: &'static str,
}

fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

impl Kind {
    /// Refuses a program, and whoever may have none.
    pub fn in_person(&self, ctx: &Ctx) -> Result<()> {
        require_on(ctx, self.needs, On::Any)?;
        if ctx.actor.scopes.is_some() { Err(OpsError::Forbidden(self.refused)) } else { Ok(()) }
    }

    /// What is wrong with a name.
    pub fn name_error(&self, name: &str) -> Option<FieldError> {
        let good = (1..=LONGEST_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        (!good).then(|| FieldError::new(self.name, format!("must be 1 to {LONGEST_NAME} characters; {}", self.says)))
    }

    /// What is wrong with a number of days.
    pub fn days_error(&self, days: i64) -> Option<FieldError> {
        (!self.days.contains(&days)).then(|| FieldError::new("days", format!("must be from {} to {}", self.days.start(), self.days.end())))
    }

    /// A new secret, and the row that knows it again.
    pub fn issue<'a>(&self, ctx: &'a Ctx, id: Uuid, name: &'a str, days: i64) -> (String, New<'a>) {
        let mut bytes = [0_u8; 32];
        rand::rng().fill_bytes(&mut bytes);
        let secret = format!("{}{}", self.prefix, hex::encode(bytes));
        let (hash, now) = (hash(&secret), ctx.now());
        let new = New { id, name, actor: &ctx.actor.name, role: ctx.actor.role.as_str(), hash, created_at: now, expires_at: now.plus_secs(days * 86_400) };
        (secret, new)
    }

    /// Ends a transaction that put one in.
    pub async fn made<R: Row>(&self, ctx: &Ctx, mut t: Transaction, id: Uuid, after: Value) -> Result<R> {
        ctx.audit(t.tx(), NewEvent { action: self.made, entity: self.entity, entity_id: id.to_string(), before: None, after: Some(after) }).await?;
        let row = self.find(&mut t, id).await?;
        t.commit().await?;
        Ok(row)
    }

    async fn find<R: Row>(&self, t: &mut Transaction, id: Uuid) -> Result<R> {
        issued::find(t.tx(), id).await?.ok_or_else(|| OpsError::not_found(self.words, id))
    }

    /// One's own, the newest first; those of everybody for whoever admits people.
    pub async fn list<R: Row>(&self, ctx: &Ctx) -> Result<Vec<R>> {
        require_on(ctx, self.needs, On::Any)?;
        let everybody = allowed(&ctx.actor, Action::AdmitPeople, On::All);
        let whose = if everybody { "" } else { &ctx.actor.name };
        Ok(issued::list(ctx.db.read().await?.tx(), whose, LISTED).await?)
    }

    /// Ends one's own, or anybody's for whoever admits people. To revoke it again changes nothing.
    pub async fn revoke<R: Row>(&self, ctx: &Ctx, id: Uuid) -> Result<()> {
        self.in_person(ctx)?;
        let mut t = ctx.db.begin_audited().await?;
        let row: R = self.find(&mut t, id).await?;
        let row = row.issued();
        if row.actor != ctx.actor.name {
            require(ctx, Action::AdmitPeople)?;
        }
        if issued::revoke::<R>(t.tx(), id, ctx.now(), &ctx.actor.name).await? {
            let before = Some(json!({(self.name): row.name, "actor": row.actor}));
            ctx.audit(t.tx(), NewEvent { action: self.revoked, entity: self.entity, entity_id: id.to_string(), before, after: None }).await?;
        }
        t.commit().await?;
        Ok(())
    }
}

/// The row of a secret that is valid.
pub(crate) async fn known<R: Row>(db: &Db, secret: &str, now: Timestamp) -> Result<Option<R>> {
    let row: Option<R> = issued::of_hash(db.read().await?.tx(), &hash(secret)).await?;
    Ok(row.filter(|r| r.issued().state(now) == "valid"))
}

/// Writes down that it was used, now and then.
pub(crate) async fn used<R: Row>(db: &Db, row: &R, now: Timestamp, from: &str) -> Result<()> {
    if row.issued().last_used_at.is_none_or(|at| now.secs_since(Timestamp(at)).abs() > USE_S) {
        let mut t = db.begin().await?;
        issued::used::<R>(t.tx(), row.issued().id, now, from).await?;
        t.commit().await?;
    }
    Ok(())
}
