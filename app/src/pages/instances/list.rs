//! The instances of a service, source by source, by name.
//!
//! Lives here: the list. May not: one instance (see `show`).

use domain::{instance::Server, units::Timestamp};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};
use ops::{
    instances::{Instance, Listing, Place},
    permission::{Action, On, allowed},
    services::SourceView,
};
use store::{items::ItemRow, schedules::ScheduleRow};

use super::parts::{boot_words, clones_place, flavour_words, list_place, place, status_chips};
use crate::{
    components::{
        empty, icon,
        pager::pager,
        status::{Tone, chip},
        table::{table, th},
        time::{full, moment, relative},
        way,
    },
    context::{app, ctx},
    error::{form_error, upper},
    frame::{Nav, Page, page},
    pages::{services::act::refused, snapshots::parts::state_chip},
};

const ROWS: i64 = 50;
/// Schedules of a service that are looked at.
pub(super) const SCHEDULES: i64 = 500;

/// `/services/:name/instances?source=&after=`.
#[component]
pub fn Instances() -> impl IntoView {
    let (ctx, shared, error) = (ctx(), app(), form_error());
    let (params, query) = (use_params_map().get_untracked(), use_query_map().get_untracked());
    page(async move {
        let text = |name: &str| query.get(name).unwrap_or_default();
        let service = ops::services::find(&ctx, &params.get("name").unwrap_or_default()).await?;
        let sources = ops::services::sources_with_facts(&ctx, &service).await?;
        let clouds: Vec<&SourceView> = sources.iter().filter(|s| s.row.kind == ops::instances::KIND).collect();
        let (after, asked) = (text("after"), text("source"));
        // Without a name the first one, so that a page holds one source and its names are unique.
        let chosen = clouds.iter().find(|s| s.row.name == asked).or_else(|| clouds.first().filter(|_| asked.is_empty())).copied();
        let now = ctx.now();
        let content = match chosen {
            None => none(clouds.is_empty()),
            Some(source) => {
                let found = ops::instances::list(&ctx, &service.name, &source.row.name, &after, ROWS).await?;
                let filter = store::schedules::Filter { service: service.name.clone(), kind: None };
                let schedules = ops::schedules::list(&ctx, &filter, "", SCHEDULES).await?;
                let to = |after: &str| list_place(&service.name, &source.row.name, after);
                let pages = pager((!after.is_empty()).then(|| ("First page", to(""))), found.next.as_deref().map(|name| ("Next page", to(name))));
                let opens = allowed(&ctx.actor, Action::Read, On::All);
                let adopts = allowed(&ctx.actor, Action::Configure, On::All).then(|| {
                    view! { <a class="btn btn--sm" href=super::adopt::href(&service.name, &source.row.name, "")>"Adopt existing snapshots"</a> }
                });
                let head = view! {
                    <div class="panel__head"><h2 class="panel__title" id="p-instances">{source.row.name.clone()}</h2>
                        <p class="panel__note">"in the cloud "{way(opens, format!("/repositories/{}", source.repository), source.repository.clone())}</p>
                        {(clouds.len() > 1).then(|| others(&service.name, &clouds, &source.row.name))}
                        {adopts.map(|a| view! { <div class="end">{a}</div> })}</div>
                };
                let rows = if found.instances.is_empty() { unlisted(&after) } else { listed(&found, &schedules, now, &shared.zone) };
                view! { {trouble(&found.place)}<section class="panel" aria-labelledby="p-instances">{head}{rows}{pages}</section> }.into_any()
            }
        };
        let sums = ops::clones::sums(&ctx, &service.name).await?;
        let clones = view! { <a class="btn" href=clones_place(&service.name)>{clones_words(sums.clones)}</a> };
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Instances "<span class="soft">{service.title.clone()}</span></h1>
                <p class="page__lede">"The instances that the cloud lists for this service. Their snapshots stay in the cloud, as images and volume snapshots."</p></div>
                <div class="row">{clones}</div></div>
            {error.as_ref().map(refused)}
            <div class="stack">{content}</div>
        };
        let crumbs = vec![
            ("Home".to_owned(), "/".to_owned()),
            ("Services".to_owned(), "/services".to_owned()),
            (service.title.clone(), format!("/services/{}", service.name)),
        ];
        Ok(Page { title: "Instances".to_owned(), nav: Nav::Services, crumbs, body: body.into_any() })
    })
}

fn clones_words(n: i64) -> String {
    match n {
        0 => "Clones".to_owned(),
        1 => "1 clone stands".to_owned(),
        n => format!("{n} clones stand"),
    }
}

fn others(service: &str, clouds: &[&SourceView], chosen: &str) -> AnyView {
    let link = |s: &&SourceView| {
        let current = (s.row.name == chosen).then_some("true");
        view! { <a href=list_place(service, &s.row.name, "") aria-current=current>{s.row.name.clone()}</a> }
    };
    view! { <div class="end"><nav class="seg" aria-label="Sources">{clouds.iter().map(link).collect_view()}</nav></div> }.into_any()
}

fn none(no_source: bool) -> AnyView {
    let (title, why) = if no_source {
        ("No instances", "This service has no source of the kind openstack-instance. Add one to its configuration, with a cloud as its repository.")
    } else {
        ("No source like that", "This service has no source of that name with instances.")
    };
    view! { <section class="panel">{empty(title, why.into_any(), None)}</section> }.into_any()
}

fn unlisted(after: &str) -> AnyView {
    let why = if after.is_empty() {
        "The cloud has not been looked at yet, or it lists no instance that fits. The page of the cloud says when it was looked at last."
    } else {
        "There is none after this name."
    };
    empty("No instances here", why.into_any(), None).into_any()
}

/// What keeps the cloud from being asked, or from doing all that it is asked for.
pub(super) fn trouble(place: &Place) -> AnyView {
    let found = place.cloud.credential.as_deref().filter(|c| c.trouble.is_some());
    let (class, symbol, words) = if found.is_some_and(|c| c.refused) {
        ("callout callout--fail", "i-fail", "cannot be used")
    } else {
        ("callout callout--warn", "i-warn", "does not allow everything")
    };
    let trouble = found.and_then(|c| c.trouble.clone());
    trouble.map(|t| view! { <div class=class>{icon(symbol)}<b>{format!("The cloud {} {words}", place.cloud.name)}</b><div>{upper(&t)}</div></div> }).into_any()
}

fn listed(found: &Listing, schedules: &[ScheduleRow], now: Timestamp, zone: &TimeZone) -> AnyView {
    let rows = found.instances.iter().map(|i| row(&found.place, i, schedules, now, zone)).collect_view();
    let head = view! {
        {th("Instance", "")}{th("Status", "")}{th("Boots from", "col-md")}{th("Flavour", "col-lo")}{th("Zone", "col-lo")}
        {th("Newest snapshot", "")}{th("Schedule", "col-md")}
    };
    table("Instances of this source", "table--tight table--top", head.into_any(), rows.into_any()).into_any()
}

fn row(at: &Place, i: &Instance, schedules: &[ScheduleRow], now: Timestamp, zone: &TimeZone) -> AnyView {
    let server: Option<&Server> = i.item.native.as_deref();
    let status = match (i.item.gone_at, server) {
        (Some(at), _) => {
            view! { {chip(Tone::None, "left the cloud")}<span class="sub" title=full(Timestamp(at), zone)>{relative(Timestamp(at), now)}</span> }.into_any()
        }
        (None, Some(s)) => status_chips(s),
        (None, None) => chip(Tone::None, "not told"),
    };
    let newest = i.newest.as_ref().map_or_else(
        || view! { <span class="muted">"none"</span> }.into_any(),
        |s| {
            let pending = (s.state == "pending").then(|| state_chip(&s.state));
            view! { <a href=format!("/snapshots/{}", s.id)>{moment(Timestamp(s.taken_at), now, zone)}</a><span class="sub">{relative(Timestamp(s.taken_at), now)}</span>{pending} }.into_any()
        },
    );
    let text = |of: Option<String>| of.unwrap_or_else(|| "–".to_owned());
    let flavour = server.map(|s| view! { {s.flavour.name.clone()}<span class="sub">{flavour_words(&s.flavour)}</span> });
    let by = of_item(schedules, &i.item);
    let by = if by.is_empty() {
        view! { <span class="muted">"none"</span> }.into_any()
    } else {
        by.iter().map(|s| view! { <a href=format!("/schedules/{}", s.name)>{s.name.clone()}</a><br/> }).collect_view().into_any()
    };
    view! {
        <tr><th scope="row" class="brk"><a class="rowlink" href=place(&at.service.name, &at.source.name, &i.item.name)>{i.item.name.clone()}</a></th><td>{status}</td>
            <td class="col-md">{text(server.map(|s| boot_words(s.boot).to_owned()))}</td><td class="col-lo">{flavour}</td>
            <td class="col-lo">{text(server.and_then(|s| s.zone.clone()))}</td><td>{newest}</td><td class="col-md">{by}</td></tr>
    }
    .into_any()
}

/// The schedules that take snapshots of an item: of its name, or of every item of its source.
pub(super) fn of_item<'a>(schedules: &'a [ScheduleRow], item: &ItemRow) -> Vec<&'a ScheduleRow> {
    let takes = |s: &&ScheduleRow| {
        let here = s.service_id == Some(item.service_id) && s.source_id.is_none_or(|id| id == item.source_id);
        let named = ops::schedules::draft_of(s).ok().filter(|d| d.kind == domain::schedule::ScheduleKind::Backup);
        here && named.is_some_and(|d| d.snapshot.is_none_or(|p| p.instance.is_empty() || p.instance == item.name))
    };
    schedules.iter().filter(takes).collect()
}
