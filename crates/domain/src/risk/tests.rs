use super::*;

fn fields(wrong: &[FieldError]) -> Vec<&str> {
    wrong.iter().map(|e| e.field.as_str()).collect()
}

fn risk() -> Risk {
    Risk { description: "Staff not available".into(), likelihood: 3, impact: 2, ..Risk::default() }
}

fn problems(change: impl Fn(&mut Risk)) -> Vec<FieldError> {
    let mut risk = risk();
    change(&mut risk);
    risk.problems(&Scale::built_in())
}

#[test]
fn a_stated_level_is_kept_beside_the_computed_one() {
    let scale = Scale::built_in();
    let mut stated = Risk { stated_level: Some(" medium ".into()), ..risk() };
    stated.tidy(&scale);
    assert_eq!(stated.problems(&scale), []);
    let conflict = stated.conflict(&scale).unwrap();
    assert_eq!(conflict.words(), "stated Medium, but the rating is 6, which is High");
    assert_eq!(Risk { impact: 1, ..stated.clone() }.conflict(&scale), None, "3 × 1 is Medium");
    assert_eq!(Risk { stated_level: None, ..stated }.conflict(&scale), None);
}

#[test]
fn at_the_threshold_a_treatment_an_owner_and_a_date_are_asked_for() {
    let scale = Scale::built_in();
    assert_eq!(risk().incomplete(&scale), [Missing::Treatment, Missing::Owner, Missing::Due]);
    assert_eq!(fields(&risk().refuse_incomplete(&scale)), ["treatment", "owner", "due"]);
    assert!(Risk { impact: 1, ..risk() }.incomplete(&scale).is_empty(), "below it nothing is");
    let whole = Risk { treatment: Some(Treatment::Accept), owner: "notebooks-ops".into(), due: Some(jiff::civil::date(2021, 5, 31)), ..risk() };
    assert!(whole.incomplete(&scale).is_empty());
    assert_eq!(Risk { owner: "  ".into(), ..whole }.incomplete(&scale), [Missing::Owner]);
    let high = Scale { threshold: "Extreme".into(), ..scale };
    assert!(risk().incomplete(&high).is_empty());
}

#[test]
fn what_is_outside_the_scale_is_refused_with_the_legal_range() {
    let wrong = problems(|r| r.likelihood = 5);
    assert_eq!(wrong[0].to_string(), "likelihood: 5 is not on the scale 2021; give a number from 1 to 4 (1 rare, 4 frequent)");
    assert_eq!(fields(&problems(|r| (r.likelihood, r.impact) = (0, i64::MIN))), ["likelihood", "impact"]);
    let wrong = problems(|r| r.stated_level = Some("Grave".into()));
    assert_eq!(wrong[0].to_string(), "stated_level: “Grave” is no level of the scale 2021; give Low, Medium, High or Extreme, or leave it empty");
}

#[test]
fn what_is_wrong_names_its_field() {
    assert_eq!(problems(|_| ()), []);
    assert_eq!(fields(&problems(|r| r.description = " ".into())), ["description"]);
    assert_eq!(fields(&problems(|r| r.comment = "x".repeat(4_001))), ["comment"]);
    assert_eq!(fields(&problems(|r| r.downtime_s = Some(0))), ["downtime_span"]);
    let measure = |text: &str, proof| Measure { text: text.to_owned(), proof };
    let address = |url: &str| Some(Link::Address { url: url.to_owned() });
    assert_eq!(fields(&problems(|r| r.measures = vec![measure("a", None), measure("", Some(Link::RestoreTests))])), ["measures[1].text"]);
    for url in ["javascript:alert(1)", "https://", "https:///x", "https://a b"] {
        assert_eq!(fields(&problems(|r| r.measures = vec![measure("a", address(url))])), ["measures[0].proof"], "{url}");
    }
    assert_eq!(problems(|r| r.measures = vec![measure("a", address("https://status.example.org/"))]), []);
    assert_eq!(fields(&problems(|r| r.measures = vec![measure("a", None); 51])), ["measures"]);
}
