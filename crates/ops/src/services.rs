//! Services: what is promised and what was measured.

use store::{
    items::{self, ItemRow, SourceFacts},
    repositories,
    services::{self, ServiceRow},
    sources::{self, SourceRow},
};

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, Sight, require_on, sight},
};

/// At most `limit` (up to 500) services after the name `after`, whose name, title or owner holds `search`.
pub async fn list(ctx: &Ctx, after: &str, search: &str, limit: i64) -> Result<Vec<ServiceRow>> {
    let limit = limit.clamp(1, 500);
    if sight(ctx, Action::Read)? == Sight::All {
        return Ok(services::page(ctx.db.read().await?.tx(), after, search, limit).await?);
    }
    let search = search.to_lowercase();
    let mut all = owned(ctx).await?;
    all.retain(|s| s.name.as_str() > after && [&s.name, &s.title, &s.owner].iter().any(|t| t.to_lowercase().contains(&search)));
    all.truncate(usize::try_from(limit).unwrap_or(0));
    Ok(all)
}

/// The services that the actor owns, by name, but for those that were removed.
pub async fn owned(ctx: &Ctx) -> Result<Vec<ServiceRow>> {
    let Sight::Part { services: ids, .. } = sight(ctx, Action::Read)? else { return Ok(Vec::new()) };
    let mut read = ctx.db.read().await?;
    let mut all = Vec::with_capacity(ids.len());
    for id in ids {
        all.extend(services::find(read.tx(), id).await?.filter(|s| s.removed_at.is_none()));
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// The names of the services that the actor owns; `name` alone where it is given and one of them.
pub(crate) async fn owned_names(ctx: &Ctx, name: &str) -> Result<Vec<String>> {
    let all = owned(ctx).await?.into_iter().map(|s| s.name);
    Ok(all.filter(|n| name.is_empty() || n == name).collect())
}

/// The service of that name, unless it was removed.
pub async fn find(ctx: &Ctx, name: &str) -> Result<ServiceRow> {
    require_on(ctx, Action::Read, On::Any)?;
    let row = services::find_by_name(ctx.db.read().await?.tx(), name).await?;
    let row = row.filter(|s| s.removed_at.is_none()).ok_or_else(|| OpsError::not_found("service", name))?;
    require_on(ctx, Action::Read, On::Service(row.id()))?;
    Ok(row)
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
    require_on(ctx, Action::Read, On::Service(service.id()))?;
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
    require_on(ctx, Action::Read, On::Service(service.id()))?;
    Ok(items::of_service(ctx.db.read().await?.tx(), service.id(), after, limit.clamp(1, 500)).await?)
}

/// The same where items of one name, which several sources may have, are never parted: at least `limit` items where there
/// are so many, and whether there are more after them.
pub async fn items_by_name(ctx: &Ctx, service: &ServiceRow, after: &str, limit: i64) -> Result<(Vec<ItemRow>, bool)> {
    require_on(ctx, Action::Read, On::Service(service.id()))?;
    let mut read = ctx.db.read().await?;
    let limit = limit.clamp(1, 500);
    let mut rows = items::of_service(read.tx(), service.id(), after, limit + 1).await?;
    let Some(next) = usize::try_from(limit).ok().and_then(|n| rows.split_off(n.min(rows.len())).pop()) else { return Ok((rows, false)) };
    let last = rows.last().map(|i| i.name.clone()).unwrap_or_default();
    if next.name == last {
        let there = rows.iter().filter(|i| i.name == last).count();
        let same = items::all_named(read.tx(), service.id(), &last).await?;
        rows.extend(same.into_iter().skip(there));
        let more = !items::of_service(read.tx(), service.id(), &last, 1).await?.is_empty();
        return Ok((rows, more));
    }
    Ok((rows, true))
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
