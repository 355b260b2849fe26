//! What a clone is made of in the cloud: volumes, server, its running; and how all of it is taken away.
//!
//! Lives here: the steps `volumes`, `create`, `wait`, and [`take_away`], which also ends a clone that stands.
//! May not: rows, but that of what could not be taken back. Invariant: only what bears the mark of the run is ever deleted,
//! and its absence is looked for.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use domain::{
    id::RunId,
    instance::{CloneVolume, Server},
};
use engine::{
    EngineError, ErrorKind,
    sources::openstack::{Cloud, Content, NewDisk, NewServer, NewVolume},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::clones;
use tokio::time::{Instant, sleep};

use super::{CUT_SHORT, Disk, Plan, mark};
use crate::{
    clouds::{
        link::{Reach, ask, order},
        wait::Wait,
    },
    deps::Moment,
    exec::Cx,
    step::{Break, Done, Result, Step, permanent},
};

/// How long volumes and servers may take to be there, and to be gone.
const READY_WITHIN: Duration = Duration::from_hours(6);
const GONE_WITHIN: Duration = Duration::from_mins(10);
const BACK_WITHIN: Duration = Duration::from_mins(30);
const PAUSE: Duration = Duration::from_millis(500);
/// A volume that stays reserved for so long after its server is gone is reserved for nobody.
const STUCK_AFTER: Duration = Duration::from_secs(10);

/// What a clone has in the cloud.
#[derive(Clone, Debug, Default)]
pub struct Made {
    /// The run whose mark is on it.
    pub run: String,
    pub name: String,
    /// The ids that are known.
    pub server: Option<String>,
    pub volumes: Vec<String>,
    /// The names that its volumes have or would have.
    pub volume_names: Vec<String>,
}

fn marked(metadata: &BTreeMap<String, String>, run: &str) -> bool {
    metadata.get(mark()).is_some_and(|r| r == run)
}

/// The servers of that name with the mark of the run.
async fn servers_of(cloud: &Cloud, name: &str, run: &str) -> engine::Result<Vec<Server>> {
    Ok(cloud.servers_named(name).await?.into_iter().filter(|s| marked(&s.metadata, run)).collect())
}

/// Deletes a clone's server, ports and volumes, and looks until each is absent; what was there, in words.
///
/// # Errors
/// What stands against it; `Locked` where something is still there after ten minutes.
pub async fn take_away(cloud: &Cloud, made: &Made) -> engine::Result<Vec<String>> {
    let until = Instant::now() + GONE_WITHIN;
    let mut gone = Vec::new();
    let mut servers: Vec<String> = servers_of(cloud, &made.name, &made.run).await?.into_iter().map(|s| s.id).collect();
    if let Some(id) = &made.server
        && !servers.contains(id)
    {
        match cloud.server(id).await? {
            // Whoever gave it another name has left the mark.
            Some(s) if marked(&s.metadata, &made.run) => servers.push(id.clone()),
            Some(s) => {
                let text = format!(
                    "the server {} ({id}) no longer bears {}={}, so it is not deleted; put it back, or delete the server yourself",
                    s.name,
                    mark(),
                    made.run
                );
                return Err(EngineError::new(ErrorKind::Conflict, text));
            }
            // Its ports are looked for all the same.
            None => without_ports(cloud, id, until, &mut gone).await?,
        }
    }
    for id in &servers {
        let (mut asked, mut forced) = (false, false);
        while let Some(now) = cloud.server_state(id).await? {
            // One that was deleted is not deleted again: its time in the cloud would begin anew.
            if now.status == "SOFT_DELETED" {
                if now.task.is_none() && !forced {
                    cloud.force_delete(id).await.map_err(only_later)?;
                    forced = true;
                }
            } else if !asked {
                cloud.delete_server(id).await?;
                asked = true;
            }
            pause(until, &format!("the server {id}")).await?;
        }
        gone.push(format!("server {id}"));
        without_ports(cloud, id, until, &mut gone).await?;
    }
    let mut volumes = Vec::new();
    for name in &made.volume_names {
        volumes.extend(cloud.volumes_named(name).await?.into_iter().filter(|v| marked(&v.metadata, &made.run)).map(|v| v.id));
    }
    for id in &made.volumes {
        if !volumes.contains(id) && cloud.volume(id).await?.is_some_and(|v| marked(&v.metadata, &made.run)) {
            volumes.push(id.clone());
        }
    }
    for id in volumes {
        let mut asked = false;
        let left_alone = Instant::now() + STUCK_AFTER;
        while let Some(volume) = cloud.volume(&id).await? {
            match volume.status.as_str() {
                // The server that it was to belong to is gone, or was never made; one that is there keeps it.
                "reserved" | "attaching" if Instant::now() >= left_alone => cloud.release(&id).await?,
                // Nova deletes some of them itself; one that is still being made can only be deleted afterwards.
                "creating" | "downloading" | "detaching" | "reserved" | "in-use" | "deleting" | "attaching" => {}
                "error_deleting" if asked => {
                    let text = format!("Cinder could not delete the volume {id}; ask the cloud's operators to remove it");
                    return Err(EngineError::new(ErrorKind::Conflict, text));
                }
                _ if !asked => {
                    if let Err(e) = cloud.delete_volume(&id).await {
                        return Err(why_kept(cloud, &id, e).await);
                    }
                    asked = true;
                }
                _ => {}
            }
            pause(until, &format!("the volume {id}, which is {}", volume.status)).await?;
        }
        gone.push(format!("volume {id}"));
    }
    Ok(gone)
}

/// A cloud with `reclaim_instance_interval` keeps what was deleted.
fn only_later(e: EngineError) -> EngineError {
    if !e.is_permanent() {
        return e;
    }
    EngineError::new(e.kind, format!("{}; the cloud keeps deleted servers for a while, and its operators can reclaim this one at once", e.message))
}

/// Why a volume is not deleted: Cinder says that it may have snapshots, and not which.
async fn why_kept(cloud: &Cloud, volume: &str, e: EngineError) -> EngineError {
    match cloud.snapshots_of_volume(volume).await {
        Ok(snapshots) if e.is_permanent() && !snapshots.is_empty() => {
            let ids: Vec<String> = snapshots.into_iter().map(|s| s.id).collect();
            let text = format!("the volume {volume} stays while it has snapshots: {}; delete them, and it is deleted at the next try", ids.join(", "));
            EngineError::new(ErrorKind::Conflict, text)
        }
        _ => e,
    }
}

/// Nova takes the ports that it has made with it; one that stays costs an address.
async fn without_ports(cloud: &Cloud, server: &str, until: Instant, gone: &mut Vec<String>) -> engine::Result<()> {
    loop {
        let left = cloud.ports_left_by(server).await?;
        let Some(port) = left.first() else { return Ok(()) };
        for port in &left {
            cloud.delete_port(port).await?;
        }
        gone.push(format!("port {port}"));
        pause(until, &format!("the port {port}")).await?;
    }
}

async fn pause(until: Instant, what: &str) -> engine::Result<()> {
    if Instant::now() >= until {
        return Err(EngineError::new(ErrorKind::Locked, format!("the cloud has accepted the deletion, and still there is {what}")));
    }
    sleep(PAUSE).await;
    Ok(())
}

/// Takes back what a run has made. What stays is recorded as a clone that is to end, so that `crate::clones` tries again.
async fn undo(cx: &Cx, reach: &Reach, made: &Made, plan: &Plan, volumes: &[CloneVolume]) -> Result<()> {
    let back = async {
        let mut wait = Wait::new(cx, reach, format!("the cloud to be rid of {}", made.name), BACK_WITHIN);
        loop {
            let gone = async { order(cx, take_away(reach.cloud(cx).await?, made)).await };
            match Box::pin(gone).await {
                Ok(gone) if gone.is_empty() => return Ok(()),
                Ok(gone) => return reach.log(cx, "info", format!("deleted, looked for and not found: {}", gone.join(", "))).await,
                Err(e) => wait.after(e).await?,
            }
        }
    };
    match reach.end(cx, Box::pin(back).await).await {
        Err(Break::Failed(mut f)) => {
            f.message = format!("{}; what is left bears {}={} in the cloud", f.message, mark(), made.run);
            let now = cx.now();
            let new = plan.row(cx, reach.repository, "", volumes, now)?;
            let mut t = cx.begin(&[]).await?;
            clones::insert(t.tx(), &new, now).await?;
            clones::left(t.tx(), cx.id(), CUT_SHORT, &f.message, now).await?;
            cx.commit(t).await?;
            Err(Break::Failed(f))
        }
        other => other,
    }
}

pub struct Volumes {
    pub reach: Arc<Reach>,
    pub plan: Plan,
}

impl Volumes {
    fn made(&self, run: RunId) -> Made {
        let volume_names = self.plan.disks.iter().map(|d| d.name.clone()).collect();
        Made { run: run.to_string(), name: self.plan.name.clone(), volume_names, ..Made::default() }
    }

    async fn make(&self, cx: &Cx) -> Result<Vec<CloneVolume>> {
        let mut wait = Wait::new(cx, &self.reach, format!("the cloud to accept the volumes of {}", self.plan.name), READY_WITHIN);
        let all = loop {
            match Box::pin(self.order(cx)).await {
                Ok(all) => break all,
                Err(e) => wait.after(e).await?,
            }
        };
        let mut wait = Wait::new(cx, &self.reach, format!("the volumes of {}", self.plan.name), READY_WITHIN);
        loop {
            let waiting = async {
                let mut waiting = Vec::new();
                for volume in &all {
                    match ask(cx, self.reach.cloud(cx).await?.volume(&volume.id)).await?.as_ref().map(|v| v.status.as_str()) {
                        // A step that is done again may find it in its server already.
                        Some("available" | "in-use" | "reserved" | "attaching") => {}
                        Some(status) if status.starts_with("error") => {
                            let why =
                                format!("Cinder could not make the volume {} of its snapshot: it is in {status}; tell the cloud's operators", volume.name);
                            return Err(permanent("cloud_failed", why));
                        }
                        None => {
                            return Err(permanent("gone", format!("the volume {} was deleted while it was being made; start the clone again", volume.name)));
                        }
                        Some(status) => waiting.push(format!("{} is {status}", volume.name)),
                    }
                }
                Ok(waiting)
            };
            match Box::pin(waiting).await {
                Ok(waiting) if waiting.is_empty() => return Ok(all),
                Ok(waiting) => wait.pause(&waiting.join(", ")).await?,
                Err(e) => wait.after(e).await?,
            }
        }
    }

    /// Orders what is not there yet.
    async fn order(&self, cx: &Cx) -> Result<Vec<CloneVolume>> {
        let cloud = self.reach.cloud(cx).await?;
        let run = cx.id().to_string();
        let mut all = Vec::new();
        for disk in &self.plan.disks {
            let there = ask(cx, cloud.volumes_named(&disk.name)).await?.into_iter().find(|v| marked(&v.metadata, &run));
            let id = if let Some(volume) = there {
                volume.id
            } else {
                let metadata = BTreeMap::from([(mark().to_owned(), run.clone())]);
                let new = NewVolume { name: disk.name.clone(), size_gb: disk.size_gb, content: Content::Snapshot(disk.snapshot.clone()), metadata };
                let id = order(cx, cloud.create_volume(&new)).await?;
                cx.fault(Self::NAME, Moment::Halfway)?;
                id
            };
            all.push(CloneVolume { id, name: disk.name.clone(), size_gb: disk.size_gb, device: disk.device.clone(), root: disk.root });
        }
        Ok(all)
    }
}

#[async_trait::async_trait]
impl Step for Volumes {
    const NAME: &'static str = "volumes";
    type Out = Vec<CloneVolume>;

    fn input(&self) -> Value {
        json!({"disks": self.plan.disks})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Vec<CloneVolume>>> {
        let made = if self.plan.disks.is_empty() { Ok(Vec::new()) } else { Box::pin(self.make(cx)).await };
        self.reach.end(cx, made).await.map(Done::ok)
    }

    async fn undo(&self, cx: &Cx) -> Result<()> {
        if self.plan.disks.is_empty() {
            return Ok(());
        }
        let volume = |d: &Disk| CloneVolume { id: String::new(), name: d.name.clone(), size_gb: d.size_gb, device: d.device.clone(), root: d.root };
        let volumes: Vec<CloneVolume> = self.plan.disks.iter().map(volume).collect();
        undo(cx, &self.reach, &self.made(cx.id()), &self.plan, &volumes).await
    }
}

pub struct Create {
    pub reach: Arc<Reach>,
    pub plan: Plan,
    pub volumes: Vec<CloneVolume>,
}

impl Create {
    async fn make(&self, cx: &Cx) -> Result<String> {
        let run = cx.id().to_string();
        let mut metadata = self.plan.metadata.clone();
        metadata.insert(mark().to_owned(), run.clone());
        let new = NewServer {
            name: self.plan.name.clone(),
            flavour: self.plan.flavour.id.clone().unwrap_or_else(|| self.plan.flavour.name.clone()),
            image: self.plan.image.clone(),
            disks: self.volumes.iter().map(|v| NewDisk { volume: v.id.clone(), root: v.root, device: v.device.clone() }).collect(),
            networks: self.plan.networks.clone(),
            zone: self.plan.zone.clone(),
            key: self.plan.key.clone(),
            security_groups: self.plan.security_groups.clone(),
            metadata,
        };
        let mut wait = Wait::new(cx, &self.reach, format!("the cloud to accept {}", self.plan.name), READY_WITHIN);
        loop {
            let made = async {
                let cloud = self.reach.cloud(cx).await?;
                if let Some(there) = ask(cx, servers_of(cloud, &self.plan.name, &run)).await?.pop() {
                    return Ok(there.id);
                }
                order(cx, cloud.create_server(&new)).await
            };
            match Box::pin(made).await {
                Ok(id) => {
                    cx.fault(Self::NAME, Moment::Halfway)?;
                    return Ok(id);
                }
                Err(e) => wait.after(e).await?,
            }
        }
    }
}

#[async_trait::async_trait]
impl Step for Create {
    const NAME: &'static str = "create";
    type Out = String;

    fn input(&self) -> Value {
        let p = &self.plan;
        json!({"name": p.name, "flavour": p.flavour.name, "image": p.image, "volumes": self.volumes.iter().map(|v| &v.id).collect::<Vec<_>>(),
            "networks": p.networks, "zone": p.zone, "key": p.key, "security_groups": p.security_groups, "metadata": p.metadata})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<String>> {
        let made = Box::pin(self.make(cx)).await;
        self.reach.end(cx, made).await.map(Done::ok)
    }

    async fn undo(&self, cx: &Cx) -> Result<()> {
        let made = Made { run: cx.id().to_string(), name: self.plan.name.clone(), ..Made::default() };
        undo(cx, &self.reach, &made, &self.plan, &self.volumes).await
    }
}

/// How the clone was last seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Running {
    pub status: String,
    pub addresses: Vec<String>,
    /// Seconds from the run's beginning; absent where nobody waited.
    pub ready_s: Option<f64>,
}

pub struct WaitActive {
    pub reach: Arc<Reach>,
    pub server: String,
}

impl WaitActive {
    async fn wait(&self, cx: &Cx) -> Result<Running> {
        let mut wait = Wait::new(cx, &self.reach, "the clone to be ACTIVE", READY_WITHIN);
        loop {
            let seen = async { ask(cx, self.reach.cloud(cx).await?.server(&self.server)).await };
            match seen.await {
                Ok(Some(s)) if s.status == "ACTIVE" && s.task.is_none() => {
                    let began = cx.run.started_at.map_or_else(|| cx.now(), domain::units::Timestamp);
                    let addresses = s.networks.iter().flat_map(|n| n.addresses.clone()).collect();
                    return Ok(Running { status: s.status, addresses, ready_s: Some(cx.now().secs_since(began).max(0.0)) });
                }
                Ok(Some(s)) if s.status == "ERROR" => {
                    let why = s.fault.unwrap_or_else(|| "the cloud does not say why".to_owned());
                    return Err(permanent("cloud_failed", format!("Nova could not start the clone {}: {why}", s.name)));
                }
                Ok(Some(s)) => {
                    let task = s.task.as_deref().map(|t| format!(", {t}")).unwrap_or_default();
                    wait.pause(&format!("{}{task}", s.status)).await?;
                }
                Ok(None) => return Err(permanent("gone", format!("the clone's server {} was deleted while it was being made", self.server))),
                Err(e) => wait.after(e).await?,
            }
        }
    }
}

#[async_trait::async_trait]
impl Step for WaitActive {
    const NAME: &'static str = "wait";
    type Out = Running;

    fn input(&self) -> Value {
        json!({"server": self.server})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Running>> {
        let running = Box::pin(self.wait(cx)).await;
        self.reach.end(cx, running).await.map(Done::ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_may_not_be_forced_to_go_says_who_can_help() {
        let said = only_later(EngineError::new(ErrorKind::Denied, "Nova could not delete the server s at once: HTTP 403"));
        assert!(said.kind == ErrorKind::Denied && said.message.ends_with("its operators can reclaim this one at once"), "{said}");
        let passing = only_later(EngineError::new(ErrorKind::Unavailable, "away"));
        assert_eq!((passing.kind, passing.message.as_str()), (ErrorKind::Unavailable, "away"));
    }
}
