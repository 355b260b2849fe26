//! What is wrong and what was: open alerts in the order of gravity, all of them by time.

use domain::{id::AlertId, units::Timestamp};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use ops::alerts::Which;
use store::alerts::AlertRow;

use super::head::{Tab, tab};
use crate::{
    components::{
        address::with_query,
        alert::{alert_chip, alert_text},
        empty,
        pager::{key, pager, parse_key},
        table::{table, th},
        time::{moment_with_age, short},
    },
    context::{app, ctx},
    error::form_error,
    frame::page,
};

const ON_A_PAGE: i64 = 50;

/// `/notifications/alerts?show=&service=&before=`. Without a filter: what is open, the gravest first.
#[component]
pub fn Alerts() -> impl IntoView {
    let (ctx, shared, query, error) = (ctx(), app(), use_query_map().get_untracked(), form_error());
    page(async move {
        let text = |name: &str| query.get(name).unwrap_or_default().trim().to_owned();
        let (show, service, before) = (text("show"), text("service"), text("before"));
        let which = match show.as_str() {
            "all" => Which::All,
            "over" => Which::Resolved,
            _ => Which::Open,
        };
        let now = ctx.now();
        let ranked = which == Which::Open && service.is_empty() && before.is_empty();
        let mut found = if ranked {
            ops::alerts::open(&ctx).await?
        } else {
            let from = parse_key(&before).map(|(at, id)| (at, AlertId(id)));
            ops::alerts::list(&ctx, which, Some(&service), from, ON_A_PAGE + 1).await?
        };
        let more = !ranked && found.len() as i64 > ON_A_PAGE;
        found.truncate(if ranked { 500 } else { ON_A_PAGE as usize });
        let here = |before: &str| with_query("/notifications/alerts", &[("show", &show), ("service", &service), ("before", before)]);
        let older = found
            .last()
            .filter(|_| more)
            .map(|a| (format!("Opened before {}", short(Timestamp(a.opened_at), now, &shared.zone)), here(&key(a.opened_at, a.id))));
        let pages = pager((!before.is_empty()).then(|| ("Newest", here(""))), older.as_ref().map(|(words, href)| (words.as_str(), href.clone())));
        let options = [("", "Open"), ("over", "Over"), ("all", "Open and over")]
            .map(|(value, words)| view! { <option value=value selected=value == show>{words}</option> });
        let list = if found.is_empty() {
            let why = if which == Which::Open { "Nothing that Holdfast watches is wrong." } else { "No alert like that." };
            empty("No alert", why.into_any(), None).into_any()
        } else {
            let head = view! { {th("What is wrong", "")}{th("Since", "")}{th("Until", "col-md")} };
            let rows = found.iter().map(|a| row(a, now, &shared.zone)).collect_view();
            table("Alerts", "table--top", head.into_any(), rows.into_any()).into_any()
        };
        let content = view! {
            <div class="stack"><section class="panel" aria-label="Alerts">
                <form class="filters" method="get" action="/notifications/alerts" aria-label="Filter the alerts">
                    <div class="field"><label for="f-show">"Show"</label><select class="select input--sm" id="f-show" name="show">{options.collect_view()}</select></div>
                    <div class="field"><label for="f-service">"Service"</label><input class="input input--sm" id="f-service" name="service" type="search" placeholder="Its name" value=service.clone()/></div>
                    <button class="btn btn--sm">"Apply"</button>
                </form>
                {list}{pages}
            </section></div>
        };
        Ok(tab(Tab::Alerts, error.as_ref(), content.into_any()))
    })
}

fn row(a: &AlertRow, now: Timestamp, zone: &jiff::tz::TimeZone) -> AnyView {
    let known = a.acknowledged_by.as_ref().map(|by| view! { <span class="sub">{format!("Known to {by}")}</span> });
    let until =
        a.resolved_at.map_or_else(|| view! { <span class="muted">"still"</span> }.into_any(), |at| moment_with_age(Timestamp(at), now, zone).into_any());
    view! {
        <tr><th scope="row"><a class="rowlink" href=format!("/notifications/alerts/{}", a.id)>{a.title.clone()}</a>" "{alert_chip(a)}<span class="sub wrap">{alert_text(a, now)}</span>{known}</th>
            <td class="nowrap">{moment_with_age(Timestamp(a.opened_at), now, zone)}</td><td class="nowrap col-md">{until}</td></tr>
    }
    .into_any()
}
