//! The form that makes or changes a schedule, with what it would do beside it.
//!
//! Lives here: `/schedules/new` and `/schedules/NAME/edit`. May not: judging values.
//! Without scripts the preview refreshes with a button; with them the same parts are drawn anew while one types.

use std::collections::BTreeMap;

use domain::{
    schedule::{Misfire, ScheduleKind},
    units::Timestamp,
};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_params_map;
use ops::{
    Ctx,
    permission::{Action, require},
    schedules::Suggestion,
};

use super::{
    act::{PreviewSchedule, SaveSchedule},
    fields::Fields,
    preview::{self, Shown, misfire_words},
};
use crate::{
    components::{
        address::{Query, encode},
        icon,
        origin::comes_back,
        panel,
        run::kind_words,
        stale::{differences, is_stale},
    },
    context::{AppContext, app, ctx, query},
    error::{AppError, form_error, upper},
    frame::{Nav, Page, page},
    islands::form_preview::FormPreview,
    pages::{
        instances::fields::{self as native, problem},
        services::act::refused,
    },
};

/// `/schedules/new?…`.
#[component]
pub fn NewSchedule() -> impl IntoView {
    let (ctx, shared, query, error) = (ctx(), app(), query(), form_error());
    page(async move {
        require(&ctx, Action::Configure)?;
        let zone = shared.zone.iana_name().filter(|z| ops::cron::zone(z).is_some()).unwrap_or("UTC").to_owned();
        show(&ctx, &Fields::read(&query, &zone), &query, &shared, error, None).await
    })
}

/// `/schedules/:name/edit?…`.
#[component]
pub fn EditSchedule() -> impl IntoView {
    let (ctx, shared, query, error) = (ctx(), app(), query(), form_error());
    let name = use_params_map().get_untracked().get("name").unwrap_or_default();
    page(async move {
        require(&ctx, Action::Configure)?;
        let row = ops::schedules::find(&ctx, &name).await?;
        let saved = Fields::of_draft(&ops::schedules::draft_of(&row)?, row.revision);
        let Some(revision) = query.get("revision") else { return show(&ctx, &saved, &query, &shared, error, comes_back(&row.origin)).await };
        let typed = Fields { name: name.clone(), ..Fields::read(&query, &row.zone) };
        if !is_stale(error.as_ref()) || revision == saved.revision {
            return show(&ctx, &typed, &query, &shared, error, comes_back(&row.origin)).await;
        }
        let differ = differences(saved.shown(), typed.shown(), &format!("/schedules/{}/edit", encode(&name)));
        // Whoever saves again has seen what is there now.
        let fields = Fields { revision: saved.revision, ..typed };
        show(&ctx, &fields, &query, &shared, error, Some(differ)).await
    })
}

async fn show(ctx: &Ctx, fields: &Fields, query: &Query, shared: &AppContext, error: Option<AppError>, above: Option<AnyView>) -> ops::Result<Page> {
    let shown = preview::load(ctx, fields).await?;
    let suggestions = ops::schedules::suggestions(ctx).await?;
    let new = fields.revision.is_empty();
    // An untouched form has nothing wrong with it yet.
    let checked = query.get("checked").is_some();
    let title = if new { "New schedule".to_owned() } else { format!("Change {}", fields.name) };
    let mut crumbs = vec![("Home".to_owned(), "/".to_owned()), ("Schedules".to_owned(), "/schedules".to_owned())];
    if !new {
        crumbs.push((fields.name.clone(), format!("/schedules/{}", fields.name)));
    }
    let above = view! { {error.map(|e| refused(&e))}{above} }.into_any();
    let body = body(&title, fields, &shown, checked, &suggestions, ctx.now(), shared, above);
    Ok(Page { title, nav: Nav::Schedules, crumbs, body })
}

#[allow(clippy::too_many_arguments, reason = "all that the page shows, named by its type")]
fn body(
    title: &str,
    fields: &Fields,
    shown: &Shown,
    checked: bool,
    suggestions: &[Suggestion],
    now: Timestamp,
    shared: &AppContext,
    above: AnyView,
) -> AnyView {
    let mut parts: BTreeMap<_, _> = preview::parts(shown, fields, now).into_iter().collect();
    let mut drawn = |id: &str| parts.remove(id).unwrap_or_else(|| ().into_any());
    let mut part = |id: &'static str| view! { <div id=id class="stack stack--sm">{drawn(id)}</div> };
    let wrong = |field: &str| if checked { shown.wrong(field) } else { None };
    let (warn, clock, words, next) = (part("pv-warn"), part("pv-clock"), part("pv-words"), part("pv-next"));
    let (load, plan, kept) = (part("pv-load"), part("pv-plan"), part("pv-kept"));
    let native = instance(fields, drawn("pv-instances"), drawn("pv-makes"), &wrong);
    let zones = zone_options(&fields.tz);
    let cron_wrong = shown.wrong("cron").is_some().then_some("true");
    let cron_field = |name: &'static str, label: &'static str, value: &str| {
        view! { <label><input class="input" name=name value=value.to_owned() aria-label=label autocomplete="off" aria-invalid=cron_wrong/>{label}</label> }
    };
    let when = view! {
        <div class="panel__body">
            <fieldset><legend class="field__label">"Cron expression"</legend>
                <div class="cron mt-2">{cron_field("m", "minute", &fields.m)}{cron_field("h", "hour", &fields.h)}{cron_field("dom", "day", &fields.dom)}{cron_field("mon", "month", &fields.mon)}{cron_field("dow", "weekday", &fields.dow)}</div></fieldset>
            {warn}
            <div class="form__row">
                <div class="field"><label for="tz">"Time zone"</label><select class="select" id="tz" name="tz">{zones}</select><div class="field__hint">{clock}</div>{problem("zone", wrong("zone"))}</div>
                <div class="field"><label for="missed">"If runs were missed"</label><select class="select" id="missed" name="missed">
                    {Misfire::ALL.iter().map(|m| view! { <option value=m.as_str() selected=m.as_str() == fields.missed>{misfire_words(*m)}</option> }).collect_view()}
                    </select><span class="field__hint">"While Holdfast was down. A missed run stays in the ledger of expected runs either way."</span></div>
            </div>
            {words}
        </div>
    };
    let save = view! {
        <div class="panel__body">{plan}<p class="row"><button class="btn btn--primary" formmethod="post" formaction=SaveSchedule::url()>"Save the schedule"</button>
            <button class="btn" name="checked" value="1" formnovalidate="true">"Refresh the preview"</button></p>
            <p class="sm muted">"Without scripts the preview refreshes with the button; with them, half a second after the last key."</p></div>
    };
    view! {
        <div class="page__head"><div><h1 class="page__title">{title.to_owned()}</h1>
            <div class="page__meta"><span class="chip chip--warn">{icon("i-warn")}"not saved yet"</span></div></div></div>
        {above}
        <form id="schedule" method="get" action=fields.path()>
            <FormPreview form="schedule".to_owned() url=PreviewSchedule::url().to_owned()/>
            <input type="hidden" name="revision" value=fields.revision.clone()/>
            <div class="grid grid--aside-w"><div class="stack">
                {panel("what", "What", None, None, what(fields, suggestions, &wrong))}
                {panel("when", "When", None, None, when.into_any())}
                <div class="only only--backup">{panel("kept", "What is kept", Some("a preview; nothing is changed".to_owned()), None, kept.into_any())}</div>
                <div class="only only--instance">{panel("native", "Instance snapshot", Some("with the names that CERN's workflows give them".to_owned()), None, native)}</div>
                {panel("limits", "Limits", None, None, limits(fields, &wrong))}
            </div><div class="stack">
                {panel("next", "Next ten runs", Some(format!("in {}", zone_note(&fields.tz, now, shared))), None, next.into_any())}
                {panel("load", "Load", None, None, view! { <div class="panel__body">{load}</div> }.into_any())}
                {panel("save", "Save", None, None, save.into_any())}
            </div></div>
        </form>
    }
    .into_any()
}

fn zone_note(name: &str, now: Timestamp, shared: &AppContext) -> String {
    ops::cron::zone(name).map_or_else(|| crate::components::time::zone_name(now, &shared.zone), |z| crate::components::time::zone_name(now, &z))
}

fn zone_options(chosen: &str) -> AnyView {
    let names = ops::cron::zones();
    let other = (!names.iter().any(|n| n == chosen)).then(|| view! { <option selected=true>{chosen.to_owned()}</option> });
    let known = names.iter().map(|n| view! { <option selected=n == chosen>{n.as_str()}</option> }).collect_view();
    view! { {other}{known} }.into_any()
}

fn what(fields: &Fields, suggestions: &[Suggestion], wrong: &impl Fn(&str) -> Option<String>) -> AnyView {
    let new = fields.revision.is_empty();
    let invalid = |field: &str| wrong(field).is_some().then_some("true");
    let kinds = ScheduleKind::ALL
        .iter()
        .map(|k| view! { <option value=k.as_str() selected=k.as_str() == fields.kind>{upper(kind_words(k.run_kind()))}</option> })
        .collect_view();
    let list = suggestions.iter().map(|s| view! { <option value=s.of.clone()>{s.words.clone()}</option> }).collect_view();
    view! {
        <div class="panel__body">
            <div class="form__row">
                <div class="field"><label for="name">"Name"</label>
                    <input class="input input--mono" id="name" name="name" value=fields.name.clone() readonly=!new required maxlength="63" autocomplete="off" placeholder="notebooks-daily" aria-invalid=invalid("name") aria-describedby="name-h name-e"/>
                    <span class="field__hint" id="name-h">{if new { "Lower-case letters, digits, “-”, “_” and “.”" } else { "A schedule keeps its name, and with it its ledger." }}</span>{problem("name", wrong("name"))}</div>
                <div class="field"><label for="kind">"Starts a"</label><select class="select" id="kind" name="kind">{kinds}</select>{problem("kind", wrong("kind"))}</div>
            </div>
            <div class="form__row">
                <div class="field"><label for="of">"Of"</label>
                    <input class="input input--mono" id="of" name="of" list="of-list" value=fields.of.clone() required autocomplete="off" placeholder="notebooks or notebooks/homes" aria-invalid=invalid("of") aria-describedby="of-h of-e"/>
                    <datalist id="of-list">{list}</datalist>
                    <span class="field__hint" id="of-h">"A backup: a service, or SERVICE/SOURCE. A restore test: a service. A check or a prune: a repository."</span>{problem("of", wrong("of"))}</div>
                <div class="field only only--test"><label for="sample">"Items of a restore test"</label>
                    <input class="input" id="sample" name="sample" value=fields.sample.clone() autocomplete="off" aria-invalid=invalid("sample") aria-describedby="sample-h sample-e"/>
                    <span class="field__hint" id="sample-h">"A number of items taken at random, latest, or all"</span>{problem("sample", wrong("sample"))}</div>
                <div class="field only only--test"><label for="definition">"Definition of a restore test"</label>
                    <input class="input input--mono" id="definition" name="definition" value=fields.definition.clone() autocomplete="off" placeholder="weekly" aria-invalid=invalid("definition") aria-describedby="definition-h definition-e"/>
                    <span class="field__hint" id="definition-h">"From the service's Tests tab; it says what is taken and checked. Empty: the built-in one, with the items above"</span>{problem("definition", wrong("definition"))}</div>
                <label class="check only only--check"><input type="checkbox" name="read_data" checked=!fields.read_data.is_empty()/><span><b>"Read all data"</b><span class="sub">"A check of every byte, not the structure alone"</span></span></label>
            </div>
        </div>
    }
    .into_any()
}

/// The parameters of instance snapshots. They are there whatever the source, and shown where it has instances.
fn instance(fields: &Fields, list: AnyView, makes: AnyView, wrong: &impl Fn(&str) -> Option<String>) -> AnyView {
    view! {
        <div class="panel__body">
            <div class="field"><label for="instance">"instance"</label>
                <input class="input input--mono" id="instance" name="instance" list="instance-list" value=fields.native.instance.clone() autocomplete="off" spellcheck="false" aria-invalid=wrong("instance").is_some().then_some("true") aria-describedby="instance-h instance-e"/>
                <div id="pv-instances" hidden>{list}</div>
                <span class="field__hint" id="instance-h">"One of those that the cloud lists. Empty: a snapshot of each of them, by a run each."</span>{problem("instance", wrong("instance"))}</div>
            {native::fields(&fields.native, makes, wrong)}
        </div>
    }
    .into_any()
}

fn limits(fields: &Fields, wrong: &impl Fn(&str) -> Option<String>) -> AnyView {
    let invalid = |field: &str| wrong(field).is_some().then_some("true");
    view! {
        <div class="panel__body"><div class="form__row">
            <div class="field"><label for="jitter">"Jitter"</label>
                <input class="input" id="jitter" name="jitter" value=fields.jitter.clone() autocomplete="off" placeholder="10m" aria-invalid=invalid("jitter") aria-describedby="jitter-h jitter-e"/>
                <span class="field__hint" id="jitter-h">"Each run begins up to this much later, so that schedules do not all begin at once"</span>{problem("jitter", wrong("jitter"))}</div>
            <div class="field"><label for="max">"Maximum duration"</label>
                <input class="input" id="max" name="max" value=fields.max.clone() autocomplete="off" placeholder="6h" aria-invalid=invalid("max_duration") aria-describedby="max-h max_duration-e"/>
                <span class="field__hint" id="max-h">"A run that takes longer is cancelled. Empty: no limit. A run that still lives when the next one is due makes that one a missed run."</span>{problem("max_duration", wrong("max_duration"))}</div>
        </div></div>
    }
    .into_any()
}
