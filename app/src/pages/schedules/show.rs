//! One schedule: what it does, when it runs next, its ledger, and what can be done to it.

use domain::{
    id::TickId,
    instance::SnapshotParams,
    run::RunKind,
    schedule::{Counts, ScheduleKind},
    units::{Timestamp, span},
};
use jiff::tz::TimeZone;
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::{use_params_map, use_query_map};
use ops::permission::{Action, On, allowed};
use store::{schedules::ScheduleRow, ticks::Filter};

use super::{
    act::{PauseSchedule, RemoveSchedule, ResumeSchedule},
    preview::misfire_words,
    ticks::{ON_A_PAGE, figures, paged, tick_table},
};
use crate::{
    components::{
        address::with_query,
        dialog::dialog,
        origin::from_file,
        pager::parse_key,
        panel,
        run::kind_words,
        status::{Tone, chip},
        table::{table, th},
        time::{full, relative},
    },
    context::{app, ctx, visitor},
    error::{form_error, upper},
    frame::{Nav, Page, page},
    pages::{instances::parts::place as instance_place, services::act::refused},
};

/// Days that the figures look back, and how many coming times are shown.
const DAYS: i64 = 30;
const NEXT: usize = 10;

/// `/schedules/:name?before=`.
#[component]
pub fn Schedule() -> impl IntoView {
    let (ctx, shared, who, error) = (ctx(), app(), visitor(), form_error());
    let (params, query) = (use_params_map().get_untracked(), use_query_map().get_untracked());
    page(async move {
        let row = ops::schedules::find(&ctx, &params.get("name").unwrap_or_default()).await?;
        let (now, before) = (ctx.now(), query.get("before").unwrap_or_default());
        let filter = Filter { schedule: Some(row.id()), ..Filter::default() };
        let mut ticks = ops::ledger::list(&ctx, filter, parse_key(&before).map(|(at, id)| (at, TickId(id))), ON_A_PAGE + 1).await?;
        let counts = ops::ledger::counts(&ctx, filter, now.plus_secs(-DAYS * 86_400)).await?;
        let path = format!("/schedules/{}", row.name);
        let pages = paged(&mut ticks, &before, now, &shared.zone, |before| with_query(&path, &[("before", before)]));
        let ledger = if ticks.is_empty() {
            view! { <p class="panel__body soft sm">"It was not due yet since it was made."</p> }.into_any()
        } else {
            tick_table(&ticks, false, now, &shared.zone)
        };
        let all = view! { <a class="btn btn--quiet btn--sm" href="/ledger">"The whole ledger"</a> }.into_any();
        let body = view! {
            {head(&row, now, &shared.zone, &who.actor)}
            {error.map(|e| refused(&e))}
            <div class="stack">
                {figures(&counts, &format!("last {DAYS} days"))}
                <div class="grid grid--aside-w"><div class="stack">
                    {panel("ledger", "Ledger", Some("one row for each time that it was due".to_owned()), Some(all), view! { {ledger}{pages} }.into_any())}
                </div><div class="stack">
                    {panel("rule", "Rule", None, None, rule(&row, &counts, now))}
                    {panel("next", "Next ten runs", None, None, next(&row, now))}
                </div></div>
            </div>
        };
        let crumbs = vec![("Home".to_owned(), "/".to_owned()), ("Schedules".to_owned(), "/schedules".to_owned())];
        Ok(Page { title: row.name.clone(), nav: Nav::Schedules, crumbs, body: body.into_any() })
    })
}

fn head(s: &ScheduleRow, now: Timestamp, zone: &TimeZone, actor: &ops::Actor) -> AnyView {
    let kind = match native(s) {
        Some(_) => kind_words(RunKind::InstanceSnapshot).to_owned(),
        None => s.kind().map_or(s.kind.clone(), |k| kind_words(k.run_kind()).to_owned()),
    };
    let what = native(s).map(|p| p.instance).filter(|i| !i.is_empty()).unwrap_or_else(|| s.of());
    let of = match (&s.service_name, &s.service_title) {
        (Some(name), Some(title)) => view! { <a href=format!("/services/{name}")>{title.clone()}</a> }.into_any(),
        _ => view! { <span class="mono">{s.of()}</span> }.into_any(),
    };
    let paused = s.is_paused(now);
    let state = if paused {
        let until = s.paused_until.map_or_else(|| "until somebody resumes it".to_owned(), |u| format!("until {}", full(Timestamp(u), zone)));
        let by = s.paused_by.clone().unwrap_or_default();
        let reason = s.pause_reason.clone().unwrap_or_default();
        view! { {chip(Tone::Hold, "paused")}<span>{format!("{until}, by {by}: {reason}")}</span> }.into_any()
    } else {
        view! { <span>"Next run "<b>{relative(Timestamp(s.next_run_at), now)}</b></span> }.into_any()
    };
    let pause = allowed(actor, Action::Operate, On::service(s.service_id)).then(|| {
        if paused {
            view! { <form method="post" action=ResumeSchedule::url()><input type="hidden" name="name" value=s.name.clone()/><button class="btn">"Resume"</button></form> }.into_any()
        } else {
            view! { <a class="btn" href="#pause">"Pause"</a>{pause_dialog(s)} }.into_any()
        }
    });
    let change = allowed(actor, Action::Configure, On::All).then(|| {
        view! { <a class="btn" href="#remove">"Remove"</a>{remove_dialog(s)}<a class="btn btn--primary" href=format!("/schedules/{}/edit", s.name)>"Change"</a> }
    });
    view! {
        <div class="page__head"><div><h1 class="page__title">{s.name.clone()}" "<span class="soft">{format!("{kind} of {what}")}</span></h1>
            <div class="page__meta">{of}{state}{from_file(&s.origin, now, zone)}</div></div>
            <div class="row">{pause}{change}</div></div>
    }
    .into_any()
}

fn pause_dialog(s: &ScheduleRow) -> AnyView {
    let id = "pause-form";
    let body = view! {
        <form id=id class="form" method="post" action=PauseSchedule::url()>
            <p>"Nothing runs while it is paused. Each time that is passed over stands in the ledger as paused, with this reason."</p>
            <input type="hidden" name="name" value=s.name.clone()/>
            <div class="field"><label for="reason">"Reason"</label><input class="input" id="reason" name="reason" required maxlength="500" autocomplete="off"/></div>
            <div class="field"><label for="until">"Until"</label><input class="input input--moment" id="until" name="until" type="datetime-local" aria-describedby="until-h"/>
                <span class="field__hint" id="until-h">"Empty: until somebody resumes it"</span></div>
        </form>
    };
    dialog("pause", &format!("Pause {}?", s.name), "Let it run", body.into_any(), view! { <button class="btn" form=id>"Pause it"</button> }.into_any())
}

fn remove_dialog(s: &ScheduleRow) -> AnyView {
    let body = view! { <p>{format!("Nothing will start by {} any more. Its runs, their snapshots and its ledger stay.", s.name)}</p>
    <p class="soft">"If the configuration file still has it, the next apply makes it again."</p> };
    let button = view! { <form method="post" action=RemoveSchedule::url()><input type="hidden" name="name" value=s.name.clone()/><input type="hidden" name="version" value=ops::schedules::version(s)/><button class="btn btn--danger">"Remove the schedule"</button></form> };
    dialog("remove", &format!("Remove {}?", s.name), "Keep it", body.into_any(), button.into_any())
}

/// How it has instances snapshotted.
fn native(s: &ScheduleRow) -> Option<SnapshotParams> {
    ops::schedules::draft_of(s).ok().and_then(|d| d.snapshot)
}

/// The parameters by CERN's names, each instance with the way to it.
fn rows(p: &SnapshotParams, s: &ScheduleRow) -> AnyView {
    let link = s.service_name.as_deref().zip(s.source_name.as_deref()).filter(|_| !p.instance.is_empty());
    let instance = match link {
        Some((service, source)) => view! { <a class="mono brk" href=instance_place(service, source, &p.instance)>{p.instance.clone()}</a> }.into_any(),
        None => "each that the source lists".into_any(),
    };
    let yes = |on: bool| if on { "yes" } else { "no" };
    let mails = |all: &[String]| if all.is_empty() { "no mail".to_owned() } else { all.join(", ") };
    view! {
        <dt>"instance"</dt><dd>{instance}</dd>
        <dt>"pattern"</dt><dd class="mono brk">{p.pattern.clone()}</dd>
        <dt>"max_snapshots"</dt><dd>{if p.max_snapshots == 0 { "0: all are kept".to_owned() } else { p.max_snapshots.to_string() }}</dd>
        <dt>"instance_stop"</dt><dd>{yes(p.instance_stop)}</dd>
        <dt>"wait"</dt><dd>{yes(p.wait)}</dd>
        <dt>"to_addr_success"</dt><dd class="brk">{mails(&p.to_addr_success)}</dd>
        <dt>"to_addr_error"</dt><dd class="brk">{mails(&p.to_addr_error)}</dd>
    }
    .into_any()
}

fn rule(s: &ScheduleRow, counts: &Counts, now: Timestamp) -> AnyView {
    let words = ops::cron::Cron::parse(&s.cron).map_or_else(|_| "not understood".to_owned(), |c| format!("{}, {} time", upper(&c.words()), s.zone));
    let zone = ops::cron::zone(&s.zone).map(|z| crate::components::time::zone_name(now, &z));
    let what = match ops::schedules::draft_of(s) {
        Ok(d) if d.kind == ScheduleKind::RestoreTest => Some(("Snapshots", d.selection.words())),
        Ok(d) if d.kind == ScheduleKind::Check => Some(("Reads", if d.read_data { "all data" } else { "the structure" }.to_owned())),
        _ => None,
    };
    let asked = native(s).map(|p| rows(&p, s));
    let misfire = s.misfire().map_or_else(|_| s.misfire.clone(), |m| misfire_words(m).to_owned());
    let confirmed = s.runs_a_day.map(|n| view! { <dt>"Confirmed"</dt><dd>{format!("{n} runs a day")}</dd> });
    let busy = (counts.missed > 0).then(|| view! { <dt>"Missed"</dt><dd>{format!("{} in 30 days", counts.missed)}</dd> });
    view! {
        <div class="panel__body"><dl class="kv">
            <dt>"In words"</dt><dd>{words}</dd>
            <dt>"Expression"</dt><dd><code>{s.cron.clone()}</code></dd>
            <dt>"Zone"</dt><dd>{s.zone.clone()}{zone.map(|z| view! { <span class="sub">{format!("now {z}")}</span> })}</dd>
            {what.map(|(name, value)| view! { <dt>{name}</dt><dd>{value}</dd> })}
            {asked}
            <dt>"Jitter"</dt><dd>{if s.jitter_s > 0 { format!("up to {}", span(s.jitter_s as f64)) } else { "none".to_owned() }}</dd>
            <dt>"At most"</dt><dd>{s.max_duration_s.map_or_else(|| "no limit".to_owned(), |max| span(max as f64))}</dd>
            <dt>"If missed"</dt><dd>{misfire}</dd>
            {confirmed}{busy}
        </dl></div>
    }
    .into_any()
}

fn next(s: &ScheduleRow, now: Timestamp) -> AnyView {
    let zone = ops::cron::zone(&s.zone).unwrap_or(TimeZone::UTC);
    let times = ops::schedules::next_times(s, now, NEXT);
    let rows = times
        .iter()
        .enumerate()
        .map(|(n, at)| {
            let z = jiff::Timestamp::from_microsecond(at.0).unwrap_or_default().to_zoned(zone.clone());
            let machine = z.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
            let paused = s.is_paused(*at).then(|| view! { " "{chip(Tone::Hold, "paused")} });
            view! { <tr><th scope="row" class="num">{n + 1}</th><td><time datetime=machine>{z.strftime("%a %-d %b %Y %H:%M %Z").to_string()}</time>{paused}<span class="sub">{relative(*at, now)}</span></td></tr> }
        })
        .collect_view();
    let head = view! { <th scope="col" class="num"><span class="vh">"Number"</span></th>{th("Time", "")} };
    table("Next ten runs", "table--tight", head.into_any(), rows.into_any()).into_any()
}
