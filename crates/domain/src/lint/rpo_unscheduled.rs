//! Sources whose data is promised to be young, and that nothing copies.

use super::{Facts, Finding, Rule, Section, Severity, words::joined};
use crate::units::span;

pub(super) static RULE: Rule = Rule {
    id: "rpo-without-schedule",
    severity: Severity::Blocking,
    waivable: true,
    section: Section::Targets,
    meaning: "An RPO is promised, and no schedule that is active copies this source.",
    remedy: "Make a backup schedule for the source, or resume the one that is paused.",
};

pub(super) fn check(f: &Facts) -> Vec<Finding> {
    let Some(rpo) = f.rpo_s() else { return Vec::new() };
    let bare = f.sources.iter().filter(|s| s.interval.is_none());
    bare.map(|s| {
        let rpo = span(rpo as f64);
        let text = match s.paused.len() {
            0 => format!("At most {rpo} of data may be lost, and no schedule copies it."),
            1 => format!("At most {rpo} of data may be lost, and its schedule {} is paused without an end.", s.paused[0]),
            _ => format!("At most {rpo} of data may be lost, and its schedules {} are paused without an end.", joined(&s.paused)),
        };
        RULE.found(format!("source {}", s.name), format!("nothing copies {} on schedule", s.name), text)
    })
    .collect()
}
