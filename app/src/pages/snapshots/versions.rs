//! One file of a snapshot with its versions, and names found in all snapshots of an item.
//!
//! Lives here: markup. May not: loading anything.

use domain::units::{Timestamp, size};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use ops::browse::{Entry, NodeKind, Version};
use store::snapshots::ListedSnapshot;

use super::{
    files::search,
    parts::{kind_icon, place, short_id},
    show::{file_place, readable, split},
};
use crate::components::{
    address::with_query,
    empty, icon_sm,
    pager::pager,
    panel,
    table::{table, th},
    time,
};

fn download(id: uuid::Uuid, path: &str) -> String {
    with_query(&format!("/snapshots/{id}/file"), &[("path", path)])
}

/// The chosen entry: its facts, its download, its versions.
pub fn panel_of(s: &ListedSnapshot, path: &str, entry: &Entry, history: &[Version], now: Timestamp, zone: &TimeZone) -> AnyView {
    let row = |name: &'static str, value: String| view! { <dt>{name}</dt><dd>{value}</dd> };
    let facts = view! {
        <dl class="kv">
            {(entry.kind == NodeKind::File).then(|| row("Size", size(entry.bytes)))}
            {entry.modified_at.map(|at| row("Modified", time::full(at, zone)))}
            {entry.mode.map(|m| row("Permissions", format!("{m:04o}")))}
            {entry.link.as_deref().map(|l| row("Leads to", readable(l)))}
        </dl>
    };
    let get = (entry.kind == NodeKind::File)
        .then(|| view! { <p><a class="btn btn--sm" href=download(s.row.id, path) download="">{icon_sm("i-down", "")}"Download"</a></p> });
    let rows = history.iter().map(|v| version_row(s, path, v, now, zone)).collect_view();
    let head = view! { {th("Snapshot", "")}{th("Modified", "")}{th("Size", "num")}<th scope="col" class="num"><span class="vh">"Action"</span></th> };
    let versions = if history.is_empty() {
        view! { <p class="panel__body sm muted">"The index of names has no history of this path."</p> }.into_any()
    } else {
        table("Versions of this file", "table--tight", head.into_any(), rows.into_any()).into_any()
    };
    let note = match history.len() {
        0 => None,
        1 => Some("1 version".to_owned()),
        n => Some(format!("{n} versions")),
    };
    view! {
        {panel("file", &readable(split(path).1), None, None, view! { <div class="panel__body">{facts}{get}</div> }.into_any())}
        {panel("versions", "Versions", note, None, versions)}
    }
    .into_any()
}

fn version_row(s: &ListedSnapshot, path: &str, v: &Version, now: Timestamp, zone: &TimeZone) -> AnyView {
    let since = Timestamp(v.row.since_at);
    // The version that this snapshot holds began at or before it, and ended after it.
    let here = v.row.since_at <= s.row.taken_at && v.row.until_at.is_none_or(|u| u > s.row.taken_at);
    let span = match v.row.until_at {
        Some(until) => format!("{}, until {}", time::short(since, now, zone), time::short(Timestamp(until), now, zone)),
        None => format!("{}, still so", time::short(since, now, zone)),
    };
    let name = match &v.snapshot {
        Some(found) => view! { <a class="rowlink hash" href=file_place(found.id, path)>{short_id(&found.restic_id)}</a> }.into_any(),
        None => view! { <span class="muted">"removed"</span> }.into_any(),
    };
    let words = format!(" the version of {}", time::short(since, now, zone));
    let get = v.snapshot.as_ref().filter(|_| v.row.node == "file").map(|found| {
        view! { <a class="btn btn--sm" href=download(found.id, path) download="">"Download"<span class="vh">{words}</span></a> }
    });
    view! {
        <tr class=here.then_some("is-sel")>
            <th scope="row">{name}<span class="sub">{span}</span></th>
            <td>{v.row.modified_at.map(|at| time::moment(Timestamp(at), now, zone))}</td>
            <td class="num">{size(v.row.size_bytes)}</td>
            <td class="num">{get}</td>
        </tr>
    }
    .into_any()
}

/// Names found in all snapshots of the item of `s`.
pub fn search_panel(s: &ListedSnapshot, text: &str, hits: &[Version], later: bool, next: Option<String>, now: Timestamp, zone: &TimeZone) -> AnyView {
    let rows = hits.iter().map(|v| hit_row(v, now, zone)).collect_view();
    let head = view! { {th("Name and folder", "")}{th("Size", "num")}{th("Modified", "col-md")}{th("In snapshots", "")} };
    let first = later.then(|| ("First", place(s.row.id, &[("f", text)])));
    let next = next.map(|key| ("More", place(s.row.id, &[("f", text), ("fa", &key)])));
    let content = if hits.is_empty() {
        let why = format!("No file of this item was ever called like “{text}”.");
        empty("Nothing found", why.into_any(), None).into_any()
    } else {
        view! { {table("Names found", "table--tight", head.into_any(), rows.into_any())}{pager(first, next)} }.into_any()
    };
    view! {
        <section class="panel" aria-labelledby="fh">
            <div class="panel__head"><h2 class="panel__title" id="fh">"Found in all snapshots"</h2>
                <p class="panel__note"><a href=place(s.row.id, &[])>"Back to the files"</a></p>{search(s, text)}</div>
            {content}
        </section>
    }
    .into_any()
}

fn hit_row(v: &Version, now: Timestamp, zone: &TimeZone) -> AnyView {
    let (folder, name) = split(&v.row.path);
    let kind = match v.row.node.as_str() {
        "dir" => NodeKind::Dir,
        "symlink" => NodeKind::Symlink,
        _ => NodeKind::File,
    };
    let shown = match &v.snapshot {
        Some(found) => view! { <a class="rowlink" href=file_place(found.id, &v.row.path)>{readable(name)}</a> }.into_any(),
        None => view! { <span>{readable(name)}</span> }.into_any(),
    };
    let since = time::short(Timestamp(v.row.since_at), now, zone);
    let span = v.row.until_at.map_or_else(|| format!("since {since}"), |u| format!("{since} until {}", time::short(Timestamp(u), now, zone)));
    let bytes = if kind == NodeKind::File { size(v.row.size_bytes) } else { String::new() };
    view! {
        <tr>
            <th scope="row"><span class="name">{kind_icon(kind)}{shown}</span><span class="sub">{if folder.is_empty() { "top".to_owned() } else { readable(folder) }}</span></th>
            <td class="num">{bytes}</td>
            <td class="col-md">{v.row.modified_at.map(|at| time::moment(Timestamp(at), now, zone))}</td>
            <td>{span}</td>
        </tr>
    }
    .into_any()
}
