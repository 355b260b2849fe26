//! One policy: its rules, who uses it, and what it would keep.
//!
//! Lives here: the page and its query. Beside it: `preview`. May not: deciding (that is `ops::policies`).

use domain::retention::Rules;
use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};
use ops::policies::{Policy, Tried};
use store::policies::PolicySource;

use super::preview::{of_item, of_source};
use crate::{
    components::{empty, origin::from_file, panel},
    context::{app, ctx},
    frame::{Nav, Page, page},
};

/// Items a page.
const ITEMS: i64 = 50;

/// What the address asks to preview.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub policy: String,
    /// `service/source`.
    pub of: String,
    pub item: String,
    pub after: String,
}

impl Asked {
    pub fn address(&self, item: &str, after: &str) -> String {
        crate::components::address::with_query(&format!("/policies/{}", self.policy), &[("of", &self.of), ("item", item), ("after", after)])
    }
}

#[component]
pub fn PolicyPage() -> impl IntoView {
    let (ctx, shared) = (ctx(), app());
    let (params, query) = (use_params_map().get_untracked(), use_query_map().get_untracked());
    page(async move {
        let get = |name: &str| query.get(name).unwrap_or_default();
        let policy = ops::policies::find(&ctx, &params.get("name").unwrap_or_default()).await?;
        let sources = ops::policies::sources(&ctx).await?;
        let mut asked = Asked { policy: policy.row.name.clone(), of: get("of"), item: get("item").trim().to_owned(), after: get("after") };
        if asked.of.is_empty() {
            asked.of = policy.uses.first().or(sources.first()).map(key).unwrap_or_default();
        }
        let now = ctx.now();
        let preview = match asked.of.split_once('/') {
            None => {
                let why = view! { "A service with a source is needed to see what this policy keeps." };
                panel("preview", "What is kept", None, None, empty("Nothing to preview", why.into_any(), None).into_any()).into_any()
            }
            Some((service, source)) if asked.item.is_empty() => {
                let found = ops::policies::preview_source(&ctx, service, Some(source), Tried::Named(&asked.policy), &asked.after, ITEMS).await?;
                of_source(&asked, &sources, &found, now, &shared.zone)
            }
            Some((service, source)) => {
                let found = ops::policies::preview(&ctx, service, Some(source), &asked.item, Tried::Named(&asked.policy)).await?;
                of_item(&asked, &sources, &found, now, &shared.zone)
            }
        };
        let title = policy.row.name.clone();
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">{title.clone()}</h1>
                <div class="page__meta"><span>"Keeps "<b>{policy.row.rules.words()}</b></span>{from_file(&policy.row.origin, now, &shared.zone)}</div></div></div>
            <div class="grid grid--aside-w"><div class="stack">{preview}</div>
                <div class="stack">{rules(&policy.row.rules)}{never()}{uses(&policy)}</div></div>
        };
        let crumbs = vec![("Home".to_owned(), "/".to_owned()), ("Policies".to_owned(), "/policies".to_owned())];
        Ok(Page { title, nav: Nav::Policies, crumbs, body: body.into_any() })
    })
}

pub(super) fn key(s: &PolicySource) -> String {
    format!("{}/{}", s.service_name, s.source_name)
}

fn rules(r: &Rules) -> AnyView {
    let mut rows: Vec<(String, String)> = r.counts().into_iter().map(|(period, n)| (crate::error::upper(period.adjective()), n.to_string())).collect();
    rows.extend(r.keep_within.map(|w| ("All within".to_owned(), w.to_string())));
    rows.extend(r.spans().into_iter().map(|(period, w)| (format!("{} within", crate::error::upper(period.adjective())), w.to_string())));
    if !r.keep_tags.is_empty() {
        rows.push(("Tagged".to_owned(), r.keep_tags.join(" or ")));
    }
    rows.push(("At most".to_owned(), if r.max_snapshots == 0 { "no limit".to_owned() } else { r.max_snapshots.to_string() }));
    rows.push(("Days begin in".to_owned(), if r.time_zone.is_empty() { "UTC".to_owned() } else { r.time_zone.clone() }));
    let rows = rows.into_iter().map(|(name, value)| view! { <dt>{name}</dt><dd>{value}</dd> }).collect_view();
    panel("rules", "Rules", None, None, view! { <div class="panel__body"><dl class="kv">{rows}</dl></div> }.into_any()).into_any()
}

/// What no rule forgets.
fn never() -> AnyView {
    let body = view! {
        <div class="panel__body"><ul class="stack stack--sm">
            <li>"The newest complete snapshot of an item"</li><li>"The last one that was verified"</li>
            <li>"Whatever is on hold"</li><li>"What a restore takes from now"</li>
        </ul></div>
    };
    panel("never", "Never forgotten", None, None, body.into_any()).into_any()
}

fn uses(p: &Policy) -> AnyView {
    let body = if p.uses.is_empty() {
        view! { <p class="panel__body sm soft">"No source names it. In the configuration, write "<code>{format!("policy: {}", p.row.name)}</code>" at a source."</p> }
            .into_any()
    } else {
        let all =
            p.uses.iter().map(|s| view! { <li><a href=format!("/services/{}", s.service_name)>{s.service_title.clone()}</a>", "{s.source_name.clone()}</li> });
        view! { <div class="panel__body"><ul class="stack stack--sm">{all.collect_view()}</ul></div> }.into_any()
    };
    panel("uses", "Used by", None, None, body).into_any()
}
