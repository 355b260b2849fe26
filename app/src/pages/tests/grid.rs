//! The grid of services by weeks, and the same as a table of words.

use std::collections::HashMap;

use domain::{
    evidence::Verdict,
    standing::PROOF_LASTS_S,
    units::{Timestamp, span},
};
use jiff::{ToSpan, civil::Date, tz::TimeZone};
use leptos::prelude::*;
use ops::overview::Standing;
use store::restore_tests::TestPoint;
use uuid::Uuid;

use crate::components::{
    address::with_query,
    icon,
    status::Tone,
    table::{table, th},
};

/// Weeks that the grid shows, this one included.
pub const WEEKS: usize = 16;
/// A test that used more of its RTO than this passed, but only just.
const NEAR: f64 = 0.8;

/// The first days of the weeks, the oldest first, and where they begin.
pub struct Weeks {
    pub mondays: Vec<Date>,
    zone: TimeZone,
}

impl Weeks {
    /// The weeks that end with the one of `now`, Monday to Sunday in `zone`.
    pub fn before(now: Timestamp, zone: &TimeZone) -> Self {
        let today = jiff::Timestamp::from_microsecond(now.0).unwrap_or_default().to_zoned(zone.clone()).date();
        let monday = today.saturating_sub(i64::from(today.weekday().to_monday_zero_offset()).days());
        let mondays = (0..WEEKS as i64).rev().map(|n| monday.saturating_sub(n.weeks())).collect();
        Self { mondays, zone: zone.clone() }
    }

    pub fn since(&self) -> Timestamp {
        let start = self.mondays[0].to_zoned(self.zone.clone()).map(|z| z.timestamp().as_microsecond());
        Timestamp(start.unwrap_or_default())
    }

    /// The week of a moment: its place among those shown.
    fn of(&self, at: Timestamp) -> Option<usize> {
        let day = jiff::Timestamp::from_microsecond(at.0).ok()?.to_zoned(self.zone.clone()).date();
        self.mondays.iter().rposition(|monday| *monday <= day)
    }

    pub fn words(&self) -> String {
        self.mondays.first().map_or_else(String::new, |d| format!("{} to today", d.strftime("%-d %b %Y")))
    }
}

/// One cell: what the newest test of a week came to.
#[derive(Clone)]
struct Cell {
    class: &'static str,
    symbol: Option<&'static str>,
    words: String,
    href: Option<String>,
}

/// How the newest of a week's tests counts; the list is of one week, the newest first.
fn judged(tests: &[&TestPoint]) -> Option<Cell> {
    let newest = tests.first()?;
    let share = newest.rto_s.zip(newest.rto_target_s).map(|(rto, target)| rto / target as f64);
    let breached = share.is_some_and(|s| s > 1.0);
    let (class, symbol, words) = match Verdict::parse(&newest.verdict) {
        _ if breached => ("cell cell--fail", Some("i-fail"), "RTO breached"),
        Some(Verdict::Passed) if share.is_some_and(|s| s > NEAR) => ("cell cell--warn", Some("i-warn"), "passed, near RTO"),
        Some(Verdict::Passed) if share.is_none() => ("cell cell--ok", Some("i-ok"), "passed"),
        Some(Verdict::Passed) => ("cell cell--ok", Some("i-ok"), "within RTO"),
        Some(Verdict::Failed) => ("cell cell--fail", Some("i-fail"), "failed"),
        Some(Verdict::Unknown) | None => ("cell cell--unknown", Some("i-unknown"), "could not check"),
    };
    let words = if tests.len() > 1 { format!("{words}, newest of {}", tests.len()) } else { words.to_owned() };
    Some(Cell { class, symbol, words, href: Some(format!("/tests/{}", newest.id)) })
}

/// The cells of one service, the oldest week first. `live` is a test that is queued or runs now.
fn cells(s: &Standing, tests: &[TestPoint], weeks: &Weeks, live: Option<Uuid>, now: Timestamp) -> Vec<Cell> {
    let none = Cell { class: "cell cell--none", symbol: None, words: "no test".to_owned(), href: None };
    let mut by_week: Vec<Vec<&TestPoint>> = vec![Vec::new(); WEEKS];
    for t in tests {
        if let Some(week) = weeks.of(Timestamp(t.started_at)) {
            by_week[week].push(t);
        }
    }
    let mut cells: Vec<Cell> = by_week.iter().map(|week| judged(week).unwrap_or_else(|| none.clone())).collect();
    let this = WEEKS - 1;
    let overdue = s.facts.last_test.filter(|t| now.secs_since(t.at) > PROOF_LASTS_S as f64);
    // What came out this week is not hidden by a test that is not through yet.
    if cells[this].symbol.is_some() {
        return cells;
    }
    if let Some(run) = live {
        cells[this] = Cell { class: "cell cell--run", symbol: Some("i-run"), words: "runs".to_owned(), href: Some(format!("/runs/{run}")) };
    } else if let Some(t) = overdue {
        let words = format!("overdue, last test {} ago", span(now.secs_since(t.at).round()));
        cells[this] = Cell { class: "cell cell--warn", symbol: Some("i-clock"), words, href: s.row.last_test_id.map(|id| format!("/tests/{id}")) };
    }
    cells
}

pub fn legend() -> AnyView {
    const MARKS: [(&str, &str, &str); 6] = [
        ("s-ok", "i-ok", "within RTO"),
        ("s-warn", "i-warn", "passed, over 80 % of RTO"),
        ("s-fail", "i-fail", "RTO breached or failed"),
        ("s-none", "i-unknown", "could not check"),
        ("s-warn", "i-clock", "overdue"),
        ("s-run", "i-run", "runs"),
    ];
    let marks = MARKS.map(|(class, symbol, words)| {
        view! { <li><svg class=format!("i {class}") aria-hidden="true"><use href=format!("/icons.svg#{symbol}")></use></svg>{words}</li> }
    });
    view! { <ul class="legend">{marks.collect_view()}<li><span aria-hidden="true">"–"</span>"no test"</li></ul> }.into_any()
}

/// The grid with its twin. `tests` stands beside `services`; `live` is by service.
pub fn grid(services: &[&Standing], tests: &[Vec<TestPoint>], weeks: &Weeks, live: &HashMap<Uuid, Uuid>, now: Timestamp) -> AnyView {
    let head = weeks
        .mondays
        .iter()
        .map(|d| view! { <th scope="col" title=d.strftime("%-d %b %Y").to_string()>{format!("W{:02}", d.iso_week_date().week())}</th> })
        .collect_view();
    let rows: Vec<_> = services.iter().zip(tests).map(|(s, t)| (*s, cells(s, t, weeks, live.get(&s.row.id).copied(), now))).collect();
    let drawn = rows
        .iter()
        .map(|(s, cells)| {
            let cells = cells.iter().zip(&weeks.mondays).map(|(c, monday)| cell(c, &s.row.title, *monday)).collect_view();
            view! { <tr><th scope="row"><a class="rowlink" href=with_query("/tests", &[("service", &s.row.name)])>{s.row.title.clone()}</a></th>{cells}</tr> }
        })
        .collect_view();
    let said = rows
        .iter()
        .map(|(s, cells)| {
            let cells = cells
                .iter()
                .map(|c| {
                    if c.symbol.is_some() {
                        view! { <td class="nowrap">{c.words.clone()}</td> }.into_any()
                    } else {
                        view! { <td class="nowrap"><span class="muted">"no test"</span></td> }.into_any()
                    }
                })
                .collect_view();
            view! { <tr><th scope="row">{s.row.title.clone()}</th>{cells}</tr> }
        })
        .collect_view();
    let twin_head = weeks.mondays.iter().map(|d| view! { <th scope="col">{d.strftime("%-d %b").to_string()}</th> }).collect_view();
    let name = format!("Restore tests, services by weeks, {}", weeks.words());
    view! {
        {table(&name, "heat", view! { {th("Service", "")}{head} }.into_any(), drawn.into_any())}
        <details class="more"><summary>"The same as a table of words"</summary>
            {table("Restore tests in words, by the first day of each week", "table--tight", view! { {th("Service", "")}{twin_head} }.into_any(), said.into_any())}
        </details>
    }
    .into_any()
}

fn cell(c: &Cell, service: &str, monday: Date) -> AnyView {
    let words = view! { <span class="vh">{c.words.clone()}</span> };
    let inner = view! { {c.symbol.map(icon)}{words} };
    match &c.href {
        Some(href) => {
            let title = format!("{service}, week of {}: {}", monday.strftime("%-d %b"), c.words);
            view! { <td><a class=c.class href=href.clone() title=title>{inner}</a></td> }.into_any()
        }
        None => view! { <td><span class=c.class>{inner}</span></td> }.into_any(),
    }
}

/// The tone in which a test's verdict and time are shown together.
pub fn tone(t: &TestPoint) -> Tone {
    match judged(&[t]) {
        Some(c) if c.class.ends_with("fail") => Tone::Fail,
        Some(c) if c.class.ends_with("warn") => Tone::Warn,
        Some(c) if c.class.ends_with("ok") => Tone::Ok,
        _ => Tone::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(verdict: &str, rto: Option<f64>, target: Option<i64>) -> TestPoint {
        TestPoint { id: Uuid::from_u128(1), started_at: 0, verdict: verdict.to_owned(), level: "restored".to_owned(), rto_s: rto, rto_target_s: target }
    }

    #[test]
    fn only_a_test_that_passed_in_time_is_green() {
        for (verdict, rto, target, want) in [
            ("passed", Some(10.0), Some(100), Tone::Ok),
            ("passed", Some(81.0), Some(100), Tone::Warn),
            ("passed", Some(101.0), Some(100), Tone::Fail),
            ("failed", Some(10.0), Some(100), Tone::Fail),
            ("unknown", Some(10.0), Some(100), Tone::None),
            ("nonsense", None, None, Tone::None),
            ("passed", Some(10.0), None, Tone::Ok),
        ] {
            assert_eq!(tone(&point(verdict, rto, target)), want, "{verdict} {rto:?} {target:?}");
        }
        assert!(judged(&[]).is_none());
    }

    #[test]
    fn weeks_begin_on_mondays_of_the_zone() {
        let zone = TimeZone::get("Europe/Amsterdam").unwrap();
        let at = |text: &str| Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_microsecond());
        let weeks = Weeks::before(at("2021-02-25T08:42:00Z"), &zone);
        assert_eq!(weeks.mondays.len(), WEEKS);
        assert_eq!(weeks.mondays[0].to_string(), "2020-11-09");
        assert_eq!(weeks.mondays[15].to_string(), "2021-02-22");
        assert_eq!(weeks.mondays[15].iso_week_date().week(), 8);
        // Midnight in Amsterdam is 23:00 UTC of Sunday.
        assert_eq!(weeks.since(), at("2020-11-08T23:00:00Z"));
        assert_eq!(weeks.of(at("2021-02-21T22:59:59Z")), Some(14));
        assert_eq!(weeks.of(at("2021-02-21T23:00:00Z")), Some(15));
        assert_eq!(weeks.of(at("2020-01-01T00:00:00Z")), None);
    }
}
