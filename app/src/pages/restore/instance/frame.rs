//! The frame of both wizards: their head, their steps, what is shown below.
//!
//! Lives here: markup from values. May not: asking for anything.

use leptos::prelude::*;
use store::snapshots::ListedSnapshot;

use super::super::wizard::strip;
use crate::frame::{Nav, Page};

/// What a wizard says of itself.
pub struct Frame {
    pub title: &'static str,
    pub heading: &'static str,
    pub lede: &'static str,
}

impl Frame {
    /// The page with the snapshot that is chosen, and with the steps after that.
    pub fn page(&self, s: Option<&ListedSnapshot>, steps: Vec<(&'static str, Option<String>)>, refusal: Option<AnyView>, shown: AnyView) -> Page {
        let mut crumbs = vec![("Home".to_owned(), "/".to_owned()), ("Restore".to_owned(), "/restore".to_owned())];
        crumbs.extend(s.map(|s| (s.row.label.clone(), format!("/snapshots/{}", s.row.id))));
        let of = s.and_then(|s| s.item_name.clone()).map(|name| view! { " "<span class="soft">{name}</span> });
        let select = [("Select", s.map(|_| "1 snapshot".to_owned()))];
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">{self.heading}{of}</h1><p class="page__lede">{self.lede}</p></div></div>
            {strip(select.into_iter().chain(steps).collect())}
            {refusal}
            <div class="stack">{shown}</div>
        };
        Page { title: self.title.to_owned(), nav: Nav::Restore, crumbs, body: body.into_any() }
    }
}
