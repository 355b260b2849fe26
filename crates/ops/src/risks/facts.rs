//! Risks with what is derived of them: levels, conflicts, what is missing, how proofs stand.
//!
//! Lives here: collecting the facts behind proofs, once for all risks of a service. May not: judging (`domain::risk`).

use std::collections::BTreeMap;

use domain::{
    evidence::Verdict,
    risk::{
        Link, Measure, Missing, Risk,
        proof::{self, Facts, MOST_TICKS, Schedule, Standing, State, Tick},
        scale::{Scale, Tone},
    },
    units::Timestamp,
};
use serde::{Deserialize, Serialize};
use store::{
    Tx,
    risks::{self, RiskRow},
    schedules,
    services::ServiceRow,
    ticks,
};
use uuid::Uuid;

use super::{MOST, Scales};
use crate::{OpsError, Result};

/// A measure with how its proof stands.
#[derive(Clone, Debug)]
pub struct Measured {
    pub measure: Measure,
    pub standing: Standing,
}

/// A risk with all that is derived of it.
#[derive(Clone, Debug)]
pub struct Judged {
    pub row: RiskRow,
    /// The version of the scale that it was rated by.
    pub scale: Scale,
    pub level: String,
    pub tone: Tone,
    /// How the stated level contradicts the rating, in words.
    pub conflict: Option<String>,
    /// What its level asks for and it lacks.
    pub incomplete: Vec<Missing>,
    pub measures: Vec<Measured>,
    /// Of all proofs together: red wins.
    pub state: State,
    /// Why it is red, a sentence for each measure.
    pub reasons: Vec<String>,
}

impl Judged {
    pub const fn risk(&self) -> &Risk {
        &self.row.content.0
    }
}

/// Judges risks of one service.
pub(super) async fn judge(mut tx: Tx<'_>, service: &ServiceRow, rows: Vec<RiskRow>, now: Timestamp) -> Result<Vec<Judged>> {
    let scales = Scales::load(tx.by_ref()).await?;
    let proofs = Proofs::collect(tx, service, rows.iter().map(|r| &r.content.0), now).await?;
    rows.into_iter().map(|row| one(row, &scales, &proofs, now)).collect()
}

fn one(row: RiskRow, scales: &Scales, proofs: &Proofs, now: Timestamp) -> Result<Judged> {
    let risk = &row.content.0;
    let unknown = || OpsError::internal(format!("risk {} was rated by the scale {}, which is not there", row.number, risk.scale));
    let scale = scales.get(&risk.scale).ok_or_else(unknown)?.clone();
    let band = scale.level(risk.likelihood, risk.impact).ok_or_else(unknown)?;
    let measures: Vec<Measured> = risk.measures.iter().map(|m| Measured { measure: m.clone(), standing: proof::judge(&proofs.of(m), now) }).collect();
    let (state, reasons) = proof::of_risk(measures.iter().map(|m| (m.measure.text.as_str(), &m.standing)));
    Ok(Judged {
        level: band.level.clone(),
        tone: scale.tone(band),
        conflict: risk.conflict(&scale).map(|c| c.words()),
        incomplete: risk.incomplete(&scale),
        measures,
        state,
        reasons,
        scale,
        row,
    })
}

/// The facts behind all proofs of a service's risks.
struct Proofs {
    schedules: BTreeMap<String, Facts>,
    tests: Facts,
}

impl Proofs {
    async fn collect(mut tx: Tx<'_>, service: &ServiceRow, risks: impl Iterator<Item = &Risk>, now: Timestamp) -> Result<Self> {
        let test = service.last_test_at.zip(service.last_test_verdict.as_deref().and_then(Verdict::parse));
        let tests = Facts::RestoreTests(test.map(|(at, verdict)| (Timestamp(at), verdict)));
        let mut schedules = BTreeMap::new();
        for measure in risks.flat_map(|r| &r.measures) {
            if let Some(Link::Schedule { name }) = &measure.proof
                && !schedules.contains_key(name)
            {
                schedules.insert(name.clone(), schedule(tx.by_ref(), service, name, now).await?);
            }
        }
        Ok(Self { schedules, tests })
    }

    fn of(&self, measure: &Measure) -> Facts {
        match &measure.proof {
            None => Facts::Nothing,
            Some(Link::Address { .. }) => Facts::Stated,
            Some(Link::RestoreTests) => self.tests.clone(),
            Some(Link::Schedule { name }) => self.schedules.get(name).cloned().unwrap_or_else(|| Facts::NoSchedule(name.clone())),
        }
    }
}

async fn schedule(mut tx: Tx<'_>, service: &ServiceRow, name: &str, now: Timestamp) -> Result<Facts> {
    let found = schedules::find_by_name(tx.by_ref(), name).await?.filter(|s| s.service_id == Some(service.id));
    let Some(row) = found else { return Ok(Facts::NoSchedule(name.to_owned())) };
    let filter = ticks::Filter { schedule: Some(row.id()), ..ticks::Filter::default() };
    let newest = ticks::page(tx, filter, (Timestamp(i64::MAX), Uuid::max()), MOST_TICKS as i64).await?;
    let ticks = newest.iter().map(|t| Ok(Tick { due_at: Timestamp(t.due_at), state: t.state()? })).collect::<Result<_>>()?;
    Ok(Facts::Schedule(Schedule {
        created_at: Timestamp(row.created_at),
        removed_at: row.removed_at.map(Timestamp),
        paused_since: row.pause().filter(|p| p.covers(now)).map(|p| p.from),
        next_run_at: Timestamp(row.next_run_at),
        ticks,
        name: row.name,
    }))
}

/// A measure as a plan's annex tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanMeasure {
    pub text: String,
    pub state: State,
    /// Why, with the time in UTC where it is red.
    pub proof: String,
    /// Whether anything is linked that could prove it.
    pub linked: bool,
}

/// A risk as a plan's annex tells it: words alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRisk {
    pub number: i64,
    pub description: String,
    pub components: String,
    pub measures: Vec<PlanMeasure>,
    pub scale: String,
    pub likelihood: i64,
    pub likelihood_name: String,
    pub impact: i64,
    pub impact_name: String,
    pub score: i64,
    pub level: String,
    pub stated_level: Option<String>,
    pub conflict: Option<String>,
    pub downtime: String,
    pub comment: String,
    pub treatment: Option<String>,
    pub owner: String,
    pub due: Option<String>,
    pub review: String,
    pub state: State,
    pub reasons: Vec<String>,
    /// The fields that its level asks for and it lacks.
    pub incomplete: Vec<String>,
}

impl From<Judged> for PlanRisk {
    fn from(j: Judged) -> Self {
        let step = |names: &[String], at: i64| usize::try_from(at - 1).ok().and_then(|i| names.get(i)).cloned().unwrap_or_default();
        let risk = j.row.content.0;
        let measures = j.measures.into_iter().map(|m| PlanMeasure {
            linked: matches!(m.measure.proof, Some(Link::Schedule { .. } | Link::RestoreTests)),
            text: m.measure.text,
            state: m.standing.state,
            proof: m.standing.words(),
        });
        Self {
            number: j.row.number,
            measures: measures.collect(),
            scale: risk.scale.to_string(),
            likelihood_name: step(&j.scale.likelihood, risk.likelihood),
            impact_name: step(&j.scale.impact, risk.impact),
            score: risk.score(),
            level: j.level,
            conflict: j.conflict,
            treatment: risk.treatment.map(|t| t.to_string()),
            due: risk.due.map(|d| d.to_string()),
            review: risk.review.words().to_owned(),
            state: j.state,
            reasons: j.reasons,
            incomplete: j.incomplete.into_iter().map(|m| m.as_str().to_owned()).collect(),
            description: risk.description,
            components: risk.components,
            likelihood: risk.likelihood,
            impact: risk.impact,
            stated_level: risk.stated_level,
            downtime: risk.downtime,
            comment: risk.comment,
            owner: risk.owner,
        }
    }
}

/// The risks of a service as they stand now. For other use cases, which have asked for permission.
pub async fn of_plan(mut tx: Tx<'_>, service: &ServiceRow, now: Timestamp) -> Result<Vec<PlanRisk>> {
    let rows = risks::of_service(tx.by_ref(), service.id(), MOST).await?;
    Ok(judge(tx, service, rows, now).await?.into_iter().map(PlanRisk::from).collect())
}
