//! The step that writes the root disk anew, and what brings the disk of before back.
//!
//! Lives here: both. May not: what the disk is written from (`stage`), judging the result (`verify`).
//! Invariants: an order to write is told by the instance's own metadata, set by the same call, so that whoever looks knows
//! whether it was accepted; it is never ordered twice. Undoing does nothing where it was not accepted.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use domain::{
    id::SnapshotId,
    instance::{NativeSnapshot, Server, inplace::Method},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{check::Plan, mark, stage};
use crate::{
    clouds::{
        link::{Reach, ask, order},
        wait::Wait,
    },
    deps::Moment,
    exec::Cx,
    step::{Break, Done, Result, Step, permanent},
};

/// How long a disk may take to be written.
const WRITTEN_WITHIN: Duration = Duration::from_hours(12);
const UNMARKED_WITHIN: Duration = Duration::from_mins(15);

/// Where what was there before is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Safety {
    pub name: String,
    pub snapshot: Option<SnapshotId>,
    pub native: Option<NativeSnapshot>,
    /// The id of a copy of the root volume.
    pub copy: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Written {
    /// Seconds from the order until the instance was there again.
    pub took_s: f64,
}

pub struct Write {
    pub reach: Arc<Reach>,
    pub plan: Plan,
    /// The image that was staged.
    pub image: Option<String>,
    pub safety: Safety,
}

impl Write {
    async fn write(&self, cx: &Cx) -> Result<()> {
        let run = cx.id().to_string();
        match self.plan.method {
            Method::Rebuild => {
                let image = self.plan.native.image.as_ref().map(|i| i.id.as_str()).ok_or_else(|| permanent("internal", "the snapshot has no image"))?;
                Box::pin(self.rebuild(cx, image, &run)).await
            }
            Method::ReplaceRoot => {
                let image = self.image.as_deref().ok_or_else(|| permanent("internal", "no image was staged"))?;
                Box::pin(self.rebuild(cx, image, &run)).await
            }
            Method::Revert => {
                let (root, snapshot, _) = self.plan.root()?;
                self.revert(cx, root, snapshot).await
            }
        }
    }

    async fn server(&self, cx: &Cx) -> Result<Server> {
        let before = &self.plan.before;
        let found = ask(cx, Box::pin(self.reach.cloud(cx).await?.server(&before.id))).await?;
        found.ok_or_else(|| permanent("gone", format!("the instance {} ({}) was deleted meanwhile", before.name, before.id)))
    }

    /// Orders the rebuild once, under `sign`, and waits until the instance is there again.
    async fn rebuild(&self, cx: &Cx, image: &str, sign: &str) -> Result<()> {
        let name = &self.plan.before.name;
        let mut wait = Wait::new(cx, &self.reach, format!("{name} to be written anew"), WRITTEN_WITHIN);
        loop {
            let seen = async {
                let now = self.server(cx).await?;
                if now.metadata.get(&mark()).is_some_and(|m| m == sign) {
                    return Ok(Some(now));
                }
                if now.task.is_some() {
                    return Ok(Some(now));
                }
                let mut metadata: BTreeMap<String, String> = self.plan.before.metadata.clone();
                metadata.insert(mark(), sign.to_owned());
                order(cx, self.reach.cloud(cx).await?.rebuild(&now.id, image, &metadata)).await?;
                cx.fault(Self::NAME, Moment::Halfway)?;
                Ok(None)
            };
            match Box::pin(seen).await {
                Ok(Some(now)) if now.task.is_none() && now.status == "ERROR" => {
                    let why = now.fault.unwrap_or_else(|| "the cloud does not say why".to_owned());
                    return Err(permanent("cloud_failed", format!("Nova could not write the disk of {name}: {why}")));
                }
                Ok(Some(now)) if now.task.is_none() && matches!(now.status.as_str(), "ACTIVE" | "SHUTOFF") => match self.root_is_well(cx).await? {
                    None => return Ok(()),
                    Some(status) => wait.pause(&format!("its root volume is {status}")).await?,
                },
                Ok(Some(now)) => wait.pause(&format!("{}{}", now.status, now.task.map(|t| format!(", {t}")).unwrap_or_default())).await?,
                Ok(None) => wait.pause("it is ordered").await?,
                Err(e) => wait.after(e).await?,
            }
        }
    }

    /// Nova says that it is done before Cinder is, and also where Cinder has failed. `None` where all is well.
    async fn root_is_well(&self, cx: &Cx) -> Result<Option<String>> {
        let Some(root) = self.plan.before.root() else { return Ok(None) };
        let found = ask(cx, self.reach.cloud(cx).await?.volume(&root.id)).await?;
        match found.map(|v| v.status).as_deref() {
            Some("in-use") => Ok(None),
            Some(status) if status.starts_with("error") => {
                Err(permanent("cloud_failed", format!("Cinder could not write the root volume {} of {}: it is in {status}", root.id, self.plan.before.name)))
            }
            Some(status) => Ok(Some(status.to_owned())),
            None => Err(permanent("gone", format!("the root volume {} is gone", root.id))),
        }
    }

    /// Orders the revert once, which its own event tells, and waits until it is done.
    async fn revert(&self, cx: &Cx, root: &str, snapshot: &str) -> Result<()> {
        let mut wait = Wait::new(cx, &self.reach, format!("the root volume of {} to be reverted", self.plan.before.name), WRITTEN_WITHIN);
        let mut ordered = false;
        loop {
            let seen = async {
                let cloud = self.reach.cloud(cx).await?;
                let volume = ask(cx, cloud.volume(root)).await?.ok_or_else(|| permanent("gone", format!("the root volume {root} is gone")))?;
                if volume.status == "available" && !ordered {
                    self.reach.log(cx, "info", format!("reverts the volume {root}")).await?;
                    order(cx, cloud.revert(root, snapshot)).await?;
                    cx.fault(Self::NAME, Moment::Halfway)?;
                    return Ok(None);
                }
                Ok(Some(volume.status))
            };
            match Box::pin(seen).await {
                Ok(None) => ordered = true,
                Ok(Some(status)) if status == "available" => return Ok(()),
                Ok(Some(status)) if status.starts_with("error") => {
                    return Err(permanent("cloud_failed", format!("Cinder could not revert the volume {root}: it is in {status}")));
                }
                Ok(Some(status)) => wait.pause(&status).await?,
                Err(e) => wait.after(e).await?,
            }
        }
    }

    /// Brings the disk of before back, where the order to write it was accepted.
    async fn back(&self, cx: &Cx) -> Result<()> {
        if self.plan.method == Method::Revert {
            return Err(permanent("not_undone", "a revert that was ordered is not undone by another one"));
        }
        let run = cx.id().to_string();
        let sign = format!("{run} back");
        let mut wait = Wait::new(cx, &self.reach, format!("{} to be looked at", self.plan.before.name), WRITTEN_WITHIN);
        let now = loop {
            match self.server(cx).await {
                Ok(now) => break now,
                Err(e) => wait.after(e).await?,
            }
        };
        let said = now.metadata.get(&mark()).cloned().unwrap_or_default();
        if said != run && said != sign {
            return self.reach.log(cx, "info", format!("the disk of {} was not touched", self.plan.before.name)).await;
        }
        // What was ordered before is not cut short: Nova takes no second order meanwhile.
        let mut wait = Wait::new(cx, &self.reach, format!("Nova to let go of {}", self.plan.before.name), WRITTEN_WITHIN);
        loop {
            match self.server(cx).await {
                Ok(now) if now.task.is_none() => break,
                Ok(now) => wait.pause(&now.task.unwrap_or_default()).await?,
                Err(e) => wait.after(e).await?,
            }
        }
        let safety = self.safety.native.as_ref().ok_or_else(|| permanent("internal", "there is no safety snapshot"))?;
        self.reach.log(cx, "warn", format!("brings the disk of {} back from {}", self.plan.before.name, self.safety.name)).await?;
        let name = stage::name(cx, "back");
        let image = if self.plan.method == Method::Rebuild {
            safety.image.as_ref().map(|i| i.id.clone()).ok_or_else(|| permanent("internal", "the safety snapshot has no image"))?
        } else {
            let root = safety.volumes.iter().find(|v| v.root).ok_or_else(|| permanent("internal", "the safety snapshot has no root volume"))?;
            let (_, _, size_gb) = self.plan.root()?;
            Box::pin(stage::image(cx, &self.reach, &name, &root.id, size_gb)).await?
        };
        Box::pin(self.rebuild(cx, &image, &sign)).await?;
        if self.plan.method == Method::ReplaceRoot {
            Box::pin(stage::without(cx, &self.reach, &name)).await?;
        }
        unmark(cx, &self.reach, &self.plan.before.id).await?;
        self.reach.log(cx, "info", format!("{} is as it was before", self.plan.before.name)).await
    }
}

/// Takes the mark of the run out of the instance's metadata.
pub async fn unmark(cx: &Cx, reach: &Reach, server: &str) -> Result<()> {
    let mut wait = Wait::new(cx, reach, "the metadata to be as before", UNMARKED_WITHIN);
    loop {
        let done = async { order(cx, reach.cloud(cx).await?.unset_metadata(server, &mark())).await };
        match done.await {
            Ok(()) => return Ok(()),
            Err(e) => wait.after(e).await?,
        }
    }
}

#[async_trait::async_trait]
impl Step for Write {
    const NAME: &'static str = "write";
    type Out = Written;

    fn input(&self) -> Value {
        json!({"server": self.plan.before.id, "method": self.plan.method, "image": self.image, "safety": self.safety.name})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Written>> {
        let began = cx.now();
        let done = Box::pin(self.write(cx)).await;
        self.reach.end(cx, done).await?;
        Ok(Done::ok(Written { took_s: cx.now().secs_since(began).max(0.0) }))
    }

    async fn undo(&self, cx: &Cx) -> Result<()> {
        let back = Box::pin(self.back(cx)).await;
        match self.reach.end(cx, back).await {
            Err(Break::Failed(mut f)) => {
                let place = match (&self.safety.native, &self.safety.copy) {
                    (Some(native), _) => format!("the safety snapshot {} ({})", self.safety.name, native.unit_id()),
                    (None, Some(copy)) => format!("the volume {} ({copy})", self.safety.name),
                    (None, None) => self.safety.name.clone(),
                };
                f.message = format!(
                    "{}; {} is not as it was: what its disk held before is in {place}, make a clone of it or restore it",
                    f.message, self.plan.before.name
                );
                f.permanent = true;
                Err(Break::Failed(f))
            }
            other => other,
        }
    }
}
