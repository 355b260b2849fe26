//! Starting checks of a repository.
//!
//! Lives here: the use case. May not: opening a repository.

use domain::{
    id::{RepositoryId, RunId},
    run::RunKind,
    work::CheckParams,
};
use store::{repositories, repositories::RepositoryRow};

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, require},
    repositories::{Need, require_files},
    runs::{self, Start},
};

/// Starts a check of the structure, or with `read_data` of every byte.
pub async fn start(ctx: &Ctx, repository: &str, read_data: bool) -> Result<RunId> {
    require(ctx, Action::Operate)?;
    let found = repositories::find_by_name(ctx.db.read().await?.tx(), repository).await?;
    let row = found.filter(|r| r.removed_at.is_none()).ok_or_else(|| OpsError::not_found("repository", repository))?;
    enqueue(ctx, &row, if read_data { CheckParams::ALL_DATA } else { CheckParams::STRUCTURE }, None).await
}

/// A check by the repository's id, as it was asked for before.
pub async fn start_repository(ctx: &Ctx, repository: RepositoryId, params: CheckParams, retry_of: Option<RunId>) -> Result<RunId> {
    require(ctx, Action::Operate)?;
    let found = repositories::find(ctx.db.read().await?.tx(), repository).await?;
    enqueue(ctx, &found.filter(|r| r.removed_at.is_none()).ok_or_else(|| OpsError::not_found("repository", repository))?, params, retry_of).await
}

async fn enqueue(ctx: &Ctx, repository: &RepositoryRow, params: CheckParams, retry_of: Option<RunId>) -> Result<RunId> {
    require_files(repository, Need::Check)?;
    runs::enqueue(ctx, order(repository, params, retry_of)).await
}

/// The run that checks a repository.
pub(crate) fn order(repository: &RepositoryRow, params: CheckParams, retry_of: Option<RunId>) -> Start<CheckParams> {
    let (what, key) = match params {
        CheckParams { read_data: true, .. } => ("Check of all data", "true"),
        CheckParams { slice: Some(_), .. } => ("Check of some data", "slice"),
        CheckParams { .. } => ("Check", "false"),
    };
    Start {
        kind: RunKind::Check,
        service: None,
        source: None,
        repository: Some(repository.id()),
        title: format!("{what} of {}", repository.name),
        params,
        retry_of,
        priority: 0,
        resource_key: Some(format!("check:{}", repository.id)),
        unique_key: Some(format!("check:{}:{key}", repository.id)),
    }
}
