//! `/api/v1/services/NAME/risks` and `/api/v1/scales`: risks with their levels, conflicts and proofs; what they are rated by.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use domain::risk::{
    self as rules, Link, Measure, ReviewState, Treatment,
    scale::{Band, Scale, ScaleRef},
};
use jiff::{Timestamp, civil::Date};
use ops::risks::{self, Judged, Measured, ScaleVersion};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    asker::{Asker, Body, Path, Query},
    problem::Problem,
    version::{Basis, Known, Tagged},
    words::{self, at},
};

/// What proves that a measure is in place.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RiskProof {
    /// A schedule of the service, by its name.
    Schedule { name: String },
    /// The restore tests of the service.
    RestoreTests,
    /// A page elsewhere, such as a probe; it counts as stated only.
    Address { url: String },
}

impl From<Link> for RiskProof {
    fn from(l: Link) -> Self {
        match l {
            Link::Schedule { name } => Self::Schedule { name },
            Link::RestoreTests => Self::RestoreTests,
            Link::Address { url } => Self::Address { url },
        }
    }
}

impl From<RiskProof> for Link {
    fn from(p: RiskProof) -> Self {
        match p {
            RiskProof::Schedule { name } => Self::Schedule { name },
            RiskProof::RestoreTests => Self::RestoreTests,
            RiskProof::Address { url } => Self::Address { url },
        }
    }
}

/// One established measure as it is given.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMeasure {
    text: String,
    proof: Option<RiskProof>,
}

/// What is said of a risk.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"description": "Key staff are not available", "likelihood": 3, "impact": 2, "treatment": "reduce", "owner": "notebooks-ops", "due": "2021-05-31",
    "measures": [{"text": "Restores are tested by others than their authors", "proof": {"kind": "restore_tests"}}]}))]
pub struct RiskBody {
    description: String,
    /// The affected components.
    #[serde(default)]
    components: String,
    #[serde(default)]
    measures: Vec<NewMeasure>,
    /// The scale with its version, such as `2021` or `2021 v2`. Left out: the newest version of the usual scale, or the one
    /// that the risk was rated by.
    scale: Option<String>,
    likelihood: i64,
    impact: i64,
    /// The level as an older plan states it; kept beside the computed one.
    stated_level: Option<String>,
    /// In words.
    #[serde(default)]
    downtime: String,
    /// The same as a span, where it is one.
    downtime_s: Option<i64>,
    #[serde(default)]
    comment: String,
    #[schema(schema_with = words::treatment)]
    treatment: Option<Treatment>,
    #[serde(default)]
    owner: String,
    #[schema(value_type = Option<String>, format = Date)]
    due: Option<Date>,
    #[serde(default = "open")]
    #[schema(schema_with = words::review_state)]
    review: ReviewState,
}

const fn open() -> ReviewState {
    ReviewState::Open
}

impl RiskBody {
    fn risk(self, usual: ScaleRef) -> Result<rules::Risk, Problem> {
        let scale = match self.scale {
            Some(text) => text.parse().map_err(|e: domain::field::FieldError| Problem::from(ops::OpsError::Invalid(vec![e])))?,
            None => usual,
        };
        Ok(rules::Risk {
            description: self.description,
            components: self.components,
            measures: self.measures.into_iter().map(|m| Measure { text: m.text, proof: m.proof.map(Link::from) }).collect(),
            scale,
            likelihood: self.likelihood,
            impact: self.impact,
            stated_level: self.stated_level,
            downtime: self.downtime,
            downtime_s: self.downtime_s,
            comment: self.comment,
            treatment: self.treatment,
            owner: self.owner,
            due: self.due,
            review: self.review,
        })
    }
}

/// One established measure with how its proof stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct RiskMeasure {
    text: String,
    proof: Option<RiskProof>,
    /// Derived from runs and restore tests.
    #[schema(schema_with = words::proof_state)]
    state: String,
    /// Why it stands so.
    why: String,
    /// Since when it is red; when it was proven last where it is green.
    at: Option<Timestamp>,
}

impl From<Measured> for RiskMeasure {
    fn from(m: Measured) -> Self {
        let s = m.standing;
        Self { text: m.measure.text, proof: m.measure.proof.map(RiskProof::from), state: s.state.to_string(), why: s.why, at: s.at.map(|t| at(t.0)) }
    }
}

/// A risk.
#[derive(Debug, Serialize, ToSchema)]
pub struct Risk {
    id: Uuid,
    /// Within the service.
    number: i64,
    description: String,
    components: String,
    measures: Vec<RiskMeasure>,
    /// The version of the scale that it was rated by.
    scale: String,
    likelihood: i64,
    impact: i64,
    /// Likelihood × impact.
    score: i64,
    /// Computed from the rating.
    level: String,
    stated_level: Option<String>,
    /// How the stated level contradicts the rating.
    conflict: Option<String>,
    downtime: String,
    downtime_s: Option<i64>,
    comment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = words::treatment)]
    treatment: Option<String>,
    owner: String,
    #[schema(value_type = Option<String>, format = Date)]
    due: Option<Date>,
    #[schema(schema_with = words::review_state)]
    review: String,
    /// Of all proofs together: red wins.
    #[schema(schema_with = words::proof_state)]
    state: String,
    /// Why it is red, a sentence for each measure.
    reasons: Vec<String>,
    /// The fields that its level asks for and it lacks.
    incomplete: Vec<String>,
    /// Whether it came from an older plan.
    imported: bool,
    retired_at: Option<Timestamp>,
    retire_reason: Option<String>,
    /// Goes up with each change.
    revision: i64,
}

impl From<Judged> for Risk {
    fn from(j: Judged) -> Self {
        let row = j.row;
        let r = row.content.0;
        Self {
            id: row.id,
            number: row.number,
            score: r.score(),
            description: r.description,
            components: r.components,
            measures: j.measures.into_iter().map(RiskMeasure::from).collect(),
            scale: r.scale.to_string(),
            likelihood: r.likelihood,
            impact: r.impact,
            level: j.level,
            stated_level: r.stated_level,
            conflict: j.conflict,
            downtime: r.downtime,
            downtime_s: r.downtime_s,
            comment: r.comment,
            treatment: r.treatment.map(|t| t.to_string()),
            owner: r.owner,
            due: r.due,
            review: r.review.to_string(),
            state: j.state.to_string(),
            reasons: j.reasons,
            incomplete: j.incomplete.into_iter().map(|m| m.to_string()).collect(),
            imported: row.imported,
            retired_at: row.retired_at.map(at),
            retire_reason: row.retire_reason,
            revision: row.revision,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListRisks {
    /// Also those that were retired.
    #[serde(default)]
    retired: bool,
}

/// The risks of a service.
#[derive(Debug, Serialize, ToSchema)]
pub struct Risks {
    risks: Vec<Risk>,
}

/// The risks of a service by number, with levels, conflicts and how proofs stand
#[utoipa::path(get, path = "/api/v1/services/{name}/risks", tag = "risks", params(("name" = String, Path, description = "The service's name"), ListRisks),
    responses((status = 200, body = Risks)))]
pub async fn list(Asker(ctx): Asker, Path(name): Path<String>, Query(q): Query<ListRisks>) -> Result<Json<Risks>, Problem> {
    Ok(Json(Risks { risks: risks::list(&ctx, &name, q.retired).await?.into_iter().map(Risk::from).collect() }))
}

/// One risk
#[utoipa::path(get, path = "/api/v1/services/{name}/risks/{number}", tag = "risks",
    params(("name" = String, Path, description = "The service's name"), ("number" = i64, Path, description = "The risk's number")),
    responses((status = 200, body = Risk)))]
pub async fn find(Asker(ctx): Asker, known: Known, Path((name, number)): Path<(String, i64)>) -> Result<Tagged, Problem> {
    Ok(tagged(&ctx, &name, number).await?.unless(&known))
}

async fn tagged(ctx: &ops::Ctx, name: &str, number: i64) -> Result<Tagged, Problem> {
    let found = risks::find(ctx, name, number).await?;
    Tagged::new(&risks::version(&found.row), &Risk::from(found))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"risk": {"description": "The data centre burns", "likelihood": 1, "impact": 2}}))]
pub struct NewRisk {
    /// Left out: the next one.
    number: Option<i64>,
    /// It comes from an older plan: what a grave risk must have may be missing, and is then named in `incomplete`.
    #[serde(default)]
    imported: bool,
    risk: RiskBody,
}

/// Add a risk
#[utoipa::path(post, path = "/api/v1/services/{name}/risks", tag = "risks", params(("name" = String, Path, description = "The service's name")),
    request_body = NewRisk,
    responses((status = 201, body = Risk)))]
pub async fn create(Asker(ctx): Asker, Path(name): Path<String>, Body(new): Body<NewRisk>) -> Result<Response, Problem> {
    risks::require_plan(&ctx, &name).await?;
    let number = match ctx.done("risk").as_deref() {
        Some([id, ..]) => risks::list(&ctx, &name, true).await?.into_iter().find(|j| j.row.id == *id).map(|j| j.row.number),
        _ => None,
    };
    let number = match number {
        Some(number) => number,
        None => risks::create(&ctx, &name, new.number, &new.risk.risk(usual(&ctx).await?)?, new.imported).await?,
    };
    Ok((StatusCode::CREATED, Json(Risk::from(risks::find(&ctx, &name, number).await?))).into_response())
}

/// The newest version of the usual scale.
async fn usual(ctx: &ops::Ctx) -> Result<ScaleRef, Problem> {
    Ok(risks::scale_version(ctx, domain::risk::scale::BUILT_IN, None).await?.name)
}

/// Change a risk
#[utoipa::path(put, path = "/api/v1/services/{name}/risks/{number}", tag = "risks",
    params(("name" = String, Path, description = "The service's name"), ("number" = i64, Path, description = "The risk's number")),
    request_body = RiskBody,
    responses((status = 200, body = Risk)))]
pub async fn change(Asker(ctx): Asker, Basis(seen): Basis, Path((name, number)): Path<(String, i64)>, Body(body): Body<RiskBody>) -> Result<Tagged, Problem> {
    risks::require_plan(&ctx, &name).await?;
    let rated_by = risks::find(&ctx, &name, number).await?.row.content.0.scale;
    risks::change_if(&ctx, &name, number, &body.risk(rated_by)?, &seen).await?;
    tagged(&ctx, &name, number).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "the service left that data centre"}))]
pub struct RetireRisk {
    /// Why, for those who look at the plan later.
    reason: String,
}

/// Take a risk out of the plan; its number and its history stay
#[utoipa::path(post, path = "/api/v1/services/{name}/risks/{number}/retire", tag = "risks",
    params(("name" = String, Path, description = "The service's name"), ("number" = i64, Path, description = "The risk's number")),
    request_body = RetireRisk,
    responses((status = 200, body = Risk)))]
pub async fn retire(
    Asker(ctx): Asker,
    Basis(seen): Basis,
    Path((name, number)): Path<(String, i64)>,
    Body(b): Body<RetireRisk>,
) -> Result<Json<Risk>, Problem> {
    risks::retire_if(&ctx, &name, number, &b.reason, &seen).await?;
    Ok(Json(risks::find(&ctx, &name, number).await?.into()))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RiskChanges {
    /// Changes before this revision; `next` of the page before.
    before: Option<i64>,
}

/// One field that a change changed; nothing is an empty text.
#[derive(Debug, Serialize, ToSchema)]
pub struct RiskChange {
    field: String,
    before: String,
    after: String,
}

/// One change of a risk.
#[derive(Debug, Serialize, ToSchema)]
pub struct RiskRevision {
    revision: i64,
    at: Timestamp,
    actor: String,
    /// `created`, `imported`, `changed` or `retired`.
    kind: String,
    reason: Option<String>,
    changes: Vec<RiskChange>,
}

/// The history of a risk.
#[derive(Debug, Serialize, ToSchema)]
pub struct RiskHistory {
    revisions: Vec<RiskRevision>,
    /// `before` of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

/// The changes of a risk, the newest first
#[utoipa::path(get, path = "/api/v1/services/{name}/risks/{number}/history", tag = "risks",
    params(("name" = String, Path, description = "The service's name"), ("number" = i64, Path, description = "The risk's number"), RiskChanges),
    responses((status = 200, body = RiskHistory)))]
pub async fn history(Asker(ctx): Asker, Path((name, number)): Path<(String, i64)>, Query(q): Query<RiskChanges>) -> Result<Json<RiskHistory>, Problem> {
    let found = risks::history(&ctx, &name, number, q.before, risks::PAGE).await?;
    let next = found.last().map(|r| r.revision).filter(|r| *r > 1);
    let revisions = found.into_iter().map(|r| RiskRevision {
        revision: r.revision,
        at: at(r.at.0),
        actor: r.actor,
        kind: r.kind.to_string(),
        reason: r.reason,
        changes: r.changes.into_iter().map(|c| RiskChange { field: c.field, before: c.before, after: c.after }).collect(),
    });
    Ok(Json(RiskHistory { revisions: revisions.collect(), next }))
}

/// A level and the products of likelihood and impact that have it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScaleBand {
    level: String,
    from: i64,
    to: i64,
}

/// A scale: names of the steps from 1 up, levels from low to high.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"likelihood": ["rare", "likely"], "impact": ["minor", "severe"],
    "bands": [{"level": "Low", "from": 1, "to": 2}, {"level": "High", "from": 3, "to": 4}], "threshold": "High"}))]
pub struct ScaleBody {
    likelihood: Vec<String>,
    impact: Vec<String>,
    bands: Vec<ScaleBand>,
    /// The lowest level at which a risk needs a treatment, an owner and a due date.
    threshold: String,
}

/// A version of a scale. It is never changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct RatingScale {
    name: String,
    version: i64,
    /// As risks name it.
    shown: String,
    likelihood: Vec<String>,
    impact: Vec<String>,
    bands: Vec<ScaleBand>,
    threshold: String,
    /// Absent for the one that is built in.
    made_by: Option<String>,
    made_at: Option<Timestamp>,
    /// Whether it is the newest of its name.
    newest: bool,
}

impl From<ScaleVersion> for RatingScale {
    fn from(s: ScaleVersion) -> Self {
        let bands = s.scale.bands.into_iter().map(|b| ScaleBand { level: b.level, from: b.from, to: b.to }).collect();
        let (made_by, made_at) = s.made.map(|(by, when)| (by, at(when.0))).unzip();
        Self {
            shown: s.name.to_string(),
            name: s.name.name,
            version: s.name.version,
            likelihood: s.scale.likelihood,
            impact: s.scale.impact,
            bands,
            threshold: s.scale.threshold,
            made_by,
            made_at,
            newest: s.newest,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RatingScales {
    scales: Vec<RatingScale>,
}

/// All versions of all scales, the newest of each first
#[utoipa::path(get, path = "/api/v1/scales", tag = "risks", responses((status = 200, body = RatingScales)))]
pub async fn scales(Asker(ctx): Asker) -> Result<Json<RatingScales>, Problem> {
    Ok(Json(RatingScales { scales: risks::scales(&ctx).await?.into_iter().map(RatingScale::from).collect() }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct WhichVersion {
    /// Left out: the newest one.
    version: Option<i64>,
}

/// One version of a scale
#[utoipa::path(get, path = "/api/v1/scales/{name}", tag = "risks", params(("name" = String, Path, description = "The scale's name"), WhichVersion),
    responses((status = 200, body = RatingScale)))]
pub async fn scale(Asker(ctx): Asker, known: Known, Path(name): Path<String>, Query(q): Query<WhichVersion>) -> Result<Tagged, Problem> {
    Ok(tagged_scale(risks::scale_version(&ctx, &name, q.version).await?)?.unless(&known))
}

fn tagged_scale(found: ScaleVersion) -> Result<Tagged, Problem> {
    Tagged::new(&found.name.version.to_string(), &RatingScale::from(found))
}

/// Make a scale, or its next version; risks keep the one that they were rated by
#[utoipa::path(put, path = "/api/v1/scales/{name}", tag = "risks", params(("name" = String, Path, description = "The scale's name")), request_body = ScaleBody,
    responses((status = 200, body = RatingScale)))]
pub async fn save_scale(Asker(ctx): Asker, Basis(seen): Basis, Path(name): Path<String>, Body(b): Body<ScaleBody>) -> Result<Tagged, Problem> {
    let bands = b.bands.into_iter().map(|b| Band { level: b.level, from: b.from, to: b.to }).collect();
    let scale = Scale { likelihood: b.likelihood, impact: b.impact, bands, threshold: b.threshold };
    let saved = risks::save_scale(&ctx, &name, &scale, &seen).await?;
    tagged_scale(risks::scale_version(&ctx, &saved.name, Some(saved.version)).await?)
}
