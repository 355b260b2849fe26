//! All exercises, the newest first.

use domain::{
    id::ExerciseId,
    units::{Timestamp, count, span},
};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use ops::{
    exercises::Listed,
    permission::{Action, On, allowed},
};

use super::{imported, state_chip};
use crate::{
    components::{
        address::with_query,
        empty, gauge,
        pager::{key, pager, parse_key},
        panel,
        status::Tone,
        table::{table, th},
        time::{moment_with_age, short},
    },
    context::{app, ctx},
    error::{form_error, refused},
    frame::{Nav, Page, page},
};

const ROWS: i64 = 50;

/// `/tests/exercises?service=&before=`.
#[component]
pub fn Exercises() -> impl IntoView {
    let (ctx, shared, query, error) = (ctx(), app(), use_query_map().get_untracked(), form_error());
    page(async move {
        let text = |name: &str| query.get(name).unwrap_or_default().trim().to_owned();
        let (name, before) = (text("service"), text("before"));
        let service = if name.is_empty() { None } else { Some(ops::services::find(&ctx, &name).await?) };
        let from = parse_key(&before).map(|(at, id)| (at, ExerciseId(id)));
        let mut all = ops::exercises::list(&ctx, service.as_ref().map(store::services::ServiceRow::id), from, ROWS + 1).await?;
        let more = all.len() as i64 > ROWS;
        all.truncate(ROWS as usize);
        let (now, zone, may) = (ctx.now(), &shared.zone, allowed(&ctx.actor, Action::Plan, On::Any));
        let here = |before: &str| with_query("/tests/exercises", &[("service", &name), ("before", before)]);
        let older = all
            .last()
            .filter(|_| more)
            .map(|e| (format!("Older than {}", short(Timestamp(e.row.started_at), now, zone)), here(&key(e.row.started_at, e.row.id))));
        let pages = pager((!before.is_empty()).then(|| ("Newest", here(""))), older.as_ref().map(|(w, h)| (w.as_str(), h.clone())));
        let ways = may.then(|| {
            let at = |path: &str| with_query(path, &[("service", &name)]);
            view! { <a class="btn" href=at("/tests/exercises/import")>"Import a past one"</a><a class="btn btn--primary" href=at("/tests/exercises/new")>"Begin an exercise"</a> }
        });
        let content = if all.is_empty() {
            let why = "People do them step by step: from a template, such as EGI's recovery of all users in eight steps, or freely. Past ones can be typed in from their records.";
            empty("No exercise yet", why.into_any(), None).into_any()
        } else {
            let rows = all.iter().map(|e| row(e, now, zone)).collect_view();
            let head = view! { {th("Exercise", "")}{th("Service", "col-md")}{th("Started", "")}{th("Measured", "num")}{th("Users", "num col-md")}{th("By", "col-lo")}{th("State", "")} };
            view! { {table("Exercises", "", head.into_any(), rows.into_any())}{pages} }.into_any()
        };
        let title = service.as_ref().map_or_else(|| "Exercises".to_owned(), |s| format!("Exercises of {}", s.title));
        let note = Some("done by people; they never count as restore tests that Holdfast measured".to_owned());
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">{title.clone()}</h1>
                <p class="page__lede">"Recovery done by hand, with each step ticked by whoever did it. What Holdfast measures itself stands under "<a href="/tests">"restore tests"</a>"."</p></div>
                <div class="row">{ways}</div></div>
            {error.as_ref().map(refused)}
            {panel("list", "The newest first", note, None, content)}
        };
        let crumbs = vec![("Home".to_owned(), "/".to_owned()), ("Restore tests".to_owned(), "/tests".to_owned())];
        Ok(Page { title, nav: Nav::Tests, crumbs, body: body.into_any() })
    })
}

fn row(e: &Listed, now: Timestamp, zone: &TimeZone) -> AnyView {
    let r = &e.row;
    let target = r.rto_target_s.map(|s| s as f64);
    let late = gauge::tone(r.rto_s, target) == Tone::Fail;
    let class = if late { "num nowrap s-fail" } else { "num nowrap" };
    view! {
        <tr>
            <th scope="row"><a class="rowlink" href=format!("/tests/exercises/{}", r.id)>{r.title.clone()}</a>" "{imported(r)}</th>
            <td class="col-md">{e.service_title.clone()}</td>
            <td class="nowrap">{match &r.started_given {
                Some(given) => view! { {given.clone()} }.into_any(),
                None => moment_with_age(Timestamp(r.started_at), now, zone).into_any(),
            }}</td>
            <td class=class>{r.rto_s.map_or_else(|| "–".to_owned(), span)}{target.map(|t| view! { <span class="sub">"of "{span(t)}</span> })}</td>
            <td class="num col-md">{r.users.map_or_else(|| "–".to_owned(), count)}</td>
            <td class="col-lo">{r.created_by.clone()}</td>
            <td>{state_chip(r)}</td>
        </tr>
    }
    .into_any()
}
