//! Sections 1 to 8 of a plan, one function each, in EGI's order.
//!
//! Lives here: what each section shows. May not: the head of the page, the signatures. What is kept elsewhere (dates, months,
//! risks, findings) has its place in the section that it belongs to.

use domain::{
    availability::{Figures, Targets},
    evidence::{EvidenceLevel, Verdict},
    id::ServiceId,
    lint,
    plan::{Annex, MonthFact, PlanContent, write_span},
    units::{Timestamp, span},
};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use ops::{
    Ctx,
    lint::Report,
    permission::{Action, On, allowed},
    plans::{Plan, Version},
};

use super::signs::{nothing, text};
use crate::{
    components::{
        availability::availability_chart,
        evidence::ladder,
        icon_sm,
        status::{Tone, chip, chip_with},
        table::{table, th},
        time::{full, moment, relative},
    },
    pages::findings::parts::callouts,
};

/// Anchors and titles, in order.
pub const SECTIONS: [(&str, &str); 9] = [
    ("intro", "Introduction"),
    ("dates", "Last and next dates"),
    ("perf", "Performance"),
    ("risks", "Risk analysis"),
    ("outcome", "Outcome"),
    ("info", "Additional information"),
    ("test", "Availability and continuity test"),
    ("hist", "Revision history"),
    ("signoff", "Sign-off"),
];

/// What a section is made of.
pub struct Shown<'a> {
    pub plan: &'a Plan,
    pub version: &'a Version,
    pub annex: &'a Annex,
    /// What the linter says of this version; absent where another one is judged.
    pub report: Option<&'a Report>,
    pub ctx: &'a Ctx,
    pub now: Timestamp,
    pub zone: &'a TimeZone,
}

impl Shown<'_> {
    fn content(&self) -> &PlanContent {
        &self.version.row.content.0
    }
}

/// A section with its heading and the findings about it.
pub fn section(s: &Shown<'_>, n: usize, body: AnyView) -> AnyView {
    let (anchor, title) = SECTIONS[n - 1];
    let about: &[lint::Section] = match anchor {
        "dates" => &[lint::Section::Dates],
        "perf" => &[lint::Section::Performance],
        "risks" => &[lint::Section::Risks],
        "info" => &[lint::Section::Targets, lint::Section::Procedures, lint::Section::Contact],
        "test" => &[lint::Section::Test],
        "hist" => &[lint::Section::Revisions],
        _ => &[],
    };
    let found = s.report.map(|r| callouts(r, about, s.plan.may));
    view! { <section id=anchor><h2>{title}</h2>{found}{body}</section> }.into_any()
}

pub fn all(s: &Shown<'_>) -> AnyView {
    view! { {introduction(s)}{dates(s)}{performance(s)}{risks(s)}{outcome(s)}{additional(s)}{test(s)}{history(s)} }.into_any()
}

fn introduction(s: &Shown<'_>) -> AnyView {
    section(s, 1, text(&s.content().introduction))
}

/// Reviews, with their dates.
fn dates(s: &Shown<'_>) -> AnyView {
    if s.annex.reviews.is_empty() {
        return section(s, 2, view! { <p class="muted">"No review is recorded."</p> }.into_any());
    }
    let or_dash = |t: &Option<String>| t.clone().unwrap_or_else(|| "–".to_owned());
    let rows = s.annex.reviews.iter().map(|r| {
        view! { <tr><th scope="row">{r.title.clone()}</th><td class="nowrap">{or_dash(&r.last)}</td><td class="nowrap">{or_dash(&r.next)}</td><td>{r.state.clone()}</td></tr> }
    });
    let head = view! { {th("Item", "")}{th("Last", "")}{th("Next", "")}{th("State", "")} };
    section(s, 2, table("Last and next dates", "table--tight", head.into_any(), rows.collect_view().into_any()).into_any())
}

/// What was agreed, then what was measured by month.
fn performance(s: &Shown<'_>) -> AnyView {
    let p = &s.content().performance;
    let percent = |v: Option<f64>| v.map_or_else(|| "not agreed".to_owned(), |v| format!("{v} %"));
    let body = view! {
        <dl class="kv"><dt>"Agreed availability"</dt><dd>{percent(p.availability)}</dd><dt>"Agreed reliability"</dt><dd>{percent(p.reliability)}</dd></dl>
        <h3 class="h3">"Other requirements"</h3>{text(&p.requirements)}
        <h3 class="h3">"Probes"</h3>{text(&p.probes)}
        {months(s)}
    };
    section(s, 3, body.into_any())
}

fn months(s: &Shown<'_>) -> Option<AnyView> {
    let figure = |v: Option<f64>| v.map_or_else(|| "–".to_owned(), |v| format!("{v:.2} %"));
    let rows = s.annex.months.iter().map(|m| {
        let met = match m.met {
            Some(true) => chip(Tone::Ok, "met"),
            Some(false) => chip(Tone::Fail, "below"),
            None => chip(Tone::None, "no data"),
        };
        view! { <tr><th scope="row" class="nowrap">{m.month.clone()}</th><td class="num">{figure(m.availability)}</td><td class="num">{figure(m.reliability)}</td><td>{met}<span class="sub">{m.explanation.clone()}</span></td></tr> }
    });
    let head = view! { {th("Month", "")}{th("Availability", "num")}{th("Reliability", "num")}{th("Against the target", "")} };
    let p = &s.content().performance;
    let targets = Targets { availability: p.availability, reliability: p.reliability };
    let figures = |m: &MonthFact| Some((m.month.parse().ok()?, Figures { availability: m.availability, reliability: m.reliability }));
    let points: Vec<_> = s.annex.months.iter().filter_map(figures).collect();
    let more = format!("/services/{}/availability", crate::components::address::encode(&s.plan.service.name));
    let chart = availability_chart(&points, &targets);
    (!s.annex.months.is_empty()).then(|| {
        let table = table("Availability and reliability by month", "table--tight", head.into_any(), rows.collect_view().into_any());
        view! { <h3 class="h3">"Measured by month"</h3>{chart}{table}<p class="sm"><a href=more>"Months, their origin, and where they come from"</a></p> }
            .into_any()
    })
}

/// The risks as they stood, or stand.
fn risks(s: &Shown<'_>) -> AnyView {
    if s.annex.risks.is_empty() {
        return section(s, 4, view! { <p class="muted">"No risk is recorded."</p> }.into_any());
    }
    let rows = s.annex.risks.iter().map(|r| {
        let due = r.due.as_ref().map(|d| format!("due {d}"));
        view! {
            <tr><td class="num">{r.id}</td><th scope="row">{r.title.clone()}<span class="sub">{r.components.clone()}</span></th><td class="col-md">{r.measures.join("; ")}</td>
                <td>{format!("{} {}", r.level, r.likelihood * r.impact)}</td><td class="col-md">{r.expected_downtime.clone()}</td>
                <td>{r.treatment.clone()}<span class="sub">{r.owner.clone()}" "{due}</span></td></tr>
        }
    });
    let head = view! { {th("Id", "num")}{th("Risk", "")}{th("Established measures", "col-md")}{th("Level", "")}{th("Expected downtime", "col-md")}{th("Treatment", "")} };
    section(s, 4, table("Risks", "table--top table--tight", head.into_any(), rows.collect_view().into_any()).into_any())
}

fn outcome(s: &Shown<'_>) -> AnyView {
    section(s, 5, text(&s.content().outcome))
}

/// A promise beside what was measured.
fn promise(name: &'static str, means: &'static str, seconds: Option<i64>, measured: Option<String>) -> AnyView {
    let value = seconds.map_or_else(|| "–".to_owned(), write_span);
    let below = measured.map_or_else(
        || view! { <dd class="sm soft">{means}</dd> }.into_any(),
        |m| view! { <dd class="sm soft"><span class="muted">"measured "{icon_sm("i-link", "")}</span>" "{m}</dd> }.into_any(),
    );
    view! { <div><dt>{name}</dt><dd class="readout readout--md">{value}</dd>{below}</div> }.into_any()
}

fn additional(s: &Shown<'_>) -> AnyView {
    let c = s.content();
    let procedures = if c.procedures.is_empty() {
        nothing()
    } else {
        let all = c.procedures.iter().map(|p| {
            let link = (!p.link.is_empty()).then(|| view! { <p><a href=p.link.clone() rel="noreferrer">{p.link.clone()}</a></p> });
            let body = (!p.text.is_empty()).then(|| text(&p.text));
            view! { <li><b>{p.title.clone()}</b>{link}{body}</li> }
        });
        view! { <ol class="procedures">{all.collect_view()}</ol> }.into_any()
    };
    let test = s.annex.test.as_ref();
    let rto = test.and_then(|t| t.rto_s).map(span);
    let rpo = test.and_then(|t| t.rpo_s).map(|r| span(r as f64));
    let body = view! {
        <dl class="meters">{promise("MTPoD", "longest tolerable disruption", c.mtpod_s, None)}{promise("RTO", "time until it is back", c.rto_s, rto)}{promise("RPO", "data that may be lost", c.rpo_s, rpo)}</dl>
        <h3 class="h3">"Procedures"</h3>{procedures}
        <h3 class="h3">"Targets when invoked"</h3>{text(&c.invocation_targets)}
        <h3 class="h3">"Return to normal"</h3>{text(&c.return_to_normal)}
        <h3 class="h3">"Support unit"</h3>{text(&c.support_unit)}
        <h3 class="h3">"Contact"</h3>{text(&c.contact)}
        <h3 class="h3">"Escalation"</h3>{text(&c.escalation)}
    };
    section(s, 6, body.into_any())
}

/// What was planned and written, then the last restore test.
fn test(s: &Shown<'_>) -> AnyView {
    let t = &s.content().test;
    let steps = (!t.steps.is_empty()).then(|| {
        let all = t.steps.iter().map(|step| view! { <li>{step.clone()}</li> }).collect_view();
        view! { <h3 class="h3">"Steps"</h3><ol class="procedures">{all}</ol> }
    });
    let log = (!t.log.is_empty())
        .then(|| view! { <details class="more"><summary>"Log of the test"</summary><pre class="cmd" tabindex="0">{t.log.clone()}</pre></details> });
    let outcome = (!t.outcome.is_empty()).then(|| view! { <h3 class="h3">"Outcome of the test"</h3>{text(&t.outcome)} });
    let details = if t.details.is_empty() && t.steps.is_empty() && t.outcome.is_empty() { nothing() } else { text(&t.details) };
    section(s, 7, view! { {details}{steps}{outcome}{log}<h3 class="h3">"Last restore test "{icon_sm("i-link", "")}</h3>{measured(s)} }.into_any())
}

fn measured(s: &Shown<'_>) -> AnyView {
    let Some(t) = &s.annex.test else {
        return view! { <p class="muted">"No restore test is recorded."</p> }.into_any();
    };
    let verdict = match Verdict::parse(&t.verdict) {
        Some(Verdict::Passed) => chip(Tone::Ok, "passed"),
        Some(Verdict::Failed) => chip(Tone::Fail, "failed"),
        _ => chip_with(Tone::None, "i-unknown", "could not check"),
    };
    let sees = allowed(&s.ctx.actor, Action::Read, On::Service(ServiceId(s.plan.service.id)));
    let link = (sees && !t.id.is_empty()).then(|| view! { <a class="btn btn--sm" href=format!("/tests/{}", t.id)>"Open the test report"</a> });
    view! {
        <p>{verdict}" "{full(t.started_at, s.zone)}", "{relative(t.started_at, s.now)}</p>
        <p>{format!("{} restored, {} failed", t.items_restored, t.items_failed)}{t.rto_s.map(|r| format!(" in {}", span(r)))}"."</p>
        <p class="row">{ladder(EvidenceLevel::parse(&t.level).unwrap_or_default())}{link}</p>
    }
    .into_any()
}

fn history(s: &Shown<'_>) -> AnyView {
    if s.annex.revisions.is_empty() {
        return section(s, 8, nothing());
    }
    let rows = s.annex.revisions.iter().map(|r| {
        view! { <tr><th scope="row">{r.version.clone()}</th><td class="nowrap">{r.date.clone()}</td><td class="col-md">{r.by.clone()}</td><td>{r.comment.clone()}</td></tr> }
    });
    let head = view! { {th("Version", "")}{th("Date", "")}{th("By", "col-md")}{th("Comment", "")} };
    let since = s
        .version
        .row
        .submitted_at
        .map(|at| view! { <p class="sm soft">"As it stood when this version was submitted, "{moment(Timestamp(at), s.now, s.zone)}"."</p> });
    section(s, 8, view! { {table("Revision history", "table--tight", head.into_any(), rows.collect_view().into_any())}{since} }.into_any())
}
