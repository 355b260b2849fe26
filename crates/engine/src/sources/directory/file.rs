//! The content of one file.
//!
//! Lives here: opening and reading with an eye on changes. May not: walking.
//! Invariant: what is handed on has exactly the size that stands in the node, or nothing is handed on. A file that
//! grows is read as far as it went when it was listed; one that shrinks is an error.

use std::{
    ffi::CString,
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use rustix::{
    fs::{FileType, Mode, OFlags, Stat},
    io::Errno,
};

use crate::sources::Tally;

/// Non-blocking, so that a pipe that took the file's place cannot hold us up; it has no effect on a regular file.
const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

/// A file that was listed and may be read.
pub struct Listed {
    pub folder: Arc<OwnedFd>,
    pub name: CString,
    /// Inside the item, escaped.
    pub path: String,
    pub item: usize,
    pub stat: Stat,
    pub tally: Arc<Tally>,
}

impl Listed {
    /// Notes why the file will be missing from the snapshot.
    fn missing(&self, message: &str, passing: bool) {
        let item = &self.tally.items[self.item];
        item.dropped.fetch_add(1, Relaxed);
        item.bytes.fetch_sub(self.stat.st_size, Relaxed);
        self.note(message, passing);
    }

    fn note(&self, message: &str, passing: bool) {
        let item = &self.tally.items[self.item];
        item.passing.fetch_add(i64::from(passing), Relaxed);
        item.problem(self.path.clone(), message.to_owned());
    }
}

impl Listed {
    /// The size that stands in the node.
    pub fn size(&self) -> u64 {
        u64::try_from(self.stat.st_size).unwrap_or(0)
    }

    /// Opens the file. `None` where that is impossible, which is in the tally then.
    pub fn open(self) -> Option<FileReader> {
        let fd = match rustix::fs::openat(&*self.folder, &self.name, FLAGS, Mode::empty()) {
            Ok(fd) => fd,
            Err(e) => {
                let gone = matches!(e, Errno::NOENT | Errno::LOOP | Errno::NXIO);
                let message =
                    if gone { "it was removed or replaced before it could be read".to_owned() } else { format!("it cannot be opened: {}", io::Error::from(e)) };
                self.missing(&message, gone);
                return None;
            }
        };
        match rustix::fs::fstat(&fd) {
            Ok(now) if FileType::from_raw_mode(now.st_mode) == FileType::RegularFile && (now.st_ino, now.st_dev) == (self.stat.st_ino, self.stat.st_dev) => {}
            _ => {
                self.missing("another file took its place before it could be read", true);
                return None;
            }
        }
        Some(FileReader { file: fd.into(), left: self.size(), ended: false, listed: self })
    }
}

/// Reads exactly as much as was listed. An error is in the tally already, unless the pass was stopped.
pub struct FileReader {
    file: File,
    left: u64,
    ended: bool,
    listed: Listed,
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.listed.tally.stopped() {
            return Err(io::Error::other("stopped"));
        }
        if self.left == 0 {
            self.end();
            return Ok(0);
        }
        if buffer.is_empty() {
            return Ok(0);
        }
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        match self.file.read(&mut buffer[..wanted]) {
            Ok(0) => {
                let message = "it became shorter while it was read";
                self.listed.missing(message, true);
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, message))
            }
            Ok(n) => {
                self.left -= n as u64;
                self.listed.tally.bytes_read.fetch_add(i64::try_from(n).unwrap_or(0), Relaxed);
                Ok(n)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Err(e),
            Err(e) => {
                self.listed.missing(&format!("it cannot be read: {e}"), false);
                Err(e)
            }
        }
    }
}

impl FileReader {
    /// Looks once, at the end, whether the file is still what it was when it was listed.
    fn end(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let was = &self.listed.stat;
        let same = |now: Stat| (now.st_size, now.st_mtime, now.st_mtime_nsec) == (was.st_size, was.st_mtime, was.st_mtime_nsec);
        if !rustix::fs::fstat(&self.file).is_ok_and(same) {
            self.listed.note("it changed while it was read; what was saved may mix old and new content", true);
        }
    }
}
