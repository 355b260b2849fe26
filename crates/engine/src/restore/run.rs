//! The order of a restore: plan all items, stage all, put all in place, clear away.
//!
//! Lives here: `run_restore`, counts, problems and results by item. May not: system calls.
//! Invariants: a restore that ends with an error has left every target as it was; one item that cannot be restored
//! does not stop the others, unless the mode says that nothing may be replaced.

use std::cell::RefCell;

use domain::restore::ConflictMode;
use rustic_core::repofile::Node;

pub use super::commit::Hook;
use super::{
    batch::Batch,
    commit::{Change, list_changes, no_hook},
    item::{Item, SHOWN},
    journal::{self, DRAFT, JOURNAL},
    meter::Meter,
    names::show,
    place::{Bases, Place, refuse_overlap},
    plan::{Act, Step, Walk},
    stage::{ItemStage, Staged, finish_dirs, finish_root, make_links},
    target::{Root, fail},
    unwind::unwind,
};
use crate::{
    Ctx, EngineError, ErrorKind, Result,
    browse::Trees as _,
    job::{Event, Level, PlannedAction, PlannedPath, RestoreJob, RestoreOutcome},
    repository::{Held, Indexed, LockKind, Notes, Repository},
};

/// What happens when a restore fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The targets are put back.
    Unwind,
    /// Everything is left as it stands, as when the process is killed.
    Crash,
}

/// Whether this process may give files to others and make devices.
pub fn is_privileged() -> bool {
    rustix::process::geteuid().is_root()
}

/// Carries out a restore, or counts what it would do.
///
/// Each item's result is told by [`Event::Item`]. An item that cannot be restored is told as failed, and the others go
/// on; the answer is an error only when none could be, or when the cause concerns all of them.
///
/// # Errors
/// Every target is as it was then, but for those that [`Event::Stands`] has told and those that the error names because
/// they could not be put back. After `Unavailable` and `Locked`, what was staged is kept for the next attempt with the
/// same staging name, until the job is unwound; after all others it is removed.
pub fn run_restore(job: &RestoreJob, ctx: &Ctx) -> Result<RestoreOutcome> {
    run_restore_at(job, ctx, &no_hook, Ending::Unwind)
}

/// As [`run_restore`], stopping where `hook` says so. For tests of crashes.
#[doc(hidden)]
pub fn run_restore_at(job: &RestoreJob, ctx: &Ctx, hook: Hook, ending: Ending) -> Result<RestoreOutcome> {
    let places: Vec<Place> = job.items.iter().map(|i| Place::find(&i.target, &job.staging)).collect::<Result<_>>()?;
    refuse_overlap(&places)?;
    let done = attempt(job, &places, ctx, hook);
    let Err(error) = done else { return done };
    if job.preview || ending == Ending::Crash {
        return Err(error);
    }
    for place in &places {
        if let Err(e) = unwind(place, error.is_permanent(), &no_hook, ctx) {
            ctx.log(Level::Error, format!("target {}: could not be put back: {e}", place.shown()));
            return Err(EngineError::new(e.kind, format!("{error}; and then target {} could not be put back: {e}", place.shown())));
        }
    }
    Err(error)
}

fn attempt(job: &RestoreJob, places: &[Place], ctx: &Ctx, hook: Hook) -> Result<RestoreOutcome> {
    let repository = Repository::open(&job.access, &ctx.rt)?;
    if job.preview {
        return Run::start(job, places, &repository, ctx, hook)?.preview();
    }
    for place in places {
        unwind(place, false, &no_hook, ctx)?;
    }
    let mut stands = None;
    let done = repository.with_lock(LockKind::Shared, ctx, |held| {
        stands = Some(Run::start(job, places, &repository, ctx, hook)?.restore(held)?);
        Ok(())
    });
    match (done, stands) {
        (Ok(()), Some(outcome)) => Ok(outcome),
        // Whatever became of the lock in the end: what is restored is at its place.
        (Err(e), Some(outcome)) => {
            ctx.log(Level::Warn, format!("the restore stands, although {e}"));
            Ok(outcome)
        }
        (Err(e), None) => Err(e),
        (Ok(()), None) => Err(EngineError::new(ErrorKind::Internal, "the restore ended without a result")),
    }
}

/// Errors that concern one item and not the restore as a whole.
const fn is_items_own(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Damaged | ErrorKind::Conflict | ErrorKind::Unsafe | ErrorKind::Invalid)
}

struct Run<'a> {
    job: &'a RestoreJob,
    repository: &'a Repository,
    index: Indexed,
    items: Vec<Item<'a>>,
    meter: Meter<'a>,
    ctx: &'a Ctx<'a>,
    hook: Hook<'a>,
    privileged: bool,
}

impl<'a> Run<'a> {
    fn start(job: &'a RestoreJob, places: &'a [Place], repository: &'a Repository, ctx: &'a Ctx<'a>, hook: Hook<'a>) -> Result<Self> {
        let index = repository.to_indexed()?;
        let mut run = Self { job, repository, index, items: Vec::new(), meter: Meter::new(ctx, job.items.len()), ctx, hook, privileged: is_privileged() };
        for (job, place) in job.items.iter().zip(places) {
            let mut item = Item::new(job, place)?;
            match repository.snapshot(&job.snapshot).and_then(|s| run.index.tree(&s.tree).map(|_| s)) {
                Ok(snapshot) => {
                    item.tree = Some(snapshot.tree);
                    item.folder = Notes::of(&snapshot).folder.filter(|_| item.selection.is_whole());
                }
                Err(e) if is_items_own(e.kind) => item.failed = Some(e),
                Err(e) => return Err(e),
            }
            run.items.push(item);
        }
        Ok(run)
    }

    /// Does `work` for every item that has not failed. An item's own error makes it failed.
    fn each(&mut self, work: impl Fn(&Self, &mut Item<'a>, usize) -> Result<()>) -> Result<()> {
        let mut items = std::mem::take(&mut self.items);
        let mut all = || {
            for (n, item) in items.iter_mut().enumerate().filter(|(_, i)| i.failed.is_none()) {
                self.ctx.check()?;
                match work(self, item, n) {
                    Err(e) if is_items_own(e.kind) => item.failed = Some(e),
                    other => other?,
                }
            }
            Ok(())
        };
        let done = all();
        self.items = items;
        done
    }

    /// Fails when there is no item left.
    fn some_left(&mut self) -> Result<()> {
        if self.items.iter().any(|i| i.failed.is_none()) {
            return Ok(());
        }
        for item in &self.items {
            self.ctx.emit(Event::Item(item.result()));
        }
        self.items.first_mut().and_then(|i| i.failed.take()).map_or(Ok(()), Err)
    }

    /// With `compare`, what looks the same at the target is read. A mode that skips what differs does the same either way.
    fn walk<'w>(&'w self, target: Option<&'w Root>, compare: bool) -> Walk<'w> {
        let compare = compare && self.job.conflict != ConflictMode::Skip;
        Walk { index: &self.index, target, conflict: self.job.conflict, privileged: self.privileged, compare, hashes: RefCell::default(), ctx: self.ctx }
    }

    /// Counts exactly what the restore will do, and takes some paths as a sample.
    fn plan(&mut self, compare: bool) -> Result<Vec<PlannedPath>> {
        let sample = std::sync::Mutex::new(Vec::new());
        self.each(|run, item, _| {
            let (tree, target) = (item.tree.unwrap_or_default(), item.place.open()?);
            let mut seen = std::collections::HashSet::new();
            let mut sample = sample.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let walk = run.walk(target.as_ref(), compare);
            let selection = std::mem::take(&mut item.selection);
            let walked = walk.run(tree, &selection, &mut |step| {
                match step {
                    Step::Problem { path, message } => item.problem(path, message),
                    Step::Node { path, node, act, chosen, .. } => {
                        item.nodes += i64::from(chosen);
                        let bytes = if node.is_file() { i64::try_from(node.meta.size).unwrap_or(i64::MAX) } else { 0 };
                        let again = node.meta.links > 1 && !seen.insert((node.meta.device_id, node.meta.inode));
                        if act != Act::Blocked || !node.is_dir() {
                            item.count(act, if again { 0 } else { bytes });
                        }
                        if act == Act::Blocked {
                            item.blocked_total += 1;
                            if item.blocked.len() < 5 {
                                item.blocked.push(show(path));
                            }
                        }
                        if sample.len() < SHOWN && !node.is_dir() {
                            sample.push(PlannedPath { path: show(path), action: action(act), bytes });
                        }
                    }
                }
                Ok(())
            });
            item.selection = selection;
            walked?;
            if item.nodes == 0 && !item.selection.is_whole() {
                return Err(EngineError::new(ErrorKind::NotFound, format!("{}: none of the chosen paths is in the snapshot", item.job.name)));
            }
            run.meter.expect(item.counts.bytes);
            Ok(())
        })?;
        Ok(sample.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn preview(mut self) -> Result<RestoreOutcome> {
        let sample = self.plan(true)?;
        self.some_left()?;
        if let Some(message) = self.blocked() {
            self.ctx.log(Level::Warn, format!("this restore would be refused: {message}"));
        }
        Ok(RestoreOutcome { sample, ..self.outcome() })
    }

    /// Why nothing may be restored at all; `None` when it may.
    fn blocked(&self) -> Option<String> {
        let total: i64 = self.items.iter().map(|i| i.blocked_total).sum();
        let names: Vec<String> = self.items.iter().flat_map(|i| i.blocked.iter().map(|p| format!("{}/{p}", i.place.shown()))).take(5).collect();
        (total > 0).then(|| {
            let more = if total > names.len() as i64 { ", …" } else { "" };
            format!(
                "{total} paths are at the target already and differ from the snapshot: {}{more}; choose to skip or to overwrite them, or another target",
                names.join(", ")
            )
        })
    }

    fn outcome(&self) -> RestoreOutcome {
        let mut out = RestoreOutcome::default();
        for item in &self.items {
            self.ctx.emit(Event::Item(item.result()));
            if item.failed.is_some() {
                continue;
            }
            out.items += 1;
            out.files += item.files;
            out.dirs += item.dirs;
            out.bytes = out.bytes.saturating_add(item.counts.bytes);
            out.conflicts += item.blocked_total;
            out.counts.create += item.counts.create;
            out.counts.replace += item.counts.replace;
            out.counts.same += item.counts.same;
            out.counts.skip += item.counts.skip;
            out.counts.bytes = out.bytes;
        }
        out
    }

    fn restore(mut self, held: &Held) -> Result<RestoreOutcome> {
        // What may not replace anything must know before it begins what differs; all others compare while they stage.
        self.plan(self.job.conflict == ConflictMode::Fail)?;
        self.some_left()?;
        if let Some(message) = self.blocked() {
            return Err(EngineError::new(ErrorKind::Conflict, message));
        }
        let mut bases = Bases::new();
        self.stage(&mut bases, held)?;
        self.some_left()?;
        let sync = || bases.values().try_for_each(|base| rustix::fs::syncfs(base).map_err(|e| fail("write out to the disk", "the staging folder", e)));
        self.each(|run, item, _| {
            let stage = item.stage()?;
            if item.place.open()?.is_none() {
                finish_root(stage, item.folder.as_ref(), run.privileged)?;
            }
            list_changes(item.place, stage, run.job.conflict, run.privileged)
        })?;
        self.ctx.check()?;
        held.check()?;
        sync()?;
        self.each(|_, item, _| journal::rename(item.stage()?, DRAFT, JOURNAL))?;
        sync()?;
        self.each(|run, item, _| {
            let (stage, name) = (item.stage()?, &item.job.name);
            let change = Change { place: item.place, stage, privileged: run.privileged, hook: run.hook };
            if let Err(e) = change.commit() {
                if is_items_own(e.kind) {
                    change.undo()?;
                }
                return Err(e);
            }
            run.meter.item(name);
            Ok(())
        })?;
        self.some_left()?;
        sync()?;
        for item in self.items.iter().filter(|i| i.failed.is_none()) {
            Change { place: item.place, stage: item.stage()?, privileged: self.privileged, hook: self.hook }.settle()?;
        }
        sync()?;
        self.ctx.emit(Event::Stands { targets: self.items.iter().filter(|i| i.failed.is_none()).map(|i| i.place.shown()).collect() });
        // Whoever asks to stop now may not have recorded it, and then the staging folders are all that tells of it.
        let (cancelled, mut uncleared) = (self.ctx.is_cancelled(), false);
        for item in &self.items {
            (self.hook)("before clearing")?;
            let Some(stage) = &item.stage else { continue };
            if cancelled && item.failed.is_none() {
                uncleared = true;
                continue;
            }
            // With a journal still in it, it holds what could not be put back.
            let cleared = journal::has(stage, JOURNAL).and_then(|undone| if undone { Ok(()) } else { item.place.clear(stage) });
            if let Err(e) = cleared {
                // The restore stands. What was replaced is removed when the job is unwound, or by hand.
                self.ctx.log(Level::Warn, format!("{e}"));
                uncleared = true;
            }
        }
        let unowned: i64 = self.items.iter().map(|i| i.unowned).sum();
        if unowned > 0 {
            self.ctx.log(Level::Warn, format!("{unowned} files belong to this process's user instead of their owner: only root can give files to others"));
        }
        self.meter.finish();
        Ok(RestoreOutcome { uncleared, ..self.outcome() })
    }

    /// Writes everything into the staging folders.
    fn stage(&mut self, bases: &mut Bases, held: &Held) -> Result<()> {
        let mut items = std::mem::take(&mut self.items);
        let done = self.stage_items(&mut items, bases, held);
        self.items = items;
        done
    }

    fn stage_items(&self, items: &mut [Item], bases: &mut Bases, held: &Held) -> Result<()> {
        let mut batch = Batch::default();
        let mut waiting = Vec::new();
        for n in 0..items.len() {
            if items[n].failed.is_some() {
                continue;
            }
            held.check()?;
            match self.stage_item(items, n, &mut batch, bases)? {
                Ok(()) => waiting.push(n),
                Err(e) if is_items_own(e.kind) => items[n].failed = Some(e),
                Err(e) => return Err(e),
            }
            if batch.is_full() {
                self.flush(&mut batch, items, &mut waiting)?;
            }
        }
        self.flush(&mut batch, items, &mut waiting)
    }

    /// Stages one item. What is wrong with the item alone is the inner result; the batch is everybody's, so that an
    /// error while it is written ends the whole restore.
    fn stage_item(&self, items: &mut [Item], n: usize, batch: &mut Batch, bases: &mut Bases) -> Result<Result<()>> {
        let mut broken = None;
        let staged = self.walk_item(items, n, batch, bases, &mut broken);
        broken.map_or(Ok(staged), Err)
    }

    fn walk_item(&self, items: &mut [Item], n: usize, batch: &mut Batch, bases: &mut Bases, broken: &mut Option<EngineError>) -> Result<()> {
        let target = items[n].place.open()?;
        let stage = items[n].place.stage(bases)?;
        items[n].stage = Some(stage.clone());
        let mut writer = ItemStage::start(n, &stage, &self.index, self.privileged)?;
        let selection = std::mem::take(&mut items[n].selection);
        items[n].count_anew();
        if let Some(meta) = items[n].folder.as_ref().filter(|_| target.is_some() && self.job.conflict == ConflictMode::Overwrite) {
            writer.update_root(meta)?;
        }
        let walk = self.walk(target.as_ref(), self.job.conflict != ConflictMode::Fail);
        let walked = walk.run(items[n].tree.unwrap_or_default(), &selection, &mut |step| {
            let item = &mut items[n];
            match step {
                Step::Problem { path, message } => item.problem(path, message),
                Step::Node { path, act: Act::Blocked, .. } => {
                    return Err(EngineError::new(ErrorKind::Conflict, format!("{}: it came to the target while the restore ran", show(path))));
                }
                Step::Node { path, node, act, found, .. } => match writer.node(path, node, act, found, batch)? {
                    Staged::Later => {}
                    Staged::There(bytes, missed) => {
                        item.count(act, i64::try_from(bytes).unwrap_or(i64::MAX));
                        item.missed(|| show(path), missed);
                        self.there(node, bytes, path);
                    }
                    Staged::No(why) => item.problem(show(path), why),
                },
            }
            if batch.is_full()
                && let Err(e) = self.flush(batch, items, &mut Vec::new())
            {
                *broken = Some(e);
                return Err(EngineError::new(ErrorKind::Internal, "the batch could not be written"));
            }
            Ok(())
        });
        items[n].selection = selection;
        items[n].links = writer.finish()?;
        walked
    }

    fn there(&self, node: &Node, bytes: u64, path: &[u8]) {
        if !node.is_dir() {
            self.meter.file();
            self.meter.bytes(bytes, || show(path));
        }
    }

    /// Writes the batch's files, and ends the items that wait for them.
    fn flush(&self, batch: &mut Batch, items: &mut [Item], waiting: &mut Vec<usize>) -> Result<()> {
        if !batch.is_empty() {
            (self.hook)("before a batch is written")?;
            for done in std::mem::take(batch).run(self.repository, self.job.verify, self.ctx, &self.meter)? {
                items[done.item].done(done);
            }
        }
        for n in waiting.drain(..) {
            let item = &mut items[n];
            let mut end = || {
                let links = std::mem::take(&mut item.links);
                let target = item.place.open()?;
                let stage = item.stage()?.clone();
                for done in make_links(n, &stage, target.as_ref(), links)? {
                    item.done(done);
                }
                finish_dirs(&stage, self.privileged, &mut |path, missed| item.missed(|| show(path), missed))
            };
            match end() {
                Err(e) if is_items_own(e.kind) => item.failed = Some(e),
                other => other?,
            }
        }
        Ok(())
    }
}

const fn action(act: Act) -> PlannedAction {
    match act {
        Act::Create | Act::MakeDir => PlannedAction::Create,
        Act::Replace | Act::MergeDir { .. } => PlannedAction::Replace,
        Act::Same => PlannedAction::Same,
        Act::Skip | Act::Blocked => PlannedAction::Skip,
    }
}
