//! A clone: a new server of a snapshot, with its volumes, an end, and a hook (R23).
//!
//! Lives here: the steps `choose`, `record` and their order. Beside it: `build` (what is made in the cloud and how it is taken
//! away), `hook`. May not: which snapshot a date means (`ops::clones`), the end of a clone that stands (`crate::clones`).
//! Invariants: all that is made bears the run's mark, so that a repeated step finds it; what was undone is looked for
//! and must be absent; the instance that the snapshot was taken of is never touched.

mod build;
mod hook;

use std::{collections::BTreeMap, sync::Arc};

use domain::{
    id::{CloneId, RepositoryId, ServiceId, SourceId},
    instance::{BootType, CLONED, CloneParams, CloneResult, CloneVolume, Flavour, NativeSnapshot, Networks},
    run::RunEvent,
    units::Timestamp,
    work::StepFailure,
};
use engine::sources::openstack::Cloud;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{
    audit::{self, NewEvent},
    clones::{self, CloneRow, NewClone},
    runs::RunRow,
    snapshots,
};

use self::hook::Hook;
use super::{given, instance_snapshot::Notify};
use crate::{
    clouds::link::{Reach, ask},
    exec::{Cx, Ended, Exec},
    step::{Done, Result, Step, permanent},
};

pub use self::build::{Create, Made, Running, Volumes, WaitActive, take_away};

pub const STEPS: &[&str] = &[Choose::NAME, Volumes::NAME, Create::NAME, WaitActive::NAME, Hook::NAME, Record::NAME, Notify::NAME];

/// When this is done, the clone stands.
pub const RECORDED: &str = Record::NAME;

/// Why a clone ends that its run takes back.
const CUT_SHORT: &str = "its run did not come to its end";

/// The metadata by which a clone and its volumes are known: the run's id.
pub const fn mark() -> &'static str {
    CLONED
}

pub async fn run(exec: &mut Exec) -> Result<Ended> {
    let repository = given(exec.cx.run.repository_id, RepositoryId, "repository")?;
    let service = given(exec.cx.run.service_id, ServiceId, "service")?;
    let params: CloneParams = exec.cx.run.params()?;
    let reach = Reach::new(repository);
    let plan = exec.step(Choose { reach: reach.clone(), params: params.clone() }).await?;
    let volumes = exec.step(Volumes { reach: reach.clone(), plan: plan.clone() }).await?;
    let server = exec.step(Create { reach: reach.clone(), plan: plan.clone(), volumes: volumes.clone() }).await?;
    let running = if params.wait {
        exec.step(WaitActive { reach: reach.clone(), server: server.clone() }).await?
    } else {
        exec.skip(WaitActive::NAME, "wait is off: the cloud has accepted it").await?;
        Running { status: "BUILD".to_owned(), addresses: Vec::new(), ready_s: None }
    };
    let hooked = if params.hook.is_some() {
        exec.step(Hook { service, params: params.clone(), server: server.clone(), running: running.clone() }).await?
    } else {
        exec.skip(Hook::NAME, "no hook is named").await?;
        hook::Hooked::default()
    };
    let record = Record { repository, params: params.clone(), plan: plan.clone(), volumes: volumes.clone(), server: server.clone(), ready: params.wait };
    let recorded = exec.step(record).await?;
    let result = CloneResult {
        clone: recorded.clone,
        server,
        name: params.clone_name.clone(),
        status: running.status,
        addresses: running.addresses,
        flavour: plan.flavour,
        volumes,
        expires_at: recorded.expires_at,
        ready_s: running.ready_s,
        left_out: plan.left_out,
        hook: hooked.said,
    };
    if params.to_addr_success.is_empty() {
        exec.skip(Notify::NAME, "to_addr_success names nobody").await?;
    } else if hooked.failed.is_some() {
        exec.skip(Notify::NAME, "the hook failed: that is told to to_addr_error").await?;
    } else if !params.wait {
        exec.skip(Notify::NAME, "wait is off: the mail leaves when the clone runs").await?;
    } else {
        exec.step(Notify { to: params.to_addr_success, text: words(&result.name, &result.addresses, &result.flavour, result.expires_at, &result.left_out) })
            .await?;
    }
    Ok(match hooked.failed {
        None => Ended::new(RunEvent::Succeed, &result, None),
        Some(why) => {
            let failure = StepFailure::new("hook_failed", format!("the clone {} stands, but its hook failed: {why}", result.name), false);
            Ended::new(RunEvent::FinishPartly, &result, Some(failure))
        }
    })
}

/// How a clone that runs reads in its mail.
pub fn words(name: &str, addresses: &[String], flavour: &Flavour, expires_at: Timestamp, left_out: &[String]) -> String {
    let addresses = if addresses.is_empty() { "no address".to_owned() } else { addresses.join(", ") };
    let left_out = left_out.iter().fold(String::new(), |all, s| all + " " + s);
    let end = domain::review::date_of(expires_at);
    format!("{name} runs with {addresses}, as {} ({} vCPUs, {} MiB). It is deleted on {end}.{left_out}", flavour.name, flavour.vcpus, flavour.ram_mb)
}

/// One disk that is made of a volume snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Disk {
    pub snapshot: String,
    /// The name of the new volume.
    pub name: String,
    pub size_gb: i64,
    pub device: Option<String>,
    pub root: bool,
}

/// All that the clone is made of, fixed before anything is made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    pub name: String,
    pub flavour: Flavour,
    /// Of one that boots from an image.
    pub image: Option<String>,
    pub disks: Vec<Disk>,
    pub networks: Vec<String>,
    pub zone: Option<String>,
    pub key: Option<String>,
    pub security_groups: Vec<String>,
    /// Without the marks.
    pub metadata: BTreeMap<String, String>,
    /// What could not be taken over, a sentence each.
    pub left_out: Vec<String>,
}

impl Plan {
    /// What is recorded of a clone of this plan that nobody has seen run yet.
    fn row<'a>(&'a self, cx: &Cx, repository: RepositoryId, server: &'a str, volumes: &'a [CloneVolume], now: Timestamp) -> Result<NewClone<'a>> {
        let params: CloneParams = cx.run.params()?;
        let image_disk = if self.image.is_some() { self.flavour.disk_gb } else { 0 };
        Ok(NewClone {
            service: given(cx.run.service_id, ServiceId, "service")?,
            source: cx.run.source_id.map(SourceId),
            repository,
            snapshot: params.snapshot,
            run: cx.id(),
            server,
            name: &self.name,
            volumes,
            vcpus: self.flavour.vcpus,
            ram_mb: self.flavour.ram_mb,
            disk_gb: image_disk + volumes.iter().map(|v| v.size_gb).sum::<i64>(),
            ready_at: None,
            expires_at: now.plus_secs(i64::from(params.days) * 86_400),
        })
    }
}

pub struct Choose {
    pub reach: Arc<Reach>,
    pub params: CloneParams,
}

impl Choose {
    async fn native(&self, cx: &Cx) -> Result<NativeSnapshot> {
        let row = snapshots::find(cx.deps.db.read().await?.tx(), self.params.snapshot).await?.filter(|s| s.gone_at.is_none());
        let native = row.and_then(|r| r.native).map(|n| n.0);
        native.ok_or_else(|| {
            permanent("gone", format!("the snapshot {} of {} is no longer there; choose another one", self.params.snapshot, self.params.instance))
        })
    }

    async fn flavour(&self, cx: &Cx, cloud: &Cloud, had: &Flavour) -> Result<Flavour> {
        if !self.params.flavour.is_empty() {
            let found = ask(cx, cloud.flavour(&self.params.flavour)).await?;
            return found.ok_or_else(|| permanent("not_found", format!("the cloud has no flavour “{}”; choose another one", self.params.flavour)));
        }
        // Of an adopted snapshot.
        if had.id.is_none() && had.name.is_empty() {
            return Err(permanent("not_found", format!("nobody knows the flavour that {} had; choose one", self.params.instance)));
        }
        for wanted in had.id.iter().chain([&had.name]) {
            if let Some(found) = ask(cx, cloud.flavour(wanted)).await? {
                return Ok(found);
            }
        }
        Err(permanent("not_found", format!("the flavour {} that {} had is no longer in the cloud; choose another one", had.name, self.params.instance)))
    }

    async fn networks(&self, cx: &Cx, cloud: &Cloud, native: &NativeSnapshot) -> Result<Vec<String>> {
        let (wanted, had): (Vec<&str>, bool) = match &self.params.networks {
            Networks::None => return Ok(Vec::new()),
            Networks::Same => (native.server.networks.iter().map(|n| n.network.as_str()).collect(), true),
            Networks::These(names) => (names.iter().map(String::as_str).collect(), false),
        };
        let mut ids = Vec::with_capacity(wanted.len());
        for name in wanted {
            let mut found = ask(cx, cloud.networks_called(name)).await?;
            match (found.len(), found.pop()) {
                (1, Some((id, _))) => ids.push(id),
                (0, _) if had => {
                    let known = native.server.networks.iter().find(|n| n.network == name).map_or(name, |n| n.network_name.as_str());
                    return Err(permanent(
                        "not_found",
                        format!("the network {known} that {} had is no longer in the cloud; choose others, or none", self.params.instance),
                    ));
                }
                (0, _) => return Err(permanent("not_found", format!("the cloud has no network “{name}”; name another one, or choose none"))),
                _ => return Err(permanent("invalid", format!("several networks of the cloud bear the name “{name}”; give the id of the one that is meant"))),
            }
        }
        Ok(ids)
    }

    /// Looks whether all that the clone is made of is there.
    async fn whole(&self, cx: &Cx, cloud: &Cloud, native: &NativeSnapshot) -> Result<()> {
        let gone = |what: String| permanent("gone", format!("{what}, so {} is no longer whole; choose another snapshot", native.name));
        if native.server.boot == BootType::Image {
            let Some(image) = &native.image else { return Err(gone("it has no image".to_owned())) };
            match ask(cx, cloud.image(&image.id)).await? {
                Some(found) if found.status == "active" => {}
                Some(found) => return Err(gone(format!("its image {} is {} in the cloud", image.id, found.status))),
                None => return Err(gone(format!("its image {} is not in the cloud", image.id))),
            }
        } else if !native.volumes.iter().any(|v| v.root) {
            return Err(gone("it has no snapshot of the root volume".to_owned()));
        }
        for volume in &native.volumes {
            match ask(cx, cloud.volume_snapshot(&volume.id)).await? {
                Some(found) if found.status == "available" => {}
                Some(found) => return Err(gone(format!("its volume snapshot {} is {} in the cloud", volume.id, found.status))),
                None => return Err(gone(format!("its volume snapshot {} is not in the cloud", volume.id))),
            }
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl Step for Choose {
    const NAME: &'static str = "choose";
    type Out = Plan;

    fn input(&self) -> Value {
        serde_json::to_value(&self.params).unwrap_or_default()
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Plan>> {
        if let Some(problem) = self.params.hook.as_deref().and_then(|h| cx.deps.tools.hook_problem(h)) {
            return Err(permanent("invalid", format!("hook: {problem}; the worker {} reads its own file", cx.deps.name)));
        }
        let planned = Box::pin(self.plan(cx)).await;
        self.reach.end(cx, planned).await.map(Done::ok)
    }
}

impl Choose {
    /// All that the clone is to be made of; nothing is made yet.
    pub async fn plan(&self, cx: &Cx) -> Result<Plan> {
        let native = self.native(cx).await?;
        let cloud = self.reach.cloud(cx).await?;
        self.whole(cx, cloud, &native).await?;
        let had = &native.server;
        let flavour = self.flavour(cx, cloud, &had.flavour).await?;
        let least = native.image.as_ref().map_or(0, |i| i.min_disk_gb);
        if had.boot == BootType::Image && flavour.disk_gb > 0 && least > flavour.disk_gb {
            return Err(permanent(
                "invalid",
                format!("the image needs a disk of {least} GiB, and the flavour {} has {} GiB; choose a larger one", flavour.name, flavour.disk_gb),
            ));
        }
        let networks = self.networks(cx, cloud, &native).await?;
        let mut left_out = Vec::new();
        let mut key = had.key.clone();
        if let Some(name) = &had.key
            && !ask(cx, cloud.has_key(name)).await?
        {
            left_out.push(format!("The key pair {name} is not among those of the cloud's user; the clone has the keys that are on its disk."));
            key = None;
        }
        let mut security_groups = Vec::new();
        for name in had.security_groups.iter().filter(|_| !networks.is_empty()) {
            if ask(cx, cloud.has_security_group(name)).await? {
                security_groups.push(name.clone());
            } else {
                left_out.push(format!("The security group {name} is no longer in the project; the clone lets in what the others let in, or the default one."));
            }
        }
        security_groups.dedup();
        for sentence in &left_out {
            self.reach.log(cx, "warn", sentence.clone()).await?;
        }
        let zone =
            if self.params.availability_zone.is_empty() { had.zone.clone().filter(|z| !z.is_empty()) } else { Some(self.params.availability_zone.clone()) };
        let disk = |(n, v): (usize, &domain::instance::VolumeSnapshot)| Disk {
            snapshot: v.id.clone(),
            name: if v.root { format!("{}_root", self.params.clone_name) } else { format!("{}_{n}", self.params.clone_name) },
            size_gb: v.size_gb,
            device: v.device.clone(),
            root: v.root && had.boot == BootType::Volume,
        };
        let mut disks: Vec<Disk> = native.volumes.iter().enumerate().map(disk).collect();
        disks.sort_by_key(|d| !d.root);
        Ok(Plan {
            name: self.params.clone_name.clone(),
            flavour,
            image: native.image.as_ref().filter(|_| had.boot == BootType::Image).map(|i| i.id.clone()),
            disks,
            networks,
            zone,
            key,
            security_groups,
            metadata: self.params.metadata_over(&had.metadata),
            left_out,
        })
    }
}

/// The clone as it is recorded.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Recorded {
    clone: Option<CloneId>,
    expires_at: Timestamp,
}

struct Record {
    repository: RepositoryId,
    params: CloneParams,
    plan: Plan,
    volumes: Vec<CloneVolume>,
    server: String,
    /// It was seen to run.
    ready: bool,
}

#[async_trait::async_trait]
impl Step for Record {
    const NAME: &'static str = "record";
    type Out = Recorded;

    fn input(&self) -> Value {
        json!({"server": self.server, "volumes": self.volumes.len(), "days": self.params.days})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Recorded>> {
        let now = cx.now();
        let new = NewClone { ready_at: self.ready.then_some(now), ..self.plan.row(cx, self.repository, &self.server, &self.volumes, now)? };
        let expires_at = new.expires_at;
        let mut t = cx.begin_audited(&[]).await?;
        if clones::insert(t.tx(), &new, now).await? {
            let after = json!({"name": new.name, "server": new.server, "snapshot": new.snapshot, "expires_at": expires_at, "run": cx.id()});
            let id = clones::of_run(t.tx(), cx.id()).await?.map(|c| c.id.to_string()).unwrap_or_default();
            audit::record(
                t.tx(),
                now,
                &cx.run.actor,
                "worker",
                NewEvent { action: "clone.make", entity: "clone", entity_id: id, before: None, after: Some(after) },
            )
            .await?;
        }
        let row = clones::of_run(t.tx(), cx.id()).await?;
        cx.commit(t).await?;
        // It stands: a wish to cancel comes too late.
        cx.settle();
        Ok(Done::ok(Recorded { clone: row.as_ref().map(CloneRow::id), expires_at: row.map_or(expires_at, |r| Timestamp(r.expires_at)) }))
    }

    /// What the run made is deleted by the steps before; here its row is closed.
    async fn undo(&self, cx: &Cx) -> Result<()> {
        let mut t = cx.begin(&[]).await?;
        if let Some(row) = clones::of_run(t.tx(), cx.id()).await? {
            clones::ended(t.tx(), row.id(), CUT_SHORT, cx.now()).await?;
        }
        cx.commit(t).await
    }
}

/// Whom a run tells that it did not go well.
pub fn told_of_failure(run: &RunRow) -> Vec<String> {
    run.params::<CloneParams>().map(|p| p.to_addr_error).unwrap_or_default()
}
