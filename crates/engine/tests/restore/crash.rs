//! A restore that ends anywhere: the target is restored, or as it was.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use domain::restore::ConflictMode;
use engine::{
    Ctx, EngineError, ErrorKind,
    job::{Event, RestoreJob, UnwindJob},
    restore::{Ending, POOR_FILE_SYSTEM, run_restore_at, run_unwind_at},
};

use crate::{
    STAGING, common,
    disk::{assert_same, inside, state},
    job, restore, restore_until, scratch,
    stock::{backup, noise},
    unwind,
};

fn home(home: &Path) {
    fs::create_dir_all(home.join("new/deep")).unwrap();
    fs::create_dir_all(home.join("both/closed")).unwrap();
    for (name, text) in
        [("replaced", "snapshot"), ("new/deep/file", "n"), ("both/replaced", "snapshot"), ("both/new", "n"), ("kind", "a file now"), ("both/closed/x", "x")]
    {
        fs::write(home.join(name), text).unwrap();
    }
    symlink("a", home.join("link")).unwrap();
    fs::set_permissions(home.join("both/closed"), fs::Permissions::from_mode(0o500)).unwrap();
    fs::set_permissions(home.join("both"), fs::Permissions::from_mode(0o711)).unwrap();
}

/// A target with old files, one of them with a second name outside, and folders with times and attributes of their own.
fn target(target: &Path, outside: &Path) {
    fs::create_dir_all(target.join("both")).unwrap();
    fs::create_dir_all(target.join("kind")).unwrap();
    fs::create_dir_all(outside).unwrap();
    fs::write(target.join("replaced"), "target").unwrap();
    fs::write(target.join("both/replaced"), "target").unwrap();
    fs::hard_link(target.join("both/replaced"), outside.join("second name")).unwrap();
    fs::write(target.join("both/own"), "own").unwrap();
    symlink(outside, target.join("link")).unwrap();
    rustix::fs::setxattr(target.join("both"), "user.own", b"own", rustix::fs::XattrFlags::empty()).unwrap();
    for path in ["both/own", "replaced", "both/replaced", "both", "kind", ""] {
        fs::File::open(target.join(path)).unwrap().set_modified(std::time::UNIX_EPOCH + std::time::Duration::new(1_500_000_000, 5)).unwrap();
    }
}

/// What a hook does at its n-th call.
fn stop_at(n: usize, calls: &AtomicUsize) -> impl Fn(&'static str) -> engine::Result<()> + Sync {
    move |what| {
        if calls.fetch_add(1, Relaxed) == n { Err(EngineError::new(ErrorKind::Internal, format!("stopped {what}"))) } else { Ok(()) }
    }
}

fn with_places(test: impl Fn(&RestoreJob, &Path, &Path, &dyn Fn())) {
    let dir = scratch();
    let (repo, source) = (dir.path().join("repo"), dir.path().join("home"));
    home(&source);
    let snapshot = backup(&repo, &source);
    // A target that is there, and one whose folders have to be made; both also on what is as poor as NFS.
    for (n, (existing, poor)) in [(true, false), (false, false), (true, true), (false, true)].into_iter().enumerate() {
        POOR_FILE_SYSTEM.set(poor);
        let place = dir.path().join(format!("place{n}"));
        let here = if existing { place.join("target") } else { place.join("not/there/yet") };
        let reset = || {
            clear(&place);
            fs::create_dir(&place).unwrap();
            if existing {
                target(&here, &place.join("outside"));
            }
        };
        test(&job(&repo, &snapshot, &here, ConflictMode::Overwrite), &place, &here, &reset);
    }
}

/// Removes a folder with all that is in it, also what its owner may not write into.
fn clear(path: &Path) {
    if !path.exists() {
        return;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() { clear(&entry.path()) } else { fs::remove_file(entry.path()).unwrap() }
    }
    fs::remove_dir(path).unwrap();
}

/// The state of a place without what making it anew changes: the place's own times.
fn at(place: &Path) -> BTreeMap<String, String> {
    inside(place)
}

#[test]
fn a_failure_at_any_step_leaves_the_target_as_it_was() {
    with_places(|job, place, _, reset| {
        reset();
        let before = at(place);
        let mut steps = 0;
        for n in 0.. {
            let calls = AtomicUsize::new(0);
            let ran = restore_until(job, &stop_at(n, &calls), Ending::Unwind);
            if ran.result.is_ok() {
                break;
            }
            steps = n;
            if ran.result.unwrap_err().message.contains("restore stands") || at(place) != before {
                // Once it stands it is not undone; clearing away may be what failed.
                assert!(!place.join(STAGING).exists());
                reset();
                continue;
            }
            assert_same(&before, &at(place));
        }
        assert!(steps >= 5, "{steps} steps were tried");
    });
}

#[test]
fn a_crash_at_any_step_is_unwound_even_when_unwinding_crashes_too() {
    with_places(|job, place, here, reset| {
        let finished = {
            reset();
            restore(job).result.unwrap();
            inside(here)
        };
        let unwind_job = UnwindJob { targets: vec![here.to_owned()], staging: STAGING.to_owned() };
        let (mut undone, mut stood) = (0, 0);
        for n in 0.. {
            reset();
            let before = at(place);
            let calls = AtomicUsize::new(0);
            let ran = restore_until(job, &stop_at(n, &calls), Ending::Crash);
            let Err(error) = ran.result else { break };
            let settled = error.message.contains("after the restore stands") || error.message.contains("before clearing");
            let told = Mutex::new(ran.events);
            // Unwinding is stopped at its first, second, … step, and begun again each time, until it comes to its end.
            for m in 0.. {
                assert!(m < 100, "unwinding never ends");
                let calls = AtomicUsize::new(0);
                let cancel = AtomicBool::new(false);
                let sink = |e| told.lock().unwrap().push(e);
                let ctx = Ctx { sink: &sink, cancel: &cancel, rt: common::rt(), patience: std::time::Duration::ZERO };
                if run_unwind_at(&unwind_job, &ctx, &stop_at(m, &calls)).is_ok() {
                    break;
                }
            }
            assert!(!place.join(STAGING).exists(), "after {}", error.message);
            // Whoever was told it before everything was cleared away knows which of the two it is.
            let stands = told.lock().unwrap().iter().any(|e| matches!(e, Event::Stands { .. }));
            assert_eq!(stands, settled, "after {}", error.message);
            if settled {
                stood += 1;
                assert_same(&finished, &inside(here));
            } else {
                undone += 1;
                assert_same(&before, &at(place));
            }
            assert_eq!(unwind(&[here]).unwrap().put_back, 0, "a second time there is nothing to do");
        }
        assert!(undone >= 5 && stood >= 2, "{undone} steps undone, {stood} times the restore stood");
    });
}

#[test]
fn a_repeated_attempt_takes_up_what_was_staged() {
    let dir = scratch();
    let (repo, source, here) = (dir.path().join("repo"), dir.path().join("home"), dir.path().join("target"));
    fs::create_dir(&source).unwrap();
    for n in 0..20 {
        fs::write(source.join(format!("{n}")), noise(n, 400_000)).unwrap();
    }
    fs::hard_link(source.join("1"), source.join("1-again")).unwrap();
    symlink("1", source.join("link")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, source.join("pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0).unwrap();
    let snapshot = backup(&repo, &source);
    let stop = |what: &'static str| if what == "before a change" { Err(EngineError::new(ErrorKind::Internal, "crash")) } else { Ok(()) };
    restore_until(&job(&repo, &snapshot, &here, ConflictMode::Fail), &stop, Ending::Crash).result.unwrap_err();
    assert!(!here.exists());
    let staged = fs::read_dir(dir.path().join(STAGING)).unwrap().next().unwrap().unwrap().path().join("data");
    let ino = |path: &Path| fs::metadata(path).unwrap().ino();
    let (kept, kept_link) = (ino(&staged.join("5")), ino(&staged.join("1")));
    // One file was cut short by the crash, one was damaged without a trace in its size and times, one is missing.
    let times = fs::metadata(staged.join("7")).unwrap().modified().unwrap();
    fs::write(staged.join("6"), "short").unwrap();
    let mut bytes = fs::read(staged.join("7")).unwrap();
    bytes[200_000] ^= 1;
    fs::write(staged.join("7"), bytes).unwrap();
    fs::File::open(staged.join("7")).unwrap().set_modified(times).unwrap();
    fs::remove_file(staged.join("8")).unwrap();
    let damaged = ino(&staged.join("7"));
    let ran = restore(&job(&repo, &snapshot, &here, ConflictMode::Fail));
    assert_eq!((ran.ok().files, ran.item().problems_total), (23, 0));
    assert_same(&inside(&source), &inside(&here));
    assert_eq!((ino(&here.join("5")), ino(&here.join("1")), ino(&here.join("1-again"))), (kept, kept_link, kept_link), "whole files were not written again");
    assert_ne!(ino(&here.join("7")), damaged, "a damaged one was");
    assert!(!dir.path().join(STAGING).exists());
}

#[test]
fn cancelling_unwinds() {
    let dir = scratch();
    let (repo, source, here) = (dir.path().join("repo"), dir.path().join("home"), dir.path().join("target"));
    fs::create_dir_all(&source).unwrap();
    for n in 0..200 {
        fs::write(source.join(format!("{n}")), noise(n, 200_000)).unwrap();
    }
    let snapshot = backup(&repo, &source);
    fs::create_dir(&here).unwrap();
    fs::write(here.join("5"), "old").unwrap();
    let before = state(&here);
    let cancel = AtomicBool::new(false);
    let seen = Mutex::new(Vec::new());
    // Cancelled by whoever sees the first progress, and then again by the first change.
    for during_commit in [false, true] {
        cancel.store(false, Relaxed);
        let sink = |e: Event| {
            if matches!(e, Event::Progress(_)) && !during_commit {
                cancel.store(true, Relaxed);
            }
            seen.lock().unwrap().push(e);
        };
        let hook = |what: &'static str| {
            if what == "after a change" {
                cancel.store(true, Relaxed);
                return Err(EngineError::new(ErrorKind::Cancelled, "stopped as asked"));
            }
            Ok(())
        };
        let ctx = Ctx { sink: &sink, cancel: &cancel, rt: common::rt(), patience: std::time::Duration::ZERO };
        let done = run_restore_at(&job(&repo, &snapshot, &here, ConflictMode::Overwrite), &ctx, &hook, Ending::Unwind);
        assert_eq!(done.unwrap_err().kind, ErrorKind::Cancelled);
        assert_same(&before, &state(&here));
        assert!(!dir.path().join(STAGING).exists());
    }
}

#[test]
fn who_cancels_when_it_stands_gets_the_restore_and_what_shows_it() {
    let dir = scratch();
    let (repo, source, here) = (dir.path().join("repo"), dir.path().join("home"), dir.path().join("target"));
    home(&source);
    let snapshot = backup(&repo, &source);
    let cancel = AtomicBool::new(false);
    // The word comes together with the news that it stands: nobody knows whether those were recorded.
    let sink = |e: Event| {
        if matches!(e, Event::Stands { .. }) {
            cancel.store(true, Relaxed);
        }
    };
    let ctx = Ctx { sink: &sink, cancel: &cancel, rt: common::rt(), patience: std::time::Duration::ZERO };
    let done = run_restore_at(&job(&repo, &snapshot, &here, ConflictMode::Overwrite), &ctx, &|_| Ok(()), Ending::Unwind).unwrap();
    assert!(done.uncleared && dir.path().join(STAGING).exists());
    assert_same(&inside(&source), &inside(&here));
    assert_eq!(unwind(&[&here]).unwrap().put_back, 0);
    assert_same(&inside(&source), &inside(&here));
    assert!(!dir.path().join(STAGING).exists());
}

#[test]
fn what_somebody_else_changed_meanwhile_is_never_lost() {
    let dir = scratch();
    let (repo, source, here) = (dir.path().join("repo"), dir.path().join("home"), dir.path().join("target"));
    home(&source);
    let snapshot = backup(&repo, &source);
    // A file that comes to the target between planning and committing stops a restore that may not replace it.
    fs::create_dir(&here).unwrap();
    let hook = |what: &'static str| {
        if what == "before a change" && !here.join("new").exists() {
            fs::create_dir(here.join("new")).unwrap();
            fs::write(here.join("new/theirs"), "theirs").unwrap();
        }
        Ok(())
    };
    let ran = restore_until(&job(&repo, &snapshot, &here, ConflictMode::Skip), &hook, Ending::Unwind);
    let error = ran.result.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict, "{}", error.message);
    assert_eq!(inside(&here).keys().collect::<Vec<_>>(), ["new", "new/theirs"]);
    // Somebody replaces a restored file before the crash is unwound: neither theirs nor the old one is lost.
    fs::remove_dir_all(&here).unwrap();
    target(&here, &dir.path().join("outside"));
    let calls = AtomicUsize::new(0);
    let stop = |what: &'static str| {
        if what == "before the restore stands" { Err(EngineError::new(ErrorKind::Internal, "crash")) } else { stop_at(usize::MAX, &calls)(what) }
    };
    restore_until(&job(&repo, &snapshot, &here, ConflictMode::Overwrite), &stop, Ending::Crash).result.unwrap_err();
    fs::remove_file(here.join("replaced")).unwrap();
    fs::write(here.join("replaced"), "theirs").unwrap();
    let error = unwind(&[&here]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.message.contains("replaced") && error.message.contains("kept in the staging folder"), "{}", error.message);
    assert_eq!(fs::read_to_string(here.join("replaced")).unwrap(), "theirs");
    assert_eq!(fs::read_to_string(here.join("both/replaced")).unwrap(), "target", "the rest is put back");
    let staged = fs::read_dir(dir.path().join(STAGING)).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::read_to_string(staged.join("data/replaced")).unwrap(), "target", "the old one is kept");
    fs::remove_file(here.join("replaced")).unwrap();
    unwind(&[&here]).unwrap();
    assert_eq!(fs::read_to_string(here.join("replaced")).unwrap(), "target", "and goes back once its name is free");
    assert!(!dir.path().join(STAGING).exists());
}

#[test]
fn killed_for_real() {
    let dir = scratch();
    let (repo, source, here) = (dir.path().join("repo"), dir.path().join("home"), dir.path().join("target"));
    fs::create_dir_all(source.join("d")).unwrap();
    for n in 0..300 {
        fs::write(source.join(format!("d/{n}")), noise(n, 30_000)).unwrap();
    }
    let snapshot = backup(&repo, &source);
    let text = serde_json::to_string(&job(&repo, &snapshot, &here, ConflictMode::Overwrite)).unwrap();
    let (mut killed, mut whole) = (0, 0);
    for delay in (0..400).step_by(25) {
        if here.exists() {
            fs::remove_dir_all(&here).unwrap();
        }
        fs::create_dir_all(here.join("d")).unwrap();
        for n in 0..300 {
            fs::write(here.join(format!("d/{n}")), "old").unwrap();
        }
        let before = state(&here);
        let mut child = child(&text);
        std::thread::sleep(std::time::Duration::from_millis(250 + delay));
        let ended = child.try_wait().unwrap().is_some();
        child.kill().unwrap();
        child.wait().unwrap();
        unwind(&[&here]).unwrap();
        assert!(!dir.path().join(STAGING).exists());
        if inside(&here) == inside(&source) {
            whole += 1;
        } else {
            assert_same(&before, &state(&here));
            killed += 1;
        }
        assert!(!ended || inside(&here) == inside(&source));
    }
    assert!(killed > 0, "{killed} were killed, {whole} came to their end");
}

/// This test binary again, carrying out one job.
#[allow(clippy::disallowed_methods, reason = "the test kills a process of its own")]
fn child(job: &str) -> std::process::Child {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "crash::child_of_the_kill_test"]).env("HOLDFAST_TEST_JOB", job);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap()
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the job comes through the environment, since the test harness owns the arguments")]
fn child_of_the_kill_test() {
    if let Ok(text) = std::env::var("HOLDFAST_TEST_JOB") {
        restore(&serde_json::from_str(&text).unwrap()).result.unwrap();
    }
}
