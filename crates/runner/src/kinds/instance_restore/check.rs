//! The step that looks in the cloud whether the instance can be brought back, before anything is touched.
//!
//! Lives here: the look, and what is fixed for the steps after it. May not: the rules (`domain::instance::inplace`).

use std::{sync::Arc, time::Duration};

use domain::{
    id::{ItemId, SnapshotId},
    instance::{InPlaceParams, NativeSnapshot, Server, inplace::Method},
    units::Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{items, snapshots};

use crate::{
    clouds::{
        link::{Reach, ask},
        wait::Wait,
    },
    exec::Cx,
    step::{Done, Result, Step, permanent},
};

/// How long the cloud may take to tell what it knows.
const LOOKED_WITHIN: Duration = Duration::from_mins(30);

/// What is brought back, how, and what was there before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    pub method: Method,
    pub native: NativeSnapshot,
    pub before: Server,
    /// What the safety snapshot is called, and its moment.
    pub safety: String,
    pub at: Timestamp,
    pub item: Option<ItemId>,
    pub item_name: String,
    /// Volumes that stay as they are.
    pub untouched: Vec<String>,
}

impl Plan {
    /// The volume that the instance boots from, and the snapshot that it gets; of a volume-booted one.
    pub fn root(&self) -> Result<(&str, &str, i64)> {
        let taken = self.native.volumes.iter().find(|v| v.root);
        match (self.before.root(), taken) {
            (Some(root), Some(taken)) => Ok((&root.id, &taken.id, root.size_gb)),
            _ => Err(permanent("internal", "the root volume is not known")),
        }
    }
}

pub struct Check {
    pub reach: Arc<Reach>,
    pub params: InPlaceParams,
}

#[async_trait::async_trait]
impl Step for Check {
    const NAME: &'static str = "check";
    type Out = Plan;

    fn input(&self) -> Value {
        json!({"snapshot": self.params.snapshot, "instance": self.params.instance, "server": self.params.server})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Plan>> {
        let plan = Box::pin(self.look(cx)).await;
        self.reach.end(cx, plan).await.map(Done::ok)
    }
}

impl Check {
    async fn look(&self, cx: &Cx) -> Result<Plan> {
        let row = snapshots::find(cx.deps.db.read().await?.tx(), SnapshotId(self.params.snapshot.0)).await?.filter(|s| s.gone_at.is_none());
        let row =
            row.ok_or_else(|| permanent("gone", format!("the snapshot {} is no longer there; choose another one. Nothing was changed", self.params.snapshot)))?;
        let native = row.native.map(|n| n.0).ok_or_else(|| permanent("invalid", "the snapshot is of files, and not of an instance"))?;
        let mut wait = Wait::new(cx, &self.reach, format!("{} to be looked at", self.params.instance), LOOKED_WITHIN);
        let look = loop {
            let seen = async { ask(cx, ops::inplace::look(self.reach.cloud(cx).await?, &native)).await };
            match Box::pin(seen).await {
                Ok(look) => break look,
                Err(e) => wait.after(e).await?,
            }
        };
        for p in &look.found.preconditions {
            let (level, tail) = if p.ok { ("info", String::new()) } else { ("warn", format!(" {}", p.remedy)) };
            self.reach.log(cx, level, format!("{}: {}{tail}", p.id, p.text)).await?;
        }
        let (Some(before), Some(method)) = (look.server, look.found.method) else {
            let unmet: Vec<String> = look.found.preconditions.iter().filter(|p| !p.ok).map(|p| format!("{} {}", p.text, p.remedy)).collect();
            return Err(permanent(
                "precondition",
                format!("{} cannot be brought back in place. {} Nothing was changed", self.params.instance, unmet.join(" ")),
            ));
        };
        self.reach.log(cx, "info", format!("{} is brought back to {}: {}", before.name, native.name, method.words())).await?;
        let at = cx.now();
        let item = row.item_id.map(ItemId);
        let known = match item {
            Some(id) => items::find(cx.deps.db.read().await?.tx(), id).await?,
            None => None,
        };
        Ok(Plan {
            method,
            safety: ops::inplace::safety_name(&before.name, at),
            at,
            item,
            item_name: known.map_or_else(|| before.name.clone(), |i| i.name),
            untouched: look.found.untouched,
            native,
            before,
        })
    }
}
