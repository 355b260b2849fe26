//! From a walk to a tree in the repository.
//!
//! One thread walks and compares with the parents, several read and store the files that changed, and the calling
//! thread puts the folders together in the order of the walk.
//!
//! Lives here: this pipeline. May not: snapshots, items.
//! Invariants: a file is in its folder's tree only with all of its content stored; the first fault of the storage ends
//! everything. Memory: a fixed number of entries on the way, one piece of a file and one pack a thread.

use std::{
    cmp::Ordering as Cmp,
    os::unix::ffi::OsStrExt as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use rustic_core::{
    DataId, TreeId,
    repofile::{Node, NodeType, Tree},
};

use super::{
    super::Indexed,
    chunker::Chunker,
    packer::{Packer, Tools},
};
use crate::{
    EngineError, ErrorKind, Result,
    sources::{
        Tally,
        directory::{Listed, Step, Walk},
    },
};

/// Batches of entries between the walk and the trees, and entries in one: handing them over one by one costs more
/// than comparing them.
const ON_THE_WAY: usize = 8;
const BATCH: usize = 128;
/// Files that wait to be read. Each may hold a descriptor of its folder.
const WAITING: usize = 64;

/// What was put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Archived {
    pub tree: TreeId,
    /// Everything that is no folder.
    pub files: u64,
    pub dirs: u64,
    pub bytes: u64,
}

/// The pipeline.
pub struct Archiver<'a> {
    pub index: &'a Indexed,
    pub packer: &'a Packer<'a>,
    pub chunker: Chunker,
    pub parents: Vec<TreeId>,
    pub tally: &'a Arc<Tally>,
    /// Bytes dealt with, read or found unchanged.
    pub bytes: &'a AtomicI64,
}

/// A file's content once it is known; `None` where it could not be read.
type Content = Option<Vec<DataId>>;

enum Message {
    Enter(Node),
    /// The content is known already, or there is none.
    Ready(Node),
    Later(Node, Receiver<Content>),
    Leave,
}

struct Work {
    file: Box<Listed>,
    answer: SyncSender<Content>,
}

impl Archiver<'_> {
    /// Stores all that `walk` shows.
    ///
    /// # Errors
    /// Those of the storage. What could not be read at the source is in the tally. When the tally was told to stop,
    /// the result is good for nothing.
    pub fn run(&self, walk: Walk) -> Result<Archived> {
        let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).clamp(2, 8);
        let (messages_in, messages) = sync_channel(ON_THE_WAY);
        let (work_in, work) = sync_channel::<Work>(WAITING);
        let work = Mutex::new(work);
        let fault = Mutex::new(None::<EngineError>);
        let fail = |e: EngineError| {
            fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
            // Walk and readers look at it, so everything comes to its end.
            self.tally.stop.store(true, Relaxed);
        };
        let built = std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    if let Err(e) = self.read_files(&work) {
                        fail(e);
                        // Those that wait still must not wait for ever.
                        while next(&work).is_some() {}
                    }
                });
            }
            scope.spawn(move || self.walk(walk, &messages_in, &work_in));
            let built = self.build(&messages);
            if built.is_err() {
                self.tally.stop.store(true, Relaxed);
                while messages.recv().is_ok() {}
            }
            built
        });
        fault.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(built, Err)
    }

    fn walk(&self, walk: Walk, messages: &SyncSender<Vec<Message>>, work: &SyncSender<Work>) {
        let mut parents = Parents::new(self.index, &self.parents);
        let mut batch = Vec::with_capacity(BATCH);
        for step in walk {
            let message = match step {
                Step::Enter(node) => {
                    parents.enter(&node);
                    Message::Enter(node)
                }
                Step::Leave => {
                    parents.leave();
                    Message::Leave
                }
                Step::Entry(node, None) => Message::Ready(node),
                Step::Entry(mut node, Some(file)) => {
                    if let Some(content) = parents.unchanged(&node).filter(|c| c.iter().all(|id| self.packer.has_data(id))) {
                        self.bytes.fetch_add(i64::try_from(node.meta.size).unwrap_or(0), Relaxed);
                        node.content = Some(content);
                        Message::Ready(node)
                    } else {
                        let (answer, later) = sync_channel(1);
                        if work.send(Work { file, answer }).is_err() {
                            return;
                        }
                        Message::Later(node, later)
                    }
                }
            };
            batch.push(message);
            if batch.len() == BATCH && messages.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH))).is_err() {
                return;
            }
        }
        // Whoever does not take it has stopped for a reason of its own.
        messages.send(batch).unwrap_or_default();
    }

    /// One reader: takes files until there are no more.
    fn read_files(&self, work: &Mutex<Receiver<Work>>) -> Result<()> {
        let mut tools = self.packer.tools()?;
        let mut chunker = self.chunker.clone();
        while let Some(Work { file, answer }) = next(work) {
            let content = self.read_file(file, &mut chunker, &mut tools)?;
            // Nobody waits any more when everything is being stopped.
            answer.send(content).unwrap_or_default();
        }
        Ok(())
    }

    fn read_file(&self, file: Box<Listed>, chunker: &mut Chunker, tools: &mut Tools) -> Result<Content> {
        let size = usize::try_from(file.size()).unwrap_or(usize::MAX);
        let Some(mut reader) = file.open() else { return Ok(None) };
        // A hint: what a sparse file claims to be is not what it takes.
        let mut content = Vec::with_capacity((1 + size / (1 << 20)).min(1 << 12));
        chunker.start();
        loop {
            let piece = match chunker.next(&mut reader) {
                Ok(Some(piece)) => piece,
                Ok(None) => return Ok(Some(content)),
                // The reader has told the tally.
                Err(_) => return Ok(None),
            };
            content.push(self.packer.data(piece, tools)?);
            self.bytes.fetch_add(i64::try_from(piece.len()).unwrap_or(0), Relaxed);
        }
    }

    fn build(&self, messages: &Receiver<Vec<Message>>) -> Result<Archived> {
        let mut tools = self.packer.tools()?;
        let mut archived = Archived::default();
        let mut open: Vec<(Node, Tree)> = Vec::new();
        let mut tree = Tree::default();
        for message in messages.iter().flatten() {
            let node = match message {
                Message::Enter(node) => {
                    open.push((node, std::mem::take(&mut tree)));
                    continue;
                }
                Message::Leave => {
                    let (mut node, above) = open.pop().ok_or_else(|| fault("a folder was left that was not entered"))?;
                    node.subtree = Some(self.save(&std::mem::replace(&mut tree, above), &mut tools)?);
                    archived.dirs += 1;
                    tree.nodes.push(node);
                    continue;
                }
                Message::Ready(node) => node,
                Message::Later(mut node, later) => {
                    let Ok(Some(content)) = later.recv() else { continue };
                    node.content = Some(content);
                    node
                }
            };
            archived.files += 1;
            archived.bytes += node.meta.size;
            tree.nodes.push(node);
        }
        if self.tally.stopped() {
            return Err(EngineError::new(ErrorKind::Cancelled, "stopped as asked"));
        }
        if !open.is_empty() {
            return Err(fault("the walk ended inside a folder"));
        }
        archived.tree = self.save(&tree, &mut tools)?;
        Ok(archived)
    }

    fn save(&self, tree: &Tree, tools: &mut Tools) -> Result<TreeId> {
        // restic ends the JSON of a tree with a newline, and its id is that of exactly these bytes.
        let mut json = serde_json::to_vec(tree).map_err(|e| EngineError::with_source(ErrorKind::Internal, "a tree cannot be written as JSON", e))?;
        json.push(b'\n');
        self.packer.tree(&json, tools)
    }
}

fn next(work: &Mutex<Receiver<Work>>) -> Option<Work> {
    work.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

fn fault(words: &str) -> EngineError {
    EngineError::new(ErrorKind::Internal, words)
}

/// The parents' trees beside the walk: for each open folder the nodes of the same folder there, and how far the walk
/// has come in them. Both are sorted by the bytes of their names.
struct Parents<'a> {
    index: &'a Indexed,
    stack: Vec<Vec<(Vec<Node>, usize)>>,
}

impl<'a> Parents<'a> {
    fn new(index: &'a Indexed, roots: &[TreeId]) -> Self {
        let mut parents = Self { index, stack: Vec::new() };
        let trees = roots.iter().filter_map(|id| parents.read(*id)).collect();
        parents.stack.push(trees);
        parents
    }

    /// A tree that cannot be read is no parent: its files are read anew.
    fn read(&self, id: TreeId) -> Option<(Vec<Node>, usize)> {
        let read = self.index.get_tree(&id);
        let tree = read.inspect_err(|e| tracing::warn!("a tree of the parent cannot be read: {}", e.display_log())).ok()?;
        Some((tree.nodes, 0))
    }

    /// Nodes of the same name, at most one a parent.
    fn same_name(&mut self, name: &[u8]) -> Vec<&Node> {
        let Some(level) = self.stack.last_mut() else { return Vec::new() };
        let mut found = Vec::with_capacity(level.len());
        for (nodes, at) in level {
            while let Some(node) = nodes.get(*at) {
                match node.name().as_bytes().cmp(name) {
                    Cmp::Less => *at += 1,
                    Cmp::Equal => {
                        found.push(&nodes[*at]);
                        break;
                    }
                    Cmp::Greater => break,
                }
            }
        }
        found
    }

    fn enter(&mut self, folder: &Node) {
        let mut trees: Vec<TreeId> = self.same_name(folder.name().as_bytes()).into_iter().filter_map(|n| n.subtree).collect();
        trees.sort();
        trees.dedup();
        let level = trees.into_iter().filter_map(|id| self.read(id)).collect();
        self.stack.push(level);
    }

    fn leave(&mut self) {
        self.stack.pop();
    }

    /// The content of a file that a parent has with the same size, mtime, ctime and inode.
    fn unchanged(&mut self, file: &Node) -> Option<Vec<DataId>> {
        let name = file.name().into_owned();
        let same = |was: &&Node| {
            was.node_type == NodeType::File
                && was.meta.size == file.meta.size
                && was.meta.mtime == file.meta.mtime
                && was.meta.ctime.is_none_or(|c| Some(c) == file.meta.ctime)
                && (was.meta.inode == 0 || was.meta.inode == file.meta.inode)
        };
        self.same_name(name.as_bytes()).into_iter().find(same).and_then(|was| was.content.clone())
    }
}
