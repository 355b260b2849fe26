//! One heartbeat: the address that is called, and how often.

use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_params_map;
use ops::{
    OpsError,
    permission::{Action, On, allowed},
};

use super::{
    act::{RemoveHeartbeat, SaveHeartbeat},
    head::below,
    rule::short_span,
};
use crate::{
    components::{
        dialog::dialog,
        field::{Line, line, secret},
        panel,
    },
    context::{ctx, visitor},
    error::{AppError, form_error},
    frame::page,
};

const LEDE: &str =
    "An address elsewhere that is called while the worker, the watchdogs and the database are well. When the calls stop, that place raises the alarm.";

/// `/notifications/heartbeats/NAME`, or `new`.
#[component]
pub fn Heartbeat() -> impl IntoView {
    let (ctx, who, error) = (ctx(), visitor(), form_error());
    let name = use_params_map().get_untracked().get("name").unwrap_or_default();
    page(async move {
        let change = allowed(&who.actor, Action::Configure, On::All);
        if name == "new" {
            if !change {
                return Err(OpsError::Forbidden(Action::Configure.words()));
            }
            return Ok(below("New heartbeat", LEDE, &[], error.as_ref(), form(None, None, 60, error.as_ref())));
        }
        let found = ops::notifications::heartbeats::list(&ctx).await?.into_iter().find(|b| b.name == name);
        let found = found.ok_or_else(|| OpsError::not_found("heartbeat", &name))?;
        let content = if change {
            let body = view! { <p>"It is no longer called; the place that waits for the calls will raise its alarm."</p> };
            let button = view! { <form method="post" action=RemoveHeartbeat::url()><input type="hidden" name="name" value=name.clone()/><button class="btn btn--danger">"Remove the heartbeat"</button></form> };
            view! {
                <div class="stack"><div class="row"><a class="btn btn--quiet" href="#remove">"Remove"</a>{dialog("remove", &format!("Remove the heartbeat {name}?"), "Keep it", body.into_any(), button.into_any())}</div>
                {form(Some(&name), Some(&found.shown), found.every_s, error.as_ref())}</div>
            }
            .into_any()
        } else {
            view! { <p>{format!("Calls {}.", found.shown)}</p> }.into_any()
        };
        Ok(below(&name, LEDE, &[], error.as_ref(), content))
    })
}

fn form(name: Option<&str>, shown: Option<&str>, every_s: i64, error: Option<&AppError>) -> AnyView {
    let name = match name {
        Some(name) => view! { <input type="hidden" name="name" value=name.to_owned()/> }.into_any(),
        None => line(&Line { name: "name", field: "name", label: "Name", hint: "Short: a–z, 0–9, “-”, “_”, “.”", required: true, ..Line::default() }, error),
    };
    let every = Line {
        name: "every",
        field: "every",
        label: "Every",
        hint: "Such as 1m; the place that waits should allow for twice as long",
        value: short_span(every_s),
        required: true,
        ..Line::default()
    };
    let body = view! {
        <form class="panel__body form measure" method="post" action=SaveHeartbeat::url()>
            {name}{secret("url", "Address", "It gets a GET. Services that watch for such calls give one; whoever knows it can call it.", shown, true, true, error)}{line(&every, error)}
            <p class="row"><button class="btn btn--primary">"Save the heartbeat"</button><a class="btn" href="/notifications">"Back"</a></p>
        </form>
    };
    panel("heartbeat", "Settings", None, None, body.into_any()).into_any()
}
