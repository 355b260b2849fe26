//! An alert as a chip, and the one act that it asks for.
//!
//! Lives here: the sign of a kind, where an alert leads. May not: judging, loading.

use domain::{
    alert::{AlertKind, Severity},
    units::Timestamp,
};
use leptos::prelude::*;
use store::alerts::AlertRow;

use super::status::{Tone, chip};

/// The sign of an alert: a hold has its own.
pub const fn tone(kind: AlertKind) -> Tone {
    match (kind, kind.severity()) {
        (AlertKind::HoldStands, _) => Tone::Hold,
        (_, Severity::Critical) => Tone::Fail,
        (_, Severity::Warning) => Tone::Warn,
        (_, Severity::Info) => Tone::None,
    }
}

pub fn alert_chip(row: &AlertRow) -> AnyView {
    let kind = row.facts.0.kind();
    if row.resolved_at.is_some() { chip(Tone::Ok, format!("over: {}", kind.words())) } else { chip(tone(kind), kind.words()) }
}

/// What is wrong in sentences: with today's ages while it stands, as it was told last when it is over.
pub fn alert_text(row: &AlertRow, now: Timestamp) -> String {
    if row.resolved_at.is_some() { row.text.clone() } else { row.facts.0.explain(now) }
}

/// The address of what an alert is about.
pub fn subject_href(row: &AlertRow) -> String {
    match (row.entity.as_str(), &row.service_name) {
        ("channel", _) => format!("/notifications/channels/{}", row.name),
        ("repository", _) => format!("/repositories/{}", row.name),
        (_, Some(service)) => format!("/services/{service}"),
        _ => row.run_id.map_or_else(|| format!("/notifications/alerts/{}", row.id), |run| format!("/runs/{run}")),
    }
}
