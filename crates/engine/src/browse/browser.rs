//! Looking into the snapshots of one repository.
//!
//! Lives here: `Browser`, folders by pages, single entries, versions, differences by pages. May not: permissions.
//! Invariant: a page is never longer than asked for; paths in and out are in the text form of `domain::naming::escape`.

use std::{
    io::Write,
    ops::{ControlFlow, Range},
    sync::Arc,
};

use domain::{
    naming::{escape, unescape},
    units::Timestamp,
};
use rustic_core::{
    TreeId,
    repofile::{Node, NodeType, Tree},
};
use sha2::{Digest as _, Sha256};

use super::{
    content::Contents,
    diff::{Difference, diff, kind, modified_at},
    trees::{TreeCache, Trees, node_name, tree_id},
};
use crate::{
    EngineError, ErrorKind, Result,
    job::{ChangeKind, NodeKind},
    repository::{Indexed, Repository},
};

/// Entries of trees that are kept in memory: about 50 MB.
const CACHED: usize = 100_000;

/// A repository opened for looking into its snapshots. Shared between threads.
///
/// It sees what was there when it was opened: for a newer snapshot, open another one.
pub struct Browser {
    pub(super) repository: Repository,
    pub(super) index: Indexed,
    cache: TreeCache,
}

impl Trees for Browser {
    fn tree(&self, id: &TreeId) -> Result<Arc<Tree>> {
        self.cache.get(id, || self.index.tree(id))
    }
}

/// One file or folder of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub kind: NodeKind,
    /// Zero for anything but a file.
    pub bytes: i64,
    pub modified_at: Option<Timestamp>,
    /// As `ls -l` writes it, such as `drwxr-x---`.
    pub mode: String,
    /// The owner's name at the time of the backup, or the number; then a colon and the group.
    pub owner: String,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    /// Where a symbolic link leads.
    pub link: Option<String>,
    /// Names of the same file, as it was backed up.
    pub links: u64,
    pub xattrs: usize,
    /// Equal for equal content: a digest of the ids of a file's blobs, a folder's tree, a link's target.
    pub content: String,
}

/// A part of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub entries: Vec<Entry>,
    /// How many entries the whole folder has.
    pub total: usize,
    /// The name to go on after; `None` at the end.
    pub next: Option<String>,
}

/// A file in one of several snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The number of the snapshot in the list that was asked for.
    pub snapshot: usize,
    /// `None` where the snapshot does not hold the path.
    pub entry: Option<Entry>,
    /// It differs from the one before it in the list, in content or in metadata. The first one always does.
    pub changed: bool,
}

/// A part of what differs between two trees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub changes: Vec<Difference>,
    /// The number to go on from; `None` at the end.
    pub next: Option<usize>,
}

/// How much differs between two trees. Folders are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeCounts {
    pub added: i64,
    pub changed: i64,
    pub removed: i64,
    pub bytes_added: i64,
    pub bytes_removed: i64,
}

impl Browser {
    pub fn open(repository: Repository) -> Result<Self> {
        let index = repository.to_indexed()?;
        Ok(Self { repository, index, cache: TreeCache::new(CACHED) })
    }

    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// A folder's entries by name, from the one after `after` on.
    ///
    /// # Errors
    /// `NotFound` where the path is not in the tree; `Invalid` where it is no folder or not in the text form.
    pub fn entries(&self, tree: &str, path: &str, after: Option<&str>, limit: usize) -> Result<Page> {
        let tree = match self.node(tree, path)? {
            Place::Top(id) => self.tree(&id)?,
            Place::Node(node) if node.is_dir() => self.tree(&subtree(&node, path)?)?,
            Place::Node(_) => return Err(EngineError::new(ErrorKind::Invalid, format!("{path} is not a folder"))),
        };
        let after = after.map(|name| unescape(name).ok_or_else(|| bad_path(name))).transpose()?;
        let nodes = sorted(&tree);
        let first = after.map_or(0, |after| nodes.partition_point(|n| *node_name(n) <= *after));
        let shown = &nodes[first..nodes.len().min(first.saturating_add(limit))];
        let entries: Vec<Entry> = shown.iter().map(|n| entry(n)).collect();
        let more = first + entries.len() < nodes.len();
        Ok(Page { next: entries.last().filter(|_| more).map(|e| e.name.clone()), entries, total: nodes.len() })
    }

    /// One path of a tree; `None` where it is not there. The tree's own folder has no entry.
    pub fn entry(&self, tree: &str, path: &str) -> Result<Option<Entry>> {
        match self.node(tree, path) {
            Ok(Place::Node(node)) => Ok(Some(entry(&node))),
            Ok(Place::Top(_)) => Ok(None),
            Err(e) if e.kind == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// One path in several trees, in the order given.
    pub fn versions(&self, trees: &[&str], path: &str) -> Result<Vec<Version>> {
        let mut all: Vec<Version> = Vec::with_capacity(trees.len());
        for (snapshot, tree) in trees.iter().enumerate() {
            let entry = self.entry(tree, path)?;
            let changed = all.last().is_none_or(|before| before.entry != entry);
            all.push(Version { snapshot, entry, changed });
        }
        Ok(all)
    }

    /// What differs from one tree to another: at most `limit` differences from number `from` on.
    pub fn changes(&self, old: &str, new: &str, from: usize, limit: usize) -> Result<Changes> {
        let (mut seen, mut page) = (0, Changes::default());
        diff(self, Some(tree_id(old)?), Some(tree_id(new)?), &mut |change| {
            seen += 1;
            if seen <= from {
                return Ok(ControlFlow::Continue(()));
            }
            if page.changes.len() == limit {
                page.next = Some(from + limit);
                return Ok(ControlFlow::Break(()));
            }
            page.changes.push(change);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(page)
    }

    /// How much differs from one tree to another.
    pub fn count_changes(&self, old: &str, new: &str) -> Result<ChangeCounts> {
        let mut counts = ChangeCounts::default();
        diff(self, Some(tree_id(old)?), Some(tree_id(new)?), &mut |d| {
            if d.change.node != NodeKind::Dir {
                match d.change.change {
                    ChangeKind::Added => {
                        counts.added += 1;
                        counts.bytes_added = counts.bytes_added.saturating_add(d.change.bytes);
                    }
                    ChangeKind::Changed => counts.changed += 1,
                    ChangeKind::Removed => {
                        counts.removed += 1;
                        counts.bytes_removed = counts.bytes_removed.saturating_add(d.change.bytes);
                    }
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(counts)
    }

    /// The bytes of a file as they will be read: for the length of a download.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` where the path is no file; `Damaged` where the repository lacks a part of it.
    pub fn file_size(&self, tree: &str, path: &str) -> Result<u64> {
        self.contents()?.size(&self.file(tree, path)?)
    }

    /// Writes a range of a file's bytes and says how many there were.
    ///
    /// # Errors
    /// As [`Self::file_size`], and `Cancelled` where `out` takes no more.
    pub fn read(&self, tree: &str, path: &str, range: Range<u64>, out: &mut dyn Write) -> Result<u64> {
        let node = self.file(tree, path)?;
        self.contents()?.read(&node, range, &mut |piece| out.write_all(piece).map_err(reader_gone))
    }

    pub(super) fn contents(&self) -> Result<Contents<'_>> {
        Ok(Contents::new(&self.index, self.repository.pack_reader()?))
    }

    fn file(&self, tree: &str, path: &str) -> Result<Node> {
        match self.node(tree, path)? {
            Place::Node(node) if node.is_file() => Ok(*node),
            _ => Err(EngineError::new(ErrorKind::Invalid, format!("{path} is not a file"))),
        }
    }

    /// What stands at a path. Slashes around it do not matter.
    pub(super) fn node(&self, tree: &str, path: &str) -> Result<Place> {
        let mut at = Place::Top(tree_id(tree)?);
        let bytes = unescape(path).ok_or_else(|| bad_path(path))?;
        for name in bytes.split(|b| *b == b'/').filter(|n| !n.is_empty()) {
            let missing = || EngineError::new(ErrorKind::NotFound, format!("{path} is not in this snapshot"));
            let id = match &at {
                Place::Top(id) => *id,
                Place::Node(node) if node.is_dir() => subtree(node, path)?,
                Place::Node(_) => return Err(missing()),
            };
            let tree = self.tree(&id)?;
            let node = tree.nodes.iter().find(|n| *node_name(n) == *name).ok_or_else(missing)?;
            at = Place::Node(Box::new(node.clone()));
        }
        Ok(at)
    }
}

/// What stands at a path of a tree.
pub(super) enum Place {
    /// The tree's own folder.
    Top(TreeId),
    Node(Box<Node>),
}

pub(super) fn subtree(node: &Node, path: &str) -> Result<TreeId> {
    node.subtree.ok_or_else(|| EngineError::new(ErrorKind::Damaged, format!("{path}: the snapshot does not say what is in this folder")))
}

fn bad_path(path: &str) -> EngineError {
    EngineError::new(ErrorKind::Invalid, format!("path {path}: not a path as the file tree shows it"))
}

/// An error of whoever takes what is read.
pub(super) fn reader_gone(e: std::io::Error) -> EngineError {
    EngineError::with_source(ErrorKind::Cancelled, format!("the download ended early: {e}"), e)
}

/// The nodes by name.
pub(super) fn sorted(tree: &Tree) -> Vec<&Node> {
    let mut nodes: Vec<&Node> = tree.nodes.iter().collect();
    if !nodes.is_sorted_by(|a, b| node_name(a) <= node_name(b)) {
        nodes.sort_by(|a, b| node_name(a).cmp(&node_name(b)));
    }
    nodes
}

fn entry(node: &Node) -> Entry {
    let meta = &node.meta;
    let name_or_number = |name: &Option<String>, number: Option<u32>| {
        name.clone().filter(|n| !n.is_empty()).or_else(|| number.map(|n| n.to_string())).unwrap_or_else(|| "?".to_owned())
    };
    Entry {
        name: escape(&node_name(node)),
        kind: kind(node),
        bytes: if node.is_file() { i64::try_from(meta.size).unwrap_or(i64::MAX) } else { 0 },
        modified_at: modified_at(node),
        mode: mode_text(node),
        owner: format!("{}:{}", name_or_number(&meta.user, meta.uid), name_or_number(&meta.group, meta.gid)),
        uid: meta.uid,
        gid: meta.gid,
        link: node.is_symlink().then(|| escape(crate::restore::link_target(node))),
        links: meta.links,
        xattrs: meta.extended_attributes.len(),
        content: content_key(node),
    }
}

fn content_key(node: &Node) -> String {
    let mut hash = Sha256::new();
    hash.update([kind(node) as u8]);
    for id in node.content.iter().flatten() {
        hash.update(id.to_hex().as_str());
    }
    if let Some(tree) = &node.subtree {
        hash.update(tree.to_hex().as_str());
    }
    hash.update(crate::restore::link_target(node));
    hex::encode(&hash.finalize()[..16])
}

fn mode_text(node: &Node) -> String {
    let letter = match node.node_type {
        NodeType::File => '-',
        NodeType::Dir => 'd',
        NodeType::Symlink { .. } => 'l',
        NodeType::Dev { .. } => 'b',
        NodeType::Chardev { .. } => 'c',
        NodeType::Fifo => 'p',
        NodeType::Socket => 's',
    };
    let Some(mode) = node.meta.mode.map(crate::restore::unix_mode) else { return format!("{letter}?????????") };
    let mut text = String::from(letter);
    for (shift, special, with, without) in [(6, 0o4000, 's', 'S'), (3, 0o2000, 's', 'S'), (0, 0o1000, 't', 'T')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, mode & special != 0) {
            (true, false) => 'x',
            (false, false) => '-',
            (true, true) => with,
            (false, true) => without,
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_written_as_ls_does() {
        let node = |node_type, mode| {
            let mut node = Node { node_type, ..Node::default() };
            node.meta.mode = mode;
            mode_text(&node)
        };
        assert_eq!(node(NodeType::File, Some(0o640)), "-rw-r-----");
        assert_eq!(node(NodeType::Dir, Some(1 << 31 | 1 << 20 | 0o777)), "drwxrwxrwt");
        assert_eq!(node(NodeType::File, Some(1 << 23 | 1 << 22 | 0o744)), "-rwsr-Sr--");
        assert_eq!(node(NodeType::Fifo, None), "p?????????");
    }
}
