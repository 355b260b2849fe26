//! The reviews of one service: where they stand, what was found, who can bring it back.
//!
//! Lives here: the Reviews tab. May not: judging.

use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use ops::{
    permission::{Action, On, allowed},
    reviews::{ExemptionRow, OfService, Review, ReviewRow},
};

use super::{bus::bus_factor, civil, every, href, standing_chip, title};
use crate::{
    components::{
        empty, panel,
        status::{Tone, chip},
        table::{table, th},
    },
    context::{app, ctx, visitor},
    error::form_error,
    frame::page,
    pages::services::head::{Tab, service_page},
};

/// `/services/NAME/reviews`.
#[component]
pub fn ServiceReviews() -> impl IntoView {
    let (ctx, shared, who, error) = (ctx(), app(), visitor(), form_error());
    let params = use_params_map().get_untracked();
    page(async move {
        let found = ops::reviews::of_service(&ctx, &params.get("name").unwrap_or_default()).await?;
        let (now, zone) = (ctx.now(), &shared.zone);
        let on_hold = ops::holds::undecided(&ctx, found.service.id()).await?;
        let s = ops::overview::judge(found.service.clone(), on_hold, now);
        let may = allowed(&who.actor, Action::Plan, On::Service(found.service.id()));
        let content = view! {
            <div class="grid grid--aside"><div class="stack">
                {standing(&found, may)}
                {history(&found.history)}
                {exemptions(&found.exemptions)}
            </div><div class="stack">{bus_factor(&found.bus, zone)}</div></div>
        };
        Ok(service_page(&s, Tab::Reviews, &who, (now, zone), error.as_ref(), content.into_any()))
    })
}

fn standing(found: &OfService, may: bool) -> AnyView {
    let rows = found.reviews.iter().map(|r| standing_row(r, may)).collect_view();
    let head = view! { {th("Review", "")}{th("Due", "")}{th("State", "")}<th scope="col"><span class="vh">"Open"</span></th> };
    let end = view! { <a class="btn btn--sm btn--quiet" href="/reviews">"All services"</a> }.into_any();
    panel("due", "When it is reviewed", None, Some(end), table("When it is reviewed", "", head.into_any(), rows.into_any()).into_any()).into_any()
}

fn standing_row(r: &Review, may: bool) -> AnyView {
    let last = r.facts.last_on.map_or_else(|| "never done".into_any(), |on| view! { "last done "{civil(on)} }.into_any());
    let words = if may { "Record or change" } else { "Open" };
    view! {
        <tr><th scope="row">{title(r.facts.kind)}<span class="sub">{every(r.facts.months)}</span></th><td class="nowrap">{civil(r.facts.due)}<span class="sub">{last}</span></td>
            <td>{standing_chip(r)}</td><td class="ta-r"><a class="btn btn--sm" href=href(&r.service.name, r.facts.kind)>{words}<span class="vh">{format!(": {}", r.facts.kind.words())}</span></a></td></tr>
    }
    .into_any()
}

/// What was done, the newest first.
pub fn history(rows: &[ReviewRow]) -> AnyView {
    if rows.is_empty() {
        let why = "Nobody has recorded a review yet. One that was done in the past is recorded with its own date.";
        return panel("history", "What was found", None, None, empty("Never reviewed", why.into_any(), None).into_any()).into_any();
    }
    let list = rows
        .iter()
        .map(|r| {
            let kind = r.kind().map_or("Review", title);
            let on = r.done_on().map_or_else(|_| r.done_on.clone().into_any(), civil);
            let withdrawn = r.withdrawn_by.as_ref().map(|by| {
                view! { {chip(Tone::None, "withdrawn")}<span class="sub">{format!("by {by}: {}", r.withdraw_reason.clone().unwrap_or_default())}</span> }
            });
            let by = (r.actor != r.done_by).then(|| view! { <span class="sub">{format!("recorded by {}", r.actor)}</span> });
            view! {
                <tr><th scope="row" class="nowrap">{on}</th><td>{kind}</td><td>{r.done_by.clone()}{by}</td><td><span class="said">{r.outcome.clone()}</span>{withdrawn}</td></tr>
            }
        })
        .collect_view();
    let head = view! { {th("Done on", "")}{th("Review", "")}{th("By", "")}{th("Outcome", "")} };
    panel(
        "history",
        "What was found",
        Some("the newest first".to_owned()),
        None,
        table("Reviews that were done", "table--top", head.into_any(), list.into_any()).into_any(),
    )
    .into_any()
}

/// Exemptions, the newest first; nothing where there never was one.
pub fn exemptions(rows: &[ExemptionRow]) -> AnyView {
    if rows.is_empty() {
        return ().into_any();
    }
    let list = rows
        .iter()
        .map(|e| {
            let kind = e.kind().map_or("Review", title);
            let until = e.until_on().map_or_else(|_| e.until_on.clone().into_any(), civil);
            let ended = e.ended_by.as_ref().map(|by| view! { <span class="sub">{format!("ended before by {by}")}</span> });
            view! { <tr><th scope="row" class="nowrap">{until}{ended}</th><td>{kind}</td><td>{e.actor.clone()}</td><td><span class="said">{e.reason.clone()}</span></td></tr> }
        })
        .collect_view();
    let head = view! { {th("Until", "")}{th("Review", "")}{th("By", "")}{th("Reason", "")} };
    panel("exemptions", "Exemptions", Some("the newest first".to_owned()), None, table("Exemptions", "table--top", head.into_any(), list.into_any()).into_any())
        .into_any()
}
