//! All repositories.
//!
//! Lives here: the list. May not: changing a repository (that is the configuration's).

use domain::units::{Timestamp, count, size};
use leptos::prelude::*;
use ops::repositories::Repository;

use super::{cloud, parts};
use crate::{
    components::{
        address::encode,
        empty, panel,
        protection::protection_chip,
        table::{table, th},
        time::relative,
    },
    context::{app, ctx},
    frame::{Nav, Page, page},
};

#[component]
pub fn Repositories() -> impl IntoView {
    let (ctx, shared) = (ctx(), app());
    page(async move {
        let (clouds, all): (Vec<_>, Vec<_>) = ops::repositories::list(&ctx).await?.into_iter().partition(cloud::is_cloud);
        let now = ctx.now();
        let content = if all.is_empty() && !clouds.is_empty() {
            ().into_any()
        } else if all.is_empty() {
            let why = view! { "A repository is where backups live. Add one under "<code>"repositories:"</code>" in the configuration." };
            view! { <section class="panel">{empty("No repositories yet", why.into_any(), None)}</section> }.into_any()
        } else {
            let rows = all.iter().map(|r| row(r, now)).collect_view();
            let head = view! {
                {th("Repository", "")}{th("Size", "num")}{th("Dedup ratio", "num col-lo")}{th("Structure", "")}{th("Data", "col-md")}
                {th("Against tampering", "col-md")}{th("Used by", "num col-lo")}
            };
            panel("repositories", "Repositories", None, None, table("Repositories by name", "", head.into_any(), rows.into_any()).into_any()).into_any()
        };
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Repositories"</h1>
                <p class="page__lede">"Where backups live, in restic's format. Each can be opened without Holdfast; its recovery kit says how. Snapshots of instances stay in their clouds."</p></div></div>
            <div class="stack">{content}{(!clouds.is_empty()).then(|| cloud::listed(&clouds, now, &shared.zone))}</div>
        };
        Ok(Page { title: "Repositories".to_owned(), nav: Nav::Repositories, crumbs: vec![("Home".to_owned(), "/".to_owned())], body: body.into_any() })
    })
}

fn row(r: &Repository, now: Timestamp) -> AnyView {
    let newest = r.newest.map(|n| n.size_bytes).or(r.row.size_bytes);
    let ago = |at: Option<i64>| at.map(|at| view! { <span class="sub">{relative(Timestamp(at), now)}</span> });
    view! {
        <tr><th scope="row"><a class="rowlink" href=format!("/repositories/{}", encode(&r.row.name))>{r.row.name.clone()}</a>
                <span class="sub path">{r.row.location.clone()}</span></th>
            <td class="num nowrap">{newest.map_or_else(|| "no data".to_owned(), size)}{parts::growth(r).map(|g| view! { <span class="sub">{g}</span> })}</td>
            <td class="num col-lo">{parts::ratio(r)}</td>
            <td>{parts::structure_chip(r, now)}{ago(r.row.checked_at)}</td>
            <td class="col-md">{parts::data_chip(r, now)}{ago(r.row.data_read_at)}</td>
            <td class="col-md">{protection_chip(r.protection())}{ago(r.row.tamper_tested_at)}</td>
            <td class="num col-lo">{count(r.uses.len() as i64)}</td></tr>
    }
    .into_any()
}
