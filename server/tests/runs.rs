//! Commands that do work, with real repositories that stock restic reads too.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::time::Duration;

use common::{Place, fingerprint, restic};
use serde_json::Value;

/// A place with one backup of both homes; the JSON that the backup printed.
fn backed_up() -> (Place, Value) {
    let place = Place::with_homes();
    place.dress("homes/alice");
    assert_eq!(place.run(&["apply", "holdfast.yaml"]).code, 0);
    let said = place.run(&["backup", "notebooks", "--json"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    let json = said.json();
    (place, json)
}

fn snapshot_of(json: &Value, item: &str) -> String {
    let items = json["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let snapshot = items.iter().find(|i| i["name"] == item).and_then(|i| i["snapshot"].as_str());
    snapshot.unwrap_or_else(|| panic!("no snapshot of {item}: {json}")).to_owned()
}

#[test]
fn what_was_backed_up_comes_back_the_same_also_by_restic() {
    let (place, json) = backed_up();
    let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["bytes_added", "bytes_read", "elapsed_s", "failure", "finished_at", "id", "items", "kind", "queued_at", "result", "started_at", "state", "title"]
    );
    assert_eq!((&json["state"], &json["kind"], &json["failure"]), (&"succeeded".into(), &"backup".into(), &Value::Null));
    assert!(json["bytes_read"].as_i64().unwrap() >= 100_000 && json["bytes_added"].as_i64().unwrap() > 0, "{json}");
    let item = json["items"][0].as_object().unwrap();
    let keys: Vec<&str> = item.keys().map(String::as_str).collect();
    assert_eq!(keys, ["bytes", "bytes_added", "files", "name", "problems", "problems_total", "snapshot", "state"]);
    assert_eq!(json["items"].as_array().unwrap().len(), 2);

    let want = fingerprint(&place.path("homes/alice"));
    let alice = snapshot_of(&json, "alice");
    restic(&place, &["check", "--read-data"]);
    restic(&place, &["restore", &alice, "--target", "by-restic"]);
    assert_eq!(fingerprint(&place.path("by-restic")), want, "stock restic");

    let said = place.run(&["restore", &alice[..8], "--to", "by-holdfast"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{}", said.out);
    assert_eq!(fingerprint(&place.path("by-holdfast")), want, "holdfast");

    // A part of it, and what restic wrote into the same repository is no obstacle.
    restic(&place, &["backup", "homes/bob"]);
    let part = place.run(&["restore", &format!("{alice}:deep/er"), "--to", "part", "--json"]);
    assert_eq!(part.code, 0, "{}", part.err);
    assert_eq!(part.json()["items"][0]["snapshot"], alice);
    let files: Vec<String> = fingerprint(&place.path("part")).into_keys().filter(|k| k.contains("data.bin")).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(!place.path("part/notes.txt").exists());
}

#[test]
fn a_preview_counts_and_writes_nothing_and_conflicts_are_decided() {
    let (place, json) = backed_up();
    let bob = snapshot_of(&json, "bob");
    let restore = |args: &[&str]| place.run(&[&["restore", &bob[..10], "--to", "out"], args].concat());
    let preview = restore(&["--preview", "--json"]);
    assert_eq!((preview.code, &preview.json()["result"]["counts"]["create"]), (0, &1.into()), "{}", preview.err);
    assert!(!place.path("out").exists());

    place.write("out/notes.txt", "mine\n");
    let refused = restore(&[]);
    assert_eq!(refused.code, 1, "{}", refused.out);
    assert!(refused.out.contains("notes.txt"), "{}", refused.out);
    let content = || std::fs::read_to_string(place.path("out/notes.txt")).unwrap();
    assert_eq!(content(), "mine\n");
    assert_eq!((restore(&["--conflict", "skip"]).code, content().as_str()), (0, "mine\n"));
    assert_eq!((restore(&["--conflict", "keep-newer"]).code, content().as_str()), (0, "mine\n"));
    assert_eq!((restore(&["--conflict", "overwrite"]).code, content().as_str()), (0, "bob was here\n"));

    let home = place.run(&["restore", &bob, "--to", "homes/bob"]);
    assert_eq!(home.code, 2);
    assert!(home.err.starts_with("error: --to: ") && home.err.contains("in place"), "{}", home.err);
    let unknown = place.run(&["restore", "ffffffff", "--to", "x"]);
    assert_eq!((unknown.code, unknown.err.as_str()), (2, "error: there is no snapshot “ffffffff”\n"));
    let no_id = place.run(&["restore", "latest", "--to", "x"]);
    assert_eq!((no_id.code, no_id.err.contains("is not the id of a snapshot")), (2, true), "{}", no_id.err);
}

#[test]
fn a_missing_item_makes_the_run_partial_and_alone_it_fails() {
    let (place, _) = backed_up();
    let some = place.run(&["backup", "notebooks", "--item", "bob", "--item", "ghost", "--json"]);
    assert_eq!((some.code, &some.json()["state"]), (3, &"partial".into()), "{}", some.err);
    let words = place.run(&["backup", "notebooks/homes", "--item", "ghost"]);
    assert_eq!(words.code, 1);
    assert!(words.out.starts_with("✗ Backup of notebooks/homes: ghost: failed in "), "{}", words.out);
    assert!(words.out.contains("failed ghost (1 problem)"), "{}", words.out);
    for args in [&["backup", "none"][..], &["backup", "notebooks/none"], &["check", "none"], &["restore-test", "none"]] {
        let said = place.run(args);
        assert_eq!(said.code, 2, "{args:?}: {}", said.err);
        assert!(said.err.starts_with("error: there is no "), "{args:?}: {}", said.err);
    }
}

#[test]
fn a_restore_test_passes_and_leaves_nothing() {
    let (place, _) = backed_up();
    let said = place.run(&["restore-test", "notebooks", "--sample", "2", "--json"]);
    let json = said.json();
    assert_eq!((said.code, &json["result"]["verdict"]), (0, &"passed".into()), "{json}");
    assert_eq!(json["result"]["items_restored"], 2);
    assert!(json["result"]["rto_s"].as_f64().unwrap() > 0.0);
    assert_eq!(std::fs::read_dir(place.path("data/scratch")).map_or(0, Iterator::count), 0);
    let words = place.run(&["restore-test", "notebooks", "--all"]);
    assert!(words.out.contains("  passed · evidence: asserted\n"), "{}", words.out);
    assert_eq!(place.run(&["restore-test", "notebooks", "--all", "--sample", "1"]).code, 2);
}

#[test]
fn a_check_finds_a_damaged_pack() {
    let (place, _) = backed_up();
    let whole = place.run(&["check", "main", "--read-data", "--json"]);
    assert_eq!((whole.code, &whole.json()["result"]["errors"]), (0, &Value::Array(Vec::new())), "{}", whole.err);
    let pack = common::largest_file(&place.path("repository/data"));
    let mut bytes = std::fs::read(&pack).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&pack, bytes).unwrap();
    let damaged = place.run(&["check", "main", "--read-data"]);
    assert_eq!(damaged.code, 1);
    let name = pack.file_name().unwrap().to_str().unwrap();
    assert!(damaged.out.contains("damaged") && damaged.out.contains(&name[..8]), "{}", damaged.out);
}

#[test]
fn a_wrong_password_is_told_and_the_secret_is_not() {
    let (place, _) = backed_up();
    place.write("password", "wrong horse\n");
    let said = place.run(&["backup", "notebooks"]);
    assert_eq!(said.code, 1);
    assert!(said.out.contains("password"), "{}", said.out);
    assert!(!format!("{}{}", said.out, said.err).contains("wrong horse"));
    std::fs::remove_file(place.path("password")).unwrap();
    let said = place.run(&["backup", "notebooks"]);
    assert_eq!(said.code, 1);
    assert!(said.out.contains("repositories.main.password"), "{}", said.out);
}

/// A file that takes a while to be backed up.
fn make_noise(place: &Place, name: &str) {
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(60_000_000)
    .collect();
    std::fs::write(place.path(name), noise).expect("a file");
}

/// Kills a command in the midst of its work: a while after it has locked the repository.
fn kill_at_work(place: &Place, mut child: std::process::Child) {
    until(|| locks(place) > 0);
    std::thread::sleep(Duration::from_millis(200));
    child.kill().and_then(|()| child.wait()).expect("it is killed");
}

fn locks(place: &Place) -> usize {
    std::fs::read_dir(place.path("repository/locks")).map_or(0, Iterator::count)
}

/// Waits for something to happen in a place.
fn until(what: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !what() {
        assert!(begun.elapsed() < Duration::from_mins(1), "it did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn after_kill_9_the_same_command_goes_on() {
    let (place, json) = backed_up();
    make_noise(&place, "homes/alice/noise");
    kill_at_work(&place, place.start(&["backup", "notebooks"]));
    let said = place.run(&["backup", "notebooks", "--json"]);
    assert_eq!((said.code, &said.json()["state"]), (0, &"succeeded".into()), "{}", said.err);
    assert!(said.err.contains("is under way; seeing it to its end."), "{}", said.err);
    assert_eq!(locks(&place), 0);
    restic(&place, &["check", "--read-data"]);

    // A restore that was killed is unwound, then the new one begins.
    let alice = snapshot_of(&said.json(), "alice");
    assert_ne!(alice, snapshot_of(&json, "alice"));
    place.write("out/mine.txt", "mine\n");
    kill_at_work(&place, place.start(&["restore", &alice, "--to", "out"]));
    let said = place.run(&["restore", &alice, "--to", "out", "--json"]);
    assert_eq!((said.code, &said.json()["state"]), (0, &"succeeded".into()), "{}", said.err);
    std::fs::remove_file(place.path("out/mine.txt")).unwrap();
    let ours = |mut all: std::collections::BTreeMap<String, String>| {
        all.remove("");
        all
    };
    assert_eq!(ours(fingerprint(&place.path("out"))), ours(fingerprint(&place.path("homes/alice"))));
    let beside: Vec<_> =
        std::fs::read_dir(place.path("")).unwrap().map(|e| e.unwrap().file_name()).filter(|n| n.to_string_lossy().starts_with(".holdfast-restore-")).collect();
    assert!(beside.is_empty(), "{beside:?}");
}

#[test]
fn an_interrupted_backup_is_cancelled_and_leaves_no_lock() {
    let place = Place::with_homes();
    assert_eq!(place.run(&["apply", "holdfast.yaml"]).code, 0);
    make_noise(&place, "homes/alice/noise");
    let child = place.start(&["backup", "notebooks", "--json"]);
    until(|| place.path("repository/config").exists());
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let said = common::Said::from(child.wait_with_output().unwrap());
    assert_eq!((said.code, &said.json()["state"]), (1, &"cancelled".into()), "{}", said.err);
    assert_eq!(locks(&place), 0);
    assert_eq!(place.run(&["backup", "notebooks"]).code, 0);
}

#[test]
fn two_processes_share_a_data_folder() {
    let place = Place::with_homes();
    assert_eq!(place.run(&["apply", "holdfast.yaml"]).code, 0);
    std::thread::scope(|s| {
        let both: Vec<_> = ["alice", "bob"].map(|item| s.spawn(|| place.run(&["backup", "notebooks", "--item", item, "--json"]))).into_iter().collect();
        for one in both {
            let said = one.join().unwrap();
            assert_eq!((said.code, &said.json()["state"]), (0, &"succeeded".into()), "{}", said.err);
        }
    });
    assert_eq!(place.run(&["snapshots", "--json"]).json()["snapshots"].as_array().unwrap().len(), 2);
    restic(&place, &["check", "--read-data"]);
}

#[test]
fn the_same_on_postgresql() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(store::testing::postgres());
    let place = Place::with_homes();
    let on = |args: &[&str]| {
        let said = place.command(&[&["--data", "data", "--database", &database.url], args].concat());
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{args:?}: {}", said.out);
        said.out.lines().last().map(str::to_owned).unwrap_or_default()
    };
    on(&["apply", "holdfast.yaml"]);
    let backup: Value = serde_json::from_str(&on(&["backup", "notebooks", "--json"])).unwrap();
    let bob = snapshot_of(&backup, "bob");
    assert!(on(&["snapshots", "--service", "notebooks", "--item", "bob"]).starts_with(&bob[..8]));
    on(&["restore", &bob, "--to", "out"]);
    assert_eq!(fingerprint(&place.path("out")), fingerprint(&place.path("homes/bob")));
    on(&["restore-test", "notebooks"]);
    on(&["check", "main"]);
    assert!(!place.path("data/holdfast.db").exists());
}

#[test]
fn what_restic_wrote_is_adopted_listed_and_restored() {
    let (place, _) = backed_up();
    restic(&place, &["backup", "homes/bob", "--tag", "by-hand"]);
    let before = place.run(&["snapshots", "--json"]).json();
    for read_data in [&["check", "main"][..], &["check", "main", "--read-data"]] {
        let said = place.run(read_data);
        assert_eq!(said.code, 0, "{}", said.err);
    }

    let after = place.run(&["snapshots", "--json"]).json();
    let list = |v: &Value| v["snapshots"].as_array().unwrap().clone();
    let new: Vec<Value> = list(&after).into_iter().filter(|s| !list(&before).contains(s)).collect();
    assert_eq!(new.len(), 1, "once, and no root of a pass: {after}");
    assert_eq!(new[0]["state"], "adopted", "{new:?}");
    let id = new[0]["snapshot"].as_str().unwrap();

    restic(&place, &["restore", id, "--target", "adopted-by-restic"]);
    let said = place.run(&["restore", id, "--to", "adopted-by-holdfast"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let want = fingerprint(&place.path("adopted-by-restic"));
    assert!(want.len() > 1, "{want:?}");
    assert_eq!(fingerprint(&place.path("adopted-by-holdfast")), want);
}

#[test]
fn a_policy_is_previewed_backups_forget_and_a_prune_gives_the_space_back() {
    let place = Place::with_homes();
    let text = std::fs::read_to_string(place.path("holdfast.yaml")).unwrap();
    let policy = "policies:\n  - name: brief\n    keep_last: 1\n  - name: long\n    keep_last: 9\nservices:\n";
    let text = text.replace("services:\n", policy).replacen("repository: main", "repository: main\n        policy: brief", 1);
    place.write("holdfast.yaml", &text);
    assert_eq!(place.run(&["apply", "holdfast.yaml"]).code, 0);
    for round in ["one", "two"] {
        place.write("homes/alice/round", &round.repeat(100_000));
        let said = place.run(&["backup", "notebooks", "--json"]);
        assert_eq!(said.code, 0, "{}", said.err);
        assert_eq!(said.json()["result"]["forgotten"], if round == "one" { 0 } else { 2 }, "{}", said.out);
    }
    let said = place.run(&["retention", "notebooks"]);
    assert!(said.out.contains("policy brief: 1 newest") && said.out.contains("2 kept, 0 to forget"), "{}", said.out);
    let said = place.run(&["retention", "notebooks", "--item", "alice", "--policy", "long", "--json"]).json();
    assert_eq!((&said["policy"], said["snapshots"].as_array().unwrap().len()), (&"long".into(), 1));
    assert_eq!((&said["snapshots"][0]["kept"], &said["snapshots"][0]["why"]), (&true.into(), &"newest, 1 of 9; the newest complete one".into()));
    for (args, word) in [(["retention", "none"], "there is no service “none”"), (["prune", "none"], "there is no repository “none”")] {
        let said = place.run(&args);
        assert_eq!(said.code, 2);
        assert!(said.err.contains(word), "{}", said.err);
    }
    let marked = place.run(&["prune", "main", "--json"]).json();
    assert!(marked["result"]["packs_marked"].as_i64().unwrap() > 0 && marked["result"]["packs_deleted"] == 0, "{marked}");
    let deleted = place.run(&["prune", "main", "--safe-age", "0s"]);
    assert!(deleted.code == 0 && !deleted.out.contains("0 packs deleted") && deleted.out.contains("deleted"), "{} {}", deleted.out, deleted.err);
    restic(&place, &["check", "--read-data"]);
    let bad = place.run(&["prune", "main", "--safe-age", "soon"]);
    assert!(bad.code == 2 && bad.err.contains("is not a duration"), "{}", bad.err);
}
