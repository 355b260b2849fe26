//! What can be done about clones. Permission is decided in `ops`.

use domain::id::CloneId;
use leptos::prelude::*;
use ops::{
    OpsError, clones,
    permission::{Action, On, require_on},
};

use super::parts::clones_place;
use crate::{
    context::ctx,
    error::{AppError, go, refuse},
};

fn id(text: &str) -> Result<CloneId, AppError> {
    text.parse().map_err(|_| refuse(OpsError::not_found("clone", text)))
}

/// Ends a clone and shows those that stand.
#[server(prefix = "/act", endpoint = "end-clone")]
pub async fn end_clone(service: String, clone: String, confirm: String, reason: String) -> Result<(), AppError> {
    clones::end(&ctx(), &service, id(&clone)?, &confirm, &reason).await.map_err(refuse)?;
    go(&clones_place(&service));
    Ok(())
}

/// Gives a clone more time and shows those that stand.
#[server(prefix = "/act", endpoint = "lengthen-clone")]
pub async fn lengthen_clone(service: String, clone: String, days: String) -> Result<(), AppError> {
    let ctx = ctx();
    require_on(&ctx, Action::Restore, On::Any).map_err(refuse)?;
    let days = days.trim().parse().map_err(|_| refuse(OpsError::invalid("days", "is no number of days; write how many, counted from now")))?;
    clones::lengthen(&ctx, &service, id(&clone)?, days).await.map_err(refuse)?;
    go(&clones_place(&service));
    Ok(())
}
