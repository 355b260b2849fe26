//! What an event changed: the values that are other than before.
//!
//! Lives here: the comparison of two JSON values, one level deep, and its markup. May not: loading.

use std::collections::BTreeSet;

use leptos::prelude::*;
use ops::audit::EventRow;
use serde_json::Value;

/// Values that are shown before the rest is folded away.
const SHOWN: usize = 3;
/// Characters of a value that are shown.
const LONGEST: usize = 120;

/// One value that is other than before; `None` where it was not there.
#[derive(Debug, PartialEq, Eq)]
struct Changed {
    name: String,
    before: Option<String>,
    after: Option<String>,
}

/// The values that changed, the first of them in sight.
pub(super) fn change(e: &EventRow) -> AnyView {
    let all = changed(e.before.as_ref().map(|v| &v.0), e.after.as_ref().map(|v| &v.0));
    let line = |c: &Changed| {
        let before = c.before.clone().map(|v| view! { <del>{v}</del>" " });
        let after = c.after.clone().map(|v| view! { <ins>{v}</ins> });
        view! { <li><span class="muted">{c.name.clone()}</span>" "{before}{after}</li> }
    };
    let (first, rest) = all.split_at(all.len().min(SHOWN));
    let more = (!rest.is_empty()).then(|| {
        view! { <details class="more"><summary>{format!("{} more", rest.len())}</summary><ul class="changes">{rest.iter().map(line).collect_view()}</ul></details> }
    });
    view! { <ul class="changes">{first.iter().map(line).collect_view()}</ul>{more} }.into_any()
}

fn changed(before: Option<&Value>, after: Option<&Value>) -> Vec<Changed> {
    match (before, after) {
        (None | Some(Value::Object(_)), None | Some(Value::Object(_))) => {
            let fields = |v: Option<&Value>| v.and_then(Value::as_object).cloned().unwrap_or_default();
            let (old, new) = (fields(before), fields(after));
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            let differ = names.into_iter().filter(|n| old.get(*n) != new.get(*n));
            differ
                .map(|n| Changed { name: n.clone(), before: old.get(n).and_then(short), after: new.get(n).and_then(short) })
                .filter(|c| c.before != c.after)
                .collect()
        }
        (a, b) if a != b => vec![Changed { name: "value".to_owned(), before: a.and_then(short), after: b.and_then(short) }],
        _ => Vec::new(),
    }
}

/// A value as people read it; nothing for one that says nothing.
fn short(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(s) => s.clone(),
        other => other.to_string(),
    };
    if text.chars().count() <= LONGEST {
        return Some(text);
    }
    Some(text.chars().take(LONGEST).chain(['…']).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_named() {
        let (a, b) = (json!({"rpo_s": 60, "name": "x", "gone": 1, "nothing": null}), json!({"rpo_s": 90, "name": "x", "new": [1]}));
        let all = changed(Some(&a), Some(&b));
        let said: Vec<_> = all.iter().map(|c| (c.name.as_str(), c.before.as_deref(), c.after.as_deref())).collect();
        assert_eq!(said, [("gone", Some("1"), None), ("new", None, Some("[1]")), ("rpo_s", Some("60"), Some("90"))]);
        assert_eq!(changed(None, Some(&json!({"a": "b"}))).len(), 1);
        assert!(changed(None, None).is_empty());
        let long = "ü".repeat(500);
        assert_eq!(short(&json!(long)).unwrap().chars().count(), LONGEST + 1);
    }
}
