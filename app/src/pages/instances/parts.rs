//! Words and chips of instances, for their list, their page and the pages of their snapshots.
//!
//! Lives here: markup from values. May not: loading anything.

use domain::{
    instance::{BootType, Flavour, Server},
    units::count,
};
use leptos::prelude::*;

use crate::components::{
    address::{encode, with_query},
    status::{Tone, chip, chip_with},
};

/// The address of the list of a service's instances; of one source where it is named.
pub fn list_place(service: &str, source: &str, after: &str) -> String {
    with_query(&format!("/services/{}/instances", encode(service)), &[("source", source), ("after", after)])
}

/// The address of one instance.
pub fn place(service: &str, source: &str, instance: &str) -> String {
    format!("/services/{}/instances/{}/{}", encode(service), encode(source), encode(instance))
}

/// The address of the clones of a service.
pub fn clones_place(service: &str) -> String {
    format!("/services/{}/clones", encode(service))
}

/// Nova's word in the letters of a page, such as `shutoff` or `verify resize`.
pub fn status_words(status: &str) -> String {
    status.to_lowercase().replace('_', " ")
}

const fn tone(status: &str) -> Tone {
    match status.as_bytes() {
        b"ACTIVE" => Tone::Ok,
        b"ERROR" | b"DELETED" | b"SOFT_DELETED" => Tone::Fail,
        b"SHUTOFF" | b"SHELVED" | b"SHELVED_OFFLOADED" | b"UNKNOWN" => Tone::None,
        b"BUILD" | b"REBUILD" | b"REBOOT" | b"HARD_REBOOT" | b"MIGRATING" | b"RESIZE" => Tone::Run,
        // Paused, suspended, rescued, or waiting for somebody: it does not serve.
        _ => Tone::Warn,
    }
}

/// How it stood when it was last listed, and what else stands out: a task, a lock, a hypervisor that is down.
pub fn status_chips(s: &Server) -> AnyView {
    let task = s.task.as_deref().map(|t| view! { " "{chip(Tone::Run, status_words(t))} });
    let locked = s.locked.then(|| view! { " "{chip_with(Tone::None, "i-lock", "locked")} });
    let down = (s.host_up == Some(false)).then(|| view! { " "{chip(Tone::Fail, "hypervisor down")} });
    view! { {chip(tone(&s.status), status_words(&s.status))}{task}{locked}{down} }.into_any()
}

pub const fn boot_words(boot: BootType) -> &'static str {
    match boot {
        BootType::Image => "image",
        BootType::Volume => "volume",
    }
}

/// `2 vCPUs, 4 GiB RAM, 20 GiB disk`.
pub fn flavour_words(f: &Flavour) -> String {
    let cpus = if f.vcpus == 1 { "1 vCPU".to_owned() } else { format!("{} vCPUs", count(f.vcpus)) };
    let ram = if f.ram_mb % 1_024 == 0 { format!("{} GiB RAM", count(f.ram_mb / 1_024)) } else { format!("{} MiB RAM", count(f.ram_mb)) };
    let disk = if f.disk_gb == 0 { "no disk of its own".to_owned() } else { format!("{} GiB disk", count(f.disk_gb)) };
    format!("{cpus}, {ram}, {disk}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_its_tone_and_its_words() {
        assert_eq!((tone("ACTIVE"), tone("ERROR"), tone("SHUTOFF")), (Tone::Ok, Tone::Fail, Tone::None));
        // A word that nobody knows is no good news.
        assert_eq!(tone("SOMETHING_NEW"), Tone::Warn);
        assert_eq!(status_words("VERIFY_RESIZE"), "verify resize");
    }

    #[test]
    fn a_flavour_in_words() {
        let f = |vcpus, ram_mb, disk_gb| flavour_words(&Flavour { vcpus, ram_mb, disk_gb, ..Flavour::default() });
        assert_eq!(f(1, 512, 1), "1 vCPU, 512 MiB RAM, 1 GiB disk");
        assert_eq!(f(8, 16_384, 0), "8 vCPUs, 16 GiB RAM, no disk of its own");
    }

    #[test]
    fn names_stay_in_their_segment() {
        assert_eq!(list_place("a/b", "vms", "x y"), "/services/a%2Fb/instances?source=vms&after=x%20y");
        assert_eq!(place("a", "vms", "web/1 ü"), "/services/a/instances/vms/web%2F1%20%C3%BC");
    }
}
