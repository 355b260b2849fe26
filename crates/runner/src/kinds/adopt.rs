//! Snapshots that a repository holds and Holdfast has no record of (R10).
//!
//! Lives here: recording them, with their service, source and item where their tags name known ones.
//! May not: changing a snapshot that is known. Invariants: a snapshot of a run that is still live is left to that run; of an
//! offsite copy is known what its tags say until it is brought back, which reads the rest beside the disk.

use domain::{
    id::{ItemId, PersonId, RepositoryId, RunId},
    installation::INSTALLATION,
    instance::{BootType, NativeImage, NativeSnapshot, Server},
};
use engine::job::{DirectoryItems, ItemResult, SnapshotRecord, SourceConfig};
use ops::offsite::offsite_of;
use store::{Tx, installation, items, repositories, runs, services, snapshots, sources};

use super::{Owner, new_snapshot};
use crate::{child::Recorder, exec::Cx};

/// Tag of a snapshot with files that could not be read.
const PARTIAL: &str = "partial";

pub struct Adopt {
    pub repository: RepositoryId,
}

#[async_trait::async_trait]
impl Recorder for Adopt {
    async fn item(&self, _cx: &Cx, _tx: Tx<'_>, _item: &ItemResult) -> store::Result<()> {
        Ok(())
    }

    async fn snapshots(&self, cx: &Cx, mut tx: Tx<'_>, listed: &[SnapshotRecord]) -> store::Result<()> {
        for record in listed {
            let known = snapshots::find_restic(tx.by_ref(), self.repository, &record.id).await?;
            // One that was gone before this check began is back.
            let is_back = |gone_at: Option<i64>| gone_at.is_some_and(|at| cx.run.started_at.is_some_and(|began| at < began));
            let described = known.as_ref().is_some_and(|s| s.native.is_some());
            if known.is_some_and(|s| !is_back(s.gone_at)) || of_live_run(tx.by_ref(), record).await? {
                continue;
            }
            if record.tags.iter().any(|t| t == INSTALLATION) {
                let run = tag(record, "run:").and_then(|id| id.parse().ok()).unwrap_or(RunId(uuid::Uuid::nil()));
                installation::adopt(tx.by_ref(), self.repository, &record.id, run, record.taken_at, record.bytes).await?;
                continue;
            }
            let (owner, copy) = self.owner(tx.by_ref(), record).await?;
            let state = match owner.item {
                None => "adopted",
                Some(_) if record.tags.iter().any(|t| t == PARTIAL) => "partial",
                Some(_) => "complete",
            };
            let id = snapshots::insert(tx.by_ref(), &new_snapshot(record, self.repository, &owner, state)).await?;
            if let Some(native) = copy.as_ref().filter(|_| !described) {
                snapshots::set_native(tx.by_ref(), id, native).await?;
            }
            if let Some(item) = owner.item {
                let known = items::find(tx.by_ref(), item).await?;
                if copy.is_none() && known.and_then(|i| i.last_snapshot_at).is_none_or(|at| at < record.taken_at.0) {
                    items::set_snapshot(tx.by_ref(), item, id, record.taken_at, record.bytes).await?;
                } else {
                    items::recount(tx.by_ref(), item).await?;
                }
            }
            tracing::info!(run = %cx.id(), snapshot = record.id, "adopted a snapshot");
        }
        Ok(())
    }
}

impl Adopt {
    /// What the tags of a snapshot that Holdfast wrote say, as far as it is still configured here; of an offsite copy also
    /// what it is of.
    async fn owner(&self, mut tx: Tx<'_>, record: &SnapshotRecord) -> store::Result<(Owner, Option<NativeSnapshot>)> {
        let (Some(service), Some(source), Some(item)) = (tag(record, "service:"), tag(record, "source:"), tag(record, "item:")) else {
            return Ok((Owner::default(), None));
        };
        let Some(service) = services::find_by_name(tx.by_ref(), service).await? else { return Ok((Owner::default(), None)) };
        let Some(source) = sources::of_service(tx.by_ref(), service.id()).await?.into_iter().find(|s| s.name == source) else {
            return Ok((Owner::default(), None));
        };
        let mut copy = None;
        if source.repository_id != self.repository.0 {
            // What an instance's snapshots lie in is its cloud.
            let here = repositories::find(tx.by_ref(), self.repository).await?.map(|r| r.name);
            copy = tag(record, "image:").filter(|_| here.is_some() && offsite_of(&source) == here).map(|image| native(record, item, image));
            if copy.is_none() {
                return Ok((Owner::default(), None));
            }
        }
        let known = items::find_by_name(tx.by_ref(), source.id(), item).await?;
        let (id, person) = if let Some(known) = known {
            (ItemId(known.id), known.person_id.map(PersonId))
        } else {
            // It came after the copy that Holdfast was brought back from.
            let person = match serde_json::from_value(source.config.0.clone()) {
                Ok(SourceConfig::Directory(d)) if d.items == DirectoryItems::Children => Some(items::person(tx.by_ref(), item, record.taken_at).await?),
                _ => None,
            };
            items::found(tx, source.id(), service.id(), person, item, record.taken_at).await?
        };
        Ok((Owner { service: Some(service.id()), source: Some(source.id()), item: Some(id), person, run: None }, copy))
    }
}

/// What the tags of an offsite copy say.
fn native(record: &SnapshotRecord, item: &str, image: &str) -> NativeSnapshot {
    NativeSnapshot {
        name: record.label.clone(),
        image: Some(NativeImage { id: image.to_owned(), ..NativeImage::default() }),
        volumes: Vec::new(),
        server: Server { name: item.to_owned(), ..Server::unknown(String::new(), BootType::Image) },
    }
}

fn tag<'a>(record: &'a SnapshotRecord, prefix: &str) -> Option<&'a str> {
    record.tags.iter().find_map(|t| t.strip_prefix(prefix))
}

/// A backup that runs now records its snapshots itself.
async fn of_live_run(tx: Tx<'_>, record: &SnapshotRecord) -> store::Result<bool> {
    let Some(Ok(id)) = tag(record, "run:").map(str::parse::<RunId>) else { return Ok(false) };
    Ok(match runs::find(tx, id).await? {
        Some(run) => run.state()?.is_live(),
        None => false,
    })
}
