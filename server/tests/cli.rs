//! The real binary on temporary folders: commands, exit codes, words, the shape of the JSON.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Place, Said};
use serde_json::json;

#[test]
fn a_mistake_is_told_with_its_place_and_applies_nothing() {
    let place = Place::new();
    place.write("bad.yaml", "version: 1\nrepositorys: []\nservices:\n  - name: A\n");
    let said = place.run(&["apply", "bad.yaml"]);
    assert_eq!(said.code, 2);
    assert_eq!(said.out, "");
    assert_eq!(
        said.err,
        "bad.yaml:2:1: unknown key “repositorys” in the top level; did you mean “repositories”?\n\
         bad.yaml:4:5: a service needs “owner”; add owner: notebooks-ops\n\
         bad.yaml:4:5: a service needs “sources”; add sources: and a list below\n\
         bad.yaml:4:11: the name “A” must start with a lower-case letter or a digit\n\
         4 mistakes; nothing was applied\n"
    );
    assert_eq!(place.run(&["snapshots"]).out, "There are no such snapshots.\n");
    let missing = place.run(&["apply", "none.yaml"]);
    assert_eq!((missing.code, missing.err.as_str()), (2, "error: none.yaml cannot be read: entity not found\n"));
    std::fs::write(place.path("latin.yaml"), b"title: \xe9\n").unwrap();
    assert_eq!(place.run(&["apply", "latin.yaml"]).err, "error: latin.yaml cannot be read: it is not UTF-8 text\n");
}

#[test]
fn applying_twice_changes_nothing() {
    let place = Place::with_homes();
    let first = place.run(&["apply", "holdfast.yaml"]);
    assert_eq!((first.code, first.err.as_str()), (0, ""));
    let at = |name: &str| place.path(name).display().to_string();
    let lines: Vec<&str> = first.out.lines().map(str::trim_end).collect();
    let said = |line: &str| lines.iter().any(|l| l.split_whitespace().collect::<Vec<_>>().join(" ") == line);
    for line in [
        "+ repository main new",
        &format!("location file://{}", at("repository")),
        &format!("password {{ file: {} }}", at("password")),
        "+ service notebooks new",
        "rpo 24h",
        "+ source notebooks/homes new",
        "items children",
    ] {
        assert!(said(line), "{line}:\n{}", first.out);
    }
    let data = place.path("data").canonicalize().unwrap();
    assert_eq!(lines.last().unwrap(), &format!("Next: holdfast --data {} backup notebooks", data.display()));
    let second = place.run(&["apply", "holdfast.yaml", "--json"]);
    let all = json!([{"entity": "repository", "name": "main"}, {"entity": "service", "name": "notebooks"}, {"entity": "source", "name": "notebooks/homes"}]);
    assert_eq!(second.json(), json!({"created": [], "changed": [], "removed": [], "unchanged": all, "left_alone": [], "dry_run": false}));
}

#[test]
fn a_dry_run_tells_the_difference_and_writes_nothing() {
    let place = Place::with_homes();
    place.run(&["apply", "holdfast.yaml"]);
    let before = place.run(&["export"]).out;
    let text = std::fs::read_to_string(place.path("holdfast.yaml")).unwrap();
    place.write("new.yaml", &text.replace("rpo: 24h", "rpo: 12h").replace("name: homes", "name: home"));
    let said = place.run(&["apply", "--dry-run", "new.yaml"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    let words = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "~ service notebooks changed rpo 24h → 12h",
        "+ source notebooks/home new",
        "= repository main as it was",
        "Left alone, since the file does not name it: source notebooks/homes",
        "This was a dry run: nothing was written.",
    ] {
        assert!(words.contains(part), "{part}:\n{}", said.out);
    }
    assert_eq!(place.run(&["export"]).out, before);
    let applied = place.run(&["apply", "new.yaml", "--json"]).json();
    assert_eq!(applied["changed"], json!([{"entity": "service", "name": "notebooks", "differences": [{"key": "rpo", "was": "24h", "will_be": "12h"}]}]));
    assert_ne!(place.run(&["export"]).out, before);
}

#[test]
fn a_file_is_checked_without_a_database() {
    let place = Place::with_homes();
    let good = place.run(&["validate", "holdfast.yaml"]);
    assert_eq!((good.code, good.out.as_str(), good.err.as_str()), (0, "holdfast.yaml has no mistakes.\n", ""));
    place.write("bad.yaml", "version: 1\nrepositorys: []\n");
    let bad = place.run(&["validate", "bad.yaml"]);
    assert_eq!((bad.code, bad.out.as_str()), (2, ""));
    assert_eq!(bad.err, "bad.yaml:2:1: unknown key “repositorys” in the top level; did you mean “repositories”?\na mistake\n");
    let told = place.run(&["validate", "--json", "bad.yaml"]);
    let message = "unknown key “repositorys” in the top level; did you mean “repositories”?";
    assert_eq!((told.code, told.json()), (2, json!({"file": "bad.yaml", "mistakes": [{"line": 2, "col": 1, "message": message}]})));
    assert_eq!(place.run(&["validate", "--json", "holdfast.yaml"]).json()["mistakes"], json!([]));
    let schema = place.run(&["schema"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&schema.out).unwrap()["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(!place.path("data").exists(), "neither needs a data folder");
}

#[test]
fn what_is_exported_is_applied_again() {
    let place = Place::with_homes();
    place.run(&["apply", "holdfast.yaml"]);
    let text = place.run(&["export"]).out;
    place.write("exported.yaml", &text);
    assert_eq!(place.run(&["validate", "exported.yaml"]).code, 0, "{text}");
    let again = place.run(&["apply", "exported.yaml", "--json"]).json();
    assert_eq!((&again["created"], &again["changed"], &again["left_alone"]), (&json!([]), &json!([]), &json!([])), "{text}");
    let other = place.command(&["--data", "other", "apply", "exported.yaml"]);
    assert_eq!(other.code, 0, "{}", other.err);
    assert_eq!(place.command(&["--data", "other", "export"]).out, text);
}

#[test]
fn the_data_folder_is_private_and_shared_by_processes() {
    use std::os::unix::fs::MetadataExt as _;
    let place = Place::with_homes();
    std::thread::scope(|s| {
        let all: Vec<_> = (0..4).map(|_| s.spawn(|| place.run(&["apply", "holdfast.yaml"]))).collect();
        for one in all {
            let said = one.join().unwrap();
            assert_eq!((said.code, said.err.as_str()), (0, ""));
        }
    });
    for (path, mode) in [("data", 0o700), ("data/holdfast.db", 0o600)] {
        assert_eq!(std::fs::metadata(place.path(path)).unwrap().mode() & 0o777, mode, "{path}");
    }
    place.write("file", "");
    let said = place.command(&["--data", "file/below", "snapshots"]);
    assert_eq!(said.code, 2);
    assert_eq!(said.err, "error: the data folder file/below cannot be made or opened (not a directory); choose another with --data\n");
}

#[test]
fn a_sign_in_link_is_printed_alone() {
    let place = Place::new();
    let said = place.run(&["login-link"]);
    assert_eq!((said.code, said.err.as_str()), (0, "It works once, within 10 minutes.\n"));
    let token = said.out.trim().strip_prefix("http://127.0.0.1:3000/login?token=").unwrap();
    assert!(token.len() == 48 && token.bytes().all(|b| b.is_ascii_hexdigit()), "{token}");
    let json = place.run(&["login-link", "--listen", "0.0.0.0:8080", "--json"]).json();
    assert!(json["link"].as_str().unwrap().starts_with("http://localhost:8080/login?token="), "{json}");
    assert_eq!(json["valid_s"], 600);
}

#[test]
fn wrong_commands_end_with_2() {
    let place = Place::with_homes();
    place.run(&["apply", "holdfast.yaml"]);
    for (args, word) in [
        (&["frobnicate"][..], "unrecognized subcommand 'frobnicate'"),
        (&["apply"], "<FILE>"),
        (&["snapshots", "--service", "none"], "error: there is no service “none”"),
        (&["--database", "mysql://x", "snapshots"], "error: the database URL must start with sqlite: or postgres://"),
    ] {
        let said = place.run(args);
        assert_eq!(said.code, 2, "{args:?}: {}", said.err);
        assert!(said.err.contains(word) && said.out.is_empty(), "{args:?}: {}", said.err);
    }
    // Internal commands do not show, and the help names every public one.
    let Said { out, code, .. } = place.run(&["--help"]);
    assert_eq!(code, 0);
    for word in ["apply", "validate", "export", "schema", "snapshots", "serve", "login-link"] {
        assert!(out.contains(&format!("  {word} ")), "{out}");
    }
    assert!(!out.contains("job"), "{out}");
}
