//! Reviews: the calendar of all services, one service's, one review, and the addresses for calendar programs.
//!
//! Lives here: what these pages share. May not: due dates, permission.

pub mod act;
pub mod bus;
pub mod feed;
pub mod list;
pub mod review;
pub mod service;

use domain::review::{ReviewKind, Standing};
use jiff::civil::Date;
use leptos::prelude::*;
use ops::reviews::Review;

use crate::components::status::{Tone, chip, chip_with};

/// A civil date as people read it.
pub(crate) fn civil(date: Date) -> AnyView {
    view! { <time datetime=date.to_string()>{date.strftime("%-d %b %Y").to_string()}</time> }.into_any()
}

fn days(n: i64) -> String {
    if n == 1 { "1 day".to_owned() } else { format!("{n} days") }
}

/// Where a review stands, as a chip.
pub(crate) fn standing_chip(r: &Review) -> AnyView {
    match r.standing {
        Standing::Exempt { until } => chip_with(Tone::None, "i-skip", format!("exempt until {}", until.strftime("%-d %b %Y"))),
        Standing::Overdue { days: n } => chip(Tone::Fail, format!("overdue by {}", days(n))),
        Standing::Soon { days: 0 } => chip(Tone::Warn, "due today"),
        Standing::Soon { days: n } => chip(Tone::Warn, format!("due in {}", days(n))),
        // What was never done is not in order; it is merely not due.
        Standing::Later { .. } if r.facts.last.is_none() => chip(Tone::None, "never done, not due yet"),
        Standing::Later { .. } => chip(Tone::Ok, "done, not due yet"),
    }
}

/// The name of a kind at the head of something.
pub(crate) const fn title(kind: ReviewKind) -> &'static str {
    match kind {
        ReviewKind::Risk => "Risk assessment",
        ReviewKind::Plan => "Review of plan and test",
    }
}

/// `every year`, `every 6 months`.
pub(crate) fn every(months: i64) -> String {
    match months {
        1 => "every month".to_owned(),
        12 => "every year".to_owned(),
        n if n % 12 == 0 => format!("every {} years", n / 12),
        n => format!("every {n} months"),
    }
}

/// The page of one review.
pub(crate) fn href(service: &str, kind: ReviewKind) -> String {
    format!("/services/{service}/reviews/{kind}")
}
