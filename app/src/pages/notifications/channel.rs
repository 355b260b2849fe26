//! One channel: where it leads, its form, its newest messages.

use domain::channel::ChannelKind;
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_params_map;
use ops::{
    OpsError,
    notifications::{channels::ChannelView, source_words},
    permission::{Action, On, allowed},
};

use super::{
    act::{RemoveChannel, SaveChannel, TestChannel},
    deliveries,
    fields::ChannelFields,
    head::below,
};
use crate::{
    components::{
        dialog::dialog,
        field::{Line, choose, line, lines, secret},
        origin::{comes_back, from_file},
        panel,
        stale::{differences, is_stale},
    },
    context::{app, ctx, query, visitor},
    error::{AppError, form_error, upper},
    frame::page,
};

const NEWEST: i64 = 10;

/// `/notifications/channels/NAME`, or `new?kind=`.
#[component]
pub fn Channel() -> impl IntoView {
    let (ctx, shared, who, error) = (ctx(), app(), visitor(), form_error());
    let (name, query) = (use_params_map().get_untracked().get("name").unwrap_or_default(), query());
    page(async move {
        let change = allowed(&who.actor, Action::Configure, On::All);
        let typed = ChannelFields::read(&query);
        if name == "new" {
            if !change {
                return Err(OpsError::Forbidden(Action::Configure.words()));
            }
            let kind = ChannelKind::parse(&query.get("kind").unwrap_or_default()).unwrap_or(ChannelKind::Mail);
            let lede = "Where messages go. Secrets are stored sealed with the server's key and are never shown again.";
            // A form that was refused because its channel is gone makes a new one.
            let fields = ChannelFields { version: String::new(), ..typed.clone().unwrap_or_default() };
            let content = view! { <div class="stack">{form(kind, &fields, None, typed.is_some(), error.as_ref())}</div> };
            return Ok(below(&format!("New channel: {}", kind.words()), lede, &[], error.as_ref(), content.into_any()));
        }
        let found = ops::notifications::channels::find(&ctx, &name).await?;
        let newest = ops::notifications::deliveries::list(&ctx, "", &name, None, NEWEST).await?;
        let now = ctx.now();
        let list = view! { {deliveries::rows(&newest, now, &shared.zone)} };
        let all = view! { <a class="btn btn--quiet btn--sm" href=format!("/notifications/deliveries?channel={name}")>"All of them"</a> }.into_any();
        let test = allowed(&who.actor, Action::Operate, On::All).then(|| {
            view! { <form method="post" action=TestChannel::url()><input type="hidden" name="name" value=name.clone()/><button class="btn">"Send a test message"</button></form> }
        });
        let saved = ChannelFields::of(&found.row);
        let remove = change.then(|| remove(&saved, found.waiting));
        let facts = facts(&found);
        let differ =
            typed.as_ref().filter(|_| is_stale(error.as_ref())).map(|t| differences(saved.shown(), t.shown(), &format!("/notifications/channels/{name}")));
        // Whoever saves again has seen what is there now.
        let fields = ChannelFields { version: saved.version.clone(), ..typed.clone().unwrap_or(saved) };
        let content = view! {
            <div class="stack">
                {differ}
                {from_file(&found.row.origin, now, &shared.zone)}
                <div class="row">{test}{remove}</div>
                {if change { comes_back(&found.row.origin) } else { None }}
                {if change { form(found.kind, &fields, Some(&found), typed.is_some(), error.as_ref()) } else { facts }}
                {panel("newest", "Newest messages", None, Some(all), list.into_any())}
            </div>
        };
        Ok(below(&name, &format!("A channel of kind {}.", found.kind.words()), &[], error.as_ref(), content.into_any()))
    })
}

/// What an auditor sees: everything but secrets.
fn facts(c: &ChannelView) -> AnyView {
    let secrets = c.row.secrets.0.iter().map(|(name, from)| view! { <dt>{upper(&name.replace('_', " "))}</dt><dd>{source_words(from)}</dd> }).collect_view();
    let body = view! { <div class="panel__body"><dl class="kv"><dt>"Leads to"</dt><dd>{c.shown()}</dd>{secrets}</dl></div> };
    panel("facts", "Where it leads", None, None, body.into_any()).into_any()
}

/// The form with `fields` in it; `again` where it was refused and what was typed as a secret is gone.
fn form(kind: ChannelKind, fields: &ChannelFields, there: Option<&ChannelView>, again: bool, error: Option<&AppError>) -> AnyView {
    let name = if let Some(c) = there {
        view! { <input type="hidden" name="name" value=c.row.name.clone()/> }.into_any()
    } else {
        let (value, hint) = (fields.name.clone(), "Short: a–z, 0–9, “-”, “_”, “.”");
        line(&Line { name: "name", field: "name", label: "Name", hint, value, required: true, ..Line::default() }, error)
    };
    let secrets = kind
        .secrets()
        .iter()
        .map(|s| {
            let from = there.and_then(|c| c.row.secrets.0.get(s.name)).map(source_words);
            let (label, hint) = words(kind, s.name);
            secret(s.name, label, hint, from.as_deref(), s.required, s.is_url, error)
        })
        .collect_view();
    let again = again.then(|| view! { <p class="muted">"A secret that was typed is not sent back; type it again."</p> });
    let options = match kind {
        ChannelKind::Mail => mail(fields, error),
        ChannelKind::PagerDuty => {
            let field = Line {
                name: "endpoint",
                field: "endpoint",
                label: "Another address of PagerDuty",
                hint: "Only for its European region: https://events.eu.pagerduty.com/v2/enqueue",
                value: fields.endpoint.clone(),
                kind: "url",
                ..Line::default()
            };
            line(&field, error)
        }
        ChannelKind::Webhook | ChannelKind::Slack | ChannelKind::Teams => ().into_any(),
    };
    let save = if there.is_some() { "Save the channel" } else { "Add the channel" };
    let body = view! {
        <form class="panel__body form measure" method="post" action=SaveChannel::url()>
            <input type="hidden" name="kind" value=kind.as_str()/>
            <input type="hidden" name="version" value=fields.version.clone()/>
            {name}{options}{secrets}{again}
            <p class="row"><button class="btn btn--primary">{save}</button><a class="btn" href="/notifications">"Back"</a></p>
        </form>
    };
    panel("channel", "Settings", None, None, body.into_any()).into_any()
}

fn words(kind: ChannelKind, secret: &str) -> (&'static str, &'static str) {
    match (kind, secret) {
        (ChannelKind::Slack, _) => ("Address of the incoming webhook", "Slack and Mattermost give one for each channel. Whoever knows it can write there."),
        (ChannelKind::Teams, _) => ("Address of the workflow", "From Teams: Workflows, “Post to a channel when a webhook request is received”."),
        (ChannelKind::PagerDuty, _) => ("Integration key", "From PagerDuty: the service, Integrations, Events API v2."),
        (ChannelKind::Webhook, "url") => ("Address", "It gets a POST with JSON. Redirects are not followed."),
        (ChannelKind::Webhook, _) => {
            ("Signing secret", "Each request is then signed by the Standard Webhooks specification, so that the receiver knows it is ours.")
        }
        (ChannelKind::Mail, _) => ("Password", "Beside the user name, where the server asks for one."),
    }
}

fn mail(o: &ChannelFields, error: Option<&AppError>) -> AnyView {
    let text = |name: &'static str, label: &'static str, hint: &'static str, value: String, required: bool| {
        line(&Line { name, field: name, label, hint, value, required, ..Line::default() }, error)
    };
    let kinds = [
        ("starttls", "STARTTLS, usually port 587"),
        ("tls", "TLS from the start, usually port 465"),
        ("none", "None, usually port 25; only within a trusted network"),
    ];
    let port = Line { name: "port", field: "port", label: "Port", hint: "Empty means the usual one", value: o.port.clone(), kind: "number", ..Line::default() };
    let encryption = if o.encryption.is_empty() { "starttls" } else { o.encryption.as_str() };
    view! {
        {text("host", "Mail server", "Such as smtp.example.org", o.host.clone(), true)}
        <div class="pair">{choose("encryption", "Encryption", "", &kinds, encryption)}{line(&port, error)}</div>
        {text("from", "From", "Such as Holdfast <holdfast@example.org>", o.from.clone(), true)}
        {lines("to", "To", "One address a line; each gets a mail of its own", o.to.clone(), error)}
        {text("username", "User name", "Where the server asks for one", o.username.clone(), false)}
        {text("ca_file", "Certificate authority", "The path of a PEM file, where the system does not know who signed the server's certificate", o.ca_file.clone(), false)}
    }
    .into_any()
}

fn remove(saved: &ChannelFields, waiting: i64) -> AnyView {
    let name = saved.name.as_str();
    let lost = if waiting > 0 { format!(" {waiting} messages that wait for it are given up.") } else { String::new() };
    let body = view! { <p>{format!("Its secrets are forgotten; what it delivered stays on record.{lost} Rules that name it tell it nothing any more.")}</p> };
    let button = view! { <form method="post" action=RemoveChannel::url()><input type="hidden" name="name" value=name.to_owned()/><input type="hidden" name="version" value=saved.version.clone()/><button class="btn btn--danger">"Remove the channel"</button></form> };
    view! { <a class="btn btn--quiet" href="#remove">"Remove"</a>{dialog("remove", &format!("Remove the channel {name}?"), "Keep it", body.into_any(), button.into_any())} }.into_any()
}
