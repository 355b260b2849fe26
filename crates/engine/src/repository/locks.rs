//! restic's locks (R13): files in `locks/` that say who works on a repository.
//!
//! Lives here: writing, refreshing, reading, respecting, waiting for and removing them. May not: deciding to clear somebody's lock.
//! Format and times are restic's: `internal/restic/lock.go`, and "Locks" in its design document.
//! Invariant: while a lock is held, a file for it is in the repository that is younger than [`STALE`]; when that
//! cannot be kept, the work is told to stop.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
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
    /// The process that wrote it ran on this host and is gone.
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
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Repository {
    /// All locks, oldest first, with their owners and whether they are stale. Unreadable files are left out.
    pub fn locks(&self) -> Result<Vec<LockRecord>> {
        let now = clock::now();
        let host = hostname();
        let mut all = Vec::new();
        for (id, size) in self.backend.list_ids("locks")? {
            let id = id.to_hex().as_str().to_owned();
            if size > LARGEST {
                continue;
            }
            // A lock that vanishes between the list and the read was released.
            let bytes = match self.backend.read(&path(&id)) {
                Err(e) if e.kind == ErrorKind::NotFound => continue,
                other => other?,
            };
            let Some(file) = self.open_sealed(&bytes).and_then(|json| serde_json::from_slice::<LockFile>(&json).ok()) else {
                tracing::warn!(lock = id, "a lock file cannot be read");
                continue;
            };
            let since = Timestamp(file.time.as_microsecond());
            let stale = if now.secs_since(since) > STALE.as_secs_f64() {
                Some(StaleReason::Old)
            } else if file.hostname == host && !process_exists(file.pid) {
                Some(StaleReason::ProcessGone)
            } else {
                None
            };
            all.push(LockRecord { id, since, exclusive: file.exclusive, host: file.hostname, user: file.username, pid: file.pid, stale });
        }
        all.sort_by(|a, b| (a.since, &a.id).cmp(&(b.since, &b.id)));
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
        self.work(every, kind, ctx, work, &own.current)
    }

    /// Writes a lock as soon as none stands in its way.
    fn acquire<'a>(&'a self, kind: LockKind, ctx: &'a Ctx<'a>) -> Result<Release<'a>> {
        let (began, mut told, mut pause) = (Instant::now(), String::new(), Duration::from_millis(250));
        loop {
            let in_the_way = if let Some(other) = self.in_the_way(kind, None, ctx)? {
                other
            } else {
                let own = Release { repository: self, ctx, current: Mutex::new(self.write_lock(kind, ctx)?) };
                std::thread::sleep(SETTLE);
                let id = own.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
                match self.in_the_way(kind, Some(&id), ctx)? {
                    Some(other) => other,
                    None => return Ok(own),
                }
            };
            let place = self.location();
            if in_the_way.stale.is_some() {
                let message = format!("{place}: locked by {}; the lock is stale, clear it once you know that nothing runs there", in_the_way.owner());
                return Err(EngineError::new(ErrorKind::Locked, message));
            }
            let waited = began.elapsed();
            if waited >= ctx.patience {
                let tail = if waited < PAUSE { String::new() } else { format!("; waited {} for it", span(waited.as_secs_f64())) };
                return Err(EngineError::new(ErrorKind::Locked, format!("{place}: locked by {}{tail}", in_the_way.owner())));
            }
            if told != in_the_way.id {
                ctx.log(Level::Info, format!("{place} is locked by {}; waiting", in_the_way.owner()));
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

    fn work<T>(&self, every: Duration, kind: LockKind, ctx: &Ctx, work: impl FnOnce(&Held) -> Result<T>, current: &Mutex<String>) -> Result<T> {
        let held = Held { lost: Arc::default() };
        let (stop, stopped) = channel::<()>();
        let done = std::thread::scope(|scope| {
            scope.spawn(|| {
                let stopped = stopped;
                let mut fresh = clock::now();
                while matches!(stopped.recv_timeout(every), Err(RecvTimeoutError::Timeout)) {
                    match self.refresh(kind, ctx, current) {
                        Ok(true) => fresh = clock::now(),
                        Ok(false) => {
                            ctx.log(Level::Error, "somebody removed this run's lock; stopping");
                            return held.lost.store(true, Ordering::Relaxed);
                        }
                        Err(e) => ctx.log(Level::Warn, format!("the lock could not be refreshed: {e}")),
                    }
                    // One more interval must fit before others may call the lock stale.
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

    /// Writes a new lock file and removes the old one. `false` where the old one was gone.
    fn refresh(&self, kind: LockKind, ctx: &Ctx, current: &Mutex<String>) -> Result<bool> {
        let old = current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if !self.backend.exists(&path(&old))? {
            return Ok(false);
        }
        let new = self.write_lock(kind, ctx)?;
        *current.lock().unwrap_or_else(PoisonError::into_inner) = new;
        self.remove_lock(&old)?;
        Ok(true)
    }

    /// The first lock that stands in the way of one of this kind. That of a process that is gone does not.
    fn in_the_way(&self, kind: LockKind, own: Option<&str>, ctx: &Ctx) -> Result<Option<LockRecord>> {
        for lock in self.locks()? {
            if Some(lock.id.as_str()) == own || !(kind == LockKind::Exclusive || lock.exclusive) {
                continue;
            }
            if lock.stale == Some(StaleReason::ProcessGone) {
                ctx.log(Level::Warn, format!("ignoring the lock of {}: that process is gone", lock.owner()));
                continue;
            }
            return Ok(Some(lock));
        }
        Ok(None)
    }

    fn write_lock(&self, kind: LockKind, ctx: &Ctx) -> Result<String> {
        let file = LockFile {
            time: jiff::Timestamp::from_microsecond(clock::now().0).unwrap_or(jiff::Timestamp::UNIX_EPOCH),
            exclusive: kind == LockKind::Exclusive,
            hostname: hostname(),
            username: "holdfast".to_owned(),
            pid: std::process::id(),
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
        };
        let json = serde_json::to_vec(&file).map_err(|e| EngineError::with_source(ErrorKind::Internal, "the lock cannot be written as JSON", e))?;
        let file = self.seal(&json)?;
        let id = file.id.clone();
        ctx.emit(Event::Locked { lock: id.clone() });
        // Whoever could not record the lock has asked to stop.
        ctx.check()?;
        self.write_sealed("locks", file)?;
        Ok(id)
    }
}

/// The held lock, for the work under it.
pub struct Held {
    lost: Arc<AtomicBool>,
}

impl Held {
    /// Fails once the lock was lost. Work that writes or removes asks before each step that matters.
    pub fn check(&self) -> Result<()> {
        if self.lost.load(Ordering::Relaxed) { Err(EngineError::new(ErrorKind::Locked, "the lock on the repository was lost while working")) } else { Ok(()) }
    }
}

/// Removes the lock when the work ends, also by a panic.
struct Release<'a> {
    repository: &'a Repository,
    ctx: &'a Ctx<'a>,
    current: Mutex<String>,
}

impl Drop for Release<'_> {
    fn drop(&mut self) {
        let id = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Err(e) = self.repository.remove_lock(&id) {
            let minutes = STALE.as_secs() / 60;
            self.ctx.log(Level::Warn, format!("the lock {id} could not be removed and will be stale in {minutes} minutes: {e}"));
        }
    }
}

fn path(id: &str) -> Path {
    Path::from(format!("locks/{id}"))
}

/// This machine's name, as it stands in locks.
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn process_exists(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else { return false };
    !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH))
}
