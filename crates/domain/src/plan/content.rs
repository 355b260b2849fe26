//! What a plan says, in the order of EGI's availability and continuity plan (R38).
//!
//! Lives here: the fields, what is wrong with them, the plan as a list of named texts. May not: what is measured or kept
//! elsewhere (that is the annex). Text is Markdown of people; whoever shows it makes it safe.

use serde::{Deserialize, Serialize};

use super::json::{span_text, write_span};
use crate::field::FieldError;

/// The version of the JSON form.
pub const FORMAT: u32 = 1;
/// The longest text, in characters.
pub const LONGEST: usize = 40_000;
/// The longest line: a title, a link, a name.
const LONGEST_LINE: usize = 500;
/// The most entries of a list.
pub const MOST: usize = 200;
/// The longest span: ten years.
const LONGEST_SPAN: i64 = 10 * 366 * 86_400;

/// The content of one version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlanContent {
    pub format: u32,
    pub introduction: String,
    pub performance: Performance,
    pub outcome: String,
    pub procedures: Vec<Procedure>,
    pub invocation_targets: String,
    /// Seconds; as text such as `2 d` in JSON.
    #[serde(rename = "mtpod", with = "span_text")]
    pub mtpod_s: Option<i64>,
    #[serde(rename = "rto", with = "span_text")]
    pub rto_s: Option<i64>,
    #[serde(rename = "rpo", with = "span_text")]
    pub rpo_s: Option<i64>,
    pub return_to_normal: String,
    pub support_unit: String,
    pub contact: String,
    pub escalation: String,
    pub test: Test,
    /// Revisions from before Holdfast.
    pub past_revisions: Vec<Revision>,
}

impl Default for PlanContent {
    fn default() -> Self {
        Self {
            format: FORMAT,
            introduction: String::new(),
            performance: Performance::default(),
            outcome: String::new(),
            procedures: Vec::new(),
            invocation_targets: String::new(),
            mtpod_s: None,
            rto_s: None,
            rpo_s: None,
            return_to_normal: String::new(),
            support_unit: String::new(),
            contact: String::new(),
            escalation: String::new(),
            test: Test::default(),
            past_revisions: Vec::new(),
        }
    }
}

/// The performance that was agreed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Performance {
    /// Percent of a month.
    pub availability: Option<f64>,
    pub reliability: Option<f64>,
    pub requirements: String,
    pub probes: String,
}

/// What is to be done when the plan is invoked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Procedure {
    pub title: String,
    pub link: String,
    pub text: String,
}

/// The test of availability and continuity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Test {
    pub details: String,
    pub steps: Vec<String>,
    pub outcome: String,
    pub log: String,
}

/// One line of the revision history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Revision {
    pub version: String,
    /// Such as 2019-06-11.
    pub date: String,
    pub by: String,
    pub comment: String,
}

/// A part of the content under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// As in JSON: `performance.requirements`.
    pub key: &'static str,
    pub title: &'static str,
    pub text: String,
}

impl PlanContent {
    /// The whole content as lines of text, in the plan's order.
    pub fn fields(&self) -> Vec<Field> {
        let field = |key, title, text: &str| Field { key, title, text: text.to_owned() };
        let percent = |value: Option<f64>| value.map_or_else(String::new, |v| format!("{v} %"));
        let span = |value: Option<i64>| value.map_or_else(String::new, write_span);
        let performance = &self.performance;
        let procedures: Vec<String> =
            self.procedures.iter().map(|p| [p.title.as_str(), &p.link, &p.text].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join("\n")).collect();
        let steps: Vec<String> = self.test.steps.iter().enumerate().map(|(n, step)| format!("{}. {step}", n + 1)).collect();
        let past: Vec<String> = self.past_revisions.iter().map(|r| format!("{} · {} · {} · {}", r.version, r.date, r.by, r.comment)).collect();
        vec![
            field("introduction", "Introduction", &self.introduction),
            field("performance.availability", "Agreed availability", &percent(performance.availability)),
            field("performance.reliability", "Agreed reliability", &percent(performance.reliability)),
            field("performance.requirements", "Other requirements", &performance.requirements),
            field("performance.probes", "Probes", &performance.probes),
            field("outcome", "Outcome", &self.outcome),
            field("procedures", "Procedures", &procedures.join("\n\n")),
            field("invocation_targets", "Targets when invoked", &self.invocation_targets),
            field("mtpod", "MTPoD", &span(self.mtpod_s)),
            field("rto", "RTO", &span(self.rto_s)),
            field("rpo", "RPO", &span(self.rpo_s)),
            field("return_to_normal", "Return to normal", &self.return_to_normal),
            field("support_unit", "Support unit", &self.support_unit),
            field("contact", "Contact", &self.contact),
            field("escalation", "Escalation", &self.escalation),
            field("test.details", "Test details", &self.test.details),
            field("test.steps", "Test steps", &steps.join("\n")),
            field("test.outcome", "Test outcome", &self.test.outcome),
            field("test.log", "Test log", &self.test.log),
            field("past_revisions", "Earlier revisions", &past.join("\n")),
        ]
    }

    /// The same as it is kept: lines end in one way, blank entries of lists are gone.
    #[must_use]
    pub fn tidy(mut self) -> Self {
        let text = |t: &mut String| t.replace("\r\n", "\n").replace('\r', "\n").trim_end().clone_into(t);
        let line = |t: &mut String| {
            let trimmed = t.trim().to_owned();
            *t = trimmed;
        };
        for t in [
            &mut self.introduction,
            &mut self.performance.requirements,
            &mut self.performance.probes,
            &mut self.outcome,
            &mut self.invocation_targets,
            &mut self.return_to_normal,
            &mut self.support_unit,
            &mut self.contact,
            &mut self.escalation,
            &mut self.test.details,
            &mut self.test.outcome,
            &mut self.test.log,
        ] {
            text(t);
        }
        for p in &mut self.procedures {
            line(&mut p.title);
            line(&mut p.link);
            text(&mut p.text);
        }
        self.procedures.retain(|p| *p != Procedure::default());
        self.test.steps.iter_mut().for_each(line);
        self.test.steps.retain(|s| !s.is_empty());
        for r in &mut self.past_revisions {
            for t in [&mut r.version, &mut r.date, &mut r.by, &mut r.comment] {
                line(t);
            }
        }
        self.past_revisions.retain(|r| *r != Revision::default());
        self
    }

    /// Every field that cannot be kept, with its remedy.
    pub fn problems(&self) -> Vec<FieldError> {
        let mut found = Vec::new();
        let mut say = |field: String, message: &str| found.push(FieldError::new(field, message));
        for Field { key, text, .. } in self.fields() {
            if text.chars().count() > LONGEST {
                say(key.to_owned(), "is longer than 40000 characters; shorten it, or link to where it stands");
            } else if text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t')) {
                say(key.to_owned(), "holds a control character; remove it");
            }
        }
        for (key, value) in [("performance.availability", self.performance.availability), ("performance.reliability", self.performance.reliability)] {
            if value.is_some_and(|v| !(0.0..=100.0).contains(&v)) {
                say(key.to_owned(), "must be a percentage from 0 to 100, such as 90");
            }
        }
        for (key, value) in [("mtpod", self.mtpod_s), ("rto", self.rto_s), ("rpo", self.rpo_s)] {
            if value.is_some_and(|v| !(1..=LONGEST_SPAN).contains(&v)) {
                say(key.to_owned(), "must be longer than nothing and at most ten years, such as 2 d");
            }
        }
        for (key, n) in [("procedures", self.procedures.len()), ("test.steps", self.test.steps.len()), ("past_revisions", self.past_revisions.len())] {
            if n > MOST {
                say(key.to_owned(), "has more than 200 entries; join some of them");
            }
        }
        let long = |t: &str| t.chars().count() > LONGEST_LINE;
        for (n, p) in self.procedures.iter().enumerate() {
            if p.title.is_empty() {
                say(format!("procedures[{n}].title"), "is empty; name what is to be done, such as “Restore the homes”");
            } else if long(&p.title) {
                say(format!("procedures[{n}].title"), "is longer than 500 characters; put the rest into its text");
            }
            if !p.link.is_empty() && (crate::channel::url_problem(&p.link).is_some() || long(&p.link)) {
                say(format!("procedures[{n}].link"), "is not an address on the web; write it as https://host/path, or leave it out");
            }
        }
        for (n, step) in self.test.steps.iter().enumerate() {
            if long(step) || step.contains('\n') {
                say(format!("test.steps[{n}]"), "must be one line of at most 500 characters; part it into several steps");
            }
        }
        for (n, r) in self.past_revisions.iter().enumerate() {
            if r.date.parse::<jiff::civil::Date>().is_err() {
                say(format!("past_revisions[{n}].date"), "is not a date; write it as 2019-06-11");
            }
            if r.version.is_empty() {
                say(format!("past_revisions[{n}].version"), "is empty; write the version, such as v1");
            }
        }
        found
    }

    /// The text that a signature is bound to.
    pub fn canonical(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(content: &PlanContent) -> Vec<String> {
        content.problems().into_iter().map(|f| f.field).collect()
    }

    #[test]
    fn an_empty_plan_can_be_kept() {
        assert_eq!(PlanContent::default().problems(), []);
        assert!(PlanContent::default().fields().iter().all(|f| f.text.is_empty()));
        assert_eq!(PlanContent::default().format, FORMAT);
    }

    #[test]
    fn each_wrong_field_is_named() {
        let mut c = PlanContent { rto_s: Some(0), introduction: "a\u{1b}[31m".into(), ..PlanContent::default() };
        c.performance.availability = Some(101.0);
        c.performance.reliability = Some(f64::NAN);
        c.procedures = vec![Procedure { link: "javascript:alert(1)".into(), ..Procedure::default() }];
        c.test.steps = vec!["x".repeat(501)];
        c.past_revisions = vec![Revision { date: "11 June".into(), ..Revision::default() }];
        assert_eq!(
            fields(&c),
            [
                "introduction",
                "performance.availability",
                "performance.reliability",
                "rto",
                "procedures[0].title",
                "procedures[0].link",
                "test.steps[0]",
                "past_revisions[0].date",
                "past_revisions[0].version"
            ]
        );
        let long = PlanContent { outcome: "ü".repeat(LONGEST + 1), ..PlanContent::default() };
        assert_eq!(fields(&long), ["outcome"]);
        let many = PlanContent { test: Test { steps: vec!["s".into(); MOST + 1], ..Test::default() }, ..PlanContent::default() };
        assert_eq!(fields(&many), ["test.steps"]);
    }

    #[test]
    fn what_is_kept_is_tidy() {
        let c = PlanContent {
            introduction: "one\r\ntwo\r\n".into(),
            procedures: vec![Procedure::default(), Procedure { title: " Restore ".into(), link: " ".into(), text: "a\r\n".into() }],
            test: Test { steps: vec![" ".into(), " first ".into()], ..Test::default() },
            past_revisions: vec![Revision::default()],
            ..PlanContent::default()
        }
        .tidy();
        assert_eq!((c.introduction.as_str(), c.procedures.len(), c.procedures[0].title.as_str()), ("one\ntwo", 1, "Restore"));
        assert_eq!((c.procedures[0].text.as_str(), c.test.steps, c.past_revisions.len()), ("a", vec!["first".to_owned()], 0));
    }
}
