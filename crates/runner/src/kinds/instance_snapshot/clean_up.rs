//! The step that deletes what is beyond `max_snapshots`, after the new snapshot is there.
//!
//! Lives here: the step. May not: the decision (`domain::instance::beyond`), the deletion (`clouds::tidy`).
//! A failure is tolerated and named: the next snapshot cleans up what this one could not.

use std::sync::Arc;

use domain::{
    id::{ItemId, ServiceId},
    instance::Pattern,
    work::StepFailure,
};
use serde_json::{Value, json};

use super::words;
use crate::{
    clouds::{
        link::{Pen, Reach},
        tidy::{self, Order, Tidied},
    },
    exec::Cx,
    step::{Break, Done, Result, Step},
};

pub struct CleanUp {
    pub reach: Arc<Reach>,
    pub item: ItemId,
    pub service: ServiceId,
    pub instance: String,
    pub pattern: Pattern,
    pub max: u32,
}

#[async_trait::async_trait]
impl Step for CleanUp {
    const NAME: &'static str = "clean_up";
    type Out = Tidied;

    fn input(&self) -> Value {
        json!({"instance": self.instance, "pattern": self.pattern, "max_snapshots": self.max})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Tidied>> {
        let done = self.tidy(cx).await;
        match self.reach.end(cx, done).await {
            Ok(out) if out.left.is_empty() => Ok(Done::ok(out)),
            Ok(out) => {
                let tolerated = Some(StepFailure::new("not_deleted", words::tidied(&out), false));
                Ok(Done { out, tolerated })
            }
            Err(Break::Failed(f)) => {
                let f = StepFailure::new(f.code, format!("not everything was cleaned up, the next snapshot tries again: {}", f.message), f.permanent);
                Ok(Done { out: Tidied::default(), tolerated: Some(f) })
            }
            Err(other) => Err(other),
        }
    }

    /// What is gone is not brought back; the records say what is there.
    async fn undo(&self, cx: &Cx) -> Result<()> {
        let settled = async { tidy::settle(Pen::Run(cx), self.reach.cloud(cx).await?, &self.order()).await };
        let settled = settled.await;
        self.reach.end(cx, settled).await
    }
}

impl CleanUp {
    fn order(&self) -> Order {
        Order {
            item: self.item,
            service: self.service,
            repository: self.reach.repository,
            instance: self.instance.clone(),
            pattern: self.pattern.clone(),
            max: self.max,
        }
    }

    async fn tidy(&self, cx: &Cx) -> Result<Tidied> {
        let out = tidy::tidy(Pen::Run(cx), self.reach.cloud(cx).await?, &self.order()).await?;
        self.reach.log(cx, if out.left.is_empty() { "info" } else { "warn" }, words::tidied(&out)).await?;
        Ok(out)
    }
}
