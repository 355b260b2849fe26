//! restic's locks (R13): files in `locks/` that say who works on a repository.
//!
//! Lives here: writing, refreshing, reading, respecting, waiting for and removing them. May not: deciding to clear somebody's lock.
//! Format and times are restic's: `internal/restic/lock.go`, and "Locks" in its design document. Two fields are our own,
//! which restic ignores: they name the machine and the process without doubt. Of a lock without them nobody can say
//! whether its process is gone, for other machines have the same host names.
//! Invariants: while a lock is held, a file for it is in the repository that is younger than [`STALE`]; when that
//! cannot be kept, the work is told to stop. Each file that this process began to write is removed when the work ends.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{RecvTimeoutError, channel},
    },
    time::{Duration, Instant},
};

use domain::units::{Timestamp, span};
use object_store::path::Path;
use rand::Rng as _;
use serde::{Deserialize, Serialize};

use super::Repository;
use crate::{
    Ctx, EngineError, ErrorKind, Result, clock,
    job::{Event, Level},
    place,
};

/// A lock that was not refreshed for so long belongs to nobody any more.
pub const STALE: Duration = Duration::from_mins(30);
/// How often a held lock is written anew.
pub const REFRESH: Duration = Duration::from_mins(5);
/// How long restic waits before it looks again whether somebody else locked at the same moment.
const SETTLE: Duration = Duration::from_millis(200);
/// The longest pause between two looks at a lock that somebody else holds.
const PAUSE: Duration = Duration::from_secs(4);
/// A file larger than this is no lock.
const LARGEST: u64 = 1 << 16;

/// Whether others may work beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// For work that adds or reads.
    Shared,
    /// For work that removes: refused while anybody else holds any lock.
    Exclusive,
}

/// A lock as it stands in the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockRecord {
    pub id: String,
    pub since: Timestamp,
    pub exclusive: bool,
    pub host: String,
    pub user: String,
    pub pid: u32,
    /// Why the lock belongs to nobody any more; `None` while it may be held.
    pub stale: Option<StaleReason>,
}

impl LockRecord {
    /// Who holds it and since when, in words.
    fn owner(&self) -> String {
        let age = span(clock::now().secs_since(self.since).max(0.0));
        format!("{}@{} (process {}, {age} ago)", self.user, self.host, self.pid)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaleReason {
    /// It was not refreshed for 30 minutes.
    Old,
    /// The process that wrote it ran on this machine, in this process's namespace, and is gone.
    ProcessGone,
}

/// The file's content. Unknown fields are ignored, as restic does.
#[derive(Debug, Serialize, Deserialize)]
struct LockFile {
    time: jiff::Timestamp,
    #[serde(default)]
    exclusive: bool,
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    pid: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    uid: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    gid: u32,
    /// [`place::id`], ours alone.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    place: String,
    /// When the process began, as [`place::start_of`] has it, ours alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started: Option<u64>,
}

impl LockFile {
    /// Whether its process certainly has ended.
    fn is_orphan(&self, here: &str) -> bool {
        !here.is_empty() && self.place == here && self.started.is_some() && place::start_of(self.pid) != self.started
    }
}

/// What the folder of locks holds.
#[derive(Default)]
struct Listed {
    /// Oldest first.
    locks: Vec<LockRecord>,
    /// Ids of files that are no locks as far as they can be read. An empty one is none: its writer died over it.
    unreadable: Vec<String>,
}

/// Why a lock cannot be had now.
struct InTheWay {
    id: String,
    /// “locked by …”, in words.
    words: String,
    /// Nobody will take it away.
    stale: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Repository {
    /// All locks, oldest first, with their owners and whether they are stale. Unreadable files are left out.
    pub fn locks(&self) -> Result<Vec<LockRecord>> {
        Ok(self.list_locks()?.locks)
    }

    fn list_locks(&self) -> Result<Listed> {
        let (now, here) = (clock::now(), place::id());
        let mut all = Listed::default();
        for (id, size) in self.backend.list_ids("locks")? {
            let id = id.to_hex().as_str().to_owned();
            if size == 0 {
                continue;
            }
            // A lock that vanishes between the list and the read was released.
            let bytes = match self.backend.read(&path(&id)) {
                _ if size > LARGEST => None,
                Err(e) if e.kind == ErrorKind::NotFound => continue,
                other => Some(other?),
            };
            let json = bytes.and_then(|bytes| self.open_sealed(&bytes));
            let Some(file) = json.and_then(|json| serde_json::from_slice::<LockFile>(&json).ok()) else {
                tracing::warn!(lock = id, "a lock file cannot be read");
                all.unreadable.push(id);
                continue;
            };
            let since = Timestamp(file.time.as_microsecond());
            let stale = if file.is_orphan(&here) {
                Some(StaleReason::ProcessGone)
            } else if now.secs_since(since) > STALE.as_secs_f64() {
                Some(StaleReason::Old)
            } else {
                None
            };
            all.locks.push(LockRecord { id, since, exclusive: file.exclusive, host: file.hostname, user: file.username, pid: file.pid, stale });
        }
        all.locks.sort_by(|a, b| (a.since, &a.id).cmp(&(b.since, &b.id)));
        Ok(all)
    }

    /// Removes a lock, whoever holds it. A lock that is not there is as good as removed.
    pub fn remove_lock(&self, id: &str) -> Result<()> {
        if id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()) {
            self.backend.delete(&path(id))
        } else {
            Err(EngineError::new(ErrorKind::Invalid, "lock: give its full id of 64 hexadecimal digits"))
        }
    }

    /// Does `work` under a lock, which is refreshed beside it and removed after it.
    ///
    /// Where another lock stands in the way, it waits as long as `ctx.patience` says. Each lock file is told by
    /// [`Event::Locked`] before it is written, so that whoever kills this process knows what to remove.
    ///
    /// # Errors
    /// `Locked` where another lock still stands in the way, and when the own lock was taken away or could not be
    /// refreshed in time: then the work was in danger, whatever it returned. Otherwise as `work`.
    pub fn with_lock<T>(&self, kind: LockKind, ctx: &Ctx, work: impl FnOnce(&Held) -> Result<T>) -> Result<T> {
        self.with_lock_refreshed_every(REFRESH, kind, ctx, work)
    }

    /// As [`Self::with_lock`], with another interval.
    pub fn with_lock_refreshed_every<T>(&self, every: Duration, kind: LockKind, ctx: &Ctx, work: impl FnOnce(&Held) -> Result<T>) -> Result<T> {
        let own = self.acquire(kind, ctx)?;
        self.work(every, kind, ctx, work, &own)
    }

    /// Writes a lock as soon as none stands in its way.
    fn acquire<'a>(&'a self, kind: LockKind, ctx: &'a Ctx<'a>) -> Result<Release<'a>> {
        let (began, mut told, mut pause) = (Instant::now(), String::new(), Duration::from_millis(250));
        loop {
            let in_the_way = if let Some(other) = self.in_the_way(kind, &[], ctx)? {
                other
            } else {
                let own = Release { repository: self, ctx, ids: Mutex::default(), fresh: Instant::now() };
                self.write_lock(kind, ctx, &own.ids)?;
                std::thread::sleep(SETTLE);
                let ids = own.ids().clone();
                match self.in_the_way(kind, &ids, ctx)? {
                    Some(other) => other,
                    None => return Ok(own),
                }
            };
            let place = self.location();
            if in_the_way.stale {
                let message = format!("{place}: {}; clear it once you know that nothing runs there", in_the_way.words);
                return Err(EngineError::new(ErrorKind::Locked, message));
            }
            let waited = began.elapsed();
            if waited >= ctx.patience {
                let tail = if waited < PAUSE { String::new() } else { format!("; waited {} for it", span(waited.as_secs_f64())) };
                return Err(EngineError::new(ErrorKind::Locked, format!("{place}: {}{tail}", in_the_way.words)));
            }
            if told != in_the_way.id {
                ctx.log(Level::Info, format!("{place}: {}; waiting", in_the_way.words));
                told.clone_from(&in_the_way.id);
            }
            // Two that wait for each other must not look at the same moments.
            let mut dice = [0_u8];
            rand::rng().fill_bytes(&mut dice);
            let until = Instant::now() + pause.mul_f64(0.5 + f64::from(dice[0]) / 255.0).min(ctx.patience.saturating_sub(waited));
            while Instant::now() < until {
                ctx.check()?;
                std::thread::sleep(SETTLE.min(until.saturating_duration_since(Instant::now())));
            }
            pause = (pause * 2).min(PAUSE);
        }
    }

    fn work<T>(&self, every: Duration, kind: LockKind, ctx: &Ctx, work: impl FnOnce(&Held) -> Result<T>, own: &Release) -> Result<T> {
        let held = Held { lost: AtomicBool::new(false), fresh: Mutex::new(own.fresh), good_for: STALE.saturating_sub(every) };
        let (stop, stopped) = channel::<()>();
        let done = std::thread::scope(|scope| {
            scope.spawn(|| {
                let stopped = stopped;
                let mut fresh = clock::now();
                while matches!(stopped.recv_timeout(every), Err(RecvTimeoutError::Timeout)) {
                    let began = (clock::now(), Instant::now());
                    match self.refresh(kind, ctx, own) {
                        Ok(true) => {
                            fresh = began.0;
                            *lock(&held.fresh) = began.1;
                        }
                        Ok(false) => {
                            ctx.log(Level::Error, "somebody removed this run's lock; stopping");
                            return held.lost.store(true, Ordering::Relaxed);
                        }
                        Err(e) => ctx.log(Level::Warn, format!("the lock could not be refreshed: {e}")),
                    }
                    // One more interval must fit before others may call the lock stale. A machine that slept shows by
                    // its clock alone, a storage that hangs by `Held::check`.
                    if clock::now().secs_since(fresh) + every.as_secs_f64() > STALE.as_secs_f64() {
                        ctx.log(Level::Error, "the lock could not be refreshed in time; stopping");
                        return held.lost.store(true, Ordering::Relaxed);
                    }
                }
            });
            let done = work(&held);
            drop(stop);
            done
        });
        held.check()?;
        done
    }

    /// Writes a new lock file and removes the older ones. `false` where the last one was gone.
    fn refresh(&self, kind: LockKind, ctx: &Ctx, own: &Release) -> Result<bool> {
        let Some(last) = own.ids().last().cloned() else { return Ok(false) };
        if !self.backend.exists(&path(&last))? {
            return Ok(false);
        }
        let new = self.write_lock(kind, ctx, &own.ids)?;
        let older: Vec<String> = own.ids().iter().filter(|id| **id != new).cloned().collect();
        for id in older {
            match self.remove_lock(&id) {
                Ok(()) => own.ids().retain(|i| *i != id),
                // It is tried again with the next refresh, and in the end.
                Err(e) => ctx.log(Level::Warn, format!("the former lock {id} could not be removed: {e}")),
            }
        }
        Ok(true)
    }

    /// The first lock that stands in the way of one of this kind. That of a process that is gone does not.
    fn in_the_way(&self, kind: LockKind, own: &[String], ctx: &Ctx) -> Result<Option<InTheWay>> {
        let listed = self.list_locks()?;
        for lock in listed.locks {
            if own.contains(&lock.id) || !(kind == LockKind::Exclusive || lock.exclusive) {
                continue;
            }
            if lock.stale == Some(StaleReason::ProcessGone) {
                ctx.log(Level::Warn, format!("ignoring the lock of {}: that process is gone", lock.owner()));
                continue;
            }
            let (stale, owner) = (lock.stale.is_some(), lock.owner());
            let words = format!("locked by {owner}{}", if stale { "; the lock is stale" } else { "" });
            return Ok(Some(InTheWay { id: lock.id, words, stale }));
        }
        // Whose it is cannot be told, so what removes data takes it for one of somebody who works.
        let unreadable = listed.unreadable.into_iter().find(|id| kind == LockKind::Exclusive && !own.contains(id));
        Ok(unreadable.map(|id| InTheWay { words: format!("there is a lock that cannot be read, {id}"), id, stale: false }))
    }

    /// Writes a lock file. Its id is among `ids` before it is written: an answer that does not come says nothing about
    /// whether the file is there.
    fn write_lock(&self, kind: LockKind, ctx: &Ctx, ids: &Mutex<Vec<String>>) -> Result<String> {
        let file = LockFile {
            time: jiff::Timestamp::from_microsecond(clock::now().0).unwrap_or(jiff::Timestamp::UNIX_EPOCH),
            exclusive: kind == LockKind::Exclusive,
            hostname: place::hostname(),
            username: "holdfast".to_owned(),
            pid: std::process::id(),
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
            place: place::id(),
            started: place::start_of(std::process::id()),
        };
        let json = serde_json::to_vec(&file).map_err(|e| EngineError::with_source(ErrorKind::Internal, "the lock cannot be written as JSON", e))?;
        let file = self.seal(&json)?;
        let id = file.id.clone();
        ctx.emit(Event::Locked { lock: id.clone() });
        // Whoever could not record the lock has asked to stop.
        ctx.check()?;
        lock(ids).push(id.clone());
        if let Err(e) = self.write_sealed("locks", file) {
            // The older ones stay the last that are known to be there.
            lock(ids).rotate_right(1);
            return Err(e);
        }
        Ok(id)
    }
}

/// The held lock, for the work under it.
pub struct Held {
    lost: AtomicBool,
    /// When the last lock file that is certainly there began to be written.
    fresh: Mutex<Instant>,
    good_for: Duration,
}

impl Held {
    /// Fails once the lock was lost or may have become stale. Work that writes or removes asks before each step that matters.
    pub fn check(&self) -> Result<()> {
        let lost = |what| Err(EngineError::new(ErrorKind::Locked, what));
        if self.lost.load(Ordering::Relaxed) {
            return lost("the lock on the repository was lost while working");
        }
        if lock(&self.fresh).elapsed() > self.good_for {
            return lost("the lock on the repository could not be refreshed in time, for its storage does not answer");
        }
        Ok(())
    }
}

/// Removes all lock files of the work when it ends, also by a panic.
struct Release<'a> {
    repository: &'a Repository,
    ctx: &'a Ctx<'a>,
    /// Those that may be there; the last one certainly is, unless somebody removed it.
    ids: Mutex<Vec<String>>,
    /// When the first of them began to be written.
    fresh: Instant,
}

impl Release<'_> {
    fn ids(&self) -> MutexGuard<'_, Vec<String>> {
        lock(&self.ids)
    }
}

impl Drop for Release<'_> {
    fn drop(&mut self) {
        for id in std::mem::take(&mut *self.ids()) {
            if let Err(e) = self.repository.remove_lock(&id) {
                let minutes = STALE.as_secs() / 60;
                self.ctx.log(Level::Warn, format!("the lock {id} could not be removed and will be stale in {minutes} minutes: {e}"));
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn path(id: &str) -> Path {
    Path::from(format!("locks/{id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_of_a_storage_that_hangs_is_no_longer_held() {
        let held = |ago| Held { lost: AtomicBool::new(false), fresh: Mutex::new(Instant::now().checked_sub(ago).unwrap()), good_for: Duration::from_secs(5) };
        held(Duration::from_secs(1)).check().unwrap();
        let error = held(Duration::from_secs(6)).check().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Locked);
        assert!(error.message.contains("does not answer"), "{}", error.message);
    }

    #[test]
    fn a_lock_that_is_old_and_whose_process_is_gone_blocks_nobody() {
        let (dir, runtime) = (tempfile::tempdir().unwrap(), tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap());
        let store = super::super::storage::folder(dir.path()).unwrap();
        let repository = Repository::create_on(store, "here", &crate::job::Secret::new("x"), runtime.handle()).unwrap();
        let file = LockFile {
            time: jiff::Timestamp::UNIX_EPOCH,
            exclusive: true,
            hostname: place::hostname(),
            username: "holdfast".into(),
            pid: 4_194_305,
            uid: 0,
            gid: 0,
            place: place::id(),
            started: Some(1),
        };
        let sealed = repository.seal(&serde_json::to_vec(&file).unwrap()).unwrap();
        repository.write_sealed("locks", sealed).unwrap();
        assert_eq!(repository.locks().unwrap()[0].stale, Some(StaleReason::ProcessGone));
        let cancel = AtomicBool::new(false);
        let ctx = Ctx { sink: &|_| (), cancel: &cancel, rt: runtime.handle().clone(), patience: Duration::ZERO };
        repository.with_lock(LockKind::Shared, &ctx, |_| Ok(())).unwrap();
    }

    #[test]
    fn only_a_process_of_this_very_place_is_known_to_be_gone() {
        let here = place::id();
        assert!(!here.is_empty());
        let me = std::process::id();
        let file = |place: &str, pid, started| LockFile {
            time: jiff::Timestamp::UNIX_EPOCH,
            exclusive: true,
            hostname: place::hostname(),
            username: "holdfast".into(),
            pid,
            uid: 0,
            gid: 0,
            place: place.into(),
            started,
        };
        assert!(!file(&here, me, place::start_of(me)).is_orphan(&here), "it lives");
        assert!(file(&here, me, Some(1)).is_orphan(&here), "another process had its number before");
        assert!(file(&here, 4_194_305, Some(1)).is_orphan(&here));
        // The same host name, another machine; or a lock of stock restic.
        assert!(!file("elsewhere.1", 4_194_305, Some(1)).is_orphan(&here));
        assert!(!file("", 4_194_305, None).is_orphan(&here));
        assert!(!file("", 4_194_305, Some(1)).is_orphan(""));
    }
}
