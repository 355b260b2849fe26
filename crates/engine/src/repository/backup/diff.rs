//! What changed in an item since its parent.
//!
//! Lives here: the comparison of two trees, which reads only the subtrees that differ. May not: saving snapshots.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsString,
    os::unix::ffi::OsStrExt as _,
    sync::{Mutex, PoisonError},
};

use domain::{naming::escape, units::Timestamp};
use rustic_core::{
    BlobId, TreeId,
    repofile::{Node, NodeType, Tree},
};

use super::super::{Indexed, from_rustic};
use crate::{
    Result,
    job::{Change, ChangeKind, NodeKind},
};

/// The blobs that a pass added, with their sizes in the repository.
#[derive(Default)]
pub struct NewBlobs {
    sizes: HashMap<BlobId, u32>,
    counted: Mutex<HashSet<BlobId>>,
}

impl NewBlobs {
    pub fn new(sizes: HashMap<BlobId, u32>) -> Self {
        Self { sizes, counted: Mutex::default() }
    }

    /// The bytes that `id` added; zero where it was there before or was counted already.
    fn count(&self, id: BlobId) -> u64 {
        let Some(size) = self.sizes.get(&id) else { return 0 };
        let first = self.counted.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        if first { u64::from(*size) } else { 0 }
    }
}

/// How many files are different, and what that took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub added: u64,
    pub changed: u64,
    pub removed: u64,
    pub bytes_added: u64,
}

/// Compares an item's new tree with its parent's and shows each difference to `visit`.
///
/// Folders are shown when they come or go; files also when they change. Inode, ctime and atime do not count.
/// A tree of the parent that cannot be read counts as empty.
pub fn diff(repository: &Indexed, old: Option<TreeId>, new: TreeId, blobs: &NewBlobs, visit: &mut dyn FnMut(Change)) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut todo = vec![(old, Some(new), String::new())];
    while let Some((old, new, prefix)) = todo.pop() {
        if old == new {
            continue;
        }
        let old = old.and_then(|id| {
            let read = repository.get_tree(&id);
            read.inspect_err(|e| tracing::warn!("a tree of the parent cannot be read: {}", e.display_log())).ok()
        });
        if let Some(id) = new {
            counts.bytes_added += blobs.count((*id).into());
        }
        let new = new.map(|id| repository.get_tree(&id)).transpose().map_err(from_rustic)?;
        let mut before: HashMap<OsString, Node> = nodes(old).map(|n| (n.name().into_owned(), n)).collect();
        for node in nodes(new) {
            let name = node.name().into_owned();
            let path = format!("{prefix}{}", escape(name.as_bytes()));
            let was = before.remove(&name);
            let same_kind = was.as_ref().is_some_and(|w| w.is_dir() == node.is_dir());
            if let Some(gone) = was.as_ref().filter(|_| !same_kind) {
                removed(gone, &path, &mut counts, &mut todo, visit);
            }
            let was = was.filter(|_| same_kind);
            if node.is_dir() {
                if was.is_none() {
                    visit(change(&path, ChangeKind::Added, &node));
                }
                todo.push((was.and_then(|w| w.subtree), node.subtree, format!("{path}/")));
                continue;
            }
            counts.bytes_added += node.content.iter().flatten().map(|id| blobs.count((*id).into())).sum::<u64>();
            match was {
                None => {
                    counts.added += 1;
                    visit(change(&path, ChangeKind::Added, &node));
                }
                Some(was) if differs(&was, &node) => {
                    counts.changed += 1;
                    visit(change(&path, ChangeKind::Changed, &node));
                }
                Some(_) => {}
            }
        }
        for (name, gone) in before {
            removed(&gone, &format!("{prefix}{}", escape(name.as_bytes())), &mut counts, &mut todo, visit);
        }
    }
    Ok(counts)
}

fn nodes(tree: Option<Tree>) -> impl Iterator<Item = Node> {
    tree.into_iter().flat_map(|t| t.nodes)
}

fn removed(gone: &Node, path: &str, counts: &mut Counts, todo: &mut Vec<(Option<TreeId>, Option<TreeId>, String)>, visit: &mut dyn FnMut(Change)) {
    visit(change(path, ChangeKind::Removed, gone));
    if gone.is_dir() {
        todo.push((gone.subtree, None, format!("{path}/")));
    } else {
        counts.removed += 1;
    }
}

fn differs(a: &Node, b: &Node) -> bool {
    a.node_type != b.node_type
        || a.content != b.content
        || (a.meta.mode, a.meta.mtime, a.meta.uid, a.meta.gid, a.meta.size) != (b.meta.mode, b.meta.mtime, b.meta.uid, b.meta.gid, b.meta.size)
        || a.meta.extended_attributes != b.meta.extended_attributes
}

fn change(path: &str, change: ChangeKind, node: &Node) -> Change {
    Change {
        path: path.to_owned(),
        change,
        node: match node.node_type {
            NodeType::File => NodeKind::File,
            NodeType::Dir => NodeKind::Dir,
            NodeType::Symlink { .. } => NodeKind::Symlink,
            _ => NodeKind::Other,
        },
        bytes: i64::try_from(node.meta.size).unwrap_or(i64::MAX),
        modified_at: node.meta.mtime.map(|t| Timestamp(t.as_microsecond())),
    }
}
