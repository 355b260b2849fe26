//! The plan of a service: what is approved, or the draft for whoever may change it.
//!
//! Lives here: the Plan tab, its head and its table of contents. The parts of the text are in `sections`, the signatures
//! in `sign_off`. May not: judging the plan.

use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::{use_params_map, use_query_map};
use ops::{
    OpsError,
    lint::Report,
    plans::{Plan, Version},
};

use super::{
    act::StartPlan,
    sections::{self, SECTIONS, Shown},
    sign_off,
    signs::{href, state_chip, words},
};
use crate::{
    components::{empty, icon, time::moment},
    context::{AppContext, app, ctx, visitor},
    error::form_error,
    frame::page,
    pages::{
        findings::parts::{dialogs, summary},
        reviews::bus::bus_factor,
        services::head::{Tab, service_page},
    },
};

/// `/services/:name/plan?v=`.
#[component]
pub fn ServicePlan() -> impl IntoView {
    let (ctx, shared, who, error) = (ctx(), app(), visitor(), form_error());
    let (params, query) = (use_params_map().get_untracked(), use_query_map().get_untracked());
    page(async move {
        let plan = ops::plans::find(&ctx, &params.get("name").unwrap_or_default()).await?;
        let asked = match query.get("v").filter(|v| !v.is_empty()) {
            None => None,
            Some(text) => {
                let number = text.parse().map_err(|_| OpsError::not_found("version of the plan", &text))?;
                Some(ops::plans::version(&ctx, &plan.service.name, number).await?)
            }
        };
        let content = match asked.as_ref().or(plan.shown()) {
            None => nothing(&plan),
            Some(version) => {
                let annex = ops::plans::annex(&ctx, &plan.service, version).await?;
                let obstacles = ops::plans::obstacles(&ctx, version).await?;
                let bus = ops::reviews::bus_factor(&ctx, &plan.service).await?;
                let report = ops::lint::findings(&ctx, &plan.service.name).await?;
                let report = Some(report).filter(|r| r.version.is_some_and(|(number, _)| number == version.row.number));
                let shown = Shown { plan: &plan, version, annex: &annex, report: report.as_ref(), ctx: &ctx, now: ctx.now(), zone: &shared.zone };
                let waive = report.as_ref().filter(|_| plan.may).map(|r| dialogs(r, ctx.now()));
                view! { {head(&plan, version, &shared, ctx.now())}
                <div class="grid grid--lead">{contents(report.as_ref())}<div class="panel doc">{sections::all(&shown)}{sign_off::section(&shown, &obstacles)}</div></div>
                <div class="mt-4 no-print">{bus_factor(&bus, &shared.zone)}</div>
                {waive} }
                .into_any()
            }
        };
        let now = ctx.now();
        let on_hold = ops::holds::undecided(&ctx, plan.service.id()).await?;
        let s = ops::overview::judge(plan.service, on_hold, now);
        Ok(service_page(&s, Tab::Plan, &who, (now, &shared.zone), error.as_ref(), content))
    })
}

/// The sections by their anchors, and the findings in a sentence.
fn contents(report: Option<&Report>) -> AnyView {
    let items = SECTIONS.iter().enumerate().map(|(n, (anchor, title))| view! { <li><a href=format!("#{anchor}")>{format!("{}. {title}", n + 1)}</a></li> });
    view! {
        <nav class="toc" aria-label="Sections of the plan"><ol>{items.collect_view()}</ol>
            <div class="mt-4">{report.map(summary)}</div>
            <p class="xs muted mt-4">"Values marked "{icon("i-link")}" come from runs and tests and cannot be typed."</p></nav>
    }
    .into_any()
}

/// Which version is shown, and the ways to the others.
fn head(plan: &Plan, version: &Version, shared: &AppContext, now: domain::units::Timestamp) -> AnyView {
    let (row, name) = (&version.row, &plan.service.name);
    let to = |v: &Version| {
        let current = (v.row.number == row.number).then_some("true");
        view! { <a href=href(name, &format!("?v={}", v.row.number)) aria-current=current>{crate::error::upper(&words(&v.row))}</a> }
    };
    let both = plan.open.as_ref().zip(plan.approved.as_ref()).map(|(open, approved)| {
        view! { <a href=href(name, &format!("/differences?from={}&to={}", approved.row.number, open.row.number))>"Differences"</a> }
    });
    let edit =
        (plan.may && row.state() == domain::plan::State::Draft).then(|| view! { <a class="btn btn--primary" href=href(name, "/edit")>"Edit the draft"</a> });
    let begin = (plan.may && plan.open.is_none()).then(|| start_button(name, "approved", "Begin a new draft", "btn--primary"));
    let exports = ["pdf", "html", "markdown", "json"].map(|format| {
        let title = if format == "markdown" { "Markdown".to_owned() } else { format.to_uppercase() };
        let link = format!("/api/v1/services/{}/plan/export?format={format}&version={}", crate::components::address::encode(name), row.number);
        view! { <a class="btn btn--sm btn--quiet" href=link download="">{title}<span class="vh">{format!(" of version {}", row.number)}</span></a> }
    });
    view! {
        <div class="row row--between mb-4">
            <div class="page__meta">{state_chip(row.state())}<span>{format!("Version {}", row.number)}</span>
                <span>"changed "{moment(domain::units::Timestamp(row.updated_at), now, &shared.zone)}" by "{row.updated_by.clone()}</span></div>
            <div class="row"><div class="seg" role="navigation" aria-label="Version">{plan.open.as_ref().map(to)}{plan.approved.as_ref().map(to)}{both}<a href=href(name, "/versions")>"All versions"</a></div>
                {edit}{begin}</div>
            <div class="row sm">{icon("i-down")}"Export"{exports.into_iter().collect_view()}</div>
        </div>
    }
    .into_any()
}

pub fn start_button(service: &str, from: &'static str, words: &'static str, class: &str) -> AnyView {
    view! {
        <form method="post" action=StartPlan::url()><input type="hidden" name="service" value=service.to_owned()/><input type="hidden" name="from" value=from/>
            <button class=format!("btn {class}")>{words}</button></form>
    }
    .into_any()
}

fn nothing(plan: &Plan) -> AnyView {
    let name = &plan.service.name;
    let way = plan.may.then(|| {
        view! { <div class="row">{start_button(name, "empty", "Begin with the empty form", "btn--primary")}<a class="btn" href=href(name, "/import")>"Import a plan"</a></div> }
            .into_any()
    });
    let why = if plan.may {
        "A plan says how the service is brought back, how long that may take, and who has agreed to it."
    } else {
        "No version of this plan has been approved. When one is, it stands here."
    };
    view! { <section class="panel" aria-label="Plan">{empty("No plan yet", why.into_any(), way)}</section> }.into_any()
}
