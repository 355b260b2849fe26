//! One instance: its snapshots, what the cloud says of it, what takes its snapshots.
//!
//! Lives here: the page and its panels. May not: the form that takes a snapshot now (see `take`).

use domain::{
    evidence::EvidenceLevel,
    id::{ItemId, SnapshotId},
    units::{Timestamp, count, size},
};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use leptos_router::{
    hooks::{use_params_map, use_query_map},
    params::ParamsMap,
};
use ops::{
    Ctx, OpsError,
    instances::{Place, Shown},
    permission::{Action, On, allowed},
};
use store::{
    schedules::ScheduleRow,
    snapshots::{ListedSnapshot, Which},
};

use super::{
    facts::{as_of, itself, rest},
    list::{SCHEDULES, of_item, trouble},
    parts::{boot_words, flavour_words, list_place, place, status_chips},
    take, unit,
};
use crate::{
    components::{
        address::with_query,
        empty,
        evidence::ladder,
        icon_sm,
        pager::{key, pager, parse_key},
        panel,
        status::{Tone, chip},
        table::{table, th},
        time::{full, moment_with_age, relative},
        way,
    },
    context::{app, ctx},
    error::{form_error, upper},
    frame::{Nav, Page, page},
    pages::{
        holds::sign::doubt_chip,
        restore::way,
        services::act::refused,
        snapshots::parts::{short_id, state_chip},
    },
};

const ROWS: usize = 30;

/// `/services/:name/instances/:source/:instance?before=`.
#[component]
pub fn InstancePage() -> impl IntoView {
    let (ctx, shared, error) = (ctx(), app(), form_error());
    let (params, query) = (use_params_map().get_untracked(), use_query_map().get_untracked());
    page(async move {
        let i = load(&ctx, &params).await?;
        let at = &i.place;
        let before = query.get("before").as_deref().and_then(parse_key).map(|(at, id)| (at, SnapshotId(id)));
        let mut found = ops::snapshots::list(&ctx, Which::Item(ItemId(i.item.id)), before, ROWS as i64 + 1).await?;
        let more = found.len() > ROWS;
        found.truncate(ROWS);
        let filter = store::schedules::Filter { service: at.service.name.clone(), kind: None };
        let schedules = ops::schedules::list(&ctx, &filter, "", SCHEDULES).await?;
        let (now, zone) = (ctx.now(), &shared.zone);
        let here = here(&i);
        let next = found.last().filter(|_| more).map(|s| ("Older", with_query(&here, &[("before", &key(s.row.taken_at, s.row.id))])));
        let pages = pager(before.map(|_| ("Newest", here.clone())), next);
        let may_take = allowed(&ctx.actor, Action::Operate, On::Service(at.service.id())) && i.item.gone_at.is_none();
        let may_plan = allowed(&ctx.actor, Action::Configure, On::All) && i.item.gone_at.is_none();
        let may_restore = allowed(&ctx.actor, Action::Restore, On::Service(at.service.id())) && i.item.snapshots > 0;
        let opens = allowed(&ctx.actor, Action::Read, On::All);
        let told = i.item.native.as_deref();
        let facts = told.map_or_else(
            || {
                panel("instance", "Instance", None, None, view! { <p class="panel__body sm soft">"The cloud has not told anything of it yet."</p> }.into_any())
                    .into_any()
            },
            |s| itself(s, &as_of("as listed", Timestamp(i.item.last_seen_at), zone), zone),
        );
        let body = view! {
            {head(&i, (may_take, may_plan, may_restore), opens, now, zone)}
            {error.as_ref().map(refused)}
            <div class="stack">{trouble(at)}<div class="grid grid--aside-w">
                <div class="stack">{snapshots(&i, &found, pages, now, zone)}{told.map(rest)}</div>
                <div class="stack">{taken_by(&of_item(&schedules, &i.item), may_plan, &i, now)}{facts}</div>
            </div></div>
        };
        Ok(Page { title: i.item.name.clone(), nav: Nav::Services, crumbs: crumbs(at), body: body.into_any() })
    })
}

/// The instance that an address names.
pub(super) async fn load(ctx: &Ctx, params: &ParamsMap) -> Result<Shown, OpsError> {
    let part = |name: &str| params.get(name).unwrap_or_default();
    ops::instances::find(ctx, &part("name"), &part("source"), &part("instance")).await
}

/// What stands above the pages of an instance.
pub(super) fn crumbs(at: &Place) -> Vec<(String, String)> {
    vec![
        ("Home".to_owned(), "/".to_owned()),
        ("Services".to_owned(), "/services".to_owned()),
        (at.service.title.clone(), format!("/services/{}", at.service.name)),
        ("Instances".to_owned(), list_place(&at.service.name, &at.source.name, "")),
    ]
}

/// The address of an instance's page.
pub(super) fn here(i: &Shown) -> String {
    place(&i.place.service.name, &i.place.source.name, &i.item.name)
}

fn head(i: &Shown, (may_take, may_plan, may_restore): (bool, bool, bool), opens: bool, now: Timestamp, zone: &TimeZone) -> AnyView {
    let status = match (i.item.gone_at, i.item.native.as_deref()) {
        (Some(at), _) => view! { {chip(Tone::None, "left the cloud")}<span title=full(Timestamp(at), zone)>{relative(Timestamp(at), now)}</span> }.into_any(),
        (None, Some(s)) => status_chips(s),
        (None, None) => ().into_any(),
    };
    let boots = i.item.native.as_deref().map(|s| {
        view! { <span>{icon_sm("i-vm", "")}" OpenStack instance, booted from "{boot_words(s.boot)}</span><span>{flavour_words(&s.flavour)}</span> }
    });
    let take = may_take.then(|| view! { <a class="btn btn--primary" href=take::place(i)>"Snapshot now"</a> });
    let plan = may_plan.then(|| view! { <a class="btn" href=schedule_place(i)>"Schedule"</a> });
    let of = [("service", i.place.service.name.as_str()), ("instance", i.item.name.as_str())];
    let back = may_restore.then(|| {
        // One that is gone has no place to be restored in.
        let in_place = i.item.gone_at.is_none().then(|| view! { <a class="btn" href=way::in_place_of(&of)>"Restore in place"</a> });
        view! { {in_place}<a class="btn" href=way::clone_of(&of)>"Make a clone"</a> }
    });
    view! {
        <div class="page__head"><div><h1 class="page__title">{i.item.name.clone()}</h1>
            <div class="page__meta">{status}<a href=format!("/services/{}", i.place.service.name)>{i.place.service.title.clone()}</a>{boots}
                <span>"in "{way(opens, format!("/repositories/{}", i.place.cloud.name), i.place.cloud.name.clone())}</span></div></div>
            <div class="row">{back}{plan}{take}</div></div>
    }
    .into_any()
}

/// The form of a schedule for this instance.
fn schedule_place(i: &Shown) -> String {
    with_query("/schedules/new", &[("of", &format!("{}/{}", i.place.service.name, i.place.source.name)), ("instance", &i.item.name)])
}

fn snapshots(i: &Shown, found: &[ListedSnapshot], pages: AnyView, now: Timestamp, zone: &TimeZone) -> AnyView {
    let note = if i.item.snapshots == 1 { "1 snapshot".to_owned() } else { format!("{} snapshots", count(i.item.snapshots)) };
    if found.is_empty() {
        let why = "A schedule takes them, or the button above.";
        return panel("snapshots", "Snapshots", None, None, empty("No snapshots yet", why.into_any(), None).into_any()).into_any();
    }
    let rows = found.iter().map(|s| snapshot(s, now, zone)).collect_view();
    let head = view! { {th("Snapshot", "")}{th("Taken", "")}{th("Size", "num col-md")}{th("Evidence", "col-lo")}{th("State", "")} };
    let body = view! { {table("Snapshots of this instance, the newest first", "table--tight table--top", head.into_any(), rows.into_any())}{pages} };
    panel("snapshots", "Snapshots", Some(note), None, body.into_any()).into_any()
}

fn snapshot(s: &ListedSnapshot, now: Timestamp, zone: &TimeZone) -> AnyView {
    let r = &s.row;
    let name = if r.label.is_empty() { short_id(&r.restic_id) } else { r.label.clone() };
    // Each id is one in the cloud, to be found there without Holdfast.
    let copy = r.offsite().map(|_| view! { <span class="sub">"offsite copy, in a repository"</span> });
    let ids = r.in_cloud().map(|n| {
        let all = n.image.iter().map(|i| i.id.clone()).chain(n.volumes.iter().map(|v| v.id.clone()));
        let ids = all.map(|id| view! { <span class="sub hash hash--wrap">{id}</span> }).collect_view();
        view! { <span class="sub">{unit::words(n)}</span>{ids} }
    });
    view! {
        <tr><th scope="row"><a class="rowlink mono brk" href=format!("/snapshots/{}", r.id)>{name}</a>{copy}{ids}</th>
            <td class="nowrap">{moment_with_age(Timestamp(r.taken_at), now, zone)}</td>
            <td class="num col-md">{size(r.bytes)}</td><td class="col-lo">{ladder(EvidenceLevel::parse(&r.level).unwrap_or_default())}</td>
            <td>{state_chip(&r.state)}{doubt_chip(s)}</td></tr>
    }
    .into_any()
}

fn taken_by(all: &[&ScheduleRow], may: bool, i: &Shown, now: Timestamp) -> AnyView {
    let end = may.then(|| view! { <a class="btn btn--quiet btn--sm" href=schedule_place(i)>"Add one"</a> }.into_any());
    if all.is_empty() {
        let body = view! { <p class="panel__body sm soft">"No schedule takes snapshots of it: they are taken by hand alone."</p> };
        return panel("schedules", "Schedules", None, end, body.into_any()).into_any();
    }
    let row = |s: &&ScheduleRow| {
        let words = ops::cron::Cron::parse(&s.cron).map_or_else(|_| s.cron.clone(), |c| upper(&c.words()));
        let kept = ops::schedules::draft_of(s).ok().and_then(|d| d.snapshot).map(|p| match p.max_snapshots {
            0 => "all are kept".to_owned(),
            n => format!("{n} are kept"),
        });
        let next = if s.is_paused(now) { chip(Tone::Hold, "paused") } else { relative(Timestamp(s.next_run_at), now).into_any() };
        view! {
            <tr><th scope="row"><a href=format!("/schedules/{}", s.name)>{s.name.clone()}</a><span class="sub">{words}</span></th>
                <td>{next}<span class="sub">{kept}</span></td></tr>
        }
    };
    let head = view! { {th("Schedule", "")}{th("Next run", "")} };
    let body = table("Schedules of this instance", "table--tight table--top", head.into_any(), all.iter().map(row).collect_view().into_any());
    panel("schedules", "Schedules", None, end, body.into_any()).into_any()
}
