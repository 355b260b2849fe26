//! What can be done about orphans from the page of their cloud. Permission is decided in `ops`.

use domain::id::OrphanId;
use leptos::prelude::*;
use ops::{
    OpsError,
    instances::orphans::{self, Removal},
};

use crate::{
    components::address::encode,
    context::ctx,
    error::{AppError, go, refuse},
};

fn id(text: &str) -> Result<OrphanId, AppError> {
    text.parse().map_err(|_| refuse(OpsError::not_found("orphan", text)))
}

/// Adopts an orphan and shows the snapshot that it became.
#[server(prefix = "/act", endpoint = "adopt-orphan")]
pub async fn adopt_orphan(repository: String, orphan: String) -> Result<(), AppError> {
    let snapshot = orphans::adopt(&ctx(), &repository, id(&orphan)?).await.map_err(refuse)?;
    go(&format!("/snapshots/{snapshot}"));
    Ok(())
}

/// Has an orphan deleted and shows its cloud.
#[server(prefix = "/act", endpoint = "delete-orphan")]
pub async fn delete_orphan(repository: String, orphan: String, name: String, reason: String) -> Result<(), AppError> {
    orphans::delete(&ctx(), &repository, id(&orphan)?, &Removal { name, reason }).await.map_err(refuse)?;
    go(&format!("/repositories/{}", encode(&repository)));
    Ok(())
}
