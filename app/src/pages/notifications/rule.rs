//! One rule: what it tells, to whom.

use domain::alert::{AlertKind, rule::Rule};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_params_map;
use ops::{
    OpsError,
    permission::{Action, On, allowed},
};

use super::{
    act::{RemoveRule, SaveRule},
    head::below,
    overview::rule_words,
};
use crate::{
    components::{
        dialog::dialog,
        field::{Line, any_of, choose, line, lines},
        panel,
    },
    context::{ctx, visitor},
    error::{AppError, form_error, upper},
    frame::page,
};

/// `/notifications/rules/NAME`, or `new`.
#[component]
pub fn RulePage() -> impl IntoView {
    let (ctx, who, error) = (ctx(), visitor(), form_error());
    let name = use_params_map().get_untracked().get("name").unwrap_or_default();
    page(async move {
        let change = allowed(&who.actor, Action::Configure, On::All);
        let channels: Vec<String> = ops::notifications::channels::list(&ctx).await?.into_iter().map(|c| c.row.name).collect();
        if name == "new" {
            if !change {
                return Err(OpsError::Forbidden(Action::Configure.words()));
            }
            let form = form(None, &channels, &channels, &Rule::default(), error.as_ref());
            return Ok(below("New rule", "Which alerts go to which channels.", &[], error.as_ref(), form));
        }
        let found = ops::notifications::rules::find(&ctx, &name).await?;
        let what = &found.what.0;
        let content = if change {
            let form = form(Some(&name), &channels, &found.channels.0, what, error.as_ref());
            let body = view! { <p>"Its channels are no longer told of what it names."</p> };
            let button = view! { <form method="post" action=RemoveRule::url()><input type="hidden" name="name" value=name.clone()/><button class="btn btn--danger">"Remove the rule"</button></form> };
            view! { <div class="stack"><div class="row"><a class="btn btn--quiet" href="#remove">"Remove"</a>{dialog("remove", &format!("Remove the rule {name}?"), "Keep it", body.into_any(), button.into_any())}</div>{form}</div> }.into_any()
        } else {
            ().into_any()
        };
        Ok(below(&name, &format!("Tells {}: {}.", found.channels.0.join(", "), rule_words(what)), &[], error.as_ref(), content))
    })
}

fn form(name: Option<&str>, channels: &[String], chosen: &[String], what: &Rule, error: Option<&AppError>) -> AnyView {
    let name = match name {
        Some(name) => view! { <input type="hidden" name="name" value=name.to_owned()/> }.into_any(),
        None => line(&Line { name: "name", field: "name", label: "Name", hint: "Short: a–z, 0–9, “-”, “_”, “.”", required: true, ..Line::default() }, error),
    };
    let channels: Vec<_> = channels.iter().map(|c| (c.clone(), c.clone())).collect();
    let severities = [("info", "Everything, also what is merely unknown"), ("warning", "Warnings and worse"), ("critical", "Only what is critical")];
    let kinds: Vec<_> = AlertKind::ALL.iter().map(|k| (k.as_str().to_owned(), upper(k.words()))).collect();
    let kinds_chosen: Vec<_> = what.kinds.iter().map(|k| k.as_str().to_owned()).collect();
    let remind = Line {
        name: "remind",
        field: "remind",
        label: "Say it again after",
        hint: "Such as 1d, as long as it stands and nobody has acknowledged it. Empty: once",
        value: what.remind_s.map_or_else(String::new, short_span),
        ..Line::default()
    };
    let body = view! {
        <form class="panel__body form measure" method="post" action=SaveRule::url()>
            {name}
            {any_of("channels[]", "channels", "Channels", "Who is told", &channels, chosen, error)}
            {choose("severity", "How grave", "An end is always told to whoever was told of the beginning", &severities, what.severity.as_str())}
            {any_of("kinds[]", "alerts", "Which alerts", "None chosen means all of them", &kinds, &kinds_chosen, error)}
            {lines("services", "Services", "Their short names, one a line; empty means all, and what belongs to no service", what.services.join("\n"), error)}
            {lines("schedules", "Schedules", "Their names, one a line; empty means all", what.schedules.join("\n"), error)}
            <label class="check"><input type="checkbox" name="success" value="true" checked=what.success/>"Also when a run has succeeded"</label>
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
