//! Words and chips of repositories, for the list and the page.
//!
//! Lives here: markup from values. May not: loading anything.

use domain::units::{Timestamp, count, size, span};
use leptos::prelude::*;
use ops::repositories::Repository;

use crate::components::status::{Tone, chip};

/// How long a check counts as fresh; a repository that is checked more rarely is marked.
const FRESH_S: f64 = 8.0 * 86_400.0;

/// `2.4 ×`, or why there is none.
pub fn ratio(r: &Repository) -> String {
    r.dedup_ratio().map_or_else(|| "no data".to_owned(), |n| format!("{n:.1} ×"))
}

/// `+1.2 GB in 30 days`.
pub fn growth(r: &Repository) -> Option<String> {
    let (bytes, days) = r.growth?;
    let days = if days == 1 { "a day".to_owned() } else { format!("{} days", count(days)) };
    Some(match bytes {
        0 => format!("unchanged in {days}"),
        1.. => format!("+{} in {days}", size(bytes)),
        _ => format!("−{} in {days}", size(-bytes)),
    })
}

/// How the last check of the structure went, and whether it is old.
pub fn structure_chip(r: &Repository, now: Timestamp) -> AnyView {
    match (r.row.checked_at, r.row.check_state.as_deref()) {
        (Some(_), Some("damaged")) => chip(Tone::Fail, "damaged"),
        (Some(at), _) if now.secs_since(Timestamp(at)) > FRESH_S => chip(Tone::Warn, "checked long ago"),
        (Some(_), _) => chip(Tone::Ok, "no damage"),
        (None, _) => chip(Tone::None, "never checked"),
    }
}

/// How much of the data was read, and whether that is as promised.
pub fn data_chip(r: &Repository, now: Timestamp) -> AnyView {
    match (r.row.packs, r.row.packs_unread) {
        _ if r.reading_late(now).is_some() => chip(Tone::Warn, "reading is late"),
        (None | Some(0), _) => chip(Tone::None, "no data"),
        (Some(all), Some(unread)) if unread >= all => chip(Tone::None, "never read"),
        (Some(all), Some(unread)) if unread > 0 => chip(Tone::None, format!("{} of {} packs read", count(all - unread), count(all))),
        _ => chip(Tone::Ok, "all data was read"),
    }
}

/// `12 h ago`, or `never`.
pub fn age(at: Option<i64>, now: Timestamp) -> String {
    at.map_or_else(|| "never".to_owned(), |at| span(now.secs_since(Timestamp(at)).max(0.0).round()))
}
