//! `kill -9` of the worker, of its child, of both, at every step of every kind, on both databases. Afterwards the run
//! resumes or ends as interrupted, no lock is left, and no half-restored target stands.
//!
//! This program is all three: the test, the worker (`worker …`) and the child (`job …`).

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::print_stdout, reason = "a test program of its own says what it does")]
#![allow(clippy::disallowed_methods, reason = "a test starts the processes that it kills")]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use common::bench::{Bench, What};
use domain::{
    id::RunId,
    run::{RunState, StepState},
};
use runner::{Children, Deps, Moment, Worker};
use rustix::process::{Pid, Signal, kill_process};
use store::{Db, testing};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("job") => return engine::process::child_main(),
        Some("worker") => {
            runtime().block_on(worker(&args[2..]));
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let names: Vec<&String> = args[1..].iter().filter(|a| !a.starts_with('-')).collect();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|n| name.contains(n.as_str()));
    let all = [What::Backup, What::Check, What::Folder, What::InPlace, What::Test, What::Prune, What::Tamper, What::Copy, What::CopyTest];
    let started = Instant::now();
    // Both databases at once: most of the time is waiting.
    std::thread::scope(|scope| {
        for (database, postgres) in [("sqlite", false), ("postgres", true)] {
            let chosen: Vec<What> = all.into_iter().filter(|w| wanted(&format!("kill {w:?} {database}"))).collect();
            scope.spawn(move || {
                for what in chosen {
                    runtime().block_on(async {
                        let db = if postgres { testing::postgres().await } else { testing::sqlite().await };
                        let bench = Box::pin(Bench::new(db)).await;
                        Box::pin(killed_at_every_step(&bench, what)).await;
                        Box::pin(killed_in_the_middle_of_work(&bench, what)).await;
                        common::restic(&bench.site, &["check", "--read-data"]);
                    });
                    println!("test kill {what:?} {database} ... ok");
                }
            });
        }
    });
    println!("kill: all passed in {:.0?}", started.elapsed());
    ExitCode::SUCCESS
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap()
}

fn me() -> PathBuf {
    std::env::current_exe().unwrap()
}

fn deps(db: Db, data_dir: PathBuf) -> Deps {
    let env = Arc::new(BTreeMap::from([("PASSWORD".to_owned(), "correct horse".to_owned())]));
    let mut deps = Deps::new(db, data_dir, env, Arc::new(Children::new(me())));
    // The lease stays at its 30 s: that a worker of this machine is gone must be seen at once, not by waiting.
    deps.limits.poll = Duration::from_millis(50);
    deps.limits.flush = Duration::from_millis(50);
    deps.limits.backoff = Duration::from_millis(20);
    deps
}

/// The worker: `URL DATA STEP MOMENT MARKER`. At that moment of that step it writes the marker and stands still.
async fn worker(args: &[String]) {
    let [url, data, step, moment, marker] = args else { panic!("worker: five arguments") };
    let (step, moment, marker) = (step.clone(), moment.clone(), PathBuf::from(marker));
    let mut deps = deps(Db::open(url).await.unwrap(), PathBuf::from(data));
    deps.faults = Some(Arc::new(move |s, m| {
        if s == step && format!("{m:?}") == moment {
            fs::write(&marker, "here").unwrap();
            loop {
                std::thread::sleep(Duration::from_mins(1));
            }
        }
        None
    }));
    Worker::new(deps).run(std::future::pending()).await;
}

/// A worker that is killed when the test gives up on it.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Process {
    fn start(bench: &Bench, step: &str, moment: &str, marker: &Path) -> Self {
        let mut command = Command::new(me());
        command.arg("worker").arg(&bench.site.db.url).arg(&bench.site.deps.data_dir).args([step, moment]).arg(marker);
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Sees the run to its end as another worker would, and checks all that must hold.
async fn recover(bench: &Bench, what: What, run: RunId, before: &common::Tree, after: &common::Tree, said: &str) -> RunState {
    let began = Instant::now();
    let done = bench.site.end_with(deps(bench.site.db.db.clone(), bench.site.deps.data_dir.clone()), run).await;
    let said = format!("{} {what:?} {said}: {}", bench.site.db.name, bench.why(run).await);
    assert!(began.elapsed() < Duration::from_secs(25), "it waited for the lease instead of looking for the process: {said}");
    if what.is_restore() {
        let now = bench.now(what);
        assert!(matches!(done.state, RunState::Succeeded | RunState::Interrupted | RunState::Failed), "{said}");
        assert!(now == *before || now == *after, "a half-restored target: {said}");
        assert!(done.state != RunState::Succeeded || now == *after, "{said}");
    } else {
        assert_eq!(done.state, RunState::Succeeded, "{said}");
    }
    assert!(children_of(run).is_empty(), "a child is left: {said}");
    bench.site.assert_clean(&said).await;
    done.state
}

async fn killed_at_every_step(bench: &Bench, what: What) {
    for step in what.steps() {
        for moment in [Moment::Begun, Moment::Done] {
            let (run, before, after) = bench.start(what).await;
            let marker = bench.site.folder.path().join(format!("marker-{run}"));
            let worker = Process::start(bench, step, &format!("{moment:?}"), &marker);
            until(|| marker.exists(), &format!("{what:?}: the worker never comes to {step}")).await;
            worker.kill();
            let state = recover(bench, what, run, &before, &after, &format!("{step} {moment:?}")).await;
            let written = *step == "record" && what.is_restore();
            assert!(!what.is_restore() || state == if written { RunState::Succeeded } else { RunState::Interrupted }, "{what:?} {step} {moment:?}: {state}");
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    /// The child is held, so that it outlives its parent.
    Worker,
    Child,
    Both,
}

async fn killed_in_the_middle_of_work(bench: &Bench, what: What) {
    let delays: &[u64] = if bench.site.db.name == "sqlite" { &[0, 150] } else { &[60] };
    for step in what.steps_with_children() {
        for victim in [Victim::Worker, Victim::Child, Victim::Both] {
            for delay in delays {
                let (run, before, after) = bench.start(what).await;
                let worker = Process::start(bench, "", "", Path::new("/nowhere"));
                let child = child_at(bench, run, step).await;
                tokio::time::sleep(Duration::from_millis(*delay)).await;
                // It may have ended by itself in the meantime; then the moment is another one, which is just as good.
                let strike = |signal| child.and_then(|pid| kill_process(pid, signal).ok());
                match victim {
                    Victim::Worker => {
                        strike(Signal::STOP);
                        worker.kill();
                    }
                    Victim::Child => {
                        strike(Signal::KILL);
                        until_ended(bench, run).await;
                        drop(worker);
                    }
                    Victim::Both => {
                        strike(Signal::KILL);
                        worker.kill();
                    }
                }
                recover(bench, what, run, &before, &after, &format!("{step} {victim:?} after {delay} ms")).await;
            }
        }
    }
}

/// The child that works for this step; `None` where it was quicker than the eye.
async fn child_at(bench: &Bench, run: RunId, step: &str) -> Option<Pid> {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let steps = bench.site.steps(run).await;
        let state = steps.iter().find(|s| s.name == step).map(|s| s.state().unwrap());
        match (state, children_of(run).first()) {
            (Some(StepState::Running), Some(pid)) => return Some(*pid),
            (Some(StepState::Succeeded), _) => return None,
            _ => {}
        }
        assert!(Instant::now() < deadline, "{step} never has a child");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn children_of(run: RunId) -> Vec<Pid> {
    let label = run.to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()).and_then(Pid::from_raw) else { continue };
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        if line.split(|b| *b == 0).collect::<Vec<_>>().windows(2).any(|w| w[0] == b"job" && w[1] == label.as_bytes()) {
            found.push(pid);
        }
    }
    found
}

async fn until_ended(bench: &Bench, run: RunId) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while ops::runs::find(&bench.site.ctx, run).await.unwrap().state().unwrap().is_live() {
        assert!(Instant::now() < deadline, "the run never ends: {}", bench.why(run).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn until(mut is: impl FnMut() -> bool, what: &str) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !is() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
