//! Reviews whose day has passed (R44).

use super::{Facts, Finding, Rule, Section, Severity, words::date};

pub(super) static RULE: Rule = Rule {
    id: "review-overdue",
    severity: Severity::Warning,
    waivable: true,
    section: Section::Dates,
    meaning: "A review was not done by its date: nobody has confirmed that the plan is still right.",
    remedy: "Review it and record who did, or exempt the service with a reason.",
};

pub(super) fn check(f: &Facts) -> Vec<Finding> {
    let overdue = f.reviews.iter().flatten().filter(|r| r.due < f.today);
    overdue
        .map(|r| {
            let days = (f.today - r.due).get_days();
            let text = format!("It was due on {}, {days} {} ago.", date(r.due), if days == 1 { "day" } else { "days" });
            RULE.found(&r.what, format!("the {} is overdue", r.what), text)
        })
        .collect()
}
