//! `/services/NAME/availability`: the months, one of them closely, the source.
//!
//! Lives here: loading, the order of the parts. May not: markup of a part (`components::availability`, `month`, `argo`).

use domain::availability::Month;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use ops::{
    availability::Report,
    permission::{Action, On, allowed},
};

use super::{act::place, argo, month};
use crate::{
    components::{
        address::with_query,
        availability::{availability_section, targets_words},
        panel,
    },
    context::{app, ctx, query, visitor},
    error::form_error,
    frame::page,
    pages::services::head::{Tab, service_page},
};

#[component]
pub fn Availability() -> impl IntoView {
    let (ctx, shared, who, error) = (ctx(), app(), visitor(), form_error());
    let (name, query) = (use_params_map().get_untracked().get("name").unwrap_or_default(), query());
    page(async move {
        // What an address cannot hold is as if it were not there.
        let read = |field: &str| query.get(field).and_then(|m| m.parse::<Month>().ok());
        let (from, to) = (read("from"), read("to"));
        let usable = from.zip(to).is_none_or(|(f, t)| f <= t && f.count(t) <= domain::availability::MOST_MONTHS);
        let report = ops::availability::months(&ctx, &name, from.filter(|_| usable), to.filter(|_| usable)).await?;
        let chosen = match read("month") {
            Some(m) => Some(ops::availability::month(&ctx, &name, m).await?),
            None => None,
        };
        let (now, zone) = (ctx.now(), &shared.zone);
        let on_hold = ops::holds::undecided(&ctx, report.service.id()).await?;
        let s = ops::overview::judge(report.service.clone(), on_hold, now);
        let on = On::Service(report.service.id());
        let may = |action, on| allowed(&who.actor, action, on);
        let content = view! {
            <div class="stack">
                {months(&report, now, zone)}
                {month::panels(&report, chosen.as_ref(), may(Action::Plan, on), &query, error.as_ref(), zone)}
                {argo::panels(&report, may(Action::Configure, On::All), may(Action::Operate, on), &query, error.as_ref(), (now, zone))}
            </div>
        };
        Ok(service_page(&s, Tab::Availability, &who, (now, zone), error.as_ref(), content.into_any()))
    })
}

fn months(report: &Report, now: domain::units::Timestamp, zone: &jiff::tz::TimeZone) -> AnyView {
    let base = place(&report.service.name);
    let range = |from: Month, to: Month| with_query(&base, &[("from", &from.to_string()), ("to", &to.to_string())]);
    let earlier = report.known.filter(|(first, _)| *first < report.from).map(|_| {
        view! { <a class="btn btn--quiet btn--sm" href=range(report.from.back(12), report.to.back(12))>"Earlier months"</a> }
    });
    let present = Month::of(now);
    let later = (report.to < present).then(|| {
        let to = (0..12).fold(report.to, |m, _| m.next()).min(present);
        view! { <a class="btn btn--quiet btn--sm" href=range(to.back(11), to)>"Later months"</a> }
    });
    let agreed = targets_words(&report.targets)
        .map_or_else(|| "No target is agreed: the continuity plan names none.".to_owned(), |t| format!("Agreed by month, as the continuity plan has it: {t}."));
    let body = view! { <div class="panel__body stack"><p>{agreed}</p><div>{availability_section(report, true, zone)}</div></div> };
    let end = view! { {earlier}{later} };
    panel("months", "Availability and reliability", Some(format!("{} to {}", report.from, report.to)), Some(end.into_any()), body.into_any()).into_any()
}
