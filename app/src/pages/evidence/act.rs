//! What can be done about evidence from the pages. Permission is decided in `ops`.

use leptos::prelude::*;
use ops::OpsError;
use uuid::Uuid;

use crate::{
    context::{app, ctx},
    error::{AppError, go, refuse},
};

/// Signs that whoever asks has looked at a test's record, and shows the test.
#[server(prefix = "/act", endpoint = "countersign")]
pub async fn countersign(record: String, #[server(default)] note: String) -> Result<(), AppError> {
    let (ctx, shared) = (ctx(), app());
    let id = Uuid::parse_str(&record).map_err(|_| refuse(OpsError::not_found("evidence", &record)))?;
    let seq = ops::evidence::place(&ctx, id).await.map_err(refuse)?;
    let test = ops::evidence::test_of(&ctx, seq).await.map_err(refuse)?;
    ops::evidence::countersign(&ctx, &shared.vault, seq, &note).await.map_err(refuse)?;
    go(&format!("/tests/{test}#p-signature"));
    Ok(())
}

/// Puts a new key in the place of the one that signs.
#[server(prefix = "/act", endpoint = "rotate-evidence-key")]
pub async fn rotate_evidence_key(#[server(default)] lost: String) -> Result<(), AppError> {
    let (ctx, shared) = (ctx(), app());
    let lost = (!lost.trim().is_empty()).then_some(lost);
    ops::evidence::rotate_key(&ctx, &shared.vault, lost.as_deref()).await.map_err(refuse)?;
    go("/evidence#p-keys");
    Ok(())
}
