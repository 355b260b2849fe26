//! Every operation of the document as a call that is well-formed, for the tests that make them all.
//!
//! An operation that takes a body and has none here fails them.

use serde_json::{Value, json};

use super::{parts, tests::rule};

/// Every operation of the document with its path filled in and bodies that are well-formed.
pub fn operations() -> Vec<(String, String, Vec<Option<Value>>)> {
    let document = serde_json::to_value(parts().1).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let filled =
                path.replace("{name}", if path.contains("/schedules/") { "daily" } else { "alpha" }).replace("{id}", "01a1f8df-12b6-706e-b053-6ef67d1f8fb0");
            let filled = filled.replace("{source}", "homes").replace("{item}", "ada").replace("{key}", "none").replace("{further}", "more");
            assert!(!filled.contains('{'), "{path} has a part that this test does not know");
            let filled = format!("{filled}{}", query(path));
            let bodies = if operation.get("requestBody").is_some() { bodies(path).into_iter().map(Some).collect() } else { vec![None] };
            found.push((method.to_uppercase(), filled, bodies));
        }
    }
    assert!(found.len() >= 12);
    found
}

/// The query without which an operation is not understood.
pub fn query(path: &str) -> &'static str {
    match path.rsplit('/').next() {
        Some("cron") => "?cron=15+1+*+*+*&zone=UTC",
        Some("file" | "versions") => "?path=notes.txt",
        Some("names") if path.contains("/items/") => "?f=notes",
        Some("search") => "?q=a",
        _ => "",
    }
}

fn bodies(path: &str) -> Vec<Value> {
    match path {
        "/api/v1/runs" => vec![
            json!({"kind": "backup", "service": "alpha"}),
            json!({"kind": "check", "repository": "main"}),
            json!({"kind": "tamper_test", "repository": "main"}),
            json!({"kind": "prune", "repository": "main", "safe_age_s": 0}),
            json!({"kind": "restore_test", "service": "alpha", "selection": {"kind": "all"}}),
            json!({"kind": "restore", "snapshots": [{"snapshot": uuid::Uuid::nil()}], "target": {"kind": "folder", "path": "/tmp/x"}}),
        ],
        "/api/v1/restores" | "/api/v1/restores/counts" | "/api/v1/restores/counts/{id}" => {
            vec![json!({"snapshots": [{"snapshot": uuid::Uuid::nil()}], "target": {"kind": "folder", "path": "/tmp/x"}})]
        }
        "/api/v1/services/{name}/sources/{source}/items/{item}/serialize" => vec![json!({}), json!({"format": "zip", "paths": ["work"]})],
        "/api/v1/services/{name}/sources/{source}/items/{item}/deserialize" => vec![json!({"location": "none", "target": {"kind": "beside"}})],
        "/api/v1/repositories/{name}/locks/{id}/clear" => vec![json!({"reason": "gone"}), json!({"reason": "gone", "confirmed": true})],
        "/api/v1/holds" => vec![json!({"service": "alpha", "reason": "legal"})],
        "/api/v1/holds/{id}/release" | "/api/v1/holds/{id}/keep" => vec![json!({"reason": "looked at"})],
        "/api/v1/runs/{id}/retry" => vec![json!({}), json!({"what": "failed"})],
        "/api/v1/runs/{id}/cancel" | "/api/v1/alerts/{id}/acknowledge" => vec![json!({})],
        "/api/v1/notifications/channels/{name}" => vec![json!({"kind": "webhook", "secrets": {"url": {"text": "https://hooks.example.org/x"}}})],
        "/api/v1/notifications/rules/{name}" => vec![json!({"channels": ["alpha"]})],
        "/api/v1/notifications/heartbeats/{name}" => vec![json!({"url": {"env": "BEAT"}, "every_s": 60})],
        "/api/v1/notifications/address" => vec![json!({"address": "https://holdfast.example.org"})],
        "/api/v1/schedules" => vec![json!({"name": "nightly", "rule": rule("15 1 * * *")})],
        "/api/v1/schedules/{name}" => vec![json!({"revision": 1, "rule": rule("15 1 * * *")})],
        "/api/v1/schedules/{name}/pause" => vec![json!({"reason": "moving"})],
        // JSON is YAML as well.
        "/api/v1/configuration" => vec![json!({"version": 1})],
        "/api/v1/accounts/{name}/person" | "/api/v1/items/{id}/person" => vec![json!({}), json!({"person": "ada"})],
        "/api/v1/people/{name}/names" => vec![json!({"name": "ada@example.org"})],
        "/api/v1/providers/{name}/preview" => vec![json!({"claims": {}})],
        "/api/v1/tokens" => vec![json!({"name": "ci", "scopes": ["read"]})],
        _ => panic!("give this test well-formed bodies for {path}"),
    }
}
