//! All runs, the newest first: by kind, state and service.

use domain::{
    id::RunId,
    run::{RunKind, RunState},
    units::{Timestamp, span},
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use ops::{
    Actor,
    permission::{Action, On, allowed},
};
use store::runs::{Filter, ListedRun};

use crate::{
    components::{
        address::with_query,
        empty,
        pager::{key, pager, parse_key},
        run::{kind_words, state_chip_of, state_sign},
        table::{table, th},
        time::{moment_with_age, short},
        way,
    },
    context::{app, ctx},
    error::upper,
    frame::{Nav, Page, page},
};

const ON_A_PAGE: i64 = 50;

/// `/runs?kind=&state=&service=&before=`.
#[component]
pub fn Runs() -> impl IntoView {
    let (ctx, shared, query) = (ctx(), app(), use_query_map().get_untracked());
    page(async move {
        let text = |name: &str| query.get(name).unwrap_or_default().trim().to_owned();
        let (kind, state, service, before) = (RunKind::parse(&text("kind")), RunState::parse(&text("state")), text("service"), text("before"));
        let found = if service.is_empty() { None } else { Some(ops::services::find(&ctx, &service).await) };
        let unknown = matches!(found, Some(Err(ops::OpsError::NotFound { .. })));
        let filter = Filter { kind, state, service: found.filter(|_| !unknown).transpose()?.map(|s| s.id()) };
        let mut runs =
            if unknown { Vec::new() } else { ops::runs::list(&ctx, filter, parse_key(&before).map(|(at, id)| (at, RunId(id))), ON_A_PAGE + 1).await? };
        let more = runs.len() as i64 > ON_A_PAGE;
        runs.truncate(ON_A_PAGE as usize);
        let now = ctx.now();
        let filtered = kind.is_some() || state.is_some() || !service.is_empty();
        let here = |before: &str| {
            let (kind, state) = (kind.map_or("", RunKind::as_str), state.map_or("", RunState::as_str));
            with_query("/runs", &[("kind", kind), ("state", state), ("service", &service), ("before", before)])
        };
        let older = runs.last().filter(|_| more).map(|r| {
            let words = format!("Older than {}", short(Timestamp(r.run.queued_at), now, &shared.zone));
            (words, here(&key(r.run.queued_at, r.run.id)))
        });
        let pages = pager((!before.is_empty()).then(|| ("Newest", here(""))), older.as_ref().map(|(words, href)| (words.as_str(), href.clone())));
        let list = if runs.is_empty() {
            nothing(filtered, unknown.then_some(service.as_str()))
        } else {
            let head = view! {
                {th("Run", "")}{th("Service", "col-md")}{th("State", "")}{th("Queued", "")}{th("Took", "num col-md")}{th("By", "col-lo")}
            };
            let rows = runs.iter().map(|r| row(r, &ctx.actor, now, &shared.zone)).collect_view();
            table("Runs", "", head.into_any(), rows.into_any()).into_any()
        };
        let workers = allowed(&ctx.actor, Action::Read, On::All).then(|| view! { <a class="btn" href="/workers">"Workers"</a> });
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Runs"</h1>
                <p class="page__lede">"Every backup, restore, restore test and check: what it was asked for, what it did step by step, and how it ended."</p></div>
                <div class="row">{workers}</div></div>
            <div class="stack"><section class="panel" aria-label="Runs">
                <form class="filters" method="get" action="/runs" aria-label="Filter the runs">
                    <div class="field"><label for="f-kind">"Kind"</label><select class="select input--sm" id="f-kind" name="kind">
                        <option value="">"All kinds"</option>
                        {RunKind::ALL.iter().map(|k| view! { <option value=k.as_str() selected=Some(*k) == kind>{upper(kind_words(*k))}</option> }).collect_view()}
                    </select></div>
                    <div class="field"><label for="f-state">"State"</label><select class="select input--sm" id="f-state" name="state">
                        <option value="">"All states"</option>
                        {RunState::ALL.iter().map(|s| view! { <option value=s.as_str() selected=Some(*s) == state>{upper(state_sign(*s).2)}</option> }).collect_view()}
                    </select></div>
                    <div class="field"><label for="f-service">"Service"</label><input class="input input--sm" id="f-service" name="service" type="search" placeholder="Its name" value=service.clone()/></div>
                    <button class="btn btn--sm">"Apply"</button>
                    {filtered.then(|| view! { <a class="btn btn--sm btn--quiet" href="/runs">"Clear"</a> })}
                </form>
                {list}{pages}
            </section></div>
        };
        Ok(Page { title: "Runs".to_owned(), nav: Nav::Runs, crumbs: vec![("Home".to_owned(), "/".to_owned())], body: body.into_any() })
    })
}

fn nothing(filtered: bool, unknown: Option<&str>) -> AnyView {
    let clear = || view! { <a class="btn" href="/runs">"Show all runs"</a> }.into_any();
    match (unknown, filtered) {
        (Some(name), _) => empty("No such service", view! { "There is no service named "<b>{name.to_owned()}</b>"." }.into_any(), Some(clear())).into_any(),
        (None, true) => empty("No run like that", "No run has this kind, state and service.".into_any(), Some(clear())).into_any(),
        (None, false) => empty(
            "No runs yet",
            view! { "A run begins when you back up a service: "<code>"holdfast backup SERVICE"</code>", or from the page of a service." }.into_any(),
            Some(view! { <a class="btn" href="/services">"See the services"</a> }.into_any()),
        )
        .into_any(),
    }
}

fn row(r: &ListedRun, actor: &Actor, now: Timestamp, zone: &jiff::tz::TimeZone) -> AnyView {
    let run = &r.run;
    let took = match (run.started_at, run.finished_at) {
        (Some(from), Some(to)) => span(Timestamp(to).secs_since(Timestamp(from)).max(0.0)),
        (Some(from), None) => span(now.secs_since(Timestamp(from)).max(0.0).round()),
        (None, _) => "–".to_owned(),
    };
    let service = r.service_name.as_ref().map_or_else(
        || view! { <span class="muted">"–"</span> }.into_any(),
        |name| {
            let opens = allowed(actor, Action::Read, On::service(run.service_id));
            way(opens, format!("/services/{name}"), r.service_title.clone().unwrap_or_else(|| name.clone()))
        },
    );
    let why = run.failure.as_ref().map(|f| view! { <span class="sub clip">{upper(&f.0.message)}</span> });
    let again = run.retry_of.is_some().then(|| view! { <span class="tag">"retry"</span> });
    view! {
        <tr>
            <th scope="row"><a class="rowlink" href=format!("/runs/{}", run.id)>{run.title.clone()}</a>" "{again}{why}</th>
            <td class="col-md nowrap">{service}</td>
            <td>{state_chip_of(&run.state)}</td>
            <td class="nowrap">{moment_with_age(Timestamp(run.queued_at), now, zone)}</td>
            <td class="num col-md nowrap">{took}</td>
            <td class="col-lo nowrap">{run.actor.clone()}</td>
        </tr>
    }
    .into_any()
}
