//! Months below the agreed figures that nobody has explained (R43).

use super::{Facts, Finding, Rule, Section, Severity};
use crate::availability::percent;

pub(super) static RULE: Rule = Rule {
    id: "availability-unexplained",
    severity: Severity::Warning,
    waivable: true,
    section: Section::Performance,
    meaning: "A month stayed below the agreed availability or reliability, and the plan does not say why.",
    remedy: "Write an explanation beside the month: what happened, and what keeps it from happening again.",
};

pub(super) fn check(f: &Facts) -> Vec<Finding> {
    let Some(plan) = &f.plan else { return Vec::new() };
    let mut found = Vec::new();
    for m in f.months.iter().flatten().filter(|m| !m.explained) {
        let below = m.figures.below(&plan.agreed);
        let words = |name: &str, is_below: bool, measured: Option<f64>, agreed: Option<f64>| {
            let (measured, agreed) = measured.zip(agreed).filter(|_| is_below)?;
            Some(format!("{name} {} % against {} %", percent(measured), percent(agreed)))
        };
        let parts: Vec<String> = [
            words("availability", below.availability, m.figures.availability, plan.agreed.availability),
            words("reliability", below.reliability, m.figures.reliability, plan.agreed.reliability),
        ]
        .into_iter()
        .flatten()
        .collect();
        if !parts.is_empty() {
            let title = format!("{} is below the target and not explained", m.month.short());
            found.push(RULE.found(format!("month {}", m.month), title, format!("It came to {}.", parts.join(", "))));
        }
    }
    found
}
