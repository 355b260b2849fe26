//! A restore test: bring snapshots back beside, check, measure, tear down, judge (R32–R34).
//!
//! Lives here: the steps `provision`, `restore`, `check`, `tear_down` and their order. Beside it: `driver` (what a kind of source
//! does in each of them), `directory` and `instance` (the two that there are), `record`. May not: choosing snapshots
//! (`restore_choice`), the rule that joins checks to a verdict (`domain::evidence::join`), what is signed
//! (`ops::evidence::record`).
//! Invariant: a restore that fails is a finding and not an accident of the run; what was made for it is gone at every end.

mod directory;
pub mod driver;
mod instance;
mod record;

use std::sync::Arc;

use domain::{
    definition::Terms,
    evidence::{CheckOutcome, EvidenceLevel, Verdict},
    id::ServiceId,
    run::RunEvent,
    work::{RestoreTestParams, StepFailure, Teardown},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::record::Record;
pub use self::{
    directory::tear_down,
    driver::{Ground, Restored},
};
use super::{given, restore_checks as checks, restore_choice::Select};
use crate::{
    exec::{Cx, Ended, Exec},
    step::{Done, Result, Step},
};

pub const STEPS: &[&str] = &[Select::NAME, Provision::NAME, Restore::NAME, Check::NAME, TearDown::NAME, Record::NAME];

/// From here on a test works in the scratch folder of its machine.
pub const PROVISION: &str = Provision::NAME;

pub async fn run(exec: &mut Exec) -> Result<Ended> {
    let id = given(exec.cx.run.service_id, ServiceId, "service")?;
    let params: RestoreTestParams = exec.cx.run.params()?;
    let terms = params.terms.clone().unwrap_or_else(|| Terms { selection: params.selection, ..Terms::default() });
    let chosen = exec.step(Select { service: id, params: params.clone(), terms: terms.clone() }).await?;
    let ground = Ground::of(&exec.cx, id, &terms, chosen);
    exec.step(Provision { ground: ground.clone() }).await?;
    let restored = exec.step(Restore { ground: ground.clone() }).await?;
    let checked = exec.step(Check { terms, ground: ground.clone(), restored: restored.clone() }).await?;
    let teardown = exec.step(TearDown { ground: ground.clone(), restored: restored.clone() }).await?;
    let result = exec.step(Record { service: id, params, ground, restored, checked, teardown }).await?;
    let findings = |v| result.checks.iter().filter(|c| c.verdict == v).map(|c| format!("{}: {}", c.name, c.detail)).collect::<Vec<_>>().join("; ");
    let (event, failure) = match result.verdict {
        Verdict::Passed => (RunEvent::Succeed, None),
        Verdict::Failed => (RunEvent::Fail, Some(StepFailure::new("checks_failed", format!("the restore test failed. {}", findings(Verdict::Failed)), false))),
        Verdict::Unknown => {
            (RunEvent::FinishPartly, Some(StepFailure::new("not_checked", format!("not all could be checked. {}", findings(Verdict::Unknown)), false)))
        }
    };
    Ok(Ended::new(event, &result, failure))
}

struct Provision {
    ground: Arc<Ground>,
}

#[async_trait::async_trait]
impl Step for Provision {
    const NAME: &'static str = "provision";
    type Out = ();

    fn input(&self) -> Value {
        json!({"scratch": self.ground.scratch})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<()>> {
        for driver in &self.ground.drivers {
            driver.provision(cx).await?;
        }
        Ok(Done::ok(()))
    }

    async fn undo(&self, cx: &Cx) -> Result<()> {
        self.ground.take_back(cx).await
    }
}

struct Restore {
    ground: Arc<Ground>,
}

#[async_trait::async_trait]
impl Step for Restore {
    const NAME: &'static str = "restore";
    type Out = Restored;

    fn input(&self) -> Value {
        json!({"items": self.ground.chosen.items.len(), "scratch": self.ground.scratch})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Restored>> {
        let mut out = Restored::begun(cx.now());
        for driver in &self.ground.drivers {
            driver.restore(cx, &mut out).await?;
        }
        let tolerated = out.conclude();
        Ok(Done { out, tolerated })
    }
}

/// What the checks found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checked {
    pub checks: Vec<CheckOutcome>,
    pub level: EvidenceLevel,
    pub rto_s: Option<f64>,
    pub rpo_s: Option<i64>,
}

struct Check {
    terms: Terms,
    ground: Arc<Ground>,
    restored: Restored,
}

#[async_trait::async_trait]
impl Step for Check {
    const NAME: &'static str = "check";
    type Out = Checked;

    fn input(&self) -> Value {
        let chosen = &self.ground.chosen;
        json!({"items": chosen.items.len(), "files": self.restored.files, "disks": self.restored.disks, "canary": chosen.canary,
            "checks": self.terms.checks, "start": self.terms.start})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Checked>> {
        checks::all(cx, Self::NAME, &self.terms, &self.ground, &self.restored).await.map(Done::ok)
    }
}

struct TearDown {
    ground: Arc<Ground>,
    restored: Restored,
}

#[async_trait::async_trait]
impl Step for TearDown {
    const NAME: &'static str = "tear_down";
    type Out = Teardown;

    fn input(&self) -> Value {
        json!({"scratch": self.ground.scratch, "servers": self.restored.servers.iter().map(|s| &s.server).collect::<Vec<_>>()})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Teardown>> {
        self.ground.tear_down(cx, Some(&self.restored)).await
    }
}
