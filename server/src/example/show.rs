//! What happens in front of a new user: the example is made with its continuity plan, backed up and restored once.
//!
//! Lives here: the order of it. May not: anything a person could not do by the same use cases.
//! Invariant: an installation that has a service already is left alone.

use std::{path::PathBuf, time::Duration};

use domain::{id::RunId, work::Selection};
use ops::{Ctx, OpsError, Result};

/// Fills an empty installation: folders, configuration, a first backup, then a restore test of it.
pub async fn show(ctx: Ctx, data: PathBuf) {
    if let Err(e) = fill(&ctx, data).await {
        tracing::error!(error = %e, cause = ?e, "the example could not be made");
    }
}

async fn fill(ctx: &Ctx, data: PathBuf) -> Result<()> {
    if !ops::services::list(ctx, "", "", 1).await?.is_empty() {
        return Ok(());
    }
    tracing::info!("making the example: 75 users' folders, some 200 MB");
    let text = super::config(&data);
    tokio::task::spawn_blocking(move || super::generate(&data)).await.map_err(OpsError::internal)?.map_err(OpsError::internal)?;
    let config = ops::config::parse(&text).map_err(|mistakes| OpsError::internal(mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
    ops::config::apply(ctx, &config, None).await?;
    for service in &config.services {
        super::plan::carry(ctx, &service.name).await?;
        for run in ops::backups::start(ctx, &service.name, None, None).await? {
            end_of(ctx, run).await?;
        }
        ops::restore_tests::start(ctx, &service.name, Selection::Sample { count: 10 }).await?;
    }
    Ok(())
}

/// Waits for a run to end.
async fn end_of(ctx: &Ctx, id: RunId) -> Result<()> {
    let mut news = store::wake::subscribe();
    while ops::runs::find(ctx, id).await?.state()?.is_live() {
        store::wake::news(&mut news, id, Duration::from_secs(1)).await;
    }
    Ok(())
}
