//! What stands in a plan and is kept elsewhere, collected for one version.
//!
//! Lives here: the last restore test and the revision history. May not: judging. Risks, reviews, months and waivers come
//! from the modules that keep them.

use domain::{
    availability::Targets,
    id::ServiceId,
    plan::{Annex, Event, RevisionFact, RiskFact, TestFact},
    units::Timestamp,
};
use store::{
    db::Transaction,
    plans::{self, EventRow, VersionRow},
    restore_tests::{self, Filter, RestoreTestRow},
    services::ServiceRow,
};
use uuid::Uuid;

use super::{MOST, Version};
use crate::{
    Ctx, Result, availability, lint,
    permission::{Action, On, require_on},
    reviews,
    risks::{self, PlanRisk},
};

/// The annex of a version: as it was frozen, or as it would be frozen now.
pub async fn annex(ctx: &Ctx, service: &ServiceRow, version: &Version) -> Result<Annex> {
    require_on(ctx, Action::Read, On::Service(service.id()))?;
    if let Some(frozen) = &version.row.annex {
        return Ok(frozen.0.clone());
    }
    let mut t = ctx.db.begin_read().await?;
    collect(ctx, &mut t, service, &version.row).await
}

/// What is frozen when a version is submitted.
pub(super) async fn collect(ctx: &Ctx, t: &mut Transaction, service: &ServiceRow, row: &VersionRow) -> Result<Annex> {
    let newest = (Timestamp(i64::MAX), Uuid::max());
    let test = restore_tests::page(t.tx(), &Filter { service: Some(service.id()), ..Filter::default() }, newest, 1).await?.pop().as_ref().map(test);
    let events = plans::events(t.tx(), ServiceId(row.service_id), MOST).await?;
    let reviews = reviews::facts_of_plan(t.tx(), service, reviews::today(ctx)).await?;
    let now = ctx.now();
    let risks = risks::of_plan(t.tx(), service, now).await?.into_iter().map(risk).collect();
    let waivers = lint::of_plan(t.tx(), service.id(), now).await?;
    let agreed = &row.content.0.performance;
    let agreed = Targets { availability: agreed.availability, reliability: agreed.reliability };
    let months = availability::facts(t.tx(), service, &agreed).await?;
    Ok(Annex { risks, reviews, months, test, revisions: revisions(row, &events), waivers })
}

fn risk(r: PlanRisk) -> RiskFact {
    RiskFact {
        id: r.number,
        title: r.description,
        components: r.components,
        measures: r.measures.into_iter().map(|m| m.text).collect(),
        likelihood: r.likelihood,
        impact: r.impact,
        level: r.level,
        conflict: r.conflict,
        expected_downtime: r.downtime,
        comment: r.comment,
        treatment: r.treatment.unwrap_or_default(),
        owner: r.owner,
        due: r.due,
    }
}

fn test(t: &RestoreTestRow) -> TestFact {
    TestFact {
        id: t.id.to_string(),
        started_at: Timestamp(t.started_at),
        finished_at: Timestamp(t.finished_at),
        verdict: t.verdict.clone(),
        level: t.level.clone(),
        rto_s: t.rto_s,
        rpo_s: t.rpo_s,
        items_restored: t.items_restored,
        items_failed: t.items_failed,
    }
}

/// The revision history up to a version: what its content says of earlier ones, then what happened here.
fn revisions(row: &VersionRow, events: &[EventRow]) -> Vec<RevisionFact> {
    let past = row.content.0.past_revisions.iter().map(|r| RevisionFact {
        version: r.version.clone(),
        date: r.date.clone(),
        by: r.by.clone(),
        comment: r.comment.clone(),
    });
    let here = events.iter().filter(|e| e.number <= row.number).filter_map(|e| {
        let kind = Event::parse(&e.kind)?;
        let comment = if e.note.is_empty() { kind.words().to_owned() } else { format!("{}: {}", kind.words(), e.note) };
        Some(RevisionFact { version: format!("v{}", e.number), date: date(e.at), by: e.actor.clone(), comment })
    });
    past.chain(here).collect()
}

/// The civil date of a moment, in UTC.
pub(super) fn date(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros).unwrap_or_default().strftime("%Y-%m-%d").to_string()
}
