//! Whether plan and service promise the same.

use super::{Facts, Finding, Rule, Section, Severity, facts::Targets};
use crate::units::span;

pub(super) static RULE: Rule = Rule {
    id: "plan-differs-from-promise",
    severity: Severity::Blocking,
    waivable: false,
    section: Section::Targets,
    meaning: "The plan states another figure than the service promises. Schedules, tests and alerts follow the service.",
    remedy: "Make both the same: change the plan, or the service in its configuration.",
};

pub(super) fn check(f: &Facts) -> Vec<Finding> {
    let Some(plan) = &f.plan else { return Vec::new() };
    let of = |t: &Targets| [("MTPoD", t.mtpod_s), ("RTO", t.rto_s), ("RPO", t.rpo_s)];
    let words = |s: Option<i64>| s.map_or_else(|| "none".to_owned(), |s| span(s as f64));
    let both = of(&plan.targets).into_iter().zip(of(&f.promised));
    both.filter(|((_, plan), (_, service))| plan != service)
        .map(|((name, plan), (_, service))| {
            RULE.found(
                name,
                format!("the {name} of the plan is not the one of the service"),
                format!("The plan states {}, the service promises {}.", words(plan), words(service)),
            )
        })
        .collect()
}
