//! The report of one restore test, made to be printed: verdict, times against promises, checks, teardown.

use domain::{
    evidence::{CheckOutcome, EvidenceLevel, Verdict},
    id::RestoreTestId,
    standing::PROOF_LASTS_S,
    units::{Timestamp, count, size, span},
};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_params_map;
use ops::{
    Ctx, OpsError,
    evidence::Record,
    permission::{Action, On, allowed},
    runs::About,
};
use store::{
    restore_tests::{RestoreTestRow, TestedSnapshot},
    runs::RunRow,
    steps::StepRow,
};

use super::measured;
use crate::{
    components::{
        address::with_query,
        evidence::ladder,
        gauge, icon, icon_sm, panel,
        status::{Tone, chip, chip_with},
        table::{table, th},
        test::{check_name, verdict_chip, verdict_sign},
        time::{full, moment, relative},
    },
    context::{AppContext, app, ctx},
    error::{AppError, form_error},
    frame::{Nav, Page, page},
    islands::print::Print,
    live,
    pages::{
        evidence::signature::signature,
        services::act::{RerunTest, refused},
    },
};

struct Loaded {
    test: RestoreTestRow,
    run: RunRow,
    about: About,
    steps: Vec<StepRow>,
    record: Record,
    now: Timestamp,
    shared: AppContext,
    may_start: bool,
    error: Option<AppError>,
}

/// `/tests/:id`.
#[component]
pub fn Report() -> impl IntoView {
    let (ctx, shared, error) = (ctx(), app(), form_error());
    let id = use_params_map().get_untracked().get("id").unwrap_or_default();
    page(async move {
        let id: RestoreTestId = id.parse().map_err(|_| OpsError::not_found("restore test", &id))?;
        let l = Loaded { error, ..load(&ctx, shared, id).await? };
        let title = format!("Restore test of {}", service(&l));
        let crumbs = vec![("Home".to_owned(), "/".to_owned()), ("Restore tests".to_owned(), "/tests".to_owned())];
        Ok(Page { title, nav: Nav::Tests, crumbs, body: body(&l) })
    })
}

async fn load(ctx: &Ctx, shared: AppContext, id: RestoreTestId) -> Result<Loaded, OpsError> {
    let test = ops::restore_tests::find(ctx, id).await?;
    let run = ops::runs::find(ctx, domain::id::RunId(test.run_id)).await?;
    let record = ops::evidence::of_test(ctx, id).await?;
    let about = ops::runs::about(ctx, &run).await?;
    let there = about.service.as_ref().filter(|s| s.removed_at.is_none());
    let may_start = there.is_some_and(|s| allowed(&ctx.actor, Action::Operate, On::Service(s.id())));
    Ok(Loaded { record, about, steps: ops::runs::steps(ctx, run.id()).await?, now: ctx.now(), shared, may_start, error: None, test, run })
}

fn service(l: &Loaded) -> String {
    l.about.service.as_ref().map_or_else(|| "a removed service".to_owned(), |s| s.title.clone())
}

fn body(l: &Loaded) -> AnyView {
    let (t, zone) = (&l.test, &l.shared.zone);
    let started = Timestamp(t.started_at);
    let name = l.about.service.as_ref().map(|s| view! { <a href=format!("/services/{}", s.name)>{s.title.clone()}</a> });
    let history = l.about.service.as_ref().map(|s| view! { <a class="btn no-print" href=with_query("/tests", &[("service", &s.name)])>"All its tests"</a> });
    let by = t.definition.as_ref().map(|d| format!("definition {d}, "));
    let again = l.may_start.then(|| rerun(l));
    let line = view! { <div class="panel__body">{measured::line(t, zone)}</div> };
    let zone_note = format!("times {}", crate::components::time::zone_name(started, zone));
    let steps_note = format!("{} of {} done", l.steps.iter().filter(|s| matches!(s.state.as_str(), "succeeded" | "tolerated")).count(), l.steps.len());
    let run_link = view! { <a class="btn btn--sm no-print" href=format!("/runs/{}", l.run.id)>"Open the run and its log"</a> };
    view! {
        <div class="page__head"><div><h1 class="page__title">{format!("Restore test of {}", service(l))}</h1>
            <div class="page__meta">{verdict_chip(Verdict::parse(&t.verdict))}{name}
                <span><span title=full(started, zone)>{moment(started, l.now, zone)}</span>" "<span class="muted">{relative(started, l.now)}</span></span>
                <span>{by}"selection "{t.selection.clone()}</span><span>"by "{l.run.actor.clone()}</span>
                <span>"run "<a class="mono" href=format!("/runs/{}", l.run.id)>{l.run.id.simple().to_string()[20..].to_owned()}</a></span></div></div>
            <div class="row">{history}<Print/></div>
        </div>
        <div class="stack">
            {l.error.as_ref().map(refused)}
            {standing(l)}
            {meters(l)}
            {panel("measured", "What was measured", Some(zone_note), None, line.into_any())}
            <div class="grid grid--2 grid--stretch">
                {checks(&t.checks.0)}
                {panel("steps", "Steps", Some(steps_note), Some(run_link.into_any()), live::step_list(&l.run, &l.steps, l.now, false))}
            </div>
            <div class="grid grid--2 grid--stretch">
                {teardown(l)}
                {signature(&l.record, zone)}
            </div>
            {items(l)}
            {again}
            {snapshots(l)}
        </div>
    }
    .into_any()
}

/// The two ways to run it again.
fn rerun(l: &Loaded) -> AnyView {
    let one = |how: &'static str, words: &'static str, class: &'static str| {
        view! {
            <form method="post" action=RerunTest::url()><input type="hidden" name="test" value=l.test.id.to_string()/><input type="hidden" name="snapshots" value=how/>
                <button class=class>{words}</button></form>
        }
    };
    let by = match &l.test.definition {
        Some(name) => format!("By the definition {name} as it stands now or, where it is gone, as it stood then."),
        None => "By the built-in definition.".to_owned(),
    };
    let same = (!l.test.snapshots.0.is_empty()).then(|| one("same", "With the same snapshots", "btn"));
    let body = view! {
        <div class="panel__body stack stack--sm"><p class="soft">{by}" A run that passes clears the red; this result stays in the history."</p>
            <div class="row">{one("new", "With newly chosen snapshots", "btn btn--primary")}{same}</div></div>
    };
    view! { <div class="no-print">{panel("again", "Run it again", None, None, body.into_any())}</div> }.into_any()
}

/// Whether this evidence still counts.
fn standing(l: &Loaded) -> AnyView {
    let t = &l.test;
    let newer = l.about.service.as_ref().is_some_and(|s| s.last_test_id.is_some_and(|id| id != t.id) && s.last_test_at.is_some_and(|at| at > t.started_at));
    let old = l.now.secs_since(Timestamp(t.started_at)) > PROOF_LASTS_S as f64;
    let (title, text) = if newer {
        let newest = l.about.service.as_ref().and_then(|s| s.last_test_id).map(|id| view! { <a href=format!("/tests/{id}")>"The newest one"</a> });
        ("A newer test has taken its place".to_owned(), view! { "This one stays in the history. "{newest}" decides how the service stands." }.into_any())
    } else if old {
        (
            "This evidence is old".to_owned(),
            view! { {format!("A test counts for {}. This one no longer counts towards recoverability.", span(PROOF_LASTS_S as f64))} }.into_any(),
        )
    } else {
        return ().into_any();
    };
    let (class, symbol) = if newer { ("callout callout--info", "i-info") } else { ("callout callout--warn", "i-warn") };
    view! { <div class="no-print"><div class=class>{icon(symbol)}<b>{title}</b><div>{text}</div></div></div> }.into_any()
}

fn meters(l: &Loaded) -> AnyView {
    let t = &l.test;
    let (rto_target, rpo) = (t.rto_target_s.map(|s| s as f64), t.rpo_s.map(|s| s as f64));
    let rpo_target = t.rpo_target_s.map(|s| s as f64);
    let n = |v: Verdict| t.checks.0.iter().filter(|c| c.verdict == v).count();
    let (passed, failed, unknown) = (n(Verdict::Passed), n(Verdict::Failed), n(Verdict::Unknown));
    let level = EvidenceLevel::parse(&t.level).unwrap_or_default();
    let rate = t
        .rto_s
        .filter(|s| *s > 0.0 && t.items_restored > 0)
        .map(|s| format!("{} an item, {} items", span(s / t.items_restored as f64), count(t.items_restored)));
    let red = if failed > 0 { "nowrap s-fail" } else { "nowrap" };
    view! {
        <dl class="meters">
            {ruler("RTO", t.rto_s, rto_target, rate.unwrap_or_else(|| "from the start of the restore to the end of the checks".to_owned()))}
            {ruler("RPO", rpo, rpo_target, "age of the oldest tested snapshot at the start".to_owned())}
            <div><dt>"Checks"</dt><dd class="readout readout--md">{passed}" "<small>{format!("of {} passed", t.checks.0.len())}</small></dd>
                <dd class="row sm"><span class=red>{icon_sm("i-fail", "")}{format!(" {failed} failed")}</span><span class="nowrap">{icon_sm("i-unknown", "")}{format!(" {unknown} could not check")}</span></dd>
                <dd class="sm soft">"An empty list of checks can never pass."</dd></div>
            <div><dt>"Evidence level"</dt><dd class="readout readout--md">{level.words()}</dd><dd>{ladder(level)}</dd><dd class="sm soft">{held_back(level, failed, unknown)}</dd></div>
        </dl>
    }
    .into_any()
}

fn held_back(level: EvidenceLevel, failed: usize, unknown: usize) -> &'static str {
    match level {
        EvidenceLevel::None | EvidenceLevel::Exists | EvidenceLevel::Readable => "nothing was restored completely",
        EvidenceLevel::Restored if failed > 0 => "held back by what failed",
        EvidenceLevel::Restored if unknown > 0 => "held back by what could not be checked",
        EvidenceLevel::Restored => "restored, and nothing more was asserted",
        EvidenceLevel::Asserted => "not “service started”: no service was started on it",
        EvidenceLevel::Started => "a service ran on it",
    }
}

fn ruler(name: &'static str, measured: Option<f64>, target: Option<f64>, note: String) -> AnyView {
    view! {
        <div><dt>{name}<span class="muted">{target.map_or_else(|| "no target".to_owned(), |t| format!("target {}", span(t)))}</span></dt>
            <dd class="readout readout--md">{measured.map_or_else(|| "–".to_owned(), span)}</dd>
            <dd>{gauge::gauge(measured, target)}</dd>
            <dd>{chip(gauge::tone(measured, target), gauge::words(measured, target))}</dd>
            <dd class="sm soft">{note}</dd></div>
    }
    .into_any()
}

fn checks(list: &[CheckOutcome]) -> AnyView {
    let rows = list
        .iter()
        .map(|c| {
            let (tone, symbol, word) = verdict_sign(Some(c.verdict));
            let cell = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".to_owned());
            view! {
                <tr><th scope="row">{check_name(&c.name)}<span class="sub brk">{c.detail.clone()}</span></th>
                    <td class="col-md brk">{cell(&c.expected)}</td><td class="col-md brk">{cell(&c.seen)}</td><td>{chip_with(tone, symbol, word)}</td></tr>
            }
        })
        .collect_view();
    let body = if list.is_empty() {
        view! { <p class="panel__body soft">"Nothing was checked, so nothing is proven."</p> }.into_any()
    } else {
        table(
            "Checks",
            "table--tight table--top",
            view! { {th("Check", "")}{th("Expected", "col-md")}{th("Seen", "col-md")}{th("Verdict", "")} }.into_any(),
            rows.into_any(),
        )
        .into_any()
    };
    let foot = view! { <div class="panel__foot">"What could not be checked is neither passed nor failed, and keeps the test from passing."</div> };
    panel("checks", "Checks", Some(format!("{} made", list.len())), None, view! { {body}{foot} }.into_any()).into_any()
}

fn teardown(l: &Loaded) -> AnyView {
    let (d, zone) = (&l.test.teardown.0, &l.shared.zone);
    let began = (d.started_at.0 > 0).then(|| full(d.started_at, zone));
    let proof = match d.gone_at {
        Some(at) => view! { <span class="s-ok">{icon_sm("i-ok", "")}</span>" looked for and not found at "{full(at, zone)} }.into_any(),
        None => view! { <span class="s-fail">{icon_sm("i-fail", "")}</span>" not proven: something may still be there; look for it and remove it" }.into_any(),
    };
    let state = if d.gone_at.is_some() { chip(Tone::Ok, "proven") } else { chip(Tone::Fail, "not proven") };
    let scratch = if d.scratch.is_empty() { "none was made".into_any() } else { view! { <code class="path brk">{d.scratch.clone()}</code> }.into_any() };
    let body = view! {
        <div class="panel__body"><dl class="kv">
            <dt>"Scratch folder"</dt><dd>{scratch}</dd>
            <dt>"Asked"</dt><dd>{began.unwrap_or_else(|| "–".to_owned())}</dd>
            <dt>"Gone"</dt><dd>{proof}</dd>
            <dt>"Said"</dt><dd class="brk">{d.detail.clone()}</dd>
        </dl></div>
    };
    panel("teardown", "Teardown proof", None, Some(state), body.into_any()).into_any()
}

fn items(l: &Loaded) -> AnyView {
    let t = &l.test;
    let mark = |n: i64, class: &'static str| if n > 0 { class } else { "" };
    let body = view! {
        <div class="panel__body"><dl class="kv">
            <dt>"Restored"</dt><dd>{count(t.items_restored)}</dd>
            <dt>"Skipped"</dt><dd>{count(t.items_skipped)}</dd>
            <dt>"Failed"</dt><dd class=mark(t.items_failed, "s-fail")>{count(t.items_failed)}</dd>
            <dt>"Files"</dt><dd>{count(t.files)}</dd>
            <dt>"Size"</dt><dd>{size(t.bytes)}</dd>
            <dt>"Started"</dt><dd>{full(Timestamp(t.started_at), &l.shared.zone)}</dd>
            <dt>"Finished"</dt><dd>{full(Timestamp(t.finished_at), &l.shared.zone)}</dd>
        </dl></div>
    };
    panel("items", "Items", None, None, body.into_any()).into_any()
}

fn snapshots(l: &Loaded) -> AnyView {
    const SHOWN: usize = 20;
    let list = &l.test.snapshots.0;
    if list.is_empty() {
        return ().into_any();
    }
    let row = |s: &TestedSnapshot| {
        let id = s.restic_id.get(..8).unwrap_or(&s.restic_id).to_owned();
        view! { <tr><th scope="row"><span class="mono brk">{s.item.clone()}</span></th><td><a class="hash" href=format!("/snapshots/{}", s.snapshot)>{id}</a></td><td class="nowrap">{full(s.taken_at, &l.shared.zone)}</td></tr> }
    };
    let head = || view! { {th("Item", "")}{th("Snapshot", "")}{th("Taken", "")} }.into_any();
    let first = table("Snapshots used", "table--tight", head(), list.iter().take(SHOWN).map(row).collect_view().into_any());
    let rest = (list.len() > SHOWN).then(|| {
        let rows = list.iter().skip(SHOWN).take(1_000).map(row).collect_view();
        view! { <details class="more"><summary>{format!("All {} snapshots", list.len())}</summary>{table("More snapshots used", "table--tight", head(), rows.into_any())}</details> }
    });
    panel("snapshots", "Snapshots used", Some(format!("{}, pinned when the test began", list.len())), None, view! { {first}{rest} }.into_any()).into_any()
}
