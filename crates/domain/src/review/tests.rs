//! Due dates, where a review stands, what is refused, who counts, and the file of the calendar read by another reader.

use jiff::civil::{Date, date};

use super::{
    bus::{BusFactor, Completed, Feat, is_person},
    ical::{Event, calendar},
    *,
};

const TODAY: Date = date(2026, 11, 26);

#[test]
fn a_review_is_due_so_many_months_after_the_last_one() {
    let configured = date(2019, 1, 15);
    // EGI Notebooks: reviewed on 2019-05-28, due on 2020-05-28.
    assert_eq!(due(Some(date(2019, 5, 28)), configured, YEARLY), date(2020, 5, 28));
    for (last, months, want) in [
        (None, 12, date(2020, 1, 15)),
        (Some(date(2020, 2, 29)), 12, date(2021, 2, 28)),
        (Some(date(2026, 8, 31)), 6, date(2027, 2, 28)),
        (Some(date(2026, 12, 31)), 1, date(2027, 1, 31)),
        (Some(date(2026, 1, 1)), 60, date(2031, 1, 1)),
    ] {
        assert_eq!(due(last, configured, months), want, "{last:?} and {months} months");
    }
    assert_eq!(due(Some(Date::MAX), configured, 12), Date::MAX);
}

#[test]
fn where_a_review_stands_follows_from_the_day() {
    for (due, exempt, want) in [
        (date(2026, 11, 25), None, Standing::Overdue { days: 1 }),
        (date(2025, 11, 26), None, Standing::Overdue { days: 365 }),
        (TODAY, None, Standing::Soon { days: 0 }),
        (date(2026, 12, 26), None, Standing::Soon { days: 30 }),
        (date(2026, 12, 27), None, Standing::Later { days: 31 }),
        // An exemption holds up to its last day, and then no longer.
        (date(2025, 1, 1), Some(TODAY), Standing::Exempt { until: TODAY }),
        (date(2026, 11, 20), Some(date(2026, 11, 25)), Standing::Overdue { days: 6 }),
        (date(2027, 11, 20), Some(date(2027, 1, 1)), Standing::Exempt { until: date(2027, 1, 1) }),
    ] {
        assert_eq!(standing(due, YEARLY, exempt, TODAY), want, "{due} {exempt:?}");
    }
    assert_eq!([31, 30, 8, 7, 0].map(|d| reminder(d, YEARLY)), [None, Some(30), Some(30), Some(7), Some(7)]);
    assert_eq!([30, 8, 7, 0].map(|d| reminder(d, 1)), [None, None, Some(7), Some(7)], "a monthly review is not announced a month before");
    assert_eq!(standing(date(2026, 12, 20), 1, None, TODAY), Standing::Later { days: 24 });
    assert_eq!(date_of(Timestamp::from_secs(86_399)), date(1970, 1, 1));
    assert_eq!(date_of(Timestamp(-1)), date(1969, 12, 31));
    assert_eq!((start_of(date(1970, 1, 2)), date_of(start_of(TODAY))), (Timestamp::from_secs(86_400), TODAY));
}

fn fields<T: std::fmt::Debug>(r: Result<T, Vec<FieldError>>) -> Vec<String> {
    r.unwrap_err().into_iter().map(|e| e.field).collect()
}

#[test]
fn what_cannot_be_is_refused_with_its_field() {
    let good = Done { on: TODAY, by: " Olga ".into(), outcome: "All eight risks stand.\r\nRisk 5 is to be rated anew.".into() };
    let checked = check_done(&good, TODAY).unwrap();
    assert_eq!((checked.by.as_str(), checked.outcome.as_str()), ("Olga", "All eight risks stand.\nRisk 5 is to be rated anew."));
    assert!(check_done(&Done { on: date(2019, 5, 28), ..good.clone() }, TODAY).is_ok(), "a review of the past has its own date");
    assert_eq!(fields(check_done(&Done { on: date(2026, 11, 27), by: "  ".into(), outcome: String::new() }, TODAY)), ["on", "by", "outcome"]);
    assert_eq!(fields(check_done(&Done { on: date(219, 5, 28), by: "a\nb".into(), outcome: "x".repeat(4_001) }, TODAY)), ["on", "by", "outcome"]);
    assert_eq!([0, 1, 60, 61].map(|m| check_months(m).is_ok()), [false, true, true, false]);
    assert_eq!(check_exemption(TODAY, " being replaced ", TODAY).unwrap(), "being replaced");
    assert_eq!(fields(check_exemption(date(2026, 11, 25), " ", TODAY)), ["until", "reason"]);
    assert_eq!(fields(check_exemption(date(2031, 11, 27), "x", TODAY)), ["until"]);
    assert_eq!(read_date("on", " 2019-05-28 "), Ok(date(2019, 5, 28)));
    for bad in ["", "28.05.2019", "2019-5-28", "2019-02-29", "2019-05-28T10:00", "20190528", "-002019-05-28"] {
        let e = read_date("on", bad).unwrap_err();
        assert!(e.field == "on" && e.message.contains("2027-03-31"), "{bad}: {e}");
    }
}

#[test]
fn people_are_counted_and_machines_are_not() {
    let done = |actor: &str, feat, times, at| Completed { actor: actor.into(), feat, times, last_at: Timestamp(at) };
    let found = BusFactor::of(&[
        done("olga@example.org", Feat::Restored, 2, 50),
        done("olga@example.org", Feat::RestoreTest, 1, 90),
        done("admin", Feat::RestoreTest, 4, 70),
        done("schedule weekly", Feat::RestoreTest, 52, 99),
        done("olga@example.org by token ci", Feat::RestoreTest, 9, 99),
        done("holdfast", Feat::Restored, 1, 1),
        done("shell", Feat::Restored, 1, 1),
    ]);
    assert_eq!(
        found.people.iter().map(|p| (p.name.as_str(), p.restores, p.restore_tests, p.last_at.0)).collect::<Vec<_>>(),
        [("admin", 0, 4, 70), ("olga@example.org", 2, 1, 90)]
    );
    assert_eq!((found.count(), found.count_of(Feat::Restored), found.count_of(Feat::RestoreTest), found.count_of(Feat::Exercise)), (2, 1, 2, 0));
    assert_eq!(found.not_counted, ["holdfast", "olga@example.org by token ci", "schedule weekly", "shell"]);
    assert!(!found.is_low());
    let one = BusFactor::of(&[done("olga", Feat::Exercise, 1, 1)]);
    assert!(one.is_low() && one.words().starts_with("Only olga has completed"));
    let none = BusFactor::of(&[done("schedule weekly", Feat::RestoreTest, 52, 99)]);
    assert!(none.is_low() && none.words().starts_with("Nobody"));
    assert!(is_person("scheduler@example.org") && !is_person(""));
}

/// A property with its parameters and its value, still escaped.
type Property = (String, Vec<(String, String)>, String);

/// Reads a calendar as RFC 5545 says, on its own, and refuses whatever it does not allow.
fn read(text: &str) -> Vec<Property> {
    assert!(text.ends_with("\r\n") && !text.replace("\r\n", "").contains(['\r', '\n']), "every line ends with CR LF");
    let mut unfolded: Vec<Vec<u8>> = Vec::new();
    for line in text.strip_suffix("\r\n").unwrap().split("\r\n") {
        assert!(line.len() <= 75, "{} octets: {line}", line.len());
        assert!(!line.is_empty(), "no line is empty");
        match line.strip_prefix(' ') {
            Some(more) => unfolded.last_mut().unwrap().extend(more.bytes()),
            None => unfolded.push(line.bytes().collect()),
        }
    }
    unfolded
        .into_iter()
        .map(|line| {
            let line = String::from_utf8(line).unwrap();
            let (head, value) = line.split_once(':').unwrap();
            let mut parts = head.split(';');
            let name = parts.next().unwrap().to_owned();
            assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'-'), "{line}");
            let parameters = parts.map(|p| p.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).unwrap()).collect();
            assert!(value.chars().all(|c| !c.is_control() || c == '\t'), "{line}");
            (name, parameters, value.to_owned())
        })
        .collect()
}

fn unescaped(value: &str) -> String {
    let (mut out, mut chars) = (String::new(), value.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next().unwrap() {
                'n' | 'N' => out.push('\n'),
                c @ ('\\' | ';' | ',') => out.push(c),
                other => panic!("\\{other} is no escape"),
            },
            ';' | ',' => panic!("{c} must be escaped in {value}"),
            c => out.push(c),
        }
    }
    out
}

/// The components nest, and each has the properties that it must have, once.
fn components(all: &[Property]) -> Vec<Vec<&Property>> {
    let (mut stack, mut events) = (Vec::<&str>::new(), Vec::new());
    for p in all {
        match p.0.as_str() {
            "BEGIN" => {
                match (stack.last(), p.2.as_str()) {
                    (None, "VCALENDAR") | (Some(&"VEVENT"), "VALARM") => {}
                    (Some(&"VCALENDAR"), "VEVENT") => events.push(Vec::new()),
                    other => panic!("{other:?}"),
                }
                stack.push(&p.2);
            }
            "END" => assert_eq!(stack.pop(), Some(p.2.as_str())),
            _ if stack.last() == Some(&"VCALENDAR") => assert!(events.is_empty(), "properties of the calendar come before its events"),
            _ => events.last_mut().unwrap().push(p),
        }
    }
    assert!(stack.is_empty());
    events
}

fn event(summary: &str, description: &str) -> Event {
    Event {
        uid: "review-risk_assessment-0190@holdfast".into(),
        changed_at: Timestamp::from_secs(1_559_030_400),
        on: date(2020, 5, 28),
        summary: summary.into(),
        description: description.into(),
        url: Some("https://holdfast.example.org/services/notebooks/reviews".into()),
        alarms: REMINDERS.to_vec(),
    }
}

#[test]
fn the_calendar_is_read_by_another_reader() {
    let summary = "EGI Notebooks; Jülich, Köln \\ “Ümlaute” und Emoji 🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀: risk assessment is due";
    let description = "First line\r\nEND:VEVENT\nBEGIN:VALARM\u{7}, and a lone \r too";
    let text = calendar(
        "Reviews, all; of them",
        &[event(summary, description), Event { alarms: vec![], url: Some("https://x/\r\nATTENDEE:y".into()), ..event("x", "") }],
    );
    let all = read(&text);
    assert_eq!(all[0].2, "VCALENDAR");
    assert_eq!(all.iter().filter(|p| p.0 == "PRODID" || p.0 == "VERSION").count(), 2);
    assert_eq!(unescaped(&all.iter().find(|p| p.0 == "X-WR-CALNAME").unwrap().2), "Reviews, all; of them");
    let events = components(&all);
    assert_eq!(events.len(), 2);
    let of = |n: usize, name: &str| events[n].iter().filter(|p| p.0 == name).collect::<Vec<_>>();
    for n in [0, 1] {
        for once in ["UID", "DTSTAMP", "DTSTART", "DTEND", "SUMMARY"] {
            assert_eq!(of(n, once).len(), 1, "{once}");
        }
    }
    assert_eq!(unescaped(&of(0, "SUMMARY")[0].2), summary);
    assert_eq!(unescaped(&of(0, "DESCRIPTION")[0].2), "First line\nEND:VEVENT\nBEGIN:VALARM, and a lone \n too");
    assert_eq!(of(0, "DTSTART")[0].1, [("VALUE".to_owned(), "DATE".to_owned())]);
    assert_eq!((of(0, "DTSTART")[0].2.as_str(), of(0, "DTEND")[0].2.as_str()), ("20200528", "20200529"));
    assert_eq!(of(0, "DTSTAMP")[0].2, "20190528T080000Z");
    assert_eq!(of(0, "TRIGGER").iter().map(|p| p.2.as_str()).collect::<Vec<_>>(), ["-P30D", "-P7D"]);
    assert_eq!(of(0, "URL")[0].2, "https://holdfast.example.org/services/notebooks/reviews");
    assert!(of(1, "URL").is_empty() && of(1, "TRIGGER").is_empty() && of(1, "ATTENDEE").is_empty());
}

#[test]
fn every_length_of_a_line_can_be_folded() {
    for n in 0..200 {
        let summary = format!("{}é€🦀", "a".repeat(n));
        let text = calendar("c", &[event(&summary, "")]);
        let all = read(&text);
        assert_eq!(all.iter().find(|p| p.0 == "SUMMARY").unwrap().2, summary, "{n}");
    }
}
