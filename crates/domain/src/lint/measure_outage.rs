//! Outages against which only copies of data stand.

use super::{
    Facts, Finding, Rule, Section, Severity,
    words::{is_outage, only_against_loss, parts},
};

pub(super) static RULE: Rule = Rule {
    id: "measure-does-not-shorten-outage",
    severity: Severity::Note,
    waivable: true,
    section: Section::Risks,
    meaning: "A backup helps against the loss of data. It does not end an outage of the network or a denial of service.",
    remedy: "Name a measure that shortens the outage, such as a second connection or a filter, or accept the risk.",
};

pub(super) fn check(f: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    for r in f.risks().iter().filter(|r| is_outage(&r.title)) {
        let all: Vec<String> = r.measures.iter().flat_map(|m| parts(&m.text)).collect();
        if !all.is_empty() && all.iter().all(|p| only_against_loss(p)) {
            let text = format!("Against “{}” stands: {}. That helps against loss, not against an outage.", r.title, all.join("; "));
            found.push(RULE.found(r.subject(), format!("the measure against risk {} does not shorten the outage", r.number), text));
        }
    }
    found
}
