//! What the pages of snapshots share.
//!
//! Lives here: markup of one snapshot's facts. May not: loading anything.

use domain::{evidence::EvidenceLevel, instance::NativeSnapshot};
use leptos::prelude::*;
use ops::browse::{ChangeKind, NodeKind};
use store::snapshots::{ListedSnapshot, SnapshotRow};

use crate::components::{
    address::with_query,
    icon_sm,
    status::{Tone, chip},
};

/// The first digits of restic's id, as restic itself shows them.
pub fn short_id(restic_id: &str) -> String {
    restic_id.chars().take(8).collect()
}

/// What a snapshot is a copy of: the item, or what another program wrote as its paths.
pub fn subject(s: &ListedSnapshot) -> String {
    let paths = || s.row.paths.0.join(", ");
    s.item_name.clone().unwrap_or_else(|| if s.row.label.is_empty() { paths() } else { s.row.label.clone() })
}

pub fn level(s: &ListedSnapshot) -> EvidenceLevel {
    EvidenceLevel::parse(&s.row.level).unwrap_or_default()
}

/// What a snapshot is, in one piece with where it lives: packs of files, or parts that stay in a cloud. Pages ask here, and
/// nowhere else, what they can offer of it.
pub fn in_cloud(row: &SnapshotRow) -> Option<&NativeSnapshot> {
    row.in_cloud()
}

/// A chip for what deviates: a partial snapshot, one that another program made, one that its cloud has not finished.
/// Nothing for a complete one.
pub fn state_sign(s: &ListedSnapshot) -> AnyView {
    if s.row.state == "complete" { ().into_any() } else { state_chip(&s.row.state) }
}

/// The chip of a snapshot's state.
pub fn state_chip(state: &str) -> AnyView {
    match state {
        "partial" => chip(Tone::Warn, "partial"),
        "adopted" => chip(Tone::None, "adopted"),
        "pending" => chip(Tone::Run, "pending"),
        _ => chip(Tone::Ok, "complete"),
    }
}

/// The address of a place in a snapshot.
pub fn place(id: impl std::fmt::Display, pairs: &[(&str, &str)]) -> String {
    with_query(&format!("/snapshots/{id}"), pairs)
}

/// The shape of a kind of entry.
pub fn kind_icon(kind: NodeKind) -> AnyView {
    match kind {
        NodeKind::Dir => icon_sm("i-folder", "kind").into_any(),
        NodeKind::Symlink => icon_sm("i-link", "kind").into_any(),
        NodeKind::File | NodeKind::Other => icon_sm("i-file", "kind").into_any(),
    }
}

/// `+ added`, `± changed`, `− removed`.
pub fn change_sign(kind: ChangeKind) -> AnyView {
    let (class, words) = change_words(kind);
    view! { <span class=format!("{class} nowrap")>{words}</span> }.into_any()
}

pub const fn change_words(kind: ChangeKind) -> (&'static str, &'static str) {
    match kind {
        ChangeKind::Added => ("d-add", "+ added"),
        ChangeKind::Changed => ("d-mod", "± changed"),
        ChangeKind::Removed => ("d-del", "− removed"),
    }
}
