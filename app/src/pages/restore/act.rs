//! What the wizard starts. Permission is decided in `ops`.

use leptos::prelude::*;
use ops::OpsError;

use super::state::State;
use crate::{
    context::ctx,
    error::{AppError, go, go_to_run, refuse},
};

fn read(state: &str) -> Result<State, AppError> {
    serde_json::from_str(state).map_err(|_| refuse(OpsError::invalid("state", "the form was not understood; begin again from the snapshot")))
}

fn incomplete() -> AppError {
    refuse(OpsError::invalid("to", "choose a target and a conflict mode first"))
}

/// Counts what the restore would do, and goes back to the wizard, which shows the counts.
#[server(prefix = "/act", endpoint = "preview-restore")]
pub async fn preview_restore(state: String) -> Result<(), AppError> {
    let ctx = ctx();
    let state = read(&state)?;
    let request = state.request(None).ok_or_else(incomplete)?;
    let run = ops::previews::start(&ctx, &request).await.map_err(refuse)?;
    go(&format!("{}#preview", State { run: Some(run), ..state }.href()));
    Ok(())
}

/// Starts the restore that was previewed, and goes to its run.
#[server(prefix = "/act", endpoint = "start-restore")]
pub async fn start_restore(state: String, #[server(default)] confirm: String) -> Result<(), AppError> {
    let ctx = ctx();
    let state = read(&state)?;
    let request = state.request(Some(confirm)).ok_or_else(incomplete)?;
    let preview = state.run.ok_or_else(|| refuse(OpsError::invalid("run", "make a preview first")))?;
    go_to_run(ops::previews::confirm(&ctx, request, preview).await)
}
