//! The kinds of runs, each a row of steps.
//!
//! Lives here: which kind has which steps, and what several kinds look up. May not: the steps' work.

mod adopt;
pub mod backup;
pub mod check;
mod forget;
pub mod gone;
mod guard;
pub mod installation_backup;
pub mod installation_test;
pub mod instance_clone;
pub mod instance_restore;
pub mod instance_snapshot;
pub mod offsite_copy;
pub mod offsite_return;
pub mod prune;
pub mod restore;
mod restore_checks;
mod restore_choice;
mod restore_probes;
pub mod restore_test;
pub mod tamper_test;

use domain::{
    id::{ItemId, PersonId, RepositoryId, RunId, ServiceId, SourceId},
    run::RunKind,
};
use engine::job::SnapshotRecord;
use store::{
    repositories::{self, RepositoryRow},
    services::{self, ServiceRow},
    snapshots::NewSnapshot,
    sources::{self, SourceRow},
};

use crate::{
    exec::{Cx, Ended, Exec},
    step::{Result, permanent},
};

/// The names of a kind's steps in their order.
pub const fn steps(kind: RunKind) -> &'static [&'static str] {
    match kind {
        RunKind::Backup => backup::STEPS,
        RunKind::Restore => restore::STEPS,
        RunKind::RestoreTest => restore_test::STEPS,
        RunKind::Check => check::STEPS,
        RunKind::Prune => prune::STEPS,
        RunKind::InstallationBackup => installation_backup::STEPS,
        RunKind::InstallationTest => installation_test::STEPS,
        RunKind::TamperTest => tamper_test::STEPS,
        RunKind::InstanceSnapshot => instance_snapshot::STEPS,
        RunKind::InstanceClone => instance_clone::STEPS,
        RunKind::InstanceRestore => instance_restore::STEPS,
        RunKind::OffsiteCopy => offsite_copy::STEPS,
        RunKind::OffsiteReturn => offsite_return::STEPS,
    }
}

/// The first step whose result lies on the machine that did it, and not in the database or a repository.
pub const fn local_from(kind: RunKind) -> Option<&'static str> {
    match kind {
        RunKind::RestoreTest => Some(restore_test::PROVISION),
        RunKind::InstallationBackup => Some(installation_backup::EXPORT),
        RunKind::InstallationTest => Some(installation_test::BRING_BACK),
        _ => None,
    }
}

/// The step after which what the run was for stands, and it has only to be brought to its end.
pub const fn stands_after(kind: RunKind) -> Option<&'static str> {
    match kind {
        RunKind::Restore => Some(restore::APPLIED),
        RunKind::InstanceSnapshot => Some(instance_snapshot::RECORDED),
        RunKind::InstanceClone => Some(instance_clone::RECORDED),
        RunKind::InstanceRestore => Some(instance_restore::APPLIED),
        RunKind::OffsiteCopy => Some(offsite_copy::RECORDED),
        RunKind::OffsiteReturn => Some(offsite_return::RECORDED),
        _ => None,
    }
}

pub async fn run(kind: RunKind, exec: &mut Exec) -> Result<Ended> {
    match kind {
        RunKind::Backup => backup::run(exec).await,
        RunKind::Restore => restore::run(exec).await,
        RunKind::RestoreTest => Box::pin(restore_test::run(exec)).await,
        RunKind::Check => check::run(exec).await,
        RunKind::Prune => prune::run(exec).await,
        RunKind::InstallationBackup => installation_backup::run(exec).await,
        RunKind::InstallationTest => installation_test::run(exec).await,
        RunKind::TamperTest => tamper_test::run(exec).await,
        RunKind::InstanceSnapshot => Box::pin(instance_snapshot::run(exec)).await,
        RunKind::InstanceClone => Box::pin(instance_clone::run(exec)).await,
        RunKind::InstanceRestore => Box::pin(instance_restore::run(exec)).await,
        RunKind::OffsiteCopy => Box::pin(offsite_copy::run(exec)).await,
        RunKind::OffsiteReturn => Box::pin(offsite_return::run(exec)).await,
    }
}

async fn repository(cx: &Cx, id: RepositoryId) -> Result<RepositoryRow> {
    let row = repositories::find(cx.deps.db.read().await?.tx(), id).await?;
    row.ok_or_else(|| permanent("not_found", format!("the repository {id} is no longer there")))
}

async fn source(cx: &Cx, id: SourceId) -> Result<SourceRow> {
    let row = sources::find(cx.deps.db.read().await?.tx(), id).await?;
    row.ok_or_else(|| permanent("not_found", format!("the source {id} is no longer there")))
}

async fn service(cx: &Cx, id: ServiceId) -> Result<ServiceRow> {
    let row = services::find(cx.deps.db.read().await?.tx(), id).await?;
    row.ok_or_else(|| permanent("not_found", format!("the service {id} is no longer there")))
}

/// Where a snapshot belongs, as far as it is known.
#[derive(Default)]
struct Owner {
    service: Option<ServiceId>,
    source: Option<SourceId>,
    item: Option<ItemId>,
    person: Option<PersonId>,
    run: Option<RunId>,
}

/// A snapshot of a repository as it is recorded. `state` is `complete`, `partial` or `adopted`.
fn new_snapshot(r: &SnapshotRecord, repository: RepositoryId, owner: &Owner, state: &'static str) -> NewSnapshot {
    NewSnapshot {
        repository,
        service: owner.service,
        source: owner.source,
        item: owner.item,
        person: owner.person,
        run: owner.run,
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

/// An id that a run of this kind always has.
fn given<T>(id: Option<uuid::Uuid>, make: impl FnOnce(uuid::Uuid) -> T, what: &str) -> Result<T> {
    id.map(make).ok_or_else(|| permanent("internal", format!("the run names no {what}")))
}

/// Does blocking work on files off the asynchronous threads.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| permanent("internal", format!("work on files broke off: {e}")))
}
