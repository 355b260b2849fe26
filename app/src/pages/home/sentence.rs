//! The first sentence of home: whether the organisation could recover, and why not.
//!
//! Lives here: the words. May not: judging.

use domain::{standing::Gravity, units::Timestamp};
use ops::overview::Overview;

use crate::components::{standing::clause, status::Tone};

/// Lamp, headline and the line below it.
pub fn verdict(o: &Overview, now: Timestamp) -> (Tone, String, String) {
    let of = o.services.len();
    let (broken, at_risk, unknown) = (o.count(Some(Gravity::Broken)), o.count(Some(Gravity::AtRisk)), o.count(Some(Gravity::Unknown)));
    let only = o.services.first().filter(|_| of == 1).map(|s| s.row.title.clone());
    let (tone, headline) = match (broken, at_risk, unknown, only) {
        (1.., _, _, Some(name)) => (Tone::Fail, format!("{name} is not keeping its promise.")),
        (1, ..) => (Tone::Fail, format!("One of {of} services is not keeping its promise.")),
        (n @ 1.., ..) => (Tone::Fail, format!("{} of {of} services are not keeping their promise.", upper_number(n))),
        (0, 1.., _, Some(name)) => (Tone::Warn, format!("{name} keeps its promise and needs attention.")),
        (0, 1, ..) => (Tone::Warn, format!("No promise is broken, and one of {of} services needs attention.")),
        (0, n @ 1.., ..) => (Tone::Warn, format!("No promise is broken, and {} of {of} services need attention.", number(n))),
        (0, 0, 1.., Some(name)) => (Tone::None, format!("Nothing is known about {name} yet.")),
        (0, 0, n, _) if n == of => (Tone::None, "Nothing is known about any service yet.".to_owned()),
        (0, 0, n @ 1.., _) => {
            (Tone::None, format!("{} of {of} services {} no data yet; the others keep their promise.", upper_number(n), if n == 1 { "has" } else { "have" }))
        }
        (0, 0, 0, Some(name)) => (Tone::Ok, format!("{name} keeps its promise.")),
        (0, 0, 0, None) => (Tone::Ok, format!("All {of} services keep their promise.")),
    };
    let clauses: Vec<String> = o
        .services
        .iter()
        .filter_map(|s| s.worst().map(|f| (s, f)))
        .take(3)
        .map(|(s, f)| if of == 1 { format!("It {}", clause(f, now)) } else { format!("{} {}", s.row.title, clause(f, now)) })
        .collect();
    let why = match clauses.as_slice() {
        [] => "Copies are young enough, and restores were proven within their time.".to_owned(),
        [one] => format!("{one}."),
        [one, two] => format!("{one} and {two}."),
        [first @ .., last] => format!("{}, and {last}.", first.join(", ")),
    };
    (tone, headline, why)
}

/// Numbers up to twelve as words.
fn number(n: usize) -> String {
    const WORDS: [&str; 13] = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    WORDS.get(n).map_or_else(|| domain::units::count(n as i64), |w| (*w).to_owned())
}

fn upper_number(n: usize) -> String {
    crate::error::upper(&number(n))
}

#[cfg(test)]
mod tests {
    use domain::units::Timestamp;
    use ops::overview::{Overview, judge};
    use store::services::ServiceRow;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000_000);

    fn row(title: &str, snapshot_age_s: Option<i64>, test_age_s: Option<i64>) -> ServiceRow {
        let at = |age: Option<i64>| age.map(|s| NOW.plus_secs(-s).0);
        ServiceRow {
            id: uuid::Uuid::nil(),
            name: title.to_lowercase(),
            title: title.to_owned(),
            owner: String::new(),
            rpo_s: Some(86_400),
            rto_s: Some(3_600),
            mtpod_s: None,
            canary: None,
            created_at: 0,
            updated_at: 0,
            removed_at: None,
            items: 2,
            items_fresh: 2,
            last_snapshot_at: at(snapshot_age_s),
            last_run_id: None,
            last_run_state: None,
            last_run_at: None,
            last_test_id: None,
            last_test_verdict: test_age_s.map(|_| "passed".to_owned()),
            last_test_at: at(test_age_s),
            last_test_rto_s: Some(60.0),
            last_test_rpo_s: None,
            best_level: if test_age_s.is_some() { "asserted".to_owned() } else { "none".to_owned() },
            instances_alone: false,
            origin: store::origins::Origin::default(),
        }
    }

    fn said(rows: Vec<ServiceRow>) -> (Tone, String, String) {
        verdict(&Overview { services: rows.into_iter().map(|r| judge(r, None, NOW)).collect(), ..Overview::default() }, NOW)
    }

    #[test]
    fn the_first_sentence_leads_with_the_risk() {
        let (tone, headline, why) = said(vec![row("Registry", Some(9), None), row("Portal", Some(2 * 86_400), Some(9)), row("Hub", Some(9), Some(9))]);
        assert_eq!(tone, Tone::Fail);
        assert_eq!(headline, "Two of 3 services are not keeping their promise.");
        assert_eq!(why, "Registry has never been restored and Portal is 1\u{a0}d past its RPO.");
        let (tone, headline, why) = said(vec![row("Hub", Some(9), None)]);
        assert_eq!((tone, headline.as_str(), why.as_str()), (Tone::Fail, "Hub is not keeping its promise.", "It has never been restored."));
        let (tone, headline, _) = said(vec![row("Hub", Some(9), Some(91 * 86_400)), row("Lab", Some(9), Some(9))]);
        assert_eq!((tone, headline.as_str()), (Tone::Warn, "No promise is broken, and one of 2 services needs attention."));
    }

    #[test]
    fn no_data_is_never_good_news() {
        assert_eq!(said(vec![row("Hub", None, None)]).0, Tone::None);
        assert_eq!(said(vec![row("Hub", None, None), row("Lab", None, None)]).1, "Nothing is known about any service yet.");
        let (tone, headline, _) = said(vec![row("Hub", None, None), row("Lab", Some(9), Some(9))]);
        assert_eq!((tone, headline.as_str()), (Tone::None, "One of 2 services has no data yet; the others keep their promise."));
        assert_eq!(said(vec![row("Lab", Some(9), Some(9)), row("Hub", Some(9), Some(9))]).1, "All 2 services keep their promise.");
    }
}
