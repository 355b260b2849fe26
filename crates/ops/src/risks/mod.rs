//! Risks of a service: the list, the editor, the history (R39, R40).
//!
//! Lives here: the use cases. May not: levels, conflicts and what a proof says (`domain::risk`).
//! Invariant: what people save at or above the threshold has a treatment, an owner and a due date; what came from an
//! older plan may lack them and is shown as incomplete.

mod bulk;
mod facts;
mod scales;

pub use bulk::{Row, change_all, touched};
pub use facts::{Judged, Measured, PlanMeasure, PlanRisk, of_plan};
pub use scales::{ScaleVersion, Scales, save_scale, scale_version, scales};

use domain::{
    field::FieldError,
    id::ServiceId,
    risk::{
        Link, Risk,
        change::{Change, between},
    },
    units::Timestamp,
};
use serde_json::{Value, json};
use store::{
    Tx,
    audit::NewEvent,
    risks::{self, By, RevisionKind, RiskRow},
    schedules,
    services::{self, ServiceRow},
};

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, require_on},
    version::{Seen, Subject},
};

/// The most risks that a service may have, with those that were retired.
pub const MOST: i64 = 500;
/// The longest reason.
const LONGEST_REASON: usize = 500;
/// The longest page of a history.
pub const PAGE: i64 = 200;

/// The service of that name, where the actor may do it there.
async fn service(ctx: &Ctx, tx: Tx<'_>, name: &str, action: Action) -> Result<ServiceRow> {
    require_on(ctx, action, On::Any)?;
    let row = services::find_by_name(tx, name).await?.filter(|s| s.removed_at.is_none()).ok_or_else(|| OpsError::not_found("service", name))?;
    require_on(ctx, action, On::Service(row.id()))?;
    Ok(row)
}

/// Refuses unless the actor may change the risks of a service: for forms that hold what cannot be read.
pub async fn require_plan(ctx: &Ctx, name: &str) -> Result<()> {
    service(ctx, ctx.db.read().await?.tx(), name, Action::Plan).await.map(|_| ())
}

/// The risks of a service by number, each with its level and how its proofs stand. `retired` adds those that were retired.
pub async fn list(ctx: &Ctx, name: &str, retired: bool) -> Result<Vec<Judged>> {
    let mut read = ctx.db.read().await?;
    let service = service(ctx, read.tx(), name, Action::Read).await?;
    let rows = if retired { risks::all_of_service(read.tx(), service.id(), MOST).await? } else { risks::of_service(read.tx(), service.id(), MOST).await? };
    facts::judge(read.tx(), &service, rows, ctx.now()).await
}

/// One risk by its number, also where it was retired.
pub async fn find(ctx: &Ctx, name: &str, number: i64) -> Result<Judged> {
    let mut read = ctx.db.read().await?;
    let service = service(ctx, read.tx(), name, Action::Read).await?;
    let row = row(read.tx(), service.id(), number).await?;
    facts::judge(read.tx(), &service, vec![row], ctx.now()).await?.pop().ok_or_else(|| OpsError::not_found("risk", number))
}

async fn row(tx: Tx<'_>, service: ServiceId, number: i64) -> Result<RiskRow> {
    risks::find(tx, service, number).await?.ok_or_else(|| OpsError::not_found("risk", number))
}

/// One change of a risk.
#[derive(Clone, Debug)]
pub struct Revision {
    pub revision: i64,
    pub at: Timestamp,
    pub actor: String,
    pub kind: RevisionKind,
    pub reason: Option<String>,
    /// The fields that it changed.
    pub changes: Vec<Change>,
}

/// At most `limit` changes of a risk before the revision `before`, the newest first.
pub async fn history(ctx: &Ctx, name: &str, number: i64, before: Option<i64>, limit: i64) -> Result<Vec<Revision>> {
    let mut read = ctx.db.read().await?;
    let service = service(ctx, read.tx(), name, Action::Read).await?;
    let risk = row(read.tx(), service.id(), number).await?;
    let limit = limit.clamp(1, PAGE);
    // One more, for what the last one of the page changed.
    let rows = risks::revisions(read.tx(), risk.id(), before.unwrap_or(i64::MAX), limit + 1).await?;
    let told = rows.iter().enumerate().take(usize::try_from(limit).unwrap_or(0)).map(|(at, row)| {
        let older = rows.get(at + 1).map(|r| &r.content.0);
        Ok(Revision {
            revision: row.revision,
            at: Timestamp(row.at),
            actor: row.actor.clone(),
            kind: row.action()?,
            reason: row.reason.clone(),
            changes: between(older, &row.content),
        })
    });
    told.collect()
}

/// The version of a risk that is there.
pub fn version(row: &RiskRow) -> String {
    row.revision.to_string()
}

/// Names of schedules that a measure of the service can be linked to.
pub async fn schedules_of(ctx: &Ctx, name: &str) -> Result<Vec<String>> {
    let mut read = ctx.db.read().await?;
    let service = service(ctx, read.tx(), name, Action::Read).await?;
    let filter = schedules::Filter { kind: None, service: service.name };
    Ok(schedules::page(read.tx(), &filter, "", MOST).await?.into_iter().map(|s| s.name).collect())
}

/// Adds a risk and gives its number: the next one, or one that an older plan gave.
///
/// # Errors
/// `Invalid` names each field. With `imported` what a grave risk must have may be missing.
pub async fn create(ctx: &Ctx, name: &str, number: Option<i64>, risk: &Risk, imported: bool) -> Result<i64> {
    require_on(ctx, Action::Plan, On::Any)?;
    let mut t = ctx.db.begin_audited().await?;
    let service = service(ctx, t.tx(), name, Action::Plan).await?;
    let (number, wrong) = put(ctx, t.tx(), &service, number, risk, imported).await?;
    if !wrong.is_empty() {
        return Err(OpsError::Invalid(wrong));
    }
    t.commit().await?;
    Ok(number)
}

/// Adds the risks of an older plan inside the caller's transaction, who has asked for permission: all of them or none.
/// Errors name the risk by its place in the list.
pub(crate) async fn adopt(ctx: &Ctx, mut tx: Tx<'_>, service: &ServiceRow, list: &[(Option<i64>, Risk)]) -> Result<Vec<i64>> {
    let (mut numbers, mut wrong) = (Vec::new(), Vec::new());
    for (at, (number, risk)) in list.iter().enumerate() {
        let (number, errors) = put(ctx, tx.by_ref(), service, *number, risk, true).await?;
        numbers.push(number);
        wrong.extend(errors.into_iter().map(|e| FieldError::new(format!("risks[{at}].{}", e.field), e.message)));
    }
    if wrong.is_empty() { Ok(numbers) } else { Err(OpsError::Invalid(wrong)) }
}

/// The risks of an older plan, all of them or none.
pub async fn import(ctx: &Ctx, name: &str, list: &[(Option<i64>, Risk)]) -> Result<Vec<i64>> {
    require_on(ctx, Action::Plan, On::Any)?;
    let mut t = ctx.db.begin_audited().await?;
    let service = service(ctx, t.tx(), name, Action::Plan).await?;
    let numbers = adopt(ctx, t.tx(), &service, list).await?;
    t.commit().await?;
    Ok(numbers)
}

/// Adds a risk unless something is wrong with it.
async fn put(ctx: &Ctx, mut tx: Tx<'_>, service: &ServiceRow, number: Option<i64>, risk: &Risk, imported: bool) -> Result<(i64, Vec<FieldError>)> {
    let mut risk = risk.clone();
    let scales = Scales::load(tx.by_ref()).await?;
    let mut wrong = check(tx.by_ref(), &scales, service, &mut risk, None, !imported).await?;
    let next = risks::next_number(tx.by_ref(), service.id()).await?;
    let number = number.unwrap_or(next);
    if !(1..=1_000_000).contains(&number) {
        wrong.push(FieldError::new("number", "must be from 1 to 1000000"));
    } else if risks::find(tx.by_ref(), service.id(), number).await?.is_some() {
        wrong.push(FieldError::new("number", format!("risk {number} is there already, or was; {next} is free")));
    }
    if risks::count(tx.by_ref(), service.id()).await? >= MOST {
        wrong.push(FieldError::new("number", format!("the service has {MOST} risks already; join some of them")));
    }
    if !wrong.is_empty() {
        return Ok((number, wrong));
    }
    let id = risks::insert(tx.by_ref(), service.id(), number, &risk, imported, by(ctx)).await?;
    let (action, after) = (if imported { "risk.import" } else { "risk.create" }, Some(values(service, number, &risk)?));
    ctx.audit(tx, NewEvent { action, entity: "risk", entity_id: id.to_string(), before: None, after }).await?;
    Ok((number, wrong))
}

fn by(ctx: &Ctx) -> By<'_> {
    By { actor: &ctx.actor.name, at: ctx.now() }
}

/// What a risk says, for the audit trail.
fn values(service: &ServiceRow, number: i64, risk: &Risk) -> Result<Value> {
    Ok(json!({ "service": service.name, "number": number, "content": serde_json::to_value(risk).map_err(OpsError::internal)? }))
}

/// Tidies a risk and says what is wrong with it. `strict` asks for what a grave one must have.
async fn check(mut tx: Tx<'_>, scales: &Scales, service: &ServiceRow, risk: &mut Risk, old: Option<&Risk>, strict: bool) -> Result<Vec<FieldError>> {
    let Some(scale) = scales.get(&risk.scale) else {
        return Ok(vec![FieldError::new("scale", format!("there is no scale {}; give {}", risk.scale, scales.names()))]);
    };
    risk.tidy(scale);
    let mut wrong = risk.problems(scale);
    if strict {
        wrong.extend(risk.refuse_incomplete(scale));
    }
    for (at, measure) in risk.measures.iter().enumerate() {
        let Some(Link::Schedule { name }) = &measure.proof else { continue };
        // What was linked before may have been removed since: the risk says so, and still can be changed.
        let kept = old.is_some_and(|o| o.measures.iter().any(|m| m.proof == measure.proof));
        if name.is_empty() || kept {
            continue;
        }
        let found = schedules::find_by_name(tx.by_ref(), name).await?.filter(|s| s.removed_at.is_none() && s.service_id == Some(service.id));
        if found.is_none() {
            let field = format!("measures[{at}].proof");
            wrong.push(FieldError::new(field, format!("the service {} has no schedule “{name}”; link one of its own, or make it first", service.name)));
        }
    }
    Ok(wrong)
}

/// Changes a risk where what is there is what was seen.
///
/// # Errors
/// `Stale` where somebody else was first, `Invalid` naming each field.
pub async fn change_if(ctx: &Ctx, name: &str, number: i64, risk: &Risk, seen: &Seen) -> Result<()> {
    require_on(ctx, Action::Plan, On::Any)?;
    let mut t = ctx.db.begin_audited().await?;
    let service = service(ctx, t.tx(), name, Action::Plan).await?;
    let old = row(t.tx(), service.id(), number).await?;
    fits(t.tx(), &old, seen).await?;
    let scales = Scales::load(t.tx()).await?;
    let wrong = write(ctx, t.tx(), &scales, &service, &old, risk).await?;
    if !wrong.is_empty() {
        return Err(OpsError::Invalid(wrong));
    }
    t.commit().await?;
    Ok(())
}

/// Refuses where it is not what was seen, or was retired.
async fn fits(tx: Tx<'_>, row: &RiskRow, seen: &Seen) -> Result<()> {
    let name = row.number.to_string();
    let there = row.retired_at.is_none().then(|| version(row));
    let subject = Subject { words: "risk", name: &name, entity: "risk", id: row.id.to_string() };
    seen.check(tx, subject, there.as_deref()).await?;
    if row.retired_at.is_some() { Err(OpsError::Gone(format!("risk {name} was retired; add a new one"))) } else { Ok(()) }
}

/// Writes a change, unless it changes nothing or something is wrong with it.
async fn write(ctx: &Ctx, mut tx: Tx<'_>, scales: &Scales, service: &ServiceRow, old: &RiskRow, risk: &Risk) -> Result<Vec<FieldError>> {
    let mut risk = risk.clone();
    let wrong = check(tx.by_ref(), scales, service, &mut risk, Some(&old.content), true).await?;
    if !wrong.is_empty() || risk == old.content.0 {
        return Ok(wrong);
    }
    if !risks::change(tx.by_ref(), old, &risk, by(ctx)).await? {
        return Err(changed(old.number));
    }
    let (before, after) = (Some(values(service, old.number, &old.content)?), Some(values(service, old.number, &risk)?));
    ctx.audit(tx, NewEvent { action: "risk.change", entity: "risk", entity_id: old.id.to_string(), before, after }).await?;
    Ok(wrong)
}

fn changed(number: i64) -> OpsError {
    OpsError::Conflict(format!("risk {number} was changed since you saw it; load the page again and repeat it"))
}

/// Takes a risk out of the plan, with the reason. Its number and its history stay.
pub async fn retire_if(ctx: &Ctx, name: &str, number: i64, reason: &str, seen: &Seen) -> Result<()> {
    require_on(ctx, Action::Plan, On::Any)?;
    let mut t = ctx.db.begin_audited().await?;
    let service = service(ctx, t.tx(), name, Action::Plan).await?;
    let old = row(t.tx(), service.id(), number).await?;
    fits(t.tx(), &old, seen).await?;
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(OpsError::invalid("reason", "is empty; say why, for those who look at the plan later"));
    }
    if reason.chars().count() > LONGEST_REASON || reason.chars().any(char::is_control) {
        return Err(OpsError::invalid("reason", format!("must be one line of at most {LONGEST_REASON} characters; shorten it")));
    }
    if !risks::retire(t.tx(), &old, reason, by(ctx)).await? {
        return Err(changed(number));
    }
    let (before, after) = (Some(values(&service, number, &old.content)?), Some(json!({ "reason": reason })));
    ctx.audit(t.tx(), NewEvent { action: "risk.retire", entity: "risk", entity_id: old.id.to_string(), before, after }).await?;
    t.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests;
