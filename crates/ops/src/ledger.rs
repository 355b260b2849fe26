//! The ledger of what schedules expected: rows, rates, and what of it is an alarm (R18).
//!
//! Lives here: reading. May not: writing; rows come from `schedules::tick` and from the queue alone.

use domain::{id::TickId, schedule::Counts, units::Timestamp};
use store::{
    items::{self, Overdue},
    ticks::{self, Filter, NeverRan, TickRow},
};
use uuid::Uuid;

use crate::{
    Ctx, Result,
    permission::{Action, Sight, merged, require, sight},
    runs,
};

/// Rows of the ledger, the newest first, before the key of the last one seen.
pub async fn list(ctx: &Ctx, filter: Filter, before: Option<(Timestamp, TickId)>, limit: i64) -> Result<Vec<TickRow>> {
    let before = before.map_or((Timestamp(i64::MAX), Uuid::max()), |(at, id)| (at, id.0));
    let limit = limit.clamp(1, runs::PAGE);
    let mut pages = Vec::new();
    for part in parts(ctx, filter).await? {
        pages.push(ticks::page(ctx.db.read().await?.tx(), part, before, limit).await?);
    }
    Ok(merged(pages, |t| (t.due_at, t.id), limit))
}

/// What became of the ticks since then, of one schedule or service where the filter names it.
pub async fn counts(ctx: &Ctx, filter: Filter, since: Timestamp) -> Result<Counts> {
    let mut sum = Counts::default();
    for part in parts(ctx, filter).await? {
        sum = sum.plus(ticks::count(ctx.db.read().await?.tx(), part, since, Timestamp(i64::MAX)).await?);
    }
    Ok(sum)
}

/// The filters that together show what the actor sees of the ledger.
async fn parts(ctx: &Ctx, filter: Filter) -> Result<Vec<Filter>> {
    let Sight::Part { services, .. } = sight(ctx, Action::Read)? else { return Ok(vec![filter]) };
    if let Some(schedule) = filter.schedule {
        // It refuses one of another service.
        crate::schedules::find_by_id(ctx, schedule).await?;
        return Ok(vec![filter]);
    }
    let wanted = services.into_iter().filter(|s| filter.service.is_none_or(|of| of == *s));
    Ok(wanted.map(|service| Filter { service: Some(service), ..filter }).collect())
}

/// Schedules after the name `after` that were due and never had a run: each is an alarm.
pub async fn never_ran(ctx: &Ctx, after: &str, limit: i64) -> Result<Vec<NeverRan>> {
    require(ctx, Action::Read)?;
    Ok(ticks::never_ran(ctx.db.read().await?.tx(), after, limit.clamp(1, runs::PAGE)).await?)
}

/// Services after the name `after` with items that have no snapshot within the RPO: each is an alarm.
pub async fn overdue(ctx: &Ctx, after: &str, limit: i64) -> Result<Vec<Overdue>> {
    require(ctx, Action::Read)?;
    Ok(items::overdue(ctx.db.read().await?.tx(), ctx.now(), after, limit.clamp(1, runs::PAGE)).await?)
}

/// The names of a service's overdue items, the most overdue first.
pub async fn overdue_items(ctx: &Ctx, of: &Overdue, limit: i64) -> Result<Vec<String>> {
    require(ctx, Action::Read)?;
    let since = ctx.now().plus_secs(-of.rpo_s);
    Ok(items::overdue_names(ctx.db.read().await?.tx(), &of.name, since, limit.clamp(1, runs::PAGE)).await?)
}
