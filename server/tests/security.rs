//! `docs/security.md` answers every requirement of OWASP ASVS 5.0.0 up to level 2, and what it names is there.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// The last requirement of level 1 or 2 of each section; they are numbered from 1 without gaps, those of level 3 come after.
const LAST: &str = "\
    1.1.2 1.2.9 1.3.11 1.4.3 1.5.2 \
    2.1.3 2.2.3 2.3.4 2.4.1 \
    3.2.2 3.3.4 3.4.6 3.5.5 3.7.2 \
    4.1.3 4.2.1 4.3.2 4.4.4 \
    5.1.1 5.2.3 5.3.2 5.4.3 \
    6.1.3 6.2.12 6.3.4 6.4.4 6.5.5 6.6.3 6.8.4 \
    7.1.3 7.2.4 7.3.2 7.4.5 7.5.2 7.6.2 \
    8.1.2 8.2.3 8.3.1 8.4.1 \
    9.1.3 9.2.4 \
    10.1.2 10.2.2 10.3.4 10.4.11 10.5.5 10.6.2 10.7.3 \
    11.1.2 11.2.3 11.3.3 11.4.4 11.5.1 11.6.1 \
    12.1.3 12.2.2 12.3.4 \
    13.1.1 13.2.5 13.3.2 13.4.5 \
    14.1.2 14.2.4 14.3.3 \
    15.1.3 15.2.3 15.3.7 \
    16.1.1 16.2.5 16.3.4 16.4.3 16.5.3 \
    17.1.1 17.2.4 17.3.2";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every requirement that the standard has, `V1.1.1` and so on.
fn wanted() -> BTreeSet<String> {
    let sections = LAST.split_whitespace().map(|last| last.rsplit_once('.').unwrap());
    sections.flat_map(|(section, last)| (1..=last.parse::<u32>().unwrap()).map(move |n| format!("V{section}.{n}"))).collect()
}

/// `V6.2.1–12` is twelve of them.
fn named(cell: &str) -> Vec<String> {
    let (section, numbers) = cell.rsplit_once('.').unwrap();
    let (first, last) = numbers.split_once('–').unwrap_or((numbers, numbers));
    (first.parse::<u32>().unwrap()..=last.parse().unwrap()).map(|n| format!("{section}.{n}")).collect()
}

/// The source below a folder, as one text.
fn source(folder: &Path, ends: &str) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            if name != "node_modules" && name != "target" {
                text.push_str(&source(&path, ends));
            }
        } else if name.ends_with(ends) {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    text
}

/// What stands between two signs.
fn between(text: &str, open: char, close: char) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(open)?;
        let (inside, after) = after.split_once(close)?;
        rest = after;
        Some(inside)
    })
}

#[test]
fn every_requirement_is_answered_and_what_is_named_is_there() {
    let root = root();
    let rust: String = ["app", "server", "crates"].iter().map(|d| source(&root.join(d), ".rs")).collect();
    let journeys = source(&root.join("end2end/journeys"), ".mjs");
    let document = std::fs::read_to_string(root.join("docs/security.md")).unwrap();
    let mut answered = BTreeSet::new();
    let mut faults = Vec::new();
    for line in document.lines().filter(|l| l.starts_with("| V")) {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [numbers, _, state, by] = cells[..] else { panic!("not four cells: {line}") };
        for number in named(numbers) {
            assert!(answered.insert(number), "answered twice: {line}");
        }
        assert!(["met", "n/a", "not met"].contains(&state), "no such state: {line}");
        assert!(!by.is_empty(), "{line}");
        let (files, others): (Vec<&str>, Vec<&str>) = between(by, '`', '`').partition(|t| t.contains('/') || root.join(t).exists());
        let is_test = |t: &&str| t.contains('_') && t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let tests: Vec<&str> = others.into_iter().filter(is_test).collect();
        let titles: Vec<_> = between(by, '“', '”').collect();
        faults.extend(files.iter().filter(|f| !root.join(f).is_file()).map(|f| format!("{numbers}: there is no file {f}")));
        if state != "met" {
            continue;
        }
        faults.extend(tests.iter().filter(|t| !rust.contains(&format!("fn {t}("))).map(|t| format!("{numbers}: there is no test {t}")));
        faults.extend(titles.iter().filter(|t| !journeys.contains(&format!("'{t}'"))).map(|t| format!("{numbers}: there is no journey {t}")));
        // What is written or configured proves itself; all else needs a test.
        let by_itself = files.iter().any(|f| ["docs/", "scripts/", "Cargo", "clippy", "end2end/package"].iter().any(|p| f.starts_with(p)));
        if files.is_empty() || (tests.is_empty() && titles.is_empty() && !by_itself) {
            faults.push(format!("{numbers} is met, by which file, and proven by which test?"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    let wanted = wanted();
    assert_eq!(wanted.len(), 253);
    assert_eq!(answered.symmetric_difference(&wanted).collect::<Vec<_>>(), Vec::<&String>::new());
}
