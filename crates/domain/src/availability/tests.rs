use std::collections::BTreeMap;

use super::{
    Below, Entry, Figures, Month, Note, Origin, Parts, Recorded, Targets, entry_problems, in_order, note_problem, percent, read_percent, series,
    source::{Failed, Format, Settings, Trouble, Version, is_alert, next_try},
};
use crate::units::Timestamp;

fn month(text: &str) -> Month {
    text.parse().unwrap()
}

const fn both(availability: f64, reliability: f64) -> Figures {
    Figures { availability: Some(availability), reliability: Some(reliability) }
}

fn recorded(origin: Origin, figures: Figures, chosen_at: Option<i64>) -> Recorded {
    Recorded { origin, figures, parts: None, by: "ada".into(), at: Timestamp(1), chosen_at: chosen_at.map(Timestamp), chosen_by: None }
}

const AGREED: Targets = Targets { availability: Some(90.0), reliability: Some(90.0) };

#[test]
fn the_formulas_are_those_of_argo() {
    let none = Figures::default();
    let table = [
        // ARGO's own example: 54.03509 and 81.48148.
        ((0.53472, 0.01042, 0.33333), both(54.035, 81.481)),
        ((0.98264, 0.0, 0.0), both(98.264, 98.264)),
        ((1.0, 0.0, 0.0), both(100.0, 100.0)),
        ((0.0, 0.0, 0.0), both(0.0, 0.0)),
        // Nothing is known: no figure.
        ((0.0, 1.0, 0.0), none),
        ((0.0, 0.99999, 0.0), none),
        // Down as announced all the time: of the rest nothing can be said.
        ((0.0, 0.0, 1.0), Figures { availability: Some(0.0), reliability: None }),
        ((0.0, 0.5, 0.5), Figures { availability: Some(0.0), reliability: None }),
        // Known parts of a period that is unknown otherwise.
        ((0.5, 0.5, 0.0), both(100.0, 100.0)),
        // Rounding makes none of them more than whole.
        ((0.66667, 0.0, 0.33334), both(66.667, 100.0)),
    ];
    for ((up, unknown, down), want) in table {
        let parts = Parts { up, unknown, down };
        assert_eq!((parts.problem(), parts.figures()), (None, want), "{parts:?}");
    }
    for (up, unknown, down) in [(1.1, 0.0, 0.0), (-0.1, 0.0, 0.0), (0.5, 0.4, 0.2), (f64::NAN, 0.0, 0.0), (0.0, f64::INFINITY, 0.0)] {
        assert!(Parts { up, unknown, down }.problem().is_some(), "{up} {unknown} {down}");
    }
}

#[test]
fn months_below_what_was_agreed_are_told() {
    for (figures, availability, reliability) in [
        (both(78.53, 78.53), true, true),
        (both(84.04, 91.0), true, false),
        (both(90.0, 89.999), false, true),
        (both(90.0, 90.0), false, false),
        (Figures::default(), false, false),
        (Figures { availability: None, reliability: Some(1.0) }, false, true),
    ] {
        assert_eq!(figures.below(&AGREED), Below { availability, reliability }, "{figures:?}");
        assert!(!figures.below(&Targets::default()).any(), "nothing was agreed");
    }
    // What is shown as 100 keeps a promise of 100.
    assert!(!both(99.999_999, 99.999_999).below(&Targets { availability: Some(100.0), reliability: Some(100.0) }).any());
}

#[test]
fn percentages_are_read_and_written() {
    for (figure, want) in [(78.53, "78.53"), (54.035_09, "54.035"), (99.999_999, "100.00"), (0.0, "0.00"), (90.0, "90.00")] {
        assert_eq!(percent(figure), want);
    }
    for (text, want) in [("78.53", Some(78.53)), (" 84,04 % ", Some(84.04)), ("100", Some(100.0)), ("0", Some(0.0)), (" ", None)] {
        assert_eq!(read_percent("availability", text), Ok(want), "{text}");
    }
    for text in ["-1", "100.001", "ninety", "1e2", "NaN", "inf", "9 0", "1.2.3"] {
        assert_eq!(read_percent("availability", text).unwrap_err().field, "availability", "{text}");
    }
}

#[test]
fn months_are_read_and_counted() {
    for text in ["2010-01", "2020-02", "2199-12"] {
        assert_eq!(month(text).to_string(), text);
        assert_eq!(serde_json::to_string(&month(text)).unwrap(), format!("\"{text}\""));
    }
    for text in ["", "2020", "2020-13", "2020-00", "2020-2", "02-2020", "2009-12", "2200-01", "2020-02-01", "+020-02", "２０２０-02"] {
        assert!(text.parse::<Month>().is_err(), "{text}");
        assert!(serde_json::from_value::<Month>(text.into()).is_err(), "{text}");
    }
    assert_eq!(month("2019-12").next(), month("2020-01"));
    assert_eq!((month("2020-02").back(2), month("2020-02").back(14), month("2010-02").back(9)), (month("2019-12"), month("2018-12"), Month::FIRST));
    assert_eq!(month("2019-11").through(month("2020-02")).map(Month::short).collect::<Vec<_>>(), ["Nov 19", "Dec 19", "Jan 20", "Feb 20"]);
    assert_eq!((month("2019-11").count(month("2020-02")), month("2020-02").count(month("2020-01"))), (4, 0));
    assert_eq!(month("2020-02").days().1.to_string(), "2020-02-29");
    assert_eq!(Month::of(Timestamp::from_secs(1_582_999_199)), month("2020-02"));
}

#[test]
fn of_two_figures_the_chosen_one_is_shown_and_a_persons_stays_without_a_choice() {
    let (hand, argo) = (both(80.0, 80.0), both(99.0, 99.0));
    for (chosen_hand, chosen_argo, want) in
        [(None, None, Origin::Hand), (None, Some(5), Origin::Argo), (Some(6), Some(5), Origin::Hand), (Some(4), Some(5), Origin::Argo)]
    {
        let mut all = vec![recorded(Origin::Argo, argo, chosen_argo), recorded(Origin::Hand, hand, chosen_hand)];
        in_order(&mut all);
        assert_eq!(all[0].origin, want, "{chosen_hand:?} {chosen_argo:?}");
        assert_eq!(all.len(), 2, "both are kept");
    }
}

#[test]
fn a_series_has_every_month() {
    let note = Note { text: "INFN-CATANIA-STACK was down".into(), by: "ada".into(), at: Timestamp(2) };
    let rows = BTreeMap::from([
        (month("2020-02"), vec![recorded(Origin::Hand, both(78.53, 78.53), None)]),
        (month("2020-04"), vec![recorded(Origin::Argo, Figures::default(), None)]),
        (month("2020-05"), vec![recorded(Origin::Hand, both(84.04, 84.04), None)]),
    ]);
    let all = series(rows, BTreeMap::from([(month("2020-02"), note)]), &AGREED, month("2020-01"), month("2020-06"));
    assert_eq!(all.len(), 6);
    assert_eq!(all.iter().filter(|m| m.below.any()).map(|m| m.month.to_string()).collect::<Vec<_>>(), ["2020-02", "2020-05"]);
    assert_eq!(all.iter().filter(|m| m.wants_note()).map(|m| m.month.to_string()).collect::<Vec<_>>(), ["2020-05"]);
    assert!(all[0].shown().is_none() && all[3].shown().is_some() && all[3].figures().is_empty());
}

#[test]
fn what_cannot_be_entered_is_named() {
    let entry = |m: &str, figures, instead| Entry { month: month(m), figures, instead };
    let present = month("2026-11");
    let argo = recorded(Origin::Argo, both(99.0, 98.5), None);
    let fields = |e: &Entry, shown: Option<&Recorded>| entry_problems(e, present, shown).into_iter().map(|f| f.field).collect::<Vec<_>>();
    assert_eq!(fields(&entry("2020-02", both(78.53, 78.53), false), None), Vec::<String>::new());
    assert_eq!(fields(&entry("2026-11", both(0.0, 100.0), false), None), Vec::<String>::new());
    assert_eq!(fields(&entry("2026-12", Figures::default(), false), None), ["month", "availability"]);
    assert_eq!(fields(&entry("2020-02", both(100.5, -1.0), false), None), ["availability", "reliability"]);
    // What ARGO says goes away only if that is said.
    assert_eq!(fields(&entry("2020-02", both(80.0, 80.0), false), Some(&argo)), ["instead"]);
    assert_eq!(fields(&entry("2020-02", both(80.0, 80.0), true), Some(&argo)), Vec::<String>::new());
    let said = entry_problems(&entry("2020-02", both(80.0, 80.0), false), present, Some(&argo));
    assert!(said[0].message.contains("99.00 %") && said[0].message.contains("2020-02"), "{said:?}");
    for (text, good) in [("The provider was down.\nSee ticket 5.", true), (" \n", false), ("a\0b", false), (&"x".repeat(4_001), false)] {
        assert_eq!(note_problem(text).is_none(), good, "{text:?}");
    }
}

fn settings() -> Settings {
    Settings {
        address: "https://api.argo.example.org".into(),
        version: Version::V2,
        format: Format::Json,
        report: "Critical".into(),
        group: "PROJECT/EGI/SITES/CESGA".into(),
        allow_http: false,
        since: month("2020-01"),
    }
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let fields = |s: &Settings| s.problems(month("2026-11")).into_iter().map(|f| f.field).collect::<Vec<_>>();
    assert_eq!(fields(&settings()), Vec::<String>::new());
    let pairs = settings().groups().unwrap();
    assert_eq!(pairs.iter().map(|g| (g.kind.as_str(), g.name.as_str())).collect::<Vec<_>>(), [("PROJECT", "EGI"), ("SITES", "CESGA")]);
    for (address, good) in [
        ("https://api.argo.example.org:8443/argo", true),
        ("http://127.0.0.1:9", true),
        ("http://[::1]:9", true),
        ("http://localhost", true),
        ("http://api.argo.example.org", false),
        ("http://127.0.0.1.example.org", false),
        ("http://10.0.0.1", false),
        ("https://me:secret@argo.example.org", false),
        ("https://argo.example.org?x-api-key=secret", false),
        ("https://argo.example.org/api/v2", false),
        ("argo.example.org", false),
        ("ftp://argo.example.org", false),
        ("", false),
    ] {
        let found = fields(&Settings { address: address.into(), ..settings() });
        assert_eq!(found.is_empty(), good, "{address}: {found:?}");
    }
    assert_eq!(fields(&Settings { address: "http://10.0.0.1".into(), allow_http: true, ..settings() }), Vec::<String>::new());
    for (report, group) in [("", "SITES/CESGA"), ("a/b", "SITES/CESGA")] {
        assert_eq!(fields(&Settings { report: report.into(), group: group.into(), ..settings() }), ["report"]);
    }
    for group in ["", "CESGA", "SITES/", "A/b/C", "A//B/c"] {
        assert_eq!(fields(&Settings { group: group.into(), ..settings() }), ["group"], "{group}");
    }
    assert_eq!(fields(&Settings { since: month("2026-12"), ..settings() }), ["since"]);
}

#[test]
fn failing_waits_longer_each_time_and_is_an_alert_after_three_days() {
    let now = Timestamp::from_secs(1_000_000);
    for (failures, wait) in [(0, 86_400), (1, 300), (2, 1_800), (3, 7_200), (4, 21_600), (99, 21_600)] {
        assert_eq!(next_try(failures, now), now.plus_secs(wait), "{failures}");
    }
    assert!(!is_alert(None, now) && !is_alert(Some(now.plus_secs(-3 * 86_400 + 1)), now) && is_alert(Some(now.plus_secs(-3 * 86_400)), now));
    for trouble in Trouble::ALL {
        let said = Failed::new(*trouble, "ARGO answered 401.").words();
        assert!(said.starts_with("ARGO answered 401; ") && said.len() > 30, "{said}");
    }
}
