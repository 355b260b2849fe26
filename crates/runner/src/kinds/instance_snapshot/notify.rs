//! The step that queues the mails of success, and what is told when the run ends otherwise.
//!
//! Lives here: when. May not: the mails themselves (`clouds::mails`), sending (`notify`).

use domain::{
    run::{RunKind, RunState},
    units::Timestamp,
    work::{InstanceSnapshotParams, StepFailure},
};
use serde_json::{Value, json};
use store::{Tx, runs::RunRow};

use crate::{
    clouds::mails::{self, NO_CHANNEL, Went},
    exec::Cx,
    step::{Done, Result, Step},
};

pub struct Notify {
    pub to: Vec<String>,
    pub text: String,
}

#[async_trait::async_trait]
impl Step for Notify {
    const NAME: &'static str = "notify";
    /// Mails that were queued.
    type Out = usize;

    fn input(&self) -> Value {
        json!({"to_addr_success": self.to})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<usize>> {
        let mut t = cx.begin(&[]).await?;
        let queued = mails::queue(t.tx(), &cx.run, Went::Well, &self.to, self.text.clone(), cx.now()).await?;
        cx.commit(t).await?;
        Ok(match queued {
            Some(n) => Done::ok(n),
            None => Done { out: 0, tolerated: Some(StepFailure::new("no_channel", NO_CHANNEL, true)) },
        })
    }
}

/// Queues the mails of a run that ends without success, in the transaction that ends it.
pub async fn tell_failure(tx: Tx<'_>, run: &RunRow, state: RunState, failure: Option<&StepFailure>, now: Timestamp) -> store::Result<()> {
    if state == RunState::Succeeded {
        return Ok(());
    }
    let to = match run.kind() {
        Ok(RunKind::InstanceSnapshot) => run.params::<InstanceSnapshotParams>().map(|p| p.parameters.to_addr_error).unwrap_or_default(),
        Ok(RunKind::InstanceClone) => super::super::instance_clone::told_of_failure(run),
        Ok(RunKind::InstanceRestore) => super::super::instance_restore::told_of_failure(run),
        _ => return Ok(()),
    };
    let text = failure.map_or_else(|| format!("It is {state}."), |f| format!("It is {state}: {}", f.message));
    if mails::queue(tx, run, Went::Wrong, &to, text, now).await?.is_none() {
        tracing::warn!(run = %run.id, NO_CHANNEL);
    }
    Ok(())
}
