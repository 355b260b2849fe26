//! The examples of the document are requests that are understood as they stand.

use axum::http::StatusCode;
use ops::Role;
use serde_json::Value;

use super::{
    parts,
    tests::{api_of, databases},
    version_tests::ask,
};

/// Every operation that takes a body, with the example of it.
fn examples() -> Vec<(String, String, Value)> {
    let document = serde_json::to_value(parts().1).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let Some(name) = schema["$ref"].as_str() else { continue };
            let of = document.pointer(name.trim_start_matches('#')).unwrap();
            let example = of.get("example").or_else(|| of["examples"].get(0)).unwrap_or_else(|| panic!("{method} {path}: {name} has no example"));
            found.push((method.to_uppercase(), path.clone(), example.clone()));
        }
    }
    assert!(found.len() >= 18, "{found:?}");
    found
}

#[tokio::test]
async fn every_example_is_understood() {
    let db = databases().await.remove(0);
    let ada = api_of(&db, "ada", Role::Admin);
    for (method, path, example) in examples() {
        let filled = path.replace("{name}", if path.contains("/schedules/") { "daily" } else { "alpha" });
        let filled = filled
            .replace("{month}", "2020-02")
            .replace("{number}", "1")
            .replace("{id}", "01a1f8df-12b6-706e-b053-6ef67d1f8fb0")
            .replace("{review}", "risk_assessment")
            .replace("{step}", "1")
            .replace("{definition}", "weekly");
        let answer = ask(&ada, &method, &filled, &[], Some(&example)).await;
        // What it names is not there, and so it says; a token is made with a session alone.
        let detail = answer.body["detail"].as_str().unwrap_or_default();
        let named = detail.contains("there is no ") || detail.contains("has no snapshot of ");
        let understood = answer.status.is_success() || named || matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::CONFLICT);
        assert!(understood && !detail.contains("deserialize"), "{method} {path}: {} {}", answer.status, answer.body);
    }
}

/// Two schemas of one name hide each other, and the document tells of one what is true of the other.
#[test]
fn no_two_schemas_bear_one_name() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = std::collections::BTreeMap::<String, Vec<String>>::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for part in text.split("ToSchema").skip(1) {
                let mut lines = part.lines().skip(1).map(str::trim).filter(|l| !l.starts_with("#[") && !l.starts_with("///") && !l.starts_with("#!"));
                let Some(line) = lines.next() else { continue };
                let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty()).collect();
                if let Some(at) = words.iter().position(|w| *w == "struct" || *w == "enum") {
                    found.entry(words[at + 1].to_owned()).or_default().push(path.display().to_string());
                }
            }
        }
    }
    assert!(found.len() > 100, "{}", found.len());
    let twice: Vec<_> = found.into_iter().filter(|(_, files)| files.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:#?}");
}
