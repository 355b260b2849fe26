//! One rule: what it tells, to whom.

use domain::alert::{AlertKind, Severity};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_params_map;
use ops::{
    OpsError,
    permission::{Action, On, allowed},
};

use super::{
    act::{RemoveRule, SaveRule},
    fields::RuleFields,
    head::below,
    overview::rule_words,
};
use crate::{
    components::{
        dialog::dialog,
        field::{Line, any_of, choose, line, lines},
        origin::{comes_back, from_file},
        panel,
        stale::{differences, is_stale},
    },
    context::{app, ctx, query, visitor},
    error::{AppError, form_error, upper},
    frame::page,
};

/// `/notifications/rules/NAME`, or `new`.
#[component]
pub fn RulePage() -> impl IntoView {
    let (ctx, shared, who, query, error) = (ctx(), app(), visitor(), query(), form_error());
    let name = use_params_map().get_untracked().get("name").unwrap_or_default();
    page(async move {
        let change = allowed(&who.actor, Action::Configure, On::All);
        let channels: Vec<String> = ops::notifications::channels::list(&ctx).await?.into_iter().map(|c| c.row.name).collect();
        let typed = RuleFields::read(&query);
        if name == "new" {
            if !change {
                return Err(OpsError::Forbidden(Action::Configure.words()));
            }
            // All channels are told of warnings and worse, unless something else was typed.
            let usual = || RuleFields { channels: channels.clone(), severity: Severity::Warning.as_str().to_owned(), ..RuleFields::default() };
            let form = form(&RuleFields { version: String::new(), ..typed.unwrap_or_else(usual) }, &channels, error.as_ref());
            return Ok(below("New rule", "Which alerts go to which channels.", &[], error.as_ref(), form));
        }
        let found = ops::notifications::rules::find(&ctx, &name).await?;
        let what = &found.what.0;
        let origin = from_file(&found.origin, ctx.now(), &shared.zone);
        let content = if change {
            let saved = RuleFields::of(&found);
            let differ =
                typed.as_ref().filter(|_| is_stale(error.as_ref())).map(|t| differences(saved.shown(), t.shown(), &format!("/notifications/rules/{name}")));
            // Whoever saves again has seen what is there now.
            let version = saved.version.clone();
            let form = form(&RuleFields { version: version.clone(), ..typed.unwrap_or(saved) }, &channels, error.as_ref());
            let body = view! { <p>"Its channels are no longer told of what it names."</p> };
            let button = view! { <form method="post" action=RemoveRule::url()><input type="hidden" name="name" value=name.clone()/><input type="hidden" name="version" value=version/><button class="btn btn--danger">"Remove the rule"</button></form> };
            view! { <div class="stack">{differ}<div class="row"><a class="btn btn--quiet" href="#remove">"Remove"</a>{dialog("remove", &format!("Remove the rule {name}?"), "Keep it", body.into_any(), button.into_any())}</div>{origin}{comes_back(&found.origin)}{form}</div> }.into_any()
        } else {
            origin.into_any()
        };
        Ok(below(&name, &format!("Tells {}: {}.", found.channels.0.join(", "), rule_words(what)), &[], error.as_ref(), content))
    })
}

fn form(fields: &RuleFields, channels: &[String], error: Option<&AppError>) -> AnyView {
    let name = if fields.version.is_empty() {
        let (value, hint) = (fields.name.clone(), "Short: a–z, 0–9, “-”, “_”, “.”");
        line(&Line { name: "name", field: "name", label: "Name", hint, value, required: true, ..Line::default() }, error)
    } else {
        view! { <input type="hidden" name="name" value=fields.name.clone()/> }.into_any()
    };
    let channels: Vec<_> = channels.iter().map(|c| (c.clone(), c.clone())).collect();
    let severities = [("info", "Everything, also what is merely unknown"), ("warning", "Warnings and worse"), ("critical", "Only what is critical")];
    let kinds: Vec<_> = AlertKind::ALL.iter().map(|k| (k.as_str().to_owned(), upper(k.words()))).collect();
    let remind = Line {
        name: "remind",
        field: "remind",
        label: "Say it again after",
        hint: "Such as 1d, as long as it stands and nobody has acknowledged it. Empty: once",
        value: fields.remind.clone(),
        ..Line::default()
    };
    let body = view! {
        <form class="panel__body form measure" method="post" action=SaveRule::url()>
            <input type="hidden" name="version" value=fields.version.clone()/>
            {name}
            {any_of("channels[]", "channels", "Channels", "Who is told", &channels, &fields.channels, error)}
            {choose("severity", "How grave", "An end is always told to whoever was told of the beginning", &severities, &fields.severity)}
            {any_of("kinds[]", "alerts", "Which alerts", "None chosen means all of them", &kinds, &fields.kinds, error)}
            {lines("services", "Services", "Their short names, one a line; empty means all, and what belongs to no service", fields.services.clone(), error)}
            {lines("schedules", "Schedules", "Their names, one a line; empty means all", fields.schedules.clone(), error)}
            <label class="check"><input type="checkbox" name="success" value="true" checked=fields.success/>"Also when a run has succeeded"</label>
            {line(&remind, error)}
            <p class="row"><button class="btn btn--primary">"Save the rule"</button><a class="btn" href="/notifications">"Back"</a></p>
        </form>
    };
    panel("rule", "What is told, to whom", None, None, body.into_any()).into_any()
}

/// A span as forms take it.
pub fn short_span(s: i64) -> String {
    [("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60)]
        .into_iter()
        .find(|(_, n)| s % n == 0)
        .map_or_else(|| format!("{s}s"), |(u, n)| format!("{}{u}", s / n))
}
