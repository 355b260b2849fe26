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
    runs::{self, Start},
};

/// Starts a check of the structure, or with `read_data` of every byte.
pub async fn start(ctx: &Ctx, repository: &str, read_data: bool) -> Result<RunId> {
    require(ctx, Action::Operate)?;
    let found = repositories::find_by_name(ctx.db.read().await?.tx(), repository).await?;
    enqueue(ctx, &found.filter(|r| r.removed_at.is_none()).ok_or_else(|| OpsError::not_found("repository", repository))?, read_data, None).await
}

/// The same by id.
pub async fn start_repository(ctx: &Ctx, repository: RepositoryId, read_data: bool, retry_of: Option<RunId>) -> Result<RunId> {
    require(ctx, Action::Operate)?;
    let found = repositories::find(ctx.db.read().await?.tx(), repository).await?;
    enqueue(ctx, &found.filter(|r| r.removed_at.is_none()).ok_or_else(|| OpsError::not_found("repository", repository))?, read_data, retry_of).await
}

async fn enqueue(ctx: &Ctx, repository: &RepositoryRow, read_data: bool, retry_of: Option<RunId>) -> Result<RunId> {
    runs::enqueue(ctx, order(repository, read_data, retry_of)).await
}

/// The run that checks a repository.
pub(crate) fn order(repository: &RepositoryRow, read_data: bool, retry_of: Option<RunId>) -> Start<CheckParams> {
    Start {
        kind: RunKind::Check,
        service: None,
        source: None,
        repository: Some(repository.id()),
        title: format!("{} of {}", if read_data { "Check of all data" } else { "Check" }, repository.name),
        params: CheckParams { read_data },
        retry_of,
        priority: 0,
        resource_key: Some(format!("check:{}", repository.id)),
        unique_key: Some(format!("check:{}:{read_data}", repository.id)),
    }
}
