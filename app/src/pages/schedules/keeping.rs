//! What a month of a schedule's runs would leave, as typed and as it was probably meant.
//!
//! Lives here: the part of the form's preview. May not: deciding (that is `ops::schedules`).

use domain::{
    instance::SnapshotParams,
    retention::Decision,
    units::{Timestamp, count, span},
};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use ops::schedules::{Imagined, Keeping, Preview};

use crate::{
    components::{
        retained::retained,
        status::{Tone, chip},
        table::{table, th},
        time::moment,
    },
    pages::instances::fields::example,
};

/// Rows that the table shows.
const ROWS: usize = 8;

/// The chart and the table; a sentence where nothing is forgotten. `asked` is how instances are snapshotted.
pub(super) fn keeping(preview: &Preview, asked: Option<&SnapshotParams>, now: Timestamp, zone: &TimeZone) -> AnyView {
    let Some(k) = &preview.keeping else {
        let words = if asked.is_some() {
            "Everything, as far as the quota of the project goes: max_snapshots is 0. With a number this shows what a month of its runs would leave."
        } else {
            "Everything: a backup whose source names a policy that forgets shows here what a month of its runs would leave."
        };
        return view! { <p class="panel__body soft sm">{words}</p> }.into_any();
    };
    let likely = k.likely.as_deref().filter(|_| preview.risk.is_some());
    let typed = line(if likely.is_some() { "As typed" } else { "" }, &k.typed, k.days, zone);
    let suggested = likely.map(|all| line("As suggested", all, k.days, zone));
    let by = match asked {
        Some(p) => view! { {format!("max_snapshots = {}", p.max_snapshots)}" would have left of each instance:" }.into_any(),
        None => view! { "the policy "<a href=format!("/policies/{}", k.policy)>{k.policy.clone()}</a>" would have left of each item:" }.into_any(),
    };
    view! {
        <div class="panel__body stack stack--sm">
            <p class="sm soft">{format!("Had it run for the last {}, ", span(k.days as f64 * 86_400.0))}{by}</p>
            {typed}{suggested}
        </div>
        {rows(k, likely, asked, now, zone)}
    }
    .into_any()
}

fn line(title: &'static str, all: &[Imagined], days: i64, zone: &TimeZone) -> AnyView {
    let kept = all.iter().filter(|i| i.decision.is_kept()).count();
    let words = format!("{} of {} snapshots kept", count(kept as i64), count(all.len() as i64));
    let marks: Vec<_> = all.iter().map(|i| (i.at, i.decision.is_kept())).collect();
    let head = if title.is_empty() { words.clone() } else { format!("{title}: {words}") };
    view! { <div><b class="sm">{head}</b>{retained(&marks, days, &words, zone)}</div> }.into_any()
}

/// The newest that are kept either way, and the newest that goes.
fn rows(k: &Keeping, likely: Option<&[Imagined]>, asked: Option<&SnapshotParams>, now: Timestamp, zone: &TimeZone) -> AnyView {
    let find = |all: &[Imagined], at| all.binary_search_by(|i| i.at.cmp(&at).reverse()).ok().map(|n| all[n].decision.clone());
    let kept = |all: &[Imagined]| all.iter().filter(|i| i.decision.is_kept()).take(ROWS / 2).map(|i| i.at).collect::<Vec<_>>();
    let mut times = kept(&k.typed);
    times.extend(likely.map(kept).unwrap_or_default());
    times.extend(k.typed.iter().find(|i| !i.decision.is_kept()).map(|i| i.at));
    times.sort_by(|a, b| b.cmp(a));
    times.dedup();
    if times.is_empty() {
        return view! { <p class="panel__body soft sm">"It would not have run in that time."</p> }.into_any();
    }
    let shown = times.len();
    let goes = if asked.is_some() { "to remove" } else { "to forget" };
    let body = times
        .into_iter()
        .map(|at| {
            let (typed, other) = (find(&k.typed, at), likely.map(|all| find(all, at)));
            let why = match asked {
                Some(p) => Some(counted(&k.typed, likely, at, p.max_snapshots)),
                None => [Some(&typed), other.as_ref()].into_iter().flatten().flatten().max_by_key(|d| d.is_kept()).map(Decision::words),
            };
            let name = asked.and_then(|p| example(p, at)).map(|n| view! { <span class="mono brk">{n}</span><br/> });
            view! {
                <tr><th scope="row">{name}<span class="nowrap">{moment(at, now, zone)}</span></th><td>{verdict(typed.as_ref(), goes)}</td>
                    {other.map(|o| view! { <td>{verdict(o.as_ref(), goes)}</td> })}<td class="why">{why}</td></tr>
            }
        })
        .collect_view();
    let two = likely.is_some();
    let head = view! {
        {th("Snapshot", "")}{th(if two { "As typed" } else { "Decision" }, "")}{two.then(|| th("As suggested", ""))}{th("Why", "")}
    };
    view! {
        {table("Kept snapshots and why", "table--tight", head.into_any(), body.into_any())}
        <div class="panel__foot">{format!("{shown} of {} snapshots are named", count(k.typed.len() as i64))}</div>
    }
    .into_any()
}

/// Of max_snapshots there is one rule: the newest stay, and each has its place among them.
fn counted(typed: &[Imagined], likely: Option<&[Imagined]>, at: Timestamp, most: u32) -> String {
    let place = |all: &[Imagined]| all.iter().position(|i| i.at == at && i.decision.is_kept());
    let nth = place(typed).or_else(|| likely.and_then(place));
    nth.map_or_else(|| format!("over max_snapshots = {most}"), |n| format!("{} of {most} newest", n + 1))
}

fn verdict(decision: Option<&Decision>, goes: &'static str) -> AnyView {
    match decision {
        None => view! { <span class="muted">"not taken"</span> }.into_any(),
        Some(Decision::Keep(_)) => chip(Tone::Ok, "kept").into_any(),
        Some(Decision::Forget(_)) => chip(Tone::Warn, goes).into_any(),
    }
}
