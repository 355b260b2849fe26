//! The linter of continuity plans: what in a plan is no longer true, or was never provable (R41).
//!
//! Lives here: the rules with their stable ids, one file each, and the order in which they are asked. May not: the
//! clock, the database, words about pages. Where facts are missing altogether (`None`), a rule says nothing.
//! Invariants: ids never change their meaning; a finding that is waived stays a finding ([`waiver`]). All ids stand in
//! `docs/findings.md`, which a test holds against [`rules`].

mod availability;
mod changed;
mod contact;
pub mod facts;
mod level;
mod measure_outage;
mod measure_proof;
mod measure_schedule;
mod never_tested;
mod procedure;
mod promise;
mod review;
mod rpo_measured;
mod rpo_reserve;
mod rpo_schedule;
mod rpo_test;
mod rpo_unscheduled;
mod rto_mtpod;
mod rto_test;
mod test_age;
mod test_deployment;
mod test_failed;
mod test_unknown;
#[cfg(test)]
mod tests;
mod treatment;
pub mod waiver;
mod words;

use serde::{Deserialize, Serialize};

pub use self::facts::Facts;
use crate::run::text_enum;

text_enum! {
    /// What a finding means for a plan.
    Severity {
        /// The plan cannot be approved while it stands and nobody has waived it.
        Blocking => "blocking",
        Warning => "warning",
        Note => "note",
    }
}

text_enum! {
    /// The part of a plan that a finding stands beside, in the plan's order.
    Section {
        Dates => "dates", Performance => "performance", Risks => "risks", Targets => "targets", Procedures => "procedures",
        Contact => "contact", Test => "test", Revisions => "revisions",
    }
}

/// A rule of the linter.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Stable: waivers and programs name it.
    pub id: &'static str,
    pub severity: Severity,
    /// Whether a person may waive it with a reason; the others are put right in the plan itself.
    pub waivable: bool,
    pub section: Section,
    /// What it means that the rule is broken, as a sentence.
    pub meaning: &'static str,
    /// What to do about it, as a sentence.
    pub remedy: &'static str,
}

impl Rule {
    fn found(&'static self, subject: impl Into<String>, title: impl Into<String>, text: impl Into<String>) -> Finding {
        Finding { rule: self, subject: subject.into(), title: title.into(), text: text.into() }
    }
}

/// A rule that is broken, with what shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub rule: &'static Rule,
    /// What it is about, such as `risk 5` or `source homes`; empty where it is about the whole plan.
    pub subject: String,
    /// One line, without a full stop.
    pub title: String,
    /// The figures, as one or two sentences.
    pub text: String,
}

impl Finding {
    /// Whether a waiver of this id and subject is for it.
    pub fn is(&self, id: &str, subject: &str) -> bool {
        self.rule.id == id && self.subject == subject
    }
}

type Check = fn(&Facts) -> Vec<Finding>;

/// All rules with their checks, in the order of a plan's sections.
static CHECKS: [(&Rule, Check); 23] = [
    (&review::RULE, review::check),
    (&availability::RULE, availability::check),
    (&level::RULE, level::check),
    (&treatment::RULE, treatment::check),
    (&measure_schedule::RULE, measure_schedule::check),
    (&measure_proof::RULE, measure_proof::check),
    (&measure_outage::RULE, measure_outage::check),
    (&rto_mtpod::RULE, rto_mtpod::check),
    (&promise::RULE, promise::check),
    (&rto_test::RULE, rto_test::check),
    (&rpo_unscheduled::RULE, rpo_unscheduled::check),
    (&rpo_schedule::RULE, rpo_schedule::check),
    (&rpo_reserve::RULE, rpo_reserve::check),
    (&rpo_measured::RULE, rpo_measured::check),
    (&rpo_test::RULE, rpo_test::check),
    (&procedure::RULE, procedure::check),
    (&contact::RULE, contact::check),
    (&never_tested::RULE, never_tested::check),
    (&test_failed::RULE, test_failed::check),
    (&test_unknown::RULE, test_unknown::check),
    (&test_deployment::RULE, test_deployment::check),
    (&test_age::RULE, test_age::check),
    (&changed::RULE, changed::check),
];

/// All rules, in the order in which they are asked.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    CHECKS.iter().map(|(rule, _)| *rule)
}

/// The rule of that id.
pub fn rule(id: &str) -> Option<&'static Rule> {
    rules().find(|r| r.id == id)
}

/// Everything that is wrong with a service's plan, in the order of its sections.
pub fn lint(facts: &Facts) -> Vec<Finding> {
    CHECKS.iter().flat_map(|(_, check)| check(facts)).collect()
}
