//! The API of a running server, as a program uses it: restores from the first question to the files, archives, and a
//! call that is repeated after the server was killed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    io::Read as _,
    time::{Duration, Instant},
};

use common::{
    Place,
    http::{Answer, Process, Server},
};
use serde_json::{Value, json};

/// Asks until the answer is as wanted.
fn until(what: &str, mut ask: impl FnMut() -> Answer, wanted: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let answer = ask();
        if answer.status == 200 && wanted(&answer.json()) {
            return answer.json();
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{what}: {answer:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn ended(server: &Server, run: &Value) -> Value {
    let path = format!("/api/v1/runs/{}", run.as_str().unwrap());
    until("the end of a run", || server.get(&path), |r| r["finished_at"].is_string())
}

/// A server whose service was backed up once.
fn backed_up(place: &Place) -> Server {
    assert_eq!(place.run(&["apply", "holdfast.yaml"]).code, 0);
    let server = Server::start(place, &[], &[]);
    let run = server.post("/api/v1/runs", &json!({"kind": "backup", "service": "notebooks"})).json()["runs"][0].clone();
    assert_eq!(ended(&server, &run)["state"], "succeeded");
    server
}

fn item(server: &Server, name: &str) -> Value {
    let items = server.get("/api/v1/services/notebooks/items").json();
    let found = items["items"].as_array().unwrap().iter().find(|i| i["name"] == name).unwrap_or_else(|| panic!("{items}"));
    found.clone()
}

#[test]
fn a_restore_is_tried_counted_confirmed_and_happens_once() {
    let place = Place::with_homes();
    let server = backed_up(&place);
    let first = server.get("/api/v1/services/notebooks/items?limit=1").json();
    assert_eq!((&first["items"][0]["name"], &first["items"][0]["source"], &first["next"]), (&json!("alice"), &json!("homes"), &json!("alice")));
    let second = server.get("/api/v1/services/notebooks/items?limit=1&after=alice").json();
    assert_eq!((&second["items"][0]["name"], &second["items"][0]["snapshots"], &second["next"]), (&json!("bob"), &json!(1), &Value::Null));

    let target = place.path("out");
    let alice = item(&server, "alice")["last_snapshot"].clone();
    let wanted = json!({"snapshots": [{"snapshot": alice}], "target": {"kind": "folder", "path": target}});
    let tried = server.post("/api/v1/restores?preview=true", &wanted);
    assert_eq!((tried.status, &tried.json()["items"][0]["item"], &tried.json()["runs"]), (200, &json!("alice"), &json!([])), "{tried:?}");
    let count = server.post("/api/v1/restores/counts", &wanted).json()["runs"][0].as_str().unwrap().to_owned();
    let path = format!("/api/v1/restores/counts/{count}");
    let counted = until("the count", || server.post(&path, &wanted), |c| c["state"] == "ready");
    assert_eq!((&counted["counts"]["create"], &counted["counts"]["replace"]), (&json!(2), &json!(0)), "{counted}");
    assert!(counted["checks"].as_array().is_some_and(|c| c.len() >= 3) && counted["landings"][0]["item"] == "alice", "{counted}");
    assert!(!target.exists(), "a count writes nothing");
    let other = json!({"snapshots": [{"snapshot": alice}], "target": {"kind": "folder", "path": place.path("other")}});
    assert_eq!(server.post(&path, &other).json()["state"], "outdated");

    let confirmed = json!({"snapshots": [{"snapshot": alice}], "target": {"kind": "folder", "path": target}, "counted": count});
    let once = |body: &Value| server.ask("POST", "/api/v1/restores", &[("Idempotency-Key", "restore-1")], Some(("application/json", &body.to_string())));
    let started = once(&confirmed);
    assert_eq!(started.status, 202, "{started:?}");
    assert_eq!(ended(&server, &started.json()["runs"][0])["state"], "succeeded");
    let landed = std::path::PathBuf::from(counted["landings"][0]["path"].as_str().unwrap());
    assert_eq!(std::fs::read_to_string(landed.join("notes.txt")).unwrap(), "hello\n");
    let again = once(&confirmed);
    assert_eq!((again.json(), again.header("idempotent-replayed")), (started.json(), Some("true")));

    // Now files are in the way, and this restore may not replace any.
    let count = server.post("/api/v1/restores/counts", &wanted).json()["runs"][0].as_str().unwrap().to_owned();
    let path = format!("/api/v1/restores/counts/{count}");
    until("the second count", || server.post(&path, &wanted), |c| c["state"] == "ready" || c["state"] == "failed");
    std::fs::write(landed.join("notes.txt"), "mine").unwrap();
    let in_place = json!({"snapshots": [{"snapshot": alice}], "target": {"kind": "in_place"}});
    let refused = server.post("/api/v1/restores", &in_place);
    assert_eq!((refused.status, &refused.json()["errors"][0]["field"]), (422, &json!("confirm")), "{refused:?}");
    let skipping = json!({"snapshots": [{"snapshot": alice}], "target": {"kind": "folder", "path": target}, "conflict": "skip"});
    let run = server.post("/api/v1/restores", &skipping).json()["runs"][0].clone();
    assert_eq!(ended(&server, &run)["state"], "succeeded");
    assert_eq!(std::fs::read_to_string(landed.join("notes.txt")).unwrap(), "mine", "skipped");
    assert_eq!(server.process.stop(), 0);
}

#[test]
fn a_snapshot_is_taken_away_as_an_archive_and_that_is_on_record() {
    let place = Place::with_homes();
    let server = backed_up(&place);
    let alice = item(&server, "alice")["last_snapshot"].as_str().unwrap().to_owned();
    let take = |query: &str| {
        let mut bytes = Vec::new();
        server.open("GET", &format!("/api/v1/snapshots/{alice}/archive{query}"), &[], None).read_to_end(&mut bytes).unwrap();
        let at = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        (String::from_utf8_lossy(&bytes[..at]).to_ascii_lowercase(), bytes[at + 4..].to_vec())
    };
    let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|w| w == text.as_bytes());
    let (head, tar) = take("");
    assert!(head.contains(" 200 ") && head.contains("content-type: application/x-tar"), "{head}");
    assert!(holds(&tar, "ustar") && holds(&tar, "hello\n") && holds(&tar, "deep/er/data.bin"), "{} bytes", tar.len());
    assert!(tar.len().is_multiple_of(512) && tar.ends_with(&[0; 1024]), "it has its end");
    let (head, zip) = take("?format=zip&path=notes.txt");
    assert!(head.contains("content-type: application/zip") && head.contains("attachment"), "{head}");
    assert!(zip.starts_with(b"PK") && holds(&zip, "notes.txt") && !holds(&zip, "data.bin"), "{} bytes", zip.len());
    for (query, status) in [("?path=none", "404"), ("?format=rar", "400"), ("?colour=red", "400")] {
        let (head, body) = take(query);
        assert!(head.contains(&format!(" {status} ")) && head.contains("application/problem+json"), "{query}: {head} {}", String::from_utf8_lossy(&body));
    }
    let events = server.get("/api/v1/audit?action=snapshot.download").json();
    let forms: Vec<&Value> = events["events"].as_array().unwrap().iter().map(|e| &e["after"]["form"]).collect();
    assert_eq!(forms, [&json!("zip"), &json!("tar")], "{events}");
    assert_eq!(server.process.stop(), 0);
}

#[test]
fn a_call_that_is_repeated_after_a_kill_starts_nothing_twice() {
    let place = Place::with_homes();
    assert_eq!(place.run(&["apply", "holdfast.yaml"]).code, 0);
    let mut server = Server::start(&place, &[], &[]);
    let token = server.post("/api/v1/tokens", &json!({"name": "job", "scopes": ["read", "operate"]})).json()["token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    let call = |server: &Server| {
        let body = json!({"kind": "backup", "service": "notebooks"}).to_string();
        server.ask("POST", "/api/v1/runs", &[("Authorization", &bearer), ("Idempotency-Key", "nightly-7")], Some(("application/json", &body)))
    };
    let first = call(&server);
    assert_eq!((first.status, first.header("idempotent-replayed")), (202, None), "{first:?}");
    server.process.child.kill().unwrap();
    server.process.child.wait().unwrap();
    drop(server);

    let process = Process::start(&place, &[], &["serve", "--listen", "127.0.0.1:0"]);
    let address = process.wait_for("listens on http://");
    let server = Server { process, address, cookie: String::new() };
    let again = call(&server);
    assert_eq!((again.status, again.json(), again.header("idempotent-replayed")), (202, first.json(), Some("true")));
    let runs = server.ask("GET", "/api/v1/runs", &[("Authorization", &bearer)], None).json();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1, "{runs}");
}

#[test]
fn an_item_is_serialized_to_a_location_and_brought_back_from_it() {
    let place = Place::with_homes();
    let mut server = backed_up(&place);
    let of = "/api/v1/services/notebooks/sources/homes/items/alice";
    let made = server.post(&format!("{of}/serialize"), &json!({"format": "tar"}));
    assert_eq!(made.status, 200, "{made:?}");
    let (location, snapshot) = (made.json()["location"].as_str().unwrap().to_owned(), made.json()["snapshot"].clone());
    assert_eq!(item(&server, "alice")["last_snapshot"], snapshot, "the newest");

    // Whoever holds it reads it, without having signed in; nothing else opens so.
    let cookie = std::mem::take(&mut server.cookie);
    let mut tar = Vec::new();
    server.open("GET", &location, &[], None).read_to_end(&mut tar).unwrap();
    assert!(tar.windows(6).any(|w| w == b"hello\n") && tar.ends_with(&[0; 1024]), "{} bytes", tar.len());
    let mut altered = location.clone();
    altered.replace_range(location.len() - 6..location.len() - 5, if &location[location.len() - 6..location.len() - 5] == "A" { "B" } else { "A" });
    for path in [altered.as_str(), "/api/v1/archives/none", "/api/v1/archives/v1.00000000.AAAA"] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    assert_eq!(server.get("/api/v1/snapshots").status, 401);
    server.cookie = cookie;

    // First it is counted, then it is brought back, exactly that; and only into the item that it was made of.
    let back = json!({"location": location, "target": {"kind": "beside"}});
    let bob = server.post("/api/v1/services/notebooks/sources/homes/items/bob/deserialize", &back);
    assert_eq!((bob.status, &bob.json()["errors"][0]["field"]), (422, &json!("location")), "{bob:?}");
    let counting = server.post(&format!("{of}/deserialize"), &back);
    assert_eq!((counting.status, &counting.json()["preview"]), (202, &json!(true)), "{counting:?}");
    let counted = ended(&server, &counting.json()["run"]);
    assert_eq!((&counted["state"], &counted["result"]["counts"]["create"]), (&json!("succeeded"), &json!(2)), "{counted}");
    let mut confirmed = back.clone();
    confirmed["counted"] = counting.json()["run"].clone();
    let once = || server.ask("POST", &format!("{of}/deserialize"), &[("Idempotency-Key", "back-1")], Some(("application/json", &confirmed.to_string())));
    let run = once();
    assert_eq!((run.status, &run.json()["preview"]), (202, &json!(false)), "{run:?}");
    let done = ended(&server, &run.json()["run"]);
    assert_eq!(done["state"], "succeeded");
    let landed = std::path::PathBuf::from(done["result"]["landings"][0]["path"].as_str().unwrap());
    assert_eq!(std::fs::read_to_string(landed.join("notes.txt")).unwrap(), "hello\n");
    assert_eq!(once().json(), run.json(), "a repeat starts nothing");
    let events = server.get("/api/v1/audit?action=item.serialize").json();
    assert_eq!(events["events"].as_array().map(Vec::len), Some(1), "{events}");
    assert!(!events.to_string().contains("archives"), "the location itself is on no record");
    assert_eq!(server.process.stop(), 0);
}

#[test]
fn what_is_inside_snapshots_and_whose_it_is() {
    let place = Place::with_homes();
    let server = backed_up(&place);
    let alice = item(&server, "alice");
    let snapshot = alice["last_snapshot"].as_str().unwrap().to_owned();
    let top = server.get(&format!("/api/v1/snapshots/{snapshot}/entries?limit=1")).json();
    assert_eq!((&top["total"], top["entries"].as_array().map(Vec::len)), (&json!(2), Some(1)), "{top}");
    let next = server.get(&format!("/api/v1/snapshots/{snapshot}/entries?after={}", top["next"].as_str().unwrap())).json();
    assert_eq!((&next["entries"][0]["name"], &next["entries"][0]["kind"], &next["entries"][0]["bytes"]), (&json!("notes.txt"), &json!("file"), &json!(6)));
    let file = format!("/api/v1/snapshots/{snapshot}/file?path=notes.txt");
    assert_eq!((server.get(&file).status, server.get(&file).body.as_str()), (200, "hello\n"));
    let part = server.ask("GET", &file, &[("Range", "bytes=1-2")], None);
    assert_eq!((part.status, part.body.as_str()), (206, "el"));
    assert_eq!(server.get(&format!("/api/v1/snapshots/{snapshot}/file?path=none")).status, 404);
    let none = server.get(&format!("/api/v1/snapshots/{snapshot}/differences"));
    assert_eq!((none.status, &none.json()["errors"][0]["field"]), (422, &json!("with")), "{none:?}");

    // A second snapshot, and what differs.
    std::fs::write(place.path("homes/alice/notes.txt"), "hello again\n").unwrap();
    let run = server.post("/api/v1/runs", &json!({"kind": "backup", "service": "notebooks"})).json()["runs"][0].clone();
    assert_eq!(ended(&server, &run)["state"], "succeeded");
    let newer = item(&server, "alice")["last_snapshot"].as_str().unwrap().to_owned();
    let differ = server.get(&format!("/api/v1/snapshots/{newer}/differences")).json();
    assert_eq!((&differ["with"], &differ["changed"]["files"]), (&json!(snapshot), &json!(1)), "{differ}");
    let path = differ["paths"].as_array().unwrap().iter().find(|p| p["path"] == "notes.txt").unwrap();
    assert_eq!((&path["change"], &path["content"]), (&json!("changed"), &json!(true)));
    let id = alice["id"].as_str().unwrap();
    let versions = server.get(&format!("/api/v1/items/{id}/versions?path=notes.txt")).json();
    let sizes: Vec<&Value> = versions["versions"].as_array().unwrap().iter().map(|v| &v["bytes"]).collect();
    assert_eq!(sizes, [&json!(12), &json!(6)], "{versions}");
    let first = server.get(&format!("/api/v1/items/{id}/names?f=note&limit=1")).json();
    let second = server.get(&format!("/api/v1/items/{id}/names?f=note&limit=1&cursor={}", first["next"].as_str().unwrap())).json();
    assert_eq!((&first["versions"][0]["bytes"], &second["versions"][0]["bytes"]), (&json!(12), &json!(6)));
    assert_eq!(server.get(&format!("/api/v1/items/{id}/versions")).status, 400);

    // Two folders, one human.
    assert_eq!(server.get("/api/v1/people").json()["total"], json!(2));
    let joined = server.post("/api/v1/people/alice/names", &json!({"name": "bob"}));
    assert_eq!(joined.status, 204, "{joined:?}");
    let both = server.get("/api/v1/people/bob").json();
    assert_eq!((&both["name"], both["items"].as_array().map(Vec::len)), (&json!("alice"), Some(2)), "{both}");
    assert_eq!(server.get("/api/v1/people/alice/names").json()["names"][0]["name"], json!("bob"));
    assert_eq!(server.ask("DELETE", "/api/v1/people/alice/names/bob", &[], None).status, 204);
    assert_eq!(server.get("/api/v1/people").json()["total"], json!(2));
    let gone = server.ask("PUT", &format!("/api/v1/items/{id}/person"), &[], Some(("application/json", "{}")));
    assert_eq!(gone.status, 204, "{gone:?}");
    assert_eq!(server.get("/api/v1/unattributed").json()["items"][0]["name"], json!("alice"));
    assert_eq!(server.get("/api/v1/search?q=bob").json()["people"], json!(["bob"]));

    // A file of the configuration comes as what it is.
    let file = server.get("/api/v1/configuration").body;
    let tried = server.ask("POST", "/api/v1/configuration?preview=true", &[], Some(("application/yaml", &file)));
    assert_eq!((tried.status, &tried.json()["changed"]), (200, &json!([])), "{tried:?}");
    let elsewhere = server.ask("POST", "/api/v1/runs", &[], Some(("application/yaml", "kind: backup\n")));
    assert_eq!(elsewhere.status, 415, "{elsewhere:?}");

    // A restore test, as programs see it.
    let run = server.post("/api/v1/runs", &json!({"kind": "restore_test", "service": "notebooks", "selection": {"kind": "all"}})).json()["runs"][0].clone();
    assert_eq!(ended(&server, &run)["state"], "succeeded");
    let tests = server.get("/api/v1/tests?service=notebooks").json();
    assert_eq!(
        (&tests["tests"][0]["run"], &tests["tests"][0]["verdict"], &tests["tests"][0]["items_restored"]),
        (&run, &json!("passed"), &json!(2)),
        "{tests}"
    );
    let one = server.get(&format!("/api/v1/tests/{}", tests["tests"][0]["id"].as_str().unwrap())).json();
    assert_eq!(one, tests["tests"][0]);
    assert_eq!(server.process.stop(), 0);
}
