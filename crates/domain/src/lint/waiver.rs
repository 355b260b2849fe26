//! Waivers: a finding that a person takes upon themselves for a time (R41).
//!
//! Lives here: what a waiver may say, whether it stands, and findings with their waivers. May not: who may waive.
//! Invariants: a waiver has a reason and an end within a year; what is waived is still shown; a rule that is not
//! waivable is never waived.

use jiff::civil::Date;

use super::{Finding, Rule, Severity};
use crate::field::FieldError;

/// The longest time that a waiver stands, in days.
pub const MOST_DAYS: i32 = 366;
/// The longest reason.
pub const LONGEST: usize = 500;

/// A waiver, as far as its rules go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiver {
    pub finding: String,
    pub subject: String,
    /// The last day on which it stands.
    pub until: Date,
    /// Whether somebody has ended it before.
    pub ended: bool,
}

impl Waiver {
    pub fn stands(&self, today: Date) -> bool {
        !self.ended && today <= self.until
    }
}

/// What is wrong with a waiver that somebody wants to give.
pub fn problems(rule: &Rule, reason: &str, until: Date, today: Date) -> Vec<FieldError> {
    let mut all = Vec::new();
    if !rule.waivable {
        all.push(FieldError::new("finding", format!("{} cannot be waived. {}", rule.id, rule.remedy)));
    }
    all.extend(bad_reason(reason));
    if until < today {
        all.push(FieldError::new("until", "has passed; name a day from today on"));
    } else if (until - today).get_days() > MOST_DAYS {
        all.push(FieldError::new("until", "is more than a year away; name an earlier day, and waive it again then if it still stands"));
    }
    all
}

/// What is wrong with a reason.
pub fn bad_reason(reason: &str) -> Option<FieldError> {
    let reason = reason.trim();
    if reason.is_empty() {
        return Some(FieldError::new("reason", "is empty; say why, for whoever reads this in a year"));
    }
    (reason.chars().count() > LONGEST).then(|| FieldError::new("reason", format!("is longer than {LONGEST} characters; shorten it")))
}

/// The place among `waivers` of the one that stands for a finding.
pub fn of<'a>(finding: &Finding, mut waivers: impl Iterator<Item = &'a Waiver>, today: Date) -> Option<usize> {
    waivers.position(|w| finding.rule.waivable && finding.is(&w.finding, &w.subject) && w.stands(today))
}

/// How many findings a plan has, by what they mean for its approval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub blocking: usize,
    pub warnings: usize,
    pub notes: usize,
    pub waived: usize,
}

impl Summary {
    /// Each finding with whether it is waived.
    pub fn of<'a>(findings: impl Iterator<Item = (&'a Finding, bool)>) -> Self {
        let mut sum = Self::default();
        for (finding, waived) in findings {
            let n = match (waived, finding.rule.severity) {
                (true, _) => &mut sum.waived,
                (false, Severity::Blocking) => &mut sum.blocking,
                (false, Severity::Warning) => &mut sum.warnings,
                (false, Severity::Note) => &mut sum.notes,
            };
            *n += 1;
        }
        sum
    }

    /// Such as `3 findings stop the approval, 2 are notes`.
    pub fn words(self) -> String {
        let mut parts = Vec::new();
        match self.blocking {
            0 => {}
            1 => parts.push("1 finding stops the approval".to_owned()),
            n => parts.push(format!("{n} findings stop the approval")),
        }
        for (n, one, many) in [(self.warnings, "a warning", "warnings"), (self.notes, "a note", "notes"), (self.waived, "waived", "waived")] {
            match n {
                0 => {}
                1 => parts.push(format!("1 is {one}")),
                n => parts.push(format!("{n} are {many}")),
            }
        }
        if parts.is_empty() {
            return "nothing is wrong with the plan".to_owned();
        }
        if self.blocking == 0 {
            parts.insert(0, "no finding stops the approval".to_owned());
        }
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::lint::{contact, rto_mtpod};

    #[test]
    fn what_a_waiver_may_say() {
        let today = date(2021, 2, 25);
        let said = |rule: &Rule, reason: &str, until| problems(rule, reason, until, today).into_iter().map(|e| e.field).collect::<Vec<_>>();
        let rule = &rto_mtpod::RULE;
        for (reason, until, want) in [
            ("agreed", today, vec![]),
            ("agreed", date(2022, 2, 26), vec![]),
            ("agreed", date(2022, 2, 27), vec!["until"]),
            ("agreed", date(2021, 2, 24), vec!["until"]),
            (" ", date(2021, 2, 24), vec!["reason", "until"]),
        ] {
            assert_eq!(said(rule, reason, until), want, "{reason} {until}");
        }
        assert_eq!(said(rule, &"x".repeat(500), today), Vec::<String>::new());
        assert_eq!(said(rule, &"x".repeat(501), today), ["reason"]);
        assert_eq!(said(&contact::RULE, "agreed", today), ["finding"]);
    }

    #[test]
    fn a_waiver_is_for_one_finding_and_ends() {
        let today = date(2021, 2, 25);
        let finding = rto_mtpod::RULE.found("", "t", "x");
        let waiver = Waiver { finding: "rto-exceeds-mtpod".into(), subject: String::new(), until: today, ended: false };
        let stands = |w: &Waiver, today| of(&finding, std::iter::once(w), today).is_some();
        assert!(stands(&waiver, today), "also on its last day");
        assert!(!stands(&waiver, date(2021, 2, 26)));
        assert!(!stands(&Waiver { ended: true, ..waiver.clone() }, today));
        assert!(!stands(&Waiver { subject: "risk 5".into(), ..waiver.clone() }, today));
        assert!(!stands(&Waiver { finding: "never-tested".into(), ..waiver.clone() }, today));
        let fixed = contact::RULE.found("", "t", "x");
        let smuggled = Waiver { finding: "contact-missing".into(), ..waiver };
        assert_eq!(of(&fixed, std::iter::once(&smuggled), today), None, "what is not waivable is never waived");
    }

    #[test]
    fn a_summary_in_words() {
        for (blocking, warnings, notes, waived, want) in [
            (3, 0, 2, 0, "3 findings stop the approval, 2 are notes"),
            (1, 1, 1, 1, "1 finding stops the approval, 1 is a warning, 1 is a note, 1 is waived"),
            (0, 0, 0, 2, "no finding stops the approval, 2 are waived"),
            (0, 0, 0, 0, "nothing is wrong with the plan"),
        ] {
            assert_eq!(Summary { blocking, warnings, notes, waived }.words(), want);
        }
    }
}
