//! The snapshots of one service, the newest first.
//!
//! Lives here: the Snapshots tab. May not: looking inside a snapshot.

use domain::{
    evidence::EvidenceLevel,
    id::SnapshotId,
    units::{Timestamp, count, size},
};
use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};
use store::snapshots::{ListedSnapshot, Which};

use super::head::{Tab, service_page};
use crate::{
    components::{
        empty,
        evidence::ladder,
        pager::{key, pager, parse_key},
        table::{table, th},
        time::moment_with_age,
    },
    context::{app, ctx, visitor},
    error::form_error,
    frame::page,
    pages::snapshots::parts::{in_cloud, state_chip},
};

const PAGE: usize = 50;

#[component]
pub fn ServiceSnapshots() -> impl IntoView {
    let (ctx, shared, who, error) = (ctx(), app(), visitor(), form_error());
    let (params, query) = (use_params_map().get_untracked(), use_query_map().get_untracked());
    page(async move {
        let row = ops::services::find(&ctx, &params.get("name").unwrap_or_default()).await?;
        let before = query.get("before").as_deref().and_then(parse_key).map(|(at, id)| (at, SnapshotId(id)));
        let mut list = ops::snapshots::list(&ctx, Which::Service(row.id()), before, PAGE as i64 + 1).await?;
        let more = list.len() > PAGE;
        list.truncate(PAGE);
        let now = ctx.now();
        let on_hold = ops::holds::undecided(&ctx, row.id()).await?;
        let s = ops::overview::judge(row, on_hold, now);
        let base = format!("/services/{}/snapshots", s.row.name);
        let content = if list.is_empty() {
            let why = view! { "A backup takes one snapshot of each item. When the first one has run, they are listed here." };
            empty("No snapshots yet", why.into_any(), None).into_any()
        } else {
            let next = list.last().filter(|_| more).map(|l| format!("{base}?before={}", key(l.row.taken_at, l.row.id)));
            let rows = list.iter().map(|l| snapshot_row(l, now, &shared.zone)).collect_view();
            let head = view! {
                {th("Item", "")}{th("Taken", "")}{th("Files", "num col-md")}{th("Size", "num")}{th("New data", "num col-md")}{th("Evidence", "col-md")}{th("State", "")}
            };
            view! {
                {table("Snapshots of this service, the newest first", "table--tight", head.into_any(), rows.into_any())}
                {pager(before.map(|_| ("Newest", base.clone())), next.map(|href| ("Older", href)))}
            }
            .into_any()
        };
        let content = view! { <div class="stack"><section class="panel" aria-label="Snapshots">{content}</section></div> };
        Ok(service_page(&s, Tab::Snapshots, &who, (now, &shared.zone), error.as_ref(), content.into_any()))
    })
}

fn snapshot_row(l: &ListedSnapshot, now: Timestamp, zone: &jiff::tz::TimeZone) -> AnyView {
    let r = &l.row;
    let name = l.item_name.clone().unwrap_or_else(|| r.label.clone());
    let files = in_cloud(r).is_none();
    let or_none = |text: String| if files { text } else { "–".to_owned() };
    view! {
        <tr><th scope="row"><a class="rowlink" href=format!("/snapshots/{}", r.id)>{name}</a><span class="sub hash">{r.restic_id.get(..8).unwrap_or_default().to_owned()}</span></th>
            <td>{moment_with_age(Timestamp(r.taken_at), now, zone)}</td><td class="num col-md">{or_none(count(r.files))}</td><td class="num">{size(r.bytes)}</td>
            <td class="num col-md">{or_none(size(r.bytes_added))}</td><td class="col-md">{ladder(EvidenceLevel::parse(&r.level).unwrap_or_default())}</td><td>{state_chip(&r.state)}</td></tr>
    }
    .into_any()
}
