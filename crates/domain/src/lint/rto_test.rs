//! RTO against the newest test.

use super::{Facts, Finding, Rule, Section, Severity, words::day};
use crate::units::span;

pub(super) static RULE: Rule = Rule {
    id: "rto-missed-by-test",
    severity: Severity::Blocking,
    waivable: true,
    section: Section::Targets,
    meaning: "The newest test took longer than the plan allows for bringing the service back.",
    remedy: "Make the restore faster and test it again, or agree a longer RTO.",
};

pub(super) fn check(f: &Facts) -> Vec<Finding> {
    let (Some(target), Some(t)) = (f.rto_s(), &f.test) else { return Vec::new() };
    let Some(rto) = t.rto_s.filter(|rto| *rto > target as f64) else { return Vec::new() };
    let text = format!("The test of {} took {}; the RTO is {}.", day(t.at), span(rto), span(target as f64));
    vec![RULE.found("", "the newest test took longer than the RTO", text)]
}
