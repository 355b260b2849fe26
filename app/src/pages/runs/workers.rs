//! The workers: who carries runs out, on which machine, and who of them is alive.

use domain::units::{Timestamp, count};
use leptos::prelude::*;
use ops::workers::Worker;

use crate::{
    components::{
        empty,
        status::{Tone, chip},
        table::{table, th},
        time::moment_with_age,
    },
    context::{app, ctx},
    frame::{Nav, Page, page},
};

/// `/workers`.
#[component]
pub fn Workers() -> impl IntoView {
    let (ctx, shared) = (ctx(), app());
    page(async move {
        let list = ops::workers::list(&ctx).await?;
        let now = ctx.now();
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Workers"</h1>
                <p class="page__lede">{sentence(&list)}</p></div></div>
            <div class="stack"><section class="panel" aria-label="Workers">{if list.is_empty() { nothing() } else {
                let head = view! {
                    {th("Worker", "")}{th("State", "")}{th("Runs", "num")}{th("Host", "col-md")}{th("Since", "col-lo")}{th("Last seen", "")}{th("Version", "col-lo")}
                };
                let rows = list.iter().map(|w| row(w, now, &shared.zone)).collect_view();
                table("Workers", "", head.into_any(), rows.into_any()).into_any()
            }}</section></div>
        };
        Ok(Page {
            title: "Workers".to_owned(),
            nav: Nav::Runs,
            crumbs: vec![("Home".to_owned(), "/".to_owned()), ("Runs".to_owned(), "/runs".to_owned())],
            body: body.into_any(),
        })
    })
}

fn sentence(list: &[Worker]) -> String {
    let alive: Vec<&Worker> = list.iter().filter(|w| w.is_alive).collect();
    let (slots, running) = (alive.iter().map(|w| w.row.slots).sum::<i64>(), list.iter().map(|w| w.running).sum::<i64>());
    let silent = list.len() - alive.len();
    let who = match alive.len() {
        0 => return "No worker is alive: runs wait until one is.".to_owned(),
        1 => "One worker is alive".to_owned(),
        n => format!("{n} workers are alive"),
    };
    let gone = match silent {
        0 => String::new(),
        1 => " One is silent; what it held is taken over by the others.".to_owned(),
        n => format!(" {n} are silent; what they held is taken over by the others."),
    };
    format!("{who} and can carry out {} runs at a time; {} are under way.{gone}", count(slots), count(running))
}

fn nothing() -> AnyView {
    let why = view! { "Every run waits. "<code>"holdfast serve"</code>" carries runs out by itself unless it was started with "<code>"--max-parallel 0"</code>
    "; then "<code>"holdfast worker"</code>" does." };
    empty("No worker is there", why.into_any(), Some(view! { <a class="btn" href="/runs">"See the runs"</a> }.into_any())).into_any()
}

fn row(w: &Worker, now: Timestamp, zone: &jiff::tz::TimeZone) -> AnyView {
    // `host@namespace`: people know the host.
    let host = w.row.host.split('@').next().unwrap_or_default().to_owned();
    let state = if w.is_alive { chip(Tone::Ok, "alive") } else { chip(Tone::Warn, "silent") };
    view! {
        <tr>
            <th scope="row">{w.row.name.clone()}</th>
            <td>{state}</td>
            <td class="num nowrap">{format!("{} of {}", w.running, w.row.slots)}</td>
            <td class="col-md mono">{host}</td>
            <td class="col-lo nowrap">{moment_with_age(Timestamp(w.row.started_at), now, zone)}</td>
            <td class="nowrap">{moment_with_age(Timestamp(w.row.seen_at), now, zone)}</td>
            <td class="col-lo">{w.row.version.clone()}</td>
        </tr>
    }
    .into_any()
}
