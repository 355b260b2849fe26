//! Whether somebody can be reached.

use super::{Facts, Finding, Rule, Section, Severity};

pub(super) static RULE: Rule = Rule {
    id: "contact-missing",
    severity: Severity::Blocking,
    waivable: false,
    section: Section::Contact,
    meaning: "The plan does not say whom to reach when it is invoked.",
    remedy: "Name the support unit and a contact that answers when the service is away.",
};

pub(super) fn check(f: &Facts) -> Vec<Finding> {
    let Some(plan) = &f.plan else { return Vec::new() };
    let text = match (plan.support_unit.trim().is_empty(), plan.contact.trim().is_empty()) {
        (true, true) => "Support unit and contact are empty.",
        (true, false) => "The support unit is empty.",
        (false, true) => "The contact is empty.",
        (false, false) => return Vec::new(),
    };
    vec![RULE.found("", "nobody is named to be reached", text)]
}
