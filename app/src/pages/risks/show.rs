//! One risk: what is derived of it, the editor, its history, retiring it; and the form of a new one.
//!
//! Lives here: `/services/NAME/risks/NUMBER`, and `new`. May not: judging values.

use domain::{
    risk::{ReviewState, Treatment, scale::ScaleRef},
    units::Timestamp,
};
use jiff::tz::TimeZone;
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_params_map;
use ops::{
    OpsError,
    permission::{Action, On, allowed},
    risks::{self, Judged, Revision, ScaleVersion},
};
use store::services::ServiceRow;

use super::{
    act::{RetireRisk, SaveRisk},
    fields::{ADDRESS, MeasureFields, SCHEDULE, TESTS, Typed},
    parts::{callout, findings, level_chip, measures, state_chip},
};
use crate::{
    components::{
        address::encode,
        dialog::dialog,
        field::{Line, choose, line},
        icon, panel,
        stale::{differences, is_stale},
        table::{table, th},
        time::moment_with_age,
    },
    context::{app, ctx, query, visitor},
    error::{AppError, form_error, refused, upper},
    frame::{Nav, Page, page},
};

/// Lines for measures that are empty yet.
const SPARE: usize = 2;
/// Changes that a page of the history shows.
const CHANGES: i64 = 30;

/// What the editor offers to choose.
struct Offer {
    scales: Vec<ScaleVersion>,
    schedules: Vec<String>,
}

/// `/services/:name/risks/new`.
#[component]
pub fn NewRisk() -> impl IntoView {
    let (ctx, query, error) = (ctx(), query(), form_error());
    let name = use_params_map().get_untracked().get("name").unwrap_or_default();
    page(async move {
        let service = ops::services::find(&ctx, &name).await?;
        risks::require_plan(&ctx, &name).await?;
        let offer = Offer { scales: risks::scales(&ctx).await?, schedules: risks::schedules_of(&ctx, &name).await? };
        let usual = offer.scales.iter().find(|s| s.newest && s.name.name == ScaleRef::default().name).map(|s| s.name.clone()).unwrap_or_default();
        let fresh = || Typed::of(&name, None, &domain::risk::Risk { scale: usual, ..domain::risk::Risk::default() });
        let typed = Typed::read(&query).unwrap_or_else(fresh);
        let form = editor(&typed, &offer, error.as_ref());
        Ok(around(&service, "New risk", error.as_ref(), ().into_any(), form))
    })
}

/// `/services/:name/risks/:number`.
#[component]
pub fn RiskPage() -> impl IntoView {
    let (ctx, shared, who, query, error) = (ctx(), app(), visitor(), query(), form_error());
    let params = use_params_map().get_untracked();
    page(async move {
        let name = params.get("name").unwrap_or_default();
        let text = params.get("number").unwrap_or_default();
        let number = text.parse::<i64>().map_err(|_| OpsError::not_found("risk", &text))?;
        let service = ops::services::find(&ctx, &name).await?;
        let judged = risks::find(&ctx, &name, number).await?;
        let before = query.get("before").and_then(|b| b.parse().ok());
        let mut told = risks::history(&ctx, &name, number, before, CHANGES + 1).await?;
        let more = told.len() as i64 > CHANGES;
        told.truncate(usize::try_from(CHANGES).unwrap_or(0));
        let next = told.last().filter(|_| more).map(|r| format!("/services/{}/risks/{number}?before={}", encode(&name), r.revision));
        let may = allowed(&who.actor, Action::Plan, On::Service(service.id())) && judged.row.retired_at.is_none();
        let editor = if may {
            let offer = Offer { scales: risks::scales(&ctx).await?, schedules: risks::schedules_of(&ctx, &name).await? };
            edit(&name, &judged, Typed::read(&query), &offer, error.as_ref())
        } else {
            details(&judged)
        };
        let body = view! {
            <div class="grid grid--aside-w"><div class="stack">{editor}</div>
                <div class="stack">{standing(&judged)}{history(&told, next, ctx.now(), &shared.zone)}{may.then(|| retire(&name, &judged))}</div></div>
        };
        let head = view! {
            <div class="page__meta">{level_chip(&judged)}{state_chip(judged.state)}<span>{judged.risk().review.words()}</span>
                {judged.row.imported.then(|| view! { <span class="tag">"from an older plan"</span> })}
                {judged.row.retire_reason.clone().map(|r| view! { <span class="tag">{format!("retired: {r}")}</span> })}</div>
        };
        let title = format!("Risk {number}: {}", judged.risk().description);
        Ok(around(&service, &title, error.as_ref(), head.into_any(), body.into_any()))
    })
}

fn around(service: &ServiceRow, title: &str, error: Option<&AppError>, meta: AnyView, content: AnyView) -> Page {
    let base = format!("/services/{}", encode(&service.name));
    let body = view! {
        <div class="page__head"><div><h1 class="page__title">{title.to_owned()}</h1>{meta}</div></div>
        {error.map(refused)}
        <div class="stack">{content}</div>
    };
    let crumbs = vec![
        ("Home".to_owned(), "/".to_owned()),
        ("Services".to_owned(), "/services".to_owned()),
        (service.title.clone(), base.clone()),
        ("Risks".to_owned(), format!("{base}/risks")),
    ];
    Page { title: title.to_owned(), nav: Nav::Services, crumbs, body: body.into_any() }
}

fn edit(name: &str, judged: &Judged, typed: Option<Typed>, offer: &Offer, error: Option<&AppError>) -> AnyView {
    let saved = Typed::of(name, Some((judged.row.number, judged.row.revision)), judged.risk());
    let Some(mut typed) = typed else { return editor(&saved, offer, error) };
    let differ = is_stale(error).then(|| {
        // Whoever saves again has seen what is there now.
        typed.risk.revision.clone_from(&saved.risk.revision);
        differences(saved.shown(), typed.shown(), &saved.path())
    });
    view! { {differ}{editor(&typed, offer, error)} }.into_any()
}

/// What is derived, above what was typed.
fn standing(j: &Judged) -> AnyView {
    let findings = findings(j).into_iter().map(|(title, text)| callout(title, &text)).collect_view();
    let body = view! {
        <div class="panel__body">{findings}<h3 class="h3">"Measures and what proves them"</h3>{measures(&j.measures)}
            <p class="sm muted">"The state of a proof is derived from runs and restore tests. Nobody types it."</p></div>
    };
    panel("proofs", "How it stands", None, None, body.into_any()).into_any()
}

fn step(name: &'static str, label: &'static str, names: &[String], typed: &str, error: Option<&AppError>) -> AnyView {
    let message = error.and_then(|e| e.field(name));
    let id = format!("f-{name}-error");
    let described = message.is_some().then(|| id.clone());
    // A value that the scale does not have is shown all the same, so that it can be put right.
    let other = (!typed.is_empty() && !(1..=names.len()).any(|n| n.to_string() == typed)).then(|| typed.to_owned());
    let choices = names
        .iter()
        .enumerate()
        .map(|(at, words)| ((at + 1).to_string(), format!("{} {words}", at + 1)))
        .chain(other.map(|o| (o.clone(), o)))
        .map(|(value, words)| {
            let checked = value == typed;
            view! { <label><input class="vh" type="radio" name=name value=value checked=checked/>{words}</label> }
        })
        .collect_view();
    view! {
        <fieldset class="field" aria-describedby=described><legend class="field__label">{label}</legend><div class="seg seg--wrap">{choices}</div>
            {message.map(|m| view! { <p class="field__error" id=id>{icon("i-fail")}{upper(&m)}</p> })}</fieldset>
    }
    .into_any()
}

fn editor(typed: &Typed, offer: &Offer, error: Option<&AppError>) -> AnyView {
    let f = &typed.risk;
    let of: ScaleRef = f.scale.parse().unwrap_or_default();
    let scale = offer.scales.iter().find(|s| s.name == of).map_or_else(domain::risk::scale::Scale::built_in, |s| s.scale.clone());
    let text = |name: &'static str, label: &'static str, hint: &'static str, value: &str, required: bool| {
        line(&Line { name, field: name, label, hint, value: value.to_owned(), required, ..Line::default() }, error)
    };
    // Those that are the newest of their name, and the one that it was rated by.
    let scales: Vec<(String, String)> = offer
        .scales
        .iter()
        .filter(|s| s.newest || s.name == of)
        .map(|s| (s.name.to_string(), format!("{}: {}", s.name, s.scale.words().to_lowercase())))
        .collect();
    let scales: Vec<(&str, &str)> = scales.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let treatments: Vec<(&str, &str)> = std::iter::once(("", "None yet")).chain(Treatment::ALL.iter().map(|t| (t.as_str(), t.as_str()))).collect();
    let reviews: Vec<(&str, &str)> = ReviewState::ALL.iter().map(|r| (r.as_str(), r.words())).collect();
    let levels: Vec<(&str, &str)> = std::iter::once(("", "None stated")).chain(scale.bands.iter().map(|b| (b.level.as_str(), b.level.as_str()))).collect();
    let due = Line { name: "due", field: "due", label: "Due", hint: "Until when it is treated", value: f.due.clone(), kind: "date", ..Line::default() };
    let back = if f.number.is_empty() { format!("/services/{}/risks", encode(&f.service)) } else { typed.path() };
    let (save, words) = if f.number.is_empty() { ("Add the risk".to_owned(), "New risk") } else { (format!("Save risk {}", f.number), "Change it") };
    let threshold = format!("At {} and above a treatment, an owner and a date are needed.", scale.threshold.to_lowercase());
    let body = view! {
        <form class="panel__body form" method="post" action=SaveRisk::url() novalidate>
            <input type="hidden" name="service" value=f.service.clone()/><input type="hidden" name="number" value=f.number.clone()/>
            <input type="hidden" name="revision" value=f.revision.clone()/>
            {text("description", "What may happen", "In one sentence", &f.description, true)}
            {text("components", "Affected components", "All of the service where it is empty", &f.components, false)}
            <div class="form__row">{step("likelihood", "Likelihood", &scale.likelihood, &f.likelihood, error)}{step("impact", "Impact", &scale.impact, &f.impact, error)}</div>
            {choose("scale", "Scale", "A risk keeps the version that it was rated by, until it is rated by another", &scales, &f.scale)}
            {problem("scale", error)}
            {choose("stated_level", "Stated level", "What an older plan states; it is kept beside the computed one", &levels, &f.stated_level)}
            {problem("stated_level", error)}
            {measure_lines(&typed.measures, &offer.schedules, error)}
            <div class="form__row">{text("downtime", "Expected downtime", "In words, such as up to 1 working day", &f.downtime, false)}
                {text("downtime_span", "The same as a span", "Such as 1d or 4h, where it is one", &f.downtime_span, false)}</div>
            <p class="sm soft">{threshold}</p>
            <div class="form__row">{choose("treatment", "Treatment", "What is done about it", &treatments, &f.treatment)}{text("owner", "Owner", "Who sees to it", &f.owner, false)}{line(&due, error)}</div>
            {problem("treatment", error)}
            {choose("review", "Review", "How far people have looked at it", &reviews, &f.review)}
            {comment(&f.comment, error)}
            <p class="row"><button class="btn btn--primary">{save}</button><a class="btn" href=back>"Back"</a></p>
        </form>
    };
    panel("editor", words, None, None, body.into_any()).into_any()
}

fn problem(field: &str, error: Option<&AppError>) -> Option<AnyView> {
    error.and_then(|e| e.field(field)).map(|m| view! { <p class="field__error">{icon("i-fail")}{upper(&m)}</p> }.into_any())
}

fn comment(value: &str, error: Option<&AppError>) -> AnyView {
    crate::components::field::lines("comment", "Comment", "What else is to be known", value.to_owned(), error)
}

/// One line a measure, and some that are empty.
fn measure_lines(all: &[MeasureFields], schedules: &[String], error: Option<&AppError>) -> AnyView {
    let there: Vec<&MeasureFields> = all.iter().filter(|m| !m.is_empty()).collect();
    let empty = MeasureFields::default();
    let rows = there.into_iter().chain(std::iter::repeat_n(&empty, SPARE)).enumerate().map(|(at, m)| {
        let name = |part: &str| format!("measures[{at}][{part}]");
        let wrong = error.and_then(|e| e.field(&format!("measures[{at}].text")).or_else(|| e.field(&format!("measures[{at}].proof"))));
        let id = format!("measure-{at}-error");
        let (invalid, described) = (wrong.is_some().then_some("true"), wrong.is_some().then(|| id.clone()));
        let known = schedules.iter().map(|s| (format!("{SCHEDULE}{s}"), format!("schedule {s}")));
        // One that was removed stays chosen.
        let gone = m.proof.strip_prefix(SCHEDULE).filter(|s| !schedules.iter().any(|k| k == s)).map(|s| (m.proof.clone(), format!("schedule {s}, not there any more")));
        let fixed = [("", "nothing linked"), (TESTS, "restore tests of the service"), (ADDRESS, "an address, stated only")].map(|(v, w)| (v.to_owned(), w.to_owned()));
        let options = fixed
            .into_iter()
            .chain(known)
            .chain(gone)
            .map(|(value, words)| {
                let selected = value == m.proof;
                view! { <option value=value selected=selected>{words}</option> }
            })
            .collect_view();
        let n = at + 1;
        view! {
            <li class="measure-line">
                <input class="input" name=name("text") value=m.text.clone() aria-label=format!("Measure {n}") aria-invalid=invalid aria-describedby=described autocomplete="off"/>
                <select class="select" name=name("proof") aria-label=format!("What proves measure {n}")>{options}</select>
                <input class="input" name=name("url") value=m.url.clone() aria-label=format!("Address for measure {n}") placeholder="https://…" autocomplete="off" spellcheck="false"/>
                {wrong.map(|w| view! { <p class="field__error" id=id>{icon("i-fail")}{upper(&w)}</p> })}
            </li>
        }
    });
    view! {
        <fieldset class="field"><legend class="field__label">"Established measures, and what proves each"</legend>
            <p class="field__hint">"One a line. An emptied line is removed; save to get more lines. An address cannot be checked from here and counts as stated only."</p>
            <ol class="measure-lines">{rows.collect_view()}</ol>{problem("measures", error)}</fieldset>
    }
    .into_any()
}

/// What whoever may not change it sees.
fn details(j: &Judged) -> AnyView {
    let r = j.risk();
    let named = |names: &[String], at: i64| format!("{at} {}", usize::try_from(at - 1).ok().and_then(|i| names.get(i)).cloned().unwrap_or_default());
    let rows = [
        ("Affected components", r.components.clone()),
        ("Likelihood", named(&j.scale.likelihood, r.likelihood)),
        ("Impact", named(&j.scale.impact, r.impact)),
        ("Level", format!("{} {}, scale {}", j.level, r.score(), r.scale)),
        ("Stated level", r.stated_level.clone().unwrap_or_default()),
        ("Expected downtime", r.downtime.clone()),
        ("Treatment", r.treatment.map(|t| t.to_string()).unwrap_or_default()),
        ("Owner", r.owner.clone()),
        ("Due", r.due.map(|d| d.to_string()).unwrap_or_default()),
        ("Review", r.review.words().to_owned()),
        ("Comment", r.comment.clone()),
    ];
    let rows = rows.into_iter().filter(|(_, v)| !v.is_empty()).map(|(name, value)| view! { <dt>{name}</dt><dd class="wrap">{value}</dd> });
    panel("details", "What is said of it", None, None, view! { <div class="panel__body"><dl class="kv">{rows.collect_view()}</dl></div> }.into_any()).into_any()
}

fn history(all: &[Revision], next: Option<String>, now: Timestamp, zone: &TimeZone) -> AnyView {
    let rows = all.iter().map(|r| {
        let changes = r.changes.iter().map(|c| {
            let was = if c.before.is_empty() { "nothing" } else { c.before.as_str() };
            let is = if c.after.is_empty() { "nothing" } else { c.after.as_str() };
            view! { <li class="wrap">{format!("{}: ", c.field.replace('_', " "))}<del>{was.to_owned()}</del>" → "<ins>{is.to_owned()}</ins></li> }
        });
        let changes = (r.kind == store::risks::RevisionKind::Changed).then(|| view! { <ul class="changes">{changes.collect_view()}</ul> });
        view! {
            <tr><th scope="row">{moment_with_age(r.at, now, zone)}</th><td>{r.actor.clone()}</td><td>{r.kind.as_str()}{r.reason.clone().map(|t| view! { <span class="sub">{t}</span> })}{changes}</td></tr>
        }
    });
    let head = view! { {th("When", "")}{th("Who", "")}{th("What", "")} };
    let body = view! {
        {table("Changes of this risk, the newest first", "table--top table--tight", head.into_any(), rows.collect_view().into_any())}
        {next.map(|href| view! { <p class="panel__foot"><a class="btn btn--sm" href=href>"Older changes"</a></p> })}
    };
    panel("history", "History", None, None, body.into_any()).into_any()
}

fn retire(name: &str, j: &Judged) -> AnyView {
    let number = j.row.number;
    let body = view! {
        <form id="retire-form" class="form" method="post" action=RetireRisk::url()>
            <input type="hidden" name="service" value=name.to_owned()/><input type="hidden" name="number" value=number.to_string()/><input type="hidden" name="revision" value=j.row.revision.to_string()/>
            <p>"It leaves the plan. Its number is not given again, and its history stays."</p>
            <div class="field"><label for="retire-reason">"Reason"</label><input class="input" id="retire-reason" name="reason" required maxlength="500" autocomplete="off"/></div>
        </form>
    };
    let button = view! { <button class="btn btn--danger" form="retire-form">"Retire it"</button> };
    view! {
        <p><a class="btn btn--quiet" href="#retire">"Retire this risk"</a></p>
        {dialog("retire", &format!("Retire risk {number}?"), "Keep it", body.into_any(), button.into_any())}
    }
    .into_any()
}
