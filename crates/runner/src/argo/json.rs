//! An answer of ARGO as JSON.
//!
//! Lives here: from text to the tree. May not: what the tree means.
//!
//! `results` (in older versions `root`) holds groups. A group has a name and a type; inside it are lists under names that
//! depend on the version and the level: `endpoints`, `serviceflavors`, `groups`, and `results` with the figures.

use domain::availability::source::{Failed, Trouble};
use serde_json::{Map, Value};

use super::answer::{Node, Texts};

/// Groups within groups; beyond that it is something else.
const DEEPEST: usize = 12;

pub fn read(body: &[u8]) -> Result<Vec<Node>, Failed> {
    let wrong = |why: &str| Failed::new(Trouble::WrongType, format!("the answer is no JSON of ARGO: {why}"));
    let value: Value = serde_json::from_slice(body).map_err(|e| {
        if e.is_eof() {
            Failed::new(Trouble::Cut, format!("the answer ends in its midst, after {} bytes", body.len()))
        } else {
            wrong(&format!("line {}, column {} is not understood", e.line(), e.column()))
        }
    })?;
    let root = value.get("results").or_else(|| value.get("root")).ok_or_else(|| wrong("it has no “results”"))?;
    match root {
        Value::Array(groups) => groups.iter().map(|g| group(g, 0)).collect::<Option<_>>().ok_or_else(|| wrong("its “results” hold something else than groups")),
        Value::Null => Ok(Vec::new()),
        _ => Err(wrong("its “results” are no list")),
    }
}

fn group(value: &Value, depth: usize) -> Option<Node> {
    let map = value.as_object().filter(|_| depth < DEEPEST)?;
    let text = |name: &str| map.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut node = Node { kind: text("type"), name: text("name"), ..Node::default() };
    for entry in map.values().filter_map(Value::as_array).flatten() {
        match entry.as_object() {
            Some(result) if is_result(result) => node.results.push(texts(result)),
            Some(inner) if inner.contains_key("name") => node.inside.push(group(entry, depth + 1)?),
            _ => {}
        }
    }
    Some(node)
}

fn is_result(map: &Map<String, Value>) -> bool {
    map.contains_key("availability") && (map.contains_key("timestamp") || map.contains_key("date"))
}

fn texts(map: &Map<String, Value>) -> Texts {
    let mut texts = Texts::default();
    for (name, value) in map {
        if let Some(field) = texts.field(name) {
            *field = match value {
                Value::String(s) => s.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            };
        }
    }
    texts
}
