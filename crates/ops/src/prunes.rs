//! Starting prunes of a repository.
//!
//! Lives here: the use case. May not: opening a repository.

use domain::{
    id::{RepositoryId, RunId},
    run::RunKind,
    work::PruneParams,
};
use store::{
    Tx,
    holds::{self, ListedHold},
    repositories,
    repositories::RepositoryRow,
};

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, require},
    repositories::{Need, require_files},
    runs::{self, Start},
};

/// Holds that a refusal names.
const NAMED: i64 = 3;
/// The longest time between the mark on a pack and its deletion, in seconds.
const LONGEST_AGE: u32 = 366 * 86_400;

/// Starts a prune: what no snapshot needs is marked, and what was marked long enough ago is deleted.
///
/// # Errors
/// `Conflict` while a guard's hold pauses prunes of this repository.
pub async fn start(ctx: &Ctx, repository: &str, params: PruneParams) -> Result<RunId> {
    require(ctx, Action::Operate)?;
    let found = repositories::find_by_name(ctx.db.read().await?.tx(), repository).await?;
    enqueue(ctx, &found.filter(|r| r.removed_at.is_none()).ok_or_else(|| OpsError::not_found("repository", repository))?, params, None).await
}

/// The same by id.
pub async fn start_repository(ctx: &Ctx, repository: RepositoryId, params: PruneParams, retry_of: Option<RunId>) -> Result<RunId> {
    require(ctx, Action::Operate)?;
    let found = repositories::find(ctx.db.read().await?.tx(), repository).await?;
    enqueue(ctx, &found.filter(|r| r.removed_at.is_none()).ok_or_else(|| OpsError::not_found("repository", repository))?, params, retry_of).await
}

async fn enqueue(ctx: &Ctx, repository: &RepositoryRow, params: PruneParams, retry_of: Option<RunId>) -> Result<RunId> {
    require_files(repository, Need::Prune)?;
    if params.safe_age_s > LONGEST_AGE {
        return Err(OpsError::invalid("safe_age", "is longer than a year; give a shorter one"));
    }
    if let Some(why) = paused(ctx.db.read().await?.tx(), repository.id()).await? {
        return Err(OpsError::Conflict(format!("prunes of {} pause: {why}", repository.name)));
    }
    runs::enqueue(ctx, order(repository, params, retry_of)).await
}

/// The run that prunes a repository. Whether a hold pauses it is asked again when it begins.
pub(crate) fn order(repository: &RepositoryRow, params: PruneParams, retry_of: Option<RunId>) -> Start<PruneParams> {
    Start {
        kind: RunKind::Prune,
        service: None,
        source: None,
        repository: Some(repository.id()),
        title: format!("Prune of {}", repository.name),
        params,
        retry_of,
        priority: 0,
        resource_key: Some(format!("prune:{}", repository.id)),
        unique_key: Some(format!("prune:{}", repository.id)),
    }
}

/// Why prunes of a repository pause: guards' holds on which nobody has decided. It asks no permission: it is for the
/// run that prunes as well.
pub async fn paused(tx: Tx<'_>, repository: RepositoryId) -> Result<Option<String>> {
    let pausing = holds::pausing(tx, repository, NAMED + 1).await?;
    if pausing.is_empty() {
        return Ok(None);
    }
    let named: Vec<String> = pausing.iter().take(NAMED as usize).map(words).collect();
    let more = if pausing.len() as i64 > NAMED { " and others" } else { "" };
    Ok(Some(format!("{}{more} on hold; release or keep each first", named.join(", "))))
}

fn words(hold: &ListedHold) -> String {
    match &hold.item_name {
        Some(item) => format!("{item} of {} ({})", hold.service_title, hold.row.reason),
        None => format!("{} ({})", hold.service_title, hold.row.reason),
    }
}
