//! Definitions of restore tests over HTTP, on both databases: made, changed, refused, named by runs and schedules.

use axum::http::StatusCode;
use ops::Role;
use serde_json::{Value, json};

use super::{
    tests::{api_of, databases, rule},
    version_tests::ask,
};

const PATH: &str = "/api/v1/services/alpha/test-definitions/weekly";

fn fields(body: &Value) -> Vec<&str> {
    body["errors"].as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_definition_is_made_once_and_changed_from_what_was_seen() {
    for db in databases().await {
        let ada = api_of(&db, "ada", Role::Admin);
        let terms = json!({"selection": {"kind": "random", "days": 30}, "rto_s": 600});
        let made = ask(&ada, "PUT", PATH, &[("if-none-match", "*")], Some(&terms)).await;
        assert_eq!((made.status, &made.body["terms"]["selection"]), (StatusCode::OK, &json!({"kind": "random", "days": 30})), "{}: {}", db.name, made.body);
        assert_eq!(ask(&ada, "PUT", PATH, &[("if-none-match", "*")], Some(&terms)).await.status, StatusCode::PRECONDITION_FAILED, "{}", db.name);
        let tag = made.header("etag").to_owned();
        let http = json!({"kind": "http", "name": "hub", "url": "https://hub.example.org/health"});
        let sqlite = json!({"kind": "sqlite", "name": "rows", "item": "ada", "path": "app.db", "statement": "SELECT 1", "compare": ">=", "expected": "1"});
        let tcp = json!({"kind": "tcp", "name": "ssh", "host": "{address:web}", "port": 22});
        let more = json!({"selection": {"kind": "all"}, "checks": [http, sqlite, tcp.clone()], "network": "isolated"});
        let changed = ask(&ada, "PUT", PATH, &[("if-match", &tag)], Some(&more)).await;
        assert_eq!(changed.status, StatusCode::OK, "{}: {}", db.name, changed.body);
        let said = &changed.body["terms"];
        assert_eq!((&said["checks"][0]["status"], &said["checks"][1], &said["checks"][2]), (&json!(200), &more["checks"][1], &tcp), "{}", db.name);
        assert_eq!(said["network"], "isolated", "{}", db.name);
        assert_eq!(ask(&ada, "PUT", PATH, &[("if-match", &tag)], Some(&terms)).await.status, StatusCode::PRECONDITION_FAILED, "{}", db.name);
        let list = ask(&ada, "GET", "/api/v1/services/alpha/test-definitions", &[], None).await.body;
        assert_eq!(list["definitions"][0]["name"], "weekly", "{}", db.name);
        assert_eq!(ask(&ada, "GET", PATH, &[("if-none-match", changed.header("etag"))], None).await.status, StatusCode::NOT_MODIFIED, "{}", db.name);
        assert_eq!(ask(&ada, "DELETE", PATH, &[("if-match", &tag)], None).await.status, StatusCode::PRECONDITION_FAILED, "{}", db.name);
        assert_eq!(ask(&ada, "DELETE", PATH, &[], None).await.status, StatusCode::NO_CONTENT, "{}", db.name);
        assert_eq!(ask(&ada, "GET", PATH, &[], None).await.status, StatusCode::NOT_FOUND, "{}", db.name);
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_named() {
    let db = databases().await.remove(0);
    let ada = api_of(&db, "ada", Role::Admin);
    let sqlite = json!({"kind": "sqlite", "name": "a b", "item": "", "path": "/etc/passwd", "statement": "DELETE FROM x", "compare": ">=", "expected": "many"});
    let command = json!({"kind": "command", "name": "hub", "command": "hub-starts"});
    let wrong = json!({"selection": {"kind": "sample", "count": 0}, "rpo_s": 0, "checks": [sqlite, command]});
    let refused = ask(&ada, "PUT", PATH, &[], Some(&wrong)).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    assert_eq!(
        fields(&refused.body),
        ["sample", "rpo", "checks[0].name", "checks[0].item", "checks[0].path", "checks[0].statement", "checks[0].expected", "checks[1].command"]
    );
    assert!(refused.body["errors"][7]["message"].as_str().unwrap().contains("--test-tools"), "{}", refused.body);
    // A command itself is no field of a check.
    let free = json!({"selection": {"kind": "latest"}, "checks": [{"kind": "command", "name": "x", "argv": ["/bin/sh"]}]});
    assert!(ask(&ada, "PUT", PATH, &[], Some(&free)).await.status.is_client_error());
}

#[tokio::test]
async fn runs_and_schedules_name_it() {
    for db in databases().await {
        let ada = api_of(&db, "ada", Role::Admin);
        let start = |body: Value| {
            let ada = ada.clone();
            async move { ask(&ada, "POST", "/api/v1/runs", &[], Some(&body)).await }
        };
        assert_eq!(start(json!({"kind": "restore_test", "service": "alpha", "definition": "weekly"})).await.status, StatusCode::NOT_FOUND, "{}", db.name);
        assert_eq!(ask(&ada, "PUT", PATH, &[], Some(&json!({"selection": {"kind": "latest"}}))).await.status, StatusCode::OK);
        let both = json!({"kind": "restore_test", "service": "alpha", "definition": "weekly", "selection": {"kind": "all"}});
        assert_eq!(fields(&start(both).await.body), ["selection"]);
        assert_eq!(fields(&start(json!({"kind": "restore_test", "service": "alpha"})).await.body), ["selection"]);
        let started = start(json!({"kind": "restore_test", "service": "alpha", "definition": "weekly"})).await;
        assert_eq!(started.status, StatusCode::ACCEPTED, "{}: {}", db.name, started.body);
        let mut plan = rule("0 4 * * *");
        plan["kind"] = json!("restore_test");
        plan["of"] = json!("alpha");
        plan["definition"] = json!("weekly");
        let made = ask(&ada, "POST", "/api/v1/schedules", &[], Some(&json!({"name": "tests", "rule": plan}))).await;
        assert_eq!((made.status, &made.body["rule"]["definition"]), (StatusCode::CREATED, &json!("weekly")), "{}: {}", db.name, made.body);
        let kept = ask(&ada, "DELETE", PATH, &[], None).await;
        assert!(kept.status == StatusCode::CONFLICT && kept.body["detail"].as_str().unwrap().contains("tests"), "{}", kept.body);
        let none = ask(&ada, "POST", &format!("/api/v1/tests/{}/rerun", uuid::Uuid::nil()), &[], Some(&json!({"snapshots": "same"}))).await;
        assert_eq!(none.status, StatusCode::NOT_FOUND, "{}", none.body);
        let odd = ask(&ada, "POST", &format!("/api/v1/tests/{}/rerun", uuid::Uuid::nil()), &[], Some(&json!({"snapshots": "old"}))).await;
        assert_eq!(fields(&odd.body), ["snapshots"]);
        assert_eq!(ask(&ada, "GET", "/api/v1/tests?verdict=green", &[], None).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        let found = ask(&ada, "GET", "/api/v1/tests?verdict=failed&definition=weekly&from=2026-01-01T00:00:00Z", &[], None).await;
        assert_eq!((found.status, &found.body["tests"]), (StatusCode::OK, &json!([])), "{}", db.name);
    }
}
