//! One heartbeat: the address that is called, and how often.

use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_params_map;
use ops::{
    OpsError,
    permission::{Action, On, allowed},
};

use super::{
    act::{RemoveHeartbeat, SaveHeartbeat},
    fields::HeartbeatFields,
    head::below,
};
use crate::{
    components::{
        dialog::dialog,
        field::{Line, line, secret},
        origin::{comes_back, from_file},
        panel,
        stale::{differences, is_stale},
    },
    context::{app, ctx, query, visitor},
    error::{AppError, form_error},
    frame::page,
};

const LEDE: &str =
    "An address elsewhere that is called while the worker, the watchdogs and the database are well. When the calls stop, that place raises the alarm.";

/// `/notifications/heartbeats/NAME`, or `new`.
#[component]
pub fn Heartbeat() -> impl IntoView {
    let (ctx, shared, who, query, error) = (ctx(), app(), visitor(), query(), form_error());
    let name = use_params_map().get_untracked().get("name").unwrap_or_default();
    page(async move {
        let change = allowed(&who.actor, Action::Configure, On::All);
        let typed = HeartbeatFields::read(&query);
        let again = typed.is_some();
        if name == "new" {
            if !change {
                return Err(OpsError::Forbidden(Action::Configure.words()));
            }
            let usual = || HeartbeatFields { every: "1m".to_owned(), ..HeartbeatFields::default() };
            let fields = HeartbeatFields { version: String::new(), ..typed.unwrap_or_else(usual) };
            return Ok(below("New heartbeat", LEDE, &[], error.as_ref(), form(&fields, None, again, error.as_ref())));
        }
        let found = ops::notifications::heartbeats::find(&ctx, &name).await?;
        let origin = from_file(&found.origin, ctx.now(), &shared.zone);
        let content = if change {
            let saved = HeartbeatFields::of(&found);
            let differ = typed
                .as_ref()
                .filter(|_| is_stale(error.as_ref()))
                .map(|t| differences(saved.shown(), t.shown(), &format!("/notifications/heartbeats/{name}")));
            // Whoever saves again has seen what is there now.
            let version = saved.version.clone();
            let fields = HeartbeatFields { version: version.clone(), ..typed.unwrap_or(saved) };
            let body = view! { <p>"It is no longer called; the place that waits for the calls will raise its alarm."</p> };
            let button = view! { <form method="post" action=RemoveHeartbeat::url()><input type="hidden" name="name" value=name.clone()/><input type="hidden" name="version" value=version/><button class="btn btn--danger">"Remove the heartbeat"</button></form> };
            view! {
                <div class="stack">{differ}<div class="row"><a class="btn btn--quiet" href="#remove">"Remove"</a>{dialog("remove", &format!("Remove the heartbeat {name}?"), "Keep it", body.into_any(), button.into_any())}</div>
                {origin}{comes_back(&found.origin)}
                {form(&fields, Some(&found.shown), again, error.as_ref())}</div>
            }
            .into_any()
        } else {
            view! { <p>{format!("Calls {}.", found.shown)}</p>{origin} }.into_any()
        };
        Ok(below(&name, LEDE, &[], error.as_ref(), content))
    })
}

/// The form with `fields` in it; `again` where it was refused and an address that was typed is gone.
fn form(fields: &HeartbeatFields, shown: Option<&str>, again: bool, error: Option<&AppError>) -> AnyView {
    let name = if fields.version.is_empty() {
        let (value, hint) = (fields.name.clone(), "Short: a–z, 0–9, “-”, “_”, “.”");
        line(&Line { name: "name", field: "name", label: "Name", hint, value, required: true, ..Line::default() }, error)
    } else {
        view! { <input type="hidden" name="name" value=fields.name.clone()/> }.into_any()
    };
    let again = again.then(|| view! { <p class="muted">"An address that was typed is not sent back; type it again."</p> });
    let every = Line {
        name: "every",
        field: "every",
        label: "Every",
        hint: "Such as 1m; the place that waits should allow for twice as long",
        value: fields.every.clone(),
        required: true,
        ..Line::default()
    };
    let body = view! {
        <form class="panel__body form measure" method="post" action=SaveHeartbeat::url()>
            <input type="hidden" name="version" value=fields.version.clone()/>
            {name}{secret("url", "Address", "It gets a GET. Services that watch for such calls give one; whoever knows it can call it.", shown, true, true, error)}{again}{line(&every, error)}
            <p class="row"><button class="btn btn--primary">"Save the heartbeat"</button><a class="btn" href="/notifications">"Back"</a></p>
        </form>
    };
    panel("heartbeat", "Settings", None, None, body.into_any()).into_any()
}
