//! The log as JSON lines: what a request did and what a run did can be found by their ids (R56).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Place, http::Server};
use serde_json::{Value, json};

#[test]
fn every_line_names_its_request_and_its_run() {
    let place = Place::with_homes();
    assert_eq!(place.run(&["apply", "holdfast.yaml"]).code, 0);
    let server = Server::start(&place, &[("HOLDFAST_LOG_FORMAT", "json"), ("RUST_LOG", "info,holdfast=debug")], &[]);
    let body = json!({"kind": "backup", "service": "notebooks"}).to_string();
    let answer = server.ask("POST", "/api/v1/runs", &[("X-Request-Id", "from-the-proxy-7")], Some(("application/json", &body)));
    assert_eq!(answer.header("x-request-id"), Some("from-the-proxy-7"));
    let run = answer.json()["runs"][0].as_str().unwrap().to_owned();
    let other = server.get(&format!("/runs/{run}?token=hidden"));
    let made = other.header("x-request-id").unwrap().to_owned();
    assert_eq!(made.len(), 32, "{made}");
    let ended = |l: &&Value| l["fields"]["message"] == "ended";
    let lines =
        || -> Vec<Value> { server.process.said().lines().filter(|l| l.starts_with('{')).map(|l| serde_json::from_str(l).expect("a JSON line")).collect() };
    let begun = std::time::Instant::now();
    while lines().iter().find(ended).is_none() {
        assert!(begun.elapsed().as_secs() < 60, "{}", server.process.said());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let lines = lines();
    let of =
        |what: &str, id: &str| -> Vec<&Value> { lines.iter().filter(|l| l["spans"].as_array().is_some_and(|s| s.iter().any(|s| s[what] == id))).collect() };
    // The request that started the run names the run; the run's own lines name it, too.
    let queued: Vec<_> = of("request", "from-the-proxy-7").into_iter().filter(|l| l["fields"]["message"] == "queued").collect();
    assert_eq!((queued.len(), &queued[0]["fields"]["run"]), (1, &json!(run)), "{lines:#?}");
    assert_eq!(queued[0]["spans"][0]["route"], "/api/v1/runs");
    let of_run = of("run", &run);
    let end = of_run.iter().copied().find(|l| ended(l)).unwrap_or_else(|| panic!("{lines:#?}"));
    assert_eq!((&end["fields"]["state"], &end["level"]), (&json!("succeeded"), &json!("INFO")));
    assert!(!server.process.said().contains("hidden"), "the query is not logged");

    // A strange id is not taken over.
    let strange = server.ask("GET", "/healthz", &[("X-Request-Id", "a b\"}")], None);
    assert_eq!(strange.status, 200);
    let page = server.ask("GET", "/runs", &[("X-Request-Id", "a b\"}")], None);
    assert_ne!(page.header("x-request-id"), Some("a b\"}"));

    // What was answered is counted by route, never by path.
    let metrics = server.get("/metrics").body;
    assert!(metrics.contains("holdfast_http_requests_total{method=\"POST\",route=\"/api/v1/runs\",status=\"2xx\"} 1"), "{metrics}");
    assert!(!metrics.contains(&run) && !metrics.contains("alice"), "{metrics}");
    assert_eq!(server.process.stop(), 0);
}

#[test]
fn metrics_are_for_this_machine_or_for_who_has_the_token() {
    let place = Place::new();
    let server = Server::start(&place, &[], &[]);
    assert_eq!(server.get("/metrics").status, 200);
    let through = server.ask("GET", "/metrics", &[("X-Forwarded-For", "192.0.2.7")], None);
    assert_eq!(through.status, 403, "a proxy on this machine hands on what others ask");
    assert!(through.body.contains("HOLDFAST_METRICS_TOKEN_FILE"), "{}", through.body);
    assert_eq!(server.process.stop(), 0);

    place.write("token", "0123456789abcdef0123\n");
    let server_of = |place: &Place| {
        let process = common::http::Process::start(place, &[("HOLDFAST_METRICS_TOKEN_FILE", "token")], &["serve", "--listen", "127.0.0.1:0"]);
        let address = process.wait_for("listens on http://");
        Server { process, address, cookie: String::new() }
    };
    let server = server_of(&place);
    let without = server.get("/metrics");
    assert_eq!((without.status, without.header("www-authenticate")), (401, Some("Bearer")));
    let with = |token: &str| server.ask("GET", "/metrics", &[("Authorization", &format!("Bearer {token}")), ("X-Forwarded-For", "192.0.2.7")], None).status;
    assert_eq!((with("0123456789abcdef0124"), with("0123456789abcdef0123")), (401, 200));
    assert_eq!(server.get("/readyz").status, 200, "these two are for everybody");
    assert!(!server.process.said().contains("0123456789abcdef"), "the token is not logged");
    assert_eq!(server.process.stop(), 0);

    place.write("token", "short\n");
    let refused = common::http::Process::start(&place, &[("HOLDFAST_METRICS_TOKEN_FILE", "token")], &["serve", "--listen", "127.0.0.1:0"]);
    refused.wait_for("fewer than 16 characters");
}
