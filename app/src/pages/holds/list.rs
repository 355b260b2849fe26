//! All holds: those that stand first, what was measured and the decisions to take, then the history.

use domain::{id::HoldId, units::Timestamp};
use jiff::tz::TimeZone;
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_query_map;
use ops::{
    holds::Hold,
    permission::{Action, On, allowed},
};
use store::{holds::Filter, services::ServiceRow};

use super::{
    act::PlaceHold,
    card::{card, subject},
    sign::state_chip,
};
use crate::{
    components::{
        address::with_query,
        dialog::dialog,
        empty,
        pager::{key, pager, parse_key},
        panel,
        table::{table, th},
        time::{moment_with_age, short},
    },
    context::{app, ctx},
    error::{form_error, upper},
    frame::{Nav, Page, page},
    pages::services::act::refused,
};

/// Holds that are shown in full, and rows of the history on a page.
const CARDS: i64 = 25;
const ROWS: i64 = 50;
const STATES: [(&str, &str); 4] = [("", "Standing, then ended"), ("undecided", "Waiting for a decision"), ("standing", "Standing"), ("ended", "Ended")];
const KINDS: [(&str, &str); 3] = [("", "All"), ("guard", "The guard's"), ("person", "People's")];

/// `/holds?state=&kind=&service=&before=`.
#[component]
pub fn Holds() -> impl IntoView {
    let (ctx, shared, query, error) = (ctx(), app(), use_query_map().get_untracked(), form_error());
    page(async move {
        let text = |name: &str| query.get(name).unwrap_or_default().trim().to_owned();
        let known = |all: &[(&str, &str)], text: String| if all.iter().any(|(name, _)| *name == text) { text } else { String::new() };
        let filter = Filter { service: text("service"), kind: known(&KINDS, text("kind")), state: known(&STATES, text("state")) };
        let before = text("before");
        let may = allowed(&ctx.actor, Action::Hold, On::Any);
        let with = |state: &str| Filter { state: state.to_owned(), ..filter.clone() };
        let standing = match filter.state.as_str() {
            "ended" => Vec::new(),
            _ if !before.is_empty() => Vec::new(),
            "undecided" => ops::holds::list(&ctx, &with("undecided"), None, CARDS + 1).await?,
            _ => ops::holds::list(&ctx, &with("standing"), None, CARDS + 1).await?,
        };
        let mut ended = match filter.state.as_str() {
            "" | "ended" => ops::holds::list(&ctx, &with("ended"), parse_key(&before).map(|(at, id)| (at, HoldId(id))), ROWS + 1).await?,
            _ => Vec::new(),
        };
        let more = ended.len() as i64 > ROWS;
        ended.truncate(ROWS as usize);
        let services = ops::services::list(&ctx, "", "", 500).await?;
        let (now, zone) = (ctx.now(), &shared.zone);
        let here = |before: &str| with_query("/holds", &[("state", &filter.state), ("kind", &filter.kind), ("service", &filter.service), ("before", before)]);
        let older = ended.last().filter(|_| more).map(|h| {
            let row = h.row();
            (format!("Older than {}", short(Timestamp(row.created_at), now, zone)), here(&key(row.created_at, row.id)))
        });
        let pages = pager((!before.is_empty()).then(|| ("Newest", here(""))), older.as_ref().map(|(words, href)| (words.as_str(), href.clone())));
        let filtered = filter != Filter::default();
        let nothing = (standing.is_empty() && ended.is_empty()).then(|| nothing(filtered));
        let calm = (standing.is_empty() && !ended.is_empty() && before.is_empty() && filter.state != "ended")
            .then(|| view! { <section class="panel"><p class="panel__body soft">"No hold stands: forgetting and prunes follow the policies."</p></section> });
        let rest = (standing.len() as i64 > CARDS)
            .then(|| view! { <p class="soft sm">{format!("The newest {CARDS} are shown; narrow them down by service or kind.")}</p> });
        let place = may.then(|| view! { <div class="row"><a class="btn" href="#place-hold">"Place a hold"</a></div> });
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Holds"</h1>
                <p class="page__lede">"While a hold stands, nothing that it covers is forgotten. What the guard puts on hold changed more than is usual; prunes of its repository pause until a person has decided."</p></div>{place}</div>
            {error.as_ref().map(refused)}
            <div class="stack">
                <section class="panel" aria-label="Filter">{filters(&filter, &services, filtered)}{nothing}</section>
                {calm}
                {standing.iter().take(CARDS as usize).map(|h| card(h, may, now, zone)).collect_view()}
                {rest}
                {(!ended.is_empty()).then(|| history(&ended, pages, now, zone))}
            </div>
            {may.then(|| place_dialog(&services, &filter.service))}
        };
        let crumbs = vec![("Home".to_owned(), "/".to_owned())];
        Ok(Page { title: "Holds".to_owned(), nav: Nav::Holds, crumbs, body: body.into_any() })
    })
}

fn filters(filter: &Filter, services: &[ServiceRow], filtered: bool) -> AnyView {
    let options = |all: &[(&'static str, &'static str)], chosen: &str| {
        all.iter().map(|(name, words)| view! { <option value=*name selected=*name == chosen>{*words}</option> }).collect_view()
    };
    view! {
        <form class="filters" method="get" action="/holds" aria-label="Filter the holds">
            <div class="field"><label for="f-state">"State"</label><select class="select input--sm" id="f-state" name="state">{options(&STATES, &filter.state)}</select></div>
            <div class="field"><label for="f-kind">"Placed by"</label><select class="select input--sm" id="f-kind" name="kind">{options(&KINDS, &filter.kind)}</select></div>
            <div class="field"><label for="f-service">"Service"</label><select class="select input--sm" id="f-service" name="service"><option value="">"All services"</option>
                {service_options(services, &filter.service)}</select></div>
            <button class="btn btn--sm">"Apply"</button>
            {filtered.then(|| view! { <a class="btn btn--sm btn--quiet" href="/holds">"Clear"</a> })}
        </form>
    }
    .into_any()
}

fn service_options(services: &[ServiceRow], chosen: &str) -> AnyView {
    services.iter().map(|s| view! { <option value=s.name.clone() selected=s.name == chosen>{s.title.clone()}</option> }).collect_view().into_any()
}

fn nothing(filtered: bool) -> AnyView {
    if filtered {
        let clear = view! { <a class="btn" href="/holds">"Show all holds"</a> }.into_any();
        return empty("No hold like that", "No hold has this state, kind and service.".into_any(), Some(clear)).into_any();
    }
    let why = "Nothing has changed more than is usual, and nobody has asked for anything to be kept. The guard compares each snapshot with its item's history.";
    empty("Nothing is on hold", why.into_any(), None).into_any()
}

fn history(ended: &[Hold], pages: AnyView, now: Timestamp, zone: &TimeZone) -> AnyView {
    let rows = ended
        .iter()
        .map(|h| {
            let row = h.row();
            let decision = if row.kept_at.is_some() { "kept, then released" } else { "released" };
            view! {
                <tr><th scope="row"><a class="rowlink" href=format!("/holds/{}", row.id)>{subject(h)}</a><span class="sub clip">{upper(&row.reason)}</span></th>
                    <td class="col-md">{h.listed.service_title.clone()}</td>
                    <td class="nowrap col-md">{moment_with_age(Timestamp(row.created_at), now, zone)}</td>
                    <td class="nowrap">{row.released_at.map(|at| moment_with_age(Timestamp(at), now, zone))}</td>
                    <td class="col-lo">{format!("{decision} by {}", row.released_by.clone().unwrap_or_default())}<span class="sub clip">{row.release_reason.clone()}</span></td>
                    <td>{state_chip(h.state())}</td></tr>
            }
        })
        .collect_view();
    let head = view! { {th("Over", "")}{th("Service", "col-md")}{th("Placed", "col-md")}{th("Ended", "")}{th("Decision", "col-lo")}{th("State", "")} };
    let body = view! { {table("Holds that have ended", "table--tight", head.into_any(), rows.into_any())}{pages} };
    panel("history", "History", Some("the newest first".to_owned()), None, body.into_any()).into_any()
}

fn place_dialog(services: &[ServiceRow], chosen: &str) -> AnyView {
    let body = view! {
        <p>"Nothing of it is forgotten until you release the hold, whatever its policy says. Backups, restores and prunes go on."</p>
        <form action=PlaceHold::url() method="post" id="place-hold-form">
            <div class="field"><label for="place-service">"Service"</label><select class="select" id="place-service" name="service">{service_options(services, chosen)}</select></div>
            <div class="field"><label for="place-item">"Item (optional)"</label><input class="input" id="place-item" name="item" autocomplete="off" aria-describedby="place-item-h"/>
                <p class="field__hint" id="place-item-h">"Its name, such as alice; all items of the service where it is empty. To hold one snapshot, open it."</p></div>
            <div class="field"><label for="place-reason">"Reason"</label><input class="input" id="place-reason" name="reason" maxlength="500" required autocomplete="off"/></div>
        </form>
    };
    let button = view! { <button class="btn btn--primary" form="place-hold-form">"Place the hold"</button> };
    dialog("place-hold", "Place a hold", "Leave it", body.into_any(), button.into_any())
}

/// The dialog that holds one snapshot, on that snapshot's page.
pub fn snapshot_dialog(snapshot: uuid::Uuid) -> AnyView {
    let body = view! {
        <p>"This snapshot is not forgotten until you release the hold, whatever its policy says."</p>
        <form action=PlaceHold::url() method="post" id="hold-snapshot-form">
            <input type="hidden" name="snapshot" value=snapshot.to_string()/>
            <div class="field"><label for="hold-snapshot-reason">"Reason"</label><input class="input" id="hold-snapshot-reason" name="reason" maxlength="500" required autocomplete="off"/></div>
        </form>
    };
    let button = view! { <button class="btn btn--primary" form="hold-snapshot-form">"Hold this snapshot"</button> };
    dialog("hold-snapshot", "Hold this snapshot", "Leave it", body.into_any(), button.into_any())
}
