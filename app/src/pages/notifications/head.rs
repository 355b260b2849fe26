//! What the pages of notifications share: title, tabs, crumbs, the sign of a delivery.
//!
//! Lives here: the frame of a tab. May not: its content.

use domain::alert::message::Event;
use leptos::prelude::*;
use store::deliveries::ListedDelivery;

use crate::{
    components::status::{Tone, chip, chip_with},
    error::AppError,
    frame::{Nav, Page},
    pages::services::act,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tab {
    Overview,
    Alerts,
    Deliveries,
}

/// A tab around its content.
pub fn tab(tab: Tab, error: Option<&AppError>, content: AnyView) -> Page {
    let tabs = [
        (Tab::Overview, "/notifications", "Channels and rules"),
        (Tab::Alerts, "/notifications/alerts", "Alerts"),
        (Tab::Deliveries, "/notifications/deliveries", "Deliveries"),
    ];
    let items = tabs.map(|(this, href, words)| view! { <li><a href=href aria-current=(this == tab).then_some("page")>{words}</a></li> }).collect_view();
    let title = match tab {
        Tab::Overview => "Notifications",
        Tab::Alerts => "Alerts",
        Tab::Deliveries => "Deliveries",
    };
    let mut crumbs = vec![("Home".to_owned(), "/".to_owned())];
    if tab != Tab::Overview {
        crumbs.push(("Notifications".to_owned(), "/notifications".to_owned()));
    }
    let body = view! {
        <div class="page__head"><div><h1 class="page__title">{title}</h1>
            <p class="page__lede">"Who is told when something is wrong, by which way, and whether it arrived."</p></div></div>
        {error.map(act::refused)}
        <nav class="tabs" aria-label="Notifications"><ul>{items}</ul></nav>
        {content}
    };
    Page { title: title.to_owned(), nav: Nav::Notifications, crumbs, body: body.into_any() }
}

/// A page below one of the tabs.
pub fn below(title: &str, lede: &str, over: &[(&str, &str)], error: Option<&AppError>, content: AnyView) -> Page {
    let mut crumbs = vec![("Home".to_owned(), "/".to_owned()), ("Notifications".to_owned(), "/notifications".to_owned())];
    crumbs.extend(over.iter().map(|(name, href)| ((*name).to_owned(), (*href).to_owned())));
    let body = view! {
        <div class="page__head"><div><h1 class="page__title">{title.to_owned()}</h1><p class="page__lede">{lede.to_owned()}</p></div></div>
        {error.map(act::refused)}
        {content}
    };
    Page { title: title.to_owned(), nav: Nav::Notifications, crumbs, body: body.into_any() }
}

/// How a message stands.
pub fn state_chip(state: &str, attempts: i64) -> AnyView {
    match state {
        "sent" => chip(Tone::Ok, "delivered"),
        "failed" => chip(Tone::Fail, "given up"),
        "sending" => chip(Tone::Run, "on its way"),
        _ if attempts > 0 => chip_with(Tone::Warn, "i-clock", "tried, waits"),
        _ => chip_with(Tone::None, "i-clock", "waits"),
    }
}

/// Why a message was sent, in a word.
pub fn event_words(text: &str) -> &'static str {
    Event::parse(text).map_or("message", Event::words)
}

/// The receiver of a message as a table shows it.
pub fn receiver(d: &ListedDelivery) -> String {
    if d.row.recipient.is_empty() { d.channel.clone() } else { format!("{}, {}", d.channel, d.row.recipient) }
}
