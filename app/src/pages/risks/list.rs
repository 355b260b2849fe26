//! The Risks tab of a service: the table, what is wrong, the matrix.
//!
//! Lives here: `/services/NAME/risks`. May not: deriving levels and states.

use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use ops::{
    permission::{Action, On, allowed},
    risks::Judged,
};

use super::{
    matrix::matrices,
    parts::{callout, findings, level_chip, measures, state_chip},
};
use crate::{
    components::{
        address::encode,
        empty, panel,
        table::{table, th},
    },
    context::{app, ctx, query, visitor},
    error::form_error,
    frame::page,
    pages::{
        reviews::bus::bus_factor,
        services::head::{Tab, service_page},
    },
};

/// `/services/:name/risks`, with `?retired=1` also those that were retired.
#[component]
pub fn ServiceRisks() -> impl IntoView {
    let (ctx, shared, who, query, error) = (ctx(), app(), visitor(), query(), form_error());
    let name = use_params_map().get_untracked().get("name").unwrap_or_default();
    page(async move {
        let row = ops::services::find(&ctx, &name).await?;
        let with_retired = query.get("retired").is_some();
        let (all, gone): (Vec<Judged>, Vec<Judged>) = ops::risks::list(&ctx, &name, with_retired).await?.into_iter().partition(|j| j.row.retired_at.is_none());
        let bus = ops::reviews::bus_factor(&ctx, &row).await?;
        let now = ctx.now();
        let on_hold = ops::holds::undecided(&ctx, row.id()).await?;
        let s = ops::overview::judge(row, on_hold, now);
        let may = allowed(&who.actor, Action::Plan, On::Service(s.row.id()));
        let base = format!("/services/{}/risks", encode(&s.row.name));
        let content = if all.is_empty() {
            let why = view! { "A risk is rated by likelihood and impact; its measures are linked to what proves them." };
            let add = may.then(|| view! { <a class="btn btn--primary" href=format!("{base}/new")>"Add a risk"</a> }.into_any());
            view! { <section class="panel" aria-label="Risks">{empty("No risks yet", why.into_any(), add)}</section> }.into_any()
        } else {
            view! { {callouts(&all)}{risks(&base, &all, may)}{matrices(&s.row.name, &all)} }.into_any()
        };
        let retired = if with_retired {
            retired(&base, &gone)
        } else {
            view! { <p class="sm"><a href=format!("{base}?retired=1")>"Also show risks that were retired"</a>" · "<a href="/scales">"Rating scales"</a></p> }
                .into_any()
        };
        let content = view! { <div class="stack">{content}{bus_factor(&bus, &shared.zone)}{retired}</div> };
        Ok(service_page(&s, Tab::Risks, &who, (now, &shared.zone), error.as_ref(), content.into_any()))
    })
}

fn callouts(all: &[Judged]) -> AnyView {
    all.iter()
        .flat_map(|j| findings(j).into_iter().map(move |(title, text)| callout(&format!("Risk {}: {}", j.row.number, lower(title)), &text)))
        .collect_view()
        .into_any()
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_lowercase().chain(chars).collect())
}

fn risks(base: &str, all: &[Judged], may: bool) -> AnyView {
    let head = view! {
        {th("Id", "num")}{th("Risk", "")}{th("Established measures", "col-md")}{th("Level", "")}{th("Expected downtime", "col-md")}{th("Treatment", "col-md")}{th("Proofs", "col-md")}
    };
    let rows = all.iter().map(|j| row(base, j)).collect_view();
    let acts = may.then(|| {
        view! { <div class="row"><a class="btn btn--sm" href=format!("{base}/edit")>"Change all in one form"</a><a class="btn btn--sm btn--primary" href=format!("{base}/new")>"Add a risk"</a></div> }
            .into_any()
    });
    panel("risks", "Risk analysis", None, acts, table("Risks of this service", "table--top table--tight", head.into_any(), rows.into_any()).into_any())
        .into_any()
}

fn row(base: &str, j: &Judged) -> AnyView {
    let risk = j.risk();
    let conflict = j.conflict.clone().map(|c| view! { <span class="sub">{c}</span> });
    let treatment = risk
        .treatment
        .map_or_else(|| view! { <span class="muted">"none yet"</span> }.into_any(), |t| view! { <span class="tag">{t.as_str()}</span> }.into_any());
    let due = risk.due.map(|d| view! { <span class="sub">{format!("due {d}")}</span> });
    let owner = (!risk.owner.is_empty()).then(|| view! { <span class="sub">{risk.owner.clone()}</span> });
    let imported = j.row.imported.then(|| view! { <span class="sub">"from an older plan"</span> });
    view! {
        <tr><td class="num">{j.row.number}</td>
            <th scope="row"><a class="rowlink" href=format!("{base}/{}", j.row.number)>{risk.description.clone()}</a>
                {(!risk.components.is_empty()).then(|| view! { <span class="sub">{risk.components.clone()}</span> })}{imported}</th>
            <td class="col-md">{measures(&j.measures)}</td><td>{level_chip(j)}{conflict}</td>
            <td class="col-md">{risk.downtime.clone()}</td><td class="col-md">{treatment}{owner}{due}</td><td class="col-md">{state_chip(j.state)}</td></tr>
    }
    .into_any()
}

fn retired(base: &str, gone: &[Judged]) -> AnyView {
    if gone.is_empty() {
        return view! { <p class="sm muted">"No risk was retired."</p> }.into_any();
    }
    let head = view! { {th("Id", "num")}{th("Risk", "")}{th("Retired by", "")}{th("Reason", "")} };
    let rows = gone.iter().map(|j| {
        let r = &j.row;
        view! {
            <tr><td class="num">{r.number}</td><th scope="row"><a class="rowlink" href=format!("{base}/{}", r.number)>{r.content.description.clone()}</a></th>
                <td>{r.retired_by.clone()}</td><td>{r.retire_reason.clone()}</td></tr>
        }
    });
    panel("retired", "Retired", None, None, table("Risks that were retired", "table--tight", head.into_any(), rows.collect_view().into_any()).into_any())
        .into_any()
}
