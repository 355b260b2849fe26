//! Adopting all that fits a pattern, so that a site that took its snapshots with other tools goes on without a break.
//!
//! Lives here: the preview and the act. May not: adopting anything by itself: `max_snapshots` would then delete it.
//! Invariant: what the preview lists is what the act would adopt then.

use domain::{
    id::ItemId,
    instance::{Pattern, orphan::unknown},
    units::Timestamp,
};
use store::{
    Tx, native,
    orphans::{self, OrphanRow},
    wake,
};
use uuid::Uuid;

use super::{
    Place, orphans as ours, place,
    places::{self, Places, scheduled},
};
use crate::{
    Ctx, OpsError, Result,
    permission::{Action, require},
};

/// Snapshots of one act.
pub const MOST: usize = 500;
const PAGE: i64 = 500;

/// One snapshot that fits.
#[derive(Clone, Debug)]
pub struct Adoption {
    pub orphan: OrphanRow,
    pub instance: String,
    pub taken_at: Timestamp,
    /// The instance is in the cloud.
    pub present: bool,
    /// What nobody knows of the instance as it was.
    pub unknown: Vec<&'static str>,
    /// Why it stays an orphan, if so.
    pub cannot: Option<String>,
}

/// What a schedule would delete, once they are adopted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beyond {
    pub schedule: String,
    pub max_snapshots: u32,
    pub snapshots: usize,
}

#[derive(Clone, Debug)]
pub struct Adoptions {
    pub place: Place,
    pub pattern: Pattern,
    /// By instance and time.
    pub all: Vec<Adoption>,
    /// Some more fit: adopt these first.
    pub more: bool,
    pub beyond: Vec<Beyond>,
}

/// What [`all`] would adopt now. Nothing is adopted.
///
/// # Errors
/// `Invalid` for the field `pattern`; `NotFound`; `Conflict` for a source of another kind.
pub async fn preview(ctx: &Ctx, service: &str, source: &str, pattern: &str) -> Result<Adoptions> {
    require(ctx, Action::Configure)?;
    let place = place(ctx, Action::Configure, service, source).await?;
    let pattern = Pattern::parse(pattern.trim()).map_err(|e| OpsError::invalid("pattern", e.to_string()))?;
    let mut read = ctx.db.read().await?;
    let (all, more) = fitting(read.tx(), &place, &pattern).await?;
    let beyond = beyond(read.tx(), &place, &pattern, &all).await?;
    Ok(Adoptions { place, pattern, all, more, beyond })
}

/// Adopts all that fit the pattern; how many.
///
/// # Errors
/// As [`preview`]; `Conflict` where none fits.
pub async fn all(ctx: &Ctx, service: &str, source: &str, pattern: &str) -> Result<usize> {
    let found = preview(ctx, service, source, pattern).await?;
    let mut t = ctx.db.begin_audited().await?;
    let mut adopted = 0;
    for one in found.all.iter().filter(|a| a.cannot.is_none()) {
        let spot = ours::Spot { service: &found.place.service, source: &found.place.source, instance: one.instance.clone(), taken_at: one.taken_at };
        ours::record(ctx, &mut t, &one.orphan, &spot).await?;
        adopted += 1;
    }
    if adopted == 0 {
        return Err(OpsError::Conflict(format!("nothing in {} fits {} and can be adopted; look at the cloud first", found.place.cloud.name, found.pattern)));
    }
    ours::count(&mut t, &found.place.service, ctx.now()).await?;
    t.commit().await?;
    wake::queue();
    Ok(adopted)
}

async fn fitting(mut tx: Tx<'_>, place: &Place, pattern: &Pattern) -> Result<(Vec<Adoption>, bool)> {
    let cloud = place.cloud.id();
    let places = Places::of(tx.by_ref(), cloud).await?;
    let Some(of) = places.all().iter().find(|of| of.source.id == place.source.id) else { return Ok((Vec::new(), false)) };
    let mut fits = Vec::new();
    let mut after = Uuid::nil();
    loop {
        let page = orphans::all(tx.by_ref(), cloud, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        let read = |row: OrphanRow| pattern.read(&row.name).filter(|(instance, _)| of.takes(instance)).map(|(instance, at)| (row, instance, at));
        fits.extend(page.into_iter().filter_map(read));
    }
    fits.sort_by(|a, b| (&a.1, a.2, a.0.id).cmp(&(&b.1, b.2, b.0.id)));
    let more = fits.len() > MOST;
    fits.truncate(MOST);
    let mut all = Vec::with_capacity(fits.len());
    for (orphan, instance, taken_at) in fits {
        let item = places::item(tx.by_ref(), &place.source, &orphan.native.server, &instance).await?;
        let (unknown, cannot) = (unknown(&orphan.native), ours::stands_against(&orphan)?);
        all.push(Adoption { present: item.is_some_and(|i| i.gone_at.is_none()), unknown, cannot, orphan, instance, taken_at });
    }
    Ok((all, more))
}

/// What `max_snapshots` of the schedules with this pattern deletes next, of instances that get a snapshot again.
async fn beyond(mut tx: Tx<'_>, place: &Place, pattern: &Pattern, all: &[Adoption]) -> Result<Vec<Beyond>> {
    let mut found = Vec::new();
    for (schedule, of, max) in scheduled(tx.by_ref(), &place.service, &place.source).await? {
        if max == 0 || of != *pattern {
            continue;
        }
        let mut beyond = 0;
        for same in all.chunk_by(|a, b| a.instance == b.instance) {
            let new = same.iter().filter(|a| a.cannot.is_none()).count();
            if new == 0 || !same[0].present {
                continue;
            }
            let known = match places::item(tx.by_ref(), &place.source, &same[0].orphan.native.server, &same[0].instance).await? {
                Some(item) => {
                    let rows = native::of_item(tx.by_ref(), ItemId(item.id), place.cloud.id()).await?;
                    rows.iter().filter(|r| pattern.read(&r.label).is_some_and(|(instance, _)| instance == same[0].instance)).count()
                }
                None => 0,
            };
            // The snapshot that the schedule takes counts, too.
            beyond += (known + new + 1).saturating_sub(max as usize).min(known + new);
        }
        if beyond > 0 {
            found.push(Beyond { schedule: schedule.name, max_snapshots: max, snapshots: beyond });
        }
    }
    Ok(found)
}
