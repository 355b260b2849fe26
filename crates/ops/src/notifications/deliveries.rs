//! Deliveries: what was sent to whom, with every attempt and answer.

use domain::{id::DeliveryId, units::Timestamp};
use serde_json::json;
use store::{
    audit::NewEvent,
    deliveries::{self, AttemptRow, ListedDelivery},
    wake,
};
use uuid::Uuid;

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, require},
};

const PAGE: i64 = 500;

/// Deliveries, the newest first, before the key of the last one seen. An empty state or channel means all.
pub async fn list(ctx: &Ctx, state: &str, channel: &str, before: Option<(Timestamp, DeliveryId)>, limit: i64) -> Result<Vec<ListedDelivery>> {
    require(ctx, Action::Read)?;
    let before = before.unwrap_or((Timestamp(i64::MAX), DeliveryId(Uuid::max())));
    Ok(deliveries::page(ctx.db.read().await?.tx(), state, channel, before, limit.clamp(1, PAGE)).await?)
}

/// A delivery with its attempts, the newest first.
pub async fn find(ctx: &Ctx, id: DeliveryId) -> Result<(ListedDelivery, Vec<AttemptRow>)> {
    require(ctx, Action::Read)?;
    let mut read = ctx.db.read().await?;
    let found = deliveries::find(read.tx(), id).await?.ok_or_else(|| OpsError::not_found("delivery", id))?;
    let attempts = deliveries::attempts(read.tx(), id).await?;
    Ok((found, attempts))
}

/// Queues a message that was given up once more.
pub async fn retry(ctx: &Ctx, id: DeliveryId) -> Result<()> {
    require(ctx, Action::Operate)?;
    let mut t = ctx.db.begin_audited().await?;
    let found = deliveries::find(t.tx(), id).await?.ok_or_else(|| OpsError::not_found("delivery", id))?;
    if !deliveries::again(t.tx(), id, ctx.now()).await? {
        return Err(OpsError::Conflict(format!("this message is {}; only one that was given up can be sent again", found.row.state)));
    }
    let after = Some(json!({ "channel": found.channel, "headline": found.row.message.0.headline }));
    ctx.audit(t.tx(), NewEvent { action: "delivery.retry", entity: "delivery", entity_id: id.to_string(), before: None, after }).await?;
    t.commit().await?;
    wake::queue();
    Ok(())
}
