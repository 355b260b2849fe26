//! One repository: its size and growth, its checks, who can open it and who works on it, what protects it.
//!
//! Lives here: the page and its panels from the database. Beside it: `inside`, `chart`. May not: rules.

use domain::{
    id::OrphanId,
    tamper::Findings,
    units::{Timestamp, count, size, span},
};
use jiff::tz::TimeZone;
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_params_map;
use ops::{
    permission::{Action, On, allowed},
    repositories::Repository,
};
use store::schedules::ScheduleRow;

use super::{
    act::{CheckData, LookAtCloud, PruneRepository, TestTamper},
    chart, cloud, inside, itself, orphans, parts,
};
use crate::{
    components::{
        address::encode,
        icon,
        origin::from_file,
        pager::parse_key,
        panel,
        protection::protection_chip,
        time::{full, relative},
    },
    context::{app, ctx, query},
    error::{form_error, refused},
    frame::{Nav, Page, page},
    pages::services::act::CheckRepository,
};

/// The spans of the chart, in days.
const SPANS: [i64; 3] = [30, 90, 365];

#[component]
pub fn RepositoryPage() -> impl IntoView {
    let (ctx, shared, params, query, error) = (ctx(), app(), use_params_map().get_untracked(), query(), form_error());
    page(async move {
        let name = params.get("name").unwrap_or_default();
        let r = ops::repositories::find(&ctx, &name).await?;
        let crumbs = vec![("Home".to_owned(), "/".to_owned()), ("Repositories".to_owned(), "/repositories".to_owned())];
        if cloud::is_cloud(&r) {
            let (now, zone) = (ctx.now(), &shared.zone);
            let look = allowed(&ctx.actor, Action::Operate, On::All).then(|| act(LookAtCloud::url(), &r.row.name, "btn--primary", "Look at it now"));
            let before = query.get("before").as_deref().and_then(parse_key).map(|(at, id)| (at, OrphanId(id)));
            let found = ops::instances::orphans::list(&ctx, &name, before, orphans::ROWS).await?;
            let may = allowed(&ctx.actor, Action::Configure, On::All);
            let body = view! {
                {cloud::head(&r, look, now, zone)}{error.as_ref().map(refused)}
                <div class="stack">{cloud::content(&r, now, zone)}{orphans::orphans(&found, before.is_none(), may, now, zone)}</div>
            };
            return Ok(Page { title: r.row.name.clone(), nav: Nav::Repositories, crumbs, body: body.into_any() });
        }
        let days = query.get("days").and_then(|d| d.parse().ok()).filter(|d| SPANS.contains(d)).unwrap_or(SPANS[1]);
        let sizes = ops::repositories::history(&ctx, &name, days).await?;
        let schedules = ops::repositories::schedules(&ctx, r.row.id()).await?;
        let inside = ops::repositories::inside(&ctx, &shared.repositories, &name).await;
        let copies = ops::installation::copies(&ctx, r.row.id()).await?;
        let has_key = ops::installation::recovery_key(&ctx).await?.is_some();
        let (now, zone) = (ctx.now(), &shared.zone);
        let may_operate = allowed(&ctx.actor, Action::Operate, On::All);
        let may_unlock = allowed(&ctx.actor, Action::Unlock, On::All);
        let body = view! {
            {head(&r, may_operate, now, zone)}
            {error.as_ref().map(refused)}
            <div class="stack">
                {meters(&r, now)}
                <div class="grid grid--aside-w"><div class="stack">
                    {panel("growth", "Growth", None, Some(spans(&name, days)), chart::growth(&sizes, now, zone))}
                    {inside::panels(&name, &inside, may_unlock, now, zone)}
                </div><div class="stack">
                    {protection(&r, may_operate, now, zone)}
                    {verification(&r, &schedules, may_operate, now, zone)}
                    {itself::itself(&name, &copies, has_key, may_operate, now, zone)}
                    {kit(&name)}
                    {uses(&r)}
                </div></div>
            </div>
        };
        Ok(Page { title: r.row.name.clone(), nav: Nav::Repositories, crumbs, body: body.into_any() })
    })
}

pub(super) fn act(url: &'static str, repository: &str, class: &'static str, words: &'static str) -> AnyView {
    view! {
        <form method="post" action=url><input type="hidden" name="repository" value=repository.to_owned()/><button class=format!("btn {class}")>{words}</button></form>
    }
    .into_any()
}

fn head(r: &Repository, may: bool, now: Timestamp, zone: &TimeZone) -> AnyView {
    let sources = match r.uses.len() {
        0 => "no source uses it".to_owned(),
        1 => "1 source".to_owned(),
        n => format!("{} sources", count(n as i64)),
    };
    view! {
        <div class="page__head"><div><h1 class="page__title">{r.row.name.clone()}</h1>
            <div class="page__meta"><span class="path">{r.row.location.clone()}</span><span>{sources}</span>{from_file(&r.row.origin, now, zone)}</div></div>
            <div class="row">{may.then(|| act(CheckRepository::url(), &r.row.name, "btn--primary", "Check it now"))}</div></div>
    }
    .into_any()
}

fn meters(r: &Repository, now: Timestamp) -> AnyView {
    let newest = r.newest.map(|n| n.size_bytes).or(r.row.size_bytes);
    let held = r.newest.map(|n| format!("for {} in {} snapshots", size(n.snapshot_bytes), count(n.snapshots)));
    let waiting = r.row.marked_bytes.filter(|b| *b > 0).map(|b| format!("{} wait for a later prune", size(b)));
    view! {
        <dl class="meters">
            <div><dt>"Takes"</dt><dd class="readout readout--md">{newest.map_or_else(|| "no data".to_owned(), size)}</dd>
                <dd class="sm soft">{parts::growth(r).unwrap_or_else(|| "growth is known after a day".to_owned())}</dd>{waiting.map(|w| view! { <dd class="sm soft">{w}</dd> })}</div>
            <div><dt>"Dedup ratio"</dt><dd class="readout readout--md">{parts::ratio(r)}</dd><dd class="sm soft">{held}</dd></div>
            <div><dt>"Structure checked "<span class="muted">"age"</span></dt><dd class="readout readout--md">{parts::age(r.row.checked_at, now)}</dd><dd>{parts::structure_chip(r, now)}</dd></div>
            <div><dt>"Data read "<span class="muted">"age"</span></dt><dd class="readout readout--md">{parts::age(r.row.data_read_at, now)}</dd><dd>{parts::data_chip(r, now)}</dd></div>
        </dl>
    }
    .into_any()
}

fn spans(name: &str, days: i64) -> AnyView {
    let link = |n: i64| {
        let words = if n == 365 { "a year".to_owned() } else { format!("{n} days") };
        let current = (n == days).then_some("true");
        view! { <a class="btn btn--quiet btn--sm" href=format!("/repositories/{}?days={n}", encode(name)) aria-current=current>{words}</a> }
    };
    view! { <div class="row spans">{SPANS.map(link).collect_view()}</div> }.into_any()
}

pub(super) fn when(at: Option<i64>, now: Timestamp, zone: &TimeZone) -> AnyView {
    at.map_or_else(|| "never".into_any(), |at| view! { <span title=full(Timestamp(at), zone)>{relative(Timestamp(at), now)}</span> }.into_any())
}

fn protection(r: &Repository, may: bool, now: Timestamp, zone: &TimeZone) -> AnyView {
    let found: Option<&Findings> = r.row.tamper_test.as_deref();
    let words = found.map_or_else(|| "Nobody has tried yet whether the credentials that write it can destroy it.".to_owned(), Findings::words);
    let until = found.and_then(|f| f.locked_until).map(|at| {
        view! { <dt>"Locked until"</dt><dd>{full(at, zone)}<span class="sub">"for what is written at the time of the test"</span></dd> }
    });
    let append_only = match r.protection() {
        Some(domain::tamper::Protection::Protected) => "yes, as tested",
        Some(domain::tamper::Protection::Unprotected) => "no",
        _ => "not known",
    };
    let body = view! {
        <div class="panel__body stack stack--sm">
            <p>{words}</p>
            <dl class="kv"><dt>"Append-only"</dt><dd>{append_only}</dd><dt>"Tested"</dt><dd>{when(r.row.tamper_tested_at, now, zone)}</dd>{until}</dl>
            {may.then(|| act(TestTamper::url(), &r.row.name, "btn--sm", "Run a tamper test"))}
        </div>
    };
    panel("protection", "Against tampering", None, Some(protection_chip(r.protection())), body.into_any()).into_any()
}

fn verification(r: &Repository, schedules: &[ScheduleRow], may: bool, now: Timestamp, zone: &TimeZone) -> AnyView {
    let checks: Vec<&ScheduleRow> = schedules.iter().filter(|s| s.kind == "check").collect();
    let promise = r.row.read_all_within_s.map(|within| view! { <dt>"Promise"</dt><dd>{format!("every pack within {}", span(within as f64))}</dd> });
    let late = r.reading_late(now).or_else(|| {
        (r.row.read_all_within_s.is_some() && checks.is_empty())
            .then(|| "No schedule checks it, so nothing reads it: add a schedule of the kind check.".to_owned())
    });
    let late = late.map(|words| view! { <div class="callout callout--warn">{icon("i-warn")}<b>"Its data is not read as promised"</b><div>{words}</div></div> });
    let packs = r.row.packs.map(|all| {
        let unread = r.row.packs_unread.unwrap_or(all);
        let words = if unread == 0 { format!("{} packs, all were read", count(all)) } else { format!("{} packs, {} never read", count(all), count(unread)) };
        view! { <dt>"Packs"</dt><dd>{words}</dd> }
    });
    let oldest = r.row.reading_waits_since.map(|at| view! { <dt>"Longest wait"</dt><dd>{relative(Timestamp(at), now)}<span class="sub">"when the oldest pack was last read, or first seen"</span></dd> });
    let by = checks.iter().map(|s| view! { <span class="sub"><a href=format!("/schedules/{}", s.name)>{s.name.clone()}</a></span> }).collect_view();
    let scheduled = if checks.is_empty() { "by no schedule" } else { "on schedule" };
    let body = view! {
        <div class="panel__body stack stack--sm">
            {late}
            <dl class="kv">
                {promise}
                <dt>"Structure"</dt><dd>{when(r.row.checked_at, now, zone)}</dd>
                <dt>"Some data"</dt><dd>{when(r.row.data_read_at, now, zone)}</dd>
                <dt>"All at once"</dt><dd>{when(r.row.data_checked_at, now, zone)}</dd>
                {packs}{oldest}
                <dt>"Pruned"</dt><dd>{when(r.row.pruned_at, now, zone)}</dd>
                <dt>"Checked"</dt><dd>{scheduled}{by}</dd>
            </dl>
            {may.then(|| view! { <div class="row">{act(CheckData::url(), &r.row.name, "btn--sm", "Read all data now")}{act(PruneRepository::url(), &r.row.name, "btn--quiet btn--sm", "Prune it now")}</div> })}
        </div>
    };
    panel("verification", "Verification", None, None, body.into_any()).into_any()
}

fn kit(name: &str) -> AnyView {
    let (page, text) = (format!("/repositories/{}/kit", encode(name)), format!("/repositories/{}/kit.txt", encode(name)));
    let body = view! {
        <div class="panel__body stack stack--sm">
            <p>"How to get the data back with restic alone. Print it, or keep it beside the password; it holds none."</p>
            <p class="row"><a class="btn btn--sm" href=page>"Open the kit"</a><a class="btn btn--quiet btn--sm" href=text download>{icon("i-down")}"As text"</a></p>
        </div>
    };
    panel("kit", "Recovery kit", None, None, body.into_any()).into_any()
}

fn uses(r: &Repository) -> AnyView {
    let body = if r.uses.is_empty() {
        view! { <p class="panel__body sm soft">"No source names it. In the configuration, write "<code>{format!("repository: {}", r.row.name)}</code>" at a source."</p> }
            .into_any()
    } else {
        let all = r
            .uses
            .iter()
            .take(20)
            .map(|u| view! { <li><a href=format!("/services/{}", u.service_name)>{u.service_title.clone()}</a>", "{u.source_name.clone()}</li> });
        let more = (r.uses.len() > 20).then(|| view! { <li>{format!("and {} more", r.uses.len() - 20)}</li> });
        view! { <div class="panel__body"><ul class="stack stack--sm">{all.collect_view()}{more}</ul></div> }.into_any()
    };
    panel("uses", "Used by", None, None, body).into_any()
}
