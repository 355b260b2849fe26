//! The schema and the parser agree: on the examples of the documentation, on classic mistakes, and on every key of a
//! whole file that is taken away, renamed, or given a value of another type.

use serde_json::{Map, Value, json};

use super::{
    tests::GOOD,
    write,
    write_tests::whole,
    yaml::{self, Node, Value as Yaml},
    *,
};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/holdfast.schema.json");

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::new(&schema()).unwrap()
}

#[test]
fn the_published_schema_is_the_one_of_the_code() {
    let text = format!("{:#}\n", schema());
    #[allow(clippy::disallowed_methods, reason = "whoever changed the keys asks for the file to be written anew")]
    if std::env::var("HOLDFAST_BLESS").is_ok() {
        std::fs::write(GOLDEN, &text).unwrap();
    }
    let known = std::fs::read_to_string(GOLDEN).unwrap_or_default();
    assert!(known == text, "docs/holdfast.schema.json is not up to date: HOLDFAST_BLESS=1 cargo test --workspace --lib published_schema");
    assert!(jsonschema::meta::is_valid(&schema()), "it is no JSON Schema");
}

/// The tree as JSON, with numbers and truths as an editor sees them, or with everything quoted.
fn json_of(node: &Node, quoted: bool) -> Value {
    match &node.value {
        Yaml::Empty => Value::Null,
        Yaml::List(nodes) => nodes.iter().map(|n| json_of(n, quoted)).collect(),
        Yaml::Map(entries) => Value::Object(entries.iter().map(|e| (e.key.clone(), json_of(&e.value, quoted))).collect::<Map<_, _>>()),
        Yaml::Text(text) => match text.parse::<i64>() {
            Ok(n) if !quoted => n.into(),
            _ if !quoted && matches!(text.as_str(), "true" | "false") => (text == "true").into(),
            _ => text.clone().into(),
        },
    }
}

/// Both forms of a text.
fn forms(text: &str) -> [Value; 2] {
    let root = yaml::read(text).unwrap_or_else(|m| panic!("{m}\n{text}"));
    [false, true].map(|quoted| json_of(&root, quoted))
}

/// The parts of the documentation that are a configuration, or a part of one.
fn examples() -> Vec<String> {
    let mut found = Vec::new();
    for file in ["README.md", "docs/operations.md"] {
        let text = std::fs::read_to_string(format!("{}/../../{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        for block in text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
            // One inside a list stands further in.
            let indent = block.len() - block.trim_start_matches(' ').len();
            let block = block.lines().map(|l| l.get(indent..).unwrap_or_default()).collect::<Vec<_>>().join("\n");
            if keys::TOP.keys.iter().any(|k| block.starts_with(&format!("{}:", k.0))) {
                let version = if block.starts_with("version:") { "" } else { "version: 1\n" };
                found.push(format!("{version}{}", block.replace("4bf5…", &"4bf5".repeat(16))));
            }
        }
    }
    assert!(found.len() >= 5, "{found:#?}");
    found
}

#[test]
fn the_examples_are_accepted_by_both() {
    let validator = validator();
    for text in examples().into_iter().chain([GOOD.to_owned(), write(&whole())]) {
        // An example of one part may refer to things that it does not show.
        let mistakes: Vec<_> = parse(&text).err().unwrap_or_default().into_iter().filter(|m| !m.message.starts_with("there is no ")).collect();
        assert!(mistakes.is_empty(), "{mistakes:#?}\n{text}");
        for json in forms(&text) {
            assert!(validator.is_valid(&json), "{:#?}\n{text}", validator.iter_errors(&json).map(|e| format!("{} {e}", e.instance_path())).collect::<Vec<_>>());
        }
    }
}

#[test]
fn classic_mistakes_are_refused_by_both() {
    let validator = validator();
    for (old, new) in [
        ("repositories:\n", "repositorys:\n"),
        ("    rpo: 24h\n", "    rop: 24h\n"),
        // wrong nesting
        ("    rpo: 24h\n", "    path: /srv\n"),
        ("        exclude: [\"*.tmp\", '.cache']\n", "        rpo: 24h\n"),
        ("    owner: somebody\n", "    owner:\n      title: somebody\n"),
        ("    sources:\n      - { name: data,", "sources:\n      - { name: data,"),
        // wrong units and types
        ("rpo: 24h", "rpo: 24"),
        ("rpo: 24h", "rpo: 24 hours"),
        ("rpo: 24h", "rpo: [24h]"),
        ("items: children", "items: child"),
        ("  - name: small\n", "  - name: Small One\n"),
        ("    title: EGI Notebooks\n", "    title: [a]\n"),
        ("[\"*.tmp\", '.cache']", "tmp"),
        ("version: 1\n", "version: 2\n"),
        // secrets in clear
        ("password: { env: CLOUD_PASSWORD }", "password: hunter2"),
        ("secret_access_key: { env: S3_KEY }", "secret_access_key: hunter2"),
        ("{ env: CLOUD_PASSWORD }", "{ value: hunter2 }"),
        ("{ env: CLOUD_PASSWORD }", "{ env: A, file: /b }"),
        ("{ env: CLOUD_PASSWORD }", "{ file: hunter2 }"),
        ("{ env: CLOUD_PASSWORD }", "{}"),
        // what must be there
        ("    owner: notebooks-ops\n", ""),
        ("    password: { env: CLOUD_PASSWORD }\n", ""),
    ] {
        assert_eq!(GOOD.matches(old).count(), 1, "{old}");
        let text = GOOD.replacen(old, new, 1);
        let told = parse(&text).err().unwrap_or_else(|| panic!("accepted: {old} -> {new}"));
        assert!(!format!("{told:?}").contains("hunter2"), "a secret is repeated: {told:?}");
        for json in forms(&text) {
            assert!(!validator.is_valid(&json), "the schema accepts {old} -> {new}");
        }
    }
}

/// Every secret of every kind of thing, in clear, is refused and never repeated.
#[test]
fn a_secret_in_clear_is_refused_wherever_it_stands() {
    let text = write(&whole());
    let mut tried = 0;
    for line in text.lines().filter(|l| l.contains("{ env: ") || l.contains("{ file: ")) {
        let (key, _) = line.split_once(": ").unwrap();
        let wrong = text.replacen(line, &format!("{key}: hunter2-correct-horse"), 1);
        let name = key.trim().trim_start_matches("- ");
        match parse(&wrong) {
            Err(told) => {
                assert!(told.iter().any(|m| m.message.starts_with(&format!("“{name}” must not stand in this file; put it into a file"))), "{name}: {told:?}");
                assert!(!format!("{told:?}").contains("hunter2"), "a secret is repeated: {told:?}");
            }
            // The id of an access key is no secret.
            Ok(_) => assert_eq!(name, "access_key_id"),
        }
        tried += 1;
    }
    assert!(tried >= 8, "{tried}\n{text}");
}

/// The places of all mappings and values, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, inner)| {
            found.push(format!("{at}/{key}"));
            places(inner, &format!("{at}/{key}"), found);
        }),
        Value::Array(list) => list.iter().enumerate().for_each(|(n, inner)| {
            found.push(format!("{at}/{n}"));
            places(inner, &format!("{at}/{n}"), found);
        }),
        _ => {}
    }
}

#[test]
fn whatever_the_parser_accepts_the_schema_accepts() {
    let validator = validator();
    let [good, _] = forms(&write(&whole()));
    let mut all = Vec::new();
    places(&good, "", &mut all);
    assert!(all.len() > 150, "{}", all.len());
    let (mut refused, mut accepted) = (0, 0);
    for place in &all {
        let (parent, key) = place.rsplit_once('/').unwrap();
        let mut variants: Vec<(String, Value)> = [json!(null), json!([]), json!({}), json!("x"), json!("7d"), json!(7), json!(true), json!({"zzz": 1})]
            .into_iter()
            .map(|value| {
                let mut changed = good.clone();
                *changed.pointer_mut(place).unwrap() = value.clone();
                (format!("{place} = {value}"), changed)
            })
            .collect();
        if good.pointer(parent).unwrap().is_object() {
            let mut without = good.clone();
            without.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key);
            variants.push((format!("{place} is left out"), without));
            let mut unknown = good.clone();
            unknown.pointer_mut(parent).unwrap()["zzz"] = json!("x");
            assert!(parse(&unknown.to_string()).is_err() && !validator.is_valid(&unknown), "an unknown key beside {place}");
        }
        for (what, changed) in variants {
            let ours = parse(&changed.to_string());
            match (&ours, validator.is_valid(&changed)) {
                (Ok(_), false) => panic!("{what}: the parser accepts it, the schema does not"),
                // What is told of its type, the schema must know as well.
                (Err(told), true) => {
                    let of_type = told
                        .iter()
                        .find(|m| m.message.contains("” must be a list") || m.message.contains("” must be text") || m.message.contains("” has no value"));
                    assert!(of_type.is_none(), "{what}: the schema accepts it, the parser says {of_type:?}");
                }
                (Ok(_), true) => accepted += 1,
                (Err(_), false) => refused += 1,
            }
        }
    }
    assert!(accepted > 100 && refused > 500, "{accepted} {refused}");
}
