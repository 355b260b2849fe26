//! Writing many files from many blobs: each blob is read once, each pack in few reads.
//!
//! Lives here: the batch, the two threads that fill it, and reading back what was written.
//! May not: deciding what is restored, moving anything to its final place.
//! Invariants: memory is bounded by the batch's limits and one group of blobs a thread; a file whose blobs are not all
//! good is removed again; a file's metadata is set after its last byte.

use std::{
    collections::HashMap,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
};

use rustic_core::{DataId, Id, repofile::Metadata};
use rustix::{
    fs::{self, FileType, Mode, OFlags},
    io::Errno,
};

use super::{
    meta::{self, Missed, On},
    meter::Meter,
    names::{show, split},
    plan::Act,
    sparse::{is_hole, is_zero, read_exactly, write_around_zeros},
    target::{Found, Root, fail},
};
use crate::{
    Ctx, EngineError, ErrorKind, Result,
    repository::{
        Indexed, Repository,
        packs::{BlobPlace, PackReader, groups, place},
    },
};

/// Threads that read, decode and write.
const THREADS: usize = 2;
const MAX_FILES: usize = 20_000;
const MAX_CONTENT: usize = 200_000;
/// Files that a batch keeps open between their blobs.
const MAX_OPEN: usize = 300;
/// A file to be staged.
pub struct FileTask {
    pub item: usize,
    pub base: Arc<Root>,
    /// Below `base`.
    pub path: Vec<u8>,
    /// Where the path that people know begins in `path`.
    pub shown_from: usize,
    pub meta: Metadata,
    pub act: Act,
}

impl FileTask {
    pub fn shown(&self) -> String {
        show(&self.path[self.shown_from..])
    }
}

struct Blob {
    place: BlobPlace,
    crc: AtomicU32,
    state: AtomicU8,
}

const DATA: u8 = 1;
const ZEROS: u8 = 2;

struct Entry {
    task: FileTask,
    first: usize,
    count: usize,
    size: u64,
    left: AtomicUsize,
    open: Mutex<Open>,
    problem: OnceLock<String>,
}

#[derive(Default)]
struct Open {
    fd: Option<OwnedFd>,
    made: bool,
    hole: bool,
}

/// What became of one file.
pub struct Done {
    pub item: usize,
    pub shown: String,
    pub act: Act,
    pub size: u64,
    pub missed: Missed,
    /// Why the file is not there.
    pub problem: Option<String>,
}

#[derive(Default)]
pub struct Batch {
    files: Vec<Entry>,
    content: Vec<u32>,
    blobs: Vec<Blob>,
    known: HashMap<Id, u32>,
}

impl Batch {
    pub fn is_full(&self) -> bool {
        self.files.len() >= MAX_FILES || self.content.len() >= MAX_CONTENT
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Adds a file.
    ///
    /// # Errors
    /// Says in words which blob the repository lacks; the file is not added then.
    pub fn add(&mut self, index: &Indexed, task: FileTask, content: &[DataId]) -> std::result::Result<(), String> {
        let first = self.content.len();
        let mut size = 0;
        for id in content {
            let n = if let Some(n) = self.known.get(&**id) {
                *n
            } else {
                let Some(place) = place(index, id) else {
                    self.content.truncate(first);
                    return Err(format!("not restored: the repository lacks its part {}", id.to_hex().as_str()));
                };
                let n = self.blobs.len() as u32;
                self.blobs.push(Blob { place, crc: AtomicU32::new(0), state: AtomicU8::new(0) });
                self.known.insert(**id, n);
                n
            };
            size += u64::from(self.blobs[n as usize].place.size);
            self.content.push(n);
        }
        let (count, open) = (content.len(), Mutex::default());
        self.files.push(Entry { task, first, count, size, left: AtomicUsize::new(count), open, problem: OnceLock::new() });
        Ok(())
    }

    /// Writes all files of the batch and says what became of each.
    ///
    /// With `verify`, the file systems are told to write everything out, and each file is read back and compared with
    /// the checksums of the blobs, which themselves were compared with their ids.
    ///
    /// # Errors
    /// What concerns more than one file: the storage cannot be reached, the disk is full, the caller has cancelled.
    pub fn run(self, repository: &Repository, verify: bool, ctx: &Ctx, meter: &Meter) -> Result<Vec<Done>> {
        // Which files need a blob, and where.
        let mut uses: Vec<(u32, u32, u64)> = Vec::with_capacity(self.content.len());
        let mut empty = Vec::new();
        for (f, file) in self.files.iter().enumerate() {
            let mut at = 0;
            for blob in &self.content[file.first..file.first + file.count] {
                uses.push((*blob, f as u32, at));
                at += u64::from(self.blobs[*blob as usize].place.size);
            }
            if file.count == 0 {
                empty.push(f);
            }
        }
        uses.sort_unstable();
        let mut starts = vec![0_usize; self.blobs.len() + 1];
        for (blob, _, _) in &uses {
            starts[*blob as usize + 1] += 1;
        }
        for n in 1..starts.len() {
            starts[n] += starts[n - 1];
        }
        let mut order: Vec<u32> = (0..self.blobs.len() as u32).collect();
        order.sort_unstable_by_key(|n| {
            let p = &self.blobs[*n as usize].place;
            (p.pack, p.offset)
        });
        let places: Vec<BlobPlace> = order.iter().map(|n| self.blobs[*n as usize].place).collect();
        let groups = groups(&places);
        let work = Work { batch: &self, missed: Mutex::default(), opened: AtomicUsize::new(0), meter };
        in_threads(
            ctx,
            groups.len(),
            || repository.pack_reader(),
            |reader: &mut PackReader, n| {
                let group = groups[n].clone();
                let numbers = &order[group.clone()];
                reader.read(&places[group], &mut |k, blob| {
                    ctx.check()?;
                    let number = numbers[k] as usize;
                    work.blob(number, &uses[starts[number]..starts[number + 1]], blob)
                })
            },
        )?;
        in_threads(ctx, empty.len(), || Ok(()), |(), n| work.with_file(empty[n], |entry, open| work.finish(entry, empty[n], open)))?;
        if verify {
            work.verify(ctx)?;
        }
        let missed = work.missed.into_inner().unwrap_or_else(PoisonError::into_inner);
        let done = self.files.into_iter().enumerate().map(|(f, e)| Done {
            item: e.task.item,
            shown: e.task.shown(),
            act: e.task.act,
            size: e.size,
            missed: missed.get(&f).copied().unwrap_or_default(),
            problem: e.problem.into_inner(),
        });
        Ok(done.collect())
    }
}

/// Does jobs `0..count` in a few threads, until all are done or one fails.
pub fn in_threads<S>(ctx: &Ctx, count: usize, start: impl Fn() -> Result<S> + Sync, job: impl Fn(&mut S, usize) -> Result<()> + Sync) -> Result<()> {
    let (next, stop, first) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(None));
    let run = || {
        let all = || {
            let mut state = start()?;
            while !stop.load(Relaxed) {
                let n = next.fetch_add(1, Relaxed);
                if n >= count {
                    break;
                }
                ctx.check()?;
                job(&mut state, n)?;
            }
            Ok(())
        };
        if let Err(e) = all() {
            stop.store(true, Relaxed);
            first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
        }
    };
    if count > 1 {
        std::thread::scope(|scope| {
            for _ in 1..THREADS {
                scope.spawn(run);
            }
            run();
        });
    } else if count == 1 {
        run();
    }
    first.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

struct Work<'a> {
    batch: &'a Batch,
    /// What could not be set, by the file's number.
    missed: Mutex<HashMap<usize, Missed>>,
    opened: AtomicUsize,
    meter: &'a Meter<'a>,
}

impl Work<'_> {
    /// Writes one blob wherever it belongs.
    fn blob(&self, number: usize, uses: &[(u32, u32, u64)], blob: Result<&[u8]>) -> Result<()> {
        let known = &self.batch.blobs[number];
        let data = match blob {
            Ok(data) => data,
            Err(e) => {
                for (_, f, _) in uses {
                    let entry = &self.batch.files[*f as usize];
                    self.give_up(entry, format!("not restored: {}", e.message));
                    entry.left.fetch_sub(1, Relaxed);
                }
                return Ok(());
            }
        };
        let zeros = is_zero(data);
        known.crc.store(crc32fast::hash(data), Relaxed);
        known.state.store(if zeros { ZEROS } else { DATA }, Relaxed);
        for (_, f, at) in uses {
            let f = *f as usize;
            let last = |entry: &Entry| entry.left.fetch_sub(1, Relaxed) == 1;
            self.with_file(f, |entry, open| {
                if entry.problem.get().is_none() {
                    self.meter.bytes(data.len() as u64, || entry.task.shown());
                    if zeros {
                        open.hole = true;
                    } else {
                        let fd = self.opened_file(entry, open)?;
                        let hole = write_around_zeros(fd, data, *at)?;
                        open.hole |= hole;
                    }
                }
                if last(entry) {
                    return self.finish(entry, f, open);
                }
                self.keep_few_open(open);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Runs `work` on a file alone, and sorts its error: one file's problem, or the end of the restore.
    fn with_file(&self, f: usize, work: impl FnOnce(&Entry, &mut Open) -> std::result::Result<(), Errno>) -> Result<()> {
        let entry = &self.batch.files[f];
        let mut open = entry.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Err(e) = work(entry, &mut open) else { return Ok(()) };
        drop(open);
        let why = match e {
            Errno::EXIST => "another name in this folder differs only in case, and the target's file system cannot hold both".to_owned(),
            Errno::NAMETOOLONG | Errno::INVAL | Errno::ILSEQ => format!("the target's file system refuses this name ({})", std::io::Error::from(e)),
            _ => return Err(fail("write", &entry.task.shown(), e)),
        };
        self.give_up(entry, format!("not restored: {why}"));
        Ok(())
    }

    fn opened_file<'o>(&self, entry: &Entry, open: &'o mut Open) -> std::result::Result<&'o OwnedFd, Errno> {
        if open.fd.is_none() {
            let task = &entry.task;
            let flags = if open.made { OFlags::WRONLY } else { OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL };
            let make = || task.base.open_at(&task.path, flags, Mode::RUSR | Mode::WUSR);
            let fd = match make() {
                Err(Errno::NOENT) if !open.made => {
                    // A folder that is there at the target is made in the staging folder only when it is needed.
                    task.base.mkdir_all(split(&task.path).0)?;
                    make()?
                }
                other => other?,
            };
            open.made = true;
            open.fd = Some(fd);
            self.opened.fetch_add(1, Relaxed);
        }
        open.fd.as_ref().ok_or(Errno::BADF)
    }

    fn keep_few_open(&self, open: &mut Open) {
        if open.fd.is_some() && self.opened.load(Relaxed) > MAX_OPEN {
            open.fd = None;
            self.opened.fetch_sub(1, Relaxed);
        }
    }

    fn finish(&self, entry: &Entry, f: usize, open: &mut Open) -> std::result::Result<(), Errno> {
        if entry.problem.get().is_none() {
            let hole = open.hole;
            let fd = self.opened_file(entry, open)?;
            if hole {
                fs::ftruncate(fd, entry.size)?;
            }
            let missed = meta::apply(On::Open(std::os::fd::AsFd::as_fd(fd)), FileType::RegularFile, &entry.task.meta)?;
            if missed != Missed::default() {
                self.missed.lock().unwrap_or_else(PoisonError::into_inner).insert(f, missed);
            }
            self.meter.file();
        }
        if open.fd.take().is_some() {
            self.opened.fetch_sub(1, Relaxed);
        }
        Ok(())
    }

    fn give_up(&self, entry: &Entry, why: String) {
        if entry.problem.set(why).is_ok() {
            let mut open = entry.open.lock().unwrap_or_else(PoisonError::into_inner);
            if open.fd.take().is_some() {
                self.opened.fetch_sub(1, Relaxed);
            }
            if open.made {
                entry.task.base.unlink(&entry.task.path).ok();
            }
        }
    }

    /// Reads every file back.
    fn verify(&self, ctx: &Ctx) -> Result<()> {
        let mut bases: Vec<&Arc<Root>> = Vec::new();
        for file in &self.batch.files {
            if !bases.iter().any(|b| Arc::ptr_eq(b, &file.task.base)) {
                bases.push(&file.task.base);
            }
        }
        for base in bases {
            fs::syncfs(base).map_err(|e| fail("write out to the disk", "the staging folder", e))?;
        }
        in_threads(
            ctx,
            self.batch.files.len(),
            || Ok(vec![0_u8; 1 << 18]),
            |buffer, n| {
                let entry = &self.batch.files[n];
                if entry.problem.get().is_some() {
                    return Ok(());
                }
                match self.reads_back(entry, buffer) {
                    Ok(true) => Ok(()),
                    Ok(false) => {
                        let message = format!("{}: what is read back is not what was written; the target's disk or memory is faulty", entry.task.shown());
                        Err(EngineError::new(ErrorKind::Damaged, message))
                    }
                    Err(e) => Err(fail("read back", &entry.task.shown(), e)),
                }
            },
        )
    }

    fn reads_back(&self, entry: &Entry, buffer: &mut [u8]) -> std::result::Result<bool, Errno> {
        let fd = open_for_reading(entry)?;
        if Found::from(fs::fstat(&fd)?).size != entry.size {
            return Ok(false);
        }
        let mut at = 0;
        for number in &self.batch.content[entry.first..entry.first + entry.count] {
            let blob = &self.batch.blobs[*number as usize];
            let size = u64::from(blob.place.size);
            if !(blob.state.load(Relaxed) == ZEROS && is_hole(&fd, at, size)) {
                let mut crc = crc32fast::Hasher::new();
                read_exactly(&fd, at, size, buffer, &mut |part| crc.update(part))?;
                if crc.finalize() != blob.crc.load(Relaxed) {
                    return Ok(false);
                }
            }
            at += size;
        }
        Ok(true)
    }
}

/// Opens a staged file, also where its final mode forbids that to its owner.
fn open_for_reading(entry: &Entry) -> std::result::Result<OwnedFd, Errno> {
    let task = &entry.task;
    let open = || task.base.open_at(&task.path, OFlags::RDONLY, Mode::empty());
    match open() {
        Err(Errno::ACCESS) => {
            let (dir, name) = task.base.parent(&task.path)?;
            let mode = |mode| fs::chmodat(&dir, name, Mode::from_raw_mode(mode), fs::AtFlags::empty());
            let own = task.base.look(&task.path)?.ok_or(Errno::NOENT)?.mode;
            mode(own | 0o400)?;
            let fd = open();
            mode(own)?;
            fd
        }
        other => other,
    }
}
