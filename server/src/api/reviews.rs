//! `/api/v1/reviews`: which reviews are due; `/api/v1/services/{name}/reviews`: what was found, and what need not be done.

use axum::{Json, http::StatusCode};
use domain::{
    id::ReviewId,
    review::{
        ReviewKind, Standing,
        bus::{BusFactor as Counted, Person},
    },
};
use jiff::{Timestamp, civil::Date};
use ops::{
    permission::{Action, On, require_on},
    reviews::{self, Filter, Review as Found},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    asker::{Asker, Body, Path, Query},
    problem::Problem,
    version::{Basis, Known, Tagged},
    words::{self, at},
};

/// One review of one service.
#[derive(Debug, Serialize, ToSchema)]
pub struct Review {
    /// The service's name.
    service: String,
    title: String,
    owner: String,
    #[schema(schema_with = words::review_kind)]
    kind: &'static str,
    /// `overdue`, `soon` (a reminder is out), `later` or `exempt`.
    state: &'static str,
    /// The last day on which it is in time.
    #[schema(value_type = String, format = Date)]
    due: Date,
    /// Days until it is due; negative where it is overdue.
    days: i64,
    /// Months from one to the next.
    months: i64,
    /// The newest one that was done and not withdrawn; absent where there was none.
    last: Option<DoneReview>,
    /// Why, and until when, it need not be done.
    exemption: Option<Exemption>,
}

/// A review that was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct DoneReview {
    id: Uuid,
    #[schema(schema_with = words::review_kind)]
    kind: String,
    /// The day on which it was done.
    #[schema(format = Date)]
    on: String,
    /// Who did it.
    by: String,
    /// What was found.
    outcome: String,
    recorded_by: String,
    recorded_at: Timestamp,
    /// It was recorded by mistake, and counts no longer.
    withdrawn_at: Option<Timestamp>,
    withdrawn_by: Option<String>,
    withdraw_reason: Option<String>,
}

/// A review that need not be done for a while.
#[derive(Debug, Serialize, ToSchema)]
pub struct Exemption {
    #[schema(schema_with = words::review_kind)]
    kind: String,
    /// Its last day.
    #[schema(format = Date)]
    until: String,
    reason: String,
    by: String,
    at: Timestamp,
    /// Who ended it before that day, or by another one.
    ended_by: Option<String>,
    ended_at: Option<Timestamp>,
}

impl From<reviews::ReviewRow> for DoneReview {
    fn from(r: reviews::ReviewRow) -> Self {
        Self {
            id: r.id,
            kind: r.kind,
            on: r.done_on,
            by: r.done_by,
            outcome: r.outcome,
            recorded_by: r.actor,
            recorded_at: at(r.recorded_at),
            withdrawn_at: r.withdrawn_at.map(at),
            withdrawn_by: r.withdrawn_by,
            withdraw_reason: r.withdraw_reason,
        }
    }
}

impl From<reviews::ExemptionRow> for Exemption {
    fn from(e: reviews::ExemptionRow) -> Self {
        Self { kind: e.kind, until: e.until_on, reason: e.reason, by: e.actor, at: at(e.created_at), ended_by: e.ended_by, ended_at: e.ended_at.map(at) }
    }
}

impl Review {
    fn new(r: Found, today: Date) -> Self {
        let days = match r.standing {
            Standing::Overdue { days } => -days,
            Standing::Soon { days } | Standing::Later { days } => days,
            Standing::Exempt { .. } => domain::review::days_until(today, r.facts.due),
        };
        Self {
            service: r.service.name,
            title: r.service.title,
            owner: r.service.owner,
            kind: r.facts.kind.as_str(),
            state: r.standing.as_str(),
            due: r.facts.due,
            days,
            months: r.facts.months,
            last: r.facts.last.map(DoneReview::from),
            exemption: r.facts.exemption.map(Exemption::from),
        }
    }
}

/// The two kinds of reviews.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KindOfReview {
    RiskAssessment,
    PlanAndTest,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListReviews {
    /// Only those of the service of this name.
    service: Option<String>,
    kind: Option<KindOfReview>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Reviews {
    reviews: Vec<Review>,
}

/// The reviews of all services: those that are overdue first, then by their due dates
#[utoipa::path(get, path = "/api/v1/reviews", tag = "reviews", params(ListReviews),
    responses((status = 200, body = Reviews)))]
pub async fn list(Asker(ctx): Asker, Query(q): Query<ListReviews>) -> Result<Json<Reviews>, Problem> {
    let kind = q.kind.map(|k| match k {
        KindOfReview::RiskAssessment => ReviewKind::Risk,
        KindOfReview::PlanAndTest => ReviewKind::Plan,
    });
    let today = reviews::today(&ctx);
    let found = reviews::calendar(&ctx, &Filter { service: q.service.unwrap_or_default(), kind }).await?;
    Ok(Json(Reviews { reviews: found.into_iter().map(|r| Review::new(r, today)).collect() }))
}

/// Somebody who completed a restore, a restore test or an exercise.
#[derive(Debug, Serialize, ToSchema)]
pub struct Restorer {
    name: String,
    restores: i64,
    restore_tests: i64,
    exercises: i64,
    last_at: Timestamp,
}

impl From<Person> for Restorer {
    fn from(p: Person) -> Self {
        Self { name: p.name, restores: p.restores, restore_tests: p.restore_tests, exercises: p.exercises, last_at: at(p.last_at.0) }
    }
}

/// How many different people have brought a service back in the last 12 months.
#[derive(Debug, Serialize, ToSchema)]
pub struct BusFactor {
    count: usize,
    /// It rests on nobody, or on one person alone.
    low: bool,
    people: Vec<Restorer>,
    /// Schedules, programs and Holdfast itself: they completed something, and do not count.
    not_counted: Vec<String>,
}

impl From<Counted> for BusFactor {
    fn from(b: Counted) -> Self {
        Self { count: b.count(), low: b.is_low(), people: b.people.into_iter().map(Restorer::from).collect(), not_counted: b.not_counted }
    }
}

/// All that is known of the reviews of one service.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceReviews {
    /// One a kind.
    reviews: Vec<Review>,
    /// What was done, the newest first, also what was withdrawn.
    done: Vec<DoneReview>,
    /// The newest first, also those that are over.
    exemptions: Vec<Exemption>,
    bus_factor: BusFactor,
}

/// The reviews of a service, what was found, and who has brought it back
#[utoipa::path(get, path = "/api/v1/services/{name}/reviews", tag = "reviews", params(("name" = String, Path, description = "The service's name")),
    responses((status = 200, body = ServiceReviews)))]
pub async fn of_service(Asker(ctx): Asker, Path(name): Path<String>) -> Result<Json<ServiceReviews>, Problem> {
    let today = reviews::today(&ctx);
    let found = reviews::of_service(&ctx, &name).await?;
    Ok(Json(ServiceReviews {
        reviews: found.reviews.into_iter().map(|r| Review::new(r, today)).collect(),
        done: found.history.into_iter().map(DoneReview::from).collect(),
        exemptions: found.exemptions.into_iter().map(Exemption::from).collect(),
        bus_factor: found.bus.into(),
    }))
}

/// One review of a service
#[utoipa::path(get, path = "/api/v1/services/{name}/reviews/{review}", tag = "reviews",
    params(("name" = String, Path, description = "The service's name"), ("review" = String, Path, description = "risk_assessment or plan_and_test")),
    responses((status = 200, body = Review)))]
pub async fn find(Asker(ctx): Asker, Path((name, review)): Path<(String, String)>, known: Known) -> Result<Tagged, Problem> {
    Ok(tagged(&ctx, &name, reviews::kind(&review)?).await?.unless(&known))
}

async fn tagged(ctx: &ops::Ctx, name: &str, kind: ReviewKind) -> Result<Tagged, Problem> {
    let found = reviews::find(ctx, name, kind).await?;
    Tagged::new(&found.version(), &Review::new(found, reviews::today(ctx)))
}

/// How often something is reviewed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"months": 12}))]
pub struct ReviewInterval {
    /// Months from one to the next.
    #[schema(minimum = 1, maximum = 60)]
    months: i64,
}

/// Say how often a review is done
#[utoipa::path(put, path = "/api/v1/services/{name}/reviews/{review}", tag = "reviews", request_body = ReviewInterval,
    params(("name" = String, Path, description = "The service's name"), ("review" = String, Path, description = "risk_assessment or plan_and_test")),
    responses((status = 200, body = Review)))]
pub async fn change(
    Asker(ctx): Asker,
    Path((name, review)): Path<(String, String)>,
    Basis(seen): Basis,
    Body(b): Body<ReviewInterval>,
) -> Result<Tagged, Problem> {
    require_on(&ctx, Action::Plan, On::Any)?;
    let kind = reviews::kind(&review)?;
    reviews::set_interval(&ctx, &name, kind, b.months, &seen).await?;
    tagged(&ctx, &name, kind).await
}

/// A review that was done, also one of the past.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"on": "2019-05-28", "by": "Olga Owner", "outcome": "Eight risks, all in order."}))]
pub struct RecordReview {
    /// The day on which it was done, such as 2019-05-28; not in the future.
    #[schema(format = Date)]
    on: String,
    /// Who did it.
    #[schema(max_length = 200)]
    by: String,
    /// What was found.
    #[schema(max_length = 4000)]
    outcome: String,
}

/// Record a review that was done
#[utoipa::path(post, path = "/api/v1/services/{name}/reviews/{review}/done", tag = "reviews", request_body = RecordReview,
    params(("name" = String, Path, description = "The service's name"), ("review" = String, Path, description = "risk_assessment or plan_and_test")),
    responses((status = 201, body = DoneReview)))]
pub async fn done(
    Asker(ctx): Asker,
    Path((name, review)): Path<(String, String)>,
    Body(b): Body<RecordReview>,
) -> Result<(StatusCode, Json<DoneReview>), Problem> {
    let done = reviews::read_done(&ctx, &b.on, &b.by, &b.outcome)?;
    let kind = reviews::kind(&review)?;
    let id = match ctx.done("review").as_deref() {
        Some([id, ..]) => ReviewId(*id),
        _ => reviews::record(&ctx, &name, kind, &done).await?,
    };
    Ok((StatusCode::CREATED, Json(reviews::recorded(&ctx, &name, id).await?.into())))
}

/// Why a review that was recorded is withdrawn.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "it was of another service"}))]
pub struct WithdrawReview {
    #[schema(max_length = 4000)]
    reason: String,
}

/// Withdraw a review that was recorded by mistake: it stays in the history, and counts no longer
#[utoipa::path(post, path = "/api/v1/services/{name}/reviews/{review}/done/{id}/withdraw", tag = "reviews", request_body = WithdrawReview,
    params(("name" = String, Path, description = "The service's name"), ("review" = String, Path, description = "risk_assessment or plan_and_test"),
        ("id" = Uuid, Path, description = "The id of what was recorded")),
    responses((status = 200, body = DoneReview)))]
pub async fn withdraw(
    Asker(ctx): Asker,
    Path((name, review, id)): Path<(String, String, Uuid)>,
    Body(b): Body<WithdrawReview>,
) -> Result<Json<DoneReview>, Problem> {
    require_on(&ctx, Action::Plan, On::Any)?;
    reviews::withdraw(&ctx, &name, reviews::kind(&review)?, ReviewId(id), &b.reason).await?;
    Ok(Json(reviews::recorded(&ctx, &name, ReviewId(id)).await?.into()))
}

/// Why, and until when, a review need not be done.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"until": "2029-12-31", "reason": "the service is being replaced"}))]
pub struct ExemptReview {
    /// Its last day; at most five years away.
    #[schema(format = Date)]
    until: String,
    /// For whoever reads it in a year.
    #[schema(max_length = 4000)]
    reason: String,
}

/// Exempt a review for a while; it takes the place of an exemption that is there
#[utoipa::path(put, path = "/api/v1/services/{name}/reviews/{review}/exemption", tag = "reviews", request_body = ExemptReview,
    params(("name" = String, Path, description = "The service's name"), ("review" = String, Path, description = "risk_assessment or plan_and_test")),
    responses((status = 200, body = Review)))]
pub async fn exempt(Asker(ctx): Asker, Path((name, review)): Path<(String, String)>, Body(b): Body<ExemptReview>) -> Result<Json<Review>, Problem> {
    let until = reviews::read_until(&ctx, &b.until)?;
    let kind = reviews::kind(&review)?;
    reviews::exempt(&ctx, &name, kind, until, &b.reason).await?;
    Ok(Json(Review::new(reviews::find(&ctx, &name, kind).await?, reviews::today(&ctx))))
}

/// End an exemption before its day
#[utoipa::path(delete, path = "/api/v1/services/{name}/reviews/{review}/exemption", tag = "reviews",
    params(("name" = String, Path, description = "The service's name"), ("review" = String, Path, description = "risk_assessment or plan_and_test")),
    responses((status = 204, description = "the review is due as ever")))]
pub async fn end_exemption(Asker(ctx): Asker, Path((name, review)): Path<(String, String)>) -> Result<StatusCode, Problem> {
    require_on(&ctx, Action::Plan, On::Any)?;
    reviews::end_exemption(&ctx, &name, reviews::kind(&review)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use ops::Role;
    use serde_json::{Value, json};

    use crate::api::{
        tests::{api_of, databases},
        version_tests::ask,
    };

    #[tokio::test]
    async fn a_review_is_withdrawn_and_stays_in_the_history() {
        for db in databases().await {
            let ada = api_of(&db, "ada", Role::Admin);
            let review = "/api/v1/services/alpha/reviews/risk_assessment";
            let before = ask(&ada, "GET", review, &[], None).await.body;
            let done = json!({"on": "2019-05-28", "by": "Olga", "outcome": "in order"});
            let recorded = ask(&ada, "POST", &format!("{review}/done"), &[], Some(&done)).await;
            assert_eq!((recorded.status, &recorded.body["withdrawn_at"]), (StatusCode::CREATED, &Value::Null), "{}", recorded.body);
            let withdraw = format!("{review}/done/{}/withdraw", recorded.body["id"].as_str().unwrap());
            let refused = ask(&ada, "POST", &withdraw, &[], Some(&json!({"reason": ""}))).await;
            assert_eq!((refused.status, &refused.body["errors"][0]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("reason")), "{}", refused.body);
            let reason = json!({"reason": "of another service"});
            let withdrawn = ask(&ada, "POST", &withdraw, &[], Some(&reason)).await;
            assert_eq!((withdrawn.status, &withdrawn.body["withdraw_reason"]), (StatusCode::OK, &reason["reason"]), "{}", withdrawn.body);
            assert_eq!(ask(&ada, "POST", &withdraw, &[], Some(&reason)).await.status, StatusCode::CONFLICT, "{}", db.name);
            let of_other = withdraw.replace("risk_assessment", "plan_and_test");
            assert_eq!(ask(&ada, "POST", &of_other, &[], Some(&reason)).await.status, StatusCode::NOT_FOUND);
            assert_eq!(ask(&ada, "GET", review, &[], None).await.body, before, "{}: it counts no longer", db.name);
            assert_eq!(ask(&ada, "GET", "/api/v1/services/alpha/reviews", &[], None).await.body["done"], json!([withdrawn.body]));
        }
    }
}
