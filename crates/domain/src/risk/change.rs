//! What one change of a risk changed, field by field, as its history shows it.
//!
//! Lives here: comparing two contents. May not: who changed it, and when (rows of revisions say that).

use serde::{Deserialize, Serialize};

use super::{Link, Measure, Risk};
use crate::units::span;

/// One field that changed. Nothing is an empty text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub field: String,
    pub before: String,
    pub after: String,
}

/// The fields that differ. What there was not before differs in all that it says.
pub fn between(before: Option<&Risk>, after: &Risk) -> Vec<Change> {
    let old = before.map(told);
    let pairs = told(after).into_iter().enumerate().map(|(at, (field, after))| {
        let before = old.as_ref().and_then(|o| o.get(at)).map(|(_, text)| text.clone()).unwrap_or_default();
        Change { field: field.to_owned(), before, after }
    });
    pairs.filter(|c| c.before != c.after).collect()
}

/// All that is said of a risk, as texts.
fn told(risk: &Risk) -> Vec<(&'static str, String)> {
    vec![
        ("description", risk.description.clone()),
        ("components", risk.components.clone()),
        ("measures", risk.measures.iter().map(measure).collect::<Vec<_>>().join("\n")),
        ("scale", risk.scale.to_string()),
        ("likelihood", risk.likelihood.to_string()),
        ("impact", risk.impact.to_string()),
        ("stated_level", risk.stated_level.clone().unwrap_or_default()),
        ("downtime", risk.downtime.clone()),
        ("downtime_span", risk.downtime_s.map(|s| span(s as f64)).unwrap_or_default()),
        ("comment", risk.comment.clone()),
        ("treatment", risk.treatment.map(|t| t.to_string()).unwrap_or_default()),
        ("owner", risk.owner.clone()),
        ("due", risk.due.map(|d| d.to_string()).unwrap_or_default()),
        ("review", risk.review.words().to_owned()),
    ]
}

fn measure(measure: &Measure) -> String {
    match &measure.proof {
        None => measure.text.clone(),
        Some(Link::Schedule { name }) => format!("{} (proof: schedule {name})", measure.text),
        Some(Link::RestoreTests) => format!("{} (proof: restore tests)", measure.text),
        Some(Link::Address { url }) => format!("{} (proof: {url})", measure.text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_told() {
        let before = Risk { description: "fire".into(), ..Risk::default() };
        let after =
            Risk { likelihood: 3, measures: vec![Measure { text: "backup".into(), proof: Some(Link::Schedule { name: "nightly".into() }) }], ..before.clone() };
        let told = between(Some(&before), &after);
        let told: Vec<_> = told.iter().map(|c| (c.field.as_str(), c.before.as_str(), c.after.as_str())).collect();
        assert_eq!(told, [("measures", "", "backup (proof: schedule nightly)"), ("likelihood", "1", "3")]);
        assert_eq!(between(Some(&after), &after), []);
        assert!(between(None, &before).iter().any(|c| c.field == "description" && c.before.is_empty()));
    }
}
