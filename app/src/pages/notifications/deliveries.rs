//! All messages, the newest first: by state and channel.

use domain::{id::DeliveryId, units::Timestamp};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use store::deliveries::ListedDelivery;

use super::head::{Tab, event_words, receiver, state_chip, tab};
use crate::{
    components::{
        address::with_query,
        empty,
        pager::{key, pager, parse_key},
        table::{table, th},
        time::{moment_with_age, short},
    },
    context::{app, ctx},
    error::{form_error, upper},
    frame::page,
};

const ON_A_PAGE: i64 = 50;
const STATES: [(&str, &str); 5] = [("", "All states"), ("queued", "Waits"), ("sending", "On its way"), ("sent", "Delivered"), ("failed", "Given up")];

/// `/notifications/deliveries?state=&channel=&before=`.
#[component]
pub fn Deliveries() -> impl IntoView {
    let (ctx, shared, query, error) = (ctx(), app(), use_query_map().get_untracked(), form_error());
    page(async move {
        let text = |name: &str| query.get(name).unwrap_or_default().trim().to_owned();
        let (state, channel, before) = (text("state"), text("channel"), text("before"));
        let state = STATES.iter().map(|(s, _)| *s).find(|s| *s == state).unwrap_or_default();
        let from = parse_key(&before).map(|(at, id)| (at, DeliveryId(id)));
        let mut found = ops::notifications::deliveries::list(&ctx, state, &channel, from, ON_A_PAGE + 1).await?;
        let more = found.len() as i64 > ON_A_PAGE;
        found.truncate(ON_A_PAGE as usize);
        let now = ctx.now();
        let here = |before: &str| with_query("/notifications/deliveries", &[("state", state), ("channel", &channel), ("before", before)]);
        let older = found
            .last()
            .filter(|_| more)
            .map(|d| (format!("Older than {}", short(Timestamp(d.row.created_at), now, &shared.zone)), here(&key(d.row.created_at, d.row.id))));
        let pages = pager((!before.is_empty()).then(|| ("Newest", here(""))), older.as_ref().map(|(words, href)| (words.as_str(), href.clone())));
        let filtered = !state.is_empty() || !channel.is_empty();
        let options = STATES.iter().map(|(value, words)| view! { <option value=*value selected=*value == state>{*words}</option> }).collect_view();
        let content = view! {
            <div class="stack"><section class="panel" aria-label="Deliveries">
                <form class="filters" method="get" action="/notifications/deliveries" aria-label="Filter the deliveries">
                    <div class="field"><label for="f-state">"State"</label><select class="select input--sm" id="f-state" name="state">{options}</select></div>
                    <div class="field"><label for="f-channel">"Channel"</label><input class="input input--sm" id="f-channel" name="channel" type="search" placeholder="Its name" value=channel.clone()/></div>
                    <button class="btn btn--sm">"Apply"</button>
                    {filtered.then(|| view! { <a class="btn btn--sm btn--quiet" href="/notifications/deliveries">"Clear"</a> })}
                </form>
                {rows(&found, now, &shared.zone)}{pages}
            </section></div>
        };
        Ok(tab(Tab::Deliveries, error.as_ref(), content.into_any()))
    })
}

/// A table of messages; empty, it says so.
pub fn rows(found: &[ListedDelivery], now: Timestamp, zone: &TimeZone) -> AnyView {
    if found.is_empty() {
        return empty("No message", "Nothing was sent, or nothing that matches.".into_any(), None).into_any();
    }
    let rows = found
        .iter()
        .map(|d| {
            let m = &d.row.message.0;
            let answer = d.row.answer.clone().filter(|_| d.row.state != "sent").map(|a| view! { <span class="sub clip">{a}</span> });
            view! {
                <tr><th scope="row"><a class="rowlink" href=format!("/notifications/deliveries/{}", d.row.id)>{m.headline.clone()}</a><span class="sub">{upper(event_words(&d.row.event))}</span></th>
                    <td>{state_chip(&d.row.state, d.row.attempts)}{answer}</td><td class="col-md">{receiver(d)}</td>
                    <td class="num col-lo">{d.row.attempts}</td><td class="nowrap">{moment_with_age(Timestamp(d.row.created_at), now, zone)}</td></tr>
            }
        })
        .collect_view();
    let head = view! { {th("Message", "")}{th("State", "")}{th("To", "col-md")}{th("Attempts", "num col-lo")}{th("Made", "")} };
    table("Deliveries", "", head.into_any(), rows.into_any()).into_any()
}
