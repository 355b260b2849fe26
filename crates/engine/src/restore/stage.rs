//! Writing what a restore will put in place into the staging folder, first.
//!
//! Lives here: one item's walk into the staging folder, hard links, special files, folders' metadata, resuming.
//! May not: touching the target.
//! Invariants: when staging has ended, everything in it is complete: content, owners, modes, times; what an earlier
//! attempt staged is kept only after its content was compared with the blobs' ids.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead as _, BufReader, BufWriter, Write as _},
    os::fd::{AsFd as _, OwnedFd},
};

use domain::naming::{escape, unescape};
use rustic_core::{
    DataId, Id,
    repofile::{Metadata, Node, NodeType},
};
use rustix::{
    fs::{self, AtFlags, Dev, FileType, Mode, OFlags},
    io::Errno,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    batch::{Batch, Done, FileTask},
    meta::{self, Missed, On, differences, file_type},
    names::{join, show, split},
    place::Stage,
    plan::{Act, link_target},
    sparse::{is_hole, read_exactly},
    target::{Found, Root, fail},
};
use crate::{
    EngineError, ErrorKind, Result,
    repository::{Indexed, packs::place},
};

/// A folder's line in the staging folder's list of folders.
#[derive(Debug, Serialize, Deserialize)]
pub struct DirLine {
    /// In the text form of names.
    path: String,
    /// The folder is at the target already and gets this metadata there.
    pub merge: bool,
    /// With `merge`: it has other metadata now. Otherwise it needs this only where its content is replaced.
    pub differs: bool,
    pub meta: Metadata,
}

impl DirLine {
    pub fn path(&self) -> Result<Vec<u8>> {
        unescape(&self.path).ok_or_else(|| EngineError::new(ErrorKind::Damaged, "the staging folder's list of folders is damaged"))
    }
}

/// The name of the list of folders.
const DIRS: &str = "dirs";

/// Where the first name of a hard-linked file is to be found.
enum Origin {
    Staged(Vec<u8>),
    AtTarget(Vec<u8>, u64),
}

/// Another name for a file that is staged or at the target.
pub struct Link {
    path: Vec<u8>,
    shown: String,
    act: Act,
    /// What an earlier attempt may have left is removed first.
    resuming: bool,
    from: Vec<u8>,
    /// The inode, where the first name is at the target.
    at_target: Option<u64>,
}

/// One item on its way into the staging folder.
pub struct ItemStage<'a> {
    pub number: usize,
    pub stage: &'a Stage,
    index: &'a Indexed,
    resuming: bool,
    privileged: bool,
    dirs: BufWriter<File>,
    origins: HashMap<(u64, u64), (Vec<DataId>, Origin)>,
    links: Vec<Link>,
}

/// What came of staging one node.
pub enum Staged {
    /// The batch or the links will say.
    Later,
    /// It is there, with so many bytes of content. What could not be set is told.
    There(u64, Missed),
    No(String),
}

impl<'a> ItemStage<'a> {
    pub fn start(number: usize, stage: &'a Stage, index: &'a Indexed, privileged: bool) -> Result<Self> {
        let bad = |e| fail("write", "the staging folder", e);
        let resuming = !stage.base.names(&stage.path("data")).map_err(bad)?.is_empty();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        let dirs = stage.base.open_at(&stage.path(DIRS), flags, Mode::RUSR | Mode::WUSR).map_err(bad)?;
        let dirs = BufWriter::new(File::from(dirs));
        Ok(Self { number, stage, index, resuming, privileged, dirs, origins: HashMap::new(), links: Vec::new() })
    }

    /// Stages one node that the plan wants made. Files' contents go into the batch.
    pub fn node(&mut self, path: &[u8], node: &Node, act: Act, found: Option<Found>, batch: &mut Batch) -> Result<Staged> {
        if self.resuming && matches!(act, Act::Same | Act::Skip | Act::Blocked) {
            // The target has changed since the earlier attempt staged it.
            self.stage.base.remove_all(&self.stage.data(path)).map_err(|e| fail("remove staged", &show(path), e))?;
        }
        match act {
            Act::MakeDir => return self.dir(path, node),
            Act::MergeDir { update: true, differs } => self.note_dir(path, Some(differs), &node.meta)?,
            Act::Same if node.is_file() && node.meta.links > 1 => {
                if let Some(f) = found {
                    self.origins.insert(key(node), (content(node).to_vec(), Origin::AtTarget(path.to_vec(), f.ino)));
                }
            }
            Act::Create | Act::Replace if node.is_file() => return self.file(path, node, act, batch),
            Act::Create | Act::Replace => return self.special(path, node),
            Act::MergeDir { .. } | Act::Same | Act::Skip | Act::Blocked => {}
        }
        Ok(Staged::There(0, Missed::default()))
    }

    fn dir(&mut self, path: &[u8], node: &Node) -> Result<Staged> {
        let at = self.stage.data(path);
        match self.stage.base.mkdir(&at) {
            Err(Errno::EXIST) if self.resuming => {
                let there = self.stage.base.look(&at).map_err(|e| fail("look at staged", &show(path), e))?;
                if !there.is_some_and(|f| f.is_dir()) {
                    self.stage.base.unlink(&at).and_then(|()| self.stage.base.mkdir(&at)).map_err(|e| fail("make folder", &show(path), e))?;
                } else if let Ok(fd) = self.stage.base.dir(&at) {
                    // It may have its final mode already, which may forbid writing into it.
                    fs::fchmod(fd, Mode::RWXU).ok();
                }
            }
            Err(Errno::NOENT) => self.stage.base.mkdir_all(&at).map_err(|e| fail("make folder", &show(path), e))?,
            Err(e) => return one_files(e).map(Staged::No).ok_or_else(|| fail("make folder", &show(path), e)),
            Ok(()) => {}
        }
        self.note_dir(path, None, &node.meta)?;
        Ok(Staged::There(0, Missed::default()))
    }

    /// The target's own folder is there and gets the metadata of the item's.
    pub fn update_root(&mut self, meta: &Metadata) -> Result<()> {
        self.note_dir(&[], Some(true), meta)
    }

    /// `merge` is given for a folder that is there, and says whether it differs now.
    fn note_dir(&mut self, path: &[u8], merge: Option<bool>, meta: &Metadata) -> Result<()> {
        let line = DirLine { path: escape(path), merge: merge.is_some(), differs: merge == Some(true), meta: meta.clone() };
        let write = serde_json::to_writer(&mut self.dirs, &line).map_err(std::io::Error::from).and_then(|()| self.dirs.write_all(b"\n"));
        write.map_err(|e| EngineError::io("write", std::path::Path::new("the staging folder"), e))
    }

    fn file(&mut self, path: &[u8], node: &Node, act: Act, batch: &mut Batch) -> Result<Staged> {
        let at = self.stage.data(path);
        if node.meta.links > 1 {
            let origin = self.origins.get(&key(node)).filter(|(ids, _)| ids == content(node));
            if let Some((_, origin)) = origin {
                let (from, at_target) = match origin {
                    Origin::Staged(from) => (from.clone(), None),
                    Origin::AtTarget(from, ino) => (from.clone(), Some(*ino)),
                };
                self.links.push(Link { path: at, shown: show(path), act, resuming: self.resuming, from, at_target });
                return Ok(Staged::Later);
            }
        }
        if self.resuming {
            let there = self.stage.base.look(&at).map_err(|e| fail("look at staged", &show(path), e))?;
            if let Some(found) = there {
                if self.is_staged(&at, node, &found).unwrap_or(false) {
                    self.remember(node, at);
                    return Ok(Staged::There(found.size, Missed::default()));
                }
                self.stage.base.remove_all(&at).map_err(|e| fail("remove staged", &show(path), e))?;
            }
        }
        let shown_from = at.len() - path.len();
        let task = FileTask { item: self.number, base: self.stage.base.clone(), path: at.clone(), shown_from, meta: node.meta.clone(), act };
        if let Err(why) = batch.add(self.index, task, content(node)) {
            return Ok(Staged::No(why));
        }
        self.remember(node, at);
        Ok(Staged::Later)
    }

    fn remember(&mut self, node: &Node, at: Vec<u8>) {
        if node.meta.links > 1 {
            self.origins.insert(key(node), (content(node).to_vec(), Origin::Staged(at)));
        }
    }

    /// Whether an earlier attempt staged this file whole: metadata is set last, and the content is read and hashed.
    fn is_staged(&self, at: &[u8], node: &Node, found: &Found) -> std::result::Result<bool, Errno> {
        let mut sizes = Vec::with_capacity(content(node).len());
        for id in content(node) {
            let Some(place) = place(self.index, id) else { return Ok(false) };
            sizes.push(u64::from(place.size));
        }
        if !differences(node, &Found { size: node.meta.size, ..*found }, self.privileged).is_empty() || found.size != sizes.iter().sum::<u64>() {
            return Ok(false);
        }
        let fd = self.stage.base.open_at(at, OFlags::RDONLY, Mode::empty())?;
        let mut hashes = BlobHashes::default();
        let mut from = 0;
        for (id, size) in content(node).iter().zip(sizes) {
            if hashes.at(&fd, from, size)? != **id {
                return Ok(false);
            }
            from += size;
        }
        Ok(true)
    }

    fn special(&mut self, path: &[u8], node: &Node) -> Result<Staged> {
        let at = self.stage.data(path);
        if self.resuming {
            self.stage.base.remove_all(&at).map_err(|e| fail("remove staged", &show(path), e))?;
        }
        let make = || {
            let (dir, name) = self.stage.base.parent(&at)?;
            let mode = Mode::RUSR | Mode::WUSR;
            match &node.node_type {
                NodeType::Symlink { .. } => fs::symlinkat(link_target(node), &dir, name)?,
                NodeType::Fifo => fs::mknodat(&dir, name, FileType::Fifo, mode, 0)?,
                NodeType::Dev { device } | NodeType::Chardev { device } => fs::mknodat(&dir, name, file_type(node), mode, *device as Dev)?,
                NodeType::File | NodeType::Dir | NodeType::Socket => return Err(Errno::INVAL),
            }
            meta::apply(On::Name(dir.as_fd(), name), file_type(node), &node.meta)
        };
        let mut made = make();
        if made == Err(Errno::NOENT) && self.stage.base.mkdir_all(split(&at).0).is_ok() {
            made = make();
        }
        match made {
            Ok(missed) => Ok(Staged::There(0, missed)),
            Err(Errno::NOENT) => Ok(Staged::No("not restored: the link leads nowhere at all".to_owned())),
            Err(e) => one_files(e).map(Staged::No).ok_or_else(|| fail("make", &show(path), e)),
        }
    }

    /// Ends the list of folders, and hands over the hard links that are still to be made.
    pub fn finish(mut self) -> Result<Vec<Link>> {
        self.dirs.flush().map_err(|e| EngineError::io("write", std::path::Path::new("the staging folder"), e))?;
        Ok(self.links)
    }
}

/// Makes hard links, once the files they lead to are written.
pub fn make_links(item: usize, stage: &Stage, target: Option<&Root>, links: Vec<Link>) -> Result<Vec<Done>> {
    let mut done = Vec::new();
    let base = &stage.base;
    for link in links {
        let make = || -> std::result::Result<(), Errno> {
            let (to, to_name) = match base.parent(&link.path) {
                Err(Errno::NOENT) => {
                    base.mkdir_all(split(&link.path).0)?;
                    base.parent(&link.path)?
                }
                other => other?,
            };
            if link.resuming {
                base.remove_all(&link.path)?;
            }
            let root = if link.at_target.is_some() { target.ok_or(Errno::NOENT)? } else { &**base };
            let (from, from_name) = root.parent(&link.from)?;
            fs::linkat(&from, from_name, &to, to_name, AtFlags::empty())?;
            if let Some(ino) = link.at_target
                && base.look(&link.path)?.is_none_or(|f| f.ino != ino)
            {
                base.unlink(&link.path)?;
                return Err(Errno::NOENT);
            }
            Ok(())
        };
        let problem = match make() {
            Ok(()) => None,
            Err(Errno::NOENT) => Some("not restored: the file it is a second name of could not be restored".to_owned()),
            Err(Errno::MLINK) => Some("not restored: the target's file system allows no more names for this file".to_owned()),
            Err(e) => Some(one_files(e).ok_or_else(|| fail("link", &link.shown, e))?),
        };
        done.push(Done { item, shown: link.shown, act: link.act, size: 0, missed: Missed::default(), problem });
    }
    Ok(done)
}

fn key(node: &Node) -> (u64, u64) {
    (node.meta.device_id, node.meta.inode)
}

pub fn content(node: &Node) -> &[DataId] {
    node.content.as_deref().unwrap_or_default()
}

/// What an error says when it concerns one name only; `None` when it concerns the whole restore.
fn one_files(e: Errno) -> Option<String> {
    match e {
        Errno::EXIST => Some("not restored: another name in this folder differs only in case, and the target's file system cannot hold both".to_owned()),
        Errno::NAMETOOLONG | Errno::INVAL | Errno::ILSEQ | Errno::PERM | Errno::OPNOTSUPP => {
            Some(format!("not restored: the target's file system refuses it ({})", std::io::Error::from(e)))
        }
        _ => None,
    }
}

/// Reads the list of folders.
pub fn each_dir(stage: &Stage, each: &mut dyn FnMut(DirLine) -> Result<()>) -> Result<()> {
    let damaged = |e: &dyn std::fmt::Display| EngineError::new(ErrorKind::Damaged, format!("the staging folder's list of folders: {e}"));
    let file = stage.base.open_at(&stage.path(DIRS), OFlags::RDONLY, Mode::empty()).map_err(|e| fail("read", "the staging folder", e))?;
    for line in BufReader::new(File::from(file)).lines() {
        let line = line.map_err(|e| damaged(&e))?;
        each(serde_json::from_str(&line).map_err(|e| damaged(&e))?)?;
    }
    Ok(())
}

/// Gives the folders that were made their metadata. Called when nothing more is made inside them.
pub fn finish_dirs(stage: &Stage, privileged: bool, each: &mut dyn FnMut(&[u8], Missed)) -> Result<()> {
    each_dir(stage, &mut |line| {
        if line.merge {
            return Ok(());
        }
        let path = line.path()?;
        let set = || {
            let fd = stage.base.dir(&stage.data(&path))?;
            let missed = meta::apply(On::Open(fd.as_fd()), FileType::Directory, &line.meta)?;
            if !privileged && line.meta.mode.is_some_and(|m| meta::unix_mode(m) & 0o700 != 0o700) {
                // Without root's rights it must stay open until it is in its place.
                let mode = Found::from(fs::fstat(&fd)?).mode | 0o700;
                fs::fchmod(&fd, Mode::from_raw_mode(mode))?;
            }
            Ok(missed)
        };
        let missed = set().map_err(|e| fail("finish folder", &show(&path), e))?;
        if missed != Missed::default() {
            each(&path, missed);
        }
        Ok(())
    })
}

/// Hashes parts of files as a repository knows them. Long zeros are hashed once.
#[derive(Default)]
pub struct BlobHashes {
    buffer: Vec<u8>,
    zeros: HashMap<u64, Id>,
}

impl BlobHashes {
    pub fn at(&mut self, fd: &OwnedFd, from: u64, size: u64) -> std::result::Result<Id, Errno> {
        if size >= 1 << 16 && is_hole(fd, from, size) {
            if let Some(id) = self.zeros.get(&size) {
                return Ok(*id);
            }
            let mut hash = Sha256::new();
            let part = vec![0; 1 << 16];
            let mut left = size;
            while left > 0 {
                let n = left.min(part.len() as u64);
                hash.update(&part[..n as usize]);
                left -= n;
            }
            let id = Id::new(hash.finalize().into());
            if self.zeros.len() < 64 {
                self.zeros.insert(size, id);
            }
            return Ok(id);
        }
        self.buffer.resize(1 << 18, 0);
        let mut hash = Sha256::new();
        read_exactly(fd, from, size, &mut self.buffer, &mut |part| hash.update(part))?;
        Ok(Id::new(hash.finalize().into()))
    }
}

/// Gives a target that will be made its metadata: the item's own folder's, where the snapshot has notes of it.
///
/// Otherwise its owner is the one of everything at the top, where that is one person, and others are kept out.
pub fn finish_root(stage: &Stage, meta: Option<&Metadata>, privileged: bool) -> Result<()> {
    let act = || {
        let data = stage.data(&[]);
        let fd = stage.base.dir(&data)?;
        if let Some(meta) = meta {
            meta::apply(On::Open(fd.as_fd()), FileType::Directory, meta)?;
            if !privileged {
                let mode = Found::from(fs::fstat(&fd)?).mode | 0o700;
                fs::fchmod(&fd, Mode::from_raw_mode(mode))?;
            }
        } else if privileged {
            let mut owners = Vec::new();
            for name in stage.base.names(&data)? {
                if let Some(f) = stage.base.look(&join(&data, &name))?
                    && !owners.contains(&(f.uid, f.gid))
                {
                    owners.push((f.uid, f.gid));
                }
            }
            if let [(uid, gid)] = owners[..] {
                fs::fchown(&fd, Some(fs::Uid::from_raw(uid)), Some(fs::Gid::from_raw(gid)))?;
            }
        }
        Ok(())
    };
    act().map_err(|e: Errno| fail("finish", "the target's folder", e))
}
