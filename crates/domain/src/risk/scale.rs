//! Rating scales: likelihood × impact, and the levels that their products fall into (R39).
//!
//! Lives here: the scale that is built in, reading a scale from text, its checks, the level of a rating.
//! May not: versions beyond their number; who may make one.
//! Invariant: a scale without problems gives each rating exactly one level.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::field::FieldError;

/// The name of the scale that is built in.
pub const BUILT_IN: &str = "2021";
/// Steps of an axis.
const FEWEST: usize = 2;
const MOST: usize = 10;
/// The longest name of a step or a level.
const LONGEST: usize = 40;

/// A version of a scale. Versions are never changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ScaleRef {
    pub name: String,
    pub version: i64,
}

impl Default for ScaleRef {
    fn default() -> Self {
        Self { name: BUILT_IN.to_owned(), version: 1 }
    }
}

impl std::fmt::Display for ScaleRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.name)?;
        if self.version == 1 { Ok(()) } else { write!(f, " v{}", self.version) }
    }
}

impl std::str::FromStr for ScaleRef {
    type Err = FieldError;

    /// `2021` is version 1, `2021 v2` the second one.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let read = match text.split_once(" v") {
            None => Some(Self { name: text.to_owned(), version: 1 }),
            Some((name, version)) => version.parse().ok().map(|version| Self { name: name.to_owned(), version }),
        };
        read.filter(|s| !s.name.is_empty() && s.version > 0)
            .ok_or_else(|| FieldError::new("scale", format!("“{text}” is no version of a scale; write it as 2021 or 2021 v2")))
    }
}

/// A level and the products that have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Band {
    pub level: String,
    pub from: i64,
    pub to: i64,
}

impl Band {
    const fn holds(&self, score: i64) -> bool {
        self.from <= score && score <= self.to
    }
}

/// How grave a level is among all of its scale, for the eye.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    Low,
    Medium,
    High,
    Extreme,
}

/// A scale: names of the steps from 1 up, levels from low to high, and the level from which more is asked of a risk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    pub likelihood: Vec<String>,
    pub impact: Vec<String>,
    pub bands: Vec<Band>,
    /// The lowest level at which a risk needs a treatment, an owner and a due date.
    pub threshold: String,
}

impl Scale {
    /// The one that is built in: 4 × 4, Low 1–2, Medium 3–4, High 6–9, Extreme 12–16.
    pub fn built_in() -> Self {
        let names = |all: [&str; 4]| all.map(str::to_owned).to_vec();
        let band = |(level, from, to): (&str, i64, i64)| Band { level: level.to_owned(), from, to };
        Self {
            likelihood: names(["rare", "possible", "likely", "frequent"]),
            impact: names(["minor", "moderate", "major", "severe"]),
            bands: [("Low", 1, 2), ("Medium", 3, 4), ("High", 6, 9), ("Extreme", 12, 16)].map(band).to_vec(),
            threshold: "High".to_owned(),
        }
    }

    /// The level of a rating; `None` for one that the scale does not have.
    pub fn level(&self, likelihood: i64, impact: i64) -> Option<&Band> {
        (on(&self.likelihood, likelihood) && on(&self.impact, impact)).then(|| self.bands.iter().find(|b| b.holds(likelihood * impact))).flatten()
    }

    /// The level of that name, whatever its letters' case.
    pub fn named(&self, level: &str) -> Option<&Band> {
        self.bands.iter().find(|b| b.level.to_lowercase() == level.trim().to_lowercase())
    }

    /// Whether a rating is at or above the threshold.
    pub fn is_grave(&self, likelihood: i64, impact: i64) -> bool {
        let least = self.named(&self.threshold).map_or(i64::MAX, |b| b.from);
        self.level(likelihood, impact).is_some_and(|b| b.from >= least)
    }

    pub fn tone(&self, band: &Band) -> Tone {
        let at = self.bands.iter().position(|b| b == band).unwrap_or(0);
        match (at * 4).checked_div(self.bands.len()).unwrap_or(0) {
            0 => Tone::Low,
            1 => Tone::Medium,
            2 => Tone::High,
            _ => Tone::Extreme,
        }
    }

    /// `Low, Medium, High or Extreme`.
    pub fn levels_words(&self) -> String {
        let mut names: Vec<&str> = self.bands.iter().map(|b| b.level.as_str()).collect();
        match names.pop() {
            Some(last) if !names.is_empty() => format!("{} or {last}", names.join(", ")),
            Some(last) => last.to_owned(),
            None => String::new(),
        }
    }

    /// `low 1 to 2, medium 3 to 4, …`.
    pub fn words(&self) -> String {
        let one = |b: &Band| if b.from == b.to { format!("{} {}", b.level, b.from) } else { format!("{} {} to {}", b.level, b.from, b.to) };
        self.bands.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// Trims names.
    pub fn tidy(&mut self) {
        for name in self.likelihood.iter_mut().chain(&mut self.impact).chain(self.bands.iter_mut().map(|b| &mut b.level)) {
            *name = name.trim().to_owned();
        }
        if let Some(band) = self.named(&self.threshold) {
            self.threshold = band.level.clone();
        }
    }

    /// What is wrong with it; each error names its field.
    pub fn problems(&self) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        axis("likelihood", &self.likelihood, &mut wrong);
        axis("impact", &self.impact, &mut wrong);
        let whole = wrong.is_empty();
        if self.bands.len() < FEWEST || self.bands.len() > MOST {
            wrong.push(FieldError::new("bands", format!("must be {FEWEST} to {MOST} levels, such as Low 1-2")));
        }
        let highest = (self.likelihood.len() * self.impact.len()) as i64;
        for (at, band) in self.bands.iter().enumerate() {
            let before = &self.bands[..at];
            if name_problem(&band.level).is_some() || before.iter().any(|b| b.level.to_lowercase() == band.level.to_lowercase()) {
                let why = name_problem(&band.level).unwrap_or("is the name of two levels; give each its own");
                wrong.push(FieldError::new(format!("bands[{at}].level"), why));
            }
            if band.from < 1 {
                wrong.push(FieldError::new(format!("bands[{at}].from"), format!("is {}; the lowest product is 1", band.from)));
            } else if band.to < band.from {
                wrong.push(FieldError::new(format!("bands[{at}].to"), format!("{} is less than {}, where the level begins", band.to, band.from)));
            } else if whole && band.to > highest {
                let (l, i) = (self.likelihood.len(), self.impact.len());
                wrong.push(FieldError::new(format!("bands[{at}].to"), format!("{} is more than any product; the highest is {l} × {i} = {highest}", band.to)));
            } else if let Some(other) = before.iter().find(|b| b.from <= band.to && band.from <= b.to) {
                wrong.push(FieldError::new(
                    format!("bands[{at}].from"),
                    format!("“{}” overlaps “{}”, which is {} to {}; begin after it", band.level, other.level, other.from, other.to),
                ));
            } else if before.last().is_some_and(|b| b.from > band.from) {
                wrong.push(FieldError::new(format!("bands[{at}].from"), format!("“{}” stands after a higher level; list them from low to high", band.level)));
            }
        }
        if wrong.is_empty() {
            let lost: Vec<String> = self.products().into_iter().filter(|p| !self.bands.iter().any(|b| b.holds(*p))).map(|p| p.to_string()).collect();
            if !lost.is_empty() {
                wrong.push(FieldError::new("bands", format!("no level holds the product {}; widen one, so that each rating has a level", lost.join(", "))));
            }
        }
        if self.named(&self.threshold).is_none() {
            wrong.push(FieldError::new("threshold", format!("“{}” is no level of this scale; give {}", self.threshold, self.levels_words())));
        }
        wrong
    }

    fn products(&self) -> BTreeSet<i64> {
        let (l, i) = (self.likelihood.len() as i64, self.impact.len() as i64);
        (1..=l).flat_map(|a| (1..=i).map(move |b| a * b)).collect()
    }
}

fn on(axis: &[String], step: i64) -> bool {
    step >= 1 && step <= axis.len() as i64
}

/// Refuses a step that an axis does not have, with the legal ones.
pub(super) fn refuse(field: &str, scale: &ScaleRef, axis: &[String], step: i64) -> Option<FieldError> {
    if on(axis, step) {
        return None;
    }
    let ends = axis.first().zip(axis.last()).map(|(first, last)| format!(" (1 {first}, {} {last})", axis.len())).unwrap_or_default();
    Some(FieldError::new(field, format!("{step} is not on the scale {scale}; give a number from 1 to {}{ends}", axis.len())))
}

fn axis(field: &str, names: &[String], wrong: &mut Vec<FieldError>) {
    if names.len() < FEWEST || names.len() > MOST {
        wrong.push(FieldError::new(field, format!("has {} steps; name {FEWEST} to {MOST}, from the lowest to the highest", names.len())));
    }
    for (at, name) in names.iter().enumerate() {
        if let Some(problem) = name_problem(name) {
            wrong.push(FieldError::new(format!("{field}[{at}]"), problem));
        } else if names[..at].iter().any(|n| n.to_lowercase() == name.to_lowercase()) {
            wrong.push(FieldError::new(format!("{field}[{at}]"), format!("“{name}” is there twice; give each step its own name")));
        }
    }
}

fn name_problem(name: &str) -> Option<&'static str> {
    if name.trim().is_empty() {
        Some("is empty; give it a name")
    } else if name.chars().count() > LONGEST {
        Some("is longer than 40 characters; shorten it")
    } else if name.chars().any(char::is_control) {
        Some("may hold no line breaks or control characters")
    } else {
        None
    }
}

/// Names of an axis, one a line.
pub fn read_axis(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect()
}

/// Levels, one a line: the name and the products, such as `High 6-9` or `Extreme 16`.
pub fn read_bands(text: &str) -> Result<Vec<Band>, Vec<FieldError>> {
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
    let (mut bands, mut wrong) = (Vec::new(), Vec::new());
    for (at, line) in lines.enumerate() {
        match read_band(line) {
            Some(band) => bands.push(band),
            None => wrong.push(FieldError::new(format!("bands[{at}]"), format!("“{line}” is no level; write its name and its products, such as High 6-9"))),
        }
    }
    if wrong.is_empty() { Ok(bands) } else { Err(wrong) }
}

fn read_band(line: &str) -> Option<Band> {
    let at = line.find(|c: char| c.is_ascii_digit())?;
    let (level, range) = line.split_at(at);
    let mut numbers = range.split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty()).map(str::parse::<i64>);
    let from = numbers.next()?.ok()?;
    let to = numbers.next().map_or(Some(from), Result::ok)?;
    let level = level.trim().trim_end_matches(':').trim_end();
    (numbers.next().is_none() && !level.is_empty()).then(|| Band { level: level.to_owned(), from, to })
}

/// As [`read_bands`] reads them.
pub fn write_bands(bands: &[Band]) -> String {
    bands
        .iter()
        .map(|b| if b.from == b.to { format!("{} {}", b.level, b.from) } else { format!("{} {}-{}", b.level, b.from, b.to) })
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(wrong: &[FieldError]) -> Vec<&str> {
        wrong.iter().map(|e| e.field.as_str()).collect()
    }

    fn with(change: impl Fn(&mut Scale)) -> Vec<FieldError> {
        let mut scale = Scale::built_in();
        change(&mut scale);
        scale.problems()
    }

    #[test]
    fn the_scale_that_is_built_in_gives_each_rating_its_level() {
        let scale = Scale::built_in();
        assert_eq!(scale.problems(), []);
        let row = |l: i64| (1..=4).map(|i| scale.level(l, i).map_or("–", |b| b.level.as_str())).collect::<Vec<_>>().join(" ");
        assert_eq!(
            [row(4), row(3), row(2), row(1)],
            ["Medium High Extreme Extreme", "Medium High High Extreme", "Low Medium High High", "Low Low Medium Medium"]
        );
        for (l, i) in [(0, 1), (1, 0), (5, 1), (1, 5), (-1, -1)] {
            assert_eq!(scale.level(l, i), None, "{l} × {i}");
        }
        assert!(scale.is_grave(3, 2) && !scale.is_grave(2, 2));
        assert_eq!(scale.bands.iter().map(|b| scale.tone(b)).collect::<Vec<_>>(), [Tone::Low, Tone::Medium, Tone::High, Tone::Extreme]);
    }

    #[test]
    fn what_is_wrong_with_a_scale_names_its_field() {
        assert_eq!(fields(&with(|s| s.likelihood.truncate(1))), ["likelihood"]);
        assert_eq!(fields(&with(|s| s.impact[2] = "Minor".into())), ["impact[2]"]);
        assert_eq!(fields(&with(|s| s.bands[1].from = 2)), ["bands[1].from"]);
        assert_eq!(fields(&with(|s| s.bands[2].to = 5)), ["bands[2].to"]);
        assert_eq!(fields(&with(|s| s.bands[3].to = 17)), ["bands[3].to"]);
        assert_eq!(fields(&with(|s| s.bands[0].from = 0)), ["bands[0].from"]);
        assert_eq!(fields(&with(|s| s.bands.swap(0, 1))), ["bands[1].from"]);
        assert_eq!(fields(&with(|s| s.bands[3].level = "high".into())), ["bands[3].level"]);
        assert_eq!(fields(&with(|s| s.threshold = "Grave".into())), ["threshold"]);
        let lost = with(|s| s.bands[2].from = 8);
        assert_eq!(fields(&lost), ["bands"]);
        assert!(lost[0].message.contains("product 6"), "{}", lost[0]);
        assert!(fields(&with(|s| s.bands.clear())).starts_with(&["bands"]));
    }

    #[test]
    fn scales_are_read_from_text() {
        let bands = read_bands("Low 1-2\n Medium: 3 to 4 \n\nHigh 6–9\nVery high 12-16").unwrap();
        assert_eq!(
            bands.iter().map(|b| (b.level.as_str(), b.from, b.to)).collect::<Vec<_>>(),
            [("Low", 1, 2), ("Medium", 3, 4), ("High", 6, 9), ("Very high", 12, 16)]
        );
        assert_eq!(read_bands(&write_bands(&bands)).unwrap(), bands);
        assert_eq!(read_bands("Extreme 16").unwrap(), [Band { level: "Extreme".into(), from: 16, to: 16 }]);
        for text in ["Low", "1-2", "Low 1-2-3", "Low 99999999999999999999"] {
            assert_eq!(fields(&read_bands(text).unwrap_err()), ["bands[0]"], "{text}");
        }
        assert_eq!(read_axis(" rare\n\nlikely \n"), ["rare", "likely"]);
    }

    #[test]
    fn versions_of_scales_are_written_and_read() {
        for (text, name, version) in [("2021", "2021", 1), ("2021 v2", "2021", 2)] {
            let read: ScaleRef = text.parse().unwrap();
            assert_eq!((read.name.as_str(), read.version, read.to_string().as_str()), (name, version, text));
        }
        for text in ["", "2021 v0", "2021 vx"] {
            assert!(text.parse::<ScaleRef>().is_err(), "{text}");
        }
    }
}
