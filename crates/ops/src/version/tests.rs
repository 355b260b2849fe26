//! Two who edit the same thing, on both databases and with a clock that stands still: one of them is refused and told
//! who was first.

use std::{collections::BTreeMap, sync::Arc};

use domain::{
    alert::rule::Rule,
    channel::{ChannelKind, Options},
};
use store::{Clock, repositories::SecretRef, testing};

use super::{Seen, Stale};
use crate::{
    Actor, Ctx, OpsError, Role,
    notifications::{
        self, Given,
        channels::{self, NewChannel},
        heartbeats::{self, NewHeartbeat},
        rules::{self, NewRule},
    },
    runs_tests::fill,
    schedules::{self, Draft},
    seal::Keys,
    secrets::{Secret, Vault},
};

/// Two people at one database.
struct Two {
    ada: Ctx,
    ben: Ctx,
    vault: Vault,
    _folder: tempfile::TempDir,
}

fn two(db: &testing::TestDb) -> Two {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::of(folder.path());
    keys.make().unwrap();
    let clock = Clock::fixed(domain::units::Timestamp::from_secs(1_614_242_520));
    let at = |name: &str| Ctx { clock: clock.clone(), ..Ctx::new(db.db.clone(), Actor::new(name, Role::Admin), "test") };
    Two { ada: at("ada"), ben: at("ben"), vault: Vault::new(Arc::new(BTreeMap::new()), keys), _folder: folder }
}

fn hook(path: &str) -> NewChannel {
    let url = Given::Typed(Secret::new(format!("https://hooks.example.org/{path}")));
    NewChannel { name: "chat".into(), kind: ChannelKind::Slack, options: Options::default(), secrets: BTreeMap::from([("url".to_owned(), url)]) }
}

fn seen(version: &str) -> Seen {
    Seen::Versions(vec!["another".to_owned(), version.to_owned()])
}

fn stale<T: std::fmt::Debug>(result: Result<T, OpsError>) -> Stale {
    match result {
        Err(OpsError::Stale(stale)) => stale,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_channel_is_not_changed_from_what_is_no_longer_there() {
    for db in testing::databases().await {
        let Two { ada, ben, vault, _folder } = two(&db);
        let version = async || channels::version(&channels::find(&ada, "chat").await.unwrap().row);
        assert_eq!(stale(channels::save_if(&ada, &vault, &hook("a"), &seen("x")).await).last, None, "there never was one");
        channels::save_if(&ada, &vault, &hook("a"), &Seen::Absent).await.unwrap();
        let first = version().await;
        let taken = stale(channels::save_if(&ben, &vault, &hook("b"), &Seen::Absent).await);
        assert_eq!((taken.there, taken.last.as_ref().map(|l| l.0.as_str())), (true, Some("ada")), "{}", db.name);
        assert!(taken.to_string().starts_with("there is a channel “chat” already, changed, last by ada at 2021-02-25T08:42:00Z"), "{taken}");

        // Only the secret differs, and the clock stands still: that is another version all the same.
        channels::save_if(&ben, &vault, &hook("b"), &seen(&first)).await.unwrap();
        let second = version().await;
        assert_ne!(first, second, "{}", db.name);
        let refused = stale(channels::save_if(&ada, &vault, &hook("c"), &seen(&first)).await);
        assert_eq!(refused.last.unwrap().0, "ben");
        assert_eq!(version().await, second, "{}: nothing was changed", db.name);
        stale(channels::remove_if(&ada, "chat", &seen(&first)).await);
        assert!(matches!(channels::remove_if(&ada, "none", &seen(&first)).await, Err(OpsError::NotFound { .. })));

        // Whoever says nothing changes what is there, as before.
        channels::save(&ada, &vault, &hook("d")).await.unwrap();
        channels::save_if(&ada, &vault, &hook("e"), &Seen::Present).await.unwrap();
        let last = version().await;
        channels::remove_if(&ben, "chat", &seen(&last)).await.unwrap();
        let gone = stale(channels::save_if(&ada, &vault, &hook("f"), &seen(&last)).await);
        assert_eq!(gone.to_string(), "there is no channel “chat” any more, removed by ben at 2021-02-25T08:42:00Z");
        stale(channels::save_if(&ada, &vault, &hook("f"), &Seen::Present).await);
    }
}

#[tokio::test]
async fn of_two_editors_at_once_one_is_refused() {
    for db in testing::databases().await {
        let Two { ada, ben, vault, _folder } = two(&db);
        channels::save(&ada, &vault, &hook("a")).await.unwrap();
        for round in 0..8 {
            let version = Seen::Versions(vec![channels::version(&channels::find(&ada, "chat").await.unwrap().row)]);
            let (one, other) = (hook(&format!("ada-{round}")), hook(&format!("ben-{round}")));
            let (one, other) = tokio::join!(channels::save_if(&ada, &vault, &one, &version), channels::save_if(&ben, &vault, &other, &version));
            let (won, lost) = if one.is_ok() { ("ada", other) } else { ("ben", one) };
            assert_eq!(stale(lost).last.unwrap().0, won, "{} round {round}", db.name);
        }
    }
}

#[tokio::test]
async fn rules_heartbeats_and_the_address_have_versions() {
    for db in testing::databases().await {
        let Two { ada, ben, vault, _folder } = two(&db);
        channels::save(&ada, &vault, &hook("a")).await.unwrap();
        let rule = |success| NewRule { name: "r".into(), channels: vec!["chat".into()], what: Rule { success, ..Rule::default() } };
        rules::save_if(&ada, &rule(false), &Seen::Absent).await.unwrap();
        let first = rules::version(&rules::find(&ada, "r").await.unwrap());
        rules::save_if(&ben, &rule(true), &seen(&first)).await.unwrap();
        assert_eq!(stale(rules::save_if(&ada, &rule(false), &seen(&first)).await).last.unwrap().0, "ben", "{}", db.name);
        stale(rules::remove_if(&ada, "r", &seen(&first)).await);
        rules::remove_if(&ada, "r", &Seen::Present).await.unwrap();
        // Made again with the same content it is another rule.
        rules::save(&ada, &rule(false)).await.unwrap();
        stale(rules::save_if(&ada, &rule(true), &seen(&first)).await);

        let beat = |every_s| NewHeartbeat { name: "b".into(), url: Given::Reference(SecretRef::Env("BEAT".into())), every_s };
        heartbeats::save_if(&ada, &vault, &beat(60), &Seen::Absent).await.unwrap();
        let first = heartbeats::version(&heartbeats::find(&ada, "b").await.unwrap());
        heartbeats::save_if(&ben, &vault, &beat(90), &seen(&first)).await.unwrap();
        assert_eq!(stale(heartbeats::save_if(&ada, &vault, &beat(30), &seen(&first)).await).last.unwrap().0, "ben", "{}", db.name);
        stale(heartbeats::remove_if(&ada, "b", &seen(&first)).await);

        let none = notifications::address_version(None);
        notifications::set_address_if(&ada, "https://a.example.org", &seen(&none)).await.unwrap();
        assert_eq!(stale(notifications::set_address_if(&ben, "https://b.example.org", &seen(&none)).await).last.unwrap().0, "ada", "{}", db.name);
        assert_eq!(notifications::address(&ada).await.unwrap().as_deref(), Some("https://a.example.org"));
    }
}

#[tokio::test]
async fn schedules_are_changed_and_removed_from_what_was_seen() {
    for db in testing::databases().await {
        fill(&db).await;
        let Two { ada, ben, .. } = two(&db);
        let draft =
            |minute: u8| Draft { name: "nightly".into(), of: "notebooks".into(), cron: format!("{minute} 1 * * *"), zone: "UTC".into(), ..Draft::default() };
        schedules::save_if(&ada, &draft(0), None, &Seen::Absent).await.unwrap();
        let first = schedules::version(&schedules::find(&ada, "nightly").await.unwrap());
        // There and back again: a revision never comes back.
        schedules::save(&ben, &draft(5), Some(1)).await.unwrap();
        schedules::save(&ben, &draft(0), Some(2)).await.unwrap();
        let refused = stale(schedules::save_if(&ada, &draft(9), Some(3), &seen(&first)).await);
        assert_eq!((refused.kind, refused.last.unwrap().0.as_str()), ("schedule", "ben"), "{}", db.name);
        stale(schedules::remove_if(&ada, "nightly", &seen(&first)).await);
        let version = schedules::version(&schedules::find(&ada, "nightly").await.unwrap());
        let (version, change) = (Seen::Versions(vec![version]), draft(7));
        let (changed, removed) = tokio::join!(schedules::save_if(&ada, &change, Some(3), &version), schedules::remove_if(&ben, "nightly", &version));
        assert!(changed.is_ok() != removed.is_ok(), "{}: {changed:?} {removed:?}", db.name);
    }
}
