//! One hold.

use domain::id::HoldId;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use ops::{
    OpsError,
    permission::{Action, On, allowed},
};

use super::card::{card, subject};
use crate::{
    context::{app, ctx},
    error::form_error,
    frame::{Nav, Page, page},
    pages::services::act::refused,
};

/// `/holds/:id`.
#[component]
pub fn HoldPage() -> impl IntoView {
    let (ctx, shared, params, error) = (ctx(), app(), use_params_map().get_untracked(), form_error());
    page(async move {
        let text = params.get("id").unwrap_or_default();
        let id: HoldId = text.parse().map_err(|_| OpsError::not_found("hold", &text))?;
        let hold = ops::holds::find(&ctx, id).await?;
        let may = allowed(&ctx.actor, Action::Hold, On::service(Some(hold.row().service_id)));
        let title = format!("Hold over {}", subject(&hold));
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">{title.clone()}</h1></div></div>
            {error.as_ref().map(refused)}
            <div class="stack">{card(&hold, may, ctx.now(), &shared.zone)}</div>
        };
        let crumbs = vec![("Home".to_owned(), "/".to_owned()), ("Holds".to_owned(), "/holds".to_owned())];
        Ok(Page { title, nav: Nav::Holds, crumbs, body: body.into_any() })
    })
}
