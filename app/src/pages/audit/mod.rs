//! The audit trail: who changed what, when and from where, and whether the chain is whole.
//!
//! Lives here: `/audit` with its filters and the table. Beside it: `change`, which shows before and after.
//! May not: rules, the chain's arithmetic.

mod change;

use domain::units::{Timestamp, count};
use jiff::{civil::Date, tz::TimeZone};
use leptos::prelude::*;
use ops::audit::{Broken, EventRow, Filter, Head};

use crate::{
    components::{
        address::{Query, with_query},
        empty, icon,
        pager::pager,
        table::{table, th},
        time::{full, moment_with_age, relative},
    },
    context::{app, ctx, query},
    error::upper,
    frame::{Nav, Page, page},
};

/// Events a page.
const ON_A_PAGE: i64 = 50;
/// The fields of the filter, by their names in the address.
const FIELDS: [&str; 6] = ["actor", "action", "entity", "id", "since", "until"];

/// `/audit?actor=&action=&entity=&id=&since=&until=&before=&verify=1`.
#[component]
pub fn Audit() -> impl IntoView {
    let (ctx, shared, query) = (ctx(), app(), query());
    page(async move {
        let (filter, wrong) = read(&query, &shared.zone);
        let before = query.get("before").and_then(|b| b.parse().ok());
        let head = ops::audit::head(&ctx).await?;
        let proof = match query.get("verify") {
            Some(_) => Some(ops::audit::verify(&ctx).await?),
            None => None,
        };
        let mut rows = ops::audit::list(&ctx, &filter, before, ON_A_PAGE + 1).await?;
        let (now, zone) = (ctx.now(), &shared.zone);
        let more = rows.len() as i64 > ON_A_PAGE;
        rows.truncate(ON_A_PAGE as usize);
        let here = |before: &str| {
            let mut pairs: Vec<(&str, String)> = FIELDS.iter().map(|f| (*f, query.get(f).unwrap_or_default())).collect();
            pairs.push(("before", before.to_owned()));
            with_query("/audit", &pairs.iter().map(|(k, v)| (*k, v.as_str())).collect::<Vec<_>>())
        };
        let older = rows.last().filter(|_| more).map(|r| ("Older", here(&r.seq.to_string())));
        let filtered = filter != Filter::default() || wrong.is_some();
        let list = if rows.is_empty() { nothing(filtered) } else { events(&rows, now, zone) };
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Audit"</h1>
                <p class="page__lede">"Who changed what, when and from where. Each event carries the hash of the one before: what is changed, removed or cut off later is found."</p></div>
                <div class="row"><a class="btn btn--primary" href="/audit?verify=1">"Verify the chain"</a>
                    <a class="btn" href="/api/v1/audit/export?format=json" download>{icon("i-down")}"JSON"</a>
                    <a class="btn" href="/api/v1/audit/export?format=csv" download>{icon("i-down")}"CSV"</a></div></div>
            <div class="stack">
                {chain(head, proof.as_ref(), now, zone)}
                {wrong.map(|w| view! { <div class="callout callout--warn" role="alert">{icon("i-warn")}<b>"The filter is not understood"</b><div>{w}</div></div> })}
                <section class="panel" aria-label="Events">{form(&query, filtered)}{list}
                    {pager(before.map(|_| ("Newest", here(""))), older.as_ref().map(|(w, href)| (*w, href.clone())))}</section>
            </div>
        };
        Ok(Page { title: "Audit".to_owned(), nav: Nav::Audit, crumbs: vec![("Home".to_owned(), "/".to_owned())], body: body.into_any() })
    })
}

/// The filter of the address; days are whole days of the pages' zone, the last one included.
fn read(query: &Query, zone: &TimeZone) -> (Filter, Option<String>) {
    let text = |name: &str| query.get(name).map(|v| v.trim().to_owned()).unwrap_or_default();
    let mut wrong = None;
    let mut day = |name: &str, after: bool| {
        let text = text(name);
        if text.is_empty() {
            return None;
        }
        let start = text.parse::<Date>().ok().and_then(|d| if after { d.tomorrow().ok() } else { Some(d) }).and_then(|d| d.to_zoned(zone.clone()).ok());
        if start.is_none() {
            wrong = Some(format!("“{text}” is no day; write it as 2021-02-26."));
        }
        start.map(|z| Timestamp(z.timestamp().as_microsecond()))
    };
    let (since, until) = (day("since", false), day("until", true));
    (Filter { actor: text("actor"), action: text("action"), entity: text("entity"), entity_id: text("id"), since, until }, wrong)
}

/// How far the chain goes, and whether it was found to be whole just now.
fn chain(head: Head, proof: Option<&Result<i64, Broken>>, now: Timestamp, zone: &TimeZone) -> AnyView {
    let last = head.at.map(|at| format!("last link {}, {}", full(at, zone), relative(at, now))).unwrap_or_default();
    match proof {
        Some(Ok(n)) => view! {
            <div class="callout callout--ok" role="status">{icon("i-ok")}<b>"The chain is intact"</b><div>{format!("All {} events are as they were written; {last}.", count(*n))}</div></div>
        }
        .into_any(),
        Some(Err(broken)) => view! {
            <div class="callout callout--fail" role="alert">{icon("i-fail")}<b>"The chain is broken"</b>
                <div>{upper(&format!("{broken}. The {} events before it are intact. Somebody has changed the database by hand: compare it with an export or with a copy of Holdfast from before.", count(broken.seq - 1)))}</div></div>
        }
        .into_any(),
        None if head.events == 0 => ().into_any(),
        None => view! { <p class="sm soft">{format!("{} events, {last}.", count(head.events))}</p> }.into_any(),
    }
}

fn form(query: &Query, filtered: bool) -> AnyView {
    let field = |name: &'static str, label: &'static str, kind: &'static str, hint: &'static str| {
        let id = format!("f-{name}");
        view! { <div class="field"><label for=id.clone()>{label}</label>
        <input class="input input--sm" id=id name=name type=kind placeholder=hint value=query.get(name).unwrap_or_default()/></div> }
    };
    view! {
        <form class="filters" method="get" action="/audit" aria-label="Filter the events">
            {field("actor", "Who", "search", "shell")}{field("action", "Action", "search", "run.start")}{field("entity", "Of what", "search", "service")}
            {field("id", "Which", "search", "its id or name")}{field("since", "From", "date", "")}{field("until", "To", "date", "")}
            <button class="btn btn--sm">"Apply"</button>
            {filtered.then(|| view! { <a class="btn btn--sm btn--quiet" href="/audit">"Clear"</a> })}
        </form>
    }
    .into_any()
}

fn nothing(filtered: bool) -> AnyView {
    let all = filtered.then(|| view! { <a class="btn" href="/audit">"Show all events"</a> }.into_any());
    let why = if filtered { "Nobody has done that." } else { "The first change is written here as it is made." };
    empty("No events", why.into_any(), all).into_any()
}

fn events(rows: &[EventRow], now: Timestamp, zone: &TimeZone) -> AnyView {
    let body = rows
        .iter()
        .map(|e| {
            let by_actor = with_query("/audit", &[("actor", &e.actor)]);
            let by_thing = with_query("/audit", &[("entity", &e.entity), ("id", &e.entity_id)]);
            view! {
                <tr id=format!("e{}", e.seq)><th scope="row" class="nowrap">{moment_with_age(Timestamp(e.at), now, zone)}</th>
                    <td><a href=by_actor>{e.actor.clone()}</a><span class="sub">{format!("from {}", e.origin)}</span></td>
                    <td><b>{e.action.clone()}</b><span class="sub path"><a href=by_thing>{format!("{} {}", e.entity, e.entity_id)}</a></span></td>
                    <td class="why">{change::change(e)}</td>
                    <td class="num col-lo">{e.seq}<span class="sub mono" title=e.hash.clone()>{e.hash.chars().take(8).collect::<String>()}</span></td></tr>
            }
        })
        .collect_view();
    let head = view! { {th("When", "")}{th("Who", "")}{th("What", "")}{th("Change", "")}{th("Link", "num col-lo")} };
    table("Events, the newest first", "table--tight", head.into_any(), body.into_any()).into_any()
}
