//! The plans of all services.
//!
//! Lives here: the list. May not: judging a plan.

use domain::{plan::State, units::Timestamp};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use store::plans::ListedPlan;

use super::{
    signers::signers,
    signs::{href, state_chip},
};
use crate::{
    components::{
        address::{encode, with_query},
        empty,
        pager::pager,
        status::{Tone, chip},
        table::{table, th},
        time::moment,
    },
    context::{app, ctx, query},
    error::{form_error, refused},
    frame::{Nav, Page, page},
};

const PAGE: usize = 50;

/// `/plans?q=&after=`.
#[component]
pub fn Plans() -> impl IntoView {
    let (ctx, shared, error, typed, query) = (ctx(), app(), form_error(), query(), use_query_map().get_untracked());
    page(async move {
        let (q, after) = (query.get("q").unwrap_or_default().trim().to_owned(), query.get("after").unwrap_or_default());
        let mut all = ops::plans::list(&ctx, &after, &q, PAGE as i64 + 1).await?;
        let more = all.len() > PAGE;
        all.truncate(PAGE);
        let roles = ops::plans::roles(&ctx).await?;
        let (now, zone) = (ctx.now(), &shared.zone);
        let content = if all.is_empty() {
            let why =
                if q.is_empty() { "A plan belongs to a service. Services come from the configuration." } else { "No service has this in its name or title." };
            let all = (!q.is_empty()).then(|| view! { <a class="btn" href="/plans">"Show all plans"</a> }.into_any());
            empty("No plans", why.into_any(), all).into_any()
        } else {
            let rows = all.iter().map(|p| row(p, now, zone)).collect_view();
            let head = view! { {th("Service", "")}{th("Approved", "")}{th("Work in progress", "")}{th("Owner", "col-md")} };
            let next = all.last().filter(|_| more).map(|p| ("Next", with_query("/plans", &[("q", &q), ("after", &p.service)])));
            let first = (!after.is_empty()).then(|| ("First", with_query("/plans", &[("q", &q)])));
            view! { {table("Plans by service", "", head.into_any(), rows.into_any())}{pager(first, next)} }.into_any()
        };
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Plans and risks"</h1>
                <p class="page__lede">"How each service is brought back, who has agreed to that, and what was measured since."</p></div></div>
            {error.as_ref().map(refused)}
            <div class="stack">
                <section class="panel" aria-label="Plans">
                    <form class="filters" method="get" action="/plans" role="search" aria-label="Filter the plans">
                        <div class="field"><label for="f-q">"Service"</label><input class="input input--sm" id="f-q" name="q" value=q.clone() autocomplete="off"/></div>
                        <button class="btn btn--sm">"Apply"</button>
                        {(!q.is_empty()).then(|| view! { <a class="btn btn--sm btn--quiet" href="/plans">"Clear"</a> })}
                    </form>
                    {content}
                </section>
                {signers(&ctx, &roles, &typed, error.as_ref())}
            </div>
        };
        Ok(Page { title: "Plans and risks".to_owned(), nav: Nav::Plans, crumbs: vec![("Home".to_owned(), "/".to_owned())], body: body.into_any() })
    })
}

fn row(p: &ListedPlan, now: Timestamp, zone: &TimeZone) -> AnyView {
    let approved = match (p.approved, p.approved_at) {
        (Some(number), Some(at)) => view! { {chip(Tone::Ok, format!("v{number}"))}<span class="sub">{moment(Timestamp(at), now, zone)}</span> }.into_any(),
        _ => chip(Tone::Warn, "none"),
    };
    let open = p.open_state.as_deref().and_then(State::parse).map(|state| {
        let at = p.open_at.map(|at| view! { ", "{moment(Timestamp(at), now, zone)} });
        view! { {state_chip(state)}<span class="sub">{format!("v{} by {}", p.open.unwrap_or_default(), p.open_by.clone().unwrap_or_default())}{at}</span> }
    });
    view! {
        <tr><th scope="row"><a class="rowlink" href=href(&p.service, "")>{p.title.clone()}</a><span class="sub mono">{p.service.clone()}</span></th>
            <td>{approved}</td><td>{open}</td><td class="col-md"><a href=format!("/services/{}", encode(&p.service))>{p.owner.clone()}</a></td></tr>
    }
    .into_any()
}
