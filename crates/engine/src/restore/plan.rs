//! What a restore will do with each node of a snapshot.
//!
//! Lives here: the walk over a snapshot's trees beside the target, and the decision for every node.
//! May not: writing anything.
//! Invariants: at most one folder of the target is open at a time; a name that cannot be made safely is told as a
//! problem and never handed on; of a folder's tree only the subfolders stay in memory while it is descended.

use std::{cell::RefCell, collections::HashSet, os::fd::OwnedFd};

use domain::restore::ConflictMode;
use rustic_core::{
    TreeId,
    repofile::{Node, NodeType},
};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

use super::{
    meta::{differences, file_type, kind_name, moment, same_xattrs},
    names::{LONGEST_PATH, Selection, join, refusal, show, split},
    stage::{BlobHashes, content},
    target::{Found, Root, fail, look_in},
};
use crate::{
    Ctx, ErrorKind, Result,
    browse::{Trees as _, diff::MAX_DEPTH, trees::node_name},
    repository::{Indexed, packs::place},
};

/// What happens with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A folder that is made with all that is below it. What is there and is no folder is replaced.
    MakeDir,
    /// A folder that is there already. With `update` it ends with the snapshot's metadata, which `differs` now or will
    /// when its content is replaced.
    MergeDir {
        update: bool,
        differs: bool,
    },
    Create,
    Replace,
    Same,
    Skip,
    /// It is in the way of a restore that may not replace anything.
    Blocked,
}

/// What the walk tells.
pub enum Step<'a> {
    /// A folder that is only passed through on the way to a chosen path is not `chosen`.
    Node {
        path: &'a [u8],
        node: &'a Node,
        act: Act,
        found: Option<Found>,
        chosen: bool,
    },
    Problem {
        path: String,
        message: String,
    },
}

/// One walk over one snapshot.
pub struct Walk<'a> {
    pub index: &'a Indexed,
    /// `None` where the target does not exist yet.
    pub target: Option<&'a Root>,
    pub conflict: ConflictMode,
    /// Whether owners and devices can be made.
    pub privileged: bool,
    /// Whether what looks the same is read and compared: a damaged file may have kept its size and its times.
    pub compare: bool,
    pub hashes: RefCell<BlobHashes>,
    pub ctx: &'a Ctx<'a>,
}

type Each<'e> = &'e mut dyn FnMut(Step) -> Result<()>;

/// What is at the target where a node belongs, and the folder that holds it.
struct There<'d> {
    dir: Option<&'d OwnedFd>,
    found: Option<Found>,
}

/// A folder of the snapshot that is still to be walked.
struct Below<'s> {
    path: Vec<u8>,
    depth: usize,
    tree: Option<TreeId>,
    select: Option<&'s Selection>,
    exists: bool,
    skip: bool,
}

impl Walk<'_> {
    /// Tells every selected node once, folders before what is in them.
    pub fn run(&self, tree: TreeId, select: &Selection, each: Each) -> Result<()> {
        let select = (!select.is_whole()).then_some(select);
        // A list instead of recursion: a snapshot may be deeper than a thread's stack.
        let mut todo = vec![Below { path: Vec::new(), depth: 0, tree: Some(tree), select, exists: self.target.is_some(), skip: false }];
        while let Some(at) = todo.pop() {
            let first = todo.len();
            self.folder(&at, &mut todo, each)?;
            todo[first..].reverse();
        }
        Ok(())
    }

    fn folder<'s>(&self, at: &Below<'s>, below: &mut Vec<Below<'s>>, each: Each) -> Result<()> {
        let path = &at.path;
        let Some(id) = at.tree else {
            return each(Step::Problem { path: show(path), message: "the snapshot does not say what is in this folder".to_owned() });
        };
        let tree = match self.index.tree(&id) {
            Err(e) if e.kind == ErrorKind::Damaged => return each(Step::Problem { path: show(path), message: e.message }),
            other => other?,
        };
        let dir = match self.target.filter(|_| at.exists) {
            Some(target) => match target.open_at(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()) {
                Ok(dir) => Some(dir),
                Err(Errno::NOENT | Errno::NOTDIR) => None,
                Err(e) => return Err(fail("open the target's folder", &show(path), e)),
            },
            None => None,
        };
        let mut seen: HashSet<Vec<u8>> = HashSet::with_capacity(tree.nodes.len());
        for (n, node) in tree.nodes.iter().enumerate() {
            if n % 64 == 0 {
                self.ctx.check()?;
            }
            let name = node_name(node);
            let select = match at.select.map(|s| s.child(&name)) {
                Some(None) => continue,
                Some(Some(part)) => part,
                None => None,
            };
            let full = join(path, &name);
            let refused = refusal(&name)
                .or_else(|| (full.len() > LONGEST_PATH || at.depth >= MAX_DEPTH).then_some("its path is too long"))
                .or_else(|| seen.contains(&*name).then_some("the folder holds this name twice"));
            if let Some(why) = refused {
                each(Step::Problem { path: show(&full), message: format!("not restored: {why}") })?;
                continue;
            }
            let found = match &dir {
                Some(dir) if !at.skip => look_in(dir, &name).map_err(|e| fail("look at", &show(&full), e))?,
                _ => None,
            };
            seen.insert(name.to_vec());
            let there = There { dir: dir.as_ref(), found };
            if node.is_dir() {
                below.extend(self.decide_dir(full, node, &there, at, select, each)?);
            } else if select.is_some() {
                each(Step::Problem { path: show(&full), message: "the snapshot has no folder here".to_owned() })?;
            } else {
                let act = self.decide_file(&full, node, &there, at.skip, each)?;
                each(Step::Node { path: &full, node, act, found, chosen: true })?;
            }
        }
        for name in at.select.into_iter().flat_map(Selection::names).filter(|n| !seen.contains(*n)) {
            each(Step::Problem { path: show(&join(path, name)), message: "this path is not in the snapshot".to_owned() })?;
        }
        Ok(())
    }

    fn decide_dir<'s>(&self, path: Vec<u8>, node: &Node, there: &There, above: &Below, select: Option<&'s Selection>, each: Each) -> Result<Option<Below<'s>>> {
        let depth = above.depth + 1;
        let below = |path, exists, skip| Some(Below { path, depth, tree: node.subtree, select, exists, skip });
        if above.skip {
            return Ok(below(path, false, true));
        }
        let found = there.found;
        let act = match found {
            None => Act::MakeDir,
            Some(f) if f.is_dir() => {
                let newer = node.meta.mtime.is_some_and(|t| f.mtime > moment(t));
                let update = select.is_none() && (self.conflict == ConflictMode::Overwrite || self.conflict == ConflictMode::KeepNewer && !newer);
                let differs = update && !(differences(node, &f, self.privileged).is_empty() && self.xattrs_are_same(&path, node, &f, there.dir)?);
                Act::MergeDir { update, differs }
            }
            Some(f) => match self.may_replace(node, &f) {
                Act::Replace => Act::MakeDir,
                Act::Blocked => Act::Blocked,
                _ => {
                    let message = format!("left out: there is a {} at the target where the snapshot has a folder", kind_name(f.kind));
                    each(Step::Problem { path: show(&path), message })?;
                    return Ok(below(path, false, true));
                }
            },
        };
        each(Step::Node { path: &path, node, act, found, chosen: select.is_none() })?;
        Ok(below(path, matches!(act, Act::MergeDir { .. }), act == Act::Blocked))
    }

    fn decide_file(&self, full: &[u8], node: &Node, there: &There, skip: bool, each: Each) -> Result<Act> {
        let device = matches!(node.node_type, NodeType::Dev { .. } | NodeType::Chardev { .. });
        if skip || node.node_type == NodeType::Socket {
            // A socket means something only to the program that made it.
            return Ok(Act::Skip);
        }
        if device && !self.privileged {
            each(Step::Problem { path: show(full), message: "not restored: only root can make a device".to_owned() })?;
            return Ok(Act::Skip);
        }
        let Some(f) = there.found else { return Ok(Act::Create) };
        if f.is_dir() {
            let empty = self.target.is_some_and(|t| t.names(full).is_ok_and(|names| names.is_empty()));
            if !empty && self.conflict != ConflictMode::Fail {
                let message = format!("left out: there is a folder with content at the target where the snapshot has a {}", kind_name(file_type(node)));
                each(Step::Problem { path: show(full), message })?;
                return Ok(Act::Skip);
            }
        } else if differences(node, &f, self.privileged).is_empty()
            && (!node.is_symlink() || link_is_same(node, full, there.dir))
            && (!self.compare || self.xattrs_are_same(full, node, &f, there.dir)? && (!node.is_file() || self.content_is_same(node, full)?))
        {
            return Ok(Act::Same);
        }
        Ok(self.may_replace(node, &f))
    }

    fn xattrs_are_same(&self, full: &[u8], node: &Node, found: &Found, dir: Option<&OwnedFd>) -> Result<bool> {
        match dir {
            Some(dir) if self.compare => same_xattrs(dir, split(full).1, &node.meta, found, full),
            _ => Ok(true),
        }
    }

    /// Whether the file's bytes are those of the snapshot. What cannot be read is not.
    fn content_is_same(&self, node: &Node, full: &[u8]) -> Result<bool> {
        let Some(Ok(fd)) = self.target.map(|t| t.open_at(full, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())) else { return Ok(false) };
        let (mut hashes, mut from) = (self.hashes.borrow_mut(), 0);
        for id in content(node) {
            self.ctx.check()?;
            let Some(place) = place(self.index, id) else { return Ok(false) };
            let size = u64::from(place.size);
            if hashes.at(&fd, from, size).ok() != Some(**id) {
                return Ok(false);
            }
            from += size;
        }
        Ok(from == node.meta.size)
    }

    fn may_replace(&self, node: &Node, found: &Found) -> Act {
        match self.conflict {
            ConflictMode::Fail => Act::Blocked,
            ConflictMode::KeepNewer if node.meta.mtime.is_some_and(|t| found.mtime > moment(t)) => Act::Skip,
            ConflictMode::Skip => Act::Skip,
            ConflictMode::Overwrite | ConflictMode::KeepNewer => Act::Replace,
        }
    }
}

fn link_is_same(node: &Node, full: &[u8], dir: Option<&OwnedFd>) -> bool {
    let name = split(full).1;
    dir.is_some_and(|dir| rustix::fs::readlinkat(dir, name, Vec::new()).is_ok_and(|link| link.as_bytes() == link_target(node)))
}

/// Where a symbolic link leads. Empty for anything else.
pub fn link_target(node: &Node) -> &[u8] {
    use std::os::unix::ffi::OsStrExt as _;
    if node.is_symlink() { node.node_type.to_link().as_os_str().as_bytes() } else { &[] }
}
