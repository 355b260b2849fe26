//! What a snapshot in a cloud is made of: an image, volume snapshots, or both, as one.
//!
//! Lives here: the panel. May not: loading anything.

use domain::{
    instance::{NativeSnapshot, VolumeSnapshot},
    units::size,
};
use leptos::prelude::*;

use crate::components::{
    panel,
    table::{table, th},
};

/// `image and 2 volume snapshots`.
pub fn words(n: &NativeSnapshot) -> String {
    let image = n.image.as_ref().map(|i| if i.size_bytes == 0 && !n.volumes.is_empty() { "list of volumes" } else { "image" }.to_owned());
    let volumes = match n.volumes.len() {
        0 => None,
        1 => Some("1 volume snapshot".to_owned()),
        n => Some(format!("{n} volume snapshots")),
    };
    let parts: Vec<String> = image.into_iter().chain(volumes).collect();
    if parts.is_empty() { "nothing yet".to_owned() } else { parts.join(" and ") }
}

/// Each part with its id in the cloud.
pub fn parts(n: &NativeSnapshot) -> AnyView {
    let image = n.image.as_ref().map(|i| {
        // Of an instance that boots from a volume Nova makes an image without data, which names the volume snapshots.
        let (what, holds) = match (i.size_bytes, n.volumes.is_empty()) {
            (0, false) => ("Image", "no data; it names the volume snapshots".to_owned()),
            (0, true) => ("Image", "not known yet".to_owned()),
            (bytes, _) => ("Image", size(bytes)),
        };
        view! {
            <tr><th scope="row">{what}<span class="sub hash hash--wrap">{i.id.clone()}</span></th><td>"Glance"</td><td class="mono col-md">""</td><td class="num">{holds}</td></tr>
        }
    });
    let row = |v: &VolumeSnapshot| {
        let what = if v.root { "Snapshot of the root volume" } else { "Snapshot of a data volume" };
        view! {
            <tr><th scope="row">{what}<span class="sub hash hash--wrap">{v.id.clone()}</span><span class="sub hash hash--wrap">{format!("of volume {}", v.volume)}</span></th>
                <td>"Cinder"</td><td class="mono col-md">{v.device.clone()}</td><td class="num">{format!("{} GiB", v.size_gb)}</td></tr>
        }
    };
    let volumes = n.volumes.iter().map(row).collect_view();
    let head = view! { {th("Part", "")}{th("Kept by", "")}{th("Device", "col-md")}{th("Size", "num")} };
    let rows = view! { {image}{volumes} };
    let body = view! {
        {table("Parts of this snapshot", "table--tight table--top", head.into_any(), rows.into_any())}
        <div class="panel__foot">"They are listed, kept and deleted as one."</div>
    };
    panel("parts", "Parts", Some(words(n)), None, body.into_any()).into_any()
}
