//! Forget and prune: two phases, nothing lost that a snapshot needs, stock restic agrees; locks, faults (R13, R60).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use common::{access, backup_job, folder_access, items_of, restic, restic_child, restic_json, restic_raw, rt, tree::compare, with_ctx};
use engine::{
    Ctx, ErrorKind,
    job::{BackupJob, Event, ForgetJob, Level, PruneJob, PruneOutcome},
    repository::{Repository, run_backup, run_forget, run_prune, storage},
    testing::{Fault, FaultKind, Faulty},
};

const DAY: u32 = 86_400;

/// A source with two users, and passes over it.
struct Bench {
    dir: tempfile::TempDir,
    job: BackupJob,
    pass: u64,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for user in ["alice", "bob"] {
            fs::create_dir_all(dir.path().join("source").join(user)).unwrap();
            fs::write(dir.path().join("source").join(user).join("stays"), common::noise(7, 200_000)).unwrap();
        }
        let job = backup_job(&dir.path().join("source"), &dir.path().join("repo"), "");
        Self { dir, job, pass: 0 }
    }

    fn repo(&self) -> PathBuf {
        self.dir.path().join("repo")
    }

    fn home(&self, user: &str) -> PathBuf {
        self.dir.path().join("source").join(user)
    }

    /// One pass after each user has a new large file in place of the old one; the ids of the snapshots, alice's first.
    fn backup(&mut self) -> Vec<String> {
        self.pass += 1;
        for (n, user) in ["alice", "bob"].into_iter().enumerate() {
            fs::write(self.home(user).join("large"), common::noise(self.pass * 10 + n as u64, 700_000)).unwrap();
        }
        self.again()
    }

    fn again(&mut self) -> Vec<String> {
        self.job.run = format!("0199f000-0000-7000-8000-{:012}", rand_id());
        let (done, events) = with_ctx(|ctx| run_backup(&self.job, ctx));
        self.job.root_parent = done.unwrap().root_snapshot;
        // They end in any order.
        let mut items = items_of(&events);
        items.sort_by(|a, b| a.name.cmp(&b.name));
        self.job.parents = items.iter().map(|i| (i.name.clone(), i.snapshot.as_ref().unwrap().id.clone())).collect();
        items.into_iter().map(|i| i.snapshot.unwrap().id).collect()
    }

    /// How many were removed, and how many were gone before.
    fn forget(&self, ids: &[String]) -> (usize, usize) {
        let there = || fs::read_dir(self.repo().join("snapshots")).unwrap().count();
        let before = there();
        let (done, events) = with_ctx(|ctx| run_forget(&ForgetJob { access: self.job.access.clone(), snapshots: ids.to_vec() }, ctx));
        let told: Vec<String> =
            events.into_iter().filter_map(|e| if let Event::Forgotten { snapshots } = e { Some(snapshots) } else { None }).flatten().collect();
        assert!(ids.iter().all(|id| told.contains(id)), "each is told");
        done.unwrap();
        let removed = before - there();
        (removed, ids.len() - removed)
    }

    fn prune_job(&self, safe_age_s: u32) -> PruneJob {
        PruneJob { access: self.job.access.clone(), safe_age_s, keep_roots: self.job.root_parent.iter().cloned().collect(), live_runs: vec![] }
    }

    fn prune(&self, safe_age_s: u32) -> PruneOutcome {
        with_ctx(|ctx| run_prune(&self.prune_job(safe_age_s), ctx)).0.unwrap()
    }

    /// Stock restic finds nothing wrong and brings the users back as they are now.
    fn sound(&self, newest: &[String]) {
        restic(&self.repo(), &["check", "--read-data"]);
        for (user, id) in ["alice", "bob"].iter().zip(newest) {
            let target = self.dir.path().join(format!("out-{user}-{}", rand_id()));
            restic(&self.repo(), &["restore", id, "--target", target.to_str().unwrap()]);
            compare(&self.home(user), &target);
        }
    }

    fn packs(&self) -> usize {
        common::tree::paths(&self.repo().join("data")).iter().filter(|p| self.repo().join("data").join(p).is_file()).count()
    }
}

/// A number that nobody had before in this process.
fn rand_id() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::SeqCst)
}

#[test]
fn what_nothing_needs_is_marked_first_and_deleted_later() {
    let mut bench = Bench::new();
    let first = bench.backup();
    let second = bench.backup();
    let before = common::size_of(&bench.repo());
    assert_eq!(bench.forget(&first), (2, 0));
    assert_eq!(bench.forget(&first), (0, 2), "those that are gone are no error");
    let listed = restic_json(&bench.repo(), &["snapshots", "--tag", "item:alice"]);
    assert_eq!(listed.as_array().unwrap().len(), 1);

    let packs = bench.packs();
    let marked = bench.prune(DAY);
    assert!(marked.packs_marked > 0 && marked.packs_deleted == 0 && marked.bytes_waiting >= 1_400_000, "{marked:?}");
    assert!(bench.packs() >= packs, "nothing is deleted in the first phase");
    bench.sound(&second);

    let young = bench.prune(DAY);
    assert_eq!((young.packs_deleted, bench.packs() >= packs), (0, true), "a day has not passed: {young:?}");
    let deleted = bench.prune(0);
    assert!(deleted.packs_deleted > 0 && deleted.bytes_deleted >= 1_400_000 && deleted.bytes_waiting == 0, "{deleted:?}");
    assert!(common::size_of(&bench.repo()) < before - 1_300_000, "the space is back");
    assert_eq!(deleted.size_bytes as u64, common::size_of(&bench.repo()) - fs::metadata(bench.repo().join("config")).unwrap().len());
    bench.sound(&second);

    // A backup after all that reads the parent and goes on; restic's own prune has nothing against the result.
    let third = bench.backup();
    bench.sound(&third);
    restic(&bench.repo(), &["prune"]);
    bench.sound(&third);
    assert_eq!(bench.prune(0).packs_deleted, 0);
}

#[test]
fn marked_packs_are_not_written_to_again_and_come_back_when_needed() {
    let mut bench = Bench::new();
    let first = bench.backup();
    let kept: Vec<(String, Vec<u8>)> = first.iter().map(|id| (id.clone(), fs::read(bench.repo().join("snapshots").join(id)).unwrap())).collect();
    let second = bench.backup();
    bench.forget(&first);
    assert!(bench.prune(DAY).packs_marked > 0);

    // A backup of what is marked stores it once more: it does not lean on what is about to go.
    for user in ["alice", "bob"] {
        fs::copy(bench.home(user).join("large"), bench.home(user).join("newer")).unwrap();
    }
    bench.pass -= 1;
    let third = bench.backup();
    bench.sound(&third);

    // Somebody puts a forgotten snapshot back, from a copy of the repository for instance.
    for (id, bytes) in &kept {
        fs::write(bench.repo().join("snapshots").join(id), bytes).unwrap();
    }
    bench.prune(0);
    restic(&bench.repo(), &["check", "--read-data"]);
    bench.sound(&third);
    drop(second);
}

#[test]
fn a_snapshot_that_is_put_back_recovers_its_packs() {
    let mut bench = Bench::new();
    let first = bench.backup();
    let kept: Vec<(String, Vec<u8>)> = first.iter().map(|id| (id.clone(), fs::read(bench.repo().join("snapshots").join(id)).unwrap())).collect();
    bench.backup();
    bench.forget(&first);
    assert!(bench.prune(DAY).packs_marked > 0);
    for (id, bytes) in &kept {
        fs::write(bench.repo().join("snapshots").join(id), bytes).unwrap();
    }
    let pruned = bench.prune(0);
    assert!(pruned.packs_recovered > 0, "{pruned:?}");
    restic(&bench.repo(), &["check", "--read-data"]);
    let target = bench.dir.path().join("back");
    restic(&bench.repo(), &["restore", &first[0], "--target", target.to_str().unwrap()]);
    assert_eq!(fs::read(target.join("large")).unwrap(), common::noise(10, 700_000));
}

/// A copy of a root snapshot as another pass, older by so many hours, would have left it.
fn another_root(bench: &Bench, run: &str, hours: i64) -> String {
    let repository = Repository::open(&folder_access(&bench.repo()), &rt()).unwrap();
    let mut root = repository.snapshot(bench.job.root_parent.as_ref().unwrap()).unwrap();
    let before: std::collections::HashSet<String> = repository.snapshot_ids().unwrap().into_iter().collect();
    root.time = root.time.checked_sub(jiff::Span::new().hours(hours)).unwrap();
    let own: Vec<String> = root.tags.iter().filter(|t| !t.starts_with("run:")).cloned().chain([format!("run:{run}")]).collect();
    root.tags = own.join(",").parse().unwrap();
    repository.handle().unwrap().save_snapshots(vec![root]).unwrap();
    repository.snapshot_ids().unwrap().into_iter().find(|id| !before.contains(id)).unwrap()
}

#[test]
fn former_roots_go_and_parents_stay() {
    let mut bench = Bench::new();
    bench.backup();
    let (old, live, newest) = (another_root(&bench, "dead", 30), another_root(&bench, "live", 20), another_root(&bench, "killed", -1));
    let mut job = bench.prune_job(DAY);
    job.live_runs = vec!["live".into()];
    let pruned = with_ctx(|ctx| run_prune(&job, ctx)).0.unwrap();
    assert_eq!(pruned.roots_removed, 1);
    let left = Repository::open(&bench.job.access, &rt()).unwrap().snapshot_ids().unwrap();
    assert!(!left.contains(&old), "it was needed by nobody");
    for kept in [&live, &newest, bench.job.root_parent.as_ref().unwrap()] {
        assert!(left.contains(kept));
    }
    // Whoever does not say what it needs keeps the newest of each source.
    job.keep_roots.clear();
    job.live_runs.clear();
    assert_eq!(with_ctx(|ctx| run_prune(&job, ctx)).0.unwrap().roots_removed, 2);
    assert!(Repository::open(&bench.job.access, &rt()).unwrap().snapshot_ids().unwrap().contains(&newest));
}

/// Runs a prune with patience, and gives its events.
fn patient(job: &PruneJob, patience: Duration) -> (engine::Result<PruneOutcome>, Vec<Event>) {
    let events = std::sync::Mutex::new(Vec::new());
    let sink = |event| events.lock().unwrap().push(event);
    let cancel = AtomicBool::new(false);
    let done = run_prune(job, &Ctx { sink: &sink, cancel: &cancel, rt: rt(), patience });
    (done, events.into_inner().unwrap())
}

#[test]
fn a_lock_of_stock_restic_is_waited_for_and_its_holder_is_named() {
    let mut bench = Bench::new();
    bench.backup();
    let mut holder = restic_child(&bench.repo(), &["backup", "--stdin"]);
    let repository = Repository::open(&bench.job.access, &rt()).unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while repository.locks().unwrap().is_empty() {
        assert!(Instant::now() < deadline, "restic never locks");
        std::thread::sleep(Duration::from_millis(50));
    }
    let job = bench.prune_job(0);
    let (refused, events) = patient(&job, Duration::from_secs(5));
    let refused = refused.unwrap_err();
    assert_eq!((refused.kind, refused.is_permanent()), (ErrorKind::Locked, false));
    let pid = format!("process {}", holder.id());
    assert!(refused.message.contains(&pid) && refused.message.contains("waited"), "{}", refused.message);
    let waiting =
        events.iter().filter(|e| matches!(e, Event::Log { level: Level::Info, message } if message.contains("waiting") && message.contains(&pid))).count();
    assert_eq!(waiting, 1, "it says once for whom it waits: {events:?}");

    // While it waits, restic ends.
    std::thread::scope(|scope| {
        let pruning = scope.spawn(|| patient(&job, Duration::from_mins(1)).0);
        std::thread::sleep(Duration::from_millis(800));
        drop(holder.stdin.take());
        holder.wait().unwrap();
        pruning.join().unwrap().unwrap();
    });
    assert!(repository.locks().unwrap().is_empty());
}

#[test]
fn a_prune_that_is_asked_to_stop_stops_and_harms_nothing() {
    let mut bench = Bench::new();
    let first = bench.backup();
    let second = bench.backup();
    bench.forget(&first);
    let cancel = AtomicBool::new(true);
    let stopped = run_prune(&bench.prune_job(0), &Ctx { sink: &|_| (), cancel: &cancel, rt: rt(), patience: Duration::ZERO });
    assert_eq!(stopped.unwrap_err().kind, ErrorKind::Cancelled);
    assert!(Repository::open(&bench.job.access, &rt()).unwrap().locks().unwrap().is_empty());
    bench.sound(&second);
}

#[test]
fn a_snapshot_that_cannot_be_read_stops_a_prune_before_anything_goes() {
    let mut bench = Bench::new();
    let first = bench.backup();
    bench.backup();
    bench.forget(&first);
    let name = "ab".repeat(32);
    fs::write(bench.repo().join("snapshots").join(&name), "not a snapshot").unwrap();
    let before = common::tree::paths(&bench.repo());
    let refused = with_ctx(|ctx| run_prune(&bench.prune_job(0), ctx)).0.unwrap_err();
    assert!(refused.is_permanent() && refused.message.contains("nothing is pruned"), "{refused:?}");
    assert_eq!(common::tree::paths(&bench.repo()), before);
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

/// The storage fails at one operation after the other; what that leaves is whole, and the next prune gets through.
fn every_operation(kind: FaultKind, step: usize) {
    let mut bench = Bench::new();
    let first = bench.backup();
    bench.backup();
    bench.forget(&first);
    bench.prune(DAY);
    let third = bench.backup();
    let second: Vec<String> = restic_json(&bench.repo(), &["snapshots"])
        .as_array()
        .unwrap()
        .iter()
        .filter(|s| s["tags"].as_array().unwrap().iter().any(|t| t.as_str().unwrap().starts_with("item:")))
        .map(|s| s["id"].as_str().unwrap().to_owned())
        .filter(|id| !third.contains(id))
        .collect();
    // Now there is something to delete, something to mark and something to keep.
    bench.forget(&second);
    let on = |name: &str, fault: Option<Fault>| {
        let copy = bench.dir.path().join(name);
        copy_folder(&bench.repo(), &copy);
        let store = Arc::new(Faulty::new(storage::folder(&copy).unwrap(), fault));
        let location = format!("{}-{name}", bench.dir.path().file_name().unwrap().to_str().unwrap());
        storage::register_memory(&location, store.clone());
        let mut job = bench.prune_job(0);
        job.access = access(&format!("memory://{location}"));
        (copy, store, job)
    };
    let (_, store, job) = on("clean", None);
    with_ctx(|ctx| run_prune(&job, ctx)).0.unwrap();
    let total = store.operations();
    assert!(total > 20, "{total} operations");
    for nth in (0..total).step_by(step) {
        let what = format!("{kind:?} at operation {nth} of {total}");
        let (copy, store, job) = on(&format!("n{nth}"), Some(Fault { on: None, folder: "", nth, kind }));
        let (done, _) = with_ctx(|ctx| run_prune(&job, ctx));
        assert!(store.struck() > 0, "{what}");
        if let Err(e) = &done {
            assert!(matches!(e.kind, ErrorKind::Unavailable | ErrorKind::Locked), "{what}: {e:?}");
        }
        // Sound before anything is repaired.
        restic(&copy, &["check", "--no-lock"]);
        store.mend();
        let repository = Repository::open(&job.access, &rt()).unwrap();
        for lock in repository.locks().unwrap() {
            repository.remove_lock(&lock.id).unwrap();
        }
        let again = with_ctx(|ctx| run_prune(&job, ctx)).0.unwrap_or_else(|e| panic!("{what}: the next prune fails: {e:?}"));
        let all = with_ctx(|ctx| run_prune(&job, ctx)).0.unwrap();
        assert_eq!(all.bytes_waiting, 0, "{what}: {again:?} {all:?}");
        let checked = restic_raw(&copy, &["check", "--read-data"]);
        assert!(checked.status.success(), "{what}: {}", String::from_utf8_lossy(&checked.stderr));
        assert!(common::size_of(&copy.join("data")) < 2_600_000, "{what}: {} bytes are left", common::size_of(&copy.join("data")));
        let listed = restic_json(&copy, &["snapshots"]);
        assert!(third.iter().all(|id| listed.as_array().unwrap().iter().any(|s| s["id"] == id.as_str())), "{what}");
        fs::remove_dir_all(&copy).unwrap();
    }
}

#[test]
fn an_error_at_any_operation() {
    every_operation(FaultKind::Error, 5);
}

#[test]
fn the_connection_is_lost_at_any_operation() {
    every_operation(FaultKind::Lost, 7);
}
