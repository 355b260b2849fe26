//! Reviews: when each service is to be looked at, what was found, what need not be done (R44); who has brought it back (R45).
//!
//! Lives here: the use cases. May not: reminding (`runner::watchdogs` does), the rules of dates (`domain::review` has them).
//! Invariants: "today" is the date in UTC; a review is recorded once and never changed, but
//! withdrawn where it was recorded by mistake; each change is audited.

use domain::{
    id::{ExemptionId, ReviewId},
    plan::ReviewFact,
    review::{
        self, Done, ReviewKind, Standing, after,
        bus::{self, BusFactor},
        date_of, start_of,
    },
};
use jiff::civil::Date;
use serde_json::{Value, json};
pub use store::reviews::{ExemptionRow, Facts, ReviewRow};
use store::{
    Tx,
    audit::NewEvent,
    db::Transaction,
    reviews,
    services::{self, ServiceRow},
};

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, require_on, sight},
    version::{self, Seen, Subject},
};

/// Services that are looked at together, and rows of a history.
const MOST: i64 = 10_000;
const HISTORY: i64 = 500;

/// One review of one service, and where it stands today.
#[derive(Clone, Debug)]
pub struct Review {
    pub service: ServiceRow,
    pub facts: Facts,
    pub standing: Standing,
}

impl Review {
    /// The version of what can be edited.
    pub fn version(&self) -> String {
        version::of(&saved(self.facts.months))
    }
}

fn saved(months: i64) -> Value {
    json!({"months": months})
}

/// What of the calendar is shown; everything where a field is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// A service by name.
    pub service: String,
    pub kind: Option<ReviewKind>,
}

/// Today's date, as far as reviews go.
pub fn today(ctx: &Ctx) -> Date {
    date_of(ctx.now())
}

/// The reviews that somebody sees: those that are overdue first, then by their due dates; what is exempt stands at its due
/// date, too.
pub async fn calendar(ctx: &Ctx, filter: &Filter) -> Result<Vec<Review>> {
    let sight = sight(ctx, Action::Read)?;
    let today = today(ctx);
    let mut read = ctx.db.read().await?;
    let known = reviews::known(read.tx()).await?;
    let mut found = Vec::new();
    for service in services::all(read.tx(), MOST).await? {
        if !sight.service(service.id()) || !(filter.service.is_empty() || filter.service == service.name) {
            continue;
        }
        for facts in known.of(&service)?.into_iter().filter(|f| filter.kind.is_none_or(|k| k == f.kind)) {
            found.push(Review { standing: facts.standing(today), facts, service: service.clone() });
        }
    }
    let overdue = |r: &Review| !matches!(r.standing, Standing::Overdue { .. });
    found.sort_by(|a, b| {
        (overdue(a), a.facts.due, &a.service.name, a.facts.kind.as_str()).cmp(&(overdue(b), b.facts.due, &b.service.name, b.facts.kind.as_str()))
    });
    Ok(found)
}

/// All that is known of the reviews of one service.
#[derive(Clone, Debug)]
pub struct OfService {
    pub service: ServiceRow,
    /// One a kind.
    pub reviews: Vec<Review>,
    /// What was done, the newest first.
    pub history: Vec<ReviewRow>,
    /// Exemptions, the newest first, also those that are over.
    pub exemptions: Vec<ExemptionRow>,
    pub bus: BusFactor,
}

pub async fn of_service(ctx: &Ctx, name: &str) -> Result<OfService> {
    let service = crate::services::find(ctx, name).await?;
    let today = today(ctx);
    let mut read = ctx.db.read().await?;
    let facts = reviews::of_service(read.tx(), &service).await?;
    let history = reviews::history(read.tx(), service.id(), HISTORY).await?;
    let exemptions = reviews::exemptions(read.tx(), service.id(), HISTORY).await?;
    drop(read);
    let bus = bus_factor(ctx, &service).await?;
    let reviews = facts.into_iter().map(|facts| Review { standing: facts.standing(today), facts, service: service.clone() }).collect();
    Ok(OfService { service, reviews, history, exemptions, bus })
}

/// One review of one service.
pub async fn find(ctx: &Ctx, name: &str, kind: ReviewKind) -> Result<Review> {
    let service = crate::services::find(ctx, name).await?;
    let facts = reviews::of_service(ctx.db.read().await?.tx(), &service).await?;
    let facts = facts.into_iter().find(|f| f.kind == kind).ok_or_else(|| OpsError::not_found("review", kind))?;
    Ok(Review { standing: facts.standing(today(ctx)), facts, service })
}

/// A review that was recorded.
pub async fn recorded(ctx: &Ctx, name: &str, id: ReviewId) -> Result<ReviewRow> {
    let service = crate::services::find(ctx, name).await?;
    find_recorded(ctx.db.read().await?.tx(), &service, id).await
}

async fn find_recorded(tx: Tx<'_>, service: &ServiceRow, id: ReviewId) -> Result<ReviewRow> {
    reviews::find(tx, id).await?.filter(|r| r.service_id == service.id).ok_or_else(|| OpsError::not_found("review", id))
}

/// A kind by its name.
///
/// # Errors
/// `NotFound`, where there is none of that name.
pub fn kind(text: &str) -> Result<ReviewKind> {
    ReviewKind::parse(text).ok_or_else(|| OpsError::not_found("review", text))
}

/// Reads a review as a form or a program writes it.
///
/// # Errors
/// `Invalid` with the fields `on`, `by`, `outcome`; `Forbidden`, whatever was written, for whoever records no review anywhere.
pub fn read_done(ctx: &Ctx, on: &str, by: &str, outcome: &str) -> Result<Done> {
    require_on(ctx, Action::Plan, On::Any)?;
    let today = today(ctx);
    let read = review::read_date("on", on);
    let done = Done { on: *read.as_ref().unwrap_or(&today), by: by.to_owned(), outcome: outcome.to_owned() };
    let checked = review::check_done(&done, today);
    match (read, checked) {
        (Ok(_), Ok(done)) => Ok(done),
        (Ok(_), Err(wrong)) => Err(OpsError::Invalid(wrong)),
        (Err(e), Ok(_)) => Err(OpsError::Invalid(vec![e])),
        (Err(e), Err(wrong)) => Err(OpsError::Invalid(std::iter::once(e).chain(wrong).collect())),
    }
}

/// Reads the last day of an exemption, in the same way.
///
/// # Errors
/// `Invalid` with the field `until`; `Forbidden` as above.
pub fn read_until(ctx: &Ctx, until: &str) -> Result<Date> {
    require_on(ctx, Action::Plan, On::Any)?;
    review::read_date("until", until).map_err(|e| OpsError::Invalid(vec![e]))
}

/// How many different people completed a restore, a restore test or an exercise of a service in the last 12 months.
pub async fn bus_factor(ctx: &Ctx, service: &ServiceRow) -> Result<BusFactor> {
    require_on(ctx, Action::Read, On::Service(service.id()))?;
    let since = start_of(after(today(ctx), -bus::MONTHS));
    Ok(BusFactor::of(&reviews::completed(ctx.db.read().await?.tx(), service.id(), since).await?))
}

/// The reviews of a service as its continuity plan shows them.
pub(crate) async fn facts_of_plan(tx: Tx<'_>, service: &ServiceRow, today: Date) -> Result<Vec<ReviewFact>> {
    let all = reviews::of_service(tx, service).await?;
    let fact = |f: Facts| ReviewFact {
        title: upper(f.kind.words()),
        last: f.last_on.map(|d| d.to_string()),
        next: Some(f.due.to_string()),
        state: match f.standing(today) {
            Standing::Exempt { until } => format!("exempt until {until}"),
            Standing::Overdue { days } => format!("overdue by {days} days"),
            Standing::Soon { days } => format!("due in {days} days"),
            Standing::Later { .. } if f.last.is_none() => "never done, not due yet".to_owned(),
            Standing::Later { .. } => "done, not due yet".to_owned(),
        },
    };
    Ok(all.into_iter().map(fact).collect())
}

fn upper(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

/// A service of which the actor may change plans, risks and reviews.
async fn theirs(ctx: &Ctx, t: &mut Transaction, name: &str) -> Result<ServiceRow> {
    let row = services::find_by_name(t.tx(), name).await?.filter(|s| s.removed_at.is_none()).ok_or_else(|| OpsError::not_found("service", name))?;
    require_on(ctx, Action::Plan, On::Service(row.id()))?;
    Ok(row)
}

/// How the audit trail names a review of a service, which lasts longer than what is recorded of it.
fn entity_id(service: &ServiceRow, kind: ReviewKind) -> String {
    format!("{}/{kind}", service.id)
}

/// Records a review that was done, also one of the past.
///
/// # Errors
/// `Invalid` with the fields `on`, `by`, `outcome`.
pub async fn record(ctx: &Ctx, service: &str, kind: ReviewKind, done: &Done) -> Result<ReviewId> {
    require_on(ctx, Action::Plan, On::Any)?;
    let mut t = ctx.db.begin_audited().await?;
    let service = theirs(ctx, &mut t, service).await?;
    let done = review::check_done(done, today(ctx)).map_err(OpsError::Invalid)?;
    let id = reviews::record(t.tx(), service.id(), kind, &done, &ctx.actor.name, ctx.now()).await?;
    let after = json!({"service": service.name, "kind": kind, "on": done.on, "by": done.by, "outcome": done.outcome});
    ctx.audit(t.tx(), NewEvent { action: "review.record", entity: "review", entity_id: id.to_string(), before: None, after: Some(after) }).await?;
    t.commit().await?;
    Ok(id)
}

/// Withdraws a review that was recorded by mistake: it stays in the history, and counts no longer.
///
/// # Errors
/// `Invalid` with the field `reason`; `NotFound` where the service has none of this kind and id; `Conflict` where it is withdrawn already.
pub async fn withdraw(ctx: &Ctx, service: &str, kind: ReviewKind, id: ReviewId, reason: &str) -> Result<()> {
    require_on(ctx, Action::Plan, On::Any)?;
    let mut t = ctx.db.begin_audited().await?;
    let service = theirs(ctx, &mut t, service).await?;
    let row = find_recorded(t.tx(), &service, id).await?;
    if row.kind != kind.as_str() {
        return Err(OpsError::not_found(kind.words(), id));
    }
    let reason = review::check_withdrawal(reason).map_err(|e| OpsError::Invalid(vec![e]))?;
    if !reviews::withdraw(t.tx(), id, &ctx.actor.name, &reason, ctx.now()).await? {
        return Err(OpsError::Conflict("somebody has withdrawn this review already".to_owned()));
    }
    let before = json!({"service": service.name, "kind": row.kind, "on": row.done_on, "by": row.done_by, "outcome": row.outcome});
    let after = Some(json!({"withdrawn": reason}));
    ctx.audit(t.tx(), NewEvent { action: "review.withdraw", entity: "review", entity_id: id.to_string(), before: Some(before), after }).await?;
    t.commit().await?;
    Ok(())
}

/// Says how often something is reviewed; `false` where it is so already.
///
/// # Errors
/// `Invalid` with the field `months`; `Stale` where it is not what was seen.
pub async fn set_interval(ctx: &Ctx, service: &str, kind: ReviewKind, months: i64, seen: &Seen) -> Result<bool> {
    require_on(ctx, Action::Plan, On::Any)?;
    let mut t = ctx.db.begin_audited().await?;
    let service = theirs(ctx, &mut t, service).await?;
    let months = review::check_months(months).map_err(|e| OpsError::Invalid(vec![e]))?;
    let facts = reviews::of_service(t.tx(), &service).await?;
    let before = facts.iter().find(|f| f.kind == kind).map_or(review::YEARLY, |f| f.months);
    let subject = Subject { words: "interval", name: kind.words(), entity: "review_interval", id: entity_id(&service, kind) };
    seen.check(t.tx(), subject, Some(&version::of(&saved(before)))).await?;
    if before == months {
        return Ok(false);
    }
    reviews::set_interval(t.tx(), service.id(), kind, months, &ctx.actor.name, ctx.now()).await?;
    let event = NewEvent {
        action: "review.interval",
        entity: "review_interval",
        entity_id: entity_id(&service, kind),
        before: Some(json!({"service": service.name, "kind": kind, "months": before})),
        after: Some(json!({"service": service.name, "kind": kind, "months": months})),
    };
    ctx.audit(t.tx(), event).await?;
    t.commit().await?;
    Ok(true)
}

/// Says that a review need not be done up to and including a day. It takes the place of an exemption that is there.
///
/// # Errors
/// `Invalid` with the fields `until`, `reason`.
pub async fn exempt(ctx: &Ctx, service: &str, kind: ReviewKind, until: Date, reason: &str) -> Result<ExemptionId> {
    require_on(ctx, Action::Plan, On::Any)?;
    let mut t = ctx.db.begin_audited().await?;
    let service = theirs(ctx, &mut t, service).await?;
    let reason = review::check_exemption(until, reason, today(ctx)).map_err(OpsError::Invalid)?;
    let before = exemption(&mut t, &service, kind).await?;
    reviews::end_exemption(t.tx(), service.id(), kind, &ctx.actor.name, ctx.now()).await?;
    let id = reviews::exempt(t.tx(), service.id(), kind, until, &reason, &ctx.actor.name, ctx.now()).await?;
    let after = json!({"service": service.name, "kind": kind, "until": until, "reason": reason});
    let event = NewEvent { action: "review.exempt", entity: "review_exemption", entity_id: entity_id(&service, kind), before, after: Some(after) };
    ctx.audit(t.tx(), event).await?;
    t.commit().await?;
    Ok(id)
}

/// Ends an exemption before its day.
///
/// # Errors
/// `Conflict` where none is there.
pub async fn end_exemption(ctx: &Ctx, service: &str, kind: ReviewKind) -> Result<()> {
    require_on(ctx, Action::Plan, On::Any)?;
    let mut t = ctx.db.begin_audited().await?;
    let service = theirs(ctx, &mut t, service).await?;
    let before = exemption(&mut t, &service, kind).await?;
    if !reviews::end_exemption(t.tx(), service.id(), kind, &ctx.actor.name, ctx.now()).await? {
        return Err(OpsError::Conflict(format!("the {} of {} has no exemption (any more)", kind.words(), service.title)));
    }
    let event = NewEvent { action: "review.end_exemption", entity: "review_exemption", entity_id: entity_id(&service, kind), before, after: None };
    ctx.audit(t.tx(), event).await?;
    t.commit().await?;
    Ok(())
}

async fn exemption(t: &mut Transaction, service: &ServiceRow, kind: ReviewKind) -> Result<Option<Value>> {
    let facts = reviews::of_service(t.tx(), service).await?;
    let row = facts.into_iter().find(|f| f.kind == kind).and_then(|f| f.exemption);
    Ok(row.map(|e| json!({"service": service.name, "kind": kind, "until": e.until_on, "reason": e.reason, "by": e.actor})))
}
