//! What a kind of source does in a restore test: the seam between the steps and the drivers.
//!
//! Lives here: the driver's face, what it brings back, which kinds there are. May not: how one of them does it.
//! Invariants: a driver touches nothing but what it has made for the run; each of its calls may be made again after a
//! crash; it says that something is gone only when it has looked for it.

use std::{path::PathBuf, sync::Arc};

use domain::{
    definition::Terms,
    evidence::CheckOutcome,
    id::ServiceId,
    instance::CloneVolume,
    units::Timestamp,
    work::{StepFailure, Teardown},
};
use serde::{Deserialize, Serialize};

use super::{directory::Directory, instance::Instances};
use crate::{
    exec::Cx,
    kinds::{
        instance_clone::Disk,
        restore_choice::{Choice, Chosen},
    },
    step::{Break, Done, Result},
};

/// What the drivers of a test brought back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Restored {
    pub started_at: Timestamp,
    pub files: i64,
    pub dirs: i64,
    pub bytes: i64,
    /// Disks of instances, and how many the snapshots have.
    #[serde(default)]
    pub disks: i64,
    #[serde(default)]
    pub disks_wanted: i64,
    #[serde(default)]
    pub servers: Vec<Brought>,
    /// Items that could not be brought back while others could.
    #[serde(default)]
    pub missing: Vec<Missing>,
    /// Why it stopped before its end.
    pub failure: Option<StepFailure>,
}

/// An instance that runs beside the one that it was taken of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Brought {
    /// Its place in the choice.
    pub n: usize,
    pub server: String,
    pub name: String,
    pub addresses: Vec<String>,
    /// What it was made of.
    pub image: Option<String>,
    pub disks: Vec<Disk>,
    pub volumes: Vec<CloneVolume>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Missing {
    pub n: usize,
    pub failure: StepFailure,
}

impl Restored {
    pub const fn begun(started_at: Timestamp) -> Self {
        Self { started_at, files: 0, dirs: 0, bytes: 0, disks: 0, disks_wanted: 0, servers: Vec::new(), missing: Vec::new(), failure: None }
    }

    /// Where nothing came back, that is why it did not come to its end. What the step tolerates.
    pub fn conclude(&mut self) -> Option<StepFailure> {
        let first = self.missing.first().map(|m| m.failure.clone());
        if self.failure.is_none() && self.files == 0 && self.servers.is_empty() {
            self.failure.clone_from(&first);
        }
        self.failure.clone().or(first)
    }
}

/// What became of what a driver had made.
pub struct Gone {
    /// What was looked for and not found.
    pub absent: Vec<String>,
    /// Why something is left.
    pub left: Option<StepFailure>,
}

#[async_trait::async_trait]
pub trait Driver: Send + Sync {
    /// Makes the place in which the items are brought back, away from all that is in use.
    async fn provision(&self, cx: &Cx) -> Result<()>;

    /// Brings its items back. What fails for good is a finding: it is added to `out`.
    async fn restore(&self, cx: &Cx, out: &mut Restored) -> Result<()>;

    /// Compares what came back with the snapshots.
    async fn check(&self, cx: &Cx, step: &'static str, restored: &Restored) -> Result<Vec<CheckOutcome>>;

    /// Takes all away that was made, and looks for it. While unwinding, what was brought back is not known.
    async fn tear_down(&self, cx: &Cx, restored: Option<&Restored>) -> Result<Gone>;
}

/// What a test takes, where, and with which drivers.
pub struct Ground {
    pub chosen: Choice,
    /// A folder of its own: of what is brought back as files, of commands and of what they are told.
    pub scratch: PathBuf,
    /// The folder comes first and goes last.
    pub drivers: Vec<Box<dyn Driver>>,
}

/// The items of one driver, each with its place in the choice.
pub type Part = Vec<(usize, Chosen)>;

impl Ground {
    pub fn of(cx: &Cx, service: ServiceId, terms: &Terms, chosen: Choice) -> Arc<Self> {
        let scratch = cx.deps.data_dir.join("scratch").join(cx.id().to_string());
        let part = |mine: &dyn Fn(&Chosen) -> bool| -> Part { chosen.items.iter().cloned().enumerate().filter(|(_, c)| mine(c)).collect() };
        let native = |c: &Chosen| c.kind == ops::instances::KIND;
        let files = part(&|c| !native(c));
        let mut drivers: Vec<Box<dyn Driver>> = vec![Box::new(Directory { service, scratch: scratch.clone(), part: files, chosen: chosen.clone() })];
        let mut clouds: Vec<_> = chosen.items.iter().filter(|c| native(c)).map(|c| c.repository).collect();
        clouds.sort_unstable_by_key(|c| c.0);
        clouds.dedup();
        for cloud in clouds {
            drivers.push(Box::new(Instances::new(cx.id(), cloud, part(&|c| native(c) && c.repository == cloud), terms, scratch.clone())));
        }
        Arc::new(Self { chosen, scratch, drivers })
    }

    /// Takes everything away, the last made first, and proves it.
    pub async fn tear_down(&self, cx: &Cx, restored: Option<&Restored>) -> Result<Done<Teardown>> {
        let started_at = cx.now();
        let (mut absent, mut left) = (Vec::new(), Vec::<StepFailure>::new());
        for driver in self.drivers.iter().rev() {
            let gone = driver.tear_down(cx, restored).await?;
            absent.extend(gone.absent);
            left.extend(gone.left);
        }
        let scratch = self.scratch.display().to_string();
        if left.is_empty() {
            let besides = if absent.is_empty() { String::new() } else { format!(", as are {}", absent.join(", ")) };
            let detail = format!("looked for and not found{besides}");
            return Ok(Done::ok(Teardown { scratch, started_at, gone_at: Some(cx.now()), detail }));
        }
        let detail = left.iter().map(|f| f.message.as_str()).collect::<Vec<_>>().join("; ");
        let tolerated = Some(StepFailure::new(&left[0].code, format!("{scratch} {detail}"), left.iter().all(|f| f.permanent)));
        Ok(Done { out: Teardown { scratch, started_at, gone_at: None, detail }, tolerated })
    }

    /// The same where a run is unwound.
    pub async fn take_back(&self, cx: &Cx) -> Result<()> {
        let done = self.tear_down(cx, None).await?;
        if let Some(f) = done.tolerated {
            return Err(Break::Failed(f));
        }
        let besides = done.out.detail.strip_prefix("looked for and not found").unwrap_or_default();
        cx.log("info", format!("the scratch folder {} is gone{besides}", done.out.scratch)).await
    }
}
