//! The step that looks from what the instance boots and which volumes it has, at the moment of the snapshot.
//!
//! Lives here: that look. May not: deciding how a snapshot is made (`take`).

use std::{sync::Arc, time::Duration};

use domain::instance::Server;
use serde_json::{Value, json};

use crate::{
    clouds::{
        link::{Reach, ask},
        wait::Wait,
    },
    exec::Cx,
    step::{Done, Result, Step, permanent},
};

/// How long the cloud may be at work on the instance.
const CALM_WITHIN: Duration = Duration::from_hours(1);

pub struct Detect {
    pub reach: Arc<Reach>,
    pub server: String,
}

#[async_trait::async_trait]
impl Step for Detect {
    const NAME: &'static str = "detect";
    type Out = Server;

    fn input(&self) -> Value {
        json!({"server": self.server})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Server>> {
        let seen = self.look(cx).await;
        self.reach.end(cx, seen).await.map(Done::ok)
    }
}

impl Detect {
    async fn look(&self, cx: &Cx) -> Result<Server> {
        let mut wait = Wait::new(cx, &self.reach, "the instance to be described", CALM_WITHIN);
        let server = loop {
            let seen = async { ask(cx, self.reach.cloud(cx).await?.server(&self.server)).await };
            match seen.await {
                Ok(Some(server)) => break server,
                Ok(None) => return Err(permanent("not_found", format!("the instance {} is gone", self.server))),
                Err(e) => wait.after(e).await?,
            }
        };
        let volumes: Vec<String> = server.volumes.iter().map(|v| format!("{} ({} GB{})", v.id, v.size_gb, if v.root { ", root" } else { "" })).collect();
        let volumes = if volumes.is_empty() { "no volumes".to_owned() } else { format!("the volumes {}", volumes.join(", ")) };
        self.reach.log(cx, "info", format!("boots from {}, {volumes}", server.boot)).await?;
        Ok(server)
    }
}
