//! Heartbeats: addresses that are called while Holdfast is well, so that its silence is noticed elsewhere.

use domain::{channel::url_problem, field::FieldError, naming::slug_problem};
use serde_json::{Value, json};
use store::{
    Tx,
    audit::NewEvent,
    channels::{self, HeartbeatRow},
};

use super::{Given, channels::Saved, read_url, source_words, stored};
use crate::{
    Ctx, OpsError, Result,
    permission::{Action, require},
    secrets::Vault,
    version::{self, Seen, Subject},
};

const MOST: usize = 20;
/// The shortest and longest time between two calls, in seconds.
const SHORTEST_S: i64 = 10;
const LONGEST_S: i64 = 7 * 86_400;

/// What the address of a heartbeat is sealed for.
pub fn purpose(name: &str) -> String {
    format!("heartbeat/{name}")
}

/// A heartbeat as it is given.
#[derive(Clone, Debug)]
pub struct NewHeartbeat {
    pub name: String,
    pub url: Given,
    pub every_s: i64,
}

pub async fn list(ctx: &Ctx) -> Result<Vec<HeartbeatRow>> {
    require(ctx, Action::Read)?;
    Ok(channels::heartbeats(ctx.db.read().await?.tx()).await?)
}

pub async fn find(ctx: &Ctx, name: &str) -> Result<HeartbeatRow> {
    require(ctx, Action::Read)?;
    channels::heartbeat(ctx.db.read().await?.tx(), name).await?.ok_or_else(|| OpsError::not_found("heartbeat", name))
}

/// The version of a heartbeat that is there; how its calls went is no part of it.
pub fn version(row: &HeartbeatRow) -> String {
    version::of(&json!([row.id, row.url.0, row.every_s]))
}

pub async fn save(ctx: &Ctx, vault: &Vault, new: &NewHeartbeat) -> Result<()> {
    save_if(ctx, vault, new, &Seen::Any).await
}

/// The same, where what is there is what was seen.
pub async fn save_if(ctx: &Ctx, vault: &Vault, new: &NewHeartbeat, seen: &Seen) -> Result<()> {
    require(ctx, Action::Configure)?;
    let mut t = ctx.db.begin_audited().await?;
    let old = channels::heartbeat(t.tx(), &new.name).await?;
    check(t.tx(), &new.name, old.as_ref(), seen).await?;
    put(ctx, t.tx(), Some(vault), new).await?;
    t.commit().await?;
    Ok(())
}

async fn check(tx: Tx<'_>, name: &str, row: Option<&HeartbeatRow>, seen: &Seen) -> Result<()> {
    let what = Subject { words: "heartbeat", name, entity: "heartbeat", id: name.to_owned() };
    seen.check(tx, what, row.map(version).as_deref()).await
}

/// The same inside the caller's transaction, who has asked for permission. Without a vault nothing can be sealed.
pub(crate) async fn put(ctx: &Ctx, mut tx: Tx<'_>, vault: Option<&Vault>, new: &NewHeartbeat) -> Result<Saved> {
    let old = channels::heartbeat(tx.by_ref(), &new.name).await?;
    let mut wrong = Vec::new();
    if let Some(problem) = slug_problem(&new.name) {
        wrong.push(FieldError::new("name", problem));
    }
    if !(SHORTEST_S..=LONGEST_S).contains(&new.every_s) {
        wrong.push(FieldError::new("every", "must be between 10s and a week, such as 1m"));
    }
    if old.is_none() && channels::heartbeats(tx.by_ref()).await?.len() >= MOST {
        wrong.push(FieldError::new("name", "there are 20 heartbeats already; remove one first"));
    }
    let shown = match read_url(&new.url, "url") {
        Ok(host) => host,
        Err(OpsError::Invalid(e)) => {
            wrong.extend(e);
            None
        }
        Err(e) => return Err(e),
    };
    let before = old.as_ref().map(|o| &o.url.0);
    let url = match (&new.url, vault) {
        (_, Some(vault)) if wrong.is_empty() => stored(vault, &new.url, before, &purpose(&new.name))?,
        (Given::Reference(r), None) => Some(r.clone()),
        (Given::Keep, None) => before.cloned(),
        _ => None,
    };
    let Some(url) = url.filter(|_| wrong.is_empty()) else {
        if wrong.is_empty() {
            wrong.push(FieldError::new("url", "is missing; give the address that is to be called"));
        }
        return Err(OpsError::Invalid(wrong));
    };
    let shown = shown.or_else(|| old.as_ref().filter(|o| o.url.0 == url).map(|o| o.shown.clone())).unwrap_or_else(|| source_words(&url));
    if old.as_ref().is_some_and(|o| o.url.0 == url && o.every_s == new.every_s) {
        return Ok(Saved::Unchanged);
    }
    channels::upsert_heartbeat(tx.by_ref(), &new.name, &url, &shown, new.every_s, ctx.now()).await?;
    let saved = if old.is_some() { Saved::Changed } else { Saved::Created };
    let before = old.map(|o| audited(&o.name, &o.shown, o.every_s));
    let after = Some(audited(&new.name, &shown, new.every_s));
    ctx.audit(tx, NewEvent { action: "heartbeat.save", entity: "heartbeat", entity_id: new.name.clone(), before, after }).await?;
    Ok(saved)
}

fn audited(name: &str, shown: &str, every_s: i64) -> Value {
    json!({ "name": name, "url": shown, "every_s": every_s })
}

pub async fn remove(ctx: &Ctx, name: &str) -> Result<()> {
    remove_if(ctx, name, &Seen::Any).await
}

/// The same, where what is there is what was seen.
pub async fn remove_if(ctx: &Ctx, name: &str, seen: &Seen) -> Result<()> {
    require(ctx, Action::Configure)?;
    let mut t = ctx.db.begin_audited().await?;
    let old = channels::heartbeat(t.tx(), name).await?.ok_or_else(|| OpsError::not_found("heartbeat", name))?;
    check(t.tx(), name, Some(&old), seen).await?;
    channels::remove_heartbeat(t.tx(), name).await?;
    let before = Some(audited(&old.name, &old.shown, old.every_s));
    ctx.audit(t.tx(), NewEvent { action: "heartbeat.remove", entity: "heartbeat", entity_id: name.to_owned(), before, after: None }).await?;
    t.commit().await?;
    Ok(())
}

/// The address of a heartbeat, read for calling it.
///
/// # Errors
/// `Invalid` where it cannot be read or is no address.
pub async fn reveal(vault: &Vault, row: &HeartbeatRow) -> Result<engine::job::Secret> {
    let purpose = purpose(&row.name);
    let url = vault.resolve(&row.url.0, &purpose).await?;
    match url_problem(url.reveal()) {
        Some(problem) => Err(OpsError::invalid(purpose, problem)),
        None => Ok(url),
    }
}
