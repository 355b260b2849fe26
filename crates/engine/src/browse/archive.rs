//! A folder of a snapshot on its way into an archive.
//!
//! Lives here: the walk, reading ahead, what an archive's writer must do. May not: formats of archives.
//! Invariants: nothing is kept of a file but its blobs in hand; what an archive cannot hold safely is left out by
//! name, never silently.

use std::{
    collections::{HashMap, HashSet},
    io::Write,
};

use domain::naming::escape;
use rustic_core::{
    DataId, TreeId,
    repofile::{Node, Tree},
};

use super::{
    browser::Browser,
    content::Contents,
    diff::MAX_DEPTH,
    tar_format,
    trees::{Trees as _, node_name},
    zip_format,
};
use crate::{
    EngineError, ErrorKind, Result,
    job::Problem,
    restore::names::{Selection, join, refusal, show},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Zip,
    Tar,
}

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
pub trait Writer {
    /// Another folder begins: names are unique in it.
    fn enter(&mut self);

    /// The archive's form of one name in a folder, unique in it.
    fn name(&mut self, name: &[u8]) -> Vec<u8>;

    fn dir(&mut self, path: &[u8], node: &Node) -> Result<()>;

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

/// Writes what stands under `paths` of the tree into `out`. No path at all means everything.
///
/// Names start below the folder that all paths share. Tar holds everything but sockets and extended attributes, with
/// owners' numbers and names of any bytes. Zip holds files, folders and links that stay inside, with `%XX` for what a
/// name cannot hold; a file with several names is written once for each.
///
/// # Errors
/// `NotFound` where nothing stands under a path; `Damaged` where a file breaks off; `Cancelled` where `out` takes no
/// more. What was written by then does not look like a whole archive.
pub fn archive(browser: &Browser, tree: &str, paths: &[String], format: Format, out: impl Write) -> Result<Archived> {
    for path in paths {
        browser.find(tree, path)?.ok_or_else(|| EngineError::new(ErrorKind::NotFound, format!("{path} is not in this snapshot")))?;
    }
    match format {
        Format::Tar => tar_format::write(out, |tar| Walk::new(browser, tar)?.run(tree, paths)),
        Format::Zip => zip_format::write(out, |zip| Walk::new(browser, zip)?.run(tree, paths)),
    }
}

struct Walk<'a, F> {
    browser: &'a Browser,
    out: &'a mut F,
    contents: Contents<'a>,
    done: Archived,
    /// Files with several names: what they hold, and the first path.
    links: HashMap<(u64, u64), (Vec<DataId>, Vec<u8>)>,
}

/// A folder still to be written. The one that everything starts from has no node and no path.
struct Below<'s> {
    path: Vec<u8>,
    node: Option<Box<Node>>,
    tree: TreeId,
    depth: usize,
    select: Option<&'s Selection>,
}

impl<'a, F: Writer> Walk<'a, F> {
    fn new(browser: &'a Browser, out: &'a mut F) -> Result<Self> {
        Ok(Self { browser, out, contents: browser.contents()?, done: Archived::default(), links: HashMap::new() })
    }

    fn run(mut self, tree: &str, paths: &[String]) -> Result<Archived> {
        let selection = Selection::read(paths)?;
        let (top, select) = shared(&selection);
        let tree = self.browser.find(tree, &escape(&top))?.and_then(|place| place.folder());
        let tree = tree.ok_or_else(|| EngineError::new(ErrorKind::Damaged, format!("{}: the snapshot does not say what is in this folder", show(&top))))?;
        // A folder's entry comes right before what is in it: tar sets its times when it is left.
        let mut todo = vec![Below { path: Vec::new(), node: None, tree, depth: 0, select: (!select.is_whole()).then_some(select) }];
        while let Some(at) = todo.pop() {
            let first = todo.len();
            if let Some(node) = &at.node {
                self.out.dir(&at.path, node)?;
                self.done.dirs += 1;
            }
            match self.browser.tree(&at.tree) {
                Err(e) if e.kind == ErrorKind::Damaged => self.leave_out(&at.path, e.message),
                tree => {
                    let tree = tree?;
                    self.folder(&at, &tree, &mut todo)?;
                }
            }
            todo[first..].reverse();
        }
        if self.done.left_out_total > 0 {
            let lines: Vec<String> = self.done.left_out.iter().map(|p| format!("{}: {}\n", p.path, p.message)).collect();
            let more = self.done.left_out_total - lines.len() as i64;
            let more = if more > 0 { format!("and {more} more\n") } else { String::new() };
            self.out.text(NOTES, &format!("These are in the snapshot but not in this archive:\n\n{}{more}", lines.concat()))?;
        }
        Ok(self.done)
    }

    fn folder<'s>(&mut self, at: &Below<'s>, tree: &Tree, below: &mut Vec<Below<'s>>) -> Result<()> {
        self.out.enter();
        let (mut seen, mut files) = (HashSet::new(), Vec::new());
        for node in sorted(tree) {
            let name = node_name(node);
            let select = match at.select.map(|s| s.child(&name)) {
                Some(None) => continue,
                Some(Some(part)) => part,
                None => None,
            };
            let full = join(&at.path, &name);
            let why = refusal(&name).or_else(|| (!seen.insert(name.to_vec())).then_some("the folder holds this name twice"));
            if let Some(why) = why {
                self.leave_out(&full, why.to_owned());
                continue;
            }
            let name = self.out.name(&name);
            match (node.is_dir(), node.subtree) {
                (false, _) => files.push((name, node)),
                (true, Some(tree)) if at.depth < MAX_DEPTH => {
                    below.push(Below { path: join(&at.path, &name), node: Some(Box::new(node.clone())), tree, depth: at.depth + 1, select });
                }
                _ => self.leave_out(&full, "its content cannot be reached".to_owned()),
            }
        }
        self.files(&at.path, &files)
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
            match self.out.other(path, node)? {
                Ok(()) => self.done.files += 1,
                Err(why) => self.leave_out(path, why),
            }
            return Ok(());
        }
        let key = (node.meta.device_id, node.meta.inode);
        if node.meta.links > 1
            && let Some((content, first)) = self.links.get(&key)
            && content.as_slice() == node.content.as_deref().unwrap_or_default()
            && self.out.hard_link(path, node, first)?
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
        self.out.file(path, node, size, &mut content)?;
        if node.meta.links > 1 {
            self.links.insert(key, (node.content.clone().unwrap_or_default(), path.to_vec()));
        }
        self.done.files += 1;
        self.done.bytes = self.done.bytes.saturating_add(i64::try_from(size).unwrap_or(i64::MAX));
        Ok(())
    }
}

/// An error of whoever takes the archive.
pub fn reader_gone(e: std::io::Error) -> EngineError {
    EngineError::with_source(ErrorKind::Cancelled, format!("the archive was not taken: {e}"), e)
}

/// The folder that all chosen paths share, and what is chosen in it. A path's own last name is never part of it.
fn shared(selection: &Selection) -> (Vec<u8>, &Selection) {
    let (mut path, mut at) = (Vec::new(), selection);
    while let Some((name, inner)) = at.only().filter(|(_, inner)| !inner.is_whole()) {
        path = join(&path, name);
        at = inner;
    }
    (path, at)
}

/// The nodes by name.
fn sorted(tree: &Tree) -> Vec<&Node> {
    let mut nodes: Vec<&Node> = tree.nodes.iter().collect();
    if !nodes.is_sorted_by(|a, b| node_name(a) <= node_name(b)) {
        nodes.sort_by(|a, b| node_name(a).cmp(&node_name(b)));
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_start_below_what_all_paths_share() {
        let top = |paths: &[&str]| {
            let selection = Selection::read(&paths.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>()).unwrap();
            show(&shared(&selection).0)
        };
        assert_eq!(top(&[]), ".");
        assert_eq!(top(&[""]), ".");
        assert_eq!(top(&["a"]), ".");
        assert_eq!(top(&["/a/b/c"]), "a/b");
        assert_eq!(top(&["a/b/c", "a/b/d"]), "a/b");
        assert_eq!(top(&["a/b/c", "a/b"]), "a");
        assert_eq!(top(&["a/b/c", "x"]), ".");
    }
}
