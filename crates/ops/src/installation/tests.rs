//! When the watchdog starts what, who may make a key.

use std::sync::atomic::Ordering;

use domain::{evidence::Verdict, run::RunState};
use store::{
    Clock, queue,
    repositories::SecretRef,
    repositories::{NewRepository, StorageOptions},
    testing,
};

use super::*;
use crate::{Actor, Role};

async fn repository(ctx: &Ctx, name: &str, location: &str, written: bool) -> RepositoryId {
    let mut t = ctx.db.begin().await.unwrap();
    let mut options = StorageOptions::default();
    if location.starts_with("s3") {
        options.plain.insert("endpoint".into(), "https://s3.example.org".into());
        options.secret.insert("secret_access_key".into(), SecretRef::Env("S3_KEY".into()));
    }
    let new = NewRepository {
        name: name.into(),
        location: location.into(),
        options,
        password: SecretRef::File("/etc/holdfast/main.password".into()),
        max_parallel: None,
        read_all_within_s: None,
    };
    let id = repositories::upsert(t.tx(), &new, ctx.now()).await.unwrap();
    if written {
        repositories::set_size(t.tx(), id, Some("5f0c"), Some(1), ctx.now()).await.unwrap();
    }
    t.commit().await.unwrap();
    id
}

/// Ends a run as a worker would, with a copy where it went well.
async fn end(ctx: &Ctx, repository: RepositoryId, run: RunId, good: bool) {
    let token = uuid::Uuid::now_v7();
    let mut t = ctx.db.begin().await.unwrap();
    let lease = queue::Lease { owner: "me", token, until: ctx.now().plus_secs(60) };
    let row = queue::claim_one(t.tx(), run, &lease, ctx.now()).await.unwrap().unwrap();
    t.commit().await.unwrap();
    let mut t = ctx.db.begin().await.unwrap();
    if good && row.kind().unwrap() == RunKind::InstallationBackup {
        let seq = store::audit::page(t.tx(), 0, 1_000).await.unwrap().last().unwrap().seq;
        let id = run.to_string();
        let copy = installation::NewCopy {
            repository,
            restic_id: &id,
            run,
            root_snapshot: None,
            taken_at: ctx.now(),
            audit_seq: seq,
            rows: 9,
            bytes: 9,
            sealed: false,
        };
        installation::record(t.tx(), &copy).await.unwrap();
    } else if good {
        let newest = installation::copies(t.tx(), repository, 1).await.unwrap().pop().unwrap();
        installation::set_test(t.tx(), repository, &newest.restic_id, Verdict::Passed, Some(1.5), ctx.now()).await.unwrap();
    }
    let event = if good { domain::run::RunEvent::Succeed } else { domain::run::RunEvent::Fail };
    let state = queue::finish(t.tx(), run, token, &queue::End { event, result: None, failure: None }, ctx.now()).await.unwrap();
    assert_eq!(state, Some(if good { RunState::Succeeded } else { RunState::Failed }));
    t.commit().await.unwrap();
}

#[tokio::test]
async fn the_watchdog_starts_what_is_due_and_nothing_else() {
    for t in testing::databases().await {
        let Clock::Fixed(hands) = Clock::fixed(Timestamp::from_secs(1_000_000)) else { unreachable!() };
        let ctx = Ctx { clock: Clock::Fixed(hands.clone()), ..Ctx::new(t.db.clone(), Actor::system(), "watchdog") };
        let wait = |s: i64| hands.fetch_add(s * 1_000_000, Ordering::SeqCst);
        repository(&ctx, "new", "file:///new", false).await;
        assert_eq!(tend(&ctx).await.unwrap(), [], "{}: nothing was ever written there", t.name);
        let main = repository(&ctx, "main", "file:///main", true).await;
        let started = tend(&ctx).await.unwrap();
        assert_eq!(started.len(), 1, "{}", t.name);
        assert_eq!(tend(&ctx).await.unwrap(), [], "{}: it is under way", t.name);
        end(&ctx, main, started[0], false).await;
        assert_eq!(tend(&ctx).await.unwrap(), [], "{}: it failed a moment ago", t.name);
        wait(3_600);
        let again = tend(&ctx).await.unwrap();
        end(&ctx, main, again[0], true).await;
        // The copy is there: now it is to be proven, once a week.
        wait(1);
        let test = tend(&ctx).await.unwrap();
        assert_eq!(runs::find(&ctx, test[0]).await.unwrap().kind().unwrap(), RunKind::InstallationTest, "{}", t.name);
        end(&ctx, main, test[0], true).await;
        wait(1);
        assert_eq!(tend(&ctx).await.unwrap(), [], "{}: its own runs are no change", t.name);

        make_recovery_key(&ctx, false).await.unwrap();
        assert_eq!(tend(&ctx).await.unwrap(), [], "{}: a change waits for further ones", t.name);
        wait(61);
        let changed = tend(&ctx).await.unwrap();
        let row = runs::find(&ctx, changed[0]).await.unwrap();
        assert_eq!(row.params::<InstallationBackupParams>().unwrap().why, Why::Changed, "{}", t.name);
        end(&ctx, main, changed[0], true).await;
        wait(86_399);
        assert_eq!(tend(&ctx).await.unwrap(), [], "{}", t.name);
        wait(1);
        let daily = tend(&ctx).await.unwrap();
        assert_eq!(runs::find(&ctx, daily[0]).await.unwrap().params::<InstallationBackupParams>().unwrap().why, Why::Daily, "{}", t.name);
    }
}

#[tokio::test]
async fn a_recovery_key_is_shown_once_to_an_admin_and_only_its_public_part_stays() {
    for t in testing::databases().await {
        let ctx = Ctx::new(t.db.clone(), Actor::shell(), "test");
        let auditor = Ctx { actor: Actor::new("a", Role::Auditor), ..ctx.clone() };
        assert!(matches!(make_recovery_key(&auditor, false).await, Err(OpsError::Forbidden(_))));
        let key = make_recovery_key(&ctx, false).await.unwrap();
        assert!(matches!(make_recovery_key(&ctx, false).await, Err(OpsError::Conflict(_))));
        let public = recovery_key(&ctx).await.unwrap().unwrap();
        let secrets = std::collections::BTreeMap::from([("server.key".to_owned(), engine::job::Secret::new("x"))]);
        let sealed = sealing::seal(&secrets, &public).unwrap();
        assert_eq!(sealing::open(&sealed, &key).unwrap(), secrets);
        let other = make_recovery_key(&ctx, true).await.unwrap();
        assert!(sealing::open(&sealed, &other).is_err());
        let events = store::audit::page(ctx.db.read().await.unwrap().tx(), 0, 100).await.unwrap();
        let told = format!("{events:?}");
        assert_eq!(events.len(), 2, "{}", t.name);
        assert!(!told.contains(&key.text()) && !told.contains(&hex::encode(key.bytes())) && told.contains(sealing::fingerprint(&public)), "{told}");
    }
}

#[tokio::test]
async fn nobody_without_permission_does_any_of_it() {
    for t in testing::databases().await {
        let shell = Ctx::new(t.db.clone(), Actor::shell(), "test");
        let id = repository(&shell, "main", "file:///main", true).await;
        let vault = crate::secrets::Vault::new(std::sync::Arc::default(), crate::seal::Keys::of(std::path::Path::new("/nonexistent")));
        let nobody = Ctx { actor: Actor::anonymous(), ..shell.clone() };
        let forbidden = |refused: Option<OpsError>, what: &str| assert!(matches!(refused, Some(OpsError::Forbidden(_))), "{}: {what}: {refused:?}", t.name);
        forbidden(copies(&nobody, id).await.err(), "copies");
        forbidden(recovery_key(&nobody).await.err(), "recovery_key");
        forbidden(missing(&nobody, &vault).await.err(), "missing");
        forbidden(younger(&nobody, Timestamp(0)).await.err(), "younger");
        let auditor = Ctx { actor: Actor::new("a", Role::Auditor), ..shell.clone() };
        for who in [nobody, auditor] {
            forbidden(backup(&who, "main").await.err(), "backup");
            forbidden(test(&who, "main").await.err(), "test");
            forbidden(tend(&who).await.err(), "tend");
            forbidden(start_checks(&who, &[]).await.err(), "start_checks");
            forbidden(make_recovery_key(&who, false).await.err(), "make_recovery_key");
        }
        assert!(store::runs::live(t.db.read().await.unwrap().tx(), 10).await.unwrap().is_empty(), "{}", t.name);
    }
}
