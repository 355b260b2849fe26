//! Where ARGO's figures of a service come from: the settings, the key, the next fetch.
//!
//! Lives here: the use cases. May not: requests (`runner::argo`), the key in clear beyond [`reveal`].
//! Invariant: a key that is given goes sealed into the store and never comes out on a page; it goes to the address that
//! it was given for and to no other.

use domain::{
    availability::{Month, source::Settings},
    field::FieldError,
};
use engine::job::Secret;
use serde_json::{Value, json};
use store::{
    Tx,
    audit::NewEvent,
    availability::{self as rows, SourceRow},
    repositories::SecretRef,
    services::ServiceRow,
    wake,
};

use crate::{
    Ctx, OpsError, Result,
    notifications::{Given, source_words, stored},
    permission::{Action, On, require, require_on},
    secrets::Vault,
    services,
    version::{self, Seen, Subject},
};

/// What the key of a service's source is sealed for.
pub fn purpose(service: &str) -> String {
    format!("argo/{service}")
}

/// A source as it is given.
#[derive(Clone, Debug)]
pub struct NewSource {
    pub settings: Settings,
    pub key: Given,
}

/// The source of a service; its key stays where it is.
pub async fn find(ctx: &Ctx, service: &str) -> Result<SourceRow> {
    let service = services::find(ctx, service).await?;
    rows::source(ctx.db.read().await?.tx(), service.id()).await?.ok_or_else(|| OpsError::not_found("ARGO source of", service.name))
}

/// The version of a source; how fetching went is no part of it.
pub fn version(row: &SourceRow) -> String {
    version::of(&json!([row.service_id, row.settings.0, row.key.0]))
}

/// Where the key comes from, in words that hold no key.
pub fn key_words(row: &SourceRow) -> String {
    source_words(&row.key.0)
}

async fn check(tx: Tx<'_>, service: &ServiceRow, row: Option<&SourceRow>, seen: &Seen) -> Result<()> {
    let subject = Subject { words: "ARGO source of", name: &service.name, entity: "argo_source", id: service.name.clone() };
    seen.check(tx, subject, row.map(version).as_deref()).await
}

/// What the audit trail keeps: where the key comes from, never what it is.
fn audited(settings: &Settings, key: &SecretRef) -> Value {
    json!({
        "address": settings.address, "version": settings.version, "format": settings.format, "report": settings.report, "group": settings.group,
        "allow_http": settings.allow_http, "since": settings.since, "key": source_words(key)
    })
}

/// Makes or changes the source of a service; its figures are fetched soon after.
pub async fn save(ctx: &Ctx, vault: &Vault, service: &str, new: &NewSource, seen: &Seen) -> Result<()> {
    require(ctx, Action::Configure)?;
    let service = services::find(ctx, service).await?;
    let mut t = ctx.db.begin_audited().await?;
    let old = rows::source(t.tx(), service.id()).await?;
    check(t.tx(), &service, old.as_ref(), seen).await?;
    let (settings, key) = checked(ctx, vault, &service, new, old.as_ref())?;
    if old.as_ref().is_some_and(|o| o.settings.0 == settings && o.key.0 == key) {
        return Ok(());
    }
    rows::save_source(t.tx(), service.id(), &settings, &key, ctx.now()).await?;
    let before = old.as_ref().map(|o| audited(&o.settings.0, &o.key.0));
    let mut after = audited(&settings, &key);
    // A key that was replaced looks the same before and after.
    if old.is_some_and(|o| o.key.0 != key) {
        after["replaced"] = json!(["key"]);
    }
    ctx.audit(t.tx(), NewEvent { action: "argo.save", entity: "argo_source", entity_id: service.name, before, after: Some(after) }).await?;
    t.commit().await?;
    wake::queue();
    Ok(())
}

/// What is to be stored.
///
/// # Errors
/// `Invalid` with every field that cannot be used.
fn checked(ctx: &Ctx, vault: &Vault, service: &ServiceRow, new: &NewSource, old: Option<&SourceRow>) -> Result<(Settings, SecretRef)> {
    let s = &new.settings;
    let settings = Settings {
        address: s.address.trim().trim_end_matches('/').to_owned(),
        report: s.report.trim().to_owned(),
        group: s.group.trim().trim_matches('/').to_owned(),
        ..s.clone()
    };
    let mut wrong = settings.problems(Month::of(ctx.now()));
    let moved = old.is_some_and(|o| o.settings.0.address != settings.address || (settings.allow_http && !o.settings.0.allow_http));
    match &new.key {
        Given::Keep if moved => wrong.push(FieldError::new("key", "was given for another address; give the one for this address")),
        Given::Keep if old.is_some() => {}
        Given::Keep | Given::Nothing => wrong.push(FieldError::new("key", "is missing; give the key that ARGO's operators have given you")),
        Given::Typed(text) if text.reveal().is_empty() || !text.reveal().bytes().all(|b| b.is_ascii_graphic()) => {
            wrong.push(FieldError::new("key", "holds a space or another sign that no key has; copy it anew"));
        }
        Given::Typed(_) | Given::Reference(_) => {}
    }
    if !wrong.is_empty() {
        return Err(OpsError::Invalid(wrong));
    }
    let key = stored(vault, &new.key, old.map(|o| &o.key.0), &purpose(&service.name))?;
    Ok((settings, key.ok_or_else(|| OpsError::invalid("key", "is missing; give it"))?))
}

/// Removes a source and forgets its key; figures that were fetched stay.
pub async fn remove(ctx: &Ctx, service: &str, seen: &Seen) -> Result<()> {
    require(ctx, Action::Configure)?;
    let service = services::find(ctx, service).await?;
    let mut t = ctx.db.begin_audited().await?;
    let old = rows::source(t.tx(), service.id()).await?.ok_or_else(|| OpsError::not_found("ARGO source of", &service.name))?;
    check(t.tx(), &service, Some(&old), seen).await?;
    rows::remove_source(t.tx(), service.id()).await?;
    let before = Some(audited(&old.settings.0, &old.key.0));
    ctx.audit(t.tx(), NewEvent { action: "argo.remove", entity: "argo_source", entity_id: service.name, before, after: None }).await?;
    t.commit().await?;
    Ok(())
}

/// Has figures fetched as soon as possible instead of at the next turn.
pub async fn fetch_now(ctx: &Ctx, service: &str) -> Result<()> {
    let service = services::find(ctx, service).await?;
    require_on(ctx, Action::Operate, On::Service(service.id()))?;
    let mut t = ctx.db.begin_audited().await?;
    if rows::source(t.tx(), service.id()).await?.is_none() {
        return Err(OpsError::not_found("ARGO source of", service.name));
    }
    rows::ask_now(t.tx(), service.id(), ctx.now()).await?;
    ctx.audit(t.tx(), NewEvent { action: "argo.fetch", entity: "argo_source", entity_id: service.name, before: None, after: None }).await?;
    t.commit().await?;
    wake::queue();
    Ok(())
}

/// The key of a source, read for a request.
///
/// # Errors
/// `Invalid` where it cannot be read.
pub async fn reveal(vault: &Vault, row: &SourceRow) -> Result<Secret> {
    vault.resolve(&row.key.0, &purpose(&row.name)).await
}

/// Seals every key anew with the first of the server's keys; how many. The caller has asked for permission.
pub(crate) async fn reseal(mut tx: Tx<'_>, vault: &Vault) -> Result<usize> {
    const MOST: i64 = 10_000;
    let mut count = 0;
    for row in rows::sources(tx.by_ref(), MOST).await? {
        if matches!(row.key.0, SecretRef::Sealed(_)) {
            let key = vault.seal(reveal(vault, &row).await?.reveal(), &purpose(&row.name))?;
            rows::set_key(tx.by_ref(), row.service(), &key).await?;
            count += 1;
        }
    }
    Ok(count)
}
