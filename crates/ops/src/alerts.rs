//! Alerts: what is wrong, who knows of it, and what was said about it.
//!
//! Lives here: reading and acknowledging. May not: opening and resolving (`runner::watchdogs` compares with the facts).

use domain::{
    alert::{AlertKind, Severity},
    id::AlertId,
    units::Timestamp,
};
use serde_json::json;
pub use store::alerts::Which;
use store::{
    alerts::{self, AlertRow},
    audit::NewEvent,
    deliveries::{self, ListedDelivery},
};
use uuid::Uuid;

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, Sight, merged, require_on, sight},
};

/// The most alerts that are looked at together.
pub const MOST: i64 = 20_000;
/// The longest page, and the longest note.
const PAGE: i64 = 500;
const LONGEST_NOTE: usize = 500;

/// All open alerts, the gravest first: by kind, then by how far beyond the promise, then the oldest.
pub async fn open(ctx: &Ctx) -> Result<Vec<AlertRow>> {
    let sight = sight(ctx, Action::Read)?;
    let mut rows = alerts::open(ctx.db.read().await?.tx(), MOST).await?;
    rows.retain(|a| sight.of(a.service_id));
    rank(&mut rows, ctx.now());
    Ok(rows)
}

/// Puts alerts into the order of gravity.
pub(crate) fn rank(rows: &mut [AlertRow], now: Timestamp) {
    let key = |a: &AlertRow| (a.facts.0.kind().rank(), a.facts.0.excess(now));
    rows.sort_by(|a, b| {
        let ((rank_a, excess_a), (rank_b, excess_b)) = (key(a), key(b));
        rank_a.cmp(&rank_b).then(excess_b.total_cmp(&excess_a)).then(a.opened_at.cmp(&b.opened_at)).then_with(|| a.name.cmp(&b.name))
    });
}

/// Alerts, the newest first, before the key of the last one seen; of one service where it is named.
pub async fn list(ctx: &Ctx, which: Which, service: Option<&str>, before: Option<(Timestamp, AlertId)>, limit: i64) -> Result<Vec<AlertRow>> {
    let before = before.unwrap_or((Timestamp(i64::MAX), AlertId(Uuid::max())));
    let (service, limit) = (service.unwrap_or_default(), limit.clamp(1, PAGE));
    if sight(ctx, Action::Read)? == Sight::All {
        return Ok(alerts::page(ctx.db.read().await?.tx(), which, service, before, limit).await?);
    }
    let mut pages = Vec::new();
    for of in crate::services::owned_names(ctx, service).await? {
        pages.push(alerts::page(ctx.db.read().await?.tx(), which, &of, before, limit).await?);
    }
    Ok(merged(pages, |a| (a.opened_at, a.id), limit))
}

pub async fn find(ctx: &Ctx, id: AlertId) -> Result<AlertRow> {
    require_on(ctx, Action::Read, On::Any)?;
    let row = alerts::find(ctx.db.read().await?.tx(), id).await?.ok_or_else(|| OpsError::not_found("alert", id))?;
    require_on(ctx, Action::Read, On::service(row.service_id))?;
    Ok(row)
}

/// Everything that was said about an alert, in its order.
pub async fn said(ctx: &Ctx, id: AlertId) -> Result<Vec<ListedDelivery>> {
    find(ctx, id).await?;
    Ok(deliveries::of_alert(ctx.db.read().await?.tx(), id).await?)
}

/// Records that somebody knows of an open alert: reminders stop until it gets worse. It stays open until what is wrong is mended.
pub async fn acknowledge(ctx: &Ctx, id: AlertId, note: &str) -> Result<()> {
    require_on(ctx, Action::Operate, On::Any)?;
    let note = note.trim();
    if note.chars().count() > LONGEST_NOTE {
        return Err(OpsError::invalid("note", "is longer than 500 characters; shorten it"));
    }
    let mut t = ctx.db.begin_audited().await?;
    let row = alerts::find(t.tx(), id).await?.ok_or_else(|| OpsError::not_found("alert", id))?;
    require_on(ctx, Action::Operate, On::service(row.service_id))?;
    if !alerts::acknowledge(t.tx(), id, &ctx.actor.name, note, ctx.now()).await? {
        return Err(OpsError::Conflict(format!("{}: this is over already; load the page again", row.title)));
    }
    let event = NewEvent {
        action: "alert.acknowledge",
        entity: "alert",
        entity_id: id.to_string(),
        before: row.acknowledged_by.map(|by| json!({ "acknowledged_by": by, "note": row.note })),
        after: Some(json!({ "condition": row.condition, "acknowledged_by": ctx.actor.name, "note": note })),
    };
    ctx.audit(t.tx(), event).await?;
    t.commit().await?;
    Ok(())
}

/// Whether an alert asks for somebody: what is merely unknown does not.
pub fn needs_attention(row: &AlertRow) -> bool {
    Severity::parse(&row.severity).is_none_or(|s| s.at_least(Severity::Warning))
}

/// Whether it is about runs, and whether it is about restore tests, for the counts beside the navigation.
pub const fn is_about(kind: AlertKind) -> (bool, bool) {
    match kind {
        AlertKind::RunFailed | AlertKind::RunPartial | AlertKind::ScheduleMissed => (true, false),
        AlertKind::NeverRestored | AlertKind::RestoreFailed | AlertKind::RtoBreached | AlertKind::NotChecked | AlertKind::ProofOld => (false, true),
        _ => (false, false),
    }
}
