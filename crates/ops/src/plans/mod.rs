//! Continuity plans of services: reading, changing, signing and approving them (R38, R42).
//!
//! Lives here: what is seen of a plan; beside it `edit` (drafts), `flow` (review, signatures, approval), `annex` (what was
//! measured), `document` (what is printed). May not: findings, risks, reviews (they have modules of their own).
//! Invariant: whoever may not change plans sees what was approved, and nothing of drafts.

mod annex;
mod document;
mod edit;
mod flow;

pub use annex::annex;
pub use document::{document, json};
use domain::{
    id::ServiceId,
    plan::{Event, FieldDiff, State, difference as differ, signers_missing},
};
pub use edit::{Autosaved, Begin, Conflict, Edit, autosave, discard, save, start, would_save};
pub use flow::{MOST_ROLES, approve, give_back, obstacles, roles, set_roles, sign, submit};
use store::{
    plans::{self, EventRow, ListedPlan, SignatureRow, VersionRow},
    services::ServiceRow,
};

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, Sight, allowed, require_on, sight},
    runs,
};

/// Versions and events of one service that are read at once.
const MOST: i64 = 2_000;

/// A version with its signatures.
#[derive(Clone, Debug)]
pub struct Version {
    pub row: VersionRow,
    /// Those that count: of this content, and not fallen.
    pub signatures: Vec<SignatureRow>,
}

impl Version {
    async fn load(ctx: &Ctx, row: VersionRow) -> Result<Self> {
        let signatures = counting(&row, plans::signatures(ctx.db.read().await?.tx(), row.id()).await?);
        Ok(Self { row, signatures })
    }

    /// The roles in which nobody has signed yet.
    pub fn missing(&self) -> Vec<&str> {
        let signed: Vec<&str> = self.signatures.iter().map(|s| s.role.as_str()).collect();
        signers_missing(&self.row.roles.0, &signed)
    }
}

/// The signatures that count for a version.
fn counting(row: &VersionRow, all: Vec<SignatureRow>) -> Vec<SignatureRow> {
    all.into_iter().filter(|s| s.fallen_at.is_none() && Some(&s.content_sha256) == row.content_sha256.as_ref()).collect()
}

/// The plan of a service, as the asker sees it.
#[derive(Clone, Debug)]
pub struct Plan {
    pub service: ServiceRow,
    pub approved: Option<Version>,
    /// The version that is a draft or in review; of nobody who may not change plans.
    pub open: Option<Version>,
    /// What happened to the versions that are seen, the oldest first.
    pub events: Vec<EventRow>,
    /// Whether the asker may change it.
    pub may: bool,
}

impl Plan {
    /// What is shown where no version is asked for.
    pub fn shown(&self) -> Option<&Version> {
        self.open.as_ref().or(self.approved.as_ref())
    }
}

/// The version of a draft, for `If-Match` and forms: it changes with each change and never comes back.
pub fn tag(row: &VersionRow) -> String {
    format!("{}-{}", row.number, row.revision)
}

fn may(ctx: &Ctx, service: ServiceId) -> bool {
    allowed(&ctx.actor, Action::Plan, On::Service(service))
}

/// Whether the asker sees a version in this state.
fn is_seen(may: bool, state: State) -> bool {
    may || matches!(state, State::Approved | State::Superseded)
}

/// The service, for whoever may read its plan.
async fn readable(ctx: &Ctx, name: &str) -> Result<ServiceRow> {
    require_on(ctx, Action::Read, On::Any)?;
    crate::services::find(ctx, name).await
}

/// The service, for whoever may change its plan.
async fn writable(ctx: &Ctx, name: &str) -> Result<ServiceRow> {
    require_on(ctx, Action::Plan, On::Any)?;
    let row = store::services::find_by_name(ctx.db.read().await?.tx(), name).await?;
    let row = row.filter(|s| s.removed_at.is_none()).ok_or_else(|| OpsError::not_found("service", name))?;
    require_on(ctx, Action::Plan, On::Service(row.id()))?;
    Ok(row)
}

fn none(service: &str, number: i64) -> OpsError {
    OpsError::not_found("version of the plan", format!("v{number} of {service}"))
}

/// The plan of a service.
pub async fn find(ctx: &Ctx, service: &str) -> Result<Plan> {
    let service = readable(ctx, service).await?;
    let may = may(ctx, service.id());
    let mut read = ctx.db.read().await?;
    let approved = plans::approved(read.tx(), service.id()).await?;
    let open = if may { plans::open(read.tx(), service.id()).await? } else { None };
    let events = plans::events(read.tx(), service.id(), MOST).await?;
    let seen: Vec<i64> = plans::of_service(read.tx(), service.id(), MOST).await?.iter().filter(|v| is_seen(may, v.state())).map(|v| v.number).collect();
    drop(read);
    let load = async |row: Option<VersionRow>| match row {
        Some(row) => Version::load(ctx, row).await.map(Some),
        None => Ok(None),
    };
    Ok(Plan {
        approved: load(approved).await?,
        open: load(open).await?,
        events: events.into_iter().filter(|e| seen.contains(&e.number)).collect(),
        service,
        may,
    })
}

/// One version by its number.
pub async fn version(ctx: &Ctx, service: &str, number: i64) -> Result<Version> {
    let found = readable(ctx, service).await?;
    let row = plans::by_number(ctx.db.read().await?.tx(), found.id(), number).await?;
    let row = row.filter(|v| is_seen(may(ctx, found.id()), v.state())).ok_or_else(|| none(service, number))?;
    Version::load(ctx, row).await
}

/// All versions that the asker sees, the newest first.
pub async fn versions(ctx: &Ctx, service: &str) -> Result<Vec<VersionRow>> {
    let found = readable(ctx, service).await?;
    let may = may(ctx, found.id());
    let mut all = plans::of_service(ctx.db.read().await?.tx(), found.id(), MOST).await?;
    all.retain(|v| is_seen(may, v.state()));
    Ok(all)
}

/// What happened to one version, the oldest first.
pub fn story(events: &[EventRow], number: i64) -> Vec<(Event, &EventRow)> {
    events.iter().filter(|e| e.number == number).filter_map(|e| Event::parse(&e.kind).map(|kind| (kind, e))).collect()
}

/// How two versions differ.
#[derive(Clone, Debug)]
pub struct Difference {
    pub from: VersionRow,
    pub to: VersionRow,
    /// The fields that differ, in the plan's order.
    pub fields: Vec<FieldDiff>,
}

pub async fn difference(ctx: &Ctx, service: &str, from: i64, to: i64) -> Result<Difference> {
    let (from, to) = (version(ctx, service, from).await?.row, version(ctx, service, to).await?.row);
    Ok(Difference { fields: differ(&from.content.0, &to.content.0), from, to })
}

/// Services with how their plans stand, after the name `after`, at most `limit` (up to 500).
pub async fn list(ctx: &Ctx, after: &str, search: &str, limit: i64) -> Result<Vec<ListedPlan>> {
    let limit = limit.clamp(1, runs::PAGE);
    let sight = sight(ctx, Action::Read)?;
    let mut all = if sight == Sight::All {
        plans::list(ctx.db.read().await?.tx(), after, search, limit).await?
    } else {
        let mut own = Vec::new();
        for service in crate::services::owned(ctx).await?.into_iter().filter(|s| s.name.as_str() > after) {
            own.extend(plans::of(ctx.db.read().await?.tx(), service.id()).await?);
        }
        let search = search.to_lowercase();
        own.retain(|p: &ListedPlan| p.service.to_lowercase().contains(&search) || p.title.to_lowercase().contains(&search));
        own.truncate(usize::try_from(limit).unwrap_or(0));
        own
    };
    for p in all.iter_mut().filter(|p| !may(ctx, ServiceId(p.service_id))) {
        *p = ListedPlan { open_id: None, open: None, open_state: None, open_at: None, open_by: None, ..p.clone() };
    }
    Ok(all)
}

/// How many plans wait for a signature or the approval of somebody like the asker: the count beside the navigation.
pub async fn waiting(ctx: &Ctx) -> Result<i64> {
    if !allowed(&ctx.actor, Action::Plan, On::Any) {
        return Ok(0);
    }
    if allowed(&ctx.actor, Action::Plan, On::All) {
        return Ok(plans::count_waiting(ctx.db.read().await?.tx()).await?);
    }
    let all = list(ctx, "", "", runs::PAGE).await?;
    Ok(all.iter().filter(|p| p.open_state.as_deref() == Some(State::InReview.as_str())).count() as i64)
}

#[cfg(test)]
mod tests;
