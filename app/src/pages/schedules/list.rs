//! All schedules by name: what each does, when it runs next, how its last time went.

use domain::{run::RunKind, schedule::ScheduleKind, units::Timestamp};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use ops::permission::{Action, On, allowed};
use store::{
    schedules::{Filter, ScheduleRow},
    ticks::LastTick,
};

use super::ticks::tick_chip;
use crate::{
    components::{
        address::with_query,
        empty,
        pager::pager,
        run::kind_words,
        status::{Tone, chip},
        table::{table, th},
        time::{moment_with_age, relative, short},
    },
    context::{app, ctx, visitor},
    error::upper,
    frame::{Nav, Page, page},
};

const ON_A_PAGE: i64 = 50;

/// `/schedules?kind=&service=&after=`.
#[component]
pub fn Schedules() -> impl IntoView {
    let (ctx, shared, who, query) = (ctx(), app(), visitor(), use_query_map().get_untracked());
    page(async move {
        let text = |name: &str| query.get(name).unwrap_or_default().trim().to_owned();
        let (kind, service, after) = (ScheduleKind::parse(&text("kind")), text("service"), text("after"));
        let filter = Filter { kind, service: service.clone() };
        let mut rows = ops::schedules::list(&ctx, &filter, &after, ON_A_PAGE + 1).await?;
        let more = rows.len() as i64 > ON_A_PAGE;
        rows.truncate(ON_A_PAGE as usize);
        let last = ops::schedules::last_ticks(&ctx, &rows).await?;
        let now = ctx.now();
        let filtered = kind.is_some() || !service.is_empty();
        let here = |after: &str| with_query("/schedules", &[("kind", kind.map_or("", ScheduleKind::as_str)), ("service", &service), ("after", after)]);
        let next = rows.last().filter(|_| more).map(|r| (format!("After {}", r.name), here(&r.name)));
        let pages = pager((!after.is_empty()).then(|| ("First", here(""))), next.as_ref().map(|(words, href)| (words.as_str(), href.clone())));
        let may = allowed(&who.actor, Action::Configure, On::All);
        let list = if rows.is_empty() { nothing(filtered, may) } else { listed(&rows, &last, now, &shared.zone) };
        let new = may.then(|| view! { <a class="btn btn--primary" href="/schedules/new">"New schedule"</a> });
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Schedules"</h1>
                <p class="page__lede">"What is done again and again, and when. What each expected, and what came of it, stands in the "<a href="/ledger">"ledger"</a>"."</p></div>
                <div class="row"><a class="btn" href="/ledger">"Ledger"</a>{new}</div></div>
            <div class="stack"><section class="panel" aria-label="Schedules">
                <form class="filters" method="get" action="/schedules" aria-label="Filter the schedules">
                    <div class="field"><label for="f-kind">"Kind"</label><select class="select input--sm" id="f-kind" name="kind">
                        <option value="">"All kinds"</option>
                        {ScheduleKind::ALL.iter().map(|k| view! { <option value=k.as_str() selected=Some(*k) == kind>{upper(kind_words(k.run_kind()))}</option> }).collect_view()}
                    </select></div>
                    <div class="field"><label for="f-service">"Service"</label><input class="input input--sm" id="f-service" name="service" type="search" placeholder="Its name" value=service.clone()/></div>
                    <button class="btn btn--sm">"Apply"</button>
                    {filtered.then(|| view! { <a class="btn btn--sm btn--quiet" href="/schedules">"Clear"</a> })}
                </form>
                {list}{pages}
            </section></div>
        };
        Ok(Page { title: "Schedules".to_owned(), nav: Nav::Schedules, crumbs: vec![("Home".to_owned(), "/".to_owned())], body: body.into_any() })
    })
}

fn nothing(filtered: bool, may: bool) -> AnyView {
    if filtered {
        let clear = view! { <a class="btn" href="/schedules">"Show all schedules"</a> }.into_any();
        return empty("No schedule like that", "No schedule has this kind and service.".into_any(), Some(clear)).into_any();
    }
    let why = view! { "Nothing runs by itself. Make a schedule here, or describe it in the configuration under "<code>"schedules:"</code>"." };
    empty("No schedules yet", why.into_any(), may.then(|| view! { <a class="btn" href="/schedules/new">"Make one"</a> }.into_any())).into_any()
}

/// The table of some schedules, each with its newest row of the ledger.
pub fn listed(rows: &[ScheduleRow], last: &[Option<LastTick>], now: Timestamp, zone: &TimeZone) -> AnyView {
    let body = rows
        .iter()
        .zip(last)
        .map(|(s, last)| {
            let words = ops::cron::Cron::parse(&s.cron).map_or_else(|_| s.cron.clone(), |c| upper(&c.words()));
            let (kind, of) = match ops::schedules::draft_of(s).ok().and_then(|d| d.snapshot) {
                Some(p) if !p.instance.is_empty() => (kind_words(RunKind::InstanceSnapshot).to_owned(), format!("{}: {}", s.of(), p.instance)),
                Some(_) => (kind_words(RunKind::InstanceSnapshot).to_owned(), s.of()),
                None => (s.kind().map_or(s.kind.clone(), |k| kind_words(k.run_kind()).to_owned()), s.of()),
            };
            let next = if s.is_paused(now) {
                let until = s.paused_until.map(|u| view! { <span class="sub">{format!("until {}", short(Timestamp(u), now, zone))}</span> });
                view! { {chip(Tone::Hold, "paused")}{until} }.into_any()
            } else {
                moment_with_age(Timestamp(s.next_run_at), now, zone).into_any()
            };
            let last = last.as_ref().map_or_else(
                || view! { <span class="muted">"not due yet"</span> }.into_any(),
                |t| view! { {tick_chip(&t.state, t.reason.as_deref())}<span class="sub">{relative(Timestamp(t.due_at), now)}</span> }.into_any(),
            );
            view! {
                <tr><th scope="row"><a class="rowlink" href=format!("/schedules/{}", s.name)>{s.name.clone()}</a><span class="sub">{words}</span></th>
                    <td class="col-md">{upper(&kind)}<span class="sub">{of}</span></td>
                    <td class="nowrap">{next}</td><td>{last}</td><td class="col-lo nowrap"><code>{s.cron.clone()}</code><span class="sub">{s.zone.clone()}</span></td></tr>
            }
        })
        .collect_view();
    let head = view! { {th("Schedule", "")}{th("Starts", "col-md")}{th("Next run", "")}{th("Last time", "")}{th("Expression", "col-lo")} };
    table("Schedules", "", head.into_any(), body.into_any()).into_any()
}
