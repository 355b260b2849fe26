//! The return of an offsite copy: a repository's disk as an image of a cloud, in the list of its snapshots again.
//!
//! Lives here: the steps `prepare`, `upload`, `record`. May not: sending the disk (`engine::restore`).
//! Invariants: the image bears the run's own id, so that whoever takes the run over finds what was begun; an image that is
//! not whole is deleted when the run is unwound; what the record of the copy lacks is read beside the disk, and kept.

use domain::{
    id::{ItemId, RepositoryId, ServiceId, SnapshotId, SourceId},
    instance::{BootType, NativeImage, NativeSnapshot},
    run::{ItemState, RunEvent},
    units::Timestamp,
    work::{OffsiteParams, OffsiteReturnResult},
};
use engine::job::{Job, Outcome, ReturnImageJob, ReturnImageOutcome};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{
    items, repositories,
    run_items::{self, ItemProblems, NewRunItem},
    services,
    snapshots::{self, NewSnapshot},
};

use super::{
    given,
    offsite_copy::{cloud_access, native_row},
    repository, source,
};
use crate::{
    child::{self, Nothing},
    clouds::{link, pieces},
    exec::{Cx, Ended, Exec},
    step::{Break, Done, Result, Step, permanent},
};

pub const STEPS: &[&str] = &[Prepare::NAME, Upload::NAME, Record::NAME];

/// When this is done, the snapshot stands.
pub const RECORDED: &str = Record::NAME;

pub async fn run(exec: &mut Exec) -> Result<Ended> {
    let from = given(exec.cx.run.repository_id, RepositoryId, "repository")?;
    let params: OffsiteParams = exec.cx.run.params()?;
    let plan = exec.step(Prepare { snapshot: params.snapshot, from, to: params.to }).await?;
    let back = exec.step(Upload { plan: plan.clone() }).await?;
    let snapshot = exec.step(Record { copy: params.snapshot, plan, back: back.clone() }).await?;
    let ReturnImageOutcome { image, name, bytes, compared, .. } = back;
    Ok(Ended::new(RunEvent::Succeed, &OffsiteReturnResult { snapshot: Some(snapshot), name, image, bytes, compared }, None))
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Plan {
    name: String,
    /// restic id of the copy.
    restic_id: String,
    taken_at: Timestamp,
    from: RepositoryId,
    cloud: RepositoryId,
    service: ServiceId,
    source: SourceId,
    item: Option<ItemId>,
    item_name: String,
    native: NativeSnapshot,
}

impl Plan {
    /// Whether nothing is known of the instance: the copy was found in its repository, and its record had been lost.
    const fn is_bare(&self) -> bool {
        self.native.server.id.is_empty()
    }
}

struct Prepare {
    snapshot: SnapshotId,
    from: RepositoryId,
    to: String,
}

#[async_trait::async_trait]
impl Step for Prepare {
    const NAME: &'static str = "prepare";
    type Out = Plan;

    fn input(&self) -> Value {
        json!({"snapshot": self.snapshot, "repository": self.from, "cloud": self.to})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<Plan>> {
        let (row, native) = native_row(cx, self.snapshot).await?;
        let of = source(cx, given(row.source_id, SourceId, "source")?).await?;
        let from = repository(cx, self.from).await?;
        let mut read = cx.deps.db.read().await?;
        let found = repositories::find_by_name(read.tx(), &self.to).await?.filter(|r| r.removed_at.is_none());
        let cloud = found.ok_or_else(|| permanent("not_found", format!("the cloud {} is no longer configured", self.to)))?;
        let item = match row.item_id {
            Some(id) => items::find(read.tx(), ItemId(id)).await?,
            None => None,
        };
        drop(read);
        // What is missing of the secrets is said now.
        drop(ops::secrets::access(&from, &cx.deps.env).await?);
        drop(cloud_access(cx, &cloud).await?);
        Ok(Done::ok(Plan {
            name: row.label.clone(),
            restic_id: row.restic_id.clone(),
            taken_at: Timestamp(row.taken_at),
            from: self.from,
            cloud: cloud.id(),
            service: ServiceId(of.service_id),
            source: of.id(),
            item: row.item_id.map(ItemId),
            item_name: item.map_or_else(|| native.server.name.clone(), |i| i.name),
            native,
        }))
    }
}

struct Upload {
    plan: Plan,
}

#[async_trait::async_trait]
impl Step for Upload {
    const NAME: &'static str = "upload";
    type Out = ReturnImageOutcome;

    fn input(&self) -> Value {
        json!({"name": self.plan.name, "snapshot": self.plan.restic_id, "cloud": self.plan.cloud})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<ReturnImageOutcome>> {
        let plan = &self.plan;
        let from = repository(cx, plan.from).await?;
        let cloud = cloud_access(cx, &repository(cx, plan.cloud).await?).await?;
        // Its marks tell whoever looks for orphans that the image is this run's as long as nobody has recorded it.
        let mut marks = pieces::marks(cx.id(), &plan.native.server.id, &plan.name);
        if plan.is_bare() {
            marks.remove(pieces::INSTANCE);
        }
        let (image, snapshot, name) = (cx.id().to_string(), plan.restic_id.clone(), plan.name.clone());
        let make = |access| Job::ReturnImage(ReturnImageJob { access, cloud, snapshot, image, name, marks });
        match child::job(cx, Self::NAME, &from, make, &Nothing).await? {
            Outcome::ReturnedImage(back) => Ok(Done::ok(*back)),
            other => Err(child::unexpected(&other)),
        }
    }

    async fn undo(&self, cx: &Cx) -> Result<()> {
        let row = repository(cx, self.plan.cloud).await?;
        let calls = link::Calls::default();
        let removed = async {
            let cloud = link::open(&cx.deps, &row, Some(&calls)).await?;
            cloud.delete_image(&cx.id().to_string()).await.map_err(link::failed)
        };
        let removed = removed.await;
        let t = cx.begin(&calls.take()).await?;
        cx.commit(t).await?;
        match removed {
            Err(Break::Failed(f)) => {
                let message = format!("the image {} ({}) may be left in the cloud {}: {}", cx.id(), self.plan.name, row.name, f.message);
                Err(Break::Failed(domain::work::StepFailure { message, ..f }))
            }
            other => other,
        }
    }
}

struct Record {
    copy: SnapshotId,
    plan: Plan,
    back: ReturnImageOutcome,
}

#[async_trait::async_trait]
impl Step for Record {
    const NAME: &'static str = "record";
    type Out = SnapshotId;

    fn input(&self) -> Value {
        json!({"image": self.back.image})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<SnapshotId>> {
        let (plan, back, now) = (&self.plan, &self.back, cx.now());
        let beside = if plan.is_bare() { serde_json::from_value::<NativeSnapshot>(back.native.clone()).ok() } else { None };
        let of = beside.as_ref().unwrap_or(&plan.native);
        let sha512 = of.image.as_ref().and_then(|i| i.sha512.clone());
        let image = NativeImage { id: back.image.clone(), size_bytes: back.bytes, min_disk_gb: back.min_disk_gb, sha512 };
        let mut native = NativeSnapshot { image: Some(image), volumes: Vec::new(), ..of.clone() };
        // Whatever it booted from: what is made of this boots from the image.
        native.server.boot = BootType::Image;
        let new = NewSnapshot {
            service: Some(plan.service),
            source: Some(plan.source),
            item: plan.item,
            run: Some(cx.id()),
            label: plan.name.clone(),
            ..NewSnapshot::native(plan.cloud, &native, plan.taken_at, "adopted")
        };
        let rpo_s = super::service(cx, plan.service).await?.rpo_s;
        let words = format!("{} is the image {} in the cloud", plan.name, back.image);
        let mut t = cx.begin(&[cx.event("log", "info", words, None)]).await?;
        let snapshot = snapshots::insert(t.tx(), &new).await?;
        snapshots::set_native(t.tx(), snapshot, &native).await?;
        if let Some(known) = &beside {
            snapshots::set_native(t.tx(), self.copy, known).await?;
        }
        if let Some(item) = plan.item {
            items::recount(t.tx(), item).await?;
        }
        let result = NewRunItem {
            run: cx.id(),
            name: &plan.item_name,
            item: plan.item,
            state: ItemState::Ok,
            snapshot: Some(snapshot),
            files: 0,
            bytes: back.bytes,
            bytes_added: 0,
            problems: &ItemProblems::default(),
            finished_at: now,
        };
        run_items::save(t.tx(), &result).await?;
        services::count_items(t.tx(), plan.service, rpo_s.map_or(Timestamp(0), |s| now.plus_secs(-s))).await?;
        cx.commit(t).await?;
        cx.settle();
        Ok(Done::ok(snapshot))
    }
}
