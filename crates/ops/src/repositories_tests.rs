//! What holds for repositories: their figures, their locks, who may clear them, the kit that stock restic follows.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use domain::{run::RunKind, tamper::Protection, units::Timestamp};
use engine::{
    job::{Access, Secret},
    repository::{LockKind, Repository},
};
use serde_json::json;
use store::{
    Clock, audit, queue,
    repositories::{self, NewRepository, SecretRef, StorageOptions},
    testing::{self, TestDb},
};
use uuid::Uuid;

use crate::{
    Ctx, OpsError, Role, checks,
    repositories::{self as ours, Clear, Registry},
    runs_tests::{ctx, fill},
};

const PASSWORD: &str = "correct horse";

fn registry() -> Registry {
    Registry::new(Arc::new(BTreeMap::from([("P".to_owned(), PASSWORD.to_owned())])))
}

fn access(folder: &Path) -> Access {
    let location = format!("file://{}", folder.display());
    Access { location, options: BTreeMap::new(), credentials: BTreeMap::new(), password: Secret::new(PASSWORD), key: None, expect: None }
}

/// A repository `vault` in a folder.
async fn vault(t: &TestDb, folder: &Path, password: SecretRef) {
    let location = format!("file://{}", folder.display());
    let new =
        NewRepository { name: "vault".into(), location, options: StorageOptions::default(), password, max_parallel: None, read_all_within_s: Some(86_400) };
    let mut tx = t.db.begin().await.unwrap();
    repositories::upsert(tx.tx(), &new, Timestamp(1)).await.unwrap();
    tx.commit().await.unwrap();
    let (access, rt) = (access(folder), tokio::runtime::Handle::current());
    tokio::task::spawn_blocking(move || Repository::open_or_create(&access, &rt).map(drop)).await.unwrap().unwrap();
}

/// Holds a lock on the repository while `work` is done; `work` is given its id.
async fn locked<F: Future<Output = ()>>(folder: &Path, work: impl FnOnce(String) -> F) {
    let (access, rt) = (access(folder), tokio::runtime::Handle::current());
    let (tell, told) = std::sync::mpsc::channel::<()>();
    let (lock, mut is_locked) = tokio::sync::mpsc::channel(1);
    let holding = tokio::task::spawn_blocking(move || {
        let repository = Repository::open(&access, &rt).unwrap();
        let (sink, cancel) = (|_| {}, std::sync::atomic::AtomicBool::new(false));
        let ctx = engine::Ctx { sink: &sink, cancel: &cancel, rt, patience: std::time::Duration::ZERO };
        // Whether the lock was taken away is seen at its next refresh only.
        repository
            .with_lock(LockKind::Exclusive, &ctx, |_| {
                lock.blocking_send(repository.locks().unwrap()[0].id.clone()).unwrap();
                told.recv().unwrap();
                Ok(())
            })
            .unwrap();
    });
    let id = is_locked.recv().await.unwrap();
    work(id).await;
    tell.send(()).unwrap();
    holding.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_roles_are_refused() {
    let t = testing::sqlite().await;
    fill(&t).await;
    let registry = registry();
    let clear = Clear { lock: "a".repeat(64), reason: "x".into(), confirmed: true };
    for role in [Role::Auditor, Role::Anonymous] {
        let c = ctx(&t, role);
        assert!(matches!(ours::clear_lock(&c, &registry, "main", &clear).await, Err(OpsError::Forbidden(_))), "{role:?}");
        assert!(matches!(ours::would_clear(&c, &registry, "main", &clear).await, Err(OpsError::Forbidden(_))), "{role:?}");
    }
    let c = ctx(&t, Role::Anonymous);
    macro_rules! refused {
        ($($call:expr),+ $(,)?) => {$( assert!(matches!($call.await, Err(OpsError::Forbidden(_))), "{}", stringify!($call)); )+};
    }
    refused!(
        ours::list(&c),
        ours::find(&c, "main"),
        ours::history(&c, "main", 30),
        ours::schedules(&c, domain::id::RepositoryId(Uuid::nil())),
        ours::inside(&c, &registry, "main"),
        ours::kit(&c, &registry, "main", 10),
    );
    let auditor = ctx(&t, Role::Auditor);
    assert_eq!(ours::list(&auditor).await.unwrap().len(), 1);
    assert!(matches!(ours::find(&auditor, "none").await, Err(OpsError::NotFound { .. })));
}

#[tokio::test]
async fn growth_and_ratio_are_those_that_were_measured() {
    for t in testing::databases().await {
        fill(&t).await;
        let day = |n: i64| Timestamp::from_secs(n * 86_400 + 7);
        let c = Ctx { clock: Clock::fixed(day(100)), ..ctx(&t, Role::Auditor) };
        let empty = ours::find(&c, "main").await.unwrap();
        assert!(empty.newest.is_none() && empty.growth.is_none() && empty.dedup_ratio().is_none() && empty.protection().is_none());
        assert_eq!(empty.uses.iter().map(|u| u.source_name.as_str()).collect::<Vec<_>>(), ["homes"]);
        let id = empty.row.id();
        let mut tx = t.db.begin().await.unwrap();
        for (n, size) in [(60, 100), (80, 400), (99, 700), (100, 1_000)] {
            repositories::set_size(tx.tx(), id, None, Some(size), day(n)).await.unwrap();
            repositories::measure(tx.tx(), id, day(n)).await.unwrap();
        }
        // The last measurement of an hour counts.
        repositories::set_size(tx.tx(), id, None, Some(1_600), day(100)).await.unwrap();
        repositories::measure(tx.tx(), id, day(100).plus_secs(60)).await.unwrap();
        tx.commit().await.unwrap();
        let found = ours::find(&c, "main").await.unwrap();
        let newest = found.newest.unwrap();
        assert_eq!((newest.size_bytes, newest.snapshot_bytes, newest.snapshots), (1_600, 1, 1), "{}", t.name);
        assert_eq!(found.growth, Some((1_200, 20)), "since the first measurement within 30 days");
        assert!((found.dedup_ratio().unwrap() - 1.0 / 1_600.0).abs() < 1e-9);
        let sizes: Vec<i64> = ours::history(&c, "main", 90).await.unwrap().iter().map(|s| s.size_bytes).collect();
        assert_eq!(sizes, [100, 400, 700, 1_600]);
        assert_eq!(ours::history(&c, "main", 2).await.unwrap().len(), 2);
        assert_eq!(ours::list(&c).await.unwrap()[0].growth, found.growth);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_cleared_with_a_reason_and_never_that_of_a_live_run() {
    for t in testing::databases().await {
        fill(&t).await;
        let folder = tempfile::tempdir().unwrap();
        vault(&t, folder.path(), SecretRef::Env("P".into())).await;
        let (c, registry) = (ctx(&t, Role::Admin), registry());
        let inside = ours::inside(&c, &registry, "vault").await.unwrap();
        assert!(inside.locks.is_empty() && inside.keys.len() == 1 && inside.keys[0].own, "{inside:?}");
        locked(folder.path(), |lock| {
            let (c, registry, t) = (c.clone(), registry.clone(), &t);
            async move {
                let clear = |reason: &str, confirmed: bool| Clear { lock: lock.clone(), reason: reason.into(), confirmed };
                let seen = ours::inside(&c, &registry, "vault").await.unwrap();
                assert!(seen.locks[0].is_fresh() && seen.locks[0].record.exclusive && seen.locks[0].can_be_cleared(), "{seen:?}");
                let field = |e: OpsError| match e {
                    OpsError::Invalid(fields) => fields[0].field.clone(),
                    other => other.to_string(),
                };
                assert_eq!(field(ours::clear_lock(&c, &registry, "vault", &clear(" ", true)).await.unwrap_err()), "reason");
                assert_eq!(field(ours::clear_lock(&c, &registry, "vault", &clear("gone", false)).await.unwrap_err()), "confirm");
                let other = Clear { lock: "a".repeat(64), ..clear("gone", true) };
                assert!(matches!(ours::clear_lock(&c, &registry, "vault", &other).await, Err(OpsError::NotFound { .. })));

                // A run of ours that runs has written it.
                let run = checks::start(&c, "vault", false).await.unwrap();
                let token = Uuid::now_v7();
                let mut tx = t.db.begin().await.unwrap();
                let lease = queue::Lease { owner: "w", token, until: Timestamp(i64::MAX) };
                let row = queue::claim(tx.tx(), &lease, Timestamp(i64::MAX)).await.unwrap().unwrap();
                assert_eq!((row.id(), row.kind().unwrap()), (run, RunKind::Check));
                let detail = json!({"lock": lock, "repository": row.repository_id.unwrap().to_string()});
                let event = store::run_events::NewRunEvent { at: Timestamp(5), kind: "lock", level: "debug", message: "lock".into(), detail: Some(detail) };
                let first = queue::number_events(tx.tx(), run, token, 1).await.unwrap().unwrap();
                store::run_events::add(tx.tx(), run, first, &[event]).await.unwrap();
                tx.commit().await.unwrap();
                let refused = ours::clear_lock(&c, &registry, "vault", &clear("gone", true)).await.unwrap_err();
                assert!(matches!(&refused, OpsError::Conflict(why) if why.contains("Check of vault") && why.contains(&run.to_string())), "{refused}");

                let mut tx = t.db.begin().await.unwrap();
                let end = queue::End { event: domain::run::RunEvent::Fail, result: None, failure: None };
                queue::finish(tx.tx(), run, token, &end, Timestamp(9)).await.unwrap().unwrap();
                tx.commit().await.unwrap();
                // Tried only: it is said which one, and it stays.
                let tried = ours::would_clear(&c, &registry, "vault", &clear("the machine is gone", true)).await.unwrap();
                assert_eq!(tried.record.id, lock);
                assert_eq!(field(ours::would_clear(&c, &registry, "vault", &clear("gone", false)).await.unwrap_err()), "confirm");
                assert_eq!(ours::inside(&c, &registry, "vault").await.unwrap().locks.len(), 1);
                ours::clear_lock(&c, &registry, "vault", &clear("the machine is gone", true)).await.unwrap();
                assert!(ours::inside(&c, &registry, "vault").await.unwrap().locks.is_empty());
                let events = audit::page(t.db.read().await.unwrap().tx(), 0, 100).await.unwrap();
                let last = events.last().unwrap();
                assert_eq!((last.action.as_str(), last.actor.as_str()), ("lock.clear", "somebody"));
                let told = format!("{:?} {:?}", last.before, last.after);
                assert!(told.contains(&lock) && told.contains("the machine is gone") && told.contains("holdfast"), "{told}");
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_cannot_be_read_the_page_says_why_without_a_secret() {
    let t = testing::sqlite().await;
    let folder = tempfile::tempdir().unwrap();
    vault(&t, folder.path(), SecretRef::Env("P".into())).await;
    let wrong = Registry::new(Arc::new(BTreeMap::from([("P".to_owned(), "not the horse".to_owned())])));
    let said = ours::inside(&ctx(&t, Role::Auditor), &wrong, "vault").await.unwrap_err().to_string();
    assert!(said.contains("the repository vault cannot be read") && !said.contains("horse"), "{said}");
    let kit = ours::kit(&ctx(&t, Role::Auditor), &wrong, "vault", 10).await.unwrap();
    assert!(kit.keys.is_none() && kit.text(&jiff::tz::TimeZone::UTC).contains("could not be read when this kit was made"));
}

/// Follows the kit: its exports and its commands, in a shell that knows nothing else.
#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::disallowed_methods, reason = "tests start stock restic themselves")]
async fn stock_restic_brings_data_back_by_the_kit_alone() {
    let t = testing::sqlite().await;
    let folder = tempfile::tempdir().unwrap();
    let (repo, secret) = (folder.path().join("it's a repo"), folder.path().join("the password"));
    fs::write(&secret, format!("{PASSWORD}\nand more\n")).unwrap();
    vault(&t, &repo, SecretRef::File(secret.display().to_string())).await;
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("letter"), "dear reader").unwrap();
    let shell = |script: &str| {
        let out = std::process::Command::new("bash")
            .args(["-euc", script])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", folder.path())
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(out.status.success(), "{script}\n{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let mut kit = ours::kit(&ctx(&t, Role::Auditor), &registry(), "vault", 10).await.unwrap();
    shell(&format!("{}\nrestic backup -q data", kit.exports().join("\n")));
    let ids = shell(&format!("{}\nrestic snapshots --json", kit.exports().join("\n")));
    let id = serde_json::from_str::<serde_json::Value>(&ids).unwrap()[0]["id"].as_str().unwrap().to_owned();
    kit.items.push(repositories::KeptRow {
        service_title: "Notebooks".into(),
        source_name: "homes".into(),
        item_name: "ada".into(),
        snapshot_id: Uuid::nil(),
        restic_id: id.clone(),
        taken_at: 1,
        item_id: Uuid::nil(),
    });
    let commands: Vec<String> = kit.commands().into_iter().map(|(_, c)| c).collect();
    let listed = shell(&format!("{}\n{}", kit.exports().join("\n"), commands.join("\n")));
    assert!(listed.contains("letter") && listed.contains(&id[..8]), "{listed}");
    let restored = folder.path().join("restored");
    let letters: Vec<_> = walk(&restored).into_iter().filter(|p| p.ends_with("letter")).collect();
    assert_eq!(fs::read_to_string(&letters[0]).unwrap(), "dear reader");
    let text = kit.text(&jiff::tz::TimeZone::UTC);
    assert!(text.contains(&kit.exports()[1]) && text.contains("Notebooks: ada") && text.contains(&id[..8]), "{text}");
    assert!(!text.contains(PASSWORD) && kit.keys.unwrap().iter().any(|k| k.own));
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
        if entry.is_dir() { all.extend(walk(&entry)) } else { all.push(entry) }
    }
    all
}

#[tokio::test]
async fn what_is_late_and_what_is_protected() {
    let t = testing::sqlite().await;
    fill(&t).await;
    let day = |n: i64| Timestamp::from_secs(n * 86_400);
    let c = Ctx { clock: Clock::fixed(day(100)), ..ctx(&t, Role::Auditor) };
    let id = ours::find(&c, "main").await.unwrap().row.id();
    let mut tx = t.db.begin().await.unwrap();
    let new = NewRepository {
        name: "main".into(),
        location: "file:///srv/backup".into(),
        options: StorageOptions::default(),
        password: SecretRef::Env("P".into()),
        max_parallel: None,
        read_all_within_s: Some(30 * 86_400),
    };
    repositories::upsert(tx.tx(), &new, day(1)).await.unwrap();
    repositories::set_read(tx.tx(), id, 10, 0, Some(day(80)), Some(day(99))).await.unwrap();
    let found = domain::tamper::Findings {
        probe: "data/00/0".into(),
        versioned: false,
        overwrite: domain::tamper::Answer::Done,
        delete: domain::tamper::Answer::Done,
        delete_version: domain::tamper::Answer::NotTried,
        bypass: domain::tamper::Answer::NotTried,
        intact: false,
        locked_until: None,
        cleaned: true,
    };
    repositories::set_tamper_test(tx.tx(), id, &found, day(99)).await.unwrap();
    tx.commit().await.unwrap();
    let r = ours::find(&c, "main").await.unwrap();
    assert_eq!((r.reading_late(day(110)), r.protection()), (None, Some(Protection::Unprotected)));
    assert_eq!(r.reading_late(day(111)).unwrap(), "A pack was last read 31 d ago; all are to be read within 30 d.");
    assert_eq!((r.row.data_read_at, r.row.tamper_tested_at), (Some(day(99).0), Some(day(99).0)));
}
