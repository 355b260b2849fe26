//! One hold as a panel: what was measured against what is usual, what it covers, and the decision.
//!
//! Lives here: the panel and its dialogs. May not: loading anything.

use domain::{
    guard::{Facts, Finding},
    units::{Timestamp, count, size},
};
use jiff::tz::TimeZone;
use leptos::{prelude::*, server_fn::ServerFn};
use ops::holds::{Hold, State};

use super::{
    act::{KeepHold, ReleaseHold},
    sign::state_chip,
};
use crate::{
    components::{
        address::encode,
        dialog::dialog,
        icon,
        table::{table, th},
        time::{full, relative, short},
    },
    error::upper,
    pages::snapshots::parts::short_id,
};

/// What a hold is over, in words.
pub fn subject(h: &Hold) -> String {
    match (&h.listed.item_name, &h.listed.restic_id) {
        (Some(item), Some(id)) => format!("{item}, snapshot {}", short_id(id)),
        (Some(item), None) => item.clone(),
        (None, Some(id)) => format!("snapshot {}", short_id(id)),
        (None, None) => h.listed.service_title.clone(),
    }
}

/// The hold as a panel. With `may` it has its buttons.
pub fn card(h: &Hold, may: bool, now: Timestamp, zone: &TimeZone) -> AnyView {
    let id = format!("h-{}", h.row().id);
    let labelled = id.clone();
    let names = h.facts.as_ref().map(Facts::names).filter(|n| !n.is_empty());
    view! {
        <section class="panel" aria-labelledby=labelled>
            <div class="panel__head"><h2 class="panel__title" id=id><a href=format!("/holds/{}", h.row().id)>{subject(h)}</a></h2>
                <p class="panel__note">{names}</p><div class="end row">{state_chip(h.state())}{may.then(|| buttons(h))}</div></div>
            <div class="panel__body">{told(h, now, zone)}{meaning(h)}{facts(h, now, zone)}</div>
            {measured(h)}
        </section>
        {may.then(|| dialogs(h))}
    }
    .into_any()
}

/// What was found, in sentences, or why a person placed it.
fn told(h: &Hold, now: Timestamp, zone: &TimeZone) -> AnyView {
    let sentences = h.facts.as_ref().map(Facts::measured).unwrap_or_default();
    if sentences.is_empty() {
        return view! { <p>{upper(&h.row().reason)}</p> }.into_any();
    }
    let at = h.facts.as_ref().map_or(h.row().created_at, |f| f.taken_at.0);
    let lines = sentences.iter().map(|s| view! { <li>{format!("{}.", upper(s))}</li> }).collect_view();
    view! { <p class="soft sm">{format!("In the snapshot of {}, {}:", short(Timestamp(at), now, zone), relative(Timestamp(at), now))}</p><ul class="stack stack--sm">{lines}</ul> }.into_any()
}

/// What the hold means now.
fn meaning(h: &Hold) -> AnyView {
    let (class, symbol, title, text) = match h.state() {
        State::Undecided => (
            "callout callout--hold",
            "i-hold",
            "Nothing of it is forgotten and prunes of its repository pause",
            "Look at what changed. Release it where that was in order; keep it where it was an attack or an accident.",
        ),
        State::Kept => (
            "callout callout--fail",
            "i-fail",
            "Its snapshots since then are bad",
            "Everything from before is kept and prunes go on. Restore from the last good snapshot, back up, then release the hold.",
        ),
        State::Standing => ("callout callout--hold", "i-hold", "Nothing of it is forgotten while this stands", "Backups, restores and prunes go on."),
        State::Ended => return ().into_any(),
    };
    view! { <div class=class>{icon(symbol)}<b>{title}</b><div>{text}</div></div> }.into_any()
}

fn facts(h: &Hold, now: Timestamp, zone: &TimeZone) -> AnyView {
    let row = h.row();
    let when = |at: i64| format!("{}, {}", full(Timestamp(at), zone), relative(Timestamp(at), now));
    let mut rows: Vec<(&'static str, AnyView)> = Vec::new();
    let service = view! { <a href=format!("/services/{}", h.listed.service_name)>{h.listed.service_title.clone()}</a> };
    rows.push(("Service", service.into_any()));
    if let Some(item) = &h.listed.item_name {
        rows.push(("Item", view! { <a href=format!("/snapshots?item={}", encode(item))>{item.clone()}</a> }.into_any()));
    }
    if let Some(names) = h.facts.as_ref().and_then(|f| f.crowd.as_ref()).map(|c| &c.names).filter(|n| !n.is_empty()) {
        rows.push(("Items", format!("{}{}", names.join(", "), if names.len() >= 20 { " …" } else { "" }).into_any()));
    }
    let run = row.run_id.map(|r| view! { " "<a href=format!("/runs/{r}")>"by this run"</a> });
    rows.push(("Placed", view! { {when(row.created_at)}{if row.run_id.is_none() { format!(", by {}", row.actor) } else { String::new() }}{run} }.into_any()));
    if let Some(snapshot) = h.facts.as_ref().and_then(|f| f.snapshot).or(row.snapshot_id.map(domain::id::SnapshotId)) {
        rows.push(("Snapshot", view! { <a href=format!("/snapshots/{snapshot}")>"what it holds, and what changed"</a> }.into_any()));
    }
    if h.marked > 0 {
        let words = if h.state() == State::Kept { "bad" } else { "in question" };
        rows.push(("Marked", format!("{} {} {words}", count(h.marked), if h.marked == 1 { "snapshot is" } else { "snapshots are" }).into_any()));
    }
    if h.is_guard() && h.state() != State::Ended {
        rows.push(("Last good", good(h, now, zone)));
    }
    if let Some(names) = h.facts.as_ref().map(|f| &f.measure.examples).filter(|n| !n.is_empty()) {
        let list = names.iter().map(|n| view! { <li class="path">{crate::pages::snapshots::show::readable(n)}</li> }).collect_view();
        rows.push(("Such as", view! { <ul>{list}</ul> }.into_any()));
    }
    if let (Some(by), Some(why)) = (&row.released_by, &row.release_reason) {
        let what = if row.released_at.is_some() { "Released" } else { "Kept" };
        let at = row.released_at.or(row.kept_at).map(when).unwrap_or_default();
        rows.push((what, view! { {at}", by "{by.clone()}": "{why.clone()} }.into_any()));
    }
    let rows = rows.into_iter().map(|(name, value)| view! { <dt>{name}</dt><dd>{value}</dd> }).collect_view();
    view! { <dl class="kv">{rows}</dl> }.into_any()
}

/// The last good snapshots of what is in question, and the way to restore them.
fn good(h: &Hold, now: Timestamp, zone: &TimeZone) -> AnyView {
    let all: Vec<String> = h.good.iter().map(|g| format!("snapshot={}", g.id)).collect();
    let restore = || view! { " "<a href=format!("/restore?{}", all.join("&"))>"Restore from it"</a> };
    match h.good.as_slice() {
        [] => "none is left".into_any(),
        [one] => {
            view! { <a class="hash" href=format!("/snapshots/{}", one.id)>{short_id(&one.restic_id)}</a>", "{short(Timestamp(one.taken_at), now, zone)}", "{relative(Timestamp(one.taken_at), now)}{restore()} }.into_any()
        }
        many => view! { {format!("one of each of {} items", count(many.len() as i64))}{restore()} }.into_any(),
    }
}

/// What was measured beside what is usual, in numbers.
fn measured(h: &Hold) -> AnyView {
    let Some(facts) = h.facts.as_ref() else { return ().into_any() };
    let m = &facts.measure;
    let usual = |f: &Finding| if f.usual < 0.5 { "none".to_owned() } else { count(f.usual.round() as i64) };
    let found = facts.findings.iter().map(|f| {
        view! { <tr><th scope="row">{upper(f.sign.name())}</th><td class="num">{format!("{} of {}", count(f.files), count(f.of))}</td><td class="num">{usual(f)}</td><td class="num">{count(f.limit)}</td></tr> }
    });
    let plain = |name: &'static str, value: String| view! { <tr><th scope="row">{name}</th><td class="num">{value}</td><td class="num muted">"–"</td><td class="num muted">"–"</td></tr> };
    let sized = |n: i64, bytes: i64| if n == 0 { "0".to_owned() } else { format!("{}, {}", count(n), size(bytes)) };
    let head = view! { {th("Files", "")}{th("Measured", "num")}{th("Usual", "num")}{th("Limit", "num")} };
    let body = view! {
        {found.collect_view()}
        {plain("New", count(m.added))}{plain("Other content", count(m.rewritten))}{plain("Gone or empty", sized(m.removed, m.removed_bytes))}
        {plain("Moved, same content", count(m.moved))}{plain("Gone from caches", count(m.shed))}
        {facts.noise().map(|n| plain("Of what came, incompressible", n))}
        {plain("Now", sized(m.files, m.bytes))}
    };
    let note = match facts.compared {
        _ if facts.crowd.is_some() => "The sum over the items in question.".to_owned(),
        0 => "Compared with the snapshot before.".to_owned(),
        n => format!("Usual is the median of the {} before.", if n == 1 { "one snapshot".to_owned() } else { format!("{n} snapshots") }),
    };
    view! { {table("What was measured and what is usual", "table--tight", head.into_any(), body.into_any())}<p class="panel__foot">{note}</p> }.into_any()
}

fn buttons(h: &Hold) -> AnyView {
    let (id, what) = (h.row().id, subject(h));
    let link =
        |kind: &str, words: &'static str| view! { <a class="btn btn--sm" href=format!("#{kind}-{id}")>{words}<span class="vh">{format!(" {what}")}</span></a> };
    match h.state() {
        State::Ended => ().into_any(),
        State::Undecided => view! { {link("release", "Release")}{link("keep", "Keep")} }.into_any(),
        State::Kept | State::Standing => link("release", "Release").into_any(),
    }
}

fn dialogs(h: &Hold) -> AnyView {
    let what = subject(h);
    let (title, text) = match h.state() {
        State::Ended => return ().into_any(),
        State::Undecided => (
            format!("Was what changed in {what} in order?"),
            "The new state is normal from now on: the next backups are compared with it, and forgetting and prunes go on by the policy.",
        ),
        State::Kept => (
            format!("Is {what} in order again?"),
            "The newest snapshot counts as good from now on. Those between stay marked as bad. What was kept may be forgotten by the policy again.",
        ),
        State::Standing => (format!("End the hold over {what}?"), "What it covers may be forgotten by the policy again."),
    };
    let release = decision(h, "release", &title, text, ReleaseHold::url(), "Release", "btn");
    let keep = (h.state() == State::Undecided).then(|| {
        let text =
            "Everything from before it stays on hold. Its snapshots since then are marked as bad, and a restore proposes the last good one. Prunes go on.";
        decision(h, "keep", &format!("Was it an attack or an accident in {what}?"), text, KeepHold::url(), "Keep the hold", "btn btn--danger")
    });
    view! { {release}{keep} }.into_any()
}

fn decision(h: &Hold, kind: &str, title: &str, text: &'static str, url: &'static str, button: &'static str, class: &'static str) -> AnyView {
    let (form, field) = (format!("{kind}-form-{}", h.row().id), format!("{kind}-why-{}", h.row().id));
    let hint = format!("{field}-h");
    let body = view! {
        <p>{text}</p>
        <form action=url method="post" id=form.clone()>
            <input type="hidden" name="hold" value=h.row().id.to_string()/>
            <div class="field"><label for=field.clone()>"Reason"</label>
                <input class="input" id=field name="reason" maxlength="500" required autocomplete="off" aria-describedby=hint.clone()/>
                <p class="field__hint" id=hint>"It is kept with the hold and in the audit trail."</p></div>
        </form>
    };
    let button = view! { <button class=class form=form>{button}</button> };
    dialog(&format!("{kind}-{}", h.row().id), title, "Leave it as it is", body.into_any(), button.into_any())
}
