//! The kinds of runs, each a row of steps.
//!
//! Lives here: which kind has which steps, and what several kinds look up. May not: the steps' work.

mod adopt;
pub mod backup;
pub mod check;
pub mod restore;
mod restore_checks;
pub mod restore_test;

use domain::{
    id::{RepositoryId, ServiceId, SourceId},
    run::RunKind,
};
use store::{
    repositories::{self, RepositoryRow},
    services::{self, ServiceRow},
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
    }
}

/// The first step whose result lies on the machine that did it, and not in the database or a repository.
pub const fn local_from(kind: RunKind) -> Option<&'static str> {
    match kind {
        RunKind::RestoreTest => Some(restore_test::PROVISION),
        _ => None,
    }
}

pub async fn run(kind: RunKind, exec: &mut Exec) -> Result<Ended> {
    match kind {
        RunKind::Backup => backup::run(exec).await,
        RunKind::Restore => restore::run(exec).await,
        RunKind::RestoreTest => restore_test::run(exec).await,
        RunKind::Check => check::run(exec).await,
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

/// An id that a run of this kind always has.
fn given<T>(id: Option<uuid::Uuid>, make: impl FnOnce(uuid::Uuid) -> T, what: &str) -> Result<T> {
    id.map(make).ok_or_else(|| permanent("internal", format!("the run names no {what}")))
}

/// Does blocking work on files off the asynchronous threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| permanent("internal", format!("work on files broke off: {e}")))
}
