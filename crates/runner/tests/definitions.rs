//! Restore tests by definitions, on real data, both databases and real tools: a SQLite file, a PostgreSQL database, a
//! service over HTTP, commands.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{fs, os::unix::fs::PermissionsExt as _, sync::Arc};

use axum::{Router, http::StatusCode, response::Redirect, routing::get};
use common::Site;
use domain::{
    definition::{Assertion, Check, Compare, Probe, Terms},
    evidence::Verdict,
    id::RunId,
    run::RunState,
    work::Selection,
};
use ops::{
    config::{CommandTool, ConnectionTool, Tools},
    restore_tests::{self, Again},
    test_definitions,
    version::Seen,
};
use store::{repositories::SecretRef, restore_tests::RestoreTestRow, testing};

fn sql(statement: &str, compare: Compare, expected: &str) -> Assertion {
    Assertion { statement: statement.into(), compare, expected: expected.into() }
}

fn file(name: &str, path: &str, assertion: Assertion) -> Check {
    Check { name: name.into(), probe: Probe::Sqlite { item: "cy".into(), path: path.into(), assertion } }
}

fn command(name: &str) -> Check {
    Check { name: name.into(), probe: Probe::Command { command: name.into() } }
}

fn terms(checks: Vec<Check>) -> Terms {
    Terms { selection: Selection::Latest, checks, ..Terms::default() }
}

fn tool(site: &Site, name: &str, script: &str, limit_s: i64) -> CommandTool {
    let path = site.folder.path().join(format!("tool-{name}"));
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    CommandTool { name: name.into(), argv: vec!["/bin/sh".into(), path.to_string_lossy().into_owned()], limit_s }
}

trait Defined {
    async fn define(&self, name: &str, terms: &Terms);
    async fn by(&self, name: &str) -> (runner::Finished, RestoreTestRow);
    async fn through(&self, run: RunId) -> (runner::Finished, RestoreTestRow);
}

impl Defined for Site {
    async fn define(&self, name: &str, terms: &Terms) {
        test_definitions::save(&self.ctx, &self.deps.tools, "notebooks", name, terms, &Seen::Any).await.unwrap();
    }

    async fn by(&self, name: &str) -> (runner::Finished, RestoreTestRow) {
        let run = restore_tests::start_by(&self.ctx, "notebooks", name).await.unwrap();
        self.through(run).await
    }

    async fn through(&self, run: RunId) -> (runner::Finished, RestoreTestRow) {
        let done = self.end(run).await;
        self.assert_clean("restore test").await;
        let row = restore_tests::of_run(&self.ctx, run).await.unwrap();
        (done, row.unwrap_or_else(|| panic!("{}: no test was recorded", self.db.name)))
    }
}

fn verdict(row: &RestoreTestRow, check: &str) -> (Option<Verdict>, String) {
    let found = row.checks.iter().find(|c| c.name == check);
    (found.map(|c| c.verdict), found.map(|c| c.detail.clone()).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_a_restored_file_is_asserted() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        testing::sqlite_file(&site.home("cy").join("work/app.db"), &["CREATE TABLE people AS SELECT 1 AS n UNION SELECT 2 UNION SELECT 3"]).await;
        fs::copy(site.home("cy").join("work/app.db"), site.home("cy").join("open.db")).unwrap();
        fs::write(site.home("cy").join("open.db-wal"), "not checkpointed").unwrap();
        std::os::unix::fs::symlink("work/app.db", site.home("cy").join("linked.db")).unwrap();
        site.backup().await;
        let count = "SELECT count(*) FROM people";
        site.define("rows", &terms(vec![file("people", "work/app.db", sql(count, Compare::AtLeast, "3"))])).await;
        let (done, row) = site.by("rows").await;
        assert_eq!((done.state, row.verdict.as_str(), row.level.as_str()), (RunState::Succeeded, "passed", "asserted"), "{:?}", row.checks);
        assert!(row.snapshots.iter().any(|s| s.item == "cy"), "what a check looks at is restored in every test");
        let outcome = row.checks.iter().find(|c| c.name == "sqlite:people").unwrap();
        assert_eq!((outcome.expected.as_deref(), outcome.seen.as_deref(), row.definition.as_deref()), (Some(">= 3"), Some("3"), Some("rows")));
        for (check, wanted, says) in [
            (file("people", "work/app.db", sql(count, Compare::AtMost, "2")), Verdict::Failed, "gave 3, expected <= 2"),
            (file("people", "work/none.db", sql(count, Compare::Equal, "3")), Verdict::Failed, "it is not there"),
            (file("people", "work/notes.md", sql(count, Compare::Equal, "3")), Verdict::Failed, "not a database"),
            (file("people", "work/app.db", sql("SELECT none FROM people", Compare::Equal, "3")), Verdict::Failed, "no such column"),
            (file("people", "open.db", sql(count, Compare::Equal, "3")), Verdict::Unknown, "open.db-wal lies beside it"),
            (file("people", "linked.db", sql(count, Compare::Equal, "3")), Verdict::Unknown, "cannot be read"),
        ] {
            site.define("rows", &terms(vec![check])).await;
            let (done, row) = site.by("rows").await;
            let (found, detail) = verdict(&row, "sqlite:people");
            assert_eq!(found, Some(wanted), "{says}: {detail}");
            assert!(detail.contains(says), "{says}: {detail}");
            let (state, word, level) =
                if wanted == Verdict::Failed { (RunState::Failed, "failed", "restored") } else { (RunState::Partial, "unknown", "asserted") };
            assert_eq!((done.state, row.verdict.as_str(), row.level.as_str()), (state, word, level), "{says}");
        }
        // A passing run clears the red; history keeps it, and is found by what it was.
        site.define("rows", &terms(vec![file("people", "work/app.db", sql(count, Compare::Equal, "3"))])).await;
        assert_eq!(site.by("rows").await.1.verdict, "passed");
        let failed = store::restore_tests::Filter { verdict: Some(Verdict::Failed), definition: "rows".into(), ..Default::default() };
        assert_eq!(restore_tests::filtered(&site.ctx, &failed, None, 50).await.unwrap().len(), 4, "{}", site.db.name);
        let service = ops::services::find(&site.ctx, "notebooks").await.unwrap();
        assert_eq!(service.last_test_verdict.as_deref(), Some("passed"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_a_named_database_is_asserted() {
    let mut site = Site::new(testing::sqlite().await).await;
    let url = testing::postgres_place().await;
    testing::postgres_run(&url, &["CREATE TABLE people AS SELECT 1 AS n UNION SELECT 2"]).await;
    let mut env = (*site.deps.env).clone();
    env.insert("SCRATCH".into(), url);
    env.insert("AWAY".into(), "postgres://me:hush@127.0.0.1:1/none".into());
    site.deps.env = Arc::new(env);
    let named = |name: &str, variable: &str| ConnectionTool { name: name.into(), url: SecretRef::Env(variable.into()) };
    site.deps.tools = Arc::new(Tools { connections: vec![named("scratch", "SCRATCH"), named("away", "AWAY"), named("unset", "NONE")], ..Tools::default() });
    site.backup().await;
    for (connection, statement, wanted) in [
        ("scratch", "SELECT count(*) FROM people", Verdict::Passed),
        ("scratch", "SELECT max(n) + 1 FROM people", Verdict::Failed),
        ("scratch", "WITH x AS (DELETE FROM people RETURNING n) SELECT count(*) FROM x", Verdict::Failed),
        ("away", "SELECT 2", Verdict::Unknown),
        ("unset", "SELECT 2", Verdict::Unknown),
    ] {
        let probe = Probe::Postgresql { connection: connection.into(), assertion: sql(statement, Compare::Equal, "2") };
        site.define("rows", &terms(vec![Check { name: "people".into(), probe }])).await;
        let (_, row) = site.by("rows").await;
        let (found, detail) = verdict(&row, "postgresql:people");
        assert_eq!(found, Some(wanted), "{connection} {statement}: {detail}");
        assert!(!detail.contains("hush"), "{detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_answers_as_expected_and_is_not_followed_elsewhere() {
    let site = Site::new(testing::sqlite().await).await;
    site.backup().await;
    let router = Router::new()
        .route("/health", get(|| async { "hub is ready" }))
        .route("/away", get(|| async { Redirect::temporary("/health") }))
        .route("/broken", get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "no") }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let base = format!("http://127.0.0.1:{port}");
    tokio::spawn(axum::serve(listener, router).into_future());
    for (url, status, text, wanted) in [
        (format!("{base}/health"), 200, "is ready", Verdict::Passed),
        (format!("{base}/health"), 200, "is on fire", Verdict::Failed),
        (format!("{base}/away"), 200, "", Verdict::Failed),
        (format!("{base}/away"), 307, "", Verdict::Passed),
        (format!("{base}/broken"), 200, "", Verdict::Failed),
        ("http://127.0.0.1:1/".to_owned(), 200, "", Verdict::Unknown),
    ] {
        let probe = Probe::Http { url: url.clone(), status, text: text.into() };
        site.define("web", &terms(vec![Check { name: "hub".into(), probe }])).await;
        let (found, detail) = verdict(&site.by("web").await.1, "http:hub");
        assert_eq!(found, Some(wanted), "{url} {text}: {detail}");
    }
    for (port, wanted) in [(port, Verdict::Passed), (1, Verdict::Failed)] {
        let probe = Probe::Tcp { host: "127.0.0.1".into(), port };
        site.define("web", &terms(vec![Check { name: "hub".into(), probe }])).await;
        let (found, detail) = verdict(&site.by("web").await.1, "tcp:hub");
        assert_eq!(found, Some(wanted), "{port}: {detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_of_the_server_check_and_start_what_was_restored() {
    for db in testing::databases().await {
        let mut site = Site::new(db).await;
        let sees = "grep -q '\"item\":\"bob\"' \"$HOLDFAST_ITEMS\" && grep -rq 'notes of bob' \"$HOLDFAST_SCRATCH\" && echo \"$HOLDFAST_SERVICE $HOLDFAST_CHECK [$PASSWORD$HOME]\"";
        let tools = vec![
            tool(&site, "sees", sees, 20),
            tool(&site, "fails", "echo that is not it >&2; exit 3", 20),
            tool(&site, "cannot", "exit 77", 20),
            tool(&site, "slow", "sleep 30", 1),
            tool(&site, "starts", "test -f \"$HOLDFAST_ITEMS\"", 20),
            CommandTool { name: "missing".into(), argv: vec!["/nowhere/at/all".into()], limit_s: 5 },
        ];
        site.deps.tools = Arc::new(Tools { commands: tools, ..Tools::default() });
        site.backup().await;
        site.define("deep", &Terms { start: Some("starts".into()), ..terms(vec![command("sees")]) }).await;
        let (done, row) = site.by("deep").await;
        assert_eq!((done.state, row.level.as_str()), (RunState::Succeeded, "started"), "{}: {:?}", site.db.name, row.checks);
        let log = site.log(done.run.id()).await;
        assert!(log.contains("notebooks command:sees []"), "no environment but facts: {log}");
        for (name, wanted, state, level) in [
            ("fails", Verdict::Failed, RunState::Failed, "restored"),
            ("slow", Verdict::Failed, RunState::Failed, "restored"),
            ("cannot", Verdict::Unknown, RunState::Partial, "asserted"),
            ("missing", Verdict::Unknown, RunState::Partial, "asserted"),
        ] {
            site.define("one", &terms(vec![command(name)])).await;
            let (done, row) = site.by("one").await;
            let (found, detail) = verdict(&row, &format!("command:{name}"));
            assert_eq!((found, done.state, row.level.as_str()), (Some(wanted), state, level), "{name}: {detail}");
            assert!(row.teardown.gone_at.is_some(), "also after a failed check");
        }
        site.define("one", &Terms { start: Some("fails".into()), ..terms(vec![command("sees")]) }).await;
        let (_, row) = site.by("one").await;
        assert_eq!((row.verdict.as_str(), row.level.as_str()), ("failed", "restored"), "{:?}", row.checks);
        // A worker whose own file lacks the command says that it could not check.
        let run = restore_tests::start_by(&site.ctx, "notebooks", "deep").await.unwrap();
        site.deps.tools = Arc::default();
        let (done, row) = site.through(run).await;
        assert_eq!(
            (done.state, verdict(&row, "start").0, verdict(&row, "command:sees").0),
            (RunState::Partial, Some(Verdict::Unknown), Some(Verdict::Unknown))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_command_ends_and_nothing_is_left() {
    let mut site = Site::new(testing::sqlite().await).await;
    let begun = site.folder.path().join("begun");
    site.deps.tools = Arc::new(Tools { commands: vec![tool(&site, "slow", &format!("touch {}; sleep 60", begun.display()), 100)], ..Tools::default() });
    site.backup().await;
    site.define("slow", &terms(vec![command("slow")])).await;
    let run = restore_tests::start_by(&site.ctx, "notebooks", "slow").await.unwrap();
    let cancel = async {
        while !begun.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        ops::runs::cancel(&site.ctx, run, "enough").await.unwrap();
    };
    let (done, ()) = tokio::join!(site.end(run), cancel);
    assert_eq!(done.state, RunState::Cancelled, "{:?}", done.run.failure);
    site.assert_clean("a cancelled test").await;
    assert!(site.log(run).await.contains("is gone"), "the teardown is proven");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_run_keeps_its_terms_and_limits_are_its_own() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        site.backup().await;
        site.define("strict", &Terms { rto_s: Some(1_800), rpo_s: Some(7_200), ..terms(vec![]) }).await;
        let run = restore_tests::start_by(&site.ctx, "notebooks", "strict").await.unwrap();
        test_definitions::remove(&site.ctx, "notebooks", "strict", &Seen::Any).await.unwrap();
        let (done, row) = site.through(run).await;
        assert_eq!(
            (done.state, row.rto_target_s, row.rpo_target_s, row.definition.as_deref()),
            (RunState::Succeeded, Some(1_800), Some(7_200), Some("strict"))
        );
        // Run again: as it stood then, because there is none any more.
        let again = restore_tests::rerun(&site.ctx, domain::id::RestoreTestId(row.id), Again::New).await.unwrap();
        assert_eq!(site.through(again).await.1.rto_target_s, Some(1_800), "{}", site.db.name);
        // A limit that is broken is a failed check.
        std::thread::sleep(std::time::Duration::from_secs(2));
        site.define("strict", &Terms { rpo_s: Some(1), ..terms(vec![]) }).await;
        let (done, row) = site.by("strict").await;
        assert_eq!((done.state, verdict(&row, "rpo").0, row.level.as_str()), (RunState::Failed, Some(Verdict::Failed), "asserted"), "{:?}", row.checks);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rerun_takes_the_same_snapshots_or_new_ones() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        site.backup().await;
        site.define("all", &Terms { selection: Selection::All, ..Terms::default() }).await;
        let (_, first) = site.by("all").await;
        fs::write(site.home("ada").join("new.txt"), "new").unwrap();
        site.backup().await;
        let id = domain::id::RestoreTestId(first.id);
        let taken = |row: &RestoreTestRow| row.snapshots.iter().map(|s| s.snapshot).collect::<Vec<_>>();
        let (done, same) = site.through(restore_tests::rerun(&site.ctx, id, Again::Same).await.unwrap()).await;
        assert_eq!((done.state, taken(&same)), (RunState::Succeeded, taken(&first)), "{}: {:?}", site.db.name, same.checks);
        assert_eq!((same.rpo_s, same.files), (first.rpo_s, first.files), "the loss is assumed when it was");
        let (_, new) = site.through(restore_tests::rerun(&site.ctx, id, Again::New).await.unwrap()).await;
        assert!(taken(&new) != taken(&first) && new.files == first.files + 1, "{}", site.db.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chance_takes_one_snapshot_of_the_window_and_measures_what_a_loss_would_bring_back() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        for n in 0..3 {
            fs::write(site.home("ada").join("round.txt"), n.to_string()).unwrap();
            site.backup().await;
        }
        site.define("window", &Terms { selection: Selection::Random { days: 7 }, ..Terms::default() }).await;
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..6 {
            let (done, row) = site.by("window").await;
            assert_eq!((done.state, row.selection.as_str()), (RunState::Succeeded, "random 7 d"), "{:?}", row.checks);
            assert!((1..=2).contains(&row.items_restored), "one, and the canary's");
            seen.insert(row.snapshots[0].snapshot.0);
            let select = site.steps(done.run.id()).await.into_iter().find(|s| s.name == "select").unwrap();
            let output = select.output.unwrap().0;
            assert_eq!(output["seed"], done.run.id().to_string(), "the seed stands in the run");
        }
        assert!(seen.len() > 1, "{}: chance always took the same", site.db.name);
    }
}
