//! Every operation of the document as a call that is well-formed, for the tests that make them all.
//!
//! An operation that takes a body and has none here fails them.

use serde_json::{Value, json};

use super::{matrix_tests::ARGO, parts, tests::rule};

/// Every operation of the document with its path filled in and bodies that are well-formed.
pub fn operations() -> Vec<(String, String, Vec<Option<Value>>)> {
    let document = serde_json::to_value(parts().1).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let filled =
                path.replace("{name}", if path.contains("/schedules/") { "daily" } else { "alpha" }).replace("{id}", "01a1f8df-12b6-706e-b053-6ef67d1f8fb0");
            let filled = filled
                .replace("{source}", "homes")
                .replace("{item}", "ada")
                .replace("{instance}", "ada")
                .replace("{key}", "none")
                .replace("{further}", "more")
                .replace("{definition}", "weekly")
                .replace("{month}", "2020-02")
                .replace("{number}", "1")
                .replace("{review}", "risk_assessment")
                .replace("{step}", "1")
                .replace("{file}", "01a1f8df-12b6-706e-b053-6ef67d1f8fb0");
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
        Some("file" | "versions") if !path.contains("/plan/") => "?path=notes.txt",
        Some("names") if path.contains("/items/") => "?f=notes",
        Some("differences") if path.contains("/plan/") => "?from=1&to=1",
        Some("export") if path.contains("/plan/") => "?format=json",
        Some("search") => "?q=a",
        _ => "",
    }
}

pub fn risk() -> Value {
    json!({"description": "fire", "likelihood": 1, "impact": 2})
}

pub fn scale() -> Value {
    let bands = json!([{"level": "Low", "from": 1, "to": 2}, {"level": "High", "from": 3, "to": 4}]);
    json!({"likelihood": ["rare", "likely"], "impact": ["minor", "severe"], "bands": bands, "threshold": "High"})
}

fn bodies(path: &str) -> Vec<Value> {
    match path {
        "/api/v1/runs" => vec![
            json!({"kind": "backup", "service": "alpha"}),
            json!({"kind": "check", "repository": "main"}),
            json!({"kind": "tamper_test", "repository": "main"}),
            json!({"kind": "prune", "repository": "main", "safe_age_s": 0}),
            json!({"kind": "restore_test", "service": "alpha", "selection": {"kind": "all"}}),
            json!({"kind": "restore_test", "service": "alpha", "definition": "weekly"}),
            json!({"kind": "restore", "snapshots": [{"snapshot": uuid::Uuid::nil()}], "target": {"kind": "folder", "path": "/tmp/x"}}),
        ],
        "/api/v1/restores" | "/api/v1/restores/counts" | "/api/v1/restores/counts/{id}" => {
            vec![json!({"snapshots": [{"snapshot": uuid::Uuid::nil()}], "target": {"kind": "folder", "path": "/tmp/x"}})]
        }
        "/api/v1/services/{name}/sources/{source}/items/{item}/serialize" => vec![json!({}), json!({"format": "zip", "paths": ["work"]})],
        "/api/v1/services/{name}/sources/{source}/items/{item}/deserialize" => vec![json!({"location": "none", "target": {"kind": "beside"}})],
        "/api/v1/repositories/{name}/locks/{id}/clear" => vec![json!({"reason": "gone"}), json!({"reason": "gone", "confirmed": true})],
        "/api/v1/services/{name}/instances/clones" => {
            let all = json!({"instance": "web", "date": "20260131", "networks": {"these": ["lab-net"]}, "metadata": {"a": null, "b": "c"}, "days": 1});
            vec![json!({"snapshot": uuid::Uuid::nil()}), all]
        }
        "/api/v1/services/{name}/instances/clones/{id}/end" => vec![json!({"confirm": "c", "reason": "over"})],
        "/api/v1/services/{name}/instances/clones/{id}/lengthen" => vec![json!({"days": 14})],
        "/api/v1/services/{name}/instances/snapshots/{id}/restore" => vec![json!({"confirm": "alpha", "reason": "broken"})],
        "/api/v1/repositories/{name}/orphans/{id}" => vec![json!({"name": "web_snapshot_202102251408", "reason": "left"})],
        "/api/v1/services/{name}/sources/{source}/adoptions" => vec![json!({"pattern": "{0}_snapshot_{1}"})],
        "/api/v1/holds" => vec![json!({"service": "alpha", "reason": "legal"})],
        "/api/v1/holds/{id}/release" | "/api/v1/holds/{id}/keep" => vec![json!({"reason": "looked at"})],
        "/api/v1/services/{name}/waivers" => vec![json!({"finding": "never-tested", "reason": "planned", "until": "2021-03-01"})],
        "/api/v1/waivers/{id}/end" => vec![json!({"reason": "put right"})],
        "/api/v1/services/{name}/risks" => vec![json!({"risk": risk()})],
        "/api/v1/services/{name}/risks/{number}" => vec![risk()],
        "/api/v1/services/{name}/risks/{number}/retire" => vec![json!({"reason": "moved"})],
        "/api/v1/scales/{name}" => vec![scale()],
        "/api/v1/exercises" => vec![json!({"service": "alpha", "template": "egi-notebooks"})],
        "/api/v1/exercises/imports" => {
            vec![json!({"service": "alpha", "title": "Recovery", "started": "2019-06-06 16:37:15+02:00", "finished": "2019-06-06 16:47:18+02:00", "users": 75})]
        }
        "/api/v1/exercises/{id}/steps/{step}" => vec![json!({"action": "begin"}), json!({"action": "failed", "note": "no key"})],
        "/api/v1/exercises/{id}/cancel" => vec![json!({"reason": "an incident"})],
        "/api/v1/exercises/{id}/files" => vec![json!({"name": "a.log", "content": "eA=="})],
        "/api/v1/services/{name}/sources/{source}/instances/{instance}/snapshots" => vec![json!({}), json!({"pattern": "{0}-{1}", "instance_stop": true})],
        "/api/v1/snapshots/{id}/offsite-copies" => vec![json!({}), json!({"repository": "main"})],
        "/api/v1/snapshots/{id}/offsite-returns" => vec![json!({}), json!({"cloud": "geneva"})],
        "/api/v1/runs/{id}/retry" => vec![json!({}), json!({"what": "failed"})],
        "/api/v1/runs/{id}/cancel" | "/api/v1/alerts/{id}/acknowledge" | "/api/v1/exercises/{id}/finish" => vec![json!({})],
        "/api/v1/evidence/keys" => vec![json!({}), json!({"lost": "the disk died"})],
        "/api/v1/evidence/{id}/countersign" => vec![json!({}), json!({"note": "seen"})],
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
        "/api/v1/services/{name}/argo" => vec![ARGO.parse().unwrap()],
        "/api/v1/services/{name}/availability/{month}" => vec![json!({"availability": 78.53, "reliability": 78.53})],
        "/api/v1/services/{name}/availability/{month}/explanation" => vec![json!({"text": "The provider was down."})],
        "/api/v1/services/{name}/availability/{month}/show" => vec![json!({"origin": "hand"})],
        "/api/v1/links" => {
            let link = json!({"label": "audit", "services": ["alpha"], "from": "2020-01-01", "to": "2020-12-31"});
            vec![link, json!({"label": "audit", "from": "2020-01-01", "to": "2020-12-31", "days": 90})]
        }
        "/api/v1/calendars" => vec![json!({"name": "phone"}), json!({"name": "phone", "days": 1})],
        "/api/v1/services/{name}/reviews/{review}" => vec![json!({"months": 12})],
        "/api/v1/services/{name}/reviews/{review}/done" => vec![json!({"on": "2019-05-28", "by": "Olga", "outcome": "in order"})],
        "/api/v1/services/{name}/reviews/{review}/done/{id}/withdraw" => vec![json!({"reason": "of another service"})],
        "/api/v1/services/{name}/reviews/{review}/exemption" => vec![json!({"until": super::matrix_tests::far(), "reason": "being replaced"})],
        "/api/v1/plans/roles" => vec![json!({"roles": [{"name": "Service owner", "owner": true}]})],
        "/api/v1/services/{name}/plan" => vec![json!({"format": 1, "outcome": "agreed"})],
        "/api/v1/services/{name}/plan/drafts" => vec![json!({"from": "empty"}), json!({"from": "approved"})],
        "/api/v1/services/{name}/plan/versions/{number}/approve" => vec![json!({"sha256": "none"})],
        "/api/v1/services/{name}/plan/versions/{number}/discard" => vec![json!({"revision": 1, "reason": "begun too early"})],
        "/api/v1/services/{name}/plan/versions/{number}/return" => vec![json!({"reason": "the RTO is missing"})],
        "/api/v1/services/{name}/plan/versions/{number}/sign" => vec![json!({"role": "Service owner", "sha256": "none"})],
        "/api/v1/services/{name}/plan/versions/{number}/submit" => vec![json!({"revision": 1}), json!({"revision": 1, "comment": "first"})],
        "/api/v1/services/{name}/test-definitions/{definition}" => vec![
            json!({"selection": {"kind": "random", "days": 30}}),
            json!({"selection": {"kind": "latest"}, "rto_s": 60, "checks": [{"kind": "http", "name": "hub", "url": "https://hub.example.org/health"}]}),
        ],
        "/api/v1/tests/{id}/rerun" => vec![json!({"snapshots": "same"}), json!({"snapshots": "new"})],
        "/api/v1/tokens" => vec![json!({"name": "ci", "scopes": ["read"]})],
        _ => panic!("give this test well-formed bodies for {path}"),
    }
}
