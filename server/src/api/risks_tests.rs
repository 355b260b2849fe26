//! Risks and scales over HTTP, on both databases: what an answer tells, versions, what is refused and how.

use axum::http::StatusCode;
use ops::Role;
use serde_json::json;

use super::{
    calls_tests::{risk, scale},
    tests::{api_of, databases},
    version_tests::ask,
};

const RISKS: &str = "/api/v1/services/beta/risks";

#[tokio::test]
async fn a_risk_tells_its_level_its_conflict_and_its_proofs() {
    for db in databases().await {
        let ada = api_of(&db, "ada", Role::Admin);
        let staff = json!({"description": "Staff not available", "likelihood": 3, "impact": 2, "stated_level": "medium", "measures": [
            {"text": "daily backup", "proof": {"kind": "schedule", "name": "daily"}},
            {"text": "restores are tested", "proof": {"kind": "restore_tests"}},
            {"text": "status page", "proof": {"kind": "address", "url": "https://status.example.org/"}},
            {"text": "code in git"}]});
        let refused = ask(&ada, "POST", RISKS, &[], Some(&json!({"risk": staff}))).await;
        let fields: Vec<_> = refused.body["errors"].as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect();
        assert_eq!((refused.status, fields), (StatusCode::UNPROCESSABLE_ENTITY, vec!["treatment", "owner", "due"]), "{}", db.name);
        let made = ask(&ada, "POST", RISKS, &[], Some(&json!({"number": 5, "imported": true, "risk": staff}))).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}: {}", db.name, made.body);
        let told = ask(&ada, "GET", &format!("{RISKS}/5"), &[], None).await.body;
        assert_eq!(
            (&told["level"], &told["score"], &told["stated_level"], &told["scale"]),
            (&json!("High"), &json!(6), &json!("Medium"), &json!("2021")),
            "{told}"
        );
        assert_eq!(told["conflict"], json!("stated Medium, but the rating is 6, which is High"));
        assert_eq!(told["incomplete"], json!(["treatment", "owner", "due"]));
        let states: Vec<_> = told["measures"].as_array().unwrap().iter().map(|m| m["state"].as_str().unwrap()).collect();
        assert_eq!((states, &told["state"]), (vec!["grey", "red", "grey", "grey"], &json!("red")), "{told}");
        assert_eq!(told["reasons"], json!(["restores are tested: never restored: there is no restore test"]));
        assert_eq!(ask(&ada, "GET", RISKS, &[], None).await.body["risks"][0], told);
        let bad = ask(&ada, "POST", RISKS, &[], Some(&json!({"risk": {"description": "x", "likelihood": 5, "impact": 1, "stated_level": "Grave"}}))).await;
        assert_eq!(bad.body["errors"][0]["message"], json!("5 is not on the scale 2021; give a number from 1 to 4 (1 rare, 4 frequent)"), "{}", bad.body);
        assert_eq!(bad.body["errors"][1]["field"], json!("stated_level"), "{}", bad.body);
    }
}

#[tokio::test]
async fn a_risk_changes_from_what_was_seen_and_is_retired() {
    for db in databases().await {
        let (ada, ben, auditor) = (api_of(&db, "ada", Role::Admin), api_of(&db, "ben", Role::Admin), api_of(&db, "aud", Role::Auditor));
        assert_eq!(ask(&ada, "POST", RISKS, &[], Some(&json!({"risk": risk()}))).await.status, StatusCode::CREATED);
        let path = format!("{RISKS}/1");
        let tag = ask(&ada, "GET", &path, &[], None).await.tag();
        assert_eq!(ask(&ada, "GET", &path, &[("if-none-match", &tag)], None).await.status, StatusCode::NOT_MODIFIED);
        let worse = json!({"description": "fire", "likelihood": 2, "impact": 2});
        let done = ask(&ben, "PUT", &path, &[("if-match", &tag)], Some(&worse)).await;
        assert_eq!((done.status, &done.body["level"], &done.body["revision"]), (StatusCode::OK, &json!("Medium"), &json!(2)), "{}: {}", db.name, done.body);
        let late = ask(&ada, "PUT", &path, &[("if-match", &tag)], Some(&risk())).await;
        assert_eq!((late.status, &late.body["changed"]["by"]), (StatusCode::PRECONDITION_FAILED, &json!("ben")), "{}", db.name);
        assert_eq!(ask(&auditor, "PUT", &path, &[], Some(&worse)).await.status, StatusCode::FORBIDDEN);
        let told = ask(&auditor, "GET", &format!("{path}/history"), &[], None).await.body;
        assert_eq!(
            (&told["revisions"][0]["actor"], &told["revisions"][0]["kind"], &told["revisions"][1]["kind"]),
            (&json!("ben"), &json!("changed"), &json!("created"))
        );
        assert_eq!(told["revisions"][0]["changes"], json!([{"field": "likelihood", "before": "1", "after": "2"}]), "{}", db.name);
        assert_eq!(ask(&ada, "POST", &format!("{path}/retire"), &[], Some(&json!({"reason": " "}))).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        let gone = ask(&ada, "POST", &format!("{path}/retire"), &[], Some(&json!({"reason": "moved"}))).await;
        assert_eq!((gone.status, &gone.body["retire_reason"]), (StatusCode::OK, &json!("moved")), "{}: {}", db.name, gone.body);
        assert_eq!(ask(&ada, "PUT", &path, &[], Some(&worse)).await.status, StatusCode::GONE);
        assert_eq!(ask(&ada, "GET", RISKS, &[], None).await.body["risks"], json!([]));
        assert_eq!(ask(&ada, "GET", &format!("{RISKS}?retired=true"), &[], None).await.body["risks"].as_array().map(Vec::len), Some(1), "{}", db.name);
    }
}

#[tokio::test]
async fn scales_have_versions() {
    for db in databases().await {
        let ada = api_of(&db, "ada", Role::Admin);
        let path = "/api/v1/scales/small";
        let made = ask(&ada, "PUT", path, &[("if-none-match", "*")], Some(&scale())).await;
        assert_eq!((made.status, &made.body["version"], &made.body["made_by"]), (StatusCode::OK, &json!(1), &json!("ada")), "{}: {}", db.name, made.body);
        let mut next = scale();
        next["threshold"] = json!("Low");
        let second = ask(&ada, "PUT", path, &[("if-match", &made.tag())], Some(&next)).await;
        assert_eq!((second.status, &second.body["shown"]), (StatusCode::OK, &json!("small v2")), "{}", second.body);
        assert_eq!(ask(&ada, "PUT", path, &[("if-match", &made.tag())], Some(&scale())).await.status, StatusCode::PRECONDITION_FAILED, "{}", db.name);
        assert_eq!(ask(&ada, "GET", &format!("{path}?version=1"), &[], None).await.body["threshold"], json!("High"));
        next["bands"][1]["from"] = json!(2);
        let bad = ask(&ada, "PUT", path, &[], Some(&next)).await;
        assert_eq!((bad.status, &bad.body["errors"][0]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("bands[1].from")), "{}", bad.body);
        let all = ask(&ada, "GET", "/api/v1/scales", &[], None).await.body;
        let names: Vec<_> = all["scales"].as_array().unwrap().iter().map(|s| s["shown"].as_str().unwrap().to_owned()).collect();
        assert_eq!(names, ["2021", "small v2", "small"], "{}", db.name);
        // A risk is rated by the version that it names.
        let rated = json!({"risk": {"description": "x", "scale": "small", "likelihood": 1, "impact": 1}});
        let made = ask(&ada, "POST", RISKS, &[], Some(&rated)).await;
        assert_eq!((made.status, &made.body["scale"]), (StatusCode::CREATED, &json!("small")), "{}: {}", db.name, made.body);
        let unknown = json!({"risk": {"description": "x", "scale": "small v9", "likelihood": 1, "impact": 1}});
        assert_eq!(ask(&ada, "POST", RISKS, &[], Some(&unknown)).await.body["errors"][0]["field"], json!("scale"));
    }
}
