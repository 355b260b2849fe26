//! An open repository to look into: folders, nodes by path, content of files.
//!
//! Lives here: `Browser`. May not: archives (`archive`), comparing trees (`diff`), permissions.
//! Invariants: a folder is told in one order, folders first and then by name; memory is the index, the cache of
//! trees and one blob; names in answers are in the text form of `domain::naming::escape`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use domain::{
    naming::{escape, unescape},
    units::Timestamp,
};
use rustic_core::{
    BlobId, DataId, TreeId,
    repofile::{BlobType, Node, Tree},
};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;

use super::{
    content::Contents,
    diff::{kind, metadata_differs, modified_at},
    trees::{TreeCache, Trees, node_name, tree_id},
};
use crate::{
    EngineError, ErrorKind, Result,
    job::{Access, ChangeKind, NodeKind},
    repository::{Indexed, Repository, from_rustic},
    restore::{link_target, unix_mode},
};

/// Entries of trees that one open repository keeps, about 500 bytes each.
const KEPT_ENTRIES: usize = 60_000;

/// One entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub kind: NodeKind,
    /// Bytes of a file's content; zero for everything else.
    pub bytes: i64,
    pub modified_at: Option<Timestamp>,
    /// Permission bits.
    pub mode: Option<u32>,
    /// Where a symbolic link leads.
    pub link: Option<String>,
}

/// A page of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    pub entries: Vec<Entry>,
    /// Entries of the whole folder.
    pub total: usize,
    /// How many stand before the first of `entries`.
    pub before: usize,
}

impl Listing {
    /// The key of the next page; `None` on the last one.
    pub fn next(&self) -> Option<&str> {
        if self.before + self.entries.len() < self.total { self.entries.last().map(|e| e.name.as_str()) } else { None }
    }
}

/// What stands under a path: the folder at the top has no node of its own.
pub enum Place {
    Folder(TreeId),
    Node(Box<Node>),
}

/// A file of a snapshot, ready to be read at any offset.
#[derive(Clone, Debug)]
pub struct File {
    pub entry: Entry,
    /// Names the content: the same for the same bytes, whatever the path.
    pub tag: String,
    pub bytes: u64,
    /// Each piece with the offset at which it ends.
    pieces: Arc<Vec<(DataId, u64)>>,
}

/// A repository with its index in memory.
pub struct Browser {
    repository: Repository,
    index: Indexed,
    cache: TreeCache,
}

impl Trees for Browser {
    fn tree(&self, id: &TreeId) -> Result<Arc<Tree>> {
        self.cache.get(id, || self.index.tree(id))
    }
}

impl Browser {
    /// Opens the repository and reads its index as it is now. See [`crate::Ctx`] for what `rt` must be.
    ///
    /// # Errors
    /// As [`Repository::open`].
    pub fn open(access: &Access, rt: &Handle) -> Result<Self> {
        let repository = Repository::open(access, rt)?;
        Ok(Self { index: repository.to_indexed()?, repository, cache: TreeCache::new(KEPT_ENTRIES) })
    }

    /// Whether the index as it was read names this tree. A tree that was written later is not known.
    ///
    /// # Errors
    /// `Invalid` where `tree` is not an id.
    pub fn knows(&self, tree: &str) -> Result<bool> {
        Ok(self.index.get_index_entry(&tree_id(tree)?).is_ok())
    }

    /// What stands under `path` (text form, slashes around it do not matter) in the tree; `None` where nothing does.
    ///
    /// # Errors
    /// `Invalid` where the path is not in the text form; `Damaged`; what the storage says.
    pub fn find(&self, tree: &str, path: &str) -> Result<Option<Place>> {
        let bad = || EngineError::new(ErrorKind::Invalid, format!("path {path}: not a path as the file tree shows it"));
        let path = unescape(path).ok_or_else(bad)?;
        let mut at = Place::Folder(tree_id(tree)?);
        for name in path.split(|b| *b == b'/').filter(|n| !n.is_empty()) {
            let folder = match at {
                Place::Folder(id) => id,
                Place::Node(node) if node.is_dir() => match node.subtree {
                    Some(id) => id,
                    None => return Ok(None),
                },
                Place::Node(_) => return Ok(None),
            };
            match self.tree(&folder)?.nodes.iter().find(|n| *node_name(n) == *name) {
                Some(node) => at = Place::Node(Box::new(node.clone())),
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// At most `limit` entries of the folder under `path` after the entry named `after`; `None` where no folder is.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn list(&self, tree: &str, path: &str, after: Option<&str>, limit: usize) -> Result<Option<Listing>> {
        let Some(tree) = self.find(tree, path)?.as_ref().and_then(Place::folder) else { return Ok(None) };
        let tree = self.tree(&tree)?;
        let mut all: Vec<&Node> = tree.nodes.iter().collect();
        let key = |n: &Node| (!n.is_dir(), node_name(n).into_owned());
        all.sort_by_cached_key(|n| key(n));
        let start = match after.and_then(unescape) {
            None => 0,
            // The key is one of the entries; where it is not, the page starts where it would stand among the files.
            Some(name) => match all.iter().position(|n| *node_name(n) == *name) {
                Some(at) => at + 1,
                None => all.partition_point(|n| key(n) < (true, name.clone())),
            },
        };
        let entries = all[start..].iter().take(limit).map(|n| entry(n)).collect();
        Ok(Some(Listing { entries, total: all.len(), before: start }))
    }

    /// What became of the entries of the folder under `path` since the tree `older`: those that are the same are left
    /// out. A folder is changed when anything below it is. A folder that was not there before has only added entries.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn since(&self, tree: &str, older: &str, path: &str) -> Result<BTreeMap<String, ChangeKind>> {
        let folder = |tree: &str| -> Result<Option<TreeId>> { Ok(self.find(tree, path)?.as_ref().and_then(Place::folder)) };
        let (new, old) = (folder(tree)?, folder(older)?);
        let mut marks = BTreeMap::new();
        if new == old {
            return Ok(marks);
        }
        let read = |id: Option<TreeId>| id.map(|id| self.tree(&id)).transpose();
        let (new, old) = (read(new)?, read(old)?);
        let nodes = |t: &Option<Arc<Tree>>| t.as_ref().map(|t| t.nodes.clone()).unwrap_or_default();
        let mut before: HashMap<Vec<u8>, Node> = nodes(&old).into_iter().map(|n| (node_name(&n).into_owned(), n)).collect();
        for node in nodes(&new) {
            let mark = match before.remove(&*node_name(&node)) {
                None => ChangeKind::Added,
                Some(b) if b.node_type == node.node_type && b.subtree == node.subtree && b.content == node.content && !metadata_differs(&b, &node) => continue,
                Some(_) => ChangeKind::Changed,
            };
            marks.insert(escape(&node_name(&node)), mark);
        }
        marks.extend(before.keys().map(|name| (escape(name), ChangeKind::Removed)));
        Ok(marks)
    }

    /// The file under `path`; `None` where no regular file is.
    ///
    /// # Errors
    /// As [`Self::find`]; `Damaged` where the index lacks a part of its content.
    pub fn file(&self, tree: &str, path: &str) -> Result<Option<File>> {
        match self.find(tree, path)? {
            Some(Place::Node(node)) if node.is_file() => self.file_of(&node).map(Some),
            _ => Ok(None),
        }
    }

    /// Reads contents for one archive.
    pub(super) fn contents(&self) -> Result<Contents<'_>> {
        Ok(Contents::new(&self.index, self.repository.pack_reader()?))
    }

    fn file_of(&self, node: &Node) -> Result<File> {
        let ids = node.content.as_deref().unwrap_or_default();
        let (mut pieces, mut end, mut tag) = (Vec::with_capacity(ids.len()), 0, Sha256::new());
        for id in ids {
            let place = self.index.get_index_entry(id).map_err(|_| {
                let (name, id) = (escape(&node_name(node)), id.to_hex());
                EngineError::new(ErrorKind::Damaged, format!("{name}: the repository lacks a part of its content, blob {}; run a check", id.as_str()))
            })?;
            end += u64::from(place.data_length());
            pieces.push((*id, end));
            tag.update(id.to_hex().as_str());
        }
        Ok(File { entry: entry(node), tag: hex::encode(&tag.finalize()[..16]), bytes: end, pieces: Arc::new(pieces) })
    }

    /// Reads from `offset` to the end of the piece that holds it, at most `most` bytes. Empty at the end of the file.
    ///
    /// # Errors
    /// `Damaged`; what the storage says.
    pub fn read(&self, file: &File, offset: u64, most: usize) -> Result<Bytes> {
        let at = file.pieces.partition_point(|(_, end)| *end <= offset);
        let Some((id, end)) = file.pieces.get(at) else { return Ok(Bytes::new()) };
        let start = if at == 0 { 0 } else { file.pieces[at - 1].1 };
        let blob = self.index.get_blob_cached(&BlobId::from(**id), BlobType::Data).map_err(|e| {
            let e = from_rustic(e);
            let kind = if matches!(e.kind, ErrorKind::Internal | ErrorKind::NotFound) { ErrorKind::Damaged } else { e.kind };
            EngineError { kind, message: format!("{}: {}", file.entry.name, e.message), source: e.source }
        })?;
        if blob.len() as u64 != end - start {
            return Err(EngineError::new(ErrorKind::Damaged, format!("{}: a part of its content has not the length the index says", file.entry.name)));
        }
        let from = (offset - start) as usize;
        Ok(blob.slice(from..blob.len().min(from.saturating_add(most))))
    }

    /// The first `most` bytes of a file.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn head(&self, file: &File, most: usize) -> Result<Bytes> {
        let mut all = BytesMut::new();
        while all.len() < most {
            let next = self.read(file, all.len() as u64, most - all.len())?;
            if next.is_empty() {
                break;
            }
            all.extend_from_slice(&next);
        }
        Ok(all.freeze())
    }
}

impl Place {
    /// The tree of a folder.
    pub fn folder(&self) -> Option<TreeId> {
        match self {
            Self::Folder(id) => Some(*id),
            Self::Node(node) if node.is_dir() => node.subtree,
            Self::Node(_) => None,
        }
    }

    /// The entry; `None` for the folder at the top, which has no name.
    pub fn entry(&self) -> Option<Entry> {
        match self {
            Self::Folder(_) => None,
            Self::Node(node) => Some(entry(node)),
        }
    }
}

fn entry(node: &Node) -> Entry {
    Entry {
        name: escape(&node_name(node)),
        kind: kind(node),
        bytes: if node.is_file() { i64::try_from(node.meta.size).unwrap_or(i64::MAX) } else { 0 },
        modified_at: modified_at(node),
        mode: node.meta.mode.map(unix_mode),
        link: node.is_symlink().then(|| escape(link_target(node))),
    }
}
