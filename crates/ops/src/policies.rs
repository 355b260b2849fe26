//! Policies: what they say, who uses them, and what they would keep (R16).
//!
//! Lives here: the use cases. May not: forgetting (that is a step of a backup), changing policies (that is
//! `ops::config`).

use domain::{
    id::{ItemId, ServiceId, SourceId},
    retention::Rules,
};
use store::{
    items::{self, ItemRow},
    policies::{self, PolicyRow, PolicySource},
    services::{self, ServiceRow},
    sources::{self, SourceRow},
};

use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, require, require_on},
    retention::{Judge, Judged, place_of},
};

/// The most policies that a list gives.
const MOST: i64 = 1_000;
/// The most sources that are gathered.
const MOST_SOURCES: i64 = 100_000;
/// The longest page of items.
const PAGE: i64 = 200;

/// A policy and the sources that name it.
#[derive(Clone, Debug)]
pub struct Policy {
    pub row: PolicyRow,
    pub uses: Vec<PolicySource>,
}

/// All policies by name.
pub async fn list(ctx: &Ctx) -> Result<Vec<Policy>> {
    require(ctx, Action::Read)?;
    let mut read = ctx.db.read().await?;
    let all = policies::sources(read.tx(), MOST_SOURCES).await?;
    let rows = policies::list(read.tx(), MOST).await?;
    Ok(rows.into_iter().map(|row| Policy { uses: all.iter().filter(|s| s.policy_id == Some(row.id)).cloned().collect(), row }).collect())
}

/// # Errors
/// `NotFound`, also for one that was taken out of the configuration.
pub async fn find(ctx: &Ctx, name: &str) -> Result<Policy> {
    require(ctx, Action::Read)?;
    let mut read = ctx.db.read().await?;
    let row = policies::find_by_name(read.tx(), name).await?.filter(|p| p.removed_at.is_none()).ok_or_else(|| OpsError::not_found("policy", name))?;
    let uses = policies::sources(read.tx(), MOST_SOURCES).await?.into_iter().filter(|s| s.policy_id == Some(row.id)).collect();
    Ok(Policy { row, uses })
}

/// All sources, by their service, with the policies that they name.
pub async fn sources(ctx: &Ctx) -> Result<Vec<PolicySource>> {
    require(ctx, Action::Read)?;
    Ok(policies::sources(ctx.db.read().await?.tx(), MOST_SOURCES).await?)
}

/// Which policy is tried on a source.
#[derive(Clone, Debug, Default)]
pub enum Tried<'a> {
    /// The one it names.
    #[default]
    Own,
    /// Another one, by name.
    Named(&'a str),
    /// Rules that no policy has yet.
    Rules(Rules),
}

/// A source as a policy is tried on it.
#[derive(Clone, Debug)]
pub struct Subject {
    pub service: ServiceRow,
    pub source: SourceRow,
    /// Name of the policy; `None` where the source has none and nothing else was tried.
    pub policy: Option<String>,
    pub rules: Rules,
}

/// What would be kept of one item.
#[derive(Clone, Debug)]
pub struct Preview {
    pub subject: Subject,
    pub item: ItemRow,
    /// The newest first.
    pub snapshots: Vec<Judged>,
}

/// How many snapshots of an item would be kept and forgotten.
#[derive(Clone, Debug)]
pub struct ItemSum {
    pub item: ItemRow,
    pub kept: i64,
    pub forgotten: i64,
}

/// A page of a source's items.
#[derive(Clone, Debug)]
pub struct SourcePreview {
    pub subject: Subject,
    pub items: Vec<ItemSum>,
    /// The name to continue after.
    pub next: Option<String>,
}

/// What a policy would keep of an item, and why. `source` may be left out where the service has one alone.
///
/// # Errors
/// `NotFound` for the service, source, item or policy; `Invalid` where the source must be named.
pub async fn preview(ctx: &Ctx, service: &str, source: Option<&str>, item: &str, tried: Tried<'_>) -> Result<Preview> {
    require_on(ctx, Action::Read, On::Any)?;
    let subject = subject(ctx, service, source, tried).await?;
    let mut read = ctx.db.read().await?;
    let found = items::find_by_name(read.tx(), subject.source.id(), item).await?;
    let item = found.ok_or_else(|| OpsError::not_found("item", item))?;
    let judge = Judge::new(read.tx(), subject.rules.clone(), subject.service.id()).await?;
    let snapshots = match place_of(read.tx(), &subject.source).await? {
        Some(place) => judge.item(read.tx(), ItemId(item.id), place, ctx.now()).await?,
        None => Vec::new(),
    };
    Ok(Preview { subject, item, snapshots })
}

/// The same for the items of a source, as sums, after the name `after`.
pub async fn preview_source(ctx: &Ctx, service: &str, source: Option<&str>, tried: Tried<'_>, after: &str, limit: i64) -> Result<SourcePreview> {
    require_on(ctx, Action::Read, On::Any)?;
    let subject = subject(ctx, service, source, tried).await?;
    let limit = limit.clamp(1, PAGE);
    let mut read = ctx.db.read().await?;
    let judge = Judge::new(read.tx(), subject.rules.clone(), subject.service.id()).await?;
    let page = items::of_source(read.tx(), subject.source.id(), after, limit).await?;
    let next = page.last().filter(|_| page.len() as i64 == limit).map(|i| i.name.clone());
    let mut sums = Vec::with_capacity(page.len());
    let place = place_of(read.tx(), &subject.source).await?;
    for item in page {
        let judged = match place {
            Some(place) => judge.item(read.tx(), ItemId(item.id), place, ctx.now()).await?,
            None => Vec::new(),
        };
        let kept = judged.iter().filter(|j| j.decision.is_kept()).count() as i64;
        sums.push(ItemSum { item, kept, forgotten: judged.len() as i64 - kept });
    }
    Ok(SourcePreview { subject, items: sums, next })
}

async fn subject(ctx: &Ctx, service: &str, source: Option<&str>, tried: Tried<'_>) -> Result<Subject> {
    let mut read = ctx.db.read().await?;
    let found = services::find_by_name(read.tx(), service).await?.filter(|s| s.removed_at.is_none());
    let row = found.ok_or_else(|| OpsError::not_found("service", service))?;
    require_on(ctx, Action::Read, On::Service(row.id()))?;
    let mut all = sources::of_service(read.tx(), ServiceId(row.id)).await?;
    let source = match source {
        Some(name) => all.into_iter().find(|s| s.name == name).ok_or_else(|| OpsError::not_found("source", format!("{service}/{name}")))?,
        None if all.len() == 1 => all.remove(0),
        None if all.is_empty() => return Err(OpsError::Conflict(format!("service {service} has no source"))),
        None => {
            let names: Vec<&str> = all.iter().map(|s| s.name.as_str()).collect();
            return Err(OpsError::invalid("source", format!("service {service} has several sources ({}); name one, as {service}/SOURCE", names.join(", "))));
        }
    };
    let (policy, rules) = match tried {
        Tried::Rules(rules) => (None, rules),
        Tried::Named(name) => {
            let found = policies::find_by_name(read.tx(), name).await?.filter(|p| p.removed_at.is_none());
            let row = found.ok_or_else(|| OpsError::not_found("policy", name))?;
            (Some(row.name), row.rules.0)
        }
        Tried::Own => match crate::retention::policy_of(read.tx(), SourceId(source.id)).await? {
            Some(row) => (Some(row.name), row.rules.0),
            None => (None, Rules::default()),
        },
    };
    Ok(Subject { service: row, source, policy, rules })
}
