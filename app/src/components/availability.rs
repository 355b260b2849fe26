//! Availability and reliability by month: the chart, the table of the same, and why months were below their target.
//!
//! Lives here: markup of a report. May not: loading it, forms.

use std::fmt::Write;

use domain::availability::{Below, Figures, Month, MonthFigures, Origin, Targets, percent};
use jiff::tz::TimeZone;
use leptos::prelude::*;
use ops::availability::Report;

use super::{
    status::{Tone, chip},
    table::{table, th},
    time::full,
};

const LEFT: f64 = 44.0;
const RIGHT: f64 = 820.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 170.0;
/// Months whose figures below the target are written beside them; of more they would run into each other.
const LABELLED: usize = 14;

/// The chart with its table and the explanations. `open` shows the table at once.
pub fn availability_section(report: &Report, open: bool, zone: &TimeZone) -> AnyView {
    let base = format!("/services/{}/availability", report.service.name);
    if report.months.iter().all(|m| m.shown().is_none()) {
        return view! { <p class="soft">{format!("Nothing is known of the months from {} to {}.", report.from, report.to)}</p> }.into_any();
    }
    let points: Vec<Point> = report.months.iter().map(|m| (m.month, m.figures())).collect();
    let rows = report.months.iter().rev().map(|m| row(m, &report.targets, &base)).collect_view();
    let head = view! { {th("Month", "")}{th("Availability", "num")}{th("Reliability", "num")}{th("Target", "")}{th("Who says so", "col-md")} };
    view! {
        {availability_chart(&points, &report.targets)}
        <details class="more" open=open><summary>"The same as a table"</summary>
            {table("Availability and reliability by month", "table--tight", head.into_any(), rows.into_any())}</details>
        {reasons(report, &base, zone)}
    }
    .into_any()
}

/// A month as the chart has it.
pub type Point = (Month, Figures);

/// The chart alone, for whoever has a table of their own beside it.
pub fn availability_chart(points: &[Point], targets: &Targets) -> AnyView {
    let (words, svg) = (words(points, targets), drawn(points, targets));
    view! {
        <div class="table-wrap" tabindex="0" role="region" aria-label="Availability and reliability by month"><svg class="chart chart--months" viewBox="0 0 840 196" role="img" aria-label=words inner_html=svg></svg></div>
        <ul class="legend"><li>"circle: availability"</li><li>"diamond: reliability"</li><li>"filled square: below the target"</li></ul>
    }
    .into_any()
}

/// What a target reads like: `availability 90 %, reliability 90 %`.
pub fn targets_words(t: &Targets) -> Option<String> {
    let say = |name: &str, f: Option<f64>| f.map(|f| format!("{name} {} %", short(f)));
    let both: Vec<String> = [say("availability", t.availability), say("reliability", t.reliability)].into_iter().flatten().collect();
    (!both.is_empty()).then(|| both.join(", "))
}

/// `90`, `99.5`, `99.95`.
fn short(f: f64) -> String {
    let text = percent(f);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub fn figure(f: Option<f64>) -> String {
    f.map_or_else(|| "no figure".to_owned(), |f| format!("{} %", percent(f)))
}

fn words(points: &[Point], targets: &Targets) -> String {
    let below: Vec<String> = points
        .iter()
        .filter(|(_, f)| f.below(targets).any())
        .map(|(month, f)| format!("{month} with availability {} and reliability {}", figure(f.availability), figure(f.reliability)))
        .collect();
    let unknown = points.iter().filter(|(_, f)| f.is_empty()).count();
    let (from, to) = (points.first().map_or(Month::FIRST, |p| p.0), points.last().map_or(Month::FIRST, |p| p.0));
    let mut words = format!("Availability and reliability from {from} to {to}.");
    if let Some(agreed) = targets_words(targets) {
        let _ = write!(words, " Agreed: {agreed}. ");
        let _ = if below.is_empty() { write!(words, "No month is below.") } else { write!(words, "Below: {}.", below.join("; ")) };
    }
    if unknown > 0 {
        let _ = if unknown == 1 { write!(words, " One month has no figure.") } else { write!(words, " {unknown} months have no figure.") };
    }
    words
}

fn row(m: &MonthFigures, targets: &Targets, base: &str) -> AnyView {
    let f = m.figures();
    let target = match (f.is_empty(), m.below.any(), targets_words(targets).is_some()) {
        (true, ..) => chip(Tone::None, "no figure"),
        (_, true, _) => chip(Tone::Fail, "below"),
        (_, _, true) => chip(Tone::Ok, "met"),
        _ => view! { <span class="muted">"none agreed"</span> }.into_any(),
    };
    let others = m.recorded.len() > 1;
    let who = m.shown().map_or_else(String::new, |r| match r.origin {
        Origin::Hand => format!("{} by {}", r.origin.words(), r.by),
        Origin::Argo => r.origin.words().to_owned(),
    });
    let also = others.then(|| view! { <span class="sub">"another figure is kept"</span> });
    view! {
        <tr><th scope="row"><a class="rowlink" href=format!("{base}?month={0}#p-month", m.month)>{m.month.to_string()}</a></th>
            <td class="num nowrap">{figure(f.availability)}</td><td class="num nowrap">{figure(f.reliability)}</td><td>{target}</td><td class="col-md">{who}{also}</td></tr>
    }
    .into_any()
}

/// Months below their target, each with its explanation.
fn reasons(report: &Report, base: &str, zone: &TimeZone) -> Option<AnyView> {
    let item = |m: &MonthFigures| {
        let f = m.figures();
        let said = match &m.note {
            Some(n) => view! { <p class="pre">{n.text.clone()}</p><p class="sub">{format!("{}, {}", n.by, full(n.at, zone))}</p> }.into_any(),
            None => view! { <p><a href=format!("{base}?month={}#p-month", m.month)>{format!("Nobody has said why: explain {}", m.month)}</a></p> }.into_any(),
        };
        view! { <li><b>{format!("{}: availability {}, reliability {}", m.month, figure(f.availability), figure(f.reliability))}</b>{said}</li> }
    };
    let items: Vec<_> = report.months.iter().filter(|m| m.below.any() || m.note.is_some()).map(item).collect();
    (!items.is_empty()).then(|| view! { <ul class="months">{items}</ul> }.into_any())
}

/// The lowest line of the chart: a multiple of ten below all figures and targets.
fn floor(points: &[Point], targets: &Targets) -> f64 {
    let figures = points.iter().flat_map(|(_, f)| [f.availability, f.reliability]);
    let lowest = figures.chain([targets.availability, targets.reliability]).flatten().fold(90.0, f64::min);
    ((lowest / 10.0).floor() * 10.0).clamp(0.0, 90.0)
}

fn drawn(points: &[Point], targets: &Targets) -> String {
    let floor = floor(points, targets);
    let y = |f: f64| BOTTOM - (f - floor) / (100.0 - floor) * (BOTTOM - TOP);
    let step = if points.len() > 1 { ((RIGHT - 36.0) - (LEFT + 36.0)) / (points.len() - 1) as f64 } else { 0.0 };
    let mut svg = String::new();
    let lines = if floor >= 70.0 { 10.0 } else { 20.0 };
    let mut at = 100.0;
    // Writing into a string cannot fail.
    while at >= floor {
        let _ =
            write!(svg, r#"<path class="grid-l" d="M{LEFT} {0:.1}H{RIGHT}"/><text x="38" y="{1:.1}" text-anchor="end">{at:.0} %</text>"#, y(at), y(at) + 4.0);
        at -= lines;
    }
    let zero = targets.availability.or(targets.reliability).map_or(TOP, y);
    for (i, (_, f)) in points.iter().enumerate() {
        let x = LEFT + 36.0 + step * i as f64;
        marks(&mut svg, *f, f.below(targets), (x, zero), &y, points.len() <= LABELLED);
        if let Some(label) = label(points, i) {
            let _ = write!(svg, r#"<text x="{x:.1}" y="190" text-anchor="middle">{label}</text>"#);
        }
    }
    let same = targets.availability == targets.reliability;
    let lines = [(targets.availability, if same { "target" } else { "availability" }), (targets.reliability.filter(|_| !same), "reliability")];
    for (target, name) in lines {
        if let Some(t) = target {
            let _ = write!(
                svg,
                r#"<path class="target-l" d="M{LEFT} {0:.1}H{RIGHT}"/><text class="lbl" x="818" y="{1:.1}" text-anchor="end">{name} {2} %</text>"#,
                y(t),
                y(t) + 15.0,
                short(t)
            );
        }
    }
    svg
}

/// The marks of one month at `x`; `zero` is where the target is.
fn marks(svg: &mut String, Figures { availability, reliability }: Figures, below: Below, (x, zero): (f64, f64), y: &impl Fn(f64) -> f64, labelled: bool) {
    if let Some(far) = [availability, reliability].into_iter().flatten().map(y).reduce(|a, b| if (a - zero).abs() > (b - zero).abs() { a } else { b }) {
        let _ = write!(svg, r#"<path class="axis" d="M{x:.1} {zero:.1}V{far:.1}"/>"#);
    }
    let square = |svg: &mut String, x: f64, f: f64| {
        let _ = write!(svg, r#"<rect class="dot-bad" x="{:.1}" y="{:.1}" width="12" height="12"/>"#, x - 6.0, y(f) - 6.0);
        if labelled {
            let _ = write!(svg, r#"<text class="lbl" x="{:.1}" y="{:.1}">{} %</text>"#, x + 12.0, y(f) + 4.0, percent(f));
        }
    };
    // Where both are below and the same, one square stands for both.
    if below.availability && below.reliability && availability == reliability {
        square(svg, x, availability.unwrap_or_default());
        return;
    }
    match availability {
        Some(f) if below.availability => square(svg, x - 5.0, f),
        Some(f) => drop(write!(svg, r#"<circle class="dot" cx="{:.1}" cy="{:.1}" r="4.5"/>"#, x - 5.0, y(f))),
        None => {}
    }
    match reliability {
        Some(f) if below.reliability => square(svg, x + 9.0, f),
        Some(f) => drop(write!(svg, r#"<path class="dot" d="M{:.1} {:.1}l5 5-5 5-5-5z"/>"#, x + 9.0, y(f) - 5.0)),
        None => {}
    }
}

/// The name of a month on the axis: with the year at the first one and in January; of many some are left out.
fn label(points: &[Point], i: usize) -> Option<String> {
    let every = points.len().div_ceil(12);
    if !i.is_multiple_of(every) {
        return None;
    }
    let month = points.get(i)?.0;
    let short = month.short();
    let year = i == 0 || month.month() == 1 || every > 1;
    Some(if year { short } else { short.split(' ').next().unwrap_or_default().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn m(text: &str) -> Month {
        text.parse().unwrap()
    }

    const fn both(a: f64, r: f64) -> Figures {
        Figures { availability: Some(a), reliability: Some(r) }
    }

    const NONE: Figures = Figures { availability: None, reliability: None };
    const AGREED: Targets = Targets { availability: Some(90.0), reliability: Some(90.0) };

    #[test]
    fn months_below_their_target_are_squares_with_their_figure() {
        let points =
            [("2020-02", both(78.53, 78.53)), ("2020-03", both(96.2, 97.0)), ("2020-04", NONE), ("2020-05", both(84.04, 95.0))].map(|(month, f)| (m(month), f));
        let svg = drawn(&points, &AGREED);
        assert_eq!((svg.matches("dot-bad").count(), svg.matches("<circle").count()), (2, 1), "{svg}");
        assert_eq!(svg.matches(r#"<path class="dot""#).count(), 2, "reliability of March and May: {svg}");
        for part in ["78.53 %", "84.04 %", "target 90 %", "70 %", "Feb 20", ">Mar<"] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("style="), "{svg}");
        let other = Targets { availability: Some(99.5), reliability: Some(90.0) };
        let svg = drawn(&points, &other);
        assert!(svg.contains("availability 99.5 %") && svg.contains("reliability 90 %"), "{svg}");
        let words = words(&points, &AGREED);
        assert!(
            words.contains("Below: 2020-02 with availability 78.53 % and reliability 78.53 %; 2020-05 ") && words.contains("One month has no figure"),
            "{words}"
        );
        assert!(floor(&[(m("2020-02"), both(0.0, 100.0))], &AGREED) < 0.1);
    }

    #[test]
    fn long_series_are_labelled_in_part() {
        let points: Vec<Point> = m("2018-01").through(m("2020-12")).map(|month| (month, NONE)).collect();
        let labels: Vec<String> = (0..points.len()).filter_map(|i| label(&points, i)).collect();
        assert_eq!((labels.len(), labels[0].as_str(), labels[11].as_str()), (12, "Jan 18", "Oct 20"));
        assert_eq!(targets_words(&AGREED).as_deref(), Some("availability 90 %, reliability 90 %"));
        assert_eq!(targets_words(&Targets::default()), None);
        assert_eq!((short(99.95), short(100.0), short(99.5)), ("99.95".into(), "100".into(), "99.5".into()));
    }
}
