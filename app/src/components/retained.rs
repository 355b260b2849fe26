//! Days with snapshots that are kept, and days of which all go.
//!
//! Lives here: the chart. May not: deciding.

use std::{collections::BTreeMap, fmt::Write};

use domain::units::Timestamp;
use jiff::tz::TimeZone;
use leptos::prelude::*;

use super::time::date;

const DAY: i64 = 86_400_000_000;

/// One mark for each of the last `days` days up to the newest snapshot: filled and tall where one is kept, outlined and
/// low where all go. `all` is newest first, each with whether it is kept; `words` says the sums.
pub fn retained(all: &[(Timestamp, bool)], days: i64, words: &str, zone: &TimeZone) -> AnyView {
    let day =
        |at: Timestamp| (at.0 + i64::from(zone.to_offset(jiff::Timestamp::from_microsecond(at.0).unwrap_or_default()).seconds()) * 1_000_000).div_euclid(DAY);
    let mut marks: BTreeMap<i64, bool> = BTreeMap::new();
    for (at, kept) in all {
        *marks.entry(day(*at)).or_default() |= kept;
    }
    let (Some((newest, _)), Some((oldest, _))) = (all.first(), all.last()) else { return ().into_any() };
    let last = day(*newest);
    let first = day(*oldest).max(last - days + 1);
    let width = days * 12;
    let mut svg = format!(r#"<path class="base" d="M0 32.5h{width}"/>"#);
    for (day, kept) in marks.range(first..) {
        let x = width - (last - day + 1) * 12;
        // Writing into a string cannot fail.
        let _ = if *kept {
            write!(svg, r#"<rect class="kept" x="{}" y="14" width="8" height="18" rx="1"/>"#, x + 2)
        } else {
            write!(svg, r#"<rect class="gone" x="{}.5" y="22.5" width="7" height="9" rx="1"/>"#, x + 2)
        };
    }
    let from = if first == last { String::new() } else { date(Timestamp(first * DAY + DAY / 2), &TimeZone::UTC) };
    let to = date(Timestamp(last * DAY + DAY / 2), &TimeZone::UTC);
    let label = format!("Kept and forgotten by day, {from} to {to}: {words}");
    view! {
        <svg class="chart retained" viewBox=format!("0 0 {width} 34") preserveAspectRatio="xMaxYMid meet" role="img" aria-label=label inner_html=svg></svg>
        <p class="ends sm soft"><span>{from}</span><span class="ends__key">"filled and tall: kept · outlined and low: to forget"</span><span>{to}</span></p>
    }
    .into_any()
}
