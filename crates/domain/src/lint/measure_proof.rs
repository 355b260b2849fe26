//! Measures whose proof is red (R40).

use super::{Facts, Finding, Rule, Section, Severity};

pub(super) static RULE: Rule = Rule {
    id: "measure-proof-red",
    severity: Severity::Blocking,
    waivable: true,
    section: Section::Risks,
    meaning: "What is linked to a measure as its proof shows that the measure does not hold now.",
    remedy: "Look at the schedule, test or probe that is linked and bring it back to green.",
};

pub(super) fn check(f: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    for r in f.risks() {
        let red: Vec<&str> = r.measures.iter().filter_map(|m| m.red.as_deref()).collect();
        if !red.is_empty() {
            let text = red.iter().map(|why| format!("{}.", why.trim_end_matches('.'))).collect::<Vec<_>>().join(" ");
            found.push(RULE.found(r.subject(), format!("a measure against risk {} is not proven", r.number), text));
        }
    }
    found
}
