//! What a schedule would do: its words, its runs by hour, its next times, what must be confirmed.
//!
//! Lives here: the parts of the form that change while one types, each with the id under which it is drawn anew.
//! May not: rules.

use std::fmt::Write;

use domain::{
    field::FieldError,
    schedule::{Misfire, Risk, ScheduleKind},
    units::{Timestamp, span},
};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use ops::{
    Ctx, cron,
    schedules::{
        ClockChange, Draft, Preview,
        beside::{Beside, Left},
    },
};

use super::{fields::Fields, keeping::keeping};
use crate::{
    components::{
        icon,
        status::{Tone, chip},
        table::{table, th},
        time::relative,
    },
    pages::instances::fields::makes,
};

/// What the form would do, and what is wrong with it.
pub struct Shown {
    pub draft: Draft,
    pub preview: Option<Preview>,
    pub wrong: Vec<FieldError>,
    /// The names of the instances, where it is of a source with instances.
    pub instances: Option<Vec<String>>,
    /// What else it touches.
    pub beside: Beside,
}

impl Shown {
    pub fn wrong(&self, field: &str) -> Option<String> {
        self.wrong.iter().find(|f| f.field == field).map(|f| f.message.clone())
    }
}

pub async fn load(ctx: &Ctx, fields: &Fields) -> ops::Result<Shown> {
    let instances = ops::instances::names(ctx, fields.of.trim()).await?;
    let beside = ops::schedules::beside::find(ctx, fields.of.trim()).await?;
    let (draft, mut wrong) = fields.draft(instances.is_some());
    let (preview, more) = ops::schedules::preview(ctx, &draft).await?;
    wrong.extend(more);
    Ok(Shown { draft, preview, wrong, instances, beside })
}

/// The live parts by id.
pub fn parts(shown: &Shown, fields: &Fields, now: Timestamp) -> Vec<(&'static str, AnyView)> {
    let own = cron::zone(&fields.tz).unwrap_or(TimeZone::UTC);
    vec![
        ("pv-warn", warning(shown, fields)),
        ("pv-clock", clock_hint(shown)),
        ("pv-words", in_words(shown, fields)),
        ("pv-next", next(shown, now, &own)),
        ("pv-load", load_of(shown, now)),
        ("pv-plan", plan(shown)),
        ("pv-kept", kept(shown, now, &own)),
        ("pv-makes", makes(&shown.draft.snapshot.clone().unwrap_or_default(), next_of(shown, now))),
        ("pv-instances", instances(shown)),
    ]
}

/// When its next snapshot would be taken.
fn next_of(shown: &Shown, now: Timestamp) -> Timestamp {
    shown.preview.as_ref().and_then(|p| p.next.first().copied()).unwrap_or(now)
}

/// Names of instances that are offered.
const OFFERED: usize = 1_000;

/// The names to choose from. That it is there shows the fields of instances (see `style/instances.css`).
fn instances(shown: &Shown) -> AnyView {
    let Some(names) = &shown.instances else { return ().into_any() };
    let list = names.iter().take(OFFERED).map(|n| view! { <option value=n.clone()></option> }).collect_view();
    view! { <datalist id="instance-list" class="has-instances">{list}</datalist> }.into_any()
}

/// The city of a zone, such as “Zurich time”.
fn zone_words(name: &str) -> String {
    let city = name.rsplit('/').next().unwrap_or(name).replace('_', " ");
    if name == "UTC" { "UTC".to_owned() } else { format!("{city} time") }
}

/// What is wrong with the expression, or must be confirmed.
fn warning(shown: &Shown, fields: &Fields) -> AnyView {
    if let Some(message) = shown.wrong("cron") {
        let title = format!("“{}” is not understood", fields.cron());
        return view! { <div class="callout callout--fail" id="cw" role="alert">{icon("i-fail")}<b>{title}</b><div>{format!("It {message}.")}</div></div> }
            .into_any();
    }
    let Some((p, risk)) = shown.preview.as_ref().and_then(|p| p.risk.map(|r| (p, r))) else { return ().into_any() };
    let title = format!("“{}” means {}: {} runs a day", fields.cron(), p.words, p.runs_a_day);
    let burns = match risk {
        Risk::BurnsHistory { kept, runs_a_day } if shown.draft.snapshot.is_some() => {
            let span = span(p.gap_s as f64 * kept as f64);
            format!("With max_snapshots = {kept} only the last {span} would be left: after {runs_a_day} runs yesterday is gone. ")
        }
        Risk::BurnsHistory { kept, runs_a_day } => {
            let span = span(p.gap_s as f64 * kept as f64);
            format!("Of each item {kept} snapshots are kept: after {runs_a_day} runs only the last {span} of the day would be left. ")
        }
        Risk::Often { .. } if shown.draft.snapshot.is_some() => "That is more often than once an hour: each run makes the cloud copy the disks. ".to_owned(),
        Risk::Often { .. } => "That is more often than once an hour: each run looks at every file. ".to_owned(),
    };
    let use_likely = p.likely.as_ref().map(|(text, words, _)| {
        let button = format!("Use {text}");
        view! { <span>{format!("For once {words} write ")}<code class="nowrap">{text.clone()}</code>". "</span>
        <button class="btn btn--sm" name="cron" value=text.clone() formmethod="get" formaction=fields.path() formnovalidate="true">{button}</button> }
    });
    let sure = fields.sure == p.runs_a_day.to_string();
    let words = format!("I mean {} runs a day", p.runs_a_day);
    view! {
        <div class="callout callout--fail" id="cw" role="alert">{icon("i-fail")}<b>{title}</b>
            <div>{burns}<p class="row mt-2">{use_likely}
                <label class="check"><input type="checkbox" name="sure" value=p.runs_a_day.to_string() checked=sure/>{words}</label></p></div></div>
    }
    .into_any()
}

/// Where the clock changes next, and whether that matters.
fn clock_hint(shown: &Shown) -> AnyView {
    let Some(p) = &shown.preview else { return ().into_any() };
    match &p.clock {
        None => "The clock of this zone does not change within a year.".into_any(),
        Some(ClockChange { from, to, touches, .. }) => {
            let day = from.strftime("%-d %b %Y").to_string();
            let (a, b) = (from.strftime("%H:%M").to_string(), to.strftime("%H:%M").to_string());
            let jumps = if to > from { format!("On {day} the clock jumps from {a} to {b}.") } else { format!("On {day} the clock goes back from {a} to {b}.") };
            let then = match (touches, to > from) {
                (false, _) => "No run falls into that hour.",
                (true, true) => "A run at a time that is jumped over begins at the moment of the jump.",
                (true, false) => "A run at a time that comes twice begins the first time, once.",
            };
            format!("{jumps} {then}").into_any()
        }
    }
}

fn in_words(shown: &Shown, fields: &Fields) -> AnyView {
    let Some(p) = &shown.preview else { return view! { <p class="soft">"Nothing to show until the expression and the zone are understood."</p> }.into_any() };
    view! {
        <p><b>"In words: "</b>{format!("{}, {}.", p.words, zone_words(&fields.tz))}</p>
        {by_hour(p)}
    }
    .into_any()
}

/// One bar an hour of a day with runs.
fn by_hour(p: &Preview) -> AnyView {
    let most = p.by_hour.iter().copied().max().unwrap_or(0).max(1);
    let many = p.risk.is_some();
    let mut svg = String::from(r#"<path class="axis" d="M2 66.5h396"/>"#);
    for (hour, n) in p.by_hour.iter().enumerate() {
        let x = 4 + hour * 33 / 2;
        let (class, height) = match (*n, many) {
            (0, _) => ("bar-r", 4),
            (n, many) => (if many { "dot-bad" } else { "bar-a" }, 12 + 40 * n / most),
        };
        let _ = write!(svg, r#"<rect class="{class}" x="{x}" y="{}" width="11" height="{height}"/>"#, 66 - height);
        if hour % 3 == 0 {
            let _ = write!(svg, r#"<text x="{}" y="82" text-anchor="middle">{hour:02}</text>"#, x + 5);
        }
    }
    let hours: Vec<_> = p.by_hour.iter().enumerate().filter(|(_, n)| **n > 0).map(|(h, n)| format!("{n} between {h:02}:00 and {h:02}:59")).collect();
    let words = format!("Runs in each hour of a day: {}, none in any other hour", hours.join(", "));
    view! { <svg class="chart chart--day" viewBox="0 0 400 88" role="img" aria-label=words inner_html=svg></svg> }.into_any()
}

/// The next times, beside those of the likely meaning.
fn next(shown: &Shown, now: Timestamp, zone: &TimeZone) -> AnyView {
    let Some(p) = &shown.preview else { return view! { <p class="panel__body soft sm">"No times yet."</p> }.into_any() };
    let time = |at: Timestamp| {
        let z = jiff::Timestamp::from_microsecond(at.0).unwrap_or_default().to_zoned(zone.clone());
        let machine = z.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
        view! { <time datetime=machine>{z.strftime("%a %-d %b %Y %H:%M %Z").to_string()}</time><span class="sub">{relative(at, now)}</span> }
    };
    let likely = p.likely.as_ref().filter(|_| p.risk.is_some());
    let rows = p
        .next
        .iter()
        .enumerate()
        .map(|(n, at)| {
            let other = likely.map(|(_, _, next)| view! { <td>{next.get(n).map(|at| time(*at))}</td> });
            view! { <tr><th scope="row" class="num">{n + 1}</th><td>{time(*at)}</td>{other}</tr> }
        })
        .collect_view();
    let head = view! {
        <th scope="col" class="num"><span class="vh">"Number"</span></th>
        {if likely.is_some() { view! { {th("As typed", "")}{th("As suggested", "")} }.into_any() } else { th("Time", "").into_any() }}
    };
    table("Next ten runs", "table--tight", head.into_any(), rows.into_any()).into_any()
}

/// What a month of its runs would leave.
fn kept(shown: &Shown, now: Timestamp, zone: &TimeZone) -> AnyView {
    match &shown.preview {
        Some(p) => keeping(p, shown.draft.snapshot.as_ref(), now, zone),
        None => view! { <p class="panel__body soft sm">"Nothing to show yet."</p> }.into_any(),
    }
}

/// The plan that describes what is scheduled.
fn plan(shown: &Shown) -> AnyView {
    let note = shown.beside.planned.as_ref().map(|title| {
        view! {
            <div class="callout callout--warn">{icon("i-warn")}<b>{format!("The plan of {title} becomes stale")}</b>
                <div>"A changed schedule asks the owner to look at the plan again."</div></div>
        }
    });
    note.into_any()
}

/// What the quotas leave of the clouds that it takes snapshots in.
fn quotas(shown: &Shown, now: Timestamp) -> AnyView {
    let row = |l: &Left| {
        let full = l.quota.is_used_up().then(|| view! { " "{chip(Tone::Warn, "used up")} });
        let seen = format!("of the cloud {}, {}", l.cloud, relative(l.looked_at, now));
        view! { <dt>"Quota left"</dt><dd>{l.quota.words()}{full}<span class="sub">{seen}</span></dd> }
    };
    shown.beside.left.iter().filter(|_| shown.draft.kind == ScheduleKind::Backup).map(row).collect_view().into_any()
}

fn load_of(shown: &Shown, now: Timestamp) -> AnyView {
    let Some(p) = &shown.preview else { return view! { <p class="soft sm">"Nothing to show yet."</p> }.into_any() };
    let class = if p.risk.is_some() { "s-fail" } else { "" };
    let likely = p
        .likely
        .as_ref()
        .filter(|_| p.risk.is_some())
        .and_then(|(text, ..)| cron::Cron::parse(text).ok())
        .map(|c| format!(" as typed, {} as suggested", c.runs_a_day()));
    let takes = match p.takes_s {
        None => "not known yet".to_owned(),
        Some(s) if s > p.gap_s as f64 => {
            format!("about {}; a run would still be busy when the next one is due, which is then missed", span(s.round().max(1.0)))
        }
        Some(s) => format!("about {}, by the last runs", span(s.round().max(1.0))),
    };
    let window = match p.same_window {
        0 => "no other schedule".to_owned(),
        1 => "1 other schedule".to_owned(),
        n => format!("{n} other schedules"),
    };
    view! {
        <dl class="kv"><dt>"Runs a day"</dt><dd><b class=class>{p.runs_a_day}</b>{likely}</dd>
            <dt>"Each takes"</dt><dd>{takes}</dd>
            {quotas(shown, now)}
            <dt>"Same five minutes"</dt><dd>{window}</dd></dl>
    }
    .into_any()
}

/// What a form offers for ticks that were missed.
pub const fn misfire_words(misfire: Misfire) -> &'static str {
    match misfire {
        Misfire::Once => "run once as soon as possible",
        Misfire::Skip => "wait for the next time",
        Misfire::All => "catch up with the last ten, one after another",
    }
}
