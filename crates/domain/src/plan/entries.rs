//! A plan as the entries of a form, and back.
//!
//! Lives here: names of entries (as errors name them), one entry a field and one a cell of a list. May not: HTML.
//! Invariant: entries of a list always come together: the list is what they say.

use std::collections::BTreeMap;

use super::{
    content::{PlanContent, Procedure, Revision},
    json::{read_span, write_span},
};
use crate::field::FieldError;

/// The lists whose entries come together.
const LISTS: [&str; 2] = ["procedures", "past_revisions"];

/// The list that an entry belongs to.
pub fn list_of(name: &str) -> Option<&'static str> {
    LISTS.into_iter().find(|l| name.strip_prefix(l).is_some_and(|rest| rest.starts_with('[')))
}

impl PlanContent {
    /// All entries, each under its name.
    pub fn entries(&self) -> Vec<(String, String)> {
        let percent = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
        let span = |value: Option<i64>| value.map_or_else(String::new, write_span);
        let mut all: Vec<(String, String)> = [
            ("introduction", self.introduction.clone()),
            ("performance.availability", percent(self.performance.availability)),
            ("performance.reliability", percent(self.performance.reliability)),
            ("performance.requirements", self.performance.requirements.clone()),
            ("performance.probes", self.performance.probes.clone()),
            ("outcome", self.outcome.clone()),
            ("invocation_targets", self.invocation_targets.clone()),
            ("mtpod", span(self.mtpod_s)),
            ("rto", span(self.rto_s)),
            ("rpo", span(self.rpo_s)),
            ("return_to_normal", self.return_to_normal.clone()),
            ("support_unit", self.support_unit.clone()),
            ("contact", self.contact.clone()),
            ("escalation", self.escalation.clone()),
            ("test.details", self.test.details.clone()),
            ("test.steps", self.test.steps.join("\n")),
            ("test.outcome", self.test.outcome.clone()),
            ("test.log", self.test.log.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        for (n, p) in self.procedures.iter().enumerate() {
            for (cell, value) in [("title", &p.title), ("link", &p.link), ("text", &p.text)] {
                all.push((format!("procedures[{n}].{cell}"), value.clone()));
            }
        }
        for (n, r) in self.past_revisions.iter().enumerate() {
            for (cell, value) in [("version", &r.version), ("date", &r.date), ("by", &r.by), ("comment", &r.comment)] {
                all.push((format!("past_revisions[{n}].{cell}"), value.clone()));
            }
        }
        all
    }

    /// The content with these entries in it. A list of which entries are there is made of them alone.
    ///
    /// # Errors
    /// Every entry that is unknown or cannot be read, with its remedy.
    pub fn with_entries<'a>(mut self, entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Vec<FieldError>> {
        let mut wrong = Vec::new();
        let mut lists: BTreeMap<&str, BTreeMap<(usize, String), String>> = BTreeMap::new();
        for (name, value) in entries {
            if let Some(list) = list_of(name) {
                match cell(name) {
                    Some(at) => drop(lists.entry(list).or_default().insert(at, value.to_owned())),
                    None => wrong.push(FieldError::new(name, "is no field of a plan; load the page again")),
                }
            } else if let Err(e) = self.set(name, value) {
                wrong.push(e);
            }
        }
        for (list, cells) in lists {
            let rows = cells.keys().map(|(n, _)| n + 1).max().unwrap_or(0);
            let of = |n: usize, key: &str| cells.get(&(n, key.to_owned())).cloned().unwrap_or_default();
            if list == "procedures" {
                self.procedures = (0..rows).map(|n| Procedure { title: of(n, "title"), link: of(n, "link"), text: of(n, "text") }).collect();
            } else {
                let row = |n| Revision { version: of(n, "version"), date: of(n, "date"), by: of(n, "by"), comment: of(n, "comment") };
                self.past_revisions = (0..rows).map(row).collect();
            }
        }
        if wrong.is_empty() { Ok(self.tidy()) } else { Err(wrong) }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), FieldError> {
        let percent = || match value.trim().trim_end_matches('%').trim() {
            "" => Ok(None),
            text => text.replace(',', ".").parse().map(Some).map_err(|_| FieldError::new(name, "is no number; write a percentage such as 90")),
        };
        let span = || match value.trim() {
            "" => Ok(None),
            text => read_span(text).map(Some).map_err(|e| FieldError::new(name, e.to_string())),
        };
        let text = || value.to_owned();
        match name {
            "introduction" => self.introduction = text(),
            "performance.availability" => self.performance.availability = percent()?,
            "performance.reliability" => self.performance.reliability = percent()?,
            "performance.requirements" => self.performance.requirements = text(),
            "performance.probes" => self.performance.probes = text(),
            "outcome" => self.outcome = text(),
            "invocation_targets" => self.invocation_targets = text(),
            "mtpod" => self.mtpod_s = span()?,
            "rto" => self.rto_s = span()?,
            "rpo" => self.rpo_s = span()?,
            "return_to_normal" => self.return_to_normal = text(),
            "support_unit" => self.support_unit = text(),
            "contact" => self.contact = text(),
            "escalation" => self.escalation = text(),
            "test.details" => self.test.details = text(),
            "test.steps" => self.test.steps = value.lines().map(str::to_owned).collect(),
            "test.outcome" => self.test.outcome = text(),
            "test.log" => self.test.log = text(),
            _ => return Err(FieldError::new(name.chars().take(60).collect::<String>(), "is no field of a plan; load the page again")),
        }
        Ok(())
    }
}

/// The row and the column of `procedures[2].title`.
fn cell(name: &str) -> Option<(usize, String)> {
    let (row, column) = name.split_once('[')?.1.split_once("].")?;
    let row: usize = row.parse().ok().filter(|n| *n < 2 * super::MOST)?;
    let known = if name.starts_with("procedures") { ["title", "link", "text", ""] } else { ["version", "date", "by", "comment"] };
    (!column.is_empty() && known.contains(&column)).then(|| (row, column.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> PlanContent {
        let mut c = PlanContent { introduction: "Why.".into(), mtpod_s: Some(172_800), ..PlanContent::default() };
        c.performance.availability = Some(99.5);
        c.procedures = vec![
            Procedure { title: "One".into(), link: "https://a.example.org/".into(), text: String::new() },
            Procedure { title: "Two".into(), link: String::new(), text: "Call.".into() },
        ];
        c.test.steps = vec!["install".into(), "restore".into()];
        c.past_revisions = vec![Revision { version: "v1".into(), date: "2019-06-06".into(), by: "office".into(), comment: "first".into() }];
        c
    }

    fn with(content: PlanContent, entries: &[(&str, &str)]) -> Result<PlanContent, Vec<FieldError>> {
        content.with_entries(entries.iter().copied())
    }

    #[test]
    fn a_form_brings_back_what_it_shows() {
        let entries = full().entries();
        let back = PlanContent::default().with_entries(entries.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        assert_eq!(back, Ok(full()));
    }

    #[test]
    fn one_entry_changes_one_field_and_a_list_comes_whole() {
        let c = with(full(), &[("outcome", "Better."), ("rto", "12h"), ("performance.availability", "90,5 %")]).unwrap();
        assert_eq!((c.outcome.as_str(), c.rto_s, c.performance.availability, c.procedures.len()), ("Better.", Some(43_200), Some(90.5), 2));
        let c = with(full(), &[("procedures[0].title", ""), ("procedures[1].title", "Two"), ("procedures[3].title", "New")]).unwrap();
        assert_eq!(c.procedures.iter().map(|p| p.title.as_str()).collect::<Vec<_>>(), ["Two", "New"]);
        assert_eq!(with(full(), &[("mtpod", " ")]).unwrap().mtpod_s, None);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let wrong =
            with(full(), &[("rto", "soon"), ("performance.reliability", "many"), ("colour", "x"), ("procedures[9999].title", "x"), ("procedures[0].x", "")]);
        let fields: Vec<String> = wrong.unwrap_err().into_iter().map(|w| w.field).collect();
        assert_eq!(fields, ["rto", "performance.reliability", "colour", "procedures[9999].title", "procedures[0].x"]);
    }
}
