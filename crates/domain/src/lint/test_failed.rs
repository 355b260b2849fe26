//! Whether the newest test failed, for another reason than its times.

use super::{
    Facts, Finding, Rule, Section, Severity,
    words::{day, joined},
};
use crate::evidence::Verdict;

pub(super) static RULE: Rule = Rule {
    id: "test-failed",
    severity: Severity::Blocking,
    waivable: true,
    section: Section::Test,
    meaning: "The newest test failed: as things are, the service could not be brought back.",
    remedy: "Open the test, put right what failed, and test again.",
};

pub(super) fn check(f: &Facts) -> Vec<Finding> {
    let Some(t) = f.test.as_ref().filter(|t| t.verdict == Verdict::Failed) else { return Vec::new() };
    // Times have findings of their own, by what is promised now.
    let others: Vec<&str> = t.failed.iter().map(String::as_str).filter(|c| !matches!(*c, "rto" | "rpo")).collect();
    if others.is_empty() && !t.failed.is_empty() {
        return Vec::new();
    }
    let text = match others.len() {
        0 => format!("It ran on {} and restored nothing.", day(t.at)),
        1 => format!("It ran on {}; the check {} failed.", day(t.at), others[0]),
        _ => format!("It ran on {}; the checks {} failed.", day(t.at), joined(&others)),
    };
    vec![RULE.found("", "the newest test failed", text)]
}
