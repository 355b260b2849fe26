//! Who may, what is stored, what is told to the audit trail, and that no secret is in any of it.

use std::{collections::BTreeMap, sync::Arc};

use domain::{
    alert::{Condition, Entity, Severity, Subject, Wanted, rule::Rule},
    channel::{ChannelKind, Options},
    id::{AlertId, DeliveryId},
};
use engine::job::Secret;
use store::{
    alerts as rows, audit, channels as stored_channels,
    repositories::SecretRef,
    testing::{self, TestDb},
};

use super::{
    Given,
    channels::{self, NewChannel},
    deliveries, heartbeats,
    heartbeats::NewHeartbeat,
    rules,
    rules::NewRule,
};
use crate::{Actor, Ctx, OpsError, Role, alerts, seal::Keys, secrets::Vault};

const SECRET: &str = "https://hooks.example.org/services/T0/very-secret";

struct Place {
    _folder: tempfile::TempDir,
    keys: Keys,
    vault: Vault,
    ctx: Ctx,
}

fn place(db: &TestDb) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::of(folder.path());
    keys.make().unwrap();
    let vault = Vault::new(Arc::new(BTreeMap::from([("HOOK".to_owned(), "http://env.example.org/x".to_owned())])), keys.clone());
    Place { _folder: folder, keys, vault, ctx: Ctx::new(db.db.clone(), Actor::shell(), "test") }
}

fn hook(name: &str, url: Given) -> NewChannel {
    NewChannel { name: name.into(), kind: ChannelKind::Slack, options: Options::default(), secrets: BTreeMap::from([("url".to_owned(), url)]) }
}

fn typed(text: &str) -> Given {
    Given::Typed(Secret::new(text))
}

fn refused(result: Result<impl std::fmt::Debug, OpsError>) -> Vec<String> {
    match result {
        Err(OpsError::Invalid(fields)) => fields.into_iter().map(|f| f.field).collect(),
        other => panic!("{other:?}"),
    }
}

/// All rows and audit events as text.
async fn everything(ctx: &Ctx) -> String {
    let mut read = ctx.db.read().await.unwrap();
    let events = audit::page(read.tx(), 0, 1_000).await.unwrap();
    format!("{:?}{:?}{events:?}", stored_channels::list(read.tx()).await.unwrap(), stored_channels::heartbeats(read.tx()).await.unwrap())
}

#[tokio::test]
async fn a_secret_goes_in_sealed_and_never_comes_out() {
    for db in testing::databases().await {
        let p = place(&db);
        channels::save(&p.ctx, &p.vault, &hook("chat", typed(SECRET))).await.unwrap();
        let view = channels::find(&p.ctx, "chat").await.unwrap();
        assert_eq!((view.shown().as_str(), view.row.secrets.0.len()), ("https://hooks.example.org/…", 1), "{}", db.name);
        assert_eq!(channels::reveal(&p.vault, &view.row).await.unwrap()["url"].reveal(), SECRET);
        heartbeats::save(&p.ctx, &p.vault, &NewHeartbeat { name: "out".into(), url: typed("https://beat.example.org/very-secret"), every_s: 60 })
            .await
            .unwrap();
        assert!(!everything(&p.ctx).await.contains("very-secret"), "{}", db.name);

        // Kept when something else changes, replaced when another is typed, gone with the channel.
        channels::save(&p.ctx, &p.vault, &hook("chat", Given::Keep)).await.unwrap();
        let again = channels::find(&p.ctx, "chat").await.unwrap();
        assert_eq!((&again.row.secrets.0, again.row.updated_at), (&view.row.secrets.0, view.row.updated_at), "nothing has changed");
        channels::save(&p.ctx, &p.vault, &hook("chat", typed("https://other.example.org/very-secret-2"))).await.unwrap();
        let replaced = channels::find(&p.ctx, "chat").await.unwrap();
        assert_eq!(replaced.shown(), "https://other.example.org/…");
        let text = everything(&p.ctx).await;
        assert!(text.contains("replaced") && !text.contains("very-secret"), "{}", db.name);
        channels::remove(&p.ctx, "chat").await.unwrap();
        let row = stored_channels::find_by_name(db.db.read().await.unwrap().tx(), "chat").await.unwrap().unwrap();
        assert!(row.secrets.0.is_empty() && row.removed_at.is_some(), "{}", db.name);
        // A channel of the same name later does not get the old secret back.
        assert_eq!(refused(channels::save(&p.ctx, &p.vault, &hook("chat", Given::Keep)).await), ["url"]);
    }
}

#[tokio::test]
async fn files_and_variables_are_references() {
    let db = testing::sqlite().await;
    let p = place(&db);
    channels::save(&p.ctx, &p.vault, &hook("chat", Given::Reference(SecretRef::Env("HOOK".into())))).await.unwrap();
    let view = channels::find(&p.ctx, "chat").await.unwrap();
    assert_eq!(view.shown(), "variable HOOK");
    assert_eq!(channels::reveal(&p.vault, &view.row).await.unwrap()["url"].reveal(), "http://env.example.org/x");
    channels::save(&p.ctx, &p.vault, &hook("chat", Given::Reference(SecretRef::Env("GONE".into())))).await.unwrap();
    let view = channels::find(&p.ctx, "chat").await.unwrap();
    let error = channels::reveal(&p.vault, &view.row).await.unwrap_err().to_string();
    assert!(error.contains("channel/chat/url") && error.contains("GONE is not set"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_used_is_named() {
    let db = testing::sqlite().await;
    let p = place(&db);
    assert_eq!(refused(channels::save(&p.ctx, &p.vault, &hook("Chat Room", Given::Nothing)).await), ["name", "url"]);
    assert_eq!(refused(channels::save(&p.ctx, &p.vault, &hook("chat", typed("ftp://x"))).await), ["url"]);
    assert_eq!(refused(channels::save(&p.ctx, &p.vault, &hook("chat", typed("https://x/\n"))).await), ["url", "url"]);
    let mut extra = hook("chat", typed(SECRET));
    extra.secrets.insert("password".into(), typed("x"));
    assert_eq!(refused(channels::save(&p.ctx, &p.vault, &extra).await), ["password"]);
    let rule = |channels: &[&str], remind_s| NewRule {
        name: "r".into(),
        channels: channels.iter().map(|c| (*c).into()).collect(),
        what: Rule { remind_s, ..Rule::default() },
    };
    assert_eq!(refused(rules::save(&p.ctx, &rule(&[], None)).await), ["channels"]);
    assert_eq!(refused(rules::save(&p.ctx, &rule(&["none"], Some(5))).await), ["channels", "remind"]);
    let beat = |url, every_s| NewHeartbeat { name: "b".into(), url, every_s };
    assert_eq!(refused(heartbeats::save(&p.ctx, &p.vault, &beat(Given::Keep, 60)).await), ["url"]);
    assert_eq!(refused(heartbeats::save(&p.ctx, &p.vault, &beat(typed("https://x/y"), 1)).await), ["every"]);
    assert_eq!(refused(super::set_address(&p.ctx, "holdfast").await), ["address"]);
    assert!(everything(&p.ctx).await.ends_with("[][][]"), "nothing half-done is left");
}

#[tokio::test]
async fn the_servers_key_can_be_changed_under_what_it_sealed() {
    for db in testing::databases().await {
        let p = place(&db);
        channels::save(&p.ctx, &p.vault, &hook("chat", typed(SECRET))).await.unwrap();
        heartbeats::save(&p.ctx, &p.vault, &NewHeartbeat { name: "out".into(), url: typed(SECRET), every_s: 60 }).await.unwrap();
        let before = channels::find(&p.ctx, "chat").await.unwrap().row.secrets.0;
        p.keys.add().unwrap();
        assert_eq!(super::reseal(&p.ctx, &p.vault).await.unwrap(), 2, "{}", db.name);
        p.keys.drop_old().unwrap();
        let after = channels::find(&p.ctx, "chat").await.unwrap().row;
        assert_ne!(before, after.secrets.0, "{}", db.name);
        assert_eq!(channels::reveal(&p.vault, &after).await.unwrap()["url"].reveal(), SECRET, "{}", db.name);
        let beat = heartbeats::list(&p.ctx).await.unwrap().remove(0);
        assert_eq!(heartbeats::reveal(&p.vault, &beat).await.unwrap().reveal(), SECRET, "{}", db.name);
    }
}

#[tokio::test]
async fn each_role_may_do_what_it_may_and_no_more() {
    let db = testing::sqlite().await;
    let p = place(&db);
    channels::save(&p.ctx, &p.vault, &hook("chat", typed(SECRET))).await.unwrap();
    for role in [Role::Anonymous, Role::Auditor] {
        let ctx = Ctx { actor: Actor::new("someone", role), ..p.ctx.clone() };
        let forbidden = |e: Result<(), OpsError>| matches!(e, Err(OpsError::Forbidden(_)));
        let (alert, delivery) = (AlertId(uuid::Uuid::nil()), DeliveryId(uuid::Uuid::nil()));
        let rule = NewRule { name: "r".into(), channels: vec!["chat".into()], what: Rule::default() };
        let beat = NewHeartbeat { name: "b".into(), url: typed("https://x/y"), every_s: 60 };
        let changes = [
            channels::save(&ctx, &p.vault, &hook("chat", typed("https://x/y"))).await.map(drop),
            channels::remove(&ctx, "chat").await,
            channels::test(&ctx, "chat").await.map(drop),
            rules::save(&ctx, &rule).await,
            rules::remove(&ctx, "r").await,
            heartbeats::save(&ctx, &p.vault, &beat).await,
            heartbeats::remove(&ctx, "b").await,
            super::set_address(&ctx, "https://x").await,
            super::reseal(&ctx, &p.vault).await.map(drop),
            deliveries::retry(&ctx, delivery).await,
            alerts::acknowledge(&ctx, alert, "").await,
        ];
        for (n, change) in changes.into_iter().enumerate() {
            assert!(forbidden(change), "{role:?} change {n}");
        }
        let reads = [
            channels::list(&ctx).await.map(drop),
            rules::list(&ctx).await.map(drop),
            heartbeats::list(&ctx).await.map(drop),
            deliveries::list(&ctx, "", "", None, 10).await.map(drop),
            alerts::open(&ctx).await.map(drop),
            alerts::list(&ctx, alerts::Which::All, None, None, 10).await.map(drop),
            super::address(&ctx).await.map(drop),
        ];
        for (n, read) in reads.into_iter().enumerate() {
            assert_eq!(forbidden(read), role == Role::Anonymous, "{role:?} read {n}");
        }
    }
    assert_eq!(channels::find(&p.ctx, "chat").await.unwrap().shown(), "https://hooks.example.org/…");
}

#[tokio::test]
async fn whoever_knows_of_an_alert_is_on_record_and_a_worse_one_asks_again() {
    for db in testing::databases().await {
        let p = place(&db);
        let subject = Subject { entity: Entity::Repository, id: uuid::Uuid::now_v7(), name: "main".into(), title: "Repository main".into() };
        let wanted = |condition| Wanted { subject: subject.clone(), service: None, run: None, test: None, condition };
        let (now, mut t) = (p.ctx.now(), db.db.begin().await.unwrap());
        let id = rows::insert(t.tx(), &wanted(Condition::RepositoryUnchecked { since: now, ever: false }), now).await.unwrap().unwrap();
        assert_eq!(
            rows::insert(t.tx(), &wanted(Condition::RepositoryUnchecked { since: now, ever: true }), now).await.unwrap(),
            None,
            "one open alert a condition"
        );
        t.commit().await.unwrap();
        alerts::acknowledge(&p.ctx, id, " on it ").await.unwrap();
        let known = alerts::find(&p.ctx, id).await.unwrap();
        assert_eq!((known.acknowledged_by.as_deref(), known.note.as_deref(), known.severity().unwrap()), (Some("shell"), Some("on it"), Severity::Warning));
        assert!(everything(&p.ctx).await.contains("alert.acknowledge"), "{}", db.name);
        let mut t = db.db.begin().await.unwrap();
        let worse = wanted(Condition::RepositoryDamaged { at: now, reason: "a pack is gone".into() });
        assert!(rows::change(t.tx(), id, now, &worse, true, now.plus_secs(1)).await.unwrap());
        assert!(!rows::change(t.tx(), id, now, &worse, true, now.plus_secs(2)).await.unwrap(), "somebody was first");
        t.commit().await.unwrap();
        let row = alerts::find(&p.ctx, id).await.unwrap();
        assert_eq!((row.kind.as_str(), row.severity.as_str(), row.acknowledged_by), ("repository_damaged", "critical", None), "{}", db.name);
        let mut t = db.db.begin().await.unwrap();
        assert!(rows::resolve(t.tx(), id, now.plus_secs(3)).await.unwrap() && !rows::resolve(t.tx(), id, now.plus_secs(4)).await.unwrap());
        t.commit().await.unwrap();
        assert!(matches!(alerts::acknowledge(&p.ctx, id, "").await, Err(OpsError::Conflict(_))), "{}", db.name);
    }
}
