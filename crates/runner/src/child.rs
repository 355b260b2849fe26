//! One job of the engine inside a step: its child process, its events, its locks.
//!
//! Lives here: the pump from events to rows in bounded batches, progress with rate and ETA, clearing locks.
//! May not: the meaning of an item to a kind of run (that is its [`Recorder`]).

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use domain::{
    id::RepositoryId,
    run::ItemState,
    units::{Timestamp, count, size},
    work::{RunProgress, StepFailure},
};
use engine::{
    ErrorKind,
    job::{Access, Change, Event, Failure, ItemResult, Job, Level, Outcome, PackMarks, Progress, SnapshotRecord, UnlockJob},
};
use serde_json::json;
use store::{
    Tx, queue,
    repositories::{self, RepositoryRow},
    run_events::{self, NewRunEvent},
    run_items::{self, ItemProblem, ItemProblems, NewRunItem},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior},
};

use crate::{
    Told,
    exec::Cx,
    keys,
    lease::Stop,
    step::{Break, Result, code_of},
};

/// The kind of event that says where a restore stands, whatever becomes of its run.
pub const STANDS: &str = "stands";

/// Rows written in one transaction at most.
const BATCH: usize = 500;
/// Lines of the log that one job may write.
const MOST_LINES: usize = 20_000;
/// The rate is that of so many seconds.
const WINDOW: Duration = Duration::from_secs(15);

/// What a kind of run keeps of a job's items and changes. Called inside a transaction, again after a crash.
#[async_trait::async_trait]
pub trait Recorder: Send + Sync {
    async fn item(&self, cx: &Cx, tx: Tx<'_>, item: &ItemResult) -> store::Result<()> {
        save_item(cx, tx, item, None, None).await
    }

    async fn changes(&self, _cx: &Cx, _tx: Tx<'_>, _item: &str, _snapshot: &str, _entries: &[Change]) -> store::Result<()> {
        Ok(())
    }

    async fn snapshots(&self, _cx: &Cx, _tx: Tx<'_>, _listed: &[SnapshotRecord]) -> store::Result<()> {
        Ok(())
    }

    async fn forgotten(&self, _cx: &Cx, _tx: Tx<'_>, _ids: &[String]) -> store::Result<()> {
        Ok(())
    }

    /// Packs that a check has read: what it has read counts, whatever becomes of it.
    async fn packs_read(&self, _cx: &Cx, _tx: Tx<'_>, _packs: &[u8]) -> store::Result<()> {
        Ok(())
    }

    /// What a check knows at its end. Nothing is written yet.
    fn learned(&self, _what: Learned) {}
}

/// What a check tells at its end.
pub enum Learned {
    Packs(PackMarks),
    Verified(Option<Timestamp>, Vec<String>),
}

/// Keeps the results of items and nothing else.
pub struct Items;
impl Recorder for Items {}

/// Keeps nothing: a preview, a comparison, a job for cleaning up.
pub struct Nothing;

#[async_trait::async_trait]
impl Recorder for Nothing {
    async fn item(&self, _cx: &Cx, _tx: Tx<'_>, _item: &ItemResult) -> store::Result<()> {
        Ok(())
    }
}

/// Writes the row of an item's result.
pub async fn save_item(
    cx: &Cx,
    tx: Tx<'_>,
    item: &ItemResult,
    item_id: Option<domain::id::ItemId>,
    snapshot: Option<domain::id::SnapshotId>,
) -> store::Result<()> {
    let listed = item.problems.iter().map(|p| ItemProblem { path: p.path.clone(), message: p.message.clone() }).collect();
    let new = NewRunItem {
        run: cx.id(),
        name: &item.name,
        item: item_id,
        state: item.state,
        snapshot,
        files: item.files,
        bytes: item.bytes,
        bytes_added: item.bytes_added,
        problems: &ItemProblems { total: item.problems_total, listed },
        finished_at: cx.now(),
    };
    run_items::save(tx, &new).await
}

/// Carries a job out on a repository and records its events.
pub async fn job(cx: &Cx, step: &'static str, repository: &RepositoryRow, make: impl FnOnce(Access) -> Job, recorder: &dyn Recorder) -> Result<Outcome> {
    cx.check()?;
    let access = ops::secrets::access(repository, &cx.deps.env).await?;
    let mut job = make(access);
    if let Some(access) = job.opens() {
        keys::fill_in(access).await;
    }
    run_job(cx, step, Some(repository.id()), job, recorder).await
}

/// Carries a job out that needs no repository.
///
/// When the lease is lost the child is killed at once, whatever is being waited for: others may work on the same soon.
pub async fn run_job(cx: &Cx, step: &'static str, repository: Option<RepositoryId>, job: Job, recorder: &dyn Recorder) -> Result<Outcome> {
    cx.check()?;
    let mut why = cx.lease().watch();
    tokio::select! {
        biased;
        Ok(_) = why.wait_for(|s| *s == Some(Stop::Lost)) => Err(Break::Stopped(Stop::Lost)),
        done = Box::pin(pumped(cx, step, repository, job, recorder)) => done,
    }
}

/// Dropping it kills the child.
async fn pumped(cx: &Cx, step: &'static str, repository: Option<RepositoryId>, job: Job, recorder: &dyn Recorder) -> Result<Outcome> {
    let (sender, mut events) = mpsc::channel(1024);
    let (stop, stopped) = watch::channel(false);
    let label = cx.id().to_string();
    let work = cx.deps.work.carry_out(&label, job, sender, stopped);
    tokio::pin!(work);
    let mut pump = Pump::new(cx, step, repository, recorder);
    let mut tick = tokio::time::interval(cx.deps.limits.flush);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut why = cx.lease().watch();
    let (mut outcome, mut broken) = (None, None);
    loop {
        // After a failure to record, the job is stopped and waited for; its events no longer matter.
        let flushed = tokio::select! {
            done = &mut work, if outcome.is_none() => {
                outcome = Some(done);
                Ok(())
            }
            event = events.recv() => match event {
                Some(Told { event, recorded }) if broken.is_none() => {
                    let taken = pump.take(event).await;
                    if let (Ok(()), Some(recorded)) = (&taken, recorded) {
                        // Nobody may be waiting any more.
                        recorded.send(()).unwrap_or_default();
                    }
                    taken
                }
                Some(_) => Ok(()),
                None if outcome.is_some() => break,
                // The job has closed its events and is about to end.
                None => {
                    outcome = Some((&mut work).await);
                    break;
                }
            },
            _ = tick.tick() => if broken.is_none() { pump.flush().await } else { Ok(()) },
            Ok(()) = why.changed() => Ok(()),
        };
        if let Err(e) = flushed {
            broken.get_or_insert(e);
        }
        if broken.is_some() || cx.stopped().is_some() {
            stop.send_replace(true);
        }
    }
    if let Some(e) = broken {
        return Err(e);
    }
    pump.flush().await?;
    match outcome {
        Some(Ok(outcome)) => Ok(outcome),
        Some(Err(f)) => Err(cx.stopped().map_or_else(|| failed(f), Break::Stopped)),
        None => Err(failed(Failure { kind: ErrorKind::Internal, message: "the job ended without a result".to_owned(), permanent: false })),
    }
}

fn failed(f: Failure) -> Break {
    Break::Failed(StepFailure { code: code_of(f.kind), message: f.message, permanent: f.permanent })
}

/// Says that an outcome is of another kind than the job's.
pub fn unexpected(outcome: &Outcome) -> Break {
    crate::step::permanent("internal", format!("the engine answered with something else: {outcome:?}"))
}

/// Removes the locks that jobs of this run have left. What cannot be removed is logged; it is shown with the repository.
pub async fn unlock(cx: &Cx) -> Result<()> {
    let details = run_events::details(cx.deps.db.read().await?.tx(), cx.id(), "lock").await?;
    let mut by_repository: BTreeMap<RepositoryId, Vec<String>> = BTreeMap::new();
    for d in details {
        if let (Some(lock), Some(Ok(id))) = (d["lock"].as_str(), d["repository"].as_str().map(str::parse)) {
            by_repository.entry(id).or_default().push(lock.to_owned());
        }
    }
    for (id, locks) in by_repository {
        let Some(repository) = repositories::find(cx.deps.db.read().await?.tx(), id).await? else { continue };
        match job(cx, "unlock", &repository, |access| Job::Unlock(UnlockJob { access, locks }), &Nothing).await {
            Ok(Outcome::Unlocked(u)) if u.removed > 0 => {
                cx.log("info", format!("{} locks that were left in {} are removed", u.removed, repository.name)).await?;
            }
            Ok(_) => {}
            Err(Break::Failed(f)) => {
                cx.log("warn", format!("locks left in {} could not be removed: {}", repository.name, f.message)).await?;
            }
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

struct Pump<'a> {
    cx: &'a Cx,
    step: &'static str,
    repository: Option<RepositoryId>,
    recorder: &'a dyn Recorder,
    events: Vec<NewRunEvent>,
    items: Vec<ItemResult>,
    changes: Vec<(String, String, Vec<Change>)>,
    listed: Vec<SnapshotRecord>,
    forgotten: Vec<String>,
    read: Vec<u8>,
    rows: usize,
    lines: usize,
    progress: Option<Progress>,
    seen: VecDeque<(Instant, i64)>,
    told_at: Option<Instant>,
}

impl<'a> Pump<'a> {
    fn new(cx: &'a Cx, step: &'static str, repository: Option<RepositoryId>, recorder: &'a dyn Recorder) -> Self {
        Self {
            cx,
            step,
            repository,
            recorder,
            events: Vec::new(),
            items: Vec::new(),
            changes: Vec::new(),
            listed: Vec::new(),
            forgotten: Vec::new(),
            read: Vec::new(),
            rows: 0,
            lines: 0,
            progress: None,
            seen: VecDeque::new(),
            told_at: None,
        }
    }

    async fn take(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Log { level, message } => {
                self.lines += 1;
                if self.lines == MOST_LINES {
                    self.events.push(self.cx.event("log", "warn", "the log of this step is too long; the rest is left out", None));
                } else if self.lines < MOST_LINES {
                    self.events.push(self.cx.event("log", level_name(level), message, None));
                }
                self.rows += 1;
            }
            Event::Locked { lock } => {
                let detail = json!({"lock": lock, "repository": self.repository.map(|r| r.to_string())});
                self.events.push(self.cx.event("lock", "debug", format!("lock {lock}"), Some(detail)));
                return self.flush().await;
            }
            Event::Stands { targets } => {
                self.events.push(self.cx.event(STANDS, "debug", format!("restored: {}", targets.join(", ")), Some(json!({"targets": targets}))));
                return self.flush().await;
            }
            Event::Progress(p) => {
                let now = Instant::now();
                self.seen.push_back((now, p.bytes_done));
                while self.seen.len() > 2 && self.seen.front().is_some_and(|(at, _)| now - *at > WINDOW) {
                    self.seen.pop_front();
                }
                self.progress = Some(p);
            }
            Event::Item(item) => {
                self.events.push(self.item_event(&item));
                self.items.push(item);
                self.rows += 4;
            }
            Event::Changes { item, snapshot, entries } => {
                self.rows += entries.len();
                self.changes.push((item, snapshot, entries));
            }
            Event::Snapshots { snapshots } => {
                self.rows += snapshots.len();
                self.listed.extend(snapshots);
            }
            Event::Forgotten { snapshots } => {
                self.rows += snapshots.len();
                self.forgotten.extend(snapshots);
            }
            Event::PacksRead { packs } => {
                self.rows += 1;
                self.read.extend(packs.0);
            }
            Event::Packs(marks) => self.recorder.learned(Learned::Packs(marks)),
            Event::Verified { at, snapshots } => self.recorder.learned(Learned::Verified(at, snapshots)),
            // The end comes as the result of the work.
            Event::Done(_) | Event::Failed(_) => {}
        }
        if self.rows >= BATCH { self.flush().await } else { Ok(()) }
    }

    fn item_event(&self, item: &ItemResult) -> NewRunEvent {
        let figures = format!("{} files, {}, {} added", count(item.files), size(item.bytes), size(item.bytes_added));
        let (level, message) = match (item.state, item.problems.first()) {
            (ItemState::Ok, _) => ("info", format!("{}: {figures}", item.name)),
            (state, Some(p)) if item.problems_total > 1 => {
                ("warn", format!("{}: {state}, {figures}; {} problems, first {}: {}", item.name, count(item.problems_total), p.path, p.message))
            }
            (state, Some(p)) => ("warn", format!("{}: {state}, {figures}; {}: {}", item.name, p.path, p.message)),
            (state, None) => ("warn", format!("{}: {state}, {figures}", item.name)),
        };
        let detail = json!({"item": item.name, "state": item.state, "files": item.files, "bytes": item.bytes, "bytes_added": item.bytes_added, "problems": item.problems_total});
        self.cx.event("item", level, message, Some(detail))
    }

    /// Where the job stands, if it is time to say so again.
    fn progress(&mut self) -> Option<RunProgress> {
        if self.told_at.is_some_and(|at| at.elapsed() < self.cx.deps.limits.flush) {
            return None;
        }
        let p = self.progress.take()?;
        self.told_at = Some(Instant::now());
        // A first guess that turned out too small is no total.
        let bytes_total = if p.bytes_total < p.bytes_done { 0 } else { p.bytes_total };
        let rate = match (self.seen.front(), self.seen.back()) {
            (Some((t0, b0)), Some((t1, b1))) if *t1 > *t0 => ((b1 - b0).max(0) as f64 / (*t1 - *t0).as_secs_f64()) as i64,
            _ => 0,
        };
        let eta_s = (rate > 0 && bytes_total > p.bytes_done).then(|| (bytes_total - p.bytes_done) / rate);
        Some(RunProgress {
            at: self.cx.now(),
            step: self.step.to_owned(),
            items_done: p.items_done,
            items_total: p.items_total,
            files_done: p.files_done,
            bytes_done: p.bytes_done,
            bytes_total,
            bytes_per_s: rate,
            eta_s,
            current: p.current,
        })
    }

    /// Writes what has come since the last time, in one transaction under the lease.
    async fn flush(&mut self) -> Result<()> {
        let progress = self.progress();
        let nothing = self.events.is_empty() && self.items.is_empty() && self.changes.is_empty() && self.listed.is_empty() && self.forgotten.is_empty();
        let nothing = nothing && self.read.is_empty();
        if nothing && progress.is_none() {
            return Ok(());
        }
        // In one order, so that two runs with the same people do not wait for each other.
        self.items.sort_by(|a, b| a.name.cmp(&b.name));
        let mut t = self.cx.begin(&self.events).await?;
        for item in &self.items {
            self.recorder.item(self.cx, t.tx(), item).await?;
        }
        for (item, snapshot, entries) in &self.changes {
            self.recorder.changes(self.cx, t.tx(), item, snapshot, entries).await?;
        }
        if !self.listed.is_empty() {
            self.recorder.snapshots(self.cx, t.tx(), &self.listed).await?;
        }
        if !self.forgotten.is_empty() {
            self.recorder.forgotten(self.cx, t.tx(), &self.forgotten).await?;
        }
        if !self.read.is_empty() {
            self.recorder.packs_read(self.cx, t.tx(), &self.read).await?;
        }
        if let Some(progress) = &progress {
            queue::progress(t.tx(), self.cx.id(), self.cx.lease().token, progress).await?;
        }
        self.cx.commit(t).await?;
        let bytes = |of: fn(&ItemResult) -> i64| u64::try_from(self.items.iter().map(of).sum::<i64>()).unwrap_or(0);
        for (what, n) in [("read", bytes(|i| i.bytes)), ("added", bytes(|i| i.bytes_added))] {
            metrics::counter!("holdfast_run_bytes_total", "kind" => self.cx.run.kind.clone(), "what" => what).increment(n);
        }
        self.events.clear();
        self.items.clear();
        self.changes.clear();
        self.listed.clear();
        self.forgotten.clear();
        self.read.clear();
        self.rows = 0;
        Ok(())
    }
}

const fn level_name(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}
