//! An offsite copy: a native snapshot's disk into a repository.
//!
//! Lives here: the steps `prepare`, `stage`, `copy`, `record`, `unstage`; `forget` is that of backups. May not: reading the image
//! (`engine::repository`), making one of a volume snapshot (`instance_restore::stage`).
//! Invariants: a snapshot that was written is a good copy and is recorded, also where a wish to cancel came meanwhile; what
//! was read of one that was not is removed by the next prune; the image that is made of a volume snapshot bears the run's id
//! and goes when the run ends.

use std::sync::Arc;

use domain::{
    id::{ItemId, RepositoryId, ServiceId, SnapshotId, SourceId},
    instance::NativeSnapshot,
    run::{ItemState, RunEvent},
    units::Timestamp,
    work::{OffsiteCopyResult, OffsiteParams, StepFailure},
};
use engine::job::{CloudAccess, Job, KeepImageJob, KeepImageOutcome, Outcome};
use ops::offsite::Disk;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{
    items, native, repositories,
    repositories::RepositoryRow,
    run_items::{self, ItemProblems, NewRunItem},
    snapshots::{self, SnapshotRow},
};

use super::{Owner, forget::Forget, given, instance_restore::stage, new_snapshot, repository, service, source};
use crate::{
    child::{self, Nothing},
    clouds::link::Reach,
    exec::{Cx, Ended, Exec},
    step::{Break, Done, Result, Step, permanent},
};

pub const STEPS: &[&str] = &[Prepare::NAME, Stage::NAME, Copy::NAME, Record::NAME, Unstage::NAME, Forget::NAME];

/// When this is done, the copy lies in the repository and is only to be recorded.
pub const RECORDED: &str = Copy::NAME;

pub async fn run(exec: &mut Exec) -> Result<Ended> {
    let to = given(exec.cx.run.repository_id, RepositoryId, "repository")?;
    let params: OffsiteParams = exec.cx.run.params()?;
    let plan = exec.step(Prepare { snapshot: params.snapshot, to }).await?;
    if let Some(there) = plan.there {
        for step in &STEPS[1..] {
            exec.skip(step, "the repository has this copy already").await?;
        }
        let result = OffsiteCopyResult { snapshot: Some(there), name: plan.name, already: true, ..OffsiteCopyResult::default() };
        return Ok(Ended::new(RunEvent::Succeed, &result, None));
    }
    let (reach, staged) = (Reach::new(plan.cloud), plan.root.is_some());
    let image = if let Some((snapshot, size_gb)) = &plan.root {
        exec.step(Stage { reach: reach.clone(), snapshot: snapshot.clone(), size_gb: *size_gb }).await?
    } else {
        exec.skip(Stage::NAME, "the snapshot is an image already").await?;
        plan.image()?
    };
    let kept = exec.step(Copy { plan: plan.clone(), image }).await?;
    let snapshot = exec.step(Record { plan: plan.clone(), kept: kept.clone() }).await?;
    if staged {
        exec.step(Unstage { reach }).await?;
    } else {
        exec.skip(Unstage::NAME, "nothing was made for it").await?;
    }
    let forgotten = match plan.stays {
        None => exec.step(Forget { source: plan.source, service: plan.service, repository: plan.to }).await?.forgotten,
        Some(why) => {
            exec.skip(Forget::NAME, &why).await?;
            0
        }
    };
    let KeepImageOutcome { bytes, bytes_added, cuts, compared, .. } = kept;
    let result = OffsiteCopyResult { snapshot: Some(snapshot), name: plan.name, bytes, bytes_added, compared, cuts, already: false, forgotten };
    Ok(Ended::new(RunEvent::Succeed, &result, None))
}

/// All that the copy needs, fixed at the start.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Plan {
    name: String,
    taken_at: Timestamp,
    cloud: RepositoryId,
    to: RepositoryId,
    service: ServiceId,
    service_name: String,
    source: SourceId,
    source_name: String,
    item: Option<ItemId>,
    item_name: String,
    /// What is copied: of its volumes the one that the instance boots from.
    native: NativeSnapshot,
    /// The volume snapshot that an image is made of, and its GiB.
    root: Option<(String, i64)>,
    /// The repository has the copy.
    there: Option<SnapshotId>,
    /// Why this run forgets no copies.
    stays: Option<String>,
}

impl Plan {
    fn image(&self) -> Result<String> {
        let image = self.native.image.as_ref().map(|i| i.id.clone());
        image.ok_or_else(|| permanent("internal", "the snapshot has no image"))
    }
}

/// The snapshot that a run is about, with what it is made of.
pub(super) async fn native_row(cx: &Cx, id: SnapshotId) -> Result<(SnapshotRow, NativeSnapshot)> {
    let row = snapshots::find(cx.deps.db.read().await?.tx(), id).await?.filter(|r| r.gone_at.is_none());
    let row = row.ok_or_else(|| permanent("not_found", format!("the snapshot {id} is no longer there; nothing was copied")))?;
    let native = row.native.as_ref().map(|n| n.0.clone());
    let native = native.ok_or_else(|| permanent("invalid", format!("{} is a snapshot of files", row.label)))?;
    Ok((row, native))
}

/// How a job reaches a cloud.
pub(super) async fn cloud_access(cx: &Cx, row: &RepositoryRow) -> Result<CloudAccess> {
    let reach = ops::clouds::reach(row, &cx.deps.env).await?;
    Ok(CloudAccess { location: reach.location, plain: reach.plain, secret: reach.secret, project: row.restic_id.clone() })
}

struct Prepare {
    snapshot: SnapshotId,
    to: RepositoryId,
}

#[async_trait::async_trait]
impl Step for Prepare {
    const NAME: &'static str = "prepare";
    type Out = Plan;

    fn input(&self) -> Value {
        json!({"snapshot": self.snapshot, "repository": self.to})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Plan>> {
        let (row, mut native) = native_row(cx, self.snapshot).await?;
        let root = match Disk::of(&native) {
            Some(Disk::Image(_)) => None,
            Some(Disk::Root(v)) => Some((v.id, v.size_gb)),
            None => return Err(permanent("invalid", ops::offsite::refusal(&native).unwrap_or_default())),
        };
        let of = source(cx, given(row.source_id, SourceId, "source")?).await?;
        let service = service(cx, ServiceId(of.service_id)).await?;
        let to = repository(cx, self.to).await?;
        let cloud = repository(cx, RepositoryId(row.repository_id)).await?;
        // What is missing of the secrets is said now.
        drop(ops::secrets::access(&to, &cx.deps.env).await?);
        drop(cloud_access(cx, &cloud).await?);
        let mut read = cx.deps.db.read().await?;
        let (mut item_name, mut copies) = (native.server.name.clone(), Vec::new());
        if let Some(id) = row.item_id.map(ItemId) {
            item_name = items::find(read.tx(), id).await?.map_or(item_name, |i| i.name);
            copies = native::of_item(read.tx(), id, self.to).await?;
        }
        drop(read);
        let all = native.volumes.len();
        native.volumes.retain(|v| root.as_ref().is_some_and(|(id, _)| *id == v.id));
        let left = all - native.volumes.len();
        if left > 0 {
            let words = if left == 1 { "1 data volume".to_owned() } else { format!("{left} data volumes") };
            let name = &native.server.name;
            cx.log("warn", format!("{words} of {name} will not be in the copy: it is of the disk that the instance boots from")).await?;
        }
        let stays = if ops::offsite::offsite_of(&of).as_deref() != Some(to.name.as_str()) {
            Some(format!("the source {} sends its copies elsewhere, so its policy says nothing of {}", of.name, to.name))
        } else if copies.iter().any(|c| c.taken_at > row.taken_at) {
            Some("there is a newer copy: what goes is decided when the next one comes".to_owned())
        } else {
            None
        };
        Ok(Done::ok(Plan {
            name: row.label.clone(),
            taken_at: Timestamp(row.taken_at),
            cloud: cloud.id(),
            to: self.to,
            service: service.id(),
            service_name: service.name.clone(),
            source: of.id(),
            source_name: of.name.clone(),
            item: row.item_id.map(ItemId),
            item_name,
            there: copies.iter().find(|c| ops::offsite::copies(c, &row)).map(SnapshotRow::id),
            native,
            root,
            stays,
        }))
    }
}

/// The image that Cinder makes of the root volume's snapshot.
struct Stage {
    reach: Arc<Reach>,
    snapshot: String,
    size_gb: i64,
}

/// The name of what the run makes to be copied.
fn staged(cx: &Cx) -> String {
    stage::name(cx, "off")
}

#[async_trait::async_trait]
impl Step for Stage {
    const NAME: &'static str = "stage";
    type Out = String;

    fn input(&self) -> Value {
        json!({"snapshot": self.snapshot, "size_gb": self.size_gb})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<String>> {
        let made = Box::pin(stage::image(cx, &self.reach, &staged(cx), &self.snapshot, self.size_gb)).await;
        self.reach.end(cx, made).await.map(Done::ok)
    }

    async fn undo(&self, cx: &Cx) -> Result<()> {
        let gone = Box::pin(stage::without(cx, &self.reach, &staged(cx))).await;
        self.reach.end(cx, gone).await
    }
}

struct Copy {
    plan: Plan,
    image: String,
}

#[async_trait::async_trait]
impl Step for Copy {
    const NAME: &'static str = "copy";
    type Out = KeepImageOutcome;

    fn input(&self) -> Value {
        json!({"image": self.image, "name": self.plan.name})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<KeepImageOutcome>> {
        let plan = &self.plan;
        let to = repository(cx, plan.to).await?;
        let cloud = cloud_access(cx, &repository(cx, plan.cloud).await?).await?;
        let native = serde_json::to_value(&plan.native).map_err(|e| permanent("internal", e.to_string()))?;
        let make = |access| {
            Job::KeepImage(KeepImageJob {
                access,
                create: to.restic_id.is_none(),
                cloud,
                image: self.image.clone(),
                name: plan.name.clone(),
                item: plan.item_name.clone(),
                host: plan.service_name.clone(),
                source_name: plan.source_name.clone(),
                run: cx.id().to_string(),
                taken_at: plan.taken_at,
                native,
            })
        };
        match child::job(cx, Self::NAME, &to, make, &Nothing).await? {
            Outcome::KeptImage(kept) => {
                cx.settle();
                Ok(Done::ok(*kept))
            }
            other => Err(child::unexpected(&other)),
        }
    }
}

struct Record {
    plan: Plan,
    kept: KeepImageOutcome,
}

#[async_trait::async_trait]
impl Step for Record {
    const NAME: &'static str = "record";
    type Out = SnapshotId;

    fn input(&self) -> Value {
        json!({"snapshot": self.kept.snapshot.id})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<SnapshotId>> {
        let (plan, kept, now) = (&self.plan, &self.kept, cx.now());
        let owner = Owner { service: Some(plan.service), source: Some(plan.source), item: plan.item, person: None, run: Some(cx.id()) };
        let mut t = cx.begin(&[]).await?;
        let snapshot = snapshots::insert(t.tx(), &new_snapshot(&kept.snapshot, plan.to, &owner, "complete")).await?;
        snapshots::set_native(t.tx(), snapshot, &plan.native).await?;
        if let Some(item) = plan.item {
            items::recount(t.tx(), item).await?;
        }
        let result = NewRunItem {
            run: cx.id(),
            name: &plan.item_name,
            item: plan.item,
            state: ItemState::Ok,
            snapshot: Some(snapshot),
            files: kept.snapshot.files,
            bytes: kept.bytes,
            bytes_added: kept.bytes_added,
            problems: &ItemProblems::default(),
            finished_at: now,
        };
        run_items::save(t.tx(), &result).await?;
        repositories::set_size(t.tx(), plan.to, Some(&kept.repository), kept.size_bytes, now).await?;
        repositories::measure(t.tx(), plan.to, now).await?;
        cx.commit(t).await?;
        Ok(Done::ok(snapshot))
    }
}

/// Clears the staged image away. What cannot be cleared away is named; the copy stands all the same.
struct Unstage {
    reach: Arc<Reach>,
}

#[async_trait::async_trait]
impl Step for Unstage {
    const NAME: &'static str = "unstage";
    type Out = ();

    fn input(&self) -> Value {
        json!({})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<()>> {
        let gone = Box::pin(stage::without(cx, &self.reach, &staged(cx))).await;
        match self.reach.end(cx, gone).await {
            Ok(()) => Ok(Done::ok(())),
            Err(Break::Failed(f)) => {
                let message = format!("the copy stands, but {} may be left in the cloud, delete it there: {}", staged(cx), f.message);
                Ok(Done { out: (), tolerated: Some(StepFailure::new(f.code, message, f.permanent)) })
            }
            Err(other) => Err(other),
        }
    }
}
