//! What can be done about holds from the pages. Permission is decided in `ops`.

use domain::id::HoldId;
use leptos::prelude::*;
use ops::{OpsError, holds::Place};

use crate::{
    context::ctx,
    error::{AppError, go, refuse},
};

fn id(text: &str) -> Result<HoldId, AppError> {
    text.parse().map_err(|_| refuse(OpsError::not_found("hold", text)))
}

/// Places a hold over a service, an item or a snapshot, and shows it.
#[server(prefix = "/act", endpoint = "place-hold")]
pub async fn place_hold(
    #[server(default)] service: String,
    #[server(default)] item: String,
    #[server(default)] snapshot: String,
    reason: String,
) -> Result<(), AppError> {
    let ctx = ctx();
    let snapshot = match snapshot.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_| refuse(OpsError::not_found("snapshot", text)))?),
    };
    let place = Place { service, item: item.trim().to_owned(), snapshot, reason };
    let hold = ops::holds::place(&ctx, &place).await.map_err(refuse)?;
    go(&format!("/holds/{hold}"));
    Ok(())
}

/// Ends a hold and shows it.
#[server(prefix = "/act", endpoint = "release-hold")]
pub async fn release_hold(hold: String, reason: String) -> Result<(), AppError> {
    let ctx = ctx();
    let id = id(&hold)?;
    ops::holds::release(&ctx, id, &reason).await.map_err(refuse)?;
    go(&format!("/holds/{id}"));
    Ok(())
}

/// Decides that the guard was right, and shows the hold.
#[server(prefix = "/act", endpoint = "keep-hold")]
pub async fn keep_hold(hold: String, reason: String) -> Result<(), AppError> {
    let ctx = ctx();
    let id = id(&hold)?;
    ops::holds::keep(&ctx, id, &reason).await.map_err(refuse)?;
    go(&format!("/holds/{id}"));
    Ok(())
}
