//! restic's locks: written, refreshed, respected, removable (R13).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::{folder_access, restic, restic_raw, rt, with_ctx};
use engine::{
    ErrorKind,
    job::{Event, Job},
    process::Child,
    repository::{LockKind, Repository, StaleReason, storage},
    testing::{Fault, FaultKind, Faulty, Operation},
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
fn the_lock_of_a_killed_child_does_not_stand_in_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    fs::create_dir_all(source.join("alice")).unwrap();
    fs::write(source.join("alice/data"), common::noise(1, 60_000_000)).unwrap();
    let repo = dir.path().join("repo");
    let job = Job::Backup(common::backup_job(&source, &repo, "r1"));
    rt().block_on(async {
        let mut child = Child::start(env!("CARGO_BIN_EXE_engine-child").as_ref(), &[], &job).await.unwrap();
        while let Some(event) = child.next().await {
            if matches!(&event, Event::Progress(p) if p.bytes_done > 0) {
                child.kill();
            }
        }
    });
    let repository = Repository::open(&folder_access(&repo), &rt()).unwrap();
    let left = repository.locks().unwrap();
    assert_eq!((left.len(), left[0].stale), (1, Some(StaleReason::ProcessGone)));
    with_ctx(|ctx| repository.with_lock(LockKind::Exclusive, ctx, |_| Ok(()))).0.unwrap();
}

#[test]
fn of_a_lock_of_stock_restic_nobody_can_say_that_its_process_is_gone() {
    let (dir, repository) = repository();
    // restic is killed while it waits for its standard input: its lock stays. The host's name is this one's, but
    // another machine may have the same.
    let mut child = common::restic_child(dir.path(), &["backup", "--stdin"]);
    for _ in 0..200 {
        std::thread::sleep(Duration::from_millis(50));
        if !repository.locks().unwrap().is_empty() {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(repository.locks().unwrap()[0].stale, None);
    assert_eq!(with_ctx(|ctx| repository.with_lock(LockKind::Exclusive, ctx, |_| Ok(()))).0.unwrap_err().kind, ErrorKind::Locked);
}

#[test]
fn what_removes_data_takes_an_unreadable_lock_for_a_lock() {
    let (dir, repository) = repository();
    let put = |id: String, content: &[u8]| fs::write(dir.path().join("locks").join(id), content).unwrap();
    fs::create_dir_all(dir.path().join("locks")).unwrap();
    // An empty file is what is left of a writer that died over it.
    put("1".repeat(64), b"");
    let lock = |kind| with_ctx(|ctx| repository.with_lock(kind, ctx, |_| Ok(()))).0;
    lock(LockKind::Exclusive).unwrap();
    put("2".repeat(64), b"written by a newer restic, perhaps");
    lock(LockKind::Shared).unwrap();
    let error = lock(LockKind::Exclusive).unwrap_err();
    assert!(error.kind == ErrorKind::Locked && error.message.contains(&"2".repeat(64)), "{}", error.message);
    assert!(repository.locks().unwrap().is_empty());
}

#[test]
fn a_lock_whose_writing_got_no_answer_is_removed_too() {
    let (dir, _) = repository();
    let locks = || fs::read_dir(dir.path().join("locks")).map_or(0, Iterator::count);
    for (n, fault) in [(0, FaultKind::Timeout), (1, FaultKind::Timeout), (1, FaultKind::Error)].into_iter().enumerate() {
        let (nth, kind) = fault;
        let store = Arc::new(Faulty::new(storage::folder(dir.path()).unwrap(), Some(Fault { on: Some(Operation::Put), folder: "locks", nth, kind })));
        let name = format!("no-answer-{n}-{}", std::process::id());
        storage::register_memory(&name, store.clone());
        let faulty = Repository::open(&common::access(&format!("memory://{name}")), &rt()).unwrap();
        let every = Duration::from_millis(50);
        let (done, _) = with_ctx(|ctx| {
            faulty.with_lock_refreshed_every(every, LockKind::Shared, ctx, |held| {
                for _ in 0..100 {
                    std::thread::sleep(every);
                    held.check()?;
                    if store.struck() > 0 {
                        break;
                    }
                }
                std::thread::sleep(every * 4);
                held.check()
            })
        });
        assert_eq!(done.is_ok(), nth == 1, "one refresh that fails is no loss: {done:?}");
        assert!(store.struck() > 0);
        assert_eq!(locks(), 0, "{kind:?} at {nth}");
    }
}

#[test]
fn a_patient_job_waits_until_the_lock_is_free_or_it_is_cancelled() {
    let (_dir, repository) = repository();
    let cancel = AtomicBool::new(false);
    let ctx = engine::Ctx { sink: &|_| (), cancel: &cancel, rt: rt(), patience: Duration::MAX };
    with_ctx(|other| {
        repository.with_lock(LockKind::Exclusive, other, |_| {
            std::thread::scope(|scope| {
                let waits = scope.spawn(|| repository.with_lock(LockKind::Shared, &ctx, |_| Ok(())));
                std::thread::sleep(Duration::from_secs(2));
                assert!(!waits.is_finished());
                cancel.store(true, Ordering::Relaxed);
                assert_eq!(waits.join().unwrap().unwrap_err().kind, ErrorKind::Cancelled);
            });
            Ok(())
        })
    })
    .0
    .unwrap();
    cancel.store(false, Ordering::Relaxed);
    repository.with_lock(LockKind::Shared, &ctx, |_| Ok(())).unwrap();
}

#[test]
fn a_panic_leaves_no_lock() {
    let (_dir, repository) = repository();
    let work = std::panic::AssertUnwindSafe(|| with_ctx(|ctx| repository.with_lock::<()>(LockKind::Shared, ctx, |_| panic!("a fault"))));
    assert!(std::panic::catch_unwind(work).is_err());
    assert!(repository.locks().unwrap().is_empty());
}
