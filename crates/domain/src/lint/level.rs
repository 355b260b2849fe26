//! Stated levels that contradict their rating (R39).

use super::{Facts, Finding, Rule, Section, Severity};

pub(super) static RULE: Rule = Rule {
    id: "risk-level-conflict",
    severity: Severity::Blocking,
    waivable: false,
    section: Section::Risks,
    meaning: "The level that somebody wrote is not the one that likelihood and impact give: one of both is wrong.",
    remedy: "Correct the rating, or take the stated level away.",
};

pub(super) fn check(f: &Facts) -> Vec<Finding> {
    let conflicts = f.risks().iter().filter_map(|r| Some((r, r.stated.as_deref().filter(|s| !s.trim().eq_ignore_ascii_case(&r.rating.level))?)));
    conflicts
        .map(|(r, stated)| {
            let (l, i, level) = (r.rating.likelihood, r.rating.impact, &r.rating.level);
            let text =
                format!("The text says {}; likelihood {l} × impact {i} = {} is {} on the scale.", stated.trim().to_lowercase(), l * i, level.to_lowercase());
            RULE.found(r.subject(), format!("the level of risk {} contradicts its rating", r.number), text)
        })
        .collect()
}
