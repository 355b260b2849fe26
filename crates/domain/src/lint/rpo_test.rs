//! RPO against the newest test.

use super::{Facts, Finding, Rule, Section, Severity, words::day};
use crate::units::span;

pub(super) static RULE: Rule = Rule {
    id: "rpo-missed-by-test",
    severity: Severity::Warning,
    waivable: true,
    section: Section::Targets,
    meaning: "The newest test had to restore data that was older than the plan allows.",
    remedy: "Look at why the newest copy was old then, and test again.",
};

pub(super) fn check(f: &Facts) -> Vec<Finding> {
    let (Some(target), Some(t)) = (f.rpo_s(), &f.test) else { return Vec::new() };
    let Some(rpo) = t.rpo_s.filter(|rpo| *rpo > target) else { return Vec::new() };
    let text = format!("The test of {} found data of {} before; the RPO is {}.", day(t.at), span(rpo as f64), span(target as f64));
    vec![RULE.found("", "the newest test restored data older than the RPO", text)]
}
