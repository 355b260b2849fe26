//! RPO against the longest time without a complete copy that was measured (R41).

use super::{Facts, Finding, Rule, Section, Severity, words::day};
use crate::units::span;

pub(super) static RULE: Rule = Rule {
    id: "rpo-missed-in-practice",
    severity: Severity::Warning,
    waivable: true,
    section: Section::Targets,
    meaning: "In the last 30 days there was a longer time without a complete copy than data may be lost of.",
    remedy: "Look at the runs that failed or were missed, and take away their cause.",
};

pub(super) fn check(f: &Facts) -> Vec<Finding> {
    let Some(rpo) = f.rpo_s() else { return Vec::new() };
    let late = f.sources.iter().filter_map(|s| Some((s, s.measured.filter(|m| m.s > rpo)?)));
    late.map(|(s, m)| {
        let until = m.until.map_or_else(|| "and goes on".to_owned(), |t| format!("until {}", day(t)));
        let text = format!("For {} there was no complete copy, from {} {until}; the RPO is {}.", span(m.s as f64), day(m.from), span(rpo as f64));
        RULE.found(format!("source {}", s.name), format!("{} was without a complete copy for longer than the RPO", s.name), text)
    })
    .collect()
}
