//! Whether the newest test could check everything.

use super::{
    Facts, Finding, Rule, Section, Severity,
    words::{day, joined},
};
use crate::evidence::Verdict;

pub(super) static RULE: Rule = Rule {
    id: "test-could-not-check",
    severity: Severity::Warning,
    waivable: true,
    section: Section::Test,
    meaning: "The newest test could not check everything. What was not checked is not proven.",
    remedy: "Open the test, make the check possible, and test again.",
};

pub(super) fn check(f: &Facts) -> Vec<Finding> {
    let Some(t) = f.test.as_ref().filter(|t| t.verdict == Verdict::Unknown) else { return Vec::new() };
    let text = if t.unknown.is_empty() {
        format!("It ran on {} without a check.", day(t.at))
    } else {
        format!("It ran on {}; not checked: {}.", day(t.at), joined(&t.unknown))
    };
    vec![RULE.found("", "the newest test could not check everything", text)]
}
