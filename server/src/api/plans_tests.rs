//! A plan over HTTP, on both databases: saved from what was seen, signed by two, approved, compared, exported, imported.

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
};
use ops::Role;
use serde_json::{Value, json};
use store::{
    services::{self, NewService},
    testing::TestDb,
};
use tower::ServiceExt as _;

use super::{
    preview_tests::everything,
    tests::{api_of, databases},
    version_tests::ask,
};

const PLAN: &str = "/api/v1/services/alpha/plan";

fn content(outcome: &str) -> Value {
    json!({
        "format": 1, "outcome": outcome, "mtpod": "2 d", "rto": "1 d", "support_unit": "Alpha", "contact": "A ticket",
        "procedures": [{"title": "Restore", "text": "As written."}],
    })
}

/// The service promises what the plan says.
async fn promised(db: &TestDb) {
    let mut t = db.db.begin().await.unwrap();
    let was = services::find_by_name(t.tx(), "alpha").await.unwrap().unwrap();
    let new = NewService { name: was.name, title: was.title, owner: was.owner, rpo_s: None, rto_s: Some(86_400), mtpod_s: Some(172_800), canary: None };
    services::upsert(t.tx(), &new, domain::units::Timestamp(was.updated_at)).await.unwrap();
    t.commit().await.unwrap();
}

/// The version in review, with the sum of its content.
async fn submitted(router: &Router, number: i64, revision: i64) -> String {
    let path = format!("{PLAN}/versions/{number}/submit");
    let answer = ask(router, "POST", &path, &[], Some(&json!({"revision": revision, "comment": "new"}))).await;
    assert_eq!((answer.status, &answer.body["state"]), (StatusCode::OK, &json!("in_review")), "{}", answer.body);
    answer.body["sha256"].as_str().unwrap().to_owned()
}

async fn bytes(router: &Router, path: &str) -> (String, Vec<u8>) {
    let answer = router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(answer.headers()["content-disposition"].to_str().unwrap().starts_with("attachment; filename=\"plan-alpha-v1."), "{path}");
    (kind, axum::body::to_bytes(answer.into_body(), 1 << 24).await.unwrap().to_vec())
}

#[tokio::test]
async fn a_plan_from_its_draft_to_its_export() {
    for db in databases().await {
        let (ada, ben, aud) = (api_of(&db, "ada", Role::Admin), api_of(&db, "ben", Role::Admin), api_of(&db, "aud", Role::Auditor));
        assert_eq!(ask(&ada, "GET", PLAN, &[], None).await.status, StatusCode::NOT_FOUND);
        promised(&db).await;
        let before = everything(&db).await;
        let tried = ask(&ada, "PUT", &format!("{PLAN}?preview=true"), &[], Some(&content("tried"))).await;
        assert_eq!((tried.status, &tried.body["number"]), (StatusCode::OK, &json!(1)), "{}", tried.body);
        for (bad, field) in [(json!({"format": 2}), "format"), (json!({"format": 1, "rto": "soon"}), "rto"), (json!({"format": 1, "colour": 1}), "colour")] {
            let refused = ask(&ada, "PUT", PLAN, &[], Some(&bad)).await;
            assert_eq!((refused.status, &refused.body["errors"][0]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(field)), "{}", refused.body);
            assert_eq!(ask(&aud, "PUT", PLAN, &[], Some(&bad)).await.status, StatusCode::FORBIDDEN);
        }
        assert_eq!(everything(&db).await, before, "{}: nothing was written", db.name);

        let made = ask(&ada, "PUT", PLAN, &[("if-none-match", "*")], Some(&content("first"))).await;
        assert_eq!(made.status, StatusCode::OK, "{}", made.body);
        let tag = made.header("etag").to_owned();
        let changed = ask(&ben, "PUT", PLAN, &[("if-match", &tag)], Some(&content("second"))).await;
        assert_eq!((changed.status, &changed.body["revision"]), (StatusCode::OK, &json!(2)), "{}", changed.body);
        let late = ask(&ada, "PUT", PLAN, &[("if-match", &tag)], Some(&content("third"))).await;
        assert_eq!((late.status, &late.body["changed"]["by"]), (StatusCode::PRECONDITION_FAILED, &json!("ben")), "{}: {}", db.name, late.body);

        // Who may not change plans sees no draft.
        for path in [PLAN.to_owned(), format!("{PLAN}/versions/1"), format!("{PLAN}/export?format=json")] {
            assert_eq!(ask(&aud, "GET", &path, &[], None).await.status, StatusCode::NOT_FOUND, "{path}");
        }
        let sum = submitted(&ada, 1, 2).await;
        let act = async |who: &Router, what: &str, body: Value| ask(who, "POST", &format!("{PLAN}/versions/1/{what}"), &[], Some(&body)).await;
        assert_eq!(ask(&ada, "PUT", PLAN, &[], Some(&content("x"))).await.status, StatusCode::CONFLICT);
        assert_eq!(act(&ada, "approve", json!({"sha256": sum})).await.status, StatusCode::CONFLICT);
        let signed = act(&ada, "sign", json!({"role": "Service owner", "sha256": sum})).await;
        assert_eq!((signed.status, &signed.body["missing"]), (StatusCode::OK, &json!(["Continuity office"])), "{}", signed.body);
        assert_eq!(act(&ada, "sign", json!({"role": "Continuity office", "sha256": sum})).await.status, StatusCode::CONFLICT, "one person signs once");
        assert_eq!(act(&ben, "sign", json!({"role": "Continuity office", "sha256": sum})).await.status, StatusCode::OK);
        let stopped = act(&ben, "approve", json!({"sha256": sum})).await;
        assert!(stopped.status == StatusCode::CONFLICT && stopped.body.to_string().contains("(never-tested)"), "{}", stopped.body);
        let until = domain::review::date_of(store::Clock::System.now()).tomorrow().unwrap().to_string();
        let waiver = json!({"finding": "never-tested", "reason": "an exercise is planned", "until": until});
        let waived = ask(&ada, "POST", "/api/v1/services/alpha/waivers", &[], Some(&waiver)).await;
        assert_eq!(waived.status, StatusCode::CREATED, "{}", waived.body);
        let approved = act(&ben, "approve", json!({"sha256": sum})).await;
        assert_eq!((approved.status, &approved.body["state"]), (StatusCode::OK, &json!("approved")), "{}", approved.body);
        assert_eq!(act(&ben, "return", json!({"reason": "no"})).await.status, StatusCode::CONFLICT);

        let seen = ask(&aud, "GET", PLAN, &[], None).await;
        assert_eq!((seen.status, &seen.body["content"]["outcome"]), (StatusCode::OK, &json!("second")), "{}", seen.body);
        let next = ask(&ada, "POST", &format!("{PLAN}/drafts"), &[], Some(&json!({"from": "approved"}))).await;
        assert_eq!((next.status, &next.body["number"], &next.body["content"]), (StatusCode::CREATED, &json!(2), &seen.body["content"]), "{}", next.body);
        assert_eq!(ask(&ada, "PUT", PLAN, &[], Some(&content("second and last"))).await.status, StatusCode::OK);
        let differ = ask(&ada, "GET", &format!("{PLAN}/differences?from=1&to=2"), &[], None).await;
        assert_eq!(differ.body["fields"][0]["pieces"], json!([{"same": "second"}, {"added": " and last"}]), "{}", differ.body);
        let listed = ask(&aud, "GET", "/api/v1/plans?search=alph", &[], None).await;
        assert_eq!((&listed.body["plans"][0]["approved"], &listed.body["plans"][0]["open"]), (&json!(1), &Value::Null), "{}", listed.body);

        for (format, kind, head) in [
            ("json", "application/json", "{"),
            ("markdown", "text/markdown; charset=utf-8", "# Availability and continuity plan of alpha"),
            ("html", "text/html; charset=utf-8", "<!doctype html>"),
            ("pdf", "application/pdf", "%PDF-"),
        ] {
            let (got, body) = bytes(&aud, &format!("{PLAN}/export?format={format}")).await;
            assert!(got == kind && body.starts_with(head.as_bytes()), "{format}: {got} {}", String::from_utf8_lossy(&body[..40.min(body.len())]));
        }
        // What was exported comes back.
        let (_, exported) = bytes(&ada, &format!("{PLAN}/export?format=json&version=1")).await;
        let exported: Value = serde_json::from_slice(&exported).unwrap();
        let back = ask(&ada, "PUT", PLAN, &[], Some(&exported)).await;
        assert_eq!((back.status, &back.body["content"]), (StatusCode::OK, &seen.body["content"]), "{}", back.body);
    }
}
