//! What can be done about plans from the pages. Permission is decided in `ops`.
//!
//! Lives here: the server functions behind the forms. A draft as a whole and a pasted plan come to their own pages
//! (`edit`, `import`): their texts would be too long for an address.

use domain::plan::PlanContent;
use leptos::prelude::*;
use ops::{
    OpsError,
    plans::{self, Begin, Edit},
};
use serde::{Deserialize, Serialize};

use super::{form, signs::href};
use crate::{
    components::time,
    context::{app, ctx},
    error::{AppError, go, refuse},
};

/// Begins a draft and shows its form.
#[server(prefix = "/act", endpoint = "start-plan")]
pub async fn start_plan(service: String, #[server(default)] from: String) -> Result<(), AppError> {
    let begin = if from == "approved" { Begin::Approved } else { Begin::Empty };
    plans::start(&ctx(), &service, begin).await.map_err(refuse)?;
    go(&href(&service, "/edit"));
    Ok(())
}

/// Submits the draft that was seen and shows the plan.
#[server(prefix = "/act", endpoint = "submit-plan")]
pub async fn submit_plan(service: String, version: i64, revision: i64, #[server(default)] comment: String) -> Result<(), AppError> {
    plans::submit(&ctx(), &service, version, revision, &comment).await.map_err(refuse)?;
    go(&href(&service, "#signoff"));
    Ok(())
}

/// Signs what was read.
#[server(prefix = "/act", endpoint = "sign-plan")]
pub async fn sign_plan(service: String, version: i64, role: String, sha256: String) -> Result<(), AppError> {
    plans::sign(&ctx(), &service, version, &role, &sha256).await.map_err(refuse)?;
    go(&href(&service, "#signoff"));
    Ok(())
}

#[server(prefix = "/act", endpoint = "approve-plan")]
pub async fn approve_plan(service: String, version: i64, sha256: String) -> Result<(), AppError> {
    plans::approve(&ctx(), &service, version, &sha256).await.map_err(refuse)?;
    go(&href(&service, ""));
    Ok(())
}

#[server(prefix = "/act", endpoint = "return-plan")]
pub async fn return_plan(service: String, version: i64, reason: String) -> Result<(), AppError> {
    plans::give_back(&ctx(), &service, version, &reason).await.map_err(refuse)?;
    go(&href(&service, ""));
    Ok(())
}

#[server(prefix = "/act", endpoint = "discard-plan")]
pub async fn discard_plan(service: String, version: i64, revision: i64, reason: String) -> Result<(), AppError> {
    plans::discard(&ctx(), &service, version, revision, &reason).await.map_err(refuse)?;
    go(&href(&service, ""));
    Ok(())
}

/// What came of an autosave, with finished parts for the page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Autosaved {
    /// The version that the form starts from now.
    pub version: String,
    /// Every entry as it is saved.
    pub entries: Vec<(String, String)>,
    /// The fields that somebody else has changed meanwhile.
    pub conflicts: Vec<String>,
    /// How it went, for the line beside the button.
    pub says: String,
    /// The conflicts, each with both texts; empty where there is none.
    pub both: String,
}

/// Saves what was changed in a form (`fields`, a list of [`Edit`] as JSON), where nobody else has changed the same.
#[server(prefix = "/act", endpoint = "autosave-plan")]
pub async fn autosave_plan(service: String, version: String, #[server(default)] fields: String) -> Result<Autosaved, AppError> {
    let (ctx, shared) = (ctx(), app());
    let edits: Vec<Edit> = serde_json::from_str(&fields).map_err(|_| refuse(OpsError::invalid("fields", "are not understood; load the page again")))?;
    let came = plans::autosave(&ctx, &service, &edits, &version).await.map_err(refuse)?;
    let content: &PlanContent = &came.row.content.0;
    let at = time::short(ctx.now(), ctx.now(), &shared.zone);
    let says = if came.conflicts.is_empty() { format!("Saved {at}") } else { format!("Not all is saved: {} was first", came.row.updated_by) };
    Ok(Autosaved {
        version: plans::tag(&came.row),
        entries: content.entries(),
        says,
        both: form::both(&came).to_html(),
        conflicts: came.conflicts.into_iter().map(|c| c.name).collect(),
    })
}
