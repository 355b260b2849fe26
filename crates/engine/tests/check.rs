//! Reading packs in slices, and since when a snapshot is verified.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use common::{backup_job, folder_access, items_of, noise, outcome_of, restic, rt, with_ctx};
use domain::{
    reading::{Mark, Slice},
    units::Timestamp,
};
use engine::{
    job::{BackupJob, CheckJob, CheckOutcome, Event, Outcome, PackMarks, Reading},
    repository::{Repository, run_backup, run_check, tend},
};

const DAY: i64 = 86_400;

/// A repository with what a row of checks knows of it.
struct Bench {
    dir: tempfile::TempDir,
    job: BackupJob,
    known: Vec<PackMarks>,
    verified: BTreeMap<String, Option<Timestamp>>,
}

fn day(n: i64) -> Timestamp {
    Timestamp::from_secs(n * DAY)
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let job = backup_job(&dir.path().join("src"), &dir.path().join("repo"), "r0");
        Self { dir, job, known: Vec::new(), verified: BTreeMap::new() }
    }

    fn repo(&self) -> PathBuf {
        self.dir.path().join("repo")
    }

    /// Adds a file to a user's folder and backs up; the snapshot of that user.
    fn backup(&mut self, user: &str, n: u64) -> String {
        let folder = self.dir.path().join("src").join(user).join("deep");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("file{n}")), noise(n, 300_000)).unwrap();
        self.job.run = format!("r{n}-{user}");
        let (done, mut events) = with_ctx(|ctx| run_backup(&self.job, ctx));
        events.push(Event::Done(Outcome::Backup(done.unwrap())));
        self.job.root_parent = outcome_of(&events).root_snapshot;
        items_of(&events).into_iter().find(|i| i.name == user).unwrap().snapshot.unwrap().id
    }

    fn check(&mut self, at: Timestamp, read: Reading) -> CheckOutcome {
        let job = CheckJob { access: folder_access(&self.repo()), at, read, known: std::mem::take(&mut self.known) };
        // Through the pipe and back.
        let job: CheckJob = serde_json::from_str(&serde_json::to_string(&job).unwrap()).unwrap();
        let (done, events) = with_ctx(|ctx| run_check(&job, ctx));
        for event in events {
            match event {
                Event::Packs(marks) => self.known.push(marks),
                Event::Verified { at, snapshots } => self.verified.extend(snapshots.into_iter().map(|id| (id, at))),
                _ => {}
            }
        }
        done.unwrap()
    }

    /// The marks of all packs, by id.
    fn marks(&self) -> BTreeMap<String, Mark> {
        let id = |pack: &[u8]| hex::encode(pack);
        self.known.iter().flat_map(|m| m.packs.0.chunks(32).map(move |p| (id(p), m.mark))).collect()
    }

    fn packs(&self) -> BTreeSet<String> {
        packs(&self.repo())
    }
}

fn packs(repo: &Path) -> BTreeSet<String> {
    let all = common::tree::paths(&repo.join("data"));
    all.iter().filter_map(|p| p.file_name()?.to_str()).filter(|n| n.len() == 64).map(str::to_owned).collect()
}

const WEEK: Reading = Reading::Slice(Slice { within_s: 7 * DAY, every_s: DAY });

#[test]
fn slices_read_every_pack_in_time_and_then_a_snapshot_is_verified() {
    let mut bench = Bench::new();
    let first: Vec<String> = (0..6).map(|n| bench.backup("alice", n)).collect();
    let structure = bench.check(day(0), Reading::None);
    assert_eq!((structure.errors, structure.packs_read, structure.packs_unread), (vec![], 0, structure.packs));
    assert_eq!(structure.waits_since, Some(day(0)));
    assert_eq!(bench.marks().keys().cloned().collect::<BTreeSet<_>>(), bench.packs(), "all are known, none was read");
    assert!(bench.verified.values().all(Option::is_none) && bench.verified.len() == 6, "{:?}", bench.verified);

    let mut last_whole = None;
    for today in 1..=7 {
        let read = bench.check(day(today), WEEK);
        assert!(read.errors.is_empty() && read.packs_read > 0 && read.packs_read < read.packs, "day {today}: {read:?}");
        let marks = bench.marks();
        assert_eq!(marks.values().filter(|m| m.read && m.at == day(today)).count() as i64, read.packs_read);
        assert_eq!(read.packs_unread, marks.values().filter(|m| !m.read).count() as i64);
        if read.packs_unread == 0 && last_whole.is_none() {
            last_whole = Some(today);
            let oldest = marks.values().map(|m| m.at).min();
            assert_eq!(bench.verified[&first[5]], oldest, "the newest needs all of them");
        }
    }
    assert!(last_whole.is_some(), "a week has passed: {:?}", bench.marks());

    // A new snapshot needs new packs: it is not verified yet, the others are still.
    let newer = bench.backup("alice", 9);
    bench.check(day(8), Reading::None);
    assert_eq!(bench.verified[&newer], None);
    assert!(bench.verified[&first[0]].is_some());
    for today in 9..30 {
        bench.check(day(today), WEEK);
        let oldest = bench.marks().values().map(|m| m.at).min().unwrap();
        assert!(day(today).secs_since(oldest) <= (7 * DAY) as f64, "day {today}");
    }
    assert!(bench.verified[&newer].is_some(), "all was read in the meantime");
}

#[test]
fn what_a_prune_removes_vanishes_from_the_record() {
    let mut bench = Bench::new();
    let first = bench.backup("alice", 0);
    bench.backup("bob", 1);
    bench.check(day(1), Reading::All);
    let before = bench.marks();
    assert!(before.values().all(|m| *m == Mark { at: day(1), read: true }), "{before:?}");
    assert_eq!(bench.verified[&first], Some(day(1)));
    let repo = bench.repo();
    let keep = restic(&repo, &["list", "snapshots"]);
    let all: Vec<&str> = keep.split_whitespace().collect();
    restic(&repo, &[&["forget", "--prune"], all.as_slice()].concat());
    bench.backup("bob", 2);
    bench.check(day(2), Reading::None);
    let after = bench.marks();
    assert_eq!(after.keys().cloned().collect::<BTreeSet<_>>(), bench.packs());
    assert!(before.keys().any(|p| !after.contains_key(p)), "nothing was pruned");
}

#[test]
fn a_damaged_pack_counts_as_never_read_and_its_snapshots_as_not_verified() {
    let mut bench = Bench::new();
    let alice = bench.backup("alice", 0);
    let before = bench.packs();
    let bob = bench.backup("bob", 1);
    bench.check(day(1), Reading::All);
    assert_eq!((bench.verified[&alice], bench.verified[&bob]), (Some(day(1)), Some(day(1))));
    // The data of bob.
    let path = |id: &String| bench.repo().join("data").join(&id[..2]).join(id);
    let pack = bench.packs().difference(&before).max_by_key(|id| fs::metadata(path(id)).unwrap().len()).cloned().unwrap();
    let mut bytes = fs::read(path(&pack)).unwrap();
    bytes[5_000] ^= 1;
    let place = path(&pack);
    fs::remove_file(&place).unwrap();
    fs::write(&place, bytes).unwrap();
    assert_eq!(bench.check(day(2), Reading::None).errors, Vec::<String>::new(), "the structure is sound");
    let found = bench.check(day(3), Reading::All);
    assert!(found.errors.len() == 1 && found.errors[0].contains(&pack), "{:?}", found.errors);
    assert_eq!((found.packs_unread, bench.marks()[&pack]), (1, Mark { at: day(1), read: false }));
    assert_eq!((bench.verified[&alice], bench.verified[&bob]), (Some(day(3)), None));
    // It is the first that is read again, and that it is gone is said of the file that needs it.
    let again = bench.check(day(4), WEEK);
    assert!(again.errors[0].contains(&pack), "{:?}", again.errors);
    fs::remove_file(&place).unwrap();
    let gone = bench.check(day(5), Reading::None);
    assert!(gone.errors.iter().any(|e| e.contains(&pack[..8])), "{:?}", gone.errors);
    assert_eq!(bench.verified[&bob], None);
}

#[test]
fn a_file_whose_content_no_index_names_is_named_with_its_path() {
    let mut bench = Bench::new();
    bench.backup("alice", 0);
    let before = bench.packs();
    let index_before: BTreeSet<_> = fs::read_dir(bench.repo().join("index")).unwrap().map(|e| e.unwrap().path()).collect();
    bench.backup("alice", 1);
    let lost: Vec<_> = fs::read_dir(bench.repo().join("index")).unwrap().map(|e| e.unwrap().path()).filter(|p| !index_before.contains(p)).collect();
    assert!(!lost.is_empty() && bench.packs().len() > before.len());
    // The index of the second pass is lost, and with it the tree of its snapshots.
    for p in &lost {
        fs::remove_file(p).unwrap();
    }
    let found = bench.check(day(1), Reading::None);
    assert!(found.errors.iter().any(|e| e.starts_with("/: cannot be read: folder ")), "{:?}", found.errors);
}

#[test]
fn all_data_of_repositories_that_restic_wrote_is_read() {
    for version in ["1", "2"] {
        let dir = tempfile::tempdir().unwrap();
        let (repo, src) = (dir.path().join("repo"), dir.path().join("src"));
        fs::create_dir_all(src.join("a/b")).unwrap();
        fs::write(src.join("a/b/noise"), noise(1, 3_000_000)).unwrap();
        fs::write(src.join("a/text"), "words ".repeat(50_000)).unwrap();
        fs::write(src.join("empty"), "").unwrap();
        restic(&repo, &["init", "--repository-version", version]);
        restic(&repo, &["backup", src.to_str().unwrap()]);
        restic(&repo, &["key", "list"]);
        let job = CheckJob { access: folder_access(&repo), at: day(1), read: Reading::All, known: Vec::new() };
        let (done, events) = with_ctx(|ctx| run_check(&job, ctx));
        let done = done.unwrap();
        assert_eq!((done.errors, done.warnings, done.packs_read, done.packs_unread), (vec![], vec![], packs(&repo).len() as i64, 0), "version {version}");
        assert!(done.bytes_read > 3_000_000);
        assert!(events.iter().any(|e| matches!(e, Event::Verified { at: Some(at), snapshots } if *at == day(1) && snapshots.len() == 1)));
        assert!(events.iter().any(|e| matches!(e, Event::PacksRead { packs: told } if told.count() == packs(&repo).len())));
    }
}

#[test]
fn keys_and_locks_are_listed_with_their_owners() {
    let mut bench = Bench::new();
    bench.backup("alice", 0);
    let second = bench.dir.path().join("second.password");
    fs::write(&second, "another one\n").unwrap();
    restic(&bench.repo(), &["key", "add", "--new-password-file", second.to_str().unwrap(), "--user", "carol", "--host", "vault"]);
    let access = folder_access(&bench.repo());
    let repository = Repository::open(&access, &rt()).unwrap();
    let held = with_ctx(|ctx| repository.with_lock(engine::repository::LockKind::Shared, ctx, |_| tend::inspect(&access, &rt()))).0.unwrap();
    assert_eq!((held.locks.len(), held.locks[0].exclusive, held.locks[0].stale), (1, false, None));
    assert_eq!(held.id, repository.id());
    let said: Vec<_> = held.keys.iter().map(|k| (k.user.as_str(), k.host.as_str(), k.own, k.created_at.is_some())).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said.contains(&("carol", "vault", false, true)), "{said:?}");
    assert!(held.keys.iter().any(|k| k.own && k.host == "holdfast" && k.created_at.is_some()), "{said:?}");
    assert!(tend::inspect(&access, &rt()).unwrap().locks.is_empty());
}
