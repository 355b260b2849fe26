//! How a repository grew: what it takes, and what its snapshots would take, with a table of the same.

use std::fmt::Write;

use domain::units::{Timestamp, count, size};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use store::repositories::SizeRow;

use crate::components::{
    table::{table, th},
    time::{moment, short},
};

const WIDTH: f64 = 720.0;
const TOP: f64 = 18.0;
const BOTTOM: f64 = 150.0;

/// The chart and its twin. `sizes` are the oldest first.
pub fn growth(sizes: &[SizeRow], now: Timestamp, zone: &TimeZone) -> AnyView {
    let (Some(first), Some(last)) = (sizes.first(), sizes.last()) else {
        return view! { <p class="panel__body soft">"Nothing was measured yet. A backup, a prune and a check each measure the size."</p> }.into_any();
    };
    let chart = if sizes.len() < 2 {
        view! { <p class="soft">{format!("One measurement so far: {}. The chart begins with the second.", size(last.size_bytes))}</p> }.into_any()
    } else {
        let words = format!(
            "Size in {} measurements from {} to {}: from {} to {}",
            count(sizes.len() as i64),
            short(Timestamp(first.measured_at), now, zone),
            short(Timestamp(last.measured_at), now, zone),
            size(first.size_bytes),
            size(last.size_bytes)
        );
        view! { <svg class="chart chart--growth" viewBox="0 0 720 176" role="img" aria-label=words inner_html=drawn(sizes, now, zone)></svg> }.into_any()
    };
    let rows = sizes.iter().rev().map(|s| {
        let at = moment(Timestamp(s.measured_at), now, zone);
        view! { <tr><th scope="row">{at}</th><td class="num nowrap">{size(s.size_bytes)}</td><td class="num nowrap">{size(s.snapshot_bytes)}</td><td class="num">{count(s.snapshots)}</td></tr> }
    });
    let head = view! { {th("Measured", "")}{th("Takes", "num")}{th("Its snapshots hold", "num")}{th("Snapshots", "num")} };
    view! {
        <div class="panel__body">{chart}</div>
        <details class="more"><summary>"The same as a table"</summary>
            {table("Size by measurement", "table--tight", head.into_any(), rows.collect_view().into_any())}</details>
    }
    .into_any()
}

fn drawn(sizes: &[SizeRow], now: Timestamp, zone: &TimeZone) -> String {
    let (first, last) = (sizes[0], sizes[sizes.len() - 1]);
    let spanned = (last.measured_at - first.measured_at).max(1) as f64;
    let highest = sizes.iter().map(|s| s.size_bytes).max().unwrap_or(1).max(1) as f64;
    let x = |s: &SizeRow| 4.0 + (s.measured_at - first.measured_at) as f64 / spanned * (WIDTH - 8.0);
    let y = |bytes: f64| BOTTOM - bytes / (highest * 1.08) * (BOTTOM - TOP);
    let mut svg = String::new();
    // Writing into a string cannot fail.
    for part in [0.5, 1.0] {
        let at = y(highest * part);
        let _ = write!(svg, r#"<path class="grid-l" d="M0 {at:.1}h{WIDTH}"/><text x="0" y="{:.1}">{}</text>"#, at - 4.0, size((highest * part) as i64));
    }
    let _ = write!(svg, r#"<path class="axis" d="M0 {BOTTOM}h{WIDTH}"/>"#);
    let line: Vec<String> = sizes.iter().map(|s| format!("{:.1} {:.1}", x(s), y(s.size_bytes as f64))).collect();
    let _ = write!(svg, r#"<path class="area" d="M{}L{:.1} {BOTTOM}L{:.1} {BOTTOM}Z"/>"#, line.join("L"), x(&last), x(&first));
    let _ = write!(svg, r#"<path class="line" d="M{}"/>"#, line.join("L"));
    let _ = write!(svg, r#"<circle class="dot" cx="{:.1}" cy="{:.1}" r="4"/>"#, x(&last).min(WIDTH - 6.0), y(last.size_bytes as f64));
    let day = |s: &SizeRow| short(Timestamp(s.measured_at), now, zone);
    let _ = write!(svg, r#"<text x="0" y="170">{}</text><text x="{WIDTH}" y="170" text-anchor="end">{}</text>"#, day(&first), day(&last));
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: i64, size_bytes: i64) -> SizeRow {
        SizeRow { measured_at: n * 86_400_000_000, size_bytes, snapshot_bytes: size_bytes * 3, snapshots: n }
    }

    #[test]
    fn every_chart_has_its_twin_and_says_its_values() {
        let now = Timestamp::from_secs(50 * 86_400);
        let html = growth(&[at(1, 1_000), at(30, 4_000), at(40, 2_000)], now, &TimeZone::UTC).to_html();
        assert!(html.contains("Size in 3 measurements") && html.contains("The same as a table") && html.contains("class=\"line\""), "{html}");
        assert_eq!(html.matches("<tr>").count(), 4);
        let one = growth(&[at(1, 1_000)], now, &TimeZone::UTC).to_html();
        assert!(one.contains("One measurement so far") && !one.contains("<svg"));
        assert!(growth(&[], now, &TimeZone::UTC).to_html().contains("Nothing was measured yet"));
    }
}
