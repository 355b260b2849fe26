//! An RPO just as long as the schedule's interval: a backup takes time, and clocks change.

use super::{Facts, Finding, Rule, Section, Severity, facts::RESERVE_S, words::joined};
use crate::units::span;

pub(super) static RULE: Rule = Rule {
    id: "rpo-without-reserve",
    severity: Severity::Note,
    waivable: true,
    section: Section::Targets,
    meaning: "The longest time between two backups is as long as the RPO. While the next backup runs, and in the night when the clock is set back, the copy is older than promised.",
    remedy: "Let the schedule run a little more often than the RPO asks for.",
};

pub(super) fn check(f: &Facts) -> Vec<Finding> {
    let Some(rpo) = f.rpo_s() else { return Vec::new() };
    let all = f.sources.iter().filter_map(|s| Some((s, s.interval.as_ref().filter(|i| (rpo..=rpo + RESERVE_S).contains(&i.s))?)));
    all.map(|(s, i)| {
        let text = format!("{} leaves up to {} between two backups; the RPO is {}.", joined(&i.by), span(i.s as f64), span(rpo as f64));
        RULE.found(format!("source {}", s.name), format!("the schedule of {} leaves no reserve", s.name), text)
    })
    .collect()
}
