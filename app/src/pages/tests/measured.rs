//! What a restore test measured, on one line of time: the snapshot, the start, the end.

use std::fmt::Write;

use domain::units::{Timestamp, span};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use store::restore_tests::RestoreTestRow;

use crate::components::time;

/// The line of time. RPO and RTO are rarely of one size, so each has half of the line; figures stand below.
pub fn line(t: &RestoreTestRow, zone: &TimeZone) -> AnyView {
    let oldest = t.snapshots.0.iter().min_by_key(|s| s.taken_at);
    let (started, rto) = (Timestamp(t.started_at), t.rto_s);
    let moment = |at: Timestamp| time::full(at, zone);
    let mut svg = String::from(r#"<path class="axis" d="M4 58.5h1122"/>"#);
    // Writing into a string cannot fail.
    if let Some(s) = oldest {
        let _ = write!(
            svg,
            r#"<path class="line" d="M60 58H520"/><circle class="dot" cx="60" cy="58" r="6"/><path class="axis" d="M60 26v24"/><text class="lbl" x="4" y="20">{} oldest snapshot</text>"#,
            moment(s.taken_at)
        );
        let rpo = t.rpo_s.map_or_else(|| "RPO not measured".to_owned(), |s| format!("RPO measured: {}", span(s as f64)));
        let _ = write!(svg, r#"<text x="290" y="84" text-anchor="middle">{rpo}</text>"#);
    }
    let _ = write!(svg, r#"<path class="axis" d="M520 26v22"/><text class="lbl" x="440" y="20">{} started</text>"#, moment(started));
    let mut words = oldest.map_or_else(String::new, |s| format!("Oldest snapshot at {}, ", moment(s.taken_at)));
    if let Some(rto) = rto {
        let ended = Timestamp(started.0 + (rto * 1e6) as i64);
        let _ = write!(
            svg,
            r#"<rect class="bar-a" x="520" y="50" width="440" height="17"/><path class="axis" d="M960 26v22"/><text class="lbl" x="840" y="20">{} checked</text><text x="740" y="84" text-anchor="middle">RTO measured: {}</text>"#,
            moment(ended),
            span(rto)
        );
        let _ = write!(words, "restore from {} to {}", moment(started), moment(ended));
    } else {
        let _ = write!(words, "started at {}, no time to restore was measured", moment(started));
    }
    view! {
        <div class="table-wrap minw-lg" tabindex="0" role="region" aria-label="Timeline of the test">
            <svg class="chart" viewBox="0 0 1130 92" role="img" aria-label=words inner_html=svg></svg>
        </div>
    }
    .into_any()
}
