//! Whether what was tested is what runs today.

use super::{Facts, Finding, Rule, Section, Severity, words::day};

pub(super) static RULE: Rule = Rule {
    id: "test-older-than-deployment",
    severity: Severity::Blocking,
    waivable: true,
    section: Section::Test,
    meaning: "What the service consists of was changed after the newest test. Its result no longer speaks for what runs today.",
    remedy: "Test the restore of the service as it is now.",
};

pub(super) fn check(f: &Facts) -> Vec<Finding> {
    let (Some(t), Some(c)) = (&f.test, &f.deployed) else { return Vec::new() };
    if t.at >= c.at {
        return Vec::new();
    }
    let text = format!("Tested on {}; {}.", day(t.at), c.sentence());
    vec![RULE.found("", "the test is older than the deployment", text)]
}
