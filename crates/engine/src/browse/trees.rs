//! Reading trees.
//!
//! Lives here: `Trees`, the raw bytes of a node's name, ids as text, the cache of trees. May not: content of files.
//! Invariant: the cache never holds more than its bound, whatever is asked for.

use std::{
    borrow::Cow,
    collections::HashMap,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    sync::{Arc, Mutex, PoisonError},
};

use rustic_core::{
    IndexedTree, Repository, TreeId,
    repofile::{Node, Tree},
};

use crate::{EngineError, ErrorKind, Result, repository::from_rustic};

/// Something that trees can be read from.
pub trait Trees {
    /// # Errors
    /// `Damaged` where the tree is missing or not what was written; what the storage says.
    fn tree(&self, id: &TreeId) -> Result<Arc<Tree>>;
}

impl<S: IndexedTree> Trees for Repository<S> {
    fn tree(&self, id: &TreeId) -> Result<Arc<Tree>> {
        match self.get_tree(id) {
            Ok(tree) => Ok(Arc::new(tree)),
            Err(e) => {
                let e = from_rustic(e);
                // A tree that cannot be read as JSON or is not in the index is the repository's fault, not ours.
                let kind = if matches!(e.kind, ErrorKind::Internal | ErrorKind::NotFound) { ErrorKind::Damaged } else { e.kind };
                Err(EngineError { kind, message: format!("folder {}: {}", id.to_hex().as_str(), e.message), source: e.source })
            }
        }
    }
}

/// The bytes of a node's name.
pub fn node_name(node: &Node) -> Cow<'_, [u8]> {
    match node.name() {
        Cow::Borrowed(name) => Cow::Borrowed(name.as_bytes()),
        Cow::Owned(name) => Cow::Owned(name.into_vec()),
    }
}

/// Reads a tree's id.
///
/// # Errors
/// `Invalid` where it is not 64 hexadecimal digits.
pub fn tree_id(text: &str) -> Result<TreeId> {
    let bad = || EngineError::new(ErrorKind::Invalid, format!("tree {}: give its full id of 64 hexadecimal digits", domain::naming::escape(text.as_bytes())));
    if text.len() == 64 { text.parse().map_err(|_| bad()) } else { Err(bad()) }
}

/// Recently read trees, bounded by the number of their entries.
pub struct TreeCache {
    inner: Mutex<Inner>,
    /// The bound. An entry takes about 500 bytes.
    max_entries: usize,
}

#[derive(Default)]
struct Inner {
    trees: HashMap<TreeId, (Arc<Tree>, u64)>,
    entries: usize,
    clock: u64,
}

impl TreeCache {
    pub fn new(max_entries: usize) -> Self {
        Self { inner: Mutex::default(), max_entries }
    }

    /// The tree from the cache, or read by `read` and kept.
    pub fn get(&self, id: &TreeId, read: impl FnOnce() -> Result<Arc<Tree>>) -> Result<Arc<Tree>> {
        {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.clock += 1;
            let now = inner.clock;
            if let Some((tree, used)) = inner.trees.get_mut(id) {
                *used = now;
                return Ok(tree.clone());
            }
        }
        let tree = read()?;
        let size = weight(&tree);
        if size <= self.max_entries {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            let now = inner.clock;
            if inner.trees.insert(*id, (tree.clone(), now)).is_none() {
                inner.entries += size;
            }
            while inner.entries > self.max_entries {
                let Some(oldest) = inner.trees.iter().min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id) else { break };
                if let Some((tree, _)) = inner.trees.remove(&oldest) {
                    inner.entries -= weight(&tree);
                }
            }
        }
        Ok(tree)
    }
}

/// How much of the bound a tree takes: its entries, and the ids of large files' content sixteen to an entry.
fn weight(tree: &Tree) -> usize {
    1 + tree.nodes.len() + tree.nodes.iter().map(|n| n.content.as_ref().map_or(0, Vec::len) / 16).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use rustic_core::Id;

    use super::*;

    #[test]
    fn the_cache_stays_within_its_bound() {
        let cache = TreeCache::new(100);
        let tree = |n: usize| Ok(Arc::new(Tree { nodes: vec![Node::default(); n] }));
        let id = |n: u8| TreeId::from(Id::new([n; 32]));
        for n in 0..50 {
            cache.get(&id(n), || tree(9)).unwrap();
            cache.get(&id(0), || panic!("the tree in use is never the one that goes")).unwrap();
        }
        let inner = cache.inner.lock().unwrap();
        assert_eq!((inner.trees.len(), inner.entries), (10, 100));
        drop(inner);
        assert_eq!(cache.get(&id(77), || tree(1_000)).unwrap().nodes.len(), 1_000);
        assert!(cache.inner.lock().unwrap().entries <= 100, "a tree beyond the bound is not kept");
    }
}
