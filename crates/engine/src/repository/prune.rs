//! Giving back the space of what no snapshot needs, in two phases (R13).
//!
//! Lives here: the job `prune`, which root snapshots it removes, and the guard that stops it. May not: choosing
//! snapshots to forget.
//!
//! A prune first *marks* packs: they leave the index and are listed in it as to be deleted, with the time; stock restic
//! sees packs that no index names, which its check calls harmless. A later prune *deletes* those that were marked
//! longer ago than a safe age and that nothing needs still, and puts back those that a snapshot needs again. So whoever
//! reads with an index from before keeps finding what it names, also without a lock.
//! Invariants: it holds an exclusive lock, so no backup runs beside it. New index files are written before old ones are
//! removed, and those before any pack; killed at any moment it leaves a repository that is whole, and the next prune
//! goes on. After the lock is lost nothing more is written or removed.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use rustic_core::{
    BytesList, FileType, Id, PruneOptions, ReadBackend, RusticResult, WriteBackend,
    repofile::{SnapshotFile, SnapshotId},
};

use super::{Backend, Held, LockKind, Repository, backend::for_library, backup::ROOT_TAG, from_rustic, meter::Meter};
use crate::{
    Ctx, EngineError, ErrorKind, Result,
    job::{Level, PruneJob, PruneOutcome},
};

/// Carries out a prune job.
///
/// # Errors
/// `Locked` naming who holds the repository; `Damaged` where a snapshot or index cannot be read or something that is
/// needed is missing: nothing is removed then; `Cancelled`; those of the storage.
pub fn run_prune(job: &PruneJob, ctx: &Ctx) -> Result<PruneOutcome> {
    let repository = Repository::open(&job.access, &ctx.rt)?;
    repository.with_lock(LockKind::Exclusive, ctx, |held| Prune { job, ctx, held, repository: &repository }.run())
}

struct Prune<'a> {
    job: &'a PruneJob,
    ctx: &'a Ctx<'a>,
    held: &'a Held,
    repository: &'a Repository,
}

impl Prune<'_> {
    fn run(&self) -> Result<PruneOutcome> {
        let mut outcome = PruneOutcome::default();
        for id in self.former_roots()? {
            self.ctx.check()?;
            self.held.check()?;
            self.repository.remove_snapshot(id)?;
            outcome.roots_removed += 1;
        }

        let stop = Arc::new(AtomicBool::new(false));
        let look = || {
            if self.ctx.is_cancelled() || self.held.check().is_err() {
                stop.store(true, Relaxed);
            }
        };
        let backend = Arc::new(Guarded { inner: self.repository.backend.clone(), stop: stop.clone() });
        let meter = Meter::default();
        let handle = self.repository.handle_with(backend, meter.clone())?;
        let options = self.options();
        let stats = meter.follow(self.ctx, look, || {
            let plan = handle.prune_plan(&options).map_err(|e| self.why(from_rustic(e)))?;
            let stats = Stats::of(&plan);
            self.ctx.log(Level::Info, stats.words());
            look();
            handle.prune(&options, plan).map_err(|e| self.why(from_rustic(e)))?;
            Ok::<_, EngineError>(stats)
        })?;
        outcome.packs_deleted = stats.deleted.0;
        outcome.bytes_deleted = stats.deleted.1;
        outcome.packs_marked = stats.marked;
        outcome.packs_repacked = stats.repacked;
        outcome.packs_recovered = stats.recovered;
        outcome.bytes_waiting = stats.waiting;
        outcome.bytes_unused = stats.unused;
        outcome.size_bytes = i64::try_from(self.repository.size()?).unwrap_or(i64::MAX);
        Ok(outcome)
    }

    fn options(&self) -> PruneOptions {
        let mut options = PruneOptions::default();
        options.keep_delete = jiff::Span::new().seconds(i64::from(self.job.safe_age_s));
        options
    }

    /// What stopped the library, where it was us.
    fn why(&self, error: EngineError) -> EngineError {
        if let Err(e) = self.ctx.check().and_then(|()| self.held.check()) {
            return e;
        }
        // Some failed writes reach us only as a broken channel.
        self.repository.backend.take_error().unwrap_or(error)
    }

    /// Root snapshots that no next pass needs: neither named by the caller, nor left by a run that is still live, nor
    /// the newest of their source. Another installation that shares the repository so keeps its parent.
    fn former_roots(&self) -> Result<Vec<SnapshotId>> {
        let named: HashSet<&str> = self.job.keep_roots.iter().map(String::as_str).collect();
        let live: HashSet<String> = self.job.live_runs.iter().map(|run| format!("run:{run}")).collect();
        let mut roots: HashMap<String, Vec<(jiff::Timestamp, SnapshotId, bool)>> = HashMap::new();
        let handle = self.repository.handle()?;
        let ids = self.repository.backend.list_ids(FileType::Snapshot.dirname())?;
        for read in handle.stream_files_list::<SnapshotFile>(ids.into_iter().map(|(id, _)| id.into()).collect()).map_err(from_rustic)? {
            let (id, file) = read.map_err(|e| {
                let why = from_rustic(e);
                EngineError::new(why.kind, format!("a snapshot cannot be read, so nothing is pruned: {}", why.message))
            })?;
            if file.tags.contains(ROOT_TAG) {
                let of: Vec<&str> = file.tags.iter().map(String::as_str).filter(|t| t.starts_with("service:") || t.starts_with("source:")).collect();
                let keep = named.contains(id.to_hex().as_str()) || file.tags.iter().any(|t| live.contains(t));
                roots.entry(format!("{} {}", file.hostname, of.join(" "))).or_default().push((file.time.timestamp(), id, keep));
            }
        }
        let mut former = Vec::new();
        for mut of_source in roots.into_values() {
            of_source.sort_by_key(|(at, id, _)| std::cmp::Reverse((*at, *id)));
            former.extend(of_source.into_iter().skip(1).filter(|(.., keep)| !keep).map(|(_, id, _)| id));
        }
        Ok(former)
    }
}

/// The figures of a plan: packs and bytes.
struct Stats {
    deleted: (i64, i64),
    marked: i64,
    repacked: i64,
    recovered: i64,
    waiting: i64,
    unused: i64,
}

impl Stats {
    fn of(plan: &rustic_core::PrunePlan) -> Self {
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let (s, size) = (&plan.stats, plan.stats.size_sum());
        Self {
            deleted: (count(s.packs_to_delete.remove), count(s.size_to_delete.remove)),
            marked: count(s.packs.unused.saturating_add(s.packs.repack).saturating_add(s.packs_unref)),
            repacked: count(s.packs.repack),
            recovered: count(s.packs_to_delete.recover),
            waiting: count(s.size_to_delete.keep + size.remove + size.repack + s.size_unref),
            unused: count(size.unused.saturating_sub(size.remove + size.repackrm + s.size_to_delete.total())),
        }
    }

    fn words(&self) -> String {
        use domain::units::{count, size};
        format!(
            "{} packs ({}) are deleted, {} are marked, {} of them packed anew, {} are needed again; {} wait for their deletion",
            count(self.deleted.0),
            size(self.deleted.1),
            count(self.marked),
            count(self.repacked),
            count(self.recovered),
            size(self.waiting)
        )
    }
}

/// Refuses to go on once the work must stop.
struct Guarded {
    inner: Arc<Backend>,
    stop: Arc<AtomicBool>,
}

impl Guarded {
    fn check(&self) -> RusticResult<()> {
        if self.stop.load(Relaxed) { Err(for_library(EngineError::new(ErrorKind::Cancelled, "stopped"))) } else { Ok(()) }
    }
}

impl ReadBackend for Guarded {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn list_with_size(&self, tpe: FileType) -> RusticResult<Vec<(Id, u32)>> {
        self.check()?;
        self.inner.list_with_size(tpe)
    }

    fn read_full(&self, tpe: FileType, id: &Id) -> RusticResult<Bytes> {
        self.check()?;
        self.inner.read_full(tpe, id)
    }

    fn read_partial(&self, tpe: FileType, id: &Id, cacheable: bool, offset: u32, length: u32) -> RusticResult<Bytes> {
        self.check()?;
        self.inner.read_partial(tpe, id, cacheable, offset, length)
    }

    fn warmup_path(&self, tpe: FileType, id: &Id) -> String {
        self.inner.warmup_path(tpe, id)
    }
}

impl WriteBackend for Guarded {
    fn write_bytes(&self, tpe: FileType, id: &Id, cacheable: bool, content: BytesList) -> RusticResult<()> {
        self.check()?;
        self.inner.write_bytes(tpe, id, cacheable, content)
    }

    fn remove(&self, tpe: FileType, id: &Id, cacheable: bool) -> RusticResult<()> {
        self.check()?;
        self.inner.remove(tpe, id, cacheable)
    }
}
