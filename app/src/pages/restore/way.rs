//! The ways into the wizards, as `ops::ways` says which of them something has.
//!
//! Lives here: their addresses and buttons. May not: asking for the kind of a source.

use leptos::prelude::*;
use ops::ways::Way;
use store::{services::ServiceRow, snapshots::SnapshotRow};

use crate::{components::address::with_query, pages::instances::parts::list_place};

/// Where a service is brought back.
pub fn of_service(service: &ServiceRow) -> String {
    match Way::of_service(service) {
        Way::Files => with_query("/restore", &[("service", &service.name)]),
        Way::Instance => list_place(&service.name, "", ""),
    }
}

/// Where a snapshot is brought back, without choosing anything for anybody.
pub fn of_snapshot(snapshot: &SnapshotRow) -> String {
    let id = snapshot.id.to_string();
    match Way::of(snapshot) {
        Way::Files => with_query("/restore", &[("snapshot", &id)]),
        Way::Instance => clone_of(&[("snapshot", &id)]),
    }
}

/// The wizard of a clone.
pub fn clone_of(pairs: &[(&str, &str)]) -> String {
    with_query("/restore/clone", pairs)
}

/// The wizard of an instance in place.
pub fn in_place_of(pairs: &[(&str, &str)]) -> String {
    with_query("/restore/in-place", pairs)
}

/// The buttons of a snapshot's page.
pub fn buttons(snapshot: &SnapshotRow) -> AnyView {
    let id = snapshot.id.to_string();
    match Way::of(snapshot) {
        Way::Files => view! { <a class="btn btn--primary" href=of_snapshot(snapshot)>"Restore all of it"</a> }.into_any(),
        Way::Instance => view! {
            <a class="btn" href=in_place_of(&[("snapshot", &id)])>"Restore in place"</a>
            <a class="btn btn--primary" href=of_snapshot(snapshot)>"Make a clone"</a>
        }
        .into_any(),
    }
}
