//! Finding a person.
//!
//! Lives here: the list with its search. May not: judging.

use domain::units::{Timestamp, count, size};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use ops::people::{Cover, Person};

use crate::{
    components::{
        address::{encode, with_query},
        empty,
        pager::pager,
        status::{Tone, chip},
        table::{table, th},
        time::{relative, short},
    },
    context::{app, ctx},
    frame::{Nav, Page, page},
};

const PAGE: i64 = 50;

#[component]
pub fn People() -> impl IntoView {
    let (ctx, shared, query) = (ctx(), app(), use_query_map().get_untracked());
    page(async move {
        let (q, after) = (query.get("q").unwrap_or_default().trim().to_owned(), query.get("after").unwrap_or_default());
        let (mut people, total) = ops::people::list(&ctx, &after, &q, PAGE + 1).await?;
        let more = people.len() > PAGE as usize;
        people.truncate(PAGE as usize);
        let now = ctx.now();
        let nobodys = ops::people::names::count_nobodys(&ctx).await?;
        let nobodys = (nobodys > 0).then(|| {
            let words = if nobodys == 1 { "1 item belongs to nobody".to_owned() } else { format!("{} items belong to nobody", count(nobodys)) };
            view! { <span class="panel__note"><a href="/unattributed">{words}</a></span> }
        });
        let content = if !people.is_empty() {
            let next = people.last().filter(|_| more).map(|p| with_query("/people", &[("q", &q), ("after", &p.row.name)]));
            let first = (!after.is_empty()).then(|| with_query("/people", &[("q", &q)]));
            let name = if q.is_empty() { "People by name".to_owned() } else { format!("People that match “{q}”") };
            view! { {people_table(&name, &people, now, &shared.zone)}{pager(first.map(|href| ("First page", href)), next.map(|href| ("Next page", href)))} }
                .into_any()
        } else if q.is_empty() {
            let why = view! { "A person is known by the name of their folder. When the first backup has run, everybody it found is listed here." };
            empty("Nobody yet", why.into_any(), Some(view! { <a class="btn" href="/services">"See the services"</a> }.into_any())).into_any()
        } else {
            let clear = view! { <a class="btn" href="/people">"Show everybody"</a> };
            empty("Nobody matches", view! { "No name holds “"{q.clone()}"”. Try a part of it." }.into_any(), Some(clear.into_any())).into_any()
        };
        let found = match (q.is_empty(), total) {
            (true, n) => format!("{} {}.", count(n), if n == 1 { "person" } else { "people" }),
            (false, 1) => format!("1 person matches “{q}”."),
            (false, n) => format!("{} people match “{q}”.", count(n)),
        };
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"People"</h1>
                <p class="page__lede">"Find a person and see everything kept for them, in every service. A person is known by the name of their items."</p></div></div>
            <div class="stack"><section class="panel" aria-label="Search people">
                <form class="filters" role="search" aria-label="People" method="get" action="/people">
                    <div class="field"><label for="pq">"Name"</label><input class="input" id="pq" name="q" type="search" value=q/></div>
                    <button class="btn btn--primary">"Search"</button>
                </form>
                <div class="panel__foot row" role="status"><span>{found}</span>{nobodys}</div>
                {content}
            </section></div>
        };
        Ok(Page { title: "People".to_owned(), nav: Nav::People, crumbs: vec![("Home".to_owned(), "/".to_owned())], body: body.into_any() })
    })
}

pub fn cover_chip(cover: Cover) -> AnyView {
    match cover {
        Cover::Covered => chip(Tone::Ok, "covered"),
        Cover::Overdue => chip(Tone::Fail, "RPO overdue"),
        Cover::Never => chip(Tone::None, "never backed up"),
        Cover::Left => chip(Tone::None, "left"),
    }
}

/// People with what is kept for them; also on the page of the search.
pub fn people_table(name: &str, people: &[Person], now: Timestamp, zone: &jiff::tz::TimeZone) -> AnyView {
    let rows = people
        .iter()
        .map(|p| {
            let services = p.services();
            let few = services.iter().take(4).map(|(_, title)| *title).collect::<Vec<_>>().join(", ");
            let rest = services.len().saturating_sub(4);
            let services = if rest > 0 { format!("{few} and {rest} more") } else { few };
            let newest = p.newest().map_or_else(
                || view! { "no data" }.into_any(),
                |at| view! { {short(at, now, zone)}" "<span class="muted">{relative(at, now)}</span> }.into_any(),
            );
            view! {
                <tr><th scope="row"><a class="rowlink" href=format!("/people/{}", encode(&p.row.name))>{p.row.shown().to_owned()}</a>{p.row.shown.as_ref().map(|_| view! { <span class="sub mono">{p.row.name.clone()}</span> })}</th>
                    <td class="col-md">{services}</td><td class="num col-md">{count(p.items.len() as i64)}</td><td class="col-md nowrap">{newest}</td>
                    <td class="num col-md">{size(p.size_bytes())}</td><td>{cover_chip(p.cover(now))}</td></tr>
            }
        })
        .collect_view();
    let head = view! {
        {th("Person", "")}{th("Services", "col-md")}{th("Items", "num col-md")}{th("Newest snapshot", "col-md")}{th("Size", "num col-md")}{th("State", "")}
    };
    table(name, "", head.into_any(), rows.into_any()).into_any()
}
