//! Comparing restored folders with the snapshots they came from (R32).
//!
//! Lives here: the walk over snapshot and folder, re-hashing what lies in the folder. May not: verdicts.
//! Invariants: every byte of every file is read anew from the folder and hashed at the boundaries of the blobs; what
//! is there and not in the snapshot is a difference too; nothing is written.

use std::{
    collections::{HashMap, HashSet},
    os::fd::OwnedFd,
    path::Path,
    sync::{Mutex, PoisonError},
};

use domain::run::ItemState;
use rustic_core::{
    TreeId,
    repofile::{Metadata, Node, NodeType},
};
use rustix::{
    fs::{self, Mode, OFlags},
    io::Errno,
};

use super::{
    batch::in_threads,
    item::SHOWN,
    meta::{differences, same_xattrs},
    meter::Meter,
    names::{LONGEST_PATH, Selection, join, refusal, show},
    plan::link_target,
    run::is_privileged,
    stage::{BlobHashes, content},
    target::{Found, Root, fail, look_in, names_in, resolve},
};
use crate::{
    Ctx, ErrorKind, Result,
    browse::{Trees, diff::MAX_DEPTH, trees::node_name},
    job::{CompareJob, CompareOutcome, Event, ItemResult, Problem, RestoreItem},
    repository::{Indexed, LockKind, Notes, Repository, packs::place},
};

/// Files that wait to be hashed.
const WAITING: usize = 4_096;

/// Compares every item's target with its snapshot: content, kind, mode, owner, times, links, extended attributes, and
/// that nothing else is there. Owners count only where this process could have set them.
///
/// # Errors
/// What keeps it from comparing at all. Differences are no errors; a target that is not there is one difference.
pub fn run_compare(job: &CompareJob, ctx: &Ctx) -> Result<CompareOutcome> {
    let repository = Repository::open(&job.access, &ctx.rt)?;
    repository.with_lock(LockKind::Shared, ctx, |held| {
        let index = repository.to_indexed()?;
        let meter = Meter::new(ctx, job.items.len());
        let mut outcome = CompareOutcome::default();
        for item in &job.items {
            held.check()?;
            let snapshot = repository.snapshot(&item.snapshot)?;
            let mut one = Compare {
                item,
                index: &index,
                ctx,
                meter: &meter,
                privileged: is_privileged(),
                out: Out::default(),
                waiting: Vec::new(),
                links: HashMap::new(),
            };
            one.run(snapshot.tree, Notes::of(&snapshot).folder)?;
            meter.item(&item.name);
            let out = one.out;
            outcome.items += 1;
            outcome.files += out.files;
            outcome.dirs += out.dirs;
            outcome.bytes += out.bytes;
            outcome.differences_total += out.total;
            let room = SHOWN - outcome.differences.len();
            outcome
                .differences
                .extend(out.differences.iter().take(room).map(|d| Problem { path: format!("{}/{}", item.name, d.path), message: d.message.clone() }));
            ctx.emit(Event::Item(ItemResult {
                name: item.name.clone(),
                state: if out.total == 0 { ItemState::Ok } else { ItemState::Failed },
                snapshot: None,
                files: out.files,
                bytes: out.bytes,
                bytes_added: 0,
                problems: out.differences,
                problems_total: out.total,
            }));
        }
        meter.finish();
        Ok(outcome)
    })
}

#[derive(Default)]
struct Out {
    files: i64,
    dirs: i64,
    bytes: i64,
    differences: Vec<Problem>,
    total: i64,
}

impl Out {
    fn differs(&mut self, path: &[u8], message: impl Into<String>) {
        self.total += 1;
        if self.differences.len() < SHOWN {
            self.differences.push(Problem { path: show(path), message: message.into() });
        }
    }
}

const CLOSED: &str = "cannot be compared: its mode does not let this process read it";

/// A folder that is still to be compared.
struct Below<'s> {
    path: Vec<u8>,
    depth: usize,
    tree: TreeId,
    select: Option<&'s Selection>,
}

struct Compare<'a> {
    item: &'a RestoreItem,
    index: &'a Indexed,
    ctx: &'a Ctx<'a>,
    meter: &'a Meter<'a>,
    privileged: bool,
    out: Out,
    waiting: Vec<(Vec<u8>, Vec<rustic_core::DataId>)>,
    /// The inode at the target that stands for a hard-linked file of the snapshot, and its first path.
    links: HashMap<(u64, u64), (u64, Vec<u8>)>,
}

impl Compare<'_> {
    fn run(&mut self, tree: TreeId, folder: Option<Metadata>) -> Result<()> {
        let selection = Selection::read(&self.item.paths)?;
        let target = resolve(&self.item.target)?;
        let root = match Root::open(&target) {
            Ok(root) => root,
            Err(Errno::NOENT) => {
                self.out.differs(b"", "the folder is not there");
                return Ok(());
            }
            Err(e) => return Err(fail("open", &shown(&target), e)),
        };
        if let (Some(meta), true) = (folder, selection.is_whole()) {
            let node = Node { node_type: NodeType::Dir, meta, ..Node::default() };
            let found = Found::from(fs::fstat(&root).map_err(|e| fail("look at", &shown(&target), e))?);
            for message in differences(&node, &found, self.privileged) {
                self.out.differs(b"", message);
            }
        }
        let mut todo = vec![Below { path: Vec::new(), depth: 0, tree, select: (!selection.is_whole()).then_some(&selection) }];
        while let Some(at) = todo.pop() {
            self.folder(&root, &at, &mut todo)?;
        }
        self.hash(&root)
    }

    fn folder<'s>(&mut self, root: &Root, at: &Below<'s>, below: &mut Vec<Below<'s>>) -> Result<()> {
        self.ctx.check()?;
        let (path, select) = (&at.path, at.select);
        let tree = match self.index.tree(&at.tree) {
            Err(e) if e.kind == ErrorKind::Damaged => {
                self.out.differs(path, format!("cannot be compared: {}", e.message));
                return Ok(());
            }
            other => other?,
        };
        let dir = match root.dir(path) {
            Err(Errno::ACCESS) => {
                self.out.differs(path, CLOSED);
                return Ok(());
            }
            other => other.map_err(|e| fail("open folder", &show(path), e))?,
        };
        let mut seen = HashSet::with_capacity(tree.nodes.len());
        for node in &tree.nodes {
            let name = node_name(node);
            let part = match select.map(|s| s.child(&name)) {
                Some(None) => continue,
                Some(Some(part)) => part,
                None => None,
            };
            let full = join(path, &name);
            if refusal(&name).is_some() || full.len() > LONGEST_PATH || at.depth > MAX_DEPTH {
                self.out.differs(&full, "this name cannot be restored");
                continue;
            }
            if !seen.insert(name.to_vec()) {
                self.out.differs(&full, "the snapshot holds this name twice");
                continue;
            }
            let found = look_in(&dir, &name).map_err(|e| fail("look at", &show(&full), e))?;
            self.node(&dir, node, &name, &full, found, part.is_some())?;
            if node.is_dir() && found.is_some_and(|f| f.is_dir()) {
                self.out.dirs += 1;
                match node.subtree {
                    Some(tree) => below.push(Below { path: full, depth: at.depth + 1, tree, select: part }),
                    None => self.out.differs(&full, "the snapshot does not say what is in this folder"),
                }
            }
        }
        for name in select.into_iter().flat_map(Selection::names).filter(|n| !seen.contains(*n)) {
            self.out.differs(&join(path, name), "is not in the snapshot");
        }
        if select.is_none() {
            let extra = names_in(dir).map_err(|e| fail("read folder", &show(path), e))?;
            for name in extra.iter().filter(|n| !seen.contains(*n)) {
                self.out.differs(&join(path, name), "is at the target but not in the snapshot");
            }
        }
        if self.waiting.len() >= WAITING {
            self.hash(root)?;
        }
        Ok(())
    }

    /// Compares everything of one node but a file's content, which waits. A folder that is only passed through on the
    /// way to a chosen path keeps its own metadata.
    fn node(&mut self, dir: &OwnedFd, node: &Node, name: &[u8], full: &[u8], found: Option<Found>, passing: bool) -> Result<()> {
        let device = matches!(node.node_type, NodeType::Dev { .. } | NodeType::Chardev { .. });
        if node.node_type == NodeType::Socket || device && !self.privileged {
            return Ok(());
        }
        let Some(found) = found else {
            self.out.differs(full, "is in the snapshot but not at the target");
            return Ok(());
        };
        if !node.is_dir() {
            self.out.files += 1;
        }
        if passing {
            return Ok(());
        }
        // A file's length is compared with the sum of its blobs' lengths, together with its content.
        let mut wrong = differences(node, &Found { size: node.meta.size, ..found }, self.privileged);
        if node.is_symlink() && fs::readlinkat(dir, name, Vec::new()).is_ok_and(|l| l.as_bytes() != link_target(node)) {
            wrong.push("leads elsewhere".to_owned());
        }
        if wrong.is_empty() && !same_xattrs(dir, name, &node.meta, &found, full)? {
            wrong.push("has other extended attributes".to_owned());
        }
        if node.is_file() && wrong.is_empty() {
            if node.meta.links > 1 {
                let first = self.links.entry((node.meta.device_id, node.meta.inode)).or_insert((found.ino, full.to_vec()));
                if first.0 != found.ino {
                    wrong.push(format!("is no hard link to {}", show(&first.1)));
                }
            }
            self.waiting.push((full.to_vec(), content(node).to_vec()));
        }
        for message in wrong {
            self.out.differs(full, message);
        }
        Ok(())
    }

    /// Hashes the files that wait.
    fn hash(&mut self, root: &Root) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        let found = Mutex::new((0_i64, Vec::new()));
        in_threads(
            self.ctx,
            waiting.len(),
            || Ok(BlobHashes::default()),
            |hashes, n| {
                let (path, ids) = &waiting[n];
                let mut bytes = 0;
                let mut same = || -> std::result::Result<Option<String>, Errno> {
                    let fd = root.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?;
                    for id in ids {
                        self.ctx.check().map_err(|_| Errno::CANCELED)?;
                        let Some(place) = place(self.index, id) else {
                            return Ok(Some(format!("cannot be compared: the repository lacks its part {}", id.to_hex().as_str())));
                        };
                        match hashes.at(&fd, bytes, u64::from(place.size)) {
                            Ok(hash) if hash == **id => bytes += u64::from(place.size),
                            Ok(_) => return Ok(Some(format!("has another content, in the {} bytes from byte {bytes} on", place.size))),
                            Err(Errno::NODATA) => return Ok(Some("is shorter than in the snapshot".to_owned())),
                            Err(e) => return Err(e),
                        }
                        self.meter.bytes(u64::from(place.size), || show(path));
                    }
                    let size = Found::from(fs::fstat(&fd)?).size;
                    Ok((size != bytes).then(|| format!("has {size} bytes instead of {bytes}")))
                };
                let differs = match same() {
                    Err(Errno::CANCELED) => return self.ctx.check(),
                    Err(Errno::ACCESS) => Some(CLOSED.to_owned()),
                    other => other.map_err(|e| fail("read", &show(path), e))?,
                };
                self.meter.file();
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                found.0 += i64::try_from(bytes).unwrap_or(i64::MAX);
                if let Some(message) = differs {
                    found.1.push((n, message));
                }
                Ok(())
            },
        )?;
        let (bytes, mut differ) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.out.bytes += bytes;
        differ.sort();
        for (n, message) in differ {
            self.out.differs(&waiting[n].0, message);
        }
        Ok(())
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
