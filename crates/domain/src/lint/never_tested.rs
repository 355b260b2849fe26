//! Whether recovery was ever tried.

use super::{Facts, Finding, Rule, Section, Severity};

pub(super) static RULE: Rule = Rule {
    id: "never-tested",
    severity: Severity::Blocking,
    waivable: true,
    section: Section::Test,
    meaning: "No restore of this service was ever tested. Copies that exist prove nothing of a return.",
    remedy: "Run a restore test, do an exercise, or import a test that was done before.",
};

pub(super) fn check(f: &Facts) -> Vec<Finding> {
    if f.test.is_some() { Vec::new() } else { vec![RULE.found("", "recovery was never tested", "No test and no exercise of this service is recorded.")] }
}
