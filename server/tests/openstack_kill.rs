//! `kill -9` of the real worker after every step of a snapshot that has stopped its instance, and in the middle of its
//! calls. The instance runs at the end, there is one snapshot, and the cloud holds nothing else.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::print_stdout, reason = "the figures are the test's report")]

mod common;

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use common::Place;
use domain::{
    id::{ItemId, RepositoryId, RunId},
    instance::SnapshotParams,
    run::{RunState, StepState},
};
use engine::testing::{
    Gate, Strike,
    openstack::{Api, Lab},
};
use ops::{Actor, Ctx};
use serde_json::Value;
use store::{native, repositories, snapshots::SnapshotRow};

const STEPS: [&str; 8] = ["identify", "stop", "detect", "snapshot", "poll", "record", "clean_up", "start"];

/// When the worker is killed.
#[derive(Clone, Copy, Debug)]
enum Kill {
    /// The step is recorded as done.
    After(&'static str),
    /// The first call of this method to a path like that, after the step, is on its way and is never carried out.
    Before(&'static str, &'static str, &'static str),
    /// The same, and the cloud does what was asked; the worker never hears of it.
    Unheard(&'static str, &'static str, &'static str),
}

/// A worker that is killed when the test gives up on it.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// One instance of the cloud, a service that snapshots it, and the worker's way to the cloud.
struct Site {
    place: Place,
    url: String,
    ctx: Ctx,
    lab: Lab,
    gate: Gate,
    name: String,
    server: String,
    cloud: RepositoryId,
}

impl Site {
    async fn new(lab: Lab, url: String, volume: bool) -> Self {
        let (place, gate) = (Place::new(), lab.gate().unwrap());
        let name = format!("k-{}", &uuid::Uuid::now_v7().simple().to_string()[22..]);
        let server = if volume { lab.boot_from_volume(&name).await } else { lab.boot(&name).await };
        lab.attach_volume(&server, &format!("{name}-data")).await;
        place.write("password", lab.password());
        let mut yaml = format!("version: 1\nrepositories:\n  - name: cloud\n    location: {}\n", gate.through(&lab.location()));
        for (option, value) in lab.options("lab") {
            writeln!(yaml, "    {option}: {value}").unwrap();
        }
        write!(
            yaml,
            "    password: {{ file: {} }}\nservices:\n  - name: web\n    owner: ops\n    sources:\n      \
             - {{ name: vms, kind: openstack-instance, instances: [\"{name}\"], repository: cloud }}\n",
            place.path("password").display()
        )
        .unwrap();
        let ctx = Ctx::new(store::Db::open(&url).await.unwrap(), Actor::shell(), "test");
        ops::config::apply(&ctx, &ops::config::parse(&yaml).unwrap(), Some("holdfast.yaml")).await.unwrap();
        let work = Arc::new(runner::Children::new(env!("CARGO_BIN_EXE_holdfast").into()));
        let deps = runner::Deps::new(ctx.db.clone(), place.path("data"), Arc::default(), work);
        assert_eq!(runner::clouds::look::due(&deps).await.unwrap(), 1);
        let cloud = repositories::find_by_name(ctx.db.read().await.unwrap().tx(), "cloud").await.unwrap().unwrap().id();
        Self { place, url, ctx, lab, gate, name, server, cloud }
    }

    fn worker(&self) -> Worker {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.place.path("worker.log")).unwrap();
        #[allow(clippy::disallowed_methods, reason = "the test starts the process that it kills")]
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command.args(["--data", "data", "worker", "--name", "night shift"]).current_dir(self.place.path(""));
        Worker(command.env_clear().env("HOLDFAST_DATABASE_URL", &self.url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    async fn step(&self, run: RunId, name: &str) -> Option<StepState> {
        let steps = ops::runs::steps(&self.ctx, run).await.unwrap();
        steps.iter().find(|s| s.name == name).map(|s| s.state().unwrap())
    }

    async fn state(&self, run: RunId) -> RunState {
        ops::runs::find(&self.ctx, run).await.unwrap().state().unwrap()
    }

    async fn log(&self, run: RunId) -> String {
        let events = ops::runs::events_after(&self.ctx, run, 0, 1000).await.unwrap();
        let log: Vec<String> = events.iter().map(|e| format!("{} {}: {}", e.seq, e.kind, e.message)).collect();
        format!("{}\n{}", log.join("\n"), fs::read_to_string(self.place.path("worker.log")).unwrap_or_default())
    }

    async fn until(&self, run: RunId, what: &str, mut is: impl AsyncFnMut() -> bool) {
        let begun = Instant::now();
        while !is().await {
            assert!(begun.elapsed() < Duration::from_mins(4), "{what}: waited in vain: {}", self.log(run).await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn recorded(&self) -> Vec<SnapshotRow> {
        let mut read = self.ctx.db.read().await.unwrap();
        let service = store::services::find_by_name(read.tx(), "web").await.unwrap().unwrap().id();
        let items = store::items::of_service(read.tx(), service, "", 10).await.unwrap();
        native::of_item(read.tx(), ItemId(items[0].id), self.cloud).await.unwrap()
    }

    /// The ids of all images and volume snapshots in the cloud that bear the instance's name.
    async fn pieces(&self) -> BTreeSet<String> {
        let images = self.lab.call("lab", Api::Image, "GET", "/images?limit=1000", None).await.ok();
        let snapshots = self.lab.call("lab", Api::Volume, "GET", "/snapshots/detail", None).await.ok();
        let all = [&images["images"], &snapshots["snapshots"]].into_iter().filter_map(Value::as_array).flatten();
        all.filter(|p| p["name"].as_str().is_some_and(|n| n.starts_with(&self.name))).map(|p| p["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Kills the worker as told and lets another one see the run to its end.
    async fn killed(&self, kill: Kill) {
        let begun = Instant::now();
        let asked = SnapshotParams { instance: self.name.clone(), instance_stop: true, max_snapshots: 1, ..SnapshotParams::default() };
        let run = ops::instances::snapshot(&self.ctx, "web", "vms", asked).await.unwrap();
        let what = format!("{kill:?} {run}");
        let worker = self.worker();
        let (Kill::After(step) | Kill::Before(step, ..) | Kill::Unheard(step, ..)) = kill;
        self.until(run, &what, async || self.step(run, step).await == Some(StepState::Succeeded)).await;
        if let Kill::Before(_, method, part) | Kill::Unheard(_, method, part) = kill {
            self.gate.at(method, part, if matches!(kill, Kill::Before(..)) { Strike::Hang } else { Strike::Lose });
            self.until(run, &what, async || self.gate.struck()).await;
        }
        let live = self.state(run).await.is_live();
        drop(worker);
        self.gate.heal();
        assert!(live, "{what}: it was killed in the middle: {}", self.log(run).await);
        let killed = begun.elapsed();
        let worker = self.worker();
        self.until(run, &what, async || !self.state(run).await.is_live()).await;
        drop(worker);
        self.judge(run, &what).await;
        println!("{what}: killed after {killed:.1?}, over after {:.1?}", begun.elapsed());
    }

    async fn judge(&self, run: RunId, what: &str) {
        let row = ops::runs::find(&self.ctx, run).await.unwrap();
        assert_eq!((row.state().unwrap(), row.attempts), (RunState::Succeeded, 2), "{what}: {:?}\n{}", row.failure, self.log(run).await);
        let server = self.lab.server(&self.server).await;
        assert!(server["status"] == "ACTIVE" && server["OS-EXT-STS:task_state"].is_null(), "{what}: {server}\n{}", self.log(run).await);
        let rows = self.recorded().await;
        assert_eq!((rows.len(), rows[0].run_id, rows[0].state.as_str()), (1, Some(run.0), "complete"), "{what}: {}", self.log(run).await);
        let native = rows[0].native.clone().unwrap().0;
        let named: BTreeSet<String> = native.image.into_iter().map(|i| i.id).chain(native.volumes.into_iter().map(|v| v.id)).collect();
        assert_eq!(named, self.pieces().await, "{what}: the records and the cloud disagree: {}", self.log(run).await);
        let log = self.log(run).await;
        assert!(log.contains("taken up again by this worker, attempt 2"), "{what}: {log}");
    }

    async fn clear(&self) {
        for row in self.recorded().await {
            let native = row.native.unwrap().0;
            for v in native.volumes {
                self.lab.call("lab", Api::Volume, "DELETE", &format!("/snapshots/{}", v.id), None).await;
            }
            if let Some(image) = native.image {
                self.lab.call("lab", Api::Image, "DELETE", &format!("/images/{}", image.id), None).await;
            }
        }
        self.lab.delete_server(&self.server).await;
        for _ in 0..100 {
            let volumes = self.lab.call("lab", Api::Volume, "GET", "/volumes/detail", None).await.ok();
            let mine = |v: &&Value| v["name"].as_str().is_some_and(|n| n.starts_with(&self.name));
            let left: Vec<&str> = volumes["volumes"].as_array().unwrap().iter().filter(mine).filter_map(|v| v["id"].as_str()).collect();
            if left.is_empty() {
                return;
            }
            for id in left {
                self.lab.call("lab", Api::Volume, "DELETE", &format!("/volumes/{id}"), None).await;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

async fn at_every_step(volume: bool, calls: &[Kill]) {
    let Some(lab) = Lab::of_tests() else { return };
    let database = store::testing::postgres().await;
    let site = Site::new(lab, database.url.clone(), volume).await;
    for kill in STEPS.map(Kill::After).iter().chain(calls) {
        site.killed(*kill).await;
    }
    site.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_step_an_image_booted_instance_runs_and_has_one_snapshot() {
    let calls = [
        Kill::Before("identify", "POST", "/action"),
        Kill::Unheard("identify", "POST", "/action"),
        Kill::Before("stop", "POST", "/action"),
        Kill::Unheard("stop", "POST", "/action"),
        Kill::Unheard("snapshot", "POST", "/action"),
    ];
    at_every_step(false, &calls).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_step_a_volume_booted_instance_runs_and_has_one_snapshot() {
    let calls = [
        Kill::Before("stop", "POST", "/snapshots"),
        Kill::Unheard("stop", "POST", "/snapshots"),
        Kill::Unheard("record", "DELETE", "/snapshots/"),
        Kill::Before("snapshot", "POST", "/action"),
    ];
    at_every_step(true, &calls).await;
}
