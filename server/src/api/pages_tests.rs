//! Keys of pages and limits, for every list that the document names, on both databases.

use axum::http::StatusCode;
use ops::Role;
use serde_json::{Value, json};

use super::{
    asker::List,
    parts,
    tests::{api_of, databases},
    version_tests::{Answer, ask},
};

/// Every list of the document: its path, and the names of its parameters.
fn lists() -> Vec<(String, Vec<String>)> {
    let document = serde_json::to_value(parts().1).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let parameters = item["get"]["parameters"].as_array().into_iter().flatten();
        let names: Vec<String> = parameters.filter(|p| p["in"] == "query").map(|p| p["name"].as_str().unwrap().to_owned()).collect();
        if names.iter().any(|n| n == "limit") {
            assert!(names.iter().any(|n| n == "cursor" || n == "after"), "{path} has no key");
            let filled = path.replace("{name}", if path.contains("/schedules/") { "daily" } else { "alpha" });
            found.push((filled.replace("{source}", "homes").replace("{id}", "01a1f8df-12b6-706e-b053-6ef67d1f8fb0"), names));
        }
    }
    assert!(found.len() >= 12, "{found:?}");
    found
}

fn refused(answer: &Answer, parameter: &str, what: &str) {
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::BAD_REQUEST, "application/problem+json"), "{what}: {}", answer.body);
    assert!(answer.body["detail"].as_str().unwrap().contains(parameter), "{what}: {}", answer.body);
}

#[tokio::test]
async fn a_key_that_this_list_has_not_given_is_refused() {
    let all = [List::Runs, List::Snapshots, List::Holds, List::Alerts, List::Deliveries, List::Ticks, List::Ledger];
    let id = uuid::Uuid::from_u128(7);
    let keys: Vec<(&str, String)> = vec![
        ("/api/v1/runs", all[0].key(1_000_000, id)),
        ("/api/v1/snapshots", all[1].key(1_000_000, id)),
        ("/api/v1/holds", all[2].key(1_000_000, id)),
        ("/api/v1/alerts", all[3].key(1_000_000, id)),
        ("/api/v1/notifications/deliveries", all[4].key(1_000_000, id)),
        ("/api/v1/schedules/daily/ticks", all[5].key(1_000_000, id)),
        ("/api/v1/ledger", all[6].key(1_000_000, id)),
        ("/api/v1/audit", List::Audit.numbered(1)),
        ("/api/v1/tests", List::Tests.key(1_000_000, id)),
        ("/api/v1/evidence", List::Evidence.key(1_000_000, id)),
        ("/api/v1/exercises", List::Exercises.key(1_000_000, id)),
        ("/api/v1/repositories/alpha/orphans", List::Orphans.key(1_000_000, id)),
        ("/api/v1/items/01a1f8df-12b6-706e-b053-6ef67d1f8fb0/names", List::Versions.pathed(1_000_000, "work")),
        ("/api/v1/services/alpha/instances/clones", List::Clones.key(1_000_000, id)),
    ];
    for db in databases().await {
        let ada = api_of(&db, "ada", Role::Admin);
        let with_keys: Vec<_> = lists().into_iter().filter(|(_, names)| names.iter().any(|n| n == "cursor")).map(|(path, _)| path).collect();
        assert_eq!(with_keys.len(), keys.len(), "give this test a key for each of {with_keys:?}");
        for path in &with_keys {
            let own = &keys.iter().find(|(p, _)| p == path).unwrap_or_else(|| panic!("{path} has no key here")).1;
            let what = format!("{} {path}", db.name);
            let first = ask(&ada, "GET", &format!("{path}?cursor={own}"), &[], None).await;
            assert!(matches!(first.status, StatusCode::OK | StatusCode::NOT_FOUND), "{what}: {}", first.body);
            let digit = own.find(|c: char| c.is_ascii_digit()).unwrap();
            let other = if own[digit..].starts_with('7') { "8" } else { "7" };
            let forged = format!("{}{other}{}", &own[..digit], &own[digit + 1..]);
            let mut bad: Vec<&str> = keys.iter().filter(|(p, _)| p != path).map(|(_, key)| key.as_str()).collect();
            bad.extend([&own[..own.len() - 1], &own[..own.len() / 2], &own[1..], &forged, "", ".", "..", "1.2.3", "0", "-1", "nonsense", "%FF", "%00"]);
            for key in bad.into_iter().filter(|k| k != own) {
                refused(
                    &ask(&ada, "GET", &format!("{path}?cursor={key}"), &[], None).await,
                    if key == "%00" { "NUL" } else { "cursor" },
                    &format!("{what} {key}"),
                );
            }
        }
    }
}

#[tokio::test]
async fn a_limit_that_cannot_be_is_refused() {
    for db in databases().await {
        let ada = api_of(&db, "ada", Role::Admin);
        for (path, _) in lists() {
            for bad in ["0", "-1", "501", "9223372036854775808", "many", "", "1.5"] {
                refused(&ask(&ada, "GET", &format!("{path}?limit={bad}"), &[], None).await, "limit", &format!("{} {path} {bad}", db.name));
            }
            let good = ask(&ada, "GET", &format!("{path}?limit=1"), &[], None).await;
            // A source of another kind has no instances.
            assert!(matches!(good.status, StatusCode::OK | StatusCode::NOT_FOUND | StatusCode::CONFLICT), "{} {path}: {} {}", db.name, good.status, good.body);
        }
    }
}

#[tokio::test]
async fn a_name_that_none_can_have_is_refused() {
    for db in databases().await {
        let ada = api_of(&db, "ada", Role::Admin);
        for (path, _) in lists().into_iter().filter(|(_, names)| names.iter().any(|n| n == "after")) {
            refused(&ask(&ada, "GET", &format!("{path}?after={}", "x".repeat(5_000)), &[], None).await, "after", &format!("{} {path}", db.name));
            refused(&ask(&ada, "GET", &format!("{path}?after=%00"), &[], None).await, "NUL", &format!("{} {path}", db.name));
        }
        let nul = json!({"service": "alpha", "reason": "a\u{0}b"});
        let answer = ask(&ada, "POST", "/api/v1/holds", &[], Some(&nul)).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}: {}", db.name, answer.body);
        refused(&ask(&ada, "GET", "/api/v1/services/%00", &[], None).await, "NUL", db.name);
        // Written out, those letters are letters.
        let letters = json!({"service": "alpha", "reason": "\\u0000"});
        assert_eq!(ask(&ada, "POST", "/api/v1/holds", &[], Some(&letters)).await.status, StatusCode::CREATED, "{}", db.name);
        assert_eq!(ask(&ada, "GET", "/api/v1/holds", &[], None).await.body["holds"][0]["reason"], Value::from("\\u0000"), "{}", db.name);
    }
}
