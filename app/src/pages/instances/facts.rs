//! What a cloud said of an instance: now, or when a snapshot of it was taken.
//!
//! Lives here: the panels. May not: loading anything.

use domain::{
    instance::{AttachedVolume, Nic, Server},
    units::Timestamp,
};
use jiff::tz::TimeZone;
use leptos::prelude::*;

use super::parts::{boot_words, flavour_words, status_chips};
use crate::components::{
    icon, panel,
    table::{table, th},
    time::full,
};

/// The instance itself. `note` says when it was so.
pub fn itself(s: &Server, note: &str, zone: &TimeZone) -> AnyView {
    panel("instance", "Instance", Some(note.to_owned()), None, instance(s, zone)).into_any()
}

/// What it is joined with: networks, volumes, metadata.
pub fn rest(s: &Server) -> AnyView {
    view! {
        {panel("networks", "Networks", None, None, networks(s))}
        {panel("volumes", "Volumes", None, None, volumes(&s.volumes))}
        {panel("metadata", "Metadata", None, None, metadata(s))}
    }
    .into_any()
}

fn instance(s: &Server, zone: &TimeZone) -> AnyView {
    let fault = s.fault.clone().map(|f| view! { <div class="callout callout--fail">{icon("i-fail")}<b>"The cloud reports a fault"</b><div>{f}</div></div> });
    let image = s.image.clone().map(|i| view! { <dt>"Image"</dt><dd><span class="hash hash--wrap">{i}</span></dd> });
    // Of an instance that was gone when its snapshot was adopted little is known, and that is said.
    let id = if s.id.is_empty() { UNKNOWN.into_any() } else { view! { <span class="hash hash--wrap">{s.id.clone()}</span> }.into_any() };
    let status = if s.status.is_empty() { UNKNOWN.into_any() } else { status_chips(s) };
    let flavour = if s.flavour.name.is_empty() && s.flavour.vcpus == 0 {
        UNKNOWN.into_any()
    } else {
        view! { {s.flavour.name.clone()}<span class="sub">{flavour_words(&s.flavour)}</span> }.into_any()
    };
    let root = s.root().map(|v| view! { <dt>"Root volume"</dt><dd><span class="hash hash--wrap">{v.id.clone()}</span></dd> });
    view! {
        <div class="panel__body">{fault}<dl class="kv">
            <dt>"Name"</dt><dd class="mono brk">{s.name.clone()}</dd>
            <dt>"Id"</dt><dd>{id}</dd>
            <dt>"Status"</dt><dd>{status}</dd>
            <dt>"Boots from"</dt><dd>{format!("its {}", boot_words(s.boot))}</dd>
            {image}{root}
            <dt>"Flavour"</dt><dd>{flavour}</dd>
            <dt>"Zone"</dt><dd>{s.zone.clone().unwrap_or_else(|| "not told".to_owned())}</dd>
            <dt>"Security groups"</dt><dd>{listed(&s.security_groups)}</dd>
            <dt>"Key"</dt><dd>{s.key.clone().unwrap_or_else(|| "none".to_owned())}</dd>
            <dt>"Made"</dt><dd>{made(s.created_at, zone)}</dd>
        </dl></div>
    }
    .into_any()
}

const UNKNOWN: &str = "not known";

fn made(at: Timestamp, zone: &TimeZone) -> String {
    if at.0 > 0 { full(at, zone) } else { UNKNOWN.to_owned() }
}

fn listed(all: &[String]) -> String {
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

fn networks(s: &Server) -> AnyView {
    if s.networks.is_empty() {
        return view! { <p class="panel__body sm soft">"It is on no network."</p> }.into_any();
    }
    let row = |n: &Nic| {
        let name = if n.network_name.is_empty() { n.network.clone() } else { n.network_name.clone() };
        let port = n.port.clone().map(|p| view! { <span class="sub hash hash--wrap">{format!("port {p}")}</span> });
        let addresses = n.addresses.iter().map(|a| view! { <span class="mono brk">{a.clone()}</span><br/> }).collect_view();
        view! { <tr><th scope="row">{name}{port}</th><td>{addresses}</td></tr> }
    };
    let head = view! { {th("Network", "")}{th("Addresses", "")} };
    table("Networks", "table--tight table--top", head.into_any(), s.networks.iter().map(row).collect_view().into_any()).into_any()
}

fn volumes(all: &[AttachedVolume]) -> AnyView {
    if all.is_empty() {
        return view! { <p class="panel__body sm soft">"No volume is attached."</p> }.into_any();
    }
    let row = |v: &AttachedVolume| {
        let name = if v.name.is_empty() { v.id.clone() } else { v.name.clone() };
        let id = (!v.name.is_empty()).then(|| view! { <span class="sub hash hash--wrap">{v.id.clone()}</span> });
        let kind = [v.volume_type.clone(), v.zone.clone()].into_iter().flatten().collect::<Vec<_>>().join(", ");
        let goes = v.delete_on_termination.then(|| view! { <span class="sub">"deleted with the instance"</span> });
        view! {
            <tr><th scope="row" class="brk">{name}{id}</th><td>{if v.root { "root" } else { "data" }}{goes}</td><td class="mono">{v.device.clone()}</td>
                <td class="num">{format!("{} GiB", v.size_gb)}</td><td class="col-lo">{kind}</td></tr>
        }
    };
    let head = view! { {th("Volume", "")}{th("Use", "")}{th("Device", "")}{th("Size", "num")}{th("Type and zone", "col-lo")} };
    table("Volumes", "table--tight table--top", head.into_any(), all.iter().map(row).collect_view().into_any()).into_any()
}

fn metadata(s: &Server) -> AnyView {
    if s.metadata.is_empty() {
        return view! { <p class="panel__body sm soft">"It has none."</p> }.into_any();
    }
    let rows =
        s.metadata.iter().map(|(k, v)| view! { <tr><th scope="row" class="mono brk">{k.clone()}</th><td class="brk">{v.clone()}</td></tr> }).collect_view();
    let head = view! { {th("Key", "")}{th("Value", "")} };
    table("Metadata", "table--tight table--top", head.into_any(), rows.into_any()).into_any()
}

/// A moment for [`itself`].
pub fn as_of(words: &str, at: Timestamp, zone: &TimeZone) -> String {
    format!("{words} {}", full(at, zone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_knows_is_no_moment() {
        assert_eq!(made(Timestamp(0), &TimeZone::UTC), "not known");
        assert!(made(Timestamp::from_secs(1_000_000_000), &TimeZone::UTC).contains("2001"));
    }
}
