//! From what is wrong to the message and back: alerts on real runs, rules, receivers over HTTP, time that is moved.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{collections::BTreeMap, fs, sync::Arc};

use common::{Site, ear::Ear};
use domain::{
    alert::{AlertKind, Severity, rule::Rule},
    channel::{ChannelKind, Options},
    run::RunState,
    work::Selection,
};
use ops::{
    alerts::Which,
    notifications::{
        Given,
        channels::{self, NewChannel},
        heartbeats::{self, NewHeartbeat},
        rules::{self, NewRule},
    },
    seal::Keys,
    secrets::{Secret, Vault},
};
use runner::{Deps, Fault, Heart, Moment, Notifier, Watchdogs};
use store::{
    Clock,
    alerts::AlertRow,
    deliveries,
    holds::{self, HoldKind, NewHold},
    queue::Lease,
    testing,
};

const H: i64 = 3_600;

/// A site whose alerts go to a webhook, with a clock for the watchdogs that stands until it is moved.
struct Watched {
    site: Site,
    deps: Deps,
    vault: Vault,
    ear: Ear,
    dogs: Watchdogs,
}

impl Watched {
    async fn new(db: testing::TestDb) -> Self {
        let mut site = Site::new(db).await;
        let keys = Keys::of(&site.deps.data_dir);
        keys.make().unwrap();
        let vault = Vault::new(site.deps.env.clone(), keys);
        let deps = Deps { clock: Clock::fixed(Clock::System.now()), ..site.deps.clone() };
        site.ctx.clock = deps.clock.clone();
        let watched = Self { dogs: Watchdogs::new(deps.clone()), ear: Ear::open().await, site, deps, vault };
        // Configured long ago, so that the service has a past; the repository is new.
        watched.sql("UPDATE service SET created_at = 1").await;
        watched.sql("UPDATE repository SET created_at = 4102444800000000").await;
        watched
    }

    async fn sql(&self, text: &'static str) {
        let mut t = self.site.db.db.begin().await.unwrap();
        store::testing::execute(t.tx(), text).await;
        t.commit().await.unwrap();
    }

    async fn channel(&self, name: &str, kind: ChannelKind, secrets: &[(&str, &str)]) {
        let secrets: BTreeMap<_, _> = secrets.iter().map(|(n, s)| ((*n).to_owned(), Given::Typed(Secret::new(*s)))).collect();
        let new = NewChannel { name: name.into(), kind, options: Options::default(), secrets };
        channels::save(&self.site.ctx, &self.vault, &new).await.unwrap();
    }

    async fn hook(&self, name: &str) {
        self.channel(name, ChannelKind::Webhook, &[("url", &format!("{}/{name}?token=very-secret", self.ear.url))]).await;
    }

    async fn rule(&self, name: &str, channels: &[&str], what: Rule) {
        let channels = channels.iter().map(|c| (*c).to_owned()).collect();
        rules::save(&self.site.ctx, &NewRule { name: name.into(), channels, what }).await.unwrap();
    }

    /// Enters the run into the ledger as that of a schedule.
    async fn started_by_schedule(&self, name: &str, run: &store::runs::RunRow) {
        let now = self.site.ctx.now();
        let draft = ops::schedules::Draft { name: name.into(), of: "notebooks".into(), cron: "15 1 * * *".into(), ..ops::schedules::Draft::default() };
        let schedule = ops::schedules::save(&self.site.ctx, &draft, None).await.unwrap();
        let new = store::ticks::NewTick {
            schedule,
            due_at: now,
            kind: domain::schedule::ScheduleKind::Backup,
            service: run.service_id.map(domain::id::ServiceId),
            target_id: run.source_id.unwrap(),
            target: "homes",
            became: store::ticks::Became::Run(domain::id::RunId(run.id)),
        };
        let mut t = self.site.db.db.begin().await.unwrap();
        store::ticks::insert(t.tx(), &new, now).await.unwrap();
        t.commit().await.unwrap();
    }

    /// Looks, delivers, and gives what was heard as `event kind path`.
    async fn look(&mut self) -> Vec<String> {
        self.dogs.look().await.unwrap();
        Notifier::new(self.deps.clone()).deliver_due().await.unwrap();
        self.ear.take().iter().map(|h| format!("{} {} {}", h.body["event"].as_str().unwrap_or("-"), h.body["kind"].as_str().unwrap_or("-"), h.path)).collect()
    }

    async fn open(&self) -> Vec<AlertRow> {
        ops::alerts::open(&self.site.ctx).await.unwrap()
    }

    async fn kinds(&self) -> Vec<AlertKind> {
        self.open().await.iter().map(|a| a.facts.0.kind()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_opens_is_told_once_and_its_end_is_told() {
    for db in testing::databases().await {
        let what = db.name;
        let mut w = Watched::new(db).await;
        w.hook("hook").await;
        w.rule("all", &["hook"], Rule::default()).await;
        w.rule("twice", &["hook"], Rule { severity: Severity::Critical, ..Rule::default() }).await;

        // Nothing was copied within the RPO.
        assert_eq!(w.look().await, ["opened no_copy /hook?token=very-secret"], "{what}");
        assert_eq!(w.look().await, [""; 0], "{what}: a second look says nothing new");
        let first = w.open().await.remove(0);

        // A backup mends that; what was copied was never restored.
        w.site.backup().await;
        assert_eq!(w.look().await, ["resolved no_copy /hook?token=very-secret", "opened never_restored /hook?token=very-secret"], "{what}");
        let over = ops::alerts::find(&w.site.ctx, first.id()).await.unwrap();
        assert!(over.resolved_at.is_some(), "{what}");
        assert_eq!(w.kinds().await, [AlertKind::NeverRestored], "{what}");

        // A restore test mends the rest.
        let run = ops::restore_tests::start(&w.site.ctx, "notebooks", Selection::All).await.unwrap();
        assert_eq!(w.site.end(run).await.state, RunState::Succeeded, "{what}");
        assert_eq!(w.look().await, ["resolved never_restored /hook?token=very-secret"], "{what}");
        assert!(w.open().await.is_empty(), "{what}");

        // Time passes, and the same condition opens a second alert.
        w.deps.clock.advance_secs(25 * H);
        assert_eq!(w.look().await, ["opened rpo_overdue /hook?token=very-secret"], "{what}");
        let late = w.open().await.remove(0);
        assert!(late.text.contains("The oldest: ada ("), "{what}: {}", late.text);
        let service = ops::services::find(&w.site.ctx, "notebooks").await.unwrap();
        assert_eq!((service.items, service.items_fresh), (3, 0), "{what}: coverage follows the time as well");
        assert_eq!(ops::alerts::list(&w.site.ctx, Which::All, Some("notebooks"), None, 100).await.unwrap().len(), 3, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_watchdogs_at_once_open_an_alert_once_and_tell_once() {
    for db in testing::databases().await {
        let w = Watched::new(db).await;
        w.hook("hook").await;
        w.rule("all", &["hook"], Rule::default()).await;
        let mut dogs: Vec<_> = (0..4).map(|_| Watchdogs::new(w.deps.clone())).collect();
        let looks = futures::future::join_all(dogs.iter_mut().map(Watchdogs::look)).await;
        let opened: usize = looks.into_iter().map(|l| l.unwrap().opened).sum();
        assert_eq!(opened, 1, "{}", w.site.db.name);
        Notifier::new(w.deps.clone()).deliver_due().await.unwrap();
        assert_eq!(w.ear.take().len(), 1, "{}", w.site.db.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_repositories_and_items_that_go_wrong_are_named() {
    for db in testing::databases().await {
        let what = db.name;
        let mut w = Watched::new(db).await;
        w.site.backup().await;

        // The newest backup of the source fails.
        let faulty = w.site.with_faults(|step, moment| (step == "capture" && moment == Moment::Begun).then_some(Fault::Fail { permanent: true }));
        let run = ops::backups::start(&w.site.ctx, "notebooks", None, None).await.unwrap()[0];
        assert_eq!(w.site.end_with(faulty, run).await.state, RunState::Failed, "{what}");
        w.look().await;
        let failed = w.open().await.into_iter().find(|a| a.facts.0.kind() == AlertKind::RunFailed).expect(what);
        assert_eq!((failed.entity.as_str(), failed.name.as_str(), failed.run_id), ("source", "notebooks/homes", Some(run.0)), "{what}");
        assert!(failed.text.starts_with("Backup of notebooks/homes failed"), "{what}: {}", failed.text);

        // A success of the same source ends it.
        w.site.backup().await;
        w.look().await;
        assert_eq!(w.kinds().await, [AlertKind::NeverRestored], "{what}");

        // A damaged repository, found by a check.
        let packs = w.site.folder.path().join("repo/data");
        for folder in fs::read_dir(&packs).unwrap().flatten() {
            for pack in fs::read_dir(folder.path()).unwrap().flatten() {
                fs::remove_file(pack.path()).unwrap();
            }
        }
        let check = ops::checks::start(&w.site.ctx, "main", false).await.unwrap();
        assert_eq!(w.site.end(check).await.state, RunState::Failed, "{what}");
        w.look().await;
        let damaged = w.open().await.remove(0);
        assert_eq!((damaged.facts.0.kind(), damaged.entity.as_str(), damaged.run_id), (AlertKind::RepositoryDamaged, "repository", Some(check.0)), "{what}");

        // Its password is lost: it cannot be used at all.
        w.sql("UPDATE repository SET check_state = 'ok'").await;
        let deps = Deps { env: Arc::new(BTreeMap::from([("PASSWORD".to_owned(), "wrong".to_owned())])), ..w.site.deps.clone() };
        let check = ops::checks::start(&w.site.ctx, "main", false).await.unwrap();
        assert_eq!(w.site.end_with(deps, check).await.state, RunState::Failed, "{what}");
        w.look().await;
        let lost = w.open().await.into_iter().find(|a| a.facts.0.kind() == AlertKind::RepositoryUnreachable).expect(what);
        assert!(lost.text.contains("password"), "{what}: {}", lost.text);

        // A month later nobody has checked it.
        w.deps.clock.advance_secs(31 * 24 * H);
        w.look().await;
        assert!(w.kinds().await.contains(&AlertKind::RepositoryUnchecked), "{what}: {:?}", w.kinds().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guards_hold_is_an_alert_until_a_person_decides() {
    for db in testing::databases().await {
        let mut w = Watched::new(db).await;
        w.site.backup().await;
        let place = |kind, reason: &str| NewHold {
            service: w.site.service,
            item: None,
            snapshot: None,
            kind,
            reason: reason.into(),
            facts: None,
            run: None,
            actor: "test".into(),
        };
        let (mine, guards, now) = (place(HoldKind::Person, "a lawyer asked"), place(HoldKind::Guard, "38 % of the files changed"), w.deps.clock.now());
        let mut t = w.site.db.db.begin().await.unwrap();
        holds::place(t.tx(), &mine, now).await.unwrap();
        let id = holds::place(t.tx(), &guards, now).await.unwrap();
        t.commit().await.unwrap();
        w.look().await;
        let held = w.open().await.into_iter().find(|a| a.facts.0.kind() == AlertKind::HoldStands).unwrap();
        assert!(held.text.starts_with("38 % of the files changed. On hold for "), "{}", held.text);
        let mut t = w.site.db.db.begin().await.unwrap();
        assert!(holds::keep(t.tx(), id, "somebody", "it was an upgrade").await.unwrap());
        t.commit().await.unwrap();
        w.look().await;
        assert!(!w.kinds().await.contains(&AlertKind::HoldStands), "{}", w.site.db.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_away_gets_it_later_and_one_that_refuses_is_itself_an_alert() {
    for db in testing::databases().await {
        let what = db.name;
        let mut w = Watched::new(db).await;
        w.hook("hook").await;
        w.hook("other").await;
        w.rule("all", &["hook", "other"], Rule::default()).await;
        w.ear.answer(503, "not now", &[]);
        w.ear.answer(200, "ok", &[]);
        assert_eq!(w.look().await.len(), 2, "{what}");
        let page = || ops::notifications::deliveries::list(&w.site.ctx, "queued", "", None, 10);
        let waiting = page().await.unwrap().remove(0);
        assert_eq!((waiting.row.attempts, waiting.row.answer.as_deref()), (1, Some("503 Service Unavailable not now")), "{what}");
        let away = waiting.channel.clone();

        // The end waits for the beginning, so that a receiver hears them in their order.
        w.site.backup().await;
        let heard = w.look().await;
        assert!(!heard.iter().any(|h| h.contains(&format!("/{away}?")) && h.starts_with("resolved")), "{what}: {heard:?}");
        w.deps.clock.advance_secs(31);
        let heard: Vec<_> = w.look().await.into_iter().filter(|h| h.contains(&format!("/{away}?")) && h.contains("no_copy")).collect();
        let events: Vec<_> = heard.iter().filter_map(|h| h.split(' ').next()).collect();
        assert_eq!(events, ["opened", "resolved"], "{what}");

        // A refusal for good is given up at once, is shown, and opens an alert that goes to the other channel alone.
        w.deps.clock.advance_secs(25 * H);
        w.ear.answer(404, r#"{"error": "no such hook"}"#, &[]);
        let heard = w.look().await;
        let refused = heard[0].split(' ').nth(2).unwrap().trim_start_matches('/').split('?').next().unwrap().to_owned();
        let failed = ops::notifications::deliveries::list(&w.site.ctx, "failed", "", None, 10).await.unwrap().remove(0);
        assert_eq!(
            (failed.channel.as_str(), failed.row.answer.as_deref(), failed.row.attempts),
            (refused.as_str(), Some("404 Not Found no such hook"), 1),
            "{what}"
        );
        let heard = w.look().await;
        assert_eq!(heard.len(), 1, "{what}: {heard:?}");
        assert!(heard[0].starts_with("opened channel_failing") && !heard[0].contains(&format!("/{refused}?")), "{what}: {heard:?}");
        // Nothing that was recorded holds the token.
        for d in ops::notifications::deliveries::list(&w.site.ctx, "", "", None, 100).await.unwrap() {
            let (_, tries) = ops::notifications::deliveries::find(&w.site.ctx, d.row.id()).await.unwrap();
            assert!(!format!("{d:?}{tries:?}").contains("very-secret"), "{what}");
        }
        // A person sends it again, it arrives, and the alert is over.
        ops::notifications::deliveries::retry(&w.site.ctx, failed.row.id()).await.unwrap();
        w.deps.clock.advance_secs(5);
        let heard = [w.look().await, w.look().await].concat();
        assert!(heard.iter().any(|h| h.starts_with("resolved channel_failing")), "{what}: {heard:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_dead_sender_is_sent_again_under_its_own_number() {
    for db in testing::databases().await {
        let what = db.name;
        let mut w = Watched::new(db).await;
        w.hook("hook").await;
        w.rule("all", &["hook"], Rule::default()).await;
        w.dogs.look().await.unwrap();
        let now = w.deps.clock.now();
        let mut t = w.site.db.db.begin().await.unwrap();
        let lease = Lease { owner: "elsewhere@1:1:1.a", token: uuid::Uuid::now_v7(), until: now.plus_secs(90) };
        let taken = deliveries::claim(t.tx(), &lease, now).await.unwrap().expect(what);
        t.commit().await.unwrap();
        assert_eq!(Notifier::new(w.deps.clone()).deliver_due().await.unwrap(), 0, "{what}: it is another's");
        w.deps.clock.advance_secs(91);
        assert_eq!(Notifier::new(w.deps.clone()).deliver_due().await.unwrap(), 1, "{what}");
        let heard = w.ear.take();
        assert_eq!((heard.len(), heard[0].header("webhook-id")), (1, taken.id.to_string().as_str()), "{what}");
        let (d, tries) = ops::notifications::deliveries::find(&w.site.ctx, taken.id()).await.unwrap();
        assert_eq!((d.row.state.as_str(), d.row.attempts, tries.len()), ("sent", 2, 2), "{what}");
        assert_eq!((tries[1].outcome.as_deref(), tries[0].outcome.as_deref()), (None, Some("sent")), "{what}: the first was cut short");
        // The dead one comes back and may change nothing.
        let mut t = w.site.db.db.begin().await.unwrap();
        assert!(!deliveries::end_attempt(t.tx(), &taken, lease.token, deliveries::Outcome::Refused, "late", now).await.unwrap(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_choose_reminders_repeat_and_who_knows_is_left_alone() {
    let mut w = Watched::new(testing::sqlite().await).await;
    w.hook("mine").await;
    w.hook("others").await;
    w.rule("mine", &["mine"], Rule { services: vec!["notebooks".into()], remind_s: Some(24 * H), ..Rule::default() }).await;
    w.rule("others", &["others"], Rule { services: vec!["elsewhere".into()], ..Rule::default() }).await;
    assert_eq!(w.look().await, ["opened no_copy /mine?token=very-secret"]);
    w.deps.clock.advance_secs(23 * H);
    assert_eq!(w.look().await, [""; 0]);
    w.deps.clock.advance_secs(H + 1);
    assert_eq!(w.look().await, ["reminder no_copy /mine?token=very-secret"]);
    // A process that starts anew does not repeat it.
    w.dogs = Watchdogs::new(w.deps.clone());
    assert_eq!(w.look().await, [""; 0]);
    w.deps.clock.advance_secs(72 * H);
    assert_eq!(w.look().await, ["reminder no_copy /mine?token=very-secret"], "after a pause the newest alone");
    let alert = w.open().await.remove(0);
    ops::alerts::acknowledge(&w.site.ctx, alert.id(), "being mended").await.unwrap();
    w.deps.clock.advance_secs(48 * H);
    assert_eq!(w.look().await, [""; 0]);
    // A rule that is made later hears of what is open, unless somebody knows of it.
    w.rule("late", &["others"], Rule::default()).await;
    assert_eq!(w.look().await, [""; 0]);

    // Its end is told to whoever was told of it.
    let mut w = Watched::new(testing::sqlite().await).await;
    w.hook("mine").await;
    w.hook("others").await;
    w.rule("mine", &["mine"], Rule { services: vec!["notebooks".into()], ..Rule::default() }).await;
    assert_eq!(w.look().await, ["opened no_copy /mine?token=very-secret"]);
    let alert = w.open().await.remove(0);
    ops::alerts::acknowledge(&w.site.ctx, alert.id(), "being mended").await.unwrap();
    w.rule("late", &["others"], Rule::default()).await;
    assert_eq!(w.look().await, [""; 0]);
    w.site.backup().await;
    let heard = w.look().await;
    assert!(
        heard.contains(&"resolved no_copy /mine?token=very-secret".to_owned()) && !heard.iter().any(|h| h.starts_with("resolved") && h.contains("others")),
        "{heard:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_is_made_later_hears_of_what_is_open() {
    let mut w = Watched::new(testing::sqlite().await).await;
    w.hook("hook").await;
    assert_eq!(w.look().await, [""; 0]);
    w.rule("late", &["hook"], Rule::default()).await;
    assert_eq!(w.look().await, ["opened no_copy /hook?token=very-secret"]);
    assert_eq!(w.look().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn successes_are_told_where_they_are_asked_for_and_once() {
    for db in testing::databases().await {
        let mut w = Watched::new(db).await;
        // Runs end by the system's clock; so does the making of the rule.
        w.site.ctx.clock = Clock::System;
        w.hook("hook").await;
        w.look().await;
        w.site.backup().await;
        w.rule("success", &["hook"], Rule { severity: Severity::Critical, kinds: vec![AlertKind::HoldStands], success: true, ..Rule::default() }).await;
        assert_eq!(w.look().await, [""; 0], "{}: what ended before the rule is not told", w.site.db.name);
        let run = w.site.backup().await;
        w.dogs.look().await.unwrap();
        Notifier::new(w.deps.clone()).deliver_due().await.unwrap();
        w.deps.clock.advance_secs(60);
        Notifier::new(w.deps.clone()).deliver_due().await.unwrap();
        let heard = w.ear.take();
        assert_eq!(heard.len(), 1, "{}: {heard:?}", w.site.db.name);
        let body = &heard[0].body;
        assert_eq!((body["event"].as_str(), body["run"].as_str()), (Some("success"), Some(run.id.to_string().as_str())));
        assert_eq!(body["headline"], "Backup of notebooks/homes succeeded");
        assert!(body["text"].as_str().unwrap().starts_with("3 items, "), "{body}");
        w.dogs = Watchdogs::new(w.deps.clone());
        assert_eq!(w.look().await, [""; 0], "{}: not again after a restart", w.site.db.name);
        // That run ended while the clock was a day ahead; what ends today is told all the same.
        w.sql("UPDATE run SET finished_at = finished_at + 86400000000 WHERE finished_at = (SELECT max(finished_at) FROM run)").await;
        assert_eq!(w.look().await, [""; 0]);
        w.site.backup().await;
        assert_eq!(w.look().await.len(), 1, "{}", w.site.db.name);

        // A rule of a schedule hears what that schedule started, and nothing else.
        rules::remove(&w.site.ctx, "success").await.unwrap();
        w.rule("nightly", &["hook"], Rule { severity: Severity::Critical, schedules: vec!["nightly".into()], success: true, ..Rule::default() }).await;
        w.site.backup().await;
        let scheduled = w.site.backup().await;
        w.started_by_schedule("nightly", &scheduled).await;
        let mut heard = w.look().await;
        w.deps.clock.advance_secs(60);
        heard.extend(w.look().await);
        assert_eq!(heard, ["success - /hook?token=very-secret"], "{}", w.site.db.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_heart_beats_while_all_is_well_and_its_address_stays_secret() {
    for db in testing::databases().await {
        let w = Watched::new(db).await;
        let url = Given::Typed(Secret::new(format!("{}/ping/very-secret", w.ear.url)));
        heartbeats::save(&w.site.ctx, &w.vault, &NewHeartbeat { name: "outside".into(), url, every_s: 60 }).await.unwrap();
        w.deps.clock.advance_secs(5);
        let (one, two) = (Heart::new(w.deps.clone()), Heart::new(w.deps.clone()));
        let (a, b) = tokio::join!(one.beat(), two.beat());
        assert_eq!(a.unwrap() + b.unwrap(), 1, "{}: of two processes one calls", w.site.db.name);
        assert_eq!(w.ear.take().iter().map(|h| format!("{} {}", h.method, h.path)).collect::<Vec<_>>(), ["GET /ping/very-secret"]);
        assert_eq!(one.beat().await.unwrap(), 0);
        w.deps.clock.advance_secs(61);
        w.ear.answer(500, "away /ping/very-secret", &[]);
        assert_eq!(one.beat().await.unwrap(), 1);
        let row = ops::notifications::heartbeats::list(&w.site.ctx).await.unwrap().remove(0);
        assert!(row.sent_at.is_some() && row.failed_at > row.sent_at);
        assert_eq!(row.answer.as_deref(), Some("500 Internal Server Error away •••"));
        assert!(!format!("{row:?}").contains("very-secret"));

        // In its loop it stays silent until the worker and the watchdogs show life.
        w.ear.take();
        w.deps.clock.advance_secs(600);
        let alive = w.deps.signs.clone();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running = tokio::spawn(Heart::new(w.deps.clone()).run(async { drop(stopped.await) }));
        tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
        assert!(w.ear.take().is_empty(), "no life, no beat");
        alive.worker();
        alive.watchdogs();
        tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
        assert_eq!(w.ear.take().len(), 1);
        stop.send(()).unwrap();
        running.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_deliveries_are_forgotten() {
    let mut w = Watched::new(testing::sqlite().await).await;
    w.hook("hook").await;
    w.rule("all", &["hook"], Rule::default()).await;
    assert_eq!(w.look().await.len(), 1);
    w.deps.clock.advance_secs(181 * 24 * H);
    w.look().await;
    assert!(ops::notifications::deliveries::list(&w.site.ctx, "", "", None, 10).await.unwrap().is_empty());
}
