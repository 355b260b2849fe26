//! What a month of a schedule's runs would leave, as typed and as it was probably meant.
//!
//! Lives here: the part of the form's preview. May not: deciding (that is `ops::schedules`).

use domain::{
    retention::Decision,
    units::{Timestamp, count, span},
};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use ops::schedules::{Imagined, Keeping, Preview};

use crate::components::{
    retained::retained,
    status::{Tone, chip},
    table::{table, th},
    time::moment,
};

/// Rows that the table shows.
const ROWS: usize = 8;

/// The chart and the table; a sentence where nothing is forgotten.
pub(super) fn keeping(preview: &Preview, now: Timestamp, zone: &TimeZone) -> AnyView {
    let Some(k) = &preview.keeping else {
        let words = "Everything: a backup whose source names a policy that forgets shows here what a month of its runs would leave.";
        return view! { <p class="panel__body soft sm">{words}</p> }.into_any();
    };
    let likely = k.likely.as_deref().filter(|_| preview.risk.is_some());
    let typed = line(if likely.is_some() { "As typed" } else { "" }, &k.typed, k.days, zone);
    let suggested = likely.map(|all| line("As suggested", all, k.days, zone));
    let policy = format!("/policies/{}", k.policy);
    view! {
        <div class="panel__body stack stack--sm">
            <p class="sm soft">{format!("Had it run for the last {}, the policy ", span(k.days as f64 * 86_400.0))}<a href=policy>{k.policy.clone()}</a>" would have left of each item:"</p>
            {typed}{suggested}
        </div>
        {rows(k, likely, now, zone)}
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
fn rows(k: &Keeping, likely: Option<&[Imagined]>, now: Timestamp, zone: &TimeZone) -> AnyView {
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
    let body = times
        .into_iter()
        .map(|at| {
            let (typed, other) = (find(&k.typed, at), likely.map(|all| find(all, at)));
            let why = [Some(&typed), other.as_ref()].into_iter().flatten().flatten().max_by_key(|d| d.is_kept()).map(Decision::words);
            view! {
                <tr><th scope="row" class="nowrap">{moment(at, now, zone)}</th><td>{verdict(typed.as_ref())}</td>
                    {other.map(|o| view! { <td>{verdict(o.as_ref())}</td> })}<td class="why">{why}</td></tr>
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

fn verdict(decision: Option<&Decision>) -> AnyView {
    match decision {
        None => view! { <span class="muted">"not taken"</span> }.into_any(),
        Some(Decision::Keep(_)) => chip(Tone::Ok, "kept").into_any(),
        Some(Decision::Forget(_)) => chip(Tone::Warn, "to forget").into_any(),
    }
}
