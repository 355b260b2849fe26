//! The steps that stop an instance and start it again.
//!
//! Lives here: both, and bringing an instance up that this run has stopped, or an earlier one that could not start it
//! again. May not: stopping one that did not run.
//! Invariant: before the stop is ordered, the run writes that it is about to; until it has written that the instance
//! runs again, it owes the start. Undoing the stop is the start, whatever else went wrong.

use std::{sync::Arc, time::Duration};

use domain::{id::RunId, instance::Server, units::Timestamp};
use engine::sources::openstack::Cloud;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::run_events::{self, POWER};
use uuid::Uuid;

use crate::{
    clouds::{
        link::{Reach, ask, order},
        wait::Wait,
    },
    deps::Moment,
    exec::Cx,
    step::{Break, Done, Result, Step, permanent},
};

/// How long a guest may take to shut down, and a start with all that goes before it.
const STOPPED_WITHIN: Duration = Duration::from_mins(20);
const STARTED_WITHIN: Duration = Duration::from_hours(1);

/// Since when this run owes the instance its start.
async fn owed(cx: &Cx) -> Result<Option<Timestamp>> {
    let told = run_events::details(cx.deps.db.read().await?.tx(), cx.id(), POWER).await?;
    let last = told.last().filter(|d| d["does"] == "stop");
    Ok(last.and_then(|d| d["at"].as_i64()).map(Timestamp))
}

/// A start that an earlier run owes an instance: it had stopped it, and has ended without having seen it run again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Owed {
    pub run: Uuid,
    /// When it was stopped.
    pub at: Timestamp,
}

/// What an earlier run owes the instance, if anything.
async fn left(cx: &Cx, server: &str) -> Result<Option<Owed>> {
    let last = run_events::last_power(cx.deps.db.read().await?.tx(), server).await?;
    let left = last.filter(|l| l.run_id != cx.id().0 && !l.live && l.detail.0["does"] == "stop");
    Ok(left.and_then(|l| l.detail.0["at"].as_i64().map(|at| Owed { run: l.run_id, at: Timestamp(at) })))
}

/// What this run takes over of what an earlier one owes the instance, as it is now. One that runs again is owed nothing,
/// nor is one that somebody has stopped since; one that is locked is left to who locked it.
pub async fn take_over(cx: &Cx, cloud: &Cloud, server: &Server) -> Result<Option<Owed>> {
    let Some(owed) = left(cx, &server.id).await? else { return Ok(None) };
    let (name, run) = (&server.name, owed.run);
    match server.status.as_str() {
        "SHUTOFF" if !stopped_it(cx, cloud, &server.id, run).await? => {
            write(cx, "none", &server.id, cx.now(), format!("somebody has stopped {name} since the run {run} did: it stays stopped")).await?;
            Ok(None)
        }
        "SHUTOFF" if server.locked => {
            cx.log("warn", format!("{name} was stopped by the run {run} and not started again; it is locked, so it stays stopped")).await?;
            Ok(None)
        }
        "SHUTOFF" => Ok(Some(owed)),
        "ACTIVE" => {
            write(cx, "none", &server.id, cx.now(), format!("{name} runs again; the run {run} had stopped it and not started it")).await?;
            Ok(None)
        }
        _ => Ok(None),
    }
}

/// Whether it was that run which stopped the instance last. A cloud that does not tell leaves what the run has written.
async fn stopped_it(cx: &Cx, cloud: &Cloud, server: &str, run: Uuid) -> Result<bool> {
    match ask(cx, cloud.last_stop(server)).await {
        Ok(Some(request)) => Ok(run_events::made(cx.deps.db.read().await?.tx(), RunId(run), &request).await?),
        Err(Break::Failed(f)) if !f.permanent => Err(Break::Failed(f)),
        Ok(None) | Err(Break::Failed(_)) => Ok(true),
        Err(other) => Err(other),
    }
}

async fn write(cx: &Cx, does: &str, server: &str, at: Timestamp, message: String) -> Result<()> {
    let detail = json!({"does": does, "server": server, "at": at.0});
    let t = cx.begin(&[cx.event(POWER, "info", message, Some(detail))]).await?;
    cx.commit(t).await
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stopped {
    /// This run has stopped it, and starts it again.
    pub ours: bool,
    pub status: String,
}

pub struct Stop {
    pub reach: Arc<Reach>,
    pub server: String,
    pub name: String,
    /// It is stopped, and an earlier run owes it the start: this one takes that over.
    pub owed: Option<Owed>,
}

#[async_trait::async_trait]
impl Step for Stop {
    const NAME: &'static str = "stop";
    type Out = Stopped;

    fn input(&self) -> Value {
        json!({"server": self.server, "name": self.name, "stopped_by": self.owed.as_ref().map(|o| o.run)})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Stopped>> {
        let done = self.stop(cx).await;
        self.reach.end(cx, done).await.map(Done::ok)
    }

    async fn undo(&self, cx: &Cx) -> Result<()> {
        let started = bring_up(cx, &self.reach, &self.server, &self.name).await;
        let started = self.reach.end(cx, started).await;
        match started {
            Ok(_) => Ok(()),
            Err(Break::Failed(mut f)) => {
                f.message = format!(
                    "{} was stopped by this run, and it was not seen to run again: {}; if it does not, start it: openstack server start {} \
                     (the next snapshot of it starts it too, unless it is locked)",
                    self.name, f.message, self.server
                );
                Err(Break::Failed(f))
            }
            Err(other) => Err(other),
        }
    }
}

impl Stop {
    async fn stop(&self, cx: &Cx) -> Result<Stopped> {
        let mut wait = Wait::new(cx, &self.reach, format!("{} to be SHUTOFF", self.name), STOPPED_WITHIN);
        let mut ours = owed(cx).await?.is_some();
        if let Some(owed) = &self.owed {
            if !ours {
                let words = format!("{} was stopped by the run {}, which could not start it again: this run does at the end", self.name, owed.run);
                write(cx, "stop", &self.server, owed.at, words).await?;
            }
            return Ok(Stopped { ours: true, status: "SHUTOFF".to_owned() });
        }
        let mut ordered = false;
        loop {
            let seen = async { ask(cx, self.reach.cloud(cx).await?.server_state(&self.server)).await };
            let server = match seen.await {
                Ok(Some(server)) => server,
                Ok(None) => return Err(permanent("not_found", format!("the instance {} ({}) is gone", self.name, self.server))),
                Err(e) => {
                    wait.after(e).await?;
                    continue;
                }
            };
            match server.status.as_str() {
                "SHUTOFF" if server.task.is_none() => return Ok(Stopped { ours, status: server.status }),
                "ACTIVE" if server.locked => {
                    let remedy = format!("unlock it (openstack server unlock {}) or switch instance_stop off", self.server);
                    return Err(permanent("state", format!("the instance {} is locked, so it cannot be stopped; {remedy}", self.name)));
                }
                "ACTIVE" if server.task.is_none() && !ordered => {
                    if !ours {
                        write(cx, "stop", &self.server, cx.now(), format!("stops {}, and starts it again at the end", self.name)).await?;
                        ours = true;
                        cx.fault(Self::NAME, Moment::Halfway)?;
                    }
                    let stop = async { order(cx, self.reach.cloud(cx).await?.stop(&self.server)).await };
                    match stop.await {
                        Ok(()) => ordered = true,
                        Err(e) => wait.after(e).await?,
                    }
                    continue;
                }
                "ACTIVE" => {}
                "ERROR" => return Err(permanent("state", format!("the instance {} went into the state ERROR as it was stopped", self.name))),
                // Somebody has paused or suspended it meanwhile.
                other if !ours => return Ok(Stopped { ours, status: other.to_owned() }),
                _ => {}
            }
            let task = server.task.as_deref().map(|t| format!(", {t}")).unwrap_or_default();
            // A stop that came to nothing is ordered again.
            ordered = ordered && server.task.is_some();
            wait.pause(&format!("{}{task}", server.status)).await?;
        }
    }
}

/// Starts an instance that this run has stopped, and waits until it runs. How long it was down, in seconds; `None`
/// where this run owes it nothing.
pub async fn bring_up(cx: &Cx, reach: &Reach, server: &str, name: &str) -> Result<Option<f64>> {
    let Some(since) = owed(cx).await? else { return Ok(None) };
    let mut wait = Wait::new(cx, reach, format!("{name} to run again"), STARTED_WITHIN);
    let mut ordered = false;
    loop {
        let seen = async { ask(cx, reach.cloud(cx).await?.server_state(server)).await };
        let now = match seen.await {
            Ok(Some(now)) => now,
            Ok(None) => {
                write(cx, "none", server, cx.now(), format!("{name} is gone, so it cannot be started")).await?;
                return Err(permanent("not_found", format!("the instance {name} ({server}) was deleted meanwhile")));
            }
            Err(e) => {
                wait.after(e).await?;
                continue;
            }
        };
        match now.status.as_str() {
            // A stop that was ordered just before a crash may still be on its way.
            "ACTIVE" if now.task.is_none() && (ordered || settled(cx, reach, server).await) => {
                let down = cx.now().secs_since(since).max(0.0);
                write(cx, "start", server, cx.now(), format!("{name} runs again")).await?;
                return Ok(Some(down));
            }
            "SHUTOFF" if now.locked => {
                return Err(permanent("state", format!("the instance {name} was locked meanwhile; unlock it: openstack server unlock {server}")));
            }
            "SHUTOFF" if now.task.is_none() && !ordered => {
                let start = async { order(cx, reach.cloud(cx).await?.start(server)).await };
                match start.await {
                    Ok(()) => ordered = true,
                    Err(e) => wait.after(e).await?,
                }
                continue;
            }
            "ERROR" => {
                return Err(permanent(
                    "state",
                    format!("the instance {name} is in the state ERROR{}", now.fault.map(|f| format!(" ({f})")).unwrap_or_default()),
                ));
            }
            _ => {}
        }
        ordered = ordered && now.task.is_some();
        let task = now.task.as_deref().map(|t| format!(", {t}")).unwrap_or_default();
        wait.pause(&format!("{}{task}", now.status)).await?;
    }
}

/// Whether the instance that runs goes on running: it is looked at twice. Where the second look fails nothing is known,
/// and whoever asked looks again.
async fn settled(cx: &Cx, reach: &Reach, server: &str) -> bool {
    tokio::time::sleep(cx.deps.limits.poll.min(Duration::from_secs(1))).await;
    let again = async { ask(cx, reach.cloud(cx).await?.server_state(server)).await };
    again.await.is_ok_and(|again| again.is_some_and(|s| s.status == "ACTIVE" && s.task.is_none()))
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Started {
    /// How long the instance was down.
    pub stopped_s: Option<f64>,
}

pub struct Start {
    pub reach: Arc<Reach>,
    pub server: String,
    pub name: String,
}

#[async_trait::async_trait]
impl Step for Start {
    const NAME: &'static str = "start";
    type Out = Started;

    fn input(&self) -> Value {
        json!({"server": self.server, "name": self.name})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Started>> {
        // Done twice, the first time counts.
        let before = run_events::details(cx.deps.db.read().await?.tx(), cx.id(), POWER).await?;
        let at = |does: &str| before.iter().rev().find(|d| d["does"] == does).and_then(|d| d["at"].as_i64()).map(Timestamp);
        let known = at("start").zip(at("stop")).map(|(up, down)| up.secs_since(down).max(0.0));
        let started = bring_up(cx, &self.reach, &self.server, &self.name).await;
        let stopped_s = self.reach.end(cx, started).await?.or(known);
        Ok(Done::ok(Started { stopped_s }))
    }
}
