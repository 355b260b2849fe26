//! What differs between two trees.
//!
//! Lives here: the walk over two trees side by side, its pages. May not: opening repositories, reading content.
//! Invariants: a subtree that both sides share is never read; a path is told in the order of the walk, parents
//! before children; where the kind of a path changed it is told as removed and then as added.

use std::{borrow::Cow, cmp::Ordering, ops::ControlFlow};

use domain::{naming::escape, units::Timestamp};
use rustic_core::{
    TreeId,
    repofile::{Node, NodeType},
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

/// Calls `each` for every path that differs from `old` to `new`. A missing tree counts as an empty folder.
///
/// Folders are told when they come, go, or change mode, owner or extended attributes; their times follow from
/// what happens inside and are not compared. The walk ends early when `each` breaks.
pub fn diff(trees: &impl Trees, old: Option<TreeId>, new: Option<TreeId>, each: &mut dyn FnMut(Difference) -> Result<ControlFlow<()>>) -> Result<()> {
    let mut path = Vec::new();
    folder(trees, old, new, &mut path, 0, each).map(|_| ())
}

type Named<'a> = (Cow<'a, [u8]>, &'a Node);

/// The nodes by name, as the walk needs them. Of two nodes with one name the first counts.
fn by_name(nodes: &[Node]) -> Vec<Named<'_>> {
    let mut all: Vec<Named<'_>> = nodes.iter().map(|n| (node_name(n), n)).collect();
    if !all.is_sorted_by(|a, b| a.0 < b.0) {
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all.dedup_by(|a, b| a.0 == b.0);
    }
    all
}

fn folder(
    trees: &impl Trees,
    old: Option<TreeId>,
    new: Option<TreeId>,
    path: &mut Vec<u8>,
    depth: usize,
    each: &mut dyn FnMut(Difference) -> Result<ControlFlow<()>>,
) -> Result<ControlFlow<()>> {
    if old == new || depth > MAX_DEPTH {
        return Ok(ControlFlow::Continue(()));
    }
    let old = old.map(|id| trees.tree(&id)).transpose()?;
    let new = new.map(|id| trees.tree(&id)).transpose()?;
    let before = old.as_deref().map(|t| by_name(&t.nodes)).unwrap_or_default();
    let after = new.as_deref().map(|t| by_name(&t.nodes)).unwrap_or_default();
    let (mut i, mut j) = (0, 0);
    while i < before.len() || j < after.len() {
        let order = match (before.get(i), after.get(j)) {
            (Some(a), Some(b)) => a.0.cmp(&b.0),
            (Some(_), None) => Ordering::Less,
            _ => Ordering::Greater,
        };
        let a = (order != Ordering::Greater).then(|| before[i].1);
        let b = (order != Ordering::Less).then(|| after[j].1);
        let name = if a.is_some() { &before[i].0 } else { &after[j].0 };
        let length = path.len();
        if length > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        let flow = pair(trees, a, b, path, depth, each)?;
        path.truncate(length);
        if flow.is_break() {
            return Ok(flow);
        }
        i += usize::from(a.is_some());
        j += usize::from(b.is_some());
    }
    Ok(ControlFlow::Continue(()))
}

fn pair(
    trees: &impl Trees,
    a: Option<&Node>,
    b: Option<&Node>,
    path: &mut Vec<u8>,
    depth: usize,
    each: &mut dyn FnMut(Difference) -> Result<ControlFlow<()>>,
) -> Result<ControlFlow<()>> {
    if let (Some(a), Some(b)) = (a, b)
        && std::mem::discriminant(&a.node_type) == std::mem::discriminant(&b.node_type)
    {
        let content = !a.is_dir() && (a.content != b.content || a.node_type != b.node_type);
        if (content || metadata_differs(a, b)) && each(tell(path, ChangeKind::Changed, b, content))?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        return if a.is_dir() { folder(trees, a.subtree, b.subtree, path, depth + 1, each) } else { Ok(ControlFlow::Continue(())) };
    }
    for (node, kind) in [(a, ChangeKind::Removed), (b, ChangeKind::Added)] {
        let Some(node) = node else { continue };
        if each(tell(path, kind, node, true))?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        if node.is_dir() {
            let (old, new) = if kind == ChangeKind::Removed { (node.subtree, None) } else { (None, node.subtree) };
            if folder(trees, old, new, path, depth + 1, each)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    Ok(ControlFlow::Continue(()))
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
