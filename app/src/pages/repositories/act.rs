//! What can be done about repositories from the pages. Permission is decided in `ops`.

use leptos::prelude::*;
use ops::repositories::Clear;

use crate::{
    components::address::encode,
    context::{app, ctx},
    error::{AppError, go, go_to_run, refuse},
};

/// Removes a lock and shows the repository. `confirmed` is any text: a box that was ticked.
#[server(prefix = "/act", endpoint = "clear-lock")]
pub async fn clear_lock(repository: String, lock: String, reason: String, #[server(default)] confirmed: String) -> Result<(), AppError> {
    let (ctx, shared) = (ctx(), app());
    let clear = Clear { lock, reason, confirmed: !confirmed.is_empty() };
    ops::repositories::clear_lock(&ctx, &shared.repositories, &repository, &clear).await.map_err(refuse)?;
    go(&format!("/repositories/{}", encode(&repository)));
    Ok(())
}

/// Starts a tamper test and shows its run.
#[server(prefix = "/act", endpoint = "test-tamper")]
pub async fn test_tamper(repository: String) -> Result<(), AppError> {
    go_to_run(ops::tamper_tests::start(&ctx(), &repository).await)
}

/// Starts a check that reads all data and shows its run.
#[server(prefix = "/act", endpoint = "check-data")]
pub async fn check_data(repository: String) -> Result<(), AppError> {
    go_to_run(ops::checks::start(&ctx(), &repository, true).await)
}

/// Starts a prune and shows its run.
#[server(prefix = "/act", endpoint = "prune-repository")]
pub async fn prune_repository(repository: String) -> Result<(), AppError> {
    go_to_run(ops::prunes::start(&ctx(), &repository, domain::work::PruneParams::default()).await)
}

/// Copies Holdfast itself into the repository and shows the run.
#[server(prefix = "/act", endpoint = "copy-holdfast")]
pub async fn copy_holdfast(repository: String) -> Result<(), AppError> {
    go_to_run(ops::installation::backup(&ctx(), &repository).await)
}

/// Starts a restore test of the newest copy and shows its run.
#[server(prefix = "/act", endpoint = "test-copy")]
pub async fn test_copy(repository: String) -> Result<(), AppError> {
    go_to_run(ops::installation::test(&ctx(), &repository).await)
}

/// Lets the server look at a cloud now, and shows it.
#[server(prefix = "/act", endpoint = "look-at-cloud")]
pub async fn look_at_cloud(repository: String) -> Result<(), AppError> {
    ops::clouds::look(&ctx(), &repository).await.map_err(refuse)?;
    go(&format!("/repositories/{}", encode(&repository)));
    Ok(())
}
