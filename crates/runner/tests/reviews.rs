//! Reminders of reviews: once before each stage, once when it is overdue, over when it is done; time is moved by hand.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;

use common::Site;
use domain::{
    alert::{AlertKind, rule::Rule},
    channel::{ChannelKind, Options},
    review::{Done, ReviewKind},
    units::Timestamp,
};
use jiff::civil::date;
use ops::{
    notifications::{
        Given,
        channels::{self, NewChannel},
        rules::{self, NewRule},
    },
    reviews,
    seal::Keys,
    secrets::{Secret, Vault},
};
use runner::{Deps, Watchdogs};
use store::{Clock, testing};

/// 2026-01-01: the service is configured; its first reviews are due on 2027-01-01.
const CONFIGURED: Timestamp = Timestamp::from_secs(1_767_225_600);
const DAY: i64 = 86_400;

struct Watched {
    site: Site,
    deps: Deps,
    dogs: Watchdogs,
    /// The day that it is, counted from the first.
    day: i64,
}

impl Watched {
    async fn new(db: testing::TestDb) -> Self {
        let mut site = Site::new(db).await;
        let keys = Keys::of(&site.deps.data_dir);
        keys.make().unwrap();
        let vault = Vault::new(site.deps.env.clone(), keys);
        let deps = Deps { clock: Clock::fixed(CONFIGURED), ..site.deps.clone() };
        site.ctx.clock = deps.clock.clone();
        let mut t = site.db.db.begin().await.unwrap();
        testing::execute(t.tx(), "DELETE FROM review").await;
        testing::execute(t.tx(), "UPDATE service SET created_at = 1767225600000000").await;
        t.commit().await.unwrap();
        let secrets = BTreeMap::from([("url".to_owned(), Given::Typed(Secret::new("http://127.0.0.1:9/hook")))]);
        channels::save(&site.ctx, &vault, &NewChannel { name: "hook".into(), kind: ChannelKind::Webhook, options: Options::default(), secrets }).await.unwrap();
        let what = Rule { kinds: vec![AlertKind::ReviewDue, AlertKind::ReviewOverdue], ..Rule::default() };
        rules::save(&site.ctx, &NewRule { name: "reviews".into(), channels: vec!["hook".into()], what }).await.unwrap();
        // Of the two kinds one is looked at here.
        reviews::exempt(&site.ctx, "notebooks", ReviewKind::Plan, date(2030, 1, 1), "looked at elsewhere").await.unwrap();
        Self { dogs: Watchdogs::new(deps.clone()), site, deps, day: 0 }
    }

    /// What is told on that day, by the first look and by a second one.
    async fn on(&mut self, day: i64) -> Vec<String> {
        self.deps.clock.advance_secs((day - self.day) * DAY);
        self.day = day;
        let before = self.said().await.len();
        self.dogs.look().await.unwrap();
        let said = self.said().await;
        self.dogs.look().await.unwrap();
        assert_eq!(self.said().await.len(), said.len(), "{}: a second look on day {day} says nothing new", self.site.db.name);
        said[before..].to_vec()
    }

    /// All messages of reviews, the oldest first.
    async fn said(&self) -> Vec<String> {
        let all = ops::notifications::deliveries::list(&self.site.ctx, "", "", None, 100).await.unwrap();
        let mut all: Vec<_> = all.into_iter().map(|d| (d.row.created_at, d.row.id, format!("{}: {}", d.row.event, d.row.message.0.headline))).collect();
        all.sort();
        all.into_iter().map(|(.., text)| text).collect()
    }

    async fn open(&self) -> Vec<AlertKind> {
        let of_reviews = |k: &AlertKind| matches!(k, AlertKind::ReviewDue | AlertKind::ReviewOverdue);
        ops::alerts::open(&self.site.ctx).await.unwrap().iter().map(|a| a.facts.0.kind()).filter(of_reviews).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reminder_comes_once_and_what_is_overdue_stays_open_until_it_is_reviewed() {
    for db in testing::databases().await {
        let what = db.name;
        let mut w = Watched::new(db).await;
        for quiet in [0, 300, 334] {
            assert_eq!(w.on(quiet).await, [""; 0], "{what}: day {quiet}");
        }
        assert_eq!(w.on(335).await, ["opened: Notebooks has a risk assessment due in 30 days"], "{what}");
        assert_eq!(w.on(350).await, [""; 0], "{what}");
        assert_eq!(w.on(358).await, ["worsened: Notebooks has a risk assessment due in 7 days"], "{what}");
        assert_eq!(w.on(365).await, [""; 0], "{what}: it is due today");
        assert_eq!(w.on(366).await, ["worsened: Notebooks has an overdue risk assessment, due on 2027-01-01"], "{what}");
        // Restarted, the watchdogs say nothing again, and it stays open.
        w.dogs = Watchdogs::new(w.deps.clone());
        assert_eq!(w.on(400).await, [""; 0], "{what}");
        assert_eq!(w.open().await, [AlertKind::ReviewOverdue], "{what}");

        // A review of its own date ends it.
        let done = |on| Done { on, by: "Olga".into(), outcome: "in order".into() };
        reviews::record(&w.site.ctx, "notebooks", ReviewKind::Risk, &done(date(2027, 2, 5))).await.unwrap();
        assert_eq!(w.on(401).await, ["resolved: Notebooks: review overdue is over"], "{what}");
        assert!(w.open().await.is_empty(), "{what}");
        // The next one is due on 2028-02-05. Holdfast was down meanwhile: one message says it all.
        assert_eq!(w.on(800).await, ["opened: Notebooks has an overdue risk assessment, due on 2028-02-05"], "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exempt_is_not_overdue_until_the_exemption_is_over() {
    for db in testing::databases().await {
        let what = db.name;
        let mut w = Watched::new(db).await;
        assert_eq!(w.on(366).await, ["opened: Notebooks has an overdue risk assessment, due on 2027-01-01"], "{what}");
        // 2027-01-31 is day 395.
        reviews::exempt(&w.site.ctx, "notebooks", ReviewKind::Risk, date(2027, 1, 31), "being replaced").await.unwrap();
        assert_eq!(w.on(367).await, ["resolved: Notebooks: review overdue is over"], "{what}");
        assert_eq!(w.on(395).await, [""; 0], "{what}: its last day");
        assert_eq!(w.on(396).await, ["opened: Notebooks has an overdue risk assessment, due on 2027-01-01"], "{what}");
        // An interval that makes it due later ends the alert as well.
        reviews::set_interval(&w.site.ctx, "notebooks", ReviewKind::Risk, 24, &ops::version::Seen::Any).await.unwrap();
        assert_eq!(w.on(397).await, ["resolved: Notebooks: review overdue is over"], "{what}");
        assert!(w.open().await.is_empty(), "{what}");
    }
}
