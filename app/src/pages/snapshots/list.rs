//! All snapshots: by day, filtered, two of them to be compared.

use domain::units::{Timestamp, count, size};
use leptos::prelude::*;
use ops::snapshots::Filter;
use store::snapshots::ListedSnapshot;

use super::parts::{in_cloud, level, place, short_id, state_sign, subject};
use crate::{
    components::{
        address::with_query,
        empty,
        evidence::ladder,
        icon,
        pager::{key, pager, parse_key},
        service_field::service_field,
        table::th,
        time,
    },
    context::{AppContext, app, ctx, query},
    frame::{Nav, Page, page},
    pages::holds::sign::doubt_chip,
};

const ROWS: usize = 50;

#[component]
pub fn Snapshots() -> impl IntoView {
    let (ctx, shared, query) = (ctx(), app(), query());
    page(async move {
        let given = |name: &str| query.get(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        let filter = Filter { service: given("service"), item: given("item"), person: given("person"), q: given("q") };
        let before = given("before");
        let at = before.as_deref().and_then(parse_key).map(|(at, id)| (at, domain::id::SnapshotId(id)));
        let mut found = ops::snapshots::page(&ctx, &filter, at, ROWS as i64 + 1).await?;
        let overview = shared.overview.get(&ctx, &shared.zone).await?;
        let more = found.len() > ROWS;
        found.truncate(ROWS);
        let now = ctx.now();
        let next = found.last().filter(|_| more).map(|s| (s.row.taken_at, s.row.id));
        let href = |before: &str| {
            let part = |v: &Option<String>| v.clone().unwrap_or_default();
            let (service, item, person, q) = (part(&filter.service), part(&filter.item), part(&filter.person), part(&filter.q));
            with_query("/snapshots", &[("service", &service), ("item", &item), ("person", &person), ("q", &q), ("before", before)])
        };
        let older = next.map(|(at, id)| (format!("Older than {}", time::short(Timestamp(at), now, &shared.zone)), href(&key(at, id))));
        let pages = pager(at.map(|_| ("Newest", href(""))), older.as_ref().map(|(words, href)| (words.as_str(), href.clone())));
        let filtered = filter != Filter::default();
        let content = if found.is_empty() {
            nothing(filtered || at.is_some())
        } else {
            view! {
                <div class="panel__foot row row--between"><span>{shown(found.len(), more)}</span>
                    <form id="cmp" action="/snapshots/compare" method="get"><button class="btn btn--sm">"Compare the two chosen"</button></form></div>
                {days(&found, now, &shared)}
                {pages}
            }
            .into_any()
        };
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Snapshots"</h1>
                <p class="page__lede">"Every snapshot in every repository. The filters live in the address, so a view can be sent to a colleague."</p></div></div>
            <section class="panel" aria-label="Snapshots">{filters(&filter, &overview, filtered)}{content}</section>
        };
        Ok(Page { title: "Snapshots".to_owned(), nav: Nav::Snapshots, crumbs: vec![("Home".to_owned(), "/".to_owned())], body: body.into_any() })
    })
}

fn shown(rows: usize, more: bool) -> String {
    match (rows, more) {
        (n, true) => format!("{n} snapshots on this page. Tick two to compare them."),
        (1, false) => "1 snapshot.".to_owned(),
        (n, false) => format!("{n} snapshots. Tick two to compare them."),
    }
}

fn filters(filter: &Filter, overview: &ops::overview::Overview, filtered: bool) -> AnyView {
    // A link from another page may have set these two; the form keeps them until they are cleared.
    let kept = [("item", &filter.item, "Item"), ("person", &filter.person, "Person")].map(|(name, value, label)| {
        let id = format!("f-{name}");
        value.clone().map(|v| {
            view! {
                <div class="field"><label for=id.clone()>{label}</label><input class="input input--sm" id=id name=name value=v/></div>
            }
        })
    });
    view! {
        <form class="filters" method="get" action="/snapshots" aria-label="Filter the snapshots">
            {service_field(overview, filter.service.as_deref())}
            {kept.collect_view()}
            <div class="field"><label for="f-q">"Item or id"</label>
                <input class="input input--sm" id="f-q" name="q" type="search" value=filter.q.clone() placeholder="part of a name, or first digits"/></div>
            <button class="btn btn--sm">"Apply"</button>
            {filtered.then(|| view! { <a class="btn btn--quiet btn--sm" href="/snapshots">"Clear"</a> })}
        </form>
    }
    .into_any()
}

fn nothing(filtered: bool) -> AnyView {
    if filtered {
        let clear = view! { <a class="btn" href="/snapshots">"Show all snapshots"</a> }.into_any();
        return empty("Nothing matches", "No snapshot matches these filters.".into_any(), Some(clear)).into_any();
    }
    let services = view! { <a class="btn" href="/services">"Choose a service to back up"</a> }.into_any();
    empty("No snapshots yet", "A backup makes one snapshot of each item, and they are listed here.".into_any(), Some(services)).into_any()
}

fn days(found: &[ListedSnapshot], now: Timestamp, shared: &AppContext) -> AnyView {
    let day = |s: &ListedSnapshot| time::day(Timestamp(s.row.taken_at), &shared.zone);
    let bodies = found
        .chunk_by(|a, b| day(a) == day(b))
        .map(|rows| {
            let words = if rows.len() == 1 { "1 snapshot here".to_owned() } else { format!("{} snapshots here", rows.len()) };
            let rows_view = rows.iter().map(|s| row(s, now, shared)).collect_view();
            view! { <tbody><tr class="daybar"><th scope="rowgroup" colspan="8">{day(&rows[0])}" "<span>{words}</span></th></tr>{rows_view}</tbody> }
        })
        .collect_view();
    view! {
        <div class="table-wrap" tabindex="0" role="region" aria-label="Snapshots by day, table"><table class="table table--tight">
            <caption class="vh">"Snapshots by day, newest first"</caption>
            <thead><tr><th scope="col"><span class="vh">"Compare"</span></th>{th("Snapshot", "")}{th("Taken", "")}{th("Service and item", "")}
                {th("Added", "num col-md")}{th("Size", "num col-lo")}{th("Files", "num col-lo")}{th("Verified", "col-md")}</tr></thead>
            {bodies}
        </table></div>
    }
    .into_any()
}

/// Since when all of its data is verified.
fn data_words(s: &ListedSnapshot, now: Timestamp) -> String {
    s.row.data_verified_at.map_or_else(|| "data not read yet".to_owned(), |at| format!("data read {}", time::relative(Timestamp(at), now)))
}

fn row(s: &ListedSnapshot, now: Timestamp, shared: &AppContext) -> AnyView {
    let id = short_id(&s.row.restic_id);
    let label = format!("Compare {id}");
    // What stays in a cloud has no files that could be counted, read or compared.
    let files = in_cloud(&s.row).is_none();
    let tick = files
        .then(|| view! { <label><input class="tick" type="checkbox" name="s" value=s.row.id.to_string() form="cmp"/><span class="vh">{label}</span></label> });
    let symbol = if files { "i-user-vol" } else { "i-vm" };
    let or_none = |text: String| if files { text } else { "–".to_owned() };
    let service = s.service_title.clone().unwrap_or_else(|| "no service".to_owned());
    view! {
        <tr>
            <td class="tick-cell">{tick}</td>
            <th scope="row"><a class="rowlink hash" href=place(s.row.id, &[])>{id}</a>{state_sign(s)}{doubt_chip(s)}</th>
            <td class="nowrap">{time::time_of_day(Timestamp(s.row.taken_at), now, &shared.zone)}</td>
            <td>{service}<span class="sub sub--item">{icon(symbol)}<span class="clamp">{subject(s)}</span></span></td>
            <td class="num col-md">{or_none(size(s.row.bytes_added))}</td>
            <td class="num col-lo">{size(s.row.bytes)}</td>
            <td class="num col-lo">{or_none(count(s.row.files))}</td>
            <td class="col-md">{ladder(level(s))}{files.then(|| view! { <span class="sub">{data_words(s, now)}</span> })}</td>
        </tr>
    }
    .into_any()
}
