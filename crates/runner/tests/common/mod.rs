//! What the tests of run kinds share: a configured service on real data, and the engine's work in this process.

#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

pub mod bench;
pub mod ear;
pub mod field;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use domain::{
    id::{RepositoryId, RunId, ServiceId, SourceId},
    retention::Rules,
    review::{Done, ReviewKind, date_of},
    run::RunState,
    units::Timestamp,
};
use engine::job::{Event, Failure, Job, Outcome};
use ops::{Actor, Ctx};
use runner::{Deps, Fault, Finished, Moment, Told, Work};
use serde_json::json;
use store::{
    Clock,
    policies::{self, NewPolicy},
    repositories::{self, NewRepository, SecretRef, StorageOptions},
    reviews,
    runs::RunRow,
    services::{self, Canary, NewService},
    sources::{self, NewSource},
    steps::StepRow,
    testing::TestDb,
};
use tokio::sync::{mpsc, watch};

/// Carries jobs out on a thread of this process.
#[derive(Default)]
pub struct InProcess {
    /// Jobs that were handed the repository's key.
    pub with_key: AtomicUsize,
}

#[async_trait::async_trait]
impl Work for InProcess {
    async fn carry_out(&self, _label: &str, mut job: Job, events: mpsc::Sender<Told>, mut stop: watch::Receiver<bool>) -> Result<Outcome, Failure> {
        self.with_key.fetch_add(usize::from(job.opens().is_some_and(|a| a.key.is_some())), Ordering::SeqCst);
        let cancel = Arc::new(AtomicBool::new(false));
        let (done, mut is_done) = mpsc::channel(1);
        let rt = tokio::runtime::Handle::current();
        let flag = cancel.clone();
        std::thread::spawn(move || {
            let sink = move |event: Event| match event {
                Event::Done(o) => drop(done.blocking_send(Ok(o))),
                Event::Failed(f) => drop(done.blocking_send(Err(f))),
                other => drop(events.blocking_send(other.into())),
            };
            engine::run(&job, &engine::Ctx { sink: &sink, cancel: &flag, rt, patience: Duration::from_secs(20) });
        });
        loop {
            tokio::select! {
                end = is_done.recv() => return end.unwrap(),
                Ok(()) = async { stop.wait_for(|s| *s).await.map(|_| ()) }, if !cancel.load(Ordering::SeqCst) => cancel.store(true, Ordering::SeqCst),
            }
        }
    }

    async fn clear(&self, _label: &str) {}
}

/// A service `notebooks` with one source `homes` in folders, on one database.
pub struct Site {
    pub folder: tempfile::TempDir,
    pub db: TestDb,
    pub deps: Deps,
    pub work: Arc<InProcess>,
    pub ctx: Ctx,
    pub repository: RepositoryId,
    pub service: ServiceId,
    pub source: SourceId,
}

pub const CANARY: &str = "a known line\n";

impl Site {
    pub async fn new(db: TestDb) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let exports = folder.path().join("exports");
        for user in ["ada", "bob", "cy"] {
            let home = exports.join(user);
            fs::create_dir_all(home.join("work")).unwrap();
            fs::write(home.join("canary.txt"), CANARY).unwrap();
            fs::write(home.join("work/notes.md"), format!("notes of {user}\n")).unwrap();
            fs::write(home.join("work/data.bin"), user.as_bytes().repeat(30_000)).unwrap();
            std::os::unix::fs::symlink("work/notes.md", home.join("link")).unwrap();
        }
        let data = folder.path().join("data");
        fs::create_dir_all(&data).unwrap();
        let now = Timestamp(1);
        let mut tx = db.db.begin().await.unwrap();
        let location = format!("file://{}", folder.path().join("repo").display());
        let new = NewRepository {
            name: "main".into(),
            location,
            options: StorageOptions::default(),
            password: SecretRef::Env("PASSWORD".into()),
            max_parallel: None,
            read_all_within_s: None,
        };
        let repository = repositories::upsert(tx.tx(), &new, now).await.unwrap();
        let canary = Some(Canary { item: "bob".into(), path: "canary.txt".into(), sha256: sha256(CANARY) });
        let new = NewService {
            name: "notebooks".into(),
            title: "Notebooks".into(),
            owner: "ops".into(),
            rpo_s: Some(86_400),
            rto_s: Some(3_600),
            mtpod_s: None,
            canary,
        };
        let service = services::upsert(tx.tx(), &new, now).await.unwrap();
        // Reviewed today, so that no review is due in a test of something else.
        let done = Done { on: date_of(Clock::System.now()), by: "ops".into(), outcome: "in order".into() };
        for kind in ReviewKind::ALL {
            reviews::record(tx.tx(), service, *kind, &done, "test", now).await.unwrap();
        }
        let config = json!({"kind": "directory", "path": exports, "items": "children", "exclude": ["*.tmp"]});
        let new = NewSource { service, repository, name: "homes".into(), kind: "directory".into(), config, position: 0, policy: None };
        let source = sources::upsert(tx.tx(), &new, now).await.unwrap();
        tx.commit().await.unwrap();
        let env = Arc::new(BTreeMap::from([("PASSWORD".to_owned(), "correct horse".to_owned())]));
        let work = Arc::new(InProcess::default());
        let mut deps = Deps::new(db.db.clone(), data, env, work.clone());
        deps.limits.lease = Duration::from_secs(6);
        deps.limits.heartbeat = Duration::from_millis(200);
        deps.limits.poll = Duration::from_millis(50);
        deps.limits.flush = Duration::from_millis(50);
        deps.limits.backoff = Duration::from_millis(20);
        let ctx = Ctx::new(db.db.clone(), Actor::shell(), "test");
        Self { folder, db, deps, work, ctx, repository, service, source }
    }

    /// Gives the source a policy `test` with these rules.
    pub async fn policy(&self, rules: Rules) {
        let mut t = self.db.db.begin().await.unwrap();
        let policy = policies::upsert(t.tx(), &NewPolicy { name: "test".into(), rules }, Timestamp(2)).await.unwrap();
        let row = sources::find(t.tx(), self.source).await.unwrap().unwrap();
        let new = NewSource {
            service: self.service,
            repository: self.repository,
            name: row.name,
            kind: row.kind,
            config: row.config.0,
            position: row.position,
            policy: Some(policy),
        };
        sources::upsert(t.tx(), &new, Timestamp(2)).await.unwrap();
        t.commit().await.unwrap();
    }

    pub fn home(&self, user: &str) -> PathBuf {
        self.folder.path().join("exports").join(user)
    }

    pub fn scratch(&self) -> PathBuf {
        self.deps.data_dir.join("scratch")
    }

    /// The same site with faults at a step.
    pub fn with_faults(&self, faults: impl Fn(&str, Moment) -> Option<Fault> + Send + Sync + 'static) -> Deps {
        Deps { faults: Some(Arc::new(faults)), ..self.deps.clone() }
    }

    pub async fn end(&self, run: RunId) -> Finished {
        self.end_with(self.deps.clone(), run).await
    }

    /// Carries the run out to its end.
    pub async fn end_with(&self, deps: Deps, run: RunId) -> Finished {
        let work = runner::execute_until_done(deps, run, std::future::pending());
        let done = tokio::time::timeout(Duration::from_mins(1), work).await;
        done.unwrap_or_else(|_| panic!("{}: the run never ends", self.db.name)).unwrap().unwrap()
    }

    pub async fn backup(&self) -> RunRow {
        let run = ops::backups::start(&self.ctx, "notebooks", None, None).await.unwrap()[0];
        let done = self.end(run).await;
        assert_eq!(done.state, RunState::Succeeded, "{}: {:?}", self.db.name, done.run.failure);
        done.run
    }

    /// Makes a copy of the installation itself.
    pub async fn copy(&self) -> RunRow {
        let run = ops::installation::backup(&self.ctx, "main").await.unwrap();
        let done = self.end(run).await;
        assert_eq!(done.state, RunState::Succeeded, "{}: {:?}", self.db.name, done.run.failure);
        done.run
    }

    pub async fn steps(&self, run: RunId) -> Vec<StepRow> {
        ops::runs::steps(&self.ctx, run).await.unwrap()
    }

    pub async fn log(&self, run: RunId) -> String {
        let events = ops::runs::events_after(&self.ctx, run, 0, 500).await.unwrap();
        events.iter().map(|e| format!("{} {} {}: {}", e.seq, e.level, e.kind, e.message)).collect::<Vec<_>>().join("\n")
    }

    /// What must hold at every end of every run: nothing live, no lock, no scratch, no staging, an intact chain.
    pub async fn assert_clean(&self, what: &str) {
        let what = format!("{} {what}", self.db.name);
        assert!(ops::runs::live(&self.ctx, 10).await.unwrap().is_empty(), "{what}: a run is stuck");
        let locks = self.folder.path().join("repo/locks");
        if locks.exists() {
            assert_eq!(fs::read_dir(locks).unwrap().count(), 0, "{what}: a lock is left");
        }
        if self.scratch().exists() {
            assert_eq!(fs::read_dir(self.scratch()).unwrap().count(), 0, "{what}: scratch is left");
        }
        if let Some(file) = all_paths(self.folder.path()).into_iter().find(|p| p.ends_with("manifest.json")) {
            panic!("{what}: records are left in {}", file.display());
        }
        let left = all_paths(self.folder.path()).into_iter().find(|p| p.to_string_lossy().contains(".holdfast"));
        assert_eq!(left, None, "{what}: staging is left");
        let chain = store::audit::verify(self.db.db.read().await.unwrap().tx()).await.unwrap();
        assert!(chain.is_ok(), "{what}: the audit chain is broken at {chain:?}");
    }
}

/// Runs stock restic on the site's repository and expects success.
#[allow(clippy::disallowed_methods, reason = "tests start stock restic themselves")]
pub fn restic(site: &Site, args: &[&str]) -> String {
    let out = std::process::Command::new("restic")
        .args(["--no-cache", "-r"])
        .arg(site.folder.path().join("repo"))
        .args(args)
        .env("RESTIC_PASSWORD", "correct horse")
        .output()
        .expect("restic is needed by the tests: apt-get install restic");
    assert!(out.status.success(), "restic {args:?}: {}\n{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

pub fn sha256(text: &str) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(text))
}

pub type Tree = BTreeMap<PathBuf, Vec<u8>>;

/// Names, kinds and contents of all below a folder, in order.
pub fn tree(root: &Path) -> Tree {
    let mut all = BTreeMap::new();
    for path in all_paths(root) {
        let meta = fs::symlink_metadata(&path).unwrap();
        let content = if meta.is_symlink() {
            fs::read_link(&path).unwrap().to_string_lossy().into_owned().into_bytes()
        } else if meta.is_dir() {
            b"dir".to_vec()
        } else {
            fs::read(&path).unwrap()
        };
        all.insert(path.strip_prefix(root).unwrap().to_owned(), content);
    }
    all
}

pub fn all_paths(root: &Path) -> Vec<PathBuf> {
    let (mut all, mut todo) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                todo.push(entry.path());
            }
            all.push(entry.path());
        }
    }
    all
}
