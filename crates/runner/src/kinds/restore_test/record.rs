//! What a restore test measured, as it is kept and signed (R34, R37).
//!
//! Lives here: the step `record`. May not: what is signed (`ops::evidence::record`).

use std::sync::Arc;

use domain::{
    evidence::{CheckOutcome, EvidenceLevel, Verdict, join},
    id::ServiceId,
    run::ItemState,
    statement::Plan,
    work::{RestoreTestParams, RestoreTestResult, Teardown},
};
use ops::{
    evidence::{self, record::Beside},
    seal::Keys,
    secrets::Vault,
};
use serde_json::{Value, json};
use store::{
    plans,
    restore_tests::{self, NewRestoreTest, TestedSnapshot},
    run_items,
    services::{self, LastTest},
    snapshots,
};

use super::{Checked, Ground, Restored};
use crate::{
    exec::Cx,
    kinds::service,
    step::{Done, Result, Step},
};

pub struct Record {
    pub service: ServiceId,
    pub params: RestoreTestParams,
    pub ground: Arc<Ground>,
    pub restored: Restored,
    pub checked: Checked,
    pub teardown: Teardown,
}

impl Record {
    /// What the run's items say: restored, skipped, failed.
    async fn counts(&self, cx: &Cx) -> Result<(i64, i64, i64)> {
        let (mut restored, mut skipped, mut failed) = (0, 0, 0);
        for (state, n, ..) in run_items::count(cx.deps.db.read().await?.tx(), cx.id()).await? {
            match ItemState::parse(&state) {
                Some(ItemState::Ok) => restored += n,
                Some(ItemState::Skipped) => skipped += n,
                _ => failed += n,
            }
        }
        // What the restore never came to has failed as well.
        failed += (self.ground.chosen.items.len() as i64 - restored - skipped - failed).max(0);
        Ok((restored, skipped, failed))
    }
}

#[async_trait::async_trait]
impl Step for Record {
    const NAME: &'static str = "record";
    type Out = RestoreTestResult;

    fn input(&self) -> Value {
        json!({"checks": self.checked.checks.len(), "level": self.checked.level})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<RestoreTestResult>> {
        let now = cx.now();
        let (items_restored, items_skipped, items_failed) = self.counts(cx).await?;
        let mut checks = self.checked.checks.clone();
        let torn_down = if self.teardown.gone_at.is_some() { Verdict::Passed } else { Verdict::Failed };
        let left = if self.teardown.gone_at.is_some() { "nothing" } else { "something" };
        let detail = format!("{}: {}", self.teardown.scratch, self.teardown.detail);
        checks.push(CheckOutcome::new("teardown", torn_down, detail).compared("nothing", left));
        let mut verdict = join(&checks, items_restored, self.restored.files + self.restored.disks);
        // What could not be tried says nothing about the backup, unless something else has failed.
        let only_unknown = self.restored.failure.is_some() && !checks.iter().any(|c| c.verdict == Verdict::Failed);
        if verdict == Verdict::Failed && only_unknown {
            verdict = Verdict::Unknown;
        }
        let (level, chosen) = (self.checked.level, &self.ground.chosen);
        let test = NewRestoreTest {
            run: cx.id(),
            service: self.service,
            selection: self.params.selection.words(),
            definition: self.params.definition.clone(),
            started_at: chosen.started_at,
            finished_at: now,
            verdict,
            level,
            rto_s: self.checked.rto_s,
            rto_target_s: chosen.rto_target_s,
            rpo_s: self.checked.rpo_s,
            rpo_target_s: chosen.rpo_target_s,
            items_restored,
            items_skipped,
            items_failed,
            files: self.restored.files,
            bytes: self.restored.bytes,
            checks: checks.clone(),
            teardown: self.teardown.clone(),
            snapshots: chosen
                .items
                .iter()
                .map(|c| TestedSnapshot { item: c.item.clone(), snapshot: c.snapshot, restic_id: c.restic_id.clone(), taken_at: c.taken_at })
                .collect(),
        };
        let vault = Vault::new(cx.deps.env.clone(), Keys::of(&cx.deps.data_dir));
        let signer = evidence::record::signer(&cx.deps.db, &vault).await?;
        let of = service(cx, self.service).await?;
        let mut t = cx.begin(&[]).await?;
        let id = restore_tests::save(t.tx(), &test).await?;
        let approved = plans::approved(t.tx(), self.service).await?;
        let plan = approved.and_then(|p| Some(Plan { version: p.number, sha256: p.content_sha256? }));
        let beside = Beside { actor: cx.run.actor.clone(), plan };
        evidence::record::test(t.tx(), signer.as_ref(), id, &test, &of, beside, now).await?;
        let last = LastTest { id, verdict: verdict.as_str(), at: now, rto_s: test.rto_s, rpo_s: test.rpo_s, level: level.as_str() };
        services::set_test(t.tx(), self.service, last).await?;
        if level >= EvidenceLevel::Restored {
            for c in &chosen.items {
                let known = snapshots::find(t.tx(), c.snapshot).await?.and_then(|s| EvidenceLevel::parse(&s.level)).unwrap_or_default();
                snapshots::set_level(t.tx(), c.snapshot, level.max(known), now).await?;
            }
        }
        cx.commit(t).await?;
        Ok(Done::ok(RestoreTestResult {
            verdict,
            level,
            rto_s: test.rto_s,
            rpo_s: test.rpo_s,
            items_restored,
            items_skipped,
            items_failed,
            files: test.files,
            bytes: test.bytes,
            checks,
            teardown: test.teardown,
        }))
    }
}
