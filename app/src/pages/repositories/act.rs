//! What can be done about repositories from the pages. Permission is decided in `ops`.

use leptos::prelude::*;
use ops::repositories::Clear;

use crate::{
    components::address::encode,
    context::{app, ctx},
    error::{AppError, go, refuse},
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
    let run = ops::tamper_tests::start(&ctx(), &repository).await.map_err(refuse)?;
    go(&format!("/runs/{run}"));
    Ok(())
}

/// Starts a check that reads all data and shows its run.
#[server(prefix = "/act", endpoint = "check-data")]
pub async fn check_data(repository: String) -> Result<(), AppError> {
    let run = ops::checks::start(&ctx(), &repository, true).await.map_err(refuse)?;
    go(&format!("/runs/{run}"));
    Ok(())
}
