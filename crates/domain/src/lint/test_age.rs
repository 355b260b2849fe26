//! Whether the newest test is young enough.

use super::{Facts, Finding, Rule, Section, Severity, words::day};
use crate::units::span;

pub(super) static RULE: Rule = Rule {
    id: "test-too-old",
    severity: Severity::Warning,
    waivable: true,
    section: Section::Test,
    meaning: "The newest test is older than tests may be. Nothing proves that a restore still works.",
    remedy: "Run a restore test; a schedule does so by itself.",
};

pub(super) fn check(f: &Facts) -> Vec<Finding> {
    let Some(t) = &f.test else { return Vec::new() };
    let (age, limit) = (f.now.secs_since(t.at), f.test_within_s());
    if age <= limit as f64 {
        return Vec::new();
    }
    let text = format!("It ran on {}, {} ago; a test is to be no older than {}.", day(t.at), span(age), span(limit as f64));
    vec![RULE.found("", "the newest test is too old", text)]
}
