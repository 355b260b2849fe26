//! Faults of the storage: a backup fails with a typed error or succeeds, and what it leaves is a sound repository (R60).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use common::{access, backup_job, check_job, folder_access, items_of, restic, restic_json, rt, with_ctx};
use engine::{
    ErrorKind, Result,
    job::{BackupJob, BackupOutcome, Event, Reading},
    repository::{Repository, run_backup, run_check, storage},
    testing::{Fault, FaultKind, Faulty, Operation},
};

/// Two users in a source, and a repository that holds an older pass.
struct Bench {
    dir: tempfile::TempDir,
    job: BackupJob,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        for user in ["alice", "bob"] {
            fs::create_dir_all(source.join(user).join("deep")).unwrap();
            fs::write(source.join(user).join("deep/old"), common::noise(1, 300_000)).unwrap();
        }
        let mut job = backup_job(&source, &dir.path().join("repo"), "0199f000-0000-7000-8000-000000000001");
        let (first, events) = with_ctx(|ctx| run_backup(&job, ctx));
        job.root_parent = first.unwrap().root_snapshot;
        job.parents = items_of(&events).into_iter().map(|i| (i.name, i.snapshot.unwrap().id)).collect();
        job.run = "0199f000-0000-7000-8000-000000000002".into();
        fs::write(source.join("alice/deep/new"), common::noise(2, 400_000)).unwrap();
        fs::write(source.join("bob/other"), "small").unwrap();
        Self { dir, job }
    }

    fn repo(&self) -> std::path::PathBuf {
        self.dir.path().join("repo")
    }

    /// Runs the second pass on a copy of the repository whose storage has a fault.
    fn broken(&self, name: &str, fault: Option<Fault>) -> (std::path::PathBuf, Arc<Faulty>, BackupJob, Result<BackupOutcome>, Vec<Event>) {
        let copy = self.dir.path().join(name);
        copy_folder(&self.repo(), &copy);
        let store = Arc::new(Faulty::new(storage::folder(&copy).unwrap(), fault));
        let location = format!("{}-{name}", self.dir.path().file_name().unwrap().to_str().unwrap());
        storage::register_memory(&location, store.clone());
        let mut job = self.job.clone();
        job.access = access(&format!("memory://{location}"));
        job.create = false;
        let (done, events) = with_ctx(|ctx| run_backup(&job, ctx));
        (copy, store, job, done, events)
    }

    /// After the fault is gone the same run gets through and the repository is whole.
    fn recovers(what: &str, copy: &Path, store: &Faulty, job: &BackupJob) {
        store.mend();
        for lock in Repository::open(&job.access, &rt()).unwrap().locks().unwrap() {
            Repository::open(&job.access, &rt()).unwrap().remove_lock(&lock.id).unwrap();
        }
        let (done, events) = with_ctx(|ctx| run_backup(job, ctx));
        done.unwrap_or_else(|e| panic!("{what}: the repeated pass fails: {e:?}"));
        let files: BTreeMap<String, i64> = items_of(&events).into_iter().map(|i| (i.name, i.files)).collect();
        assert_eq!(files, [("alice".into(), 2), ("bob".into(), 2)].into(), "{what}");
        restic(copy, &["check", "--read-data"]);
        let mut snapshots: Vec<String> = restic_json(copy, &["snapshots"])
            .as_array()
            .unwrap()
            .iter()
            .map(|s| {
                s["tags"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|t| t.as_str().unwrap())
                    .filter(|t| t.starts_with("run:") || t.starts_with("item:"))
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect();
        snapshots.sort();
        let (one, two) = ("run:0199f000-0000-7000-8000-000000000001", "run:0199f000-0000-7000-8000-000000000002");
        let want = [format!("item:alice {one}"), format!("item:alice {two}"), format!("item:bob {one}"), format!("item:bob {two}"), two.to_owned()];
        assert_eq!(snapshots, want, "{what}: nothing lost, nothing twice");
    }
}

fn copy_folder(from: &Path, to: &Path) {
    for path in common::tree::paths(from) {
        let target = to.join(&path);
        if from.join(&path).is_dir() {
            fs::create_dir_all(&target).unwrap();
        } else {
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(from.join(&path), &target).unwrap();
        }
    }
}

/// One operation after the other goes wrong, in each way that cannot be silent.
fn every_operation(kind: FaultKind, from: usize, step: usize) {
    let bench = Bench::new();
    let (_, store, _, done, _) = bench.broken("clean", None);
    done.unwrap();
    let total = store.operations();
    assert!(total > 20, "{total} operations");
    for nth in (from..total).step_by(step) {
        let what = format!("{kind:?} at operation {nth} of {total}");
        let name = format!("n{nth}");
        let (copy, store, job, done, events) = bench.broken(&name, Some(Fault { on: None, folder: "", nth, kind }));
        if let Err(e) = &done {
            let wanted = match kind {
                FaultKind::Full => e.kind == ErrorKind::Full,
                FaultKind::BreaksOffAt(_) => matches!(e.kind, ErrorKind::Unavailable | ErrorKind::Locked),
                _ => matches!(e.kind, ErrorKind::Unavailable | ErrorKind::Locked),
            };
            assert!(wanted, "{what}: {e:?}");
        } else {
            assert_eq!(items_of(&events).iter().map(|i| i.files).sum::<i64>(), 4, "{what}: success means that all is there");
        }
        assert!(store.struck() > 0 || done.is_ok(), "{what}");
        // What the broken pass left is sound before anything is repaired.
        restic(&copy, &["check", "--no-lock"]);
        Bench::recovers(&what, &copy, &store, &job);
    }
}

#[test]
fn an_error_at_any_operation() {
    every_operation(FaultKind::Error, 0, 2);
}

#[test]
fn the_connection_is_lost_at_any_operation() {
    every_operation(FaultKind::Lost, 1, 3);
}

#[test]
fn no_answer_in_time_at_any_operation() {
    every_operation(FaultKind::Timeout, 0, 3);
}

#[test]
fn the_disk_is_full() {
    for folder in ["data", "index", "snapshots", "locks"] {
        let bench = Bench::new();
        let fault = Fault { on: Some(Operation::Put), folder, nth: 0, kind: FaultKind::Full };
        let (copy, store, job, done, _) = bench.broken(folder, Some(fault));
        let error = done.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Full, "{folder}: {error:?}");
        assert!(error.is_permanent() && error.message.contains("no space left"), "{}", error.message);
        restic(&copy, &["check", "--no-lock"]);
        Bench::recovers(folder, &copy, &store, &job);
    }
}

#[test]
fn a_read_breaks_off_or_delivers_less() {
    for folder in ["config", "keys", "index", "snapshots", "data"] {
        for kind in [FaultKind::BreaksOffAt(5), FaultKind::Truncated] {
            let bench = Bench::new();
            let what = format!("{kind:?} in {folder}");
            let (copy, store, job, done, events) = bench.broken(folder, Some(Fault { on: Some(Operation::Get), folder, nth: 0, kind }));
            match &done {
                Err(e) => assert!(matches!(e.kind, ErrorKind::Unavailable | ErrorKind::Damaged | ErrorKind::WrongPassword), "{what}: {e:?}"),
                Ok(_) => assert_eq!(items_of(&events).iter().map(|i| i.files).sum::<i64>(), 4, "{what}"),
            }
            restic(&copy, &["check", "--no-lock"]);
            Bench::recovers(&what, &copy, &store, &job);
        }
    }
}

#[test]
fn what_was_cut_short_in_silence_is_found_by_a_check() {
    for folder in ["data", "index", "snapshots"] {
        let bench = Bench::new();
        let (copy, _, job, done, _) = bench.broken(folder, Some(Fault { on: Some(Operation::Put), folder, nth: 0, kind: FaultKind::Truncated }));
        // A truncated pack or snapshot may only show later; a truncated index is read at once.
        let check = check_job(folder_access(&copy), Reading::None);
        let (checked, _) = with_ctx(|ctx| run_check(&check, ctx));
        let found = match checked {
            Ok(outcome) => outcome.errors,
            Err(e) => vec![e.to_string()],
        };
        assert!(!found.is_empty(), "{folder}: the check finds nothing, the backup said {done:?}");
        assert!(found.iter().all(|f| !f.contains('\n') && f.len() <= 520), "{found:?}");
        drop(job);
    }
}

#[test]
fn flipped_bits_in_a_pack_are_found_when_data_is_read() {
    let bench = Bench::new();
    let packs = common::tree::paths(&bench.repo().join("data"));
    let pack = packs.iter().map(|p| bench.repo().join("data").join(p)).filter(|p| p.is_file()).max_by_key(|p| fs::metadata(p).unwrap().len()).unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    bytes[1_000] ^= 1;
    fs::write(&pack, bytes).unwrap();
    let run = |read| with_ctx(|ctx| run_check(&check_job(folder_access(&bench.repo()), read), ctx)).0.unwrap();
    assert_eq!(run(Reading::None).errors, Vec::<String>::new(), "the structure is sound");
    let errors = run(Reading::All).errors;
    let name = pack.file_name().unwrap().to_str().unwrap();
    assert!(errors.iter().any(|e| e.contains(&name[..8])), "{errors:?}");
}
