//! Starting tamper tests of a repository (R14).
//!
//! Lives here: the use case. May not: writing probes (that is a run), what the findings mean (`domain::tamper`).

use domain::{
    id::{RepositoryId, RunId},
    run::RunKind,
};
use serde_json::{Value, json};
use store::{repositories, repositories::RepositoryRow};

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, require},
    repositories::{Need, require_files},
    runs::{self, Start},
};

/// Starts a tamper test: a probe is written with the writer's own credentials, and tried to be destroyed.
pub async fn start(ctx: &Ctx, repository: &str) -> Result<RunId> {
    require(ctx, Action::Operate)?;
    let found = repositories::find_by_name(ctx.db.read().await?.tx(), repository).await?;
    let row = found.filter(|r| r.removed_at.is_none()).ok_or_else(|| OpsError::not_found("repository", repository))?;
    require_files(&row, Need::TamperTest)?;
    runs::enqueue(ctx, order(&row, None)).await
}

/// The same by id.
pub async fn start_repository(ctx: &Ctx, repository: RepositoryId, retry_of: Option<RunId>) -> Result<RunId> {
    require(ctx, Action::Operate)?;
    let found = repositories::find(ctx.db.read().await?.tx(), repository).await?;
    let row = found.filter(|r| r.removed_at.is_none()).ok_or_else(|| OpsError::not_found("repository", repository))?;
    require_files(&row, Need::TamperTest)?;
    runs::enqueue(ctx, order(&row, retry_of)).await
}

fn order(repository: &RepositoryRow, retry_of: Option<RunId>) -> Start<Value> {
    Start {
        kind: RunKind::TamperTest,
        service: None,
        source: None,
        repository: Some(repository.id()),
        title: format!("Tamper test of {}", repository.name),
        params: json!({}),
        retry_of,
        priority: 0,
        resource_key: Some(format!("tamper:{}", repository.id)),
        unique_key: Some(format!("tamper:{}", repository.id)),
    }
}
