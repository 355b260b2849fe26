//! One month closely: what each origin says, why it is as it is, and what can be entered by hand.
//!
//! Lives here: the panels and forms of a month. May not: judging what was typed.

use domain::availability::{Month, Origin, percent};
use jiff::tz::TimeZone;
use leptos::{prelude::*, server_fn::ServerFn};
use ops::availability::{MonthView, Report, note_version, version};

use super::act::{EnterMonth, ExplainMonth, ForgetMonth, ShowFigure, UnexplainMonth, place};
use crate::{
    components::{
        address::Query,
        availability::figure,
        field::{Line, line, lines},
        panel,
        status::{Tone, chip},
        table::{table, th},
        time::full,
    },
    error::AppError,
};

/// The error where it belongs to this form.
fn of_form<'a>(query: &Query, form: &str, error: Option<&'a AppError>) -> Option<&'a AppError> {
    error.filter(|_| query.get("form").as_deref() == Some(form))
}

pub fn panels(report: &Report, chosen: Option<&MonthView>, may: bool, query: &Query, error: Option<&AppError>, zone: &TimeZone) -> AnyView {
    let service = report.service.name.as_str();
    let Some(view) = chosen else {
        let form = may.then(|| enter_form(service, None, query, error));
        return form.map(|f| panel("month", "Enter a month by hand", None, None, f).into_any()).into_any();
    };
    let m = &view.month;
    let all = view! { <a class="btn btn--quiet btn--sm" href=place(service)>"Close"</a> }.into_any();
    let body = view! {
        <div class="panel__body stack">
            {recorded(service, view, may, zone)}
            {days(view)}
            {explanation(service, view, may, query, error, zone)}
        </div>
        {may.then(|| enter_form(service, Some(view), query, error))}
    };
    panel("month", &format!("The month {}", m.month), None, Some(all), body.into_any()).into_any()
}

/// What each origin says; the first is the one that is shown.
fn recorded(service: &str, view: &MonthView, may: bool, zone: &TimeZone) -> AnyView {
    let m = &view.month;
    if m.recorded.is_empty() {
        return view! { <p class="soft">"Nothing is known of this month."</p> }.into_any();
    }
    let rows = m.recorded.iter().enumerate().map(|(i, r)| {
        let act = if i == 0 {
            let chosen = r.chosen_by.as_ref().map(|by| view! { <span class="sub">{format!("chosen by {by}")}</span> });
            view! { {chip(if m.below.any() { Tone::Fail } else { Tone::Ok }, if m.below.any() { "shown, below" } else { "shown" })}{chosen} }.into_any()
        } else if may {
            view! {
                <form method="post" action=ShowFigure::url()><input type="hidden" name="service" value=service.to_owned()/><input type="hidden" name="month" value=m.month.to_string()/>
                    <input type="hidden" name="origin" value=r.origin.as_str()/><button class="btn btn--sm">"Show this one"<span class="vh">{format!(" of {}", r.origin.words())}</span></button></form>
            }
            .into_any()
        } else {
            view! { <span class="muted">"kept"</span> }.into_any()
        };
        view! {
            <tr><th scope="row">{crate::error::upper(r.origin.words())}<span class="sub wrap">{format!("{}, {}", r.by, full(r.at, zone))}</span></th>
                <td class="num nowrap">{figure(r.figures.availability)}</td><td class="num nowrap">{figure(r.figures.reliability)}</td><td>{act}</td></tr>
        }
    });
    let head = view! { {th("Who says so", "")}{th("Availability", "num")}{th("Reliability", "num")}{th("Which is shown", "")} };
    let rows = rows.collect_view();
    view! { <div>{table(&format!("Figures of {}", m.month), "table--tight", head.into_any(), rows.into_any())}</div> }.into_any()
}

fn days(view: &MonthView) -> Option<AnyView> {
    if view.days.is_empty() {
        return None;
    }
    let rows = view.days.iter().map(|(day, r)| {
        view! { <tr><th scope="row">{day.clone()}</th><td class="num nowrap">{figure(r.figures.availability)}</td><td class="num nowrap">{figure(r.figures.reliability)}</td></tr> }
    });
    let head = view! { {th("Day", "")}{th("Availability", "num")}{th("Reliability", "num")} };
    let rows = rows.collect_view();
    let words = if view.days.len() == 1 { "1 day by ARGO".to_owned() } else { format!("{} days by ARGO", view.days.len()) };
    Some(
        view! {
            <details class="more"><summary>{words}</summary>
                {table(&format!("Days of {}", view.month.month), "table--tight", head.into_any(), rows.into_any())}</details>
        }
        .into_any(),
    )
}

fn explanation(service: &str, view: &MonthView, may: bool, query: &Query, error: Option<&AppError>, zone: &TimeZone) -> AnyView {
    let m = &view.month;
    if !may {
        return match &m.note {
            Some(n) => view! { <div><h3 class="h3">"Explanation"</h3><p class="pre">{n.text.clone()}</p><p class="sub">{format!("{}, {}", n.by, full(n.at, zone))}</p></div> }.into_any(),
            None => view! { <p class="soft">"Nobody has explained this month."</p> }.into_any(),
        };
    }
    let error = of_form(query, "explain", error);
    let typed = error.and(query.get("text"));
    let text = typed.or_else(|| m.note.as_ref().map(|n| n.text.clone())).unwrap_or_default();
    let version = m.note.as_ref().map(note_version).unwrap_or_default();
    let said = m.note.as_ref().map(|n| view! { <p class="sub">{format!("Last written by {}, {}", n.by, full(n.at, zone))}</p> });
    let hidden = |version: &str| {
        view! { <input type="hidden" name="service" value=service.to_owned()/><input type="hidden" name="month" value=m.month.to_string()/><input type="hidden" name="version" value=version.to_owned()/> }
    };
    let remove = m.note.as_ref().map(|_| {
        view! { <form method="post" action=UnexplainMonth::url()>{hidden(&version)}<button class="btn btn--quiet">"Take the explanation back"</button></form> }
    });
    view! {
        <form class="form measure" method="post" action=ExplainMonth::url()>
            {hidden(&version)}
            {lines("text", "Why this month is as it is", "What happened, and what was done about it. Your name and the time are kept with it.", text, error)}
            {said}
            <p class="row"><button class="btn">"Save the explanation"</button></p>
        </form>
        {remove}
    }
    .into_any()
}

fn enter_form(service: &str, view: Option<&MonthView>, query: &Query, error: Option<&AppError>) -> AnyView {
    let error = of_form(query, "enter", error);
    let typed = |name: &str| error.and(query.get(name));
    let there = view.and_then(|v| v.month.recorded.iter().find(|r| r.origin == Origin::Hand));
    let value = |name: &str, figure: Option<f64>| typed(name).or_else(|| figure.map(percent)).unwrap_or_default();
    let percent_line = |name: &'static str, label: &'static str, figure: Option<f64>| {
        let value = value(name, figure);
        line(&Line { name, field: name, label, hint: "In percent, 0 to 100", value, ..Line::default() }, error)
    };
    let month = if let Some(v) = view {
        view! { <input type="hidden" name="month" value=v.month.month.to_string()/> }.into_any()
    } else {
        let hint = format!("Year and month since {}, such as 2020-02", Month::FIRST.year());
        let value = typed("month").unwrap_or_default();
        line(&Line { name: "month", field: "month", label: "Month", hint: &hint, value, kind: "month", required: true, ..Line::default() }, error)
    };
    let argo = view.is_some_and(|v| v.month.recorded.iter().any(|r| r.origin == Origin::Argo));
    // Whoever typed a month that ARGO knows learns of the box when the form comes back.
    let instead = (argo || error.is_some_and(|e| e.field("instead").is_some())).then(|| {
        let said = error.and_then(|e| e.field("instead"));
        let described = said.is_some().then_some("f-instead-error");
        view! {
            <div class="field"><label class="check"><input type="checkbox" name="instead" value="1" checked=typed("instead").is_some() aria-describedby=described/>"Show this instead of what ARGO says; both are kept"</label>
                {said.map(|m| view! { <p class="field__error" id="f-instead-error">{crate::error::upper(&m)}</p> })}</div>
        }
    });
    let version = view.map(|v| version(&v.month)).unwrap_or_default();
    let remove = there.zip(view).map(|(_, v)| {
        view! {
            <form class="panel__body" method="post" action=ForgetMonth::url()><input type="hidden" name="service" value=service.to_owned()/><input type="hidden" name="month" value=v.month.month.to_string()/>
                <input type="hidden" name="version" value=version.clone()/><button class="btn btn--quiet">"Take back what was entered by hand"</button></form>
        }
    });
    let figures = there.map(|r| r.figures).unwrap_or_default();
    view! {
        <form class="panel__body form measure" method="post" action=EnterMonth::url()>
            <input type="hidden" name="service" value=service.to_owned()/><input type="hidden" name="version" value=version.clone()/>
            <p class="soft">"A month that is entered here is marked as entered by hand wherever it is shown, with your name and the time."</p>
            {month}
            <div class="pair">{percent_line("availability", "Availability", figures.availability)}{percent_line("reliability", "Reliability", figures.reliability)}</div>
            {instead}
            <p class="row"><button class="btn">{if there.is_some() { "Change what was entered" } else { "Enter the month" }}</button></p>
        </form>
        {remove}
    }
    .into_any()
}
