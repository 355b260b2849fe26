//! Repositories: what they take, how they grow, when they were checked, who can open them (R14).
//!
//! Lives here: the use cases that read. Beside them: what a place keeps (`keeping`), open repositories (`registry`), locks, the recovery kit (`kit`).
//! May not: checking, pruning, testing (those are runs), changing repositories (that is `ops::config`).

mod keeping;
mod kit;
mod locks;
mod registry;

use domain::{
    id::RepositoryId,
    tamper::Protection,
    units::{Timestamp, span},
};
pub use engine::repository::{StaleReason, tend::KeyRecord};
pub use keeping::{Need, keeping, misplaced, require_files};
pub use kit::{Kit, Place, kit};
pub use locks::{Clear, Inside, Lock, clear_lock, inside, would_clear};
pub use registry::Registry;
use store::{
    repositories::{self, RepositoryRow, SizeRow, UseRow},
    schedules::{self, Filter, ScheduleRow},
};

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, require},
};

/// The most sources of a repository that are named.
const MOST_USES: i64 = 1_000;
/// The most measurements that are read: one an hour for a year.
const MOST_SIZES: i64 = 366 * 24;
const DAY_S: i64 = 86_400;
/// Growth is that of so many days.
pub const GROWTH_DAYS: i64 = 30;

/// A repository as it stands.
#[derive(Clone, Debug)]
pub struct Repository {
    pub row: RepositoryRow,
    /// The newest measurement.
    pub newest: Option<SizeRow>,
    /// Bytes that it takes more than [`GROWTH_DAYS`] ago, and the days that were really measured.
    pub growth: Option<(i64, i64)>,
    /// The sources that are backed up into it.
    pub uses: Vec<UseRow>,
}

impl Repository {
    /// How many times more its snapshots would take if each were restored than it takes itself.
    pub fn dedup_ratio(&self) -> Option<f64> {
        let newest = self.newest.filter(|n| n.size_bytes > 0 && n.snapshot_bytes > 0)?;
        Some(newest.snapshot_bytes as f64 / newest.size_bytes as f64)
    }

    /// What the newest tamper test says; `None` where there was none.
    pub fn protection(&self) -> Option<Protection> {
        self.row.tamper_test.as_ref().map(|f| f.judge())
    }

    /// Seconds since the pack that has waited longest for its reading was last read, or first seen.
    pub fn oldest_unread_s(&self, now: Timestamp) -> Option<f64> {
        self.row.reading_waits_since.map(|at| now.secs_since(Timestamp(at)).max(0.0))
    }

    /// What is wrong with the reading of its data, in a sentence; `None` where it keeps what was promised.
    pub fn reading_late(&self, now: Timestamp) -> Option<String> {
        let within = self.row.read_all_within_s?;
        let oldest = self.oldest_unread_s(now)?;
        (oldest > within as f64).then(|| format!("A pack was last read {} ago; all are to be read within {}.", span(oldest), span(within as f64)))
    }
}

/// All that are configured, by name.
pub async fn list(ctx: &Ctx) -> Result<Vec<Repository>> {
    require(ctx, Action::Read)?;
    let rows = repositories::list(ctx.db.read().await?.tx()).await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        all.push(load(ctx, row).await?);
    }
    Ok(all)
}

/// # Errors
/// `NotFound`, also for one that was taken out of the configuration.
pub async fn find(ctx: &Ctx, name: &str) -> Result<Repository> {
    require(ctx, Action::Read)?;
    load(ctx, row(ctx, name).await?).await
}

async fn row(ctx: &Ctx, name: &str) -> Result<RepositoryRow> {
    let found = repositories::find_by_name(ctx.db.read().await?.tx(), name).await?;
    found.filter(|r| r.removed_at.is_none()).ok_or_else(|| OpsError::not_found("repository", name))
}

async fn load(ctx: &Ctx, row: RepositoryRow) -> Result<Repository> {
    let mut read = ctx.db.read().await?;
    let newest = repositories::sizes(read.tx(), row.id(), Timestamp(0), 1).await?.pop();
    let first = repositories::first_size(read.tx(), row.id(), ctx.now().plus_secs(-GROWTH_DAYS * DAY_S)).await?;
    let uses = repositories::uses(read.tx(), row.id(), MOST_USES).await?;
    let growth = newest.zip(first).filter(|(new, old)| new.measured_at > old.measured_at).map(|(new, old)| {
        let days = (new.measured_at - old.measured_at + 500_000 * DAY_S) / (1_000_000 * DAY_S);
        (new.size_bytes - old.size_bytes, days.max(1))
    });
    Ok(Repository { row, newest, growth, uses })
}

/// The last measurement of each day (UTC) of the last so many days, the oldest first. Within the first three days, every
/// measurement.
pub async fn history(ctx: &Ctx, name: &str, days: i64) -> Result<Vec<SizeRow>> {
    require(ctx, Action::Read)?;
    let row = row(ctx, name).await?;
    let since = ctx.now().plus_secs(-days.clamp(1, 366) * DAY_S);
    let mut all = repositories::sizes(ctx.db.read().await?.tx(), row.id(), since, MOST_SIZES).await?;
    let spanned = all.first().zip(all.last()).map_or(0, |(new, old)| new.measured_at - old.measured_at);
    if spanned > 3 * DAY_S * 1_000_000 {
        all.dedup_by_key(|s| Timestamp(s.measured_at).as_secs().div_euclid(DAY_S));
    }
    all.reverse();
    Ok(all)
}

/// The schedules that check it or prune it.
pub async fn schedules(ctx: &Ctx, id: RepositoryId) -> Result<Vec<ScheduleRow>> {
    require(ctx, Action::Read)?;
    let all = schedules::page(ctx.db.read().await?.tx(), &Filter::default(), "", 1_000).await?;
    Ok(all.into_iter().filter(|s| s.repository_id == Some(id.0)).collect())
}
