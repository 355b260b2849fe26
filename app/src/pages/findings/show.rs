//! All findings of a service, and its waivers from first to last.

use domain::{lint::Section, units::Timestamp};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};
use ops::{
    lint::{Report, Standing},
    permission::{Action, On, allowed},
};
use store::waivers::WaiverRow;

use super::parts::{Typed, callouts, day, dialogs, form};
use crate::{
    components::{
        empty, panel,
        status::{Tone, chip},
        table::{table, th},
        time::moment,
    },
    context::{app, ctx},
    error::form_error,
    frame::{Nav, Page, page},
    pages::services::act::refused,
};

/// `/services/:name/findings?waive=&of=&reason=&until=`.
#[component]
pub fn Findings() -> impl IntoView {
    let (ctx, shared, params, query, error) = (ctx(), app(), use_params_map().get_untracked(), use_query_map().get_untracked(), form_error());
    page(async move {
        let text = |name: &str| query.get(name).unwrap_or_default();
        let report = ops::lint::findings(&ctx, &params.get("name").unwrap_or_default()).await?;
        let waivers = ops::lint::waivers(&ctx, &report.service.name).await?;
        let (now, zone, service) = (ctx.now(), &shared.zone, &report.service);
        let may = allowed(&ctx.actor, Action::Plan, On::Service(service.id()));
        let (id, subject, typed) = (text("waive"), text("of"), Typed { reason: text("reason"), until: text("until") });
        let asked = report.findings.iter().find(|j| may && j.waiver.is_none() && j.finding.rule.waivable && j.finding.is(&id, &subject));
        let asked = asked.map(|j| {
            let body = view! { <div class="panel__body">{form(&service.name, j, now, &typed, error.as_ref())}</div> };
            panel("waive", &format!("Waive: {}", j.finding.title), None, None, body.into_any()).into_any()
        });
        // Beside its fields, where there is the form; otherwise above.
        let above = error.as_ref().filter(|_| asked.is_none()).map(refused);
        let version = report.version.map_or_else(|| "No plan is written".to_owned(), |(n, state)| format!("Version {n}, {}", state.label()));
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Findings "<span class="soft">{service.title.clone()}</span></h1>
                <div class="page__meta"><span>{version}</span><span>{crate::error::upper(&report.summary().words())}</span></div></div></div>
            {above}
            <div class="stack">{asked}{all(&report, may)}{history(&waivers, now, zone)}</div>
            {may.then(|| dialogs(&report, now))}
        };
        let crumbs = vec![
            ("Home".to_owned(), "/".to_owned()),
            ("Services".to_owned(), "/services".to_owned()),
            (service.title.clone(), format!("/services/{}", service.name)),
            ("Plan".to_owned(), format!("/services/{}/plan", service.name)),
        ];
        Ok(Page { title: "Findings".to_owned(), nav: Nav::Services, crumbs, body: body.into_any() })
    })
}

fn all(report: &Report, may: bool) -> AnyView {
    if report.findings.is_empty() {
        let why = view! { "The plan, what is configured and what was measured agree." };
        return empty("Nothing is wrong with the plan", why.into_any(), None).into_any();
    }
    view! { <section class="stack stack--sm" aria-label="Findings">{callouts(report, Section::ALL, may)}</section> }.into_any()
}

fn history(waivers: &[WaiverRow], now: Timestamp, zone: &TimeZone) -> Option<AnyView> {
    if waivers.is_empty() {
        return None;
    }
    let rows = waivers.iter().map(|w| row(w, now, zone)).collect_view();
    let head = view! { {th("Finding", "")}{th("State", "")}{th("Waived", "col-md")}{th("Reason", "")} };
    let body = table("Waivers", "table--top", head.into_any(), rows.into_any());
    Some(panel("waivers", "Waivers", Some("also those that are over".to_owned()), None, body.into_any()).into_any())
}

fn row(w: &WaiverRow, now: Timestamp, zone: &TimeZone) -> AnyView {
    let standing = Standing::of(w, now).unwrap_or(Standing::Over);
    let state = match standing {
        Standing::Stands => chip(Tone::Hold, format!("until {}", day(&w.until_on))).into_any(),
        Standing::Over => chip(Tone::None, format!("over on {}", day(&w.until_on))).into_any(),
        Standing::Ended => chip(Tone::None, format!("ended by {}", w.ended_by.clone().unwrap_or_default())).into_any(),
    };
    let end = w.end_reason.clone().map(|why| view! { <div class="sub">{format!("Ended: {why}")}</div> });
    let named = if w.subject.is_empty() { w.finding.clone() } else { format!("{}, {}", w.finding, w.subject) };
    view! {
        <tr><th scope="row">{named}<div class="sub">{w.said.clone()}</div></th><td>{state}</td>
            <td class="col-md">{moment(Timestamp(w.created_at), now, zone)}<div class="sub">{format!("by {}", w.given_by)}</div></td>
            <td>{w.reason.clone()}{end}</td></tr>
    }
    .into_any()
}
