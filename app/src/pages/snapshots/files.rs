//! The files of a snapshot, one folder at a time: a table of links and check boxes that needs no scripts. With them it is a
//! tree (`islands::tree`), whose folders open in place by rows that are drawn here, too.
//!
//! Lives here: markup of a folder. May not: loading anything.

use domain::units::{Timestamp, count, size};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use ops::{
    OpsError,
    browse::{ChangeKind, Entry, Folder, NodeKind},
};
use store::snapshots::{ListedSnapshot, SnapshotRow};

use super::{
    parts::{change_sign, kind_icon, place, short_id},
    show::{file_place, readable, split},
};
use crate::{
    components::{address::with_query, icon, icon_sm, time},
    error::{AppError, upper},
    islands::tree::Tree,
};

/// What the panel is made from.
pub struct Shown<'a> {
    pub snapshot: &'a ListedSnapshot,
    pub older: Option<&'a SnapshotRow>,
    pub folder: &'a str,
    pub chosen: Option<&'a str>,
    pub after: Option<&'a str>,
    pub restore: bool,
    pub now: Timestamp,
    pub zone: &'a TimeZone,
}

impl Shown<'_> {
    fn id(&self) -> uuid::Uuid {
        self.snapshot.row.id
    }

    fn path_of(&self, name: &str) -> String {
        if self.folder.is_empty() { name.to_owned() } else { format!("{}/{name}", self.folder) }
    }
}

/// The panel, or why the folder cannot be shown.
pub fn panel_of(shown: &Shown<'_>, listed: Result<Folder, OpsError>) -> AnyView {
    let (note, content) = match listed {
        Ok(folder) => (entries_words(folder.listing.total), content(shown, &folder)),
        Err(e) => (String::new(), refused(e)),
    };
    view! {
        <section class="panel" aria-labelledby="fh">
            <div class="panel__head"><h2 class="panel__title" id="fh">"Files"</h2><p class="panel__note">{note}</p>{search(shown.snapshot, "")}</div>
            {trail(shown)}
            {content}
        </section>
    }
    .into_any()
}

/// The form that finds names in all snapshots of the item; nothing where no item is known.
pub fn search(s: &ListedSnapshot, text: &str) -> AnyView {
    if s.row.item_id.is_none() {
        return ().into_any();
    }
    view! {
        <form class="end row" role="search" aria-label="Files" method="get" action=place(s.row.id, &[])>
            <label class="vh" for="ff">"Find a name in all snapshots of this item"</label>
            <input class="input input--sm input--w" id="ff" name="f" type="search" value=text.to_owned() placeholder="Find in all snapshots"/>
            <button class="btn btn--sm">"Find"</button>
        </form>
    }
    .into_any()
}

fn entries_words(total: usize) -> String {
    if total == 1 { "1 entry".to_owned() } else { format!("{} entries", count(total as i64)) }
}

/// A refusal in words; a fault of Holdfast keeps its reference.
fn refused(e: OpsError) -> AnyView {
    let missing = matches!(e, OpsError::NotFound { .. });
    let error = AppError::from(e);
    let (title, tone) = match error.status {
        404 => ("Not in this snapshot", "callout"),
        403 => ("Not shown", "callout"),
        _ => ("The files cannot be shown", "callout callout--fail"),
    };
    let role = (!missing && error.status != 403).then_some("alert");
    let symbol = if error.status >= 409 { "i-fail" } else { "i-info" };
    view! {
        <div class="panel__body"><div class=tone role=role>{icon(symbol)}<b>{title}</b>
            <div>{upper(&error.message)}{error.reference.map(|r| view! { <span class="sub">"Reference "{r}</span> })}</div></div></div>
    }
    .into_any()
}

/// Where we are: each folder above is a link.
fn trail(shown: &Shown<'_>) -> AnyView {
    let mut at = String::new();
    let mut steps = vec![view! { <li><a href=place(shown.id(), &[])>"top"</a></li> }.into_any()];
    let parts: Vec<&str> = shown.folder.split('/').filter(|p| !p.is_empty()).collect();
    for (n, part) in parts.iter().enumerate() {
        at = if at.is_empty() { (*part).to_owned() } else { format!("{at}/{part}") };
        let name = readable(part);
        steps.push(if n + 1 == parts.len() {
            view! { <li><span aria-current="location">{name}</span></li> }.into_any()
        } else {
            view! { <li><a href=place(shown.id(), &[("path", &at)])>{name}</a></li> }.into_any()
        });
    }
    view! { <nav class="trail" aria-label="Folder"><ol>{steps}</ol></nav> }.into_any()
}

fn content(shown: &Shown<'_>, folder: &Folder) -> AnyView {
    let listing = &folder.listing;
    let since = shown.older.map(|o| short_id(&o.restic_id));
    let columns = columns(shown);
    let up = (!shown.folder.is_empty()).then(|| {
        let above = split(shown.folder).0;
        view! { <tr><td class="tick-cell"></td><th scope="row" colspan=columns - 1><span class="name"><span class="twist"></span>{icon_sm("i-folder", "kind")}
        <a class="rowlink" href=place(shown.id(), &[("path", above)])>"Up one folder"</a></span></th></tr> }
    });
    let rows = rows(shown, folder);
    let removed: Vec<&String> = folder.since.iter().filter(|(_, k)| **k == ChangeKind::Removed).map(|(n, _)| n).collect();
    let empty = listing.total == 0;
    view! {
        <div class="table-wrap" tabindex="0" role="region" aria-label="Files, table"><table class="table treegrid files">
            <caption class="vh">"Entries of this folder"</caption>
            <thead><tr><th scope="col"><span class="vh">"Choose"</span></th><th scope="col">"Name"</th><th scope="col" class="num">"Size"</th>
                <th scope="col" class="col-md">"Modified"</th>{since.map(|s| view! { <th scope="col">"Since"<span class="col-md">" "{s}</span></th> })}</tr></thead>
            <tbody>{up}{rows}</tbody>
        </table></div>
        <Tree/>
        {empty.then(|| view! { <p class="panel__body sm muted">"This folder is empty."</p> })}
        {gone(&removed)}
        {pages(shown, folder)}
        {(!empty).then(|| foot(shown))}
    }
    .into_any()
}

fn columns(shown: &Shown<'_>) -> i32 {
    4 + i32::from(shown.older.is_some())
}

fn rows(shown: &Shown<'_>, folder: &Folder) -> AnyView {
    let listing = &folder.listing;
    let place_of = |n: usize| (listing.before + n + 1, listing.total);
    listing.entries.iter().enumerate().map(|(n, e)| row(shown, e, place_of(n), folder.since.get(&e.name).copied())).collect_view().into_any()
}

/// The rows of a folder that is opened inside the tree. What does not fit is led to.
pub fn inner_rows(shown: &Shown<'_>, folder: &Folder) -> AnyView {
    let rest = folder.listing.total - folder.listing.entries.len();
    let note = if folder.listing.total == 0 {
        Some(view! { <span class="name"><span class="twist"></span><span class="muted">"This folder is empty."</span></span> }.into_any())
    } else {
        (rest > 0).then(|| {
            let words = format!("{} more: open the folder alone", count(rest as i64));
            view! { <span class="name"><span class="twist"></span><a class="rowlink" href=place(shown.id(), &[("path", shown.folder)])>{words}</a></span> }
                .into_any()
        })
    };
    let note = note.map(|n| view! { <tr><td class="tick-cell"></td><th scope="row" colspan=columns(shown) - 1>{n}</th></tr> });
    view! { {rows(shown, folder)}{note} }.into_any()
}

fn row(shown: &Shown<'_>, e: &Entry, (pos, of): (usize, usize), change: Option<ChangeKind>) -> AnyView {
    let path = shown.path_of(&e.name);
    let name = readable(&e.name);
    let chosen = shown.chosen == Some(path.as_str());
    let href = if e.kind == NodeKind::Dir { place(shown.id(), &[("path", &path)]) } else { file_place(shown.id(), &path) };
    let bytes = if e.kind == NodeKind::File { size(e.bytes) } else { String::new() };
    let leads = e.link.as_deref().map(|l| view! { <span class="sub">"leads to "{readable(l)}</span> });
    let label = format!("Choose {name}");
    let (inside, twist) = if e.kind == NodeKind::Dir {
        (Some(with_query(&format!("/snapshots/{}/rows", shown.id()), &[("path", &path)])), Some(icon_sm("i-chev", "")))
    } else {
        (None, None)
    };
    view! {
        <tr class=chosen.then_some("is-sel") data-rows=inside data-pos=pos data-of=of>
            <td class="tick-cell"><label><input class="tick" type="checkbox" name="p" value=path form="pickf"/><span class="vh">{label}</span></label></td>
            <th scope="row"><span class="name"><span class="twist">{twist}</span>{kind_icon(e.kind)}<a class="rowlink" href=href aria-current=chosen.then_some("true")>{name}</a></span>{leads}</th>
            <td class="num">{bytes}</td>
            <td class="nowrap col-md">{e.modified_at.map(|at| time::moment(at, shown.now, shown.zone))}</td>
            {shown.older.is_some().then(|| view! { <td>{change.map(change_sign)}</td> })}
        </tr>
    }
    .into_any()
}

fn gone(removed: &[&String]) -> AnyView {
    const SHOWN: usize = 20;
    if removed.is_empty() {
        return ().into_any();
    }
    let names = removed.iter().take(SHOWN).map(|n| readable(n)).collect::<Vec<_>>().join(", ");
    let more = if removed.len() > SHOWN { format!(" and {} more", removed.len() - SHOWN) } else { String::new() };
    view! { <p class="panel__foot"><span class="d-del">"− removed since: "</span>{names}{more}</p> }.into_any()
}

fn pages(shown: &Shown<'_>, folder: &Folder) -> AnyView {
    let listing = &folder.listing;
    if shown.after.is_none() && listing.next().is_none() {
        return ().into_any();
    }
    let (from, to) = (listing.before + 1, listing.before + listing.entries.len());
    let words = format!("{} to {} of {}", count(from as i64), count(to as i64), count(listing.total as i64));
    let first = shown.after.map(|_| view! { <a class="btn btn--sm" href=place(shown.id(), &[("path", shown.folder)])>"First"</a> });
    let next = listing.next().map(|key| view! { <a class="btn btn--sm" href=place(shown.id(), &[("path", shown.folder), ("after", key)])>"Next"</a> });
    view! { <nav class="pager" aria-label="Pages of this folder">{first}{next}<span class="end">{words}</span></nav> }.into_any()
}

fn foot(shown: &Shown<'_>) -> AnyView {
    let archive = |form: &str| with_query(&format!("/snapshots/{}/archive.{form}", shown.id()), &[("p", shown.folder)]);
    let restore = shown.restore.then(|| view! { <button class="btn btn--primary btn--sm">"Restore what is ticked"</button> });
    view! {
        <form id="pickf" class="panel__foot row row--between" action="/restore" method="get">
            <input type="hidden" name="snapshot" value=shown.id().to_string()/>
            <span class="row">"This folder: "<a href=archive("zip") download="">"zip"</a><a href=archive("tar") download="">"tar"</a><b id="picked" role="status"></b></span>
            <span class="row">
                <button class="btn btn--sm" formaction=format!("/snapshots/{}/archive.zip", shown.id())>{icon_sm("i-down", "")}"Download what is ticked"</button>
                {restore}
            </span>
        </form>
    }
    .into_any()
}
