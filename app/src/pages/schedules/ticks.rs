//! The ledger of what schedules expected: the page of all, and the table that a schedule's page has too.
//!
//! Lives here: words and shapes of ticks. May not: arithmetic on rates.

use domain::{
    id::TickId,
    schedule::{Counts, Missed, ScheduleKind, TickState},
    units::{Timestamp, count, span},
};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use store::ticks::{Filter, TickRow};

use crate::{
    components::{
        address::with_query,
        empty,
        pager::{key, pager, parse_key},
        run::kind_words,
        status::{Tone, chip, chip_with},
        table::{table, th},
        time::{moment_with_age, short},
    },
    context::{app, ctx},
    error::upper,
    frame::{Nav, Page, page},
};

/// Rows a page.
pub const ON_A_PAGE: i64 = 50;
/// Days that the figures look back.
const DAYS: i64 = 30;

/// `/ledger?service=&kind=&state=&before=`.
#[component]
pub fn Ledger() -> impl IntoView {
    let (ctx, shared, query) = (ctx(), app(), use_query_map().get_untracked());
    page(async move {
        let text = |name: &str| query.get(name).unwrap_or_default().trim().to_owned();
        let (kind, state, service, before) = (ScheduleKind::parse(&text("kind")), TickState::parse(&text("state")), text("service"), text("before"));
        let found = if service.is_empty() { None } else { Some(ops::services::find(&ctx, &service).await) };
        let unknown = matches!(found, Some(Err(ops::OpsError::NotFound { .. })));
        let filter = Filter { kind, state, service: found.filter(|_| !unknown).transpose()?.map(|s| s.id()), schedule: None };
        let now = ctx.now();
        let mut rows =
            if unknown { Vec::new() } else { ops::ledger::list(&ctx, filter, parse_key(&before).map(|(at, id)| (at, TickId(id))), ON_A_PAGE + 1).await? };
        let counts = if unknown { Counts::default() } else { ops::ledger::counts(&ctx, filter, now.plus_secs(-DAYS * 86_400)).await? };
        let filtered = kind.is_some() || state.is_some() || !service.is_empty();
        let here = |before: &str| {
            let (kind, state) = (kind.map_or("", ScheduleKind::as_str), state.map_or("", TickState::as_str));
            with_query("/ledger", &[("kind", kind), ("state", state), ("service", &service), ("before", before)])
        };
        let pages = paged(&mut rows, &before, now, &shared.zone, here);
        let list = if rows.is_empty() { nothing(filtered) } else { tick_table(&rows, true, now, &shared.zone) };
        let scope = if filter.service.is_some() { format!("{service}, last {DAYS} days") } else { format!("all schedules, last {DAYS} days") };
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Ledger of expected runs"</h1>
                <p class="page__lede">"Each time of each schedule has a row: its run, or why there was none. A run that never began counts."</p></div></div>
            <div class="stack">
                {figures(&counts, &scope)}
                <section class="panel" aria-label="Ledger">
                <form class="filters" method="get" action="/ledger" aria-label="Filter the ledger">
                    <div class="field"><label for="f-state">"State"</label><select class="select input--sm" id="f-state" name="state">
                        <option value="">"All states"</option>
                        {TickState::ALL.iter().map(|s| view! { <option value=s.as_str() selected=Some(*s) == state>{upper(s.as_str())}</option> }).collect_view()}
                    </select></div>
                    <div class="field"><label for="f-kind">"Kind"</label><select class="select input--sm" id="f-kind" name="kind">
                        <option value="">"All kinds"</option>
                        {ScheduleKind::ALL.iter().map(|k| view! { <option value=k.as_str() selected=Some(*k) == kind>{upper(kind_words(k.run_kind()))}</option> }).collect_view()}
                    </select></div>
                    <div class="field"><label for="f-service">"Service"</label><input class="input input--sm" id="f-service" name="service" type="search" placeholder="Its name" value=service.clone()/></div>
                    <button class="btn btn--sm">"Apply"</button>
                    {filtered.then(|| view! { <a class="btn btn--sm btn--quiet" href="/ledger">"Clear"</a> })}
                </form>
                {list}{pages}
            </section></div>
        };
        let crumbs = vec![("Home".to_owned(), "/".to_owned()), ("Schedules".to_owned(), "/schedules".to_owned())];
        Ok(Page { title: "Ledger".to_owned(), nav: Nav::Schedules, crumbs, body: body.into_any() })
    })
}

fn nothing(filtered: bool) -> AnyView {
    if filtered {
        let clear = view! { <a class="btn" href="/ledger">"Show the whole ledger"</a> }.into_any();
        return empty("No row like that", "No time of a schedule has this state, kind and service.".into_any(), Some(clear)).into_any();
    }
    let new = view! { <a class="btn" href="/schedules">"See the schedules"</a> }.into_any();
    empty("Nothing was expected yet", "A row is written for each time of each schedule, from the moment that it is made.".into_any(), Some(new)).into_any()
}

/// Cuts the rows to a page; the links to the first one and to the next.
pub fn paged(rows: &mut Vec<TickRow>, before: &str, now: Timestamp, zone: &TimeZone, here: impl Fn(&str) -> String) -> AnyView {
    let more = rows.len() as i64 > ON_A_PAGE;
    rows.truncate(ON_A_PAGE as usize);
    let older = rows.last().filter(|_| more).map(|r| (format!("Older than {}", short(Timestamp(r.due_at), now, zone)), here(&key(r.due_at, r.id))));
    pager((!before.is_empty()).then(|| ("Newest", here(""))), older.as_ref().map(|(words, href)| (words.as_str(), href.clone())))
}

/// What was expected and what came of it, in figures.
pub fn figures(c: &Counts, scope: &str) -> AnyView {
    let rate = c.rate().map_or_else(
        || view! { <p class="readout readout--md">"no data"</p> }.into_any(),
        |r| view! { <p class="readout">{format!("{:.1}", (r * 1_000.0).floor() / 10.0)}" "<small>"%"</small></p> }.into_any(),
    );
    let paused = (c.paused > 0).then(|| format!(" {} more fell into a pause and were not expected.", count(c.paused)));
    let open = (c.open > 0).then(|| format!(" {} {} not ended yet.", count(c.open), if c.open == 1 { "has" } else { "have" }));
    let ended_otherwise = c.partial + c.cancelled + c.interrupted;
    view! {
        <div class="meters" role="group" aria-label="What was expected and what came of it">
            <div><p class="meter__label">"Succeeded, of those expected"</p>{rate}
                <p class="sm soft">{format!("{} of {}, {scope}.", count(c.succeeded), count(c.expected()))}{open}{paused}</p></div>
            <div><p class="meter__label">"Never ran"</p><p class="readout">{count(c.missed)}</p>
                <p class="sm soft">"Each row says why: Holdfast was down, or the run before was still busy."</p></div>
            <div><p class="meter__label">"Ran and did not succeed"</p><p class="readout">{count(c.failed + ended_otherwise)}</p>
                <p class="sm soft">{format!("{} failed, {} partial, {} cancelled, {} interrupted.", count(c.failed), count(c.partial), count(c.cancelled), count(c.interrupted))}</p></div>
        </div>
    }
    .into_any()
}

/// The chip of a tick: as its run, or missed.
pub fn tick_chip(state: &str, reason: Option<&str>) -> AnyView {
    match (TickState::parse(state), reason.and_then(Missed::parse)) {
        (Some(TickState::Open), _) => chip_with(Tone::Run, "i-run", "under way"),
        (Some(TickState::Succeeded), _) => chip(Tone::Ok, "succeeded"),
        (Some(TickState::Partial), _) => chip(Tone::Warn, "partial"),
        (Some(TickState::Failed), _) => chip(Tone::Fail, "failed"),
        (Some(TickState::Cancelled), _) => chip_with(Tone::None, "i-skip", "cancelled"),
        (Some(TickState::Interrupted), _) => chip(Tone::Warn, "interrupted"),
        (Some(TickState::Missed), Some(Missed::Paused)) => chip(Tone::Hold, "paused"),
        (Some(TickState::Missed), _) => chip(Tone::Fail, "missed"),
        (None, _) => chip_with(Tone::None, "i-unknown", state.to_owned()),
    }
}

/// Why there was no run, in a sentence.
fn why(t: &TickRow) -> AnyView {
    let detail = t.detail.clone().unwrap_or_default();
    let run = |words: &'static str| {
        let id: String = detail.chars().take(8).collect();
        view! { {words}" "<a class="mono" href=format!("/runs/{detail}")>{id}</a> }.into_any()
    };
    match t.reason() {
        None => ().into_any(),
        Some(reason @ Missed::Down) => reason.words().into_any(),
        Some(Missed::Overlap) => run("the run before was still busy:"),
        Some(Missed::Underway) => run("the same was under way already:"),
        Some(reason @ Missed::Paused) if detail.is_empty() => reason.words().into_any(),
        Some(Missed::Paused) => format!("paused: {detail}").into_any(),
        Some(Missed::NoTarget) => upper(&detail).into_any(),
    }
}

/// Rows of the ledger, the newest first. `named` shows which schedule each is of.
pub fn tick_table(rows: &[TickRow], named: bool, now: Timestamp, zone: &TimeZone) -> AnyView {
    let body = rows
        .iter()
        .map(|t| {
            let took = match (t.started_at, t.finished_at) {
                (Some(from), Some(to)) => span(Timestamp(to).secs_since(Timestamp(from)).max(0.0)),
                _ => "–".to_owned(),
            };
            let schedule = named.then(|| view! { <td><a href=format!("/schedules/{}", t.schedule_name)>{t.schedule_name.clone()}</a></td> });
            let run = t.run_id.map(|id| view! { <a href=format!("/runs/{id}")>"run "<span class="mono">{id.to_string()[..8].to_owned()}</span></a> });
            view! {
                <tr><th scope="row" class="nowrap">{moment_with_age(Timestamp(t.due_at), now, zone)}</th>{schedule}
                    <td class="col-md">{t.target.clone()}</td><td>{tick_chip(&t.state, t.reason.as_deref())}</td>
                    <td class="num col-md nowrap">{took}</td><td>{run}{why(t)}</td></tr>
            }
        })
        .collect_view();
    let head = view! {
        {th("Expected at", "")}{named.then(|| th("Schedule", ""))}{th("Of", "col-md")}{th("State", "")}{th("Took", "num col-md")}{th("Run, or why none", "")}
    };
    table("Ledger of expected runs", "table--tight", head.into_any(), body.into_any()).into_any()
}
