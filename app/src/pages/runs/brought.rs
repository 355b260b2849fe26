//! What a clone and a restore in place of an instance were asked for, and what came of them.
//!
//! Lives here: the rows of their panels. May not: loading anything.

use domain::{
    id::SnapshotId,
    instance::{CloneParams, CloneResult, InPlaceParams, InPlaceResult, Networks},
    units::span,
};
use leptos::prelude::*;

type Rows = Vec<(&'static str, AnyView)>;

fn mono(text: &str) -> AnyView {
    view! { <span class="mono brk">{text.to_owned()}</span> }.into_any()
}

fn mails(all: &[String]) -> AnyView {
    if all.is_empty() { "no mail".to_owned() } else { all.join(", ") }.into_any()
}

fn or(text: &str, otherwise: &'static str) -> AnyView {
    if text.is_empty() { otherwise.into_any() } else { mono(text) }
}

fn snapshot(id: SnapshotId) -> AnyView {
    view! { <a class="hash hash--wrap" href=format!("/snapshots/{id}")>{id.to_string()}</a> }.into_any()
}

fn addresses(all: &[String]) -> AnyView {
    if all.is_empty() { "none".into_any() } else { mono(&all.join(", ")) }
}

pub(super) fn clone_inputs(p: &CloneParams, rows: &mut Rows) {
    rows.push(("instance", mono(&p.instance)));
    rows.push(("Snapshot", snapshot(p.snapshot)));
    rows.push(("clone_name", mono(&p.clone_name)));
    rows.push(("availability_zone", or(&p.availability_zone, "the instance's")));
    rows.push(("flavour", or(&p.flavour, "the instance's")));
    let changed: Vec<String> = p.metadata.iter().map(|(k, v)| v.as_ref().map_or_else(|| format!("without {k}"), |v| format!("{k} = {v}"))).collect();
    rows.push(("metadata", if changed.is_empty() { "all of the instance's".into_any() } else { mono(&changed.join(", ")) }));
    rows.push((
        "Networks",
        match &p.networks {
            Networks::Same => "the instance's, with new addresses".into_any(),
            Networks::None => "none".into_any(),
            Networks::These(names) => mono(&names.join(", ")),
        },
    ));
    rows.push(("Stands for", format!("{} days", p.days).into_any()));
    rows.push(("wait", if p.wait { "yes" } else { "no" }.into_any()));
    rows.push(("Hook", or(p.hook.as_deref().unwrap_or_default(), "none")));
    rows.push(("to_addr_success", mails(&p.to_addr_success)));
    rows.push(("to_addr_error", mails(&p.to_addr_error)));
}

pub(super) fn clone_result(r: &CloneResult, rows: &mut Rows) {
    rows.push(("Clone", view! { <span class="mono brk">{r.name.clone()}</span><span class="sub hash hash--wrap">{r.server.clone()}</span> }.into_any()));
    rows.push(("Status", r.ready_s.map_or_else(|| "accepted by the cloud".to_owned(), |s| format!("{} after {}", r.status, span(s))).into_any()));
    rows.push(("Addresses", addresses(&r.addresses)));
    let flavour = format!("{}: {} vCPUs, {} MiB", r.flavour.name, r.flavour.vcpus, r.flavour.ram_mb);
    rows.push(("Flavour", flavour.into_any()));
    let volumes = r.volumes.iter().map(|v| view! { <span class="sub mono brk">{format!("{} ({} GiB)", v.name, v.size_gb)}</span> }.into_any()).collect_view();
    rows.push(("Volumes", if r.volumes.is_empty() { "none".into_any() } else { volumes.into_any() }));
    if let Some(said) = &r.hook {
        rows.push(("Hook", said.clone().into_any()));
    }
    for sentence in &r.left_out {
        rows.push(("Left out", sentence.clone().into_any()));
    }
}

pub(super) fn in_place_inputs(p: &InPlaceParams, rows: &mut Rows) {
    rows.push(("instance", mono(&p.instance)));
    rows.push(("Server", view! { <span class="hash hash--wrap">{p.server.clone()}</span> }.into_any()));
    rows.push(("Snapshot", snapshot(p.snapshot)));
    rows.push(("Reason", p.reason.clone().into_any()));
    rows.push(("to_addr_success", mails(&p.to_addr_success)));
    rows.push(("to_addr_error", mails(&p.to_addr_error)));
}

pub(super) fn in_place_result(r: &InPlaceResult, rows: &mut Rows) {
    rows.push(("Method", r.method.words().into_any()));
    rows.push(("Status", r.status.clone().into_any()));
    rows.push(("Addresses", addresses(&r.addresses)));
    let safety = match r.safety {
        Some(id) => view! { <a class="mono brk" href=format!("/snapshots/{id}")>{r.safety_name.clone()}</a> }.into_any(),
        None => view! { <span class="mono brk">{r.safety_name.clone()}</span><span class="sub">"a copy of the root volume"</span> }.into_any(),
    };
    rows.push(("Before", safety));
    rows.push(("Down for", span(r.down_s).into_any()));
    if !r.untouched.is_empty() {
        rows.push(("As they were", mono(&r.untouched.join(", "))));
    }
    for left in &r.left {
        rows.push(("Left", left.clone().into_any()));
    }
}
