//! All entries of some items, folder by folder in the order of their names' bytes.
//!
//! Lives here: the walk. May not: reading content.
//! Invariant: each folder is opened relative to the one that holds it and never through a link; what cannot be
//! listed is in the tally. Descriptors held: one a level of depth, and those of folders whose files wait to be read.

use std::{
    ffi::{CStr, CString, OsStr, OsString},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    sync::{Arc, PoisonError, atomic::Ordering::Relaxed},
    vec::IntoIter,
};

use domain::{guard::refilled, naming::escape};
use rustic_core::repofile::{Node, NodeType};
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, Stat},
    io::Errno,
};

use super::{
    FOLDER,
    exclude::{Excludes, is_staging},
    file::Listed,
    node::{Mapper, kind_of, target, xattrs},
};
use crate::{
    job::{DirectoryConfig, DirectoryItems},
    sources::Tally,
};

/// The names in a folder, sorted by their bytes.
pub(super) fn names(folder: &OwnedFd) -> std::io::Result<Vec<OsString>> {
    Ok(c_names(folder)?.into_iter().map(|n| OsStr::from_bytes(n.as_bytes()).to_owned()).collect())
}

fn c_names(folder: &OwnedFd) -> std::io::Result<Vec<CString>> {
    let mut all = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            all.push(entry.file_name().to_owned());
        }
    }
    all.sort();
    Ok(all)
}

/// One step of a walk.
pub enum Step {
    /// A folder, whose content follows until its `Leave`. The first level are the items.
    Enter(Node),
    /// Anything else. Regular files come with the means to read them.
    Entry(Node, Option<Box<Listed>>),
    Leave,
}

/// The walk over the items of a directory source.
pub struct Walk {
    root: Arc<OwnedFd>,
    base: Vec<u8>,
    itself: bool,
    items: IntoIter<OsString>,
    /// Index of the item that comes next.
    next_item: usize,
    excludes: Arc<Excludes>,
    tally: Arc<Tally>,
    stack: Vec<Frame>,
    mapper: Mapper,
    buffer: Vec<u8>,
}

struct Frame {
    fd: Arc<OwnedFd>,
    name: OsString,
    names: IntoIter<CString>,
    /// Programs fill it again.
    refilled: bool,
}

impl Iterator for Walk {
    type Item = Step;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.tally.stopped() {
                return None;
            }
            let Some(frame) = self.stack.last_mut() else {
                let name = self.items.next()?;
                let entry = self.enter_item(name);
                self.next_item += 1;
                match entry {
                    Some(step) => return Some(step),
                    None => continue,
                }
            };
            let Some(name) = frame.names.next() else {
                self.stack.pop();
                return Some(Step::Leave);
            };
            if let Some(step) = self.entry(&name) {
                return Some(step);
            }
        }
    }
}

impl Walk {
    pub(super) fn new(root: OwnedFd, config: &DirectoryConfig, items: Vec<OsString>, excludes: Arc<Excludes>, tally: Arc<Tally>) -> Self {
        Self {
            root: Arc::new(root),
            base: config.path.as_os_str().as_bytes().to_vec(),
            itself: config.items == DirectoryItems::Itself,
            items: items.into_iter(),
            next_item: 0,
            excludes,
            tally,
            stack: Vec::new(),
            mapper: Mapper::default(),
            buffer: Vec::new(),
        }
    }

    /// The item that is being walked. While its folder is entered, `next_item` still is its index.
    fn item(&self) -> usize {
        if self.stack.is_empty() { self.next_item } else { self.next_item - 1 }
    }

    fn enter_item(&mut self, name: OsString) -> Option<Step> {
        let item = self.next_item;
        self.tally.current.store(item, Relaxed);
        let opened = if self.itself {
            self.root.try_clone().map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
        } else {
            rustix::fs::openat(&*self.root, &name, FOLDER, Mode::empty())
        };
        let done = opened.and_then(|fd| {
            let stat = rustix::fs::fstat(&fd)?;
            Ok((fd, stat))
        });
        let (fd, stat) = match done {
            Ok(both) => both,
            Err(e) => {
                let words = if matches!(e, Errno::LOOP | Errno::NOTDIR) { "it is not a folder".to_owned() } else { std::io::Error::from(e).to_string() };
                self.tally.items[item].failed.store(true, Relaxed);
                self.tally.items[item].problem(String::new(), format!("the item cannot be opened: {words}"));
                return None;
            }
        };
        let node = self.folder_node(&name, &stat, &fd, String::new());
        *self.tally.items[item].folder.lock().unwrap_or_else(PoisonError::into_inner) = Some(node.meta.clone());
        self.push(fd, name, String::new());
        Some(Step::Enter(node))
    }

    /// The entry of a name in the innermost folder; `None` where there is nothing to hand on.
    fn entry(&mut self, name: &CStr) -> Option<Step> {
        let os_name = OsStr::from_bytes(name.to_bytes());
        if self.excluded(name.to_bytes()) {
            return None;
        }
        let frame = self.stack.last()?;
        let fd = frame.fd.clone();
        let stat = match rustix::fs::statat(&*fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // It was removed between the listing and now, so it is not there: nothing is missing.
            Err(Errno::NOENT) => return None,
            Err(e) => {
                self.problem(name, &format!("it cannot be examined: {}", std::io::Error::from(e)));
                return None;
            }
        };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return self.folder(name, &fd);
        }
        let kind = match kind_of(&stat, || target(fd.as_fd(), name)) {
            Ok(Some(kind)) => kind,
            Ok(None) => return None,
            Err(e) => {
                self.problem(name, &format!("the link cannot be read: {}", std::io::Error::from(e)));
                return None;
            }
        };
        let mut meta = self.mapper.metadata(&stat);
        if let Err(e) = xattrs(fd.as_fd(), Some(name), &mut self.buffer, &mut meta) {
            self.xattr_problem(self.inside(name), e);
        }
        let item = self.item();
        let file = kind == NodeType::File;
        let tally = &self.tally.items[item];
        tally.files.fetch_add(1, Relaxed);
        let bytes = if file { stat.st_size } else { 0 };
        tally.bytes.fetch_add(bytes, Relaxed);
        if self.stack.last().is_some_and(|f| f.refilled) {
            tally.refilled_files.fetch_add(1, Relaxed);
            tally.refilled_bytes.fetch_add(bytes, Relaxed);
        }
        self.tally.handed_on.fetch_add(1, Relaxed);
        let open = file.then(|| Box::new(Listed { folder: fd, name: name.to_owned(), path: self.inside(name), item, stat, tally: self.tally.clone() }));
        Some(Step::Entry(Node::new_node(os_name, kind, meta), open))
    }

    fn folder(&mut self, name: &CStr, parent: &OwnedFd) -> Option<Step> {
        let os_name = OsStr::from_bytes(name.to_bytes());
        let opened = rustix::fs::openat(parent, name, FOLDER, Mode::empty()).and_then(|fd| {
            let stat = rustix::fs::fstat(&fd)?;
            Ok((fd, stat))
        });
        let (fd, stat) = match opened {
            Ok(both) => both,
            Err(Errno::NOENT) => return None,
            Err(e) => {
                self.problem(name, &format!("the folder cannot be opened: {}", std::io::Error::from(e)));
                return None;
            }
        };
        let inside = self.inside(name);
        let node = self.folder_node(os_name, &stat, &fd, inside.clone());
        self.push(fd, os_name.to_owned(), inside);
        Some(Step::Enter(node))
    }

    fn folder_node(&mut self, name: &OsStr, stat: &Stat, fd: &OwnedFd, inside: String) -> Node {
        let mut meta = self.mapper.metadata(stat);
        if let Err(e) = xattrs(fd.as_fd(), None, &mut self.buffer, &mut meta) {
            self.xattr_problem(inside, e);
        }
        self.tally.items[self.item()].dirs.fetch_add(1, Relaxed);
        Node::new_node(name, NodeType::Dir, meta)
    }

    fn push(&mut self, fd: OwnedFd, name: OsString, inside: String) {
        let names = c_names(&fd).unwrap_or_else(|e| {
            self.tally.items[self.item()].problem(inside, format!("the folder cannot be listed: {e}"));
            Vec::new()
        });
        // An item itself is never taken for a cache.
        let refilled = self.stack.last().is_some_and(|above| {
            let marked = || refilled::MARKERS.iter().any(|m| names.binary_search_by(|n| n.to_bytes().cmp(m)).is_ok());
            above.refilled || refilled::by_name(name.as_bytes(), above.name.as_bytes()) || marked()
        });
        self.stack.push(Frame { fd: Arc::new(fd), name, names: names.into_iter(), refilled });
    }

    fn excluded(&self, name: &[u8]) -> bool {
        if self.excludes.is_empty() {
            return is_staging(name);
        }
        // The item's own name stands in the base already where the source is one folder.
        let skip = usize::from(self.itself);
        let folders: Vec<&[u8]> = self.stack.iter().skip(skip).map(|f| f.name.as_bytes()).collect();
        self.excludes.hit(&self.base, &folders, name)
    }

    /// The path inside the item, escaped.
    fn inside(&self, name: &CStr) -> String {
        let mut path = String::new();
        for frame in self.stack.iter().skip(1) {
            path.push_str(&escape(frame.name.as_bytes()));
            path.push('/');
        }
        path.push_str(&escape(name.to_bytes()));
        path
    }

    fn problem(&self, name: &CStr, message: &str) {
        self.tally.items[self.item()].problem(self.inside(name), message.to_owned());
    }

    fn xattr_problem(&self, inside: String, error: Errno) {
        // Gone since it was listed: whoever opens it will say so.
        if error != Errno::NOENT {
            let message = format!("its extended attributes cannot be read and were not saved: {}", std::io::Error::from(error));
            self.tally.items[self.item()].problem(inside, message);
        }
    }
}
