//! The real binary: a restore test becomes evidence that openssl and a second implementation verify without Holdfast.

#![allow(clippy::disallowed_methods, reason = "the tests run openssl and Python, and are told by the environment where the latter is")]

mod common;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use common::{Place, Said};

/// The commands of a block of the pack's own README.
fn commands(readme: &str, name: &str) -> String {
    let begin = format!("```sh {name}\n");
    let from = readme.find(&begin).unwrap_or_else(|| panic!("the README has no block {name}")) + begin.len();
    readme[from..].split("```").next().expect("a block").to_owned()
}

fn shell(folder: &Path, script: &str) -> Said {
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", script]).current_dir(folder).stdin(Stdio::null());
    bash.output().expect("bash runs").into()
}

/// Writes the files of a pack to a folder, with Python's own reader of ZIP archives.
fn unpack(place: &Place) {
    fs::remove_dir_all(place.path("pack")).ok();
    let done = shell(&place.path(""), "python3 -m zipfile -e pack.zip pack");
    assert_eq!(done.code, 0, "{done:?}");
}

/// Two tests, a change of the key between them, and the pack of all.
fn packed() -> Place {
    let place = Place::with_homes();
    let ok = |args: &[&str]| {
        let said = place.run(args);
        assert_eq!(said.code, 0, "{args:?}: {said:?}");
        said
    };
    ok(&["apply", "holdfast.yaml"]);
    ok(&["backup", "notebooks"]);
    ok(&["restore-test", "notebooks", "--all"]);
    let keys = ok(&["evidence", "key", "--json"]).json();
    assert_eq!((keys["signed_now"].as_i64(), keys["records"].as_i64()), (Some(1), Some(2)), "{keys}");
    ok(&["evidence", "rotate-key"]);
    ok(&["restore-test", "notebooks", "--all"]);
    // The server's own key changes; the key that signs still opens.
    ok(&["rotate-key"]);
    place.write("newest.pem", &ok(&["evidence", "key", "--pem"]).out);
    place.write("first.pem", keys["keys"][0]["pem"].as_str().expect("a key"));
    let pack = place.path("pack.zip");
    let made = ok(&["evidence", "pack", "--from", "2020-01-01", "--output", pack.to_str().expect("UTF-8"), "--json"]).json();
    assert_eq!((made["tests"].as_i64(), made["signed"].as_i64(), made["gaps"].as_i64()), (Some(2), Some(2), Some(0)), "{made}");
    let again = place.run(&["evidence", "pack", "--from", "2020-01-01", "--output", pack.to_str().expect("UTF-8")]);
    assert!(again.code == 1 && again.err.contains("--output"), "{again:?}");
    place
}

fn verify(place: &Place, more: &[&str]) -> Said {
    let pack = place.path("pack.zip").display().to_string();
    let args: Vec<&str> = ["evidence", "verify", &pack].into_iter().chain(more.iter().copied()).collect();
    place.command(&args)
}

#[test]
fn a_pack_is_verified_by_its_readme_with_openssl_alone() {
    let place = packed();
    unpack(&place);
    let pack = place.path("pack");
    let readme = fs::read_to_string(pack.join("README.md")).expect("a README");
    for name in ["verify-files", "verify-manifest", "verify-key"] {
        let said = shell(&pack, &commands(&readme, name));
        assert_eq!((said.code, said.out.trim()), (0, ""), "{name}: {said:?}");
    }
    let mut seen = 0;
    for folder in ["envelopes", "."] {
        for entry in fs::read_dir(pack.join(folder)).expect("a folder").flatten() {
            let name = entry.file_name().into_string().expect("UTF-8");
            if !(folder == "envelopes" || name == "manifest.dsse.json") {
                continue;
            }
            let said = shell(&pack, &format!("FILE={folder}/{name}\n{}", commands(&readme, "verify-envelope")));
            assert!(said.code == 0 && said.out.contains("Signature Verified Successfully"), "{name}: {said:?}");
            if folder == "envelopes" {
                let number = name[..6].trim_start_matches('0');
                let link = shell(&pack, &commands(&readme, "verify-link").replace("NUMBER", number));
                assert_eq!(said.out.lines().last(), link.out.lines().last(), "{name}");
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 5, "two tests, two keys, the manifest");
    // What was changed is found by the same commands.
    let record = pack.join("envelopes/000001.json");
    let text = fs::read_to_string(&record).expect("an envelope");
    let at = text.find("\"payload\": \"").expect("a payload") + 40;
    let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
    fs::write(&record, format!("{}{other}{}", &text[..at], &text[at + 1..])).expect("written");
    assert_ne!(shell(&pack, &commands(&readme, "verify-files")).code, 0);
    assert_ne!(shell(&pack, &format!("FILE=envelopes/000001.json\n{}", commands(&readme, "verify-envelope"))).code, 0);
}

#[test]
fn a_second_implementation_says_the_same() {
    let python = std::env::var("HOLDFAST_TEST_PYTHON").expect("HOLDFAST_TEST_PYTHON must name a Python that has `cryptography`; `make test` makes one");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../end2end/components/evidence/verify.py");
    let place = packed();
    let second = || -> Said { Command::new(&python).arg(&script).arg(place.path("pack")).output().expect("Python runs").into() };
    unpack(&place);
    let good = second();
    assert!(good.code == 0 && good.out.contains("4 records, 2 keys"), "{good:?}");
    for file in ["envelopes/000003.json", "keys", "manifest.json", "chain.csv", "summary.pdf"] {
        unpack(&place);
        let path = if file == "keys" {
            fs::read_dir(place.path("pack/keys")).expect("keys").flatten().next().expect("a key").path()
        } else {
            place.path("pack").join(file)
        };
        let mut content = fs::read(&path).expect("a file");
        let middle = content.len() / 2;
        content[middle] ^= 1;
        fs::write(&path, content).expect("written");
        assert_ne!(second().code, 0, "{file}");
        let ours = place.command(&["evidence", "verify", place.path("pack").to_str().expect("UTF-8")]);
        let name = path.strip_prefix(place.path("pack")).expect("inside").display().to_string();
        assert!(ours.code == 1 && ours.out.contains(&name), "{name}: {ours:?}");
    }
}

#[test]
fn verify_needs_no_installation_and_says_on_what_trust_rests() {
    let place = packed();
    fs::remove_dir_all(place.path("data")).expect("the installation goes");
    let said = verify(&place, &[]);
    assert!(said.code == 0 && said.out.contains("The pack is intact: 2 signed tests") && said.out.contains("own keys"), "{said:?}");
    assert!(!place.path("data").exists(), "no data folder is made");
    let first = place.path("first.pem").display().to_string();
    let pinned = verify(&place, &["--key", &first, "--json"]);
    let json = pinned.json();
    assert_eq!((pinned.code, json["intact"].as_bool(), json["pinned"].as_bool()), (0, Some(true), Some(true)), "{json}");
    // The newest key did not sign the first records, and nobody whom it announced did.
    let newest = place.path("newest.pem").display().to_string();
    let half = verify(&place, &["--key", &newest]);
    assert!(half.code == 1 && half.out.contains("envelopes/000001.json") && half.out.contains("none of those given with --key"), "{half:?}");
    let none = place.command(&["evidence", "verify", "/nonexistent"]);
    assert!(none.code == 2 && none.err.contains("cannot be read"), "{none:?}");
    let no_key = verify(&place, &["--key", &place.path("password").display().to_string()]);
    assert!(no_key.code == 2 && no_key.err.contains("PEM"), "{no_key:?}");
    let no_pack = place.command(&["evidence", "verify", place.path("password").to_str().expect("UTF-8")]);
    assert!(no_pack.code == 1 && no_pack.out.contains("no evidence pack"), "{no_pack:?}");
    let mut bytes = fs::read(place.path("pack.zip")).expect("a pack");
    let last = bytes.len() - 30;
    bytes[last] ^= 1;
    fs::write(place.path("pack.zip"), bytes).expect("written");
    let damaged = verify(&place, &[]);
    assert!(damaged.code == 1 && damaged.out.contains("directory"), "{damaged:?}");
}
