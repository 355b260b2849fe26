//! The steps that compare the instance with what it was, and that clear away what the run had made.
//!
//! Lives here: both. May not: changing the instance's disk.

use std::sync::Arc;

use domain::{
    instance::{Server, inplace::Method},
    work::StepFailure,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{check::Plan, stage, write::unmark};
use crate::{
    clouds::{
        link::{Reach, ask},
        wait::Wait,
    },
    exec::Cx,
    step::{Break, Done, Result, Step, permanent},
};

/// What says that the disk was not written as it had to be.
const WRONG: [&str; 3] = ["not_the_same", "in_error", "gone"];

/// How the instance was seen after it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Verified {
    pub status: String,
    pub addresses: Vec<String>,
}

pub struct Verify {
    pub reach: Arc<Reach>,
    pub plan: Plan,
    /// The run has stopped it and will start it.
    pub stopped: bool,
}

fn addresses(server: &Server) -> Vec<String> {
    let mut all: Vec<String> = server.networks.iter().flat_map(|n| n.addresses.clone()).collect();
    all.sort();
    all
}

impl Verify {
    /// What is not as it must be.
    fn wrong(&self, now: &Server) -> Option<String> {
        let before = &self.plan.before;
        let (was, is) = (addresses(before), addresses(now));
        if was != is {
            return Some(format!("its addresses were {} and are {}", was.join(", "), is.join(", ")));
        }
        if now.root().map(|v| &v.id) != before.root().map(|v| &v.id) {
            return Some("it boots from another volume".to_owned());
        }
        let image = self.plan.native.image.as_ref().map(|i| i.id.as_str());
        if self.plan.method == Method::Rebuild && now.image.as_deref() != image {
            return Some(format!("Nova names the image {} and not the snapshot's", now.image.as_deref().unwrap_or("none")));
        }
        None
    }

    fn wanted(&self) -> &str {
        if self.stopped { "SHUTOFF" } else { &self.plan.before.status }
    }

    async fn verify(&self, cx: &Cx) -> Result<Verified> {
        let before = &self.plan.before;
        let wanted = self.wanted();
        let mut wait = Wait::new(cx, &self.reach, format!("{} to be {wanted}", before.name), cx.deps.limits.settle);
        loop {
            let seen = async { ask(cx, self.reach.cloud(cx).await?.server(&before.id)).await };
            match Box::pin(seen).await {
                // Of one that was in error any state that works will do.
                Ok(Some(now)) if now.task.is_none() && (now.status == wanted || (wanted == "ERROR" && now.status != "ERROR")) => {
                    return match self.wrong(&now) {
                        None => Ok(Verified { addresses: addresses(&now), status: now.status }),
                        Some(what) => Err(permanent("not_the_same", format!("{} was written, but {what}", before.name))),
                    };
                }
                Ok(Some(now)) if now.task.is_none() && now.status == "ERROR" => {
                    let why = now.fault.unwrap_or_else(|| "the cloud does not say why".to_owned());
                    return Err(permanent("in_error", format!("{} was written, but it is in the state ERROR: {why}", before.name)));
                }
                Ok(Some(now)) => wait.pause(&format!("{}{}", now.status, now.task.map(|t| format!(", {t}")).unwrap_or_default())).await?,
                Ok(None) => return Err(permanent("gone", format!("the instance {} was deleted meanwhile", before.name))),
                Err(e) => wait.after(e).await?,
            }
        }
    }
}

#[async_trait::async_trait]
impl Step for Verify {
    const NAME: &'static str = "verify";
    type Out = Verified;

    fn input(&self) -> Value {
        json!({"server": self.plan.before.id, "status": self.plan.before.status, "addresses": addresses(&self.plan.before)})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Verified>> {
        let verified = Box::pin(self.verify(cx)).await;
        match self.reach.end(cx, verified).await {
            // Only what was seen to be wrong takes the disk back: who cannot look knows nothing against it.
            Err(Break::Failed(f)) if !WRONG.contains(&f.code.as_str()) => {
                let out = Verified { status: self.wanted().to_owned(), addresses: addresses(&self.plan.before) };
                let message = format!("the disk of {} was written; how it came up could not be seen: {}", self.plan.before.name, f.message);
                Ok(Done { out, tolerated: Some(StepFailure::new(f.code, message, f.permanent)) })
            }
            other => other.map(Done::ok),
        }
    }
}

/// Clears away what the run had made. What cannot be cleared away is named; the restore stands all the same.
pub struct Tidy {
    pub reach: Arc<Reach>,
    pub plan: Plan,
}

impl Tidy {
    async fn tidy(&self, cx: &Cx) -> Result<()> {
        if self.plan.method == Method::ReplaceRoot {
            stage::without(cx, &self.reach, &stage::name(cx, "to")).await?;
        }
        if self.plan.method != Method::Revert {
            unmark(cx, &self.reach, &self.plan.before.id).await?;
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl Step for Tidy {
    const NAME: &'static str = "unstage";
    /// What is left.
    type Out = Vec<String>;

    fn input(&self) -> Value {
        json!({"method": self.plan.method})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Vec<String>>> {
        let done = Box::pin(self.tidy(cx)).await;
        match self.reach.end(cx, done).await {
            Ok(()) => Ok(Done::ok(Vec::new())),
            Err(Break::Failed(f)) => {
                let left = format!("{}: {}", stage::name(cx, "to"), f.message);
                let message = format!("the restore stands, but not all was cleared away: {}; delete what bears the run's id in the cloud", f.message);
                Ok(Done { out: vec![left], tolerated: Some(StepFailure::new(f.code, message, f.permanent)) })
            }
            Err(other) => Err(other),
        }
    }
}
