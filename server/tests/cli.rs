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
    let data = place.path("data").canonicalize().unwrap();
    assert_eq!(
        first.out,
        format!(
            "+  repository  main             new\n\
             +  service     notebooks        new\n\
             +  source      notebooks/homes  new\n\n\
             Next: holdfast --data {} backup notebooks\n",
            data.display()
        )
    );
    let second = place.run(&["apply", "holdfast.yaml", "--json"]);
    let all = json!([{"entity": "repository", "name": "main"}, {"entity": "service", "name": "notebooks"}, {"entity": "source", "name": "notebooks/homes"}]);
    assert_eq!(second.json(), json!({"created": [], "changed": [], "unchanged": all}));
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
    assert_eq!((said.code, said.err.as_str()), (0, "It works once, within 15 minutes.\n"));
    let token = said.out.trim().strip_prefix("http://127.0.0.1:3000/login?token=").unwrap();
    assert!(token.len() == 48 && token.bytes().all(|b| b.is_ascii_hexdigit()), "{token}");
    let json = place.run(&["login-link", "--listen", "0.0.0.0:8080", "--json"]).json();
    assert!(json["link"].as_str().unwrap().starts_with("http://localhost:8080/login?token="), "{json}");
    assert_eq!(json["valid_s"], 900);
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
    for word in ["apply", "snapshots", "serve", "login-link"] {
        assert!(out.contains(&format!("  {word} ")), "{out}");
    }
    assert!(!out.contains("job"), "{out}");
}
