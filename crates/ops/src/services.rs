//! Services: what is promised and what was measured.

use store::services::{self, ServiceRow};

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
