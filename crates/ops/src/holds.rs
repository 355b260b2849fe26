//! Holds: what stands against forgetting, and the decisions of people on what the guard found (R16, R21).
//!
//! Lives here: the use cases. May not: measuring, judging what a snapshot changed (`domain::guard` does, in a run).
//! Invariants: each change has a reason and is audited in its own transaction; a guard's hold ends only by a person.
//!
//! On a guard's hold there are two decisions. *Release*: it was in order, the new state is normal from now on. *Keep*: it
//! was an attack or an accident; prunes go on, everything from before it stays, what came since is marked as bad, until
//! a person says by another release that the item is in order again.

use domain::{
    guard::Facts,
    id::{HoldId, ItemId, ServiceId, SnapshotId},
    units::Timestamp,
};
use serde_json::json;
use store::{
    audit::NewEvent,
    guard::{self, GoodRow},
    holds::{self, Filter, HoldKind, HoldRow, ListedHold, NewHold},
    items::{self, ItemRow},
    services::{self, ServiceRow},
    snapshots,
};
use uuid::Uuid;

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, Sight, allowed, merged, require_on, sight},
    runs::PAGE,
};

/// The longest reason.
const LONGEST: usize = 500;
/// Holds over one thing that are looked at together.
const MOST: i64 = 1_000;
/// Good snapshots that are named for one hold: as many as a restore takes from one address.
const GOOD: i64 = 200;

/// A hold with what it is about.
#[derive(Clone, Debug)]
pub struct Hold {
    pub listed: ListedHold,
    /// What a guard measured. Names of files are left out for whoever may not look into snapshots.
    pub facts: Option<Facts>,
    /// Snapshots that are there and in question by it.
    pub marked: i64,
    /// For the items in question, the newest snapshots against which nothing speaks.
    pub good: Vec<GoodRow>,
}

impl Hold {
    pub const fn row(&self) -> &HoldRow {
        &self.listed.row
    }

    pub fn is_guard(&self) -> bool {
        self.listed.row.kind == HoldKind::Guard.as_str()
    }

    pub fn state(&self) -> State {
        state(&self.listed.row)
    }
}

/// How a hold stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A guard placed it and nobody has decided.
    Undecided,
    /// A person decided that the guard was right; it stands until the item is in order again.
    Kept,
    /// A person placed it and it stands.
    Standing,
    Ended,
}

pub fn state(row: &HoldRow) -> State {
    match (row.released_at, row.kind == HoldKind::Guard.as_str(), row.kept_at) {
        (Some(_), ..) => State::Ended,
        (None, true, None) => State::Undecided,
        (None, true, Some(_)) => State::Kept,
        (None, false, _) => State::Standing,
    }
}

/// What a guard measured, as this person may see it.
fn facts(ctx: &Ctx, row: &HoldRow) -> Option<Facts> {
    let mut facts: Facts = serde_json::from_value(row.facts.as_ref()?.0.clone()).ok()?;
    if !allowed(&ctx.actor, Action::Browse, On::Service(ServiceId(row.service_id))) {
        facts.measure.examples.clear();
    }
    Some(facts)
}

/// Holds that fit, the newest first, before the key of the last one seen.
pub async fn list(ctx: &Ctx, filter: &Filter, before: Option<(Timestamp, HoldId)>, limit: i64) -> Result<Vec<Hold>> {
    let before = before.map_or((Timestamp(i64::MAX), Uuid::max()), |(at, id)| (at, id.0));
    let limit = limit.clamp(1, PAGE);
    let rows = if sight(ctx, Action::Read)? == Sight::All {
        holds::list(ctx.db.read().await?.tx(), filter, before, limit).await?
    } else {
        let mut pages = Vec::new();
        for of in crate::services::owned_names(ctx, &filter.service).await? {
            pages.push(holds::list(ctx.db.read().await?.tx(), &Filter { service: of, ..filter.clone() }, before, limit).await?);
        }
        merged(pages, |h| (h.row.created_at, h.row.id), limit)
    };
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        all.push(load(ctx, row).await?);
    }
    Ok(all)
}

/// The holds that stand, the newest first: for alarms and for the count beside the navigation.
pub async fn standing(ctx: &Ctx, limit: i64) -> Result<Vec<Hold>> {
    list(ctx, &Filter { state: "standing".to_owned(), ..Filter::default() }, None, limit).await
}

pub async fn find(ctx: &Ctx, id: HoldId) -> Result<Hold> {
    require_on(ctx, Action::Read, On::Any)?;
    let row = holds::find_listed(ctx.db.read().await?.tx(), id).await?.ok_or_else(|| OpsError::not_found("hold", id))?;
    require_on(ctx, Action::Read, On::Service(ServiceId(row.row.service_id)))?;
    load(ctx, row).await
}

async fn load(ctx: &Ctx, listed: ListedHold) -> Result<Hold> {
    let id = listed.row.id();
    let (mut marked, mut good) = (0, Vec::new());
    if listed.row.kind == HoldKind::Guard.as_str() && listed.row.released_at.is_none() {
        let mut read = ctx.db.read().await?;
        marked = guard::marked(read.tx(), id).await?;
        good = guard::last_good_of(read.tx(), id, GOOD).await?;
    }
    Ok(Hold { facts: facts(ctx, &listed.row), marked, good, listed })
}

/// The holds that stand over a service or over anything in it, the oldest first.
pub async fn over_service(ctx: &Ctx, service: ServiceId) -> Result<Vec<HoldRow>> {
    require_on(ctx, Action::Read, On::Service(service))?;
    Ok(holds::standing(ctx.db.read().await?.tx(), service, MOST).await?)
}

/// How many holds of the guard over a service wait for a decision, and since when; `None` where none does.
pub async fn undecided(ctx: &Ctx, service: ServiceId) -> Result<Option<(i64, Timestamp)>> {
    let all = over_service(ctx, service).await?;
    let open: Vec<_> = all.iter().filter(|h| state(h) == State::Undecided).collect();
    Ok(open.first().map(|first| (open.len() as i64, Timestamp(first.created_at))))
}

/// The holds that stand over a snapshot, be it through its item or its service.
pub async fn over_snapshot(ctx: &Ctx, service: ServiceId, item: ItemId, snapshot: SnapshotId) -> Result<Vec<HoldRow>> {
    let row = items::find(ctx.db.read().await?.tx(), item).await?.ok_or_else(|| OpsError::not_found("item", item))?;
    require_on(ctx, Action::Read, &row)?;
    let mut all = holds::standing(ctx.db.read().await?.tx(), service, MOST).await?;
    all.retain(|h| h.covers(item, snapshot));
    Ok(all)
}

/// The holds that stand over all of an item, be it through its service.
pub async fn over_item(ctx: &Ctx, item: ItemId) -> Result<Vec<HoldRow>> {
    let row = items::find(ctx.db.read().await?.tx(), item).await?.ok_or_else(|| OpsError::not_found("item", item))?;
    require_on(ctx, Action::Read, &row)?;
    let mut all = holds::standing(ctx.db.read().await?.tx(), ServiceId(row.service_id), MOST).await?;
    all.retain(|h| h.snapshot_id.is_none() && h.item_id.is_none_or(|id| id == row.id));
    Ok(all)
}

/// The newest snapshot of an item against which nothing speaks: what a restore proposes.
pub async fn last_good(ctx: &Ctx, item: ItemId) -> Result<Option<GoodRow>> {
    let row = items::find(ctx.db.read().await?.tx(), item).await?.ok_or_else(|| OpsError::not_found("item", item))?;
    require_on(ctx, Action::Read, &row)?;
    Ok(guard::last_good(ctx.db.read().await?.tx(), item).await?)
}

/// What a person wants to be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// A service by name; not needed with a snapshot.
    pub service: String,
    /// One item of it; everything where it is empty.
    pub item: String,
    pub snapshot: Option<SnapshotId>,
    pub reason: String,
}

/// Places a hold over a service, an item or a snapshot.
///
/// # Errors
/// `NotFound`; `Invalid` for an empty or overlong reason, an item of several sources, a snapshot of no service.
pub async fn place(ctx: &Ctx, what: &Place) -> Result<HoldId> {
    require_on(ctx, Action::Hold, On::Any)?;
    let reason = checked(&what.reason)?;
    let mut t = ctx.db.begin_audited().await?;
    let (service, item) = if let Some(id) = what.snapshot {
        let row = snapshots::find(t.tx(), id).await?.filter(|s| s.gone_at.is_none()).ok_or_else(|| OpsError::not_found("snapshot", id))?;
        let service = row.service_id.ok_or_else(|| OpsError::invalid("snapshot", "belongs to no service that Holdfast knows, so it is never forgotten"))?;
        (ServiceId(service), row.item_id.map(ItemId))
    } else {
        let service = service(&mut t, &what.service).await?;
        let item = if what.item.is_empty() { None } else { Some(ItemId(item(&mut t, &service, &what.item).await?.id)) };
        (service.id(), item)
    };
    require_on(ctx, Action::Hold, On::Service(service))?;
    let new = NewHold {
        service,
        item,
        snapshot: what.snapshot,
        kind: HoldKind::Person,
        reason: reason.to_owned(),
        facts: None,
        run: None,
        actor: ctx.actor.name.clone(),
    };
    let id = holds::place(t.tx(), &new, ctx.now()).await?;
    let after = json!({"kind": "person", "service": service, "item": item, "snapshot": what.snapshot, "reason": reason});
    ctx.audit(t.tx(), NewEvent { action: "hold.place", entity: "hold", entity_id: id.to_string(), before: None, after: Some(after) }).await?;
    t.commit().await?;
    Ok(id)
}

async fn service(t: &mut store::db::Transaction, name: &str) -> Result<ServiceRow> {
    if name.is_empty() {
        return Err(OpsError::invalid("service", "is empty; name the service that is to be held"));
    }
    services::find_by_name(t.tx(), name).await?.ok_or_else(|| OpsError::not_found("service", name))
}

async fn item(t: &mut store::db::Transaction, service: &ServiceRow, name: &str) -> Result<ItemRow> {
    let mut found = items::named(t.tx(), service.id(), name).await?;
    if found.len() > 1 {
        return Err(OpsError::invalid("item", format!("several sources of {} have an item {name}; hold the service, or one of its snapshots", service.name)));
    }
    found.pop().ok_or_else(|| OpsError::not_found("item", name))
}

/// Ends a hold. Of a guard's: what it changed was in order, or the item is in order again.
///
/// # Errors
/// `Conflict` where it has ended; `Invalid` for an empty or overlong reason.
pub async fn release(ctx: &Ctx, id: HoldId, reason: &str) -> Result<()> {
    require_on(ctx, Action::Hold, On::Any)?;
    let reason = checked(reason)?;
    let mut t = ctx.db.begin_audited().await?;
    let row = holds::find(t.tx(), id).await?.ok_or_else(|| OpsError::not_found("hold", id))?;
    require_on(ctx, Action::Hold, On::Service(ServiceId(row.service_id)))?;
    if !holds::release(t.tx(), id, &ctx.actor.name, reason, ctx.now()).await? {
        return Err(ended(&row));
    }
    let vouched = if row.kept_at.is_some() { guard::vouch(t.tx(), id).await? } else { 0 };
    let before =
        json!({"kind": row.kind, "decision": row.decision, "reason": row.reason, "decided_by": row.released_by, "decision_reason": row.release_reason});
    let after = json!({"decision": "released", "reason": reason, "vouched": vouched});
    ctx.audit(t.tx(), NewEvent { action: "hold.release", entity: "hold", entity_id: id.to_string(), before: Some(before), after: Some(after) }).await?;
    t.commit().await?;
    Ok(())
}

/// Decides that a guard was right: what it found was an attack or an accident.
///
/// # Errors
/// `Conflict` where it has ended or is kept already; `Invalid` for a hold that a person placed, or a bad reason.
pub async fn keep(ctx: &Ctx, id: HoldId, reason: &str) -> Result<()> {
    require_on(ctx, Action::Hold, On::Any)?;
    let reason = checked(reason)?;
    let mut t = ctx.db.begin_audited().await?;
    let row = holds::find(t.tx(), id).await?.ok_or_else(|| OpsError::not_found("hold", id))?;
    require_on(ctx, Action::Hold, On::Service(ServiceId(row.service_id)))?;
    if row.kind != HoldKind::Guard.as_str() {
        return Err(OpsError::invalid("hold", "was placed by a person and stands until it is released; there is nothing to decide"));
    }
    if !holds::keep(t.tx(), id, &ctx.actor.name, reason).await? {
        return Err(ended(&row));
    }
    guard::kept(t.tx(), id, ctx.now()).await?;
    let marked = guard::marked(t.tx(), id).await?;
    let before = json!({"kind": row.kind, "decision": row.decision, "reason": row.reason});
    let after = json!({"decision": "kept", "reason": reason, "bad_snapshots": marked});
    ctx.audit(t.tx(), NewEvent { action: "hold.keep", entity: "hold", entity_id: id.to_string(), before: Some(before), after: Some(after) }).await?;
    t.commit().await?;
    Ok(())
}

fn ended(row: &HoldRow) -> OpsError {
    let by = row.released_by.as_deref().unwrap_or("somebody");
    OpsError::Conflict(match state(row) {
        State::Ended => format!("this hold has ended: {by} released it"),
        _ => format!("{by} has decided to keep this hold already; it ends by a release"),
    })
}

fn checked(reason: &str) -> Result<&str> {
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(OpsError::invalid("reason", "is empty; say why, for whoever reads this in a year"));
    }
    if reason.chars().count() > LONGEST {
        return Err(OpsError::invalid("reason", format!("is longer than {LONGEST} characters; shorten it")));
    }
    Ok(reason)
}
