//! What can be done to a run from its page. Permission is decided in `ops`.

use leptos::prelude::*;
use ops::runs::Retry;

use crate::{
    context::ctx,
    error::{AppError, go, go_to_run, refuse},
};

fn id(text: &str) -> Result<domain::id::RunId, AppError> {
    text.parse().map_err(|_| refuse(ops::OpsError::not_found("run", text)))
}

/// Cancels a run and goes back to it.
#[server(prefix = "/act", endpoint = "cancel-run")]
pub async fn cancel_run(run: String, #[server(default)] reason: String) -> Result<(), AppError> {
    let ctx = ctx();
    let id = id(&run)?;
    ops::runs::cancel(&ctx, id, &reason).await.map_err(refuse)?;
    go(&format!("/runs/{id}"));
    Ok(())
}

/// Starts a run with what an ended one was asked for, and goes to the new one. `what` is `all` or `failed`.
#[server(prefix = "/act", endpoint = "retry-run")]
pub async fn retry_run(run: String, what: String) -> Result<(), AppError> {
    let ctx = ctx();
    let id = id(&run)?;
    let what = match what.as_str() {
        "all" => Retry::All,
        "failed" => Retry::FailedItems,
        _ => return Err(refuse(ops::OpsError::invalid("what", "must be all or failed"))),
    };
    go_to_run(ops::runs::retry(&ctx, id, what).await)
}
