//! The parts of a page that change while it is open, drawn by the server for the page itself and for its stream.
//!
//! Lives here: what `islands::live` puts into its places. May not: the stream (that is the server's), permission.
//! Invariant: a page and its stream draw a part with the same function, so that both look the same.

use std::{collections::BTreeMap, fmt::Write};

use domain::{
    run::{ItemState, RunState},
    units::{Timestamp, count, span},
};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use ops::{Ctx, OpsError, runs};
use serde::Serialize;
use store::{
    run_events::RunEventRow,
    runs::{ListedRun, RunRow},
    steps::StepRow,
};

use crate::components::{
    run::{self, StepView},
    status::{Tone, chip_with},
    time,
};

/// What the event `parts` carries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Parts {
    /// HTML by the id of the element that it fills.
    pub parts: BTreeMap<&'static str, String>,
    /// The step, so that its change is read aloud at once.
    pub step: String,
    /// One sentence to be read aloud.
    pub say: String,
}

/// The live runs shown on one page at most.
pub const LIVE_LIMIT: i64 = 20;

/// All that changes on the page of a live run.
pub async fn run_parts(ctx: &Ctx, row: &RunRow, zone: &TimeZone) -> Result<Parts, OpsError> {
    let steps = runs::steps(ctx, row.id()).await?;
    let counts = runs::item_counts(ctx, row.id()).await?;
    let now = ctx.now();
    let parts = BTreeMap::from([
        ("run-status", status(row, &steps).to_html()),
        ("run-steps", step_list(row, &steps, now, false).to_html()),
        ("run-progress", progress(row, &counts, now, zone).to_html()),
    ]);
    let step = steps.iter().find(|s| s.state == "running").map(|s| s.name.clone()).unwrap_or_default();
    let say = match (&row.progress, row.state.as_str()) {
        (Some(p), _) => run::sentence(p),
        (None, "queued") => "The run waits in the queue".to_owned(),
        (None, _) if !step.is_empty() => run::step_name(row.kind().ok(), &step).to_owned(),
        (None, _) => String::new(),
    };
    Ok(Parts { parts, step, say })
}

/// The list of live runs, as the home page has it.
pub async fn home_parts(ctx: &Ctx) -> Result<Parts, OpsError> {
    let list = runs::live(ctx, LIVE_LIMIT).await?;
    let say = match list.len() {
        0 => "No run is live".to_owned(),
        1 => "1 run is live".to_owned(),
        n => format!("{n} runs are live"),
    };
    Ok(Parts { parts: BTreeMap::from([("live-runs", live_runs(&list, ctx.now()).to_html())]), step: list.len().to_string(), say })
}

/// The chip of a run, with the place of its step while it runs.
pub fn status(row: &RunRow, steps: &[StepRow]) -> AnyView {
    let at = steps.iter().position(|s| s.state == "running");
    match (row.state().ok(), at) {
        (Some(RunState::Queued | RunState::Running), _) if row.cancel_requested_at.is_some() => chip_with(Tone::Warn, "i-skip", "is being cancelled"),
        (Some(RunState::Running), Some(n)) => chip_with(Tone::Run, "i-run", format!("step {} of {}", n + 1, steps.len())),
        _ => run::state_chip_of(&row.state),
    }
}

/// The ordered steps. `full` adds what each was given and gave back.
pub fn step_list(row: &RunRow, steps: &[StepRow], now: Timestamp, full: bool) -> AnyView {
    if steps.is_empty() {
        let why = if row.state == "queued" { "The steps are written down when the run begins." } else { "This run ended before its first step." };
        return view! { <p class="panel__body soft">{why}</p> }.into_any();
    }
    let kind = row.kind().ok();
    let list = steps
        .iter()
        .map(|s| {
            let state = s.state().unwrap_or(domain::run::StepState::Pending);
            let failure = s.failure.as_ref().map(|f| crate::error::upper(&f.0.message));
            let progress = row.progress.as_ref().filter(|p| state == domain::run::StepState::Running && p.0.step == s.name).map(|p| now_words(&p.0));
            let again = (s.attempt > 1).then(|| format!("Begun {} times.", s.attempt));
            let detail = [failure.or(progress), again].into_iter().flatten().collect::<Vec<_>>().join(" ");
            StepView {
                name: run::step_name(kind, &s.name).to_owned(),
                state,
                detail: (!detail.is_empty()).then_some(detail),
                started_at: s.started_at.map(Timestamp),
                finished_at: s.finished_at.map(Timestamp),
                more: if full { inputs(s) } else { None },
            }
        })
        .collect();
    run::steps(list, now)
}

/// What a step was given and gave back, as far as it is short enough to be read.
fn inputs(step: &StepRow) -> Option<String> {
    const LONGEST: usize = 4_000;
    let mut text = String::new();
    for (word, value) in [("given", &step.input), ("gave back", &step.output)] {
        if let Some(value) = value.as_ref().filter(|v| !v.0.is_null()) {
            let pretty = serde_json::to_string_pretty(&value.0).unwrap_or_default();
            // Writing into a string cannot fail.
            let _ = writeln!(text, "{word}: {pretty}");
        }
    }
    if text.len() > LONGEST {
        let end = text.floor_char_boundary(LONGEST);
        text.truncate(end);
        text.push_str("\n… shortened");
    }
    (!text.is_empty()).then_some(text)
}

fn now_words(p: &domain::work::RunProgress) -> String {
    let items = run::items_words(p);
    if p.current.is_empty() { items } else { format!("{items}, now {}", p.current) }
}

/// Where a live run stands: share, rate, time left, sizes, counts, the item it is at.
pub fn progress(row: &RunRow, counts: &[(String, i64, i64, i64)], now: Timestamp, zone: &TimeZone) -> AnyView {
    let Some(p) = row.progress.as_ref().map(|p| &p.0) else {
        let since = row.started_at.unwrap_or(row.queued_at);
        let (what, why) = if row.state == "queued" {
            ("Waits", "It begins when a worker is free and nothing else writes to the same place.")
        } else {
            ("Runs", "Nothing is measured yet.")
        };
        let waited = span(now.secs_since(Timestamp(since)).max(0.0).round());
        return view! {
            <div class="row row--between"><span class="readout readout--md">{what}</span><span class="num"><b>{waited}</b><span class="sub">"since "{time::short(Timestamp(since), now, zone)}</span></span></div>
            {run::bar(None, what)}
            <p class="sm soft">{why}</p>
        }
        .into_any();
    };
    let share = run::percent(p);
    let shown = share.map_or_else(|| view! { "–" }.into_any(), |n| view! { {n}" "<small>"%"</small> }.into_any());
    let left = p.eta_s.map(|s| span(s as f64));
    let ends = p.eta_s.map(|s| format!("ends near {}", time::short(now.plus_secs(s), now, zone)));
    let bad: Vec<String> = [ItemState::Failed, ItemState::Partial]
        .iter()
        .filter_map(|state| counts.iter().find(|c| c.0 == state.as_str()).map(|c| format!("{} {}", count(c.1), state.as_str())))
        .collect();
    let items = if bad.is_empty() { run::items_words(p) } else { format!("{}, {}", run::items_words(p), bad.join(", ")) };
    let bytes = run::bytes_words(p);
    let files = (p.files_done > 0).then(|| format!("{} files", count(p.files_done)));
    view! {
        <div class="row row--between">
            <span class="readout">{shown}</span>
            <span class="ta-c"><b>{run::rate_words(p)}</b><span class="sub">"rate"</span></span>
            <span class="num"><b>{left.map_or_else(|| "–".to_owned(), |l| format!("about {l}"))}</b><span class="sub">{ends.unwrap_or_else(|| "time left not known yet".to_owned())}</span></span>
        </div>
        {run::bar(share, &format!("{bytes}, {items}"))}
        <p class="row row--between sm soft"><span>{bytes}</span><span>{items}</span></p>
        <p class="sm soft current">{(!p.current.is_empty()).then(|| view! { "Now "<span class="mono">{p.current.clone()}</span> })}
            {files.map(|f| view! { <span class="end">{f}</span> })}</p>
    }
    .into_any()
}

/// The live runs in their small form, for home. The element around it has the id `live-runs`.
pub fn live_runs(list: &[ListedRun], now: Timestamp) -> AnyView {
    if list.is_empty() {
        return view! { <p class="panel__body soft">"No run is live."</p> }.into_any();
    }
    let rows = list
        .iter()
        .map(|l| {
            let row = &l.run;
            let href = format!("/runs/{}", row.id);
            let chip = if row.cancel_requested_at.is_some() { chip_with(Tone::Warn, "i-skip", "is being cancelled") } else { run::state_chip_of(&row.state) };
            let body = if let Some(p) = row.progress.as_ref().map(|p| &p.0) {
                let share = run::percent(p);
                let words = [share.map(|n| format!("{n} %")), Some(run::items_words(p)), Some(run::rate_words(p)).filter(|r| r != "–")];
                let words = words.into_iter().flatten().collect::<Vec<_>>().join(" · ");
                view! { {run::bar(share, &words)}<div class="row row--between soft"><span>{words.clone()}</span><span>{run::eta_words(p)}</span></div> }
                    .into_any()
            } else {
                let since = span(now.secs_since(Timestamp(row.started_at.unwrap_or(row.queued_at))).max(0.0).round());
                let words = if row.state == "queued" { "waits for a free worker" } else { "begins" };
                view! { <div class="row row--between soft"><span>{words}</span><span>{since}</span></div> }.into_any()
            };
            let service = l.service_title.clone().filter(|t| !row.title.contains(t.as_str())).map(|t| format!(" · {t}"));
            view! { <li><div class="row row--between"><span><a href=href><b>{row.title.clone()}</b></a>{service}</span>{chip}</div>{body}</li> }
        })
        .collect_view();
    view! { <ul class="live">{rows}</ul> }.into_any()
}

/// One line of a log. What was searched for is marked.
pub fn log_line(e: &RunEventRow, search: &str, zone: &TimeZone) -> AnyView {
    let class = match e.level.as_str() {
        "warn" => "is-warn",
        "error" => "is-err",
        _ => "is-info",
    };
    view! {
        <li class=class><span>{e.seq}</span>{time::clock(Timestamp(e.at), zone)}<span class="lv">{e.level.clone()}</span><span>{marked(&e.message, search)}</span></li>
    }
    .into_any()
}

fn marked(message: &str, search: &str) -> AnyView {
    let search = search.trim().to_lowercase();
    let lower = message.to_lowercase();
    // Case folding that changes lengths would mark the wrong letters, so such a line stays unmarked.
    if search.is_empty() || lower.len() != message.len() {
        return message.to_owned().into_any();
    }
    let mut out = Vec::new();
    let mut from = 0;
    for (at, hit) in lower.match_indices(&search) {
        if !message.is_char_boundary(at) || !message.is_char_boundary(at + hit.len()) {
            return message.to_owned().into_any();
        }
        out.push(message[from..at].to_owned().into_any());
        out.push(view! { <mark>{message[at..at + hit.len()].to_owned()}</mark> }.into_any());
        from = at + hit.len();
    }
    out.push(message[from..].to_owned().into_any());
    out.into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_searched_for_is_marked_and_nothing_is_run() {
        let html = marked("Read <b>error</b>, READ", "read").to_html();
        assert_eq!(html.matches("<mark>").count(), 2);
        assert!(!html.contains("<b>"), "{html}");
        assert!(marked("İstanbul", "i").to_html().contains("İstanbul"));
    }
}
