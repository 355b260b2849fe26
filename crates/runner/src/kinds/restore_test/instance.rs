//! Instances in a restore test: each is cloned into its own project, on a network of the test, looked at and deleted.
//!
//! Lives here: the driver, its network, what is taken away. Beside it: `look` (the checks). May not: how a clone is made
//! (`instance_clone`).
//! Invariants: the instance that the snapshot was taken of is never touched; all that is made bears the run's mark or
//! id, so that it is found again; each piece is asked for after its deletion.

mod look;

use std::{path::PathBuf, sync::Arc, time::Duration};

use domain::{
    definition::{Terms, TestNetwork},
    evidence::CheckOutcome,
    id::{RepositoryId, RunId},
    instance::{BootType, CloneParams, NativeSnapshot, Networks, TESTED},
    run::ItemState,
    work::StepFailure,
};
use store::{
    run_items::{self, ItemProblem, ItemProblems, NewRunItem},
    snapshots,
};

use super::driver::{Brought, Driver, Gone, Missing, Part, Restored};
use crate::{
    clouds::{
        link::{Reach, ask, order},
        wait::Wait,
    },
    deps::Moment,
    exec::Cx,
    kinds::{
        instance_clone::{Choose, Create, Made, Plan, Volumes, WaitActive, mark, take_away},
        restore_choice::Chosen,
    },
    step::{Break, Result, Step, permanent},
};

/// How long the cloud may take to make a network, to say of what a clone is made, and to be rid of everything.
const READY_WITHIN: Duration = Duration::from_mins(30);
const BACK_WITHIN: Duration = Duration::from_mins(30);
/// The addresses of the test's network, which nothing else has: they are set aside for tests of networks (RFC 2544).
const ADDRESSES: &str = "198.18.0.0/16";
/// How much of an item's name a clone's has.
const LONGEST: usize = 180;

pub struct Instances {
    run: RunId,
    part: Part,
    network: Network,
    scratch: PathBuf,
    reach: Arc<Reach>,
}

/// What the definition says of the network.
enum Network {
    Isolated,
    None,
    Named(String),
}

impl Instances {
    pub fn new(run: RunId, repository: RepositoryId, part: Part, terms: &Terms, scratch: PathBuf) -> Self {
        let network = match terms.test_network() {
            TestNetwork::Isolated => Network::Isolated,
            TestNetwork::None => Network::None,
            TestNetwork::Named(name) => Network::Named(name.to_owned()),
        };
        Self { run, part, network, scratch, reach: Reach::new(repository) }
    }

    /// The name of the test's network. It has the run's id, so that nobody else's bears it.
    fn network_name(&self) -> String {
        format!("holdfast_test_{}", self.run)
    }

    fn clone_name(&self, n: usize, c: &Chosen) -> String {
        let head: String = c.item.chars().take(LONGEST).collect();
        format!("{head}_test_{}_{n}", self.run)
    }

    /// The test's own network, where it is there.
    async fn network_id(&self, cx: &Cx) -> Result<Option<String>> {
        let name = self.network_name();
        let found = ask(cx, self.reach.cloud(cx).await?.networks_called(&name)).await?;
        Ok(found.into_iter().find(|(_, n)| *n == name).map(|(id, _)| id))
    }

    async fn make_network(&self, cx: &Cx) -> Result<()> {
        let name = self.network_name();
        let mut wait = Wait::new(cx, &self.reach, "the cloud to make a network for the test", READY_WITHIN);
        loop {
            let made = async {
                let cloud = self.reach.cloud(cx).await?;
                if !cloud.has_networks() {
                    return self.reach.log(cx, "info", "the cloud has no networks: the instances are tested without one").await;
                }
                let id = if let Some(id) = self.network_id(cx).await? {
                    id
                } else {
                    let id = order(cx, cloud.create_network(&name, &format!("{}={}: a restore test of Holdfast", mark(), self.run))).await?;
                    cx.fault(super::Provision::NAME, Moment::Halfway)?;
                    id
                };
                if ask(cx, cloud.subnets_of(&id)).await?.is_none_or(|s| s.is_empty()) {
                    order(cx, cloud.create_subnet(&id, &name, ADDRESSES)).await?;
                }
                self.reach.log(cx, "info", format!("the network {name} ({id}) has no router: nobody reaches the test, and it reaches nobody")).await
            };
            match Box::pin(made).await {
                Ok(()) => return Ok(()),
                Err(Break::Failed(f)) if f.permanent => {
                    let message = format!("{}; let the definition leave `network` out to test without one", f.message);
                    return Err(Break::Failed(StepFailure { message, ..f }));
                }
                Err(e) => wait.after(e).await?,
            }
        }
    }

    async fn networks(&self, cx: &Cx) -> Result<Networks> {
        Ok(match &self.network {
            Network::None => Networks::None,
            Network::Named(name) => Networks::These(vec![self.named(cx, name).await?]),
            Network::Isolated if !self.reach.cloud(cx).await?.has_networks() => Networks::None,
            Network::Isolated => {
                let gone = || permanent("unavailable", format!("the network {} was deleted while the test used it; start the test again", self.network_name()));
                Networks::These(vec![self.network_id(cx).await?.ok_or_else(gone)?])
            }
        })
    }

    /// A network of the project. That it is not there says nothing of the snapshot.
    async fn named(&self, cx: &Cx, name: &str) -> Result<String> {
        let mut found = ask(cx, self.reach.cloud(cx).await?.networks_called(name)).await?;
        let why = match (found.len(), found.pop()) {
            (1, Some((id, _))) => return Ok(id),
            (0, _) => format!("the cloud has no network “{name}”; let the definition name another one, or none"),
            _ => format!("several networks of the cloud bear the name “{name}”; let the definition say the id of the one that is meant"),
        };
        Err(permanent("unavailable", why))
    }

    /// What was recorded, also of a snapshot that is gone.
    async fn native(&self, cx: &Cx, c: &Chosen) -> Result<Option<NativeSnapshot>> {
        Ok(snapshots::find(cx.deps.db.read().await?.tx(), c.snapshot).await?.and_then(|s| s.native).map(|n| n.0))
    }

    async fn plan(&self, cx: &Cx, n: usize, c: &Chosen) -> Result<Plan> {
        let mut wait = Wait::new(cx, &self.reach, format!("the cloud to tell of the snapshot of {}", c.item), READY_WITHIN);
        loop {
            let planned = async {
                let params = CloneParams { networks: self.networks(cx).await?, ..CloneParams::new(c.snapshot, &c.item, self.clone_name(n, c)) };
                Choose { reach: self.reach.clone(), params }.plan(cx).await
            };
            match Box::pin(planned).await {
                Ok(mut plan) => {
                    plan.metadata.insert(TESTED.to_owned(), self.run.to_string());
                    return Ok(plan);
                }
                Err(e) => wait.after(e).await?,
            }
        }
    }

    /// Orders the clone; it does not run yet.
    async fn begin(&self, cx: &Cx, n: usize, c: &Chosen) -> Result<Brought> {
        let plan = self.plan(cx, n, c).await?;
        let volumes = Volumes { reach: self.reach.clone(), plan: plan.clone() }.apply(cx).await?.out;
        let server = Create { reach: self.reach.clone(), plan: plan.clone(), volumes: volumes.clone() }.apply(cx).await?.out;
        Ok(Brought { n, server, name: plan.name, addresses: Vec::new(), image: plan.image, disks: plan.disks, volumes })
    }

    async fn bring_back(&self, cx: &Cx, out: &mut Restored) -> Result<()> {
        let mut begun = Vec::with_capacity(self.part.len());
        for (n, c) in &self.part {
            out.disks_wanted += self.native(cx, c).await?.map_or(1, |n| disks(&n));
            match Box::pin(self.begin(cx, *n, c)).await {
                Ok(brought) => begun.push((brought, c)),
                Err(e) => self.missing(cx, *n, c, e, out).await?,
            }
        }
        for (brought, c) in begun {
            match (WaitActive { reach: self.reach.clone(), server: brought.server.clone() }).apply(cx).await {
                Ok(running) => {
                    out.disks += brought.volumes.len() as i64 + i64::from(brought.image.is_some());
                    out.bytes += c.bytes;
                    self.save(cx, c, ItemState::Ok, None).await?;
                    out.servers.push(Brought { addresses: running.out.addresses, ..brought });
                }
                Err(e) => self.missing(cx, brought.n, c, e, out).await?,
            }
        }
        Ok(())
    }

    /// One that does not come back is a finding; the others are tested all the same.
    async fn missing(&self, cx: &Cx, n: usize, c: &Chosen, e: Break, out: &mut Restored) -> Result<()> {
        match e {
            Break::Failed(failure) if failure.permanent || cx.run.attempts >= cx.run.max_attempts => {
                self.reach.log(cx, "warn", format!("{}: {}", c.name, failure.message)).await?;
                self.save(cx, c, ItemState::Failed, Some(&failure.message)).await?;
                out.missing.push(Missing { n, failure });
                Ok(())
            }
            other => Err(other),
        }
    }

    async fn save(&self, cx: &Cx, c: &Chosen, state: ItemState, problem: Option<&str>) -> Result<()> {
        let listed: Vec<_> = problem.map(|message| ItemProblem { path: c.item.clone(), message: message.to_owned() }).into_iter().collect();
        let problems = ItemProblems { total: listed.len() as i64, listed };
        let bytes = if state == ItemState::Ok { c.bytes } else { 0 };
        let new = NewRunItem {
            run: cx.id(),
            name: &c.name,
            item: None,
            state,
            snapshot: Some(c.snapshot),
            files: 0,
            bytes,
            bytes_added: 0,
            problems: &problems,
            finished_at: cx.now(),
        };
        let mut t = cx.begin(&[]).await?;
        run_items::save(t.tx(), &new).await?;
        cx.commit(t).await
    }

    /// What a clone would have, and what is known that it has.
    async fn made(&self, cx: &Cx, n: usize, c: &Chosen, brought: Option<&Brought>) -> Result<Made> {
        let name = self.clone_name(n, c);
        let native = self.native(cx, c).await?;
        let volumes = native.iter().flat_map(|native| native.volumes.iter().enumerate());
        let volume_names = volumes.map(|(n, v)| if v.root { format!("{name}_root") } else { format!("{name}_{n}") }).collect();
        Ok(Made {
            run: self.run.to_string(),
            server: brought.map(|b| b.server.clone()),
            volumes: brought.map(|b| b.volumes.iter().map(|v| v.id.clone()).collect()).unwrap_or_default(),
            name,
            volume_names,
        })
    }

    /// Deletes all that was made and asks for each piece; what is absent, in words.
    async fn take_all(&self, cx: &Cx, restored: Option<&Restored>) -> Result<Vec<String>> {
        let mut absent = Vec::new();
        for (n, c) in &self.part {
            let brought = restored.and_then(|r| r.servers.iter().find(|s| s.n == *n));
            let made = self.made(cx, *n, c, brought).await?;
            let mut wait = Wait::new(cx, &self.reach, format!("the cloud to be rid of {}", made.name), BACK_WITHIN);
            loop {
                let gone = async {
                    let cloud = self.reach.cloud(cx).await?;
                    let gone = order(cx, take_away(cloud, &made)).await?;
                    self.asked_for(cx, brought, gone).await
                };
                match Box::pin(gone).await {
                    Ok(gone) => {
                        absent.extend(gone);
                        break;
                    }
                    Err(e) => wait.after(e).await?,
                }
            }
        }
        if matches!(self.network, Network::Isolated) {
            absent.extend(Box::pin(self.without_network(cx)).await?);
        }
        Ok(absent)
    }

    /// Asks once more for all that is known by its id.
    async fn asked_for(&self, cx: &Cx, brought: Option<&Brought>, mut gone: Vec<String>) -> Result<Vec<String>> {
        let Some(b) = brought else { return Ok(gone) };
        let cloud = self.reach.cloud(cx).await?;
        let still = |what: String| Break::Failed(StepFailure::new("locked", format!("still there is {what}"), false));
        let mut proven = |what: String| {
            if !gone.contains(&what) {
                gone.push(what);
            }
        };
        let server = format!("server {}", b.server);
        if ask(cx, cloud.server(&b.server)).await?.is_some() {
            return Err(still(server));
        }
        proven(server);
        for v in &b.volumes {
            let volume = format!("volume {}", v.id);
            if ask(cx, cloud.volume(&v.id)).await?.is_some() {
                return Err(still(volume));
            }
            proven(volume);
        }
        if !ask(cx, cloud.ports_left_by(&b.server)).await?.is_empty() {
            return Err(still(format!("a port of the server {}", b.server)));
        }
        proven(format!("ports of {}", b.server));
        Ok(gone)
    }

    async fn without_network(&self, cx: &Cx) -> Result<Option<String>> {
        let name = self.network_name();
        let mut known = None;
        let mut wait = Wait::new(cx, &self.reach, format!("the cloud to be rid of the network {name}"), BACK_WITHIN);
        loop {
            let left = async {
                let cloud = self.reach.cloud(cx).await?;
                if !cloud.has_networks() {
                    return Ok(None);
                }
                let Some(id) = self.network_id(cx).await? else { return Ok(None) };
                for port in ask(cx, cloud.ports_on(&id)).await? {
                    order(cx, cloud.delete_port(&port)).await?;
                }
                match order(cx, cloud.delete_network(&id)).await {
                    // Its ports go a moment later.
                    Err(Break::Failed(f)) if f.code == "conflict" => Err(Break::Failed(StepFailure { code: "locked".to_owned(), permanent: false, ..f })),
                    Err(e) => Err(e),
                    Ok(()) => Ok(Some(id)),
                }
            };
            match Box::pin(left).await {
                Ok(None) => {
                    let has = self.reach.cloud(cx).await?.has_networks();
                    return Ok(has.then(|| format!("network {}", known.unwrap_or(name))));
                }
                Ok(Some(id)) => {
                    known = Some(id);
                    wait.pause("its deletion is accepted").await?;
                }
                Err(e) => wait.after(e).await?,
            }
        }
    }
}

/// How many disks a clone of it has.
fn disks(native: &NativeSnapshot) -> i64 {
    native.volumes.len() as i64 + i64::from(native.server.boot == BootType::Image)
}

#[async_trait::async_trait]
impl Driver for Instances {
    async fn provision(&self, cx: &Cx) -> Result<()> {
        let made = if matches!(self.network, Network::Isolated) { Box::pin(self.make_network(cx)).await } else { Ok(()) };
        self.reach.end(cx, made).await
    }

    async fn restore(&self, cx: &Cx, out: &mut Restored) -> Result<()> {
        let done = Box::pin(self.bring_back(cx, out)).await;
        self.reach.end(cx, done).await
    }

    async fn check(&self, cx: &Cx, _: &'static str, restored: &Restored) -> Result<Vec<CheckOutcome>> {
        let looked = Box::pin(self.look(cx, restored)).await;
        self.reach.end(cx, looked).await
    }

    async fn tear_down(&self, cx: &Cx, restored: Option<&Restored>) -> Result<Gone> {
        let done = Box::pin(self.take_all(cx, restored)).await;
        match self.reach.end(cx, done).await {
            Ok(absent) => Ok(Gone { absent, left: None }),
            Err(Break::Failed(f)) => {
                let message = format!(
                    "the cloud could not be rid of the test: {}; what is left bears {}={} or is called {}",
                    f.message,
                    mark(),
                    self.run,
                    self.network_name()
                );
                Ok(Gone { absent: Vec::new(), left: Some(StepFailure { message, permanent: true, ..f }) })
            }
            Err(other) => Err(other),
        }
    }
}
