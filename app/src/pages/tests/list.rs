//! All restore tests: who can be brought back, week by week, and the newest results.

use std::collections::HashMap;

use domain::{
    evidence::{EvidenceLevel, Verdict},
    id::{RestoreTestId, ServiceId},
    run::RunKind,
    standing::PROOF_LASTS_S,
    units::{Timestamp, count, span},
};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::{hooks::use_query_map, params::ParamsMap};
use ops::{
    Ctx, OpsError,
    overview::{Overview, Standing},
    permission::{Action, On, allowed},
};
use store::restore_tests::{Filter, RestoreTestRow, TestPoint};
use uuid::Uuid;

use super::{
    grid::{WEEKS, Weeks, grid, legend},
    trend::trend,
};
use crate::{
    components::{
        address::with_query,
        dialog::dialog,
        empty,
        evidence::ladder,
        gauge, icon,
        pager::{key, pager, parse_key},
        panel,
        service_field::service_names,
        status::chip,
        table::{table, th},
        test::verdict_chip,
        time::{moment_with_age, short},
    },
    context::{AppContext, app, ctx},
    error::{AppError, form_error},
    frame::{Nav, Page, page},
    pages::services::act::{TestRestore, refused},
};

const SERVICES: usize = 40;
const TESTS: i64 = 25;

/// How a service stands by its newest test, as a filter names it.
const STANDINGS: [(&str, &str); 4] =
    [("recoverable", "Recoverable"), ("failing", "Newest did not pass"), ("old", "Older than 90 days"), ("never", "Never tested")];

fn stands(s: &Standing, how: &str, now: Timestamp) -> bool {
    let old = s.facts.last_test.is_some_and(|t| now.secs_since(t.at) > PROOF_LASTS_S as f64);
    match how {
        "recoverable" => s.recoverable,
        "failing" => s.facts.last_test.is_some() && !old && !s.recoverable,
        "old" => old,
        "never" => s.facts.last_test.is_none(),
        _ => true,
    }
}

/// `/tests?q=&standing=&after=&service=&verdict=&definition=&from=&to=&before=`.
#[component]
pub fn Tests() -> impl IntoView {
    let (ctx, shared, query) = (ctx(), app(), use_query_map().get_untracked());
    let error = form_error();
    page(async move {
        let overview = shared.overview.get(&ctx, &shared.zone).await?;
        let crumbs = vec![("Home".to_owned(), "/".to_owned())];
        let body = body(&ctx, &shared, &overview, &query, error).await?;
        Ok(Page { title: "Restore tests".to_owned(), nav: Nav::Tests, crumbs, body })
    })
}

async fn body(ctx: &Ctx, shared: &AppContext, overview: &Overview, query: &ParamsMap, error: Option<AppError>) -> Result<AnyView, OpsError> {
    let text = |name: &str| query.get(name).unwrap_or_default().trim().to_owned();
    let may = allowed(&ctx.actor, Action::Operate, On::Any);
    let service = text("service");
    let chosen = if service.is_empty() {
        None
    } else {
        Some(overview.services.iter().find(|s| s.row.name == service).ok_or_else(|| OpsError::not_found("service", &service))?)
    };
    let weeks = Weeks::before(ctx.now(), &shared.zone);
    let done = ops::restore_tests::count_since(ctx, weeks.since()).await?;
    let start = (may && !overview.services.is_empty()).then(|| view! { <a class="btn btn--primary" href="#start-test">"Start a restore test"</a> });
    let start = view! { <div class="row"><a class="btn" href="/tests/exercises">"Exercises by people"</a>{start}</div> };
    let detail = match chosen {
        Some(s) => Some(one_service(ctx, shared, s, may).await?),
        None => None,
    };
    let by_weeks = by_weeks(ctx, overview, &weeks, &text("q"), &text("standing"), &text("after"), done).await?;
    let newest = newest(ctx, shared, overview, chosen, &History::read(query, &shared.zone), &text("before")).await?;
    Ok(view! {
        <div class="page__head"><div><h1 class="page__title">"Restore tests"</h1>
            <p class="page__lede">"Data is restored beside, instances are cloned; all is checked, timed and taken away. Only a test can raise the evidence level; nobody can raise it by hand."</p></div>
            {start}</div>
        {error.map(|e| refused(&e))}
        <div class="stack">
            {meters(overview, ctx.now())}
            {by_weeks}{detail}{newest}
        </div>
        {may.then(|| start_dialog(overview, chosen))}
    }
    .into_any())
}

fn meters(o: &Overview, now: Timestamp) -> AnyView {
    let of = |how: &str| o.services.iter().filter(|s| stands(s, how, now)).count();
    let total = o.services.len();
    let meter = |how: &str, name: &'static str, note: Option<String>| {
        let n = of(how);
        let note = note.unwrap_or_else(|| plural(n as i64, "service"));
        let href = with_query("/tests", &[("standing", how)]);
        view! { <div><dt>{name}</dt><dd class="readout readout--md">{n}" "<small>{note}</small></dd><dd class="sm"><a href=href>"Show them"</a></dd></div> }
            .into_any()
    };
    view! {
        <dl class="meters">
            {meter("recoverable", "Recoverable, proven within 90 d", Some(format!("of {total} {}", plural(total as i64, "service"))))}
            {meter("failing", "Newest test did not pass", None)}
            {meter("old", "Newest test older than 90 d", None)}
            {meter("never", "Never tested", None)}
        </dl>
    }
    .into_any()
}

async fn by_weeks(ctx: &Ctx, o: &Overview, weeks: &Weeks, q: &str, standing: &str, after: &str, done: i64) -> Result<AnyView, OpsError> {
    let now = ctx.now();
    let wanted = q.to_lowercase();
    let mut found: Vec<&Standing> = o
        .services
        .iter()
        .filter(|s| {
            stands(s, standing, now) && (wanted.is_empty() || s.row.name.to_lowercase().contains(&wanted) || s.row.title.to_lowercase().contains(&wanted))
        })
        .collect();
    found.sort_by(|a, b| a.row.name.cmp(&b.row.name));
    let total = found.len();
    let mut shown: Vec<&Standing> = found.into_iter().filter(|s| s.row.name.as_str() > after).collect();
    let more = shown.len() > SERVICES;
    shown.truncate(SERVICES);
    let ids: Vec<ServiceId> = shown.iter().map(|s| s.row.id()).collect();
    let tests = ops::restore_tests::grid(ctx, &ids, weeks.since()).await?;
    let running = ops::runs::live(ctx, 200).await?;
    let live: HashMap<Uuid, Uuid> =
        running.iter().filter(|r| r.run.kind == RunKind::RestoreTest.as_str()).filter_map(|r| Some((r.run.service_id?, r.run.id))).collect();
    let here = |after: &str| with_query("/tests", &[("q", q), ("standing", standing), ("after", after)]);
    let next = shown.last().filter(|_| more).map(|s| ("More services", here(&s.row.name)));
    let pages = pager((!after.is_empty()).then(|| ("First", here(""))), next);
    let filtered = !q.is_empty() || !standing.is_empty();
    let content = if o.services.is_empty() {
        empty("No services yet", view! { "Describe your services in a file and apply it: "<code>"holdfast apply FILE.yaml"</code> }.into_any(), None).into_any()
    } else if shown.is_empty() {
        empty(
            "No service like that",
            "No service has this name and stands like this.".into_any(),
            Some(view! { <a class="btn" href="/tests">"Show all"</a> }.into_any()),
        )
        .into_any()
    } else {
        view! { {grid(&shown, &tests, weeks, &live, now)}{pages} }.into_any()
    };
    let body = view! {
        <form class="filters" method="get" action="/tests" aria-label="Filter the services">
            <div class="field"><label for="f-q">"Service"</label><input class="input input--sm" id="f-q" name="q" type="search" value=q.to_owned()/></div>
            <div class="field"><label for="f-standing">"By its newest test"</label><select class="select input--sm" id="f-standing" name="standing">
                <option value="">"All"</option>
                {STANDINGS.map(|(value, word)| view! { <option value=value selected=value == standing>{word}</option> }).collect_view()}
            </select></div>
            <button class="btn btn--sm">"Apply"</button>
            {filtered.then(|| view! { <a class="btn btn--sm btn--quiet" href="/tests">"Clear"</a> })}
        </form>
        {content}
    };
    let note =
        format!("{} · {} {} · {} {} in {WEEKS} weeks", weeks.words(), count(total as i64), plural(total as i64, "service"), count(done), plural(done, "test"));
    Ok(panel("weeks", "Services by weeks", Some(note), Some(legend()), body.into_any()).into_any())
}

/// The trend of one service, or that it was never tested.
async fn one_service(ctx: &Ctx, shared: &AppContext, s: &Standing, may: bool) -> Result<AnyView, OpsError> {
    const TREND: i64 = 26;
    let now = ctx.now();
    let points: Vec<TestPoint> = ops::restore_tests::since(ctx, s.row.id(), Timestamp(0), TREND).await?;
    let Some(newest) = points.first() else {
        let start = may.then(|| view! { <a class="btn" href="#start-test">"Start a restore test"</a> }.into_any());
        let why = format!("{} copies may exist, but none was ever restored, so nothing is known about the time it takes or whether it works.", s.row.title);
        let body = empty(&format!("{} has never been restored", s.row.title), why.into_any(), start);
        return Ok(panel("service", &format!("{}, no test yet", s.row.title), None, None, body.into_any()).into_any());
    };
    let target = newest.rto_target_s.map(|t| t as f64);
    let words = gauge::words(newest.rto_s, target);
    let open = view! { <div class="row">{verdict_chip(Verdict::parse(&newest.verdict))}<a class="btn btn--sm" href=format!("/tests/{}", newest.id)>"Open the report"</a><a class="btn btn--sm" href=format!("/services/{}", s.row.name)>"Open the service"</a></div> };
    let body = view! {
        <div class="panel__body"><div class="grid grid--aside">
            <div>{trend(&points, now, &shared.zone)}</div>
            <dl class="meters"><div>
                <dt>"Newest RTO"<span class="muted">{newest.rto_target_s.map(|t| format!("target {}", span(t as f64)))}</span></dt>
                <dd class="readout readout--md">{newest.rto_s.map_or_else(|| "–".to_owned(), span)}</dd>
                <dd>{gauge::gauge(newest.rto_s, target)}</dd>
                <dd>{chip(gauge::tone(newest.rto_s, target), words)}</dd>
            </div></dl>
        </div></div>
    };
    let note = format!("RTO of the last {} tests, newest {}", points.len(), short(Timestamp(newest.started_at), now, &shared.zone));
    Ok(panel("service", &s.row.title, Some(note), Some(open.into_any()), body.into_any()).into_any())
}

/// What of the history is shown, as the form has it.
#[derive(Default)]
struct History {
    verdict: String,
    definition: String,
    from: String,
    to: String,
    filter: Filter,
}

impl History {
    /// Days are those of the zone of the pages; what is no day is no limit.
    fn read(query: &ParamsMap, zone: &jiff::tz::TimeZone) -> Self {
        let text = |name: &str| query.get(name).unwrap_or_default().trim().to_owned();
        let (verdict, definition, from, to) = (text("verdict"), text("definition"), text("from"), text("to"));
        let start = |day: Option<jiff::civil::Date>| {
            let at = day?.to_zoned(zone.clone()).ok()?;
            Some(Timestamp(at.timestamp().as_microsecond()))
        };
        let day = |text: &str| text.parse::<jiff::civil::Date>().ok();
        let all = Filter::default();
        let filter = Filter {
            service: None,
            verdict: Verdict::parse(&verdict),
            definition: definition.clone(),
            from: start(day(&from)).unwrap_or(all.from),
            before: start(day(&to).and_then(|d| d.tomorrow().ok())).unwrap_or(all.before),
        };
        Self { verdict, definition, from, to, filter }
    }

    fn pairs(&self) -> [(&'static str, &str); 4] {
        [("verdict", &self.verdict), ("definition", &self.definition), ("from", &self.from), ("to", &self.to)]
    }

    fn is_all(&self) -> bool {
        self.pairs().iter().all(|(_, v)| v.is_empty())
    }

    fn form(&self, o: &Overview, service: &str) -> AnyView {
        let verdicts = [("", "All"), ("passed", "Passed"), ("failed", "Failed"), ("unknown", "Could not check")];
        let options = verdicts.map(|(value, word)| view! { <option value=value selected=value == self.verdict>{word}</option> }).collect_view();
        view! {
            <form class="filters" method="get" action="/tests#list" aria-label="Filter the history">
                <div class="field"><label for="h-service">"Service"</label><input class="input input--sm" id="h-service" name="service" list="h-services" autocomplete="off" value=service.to_owned()/>{service_names(o, "h-services")}</div>
                <div class="field"><label for="h-verdict">"Verdict"</label><select class="select input--sm" id="h-verdict" name="verdict">{options}</select></div>
                <div class="field"><label for="h-definition">"Definition"</label><input class="input input--sm" id="h-definition" name="definition" autocomplete="off" value=self.definition.clone() aria-describedby="h-definition-hint"/>
                    <span class="vh" id="h-definition-hint">"A name; “-” is the built-in one"</span></div>
                <div class="field"><label for="h-from">"From"</label><input class="input input--sm" id="h-from" name="from" type="date" value=self.from.clone()/></div>
                <div class="field"><label for="h-to">"To"</label><input class="input input--sm" id="h-to" name="to" type="date" value=self.to.clone()/></div>
                <button class="btn btn--sm">"Apply"</button>
                {(!self.is_all() || !service.is_empty()).then(|| view! { <a class="btn btn--sm btn--quiet" href="/tests#list">"Clear"</a> })}
            </form>
        }
        .into_any()
    }
}

async fn newest(ctx: &Ctx, shared: &AppContext, o: &Overview, chosen: Option<&Standing>, history: &History, before: &str) -> Result<AnyView, OpsError> {
    let now = ctx.now();
    let from = parse_key(before).map(|(at, id)| (at, RestoreTestId(id)));
    let filter = Filter { service: chosen.map(|s| s.row.id()), ..history.filter.clone() };
    let mut list = ops::restore_tests::filtered(ctx, &filter, from, TESTS + 1).await?;
    if list.is_empty() && before.is_empty() && history.is_all() {
        return Ok(().into_any());
    }
    let more = list.len() as i64 > TESTS;
    list.truncate(TESTS as usize);
    let titles: HashMap<Uuid, (&str, &str)> = o.services.iter().map(|s| (s.row.id, (s.row.name.as_str(), s.row.title.as_str()))).collect();
    let rows = list.iter().map(|t| row(t, titles.get(&t.service_id).map(|n| n.1), now, &shared.zone)).collect_view();
    let head = view! { {th("Service", "")}{th("Started", "")}{th("Verdict", "")}{th("RTO", "num col-md")}{th("RPO", "num col-md")}{th("Items", "num col-md")}{th("Evidence", "col-md")} };
    let service = chosen.map_or("", |s| s.row.name.as_str());
    let here = |before: &str| {
        let mut pairs = vec![("service", service), ("before", before)];
        pairs.extend(history.pairs());
        format!("{}#list", with_query("/tests", &pairs))
    };
    let older =
        list.last().filter(|_| more).map(|t| (format!("Older than {}", short(Timestamp(t.started_at), now, &shared.zone)), here(&key(t.started_at, t.id))));
    let pages = pager((!before.is_empty()).then(|| ("Newest", here(""))), older.as_ref().map(|(w, h)| (w.as_str(), h.clone())));
    let title = chosen.map_or_else(|| "Newest tests".to_owned(), |s| format!("Tests of {}", s.row.title));
    let found = if list.is_empty() {
        view! { <p class="panel__body soft">"No test was like that."</p> }.into_any()
    } else {
        view! { {table(&title, "", head.into_any(), rows.into_any())}{pages} }.into_any()
    };
    let body = view! { {history.form(o, service)}{found} };
    Ok(view! { <div id="list">{panel("newest", &title, None, None, body.into_any())}</div> }.into_any())
}

fn row(t: &RestoreTestRow, title: Option<&str>, now: Timestamp, zone: &jiff::tz::TimeZone) -> AnyView {
    let target = t.rto_target_s.map(|s| s as f64);
    let rto = t.rto_s.map_or_else(|| "–".to_owned(), span);
    let against = t.rto_target_s.map(|s| view! { <span class="sub">"of "{span(s as f64)}</span> });
    let breached = gauge::tone(t.rto_s, target) == crate::components::status::Tone::Fail;
    let class = if breached { "num nowrap col-md s-fail" } else { "num nowrap col-md" };
    view! {
        <tr>
            <th scope="row"><a class="rowlink" href=format!("/tests/{}", t.id)>{title.unwrap_or("a removed service").to_owned()}</a><span class="sub">{t.definition.clone().map(|d| format!("by {d}, "))}{t.selection.clone()}</span></th>
            <td class="nowrap">{moment_with_age(Timestamp(t.started_at), now, zone)}</td>
            <td>{verdict_chip(Verdict::parse(&t.verdict))}</td>
            <td class=class>{rto}{against}</td>
            <td class="num nowrap col-md">{t.rpo_s.map_or_else(|| "–".to_owned(), |s| span(s as f64))}</td>
            <td class="num col-md">{count(t.items_restored)}</td>
            <td class="col-md">{ladder(EvidenceLevel::parse(&t.level).unwrap_or_default())}</td>
        </tr>
    }
    .into_any()
}

fn start_dialog(o: &Overview, chosen: Option<&Standing>) -> AnyView {
    let value = chosen.map_or_else(String::new, |s| s.row.name.clone());
    let choices =
        [("5", "Five items at random", true), ("25", "25 items at random", false), ("latest", "The newest snapshot", false), ("all", "Every item", false)];
    let body = view! {
        <form action=TestRestore::url() method="post" id="start-form" class="form">
            <div class="field"><label for="start-service">"Service"</label>
                <input class="input" id="start-service" name="service" list="start-services" required=true autocomplete="off" value=value/>
                {service_names(o, "start-services")}
                <p class="field__hint">"Its name, as the configuration has it."</p></div>
            <div class="field"><label for="start-sample">"What is restored"</label>
                <select class="select" id="start-sample" name="sample">{choices.map(|(v, word, on)| view! { <option value=v selected=on>{word}</option> }).collect_view()}</select></div>
        </form>
        <p class="soft">"It writes into a scratch folder of its own, clones instances away from all networks in use, and takes all away. Production is only read."</p>
    };
    let button = view! { <button class="btn btn--primary" form="start-form">{icon("i-test")}"Start"</button> };
    dialog("start-test", "Start a restore test", "Not now", body.into_any(), button.into_any())
}

fn plural(n: i64, word: &str) -> String {
    if n == 1 { word.to_owned() } else { format!("{word}s") }
}
