//! What a policy decides on the snapshots of an item, with all that stands against forgetting any (R16).
//!
//! Lives here: gathering what `domain::retention` needs; one way for the preview and for the run that forgets.
//! May not: removing anything. It asks no permission: its callers do, and a run was permitted when it was started.

use std::collections::HashSet;

use domain::{
    id::{ItemId, RepositoryId, RunId, ServiceId, SnapshotId, SourceId},
    instance::{CloneParams, InPlaceParams},
    retention::{Candidate, Decision, Rules, decide},
    run::RunKind,
    units::Timestamp,
    work::{OffsiteParams, RestoreParams},
};
use jiff::tz::TimeZone;
use store::{
    Tx,
    holds::{self, HoldRow},
    policies::{self, PolicyRow},
    repositories, runs,
    snapshots::{self, RetainedRow},
    sources::{self, SourceRow},
    steps,
};
use uuid::Uuid;

use crate::{OpsError, Result, offsite::offsite_of, repositories::keeping};

/// Snapshots of one item that are looked at.
const MOST_SNAPSHOTS: i64 = 100_000;
/// Holds over one service that are looked at.
const MOST_HOLDS: i64 = 10_000;
/// Live runs that are looked at.
const MOST_RUNS: i64 = 10_000;

/// The zone of a policy; UTC where it names none.
///
/// # Errors
/// `Invalid` where the zone database of this machine has no such zone.
pub fn zone(name: &str) -> Result<TimeZone> {
    if name.is_empty() {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name).map_err(|_| OpsError::invalid("time_zone", format!("“{name}” is not a time zone; write a name such as Europe/Berlin or UTC")))
}

/// A policy with what stands against it in one service.
pub struct Judge {
    pub rules: Rules,
    zone: TimeZone,
    holds: Vec<HoldRow>,
    in_use: HashSet<Uuid>,
}

/// One snapshot with what was decided on it.
#[derive(Clone, Debug)]
pub struct Judged {
    pub row: RetainedRow,
    pub decision: Decision,
}

/// The policy of a source; `None` where it has none or the policy is no longer configured.
pub async fn policy_of(mut tx: Tx<'_>, source: SourceId) -> Result<Option<PolicyRow>> {
    let Some(row) = sources::find(tx.by_ref(), source).await? else { return Ok(None) };
    let Some(id) = row.policy_id else { return Ok(None) };
    Ok(policies::find(tx, domain::id::PolicyId(id)).await?.filter(|p| p.removed_at.is_none()))
}

/// Where the snapshots are that a source's policy decides on: in its repository, and of a cloud's instances, whose schedules
/// say what stays there, where their offsite copies are. `None` where there are none.
pub async fn place_of(mut tx: Tx<'_>, source: &SourceRow) -> Result<Option<RepositoryId>> {
    let own = RepositoryId(source.repository_id);
    let cloud = repositories::find(tx.by_ref(), own).await?.is_some_and(|r| keeping(&r).is_cloud());
    match offsite_of(source) {
        Some(name) => Ok(repositories::find_by_name(tx, &name).await?.map(|r| r.id())),
        None => Ok((!cloud).then_some(own)),
    }
}

impl Judge {
    /// Gathers the holds of the service and the snapshots that restores take from now.
    pub async fn new(mut tx: Tx<'_>, rules: Rules, service: ServiceId) -> Result<Self> {
        let zone = zone(&rules.time_zone)?;
        let holds = holds::standing(tx.by_ref(), service, MOST_HOLDS).await?;
        let in_use = in_use(tx).await?;
        Ok(Self { rules, zone, holds, in_use })
    }

    /// Whether a hold covers the snapshot or a restore takes from it, whatever the rules say.
    pub fn protects(&self, item: ItemId, snapshot: SnapshotId) -> bool {
        self.in_use.contains(&snapshot.0) || self.holds.iter().any(|h| h.covers(item, snapshot))
    }

    /// Decides on the snapshots that a repository holds of an item, the newest first.
    pub async fn item(&self, tx: Tx<'_>, item: ItemId, repository: RepositoryId, now: Timestamp) -> Result<Vec<Judged>> {
        let rows = snapshots::retained(tx, item, repository, MOST_SNAPSHOTS).await?;
        let candidates: Vec<Candidate> = rows
            .iter()
            .map(|row| Candidate {
                id: row.restic_id.clone(),
                taken_at: Timestamp(row.taken_at),
                complete: row.state != "partial",
                tags: row.tags.0.clone(),
                verified_at: row.verified_at.map(Timestamp),
                held: self.holds.iter().any(|h| h.covers(item, SnapshotId(row.id))),
                in_use: self.in_use.contains(&row.id),
                safety: row.safety,
            })
            .collect();
        let decisions = decide(&self.rules, &self.zone, now, &candidates);
        Ok(rows.into_iter().zip(decisions).map(|(row, decision)| Judged { row, decision }).collect())
    }
}

/// The snapshots that restores and restore tests which have not ended take from.
async fn in_use(mut tx: Tx<'_>) -> Result<HashSet<Uuid>> {
    let mut all = HashSet::new();
    for live in runs::live(tx.by_ref(), MOST_RUNS).await? {
        match live.run.kind()? {
            RunKind::Restore => all.extend(live.run.params::<RestoreParams>()?.items.into_iter().map(|i| i.snapshot.0)),
            RunKind::RestoreTest => {
                // A test chooses when it begins; what it has chosen stands in its first step.
                for step in steps::of_run(tx.by_ref(), RunId(live.run.id)).await? {
                    let chosen = step.output.as_ref().and_then(|o| o.0.get("items")?.as_array()).cloned().unwrap_or_default();
                    all.extend(chosen.iter().filter_map(|c| c.get("snapshot")?.as_str()?.parse::<Uuid>().ok()));
                }
            }
            RunKind::InstanceClone => all.extend([live.run.params::<CloneParams>()?.snapshot.0]),
            RunKind::InstanceRestore => all.extend([live.run.params::<InPlaceParams>()?.snapshot.0]),
            RunKind::OffsiteCopy | RunKind::OffsiteReturn => all.extend([live.run.params::<OffsiteParams>()?.snapshot.0]),
            RunKind::Backup
            | RunKind::Check
            | RunKind::Prune
            | RunKind::TamperTest
            | RunKind::InstallationBackup
            | RunKind::InstallationTest
            | RunKind::InstanceSnapshot => {}
        }
    }
    Ok(all)
}
