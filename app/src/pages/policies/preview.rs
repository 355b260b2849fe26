//! What a policy would keep: sums by item, or each snapshot of one item with its reason.
//!
//! Lives here: the panel, and its form. May not: deciding (that is `ops::policies`).

use domain::{
    retention::Decision,
    units::{Timestamp, count},
};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use ops::{
    policies::{Preview, SourcePreview},
    retention::Judged,
};
use store::policies::PolicySource;

use super::show::{Asked, key};
use crate::components::{
    address::with_query,
    empty,
    pager::pager,
    panel,
    retained::retained,
    status::{Tone, chip},
    table::{table, th},
    time::{moment, moment_with_age, relative},
};

/// Snapshots that the table shows; the sums hold for all.
const SHOWN: usize = 400;
/// Days that the chart shows, the newest.
const DAYS: i64 = 60;

/// The choice of a source and an item.
fn form(asked: &Asked, sources: &[PolicySource]) -> AnyView {
    let options = sources
        .iter()
        .map(|s| {
            let key = key(s);
            view! { <option value=key.clone() selected=key == asked.of>{format!("{}, {}", s.service_title, s.source_name)}</option> }
        })
        .collect_view();
    view! {
        <form class="filters" method="get" action=format!("/policies/{}", asked.policy) aria-label="Choose what to preview">
            <div class="field"><label for="f-of">"Source"</label><select class="select input--sm" id="f-of" name="of">{options}</select></div>
            <div class="field"><label for="f-item">"Item"</label><input class="input input--sm" id="f-item" name="item" value=asked.item.clone() placeholder="all items"/></div>
            <button class="btn btn--sm">"Preview"</button>
            {(!asked.item.is_empty()).then(|| view! { <a class="btn btn--quiet btn--sm" href=asked.address("", "")>"All items"</a> })}
        </form>
    }
    .into_any()
}

pub(super) fn of_source(asked: &Asked, sources: &[PolicySource], p: &SourcePreview, now: Timestamp, zone: &TimeZone) -> AnyView {
    let content = if p.items.is_empty() {
        let why = view! { "A source lists its items when it is backed up." };
        empty("No items", why.into_any(), None).into_any()
    } else {
        let rows = p
            .items
            .iter()
            .map(|s| {
                let newest = s.item.last_snapshot_at.map_or_else(|| "no data".into_any(), |at| moment_with_age(Timestamp(at), now, zone).into_any());
                let forget = if s.forgotten == 0 { view! { <span class="muted">"none"</span> }.into_any() } else { count(s.forgotten).into_any() };
                view! {
                    <tr><th scope="row" class="item-name"><a class="rowlink" href=asked.address(&s.item.name, "")>{s.item.name.clone()}</a></th>
                        <td class="num">{count(s.kept)}</td><td class="num">{forget}</td><td class="col-md">{newest}</td></tr>
                }
            })
            .collect_view();
        let head = view! { {th("Item", "")}{th("Kept", "num")}{th("To forget", "num")}{th("Newest snapshot", "col-md")} };
        table("Kept and forgotten by item", "table--tight", head.into_any(), rows.into_any()).into_any()
    };
    let first = (!asked.after.is_empty()).then(|| asked.address("", ""));
    let next = p.next.as_ref().map(|name| asked.address("", name));
    let body = view! { {form(asked, sources)}{content}{pager(first.map(|href| ("First page", href)), next.map(|href| ("Next page", href)))} };
    panel("preview", "What is kept", Some("a preview; nothing is changed".to_owned()), None, body.into_any()).into_any()
}

pub(super) fn of_item(asked: &Asked, sources: &[PolicySource], p: &Preview, now: Timestamp, zone: &TimeZone) -> AnyView {
    let kept = p.snapshots.iter().filter(|j| j.decision.is_kept()).count();
    let content = if p.snapshots.is_empty() {
        let why = view! { "Nothing was backed up under this name yet." };
        empty("No snapshots", why.into_any(), None).into_any()
    } else {
        let rows = p.snapshots.iter().take(SHOWN).map(|j| snapshot(j, now, zone)).collect_view();
        let head = view! { {th("Snapshot", "")}{th("Decision", "")}{th("Why", "")} };
        let marks: Vec<_> = p.snapshots.iter().map(|j| (Timestamp(j.row.taken_at), j.decision.is_kept())).collect();
        let words = format!("{} kept, {} to forget", count(kept as i64), count((p.snapshots.len() - kept) as i64));
        view! {
            <div class="panel__body">{retained(&marks, DAYS, &words, zone)}</div>
            {table("Snapshots and why each is kept", "table--tight", head.into_any(), rows.into_any())}
            <div class="panel__foot" role="status">{words}
                {(p.snapshots.len() > SHOWN).then(|| format!(" · the newest {} are shown", count(SHOWN as i64)))}</div>
        }
        .into_any()
    };
    let source = with_query("/snapshots", &[("service", &p.subject.service.name), ("item", &p.item.name)]);
    let end = view! { <a class="btn btn--quiet btn--sm" href=source>"All its snapshots"</a> };
    let body = view! { {form(asked, sources)}{content} };
    panel("preview", "What is kept", Some(format!("of {}; nothing is changed", p.item.name)), Some(end.into_any()), body.into_any()).into_any()
}

fn snapshot(j: &Judged, now: Timestamp, zone: &TimeZone) -> AnyView {
    let at = Timestamp(j.row.taken_at);
    let (decision, why) = match &j.decision {
        Decision::Keep(_) => (chip(Tone::Ok, "kept"), j.decision.words()),
        Decision::Forget(_) => (chip(Tone::Warn, "to forget"), j.decision.words()),
    };
    let partial = (j.row.state == "partial").then(|| view! { " "<span class="muted">"partial"</span> });
    view! {
        <tr><th scope="row" class="nowrap"><a class="rowlink" href=format!("/snapshots/{}", j.row.id)>{moment(at, now, zone)}</a>{partial}
            <span class="sub">{relative(at, now)}</span></th><td>{decision}</td><td>{why}</td></tr>
    }
    .into_any()
}
