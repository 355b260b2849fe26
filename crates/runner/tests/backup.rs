//! Backups and checks as runs, on real data and both databases.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;

use common::Site;
use domain::{
    id::{ItemId, RunId},
    run::{ItemState, RunKind, RunState},
    units::Timestamp,
    work::{BackupResult, CheckResult},
};
use store::{file_versions, ids::NewId as _, items, repositories, services, snapshots, sources, testing};

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_recorded_with_every_fact() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        let run = site.backup().await;
        let result: BackupResult = serde_json::from_value(run.result.clone().unwrap().0).unwrap();
        assert_eq!((result.items_ok, result.items_partial, result.items_failed), (3, 0, 0));
        assert!(result.bytes_added > 0);
        let mut read = site.db.db.read().await.unwrap();
        let service = services::find(read.tx(), site.service).await.unwrap().unwrap();
        assert_eq!((service.items, service.items_fresh, service.last_run_state.as_deref()), (3, 3, Some("succeeded")));
        assert!(sources::find(read.tx(), site.source).await.unwrap().unwrap().root_snapshot.is_some());
        let repository = repositories::find(read.tx(), site.repository).await.unwrap().unwrap();
        assert!(repository.size_bytes.unwrap() > 0 && repository.restic_id.is_some());
        let ada = items::find_by_name(read.tx(), site.source, "ada").await.unwrap().unwrap();
        assert!(ada.person_id.is_some() && ada.snapshots == 1);
        let versions = file_versions::of_path(read.tx(), ItemId(ada.id), "work/notes.md", 10).await.unwrap();
        assert_eq!((versions.len(), versions[0].until_at), (1, None), "{}", site.log(run.id()).await);
        drop(read);
        let states: Vec<_> = site.steps(run.id()).await.iter().map(|s| format!("{} {}", s.name, s.state)).collect();
        assert_eq!(states, ["prepare succeeded", "capture succeeded", "record succeeded", "guard succeeded", "verify succeeded", "forget succeeded"]);
        let results = ops::runs::items(&site.ctx, run.id(), Some(ItemState::Ok), "", 10).await.unwrap();
        assert!(results.len() == 3 && results.iter().all(|i| i.snapshot_id.is_some() && i.files == 4), "{results:?}");
        let seqs: Vec<_> = ops::runs::events_after(&site.ctx, run.id(), 0, 500).await.unwrap().iter().map(|e| e.seq).collect();
        assert_eq!(seqs, (1..=seqs.len() as i64).collect::<Vec<_>>());
        site.assert_clean("backup").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_pass_knows_what_changed_and_who_is_gone() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        site.backup().await;
        fs::write(site.home("ada").join("work/notes.md"), "changed").unwrap();
        fs::remove_file(site.home("ada").join("work/data.bin")).unwrap();
        fs::write(site.home("ada").join("new"), "new").unwrap();
        fs::remove_dir_all(site.home("cy")).unwrap();
        let keys = || site.work.with_key.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(keys(), 1, "there was no repository to have a key before the first look for snapshots");
        let run = site.backup().await;
        assert_eq!(keys(), 3, "each job that opens the repository gets its key: the pass, and the look for its snapshots");
        let mut read = site.db.db.read().await.unwrap();
        let ada = items::find_by_name(read.tx(), site.source, "ada").await.unwrap().unwrap();
        let id = ItemId(ada.id);
        let count = |path: &'static str, open: bool| (path, open);
        for (path, versions, open) in [("work/notes.md", 2, true), ("work/data.bin", 1, false), ("new", 1, true), ("canary.txt", 1, true)] {
            let rows = file_versions::of_path(read.tx(), id, path, 10).await.unwrap();
            assert_eq!((rows.len(), count(path, rows[0].until_at.is_none())), (versions, count(path, open)), "{}: {rows:?}", site.db.name);
        }
        let newest = snapshots::of_item(read.tx(), id, (Timestamp(i64::MAX), uuid::Uuid::max()), 10).await.unwrap();
        assert_eq!((newest.len(), newest[0].files_added, newest[0].files_changed, newest[0].files_removed), (2, 1, 1, 1), "{newest:?}");
        assert_eq!(newest[0].parent_restic_id.as_deref(), Some(newest[1].restic_id.as_str()));
        let cy = items::find_by_name(read.tx(), site.source, "cy").await.unwrap().unwrap();
        assert!(cy.gone_at.is_some() && cy.last_snapshot_id.is_some());
        assert_eq!(services::find(read.tx(), site.service).await.unwrap().unwrap().items, 2);
        drop(read);
        site.assert_clean(&run.id().to_string()).await;
        // A folder that is suddenly empty is more often a missing mount than the end of everybody.
        fs::remove_dir_all(site.home("ada")).unwrap();
        fs::remove_dir_all(site.home("bob")).unwrap();
        let run = ops::backups::start(&site.ctx, "notebooks", None, None).await.unwrap()[0];
        let done = site.end(run).await;
        assert_eq!((done.state, done.run.failure.unwrap().code.as_str()), (RunState::Partial, "no_items"));
        let mut read = site.db.db.read().await.unwrap();
        assert!(items::find_by_name(read.tx(), site.source, "ada").await.unwrap().unwrap().gone_at.is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_item_alone_and_one_that_is_not_there() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        site.backup().await;
        let run = ops::backups::start(&site.ctx, "notebooks", Some("homes"), Some(vec!["bob".into()])).await.unwrap()[0];
        let done = site.end(run).await;
        assert_eq!(done.state, RunState::Succeeded, "{:?}", done.run.failure);
        assert_eq!(ops::runs::items(&site.ctx, run, None, "", 10).await.unwrap().len(), 1);
        let mut read = site.db.db.read().await.unwrap();
        assert!(items::find_by_name(read.tx(), site.source, "ada").await.unwrap().unwrap().gone_at.is_none(), "the others are still listed");
        drop(read);
        let run = ops::backups::start(&site.ctx, "notebooks", None, Some(vec!["bob".into(), "nobody".into()])).await.unwrap()[0];
        let done = site.end(run).await;
        assert_eq!(done.state, RunState::Partial, "{:?}", done.run.failure);
        let again = ops::runs::retry(&site.ctx, run, ops::runs::Retry::FailedItems).await.unwrap();
        let done = site.end(again).await;
        assert_eq!(done.state, RunState::Failed, "{:?}", done.run.failure);
        site.assert_clean("items").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_password_names_its_variable_and_nothing_else() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        let mut deps = site.deps.clone();
        deps.env = std::sync::Arc::default();
        let run = ops::backups::start(&site.ctx, "notebooks", None, None).await.unwrap()[0];
        let done = site.end_with(deps, run).await;
        let failure = done.run.failure.unwrap().0;
        assert_eq!(done.state, RunState::Failed);
        assert!(failure.message.contains("PASSWORD") && failure.message.contains("repositories.main.password"), "{failure:?}");
        site.backup().await;
        let mut deps = site.deps.clone();
        deps.env = std::sync::Arc::new([("PASSWORD".to_owned(), "wrong".to_owned())].into());
        let run = ops::backups::start(&site.ctx, "notebooks", None, None).await.unwrap()[0];
        let done = site.end_with(deps, run).await;
        assert_eq!(done.run.failure.unwrap().code, "wrong_password");
        assert!(!site.log(run).await.contains("correct horse"));
        site.assert_clean("password").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_records_what_it_found() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        site.backup().await;
        for read_data in [false, true] {
            let run = ops::checks::start(&site.ctx, "main", read_data).await.unwrap();
            let done = site.end(run).await;
            assert_eq!(done.state, RunState::Succeeded, "{:?}", done.run.failure);
            let result: CheckResult = serde_json::from_value(done.run.result.unwrap().0).unwrap();
            assert!(result.snapshots >= 3 && result.packs > 0, "{result:?}");
        }
        let repository = repositories::find(site.db.db.read().await.unwrap().tx(), site.repository).await.unwrap().unwrap();
        assert_eq!((repository.check_state.as_deref(), repository.data_checked_at), (Some("ok"), repository.checked_at));
        damage_a_pack(&site);
        let run = ops::checks::start(&site.ctx, "main", true).await.unwrap();
        let done = site.end(run).await;
        assert_eq!((done.state, done.run.failure.unwrap().code.as_str()), (RunState::Failed, "damaged"));
        let repository = repositories::find(site.db.db.read().await.unwrap().tx(), site.repository).await.unwrap().unwrap();
        assert_eq!(repository.check_state.as_deref(), Some("damaged"));
        site.assert_clean("check").await;
    }
}

fn damage_a_pack(site: &Site) {
    let packs = common::tree(&site.folder.path().join("repo/data"));
    let (path, mut content) = packs.into_iter().filter(|(p, _)| p.file_name().unwrap().len() == 64).max_by_key(|(_, c)| c.len()).unwrap();
    let path = site.folder.path().join("repo/data").join(path);
    let middle = content.len() / 3;
    content[middle] ^= 1;
    let mut rights = fs::metadata(&path).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut rights, 0o600);
    fs::set_permissions(&path, rights).unwrap();
    fs::write(path, content).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_not_there_is_nothing() {
    let site = Site::new(testing::sqlite().await).await;
    let done = runner::execute_until_done(site.deps.clone(), RunId(uuid::Uuid::now_v7()), std::future::pending()).await.unwrap();
    assert!(done.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_is_not_in_the_repository_is_no_success() {
    let site = Site::new(testing::sqlite().await).await;
    let snapshots = site.folder.path().join("repo/snapshots");
    let deps = site.with_faults(move |step, moment| {
        if step == "verify" && moment == runner::Moment::Begun {
            // Somebody else removes all of them behind Holdfast's back.
            fs::remove_dir_all(&snapshots).unwrap();
            fs::create_dir(&snapshots).unwrap();
        }
        None
    });
    let run = ops::backups::start(&site.ctx, "notebooks", None, None).await.unwrap()[0];
    let done = site.end_with(deps, run).await;
    let failure = done.run.failure.unwrap().0;
    assert_eq!((done.state, failure.code.as_str()), (RunState::Failed, "damaged"));
    assert!(failure.message.contains("3 of 3 snapshots"), "{}", failure.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_repository_that_is_not_there_is_never_made_anew() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        site.backup().await;
        let (place, away) = (site.folder.path().join("repo"), site.folder.path().join("away"));
        let failed = async |what: &str| {
            let run = ops::backups::start(&site.ctx, "notebooks", None, None).await.unwrap()[0];
            let done = site.end(run).await;
            let failure = done.run.failure.unwrap();
            assert_eq!((done.state, failure.code.as_str(), done.run.attempts), (RunState::Failed, "no_repository", 1), "{what}: {}", site.log(run).await);
            assert!(failure.message.contains("the storage is not mounted, or another repository lies there"), "{}", failure.message);
        };
        // Not mounted: the mount point is an empty folder.
        fs::rename(&place, &away).unwrap();
        fs::create_dir(&place).unwrap();
        failed("an empty folder").await;
        assert_eq!(fs::read_dir(&place).unwrap().count(), 0, "{}: nothing was made there", site.db.name);
        common::restic(&site, &["init"]);
        failed("another repository").await;
        // A configuration that names another place means it.
        let mut t = site.db.db.begin().await.unwrap();
        let row = repositories::find(t.tx(), site.repository).await.unwrap().unwrap();
        let mut new = repositories::NewRepository {
            name: row.name.clone(),
            location: row.location.clone(),
            options: row.options.0.clone(),
            password: row.password.0.clone(),
            max_parallel: None,
            read_all_within_s: None,
        };
        repositories::upsert(t.tx(), &new, Timestamp(9)).await.unwrap();
        assert_eq!(repositories::find(t.tx(), site.repository).await.unwrap().unwrap().restic_id, row.restic_id, "the same place, the same repository");
        new.location = format!("file://{}", site.folder.path().join("elsewhere").display());
        repositories::upsert(t.tx(), &new, Timestamp(9)).await.unwrap();
        t.commit().await.unwrap();
        site.backup().await;
        let now = repositories::find(site.db.db.read().await.unwrap().tx(), site.repository).await.unwrap().unwrap();
        assert!(now.restic_id.is_some() && now.restic_id != row.restic_id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_cannot_be_read_fails_at_once() {
    for db in testing::databases().await {
        let site = Site::new(db).await;
        let new = store::queue::NewRun {
            id: RunId::new(),
            kind: RunKind::Backup,
            service: Some(site.service),
            source: Some(site.source),
            repository: Some(site.repository),
            title: "Backup".into(),
            params: serde_json::json!("of another version"),
            actor: "test".into(),
            retry_of: None,
            queued_at: Timestamp(1),
            run_at: Timestamp(1),
            priority: 0,
            max_attempts: 3,
            resource_key: None,
            unique_key: None,
            schedule: None,
            max_duration_s: None,
        };
        let mut t = site.db.db.begin().await.unwrap();
        assert!(store::queue::enqueue(t.tx(), &new).await.unwrap());
        t.commit().await.unwrap();
        let done = site.end(new.id).await;
        assert_eq!((done.state, done.run.attempts, done.run.failure.unwrap().code.as_str()), (RunState::Failed, 1, "unreadable"));
    }
}
