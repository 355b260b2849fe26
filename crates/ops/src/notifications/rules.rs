//! Rules: who is told of what.

use domain::{alert::rule::Rule, field::FieldError, naming::slug_problem};
use serde_json::json;
use store::{
    Tx,
    audit::NewEvent,
    channels::{self, RuleRow},
};

use super::channels::Saved;
use crate::{
    Ctx, OpsError, Result,
    permission::{Action, require},
    version::{self, Seen, Subject},
};

const MOST: usize = 500;
/// Names that one rule may list, and the shortest and longest reminder in seconds.
const MOST_NAMES: usize = 1_000;
const SHORTEST_S: i64 = 300;
const LONGEST_S: i64 = 366 * 86_400;

/// A rule as it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRule {
    pub name: String,
    /// Names of channels.
    pub channels: Vec<String>,
    pub what: Rule,
}

pub async fn list(ctx: &Ctx) -> Result<Vec<RuleRow>> {
    require(ctx, Action::Read)?;
    Ok(channels::rules(ctx.db.read().await?.tx()).await?)
}

pub async fn find(ctx: &Ctx, name: &str) -> Result<RuleRow> {
    require(ctx, Action::Read)?;
    channels::rule(ctx.db.read().await?.tx(), name).await?.ok_or_else(|| OpsError::not_found("rule", name))
}

/// The version of a rule that is there.
pub fn version(row: &RuleRow) -> String {
    version::of(&json!([row.id, row.channels.0, row.what.0]))
}

/// Makes a rule, or changes the one of that name. What is open already is told to its channels at the next look.
pub async fn save(ctx: &Ctx, new: &NewRule) -> Result<()> {
    save_if(ctx, new, &Seen::Any).await
}

/// The same, where what is there is what was seen.
pub async fn save_if(ctx: &Ctx, new: &NewRule, seen: &Seen) -> Result<()> {
    require(ctx, Action::Configure)?;
    let mut t = ctx.db.begin_audited().await?;
    let old = channels::rule(t.tx(), &new.name).await?;
    check(t.tx(), &new.name, old.as_ref(), seen).await?;
    put(ctx, t.tx(), new).await?;
    t.commit().await?;
    Ok(())
}

async fn check(tx: Tx<'_>, name: &str, row: Option<&RuleRow>, seen: &Seen) -> Result<()> {
    let what = Subject { words: "rule", name, entity: "notification_rule", id: name.to_owned() };
    seen.check(tx, what, row.map(version).as_deref()).await
}

/// The same inside the caller's transaction, who has asked for permission.
pub(crate) async fn put(ctx: &Ctx, mut tx: Tx<'_>, new: &NewRule) -> Result<Saved> {
    let old = channels::rule(tx.by_ref(), &new.name).await?;
    let known = channels::list(tx.by_ref()).await?;
    let mut wrong = Vec::new();
    if let Some(problem) = slug_problem(&new.name) {
        wrong.push(FieldError::new("name", problem));
    }
    if new.channels.is_empty() {
        wrong.push(FieldError::new("channels", "is empty; name at least one channel"));
    }
    for name in new.channels.iter().filter(|n| !known.iter().any(|c| c.name == **n)) {
        wrong.push(FieldError::new("channels", format!("there is no channel “{name}”; make it first")));
    }
    if new.what.services.len().max(new.what.schedules.len()).max(new.channels.len()) > MOST_NAMES {
        wrong.push(FieldError::new("services", "lists more than 1000 names; leave the list out to mean all"));
    }
    if new.what.remind_s.is_some_and(|s| !(SHORTEST_S..=LONGEST_S).contains(&s)) {
        wrong.push(FieldError::new("remind", "must be between 5m and a year, such as 1d"));
    }
    if old.is_none() && channels::rules(tx.by_ref()).await?.len() >= MOST {
        wrong.push(FieldError::new("name", "there are 500 rules already; remove one first"));
    }
    if !wrong.is_empty() {
        return Err(OpsError::Invalid(wrong));
    }
    if old.as_ref().is_some_and(|o| o.channels.0 == new.channels && o.what.0 == new.what) {
        return Ok(Saved::Unchanged);
    }
    channels::upsert_rule(tx.by_ref(), &new.name, &new.channels, &new.what, ctx.now()).await?;
    let saved = if old.is_some() { Saved::Changed } else { Saved::Created };
    let before = old.map(|o| json!({ "name": o.name, "channels": o.channels.0, "what": o.what.0 }));
    let after = Some(json!({ "name": new.name, "channels": new.channels, "what": new.what }));
    ctx.audit(tx, NewEvent { action: "notification_rule.save", entity: "notification_rule", entity_id: new.name.clone(), before, after }).await?;
    Ok(saved)
}

pub async fn remove(ctx: &Ctx, name: &str) -> Result<()> {
    remove_if(ctx, name, &Seen::Any).await
}

/// The same, where what is there is what was seen.
pub async fn remove_if(ctx: &Ctx, name: &str, seen: &Seen) -> Result<()> {
    require(ctx, Action::Configure)?;
    let mut t = ctx.db.begin_audited().await?;
    let old = channels::rule(t.tx(), name).await?.ok_or_else(|| OpsError::not_found("rule", name))?;
    check(t.tx(), name, Some(&old), seen).await?;
    channels::remove_rule(t.tx(), name).await?;
    let before = Some(json!({ "name": old.name, "channels": old.channels.0, "what": old.what.0 }));
    ctx.audit(t.tx(), NewEvent { action: "notification_rule.remove", entity: "notification_rule", entity_id: name.to_owned(), before, after: None }).await?;
    t.commit().await?;
    Ok(())
}
