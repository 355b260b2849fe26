//! Addresses at which calendar programs read what is due.
//!
//! Lives here: `/reviews/calendar`. May not: keeping an address longer than until it is shown.

use leptos::{prelude::*, server_fn::ServerFn};
use ops::feeds::{self, FeedRow};

use super::act::{MakeCalendar, RevokeCalendar};
use crate::{
    components::{
        address::Query,
        issued::{self, Made, Words},
        panel,
    },
    context::{app, ctx, query},
    error::{AppError, form_error, refused},
    frame::{Nav, Page, page},
    once::{Once, site},
};

/// Where this page is, and how a new secret comes to it.
pub const HERE: &str = "/reviews/calendar";
pub const MADE: Once = Once { cookie: "made_calendar", page: HERE, prefix: feeds::PREFIX };

const WORDS: Words = Words {
    id: "feeds",
    title: "Addresses",
    caption: "Addresses",
    none: ("No addresses", "No calendar program reads your reviews."),
    name: "Read by",
    own: None,
    used: "Last read",
    whose: "of",
    revoke: RevokeCalendar::PATH,
};

/// `/reviews/calendar`.
#[component]
pub fn Calendars() -> impl IntoView {
    let (ctx, shared, error, typed) = (ctx(), app(), form_error(), query());
    let (made, here) = (MADE.take(), site());
    page(async move {
        let all = feeds::list(&ctx).await?;
        let site = ops::accounts::address(&ctx).await?.unwrap_or(here);
        let all = all.iter().map(|FeedRow { issued }| Made { row: issued, own: ().into_any(), used: issued::from(issued) }).collect();
        let advice = "Subscribe to it in your calendar program. Whoever has it sees what you see of reviews.";
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Reviews in your calendar"</h1>
                <p class="page__lede">"A calendar program reads at a secret address which reviews are due, and reminds 30 and 7 days before. It sees the services that you see, and nothing else."</p></div></div>
            {error.as_ref().map(refused)}
            <div class="stack">
                {made.map(|secret| issued::shown("The address, this once", advice.into_any(), format!("{}{}", site.trim_end_matches('/'), feeds::path(&secret))))}
                {issued::list(&WORDS, &ctx.actor.name, all, ctx.now(), &shared.zone)}
                {panel("new", "New address", None, None, form(&typed, error.as_ref()))}
            </div>
        };
        let crumbs = vec![("Home".to_owned(), "/".to_owned()), ("Reviews".to_owned(), "/reviews".to_owned())];
        Ok(Page { title: "Reviews in your calendar".to_owned(), nav: Nav::Reviews, crumbs, body: body.into_any() })
    })
}

fn form(typed: &Query, error: Option<&AppError>) -> AnyView {
    let name = ("name", "Name", "Which program reads it, such as “calendar of my phone”");
    let days = (feeds::DEFAULT_DAYS, "It ends after so many, at most 366");
    view! {
        <form class="panel__body form" method="post" action=MakeCalendar::url()>
            {issued::name_and_days(name, days, typed, error)}
            <p><button class="btn btn--primary">"Make the address"</button></p>
        </form>
    }
    .into_any()
}
