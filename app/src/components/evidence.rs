//! The evidence ladder: how far a copy has been proven.

use std::fmt::Write;

use domain::evidence::EvidenceLevel;
use leptos::prelude::*;

pub fn ladder(level: EvidenceLevel) -> impl IntoView {
    const STEPS: [(&str, &str, &str); 5] =
        [("0.5", "12.0", "3.5"), ("6.1", "9.3", "6.2"), ("11.7", "6.6", "8.9"), ("17.3", "3.9", "11.6"), ("22.9", "1.2", "14.3")];
    let reached = EvidenceLevel::ALL.iter().position(|l| *l == level).unwrap_or(0);
    let mut bars = String::new();
    for (i, (x, y, h)) in STEPS.iter().enumerate() {
        let class = if i < reached { "on" } else { "off" };
        let _ = write!(bars, r#"<rect class="{class}" x="{x}" y="{y}" width="4" height="{h}"/>"#);
    }
    let (class, rank) = if reached == 0 { ("ladder ladder--none", String::new()) } else { ("ladder", format!(", level {reached} of 5")) };
    view! { <span class=class><svg viewBox="0 0 28 16" aria-hidden="true" inner_html=bars></svg>{level.words()}<span class="vh">{rank}</span></span> }
}
