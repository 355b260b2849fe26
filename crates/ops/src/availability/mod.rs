//! Availability and reliability of a service by month: what is known, what was agreed, why a month is as it is (R43).
//!
//! Lives here: reading, entering by hand, explaining, choosing between two figures. Beside it: [`source`], where ARGO's
//! figures come from. May not: fetching (`runner::argo`), the formulas (`domain::availability`).
//! Invariant: what a person enters never overwrites what ARGO says, nor the other way round. Both are kept, and one of
//! them is shown.

pub mod source;
#[cfg(test)]
mod tests;

use domain::{
    availability::{
        Entry, Figures, MOST_MONTHS, Month, MonthFigures, Note, Origin, Recorded, Targets, entry_problems, in_order, note_problem, percent, series,
    },
    plan::MonthFact,
};
use serde_json::{Value, json};
use store::{
    Tx,
    audit::NewEvent,
    availability::{self as rows, SourceRow, Told},
    services::ServiceRow,
};

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, require_on},
    services,
    version::{self, Seen, Subject},
};

/// Months that are shown where nobody asks for others.
const USUAL: u16 = 12;

/// What is known of a service's months.
#[derive(Clone, Debug)]
pub struct Report {
    pub service: ServiceRow,
    pub targets: Targets,
    pub from: Month,
    pub to: Month,
    /// Every month from `from` to `to`.
    pub months: Vec<MonthFigures>,
    /// The first and the last month of which anything is known.
    pub known: Option<(Month, Month)>,
    pub source: Option<SourceRow>,
}

impl Report {
    pub fn below(&self) -> impl Iterator<Item = &MonthFigures> {
        self.months.iter().filter(|m| m.below.any())
    }
}

/// The months of a service from `from` to `to`; left out, they are the last twelve of which anything can be known.
pub async fn months(ctx: &Ctx, service: &str, from: Option<Month>, to: Option<Month>) -> Result<Report> {
    let service = services::find(ctx, service).await?;
    let mut read = ctx.db.read().await?;
    let known = rows::span(read.tx(), service.id()).await?;
    let to = to.unwrap_or_else(|| {
        let present = Month::of(ctx.now());
        // What ended long ago is shown as it ended.
        known.filter(|(_, last)| from.is_none() && *last < present.back(USUAL - 1)).map_or(present, |(_, last)| last)
    });
    let from = from.unwrap_or_else(|| to.back(USUAL - 1));
    if from > to {
        return Err(OpsError::invalid("from", "is later than the end; give the earlier month first"));
    }
    if from.count(to) > MOST_MONTHS {
        return Err(OpsError::invalid("from", format!("asks for more than {MOST_MONTHS} months; ask for fewer at once")));
    }
    let targets = targets(read.tx(), &service).await?;
    let (recorded, notes) = (rows::months(read.tx(), service.id(), from, to).await?, rows::notes(read.tx(), service.id(), from, to).await?);
    let months = series(recorded, notes, &targets, from, to);
    let source = rows::source(read.tx(), service.id()).await?;
    Ok(Report { service, targets, from, to, months, known, source })
}

/// What was agreed, by the plan that holds: the approved one, otherwise the newest.
pub(crate) async fn targets(mut tx: Tx<'_>, service: &ServiceRow) -> Result<Targets> {
    let plan = match store::plans::approved(tx.by_ref(), service.id()).await? {
        Some(plan) => Some(plan),
        None => store::plans::newest(tx, service.id()).await?,
    };
    let agreed = plan.map(|p| p.content.0.performance).unwrap_or_default();
    Ok(Targets { availability: agreed.availability, reliability: agreed.reliability })
}

/// The last months of which anything is known, as a plan prints them: what was entered by hand says so.
pub(crate) async fn facts(mut tx: Tx<'_>, service: &ServiceRow, agreed: &Targets) -> Result<Vec<MonthFact>> {
    let Some((_, to)) = rows::span(tx.by_ref(), service.id()).await? else { return Ok(Vec::new()) };
    let from = to.back(USUAL - 1);
    let recorded = rows::months(tx.by_ref(), service.id(), from, to).await?;
    let notes = rows::notes(tx, service.id(), from, to).await?;
    let all = series(recorded, notes, agreed, from, to);
    let first = all.iter().position(|m| m.shown().is_some()).unwrap_or_default();
    Ok(all.into_iter().skip(first).map(|m| fact(&m, agreed)).collect())
}

fn fact(m: &MonthFigures, agreed: &Targets) -> MonthFact {
    let f = m.figures();
    let by_hand = m.shown().filter(|r| r.origin == Origin::Hand).map(|r| {
        let day = jiff::Timestamp::from_microsecond(r.at.0).unwrap_or_default().strftime("%Y-%m-%d");
        format!("Entered by hand by {} on {day}.", r.by)
    });
    let said = m.note.as_ref().map(|n| n.text.clone());
    let is_agreed = agreed.availability.or(agreed.reliability).is_some();
    MonthFact {
        month: m.month.to_string(),
        availability: f.availability,
        reliability: f.reliability,
        met: (is_agreed && !f.is_empty()).then_some(!m.below.any()),
        explanation: said.into_iter().chain(by_hand).collect::<Vec<_>>().join(" "),
    }
}

/// One month of a service with its days.
#[derive(Clone, Debug)]
pub struct MonthView {
    pub service: ServiceRow,
    pub targets: Targets,
    pub month: MonthFigures,
    /// By date.
    pub days: Vec<(String, Recorded)>,
}

pub async fn month(ctx: &Ctx, service: &str, month: Month) -> Result<MonthView> {
    let service = services::find(ctx, service).await?;
    let mut read = ctx.db.read().await?;
    let targets = targets(read.tx(), &service).await?;
    let found = load(read.tx(), &service, month, &targets).await?;
    let days = rows::days(read.tx(), service.id(), month).await?;
    Ok(MonthView { service, targets, month: found, days })
}

async fn load(mut tx: Tx<'_>, service: &ServiceRow, month: Month, targets: &Targets) -> Result<MonthFigures> {
    let mut recorded = rows::of_month(tx.by_ref(), service.id(), month).await?;
    in_order(&mut recorded);
    let below = recorded.first().map(|r| r.figures.below(targets)).unwrap_or_default();
    Ok(MonthFigures { month, recorded, below, note: rows::note(tx, service.id(), month).await? })
}

/// The version of a month: what is recorded of it, and which of it is shown. There always is one.
pub fn version(month: &MonthFigures) -> String {
    let all: Vec<Value> = month.recorded.iter().map(|r| json!([r.origin, r.figures, r.at.0, r.chosen_at.map(|t| t.0)])).collect();
    version::of(&json!([month.month, all]))
}

/// The version of an explanation.
pub fn note_version(note: &Note) -> String {
    version::of(&json!([note.text, note.by, note.at.0]))
}

/// How the audit trail names a month.
fn id_of(service: &ServiceRow, month: Month) -> String {
    format!("{}/{month}", service.name)
}

/// The service for whoever may change what is said of its months.
async fn changeable(ctx: &Ctx, name: &str) -> Result<ServiceRow> {
    let service = services::find(ctx, name).await?;
    require_on(ctx, Action::Plan, On::Service(service.id()))?;
    Ok(service)
}

/// Refuses where the month is not as it was seen. What must be there, or must not, is the entry of a person.
async fn check(tx: Tx<'_>, service: &ServiceRow, month: &MonthFigures, seen: &Seen) -> Result<()> {
    let by_hand = month.recorded.iter().any(|r| r.origin == Origin::Hand);
    let there = if matches!(seen, Seen::Absent | Seen::Present) { by_hand.then(|| version(month)) } else { Some(version(month)) };
    let id = id_of(service, month.month);
    seen.check(tx, Subject { words: "month", name: &month.month.to_string(), entity: "availability", id }, there.as_deref()).await
}

fn audited(figures: &Figures) -> Value {
    json!({ "availability": figures.availability.map(percent), "reliability": figures.reliability.map(percent), "origin": "entered by hand" })
}

/// Enters a month by hand, or changes what was entered.
pub async fn enter(ctx: &Ctx, service: &str, entry: &Entry, seen: &Seen) -> Result<()> {
    let service = changeable(ctx, service).await?;
    let mut t = ctx.db.begin_audited().await?;
    let there = load(t.tx(), &service, entry.month, &Targets::default()).await?;
    check(t.tx(), &service, &there, seen).await?;
    let wrong = entry_problems(entry, Month::of(ctx.now()), there.shown());
    if !wrong.is_empty() {
        return Err(OpsError::Invalid(wrong));
    }
    put(ctx, t.tx(), &service, entry, &there).await?;
    t.commit().await?;
    Ok(())
}

async fn put(ctx: &Ctx, mut tx: Tx<'_>, service: &ServiceRow, entry: &Entry, there: &MonthFigures) -> Result<()> {
    let period = entry.month.to_string();
    let old = there.recorded.iter().find(|r| r.origin == Origin::Hand);
    let told = Told { period: &period, origin: Origin::Hand, figures: entry.figures, parts: None, by: &ctx.actor.name };
    rows::record(tx.by_ref(), service.id(), &told, ctx.now()).await?;
    let mut after = audited(&entry.figures);
    if there.shown().is_some_and(|r| r.origin == Origin::Argo) {
        rows::choose(tx.by_ref(), service.id(), entry.month, Origin::Hand, &ctx.actor.name, ctx.now()).await?;
        after["shown_instead_of"] = json!(Origin::Argo.words());
    }
    let entity_id = id_of(service, entry.month);
    let before = old.map(|o| audited(&o.figures));
    ctx.audit(tx, NewEvent { action: "availability.enter", entity: "availability", entity_id, before, after: Some(after) }).await
}

/// Takes back what was entered by hand; what ARGO says stays and is shown again.
pub async fn forget(ctx: &Ctx, service: &str, month: Month, seen: &Seen) -> Result<()> {
    let service = changeable(ctx, service).await?;
    let mut t = ctx.db.begin_audited().await?;
    let there = load(t.tx(), &service, month, &Targets::default()).await?;
    let old = there.recorded.iter().find(|r| r.origin == Origin::Hand);
    let old = old.ok_or_else(|| OpsError::not_found("month entered by hand", month))?;
    check(t.tx(), &service, &there, seen).await?;
    rows::remove(t.tx(), service.id(), month, Origin::Hand).await?;
    let event =
        NewEvent { action: "availability.forget", entity: "availability", entity_id: id_of(&service, month), before: Some(audited(&old.figures)), after: None };
    ctx.audit(t.tx(), event).await?;
    t.commit().await?;
    Ok(())
}

/// Shows one of two figures of a month from now on.
pub async fn show(ctx: &Ctx, service: &str, month: Month, origin: Origin) -> Result<()> {
    let service = changeable(ctx, service).await?;
    let mut t = ctx.db.begin_audited().await?;
    let there = load(t.tx(), &service, month, &Targets::default()).await?;
    if !there.recorded.iter().any(|r| r.origin == origin) {
        return Err(OpsError::invalid("origin", format!("nothing of {month} is {}; choose the other one", origin.words())));
    }
    rows::choose(t.tx(), service.id(), month, origin, &ctx.actor.name, ctx.now()).await?;
    let event = NewEvent {
        action: "availability.show",
        entity: "availability",
        entity_id: id_of(&service, month),
        before: there.shown().map(|r| json!({ "shown": r.origin.words() })),
        after: Some(json!({ "shown": origin.words() })),
    };
    ctx.audit(t.tx(), event).await?;
    t.commit().await?;
    Ok(())
}

/// The explanation of a month.
pub async fn explanation(ctx: &Ctx, service: &str, month: Month) -> Result<Note> {
    let service = services::find(ctx, service).await?;
    rows::note(ctx.db.read().await?.tx(), service.id(), month).await?.ok_or_else(|| OpsError::not_found("explanation of", month))
}

async fn check_note(tx: Tx<'_>, service: &ServiceRow, month: Month, there: Option<&Note>, seen: &Seen) -> Result<()> {
    let id = id_of(service, month);
    let subject = Subject { words: "explanation of", name: &month.to_string(), entity: "availability", id };
    seen.check(tx, subject, there.map(note_version).as_deref()).await
}

/// Says why a month is as it is; who and when is kept with it.
pub async fn explain(ctx: &Ctx, service: &str, month: Month, text: &str, seen: &Seen) -> Result<()> {
    let service = changeable(ctx, service).await?;
    let text = text.trim();
    if let Some(problem) = note_problem(text) {
        return Err(OpsError::invalid("text", problem));
    }
    if month > Month::of(ctx.now()) {
        return Err(OpsError::invalid("month", "is in the future; explain a month that has begun"));
    }
    let mut t = ctx.db.begin_audited().await?;
    let old = rows::note(t.tx(), service.id(), month).await?;
    check_note(t.tx(), &service, month, old.as_ref(), seen).await?;
    rows::set_note(t.tx(), service.id(), month, text, &ctx.actor.name, ctx.now()).await?;
    let event = NewEvent {
        action: "availability.explain",
        entity: "availability",
        entity_id: id_of(&service, month),
        before: old.map(|n| json!({ "explanation": n.text })),
        after: Some(json!({ "explanation": text })),
    };
    ctx.audit(t.tx(), event).await?;
    t.commit().await?;
    Ok(())
}

/// Takes an explanation back.
pub async fn unexplain(ctx: &Ctx, service: &str, month: Month, seen: &Seen) -> Result<()> {
    let service = changeable(ctx, service).await?;
    let mut t = ctx.db.begin_audited().await?;
    let old = rows::note(t.tx(), service.id(), month).await?.ok_or_else(|| OpsError::not_found("explanation of", month))?;
    check_note(t.tx(), &service, month, Some(&old), seen).await?;
    rows::remove_note(t.tx(), service.id(), month).await?;
    let before = Some(json!({ "explanation": old.text }));
    let event = NewEvent { action: "availability.unexplain", entity: "availability", entity_id: id_of(&service, month), before, after: None };
    ctx.audit(t.tx(), event).await?;
    t.commit().await?;
    Ok(())
}
