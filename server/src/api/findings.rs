//! `/api/v1/services/{name}/findings` and waivers: what is wrong with a continuity plan, and what people took upon themselves.

use axum::{Json, http::StatusCode};
use domain::{id::WaiverId, units::Timestamp as Moment};
use jiff::Timestamp;
use ops::lint::{Judged, Standing, Waive};
use serde::{Deserialize, Serialize};
use store::waivers::WaiverRow;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    asker::{Asker, Body, Path},
    problem::Problem,
    words::at,
};

/// Something that is wrong with the plan of a service.
#[derive(Debug, Serialize, ToSchema)]
pub struct Finding {
    /// Stable; docs/findings.md lists all.
    id: &'static str,
    /// What it is about, such as `risk 5`; empty where it is about the whole plan.
    subject: String,
    /// blocking, warning or note.
    severity: &'static str,
    /// The part of the plan: dates, performance, risks, targets, procedures, contact, test, revisions.
    section: &'static str,
    title: String,
    /// The figures.
    text: String,
    remedy: &'static str,
    waivable: bool,
    /// Whether it stops the approval now.
    stops: bool,
    /// The waiver that stands for it.
    waiver: Option<Waiver>,
}

/// All findings of a service, in the order of its plan.
#[derive(Debug, Serialize, ToSchema)]
pub struct FindingsReport {
    service: String,
    /// The version that was judged: the open one, or the approved one.
    version: Option<i64>,
    /// Such as `3 findings stop the approval, 2 are notes`.
    summary: String,
    /// How many stop the approval; how many are warnings and notes; how many are waived.
    blocking: usize,
    warnings: usize,
    notes: usize,
    waived: usize,
    findings: Vec<Finding>,
}

/// A finding that a person took upon themselves for a time.
#[derive(Debug, Serialize, ToSchema)]
pub struct Waiver {
    id: Uuid,
    finding: String,
    subject: String,
    /// What the finding said when it was waived.
    said: String,
    reason: String,
    given_by: String,
    given_at: Timestamp,
    /// The last day on which it stands, in UTC.
    #[schema(format = Date)]
    until: String,
    /// stands; over: its last day has passed; ended: somebody ended it before.
    state: &'static str,
    ended_at: Option<Timestamp>,
    ended_by: Option<String>,
    end_reason: Option<String>,
}

fn waiver(w: WaiverRow, now: Moment) -> Result<Waiver, Problem> {
    let state = Standing::of(&w, now)?.as_str();
    Ok(Waiver {
        id: w.id,
        finding: w.finding,
        subject: w.subject,
        said: w.said,
        reason: w.reason,
        given_by: w.given_by,
        given_at: at(w.created_at),
        until: w.until_on,
        state,
        ended_at: w.ended_at.map(at),
        ended_by: w.ended_by,
        end_reason: w.end_reason,
    })
}

fn finding(j: Judged, now: Moment) -> Result<Finding, Problem> {
    let (stops, rule) = (j.stops(), j.finding.rule);
    Ok(Finding {
        id: rule.id,
        subject: j.finding.subject,
        severity: rule.severity.as_str(),
        section: rule.section.as_str(),
        title: j.finding.title,
        text: j.finding.text,
        remedy: rule.remedy,
        waivable: rule.waivable,
        stops,
        waiver: j.waiver.map(|w| waiver(w, now)).transpose()?,
    })
}

/// What is wrong with a service's continuity plan
#[utoipa::path(get, path = "/api/v1/services/{name}/findings", tag = "plans", params(("name" = String, Path, description = "The service's name")),
    responses((status = 200, body = FindingsReport)))]
pub async fn list(Asker(ctx): Asker, Path(name): Path<String>) -> Result<Json<FindingsReport>, Problem> {
    let report = ops::lint::findings(&ctx, &name).await?;
    let (now, sum) = (ctx.now(), report.summary());
    Ok(Json(FindingsReport {
        service: report.service.name,
        version: report.version.map(|(number, _)| number),
        summary: sum.words(),
        blocking: sum.blocking,
        warnings: sum.warnings,
        notes: sum.notes,
        waived: sum.waived,
        findings: report.findings.into_iter().map(|j| finding(j, now)).collect::<Result<_, _>>()?,
    }))
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Waivers {
    /// Also those that are over; the newest 1,000.
    waivers: Vec<Waiver>,
}

/// Waivers of a service's findings, the newest first
#[utoipa::path(get, path = "/api/v1/services/{name}/waivers", tag = "plans", params(("name" = String, Path, description = "The service's name")),
    responses((status = 200, body = Waivers)))]
pub async fn waivers(Asker(ctx): Asker, Path(name): Path<String>) -> Result<Json<Waivers>, Problem> {
    let all = ops::lint::waivers(&ctx, &name).await?;
    Ok(Json(Waivers { waivers: all.into_iter().map(|w| waiver(w, ctx.now())).collect::<Result<_, _>>()? }))
}

/// Which finding is waived, why, and until when.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"finding": "rto-exceeds-mtpod", "reason": "agreed with the users until the new storage is there", "until": "2027-03-31"}))]
pub struct GiveWaiver {
    /// The id of a finding that stands and is waivable.
    finding: String,
    /// As the finding has it.
    #[serde(default)]
    subject: String,
    /// Why, for whoever reads it in a year.
    reason: String,
    /// The last day on which it stands, in UTC, at most a year ahead.
    #[schema(format = Date)]
    until: String,
}

/// Waive a finding for a time
#[utoipa::path(post, path = "/api/v1/services/{name}/waivers", tag = "plans", params(("name" = String, Path, description = "The service's name")),
    request_body = GiveWaiver, responses((status = 201, body = Waiver)))]
pub async fn waive(Asker(ctx): Asker, Path(name): Path<String>, Body(b): Body<GiveWaiver>) -> Result<(StatusCode, Json<Waiver>), Problem> {
    let id = match ctx.done("waiver").as_deref() {
        Some([id, ..]) => WaiverId(*id),
        _ => ops::lint::waive(&ctx, &name, &Waive { finding: b.finding, subject: b.subject, reason: b.reason, until: b.until }).await?,
    };
    let (row, _) = ops::lint::waiver(&ctx, id).await?;
    Ok((StatusCode::CREATED, Json(waiver(row, ctx.now())?)))
}

/// One waiver
#[utoipa::path(get, path = "/api/v1/waivers/{id}", tag = "plans", params(("id" = Uuid, Path, description = "The waiver's id")),
    responses((status = 200, body = Waiver)))]
pub async fn find(Asker(ctx): Asker, Path(id): Path<Uuid>) -> Result<Json<Waiver>, Problem> {
    let (row, _) = ops::lint::waiver(&ctx, WaiverId(id)).await?;
    Ok(Json(waiver(row, ctx.now())?))
}

/// Why a waiver ends before its day.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "the exercise was done"}))]
pub struct EndWaiver {
    reason: String,
}

/// End a waiver before its day: the finding stands again
#[utoipa::path(post, path = "/api/v1/waivers/{id}/end", tag = "plans", params(("id" = Uuid, Path, description = "The waiver's id")),
    request_body = EndWaiver, responses((status = 200, body = Waiver)))]
pub async fn end(Asker(ctx): Asker, Path(id): Path<Uuid>, Body(b): Body<EndWaiver>) -> Result<Json<Waiver>, Problem> {
    ops::lint::end_waiver(&ctx, WaiverId(id), &b.reason).await?;
    let (row, _) = ops::lint::waiver(&ctx, WaiverId(id)).await?;
    Ok(Json(waiver(row, ctx.now())?))
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
    async fn a_finding_is_waived_and_stands_again() {
        for db in databases().await {
            let ada = api_of(&db, "ada", Role::Admin);
            let get = async |path: &str| ask(&ada, "GET", path, &[], None).await.body;
            let of = |body: &Value| body["findings"].as_array().unwrap().iter().find(|f| f["id"] == "never-tested").cloned().unwrap();
            let before = get("/api/v1/services/alpha/findings").await;
            let found = of(&before);
            assert_eq!(
                (&found["severity"], &found["section"], &found["stops"], &found["waiver"]),
                (&json!("blocking"), &json!("test"), &json!(true), &Value::Null)
            );
            let blocking = before["blocking"].as_u64().unwrap();
            assert!(before["summary"].as_str().unwrap().contains("the approval"), "{before}");

            let waivers = "/api/v1/services/alpha/waivers";
            let until = domain::review::date_of(store::Clock::System.now()).tomorrow().unwrap().to_string();
            let body = |until: &str| json!({"finding": "never-tested", "reason": "planned", "until": until});
            let refused = ask(&ada, "POST", waivers, &[], Some(&body("2021-02-25"))).await;
            assert_eq!((refused.status, &refused.body["errors"][0]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("until")), "{}", refused.body);
            let given = ask(&ada, "POST", waivers, &[], Some(&body(&until))).await;
            assert_eq!((given.status, &given.body["state"], &given.body["until"]), (StatusCode::CREATED, &json!("stands"), &json!(until)), "{}", given.body);
            assert_eq!(ask(&ada, "POST", waivers, &[], Some(&body(&until))).await.status, StatusCode::CONFLICT, "{}", db.name);

            let after = get("/api/v1/services/alpha/findings").await;
            let found = of(&after);
            assert_eq!((&found["stops"], &found["waiver"]["reason"], after["blocking"].as_u64()), (&json!(false), &json!("planned"), Some(blocking - 1)));
            assert_eq!(after["waived"], 1, "what is waived is still listed");
            let one = format!("/api/v1/waivers/{}", given.body["id"].as_str().unwrap());
            assert_eq!(get(&one).await, given.body);
            let ended = ask(&ada, "POST", &format!("{one}/end"), &[], Some(&json!({"reason": "tested"}))).await;
            assert_eq!((ended.status, &ended.body["state"], &ended.body["end_reason"]), (StatusCode::OK, &json!("ended"), &json!("tested")));
            assert_eq!(ask(&ada, "POST", &format!("{one}/end"), &[], Some(&json!({"reason": "tested"}))).await.status, StatusCode::CONFLICT);
            assert_eq!(get(waivers).await["waivers"].as_array().unwrap().len(), 1, "{}", db.name);
        }
    }
}
