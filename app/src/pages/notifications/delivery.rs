//! One message: what it says, every attempt and every answer.

use domain::{id::DeliveryId, units::Timestamp};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_params_map;
use ops::{
    OpsError,
    permission::{Action, On, allowed},
};

use super::{
    act::RetryDelivery,
    head::{below, event_words, receiver, state_chip},
};
use crate::{
    components::{
        panel,
        status::{Tone, chip},
        table::{table, th},
        time::{full, moment_with_age},
    },
    context::{app, ctx, visitor},
    error::{form_error, upper},
    frame::page,
};

/// `/notifications/deliveries/ID`.
#[component]
pub fn Delivery() -> impl IntoView {
    let (ctx, shared, who, error) = (ctx(), app(), visitor(), form_error());
    let id = use_params_map().get_untracked().get("id").unwrap_or_default();
    page(async move {
        let found: DeliveryId = id.parse().map_err(|_| OpsError::not_found("delivery", &id))?;
        let (d, attempts) = ops::notifications::deliveries::find(&ctx, found).await?;
        let (now, zone, m) = (ctx.now(), &shared.zone, &d.row.message.0);
        let live = matches!(d.row.state.as_str(), "queued" | "sending") && d.row.next_at <= now.plus_secs(60).0;
        let retry = (d.row.state == "failed" && allowed(&who.actor, Action::Operate, On::All)).then(|| {
            view! { <form method="post" action=RetryDelivery::url()><input type="hidden" name="id" value=d.row.id.to_string()/><button class="btn">"Send it again"</button></form> }
        });
        let alert = d.row.alert_id.map(|a| view! { <dt>"Alert"</dt><dd><a href=format!("/notifications/alerts/{a}")>"See the alert"</a></dd> });
        let run = d.row.run_id.map(|r| view! { <dt>"Run"</dt><dd><a href=format!("/runs/{r}")>"See the run"</a></dd> });
        let next = (d.row.state == "queued").then(|| view! { <dt>"Next attempt"</dt><dd>{full(Timestamp(d.row.next_at), zone)}</dd> });
        let rows = attempts
            .iter()
            .map(|a| {
                let how = match a.outcome.as_deref() {
                    Some("sent") => chip(Tone::Ok, "delivered"),
                    Some("deferred") => chip(Tone::Warn, "later"),
                    Some(_) => chip(Tone::Fail, "given up"),
                    None if a.attempt == d.row.attempts && d.row.state == "sending" => chip(Tone::Run, "on its way"),
                    None => chip(Tone::None, "cut short"),
                };
                let answer = a.answer.clone().unwrap_or_else(|| "no answer was recorded".to_owned());
                view! { <tr><th scope="row" class="num">{a.attempt}</th><td class="nowrap">{moment_with_age(Timestamp(a.started_at), now, zone)}</td><td>{how}</td><td>{answer}</td></tr> }
            })
            .collect_view();
        let head = view! { {th("No.", "num")}{th("Begun", "")}{th("How it went", "")}{th("Answer", "")} };
        let tries = if attempts.is_empty() {
            view! { <div class="panel__body"><p class="muted">"Not tried yet."</p></div> }.into_any()
        } else {
            table("Attempts", "table--tight", head.into_any(), rows.into_any()).into_any()
        };
        let body = view! {
            <div class="panel__body"><p class="measure">{m.text.clone()}</p>
                <dl class="kv"><dt>"To"</dt><dd>{receiver(&d)}</dd><dt>"Why"</dt><dd>{upper(event_words(&d.row.event))}</dd><dt>"State"</dt><dd>{state_chip(&d.row.state, d.row.attempts)}</dd>
                    {next}{alert}{run}<dt>"Made"</dt><dd>{full(Timestamp(d.row.created_at), zone)}</dd><dt>"Number"</dt><dd class="mono">{d.row.id.to_string()}</dd></dl></div>
        };
        let content = view! {
            {live.then(|| view! { <meta http-equiv="refresh" content="3"/> })}
            <div class="stack">{retry}{panel("message", "Message", None, None, body.into_any())}{panel("attempts", "Attempts", None, None, tries)}</div>
        };
        let over = [("Deliveries", "/notifications/deliveries")];
        Ok(below(&m.headline, "A message, every attempt to deliver it, and every answer.", &over, error.as_ref(), content.into_any()))
    })
}
