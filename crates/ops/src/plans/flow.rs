//! The way of a version: submitted, signed, approved; or returned to draft.
//!
//! Lives here: the use cases and the roles that sign. May not: what may follow what (`domain::plan::State` says).
//! Invariants: a signature is bound to the SHA-256 of the content and falls when that becomes a draft again; one person
//! signs in one role, also by a token; an approval and the end of the former version are one transaction.

use domain::plan::{Event, PlanContent, Role, State};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::{
    StoreError, Tx,
    audit::NewEvent,
    db::Transaction,
    plans::{self, Submission, VersionRow},
    services::ServiceRow,
    settings,
};

use super::{Version, annex, counting, writable};
use crate::{
    Ctx, OpsError, Result, lint,
    permission::{Action, On, allowed, require, require_on},
};

/// The setting that holds the roles.
const ROLES: &str = "plan_roles";
/// The longest reason or comment, and the longest name of a role.
const LONGEST: usize = 500;
const LONGEST_ROLE: usize = 80;
/// The most roles that have to sign.
pub const MOST_ROLES: usize = 6;

pub(super) fn sum(content: &PlanContent) -> String {
    hex::encode(Sha256::digest(content.canonical().as_bytes()))
}

/// The version of that number, where this may happen to it.
pub(super) async fn at(tx: Tx<'_>, service: &ServiceRow, number: i64, event: Event) -> Result<VersionRow> {
    let row = plans::by_number(tx, service.id(), number).await?.ok_or_else(|| super::none(&service.name, number))?;
    row.state().after(event).map_err(|e| OpsError::Conflict(e.to_string()))?;
    Ok(row)
}

pub(super) fn moved(row: &VersionRow) -> OpsError {
    OpsError::Conflict(format!("version {} of this plan was changed by {} since you saw it; read it again and repeat this", row.number, row.updated_by))
}

pub(super) fn reason(text: &str) -> Result<&str> {
    let text = text.trim();
    if text.is_empty() {
        return Err(OpsError::invalid("reason", "is empty; say why, for whoever reads this in a year"));
    }
    short("reason", text)
}

fn short<'a>(field: &str, text: &'a str) -> Result<&'a str> {
    let text = text.trim();
    if text.chars().count() > LONGEST || text.contains(|c: char| c.is_control() && c != '\n') {
        return Err(OpsError::invalid(field, format!("must be at most {LONGEST} characters without control characters; shorten it")));
    }
    Ok(text)
}

/// Notes a step of a version's life, for its history and the audit trail.
pub(super) async fn record(ctx: &Ctx, t: &mut Transaction, row: &VersionRow, event: Event, note: &str, after: Option<Value>) -> Result<()> {
    plans::note(t.tx(), row.id(), event, &ctx.actor.name, note, ctx.now()).await?;
    let before = json!({"version": row.number, "state": row.state});
    let (action, entity_id) = (format!("plan.{}", verb(event)), domain::id::ServiceId(row.service_id).to_string());
    ctx.audit(t.tx(), NewEvent { action: &action, entity: "plan", entity_id, before: Some(before), after }).await
}

const fn verb(event: Event) -> &'static str {
    match event {
        Event::Started => "start",
        Event::Saved => "save",
        Event::Submitted => "submit",
        Event::Signed => "sign",
        Event::Approved => "approve",
        Event::Returned => "return",
        Event::Discarded => "discard",
        Event::Superseded => "supersede",
    }
}

/// The roles that have to sign what is submitted from now on.
pub(super) async fn signing(tx: Tx<'_>) -> Result<Vec<Role>> {
    Ok(settings::get::<Vec<Role>>(tx, ROLES).await?.filter(|r| !r.is_empty()).unwrap_or_else(Role::usual))
}

/// The same, for whoever reads plans.
pub async fn roles(ctx: &Ctx) -> Result<Vec<Role>> {
    require_on(ctx, Action::Read, On::Any)?;
    signing(ctx.db.read().await?.tx()).await
}

/// Says who has to sign. What is in review already keeps its roles.
pub async fn set_roles(ctx: &Ctx, roles: Vec<Role>) -> Result<()> {
    require(ctx, Action::Configure)?;
    let roles: Vec<Role> = roles.into_iter().map(|r| Role { name: r.name.trim().to_owned(), ..r }).collect();
    if roles.is_empty() || roles.len() > MOST_ROLES {
        return Err(OpsError::invalid("roles", format!("must name 1 to {MOST_ROLES} roles, such as “Service owner”")));
    }
    for (n, role) in roles.iter().enumerate() {
        if role.name.is_empty() || role.name.chars().count() > LONGEST_ROLE || role.name.contains(char::is_control) {
            return Err(OpsError::invalid(format!("roles[{n}].name"), format!("must be a line of 1 to {LONGEST_ROLE} characters")));
        }
        if roles[..n].iter().any(|r| r.name == role.name) {
            return Err(OpsError::invalid(format!("roles[{n}].name"), "stands there twice; remove one"));
        }
    }
    let mut t = ctx.db.begin_audited().await?;
    let before = json!({"roles": signing(t.tx()).await?});
    settings::set(t.tx(), ROLES, &roles, ctx.now()).await?;
    let after = Some(json!({"roles": roles}));
    ctx.audit(t.tx(), NewEvent { action: "plan.roles", entity: "plan_roles", entity_id: "all".to_owned(), before: Some(before), after }).await?;
    t.commit().await?;
    Ok(())
}

/// Submits a draft for review, as it was seen: its content is bound to a hash, and what was measured is frozen with it.
pub async fn submit(ctx: &Ctx, service: &str, number: i64, revision: i64, comment: &str) -> Result<()> {
    let service = writable(ctx, service).await?;
    let comment = short("comment", comment)?;
    let mut t = ctx.db.begin_audited().await?;
    let row = at(t.tx(), &service, number, Event::Submitted).await?;
    let (sha256, roles) = (sum(&row.content.0), signing(t.tx()).await?);
    let frozen = annex::collect(ctx, &mut t, &service, &row).await?;
    if !plans::submit(t.tx(), row.id(), revision, &Submission { sha256: &sha256, annex: &frozen, roles: &roles }, ctx.now()).await? {
        return Err(moved(&row));
    }
    let after = json!({"version": number, "state": State::InReview, "sha256": sha256, "comment": comment});
    record(ctx, &mut t, &row, Event::Submitted, comment, Some(after)).await?;
    t.commit().await?;
    Ok(())
}

/// The account behind an actor: a token signs for whoever made it.
fn signer(ctx: &Ctx) -> &str {
    ctx.actor.name.split_once(" by token ").map_or(ctx.actor.name.as_str(), |(maker, _)| maker)
}

/// Whether the asker may sign in a role.
pub(crate) fn may_sign(ctx: &Ctx, service: &ServiceRow, role: &Role) -> bool {
    allowed(&ctx.actor, Action::Plan, if role.owner { On::Service(service.id()) } else { On::All })
}

/// Signs a version in review in a role. `sha256` is that of the content which was read.
///
/// # Errors
/// `Conflict` where the content is another one, somebody has signed in that role, or the asker in another one.
pub async fn sign(ctx: &Ctx, service: &str, number: i64, role: &str, sha256: &str) -> Result<()> {
    let service = writable(ctx, service).await?;
    let mut t = ctx.db.begin_audited().await?;
    let row = at(t.tx(), &service, number, Event::Signed).await?;
    let Some(named) = row.roles.0.iter().find(|r| r.name == role) else {
        let names: Vec<&str> = row.roles.0.iter().map(|r| r.name.as_str()).collect();
        return Err(OpsError::invalid("role", format!("is none of those that sign this version; choose one of {}", names.join(", "))));
    };
    if !may_sign(ctx, &service, named) {
        return Err(OpsError::invalid("role", "is not one in which a service's owner signs; ask an admin"));
    }
    let signed = match plans::sign(t.tx(), row.id(), role, signer(ctx), sha256, ctx.now()).await {
        Err(StoreError::Conflict(_)) => {
            drop(t);
            let version = Version::load(ctx, row).await?;
            let theirs = version.signatures.iter().find(|s| s.role == role);
            return Err(OpsError::Conflict(match theirs {
                Some(s) => format!("{} has signed as {role} already; nothing is left to do in this role", s.signer),
                None => "you have signed this version in another role; the roles are signed by different people, so ask a second one".to_owned(),
            }));
        }
        other => other?,
    };
    if !signed {
        return Err(OpsError::Conflict("what you read is not what is in review any more; read it again before you sign".to_owned()));
    }
    let after = json!({"version": number, "role": role, "signer": signer(ctx), "sha256": sha256});
    record(ctx, &mut t, &row, Event::Signed, role, Some(after)).await?;
    t.commit().await?;
    Ok(())
}

/// What stands in the way of an approval, each as a sentence. Empty: it can be approved.
pub async fn obstacles(ctx: &Ctx, version: &Version) -> Result<Vec<String>> {
    let service = domain::id::ServiceId(version.row.service_id);
    require_on(ctx, Action::Read, On::Service(service))?;
    let mut found = in_the_way(version);
    if version.row.state().is_open() {
        found.extend(lint::obstacles(ctx.db.read().await?.tx(), service, ctx.now()).await?);
    }
    Ok(found)
}

fn in_the_way(version: &Version) -> Vec<String> {
    let mut found: Vec<String> = version.missing().into_iter().map(|role| format!("nobody has signed as {role}")).collect();
    if version.row.content_sha256.as_deref() != Some(&sum(&version.row.content.0)) {
        found.push("the content is not the one that was submitted; return it to draft and submit it again".to_owned());
    }
    found
}

/// Approves a version that everybody has signed; the former one is superseded.
///
/// # Errors
/// `Conflict` names what stands in the way, or says that the content is another one than was read.
pub async fn approve(ctx: &Ctx, service: &str, number: i64, sha256: &str) -> Result<()> {
    let service = writable(ctx, service).await?;
    let mut t = ctx.db.begin_audited().await?;
    let row = at(t.tx(), &service, number, Event::Approved).await?;
    let version = Version { signatures: counting(&row, plans::signatures(t.tx(), row.id()).await?), row: row.clone() };
    let mut found = in_the_way(&version);
    found.extend(lint::obstacles(t.tx(), service.id(), ctx.now()).await?);
    if !found.is_empty() {
        return Err(OpsError::Conflict(format!("version {number} cannot be approved yet: {}", found.join("; "))));
    }
    let former = plans::approved(t.tx(), service.id()).await?;
    if let Some(former) = &former
        && plans::supersede(t.tx(), former.id(), ctx.now()).await?
    {
        plans::note(t.tx(), former.id(), Event::Superseded, &ctx.actor.name, &format!("by v{number}"), ctx.now()).await?;
    }
    if !plans::approve(t.tx(), row.id(), sha256, ctx.now()).await? {
        return Err(OpsError::Conflict("what you read is not what is in review any more; read it again before you approve it".to_owned()));
    }
    let signers: Vec<_> = version.signatures.iter().map(|s| json!({"role": s.role, "signer": s.signer, "at": s.signed_at})).collect();
    let after = json!({"version": number, "state": State::Approved, "sha256": sha256, "signatures": signers, "supersedes": former.map(|f| f.number)});
    record(ctx, &mut t, &row, Event::Approved, "", Some(after)).await?;
    t.commit().await?;
    Ok(())
}

/// Returns a version in review to draft; its signatures fall.
pub async fn give_back(ctx: &Ctx, service: &str, number: i64, why: &str) -> Result<()> {
    let service = writable(ctx, service).await?;
    let why = reason(why)?;
    let mut t = ctx.db.begin_audited().await?;
    let row = at(t.tx(), &service, number, Event::Returned).await?;
    if !plans::give_back(t.tx(), row.id(), ctx.now()).await? {
        return Err(moved(&row));
    }
    let after = json!({"version": number, "state": State::Draft, "reason": why});
    record(ctx, &mut t, &row, Event::Returned, why, Some(after)).await?;
    t.commit().await?;
    Ok(())
}
