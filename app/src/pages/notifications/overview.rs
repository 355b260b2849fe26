//! Channels, rules and heartbeats on one page, each with how it goes.

use domain::{
    alert::{AlertKind, Severity, rule::Rule},
    channel::ChannelKind,
    units::{Timestamp, count, span},
};
use jiff::tz::TimeZone;
use leptos::{prelude::*, server_fn::ServerFn};
use ops::{
    notifications::channels::ChannelView,
    permission::{Action, On, allowed},
};
use store::channels::{HeartbeatRow, RuleRow};

use super::{
    act::{SetAddress, TestChannel},
    head::{Tab, tab},
};
use crate::{
    components::{
        empty,
        field::{Line, line},
        icon, panel,
        stale::{differences, is_stale},
        status::{Tone, chip, chip_with},
        table::{table, th},
        time::moment_with_age,
    },
    context::{app, ctx, query, visitor},
    error::{AppError, form_error},
    frame::page,
};

/// `/notifications`.
#[component]
pub fn Notifications() -> impl IntoView {
    let (ctx, shared, who, query, error) = (ctx(), app(), visitor(), query(), form_error());
    page(async move {
        let channels = ops::notifications::channels::list(&ctx).await?;
        let rules = ops::notifications::rules::list(&ctx).await?;
        let beats = ops::notifications::heartbeats::list(&ctx).await?;
        let address = ops::notifications::address(&ctx).await?;
        let typed = query.get("typed").map(|_| query.get("address").unwrap_or_default());
        let now = ctx.now();
        let (change, test) = (allowed(&who.actor, Action::Configure, On::All), allowed(&who.actor, Action::Operate, On::All));
        let content = view! {
            <div class="stack">
                {warnings(&channels, &rules)}
                {channels_panel(&channels, now, &shared.zone, change, test)}
                {rules_panel(&rules, change)}
                <div class="grid grid--2">{beats_panel(&beats, now, &shared.zone, change)}{address_panel(address.as_deref(), typed, change, error.as_ref())}</div>
            </div>
        };
        Ok(tab(Tab::Overview, error.as_ref(), content.into_any()))
    })
}

/// What would keep a message from reaching anybody.
fn warnings(channels: &[ChannelView], rules: &[RuleRow]) -> Option<AnyView> {
    let callout =
        |title: &'static str, text: String| view! { <div class="callout callout--warn">{icon("i-warn")}<b>{title}</b><div>{text}</div></div> }.into_any();
    if channels.is_empty() {
        return None;
    }
    let silent: Vec<&str> = channels.iter().filter(|c| c.rules.is_empty()).map(|c| c.row.name.as_str()).collect();
    if rules.is_empty() {
        return Some(callout("Nobody is told anything.", "There are channels and no rule that uses them. Add a rule.".to_owned()));
    }
    (!silent.is_empty()).then(|| callout("A channel without a rule stays silent.", format!("No rule uses {}.", silent.join(", "))))
}

fn channels_panel(channels: &[ChannelView], now: Timestamp, zone: &TimeZone, change: bool, test: bool) -> AnyView {
    let add = change.then(|| {
        let links = ChannelKind::ALL
            .iter()
            .map(|k| view! { <a class="btn btn--sm" href=format!("/notifications/channels/new?kind={k}")>{crate::error::upper(k.words())}</a> })
            .collect_view();
        view! { <div class="panel__foot row"><span class="muted">"Add a channel:"</span>{links}</div> }
    });
    if channels.is_empty() {
        let why = "When a backup stops, somebody has to hear of it. Add a mail server, a chat, a pager or a webhook, then a rule that says what it is told.";
        let body = view! { {empty("Nobody is told yet", why.into_any(), None)}{add} };
        return panel("channels", "Channels", None, None, body.into_any()).into_any();
    }
    let rows = channels
        .iter()
        .map(|c| {
            let name = &c.row.name;
            let rules = if c.rules.is_empty() { "none".to_owned() } else { c.rules.join(", ") };
            let send = test.then(|| {
                view! { <form method="post" action=TestChannel::url()><input type="hidden" name="name" value=name.clone()/>
                    <button class="btn btn--sm">"Send a test"<span class="vh">{format!(" to {name}")}</span></button></form> }
            });
            let last = c.newest.first().map_or_else(|| view! { "never" }.into_any(), |n| moment_with_age(Timestamp(n.finished_at), now, zone).into_any());
            view! {
                <tr><th scope="row"><a class="rowlink" href=format!("/notifications/channels/{name}")>{name.clone()}</a><span class="sub">{c.kind.words()}</span></th>
                    <td>{channel_chip(c)}</td><td class="col-md"><span class="wrap">{c.shown()}</span></td><td class="col-md">{rules}</td>
                    <td class="nowrap col-lo">{last}</td><td class="ta-r">{send}</td></tr>
            }
        })
        .collect_view();
    let head = view! { {th("Channel", "")}{th("Newest message", "")}{th("Leads to", "col-md")}{th("Rules", "col-md")}{th("When", "col-lo")}<th scope="col"><span class="vh">"Test"</span></th> };
    let body = view! { {table("Channels", "", head.into_any(), rows.into_any())}{add} };
    panel("channels", "Channels", Some(format!("{} in use", count(channels.len() as i64))), None, body.into_any()).into_any()
}

fn channel_chip(c: &ChannelView) -> AnyView {
    if c.failing().is_some() {
        return chip(Tone::Fail, "given up");
    }
    match c.newest.first() {
        _ if c.waiting > 0 => chip_with(Tone::Warn, "i-clock", format!("{} waiting", count(c.waiting))),
        Some(n) if n.state == "sent" => chip(Tone::Ok, "delivered"),
        Some(_) => chip(Tone::None, "changed since"),
        None => chip(Tone::None, "not tried"),
    }
}

/// What a rule tells, in words.
pub fn rule_words(what: &Rule) -> String {
    let kinds: Vec<&str> = what.kinds.iter().map(|k: &AlertKind| k.words()).collect();
    let alerts = match (kinds.is_empty(), what.severity) {
        (true, Severity::Info) => "everything".to_owned(),
        (true, Severity::Warning) => "warnings and worse".to_owned(),
        (true, Severity::Critical) => "what is critical".to_owned(),
        (false, severity) => format!("{} ({severity} or graver)", kinds.join(", ")),
    };
    let of = if what.services.is_empty() { "of all services".to_owned() } else { format!("of {}", what.services.join(", ")) };
    let mut text = format!("{alerts} {of}");
    if !what.schedules.is_empty() {
        text += ", of the schedules ";
        text += &what.schedules.join(", ");
    }
    if what.success {
        text.push_str(", and each success");
    }
    if let Some(s) = what.remind_s {
        text += "; again every ";
        text += &span(s as f64);
    }
    text
}

fn rules_panel(rules: &[RuleRow], change: bool) -> AnyView {
    let add = change.then(|| view! { <a class="btn btn--sm" href="/notifications/rules/new">"Add a rule"</a> }.into_any());
    let body = if rules.is_empty() {
        empty("No rules", "A rule says which alerts go to which channels.".into_any(), None).into_any()
    } else {
        let rows = rules
            .iter()
            .map(|r| {
                view! { <tr><th scope="row"><a class="rowlink" href=format!("/notifications/rules/{}", r.name)>{r.name.clone()}</a></th>
                <td>{r.channels.0.join(", ")}</td><td class="col-md">{crate::error::upper(&rule_words(&r.what.0))}</td></tr> }
            })
            .collect_view();
        let head = view! { {th("Rule", "")}{th("Tells", "")}{th("Of", "col-md")} };
        table("Rules", "", head.into_any(), rows.into_any()).into_any()
    };
    panel("rules", "Rules", None, add, body).into_any()
}

fn beats_panel(beats: &[HeartbeatRow], now: Timestamp, zone: &TimeZone, change: bool) -> AnyView {
    let add = change.then(|| view! { <a class="btn btn--sm" href="/notifications/heartbeats/new">"Add a heartbeat"</a> }.into_any());
    let body = if beats.is_empty() {
        let why =
            "An address elsewhere that Holdfast calls while all is well. When the calls stop, that place raises the alarm: so Holdfast's own death is noticed.";
        empty("No heartbeat", why.into_any(), None).into_any()
    } else {
        let rows = beats
            .iter()
            .map(|b| {
                let state = match (b.sent_at, b.failed_at) {
                    (sent, Some(failed)) if sent.is_none_or(|s| s < failed) => chip(Tone::Fail, "not answered"),
                    (Some(sent), _) if now.secs_since(Timestamp(sent)) > (3 * b.every_s + 30) as f64 => chip(Tone::Warn, "silent"),
                    (Some(_), _) => chip(Tone::Ok, "beats"),
                    (None, _) => chip(Tone::None, "not yet"),
                };
                let last = b.sent_at.max(b.failed_at).map(|at| moment_with_age(Timestamp(at), now, zone));
                let answer = b.answer.clone().map(|a| view! { <span class="sub clip">{a}</span> });
                view! { <tr><th scope="row"><a class="rowlink" href=format!("/notifications/heartbeats/{}", b.name)>{b.name.clone()}</a><span class="sub">{b.shown.clone()}</span></th>
                    <td>{state}{answer}</td><td class="nowrap">{span(b.every_s as f64)}</td><td class="nowrap col-md">{last}</td></tr> }
            })
            .collect_view();
        let head = view! { {th("Heartbeat", "")}{th("State", "")}{th("Every", "")}{th("Last call", "col-md")} };
        table("Heartbeats", "", head.into_any(), rows.into_any()).into_any()
    };
    panel("beats", "Heartbeats", None, add, body).into_any()
}

fn address_panel(saved: Option<&str>, typed: Option<String>, change: bool, error: Option<&AppError>) -> AnyView {
    let (version, address) = (ops::notifications::address_version(saved), saved.unwrap_or_default().to_owned());
    let body = if change {
        let row = |text: &str| vec![("Address", text.to_owned())];
        let differ = typed.as_ref().filter(|_| is_stale(error)).map(|t| differences(row(&address), row(t), "/notifications"));
        let field = Line {
            name: "address",
            field: "address",
            label: "Address",
            hint: "How people open Holdfast, such as https://holdfast.example.org. Messages link to it; without it they have no links.",
            value: typed.unwrap_or(address),
            kind: "url",
            ..Line::default()
        };
        view! { {differ}<form class="panel__body form" method="post" action=SetAddress::url()><input type="hidden" name="version" value=version/>{line(&field, error)}<p><button class="btn btn--sm">"Save"</button></p></form> }.into_any()
    } else {
        let shown = if address.is_empty() { "Messages have no links: nobody has given the address.".to_owned() } else { address };
        view! { <div class="panel__body"><p>{shown}</p></div> }.into_any()
    };
    panel("address", "Links in messages", None, None, body).into_any()
}
