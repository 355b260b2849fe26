//! What came from a file, and what becomes of a change of it in a page.
//!
//! Lives here: the words and their markup. May not: knowing what kind of thing it is.

use domain::units::Timestamp;
use jiff::tz::TimeZone;
use leptos::prelude::*;
use store::origins::Origin;

use super::{
    icon,
    time::{full, relative},
};

/// `From a file, holdfast.yaml, applied 3 h ago`; nothing of what a page has made.
pub fn from_file(origin: &Origin, now: Timestamp, zone: &TimeZone) -> Option<AnyView> {
    let file = origin.file.clone()?;
    let applied = origin.applied_at.map(|at| {
        let at = Timestamp(at);
        view! { ", applied "<span title=full(at, zone)>{relative(at, now)}</span> }
    });
    Some(view! { <span class="from-file">{icon("i-file")}<span>"From a file: "<span class="path">{file}</span>{applied}</span></span> }.into_any())
}

/// Before a form that changes what came from a file.
pub fn comes_back(origin: &Origin) -> Option<AnyView> {
    let file = origin.file.clone()?;
    let said = view! {
        <div class="callout callout--warn">{icon("i-warn")}<b>"This came from a file"</b>
            <div>"A change here stands until "<span class="path">{file}</span>" is applied again: then the values of the file are back. To keep a change, make it in the file."</div></div>
    };
    Some(said.into_any())
}
