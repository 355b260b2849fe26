//! A server and workers as processes of their own on one PostgreSQL.

mod common;

use std::{
    io::{BufRead as _, BufReader},
    time::{Duration, Instant},
};

use common::{
    Place,
    http::{Process, Server},
};
use serde_json::{Value, json};

fn database() -> store::testing::TestDb {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(store::testing::postgres())
}

/// Bytes that neither compress nor repeat, so that a backup takes a while.
fn noise(place: &Place, name: &str, megabytes: usize) {
    let mut state = 88_172_645_463_325_252_u64;
    let bytes: Vec<u8> = (0..megabytes << 17)
        .flat_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .collect();
    std::fs::write(place.path(name), bytes).expect("a file");
}

fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_a_worker_does_is_seen_at_the_server() {
    let database = database();
    let place = Place::with_homes();
    noise(&place, "homes/alice/noise", 48);
    let env = [("HOLDFAST_DATABASE_URL", database.url.as_str())];
    let server = Server::start(&place, &env, &["--max-parallel", "0"]);
    assert_eq!(server.get("/readyz").body, "ready\ndatabase: answers\nmigrations: up to date\nworker: in other processes\n");
    let apply = place.command(&["--data", "data", "--database", &database.url, "apply", "holdfast.yaml"]);
    assert_eq!(apply.code, 0, "{}", apply.err);
    let run = server.post("/api/v1/runs", &json!({"kind": "backup", "service": "notebooks"})).json()["runs"][0].as_str().expect("a run").to_owned();

    // The stream is open before any worker is there: the run waits.
    let stream = server.open("GET", &format!("/api/v1/runs/{run}/events"), &[], None);
    assert_eq!(server.get("/api/v1/workers").json(), json!({"workers": []}));
    assert!(server.get("/workers").body.contains("No worker is alive: runs wait until one is."));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(server.get(&format!("/api/v1/runs/{run}")).json()["state"], "queued", "nobody but a worker carries it out");

    let worker = Process::start(&place, &env, &["worker", "--name", "night shift", "--max-parallel", "3", "--listen", "127.0.0.1:0"]);
    let health = worker.wait_for("answers on http://");
    let mut events: Vec<(String, Value)> = Vec::new();
    let (mut name, mut listed) = (String::new(), None);
    for line in BufReader::new(stream).lines() {
        let line = line.expect("the stream goes on");
        if let Some(event) = line.strip_prefix("event:") {
            event.trim().clone_into(&mut name);
        } else if let Some(data) = line.strip_prefix("data:") {
            events.push((name.clone(), serde_json::from_str(data).expect("JSON")));
            if name == "run" && listed.is_none() && events.last().is_some_and(|e| e.1["state"] == "running") {
                listed = Some(server.get("/api/v1/workers").json()["workers"][0].clone());
            }
        }
    }
    let listed = listed.expect("the run was seen while it ran");
    assert_eq!((&listed["name"], &listed["max_parallel"], &listed["alive"]), (&json!("night shift"), &json!(3), &json!(true)), "{listed}");
    let progress = events.iter().filter(|(n, d)| n == "run" && d["progress"]["bytes_done"].as_i64().is_some_and(|b| b > 0)).count();
    assert!(progress > 0, "no progress came through: {events:?}");
    let steps: Vec<&str> = events.iter().filter(|(n, d)| n == "log" && d["kind"] == "step").filter_map(|(_, d)| d["message"].as_str()).collect();
    assert!(steps.iter().any(|s| s.starts_with("capture: succeeded")), "{steps:?}");
    assert_eq!(events.last().map(|(n, d)| (n.as_str(), &d["state"])), Some(("end", &json!("succeeded"))));
    // Every event came while the next was made, not all at the end.
    let page = server.get("/workers").body;
    assert!(page.contains("night shift") && page.contains("0 of 3") && page.contains("One worker is alive"), "{page}");

    // The worker tells of itself alone.
    let at_worker = Server { address: health.split('/').next().expect("an address").to_owned(), cookie: String::new(), process: worker };
    assert_eq!(at_worker.get("/readyz").body, "ready\ndatabase: answers\nmigrations: up to date\nworker: alive\n");
    let own = at_worker.get("/metrics").body;
    assert!(own.contains("holdfast_run_duration_seconds_count{kind=\"backup\",state=\"succeeded\"} 1"), "{own}");
    assert!(!own.contains("holdfast_workers{"), "{own}");
    assert!(server.get("/metrics").body.contains("holdfast_workers{state=\"alive\"} 1"));

    let Server { process: worker, .. } = at_worker;
    assert_eq!(worker.stop(), 0);
    until("the worker to be off the list", || server.get("/api/v1/workers").json()["workers"].as_array().is_some_and(Vec::is_empty).then_some(()));
    assert_eq!(server.process.stop(), 0);
}

#[test]
fn a_worker_needs_postgresql_and_says_so() {
    let place = Place::new();
    let said = place.run(&["worker"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("a worker needs PostgreSQL") && said.err.contains("Start `holdfast serve`"), "{}", said.err);
    let said = place.run(&["serve", "--max-parallel", "0"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("with SQLite the server carries them out itself"), "{}", said.err);
    assert!(!place.path("data/holdfast.db").exists(), "nothing was begun");
}
