//! Two snapshots beside each other: what came, changed and went.

use domain::units::{Timestamp, count, size};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use ops::{
    OpsError,
    browse::{self, ChangeKind, Difference, Differences, MOST_DIFFERENCES, NodeKind, Sum},
};
use store::snapshots::ListedSnapshot;

use super::{
    parts::{change_words, kind_icon, place, short_id, subject},
    show::{file_place, id, readable, split},
};
use crate::{
    components::{
        address::with_query,
        empty, icon,
        pager::pager,
        panel,
        table::{table, th},
        time,
    },
    context::{AppContext, app, ctx, query},
    frame::{Nav, Page, page},
};

const ROWS: usize = 200;

/// `/snapshots/A/compare/B`, or `/snapshots/compare?s=A&s=B` from the form of the list.
#[component]
pub fn Compare() -> impl IntoView {
    let (ctx, shared, params, query) = (ctx(), app(), use_params_map().get_untracked(), query());
    page(async move {
        let pair = match (params.get("id"), params.get("other")) {
            (Some(a), Some(b)) => vec![a, b],
            _ => query.all("s"),
        };
        let [a, b] = &pair[..] else {
            return Err(OpsError::invalid("s", format!("{} snapshots were chosen; go back and tick exactly two", pair.len())));
        };
        let mut old = ops::snapshots::listed(&ctx, id(a)?).await?;
        let mut new = ops::snapshots::listed(&ctx, id(b)?).await?;
        if old.row.taken_at > new.row.taken_at {
            std::mem::swap(&mut old, &mut new);
        }
        let after = query.get("after").filter(|a| !a.is_empty());
        let found = browse::differences(&ctx, &shared.repositories, &old.row, &new.row, after.as_deref(), ROWS).await?;
        let now = ctx.now();
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Compare two snapshots"</h1>
                <div class="page__meta">{side(&old, now, &shared)}<span aria-hidden="true">"→"</span>{side(&new, now, &shared)}</div></div>
                <div class="row"><a class="btn" href=other_pair(&new)>"Choose another pair"</a></div></div>
            <div class="stack">{differs(&old, &new)}{sums(&found)}{paths(&old, &new, &found, after.is_some())}</div>
        };
        let crumbs = [("Home", "/".to_owned()), ("Snapshots", "/snapshots".to_owned()), (&short_id(&new.row.restic_id), place(new.row.id, &[]))]
            .map(|(name, href)| (name.to_owned(), href));
        Ok(Page { title: "Compare".to_owned(), nav: Nav::Snapshots, crumbs: crumbs.to_vec(), body: body.into_any() })
    })
}

fn other_pair(s: &ListedSnapshot) -> String {
    with_query("/snapshots", &[("service", s.service_name.as_deref().unwrap_or_default()), ("item", s.item_name.as_deref().unwrap_or_default())])
}

fn side(s: &ListedSnapshot, now: Timestamp, shared: &AppContext) -> AnyView {
    let words = format!("{}, {}", subject(s), time::full(Timestamp(s.row.taken_at), &shared.zone));
    view! { <span><a class="hash" href=place(s.row.id, &[])>{short_id(&s.row.restic_id)}</a>" "{words}", "{time::relative(Timestamp(s.row.taken_at), now)}</span> }.into_any()
}

/// Snapshots of two items can be compared, and it is said that they are.
fn differs(old: &ListedSnapshot, new: &ListedSnapshot) -> AnyView {
    if old.row.item_id == new.row.item_id && old.row.item_id.is_some() {
        return ().into_any();
    }
    view! {
        <div class="callout callout--info">{icon("i-info")}<b>"Not the same item"</b>
            <div>{format!("{} is compared with {}.", subject(old), subject(new))}</div></div>
    }
    .into_any()
}

fn sums(d: &Differences) -> AnyView {
    let one = |kind: ChangeKind, sum: Sum| {
        let (class, words) = change_words(kind);
        view! { <div><dt><span class=class>{words}</span></dt><dd class="readout readout--md">{count(sum.files)}</dd>
        <dd class="sm soft">{format!("{}, {}", if sum.files == 1 { "file" } else { "files" }, size(sum.bytes))}</dd></div> }
    };
    view! {
        <dl class="meters">
            {one(ChangeKind::Added, d.added)}{one(ChangeKind::Changed, d.changed)}{one(ChangeKind::Removed, d.removed)}
            <div><dt>"Owner, permissions or times"</dt><dd class="readout readout--md">{count(d.touched)}</dd><dd class="sm soft">"entries with the same content"</dd></div>
        </dl>
        {d.cut.then(|| view! {
            <div class="callout callout--warn">{icon("i-warn")}<b>"There is more"</b>
                <div>{format!("Only the first {} differences are counted and listed.", count(MOST_DIFFERENCES))}</div></div>
        })}
    }
    .into_any()
}

fn paths(old: &ListedSnapshot, new: &ListedSnapshot, d: &Differences, later: bool) -> AnyView {
    if d.page.is_empty() && !later {
        let why = "Both snapshots hold the same files with the same content, owners, permissions and times.";
        return view! { <section class="panel" aria-label="Differences">{empty("No difference", why.into_any(), None)}</section> }.into_any();
    }
    let base = format!("/snapshots/{}/compare/{}", old.row.id, new.row.id);
    let rows = d.page.iter().map(|one| row(old, new, one)).collect_view();
    let head = view! { {th("Path", "")}{th("What", "")}{th("Size", "num col-md")} };
    let next = d.next.as_deref().map(|key| ("More", with_query(&base, &[("after", key)])));
    let content = view! {
        {table("Differences", "table--tight paths", head.into_any(), rows.into_any())}
        {pager(later.then(|| ("First", base.clone())), next)}
    };
    panel("paths", "Path by path", Some("in the order of the folders".to_owned()), None, content.into_any()).into_any()
}

fn row(old: &ListedSnapshot, new: &ListedSnapshot, d: &Difference) -> AnyView {
    let path = &d.change.path;
    let (class, words) =
        if d.change.change == ChangeKind::Changed && !d.content { ("soft", "≈ owner, permissions or times") } else { change_words(d.change.change) };
    let at = if d.change.change == ChangeKind::Removed { old.row.id } else { new.row.id };
    let href = if d.change.node == NodeKind::Dir { place(at, &[("path", path)]) } else { file_place(at, path) };
    let (folder, name) = split(path);
    let bytes = if d.change.node == NodeKind::File { size(d.change.bytes) } else { String::new() };
    view! {
        <tr>
            <th scope="row"><span class="row">{kind_icon(d.change.node)}<a class="rowlink" href=href>{readable(name)}</a></span>
                <span class="sub">{if folder.is_empty() { "top".to_owned() } else { readable(folder) }}</span></th>
            <td><span class=format!("{class} nowrap")>{words}</span></td>
            <td class="num col-md">{bytes}</td>
        </tr>
    }
    .into_any()
}
