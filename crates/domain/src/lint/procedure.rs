//! Whether there is a procedure to follow.

use super::{Facts, Finding, Rule, Section, Severity};

pub(super) static RULE: Rule = Rule {
    id: "procedure-missing",
    severity: Severity::Blocking,
    waivable: false,
    section: Section::Procedures,
    meaning: "No procedure for the countermeasures is written or linked. A plan that nobody can follow cannot be approved.",
    remedy: "Write the procedure into the plan, or link the page that has it.",
};

pub(super) fn check(f: &Facts) -> Vec<Finding> {
    match &f.plan {
        Some(plan) if plan.procedures == 0 => vec![RULE.found("", "no procedure is linked", "“Procedures for the countermeasures to invoke” is empty.")],
        _ => Vec::new(),
    }
}
