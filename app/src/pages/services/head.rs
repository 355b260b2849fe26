//! What the tabs of one service share: its title, how it stands, its buttons, the tabs.
//!
//! Lives here: the head and the crumbs. May not: the content of a tab.

use domain::units::{Timestamp, count};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use ops::{
    overview::Standing,
    permission::{Action, On, allowed},
};

use super::act;
use crate::{
    components::{origin::from_file, standing::standing_chip},
    context::Visitor,
    error::AppError,
    frame::{Nav, Page},
    pages::restore::way,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tab {
    Overview,
    Snapshots,
    Tests,
    Availability,
    Plan,
    Risks,
    Reviews,
}

/// A page of one service around the content of a tab.
pub fn service_page(s: &Standing, tab: Tab, who: &Visitor, (now, zone): (Timestamp, &TimeZone), error: Option<&AppError>, content: AnyView) -> Page {
    let (row, base) = (&s.row, format!("/services/{}", s.row.name));
    let tabs = [
        (Tab::Overview, String::new(), "Overview"),
        (Tab::Snapshots, "/snapshots".to_owned(), "Snapshots"),
        (Tab::Tests, "/tests".to_owned(), "Tests"),
        (Tab::Availability, "/availability".to_owned(), "Availability"),
        (Tab::Plan, "/plan".to_owned(), "Plan"),
        (Tab::Risks, "/risks".to_owned(), "Risks"),
        (Tab::Reviews, "/reviews".to_owned(), "Reviews"),
    ];
    let items = tabs
        .iter()
        .map(|(this, path, words)| view! { <li><a href=format!("{base}{path}") aria-current=(*this == tab).then_some("page")>{*words}</a></li> })
        .collect_view();
    let restore = (allowed(&who.actor, Action::Restore, On::Service(row.id())) && row.last_snapshot_at.is_some())
        .then(|| view! { <a class="btn" href=way::of_service(row)>"Restore"</a> });
    let is_tested = row.last_snapshot_at.is_some();
    let acts = allowed(&who.actor, Action::Operate, On::Service(row.id()))
        .then(|| view! { {is_tested.then(|| act::test_button(&row.name, ""))}{act::back_up_button(&row.name, "btn--primary")} });
    let body = view! {
        <div class="page__head"><div><h1 class="page__title">{row.title.clone()}</h1>
            <div class="page__meta">{standing_chip(s.worst())}<span>"Owner "<b>{row.owner.clone()}</b></span>
                <span>{format!("{} {}", count(row.items), if row.items == 1 { "item" } else { "items" })}</span><span class="mono">{row.name.clone()}</span>{from_file(&row.origin, now, zone)}</div></div>
            <div class="row">{restore}{acts}</div></div>
        {error.map(act::refused)}
        <nav class="tabs" aria-label=row.title.clone()><ul>{items}</ul></nav>
        {content}
    };
    let mut crumbs = vec![("Home".to_owned(), "/".to_owned()), ("Services".to_owned(), "/services".to_owned())];
    let title = match tab {
        Tab::Overview => row.title.clone(),
        Tab::Snapshots => "Snapshots".to_owned(),
        Tab::Tests => "Tests".to_owned(),
        Tab::Availability => "Availability".to_owned(),
        Tab::Plan => "Plan".to_owned(),
        Tab::Risks => "Risks".to_owned(),
        Tab::Reviews => "Reviews".to_owned(),
    };
    if tab != Tab::Overview {
        crumbs.push((row.title.clone(), base));
    }
    Page { title, nav: Nav::Services, crumbs, body: body.into_any() }
}
