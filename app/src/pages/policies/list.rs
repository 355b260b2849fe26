//! All policies, and the sources that have none.
//!
//! Lives here: the list. May not: changing a policy (that is the configuration's).

use domain::units::count;
use leptos::prelude::*;
use ops::policies::Policy;
use store::policies::PolicySource;

use crate::{
    components::{
        empty, panel,
        status::{Tone, chip},
        table::{table, th},
    },
    context::ctx,
    frame::{Nav, Page, page},
};

/// Sources without a policy that are named.
const NAMED: usize = 20;

#[component]
pub fn Policies() -> impl IntoView {
    let ctx = ctx();
    page(async move {
        let all = ops::policies::list(&ctx).await?;
        let sources = ops::policies::sources(&ctx).await?;
        let bare: Vec<&PolicySource> = sources.iter().filter(|s| !all.iter().any(|p| Some(p.row.id) == s.policy_id)).collect();
        let content = if all.is_empty() {
            let why = view! { "Without a policy everything is kept. Add one under "<code>"policies:"</code>" in the configuration and name it at a source." };
            view! { <section class="panel">{empty("No policies yet", why.into_any(), None)}</section> }.into_any()
        } else {
            let rows = all.iter().map(row).collect_view();
            let head = view! { {th("Policy", "")}{th("Keeps", "")}{th("Used by", "")}{th("Days begin in", "col-md")} };
            panel("policies", "Policies", None, None, table("Policies by name", "", head.into_any(), rows.into_any()).into_any()).into_any()
        };
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Policies"</h1>
                <p class="page__lede">"What is kept of each item. After a complete backup of an item, what its policy no longer keeps is forgotten; \
                    a prune gives the space back."</p></div></div>
            <div class="stack">{content}{without(&bare)}</div>
        };
        Ok(Page { title: "Policies".to_owned(), nav: Nav::Policies, crumbs: vec![("Home".to_owned(), "/".to_owned())], body: body.into_any() })
    })
}

fn row(p: &Policy) -> AnyView {
    let zone = if p.row.rules.time_zone.is_empty() { "UTC".to_owned() } else { p.row.rules.time_zone.clone() };
    let uses = match p.uses.as_slice() {
        [] => chip(Tone::None, "no source"),
        [one] => format!("{}, {}", one.service_title, one.source_name).into_any(),
        more => format!("{} sources", count(more.len() as i64)).into_any(),
    };
    view! {
        <tr><th scope="row"><a class="rowlink" href=format!("/policies/{}", p.row.name)>{p.row.name.clone()}</a></th>
            <td>{p.row.rules.words()}</td><td>{uses}</td><td class="col-md">{zone}</td></tr>
    }
    .into_any()
}

fn without(bare: &[&PolicySource]) -> AnyView {
    if bare.is_empty() {
        return ().into_any();
    }
    let named = bare
        .iter()
        .take(NAMED)
        .map(|s| view! { <li><a href=format!("/services/{}", s.service_name)>{s.service_title.clone()}</a>", "{s.source_name.clone()}</li> })
        .collect_view();
    let more = (bare.len() > NAMED).then(|| view! { <li>{format!("and {} more", bare.len() - NAMED)}</li> });
    let body = view! {
        <div class="panel__body stack stack--sm"><p class="sm soft">"Nothing of these is ever forgotten. That is safe, and it grows."</p><ul class="stack stack--sm">{named}{more}</ul></div>
    };
    panel("without", "Sources without a policy", None, None, body.into_any()).into_any()
}
