//! All services: promises against facts, the worst first.
//!
//! Lives here: the list with its filters. May not: judging.

use domain::{
    evidence::EvidenceLevel,
    standing::Gravity,
    units::{Timestamp, count, span},
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use ops::overview::{Overview, Standing};

use crate::{
    components::{
        address::with_query,
        empty,
        evidence::ladder,
        icon_sm,
        pager::pager,
        standing::{levels, standing_chip},
        table::{table, th},
        time::{date, moment_with_age},
    },
    context::{app, ctx},
    frame::{Nav, Page, page},
};

/// Services a page.
const PAGE: usize = 50;

const STATES: [(&str, &str); 4] = [("", "any"), ("attention", "needs attention"), ("ok", "in order"), ("none", "no data")];

/// What the address asks for.
#[derive(Clone, Debug, Default)]
struct Asked {
    q: String,
    status: String,
    evidence: String,
    /// `name`, or the worst first.
    sort: String,
    /// The name of the last service of the page before.
    after: String,
}

impl Asked {
    fn shows(&self, s: &Standing) -> bool {
        let q = self.q.to_lowercase();
        let found = |text: &str| text.to_lowercase().contains(&q);
        let state = match self.status.as_str() {
            "attention" => s.needs_attention(),
            "ok" => s.worst().is_none(),
            "none" => s.gravity() == Some(Gravity::Unknown),
            _ => true,
        };
        let level = EvidenceLevel::parse(&self.evidence).is_none_or(|at_least| s.evidence >= at_least);
        state && level && (q.is_empty() || found(&s.row.name) || found(&s.row.title) || found(&s.row.owner))
    }

    fn address(&self, after: &str) -> String {
        with_query("/services", &[("q", &self.q), ("status", &self.status), ("evidence", &self.evidence), ("sort", &self.sort), ("after", after)])
    }
}

#[component]
pub fn Services() -> impl IntoView {
    let (ctx, shared, query) = (ctx(), app(), use_query_map().get_untracked());
    page(async move {
        let get = |name: &str| query.get(name).unwrap_or_default();
        let asked = Asked { q: get("q").trim().to_owned(), status: get("status"), evidence: get("evidence"), sort: get("sort"), after: get("after") };
        let o = shared.overview.get(&ctx, &shared.zone).await?;
        let mut found: Vec<&Standing> = o.services.iter().filter(|s| asked.shows(s)).collect();
        if asked.sort == "name" {
            found.sort_by(|a, b| a.row.name.cmp(&b.row.name));
        }
        let matching = found.len();
        let from = found.iter().position(|s| s.row.name == asked.after).map_or(0, |i| i + 1);
        let shown: Vec<&Standing> = found.into_iter().skip(from).take(PAGE).collect();
        let now = ctx.now();
        let rows = shown.iter().map(|s| row(s, now, &shared.zone)).collect_view();
        let head = view! {
            {th("Service", "")}{th("Now", "")}{th("RPO", "num col-md")}{th("RTO", "num col-md")}{th("MTPoD", "num col-lo")}
            {th("Newest snapshot", "col-md")}{th("Covered", "num col-md")}{th("Best evidence", "col-md")}{th("Last restore test", "")}
        };
        let content = if o.services.is_empty() {
            empty("No services yet", view! { "Describe your services in a file and apply it: "<code>"holdfast apply FILE.yaml"</code> }.into_any(), None)
                .into_any()
        } else if shown.is_empty() {
            let clear = view! { <a class="btn" href="/services">"Show all services"</a> };
            empty("No service matches", view! { "Ask for less, or look at all of them." }.into_any(), Some(clear.into_any())).into_any()
        } else {
            let name = if asked.sort == "name" { "Services by name" } else { "Services, worst first" };
            table(name, "", head.into_any(), rows.into_any()).into_any()
        };
        let first = (from > 0).then(|| asked.address(""));
        let next = (from + shown.len() < matching).then(|| shown.last().map(|s| asked.address(&s.row.name))).flatten();
        let place = format!("{} to {} of {}", count((from + 1).min(matching) as i64), count((from + shown.len()) as i64), count(matching as i64));
        let body = view! {
            <div class="page__head"><div><h1 class="page__title">"Services"</h1>
                <p class="page__lede">"What the organisation relies on, worst first. Each has an owner and three promises: RPO, RTO and MTPoD."</p></div></div>
            <div class="stack"><section class="panel" aria-label="Services">
                {filters(&asked)}
                <div class="panel__foot" role="status">{summary(&o)}</div>
                {content}
                {(first.is_some() || next.is_some()).then(|| view! { <div class="panel__foot">{place}</div> })}
                {pager(first.map(|href| ("First page", href)), next.map(|href| ("Next page", href)))}
            </section></div>
        };
        Ok(Page { title: "Services".to_owned(), nav: Nav::Services, crumbs: vec![("Home".to_owned(), "/".to_owned())], body: body.into_any() })
    })
}

fn filters(asked: &Asked) -> AnyView {
    let option = |value: &str, words: &str, chosen: &str| {
        view! { <option value=value.to_owned() selected=value == chosen>{words.to_owned()}</option> }
    };
    let states = STATES.iter().map(|(value, words)| option(value, words, &asked.status)).collect_view();
    let any = option("", "any", &asked.evidence);
    let level = levels().map(|(value, words)| option(value, words, &asked.evidence)).collect_view();
    let sorts = [("", "worst first"), ("name", "by name")].iter().map(|(value, words)| option(value, words, &asked.sort)).collect_view();
    view! {
        <form class="filters" method="get" action="/services" aria-label="Filter the services">
            <div class="field"><label for="f-q">"Name or owner"</label><input class="input input--sm" id="f-q" name="q" type="search" value=asked.q.clone()/></div>
            <div class="field"><label for="f-s">"Status"</label><select class="select input--sm" id="f-s" name="status">{states}</select></div>
            <div class="field"><label for="f-e">"Evidence at least"</label><select class="select input--sm" id="f-e" name="evidence">{any}{level}</select></div>
            <div class="field"><label for="f-o">"Order"</label><select class="select input--sm" id="f-o" name="sort">{sorts}</select></div>
            <button class="btn btn--sm">"Apply"</button><a class="btn btn--quiet btn--sm" href="/services">"Clear"</a>
        </form>
    }
    .into_any()
}

fn summary(o: &Overview) -> String {
    let of = o.services.len();
    let (attention, unknown, good) = (o.services_needing_attention(), o.count(Some(Gravity::Unknown)), o.count(None));
    format!(
        "{of} {} · {attention} need attention · {good} in order · {unknown} without data. Coverage {} of {} items; recoverable {} of {of} services.",
        if of == 1 { "service" } else { "services" },
        count(o.covered),
        count(o.items),
        o.recoverable,
    )
}

fn row(s: &Standing, now: Timestamp, zone: &jiff::tz::TimeZone) -> AnyView {
    let promise = |s: Option<i64>| s.map_or_else(|| "–".to_owned(), |s| span(s as f64));
    let newest = s.row.last_snapshot_at.map(|at| moment_with_age(Timestamp(at), now, zone).into_any());
    let test = match (s.facts.last_test, s.row.last_test_id) {
        (Some(t), Some(id)) => {
            let (symbol, class, words) = match t.verdict {
                domain::evidence::Verdict::Passed => ("i-ok", "s-ok", "passed"),
                domain::evidence::Verdict::Failed => ("i-fail", "s-fail", "failed"),
                domain::evidence::Verdict::Unknown => ("i-unknown", "s-none", "could not check"),
            };
            view! { <span class="nowrap">{icon_sm(symbol, class)}" "<a href=format!("/tests/{id}")>{date(t.at, zone)}</a></span><span class="sub">{words}</span> }.into_any()
        }
        _ => view! { <span class="nowrap">{icon_sm("i-none", "s-none")}" never"</span> }.into_any(),
    };
    view! {
        <tr>
            <th scope="row"><a class="rowlink" href=format!("/services/{}", s.row.name)>{s.row.title.clone()}</a><span class="sub">{s.row.owner.clone()}</span></th>
            <td>{standing_chip(s.worst())}</td>
            <td class="num col-md">{promise(s.row.rpo_s)}</td><td class="num col-md">{promise(s.row.rto_s)}</td><td class="num col-lo">{promise(s.row.mtpod_s)}</td>
            <td class="col-md">{newest.unwrap_or_else(|| "no data".into_any())}</td>
            <td class="num col-md">{format!("{} of {}", count(s.covered), count(s.facts.items))}</td>
            <td class="col-md">{ladder(s.evidence)}</td><td>{test}</td>
        </tr>
    }
    .into_any()
}
