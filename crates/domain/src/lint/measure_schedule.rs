//! Measures that promise a backup that no schedule makes (R40).

use super::{
    Facts, Finding, Rule, Section, Severity,
    words::{parts, speaks_of_backup},
};

pub(super) static RULE: Rule = Rule {
    id: "backup-measure-without-schedule",
    severity: Severity::Blocking,
    waivable: true,
    section: Section::Risks,
    meaning: "A measure speaks of backups, and no schedule of the service makes any.",
    remedy: "Make a backup schedule for the service, or correct the measure.",
};

pub(super) fn check(f: &Facts) -> Vec<Finding> {
    if f.is_scheduled() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for r in f.risks() {
        let part = r.measures.iter().flat_map(|m| parts(&m.text)).find(|p| speaks_of_backup(p));
        if let Some(part) = part {
            let text = format!("The measure says “{part}”; no backup schedule of the service is active.");
            found.push(RULE.found(r.subject(), format!("risk {} relies on a backup that nothing makes", r.number), text));
        }
    }
    found
}
