//! The calendar of reviews: what is overdue, then month by month.

use domain::review::{ReviewKind, Standing};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use ops::reviews::{Filter, Review};

use super::{civil, every, href, standing_chip, title};
use crate::{
    components::{
        empty, icon, panel,
        service_field::service_field,
        table::{table, th},
    },
    context::{app, ctx},
    frame::{Nav, Page, page},
};

/// Rows that are shown; a filter narrows the rest.
const ROWS: usize = 500;

/// `/reviews?service=&kind=`.
#[component]
pub fn Reviews() -> impl IntoView {
    let (ctx, shared, query) = (ctx(), app(), use_query_map().get_untracked());
    page(async move {
        let text = |name: &str| query.get(name).unwrap_or_default().trim().to_owned();
        let filter = Filter { service: text("service"), kind: ReviewKind::parse(&text("kind")) };
        let mut all = ops::reviews::calendar(&ctx, &filter).await?;
        let more = all.len().saturating_sub(ROWS);
        all.truncate(ROWS);
        let overview = shared.overview.get(&ctx, &shared.zone).await?;
        let filtered = filter != Filter::default();
        let overdue: Vec<&Review> = all.iter().filter(|r| matches!(r.standing, Standing::Overdue { .. })).collect();
        let calm =
            (overdue.is_empty() && !all.is_empty()).then(|| view! { <section class="panel"><p class="panel__body soft">"No review is overdue."</p></section> });
        let late = (!overdue.is_empty()).then(|| group("overdue", "Overdue", Some(format!("{} to be done", overdue.len())), &overdue));
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Reviews"</h1>
                <p class="page__lede">"A plan is true for as long as somebody looks at it. Each service's risks, and its plan and test, are reviewed once a year, unless somebody said otherwise. Reminders go out 30 and 7 days before."</p></div>
                <div class="row"><a class="btn" href="/reviews/calendar">{icon("i-schedule")}"In your calendar"</a></div></div>
            <div class="stack">
                <section class="panel" aria-label="Filter">{filters(&filter, service_field(&overview, (!filter.service.is_empty()).then_some(filter.service.as_str())), filtered)}
                    {all.is_empty().then(|| nothing(filtered))}</section>
                {calm}{late}
                {months(&all)}
                {(more > 0).then(|| view! { <p class="soft sm">{format!("{more} more are due later; narrow them down by service or kind.")}</p> })}
            </div>
        };
        Ok(Page { title: "Reviews".to_owned(), nav: Nav::Reviews, crumbs: vec![("Home".to_owned(), "/".to_owned())], body: body.into_any() })
    })
}

fn filters(filter: &Filter, service: AnyView, filtered: bool) -> AnyView {
    let kinds = ReviewKind::ALL.iter().map(|k| view! { <option value=k.as_str() selected=filter.kind == Some(*k)>{title(*k)}</option> }).collect_view();
    view! {
        <form class="filters" method="get" action="/reviews" aria-label="Filter the reviews">
            {service}
            <div class="field"><label for="f-kind">"Kind"</label><select class="select input--sm" id="f-kind" name="kind"><option value="">"any"</option>{kinds}</select></div>
            <button class="btn btn--sm">"Apply"</button>
            {filtered.then(|| view! { <a class="btn btn--sm btn--quiet" href="/reviews">"Clear"</a> })}
        </form>
    }
    .into_any()
}

fn nothing(filtered: bool) -> AnyView {
    if filtered {
        let clear = view! { <a class="btn" href="/reviews">"Show all reviews"</a> }.into_any();
        return empty("No review like that", "No service that you see has this name and kind of review.".into_any(), Some(clear)).into_any();
    }
    empty("No reviews", "There is no service that you see. Services come with the configuration.".into_any(), None).into_any()
}

/// What is not overdue, a panel a month.
fn months(all: &[Review]) -> AnyView {
    let rest: Vec<&Review> = all.iter().filter(|r| !matches!(r.standing, Standing::Overdue { .. })).collect();
    rest.chunk_by(|a, b| (a.facts.due.year(), a.facts.due.month()) == (b.facts.due.year(), b.facts.due.month()))
        .map(|of| {
            let due = of[0].facts.due;
            group(&due.strftime("%Y-%m").to_string(), &due.strftime("%B %Y").to_string(), None, of)
        })
        .collect_view()
        .into_any()
}

fn group(id: &str, name: &str, note: Option<String>, of: &[&Review]) -> AnyView {
    let rows = of.iter().map(|r| row(r)).collect_view();
    let head = view! { {th("Service", "")}{th("Review", "")}{th("Due", "")}{th("Last done", "col-md")}{th("How often", "col-lo")}{th("State", "")} };
    let caption = format!("Reviews: {name}");
    panel(id, name, note, None, table(&caption, "table--tight", head.into_any(), rows.into_any()).into_any()).into_any()
}

fn row(r: &Review) -> AnyView {
    let last = match (r.facts.last_on, &r.facts.last) {
        (Some(on), Some(last)) => view! { {civil(on)}<span class="sub clip">{format!("by {}", last.done_by)}</span> }.into_any(),
        _ => "never".into_any(),
    };
    view! {
        <tr><th scope="row"><a class="rowlink" href=format!("/services/{}/reviews", r.service.name)>{r.service.title.clone()}</a><span class="sub">{r.service.owner.clone()}</span></th>
            <td><a href=href(&r.service.name, r.facts.kind)>{title(r.facts.kind)}<span class="vh">{format!(" of {}", r.service.title)}</span></a></td>
            <td class="nowrap">{civil(r.facts.due)}</td><td class="col-md">{last}</td><td class="col-lo">{every(r.facts.months)}</td><td>{standing_chip(r)}</td></tr>
    }
    .into_any()
}
