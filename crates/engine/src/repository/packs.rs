//! Reading blobs out of packs, many with one read.
//!
//! Lives here: places of blobs, grouping neighbours, decrypting, decompressing, checking against ids.
//! May not: what the blobs are for.
//! Invariants: a blob is handed out only when the SHA-256 of its content is its id; memory is one group and one blob.

use std::{ops::Range, sync::Arc};

use aes256ctr_poly1305aes::{
    Aes256CtrPoly1305Aes, Nonce, Tag,
    aead::{Aead as _, AeadInPlace as _},
};
use bytes::BytesMut;
use rustic_core::{
    DataId, FileType, Id, ReadBackend as _,
    repofile::{BlobType, IndexBlob, IndexPack},
};
use sha2::{Digest as _, Sha256};

use super::{Backend, Indexed, Repository, from_rustic};
use crate::{EngineError, ErrorKind, Result};

/// Bytes between two blobs that are rather read than skipped.
const HOLE: u32 = 64 * 1024;
/// The most that one read asks for, unless a single blob is larger.
const GROUP: u32 = 4 * 1024 * 1024;
/// A blob larger than this was not made by restic or rustic.
const LARGEST: u32 = 256 * 1024 * 1024;
/// Nonce and tag around a blob.
const OVERHEAD: usize = 32;

/// Where a blob lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobPlace {
    pub id: Id,
    pub pack: Id,
    pub offset: u32,
    pub length: u32,
    /// Bytes of its content.
    pub size: u32,
    pub compressed: bool,
}

/// The place of a data blob; `None` where the index has none.
pub fn place(index: &Indexed, id: &DataId) -> Option<BlobPlace> {
    let entry = index.get_index_entry(id).ok()?;
    let at = entry.location;
    let size = at.uncompressed_length.map_or_else(|| at.length.saturating_sub(OVERHEAD as u32), std::num::NonZeroU32::get);
    Some(BlobPlace { id: **id, pack: *entry.pack, offset: at.offset, length: at.length, size, compressed: at.uncompressed_length.is_some() })
}

/// Groups places into ranges that are each worth one read. Neighbours in a pack must stand beside each other.
pub fn groups<'a>(places: impl IntoIterator<Item = &'a BlobPlace>) -> Vec<Range<usize>> {
    let mut all: Vec<Range<usize>> = Vec::new();
    let mut open: Option<(Id, u32, u32)> = None;
    for (n, p) in places.into_iter().enumerate() {
        let end = p.offset.saturating_add(p.length);
        match (&mut open, all.last_mut()) {
            (Some((pack, start, stop)), Some(range)) if *pack == p.pack && p.offset >= *stop && p.offset - *stop <= HOLE && end - *start <= GROUP => {
                *stop = end;
                range.end = n + 1;
            }
            _ => {
                open = Some((p.pack, p.offset, end));
                all.push(n..n + 1);
            }
        }
    }
    all
}

/// Told of each blob of a group, with its number in the group.
pub type EachBlob<'e> = &'e mut dyn FnMut(usize, Result<&[u8]>) -> Result<()>;

/// Reads blobs of one repository. Each thread has its own.
pub struct PackReader {
    backend: Arc<Backend>,
    cipher: Aes256CtrPoly1305Aes,
    zstd: zstd::bulk::Decompressor<'static>,
    out: Vec<u8>,
}

impl Repository {
    pub fn pack_reader(&self) -> Result<PackReader> {
        let zstd = zstd::bulk::Decompressor::new().map_err(|e| EngineError::with_source(ErrorKind::Internal, "starting the decompressor", e))?;
        Ok(PackReader { backend: self.backend.clone(), cipher: self.cipher(), zstd, out: Vec::new() })
    }
}

impl PackReader {
    /// Reads one group of [`groups`] and hands each blob to `each`, with its number in the group.
    ///
    /// A blob that is damaged or whose pack is missing is handed on as an error, and the others are read still.
    ///
    /// # Errors
    /// What the storage says when it cannot be reached, and what `each` answers.
    pub fn read(&mut self, group: &[BlobPlace], each: EachBlob) -> Result<()> {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return Ok(()) };
        let length = last.offset.saturating_add(last.length) - first.offset;
        let bytes = match self.backend.read_partial(FileType::Pack, &first.pack, false, first.offset, length) {
            Ok(bytes) => bytes,
            Err(e) => {
                let e = from_rustic(e);
                if !matches!(e.kind, ErrorKind::NotFound | ErrorKind::Damaged) {
                    return Err(e);
                }
                if let [one] = group {
                    return each(0, Err(EngineError::new(ErrorKind::Damaged, format!("pack {}: {}", one.pack.to_hex().as_str(), e.message))));
                }
                // A pack that was cut short may still hold the first of them.
                for (n, one) in group.iter().enumerate() {
                    self.read(std::slice::from_ref(one), &mut |_, blob| each(n, blob))?;
                }
                return Ok(());
            }
        };
        let mut bytes = bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        for (n, p) in group.iter().enumerate() {
            let start = (p.offset - first.offset) as usize;
            let blob = self.open(p, &mut bytes[start..start + p.length as usize]);
            each(n, blob)?;
        }
        Ok(())
    }

    /// Reads a whole pack of `size` bytes: its bytes against its id, each blob against its own, its header against the
    /// index. What is wrong, in words; `None` where nothing is. `inc` is told of bytes as they are done.
    ///
    /// # Errors
    /// What the storage says when it cannot be reached.
    pub fn verify(&mut self, pack: &IndexPack, size: u64, inc: &mut dyn FnMut(u64)) -> Result<Option<String>> {
        match self.verified(pack, size, inc) {
            Ok(()) => Ok(None),
            Err(e) if matches!(e.kind, ErrorKind::Damaged | ErrorKind::NotFound) => {
                let words =
                    if e.message.contains(pack.id.to_hex().as_str()) { e.message } else { format!("pack {}: {}", pack.id.to_hex().as_str(), e.message) };
                Ok(Some(words))
            }
            Err(e) => Err(e),
        }
    }

    fn verified(&mut self, pack: &IndexPack, size: u64, inc: &mut dyn FnMut(u64)) -> Result<()> {
        let damaged = |why: &str| EngineError::new(ErrorKind::Damaged, format!("pack {}: {why}", pack.id.to_hex().as_str()));
        let mut blobs = pack.blobs.clone();
        blobs.sort_unstable();
        let places: Vec<BlobPlace> = blobs.iter().map(|b| of_index(*pack.id, b)).collect();
        let (mut hash, mut end) = (Sha256::new(), 0_u32);
        for range in groups(&places) {
            let group = &places[range];
            let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
            let length = last.offset.saturating_add(last.length) - first.offset;
            let bytes = self.backend.read_partial(FileType::Pack, &pack.id, false, first.offset, length).map_err(from_rustic)?;
            hash.update(&bytes);
            let mut bytes = bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
            for p in group {
                if p.offset != end {
                    return Err(damaged("its blobs do not follow each other"));
                }
                end = p.offset.saturating_add(p.length);
                let start = (p.offset - first.offset) as usize;
                self.open(p, &mut bytes[start..start + p.length as usize])?;
            }
            inc(u64::from(length));
        }
        let rest = u32::try_from(size).ok().and_then(|size| size.checked_sub(end)).filter(|n| *n as usize > OVERHEAD + 4);
        let rest = rest.ok_or_else(|| damaged("it is not as long as the index says"))?;
        let tail = self.backend.read_partial(FileType::Pack, &pack.id, false, end, rest).map_err(from_rustic)?;
        hash.update(&tail);
        inc(u64::from(rest));
        if Id::new(hash.finalize().into()) != *pack.id {
            return Err(damaged("its content is not what its id says"));
        }
        let (header, length) = tail.split_at(tail.len() - 4);
        let (nonce, sealed) = header.split_at(16);
        let header = self.cipher.decrypt(Nonce::from_slice(nonce), sealed).map_err(|_| damaged("its header cannot be decrypted"))?;
        if length != (sealed.len() as u32 + 16).to_le_bytes() || header != header_of(&blobs) {
            return Err(damaged("its header is not what the index says"));
        }
        Ok(())
    }

    fn open<'a>(&'a mut self, p: &BlobPlace, sealed: &'a mut [u8]) -> Result<&'a [u8]> {
        let damaged = |why: &str| {
            let (id, pack) = (p.id.to_hex(), p.pack.to_hex());
            EngineError::new(ErrorKind::Damaged, format!("blob {} in pack {}: {why}", id.as_str(), pack.as_str()))
        };
        if sealed.len() < OVERHEAD || p.size > LARGEST {
            return Err(damaged("its length cannot be right"));
        }
        let (nonce, rest) = sealed.split_at_mut(16);
        let (text, tag) = rest.split_at_mut(rest.len() - 16);
        let opened = self.cipher.decrypt_in_place_detached(Nonce::from_slice(nonce), &[], text, Tag::from_slice(tag));
        opened.map_err(|_| damaged("it was changed after it was written"))?;
        let content: &[u8] = if p.compressed {
            self.out.clear();
            self.out.reserve(p.size as usize);
            self.zstd.decompress_to_buffer(text, &mut self.out).map_err(|e| damaged(&format!("decompressing: {e}")))?;
            &self.out
        } else {
            text
        };
        if content.len() != p.size as usize {
            return Err(damaged("its length is not what the index says"));
        }
        if Id::new(Sha256::digest(content).into()) == p.id { Ok(content) } else { Err(damaged("its content is not what its id says")) }
    }
}

/// A blob as an index names it.
fn of_index(pack: Id, b: &IndexBlob) -> BlobPlace {
    let size = b.location.uncompressed_length.map_or_else(|| b.location.length.saturating_sub(OVERHEAD as u32), std::num::NonZeroU32::get);
    BlobPlace { id: *b.id, pack, offset: b.location.offset, length: b.location.length, size, compressed: b.location.uncompressed_length.is_some() }
}

/// The header of a pack with these blobs in their order ("Pack Format" of restic's design document).
fn header_of(blobs: &[IndexBlob]) -> Vec<u8> {
    let mut header = Vec::with_capacity(blobs.len() * 41);
    for b in blobs {
        let kind = u8::from(b.tpe == BlobType::Tree) + if b.location.uncompressed_length.is_some() { 2 } else { 0 };
        header.push(kind);
        header.extend(b.location.length.to_le_bytes());
        if let Some(n) = b.location.uncompressed_length {
            header.extend(n.get().to_le_bytes());
        }
        let mut id = [0; 32];
        // An id is 64 hexadecimal digits.
        hex::decode_to_slice(b.id.to_hex().as_str(), &mut id).unwrap_or_default();
        header.extend(id);
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(pack: u8, offset: u32, length: u32) -> BlobPlace {
        BlobPlace { id: Id::default(), pack: Id::new([pack; 32]), offset, length, size: length - 32, compressed: false }
    }

    #[test]
    fn neighbours_are_read_together() {
        let places = [at(1, 0, 100), at(1, 100, 100), at(1, 200 + HOLE, 100), at(1, 301 + 2 * HOLE, 100), at(2, 0, GROUP), at(2, GROUP, 100), at(2, 0, 100)];
        assert_eq!(groups(&places), [0..3, 3..4, 4..5, 5..6, 6..7]);
        assert!(groups(&[]).is_empty());
    }
}
