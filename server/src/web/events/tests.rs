//! What readers of a stream get, and what ends it.

use axum::{
    body::{Body, BodyDataStream},
    http::Request,
};
use domain::{run::RunEvent, units::Timestamp};
use futures::StreamExt;
use leptos::config::LeptosOptions;
use ops::Actor;
use store::{
    Clock,
    queue::{self, End, Lease},
    repositories::{self, NewRepository, SecretRef, StorageOptions},
    run_events::{self, NewRunEvent},
    testing::{self, TestDb},
};
use tower::ServiceExt;
use uuid::Uuid;

use super::*;

struct Server {
    router: Router,
    streams: Streams,
    ctx: Ctx,
    cookie: String,
    run: RunId,
}

impl Server {
    async fn get(&self, path: &str, cookie: bool, last: Option<&str>) -> Response {
        let mut request = Request::get(path);
        if cookie {
            request = request.header("cookie", &self.cookie);
        }
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn say(&self, message: &str) {
        let mut tx = self.ctx.db.begin().await.unwrap();
        let event = NewRunEvent { at: Timestamp(1), kind: "log", level: "info", message: message.to_owned(), detail: None };
        run_events::add_unleased(tx.tx(), self.run, &event).await.unwrap();
        tx.commit().await.unwrap();
        wake::run(self.run);
    }
}

/// A server with one queued check run, and an admin who has signed in by the link.
async fn server(t: &TestDb) -> Server {
    let ctx = Ctx::new(t.db.clone(), Actor::system(), "test");
    let mut tx = t.db.begin().await.unwrap();
    let options = StorageOptions::default();
    let new = NewRepository {
        name: "main".into(),
        location: "file:///srv/backup".into(),
        options,
        password: SecretRef::Env("P".into()),
        max_parallel: None,
        read_all_within_s: None,
    };
    repositories::upsert(tx.tx(), &new, Timestamp(1)).await.unwrap();
    tx.commit().await.unwrap();
    let run = ops::checks::start(&ctx, "main", false).await.unwrap();
    let token = ops::sign_in::make_link(&ctx).await.unwrap();
    let app = AppContext {
        db: t.db.clone(),
        clock: Clock::System,
        repositories: ops::repositories::Registry::new(std::sync::Arc::default()),
        zone: jiff::tz::TimeZone::UTC,
        version: "test",
        local_address: "http://localhost".to_owned(),
        secure_cookies: false,
        overview: ops::overview::Cache::default(),
        tools: std::sync::Arc::default(),
        vault: ops::secrets::Vault::new(std::sync::Arc::default(), ops::seal::Keys::of(std::path::Path::new("/nonexistent"))),
    };
    let leptos = LeptosOptions::builder().output_name("holdfast").build();
    let streams = Streams::default();
    let providers = crate::oidc::Providers::new().unwrap();
    let state = AppState { leptos, app, streams: streams.clone(), providers, edge: crate::web::Edge::default() };
    let router = crate::web::router(state, Router::new());
    let form = Request::post("/login").header("content-type", "application/x-www-form-urlencoded").body(Body::from(format!("token={token}"))).unwrap();
    let answer = router.clone().oneshot(form).await.unwrap();
    let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    Server { router, streams, ctx, cookie, run }
}

/// Reads events until `enough` says so or the stream ends; each as (event, id, data).
async fn read(body: &mut BodyDataStream, enough: impl Fn(&[(String, String, Value)]) -> bool) -> Vec<(String, String, Value)> {
    let (mut text, mut found) = (String::new(), Vec::new());
    let read = async {
        while !enough(&found) {
            let Some(chunk) = body.next().await else { break };
            text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
            while let Some(at) = text.find("\n\n") {
                let block: String = text.drain(..at + 2).collect();
                let field = |name: &str| block.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default().trim().to_owned();
                if let Ok(data) = serde_json::from_str(&field("data:")) {
                    found.push((field("event:"), field("id:"), data));
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("the stream says something within 20 s");
    found
}

fn logs(of: &[(String, String, Value)]) -> Vec<String> {
    of.iter().filter(|e| e.0 == "log").map(|e| e.1.clone()).collect()
}

#[tokio::test]
async fn a_stream_resumes_after_the_last_event_and_ends_with_its_run() {
    for t in testing::databases().await {
        let s = server(&t).await;
        let path = format!("/api/v1/runs/{}/events", s.run);
        s.say("two").await;
        s.say("three").await;
        let answer = s.get(&path, true, None).await;
        assert_eq!(answer.status(), StatusCode::OK, "{}", t.name);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/event-stream");
        let mut body = answer.into_body().into_data_stream();
        let first = read(&mut body, |e| e.iter().any(|e| e.0 == "run")).await;
        assert_eq!(logs(&first), ["1", "2", "3"], "{}", t.name);
        assert!(first.iter().any(|e| e.0 == "run" && e.2["state"] == "queued"));
        // News comes while the stream is open.
        s.say("four").await;
        assert_eq!(logs(&read(&mut body, |e| !logs(e).is_empty()).await), ["4"]);
        drop(body);
        // The connection was lost after the second: the browser names it, and gets what came later once.
        let mut body = s.get(&path, true, Some("2")).await.into_body().into_data_stream();
        let again = read(&mut body, |e| logs(e).len() >= 2).await;
        assert_eq!(again.iter().filter(|e| e.0 == "log").map(|e| e.2["message"].as_str().unwrap()).collect::<Vec<_>>(), ["three", "four"]);
        // The run ends: so does the stream, after the last line.
        let token = Uuid::now_v7();
        let mut tx = t.db.begin().await.unwrap();
        queue::claim(tx.tx(), &Lease { owner: "w", token, until: Timestamp(i64::MAX) }, Timestamp(i64::MAX)).await.unwrap().unwrap();
        queue::finish(tx.tx(), s.run, token, &End { event: RunEvent::Fail, result: None, failure: None }, Timestamp(9)).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        wake::run(s.run);
        let rest = read(&mut body, |_| false).await;
        let (name, _, data) = rest.last().unwrap();
        assert_eq!((name.as_str(), &data["state"]), ("end", &json!("failed")), "{}: {rest:?}", t.name);
    }
}

#[tokio::test]
async fn a_page_gets_finished_parts_and_lines() {
    let t = testing::sqlite().await;
    let s = server(&t).await;
    s.say("<script>alert(1)</script>").await;
    let path = format!("/api/v1/runs/{}/events?view=page&after=1", s.run);
    let mut body = s.get(&path, true, None).await.into_body().into_data_stream();
    let found = read(&mut body, |e| e.iter().any(|e| e.0 == "parts")).await;
    assert_eq!(logs(&found), ["2"]);
    let line = found[0].2["html"].as_str().unwrap();
    assert!(line.starts_with("<li") && line.contains("&lt;script&gt;"), "{line}");
    let parts = &found.iter().find(|e| e.0 == "parts").unwrap().2["parts"];
    assert!(parts["run-status"].as_str().unwrap().contains("queued"), "{parts}");
    let mut body = s.get("/api/v1/runs/events?view=page", true, None).await.into_body().into_data_stream();
    let found = read(&mut body, |e| !e.is_empty()).await;
    assert!(found[0].2["parts"]["live-runs"].as_str().unwrap().contains(&s.run.to_string()));
    // The server stops: the streams end.
    s.streams.stop();
    read(&mut body, |_| false).await;
}

#[tokio::test]
async fn strangers_unknown_runs_and_too_many_are_refused() {
    for t in testing::databases().await {
        let s = server(&t).await;
        let path = format!("/api/v1/runs/{}/events", s.run);
        assert_eq!(s.get(&path, false, None).await.status(), StatusCode::UNAUTHORIZED, "{}", t.name);
        assert_eq!(s.get("/api/v1/runs/events", false, None).await.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(s.get(&format!("/api/v1/runs/{}/events", Uuid::now_v7()), true, None).await.status(), StatusCode::NOT_FOUND);
        let all = s.streams.places.clone().acquire_many_owned(PLACES as u32).await.unwrap();
        assert_eq!(s.get(&path, true, None).await.status(), StatusCode::SERVICE_UNAVAILABLE);
        drop(all);
        assert_eq!(s.get(&path, true, None).await.status(), StatusCode::OK, "a place that came free is given again");
    }
}
