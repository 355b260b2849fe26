//! What can be done to a schedule. Permission is decided in `ops`.

use std::collections::BTreeMap;

use domain::units::Timestamp;
use leptos::prelude::*;
use ops::{OpsError, schedules, version::Seen};
use serde::{Deserialize, Serialize};

use super::{fields::Fields, preview};
use crate::{
    components::address::encode,
    context::{app, ctx},
    error::{AppError, back, go, refuse},
};

/// Saves the form and shows the schedule. A refused form comes back with what was typed and what is wrong with it.
#[server(prefix = "/act", endpoint = "save-schedule")]
pub async fn save_schedule(#[server(flatten)] fields: Fields) -> Result<(), AppError> {
    let ctx = ctx();
    let instances = ops::instances::names(&ctx, fields.of.trim()).await.map_err(refuse)?;
    let (draft, wrong) = fields.draft(instances.is_some());
    let revision = fields.revision.parse().ok();
    // Whoever may not is refused whatever the form holds.
    let seen = Seen::in_form(&fields.revision);
    let done = if wrong.is_empty() { schedules::save_if(&ctx, &draft, revision, &seen).await.map(|_| ()) } else { refused_first(&ctx, wrong) };
    match done {
        Ok(()) => go(&format!("/schedules/{}", encode(&draft.name))),
        Err(OpsError::Invalid(_)) => go(&fields.href(true)),
        Err(e @ OpsError::Stale(_)) => back(&fields.href(true), e)?,
        // It was removed meanwhile: what was typed makes a new one.
        Err(e @ OpsError::NotFound { .. }) => back(&Fields { revision: String::new(), ..fields }.href(true), e)?,
        Err(e) => return Err(refuse(e)),
    }
    Ok(())
}

fn refused_first(ctx: &ops::Ctx, wrong: Vec<domain::field::FieldError>) -> ops::Result<()> {
    ops::permission::require(ctx, ops::permission::Action::Configure)?;
    Err(OpsError::Invalid(wrong))
}

/// Parts of a page by their ids, drawn anew.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Parts {
    pub parts: BTreeMap<String, String>,
}

/// What the form would do, as the parts of its page that show it.
#[server(prefix = "/act", endpoint = "preview-schedule")]
pub async fn preview_schedule(#[server(flatten)] fields: Fields) -> Result<Parts, AppError> {
    let ctx = ctx();
    let shown = preview::load(&ctx, &fields).await.map_err(refuse)?;
    let parts = preview::parts(&shown, &fields, ctx.now());
    Ok(Parts { parts: parts.into_iter().map(|(id, view)| (id.to_owned(), view.to_html())).collect() })
}

/// Pauses a schedule; `until` is a moment as a form gives it, in the zone of the pages, or empty.
#[server(prefix = "/act", endpoint = "pause-schedule")]
pub async fn pause_schedule(name: String, reason: String, #[server(default)] until: String) -> Result<(), AppError> {
    let (ctx, shared) = (ctx(), app());
    let until = match until.trim() {
        "" => None,
        text => {
            let read = text.parse::<jiff::civil::DateTime>().ok().and_then(|t| t.to_zoned(shared.zone).ok());
            let at = read.ok_or_else(|| refuse(OpsError::invalid("until", "is no date with a time; write it as 2021-02-26T09:00")))?;
            Some(Timestamp(at.timestamp().as_microsecond()))
        }
    };
    schedules::pause(&ctx, &name, until, &reason).await.map_err(refuse)?;
    go(&format!("/schedules/{}", encode(&name)));
    Ok(())
}

#[server(prefix = "/act", endpoint = "resume-schedule")]
pub async fn resume_schedule(name: String) -> Result<(), AppError> {
    schedules::resume(&ctx(), &name).await.map_err(refuse)?;
    go(&format!("/schedules/{}", encode(&name)));
    Ok(())
}

#[server(prefix = "/act", endpoint = "remove-schedule")]
pub async fn remove_schedule(name: String, version: String) -> Result<(), AppError> {
    schedules::remove_if(&ctx(), &name, &Seen::in_form(&version)).await.map_err(refuse)?;
    go("/schedules");
    Ok(())
}
