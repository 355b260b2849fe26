//! Clones of instances: ordering one, listing them with what they take, giving one more time, ending one (R23).
//!
//! Lives here: the use cases. May not: the cloud (a run makes a clone, `runner::clones` takes it away).
//! Invariants: the snapshot is chosen when the run is queued; every clone has an end; only its time is changed here.

pub mod preview;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

use domain::{
    field::FieldError,
    id::{CloneId, RepositoryId, RunId, ServiceId, SnapshotId, SourceId},
    instance::{CLONE_DAYS, Chosen, CloneParams, MOST_CLONE_DAYS, NativeSnapshot, Networks, Pattern, When, clone_name},
    run::RunKind,
    units::Timestamp,
};
use serde_json::json;
use store::{
    audit::NewEvent,
    clones::{self, CloneRow, Sums},
    items,
    services::{self, ServiceRow},
    snapshots::{self, SnapshotRow},
};
use uuid::Uuid;

use crate::{
    Ctx, OpsError, Result,
    config::Tools,
    permission::{Action, On, require_on},
    runs::{self, PAGE, Start},
};

/// Snapshots of one instance that are looked through for a date.
const MOST: i64 = 20_000;
/// Candidates that a message names.
const NAMED: usize = 10;
/// The longest reason.
const LONGEST: usize = 500;

/// A clone as somebody orders it. What is empty has its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The snapshot, or an instance and a date.
    pub snapshot: Option<SnapshotId>,
    pub instance: String,
    /// `YYYYMMDD` or `YYYYMMDDHHMM` in UTC, of names by `pattern`.
    pub date: String,
    pub pattern: String,
    pub clone_name: String,
    pub availability_zone: String,
    pub flavour: String,
    pub metadata: BTreeMap<String, Option<String>>,
    pub networks: Networks,
    pub days: u32,
    pub wait: bool,
    pub hook: String,
    pub to_addr_success: Vec<String>,
    pub to_addr_error: Vec<String>,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            snapshot: None,
            instance: String::new(),
            date: String::new(),
            pattern: Pattern::DEFAULT.to_owned(),
            clone_name: String::new(),
            availability_zone: String::new(),
            flavour: String::new(),
            metadata: BTreeMap::new(),
            networks: Networks::Same,
            days: CLONE_DAYS,
            wait: true,
            hook: String::new(),
            to_addr_success: Vec::new(),
            to_addr_error: Vec::new(),
        }
    }
}

/// A snapshot that an order can mean.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub row: SnapshotRow,
    pub native: NativeSnapshot,
    /// The minute in its name; when it was taken where the name has none.
    pub at: Timestamp,
}

impl Candidate {
    pub const fn id(&self) -> SnapshotId {
        SnapshotId(self.row.id)
    }
}

/// Orders a clone. `tools` is what may be called when it runs.
///
/// # Errors
/// `NotFound` for the service and the snapshot; `Invalid` names each field, and for a day with several snapshots each of
/// them; `Conflict` for a snapshot that the cloud has not finished.
pub async fn start(ctx: &Ctx, tools: &Tools, service: &str, order: &Order) -> Result<RunId> {
    require_on(ctx, Action::Restore, On::Any)?;
    let service = of_name(ctx, service).await?;
    let chosen = choose(ctx, &service, order).await?;
    let params = checked(ctx, tools, &chosen, order)?;
    enqueue(ctx, &service, &chosen.row, params, None).await
}

/// What a run of the order would be asked for.
fn checked(ctx: &Ctx, tools: &Tools, chosen: &Candidate, order: &Order) -> Result<CloneParams> {
    let clone_name = if order.clone_name.is_empty() { clone_name(&chosen.native.server.name, ctx.now()) } else { order.clone_name.clone() };
    let params = CloneParams {
        availability_zone: order.availability_zone.clone(),
        flavour: order.flavour.clone(),
        metadata: order.metadata.clone(),
        networks: order.networks.clone(),
        days: order.days,
        wait: order.wait,
        hook: (!order.hook.is_empty()).then(|| order.hook.clone()),
        to_addr_success: order.to_addr_success.clone(),
        to_addr_error: order.to_addr_error.clone(),
        ..CloneParams::new(chosen.id(), chosen.native.server.name.clone(), clone_name)
    };
    let mut wrong = params.check();
    if let Some(problem) = params.hook.as_deref().and_then(|h| tools.hook_problem(h)) {
        wrong.push(FieldError::new("hook", problem));
    }
    if wrong.is_empty() { Ok(params) } else { Err(OpsError::Invalid(wrong)) }
}

/// Orders again what an ended run was asked for, of the same snapshot.
pub(crate) async fn again(ctx: &Ctx, params: CloneParams, run: RunId) -> Result<RunId> {
    require_on(ctx, Action::Restore, On::Any)?;
    let row = finished(ctx, params.snapshot).await?.0;
    let id = row.service_id.map(ServiceId).ok_or_else(|| OpsError::not_found("service", params.snapshot))?;
    require_on(ctx, Action::Restore, On::Service(id))?;
    let service = services::find(ctx.db.read().await?.tx(), id).await?.ok_or_else(|| OpsError::not_found("service", id))?;
    enqueue(ctx, &service, &row, params, Some(run)).await
}

async fn enqueue(ctx: &Ctx, service: &ServiceRow, row: &SnapshotRow, params: CloneParams, retry_of: Option<RunId>) -> Result<RunId> {
    let start = Start {
        kind: RunKind::InstanceClone,
        service: Some(service.id()),
        source: row.source_id.map(SourceId),
        repository: Some(RepositoryId(row.repository_id)),
        title: format!("Clone of {}/{} as {}", service.name, params.instance, params.clone_name),
        unique_key: Some(format!("clone:{}:{}", row.repository_id, params.clone_name)),
        params,
        retry_of,
        priority: 10,
        resource_key: None,
    };
    runs::enqueue(ctx, start).await
}

/// The snapshot that an order means.
pub async fn choose(ctx: &Ctx, service: &ServiceRow, order: &Order) -> Result<Candidate> {
    require_on(ctx, Action::Restore, On::Service(service.id()))?;
    if let Some(id) = order.snapshot {
        let (row, native) = finished(ctx, id).await?;
        if row.service_id != Some(service.id) {
            return Err(OpsError::not_found("snapshot", id));
        }
        return Ok(Candidate { at: Timestamp(row.taken_at), row, native });
    }
    if order.instance.is_empty() {
        return Err(OpsError::invalid("instance", "is empty; name an instance and a date, or choose a snapshot"));
    }
    let when = When::parse(&order.date).map_err(|e| OpsError::invalid("date", e.to_string()))?;
    let all = candidates(ctx, service, &order.instance, &order.pattern).await?;
    let places: Vec<(usize, Timestamp)> = all.iter().enumerate().map(|(n, c)| (n, c.at)).collect();
    let named = |places: &[usize]| {
        let more = if places.len() > NAMED { format!(" and {} more", places.len() - NAMED) } else { String::new() };
        let names: Vec<String> = places.iter().take(NAMED).map(|n| format!("{} ({})", all[*n].row.label, all[*n].row.id)).collect();
        format!("{}{more}", names.join(", "))
    };
    match when.choose(&places) {
        Chosen::One(n) => match all[n].row.state.as_str() {
            "pending" => Err(unfinished(&all[n].row)),
            _ => Ok(all[n].clone()),
        },
        Chosen::Several(places) => {
            let remedy = if matches!(when, When::Day(_)) { "give the minute as YYYYMMDDHHMM, or choose one by its id" } else { "choose one by its id" };
            Err(OpsError::invalid("date", format!("{when} means {} snapshots of {}: {}; {remedy}", places.len(), order.instance, named(&places))))
        }
        Chosen::None => {
            let newest: Vec<usize> = (0..all.len().min(3)).collect();
            let has = if all.is_empty() { "there is none of this instance by this pattern".to_owned() } else { format!("the newest are {}", named(&newest)) };
            Err(OpsError::invalid("date", format!("{} has no snapshot of {when}; {has}", order.instance)))
        }
    }
}

/// Those of `all` that a date means, for whoever chooses among several.
pub fn meant<'a>(all: &'a [Candidate], date: &str) -> Vec<&'a Candidate> {
    let Ok(when) = When::parse(date) else { return Vec::new() };
    let places: Vec<(usize, Timestamp)> = all.iter().enumerate().map(|(n, c)| (n, c.at)).collect();
    match when.choose(&places) {
        Chosen::One(n) => all.get(n).into_iter().collect(),
        Chosen::Several(places) => places.into_iter().filter_map(|n| all.get(n)).collect(),
        Chosen::None => Vec::new(),
    }
}

/// The snapshots of an instance whose names fit the pattern, the newest first, also of one that is gone.
pub async fn candidates(ctx: &Ctx, service: &ServiceRow, instance: &str, pattern: &str) -> Result<Vec<Candidate>> {
    require_on(ctx, Action::Restore, On::Service(service.id()))?;
    let pattern = Pattern::parse(pattern).map_err(|e| OpsError::invalid("pattern", e.to_string()))?;
    let mut read = ctx.db.read().await?;
    let mut found = Vec::new();
    for item in items::all_named(read.tx(), service.id(), instance).await? {
        for row in snapshots::of_item(read.tx(), domain::id::ItemId(item.id), (Timestamp(i64::MAX), Uuid::max()), MOST).await? {
            let Some(native) = row.in_cloud().cloned() else { continue };
            let Some((_, at)) = pattern.read(&row.label).filter(|(name, _)| *name == native.server.name) else { continue };
            found.push(Candidate { row, native, at });
        }
    }
    found.sort_by_key(|c| std::cmp::Reverse((c.at, c.row.id)));
    Ok(found)
}

/// A snapshot of an instance that is there and whole.
pub(crate) async fn finished(ctx: &Ctx, id: SnapshotId) -> Result<(SnapshotRow, NativeSnapshot)> {
    require_on(ctx, Action::Restore, On::Any)?;
    let row = snapshots::find(ctx.db.read().await?.tx(), id).await?.filter(|s| s.gone_at.is_none()).ok_or_else(|| OpsError::not_found("snapshot", id))?;
    require_on(ctx, Action::Restore, &row)?;
    if row.offsite().is_some() {
        return Err(OpsError::Conflict(format!("{} is an offsite copy; return it to a cloud first, and take the snapshot that comes of it", row.label)));
    }
    let Some(native) = row.in_cloud().cloned() else {
        return Err(OpsError::invalid("snapshot", "holds files and no instance; restore it on its own page"));
    };
    if row.state == "pending" {
        return Err(unfinished(&row));
    }
    Ok((row, native))
}

fn unfinished(row: &SnapshotRow) -> OpsError {
    OpsError::Conflict(format!("the cloud has not finished {}; wait until it is complete, or take an older one", row.label))
}

pub async fn of_name(ctx: &Ctx, name: &str) -> Result<ServiceRow> {
    require_on(ctx, Action::Restore, On::Any)?;
    let found = services::find_by_name(ctx.db.read().await?.tx(), name).await?.filter(|s| s.removed_at.is_none());
    let row = found.ok_or_else(|| OpsError::not_found("service", name))?;
    require_on(ctx, Action::Restore, On::Service(row.id()))?;
    Ok(row)
}

/// Clones of a service, the newest first, before the key of the last one seen; those alone that stand where `standing`.
pub async fn list(ctx: &Ctx, service: &str, standing: bool, before: Option<(Timestamp, CloneId)>, limit: i64) -> Result<Vec<CloneRow>> {
    let service = crate::services::find(ctx, service).await?;
    let before = before.map_or((Timestamp(i64::MAX), Uuid::max()), |(at, id)| (at, id.0));
    Ok(clones::page(ctx.db.read().await?.tx(), service.id(), standing, before, limit.clamp(1, PAGE)).await?)
}

/// What the clones of a service that stand take together.
pub async fn sums(ctx: &Ctx, service: &str) -> Result<Sums> {
    let service = crate::services::find(ctx, service).await?;
    Ok(clones::sums(ctx.db.read().await?.tx(), service.id()).await?)
}

pub async fn find(ctx: &Ctx, service: &str, id: CloneId) -> Result<CloneRow> {
    let service = crate::services::find(ctx, service).await?;
    let row = clones::find(ctx.db.read().await?.tx(), id).await?.filter(|c| c.service_id == service.id);
    row.ok_or_else(|| OpsError::not_found("clone", id))
}

/// The clone that a run has made.
pub async fn of_run(ctx: &Ctx, run: RunId) -> Result<Option<CloneRow>> {
    runs::find(ctx, run).await?;
    Ok(clones::of_run(ctx.db.read().await?.tx(), run).await?)
}

/// How a clone stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The cloud has accepted it and nobody has seen it run.
    Building,
    Stands,
    /// It stands, and does not run; its trouble says why.
    Failed,
    /// Its time is over, and it is being taken away.
    Ending,
    Ended,
}

impl State {
    pub fn of(row: &CloneRow, now: Timestamp) -> Self {
        match (row.ended_at, row.ready_at) {
            (Some(_), _) => Self::Ended,
            _ if row.expires_at <= now.0 => Self::Ending,
            (None, None) => Self::Building,
            (None, Some(_)) if row.trouble.is_some() => Self::Failed,
            (None, Some(_)) => Self::Stands,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Stands => "stands",
            Self::Failed => "failed",
            Self::Ending => "ending",
            Self::Ended => "ended",
        }
    }
}

/// Ends a clone at once: its server and its volumes are deleted. `confirm` is its name, typed.
///
/// # Errors
/// `NotFound`; `Invalid` for the name and the reason; `Conflict` where it has ended or is being ended.
pub async fn end(ctx: &Ctx, service: &str, id: CloneId, confirm: &str, reason: &str) -> Result<()> {
    let service = of_name(ctx, service).await?;
    let mut t = ctx.db.begin_audited().await?;
    let row = clones::find(t.tx(), id).await?.filter(|c| c.service_id == service.id).ok_or_else(|| OpsError::not_found("clone", id))?;
    let mut wrong = Vec::new();
    if confirm.trim() != row.name {
        wrong.push(FieldError::new("confirm", format!("deletes a server and its volumes; type the clone's name, {}", row.name)));
    }
    wrong.extend(reason_problem(reason));
    if !wrong.is_empty() {
        return Err(OpsError::Invalid(wrong));
    }
    let reason = reason.trim();
    if !clones::end(t.tx(), id, &format!("{} ended it: {reason}", ctx.actor.name), ctx.now()).await? {
        return Err(over(&row));
    }
    audited(ctx, &mut t, &row, "clone.end", json!({"reason": reason})).await?;
    t.commit().await?;
    store::wake::queue();
    Ok(())
}

/// Gives a clone time until so many days from now.
///
/// # Errors
/// `NotFound`; `Invalid` for the days, and where that is no later than its end; `Conflict` where its time is over, or
/// somebody else has changed it.
pub async fn lengthen(ctx: &Ctx, service: &str, id: CloneId, days: u32) -> Result<Timestamp> {
    let service = of_name(ctx, service).await?;
    if !(1..=MOST_CLONE_DAYS).contains(&days) {
        return Err(OpsError::invalid("days", format!("must be from 1 to {MOST_CLONE_DAYS}, counted from now")));
    }
    let now = ctx.now();
    let until = now.plus_secs(i64::from(days) * 86_400);
    let mut t = ctx.db.begin_audited().await?;
    let row = clones::find(t.tx(), id).await?.filter(|c| c.service_id == service.id).ok_or_else(|| OpsError::not_found("clone", id))?;
    if row.ended_at.is_some() || row.ended_why.is_some() || row.expires_at <= now.0 {
        return Err(over(&row));
    }
    if until.0 <= row.expires_at {
        return Err(OpsError::invalid("days", "would end it no later than it ends now; give more days, or end it"));
    }
    if !clones::move_end(t.tx(), id, Timestamp(row.expires_at), until, now).await? {
        return Err(OpsError::Conflict("somebody else has changed when this clone ends; load the page again".to_owned()));
    }
    audited(ctx, &mut t, &row, "clone.lengthen", json!({"expires_at": until})).await?;
    t.commit().await?;
    Ok(until)
}

/// What is wrong with a reason, if anything.
pub(crate) fn reason_problem(reason: &str) -> Option<FieldError> {
    let reason = reason.trim();
    if reason.is_empty() {
        Some(FieldError::new("reason", "is empty; say why, for whoever reads this in a year"))
    } else if reason.chars().count() > LONGEST {
        Some(FieldError::new("reason", format!("is longer than {LONGEST} characters; shorten it")))
    } else {
        None
    }
}

async fn audited(ctx: &Ctx, t: &mut store::db::Transaction, row: &CloneRow, action: &'static str, after: serde_json::Value) -> Result<()> {
    let before = json!({"name": row.name, "server": row.server_id, "expires_at": row.expires_at});
    ctx.audit(t.tx(), NewEvent { action, entity: "clone", entity_id: row.id.to_string(), before: Some(before), after: Some(after) }).await
}

fn over(row: &CloneRow) -> OpsError {
    let why = row.ended_why.as_deref().unwrap_or("its time was over");
    OpsError::Conflict(match row.ended_at {
        Some(_) => format!("{} has ended: {why}", row.name),
        None => format!("{} is being taken away: {why}", row.name),
    })
}
