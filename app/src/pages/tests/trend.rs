//! How the time to restore of one service went, test by test, against its target.

use std::fmt::Write;

use domain::units::{Timestamp, span};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use store::restore_tests::TestPoint;

use super::grid::tone;
use crate::components::{status::Tone, time::short};

/// The chart; its twin is the list of the same tests below it. `tests` are the newest first.
pub fn trend(tests: &[TestPoint], now: Timestamp, zone: &TimeZone) -> AnyView {
    let timed: Vec<(&TestPoint, f64)> = tests.iter().rev().filter_map(|t| Some((t, t.rto_s?))).collect();
    if timed.len() < 2 {
        return view! { <p class="soft">"A trend needs two tests that measured a time to restore."</p> }.into_any();
    }
    let (width, top, bottom) = (720.0, 16.0, 112.0);
    let target = tests.first().and_then(|t| t.rto_target_s).map(|t| t as f64);
    let highest = timed.iter().map(|(_, s)| *s).chain(target).fold(1.0, f64::max) * 1.1;
    let x = |n: usize| 12.0 + n as f64 * (width - 24.0) / (timed.len() - 1) as f64;
    let y = |s: f64| bottom - s / highest * (bottom - top);
    let mut svg = format!(r#"<path class="axis" d="M0 {bottom}h{width}"/>"#);
    // Writing into a string cannot fail.
    if let Some(t) = target {
        let _ = write!(svg, r#"<path class="target-l" d="M0 {:.1}h{width}"/><text x="0" y="{:.1}">RTO {}</text>"#, y(t), y(t) - 4.0, span(t));
    }
    let line: Vec<String> = timed.iter().enumerate().map(|(n, (_, s))| format!("{:.1} {:.1}", x(n), y(*s))).collect();
    let _ = write!(svg, r#"<path class="line" d="M{}"/>"#, line.join("L"));
    for (n, (t, s)) in timed.iter().enumerate() {
        let class = if tone(t) == Tone::Fail { "dot-bad" } else { "dot" };
        let _ = write!(svg, r#"<circle class="{class}" cx="{:.1}" cy="{:.1}" r="4.5"/>"#, x(n), y(*s));
    }
    let (first, last) = (timed[0].0, timed[timed.len() - 1].0);
    let day = |t: &TestPoint| short(Timestamp(t.started_at), now, zone);
    let _ = write!(svg, r#"<text x="0" y="130">{}</text><text x="{width}" y="130" text-anchor="end">{}</text>"#, day(first), day(last));
    let (newest, worst) = (timed[timed.len() - 1].1, timed.iter().map(|(_, s)| *s).fold(0.0, f64::max));
    let words = format!(
        "Time to restore in {} tests: newest {}, longest {}, target {}",
        timed.len(),
        span(newest),
        span(worst),
        target.map_or_else(|| "none".to_owned(), span)
    );
    view! { <svg class="chart" viewBox="0 0 720 136" role="img" aria-label=words inner_html=svg></svg> }.into_any()
}
