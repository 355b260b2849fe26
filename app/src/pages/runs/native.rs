//! What a run of an instance snapshot, or of an offsite copy of one, was asked for, and what came of it.
//!
//! Lives here: the rows of its panels. May not: loading anything.

use domain::{
    id::SnapshotId,
    instance::{BootType, Kept},
    units::{count, size, span},
    work::{InstanceSnapshotParams, InstanceSnapshotResult, OffsiteCopyResult, OffsiteParams, OffsiteReturnResult},
};
use leptos::prelude::*;

type Rows = Vec<(&'static str, AnyView)>;

/// Names that are shown at once; the log has all.
const NAMED: usize = 20;

pub(super) fn result(r: &InstanceSnapshotResult, rows: &mut Rows) {
    let name = r.name.clone();
    let pending = r.pending.then(|| view! { <span class="sub">"accepted; the cloud was still making it when the run ended"</span> });
    let snapshot = match r.snapshot.as_deref().map(str::parse::<SnapshotId>) {
        Some(Ok(id)) => view! { <a class="mono brk" href=format!("/snapshots/{id}")>{name}</a>{pending} }.into_any(),
        Some(Err(_)) => view! { <span class="mono brk">{name}</span> }.into_any(),
        None => view! { <span class="mono brk">{name}</span><span class="sub">"the cloud has not stored it"</span> }.into_any(),
    };
    rows.push(("Snapshot", snapshot));
    rows.push((
        "Boots from",
        match r.boot {
            BootType::Image => "an image: the snapshot is an image",
            BootType::Volume => "a volume: the snapshot is of its volumes",
        }
        .into_any(),
    ));
    if !r.pending {
        rows.push(("Size", view! { {size(r.bytes)}<span class="sub">"as far as the cloud tells"</span> }.into_any()));
    }
    rows.push(("Downtime", r.stopped_s.map_or_else(|| "none: it was not stopped".to_owned(), |s| span(s.round())).into_any()));
    rows.push(("Removed", if r.pending { "none yet: older ones go when it is really there".into_any() } else { removed(&r.deleted) }));
    for (word, all) in [("Not removed", &r.left), ("Kept", &r.kept)] {
        if !all.is_empty() {
            rows.push((word, reasons(all)));
        }
    }
}

/// Names with the reason for each.
fn reasons(all: &[Kept]) -> AnyView {
    let each = all.iter().take(NAMED).map(|k| view! { <span class="sub brk"><span class="mono">{k.name.clone()}</span>": "{k.why.clone()}</span> });
    view! { {snapshots(all.len())}{each.collect_view()}{more(all.len())} }.into_any()
}

fn removed(all: &[String]) -> AnyView {
    if all.is_empty() {
        return "none".into_any();
    }
    let names = all.iter().take(NAMED).map(|n| view! { <span class="sub mono brk">{n.clone()}</span> }).collect_view();
    view! { {snapshots(all.len())}", beyond max_snapshots"{names}{more(all.len())} }.into_any()
}

fn snapshots(n: usize) -> String {
    if n == 1 { "1 snapshot".to_owned() } else { format!("{} snapshots", count(n as i64)) }
}

fn more(n: usize) -> Option<AnyView> {
    (n > NAMED).then(|| view! { <span class="sub">{format!("and {} more", n - NAMED)}</span> }.into_any())
}

pub(super) fn inputs(asked: &InstanceSnapshotParams, rows: &mut Rows) {
    let p = &asked.parameters;
    let mono = |text: &str| view! { <span class="mono brk">{text.to_owned()}</span> }.into_any();
    let yes = |on: bool| if on { "yes" } else { "no" }.into_any();
    let mails = |all: &[String]| if all.is_empty() { "no mail".to_owned() } else { all.join(", ") }.into_any();
    rows.push(("instance", mono(&p.instance)));
    if let Some(server) = &asked.server {
        rows.push(("Server", view! { <span class="hash hash--wrap">{server.clone()}</span> }.into_any()));
    }
    rows.push(("pattern", mono(&p.pattern)));
    rows.push(("max_snapshots", if p.max_snapshots == 0 { "0: all are kept".to_owned() } else { p.max_snapshots.to_string() }.into_any()));
    rows.push(("instance_stop", yes(p.instance_stop)));
    rows.push(("wait", yes(p.wait)));
    rows.push(("to_addr_success", mails(&p.to_addr_success)));
    rows.push(("to_addr_error", mails(&p.to_addr_error)));
}

fn named(id: Option<SnapshotId>, name: &str) -> AnyView {
    let name = name.to_owned();
    match id {
        Some(id) => view! { <a class="mono brk" href=format!("/snapshots/{id}")>{name}</a> }.into_any(),
        None => view! { <span class="mono brk">{name}</span> }.into_any(),
    }
}

fn compared(by: Option<&str>) -> AnyView {
    by.map_or_else(|| "by size alone: the cloud gives no checksum".to_owned(), |name| format!("by the cloud's {name}")).into_any()
}

pub(super) fn moved(p: &OffsiteParams, rows: &mut Rows) {
    rows.push(("Snapshot", named(Some(p.snapshot), &p.name)));
    rows.push(("Goes to", view! { <span class="mono brk">{p.to.clone()}</span> }.into_any()));
}

pub(super) fn copied(r: &OffsiteCopyResult, rows: &mut Rows) {
    rows.push(("Copy", named(r.snapshot, &r.name)));
    if r.already {
        rows.push(("Read", "nothing: it was there already".into_any()));
        return;
    }
    rows.push(("Disk", size(r.bytes).into_any()));
    rows.push(("Added", view! { {size(r.bytes_added)}<span class="sub">"what the repository did not have"</span> }.into_any()));
    rows.push(("Compared", compared(r.compared.as_deref())));
    if r.forgotten > 0 {
        rows.push(("Forgotten", format!("{} older copies, by the source's policy", count(r.forgotten)).into_any()));
    }
    if r.cuts > 0 {
        rows.push(("Download", format!("broke off {} times and went on", count(r.cuts)).into_any()));
    }
}

pub(super) fn returned(r: &OffsiteReturnResult, rows: &mut Rows) {
    rows.push(("Snapshot", named(r.snapshot, &r.name)));
    rows.push(("Image", view! { <span class="hash hash--wrap">{r.image.clone()}</span> }.into_any()));
    rows.push(("Disk", size(r.bytes).into_any()));
    rows.push(("Compared", compared(r.compared.as_deref())));
}
