//! The conformance suite of repository storages: a folder, memory, and S3 (R11).
//!
//! S3 is the emulator that `end2end/components/s3/up` starts. `HOLDFAST_TEST_S3` gives the endpoint of one that runs.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{fs, path::Path};

use common::{
    access, backup_job, check_job, folder_access, items_of, outcome_of, rt,
    s3::{bucket, s3, s3_access},
    with_ctx,
};
use engine::{
    ErrorKind,
    job::{Access, Event, Outcome, Reading, Secret},
    repository::{LockKind, Repository, run_backup, run_check},
};
use rustic_core::{FileType, Id, ReadBackend as _, WriteBackend as _};

/// What every storage must do. `empty` is a place that holds nothing.
fn conformance(empty: &Access, again: impl Fn() -> Access) {
    files(empty);
    // A repository from nothing, opened anew from the same words.
    let none = Repository::open(empty, &rt()).map(|_| ()).unwrap_err();
    assert_eq!(none.kind, ErrorKind::NoRepository, "{none:?}");
    let dir = tempfile::tempdir().unwrap();
    for user in ["alice", "bob"] {
        fs::create_dir_all(dir.path().join(user).join("deep/er")).unwrap();
        fs::write(dir.path().join(user).join("deep/er/file"), common::noise(3, 700_000)).unwrap();
        fs::write(dir.path().join(user).join("own"), user).unwrap();
    }
    let mut job = backup_job(dir.path(), Path::new("/unused"), "r1");
    job.access = again();
    let pass = |job: &engine::job::BackupJob| {
        let (done, mut events) = with_ctx(|ctx| run_backup(job, ctx));
        events.push(Event::Done(Outcome::Backup(done.unwrap())));
        events
    };
    let first = pass(&job);
    assert_eq!(items_of(&first).len(), 2);
    job.root_parent = outcome_of(&first).root_snapshot;
    job.run = "r2".into();
    let second = pass(&job);
    assert_eq!(outcome_of(&second).bytes_read, 0);
    assert!(outcome_of(&second).size_bytes.unwrap() > 700_000);

    let repository = Repository::open(&again(), &rt()).unwrap();
    assert_eq!(repository.snapshots().unwrap().len(), 5);
    with_ctx(|ctx| repository.with_lock(LockKind::Exclusive, ctx, |_| Ok(())).unwrap());
    assert!(repository.locks().unwrap().is_empty());
    let (checked, _) = with_ctx(|ctx| run_check(&check_job(again(), Reading::All), ctx));
    let checked = checked.unwrap();
    assert_eq!((checked.errors, checked.warnings, checked.snapshots), (vec![], vec![], 5));

    let mut wrong = again();
    wrong.password = Secret::new("wrong");
    assert_eq!(Repository::open(&wrong, &rt()).map(|_| ()).unwrap_err().kind, ErrorKind::WrongPassword);
}

/// The obligations of a backend, file by file.
fn files(access: &Access) {
    let store = engine::repository::storage::connect(access, true).unwrap();
    let backend = engine::repository::Backend::new(store, rt(), access.location.clone());
    let id: Id = "00aabbccddeeff00112233445566778899aabbccddeeff001122334455667788".parse().unwrap();
    let other: Id = "ffaabbccddeeff00112233445566778899aabbccddeeff001122334455667788".parse().unwrap();
    for kind in [FileType::Pack, FileType::Index, FileType::Snapshot, FileType::Key] {
        assert!(backend.list_with_size(kind).unwrap().is_empty(), "an empty place lists nothing");
        assert!(backend.read_full(kind, &id).is_err(), "what is not there cannot be read");
        backend.write_bytes(kind, &id, false, b"hello world".to_vec().into()).unwrap();
        backend.write_bytes(kind, &other, false, Vec::new().into()).unwrap();
        assert_eq!(&backend.read_full(kind, &id).unwrap()[..], b"hello world");
        assert_eq!(backend.read_full(kind, &other).unwrap().len(), 0);
        assert_eq!(&backend.read_partial(kind, &id, false, 6, 5).unwrap()[..], b"world");
        assert_eq!(&backend.read_partial(kind, &id, true, 0, 1).unwrap()[..], b"h");
        assert!(backend.read_partial(kind, &id, false, 6, 6).is_err(), "beyond the end is an error, never less than asked for");
        let mut listed = backend.list_with_size(kind).unwrap();
        listed.sort();
        assert_eq!(listed, [(id, 11), (other, 0)]);
        // Writing again replaces: a retry after a lost answer must not fail.
        backend.write_bytes(kind, &id, false, b"hello world".to_vec().into()).unwrap();
        backend.remove(kind, &id, false).unwrap();
        backend.remove(kind, &id, false).unwrap();
        backend.remove(kind, &other, false).unwrap();
        assert!(backend.list_with_size(kind).unwrap().is_empty());
    }
    assert!(backend.list_with_size(FileType::Config).unwrap().is_empty());
}

#[test]
fn a_folder() {
    let dir = tempfile::tempdir().unwrap();
    conformance(&folder_access(dir.path()), || folder_access(dir.path()));
}

#[test]
fn a_folder_with_an_odd_name() {
    let dir = tempfile::tempdir().unwrap();
    let odd = dir.path().join("with space %20 ünï #?");
    conformance(&folder_access(&odd), || folder_access(&odd));
    assert!(odd.join("config").exists());
}

#[test]
fn memory() {
    conformance(&access("memory://conformance"), || access("memory://conformance"));
}

#[test]
fn s3_with_a_prefix() {
    let bucket = bucket("prefixed");
    let place = || s3_access(&format!("s3://{bucket}/some/deep prefix"));
    conformance(&place(), place);
}

#[test]
fn s3_without_a_prefix_and_stock_restic_reads_it() {
    let bucket = bucket("bare");
    let place = || s3_access(&format!("s3://{bucket}"));
    conformance(&place(), place);
    let url = format!("s3:{}/{bucket}", s3());
    #[allow(clippy::disallowed_methods, reason = "tests start stock restic themselves")]
    let out = std::process::Command::new("restic")
        .args(["--no-cache", "-r", &url, "check", "--read-data"])
        .envs([("RESTIC_PASSWORD", common::PASSWORD), ("AWS_ACCESS_KEY_ID", "test-key"), ("AWS_SECRET_ACCESS_KEY", "test-secret-test-secret")])
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn what_is_wrong_with_s3_is_told_apart() {
    let mut place = s3_access("s3://no-such-bucket/x");
    let error = Repository::open_or_create(&place, &rt()).map(|_| ()).unwrap_err();
    assert!(matches!(error.kind, ErrorKind::NotFound | ErrorKind::NoRepository), "{error:?}");
    place.options.insert("endpoynt".into(), "x".into());
    let error = Repository::open(&place, &rt()).map(|_| ()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(error.message.contains("endpoynt") && error.message.contains("endpoint"), "{}", error.message);
    assert!(!format!("{place:?}").contains("test-secret"), "credentials never show");
}

#[test]
fn a_storage_that_does_not_answer_is_unavailable_also_over_tls() {
    for endpoint in ["http://127.0.0.1:1", "https://127.0.0.1:1"] {
        let mut place = access("s3://bucket/x");
        place.options = [("endpoint", endpoint), ("allow_http", "true"), ("access_key_id", "k")].map(|(k, v)| (k.into(), v.into())).into();
        place.credentials = [("secret_access_key".into(), Secret::new("s"))].into();
        let error = Repository::open(&place, &rt()).map(|_| ()).unwrap_err();
        assert!(error.kind == ErrorKind::Unavailable && !error.is_permanent(), "{endpoint}: {error:?}");
        assert!(error.message.contains("s3://bucket/x"), "{}", error.message);
    }
}
