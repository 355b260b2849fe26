use super::*;

/// A home of 400 files that changes a little.
fn quiet(n: usize) -> Vec<Past> {
    (0..n as i64)
        .map(|i| past(Measure { added: i % 3, rewritten: 2 + i % 4, removed: i % 2, came_bytes: 90_000, noise_bytes: Some(4_000), ..level(400) }))
        .collect()
}

fn level(files: i64) -> Measure {
    Measure { compared: true, files, bytes: files * 20_000, noise_bytes: Some(0), ..Measure::default() }
}

fn past(measure: Measure) -> Past {
    Past { measure, ..Past::default() }
}

fn signs(history: &[Past], measure: Measure) -> Vec<Sign> {
    judge(history, &past(measure)).into_iter().map(|f| f.sign).collect()
}

/// Files of 400: added, rewritten, removed, turned.
fn of_400(added: i64, rewritten: i64, removed: i64, turned: i64) -> Measure {
    Measure { added, rewritten, removed, turned, ..level(400 + added - removed) }
}

#[test]
fn what_is_a_sign_and_what_is_not() {
    let h = quiet(20);
    for (what, measure, want) in [
        ("nothing", of_400(0, 0, 0, 0), vec![]),
        ("a busy day", of_400(120, 60, 30, 0), vec![]),
        ("a big download", Measure { added: 3, came_bytes: 5 << 30, noise_bytes: Some(5 << 30), ..level(403) }, vec![]),
        ("a cleaned cache", Measure { shed: 9_000, ..level(400) }, vec![]),
        ("a renamed folder", Measure { moved: 380, ..level(400) }, vec![]),
        ("half of it tidied away", of_400(0, 0, 199, 0), vec![]),
        ("a folder of pictures replaced", Measure { came_bytes: 1 << 30, noise_bytes: Some(1 << 30), ..of_400(0, 200, 0, 0) }, vec![]),
        ("seven files encrypted by hand", of_400(0, 7, 0, 7), vec![]),
        ("eight files turned", of_400(0, 8, 0, 8), vec![Sign::Turned]),
        ("all of it encrypted", of_400(1, 400, 0, 390), vec![Sign::Turned]),
        ("encrypted and the rest removed", of_400(1, 100, 300, 100), vec![Sign::Turned, Sign::Lost]),
        ("removed", of_400(0, 0, 400, 0), vec![Sign::Lost]),
        ("most of it removed", of_400(0, 0, 261, 0), vec![Sign::Lost]),
        ("all of it rewritten, still readable", of_400(0, 390, 0, 0), vec![Sign::Rewritten]),
        ("half of it cut short", Measure { bytes: 100_000, ..of_400(0, 200, 0, 0) }, vec![Sign::Shrunk]),
    ] {
        assert_eq!(signs(&h, measure), want, "{what}");
    }
}

#[test]
fn a_first_snapshot_needs_no_decision_and_a_second_one_is_judged() {
    let first = Measure { compared: false, added: 400, turned: 0, ..level(400) };
    assert_eq!(signs(&[], first.clone()), []);
    assert_eq!(signs(&[], Measure { turned: 400, removed: 400, compared: false, ..level(400) }), []);
    let history = [past(first)];
    assert_eq!(signs(&history, of_400(0, 400, 0, 380)), [Sign::Turned]);
    assert_eq!(signs(&history, of_400(0, 0, 380, 0)), [Sign::Lost]);
    assert_eq!(signs(&history, of_400(300, 30, 20, 0)), []);
}

#[test]
fn small_items_have_floors() {
    let history = |files| vec![past(level(files)); 9];
    let of = |files: i64, rewritten, removed, turned| Measure { rewritten, removed, turned, ..level(files - removed) };
    for (what, files, measure, want) in [
        ("three of three encrypted", 3, of(3, 3, 0, 3), vec![]),
        ("four of five encrypted", 5, of(5, 4, 0, 4), vec![Sign::Turned]),
        ("four of seven encrypted", 7, of(7, 4, 0, 4), vec![]),
        ("nine of nine removed", 9, of(9, 0, 9, 0), vec![]),
        ("ten of ten removed", 10, of(10, 0, 10, 0), vec![Sign::Lost]),
        ("thirty of forty removed", 40, of(40, 0, 30, 0), vec![]),
        ("thirty-two of forty removed", 40, of(40, 0, 32, 0), vec![Sign::Lost]),
        ("twenty of twenty rewritten", 20, of(20, 20, 0, 0), vec![]),
        ("twenty-nine of thirty rewritten", 30, of(30, 29, 0, 0), vec![]),
        ("thirty of thirty rewritten", 30, of(30, 30, 0, 0), vec![Sign::Rewritten]),
    ] {
        assert_eq!(signs(&history(files), measure), want, "{what}");
    }
}

#[test]
fn what_an_item_does_every_night_is_usual() {
    // A folder of dumps is rewritten whole, a scratch folder is emptied and filled, a vault is encrypted anew.
    let dumps: Vec<Past> = (0..9).map(|i| past(of_400(0, 380 + i, 0, 0))).collect();
    assert_eq!(signs(&dumps, of_400(0, 390, 0, 0)), []);
    let scratch: Vec<Past> = (0..9).map(|i| past(of_400(300, 0, 300 + i, 0))).collect();
    assert_eq!(signs(&scratch, of_400(0, 0, 300, 0)), [], "its files are usually replaced");
    let vault: Vec<Past> = (0..9).map(|i| past(of_400(0, 30, 0, 20 + i % 3))).collect();
    assert_eq!(signs(&vault, of_400(0, 30, 0, 22)), []);
    assert_eq!(signs(&vault, of_400(0, 300, 0, 300)), [Sign::Turned]);
    // One such night among quiet ones is not usual.
    let mut once = quiet(10);
    once[4] = past(of_400(0, 390, 0, 0));
    assert_eq!(signs(&once, of_400(0, 390, 0, 0)), [Sign::Rewritten]);
}

#[test]
fn what_came_lately_may_go() {
    // A data set of 2 000 files came three days ago and is removed again.
    let mut h = quiet(12);
    h.extend([past(Measure { added: 2_000, ..level(2_400) }), past(level(2_400)), past(level(2_400))]);
    assert_eq!(signs(&h, Measure { removed: 2_000, ..level(400) }), []);
    assert_eq!(signs(&h, Measure { removed: 2_400, ..level(0) }), [Sign::Lost]);
}

#[test]
fn an_accepted_state_is_normal_and_what_it_changed_counts_no_more() {
    let mut h = quiet(9);
    h.push(Past { accepted: true, ..past(of_400(0, 0, 380, 0)) });
    assert_eq!(signs(&h, level(20)), []);
    assert_eq!(signs(&h, Measure { removed: 3, ..level(17) }), []);
    assert_eq!(signs(&h, Measure { removed: 20, ..level(0) }), [Sign::Lost]);
    let mut h = quiet(9);
    h.push(Past { accepted: true, ..past(of_400(0, 300, 0, 300)) });
    assert_eq!(signs(&h, of_400(0, 1, 0, 1)), []);
    assert_eq!(signs(&h, of_400(0, 60, 0, 60)), [Sign::Turned], "a second attack is one");
}

#[test]
fn a_few_in_every_snapshot_add_up() {
    let mut h = quiet(9);
    let mut told = None;
    for day in 0..12 {
        let m = of_400(0, 6, 0, 6);
        if signs(&h, m.clone()).contains(&Sign::Drip) {
            told = Some(day);
            break;
        }
        h.push(past(m));
    }
    assert_eq!(told, Some(3), "the fourth day makes 24");
}

#[test]
fn unreadable_files_are_not_gone() {
    let partial = |m: Measure| Past { partial: true, ..past(m) };
    let mut h = quiet(9);
    assert_eq!(judge(&h, &partial(of_400(0, 0, 400, 0))), []);
    h.push(partial(of_400(0, 0, 400, 0)));
    // They are back, or they are gone for good.
    assert_eq!(signs(&h, Measure { added: 400, ..level(400) }), []);
    assert_eq!(signs(&h, level(0)), [Sign::Lost]);
    assert_eq!(judge(&h, &partial(of_400(0, 300, 0, 300))).len(), 1, "noise is noise, whatever else could not be read");
}

#[test]
fn quiet_measures_are_below_every_floor() {
    let mut tried = 0;
    for files in [1_i64, 5, 10, 19, 20, 50, 400, 100_000] {
        for (rewritten, removed) in [(0, 0), (19, 0), (0, 9), (19, 9)] {
            let m = Measure { rewritten: rewritten.min(files), removed: removed.min(files), bytes: 0, ..level((files - removed).max(0)) };
            assert!(m.is_quiet());
            assert_eq!(signs(&quiet(20), m.clone()), [], "{m:?}");
            assert_eq!(signs(&[], m.clone()), [], "{m:?}");
            tried += 1;
        }
    }
    assert_eq!(tried, 32);
}

#[test]
fn many_small_items_are_one_event() {
    let turned = Measure { turned: 4, rewritten: 4, ..level(6) };
    let emptied = Measure { removed: 3, ..level(0) };
    let all = |n: usize, m: &Measure| crowd(std::iter::repeat_n(m, n).chain(std::iter::repeat_n(&level(6), 40 - n)));
    assert!(all(5, &turned).is_one_event() && !all(4, &turned).is_one_event());
    assert!(all(5, &emptied).is_one_event() && !all(4, &emptied).is_one_event());
    let mut gone = Crowd { known: 75, gone: 18, ..Crowd::default() };
    assert!(!gone.is_one_event());
    gone.gone = 19;
    assert_eq!(gone.measured(), ["19 of 75 items are no longer there; out of the ordinary from 19 on"]);
    assert!(!crowd(std::iter::repeat_n(&Measure { compared: false, ..turned }, 40)).is_one_event(), "first snapshots");
}

#[test]
fn findings_say_their_numbers() {
    let found = judge(&quiet(20), &past(Measure { turned_bytes: 7_800_000, came_bytes: 8_000_000, noise_bytes: Some(7_900_000), ..of_400(1, 400, 0, 390) }));
    let facts = Facts { snapshot: None, taken_at: Timestamp(0), findings: found, measure: of_400(1, 400, 0, 390), compared: 20, crowd: None };
    assert_eq!(
        facts.reason(),
        "390 files of 400 (98 %, 7.80 MB) turned into noise: they could be compressed or recognised before and cannot be now, as if they were encrypted"
    );
    assert_eq!(facts.findings[0].expected(), "usual in a snapshot: none; out of the ordinary from 8 on");
    assert_eq!(facts.names(), "turned into noise");
    let lost = judge(&quiet(20), &past(Measure { removed_bytes: 6_000_000, ..of_400(0, 0, 390, 0) }));
    assert_eq!(lost[0].measured(), "390 files of 400 (98 %, 6.00 MB) are gone or empty, and were not moved");
}
