//! The search of the top bar: services, people, items, snapshots and runs.
//!
//! Lives here: the page. May not: ranking.

use domain::units::{Timestamp, count};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use ops::search::MOST;

use super::{
    people::list::people_table,
    snapshots::parts::{place, short_id, subject},
};
use crate::{
    components::{
        address::with_query,
        empty, panel,
        run::state_chip_of,
        standing::standing_chip,
        table::{table, th},
        time::moment_with_age,
    },
    context::{app, ctx},
    frame::{Nav, Page, page},
};

#[component]
pub fn Search() -> impl IntoView {
    let (ctx, shared, query) = (ctx(), app(), use_query_map().get_untracked());
    page(async move {
        let q = query.get("q").unwrap_or_default().trim().to_owned();
        let found = ops::search::find(&ctx, &q, MOST).await?;
        let now = ctx.now();
        let services = (!found.services.is_empty()).then(|| {
            let rows = found
                .services
                .iter()
                .map(|s| {
                    let judged = ops::overview::judge(s.clone(), None, now);
                    view! {
                        <tr><th scope="row"><a class="rowlink" href=format!("/services/{}", s.name)>{s.title.clone()}</a><span class="sub">{s.owner.clone()}</span></th>
                            <td>{standing_chip(judged.worst())}</td><td class="col-md"><a href=format!("/services/{}/snapshots", s.name)>"Snapshots"</a></td>
                            <td class="col-md"><a href=format!("/runs?service={}", s.name)>"Runs"</a></td></tr>
                    }
                })
                .collect_view();
            let head = view! { {th("Service", "")}{th("Now", "")}{th("Data", "col-md")}{th("Runs", "col-md")} };
            panel("services", "Services", Some(words(found.services.len())), None, table("Services found", "table--tight", head.into_any(), rows.into_any()).into_any())
        });
        let people = (!found.people.is_empty()).then(|| {
            let more = found.people_total > found.people.len() as i64;
            let end = more.then(|| view! { <a class="btn btn--quiet btn--sm" href=with_query("/people", &[("q", &q)])>"All that match"</a> }.into_any());
            let note = if more { format!("the first {} of {}", found.people.len(), count(found.people_total)) } else { words(found.people.len()) };
            panel("people", "People", Some(note), end, people_table("People found", &found.people, now, &shared.zone))
        });
        let items = (!found.items.is_empty()).then(|| {
            let rows = found
                .items
                .iter()
                .map(|i| {
                    let href = with_query("/snapshots", &[("service", &i.service), ("item", &i.name)]);
                    view! {
                        <tr><th scope="row"><a class="rowlink" href=href>{i.name.clone()}</a></th>
                            <td><a href=format!("/services/{}", i.service)>{i.service_title.clone()}</a><span class="sub">{i.source.clone()}</span></td>
                            <td class="col-md">{i.last_snapshot_at.map_or_else(|| "no data".into_any(), |at| moment_with_age(Timestamp(at), now, &shared.zone).into_any())}</td></tr>
                    }
                })
                .collect_view();
            let head = view! { {th("Item", "")}{th("Service and source", "")}{th("Newest snapshot", "col-md")} };
            panel("items", "Items", Some(words(found.items.len())), None, table("Items found", "table--tight", head.into_any(), rows.into_any()).into_any())
        });
        let snapshots = (!found.snapshots.is_empty()).then(|| {
            let rows = found
                .snapshots
                .iter()
                .map(|s| {
                    view! {
                        <tr><th scope="row"><a class="rowlink hash" href=place(s.row.id, &[])>{short_id(&s.row.restic_id)}</a></th>
                            <td>{s.service_title.clone().unwrap_or_else(|| "no service".to_owned())}<span class="sub">{subject(s)}</span></td>
                            <td class="col-md">{moment_with_age(Timestamp(s.row.taken_at), now, &shared.zone)}</td></tr>
                    }
                })
                .collect_view();
            let head = view! { {th("Snapshot", "")}{th("Service and item", "")}{th("Taken", "col-md")} };
            let body = table("Snapshots found", "table--tight", head.into_any(), rows.into_any());
            panel("snapshots", "Snapshots", Some(words(found.snapshots.len())), None, body.into_any())
        });
        let runs = (!found.runs.is_empty()).then(|| {
            let rows = found
                .runs
                .iter()
                .map(|r| {
                    view! {
                        <tr><th scope="row"><a class="rowlink" href=format!("/runs/{}", r.run.id)>{r.run.title.clone()}</a><span class="sub hash">{r.run.id.to_string()}</span></th>
                            <td>{state_chip_of(&r.run.state)}</td><td class="col-md">{moment_with_age(Timestamp(r.run.queued_at), now, &shared.zone)}</td></tr>
                    }
                })
                .collect_view();
            let head = view! { {th("Run", "")}{th("State", "")}{th("Queued", "col-md")} };
            panel("runs", "Runs", Some(words(found.runs.len())), None, table("Runs found", "table--tight", head.into_any(), rows.into_any()).into_any())
        });
        let none = found.is_empty().then(|| {
            let (title, why) = if q.is_empty() {
                (
                    "Search for something",
                    "The name of a service or its owner, of a person or an item, or the beginning of the id of a snapshot or a run.".to_owned(),
                )
            } else {
                ("Nothing found", format!("Nothing matches “{q}”. A part of a name is enough; of an id the first four digits."))
            };
            view! { <section class="panel" aria-label="Result">{empty(title, why.into_any(), None)}</section> }
        });
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">{if q.is_empty() { "Search".to_owned() } else { format!("Search for “{q}”") }}</h1></div></div>
            <div class="stack">
                <section class="panel" aria-label="Search again"><form class="filters" role="search" aria-label="Services, people, items, snapshots and runs" method="get" action="/search">
                    <div class="field"><label for="sq">"Name, or the beginning of an id"</label><input class="input" id="sq" name="q" type="search" value=q/></div>
                    <button class="btn btn--primary">"Search"</button>
                </form></section>
                {none}{services}{people}{items}{snapshots}{runs}
            </div>
        };
        Ok(Page { title: "Search".to_owned(), nav: Nav::Home, crumbs: vec![("Home".to_owned(), "/".to_owned())], body: body.into_any() })
    })
}

fn words(n: usize) -> String {
    format!("{n} found")
}
