//! All services: promises against facts.

use domain::{
    evidence::EvidenceLevel,
    units::{Timestamp, span},
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::{
    components::{
        empty,
        evidence::ladder,
        table::{table, th},
        time::moment_with_age,
    },
    context::{app, ctx},
    frame::{Nav, Page, page},
};

#[component]
pub fn Services() -> impl IntoView {
    let (ctx, shared, query) = (ctx(), app(), use_query_map().get_untracked());
    page(async move {
        let search = query.get("q").unwrap_or_default();
        let services = ops::services::list(&ctx, "", &search, 100).await?;
        let now = ctx.now();
        let promise = |s: Option<i64>| s.map_or_else(|| "–".to_owned(), |s| span(s as f64));
        let rows = services
            .iter()
            .map(|s| {
                let newest = s.last_snapshot_at.map(|at| moment_with_age(Timestamp(at), now, &shared.zone).into_any());
                view! {
                    <tr>
                        <th scope="row"><a class="rowlink" href=format!("/services/{}", s.name)>{s.title.clone()}</a><span class="sub">{s.owner.clone()}</span></th>
                        <td class="num col-md">{promise(s.rpo_s)}</td>
                        <td class="num col-md">{promise(s.rto_s)}</td>
                        <td class="num col-lo">{promise(s.mtpod_s)}</td>
                        <td class="col-md">{newest.unwrap_or_else(|| "no data".into_any())}</td>
                        <td class="num col-md">{format!("{} of {}", s.items_fresh, s.items)}</td>
                        <td>{ladder(EvidenceLevel::parse(&s.best_level).unwrap_or_default())}</td>
                    </tr>
                }
            })
            .collect_view();
        let head = view! {
            {th("Service", "")}{th("RPO", "num col-md")}{th("RTO", "num col-md")}{th("MTPoD", "num col-lo")}
            {th("Newest snapshot", "col-md")}{th("Covered", "num col-md")}{th("Best evidence", "")}
        };
        let content = if services.is_empty() {
            empty("No services yet", view! { "Describe your services in a file and apply it: "<code>"holdfast apply FILE.yaml"</code> }.into_any(), None)
                .into_any()
        } else {
            table("Services", "", head.into_any(), rows.into_any()).into_any()
        };
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Services"</h1>
                <p class="page__lede">"What the organisation relies on. Each has an owner and three promises: RPO, RTO and MTPoD."</p></div></div>
            <div class="stack"><section class="panel" aria-label="Services">
                <form class="filters" method="get" action="/services" aria-label="Filter the services">
                    <div class="field"><label for="f-q">"Name or owner"</label><input class="input input--sm" id="f-q" name="q" type="search" value=search/></div>
                    <button class="btn btn--sm">"Apply"</button>
                </form>
                {content}
            </section></div>
        };
        Ok(Page { title: "Services".to_owned(), nav: Nav::Services, crumbs: vec![("Home".to_owned(), "/".to_owned())], body: body.into_any() })
    })
}
