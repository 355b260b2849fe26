//! What the snapshots need, and since when all of it is verified.
//!
//! Lives here: the walk over all trees. May not: contents of packs.
//! Invariants: each tree is read once, whatever number of snapshots has it; a snapshot is verified since the oldest last
//! reading of all packs that hold a blob it needs, trees and contents alike, and not at all while one was never read.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use domain::{naming::escape, units::Timestamp};
use rustic_core::{
    DataId, Id, PackedId, TreeId,
    repofile::{Node, NodeType},
};

use super::{Listed, data::Packs};
use crate::{
    Ctx, ErrorKind, Result,
    browse::{Trees as _, trees::node_name},
    repository::Indexed,
};

/// Trees read at a time.
const THREADS: usize = 4;
/// Trees whose children are gathered before they are numbered.
const BATCH: usize = 10_000;
/// Faults that get the path of their folder; finding it reads trees anew.
const WITH_PATH: usize = 100;

/// Since when each of the snapshots is verified, in their order. What is missing or cannot be read is added to `errors`.
pub(super) fn verified(index: &Indexed, packs: &Packs, snapshots: &[Listed], errors: &mut Vec<String>, ctx: &Ctx) -> Result<Vec<Option<Timestamp>>> {
    let mut walk = Walk { index, packs, ctx, numbers: HashMap::new(), trees: Vec::new() };
    let roots: Vec<u32> = snapshots.iter().map(|s| walk.number(s.tree, None)).collect();
    let faults = walk.read_all()?;
    for (n, fault) in faults.iter().enumerate() {
        let place = if n < WITH_PATH { walk.path(fault.tree) } else { format!("folder {}", walk.trees[fault.tree as usize].id.to_hex().as_str()) };
        errors.push(format!("{place}: {}", fault.words).chars().take(500).collect());
    }
    let since = walk.resolve();
    Ok(roots.into_iter().map(|n| since[n as usize]).collect())
}

struct Walk<'a> {
    index: &'a Indexed,
    packs: &'a Packs,
    ctx: &'a Ctx<'a>,
    numbers: HashMap<TreeId, u32>,
    trees: Vec<Known>,
}

struct Known {
    id: TreeId,
    /// Where it was first found; `None` for a snapshot's own.
    parent: Option<u32>,
    /// Of its own blobs, without those of its children.
    since: Option<Timestamp>,
    children: Box<[u32]>,
}

struct Fault {
    tree: u32,
    words: String,
}

/// The index names no such blob.
struct NotInIndex;

/// What one tree holds.
struct Looked {
    tree: u32,
    since: Option<Timestamp>,
    children: Vec<TreeId>,
    faults: Vec<String>,
}

impl Walk<'_> {
    fn number(&mut self, id: TreeId, parent: Option<u32>) -> u32 {
        *self.numbers.entry(id).or_insert_with(|| {
            self.trees.push(Known { id, parent, since: None, children: Box::default() });
            u32::try_from(self.trees.len() - 1).unwrap_or(u32::MAX)
        })
    }

    fn read_all(&mut self) -> Result<Vec<Fault>> {
        let (mut faults, mut from) = (Vec::new(), 0);
        while from < self.trees.len() {
            self.ctx.check()?;
            let to = self.trees.len().min(from + BATCH);
            for looked in self.look(from, to)? {
                faults.extend(looked.faults.into_iter().map(|words| Fault { tree: looked.tree, words }));
                let children = looked.children.into_iter().map(|id| self.number(id, Some(looked.tree))).collect();
                let known = &mut self.trees[looked.tree as usize];
                (known.since, known.children) = (looked.since, children);
            }
            from = to;
        }
        Ok(faults)
    }

    fn look(&self, from: usize, to: usize) -> Result<Vec<Looked>> {
        let (next, done) = (AtomicUsize::new(from), Mutex::new(Vec::with_capacity(to - from)));
        std::thread::scope(|scope| {
            let work = || -> Result<()> {
                loop {
                    let n = next.fetch_add(1, Relaxed);
                    if n >= to {
                        return Ok(());
                    }
                    self.ctx.check()?;
                    let looked = self.look_at(u32::try_from(n).unwrap_or(u32::MAX))?;
                    done.lock().unwrap_or_else(PoisonError::into_inner).push(looked);
                }
            };
            let all: Vec<_> = (0..THREADS.min(to - from)).map(|_| scope.spawn(work)).collect();
            all.into_iter().try_for_each(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })?;
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_unstable_by_key(|l| l.tree);
        Ok(done)
    }

    /// # Errors
    /// Where the storage cannot be reached; a tree that is damaged is a fault.
    fn look_at(&self, tree: u32) -> Result<Looked> {
        let id = self.trees[tree as usize].id;
        let mut looked = Looked { tree, since: self.read_at(&id).unwrap_or(None), children: Vec::new(), faults: Vec::new() };
        let read = match self.index.tree(&id) {
            Ok(read) => read,
            Err(e) if matches!(e.kind, ErrorKind::Damaged | ErrorKind::NotFound) => {
                looked.since = None;
                looked.faults.push(format!("cannot be read: {}", e.message));
                return Ok(looked);
            }
            Err(e) => return Err(e),
        };
        for node in &read.nodes {
            match (node.node_type.clone(), &node.subtree, &node.content) {
                (NodeType::Dir, Some(id), _) if !id.is_null() => looked.children.push(*id),
                (NodeType::Dir, ..) => looked.fault(node, "the folder names no content"),
                (NodeType::File, _, Some(content)) => self.file(&mut looked, node, content),
                (NodeType::File, ..) => looked.fault(node, "the file names no content"),
                _ => {}
            }
        }
        looked.children.sort_unstable();
        looked.children.dedup();
        Ok(looked)
    }

    fn file(&self, looked: &mut Looked, node: &Node, content: &[DataId]) {
        for id in content {
            let Ok(at) = self.read_at(id) else {
                looked.fault(node, &format!("blob {} is not in the index", id.to_hex().as_str()));
                break;
            };
            looked.since = older(looked.since, at);
        }
    }

    /// When the pack of a blob was last read, if it was.
    fn read_at<T: PackedId>(&self, id: &T) -> Result<Option<Timestamp>, NotInIndex> {
        let entry = self.index.get_index_entry(id).map_err(|_| NotInIndex)?;
        let pack: Id = *entry.pack;
        Ok(self.packs.read_at(&pack))
    }

    /// Since when each tree is verified with everything below it.
    fn resolve(&self) -> Vec<Option<Timestamp>> {
        let mut since: Vec<Option<Timestamp>> = self.trees.iter().map(|t| t.since).collect();
        let mut done = vec![false; self.trees.len()];
        let mut stack: Vec<(u32, usize)> = Vec::new();
        for root in 0..self.trees.len() {
            stack.push((u32::try_from(root).unwrap_or(u32::MAX), 0));
            while let Some((tree, at)) = stack.pop() {
                let t = tree as usize;
                if done[t] {
                    continue;
                }
                let children = &self.trees[t].children;
                if let Some(child) = children.get(at) {
                    stack.push((tree, at + 1));
                    if !done[*child as usize] {
                        stack.push((*child, 0));
                    }
                    continue;
                }
                since[t] = children.iter().fold(since[t], |oldest, child| older(oldest, since[*child as usize]));
                done[t] = true;
            }
        }
        since
    }

    /// The path of a tree below the first snapshot that has it.
    fn path(&self, tree: u32) -> String {
        let (mut names, mut at) = (Vec::new(), tree);
        while let Some(parent) = self.trees[at as usize].parent {
            let id = self.trees[at as usize].id;
            let read = self.index.tree(&self.trees[parent as usize].id).ok();
            let name = read.and_then(|t| t.nodes.iter().find(|n| n.subtree == Some(id)).map(|n| escape(&node_name(n))));
            names.push(name.unwrap_or_else(|| id.to_hex().as_str()[..8].to_owned()));
            at = parent;
        }
        names.reverse();
        format!("/{}", names.join("/"))
    }
}

impl Looked {
    fn fault(&mut self, node: &Node, what: &str) {
        self.since = None;
        self.faults.push(format!("{}: {what}", escape(&node_name(node))));
    }
}

/// The older of two readings; none where either is missing.
fn older(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    Some(a?.min(b?))
}
