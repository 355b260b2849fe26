//! What a plan rests on and has changed since it was approved (R41).

use super::{Facts, Finding, Rule, Section, Severity, words::day};

pub(super) static RULE: Rule = Rule {
    id: "changed-since-approval",
    severity: Severity::Warning,
    waivable: true,
    section: Section::Revisions,
    meaning: "Something that the approved plan describes has changed since: it may say what is no longer true.",
    remedy: "Read the plan against the change, and have a new version approved.",
};

pub(super) fn check(f: &Facts) -> Vec<Finding> {
    let Some(approved) = f.approved_at else { return Vec::new() };
    let newer = f.changes.iter().filter(|c| c.at > approved);
    newer
        .map(|c| {
            let title = format!("the {} {} since the approval", c.named(), c.how.words());
            RULE.found(c.named(), title, format!("The plan was approved on {}; {}.", day(approved), c.sentence()))
        })
        .collect()
}
