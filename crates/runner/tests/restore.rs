//! Restores and restore tests as runs, on real data and both databases: what they write, measure and refuse.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;

use common::{Site, Tree, tree};
use domain::{
    evidence::{EvidenceLevel, Verdict},
    id::{ItemId, RunId, SnapshotId},
    restore::ConflictMode,
    run::RunState,
    work::{RestoreResult, RestoreTarget, Selection},
};
use ops::restores::{Choice, Request};
use store::{
    items,
    repositories::{self, NewRepository},
    restore_tests::RestoreTestRow,
    services::{self, Canary, NewService},
    snapshots,
    sources::{self, NewSource},
    testing,
};

impl Site {
    async fn newest(&self, user: &str) -> SnapshotId {
        let row = items::find_by_name(self.db.db.read().await.unwrap().tx(), self.source, user).await.unwrap().unwrap();
        SnapshotId(row.last_snapshot_id.unwrap())
    }

    fn to_folder(&self, snapshot: SnapshotId, name: &str) -> Request {
        let target = RestoreTarget::Folder { path: self.folder.path().join(name).to_string_lossy().into_owned() };
        Request { choices: vec![Choice { snapshot, paths: vec![] }], target, conflict: ConflictMode::Fail, preview: false, confirm: None }
    }

    async fn restore(&self, request: Request) -> (runner::Finished, Option<RestoreResult>) {
        let run = ops::restores::start(&self.ctx, request).await.unwrap();
        let done = self.end(run).await;
        let result = done.run.result.clone().map(|r| serde_json::from_value(r.0).unwrap());
        self.assert_clean("restore").await;
        (done, result)
    }

    async fn test(&self, selection: Selection) -> (runner::Finished, RestoreTestRow) {
        let run = ops::restore_tests::start(&self.ctx, "notebooks", selection).await.unwrap();
        let done = self.end(run).await;
        self.assert_clean("restore test").await;
        let row = ops::restore_tests::of_run(&self.ctx, run).await.unwrap();
        (done, row.unwrap_or_else(|| panic!("{}: no test was recorded", self.db.name)))
    }

    async fn promise(&self, rpo_s: Option<i64>, rto_s: Option<i64>, canary: Option<Canary>) {
        let new = NewService { name: "notebooks".into(), title: "Notebooks".into(), owner: "ops".into(), rpo_s, rto_s, mtpod_s: None, canary };
        let mut t = self.db.db.begin().await.unwrap();
        services::upsert(t.tx(), &new, self.ctx.now()).await.unwrap();
        t.commit().await.unwrap();
    }
}

fn verdict(row: &RestoreTestRow, check: &str) -> Option<Verdict> {
    row.checks.iter().find(|c| c.name == check).map(|c| c.verdict)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_user_to_a_folder_byte_by_byte_and_some_paths_alone() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        site.backup().await;
        let ada = site.newest("ada").await;
        let (done, result) = site.restore(site.to_folder(ada, "out")).await;
        assert_eq!(done.state, RunState::Succeeded, "{:?}", done.run.failure);
        let result = result.unwrap();
        assert_eq!((result.counts.create, result.counts.replace, result.items), (4, 0, 1), "{result:?}");
        assert!(tree(&site.folder.path().join("out")) == tree(&site.home("ada")));
        // The same once more is refused before anything is written: everything is in the way.
        let before = tree(&site.folder.path().join("out"));
        fs::write(site.folder.path().join("out/canary.txt"), "other").unwrap();
        let (done, _) = site.restore(site.to_folder(ada, "out")).await;
        assert_eq!((done.state, done.run.failure.unwrap().code.as_str()), (RunState::Failed, "conflict"));
        assert_eq!(fs::read_to_string(site.folder.path().join("out/canary.txt")).unwrap(), "other");
        let (done, _) = site.restore(Request { conflict: ConflictMode::Overwrite, ..site.to_folder(ada, "out") }).await;
        assert_eq!(done.state, RunState::Succeeded);
        assert!(tree(&site.folder.path().join("out")) == before);
        let choices = vec![Choice { snapshot: ada, paths: vec!["work/notes.md".into()] }];
        let (done, _) = site.restore(Request { choices, ..site.to_folder(ada, "some") }).await;
        assert_eq!(done.state, RunState::Succeeded, "{:?}", done.run.failure);
        let some = tree(&site.folder.path().join("some"));
        assert_eq!(some.keys().map(|p| p.to_string_lossy().into_owned()).collect::<Vec<_>>(), ["work", "work/notes.md"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_users_land_in_folders_of_their_names() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        site.backup().await;
        let choices = vec![Choice { snapshot: site.newest("ada").await, paths: vec![] }, Choice { snapshot: site.newest("bob").await, paths: vec![] }];
        let (done, result) = site.restore(Request { choices, ..site.to_folder(site.newest("ada").await, "all") }).await;
        assert_eq!(done.state, RunState::Succeeded, "{}", site.log(done.run.id()).await);
        let landings: Vec<_> = result.unwrap().landings.into_iter().map(|l| l.path).collect();
        for (user, landing) in ["ada", "bob"].iter().zip(&landings) {
            assert_eq!(landing, &site.folder.path().join("all").join(user).to_string_lossy());
            assert!(tree(&site.folder.path().join("all").join(user)) == tree(&site.home(user)));
        }
        assert_eq!(ops::runs::items(&site.ctx, done.run.id(), None, "", 10).await.unwrap().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_the_original_nothing_that_is_there_is_touched() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        site.backup().await;
        let taken = tree(&site.home("ada"));
        let ada = site.newest("ada").await;
        fs::write(site.home("ada").join("work/notes.md"), "of today").unwrap();
        let beside = || Request { target: RestoreTarget::Beside, ..site.to_folder(ada, "unused") };
        let (done, result) = site.restore(beside()).await;
        assert_eq!(done.state, RunState::Succeeded, "{}", site.log(done.run.id()).await);
        let landing = std::path::PathBuf::from(&result.unwrap().landings[0].path);
        assert_eq!(landing.parent(), Some(site.home("ada").as_path()));
        assert!(landing.file_name().unwrap().to_string_lossy().starts_with("restored-"), "{}", landing.display());
        assert!(tree(&landing) == taken, "{}", site.db.name);
        assert_eq!(fs::read_to_string(site.home("ada").join("work/notes.md")).unwrap(), "of today");
        // The owner of the folder could have put a link there that leads elsewhere.
        let elsewhere = site.folder.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::remove_dir_all(&landing).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &landing).unwrap();
        std::os::unix::fs::lchown(&landing, Some(4_242), Some(4_242)).unwrap();
        let (done, _) = site.restore(beside()).await;
        assert_eq!((done.state, done.run.failure.unwrap().code.as_str()), (RunState::Failed, "unsafe"), "{}", site.db.name);
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
        // Where the home is gone there is nothing to be beside of.
        fs::remove_dir_all(site.home("ada")).unwrap();
        let (done, _) = site.restore(beside()).await;
        assert_eq!((done.state, done.run.failure.unwrap().code.as_str()), (RunState::Failed, "not_found"), "{}", site.db.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_counts_exactly_and_touches_nothing() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        site.backup().await;
        fs::write(site.home("ada").join("work/notes.md"), "changed").unwrap();
        fs::remove_file(site.home("ada").join("canary.txt")).unwrap();
        let before = tree(&site.home("ada"));
        let ada = site.newest("ada").await;
        let request = Request { target: RestoreTarget::InPlace, conflict: ConflictMode::Overwrite, preview: true, ..site.to_folder(ada, "x") };
        let (done, result) = site.restore(request).await;
        let result = result.unwrap();
        assert_eq!((done.state, result.preview), (RunState::Succeeded, true));
        assert_eq!((result.counts.create, result.counts.replace, result.counts.same), (1, 1, 2), "{result:?}");
        assert_eq!(result.landings[0].path, site.home("ada").to_string_lossy());
        assert!(result.sample.iter().any(|p| p.action == "replace" && p.path.ends_with("work/notes.md")), "{result:?}");
        assert!(tree(&site.home("ada")) == before);
        let states: Vec<_> = site.steps(done.run.id()).await.into_iter().map(|s| s.state).collect();
        assert_eq!(states, ["succeeded", "succeeded", "skipped", "skipped", "skipped"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_place_a_safety_snapshot_comes_first_and_brings_back_what_was_replaced() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        site.backup().await;
        let ada = site.newest("ada").await;
        let original = tree(&site.home("ada"));
        fs::write(site.home("ada").join("work/notes.md"), "hours of work").unwrap();
        // Its backups leave this out; what is about to be changed does not.
        fs::write(site.home("ada").join("draft.tmp"), "precious").unwrap();
        let original = original.into_iter().chain([("draft.tmp".into(), b"precious".to_vec())]).collect::<Tree>();
        let request =
            Request { target: RestoreTarget::InPlace, conflict: ConflictMode::Overwrite, confirm: Some("notebooks".into()), ..site.to_folder(ada, "x") };
        let (done, result) = site.restore(request).await;
        assert_eq!(done.state, RunState::Succeeded, "{:?}", done.run.failure);
        assert!(tree(&site.home("ada")) == original);
        let safety = result.unwrap().safety;
        assert!(safety.len() == 1 && safety[0] != ada);
        let (done, _) = site.restore(site.to_folder(safety[0], "before")).await;
        assert_eq!(done.state, RunState::Succeeded);
        assert_eq!(fs::read_to_string(site.folder.path().join("before").join("work/notes.md")).unwrap(), "hours of work");
        assert_eq!(fs::read_to_string(site.folder.path().join("before/draft.tmp")).unwrap(), "precious");
        // Somebody whose folder is gone altogether: nothing to be safe about.
        let bob = site.newest("bob").await;
        let original = tree(&site.home("bob"));
        fs::remove_dir_all(site.home("bob")).unwrap();
        let request = Request { target: RestoreTarget::InPlace, confirm: Some("notebooks".into()), ..site.to_folder(bob, "x") };
        let (done, result) = site.restore(request).await;
        assert_eq!((done.state, result.unwrap().safety.len()), (RunState::Succeeded, 0), "{:?}", done.run.failure);
        assert!(tree(&site.home("bob")) == original);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_test_proves_measures_and_tears_down() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        site.backup().await;
        let (done, row) = site.test(Selection::All).await;
        assert_eq!((done.state, row.verdict.as_str(), row.level.as_str()), (RunState::Succeeded, "passed", "asserted"), "{:?}", row.checks);
        assert_eq!((row.items_restored, row.items_skipped, row.items_failed, row.files), (3, 0, 0, 12));
        for check in ["counts", "recapture", "canary", "rto", "rpo", "teardown"] {
            assert_eq!(verdict(&row, check), Some(Verdict::Passed), "{check}: {:?}", row.checks);
        }
        assert!(row.rto_s.unwrap() > 0.0 && row.rto_target_s == Some(3_600) && row.rpo_target_s == Some(86_400) && row.rpo_s.unwrap() < 60);
        assert!(row.teardown.gone_at.is_some() && row.snapshots.len() == 3);
        let mut read = site.db.db.read().await.unwrap();
        let service = services::find(read.tx(), site.service).await.unwrap().unwrap();
        assert_eq!((service.last_test_id, service.last_test_verdict.as_deref(), service.best_level.as_str()), (Some(row.id), Some("passed"), "asserted"));
        assert_eq!(service.last_run_state.as_deref(), Some("succeeded"));
        for tested in &row.snapshots.0 {
            let snapshot = snapshots::find(read.tx(), tested.snapshot).await.unwrap().unwrap();
            assert!(snapshot.level == EvidenceLevel::Asserted.as_str() && snapshot.verified_at.is_some());
        }
        drop(read);
        // The newest one alone, with the canary's item beside it.
        let (done, row) = site.test(Selection::Latest).await;
        assert_eq!(done.state, RunState::Succeeded, "{:?}", row.checks);
        assert!((1..=2).contains(&row.items_restored) && row.selection == "latest");
        let (_, row) = site.test(Selection::Sample { count: 2 }).await;
        assert!((2..=3).contains(&row.items_restored), "{row:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_test_cannot_pass_on_nothing_or_on_a_wrong_canary_or_too_late() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        let (done, row) = site.test(Selection::All).await;
        assert_eq!((done.state, row.verdict.as_str(), row.level.as_str()), (RunState::Failed, "failed", "none"), "an empty restore");
        site.backup().await;
        let canary = |path: &str, sha256: String| Some(Canary { item: "bob".into(), path: path.into(), sha256 });
        site.promise(None, None, canary("canary.txt", common::sha256("another line"))).await;
        let (done, row) = site.test(Selection::Latest).await;
        assert_eq!((done.state, row.verdict.as_str(), verdict(&row, "canary")), (RunState::Failed, "failed", Some(Verdict::Failed)));
        assert_eq!((row.level.as_str(), verdict(&row, "rto")), ("readable", None));
        site.promise(None, None, canary("nowhere.txt", common::sha256(common::CANARY))).await;
        assert_eq!(verdict(&site.test(Selection::Latest).await.1, "canary"), Some(Verdict::Failed));
        // A link that leads out of the scratch folder is not followed: it could not be checked.
        site.promise(None, None, canary("link", common::sha256(common::CANARY))).await;
        let (done, row) = site.test(Selection::Latest).await;
        assert_eq!((done.state, row.verdict.as_str(), verdict(&row, "canary")), (RunState::Partial, "unknown", Some(Verdict::Unknown)));
        site.promise(Some(0), Some(0), canary("canary.txt", common::sha256(common::CANARY))).await;
        let (done, row) = site.test(Selection::All).await;
        assert_eq!((done.state, verdict(&row, "rto"), row.level.as_str()), (RunState::Failed, Some(Verdict::Failed), "asserted"));
        // A passing rerun clears the red; history keeps it.
        site.promise(None, None, None).await;
        assert_eq!(site.test(Selection::All).await.1.verdict, "passed");
        assert_eq!(ops::restore_tests::list(&site.ctx, Some(site.service), None, 10).await.unwrap().len(), 6);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_test_fails_on_a_damaged_repository_and_says_unknown_when_it_cannot_look() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        site.backup().await;
        let repo = site.folder.path().join("repo");
        let away = site.folder.path().join("away");
        fs::rename(repo.join("data"), &away).unwrap();
        fs::create_dir(repo.join("data")).unwrap();
        let (done, row) = site.test(Selection::All).await;
        assert_eq!((done.state, row.verdict.as_str()), (RunState::Failed, "failed"), "{:?}", row.checks);
        assert!(row.level == "exists" || row.level == "readable", "{}", row.level);
        fs::remove_dir(repo.join("data")).unwrap();
        fs::rename(&away, repo.join("data")).unwrap();
        assert_eq!(site.test(Selection::All).await.1.verdict, "passed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scratch_folder_inside_a_source_is_refused() {
    let mut site = Site::new(testing::sqlite().await).await;
    site.backup().await;
    site.deps.data_dir = site.home("ada");
    let run: RunId = ops::restore_tests::start(&site.ctx, "notebooks", Selection::All).await.unwrap();
    let done = site.end(run).await;
    assert_eq!((done.state, done.run.failure.unwrap().code.as_str()), (RunState::Failed, "unsafe"));
    assert!(!site.home("ada").join("scratch").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_restored_is_in_the_index_as_it_was_taken() {
    let site = Site::new(testing::sqlite().await).await;
    site.backup().await;
    let ada = items::find_by_name(site.db.db.read().await.unwrap().tx(), site.source, "ada").await.unwrap().unwrap();
    let request = Request {
        target: RestoreTarget::InPlace,
        conflict: ConflictMode::Overwrite,
        confirm: Some("notebooks".into()),
        ..site.to_folder(site.newest("ada").await, "x")
    };
    fs::write(site.home("ada").join("only-now"), "x").unwrap();
    site.restore(request).await;
    // The safety snapshot is a snapshot as any other: it is listed, and its names are found.
    let mut read = site.db.db.read().await.unwrap();
    let rows = store::file_versions::of_path(read.tx(), ItemId(ada.id), "only-now", 10).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(items::find_by_name(read.tx(), site.source, "ada").await.unwrap().unwrap().snapshots, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_place_beside_a_repository_that_lies_in_the_source() {
    let site = Site::new(testing::sqlite().await).await;
    // The home holds the repository, which its backups leave out.
    let place = site.home("ada").join("back*up");
    let mut t = site.db.db.begin().await.unwrap();
    let row = repositories::find(t.tx(), site.repository).await.unwrap().unwrap();
    let location = format!("file://{}", place.display());
    let new = NewRepository { name: row.name, location, options: row.options.0, password: row.password.0, max_parallel: None, read_all_within_s: None };
    repositories::upsert(t.tx(), &new, site.ctx.now()).await.unwrap();
    let row = sources::find(t.tx(), site.source).await.unwrap().unwrap();
    let mut config = row.config.0;
    config["exclude"] = serde_json::json!(["back*"]);
    let new = NewSource { service: site.service, repository: site.repository, name: row.name, kind: row.kind, config, position: 0, policy: None };
    sources::upsert(t.tx(), &new, site.ctx.now()).await.unwrap();
    t.commit().await.unwrap();
    site.backup().await;
    fs::write(site.home("ada").join("work/notes.md"), "hours of work").unwrap();
    let ada = site.newest("ada").await;
    let request = Request { target: RestoreTarget::InPlace, conflict: ConflictMode::Overwrite, confirm: Some("notebooks".into()), ..site.to_folder(ada, "x") };
    let (done, result) = site.restore(request).await;
    assert_eq!((done.state, result.unwrap().safety.len()), (RunState::Succeeded, 1), "{:?}", done.run.failure);
    assert!(place.join("config").exists());
}
