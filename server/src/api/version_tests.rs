//! Versions over HTTP, on both databases: what is found carries its tag, and a change that starts from another is refused.

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
};
use ops::Role;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{
    matrix_tests::ARGO,
    tests::{api_of, databases, rule},
};

pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    pub fn tag(&self) -> String {
        let tag = self.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 3, "{tag}");
        tag
    }
}

/// One call with headers of its own.
pub(super) async fn ask(router: &Router, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, "holdfast");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = match body {
        Some(json) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            Body::from(json.to_string())
        }
        None => Body::empty(),
    };
    let (head, body) = router.clone().oneshot(request.body(body).unwrap()).await.unwrap().into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    assert!(head.status != StatusCode::NOT_MODIFIED && head.status != StatusCode::NO_CONTENT || bytes.is_empty());
    Answer { status: head.status, headers: head.headers, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
}

/// A channel whose address stands in a variable.
fn hook(variable: &str) -> Value {
    json!({"kind": "webhook", "secrets": {"url": {"env": variable}}})
}

/// What can be edited: where it is, how it is made, how it is changed.
fn editable() -> Vec<(&'static str, Value, Value)> {
    vec![
        ("/api/v1/notifications/rules/r", json!({"channels": ["first"]}), json!({"channels": ["first"], "success": true})),
        ("/api/v1/notifications/heartbeats/b", json!({"url": {"env": "BEAT"}, "every_s": 60}), json!({"url": {"env": "BEAT"}, "every_s": 90})),
        ("/api/v1/notifications/channels/chat", hook("A"), hook("B")),
        ("/api/v1/schedules/nightly", json!({"name": "nightly", "rule": rule("0 5 * * *")}), json!({"revision": 1, "rule": rule("0 6 * * *")})),
        ("/api/v1/services/alpha/argo", ARGO.parse().unwrap(), ARGO.replace("v2", "v3").parse().unwrap()),
        (
            "/api/v1/services/alpha/availability/2020-02/explanation",
            json!({"text": "The provider was down."}),
            json!({"text": "The provider's storage failed."}),
        ),
        (
            "/api/v1/services/alpha/availability/2020-02",
            json!({"availability": 78.53, "reliability": 78.53}),
            json!({"availability": 79.0, "reliability": 79.0}),
        ),
        ("/api/v1/services/alpha/reviews/risk_assessment", json!({"months": 6}), json!({"months": 24})),
        ("/api/v1/notifications/address", json!({"address": "https://a.example.org"}), json!({"address": "https://b.example.org"})),
        ("/api/v1/services/alpha/test-definitions/weekly", json!({"selection": {"kind": "latest"}}), json!({"selection": {"kind": "all"}})),
    ]
}

/// Makes it and gives its tag.
async fn make(router: &Router, path: &str, body: &Value) -> String {
    let made = match path {
        "/api/v1/schedules/nightly" => ask(router, "POST", "/api/v1/schedules", &[], Some(body)).await,
        "/api/v1/notifications/address" | "/api/v1/services/alpha/reviews/risk_assessment" => ask(router, "PUT", path, &[], Some(body)).await,
        _ => ask(router, "PUT", path, &[("if-none-match", "*")], Some(body)).await,
    };
    assert!(made.status.is_success(), "{path}: {} {}", made.status, made.body);
    ask(router, "GET", path, &[], None).await.tag()
}

#[tokio::test]
async fn a_change_starts_from_what_is_there() {
    for db in databases().await {
        let (ada, ben) = (api_of(&db, "ada", Role::Admin), api_of(&db, "ben", Role::Admin));
        assert_eq!(ask(&ada, "PUT", "/api/v1/notifications/channels/first", &[], Some(&hook("HOOK"))).await.status, StatusCode::OK);
        for (path, new, changed) in editable() {
            let what = format!("{} {path}", db.name);
            let tag = make(&ada, path, &new).await;
            let known = ask(&ada, "GET", path, &[("if-none-match", &tag)], None).await;
            assert_eq!((known.status, known.tag()), (StatusCode::NOT_MODIFIED, tag.clone()), "{what}");

            let done = ask(&ben, "PUT", path, &[("if-match", &tag)], Some(&changed)).await;
            assert!(done.status.is_success(), "{what}: {} {}", done.status, done.body);
            let now = ask(&ada, "GET", path, &[("if-none-match", &tag)], None).await;
            assert_eq!((now.status, now.tag()), (StatusCode::OK, done.tag()), "{what}");
            assert_ne!(done.tag(), tag, "{what}");

            // Whoever has read before that is refused, and told who was first.
            let late = if path.contains("schedules") { json!({"revision": 2, "rule": rule("0 7 * * *")}) } else { new.clone() };
            let refused = ask(&ada, "PUT", path, &[("if-match", &tag)], Some(&late)).await;
            assert_eq!((refused.status, &refused.body["changed"]["by"]), (StatusCode::PRECONDITION_FAILED, &json!("ben")), "{what}: {}", refused.body);
            assert_eq!(refused.header("content-type"), "application/problem+json", "{what}");
            assert!(refused.body["changed"]["at"].as_str().is_some_and(|t| t.ends_with('Z')), "{what}: {}", refused.body);
            assert_eq!(ask(&ada, "GET", path, &[], None).await.tag(), done.tag(), "{what}: nothing was changed");

            // A weak tag names the same version; * is whatever is there; none at all goes through as ever.
            for (name, value) in [("if-match", format!("\"x\", W/{}", done.tag())), ("if-match", "*".to_owned()), ("x-none", String::new())] {
                let revision = ask(&ada, "GET", path, &[], None).await.body["revision"].clone();
                let body = if path.contains("schedules") { json!({"revision": revision, "rule": rule("0 6 * * *")}) } else { changed.clone() };
                let done = ask(&ada, "PUT", path, &[(name, &value)], Some(&body)).await;
                assert!(done.status.is_success(), "{what} {name} {value}: {}", done.body);
            }
            for (name, value) in [("if-match", "abc"), ("if-match", "\"abc"), ("if-match", ""), ("if-none-match", &*tag)] {
                let bad = ask(&ada, "PUT", path, &[(name, value)], Some(&changed)).await;
                assert_eq!(bad.status, StatusCode::BAD_REQUEST, "{what} {name} {value}: {}", bad.body);
            }
            if path.ends_with("/address") || path.contains("/reviews/") {
                continue;
            }
            let taken = ask(&ben, "PUT", path, &[("if-none-match", "*")], Some(&late)).await;
            assert_eq!(taken.status, StatusCode::PRECONDITION_FAILED, "{what}: {}", taken.body);
            assert_eq!(ask(&ada, "DELETE", path, &[("if-match", &tag)], None).await.status, StatusCode::PRECONDITION_FAILED, "{what}");
            let last = ask(&ada, "GET", path, &[], None).await.tag();
            assert_eq!(ask(&ada, "DELETE", path, &[("if-match", &last)], None).await.status, StatusCode::NO_CONTENT, "{what}");
            assert_eq!(ask(&ada, "DELETE", path, &[("if-match", &last)], None).await.status, StatusCode::NOT_FOUND, "{what}");
        }
    }
}

#[tokio::test]
async fn of_two_changes_at_once_one_is_refused() {
    for db in databases().await {
        let (ada, ben) = (api_of(&db, "ada", Role::Admin), api_of(&db, "ben", Role::Admin));
        let path = "/api/v1/notifications/channels/chat";
        make(&ada, path, &hook("A")).await;
        for n in 1..6_u32 {
            let tag = ask(&ada, "GET", path, &[], None).await.tag();
            let (given, one, other) = ([("if-match", tag.as_str())], hook(&format!("ADA_{n}")), hook(&format!("BEN_{n}")));
            let (one, other) = tokio::join!(ask(&ada, "PUT", path, &given, Some(&one)), ask(&ben, "PUT", path, &given, Some(&other)));
            let mut both = [one.status.as_u16(), other.status.as_u16()];
            both.sort_unstable();
            assert_eq!(both, [200, 412], "{} round {n}: {} {}", db.name, one.body, other.body);
        }
    }
}
