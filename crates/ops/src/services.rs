//! Services: what is promised and what was measured.

use store::{
    items::{self, ItemRow, SourceFacts},
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

/// A source with the name of its repository and what its items add up to, once it has items.
#[derive(Clone, Debug)]
pub struct SourceView {
    pub row: SourceRow,
    pub repository: String,
    /// Name of the policy that it names; without one nothing is forgotten.
    pub policy: Option<String>,
    pub facts: Option<SourceFacts>,
}

/// The sources of a service in the order of restoring, each with what its items add up to.
pub async fn sources_with_facts(ctx: &Ctx, service: &ServiceRow) -> Result<Vec<SourceView>> {
    require(ctx, Action::Read)?;
    let mut read = ctx.db.read().await?;
    let mut facts = items::source_facts(read.tx(), service.id()).await?;
    let mut views = Vec::new();
    for row in sources::of_service(read.tx(), service.id()).await? {
        let repository = repositories::find(read.tx(), domain::id::RepositoryId(row.repository_id)).await?.map_or_else(String::new, |r| r.name);
        let facts = facts.iter().position(|f| f.source_id == row.id).map(|i| facts.swap_remove(i));
        let policy = crate::retention::policy_of(read.tx(), row.id()).await?.map(|p| p.name);
        views.push(SourceView { row, repository, policy, facts });
    }
    Ok(views)
}

/// Items of a service after the name `after`, at most `limit` (up to 500).
pub async fn items(ctx: &Ctx, service: &ServiceRow, after: &str, limit: i64) -> Result<Vec<ItemRow>> {
    require(ctx, Action::Read)?;
    Ok(items::of_service(ctx.db.read().await?.tx(), service.id(), after, limit.clamp(1, 500)).await?)
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
