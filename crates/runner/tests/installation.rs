//! Holdfast's own loss: everything but the repository goes, and comes back from it; between the two databases, too.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{fs, path::Path};

use common::{InProcess, Site};
use domain::{
    id::RunId,
    installation::{InstallationBackupResult, InstallationTestResult},
    run::RunState,
    units::Timestamp,
};
use engine::job::{Access, Secret};
use ops::sealing;
use runner::{
    Fault, Moment,
    installation::rebuild::{Rebuilt, Refused, Request, rebuild},
};
use serde_json::Value;
use store::{Clock, Db, audit, portable, testing};

fn access(site: &Site) -> Access {
    Access {
        location: format!("file://{}", site.folder.path().join("repo").display()),
        options: std::collections::BTreeMap::default(),
        credentials: std::collections::BTreeMap::default(),
        password: Secret::new("correct horse"),
        key: None,
        expect: None,
    }
}

fn request(site: &Site, data: &Path) -> Request {
    fs::create_dir_all(data).unwrap();
    Request {
        access: access(site),
        at: Timestamp(i64::MAX),
        recovery_key: None,
        without_secrets: false,
        data: data.to_owned(),
        postgres: None,
        actor: "shell".to_owned(),
    }
}

async fn back(request: Request) -> Result<Rebuilt, Refused> {
    rebuild(&InProcess::default(), &Clock::System, request).await
}

/// The records of a database as lines, by table.
async fn lines(db: &Db, folder: &Path) -> std::collections::BTreeMap<String, Vec<String>> {
    fs::create_dir_all(folder).unwrap();
    let mut t = db.begin_read().await.unwrap();
    let exported = portable::export(t.tx(), folder).await.unwrap();
    exported
        .tables
        .iter()
        .map(|t| (t.name.clone(), fs::read_to_string(folder.join(portable::file_of(&t.name))).unwrap().lines().map(str::to_owned).collect()))
        .collect()
}

/// A worker vanishes in the middle of a backup; the copy is made beside it.
async fn lost_in_mid_operation(site: &Site) -> RunId {
    let run = ops::backups::start(&site.ctx, "notebooks", None, None).await.unwrap()[0];
    let deps = site.with_faults(|step, moment| (step == "capture" && moment == Moment::Done).then_some(Fault::Crash));
    let mut worker = Box::pin(runner::execute_until_done(deps, run, std::future::pending()));
    // The first attempt ends as if killed; nobody takes it over while its lease lasts.
    loop {
        tokio::select! {
            _ = &mut worker => panic!("the run ended"),
            () = tokio::time::sleep(std::time::Duration::from_millis(100)) => {}
        }
        if site.log(run).await.contains("bob") {
            break;
        }
    }
    drop(worker);
    run
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everything_comes_back_from_the_repository_alone() {
    for from in testing::databases().await {
        let mut site = Site::new(from).await;
        site.deps.limits.lease = std::time::Duration::from_mins(10);
        fs::write(site.deps.data_dir.join("server.key"), [7_u8; 32]).unwrap();
        let key = ops::installation::make_recovery_key(&site.ctx, false).await.unwrap();
        site.backup().await;
        let tested = ops::restore_tests::start(&site.ctx, "notebooks", domain::work::Selection::All).await.unwrap();
        assert_eq!(site.end(tested).await.state, RunState::Succeeded);
        let interrupted = lost_in_mid_operation(&site).await;
        let waiting = ops::checks::start(&site.ctx, "main", false).await.unwrap();
        let copy = site.copy().await;
        let result: InstallationBackupResult = serde_json::from_value(copy.result.unwrap().0).unwrap();
        assert!(result.sealed && result.rows > 50, "{result:?}");
        let before = lines(&site.db.db, &site.folder.path().join("before")).await;

        let mut places = vec![("sqlite", None), ("postgres", Some(testing::postgres_place().await))];
        for (to, postgres) in places.drain(..) {
            let what = format!("{} to {to}", site.db.name);
            let data = site.folder.path().join(format!("new-{to}"));
            let mut asked = request(&site, &data);
            asked.postgres.clone_from(&postgres);
            asked.recovery_key = Some(key.clone());
            let rebuilt = back(asked).await.unwrap();
            assert_eq!(rebuilt.ended, [interrupted, waiting], "{what}");
            assert_eq!((rebuilt.rows, rebuilt.secrets.as_slice(), rebuilt.left_sealed), (result.rows, &["server.key".to_owned()][..], false), "{what}");
            assert_eq!(fs::read(data.join("server.key")).unwrap(), [7_u8; 32], "{what}");
            assert!(!data.join("rebuild").exists(), "{what}");
            assert_eq!(ops::config::parse(&fs::read_to_string(data.join("configuration.rebuilt.yaml")).unwrap()).unwrap().services[0].name, "notebooks");

            let url = postgres.unwrap_or_else(|| format!("sqlite://{}", data.join("holdfast.db").display()));
            let db = Db::open(&url).await.unwrap();
            let after = lines(&db, &site.folder.path().join(format!("after-{}-{to}", site.db.name))).await;
            // What the copy could not know: its own end. What the rebuild did: ended what was live, and said so.
            let touched = ["audit_event", "audit_head", "run", "run_event", "service", "step", "installation_copy", "repository"];
            for (table, rows) in &before {
                if !touched.contains(&table.as_str()) {
                    assert_eq!(&after[table], rows, "{what}: {table}");
                }
            }
            // The chain is what it was up to the copy, and then says what happened.
            let chain = &after["audit_event"];
            let carried = usize::try_from(rebuilt.manifest.audit_seq).unwrap();
            assert_eq!(chain[..carried], before["audit_event"][..carried], "{what}");
            assert_eq!(chain.len(), carried + 1, "{what}");
            let last: Value = serde_json::from_str(&chain[carried]).unwrap();
            assert_eq!((last["action"].as_str(), last["entity_id"].as_str()), (Some("installation.rebuild"), Some(rebuilt.copy.id.as_str())), "{what}");
            assert_eq!(audit::verify(db.read().await.unwrap().tx()).await.unwrap(), Ok(carried as i64 + 1), "{what}");

            let ctx = ops::Ctx::new(db.clone(), ops::Actor::shell(), "test");
            let row = ops::runs::find(&ctx, interrupted).await.unwrap();
            assert_eq!((row.state().unwrap(), row.failure.unwrap().0.code.as_str()), (RunState::Interrupted, "installation_lost"), "{what}");
            assert_eq!(ops::runs::find(&ctx, waiting).await.unwrap().state().unwrap(), RunState::Cancelled, "{what}");
            assert_eq!(ops::runs::find(&ctx, copy_run(&rebuilt)).await.unwrap().state().unwrap(), RunState::Succeeded, "{what}");
            assert!(ops::restore_tests::of_run(&ctx, tested).await.unwrap().unwrap().verdict == "passed", "{what}");
            assert!(ops::runs::live(&ctx, 10).await.unwrap().is_empty(), "{what}");

            // And it works: what came after the copy is adopted, and the next backup goes on.
            let deps = runner::Deps { db: db.clone(), data_dir: data.clone(), ..site.deps.clone() };
            for run in [ops::checks::start(&ctx, "main", false).await.unwrap(), ops::backups::start(&ctx, "notebooks", None, None).await.unwrap()[0]] {
                let done = runner::execute_until_done(deps.clone(), run, std::future::pending()).await.unwrap().unwrap();
                assert_eq!(done.state, RunState::Succeeded, "{what}: {:?}", done.run.failure);
            }
            db.close().await;
            let again = back(Request { recovery_key: Some(key.clone()), postgres: (to == "postgres").then_some(url), ..request(&site, &data) }).await;
            assert!(
                matches!(&again, Err(Refused::Usage(words)) if words.contains("is not empty") || words.contains("installation already")),
                "{what}: {again:?}"
            );
        }
    }
}

fn copy_run(rebuilt: &Rebuilt) -> RunId {
    rebuilt.manifest.run
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn people_who_came_after_the_copy_are_adopted_with_their_snapshots() {
    let site = Site::new(testing::sqlite().await).await;
    site.backup().await;
    site.copy().await;
    fs::create_dir(site.home("dora")).unwrap();
    fs::write(site.home("dora").join("notes"), "new here").unwrap();
    site.backup().await;
    let data = site.folder.path().join("new");
    back(request(&site, &data)).await.unwrap();
    let db = Db::open(&format!("sqlite://{}", data.join("holdfast.db").display())).await.unwrap();
    let ctx = ops::Ctx::new(db.clone(), ops::Actor::shell(), "test");
    assert!(store::people::find_by_name(db.read().await.unwrap().tx(), "dora").await.unwrap().is_none());
    let deps = runner::Deps { db: db.clone(), data_dir: data.clone(), ..site.deps.clone() };
    let run = ops::checks::start(&ctx, "main", false).await.unwrap();
    runner::execute_until_done(deps, run, std::future::pending()).await.unwrap().unwrap();
    let found = ops::snapshots::list_of(&ctx, Some("notebooks"), Some("dora"), None, 10).await.unwrap();
    assert_eq!(found.len(), 1);
    assert!(store::people::find_by_name(db.read().await.unwrap().tx(), "dora").await.unwrap().is_some());
    let copies = ops::installation::copies(&ctx, site.repository).await.unwrap();
    assert_eq!(copies.len(), 1, "the copy that it came from is known again");
    let listed = ops::snapshots::list_of(&ctx, None, None, None, 100).await.unwrap();
    assert!(listed.iter().all(|s| s.row.host == "notebooks"), "copies of Holdfast are no one's snapshots");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_without_the_key_copies_what_the_server_has_sealed() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        fs::write(site.deps.data_dir.join("server.key"), "first").unwrap();
        let old = ops::installation::make_recovery_key(&site.ctx, false).await.unwrap();
        site.backup().await;
        site.copy().await;
        let elsewhere = site.folder.path().join("elsewhere");
        let copy_elsewhere = async || {
            fs::create_dir_all(&elsewhere).unwrap();
            let run = ops::installation::backup(&site.ctx, "main").await.unwrap();
            let deps = runner::Deps { data_dir: elsewhere.clone(), ..site.deps.clone() };
            let done = runner::execute_until_done(deps, run, std::future::pending()).await.unwrap().unwrap();
            assert_eq!(done.state, RunState::Succeeded, "{}: {:?}", site.db.name, done.run.failure);
            serde_json::from_value::<InstallationBackupResult>(done.run.result.unwrap().0).unwrap().sealed
        };
        assert!(copy_elsewhere().await, "{}", site.db.name);
        let data = site.folder.path().join("new");
        back(Request { recovery_key: Some(old.clone()), ..request(&site, &data) }).await.unwrap();
        assert_eq!(fs::read(data.join("server.key")).unwrap(), b"first", "{}", site.db.name);
        // Both keys change; the server makes the next copy, and again another worker the one after it.
        fs::write(site.deps.data_dir.join("server.key"), "second").unwrap();
        let new = ops::installation::make_recovery_key(&site.ctx, true).await.unwrap();
        assert!(!copy_elsewhere().await, "{}: what was sealed for the former key is not for the new one", site.db.name);
        site.copy().await;
        assert!(copy_elsewhere().await, "{}", site.db.name);
        let data = site.folder.path().join("newer");
        let refused = back(Request { recovery_key: Some(old), ..request(&site, &data) }).await.unwrap_err().to_string();
        assert!(refused.contains("does not open"), "{}: {refused}", site.db.name);
        back(Request { recovery_key: Some(new), ..request(&site, &data) }).await.unwrap();
        assert_eq!(fs::read(data.join("server.key")).unwrap(), b"second", "{}", site.db.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn copies_go_by_their_own_rule_and_neither_a_policy_nor_a_prune_takes_one() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        site.policy(domain::retention::Rules { keep_last: 1, ..domain::retention::Rules::default() }).await;
        site.backup().await;
        let mut removed = 0;
        for _ in 0..9 {
            removed += serde_json::from_value::<InstallationBackupResult>(site.copy().await.result.unwrap().0).unwrap().removed;
        }
        assert_eq!(removed, 1, "{}: the newest eight stay", site.db.name);
        fs::write(site.home("ada").join("more"), "more").unwrap();
        site.backup().await;
        for _ in 0..2 {
            let prune = ops::prunes::start(&site.ctx, "main", domain::work::PruneParams { safe_age_s: 0 }).await.unwrap();
            assert_eq!(site.end(prune).await.state, RunState::Succeeded, "{}", site.db.name);
        }
        let known = ops::installation::copies(&site.ctx, site.repository).await.unwrap();
        let job = engine::job::Job::Copies(engine::job::CopiesJob { access: access(&site), newest_before: None });
        let there = match runner::installation::read::lone(&InProcess::default(), "test", job).await.unwrap() {
            engine::job::Outcome::Copies(found) => found.copies,
            other => panic!("{other:?}"),
        };
        let mut ids: Vec<_> = known.iter().map(|c| c.restic_id.clone()).collect();
        ids.reverse();
        assert_eq!(there.iter().map(|c| c.id.clone()).collect::<Vec<_>>(), ids, "{}", site.db.name);
        assert_eq!(ids.len(), 8, "{}", site.db.name);
        let test = ops::installation::test(&site.ctx, "main").await.unwrap();
        assert_eq!(site.end(test).await.state, RunState::Succeeded, "{}: the prune has left what copies need", site.db.name);
        common::restic(&site, &["check", "--read-data"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_stands_in_the_way_is_refused_and_leaves_nothing() {
    let site = Site::new(testing::sqlite().await).await;
    site.backup().await;
    let refused = async |asked: Request, word: &str| {
        let data = asked.data.clone();
        let said = back(asked).await.unwrap_err().to_string();
        assert!(said.contains(word), "{word}: {said}");
        let left: Vec<_> = fs::read_dir(&data).unwrap().map(|e| e.unwrap().file_name()).filter(|n| n != "server.key").collect();
        assert!(left.is_empty(), "{word}: {left:?}");
    };
    let data = site.folder.path().join("new");
    refused(request(&site, &data), "holds no copy of Holdfast itself").await;

    fs::write(site.deps.data_dir.join("server.key"), "key").unwrap();
    let key = ops::installation::make_recovery_key(&site.ctx, false).await.unwrap();
    site.copy().await;
    refused(Request { at: Timestamp(1_000_000), ..request(&site, &data) }, "holds no copy").await;
    refused(request(&site, &data), "--recovery-key-file").await;
    let (other, _) = sealing::new_key().unwrap();
    refused(Request { recovery_key: Some(other), ..request(&site, &data) }, "does not open").await;
    let mut wrong = request(&site, &data);
    wrong.access.password = Secret::new("wrong");
    refused(wrong, "password").await;
    let mut nowhere = request(&site, &data);
    nowhere.access.location = format!("file://{}", site.folder.path().join("nowhere").display());
    refused(nowhere, "holds no repository").await;
    fs::write(data.join("server.key"), "another").unwrap();
    refused(Request { recovery_key: Some(key.clone()), ..request(&site, &data) }, "is another key").await;
    // An interrupted rebuild left its folder and the key; the next one goes through.
    fs::write(data.join("server.key"), "key").unwrap();
    fs::create_dir_all(data.join("rebuild/copy")).unwrap();
    fs::write(data.join("rebuild/holdfast.db"), "half").unwrap();
    let rebuilt = back(Request { recovery_key: Some(key), ..request(&site, &data) }).await.unwrap();
    assert_eq!(rebuilt.secrets, ["server.key"]);
    let other = site.folder.path().join("other");
    let without = back(Request { without_secrets: true, ..request(&site, &other) }).await.unwrap();
    assert!(without.left_sealed && without.secrets.is_empty() && !other.join("server.key").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_restore_test_proves_a_copy_and_finds_what_is_wrong() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        site.backup().await;
        let first = site.copy().await;
        let test = async || {
            let run = ops::installation::test(&site.ctx, "main").await.unwrap();
            let done = site.end(run).await;
            let result: InstallationTestResult = serde_json::from_value(done.run.result.clone().unwrap().0).unwrap();
            site.assert_clean("restore test of Holdfast").await;
            (done.state, result, done.run.failure.map(|f| f.0.message))
        };
        let (state, result, failure) = test().await;
        assert_eq!(state, RunState::Succeeded, "{}: {failure:?} {result:?}", site.db.name);
        let made: InstallationBackupResult = serde_json::from_value(first.result.unwrap().0).unwrap();
        assert_eq!((result.rows, result.tables, result.copy.as_str()), (made.rows, made.tables, made.copy.as_str()));
        assert!(result.rto_s.is_some_and(|s| s > 0.0) && result.rpo_s >= 0 && result.audit_events == made.audit_seq, "{result:?}");
        let names: Vec<_> = result.checks.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["files", "records", "audit_chain", "compare", "teardown"]);
        let row = ops::installation::copies(&site.ctx, site.repository).await.unwrap().remove(0);
        assert_eq!((row.verdict.as_deref(), row.rto_s), (Some("passed"), result.rto_s));

        // Somebody changes the audit log behind Holdfast's back: the copy holds it, and the test says so.
        testing::unguard_audit(&site.db.db).await;
        let mut t = site.db.db.begin().await.unwrap();
        testing::execute(t.tx(), "UPDATE audit_event SET actor = actor || 'x' WHERE seq = 2").await;
        t.commit().await.unwrap();
        site.copy().await;
        let mut t = site.db.db.begin().await.unwrap();
        testing::execute(t.tx(), "UPDATE audit_event SET actor = substr(actor, 1, length(actor) - 1) WHERE seq = 2").await;
        t.commit().await.unwrap();
        let (state, result, failure) = test().await;
        assert_eq!((state, result.verdict.as_str()), (RunState::Failed, "failed"), "{}", site.db.name);
        assert!(failure.unwrap().contains("audit chain of the copy is broken: event 2 was changed"), "{}: {result:?}", site.db.name);

        // A disk changes the bytes of a copy that was whole.
        site.copy().await;
        assert_eq!(test().await.0, RunState::Succeeded, "{}", site.db.name);
        for pack in common::all_paths(&site.folder.path().join("repo/data")).into_iter().filter(|p| p.is_file()) {
            let mut bytes = fs::read(&pack).unwrap();
            for n in (0..bytes.len()).step_by(97) {
                bytes[n] ^= 0x55;
            }
            #[allow(clippy::permissions_set_readonly_false, reason = "the test damages what the repository protects")]
            {
                let mut free = fs::metadata(&pack).unwrap().permissions();
                free.set_readonly(false);
                fs::set_permissions(&pack, free).unwrap();
            }
            fs::write(&pack, bytes).unwrap();
        }
        let (state, result, failure) = test().await;
        assert_eq!((state, result.verdict.as_str()), (RunState::Failed, "failed"), "{}: {failure:?} {result:?}", site.db.name);
        let row = ops::installation::copies(&site.ctx, site.repository).await.unwrap().remove(0);
        assert_eq!(row.verdict.as_deref(), Some("failed"), "{}", site.db.name);
        // And somebody is told.
        runner::Watchdogs::new(site.deps.clone()).look().await.unwrap();
        let open = store::alerts::open(site.db.db.read().await.unwrap().tx(), 100).await.unwrap();
        assert!(open.iter().any(|a| a.kind == "run_failed" && a.text.contains("Restore test of Holdfast itself")), "{}: {open:?}", site.db.name);
    }
}
