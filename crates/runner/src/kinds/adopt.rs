//! Snapshots that a repository holds and Holdfast has no record of (R10).
//!
//! Lives here: recording them, with their service, source and item where their tags name known ones.
//! May not: changing a snapshot that is known. Invariant: a snapshot of a run that is still live is left to that run.

use domain::id::{ItemId, PersonId, RepositoryId, RunId, ServiceId, SourceId};
use engine::job::{ItemResult, SnapshotRecord};
use store::{
    Tx, items, runs, services,
    snapshots::{self, NewSnapshot},
    sources,
};

use crate::{child::Recorder, exec::Cx};

/// Tag of a snapshot with files that could not be read.
const PARTIAL: &str = "partial";

pub struct Adopt {
    pub repository: RepositoryId,
}

/// Where a snapshot belongs.
#[derive(Default)]
struct Owner {
    service: Option<ServiceId>,
    source: Option<SourceId>,
    item: Option<ItemId>,
    person: Option<PersonId>,
}

#[async_trait::async_trait]
impl Recorder for Adopt {
    async fn item(&self, _cx: &Cx, _tx: Tx<'_>, _item: &ItemResult) -> store::Result<()> {
        Ok(())
    }

    async fn snapshots(&self, cx: &Cx, mut tx: Tx<'_>, listed: &[SnapshotRecord]) -> store::Result<()> {
        for record in listed {
            if snapshots::find_restic(tx.by_ref(), self.repository, &record.id).await?.is_some() || of_live_run(tx.by_ref(), record).await? {
                continue;
            }
            let owner = self.owner(tx.by_ref(), record).await?;
            let state = match owner.item {
                None => "adopted",
                Some(_) if record.tags.iter().any(|t| t == PARTIAL) => "partial",
                Some(_) => "complete",
            };
            let id = snapshots::insert(tx.by_ref(), &self.row(record, &owner, state)).await?;
            if let Some(item) = owner.item {
                let known = items::find(tx.by_ref(), item).await?;
                if known.and_then(|i| i.last_snapshot_at).is_none_or(|at| at < record.taken_at.0) {
                    items::set_snapshot(tx.by_ref(), item, id, record.taken_at, record.bytes).await?;
                }
            }
            tracing::info!(run = %cx.id(), snapshot = record.id, "adopted a snapshot");
        }
        Ok(())
    }
}

impl Adopt {
    /// What the tags of a snapshot that Holdfast wrote say, as far as it is still configured here.
    async fn owner(&self, mut tx: Tx<'_>, record: &SnapshotRecord) -> store::Result<Owner> {
        let (Some(service), Some(source), Some(item)) = (tag(record, "service:"), tag(record, "source:"), tag(record, "item:")) else {
            return Ok(Owner::default());
        };
        let Some(service) = services::find_by_name(tx.by_ref(), service).await? else { return Ok(Owner::default()) };
        let found = sources::of_service(tx.by_ref(), service.id()).await?.into_iter().find(|s| s.name == source && s.repository_id == self.repository.0);
        let Some(source) = found else { return Ok(Owner::default()) };
        let Some(item) = items::find_by_name(tx, source.id(), item).await? else { return Ok(Owner::default()) };
        Ok(Owner { service: Some(service.id()), source: Some(source.id()), item: Some(ItemId(item.id)), person: item.person_id.map(PersonId) })
    }

    fn row(&self, r: &SnapshotRecord, owner: &Owner, state: &'static str) -> NewSnapshot {
        NewSnapshot {
            repository: self.repository,
            service: owner.service,
            source: owner.source,
            item: owner.item,
            person: owner.person,
            run: None,
            restic_id: r.id.clone(),
            tree: r.tree.clone(),
            parent_restic_id: r.parent.clone(),
            taken_at: r.taken_at,
            host: r.host.clone(),
            label: r.label.clone(),
            paths: r.paths.clone(),
            tags: r.tags.clone(),
            state,
            files: r.files,
            dirs: r.dirs,
            bytes: r.bytes,
            bytes_added: r.bytes_added,
            files_added: r.files_added,
            files_changed: r.files_changed,
            files_removed: r.files_removed,
            errors: r.errors,
            measure: r.measure.clone(),
        }
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
