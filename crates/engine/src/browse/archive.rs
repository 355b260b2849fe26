//! A folder of a snapshot on its way into an archive.
//!
//! Lives here: the walk, reading ahead, what an archive's writer must do. May not: formats of archives.
//! Invariants: nothing is kept of a file but its blobs in hand; what an archive cannot hold safely is left out by
//! name, never silently.

use std::collections::{HashMap, HashSet};

use rustic_core::{DataId, TreeId, repofile::Node};

use super::{
    browser::{Browser, Place, sorted, subtree},
    content::Contents,
    diff::MAX_DEPTH,
    trees::{Trees as _, node_name},
};
use crate::{
    EngineError, ErrorKind, Result,
    job::Problem,
    restore::names::{join, refusal, show},
};

/// What became of an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Archived {
    pub files: i64,
    pub dirs: i64,
    /// Bytes of the files' contents.
    pub bytes: i64,
    /// What is not in it, at most 1000 by name. The archive ends with a text file that says the same.
    pub left_out: Vec<Problem>,
    pub left_out_total: i64,
}

/// The last entry of an archive in which something is missing.
pub const NOTES: &str = "NOT IN THIS ARCHIVE.txt";

/// Hands over a file's content, piece by piece.
pub type Content<'c> = &'c mut dyn FnMut(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>;

/// Writes the entries of an archive.
pub trait Format {
    /// Another folder begins: names are unique in it.
    fn enter(&mut self);

    /// The archive's form of one name in a folder, unique in it.
    ///
    /// # Errors
    /// Says why the format cannot hold it.
    fn name(&mut self, name: &[u8]) -> std::result::Result<Vec<u8>, String>;

    fn dir(&mut self, path: &[u8], node: Option<&Node>) -> Result<()>;

    /// A file with its content, `size` bytes in all, which `content` hands over.
    fn file(&mut self, path: &[u8], node: &Node, size: u64, content: Content) -> Result<()>;

    /// Anything else.
    ///
    /// # Errors
    /// The inner one says why the format cannot hold it.
    fn other(&mut self, path: &[u8], node: &Node) -> Result<std::result::Result<(), String>>;

    /// Another name of a file that was written. `false` where the format has no such thing.
    fn hard_link(&mut self, path: &[u8], node: &Node, first: &[u8]) -> Result<bool>;

    fn text(&mut self, name: &str, text: &str) -> Result<()>;
}

pub struct Walk<'a, F> {
    pub browser: &'a Browser,
    pub format: F,
    contents: Contents<'a>,
    done: Archived,
    /// Files with several names: what they hold, and the first path.
    links: HashMap<(u64, u64), (Vec<DataId>, Vec<u8>)>,
}

/// A folder still to be written: its path, its node where it has one, its tree and its depth.
type Below = (Vec<u8>, Option<Box<Node>>, TreeId, usize);

impl<'a, F: Format> Walk<'a, F> {
    pub fn new(browser: &'a Browser, format: F) -> Result<Self> {
        Ok(Self { browser, format, contents: browser.contents()?, done: Archived::default(), links: HashMap::new() })
    }

    /// Writes the folder or file at `path`; `top` is the name of the folder that the whole archive lies in.
    pub fn run(mut self, tree: &str, path: &str, top: &str) -> Result<(F, Archived)> {
        let place = self.browser.node(tree, path)?;
        let top = match self.format.name(top.as_bytes()) {
            Ok(name) if refusal(&name).is_none() => name,
            _ => b"snapshot".to_vec(),
        };
        // A folder's entry comes right before what is in it: tar sets its times when it is left.
        let mut todo: Vec<Below> = Vec::new();
        match place {
            Place::Top(id) => todo.push((top, None, id, 0)),
            Place::Node(node) if node.is_dir() => {
                let id = subtree(&node, path)?;
                todo.push((top, Some(node), id, 0));
            }
            Place::Node(node) => {
                let name = self.format.name(&node_name(&node)).unwrap_or_else(|_| top.clone());
                self.files(&[], &[(name, &*node)])?;
            }
        }
        while let Some((at, node, id, depth)) = todo.pop() {
            let first = todo.len();
            self.format.dir(&at, node.as_deref())?;
            self.done.dirs += i64::from(depth > 0);
            let tree = match self.browser.tree(&id) {
                Err(e) if e.kind == ErrorKind::Damaged => {
                    self.leave_out(&at, e.message);
                    continue;
                }
                other => other?,
            };
            self.format.enter();
            let (mut seen, mut files) = (HashSet::new(), Vec::new());
            for node in sorted(&tree) {
                let name = node_name(node);
                let full = join(&at, &name);
                let why = refusal(&name).or_else(|| (!seen.insert(name.to_vec())).then_some("the folder holds this name twice"));
                let name = match why.map_or_else(|| self.format.name(&name), |why| Err(why.to_owned())) {
                    Ok(name) => name,
                    Err(why) => {
                        self.leave_out(&full, why);
                        continue;
                    }
                };
                if !node.is_dir() {
                    files.push((name, node));
                    continue;
                }
                match node.subtree {
                    Some(id) if depth < MAX_DEPTH => todo.push((join(&at, &name), Some(Box::new(node.clone())), id, depth + 1)),
                    _ => self.leave_out(&full, "its content cannot be reached".to_owned()),
                }
            }
            self.files(&at, &files)?;
            todo[first..].reverse();
        }
        if self.done.left_out_total > 0 {
            let lines: Vec<String> = self.done.left_out.iter().map(|p| format!("{}: {}\n", p.path, p.message)).collect();
            let more = self.done.left_out_total - lines.len() as i64;
            let more = if more > 0 { format!("and {more} more\n") } else { String::new() };
            self.format.text(NOTES, &format!("These are in the snapshot but not in this archive:\n\n{}{more}", lines.concat()))?;
        }
        Ok((self.format, self.done))
    }

    fn leave_out(&mut self, path: &[u8], message: String) {
        self.done.left_out_total += 1;
        if self.done.left_out.len() < 1_000 {
            self.done.left_out.push(Problem { path: show(path), message });
        }
    }

    fn files(&mut self, at: &[u8], files: &[(Vec<u8>, &Node)]) -> Result<()> {
        let mut rest = files;
        while !rest.is_empty() {
            let nodes: Vec<&Node> = rest.iter().take(2_000).map(|(_, n)| *n).collect();
            let ready = self.contents.read_ahead(&nodes)?;
            for (name, node) in &rest[..ready] {
                self.one(&join(at, name), node)?;
            }
            rest = &rest[ready..];
        }
        Ok(())
    }

    fn one(&mut self, path: &[u8], node: &Node) -> Result<()> {
        if !node.is_file() {
            match self.format.other(path, node)? {
                Ok(()) => self.done.files += 1,
                Err(why) => self.leave_out(path, why),
            }
            return Ok(());
        }
        let key = (node.meta.device_id, node.meta.inode);
        if node.meta.links > 1
            && let Some((content, first)) = self.links.get(&key)
            && content.as_slice() == node.content.as_deref().unwrap_or_default()
            && self.format.hard_link(path, node, first)?
        {
            self.done.files += 1;
            return Ok(());
        }
        let size = match self.contents.size(node) {
            Ok(size) => size,
            Err(e) if e.kind == ErrorKind::Damaged => {
                self.leave_out(path, e.message);
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        let contents = &mut self.contents;
        let mut content = |each: &mut dyn FnMut(&[u8]) -> Result<()>| match contents.read(node, 0..size, each)? {
            sent if sent == size => Ok(()),
            sent => Err(EngineError::new(ErrorKind::Damaged, format!("{}: {sent} bytes instead of {size}", show(path)))),
        };
        self.format.file(path, node, size, &mut content)?;
        if node.meta.links > 1 {
            self.links.insert(key, (node.content.clone().unwrap_or_default(), path.to_vec()));
        }
        self.done.files += 1;
        self.done.bytes = self.done.bytes.saturating_add(i64::try_from(size).unwrap_or(i64::MAX));
        Ok(())
    }
}
