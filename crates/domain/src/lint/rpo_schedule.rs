//! RPO against the longest time between two backups by the schedule (R41).

use super::{
    Facts, Finding, Rule, Section, Severity,
    facts::RESERVE_S,
    words::{day, joined},
};
use crate::units::span;

pub(super) static RULE: Rule = Rule {
    id: "rpo-below-schedule",
    severity: Severity::Blocking,
    waivable: true,
    section: Section::Targets,
    meaning: "The schedule leaves a longer time between two backups than data may be lost of.",
    remedy: "Let the schedule run more often, also on the days that it leaves out, or agree a longer RPO.",
};

pub(super) fn check(f: &Facts) -> Vec<Finding> {
    let Some(rpo) = f.rpo_s() else { return Vec::new() };
    let all = f.sources.iter().filter_map(|s| Some((s, s.interval.as_ref().filter(|i| i.s > rpo + RESERVE_S)?)));
    all.map(|(s, i)| {
        let text =
            format!("{} leaves up to {} between two backups, as from {}; the RPO is {}.", joined(&i.by), span(i.s as f64), day(i.from), span(rpo as f64));
        RULE.found(format!("source {}", s.name), format!("the schedule of {} cannot keep the RPO", s.name), text)
    })
    .collect()
}
