//! What a rebuilt installation still needs on its machine, and finding what is younger than its copy (R62).
//!
//! Lives here: looking for secrets and sources. May not: secrets themselves beyond finding that they are there.

use domain::{
    id::{RepositoryId, RunId},
    units::Timestamp,
    work::CheckParams,
};
use engine::job::SourceConfig;
use store::{availability, channels as rows, repositories, services, snapshots, sources};

use crate::{
    Ctx, OpsError, Result,
    availability::source,
    checks,
    notifications::{channels, heartbeats},
    permission::{Action, require},
    repositories::{Need, require_files},
    secrets::Vault,
};

/// Something that is configured and not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// `repository main`, `source notebooks/homes`.
    pub what: String,
    /// The name alone.
    pub name: String,
    pub repository: bool,
    pub message: String,
}

/// Looks for every secret and every source that the configuration names.
pub async fn missing(ctx: &Ctx, vault: &Vault) -> Result<Vec<Missing>> {
    require(ctx, Action::Read)?;
    let mut read = ctx.db.read().await?;
    let mut wanted = Vec::new();
    for row in repositories::list(read.tx()).await? {
        for (part, reference) in row.options.0.secret.into_iter().chain([("password".to_owned(), row.password.0)]) {
            wanted.push(("repository", row.name.clone(), reference, part));
        }
    }
    for row in rows::list(read.tx()).await? {
        for (part, reference) in row.secrets.0 {
            wanted.push(("channel", row.name.clone(), reference, channels::purpose(&row.name, &part)));
        }
    }
    for row in rows::heartbeats(read.tx()).await? {
        wanted.push(("heartbeat", row.name.clone(), row.url.0, heartbeats::purpose(&row.name)));
    }
    for row in availability::sources(read.tx(), 10_000).await? {
        let purpose = source::purpose(&row.name);
        wanted.push(("ARGO source", row.name, row.key.0, purpose));
    }
    let mut out = Vec::new();
    for (entity, name, reference, purpose) in wanted {
        match vault.resolve(&reference, &purpose).await {
            Ok(_) => {}
            Err(OpsError::Invalid(fields)) => {
                let message = fields.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                out.push(Missing { what: format!("{entity} {name}"), name, repository: entity == "repository", message });
            }
            Err(other) => return Err(other),
        }
    }
    for service in services::all(read.tx(), 10_000).await? {
        for source in sources::of_service(read.tx(), service.id()).await? {
            let Ok(SourceConfig::Directory(directory)) = serde_json::from_value(source.config.0) else { continue };
            if !tokio::fs::try_exists(&directory.path).await.unwrap_or(false) {
                let name = format!("{}/{}", service.name, source.name);
                let message = format!("its folder {} is not there; mount it before the next backup", directory.path.display());
                out.push(Missing { what: format!("source {name}"), name, repository: false, message });
            }
        }
    }
    Ok(out)
}

/// Starts a check of each repository whose secrets are there: it adopts what is younger than the copy.
pub async fn start_checks(ctx: &Ctx, missing: &[Missing]) -> Result<Vec<(String, RunId)>> {
    require(ctx, Action::Operate)?;
    let mut started = Vec::new();
    for row in repositories::list(ctx.db.read().await?.tx()).await? {
        let closed = missing.iter().any(|m| m.repository && m.name == row.name);
        // What was never written to holds nothing.
        if !closed && row.restic_id.is_some() && require_files(&row, Need::Check).is_ok() {
            started.push((row.name.clone(), checks::start_repository(ctx, RepositoryId(row.id), CheckParams::STRUCTURE, None).await?));
        }
    }
    Ok(started)
}

/// How many snapshots are younger than the copy.
pub async fn younger(ctx: &Ctx, than: Timestamp) -> Result<i64> {
    require(ctx, Action::Read)?;
    Ok(snapshots::count_after(ctx.db.read().await?.tx(), than).await?)
}
