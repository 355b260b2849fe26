//! The form that makes or changes a definition of restore tests.
//!
//! Lives here: `/services/NAME/definitions/new` and `…/DEFINITION`. May not: judging values.
//! Without scripts the form itself adds and drops checks: a button loads the page again with one more or one less.

use std::collections::BTreeMap;

use domain::definition::{Compare, MOST_CHECKS};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_params_map;
use ops::{
    OpsError,
    config::Tools,
    permission::{Action, On, allowed},
    test_definitions,
};

use super::{
    act::{RemoveDefinition, SaveDefinition},
    fields::{Fields, KINDS, part},
};
use crate::{
    components::{
        address::encode,
        dialog::dialog,
        field::{Line, line},
        panel,
        stale::{differences, is_stale},
    },
    context::{app, ctx, query, visitor},
    error::{AppError, form_error, upper},
    frame::{Nav, Page, page},
    pages::services::act::refused,
};

#[component]
pub fn Definition() -> impl IntoView {
    let (ctx, shared, who, query, error) = (ctx(), app(), visitor(), query(), form_error());
    let params = use_params_map().get_untracked();
    page(async move {
        let service = ops::services::find(&ctx, &params.get("name").unwrap_or_default()).await?;
        let name = params.get("definition").unwrap_or_default();
        let (mine, admin) = (allowed(&who.actor, Action::Operate, On::Service(service.id())), allowed(&who.actor, Action::Configure, On::All));
        let typed = Fields::read(&service.name, &query).map(|f| f.asked(&query));
        let base = format!("/services/{}/tests", encode(&service.name));
        let (title, fields, may, differ, users) = if name == "new" {
            if !mine {
                return Err(OpsError::Forbidden(Action::Operate.words()));
            }
            let fields = Fields { version: String::new(), ..typed.unwrap_or_else(|| Fields::new(&service.name)) };
            ("New definition of a restore test".to_owned(), fields, mine, None, Vec::new())
        } else {
            let row = test_definitions::find(&ctx, &service.name, &name).await?;
            let may = test_definitions::may_change(&ctx, &service, &row.terms.0);
            let saved = Fields::of(&service.name, &row);
            let here = format!("/services/{}/definitions/{}", encode(&service.name), encode(&name));
            let differ = typed.as_ref().filter(|_| is_stale(error.as_ref())).map(|t| differences(saved.shown(), t.shown(), &here));
            let users = test_definitions::schedules_of(&ctx, &service, &name).await?;
            // Whoever saves again after somebody else has seen what is there now.
            let version = if differ.is_some() { saved.version.clone() } else { typed.as_ref().map_or_else(|| saved.version.clone(), |t| t.version.clone()) };
            let fields = Fields { version, name: row.name.clone(), ..typed.unwrap_or(saved) };
            (format!("Restore test {name}"), fields, may, differ, users)
        };
        let content = if may { form(&fields, &shared.tools, admin, error.as_ref()) } else { facts(&fields) };
        let remove = (may && !fields.version.is_empty()).then(|| remove(&fields, &users));
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">{title.clone()}</h1>
                <p class="page__lede">{format!("What a restore test of {} takes, checks, and must keep to. A run keeps what stands here when it is queued.", service.title)}</p></div>
                <div class="row">{remove}</div></div>
            {error.as_ref().map(refused)}
            <div class="stack">{differ}{content}</div>
        };
        let crumbs = vec![
            ("Home".to_owned(), "/".to_owned()),
            ("Services".to_owned(), "/services".to_owned()),
            (service.title.clone(), format!("/services/{}", service.name)),
            ("Tests".to_owned(), base),
        ];
        Ok(Page { title, nav: Nav::Services, crumbs, body: body.into_any() })
    })
}

/// What an auditor sees, and an owner of what an admin has defined.
fn facts(fields: &Fields) -> AnyView {
    let rows = fields.shown().into_iter().map(|(name, value)| {
        let value = if value.is_empty() { "as the service has it".to_owned() } else { value };
        view! { <dt>{name}</dt><dd class="brk">{value}</dd> }
    });
    let body = view! { <div class="panel__body"><dl class="kv">{rows.collect_view()}</dl></div> };
    panel("definition", "Definition", None, None, body.into_any()).into_any()
}

fn form(f: &Fields, tools: &Tools, admin: bool, error: Option<&AppError>) -> AnyView {
    let new = f.version.is_empty();
    let text = |name: &str, field: &str, label: &str, hint: &str, value: &str| {
        line(&Line { name, field, label, hint, value: value.to_owned(), ..Line::default() }, error)
    };
    let name = if new {
        let hint = "Short: a–z, 0–9, “-”, “_”, “.”";
        line(&Line { name: "name", field: "name", label: "Name", hint, value: f.name.clone(), required: true, ..Line::default() }, error)
    } else {
        view! { <input type="hidden" name="name" value=f.name.clone()/> }.into_any()
    };
    let choice = |value: &'static str, title: &'static str, words: &'static str| {
        let checked = f.selection == value;
        view! { <label class="choice"><input type="radio" name="selection" value=value checked=checked/><b>{title}</b><span>{words}</span></label> }
    };
    let listed = f.listed();
    let checks = listed.iter().enumerate().map(|(n, c)| check(n, c, tools, error)).collect_view();
    let add = (admin && listed.len() < MOST_CHECKS).then(|| {
        let buttons =
            KINDS.map(|(kind, words)| view! { <button class="btn btn--sm" name="add" value=kind formnovalidate="true">{format!("Add {words}")}</button> });
        view! { <div class="row">{buttons.collect_view()}</div> }
    });
    let further = (admin || !listed.is_empty()).then(|| {
        let lede = "Every test counts, compares every byte, looks for the service's canary, and measures. These come on top.";
        let body = view! { <div class="panel__body stack"><p class="sm soft">{lede}</p>{checks}{add}</div> };
        panel("checks", "Further checks", None, None, body.into_any())
    });
    let start = admin.then(|| {
        let options: Vec<_> = std::iter::once((String::new(), "No start".to_owned())).chain(tools.commands.iter().map(|c| (c.name.clone(), c.name.clone()))).collect();
        let hint = "A command of the server's file of test tools that starts the service on what was restored and exits with 0. It proves the level “service started”.";
        let body = view! { <div class="panel__body">{pick("start", "start", "Start the service by", hint, &options, &f.start, error)}</div> };
        panel("start", "Start of the service", None, None, body.into_any())
    });
    let what = view! {
        <div class="panel__body stack">
            {name}
            <fieldset class="choices"><legend class="field__label">"What is restored"</legend>
                {choice("latest", "The newest snapshot", "the smallest proof")}
                {choice("random", "One snapshot at random", "of a window of days: old copies can be brought back, too")}
                {choice("sample", "Some items at random", "the newest snapshot of each")}
                {choice("all", "Everything", "the time that a real loss would take")}
            </fieldset>
            <div class="pair">{text("days", "days", "Days of the window", "For one snapshot at random", &f.days)}{text("count", "sample", "Number of items", "For some items at random", &f.count)}</div>
            {text("network", "network", "Network of instances", "What clones are attached to. Empty: nothing. “isolated”: one of the test without a router. Or one of the project, which an admin may name", &f.network)}
        </div>
    };
    let limits = view! {
        <div class="panel__body"><div class="pair">
            {text("rto", "rto", "Time to restore (RTO)", "Such as 30m or 4h. Empty: the service's", &f.rto)}
            {text("rpo", "rpo", "Age of the data (RPO)", "Such as 24h. Empty: the service's", &f.rpo)}</div>
            <p class="sm soft">"A limit that is broken is a failed check."</p></div>
    };
    let place = format!("/services/{}/definitions/{}", encode(&f.service), if new { "new".to_owned() } else { encode(&f.name) });
    let back = format!("/services/{}/tests", encode(&f.service));
    view! {
        <form class="stack" method="get" action=place>
            // The Enter key presses the first button of a form: it saves.
            <button class="vh" tabindex="-1" aria-hidden="true" formmethod="post" formaction=SaveDefinition::url()>"Save"</button>
            <input type="hidden" name="typed" value="1"/>
            <input type="hidden" name="service" value=f.service.clone()/>
            <input type="hidden" name="version" value=f.version.clone()/>
            {panel("what", "What", None, None, what.into_any())}
            {panel("limits", "Limits", None, None, limits.into_any())}
            {further}{start}
            <p class="row"><button class="btn btn--primary" formmethod="post" formaction=SaveDefinition::url()>"Save the definition"</button><a class="btn" href=back>"Back"</a></p>
        </form>
    }
    .into_any()
}

/// One of several, with what was wrong with it. What was typed stays among them, also where it is not known any more.
fn pick(name: &str, field: &str, label: &str, hint: &str, options: &[(String, String)], chosen: &str, error: Option<&AppError>) -> AnyView {
    let id = format!("f-{name}");
    let other = (!chosen.is_empty() && !options.iter().any(|(v, _)| v == chosen)).then(|| (chosen.to_owned(), format!("{chosen} (not known here)")));
    let all = options
        .iter()
        .chain(&other)
        .map(|(value, words)| view! { <option value=value.clone() selected=value == chosen>{words.clone()}</option> })
        .collect_view();
    let said = error.and_then(|e| e.field(field));
    let (hint_id, error_id) = (format!("{id}-hint"), format!("{id}-error"));
    let by = if said.is_some() { error_id.clone() } else { hint_id.clone() };
    let invalid = said.is_some().then_some("true");
    view! {
        <div class="field"><label for=id.clone()>{label.to_owned()}</label><select class="select" id=id name=name.to_owned() aria-describedby=by aria-invalid=invalid>{all}</select>
            <p class="field__hint" id=hint_id>{hint.to_owned()}</p>{said.map(|m| view! { <p class="field__error" id=error_id>{upper(&m)}</p> })}</div>
    }
    .into_any()
}

/// The fields of one further check.
fn check(n: usize, c: &BTreeMap<String, String>, tools: &Tools, error: Option<&AppError>) -> AnyView {
    let kind = c.get("kind").map_or("", String::as_str);
    let words = KINDS.iter().find(|(k, _)| *k == kind).map_or("", |(_, words)| words);
    let value = |field: &str| c.get(field).cloned().unwrap_or_default();
    let text = |field: &str, label: &str, hint: &str| {
        let (name, at) = (part(n, field), format!("checks[{n}].{field}"));
        line(&Line { name: &name, field: &at, label, hint, value: value(field), ..Line::default() }, error)
    };
    let choose = |field: &str, label: &str, hint: &str, options: &[(String, String)]| {
        pick(&part(n, field), &format!("checks[{n}].{field}"), label, hint, options, &value(field), error)
    };
    let same = |names: Vec<&String>| names.into_iter().map(|n| (n.clone(), n.clone())).collect::<Vec<_>>();
    let compare: Vec<_> = Compare::ALL.iter().map(|c| (c.as_str().to_owned(), c.as_str().to_owned())).collect();
    let assertion = || {
        view! {
            {text("statement", "Statement", "One SELECT that gives one value; it can only read")}
            <div class="pair">{choose("compare", "The value is", "", &compare)}{text("expected", "Expected", "A number, or with = any text")}</div>
        }
    };
    let own = match kind {
        "sqlite" => view! {
            <div class="pair">{text("item", "Item", "As the service lists it; it is restored in every test")}{text("path", "Path inside the item", "Such as data/app.db")}</div>
            {assertion()}
        }
        .into_any(),
        "postgresql" => {
            let known = same(tools.connections.iter().map(|c| &c.name).collect());
            view! { {choose("connection", "Database", "Named in the server's file of test tools", &known)}{assertion()} }.into_any()
        }
        "http" => view! {
            {text("url", "Address", "Redirects are not followed. {address} stands for that of the instance that was brought back")}
            <div class="pair">{text("status", "Status", "Such as 200")}{text("text", "Text in the answer", "Empty: the status is enough")}</div>
        }
        .into_any(),
        "tcp" => view! {
            <div class="pair">{text("host", "Host", "Or {address}: that of the instance that was brought back")}{text("port", "Port", "Such as 22")}</div>
        }
        .into_any(),
        _ => {
            let known = same(tools.commands.iter().map(|c| &c.name).collect());
            choose("command", "Command", "Named in the server's file of test tools. Exit code 0 passes, 77 could not check, any other fails.", &known)
        }
    };
    view! {
        <fieldset class="field stack stack--sm"><legend class="field__label">{format!("Check {}: {words}", n + 1)}</legend>
            <input type="hidden" name=part(n, "kind") value=kind.to_owned()/>
            {text("name", "Name of the check", "Short, as the report shows it")}
            {own}
            <p><button class="btn btn--sm btn--quiet" name="drop" value=n.to_string() formnovalidate="true">"Drop this check"<span class="vh">{format!(" {}", n + 1)}</span></button></p>
        </fieldset>
    }
    .into_any()
}

fn remove(f: &Fields, users: &[String]) -> AnyView {
    if !users.is_empty() {
        return view! { <p class="muted sm">{format!("The schedule {} tests by it, so it stays.", users.join(", "))}</p> }.into_any();
    }
    let body = view! { <p>"What was tested by it stays on record, and what waits in the queue is tested as it was asked for."</p> };
    let button = view! {
        <form method="post" action=RemoveDefinition::url()><input type="hidden" name="service" value=f.service.clone()/><input type="hidden" name="name" value=f.name.clone()/>
            <input type="hidden" name="version" value=f.version.clone()/><button class="btn btn--danger">"Remove the definition"</button></form>
    };
    view! { <a class="btn btn--quiet" href="#remove">"Remove"</a>{dialog("remove", &format!("Remove the definition {}?", f.name), "Keep it", body.into_any(), button.into_any())} }
        .into_any()
}
