//! What is wrong with a service's continuity plan, and the waivers that people give (R41).
//!
//! Lives here: the use cases, and the refusal of an approval. May not: judging (`domain::lint`), approving (`ops::plans`).
//! Invariants: findings are made anew each time and never stored; a waiver is for a finding that stands; each waiver and
//! its end is audited in its own transaction.

mod facts;
#[cfg(test)]
mod tests;

use domain::{
    field::FieldError,
    id::{ServiceId, WaiverId},
    lint::{
        self, Finding, Severity,
        waiver::{self, Summary, Waiver},
    },
    plan::{State, WaiverFact},
    review::{date_of, read_date},
    units::Timestamp,
};
use serde_json::json;
use store::{
    Tx,
    audit::NewEvent,
    plans::{self, VersionRow},
    services::{self, ServiceRow},
    waivers::{self, NewWaiver, WaiverRow},
};

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, allowed, require_on},
};

/// Waivers of one service that are looked at.
const MOST: i64 = 1_000;

/// A finding with the waiver that stands for it.
#[derive(Clone, Debug)]
pub struct Judged {
    pub finding: Finding,
    pub waiver: Option<WaiverRow>,
}

impl Judged {
    /// Whether it stops an approval.
    pub fn stops(&self) -> bool {
        self.waiver.is_none() && self.finding.rule.severity == Severity::Blocking
    }
}

/// All findings of a service.
#[derive(Clone, Debug)]
pub struct Report {
    pub service: ServiceRow,
    /// The version of the plan that was judged: the one that is open, or the approved one.
    pub version: Option<(i64, State)>,
    /// In the order of the plan's sections; what is waived is among them.
    pub findings: Vec<Judged>,
}

impl Report {
    pub fn summary(&self) -> Summary {
        Summary::of(self.findings.iter().map(|j| (&j.finding, j.waiver.is_some())))
    }
}

/// What is wrong with a service's plan now.
///
/// # Errors
/// `NotFound` for the service.
pub async fn findings(ctx: &Ctx, name: &str) -> Result<Report> {
    let mut read = ctx.db.read().await?;
    let service = service(ctx, read.tx(), name, Action::Read).await?;
    let seen = if allowed(&ctx.actor, Action::Plan, On::Service(service.id())) { Seen::Drafts } else { Seen::Approved };
    let findings = judged(read.tx(), &service, seen, ctx.now()).await?;
    let version = seen.version(read.tx(), service.id()).await?;
    Ok(Report { version: version.map(|v| (v.number, v.state())), findings, service })
}

/// Which versions of a plan are judged: whoever may not change plans sees nothing of drafts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Drafts,
    Approved,
}

impl Seen {
    /// The version that is open, where it is seen.
    async fn open(self, tx: Tx<'_>, service: ServiceId) -> Result<Option<VersionRow>> {
        Ok(if self == Self::Drafts { plans::open(tx, service).await? } else { None })
    }

    async fn version(self, mut tx: Tx<'_>, service: ServiceId) -> Result<Option<VersionRow>> {
        match self.open(tx.by_ref(), service).await? {
            Some(open) => Ok(Some(open)),
            None => Ok(plans::approved(tx, service).await?),
        }
    }
}

async fn service(ctx: &Ctx, tx: Tx<'_>, name: &str, action: Action) -> Result<ServiceRow> {
    require_on(ctx, action, On::Any)?;
    let row = services::find_by_name(tx, name).await?.filter(|s| s.removed_at.is_none()).ok_or_else(|| OpsError::not_found("service", name))?;
    require_on(ctx, action, On::Service(row.id()))?;
    Ok(row)
}

async fn judged(mut tx: Tx<'_>, service: &ServiceRow, seen: Seen, now: Timestamp) -> Result<Vec<Judged>> {
    let facts = facts::collect(tx.by_ref(), service, seen, now).await?;
    let rows = waivers::standing(tx, service.id(), facts.today, MOST).await?;
    let given = rows.iter().map(WaiverRow::waiver).collect::<store::Result<Vec<Waiver>>>()?;
    let found = lint::lint(&facts).into_iter();
    Ok(found.map(|finding| Judged { waiver: waiver::of(&finding, given.iter(), facts.today).and_then(|at| rows.get(at).cloned()), finding }).collect())
}

/// The findings that stop an approval of the service's plan. For `ops::plans`, inside the transaction of the approval.
pub(crate) async fn blocking(mut tx: Tx<'_>, service: ServiceId, now: Timestamp) -> Result<Vec<Finding>> {
    let row = services::find(tx.by_ref(), service).await?.ok_or_else(|| OpsError::not_found("service", service))?;
    Ok(judged(tx, &row, Seen::Drafts, now).await?.into_iter().filter(Judged::stops).map(|j| j.finding).collect())
}

/// The same as sentences without a full stop, for what stands in the way of an approval.
pub(crate) async fn obstacles(tx: Tx<'_>, service: ServiceId, now: Timestamp) -> Result<Vec<String>> {
    let words =
        |f: Finding| format!("{} ({}); {}", f.title, f.rule.id, if f.rule.waivable { "put it right, or waive it with a reason" } else { "put it right" });
    Ok(blocking(tx, service, now).await?.into_iter().map(words).collect())
}

/// The waivers that stand on the day of `now`, as a plan's annex tells them. For `ops::plans`.
pub(crate) async fn of_plan(tx: Tx<'_>, service: ServiceId, now: Timestamp) -> Result<Vec<WaiverFact>> {
    let rows = waivers::standing(tx, service, date_of(now), MOST).await?;
    let fact = |w: WaiverRow| WaiverFact {
        finding: if w.subject.is_empty() { w.finding } else { format!("{}, {}", w.finding, w.subject) },
        reason: w.reason,
        by: w.given_by,
        until: Some(w.until_on),
    };
    Ok(rows.into_iter().map(fact).collect())
}

/// The waivers of a service, also those that are over, the newest first.
pub async fn waivers(ctx: &Ctx, name: &str) -> Result<Vec<WaiverRow>> {
    let mut read = ctx.db.read().await?;
    let service = service(ctx, read.tx(), name, Action::Read).await?;
    Ok(waivers::of_service(read.tx(), service.id(), MOST).await?)
}

/// One waiver and the service's name.
pub async fn waiver(ctx: &Ctx, id: WaiverId) -> Result<(WaiverRow, String)> {
    require_on(ctx, Action::Read, On::Any)?;
    let mut read = ctx.db.read().await?;
    let row = waivers::find(read.tx(), id).await?.ok_or_else(|| OpsError::not_found("waiver", id))?;
    require_on(ctx, Action::Read, On::Service(ServiceId(row.service_id)))?;
    let service = services::find(read.tx(), ServiceId(row.service_id)).await?.ok_or_else(|| OpsError::not_found("service", row.service_id))?;
    Ok((row, service.name))
}

/// How a waiver stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Stands,
    /// Its last day has passed.
    Over,
    /// Somebody ended it before.
    Ended,
}

impl Standing {
    pub fn of(row: &WaiverRow, now: Timestamp) -> Result<Self> {
        let waiver = row.waiver()?;
        Ok(match (waiver.ended, waiver.stands(date_of(now))) {
            (true, _) => Self::Ended,
            (false, true) => Self::Stands,
            (false, false) => Self::Over,
        })
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stands => "stands",
            Self::Over => "over",
            Self::Ended => "ended",
        }
    }
}

/// A waiver as somebody asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waive {
    /// The finding's id and subject.
    pub finding: String,
    pub subject: String,
    pub reason: String,
    /// The last day on which it stands, such as 2027-03-31.
    pub until: String,
}

/// Waives a finding of a service for a time.
///
/// # Errors
/// `NotFound` for the service; `Conflict` where the finding does not stand or is waived already; `Invalid` for a finding
/// that cannot be waived, for the reason and the day.
pub async fn waive(ctx: &Ctx, name: &str, new: &Waive) -> Result<WaiverId> {
    require_on(ctx, Action::Plan, On::Any)?;
    let mut t = ctx.db.begin_audited().await?;
    let service = service(ctx, t.tx(), name, Action::Plan).await?;
    let rule = lint::rule(&new.finding).ok_or_else(|| {
        OpsError::invalid("finding", format!("“{}” is no finding of the linter; take an id from the service's findings", short(&new.finding)))
    })?;
    let now = ctx.now();
    let all = judged(t.tx(), &service, Seen::Drafts, now).await?;
    let Some(found) = all.into_iter().find(|j| j.finding.is(rule.id, &new.subject)) else {
        let of = if new.subject.is_empty() { String::new() } else { format!(" of {}", short(&new.subject)) };
        return Err(OpsError::Conflict(format!("{}{of} does not stand for {} now; there is nothing to waive", rule.id, service.name)));
    };
    if let Some(w) = found.waiver {
        return Err(OpsError::Conflict(format!("{} has waived this until {}; end that waiver first", w.given_by, w.until_on)));
    }
    let (until, unread) = match read_date("until", &new.until) {
        Ok(until) => (until, None),
        Err(e) => (date_of(now), Some(e)),
    };
    let wrong: Vec<FieldError> = waiver::problems(rule, &new.reason, until, date_of(now)).into_iter().chain(unread).collect();
    if !wrong.is_empty() {
        return Err(OpsError::Invalid(wrong));
    }
    let said = format!("{}: {}", found.finding.title, found.finding.text);
    let row = NewWaiver { service: service.id(), finding: rule.id, subject: &new.subject, said: &said, reason: new.reason.trim(), by: &ctx.actor.name, until };
    let id = waivers::give(t.tx(), &row, now).await?;
    let after = json!({
        "service": service.name, "finding": rule.id, "subject": new.subject, "said": said, "reason": row.reason, "until": until.to_string(),
    });
    ctx.audit(t.tx(), NewEvent { action: "waiver.give", entity: "waiver", entity_id: id.to_string(), before: None, after: Some(after) }).await?;
    t.commit().await?;
    Ok(id)
}

/// Ends a waiver before its day: the finding stands again.
///
/// # Errors
/// `NotFound`; `Conflict` where it does not stand any more; `Invalid` for the reason.
pub async fn end_waiver(ctx: &Ctx, id: WaiverId, reason: &str) -> Result<()> {
    require_on(ctx, Action::Plan, On::Any)?;
    let mut t = ctx.db.begin_audited().await?;
    let row = waivers::find(t.tx(), id).await?.ok_or_else(|| OpsError::not_found("waiver", id))?;
    require_on(ctx, Action::Plan, On::Service(ServiceId(row.service_id)))?;
    if let Some(wrong) = waiver::bad_reason(reason) {
        return Err(OpsError::Invalid(vec![wrong]));
    }
    let now = ctx.now();
    if !waivers::end(t.tx(), id, &ctx.actor.name, reason.trim(), date_of(now), now).await? {
        return Err(OpsError::Conflict(match &row.ended_by {
            Some(by) => format!("{by} has ended this waiver already"),
            None => format!("this waiver was over on {}", row.until_on),
        }));
    }
    let before = json!({"finding": row.finding, "subject": row.subject, "reason": row.reason, "given_by": row.given_by, "until": row.until_on});
    let after = json!({"ended_by": ctx.actor.name, "reason": reason.trim()});
    ctx.audit(t.tx(), NewEvent { action: "waiver.end", entity: "waiver", entity_id: id.to_string(), before: Some(before), after: Some(after) }).await?;
    t.commit().await?;
    Ok(())
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}
