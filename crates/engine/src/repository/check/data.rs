//! When packs were last read, and reading some of them.
//!
//! Lives here: the packs that are there with their marks, and the reading of the chosen ones by several threads.
//! May not: which are chosen (`domain::reading` says), what a pack must look like (`repository::packs`).
//! Invariant: a pack counts as read only after all of its bytes were read in this check and found to be what was written.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use domain::{
    reading::{Mark, choose},
    units::Timestamp,
};
use rustic_core::{
    Id, RusticProgress as _,
    repofile::{IndexFile, IndexPack},
};

use super::super::{Repository, from_rustic, meter::Meter};
use crate::{
    Ctx, Result,
    job::{CheckJob, CheckOutcome, Event, PackIds, PackMarks, Reading},
};

/// Packs read at a time at most. Each takes some 5 MB, or its largest blob.
const THREADS: usize = 4;
/// Packs told in one event.
const TOLD: usize = 1_000;
const TOLD_AT_THE_END: usize = 20_000;

/// All packs that the index names and the storage lists, but for those that are marked to be deleted.
pub(super) struct Packs {
    /// Size in bytes and mark of each.
    all: BTreeMap<Id, (u64, Mark)>,
}

impl Packs {
    pub fn of(repository: &Repository, job: &CheckJob) -> Result<Self> {
        let mut named = HashSet::new();
        for file in repository.handle()?.stream_files::<IndexFile>().map_err(from_rustic)? {
            let (_, file) = file.map_err(from_rustic)?;
            named.extend(file.packs.iter().map(|p| *p.id));
        }
        let mut known: HashMap<Id, Mark> = HashMap::new();
        for marks in &job.known {
            for id in marks.packs.0.as_chunks::<32>().0 {
                let mark = known.entry(Id::new(*id)).or_insert(marks.mark);
                // Read is more than seen; of two readings the later counts, of two sights the earlier.
                let later = (marks.mark.read, if marks.mark.read { marks.mark.at.0 } else { -marks.mark.at.0 });
                if later > (mark.read, if mark.read { mark.at.0 } else { -mark.at.0 }) {
                    *mark = marks.mark;
                }
            }
        }
        let new = Mark { at: job.at, read: false };
        let there = repository.backend.list_ids("data")?;
        let all = there.into_iter().filter(|(id, _)| named.contains(id)).map(|(id, size)| (id, (size, known.get(&id).copied().unwrap_or(new))));
        Ok(Self { all: all.collect() })
    }

    /// When a pack was last read; `None` where it never was, or is not there.
    pub fn read_at(&self, pack: &Id) -> Option<Timestamp> {
        self.all.get(pack).filter(|(_, m)| m.read).map(|(_, m)| m.at)
    }

    /// Reads the packs that are to be read and marks them; the bytes that were read.
    pub fn read(&mut self, repository: &Repository, job: &CheckJob, outcome: &mut CheckOutcome, ctx: &Ctx) -> Result<i64> {
        let chosen: HashSet<Id> = match job.read {
            Reading::None => return Ok(0),
            Reading::All => self.all.keys().copied().collect(),
            Reading::Slice(slice) => {
                let sizes: Vec<_> = self.all.values().copied().collect();
                let numbers: HashSet<usize> = choose(&sizes, slice, job.at).into_iter().collect();
                self.all.keys().enumerate().filter(|(n, _)| numbers.contains(n)).map(|(_, id)| *id).collect()
            }
        };
        let mut packs: Vec<IndexPack> = Vec::with_capacity(chosen.len());
        let mut taken = HashSet::new();
        for file in repository.handle()?.stream_files::<IndexFile>().map_err(from_rustic)? {
            let (_, file) = file.map_err(from_rustic)?;
            packs.extend(file.packs.into_iter().filter(|p| chosen.contains(&*p.id) && taken.insert(*p.id)));
        }
        let meter = Meter::default();
        meter.set_length(packs.iter().map(|p| self.all.get(&*p.id).map_or(0, |(size, _)| *size)).sum());
        let work = Work { repository, packs: &packs, sizes: &self.all, next: AtomicUsize::new(0), done: Mutex::default(), meter: &meter, ctx };
        meter.follow(ctx, || (), || work.all())?;
        let done = work.done.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (id, fault) in done.found {
            if let Some((_, mark)) = self.all.get_mut(&id) {
                match fault {
                    None => *mark = Mark { at: job.at, read: true },
                    Some(words) => {
                        mark.read = false;
                        outcome.errors.push(words);
                    }
                }
            }
        }
        outcome.packs_read = i64::try_from(packs.len()).unwrap_or(i64::MAX);
        Ok(meter.done())
    }

    /// Tells what is known now.
    pub fn tell(&self, ctx: &Ctx) {
        let mut by_mark: HashMap<Mark, Vec<Id>> = HashMap::new();
        for (id, (_, mark)) in &self.all {
            by_mark.entry(*mark).or_default().push(*id);
        }
        for (mark, ids) in by_mark {
            for some in ids.chunks(TOLD_AT_THE_END) {
                ctx.emit(Event::Packs(PackMarks { mark, packs: told(some) }));
            }
        }
    }

    /// How many there are, how many of them were never read, and since when the longest waiting waits.
    pub fn sums(&self) -> (i64, i64, Option<Timestamp>) {
        let unread = self.all.values().filter(|(_, m)| !m.read).count();
        let waits_since = self.all.values().map(|(_, m)| m.at).min();
        (i64::try_from(self.all.len()).unwrap_or(i64::MAX), i64::try_from(unread).unwrap_or(i64::MAX), waits_since)
    }
}

fn told(ids: &[Id]) -> PackIds {
    let mut bytes = vec![0; ids.len() * 32];
    for (id, place) in ids.iter().zip(bytes.as_chunks_mut::<32>().0) {
        // An id is 64 hexadecimal digits.
        hex::decode_to_slice(id.to_hex().as_str(), place).unwrap_or_default();
    }
    PackIds(bytes)
}

struct Work<'a> {
    repository: &'a Repository,
    packs: &'a [IndexPack],
    sizes: &'a BTreeMap<Id, (u64, Mark)>,
    next: AtomicUsize,
    done: Mutex<Done>,
    meter: &'a Meter,
    ctx: &'a Ctx<'a>,
}

#[derive(Default)]
struct Done {
    /// Each pack that was read, and what is wrong with it.
    found: Vec<(Id, Option<String>)>,
    untold: Vec<Id>,
}

impl Work<'_> {
    fn all(&self) -> Result<()> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS).min(self.packs.len());
        let ended = std::thread::scope(|scope| {
            let all: Vec<_> = (0..threads).map(|_| scope.spawn(|| self.some())).collect();
            all.into_iter().try_for_each(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = std::mem::take(&mut done.untold);
        if !rest.is_empty() {
            self.ctx.emit(Event::PacksRead { packs: told(&rest) });
        }
        ended
    }

    fn some(&self) -> Result<()> {
        let mut reader = self.repository.pack_reader()?;
        while let Some(pack) = self.packs.get(self.next.fetch_add(1, Relaxed)) {
            self.ctx.check()?;
            let size = self.sizes.get(&*pack.id).map_or(0, |(size, _)| *size);
            let fault = match reader.verify(pack, size, &mut |n| self.meter.inc(n)) {
                Ok(fault) => fault,
                Err(e) => {
                    // The others need not go on.
                    self.next.store(self.packs.len(), Relaxed);
                    return Err(e);
                }
            };
            let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
            if fault.is_none() {
                done.untold.push(*pack.id);
            }
            done.found.push((*pack.id, fault));
            if done.untold.len() == TOLD {
                self.ctx.emit(Event::PacksRead { packs: told(&std::mem::take(&mut done.untold)) });
            }
        }
        Ok(())
    }
}
