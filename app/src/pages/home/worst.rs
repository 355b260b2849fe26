//! The worst first: one line for each service, repository or channel that something is wrong with, and one act.
//!
//! Lives here: the list and the act of each alert. May not: ranking (`ops::overview` does).

use domain::{
    alert::AlertKind,
    units::{Timestamp, count},
};
use leptos::prelude::*;
use ops::overview::{Attention, Overview};

use crate::{
    components::{
        alert::{alert_chip, alert_text, subject_href},
        panel,
    },
    pages::{instances::parts::clones_place, services::act},
};

/// How many of the worst are named.
const WORST: usize = 8;

pub fn worst(o: &Overview, now: Timestamp, may_act: bool) -> AnyView {
    let listed = &o.attention;
    let rows = listed
        .iter()
        .take(WORST)
        .enumerate()
        .map(|(n, a)| {
            let row = &a.worst;
            let title = row.service_title.clone().unwrap_or_else(|| row.title.clone());
            let known = row.acknowledged_by.as_ref().map(|by| view! { <span class="sub">{format!("Known to {by}.")}</span> });
            let more = (!a.others.is_empty()).then(|| view! { <span class="sub">{also(&a.others)}</span> });
            view! {
                <li><span class="rank">{n + 1}</span><span>{alert_chip(row)}</span>
                    <div class="what"><a href=subject_href(row)>{title}</a><p>{alert_text(row, now)}{more}{known}</p></div>
                    {remedy(a, may_act)}</li>
            }
        })
        .collect_view();
    let grave = o.needing_attention();
    let note = match (grave, listed.len() - grave) {
        (0, n) => format!("{} without data", count(n as i64)),
        (n, 0) => format!("{}, ranked by what would be lost", need(n)),
        (n, none) => format!("{}, {} without data; ranked by what would be lost", need(n), count(none as i64)),
    };
    let more = listed.len().saturating_sub(WORST);
    let all = view! { <a class="btn btn--quiet btn--sm" href="/notifications/alerts">"All alerts"</a> }.into_any();
    let body = view! {
        <ol class="worst">{rows}</ol>
        {(more > 0).then(|| view! { <p class="panel__foot"><a href="/notifications/alerts">{format!("{} more", count(more as i64))}</a></p> })}
    };
    panel("worst", "Worst first", Some(note), Some(all), body.into_any()).into_any()
}

fn need(n: usize) -> String {
    if n == 1 { "1 needs attention".to_owned() } else { format!("{} need attention", count(n as i64)) }
}

fn also(others: &[AlertKind]) -> String {
    let words: Vec<&str> = others.iter().take(3).map(|k| k.words()).collect();
    let more = others.len().saturating_sub(3);
    if more > 0 { format!("Also {} and {more} more.", words.join(", ")) } else { format!("Also {}.", words.join(", ")) }
}

/// The one act that an alert asks for. Whoever may not act is led to what can be read.
fn remedy(a: &Attention, may_act: bool) -> AnyView {
    let row = &a.worst;
    let of = row.service_title.clone().unwrap_or_else(|| row.title.clone());
    let link =
        |href: String, words: &'static str| view! { <a class="btn btn--sm" href=href>{words}<span class="vh">{format!(" of {of}")}</span></a> }.into_any();
    let see = || link(subject_href(row), "See what it is about");
    let run = |id: Option<uuid::Uuid>| id.map(|id| link(format!("/runs/{id}"), "Open the run"));
    match row.facts.0.kind() {
        AlertKind::RunFailed | AlertKind::RunPartial | AlertKind::RepositoryDamaged | AlertKind::RepositoryUnreachable => run(row.run_id).unwrap_or_else(see),
        AlertKind::RestoreFailed | AlertKind::RtoBreached | AlertKind::NotChecked => {
            row.test_id.map_or_else(see, |id| link(format!("/tests/{id}"), "Open the test"))
        }
        AlertKind::NoCopy | AlertKind::RpoOverdue | AlertKind::NoData => match (run(a.failed_run), &row.service_name) {
            (Some(open), _) => open,
            (None, Some(service)) if may_act => act::back_up_button(service, "btn--sm"),
            _ => see(),
        },
        AlertKind::NeverRestored | AlertKind::ProofOld => match &row.service_name {
            Some(service) if may_act => act::test_button(service, "btn--sm"),
            _ => see(),
        },
        AlertKind::RepositoryUnchecked if may_act => act::check_button(&row.name, "btn--sm"),
        AlertKind::RepositoryUnchecked => see(),
        AlertKind::CredentialRefused | AlertKind::CredentialLacking | AlertKind::CredentialExpiring => link(subject_href(row), "Open the cloud"),
        AlertKind::ClonesStand => link(clones_place(&row.name), "Open the clones"),
        AlertKind::ChannelFailing => link(subject_href(row), "Open the channel"),
        AlertKind::FiguresMissing => link(format!("/services/{}/availability", row.name), "Open its availability"),
        AlertKind::HoldStands => link("/holds".to_owned(), "Decide on the hold"),
        AlertKind::ReviewOverdue | AlertKind::ReviewDue => link(format!("/services/{}/reviews", row.name), "Open the reviews"),
        AlertKind::ScheduleMissed => link(format!("/schedules/{}", row.name), "Open the schedule"),
    }
}
