//! How a version and a difference look on every page of plans.
//!
//! Lives here: chips, the crumbs, marked words, safe text. May not: deciding.

use domain::plan::{Part, State};
use leptos::prelude::*;
use store::{plans::VersionRow, services::ServiceRow};

use crate::{
    components::{
        address::encode,
        status::{Tone, chip, chip_with},
    },
    frame::{Nav, Page},
};

/// The plan of a service, or what stands below it.
pub fn href(service: &str, below: &str) -> String {
    format!("/services/{}/plan{below}", encode(service))
}

pub fn state_chip(state: State) -> AnyView {
    match state {
        State::Draft => chip_with(Tone::None, "i-file", "draft"),
        State::InReview => chip(Tone::Run, "in review"),
        State::Approved => chip(Tone::Ok, "approved"),
        State::Superseded => chip(Tone::None, "superseded"),
        State::Discarded => chip(Tone::None, "discarded"),
    }
}

/// `v2, in review`.
pub fn words(row: &VersionRow) -> String {
    format!("v{}, {}", row.number, row.state().label())
}

/// A page below the plan of a service.
pub fn below(service: &ServiceRow, title: &str, body: AnyView) -> Page {
    let crumbs = [("Home", "/".to_owned()), ("Services", "/services".to_owned()), (&service.title, format!("/services/{}", encode(&service.name)))];
    let mut crumbs: Vec<(String, String)> = crumbs.map(|(words, href)| (words.to_owned(), href)).into();
    crumbs.push(("Plan".to_owned(), href(&service.name, "")));
    Page { title: title.to_owned(), nav: Nav::Services, crumbs, body }
}

/// What somebody wrote as Markdown, made safe; or that nothing is written.
pub fn text(markdown: &str) -> AnyView {
    if markdown.trim().is_empty() {
        return nothing();
    }
    view! { <div class="prose" inner_html=ops::document::fragment(markdown)></div> }.into_any()
}

pub fn nothing() -> AnyView {
    view! { <p class="muted">"Nothing is written here yet."</p> }.into_any()
}

/// The words of a text against those of another one.
pub fn marked(parts: &[Part]) -> AnyView {
    let parts = parts
        .iter()
        .map(|p| match p {
            Part::Same(t) => view! { <span>{t.clone()}</span> }.into_any(),
            Part::Removed(t) => view! { <del><span class="vh">"removed: "</span>{t.clone()}<span class="vh">" (end)"</span></del> }.into_any(),
            Part::Added(t) => view! { <ins><span class="vh">"added: "</span>{t.clone()}<span class="vh">" (end)"</span></ins> }.into_any(),
        })
        .collect_view();
    view! { <div class="diff diff--prose diff--words">{parts}</div> }.into_any()
}
