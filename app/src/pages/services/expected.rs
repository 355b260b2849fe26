//! What is expected of a service: its schedules, and how its backups of the last 30 days went.
//!
//! Lives here: the panel of the Overview tab. May not: loading anything.

use domain::{standing::Day, units::Timestamp};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use store::{schedules::ScheduleRow, ticks::LastTick};

use crate::{
    components::{
        panel,
        standing::{DayCounts, days_legend, days_strip},
        table::{table, th},
        time::date,
    },
    pages::schedules::list::listed,
};

/// The schedules with their newest rows of the ledger, and the strip; `since` is the first moment of its first day.
pub fn expected(
    service: (&str, &str),
    schedules: &[ScheduleRow],
    last: &[Option<LastTick>],
    days: &[Day],
    since: Timestamp,
    now: Timestamp,
    zone: &TimeZone,
) -> AnyView {
    let (name, title) = service;
    let end = view! { <a class="btn btn--quiet btn--sm" href=format!("/ledger?service={name}")>"Ledger"</a> }.into_any();
    let table_of_schedules = if schedules.is_empty() {
        view! { <p class="panel__body soft sm">"Nothing is scheduled: its backups depend on somebody who thinks of them."</p> }.into_any()
    } else {
        listed(schedules, last, now, zone)
    };
    let n = DayCounts::of(days);
    let numbers = [("Complete", n.kept), ("Partial or late", n.late), ("Failed", n.failed), ("Never ran", n.missed), ("No data", n.no_data)];
    let head = view! { {th("Backups of a day", "")}{th("Days", "num")} };
    let rows = numbers.map(|(words, n)| view! { <tr><th scope="row">{words}</th><td class="num">{n}</td></tr> });
    let body = view! {
        {table_of_schedules}
        <div class="panel__body"><p class="sm soft">{format!("Backups by day, {} to {}", date(since, zone), date(now, zone))}</p>
            {days_strip(title, days)}{days_legend()}</div>
        <details class="more"><summary>"The same as a table"</summary>{table("Last 30 days as numbers", "table--tight", head.into_any(), rows.collect_view().into_any())}</details>
    };
    panel("expected", "Schedules and the last 30 days", None, Some(end), body.into_any()).into_any()
}
