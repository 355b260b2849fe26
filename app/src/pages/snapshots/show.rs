//! One snapshot: its files folder by folder, the versions of a file, names in all snapshots of the item.
//!
//! Lives here: the page and which of its panels the address asks for. May not: rows of folders (see `files`).

use domain::{
    id::{ItemId, ServiceId, SnapshotId},
    naming,
    units::{Timestamp, count, size},
};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use ops::{
    Actor, Ctx, OpsError, browse,
    permission::{Action, On, allowed},
};
use store::snapshots::{ListedSnapshot, SnapshotRow};

use super::{
    files::{self, Shown},
    native, offsite,
    parts::{in_cloud, level, place, short_id, state_sign, subject},
    versions,
};
use crate::{
    components::{evidence::ladder, icon, panel, time, way},
    context::{AppContext, app, ctx, query},
    error::form_error,
    frame::{Nav, Page, page},
    pages::{
        holds::{
            list::snapshot_dialog,
            sign::{callouts, doubt_chip},
        },
        restore::way,
        services::act::refused,
    },
};

/// Entries of a folder on one page.
const ROWS: usize = 200;
/// Versions of a file, and names found, on one page.
const VERSIONS: i64 = 50;

#[component]
pub fn Snapshot() -> impl IntoView {
    let (ctx, shared, params, query, error) = (ctx(), app(), use_params_map().get_untracked(), query(), form_error());
    page(async move {
        let id = id(&params.get("id").unwrap_or_default())?;
        let s = ops::snapshots::listed(&ctx, id).await?;
        let holds = match (s.row.service_id, s.row.item_id) {
            (Some(service), Some(item)) => ops::holds::over_snapshot(&ctx, ServiceId(service), ItemId(item), id).await?,
            _ => Vec::new(),
        };
        if let Some(n) = in_cloud(&s.row) {
            let offsite = offsite::panel_of(&ctx, &s.row, &shared.zone).await?;
            return Ok(native::page_of(&ctx, &s, n, &holds, error.as_ref(), &shared, offsite));
        }
        let older = ops::snapshots::before(&ctx, &s.row).await?;
        let may_hold = allowed(&ctx.actor, Action::Hold, On::from(&s.row)) && s.row.service_id.is_some();
        let given = |name: &str| query.get(name).filter(|v| !v.is_empty());
        let folder = given("path").unwrap_or_default().trim_matches('/').to_owned();
        let (now, zone) = (ctx.now(), &shared.zone);

        let listed = browse::folder(&ctx, &shared.repositories, &s.row, older.as_ref(), &folder, given("after").as_deref(), ROWS).await;
        let chosen = given("file");
        let entry = match (&chosen, &listed) {
            (Some(file), Ok(_)) => browse::entry(&ctx, &shared.repositories, &s.row, file).await.ok(),
            _ => None,
        };
        let main = match given("f") {
            Some(text) => found(&ctx, &s, &text, given("fa").as_deref(), now, &shared).await?,
            None => files::panel_of(
                &Shown {
                    snapshot: &s,
                    older: older.as_ref(),
                    folder: &folder,
                    chosen: chosen.as_deref(),
                    after: given("after").as_deref(),
                    restore: allowed(&ctx.actor, Action::Restore, On::from(&s.row)),
                    now,
                    zone,
                },
                listed,
            ),
        };
        let history = match (s.row.item_id, &chosen) {
            (Some(item), Some(path)) if entry.is_some() => browse::versions(&ctx, ItemId(item), path, VERSIONS).await?,
            _ => Vec::new(),
        };
        let offsite = offsite::panel_of(&ctx, &s.row, zone).await?;
        let file = chosen.as_deref().zip(entry).map(|(path, entry)| versions::panel_of(&s, path, &entry, &history, now, zone));
        let body = view! {
            {head(&s, now, &shared, &ctx.actor, may_hold)}
            {error.as_ref().map(refused)}
            {callouts(&holds)}
            <div class="stack">
                <div class="grid grid--split">{main}<div class="stack">{file}{offsite}{facts(&s, now, &shared)}</div></div>
                {difference(&s, older.as_ref(), now, &shared)}
            </div>
            {may_hold.then(|| snapshot_dialog(s.row.id))}
        };
        let title = short_id(&s.row.restic_id);
        let crumbs = vec![("Home".to_owned(), "/".to_owned()), ("Snapshots".to_owned(), "/snapshots".to_owned())];
        Ok(Page { title, nav: Nav::Snapshots, crumbs, body: body.into_any() })
    })
}

/// The rows of one folder, for a tree that is open already (`islands::tree`).
pub async fn rows(ctx: &Ctx, shared: &AppContext, id: SnapshotId, folder: &str) -> Result<String, OpsError> {
    let s = ops::snapshots::listed(ctx, id).await?;
    let older = ops::snapshots::before(ctx, &s.row).await?;
    let folder = folder.trim_matches('/');
    let listed = browse::folder(ctx, &shared.repositories, &s.row, older.as_ref(), folder, None, ROWS).await?;
    let restore = allowed(&ctx.actor, Action::Restore, On::from(&s.row));
    let shown = Shown { snapshot: &s, older: older.as_ref(), folder, chosen: None, after: None, restore, now: ctx.now(), zone: &shared.zone };
    Ok(files::inner_rows(&shown, &listed).to_html())
}

/// Reads the id of an address.
pub fn id(text: &str) -> Result<SnapshotId, OpsError> {
    text.parse().map_err(|_| OpsError::not_found("snapshot", text))
}

fn head(s: &ListedSnapshot, now: Timestamp, shared: &AppContext, actor: &Actor, may_hold: bool) -> AnyView {
    let may_restore = allowed(actor, Action::Restore, On::from(&s.row));
    let opens = allowed(actor, Action::Read, On::service(s.row.service_id));
    let at = Timestamp(s.row.taken_at);
    let service = s.service_name.clone().zip(s.service_title.clone());
    let who = s
        .item_name
        .clone()
        .map(|item| view! { <a href=crate::components::address::with_query("/snapshots", &[("item", &item)])>"All snapshots of this item"</a> });
    view! {
        <div class="page__head"><div>
            <h1 class="page__title"><span class="vh">"Snapshot "</span><span class="mono">{short_id(&s.row.restic_id)}</span>" "<span class="soft">{subject(s)}</span></h1>
            <div class="page__meta">
                {service.map(|(name, title)| way(opens, format!("/services/{name}"), title))}
                <span><time class="t">{time::full(at, &shared.zone)}" "<span>{time::relative(at, now)}</span></time></span>
                <span>{format!("{} files, {}", count(s.row.files), size(s.row.bytes))}</span>
                {ladder(level(s))}{state_sign(s)}{doubt_chip(s)}{who}
            </div></div>
            <div class="row">{may_hold.then(|| view! { <a class="btn" href="#hold-snapshot">"Hold"</a> })}
                {may_restore.then(|| way::buttons(&s.row))}</div>
        </div>
        {(s.row.errors > 0).then(|| view! {
            <div class="callout callout--warn mb-4">{icon("i-warn")}<b>"This snapshot is not complete"</b>
                <div>{format!("{} files could not be read when it was taken. ", count(s.row.errors))}
                    {s.row.run_id.map(|r| view! { <a href=format!("/runs/{r}")>"The run names each of them."</a> })}</div></div>
        })}
    }
    .into_any()
}

fn facts(s: &ListedSnapshot, now: Timestamp, shared: &AppContext) -> AnyView {
    let row = |name: &'static str, value: AnyView| view! { <dt>{name}</dt><dd>{value}</dd> };
    let proven = s.row.level.clone();
    // Our own tags say again what stands beside them.
    let ours = |t: &&String| ["item:", "run:", "service:", "source:"].iter().any(|p| t.starts_with(p));
    let tags: Vec<String> = s.row.tags.0.iter().filter(|t| !ours(t)).cloned().collect();
    let body = view! {
        <div class="panel__body"><dl class="kv">
            {row("Snapshot", view! { <span class="hash hash--wrap">{s.row.restic_id.clone()}</span> }.into_any())}
            {row("Tree", view! { <span class="hash hash--wrap">{s.row.tree.clone()}</span> }.into_any())}
            {s.source_name.clone().map(|n| row("Source", n.into_any()))}
            {row("Host", s.row.host.clone().into_any())}
            {row("Added", size(s.row.bytes_added).into_any())}
            {s.row.run_id.map(|r| row("Run", view! { <a href=format!("/runs/{r}")>"the run that made it"</a> }.into_any()))}
            {(!tags.is_empty()).then(|| row("Tags", tags.join(", ").into_any()))}
            {row("Proven", if proven == "exists" { "not yet: no restore test has read it".into_any() } else { proven.into_any() })}
            {row("Data verified", data_verified(s, now, shared))}
            {row("Same as", view! { <code>{format!("restic restore {}", short_id(&s.row.restic_id))}</code> }.into_any())}
        </dl></div>
    };
    panel("facts", "Facts", None, None, body.into_any()).into_any()
}

/// Since when all of its data is verified.
fn data_verified(s: &ListedSnapshot, now: Timestamp, shared: &AppContext) -> AnyView {
    match s.row.data_verified_at.map(Timestamp) {
        Some(at) => view! { <span title=time::full(at, &shared.zone)>{time::relative(at, now)}</span><span class="sub">"each pack it needs was read then or later"</span> }.into_any(),
        None => view! { "not yet"<span class="sub">"until checks have read each pack it needs"</span> }.into_any(),
    }
}

/// What the backup counted against the snapshot before; the page of the pair has every path.
fn difference(s: &ListedSnapshot, older: Option<&SnapshotRow>, now: Timestamp, shared: &AppContext) -> AnyView {
    let Some(older) = older else { return ().into_any() };
    let rows = [("d-add", "+ added", s.row.files_added), ("d-mod", "± changed", s.row.files_changed), ("d-del", "− removed", s.row.files_removed)]
        .map(|(class, words, n)| view! { <div><dt><span class=class>{words}</span></dt><dd class="readout readout--md">{count(n)}</dd><dd class="sm soft">"files"</dd></div> });
    let pair = format!("/snapshots/{}/compare/{}", older.id, s.row.id);
    let note = format!("{} of {} to this one", short_id(&older.restic_id), time::short(Timestamp(older.taken_at), now, &shared.zone));
    let end = view! { <a class="btn btn--sm" href=pair>"Show every difference"</a> }.into_any();
    let body = view! { <dl class="meters meters--inset">{rows.collect_view()}</dl> }.into_any();
    panel("difference", "Since the snapshot before", Some(note), Some(end), body).into_any()
}

/// Names in all snapshots of the item.
async fn found(ctx: &ops::Ctx, s: &ListedSnapshot, text: &str, after: Option<&str>, now: Timestamp, shared: &AppContext) -> Result<AnyView, OpsError> {
    let Some(item) = s.row.item_id else {
        return Err(OpsError::invalid("f", "this snapshot was made by another program; names are searched in Holdfast's own snapshots only"));
    };
    let after = after.and_then(|k| k.split_once('_')).and_then(|(at, path)| Some((path, Timestamp(at.parse().ok()?))));
    let mut hits = browse::search(ctx, ItemId(item), text, after, VERSIONS + 1).await?;
    let more = hits.len() > VERSIONS as usize;
    hits.truncate(VERSIONS as usize);
    let next = hits.last().filter(|_| more).map(|v| format!("{}_{}", v.row.since_at, v.row.path));
    Ok(versions::search_panel(s, text, &hits, after.is_some(), next, now, &shared.zone))
}

/// The folder that holds a path, and its last name.
pub fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// A name as people read it: bytes that are not text stay in their text form, doubled backslashes become one.
pub fn readable(name: &str) -> String {
    match naming::unescape(name).map(String::from_utf8) {
        Some(Ok(text)) if !text.chars().any(char::is_control) => text,
        _ => name.to_owned(),
    }
}

/// The address of a file, chosen in its folder.
pub fn file_place(id: uuid::Uuid, path: &str) -> String {
    place(id, &[("path", split(path).0), ("file", path)])
}
