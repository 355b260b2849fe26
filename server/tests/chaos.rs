//! Three workers of the real binary on PostgreSQL, under load, killed at random (R20, R57, R60).
//!
//! `HOLDFAST_CHAOS_KILLS` says how often (25 where nothing is said), `HOLDFAST_CHAOS_SEED` with which luck. Afterwards no
//! run is lost or stuck, nothing was done twice that must not be, no target is half restored, and the repositories are sound.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::print_stdout, reason = "the figures are the test's report")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use common::{Place, fingerprint};
use domain::{
    id::{RunId, SnapshotId},
    restore::ConflictMode,
    run::RunState,
    work::{RestoreTarget, Selection},
};
use ops::{
    Actor, Ctx, OpsError,
    restores::{Choice, Request},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const WORKERS: usize = 3;
/// Runs that are kept waiting or under way.
const LOAD: usize = 10;
const SERVICES: [&str; 4] = ["alpha", "beta", "gamma", "delta"];
const ITEMS: [&str; 3] = ["ada", "bob", "cy"];
/// Nothing but restores in place change this one, so that what its items hold is known at any time.
const STILL: &str = "delta";
/// The limit of the repository `main`.
const MOST_IN_MAIN: usize = 2;

type Tree = BTreeMap<String, String>;

/// A little luck that can be had again.
struct Luck(u64);

impl Luck {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn told(name: &str, otherwise: u64) -> u64 {
    #[allow(clippy::disallowed_methods, reason = "tests are told by the environment how long to go on")]
    let value = std::env::var(name);
    value.ok().map_or(otherwise, |v| v.parse().expect("a number"))
}

/// What was started, and what must have become of it.
enum Started {
    Backup,
    Other,
    /// A restore to a folder that was not there, and what it holds once restored.
    Folder(PathBuf, Tree),
}

/// A restore in place: what the home held, and what it holds once restored.
struct InPlace {
    run: RunId,
    home: PathBuf,
    before: Tree,
    after: Tree,
}

struct Chaos {
    place: Place,
    url: String,
    ctx: Ctx,
    luck: Luck,
    workers: Vec<Child>,
    started: BTreeMap<RunId, Started>,
    in_place: BTreeMap<&'static str, InPlace>,
    /// The first snapshot of each item, with what it holds.
    first: Vec<(&'static str, &'static str, SnapshotId, Tree)>,
    rounds: u64,
}

/// Times and owners are as they are; a folder's own time changes when something beside it is staged.
fn contents(root: &Path) -> Tree {
    let kept = |(name, print): (String, String)| {
        let folder = root.join(&name).is_dir();
        (name, if folder { "folder".to_owned() } else { print })
    };
    if root.exists() { fingerprint(root).into_iter().map(kept).collect() } else { Tree::new() }
}

impl Chaos {
    async fn new(url: String, seed: u64) -> Self {
        let place = Place::new();
        let at = |p: &str| place.path(p).display().to_string();
        place.write("password", "correct horse\n");
        let mut yaml = "version: 1\nrepositories:\n".to_owned();
        for (name, limit) in [("main", format!("    max_parallel: {MOST_IN_MAIN}")), ("other", String::new())] {
            writeln!(yaml, "  - name: {name}\n    location: file://{}\n    password: {{ file: {} }}\n{limit}", at(name), at("password")).unwrap();
        }
        yaml += "services:\n";
        for (n, service) in SERVICES.iter().enumerate() {
            let repository = if n < 2 { "main" } else { "other" };
            writeln!(
                yaml,
                "  - name: {service}\n    owner: ops\n    rpo: 24h\n    rto: 1h\n    sources:\n      - name: homes\n        kind: directory\n        path: {}\n        items: children\n        repository: {repository}",
                at(&format!("homes/{service}"))
            )
            .unwrap();
            for item in ITEMS {
                for file in 0..12 {
                    place.write(&format!("homes/{service}/{item}/deep/{file}.txt"), &format!("{service} {item} {file}\n").repeat(200 * (file + 1)));
                }
                place.write(&format!("homes/{service}/{item}/notes.txt"), "as it was\n");
            }
        }
        let ctx = Ctx::new(store::Db::open(&url).await.unwrap(), Actor::shell(), "test");
        ops::config::apply(&ctx, &ops::config::parse(&yaml).unwrap(), Some("holdfast.yaml")).await.unwrap();
        Self { place, url, ctx, luck: Luck(seed), workers: Vec::new(), started: BTreeMap::new(), in_place: BTreeMap::new(), first: Vec::new(), rounds: 0 }
    }

    fn home(&self, service: &str, item: &str) -> PathBuf {
        self.place.path(&format!("homes/{service}/{item}"))
    }

    fn start_worker(&self, n: usize) -> Child {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.place.path(&format!("worker-{n}.log"))).unwrap();
        #[allow(clippy::disallowed_methods, reason = "the test starts the processes that it kills")]
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command.args(["--data", "data", "worker", "--max-parallel", "2", "--name", &format!("worker {n}")]).current_dir(self.place.path(""));
        command.env_clear().env("HOLDFAST_DATABASE_URL", &self.url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    /// One backup of each service, so that there is something to restore.
    async fn first_backups(&mut self) {
        for service in SERVICES {
            self.started.insert(ops::backups::start(&self.ctx, service, None, None).await.unwrap()[0], Started::Backup);
        }
        self.until_nothing_is_live().await;
        for service in SERVICES {
            let row = ops::services::find(&self.ctx, service).await.unwrap();
            let newest = store::snapshots::newest_of_service(self.ctx.db.read().await.unwrap().tx(), row.id(), 100).await.unwrap();
            assert_eq!(newest.len(), ITEMS.len(), "{service}");
            for item in ITEMS {
                let snapshot = newest.iter().find(|n| n.item_name == item).unwrap().snapshot_id;
                self.first.push((service, item, SnapshotId(snapshot), contents(&self.home(service, item))));
            }
        }
    }

    /// Puts one more run into the queue, if nothing of the same is under way.
    async fn start_something(&mut self) {
        self.rounds += 1;
        let dice = self.luck.below(100);
        let service = SERVICES[self.luck.below(3) as usize];
        let asked = if dice < 40 {
            let item = ITEMS[self.luck.below(3) as usize];
            fs::write(self.home(service, item).join("round.txt"), self.rounds.to_string()).unwrap();
            ops::backups::start(&self.ctx, service, None, None).await.map(|r| (r[0], Started::Backup))
        } else if dice < 65 {
            let (.., snapshot, tree) = self.first[self.luck.below(self.first.len() as u64) as usize].clone();
            let path = self.place.path(&format!("out/{}", self.rounds));
            let target = RestoreTarget::Folder { path: path.display().to_string() };
            let request = Request { choices: vec![Choice { snapshot, paths: vec![] }], target, conflict: ConflictMode::Fail, preview: false, confirm: None };
            ops::restores::start(&self.ctx, request).await.map(|r| (r, Started::Folder(path, tree)))
        } else if dice < 85 {
            return self.start_in_place().await;
        } else if dice < 93 {
            let repository = if self.luck.below(2) == 0 { "main" } else { "other" };
            ops::checks::start(&self.ctx, repository, self.luck.below(2) == 0).await.map(|r| (r, Started::Other))
        } else {
            ops::restore_tests::start(&self.ctx, service, Selection::Sample { count: 2 }).await.map(|r| (r, Started::Other))
        };
        match asked {
            Ok((run, what)) => {
                assert!(self.started.insert(run, what).is_none());
            }
            Err(OpsError::Underway { .. } | OpsError::Conflict(_)) => {}
            Err(e) => panic!("{e}: {e:?}"),
        }
    }

    async fn start_in_place(&mut self) {
        let item = ITEMS[self.luck.below(3) as usize];
        if let Some(last) = self.in_place.get(item) {
            if self.state(last.run).await.is_live() {
                return;
            }
            let last = self.in_place.remove(item).unwrap();
            self.judge_in_place(last).await;
        }
        let home = self.home(STILL, item);
        let (.., snapshot, original) = self.first.iter().find(|f| (f.0, f.1) == (STILL, item)).unwrap().clone();
        let files: Vec<PathBuf> = fs::read_dir(home.join("deep")).unwrap().map(|e| e.unwrap().path()).collect();
        fs::write(home.join("notes.txt"), format!("round {}\n", self.rounds)).unwrap();
        if files.len() > 6 {
            fs::remove_file(&files[0]).unwrap();
        }
        fs::write(home.join("mine.txt"), "stays").unwrap();
        let before = contents(&home);
        let mut after = before.clone();
        after.extend(original);
        let request = Request {
            choices: vec![Choice { snapshot, paths: vec![] }],
            target: RestoreTarget::InPlace,
            conflict: ConflictMode::Overwrite,
            preview: false,
            confirm: Some(STILL.to_owned()),
        };
        match ops::restores::start(&self.ctx, request).await {
            Ok(run) => {
                self.started.insert(run, Started::Other);
                self.in_place.insert(item, InPlace { run, home, before, after });
            }
            Err(OpsError::Underway { .. } | OpsError::Conflict(_)) => {}
            Err(e) => panic!("{e}: {e:?}"),
        }
    }

    /// Whole is what it was or what it was to become; a success is the latter.
    async fn judge_in_place(&self, r: InPlace) {
        let (now, state) = (contents(&r.home), self.state(r.run).await);
        let whole = now == r.after || (state != RunState::Succeeded && now == r.before);
        assert!(whole, "a half-restored target: {} is {state}\n{}\n{now:?}", r.run, self.log(r.run).await);
    }

    async fn state(&self, run: RunId) -> RunState {
        ops::runs::find(&self.ctx, run).await.unwrap().state().unwrap()
    }

    async fn log(&self, run: RunId) -> String {
        let events = ops::runs::events_after(&self.ctx, run, 0, 500).await.unwrap();
        events.iter().map(|e| format!("{} {} {}: {}", e.seq, e.level, e.kind, e.message)).collect::<Vec<_>>().join("\n")
    }

    /// Kills a worker, sometimes with the children of its runs; whether it carried out a run.
    async fn kill_one(&mut self) -> bool {
        let n = self.luck.below(WORKERS as u64) as usize;
        let pid = self.workers[n].id();
        let holder = format!(":{pid}:");
        let leases = store::queue::leases(self.ctx.db.read().await.unwrap().tx()).await.unwrap();
        let busy = leases.iter().any(|l| l.lease_owner.contains(&holder));
        let children = if self.luck.below(3) == 0 { children_of(pid) } else { Vec::new() };
        self.workers[n].kill().unwrap();
        for child in children {
            // It may have ended by itself.
            kill_process(child, Signal::KILL).ok();
        }
        self.workers[n].wait().unwrap();
        self.workers[n] = self.start_worker(n);
        busy
    }

    /// Never more runs in the repository than it allows.
    async fn live(&self) -> usize {
        let live = ops::runs::live(&self.ctx, 100).await.unwrap();
        let main = store::repositories::find_by_name(self.ctx.db.read().await.unwrap().tx(), "main").await.unwrap().unwrap();
        let running = live.iter().filter(|l| l.run.state == "running" && l.run.repository_id == Some(main.id)).count();
        assert!(running <= MOST_IN_MAIN, "{running} runs in main at once");
        live.len()
    }

    async fn until_nothing_is_live(&self) {
        let begun = Instant::now();
        while self.live().await > 0 {
            if begun.elapsed() > Duration::from_mins(4) {
                let live = ops::runs::live(&self.ctx, 100).await.unwrap();
                panic!("stuck: {}\n{}", live[0].run.title, self.log(live[0].run.id()).await);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The processes that this process has started.
fn children_of(parent: u32) -> Vec<Pid> {
    processes(|fields, _| fields.get(1).and_then(|p| p.parse().ok()) == Some(parent))
}

/// The processes that carry out a job of any run of this test.
fn jobs(runs: &BTreeSet<String>) -> Vec<Pid> {
    processes(|_, args| args.windows(2).any(|w| w[0] == "job" && runs.contains(&w[1])))
}

fn processes(wanted: impl Fn(&[&str], &[String]) -> bool) -> Vec<Pid> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()).and_then(Pid::from_raw) else { continue };
        let (Ok(stat), Ok(line)) = (fs::read_to_string(entry.path().join("stat")), fs::read(entry.path().join("cmdline"))) else { continue };
        let fields: Vec<&str> = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
        let args: Vec<String> = line.split(|b| *b == 0).map(|a| String::from_utf8_lossy(a).into_owned()).collect();
        if fields.first() != Some(&"Z") && wanted(&fields, &args) {
            found.push(pid);
        }
    }
    found
}

fn restic(place: &Place, repository: &str, args: &[&str]) -> String {
    #[allow(clippy::disallowed_methods, reason = "the test asks stock restic")]
    let mut command = Command::new("restic");
    command.args(["--quiet", "--no-cache", "--repo", repository, "--password-file", "password"]).args(args).current_dir(place.path(""));
    let done = command.output().expect("restic is installed");
    assert!(done.status.success(), "restic {args:?} of {repository}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_at_random_nothing_is_lost_nothing_twice_nothing_half() {
    let (kills, seed) = (told("HOLDFAST_CHAOS_KILLS", 25), told("HOLDFAST_CHAOS_SEED", u64::from(std::process::id()) + 1));
    println!("chaos: {kills} kills, seed {seed}");
    let database = store::testing::postgres().await;
    let mut chaos = Chaos::new(database.url.clone(), seed).await;
    let begun = Instant::now();
    chaos.workers = (0..WORKERS).map(|n| chaos.start_worker(n)).collect();
    chaos.first_backups().await;

    let (mut killed, mut at_work) = (0, 0);
    let mut next = Instant::now() + Duration::from_millis(500);
    while killed < kills {
        if chaos.live().await < LOAD {
            chaos.start_something().await;
        }
        if Instant::now() >= next {
            at_work += u64::from(chaos.kill_one().await);
            killed += 1;
            next = Instant::now() + Duration::from_millis(150 + chaos.luck.below(1_400));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let killing = begun.elapsed();
    chaos.until_nothing_is_live().await;

    // Those that were killed are forgotten by their host, those that live are listed.
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let list = ops::workers::list(&chaos.ctx).await.unwrap();
        if list.len() == WORKERS && list.iter().all(|w| w.is_alive) {
            break;
        }
        assert!(Instant::now() < deadline, "{list:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for mut worker in std::mem::take(&mut chaos.workers) {
        kill_process(Pid::from_raw(i32::try_from(worker.id()).unwrap()).unwrap(), Signal::TERM).unwrap();
        assert!(worker.wait().unwrap().success(), "a worker did not stop in good order");
    }
    assert!(ops::workers::list(&chaos.ctx).await.unwrap().is_empty());
    let figures = judge(&mut chaos).await;
    println!(
        "chaos: {killed} kills in {:.0?}, {at_work} of them of a worker with a run in its hands; {} runs: {figures}; all over after {:.0?}",
        killing,
        chaos.started.len(),
        begun.elapsed()
    );
    assert!(at_work * 3 > killed, "most kills hit nobody at work: {at_work} of {killed}");
}

async fn judge(chaos: &mut Chaos) -> String {
    for (_, last) in std::mem::take(&mut chaos.in_place) {
        chaos.judge_in_place(last).await;
    }
    let finished = finishes(&chaos.ctx).await;
    let mut by_state: BTreeMap<String, usize> = BTreeMap::new();
    let mut again = 0;
    let mut saved: BTreeSet<(String, String)> = BTreeSet::new();
    for (run, what) in &chaos.started {
        let row = ops::runs::find(&chaos.ctx, *run).await.expect("no run is lost");
        let (state, steps) = (row.state().unwrap(), ops::runs::steps(&chaos.ctx, *run).await.unwrap());
        let said = chaos.log(*run).await;
        assert!(!state.is_live(), "{said}");
        assert_eq!(finished.get(&run.to_string()), Some(&1), "a run ends once: {said}");
        *by_state.entry(format!("{} {state}", row.kind)).or_default() += 1;
        again += usize::from(row.attempts > 1);
        let failure = row.failure.as_ref().map(|f| f.0.code.clone()).unwrap_or_default();
        assert!(matches!(state, RunState::Succeeded) || matches!(failure.as_str(), "crashed"), "{state} for another reason than a lost worker: {said}");
        if row.kind == "restore" {
            let restores = steps.iter().filter(|s| s.name == "restore").map(|s| s.attempt).sum::<i64>();
            assert!(restores <= 1, "a restore was applied twice: {said}");
        }
        match what {
            Started::Folder(path, tree) => {
                let now = contents(path);
                let whole = now == *tree || (state != RunState::Succeeded && now.is_empty());
                assert!(whole, "a half-restored folder, {state}: {said}\n{now:?}");
            }
            Started::Backup if state == RunState::Succeeded => {
                saved.extend(ITEMS.map(|item| (format!("run:{run}"), format!("item:{item}"))));
            }
            _ => {}
        }
    }
    let runs: BTreeSet<String> = chaos.started.keys().map(ToString::to_string).collect();
    assert!(jobs(&runs).is_empty(), "children are left");
    // Stock restic's opinion.
    let mut found: BTreeMap<(String, String), usize> = BTreeMap::new();
    for repository in ["main", "other"] {
        assert_eq!(fs::read_dir(chaos.place.path(repository).join("locks")).unwrap().count(), 0, "a lock is left in {repository}");
        let list: Vec<Value> = serde_json::from_str(&restic(&chaos.place, repository, &["snapshots", "--json"])).unwrap();
        for snapshot in list {
            let tags: Vec<&str> = snapshot["tags"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            let tag = |start: &str| tags.iter().find(|t| t.starts_with(start)).map(|t| (*t).to_owned());
            if let (Some(run), Some(item)) = (tag("run:"), tag("item:")) {
                *found.entry((run, item)).or_default() += 1;
            }
        }
        restic(&chaos.place, repository, &["check", "--read-data"]);
    }
    let twice: Vec<_> = found.iter().filter(|(_, n)| **n > 1).collect();
    assert!(twice.is_empty(), "two snapshots of one run and item: {twice:?}");
    let missing: Vec<_> = saved.iter().filter(|key| !found.contains_key(*key)).collect();
    assert!(missing.is_empty(), "a run succeeded and its snapshot is not there: {missing:?}");
    assert_eq!(fs::read_dir(chaos.place.path("data/scratch")).map_or(0, Iterator::count), 0, "scratch is left");
    for root in ["homes", "out"] {
        let staging: Vec<String> = contents(&chaos.place.path(root)).into_keys().filter(|p| p.contains(".holdfast")).collect();
        assert!(staging.is_empty(), "staging is left: {staging:?}");
    }
    let chain = store::audit::verify(chaos.ctx.db.read().await.unwrap().tx()).await.unwrap();
    assert!(chain.is_ok(), "the audit chain is broken at {chain:?}");
    format!("{by_state:?}, {again} in several attempts, {} snapshots", found.len())
}

/// How often each run ended, by its id.
async fn finishes(ctx: &Ctx) -> BTreeMap<String, usize> {
    let (mut after, mut ends) = (0, BTreeMap::new());
    loop {
        let page = store::audit::page(ctx.db.read().await.unwrap().tx(), after, 500).await.unwrap();
        let Some(last) = page.last() else { return ends };
        after = last.seq;
        for event in page.iter().filter(|e| e.action == "run.finish") {
            *ends.entry(event.entity_id.clone()).or_default() += 1;
        }
    }
}
