//! Which file brought a thing: remembered by `apply`, forgotten when a page changes the thing.

use domain::units::Timestamp;
use store::{Clock, channels, origins::Origin, policies, providers, repositories, schedules, services, sources, testing};

use super::{write_tests::whole, *};
use crate::{
    Actor, Ctx,
    notifications::{Given, channels::NewChannel, heartbeats, rules},
    secrets::Vault,
};

/// Each thing of a kind with its origin.
async fn origins(ctx: &Ctx) -> Vec<(String, Origin)> {
    let mut read = ctx.db.read().await.unwrap();
    let mut all = Vec::new();
    all.extend(repositories::list(read.tx()).await.unwrap().into_iter().map(|r| (format!("repository {}", r.name), r.origin)));
    all.extend(policies::list(read.tx(), 10).await.unwrap().into_iter().map(|r| (format!("policy {}", r.name), r.origin)));
    all.extend(services::all(read.tx(), 10).await.unwrap().into_iter().map(|r| (format!("service {}", r.name), r.origin)));
    all.extend(sources::configured(read.tx()).await.unwrap().into_iter().map(|r| (format!("source {}", r.name), r.origin)));
    all.extend(channels::list(read.tx()).await.unwrap().into_iter().map(|r| (format!("channel {}", r.name), r.origin)));
    all.extend(channels::rules(read.tx()).await.unwrap().into_iter().map(|r| (format!("rule {}", r.name), r.origin)));
    all.extend(channels::heartbeats(read.tx()).await.unwrap().into_iter().map(|r| (format!("heartbeat {}", r.name), r.origin)));
    all.extend(providers::list(read.tx()).await.unwrap().into_iter().map(|r| (format!("provider {}", r.name), r.origin)));
    let page = schedules::page(read.tx(), &schedules::Filter::default(), "", 10).await.unwrap();
    all.extend(page.into_iter().map(|r| (format!("schedule {}", r.name), r.origin)));
    all
}

#[tokio::test]
async fn the_file_of_each_thing_is_remembered_until_a_page_changes_it() {
    for t in testing::databases().await {
        let clock = Clock::fixed(Timestamp::from_secs(1_700_000_000));
        let ctx = Ctx { clock: clock.clone(), ..Ctx::new(t.db.clone(), Actor::shell(), "test") };
        let config = whole();
        preview(&ctx, &config, Some("first.yaml")).await.unwrap();
        assert!(origins(&ctx).await.is_empty(), "{}", t.name);
        apply(&ctx, &config, Some("first.yaml")).await.unwrap();
        let by = |file: &str, at: Timestamp| Origin { file: Some(file.to_owned()), applied_at: Some(at.0) };
        let first = origins(&ctx).await;
        assert_eq!(first.len(), 18, "{}: {first:#?}", t.name);
        for (what, origin) in &first {
            assert_eq!(*origin, by("first.yaml", ctx.now()), "{}: {what}", t.name);
        }
        // Another file that wants the same takes everything over, without a change.
        clock.advance_secs(60);
        assert!(apply(&ctx, &config, Some("second.yaml")).await.unwrap().is_nothing());
        assert!(origins(&ctx).await.iter().all(|(_, o)| *o == by("second.yaml", ctx.now())), "{}", t.name);
        // A page changes one of each kind that pages can change.
        let vault = Vault::new(std::sync::Arc::default(), crate::seal::Keys::of(std::path::Path::new("/nonexistent")));
        let mut draft = config.schedules[0].clone();
        draft.jitter_s = 60;
        let seen = crate::schedules::find(&ctx, "a").await.unwrap().revision;
        crate::schedules::save(&ctx, &draft, Some(seen)).await.unwrap();
        let mail = &config.notifications.channels[0];
        let mut options = mail.options.clone();
        options.port = Some(2525);
        let kept = NewChannel { name: mail.name.clone(), kind: mail.kind, options, secrets: std::collections::BTreeMap::default() };
        crate::notifications::channels::save(&ctx, &vault, &kept).await.unwrap();
        let mut rule = config.notifications.rules[0].clone();
        rule.what.success = false;
        rules::save(&ctx, &rule).await.unwrap();
        let beat = heartbeats::NewHeartbeat { name: "outside".into(), url: Given::Keep, every_s: 120 };
        heartbeats::save(&ctx, &vault, &beat).await.unwrap();
        let own: Vec<String> = origins(&ctx).await.into_iter().filter(|(_, o)| *o == Origin::default()).map(|(what, _)| what).collect();
        assert_eq!(own, ["channel ops-mail", "rule everything", "heartbeat outside", "schedule a"], "{}", t.name);
        // The next apply brings the values of the file back.
        let back = apply(&ctx, &config, Some("second.yaml")).await.unwrap();
        assert_eq!(back.changed.len(), 4, "{}: {back:?}", t.name);
        assert!(origins(&ctx).await.iter().all(|(_, o)| *o == by("second.yaml", ctx.now())), "{}", t.name);
    }
}
