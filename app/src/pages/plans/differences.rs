//! How two versions of a plan differ, word by word.

use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};
use ops::{OpsError, plans};

use super::signs::{below, href, marked, words};
use crate::{
    components::{empty, panel},
    context::ctx,
    frame::page,
};

/// `/services/:name/plan/differences?from=&to=`.
#[component]
pub fn PlanDifferences() -> impl IntoView {
    let ctx = ctx();
    let (params, query) = (use_params_map().get_untracked(), use_query_map().get_untracked());
    page(async move {
        let name = params.get("name").unwrap_or_default();
        let plan = plans::find(&ctx, &name).await?;
        let number = |key: &str| {
            let text = query.get(key).unwrap_or_default();
            text.parse::<i64>().map_err(|_| OpsError::not_found("version of the plan", text))
        };
        let found = plans::difference(&ctx, &name, number("from")?, number("to")?).await?;
        let (from, to) = (words(&found.from), words(&found.to));
        let fields = found
            .fields
            .iter()
            .enumerate()
            .map(|(n, f)| panel(&format!("d{n}"), f.title, None, None, view! { <div class="panel__body">{marked(&f.parts)}</div> }.into_any()))
            .collect_view();
        let none = found.fields.is_empty().then(|| {
            let why = "What was measured and what is kept elsewhere, such as risks, is compared on its own pages.";
            view! { <section class="panel" aria-label="Differences">{empty("They say the same", why.into_any(), None)}</section> }
        });
        let title = format!("Differences in the plan of {}", plan.service.title);
        let turned = href(&name, &format!("/differences?from={}&to={}", found.to.number, found.from.number));
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">{title}</h1><div class="page__meta"><span>{format!("From {from} to {to}")}</span></div></div>
                <div class="row"><a class="btn" href=turned>"The other way round"</a><a class="btn" href=href(&name, "/versions")>"All versions"</a></div></div>
            <div class="stack">{none}{fields}</div>
        };
        Ok(below(&plan.service, "Differences", body.into_any()))
    })
}
