//! What differs between two trees.
//!
//! Lives here: the walk over two trees side by side, its pages. May not: opening repositories, reading content.
//! Invariants: a subtree that both sides share is never read; a path is told in the order of the walk, parents
//! before children; where the kind of a path changed it is told as removed and then as added.

use std::{cmp::Ordering, ops::ControlFlow, sync::Arc};

use domain::{naming::escape, units::Timestamp};
use rustic_core::{
    TreeId,
    repofile::{Node, NodeType, Tree},
};

use super::trees::{Trees, node_name};
use crate::{
    Result,
    job::{Change, ChangeKind, NodeKind},
};

/// Folders deeper than this are not looked into: no file system that we restore to could hold them.
pub const MAX_DEPTH: usize = 1_000;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub change: Change,
    /// The content, the link's target or the kind differs, not the mode, the owner or the times alone.
    pub content: bool,
}

/// Told of one difference; breaks to end the walk.
type Each<'e> = &'e mut dyn FnMut(Difference) -> Result<ControlFlow<()>>;

/// Calls `each` for every path that differs from `old` to `new`. A missing tree counts as an empty folder.
///
/// Folders are told when they come, go, or change mode, owner or extended attributes; their times follow from
/// what happens inside and are not compared. The walk ends early when `each` breaks.
pub fn diff(trees: &impl Trees, old: Option<TreeId>, new: Option<TreeId>, each: &mut dyn FnMut(Difference) -> Result<ControlFlow<()>>) -> Result<()> {
    let mut path = Vec::new();
    // A list instead of recursion: a snapshot may be deeper than a thread's stack.
    let mut open: Vec<Folder> = Folder::open(trees, old, new, 0)?.into_iter().collect();
    while let Some(folder) = open.last_mut() {
        path.truncate(folder.path_length);
        let Some((a, b)) = folder.next() else {
            open.pop();
            continue;
        };
        let Some(node) = b.or(a) else { continue };
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(&node_name(node));
        let inner = match tell_pair(a, b, &path, each)? {
            ControlFlow::Break(()) => return Ok(()),
            ControlFlow::Continue(inner) => inner,
        };
        if open.len() <= MAX_DEPTH {
            // What is gone is told before what has come.
            for (old, new) in inner.into_iter().rev().flatten() {
                open.extend(Folder::open(trees, old, new, path.len())?);
            }
        }
    }
    Ok(())
}

/// Two folders of one path on the way through them.
struct Folder {
    old: Option<Arc<Tree>>,
    new: Option<Arc<Tree>>,
    /// Numbers of the nodes, by name.
    before: Vec<u32>,
    after: Vec<u32>,
    path_length: usize,
}

impl Folder {
    fn open(trees: &impl Trees, old: Option<TreeId>, new: Option<TreeId>, path_length: usize) -> Result<Option<Self>> {
        if old == new {
            return Ok(None);
        }
        let old = old.map(|id| trees.tree(&id)).transpose()?;
        let new = new.map(|id| trees.tree(&id)).transpose()?;
        let (before, after) = (by_name(old.as_deref()), by_name(new.as_deref()));
        Ok(Some(Self { old, new, before, after, path_length }))
    }

    /// The next name's nodes on both sides; `None` at the end.
    fn next(&mut self) -> Option<(Option<&Node>, Option<&Node>)> {
        let a = self.before.last().and_then(|n| self.old.as_ref()?.nodes.get(*n as usize));
        let b = self.after.last().and_then(|n| self.new.as_ref()?.nodes.get(*n as usize));
        let order = match (a, b) {
            (Some(a), Some(b)) => node_name(a).cmp(&node_name(b)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return None,
        };
        let (a, b) = (a.filter(|_| order != Ordering::Greater), b.filter(|_| order != Ordering::Less));
        if a.is_some() {
            self.before.pop();
        }
        if b.is_some() {
            self.after.pop();
        }
        Some((a, b))
    }
}

/// The nodes' numbers, the last name first. Of two nodes with one name the first counts.
fn by_name(tree: Option<&Tree>) -> Vec<u32> {
    let nodes = tree.map(|t| t.nodes.as_slice()).unwrap_or_default();
    let mut all: Vec<u32> = (0..nodes.len() as u32).collect();
    let name = |n: &u32| node_name(&nodes[*n as usize]);
    if !all.is_sorted_by(|a, b| name(a) < name(b)) {
        all.sort_by(|a, b| name(a).cmp(&name(b)));
        all.dedup_by(|a, b| name(a) == name(b));
    }
    all.reverse();
    all
}

type Inner = [Option<(Option<TreeId>, Option<TreeId>)>; 2];

/// Tells what differs between two nodes of one name, and which folders are to be walked then.
fn tell_pair(a: Option<&Node>, b: Option<&Node>, path: &[u8], each: Each) -> Result<ControlFlow<(), Inner>> {
    if let (Some(a), Some(b)) = (a, b)
        && std::mem::discriminant(&a.node_type) == std::mem::discriminant(&b.node_type)
    {
        let content = !a.is_dir() && (a.content != b.content || a.node_type != b.node_type);
        if (content || metadata_differs(a, b)) && each(tell(path, ChangeKind::Changed, b, content))?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        return Ok(ControlFlow::Continue([a.is_dir().then_some((a.subtree, b.subtree)), None]));
    }
    let mut inner = [None, None];
    for (n, (node, kind)) in [(a, ChangeKind::Removed), (b, ChangeKind::Added)].into_iter().enumerate() {
        let Some(node) = node else { continue };
        if each(tell(path, kind, node, true))?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        if node.is_dir() {
            inner[n] = Some(if kind == ChangeKind::Removed { (node.subtree, None) } else { (None, node.subtree) });
        }
    }
    Ok(ControlFlow::Continue(inner))
}

pub(super) fn metadata_differs(a: &Node, b: &Node) -> bool {
    let (x, y) = (&a.meta, &b.meta);
    let times = !a.is_dir() && (x.mtime != y.mtime || x.size != y.size);
    times || x.mode != y.mode || x.uid != y.uid || x.gid != y.gid || x.extended_attributes != y.extended_attributes
}

fn tell(path: &[u8], change: ChangeKind, node: &Node, content: bool) -> Difference {
    let bytes = if node.is_file() { i64::try_from(node.meta.size).unwrap_or(i64::MAX) } else { 0 };
    Difference { change: Change { path: escape(path), change, node: kind(node), bytes, modified_at: modified_at(node) }, content }
}

/// The kind of a node as the pages know it.
pub fn kind(node: &Node) -> NodeKind {
    match node.node_type {
        NodeType::File => NodeKind::File,
        NodeType::Dir => NodeKind::Dir,
        NodeType::Symlink { .. } => NodeKind::Symlink,
        _ => NodeKind::Other,
    }
}

/// A node's modification time, to the microsecond.
pub fn modified_at(node: &Node) -> Option<Timestamp> {
    node.meta.mtime.map(|t| Timestamp(t.as_microsecond()))
}
