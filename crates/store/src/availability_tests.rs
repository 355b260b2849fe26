//! Figures of two origins beside each other, explanations, and the turns of fetching, on both databases.

use domain::{
    availability::{
        Figures, Month, Origin, Parts, in_order,
        source::{Failed, Format, Settings, Trouble, Version},
    },
    units::Timestamp,
};

use crate::{
    availability::{self, Told},
    repositories::SecretRef,
    services::{self, NewService},
    testing,
};

fn month(text: &str) -> Month {
    text.parse().unwrap()
}

fn both(a: f64, r: f64) -> Figures {
    Figures { availability: Some(a), reliability: Some(r) }
}

fn told<'a>(period: &'a str, origin: Origin, figures: Figures, parts: Option<Parts>, by: &'a str) -> Told<'a> {
    Told { period, origin, figures, parts, by }
}

fn service() -> NewService {
    NewService { name: "notebooks".into(), title: "Notebooks".into(), owner: String::new(), rpo_s: None, rto_s: None, mtpod_s: None, canary: None }
}

#[tokio::test]
async fn what_a_person_and_argo_say_of_a_month_stands_beside_each_other() {
    for db in testing::databases().await {
        let mut t = db.db.begin().await.unwrap();
        let id = services::upsert(t.tx(), &service(), Timestamp(1)).await.unwrap();
        let feb = month("2020-02");
        let parts = Parts { up: 0.53472, unknown: 0.01042, down: 0.33333 };
        availability::record(t.tx(), id, &told("2020-02", Origin::Hand, both(78.53, 78.53), None, "ada"), Timestamp(2)).await.unwrap();
        availability::record(t.tx(), id, &told("2020-02", Origin::Argo, parts.figures(), Some(parts), "https://argo"), Timestamp(3)).await.unwrap();
        availability::record(t.tx(), id, &told("2020-02-14", Origin::Argo, Figures::default(), None, "https://argo"), Timestamp(3)).await.unwrap();
        availability::record(t.tx(), id, &told("2020-05", Origin::Hand, both(84.04, 84.04), None, "ada"), Timestamp(2)).await.unwrap();

        let mut found = availability::months(t.tx(), id, feb, month("2020-04")).await.unwrap();
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [feb], "{}: days and other months are left out", db.name);
        let two = found.get_mut(&feb).unwrap();
        in_order(two);
        assert_eq!((two[0].origin, two[0].figures, two[0].by.as_str()), (Origin::Hand, both(78.53, 78.53), "ada"), "{}", db.name);
        assert_eq!((two[1].figures, two[1].parts), (both(54.035, 81.481), Some(parts)), "{}", db.name);
        let days = availability::days(t.tx(), id, feb).await.unwrap();
        assert_eq!((days.len(), days[0].0.as_str(), days[0].1.figures.is_empty()), (1, "2020-02-14", true), "{}", db.name);
        assert_eq!(availability::span(t.tx(), id).await.unwrap(), Some((feb, month("2020-05"))), "{}", db.name);

        // A choice stays when figures come anew.
        assert!(availability::choose(t.tx(), id, feb, Origin::Argo, "ada", Timestamp(4)).await.unwrap());
        assert!(!availability::choose(t.tx(), id, month("2020-05"), Origin::Argo, "ada", Timestamp(4)).await.unwrap(), "{}", db.name);
        availability::record(t.tx(), id, &told("2020-02", Origin::Argo, both(98.0, 99.0), None, "https://argo"), Timestamp(5)).await.unwrap();
        let mut two = availability::of_month(t.tx(), id, feb).await.unwrap();
        in_order(&mut two);
        assert_eq!((two.len(), two[0].figures, two[0].parts, two[0].chosen_by.as_deref()), (2, both(98.0, 99.0), None, Some("ada")), "{}", db.name);
        assert!(availability::remove(t.tx(), id, feb, Origin::Hand).await.unwrap());
        assert!(!availability::remove(t.tx(), id, feb, Origin::Hand).await.unwrap());

        availability::set_note(t.tx(), id, feb, "The provider was down.", "ada", Timestamp(5)).await.unwrap();
        availability::set_note(t.tx(), id, feb, "INFN-CATANIA-STACK was down.", "ben", Timestamp(6)).await.unwrap();
        let notes = availability::notes(t.tx(), id, feb, feb).await.unwrap();
        assert_eq!((notes[&feb].text.as_str(), notes[&feb].by.as_str()), ("INFN-CATANIA-STACK was down.", "ben"), "{}", db.name);
        assert!(availability::remove_note(t.tx(), id, feb).await.unwrap());
        assert_eq!(availability::note(t.tx(), id, feb).await.unwrap(), None, "{}", db.name);
    }
}

#[tokio::test]
async fn one_process_fetches_and_what_became_of_it_is_kept() {
    for db in testing::databases().await {
        let mut t = db.db.begin().await.unwrap();
        let id = services::upsert(t.tx(), &service(), Timestamp(1)).await.unwrap();
        let settings = Settings {
            address: "https://api.argo.example.org".into(),
            version: Version::V3,
            format: Format::Json,
            report: "Critical".into(),
            group: "SITES/CESGA".into(),
            allow_http: false,
            since: month("2020-01"),
        };
        let key = SecretRef::Sealed("v1.x.y".into());
        let now = Timestamp::from_secs(1_000_000);
        assert!(availability::source(t.tx(), id).await.unwrap().is_none());
        availability::save_source(t.tx(), id, &settings, &key, now).await.unwrap();
        let row = availability::due(t.tx(), now, 10).await.unwrap().remove(0);
        assert_eq!((row.name.as_str(), &row.settings.0, &row.key.0, row.failures), ("notebooks", &settings, &key, 0), "{}", db.name);
        assert!(availability::take(t.tx(), &row, now).await.unwrap(), "{}", db.name);
        assert!(!availability::take(t.tx(), &row, now).await.unwrap(), "{}: another has it", db.name);
        assert!(availability::due(t.tx(), now.plus_secs(899), 10).await.unwrap().is_empty(), "{}", db.name);
        assert_eq!(availability::due(t.tx(), now.plus_secs(900), 10).await.unwrap().len(), 1, "{}: a fetch that was cut short", db.name);

        let trouble = Failed::new(Trouble::WrongKey, "ARGO answered 401");
        for (n, wait) in [(1, 300), (2, 1_800)] {
            let row = availability::source(t.tx(), id).await.unwrap().unwrap();
            assert!(availability::failed(t.tx(), &row, &trouble, now.plus_secs(n)).await.unwrap());
            let row = availability::source(t.tx(), id).await.unwrap().unwrap();
            assert_eq!((row.failures, row.next_at), (n, now.plus_secs(n + wait).0), "{}", db.name);
            assert_eq!(row.failing_since, Some(now.plus_secs(1).0), "{}: since the first of them", db.name);
        }
        let failing = availability::failing(t.tx(), 10).await.unwrap().remove(0);
        assert_eq!(failing.failed.as_ref().map(|f| f.0.clone()), Some(trouble), "{}", db.name);
        assert!(availability::fetched(t.tx(), &failing, now.plus_secs(9)).await.unwrap());
        let row = availability::source(t.tx(), id).await.unwrap().unwrap();
        assert_eq!((row.failures, row.failing_since, row.failed.is_none(), row.next_at), (0, None, true, now.plus_secs(9 + 86_400).0), "{}", db.name);

        // New settings are fetched at once, and an answer to the old ones is no answer to them.
        availability::save_source(t.tx(), id, &Settings { report: "Other".into(), ..settings }, &key, now.plus_secs(20)).await.unwrap();
        assert!(!availability::fetched(t.tx(), &row, now.plus_secs(21)).await.unwrap(), "{}", db.name);
        assert_eq!(availability::due(t.tx(), now.plus_secs(20), 10).await.unwrap().len(), 1, "{}", db.name);
        availability::ask_now(t.tx(), id, now.plus_secs(5)).await.unwrap();
        assert!(availability::remove_source(t.tx(), id).await.unwrap() && !availability::remove_source(t.tx(), id).await.unwrap());
        assert!(availability::sources(t.tx(), 10).await.unwrap().is_empty(), "{}", db.name);
    }
}
