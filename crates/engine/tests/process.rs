//! A job in a child process: events, cancel, kill -9 of the child and of the parent (R20, R60).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use common::{backup_job, check_job, folder_access, items_of, outcome_of, restic, restic_json, rt};
use engine::{
    ErrorKind,
    job::{Event, Job, OpenedKey, Outcome, Reading, Secret},
    process::Child,
    repository::{Repository, key_of},
};

fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_engine-child").into()
}

async fn all(child: &mut Child) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(event) = tokio::time::timeout(Duration::from_mins(2), child.next()).await.unwrap() {
        events.push(event);
    }
    events
}

fn users(source: &Path, count: u64, bytes: usize) {
    for user in 0..count {
        let home = source.join(format!("user{user:03}"));
        fs::create_dir_all(&home).unwrap();
        fs::write(home.join("data"), common::noise(user, bytes)).unwrap();
        fs::write(home.join("small"), format!("{user}")).unwrap();
    }
}

#[test]
fn a_backup_and_a_check_in_a_child() {
    let dir = tempfile::tempdir().unwrap();
    let (source, repo) = (dir.path().join("source"), dir.path().join("repo"));
    users(&source, 3, 100_000);
    rt().block_on(async {
        let mut child = Child::start(&program(), &[], &Job::Backup(backup_job(&source, &repo, "r1"))).await.unwrap();
        assert!(child.pid().is_some());
        let events = all(&mut child).await;
        assert_eq!(items_of(&events).len(), 3);
        assert_eq!(outcome_of(&events).items, 3);
        assert!(child.next().await.is_none());

        let check = Job::Check(check_job(folder_access(&repo), Reading::All));
        let events = all(&mut Child::start(&program(), &[], &check).await.unwrap()).await;
        let Some(Event::Done(Outcome::Checked(outcome))) = events.last() else { panic!("{events:?}") };
        assert_eq!((outcome.snapshots, outcome.errors.len()), (4, 0), "{outcome:?}");
        assert!(outcome.bytes_read > 300_000 && outcome.size_bytes > outcome.bytes_read && outcome.packs >= 2, "{outcome:?}");
    });
}

#[test]
fn a_child_opens_with_the_key_that_its_parent_derived() {
    let dir = tempfile::tempdir().unwrap();
    let (source, repo) = (dir.path().join("source"), dir.path().join("repo"));
    users(&source, 1, 1_000);
    let mut access = folder_access(&repo);
    Repository::open_or_create(&access, &rt()).unwrap();
    let key = key_of(&access, &rt()).unwrap();
    assert!(repo.join("keys").join(&key.id).exists());
    let end = |access: &engine::job::Access| {
        let check = Job::Check(check_job(access.clone(), Reading::None));
        assert!(!format!("{check:?}").contains(key.master.reveal()), "a key never shows");
        rt().block_on(async { all(&mut Child::start(&program(), &[], &check).await.unwrap()).await }).pop().unwrap()
    };
    // Without the right password, it is the key alone that opens.
    access.password = Secret::new("no password at all");
    let failed = |event: Event| match event {
        Event::Failed(f) => f.kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(failed(end(&access)), ErrorKind::WrongPassword);
    assert_eq!(key_of(&access, &rt()).unwrap_err().kind, ErrorKind::WrongPassword, "another password is another key");
    access.key = Some(key.clone());
    assert!(matches!(end(&access), Event::Done(_)));
    // Once its file is gone the key opens nothing, and the password is asked again.
    let right = folder_access(&repo);
    restic(&repo, &["key", "add", "--new-password-file", password_file(dir.path()).to_str().unwrap()]);
    fs::remove_file(repo.join("keys").join(&key.id)).unwrap();
    assert_eq!(failed(end(&access)), ErrorKind::WrongPassword);
    let stale = engine::job::Access { key: Some(key.clone()), ..right };
    assert!(matches!(end(&stale), Event::Done(_)), "the password opens the other key");
    let damaged = engine::job::Access { key: Some(OpenedKey { id: "x".into(), master: Secret::new("{") }), ..stale };
    assert!(matches!(end(&damaged), Event::Done(_)), "a key that cannot be read is as good as none");
}

#[test]
fn a_lock_is_written_only_when_the_parent_has_recorded_it() {
    let dir = tempfile::tempdir().unwrap();
    let (source, repo) = (dir.path().join("source"), dir.path().join("repo"));
    users(&source, 1, 1_000);
    Repository::open_or_create(&folder_access(&repo), &rt()).unwrap();
    let locks = || fs::read_dir(repo.join("locks")).map_or(0, Iterator::count);
    rt().block_on(async {
        let mut child = Child::start(&program(), &[], &Job::Backup(backup_job(&source, &repo, "r1"))).await.unwrap();
        let told = loop {
            if let Event::Locked { lock } = child.next().await.unwrap() {
                break lock;
            }
        };
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(locks(), 0, "nobody has said yet that {told} is recorded");
        // A parent that goes away instead never gets a lock that it did not record.
        child.ask_to_stop();
        let Some(Event::Failed(failure)) = all(&mut child).await.pop() else { panic!("it went on") };
        assert_eq!((failure.kind, locks()), (ErrorKind::Cancelled, 0));
    });
}

/// A file with the repository's own password, for a second key.
fn password_file(dir: &Path) -> PathBuf {
    let file = dir.join("password");
    fs::write(&file, common::PASSWORD).unwrap();
    file
}

#[test]
fn a_program_that_is_no_child_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let job = Job::Check(check_job(folder_access(dir.path()), Reading::None));
    rt().block_on(async {
        let error = Child::start(Path::new("/none"), &[], &job).await.map(|_| ()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
        for (program, args) in
            [("/bin/true", &[][..]), ("/bin/sh", &["-c", "echo nonsense; echo why >&2; exit 3"]), ("/bin/sh", &["-c", "echo why >&2; kill -9 $$"])]
        {
            let events = all(&mut Child::start(Path::new(program), args, &job).await.unwrap()).await;
            let [Event::Failed(failure)] = &events[..] else { panic!("{events:?}") };
            assert_eq!((failure.kind, failure.permanent), (ErrorKind::Internal, false));
            assert!(args.is_empty() || failure.message.contains("why") || failure.message.contains("no event"), "{}", failure.message);
        }
    });
}

#[test]
fn asked_to_stop_the_child_puts_things_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (source, repo) = (dir.path().join("source"), dir.path().join("repo"));
    users(&source, 4, 60_000_000);
    rt().block_on(async {
        let mut child = Child::start(&program(), &[], &Job::Backup(backup_job(&source, &repo, "r1"))).await.unwrap();
        while let Some(event) = child.next().await {
            if matches!(&event, Event::Progress(p) if p.bytes_done > 0) {
                break;
            }
        }
        child.ask_to_stop();
        let events = all(&mut child).await;
        let Some(Event::Failed(failure)) = events.last() else { panic!("{events:?}") };
        assert_eq!(failure.kind, ErrorKind::Cancelled);
    });
    assert!(Repository::open(&folder_access(&repo), &rt()).unwrap().locks().unwrap().is_empty());
    assert_eq!(restic_json(&repo, &["snapshots"]).as_array().unwrap().len(), 0);
    restic(&repo, &["check"]);
}

#[test]
fn killed_at_any_moment_and_started_again_nothing_is_lost_or_doubled() {
    let dir = tempfile::tempdir().unwrap();
    let (source, repo) = (dir.path().join("source"), dir.path().join("repo"));
    users(&source, 30, 1_500_000);
    let run = "0199f000-0000-7000-8000-0000000000aa";
    let job = backup_job(&source, &repo, run);
    let mut kills = 0;
    let events = rt().block_on(async {
        // Each round lets the child live a little longer, until one gets through.
        for round in 0.. {
            let mut child = Child::start(&program(), &[], &Job::Backup(job.clone())).await.unwrap();
            let mut events = Vec::new();
            let mut locks = Vec::new();
            let deadline = tokio::time::sleep(Duration::from_millis(20 + 120 * round));
            tokio::pin!(deadline);
            let mut due = false;
            loop {
                tokio::select! {
                    () = &mut deadline, if !due => { due = true; child.kill(); }
                    event = child.next() => match event {
                        Some(Event::Locked { lock }) => locks.push(lock),
                        Some(event) => events.push(event),
                        None => break,
                    }
                }
            }
            if matches!(events.last(), Some(Event::Done(_))) {
                return events;
            }
            let Some(Event::Failed(failure)) = events.last() else { panic!("{events:?}") };
            assert!(failure.message.contains("signal: 9"), "{}", failure.message);
            kills += 1;
            // What the executor does: remove the lock files that it heard of.
            if let Ok(repository) = tokio::task::block_in_place(|| open_blocking(&repo)) {
                tokio::task::spawn_blocking(move || {
                    for lock in locks {
                        repository.remove_lock(&lock).unwrap();
                    }
                    assert!(repository.locks().unwrap().is_empty(), "every lock file was told before it was written");
                })
                .await
                .unwrap();
            }
        }
        unreachable!()
    });
    assert!(kills >= 3, "the test killed {kills} times only");
    assert_eq!(items_of(&events).len(), 30);
    let mut by_item: BTreeMap<String, usize> = BTreeMap::new();
    for snapshot in restic_json(&repo, &["snapshots"]).as_array().unwrap() {
        let tags: Vec<&str> = snapshot["tags"].as_array().unwrap().iter().filter_map(|t| t.as_str()).collect();
        let name = tags.iter().find_map(|t| t.strip_prefix("item:")).unwrap_or("root");
        *by_item.entry(name.to_owned()).or_default() += 1;
    }
    assert_eq!(by_item.len(), 31);
    assert!(by_item.values().all(|n| *n == 1), "{by_item:?}");
    restic(&repo, &["check", "--read-data"]);
}

fn open_blocking(repo: &Path) -> engine::Result<Repository> {
    let access = folder_access(repo);
    std::thread::spawn(move || Repository::open(&access, &rt())).join().unwrap()
}

#[test]
fn a_child_whose_parent_is_killed_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (source, repo) = (dir.path().join("source"), dir.path().join("repo"));
    users(&source, 2, 1_000);
    // The pipe's end is what a child sees when its parent is killed.
    rt().block_on(async {
        let mut child = Child::start(&program(), &[], &Job::Backup(backup_job(&source, &repo, "r1"))).await.unwrap();
        let pid = child.pid().unwrap();
        child.ask_to_stop();
        all(&mut child).await;
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    });
}
