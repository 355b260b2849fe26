//! The restore tests of one service, the newest first, and a form to start one.
//!
//! Lives here: the Tests tab. May not: judging a test.

use domain::{
    evidence::{EvidenceLevel, Verdict},
    id::RestoreTestId,
    units::{Timestamp, count, span},
};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::{use_params_map, use_query_map};
use ops::permission::{Action, On, allowed};
use store::restore_tests::RestoreTestRow;

use super::{
    act::TestRestore,
    definitions,
    head::{Tab, service_page},
};
use crate::{
    components::{
        empty,
        evidence::ladder,
        gauge,
        pager::{key, pager, parse_key},
        panel,
        status::{Tone, chip, chip_with},
        table::{table, th},
        time::{moment, relative},
    },
    context::{app, ctx, visitor},
    error::form_error,
    frame::page,
};

const PAGE: usize = 30;

#[component]
pub fn ServiceTests() -> impl IntoView {
    let (ctx, shared, who, error) = (ctx(), app(), visitor(), form_error());
    let (params, query) = (use_params_map().get_untracked(), use_query_map().get_untracked());
    page(async move {
        let row = ops::services::find(&ctx, &params.get("name").unwrap_or_default()).await?;
        let before = query.get("before").as_deref().and_then(parse_key).map(|(at, id)| (at, RestoreTestId(id)));
        let mut list = ops::restore_tests::list(&ctx, Some(row.id()), before, PAGE as i64 + 1).await?;
        let more = list.len() > PAGE;
        list.truncate(PAGE);
        let now = ctx.now();
        let on_hold = ops::holds::undecided(&ctx, row.id()).await?;
        let s = ops::overview::judge(row, on_hold, now);
        let base = format!("/services/{}/tests", s.row.name);
        let history = if list.is_empty() {
            let why = view! { "Copies exist when they were written; only a restore proves that they can be brought back, and how long that takes." };
            empty("Never restored", why.into_any(), None).into_any()
        } else {
            let next = list.last().filter(|_| more).map(|l| format!("{base}?before={}", key(l.started_at, l.id)));
            let rows = list.iter().map(|t| test_row(t, now, &shared.zone)).collect_view();
            let head = view! {
                {th("Test", "")}{th("Verdict", "")}{th("RTO measured", "num")}{th("RPO measured", "num col-md")}{th("Restored", "num col-md")}{th("Evidence", "col-md")}
            };
            view! {
                {table("Restore tests of this service, the newest first", "", head.into_any(), rows.into_any())}
                {pager(before.map(|_| ("Newest", base.clone())), next.map(|href| ("Older", href)))}
            }
            .into_any()
        };
        let may = allowed(&who.actor, Action::Operate, On::Service(s.row.id()));
        let start = may.then(|| start_form(&s.row.name));
        let definitions = definitions::list(&s.row.name, &ops::test_definitions::list(&ctx, &s.row.name).await?, may);
        let content = view! {
            <div class="grid grid--aside"><div class="stack"><section class="panel" aria-label="Restore tests">{history}</section>{definitions}</div>{start}</div>
        };
        Ok(service_page(&s, Tab::Tests, &who, (now, &shared.zone), error.as_ref(), content.into_any()))
    })
}

fn start_form(service: &str) -> AnyView {
    let choice = |value: &'static str, title: &'static str, words: &'static str, checked: bool| {
        view! { <label class="choice"><input type="radio" name="sample" value=value checked=checked/><b>{title}</b><span>{words}</span></label> }
    };
    let body = view! {
        <form class="panel__body form" method="post" action=TestRestore::url()>
            <input type="hidden" name="service" value=service.to_owned()/>
            <fieldset class="choices"><legend class="field__label">"What is restored"</legend>
                {choice("5", "Five items at random", "a quick proof, for every week", true)}
                {choice("latest", "The newest snapshot", "the smallest proof", false)}
                {choice("all", "Everything", "the time that a real loss would take", false)}
            </fieldset>
            <p class="sm soft">"Folders are restored beside and compared byte by byte; instances are cloned, away from all networks in use. All is timed, and removed again. Nothing in production is touched."</p>
            <button class="btn btn--block">"Start this restore test"</button>
        </form>
    };
    panel("start", "Test a restore", Some("by the built-in definition".to_owned()), None, body.into_any()).into_any()
}

fn test_row(t: &RestoreTestRow, now: Timestamp, zone: &jiff::tz::TimeZone) -> AnyView {
    let verdict = match Verdict::parse(&t.verdict) {
        Some(Verdict::Passed) => chip(Tone::Ok, "passed"),
        Some(Verdict::Failed) => chip(Tone::Fail, "failed"),
        _ => chip_with(Tone::None, "i-unknown", "could not check"),
    };
    let measured = |value: Option<f64>, target: Option<i64>| {
        value.map_or_else(
            || view! { "–" }.into_any(),
            |v| view! { {span(v)}<span class="sub">{gauge::words(Some(v), target.map(|t| t as f64))}</span> }.into_any(),
        )
    };
    view! {
        <tr><th scope="row"><a class="rowlink" href=format!("/tests/{}", t.id)>{moment(Timestamp(t.started_at), now, zone)}</a><span class="sub">{t.definition.clone().map(|d| format!("by {d}, "))}{t.selection.clone()}", "{relative(Timestamp(t.started_at), now)}</span></th><td>{verdict}</td>
            <td class="num">{measured(t.rto_s, t.rto_target_s)}</td><td class="num col-md">{measured(t.rpo_s.map(|s| s as f64), t.rpo_target_s)}</td>
            <td class="num col-md">{format!("{} of {}", count(t.items_restored), count(t.items_restored + t.items_skipped + t.items_failed))}</td>
            <td class="col-md">{ladder(EvidenceLevel::parse(&t.level).unwrap_or_default())}</td></tr>
    }
    .into_any()
}
