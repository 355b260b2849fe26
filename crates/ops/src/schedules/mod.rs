//! Schedules: making, changing, pausing them, and what they bring about.
//!
//! Lives here: the use cases. May not: cron expressions (`cron`), what a tick that is due becomes
//! (`domain::schedule::decide`). Invariant: before a schedule changes, what is due under its old rule is in the ledger.

pub mod beside;
mod draft;
mod keeping;
mod tick;

use domain::{
    id::ScheduleId,
    schedule::{Misfire, ScheduleKind},
    units::Timestamp,
};
pub use draft::{ClockChange, Draft, Meaning, Preview, Suggestion, Target, meaning, preview, suggestions};
pub use keeping::{Imagined, Keeping};
use serde_json::{Value, json};
use store::{
    Tx,
    audit::NewEvent,
    db::Transaction,
    schedules::{self, Filter, NewSchedule, ScheduleRow},
    ticks::{self, LastTick},
    wake,
};
pub use tick::{Ticked, clock_went_back, due, next_run_at, stop_overlong, tick};

use crate::{
    Ctx, OpsError, Result, cron,
    permission::{Action, On, Sight, require, require_on, sight},
    runs,
    version::{Seen, Subject},
};

/// How many schedules there may be.
pub const MOST: i64 = 10_000;
/// The longest reason of a pause, in characters.
const LONGEST_REASON: usize = 500;

/// Schedules by name after the name `after`, at most `limit` (up to 500).
pub async fn list(ctx: &Ctx, filter: &Filter, after: &str, limit: i64) -> Result<Vec<ScheduleRow>> {
    let limit = limit.clamp(1, runs::PAGE);
    if sight(ctx, Action::Read)? == Sight::All {
        return Ok(schedules::page(ctx.db.read().await?.tx(), filter, after, limit).await?);
    }
    let mut all = Vec::new();
    for service in crate::services::owned_names(ctx, &filter.service).await? {
        all.extend(schedules::page(ctx.db.read().await?.tx(), &Filter { service, ..filter.clone() }, after, limit).await?);
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all.truncate(usize::try_from(limit).unwrap_or(0));
    Ok(all)
}

/// The schedule of that name, unless it was removed.
pub async fn find(ctx: &Ctx, name: &str) -> Result<ScheduleRow> {
    require_on(ctx, Action::Read, On::Any)?;
    let row = schedules::find_by_name(ctx.db.read().await?.tx(), name).await?;
    let row = row.filter(|s| s.removed_at.is_none()).ok_or_else(|| OpsError::not_found("schedule", name))?;
    require_on(ctx, Action::Read, On::service(row.service_id))?;
    Ok(row)
}

/// The schedule with that id, also when it was removed: runs and the ledger still name it.
pub async fn find_by_id(ctx: &Ctx, id: ScheduleId) -> Result<ScheduleRow> {
    require_on(ctx, Action::Read, On::Any)?;
    let row = schedules::find(ctx.db.read().await?.tx(), id).await?.ok_or_else(|| OpsError::not_found("schedule", id))?;
    require_on(ctx, Action::Read, On::service(row.service_id))?;
    Ok(row)
}

/// The newest row of the ledger of each of some schedules.
pub async fn last_ticks(ctx: &Ctx, of: &[ScheduleRow]) -> Result<Vec<Option<LastTick>>> {
    require_on(ctx, Action::Read, On::Any)?;
    let mut found = Vec::with_capacity(of.len());
    for schedule in of {
        require_on(ctx, Action::Read, On::service(schedule.service_id))?;
    }
    let mut read = ctx.db.read().await?;
    for schedule in of {
        found.push(ticks::last(read.tx(), schedule.id()).await?);
    }
    Ok(found)
}

/// The version of a schedule that is there: its revision, which goes up with each change and never comes back.
pub fn version(row: &ScheduleRow) -> String {
    row.revision.to_string()
}

/// Makes a schedule, or with the revision that was seen changes the one of that name.
///
/// # Errors
/// `Invalid` names each field; `runs_a_day` where so many runs must be confirmed. `Conflict` when somebody else changed
/// it since it was seen.
pub async fn save(ctx: &Ctx, draft: &Draft, revision: Option<i64>) -> Result<ScheduleId> {
    save_if(ctx, draft, revision, &Seen::Any).await
}

/// The same, where what is there is what was seen.
pub async fn save_if(ctx: &Ctx, draft: &Draft, revision: Option<i64>, seen: &Seen) -> Result<ScheduleId> {
    require(ctx, Action::Configure)?;
    let mut t = ctx.db.begin_audited().await?;
    let id = save_within(ctx, &mut t, draft, revision, seen).await?;
    t.commit().await?;
    wake::queue();
    Ok(id)
}

/// The schedule as it would stand after [`save_if`], which refuses the same. Nothing is written.
pub async fn would_save(ctx: &Ctx, draft: &Draft, revision: Option<i64>, seen: &Seen) -> Result<ScheduleRow> {
    require(ctx, Action::Configure)?;
    let mut t = ctx.db.begin_audited().await?;
    let id = save_within(ctx, &mut t, draft, revision, seen).await?;
    // Without a commit the transaction leaves nothing behind.
    schedules::find(t.tx(), id).await?.ok_or_else(|| OpsError::not_found("schedule", id))
}

async fn save_within(ctx: &Ctx, t: &mut Transaction, draft: &Draft, revision: Option<i64>, seen: &Seen) -> Result<ScheduleId> {
    let old = schedules::find_by_name(t.tx(), &draft.name).await?;
    match (&old, revision) {
        (Some(row), None) if row.removed_at.is_none() => {
            return Err(OpsError::invalid("name", format!("there is a schedule {} already; choose another name, or change that one", draft.name)));
        }
        (Some(row), Some(_)) if row.removed_at.is_some() => return Err(OpsError::not_found("schedule", &draft.name)),
        (None, Some(_)) => return Err(OpsError::not_found("schedule", &draft.name)),
        _ => {}
    }
    check(t.tx(), &draft.name, old.as_ref(), seen).await?;
    if let (Some(row), Some(revision)) = (&old, revision)
        && row.revision != revision
    {
        return Err(changed(&draft.name));
    }
    let id = save_in(ctx, t, draft, old.as_ref()).await?;
    let target = draft::resolve(t.tx(), draft.kind, &draft.of).await?;
    draft::fits(t.tx(), &target, draft, true).await?;
    let before = old.as_ref().filter(|o| o.removed_at.is_none()).map(values);
    let action = if before.is_some() { "schedule.change" } else { "schedule.create" };
    ctx.audit(t.tx(), NewEvent { action, entity: "schedule", entity_id: id.to_string(), before, after: Some(draft.values()) }).await?;
    Ok(id)
}

/// The same inside the caller's transaction, without an audit event.
pub(crate) async fn save_in(ctx: &Ctx, t: &mut Transaction, draft: &Draft, old: Option<&ScheduleRow>) -> Result<ScheduleId> {
    let target = draft::resolve(t.tx(), draft.kind, &draft.of).await?;
    let checked = draft.check(draft::kept(t.tx(), &target).await?)?;
    draft::defined(t.tx(), &target, draft).await?;
    draft::fits(t.tx(), &target, draft, false).await?;
    match old {
        Some(row) if row.removed_at.is_none() => tick::settle(ctx, t, row).await?,
        _ if schedules::count(t.tx()).await? >= MOST => {
            return Err(OpsError::Conflict(format!("there are {MOST} schedules already; remove one first")));
        }
        _ => {}
    }
    let (service, source, repository) = target.ids();
    let mut new = NewSchedule {
        name: draft.name.clone(),
        kind: draft.kind,
        service,
        source,
        repository,
        params: draft.params(),
        cron: checked.cron.as_str().to_owned(),
        zone: draft.zone.clone(),
        jitter_s: draft.jitter_s,
        max_duration_s: draft.max_duration_s,
        misfire: draft.misfire,
        runs_a_day: draft.runs_a_day,
        next_at: Timestamp(i64::MAX),
        next_run_at: Timestamp(i64::MAX),
    };
    if let Some(at) = checked.cron.next(ctx.now(), &checked.zone) {
        (new.next_at, new.next_run_at) = (at, at.plus_secs(tick::jitter(&new.name, at, new.jitter_s)));
    }
    Ok(schedules::upsert(t.tx(), &new, ctx.now()).await?)
}

/// Whether what is there is what was seen. A schedule that was removed is not there.
async fn check(tx: Tx<'_>, name: &str, row: Option<&ScheduleRow>, seen: &Seen) -> Result<()> {
    let there = row.filter(|s| s.removed_at.is_none()).map(version);
    let id = row.map_or_else(String::new, |s| s.id.to_string());
    seen.check(tx, Subject { words: "schedule", name, entity: "schedule", id }, there.as_deref()).await
}

fn changed(name: &str) -> OpsError {
    OpsError::Conflict(format!("the schedule {name} was changed since you saw it; load the page again and repeat it"))
}

/// What a change of a schedule is about, for the audit trail.
pub(crate) fn values(row: &ScheduleRow) -> Value {
    json!({
        "name": row.name, "kind": row.kind, "of": row.of(), "params": row.params.0, "cron": row.cron, "zone": row.zone, "jitter_s": row.jitter_s,
        "max_duration_s": row.max_duration_s, "misfire": row.misfire, "runs_a_day": row.runs_a_day,
    })
}

/// Pauses a schedule from now on, until a time where one is given. Its ticks are in the ledger as missed, with this reason.
pub async fn pause(ctx: &Ctx, name: &str, until: Option<Timestamp>, reason: &str) -> Result<()> {
    require_on(ctx, Action::Operate, On::Any)?;
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(OpsError::invalid("reason", "is empty; say why, for those who look at the ledger later"));
    }
    if reason.chars().count() > LONGEST_REASON {
        return Err(OpsError::invalid("reason", format!("is longer than {LONGEST_REASON} characters; shorten it")));
    }
    if until.is_some_and(|u| u <= ctx.now()) {
        return Err(OpsError::invalid("until", "is over already; give a time to come, or none to pause until somebody resumes it"));
    }
    edit(ctx, name, Edit::Pause { until, reason }, &Seen::Any).await
}

/// Lets a paused schedule go on with its next tick.
pub async fn resume(ctx: &Ctx, name: &str) -> Result<()> {
    require_on(ctx, Action::Operate, On::Any)?;
    edit(ctx, name, Edit::Resume, &Seen::Any).await
}

/// Takes a schedule out of use. Its ledger and its runs stay.
pub async fn remove(ctx: &Ctx, name: &str) -> Result<()> {
    remove_if(ctx, name, &Seen::Any).await
}

/// The same, where what is there is what was seen.
pub async fn remove_if(ctx: &Ctx, name: &str, seen: &Seen) -> Result<()> {
    require(ctx, Action::Configure)?;
    edit(ctx, name, Edit::Remove, seen).await
}

enum Edit<'a> {
    Pause { until: Option<Timestamp>, reason: &'a str },
    Resume,
    Remove,
}

/// Changes one schedule with its audit event, after what is due is in the ledger.
async fn edit(ctx: &Ctx, name: &str, edit: Edit<'_>, seen: &Seen) -> Result<()> {
    let mut t = ctx.db.begin_audited().await?;
    let row = schedules::find_by_name(t.tx(), name).await?.filter(|s| s.removed_at.is_none()).ok_or_else(|| OpsError::not_found("schedule", name))?;
    if !matches!(edit, Edit::Remove) {
        require_on(ctx, Action::Operate, On::service(row.service_id))?;
    }
    check(t.tx(), name, Some(&row), seen).await?;
    tick::settle(ctx, &mut t, &row).await?;
    let (action, after, done) = match edit {
        Edit::Pause { until, reason } => {
            let after = json!({"reason": reason, "until": until.map(|u| u.0)});
            ("schedule.pause", Some(after), schedules::pause(t.tx(), &row, until, &ctx.actor.name, reason, ctx.now()).await?)
        }
        Edit::Resume if row.paused_at.is_none() => return Err(OpsError::Conflict(format!("the schedule {name} is not paused"))),
        Edit::Resume => ("schedule.resume", None, schedules::resume(t.tx(), &row, ctx.now()).await?),
        Edit::Remove => ("schedule.remove", None, schedules::remove(t.tx(), &row, ctx.now()).await?),
    };
    if !done {
        return Err(changed(name));
    }
    ctx.audit(t.tx(), NewEvent { action, entity: "schedule", entity_id: row.id.to_string(), before: Some(values(&row)), after }).await?;
    t.commit().await?;
    wake::queue();
    Ok(())
}

/// The next `n` times of a schedule, without jitter.
pub fn next_times(row: &ScheduleRow, now: Timestamp, n: usize) -> Vec<Timestamp> {
    let (Ok(parsed), Some(zone)) = (cron::Cron::parse(&row.cron), cron::zone(&row.zone)) else { return Vec::new() };
    parsed.after(now, &zone).take(n).collect()
}

/// What a schedule says, as one who changes it starts from.
pub fn draft_of(row: &ScheduleRow) -> Result<Draft> {
    let kind = row.kind()?;
    let mut draft = Draft { name: row.name.clone(), kind, of: row.of(), ..Draft::default() };
    match kind {
        ScheduleKind::Backup => draft.snapshot = draft::snapshot_of(&row.params.0)?,
        ScheduleKind::Prune => {}
        ScheduleKind::Check => {
            draft.read_data = serde_json::from_value::<domain::work::CheckParams>(row.params.0.clone()).map_err(OpsError::internal)?.read_data;
        }
        ScheduleKind::RestoreTest => {
            let params: domain::work::RestoreTestParams = serde_json::from_value(row.params.0.clone()).map_err(OpsError::internal)?;
            (draft.selection, draft.definition) = (params.selection, params.definition);
        }
    }
    Ok(Draft {
        cron: row.cron.clone(),
        zone: row.zone.clone(),
        jitter_s: row.jitter_s,
        max_duration_s: row.max_duration_s,
        misfire: row.misfire().unwrap_or(Misfire::Once),
        runs_a_day: row.runs_a_day,
        ..draft
    })
}

#[cfg(test)]
mod draft_tests;
#[cfg(test)]
mod tests;
