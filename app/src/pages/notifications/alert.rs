//! One alert: what is wrong, since when, who knows, what was said to whom.

use domain::{id::AlertId, units::Timestamp};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_params_map;
use ops::{
    OpsError,
    permission::{Action, On, allowed},
};

use super::{act::Acknowledge, deliveries, head::below};
use crate::{
    components::{
        alert::{alert_chip, alert_text, subject_href},
        field::{Line, line},
        panel,
        time::{full, relative},
    },
    context::{app, ctx, visitor},
    error::{form_error, upper},
    frame::page,
};

/// `/notifications/alerts/ID`.
#[component]
pub fn Alert() -> impl IntoView {
    let (ctx, shared, who, error) = (ctx(), app(), visitor(), form_error());
    let id = use_params_map().get_untracked().get("id").unwrap_or_default();
    page(async move {
        let found: AlertId = id.parse().map_err(|_| OpsError::not_found("alert", &id))?;
        let a = ops::alerts::find(&ctx, found).await?;
        let said = ops::alerts::said(&ctx, found).await?;
        let (now, zone) = (ctx.now(), &shared.zone);
        let when = |at: i64| format!("{} ({})", full(Timestamp(at), zone), relative(Timestamp(at), now));
        let until = a.resolved_at.map(|at| view! { <dt>"Over since"</dt><dd>{when(at)}</dd> });
        let known = a.acknowledged_by.as_ref().map(|by| {
            let note = a.note.clone().filter(|n| !n.is_empty()).map(|n| format!(": {n}")).unwrap_or_default();
            view! { <dt>"Known"</dt><dd>{format!("{by}, {}{note}", a.acknowledged_at.map(when).unwrap_or_default())}</dd> }
        });
        let about = subject_href(&a);
        let run = a.run_id.map(|r| view! { <dt>"Run"</dt><dd><a href=format!("/runs/{r}")>"Open the run"</a></dd> });
        let test = a.test_id.map(|t| view! { <dt>"Restore test"</dt><dd><a href=format!("/tests/{t}")>"Open the test"</a></dd> });
        let facts = view! {
            <div class="panel__body"><p>{alert_chip(&a)}</p><p class="measure">{alert_text(&a, now)}</p>
                <dl class="kv"><dt>{upper(&a.entity)}</dt><dd><a href=about>{a.title.clone()}</a></dd><dt>"Severity"</dt><dd>{upper(&a.severity)}</dd>
                    <dt>"Since"</dt><dd>{when(a.opened_at)}</dd>{until}{known}{run}{test}</dl></div>
        };
        let may = a.resolved_at.is_none() && allowed(&who.actor, Action::Operate, On::service(a.service_id));
        let acknowledge = may.then(|| {
            let note = Line { name: "note", field: "note", label: "Note", hint: "What is being done, for whoever looks next", ..Line::default() };
            let body = view! {
                <form class="panel__body form measure" method="post" action=Acknowledge::url()><input type="hidden" name="id" value=a.id.to_string()/>
                    <p>"Reminders stop until it gets worse. It stays open until what is wrong is mended."</p>{line(&note, error.as_ref())}<p><button class="btn">"I know of it"</button></p></form>
            };
            panel("known", "Acknowledge", None, None, body.into_any())
        });
        let content = view! { <div class="stack">{panel("what", "What is wrong", None, None, facts.into_any())}{acknowledge}{panel("said", "What was said", None, None, deliveries::rows(&said, now, zone))}</div> };
        let over = [("Alerts", "/notifications/alerts")];
        let title = format!("{}: {}", a.title, a.facts.0.kind().words());
        Ok(below(&title, "What is wrong, since when, who knows of it, and what was said to whom.", &over, error.as_ref(), content.into_any()))
    })
}
