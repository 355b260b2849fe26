//! Backups of two sources, forgetting, prunes, restores and stock restic, all at once on one repository for a while.
//! Afterwards stock restic reads every byte, every snapshot that is kept comes back as it was, and the records agree
//! with the repository (R13).
//!
//! `HOLDFAST_CONCURRENT_S` sets for how many seconds; 30 where it is not set. This program is also the child that does
//! the work (`job …`).

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::print_stdout, reason = "a test program of its own says what it does")]
#![allow(clippy::disallowed_methods, reason = "a test reads its duration from the environment and starts stock restic")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use common::{Site, Tree, restic, tree};
use domain::{
    id::{RunId, SnapshotId},
    restore::ConflictMode,
    retention::Rules,
    run::RunState,
    units::Timestamp,
    work::{BackupResult, PruneParams, PruneResult, RestoreTarget},
};
use ops::{OpsError, restores};
use runner::{Children, Deps, Worker};
use serde_json::json;
use store::{
    runs::RunRow,
    snapshots::{self, Which},
    sources::{self, NewSource},
    testing,
};

const USERS: [&str; 3] = ["ada", "bob", "cy"];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).map(String::as_str) == Some("job") {
        return engine::process::child_main();
    }
    let names: Vec<&String> = args[1..].iter().filter(|a| !a.starts_with('-')).collect();
    if !names.is_empty() && !names.iter().any(|n| "concurrent".contains(n.as_str())) {
        return ExitCode::SUCCESS;
    }
    let seconds = std::env::var("HOLDFAST_CONCURRENT_S").ok().map_or(30, |s| s.parse().expect("HOLDFAST_CONCURRENT_S is a number of seconds"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(Box::pin(all_at_once(Duration::from_secs(seconds))));
    ExitCode::SUCCESS
}

/// What was done, and what each backup must have seen.
#[derive(Default)]
struct Seen {
    /// The homes of a source when a run captured them.
    expected: Mutex<BTreeMap<RunId, BTreeMap<String, Tree>>>,
    backups: AtomicUsize,
    forgotten: AtomicUsize,
    prunes: AtomicUsize,
    deleted: AtomicUsize,
    restores: AtomicUsize,
    foreign: AtomicUsize,
    over: AtomicBool,
}

/// So often each thing must have been done.
const ENOUGH: usize = 3;

impl Seen {
    /// How often that was done which was done least.
    fn least(&self) -> usize {
        let all = [&self.backups, &self.forgotten, &self.prunes, &self.deleted, &self.restores];
        all.into_iter().map(|n| n.load(SeqCst)).min().unwrap_or(0)
    }
}

async fn all_at_once(duration: Duration) {
    let mut site = Site::new(testing::sqlite().await).await;
    let me = std::env::current_exe().unwrap();
    let mut deps = Deps::new(site.db.db.clone(), site.deps.data_dir.clone(), site.deps.env.clone(), Arc::new(Children::new(me)));
    deps.limits.slots = 5;
    deps.limits.poll = Duration::from_millis(50);
    deps.limits.backoff = Duration::from_millis(200);
    site.deps = deps.clone();
    site.policy(Rules { keep_last: 3, ..Rules::default() }).await;
    second_source(&site).await;
    let site = Arc::new(site);
    let seen = Arc::new(Seen::default());

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = tokio::spawn(async move {
        Worker::new(deps)
            .run(async move {
                stopped.await.ok();
            })
            .await;
    });
    let began = Instant::now();
    let tasks = [
        tokio::spawn(backups(site.clone(), seen.clone(), "homes", "exports", 1)),
        tokio::spawn(backups(site.clone(), seen.clone(), "more", "exports2", 2)),
        tokio::spawn(prunes(site.clone(), seen.clone())),
        tokio::spawn(restore(site.clone(), seen.clone())),
        tokio::spawn(stock_restic(site.clone(), seen.clone())),
    ];
    // A slow machine takes longer until there was enough of everything.
    while (began.elapsed() < duration || (seen.least() < ENOUGH && began.elapsed() < duration * 10)) && !tasks.iter().any(tokio::task::JoinHandle::is_finished)
    {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    seen.over.store(true, SeqCst);
    for task in tasks {
        task.await.unwrap();
    }
    let took = began.elapsed();
    stop.send(()).ok();
    worker.await.unwrap();
    let kept = judge(&site, &seen).await;
    println!(
        "test concurrent ... ok: {took:.0?}, {} backups, {} snapshots forgotten, {} prunes that deleted {} packs, {} restores, {} backups by stock restic; {kept} snapshots kept, each byte by byte",
        seen.backups.load(SeqCst),
        seen.forgotten.load(SeqCst),
        seen.prunes.load(SeqCst),
        seen.deleted.load(SeqCst),
        seen.restores.load(SeqCst),
        seen.foreign.load(SeqCst),
    );
    assert!(seen.least() >= ENOUGH, "too little was done");
}

async fn second_source(site: &Site) {
    for user in USERS {
        fs::create_dir_all(site.folder.path().join("exports2").join(user)).unwrap();
        fs::write(site.folder.path().join("exports2").join(user).join("first"), user).unwrap();
    }
    let mut t = site.db.db.begin().await.unwrap();
    let policy = sources::find(t.tx(), site.source).await.unwrap().unwrap().policy_id.map(domain::id::PolicyId);
    let config = json!({"kind": "directory", "path": site.folder.path().join("exports2"), "items": "children", "exclude": []});
    let new = NewSource { service: site.service, repository: site.repository, name: "more".into(), kind: "directory".into(), config, position: 1, policy };
    sources::upsert(t.tx(), &new, Timestamp(2)).await.unwrap();
    t.commit().await.unwrap();
}

/// Waits for the end of a run that another task's worker carries out.
async fn ended(site: &Site, run: RunId) -> RunRow {
    let deadline = Instant::now() + Duration::from_mins(5);
    loop {
        let row = ops::runs::find(&site.ctx, run).await.unwrap();
        if !row.state().unwrap().is_live() {
            return row;
        }
        assert!(Instant::now() < deadline, "the run never ends: {}\n{}", row.title, site.log(run).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn succeeded<T: serde::de::DeserializeOwned>(site: &Site, run: RunId) -> T {
    let row = ended(site, run).await;
    assert_eq!(row.state().unwrap(), RunState::Succeeded, "{}: {:?}\n{}", row.title, row.failure, site.log(run).await);
    serde_json::from_value(row.result.unwrap().0).unwrap()
}

/// Bytes that no other round has, half of them new to the repository each time.
fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        })
        .collect()
}

async fn backups(site: Arc<Site>, seen: Arc<Seen>, source: &'static str, folder: &'static str, seed: u64) {
    let root = site.folder.path().join(folder);
    let mut round = 0;
    while !seen.over.load(SeqCst) {
        round += 1;
        for (n, user) in USERS.iter().enumerate() {
            let home = root.join(user);
            // One file that is always new, one that comes and goes with the same content, one that stays.
            fs::write(home.join("new"), content(seed * 1_000_000 + round * 10 + n as u64, 150_000)).unwrap();
            let comes = home.join("comes-and-goes");
            if (round + n as u64).is_multiple_of(3) {
                fs::remove_file(&comes).ok();
            } else {
                fs::write(&comes, content(seed * 77 + n as u64, 120_000)).unwrap();
            }
        }
        let homes: BTreeMap<String, Tree> = USERS.iter().map(|u| ((*u).to_owned(), tree(&root.join(u)))).collect();
        let run = ops::backups::start(&site.ctx, "notebooks", Some(source), None).await.unwrap()[0];
        seen.expected.lock().unwrap().insert(run, homes);
        let done: BackupResult = succeeded(&site, run).await;
        assert_eq!(done.items_ok, 3);
        seen.backups.fetch_add(1, SeqCst);
        seen.forgotten.fetch_add(usize::try_from(done.forgotten).unwrap(), SeqCst);
    }
}

async fn prunes(site: Arc<Site>, seen: Arc<Seen>) {
    // The first backups make the repository; both begin at once.
    while seen.backups.load(SeqCst) == 0 && !seen.over.load(SeqCst) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    while !seen.over.load(SeqCst) {
        let run = ops::prunes::start(&site.ctx, "main", PruneParams { safe_age_s: 1 }).await.unwrap();
        let done: PruneResult = succeeded(&site, run).await;
        seen.prunes.fetch_add(1, SeqCst);
        seen.deleted.fetch_add(usize::try_from(done.packs_deleted).unwrap(), SeqCst);
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
}

/// Restores the newest and the oldest snapshots in turn, into folders of their own.
async fn restore(site: Arc<Site>, seen: Arc<Seen>) {
    let mut round = 0;
    while !seen.over.load(SeqCst) {
        let page =
            snapshots::page(site.db.db.read().await.unwrap().tx(), Which::Service(site.service), (Timestamp(i64::MAX), uuid::Uuid::max()), 100).await.unwrap();
        let known = |id: Option<uuid::Uuid>| id.is_some_and(|id| seen.expected.lock().unwrap().contains_key(&RunId(id)));
        let page: Vec<_> = page.into_iter().filter(|s| known(s.row.run_id)).collect();
        let Some(chosen) = (if round % 2 == 0 { page.first() } else { page.last() }) else {
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        round += 1;
        let target = site.folder.path().join(format!("out/{round}"));
        let choices = vec![restores::Choice { snapshot: SnapshotId(chosen.row.id), paths: vec![] }];
        let to = RestoreTarget::Folder { path: target.to_string_lossy().into_owned() };
        let request = restores::Request { choices, target: to, conflict: ConflictMode::Fail, preview: false, confirm: None };
        let run = match restores::start(&site.ctx, request).await {
            Ok(run) => run,
            // It was forgotten between the list and the choice.
            Err(OpsError::NotFound { .. } | OpsError::Conflict(_) | OpsError::Invalid(_)) => continue,
            Err(e) => panic!("{e}"),
        };
        let row = ended(&site, run).await;
        if row.state().unwrap() != RunState::Succeeded {
            // A snapshot that was about to go when the restore was asked for may be gone when it begins.
            let now = snapshots::find(site.db.db.read().await.unwrap().tx(), SnapshotId(chosen.row.id)).await.unwrap().unwrap();
            assert!(now.gone_at.is_some(), "{}: {:?}\n{}", row.title, row.failure, site.log(run).await);
            continue;
        }
        let want = seen.expected.lock().unwrap()[&RunId(chosen.row.run_id.unwrap())][chosen.item_name.as_ref().unwrap()].clone();
        assert!(tree(&target) == want, "a restored home is not as it was");
        fs::remove_dir_all(&target).unwrap();
        seen.restores.fetch_add(1, SeqCst);
    }
}

/// Somebody else uses the repository with stock restic; it may be refused while a prune holds the lock.
async fn stock_restic(site: Arc<Site>, seen: Arc<Seen>) {
    while seen.backups.load(SeqCst) == 0 && !seen.over.load(SeqCst) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let file = site.folder.path().join("foreign");
    let mut round = 0;
    while !seen.over.load(SeqCst) {
        round += 1;
        fs::write(&file, content(9_000 + round, 50_000)).unwrap();
        let (repo, file) = (site.folder.path().join("repo"), file.clone());
        let done = tokio::task::spawn_blocking(move || {
            let mut command = std::process::Command::new("restic");
            command.args(["--no-cache", "-r"]).arg(repo).args(["backup", "--host", "foreign"]).arg(file).env("RESTIC_PASSWORD", "correct horse");
            command.output().unwrap()
        });
        let done = done.await.unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        if done.status.success() {
            seen.foreign.fetch_add(1, SeqCst);
        } else {
            assert!(said.contains("lock"), "{said}");
        }
        tokio::time::sleep(Duration::from_millis(900)).await;
    }
}

/// Holds the repository against what must be in it; how many snapshots are kept.
async fn judge(site: &Site, seen: &Seen) -> usize {
    site.assert_clean("after all").await;
    restic(site, &["check", "--read-data"]);
    let rows =
        snapshots::page(site.db.db.read().await.unwrap().tx(), Which::Service(site.service), (Timestamp(i64::MAX), uuid::Uuid::max()), 500).await.unwrap();
    let listed: serde_json::Value = serde_json::from_str(&restic(site, &["snapshots", "--json"])).unwrap();
    let ours = |s: &&serde_json::Value| s["tags"].as_array().is_some_and(|t| t.iter().any(|t| t.as_str().unwrap().starts_with("item:")));
    let there: BTreeSet<String> = listed.as_array().unwrap().iter().filter(ours).map(|s| s["id"].as_str().unwrap().to_owned()).collect();
    let recorded: BTreeSet<String> = rows.iter().map(|s| s.row.restic_id.clone()).collect();
    assert_eq!(there, recorded, "the records agree with the repository");
    assert!(rows.len() >= 2 * USERS.len() * 3, "three of each are kept");
    let mut roots = listed.as_array().unwrap().iter().filter(|s| s["tags"].as_array().is_some_and(|t| t.iter().any(|t| t == "holdfast:root")));
    assert!(roots.by_ref().count() <= 2, "one root a source");
    let expected = seen.expected.lock().unwrap().clone();
    for s in &rows {
        let target: PathBuf = site.folder.path().join("back").join(&s.row.restic_id);
        restic(site, &["restore", &s.row.restic_id, "--target", target.to_str().unwrap()]);
        let want = &expected[&RunId(s.row.run_id.unwrap())][s.item_name.as_ref().unwrap()];
        assert!(tree(&target) == *want, "{} of {} is not as it was", s.row.restic_id, s.row.label);
        fs::remove_dir_all(&target).unwrap();
    }
    rows.len()
}
