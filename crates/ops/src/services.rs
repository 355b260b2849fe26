//! Services: what is promised and what was measured.

use store::{
    repositories,
    services::{self, ServiceRow},
    sources::{self, SourceRow},
};

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, require},
};

/// At most `limit` (up to 500) services after the name `after`, whose name, title or owner holds `search`.
pub async fn list(ctx: &Ctx, after: &str, search: &str, limit: i64) -> Result<Vec<ServiceRow>> {
    require(ctx, Action::Read)?;
    Ok(services::page(ctx.db.read().await?.tx(), after, search, limit.clamp(1, 500)).await?)
}

/// The service of that name, unless it was removed.
pub async fn find(ctx: &Ctx, name: &str) -> Result<ServiceRow> {
    require(ctx, Action::Read)?;
    let row = services::find_by_name(ctx.db.read().await?.tx(), name).await?;
    row.filter(|s| s.removed_at.is_none()).ok_or_else(|| OpsError::not_found("service", name))
}

/// The sources of a service in the order of restoring, each with the name of its repository.
pub async fn sources(ctx: &Ctx, name: &str) -> Result<Vec<(SourceRow, String)>> {
    let service = find(ctx, name).await?;
    let mut read = ctx.db.read().await?;
    let mut found = Vec::new();
    for source in sources::of_service(read.tx(), service.id()).await? {
        let repository = repositories::find(read.tx(), domain::id::RepositoryId(source.repository_id)).await?;
        found.push((source, repository.map(|r| r.name).unwrap_or_default()));
    }
    Ok(found)
}
