//! What the forms of risks and scales hold, as it stands in an address when one is refused.
//!
//! Lives here: reading and writing those values. May not: judging them (`ops::risks` does).
//! Invariant: what somebody has typed is not lost; a form carries the revision of what it changes.

use domain::{
    field::FieldError,
    risk::{
        Link, Measure, Missing, ReviewState, Risk, Treatment,
        scale::{Scale, read_axis, read_bands, write_bands},
    },
    units::parse_span,
};
use ops::risks::ScaleVersion;
use serde::{Deserialize, Serialize};

use crate::{
    components::address::{Query, encode, with_query},
    pages::notifications::rule::short_span,
};

/// What stands for the restore tests of the service among the proofs to choose, for an address, and before a schedule's name.
pub const TESTS: &str = "restore_tests";
pub const ADDRESS: &str = "address";
pub const SCHEDULE: &str = "schedule:";

/// One measure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MeasureFields {
    pub text: String,
    /// `restore_tests`, `schedule:NAME`, `address`, or nothing.
    pub proof: String,
    pub url: String,
}

impl MeasureFields {
    fn of(m: &Measure) -> Self {
        let (proof, url) = match &m.proof {
            None => (String::new(), String::new()),
            Some(Link::RestoreTests) => (TESTS.to_owned(), String::new()),
            Some(Link::Schedule { name }) => (format!("{SCHEDULE}{name}"), String::new()),
            Some(Link::Address { url }) => (ADDRESS.to_owned(), url.clone()),
        };
        Self { text: m.text.clone(), proof, url }
    }

    fn read(&self) -> Measure {
        let url = self.url.trim();
        let proof = match self.proof.strip_prefix(SCHEDULE) {
            Some(name) => Some(Link::Schedule { name: name.to_owned() }),
            None if self.proof == TESTS => Some(Link::RestoreTests),
            // Whoever gives an address means it, whatever is chosen beside it.
            None if self.proof == ADDRESS || !url.is_empty() => Some(Link::Address { url: url.to_owned() }),
            None => None,
        };
        Measure { text: self.text.clone(), proof }
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn shown(&self) -> String {
        [&self.text, &self.proof, &self.url].into_iter().filter(|t| !t.is_empty()).cloned().collect::<Vec<_>>().join(", ")
    }
}

/// One risk but for its measures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fields {
    pub service: String,
    /// Empty for a new one, as is the revision.
    pub number: String,
    pub revision: String,
    pub description: String,
    pub components: String,
    pub scale: String,
    pub likelihood: String,
    pub impact: String,
    pub stated_level: String,
    pub downtime: String,
    pub downtime_span: String,
    pub comment: String,
    pub treatment: String,
    pub owner: String,
    pub due: String,
    pub review: String,
}

/// One risk as its form holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Typed {
    pub risk: Fields,
    pub measures: Vec<MeasureFields>,
}

impl Typed {
    /// A risk that is there, or is to be made where `number` is none.
    pub fn of(service: &str, number: Option<(i64, i64)>, r: &Risk) -> Self {
        let risk = Fields {
            service: service.to_owned(),
            number: number.map(|(n, _)| n.to_string()).unwrap_or_default(),
            revision: number.map(|(_, r)| r.to_string()).unwrap_or_default(),
            description: r.description.clone(),
            components: r.components.clone(),
            scale: r.scale.to_string(),
            likelihood: r.likelihood.to_string(),
            impact: r.impact.to_string(),
            stated_level: r.stated_level.clone().unwrap_or_default(),
            downtime: r.downtime.clone(),
            downtime_span: r.downtime_s.map(short_span).unwrap_or_default(),
            comment: r.comment.clone(),
            treatment: r.treatment.map(|t| t.to_string()).unwrap_or_default(),
            owner: r.owner.clone(),
            due: r.due.map(|d| d.to_string()).unwrap_or_default(),
            review: r.review.to_string(),
        };
        Self { risk, measures: r.measures.iter().map(MeasureFields::of).collect() }
    }

    /// What was typed before, where the address holds it.
    pub fn read(query: &Query) -> Option<Self> {
        serde_json::from_str(&query.get("typed")?).ok()
    }

    /// The page of the form.
    pub fn path(&self) -> String {
        let number = if self.risk.number.is_empty() { "new".to_owned() } else { encode(&self.risk.number) };
        format!("/services/{}/risks/{number}", encode(&self.risk.service))
    }

    /// The page of the form with all that was typed.
    pub fn href(&self) -> String {
        with_query(&self.path(), &[("typed", &serde_json::to_string(self).unwrap_or_default())])
    }

    /// What was typed as a risk.
    pub fn risk(&self) -> Result<Risk, Vec<FieldError>> {
        let f = &self.risk;
        let mut wrong = Vec::new();
        let mut step = |field: &str, text: &str| {
            text.trim().parse::<i64>().unwrap_or_else(|_| {
                wrong.push(FieldError::new(field, format!("“{}” is no whole number; choose a step of the scale", text.trim())));
                1
            })
        };
        let (likelihood, impact) = (step("likelihood", &f.likelihood), step("impact", &f.impact));
        let scale = f.scale.parse().unwrap_or_else(|e| {
            wrong.push(e);
            domain::risk::scale::ScaleRef::default()
        });
        let downtime_s = match f.downtime_span.trim() {
            "" => None,
            text => match parse_span(text) {
                Ok(s) => Some(s),
                Err(e) => {
                    wrong.push(FieldError::new("downtime_span", e.to_string()));
                    None
                }
            },
        };
        let (treatment, due) = (f.treatment.trim(), f.due.trim());
        let risk = Risk {
            description: f.description.clone(),
            components: f.components.clone(),
            measures: self.measures.iter().map(MeasureFields::read).collect(),
            scale,
            likelihood,
            impact,
            stated_level: Some(f.stated_level.clone()),
            downtime: f.downtime.clone(),
            downtime_s,
            comment: f.comment.clone(),
            treatment: Treatment::parse(treatment),
            owner: f.owner.clone(),
            due: due.parse().ok(),
            review: ReviewState::parse(f.review.trim()).unwrap_or(ReviewState::Open),
        };
        if risk.treatment.is_none() && !treatment.is_empty() {
            wrong.push(FieldError::new(Missing::Treatment.as_str(), format!("“{treatment}” is no treatment; choose one of the list")));
        }
        if risk.due.is_none() && !due.is_empty() {
            wrong.push(FieldError::new(Missing::Due.as_str(), format!("“{due}” is no date; write it as 2021-05-31")));
        }
        if wrong.is_empty() { Ok(risk) } else { Err(wrong) }
    }

    /// Each value with its name, as people compare them.
    pub fn shown(&self) -> Vec<(&'static str, String)> {
        let f = &self.risk;
        let measures = self.measures.iter().filter(|m| !m.is_empty()).map(MeasureFields::shown).collect::<Vec<_>>().join("; ");
        vec![
            ("Description", f.description.clone()),
            ("Affected components", f.components.clone()),
            ("Measures", measures),
            ("Scale", f.scale.clone()),
            ("Likelihood", f.likelihood.clone()),
            ("Impact", f.impact.clone()),
            ("Stated level", f.stated_level.clone()),
            ("Expected downtime", f.downtime.clone()),
            ("Downtime as a span", f.downtime_span.clone()),
            ("Treatment", f.treatment.clone()),
            ("Owner", f.owner.clone()),
            ("Due", f.due.clone()),
            ("Review", f.review.clone()),
            ("Comment", f.comment.clone()),
        ]
    }
}

/// One scale.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScaleFields {
    pub name: String,
    /// The number of the newest version; empty for a new scale.
    pub version: String,
    pub likelihood: String,
    pub impact: String,
    pub bands: String,
    pub threshold: String,
}

impl ScaleFields {
    pub fn of(s: &ScaleVersion) -> Self {
        Self {
            name: s.name.name.clone(),
            version: s.name.version.to_string(),
            likelihood: s.scale.likelihood.join("\n"),
            impact: s.scale.impact.join("\n"),
            bands: write_bands(&s.scale.bands),
            threshold: s.scale.threshold.clone(),
        }
    }

    pub fn read(query: &Query) -> Option<Self> {
        serde_json::from_str(&query.get("typed")?).ok()
    }

    /// The page of the form with all that was typed.
    pub fn href(&self) -> String {
        let place = if self.version.is_empty() { "new".to_owned() } else { encode(&self.name) };
        with_query(&format!("/scales/{place}"), &[("typed", &serde_json::to_string(self).unwrap_or_default())])
    }

    pub fn scale(&self) -> Result<Scale, Vec<FieldError>> {
        let bands = read_bands(&self.bands)?;
        Ok(Scale { likelihood: read_axis(&self.likelihood), impact: read_axis(&self.impact), bands, threshold: self.threshold.trim().to_owned() })
    }

    pub fn shown(&self) -> Vec<(&'static str, String)> {
        let listed = |text: &str| read_axis(text).join(", ");
        vec![("Likelihood", listed(&self.likelihood)), ("Impact", listed(&self.impact)), ("Levels", listed(&self.bands)), ("Threshold", self.threshold.clone())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_comes_back() {
        let link = |proof| Measure { text: "daily backup & more".into(), proof };
        let risk = Risk {
            description: "Staff not available: “nobody” 100 %".into(),
            measures: vec![
                link(Some(Link::Schedule { name: "nightly".into() })),
                link(Some(Link::RestoreTests)),
                link(Some(Link::Address { url: "https://example.org/?a=b&c".into() })),
                link(None),
            ],
            stated_level: Some("Medium".into()),
            downtime_s: Some(86_400),
            due: Some(jiff::civil::date(2021, 5, 31)),
            treatment: Some(Treatment::Reduce),
            ..Risk::default()
        };
        let typed = Typed::of("notebooks", Some((5, 3)), &risk);
        let (path, query) = { typed.href().split_once('?').map(|(p, q)| (p.to_owned(), q.to_owned())).unwrap() };
        assert_eq!(path, "/services/notebooks/risks/5");
        let read = Typed::read(&Query::parse(&query)).unwrap();
        assert_eq!(read, typed);
        assert_eq!(read.risk().unwrap(), risk);
        assert_eq!((read.risk.downtime_span.as_str(), read.risk.revision.as_str()), ("1d", "3"));
    }

    #[test]
    fn what_cannot_be_read_names_its_field() {
        let mut typed = Typed::of("notebooks", None, &Risk::default());
        (typed.risk.likelihood, typed.risk.due, typed.risk.downtime_span, typed.risk.scale) = ("x".into(), "soon".into(), "a day".into(), String::new());
        typed.risk.treatment = "hope".into();
        let wrong: Vec<String> = typed.risk().unwrap_err().into_iter().map(|e| e.field).collect();
        assert_eq!(wrong, ["likelihood", "scale", "downtime_span", "treatment", "due"]);
        assert_eq!(typed.path(), "/services/notebooks/risks/new");
    }

    #[test]
    fn scales_are_forms() {
        let version = ScaleVersion { name: domain::risk::scale::ScaleRef::default(), scale: Scale::built_in(), made: None, newest: true };
        let fields = ScaleFields::of(&version);
        assert_eq!(fields.scale().unwrap(), Scale::built_in());
        let query = fields.href().split_once('?').unwrap().1.to_owned();
        assert_eq!(ScaleFields::read(&Query::parse(&query)).unwrap(), fields);
    }
}
