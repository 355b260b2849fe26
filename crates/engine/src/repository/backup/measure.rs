//! What a snapshot changed, as the guard judges it (R21).
//!
//! How content compresses stands in the index: whether a file turned into noise is asked there, of changed files
//! alone, and no file is read for it. Only where several did are some of them opened at their first bytes, because an
//! archive or a picture is noise too and says what it is.
//!
//! Lives here: counting, matching what went with what came. May not: judging (that is `domain::guard`).
//! Memory: two numbers a file that came or went, and at most [`CANDIDATES`] names.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    os::unix::ffi::OsStrExt as _,
};

use domain::{
    guard::{Measure, refilled},
    naming::escape,
};
use rustic_core::{DataId, repofile::Node};

use super::{
    super::{
        Indexed, Repository,
        packs::{PackReader, place},
    },
    head::{HEAD, is_known},
};

/// Content that compresses to more than this share of itself, in hundredths, is noise.
const NOISE: u64 = 95;
/// Fewer bytes than this say nothing: their compression is all overhead.
const TELLABLE: u64 = 256;
/// From so many candidates on their first bytes are looked at; fewer are below every floor of the guard.
const SOME: usize = 4;
/// So many of them, evenly spread.
const LOOKED_AT: usize = 24;
/// As many are named; beyond that they are only counted.
const CANDIDATES: usize = 4_096;
const EXAMPLES: usize = 5;
/// Encryption adds a header: so many bytes, or this part of the size.
const PADDING: (u64, u64) = (4_096, 8);

/// Counts what differs between an item's tree and its parent's.
pub struct Meter<'a> {
    repository: &'a Repository,
    index: &'a Indexed,
    excluded: &'a dyn Fn(&str) -> bool,
    compresses: bool,
    measure: Measure,
    gone: HashMap<u64, Lot>,
    came: HashMap<u64, Lot>,
    candidates: Vec<Candidate>,
    candidates_total: u64,
    candidate_bytes: u64,
    /// Some files that are gone, with the key of their content.
    gone_names: Vec<(String, u64)>,
}

/// Files of the same content.
#[derive(Clone, Copy, Default)]
struct Lot {
    files: i64,
    bytes: i64,
    weight: Weight,
}

/// Bytes of content, and those of them that no compression makes smaller.
#[derive(Clone, Copy, Default)]
struct Weight {
    plain: u64,
    noise: u64,
}

impl Weight {
    const fn is_tellable(self) -> bool {
        self.plain >= TELLABLE
    }

    const fn is_noise(self) -> bool {
        self.is_tellable() && self.noise * 100 >= self.plain * NOISE
    }

    const fn is_text(self) -> bool {
        self.is_tellable() && self.noise * 2 <= self.plain
    }
}

/// A file that is noise now.
struct Candidate {
    name: String,
    /// The first piece of what it was, where that was noise too and only its first bytes can tell what it was.
    was: Option<DataId>,
    now: DataId,
}

/// What is in one folder and in the same folder of the parent.
#[derive(Default)]
pub struct Pair {
    pub prefix: String,
    /// Programs fill this folder again.
    pub refilled: bool,
    pub came: Vec<Node>,
    pub gone: Vec<Node>,
    /// Before and after.
    pub changed: Vec<(Node, Node)>,
}

/// Whether programs fill the folder `name` again that lies in the one of this prefix.
pub fn is_refilled(prefix: &str, name: &[u8]) -> bool {
    let parent = prefix.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    refilled::by_name(name, parent.as_bytes())
}

/// Whether the entries of a folder say that programs fill it again.
pub fn has_marker<'n>(mut entries: impl Iterator<Item = &'n Node>) -> bool {
    entries.any(|n| refilled::MARKERS.contains(&n.name().as_bytes()))
}

impl<'a> Meter<'a> {
    /// `excluded` says of a path inside the item, in the text form, whether the source leaves it out now.
    pub fn new(repository: &'a Repository, index: &'a Indexed, excluded: &'a dyn Fn(&str) -> bool) -> Self {
        let compresses = index.config().zstd().is_ok_and(|level| level.is_some());
        Self {
            repository,
            index,
            excluded,
            compresses,
            measure: Measure { compared: true, ..Measure::default() },
            gone: HashMap::new(),
            came: HashMap::new(),
            candidates: Vec::new(),
            candidates_total: 0,
            candidate_bytes: 0,
            gone_names: Vec::new(),
        }
    }

    /// Counts one folder.
    pub fn folder(&mut self, pair: Pair) {
        let Pair { prefix, refilled, mut came, mut gone, changed } = pair;
        if refilled {
            self.measure.shed += gone.len() as i64;
            return;
        }
        // Nobody deleted what is only left out; a safety snapshot, which leaves nothing out, may be the parent.
        let all = gone.len();
        gone.retain(|node| !(self.excluded)(&path(&prefix, node)));
        self.measure.shed += (all - gone.len()) as i64;
        for (was, now) in &changed {
            if was.content != now.content {
                self.rewritten(&prefix, was, now);
            }
        }
        for (was, now) in made_of(&mut gone, &mut came) {
            self.rewritten(&prefix, &was, &now);
        }
        for (was, now) in self.grown_alike(&mut gone, &mut came) {
            self.rewritten(&prefix, &was, &now);
        }
        for node in &gone {
            let key = key(node);
            let lot = self.gone.entry(key).or_default();
            lot.files += 1;
            lot.bytes = size(node);
            if self.gone_names.len() < CANDIDATES {
                self.gone_names.push((path(&prefix, node), key));
            }
        }
        for node in &came {
            let weight = self.weigh(node, &HashSet::new());
            let lot = self.came.entry(key(node)).or_default();
            lot.files += 1;
            lot.weight = weight;
        }
    }

    /// A file whose content is another one now.
    fn rewritten(&mut self, prefix: &str, was: &Node, now: &Node) {
        if size(was) > 0 && size(now) == 0 {
            self.measure.removed += 1;
            self.measure.removed_bytes += size(was);
            // It is there still, so that the sum of the files stays right.
            self.measure.added += 1;
            if self.gone_names.len() < CANDIDATES {
                // No content of this key ever comes, so that it stays among those that are gone.
                self.gone_names.push((path(prefix, was), 0));
            }
            return;
        }
        self.measure.rewritten += 1;
        let (old, new) = (ids(was), ids(now));
        let before = self.weigh(was, &new);
        let after = self.weigh(now, &old);
        self.measure.came_bytes += after.plain as i64;
        self.add_noise(after.noise as i64);
        let Some(first) = now.content.iter().flatten().next().filter(|_| self.compresses && after.is_noise()) else { return };
        let was_first = was.content.iter().flatten().next().filter(|_| !before.is_text());
        if !before.is_text() && (was_first.is_none() || was_first == Some(first)) {
            return;
        }
        self.candidates_total += 1;
        self.candidate_bytes += size(now) as u64;
        if self.candidates.len() < CANDIDATES {
            self.candidates.push(Candidate { name: path(prefix, now), was: was_first.copied(), now: *first });
        }
    }

    /// Files that are gone beside new ones of the same size or a little more that are noise, under names that say nothing.
    fn grown_alike(&self, gone: &mut Vec<Node>, came: &mut Vec<Node>) -> Vec<(Node, Node)> {
        if gone.len() < SOME || came.len() < SOME || !self.compresses {
            return Vec::new();
        }
        let moved: HashSet<u64> = gone.iter().map(key).collect();
        let mut by_size = BTreeSet::new();
        for (n, node) in came.iter().enumerate() {
            if !moved.contains(&key(node)) && self.weigh(node, &HashSet::new()).is_noise() {
                by_size.insert((node.meta.size, n));
            }
        }
        let mut pairs = Vec::new();
        gone.sort_by_key(|n| n.meta.size);
        for (g, node) in gone.iter().enumerate() {
            let least = node.meta.size;
            let most = least + PADDING.0.max(least / PADDING.1);
            if least < TELLABLE || !self.weigh(node, &HashSet::new()).is_text() {
                continue;
            }
            let found = by_size.range((least, 0)..=(most, usize::MAX)).next().copied();
            if let Some(found) = found {
                by_size.remove(&found);
                pairs.push((g, found.1));
            }
        }
        if pairs.len() < SOME {
            return Vec::new();
        }
        let made = pairs.iter().map(|(g, c)| (gone[*g].clone(), came[*c].clone())).collect();
        let (g, c): (HashSet<usize>, HashSet<usize>) = pairs.into_iter().unzip();
        drop_at(gone, &g);
        drop_at(came, &c);
        made
    }

    /// The content of a file, pieces in `except` left out.
    fn weigh(&self, node: &Node, except: &HashSet<DataId>) -> Weight {
        let mut weight = Weight::default();
        for p in node.content.iter().flatten().filter(|id| !except.contains(*id)).filter_map(|id| place(self.index, id)) {
            let (plain, packed) = (u64::from(p.size), u64::from(p.length.saturating_sub(32)));
            weight.plain += plain;
            if !p.compressed || packed * 100 >= plain * NOISE {
                weight.noise += plain;
            }
        }
        weight
    }

    fn add_noise(&mut self, bytes: i64) {
        *self.measure.noise_bytes.get_or_insert(0) += bytes;
    }

    /// The measure of the item, which has so many files and bytes outside of folders that programs fill.
    pub fn finish(mut self, files: i64, bytes: i64) -> Measure {
        (self.measure.files, self.measure.bytes) = (files, bytes);
        for (key, lot) in std::mem::take(&mut self.came) {
            let moved = self.gone.get_mut(&key).map_or(0, |gone| {
                let moved = gone.files.min(lot.files);
                gone.files -= moved;
                moved
            });
            self.measure.moved += moved;
            let new = lot.files - moved;
            self.measure.added += new;
            // The same content twice came once.
            if new > 0 && moved == 0 {
                self.measure.came_bytes += lot.weight.plain as i64;
                self.add_noise(lot.weight.noise as i64);
            }
        }
        for lot in self.gone.values() {
            self.measure.removed += lot.files;
            self.measure.removed_bytes += lot.files * lot.bytes;
        }
        if self.compresses {
            self.add_noise(0);
        } else {
            self.measure.noise_bytes = None;
        }
        let mut examples = self.look();
        if examples.is_empty() && self.measure.removed > 0 {
            let gone = &self.gone;
            let names = self.gone_names.iter().filter(|(_, key)| gone.get(key).is_none_or(|lot| lot.files > 0)).map(|(name, _)| name.clone());
            examples = names.take(EXAMPLES).collect();
        }
        self.measure.examples = examples;
        self.measure
    }

    /// Says how many of the candidates turned into noise, from some of them; their names.
    fn look(&mut self) -> Vec<String> {
        let n = self.candidates.len();
        if n < SOME {
            return Vec::new();
        }
        let Ok(mut reader) = self.repository.pack_reader() else { return Vec::new() };
        let looked = n.min(LOOKED_AT);
        let (mut hits, mut names) = (0_u64, Vec::new());
        for k in 0..looked {
            let c = &self.candidates[k * n / looked];
            // What cannot be read is no proof of anything.
            let turned = self.tells(&mut reader, &c.now) == Some(false) && c.was.as_ref().is_none_or(|id| self.tells(&mut reader, id) == Some(true));
            if turned {
                hits += 1;
                if names.len() < EXAMPLES {
                    names.push(c.name.clone());
                }
            }
        }
        let share = |of: u64| i64::try_from(of * hits / looked as u64).unwrap_or(i64::MAX);
        self.measure.turned = share(self.candidates_total);
        self.measure.turned_bytes = share(self.candidate_bytes);
        names
    }
}

impl Meter<'_> {
    /// Whether a piece begins as a known format does; `None` where it cannot be read.
    fn tells(&self, reader: &mut PackReader, id: &DataId) -> Option<bool> {
        let at = place(self.index, id)?;
        let mut known = None;
        let read = reader.read(&[at], &mut |_, blob| {
            known = blob.ok().map(|bytes| is_known(&bytes[..bytes.len().min(HEAD)]));
            Ok(())
        });
        read.ok().and(known)
    }
}

/// Files that came under names made of those that are gone: `a.txt.locked` or `a.locked` of `a.txt`.
fn made_of(gone: &mut Vec<Node>, came: &mut Vec<Node>) -> Vec<(Node, Node)> {
    if gone.is_empty() || came.is_empty() {
        return Vec::new();
    }
    let mut names: HashMap<Vec<u8>, usize> = HashMap::new();
    for (n, node) in gone.iter().enumerate() {
        let name = node.name();
        if let Some(stem) = stem(name.as_bytes()) {
            names.entry(stem.to_vec()).or_insert(n);
        }
    }
    // The whole name says more than its stem.
    for (n, node) in gone.iter().enumerate() {
        names.insert(node.name().as_bytes().to_vec(), n);
    }
    let (mut taken, mut used, mut pairs) = (HashSet::new(), HashSet::new(), Vec::new());
    for (c, node) in came.iter().enumerate() {
        let name = node.name().into_owned();
        let mut rest = name.as_bytes();
        while let Some(shorter) = stem(rest) {
            rest = shorter;
            if let Some(g) = names.get(rest).copied().filter(|g| gone[*g].content != node.content && !taken.contains(g)) {
                taken.insert(g);
                used.insert(c);
                pairs.push((gone[g].clone(), node.clone()));
                break;
            }
        }
    }
    drop_at(gone, &taken);
    drop_at(came, &used);
    pairs
}

/// A name without its last extension.
fn stem(name: &[u8]) -> Option<&[u8]> {
    let dot = name.iter().rposition(|b| *b == b'.').filter(|at| *at > 0)?;
    Some(&name[..dot])
}

fn drop_at(nodes: &mut Vec<Node>, at: &HashSet<usize>) {
    let mut n = 0;
    nodes.retain(|_| {
        n += 1;
        !at.contains(&(n - 1))
    });
}

fn ids(node: &Node) -> HashSet<DataId> {
    node.content.iter().flatten().copied().collect()
}

/// What tells the content of a file; links and empty files by what they are.
fn key(node: &Node) -> u64 {
    let mut hasher = DefaultHasher::new();
    match &node.content {
        Some(content) if !content.is_empty() => content.hash(&mut hasher),
        _ => format!("{:?}", node.node_type).hash(&mut hasher),
    }
    hasher.finish().max(1)
}

fn size(node: &Node) -> i64 {
    i64::try_from(node.meta.size).unwrap_or(i64::MAX)
}

fn path(prefix: &str, node: &Node) -> String {
    format!("{prefix}{}", escape(node.name().as_bytes()))
}
