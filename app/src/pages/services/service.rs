//! One service: its promises against what was measured, its sources and items, what ran.
//!
//! Lives here: the Overview tab. May not: judging.

use domain::{
    id::ServiceId,
    standing::{Day, Finding, recoverable},
    units::{Timestamp, count, size, span},
};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};
use ops::{
    overview::{DAYS, Standing},
    permission::{Action, On, allowed},
    services::SourceView,
};
use store::{
    holds::HoldRow,
    items::ItemRow,
    runs::{Filter, ListedRun},
};

use super::{
    act,
    expected::expected,
    head::{Tab, service_page},
};
use crate::{
    components::{
        address::{encode, with_query},
        empty,
        evidence::ladder,
        gauge::{self, gauge},
        icon,
        origin::from_file,
        pager::pager,
        panel,
        run::{kind_words, state_chip_of},
        standing::{explain, tone},
        status::{Tone, chip},
        table::{table, th},
        time::{moment, moment_with_age, relative, short},
        way,
    },
    context::{app, ctx, visitor},
    error::form_error,
    frame::page,
    pages::{
        holds::sign::callouts,
        instances::parts::{list_place, place as instance_place},
    },
};

/// Items a page, runs that are shown.
const ITEMS: usize = 50;
const RUNS: i64 = 8;
/// Schedules that are shown.
const SCHEDULES: i64 = 20;
/// More sources of a service than list an item of one name.
const SAME_NAME: usize = 64;

#[component]
pub fn Service() -> impl IntoView {
    let (ctx, shared, who, error) = (ctx(), app(), visitor(), form_error());
    let (params, query) = (use_params_map().get_untracked(), use_query_map().get_untracked());
    page(async move {
        let row = ops::services::find(&ctx, &params.get("name").unwrap_or_default()).await?;
        let sources = ops::services::sources_with_facts(&ctx, &row).await?;
        let holds = ops::holds::over_service(&ctx, row.id()).await?;
        let after = query.get("after").unwrap_or_default();
        let mut items = ops::services::items(&ctx, &row, &after, (ITEMS + SAME_NAME) as i64).await?;
        let runs = ops::runs::list(&ctx, Filter { service: Some(ServiceId(row.id)), ..Filter::default() }, None, RUNS).await?;
        let filter = store::schedules::Filter { service: row.name.clone(), kind: None };
        let schedules = ops::schedules::list(&ctx, &filter, "", SCHEDULES).await?;
        let last = ops::schedules::last_ticks(&ctx, &schedules).await?;
        let overview = shared.overview.get(&ctx, &shared.zone).await?;
        let days = overview.services.iter().find(|s| s.row.id == row.id).map_or([Day::NoData; DAYS], |s| s.days);
        let now = ctx.now();
        let on_hold = ops::holds::undecided(&ctx, row.id()).await?;
        let s = ops::overview::judge(row, on_hold, now);
        let end = page_end(&items);
        let more = items.len() > end;
        items.truncate(end);
        let zone = &shared.zone;
        let may_act = allowed(&who.actor, Action::Operate, On::Service(s.row.id()));
        let (live, ended): (Vec<_>, Vec<_>) = runs.iter().partition(|r| matches!(r.run.state.as_str(), "queued" | "running"));
        let content = view! {
            {callouts(&holds)}
            <div class="stack">
                {promises(&s, now)}
                <div class="grid grid--aside"><div class="stack">
                    {source_table(&sources, &s, now, zone, allowed(&who.actor, Action::Read, On::All))}
                    {run_list(&s, &ended, now, zone)}
                </div><div class="stack">
                    {next(&s, now, zone, may_act)}
                    {(!live.is_empty()).then(|| {
                        let live: Vec<ListedRun> = live.into_iter().cloned().collect();
                        panel("live", "Live runs", Some("closing this page is safe".to_owned()), None, crate::live::live_runs(&live, now))
                    })}
                </div></div>
                {expected((&s.row.name, &s.row.title), &schedules, &last, &days, overview.since, now, zone)}
                {item_table(&s, &items, &after, more, (&sources, &holds), now, zone)}
            </div>
        };
        Ok(service_page(&s, Tab::Overview, &who, (now, zone), error.as_ref(), content.into_any()))
    })
}

/// Where a page of items ends: behind the last of those that bear one name, since the next page begins after a name.
fn page_end(items: &[ItemRow]) -> usize {
    let Some(last) = items.get(ITEMS - 1) else { return items.len() };
    items.iter().skip(ITEMS).position(|i| i.name != last.name).map_or(items.len(), |n| ITEMS + n)
}

fn promises(s: &Standing, now: Timestamp) -> AnyView {
    let target = |name: &str, s: Option<i64>| s.map_or_else(|| format!("no {name}"), |s| format!("{name} {}", span(s as f64)));
    let rpo = s.facts.rpo_s.map(|s| s as f64);
    let age = s.facts.last_snapshot_at.map(|at| now.secs_since(at).max(0.0));
    let rto = s.facts.rto_s.map(|s| s as f64);
    let took = s.facts.last_test.and_then(|t| t.rto_s);
    let tested = s.facts.last_test.map(|t| relative(t.at, now));
    let rto_chip = match (&tested, took) {
        (Some(ago), Some(_)) => {
            let old = s.findings.iter().any(|f| matches!(f, Finding::ProofOld { .. }));
            let tone = if old && gauge::tone(took, rto) == Tone::Ok { Tone::Warn } else { gauge::tone(took, rto) };
            view! { {chip(tone, gauge::words(took, rto))}<span class="sm soft">"measured "{ago.clone()}</span> }.into_any()
        }
        _ => chip(Tone::None, "never measured"),
    };
    let reached = s.evidence;
    let proven = if recoverable(&s.facts, now) { "Recoverable: proven in the last 90 days" } else { "Recovery is not proven in the last 90 days" };
    view! {
        <dl class="meters">
            <div><dt>"RPO "<span class="muted">{target("target", s.row.rpo_s)}</span></dt><dd class="readout readout--md">{age.map_or_else(|| "no data".to_owned(), |a| span(a.round()))}</dd>
                <dd>{gauge(age, rpo)}</dd><dd>{chip(gauge::tone(age, rpo), gauge::words(age, rpo))}</dd></div>
            <div><dt>"RTO "<span class="muted">{target("target", s.row.rto_s)}</span></dt><dd class="readout readout--md">{took.map_or_else(|| "no data".to_owned(), span)}</dd>
                <dd>{gauge(took, rto)}</dd><dd class="row">{rto_chip}</dd></div>
            <div><dt>"MTPoD "<span class="muted">{target("limit", s.row.mtpod_s)}</span></dt><dd class="readout readout--md">{s.row.mtpod_s.map_or_else(|| "not set".to_owned(), |m| span(m as f64))}</dd>
                <dd>{gauge(took, s.row.mtpod_s.map(|m| m as f64))}</dd>
                <dd>{mtpod_chip(took, s.row.mtpod_s)}</dd></div>
            <div><dt>"Best evidence"</dt><dd class="readout readout--md">{reached.words()}</dd><dd>{ladder(reached)}</dd><dd class="sm soft">{proven}</dd></div>
        </dl>
    }
    .into_any()
}

/// The limit is not measured; what a restore took is held against it.
fn mtpod_chip(took: Option<f64>, limit: Option<i64>) -> AnyView {
    match (took, limit) {
        (Some(t), Some(l)) if t > l as f64 => chip(Tone::Fail, "a restore takes longer"),
        (Some(t), Some(l)) => chip(Tone::Ok, format!("{:.0} % of it by a restore", t / l as f64 * 100.0)),
        (None, Some(_)) => chip(Tone::None, "no restore was measured"),
        (_, None) => chip(Tone::None, "no limit is set"),
    }
}

/// `whole`: whether policies and repositories, which belong to no service, can be opened.
fn source_table(sources: &[SourceView], s: &Standing, now: Timestamp, zone: &TimeZone, whole: bool) -> AnyView {
    if sources.is_empty() {
        let why = view! { "Add a source to this service in the configuration: what reads its data, and into which repository." };
        return panel("sources", "Sources", None, None, empty("No source", why.into_any(), None).into_any()).into_any();
    }
    let rows = sources
        .iter()
        .enumerate()
        .map(|(n, v)| {
            let facts = v.facts.as_ref();
            let instances = v.row.kind == ops::instances::KIND;
            let newest = facts.and_then(|f| f.last_snapshot_at).map_or_else(|| "no data".into_any(), |at| moment_with_age(Timestamp(at), now, zone).into_any());
            let number = |n: Option<i64>| n.map_or_else(|| "–".to_owned(), count);
            let items = number(facts.map(|f| f.items));
            let items = if instances { view! { <a href=list_place(&s.row.name, &v.row.name, "")>{items}" instances"</a> }.into_any() } else { items.into_any() };
            let kept = match &v.policy {
                None if instances => "each schedule says how many are kept".into_any(),
                Some(name) => {
                    let href = with_query(&format!("/policies/{name}"), &[("of", &format!("{}/{}", s.row.name, v.row.name))]);
                    view! { "kept by "{way(whole, href, name.clone())} }.into_any()
                }
                None => "everything is kept".into_any(),
            };
            view! {
                <tr><td class="num">{n + 1}</td>
                    <th scope="row">{v.row.name.clone()}<span class="sub">{format!("{}, into ", v.row.kind)}{way(whole, format!("/repositories/{}", v.repository), v.repository.clone())}", "{kept}</span>{(v.row.origin.file != s.row.origin.file).then(|| from_file(&v.row.origin, now, zone))}</th>
                    <td class="col-md">{newest}</td><td class="num">{items}</td>
                    <td class="num col-md">{number(facts.map(|f| f.snapshots))}</td>
                    <td class="num col-md">{facts.map_or_else(|| "–".to_owned(), |f| size(f.size_bytes))}</td></tr>
            }
        })
        .collect_view();
    let head = view! {
        {th("Order", "num")}{th("Source", "")}{th("Newest snapshot", "col-md")}{th("Items", "num")}{th("Snapshots", "num col-md")}{th("Size", "num col-md")}
    };
    let end = s
        .row
        .last_snapshot_at
        .map(|_| view! { <a class="btn btn--quiet btn--sm" href=format!("/services/{}/snapshots", s.row.name)>"All snapshots"</a> }.into_any());
    panel(
        "sources",
        "Sources",
        Some("in the order they are restored".to_owned()),
        end,
        table("Sources in restore order", "", head.into_any(), rows.into_any()).into_any(),
    )
    .into_any()
}

fn item_table(
    s: &Standing,
    items: &[ItemRow],
    after: &str,
    more: bool,
    (sources, holds): (&[SourceView], &[HoldRow]),
    now: Timestamp,
    zone: &TimeZone,
) -> AnyView {
    if items.is_empty() {
        let why = view! { "A source lists its items when it is backed up: a person's folder, a database, an image." };
        return panel("items", "Items", None, None, empty("No items yet", why.into_any(), None).into_any()).into_any();
    }
    let rows = items
        .iter()
        .map(|i| {
            let state = match (i.gone_at, i.last_snapshot_at) {
                (Some(_), _) => chip(Tone::None, "left"),
                (None, None) => chip(Tone::Fail, "no copy"),
                (None, Some(at)) if s.facts.rpo_s.is_some_and(|rpo| now.secs_since(Timestamp(at)) > rpo as f64) => chip(Tone::Fail, "RPO overdue"),
                (None, Some(_)) => chip(Tone::Ok, "covered"),
            };
            let newest = i.last_snapshot_at.map_or_else(
                || "no data".into_any(),
                |at| view! { {moment(Timestamp(at), now, zone)}" "<span class="muted">{relative(Timestamp(at), now)}</span> }.into_any(),
            );
            let held = holds
                .iter()
                .any(|h| h.snapshot_id.is_none() && h.item_id == Some(i.id))
                .then(|| view! { " "<a href=with_query("/holds", &[("state", "standing"), ("service", &s.row.name)])>{chip(Tone::Hold, "on hold")}</a> });
            let name = match i.last_snapshot_id {
                _ if i.native.is_some() => {
                    let source = sources.iter().find(|v| v.row.id == i.source_id).map_or("", |v| v.row.name.as_str());
                    view! { <a class="rowlink" href=instance_place(&s.row.name, source, &i.name)>{i.name.clone()}</a> }.into_any()
                }
                Some(id) => view! { <a class="rowlink" href=format!("/snapshots/{id}")>{i.name.clone()}</a> }.into_any(),
                None => i.name.clone().into_any(),
            };
            let source =
                (sources.len() > 1).then(|| sources.iter().find(|v| v.row.id == i.source_id).map(|v| view! { <span class="sub">{v.row.name.clone()}</span> }));
            let person =
                i.person_id.map(|_| view! { <a href=format!("/people/{}", encode(&i.name))>"Person"<span class="vh">{format!(" {}", i.name)}</span></a> });
            view! {
                <tr><th scope="row" class="item-name">{name}{source}</th><td>{state}{held}</td><td class="col-md nowrap">{newest}</td>
                    <td class="num col-md">{count(i.snapshots)}</td><td class="num col-md">{size(i.size_bytes)}</td><td class="num col-lo">{person}</td></tr>
            }
        })
        .collect_view();
    let head = view! {
        {th("Item", "")}{th("Now", "")}{th("Newest snapshot", "col-md")}{th("Snapshots", "num col-md")}{th("Size", "num col-md")}<th scope="col" class="num col-lo"><span class="vh">"Person"</span></th>
    };
    let base = format!("/services/{}", s.row.name);
    let next = items.last().filter(|_| more).map(|i| with_query(&base, &[("after", &i.name)]));
    let first = (!after.is_empty()).then(|| base.clone());
    let body = view! {
        {table("Items of this service", "table--tight", head.into_any(), rows.into_any())}
        {pager(first.map(|href| ("First page", href)), next.map(|href| ("Next page", href)))}
    };
    panel("items", "Items", Some("with their newest snapshots".to_owned()), None, body.into_any()).into_any()
}

fn next(s: &Standing, now: Timestamp, zone: &TimeZone, may_act: bool) -> AnyView {
    let body = if s.findings.is_empty() {
        view! { <div class="panel__body"><div class="callout callout--ok">{icon("i-ok")}<b>"In order"</b><div>"Every copy is young enough and a restore was proven within its time."</div></div></div> }.into_any()
    } else {
        let all = s
            .findings
            .iter()
            .map(|f| {
                let t = tone(Some(*f));
                view! { <div class=format!("callout callout--{}", t.as_str())>{icon(t.symbol())}<b>{crate::error::upper(f.name())}</b><div>{explain(*f, s, now, zone)}</div></div> }
            })
            .collect_view();
        let remedy = s.worst().map(|f| match f {
            // The head has the buttons of these already.
            Finding::NoData | Finding::NeverRestored | Finding::ProofOld { .. } | Finding::RpoOverdue { .. } if may_act && !s.last_run_failed() => {
                ().into_any()
            }
            _ => view! { <div class="row">{act::remedy(f, s, may_act)}</div> }.into_any(),
        });
        view! { <div class="panel__body">{all}{remedy}</div> }.into_any()
    };
    panel("next", "What to do next", None, None, body).into_any()
}

fn run_list(s: &Standing, runs: &[&ListedRun], now: Timestamp, zone: &TimeZone) -> AnyView {
    let end = view! { <a class="btn btn--quiet btn--sm" href=format!("/runs?service={}", s.row.name)>"All runs"</a> }.into_any();
    if runs.is_empty() {
        return panel("runs", "Recent runs", None, None, view! { <p class="panel__body soft sm">"No run has ended yet."</p> }.into_any()).into_any();
    }
    let rows = runs
        .iter()
        .map(|r| {
            let kind = domain::run::RunKind::parse(&r.run.kind).map_or(r.run.kind.clone(), |k| kind_words(k).to_owned());
            let at = Timestamp(r.run.queued_at);
            let took =
                r.run.started_at.zip(r.run.finished_at).map_or_else(|| "–".to_owned(), |(from, to)| span(Timestamp(to).secs_since(Timestamp(from)).max(0.0)));
            view! {
                <tr><th scope="row"><a class="rowlink" href=format!("/runs/{}", r.run.id)>{crate::error::upper(&kind)}</a></th>
                    <td class="nowrap">{short(at, now, zone)}" "<span class="muted">{relative(at, now)}</span></td>
                    <td class="num col-md">{took}</td><td class="col-lo">{r.run.actor.clone()}</td><td>{state_chip_of(&r.run.state)}</td></tr>
            }
        })
        .collect_view();
    let head = view! { {th("Run", "")}{th("Queued", "")}{th("Took", "num col-md")}{th("By", "col-lo")}{th("State", "")} };
    panel("runs", "Recent runs", None, Some(end), table("Recent runs", "table--tight", head.into_any(), rows.into_any()).into_any()).into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_never_ends_between_two_items_of_one_name() {
        let item = |name: String| ItemRow {
            id: uuid::Uuid::nil(),
            source_id: uuid::Uuid::nil(),
            service_id: uuid::Uuid::nil(),
            person_id: None,
            name,
            first_seen_at: 0,
            last_seen_at: 0,
            gone_at: None,
            last_snapshot_id: None,
            last_snapshot_at: None,
            snapshots: 0,
            size_bytes: 0,
            native: None,
        };
        let named = |n: usize| (0..n).map(|i| item(format!("{i:04}"))).collect::<Vec<_>>();
        assert_eq!(page_end(&named(3)), 3);
        assert_eq!(page_end(&named(ITEMS)), ITEMS);
        assert_eq!(page_end(&named(ITEMS + 9)), ITEMS);
        let mut twins = named(ITEMS);
        twins.extend([item(format!("{:04}", ITEMS - 1)), item("9999".to_owned())]);
        assert_eq!(page_end(&twins), ITEMS + 1);
    }
}
