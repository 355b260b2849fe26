//! What to do first: the verdict, what is worst with one act each, coverage apart from recoverability, live runs, 30 days.
//!
//! Lives here: the page. May not: judging services.

mod sentence;
mod worst;

use domain::units::{Timestamp, count};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use ops::{
    Ctx, OpsError, Role,
    overview::{DAYS, Overview, Standing},
    permission::{Action, On, allowed},
};
use store::runs::ListedRun;

use super::services::act;
use crate::{
    components::{
        address::encode,
        empty,
        evidence::ladder,
        gauge::share,
        icon, panel,
        standing::{DayCounts, days_legend, days_strip, standing_chip},
        status::Tone,
        table::{table, th},
        time::{date, relative, short},
    },
    context::{app, ctx, visitor},
    error::form_error,
    frame::{Nav, Page, page},
    islands::live::Live,
    live,
    pages::people::list::people_table,
};

/// How many strips are drawn.
const STRIPS: usize = 25;

#[component]
pub fn Home() -> impl IntoView {
    let (ctx, shared, who, error) = (ctx(), app(), visitor(), form_error());
    page(async move {
        if ctx.actor.role == Role::Member {
            return own(&ctx, &shared.zone).await;
        }
        let o = shared.overview.get(&ctx, &shared.zone).await?;
        let running = ops::runs::live(&ctx, live::LIVE_LIMIT).await?;
        let now = ctx.now();
        let may_act = allowed(&who.actor, Action::Operate, On::Any);
        let body = if o.services.is_empty() {
            if allowed(&who.actor, Action::Configure, On::All) { nothing_yet() } else { nothing_owned() }
        } else {
            filled(&o, &running, now, &shared.zone, may_act, error)
        };
        Ok(Page { title: "Home".to_owned(), nav: Nav::Home, crumbs: vec![], body })
    })
}

/// The home of a member is their own data.
async fn own(ctx: &Ctx, zone: &TimeZone) -> Result<Page, OpsError> {
    let (people, _) = ops::people::list(ctx, "", "", 1).await?;
    let body = match people.first() {
        Some(person) => {
            let href = format!("/people/{}", encode(&person.row.name));
            view! {
                <div class="page__head"><div><h1 class="page__title">"Your data"</h1>
                    <p class="page__lede">"Everything that is kept for you, and the way to bring it back beside what is there."</p></div></div>
                <section class="panel" aria-label="What is kept for you">{people_table("What is kept for you", &people, ctx.now(), zone)}</section>
                <p class="mt-4"><a class="btn btn--primary" href=href>"See what is kept for you"</a></p>
            }
            .into_any()
        }
        None => view! {
            <div class="page__head"><div><h1 class="page__title">"Your data"</h1></div></div>
            <section class="panel" aria-label="Your data">{empty("No data is known to be yours", view! { "Ask an admin to link your account with your data." }.into_any(), None)}</section>
        }
        .into_any(),
    };
    Ok(Page { title: "Home".to_owned(), nav: Nav::Home, crumbs: vec![], body })
}

fn nothing_owned() -> AnyView {
    view! {
        <div class="page__head"><div><h1 class="page__title">"Your services"</h1></div></div>
        <section class="panel" aria-label="Your services">{empty("No service is yours yet", view! { "The service that you own is not known here. Ask an admin to describe it." }.into_any(), None)}</section>
    }
    .into_any()
}

fn nothing_yet() -> AnyView {
    let why = view! {
        "Holdfast looks after services: what each promises, where its data is, where its backups go. Describe them in a file and apply it on the server; "
        "then back up, browse, restore, and prove it by a restore test."
        <pre class="cmd" tabindex="0"><code>{EXAMPLE}</code></pre>
        <pre class="cmd" tabindex="0"><code>"holdfast --data DIR apply services.yaml"</code></pre>
    };
    view! {
        <div class="verdict"><span class="lamp lamp--none">{icon("i-none")}</span><div><h1>"Nothing is protected yet."</h1><p>"No service is known, so nothing is backed up."</p></div></div>
        <section class="panel" aria-label="How to begin"><div class="empty empty--wide"><h2>"Describe the first service"</h2>{why}</div></section>
    }
    .into_any()
}

const EXAMPLE: &str = "version: 1
repositories:
  - name: main
    location: file:///srv/backup/main
    password: { file: /etc/holdfast/main.password }
services:
  - name: notebooks
    title: Notebooks
    owner: notebooks-ops
    rpo: 24h
    rto: 24h
    mtpod: 48h
    sources:
      - { name: homes, kind: directory, path: /srv/exports, items: children, repository: main }";

fn filled(o: &Overview, running: &[ListedRun], now: Timestamp, zone: &TimeZone, may_act: bool, error: Option<crate::error::AppError>) -> AnyView {
    let (tone, headline, why) = sentence::verdict(o, now);
    view! {
        <div class="verdict"><span class=format!("lamp lamp--{}", tone.as_str())>{icon(tone.symbol())}</span><div><h1>{headline}</h1><p>{why}</p></div></div>
        {error.map(|e| act::refused(&e))}
        <div class="stack">
            {if o.attention.is_empty() {
                meters(o, "meters")
            } else {
                view! { <div class="grid grid--aside grid--stretch">{worst::worst(o, now, may_act)}<div class="stack stack--fill">{meters(o, "meters meters--wide")}</div></div> }.into_any()
            }}
            {live_runs(running, now)}
            {strips(o, now, zone)}
        </div>
    }
    .into_any()
}

fn meters(o: &Overview, class: &'static str) -> AnyView {
    let services = o.services.len() as i64;
    let recoverable = o.recoverable as i64;
    let tone = |part: i64, of: i64| {
        if of == 0 {
            Tone::None
        } else if part == of {
            Tone::Ok
        } else if part * 10 >= of * 9 {
            Tone::Warn
        } else {
            Tone::Fail
        }
    };
    let readout = |part: i64, of: i64| match of {
        0 => view! { <p class="readout readout--md">"no data"</p> }.into_any(),
        _ => view! { <p class="readout">{part * 100 / of}" "<small>"%"</small></p> }.into_any(),
    };
    view! {
        <div class=class aria-label="Coverage and recoverability" role="group">
            <div><p class="meter__label">"Coverage "<a href="/services">{format!("{} of {} items", count(o.covered), count(o.items))}</a></p>
                {readout(o.covered, o.items)}{share("Coverage", o.covered, o.items, tone(o.covered, o.items))}
                <p class="sm soft">"An item is covered when its newest snapshot is younger than the RPO of its service."</p></div>
            <div><p class="meter__label">"Recoverability "<a href="/tests">{format!("{} of {} {}", count(recoverable), count(services), if services == 1 { "service" } else { "services" })}</a></p>
                {readout(recoverable, services)}{share("Recoverability", recoverable, services, tone(recoverable, services))}
                <p class="sm soft">"A service is recoverable when a restore test in the last 90 days reached "<b>"asserted"</b>" within its RTO. Copies alone never count."</p></div>
            <div>{runs_of_a_day(o, tone)}</div>
        </div>
    }
    .into_any()
}

/// What was expected of the last 24 hours. Without any schedule, the runs that there were.
fn runs_of_a_day(o: &Overview, tone: impl Fn(i64, i64) -> Tone) -> AnyView {
    let c = &o.expected_24h;
    let (well, of) = if c.expected() > 0 { (c.succeeded, c.expected()) } else { (o.succeeded_24h, o.ended_24h) };
    let readout = if of == 0 {
        view! { <p class="readout readout--md">"no data"</p> }.into_any()
    } else {
        view! { <p class="readout">{count(well)}" "<small>{format!("of {}", count(of))}</small></p> }.into_any()
    };
    let (label, why) = if c.expected() > 0 {
        let bad = c.partial + c.failed + c.cancelled + c.interrupted;
        let why =
            format!("{} did not succeed, {} never ran. The denominator is what was scheduled, so a run that never began counts.", count(bad), count(c.missed));
        (view! { <p class="meter__label">"Runs expected, 24 h "<a href="/ledger">"ledger"</a></p> }.into_any(), why)
    } else {
        let why = "A partial, failed or interrupted run has not succeeded.".to_owned();
        (view! { <p class="meter__label">"Runs that ended, 24 h "<a href="/runs">"all runs"</a></p> }.into_any(), why)
    };
    view! { {label}{readout}{share("Runs that succeeded", well, of, tone(well, of))}<p class="sm soft">{why}</p> }.into_any()
}

fn live_runs(list: &[ListedRun], now: Timestamp) -> AnyView {
    let end = view! { <Live url="/api/v1/runs/events?view=page".to_owned()/><a class="btn btn--quiet btn--sm" href="/runs">"All runs"</a> }.into_any();
    let body = view! { <div id="live-runs">{live::live_runs(list, now)}</div> };
    panel("live", "Live runs", Some("closing this page is safe".to_owned()), Some(end), body.into_any()).into_any()
}

fn strips(o: &Overview, now: Timestamp, zone: &TimeZone) -> AnyView {
    let shown: Vec<&Standing> = o.services.iter().take(STRIPS).collect();
    let rows = shown
        .iter()
        .map(|s| {
            let n = DayCounts::of(&s.days);
            let kept =
                if n.no_data == DAYS { view! { "no data" }.into_any() } else { view! { {n.kept}<span class="vh">{format!(" of {DAYS}")}</span> }.into_any() };
            let newest = s.facts.last_snapshot_at.map_or_else(
                || view! { "no data" }.into_any(),
                |at| view! { {short(at, now, zone)}" "<span class="muted">{relative(at, now)}</span> }.into_any(),
            );
            view! {
                <tr><th scope="row"><a class="rowlink" href=format!("/services/{}", s.row.name)>{s.row.title.clone()}</a></th>
                    <td>{standing_chip(s.worst())}</td><td>{days_strip(&s.row.title, &s.days)}</td>
                    <td class="num col-md">{kept}</td><td class="nowrap col-lo">{newest}</td><td class="col-lo">{ladder(s.evidence)}</td></tr>
            }
        })
        .collect_view();
    let span = format!("{} to {}", date(o.since, zone), date(now, zone));
    let head = view! {
        {th("Service", "")}{th("Now", "")}<th scope="col" class="col-strip">{span}</th>{th("Complete, of 30", "num col-md")}{th("Newest snapshot", "col-lo")}{th("Best evidence", "col-lo")}
    };
    let twin_rows = shown
        .iter()
        .map(|s| {
            let n = DayCounts::of(&s.days);
            view! { <tr><th scope="row">{s.row.title.clone()}</th><td class="num">{n.kept}</td><td class="num">{n.late}</td><td class="num">{n.failed}</td><td class="num">{n.missed}</td><td class="num">{n.no_data}</td></tr> }
        })
        .collect_view();
    let twin_head =
        view! { {th("Service", "")}{th("Complete", "num")}{th("Partial or late", "num")}{th("Failed", "num")}{th("Never ran", "num")}{th("No data", "num")} };
    let more = o.services.len().saturating_sub(STRIPS);
    let body = view! {
        {table("Last 30 days by service, worst first", "table--tight", head.into_any(), rows.into_any())}
        {(more > 0).then(|| view! { <p class="panel__foot"><a href="/services">{format!("{} more services", count(more as i64))}</a></p> })}
        <details class="more"><summary>"The same as a table"</summary>{table("Last 30 days as numbers", "table--tight", twin_head.into_any(), twin_rows.into_any())}</details>
    };
    panel("days", "Last 30 days", Some("backups by day".to_owned()), Some(days_legend()), body.into_any()).into_any()
}
