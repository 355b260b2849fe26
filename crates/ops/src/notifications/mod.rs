//! Who is told of what, and how telling them went: channels, rules, deliveries, heartbeats (R55).
//!
//! Lives here: the use cases, one file a subject. May not: sending (that is `runner::notify`), secrets in clear.
//! Invariant: a secret that is given goes sealed into the store and never comes out of these functions again.

pub mod channels;
pub mod deliveries;
pub mod heartbeats;
pub mod rules;
#[cfg(test)]
mod tests;

use domain::channel::{shown_url, url_problem};
use engine::job::Secret;
use serde_json::json;
use store::{Tx, audit::NewEvent, channels as rows, repositories::SecretRef, settings};

use self::channels::Saved;

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, require},
    secrets::Vault,
    version::{self, Seen, Subject},
};

/// The setting that holds the address at which people open Holdfast.
pub const ADDRESS: &str = "notifications.address";

/// A secret as somebody gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// The one that is there already stays.
    Keep,
    /// There is none, or no longer.
    Nothing,
    /// A file or a variable of the server.
    Reference(SecretRef),
    /// Typed; it is sealed before it is stored.
    Typed(Secret),
}

/// Where a secret comes from, in words that hold no secret.
pub fn source_words(reference: &SecretRef) -> String {
    match reference {
        SecretRef::File(path) => format!("file {path}"),
        SecretRef::Env(name) => format!("variable {name}"),
        SecretRef::Sealed(_) => "sealed".to_owned(),
    }
}

/// The form in which a given secret is stored; `old` is the one that is there.
pub(crate) fn stored(vault: &Vault, given: &Given, old: Option<&SecretRef>, purpose: &str) -> Result<Option<SecretRef>> {
    Ok(match given {
        Given::Keep => old.cloned(),
        Given::Nothing => None,
        Given::Reference(r) => Some(r.clone()),
        Given::Typed(text) => Some(vault.seal(text.reveal(), purpose)?),
    })
}

/// What is wrong with a typed address, and the part of it that may be shown.
fn read_url(given: &Given, field: &str) -> Result<Option<String>> {
    let Given::Typed(text) = given else { return Ok(None) };
    match url_problem(text.reveal()) {
        Some(problem) => Err(OpsError::invalid(field, problem)),
        None => Ok(Some(shown_url(text.reveal()))),
    }
}

/// The address at which people open Holdfast, for the links in messages; `None` where nobody has given it.
pub async fn address(ctx: &Ctx) -> Result<Option<String>> {
    require(ctx, Action::Read)?;
    Ok(settings::get::<Option<String>>(ctx.db.read().await?.tx(), ADDRESS).await?.flatten())
}

/// The version of that address; there always is one.
pub fn address_version(address: Option<&str>) -> String {
    version::of(&json!(address))
}

/// Sets that address; an empty one means that messages have no links.
pub async fn set_address(ctx: &Ctx, address: &str) -> Result<()> {
    set_address_if(ctx, address, &Seen::Any).await
}

/// The same, where what is there is what was seen.
pub async fn set_address_if(ctx: &Ctx, address: &str, seen: &Seen) -> Result<()> {
    require(ctx, Action::Configure)?;
    let mut t = ctx.db.begin_audited().await?;
    let old = settings::get::<Option<String>>(t.tx(), ADDRESS).await?.flatten();
    let what = Subject { words: "address", name: old.as_deref().unwrap_or("none"), entity: "setting", id: ADDRESS.to_owned() };
    seen.check(t.tx(), what, Some(&address_version(old.as_deref()))).await?;
    put_address(ctx, t.tx(), address).await?;
    t.commit().await?;
    Ok(())
}

/// The same inside the caller's transaction, who has asked for permission.
pub(crate) async fn put_address(ctx: &Ctx, mut tx: Tx<'_>, address: &str) -> Result<Saved> {
    let new = address.trim().trim_end_matches('/');
    if !new.is_empty()
        && let Some(problem) = url_problem(new)
    {
        return Err(OpsError::invalid("address", problem));
    }
    let old: Option<String> = settings::get::<Option<String>>(tx.by_ref(), ADDRESS).await?.flatten();
    let new = (!new.is_empty()).then(|| new.to_owned());
    if old == new {
        return Ok(Saved::Unchanged);
    }
    settings::set(tx.by_ref(), ADDRESS, &new, ctx.now()).await?;
    let saved = if old.is_some() { Saved::Changed } else { Saved::Created };
    let event =
        NewEvent { action: "notifications.address", entity: "setting", entity_id: ADDRESS.to_owned(), before: Some(json!(old)), after: Some(json!(new)) };
    ctx.audit(tx, event).await?;
    Ok(saved)
}

/// Seals everything anew with the first of the server's keys; how many secrets.
///
/// Call it between `Keys::add` and `Keys::drop_old`: all or nothing is resealed.
pub async fn reseal(ctx: &Ctx, vault: &Vault) -> Result<usize> {
    require(ctx, Action::Configure)?;
    let mut count = 0;
    let mut t = ctx.db.begin_audited().await?;
    for channel in rows::list(t.tx()).await? {
        let mut secrets = channel.secrets.0.clone();
        for (name, reference) in &mut secrets {
            if matches!(reference, SecretRef::Sealed(_)) {
                let purpose = channels::purpose(&channel.name, name);
                *reference = vault.seal(vault.resolve(reference, &purpose).await?.reveal(), &purpose)?;
                count += 1;
            }
        }
        rows::set_secrets(t.tx(), channel.id(), &secrets).await?;
    }
    for beat in rows::heartbeats(t.tx()).await? {
        if matches!(beat.url.0, SecretRef::Sealed(_)) {
            let purpose = heartbeats::purpose(&beat.name);
            let url = vault.seal(vault.resolve(&beat.url.0, &purpose).await?.reveal(), &purpose)?;
            rows::set_heartbeat_url(t.tx(), beat.id, &url).await?;
            count += 1;
        }
    }
    count += crate::availability::source::reseal(t.tx(), vault).await?;
    let after = Some(json!({ "secrets": count }));
    ctx.audit(t.tx(), NewEvent { action: "server_key.change", entity: "server_key", entity_id: "server.key".to_owned(), before: None, after }).await?;
    t.commit().await?;
    Ok(count)
}
