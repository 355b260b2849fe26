//! Findings as callouts, their sum in words, and the forms that waive them.
//!
//! Lives here: the parts that the plan's page and the page of findings share. May not: loading, judging.
//! Each callout has the id `finding-N`, by its place in the report.

use domain::{
    lint::{Section, Severity},
    review::date_of,
    units::Timestamp,
};
use leptos::{prelude::*, server_fn::ServerFn};
use ops::lint::{Judged, Report};
use store::waivers::WaiverRow;

use super::act::{EndWaiver, WaiveFinding};
use crate::{
    components::{address::encode, dialog::dialog, icon},
    error::{AppError, upper},
};

/// The page of a service's findings.
pub fn place(service: &str) -> String {
    format!("/services/{}/findings", encode(service))
}

/// How a finding is shown: the class and sign of its callout, and the word before its title.
fn look(j: &Judged) -> (&'static str, &'static str, &'static str) {
    match (&j.waiver, j.finding.rule.severity) {
        (Some(_), _) => ("callout callout--none", "i-none", "waived"),
        (None, Severity::Blocking) => ("callout callout--fail", "i-fail", "stops the approval"),
        (None, Severity::Warning) => ("callout callout--warn", "i-warn", "warning"),
        (None, Severity::Note) => ("callout callout--info", "i-info", "note"),
    }
}

/// A day as people write it; what is no day stays as it is.
pub fn day(until_on: &str) -> String {
    until_on.parse::<jiff::civil::Date>().map_or_else(|_| until_on.to_owned(), |d| d.strftime("%-d %b %Y").to_string())
}

/// The sum in words, such as “3 findings stop the approval, 2 are notes.”, with a way to all of them.
pub fn summary(report: &Report) -> AnyView {
    let words = upper(&report.summary().words());
    view! { <p class="sm"><a href=place(&report.service.name)>{words}</a></p> }.into_any()
}

/// The findings of some sections as callouts. With `may` each has its button, whose dialog [`dialogs`] gives.
pub fn callouts(report: &Report, sections: &[Section], may: bool) -> AnyView {
    let here = report.findings.iter().enumerate().filter(|(_, j)| sections.contains(&j.finding.rule.section));
    here.map(|(at, j)| callout(at + 1, j, may)).collect_view().into_any()
}

fn callout(n: usize, j: &Judged, may: bool) -> AnyView {
    let (class, symbol, word) = look(j);
    let f = &j.finding;
    let told = match &j.waiver {
        Some(w) => waived(w),
        None => view! { <div class="soft">{f.rule.remedy}</div> }.into_any(),
    };
    let link = |href: String, words: &'static str| view! { <div class="row mt-2"><a class="btn btn--sm" href=href>{words}<span class="vh">{format!(" finding {n}")}</span></a></div> };
    let button = match &j.waiver {
        Some(w) if may => Some(link(format!("#end-{}", w.id), "End the waiver of")),
        None if may && f.rule.waivable => Some(link(format!("#waive-{n}"), "Waive")),
        _ => None,
    };
    view! {
        <div class=class id=format!("finding-{n}")>{icon(symbol)}<b>{format!("Finding {n}, {word}: {}", f.title)}</b>
            <div><div>{f.text.clone()}</div>{told}{button}</div></div>
    }
    .into_any()
}

/// Who waived a finding, why and until when.
fn waived(w: &WaiverRow) -> AnyView {
    view! { <div>{format!("Waived by {} until {}: {}", w.given_by, day(&w.until_on), w.reason)}</div> }.into_any()
}

/// The dialogs of all buttons of [`callouts`]: once on a page, outside of other forms.
pub fn dialogs(report: &Report, now: Timestamp) -> AnyView {
    let service = &report.service.name;
    let all = report.findings.iter().enumerate().map(|(at, j)| match &j.waiver {
        Some(w) => end_dialog(service, w, &j.finding.title),
        None if j.finding.rule.waivable => {
            let (n, form) = (at + 1, format!("waive-form-{}", at + 1));
            let fields = fields(&form, service, j, now, &Typed::default(), None);
            let body = view! { <p>{meaning()}</p><form action=WaiveFinding::url() method="post" id=form.clone()>{fields}</form> };
            let button = view! { <button class="btn" form=form>"Waive it"</button> };
            dialog(&format!("waive-{n}"), &format!("Waive finding {n}: {}", j.finding.title), "Leave it as it is", body.into_any(), button.into_any())
        }
        None => ().into_any(),
    });
    all.collect_view().into_any()
}

const fn meaning() -> &'static str {
    "The finding stops nothing until the last day that you name. It is shown all the time, with your name and your reason."
}

/// What somebody typed before.
#[derive(Clone, Debug, Default)]
pub(super) struct Typed {
    pub reason: String,
    pub until: String,
}

/// The form on the page itself: what was refused comes back into it.
pub(super) fn form(service: &str, j: &Judged, now: Timestamp, typed: &Typed, error: Option<&AppError>) -> AnyView {
    let others = error.and_then(|e| e.field("finding")).map(|m| view! { <p class="field__error">{icon("i-fail")}{upper(&m)}</p> });
    view! {
        <form class="form" action=WaiveFinding::url() method="post" id="waive-form"><p>{meaning()}</p>{others}
            {fields("waive-form", service, j, now, typed, error)}
            <p class="row"><button class="btn btn--primary">"Waive it"</button><a class="btn" href=place(service)>"Leave it as it is"</a></p></form>
    }
    .into_any()
}

fn fields(form: &str, service: &str, j: &Judged, now: Timestamp, typed: &Typed, error: Option<&AppError>) -> AnyView {
    let today = date_of(now);
    let last = today.checked_add(jiff::Span::new().days(domain::lint::waiver::MOST_DAYS)).unwrap_or(today);
    let (why, until) = (format!("{form}-why"), format!("{form}-until"));
    let wrong = |name: &str, id: &str| {
        let said = error.and_then(|e| e.field(name));
        let id = format!("{id}-error");
        let by = said.is_some().then(|| id.clone());
        (said.map(|m| view! { <p class="field__error" id=id>{icon("i-fail")}{upper(&m)}</p> }), by)
    };
    let ((why_error, why_by), (until_error, until_by)) = (wrong("reason", &why), wrong("until", &until));
    let (why_hint, until_hint) = (format!("{why}-hint"), format!("{until}-hint"));
    let (why_bad, until_bad) = (why_by.is_some().then_some("true"), until_by.is_some().then_some("true"));
    let by = |error: Option<String>, hint: &str| error.map_or_else(|| hint.to_owned(), |e| format!("{e} {hint}"));
    view! {
        <input type="hidden" name="service" value=service.to_owned()/><input type="hidden" name="finding" value=j.finding.rule.id/>
        <input type="hidden" name="subject" value=j.finding.subject.clone()/>
        <div class="field"><label for=why.clone()>"Reason"</label>
            <input class="input" id=why name="reason" maxlength="500" required autocomplete="off" value=typed.reason.clone()
                aria-describedby=by(why_by, &why_hint) aria-invalid=why_bad/>
            <p class="field__hint" id=why_hint>"Auditors read it, and whoever reviews the plan."</p>{why_error}</div>
        <div class="field"><label for=until.clone()>"Last day"</label>
            <input class="input" id=until name="until" type="date" required min=today.to_string() max=last.to_string() value=typed.until.clone()
                aria-describedby=by(until_by, &until_hint) aria-invalid=until_bad/>
            <p class="field__hint" id=until_hint>"In UTC, at most a year ahead, such as 2027-03-31."</p>{until_error}</div>
    }
    .into_any()
}

/// Ends a waiver before its day.
pub(super) fn end_dialog(service: &str, w: &WaiverRow, title: &str) -> AnyView {
    let (form, why) = (format!("end-form-{}", w.id), format!("end-why-{}", w.id));
    let hint = format!("{why}-hint");
    let body = view! {
        <p>"The finding stands again, and stops the approval where it is blocking."</p>
        <form action=EndWaiver::url() method="post" id=form.clone()>
            <input type="hidden" name="service" value=service.to_owned()/><input type="hidden" name="waiver" value=w.id.to_string()/>
            <div class="field"><label for=why.clone()>"Reason"</label>
                <input class="input" id=why name="reason" maxlength="500" required autocomplete="off" aria-describedby=hint.clone()/>
                <p class="field__hint" id=hint>"It is kept with the waiver and in the audit trail."</p></div>
        </form>
    };
    let button = view! { <button class="btn" form=form>"End the waiver"</button> };
    dialog(&format!("end-{}", w.id), &format!("End the waiver: {title}"), "Leave it as it is", body.into_any(), button.into_any())
}
