//! The step `forget` of a backup: what the source's policy no longer keeps goes (R16).
//!
//! Lives here: the step. May not: the rules (`domain::retention`), what stands against them (`ops::retention`).
//! It looks at items whose snapshot in this very run is complete, and at no others: forgetting follows a success, item
//! by item. That a snapshot is about to go is recorded before it goes, so that whatever stops the run, the records can
//! be made to agree with the repository. A failure is tolerated: the next backup forgets what this one could not.

use domain::{
    id::{ItemId, RepositoryId, ServiceId, SnapshotId, SourceId},
    retention::Rules,
    run::ItemState,
    work::StepFailure,
};
use engine::job::{FindJob, ForgetJob, ItemResult, Job, Outcome};
use ops::retention::{Judge, Judged, policy_of};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{
    Tx,
    audit::{self, NewEvent},
    run_items, snapshots,
};

use super::{gone, repository};
use crate::{
    child::{self, Nothing, Recorder},
    deps::Moment,
    exec::Cx,
    step::{Break, Done, Result, Step},
};

/// Items looked at in one go, and snapshots recorded in one transaction.
const BATCH: i64 = 200;
/// Snapshots that one event names.
const NAMED: usize = 20;
/// Why, where it was not recorded.
const WHY: &str = "forgotten";

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Forgot {
    /// `None` where the source has no policy: then nothing is forgotten.
    pub policy: Option<String>,
    /// Items whose snapshots were decided on.
    pub items: i64,
    pub kept: i64,
    pub forgotten: i64,
}

/// A snapshot that is about to go.
struct Chosen {
    item: ItemId,
    id: SnapshotId,
    restic_id: String,
}

pub struct Forget {
    pub source: SourceId,
    pub service: ServiceId,
    pub repository: RepositoryId,
}

#[async_trait::async_trait]
impl Step for Forget {
    const NAME: &'static str = "forget";
    type Out = Forgot;

    fn input(&self) -> Value {
        json!({"source": self.source, "repository": self.repository})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Forgot>> {
        match self.forget(cx).await {
            Ok(out) => Ok(Done::ok(out)),
            Err(Break::Failed(f)) => {
                let f = StepFailure::new(f.code, format!("not everything was forgotten, the next backup tries again: {}", f.message), f.permanent);
                match self.settle(cx).await {
                    Ok(()) | Err(Break::Failed(_)) => {}
                    Err(other) => return Err(other),
                }
                let forgotten = snapshots::count_gone_by(cx.deps.db.read().await?.tx(), cx.id()).await?;
                Ok(Done { out: Forgot { forgotten, ..Forgot::default() }, tolerated: Some(f) })
            }
            Err(other) => Err(other),
        }
    }

    /// A snapshot that is gone is not brought back; the records say what is there.
    async fn undo(&self, cx: &Cx) -> Result<()> {
        self.settle(cx).await
    }
}

impl Forget {
    async fn forget(&self, cx: &Cx) -> Result<Forgot> {
        // What an earlier attempt or an earlier run was about to do is settled first.
        self.settle(cx).await?;
        let Some(policy) = policy_of(cx.deps.db.read().await?.tx(), self.source).await? else {
            return Ok(Forgot::default());
        };
        let mut out = Forgot { policy: Some(policy.name), ..Forgot::default() };
        if !policy.rules.forgets() {
            return Ok(out);
        }
        let judge = Judge::new(cx.deps.db.read().await?.tx(), policy.rules.0.clone(), self.service).await?;
        let (mut after, mut chosen) = (String::new(), Vec::new());
        loop {
            let page = run_items::page(cx.deps.db.read().await?.tx(), cx.id(), Some(ItemState::Ok), &after, BATCH).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.name);
            for row in &page {
                let Some(item) = row.item_id.map(ItemId) else { continue };
                let judged = judge.item(cx.deps.db.read().await?.tx(), item, self.repository, cx.now()).await?;
                out.items += 1;
                let go: Vec<&Judged> = judged.iter().filter(|j| !j.decision.is_kept()).collect();
                out.kept += (judged.len() - go.len()) as i64;
                if !go.is_empty() {
                    self.intend(cx, &row.name, judged.len() - go.len(), &go).await?;
                    chosen.extend(go.iter().map(|j| Chosen { item, id: SnapshotId(j.row.id), restic_id: j.row.restic_id.clone() }));
                }
            }
        }
        cx.fault(Self::NAME, Moment::Halfway)?;
        let spared = self.spare(cx, &policy.rules.0, &mut chosen).await?;
        out.kept += spared;
        if !chosen.is_empty() {
            let row = repository(cx, self.repository).await?;
            let asked = chosen.len();
            let chosen = chosen.into_iter().map(|c| c.restic_id).collect();
            match child::job(cx, Self::NAME, &row, |access| Job::Forget(ForgetJob { access, snapshots: chosen }), &Forgotten { repository: self.repository })
                .await?
            {
                Outcome::Forgotten => self.audit(cx, &out, asked).await?,
                other => return Err(child::unexpected(&other)),
            }
        }
        out.forgotten = snapshots::count_gone_by(cx.deps.db.read().await?.tx(), cx.id()).await?;
        Ok(out)
    }

    /// Takes back what is kept after all: choosing takes a while, and a person may have placed a hold or begun a restore
    /// meanwhile. How many.
    async fn spare(&self, cx: &Cx, rules: &Rules, chosen: &mut Vec<Chosen>) -> Result<i64> {
        let judge = Judge::new(cx.deps.db.read().await?.tx(), rules.clone(), self.service).await?;
        let kept = |c: &Chosen| judge.protects(c.item, c.id);
        let spared: Vec<SnapshotId> = chosen.iter().filter(|c| kept(c)).map(|c| c.id).collect();
        if spared.is_empty() {
            return Ok(0);
        }
        chosen.retain(|c| !spared.contains(&c.id));
        let message = format!("{} snapshots stay after all: they are on hold or needed by a restore since", spared.len());
        let mut t = cx.begin(&[cx.event("log", "info", message, None)]).await?;
        for id in &spared {
            snapshots::take_back(t.tx(), *id).await?;
        }
        cx.commit(t).await?;
        Ok(spared.len() as i64)
    }

    /// Records what is about to go of an item, and tells it with the reasons.
    async fn intend(&self, cx: &Cx, item: &str, kept: usize, go: &[&Judged]) -> Result<()> {
        let named: Vec<Value> =
            go.iter().take(NAMED).map(|j| json!({"snapshot": j.row.restic_id, "taken_at": j.row.taken_at, "why": j.decision.words()})).collect();
        let first = go.first().map(|j| j.decision.words()).unwrap_or_default();
        let message = match go.len() {
            1 => format!("{item}: forgets 1 snapshot ({first}), keeps {kept}"),
            n => format!("{item}: forgets {n} snapshots (the newest of them: {first}), keeps {kept}"),
        };
        let detail = json!({"item": item, "kept": kept, "forgotten": go.len(), "snapshots": named});
        let mut events = vec![cx.event("log", "info", message, Some(detail))];
        for part in go.chunks(BATCH as usize) {
            let mut t = cx.begin(&events).await?;
            for judged in part {
                snapshots::intend(t.tx(), SnapshotId(judged.row.id), &judged.decision.words(), cx.id()).await?;
            }
            cx.commit(t).await?;
            events.clear();
        }
        Ok(())
    }

    async fn audit(&self, cx: &Cx, out: &Forgot, asked: usize) -> Result<()> {
        let event = NewEvent {
            action: "snapshot.forget",
            entity: "source",
            entity_id: self.source.to_string(),
            before: None,
            after: Some(json!({"run": cx.id(), "policy": out.policy, "snapshots": asked})),
        };
        let mut t = cx.begin_audited(&[]).await?;
        audit::record(t.tx(), cx.now(), "holdfast", "worker", event).await?;
        cx.commit(t).await
    }

    /// Makes the records agree with the repository: what was about to go either went or stays. While that cannot be opened
    /// nobody knows, and the next backup looks.
    async fn settle(&self, cx: &Cx) -> Result<()> {
        loop {
            let left = snapshots::intended(cx.deps.db.read().await?.tx(), self.repository, cx.id(), BATCH).await?;
            if left.is_empty() {
                return Ok(());
            }
            let row = repository(cx, self.repository).await?;
            let ids: Vec<String> = left.iter().map(|l| l.restic_id.clone()).collect();
            let outcome = child::job(cx, Self::NAME, &row, |access| Job::Find(FindJob { access, snapshots: ids }), &Nothing).await?;
            let Outcome::Found(found) = outcome else { return Err(child::unexpected(&outcome)) };
            let mut t = cx.begin(&[]).await?;
            gone::record(t.tx(), self.repository, &found.missing, WHY, cx.id(), cx.now()).await?;
            for l in left.iter().filter(|l| !found.missing.contains(&l.restic_id)) {
                snapshots::take_back(t.tx(), SnapshotId(l.id)).await?;
            }
            cx.commit(t).await?;
        }
    }
}

/// Records snapshots as they go.
struct Forgotten {
    repository: RepositoryId,
}

#[async_trait::async_trait]
impl Recorder for Forgotten {
    async fn item(&self, _cx: &Cx, _tx: Tx<'_>, _item: &ItemResult) -> store::Result<()> {
        Ok(())
    }

    async fn forgotten(&self, cx: &Cx, tx: Tx<'_>, ids: &[String]) -> store::Result<()> {
        gone::record(tx, self.repository, ids, WHY, cx.id(), cx.now()).await.map(drop)
    }
}
