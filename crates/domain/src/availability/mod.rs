//! Availability and reliability of a service, by month and by day (R43).
//!
//! Lives here: ARGO's formulas, which of several figures is shown, what is below its target, what may be entered by
//! hand. Beside it: [`month`], and the [`source`] that figures are fetched from.
//! May not: the formats of ARGO's answers, fetching, storing, the clock.
//! Invariant: what is not known is no figure. It never counts as 0 and never as 100.

pub mod month;
pub mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::month::{BadMonth, Month};
use crate::{field::FieldError, run::text_enum, units::Timestamp};

/// The longest explanation of a month, in bytes.
pub const LONGEST_NOTE: usize = 4_000;
/// The most months that are looked at in one piece: 20 years.
pub const MOST_MONTHS: usize = 240;
/// ARGO rounds fractions to five digits: sums of three of them are off by no more.
const ROUNDING: f64 = 2e-5;

/// How a period passed, in fractions of it. What is left was down without notice.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parts {
    pub up: f64,
    /// Nothing was measured.
    pub unknown: f64,
    /// Down as announced.
    pub down: f64,
}

impl Parts {
    /// What keeps these from being parts of one period, if anything.
    pub fn problem(&self) -> Option<&'static str> {
        let all = [self.up, self.unknown, self.down];
        if all.iter().any(|p| !p.is_finite() || !(0.0..=1.0 + ROUNDING).contains(p)) {
            return Some("is not between 0 and 1");
        }
        (all.iter().sum::<f64>() > 1.0 + 2.0 * ROUNDING).then_some("is more than the whole period together with the others")
    }

    /// Availability is up / (1 − unknown), reliability is up / (1 − unknown − down).
    pub fn figures(&self) -> Figures {
        let of = |known: f64| (known > ROUNDING).then(|| (100.0 * self.up / known).clamp(0.0, 100.0)).map(rounded);
        Figures { availability: of(1.0 - self.unknown), reliability: of(1.0 - self.unknown - self.down) }
    }
}

/// Percent, or nothing where nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    pub availability: Option<f64>,
    pub reliability: Option<f64>,
}

impl Figures {
    pub const fn is_empty(&self) -> bool {
        self.availability.is_none() && self.reliability.is_none()
    }

    /// Which of both is below what was agreed.
    pub fn below(&self, targets: &Targets) -> Below {
        Below { availability: is_below(self.availability, targets.availability), reliability: is_below(self.reliability, targets.reliability) }
    }
}

/// What was agreed, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Targets {
    pub availability: Option<f64>,
    pub reliability: Option<f64>,
}

/// What is below its target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Below {
    pub availability: bool,
    pub reliability: bool,
}

impl Below {
    pub const fn any(self) -> bool {
        self.availability || self.reliability
    }
}

/// Both are compared as they are shown, so that ARGO's 99.999999 is 100.
fn is_below(figure: Option<f64>, target: Option<f64>) -> bool {
    figure.zip(target).is_some_and(|(f, t)| rounded(f) < rounded(t))
}

/// Percent to three decimals.
pub fn rounded(percent: f64) -> f64 {
    (percent * 1_000.0).round() / 1_000.0
}

/// Writes percent with two or three decimals: `78.53`, `54.035`, `100.00`.
pub fn percent(figure: f64) -> String {
    let text = format!("{:.3}", rounded(figure));
    text.strip_suffix('0').map_or_else(|| text.clone(), str::to_owned)
}

/// Reads percent as people type it: `78.53`, `78,53`, `78.53 %`.
pub fn read_percent(field: &str, text: &str) -> Result<Option<f64>, FieldError> {
    let text = text.trim().trim_end_matches('%').trim_end().replace(',', ".");
    if text.is_empty() {
        return Ok(None);
    }
    let is_number = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    match text.parse::<f64>() {
        Ok(p) if is_number && (0.0..=100.0).contains(&p) => Ok(Some(rounded(p))),
        _ => Err(FieldError::new(field, "must be a percentage between 0 and 100, such as 98.5")),
    }
}

text_enum! {
    /// Who says so. The order is that in which one counts before another where nobody has chosen.
    Origin {
        /// A person.
        Hand => "hand",
        /// ARGO's API.
        Argo => "argo",
    }
}

impl Origin {
    pub const fn words(self) -> &'static str {
        match self {
            Self::Hand => "entered by hand",
            Self::Argo => "from ARGO",
        }
    }
}

/// What was recorded of a period, with its origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    pub origin: Origin,
    pub figures: Figures,
    /// Where the origin tells them.
    pub parts: Option<Parts>,
    /// Who entered it, or where it was fetched.
    pub by: String,
    pub at: Timestamp,
    /// When somebody chose to show this one, and who.
    pub chosen_at: Option<Timestamp>,
    pub chosen_by: Option<String>,
}

/// Puts the one that is shown first: the one that was chosen last; without a choice what was entered by hand stays.
pub fn in_order(recorded: &mut [Recorded]) {
    recorded.sort_by_key(|r| (std::cmp::Reverse(r.chosen_at), Origin::ALL.iter().position(|o| *o == r.origin)));
}

/// Why a month is as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub text: String,
    pub by: String,
    pub at: Timestamp,
}

/// One month with all that is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MonthFigures {
    pub month: Month,
    /// The one that is shown, and the others behind it.
    pub recorded: Vec<Recorded>,
    pub below: Below,
    pub note: Option<Note>,
}

impl MonthFigures {
    pub fn shown(&self) -> Option<&Recorded> {
        self.recorded.first()
    }

    pub fn figures(&self) -> Figures {
        self.shown().map(|r| r.figures).unwrap_or_default()
    }

    /// Below its target, and nobody has said why.
    pub const fn wants_note(&self) -> bool {
        self.below.any() && self.note.is_none()
    }
}

/// Every month from `from` to `to`, also those of which nothing is known.
pub fn series(mut recorded: BTreeMap<Month, Vec<Recorded>>, mut notes: BTreeMap<Month, Note>, targets: &Targets, from: Month, to: Month) -> Vec<MonthFigures> {
    from.through(to)
        .take(MOST_MONTHS)
        .map(|month| {
            let mut recorded = recorded.remove(&month).unwrap_or_default();
            in_order(&mut recorded);
            let below = recorded.first().map(|r| r.figures.below(targets)).unwrap_or_default();
            MonthFigures { month, recorded, below, note: notes.remove(&month) }
        })
        .collect()
}

/// A month as somebody enters it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub month: Month,
    pub figures: Figures,
    /// To be shown instead of what ARGO says.
    pub instead: bool,
}

/// Everything that keeps a month from being entered. `present` is the month of now; `shown` is what is shown today.
pub fn entry_problems(entry: &Entry, present: Month, shown: Option<&Recorded>) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    if entry.month > present {
        wrong.push(FieldError::new("month", "is in the future; enter a month that has begun"));
    }
    if entry.figures.is_empty() {
        wrong.push(FieldError::new("availability", "is empty; give the availability, the reliability, or both, in percent"));
    }
    for (field, figure) in [("availability", entry.figures.availability), ("reliability", entry.figures.reliability)] {
        if figure.is_some_and(|f| !(0.0..=100.0).contains(&f)) {
            wrong.push(FieldError::new(field, "must be a percentage between 0 and 100, such as 98.5"));
        }
    }
    if let Some(Recorded { origin: Origin::Argo, figures, .. }) = shown
        && !entry.instead
    {
        let say = |f: Option<f64>| f.map_or_else(|| "no figure".to_owned(), |f| format!("{} %", percent(f)));
        let (a, r) = (say(figures.availability), say(figures.reliability));
        wrong.push(FieldError::new(
            "instead",
            format!("ARGO says availability {a} and reliability {r} for {}; say that yours is to be shown instead, both are kept", entry.month),
        ));
    }
    wrong
}

/// What is wrong with an explanation, if anything.
pub fn note_problem(text: &str) -> Option<&'static str> {
    if text.trim().is_empty() {
        Some("is empty; say in a sentence what happened")
    } else if text.len() > LONGEST_NOTE {
        Some("is longer than 4000 bytes; shorten it and link to the rest")
    } else if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        Some("holds a control character; remove it")
    } else {
        None
    }
}
