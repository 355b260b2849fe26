//! The pieces of a native snapshot in its cloud: an image, volume snapshots, or both.
//!
//! Lives here: where they stand, finding those that bear a run's mark, deleting them. May not: rows, runs.

use std::collections::BTreeMap;

use domain::{
    id::RunId,
    instance::{NativeImage, NativeSnapshot},
};
use engine::{
    Result,
    sources::openstack::{Cloud, Image, VolumeSnap},
};

/// What marks a piece as Holdfast's.
pub const RUN: &str = "holdfast_run";
pub const INSTANCE: &str = "holdfast_instance";
pub const UNIT: &str = "holdfast_unit";

/// Snapshots of volumes in one page.
const PAGE: u32 = 200;

/// Where a snapshot stands in its cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Ready,
    /// What is not ready yet, in words.
    Waiting(String),
    /// The cloud failed it or it is gone: what and why.
    Failed(String),
}

/// The marks of a run's pieces; `unit` is the snapshot's name.
pub fn marks(run: RunId, server: &str, unit: &str) -> BTreeMap<String, String> {
    [(RUN, run.to_string()), (INSTANCE, server.to_owned()), (UNIT, unit.to_owned())].into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}

/// The images of that name that the run has made. The mark alone is not enough: what is made from a snapshot inherits it.
pub async fn images_of(cloud: &Cloud, run: RunId, name: &str) -> Result<Vec<Image>> {
    let run = run.to_string();
    let mine = |image: &Image| image.name == name && image.properties.get(RUN).and_then(|v| v.as_str()) == Some(run.as_str());
    Ok(cloud.images_named(name).await?.into_iter().filter(mine).collect())
}

/// The volume snapshots of that name that the run has made.
pub async fn volume_snapshots_of(cloud: &Cloud, run: RunId, name: &str) -> Result<Vec<VolumeSnap>> {
    let (run, mut after, mut mine) = (run.to_string(), None::<String>, Vec::new());
    loop {
        let page = cloud.volume_snapshots(after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(mine) };
        after = Some(last.id.clone());
        let full = page.len() >= PAGE as usize;
        mine.extend(page.into_iter().filter(|s| s.name == name && s.metadata.get(RUN) == Some(&run)));
        if !full {
            return Ok(mine);
        }
    }
}

/// Looks at every piece, and fills in what the cloud tells of them by now.
pub async fn look(cloud: &Cloud, native: &mut NativeSnapshot) -> Result<Standing> {
    let mut waiting = Vec::new();
    if let Some(known) = &mut native.image {
        match cloud.image(&known.id).await? {
            None => return Ok(Standing::Failed(format!("the image {} is no longer there: the cloud gave it up, or somebody has deleted it", known.id))),
            Some(image) => match image.status.as_str() {
                "active" => {
                    let size_bytes = image.size_bytes.unwrap_or(known.size_bytes);
                    // What was recorded first is what later reads are compared with.
                    let sha512 = known.sha512.take().or_else(|| image.sha512());
                    *known = NativeImage { id: image.id, size_bytes, min_disk_gb: image.min_disk_gb, sha512 };
                }
                bad @ ("killed" | "deleted" | "pending_delete") => return Ok(Standing::Failed(format!("the image {} is {bad}", known.id))),
                "deactivated" => waiting.push("the image is deactivated; an admin of the cloud can reactivate it".to_owned()),
                other => waiting.push(format!("the image is {other}")),
            },
        }
    }
    for known in &mut native.volumes {
        match cloud.volume_snapshot(&known.id).await? {
            None => return Ok(Standing::Failed(format!("the snapshot {} of the volume {} is no longer there", known.id, known.volume))),
            Some(snapshot) => match snapshot.status.as_str() {
                "available" => known.size_gb = snapshot.size_gb,
                bad @ ("error" | "error_deleting" | "deleting" | "deleted") => {
                    let message = format!("the snapshot {} of the volume {} is in the state {bad}; the log of cinder-volume says why", known.id, known.volume);
                    return Ok(Standing::Failed(message));
                }
                other => waiting.push(format!("the snapshot of the volume {} is {other}", known.volume)),
            },
        }
    }
    Ok(if waiting.is_empty() { Standing::Ready } else { Standing::Waiting(waiting.join(", ")) })
}

/// The ids of the pieces that are there, in words such as “image ID”.
pub async fn present(cloud: &Cloud, native: &NativeSnapshot) -> Result<Vec<String>> {
    let mut there = Vec::new();
    for v in &native.volumes {
        if cloud.volume_snapshot(&v.id).await?.is_some_and(|s| s.status != "deleted") {
            there.push(format!("volume snapshot {}", v.id));
        }
    }
    if let Some(image) = &native.image
        && cloud.image(&image.id).await?.is_some_and(|i| i.status != "deleted")
    {
        there.push(format!("image {}", image.id));
    }
    Ok(there)
}

/// Orders the deletion of every piece; what is gone is passed over. The one that names the whole goes last, so that
/// what is left can be found by it.
pub async fn delete(cloud: &Cloud, native: &NativeSnapshot) -> Result<()> {
    let unit = native.unit_id();
    for v in native.volumes.iter().filter(|v| v.id != unit).chain(native.volumes.iter().filter(|v| v.id == unit)) {
        // One that is on its way out already is only waited for.
        if cloud.volume_snapshot(&v.id).await?.is_some_and(|s| s.status != "deleting") {
            cloud.delete_volume_snapshot(&v.id).await?;
        }
    }
    if let Some(image) = &native.image {
        cloud.delete_image(&image.id).await?;
    }
    Ok(())
}

/// Whether a piece is on its way out.
pub async fn going(cloud: &Cloud, native: &NativeSnapshot) -> Result<bool> {
    for v in &native.volumes {
        if cloud.volume_snapshot(&v.id).await?.is_some_and(|s| s.status == "deleting") {
            return Ok(true);
        }
    }
    Ok(false)
}
