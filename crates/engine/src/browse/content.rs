//! The content of files in a snapshot, piece by piece.
//!
//! Lives here: reading whole files, large ones piece by piece and many small ones with few reads. May not: archives, names.
//! Invariant: at most one group of blobs and [`AHEAD`] bytes of small files are in memory, whatever is read.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use bytes::Bytes;
use rustic_core::{DataId, Id, repofile::Node};

use crate::{
    EngineError, ErrorKind, Result,
    repository::{
        Indexed,
        packs::{BlobPlace, PackReader, groups, place},
    },
};

/// Bytes of small files that are read ahead together.
const AHEAD: u64 = 8 << 20;
/// Files up to this size are read ahead.
const SMALL: u64 = 1 << 20;

/// Told of each piece of content, in order.
pub type EachPiece<'e> = &'e mut dyn FnMut(&[u8]) -> Result<()>;

/// Reads contents for one caller.
pub struct Contents<'a> {
    index: &'a Indexed,
    reader: PackReader,
    ahead: HashMap<Id, Bytes>,
}

fn ids(node: &Node) -> &[DataId] {
    node.content.as_deref().unwrap_or_default()
}

impl<'a> Contents<'a> {
    pub fn new(index: &'a Indexed, reader: PackReader) -> Self {
        Self { index, reader, ahead: HashMap::new() }
    }

    /// Where the blobs of a file are.
    ///
    /// # Errors
    /// `Damaged` where the repository lacks one.
    pub fn places(&self, node: &Node) -> Result<Vec<BlobPlace>> {
        let missing = |id: &DataId| EngineError::new(ErrorKind::Damaged, format!("the repository lacks a part of this file: {}", id.to_hex().as_str()));
        ids(node).iter().map(|id| place(self.index, id).ok_or_else(|| missing(id))).collect()
    }

    /// The bytes of a file, as its blobs say.
    pub fn size(&self, node: &Node) -> Result<u64> {
        Ok(self.places(node)?.iter().map(|p| u64::from(p.size)).sum())
    }

    /// Reads the small ones of `files` ahead, as many as fit, and says how many files from the first on are ready.
    ///
    /// A blob that cannot be read is left for [`Self::read`] to tell.
    pub fn read_ahead(&mut self, files: &[&Node]) -> Result<usize> {
        self.ahead.clear();
        let (mut wanted, mut seen, mut sum, mut ready) = (Vec::new(), HashSet::new(), 0, 0);
        for node in files {
            let places = self.places(node).unwrap_or_default();
            let size: u64 = places.iter().map(|p| u64::from(p.size)).sum();
            if size <= SMALL {
                if sum + size > AHEAD {
                    break;
                }
                sum += size;
                wanted.extend(places.into_iter().filter(|p| seen.insert(p.id)));
            }
            ready += 1;
        }
        wanted.sort_unstable_by_key(|p| (p.pack, p.offset));
        for group in groups(&wanted) {
            let group = &wanted[group];
            let ahead = &mut self.ahead;
            self.reader.read(group, &mut |n, blob| {
                if let Ok(blob) = blob {
                    ahead.insert(group[n].id, Bytes::copy_from_slice(blob));
                }
                Ok(())
            })?;
        }
        Ok(ready.max(1).min(files.len()))
    }

    /// Hands a range of a file's bytes to `each`. What lies beyond the end is left out.
    ///
    /// # Errors
    /// `Damaged` where a part is missing or not what was written; what the storage says; what `each` says.
    pub fn read(&mut self, node: &Node, range: Range<u64>, each: EachPiece) -> Result<u64> {
        let mut at = 0;
        let mut wanted = Vec::new();
        for place in self.places(node)? {
            let end = at + u64::from(place.size);
            if at < range.end && end > range.start {
                let from = range.start.saturating_sub(at) as usize;
                let to = (range.end.min(end) - at) as usize;
                wanted.push((place, from..to));
            }
            at = end;
        }
        let mut sent = 0;
        let places: Vec<BlobPlace> = wanted.iter().map(|w| w.0).collect();
        for group in groups(&places) {
            let parts = &wanted[group.clone()];
            let mut send = |n: usize, blob: Result<&[u8]>| {
                let part = &blob?[parts[n].1.clone()];
                sent += part.len() as u64;
                each(part)
            };
            if let [one] = &places[group.clone()]
                && let Some(bytes) = self.ahead.get(&one.id)
            {
                send(0, Ok(bytes))?;
            } else {
                self.reader.read(&places[group], &mut send)?;
            }
        }
        Ok(sent)
    }
}
