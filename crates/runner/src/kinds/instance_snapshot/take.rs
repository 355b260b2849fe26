//! The steps that order a snapshot and wait until it is there.
//!
//! Lives here: an image and volume snapshots as the boot type asks; finding them again; taking them back.
//! May not: rows of snapshots (`record`).
//! Invariants: each piece bears the run's mark, and what bears it is not made twice; what no row names does not stay.

use std::{sync::Arc, time::Duration};

use domain::{
    instance::{AttachedVolume, BootType, NativeImage, NativeSnapshot, Server, VolumeSnapshot},
    units::Timestamp,
    work::RunProgress,
};
use engine::sources::openstack::Cloud;
use serde_json::{Value, json};
use store::{queue, snapshots};

use super::power::bring_up;
use crate::{
    clouds::{
        link::{Pen, Reach, ask, order},
        pieces::{self, Standing},
        tidy,
        wait::Wait,
    },
    deps::Moment,
    exec::Cx,
    step::{Break, Done, Result, Step, permanent},
};

/// How long another snapshot of the same instance may take, a snapshot itself, and being rid of one.
const BUSY: Duration = Duration::from_hours(6);
const READY_WITHIN: Duration = Duration::from_hours(24);
const BACK_WITHIN: Duration = Duration::from_mins(30);

pub struct Take {
    pub reach: Arc<Reach>,
    pub name: String,
    pub at: Timestamp,
    pub server: Server,
}

#[async_trait::async_trait]
impl Step for Take {
    const NAME: &'static str = "snapshot";
    type Out = NativeSnapshot;

    fn input(&self) -> Value {
        let volumes: Vec<&str> = self.server.volumes.iter().map(|v| v.id.as_str()).collect();
        json!({"name": self.name, "at": self.at, "server": self.server.id, "boot": self.server.boot, "volumes": volumes})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<NativeSnapshot>> {
        let taken = self.take(cx).await;
        self.reach.end(cx, taken).await.map(Done::ok)
    }

    /// What is recorded stands. The rest goes, so that nothing lies in the cloud that nobody knows.
    async fn undo(&self, cx: &Cx) -> Result<()> {
        if !snapshots::of_run(cx.deps.db.read().await?.tx(), cx.id()).await?.is_empty() {
            return cx.log("info", format!("{} stands", self.name)).await;
        }
        // Meanwhile the instance starts: it does not stay down for what the cloud is slow to delete. Whether that went
        // well is the stop's to say.
        let (_, back) = tokio::join!(bring_up(cx, &self.reach, &self.server.id, &self.server.name), self.back(cx));
        match self.reach.end(cx, back).await {
            Err(Break::Failed(mut f)) => {
                f.message = format!("{}; look for {} in the cloud, and delete what there is of it", f.message, self.name);
                Err(Break::Failed(f))
            }
            other => other,
        }
    }
}

impl Take {
    async fn take(&self, cx: &Cx) -> Result<NativeSnapshot> {
        if self.server.boot == BootType::Volume && self.server.root().is_none() {
            return Err(permanent("state", format!("the cloud does not tell from which volume {} boots", self.server.name)));
        }
        let mut wait = Wait::new(cx, &self.reach, format!("the cloud to accept a snapshot of {}", self.server.name), BUSY);
        loop {
            match self.attempt(cx).await {
                Ok(taken) => return Ok(taken),
                Err(e) => wait.after(e).await?,
            }
        }
    }

    /// Orders what is not there yet.
    async fn attempt(&self, cx: &Cx) -> Result<NativeSnapshot> {
        let cloud = self.reach.cloud(cx).await?;
        let mut taken = self.found(cx, cloud).await?;
        let marks = pieces::marks(cx.id(), &self.server.id, &self.name);
        if self.server.boot == BootType::Image && taken.image.is_none() {
            let id = order(cx, cloud.create_image(&self.server.id, &self.name, &marks)).await?;
            taken.image = Some(NativeImage { id, size_bytes: 0, min_disk_gb: self.server.flavour.disk_gb, sha512: None });
            cx.fault(Self::NAME, Moment::Halfway)?;
        }
        for volume in &self.server.volumes {
            if taken.volumes.iter().any(|v| v.volume == volume.id) {
                continue;
            }
            let made = order(cx, cloud.create_volume_snapshot(&volume.id, &self.name, &marks)).await?;
            taken.volumes.push(of(volume, made.id));
            cx.fault(Self::NAME, Moment::Halfway)?;
        }
        taken.volumes.sort_by_key(|v| !v.root);
        Ok(taken)
    }

    /// What this run has made already, in an earlier attempt or by a call whose answer was lost.
    async fn found(&self, cx: &Cx, cloud: &Cloud) -> Result<NativeSnapshot> {
        let image = if self.server.boot == BootType::Image {
            let mut mine = ask(cx, pieces::images_of(cloud, cx.id(), &self.name)).await?;
            // The same call carried out twice is two images; one is enough.
            while mine.len() > 1
                && let Some(second) = mine.pop()
            {
                order(cx, cloud.delete_image(&second.id)).await?;
            }
            mine.pop().map(|i| NativeImage { sha512: i.sha512(), id: i.id, size_bytes: i.size_bytes.unwrap_or(0), min_disk_gb: i.min_disk_gb })
        } else {
            None
        };
        let mine = ask(cx, pieces::volume_snapshots_of(cloud, cx.id(), &self.name)).await?;
        let mut volumes: Vec<VolumeSnapshot> = Vec::new();
        for s in mine {
            let attached = self.server.volumes.iter().find(|v| v.id == s.volume_id);
            match attached {
                Some(v) if !volumes.iter().any(|known| known.volume == v.id) => volumes.push(of(v, s.id)),
                _ => order(cx, cloud.delete_volume_snapshot(&s.id)).await?,
            }
        }
        Ok(NativeSnapshot { name: self.name.clone(), image, volumes, server: self.server.clone() })
    }

    async fn back(&self, cx: &Cx) -> Result<()> {
        let mut wait = Wait::new(cx, &self.reach, format!("the cloud to be rid of {}", self.name), BACK_WITHIN);
        let mut told = false;
        loop {
            let rid = async {
                let cloud = self.reach.cloud(cx).await?;
                let made = self.found(cx, cloud).await?;
                if made.unit_id().is_empty() {
                    return Ok(true);
                }
                if !told {
                    self.reach.log(cx, "info", format!("deletes what there is of {}", self.name)).await?;
                    told = true;
                }
                tidy::rid(Pen::Run(cx), cloud, &made).await?;
                Ok(false)
            };
            match rid.await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                // Cinder deletes nothing that it is still making.
                Err(Break::Failed(f)) if matches!(f.code.as_str(), "conflict" | "invalid" | "locked") => wait.pause(&f.message).await?,
                Err(e) => wait.after(e).await?,
            }
        }
    }
}

fn of(volume: &AttachedVolume, id: String) -> VolumeSnapshot {
    VolumeSnapshot { id, volume: volume.id.clone(), size_gb: volume.size_gb, device: volume.device.clone(), root: volume.root }
}

pub struct Poll {
    pub reach: Arc<Reach>,
    pub taken: NativeSnapshot,
}

#[async_trait::async_trait]
impl Step for Poll {
    const NAME: &'static str = "poll";
    type Out = NativeSnapshot;

    fn input(&self) -> Value {
        let volumes: Vec<&str> = self.taken.volumes.iter().map(|v| v.id.as_str()).collect();
        json!({"image": self.taken.image.as_ref().map(|i| &i.id), "volume_snapshots": volumes})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<NativeSnapshot>> {
        let ready = self.poll(cx).await;
        self.reach.end(cx, ready).await.map(Done::ok)
    }
}

impl Poll {
    async fn poll(&self, cx: &Cx) -> Result<NativeSnapshot> {
        let mut seen = self.taken.clone();
        let mut wait = Wait::new(cx, &self.reach, format!("{} to be there", self.taken.name), READY_WITHIN);
        loop {
            let look = async {
                let cloud = self.reach.cloud(cx).await?;
                ask(cx, pieces::look(cloud, &mut seen)).await
            };
            match look.await {
                Ok(Standing::Ready) => return Ok(seen),
                Ok(Standing::Failed(why)) => return Err(permanent("cloud_failed", format!("the cloud did not finish the snapshot: {why}"))),
                Ok(Standing::Waiting(words)) => {
                    self.progress(cx, &words).await?;
                    wait.pause(&words).await?;
                }
                Err(e) => wait.after(e).await?,
            }
        }
    }

    async fn progress(&self, cx: &Cx, words: &str) -> Result<()> {
        let pieces = self.taken.ids().count() as i64;
        let waiting = words.split(", ").count() as i64;
        let progress = RunProgress {
            at: cx.now(),
            step: Self::NAME.to_owned(),
            items_done: (pieces - waiting).max(0),
            items_total: pieces,
            current: words.to_owned(),
            ..RunProgress::default()
        };
        let mut t = cx.begin(&[]).await?;
        queue::progress(t.tx(), cx.id(), cx.lease().token, &progress).await?;
        cx.commit(t).await
    }
}
