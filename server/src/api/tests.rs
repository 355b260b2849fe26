//! The document is a golden file; from it come the tests that whoever may not is refused at every path.

use app::context::{AppContext, Theme, Visitor};
use axum::{
    Extension, Router,
    body::Body,
    http::{Request, StatusCode, header},
};
use leptos::config::LeptosOptions;
use ops::{Actor, Ctx, Role, config};
use serde_json::{Value, json};
use store::testing::{self, TestDb};
use tower::ServiceExt as _;

use super::{calls_tests::operations, parts};
use crate::{state::AppState, web::events::Streams};

pub(crate) const CONFIG: &str = r"version: 1
repositories:
  - name: main
    location: file:///srv/backup/main
    password: { env: PASSWORD }
services:
  - name: alpha
    owner: ops
    rpo: 24h
    sources:
      - { name: homes, kind: directory, path: /srv/exports, items: children, repository: main }
  - name: beta
    owner: ops
    sources:
      - { name: data, kind: directory, path: /data, items: self, repository: main }
schedules:
  - { name: daily, kind: backup, service: beta, cron: '15 1 * * *', zone: Europe/Prague }
";

pub fn state(db: &TestDb) -> AppState {
    let app = AppContext {
        db: db.db.clone(),
        clock: store::Clock::System,
        repositories: ops::repositories::Registry::new(std::sync::Arc::default()),
        zone: jiff::tz::TimeZone::UTC,
        version: "test",
        local_address: "http://localhost".to_owned(),
        secure_cookies: false,
        overview: ops::overview::Cache::default(),
        tools: std::sync::Arc::default(),
        vault: ops::secrets::Vault::new(std::sync::Arc::default(), ops::seal::Keys::of(std::path::Path::new("/nonexistent"))),
    };
    AppState {
        leptos: LeptosOptions::builder().output_name("holdfast").build(),
        app,
        streams: Streams::default(),
        providers: crate::oidc::Providers::new().unwrap(),
        edge: crate::web::Edge::default(),
    }
}

/// All that the server answers, with two services.
pub async fn server() -> (TestDb, Router) {
    server_with(|_| {}).await
}

/// The same with something changed.
pub async fn server_with(change: impl FnOnce(&mut AppState)) -> (TestDb, Router) {
    let db = testing::sqlite().await;
    fill(&db).await;
    let mut state = state(&db);
    change(&mut state);
    let api = super::router(&state.app);
    (db, crate::web::router(state, api))
}

async fn fill(db: &TestDb) {
    let shell = Ctx::new(db.db.clone(), Actor::shell(), "shell");
    config::apply(&shell, &config::parse(CONFIG).unwrap(), Some("holdfast.yaml")).await.unwrap();
}

/// The API alone, for an actor of this role: what `ops` decides.
pub async fn api(role: Role) -> (TestDb, Router) {
    let db = testing::sqlite().await;
    fill(&db).await;
    let router = api_of(&db, "someone", role);
    (db, router)
}

/// Both databases, with two services on each.
pub(super) async fn databases() -> Vec<TestDb> {
    let all = testing::databases().await;
    for db in &all {
        fill(db).await;
    }
    all
}

/// The API for somebody of that name.
pub(super) fn api_of(db: &TestDb, name: &str, role: Role) -> Router {
    let visitor = Visitor { actor: Actor::new(name, role), origin: "test".into(), theme: Theme::System, single_keys: true };
    let state = state(db);
    crate::web::events::routes().merge(super::router(&state.app)).layer(Extension(visitor)).with_state(state)
}

pub struct Answer {
    pub status: StatusCode,
    pub kind: String,
    pub body: Value,
}

pub async fn call(router: &Router, method: &str, path: &str, body: Option<&Value>, cookie: Option<&str>) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, "holdfast");
    if let Some(cookie) = cookie {
        request = request.header(header::COOKIE, cookie);
    }
    let body = match body {
        Some(json) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            Body::from(json.to_string())
        }
        None => Body::empty(),
    };
    let response = router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    let kind = response.headers().get(header::CONTENT_TYPE).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    let status = response.status();
    let bytes =
        if kind.starts_with("text/event-stream") { axum::body::Bytes::new() } else { axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap() };
    Answer { status, kind, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
}

pub(super) fn rule(cron: &str) -> Value {
    json!({"kind": "backup", "of": "alpha", "cron": cron, "zone": "Europe/Prague"})
}

#[test]
fn the_document_is_golden() {
    insta::assert_snapshot!("openapi", serde_json::to_string_pretty(&parts().1).unwrap());
}

#[test]
fn every_route_stands_in_the_document() {
    let document = serde_json::to_value(parts().1).unwrap();
    assert_eq!(document["openapi"].as_str().map(|v| &v[..3]), Some("3.1"));
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(operation["summary"].as_str().is_some_and(|s| !s.is_empty()), "{method} {path} has no summary");
            assert!(ids.insert(operation["operationId"].to_string()), "{method} {path} bears the name of another operation");
        }
    }
}

#[tokio::test]
async fn nobody_gets_in_without_signing_in() {
    let (_db, router) = server().await;
    // A location is its own permission.
    for (method, path, bodies) in operations().into_iter().filter(|(_, path, _)| !path.starts_with(super::ARCHIVES)) {
        for body in bodies {
            let answer = call(&router, &method, &path, body.as_ref(), None).await;
            assert_eq!((answer.status, answer.kind.as_str()), (StatusCode::UNAUTHORIZED, "application/problem+json"), "{method} {path}");
        }
    }
    assert_eq!(call(&router, "GET", "/api/openapi.json", None, None).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn each_role_may_do_what_it_may_and_no_more() {
    for role in [Role::Anonymous, Role::Auditor] {
        let (db, router) = api(role).await;
        for (method, path, bodies) in operations().into_iter().filter(|(_, path, _)| !path.starts_with(super::ARCHIVES)) {
            for body in bodies {
                let answer = call(&router, &method, &path, body.as_ref(), None).await;
                // Everybody who has signed in has tokens and calendar addresses of their own.
                // Auditors see no people's files, and no file of the configuration.
                let files = ["/archive", "/entries", "/differences"].iter().any(|end| path.ends_with(end)) || path.contains("?path=") || path.contains("?f=");
                // What a restore in place would do is for those who may order it.
                let secret = files || path == "/api/v1/configuration" || path == "/api/v1/links" || path.ends_with("/restore");
                let refused = role == Role::Anonymous
                    || secret
                    || (method != "GET"
                        && !path.ends_with("/countersign")
                        && !path.starts_with("/api/v1/tokens")
                        && !path.starts_with("/api/v1/calendars")
                        && !path.ends_with("/preview"));
                assert_eq!(answer.status == StatusCode::FORBIDDEN, refused, "{role:?} {method} {path}: {} {}", answer.status, answer.body);
                if refused {
                    assert_eq!(answer.kind, "application/problem+json", "{role:?} {method} {path}");
                    assert!(answer.body["detail"].as_str().unwrap().starts_with("you may not "), "{}", answer.body);
                }
            }
        }
        let shell = Ctx::new(db.db.clone(), Actor::shell(), "shell");
        assert!(ops::runs::live(&shell, 10).await.unwrap().is_empty(), "something was started");
    }
}

/// A program that shows a token speaks for its maker, within its scopes.
#[tokio::test]
async fn a_token_opens_what_its_scopes_name() {
    let (db, router) = server().await;
    let ada = Ctx::new(db.db.clone(), Actor::new("ada", Role::Admin), "test");
    let wanted = ops::tokens::Wanted { name: "ci".into(), scopes: vec![ops::permission::Action::Read], days: 1 };
    let (row, text) = ops::tokens::make(&ada, &wanted).await.unwrap();
    let ask = async |method: &str, path: &str, shown: &str| {
        let request = Request::builder().method(method).uri(path).header(header::HOST, "holdfast").header(header::AUTHORIZATION, shown);
        let request = request.header(header::CONTENT_TYPE, "application/json").body(Body::from(json!({"kind": "check", "repository": "main"}).to_string()));
        let response = router.clone().oneshot(request.unwrap()).await.unwrap();
        let (status, challenge) = (response.status(), response.headers().contains_key(header::WWW_AUTHENTICATE));
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, challenge, serde_json::from_slice::<Value>(&bytes).unwrap_or(Value::Null))
    };
    let good = format!("Bearer {text}");
    let (status, _, me) = ask("GET", "/api/v1/me", &good).await;
    assert_eq!((status, &me), (StatusCode::OK, &json!({"name": "ada by token ci", "role": "admin", "may": ["read"]})));
    assert_eq!(ask("GET", "/api/v1/services", &good).await.0, StatusCode::OK);
    let (status, _, refused) = ask("POST", "/api/v1/runs", &good).await;
    assert_eq!((status, refused["detail"].as_str()), (StatusCode::FORBIDDEN, Some("you may not start or stop this; ask an admin")));
    assert_eq!(ask("GET", "/api/v1/audit", &good).await.0, StatusCode::FORBIDDEN);
    assert_eq!(ask("GET", "/services", &good).await.0, StatusCode::SEE_OTHER, "pages are for people");
    for bad in [format!("Bearer {text}0"), "Bearer".into(), "Basic YTpi".into(), format!("Bearer {}", row.issued.hash)] {
        let (status, challenge, problem) = ask("GET", "/api/v1/me", &bad).await;
        assert_eq!((status, challenge), (StatusCode::UNAUTHORIZED, true), "{bad}");
        assert!(problem["detail"].as_str().unwrap().contains("not valid"), "{problem}");
    }
    ops::tokens::revoke(&ada, domain::id::TokenId(row.issued.id)).await.unwrap();
    assert_eq!(ask("GET", "/api/v1/me", &good).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn services_come_by_pages() {
    let (_db, router) = api(Role::Auditor).await;
    let first = call(&router, "GET", "/api/v1/services?limit=1", None, None).await.body;
    assert_eq!((&first["services"][0]["name"], &first["services"][0]["rpo_s"], &first["next"]), (&json!("alpha"), &json!(86_400), &json!("alpha")));
    let second = call(&router, "GET", "/api/v1/services?limit=1&after=alpha", None, None).await.body;
    assert_eq!(second["services"][0]["name"], "beta");
    let third = call(&router, "GET", "/api/v1/services?limit=1&after=beta", None, None).await.body;
    assert_eq!(third, json!({"services": []}));
    let sources = call(&router, "GET", "/api/v1/services/alpha/sources", None, None).await.body;
    assert_eq!(sources["sources"][0]["repository"], "main");
    assert_eq!(sources["sources"][0]["config"], json!({"kind": "directory", "path": "/srv/exports", "items": "children", "exclude": []}));
}

#[tokio::test]
async fn runs_are_started_found_paged_and_cancelled() {
    let (_db, router) = api(Role::Admin).await;
    let mut ids = Vec::new();
    for body in [json!({"kind": "backup", "service": "alpha"}), json!({"kind": "check", "repository": "main", "read_data": true})] {
        let answer = call(&router, "POST", "/api/v1/runs", Some(&body), None).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
        ids.push(answer.body["runs"][0].as_str().unwrap().to_owned());
    }
    let again = call(&router, "POST", "/api/v1/runs", Some(&json!({"kind": "backup", "service": "alpha"})), None).await;
    assert_eq!(again.status, StatusCode::CONFLICT);

    let first = call(&router, "GET", "/api/v1/runs?limit=1", None, None).await.body;
    assert_eq!(first["runs"][0]["id"], ids[1]);
    let next = first["next"].as_str().unwrap();
    let second = call(&router, "GET", &format!("/api/v1/runs?limit=1&cursor={next}"), None, None).await.body;
    assert_eq!((&second["runs"][0]["id"], &second["runs"][0]["service"]), (&json!(ids[0]), &json!("alpha")));
    for query in ["service=alpha", "kind=backup&state=queued"] {
        let one = call(&router, "GET", &format!("/api/v1/runs?{query}"), None, None).await.body;
        assert_eq!((one["runs"].as_array().unwrap().len(), &one["runs"][0]["id"]), (1, &json!(ids[0])), "{query}");
    }

    let found = call(&router, "GET", &format!("/api/v1/runs/{}", ids[0]), None, None).await.body;
    assert_eq!((&found["state"], &found["kind"], &found["service"], &found["steps"]), (&json!("queued"), &json!("backup"), &json!("alpha"), &json!([])));
    let items = call(&router, "GET", &format!("/api/v1/runs/{}/items", ids[0]), None, None).await.body;
    assert_eq!(items, json!({"items": []}));
    let cancel = call(&router, "POST", &format!("/api/v1/runs/{}/cancel", ids[0]), Some(&json!({"reason": "not now"})), None).await;
    assert_eq!((cancel.status, &cancel.body), (StatusCode::OK, &json!({"ended": true})));
    let again = call(&router, "POST", &format!("/api/v1/runs/{}/cancel", ids[0]), Some(&json!({})), None).await;
    assert_eq!((again.status, again.kind.as_str()), (StatusCode::CONFLICT, "application/problem+json"));

    // What has ended is tried again, all of it or what failed of it; what has not is refused.
    let retry = |id: &str, body: Value| {
        let (router, path) = (router.clone(), format!("/api/v1/runs/{id}/retry"));
        async move { call(&router, "POST", &path, Some(&body), None).await }
    };
    let live = retry(&ids[1], json!({})).await;
    assert_eq!((live.status, live.kind.as_str()), (StatusCode::CONFLICT, "application/problem+json"));
    let none = retry(&ids[0], json!({"what": "failed"})).await;
    assert_eq!((none.status, &none.body["errors"][0]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("items")), "{}", none.body);
    let new = retry(&ids[0], json!({})).await;
    assert_eq!(new.status, StatusCode::ACCEPTED, "{}", new.body);
    let found = call(&router, "GET", &format!("/api/v1/runs/{}", new.body["runs"][0].as_str().unwrap()), None, None).await.body;
    assert_eq!((&found["state"], &found["kind"], &found["retry_of"]), (&json!("queued"), &json!("backup"), &json!(ids[0])));
}

#[tokio::test]
async fn the_page_to_try_the_api_keeps_the_policy() {
    let (db, router) = server().await;
    let get = |path: &'static str, cookie: Option<String>| {
        let router = router.clone();
        async move {
            let mut request = Request::builder().uri(path).header(header::HOST, "holdfast");
            if let Some(cookie) = cookie {
                request = request.header(header::COOKIE, cookie);
            }
            let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            let (head, body) = response.into_parts();
            (head, String::from_utf8_lossy(&axum::body::to_bytes(body, 1 << 24).await.unwrap()).into_owned())
        }
    };
    let (head, _) = get("/api/docs", None).await;
    assert_eq!((head.status, head.headers[header::LOCATION].to_str().unwrap()), (StatusCode::SEE_OTHER, "/login?next=/api/docs"));
    assert_eq!(get("/api/docs/swagger-ui-bundle.js", None).await.0.status, StatusCode::UNAUTHORIZED);

    let cookie = sign_in(&db, &router).await;
    let (head, page) = get("/api/docs", Some(cookie.clone())).await;
    assert_eq!(head.status, StatusCode::OK);
    let policy = head.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("script-src 'self';") && policy.contains("style-src 'self';") && !policy.contains("unsafe"), "{policy}");
    assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains("<script>"), "{page}");
    let files: Vec<_> = page.split(['"', '\'']).filter(|p| p.starts_with("/api/docs/")).map(str::to_owned).collect();
    assert_eq!(files.len(), 4, "{files:?}");
    for file in files {
        let path: &'static str = file.leak();
        let (head, body) = get(path, Some(cookie.clone())).await;
        assert_eq!(head.status, StatusCode::OK, "{path}");
        assert!(!body.is_empty() && !body.contains("petstore"), "{path} is empty or asks another server");
    }
    assert_eq!(get("/api/docs/nothing.js", Some(cookie)).await.0.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn repositories_are_listed_and_tested_and_their_kit_names_no_secret() {
    let (_db, router) = api(Role::Admin).await;
    let list = call(&router, "GET", "/api/v1/repositories", None, None).await.body;
    assert_eq!((&list["repositories"][0]["name"], &list["repositories"][0]["sources"]), (&json!("main"), &json!(["alpha/homes", "beta/data"])));
    assert_eq!((&list["repositories"][0]["protection"], &list["repositories"][0]["size_bytes"]), (&Value::Null, &Value::Null), "no data is no good news");
    let one = call(&router, "GET", "/api/v1/repositories/main", None, None).await.body;
    assert_eq!(one, list["repositories"][0]);
    assert_eq!(call(&router, "GET", "/api/v1/repositories/main/sizes?days=30", None, None).await.body, json!({"sizes": []}));
    // The password's variable is not set here: it is said which, and nothing more.
    let locks = call(&router, "GET", "/api/v1/repositories/main/locks", None, None).await;
    assert_eq!(locks.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", locks.body);
    assert!(locks.body["detail"].as_str().unwrap().contains("PASSWORD"), "{}", locks.body);
    let clear = call(&router, "POST", "/api/v1/repositories/main/locks/aa/clear", Some(&json!({"reason": ""})), None).await;
    assert_eq!(clear.body["errors"][0]["field"], "reason");
    let kit = call(&router, "GET", "/api/v1/repositories/main/kit", None, None).await;
    assert_eq!((kit.status, kit.kind.as_str()), (StatusCode::OK, "text/plain; charset=utf-8"));
    assert_eq!(call(&router, "GET", "/api/v1/repositories/none", None, None).await.status, StatusCode::NOT_FOUND);
    let run = call(&router, "POST", "/api/v1/runs", Some(&json!({"kind": "tamper_test", "repository": "main"})), None).await;
    assert_eq!(run.status, StatusCode::ACCEPTED, "{}", run.body);
    let again = call(&router, "POST", "/api/v1/runs", Some(&json!({"kind": "tamper_test", "repository": "main"})), None).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn holds_are_placed_listed_and_released() {
    let (_db, router) = api(Role::Admin).await;
    let placed = call(&router, "POST", "/api/v1/holds", Some(&json!({"service": "alpha", "reason": "a lawsuit"})), None).await;
    assert_eq!((placed.status, &placed.body["state"], &placed.body["kind"]), (StatusCode::CREATED, &json!("standing"), &json!("person")));
    let id = placed.body["id"].as_str().unwrap();
    let list = call(&router, "GET", "/api/v1/holds?state=standing&kind=person&service=alpha", None, None).await.body;
    assert_eq!((&list["holds"][0]["id"], &list["holds"][0]["reason"]), (&json!(id), &json!("a lawsuit")));
    assert_eq!(call(&router, "GET", "/api/v1/holds?kind=guard", None, None).await.body, json!({"holds": []}));
    let keep = call(&router, "POST", &format!("/api/v1/holds/{id}/keep"), Some(&json!({"reason": "x"})), None).await;
    assert_eq!((keep.status, &keep.body["errors"][0]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("hold")));
    let no_reason = call(&router, "POST", &format!("/api/v1/holds/{id}/release"), Some(&json!({"reason": ""})), None).await;
    assert_eq!(no_reason.body["errors"][0]["field"], "reason");
    let released = call(&router, "POST", &format!("/api/v1/holds/{id}/release"), Some(&json!({"reason": "settled"})), None).await;
    assert_eq!((released.status, &released.body["state"], &released.body["decision_reason"]), (StatusCode::OK, &json!("ended"), &json!("settled")));
    let again = call(&router, "POST", &format!("/api/v1/holds/{id}/release"), Some(&json!({"reason": "settled"})), None).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let found = call(&router, "GET", &format!("/api/v1/holds/{id}"), None, None).await.body;
    assert_eq!(found["decided_by"], "someone");
}

#[tokio::test]
async fn schedules_are_made_changed_paused_and_removed() {
    let (_db, router) = api(Role::Admin).await;
    let often = json!({"name": "nightly", "rule": rule("* 5 * * *")});
    let refused = call(&router, "POST", "/api/v1/schedules", Some(&often), None).await;
    assert_eq!((refused.status, &refused.body["errors"][0]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("runs_a_day")));
    assert!(
        refused.body["errors"][0]["message"].as_str().unwrap().contains("60 runs a day; if at 05:00, every day is meant, write 0 5 * * *"),
        "{}",
        refused.body
    );

    let new = json!({"name": "nightly", "rule": rule("0 5 * * *")});
    let made = call(&router, "POST", "/api/v1/schedules", Some(&new), None).await;
    assert_eq!(
        (made.status, &made.body["words"], &made.body["rule"]["misfire"]),
        (StatusCode::CREATED, &json!("at 05:00, every day"), &json!("once")),
        "{}",
        made.body
    );
    assert_eq!(made.body["next"].as_array().unwrap().len(), 10);
    assert_eq!(call(&router, "POST", "/api/v1/schedules", Some(&new), None).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let listed = call(&router, "GET", "/api/v1/schedules?service=alpha", None, None).await.body;
    assert_eq!((listed["schedules"].as_array().unwrap().len(), &listed["schedules"][0]["name"]), (1, &json!("nightly")));

    let changed = json!({"revision": 1, "rule": rule("0 6 * * *")});
    let answer = call(&router, "PUT", "/api/v1/schedules/nightly", Some(&changed), None).await;
    assert_eq!((answer.status, &answer.body["revision"]), (StatusCode::OK, &json!(2)), "{}", answer.body);
    assert_eq!(call(&router, "PUT", "/api/v1/schedules/nightly", Some(&changed), None).await.status, StatusCode::CONFLICT, "somebody else was first");

    let pause = json!({"reason": "moving", "until": "2200-01-01T00:00:00Z"});
    let paused = call(&router, "POST", "/api/v1/schedules/nightly/pause", Some(&pause), None).await;
    assert_eq!((paused.status, &paused.body["paused"]["reason"]), (StatusCode::OK, &json!("moving")), "{}", paused.body);
    let early = json!({"reason": "moving", "until": "2000-01-01T00:00:00Z"});
    assert_eq!(call(&router, "POST", "/api/v1/schedules/nightly/pause", Some(&early), None).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let resumed = call(&router, "POST", "/api/v1/schedules/nightly/resume", None, None).await;
    assert_eq!((resumed.status, &resumed.body["paused"]), (StatusCode::OK, &Value::Null));
    assert_eq!(call(&router, "POST", "/api/v1/schedules/nightly/resume", None, None).await.status, StatusCode::CONFLICT);

    assert_eq!(call(&router, "GET", "/api/v1/schedules/nightly/ticks", None, None).await.body, json!({"ticks": []}));
    assert_eq!(call(&router, "GET", "/api/v1/ledger?state=missed", None, None).await.body, json!({"ticks": []}));
    assert_eq!(call(&router, "DELETE", "/api/v1/schedules/nightly", None, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(call(&router, "GET", "/api/v1/schedules/nightly", None, None).await.status, StatusCode::NOT_FOUND);

    let meaning = call(&router, "GET", "/api/v1/cron?cron=*+5+*+*+*&zone=Europe/Zurich", None, None).await.body;
    assert_eq!((&meaning["runs_a_day"], &meaning["likely"]), (&json!(60), &json!("0 5 * * *")));
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let (_db, router) = api(Role::Admin).await;
    let run = "01a1f8df-12b6-706e-b053-6ef67d1f8fb0";
    for (method, path, body, status, word) in [
        ("GET", "/api/v1/services/none".to_owned(), None, 404, "there is no service “none”"),
        ("GET", "/api/v1/nothing".to_owned(), None, 404, "there is no /api/v1/nothing"),
        ("PATCH", "/api/v1/runs".to_owned(), None, 405, "/api/v1/runs takes no PATCH"),
        ("GET", format!("/api/v1/runs/{run}"), None, 404, "there is no run"),
        ("GET", format!("/api/v1/runs/{run}/items"), None, 404, "there is no run"),
        ("GET", "/api/v1/runs/nonsense".to_owned(), None, 400, "UUID"),
        ("GET", "/api/v1/runs?cursor=nonsense".to_owned(), None, 400, "cursor: is not one that a page of this list has given"),
        ("GET", "/api/v1/runs?colour=red".to_owned(), None, 400, "unknown field `colour`"),
        ("GET", "/api/v1/runs?state=sleeping".to_owned(), None, 400, "unknown variant `sleeping`"),
        ("GET", "/api/v1/snapshots/latest".to_owned(), None, 422, "is not the id of a snapshot"),
        ("POST", "/api/v1/runs".to_owned(), Some(json!({"kind": "backup"})), 422, "missing field `service`"),
        ("POST", "/api/v1/runs".to_owned(), Some(json!({"kind": "backup", "service": "alpha", "sauce": 1})), 422, "unknown field `sauce`"),
        ("POST", "/api/v1/runs".to_owned(), Some(json!({"kind": "backup", "service": "none"})), 404, "there is no service “none”"),
        ("POST", "/api/v1/runs".to_owned(), None, 415, "Content-Type: application/json"),
    ] {
        let answer = call(&router, method, &path, body.as_ref(), None).await;
        assert_eq!((answer.status.as_u16(), answer.kind.as_str()), (status, "application/problem+json"), "{method} {path}: {}", answer.body);
        assert_eq!(answer.body["status"], status);
        assert!(answer.body["detail"].as_str().unwrap().contains(word), "{method} {path}: {}", answer.body);
    }
    let invalid = call(&router, "GET", "/api/v1/runs?cursor=x", None, None).await.body;
    assert_eq!(invalid["errors"][0]["field"], "cursor");
}

#[tokio::test]
async fn a_session_opens_the_api() {
    let (db, router) = server().await;
    let cookie = sign_in(&db, &router).await;
    let answer = call(&router, "GET", "/api/v1/services", None, Some(&cookie)).await;
    assert_eq!((answer.status, answer.body["services"].as_array().unwrap().len()), (StatusCode::OK, 2));
    let document = call(&router, "GET", "/api/openapi.json", None, Some(&cookie)).await;
    assert_eq!((document.status, &document.body["info"]["title"]), (StatusCode::OK, &json!("Holdfast")));
}

/// Spends a one-time link; the session's cookie.
pub async fn sign_in(db: &TestDb, router: &Router) -> String {
    let token = ops::sign_in::make_link(&Ctx::new(db.db.clone(), Actor::shell(), "shell")).await.unwrap();
    let form = Request::builder().method("POST").uri("/login").header(header::HOST, "holdfast");
    let form = form.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(Body::from(format!("token={token}"))).unwrap();
    let response = router.clone().oneshot(form).await.unwrap();
    response.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned()
}
