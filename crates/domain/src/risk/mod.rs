//! Risks of a service: what is said of one, what that must hold, what is wrong with it (R39).
//!
//! Lives here: the content of a risk, its checks, the conflict of a stated level with its rating, what is missing.
//! May not: the clock, SQL, where proofs come from ([`proof`] judges facts that others collect).
//! Invariant: the level is computed from the rating by the version of the scale that the risk was rated by; it is never stored.

pub mod change;
pub mod proof;
pub mod scale;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::{field::FieldError, run::text_enum};
use scale::{Scale, ScaleRef, refuse};

/// The longest text of one field, and of one line.
const LONGEST_TEXT: usize = 4_000;
const LONGEST_LINE: usize = 200;
/// Measures that one risk lists.
const MOST_MEASURES: usize = 50;
/// The longest downtime that is expected of a risk: ten years.
const LONGEST_DOWNTIME_S: i64 = 3_650 * 86_400;

text_enum! {
    /// What is done about a risk.
    Treatment { Accept => "accept", Reduce => "reduce", Transfer => "transfer", Avoid => "avoid" }
}

text_enum! {
    /// How far people have looked at a risk.
    ReviewState { Open => "open", InReview => "in_review", Reviewed => "reviewed" }
}

impl ReviewState {
    pub const fn words(self) -> &'static str {
        match self {
            Self::Open => "not reviewed",
            Self::InReview => "in review",
            Self::Reviewed => "reviewed",
        }
    }
}

/// What proves that a measure is in place (R40).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Link {
    /// A schedule of the service, by its name.
    Schedule { name: String },
    /// The restore tests of the service.
    RestoreTests,
    /// A page elsewhere, such as a probe. Nobody here can judge it.
    Address { url: String },
}

/// One established measure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Link>,
}

/// What is said of a risk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Risk {
    pub description: String,
    /// The affected components.
    #[serde(default)]
    pub components: String,
    #[serde(default)]
    pub measures: Vec<Measure>,
    /// The version of the scale that it was rated by.
    pub scale: ScaleRef,
    pub likelihood: i64,
    pub impact: i64,
    /// The level as an older plan states it. It is kept beside the computed one.
    #[serde(default)]
    pub stated_level: Option<String>,
    /// The expected downtime in words, and as a span where it is one.
    #[serde(default)]
    pub downtime: String,
    #[serde(default)]
    pub downtime_s: Option<i64>,
    #[serde(default)]
    pub comment: String,
    #[serde(default)]
    pub treatment: Option<Treatment>,
    #[serde(default)]
    pub owner: String,
    #[serde(default)]
    pub due: Option<Date>,
    pub review: ReviewState,
}

impl Default for Risk {
    fn default() -> Self {
        Self {
            description: String::new(),
            components: String::new(),
            measures: Vec::new(),
            scale: ScaleRef::default(),
            likelihood: 1,
            impact: 1,
            stated_level: None,
            downtime: String::new(),
            downtime_s: None,
            comment: String::new(),
            treatment: None,
            owner: String::new(),
            due: None,
            review: ReviewState::Open,
        }
    }
}

text_enum! {
    /// What a risk at or above its scale's threshold must have.
    Missing { Treatment => "treatment", Owner => "owner", Due => "due" }
}

impl Missing {
    pub const fn words(self) -> &'static str {
        match self {
            Self::Treatment => "treatment",
            Self::Owner => "owner",
            Self::Due => "due date",
        }
    }
}

/// A stated level that its rating contradicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    pub stated: String,
    pub computed: String,
    pub score: i64,
}

impl Conflict {
    /// One sentence for people.
    pub fn words(&self) -> String {
        format!("stated {}, but the rating is {}, which is {}", self.stated, self.score, self.computed)
    }
}

impl Risk {
    /// Likelihood × impact.
    pub const fn score(&self) -> i64 {
        self.likelihood.saturating_mul(self.impact)
    }

    /// The level that a plan states against the one that its rating gives.
    pub fn conflict(&self, scale: &Scale) -> Option<Conflict> {
        let stated = self.stated_level.as_ref()?;
        let computed = scale.level(self.likelihood, self.impact)?;
        (!computed.level.eq_ignore_ascii_case(stated)).then(|| Conflict { stated: stated.clone(), computed: computed.level.clone(), score: self.score() })
    }

    /// What it lacks although its level asks for it. Empty below the threshold.
    pub fn incomplete(&self, scale: &Scale) -> Vec<Missing> {
        if !scale.is_grave(self.likelihood, self.impact) {
            return Vec::new();
        }
        let lacks = [(Missing::Treatment, self.treatment.is_none()), (Missing::Owner, self.owner.trim().is_empty()), (Missing::Due, self.due.is_none())];
        lacks.into_iter().filter(|(_, lacks)| *lacks).map(|(what, _)| what).collect()
    }

    /// Trims what people typed, and writes a stated level as the scale does.
    pub fn tidy(&mut self, scale: &Scale) {
        for text in [&mut self.description, &mut self.components, &mut self.downtime, &mut self.comment, &mut self.owner] {
            *text = text.trim().replace("\r\n", "\n");
        }
        for measure in &mut self.measures {
            measure.text = measure.text.trim().to_owned();
            if let Some(Link::Address { url }) = &mut measure.proof {
                *url = url.trim().to_owned();
            }
        }
        self.measures.retain(|m| !m.text.is_empty() || m.proof.is_some());
        self.stated_level = self.stated_level.take().map(|s| s.trim().to_owned()).filter(|s| !s.is_empty());
        if let Some(band) = self.stated_level.as_deref().and_then(|s| scale.named(s)) {
            self.stated_level = Some(band.level.clone());
        }
    }

    /// What is wrong with it on this scale. What [`Risk::incomplete`] finds is left to the caller.
    pub fn problems(&self, scale: &Scale) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        if self.description.trim().is_empty() {
            wrong.push(FieldError::new("description", "is empty; say what may happen"));
        }
        for (field, text, most) in [
            ("description", &self.description, LONGEST_TEXT),
            ("components", &self.components, LONGEST_TEXT),
            ("comment", &self.comment, LONGEST_TEXT),
            ("downtime", &self.downtime, LONGEST_LINE),
            ("owner", &self.owner, LONGEST_LINE),
        ] {
            if text.chars().count() > most {
                wrong.push(FieldError::new(field, format!("is longer than {most} characters; shorten it")));
            } else if has_control(text) {
                wrong.push(FieldError::new(field, "holds a control character; remove it"));
            }
        }
        wrong.extend(refuse("likelihood", &self.scale, &scale.likelihood, self.likelihood));
        wrong.extend(refuse("impact", &self.scale, &scale.impact, self.impact));
        if let Some(stated) = self.stated_level.as_deref().filter(|s| scale.named(s).is_none()) {
            wrong.push(FieldError::new(
                "stated_level",
                format!(
                    "“{}” is no level of the scale {}; give {}, or leave it empty",
                    stated.chars().take(40).collect::<String>(),
                    self.scale,
                    scale.levels_words()
                ),
            ));
        }
        if self.downtime_s.is_some_and(|s| !(1..=LONGEST_DOWNTIME_S).contains(&s)) {
            wrong.push(FieldError::new("downtime_span", "must be between 1s and ten years, such as 1d"));
        }
        if self.measures.len() > MOST_MEASURES {
            wrong.push(FieldError::new("measures", format!("lists more than {MOST_MEASURES} measures; join some of them")));
        }
        for (at, measure) in self.measures.iter().enumerate() {
            wrong.extend(measure.problem().map(|(part, message)| FieldError::new(format!("measures[{at}].{part}"), message)));
        }
        wrong
    }

    /// What [`Risk::incomplete`] finds, as errors of the fields that are to be filled.
    pub fn refuse_incomplete(&self, scale: &Scale) -> Vec<FieldError> {
        let level = scale.level(self.likelihood, self.impact).map(|b| b.level.as_str()).unwrap_or_default();
        let why = |what: Missing| {
            let words = what.words();
            FieldError::new(
                what.as_str(),
                format!("is empty; a risk that is {level} ({}) needs a treatment, an owner and a due date: give the {words}", self.score()),
            )
        };
        self.incomplete(scale).into_iter().map(why).collect()
    }
}

impl Measure {
    fn problem(&self) -> Option<(&'static str, String)> {
        if self.text.trim().is_empty() {
            return Some(("text", "is empty; say what is done, or remove the line".to_owned()));
        }
        if self.text.chars().count() > LONGEST_TEXT {
            return Some(("text", format!("is longer than {LONGEST_TEXT} characters; shorten it")));
        }
        if has_control(&self.text) {
            return Some(("text", "holds a control character; remove it".to_owned()));
        }
        match &self.proof {
            Some(Link::Address { url }) if !is_address(url) => {
                Some(("proof", format!("“{url}” is no address; it begins with https:// or http:// and holds no spaces")))
            }
            Some(Link::Schedule { name }) if name.is_empty() => Some(("proof", "names no schedule; choose one of the service".to_owned())),
            _ => None,
        }
    }
}

fn has_control(text: &str) -> bool {
    text.chars().any(|c| c.is_control() && c != '\n' && c != '\t')
}

fn is_address(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|r| !r.is_empty() && !r.starts_with('/')) && url.len() <= 2_000 && !url.chars().any(|c| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests;
