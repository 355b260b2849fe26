//! The tamper test on real storages: a folder, a plain bucket, a bucket with versions, a bucket with object lock (R14).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{
    folder_access, restic, rt,
    s3::{bucket, curl, s3, s3_access, s3_that_locks},
    with_ctx,
};
use domain::tamper::{Answer, Findings, Protection};
use engine::{
    ErrorKind,
    job::{Access, TamperJob},
    repository::{Repository, run_tamper_test},
};

fn test(access: &Access) -> Findings {
    let job = TamperJob { access: access.clone(), run: "01a1f8df".into() };
    with_ctx(|ctx| run_tamper_test(&job, ctx)).0.unwrap()
}

fn repository(bucket: &str) -> Access {
    let mut access = s3_access(&format!("s3://{bucket}/with space/deep"));
    access.options.insert("endpoint".into(), s3_that_locks());
    Repository::open_or_create(&access, &rt()).unwrap();
    access
}

/// Lets the bucket lock what is written for a day.
fn lock(bucket: &str, mode: &str) {
    let rule = format!(
        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>{mode}</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>"
    );
    let made = curl(&["-X", "PUT", "-H", "Content-Type: application/xml", "-d", &rule, &format!("{}/{bucket}?object-lock", s3())]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn lockable_bucket(name: &str) -> String {
    let bucket = format!("{name}-{}", std::process::id());
    let made = curl(&["-X", "PUT", "-H", "x-amz-bucket-object-lock-enabled: true", &format!("{}/{bucket}", s3())]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    bucket
}

#[test]
fn a_plain_folder_is_protected_by_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let access = folder_access(dir.path());
    Repository::open_or_create(&access, &rt()).unwrap();
    let found = test(&access);
    assert_eq!(found.judge(), Protection::Unprotected, "{found:?}");
    assert!(!found.versioned && found.cleaned && found.overwrite == Answer::Done && found.delete == Answer::Done, "{found:?}");
    assert!(!dir.path().join(&found.probe).exists());
    restic(dir.path(), &["check", "--read-data"]);
}

#[test]
fn a_plain_bucket_is_protected_by_nothing() {
    let found = test(&repository(&bucket("tamper-plain")));
    assert_eq!(found.judge(), Protection::Unprotected, "{found:?}");
    assert!(!found.versioned && found.cleaned && !found.intact, "{found:?}");
}

#[test]
fn versions_alone_protect_nothing_since_they_can_be_deleted() {
    let bucket = bucket("tamper-versions");
    let on = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    assert!(curl(&["-X", "PUT", "-H", "Content-Type: application/xml", "-d", on, &format!("{}/{bucket}?versioning", s3())]).status.success());
    let access = repository(&bucket);
    let found = test(&access);
    assert_eq!((found.judge(), found.versioned, &found.delete_version), (Protection::Unprotected, true, &Answer::Done), "{found:?}");
    assert!(found.cleaned && found.locked_until.is_none(), "{found:?}");
}

#[test]
fn object_lock_protects() {
    let bucket = lockable_bucket("tamper-locked");
    lock(&bucket, "COMPLIANCE");
    let access = repository(&bucket);
    let found = test(&access);
    assert_eq!(found.judge(), Protection::Protected, "{found:?}");
    assert_eq!((&found.delete_version, &found.bypass, found.intact, found.cleaned), (&Answer::Refused, &Answer::Refused, true, false), "{found:?}");
    let hours = found.locked_until.unwrap().secs_since(engine::clock::now()) / 3600.0;
    assert!((22.0..25.0).contains(&hours), "{hours}");
    // What is left of the probe is hidden and harms nobody.
    assert!(Repository::open(&access, &rt()).unwrap().snapshots().unwrap().is_empty());
    assert_eq!(test(&access).judge(), Protection::Protected, "and again");
}

#[test]
fn a_lock_that_the_writer_may_bypass_protects_nothing() {
    let bucket = lockable_bucket("tamper-governed");
    lock(&bucket, "GOVERNANCE");
    let found = test(&repository(&bucket));
    // The emulator lets everybody bypass.
    assert_eq!((found.judge(), &found.delete_version, &found.bypass), (Protection::Unprotected, &Answer::Refused, &Answer::Done), "{found:?}");
    assert!(found.words().contains("bypassing"), "{}", found.words());
}

#[test]
fn a_bucket_that_could_lock_but_is_not_told_to_is_not_protected() {
    let found = test(&repository(&lockable_bucket("tamper-lockable")));
    assert_eq!((found.judge(), found.versioned), (Protection::Unprotected, true), "{found:?}");
}

#[test]
fn where_there_is_no_repository_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let job = TamperJob { access: folder_access(dir.path()), run: "x".into() };
    let error = with_ctx(|ctx| run_tamper_test(&job, ctx)).0.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoRepository);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
