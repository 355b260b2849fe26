//! `/api/v1/plans` and `/api/v1/services/{name}/plan`: continuity plans, their versions, signatures and exports.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use domain::plan::{Part, Role, read};
use jiff::Timestamp;
use ops::{
    Ctx, OpsError,
    plans::{self, Begin},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{
    asker::{Asker, Body, Path, Query, Trial, after, limit},
    problem::Problem,
    version::{Basis, Known, Tagged},
    words::{self, at},
};

/// A service and how its plan stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListedPlan {
    service: String,
    title: String,
    owner: String,
    /// The approved version; absent where none is.
    approved: Option<i64>,
    approved_at: Option<Timestamp>,
    /// The version that is a draft or in review; absent for whoever may not change plans.
    open: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = words::plan_state)]
    open_state: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Plans {
    plans: Vec<ListedPlan>,
    /// `after` of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListPlans {
    /// Only services whose name or title holds this text.
    search: Option<String>,
    /// Services after this name; `next` of the page before.
    after: Option<String>,
    /// 1 to 500, 100 where it is left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// Services with how their plans stand, by name
#[utoipa::path(get, path = "/api/v1/plans", tag = "plans", params(ListPlans),
    responses((status = 200, body = Plans)))]
pub async fn list(Asker(ctx): Asker, Query(q): Query<ListPlans>) -> Result<Json<Plans>, Problem> {
    let limit = limit(q.limit, ops::runs::PAGE)?;
    let rows = plans::list(&ctx, &after(q.after)?, &q.search.unwrap_or_default(), limit).await?;
    let next = (rows.len() as i64 == limit).then(|| rows.last().map(|p| p.service.clone())).flatten();
    let plans = rows.into_iter().map(|p| ListedPlan {
        service: p.service,
        title: p.title,
        owner: p.owner,
        approved: p.approved,
        approved_at: p.approved_at.map(at),
        open: p.open,
        open_state: p.open_state,
    });
    Ok(Json(Plans { plans: plans.collect(), next }))
}

/// A role that has to sign.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Service owner", "owner": true}))]
pub struct SigningRole {
    name: String,
    /// Whether owners of the service may sign in it; an admin always may.
    owner: bool,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"roles": [{"name": "Service owner", "owner": true}, {"name": "Continuity office", "owner": false}]}))]
pub struct SigningRoles {
    roles: Vec<SigningRole>,
}

/// Who has to sign a plan
#[utoipa::path(get, path = "/api/v1/plans/roles", tag = "plans",
    responses((status = 200, body = SigningRoles)))]
pub async fn roles(Asker(ctx): Asker) -> Result<Json<SigningRoles>, Problem> {
    let roles = plans::roles(&ctx).await?.into_iter().map(|r| SigningRole { name: r.name, owner: r.owner }).collect();
    Ok(Json(SigningRoles { roles }))
}

/// Say who has to sign plans that are submitted from now on
#[utoipa::path(post, path = "/api/v1/plans/roles", tag = "plans", request_body = SigningRoles,
    responses((status = 200, body = SigningRoles)))]
pub async fn set_roles(Asker(ctx): Asker, Body(given): Body<SigningRoles>) -> Result<Json<SigningRoles>, Problem> {
    let wanted = given.roles.into_iter().map(|r| Role { name: r.name, owner: r.owner }).collect();
    plans::set_roles(&ctx, wanted).await?;
    roles(Asker(ctx)).await
}

/// A signature that counts.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanSignature {
    role: String,
    signer: String,
    signed_at: Timestamp,
    sha256: String,
}

/// One version of a plan.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanVersion {
    service: String,
    number: i64,
    #[schema(schema_with = words::plan_state)]
    state: String,
    /// Goes up with each change of the content.
    revision: i64,
    /// What the plan says, as the JSON export has it.
    content: Value,
    /// SHA-256 of the content, once it was submitted: what a signature is bound to.
    sha256: Option<String>,
    roles: Vec<SigningRole>,
    signatures: Vec<PlanSignature>,
    /// Roles in which nobody has signed.
    missing: Vec<String>,
    updated_by: String,
    updated_at: Timestamp,
    submitted_at: Option<Timestamp>,
    approved_at: Option<Timestamp>,
}

fn version(service: &str, v: &plans::Version) -> Result<PlanVersion, Problem> {
    let row = &v.row;
    let signatures = v.signatures.iter().map(|s| PlanSignature {
        role: s.role.clone(),
        signer: s.signer.clone(),
        signed_at: at(s.signed_at),
        sha256: s.content_sha256.clone(),
    });
    Ok(PlanVersion {
        service: service.to_owned(),
        number: row.number,
        state: row.state.clone(),
        revision: row.revision,
        content: serde_json::to_value(&row.content.0).map_err(OpsError::internal)?,
        sha256: row.content_sha256.clone(),
        roles: row.roles.0.iter().map(|r| SigningRole { name: r.name.clone(), owner: r.owner }).collect(),
        signatures: signatures.collect(),
        missing: v.missing().into_iter().map(str::to_owned).collect(),
        updated_by: row.updated_by.clone(),
        updated_at: at(row.updated_at),
        submitted_at: row.submitted_at.map(at),
        approved_at: row.approved_at.map(at),
    })
}

/// What is shown of a plan where no version is asked for.
async fn shown(ctx: &Ctx, service: &str) -> Result<plans::Version, Problem> {
    let plan = plans::find(ctx, service).await?;
    plan.shown().cloned().ok_or_else(|| OpsError::not_found("plan of", service).into())
}

async fn tagged(ctx: &Ctx, service: &str) -> Result<Tagged, Problem> {
    let found = shown(ctx, service).await?;
    Tagged::new(&plans::tag(&found.row), &version(service, &found)?)
}

/// The draft, or what is in review, for whoever may change the plan; the approved version for everybody else
#[utoipa::path(get, path = "/api/v1/services/{name}/plan", tag = "plans", params(("name" = String, Path, description = "The service's name")),
    responses((status = 200, body = PlanVersion)))]
pub async fn find(Asker(ctx): Asker, known: Known, Path(name): Path<String>) -> Result<Tagged, Problem> {
    Ok(tagged(&ctx, &name).await?.unless(&known))
}

/// Save a plan as the draft, as the JSON export has it; a draft is begun where there is none
///
/// With `preview` the answer is the version as it would stand.
#[utoipa::path(put, path = "/api/v1/services/{name}/plan", tag = "plans", params(("name" = String, Path, description = "The service's name"), Trial),
    request_body(content = serde_json::Value, example = json!({"format": 1, "introduction": "Why this plan is here.", "rto": "1 d"})),
    responses((status = 200, body = PlanVersion)))]
pub async fn save(
    Asker(ctx): Asker,
    Basis(seen): Basis,
    Path(name): Path<String>,
    Query(trial): Query<Trial>,
    Body(given): Body<Value>,
) -> Result<Response, Problem> {
    let content = match read(&given.to_string()) {
        Ok(content) => content,
        // Whoever may not is refused whatever the body holds.
        Err(wrong) => {
            let plan = plans::find(&ctx, &name).await?;
            return Err(if plan.may { OpsError::Invalid(wrong) } else { OpsError::Forbidden(ops::permission::Action::Plan.words()) }.into());
        }
    };
    if trial.preview {
        let row = plans::would_save(&ctx, &name, content, &seen).await?;
        return Ok(Json(version(&name, &plans::Version { row, signatures: Vec::new() })?).into_response());
    }
    plans::save(&ctx, &name, content, &seen).await?;
    Ok(tagged(&ctx, &name).await?.into_response())
}

/// What a draft begins as.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BeginsAs {
    /// The empty form, with what is promised of the service.
    Empty,
    /// A copy of the approved version.
    Approved,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"from": "approved"}))]
pub struct NewDraft {
    from: BeginsAs,
}

/// Begin a draft
#[utoipa::path(post, path = "/api/v1/services/{name}/plan/drafts", tag = "plans", params(("name" = String, Path, description = "The service's name")),
    request_body = NewDraft,
    responses((status = 201, body = PlanVersion)))]
pub async fn begin(Asker(ctx): Asker, Path(name): Path<String>, Body(new): Body<NewDraft>) -> Result<Response, Problem> {
    let begin = match new.from {
        BeginsAs::Empty => Begin::Empty,
        BeginsAs::Approved => Begin::Approved,
    };
    let number = plans::start(&ctx, &name, begin).await?;
    Ok((StatusCode::CREATED, one(&ctx, &name, number).await?).into_response())
}

async fn one(ctx: &Ctx, name: &str, number: i64) -> Result<Json<PlanVersion>, Problem> {
    Ok(Json(version(name, &plans::version(ctx, name, number).await?)?))
}

/// A version without its content.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListedVersion {
    number: i64,
    #[schema(schema_with = words::plan_state)]
    state: String,
    revision: i64,
    sha256: Option<String>,
    /// The approved version that it began as.
    based_on: Option<i64>,
    updated_by: String,
    updated_at: Timestamp,
    submitted_at: Option<Timestamp>,
    approved_at: Option<Timestamp>,
    /// When it was superseded or discarded.
    ended_at: Option<Timestamp>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PlanVersions {
    versions: Vec<ListedVersion>,
}

/// All versions of a plan, the newest first
#[utoipa::path(get, path = "/api/v1/services/{name}/plan/versions", tag = "plans", params(("name" = String, Path, description = "The service's name")),
    responses((status = 200, body = PlanVersions)))]
pub async fn versions(Asker(ctx): Asker, Path(name): Path<String>) -> Result<Json<PlanVersions>, Problem> {
    let versions = plans::versions(&ctx, &name).await?.into_iter().map(|v| ListedVersion {
        number: v.number,
        state: v.state,
        revision: v.revision,
        sha256: v.content_sha256,
        based_on: v.based_on,
        updated_by: v.updated_by,
        updated_at: at(v.updated_at),
        submitted_at: v.submitted_at.map(at),
        approved_at: v.approved_at.map(at),
        ended_at: v.ended_at.map(at),
    });
    Ok(Json(PlanVersions { versions: versions.collect() }))
}

/// One version
#[utoipa::path(get, path = "/api/v1/services/{name}/plan/versions/{number}", tag = "plans",
    params(("name" = String, Path, description = "The service's name"), ("number" = i64, Path, description = "The version's number")),
    responses((status = 200, body = PlanVersion)))]
pub async fn find_version(Asker(ctx): Asker, Path((name, number)): Path<(String, i64)>) -> Result<Json<PlanVersion>, Problem> {
    one(&ctx, &name, number).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Between {
    /// A version's number.
    #[param(example = 1)]
    from: i64,
    #[param(example = 2)]
    to: i64,
}

/// A piece of a text: it stays, goes or comes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TextPiece {
    Same(String),
    Removed(String),
    Added(String),
}

/// A field that differs, word by word.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldDifference {
    /// As in JSON: `performance.requirements`.
    field: String,
    title: String,
    pieces: Vec<TextPiece>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PlanDifferences {
    from: i64,
    to: i64,
    fields: Vec<FieldDifference>,
}

/// How two versions differ, field by field and word by word
#[utoipa::path(get, path = "/api/v1/services/{name}/plan/differences", tag = "plans", params(("name" = String, Path, description = "The service's name"), Between),
    responses((status = 200, body = PlanDifferences)))]
pub async fn differences(Asker(ctx): Asker, Path(name): Path<String>, Query(q): Query<Between>) -> Result<Json<PlanDifferences>, Problem> {
    let found = plans::difference(&ctx, &name, q.from, q.to).await?;
    let piece = |p: Part| match p {
        Part::Same(t) => TextPiece::Same(t),
        Part::Removed(t) => TextPiece::Removed(t),
        Part::Added(t) => TextPiece::Added(t),
    };
    let fields = found.fields.into_iter().map(|f| FieldDifference {
        field: f.key.to_owned(),
        title: f.title.to_owned(),
        pieces: f.parts.into_iter().map(piece).collect(),
    });
    Ok(Json(PlanDifferences { from: found.from.number, to: found.to.number, fields: fields.collect() }))
}

/// How a plan is written.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    Json,
    Markdown,
    Html,
    Pdf,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Export {
    #[param(inline)]
    format: ExportFormat,
    /// A version's number; left out, the one that the plan shows.
    version: Option<i64>,
}

/// A version as a file: JSON, which can be imported, Markdown, HTML or PDF
#[utoipa::path(get, path = "/api/v1/services/{name}/plan/export", tag = "plans", params(("name" = String, Path, description = "The service's name"), Export),
    responses((status = 200, description = "the file", content((serde_json::Value = "application/json"), (String = "text/markdown"), (String = "text/html"), (String = "application/pdf")))))]
pub async fn export(Asker(ctx): Asker, Path(name): Path<String>, Query(q): Query<Export>) -> Result<Response, Problem> {
    let number = match q.version {
        Some(number) => number,
        None => shown(&ctx, &name).await?.row.number,
    };
    let (kind, end, bytes) = match q.format {
        ExportFormat::Json => {
            let value = plans::json(&ctx, &name, number).await?;
            ("application/json", "json", serde_json::to_vec_pretty(&value).map_err(OpsError::internal)?)
        }
        ExportFormat::Markdown => ("text/markdown; charset=utf-8", "md", ops::document::markdown(&plans::document(&ctx, &name, number).await?).into_bytes()),
        ExportFormat::Html => ("text/html; charset=utf-8", "html", ops::document::html(&plans::document(&ctx, &name, number).await?).into_bytes()),
        ExportFormat::Pdf => {
            let document = plans::document(&ctx, &name, number).await?;
            // Fonts and compression take their time: not on a thread that serves others.
            let made = tokio::task::spawn_blocking(move || ops::document::pdf(&document)).await.map_err(OpsError::internal)?;
            ("application/pdf", "pdf", made?)
        }
    };
    let file = format!("attachment; filename=\"plan-{}-v{number}.{end}\"", name.replace(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c), "_"));
    let mut answer = bytes.into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    if let Ok(file) = HeaderValue::from_str(&file) {
        headers.insert(header::CONTENT_DISPOSITION, file);
    }
    Ok(answer)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"revision": 3, "comment": "outcome rewritten"}))]
pub struct SubmitPlan {
    /// The revision of the draft that was seen.
    revision: i64,
    /// What is new; for the revision history.
    #[serde(default)]
    comment: String,
}

/// Submit a draft for review; what was measured is frozen with it
#[utoipa::path(post, path = "/api/v1/services/{name}/plan/versions/{number}/submit", tag = "plans",
    params(("name" = String, Path, description = "The service's name"), ("number" = i64, Path, description = "The version's number")),
    request_body = SubmitPlan, responses((status = 200, body = PlanVersion)))]
pub async fn submit(Asker(ctx): Asker, Path((name, number)): Path<(String, i64)>, Body(b): Body<SubmitPlan>) -> Result<Json<PlanVersion>, Problem> {
    plans::submit(&ctx, &name, number, b.revision, &b.comment).await?;
    one(&ctx, &name, number).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"role": "Service owner", "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}))]
pub struct SignPlan {
    /// One of the version's `roles`.
    role: String,
    /// The `sha256` of the version that was read.
    sha256: String,
}

/// Sign a version in review in a role; different people sign the roles
#[utoipa::path(post, path = "/api/v1/services/{name}/plan/versions/{number}/sign", tag = "plans",
    params(("name" = String, Path, description = "The service's name"), ("number" = i64, Path, description = "The version's number")),
    request_body = SignPlan, responses((status = 200, body = PlanVersion)))]
pub async fn sign(Asker(ctx): Asker, Path((name, number)): Path<(String, i64)>, Body(b): Body<SignPlan>) -> Result<Json<PlanVersion>, Problem> {
    plans::sign(&ctx, &name, number, &b.role, &b.sha256).await?;
    one(&ctx, &name, number).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}))]
pub struct ApprovePlan {
    /// The `sha256` of the version that was read.
    sha256: String,
}

/// Approve a version that everybody has signed; the former one is superseded
#[utoipa::path(post, path = "/api/v1/services/{name}/plan/versions/{number}/approve", tag = "plans",
    params(("name" = String, Path, description = "The service's name"), ("number" = i64, Path, description = "The version's number")),
    request_body = ApprovePlan, responses((status = 200, body = PlanVersion)))]
pub async fn approve(Asker(ctx): Asker, Path((name, number)): Path<(String, i64)>, Body(b): Body<ApprovePlan>) -> Result<Json<PlanVersion>, Problem> {
    plans::approve(&ctx, &name, number, &b.sha256).await?;
    one(&ctx, &name, number).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "the RTO is missing"}))]
pub struct ReturnPlan {
    /// Why, for the revision history.
    reason: String,
}

/// Return a version in review to draft; its signatures fall
#[utoipa::path(post, path = "/api/v1/services/{name}/plan/versions/{number}/return", tag = "plans",
    params(("name" = String, Path, description = "The service's name"), ("number" = i64, Path, description = "The version's number")),
    request_body = ReturnPlan, responses((status = 200, body = PlanVersion)))]
pub async fn give_back(Asker(ctx): Asker, Path((name, number)): Path<(String, i64)>, Body(b): Body<ReturnPlan>) -> Result<Json<PlanVersion>, Problem> {
    plans::give_back(&ctx, &name, number, &b.reason).await?;
    one(&ctx, &name, number).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"revision": 3, "reason": "begun too early"}))]
pub struct DiscardPlan {
    /// The revision of the draft that was seen.
    revision: i64,
    /// Why, for the list of versions.
    reason: String,
}

/// End a draft without approving it
#[utoipa::path(post, path = "/api/v1/services/{name}/plan/versions/{number}/discard", tag = "plans",
    params(("name" = String, Path, description = "The service's name"), ("number" = i64, Path, description = "The version's number")),
    request_body = DiscardPlan, responses((status = 200, body = PlanVersion)))]
pub async fn discard(Asker(ctx): Asker, Path((name, number)): Path<(String, i64)>, Body(b): Body<DiscardPlan>) -> Result<Json<PlanVersion>, Problem> {
    plans::discard(&ctx, &name, number, b.revision, &b.reason).await?;
    one(&ctx, &name, number).await
}
