//! What a disk is written from, made beside the instance: an image of a volume snapshot, or a copy of a volume.
//!
//! Lives here: the steps `copy` and `stage`, and the image that undoing needs. May not: touching the instance.
//! Invariants: what is made bears the run's id in its name and is found again by it; it goes when the run ends.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use engine::sources::openstack::{Cloud, Content, NewVolume, Volume};
use serde_json::{Value, json};
use store::steps;

use super::{check::Plan, mark, write::Write};
use crate::{
    clouds::{
        link::{Reach, ask, order},
        wait::Wait,
    },
    exec::Cx,
    step::{Done, Result, Step, permanent},
};

/// How long a volume and an image may take to be made, and to be gone.
const READY_WITHIN: Duration = Duration::from_hours(24);
const GONE_WITHIN: Duration = Duration::from_mins(15);

/// The name of what the run makes to write the disk from: `to` the snapshot, or `back` to what was there.
pub fn name(cx: &Cx, way: &str) -> String {
    format!("holdfast-{way}-{}", cx.id())
}

async fn volume_of(cloud: &Cloud, cx: &Cx, name: &str) -> engine::Result<Option<Volume>> {
    let run = cx.id().to_string();
    Ok(cloud.volumes_named(name).await?.into_iter().find(|v| v.metadata.get(&mark()) == Some(&run)))
}

/// A volume of that name and content, when it is whole.
async fn volume(cx: &Cx, reach: &Reach, name: &str, content: &Content, size_gb: i64) -> Result<String> {
    let mut wait = Wait::new(cx, reach, format!("the volume {name}"), READY_WITHIN);
    loop {
        let made = async {
            let cloud = reach.cloud(cx).await?;
            if let Some(there) = ask(cx, volume_of(cloud, cx, name)).await? {
                return Ok((there.id, there.status));
            }
            let metadata = BTreeMap::from([(mark(), cx.id().to_string())]);
            let new = NewVolume { name: name.to_owned(), size_gb, content: content.clone(), metadata };
            Ok((order(cx, cloud.create_volume(&new)).await?, "creating".to_owned()))
        };
        match Box::pin(made).await {
            Ok((id, status)) if status == "available" => return Ok(id),
            Ok((_, status)) if status.starts_with("error") => {
                return Err(permanent("cloud_failed", format!("Cinder could not make the volume {name}: it is in {status}; tell the cloud's operators")));
            }
            Ok((_, status)) => wait.pause(&status).await?,
            Err(e) => wait.after(e).await?,
        }
    }
}

/// An image of what a volume snapshot holds; the volume in between goes.
pub async fn image(cx: &Cx, reach: &Reach, name: &str, snapshot: &str, size_gb: i64) -> Result<String> {
    let mut wait = Wait::new(cx, reach, format!("the image {name}"), READY_WITHIN);
    loop {
        let seen = async {
            let there = ask(cx, reach.cloud(cx).await?.images_named(name)).await?.pop();
            let Some(image) = there else {
                let volume = Box::pin(volume(cx, reach, name, &Content::Snapshot(snapshot.to_owned()), size_gb)).await?;
                order(cx, reach.cloud(cx).await?.upload_volume(&volume, name)).await?;
                return Ok(None);
            };
            if image.status == "active" {
                return Ok(Some(Ok(image.id)));
            }
            // Cinder leaves an image that it cannot fill as it is.
            let volume = ask(cx, volume_of(reach.cloud(cx).await?, cx, name)).await?;
            let ended = volume.as_ref().is_some_and(|v| v.status != "uploading");
            if matches!(image.status.as_str(), "killed" | "deleted" | "deactivated") || ended {
                let again = ask(cx, reach.cloud(cx).await?.image(&image.id)).await?;
                if again.as_ref().is_some_and(|i| i.status == "active") {
                    return Ok(Some(Ok(image.id)));
                }
                return Ok(Some(Err(format!("Cinder could not copy the volume to the image {name}, which is {}; tell the cloud's operators", image.status))));
            }
            Ok(None)
        };
        match Box::pin(seen).await {
            Ok(Some(Ok(id))) => {
                Box::pin(without_volume(cx, reach, name)).await?;
                return Ok(id);
            }
            Ok(Some(Err(why))) => return Err(permanent("cloud_failed", why)),
            Ok(None) => wait.pause("it is being made").await?,
            Err(e) => wait.after(e).await?,
        }
    }
}

/// Deletes the volume of that name and waits until it is absent.
async fn without_volume(cx: &Cx, reach: &Reach, name: &str) -> Result<()> {
    let within = |limit| Wait::new(cx, reach, format!("the cloud to be rid of the volume {name}"), limit);
    // What is being made cannot be deleted before it is made.
    let (mut making, mut going) = (within(READY_WITHIN), None);
    loop {
        let left = async {
            let cloud = reach.cloud(cx).await?;
            let Some(volume) = ask(cx, volume_of(cloud, cx, name)).await? else { return Ok(None) };
            if !matches!(volume.status.as_str(), "creating" | "uploading" | "deleting") {
                order(cx, cloud.delete_volume(&volume.id)).await?;
            }
            Ok(Some(volume.status))
        };
        match Box::pin(left).await {
            Ok(None) => return Ok(()),
            Ok(Some(status)) if matches!(status.as_str(), "creating" | "uploading") => making.pause(&status).await?,
            Ok(Some(status)) => going.get_or_insert_with(|| within(GONE_WITHIN)).pause(&status).await?,
            Err(e) => making.after(e).await?,
        }
    }
}

/// Deletes the image and the volume of that name and waits until both are absent.
pub async fn without(cx: &Cx, reach: &Reach, name: &str) -> Result<()> {
    let mut wait = Wait::new(cx, reach, format!("the cloud to be rid of the image {name}"), GONE_WITHIN);
    loop {
        let left = async {
            let cloud = reach.cloud(cx).await?;
            let all = ask(cx, cloud.images_named(name)).await?;
            for image in &all {
                order(cx, cloud.delete_image(&image.id)).await?;
            }
            Ok(all.len())
        };
        match Box::pin(left).await {
            Ok(0) => break,
            Ok(n) => wait.pause(&format!("{n} left")).await?,
            Err(e) => wait.after(e).await?,
        }
    }
    without_volume(cx, reach, name).await
}

/// The image that the root volume is written from.
pub struct Stage {
    pub reach: Arc<Reach>,
    pub plan: Plan,
}

#[async_trait::async_trait]
impl Step for Stage {
    const NAME: &'static str = "stage";
    type Out = String;

    fn input(&self) -> Value {
        json!({"volumes": self.plan.native.volumes})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<String>> {
        let made = async {
            let (_, snapshot, size_gb) = self.plan.root()?;
            image(cx, &self.reach, &name(cx, "to"), snapshot, size_gb).await
        };
        self.reach.end(cx, Box::pin(made).await).await.map(Done::ok)
    }

    async fn undo(&self, cx: &Cx) -> Result<()> {
        let gone = Box::pin(without(cx, &self.reach, &name(cx, "to"))).await;
        self.reach.end(cx, gone).await
    }
}

/// The copy of a root volume that is reverted: what it held before.
pub struct Copy {
    pub reach: Arc<Reach>,
    pub plan: Plan,
}

#[async_trait::async_trait]
impl Step for Copy {
    const NAME: &'static str = "copy";
    type Out = String;

    fn input(&self) -> Value {
        json!({"name": self.plan.safety})
    }

    async fn apply(&self, cx: &Cx) -> Result<Done<String>> {
        let made = async {
            let (root, _, size_gb) = self.plan.root()?;
            let id = volume(cx, &self.reach, &self.plan.safety, &Content::Volume(root.to_owned()), size_gb).await?;
            self.reach.log(cx, "info", format!("what {} holds now is in the volume {} ({id})", self.plan.before.name, self.plan.safety)).await?;
            Ok(id)
        };
        self.reach.end(cx, Box::pin(made).await).await.map(Done::ok)
    }

    /// Once the disk may have been written, the copy is all that is left of what was there.
    async fn undo(&self, cx: &Cx) -> Result<()> {
        let all = steps::of_run(cx.deps.db.read().await?.tx(), cx.id()).await?;
        if all.iter().any(|s| s.name == Write::NAME && s.attempt > 0) {
            return Ok(());
        }
        let gone = without_volume(cx, &self.reach, &self.plan.safety).await;
        self.reach.end(cx, gone).await
    }
}
