//! restic's locks: written, refreshed, respected, removable (R13).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{fs, time::Duration};

use common::{folder_access, restic, restic_raw, rt, with_ctx};
use engine::{
    ErrorKind,
    job::Event,
    repository::{LockKind, Repository, StaleReason},
};

fn repository() -> (tempfile::TempDir, Repository) {
    let dir = tempfile::tempdir().unwrap();
    let repository = Repository::open_or_create(&folder_access(dir.path()), &rt()).unwrap();
    (dir, repository)
}

#[test]
fn restic_sees_our_lock_and_a_prune_waits_for_it() {
    let (dir, repository) = repository();
    let ((), events) = with_ctx(|ctx| {
        repository
            .with_lock(LockKind::Shared, ctx, |_| {
                let ids = restic(dir.path(), &["list", "locks", "--no-lock"]);
                assert_eq!(ids.lines().count(), 1);
                let lock = restic(dir.path(), &["cat", "lock", ids.trim(), "--no-lock"]);
                assert!(lock.contains("\"username\": \"holdfast\""), "{lock}");
                let prune = restic_raw(dir.path(), &["prune"]);
                assert!(!prune.status.success());
                let text = String::from_utf8_lossy(&prune.stderr).into_owned();
                assert!(text.contains("already locked"), "{text}");
                // Another reader may work beside.
                restic(dir.path(), &["snapshots"]);
                Ok(())
            })
            .unwrap();
    });
    assert!(matches!(&events[..], [Event::Locked { .. }]), "{events:?}");
    assert!(repository.locks().unwrap().is_empty());
    restic(dir.path(), &["prune"]);
}

#[test]
fn an_exclusive_lock_is_refused_while_others_exist_and_keeps_others_out() {
    let (dir, repository) = repository();
    with_ctx(|ctx| {
        repository
            .with_lock(LockKind::Shared, ctx, |_| {
                repository.with_lock(LockKind::Shared, ctx, |_| Ok(())).unwrap();
                let refused = repository.with_lock(LockKind::Exclusive, ctx, |_| Ok(())).unwrap_err();
                assert_eq!(refused.kind, ErrorKind::Locked);
                assert!(refused.message.contains("holdfast@"), "{}", refused.message);
                Ok(())
            })
            .unwrap();
        repository
            .with_lock(LockKind::Exclusive, ctx, |_| {
                assert_eq!(repository.with_lock(LockKind::Shared, ctx, |_| Ok(())).unwrap_err().kind, ErrorKind::Locked);
                let out = restic_raw(dir.path(), &["backup", "/etc/hostname"]);
                assert!(!out.status.success());
                Ok(())
            })
            .unwrap();
    });
    assert!(repository.locks().unwrap().is_empty(), "refused attempts leave no lock");
}

#[test]
fn a_lock_is_refreshed_and_one_that_was_taken_away_stops_the_work() {
    let (_dir, repository) = repository();
    let every = Duration::from_millis(50);
    let (done, events) = with_ctx(|ctx| {
        repository.with_lock_refreshed_every(every, LockKind::Shared, ctx, |held| {
            let first = repository.locks()?[0].id.clone();
            for _ in 0..100 {
                std::thread::sleep(every);
                if repository.locks()?.iter().any(|l| l.id != first) {
                    held.check()?;
                    break;
                }
            }
            for _ in 0..100 {
                for lock in repository.locks()? {
                    repository.remove_lock(&lock.id)?;
                }
                std::thread::sleep(every);
                held.check()?;
            }
            Ok(())
        })
    });
    assert_eq!(done.unwrap_err().kind, ErrorKind::Locked);
    let told: Vec<_> = events.iter().filter(|e| matches!(e, Event::Locked { .. })).collect();
    assert!(told.len() >= 2, "every lock file is told: {told:?}");
}

#[test]
fn the_lock_of_a_killed_process_is_shown_as_stale_and_can_be_removed() {
    let (dir, repository) = repository();
    let ((), events) = with_ctx(|ctx| {
        repository
            .with_lock(LockKind::Shared, ctx, |_| {
                // What a killed process leaves: a copy that nobody removes.
                let lock = fs::read_dir(dir.path().join("locks")).unwrap().next().unwrap().unwrap();
                fs::copy(lock.path(), dir.path().join("kept")).unwrap();
                Ok(())
            })
            .unwrap();
    });
    let Event::Locked { lock } = &events[0] else { panic!("{events:?}") };
    fs::rename(dir.path().join("kept"), dir.path().join("locks").join(lock)).unwrap();
    let seen = repository.locks().unwrap();
    assert_eq!((seen.len(), seen[0].stale), (1, None), "this process is alive");
    repository.remove_lock(lock).unwrap();
    repository.remove_lock(lock).unwrap();
    assert!(repository.locks().unwrap().is_empty());
    assert_eq!(repository.remove_lock("../config").unwrap_err().kind, ErrorKind::Invalid);
}

#[test]
fn the_lock_of_a_dead_process_on_this_host_does_not_stand_in_the_way() {
    let (dir, repository) = repository();
    // restic is killed while it waits for its standard input: its lock stays.
    let mut child = common::restic_child(dir.path(), &["backup", "--stdin"]);
    for _ in 0..200 {
        std::thread::sleep(Duration::from_millis(50));
        if !repository.locks().unwrap().is_empty() {
            break;
        }
    }
    let held = repository.locks().unwrap();
    assert_eq!((held[0].stale, held[0].pid), (None, child.id()));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(repository.locks().unwrap()[0].stale, Some(StaleReason::ProcessGone));
    with_ctx(|ctx| repository.with_lock(LockKind::Exclusive, ctx, |_| Ok(()))).0.unwrap();
}

#[test]
fn a_panic_leaves_no_lock() {
    let (_dir, repository) = repository();
    let work = std::panic::AssertUnwindSafe(|| with_ctx(|ctx| repository.with_lock::<()>(LockKind::Shared, ctx, |_| panic!("a fault"))));
    assert!(std::panic::catch_unwind(work).is_err());
    assert!(repository.locks().unwrap().is_empty());
}
