//! Opening, making and adopting repositories.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;

use common::{access, folder_access, restic, rt, with_ctx};
use engine::{
    ErrorKind,
    job::{FindJob, Secret},
    repository::Repository,
};

#[test]
fn a_new_repository_is_accepted_by_restic() {
    let dir = tempfile::tempdir().unwrap();
    let access = folder_access(&dir.path().join("repo"));
    let made = Repository::open_or_create(&access, &rt()).unwrap();
    let opened = Repository::open_or_create(&access, &rt()).unwrap();
    assert_eq!(made.id(), opened.id());
    assert!(restic(&dir.path().join("repo"), &["cat", "config"]).contains(made.id()));
    restic(&dir.path().join("repo"), &["check"]);
    assert!(opened.snapshots().unwrap().is_empty());
}

#[test]
fn what_is_wrong_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let open = |access: &engine::job::Access| Repository::open(access, &rt()).map(|_| ()).unwrap_err();
    let mut access = folder_access(&dir.path().join("none"));
    assert_eq!(open(&access).kind, ErrorKind::NoRepository);
    access = folder_access(dir.path());
    assert_eq!(open(&access).kind, ErrorKind::NoRepository);
    Repository::open_or_create(&access, &rt()).unwrap();
    access.password = Secret::new("wrong");
    let error = open(&access);
    assert_eq!(error.kind, ErrorKind::WrongPassword);
    assert!(!format!("{error:?}").contains("wrong\""), "{error:?}");
    access.location = "gopher://x".into();
    assert_eq!(open(&access).kind, ErrorKind::Invalid);
}

#[test]
fn a_password_that_was_taken_away_stops_working_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let access = folder_access(dir.path());
    Repository::open_or_create(&access, &rt()).unwrap();
    Repository::open(&access, &rt()).unwrap();
    fs::remove_dir_all(dir.path().join("keys")).unwrap();
    assert!(Repository::open(&access, &rt()).is_err());
}

#[test]
fn an_interrupted_creation_is_finished_and_remains_are_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let access = folder_access(dir.path());
    Repository::open_or_create(&access, &rt()).unwrap();
    // Killed between key and config: the key alone is there.
    fs::remove_file(dir.path().join("config")).unwrap();
    let again = Repository::open_or_create(&access, &rt()).unwrap();
    assert!(restic(dir.path(), &["cat", "config"]).contains(again.id()));
    // A config that is lost while data is there must never be replaced.
    fs::write(dir.path().join("some-file"), "x").unwrap();
    restic(dir.path(), &["backup", dir.path().join("some-file").to_str().unwrap()]);
    fs::remove_file(dir.path().join("config")).unwrap();
    let error = Repository::open_or_create(&access, &rt()).map(|_| ()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Damaged);
}

#[test]
fn many_who_make_it_at_once_make_one() {
    for round in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let access = folder_access(dir.path());
        let made = common::made_at_once(&access, 4);
        assert!(made.windows(2).all(|w| w[0] == w[1]), "round {round}: {made:?}");
        assert_eq!(fs::read_dir(dir.path().join("keys")).unwrap().count(), 1, "round {round}: the keys of those who came second are gone");
        assert!(restic(dir.path(), &["cat", "config"]).contains(&made[0]), "round {round}");
    }
}

#[test]
fn a_config_without_a_key_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let access = folder_access(dir.path());
    Repository::open_or_create(&access, &rt()).unwrap();
    fs::remove_dir_all(dir.path().join("keys")).unwrap();
    let error = Repository::open_or_create(&access, &rt()).map(|_| ()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Damaged, "{error}");
    assert!(error.message.contains("the keys are gone"), "{error}");
}

#[test]
fn a_repository_that_restic_wrote_is_adopted() {
    let dir = tempfile::tempdir().unwrap();
    let repo = dir.path().join("repo");
    fs::write(dir.path().join("a"), "alpha").unwrap();
    restic(&repo, &["init"]);
    restic(&repo, &["backup", "--host", "h", "--tag", "t1", dir.path().join("a").to_str().unwrap()]);
    let repository = Repository::open(&folder_access(&repo), &rt()).unwrap();
    let list = repository.snapshots().unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!((list[0].host.as_str(), list[0].tags.as_slice()), ("h", &["t1".to_owned()][..]));
    assert_eq!(repository.snapshot(&list[0].id).unwrap().tree.to_hex().as_str(), list[0].tree);
    assert_eq!(repository.snapshot(&"0".repeat(64)).unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(repository.snapshot("abc").unwrap_err().kind, ErrorKind::Invalid);
}

#[test]
fn a_repository_that_is_known_is_never_made_anew_nor_taken_for_another() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("mount");
    fs::create_dir(&place).unwrap();
    let mut access = folder_access(&place);
    let id = Repository::open_or_create(&access, &rt()).unwrap().id().to_owned();
    access.expect = Some(id.clone());
    assert_eq!(Repository::open_or_create(&access, &rt()).unwrap().id(), id);
    // Not mounted: the folder is there and empty.
    fs::rename(&place, dir.path().join("away")).unwrap();
    let refused = |access: &engine::job::Access| {
        let error = Repository::open_or_create(access, &rt()).map(|_| ()).unwrap_err();
        assert!(error.kind == ErrorKind::NoRepository && error.is_permanent(), "{error:?}");
        assert!(error.message.contains("the storage is not mounted, or another repository lies there"), "{}", error.message);
        let job = FindJob { access: access.clone(), snapshots: vec!["0".repeat(64)] };
        let found = with_ctx(|ctx| engine::repository::tend::find(&job, ctx)).0;
        assert_eq!(found.unwrap_err().kind, ErrorKind::NoRepository, "nothing is called gone");
    };
    refused(&access);
    fs::create_dir(&place).unwrap();
    refused(&access);
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0, "nothing was made");
    restic(&place, &["init"]);
    refused(&access);
    access.expect = None;
    assert_ne!(Repository::open(&access, &rt()).unwrap().id(), id);
}

#[test]
fn memory_keeps_a_repository_for_the_process() {
    let access = access("memory://kept");
    let id = Repository::open_or_create(&access, &rt()).unwrap().id().to_owned();
    assert_eq!(Repository::open(&access, &rt()).unwrap().id(), id);
}
