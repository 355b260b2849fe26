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

use super::{
    super::{Indexed, from_rustic},
    measure::{Meter, Pair, has_marker, is_refilled},
};
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
/// A tree of the parent that cannot be read counts as empty. `meter` is shown what the guard judges.
pub fn diff(
    repository: &Indexed,
    old: Option<TreeId>,
    new: TreeId,
    blobs: &NewBlobs,
    mut meter: Option<&mut Meter>,
    visit: &mut dyn FnMut(Change),
) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut todo = vec![Folders { old, new: Some(new), prefix: String::new(), refilled: false }];
    while let Some(Folders { old, new, prefix, mut refilled }) = todo.pop() {
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
        // An item itself is never taken for a cache.
        let marked = |tree: &Option<Tree>| tree.as_ref().is_some_and(|t| has_marker(t.nodes.iter()));
        refilled = refilled || (meter.is_some() && !prefix.is_empty() && (marked(&old) || marked(&new)));
        let mut pair = Pair { prefix: prefix.clone(), refilled, ..Pair::default() };
        let mut before: HashMap<OsString, Node> = nodes(old).map(|n| (n.name().into_owned(), n)).collect();
        for node in nodes(new) {
            let name = node.name().into_owned();
            let path = format!("{prefix}{}", escape(name.as_bytes()));
            let was = before.remove(&name);
            let same_kind = was.as_ref().is_some_and(|w| w.is_dir() == node.is_dir());
            if let Some(gone) = was.as_ref().filter(|_| !same_kind) {
                removed(gone, &path, &mut counts, &mut pair, &mut todo, visit);
            }
            let was = was.filter(|_| same_kind);
            if node.is_dir() {
                if was.is_none() {
                    visit(change(&path, ChangeKind::Added, &node));
                }
                let refilled = refilled || is_refilled(&prefix, name.as_bytes());
                todo.push(Folders { old: was.and_then(|w| w.subtree), new: node.subtree, prefix: format!("{path}/"), refilled });
                continue;
            }
            counts.bytes_added += node.content.iter().flatten().map(|id| blobs.count((*id).into())).sum::<u64>();
            match was {
                None => {
                    counts.added += 1;
                    visit(change(&path, ChangeKind::Added, &node));
                    pair.came.push(node);
                }
                Some(was) if differs(&was, &node) => {
                    counts.changed += 1;
                    visit(change(&path, ChangeKind::Changed, &node));
                    pair.changed.push((was, node));
                }
                Some(_) => {}
            }
        }
        for (name, gone) in before {
            removed(&gone, &format!("{prefix}{}", escape(name.as_bytes())), &mut counts, &mut pair, &mut todo, visit);
        }
        if let Some(meter) = &mut meter {
            meter.folder(pair);
        }
    }
    Ok(counts)
}

fn nodes(tree: Option<Tree>) -> impl Iterator<Item = Node> {
    tree.into_iter().flat_map(|t| t.nodes)
}

/// A folder and the same folder of the parent, to be looked into.
struct Folders {
    old: Option<TreeId>,
    new: Option<TreeId>,
    prefix: String,
    /// Programs fill it again.
    refilled: bool,
}

fn removed(gone: &Node, path: &str, counts: &mut Counts, pair: &mut Pair, todo: &mut Vec<Folders>, visit: &mut dyn FnMut(Change)) {
    visit(change(path, ChangeKind::Removed, gone));
    if gone.is_dir() {
        let refilled = pair.refilled || is_refilled(&pair.prefix, gone.name().as_bytes());
        todo.push(Folders { old: gone.subtree, new: None, prefix: format!("{path}/"), refilled });
    } else {
        counts.removed += 1;
        pair.gone.push(gone.clone());
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
