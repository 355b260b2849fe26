//! Risks above the threshold about which nothing is decided (R39).

use super::{Facts, Finding, Rule, Section, Severity, words::joined};

pub(super) static RULE: Rule = Rule {
    id: "risk-without-treatment",
    severity: Severity::Blocking,
    waivable: false,
    section: Section::Risks,
    meaning: "A risk above the threshold needs a decision on what is done about it, by whom and until when.",
    remedy: "Choose a treatment and name an owner and a due date.",
};

pub(super) fn check(f: &Facts) -> Vec<Finding> {
    let open = f.risks().iter().filter(|r| r.above_threshold && !r.lacks.is_empty());
    open.map(|r| {
        let title = format!("risk {} is {} and nothing is decided about it", r.number, r.rating.level.to_lowercase());
        RULE.found(r.subject(), title, format!("It is above the threshold and lacks its {}.", joined(&r.lacks)))
    })
    .collect()
}
