//! The step that looks whether a pass changed more than is usual, before anything is forgotten (R21).
//!
//! Lives here: gathering measures and histories, placing holds. May not: judging (`domain::guard`), deciding about a
//! hold (a person does, through `ops::holds`).
//! Invariants: an item under a hold that stands gets no second one; a hold, the marks on its snapshots, its event and
//! its audit event are one transaction; done twice, the step changes nothing.

use domain::{
    guard::{self, Crowd, Facts, Finding, Past},
    id::{HoldId, ItemId, ServiceId, SnapshotId, SourceId},
    units::Timestamp,
    work::PlacedHold,
};
use serde_json::{Value, json};
use store::{
    audit::{self, NewEvent},
    guard::{self as measures, TakenRow},
    holds::{self, HoldKind, NewHold},
    items,
};
use uuid::Uuid;

use crate::{
    exec::Cx,
    step::{Done, Result, Step},
};

/// Snapshots read at a time, and holds that a run's result names.
const PAGE: i64 = 500;
const NAMED: i64 = 20;

pub struct Guard {
    pub source: SourceId,
    pub service: ServiceId,
    /// All items were read, so that those that are missing are known.
    pub whole: bool,
}

/// A snapshot that is out of the ordinary.
struct Found {
    taken: TakenRow,
    findings: Vec<Finding>,
    compared: usize,
}

#[async_trait::async_trait]
impl Step for Guard {
    const NAME: &'static str = "guard";
    /// Holds that stand because of this run.
    type Out = i64;

    fn input(&self) -> Value {
        json!({"source": self.source, "whole": self.whole})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<i64>> {
        let mut crowd = Crowd::default();
        let (mut found, mut small) = (Vec::new(), Vec::new());
        let mut after = Uuid::nil();
        loop {
            cx.check()?;
            let mut read = cx.deps.db.read().await?;
            let page = measures::of_run(read.tx(), cx.id(), after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            for taken in page {
                // What came under a hold that stands is judged when a person has decided.
                let Some(measure) = taken.measure.as_ref().filter(|_| taken.doubt_hold_id.is_none()).map(|m| m.0.clone()) else { continue };
                let in_question = crowd.add(&measure);
                if !measure.is_quiet() {
                    let key = (Timestamp(taken.taken_at), SnapshotId(taken.id));
                    let history = measures::history(read.tx(), ItemId(taken.item_id), key, guard::COMPARED as i64).await?;
                    let findings = guard::judge(&history, &Past { measure, partial: taken.state == "partial", accepted: false });
                    if !findings.is_empty() {
                        found.push(Found { taken, findings, compared: history.len() });
                        continue;
                    }
                }
                if in_question {
                    small.push(taken);
                }
            }
        }
        crowd.held = found.len() as i64;
        if self.whole {
            let since = Timestamp(cx.run.started_at.unwrap_or(cx.run.queued_at));
            (crowd.known, crowd.gone) = items::count_gone(cx.deps.db.read().await?.tx(), self.source, since).await?;
        }
        if crowd.is_one_event() {
            self.hold_service(cx, crowd, &found, &small).await?;
        } else {
            for one in &found {
                self.hold_item(cx, one).await?;
            }
        }
        let placed = measures::placed_by(cx.deps.db.read().await?.tx(), cx.id(), i64::MAX).await?;
        Ok(Done::ok(placed.len() as i64))
    }
}

impl Guard {
    async fn hold_item(&self, cx: &Cx, found: &Found) -> Result<()> {
        let taken = &found.taken;
        let facts = Facts {
            snapshot: Some(SnapshotId(taken.id)),
            taken_at: Timestamp(taken.taken_at),
            findings: found.findings.clone(),
            measure: taken.measure.as_ref().map(|m| m.0.clone()).unwrap_or_default(),
            compared: found.compared,
            crowd: None,
        };
        let item = ItemId(taken.item_id);
        if measures::standing_of_item(cx.deps.db.read().await?.tx(), item).await?.is_none() {
            self.place(cx, Some((item, taken.item_name.as_str())), &facts, &[SnapshotId(taken.id)]).await?;
        }
        Ok(())
    }

    /// One hold for many items: one event, one decision.
    async fn hold_service(&self, cx: &Cx, mut crowd: Crowd, found: &[Found], small: &[TakenRow]) -> Result<()> {
        if measures::standing_of_service(cx.deps.db.read().await?.tx(), self.service, cx.id()).await?.is_some() {
            return Ok(());
        }
        let all = || found.iter().map(|f| &f.taken).chain(small);
        crowd.names = all().take(NAMED as usize).map(|t| t.item_name.clone()).collect();
        let first = all().min_by_key(|t| (t.taken_at, t.id));
        let facts = Facts {
            snapshot: first.map(|t| SnapshotId(t.id)),
            taken_at: first.map_or_else(|| cx.now(), |t| Timestamp(t.taken_at)),
            findings: Vec::new(),
            measure: guard::sum(all().filter_map(|t| t.measure.as_ref().map(|m| &m.0))),
            compared: 0,
            crowd: Some(crowd),
        };
        let marked: Vec<SnapshotId> = all().map(|t| SnapshotId(t.id)).collect();
        self.place(cx, None, &facts, &marked).await
    }

    async fn place(&self, cx: &Cx, item: Option<(ItemId, &str)>, facts: &Facts, marked: &[SnapshotId]) -> Result<()> {
        let reason = facts.reason();
        let what = item.map_or("the service", |(_, name)| name);
        let message = format!("{what} is on hold, and prunes of its repository pause until a person has decided: {reason}");
        let detail = json!({"item": item.map(|(_, name)| name), "signs": facts.names()});
        let mut t = cx.begin_audited(&[cx.event("log", "warn", message, Some(detail))]).await?;
        let new = NewHold {
            service: self.service,
            item: item.map(|(id, _)| id),
            snapshot: None,
            kind: HoldKind::Guard,
            reason: reason.clone(),
            facts: serde_json::to_value(facts).ok(),
            run: Some(cx.id()),
            actor: "holdfast".to_owned(),
        };
        let hold = holds::place(t.tx(), &new, cx.now()).await?;
        for snapshot in marked {
            measures::mark(t.tx(), *snapshot, hold).await?;
        }
        let after = json!({"kind": "guard", "item": item.map(|(_, name)| name), "service": self.service, "run": cx.id(), "reason": reason});
        let event = NewEvent { action: "hold.place", entity: "hold", entity_id: hold.to_string(), before: None, after: Some(after) };
        audit::record(t.tx(), cx.now(), "holdfast", "worker", event).await?;
        cx.commit(t).await
    }
}

/// The holds that stand because of the run, for its result.
pub async fn placed(cx: &Cx) -> Result<Vec<PlacedHold>> {
    let rows = measures::placed_by(cx.deps.db.read().await?.tx(), cx.id(), NAMED).await?;
    Ok(rows.into_iter().map(|r| PlacedHold { hold: HoldId(r.id), item: r.item_name, reason: r.reason }).collect())
}
