//! Many risks changed at once: one form, one row a risk, one save (R39).
//!
//! Lives here: reading what was typed, and the transaction. May not: rules of one risk (those of [`super::change_if`]).
//! Invariant: nothing is saved unless every row is right, and every error names its row: `risks[5].likelihood`.

use domain::{
    field::FieldError,
    risk::{ReviewState, Risk, Treatment},
};
use serde::{Deserialize, Serialize};
use store::{
    Tx,
    risks::{self, RiskRow},
};

use super::{MOST, Scales, fits, row, service, write};
use crate::{
    Ctx, OpsError, Result,
    permission::{Action, On, require_on},
    version::Seen,
};

/// What was typed into one row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub number: i64,
    /// The revision that the form showed.
    pub revision: i64,
    #[serde(default)]
    pub likelihood: String,
    #[serde(default)]
    pub impact: String,
    #[serde(default)]
    pub treatment: String,
    #[serde(default)]
    pub owner: String,
    #[serde(default)]
    pub due: String,
    #[serde(default)]
    pub review: String,
}

impl Row {
    /// The row as a form shows a risk.
    pub fn of(number: i64, revision: i64, risk: &Risk) -> Self {
        Self {
            number,
            revision,
            likelihood: risk.likelihood.to_string(),
            impact: risk.impact.to_string(),
            treatment: risk.treatment.map(|t| t.to_string()).unwrap_or_default(),
            owner: risk.owner.clone(),
            due: risk.due.map(|d| d.to_string()).unwrap_or_default(),
            review: risk.review.to_string(),
        }
    }

    /// The risk with what was typed in place of what it said.
    fn onto(&self, risk: &Risk) -> Result<Risk, Vec<FieldError>> {
        let mut wrong = Vec::new();
        let mut step = |field: &str, text: &str, was: i64| {
            text.trim().parse().unwrap_or_else(|_| {
                wrong.push(FieldError::new(field, format!("“{}” is no whole number; give a step of the scale", text.trim())));
                was
            })
        };
        let (likelihood, impact) = (step("likelihood", &self.likelihood, risk.likelihood), step("impact", &self.impact, risk.impact));
        let (treatment, due, review) = (self.treatment.trim(), self.due.trim(), self.review.trim());
        let new = Risk {
            likelihood,
            impact,
            treatment: Treatment::parse(treatment),
            owner: self.owner.trim().to_owned(),
            due: due.parse().ok(),
            review: ReviewState::parse(review).unwrap_or(risk.review),
            ..risk.clone()
        };
        if new.treatment.is_none() && !treatment.is_empty() {
            wrong.push(FieldError::new("treatment", format!("“{treatment}” is no treatment; give accept, reduce, transfer or avoid")));
        }
        if new.due.is_none() && !due.is_empty() {
            wrong.push(FieldError::new("due", format!("“{due}” is no date; write it as 2021-05-31")));
        }
        if ReviewState::parse(review).is_none() {
            wrong.push(FieldError::new("review", format!("“{review}” is no state of a review; give open, in_review or reviewed")));
        }
        if wrong.is_empty() { Ok(new) } else { Err(wrong) }
    }
}

/// Changes all risks whose rows differ from what the form showed, or none of them. How many were changed.
///
/// # Errors
/// `Stale` where somebody else was first with one of those, `Invalid` with every error of every row.
pub async fn change_all(ctx: &Ctx, name: &str, rows: &[Row]) -> Result<usize> {
    require_on(ctx, Action::Plan, On::Any)?;
    let mut t = ctx.db.begin_audited().await?;
    let service = service(ctx, t.tx(), name, Action::Plan).await?;
    if rows.len() as i64 > MOST {
        return Err(OpsError::invalid("risks", format!("lists more than {MOST} risks; change them in parts")));
    }
    let scales = Scales::load(t.tx()).await?;
    let (mut wrong, mut changed) = (Vec::new(), 0);
    for typed in rows {
        let old = row(t.tx(), service.id(), typed.number).await?;
        let shown = shown(t.tx(), &old, typed.revision).await?;
        if shown.as_ref() == Some(typed) {
            continue;
        }
        fits(t.tx(), &old, &Seen::Versions(vec![typed.revision.to_string()])).await?;
        let errors = match typed.onto(&old.content) {
            Ok(risk) => write(ctx, t.tx(), &scales, &service, &old, &risk).await?,
            Err(errors) => errors,
        };
        changed += 1;
        wrong.extend(errors.into_iter().map(|e| FieldError::new(format!("risks[{}].{}", typed.number, e.field), e.message)));
    }
    if !wrong.is_empty() {
        return Err(OpsError::Invalid(wrong));
    }
    t.commit().await?;
    Ok(changed)
}

/// The rows that somebody changed in the form, whatever became of their risks since.
pub async fn touched(ctx: &Ctx, name: &str, rows: Vec<Row>) -> Result<Vec<Row>> {
    let mut read = ctx.db.read().await?;
    let service = service(ctx, read.tx(), name, Action::Plan).await?;
    let mut left = Vec::new();
    for typed in rows.into_iter().take(usize::try_from(MOST).unwrap_or(0)) {
        let Some(old) = risks::find(read.tx(), service.id(), typed.number).await? else { continue };
        if shown(read.tx(), &old, typed.revision).await?.as_ref() != Some(&typed) {
            left.push(typed);
        }
    }
    Ok(left)
}

/// The row as the form showed it, by the revision that it was drawn from.
async fn shown(tx: Tx<'_>, old: &RiskRow, revision: i64) -> Result<Option<Row>> {
    if old.revision == revision {
        return Ok(Some(Row::of(old.number, revision, &old.content)));
    }
    let before = risks::revisions(tx, old.id(), revision.saturating_add(1), 1).await?;
    Ok(before.into_iter().find(|r| r.revision == revision).map(|r| Row::of(old.number, revision, &r.content)))
}
