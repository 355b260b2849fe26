//! `/api/v1/policies`: rules of retention, and what they would keep.

use axum::Json;
use domain::retention::Rules as Ruled;
use jiff::Timestamp;
use ops::policies::{Subject, Tried};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    asker::{Asker, Path, Query, after, limit},
    problem::Problem,
    words::at,
};

/// How many items one preview sums up.
const MOST: i64 = 200;

/// What is kept. A count of 0 is no rule; spans are written as restic writes them, such as `1y6m14d3h`.
#[derive(Debug, Serialize, ToSchema)]
pub struct RetentionRules {
    keep_last: u32,
    keep_hourly: u32,
    keep_daily: u32,
    keep_weekly: u32,
    keep_monthly: u32,
    keep_yearly: u32,
    keep_within: Option<String>,
    keep_within_hourly: Option<String>,
    keep_within_daily: Option<String>,
    keep_within_weekly: Option<String>,
    keep_within_monthly: Option<String>,
    keep_within_yearly: Option<String>,
    /// Each entry is one tag, or several with commas between that must all be there.
    keep_tags: Vec<String>,
    /// No more than so many of what the rules keep; 0 is no limit.
    max_snapshots: u32,
    /// Where days, weeks and months begin.
    time_zone: String,
}

impl From<Ruled> for RetentionRules {
    fn from(r: Ruled) -> Self {
        let span = |w: Option<domain::retention::Within>| w.map(|w| w.to_string());
        Self {
            keep_last: r.keep_last,
            keep_hourly: r.keep_hourly,
            keep_daily: r.keep_daily,
            keep_weekly: r.keep_weekly,
            keep_monthly: r.keep_monthly,
            keep_yearly: r.keep_yearly,
            keep_within: span(r.keep_within),
            keep_within_hourly: span(r.keep_within_hourly),
            keep_within_daily: span(r.keep_within_daily),
            keep_within_weekly: span(r.keep_within_weekly),
            keep_within_monthly: span(r.keep_within_monthly),
            keep_within_yearly: span(r.keep_within_yearly),
            keep_tags: r.keep_tags,
            max_snapshots: r.max_snapshots,
            time_zone: if r.time_zone.is_empty() { "UTC".to_owned() } else { r.time_zone },
        }
    }
}

/// Rules of retention with a name.
#[derive(Debug, Serialize, ToSchema)]
pub struct Policy {
    id: Uuid,
    name: String,
    rules: RetentionRules,
    /// The rules in one line.
    words: String,
    /// Sources that name it, as `service/source`.
    sources: Vec<String>,
}

impl From<ops::policies::Policy> for Policy {
    fn from(p: ops::policies::Policy) -> Self {
        let sources = p.uses.into_iter().map(|u| format!("{}/{}", u.service_name, u.source_name)).collect();
        Self { id: p.row.id, name: p.row.name, words: p.row.rules.words(), rules: p.row.rules.0.into(), sources }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Policies {
    policies: Vec<Policy>,
}

/// Policies by name
#[utoipa::path(get, path = "/api/v1/policies", tag = "policies",
    responses((status = 200, body = Policies)))]
pub async fn list(Asker(ctx): Asker) -> Result<Json<Policies>, Problem> {
    Ok(Json(Policies { policies: ops::policies::list(&ctx).await?.into_iter().map(Policy::from).collect() }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PreviewRetention {
    /// The source; may be left out where the service has one alone.
    source: Option<String>,
    /// Each snapshot of this item; without it, sums by item.
    item: Option<String>,
    /// Try this policy in place of the one that the source names.
    policy: Option<String>,
    /// Items after this name; `next` of the page before.
    after: Option<String>,
    /// 1 to 200 items, 100 where it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// What a policy would keep.
#[derive(Debug, Serialize, ToSchema)]
pub struct Retention {
    service: String,
    source: String,
    /// Absent where the source has none: then nothing is forgotten.
    policy: Option<String>,
    rules: RetentionRules,
    /// Sums by item; empty where one item was asked for.
    items: Vec<ItemSum>,
    /// `after` of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// The snapshots of the item that was asked for, the newest first.
    snapshots: Vec<Judged>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ItemSum {
    item: String,
    kept: i64,
    forgotten: i64,
}

/// What was decided on one snapshot.
#[derive(Debug, Serialize, ToSchema)]
pub struct Judged {
    id: Uuid,
    restic_id: String,
    taken_at: Timestamp,
    state: String,
    kept: bool,
    /// The reasons that keep it, or why it would be forgotten.
    why: String,
}

/// What the policy of a source keeps and what it would forget, with the reasons; nothing is changed
#[utoipa::path(get, path = "/api/v1/services/{name}/retention", tag = "policies", params(("name" = String, Path, description = "The service's name"), PreviewRetention),
    responses((status = 200, body = Retention)))]
pub async fn preview(Asker(ctx): Asker, Path(name): Path<String>, Query(q): Query<PreviewRetention>) -> Result<Json<Retention>, Problem> {
    let tried = q.policy.as_deref().map_or(Tried::Own, Tried::Named);
    if let Some(item) = &q.item {
        let found = ops::policies::preview(&ctx, &name, q.source.as_deref(), item, tried).await?;
        let snapshots = found
            .snapshots
            .into_iter()
            .map(|j| Judged {
                id: j.row.id,
                taken_at: at(j.row.taken_at),
                kept: j.decision.is_kept(),
                why: j.decision.words(),
                restic_id: j.row.restic_id,
                state: j.row.state,
            })
            .collect();
        return Ok(Json(Retention::of(found.subject, Vec::new(), None, snapshots)));
    }
    let limit = limit(q.limit, MOST)?;
    let found = ops::policies::preview_source(&ctx, &name, q.source.as_deref(), tried, &after(q.after)?, limit).await?;
    let items = found.items.into_iter().map(|s| ItemSum { item: s.item.name, kept: s.kept, forgotten: s.forgotten }).collect();
    Ok(Json(Retention::of(found.subject, items, found.next, Vec::new())))
}

impl Retention {
    fn of(subject: Subject, items: Vec<ItemSum>, next: Option<String>, snapshots: Vec<Judged>) -> Self {
        Self { service: subject.service.name, source: subject.source.name, policy: subject.policy, rules: subject.rules.into(), items, next, snapshots }
    }
}
