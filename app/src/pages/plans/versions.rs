//! All versions of a plan, and what happened to each.

use domain::{plan::Event, units::Timestamp};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use ops::plans::{self, story};

use super::signs::{below, href, state_chip};
use crate::{
    components::{
        empty, panel,
        table::{table, th},
        time::{full, moment_with_age},
    },
    context::{app, ctx},
    error::upper,
    frame::page,
};

/// `/services/:name/plan/versions`.
#[component]
pub fn PlanVersions() -> impl IntoView {
    let (ctx, shared, params) = (ctx(), app(), use_params_map().get_untracked());
    page(async move {
        let name = params.get("name").unwrap_or_default();
        let plan = plans::find(&ctx, &name).await?;
        let all = plans::versions(&ctx, &name).await?;
        let (now, zone) = (ctx.now(), &shared.zone);
        let rows = all.iter().enumerate().map(|(n, v)| {
            let story = story(&plan.events, v.number).into_iter().map(|(kind, e)| {
                let words = match kind {
                    Event::Signed => format!("signed as {}", e.note),
                    _ if e.note.is_empty() => kind.words().to_owned(),
                    _ => format!("{}: {}", kind.words(), e.note),
                };
                view! { <li>{full(Timestamp(e.at), zone)}", "{e.actor.clone()}": "{words}</li> }
            });
            let before = all.get(n + 1).map(|b| {
                let to = href(&name, &format!("/differences?from={}&to={}", b.number, v.number));
                view! { <a href=to>"What changed"<span class="vh">{format!(" from version {} to {}", b.number, v.number)}</span></a> }
            });
            view! {
                <tr><th scope="row"><a class="rowlink" href=href(&name, &format!("?v={}", v.number))>{format!("v{}", v.number)}</a></th><td>{state_chip(v.state())}</td>
                    <td class="nowrap">{moment_with_age(Timestamp(v.updated_at), now, zone)}</td><td class="col-md"><ul class="sm">{story.collect_view()}</ul></td><td>{before}</td></tr>
            }
        });
        let content = if all.is_empty() {
            empty("No versions", "No version of this plan has been approved.".into_any(), None).into_any()
        } else {
            let head = view! { {th("Version", "")}{th("State", "")}{th("Last changed", "")}{th("What happened", "col-md")}{th("Against the one before", "")} };
            table("Versions of the plan, the newest first", "table--top", head.into_any(), rows.collect_view().into_any()).into_any()
        };
        let options = |chosen: Option<i64>| {
            all.iter()
                .map(|v| view! { <option value=v.number.to_string() selected=Some(v.number) == chosen>{upper(&super::signs::words(v))}</option> })
                .collect_view()
        };
        let compare = (all.len() > 1).then(|| {
            let form = view! {
                <form class="panel__body form__row" method="get" action=href(&name, "/differences")>
                    <div class="field"><label for="f-from">"From"</label><select class="select" id="f-from" name="from">{options(all.get(1).map(|v| v.number))}</select></div>
                    <div class="field"><label for="f-to">"To"</label><select class="select" id="f-to" name="to">{options(all.first().map(|v| v.number))}</select></div>
                    <div class="field"><button class="btn">"Compare"</button></div></form>
            };
            panel("compare", "Compare two versions", None, None, form.into_any())
        });
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">{format!("Versions of the plan of {}", plan.service.title)}</h1></div></div>
            <div class="stack"><section class="panel" aria-label="Versions">{content}</section>{compare}</div>
        };
        Ok(below(&plan.service, "Versions", body.into_any()))
    })
}
