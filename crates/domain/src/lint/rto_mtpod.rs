//! Whether the service is back before its absence cannot be borne any more.

use super::{Facts, Finding, Rule, Section, Severity};
use crate::units::span;

pub(super) static RULE: Rule = Rule {
    id: "rto-exceeds-mtpod",
    severity: Severity::Blocking,
    waivable: true,
    section: Section::Targets,
    meaning: "The service would be back only when its disruption cannot be borne any more.",
    remedy: "Shorten the RTO, or agree a longer MTPoD with those who need the service.",
};

pub(super) fn check(f: &Facts) -> Vec<Finding> {
    let Some((rto, mtpod)) = f.rto_s().zip(f.mtpod_s()).filter(|(rto, mtpod)| rto >= mtpod) else { return Vec::new() };
    let (rto_text, mtpod_text) = (span(rto as f64), span(mtpod as f64));
    let text = if rto == mtpod {
        format!("Both are {rto_text}: no time is left to decide.")
    } else {
        format!("The RTO is {rto_text}, the MTPoD {mtpod_text}: {} too late.", span((rto - mtpod) as f64))
    };
    vec![RULE.found("", "RTO is not shorter than MTPoD", text)]
}
